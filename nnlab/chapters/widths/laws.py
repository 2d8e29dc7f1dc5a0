"""The laws by which weights and tangent kernels scale with the width m, and the claims that test them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnlab.chapters.widths.linear import FIRST, SECOND
from nnlab.chapters.widths.schema import CLAIM, PREFACTOR, WHOLE, Family, Setting
from nnlab.models import get_activation
from nnlab.theory import Claim, exact_claim, exponent_claim
from nnlab.theory.exponents import ExponentFit
from nnlab.theory.limits import LimitFit, limit_claim

Array = NDArray[Any]

NEAR_TWO = 0.25
"""The distance from 2 that ηλmax must have to say what a run does: just above 2 the kernel flattens before
the loss has risen above its initial value."""
EDGE_TOLERANCE = {"float64": 1e-3, "float32": 2e-2}
"""Of ηλmax at the edge: residuals of 1e-6 and 1e-3 of that of training move the kernel by so little, and
rounding them costs less."""
POWERS = {
    -2.5: "1/√m⁵", -2.0: "1/m²", -1.5: "1/√m³", -1.0: "1/m", -0.5: "1/√m", 0.0: "no dependence on m",
    0.5: "√m", 1.0: "m", 1.5: "√m³",
}  # fmt: skip


@dataclass(frozen=True)
class Law:
    """A quantity Q behaves like a power of m between m^low and m^high as m → ∞.

    Attributes:
        quantity: its name in results and metrics.
        label: its name in a figure.
        symbol: Q as a formula.
        words: the law, as the end of a sentence.
        rates: the powers of 1/m by which Q is off at finite widths, relative to the law.
    """

    quantity: str
    label: str
    symbol: str
    words: str
    low: float
    high: float
    rates: tuple[float, ...]

    @property
    def formula(self) -> str:
        if self.low == self.high:
            return f"{self.symbol} = Θ({POWERS[self.low] if self.low else '1'})"
        return f"{self.symbol} between {POWERS[self.low]} and {POWERS[self.high]}"

    @property
    def predicted(self) -> float | tuple[float, float]:
        """The exponent, or the range of effective exponents of a sum of two powers with positive factors."""
        return self.low if self.low == self.high else (self.low, self.high)

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
    networks from Feynman diagrams"; Huang & Yau 2020, "Dynamics of deep neural networks and neural
    tangent hierarchy"), its Jacobian by 1/√m (Lee et al. 2019, "Wide neural networks of any depth evolve
    as linear models under gradient descent", lemma 1). With a kink, the kink of a unit lies within 1/√m
    of a point with a chance of 1/√m, so that about √m of the m units switch there. Since a unit's
    gradient jumps as it switches, those that switch on and off do not cancel in H, which changes by 1/√m
    (`kinks` has the factor), at random by m^(-3/4) and by 1/m beside it, so that its norm falls like a power
    between; the outputs are off by 1/√m. The Jacobian changes more slowly yet, and
    nothing is claimed of it. With one hidden layer in the standard parameterization the kernel is, but
    for 1/m of it, that of the last layer, whose inputs move by m^(-3/2) each, in directions that nearly
    cancel: 1/m².
    """
    ntk, deep = family.parameterization == "ntk", family.depth > 1
    whole, first = (-0.5 if ntk and not deep else -1.0), (-0.5 if ntk else -1.5)
    aside = "" if whole == -0.5 else ", not like 1/√m"
    kinked = get_activation(activation).has_kink
    rates = (0.5, 1.0) if kinked else (1.0,)
    table = [
        (WHOLE, "whole vector", "‖w − w₀‖/‖w₀‖",
         f"the relative change of all weights tends to a power law {POWERS[whole]}{aside}", whole),
        (FIRST, "first layer", "‖W₁ − W₁(0)‖/‖W₁(0)‖",
         f"the relative change of the first layer tends to a power law {POWERS[first]}", first),
    ]  # fmt: skip
    if deep:
        words = "in operator norm the relative change of the second layer tends to a power law 1/√m"
        symbol = "‖W₂ − W₂(0)‖₂/‖W₂(0)‖₂"
        table.append((SECOND, "second layer, operator norm", symbol, words, -0.5))
    found = [Law(*row, row[-1], rates) for row in table]
    if not ntk:  # the first layer, slow and a small part of the kernel, is off by one power alone
        found[1] = replace(found[1], rates=rates[:1])
    found.append(_drift_law(family, kinked))
    if ntk and not kinked:
        words = "the change of the derivatives ∇_w f tends to a power law 1/√m"
        found.append(Law("jacobian_drift", "derivatives", "‖J − J₀‖/‖J₀‖", words, -0.5, -0.5, (1.0,)))
    if ntk and not (kinked and deep):
        power = -0.5 if kinked else -1.0
        words = f"what H₀ predicts becomes exact, with an error that tends to a power law {POWERS[power]}"
        symbol = "sup_k ‖u_k − (I − ηH₀)ᵏu₀‖/‖u₀‖"
        found.append(Law("residual_error", "error of the prediction", symbol, words, power, power, rates[:1]))
    return found


def _drift_law(family: Family, kinked: bool) -> Law:
    name, words = ("kernel_drift", "tangent kernel", "‖H − H₀‖/‖H₀‖"), "the change of the tangent kernel"
    if family == Family(1, "standard"):
        return Law(*name, f"{words} tends to a power law 1/m²", -2.0, -2.0, (0.5,) if kinked else (1.0,))
    if kinked:
        both = f"{words} falls like 1/√m and 1/m together: over some widths, like a power between"
        return Law(*name, both, -1.0, -0.5, (0.5, 1.0))
    return Law(*name, f"{words} tends to a power law 1/m", -1.0, -1.0, (1.0,))


def lambda_law(family: Family) -> Law:
    """The kernel of the ntk parameterization has a limit; in the other, its largest part grows like m."""
    name = ("lambda_max", "largest eigenvalue", "λmax(H₀)")
    if family.parameterization == "ntk":
        return Law(*name, "λmax(H₀) does not depend on the width", 0.0, 0.0, (1.0,))
    words = "λmax(H₀) grows like m, and the largest stable step size falls like 1/m"
    return Law(*name, words, 1.0, 1.0, (1.0,))


MEASURED_BY = {
    WHOLE: "nnlab.training.ensemble.descend, nnlab.training.ensemble.weight_change",
    FIRST: "nnlab.training.ensemble.descend, nnlab.training.ensemble.weight_change",
    SECOND: "nnlab.training.ensemble.descend, nnlab.chapters.widths.study.operator_norm",
    "kernel_drift": "nnlab.training.ensemble.descend, nnlab.training.ensemble.Ensemble.tangent_kernel",
    "jacobian_drift": "nnlab.training.ensemble.descend, nnlab.training.ensemble.Ensemble.tangent_kernel",
    "residual_error": "nnlab.training.ensemble.descend, nnlab.ntk.gradient_descent",
    "lambda_max": "nnlab.training.ensemble.Ensemble.tangent_kernel, torch.linalg.eigvalsh",
}
LINEAR = "nnlab.chapters.widths.linear.Linear"


def power_claim(
    name: str, subject: str, law: Law, fit: ExponentFit, hypotheses: Sequence[str], *, reduced: bool
) -> Claim:
    """A law against the power that the local slopes over the widths go to.

    Args:
        reduced: whether the scatter of the starts was divided out by the linearized network's prediction.
    """
    said = ["each value over the linearized network's for the same start"] if reduced else []
    return exponent_claim(
        CLAIM.format(key=name, quantity=law.quantity),
        sentence=f"{subject}: {law.words}.",
        formula=law.formula,
        hypotheses=[*hypotheses, *said],
        fit=fit,
        predicted=law.predicted,
        rivals=law.rivals,
        predicted_by="nnlab.chapters.widths.laws.laws",
        measured_by=f"{MEASURED_BY[law.quantity]}, nnlab.theory.exponents.fit_exponent",
    )


def value_claim(name: str, subject: str, law: Law, fit: LimitFit, hypotheses: Sequence[str]) -> Claim:
    """Claims the power and the factor before it: the ratio to what the infinitely wide network predicts."""
    return limit_claim(
        (PREFACTOR if law.quantity == WHOLE else CLAIM).format(key=name, quantity=law.quantity),
        sentence=f"{subject}: {law.words}, with the factor that the infinitely wide network predicts.",
        formula=f"{law.symbol} over its value for the limit of H: → 1 as m → ∞",
        hypotheses=hypotheses,
        fit=fit,
        predicted=1.0,
        rivals={
            "a smaller power of m": 0.0, "half": 0.5, "1/√2 of it": 0.5**0.5,
            "√2 times it": 2**0.5, "twice": 2.0, "a larger power of m": max(fit.sizes) ** 0.5,
        },
        predicted_by=f"{LINEAR}.{'lambda_max' if law.quantity == 'lambda_max' else 'changes'}",
        measured_by=MEASURED_BY[law.quantity],
    )  # fmt: skip


def switching_claim(name: str, subject: str, fit: LimitFit, hypotheses: Sequence[str]) -> Claim:
    """Claims power and factor of the change of a kernel by units that switch."""
    return limit_claim(
        CLAIM.format(key=name, quantity="kernel_drift"),
        sentence=f"{subject}: the tangent kernel changes like 1/√m, by the units that switch at a point.",
        formula="⟨H − H₀, P/√m⟩/‖P/√m‖² → 1 as m → ∞, P from the paths of units whose kink is near a point",
        hypotheses=hypotheses,
        fit=fit,
        predicted=1.0,
        rivals={
            "units that switch on and off cancel": 0.0, "half": 0.5, "twice": 2.0,
            "a larger power of m": max(fit.sizes) ** 0.25,
        },
        predicted_by="nnlab.chapters.widths.kinks.kernel_change",
        measured_by=MEASURED_BY["kernel_drift"],
    )  # fmt: skip


def edge_claim(
    family: Family, products: Sequence[float], growth: Array, hypotheses: Sequence[str], tolerance: float
) -> Claim:
    """A small residual along the leading mode grows exactly where ηλmax(H₀) > 2.

    Args:
        products: (K,) ηλmax(H₀) of the sweep, ascending.
        growth: (W, S, K) the factor per step.
    """
    edges = thresholds(products, growth)
    farthest = edges.ravel()[np.abs(edges.ravel() - 2).argmax()] if np.isfinite(edges).all() else np.nan
    return exact_claim(
        f"climbs_above_2_{family.key}",
        sentence=f"{family}: a small residual along the leading mode grows exactly where ηλmax(H₀) > 2.",
        formula="|1 − ηλmax| > 1  ⟺  η > 2/λmax; the ηλmax(H₀) where it begins to grow, farthest from 2",
        hypotheses=[
            *hypotheses,
            f"first steps, η swept over {products[0]:g} … {products[-1]:g} over λmax(H₀)",
        ],
        predicted=2.0,
        measured=float(farthest),
        tolerance=tolerance,
        rivals={"1/λmax": 1.0, "1.5/λmax": 1.5, "3/λmax": 3.0, "4/λmax": 4.0},
        seeds=edges.size,
        predicted_by="closed form: 2, in units of nnlab.training.ensemble.Ensemble.tangent_kernel",
        measured_by="nnlab.training.ensemble.descend",
    )


def thresholds(products: Sequence[float], growth: Array) -> Array:
    """(...,) products at which the growth (..., K) passes 1, by straight lines.

    An end of the sweep where the growth is on one side of 1 all along; NaN where it is not known.
    """
    x, above = np.asarray(products), growth > 1
    last = np.clip(above.argmax(-1), 1, None)
    high, low = (np.take_along_axis(growth, (last - side)[..., None], -1)[..., 0] for side in (0, 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        at = x[last - 1] + (1 - low) / (high - low) * (x[last] - x[last - 1])
    at = np.where(above.any(-1), np.where(above[..., 0], x[0], at), x[-1])
    return np.where(np.isfinite(growth).all(-1), at, np.nan)


def crossing_claim(
    setting: Setting, widths: Sequence[int], predicted: Array, climbed: Array, hypotheses: Sequence[str]
) -> Claim | None:
    """The narrowest width at which most losses climb is the one at which ηλmax of the limit crosses 2.

    Args:
        widths: ascending.
        predicted: (W,) ηλmax of the kernel of infinite width, in the parameterization's scale at each width.
        climbed: (W, S), whether the highest loss of the run was above the first.

    Returns:
        None where the step size is stable at all widths, or at none.
    """
    low, high = (crossing(widths, predicted > 2 + side * NEAR_TWO) for side in (-1, 1))
    if low is None or high is None or low == widths[0]:
        return None
    measured = crossing(widths, climbed.mean(1) > 0.5)
    return exact_claim(
        f"crossing_{setting.key}",
        sentence=f"{setting}: the step size that is stable at m = {widths[0]} no longer is from m = "
        f"{low if low == high else f'{low} or {high}'} on.",
        formula="ηλmax crosses 2; λmax of Σ H_l/a_l², H_l the layers' parts of the kernel of infinite width",
        hypotheses=[
            *hypotheses,
            f"predicted: from the first width with ηλmax above {2 - NEAR_TWO:g} to the first above "
            f"{2 + NEAR_TWO:g}; measured: the first at which more than half of the losses climb",
        ],
        predicted=float(low) if low == high else (float(low), float(high)),
        rivals={f"m = {width}": float(width) for width in widths if not low <= width <= high},
        measured=float(measured or 0),
        tolerance=0.0,
        seeds=climbed.shape[1],
        predicted_by=f"{LINEAR}.lambda_max, nnlab.ntk.infinite_ntk",
        measured_by="nnlab.training.ensemble.descend",
    )


def crossing(widths: Sequence[int], flags: Array) -> int | None:
    """The first of ascending widths with its flag set."""
    return next((width for width, flag in zip(widths, flags, strict=True) if flag), None)
