"""Interactive figures: their numbers are those of the run; moved, they say what NumPy finds."""

import base64
import json
import math
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from nnlab.approximation.bins import bins_for
from nnlab.approximation.targets import NAMED
from nnlab.chapters.experiments import EXPERIMENTS
from nnlab.chapters.pages import CHAPTERS
from nnlab.expressions import evaluate, parse
from nnlab.page.contents import Contents
from nnlab.page.widget import MOST, Widget, numbers, packed, thinned
from nnlab.record import Run, open_run
from tests.command_line import nnlab
from tests.widget_page import opened

SETTINGS = {
    "approx": ("parts=[bins]", "bins=[4,12]"),
    "cnn_digits": ("training.epochs=1",),
    "convergence": ("training.epochs=100",),
    "ntk": ("widths=[32,64]", "seeds=2", "training.steps=60", "edge.steps=40", "data.examples=8"),
    "regularization": ("training.epochs=100", "strengths=[0.01,0.1]"),
    "separable": ("training.epochs=2000",),
    "weight_change": ("widths=[32,64,128]", "seeds=4", "training.steps=30"),
}
"""Short runs of the shipped configs that have interactive figures."""

CONTENTS = Contents(CHAPTERS)
"""Those with figures that need no run."""

Runs = dict[str, Run]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    folder, found = tmp_path_factory.mktemp("runs"), {}
    for name, changes in SETTINGS.items():
        sets = [word for change in changes for word in ("--set", change)]
        done = nnlab("train", "--config", name, *sets, "--runs", folder, "--quiet")
        assert done.code == 0, done.err
        found[name] = open_run(done.last_line)
    return found


def data_of(run: Run, kind: str) -> dict[str, Any]:
    return next(widget.data for widget in CONTENTS.widgets_of(run) if widget.kind == kind)


# --- numbers ----------------------------------------------------------------------------------------


def test_numbers_are_rounded_to_significant_digits() -> None:
    assert numbers([[1 / 3, -2e-7 / 3], [0.0, 12345.6]], 3) == [[0.333, -6.67e-08], [0.0, 12300.0]]
    for wrong in ([math.nan], [math.inf], np.zeros(MOST + 1)):
        with pytest.raises(ValueError, match="too many, or not all of them finite"):
            numbers(wrong)


def unpacked(data: dict[str, Any]) -> NDArray[Any]:
    steps = np.frombuffer(base64.b64decode(data["bytes"]), np.uint8).astype(float) - 128
    return np.asarray(data["scale"] * steps / 127).reshape(data["shape"])


def test_packing_keeps_the_sign_of_the_smallest_and_zero() -> None:
    values = np.array([[0.0, 1e-9, -1e-9], [3.0, -3.0, 1.5]])
    found = unpacked(packed(values))
    np.testing.assert_array_equal(np.sign(found), np.sign(values))
    np.testing.assert_allclose(found, values, atol=3 / 127)
    assert unpacked(packed(np.zeros(3))).tolist() == [0, 0, 0]
    with pytest.raises(ValueError, match="finite"):
        packed([math.nan])


def test_thinning_keeps_both_ends() -> None:
    assert thinned(5, 10).tolist() == [0, 1, 2, 3, 4]
    chosen = thinned(10_000, 50)
    assert len(chosen) <= 50
    assert (chosen[0], chosen[-1]) == (0, 9_999)
    assert (np.diff(chosen) > 0).all()


@pytest.mark.slow
def test_every_shipped_run_has_its_figures(runs: Runs) -> None:
    kinds = {name: [widget.kind for widget in CONTENTS.widgets_of(run)] for name, run in runs.items()}
    assert kinds == {
        "approx": ["bins", "guess-bins"],
        "cnn_digits": ["maps", "filter", "digit"],
        "convergence": ["descent"],
        "ntk": ["example", "linearization", "flow", "drift", "choose", "modes", "descent"],
        "regularization": ["weights"],
        "separable": ["growth", "guess-loss"],
        "weight_change": [
            "guess-width",
            "widths",
            "largest_step",
            "guess-gap",
            "law-gap",
            "guess-drift",
            "law-drift",
        ],
    }
    for run in runs.values():
        for widget in CONTENTS.widgets_of(run):
            assert len(json.dumps(widget.data, allow_nan=False)) < 300_000


def test_bins_know_the_function_its_slope_and_what_was_certified(runs: Runs) -> None:
    data = data_of(runs["approx"], "bins")
    x = np.linspace(data["low"], data["high"], len(data["f"]))
    exact = evaluate(parse(NAMED["lecture"], ("x",)), {"x": x})
    np.testing.assert_allclose(data["f"], exact, atol=1e-6)
    rows = runs["approx"].summary["results"]
    assert data["certified"] == [[row["bins"], row["error_upper"]] for row in rows]
    assert data["lipschitz"] == rows[0]["lipschitz"]
    assert data["sharpness"] * rows[1]["bins"] == pytest.approx(rows[1]["steepness"])


def test_modes_follow_from_eigenvalues_and_starts(runs: Runs) -> None:
    data, arrays = data_of(runs["ntk"], "modes"), runs["ntk"].arrays()
    eigenvalues, start = np.array(data["eigenvalues"]), np.array(data["start"])
    k, size = np.array(data["steps"]), np.abs(start).max()
    flow = start[:, None] * np.exp(-eigenvalues[:, None] * data["lr"] * k)
    descent = start[:, None] * (1 - eigenvalues[:, None] * data["lr"]) ** k
    np.testing.assert_allclose(flow, arrays["modes/flow"], atol=1e-4 * size)
    np.testing.assert_allclose(descent, arrays["modes/descent"], atol=1e-4 * size)
    np.testing.assert_allclose(data["network"], arrays["modes/network"], atol=1e-4 * size)


def linear_loss(data: dict[str, Any], multiple: float, k: NDArray[Any]) -> NDArray[Any]:
    eigenvalues, start = np.array(data["eigenvalues"]), np.array(data["start"])
    factors = 1 - multiple * data["lr"] * eigenvalues
    return np.asarray(data["factor"] * (start**2 * factors ** (2 * k[:, None])).sum(1))


def test_the_loss_of_the_linearized_network_follows_from_its_modes(runs: Runs) -> None:
    data, arrays = data_of(runs["ntk"], "descent"), runs["ntk"].arrays()
    assert data["lr"] * max(data["eigenvalues"]) == pytest.approx(2)
    assert [m["multiple"] for m in data["measured"]] == [0.95, 1.05, 1.5]
    for measured in data["measured"]:
        label = f"{measured['multiple']:g} η_max"
        expected = arrays[f"edge/{label}/linearized"]
        found = linear_loss(data, measured["multiple"], arrays["edge/steps"])
        np.testing.assert_allclose(found, expected, rtol=1e-4)
        np.testing.assert_allclose(
            np.array(measured["points"])[:, 1], arrays[f"edge/{label}/network"], rtol=1e-4
        )


def test_the_quadratic_model_starts_where_training_starts(runs: Runs) -> None:
    data, rows = data_of(runs["convergence"], "descent"), runs["convergence"].summary["results"]
    assert np.linalg.norm(data["start"]) == pytest.approx(rows[0]["distance_at_start"])
    for row in rows:
        slowest = np.abs(1 - row["lr"] * np.array(data["eigenvalues"])).max()
        assert slowest == pytest.approx(row["predicted_rate"], rel=1e-6)


def test_widths_hold_means_over_the_seeds(runs: Runs) -> None:
    data, arrays = data_of(runs["weight_change"], "widths"), runs["weight_change"].arrays()
    assert data["widths"] == [32, 64, 128]
    first = data["settings"][0]
    assert first["name"] == "1 layer, NTK, the same η for all widths"
    claims = {claim["name"]: claim["predicted"] for claim in runs["weight_change"].summary["claims"]}
    assert first["predicted"] == claims.get("whole_ntk-1-constant")
    for name, key in (("change", "change_curve"), ("loss", "loss")):
        found = np.array(first[name])
        expected = arrays[f"ntk-1-constant/{key}"].mean(1)
        np.testing.assert_allclose(found[:, [0, -1]], expected[:, [0, -1]], rtol=1e-4)


def test_weights_add_up_to_the_penalty(runs: Runs) -> None:
    data = data_of(runs["regularization"], "weights")
    penalties = {penalty["name"]: penalty for penalty in data["penalties"]}
    beta = data["beta"]
    of = {
        "l2": lambda w: (w**2).sum(),
        "l1": lambda w: np.abs(w).sum(),
        "elastic_net": lambda w: (beta * w**2 + np.abs(w)).sum(),
    }
    assert set(penalties) == set(of)
    arrays = runs["regularization"].arrays()
    for name, penalty in penalties.items():
        packed_weights, weights = unpacked(penalty["weights"]), arrays[f"{name}/weights"]
        np.testing.assert_allclose(packed_weights, weights, atol=np.abs(weights).max() / 127)
        np.testing.assert_array_equal(packed_weights == 0, weights == 0)
        assert penalty["zeros"] == [(w == 0).sum() for w in weights]
        assert penalty["value"] == pytest.approx([of[name](w) for w in weights], rel=1e-9)
        assert weights[0].size == data["count"]
    assert penalties["l1"]["zeros"][1] > 0


def test_growth_shows_loss_and_size_at_the_same_steps(runs: Runs) -> None:
    data, arrays = data_of(runs["separable"], "growth"), runs["separable"].arrays()
    at = np.searchsorted(arrays["steps"], data["steps"])
    for name in ("loss", "norm"):
        np.testing.assert_allclose(data[name], arrays[name][at], rtol=1e-4)


def convolved(data: dict[str, Any], number: int = 0) -> NDArray[Any]:
    """The map of a filter, by the definition."""
    image, weights = np.array(data["image"]), np.array(data["filters"][number]["weights"])
    p, s, side = data["padding"], data["stride"], weights.shape[-1]
    padded = np.pad(image, ((0, 0), (p, p), (p, p)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (side, side), (1, 2))[:, ::s, ::s]
    return np.asarray(np.einsum("crkij,cij->rk", windows, weights) + data["filters"][number]["bias"])


def test_the_learned_filter_makes_the_map_of_the_run(runs: Runs) -> None:
    data, arrays = data_of(runs["cnn_digits"], "filter"), runs["cnn_digits"].arrays()
    np.testing.assert_allclose(convolved(data), arrays["sliding/map"], atol=5e-3)


def test_maps_are_those_of_the_run(runs: Runs) -> None:
    data, arrays = data_of(runs["cnn_digits"], "maps"), runs["cnn_digits"].arrays()
    assert data["classes"] == [str(k) for k in range(10)]
    look = data["looks"][0]
    saved = f"maps/{look['name']}/"
    measured = {key.removeprefix(saved): array for key, array in arrays.items() if key.startswith(saved)}
    measured = {k: v for k, v in measured.items() if k != "picture" and not k.endswith("/chosen")}
    assert [layer["name"] for layer in look["layers"]][-1] == "scores"
    for layer, values in zip(look["layers"], measured.values(), strict=True):
        if "maps" in layer:
            np.testing.assert_allclose(unpacked(layer["maps"]), values, atol=np.abs(values).max() / 127)
            assert values[tuple(layer["strongest"]["at"])] == layer["strongest"]["value"] == values.max()
        else:
            np.testing.assert_allclose(layer["values"], values, rtol=1e-3)
    assert np.array(look["picture"]).shape == (8, 8, 1)
    assert np.array(data["filters"]).shape == arrays["filters"].shape


# --- runs that are not as expected ---------------------------------------------------------------------


def changed(run: Run, folder: Path, change: Callable[[dict[str, Any]], None]) -> Run:
    """A copy of a run with other arrays."""
    shutil.copytree(run.folder, folder)
    arrays: dict[str, Any] = dict(run.arrays())
    change(arrays)
    np.savez(folder / "arrays.npz", **arrays)
    return open_run(folder)


@pytest.mark.parametrize("name", SETTINGS)
def test_a_run_without_its_numbers_has_no_figure_and_no_error(runs: Runs, name: str, tmp_path: Path) -> None:
    def scalars(arrays: dict[str, Any]) -> None:
        arrays.update({key: np.float64(0) for key in arrays})

    def nan(arrays: dict[str, Any]) -> None:
        arrays.update({k: np.full(a.shape, np.nan) for k, a in arrays.items() if a.dtype.kind == "f"})

    assert CONTENTS.widgets_of(changed(runs[name], tmp_path / "empty", dict.clear)) == []
    for change in (scalars, nan):
        for widget in CONTENTS.widgets_of(changed(runs[name], tmp_path / change.__name__, change)):
            json.dumps(widget.data, allow_nan=False)


def test_a_torn_or_strange_run_has_no_figure_and_no_error(runs: Runs, tmp_path: Path) -> None:
    folder = tmp_path / "torn"
    shutil.copytree(runs["ntk"].folder, folder)
    whole = (folder / "arrays.npz").read_bytes()
    (folder / "arrays.npz").write_bytes(whole[: len(whole) // 2])
    assert CONTENTS.widgets_of(open_run(folder)) == []
    for experiment in EXPERIMENTS:
        several: list[list[Any]] = [[], [None], [{"construction": "staircase"}]]
        for results in several:
            strange = {"experiment": experiment, "results": results, "claims": [], "metrics": {}}
            summary = {**runs["approx"].summary, **strange}
            for widget in CONTENTS.widgets_of(Run(runs["approx"].folder, summary)):
                json.dumps(widget.data, allow_nan=False)
    assert CONTENTS.widgets_of(Run(folder, {**runs["ntk"].summary, "experiment": ["?"]})) == []


# --- in the browser ------------------------------------------------------------------------------------

NUMBER = r"−?\d+(?:\.\d+)?(?: × 10[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+|e−?\d+)?|−?10[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+"
RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻−", "0123456789--")


def value(text: str) -> float:
    """A number as the page writes it.

    >>> value("−1.5 × 10⁻³")
    -0.0015
    """
    mantissa, _, power = text.partition(" × ")
    if re.fullmatch(r"−?10[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+", mantissa):
        mantissa, power = "−1" if mantissa[0] == "−" else "1", mantissa.lstrip("−")
    return float(mantissa.translate(RAISED) + (f"e{power[2:].translate(RAISED)}" if power else ""))


def said(figure: Any, before: str) -> float:
    """The number that follows some words in the sentence of a figure."""
    text = figure.locator(".says").inner_text()
    found = re.search(re.escape(before) + rf"\s*({NUMBER})", text)
    assert found, f"{before!r} is not in {text!r}"
    return value(found[1])


@pytest.fixture(scope="module")
def widgets(runs: Runs) -> list[Widget]:
    standing = [idea.figure for idea in CONTENTS.ideas if isinstance(idea.figure, Widget)]
    return standing + [widget for run in runs.values() for widget in CONTENTS.widgets_of(run)]


@pytest.fixture(scope="module")
def page(browser: Any, widgets: list[Widget], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """All figures of the runs, and those without a run."""
    with opened(browser, tmp_path_factory.mktemp("page") / "figures.html", widgets) as shown:
        yield shown


@pytest.fixture
def figure(page: Any, widgets: list[Widget]) -> Callable[..., tuple[Any, dict[str, Any]]]:
    """Finds a figure by kind, and by its number among those of that kind; with the data that it was given."""

    def find(kind: str, number: int = 0) -> tuple[Any, dict[str, Any]]:
        found = page.locator(f"figure[data-kind={kind}]").nth(number)
        found.scroll_into_view_if_needed()
        found.locator(".says").wait_for()
        return found, [w.data for w in widgets if w.kind == kind][number]

    return find


def slide(figure: Any, label: str, steps: int) -> str:
    """Moves a slider by the keyboard to so many steps from its start; what it says of its value."""
    slider = figure.get_by_label(label, exact=True)
    slider.focus()
    slider.press("Home")
    for _ in range(steps):
        slider.press("ArrowRight")
    return str(slider.get_attribute("aria-valuetext"))


@pytest.mark.slow
def test_every_slider_moves_its_figure_by_keyboard_and_pointer(page: Any, widgets: list[Widget]) -> None:
    figures = page.locator("figure.widget")
    assert figures.count() == len(widgets)
    for i, widget in enumerate(widgets):
        figure = figures.nth(i)
        figure.scroll_into_view_if_needed()
        figure.locator(".says").wait_for()
        sliders = figure.locator("input[type=range]")
        assert sliders.count() + figure.locator("[role=slider]").count() >= 1, widget.kind
        for k in range(sliders.count()):
            slider = sliders.nth(k)
            if not slider.is_visible():  # belongs to another choice
                continue
            seen = set()
            slider.focus()
            for key in ("Home", "End"):
                slider.press(key)
                seen.add(figure.inner_html())
                assert slider.get_attribute("aria-valuetext")
            slider.scroll_into_view_if_needed()
            box = slider.bounding_box()
            page.mouse.click(box["x"] + 0.4 * box["width"], box["y"] + box["height"] / 2)
            assert len(seen) == 2, f"{widget.kind}: slider {k} moves nothing"
            low, high = (float(slider.get_attribute(end)) for end in ("min", "max"))
            if high - low > 2 * float(slider.get_attribute("step")):
                assert low < float(slider.input_value()) < high
                assert figure.inner_html() not in seen, f"{widget.kind}: the pointer moves nothing"
        for svg in figure.locator("svg[role=img]").all():
            assert svg.get_attribute("aria-label"), widget.kind


def test_every_choice_and_button_draws_anew(page: Any, widgets: list[Widget]) -> None:
    for i, widget in enumerate(widgets):
        figure = page.locator("figure.widget").nth(i)
        figure.scroll_into_view_if_needed()
        for select in figure.locator("select").all():
            options = select.locator("option:not([disabled])")
            seen = set()
            for number in range(options.count()):
                select.select_option(index=number)
                seen.add(figure.inner_html())
            own = select.locator('option[value="typed"], option[value="my own"]').count()  # draw as before
            assert len(seen) == options.count() - own, widget.kind
        for button in figure.get_by_role("button").all():
            button.click()
            assert figure.locator(".says").inner_text()


@pytest.mark.slow
def test_softmax_gives_the_probabilities_and_the_loss_of_the_lecture(figure: Any) -> None:
    found, _ = figure("softmax")
    found.locator("select").select_option("0")
    for name, score in (("cat", 3.2), ("car", 5.1), ("frog", -1.7)):
        slide(found, f"score of {name}", round((score + 8) / 0.1))
    p = np.exp([3.2, 5.1, -1.7]) / np.exp([3.2, 5.1, -1.7]).sum()
    assert said(found, "so the loss is −log 0.13 =") == pytest.approx(-math.log(p[0]), rel=0.005) == 2.04
    found.locator("select").select_option("2")
    assert said(found, "so the loss is −log 9.68 × 10⁻⁴ =") == pytest.approx(-math.log(p[2]), rel=0.005)


def test_a_filter_takes_dot_products(figure: Any) -> None:
    found, data = figure("filter", 0)
    for number in range(len(data["filters"])):
        found.locator("select").select_option(str(number))
        exact = convolved(data, number)
        for place in (0, 7, exact.size - 1):
            slide(found, "place", place)
            assert said(found, "with the weights is") == exact.flat[place]
    learned, data = figure("filter", 1)
    exact = convolved(data)
    slide(learned, "place", 19)
    bias = data["filters"][0]["bias"]
    assert said(learned, "with the weights is") == pytest.approx(exact.flat[19] - bias, rel=1e-3, abs=1e-9)
    assert said(learned, "the map gets") == pytest.approx(exact.flat[19], rel=1e-3, abs=1e-9)


def test_a_step_is_as_near_as_its_tail(figure: Any) -> None:
    found, _ = figure("step")
    w = value(slide(found, "steepness w", 30))
    s = value(slide(found, "position s", 25))
    assert (w, s) == (32, 0.25)
    assert said(found, "b = −ws =") == -8
    found.locator("select").select_option("sigmoid")
    assert said(found, "σ(−wδ) =") == pytest.approx(1 / (1 + math.exp(0.05 * w)), rel=1e-3)
    found.locator("select").select_option("tanh")
    assert said(found, "1 − tanh(wδ) =") == pytest.approx(1 - math.tanh(0.05 * w), rel=1e-3)
    found.locator("select").select_option("ReLU")
    assert said(found, "w(1 − s) =") == w * (1 - s)


def test_two_steps_are_a_bin(figure: Any) -> None:
    found, _ = figure("bin")
    found.locator("select").select_option("tanh")
    w = value(slide(found, "steepness w", 30))
    a, b = value(slide(found, "left edge s₁", 30)), value(slide(found, "right edge s₂", 50))
    h = value(slide(found, "height h", 30))
    assert (a, b, h) == (0.3, 0.5, 0.5)
    exact = h / 2 * (math.tanh(w * 0.1) - math.tanh(-w * 0.1))
    assert said(found, "the sum is") == pytest.approx(exact, rel=1e-3)
    slide(found, "right edge s₂", 20)
    assert "are swapped" in found.locator(".says").inner_text()
    found.locator("select").select_option("ReLU")
    assert said(found, "hw(s₂ − s₁) =") == pytest.approx(h * w * -0.1, rel=1e-3)


def test_bins_are_counted_and_their_error_is_that_of_the_histogram(figure: Any) -> None:
    found, data = figure("bins")
    x = np.linspace(0, 1, 200_001)
    target = parse(NAMED["lecture"], ("x",))

    def f(at: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(evaluate(target, {"x": at}))

    found.locator("select").select_option("hard")
    for n in (1, 4, 13):
        slide(found, "bins N", n - 1)
        middles = (np.minimum((x * n).astype(int), n - 1) + 0.5) / n
        assert said(found, "largest error") == pytest.approx(np.abs(f(middles) - f(x)).max(), rel=1e-3)
        assert said(found, "L(b − a)/2N =") == pytest.approx(data["lipschitz"] / (2 * n), rel=1e-3)
    found.locator("select").select_option("steep sigmoids")
    for n, error in data["certified"]:
        slide(found, "bins N", n - 1)
        assert said(found, "largest error") == pytest.approx(error, rel=1e-3)
        assert said(found, "certified: at most") == pytest.approx(error, rel=1e-3)
    for steps in (0, 6):
        epsilon = value(slide(found, "error ε", steps))
        enough = bins_for(data["lipschitz"], epsilon)
        assert said(found, "⌈L(b − a)/2ε⌉ =") == enough
        found.get_by_role("button", name="as many bins as ε needs").click()
        assert found.get_by_label("bins N", exact=True).input_value() == str(enough)
        assert "these are enough" in found.locator(".says").inner_text()


def test_modes_are_predicted_and_measured_at_the_chosen_step(figure: Any) -> None:
    found, data = figure("modes")
    eigenvalues, start = np.array(data["eigenvalues"]), np.array(data["start"])
    laws = {
        "gradient flow exp(−λt)": lambda k: np.exp(-eigenvalues * data["lr"] * k),
        "gradient descent (1 − ηλ)ᵏ": lambda k: (1 - data["lr"] * eigenvalues) ** k,
    }
    for name, law in laws.items():
        found.locator("select").select_option(name)
        for at in (0, 5, len(data["steps"]) - 1):
            k = value(slide(found, "step k", at))
            assert k == data["steps"][at]
            assert said(found, "‖u‖ is predicted to be") == pytest.approx(
                np.linalg.norm(start * law(k)), rel=1e-3
            )
            measured = np.linalg.norm(np.array(data["network"])[:, at])
            assert said(found, "was measured as") == pytest.approx(measured, rel=1e-3)
            dead = int((np.abs(law(k)) < math.exp(-1)).sum())
            assert said(found, f"of {len(eigenvalues)} modes") == dead


@pytest.mark.parametrize("number", [0, 1])
def test_step_sizes_multiply_the_modes(figure: Any, number: int) -> None:
    found, data = figure("descent", number)
    eigenvalues, start = np.array(data["eigenvalues"]), np.array(data["start"])
    for measured in data["measured"]:
        multiple = measured["multiple"]
        found.get_by_role("button", name=f"measured: {multiple:g} × {data['unit']}", exact=True).click()
        eta = multiple * data["lr"]
        assert said(found, "|1 − ηλmax| =") == pytest.approx(abs(1 - eta * eigenvalues.max()), rel=1e-3)
        end = data["factor"] * (start**2 * (1 - eta * eigenvalues) ** (2 * data["steps"])).sum()
        expected = math.sqrt(end) if data["power"] == 1 else end
        assert said(found, "at the start,") == pytest.approx(expected, rel=2e-3)
        assert said(found, "Measured: the largest is") == pytest.approx(
            np.array(measured["points"])[:, 1].max(), rel=1e-3
        )
        grows = "grow" in found.locator(".says").inner_text()
        assert grows == bool((np.abs(1 - eta * eigenvalues) > 1 + 1e-9).any())


def test_widths_say_how_far_the_weights_moved(figure: Any) -> None:
    found, data = figure("widths")
    for number in (0, len(data["settings"]) - 1):
        found.locator("select").first.select_option(str(number))
        setting = data["settings"][number]
        change = np.array(setting["change"])
        for width, at in ((0, change.shape[1] - 1), (2, 8)):
            slide(found, "width m", width)
            slide(found, "step", at)
            assert said(found, "have moved by") == pytest.approx(100 * change[width, at], rel=0.01)
            slope = np.polyfit(np.log(data["widths"]), np.log(change[:, at]), 1)[0]
            assert said(found, "Exponent over the widths:") == pytest.approx(slope, rel=0.01)


def test_weights_say_their_penalty_and_zeros(figure: Any) -> None:
    found, data = figure("weights")
    ends = {"l2": "Σw² =", "l1": "Σ|w| ="}
    for number, penalty in enumerate(data["penalties"]):
        found.locator("select").first.select_option(str(number))
        for at in range(len(data["strengths"])):
            assert value(slide(found, "strength λ", at)) == pytest.approx(data["strengths"][at])
            assert said(found, "|w|) =" if penalty["name"] == "elastic_net" else ends[penalty["name"]]) == (
                pytest.approx(penalty["value"][at], rel=1e-3)
            )
            text = found.locator(".says").inner_text()
            assert f"{penalty['zeros'][at]} of {data['count']} weights are exactly 0" in text
            assert said(found, "‖W‖ =") == pytest.approx(penalty["norm"][at], rel=1e-3)


def test_growth_says_loss_and_size(figure: Any) -> None:
    found, data = figure("growth")
    for at in (0, 20, len(data["steps"]) - 1):
        assert value(slide(found, "step t", at)) == data["steps"][at]
        assert said(found, "the loss is") == pytest.approx(data["loss"][at], rel=5e-3)
        assert said(found, "the norm of the weights is") == pytest.approx(data["norm"][at], rel=1e-3)


def test_maps_say_the_strongest_answer(figure: Any) -> None:
    found, data = figure("maps")
    look = data["looks"][1]
    found.locator("select").select_option("1")
    for at, layer in enumerate(look["layers"]):
        assert slide(found, "layer", at) == layer["name"]
        if "maps" in layer:
            best, (number, row, column) = layer["strongest"]["value"], layer["strongest"]["at"]
            assert said(found, "The strongest response is") == pytest.approx(best, rel=0.01)
            assert said(found, "of map") == layer["chosen"][number]
            assert (said(found, "at row"), said(found, "column")) == (row + 1, column + 1)
    values = np.array(look["layers"][-1]["values"])
    shares = np.exp(values - values.max())
    assert said(found, "that of class") == values.argmax()
    assert said(found, "the probability") == pytest.approx(1 / shares.sum(), rel=0.01)


@pytest.mark.parametrize("width", [400, 1280])
def test_figures_are_as_wide_as_the_page_lets_them_be(page: Any, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.wait_for_timeout(200)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for svg in page.locator("figure.widget svg[role=img]").all():
        box = svg.bounding_box()
        if svg.locator("xpath=ancestor::div[contains(@class,'scroll')]").count() == 0:
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= width
        for text in svg.locator("text").all()[:3]:
            assert text.evaluate("t => parseFloat(getComputedStyle(t).fontSize)") >= 5


CHANGES: tuple[Callable[[NDArray[Any]], NDArray[Any]], ...] = (
    lambda array: array[:-1],
    lambda array: array[:0],
    np.zeros_like,
    lambda array: -np.abs(array.astype(np.float64)),
    lambda array: np.full(array.shape, 1e300),
    lambda array: array.T,
)


@pytest.mark.slow
@pytest.mark.parametrize("name", SETTINGS)
def test_changed_numbers_are_drawn_or_left_out(
    browser: Any, runs: Runs, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrays, found = runs[name].arrays(), dict[str, Widget]()
    for key, array in arrays.items():
        for change in CHANGES if array.ndim and array.dtype.kind in "fi" else ():
            held = arrays | {key: change(array)}
            monkeypatch.setattr("nnlab.page.data.read_arrays", lambda *_, held=held: held)
            found |= {json.dumps([w.kind, w.data]): w for w in CONTENTS.widgets_of(runs[name])}
    with opened(browser, tmp_path / "changed.html", list(found.values())) as page:
        page.emulate_media(media="print")  # draws them all
        page.wait_for_function("document.querySelectorAll('.stage:not([data-drawn])').length === 0")
        stages = page.locator(".stage").evaluate_all("stages => stages.map(stage => stage.innerHTML)")
    assert len(stages) == len(found) >= 2
    for stage in stages:
        assert not re.search("cannot be drawn|NaN|undefined", stage)
