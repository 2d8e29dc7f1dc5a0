"""The weight change of networks of several widths, on the page."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from nnlab.chapters.widths import schema
from nnlab.chapters.widths.ideas import EXERCISES, IDEAS
from nnlab.page.contents import ChapterPage, ExperimentPage
from nnlab.page.guess import guess, power
from nnlab.page.numbers import is_number
from nnlab.page.widget import CURVE, Arrays, Widget, numbers, positive, rising, shaped, thinned
from nnlab.record import Run
from nnlab.record.arrays import groups


def moves(run: Run, arrays: Arrays) -> Widget:
    """Relative change of the weights and the loss, over training and over the width."""
    widths, steps = rising(arrays[schema.WIDTHS], 0), rising(arrays[schema.CURVE_STEPS], -1)
    chosen = thinned(len(steps), CURVE)
    settings = []
    for key, measured in groups(arrays).items():
        if key == schema.EDGE:
            continue
        change, loss = (measured[name].mean(1)[:, chosen] for name in (schema.CHANGE_CURVE, schema.LOSS))
        if np.isfinite(change).all() and np.isfinite(loss).all():  # none of the networks diverged
            shape = len(widths), len(chosen)
            curves = {"change": numbers(shaped(change, *shape)), "loss": numbers(shaped(loss, *shape))}
            settings.append(
                {"name": _words(schema.Setting.of(key)), **curves, "predicted": _predicted(run, key)}
            )
    if not settings:
        raise ValueError("no setting in which every network converged")
    return Widget(
        "widths",
        "Wide networks hardly move",
        "The relative distance of the weights from their start, ‖w(t) − w₀‖/‖w₀‖, beside the loss: the loss "
        "falls alike at every width, but the weights of wider networks move less. Means over the seeds.",
        {
            "widths": numbers(widths, 9),
            "steps": numbers(steps[chosen], 9),
            "settings": settings,
        },
    )


def _predicted(run: Run, key: str) -> float | None:
    """The power of the width that the change at the end is to tend to."""
    claims = {claim.get("name"): claim.get("predicted") for claim in run.summary["claims"]}
    power = claims.get(schema.CLAIM.format(key=key, quantity=schema.WHOLE))
    return float(power) if is_number(power) else None


def _words(setting: schema.Setting) -> str:
    rule = {"constant": "the same η for all widths", "stable": "η = 1/λmax"}[setting.protocol]
    return f"{_family(setting.family)}, {rule}"


def _family(family: schema.Family) -> str:
    layers = f"{family.depth} layer{'s' if family.depth > 1 else ''}"
    return f"{layers}, {'NTK' if family.parameterization == 'ntk' else 'standard'}"


class Quantity(NamedTuple):
    """A measure of a training that is guessed over the width.

    Attributes:
        name: of the figure.
        array: that holds it.
        title, question: to the reader.
        label: of its axis.
        linear: the name of what the linearized network of infinite width predicts of it, or none.
    """

    name: str
    array: str
    title: str
    question: str
    label: str
    linear: str = ""


WEIGHTS = Quantity(
    "width",
    schema.CHANGE,
    "How far do the weights move?",
    "What happens to ‖w(t) − w₀‖/‖w₀‖ when the width doubles, and doubles again?",
    "‖w(t) − w₀‖/‖w₀‖",
    schema.WHOLE,
)
GAP = Quantity(
    "gap",
    schema.RESIDUAL_ERROR,
    "How wrong is what the kernel at the start predicts?",
    "How does the error of the linearized prediction go on when the width doubles?",
    "error of the prediction, over ‖u₀‖",
)
DRIFT = Quantity(
    "drift",
    schema.KERNEL_DRIFT,
    "How far does the kernel move?",
    "What happens to ‖H(t) − H(0)‖/‖H(0)‖ at the end when the width doubles?",
    "‖H(t) − H(0)‖/‖H(0)‖",
)


def _deepest(arrays: Arrays) -> str:
    """The setting of most layers, with a stable step size and NTK parameterization if there is one."""
    keys = [key for key in groups(arrays) if key != schema.EDGE]
    known = [key for key in keys if schema.Setting.of(key).protocol == "stable"] or keys
    return max(known, key=lambda key: (schema.Setting.of(key).family.depth, key.startswith("ntk"), key))


def _foretell(quantity: Quantity, arrays: Arrays) -> Widget:
    """A quantity over the width, of two hidden layers where there are such, to be guessed first."""
    widths = rising(arrays[schema.WIDTHS], 0)
    key = _deepest(arrays)
    measured = arrays[f"{key}/{quantity.array}"]
    values = shaped(measured, len(widths), measured.shape[1])
    mean, error = values.mean(1), 2 * values.std(1, ddof=1) / np.sqrt(values.shape[1])
    linear = arrays.get(f"{key}/{schema.LINEAR}/{quantity.linear}")
    return guess(
        quantity.name,
        quantity.title,
        f"{_family(schema.Setting.of(key).family)} parameterization: {quantity.question}",
        widths,
        mean,
        x_label="width m",
        y_label=quantity.label,
        predicted=None if linear is None else linear.mean(1),
        interval=np.stack([mean - error, mean + error], 1),
        handles=len(widths) - 1,
        options={
            "it grows like √m": power(widths, mean[0], 0.5),
            "it stays": power(widths, mean[0], 0.0),
            "it falls like 1/√m": power(widths, mean[0], -0.5),
            "it falls like 1/m": power(widths, mean[0], -1.0),
        },
    )


def foretell_weights(run: Run, arrays: Arrays) -> Widget:
    """How far the weights move."""
    return _foretell(WEIGHTS, arrays)


def foretell_gap(run: Run, arrays: Arrays) -> Widget:
    """How wrong the prediction of the linearized network is."""
    return _foretell(GAP, arrays)


def foretell_drift(run: Run, arrays: Arrays) -> Widget:
    """How far the kernel moves."""
    return _foretell(DRIFT, arrays)


def _law(
    kind: str,
    title: str,
    text: str,
    arrays: Arrays,
    named: Mapping[str, str],
    powers: Mapping[str, float | None],
) -> Widget:
    """Quantities over the width; by array, `named` are their words and `powers` the exponents predicted."""
    widths, key = rising(arrays[schema.WIDTHS], 0), _deepest(arrays)
    series = []
    for array, words in named.items():
        measured = arrays[f"{key}/{array}"]
        values = positive(shaped(measured, len(widths), measured.shape[1]))
        series.append(
            {
                "name": words,
                "mean": numbers(values.mean(1)),
                "low": numbers(np.quantile(values, 0.1, axis=1)),
                "high": numbers(np.quantile(values, 0.9, axis=1)),
                "power": powers.get(array),
            }
        )
    label = "relative change" if len(series) > 1 else next(iter(named.values()))
    data = {"widths": numbers(widths, 9), "yLabel": label, "series": series}
    return Widget(f"law-{kind}", title, text, data)


def _powers(run: Run, key: str) -> dict[str, float | None]:
    """The exponents that the run's claims predict, by array; −½ for a kernel whose units switch."""
    claims = {claim.get("name"): claim.get("predicted") for claim in run.summary["claims"]}
    powers: dict[str, float | None] = {}
    for array in (schema.RESIDUAL_ERROR, schema.KERNEL_DRIFT, schema.JACOBIAN_DRIFT):
        predicted = claims.get(schema.CLAIM.format(key=key, quantity=array))
        ratio = array == schema.KERNEL_DRIFT and predicted == 1.0
        powers[array] = -0.5 if ratio else float(predicted) if is_number(predicted) else None
    return powers


def law_of_the_gap(run: Run, arrays: Arrays) -> Widget:
    """The error of the linearized prediction over the width."""
    return _law(
        "gap",
        "The linearized prediction becomes exact",
        "The largest distance of the residual from what the kernel at the start predicts, over ‖u₀‖.",
        arrays,
        {schema.RESIDUAL_ERROR: "error of the prediction"},
        _powers(run, _deepest(arrays)),
    )


def law_of_the_drift(run: Run, arrays: Arrays) -> Widget:
    """The changes of the kernel and of the derivatives over the width."""
    return _law(
        "drift",
        "The kernel comes to rest",
        "How far the kernel H and the derivatives J have changed at the end of the training.",
        arrays,
        {schema.KERNEL_DRIFT: "H", schema.JACOBIAN_DRIFT: "J"},
        _powers(run, _deepest(arrays)),
    )


def largest_step(run: Run, arrays: Arrays) -> Widget:
    """λmax(H₀) over the width for every family, and which widths a step size is too large for."""
    widths, families = rising(arrays[schema.WIDTHS], 0), {}
    rates = []
    for key, measured in groups(arrays).items():
        if key == schema.EDGE:
            continue
        setting, eigenvalues = schema.Setting.of(key), measured[schema.EIGENVALUES]
        top = positive(shaped(eigenvalues, len(widths), *eigenvalues.shape[1:])[:, :, -1])
        step_sizes = positive(shaped(measured[schema.LR], *eigenvalues.shape[:2]))
        rates.append((setting.family.parameterization, setting.protocol, np.median(step_sizes)))
        families[_family(setting.family)] = {
            "lambda": numbers(top.mean(1)),
            "low": numbers(np.quantile(top, 0.1, axis=1)),
            "high": numbers(np.quantile(top, 0.9, axis=1)),
        }
    return Widget(
        "largest_step",
        "The largest eigenvalue decides which step sizes work",
        "Gradient descent on the linearized network converges for η < 2/λmax. In standard parameterization "
        "λmax grows like m, so that one step size for all widths is too large from some width on. The bars "
        "hold eight of ten networks.",
        {
            "widths": numbers(widths, 9),
            "families": [{"name": name, **values} for name, values in sorted(families.items())],
            "lr": next(
                (float(lr) for *kind, lr in rates if kind == ["standard", "constant"]), float(rates[0][2])
            ),
        },
    )


WIDGETS = (
    foretell_weights,
    moves,
    largest_step,
    foretell_gap,
    law_of_the_gap,
    foretell_drift,
    law_of_the_drift,
)
PAGE = ChapterPage(
    experiments={"weight_change": ExperimentPage("How far wide networks move", 5, WIDGETS)},
    ideas=IDEAS,
    exercises=EXERCISES,
    scripts=tuple(Path(__file__).parent / f"{name}.js" for name in ("widths", "largest_step", "law")),
)
