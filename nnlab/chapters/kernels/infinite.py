"""The ensemble of infinitely wide networks on the line: predicted, and then held against finite networks.

Networks of infinite width that start at random and train by k steps of size η on ½Σ(f − y)² are a Gaussian
process. At new points X, after training at the points T,

    f = f₀(X) + A (y − f₀(T)),    A = Θ_XT Θ_TT⁻¹ (I − (I − ηΘ_TT)ᵏ),

which has the mean A y and the covariance (−A I) K (−A I)ᵀ with the covariance K of the start (Lee et al.
2019, "Wide neural networks of any depth evolve as linear models under gradient descent", section 2.3.1, there
for the flow: (1 − ηλ)ᵏ in place of e^{−ληk}). It is not what Bayes' rule makes of the same start, the NNGP
posterior, which is the rival here.

What is measured is the variance over networks, averaged over the line, in units of the predicted one. At a
finite width it is larger than 1, since every network has a tangent kernel of its own, which moves: the more,
the larger the targets and the longer the training. With 6 points of sin πx, one hidden layer, 60 steps and
256 to 1,024 networks it was

| width | 256 | 1,024 | 4,096 |
| --- | --- | --- | --- |
| relu, a kink | 1.51 ± 0.04 | 1.24 ± 0.05 | 1.13 ± 0.03 |
| erf | 1.26 ± 0.04 | 1.10 ± 0.04 | 1.07 ± 0.03 |
| gelu | 1.07 ± 0.05 | 1.05 ± 0.05 | 0.99 ± 0.04 |

where the first row falls like 1/√m: the units whose kink lies near a point change sides. Between the training
points alone, where hardly any spread is left, it is farther from 1. The networks are therefore as wide as is
affordable, whatever widths the rest of the experiment looks at.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from nnlab.chapters.kernels.claims import describe
from nnlab.chapters.kernels.figures.infinite import infinite_ensemble
from nnlab.chapters.kernels.members import TINY, Plan
from nnlab.chapters.kernels.setup import KernelMLP, KernelModel, Task, build_network
from nnlab.errors import InputError
from nnlab.lab.drawing import numbers
from nnlab.lab.sections import Count, Section
from nnlab.lab.session import Session
from nnlab.models import MLP
from nnlab.ntk import infinite_ntk, max_step, posterior
from nnlab.record import Record
from nnlab.theory import Claim, exact_claim, measured_claim
from nnlab.training.ensemble import Ensemble, descend

Array = NDArray[np.float64]

PARAMETERS = 1_100_000  # of a network that is affordable 64 times: 2 hidden layers of 1,024 units
WIDEST = 8192  # of one hidden layer, whose units cost time and hardly any parameters
TOGETHER = 2**30  # bytes that networks may take which are built together: start, end and what steps
MOST = 2**32  # and that a single network may take
VANISHED = 1e-6  # of the variance at the start, below which there is nothing left to measure
NEAR = 0.1  # of the size of the predicted mean: so near has the mean of the networks to come


class Networks(Section):
    """The finite networks that are held against the infinite ensemble."""

    networks: int = Field(64, ge=2, le=100_000)
    width: Count | None = Field(
        None, description="left out, a power of two, as wide as a million parameters allow, at most 8192"
    )


def check(data: str, model: KernelModel, loss: Literal["squared_error", "cross_entropy"], plan: Plan) -> None:
    """Raises InputError where no infinite ensemble is known, or none that a figure can show."""
    needs = "infinite: true (--infinite) needs"
    if data != "line":
        raise InputError(f"{needs} data.name: line, where functions can be drawn, not {data}")
    if not isinstance(model, KernelMLP):
        raise InputError(f"{needs} model.name: mlp, not {model.name}")
    if model.parameterization != "ntk":
        raise InputError(
            f"{needs} model.parameterization: ntk, not {model.parameterization}, which has no limit kernel"
        )
    if model.activation == "maxout":
        raise InputError(f"{needs} an activation whose limit is known, and that of maxout is not")
    if loss != "squared_error":
        raise InputError(f"{needs} loss.name: squared_error, not {loss}: only then the ensemble is Gaussian")
    if plan.lr_fraction >= 1:
        raise InputError(f"{needs} training.lr_fraction below 1, not {plan.lr_fraction:g}: above it diverges")


# --- before training --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Band:
    """A distribution over functions: mean and standard deviation over the grid, (g,) each."""

    mean: Array
    std: Array


@dataclass(frozen=True)
class Prediction:
    """What the infinite ensemble will be, and how finite networks are trained to see it.

    Attributes:
        seeds: of the networks.
        width: m of their hidden layers.
        lr: η, a fraction of 2/λmax(Θ).
        ensemble: of networks that were trained.
        nngp: of the process at the start, given the targets.
        start: of networks before training.
    """

    seeds: Sequence[int]
    width: int
    lr: float
    ensemble: Band
    nngp: Band
    start: Band

    @property
    def rival(self) -> float:
        """The variance of the NNGP posterior in units of the predicted one, each averaged over the line."""
        return float(np.square(self.nngp.std).mean() / np.square(self.ensemble.std).mean())

    @property
    def vanishes(self) -> bool:
        """Whether training leaves no spread that could be measured."""
        left, before = (np.square(band.std).mean() for band in (self.ensemble, self.start))
        return bool(left <= VANISHED * before)

    def as_dict(self, task: Task) -> dict[str, Any]:
        """For the file of predictions."""
        assert task.grid is not None
        return {
            "width": self.width, "seeds": list(self.seeds), "lr": self.lr, "grid": task.grid[:, 0].tolist(),
            "mean": self.ensemble.mean.tolist(), "std": self.ensemble.std.tolist(),
            "nngp_mean": self.nngp.mean.tolist(), "nngp_std": self.nngp.std.tolist(),
            "variance_ratio": 1.0, "variance_ratio_of_nngp": None if self.vanishes else self.rival,
        }  # fmt: skip


def prepare(model: KernelModel, networks: Networks, seed: int, task: Task, plan: Plan) -> Prediction:
    """The infinite ensemble, and the NNGP posterior beside it.

    Raises:
        InputError: a network too wide to train, or kernels that are not finite.
    """
    assert isinstance(model, KernelMLP)
    assert task.grid is not None
    width = _width(model, networks.width, task)
    both = torch.cat([task.x, task.grid]).double().cpu()
    kernels = infinite_ntk(build_network(model, 1, task, seed).cpu(), both)
    y, n = task.y[:, 0].double().cpu(), task.n
    largest = max_step(torch.linalg.eigvalsh(kernels[1][:n, :n]).flip(0), plan.reduction, n)
    if not math.isfinite(largest):
        raise InputError(
            "infinite: true (--infinite): at infinite width the tangent kernel is 0 at these points: nothing "
            "is learned"
        )
    lr = plan.lr_fraction * largest
    bayes = posterior(kernels, y).nngp
    prior = Band(np.zeros(len(task.grid)), numbers(kernels[0].diagonal()[n:].sqrt()))
    return Prediction(
        seeds=range(seed, seed + networks.networks),
        width=width,
        lr=lr,
        ensemble=trained(kernels, y, lr / plan.divisor(task), plan.steps),
        nngp=Band(numbers(bayes.mean), numbers(bayes.std)),
        start=prior,
    )


def trained(kernels: tuple[Tensor, Tensor], y: Tensor, lr: float, steps: int) -> Band:
    """The infinite ensemble after gradient descent on ½Σ(f − y)², at the points that follow those of y.

    Args:
        kernels: (K, Θ) over training points and new ones, (N, N) each.
        y: (n,) targets of the first n points.
        lr: η < 2/λmax(Θ).
        steps: k.
    """
    nngp, ntk = kernels
    n = len(y)
    eigenvalues, vectors = torch.linalg.eigh(ntk[:n, :n])
    progress = lr * eigenvalues.clamp(min=0)  # ηλ of each mode, below 0 by rounding alone
    small = progress.clamp(max=0.5)  # where 1 − (1 − ηλ)ᵏ would lose digits
    learned = torch.where(
        progress > 0.5, 1 - (1 - progress) ** steps, -torch.expm1(steps * torch.log1p(-small))
    )
    gains = torch.where(progress > 0, lr * learned / progress.clamp(min=TINY), lr * steps)
    weights = (ntk[n:, :n] @ vectors * gains) @ vectors.T  # A
    rows = torch.cat([-weights, torch.eye(len(weights), dtype=weights.dtype)], 1)
    variances = ((rows @ nngp) * rows).sum(1)
    return Band(numbers(weights @ y), numbers(variances.clamp(min=0).sqrt()))


def _width(model: KernelMLP, asked: int | None, task: Task) -> int:
    if asked is None:
        width = WIDEST
        while width > 1 and _parameters(model, width) > PARAMETERS:
            width //= 2
        return width
    needed = _bytes(model, asked, task)
    if needed > MOST:
        raise InputError(
            f"ensemble.width: {asked}: start, end and a step of one such network take {needed / 1e9:.3g} GB, "
            f"and at most {MOST / 1e9:.3g} GB are allowed; choose a smaller width"
        )
    return asked


def _parameters(model: KernelMLP, width: int) -> int:
    hidden = (1 + model.bias) + (model.depth - 1) * (width + model.bias)  # that enter a unit
    return hidden * width + width + model.bias


def _bytes(model: KernelMLP, width: int, task: Task) -> int:
    assert task.grid is not None
    activations = 3 * (task.n + len(task.grid)) * width * model.depth
    return (4 * _parameters(model, width) + activations) * task.x.dtype.itemsize


# --- training ---------------------------------------------------------------------------------------


def run(
    prediction: Prediction, model: KernelModel, task: Task, plan: Plan, record: Record, session: Session
) -> tuple[list[Claim], dict[str, float]]:
    """Trains the networks, draws their functions over the band, and compares; claims and metrics.

    Raises:
        Interrupted: the session was asked to stop.
    """
    assert isinstance(model, KernelMLP)
    assert task.grid is not None
    assert task.truth is not None
    functions = _train(prediction, model, task, plan, session)
    predicted, rival = prediction.ensemble, prediction.nngp
    x, truth, points, values = (numbers(v.double().cpu()[:, 0]) for v in (
        task.grid, task.truth, task.x, task.y,
    ))  # fmt: skip
    record.save_arrays(**{
        "infinite/x": x, "infinite/mean": predicted.mean, "infinite/std": predicted.std,
        "infinite/nngp_mean": rival.mean, "infinite/nngp_std": rival.std, "infinite/functions": functions,
    })  # fmt: skip
    figure = infinite_ensemble(
        x, truth, points, values, functions, (predicted.mean, predicted.std), (rival.mean, rival.std),
        width=prediction.width,
    )  # fmt: skip
    record.save_figure(figure, "infinite")
    if prediction.vanishes:
        session.reporter.say(
            f"after {plan.steps} steps the infinite ensemble has no spread left that could be measured: "
            "nothing is claimed of it"
        )
        return [], {}
    claims = claims_of(prediction, functions, model, task, plan)
    metrics = {"ensemble/variance_ratio": claims[0].measured}
    return claims, metrics | ({"ensemble/mean_distance": claims[1].measured} if len(claims) > 1 else {})


def _train(prediction: Prediction, model: KernelMLP, task: Task, plan: Plan, session: Session) -> Array:
    """(S, g) what every network says on the grid; not finite where it diverged."""
    assert task.grid is not None
    size = max(1, TOGETHER // _bytes(model, prediction.width, task))
    found, total = [], len(prediction.seeds)
    with session.reporter.bar("networks beside the infinite ensemble") as advance:
        for first in range(0, total, size):
            seeds = prediction.seeds[first : first + size]
            networks = [build_network(model, prediction.width, task, seed) for seed in seeds]
            start = Ensemble.from_models([network for network in networks if isinstance(network, MLP)])
            del networks

            def tell(done: int, of: int, first: int = first, count: int = len(seeds)) -> None:
                advance(first * plan.steps + done * count * plan.steps // of, total * plan.steps, "")

            end = descend(
                start, task.x, task.y, lr=prediction.lr, steps=plan.steps, reduction=plan.reduction,
                stop=session.stop, progress=tell,
            )  # fmt: skip
            found.append(end.ensemble.outputs(task.grid)[:, :, 0].double().cpu())
    return numbers(torch.cat(found))


# --- claims -----------------------------------------------------------------------------------------


def claims_of(
    prediction: Prediction, functions: Array, model: KernelModel, task: Task, plan: Plan
) -> list[Claim]:
    """Of functions (S, g): their spread, and their mean."""
    assert task.grid is not None
    low, high = float(task.grid.min()), float(task.grid.max())
    hypotheses = [
        describe(model), f"n = {task.n}, x on {task.grid.shape[0]} points of [{low:g}, {high:g}]",
        f"η = {plan.lr_fraction:g} · 2/λmax(Θ), {plan.steps} steps, squared error ({plan.reduction})",
        f"m → ∞; here m = {prediction.width}, which adds spread, the more the larger the targets and the "
        "longer the training",
    ]  # fmt: skip
    return [
        _variance_claim(prediction, functions, hypotheses),
        *_mean_claim(prediction, functions, [*hypotheses, f"{len(functions)} networks"]),
    ]


def _variance_claim(prediction: Prediction, functions: Array, hypotheses: list[str]) -> Claim:
    return measured_claim(
        "ensemble_variance_is_predicted",
        sentence="Trained networks scatter as the infinite ensemble does, not as the NNGP posterior does.",
        formula="the variance over networks over that of f₀(x) + A(y − f₀), A = Θ_xX Θ⁻¹(I − (I − ηΘ)ᵏ), "
        "each averaged over the line (Lee et al. 2019, section 2.3.1)",
        hypotheses=hypotheses,
        predicted=1.0,
        values=variance_ratios(functions, prediction.ensemble),
        rivals={"NNGP posterior": prediction.rival},
    )


def variance_ratios(functions: Array, predicted: Band) -> Array:
    """(S,) of each network the squared distance from the mean of all in units of the predicted variance.

    Both are averaged over the line. The mean over the networks is the ratio of the sample variance to the
    predicted one. Networks are independent, and so are these numbers but for the common mean, whose part the
    factor S/(S − 1) makes up for: their own spread gives the error, whatever the correlation between points.
    """
    count = len(functions)
    with np.errstate(over="ignore", invalid="ignore"):  # of a network that diverged
        squares = np.square(functions - functions.mean(0)).mean(1)
        ratios: Array = squares / np.square(predicted.std).mean() * count / (count - 1)
    return ratios


def _mean_claim(prediction: Prediction, functions: Array, hypotheses: list[str]) -> list[Claim]:
    """In units of the predicted mean, as far as the networks are enough to tell."""
    size = _rms(prediction.ensemble.mean)
    if size <= math.sqrt(VANISHED) * _rms(prediction.start.std):
        return []
    with np.errstate(over="ignore", invalid="ignore"):
        distance = _rms(functions.mean(0) - prediction.ensemble.mean) / size
    return [
        exact_claim(
            "ensemble_mean_is_predicted",
            sentence="The mean of trained networks is the function that the infinite ensemble has as mean.",
            formula=f"‖mean over networks − A y‖/‖A y‖ over the line ≤ {NEAR:g}, to within a standard error",
            hypotheses=hypotheses,
            predicted=(None, NEAR),
            measured=distance,
            tolerance=_rms(prediction.ensemble.std) / math.sqrt(len(functions)) / size,
            seeds=len(functions),
        )
    ]


def _rms(values: Array) -> float:
    return float(np.sqrt(np.square(values).mean()))
