"""Section 5 on the page: eigenmodes over time, and step sizes around η_max."""

from pathlib import Path

import numpy as np

from nnlab.chapters.kernels import schema
from nnlab.page.contents import ChapterPage, ExperimentPage, Section
from nnlab.page.widget import LARGEST, Arrays, Widget, numbers, rising, shaped
from nnlab.record import Run
from nnlab.record.arrays import group, groups


def modes(run: Run, arrays: Arrays) -> Widget:
    """The coefficient uᵢ(t) = e^{−λᵢt} uᵢ(0) along each eigenvector of H, beside the measured one."""
    steps, saved = rising(arrays[schema.STEPS], -1), group(arrays, schema.MODES)
    eigenvalues = saved[schema.EIGENVALUES]
    shape = len(eigenvalues), len(steps)
    if not eigenvalues[0] > 0:
        raise ValueError("a kernel that is 0 has no modes")
    return Widget(
        "modes",
        "Eigenmodes decay one by one",
        "The residual u = y − ȳ in the basis of eigenvectors of the kernel H: each component decays at the "
        "rate of its own eigenvalue, so that those of large eigenvalues are learned first.",
        {
            "eigenvalues": numbers(eigenvalues),
            "lr": float(saved[schema.LR]),
            "steps": numbers(steps, 9),
            "start": numbers(shaped(saved[schema.FLOW], *shape)[:, 0]),
            "network": numbers(shaped(saved[schema.NETWORK], *shape)),
        },
    )


def edge(run: Run, arrays: Arrays) -> Widget:
    """The loss of the linearized network for any step size, beside that of the network for some."""
    saved = group(arrays, schema.EDGE)
    trained = {float(label.removesuffix(schema.UNIT)): curves for label, curves in groups(saved).items()}
    eigenvalues, steps = saved[schema.EIGENVALUES], rising(saved[schema.STEPS], -1)
    start = numbers(shaped(saved[schema.START], len(eigenvalues)), 8)
    measured = []
    for multiple, curves in sorted(trained.items()):
        values = shaped(curves[schema.NETWORK], len(steps))
        known = int((np.abs(values) < LARGEST).cumprod().sum()) or len(values)  # until it diverged
        measured.append(
            {
                "multiple": multiple,
                "points": numbers(np.stack([steps[:known], values[:known]], 1)),
                "end": f"last computed ηλmax of its kernel: {float(curves[schema.SHARPNESS][-1]):.3g}",
            }
        )
    begin = float(trained[min(trained)][schema.LINEARIZED][0])
    return Widget(
        "descent",
        "Step sizes across η_max",
        "A step of gradient descent multiplies mode i of the linearized network by 1 − ηλᵢ. It converges if "
        "every factor is below 1 in absolute value, that is for η < η_max = 2/λmax.",
        {
            "unit": schema.UNIT,
            "lr": float(saved[schema.LR_MAX]),
            "quantity": "loss",
            "power": 2,
            "factor": begin / sum(c * c for c in start),
            "eigenvalues": numbers(eigenvalues, 8),
            "start": start,
            "steps": int(steps[-1]),
            "logSteps": False,
            "model": "linearized network",
            "who": "network",
            "measured": measured,
        },
    )


PAGE = ChapterPage(
    sections=(
        Section(
            5,
            "Networks and kernels",
            "Wide networks hardly move: they train like linear models, whose residual follows the neural "
            "tangent kernel H, u(t) = exp(−Ht) u(0).",
        ),
    ),
    experiments={
        "ntk": ExperimentPage("The tangent kernel", 5, (modes, edge)),
        "finite_width": ExperimentPage("Kernels of finite width", 5),
    },
    scripts=(Path(__file__).parent / "modes.js",),
)
