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
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from nnlab.chapters.kernels.claims import describe
from nnlab.chapters.kernels.figures.functions import infinite_ensemble
from nnlab.chapters.kernels.members import TINY, Study
from nnlab.chapters.kernels.setup import KernelMLP, build_network
from nnlab.errors import InputError
from nnlab.lab.sections import Count, Section
from nnlab.lab.session import Session
from nnlab.models import MLP
from nnlab.ntk import infinite_ntk, max_step, posterior
from nnlab.record import Record
from nnlab.record.arrays import under
from nnlab.theory import Claim, exact_claim, measured_claim
from nnlab.training.ensemble import Ensemble, check_memory, descend, in_parts, mlp_parameters

Array = NDArray[np.float64]

PARAMETERS = 1_100_000  # of a network that is affordable 64 times: 2 hidden layers of 1,024 units
WIDEST = 8192  # of one hidden layer, whose units cost time and hardly any parameters
VANISHED = 1e-6  # of the variance at the start, below which there is nothing left to measure
NEAR = 0.1  # of the predicted mean: so far off may the width put the mean of the networks
ERRORS = 3.3  # standard errors, beyond which a mean lies once in a thousand


class Networks(Section):
    """The finite networks that are compared with the infinite ensemble."""

    networks: int = Field(64, ge=2, le=100_000)
    width: Count | None = Field(
        None, description="left out, a power of two, as wide as a million parameters allow, at most 8192"
    )


def check(data: str, study: Study) -> None:
    """Raises InputError where no infinite ensemble is known, or none that a figure can show."""
    needs, model = "infinite: true (--infinite) needs", study.model
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
    if study.loss != "squared_error":
        raise InputError(
            f"{needs} loss.name: squared_error, not {study.loss}: only then is the ensemble Gaussian"
        )
    if study.lr_fraction >= 1:
        raise InputError(
            f"{needs} training.lr_fraction below 1, not {study.lr_fraction:g}: from 1 on training diverges"
        )


# --- before training --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Band:
    """A distribution over functions: mean and standard deviation over the grid, (g,) each."""

    mean: Array
    std: Array


@dataclass(frozen=True)
class Prediction:
    """The infinite ensemble as predicted, and how finite networks are trained to see it.

    Attributes:
        networks: how many are trained.
        width: m of their hidden layers.
        lr: η, a fraction of 2/λmax(Θ).
        ensemble: of networks that were trained.
        nngp: of the process at the start, given the targets.
        start: of networks before training.
    """

    networks: int
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
        """True where training leaves no spread that could be measured."""
        left, before = (np.square(band.std).mean() for band in (self.ensemble, self.start))
        return bool(left <= VANISHED * before)

    def as_dict(self, study: Study) -> dict[str, Any]:
        """The prediction for the file of predictions."""
        assert study.task.grid is not None
        return {
            "width": self.width, "networks": self.networks, "lr": self.lr,
            "grid": study.task.grid[:, 0].tolist(),
            "mean": self.ensemble.mean.tolist(), "std": self.ensemble.std.tolist(),
            "nngp_mean": self.nngp.mean.tolist(), "nngp_std": self.nngp.std.tolist(),
            "variance_ratio": 1.0, "variance_ratio_of_nngp": None if self.vanishes else self.rival,
        }  # fmt: skip


def prepare(study: Study, networks: Networks) -> Prediction:
    """The infinite ensemble, and the NNGP posterior beside it.

    Raises:
        InputError: a network too wide to train, or kernels that are not finite.
    """
    task, model = study.task, study.model
    assert isinstance(model, KernelMLP)
    assert task.grid is not None
    width = networks.width or affordable_width(model)
    check_memory(_bytes(study, width), f"ensemble.width: {width}", "choose a smaller width")
    both = torch.cat([task.x, task.grid]).double().cpu()
    kernels = infinite_ntk(build_network(model, 1, task, 0).cpu(), both)
    y, n = task.y[:, 0].double().cpu(), task.n
    largest = max_step(torch.linalg.eigvalsh(kernels[1][:n, :n]).flip(0), study.reduction, n)
    if not math.isfinite(largest):
        raise InputError(
            "infinite: true (--infinite): at infinite width the tangent kernel is 0 at these points: nothing "
            "is learned"
        )
    lr = study.lr_fraction * largest
    bayes = posterior(kernels, y).nngp
    prior = kernels[0].diagonal()[n:].sqrt().numpy(force=True)
    return Prediction(
        networks=networks.networks,
        width=width,
        lr=lr,
        ensemble=trained(kernels, y, lr / study.divisor, study.steps),
        nngp=Band(bayes.mean.numpy(force=True), bayes.std.numpy(force=True)),
        start=Band(np.zeros(len(prior)), prior),
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
    return Band((weights @ y).numpy(force=True), variances.clamp(min=0).sqrt().numpy(force=True))


def affordable_width(model: KernelMLP) -> int:
    """The largest power of two, up to WIDEST, at which a network has at most PARAMETERS parameters."""
    width = WIDEST
    while width > 1 and mlp_parameters(width, model.depth, bias=model.bias) > PARAMETERS:
        width //= 2
    return width


def _bytes(study: Study, width: int) -> int:
    """Memory of a network's start, its end, what steps, a difference of two; and of its activations."""
    model, task = study.model, study.task
    assert isinstance(model, KernelMLP)
    assert task.grid is not None
    activations = 3 * (task.n + len(task.grid)) * width * model.depth
    return (4 * mlp_parameters(width, model.depth, bias=model.bias) + activations) * task.x.dtype.itemsize


# --- training ---------------------------------------------------------------------------------------


def run(
    prediction: Prediction, study: Study, record: Record, session: Session
) -> tuple[list[Claim], dict[str, float]]:
    """Trains the networks, draws their functions over the band, and compares; claims and metrics.

    Raises:
        Interrupted: the session was asked to stop.
    """
    functions = _train(prediction, study, session)
    predicted, rival = prediction.ensemble, prediction.nngp
    x, target, points = study.task.on_line
    arrays = {
        "x": x, "mean": predicted.mean, "std": predicted.std, "nngp_mean": rival.mean, "nngp_std": rival.std,
        "functions": functions,
    }  # fmt: skip
    record.save_arrays(**under("infinite", arrays))
    record.figure(
        "infinite",
        infinite_ensemble,
        x,
        target,
        points,
        functions,
        (predicted.mean, predicted.std),
        (rival.mean, rival.std),
        width=prediction.width,
    )
    if prediction.vanishes:
        session.reporter.say(
            f"after {study.steps} steps the infinite ensemble has no spread left that could be measured: "
            "nothing is claimed of it"
        )
        return [], {}
    claims = claims_of(prediction, functions, study)
    names = ("ensemble/variance_ratio", "ensemble/mean_ratio")
    return claims, {name: claim.measured for name, claim in zip(names, claims, strict=False)}


def _train(prediction: Prediction, study: Study, session: Session) -> Array:
    """(S, g) what every network says on the grid; not finite where it diverged."""
    task, total = study.task, prediction.networks
    assert task.grid is not None
    outputs = []
    with session.reporter.bar("networks beside the infinite ensemble") as advance:
        for part in in_parts(total, _bytes(study, prediction.width)):
            networks = [study.network(prediction.width, member) for member in part]
            start = Ensemble.from_models([network for network in networks if isinstance(network, MLP)])
            del networks

            def tell(done: int, of: int, part: range = part) -> None:
                advance(part.start * study.steps + done * len(part) * study.steps // of,
                        total * study.steps, "")  # fmt: skip

            end = descend(
                start, task.x, task.y, lr=prediction.lr, steps=study.steps, reduction=study.reduction,
                stop=session.stop, progress=tell,
            )  # fmt: skip
            outputs.append(end.ensemble.outputs(task.grid)[:, :, 0].double().cpu())
    return torch.cat(outputs).numpy(force=True)


# --- claims -----------------------------------------------------------------------------------------


def claims_of(prediction: Prediction, functions: Array, study: Study) -> list[Claim]:
    """The claims about the spread of functions (S, g), and about their mean."""
    assert study.task.grid is not None
    grid = study.task.grid
    hypotheses = [
        describe(study.model),
        f"n = {study.task.n}, x on {len(grid)} points of [{float(grid.min()):g}, {float(grid.max()):g}]",
        f"η = {study.lr_fraction:g} · 2/λmax(Θ), {study.steps} steps, squared error ({study.reduction})",
        f"m → ∞; here m = {prediction.width}, which adds spread, the more the larger the targets and the "
        "longer the training",
    ]
    return [
        measured_claim(
            "ensemble_variance_is_predicted",
            sentence="Trained networks vary as the infinite ensemble does, not as the NNGP posterior does.",
            formula="the variance over networks over that of f₀(x) + A(y − f₀), A = Θ_xX Θ⁻¹(I − (I − ηΘ)ᵏ), "
            "each averaged over the line (Lee et al. 2019, section 2.3.1)",
            hypotheses=hypotheses,
            predicted=1.0,
            values=variance_ratios(functions, prediction.ensemble),
            rivals={"NNGP posterior": prediction.rival},
            predicted_by="nnlab.chapters.kernels.infinite.trained, nnlab.ntk.infinite_ntk",
            measured_by="nnlab.training.ensemble.descend",
        ),
        *_mean_claim(prediction, functions, [*hypotheses, f"{len(functions)} networks"]),
    ]


def variance_ratios(functions: Array, predicted: Band) -> Array:
    """(S,) squared distance of each network from the mean of all, in units of the predicted variance.

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
    """The distance in units of the predicted mean, as far as the networks are enough to tell."""
    size = _rms(prediction.ensemble.mean)
    if size <= math.sqrt(VANISHED) * _rms(prediction.start.std):
        return []
    predicted = prediction.ensemble.mean

    def along(values: Array) -> Array:
        """The part of functions (…, g) along the predicted mean, in units of it."""
        with np.errstate(over="ignore", invalid="ignore"):
            return np.asarray(values @ predicted / (predicted @ predicted))

    parts = along(functions)
    error = float(parts.std(ddof=1)) / math.sqrt(len(parts)) if np.isfinite(parts).all() else 0.0
    tolerance = NEAR + ERRORS * error
    rivals = {"nothing is learned": 0.0, "twice": 2.0, "NNGP posterior": float(along(prediction.nngp.mean))}
    return [
        exact_claim(
            "ensemble_mean_is_predicted",
            sentence="The mean of the trained networks is the mean of the infinite ensemble.",
            formula=f"⟨mean over networks, A y⟩/‖A y‖² = 1 over the line, within {NEAR:g} for the width and "
            f"{ERRORS:g} standard errors",
            hypotheses=hypotheses,
            predicted=1.0,
            measured=float(parts.mean()),
            tolerance=tolerance,
            rivals={label: value for label, value in rivals.items() if abs(value - 1) > 2 * tolerance},
            seeds=len(functions),
            predicted_by="nnlab.chapters.kernels.infinite.trained, nnlab.ntk.infinite_ntk",
            measured_by="nnlab.training.ensemble.descend",
        )
    ]


def _rms(values: Array) -> float:
    return float(np.sqrt(np.square(values).mean()))
