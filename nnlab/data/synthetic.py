"""Sets that are drawn, not measured: what they look like is known, so theory can be held against them.

Everything is drawn in float32 on the CPU, from generators that depend on the split seed alone; training
and test points come from different ones. Inputs are (N, 2), or (N, 1) for regression_1d.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from nnlab.data.dataset import RawData, Split
from nnlab.data.splits import generator
from nnlab.errors import InputError, suggest

TEST_POINTS = 200
"""Test points of regression_1d."""

Draw = Callable[[int, torch.Generator], tuple[Tensor, Tensor]]


def _train_and_test(draw: Draw, examples: int, classes: int, split_seed: int) -> RawData:
    train = draw(examples, generator(split_seed, "training points"))
    test = draw(examples, generator(split_seed, "test points"))
    names = [str(k) for k in range(classes)]
    return RawData("classification", Split(*train), Split(*test), outputs=classes, class_names=names)


def xor(*, examples: int, noise: float, split_seed: int) -> RawData:
    """The corners (±1, ±1) in turn plus Gaussian noise; class 1 where the signs differ."""
    corners = torch.tensor([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]])
    labels = torch.tensor([0, 1, 1, 0])

    def draw(count: int, g: torch.Generator) -> tuple[Tensor, Tensor]:
        corner = torch.arange(count) % 4
        return corners[corner] + noise * torch.randn(count, 2, generator=g), labels[corner]

    return _train_and_test(draw, examples, 2, split_seed)


def two_moons(*, examples: int, noise: float, split_seed: int) -> RawData:
    """Two half circles of radius 1 plus Gaussian noise.

    With t uniform on [0, π], class 0 is (cos t, sin t) and class 1 is (1 − cos t, ½ − sin t).
    """

    def draw(count: int, g: torch.Generator) -> tuple[Tensor, Tensor]:
        label = torch.arange(count) % 2
        t = math.pi * torch.rand(count, generator=g)
        upper, lower = torch.stack([t.cos(), t.sin()], 1), torch.stack([1 - t.cos(), 0.5 - t.sin()], 1)
        points = torch.where(label.unsqueeze(1) == 0, upper, lower)
        return points + noise * torch.randn(count, 2, generator=g), label

    return _train_and_test(draw, examples, 2, split_seed)


def spirals(*, examples: int, classes: int, turns: float, noise: float, split_seed: int) -> RawData:
    """Arms of a spiral plus Gaussian noise.

    With r uniform on [0.1, 1], class k is r (cos φ, sin φ), φ = 2π (turns · r + k / classes). The arms
    start off the centre, where all of them would meet.
    """

    def draw(count: int, g: torch.Generator) -> tuple[Tensor, Tensor]:
        label = torch.arange(count) % classes
        r = 0.1 + 0.9 * torch.rand(count, generator=g)
        angle = 2 * math.pi * (turns * r + label / classes)
        points = r.unsqueeze(1) * torch.stack([angle.cos(), angle.sin()], 1)
        return points + noise * torch.randn(count, 2, generator=g), label

    return _train_and_test(draw, examples, classes, split_seed)


def blobs(*, examples: int, classes: int, radius: float, spread: float, split_seed: int) -> RawData:
    """Gaussian clouds of standard deviation `spread` around `radius` (cos 2πk/C, sin 2πk/C)."""

    def draw(count: int, g: torch.Generator) -> tuple[Tensor, Tensor]:
        label = torch.arange(count) % classes
        angle = 2 * math.pi * label / classes
        centres = radius * torch.stack([angle.cos(), angle.sin()], 1)
        return centres + spread * torch.randn(count, 2, generator=g), label

    return _train_and_test(draw, examples, classes, split_seed)


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


def regression_1d(*, function: str, examples: int, noise: float, split_seed: int) -> RawData:
    """A function on [−1, 1] seen through Gaussian noise.

    Training inputs are equally spaced, ends included: no two of them come close, which would make a
    kernel matrix nearly singular. Of the draw only the noise is left. The test is the function itself,
    without noise, at 200 equally spaced points.
    """
    f = target_function(function)
    x, test_x = (torch.linspace(-1, 1, count).unsqueeze(1) for count in (examples, TEST_POINTS))
    errors = noise * torch.randn(examples, 1, generator=generator(split_seed, "training points"))
    return RawData(
        task="regression",
        train=Split(x, f(x.double()) + errors),
        test=Split(test_x, f(test_x.double())),
        outputs=1,
        class_names=[],
    )
