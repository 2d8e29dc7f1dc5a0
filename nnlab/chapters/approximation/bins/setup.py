"""The function on the line that bins approximate: its config, its Lipschitz constant, and how many bins."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field, PlainValidator, PositiveFloat, WithJsonSchema, model_validator

from nnlab.approximation.bins import NO_STEP, Construction, Heights, bins_for, check_memory
from nnlab.approximation.network import Output
from nnlab.approximation.targets import NAMED, ExpressionTarget, PointsTarget, Target, make_target
from nnlab.data.fingerprint import of_table
from nnlab.errors import InputError
from nnlab.expressions import (
    DomainError,
    ExpressionError,
    Interval,
    UnboundedSlopeError,
    check_domain,
    lipschitz,
)
from nnlab.expressions.numbers import number_value
from nnlab.lab.sections import Count, Distinct, Experiment, StepName
from nnlab.lab.session import Session
from nnlab.rigorous.supremum import Supremum, supremum

Array = NDArray[np.float64]

DEFAULT_BINS = (5, 10, 50, 200)


def _number(value: object) -> object:
    """Returns the value of a text such as 2*pi; pydantic looks at all else."""
    if not isinstance(value, str):
        return value
    try:
        return number_value(value)
    except ExpressionError as error:
        raise ValueError(f"must be a number: {error.reason}") from None


_NUMBER = {"anyOf": [{"type": "number"}, {"type": "string", "description": "an expression such as 2*pi"}]}
Number = Annotated[float, BeforeValidator(_number), WithJsonSchema(_NUMBER, mode="validation")]
PositiveNumber = Annotated[
    PositiveFloat, BeforeValidator(_number), WithJsonSchema(_NUMBER, mode="validation")
]
"""Numbers that may also be written as expressions, such as 2*pi or 1/3."""


def _steepness(value: object) -> float | str:
    if value == "hard":
        return "hard"
    if isinstance(value, str):
        with suppress(ValueError):
            value = _number(value)
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf:
        return float(value)
    raise ValueError("must be a number above 0, or hard")


Steepness = Annotated[
    float | Literal["hard"],
    PlainValidator(_steepness),
    WithJsonSchema({"anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"const": "hard"}]}),
]


class BinsSettings(Experiment):
    """The part of the config that is about bins; the other parts use its target and interval too."""

    target: Annotated[str, Field(min_length=1)] = Field(
        "lecture", description="an expression, a name, or a CSV file of points"
    )
    interval: list[Number] | None = Field(
        None, min_length=2, max_length=2, description="[a, b]; [0, 1], or that of the points, if left out"
    )
    bins: Annotated[list[Count], Distinct] | None = Field(
        None, min_length=1, description="5, 10, 50 and 200, or what epsilon needs, if left out"
    )
    epsilon: PositiveNumber | None = Field(None, description="the largest error that is allowed")
    construction: Construction = "staircase"
    heights: Heights = "midpoint"
    steepness: Steepness | None = Field(
        None, description="w of each step; if left out, what adds 5·10⁻¹⁰ of the error"
    )
    activation: Literal[StepName, "step", "relu"] = Field(
        "sigmoid", description="of the steps; hats are made of relu"
    )
    output: Output = "identity"
    lipschitz: PositiveNumber | None = Field(None, description="L; certified from the expression if left out")

    @model_validator(mode="after")
    def _fits_together(self) -> "BinsSettings":
        if self.activation == "relu" and self.construction != "hats":
            raise ValueError(f"activation: relu: {NO_STEP}")
        if self.interval is not None and not self.interval[0] < self.interval[1]:
            low, high = self.interval
            raise ValueError(
                f"interval: [{low:g}, {high:g}] is empty or reversed; the first end must be smaller"
            )
        return self


@contextmanager
def _naming(key: str) -> Iterator[None]:
    """Puts the config's key before the message of an error in an expression."""
    try:
        yield
    except (ExpressionError, DomainError) as error:
        raise InputError(f"{key}: {error}") from None


def checked_target(
    key: str, text: str, interval: tuple[float, float], dimension: int | None = None
) -> Target:
    """The target of that name, expression or file, which is defined everywhere on interval^d.

    Args:
        key: of the config, for messages.
        text: as for `make_target`.
        interval: (a, b).
        dimension: d; by default that of the expression.

    Raises:
        InputError: what `make_target` refuses, or a point of the cube where it is not defined.
    """
    with _naming(key):
        target = make_target(text, dimension)
        if isinstance(target, ExpressionTarget):
            check_domain(target.graph, dict.fromkeys(target.variables, interval))
    return target


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


def build_line(config: BinsSettings, session: Session) -> Line | None:
    """The function of one variable that the config names; None where it has more variables.

    Raises:
        InputError: what cannot be approximated as asked: outside its domain, not Lipschitz where ε is given,
            outside (0, 1) where the output is a sigmoid, more units than memory.
    """
    with _naming("target"), session.reading():
        target = make_target(config.target)
    if target.dimension > 1:
        return None
    if isinstance(target, PointsTarget):
        session.keep(of_table("points", Path(config.target.strip()).expanduser()))
    interval = _interval(config, target)
    checked_target("target", config.target, interval)
    slope = _slope(target, interval, config.lipschitz)
    delta = logit_slope = None
    try:
        delta = _delta(target, interval)
        logit_slope = _logit_slope(target, interval, slope, delta)
    except InputError:
        if config.output == "sigmoid":
            raise
    bins = _bins(config, target, interval, logit_slope if config.output == "sigmoid" else slope)
    check_memory(max(bins) * (2 if config.construction == "towers" else 1))
    if not math.isfinite(slope.upper):
        session.reporter.say(
            f"{_no_slope(target, interval, slope)}: errors are certified, but no bound L/2N is claimed "
            "(lipschitz: gives one)"
        )
    return Line(target, interval, slope, logit_slope, delta, bins)


def _no_slope(target: Target, interval: tuple[float, float], slope: Slope) -> str:
    near = "" if slope.place is None else f", near x = {slope.place:.6g}"
    return f"{target.text} has no bounded slope on [{interval[0]:g}, {interval[1]:g}]{near}"


def _interval(config: BinsSettings, target: Target) -> tuple[float, float]:
    least, most = 0.0, 1.0
    if isinstance(target, PointsTarget):
        least, most = float(target.x[0]), float(target.x[-1])
    if config.interval is None:
        return least, most
    low, high = config.interval
    if isinstance(target, PointsTarget) and not (least <= low and high <= most):
        raise InputError(
            f"interval: [{low:g}, {high:g}]: the points of {target.text} reach from {least:g} to {most:g}"
        )
    return low, high


def _slope(target: Target, interval: tuple[float, float], constant: float | None) -> Slope:
    """L, given or certified."""
    certified = _certified_slope(target, interval)
    if constant is None:
        return certified
    if constant < certified.lower * (1 - 1e-12):
        raise InputError(
            f"lipschitz: {constant:g} is too small: the slope of {target.text} reaches {certified.lower:.9g} "
            f"on [{interval[0]:g}, {interval[1]:g}]; leave it out, and it is computed"
        )
    return Slope(constant, certified.lower, "given")


def _certified_slope(target: Target, interval: tuple[float, float]) -> Slope:
    """Bounds on sup |f'|, and where it is unbounded."""
    if isinstance(target, ExpressionTarget):
        try:
            lower, upper = lipschitz(target.graph, {target.variables[0]: interval})
        except UnboundedSlopeError as error:
            return Slope(math.inf, 0.0, "certified", next(iter(error.place.values())))
        return Slope(upper, lower, "certified")
    ends = np.unique(np.concatenate([np.array(interval), target.knots(*interval)]))
    steep = target.slopes(ends[:-1, None], ends[1:, None])[1][0]
    return Slope(float(steep.magnitude.max()), float(steep.mignitude.max()), "certified")


def largest(enclose: Callable[[Array, Array], Interval], ends: Array, **settings: Any) -> Supremum:
    """The supremum of a function on an interval, by branch and bound.

    Args:
        enclose: (k, 1) lower and upper ends of cells to intervals that hold the function.
        ends: of the cells to begin with, ascending.
        settings: those of `supremum`.
    """

    def bound(lo: Array, hi: Array) -> tuple[Array, Array, Array]:
        middle = lo + (hi - lo) / 2
        return enclose(middle, middle).lo, enclose(lo, hi).hi, middle

    return supremum(bound, ends[:-1, None], ends[1:, None], **settings)


def _delta(target: Target, interval: tuple[float, float]) -> float:
    """δ with f in [δ, 1 − δ] everywhere on the interval, certified.

    Raises:
        InputError: f leaves (0, 1), or cannot be told from doing so.
    """
    ends = np.linspace(*interval, 1025)
    ends = np.unique(np.concatenate([ends, target.knots(*interval)]))
    delta = math.inf
    for sign, enclose in ((-1.0, lambda lo, hi: -target.enclose(lo, hi)), (1.0, target.enclose)):
        extreme = largest(enclose, ends, absolute=1e-7, relative=1e-7)
        room = 1 - extreme.upper if sign > 0 else -extreme.upper
        if room <= 0:
            raise InputError(
                f"output: sigmoid: has values in (0, 1), but {target.text} comes to "
                f"{sign * extreme.lower:.6g} at x = {extreme.at[0]:.6g}; use output: identity, or a target "
                "inside (0, 1)"
            )
        delta = min(delta, room)
    return delta


def _logit_slope(target: Target, interval: tuple[float, float], slope: Slope, delta: float) -> Slope:
    """The Lipschitz constant of σ⁻¹∘f: certified from its own expression, else L/(δ(1 − δ))."""
    general = slope.upper / (delta * (1 - delta)) if slope.upper else 0.0
    if slope.source == "given" or not isinstance(target, ExpressionTarget):
        return Slope(general, 0.0, slope.source, slope.place)
    body = NAMED.get(target.text.strip(), target.text)
    logit = _certified_slope(make_target(f"log(({body})/(1 - ({body})))", 1), interval)
    return Slope(min(logit.upper, general), logit.lower, "certified", logit.place)


def _bins(
    config: BinsSettings, target: Target, interval: tuple[float, float], slope: Slope | None
) -> tuple[int, ...]:
    """The numbers of bins in the config, and the one that ε needs and one more."""
    if config.epsilon is None:
        return tuple(config.bins or DEFAULT_BINS)
    assert slope is not None
    if not math.isfinite(slope.upper):
        raise InputError(
            f"epsilon: {config.epsilon:g}: {_no_slope(target, interval, slope)}, so no "
            "number of bins follows from it; give lipschitz: if you know a constant that "
            "serves, or bins: in place of epsilon"
        )
    # a sigmoid passes on at most a quarter of an error of its logit
    allowed = 4 * config.epsilon if config.output == "sigmoid" else config.epsilon
    heights: Heights = "left" if config.heights == "left" and config.construction != "hats" else "midpoint"
    needed = bins_for(slope.upper, allowed, interval[1] - interval[0], heights)
    more = (needed, needed + 1)
    return (*(bins for bins in config.bins or () if bins not in more), *more)
