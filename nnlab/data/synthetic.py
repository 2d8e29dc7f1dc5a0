"""Sets that are drawn, not measured: what they look like is known, so theory can be held against them.

Everything is drawn in float32 on the CPU, from generators that depend on the split seed alone; training
and test points come from different ones. Inputs are (N, 2), or (N, 1) for regression_1d.
"""

import math
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import torch
from torch import Tensor

from nnlab.data.dataset import RawData, Split, Task
from nnlab.data.splits import generator, hold_out
from nnlab.errors import DataError, InputError, suggest

TEST_POINTS = 200
"""Test points of regression_1d."""

Draw = Callable[..., tuple[Tensor, Tensor]]
"""(number of points, generator, the set's own parameters) to points (N, 2) and labels (N,)."""


def _labelled(draw: Draw) -> Callable[..., RawData]:
    """A classification set: `draw` for training and for the test, `examples` points each."""

    @wraps(draw)
    def load(*, examples: int, split_seed: int, **parameters: Any) -> RawData:
        train, test = (
            Split(*draw(examples, generator(split_seed, purpose), **parameters))
            for purpose in ("training points", "test points")
        )
        classes = parameters.get("classes", 2)
        names = [str(k) for k in range(classes)]
        return RawData("classification", train, test, outputs=classes, class_names=names)

    return load


@_labelled
def xor(count: int, g: torch.Generator, *, noise: float) -> tuple[Tensor, Tensor]:
    """The corners (±1, ±1) in turn plus Gaussian noise; class 1 where the signs differ."""
    corners = torch.tensor([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]])
    corner = torch.arange(count) % 4
    labels = torch.tensor([0, 1, 1, 0])[corner]
    return corners[corner] + noise * torch.randn(count, 2, generator=g), labels


@_labelled
def two_moons(count: int, g: torch.Generator, *, noise: float) -> tuple[Tensor, Tensor]:
    """Two half circles of radius 1 plus Gaussian noise.

    With t uniform on [0, π], class 0 is (cos t, sin t) and class 1 is (1 − cos t, ½ − sin t).
    """
    label = torch.arange(count) % 2
    t = math.pi * torch.rand(count, generator=g)
    upper, lower = torch.stack([t.cos(), t.sin()], 1), torch.stack([1 - t.cos(), 0.5 - t.sin()], 1)
    points = torch.where(label.unsqueeze(1) == 0, upper, lower)
    return points + noise * torch.randn(count, 2, generator=g), label


@_labelled
def spirals(
    count: int, g: torch.Generator, *, classes: int, turns: float, noise: float
) -> tuple[Tensor, Tensor]:
    """Arms of a spiral plus Gaussian noise.

    With r uniform on [0.1, 1], class k is r (cos φ, sin φ), φ = 2π (turns · r + k / classes). The arms
    start off the centre, where all of them would meet.
    """
    label = torch.arange(count) % classes
    r = 0.1 + 0.9 * torch.rand(count, generator=g)
    angle = 2 * math.pi * (turns * r + label / classes)
    points = r.unsqueeze(1) * torch.stack([angle.cos(), angle.sin()], 1)
    return points + noise * torch.randn(count, 2, generator=g), label


@_labelled
def blobs(
    count: int, g: torch.Generator, *, classes: int, radius: float, spread: float
) -> tuple[Tensor, Tensor]:
    """Gaussian clouds of standard deviation `spread` around `radius` (cos 2πk/C, sin 2πk/C)."""
    label = torch.arange(count) % classes
    angle = 2 * math.pi * label / classes
    centres = radius * torch.stack([angle.cos(), angle.sin()], 1)
    return centres + spread * torch.randn(count, 2, generator=g), label


_FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "sine": lambda x: torch.sin(math.pi * x),
    "step": lambda x: (x >= 0).to(x.dtype),
    "abs": torch.abs,
    "cubic": lambda x: 4 * x**3 - 3 * x,
}


def target_function(name: str) -> Callable[[Tensor], Tensor]:
    """The function that regression_1d shows, elementwise on [−1, 1].

    sine: sin(πx). step: 0 for x < 0, 1 for x ≥ 0. abs: |x|. cubic: 4x³ − 3x, the Chebyshev polynomial
    T₃, which fills [−1, 1].

    Raises:
        InputError: for another name.
    """
    if name not in _FUNCTIONS:
        raise InputError(f"data.function: {name} is unknown; {suggest(name, _FUNCTIONS)}")
    return _FUNCTIONS[name]


def regression_1d(
    *, function: str | Callable[[Tensor], Tensor], examples: int, noise: float, split_seed: int
) -> RawData:
    """A function on [−1, 1] seen through Gaussian noise.

    Training inputs are equally spaced, ends included: no two of them come close, which would make a
    kernel matrix nearly singular. Of the draw only the noise is left. The test is the function itself,
    without noise, at 200 equally spaced points. The function is elementwise, or a name that
    `target_function` knows.
    """
    f = target_function(function) if isinstance(function, str) else function
    x, test_x = (torch.linspace(-1, 1, count).unsqueeze(1) for count in (examples, TEST_POINTS))
    errors = noise * torch.randn(examples, 1, generator=generator(split_seed, "training points"))
    return RawData(
        task="regression",
        train=Split(x, f(x.double()) + errors),
        test=Split(test_x, f(test_x.double())),
        outputs=1,
        class_names=[],
    )


def points(
    *,
    points: Sequence[Sequence[float]],
    task: Task,
    test: float,
    split_seed: int,
    classes: Sequence[str] | None = None,
) -> RawData:
    """Points that a user placed: of each the inputs, then a class or a number.

    Args:
        test: the part to hold out for the test; with 0 nothing is, and the test is on the training points.
        classes: their names; by default their numbers.

    Raises:
        DataError: a class between 0 and the largest one has no point, or none is left to train on.
    """
    table = torch.tensor(points, dtype=torch.float64)
    inputs, targets, names = table[:, :-1].float(), table[:, -1:], list[str]()
    if task == "classification":
        targets = targets[:, 0].long()
        sizes = torch.bincount(targets, minlength=2)
        if not bool(sizes.all()):
            empty = int(sizes.argmin())
            raise DataError(
                f"data.points: class {empty} has no point; the classes are 0, 1, …, {len(sizes) - 1}"
            )
        names = [str(k) for k in range(len(sizes))] if classes is None else list(classes)
    everything, note = Split(inputs, targets), "data.test: 0: the test is on the training points themselves"
    outputs = len(names) or 1
    if test == 0:
        return RawData(task, everything, everything, outputs, names, notes=(note,))
    strata = targets if names else torch.zeros(len(targets), dtype=torch.int64)
    kept, held = hold_out(strata, test, split_seed=split_seed, purpose="test", names=names)
    return RawData(task, everything.take(kept), everything.take(held), outputs, names)


SETS: dict[str, Callable[..., RawData]] = {
    load.__name__: load for load in (xor, two_moons, spirals, blobs, regression_1d, points)
}
"""The sets by their names in a config."""
