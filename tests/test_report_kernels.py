"""What the figures of section 5 compute in the browser, against torch, numpy and the library."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from scipy.linalg import expm

from nnlab.chapters.kernels.widget import choose, drift, example, flow, linearization
from nnlab.chapters.kernels.worked import RANK
from nnlab.ntk import empirical_ntk
from nnlab.page.data import arrays_of
from nnlab.record import Run, open_run
from tests.command_line import nnlab
from tests.widget_page import opened


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A short run of the kernel experiment."""
    changes = ("widths=[16,32]", "seeds=1", "training.steps=60", "edge.steps=4", "data.examples=10")
    sets = [word for change in changes for word in ("--set", change)]
    folder = tmp_path_factory.mktemp("runs")
    done = nnlab("train", "--config", "ntk", *sets, "--runs", folder, "--quiet", draw=True)
    assert done.code == 0, done.err
    return open_run(done.last_line)


@pytest.fixture(scope="module")
def arrays(run: Run) -> Any:
    return arrays_of(run)


@pytest.fixture(scope="module")
def page(browser: Any, run: Run, arrays: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    widgets = [RANK, *(build(run, arrays) for build in (example, linearization, drift, choose, flow))]
    with opened(browser, tmp_path_factory.mktemp("page") / "page.html", widgets) as found:
        yield found


class TwoLayers(torch.nn.Module):
    """x → m → m → 1 with ReLUs, weights of variance 2/fan-in by the ntk parameterization."""

    def __init__(self, drawn: dict[str, Any]) -> None:
        super().__init__()
        m = self.m = drawn["m"]

        def parameter(values: dict[str, float], *shape: int) -> torch.nn.Parameter:
            found = torch.tensor([values[str(i)] for i in range(math.prod(shape))], dtype=torch.float64)
            return torch.nn.Parameter(found.view(*shape))

        self.first, self.second = parameter(drawn["first"], m, 1), parameter(drawn["second"], m, m)
        self.last = parameter(drawn["last"], 1, m)
        self.b1, self.b2 = (parameter(b, m).requires_grad_(drawn["biases"]) for b in drawn["b"])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scale = math.sqrt(2 / self.m)
        h = torch.relu(math.sqrt(2) * x @ self.first.T + self.b1)
        h = torch.relu(scale * h @ self.second.T + self.b2)
        return scale * h @ self.last.T


@pytest.mark.parametrize("biases", [True, False])
def test_the_kernel_of_random_networks_is_that_of_autograd(page: Any, biases: bool) -> None:
    xs = np.linspace(-1, 1, 7)
    script = """([m, biases, xs]) => {
      const drawn = nnlab.rank.drawn(m, biases, 3);
      const H = nnlab.rank.kernel(drawn, xs);
      const plain = (values) => Object.fromEntries([...values].map((v, i) => [i, v]));
      const { first, second, last, b } = drawn;
      const [w1, w2, w3] = [first, second, last].map(plain);
      return [{ m, biases, first: w1, second: w2, last: w3, b: b.map(plain) }, H, nnlab.rank.eigenvalues(H)];
    }"""
    drawn, kernel, eigenvalues = page.evaluate(script, [8, biases, xs.tolist()])
    known = empirical_ntk(TwoLayers(drawn), torch.from_numpy(xs)[:, None], output="trace").numpy()
    np.testing.assert_allclose(kernel, known, atol=1e-12 * np.abs(known).max())
    top = np.linalg.eigvalsh(known)[::-1]
    np.testing.assert_allclose(eigenvalues, top, atol=1e-13 * top[0])
    rank = int((np.array(eigenvalues) > 1e-12 * eigenvalues[0]).sum())
    assert rank == 2 or biases


def test_flow_and_descent_are_matrix_functions(page: Any) -> None:
    random = np.random.default_rng(1)
    jacobian = random.standard_normal((4, 9))
    kernel = jacobian @ jacobian.T
    eigenvalues, vectors = np.linalg.eigh(kernel)
    u0 = random.standard_normal(4)
    start, eta, k = vectors.T @ u0, 0.3 / eigenvalues[-1], 11
    script = """([eigenvalues, start, eta, k]) => {
      const { flow, descent, distance } = nnlab.flow(eigenvalues, start);
      return [flow(eta * k), descent(eta, k), distance(eta, k)];
    }"""
    found = page.evaluate(script, [eigenvalues.tolist(), start.tolist(), eta, k])
    flowed = expm(-kernel * eta * k) @ u0
    descended = np.linalg.matrix_power(np.eye(4) - eta * kernel, k) @ u0
    inverse = np.linalg.inv(kernel)
    apart = jacobian.T @ inverse @ (flowed - descended)  # w − w₀ = −Jᵀ H⁻¹(u₀ − u)
    known = [flowed @ flowed / 2, descended @ descended / 2, np.linalg.norm(apart)]
    np.testing.assert_allclose(found, known, rtol=1e-9)


def test_random_numbers_are_those_of_their_distributions(page: Any) -> None:
    script = """() => {
      const { uniform, normal } = nnlab.random(7);
      const many = (draw) => Array.from({ length: 20000 }, draw);
      return [many(uniform), many(normal), nnlab.random(7).uniform(), nnlab.random(8).uniform()];
    }"""
    flat, bell, again, other = page.evaluate(script)
    assert again == flat[0] != other
    assert np.mean(flat) == pytest.approx(0.5, abs=0.01)
    assert np.var(flat) == pytest.approx(1 / 12, rel=0.03)
    assert np.mean(bell) == pytest.approx(0, abs=0.03)
    assert np.mean(np.array(bell) ** 4) == pytest.approx(3, rel=0.1)


def test_chosen_modes_are_functions_that_meet_the_eigenvectors(run: Run, arrays: Any) -> None:
    data = choose(run, arrays).data
    x, points = np.array(data["x"]), np.array(data["points"])
    for function, vector in zip(data["functions"], data["vectors"], strict=True):
        # between its places a mode is straight but for a few kinks, one of which may be at a point
        off = np.abs(np.interp(points, x, function) - vector)
        assert np.median(off) < 0.01 * np.abs(vector).max()
    np.testing.assert_allclose(np.array(data["vectors"]) @ np.array(data["vectors"]).T, np.eye(8), atol=1e-4)


def test_the_drift_ends_at_that_of_the_results(run: Run, arrays: Any) -> None:
    data = drift(run, arrays).data
    rows = {row["width"]: row["kernel_drift"] for row in run.summary["results"]}
    for network in data["networks"]:
        assert network["relative"][0] == 0
        assert network["relative"][-1] == pytest.approx(rows[network["width"]], rel=1e-3)


def test_modes_are_chosen_by_keys_and_kept(page: Any) -> None:
    figure = page.locator("figure[data-kind=choose]")
    figure.scroll_into_view_if_needed()
    figure.get_by_label("coefficient of mode 2").press("Shift+ArrowUp")
    state = page.evaluate("nnlab.stateOf(document.querySelector('figure[data-kind=choose]'))")
    values = [float(v) for v in state["own"].split("_")]
    assert values == pytest.approx([0.5, 0.7, *[0.5] * 6])
    figure.get_by_label("time t").press("End")
    assert "8 of the 8 modes have lost 95%" in figure.locator(".says").inner_text()


def test_every_slider_of_the_section_moves_its_figure(page: Any) -> None:
    for figure in page.locator("figure.widget").all():
        figure.scroll_into_view_if_needed()
        figure.locator(".stage[data-drawn]").wait_for()
        for slider in figure.locator("input[type=range]").all():
            seen = set()
            for key in ("Home", "End"):
                slider.press(key)
                seen.add(figure.locator(".stage").inner_html())
            assert len(seen) == 2
