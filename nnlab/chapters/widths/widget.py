"""The weight change of networks of several widths, on the page."""

from pathlib import Path
from typing import Any

import numpy as np

from nnlab.chapters.widths import schema
from nnlab.page.contents import ChapterPage, ExperimentPage
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
    return f"{setting.family}, {rule}"


PAGE = ChapterPage(
    experiments={"weight_change": ExperimentPage("How far wide networks move", 5, (moves,))},
    scripts=(Path(__file__).parent / "widths.js",),
)
