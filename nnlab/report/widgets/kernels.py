"""Section 5: eigenmodes over time, step sizes around η_max, and how far wide networks move."""

from typing import Any

import numpy as np

from nnlab.record import Run
from nnlab.report.numbers import is_number
from nnlab.report.widgets.widget import Arrays, Widget, numbers, thinned

CURVE = 120
"""Points of a measured curve."""


def modes(run: Run, arrays: Arrays) -> Widget:
    """uᵢ(t) = e^{−λᵢt} uᵢ(0) for each eigenvector of H, and what the network did."""
    steps, eigenvalues = arrays["steps"], arrays["modes/eigenvalues"]
    return Widget(
        "modes",
        "Eigenmodes decay one by one",
        "The residual u = y − ȳ, taken apart along the eigenvectors of the kernel H: each part dies out at "
        "the rate of its own eigenvalue, those of large eigenvalues first.",
        {
            "eigenvalues": numbers(eigenvalues),
            "lr": float(arrays["modes/lr"]),
            "steps": numbers(steps, 9),
            "start": numbers(arrays["modes/flow"][:, 0]),
            "network": numbers(arrays["modes/network"]),
        },
    )


def edge(run: Run, arrays: Arrays) -> Widget:
    """The loss of the linearized network for any step size, beside what the network did for some."""
    eigenvalues, start = arrays["edge/eigenvalues"], arrays["edge/start"]
    steps = arrays["edge/steps"]
    measured = []
    for name in arrays:
        label, _, curve = name.removeprefix("edge/").partition("/")
        if name.startswith("edge/") and curve == "network":
            values = arrays[name]
            known = int(np.isfinite(values).cumprod().sum())  # until it diverged
            measured.append(
                {
                    "multiple": float(label.split()[0]),
                    "points": numbers(np.stack([steps[:known], values[:known]], 1)),
                    "end": f"ηλmax of its kernel at the end: {arrays[f'edge/{label}/sharpness'][-1]:.3g}",
                }
            )
    reached = float(arrays[f"edge/{measured[0]['multiple']:g} η_max/linearized"][0])
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
            "factor": reached / float((start**2).sum()),
            "eigenvalues": numbers(eigenvalues, 8),
            "start": numbers(start, 8),
            "steps": int(steps[-1]),
            "logSteps": False,
            "model": "linearized network",
            "who": "network",
            "measured": sorted(measured, key=lambda m: m["multiple"]),
        },
    )


def widths(run: Run, arrays: Arrays) -> Widget:
    """Relative change of the weights and the loss, over training and over the width."""
    settings = [name.removesuffix("/change_curve") for name in arrays if name.endswith("/change_curve")]
    steps = arrays["curve_steps"]
    chosen = thinned(len(steps), CURVE)
    claims = {claim.get("name"): claim for claim in run.summary["claims"]}
    return Widget(
        "widths",
        "Wide networks hardly move",
        "How far the stacked weights are from where they began, ‖w(t) − w₀‖/‖w₀‖, beside the loss: while the "
        "loss falls alike, the wider network moves less. The mean over the seeds is shown.",
        {
            "widths": numbers(arrays["widths"], 9),
            "steps": numbers(steps[chosen], 9),
            "settings": [
                {
                    "name": _words(setting),
                    "change": numbers(arrays[f"{setting}/change_curve"].mean(1)[:, chosen]),
                    "loss": numbers(arrays[f"{setting}/loss"].mean(1)[:, chosen]),
                    **_law(run, claims.get(f"whole_{setting}"), setting),
                }
                for setting in settings
                if np.isfinite(arrays[f"{setting}/change_curve"]).all()
                and np.isfinite(arrays[f"{setting}/loss"]).all()
            ],
        },
    )


def _law(run: Run, claim: dict[str, Any] | None, setting: str) -> dict[str, Any]:
    """The exponent that was fitted to the change at the end, and what was said of it."""
    exponent = run.summary["metrics"].get(f"{setting}/whole")
    predicted = claim.get("predicted") if claim else None
    held = isinstance(predicted, list) and len(predicted) == 2 and all(is_number(p) for p in predicted)
    return {
        "exponent": exponent if is_number(exponent) else None,
        "predicted": predicted if held else None,
    }


def _words(setting: str) -> str:
    """ntk-2-stable → ntk, 2 hidden layers, η = 1/λmax."""
    parameterization, depth, protocol = setting.rsplit("-", 2)
    rule = {"constant": "the same η for all widths", "stable": "η = 1/λmax"}.get(protocol, protocol)
    return f"{parameterization}, {depth} hidden layer{'s' * (depth != '1')}, {rule}"
