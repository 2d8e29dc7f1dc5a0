"""The laws by which weights and tangent kernels scale with the width m, and the claims that test them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnlab.chapters.widths.schema import CLAIM, WHOLE, Family, Setting
from nnlab.theory import Claim, exact_claim, exponent_claim, interval_claim, proportion_interval
from nnlab.theory.exponents import ExponentFit

Array = NDArray[Any]

TOLERANCE = 0.2
"""The largest difference between an exponent over finite widths and that of m → ∞: less than half of the ½
between two exponents that theory tells apart. With kinks, corrections fall only like 1/√m."""
NEAR_TWO = 0.25
"""The distance from 2 that ηλmax(H₀) must have to decide what a run does: just above 2 the kernel flattens
before the loss has risen above its initial value."""
KINKED = ("relu", "leaky_relu", "maxout")
POWERS = {
    -2.5: "m^(-5/2)", -2.0: "1/m²", -1.5: "m^(-3/2)", -1.0: "1/m", -0.5: "1/√m", 0.0: "no dependence on m",
    0.5: "√m", 1.0: "m", 1.5: "m^(3/2)",
}  # fmt: skip


@dataclass(frozen=True)
class Law:
    """A quantity Q behaves like a power of m between m^low and m^high as m → ∞.

    Attributes:
        quantity: its name in results and metrics.
        label: its name in a figure.
        symbol: Q as a formula.
        words: the law, as the end of a sentence.
    """

    quantity: str
    label: str
    symbol: str
    words: str
    low: float
    high: float

    @property
    def formula(self) -> str:
        if self.low == self.high:
            return f"{self.symbol} = Θ({POWERS[self.low] if self.low else '1'})"
        return f"{self.symbol} between {POWERS[self.low]} and {POWERS[self.high]}"

    @property
    def predicted(self) -> tuple[float, float]:
        """The exponents that finite widths may show."""
        return self.low - TOLERANCE, self.high + TOLERANCE

    @property
    def rivals(self) -> dict[str, float]:
        """The nearest other powers."""
        return {POWERS[value]: value for value in (self.low - 0.5, self.high + 0.5)}


def laws(family: Family, activation: str) -> list[Law]:
    """The laws of the relative changes as m → ∞, for N fixed points on the line.

    A step size in proportion to 1/λmax(H) leads the outputs along one path at every width. A layer then moves
    by ‖ΔW‖ ~ η ‖∂f/∂W‖, and ΔW has a rank of at most about N. Frobenius norms, without constants:

    | parameterization | layer | ‖∂f/∂W‖ | η | ‖ΔW‖ | ‖W₀‖ | relative change |
    | --- | --- | --- | --- | --- | --- | --- |
    | ntk | first, last | 1 | 1 | 1 | √m | 1/√m |
    | ntk | between | 1 | 1 | 1 | m | 1/m |
    | standard | first | 1 | 1/m | 1/m | √m | m^(-3/2) |
    | standard | between | √m | 1/m | 1/√m | √m | 1/m |
    | standard | last | √m | 1/m | 1/√m | 1 | 1/√m |

    Summing squares, the whole vector moves by 1/√m with one hidden layer in the ntk parameterization and by
    1/m in all other cases. The operator norm of a matrix of low rank is as large as its Frobenius norm, that
    of a random m × m matrix is smaller by a factor √m: relative to W₀ the layers between move by 1/√m.

    The kernel of a smooth activation changes relatively by 1/m (Dyer & Gur-Ari 2020, "Asymptotics of wide
    networks from Feynman diagrams"; Huang & Yau 2020, "Dynamics of deep neural networks and neural tangent
    hierarchy"); proven is at most 1/√m (Lee et al. 2019, "Wide neural networks of any depth evolve as linear
    models under gradient descent"). With a kink, about √m of the m units switch at one of the points, and
    since their gradient jumps as they do, those that switch on and off do not cancel: 1/√m in the end, but
    where m is small the part 1/m weighs too, so that the claim is the range. With one hidden layer in the
    standard parameterization the kernel is, but for 1/m of it, that of the last layer, whose inputs move by
    m^(-3/2) each, in directions that nearly cancel: 1/m².
    """
    ntk, deep = family.parameterization == "ntk", family.depth > 1
    whole, first = (-0.5 if ntk and not deep else -1.0), (-0.5 if ntk else -1.5)
    aside = "" if whole == -0.5 else ", not like 1/√m"
    table = [
        (WHOLE, "whole vector", "‖w − w₀‖/‖w₀‖",
         f"the relative change of all weights scales like {POWERS[whole]}{aside}", whole),
        ("first_layer", "first layer", "‖W₁ − W₁(0)‖/‖W₁(0)‖",
         f"the relative change of the first layer scales like {POWERS[first]}", first),
    ]  # fmt: skip
    if deep:
        words = "in operator norm the relative change of the second layer scales like 1/√m"
        symbol = "‖W₂ − W₂(0)‖₂/‖W₂(0)‖₂"
        table.append(("second_layer", "second layer, operator norm", symbol, words, -0.5))
    return [*(Law(*row, row[-1]) for row in table), _drift_law(family, activation)]


def _drift_law(family: Family, activation: str) -> Law:
    name = ("kernel_drift", "tangent kernel", "‖H − H₀‖/‖H₀‖")
    if family == Family(1, "standard"):
        return Law(*name, "the tangent kernel changes like 1/m²", -2.0, -2.0)
    if activation in KINKED:
        return Law(*name, "the tangent kernel changes at most like 1/√m and at least like 1/m", -1.0, -0.5)
    return Law(*name, "the tangent kernel changes like 1/m", -1.0, -1.0)


def lambda_law(family: Family) -> Law:
    """The kernel of the ntk parameterization has a limit; in the other, its largest part grows like m."""
    name = ("lambda_max", "largest eigenvalue", "λmax(H₀)")
    if family.parameterization == "ntk":
        return Law(*name, "λmax(H₀) does not depend on the width", 0.0, 0.0)
    return Law(*name, "λmax(H₀) grows like m, and the largest stable step size falls like 1/m", 1.0, 1.0)


def law_claim(name: str, subject: str, law: Law, fit: ExponentFit, hypotheses: Sequence[str]) -> Claim:
    """A law against the exponent that was fitted over the widths."""
    return exponent_claim(
        CLAIM.format(key=name, quantity=law.quantity),
        sentence=f"{subject}: {law.words}.",
        formula=law.formula,
        hypotheses=[*hypotheses, f"finite widths: the exponent may be off by {TOLERANCE:g}"],
        fit=fit,
        predicted=law.predicted,
        rivals=law.rivals,
    )


def climbing_claim(
    setting: Setting, eta_lambda_max: Array, climbed: Array, hypotheses: Sequence[str]
) -> Claim:
    """The loss rises above its initial value exactly where ηλmax(H₀) > 2.

    Args:
        eta_lambda_max: (W, S), known before the runs.
        climbed: (W, S), whether the highest loss of the run was above the first.
    """
    clear = np.abs(eta_lambda_max - 2) > NEAR_TWO
    right = int((clear & (climbed == (eta_lambda_max > 2))).sum())
    total = int(clear.sum())
    return interval_claim(
        f"climbs_above_2_{setting.key}",
        sentence=f"{setting}: the loss rises above its initial value exactly where ηλmax(H₀) > 2.",
        formula="|1 − ηλmax| > 1  ⟺  η > 2/λmax",
        hypotheses=[*hypotheses, f"without the runs with |ηλmax − 2| ≤ {NEAR_TWO:g}"],
        predicted=(0.9, None),
        rivals={"as good as a coin": 0.5},
        measured=right / total if total else np.nan,
        interval=proportion_interval(right, total),
        seeds=total,
        how=f"95% Wilson interval of the fraction of {total} runs that behave as ηλmax(H₀) predicts",
    )


def crossing_claim(
    setting: Setting, widths: Sequence[int], eta_lambda_max: Array, climbed: Array, hypotheses: Sequence[str]
) -> Claim | None:
    """The narrowest width at which most losses climb is the one where the median ηλmax(H₀) crosses 2.

    Args:
        widths: ascending.
        eta_lambda_max, climbed: as for `climbing_claim`.

    Returns:
        None where the step size is stable at all widths, or at none.
    """
    medians = np.median(eta_lambda_max, 1)
    low, high = (crossing(widths, medians > 2 + side * NEAR_TWO) for side in (-1, 1))
    if low is None or high is None or low == widths[0]:
        return None
    measured = crossing(widths, climbed.mean(1) > 0.5)
    return exact_claim(
        f"crossing_{setting.key}",
        sentence=f"{setting}: the step size that is stable at m = {widths[0]} no longer is from m = "
        f"{low if low == high else f'{low} or {high}'} on.",
        formula="ηλmax(H₀) crosses 2",
        hypotheses=[
            *hypotheses,
            f"predicted: from the first median over the seeds above {2 - NEAR_TWO:g} to the first above "
            f"{2 + NEAR_TWO:g}; measured: the first width at which more than half of the losses climb",
        ],
        predicted=(float(low), float(high)),
        rivals={f"m = {width}": float(width) for width in widths if not low <= width <= high},
        measured=float(measured or 0),
        tolerance=0.0,
        seeds=eta_lambda_max.shape[1],
    )


def crossing(widths: Sequence[int], flags: Array) -> int | None:
    """The first of ascending widths with its flag set."""
    return next((width for width, flag in zip(widths, flags, strict=True) if flag), None)
