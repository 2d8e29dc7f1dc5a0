"""Figures of sections 1 and 2 that need no run: their mathematics against NumPy, SciPy, closed forms."""

from collections import Counter
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import optimize, stats

from nnlab.chapters.classification.ideas import EXERCISES, IDEAS
from nnlab.chapters.classification.widget import batches, learning
from nnlab.chapters.classification.worked import NAMES, SCORED, downhill
from nnlab.chapters.lecture.plan import POINTS
from nnlab.page.contents import LONGEST_TITLE
from nnlab.page.widget import Widget
from nnlab.record import Run
from tests.activation_formulas import FORMULAS
from tests.widget_page import opened

WIDGETS: list[Widget] = [idea.figure for idea in IDEAS if isinstance(idea.figure, Widget)]
SURFACE = downhill()
A, CENTRE = np.array([[1.0, 0.5], [0.5, 1.2]]), np.array([1.9, 0.7])


@pytest.fixture(scope="module")
def page(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    file: Path = tmp_path_factory.mktemp("classification") / "page.html"
    with opened(browser, file, WIDGETS) as shown:
        yield shown


@pytest.fixture
def compute(page: Any) -> Callable[..., Any]:
    """Calls a function of `nnlab.classification`."""

    def call(name: str, *arguments: Any) -> Any:
        plain = [a.tolist() if isinstance(a, np.ndarray) else a for a in arguments]
        return page.evaluate(f"(given) => nnlab.classification.{name}(...given)", plain)

    return call


@pytest.fixture
def figure(page: Any) -> Callable[[str], Any]:
    def find(kind: str) -> Any:
        found = page.locator(f"figure[data-kind={kind}]").first
        found.scroll_into_view_if_needed()
        found.locator(".says").wait_for()
        return found

    return find


def said(figure: Any) -> str:
    return str(figure.locator(".says").inner_text()).replace("−", "-")


# --- 1. scores, softmax, divergence -------------------------------------------------------------------


def test_the_image_has_the_scores_of_the_lecture(compute: Callable[..., Any]) -> None:
    data = next(w.data for w in WIDGETS if w.kind == "scores")
    scores = compute("scores", data["weights"], data["pixels"], data["biases"])
    np.testing.assert_allclose(scores, SCORED, atol=1e-12)
    assert compute("softmax", scores)[0] == pytest.approx(0.13, abs=5e-4)
    with_bias = np.column_stack([data["weights"], data["biases"]])
    np.testing.assert_allclose(compute("scores", with_bias, [*data["pixels"], 1.0]), scores, atol=1e-12)


def test_large_scores_do_not_overflow(compute: Callable[..., Any]) -> None:
    np.testing.assert_allclose(compute("softmax", [1000.0, 999.0]), [1 / (1 + np.exp(-1)), 1 / (1 + np.e)])


def test_entropies_are_those_of_scipy(compute: Callable[..., Any]) -> None:
    random = np.random.default_rng(1)
    for _ in range(5):
        p, q = random.dirichlet(np.ones(4), 2)
        p[1] = 0.0
        p /= p.sum()
        assert compute("entropy", p) == pytest.approx(stats.entropy(p))
        assert compute("divergence", p, q) == pytest.approx(stats.entropy(p, q))
        assert compute("crossEntropy", p, q) == pytest.approx(stats.entropy(p) + stats.entropy(p, q))


def test_a_probability_is_set_and_the_others_share_the_rest(compute: Callable[..., Any]) -> None:
    np.testing.assert_allclose(compute("withProbability", [0.5, 0.3, 0.2], 0, 0.2), [0.2, 0.48, 0.32])
    np.testing.assert_allclose(compute("withProbability", [1.0, 0.0, 0.0], 0, 0.4), [0.4, 0.3, 0.3])


def test_a_label_makes_the_cross_entropy_the_loss(figure: Callable[[str], Any]) -> None:
    found = figure("divergence")
    found.get_by_role("button", name=f"P is the label {NAMES[0]}").click()
    assert "0 + 2.04 = 2.04" in said(found)
    found.get_by_role("button", name="Q = P").click()
    handle = found.locator('[data-handle="P(car)"]')
    handle.focus()
    for _ in range(5):
        handle.page.keyboard.press("ArrowUp")
    assert float(found.locator('[data-handle="P(car)"]').get_attribute("aria-valuetext")) == 0.05
    found.get_by_role("button", name="as at the start").click()


def test_a_number_of_the_picture_is_changed_by_click_and_slider(figure: Callable[[str], Any]) -> None:
    found = figure("scores")
    found.locator("select").select_option(label="bias of frog")
    found.get_by_label("its value", exact=True).press("End")
    assert "Score of frog: 2·0.2 - 1·0.9 + 1·0.4 - 2·0.7 + 3 = 1.5" in said(found)
    kept = found.page.evaluate("nnlab.stateOf(document.querySelector('[data-kind=scores]'))")
    assert kept["numbers"].endswith("_3")
    found.get_by_label("bias as a fifth weight").check()
    assert "+ 3·1 = 1.5" in said(found)


# --- ideas ----------------------------------------------------------------------------------------------


def test_every_claim_of_sections_1_and_2_belongs_to_an_idea() -> None:
    covered = {claims for idea in IDEAS for claims in idea.claims}
    for point in POINTS:
        if point.section < "3":
            names = {f"{point.lesson}:{name.replace('*', 'x')}" for name in point.claims}
            assert all(any(fnmatchcase(name, pattern) for pattern in covered) for name in names), point.name


def test_every_sentence_has_an_idea_and_an_exercise() -> None:
    places = {"1.1", "1.2", "1.3", "1.4", "1.5", "2.1", "2.2"}
    assert {idea.place for idea in IDEAS} == places
    count = Counter(exercise.place for exercise in EXERCISES)
    assert set(count) == places
    assert min(count.values()) >= 3
    assert max(len(idea.sentence) for idea in IDEAS) <= LONGEST_TITLE


def test_the_numbers_of_the_exercises() -> None:
    smoothed = np.array([0.9] + [0.1 / 9] * 9)
    assert stats.entropy(smoothed) == pytest.approx(0.545, abs=5e-4)
    factor = 1 - 0.1 * 2 / (10 + 0.1)
    assert -np.log(10) / np.log(factor) == pytest.approx(115, abs=0.5)
    assert np.ceil(np.sqrt(1 / (8 * 0.001))) == 12
    assert 100 * (3072 + 1) + 10 * (100 + 1) == 308_310
    x = np.linspace(-2, 2, 9)
    np.testing.assert_allclose(np.ones(2) @ np.maximum(0, np.outer([1, -1], x)), np.abs(x))


def test_training_losses_are_those_of_the_run(tmp_path: Path) -> None:
    run, loss = Run(tmp_path, {}), np.array([2.0, 1.0, 0.5])
    arrays = {"batch size full/train_loss": loss, "batch size 8/train_loss": loss / 2, "noise/batch": loss}
    assert batches(run, arrays).data == {
        "epochs": [1, 2, 3],
        "lines": [
            {"name": "all examples", "loss": [2, 1, 0.5]},
            {"name": "8 examples", "loss": [1, 0.5, 0.25]},
        ],
        "of": "batch size",
    }
    arrays = {"leaky_relu/train_loss": loss, "tanh/train_loss": loss, "z": loss}
    assert [line["name"] for line in learning(run, arrays).data["lines"]] == ["leaky ReLU", "tanh"]
    for wrong in ({"tanh/train_loss": loss}, {"relu/train_loss": loss, "tanh/train_loss": loss[1:]}):
        with pytest.raises(ValueError, match=r"comparison|expected"):
            learning(run, wrong)


# --- 1. penalties, descent ------------------------------------------------------------------------------


def objective(w: np.ndarray, name: str, strength: float, beta: float) -> float:
    off = w - CENTRE
    penalty = {
        "l2": (w**2).sum(),
        "l1": np.abs(w).sum(),
        "elastic_net": (beta * w**2 + np.abs(w)).sum(),
    }[name]
    return float(0.5 * off @ A @ off + strength * penalty)


@pytest.mark.parametrize("name", ["l2", "l1", "elastic_net"])
@pytest.mark.parametrize("strength", [0.05, 0.8, 1.6, 5.0])
def test_the_minimizer_is_that_of_a_search(name: str, strength: float, compute: Callable[..., Any]) -> None:
    found = np.array(compute("minimizer", A, CENTRE, name, strength, 0.5))
    searched = optimize.minimize(
        objective, [0.1, 0.1], (name, strength, 0.5), "Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-14}
    )
    np.testing.assert_allclose(found, searched.x, atol=1e-6)
    assert objective(found, name, strength, 0.5) <= searched.fun + 1e-12
    assert compute("penalty", name, 0.5, found) == pytest.approx(
        objective(found, name, 1.0, 0.5) - objective(found, name, 0.0, 0.5)
    )


def test_contours_and_balls_have_their_value_everywhere(compute: Callable[..., Any]) -> None:
    for point in compute("contour", A, CENTRE, 0.7):
        assert objective(np.array(point), "l2", 0.0, 0.5) == pytest.approx(0.7)
    for name in ("l2", "l1", "elastic_net"):
        for point in compute("ball", name, 0.5, 1.3):
            assert compute("penalty", name, 0.5, point) == pytest.approx(1.3)


def test_the_path_of_descent_is_its_closed_form(compute: Callable[..., Any]) -> None:
    x, y = np.array(SURFACE.data["x"]), np.array(SURFACE.data["y"])
    hessian, best = x.T @ x / len(x), np.linalg.lstsq(x, y, rcond=None)[0]
    np.testing.assert_allclose(compute("hessian", x), hessian, rtol=1e-12)
    values, vectors = np.linalg.eigh(hessian)
    eigen = compute("eigen", hessian)
    np.testing.assert_allclose(eigen["values"], values[::-1], rtol=1e-10)
    assert abs(np.dot(eigen["direction"], vectors[:, 1])) == pytest.approx(1)
    start, rate = np.array([-1.8, 1.6]), 0.3
    settings = {"start": start.tolist(), "rate": rate, "steps": 30, "size": len(x)}
    path = np.array(compute("descend", x, y, settings))
    for k in (0, 1, 7, 30):
        factor = vectors @ np.diag((1 - rate * values) ** k) @ vectors.T
        np.testing.assert_allclose(path[k], best + factor @ (start - best), atol=1e-10)


@pytest.mark.parametrize("size", [1, 2, 8])
def test_an_epoch_of_mini_batches_averages_to_the_whole_gradient(size: int, page: Any) -> None:
    found = page.evaluate(
        """([x, y, size]) => {
          const { batches, gradient } = nnlab.classification;
          const rows = batches(x.length, size, 3);
          const chosen = Array.from({ length: x.length / size }, () => rows.next().value);
          return { chosen, gradients: chosen.map((batch) => gradient(x, y, [0.3, -1], batch)) };
        }""",
        [SURFACE.data["x"], SURFACE.data["y"], size],
    )
    x, y = np.array(SURFACE.data["x"]), np.array(SURFACE.data["y"])
    assert np.sort(np.ravel(found["chosen"])).tolist() == list(range(len(x)))
    whole = x.T @ (x @ [0.3, -1.0] - y) / len(x)
    np.testing.assert_allclose(np.mean(found["gradients"], 0), whole, atol=1e-12)


def test_the_start_is_dragged_on_the_surface(figure: Callable[[str], Any]) -> None:
    found = figure("downhill")
    before = said(found)
    handle = found.locator('[data-handle="start"]')
    box = handle.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    found.page.mouse.move(x, y)
    found.page.mouse.down()
    found.page.mouse.move(x + 30, y + 20, steps=3)
    found.page.mouse.up()
    assert said(found) != before
    assert found.page.evaluate("nnlab.stateOf(document.querySelector('[data-kind=downhill]')).start")
    found.get_by_label("step size η", exact=True).press("End")
    assert "It leaves the minimum." in said(found)


# --- 2. networks ----------------------------------------------------------------------------------------


def test_values_of_layers_are_their_formula(compute: Callable[..., Any]) -> None:
    random = np.random.default_rng(2)
    W1, W2, W3 = (random.normal(size=shape) for shape in ((4, 3), (5, 4), (2, 5)))
    x = random.normal(size=3)
    layers = compute("forward", [W1.tolist(), W2.tolist(), W3.tolist()], x)
    expected = W3 @ np.maximum(0, W2 @ np.maximum(0, W1 @ x))
    np.testing.assert_allclose(layers[-1], expected, atol=1e-12)
    np.testing.assert_allclose(layers[1], np.maximum(0, W1 @ x), atol=1e-12)


@pytest.mark.parametrize("name", ["sigmoid", "tanh", "relu", "leaky_relu", "elu"])
def test_activations_and_slopes_are_those_of_the_formulas(name: str, page: Any) -> None:
    z = np.linspace(-3, 3, 40)  # not 0, where some have a kink
    found = np.array(page.evaluate(f"(z) => z.map(nnlab.classification.activations.{name})", z.tolist()))
    formula, h = FORMULAS[name], 1e-6
    np.testing.assert_allclose(found[:, 0], formula(z), atol=1e-12)
    np.testing.assert_allclose(found[:, 1], (formula(z + h) - formula(z - h)) / (2 * h), atol=1e-8)


def test_maxout_is_the_largest_line_and_has_its_slope(page: Any) -> None:
    z = np.linspace(-3, 3, 40)
    lines = np.array(page.evaluate("nnlab.classification.LINES"))
    found = np.array(page.evaluate("(z) => z.map(nnlab.classification.activations.maxout)", z.tolist()))
    heights = lines[:, :1] * z + lines[:, 1:]
    np.testing.assert_allclose(found[:, 0], heights.max(0), atol=1e-12)
    np.testing.assert_allclose(found[:, 1], lines[heights.argmax(0), 0])


@pytest.mark.parametrize("k", [1, 2, 3, 8])
def test_the_best_lines_are_within_1_over_8k2(k: int, compute: Callable[..., Any]) -> None:
    lines = compute("bestLines", k)
    # the largest error is at the ends of the pieces and at the points of contact, on or beside the grid
    assert compute("error", lines) == pytest.approx(1 / (8 * k**2), rel=2e-3)
    moved = [[lines[0][0], lines[0][1] + 0.01], *lines[1:]]
    assert compute("error", moved) > 1 / (8 * k**2) + 0.009


def test_without_the_maximum_the_layers_are_one_matrix(figure: Callable[[str], Any]) -> None:
    found = figure("layers")
    assert "f(x) = W₂ max(0, W₁x) has 12 + 8 = 20 weights." in said(found)
    found.locator("select").first.select_option(label="three")
    assert "f(x) = W₃ max(0, W₂ max(0, W₁x)) has 12 + 12 + 6 = 30 weights." in said(found)
    found.locator("select").first.select_option(label="three, without max")
    assert "f(x) = W₃ (W₂ W₁x)" in said(found)
    assert "a single matrix, 2 × 3" in said(found)


def test_a_line_of_maxout_is_moved_by_keyboard(figure: Callable[[str], Any]) -> None:
    found = figure("maxout")
    found.locator('[data-handle="line 1 at x = 0.9"]').focus()
    for _ in range(10):
        found.page.keyboard.press("ArrowUp")
    assert "The best ones are within 1/(8k²) = 0.0313" in said(found)
    found.get_by_role("button", name="the best lines").click()
    assert "No 2 lines come nearer than 1/(8k²) = 0.0313" in said(found)
