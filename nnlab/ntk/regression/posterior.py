"""The predictive distribution of trained networks at new points, from their two kernels.

At the start the outputs of an infinitely wide network are independent Gaussian processes of mean 0 with the
covariance K, the "nngp" kernel; training moves them by the tangent kernel Θ, which stays what it was. With T
the n training points, X the new ones and targets y there are two distributions (Lee et al. 2019, "Wide neural
networks of any depth evolve as linear models under gradient descent", section 2.3.1).

*Of the process*, by Bayes' rule: with the ridge σ² as the variance of the noise in y (Rasmussen & Williams
2006, "Gaussian processes for machine learning", eq. 2.22–2.24)

    mean        B y                    with B = K_XT (K_TT + σ² I)⁻¹
    covariance  K_XX − B K_TX

*Of the ensemble* of networks that gradient flow trains on ½Σ‖f − y‖² + ½ ridge·‖w − w₀‖², each from its own
random start w₀. The linear model f = f₀ + Φ(w − w₀), ΦΦᵀ = Θ, has ẇ = −Φ_Tᵀ(f_T − y) − ridge·(w − w₀). So
w − w₀ = Φ_Tᵀ a at all times, where ȧ = y − f₀(T) − (Θ_TT + ridge·I) a and a(0) = 0, and

    f_x(t) = f₀(x) + A (y − f₀(T))     with A = Θ_XT (Θ_TT + ridge·I)⁻¹ (I − e^{−(Θ_TT + ridge·I)t})

which is linear in f₀, of which only the covariance K enters (eq. 14 and 15 of the paper for ridge = 0):

    mean        A y
    covariance  K_XX + A K_TT Aᵀ − A K_TX − K_XT Aᵀ  =  (−A  I) K (−A  I)ᵀ

The ridge pulls each network to its own start and not to 0: of this distribution it is no noise. The two agree
for Θ = K, t = ∞ and ridge = 0.

Singular kernels. In the eigenbasis of Θ_TT the factor (1 − e^{−ρt})/ρ, ρ = λ + ridge, is t where ρ = 0. Where
ρ is no more than the threshold of `Modes`, below which it may be rounding, the mode is not learned in the
limit, nor at times beyond 1/threshold, at which rounding would have grown to the size of the targets; and
inverses are pseudo-inverses.

Rounding. Errors E of K are (−A I) E (−A I)ᵀ in the covariance: at a new point, with its row a of A, at most
(1 + ‖a‖)² ‖E‖. Errors of Θ move the mean by about (1 + ‖a‖) ‖E‖ ‖G y‖ at most, where A = Θ_XT G and G has the
factors above as its eigenvalues, and the variance by 2 (1 + ‖a‖) ‖E‖ ‖G‖ ‖K_TT a − K_Tx‖. Both are
reported, since they can be large where kernels are nearly singular, or t is near 1/threshold.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from nnlab.display import displayed
from nnlab.memory import in_words
from nnlab.ntk.dynamics.modes import (
    Form,
    Modes,
    Numbers,
    modes_of,
    numbers,
    refuse_indefinite,
    square_matrix,
)
from nnlab.ntk.errors import KernelError, MemoryLimitError, check_ridge, checked_limit
from nnlab.ntk.regression.kernel_regression import log_unlearned
from nnlab.ntk.spectral.tiles import Kernel, Tiles, epsilon


@displayed
@dataclass(frozen=True)
class Gaussian:
    """The joint distribution of the outputs at the new points.

    Attributes:
        mean: (n_x, C), or (n_x,) as the targets are; (K, …) for K times. Float64.
        covariance: (n_x, n_x) of each output, which are independent; of kernels (N, N, C, C) it is
            (n_x, n_x, C, C) between outputs as well. (K, …) for K times.
        mean_error: how far rounding of the kernels may have moved each number of `mean`, to first order; in
            its shape.
        variance_error: the same of each variance: (…, n_x), or (…, n_x, C) of kernels (N, N, C, C).
    """

    mean: Tensor
    covariance: Tensor
    mean_error: Tensor
    variance_error: Tensor

    @property
    def std(self) -> Tensor:
        """The standard deviation of each number of `mean`, in its shape."""
        if self.covariance.ndim == self.mean.ndim + 2:
            variances = self.covariance.diagonal(0, -4, -3).diagonal(0, -3, -2)  # (…, n_x, C)
        else:
            variances = self.covariance.diagonal(0, -2, -1)
        if variances.ndim < self.mean.ndim:
            variances = variances[..., None]
        return variances.sqrt().expand(self.mean.shape)


@displayed
@dataclass(frozen=True)
class Posterior:
    """The distributions of the outputs at new points.

    Attributes:
        nngp: the Gaussian process given the targets.
        ensemble: networks after gradient flow, each from its own start.
        nngp_rank: modes of K_TT that the process learns; all with a ridge above the threshold.
        ntk_rank: modes of Θ_TT that the ensemble learns in the limit.
        nngp_unlearned: the norm of the part of the targets in the others, which the process excludes.
        ntk_unlearned: the norm of the part of the targets that the ensemble never learns.
        singular: whether either kernel has such modes.
    """

    nngp: Gaussian
    ensemble: Gaussian
    nngp_rank: int
    ntk_rank: int
    nngp_unlearned: float
    ntk_unlearned: float
    singular: bool


def posterior(
    kernels: tuple[Kernel, Kernel],
    y: Tensor,
    t: Numbers | None = None,
    ridge: float = 0.0,
    memory_limit: int | None = None,
    *,
    computed_in: torch.dtype | None = None,
) -> Posterior:
    """Computes the Gaussian process given the targets, and the ensemble of trained networks, at new points.

    Args:
        kernels: (nngp, ntk), K and Θ over the training points followed by the new ones, as `infinite_ntk`
            gives them of both together: (N, N) of one output, for any number of independent ones, or
            (N, N, C, C).
        y: (n, C), or (n,) with kernels (N, N): targets of the first n points.
        t: training time of the ensemble from 0 on, in units of 1/eigenvalue of Θ, or (K,) times; None for the
            limit.
        ridge: at least 0: of the process the variance of the noise in y, of the ensemble the strength of
            ½ ridge·‖w − w₀‖².
        memory_limit: bytes to hold beside the kernels; a quarter of the free memory if None.
        computed_in: type of the numbers that the kernels were computed in; by default their own.

    Raises:
        KernelError: shapes that do not fit, no new point, t or ridge below 0, kernels that are not symmetric
            or have negative eigenvalues beyond rounding, or a negative variance beyond rounding.
        MemoryLimitError: the limit does not hold the matrices.
        NonFiniteError: NaN or infinity.
    """
    check_ridge("posterior", ridge)
    times = None if t is None else numbers("t", t)
    if times is not None and bool((times < 0).any()):
        raise KernelError(f"posterior: t {t}: times start at 0")
    form, size = _fitting(kernels, y)
    _check_memory(Tiles(kernels[0]), size, 1 if times is None else times.numel(), memory_limit)
    prior = _Split.of("nngp", kernels[0], size, computed_in)
    tangent = _Split.of("ntk", kernels[1], size, computed_in)
    targets = form.take("y", y, size, prior.train.device)
    process, flow = prior.modes(), tangent.modes()
    by_process = _Rule.of(prior, process, _gains(process, ridge, None), ridge)
    by_flow = _Rule.of(tangent, flow, _gains(flow, ridge, times), ridge)
    # Θ too is the covariance of a process; this refuses a matrix that is not
    _covariance(tangent, _Rule.of(tangent, flow, _gains(flow, 0.0, None), 0.0).weights, 0.0)
    nngp_rank, nngp_unlearned = _unlearned(prior, process, ridge, targets)
    ntk_rank, ntk_unlearned = _unlearned(tangent, flow, ridge, targets)
    return Posterior(
        nngp=_gaussian(form, by_process, targets, prior, ridge),
        ensemble=_gaussian(form, by_flow, targets, prior, 0.0),
        nngp_rank=nngp_rank,
        ntk_rank=ntk_rank,
        nngp_unlearned=nngp_unlearned,
        ntk_unlearned=ntk_unlearned,
        singular=min(nngp_rank, ntk_rank) < size,
    )


def _fitting(kernels: tuple[Kernel, Kernel], y: Tensor) -> tuple[Form, int]:
    """The form of the targets, and the number of rows of the training points; checked."""
    if not isinstance(kernels, tuple | list) or len(kernels) != 2:
        raise KernelError("posterior: kernels must be a pair (nngp, ntk), as infinite_ntk returns it")
    shapes = [tuple(kernel.shape) for kernel in kernels]
    if shapes[0] != shapes[1]:
        raise KernelError(
            f"posterior: the nngp kernel has the shape {shapes[0]} and the ntk {shapes[1]}: they must agree"
        )
    tiles, n = Tiles(kernels[0]), len(y) if y.ndim else 0
    if not 0 < n < tiles.examples:
        raise KernelError(
            f"posterior: y has the shape {tuple(y.shape)} and the kernels are of {tiles.examples} points: "
            "the first ones are the training points, one to each row of y, and the new ones follow, of which "
            "at least one is needed"
        )
    full = len(shapes[0]) == 4
    size = n * tiles.size // tiles.examples
    form = Form.of("y", y, size, n if full else None)
    if full and form.outputs is None:
        raise KernelError(f"y has the shape {tuple(y.shape)}; with kernels (N, N, C, C) it must be (n, C)")
    return form, size


def _check_memory(tiles: Tiles, train: int, times: int, memory_limit: int | None) -> None:
    """Raises MemoryLimitError where the limit does not hold the matrices of `times` predictions.

    Args:
        tiles: a kernel (NC, NC) over all points.
        train: rows of the training points.
        times: K.
        memory_limit: as of `posterior`.
    """
    new = tiles.size - train
    limit = checked_limit(memory_limit, tiles.device)
    splits = 2 * tiles.size**2  # beside them while they are made, decomposed and used:
    reading, decomposition = 2 * tiles.size**2, 6 * train**2
    prediction = 3 * train**2 + times * new * (6 * train + 6 * new)
    needed = 8 * (splits + max(reading, decomposition, prediction))
    if needed > limit:
        raise MemoryLimitError(
            f"posterior: a memory limit of {in_words(limit)} does not hold the matrices of {train} training "
            f"and {new} new rows at {times} times; {in_words(needed)} do"
        )


@dataclass(frozen=True)
class _Split:
    """A kernel over training and new points, as matrices."""

    name: str  # for messages
    train: Tensor  # (nC, nC)
    cross: Tensor  # (n_xC, nC)
    new: Tensor  # (n_xC, n_xC)
    noise: float  # ε of the numbers behind it

    @classmethod
    def of(cls, name: str, kernel: Kernel, size: int, computed_in: torch.dtype | None) -> "_Split":
        matrix = square_matrix(kernel).triu()
        matrix = matrix + matrix.triu(1).mT  # symmetric to the last bit
        parts = matrix[:size, :size], matrix[size:, :size], matrix[size:, size:]
        return cls(name, *parts, epsilon(kernel, computed_in))

    def error(self, ridge: float) -> Tensor:
        """Bounds (n_xC,) of rounding in the kernel of the training points and one new one, of its norm.

        Its λmax is at most the largest row sum of the first, and the variance of the second.
        """
        largest = float(torch.linalg.vector_norm(self.train, ord=1, dim=1).max()) + ridge
        bounds: Tensor = self.noise * (len(self.train) + 1) * (largest + self.new.diagonal())
        return bounds

    def modes(self) -> Modes:
        """Computes the modes over the training points."""
        modes = modes_of(self.train, self.noise, None)
        refuse_indefinite(f"posterior: {self.name}", modes)
        return modes


def _gains(modes: Modes, ridge: float, times: Tensor | None) -> Tensor:
    """(1 − e^{−ρt})/ρ of each mode, (nC,) or (K, nC); 1/ρ in the limit."""
    rates = modes.eigenvalues + ridge
    learned, safe = rates > modes.threshold, torch.where(rates > 0, rates, 1.0)
    if times is None:
        return torch.where(learned, 1 / safe, 0.0)
    t = times.to(rates.device)[..., None]
    gains = torch.where(rates > 0, -torch.expm1(-t * rates) / safe, t)
    return torch.where(learned | (t * modes.threshold < 1), gains, 0.0)


@dataclass(frozen=True)
class _Rule:
    """The linear map from targets to predictions at new points."""

    weights: Tensor  # A (…, n_xC, nC)
    gains: Tensor  # (…, nC), the factor of each mode
    vectors: Tensor  # of the modes, in columns
    shift: Tensor  # (…, n_xC), how far rounding of its kernel may move a row of A, in units of the gain

    @classmethod
    def of(cls, kernel: _Split, modes: Modes, gains: Tensor, ridge: float) -> "_Rule":
        """Computes the map from the gains of the modes of a kernel."""
        weights = ((kernel.cross @ modes.vectors) * gains[..., None, :]) @ modes.vectors.T
        shift = kernel.error(ridge) * (1 + weights.norm(dim=-1))
        return cls(weights, gains, modes.vectors, shift)


def _unlearned(kernel: _Split, modes: Modes, ridge: float, targets: Tensor) -> tuple[int, float]:
    """The rank, and the norm of the targets in the other modes."""
    learned = modes.eigenvalues + ridge > modes.threshold
    unlearned = float((modes.vectors[:, ~learned].T @ targets).norm())
    log_unlearned(f"posterior: {kernel.name}", modes, int(learned.sum()), unlearned, targets)
    return int(learned.sum()), unlearned


def _gaussian(form: Form, rule: _Rule, targets: Tensor, prior: _Split, ridge: float) -> Gaussian:
    """The distribution of f₀(X) + A (y − f₀(T)); f₀ has the covariance of `prior`, and `ridge` more at T."""
    covariance, errors = _covariance(prior, rule.weights, ridge)
    rest = rule.weights @ prior.train + ridge * rule.weights - prior.cross
    errors = errors + 2 * rule.shift * rule.gains.amax(-1)[..., None] * rest.norm(dim=-1)
    mean_error = _mean_error(rule, targets)
    if form.outputs is not None and not form.repeated:
        new, outputs = covariance.shape[-1] // form.outputs, form.outputs
        covariance = covariance.reshape(*covariance.shape[:-2], new, outputs, new, outputs)
        covariance, errors = covariance.transpose(-3, -2), form.restore(errors)
    return Gaussian(form.restore(rule.weights @ targets), covariance, form.restore(mean_error), errors)


def _mean_error(rule: _Rule, targets: Tensor) -> Tensor:
    """The effect of rounding on A y, in its shape."""
    learned = rule.gains[..., None] * (rule.vectors.T @ targets.view(len(targets), -1))  # (…, nC, C)
    errors: Tensor = rule.shift[..., None] * torch.linalg.vector_norm(learned, dim=-2, keepdim=True)
    return errors.reshape(*rule.shift.shape, *targets.shape[1:])


def _covariance(prior: _Split, weights: Tensor, ridge: float) -> tuple[Tensor, Tensor]:
    """Computes K_XX + A (K_TT + ridge·I) Aᵀ − A K_TX − K_XT Aᵀ, and the errors of its variances.

    The covariance is (…, n_xC, n_xC).

    Args:
        prior: K.
        weights: A (…, n_xC, nC).
        ridge: of this process.

    Raises:
        KernelError: a variance below 0 that rounding does not explain. Others are 0 then.
    """
    both = weights @ prior.cross.mT
    covariance = prior.new + weights @ prior.train @ weights.mT - both - both.mT
    covariance = (covariance + covariance.mT) / 2 + ridge * weights @ weights.mT
    variances = covariance.diagonal(0, -2, -1)  # a view
    errors = prior.error(ridge) * (1 + weights.norm(dim=-1)).square()
    if bool((variances < -errors).any()):
        worst = int((variances + errors).reshape(-1).argmin())
        raise KernelError(
            f"posterior: a new point has the variance {float(variances.reshape(-1)[worst]):.3g}, where "
            f"rounding explains {-float(errors.reshape(-1)[worst]):.3g}: over training and new points "
            f"together the {prior.name} kernel has a negative eigenvalue; compute it of both together, as "
            "one kernel"
        )
    variances.clamp_(min=0)
    return covariance, errors
