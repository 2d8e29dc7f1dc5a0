"""The weight change of networks of several widths, on the page."""

from pathlib import Path
from typing import Any

import numpy as np

from nnlab.page.contents import ChapterPage, ExperimentPage
from nnlab.page.numbers import is_number
from nnlab.page.widget import CURVE, Arrays, Widget, numbers, rising, shaped, thinned
from nnlab.record import Run


def moves(run: Run, arrays: Arrays) -> Widget:
    """Relative change of the weights and the loss, over training and over the width."""
    widths, steps = rising(arrays["widths"], 0), rising(arrays["curve_steps"], -1)
    chosen = thinned(len(steps), CURVE)
    settings = []
    for setting in (name.removesuffix("/change_curve") for name in arrays if name.endswith("/change_curve")):
        change, loss = (arrays[f"{setting}/{name}"].mean(1)[:, chosen] for name in ("change_curve", "loss"))
        if np.isfinite(change).all() and np.isfinite(loss).all():  # none of the networks diverged
            shape = len(widths), len(chosen)
            curves = {"change": numbers(shaped(change, *shape)), "loss": numbers(shaped(loss, *shape))}
            settings.append({"name": _words(setting), **curves, **_law(run, setting)})
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


def _law(run: Run, setting: str) -> dict[str, Any]:
    """The exponent that was fitted to the change at the end, and the range that was predicted."""
    exponent = run.summary["metrics"].get(f"{setting}/whole")
    claims = {claim.get("name"): claim.get("predicted") for claim in run.summary["claims"]}
    low, high = claims.get(f"whole_{setting}") or (None, None)
    return {
        "exponent": exponent if is_number(exponent) else None,
        "predicted": [low, high] if is_number(low) and is_number(high) else None,
    }


def _words(setting: str) -> str:
    """ntk-2-stable → ntk, 2 hidden layers, η = 1/λmax."""
    parameterization, depth, protocol = setting.rsplit("-", 2)
    rule = {"constant": "the same η for all widths", "stable": "η = 1/λmax"}.get(protocol, protocol)
    return f"{parameterization}, {depth} hidden layer{'s' * (depth != '1')}, {rule}"


PAGE = ChapterPage(
    experiments={"weight_change": ExperimentPage("How far wide networks move", 5, (moves,))},
    scripts=(Path(__file__).parent / "widths.js",),
)
