"""Section 5 on the page: eigenmodes over time, and step sizes around η_max."""

import re
from pathlib import Path

import numpy as np

from nnlab.page.contents import ChapterPage, ExperimentPage, Section
from nnlab.page.widget import LARGEST, Arrays, Widget, numbers, rising, shaped
from nnlab.record import Run


def modes(run: Run, arrays: Arrays) -> Widget:
    """The coefficient uᵢ(t) = e^{−λᵢt} uᵢ(0) along each eigenvector of H, beside the measured one."""
    steps, eigenvalues = rising(arrays["steps"], -1), arrays["modes/eigenvalues"]
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
            "lr": float(arrays["modes/lr"]),
            "steps": numbers(steps, 9),
            "start": numbers(shaped(arrays["modes/flow"], *shape)[:, 0]),
            "network": numbers(shaped(arrays["modes/network"], *shape)),
        },
    )


def edge(run: Run, arrays: Arrays) -> Widget:
    """The loss of the linearized network for any step size, beside that of the network for some."""
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
                "end": f"last computed ηλmax of its kernel: {flatness:.3g}",
            }
        )
    begin = float(arrays[f"edge/{labels[0]}/linearized"][0])
    return Widget(
        "descent",
        "Step sizes across η_max",
        "A step of gradient descent multiplies mode i of the linearized network by 1 − ηλᵢ. It converges if "
        "every factor is below 1 in absolute value, that is for η < η_max = 2/λmax.",
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


PAGE = ChapterPage(
    sections=(
        Section(
            5,
            "Networks and kernels",
            "Wide networks hardly move: they train like linear models, whose residual follows the neural "
            "tangent kernel H, u(t) = exp(−Ht) u(0).",
        ),
    ),
    experiments={"ntk": ExperimentPage("The tangent kernel", 5, (modes, edge))},
    scripts=(Path(__file__).parent / "modes.js",),
)
