"""The way of the weights, mode by mode, with a slider over the steps."""

from nnlab.chapters.beyond.minimal_norm import schema
from nnlab.page.widget import CURVE, Arrays, Widget, numbers, rising, shaped, thinned
from nnlab.record import Run


def minimal_norm(run: Run, arrays: Arrays) -> Widget:
    """The part of every mode of H in ‖w − w₀‖² over the steps, and the whole beside what was measured."""
    steps, eigenvalues = rising(arrays[schema.STEPS], -1), arrays[schema.EIGENVALUES]
    chosen = thinned(len(steps), CURVE)
    return Widget(
        "minimal_norm",
        "The weights go no farther than they must",
        "Mode i of the kernel H adds cᵢ²(1 − (1 − ηλᵢ)ᵏ)²/λᵢ to the squared distance of the weights from "
        "their start. Together they end at u₀ᵀH⁻¹u₀, the least distance at which the targets are fitted.",
        {
            "eigenvalues": numbers(eigenvalues),
            "start": numbers(shaped(arrays[schema.START], len(eigenvalues))),
            "lr": float(arrays[schema.LR]),
            "steps": numbers(steps[chosen], 9),
            "linearized": numbers(shaped(arrays[schema.LINEARIZED], len(steps))[chosen]),
            "network": numbers(shaped(arrays[schema.NETWORK], len(steps))[chosen]),
        },
    )
