"""What is approximated, where, and with which constructions: the config, and what follows from it."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PlainValidator, PositiveFloat, WithJsonSchema, model_validator

from nnlab.approximation.bins import NO_STEP, Heights, bins_for, check_memory
from nnlab.approximation.targets import NAMED, ExpressionTarget, PointsTarget, Target, make_target
from nnlab.errors import InputError
from nnlab.expressions import (
    DomainError,
    ExpressionError,
    Interval,
    UnboundedSlopeError,
    check_domain,
    lipschitz,
)
from nnlab.lab.sections import Count, Distinct, Experiment, Section
from nnlab.lab.session import Session
from nnlab.rigorous.supremum import supremum

Array = NDArray[np.float64]
Part = Literal["perceptron", "steps", "bins", "surface", "sums"]


def _steepness(value: object) -> float | str:
    if value == "hard":
        return "hard"
    number = not isinstance(value, bool) and isinstance(value, int | float)
    if number and 0 < float(value) < math.inf:  # type: ignore[arg-type]
        return float(value)  # type: ignore[arg-type]
    raise ValueError("must be a number above 0, or hard")


Steepness = Annotated[
    float | Literal["hard"],
    PlainValidator(_steepness),
    WithJsonSchema({"anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"const": "hard"}]}),
]


@contextmanager
def naming(key: str) -> Iterator[None]:
    """What is wrong with an expression is told with the key that it stands under."""
    try:
        yield
    except (ExpressionError, DomainError) as error:
        raise InputError(f"{key}: {error}") from None


class Surface(Section):
    """Two dimensions: n × n cells, isolated towers beside quadrant thresholds."""

    target: Annotated[str, Field(min_length=1)] = "hill"
    cells: int = Field(8, ge=2, le=32)


class Sums(Section):
    """Σ αᵢ σ(wᵢᵀx + bᵢ) in each of the dimensions, over the number of terms and seeds."""

    dimensions: Annotated[list[Annotated[int, Field(ge=1, le=4)]], Distinct] = Field([1, 2, 3], min_length=1)
    terms: Annotated[list[Annotated[int, Field(ge=1, le=4096)]], Distinct] = Field(
        [8, 16, 32, 64], min_length=1
    )
    seeds: int = Field(5, ge=1, le=1000)
    activation: Literal["sigmoid", "tanh", "ripple"] = "sigmoid"


class Config(Experiment):
    """Builds networks by formula, bounds their error everywhere, and holds it against the theory."""

    experiment: Literal["approx"]
    parts: Annotated[list[Part], Distinct] = Field(
        ["perceptron", "steps", "bins", "surface", "sums"], min_length=1
    )
    target: Annotated[str, Field(min_length=1)] = Field(
        "lecture", description="an expression, a name, or a CSV file of points"
    )
    interval: list[float] | None = Field(
        None, min_length=2, max_length=2, description="[a, b]; [0, 1], or that of the points, if left out"
    )
    bins: Annotated[list[Count], Distinct] | None = Field(
        None, min_length=1, description="5, 10, 50 and 200, or what epsilon needs, if left out"
    )
    epsilon: PositiveFloat | None = Field(None, description="the largest error that is allowed")
    construction: Literal["staircase", "towers", "hats"] = "staircase"
    heights: Literal["midpoint", "left"] = "midpoint"
    steepness: Steepness | None = Field(
        None, description="w of each step; if left out, what adds 5·10⁻¹⁰ of the error"
    )
    activation: Literal["sigmoid", "tanh", "ripple", "step", "relu"] = Field(
        "sigmoid", description="of the steps; hats are made of relu"
    )
    output: Literal["identity", "sigmoid"] = "identity"
    lipschitz: PositiveFloat | None = Field(None, description="L; certified from the expression if left out")
    surface: Surface = Surface()
    sums: Sums = Sums()

    @model_validator(mode="after")
    def _steps_are_steps(self) -> "Config":
        if self.activation == "relu" and self.construction != "hats":
            raise ValueError(f"activation: relu: {NO_STEP}")
        return self

    @model_validator(mode="after")
    def _interval_is_in_order(self) -> "Config":
        if self.interval is not None and not self.interval[0] < self.interval[1]:
            low, high = self.interval
            raise ValueError(
                f"interval: [{low:g}, {high:g}] is empty or reversed; the first end must be smaller"
            )
        return self


DEFAULT_BINS = (5, 10, 50, 200)


@dataclass(frozen=True)
class Slope:
    """The Lipschitz constant of a target on an interval.

    Attributes:
        upper: |f(x) − f(y)| ≤ upper · |x − y|; infinite where no bound exists.
        lower: a slope that is certainly reached; 0 where unknown.
        source: given, or certified.
        place: where the slope is unbounded, if it is.
    """

    upper: float
    lower: float
    source: Literal["given", "certified"]
    place: float | None = None


@dataclass(frozen=True)
class Line:
    """A function of one variable on an interval, to be approximated.

    Attributes:
        target: f.
        interval: (a, b).
        slope: its Lipschitz constant.
        logit_slope: that of σ⁻¹∘f; None where f leaves (0, 1).
        delta: δ, with f in [δ, 1 − δ]; None where f leaves (0, 1).
        bins: the numbers of bins that are asked for.
    """

    target: Target
    interval: tuple[float, float]
    slope: Slope
    logit_slope: Slope | None
    delta: float | None
    bins: tuple[int, ...]

    @property
    def length(self) -> float:
        """b − a."""
        return self.interval[1] - self.interval[0]


def build_line(config: Config, session: Session) -> Line | None:
    """The function of one variable that the config names; None where it has more variables.

    Raises:
        InputError: what cannot be approximated as asked: outside its domain, not Lipschitz where ε is given,
            outside (0, 1) where the output is a sigmoid, more units than memory.
    """
    with naming("target"):
        target = make_target(config.target)
        if target.dimension > 1:
            return None
        interval = _interval(config, target)
        if isinstance(target, ExpressionTarget):
            check_domain(target.graph, {target.variables[0]: interval})
    slope = _slope(target, interval, config.lipschitz)
    delta = logit_slope = None
    try:
        delta = _delta(target, interval)
        logit_slope = _logit_slope(target, interval, slope, delta)
    except InputError:
        if config.output == "sigmoid":
            raise
    bins = _bins(config, target, interval, logit_slope if config.output == "sigmoid" else slope)
    for n in bins:
        check_memory(2 * n if config.construction == "towers" else n)
    if not math.isfinite(slope.upper):
        session.reporter.say(
            f"{target.text} has no bounded slope on [{interval[0]:g}, {interval[1]:g}]"
            f"{_at(slope)}: errors are certified, but no bound L/2N is claimed (lipschitz: gives one)"
        )
    return Line(target, interval, slope, logit_slope, delta, bins)


def _at(slope: Slope) -> str:
    return "" if slope.place is None else f", near x = {slope.place:.6g}"


def _interval(config: Config, target: Target) -> tuple[float, float]:
    given = None if config.interval is None else (config.interval[0], config.interval[1])
    if not isinstance(target, PointsTarget):
        return given or (0.0, 1.0)
    least, most = float(target.x[0]), float(target.x[-1])
    if given is not None and not (least <= given[0] and given[1] <= most):
        raise InputError(
            f"interval: [{given[0]:g}, {given[1]:g}]: the points of {target.text} reach from {least:g} to "
            f"{most:g}"
        )
    return given or (least, most)


def _slope(target: Target, interval: tuple[float, float], given: float | None) -> Slope:
    """L, given or certified."""
    lower, upper, place = _certified_slope(target, interval)
    if given is None:
        return Slope(upper, lower, "certified", place)
    if given < lower * (1 - 1e-12):
        raise InputError(
            f"lipschitz: {given:g} is too small: the slope of {target.text} reaches {lower:.9g} on "
            f"[{interval[0]:g}, {interval[1]:g}]; leave it out, and it is computed"
        )
    return Slope(given, lower, "given")


def _certified_slope(target: Target, interval: tuple[float, float]) -> tuple[float, float, float | None]:
    """Bounds on sup |f'|, and where it is unbounded."""
    if isinstance(target, ExpressionTarget):
        try:
            return *lipschitz(target.graph, {target.variables[0]: interval}), None
        except UnboundedSlopeError as error:
            return 0.0, math.inf, next(iter(error.place.values()))
    assert isinstance(target, PointsTarget)
    ends = np.unique(np.concatenate([np.array(interval), target.knots(*interval)]))
    steep = target.slopes(ends[:-1, None], ends[1:, None])[1][0]
    return float(_mignitude(steep).max()), float(steep.magnitude.max()), None


def _mignitude(interval: Interval) -> Array:
    """The least absolute value in each interval."""
    return np.maximum(np.maximum(interval.lo, -interval.hi), 0.0)


def _delta(target: Target, interval: tuple[float, float]) -> float:
    """δ with f in [δ, 1 − δ] everywhere on the interval, certified.

    Raises:
        InputError: f leaves (0, 1), or cannot be told from doing so.
    """
    ends = np.linspace(*interval, 1025)
    ends = np.unique(np.concatenate([ends, target.knots(*interval)]))
    delta = math.inf
    for sign in (-1.0, 1.0):

        def bound(lo: Array, hi: Array, sign: float = sign) -> tuple[Array, Array, Array]:
            middle = lo + (hi - lo) / 2
            there, everywhere = target.enclose(middle, middle), target.enclose(lo, hi)
            if sign > 0:
                return there.lo, everywhere.hi, middle
            return -there.hi, -everywhere.lo, middle

        found = supremum(bound, ends[:-1, None], ends[1:, None], absolute=1e-7, relative=1e-7)
        room = 1 - found.upper if sign > 0 else -found.upper
        if room <= 0:
            value = found.lower if sign > 0 else -found.lower
            raise InputError(
                f"output: sigmoid: has values in (0, 1), but {target.text} comes to {value:.6g} at "
                f"x = {found.at[0]:.6g}; use output: identity, or a target inside (0, 1)"
            )
        delta = min(delta, room)
    return delta


def _logit_slope(target: Target, interval: tuple[float, float], slope: Slope, delta: float) -> Slope:
    """The Lipschitz constant of σ⁻¹∘f: certified from its own expression, else L/(δ(1 − δ))."""
    general = slope.upper / (delta * (1 - delta)) if slope.upper else 0.0
    if slope.source == "given" or not isinstance(target, ExpressionTarget):
        return Slope(general, 0.0, slope.source, slope.place)
    body = NAMED.get(target.text.strip(), target.text)
    logit = make_target(f"log(({body})/(1 - ({body})))", 1)
    lower, upper, place = _certified_slope(logit, interval)
    return Slope(min(upper, general), lower, "certified", place)


def _bins(
    config: Config, target: Target, interval: tuple[float, float], slope: Slope | None
) -> tuple[int, ...]:
    """What the config asks for: given numbers, or the one that ε needs and one more."""
    if config.epsilon is None:
        return tuple(config.bins or DEFAULT_BINS)
    low, high = interval
    assert slope is not None
    if not math.isfinite(slope.upper):
        raise InputError(
            f"epsilon: {config.epsilon:g}: {target.text} has no bounded slope on [{low:g}, {high:g}]"
            f"{_at(slope)}, so no number of bins follows from it; give lipschitz: if you know a constant "
            "that serves, or bins: in place of epsilon"
        )
    # a sigmoid passes on at most a quarter of an error of its logit
    allowed = 4 * config.epsilon if config.output == "sigmoid" else config.epsilon
    heights: Heights = "left" if config.heights == "left" and config.construction != "hats" else "midpoint"
    needed = bins_for(slope.upper, allowed, high - low, heights)
    return tuple(dict.fromkeys([*(config.bins or ()), needed, needed + 1]))
