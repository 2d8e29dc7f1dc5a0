"""Each experiment, run small: its claims pass, its results say what they should, and faults make it FAIL."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nnlab.chapters.classification.separable import least_norm, max_margin
from nnlab.chapters.experiments import EXPERIMENTS
from nnlab.errors import InputError
from nnlab.lab import runner
from nnlab.lab.config import apply_sets, check, read_source
from nnlab.lab.session import Session
from nnlab.record import open_run
from nnlab.training import losses
from nnlab.training.theory import (
    example_gradients,
    linear_rate,
    measured_rate,
    noise_of_one,
    predicted_noise,
    softmax_hessian,
    softmax_step_bound,
)


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Runs a shipped config with some values changed; returns its summary."""

    def run_(name: str, *sets: str) -> dict[str, Any]:
        source = read_source(name)
        apply_sets(source, ["training.device=cpu", f"name={name}", *sets])
        return runner.run(check(source, EXPERIMENTS), tmp_path, Session())

    return run_


def verdicts(summary: dict[str, Any]) -> dict[str, str]:
    return {claim["name"]: claim["verdict"] for claim in summary["claims"]}


def figures(summary: dict[str, Any]) -> set[str]:
    return {path.name for path in Path(summary["run_dir"]).glob("figures/*.png")}


def test_softmax_digits(run: Callable[..., dict[str, Any]]) -> None:
    summary = run("softmax_digits", "training.epochs=150")
    assert summary["metrics"]["test/accuracy"] > 0.9
    assert set(verdicts(summary).values()) == {"PASS"}
    assert set(verdicts(summary)) == {
        "cross_entropy_is_entropy_plus_kl", "loss_is_the_mean_over_examples", "steps_are_their_formula",
        "descent",
    }  # fmt: skip
    assert figures(summary) == {
        "classes.png", "confusion.png", "curves.png", "mistakes.png", "stack.png", "templates.png",
    }  # fmt: skip
    assert summary["model"] == {"parameters": 650, "multiply_adds": 640}
    found = open_run(summary["run_dir"])
    assert found.status == "finished"
    assert found.arrays()["confusion"].sum() == sum(row["examples"] for row in summary["results"])
    assert found.metrics("test")[0]["accuracy"] == summary["metrics"]["test/accuracy"]


def test_no_guarantee_above_the_bound(run: Callable[..., dict[str, Any]]) -> None:
    """At ten times the bound the run says so beforehand, claims nothing, and the loss still falls."""
    summary = run("softmax_digits", "optimizer.lr=1.2", "training.epochs=100",
                  "loss.regularization.strength=0")  # fmt: skip
    assert "descent" not in verdicts(summary)
    predictions = (Path(summary["run_dir"]) / "predictions.json").read_text()
    assert '"guaranteed": false' in predictions
    losses_ = [row["loss"] for row in open_run(summary["run_dir"]).metrics("train")]
    assert losses_[-1] < 0.1 * losses_[0]


def test_activations(run: Callable[..., dict[str, Any]]) -> None:
    summary = run("activations", "training.epochs=4")
    assert [row["activation"] for row in summary["results"]] == [
        "sigmoid", "tanh", "relu", "leaky_relu", "maxout", "elu", "gelu"
    ]  # fmt: skip
    assert set(verdicts(summary).values()) == {"PASS"}
    by_name = {row["activation"]: row for row in summary["results"]}
    assert by_name["sigmoid"]["gradient_first_layer"] < 0.5 * by_name["relu"]["gradient_first_layer"]


def test_sgd_vs_gd(run: Callable[..., dict[str, Any]]) -> None:
    summary = run("sgd_vs_gd", "draws=4000", "training.epochs=3", "batch_sizes=[full, 512, 64]")
    names = ("gradient_noise_batch_{}", "epoch_of_batches_of_{}_is_the_full_gradient",
             "batches_of_{}_are_right_on_average")  # fmt: skip
    expected = ["noise_of_one_example", *(name.format(b) for b in (64, 512) for name in names)]
    assert verdicts(summary) == dict.fromkeys(expected, "PASS")
    results = {row["batch_size"]: row for row in summary["results"]}
    assert results[64]["train/loss"] < results[512]["train/loss"] < results["full"]["train/loss"]


@pytest.mark.slow
def test_regularization(run: Callable[..., dict[str, Any]]) -> None:
    summary = run("regularization", "strengths=[0.05, 0.1]", "training.epochs=1500")
    assert set(verdicts(summary).values()) == {"PASS"}
    sparsity = {(r["penalty"], r["strength"]): r["sparsity"] for r in summary["results"]}
    assert sparsity["l2", 0.1] == 0.0
    assert 0.5 < sparsity["l1", 0.05] < sparsity["l1", 0.1]


@pytest.mark.slow
def test_separable(run: Callable[..., dict[str, Any]]) -> None:
    summary = run("separable", "training.epochs=20000")
    assert set(verdicts(summary).values()) == {"PASS"}
    assert "growth.png" in figures(summary)


def test_xor(run: Callable[..., dict[str, Any]]) -> None:
    summary = run("xor", "starts=8")
    assert set(verdicts(summary).values()) == {"PASS"}
    rates = {row["model"]: row["success_rate"] for row in summary["results"]}
    assert rates["linear"] == 0.0
    assert rates["2 hidden units"] > 0


@pytest.mark.slow
def test_convergence(run: Callable[..., dict[str, Any]]) -> None:
    summary = run("convergence", "training.epochs=2500")
    assert set(verdicts(summary).values()) == {"PASS"}
    claim = next(c for c in summary["claims"] if c["name"] == "optimum_agrees_with_scikit_learn")
    assert abs(claim["measured"]) < 1e-8


@pytest.mark.slow
def test_same_predictions_as_scikit_learn(run: Callable[..., dict[str, Any]]) -> None:
    """The other half of the bar: the same class wherever the margin between the best two exceeds 1e-6."""
    from sklearn.linear_model import LogisticRegression

    from nnlab.lab.training_run import build_parts, train
    from nnlab.record import Record

    source = read_source("convergence")
    apply_sets(
        source, ["optimizer={name: lbfgs}", "training.epochs=60", "model.bias=true", "experiment=classify"]
    )
    source.values.pop("multiples")
    config: Any = check(source, EXPERIMENTS)
    parts = build_parts(config, Session())
    summary = run("softmax_digits", "training.epochs=1")
    record = Record(Path(summary["run_dir"]), "lbfgs", "", {})
    record.start()
    train(config, parts, record, Session())
    record.close()
    data = parts.data
    x, y = data.train.inputs.flatten(1).numpy(), data.train.targets.numpy()
    reference = LogisticRegression(C=1 / (2 * 1e-2 * len(x)), tol=1e-10, max_iter=100_000).fit(x, y)
    test = data.test.inputs.flatten(1).numpy()
    theirs = np.sort(reference.decision_function(test), axis=1)
    clear = theirs[:, -1] - theirs[:, -2] > 1e-6
    with torch.no_grad():
        ours = parts.model(data.test.inputs).argmax(1).numpy()
    assert clear.sum() > 300
    assert (ours[clear] == reference.predict(test)[clear]).all()


def test_regress(run: Callable[..., dict[str, Any]]) -> None:
    summary = run("regression_1d", "training.epochs=300")
    assert summary["metrics"]["test/loss"] < 0.01
    assert figures(summary) == {"curves.png", "fit.png"}


@pytest.mark.slow
def test_seeds_make_a_group(tmp_path: Path) -> None:
    source = read_source("mlp2_digits")
    apply_sets(source, ["training.device=cpu", "training.epochs=3"])
    config = check(source, EXPERIMENTS)
    summary = runner.run_seeds(config, 3, tmp_path, Session())
    assert summary["members"] == ["s0", "s1", "s2"]
    joined = summary["metrics"]["test/accuracy"]
    members = [
        open_run(Path(summary["run_dir"]) / name).summary["metrics"]["test/accuracy"]
        for name in ("s0", "s1", "s2")
    ]
    assert joined["values"] == members
    assert joined["mean"] == pytest.approx(np.mean(members))
    half = 4.302652729911275 * np.std(members, ddof=1) / math.sqrt(3)  # Student's t with 2 degrees of freedom
    assert joined["interval"] == pytest.approx([np.mean(members) - half, np.mean(members) + half])


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("softmax_digits", "data={name: regression_1d}", "squared_error"),
        ("regression_1d", "data={name: blobs}", "use experiment: classify"),
        ("separable", "model.hidden=[3]", "model.hidden"),
        ("separable", "data.spread=5.0", "no line separates"),
        ("convergence", "optimizer.momentum=0.5", "momentum: 0"),
        ("xor", "data={name: blobs}", "data.name: xor"),
        ("regularization", "optimizer={name: adam}", "sgd"),
    ],
)
def test_wrong_input_makes_no_folder(
    run: Callable[..., dict[str, Any]], tmp_path: Path, name: str, change: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        run(name, change)
    assert list(tmp_path.iterdir()) == []


# --- faults that a claim must catch ---


def test_a_missing_half_in_the_step_bound_is_caught(
    run: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With two classes and half of the examples each way the bound is sharp: four times as much ascends."""
    from nnlab.lab import training_run

    monkeypatch.setattr(training_run, "softmax_step_bound", lambda x, s=0.0: 40 * softmax_step_bound(x, s))
    summary = run(
        "softmax_digits", "optimizer.lr=4.8", "training.epochs=100", "loss.regularization.strength=0.1"
    )
    assert verdicts(summary)["descent"] == "FAIL"


def test_lambda_for_two_lambda_is_caught(
    run: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(self: losses.Penalty, weights: list[torch.Tensor]) -> None:
        for w in weights:
            assert w.grad is not None
            w.grad.add_(w.detach(), alpha=self.strength * self.quadratic)

    monkeypatch.setattr(losses.Penalty, "add_gradient_", half)
    summary = run("regularization", "strengths=[0.1]", "penalties=[l2]", "training.epochs=500")
    assert verdicts(summary)["gradient_of_l2"] == "FAIL"
    assert verdicts(summary)["optimality_l2"] == "FAIL"


def test_noise_with_replacement_is_caught(
    run: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from nnlab.chapters.classification import sgd_vs_gd

    monkeypatch.setattr(sgd_vs_gd, "predicted_noise", lambda s, n, b: s / b)
    summary = run("sgd_vs_gd", "draws=4000", "training.epochs=1", "batch_sizes=[512]")
    assert verdicts(summary)["gradient_noise_batch_512"] == "FAIL"


# --- the mathematics beneath ---


def test_example_gradients_are_those_of_single_examples() -> None:
    draw = torch.Generator().manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2)).double()
    x, y = torch.randn(5, 3, generator=draw, dtype=torch.float64), torch.tensor([0, 1, 0, 1, 1])
    loss = losses.build_loss("cross_entropy")
    gradients = example_gradients(model, loss, x, y)
    for i in range(5):
        model.zero_grad()
        loss(model(x[i : i + 1]), y[i : i + 1]).backward()
        one = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
        torch.testing.assert_close(gradients[i], one, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("batch", [1, 2, 3, 4])
def test_predicted_noise_over_every_subset(batch: int) -> None:
    """The formula against the mean over all subsets of that size."""
    from itertools import combinations

    g = torch.randn(5, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    whole = g.mean(0)
    every = [float((g[list(s)].mean(0) - whole).square().sum()) for s in combinations(range(5), batch)]
    assert predicted_noise(noise_of_one(g), 5, batch) == pytest.approx(np.mean(every), rel=1e-12)


def test_softmax_hessian_against_autograd() -> None:
    draw = torch.Generator().manual_seed(4)
    x = torch.randn(7, 3, generator=draw, dtype=torch.float64)
    y = torch.randint(4, (7,), generator=draw)
    w = torch.randn(12, generator=draw, dtype=torch.float64)
    expected = torch.func.jacrev(torch.func.jacrev(lambda v: losses.cross_entropy(x @ v.reshape(4, 3).T, y)))(
        w
    )
    found = softmax_hessian(x, (x @ w.reshape(4, 3).T).softmax(1))
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-14)


def test_rates_on_a_quadratic() -> None:
    eigenvalues = torch.tensor([0.0, 0.1, 1.0, 3.0], dtype=torch.float64)
    assert linear_rate(eigenvalues, 0.5) == pytest.approx(0.95)
    assert linear_rate(eigenvalues, 0.65) == pytest.approx(0.95)
    assert linear_rate(eigenvalues, 0.7) == pytest.approx(1.1)
    k = torch.arange(300, dtype=torch.float64)
    distances = (0.95**k).square().add((0.5**k).square()).sqrt()
    assert measured_rate(distances) == pytest.approx(0.95, rel=1e-9)


def test_max_margin_of_two_points_and_none_of_xor() -> None:
    v = max_margin(np.array([[2.0, 0.0], [-1.0, 0.0]]), np.array([1, -1]))
    assert v == pytest.approx([1.0, 0.0], abs=1e-6)  # the nearer point decides
    corners = np.array([[1, 1, 1], [-1, -1, 1], [1, -1, 1], [-1, 1, 1]], dtype=float)
    assert max_margin(corners, np.array([-1, -1, 1, 1])) is None


def test_least_norm_is_attained_by_one_example() -> None:
    """One example at distance 1: rows (−v, v)/2 have norm ‖v‖/√2, and the loss is log(1 + e^{−‖v‖})."""
    for length in (0.5, 2.0, 8.0):
        loss = np.array([math.log1p(math.exp(-length))])
        assert least_norm(loss, 1, 1.0)[0] == pytest.approx(length / math.sqrt(2), rel=1e-9)
