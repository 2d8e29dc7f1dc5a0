"""Claims: what theory predicts, what was measured, and the one rule that turns both into a verdict.

A verdict must be able to go wrong. A point prediction therefore stands beside rivals, values that the
quantity would have if the theory were false in a way worth excluding: an interval wide enough to hold
everything passes nothing.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from nnlab import display
from nnlab.theory.intervals import CONFIDENCE, LEVEL, NO_INTERVAL, Interval, mean_interval

Prediction: TypeAlias = float | tuple[float | None, float | None]
"""A number, or a closed range (low, high) with None for an end that is open: an inequality."""

Verdict: TypeAlias = Literal["PASS", "FAIL", "INCONCLUSIVE"]


@dataclass(frozen=True, repr=False)
class Claim:
    """A statement of the theory, held against a measurement.

    Attributes:
        name: short and unique within an experiment.
        sentence: the claim in words.
        formula: the claim in symbols.
        hypotheses: under which it is a theorem.
        predicted: a number, or a range (low, high) with None for an open end.
        rivals: the values that other explanations predict, by their label.
        measured: the measured value; NaN or infinite where the measurement failed.
        interval: (low, high) around it, (None, None) where there is none.
        seeds: number of independent samples behind it.
        rule: the reason for the verdict, in a sentence.
        verdict: PASS, FAIL or INCONCLUSIVE.
        predicted_by: where the prediction comes from: full names of functions, or the closed form in words.
        measured_by: full names of the functions that measure; other code than that of the prediction.
    """

    name: str
    sentence: str
    formula: str
    hypotheses: Sequence[str]
    predicted: Prediction
    rivals: Mapping[str, float]
    measured: float
    interval: Interval
    seeds: int
    rule: str
    verdict: Verdict
    predicted_by: str = ""
    measured_by: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The claim as JSON can hold it: a range is a list, a number that is not finite is None."""
        return vars(self) | {
            "predicted": list(self.predicted) if isinstance(self.predicted, tuple) else self.predicted,
            "measured": _finite_or_none(self.measured),
            "interval": list(self.interval),
        }

    def __repr__(self) -> str:
        return f"<Claim {self.name!r}: {self.verdict}, predicted {_text(self.predicted)}, {self.rule}>"

    def _repr_html_(self) -> str:
        fields = {
            key: value for key, value in vars(self).items() if key not in ("name", "hypotheses", "rivals")
        }
        fields["hypotheses"] = "; ".join(self.hypotheses)
        fields["rivals"] = "; ".join(
            f"{label}: {display.cell(value)}" for label, value in self.rivals.items()
        )
        return display.table(("claim", self.name), fields.items())


def judge(predicted: Prediction, rivals: Mapping[str, float], interval: Interval) -> tuple[Verdict, str]:
    """Judges a prediction by an interval.

    A point prediction: PASS where the interval contains it and excludes every rival, FAIL where the interval
    excludes it, else INCONCLUSIVE. A range: PASS where the interval lies inside, FAIL where it lies wholly
    outside, else INCONCLUSIVE. Intervals and ranges contain their ends.

    Without a finite interval the verdict is INCONCLUSIVE: a measurement that failed neither supports the
    theory nor contradicts it, and can never pass.

    Returns:
        The verdict, and the reason as the end of a sentence.

    Raises:
        ValueError: a prediction or rival that is not finite, a range that is empty or open at both ends, a
            rival that the prediction itself allows, or an interval whose ends are the wrong way round.
    """
    least, most = _range_of(predicted, rivals)
    low, high = interval
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        return "INCONCLUSIVE", "there is no finite interval to hold against the prediction"
    if low > high:
        raise ValueError(f"interval [{low}, {high}]: its low end is above its high end")
    expected = _text(predicted)
    if isinstance(predicted, tuple):
        if least <= low and high <= most:
            return "PASS", f"it lies inside the predicted range {expected}"
        if high < least or most < low:
            return "FAIL", f"it lies outside the predicted range {expected}"
        return "INCONCLUSIVE", f"it lies partly inside and partly outside the predicted range {expected}"
    if not low <= predicted <= high:
        return "FAIL", f"it excludes the predicted {expected}"
    contained = [label for label, value in rivals.items() if low <= value <= high]
    if contained:
        return "INCONCLUSIVE", f"it contains the predicted {expected}, but also {_listed(rivals, contained)}"
    excluded = f" and excludes {_listed(rivals, list(rivals))}" if rivals else ""
    return "PASS", f"it contains the predicted {expected}{excluded}"


def _range_of(predicted: Prediction, rivals: Mapping[str, float]) -> tuple[float, float]:
    """The ends of the predicted range; a number is both. Raises ValueError as `judge` says."""
    least, most = predicted if isinstance(predicted, tuple) else (predicted, predicted)
    ends = [end for end in (least, most) if end is not None]
    if not ends or not all(map(math.isfinite, ends)):
        problem = "a range needs one finite end, and None for an open one"
        raise ValueError(
            f"predicted {predicted}: {problem if isinstance(predicted, tuple) else 'not a finite number'}"
        )
    least, most = -math.inf if least is None else least, math.inf if most is None else most
    if least > most:
        raise ValueError(f"predicted {predicted}: its low end is above its high end")
    for label, value in rivals.items():
        if not math.isfinite(value):
            raise ValueError(f"rival {label}: {value} is not a finite number")
        if least <= value <= most:
            raise ValueError(
                f"rival {label}: {value} fulfils the prediction {predicted}; no data can exclude it"
            )
    return least, most


def _text(predicted: Prediction) -> str:
    if not isinstance(predicted, tuple):
        return f"{predicted:.6g}"
    low, high = predicted
    if low is None:
        return f"≤ {high:.6g}"
    return f"≥ {low:.6g}" if high is None else f"[{low:.6g}, {high:.6g}]"


def _listed(rivals: Mapping[str, float], labels: Sequence[str]) -> str:
    return ", ".join(f"{rivals[label]:.6g} ({label})" for label in labels)


def _finite_or_none(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None


def interval_claim(
    name: str,
    sentence: str,
    formula: str,
    hypotheses: Sequence[str],
    *,
    predicted: Prediction,
    measured: float,
    interval: Interval,
    seeds: int,
    how: str,
    rivals: Mapping[str, float] | None = None,
    random: bool = True,
    predicted_by: str = "",
    measured_by: str = "",
) -> Claim:
    """A claim about a quantity whose interval comes from any method that fits it.

    Args:
        name, sentence, formula, hypotheses: see Claim.
        predicted: a number, or a range (low, high) with None for an open end.
        measured: the point estimate.
        interval: (low, high), or (None, None) where there is none.
        seeds: number of independent samples.
        how: the kind of interval, as the beginning of a sentence: "99.99% Wilson interval over 500 trials".
        rivals: required for a point prediction of a random quantity.
        random: False for a quantity without randomness, see `exact_claim`.
        predicted_by, measured_by: see Claim.

    Raises:
        ValueError: a point prediction of a random quantity without a rival, or what `judge` refuses.
    """
    rivals = rivals or {}
    if random and not isinstance(predicted, tuple) and not rivals:
        raise ValueError(
            f"claim {name}: a point prediction of a random quantity needs a rival to exclude; "
            "otherwise a wide enough interval always passes"
        )
    verdict, reason = judge(predicted, rivals, interval)
    low, high = (_finite_or_none(end) for end in interval)
    ends = "" if low is None or high is None else f" [{low:.6g}, {high:.6g}]"
    return Claim(
        name=name,
        sentence=sentence,
        formula=formula,
        hypotheses=list(hypotheses),
        predicted=_plain(predicted),
        rivals={label: float(value) for label, value in rivals.items()},
        measured=float(measured),
        interval=(low, high),
        seeds=seeds,
        rule=f"{how}{ends}: {reason}.",
        verdict=verdict,
        predicted_by=predicted_by,
        measured_by=measured_by,
    )


def _plain(predicted: Prediction) -> Prediction:
    """The prediction in numbers of Python, as NumPy's are not JSON."""
    if isinstance(predicted, tuple):
        low, high = predicted
        return (None if low is None else float(low), None if high is None else float(high))
    return float(predicted)


def measured_claim(
    name: str,
    sentence: str,
    formula: str,
    hypotheses: Sequence[str],
    *,
    predicted: Prediction,
    values: ArrayLike,
    rivals: Mapping[str, float] | None = None,
    predicted_by: str = "",
    measured_by: str = "",
) -> Claim:
    """A claim about the mean of a random quantity, from one sample per seed, by its 99.99% t-interval.

    A single sample has no interval: INCONCLUSIVE. A quantity that does not vary over seeds belongs into
    `exact_claim`, whose tolerance forgives rounding.

    Args:
        name, sentence, formula, hypotheses: see Claim.
        predicted: a number, or a range (low, high) with None for an open end.
        values: (S,) independent samples, one per seed.
        rivals: as for `interval_claim`.
        predicted_by, measured_by: see Claim.

    Raises:
        ValueError: no samples, a point prediction without a rival, or what `judge` refuses.
    """
    mean, low, high = mean_interval(values, CONFIDENCE)
    seeds, lost = np.size(values), int(np.sum(~np.isfinite(np.asarray(values, dtype=np.float64))))
    how = f"{LEVEL} t-interval of the mean over {seeds} seeds"
    return interval_claim(
        name,
        sentence,
        formula,
        hypotheses,
        predicted=predicted,
        measured=mean,
        interval=(low, high),
        seeds=seeds,
        how=f"{lost} of {seeds} values are not finite" if lost else how,
        rivals=rivals,
        predicted_by=predicted_by,
        measured_by=measured_by,
    )


def exact_claim(
    name: str,
    sentence: str,
    formula: str,
    hypotheses: Sequence[str],
    *,
    predicted: Prediction,
    measured: float,
    tolerance: float,
    rivals: Mapping[str, float] | None = None,
    seeds: int = 1,
    predicted_by: str = "",
    measured_by: str = "",
) -> Claim:
    """A claim about a quantity without randomness: the interval is measured ± tolerance.

    Args:
        name, sentence, formula, hypotheses: see Claim.
        predicted: a number, or a range (low, high) with None for an open end.
        measured: the value; one that is not finite is INCONCLUSIVE, as in `judge`.
        tolerance: half the interval's width, absolute: what rounding or discretization may cost.
        rivals: optional here, as the tolerance is stated beforehand.
        seeds: number of starts behind the value, such as when it is the worst of several (`worst`).
        predicted_by, measured_by: see Claim.

    Raises:
        ValueError: a tolerance that is negative or not finite, or what `judge` refuses.
    """
    if not (tolerance >= 0 and math.isfinite(tolerance)):
        raise ValueError(f"claim {name}: tolerance {tolerance} must be finite and at least 0")
    measured = float(measured)
    interval = (measured - tolerance, measured + tolerance) if math.isfinite(measured) else NO_INTERVAL
    return interval_claim(
        name,
        sentence,
        formula,
        hypotheses,
        predicted=predicted,
        measured=measured,
        interval=interval,
        seeds=seeds,
        how=f"measured value ± tolerance {tolerance:.3g}"
        if math.isfinite(measured)
        else f"measured value {measured}",
        rivals=rivals,
        random=False,
        predicted_by=predicted_by,
        measured_by=measured_by,
    )


def worst(*values: ArrayLike) -> float:
    """Returns the largest absolute value of all entries, and NaN where one is not finite.

    Python's `max` passes over a NaN that does not come first: max(1e-8, nan) is 1e-8.

    Args:
        values: numbers or arrays of any shapes, at least one entry in all.

    Raises:
        ValueError: no entries.
    """
    entries = np.concatenate([np.ravel(np.asarray(value, dtype=np.float64)) for value in values])
    return float(np.abs(entries).max()) if np.isfinite(entries).all() else math.nan
