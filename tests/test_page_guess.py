"""Figures that are guessed first: what they hide, and what they say of a guess."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnlab.page.guess import guess, power
from tests.widget_page import opened

X = np.array([8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0])
MEASURED = 3.0 * X**-0.9 * (1 + 0.1 * np.sin(X))
LOG = guess(
    "power",
    "A power",
    "How does it fall?",
    X,
    MEASURED,
    predicted=3.0 / X,
    interval=np.stack([0.9 * MEASURED, 1.1 * MEASURED], 1),
    x_label="width m",
    y_label="size",
    options={"stays": power(X, MEASURED[0], 0.0), "halves": power(X, MEASURED[0], -1.0)},
)
FLAT = guess(
    "flat",
    "A line",
    "How large?",
    X,
    X / 512,
    x_label="x",
    y_label="y",
    given=2,
    handles=2,
    logarithmic=False,
)


def test_the_data_are_the_curve_and_its_handles() -> None:
    assert LOG.kind == "guess-power"
    np.testing.assert_allclose(LOG.data["measured"], MEASURED, rtol=1e-4)
    assert LOG.data["handles"][-1] == len(X) - 1
    assert len(LOG.data["handles"]) == 4
    assert min(LOG.data["handles"]) >= LOG.data["given"]
    low, high = LOG.data["limits"]
    assert low < min(MEASURED[-1], MEASURED[0] / 64)
    assert high > MEASURED[0] * 64


@pytest.mark.parametrize(
    "changes",
    [{"x": X[::-1]}, {"measured": MEASURED[:-1]}, {"measured": 0 * X}, {"given": 7}, {"options": {"a": -X}}],
)
def test_what_cannot_be_drawn_is_refused(changes: dict[str, Any]) -> None:
    arguments: dict[str, Any] = {"x": X, "measured": MEASURED, "x_label": "x", "y_label": "y", **changes}
    with pytest.raises(ValueError, match=r"expected|given|positive"):
        guess("wrong", "", "", arguments.pop("x"), arguments.pop("measured"), **arguments)


@pytest.fixture(scope="module")
def page(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    file: Path = tmp_path_factory.mktemp("guess") / "page.html"
    with opened(browser, file, [LOG, FLAT]) as shown:
        yield shown


def said(figure: Any) -> str:
    return str(figure.locator(".says").inner_text()).replace("−", "-")


def test_the_exponent_is_that_of_least_squares(page: Any) -> None:
    found = page.evaluate("([x, y]) => nnlab.guess.exponent(x, y)", [X.tolist(), MEASURED.tolist()])
    assert found == pytest.approx(np.polyfit(np.log(X), np.log(MEASURED), 1)[0], rel=1e-10)


def test_the_measurement_is_hidden_until_it_is_asked_for(page: Any) -> None:
    figure = page.locator("figure.widget").first
    assert said(figure).startswith("How does it fall?")
    marks = figure.locator(".drawings svg > circle").count()
    figure.get_by_label("show the measurement").check()
    assert figure.locator(".drawings svg > circle").count() == marks + len(X)
    exponent = float(re.findall(r"measured (-[\d.]+)", said(figure))[0])
    at = [0, *LOG.data["handles"]]
    assert exponent == pytest.approx(np.polyfit(np.log(X[at]), np.log(MEASURED[at]), 1)[0], abs=0.051)
    figure.locator("select").select_option(label="halves")
    assert "guessed the exponent -1;" in said(figure)
    figure.get_by_label("show the measurement").uncheck()
    figure.locator("select").select_option(label="I draw it")


def test_points_are_dragged_by_mouse_and_keyboard_and_kept(page: Any) -> None:
    figure = page.locator("figure.widget").first
    handles = figure.locator("[data-handle]")
    values = [float(handle.get_attribute("aria-valuetext")) for handle in handles.all()]
    handles.first.focus()
    for _ in range(3):
        page.keyboard.press("ArrowDown")
    lowered = float(handles.first.get_attribute("aria-valuetext"))
    assert lowered < values[0]
    box = handles.last.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x, y + 40, steps=3)
    page.mouse.up()
    last = float(handles.last.get_attribute("aria-valuetext"))
    assert last < values[-1]
    kept = page.evaluate("nnlab.stateOf(document.querySelector('figure.widget')).drawn").split("_")
    assert [float(kept[0]), float(kept[-1])] == pytest.approx([lowered, last], rel=1e-2)


def test_linear_axes_say_a_difference(page: Any) -> None:
    figure = page.locator("figure.widget").nth(1)
    figure.get_by_label("show the measurement").check()
    number = float(re.findall(r"x = 512 it is ([\d.]+) too small", said(figure))[0])
    assert number == pytest.approx(1 - 16 / 512, abs=0.01)
