"""The kernel experiment, run small: rows and predictions found another way, claims, odd corners."""

import hashlib
import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.integrate
import scipy.linalg
import torch
from torch import Tensor, nn

from nnlab.chapters.experiments import EXPERIMENTS
from nnlab.chapters.kernels import drawing as ntk_drawing
from nnlab.chapters.kernels import edge as ntk_edge
from nnlab.chapters.kernels import experiment as ntk
from nnlab.chapters.kernels import members as ntk_members
from nnlab.chapters.kernels.claims import _apart, parallel_pairs
from nnlab.chapters.kernels.edge import _factor_per_step
from nnlab.chapters.kernels.members import Study, kernel_of
from nnlab.chapters.kernels.setup import CirclePoints, KernelMLP, LinePoints, build_network, build_task
from nnlab.data import target_function
from nnlab.errors import Diverged, Interrupted
from nnlab.lab import runner
from nnlab.lab.config import apply_sets, check, read_source
from nnlab.lab.session import Session, generator
from nnlab.models import CNN, MLP
from nnlab.ntk import NonFiniteError, infinite_ntk
from nnlab.record import Record, open_run
from nnlab.training.descent import Trajectory

FLOAT = torch.float64
SMALL = ("widths=[32, 8]", "seeds=2", "training.steps=12", "edge.steps=6", "data.examples=6")
TINY = ("widths=[4]", "seeds=1", "training.steps=2", "edge.steps=2")


class Listener:
    """A reporter that keeps what was said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, message: str) -> None:
        self.said.append(message)

    @contextmanager
    def bar(self, title: str) -> Iterator[Callable[[int, int, str], None]]:
        yield lambda done, total, text: None


@dataclass
class Done:
    """A run that has ended."""

    summary: dict[str, Any]
    said: list[str]
    drawn: set[str] = field(default_factory=set)

    @property
    def folder(self) -> Path:
        return Path(self.summary["run_dir"])

    @property
    def rows(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.summary["results"]
        return found

    @property
    def verdicts(self) -> dict[str, str]:
        return {claim["name"]: claim["verdict"] for claim in self.summary["claims"]}

    def claim(self, name: str) -> dict[str, Any]:
        return next(c for c in self.summary["claims"] if c["name"] == name)

    def predictions(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "predictions.json").read_text())
        return found

    def metrics(self) -> bytes:
        return (self.folder / "metrics.jsonl").read_bytes()


def config_of(*sets: str) -> Any:
    source = read_source("ntk")
    apply_sets(source, ["training.device=cpu", *sets])
    return check(source, EXPERIMENTS)


@contextmanager
def figures(draw: bool) -> Iterator[set[str]]:
    """Writes no figure, which takes most of a small run's time: their names, where they are made at all."""
    drawn: set[str] = set()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Record, "save_figure", lambda self, figure, name: drawn.add(name))
        if not draw:
            patch.setattr(ntk_drawing, "draw", lambda *arguments: None)
            patch.setattr(Record, "figure", lambda self, *arguments, **keywords: None)
        yield drawn


def run(folder: Path, *sets: str, draw: bool = False) -> Done:
    """Runs the shipped config with some values changed; with `draw` figures are made, but not written."""
    listener = Listener()
    with figures(draw) as drawn:
        folder = Path(runner.run(config_of(*sets), folder, Session(listener))["run_dir"])
    return Done(open_run(folder).summary, listener.said, drawn)


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Done:
    return run(tmp_path_factory.mktemp("line"), *SMALL, draw=True)


@pytest.fixture(scope="module")
def mean(tmp_path_factory: pytest.TempPathFactory) -> Done:
    return run(tmp_path_factory.mktemp("mean"), *SMALL, "loss.reduction=mean")


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Done:
    return run(
        tmp_path_factory.mktemp("digits"), *SMALL, "data={name: digits, examples: 6}",
        "loss={name: cross_entropy}", "outputs=[3, 0]", draw=True,
    )  # fmt: skip


# --- the same another way ---------------------------------------------------------------------------


def tangent_kernel(network: nn.Module, x: Tensor) -> np.ndarray:
    """(nC, nC), one backward pass for each score."""
    rows = []
    for score in network(x).reshape(-1):
        gradients = torch.autograd.grad(
            score, list(network.parameters()), retain_graph=True, materialize_grads=True
        )
        rows.append(torch.cat([g.flatten() for g in gradients]))
    jacobian = torch.stack(rows).numpy()
    product: np.ndarray = jacobian @ jacobian.T
    return product


def line_points(n: int) -> tuple[Tensor, Tensor]:
    x = torch.linspace(-1, 1, n, dtype=FLOAT)[:, None]
    return x, target_function("sine")(x)


def network_of(width: int, number: int, inputs: int = 1, outputs: int = 1, seed: int = 0) -> MLP:
    """A network of the shipped config."""
    return MLP(
        inputs, [width, width], outputs, "relu", parameterization="ntk", sigma_b=1.0,
        generator=generator(seed, "weights", width, number),
    ).double()  # fmt: skip


def residual(network: nn.Module, x: Tensor, y: Tensor) -> np.ndarray:
    found: np.ndarray = (network(x) - y).detach().numpy().reshape(-1)
    return found


def trained(network: MLP, x: Tensor, y: Tensor, lr: float, steps: int, scale: float) -> list[np.ndarray]:
    """Residuals of plain gradient descent on ½Σ/scale, by torch's own optimizer; the network is changed."""
    optimizer = torch.optim.SGD(network.parameters(), lr=lr)
    found = [residual(network, x, y)]
    for _ in range(steps):
        optimizer.zero_grad()
        ((network(x) - y).square().sum() / 2 / scale).backward()
        optimizer.step()
        found.append(residual(network, x, y))
    return found


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_predictions_by_matrix_powers(reduction: str, request: pytest.FixtureRequest) -> None:
    done: Done = request.getfixturevalue("line" if reduction == "sum" else "mean")
    predictions, (x, y) = done.predictions(), line_points(6)
    scale = 6.0 if reduction == "mean" else 1.0
    steps = predictions["steps"]
    assert (steps[0], steps[-1]) == (0, 12)
    assert [(m["width"], m["network"]) for m in predictions["members"]] == [(8, 0), (8, 1), (32, 0), (32, 1)]
    for member in predictions["members"]:
        network = network_of(member["width"], member["network"])
        kernel, u0 = tangent_kernel(network, x), residual(network, x, y)
        eigenvalues = np.linalg.eigvalsh(kernel)[::-1]
        assert member["eigenvalues"] == pytest.approx(eigenvalues, rel=1e-9, abs=1e-12 * eigenvalues[0])
        assert member["eta_max"] == pytest.approx(2 * scale / eigenvalues[0], rel=1e-12)
        assert member["lr"] == pytest.approx(scale / eigenvalues[0], rel=1e-12)
        lives = scale * math.log(2) / eigenvalues[:4]
        assert member["half_lives"][:4] == pytest.approx(lives, rel=1e-8)
        step = np.eye(6) - member["lr"] * kernel / scale
        residuals = np.stack([np.linalg.matrix_power(step, k) @ u0 for k in steps])
        flow = np.stack([scipy.linalg.expm(-member["lr"] * k * kernel / scale) @ u0 for k in steps])
        np.testing.assert_allclose(member["residuals"], residuals, rtol=1e-9, atol=1e-11)
        np.testing.assert_allclose(member["residuals_in_flow"], flow, rtol=1e-9, atol=1e-11)
        np.testing.assert_allclose(member["loss"], (residuals**2).sum(1) / 2 / scale, rtol=1e-9)


def test_predicted_function_by_solving_a_linear_system(line: Done) -> None:
    """f₀(x) + H(x, X) H(X, X)⁻¹ (ȳ − f₀(X)) on the grid, from one Jacobian of both."""
    x, y = line_points(6)
    member = line.predictions()["members"][-1]
    grid = torch.tensor(member["grid"], dtype=FLOAT)[:, None]
    network = network_of(32, 1)
    both = tangent_kernel(network, torch.cat([x, grid]))
    start = network(grid).detach().numpy()[:, 0]
    expected = start - both[6:, :6] @ np.linalg.solve(both[:6, :6], residual(network, x, y))
    np.testing.assert_allclose(member["kernel_regression"], expected, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_rows_by_looped_autograd_and_another_optimizer(
    reduction: str, request: pytest.FixtureRequest
) -> None:
    done: Done = request.getfixturevalue("line" if reduction == "sum" else "mean")
    scale = 6.0 if reduction == "mean" else 1.0
    x, y = line_points(6)
    _, limit = infinite_ntk(x, depth=2, sigma_b=1.0)
    for row in done.rows:
        network = network_of(row["width"], row["network"])
        start = tangent_kernel(network, x)
        eigenvalues = np.linalg.eigvalsh(start)
        noise = 1e-13 * eigenvalues[-1]
        assert row["lambda_max"] == pytest.approx(eigenvalues[-1], rel=1e-12)
        assert row["lambda_min"] == pytest.approx(eigenvalues[0], rel=1e-9, abs=noise)
        assert row["rank"] == (eigenvalues > noise).sum()
        assert row["parameters"] == sum(p.numel() for p in network.parameters())
        distance = np.linalg.norm(start - limit.numpy()) / np.linalg.norm(limit.numpy())
        assert row["distance_to_infinite"] == pytest.approx(distance, rel=1e-10)
        lr = scale / eigenvalues[-1]
        step, measured = np.eye(6) - lr * start / scale, trained(network, x, y, lr, 12, scale)
        drift = np.linalg.norm(tangent_kernel(network, x) - start) / np.linalg.norm(start)
        assert row["kernel_drift"] == pytest.approx(drift, rel=1e-8)
        apart = [
            np.linalg.norm(u - np.linalg.matrix_power(step, k) @ measured[0]) for k, u in enumerate(measured)
        ]
        assert row["residual_error"] == pytest.approx(max(apart) / np.linalg.norm(measured[0]), rel=1e-8)
        assert row["train_loss"] == pytest.approx((measured[-1] ** 2).sum() / 2 / scale, rel=1e-9)
    assert [(row["width"], row["network"]) for row in done.rows] == [(8, 0), (8, 1), (32, 0), (32, 1)]


def test_metrics_are_means_over_the_seeds_of_the_widest_network(line: Done) -> None:
    widest = line.rows[2:]
    metrics = line.summary["metrics"]
    assert metrics["train/loss"] == pytest.approx(np.mean([row["train_loss"] for row in widest]), rel=1e-14)
    for name in ("lambda_min", "lambda_max", "kernel_drift", "distance_to_infinite", "residual_error"):
        assert metrics[name] == pytest.approx(np.mean([row[name] for row in widest]), rel=1e-14)


def test_cross_entropy_by_a_loop_and_another_integrator(digits: Done) -> None:
    """f ← f − ηH(softmax f − ȳ)/n by hand, and ḟ = −H(softmax f − ȳ)/n by an explicit Runge-Kutta method."""
    config = config_of(*SMALL, "data={name: digits, examples: 6}", "loss={name: cross_entropy}")
    task = build_task(config.data, config.training, Session())
    target = task.y.numpy()
    assert target.shape == (6, 10)
    member = digits.predictions()["members"][-1]
    steps = digits.predictions()["steps"]
    network = network_of(32, 1, 64, 10)
    kernel, start = tangent_kernel(network, task.x), network(task.x).detach().numpy()

    def pull(f: np.ndarray) -> np.ndarray:
        powers = np.exp(f.reshape(6, 10) - f.reshape(6, 10).max(1, keepdims=True))
        found: np.ndarray = -kernel @ (powers / powers.sum(1, keepdims=True) - target).reshape(-1) / 6
        return found

    scores, f = [], start.reshape(-1)
    for _ in range(13):
        scores.append(f)
        f = f + member["lr"] * pull(f)
    expected = np.stack([scores[k] for k in steps]) - target.reshape(-1)
    np.testing.assert_allclose(member["residuals"], expected, rtol=1e-9, atol=1e-10)
    flow = scipy.integrate.solve_ivp(
        lambda t, f: pull(f), (0, 12 * member["lr"]), start.reshape(-1), method="DOP853",
        t_eval=[k * member["lr"] for k in steps], rtol=1e-10, atol=1e-10,
    ).y.T  # fmt: skip
    np.testing.assert_allclose(member["residuals_in_flow"], flow - target.reshape(-1), rtol=1e-5, atol=1e-6)
    assert digits.verdicts["linearization_follows_descent"] == "PASS"
    assert "probabilities" in digits.drawn
    assert not any("eta_max" in name for name in digits.verdicts)


def test_outputs_select_the_scores_of_the_spectra(digits: Done) -> None:
    config = config_of(*SMALL, "data={name: digits, examples: 6}")
    task = build_task(config.data, config.training, Session())
    kernel = tangent_kernel(network_of(32, 1, 64, 10), task.x).reshape(6, 10, 6, 10)
    chosen = kernel[:, [3, 0]][:, :, :, [3, 0]].reshape(12, 12)
    eigenvalues = np.linalg.eigvalsh(chosen)
    assert digits.rows[-1]["lambda_max"] == pytest.approx(eigenvalues[-1], rel=1e-10)
    assert digits.rows[-1]["lambda_min"] == pytest.approx(eigenvalues[0], rel=1e-8)
    assert digits.rows[-1]["eta_max"] == pytest.approx(
        12 / np.linalg.eigvalsh(kernel.reshape(60, 60))[-1], rel=1e-10
    )


# --- the order of things ----------------------------------------------------------------------------


def test_the_hash_of_the_predictions_stands_in_the_summary(line: Done) -> None:
    content = (line.folder / "predictions.json").read_bytes()
    assert line.summary["predictions_sha256"] == hashlib.sha256(content).hexdigest()


def test_predictions_come_before_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that fails as soon as something trains has them, their hash, and no row."""

    def fail(*arguments: object, **settings: object) -> None:
        raise Diverged("nothing trains today")

    monkeypatch.setattr(ntk, "compare", fail)
    with pytest.raises(Diverged):
        run(tmp_path, *SMALL)
    (folder,) = tmp_path.glob("ntk/*")
    content = (folder / "predictions.json").read_bytes()
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["status"] == "diverged"
    assert summary["predictions_sha256"] == hashlib.sha256(content).hexdigest()
    assert (folder / "metrics.jsonl").read_bytes() == b""


class StopsAfter(Session):
    """A session that is asked to stop once so many answers were given."""

    def __init__(self, answers: int) -> None:
        super().__init__()
        self.left = answers

    def stop(self) -> bool:
        self.left -= 1
        return self.left < 0


def test_interrupted_before_the_predictions_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(Interrupted, match="nothing was written"):
        runner.run(config_of(*SMALL), tmp_path, StopsAfter(2))
    assert list(tmp_path.iterdir()) == []


def test_a_resumed_run_ends_as_one_that_was_never_stopped(line: Done, tmp_path: Path) -> None:
    with pytest.raises(Interrupted, match=r"interrupted at step 9 of 12.*train --resume"):
        runner.run(config_of(*SMALL), tmp_path, StopsAfter(4 + 2 * 13 + 13 + 9))
    (folder,) = tmp_path.glob("ntk/*")
    assert (folder / "metrics.jsonl").read_bytes() != b""
    with figures(draw=False):
        summary = runner.resume(folder, Session(experiments=EXPERIMENTS))
    same = ("results", "claims", "metrics", "notes", "predictions_sha256", "seed", "status")
    assert {key: summary.get(key) for key in same} == {key: line.summary.get(key) for key in same}
    assert (folder / "metrics.jsonl").read_bytes() == line.metrics()


def test_same_seed_same_metrics(line: Done, tmp_path: Path) -> None:
    again, other = run(tmp_path / "again", *SMALL), run(tmp_path / "other", *SMALL, "seed=1")
    assert again.metrics() == line.metrics()
    assert again.rows == line.rows
    networks = [{row["lambda_max"] for row in done.rows} for done in (line, other)]
    assert not networks[0] & networks[1]


def test_metrics_hold_loss_and_prediction(line: Done) -> None:
    rows = [json.loads(row) for row in line.metrics().splitlines()]
    predictions = line.predictions()
    assert [row["step"] for row in rows] == 4 * predictions["steps"]
    assert {row["part"] for row in rows} == {f"width {w}, network {k}" for w in (8, 32) for k in (0, 1)}
    expected = [loss for member in predictions["members"] for loss in member["loss"]]
    assert [row["predicted_loss"] for row in rows] == pytest.approx(expected, rel=1e-12)
    assert rows[0]["loss"] == pytest.approx(rows[0]["predicted_loss"], rel=1e-12)


def test_recorded_steps_grow_like_a_logarithmic_axis() -> None:
    task = build_task(LinePoints(name="line"), config_of().training, Session())

    def recorded(steps: int) -> list[int]:
        return Study(KernelMLP(name="mlp"), task, "squared_error", "sum", 0.5, steps).recorded

    assert recorded(1) == [0, 1]
    assert recorded(5) == [0, 1, 2, 3, 4, 5]
    many = recorded(100_000)
    assert (many[0], many[-1]) == (0, 100_000)
    assert len(many) < 70
    assert all(b / a < 1.5 for a, b in pairwise(many) if a > 10)


# --- what it shows ----------------------------------------------------------------------------------


def test_line(line: Done) -> None:
    assert line.drawn == {
        "spectra", "kernel", "widths", "residual_error", "modes", "loss", "functions", "features",
        "step_sizes", "flow_gap",
    }  # fmt: skip
    assert "FAIL" not in line.verdicts.values()
    for name in ("kernel_is_gram_matrix", "without_bias_the_rank_is_two", "linearization_follows_descent"):
        assert line.verdicts[name] == "PASS"
    assert line.said == line.summary.get("notes", [])


def test_error_of_the_prediction_falls_with_width(tmp_path: Path) -> None:
    """Four octaves in width: by 1/√m a quarter, and half of it is asked for."""
    done = run(tmp_path, "widths=[16, 256]", "seeds=3", "training.steps=30", "edge.steps=2",
               "seed=10")  # fmt: skip
    errors = {w: np.mean([r["residual_error"] for r in done.rows if r["width"] == w]) for w in (16, 256)}
    assert 0 < errors[256] < 0.5 * errors[16]
    assert "FAIL" not in done.verdicts.values()


def test_circle_of_one_hidden_layer(tmp_path: Path) -> None:
    done = run(tmp_path, *TINY, "data={name: circle, examples: 8}", "model.depth=1", draw=True)
    assert done.verdicts["no_odd_modes_without_bias"] == "PASS"
    assert done.verdicts["tail_of_the_circle_with_bias"] == "PASS"
    assert "circle" in done.drawn
    assert "functions" not in done.drawn


def test_circle_of_two_hidden_layers_says_where_its_frequencies_are(tmp_path: Path) -> None:
    done = run(tmp_path, *TINY, "data={name: circle, examples: 8}")
    assert any("model.depth: 1" in message for message in done.said)
    assert "no_odd_modes_without_bias" not in done.verdicts


def test_convolutional_network(tmp_path: Path) -> None:
    done = run(tmp_path, "widths=[2, 3]", "seeds=1", "training.steps=2", "edge.steps=2",
               "data={name: digits, examples: 5}", "model={name: cnn, depth: 1}", draw=True)  # fmt: skip
    config = config_of("data={name: digits, examples: 5}")
    task = build_task(config.data, config.training, Session())
    for row in done.rows:
        network = CNN(
            (1, 8, 8), [row["width"]], 10, "relu", generator=generator(0, "weights", row["width"], 0)
        ).double()
        eigenvalues = np.linalg.eigvalsh(tangent_kernel(network, task.x))
        assert row["lambda_max"] == pytest.approx(eigenvalues[-1], rel=1e-10)
        assert row["distance_to_infinite"] is None
    assert "distance_to_infinite" not in done.summary["metrics"]
    assert "FAIL" not in done.verdicts.values()


@pytest.mark.parametrize(
    "model", ["{name: mlp, parameterization: standard}", "{name: mlp, activation: maxout}"]
)
def test_no_limit_is_known(model: str, tmp_path: Path) -> None:
    done = run(tmp_path, *TINY, f"model={model}")
    assert done.rows[0]["distance_to_infinite"] is None
    assert "distance_to_infinite" not in done.summary["metrics"]


def test_every_smooth_activation_has_its_limit(tmp_path: Path) -> None:
    """Sixteen times the width: a quarter of the distance by 1/√m, and half of it is asked for."""
    done = run(tmp_path, "widths=[16, 256]", "seeds=12", "training.steps=2", "data.examples=4",
               "model={name: mlp, activation: tanh, depth: 1}")  # fmt: skip
    far, near = (
        np.mean([row["distance_to_infinite"] for row in done.rows if row["width"] == width])
        for width in (16, 256)
    )
    assert 0 < near < 0.5 * far
    assert near < 0.1


# --- odd corners ------------------------------------------------------------------------------------


def test_a_point_that_stands_there_twice(tmp_path: Path) -> None:
    """H has rank 2 of 3: it is said, and the run goes on."""
    done = run(tmp_path, "widths=[32]", "seeds=2", "training.steps=4", "edge.steps=2",
               "data.points=[0.5, -0.2, 0.5]", draw=True)  # fmt: skip
    (note,) = done.summary["notes"]
    assert done.said == [note]
    for part in (
        "kernel is singular",
        "at width 32 in 2 of 2 networks, rank 2 of 3",
        "1 of the 3 points rep",
    ):
        assert part in note
    assert [row["rank"] for row in done.rows] == [2, 2]
    assert "a_repeated_point_makes_it_singular" not in done.verdicts  # these repeat one already
    assert "FAIL" not in done.verdicts.values()


def test_numbers_on_a_line_without_bias(tmp_path: Path) -> None:
    done = run(tmp_path, *TINY, "widths=[64]", "data.examples=5", "model.bias=false")
    (note,) = done.summary["notes"]
    assert "rank 2 of 5" in note
    assert "10 pairs of points are parallel" in note
    assert done.claim("without_bias_the_rank_is_two")["measured"] == 2
    assert done.summary["status"] == "finished"


def test_residuals_are_apart_up_to_where_they_grow_too_large() -> None:
    """A residual that is not finite is no end of the comparison, unless the prediction has grown so far."""
    predicted = torch.tensor([[1.0], [10.0], [1e14], [1e16], [math.inf]], dtype=torch.float64)
    measured = predicted * torch.tensor([[1.0], [1.5], [1.0], [1.0], [1.0]])
    assert _apart(measured, predicted) == pytest.approx(0.5)
    measured[3:] = math.nan
    assert _apart(measured, predicted) == pytest.approx(0.5)
    measured[2] = math.nan
    assert math.isnan(_apart(measured, predicted))


def test_one_point(tmp_path: Path) -> None:
    done = run(tmp_path, *TINY, "data.points=[0.3]", "training.steps=30")
    assert done.rows[0]["lambda_min"] == done.rows[0]["lambda_max"]
    assert not any(name.startswith("without_bias") for name in done.verdicts)  # rank 1 is full here
    assert "FAIL" not in done.verdicts.values()
    assert done.summary["metrics"]["train/loss"] < 1e-3


def test_a_kernel_that_is_zero(tmp_path: Path) -> None:
    """Without bias nothing reaches a network from x = 0: there is nothing to learn and nothing to predict."""
    done = run(tmp_path, *TINY, "data.examples=1", "model.bias=false", draw=True)
    assert (done.rows[0]["lambda_max"], done.rows[0]["rank"], done.rows[0]["eta_max"]) == (0, 0, None)
    assert "FAIL" not in done.verdicts.values()


def test_the_smallest_run(tmp_path: Path) -> None:
    done = run(tmp_path, "widths=[1]", "seeds=1", "training.steps=1", draw=True)
    assert done.summary["status"] == "finished"
    assert "FAIL" not in done.verdicts.values()
    assert not any("with_width" in name for name in done.verdicts)


def test_float32(tmp_path: Path) -> None:
    done = run(
        tmp_path, "widths=[16, 64]", "seeds=2", "training.steps=10", "training.precision=float32",
        "edge.steps=150", "edge.multiples=[0.95]", "data.examples=4",
    )  # fmt: skip
    assert "FAIL" not in done.verdicts.values()
    assert done.verdicts["linearization_at_0.95_eta_max"] == "PASS"  # 0.9¹⁵⁰ is beyond what float32 holds
    x, _ = line_points(4)
    start = np.linalg.eigvalsh(tangent_kernel(network_of(64, 1), x))
    assert done.rows[-1]["lambda_max"] == pytest.approx(start[-1], rel=1e-5)


def test_step_sizes_that_wipe_a_mode_out_or_leave_it(tmp_path: Path) -> None:
    done = run(tmp_path, *TINY, "edge.steps=20", "edge.multiples=[0.5, 1.0, 1.001]")
    for multiple, factor in (("0.5", 0.0), ("1", 1.0), ("1.001", 1.002)):
        claim = done.claim(f"linearization_at_{multiple}_eta_max")
        assert claim["verdict"] == "PASS"
        assert claim["measured"] == pytest.approx(factor, abs=1e-8)
    assert done.claim("network_climbs_at_1.001_eta_max")["measured"] == pytest.approx(1.002, abs=1e-3)
    assert "network_settles_flatter_at_1.001_eta_max" not in done.verdicts  # not in so few steps


def test_far_above_eta_max_nothing_is_claimed_of_widths(tmp_path: Path) -> None:
    """The linearization grows by 5ᵏ, which the formula follows; the theorem about widths is for η < η_max."""
    done = run(tmp_path, "widths=[8, 16]", "seeds=3", "training.steps=40", "edge.steps=2",
               "training.lr_fraction=3")  # fmt: skip
    assert done.verdicts["linearization_follows_descent"] == "PASS"
    assert "FAIL" not in done.verdicts.values()


def test_the_steps_of_training_are_those_of_every_part(tmp_path: Path) -> None:
    for sets, expected in ((["training.steps=3"], 3), (["training.steps=3", "edge.steps=5"], 5)):
        done = run(tmp_path, "widths=[4]", "seeds=1", "data.examples=4", *sets)
        assert done.predictions()["steps"][-1] == 3
        with np.load(done.folder / "arrays.npz") as arrays:
            assert arrays["edge/steps"].tolist() == list(range(expected + 1))
            assert len(arrays["edge/1.5 η_max/network"]) == expected + 1
        for claim in done.summary["claims"]:
            if claim["name"].startswith("linearization_at"):
                assert f"{expected} steps" in claim["hypotheses"][2]


def test_some_networks_diverge(tmp_path: Path) -> None:
    """Their rows say so, whichever seed it is, and the figures are made of the others."""
    done = run(tmp_path, "widths=[4, 64]", "seeds=3", "training.steps=150", "edge.steps=2",
               "training.lr_fraction=6", draw=True)  # fmt: skip
    lost = [(row["width"], row["network"]) for row in done.rows if row["kernel_drift"] is None]
    assert (64, 0) in lost
    assert 0 < len(lost) < 6
    assert all(row["residual_error"] is None for row in done.rows if row["kernel_drift"] is None)
    assert "loss" in done.drawn
    assert "FAIL" not in done.verdicts.values()


def test_a_kernel_that_overflows_though_no_output_does() -> None:
    """Weights of 1e100 in three layers: derivatives of 1e200, whose squares are none in float64."""
    task = build_task(LinePoints(name="line", examples=3), config_of().training, Session())
    network = network_of(8, 0)
    start = {name: value.detach() for name, value in network.named_parameters()}
    study = Study(KernelMLP(name="mlp"), task, "squared_error", "sum", 0.5, 1)

    def kernel(scale: float) -> Tensor | None:
        w = {name: scale * value for name, value in start.items()}
        return ntk_members._kernel_at_the_end(network, study, Trajectory(torch.zeros(2, 3, 1), w, None))

    found = kernel(1.0)
    assert found is not None
    expected = tangent_kernel(network, task.x)
    np.testing.assert_allclose(found[:, :, 0, 0].numpy(), expected, rtol=1e-12, atol=1e-12)
    assert kernel(1e100) is None


def test_a_network_that_leaves_every_bound_is_looked_at_as_long_as_possible(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[int] = []

    def kernel(*arguments: Any, **settings: Any) -> Any:
        looks.append(1)
        if len(looks) > 2:
            raise NonFiniteError("too steep")
        return kernel_of(*arguments, **settings)

    monkeypatch.setattr(ntk_edge, "kernel_of", kernel)
    done = run(tmp_path, *TINY, "edge.multiples=[1.5]", "edge.steps=4")
    assert len(looks) == 5
    with np.load(done.folder / "arrays.npz") as arrays:
        assert arrays["edge/1.5 η_max/look"].tolist() == [0, 1]
        assert arrays["edge/1.5 η_max/sharpness"][0] == pytest.approx(3.0, rel=1e-12)


def test_every_network_diverges(tmp_path: Path) -> None:
    with pytest.raises(Diverged, match=r"training\.lr_fraction: 100 of η_max is too much: try 0\.5"):
        run(tmp_path, "widths=[64]", "seeds=2", "training.steps=100", "edge.steps=2",
            "training.lr_fraction=100")  # fmt: skip
    (folder,) = tmp_path.glob("ntk/*")
    assert json.loads((folder / "summary.json").read_text())["status"] == "diverged"
    assert (folder / "predictions.json").exists()
    assert (folder / "metrics.jsonl").read_bytes() != b""


# --- pieces -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "points", "pairs"),
    [
        (KernelMLP(name="mlp"), LinePoints(name="line", examples=5), 0),
        (KernelMLP(name="mlp", bias=False), LinePoints(name="line", examples=5), 10),
        (KernelMLP(name="mlp", sigma_b=0.0), LinePoints(name="line", examples=5), 10),
        # trained biases that start at 0: the units are |x| relu(±1) all the same
        (KernelMLP(name="mlp", parameterization="standard"), LinePoints(name="line", examples=5), 10),
        (KernelMLP(name="mlp", parameterization="standard", sigma_b=0.5), LinePoints(name="line"), 0),
        (KernelMLP(name="mlp"), LinePoints(name="line", points=[0.1, 0.2, 0.1]), 1),
        (KernelMLP(name="mlp", bias=False), CirclePoints(name="circle", examples=8), 4),
        (KernelMLP(name="mlp"), CirclePoints(name="circle", examples=8), 0),
    ],
)
def test_parallel_pairs(model: KernelMLP, points: LinePoints | CirclePoints, pairs: int) -> None:
    task = build_task(points, config_of().training, Session())
    assert parallel_pairs(model, task) == pairs


def test_standard_networks_on_a_line_are_singular_as_parallel_pairs_say() -> None:
    """However wide: f and its gradients are combinations of 1 and x on each side of 0."""
    task = build_task(LinePoints(name="line", examples=12), config_of().training, Session())
    kernel = tangent_kernel(
        build_network(KernelMLP(name="mlp", parameterization="standard"), 200, task, 0), task.x
    )
    assert np.linalg.matrix_rank(kernel, hermitian=True) <= 4


def test_factor_per_step() -> None:
    sizes = 2.0 * 0.9 ** torch.arange(400, dtype=FLOAT)
    noisy = torch.where(sizes > 1e-12, sizes, 1e-12)
    assert _factor_per_step(noisy, 1e-10) == pytest.approx(0.9, rel=1e-12)
    growing = 1.1 ** torch.arange(8000, dtype=FLOAT)
    assert torch.isinf(growing[-1])
    assert _factor_per_step(growing, 1e-10) == pytest.approx(1.1, rel=1e-12)
    assert _factor_per_step(torch.tensor([1.0, 1e-17, 3e-17]), 1e-8) < 1e-16
    assert math.isnan(_factor_per_step(torch.zeros(3), 1e-8))


def test_moments_of_the_training_begin_and_end_as_it_does(line: Done) -> None:
    arrays = open_run(line.folder).arrays()
    steps = arrays["moments/steps"]
    assert (steps[0], steps[-1]) == (0, 12)
    for width in (8, 32):
        kernels = arrays[f"moments/{width}/kernel"]
        assert kernels.shape == (len(steps), 6, 6)
        np.testing.assert_allclose(kernels, kernels.transpose(0, 2, 1), atol=1e-12)
        for kind, name in (("network", "network"), ("linearized", "linearization")):
            ended = arrays[f"moments/{width}/{kind}"][-1]
            np.testing.assert_allclose(ended, arrays[f"functions/{width}/{name}"][0], rtol=1e-12)
        assert arrays[f"moments/{width}/weights/1"].shape == (len(steps), 6, 6)
    np.testing.assert_allclose(
        arrays["moments/32/kernel"][[0, -1]], np.stack([arrays["kernel/start"], arrays["kernel/end"]])
    )


def test_the_kernel_on_the_line_and_its_modes_are_those_of_the_regression(line: Done) -> None:
    """f₀(x) − K(x, X)H⁻¹u₀ is where the linearized network ends."""
    arrays = open_run(line.folder).arrays()
    vectors, eigenvalues = arrays["modes/vectors"], arrays["modes/eigenvalues"]
    np.testing.assert_allclose(vectors * eigenvalues @ vectors.T, arrays["kernel/start"], atol=1e-12)
    inverse = vectors / eigenvalues @ arrays["modes/network"][:, 0]
    ended = arrays["moments/32/network"][0] - arrays["kernel/grid"] @ inverse
    np.testing.assert_allclose(ended, arrays["functions/32/kernel regression"][0], atol=1e-8)
