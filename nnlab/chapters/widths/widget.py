"""The weight change of networks of several widths, on the page."""

from pathlib import Path
from typing import Any

import numpy as np

from nnlab.chapters.widths import schema
from nnlab.page.contents import ChapterPage, ExperimentPage
from nnlab.page.guess import guess, power
from nnlab.page.numbers import is_number
from nnlab.page.widget import CURVE, Arrays, Widget, numbers, rising, shaped, thinned
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
            settings.append({"name": _words(schema.Setting.of(key)), **curves, **_law(run, key)})
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


def _law(run: Run, key: str) -> dict[str, Any]:
    """The exponent that was fitted to the change at the end, and the power that it is to tend to."""
    exponent = run.summary["metrics"].get(schema.METRIC.format(key=key, quantity=schema.WHOLE))
    claims = {claim.get("name"): claim.get("predicted") for claim in run.summary["claims"]}
    power = claims.get(schema.CLAIM.format(key=key, quantity=schema.WHOLE))
    return {
        "exponent": exponent if is_number(exponent) else None,
        "predicted": power if is_number(power) else None,
    }


def _words(setting: schema.Setting) -> str:
    rule = {"constant": "the same η for all widths", "stable": "η = 1/λmax"}[setting.protocol]
    return f"{_family(setting.family)}, {rule}"


def _family(family: schema.Family) -> str:
    layers = f"{family.depth} hidden layer{'s' if family.depth > 1 else ''}"
    return f"{layers}, {'NTK' if family.parameterization == 'ntk' else 'standard'} parameterization"


def foretell(run: Run, arrays: Arrays) -> Widget:
    """The change of the weights over the width, of the lecture's two hidden layers: to be guessed first."""
    widths = rising(arrays[schema.WIDTHS], 0)
    keys = [key for key in groups(arrays) if key != schema.EDGE]
    deepest = max(keys, key=lambda key: (schema.Setting.of(key).family.depth, key))
    key = next((k for k in ("ntk-2-stable", "ntk-1-stable") if k in keys), deepest)
    changes = shaped(arrays[f"{key}/change"], len(widths), arrays[f"{key}/change"].shape[1])
    mean = changes.mean(1)
    error = 2 * changes.std(1, ddof=1) / np.sqrt(changes.shape[1])
    family = schema.Setting.of(key).family
    linear = arrays.get(f"{key}/linear/{schema.WHOLE}")
    return guess(
        "width",
        "How far do the weights move?",
        f"Networks of {family.depth} hidden layer{'s' if family.depth > 1 else ''}. What happens to "
        "‖w(t) − w₀‖/‖w₀‖ when the width doubles, and doubles again?",
        widths,
        mean,
        x_label="width m",
        y_label="‖w(t) − w₀‖/‖w₀‖",
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


def largest_step(run: Run, arrays: Arrays) -> Widget:
    """λmax(H₀) over the width for every family, and which widths a step size is too large for."""
    widths, families = rising(arrays[schema.WIDTHS], 0), {}
    rates = []
    for key, measured in groups(arrays).items():
        if key == schema.EDGE:
            continue
        setting, eigenvalues = schema.Setting.of(key), measured[schema.EIGENVALUES]
        top = shaped(eigenvalues, len(widths), *eigenvalues.shape[1:])[:, :, -1]
        rates.append(measured[schema.LR])
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
            "lr": float(np.median(np.concatenate([lr.ravel() for lr in rates]))),
        },
    )


PAGE = ChapterPage(
    experiments={
        "weight_change": ExperimentPage("How far wide networks move", 5, (foretell, moves, largest_step))
    },
    scripts=tuple(Path(__file__).parent / f"{name}.js" for name in ("widths", "largest_step")),
)
