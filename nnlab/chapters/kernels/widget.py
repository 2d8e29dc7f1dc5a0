"""Section 5 on the page: the example in training, its kernel, its eigenmodes, and step sizes."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnlab.chapters.kernels import schema
from nnlab.chapters.kernels.ideas import EXERCISES, IDEAS
from nnlab.page.contents import ChapterPage, ExperimentPage, Section
from nnlab.page.widget import LARGEST, Arrays, Widget, numbers, packed, positive, rising, shaped
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
                "end": f"Last computed ηλmax of its kernel: {float(curves[schema.SHARPNESS][-1]):.3g}",
            }
        )
    begin = float(trained[min(trained)][schema.LINEARIZED][0])
    return Widget(
        "descent",
        "Step sizes across 2/λmax",
        "A step of gradient descent multiplies mode i of the linearized network by 1 − ηλᵢ. It converges if "
        "every factor is below 1 in absolute value, that is for η < 2/λmax.",
        {
            "unit": "2/λmax",
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


CHOSEN = 8
"""The leading modes of which the reader makes a residual."""
FUNCTION = 100
"""Places at which a function is drawn."""


def _networks(arrays: Arrays) -> tuple[NDArray[Any], dict[int, Arrays]]:
    """The steps of the moments, and the arrays of each width, the narrowest first."""
    saved = group(arrays, schema.MOMENTS)
    steps = rising(saved[schema.STEPS], -1)
    return steps, dict(sorted((int(width), mine) for width, mine in groups(saved).items()))


def example(run: Run, arrays: Arrays) -> Widget:
    """Weights of the lecture's example beside the function that it learns, and its linearization."""
    steps, networks = _networks(arrays)
    x, target, points = (arrays[f"functions/{name}"] for name in ("x", "target", "points"))
    some = np.linspace(0, len(x) - 1, min(len(x), FUNCTION)).round().astype(int)
    shape = len(steps), len(x)
    drawn = []
    for width, mine in networks.items():
        layers = group(mine, schema.WEIGHTS)
        drawn.append(
            {
                "width": width,
                "functions": numbers(shaped(mine[schema.NETWORK], *shape)[:, some], 4),
                "linearizations": numbers(shaped(mine[schema.LINEARIZED], *shape)[:, some], 4),
                "weights": [
                    numbers(shaped(layers[key], len(steps), *layers[key].shape[1:]), 4)
                    for key in sorted(layers, key=int)
                ],
            }
        )
    return Widget(
        "example",
        "A network learns a function on the line",
        "One input, one output, hidden ReLU layers of width m, full-batch gradient descent on ½‖y(w) − ȳ‖². "
        "The lines are the weights of some of its units, as they were at that step.",
        {
            "steps": numbers(steps, 9),
            "x": numbers(rising(x)[some]),
            "target": numbers(shaped(target, len(x))[some], 4),
            "points": numbers(shaped(points, len(points), 2), 4),
            "networks": drawn,
        },
    )


def linearization(run: Run, arrays: Arrays) -> Widget:
    """The network beside its linearization over the steps, and how far apart they are at each width."""
    shown = example(run, arrays)
    return Widget(
        "linearization",
        "The linearized network learns nearly the same function",
        "f(x, w) ≈ f(x, w₀) + ∇f(x, w₀)ᵀ(w − w₀): linear in w, and still not linear in x. Trained by the "
        "same descent, it stays beside the network, the nearer the wider.",
        {**shown.data, "networks": [{**one, "weights": []} for one in shown.data["networks"]]},
    )


def drift(run: Run, arrays: Arrays) -> Widget:
    """H(t) as an image, and how far it is from H(0), for one network of each width."""
    steps, networks = _networks(arrays)
    drawn = []
    for width, mine in networks.items():
        kernels = mine[schema.KERNEL]
        n = kernels.shape[-1]
        change = shaped(kernels, len(steps), n, n) - kernels[0]
        if not np.any(kernels[0]):
            raise ValueError("no kernel at the start: there is nothing to relate its change to")
        relative = np.linalg.norm(change, axis=(1, 2)) / np.linalg.norm(kernels[0])
        drawn.append(
            {
                "width": width,
                "start": packed(kernels[0]),
                "change": packed(change),
                "relative": numbers(relative, 4),
            }
        )
    return Widget(
        "drift",
        "The kernel hardly changes in training",
        "H(w(t)) holds the inner products of the network's derivatives at two examples. In the kernel regime "
        "it stays near H(w₀), the nearer the wider the network.",
        {"steps": numbers(steps, 9), "networks": drawn},
    )


def choose(run: Run, arrays: Arrays) -> Widget:
    """The leading modes as functions on the line: K(x, X)vᵢ/λᵢ, which is vᵢ at the examples."""
    modes, x, points = group(arrays, schema.MODES), arrays["functions/x"], arrays["functions/points"]
    eigenvalues = modes[schema.EIGENVALUES][:CHOSEN]
    if not eigenvalues[-1] > 1e-9 * eigenvalues[0]:
        raise ValueError("a kernel with few modes")
    n = len(points)
    vectors = shaped(modes[schema.VECTORS], n, n)[:, : len(eigenvalues)]
    inside = (x >= points[:, 0].min()) & (x <= points[:, 0].max())
    functions = shaped(arrays[schema.ON_GRID], len(x), n)[inside] @ vectors / eigenvalues
    return Widget(
        "choose",
        "Choose the modes that the residual starts with",
        "u(t) = exp(−Ht)u(0): along every eigenvector vᵢ of H the residual decays by itself, like e^{−λᵢt}. "
        "Between the examples a mode is the function K(x, X)vᵢ/λᵢ. Smooth modes are fast, wiggly ones slow.",
        {
            "eigenvalues": numbers(eigenvalues),
            "start": numbers(modes[schema.NETWORK][: len(eigenvalues), 0]),
            "x": numbers(x[inside]),
            "functions": numbers(functions.T, 4),
            "points": numbers(points[:, 0]),
            "vectors": numbers(vectors.T),
        },
    )


def flow(run: Run, arrays: Arrays) -> Widget:
    """Gradient flow beside gradient descent, of which the page computes every step size."""
    modes, gap = group(arrays, schema.MODES), group(arrays, schema.GAP)
    eigenvalues, products = modes[schema.EIGENVALUES], gap["products"]
    if not eigenvalues[0] > 0:
        raise ValueError("a kernel that is 0 has no modes")
    start = shaped(modes[schema.NETWORK][:, 0], len(eigenvalues))
    if not start.any():
        raise ValueError("a residual of 0 has nothing to lose")
    return Widget(
        "flow",
        "Smaller steps approach gradient flow",
        "As η → 0, gradient descent becomes ẇ = −∇L. On the left the loss of the linearized network; on the "
        "right how far apart the weights are after the same time, there and measured on a small network.",
        {
            "eigenvalues": numbers(eigenvalues, 8),
            "start": numbers(start),
            "products": {
                "values": numbers(positive(products)),
                "time": schema.GAP_TIME * 2 / float(eigenvalues[0]),
            },
            "gaps": numbers(positive(shaped(gap["to_flow"], len(products)))),
        },
    )


WIDGETS = (example, linearization, flow, drift, choose, modes, edge)
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
        "ntk": ExperimentPage(
            "The tangent kernel", 5, (example, linearization, flow, drift, choose, modes, edge)
        ),
        "finite_width": ExperimentPage("Kernels of finite width", 5),
    },
    ideas=IDEAS,
    exercises=EXERCISES,
    scripts=tuple(
        Path(__file__).parent / f"{name}.js"
        for name in ("example", "drift", "choose", "modes", "flow", "rank")
    ),
)
