"""The distance that the weights of a linear model move from their start.

Gradient descent on the squared error of a linear model with features φ, H = φφᵀ, adds up its residuals:

    w_k − w₀ = −η φᵀ Σ_{j<k} u_j = −φᵀ H⁻¹ (I − (I − ηH)ᵏ) u₀,

since u_j = (I − ηH)ʲ u₀ is a geometric series. So, mode by mode of H = U D Uᵀ with c = Uᵀu₀,

    ‖w_k − w₀‖² = u₀ᵀ (I − (I − ηH)ᵏ)² H⁻¹ u₀ = Σᵢ cᵢ² (1 − (1 − ηλᵢ)ᵏ)²/λᵢ.

For η < 2/λmax it tends to u₀ᵀH⁻¹u₀: w_k − w₀ stays in the span of the features, and of all w that fit the
targets the one nearest to w₀ is the one with w − w₀ in it (Zhang, Bengio, Hardt, Recht & Vinyals 2017,
"Understanding deep learning requires rethinking generalization", section 5). With `mean` for the reduction,
(1/2N)Σ‖y − f‖², η/N takes the place of η.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from nnlab.ntk.dynamics.modes import (
    Form,
    Modes,
    Reduction,
    as_modes,
    divisor,
    examples_of,
    numbers,
    refuse_indefinite,
)
from nnlab.ntk.errors import KernelError
from nnlab.ntk.spectral.tiles import Kernel


def squared_distances(
    H: Kernel | Modes,
    u0: Tensor,
    lr: float,
    steps: int | Sequence[int] | Tensor,
    *,
    reduction: Reduction = "sum",
    n: int | None = None,
) -> Tensor:
    """Returns ‖w_k − w₀‖² of gradient descent with a constant kernel, after k steps.

    Modes within rounding of λ = 0 do not move the weights.

    Args:
        H: the kernel of the training points, or its `decompose`.
        u0: (nC,) or (n, C), u₀ = f(0) − y.
        lr: η, between 0 and 2/λmax (`mean`: 2n/λmax).
        steps: a number of steps k ≥ 0, or (K,) of them.
        reduction: of the loss.
        n: number of training examples; needed for `mean` with a kernel that is a matrix.

    Returns:
        (K,) float64, or a scalar for one number of steps.

    Raises:
        KernelError: shapes that do not fit, a step size outside of its range, steps below 0, `n` is missing,
            or a kernel with negative eigenvalues that rounding does not explain.
        NonFiniteError: NaN or infinity in H or u₀.
    """
    modes = as_modes(H)
    refuse_indefinite("squared_distances", modes)
    progress = lr / divisor(reduction, examples_of(modes, n)) * modes.eigenvalues  # ηλ
    if not (lr > 0 and bool((progress < 2).all())):
        raise KernelError(f"squared_distances: lr {lr} is outside of (0, 2/λmax), where descent converges")
    counts = numbers("steps", steps).to(progress.device)
    if bool((counts < 0).any()):
        raise KernelError(f"squared_distances: steps {steps}: they start at 0")
    k = counts[..., None]
    small = progress.clamp(max=0.5)  # where 1 − (1 − ηλ)ᵏ would lose digits
    learned = torch.where(progress > 0.5, 1 - (1 - progress) ** k, -torch.expm1(k * torch.log1p(-small)))
    return (learned.square() * _lengths(modes, u0)).sum(-1)


def least_squared_distance(H: Kernel | Modes, u0: Tensor) -> Tensor:
    """Returns u₀ᵀH⁻¹u₀, the least ‖w − w₀‖² of all w that fit the targets: the limit of descent.

    Modes within rounding of λ = 0 are left out.

    Args:
        H, u0: as of `squared_distances`.

    Returns:
        A float64 scalar.

    Raises:
        KernelError, NonFiniteError: as for `squared_distances`.
    """
    modes = as_modes(H)
    refuse_indefinite("least_squared_distance", modes)
    return _lengths(modes, u0).sum(-1)


def _lengths(modes: Modes, u0: Tensor) -> Tensor:
    """(nC,) cᵢ²/λᵢ, summed over columns that move by themselves; 0 where λᵢ may be 0."""
    size = len(modes.vectors)
    form = Form.of("u0", u0, size, modes.examples)
    coefficients = modes.vectors.T @ form.take("u0", u0, size, modes.vectors.device).reshape(size, -1)
    squares = coefficients.square().sum(1)
    return torch.where(modes.eigenvalues > modes.threshold, squares / modes.eigenvalues, 0.0)
