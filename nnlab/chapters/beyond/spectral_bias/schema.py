"""Names of the arrays in runs of `spectral_bias` that its widget reads."""

from collections.abc import Mapping

GROUPS = ("without_bias", "with_bias")
HARMONICS = "harmonics"  # (K,) of the target, in each group
EIGENVALUES = "eigenvalues"  # (K,) nλ_k
LR = "lr"  # () η
SHARES = "shares"  # (S, K, T + 1)
HALF_LIVES = "half_lives"  # (S, K)

ARRAYS: Mapping[str, str] = {
    f"*/{HARMONICS}": "(K,) frequencies k in the target",
    f"*/{EIGENVALUES}": "(K,) eigenvalues nλ_k of the infinitely wide kernel on the points",
    f"*/{LR}": "() step size η",
    f"*/{SHARES}": "(S, K, T + 1) share of each harmonic that is still in the residual, after 0 … T steps",
    f"*/{HALF_LIVES}": "(S, K) steps until half of it is left, not a number where that was not reached",
}
