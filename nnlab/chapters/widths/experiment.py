"""The distance that the weights of a network move in training, by its width."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np
import torch

from nnlab.chapters.widths import schema
from nnlab.chapters.widths.figures import Training, growth_at_the_edge, training_over_widths
from nnlab.chapters.widths.laws import (
    EDGE_TOLERANCE,
    Law,
    crossing,
    crossing_claim,
    edge_claim,
    lambda_law,
    laws,
    power_claim,
    switching_claim,
    value_claim,
)
from nnlab.chapters.widths.linear import FIRST, SECOND
from nnlab.chapters.widths.schema import Family, Setting
from nnlab.chapters.widths.study import SWEPT, Array, Arrays, Settings, Starts, Study, Trained
from nnlab.lab.session import Outcome, Session
from nnlab.plot.powerlaws import scaling_laws
from nnlab.record import Record
from nnlab.record.arrays import under
from nnlab.theory import Claim, ExponentFit, fit_exponent
from nnlab.theory.limits import fit_limit

LEAST_WIDTH = 64  # narrower networks do not follow the power laws yet
QUANTITIES: dict[str, Callable[[Arrays], Array]] = {
    schema.WHOLE: lambda arrays: arrays["change"],
    FIRST: lambda arrays: arrays["layer_change"][:, 0],
    SECOND: lambda arrays: arrays["layer_operator_change"][:, 1],
    "kernel_drift": lambda arrays: arrays["kernel_drift"],
    "jacobian_drift": lambda arrays: arrays["jacobian_drift"],
    "residual_error": lambda arrays: arrays["residual_error"],
}
"""The quantities of the laws for every seed, (S,)."""
DRIFTS = ("kernel_drift", "jacobian_drift", "residual_error")
DRIFT_SEEDS = (
    100  # that a claim about a drift takes: nothing known before training tells which drifts are large
)
CLIMBING_STEPS = 20  # in which a mode of ηλ = 2 + NEAR_TWO grows by 1.25²⁰ = 87, from a small share too
CLIMBED = 1.001  # the highest loss over the first, from which the loss counts as having climbed


class Config(Settings):
    """Trains networks of every width from many seeds; fits how the relative weight change falls with it."""

    experiment: Literal["weight_change"]
    arrays = schema.ARRAYS

    def run(self, record: Record, session: Session) -> Outcome:
        return run(self, record, session)


def run(config: Config, record: Record, session: Session) -> Outcome:
    """Predicts from the kernels at the start which networks are stable and how they scale; then trains."""
    study = Study(config)
    starts = study.starts(session)
    linear = {setting: linear_changes(study, setting, starts) for setting in study.settings()}
    record.start()
    record.predict(predictions(study, starts, linear))
    swept = study.sweep(session)
    trained = study.train(starts, record, session)
    fits: Fits = {
        setting: fits_of(study, setting, by_width, linear[setting]) for setting, by_width in trained.items()
    }
    fits |= {family: lambda_fits(study, family, starts) for family in study.families()}
    arrays = {
        f"{setting.key}/{name}": np.array([measured[name] for measured in by_width])
        for setting, by_width in trained.items()
        for name in by_width[0]
    }
    arrays |= {
        f"{setting.key}/linear/{quantity}": values
        for setting, changes in linear.items()
        for quantity, values in changes.items()
    }
    edge = {"products": np.array(SWEPT), **{family.key: growth for family, growth in swept.items()}}
    arrays |= under(schema.EDGE, edge)
    record.save_arrays(**{schema.WIDTHS: study.widths, schema.CURVE_STEPS: study.recorded, **arrays})
    record.figure("edge", growth_at_the_edge, np.array(SWEPT), {str(f): g for f, g in swept.items()})
    _draw(record, study, trained, fits)
    metrics = {
        schema.METRIC.format(key=setting.key, quantity=fit.law.quantity): fit.exponent.slope
        for setting in trained
        for fit in fits[setting]
    }
    rows = [
        _row(setting, m, a)
        for setting in trained
        for m, a in zip(study.widths, trained[setting], strict=True)
    ]
    return Outcome(metrics, rows, claims_of(study, trained, fits, swept))


# --- predictions and claims -------------------------------------------------------------------------


class Fit(NamedTuple):
    """A law and what was fitted to it.

    Attributes:
        law: the law.
        widths: K widths.
        values: (K, S).
        exponent: of a line through the logarithms.
        reduced: (K, S) the values over those of the linearized network of infinite width, where it is known.
    """

    law: Law
    widths: list[int]
    values: Array
    exponent: ExponentFit
    reduced: Array | None

    @property
    def line(self) -> tuple[list[int], Array, float, Any]:
        """The fit as `scaling_laws` draws it."""
        return self.widths, self.values, self.exponent.slope, self.exponent.interval


Fits = dict[Setting | Family, list[Fit]]
"""The fits of every setting, and that of λmax(H₀) for every family."""
Changes = dict[str, Array]
"""(W, S) relative changes by quantity."""


def linear_changes(study: Study, setting: Setting, starts: Starts) -> Changes:
    """The changes of the weights as the linearized networks of infinite width predict them.

    Empty where no law holds, where their kernel is not known, or each network stops at a step of its own.
    """
    by_width: list[Changes] = []
    if not laws_of(study, setting):
        return {}
    for width in study.widths:
        linear = study.linear(setting.family, width)
        if linear is None or study.config.training.loss_fraction > 0 or linear.lambda_max <= 0:
            return {}
        start = starts[setting.family, width]
        lr = study.config.training.fraction / linear.lambda_max
        if setting.protocol == "constant":
            lr = float(study.step_sizes(setting, start)[0])
        changes = linear.changes(torch.from_numpy(start["residual"]), lr, study.config.training.steps)
        by_width.append({quantity: values.numpy() for quantity, values in changes.items()})
    return {quantity: np.array([changes[quantity] for changes in by_width]) for quantity in by_width[0]}


def predictions(study: Study, starts: Starts, linear: dict[Setting, Changes]) -> dict[str, object]:
    """The predictions of theory, as soon as the kernels at the start are known."""
    written: dict[str, object] = {"stopping_rule": stopping_rule(study)}
    for setting in study.settings():
        by_width = [starts[setting.family, width] for width in study.widths]
        lrs = [study.step_sizes(setting, start) for start in by_width]
        products = [lr * start["eigenvalues"][:, -1] for lr, start in zip(lrs, by_width, strict=True)]
        medians = np.array([np.median(product) for product in products])
        written[setting.key] = {
            "step_size": dict(zip(study.widths, [lr.mean() for lr in lrs], strict=True)),
            "eta_lambda_max": dict(zip(study.widths, medians, strict=True)),
            "share_that_climbs": dict(zip(study.widths, [(p > 2).mean() for p in products], strict=True)),
            "first_width_where_most_climb": crossing(study.widths, medians > 2),
            "exponents": {law.quantity: law.predicted for law in laws_of(study, setting)},
            "changes": {
                quantity: dict(zip(study.widths, values.mean(1), strict=True))
                for quantity, values in linear[setting].items()
            },
        }
    exponents = {family.key: lambda_law(family).predicted for family in study.families()}
    lambdas = {family.key: dict(zip(study.widths, limits_of(study, family), strict=True))
               for family in study.families()}  # fmt: skip
    return {**written, "lambda_max_exponents": exponents, "lambda_max": lambdas}


def limits_of(study: Study, family: Family) -> list[float | None]:
    """λmax of the infinitely wide network in the scale of every width; None where it is not known."""
    linear = [study.linear(family, width) for width in study.widths]
    return [None if one is None else one.lambda_max for one in linear]


def laws_of(study: Study, setting: Setting) -> list[Law]:
    """The laws that hold in a setting.

    In the standard parameterization ηλmax(H) grows with the width under one step size for all widths, so that
    networks of different widths are at different stages of their training: there are none.
    """
    if setting.protocol == "constant" and setting.family.parameterization == "standard":
        return []
    return laws(setting.family, study.config.model.activation)


def fits_of(study: Study, setting: Setting, by_width: list[Arrays], linear: Changes) -> list[Fit]:
    """The exponents over the stable widths from LEAST_WIDTH on, where there are two of them."""
    stable = [
        bool((arrays["eta_lambda_max"] < 2).all() and not arrays["diverged"].any()) for arrays in by_width
    ]
    fits = [
        fit
        for law in laws_of(study, setting)
        for fit in _fitted(
            law, study.widths, stable, [QUANTITIES[law.quantity](arrays) for arrays in by_width],
            linear.get(law.quantity),
        )
    ]  # fmt: skip
    return [_along_prediction(fit, study.widths, by_width) for fit in fits]


def _along_prediction(fit: Fit, widths: list[int], by_width: list[Arrays]) -> Fit:
    """The fit of a kernel's change, with its part along the predicted one where one is predicted."""
    if fit.law.quantity != "kernel_drift":
        return fit
    rows = [arrays["kernel_change"] for m, arrays in zip(widths, by_width, strict=True) if m in fit.widths]
    return fit._replace(reduced=np.array(rows)) if np.isfinite(rows).all() else fit


def lambda_fits(study: Study, family: Family, starts: Starts) -> list[Fit]:
    """The exponent of λmax(H₀) over all widths from LEAST_WIDTH on."""
    values = [starts[family, width]["eigenvalues"][:, -1] for width in study.widths]
    limits = limits_of(study, family)
    known = None if None in limits else np.array(limits, dtype=float)[:, None] * np.ones(len(values[0]))
    return _fitted(lambda_law(family), study.widths, [True] * len(values), values, known)


def _fitted(
    law: Law, widths: list[int], stable: list[bool], values: list[Array], predicted: Array | None
) -> list[Fit]:
    rows = [k for k, m in enumerate(widths) if stable[k] and m >= LEAST_WIDTH and (values[k] > 0).all()]
    if len(rows) < 2:
        return []
    sizes, table = [widths[k] for k in rows], np.array([values[k] for k in rows])
    usable = predicted is not None and bool(
        (predicted[rows] > 0).all() and np.isfinite(predicted[rows]).all()
    )
    reduced = table / predicted[rows] if usable and predicted is not None else None
    return [Fit(law, sizes, table, fit_exponent(sizes, table), reduced)]


def claims_of(study: Study, trained: Trained, fits: Fits, swept: dict[Family, Array]) -> list[Claim]:
    """Every law of every setting; of a second protocol that shares them, the whole vector only."""
    claims = []
    for group, fitted in fits.items():
        if isinstance(group, Family):
            again, hypotheses = False, [*_networks(study, group), "at the start"]
        else:
            again = group.protocol == "constant" and Setting(group.family, "stable") in fits
            hypotheses = _hypotheses(study, group)
        for fit in fitted:
            if fit.law.quantity == schema.WHOLE or not again:
                over = f"fitted over the widths {_listed(fit.widths)}"
                claims += _law_claims(group, fit, [*hypotheses, over])
    tolerance = EDGE_TOLERANCE[study.config.training.precision]
    for family, growth in swept.items():
        over = f"widths {_listed(study.widths)}"
        claims.append(edge_claim(family, SWEPT, growth, [*_networks(study, family), over], tolerance))
    for setting, by_width in trained.items():
        limits = limits_of(study, setting.family)
        enough = study.config.training.steps >= CLIMBING_STEPS
        if setting.protocol == "constant" and None not in limits and enough:
            predicted = np.array(limits, dtype=float) * [arrays["lr"][0] for arrays in by_width]
            climbed = np.array([climbs(arrays) for arrays in by_width])
            hypotheses = [*_hypotheses(study, setting), f"widths {_listed(study.widths)}"]
            crossed = crossing_claim(setting, study.widths, predicted, climbed, hypotheses)
            claims += [crossed] if crossed else []
    return claims


def _law_claims(group: Setting | Family, fit: Fit, hypotheses: list[str]) -> list[Claim]:
    """The value of a law where the infinitely wide network has it, or its power; of the whole vector both."""
    law, claims = fit.law, []
    if law.quantity == "kernel_drift" and fit.reduced is not None:
        enough = fit.exponent.seeds >= DRIFT_SEEDS and len(fit.widths) > len(law.rates)
        if not enough:
            return []
        limit = fit_limit(fit.widths, fit.reduced, law.rates)
        return [switching_claim(group.key, str(group), limit, hypotheses)]
    of_value = law.quantity in (schema.WHOLE, FIRST, "lambda_max") and fit.reduced is not None
    if of_value and fit.reduced is not None and len(fit.widths) > len(law.rates):
        limit = fit_limit(fit.widths, fit.reduced, law.rates)
        claims.append(value_claim(group.key, str(group), law, limit, hypotheses))
    if law.quantity == schema.WHOLE or not of_value:
        claims += _power_claims(group, fit, hypotheses)
    return claims


def _power_claims(group: Setting | Family, fit: Fit, hypotheses: list[str]) -> list[Claim]:
    law, exponent = fit.law, fit.exponent
    if law.quantity in DRIFTS and fit.exponent.seeds < DRIFT_SEEDS:
        return []
    if law.low == law.high:
        if len(fit.widths) < 3:
            return []
        values = fit.values
        if fit.reduced is not None:
            values = fit.reduced * np.array(fit.widths, dtype=float)[:, None] ** law.low
        exponent = fit_exponent(fit.widths, values, rate=law.rates[0])
    reduced = fit.reduced is not None
    return [power_claim(group.key, str(group), law, exponent, hypotheses, reduced=reduced)]


def climbs(arrays: Arrays) -> Array:
    """(S,) true where the loss was ever above its initial value."""
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
    descent = f"full-batch gradient descent on ½Σ(y − ȳ)²; {step}"
    return [*_networks(study, setting.family), descent, stopping_rule(study)]


def stopping_rule(study: Study) -> str:
    training = study.config.training
    if training.loss_fraction == 0:
        return f"stopping rule: {training.steps} steps"
    fraction = f"{training.loss_fraction:g} of its first"
    return f"stopping rule: the loss is at most {fraction}, or {training.steps} steps"


def _listed(widths: list[int]) -> str:
    return ", ".join(map(str, widths))


# --- the table and the figures ----------------------------------------------------------------------


def _row(setting: Setting, width: int, arrays: Arrays) -> dict[str, Any]:
    """Counts of the seeds that climbed and diverged, and means over those that did not diverge."""
    kept, shallow = ~arrays["diverged"], setting.family.depth == 1

    def mean(values: Array) -> float | None:
        with np.errstate(over="ignore"):  # a network on its way to infinity
            known = kept.any() and not np.isnan(values[kept]).any()
            return float(values[kept].mean()) if known else None

    row: dict[str, Any] = {
        "setting": setting.key,
        "width": width,
        "lambda_max": float(arrays["eigenvalues"][:, -1].mean()),
        "lambda_min": float(arrays["eigenvalues"][:, 0].mean()),
        "eta_lambda_max": float(arrays["eta_lambda_max"].mean()),
        "final_loss": mean(arrays["final_loss"]),
        **{
            name: None if name == SECOND and shallow else mean(measure(arrays))
            for name, measure in QUANTITIES.items()
        },
        "climbed": int(climbs(arrays).sum()),
        "diverged": int(arrays["diverged"].sum()),
    }
    if arrays["steps"].min() < arrays["steps"].max():
        row["steps"] = mean(arrays["steps"])
    return row


def _draw(record: Record, study: Study, trained: Trained, fits: Fits) -> None:
    for protocol in study.config.protocols:
        mine = {setting: arrays for setting, arrays in trained.items() if setting.protocol == protocol}
        panels = {
            str(setting.family): dict(zip(study.widths, (_curves(study, a) for a in by_width), strict=True))
            for setting, by_width in mine.items()
        }
        title = _climbing_title(study, mine) if protocol == "constant" else None
        record.figure(f"training_{protocol}", training_over_widths, panels, title)
        scaling = {
            str(setting.family): {fit.law.label: fit.line for fit in fits[setting]}
            for setting in mine
            if fits[setting]
        }
        if scaling:
            whole = {
                str(setting.family): fit
                for setting in mine
                for fit in fits[setting]
                if fit.law.quantity == schema.WHOLE
            }
            title = _moving_title(whole)
            record.figure(
                f"exponents_{protocol}", scaling_laws, scaling, "relative change in training", title
            )
    _draw_lambdas(record, fits)


def _moving_title(whole: dict[str, Fit]) -> str | None:
    """The power of the width by which all weights together move; of several settings the two extremes."""
    slopes = {family: fit.exponent.slope for family, fit in whole.items()}
    if not slopes:
        return None
    most, least = (pick(slopes, key=lambda family: slopes[family]) for pick in (max, min))
    if len(slopes) == 1:
        far = f"{4 ** slopes[most]:.2f} times as far"
        return f"Weights move like {_power(whole[most])}: in a network four times as wide {far}"
    ending = ": wide networks hardly move" if slopes[most] < 0 else ""
    return f"Weights move like {_power(whole[most])} ({most}) to {_power(whole[least])} ({least}){ending}"


def _curves(study: Study, arrays: Arrays) -> Training:
    """Loss and weight change over the recorded steps, up to where the last network stopped."""
    count = 1 + int(np.searchsorted(study.recorded, arrays["steps"].max()))
    curves = (arrays[name][:, :count] for name in (schema.LOSS, schema.CHANGE_CURVE))
    return Training.of(study.recorded[:count], *curves)


def _climbing_title(study: Study, trained: Trained) -> str | None:
    """The width from which on most losses climb, for every family where they do."""
    first = {
        setting.family: crossing(study.widths, np.array([climbs(arrays).mean() > 0.5 for arrays in by_width]))
        for setting, by_width in trained.items()
    }
    climbing = {family: width for family, width in first.items() if width is not None}
    if not climbing:
        return None
    earliest = min(climbing, key=lambda family: climbing[family])
    where = f"from m = {climbing[earliest]} on ({earliest})"
    return f"One step size for all widths is too large for wide networks: their loss climbs {where}"


def _power(fit: Fit) -> str:
    return f"m^{fit.exponent.slope:.2f}".replace("-", "−")


def _draw_lambdas(record: Record, fits: Fits) -> None:
    """One panel for each parameterization, one line for each depth."""
    panels: dict[str, dict[str, Any]] = {}
    powers: dict[str, list[str]] = {}
    predicted = {}
    for family in (group for group in fits if isinstance(group, Family)):
        for fit in fits[family]:
            panel = f"{family.parameterization} parameterization"
            predicted[panel] = fit.law.low
            panels.setdefault(panel, {})[str(family).partition(", ")[2]] = fit.line
            powers.setdefault(family.parameterization, []).append(_power(fit))
    if panels:
        words = [f"like {' and '.join(dict.fromkeys(each))} ({name})" for name, each in powers.items()]
        title = f"λmax of the kernel grows {', '.join(words)}, as its parameterization says"
        record.figure(
            "lambda_max", scaling_laws, panels, "largest eigenvalue λmax(H₀)", title, predicted=predicted
        )
