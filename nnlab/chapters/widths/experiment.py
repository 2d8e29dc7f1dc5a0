"""How far the weights of a network move in training, by its width."""

from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, NonNegativeFloat, PositiveFloat
from scipy.sparse.linalg import svds
from torch import Tensor

from nnlab.chapters.widths.figures import training_over_widths
from nnlab.chapters.widths.width_laws import (
    Family,
    Law,
    Setting,
    climbing_claim,
    crossing,
    crossing_claim,
    lambda_law,
    law_claim,
    laws,
)
from nnlab.data import target_function
from nnlab.errors import InputError, Interrupted
from nnlab.lab.build import build_model
from nnlab.lab.outcome import Outcome
from nnlab.lab.sections import (
    ActivationName,
    Count,
    Distinct,
    Experiment,
    Hardware,
    MLPModel,
    Section,
    StepSize,
)
from nnlab.lab.session import Advance, Session, dtype_of, generator, select_device
from nnlab.models import MLP
from nnlab.plot.exponents import width_scaling
from nnlab.record import Record
from nnlab.theory import Claim, ExponentFit, fit_exponent
from nnlab.training import Checkpoints
from nnlab.training.descent import spaced_steps
from nnlab.training.ensemble import Ensemble, descend, weight_change

Array = NDArray[Any]
Arrays = dict[str, Array]
Starts = dict[tuple[Family, int], Arrays]

LEAST_WIDTH = 64  # narrower networks do not follow the power laws yet
CLIMBED = 1.001  # the highest loss over the first, from which the loss counts as having climbed
CURVE_POINTS = 30  # recorded steps, evenly spaced on a logarithmic axis
TOGETHER = 2**30  # bytes that one ensemble may take: its start, its end, and what steps
MOST = 2**32  # and that a single network may take


# --- config -----------------------------------------------------------------------------------------


class Points(Section):
    """Equally spaced points on [−1, 1], standardized, and a function without noise at them."""

    function: Literal["sine", "step", "abs", "cubic"] = "sine"
    points: int = Field(10, ge=2, le=1000)


class Network(Section):
    """What the networks of all widths have in common. Biases are drawn with σ_b in both parameterizations."""

    activation: ActivationName = "relu"
    pieces: int = Field(2, ge=2, le=1000, description="linear pieces of a maxout unit")
    bias: bool = True
    sigma_w: PositiveFloat | None = None
    sigma_b: NonNegativeFloat = 1.0


class StepSizes(Section):
    """η of the protocol `constant`: one for all widths, in the units of each parameterization."""

    ntk: StepSize = 0.015
    standard: StepSize = 0.00075


class Descent(Hardware):
    """Full-batch gradient descent on ½Σ(y − ȳ)². `fraction` is η λmax(H₀) of the protocol `stable`."""

    steps: int = Field(200, ge=1, le=10**7)
    loss_fraction: float = Field(0.0, ge=0, lt=1, description="of the first loss, where a network stops")
    lr: StepSizes = StepSizes()
    fraction: float = Field(1.0, gt=0, le=100)
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["float32", "float64"] = "float64"


class Config(Experiment):
    """Trains networks of every width from many seeds; fits how the relative weight change falls with it."""

    experiment: Literal["weight_change"]
    widths: Annotated[list[Count], Distinct] = Field([64, 128, 256, 512, 1024], min_length=1)
    seeds: int = Field(16, ge=1, le=10_000)
    depths: Annotated[list[Annotated[int, Field(ge=1, le=20)]], Distinct] = Field([1, 2], min_length=1)
    parameterizations: Annotated[list[Literal["ntk", "standard"]], Distinct] = Field(
        ["ntk", "standard"], min_length=1
    )
    protocols: Annotated[list[Literal["constant", "stable"]], Distinct] = Field(
        ["constant", "stable"], min_length=1
    )
    data: Points = Points()
    model: Network = Network()
    training: Descent = Descent()

    def run(self, record: Record, session: Session) -> Outcome:
        return run(self, record, session)


def run(config: Config, record: Record, session: Session) -> Outcome:
    """Predicts from the kernels at the start which networks are stable and how they scale; then trains."""
    study = Study(config)
    starts = study.starts(session)
    record.start()
    record.predict(predictions(study, starts))
    trained = study.train(starts, record, session)
    fits = {setting: fits_of(study, setting, by_width) for setting, by_width in trained.items()}
    lambdas = {family: lambda_fit(study, family, starts) for family in study.families()}
    _save(record, study, trained)
    _draw(record, study, trained, fits, lambdas)
    metrics = {
        f"{setting.key}/{quantity}": fit.slope
        for setting, found in fits.items()
        for quantity, (_, _, fit) in found.items()
    }
    rows = [
        _row(setting, m, a)
        for setting in trained
        for m, a in zip(study.widths, trained[setting], strict=True)
    ]
    return Outcome(metrics, rows, claims_of(study, trained, fits, lambdas))


# --- the networks, before and after -----------------------------------------------------------------


class Study:
    """The data, on the device, and the networks of a config.

    Raises:
        InputError: a device that is absent, or a network that is too large.
    """

    def __init__(self, config: Config) -> None:
        self.config, self.widths = config, sorted(config.widths)
        device = select_device(config.training)
        self.device = torch.device("cpu") if device.type == "mps" else device  # which has no float64
        self.dtype = dtype_of(config.training)
        x = torch.linspace(-1, 1, config.data.points, dtype=torch.float64)[:, None]
        self.y = target_function(config.data.function)(x).to(self.device, self.dtype)
        self.x = (x / x.std(correction=0)).to(self.device, self.dtype)  # their mean is 0
        self._check_memory()

    def _check_memory(self) -> None:
        width, depth = self.widths[-1], max(self.config.depths)
        needed = self._bytes(width, depth)
        if needed > MOST:
            raise InputError(
                f"widths: {width} with depths: {depth}: start, end and a step of one such network take "
                f"{needed / 1e9:.3g} GB, and at most {MOST / 1e9:.3g} GB are allowed; "
                "choose smaller widths, or one hidden layer"
            )

    def _parameters(self, width: int, depth: int) -> int:
        model = self.config.model
        pieces = model.pieces if model.activation == "maxout" else 1
        hidden = (1 + model.bias) + (depth - 1) * (width + model.bias)  # weights that enter a piece
        return hidden * width * pieces + width + model.bias

    def _bytes(self, width: int, depth: int) -> int:
        """Of a network's start, its end, what steps, a difference of two; and of its activations."""
        activations = 8 * self.config.data.points * width * depth
        return (4 * self._parameters(width, depth) + activations) * self.dtype.itemsize

    def families(self) -> list[Family]:
        return [Family(d, p) for d in self.config.depths for p in self.config.parameterizations]

    def settings(self) -> list[Setting]:
        return [Setting(family, protocol) for protocol in self.config.protocols for family in self.families()]

    def ensembles(self, family: Family, width: int) -> Iterator[Ensemble]:
        """All seeds of a width, as many at a time as the memory is meant to hold."""
        size = max(1, TOGETHER // self._bytes(width, family.depth))
        for first in range(0, self.config.seeds, size):
            seeds = range(first, min(first + size, self.config.seeds))
            yield Ensemble.from_models([self._network(family, width, seed) for seed in seeds])

    def _network(self, family: Family, width: int, member: int) -> MLP:
        section = MLPModel(
            name="mlp",
            hidden=[width] * family.depth,
            parameterization=family.parameterization,
            **self.config.model.model_dump(),
        )
        # The two parameterizations of a width and seed get the same numbers, and are one function.
        draws = generator(self.config.seed + member, f"{family.depth} layers of {width}")
        network = build_model(section, input_shape=(1,), outputs=1, generator=draws)
        assert isinstance(network, MLP)
        return network.to(self.device, self.dtype)

    def kernel(self, ensemble: Ensemble) -> Tensor:
        """H in float64, on the CPU, (S, n, n)."""
        return ensemble.to(torch.float64).tangent_kernel(self.x.double()).cpu()

    def starts(self, session: Session) -> Starts:
        """Eigenvalues of the kernel and norms of the layers of every network before it is trained.

        Raises:
            InputError: a kernel from which no step size follows.
        """
        found: Starts = {}
        places = [(family, width) for family in self.families() for width in self.widths]
        with session.reporter.bar("kernels at the start") as advance:
            for done, (family, width) in enumerate(places):
                advance(done, len(places), f"{family}, m = {width}")
                if session.stop():
                    raise Interrupted("stopped before the training began")
                parts = [self._start(ensemble, width) for ensemble in self.ensembles(family, width)]
                found[family, width] = _joined(parts)
                self._check_kernel(family, width, found[family, width]["eigenvalues"])
        return found

    def _start(self, ensemble: Ensemble, width: int) -> Arrays:
        kernel = self.kernel(ensemble)
        if not kernel.isfinite().all():
            raise InputError(
                f"widths: {width}: the numbers of the tangent kernel are too large for float64; choose a "
                "smaller model.sigma_w or model.sigma_b"
            )
        return {
            "eigenvalues": torch.linalg.eigvalsh(kernel).numpy(),
            "operator": layer_norms(ensemble, None).numpy(),
        }

    def _check_kernel(self, family: Family, width: int, eigenvalues: Array) -> None:
        """A network of which every unit is off at every point has the kernel 0."""
        dead = np.flatnonzero(eigenvalues[:, -1] <= 1e-300)
        if len(dead) and "stable" in self.config.protocols:
            raise InputError(
                f"widths: {width}: with {family}, the network of seed {self.config.seed + int(dead[0])} "
                "does not react to its weights at any of the points (its tangent kernel is 0), so that no "
                "step size follows from it; choose larger widths, model.bias: true, or protocols: [constant]"
            )

    # --- training ---

    def train(self, starts: Starts, record: Record, session: Session) -> dict[Setting, list[Arrays]]:
        """Every setting, and in it every width from the narrowest on."""
        places = [(setting, width) for setting in self.settings() for width in self.widths]
        work = [self._parameters(width, setting.family.depth) for setting, width in places]
        trained: dict[Setting, list[Arrays]] = {setting: [] for setting in self.settings()}
        with session.reporter.bar("training") as advance:
            for index, (setting, width) in enumerate(places):
                before, mine = sum(work[:index]) / sum(work), work[index] / sum(work)
                text = f"{setting}, m = {width}"
                progress = _shares(advance, before, mine, text)
                part = f"{setting.key}-m{width}"
                checkpoints = Checkpoints(record.folder / "checkpoints" / part, record.metrics)
                arrays = _restored(checkpoints)
                if arrays is None:
                    arrays = self._train(setting, width, starts[setting.family, width], session, progress)
                    _log(record, part, curve_steps(self.config.training.steps), arrays)
                    # Weights are not kept: 16 seeds of every width would fill a disk.
                    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
                    checkpoints.save({"model": {}, "measured": tensors}, {}, 0)
                trained[setting].append(arrays)
        return trained

    def _train(
        self, setting: Setting, width: int, start: Arrays, session: Session, progress: Callable[[float], None]
    ) -> Arrays:
        lrs, done, parts = self.step_sizes(setting, start), 0, []
        for ensemble in self.ensembles(setting.family, width):
            members = slice(done, done + len(ensemble))
            share = len(ensemble) / self.config.seeds
            mine = {name: array[members] for name, array in start.items()}
            tell = _steps(progress, done / self.config.seeds, share)
            parts.append(self._descend(ensemble, mine, lrs[members], session, tell))
            done += len(ensemble)
        return _joined(parts)

    def step_sizes(self, setting: Setting, start: Arrays) -> Array:
        """η of every seed, (S,)."""
        if setting.protocol == "constant":
            return np.full(
                self.config.seeds, getattr(self.config.training.lr, setting.family.parameterization)
            )
        return np.asarray(self.config.training.fraction / start["eigenvalues"][:, -1])

    def _descend(
        self,
        ensemble: Ensemble,
        start: Arrays,
        lrs: Array,
        session: Session,
        tell: Callable[[int, int], None],
    ) -> Arrays:
        training = self.config.training
        found = descend(
            ensemble, self.x, self.y, lr=torch.from_numpy(lrs), steps=training.steps,
            loss_fraction=training.loss_fraction, record=curve_steps(training.steps),
            observe=weight_change, stop=session.stop, progress=tell,
        )  # fmt: skip
        before, after = self.kernel(ensemble), self.kernel(found.ensemble)
        drift = torch.linalg.matrix_norm(after - before) / torch.linalg.matrix_norm(before)
        operator = layer_norms(found.ensemble, ensemble) / torch.from_numpy(start["operator"])
        change, layers = found.observed["change"], found.observed["layer_change"]
        measured = {
            "steps": found.steps,
            "start_loss": found.start_loss,
            "final_loss": found.final_loss,
            "highest_loss": found.highest_loss,
            "diverged": found.diverged,
            "loss": found.loss,
            "change_curve": change,
            "change": change[:, -1],
            "layer_change": layers[:, -1],
            "layer_operator_change": operator,
            "kernel_drift": drift,
        }
        eigenvalues = start["eigenvalues"]
        known = {"lr": lrs, "eigenvalues": eigenvalues, "eta_lambda_max": lrs * eigenvalues[:, -1]}
        return known | {name: tensor.numpy() for name, tensor in measured.items()}

    def curves(self, arrays: Arrays) -> tuple[list[int], Array, Array]:
        """Recorded steps (K,), loss and weight change (S, K), up to where the last network stopped."""
        steps = curve_steps(self.config.training.steps)
        count = 1 + int(np.searchsorted(steps, arrays["steps"].max()))
        return steps[:count], arrays["loss"][:, :count], arrays["change_curve"][:, :count]


def _joined(parts: list[Arrays]) -> Arrays:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _shares(advance: Advance, before: float, mine: float, text: str) -> Callable[[float], None]:
    """Progress of one width, as a share, on the bar of all."""
    return lambda share: advance(int(1000 * (before + mine * share)), 1000, text)


def _steps(progress: Callable[[float], None], before: float, mine: float) -> Callable[[int, int], None]:
    """Progress of some seeds, as steps, on the progress of their width."""
    return lambda steps, total: progress(before + mine * steps / total)


def curve_steps(steps: int) -> list[int]:
    """The recorded steps: the start, and up to CURVE_POINTS more, evenly spaced in their logarithm."""
    return spaced_steps(steps, CURVE_POINTS)


def layer_norms(now: Ensemble, start: Ensemble | None) -> Tensor:
    """Operator norm of every layer's weight matrix, or of its difference from the start, (S, L)."""
    columns = []
    for index, layer in enumerate(now.layers):
        weight = layer.weight if start is None else layer.weight - start.layers[index].weight
        columns.append([operator_norm(matrix) for matrix in weight.double().cpu()])
    return torch.tensor(columns, dtype=torch.float64).T


def operator_norm(matrix: Tensor) -> float:
    """The largest singular value of a float64 matrix; NaN for one that is not finite.

    Up to 256 rows or columns by a full decomposition, above by Lanczos' method to the last digit (ARPACK),
    which took a seventh of the time for a random matrix of 1,024 rows.
    """
    largest = float(matrix.abs().max())
    if not np.isfinite(largest) or largest == 0:
        return 0.0 if largest == 0 else float("nan")
    scaled = matrix / largest  # squares of numbers near 1e200 would overflow
    if min(matrix.shape) <= 256:
        return largest * float(torch.linalg.matrix_norm(scaled, 2))
    first = np.random.default_rng(0).standard_normal(min(matrix.shape))
    return largest * float(svds(scaled.numpy(), k=1, tol=0, v0=first, return_singular_vectors=False)[0])


def _restored(checkpoints: Checkpoints) -> Arrays | None:
    """What was measured before a run was cut off, of a width that had ended."""
    loaded = checkpoints.load()
    if loaded is None:
        return None
    return {name: tensor.numpy() for name, tensor in loaded[0]["measured"].items()}


def _log(record: Record, part: str, steps: list[int], arrays: Arrays) -> None:
    """Means over the seeds at every recorded step; null where a seed has diverged."""
    with np.errstate(over="ignore", invalid="ignore"):
        loss, change = (arrays[name].mean(0).tolist() for name in ("loss", "change_curve"))
    for row in zip(steps, loss, change, strict=True):
        record.log(
            {"part": part, "split": "train", **dict(zip(("step", "loss", "change"), row, strict=True))}
        )


# --- predictions and claims -------------------------------------------------------------------------

Fits = dict[str, tuple[list[int], Array, ExponentFit]]
"""By quantity: the widths (K,) that were fitted, the values (K, S), and the fit."""


def predictions(study: Study, starts: Starts) -> dict[str, object]:
    """What the theory says as soon as the kernels at the start are known."""
    found: dict[str, object] = {"stopping_rule": stopping_rule(study.config)}
    for setting in study.settings():
        by_width = [starts[setting.family, width] for width in study.widths]
        lrs = [study.step_sizes(setting, start) for start in by_width]
        products = [lr * start["eigenvalues"][:, -1] for lr, start in zip(lrs, by_width, strict=True)]
        medians = np.array([np.median(product) for product in products])
        found[setting.key] = {
            "step_size": dict(zip(study.widths, [lr.mean() for lr in lrs], strict=True)),
            "eta_lambda_max": dict(zip(study.widths, medians, strict=True)),
            "share_that_climbs": dict(zip(study.widths, [(p > 2).mean() for p in products], strict=True)),
            "first_width_where_most_climb": crossing(study.widths, medians > 2),
            "exponents": {law.quantity: law.predicted for law in laws_of(study.config, setting)},
        }
    found["lambda_max_exponents"] = {family.key: lambda_law(family).predicted for family in study.families()}
    return found


def laws_of(config: Config, setting: Setting) -> list[Law]:
    """The laws that hold in a setting.

    In the standard parameterization ηλmax(H) grows with the width under one step size for all widths, so that
    networks of different widths are at different points of their way: there are none.
    """
    if setting.protocol == "constant" and setting.family.parameterization == "standard":
        return []
    return laws(setting.family, config.model.activation)


def fits_of(study: Study, setting: Setting, by_width: list[Arrays]) -> Fits:
    """The exponents over the stable widths from LEAST_WIDTH on, where there are two of them."""
    stable = [
        (width, arrays)
        for width, arrays in zip(study.widths, by_width, strict=True)
        if width >= LEAST_WIDTH and (arrays["eta_lambda_max"] < 2).all() and not arrays["diverged"].any()
    ]
    found: Fits = {}
    for law in laws_of(study.config, setting):
        values = {width: quantity(law.quantity, arrays) for width, arrays in stable}
        found |= _fitted(law.quantity, {m: v for m, v in values.items() if (v > 0).all()})
    return found


def lambda_fit(study: Study, family: Family, starts: Starts) -> Fits:
    """The exponent of λmax(H₀) over all widths from LEAST_WIDTH on."""
    values = {m: starts[family, m]["eigenvalues"][:, -1] for m in study.widths if m >= LEAST_WIDTH}
    return _fitted("lambda_max", {m: v for m, v in values.items() if (v > 0).all()})


def _fitted(name: str, values: dict[int, Array]) -> Fits:
    if len(values) < 2:
        return {}
    table = np.array([*values.values()])
    return {name: ([*values], table, fit_exponent([*values], table))}


def quantity(name: str, arrays: Arrays) -> Array:
    """A law's quantity for every seed, (S,)."""
    if name == "whole":
        return arrays["change"]
    if name == "first_layer":
        return np.asarray(arrays["layer_change"][:, 0])
    if name == "second_layer":
        return np.asarray(arrays["layer_operator_change"][:, 1])
    return arrays[name]


def claims_of(
    study: Study, trained: dict[Setting, list[Arrays]], fits: dict[Setting, Fits], lambdas: dict[Family, Fits]
) -> list[Claim]:
    """Every law of every setting; of a second protocol that shares them, the whole vector only."""
    claims = []
    for setting, found in fits.items():
        again = setting.protocol == "constant" and Setting(setting.family, "stable") in fits
        for law in laws_of(study.config, setting):
            if law.quantity in found and (law.quantity == "whole" or not again):
                widths, _, fit = found[law.quantity]
                hypotheses = [*_hypotheses(study, setting), _over(widths)]
                claims.append(law_claim(setting.key, str(setting), law, fit, hypotheses))
    for family, found in lambdas.items():
        for widths, _, fit in found.values():
            hypotheses = [*_networks(study, family), "at the start", _over(widths)]
            claims.append(law_claim(family.key, str(family), lambda_law(family), fit, hypotheses))
    for setting, by_width in trained.items():
        claims += _stability_claims(study, setting, by_width)
    return claims


def _stability_claims(study: Study, setting: Setting, by_width: list[Arrays]) -> list[Claim]:
    if setting.protocol != "constant":
        return []
    products = np.array([arrays["eta_lambda_max"] for arrays in by_width])
    climbed = np.array([climbs(arrays) for arrays in by_width])
    hypotheses = [*_hypotheses(study, setting), f"widths {_listed(study.widths)}"]
    crossed = crossing_claim(setting, study.widths, products, climbed, hypotheses)
    return [climbing_claim(setting, products, climbed, hypotheses), *([crossed] if crossed else [])]


def climbs(arrays: Arrays) -> Array:
    """(S,) whether the loss was ever above its start."""
    return np.asarray((arrays["highest_loss"] > CLIMBED * arrays["start_loss"]) | arrays["diverged"])


def _networks(study: Study, family: Family) -> list[str]:
    config = study.config
    model, data = config.model, config.data
    bias = f"biases with σ_b = {model.sigma_b:g}" if model.bias else "no biases"
    width = "of width m" if family.depth == 1 else "of width m each"
    return [
        f"{family} {width}, {model.activation}, {bias}",
        f"{data.points} points on the line, {data.function}; {config.training.precision}",
    ]


def _hypotheses(study: Study, setting: Setting) -> list[str]:
    training = study.config.training
    if setting.protocol == "stable":
        step = f"protocol stable: η = {training.fraction:g}/λmax(H₀) of each network"
    else:
        lr = getattr(training.lr, setting.family.parameterization)
        step = f"protocol constant: η = {lr:g} at every width"
    return [
        *_networks(study, setting.family),
        f"full-batch gradient descent on ½Σ(y − ȳ)²; {step}",
        stopping_rule(study.config),
    ]


def stopping_rule(config: Config) -> str:
    training = config.training
    if training.loss_fraction == 0:
        return f"stopping rule: {training.steps} steps"
    return (
        f"stopping rule: the loss is at most {training.loss_fraction:g} of its first, "
        f"or {training.steps} steps"
    )


def _over(widths: list[int]) -> str:
    return f"fitted over the widths {_listed(widths)}"


def _listed(widths: list[int]) -> str:
    return ", ".join(map(str, widths))


# --- what is written and drawn ----------------------------------------------------------------------


def _row(setting: Setting, width: int, arrays: Arrays) -> dict[str, Any]:
    """How many climbed and diverged, and means over the seeds that did not."""
    kept = ~arrays["diverged"]

    def mean(values: Array) -> float | None:
        with np.errstate(over="ignore"):  # a network on its way to infinity
            return float(values[kept].mean()) if kept.any() else None

    row: dict[str, Any] = {
        "setting": setting.key,
        "width": width,
        "lambda_max": float(arrays["eigenvalues"][:, -1].mean()),
        "lambda_min": float(arrays["eigenvalues"][:, 0].mean()),
        "eta_lambda_max": float(arrays["eta_lambda_max"].mean()),
        "final_loss": mean(arrays["final_loss"]),
        "whole": mean(arrays["change"]),
        "first_layer": mean(quantity("first_layer", arrays)),
        "second_layer": None,
        "kernel_drift": mean(arrays["kernel_drift"]),
        "climbed": int(climbs(arrays).sum()),
        "diverged": int(arrays["diverged"].sum()),
    }
    if setting.family.depth > 1:
        row["second_layer"] = mean(quantity("second_layer", arrays))
    if arrays["steps"].min() < arrays["steps"].max():
        row["steps"] = mean(arrays["steps"])
    return row


def _save(record: Record, study: Study, trained: dict[Setting, list[Arrays]]) -> None:
    """Everything by setting, widths first and seeds second."""
    arrays = {
        f"{setting.key}/{name}": np.array([measured[name] for measured in by_width])
        for setting, by_width in trained.items()
        for name in by_width[0]
    }
    record.save_arrays(widths=study.widths, curve_steps=curve_steps(study.config.training.steps), **arrays)


def _draw(
    record: Record,
    study: Study,
    trained: dict[Setting, list[Arrays]],
    fits: dict[Setting, Fits],
    lambdas: dict[Family, Fits],
) -> None:
    for protocol in study.config.protocols:
        mine = {setting: arrays for setting, arrays in trained.items() if setting.protocol == protocol}
        panels = {
            str(setting.family): dict(zip(study.widths, map(study.curves, by_width), strict=True))
            for setting, by_width in mine.items()
        }
        title = _climbing_title(study, mine) if protocol == "constant" else None
        record.save_figure(training_over_widths(panels, title), f"training_{protocol}")
        scaling = {
            str(setting.family): _laws_drawn(laws_of(study.config, setting), fits[setting])
            for setting in mine
            if fits[setting]
        }
        if scaling:
            title = _powers_title("The weight vector", {s.family: fits[s].get("whole") for s in mine})
            figure = width_scaling(scaling, "relative change in training", title)
            record.save_figure(figure, f"exponents_{protocol}")
    _draw_lambdas(record, lambdas)


def _climbing_title(study: Study, trained: dict[Setting, list[Arrays]]) -> str | None:
    """From which width on most losses climb, for every family where they do."""
    first = {
        setting.family: crossing(study.widths, np.array([climbs(arrays).mean() > 0.5 for arrays in by_width]))
        for setting, by_width in trained.items()
    }
    listed = [f"from m = {width} on ({family})" for family, width in first.items() if width is not None]
    if not listed:
        return None
    return f"One step size for all widths is too large for wide networks: the loss climbs {', '.join(listed)}"


def _powers_title(
    subject: str, found: dict[Family, tuple[list[int], Array, ExponentFit] | None]
) -> str | None:
    powers = [f"m^{fit[2].slope:.2f} ({family})".replace("-", "−") for family, fit in found.items() if fit]
    return f"{subject} moves by a power of the width: {', '.join(powers)}" if powers else None


def _laws_drawn(found: Sequence[Law], fits: Fits) -> dict[str, tuple[list[int], Array, float, Any]]:
    drawn = {}
    for law in found:
        if law.quantity in fits:
            widths, values, fit = fits[law.quantity]
            drawn[law.label] = (widths, values, fit.slope, fit.interval)
    return drawn


def _draw_lambdas(record: Record, lambdas: dict[Family, Fits]) -> None:
    """One panel a parameterization, one line a depth."""
    panels: dict[str, dict[str, Any]] = {}
    predicted = {}
    for family, found in lambdas.items():
        for line in _laws_drawn([lambda_law(family)], found).values():
            panel = f"{family.parameterization} parameterization"
            predicted[panel] = lambda_law(family).low
            panels.setdefault(panel, {})[str(family).partition(", ")[2]] = line
    if panels:
        figure = width_scaling(
            panels, "largest eigenvalue λmax(H₀)", _lambda_title(lambdas), predicted=predicted
        )
        record.save_figure(figure, "lambda_max")


def _lambda_title(lambdas: dict[Family, Fits]) -> str:
    words = []
    for parameterization in dict.fromkeys(family.parameterization for family in lambdas):
        slopes = [
            found["lambda_max"][2].slope
            for family, found in lambdas.items()
            if family.parameterization == parameterization and found
        ]
        powers = " and ".join(f"m^{slope:.2f}".replace("-", "−") for slope in slopes)
        words.append(f"like {powers} in the {parameterization} parameterization")
    return f"The largest eigenvalue of the tangent kernel behaves {', '.join(words)}"
