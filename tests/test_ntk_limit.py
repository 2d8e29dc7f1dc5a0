"""The exact kernels of infinite width against networks: the mean over random starts, extrapolated in 1/m."""

import pytest
import torch
from torch import Tensor

from nnlab.models import MLP
from nnlab.ntk import empirical_ntk, infinite_ntk

WIDTH, SEEDS, OUTPUTS = 256, 128, 2
SIGMA_B = 0.5


def kernels(width: int, depth: int, activation: str, x: Tensor, first_seed: int) -> Tensor:
    """(S, n, n, C, C): H of networks at their starts, one for each seed."""
    found = []
    for seed in range(first_seed, first_seed + SEEDS):
        network = MLP(
            x.shape[1], [width] * depth, OUTPUTS, activation, parameterization="ntk", sigma_b=SIGMA_B,
            generator=torch.Generator().manual_seed(seed),
        ).double()  # fmt: skip
        kernel = empirical_ntk(network, x)
        assert isinstance(kernel, Tensor)
        found.append(kernel)
    return torch.stack(found)


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("activation", ["relu", "erf"])
def test_infinite_kernel_is_the_extrapolated_mean_of_networks(activation: str, depth: int) -> None:
    """E H = H∞ + B/m + O(1/m²), so that 2·E H(2m) − E H(m) is H∞ + O(1/m²).

    Standard error. The means A of 2m and B of m are over independent seeds, so entry (i, j) of 2A − B has the
    variance 4 Var(H_ij(2m))/S + Var(H_ij(m))/S, each estimated over its S seeds. The squared Frobenius error
    has the sum of these over all entries, SE², as its expectation, up to the bias² of order 1/m⁴. As entries
    are correlated, the error has few effective directions; with a single one it is |normal| · SE, beyond
    3 SE in 0.3% of all draws, and with more of them less often. The seeds are fixed: every run is the same.
    """
    x = torch.randn(5, 3, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    narrow = kernels(WIDTH, depth, activation, x, first_seed=0)
    wide = kernels(2 * WIDTH, depth, activation, x, first_seed=SEEDS)
    extrapolated = 2 * wide.mean(0) - narrow.mean(0)
    standard_error = ((4 * wide.var(0) + narrow.var(0)) / SEEDS).sum().sqrt()
    _, limit = infinite_ntk(x, depth=depth, activation=activation, sigma_b=SIGMA_B)
    expected = limit[:, :, None, None] * torch.eye(OUTPUTS)  # nothing between two outputs
    error = (extrapolated - expected).norm()
    assert error <= 3 * standard_error
    assert standard_error < 0.03 * expected.norm()  # what is wrong by a tenth would show
