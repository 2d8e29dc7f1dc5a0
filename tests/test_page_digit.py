"""Drawing a digit: the page's networks answer as PyTorch's do, to what is drawn as the data would have it."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from nnlab.chapters.classification.widget import PAGE
from nnlab.chapters.convolution.widget import digit
from nnlab.page.widget import Widget
from nnlab.record import Run, open_run
from tests.command_line import nnlab
from tests.widget_page import opened

CONFIGS = {"softmax_digits": 300, "cnn_digits": 10}
CIRCLE = [(0.5 + 0.3 * np.sin(t), 0.5 - 0.4 * np.cos(t)) for t in np.linspace(0, 2 * np.pi, 17)]
DIGITS = {
    0: [CIRCLE],
    1: [[(0.4, 0.3), (0.55, 0.1), (0.55, 0.9)]],
    2: [[(0.25, 0.3), (0.35, 0.12), (0.65, 0.12), (0.72, 0.35), (0.3, 0.88), (0.78, 0.88)]],
    3: [
        [
            (0.3, 0.2),
            (0.45, 0.1),
            (0.65, 0.2),
            (0.65, 0.38),
            (0.45, 0.48),
            (0.7, 0.6),
            (0.65, 0.82),
            (0.3, 0.85),
        ]
    ],
    4: [[(0.45, 0.1), (0.2, 0.6), (0.8, 0.6)], [(0.62, 0.35), (0.58, 0.9)]],
    5: [[(0.72, 0.1), (0.35, 0.1), (0.32, 0.45), (0.6, 0.42), (0.72, 0.62), (0.6, 0.86), (0.28, 0.86)]],
    6: [[(0.5, 0.1), (0.3, 0.5), (0.32, 0.8), (0.5, 0.9), (0.7, 0.75), (0.6, 0.57), (0.34, 0.62)]],
    7: [[(0.25, 0.12), (0.75, 0.12), (0.45, 0.9)], [(0.35, 0.5), (0.7, 0.5)]],
    8: [
        [
            (0.5, 0.48),
            (0.3, 0.28),
            (0.5, 0.1),
            (0.7, 0.28),
            (0.5, 0.48),
            (0.28, 0.7),
            (0.5, 0.9),
            (0.72, 0.7),
            (0.5, 0.48),
        ]
    ],
    9: [[(0.68, 0.3), (0.5, 0.1), (0.32, 0.28), (0.48, 0.48), (0.68, 0.3), (0.66, 0.6), (0.5, 0.9)]],
}
"""Strokes of each digit on a sheet of side 1, from its upper left corner."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    folder, found = tmp_path_factory.mktemp("runs"), {}
    for name, epochs in CONFIGS.items():
        changes = ("--set", f"training.epochs={epochs}", "--runs", folder, "--quiet")
        done = nnlab("train", "--config", name, *changes)
        assert done.code == 0, done.err
        found[name] = open_run(done.last_line)
    return found


@pytest.fixture(scope="module")
def widgets(runs: dict[str, Run]) -> list[Widget]:
    return [digit(run, run.arrays()) for run in runs.values()]


@pytest.fixture(scope="module")
def page(browser: Any, widgets: list[Widget], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with opened(browser, tmp_path_factory.mktemp("page") / "page.html", widgets) as page:
        page.locator("figure.widget .says").first.wait_for()
        yield page


def answers(page: Any, widget: Widget, images: NDArray[Any]) -> list[list[list[float]]]:
    """The values of each layer for each image."""
    found: list[list[list[float]]] = page.evaluate(
        """([network, images]) => {
          const known = nnlab.digits.network(network);
          return images.map((pixels) => nnlab.digits.answer(known, pixels).map(({ values }) => [...values]));
        }""",
        [widget.data["network"], images.tolist()],
    )
    return found


@pytest.mark.parametrize("number", [0, 1])
def test_the_page_computes_what_pytorch_computes(
    page: Any, runs: dict[str, Run], widgets: list[Widget], number: int
) -> None:
    run, widget = list(runs.values())[number], widgets[number]
    images = np.random.default_rng(0).integers(0, 17, (20, 64))
    network = widget.data["network"]
    inputs = (torch.from_numpy(images).float() - network["mean"]) / network["std"]
    model = run.model()
    layers = [*getattr(model, "convolutions", []), *getattr(model, "pools", [])]
    seen: dict[Any, NDArray[Any]] = {}
    for layer in layers:
        layer.register_forward_hook(lambda layer, _, out: seen.__setitem__(layer, out.numpy(force=True)))
    with torch.no_grad():
        scores = model(inputs.reshape(20, 1, 8, 8)).numpy()
    found = answers(page, widget, images)
    np.testing.assert_allclose([one[-1] for one in found], scores, atol=1e-4)
    kinds = [layer["kind"] for layer in network["layers"]]
    order = [layer for pair in zip(*(iter(layers),), strict=True) for layer in pair]
    for kind, group in (("convolution", order[: len(order) // 2]), ("pool", order[len(order) // 2 :])):
        for place, layer in zip((i for i, k in enumerate(kinds) if k == kind), group, strict=True):
            exact = seen[layer].reshape(20, -1)
            np.testing.assert_allclose([one[place] for one in found], exact, atol=1e-4)


def test_pixels_are_counted_as_in_the_data(page: Any) -> None:
    """Whatever its size and place a digit fills eight rows and about 20 of 32 columns, with as much ink."""
    from sklearn.datasets import load_digits

    data = load_digits()
    ink = data.images.sum((1, 2))
    for number, strokes in DIGITS.items():
        small = [[(0.1 + x / 4, 0.6 + y / 4) for x, y in stroke] for stroke in strokes]
        large, little = page.evaluate(
            "(all) => all.map((strokes) => nnlab.digits.pixels(strokes))", [strokes, small]
        )
        assert np.abs(np.array(large) - little).max() <= 4  # cells at the rim of the line
        image = np.array(large).reshape(8, 8)
        assert image.max() <= 16
        assert image[0].any()
        assert image[7].any()
        assert not image[:, [0, 7]].any()
        of_class = ink[data.target == number]
        assert of_class.min() <= image.sum() <= of_class.max()
    assert page.evaluate("() => nnlab.digits.pixels([])") == [0] * 64
    assert sum(page.evaluate("() => nnlab.digits.pixels([[[0.5, 0.5]]])")) > 0


def test_drawn_digits_are_recognized(page: Any, widgets: list[Widget]) -> None:
    strokes = list(DIGITS.values())
    images = np.array(page.evaluate("(all) => all.map((one) => nnlab.digits.pixels(one))", strokes))
    right = [sum(np.argmax(one[-1]) == k for k, one in enumerate(answers(page, w, images))) for w in widgets]
    assert right[0] >= 8
    assert right[1] >= 9


def test_mouse_and_keyboard_draw_and_both_networks_answer(page: Any) -> None:
    figure = page.locator("figure.widget").first
    says = figure.locator(".says")
    figure.get_by_role("button", name="clear").click()
    assert "Draw a digit" in says.inner_text()
    sheet = figure.locator("g.pad rect").bounding_box()

    def at(point: tuple[float, float]) -> tuple[float, float]:
        return sheet["x"] + point[0] * sheet["width"], sheet["y"] + point[1] * sheet["height"]

    page.mouse.move(*at(CIRCLE[0]))
    page.mouse.down()
    for point in CIRCLE[1:]:
        page.mouse.move(*at(point), steps=3)
    page.mouse.up()
    page.wait_for_timeout(100)
    text = says.inner_text()
    assert "Softmax regression: 0 " in text
    assert "Convolutional network: 0 " in text
    state = figure.evaluate("(figure) => nnlab.stateOf(figure)")
    assert len(state["strokes"]) > 20
    figure.get_by_role("button", name="clear").click()
    figure.evaluate("(figure, state) => nnlab.setState(figure, state)", state)
    assert says.inner_text().partition(" with")[0] == text.partition(" with")[0]

    figure.get_by_role("button", name="clear").click()
    pad = figure.locator("g.pad")
    pad.focus()
    for key in ("Shift+ArrowUp",) * 3 + (" ",) + ("ArrowDown",) * 30 + (" ", "ArrowRight"):
        pad.press(key)
    page.wait_for_timeout(100)
    assert "Convolutional network: 1 " in says.inner_text()
    pad.press("Delete")
    page.wait_for_timeout(100)
    assert "Draw a digit" in says.inner_text()


def test_the_figure_belongs_to_digits_alone(runs: dict[str, Run]) -> None:
    run = runs["cnn_digits"]
    arrays = run.arrays()
    assert digit in PAGE.experiments["classify"].widgets
    for wrong in ({"data/full_scale": np.array(255.0)}, {"network/output.bias": np.zeros(3, np.float32)}):
        with pytest.raises(ValueError, match=r"digits|expected"):
            digit(run, arrays | wrong)
    with pytest.raises(KeyError):
        digit(run, {k: v for k, v in arrays.items() if not k.startswith("network/")})
