"""Figures of section 4 that need no run: their numbers against NumPy, SciPy, PyTorch and closed forms."""

import math
from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from scipy import integrate
from torch.nn import functional

from nnlab.chapters.backpropagation import ideas as section_3
from nnlab.chapters.convolution import ideas as section_4
from nnlab.chapters.convolution.worked import CONVOLUTION, POOL, STRETCH, VOLUME
from nnlab.chapters.lecture.plan import POINTS
from nnlab.models.convolution import conv_output_size
from nnlab.page.contents import LONGEST_TITLE
from tests.widget_page import opened

WIDGETS = [CONVOLUTION, STRETCH, VOLUME, POOL]
IDEAS = (*section_3.IDEAS, *section_4.IDEAS)


@pytest.fixture(scope="module")
def page(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with opened(browser, tmp_path_factory.mktemp("page") / "page.html", WIDGETS) as page:
        page.emulate_media(media="print")  # draws them all
        page.wait_for_function("document.querySelectorAll('.stage:not([data-drawn])').length === 0")
        page.emulate_media(media="screen")
        yield page


def figure(page: Any, kind: str) -> Any:
    return page.locator(f"figure[data-kind={kind}]")


def says(page: Any, kind: str) -> str:
    text: str = figure(page, kind).locator(".says").inner_text()
    return text.replace("−", "-")


def move(page: Any, kind: str, label: str, to: int) -> None:
    """Moves a slider to its n-th place."""
    slider = figure(page, kind).get_by_label(label, exact=True)
    slider.press("Home")
    slider.evaluate(
        "(e, n) => { e.value = Number(e.min) + n * Number(e.step); e.dispatchEvent(new Event('input')); }", to
    )


# --- the contents ---


def test_every_claim_of_sections_3_and_4_belongs_to_an_idea() -> None:
    wanted = [
        f"{point.lesson}:{claim}" for point in POINTS if point.section[0] in "34" for claim in point.claims
    ]
    patterns = [pattern for idea in IDEAS for pattern in idea.claims]
    for claim in wanted:
        start = claim.replace("*", "")  # of a pattern of the plan, which an idea may divide further
        assert any(fnmatchcase(start, one) or one.startswith(start) for one in patterns), claim


def test_every_sentence_has_an_idea_and_the_sections_have_exercises() -> None:
    assert {idea.place for idea in IDEAS} == {"3.1", "3.2", "3.3", "4.1", "4.2", "4.3", "4.4"}
    exercises = (*section_3.EXERCISES, *section_4.EXERCISES)
    assert {exercise.place for exercise in exercises} == {idea.place for idea in IDEAS}
    assert max(len(idea.sentence) for idea in IDEAS) <= LONGEST_TITLE


# --- an image as a vector ---


def test_a_pixel_stands_where_flattening_puts_it(page: Any) -> None:
    places = torch.arange(3 * 32 * 32).reshape(3, 32, 32) + 1  # as torch.flatten counts them
    for row, column in ((1, 1), (10, 20), (32, 32)):
        move(page, "stretch", "row", row - 1)
        move(page, "stretch", "column", column - 1)
        red, green, blue = (f"{n:,}" for n in places[:, row - 1, column - 1].tolist())
        assert f"at places {red}, {green} and {blue}" in says(page, "stretch")


def test_shuffled_pixels_with_shuffled_weights_give_the_same_score(page: Any) -> None:
    plain = says(page, "stretch").partition("w·x is ")[2].partition(", ")[0]
    figure(page, "stretch").get_by_label("shuffle the pixels").check()
    text = says(page, "stretch")
    assert text.partition("w·x is ")[2].partition(", ")[0] == plain
    assert "shuffled alike" in text
    figure(page, "stretch").get_by_label("shuffle the pixels").uncheck()


# --- filters ---


@pytest.mark.parametrize(
    ("side", "stride", "padding"), [(5, 1, 0), (3, 1, 1), (7, 2, 3), (5, 3, 0), (1, 1, 0)]
)
def test_the_size_of_a_map_is_that_of_pytorch(page: Any, side: int, stride: int, padding: int) -> None:
    volume = figure(page, "volume")
    for number, value in enumerate((side, stride, padding)):
        volume.locator("select").nth(number).select_option(str(value))
    move(page, "volume", "filters", 5)
    layer = torch.nn.Conv2d(3, 6, side, stride, padding)
    maps = layer(torch.zeros(1, 3, 32, 32))
    high, wide = maps.shape[2:]
    assert conv_output_size(32, side, padding, stride) == high == wide
    text = says(page, "volume")
    assert (
        f"6 filters: {high} × {wide} × 6, {sum(p.numel() for p in layer.parameters()):,} parameters" in text
    )
    assert ("left over" in text) == bool((32 + 2 * padding - side) % stride)
    slider = volume.get_by_label("place", exact=True)
    assert slider.get_attribute("max") == str(high * wide - 1)


# --- pooling ---


def test_pooling_is_that_of_pytorch_for_numbers_that_are_typed(page: Any) -> None:
    numbers = np.random.default_rng(4).integers(-9, 100, (4, 4))
    pool = figure(page, "pool")
    field = pool.get_by_label("map, row by row")
    field.fill(" / ".join(" ".join(map(str, row)) for row in numbers.tolist()))
    maps = torch.from_numpy(numbers).double()[None, None]
    for kind, pooled in (("max", functional.max_pool2d(maps, 2)), ("mean", functional.avg_pool2d(maps, 2))):
        pool.locator("select").select_option(kind)
        for window, value in enumerate(pooled.flatten().tolist()):
            move(page, "pool", "window", window)
            assert f"is {value:g}." in says(page, "pool")
    field.fill("1 2 3")
    assert "4 rows of 4 numbers" in pool.locator(".wrong").inner_text()
    field.fill("1 1 2 4 / 5 6 7 8 / 3 2 1 0 / 1 2 3 4")
    pool.locator("select").select_option("max")


def test_cells_are_changed_by_the_keyboard(page: Any) -> None:
    pool = figure(page, "pool")
    cell = pool.locator("[data-cell='0']")
    cell.focus()
    for key in ("4", "2", "ArrowUp", "ArrowRight", "-"):
        page.keyboard.press(key)
    assert pool.get_by_label("map, row by row").input_value().startswith("43 -1 2 4 /")
    assert page.evaluate("document.activeElement.dataset.cell") == "1"
    move(page, "pool", "window", 0)
    assert "the largest of 43, -1, 5, 6 is 43" in says(page, "pool")


# --- convolution of functions ---

FUNCTIONS = {
    "box": lambda x: float(-0.5 <= x < 0.5),
    "triangle": lambda x: max(0.0, 1 - abs(x)),
    "bump": lambda x: math.exp(-4 * x * x),
    "one-sided decay": lambda x: math.exp(-2 * x) if x >= 0 else 0.0,
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("other", FUNCTIONS)
def test_the_convolution_is_its_integral(page: Any, name: str, other: str) -> None:
    f, g = FUNCTIONS[name], FUNCTIONS[other]
    for y in (-0.7, 0.0, 0.45, 1.3):
        kinks = sorted({*(-1, -0.5, 0, 0.5, 1), *(y - k for k in (-1, -0.5, 0, 0.5, 1))})
        ends = [-6.0, *kinks, 6.0]
        product = partial(lambda y, x: f(x) * g(y - x), y)
        exact = sum(integrate.quad(product, low, high)[0] for low, high in pairwise(ends))
        found, coarse = page.evaluate(
            "([f, g, y]) => [null, 0.5].map((h) => nnlab.convolution.at("
            "nnlab.convolution.FUNCTIONS[f], nnlab.convolution.FUNCTIONS[g], y, h))",
            [name, other, y],
        )
        assert found == pytest.approx(exact, abs=4e-3)  # a jump between two cells of 0.002
        n = np.arange(-12, 12) * 0.5
        assert coarse == pytest.approx(0.5 * sum(f(x) * g(y - x) for x in n), abs=1e-3)  # beyond ±4: e⁻⁸


def test_the_figure_says_the_value_at_y(page: Any) -> None:
    found = figure(page, "convolution")
    for number in (0, 1):
        found.locator("select").nth(number).select_option("box")
    move(page, "convolution", "place y", round((0.25 + 3) / 0.05))
    assert "is 0.75: the value" in says(page, "convolution")  # a triangle of width 2
