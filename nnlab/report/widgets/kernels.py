"""Section 5: eigenmodes over time, step sizes around η_max, and how far wide networks move."""

import re
from typing import Any

import numpy as np

from nnlab.record import Run
from nnlab.report.numbers import is_number
from nnlab.report.widgets.widget import LARGEST, Arrays, Widget, numbers, rising, shaped, thinned

CURVE = 120
"""Points of a measured curve."""


def modes(run: Run, arrays: Arrays) -> Widget:
    """uᵢ(t) = e^{−λᵢt} uᵢ(0) for each eigenvector of H, and what the network did."""
    steps, eigenvalues = rising(arrays["steps"], -1), arrays["modes/eigenvalues"]
    shape = len(eigenvalues), len(steps)
    if not eigenvalues[0] > 0:
        raise ValueError("a kernel that is 0 has no modes")
    return Widget(
        "modes",
        "Eigenmodes decay one by one",
        "The residual u = y − ȳ, taken apart along the eigenvectors of the kernel H: each part dies out at "
        "the rate of its own eigenvalue, those of large eigenvalues first.",
        {
            "eigenvalues": numbers(eigenvalues),
            "lr": float(arrays["modes/lr"]),
            "steps": numbers(steps, 9),
            "start": numbers(shaped(arrays["modes/flow"], *shape)[:, 0]),
            "network": numbers(shaped(arrays["modes/network"], *shape)),
        },
    )


def edge(run: Run, arrays: Arrays) -> Widget:
    """The loss of the linearized network for any step size, beside what the network did for some."""
    eigenvalues, steps = arrays["edge/eigenvalues"], rising(arrays["edge/steps"], -1)
    start = numbers(shaped(arrays["edge/start"], len(eigenvalues)), 8)
    labels = [name.split("/")[1] for name in arrays if re.fullmatch("edge/[^/]+/network", name)]
    measured = []
    for label in labels:
        values = shaped(arrays[f"edge/{label}/network"], len(steps))
        known = int((np.abs(values) < LARGEST).cumprod().sum()) or len(values)  # until it diverged
        flatness = float(arrays[f"edge/{label}/sharpness"][-1])
        measured.append(
            {
                "multiple": float(label.split()[0]),
                "points": numbers(np.stack([steps[:known], values[:known]], 1)),
                "end": f"ηλmax of its kernel at the last look: {flatness:.3g}",
            }
        )
    begin = float(arrays[f"edge/{labels[0]}/linearized"][0])
    return Widget(
        "descent",
        "Step sizes across η_max",
        "A step of gradient descent multiplies mode i of the linearized network by 1 − ηλᵢ. It converges if "
        "no factor is larger than 1 in size, that is for η < η_max = 2/λmax.",
        {
            "unit": "η_max",
            "lr": float(arrays["edge/lr_max"]),
            "quantity": "loss",
            "power": 2,
            "factor": begin / sum(c * c for c in start),
            "eigenvalues": numbers(eigenvalues, 8),
            "start": start,
            "steps": int(steps[-1]),
            "logSteps": False,
            "model": "linearized network",
            "who": "network",
            "measured": sorted(measured, key=lambda m: m["multiple"]),
        },
    )


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
        "How far the stacked weights are from where they began, ‖w(t) − w₀‖/‖w₀‖, beside the loss: while the "
        "loss falls alike, the wider network moves less. The mean over the seeds is shown.",
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
