"""What networks say of new points, with how much certainty: from their two kernels, without training one.

At the start the outputs of an infinitely wide network are independent Gaussian processes of mean 0 with the
covariance K, the "nngp" kernel; training moves them by the tangent kernel Θ, which stays what it was. With T
the n training points, X the new ones and targets y there are two ways to learn (Lee et al. 2019, "Wide neural
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
factors above as its eigenvalues, and the variance by 2 (1 + ‖a‖) ‖E‖ ‖G‖ ‖K_TT a − K_Tx‖. Both are told,
since they can be large where kernels are nearly singular, or t is near 1/threshold.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from nnlab.ntk.errors import KernelError
from nnlab.ntk.flow.modes import (
    Form,
    Modes,
    Numbers,
    modes_of,
    numbers,
    refuse_indefinite,
    rounding,
    square_matrix,
)
from nnlab.ntk.regression.solve import tell_unlearned
from nnlab.ntk.spectral.tiles import Kernel, Tiles


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


@dataclass(frozen=True)
class Posterior:
    """What is known of new points.

    Attributes:
        nngp: the Gaussian process given the targets.
        ensemble: networks after gradient flow, each from its own start.
        nngp_rank: modes of K_TT that the process learns; all with a ridge above the threshold.
        ntk_rank: modes of Θ_TT that the ensemble learns in the limit.
        nngp_unlearned: the norm of the part of the targets in the others; the process says they cannot be.
        ntk_unlearned: the norm of the part of the targets that no time teaches the ensemble.
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
    *,
    computed_in: torch.dtype | None = None,
) -> Posterior:
    """The Gaussian process given the targets, and the ensemble of trained networks, at new points.

    Args:
        kernels: (nngp, ntk), K and Θ over the training points followed by the new ones, as `infinite_ntk`
            gives them of both together: (N, N) of one output, for any number of independent ones, or
            (N, N, C, C).
        y: (n, C), or (n,) with kernels (N, N): targets of the first n points.
        t: training time of the ensemble from 0 on, in units of 1/eigenvalue of Θ, or (K,) times; None for the
            limit.
        ridge: at least 0: of the process the variance of the noise in y, of the ensemble the strength of
            ½ ridge·‖w − w₀‖².
        computed_in: type of the numbers that the kernels were computed in; by default their own.

    Raises:
        KernelError: shapes that do not fit, no new point, t or ridge below 0, kernels that are not symmetric
            or have negative eigenvalues beyond rounding, or a negative variance beyond rounding.
        NonFiniteError: NaN or infinity.
    """
    if not (math.isfinite(ridge) and ridge >= 0):
        raise KernelError(f"posterior: ridge {ridge} is not allowed: it must be at least 0 and finite")
    times = None if t is None else numbers("t", t)
    if times is not None and bool((times < 0).any()):
        raise KernelError(f"posterior: t {t}: times start at 0")
    form, size = _fitting(kernels, y)
    prior = _Split.of("nngp", kernels[0], size, computed_in)
    tangent = _Split.of("ntk", kernels[1], size, computed_in)
    targets = form.take("y", y, size, prior.train.device)
    process, flow = prior.modes(), tangent.modes()
    by_process = _Rule.of(prior, process, _gains(process, ridge, None), ridge)
    by_flow = _Rule.of(tangent, flow, _gains(flow, ridge, times), ridge)
    # Θ too is the covariance of a process; this refuses one that is none
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
    """How the targets lie, and rows of the kernels that belong to the training points; checked."""
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


@dataclass(frozen=True)
class _Split:
    """A kernel over training and new points, as matrices.

    Attributes:
        name: for messages.
        train: (nC, nC).
        cross: (n_xC, nC).
        new: (n_xC, n_xC).
        noise: ε of the numbers behind it.
    """

    name: str
    train: Tensor
    cross: Tensor
    new: Tensor
    noise: float

    @classmethod
    def of(cls, name: str, kernel: Kernel, size: int, computed_in: torch.dtype | None) -> "_Split":
        matrix = square_matrix(kernel).triu()
        matrix = matrix + matrix.triu(1).mT  # symmetric to the last bit
        noise = rounding(kernel, computed_in)
        return cls(name, matrix[:size, :size], matrix[size:, :size], matrix[size:, size:], noise)

    def error(self, ridge: float) -> Tensor:
        """(n_xC,) bounds of rounding in the kernel of the training points and one new one, of its norm.

        Its λmax is at most the largest row sum of the first, and the variance of the second.
        """
        largest = float(torch.linalg.vector_norm(self.train, ord=1, dim=1).max()) + ridge
        found: Tensor = self.noise * (len(self.train) + 1) * (largest + self.new.diagonal())
        return found

    def modes(self) -> Modes:
        """Of the training points."""
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
    """How new points follow from targets.

    Attributes:
        weights: A (…, n_xC, nC).
        gains: (…, nC), the factor of each mode.
        vectors: of the modes, in columns.
        shift: (…, n_xC), how far rounding of its kernel may move a row of A, in units of the gain.
    """

    weights: Tensor
    gains: Tensor
    vectors: Tensor
    shift: Tensor

    @classmethod
    def of(cls, kernel: _Split, modes: Modes, gains: Tensor, ridge: float) -> "_Rule":
        """With the gains of the modes of a kernel."""
        weights = ((kernel.cross @ modes.vectors) * gains[..., None, :]) @ modes.vectors.T
        shift = kernel.error(ridge) * (1 + weights.norm(dim=-1))
        return cls(weights, gains, modes.vectors, shift)


def _unlearned(kernel: _Split, modes: Modes, ridge: float, targets: Tensor) -> tuple[int, float]:
    """The rank, and how much of the targets lies in the other modes."""
    learned = modes.eigenvalues + ridge > modes.threshold
    unlearned = float((modes.vectors[:, ~learned].T @ targets).norm())
    tell_unlearned(f"posterior: {kernel.name}", modes, int(learned.sum()), unlearned, targets)
    return int(learned.sum()), unlearned


def _gaussian(form: Form, rule: _Rule, targets: Tensor, prior: _Split, ridge: float) -> Gaussian:
    """Of f₀(X) + A (y − f₀(T)), where f₀ has the covariance of `prior`, and `ridge` more at T."""
    covariance, errors = _covariance(prior, rule.weights, ridge)
    rest = rule.weights @ prior.train + ridge * rule.weights - prior.cross
    errors = errors + 2 * rule.shift * rule.gains.amax(-1)[..., None] * rest.norm(dim=-1)
    mean_error = _mean_error(rule, targets)
    if form.outputs is not None and not form.repeated:
        new, outputs = covariance.shape[-1] // form.outputs, form.outputs
        covariance = covariance.reshape(*covariance.shape[:-2], new, outputs, new, outputs)
        covariance, errors = covariance.transpose(-3, -2), form.give(errors)
    return Gaussian(form.give(rule.weights @ targets), covariance, form.give(mean_error), errors)


def _mean_error(rule: _Rule, targets: Tensor) -> Tensor:
    """In the shape of A y."""
    learned = rule.gains[..., None] * (rule.vectors.T @ targets.view(len(targets), -1))  # (…, nC, C)
    errors: Tensor = rule.shift[..., None] * torch.linalg.vector_norm(learned, dim=-2, keepdim=True)
    return errors.reshape(*rule.shift.shape, *targets.shape[1:])


def _covariance(prior: _Split, weights: Tensor, ridge: float) -> tuple[Tensor, Tensor]:
    """K_XX + A (K_TT + ridge·I) Aᵀ − A K_TX − K_XT Aᵀ, (…, n_xC, n_xC), and the errors of its variances.

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
