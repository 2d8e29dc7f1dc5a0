"""The kernel at the start of networks of finite width: its spread and the shift of its mean, at order 1/m.

`nnlab.ntk.finite_width` predicts E[H] = H∞ + H⁽¹⁾/m and E‖H − H∞‖² = c/m without a constant to fit. Networks
are drawn and measured. With more than one hidden layer there are terms of order 1/m² beside: the prefactor is
continued to infinite width from the last two widths, the shift from the first two, as it is lost in the
spread of wider ones, and the power is fitted with local slopes that tend to it like 1/m.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, FiniteFloat, NonNegativeFloat, PositiveFloat

from nnlab.chapters.kernels.figures.finite_width import spread_and_shift
from nnlab.errors import InputError, Interrupted
from nnlab.lab.sections import Count, Distinct, Experiment
from nnlab.lab.session import Outcome, Session, generator
from nnlab.models import MLP
from nnlab.models.parameterization import draw_parameters
from nnlab.ntk import FiniteWidth, finite_width
from nnlab.record import Record
from nnlab.theory import CONFIDENCE, Claim, exponent_claim, fit_exponent, mean_interval, measured_claim
from nnlab.training.ensemble import TOGETHER, Ensemble

Array = NDArray[np.float64]
ActivationName = Literal["relu", "erf", "tanh"]

NARROW = 8  # units of the network with one hidden layer, whose statistics are exact at every width
BATCHES = 50  # of networks of a width: the mean of each is one sample
PILOT = 5000  # narrow networks that choose the direction in which the shift is looked at
PREDICTED_BY = "nnlab.ntk.finite.kernel.finite_width"
MEASURED_BY = (
    "nnlab.models.mlp.MLP, nnlab.models.parameterization.draw_parameters, "
    "nnlab.training.ensemble.Ensemble.tangent_kernel"
)


ARRAYS: Mapping[str, str] = {
    "*/widths": "(K,) widths m",
    "*/spread": "(K, B) mean of ‖H − H∞‖² over a batch of networks, for each width",
    "*/shift": "(K,) mean of m wᵀ(H − H∞) in units of wᵀH⁽¹⁾, w the direction of the pilot networks",
    "*/infinite": "(n, n) the kernel of infinite width",
    "*/mean_correction": "(n, n) H⁽¹⁾, the predicted shift of the mean times m",
    "*/variance": "(n, n) predicted variance of each entry, times m",
}
"""Describes the arrays: pattern of names -> axes and units. n inputs, K widths, B batches of networks."""


class Config(Experiment):
    """Draws networks at random; holds mean and spread of their kernels against the theory of order 1/m."""

    experiment: Literal["finite_width"]
    arrays = ARRAYS
    activations: Annotated[list[ActivationName], Distinct] = Field(["relu", "erf"], min_length=1)
    depth: int = Field(3, ge=1, le=10, description="hidden layers")
    widths: Annotated[list[Count], Distinct] = Field([16, 32, 128], min_length=3)
    networks: int = Field(
        3000, ge=200, le=10**7, description="of the widest; a width of half as many units has twice as many"
    )
    angles: list[FiniteFloat] = Field(
        [0.0, 35.0, 80.0, 130.0, 180.0],
        min_length=1,
        max_length=20,
        description="of the inputs in the plane, in degrees",
    )
    lengths: list[PositiveFloat] = Field([1.0, 0.7, 0.5, 0.4, 0.8], description="of the inputs")
    sigma_b: NonNegativeFloat = 0.3

    def run(self, record: Record, session: Session) -> Outcome:
        """Predicts, draws the networks of every width, and judges."""
        if len(self.lengths) != len(self.angles):
            raise InputError(f"lengths: {len(self.lengths)} for {len(self.angles)} angles; give one for each")
        lengths, angles = torch.tensor([self.lengths, self.angles], dtype=torch.float64)
        radians = torch.deg2rad(angles)
        x = torch.stack([lengths * torch.cos(radians), lengths * torch.sin(radians)], dim=1)
        studies = [Study(self, name, x) for name in self.activations]
        record.start()
        record.predict({study.activation: study.predictions() for study in studies})
        claims, rows, metrics = list[Claim](), list[Mapping[str, object]](), dict[str, float]()
        measured = {study.activation: study.measure(session) for study in studies}
        for study in studies:
            sample = measured[study.activation]
            claims += claims_about(study, sample)
            rows += table(study, sample)
            metrics[f"{study.activation}/prefactor"] = float(
                sample.prefactor.mean() / study.theory.expected_squared_deviation
            )
            record.save_arrays(**arrays(study, sample))
        record.figure("spread", spread_and_shift, *drawn(studies, measured))
        return Outcome(metrics, rows, claims)


@dataclass(frozen=True)
class Sample:
    """What networks of every width were measured to be.

    Attributes:
        widths: in ascending order, K.
        spread: ‖H − H∞‖² of every network, (networks,) for each width.
        shift: m wᵀ(H − H∞)/wᵀH⁽¹⁾, (networks,) for each width; empty where no shift is predicted.
        one_layer: ‖H − H∞‖² of every network with one hidden layer of NARROW units.
    """

    widths: Sequence[int]
    spread: Sequence[Array]
    shift: Sequence[Array]
    one_layer: Array

    @property
    def prefactor(self) -> Array:
        """m ‖H − H∞‖² at infinite width, from the last two widths, (BATCHES,)."""
        products = batches(self.spread[-2:]) * np.array(self.widths[-2:])[:, None]
        return _continued(self.widths[-2:], products)

    @property
    def shift_in_the_limit(self) -> Array:
        """The shift at infinite width, from the first two widths, (BATCHES,)."""
        return _continued(self.widths[:2], batches(self.shift[:2]))


def batches(values: Sequence[Array]) -> Array:
    """Means over the batches of each width, (K, BATCHES)."""
    return np.array([[part.mean() for part in np.array_split(one, BATCHES)] for one in values])


def _continued(widths: Sequence[int], values: Array) -> Array:
    """The limit of a + b/m through values (2, B) at two widths."""
    m, last = widths
    limit: Array = (last * values[1] - m * values[0]) / (last - m)
    return limit


class Study:
    """Networks of one activation, and what is predicted of them.

    Attributes:
        theory: of the depth of the config.
        one_layer: of one hidden layer.
        shifts: whether the mean is predicted to shift.
    """

    def __init__(self, config: Config, activation: ActivationName, x: torch.Tensor) -> None:
        self.config, self.x = config, x
        self.activation: str = activation
        self.widths = sorted(config.widths)
        self.theory: FiniteWidth = finite_width(self._network(config.depth, self.widths[0], "weights", 0), x)
        self.one_layer: FiniteWidth = finite_width(self._network(1, NARROW, "one layer", 0), x)
        size = float(self.theory.mean_correction.norm())
        self.shifts = size > 1e-9 * float(self.theory.infinite.norm())

    def predictions(self) -> dict[str, object]:
        """The predictions for their file."""
        return {
            "c": self.theory.expected_squared_deviation,
            "c_relative": self.theory.relative_squared_deviation,
            "c_of_one_layer": self.one_layer.expected_squared_deviation,
            "mean_correction": self.theory.mean_correction.tolist(),
            "variance": self.theory.variance.tolist(),
        }

    def networks(self, width: int) -> int:
        """The number of networks of a width."""
        return self.config.networks * self.widths[-1] // width

    def measure(self, session: Session) -> Sample:
        """Draws all networks and computes their kernels."""
        theory, depth, spread, shift = self.theory, self.config.depth, list[Array](), list[Array]()
        direction = self._direction(session) if self.shifts else None
        for width in self.widths:
            gaps = self._gaps(theory, depth, width, self.networks(width), "weights", session)
            spread.append(np.square(gaps).sum((1, 2)))
            shift.append(np.zeros(0) if direction is None else width * (gaps * direction).sum((1, 2)))
        alone = self._gaps(self.one_layer, 1, NARROW, self.config.networks, "one layer", session)
        return Sample(self.widths, spread, shift, np.square(alone).sum((1, 2)))

    def _direction(self, session: Session) -> Array:
        """w (n, n) with wᵀH⁽¹⁾ = 1, in which the shift stands out most, ∝ C⁻¹E[H − H∞], C the covariance.

        Both are those of pilot networks, so that no prediction chooses what it is held against.
        """
        gaps = self._gaps(self.theory, self.config.depth, self.widths[0], PILOT, "pilot", session)
        above = np.triu_indices(gaps.shape[1])
        entries = gaps[:, above[0], above[1]]
        covariance = np.atleast_2d(np.cov(entries.T))
        weights = np.linalg.pinv(covariance, rcond=1e-10, hermitian=True) @ entries.mean(0)
        correction = self.theory.mean_correction.numpy(force=True)
        direction = np.zeros_like(correction)
        direction[above] = weights / (weights @ correction[above])
        return direction

    def _gaps(
        self, theory: FiniteWidth, depth: int, width: int, networks: int, purpose: str, session: Session
    ) -> Array:
        """H − H∞ of networks, (networks, n, n)."""
        together = max(1, TOGETHER // (32 * depth * width * (width + len(self.x))))
        parts = []
        with session.reporter.bar(f"{self.activation}, width {width}") as advance:
            for start in range(0, networks, together):
                if session.stop():
                    raise Interrupted(f"stopped at network {start} of width {width}")
                members = range(start, min(start + together, networks))
                ensemble = self._ensemble(depth, width, purpose, members).to(torch.float64)
                parts.append((ensemble.tangent_kernel(self.x) - theory.infinite).numpy(force=True))
                advance(members.stop, networks, "")
        return np.concatenate(parts)

    def _ensemble(self, depth: int, width: int, purpose: str, members: range) -> Ensemble:
        """Networks at their random start.

        Those with one hidden layer are built as in training; of deeper ones the layers of the first are drawn
        again for the others, which takes a fifth of the time.
        """
        if depth == 1:
            return Ensemble.from_models([self._network(1, width, purpose, member) for member in members])
        first = self._network(depth, width, purpose, members[0])
        ensemble = Ensemble.from_models([first] * len(members))
        for row, member in enumerate(members[1:], start=1):
            random = self._random(width, purpose, member)
            for layer, stack in zip([*first.hidden, first.output], ensemble.layers, strict=True):
                drawn = draw_parameters(layer, 1.0, 1.0, random)
                stack.weight[row] = drawn.weight.detach()
                if stack.bias is not None:
                    stack.bias[row] = drawn.bias.detach()
        return ensemble

    def _random(self, width: int, purpose: str, member: int) -> torch.Generator:
        return generator(self.config.seed, f"{purpose} {self.activation}", width, member)

    def _network(self, depth: int, width: int, purpose: str, member: int) -> MLP:
        """A network at its random start."""
        return MLP(
            self.x.shape[1],
            [width] * depth,
            1,
            self.activation,
            parameterization="ntk",
            sigma_b=self.config.sigma_b,
            generator=self._random(width, purpose, member),
        )


# --- claims -----------------------------------------------------------------------------------------


def claims_about(study: Study, sample: Sample) -> list[Claim]:
    """The claims about one activation: how many there are depends on the config alone."""
    name, config, theory = study.activation, study.config, study.theory
    inputs = f"{len(config.angles)} inputs in the plane, σ_b = {config.sigma_b:g}"
    setting = [f"{name}, hidden layers: {config.depth}, NTK parameterization", inputs]
    widths = f"widths {', '.join(map(str, study.widths))}"
    sources = "Roberts, Yaida & Hanin 2022, chapter 8; Guillen, Misof & Gerken 2025"
    c = theory.expected_squared_deviation
    rivals = {"half": 0.5, "twice": 2.0}
    inherited = {"only the last layer's units fluctuate": float(theory.last_layer.sum()) / c}
    claims = [
        measured_claim(
            f"spread_of_one_layer_{name}",
            sentence=f"With one hidden layer of {name} units the spread of the kernel is c/m, exactly.",
            formula="m E‖H₀ − H∞‖²/c = 1, c = Σᵢⱼ Vᵢⱼ a Gaussian integral",
            hypotheses=[f"{name}, one hidden layer, m = {NARROW}, NTK parameterization", inputs],
            predicted=1.0,
            values=NARROW * sample.one_layer / study.one_layer.expected_squared_deviation,
            rivals=rivals,
            predicted_by=PREDICTED_BY,
            measured_by=MEASURED_BY,
        ),
        measured_claim(
            f"spread_{name}",
            sentence=f"The spread of the kernel of {name} networks around its limit is c/m, and c is known.",
            formula="m E‖H₀ − H∞‖²/c → 1, from the last two widths, whose distance from it is like 1/m",
            hypotheses=[*setting, widths, f"{BATCHES} batches of networks of each width", sources],
            predicted=1.0,
            values=sample.prefactor / c,
            rivals=rivals | (inherited if config.depth > 1 else {}),
            predicted_by=PREDICTED_BY,
            measured_by=MEASURED_BY,
        ),
        exponent_claim(
            f"power_of_the_spread_{name}",
            sentence=f"The squared distance of the {name} kernel from its limit falls like 1/m.",
            formula="E‖H₀ − H∞‖² ~ 1/m",
            hypotheses=[*setting, widths, "local slopes tend to the power like 1/m", sources],
            fit=fit_exponent(sample.widths, batches(sample.spread), rate=1.0),
            predicted=-1.0,
            rivals={"like 1/√m": -0.5, "like 1/m²": -2.0},
            predicted_by="closed form: −1",
            measured_by=f"{MEASURED_BY}, nnlab.theory.exponents.fit_exponent",
        ),
    ]
    if study.shifts:
        claims.append(
            measured_claim(
                f"shift_of_the_mean_{name}",
                sentence=f"The mean of the {name} kernel is not its limit: it is shifted by H⁽¹⁾/m.",
                formula="m wᵀ(E[H₀] − H∞)/wᵀH⁽¹⁾ → 1, w fixed beforehand, from the first two widths",
                hypotheses=[*setting, widths, f"{BATCHES} batches of networks of each width", sources],
                predicted=1.0,
                values=sample.shift_in_the_limit,
                rivals={"no shift": 0.0, "the other way": -1.0, "twice": 2.0},
                predicted_by=PREDICTED_BY,
                measured_by=MEASURED_BY,
            )
        )
    return claims


# --- what is shown ----------------------------------------------------------------------------------


def table(study: Study, sample: Sample) -> list[Mapping[str, object]]:
    """A row for each width: m ‖H − H∞‖²/c on average, with its interval."""
    rows: list[Mapping[str, object]] = []
    for m, values in zip(sample.widths, sample.spread, strict=True):
        mean, low, high = mean_interval(m * values / study.theory.expected_squared_deviation, CONFIDENCE)
        rows.append(
            {
                "activation": study.activation, "width": m, "networks": len(values),
                "spread / predicted": mean, "from": low, "to": high,
            }
        )  # fmt: skip
    return rows


def arrays(study: Study, sample: Sample) -> dict[str, Array]:
    """The arrays of the run about one activation."""
    theory = study.theory
    values: dict[str, Array] = {
        "widths": np.array(sample.widths, dtype=np.float64),
        "spread": batches(sample.spread),
        "infinite": theory.infinite.numpy(force=True),
        "mean_correction": theory.mean_correction.numpy(force=True),
        "variance": theory.variance.numpy(force=True),
    }
    if study.shifts:
        values["shift"] = np.array([one.mean() for one in sample.shift])
    return {f"{study.activation}/{name}": value for name, value in values.items()}


def drawn(
    studies: Sequence[Study], measured: Mapping[str, Sample]
) -> tuple[list[int], dict[str, Array], dict[str, float], dict[str, Array]]:
    """The arguments of the figure: widths, spreads and their c, both relative, and shifts."""
    spreads, predicted, shifts = dict[str, Array](), dict[str, float](), dict[str, Array]()
    for study in studies:
        sample, name = measured[study.activation], study.activation
        scale = float(study.theory.infinite.square().sum())
        spreads[name] = _intervals([values / scale for values in sample.spread])
        predicted[name] = study.theory.relative_squared_deviation
        if study.shifts:
            shifts[name] = _intervals(sample.shift)
    return list(studies[0].widths), spreads, predicted, shifts


def _intervals(values: Sequence[Array]) -> Array:
    """Mean, low and high for each width, (K, 3)."""
    return np.array([mean_interval(one, CONFIDENCE) for one in values], dtype=np.float64)
