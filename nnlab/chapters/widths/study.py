"""The networks of every width: drawn, their kernels at the start, trained, and how far they moved."""

import math
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Annotated, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, NonNegativeFloat, PositiveFloat
from scipy.sparse.linalg import svds
from torch import Tensor

from nnlab.chapters.widths.kinks import kernel_change, switches
from nnlab.chapters.widths.linear import Architecture, Linear, is_known
from nnlab.chapters.widths.schema import CHANGE_CURVE, LOSS, Family, Setting
from nnlab.data import target_function
from nnlab.errors import InputError, Interrupted
from nnlab.lab.build import build_model
from nnlab.lab.sections import (
    ActivationName,
    Count,
    Distinct,
    Experiment,
    FunctionName,
    Hardware,
    MLPModel,
    Section,
    StepSize,
)
from nnlab.lab.session import Session, dtype_of, generator, select_device
from nnlab.models import MLP
from nnlab.ntk import gradient_descent
from nnlab.record import Record
from nnlab.training import Checkpoints
from nnlab.training.descent import spaced_steps
from nnlab.training.ensemble import (
    Ensemble,
    check_memory,
    descend,
    in_parts,
    mlp_parameters,
    weight_change,
)

Array = NDArray[Any]
Arrays = dict[str, Array]
Starts = dict[tuple[Family, int], Arrays]
Trained = dict[Setting, list[Arrays]]
"""The measured arrays of every setting, by width, ascending; seeds come first in each array."""

CURVE_POINTS = 30  # recorded steps, evenly spaced on a logarithmic axis
SWEPT = (0.75, 1.25, 1.75, 2.25, 2.75, 3.25, 4.25)
"""Step sizes of the sweep across the edge of stability, times λmax(H₀)."""
SWEEP_STEPS = 4
SMALL = {torch.float64: 1e-6, torch.float32: 1e-3}
"""The residual of the sweep over that of training: so small that the kernel stays, and far above rounding."""


# --- config -----------------------------------------------------------------------------------------


class Points(Section):
    """Equally spaced points on [−1, 1], standardized, and a function without noise at them."""

    function: FunctionName = "sine"
    points: int = Field(10, ge=2, le=1000)


class Network(Section):
    """The keys that the networks of all widths share. Biases have σ_b in both parameterizations."""

    activation: ActivationName = "relu"
    pieces: int = Field(2, ge=2, le=1000, description="linear pieces of a maxout unit")
    bias: bool = True
    sigma_w: PositiveFloat | None = None
    sigma_b: NonNegativeFloat = 1.0


class StepSizes(Section):
    """η of the protocol `constant`: one for all widths, in the units of each parameterization."""

    ntk: StepSize = 0.015
    standard: StepSize = 0.0006


class Descent(Hardware):
    """Full-batch gradient descent on ½Σ(y − ȳ)². `fraction` is η λmax(H₀) of the protocol `stable`."""

    steps: int = Field(200, ge=1, le=10**7)
    loss_fraction: float = Field(0.0, ge=0, lt=1, description="of the first loss, where a network stops")
    lr: StepSizes = StepSizes()
    fraction: float = Field(1.0, gt=0, le=100)
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["float32", "float64"] = "float64"


class Settings(Experiment):
    """The keys of the experiment."""

    widths: Annotated[list[Count], Distinct] = Field([64, 128, 256, 512, 1024], min_length=1)
    seeds: int = Field(32, ge=1, le=10_000)
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


# --- the networks, before and after -----------------------------------------------------------------


class Study:
    """The data, on the device, and the networks of a config.

    Raises:
        InputError: a device that is absent, or a network that is too large.
    """

    def __init__(self, config: Settings) -> None:
        self.config, self.widths = config, sorted(config.widths)
        device = select_device(config.training)
        self.device = torch.device("cpu") if device.type == "mps" else device  # which has no float64
        self.dtype = dtype_of(config.training)
        x = torch.linspace(-1, 1, config.data.points, dtype=torch.float64)[:, None]
        self.y = target_function(config.data.function)(x).to(self.device, self.dtype)
        self.x = (x / x.std(correction=0)).to(self.device, self.dtype)  # their mean is 0
        self.recorded = curve_steps(config.training.steps)
        width, depth = self.widths[-1], max(config.depths)
        check_memory(
            self._bytes(width, depth), f"widths: {width} with depths: {depth}",
            "choose smaller widths, or one hidden layer",
        )  # fmt: skip

    def _parameters(self, width: int, depth: int) -> int:
        model = self.config.model
        pieces = model.pieces if model.activation == "maxout" else 1
        return mlp_parameters(width, depth, bias=model.bias, pieces=pieces)

    def _bytes(self, width: int, depth: int) -> int:
        """Memory of a network's start, its end, what steps, a difference of two; and of its activations."""
        activations = 8 * self.config.data.points * width * depth
        return (4 * self._parameters(width, depth) + activations) * self.dtype.itemsize

    def families(self) -> list[Family]:
        return [Family(d, p) for d in self.config.depths for p in self.config.parameterizations]

    def settings(self) -> list[Setting]:
        return [Setting(family, protocol) for protocol in self.config.protocols for family in self.families()]

    def ensembles(self, family: Family, width: int) -> Iterator[tuple[range, Ensemble]]:
        """All seeds of a width, as many at a time as the memory is meant to hold."""
        for part in in_parts(self.config.seeds, self._bytes(width, family.depth)):
            yield part, Ensemble.from_models([self._network(family, width, member) for member in part])

    def _network(self, family: Family, width: int, member: int) -> MLP:
        section = MLPModel(
            name="mlp",
            hidden=[width] * family.depth,
            parameterization=family.parameterization,
            **self.config.model.model_dump(),
        )
        # The two parameterizations of a width and member get the same numbers, and are one function.
        draws = generator(self.config.seed, "weights", family.depth, width, member)
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
        starts: Starts = {}
        places = [(family, width) for family in self.families() for width in self.widths]
        with session.reporter.bar("kernels at the start") as advance:
            for done, (family, width) in enumerate(places):
                advance(done, len(places), f"{family}, m = {width}")
                if session.stop():
                    raise Interrupted("stopped before the training began")
                parts = [self._start(ensemble, width) for _, ensemble in self.ensembles(family, width)]
                starts[family, width] = _joined(parts)
                self._check_kernel(family, width, starts[family, width]["eigenvalues"])
        return starts

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
            "residual": (ensemble.outputs(self.x) - self.y)[:, :, 0].double().cpu().numpy(),
        }

    def _check_kernel(self, family: Family, width: int, eigenvalues: Array) -> None:
        """Refuses the kernel 0, of a network of which every unit is off at every point."""
        dead = np.flatnonzero(eigenvalues[:, -1] <= 1e-300)
        if len(dead) and "stable" in self.config.protocols:
            raise InputError(
                f"widths: {width}: with {family}, network {int(dead[0])} "
                "does not react to its weights at any of the points (its tangent kernel is 0), so that no "
                "step size follows from it; choose larger widths, model.bias: true, or protocols: [constant]"
            )

    def linear(self, family: Family, width: int) -> Linear | None:
        """Returns the linearized network of infinite width that predicts; None where it is not known."""
        model = self.config.model
        if not is_known(model.activation, family, bias=model.bias, sigma_b=model.sigma_b):
            return None
        return Linear(self._architectures[family.depth], family, width)

    @cached_property
    def _architectures(self) -> dict[int, Architecture]:
        """By depth."""
        model, x = self.config.model, self.x.double().cpu()
        given = (model.activation, model.bias, model.sigma_w, model.sigma_b, x)
        return {depth: Architecture(depth, *given) for depth in self.config.depths}

    def sweep(self, session: Session) -> dict[Family, Array]:
        """Returns the growth of a small residual across the edge of stability, (W, S, K) of every family."""
        families, swept = self.families(), {}
        with session.reporter.bar("step sizes across the edge") as advance:
            for done, family in enumerate(families):
                advance(done, len(families), str(family))
                swept[family] = np.array([self.growth(family, width, session) for width in self.widths])
        return swept

    def growth(self, family: Family, width: int, session: Session) -> Array:
        """Measures by how much a small residual along the leading mode of H₀ grows in a step, (S, SWEPT).

        The targets lie so near to the outputs at the start that the kernel stays, and differ from them by the
        leading eigenvector alone. Descent with η = x/λmax(H₀), x from SWEPT, then shows the factor per step.
        """
        parts = []
        for _, ensemble in self.ensembles(family, width):
            eigenvalues, vectors = torch.linalg.eigh(self.kernel(ensemble))
            start = ensemble.outputs(self.x)
            size = SMALL[self.dtype] * (start - self.y).flatten(1).norm(dim=1)[:, None, None]
            y = start + size * vectors[:, :, -1:].to(start)
            columns = []
            for product in SWEPT:
                lr = (product / eigenvalues[:, -1]).to(start)
                end = descend(ensemble, self.x, y, lr=lr, steps=SWEEP_STEPS, stop=session.stop)
                columns.append((end.final_loss / end.start_loss) ** (0.5 / SWEEP_STEPS))
            parts.append(torch.stack(columns, 1).numpy())
        return np.concatenate(parts)

    # --- training ---

    def train(self, starts: Starts, record: Record, session: Session) -> Trained:
        """Every setting, and in it every width from the narrowest on."""
        places = [(setting, width) for setting in self.settings() for width in self.widths]
        work = [self._parameters(width, setting.family.depth) for setting, width in places]
        trained: Trained = {setting: [] for setting in self.settings()}
        with session.reporter.bar("training") as advance:
            for index, (setting, width) in enumerate(places):

                def tell(share: float, index: int = index) -> None:
                    done = (sum(work[:index]) + work[index] * share) / sum(work)
                    advance(int(1000 * done), 1000, "{}, m = {}".format(*places[index]))

                part = f"{setting.key}-m{width}"
                checkpoints = Checkpoints(record.folder / "checkpoints" / part, record.metrics)
                loaded = checkpoints.load(["measured"])
                if loaded is not None:  # measured before the run was cut off
                    checkpoints.accept(loaded[0]["log_offset"])
                    arrays = {name: tensor.numpy() for name, tensor in loaded[0]["measured"].items()}
                else:
                    arrays = self._train(setting, width, starts[setting.family, width], session, tell)
                    self._log(record, part, arrays)
                    # Weights are not kept: 16 seeds of every width would fill a disk.
                    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
                    checkpoints.save({"model": {}, "measured": tensors}, {}, 0)
                trained[setting].append(arrays)
        return trained

    def _train(
        self, setting: Setting, width: int, start: Arrays, session: Session, tell: Callable[[float], None]
    ) -> Arrays:
        lrs, parts = self.step_sizes(setting, start), []
        for members, ensemble in self.ensembles(setting.family, width):

            def progress(steps: int, total: int, members: range = members) -> None:
                tell((members.start + len(members) * steps / total) / self.config.seeds)

            chosen = slice(members.start, members.stop)
            mine = {name: array[chosen] for name, array in start.items()}
            measured = self._descend(ensemble, mine, lrs[chosen], session.stop, progress)
            expected = self._kernel_change(setting, width, mine["residual"], session.stop)
            measured["kernel_change"] = _along(measured.pop("kernel_difference"), expected)
            parts.append(measured)
        return _joined(parts)

    def _kernel_change(
        self, setting: Setting, width: int, residual: Array, stop: Callable[[], bool]
    ) -> Array | None:
        """H − H₀ by units that switch, to leading order in 1/m, (S, n, n); None where it is not known."""
        model, training = self.config.model, self.config.training
        linear = self.linear(setting.family, width)
        known = switches(
            model.activation, setting.family, bias=model.bias, sigma_b=model.sigma_b, points=len(self.x)
        )
        if not known or linear is None or setting.protocol != "stable" or training.loss_fraction > 0:
            return None
        values, vectors = linear.modes
        change = kernel_change(
            torch.from_numpy(residual), vectors * values @ vectors.T, self.x[:, 0].double().cpu(),
            activation=model.activation, sigma_w=model.sigma_w, sigma_b=model.sigma_b,
            lr=training.fraction / linear.lambda_max, steps=training.steps, stop=stop,
        )  # fmt: skip
        return change.numpy() / math.sqrt(width)

    def step_sizes(self, setting: Setting, start: Arrays) -> Array:
        """η of every seed, (S,)."""
        training = self.config.training
        if setting.protocol == "constant":
            return np.full(self.config.seeds, getattr(training.lr, setting.family.parameterization))
        return np.asarray(training.fraction / start["eigenvalues"][:, -1])

    def _descend(
        self,
        ensemble: Ensemble,
        start: Arrays,
        lrs: Array,
        stop: Callable[[], bool],
        progress: Callable[[int, int], None],
    ) -> Arrays:
        training, eigenvalues = self.config.training, start["eigenvalues"]
        end = descend(
            ensemble, self.x, self.y, lr=torch.from_numpy(lrs), steps=training.steps,
            loss_fraction=training.loss_fraction, record=self.recorded, observe=self._observe,
            stop=stop, progress=progress,
        )  # fmt: skip
        before, after = self.kernel(ensemble), self.kernel(end.ensemble)
        across = (
            end.ensemble.to(torch.float64).tangent_kernel(self.x.double(), ensemble.to(torch.float64)).cpu()
        )  # J J₀ᵀ, so that ‖J − J₀‖² is the trace of H − 2 J J₀ᵀ + H₀
        moved = _trace(after - 2 * across + before).clamp(min=0)
        change, layers = end.observed["change"], end.observed["layer_change"]
        measured = {
            **{name: getattr(end, name) for name in
               ("steps", "start_loss", "final_loss", "highest_loss", "diverged")},
            LOSS: end.loss,
            CHANGE_CURVE: change,
            "change": change[:, -1],
            "layer_change": layers[:, -1],
            "layer_operator_change":
                layer_norms(end.ensemble, ensemble) / torch.from_numpy(start["operator"]),
            "kernel_drift": torch.linalg.matrix_norm(after - before) / torch.linalg.matrix_norm(before),
            "kernel_difference": after - before,
            "jacobian_drift": (moved / _trace(before)).sqrt(),
            "residual_error": self._residual_error(before, end.observed["residuals"], lrs),
        }  # fmt: skip
        known = {"lr": lrs, "eigenvalues": eigenvalues, "eta_lambda_max": lrs * eigenvalues[:, -1]}
        return known | {name: tensor.numpy() for name, tensor in measured.items()}

    def _observe(self, now: Ensemble, start: Ensemble) -> dict[str, Tensor]:
        return weight_change(now, start) | {"residuals": (now.outputs(self.x) - self.y)[:, :, 0]}

    def _residual_error(self, kernels: Tensor, residuals: Tensor, lrs: Array) -> Tensor:
        """(S,) sup_k ‖u_k − (I − ηH₀)ᵏu₀‖/‖u₀‖ over recorded steps; NaN where a network may stop earlier."""
        if self.config.training.loss_fraction > 0:
            return torch.full((len(kernels),), torch.nan, dtype=torch.float64)
        errors = []
        for kernel, measured, lr in zip(kernels, residuals, lrs, strict=True):
            predicted = gradient_descent(kernel, measured[0], float(lr), self.recorded)
            errors.append((measured - predicted).norm(dim=1).max() / measured[0].norm())
        return torch.stack(errors)

    def _log(self, record: Record, part: str, arrays: Arrays) -> None:
        """Means over the seeds at every recorded step; null where a seed has diverged."""
        with np.errstate(over="ignore", invalid="ignore"):
            means = [arrays[name].mean(0).tolist() for name in (LOSS, CHANGE_CURVE)]
        for step, loss, change in zip(self.recorded, *means, strict=True):
            record.log({"part": part, "split": "train", "step": step, "loss": loss, "change": change})


def _along(change: Array, predicted: Array | None) -> Array:
    """(S,) least-squares factors of the predicted matrices in the measured ones, (S, n, n) both."""
    if predicted is None:
        return np.full(len(change), np.nan)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # networks on their way to infinity
        return np.asarray((change * predicted).sum((1, 2)) / np.square(predicted).sum((1, 2)))


def _trace(matrices: Tensor) -> Tensor:
    """(S,) traces of (S, n, n)."""
    return matrices.diagonal(dim1=1, dim2=2).sum(1)


def _joined(parts: list[Arrays]) -> Arrays:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


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
