"""Trained on a table by a config, the lab finds the minimum that scikit-learn finds on the same rows.

The objectives are convex and have one minimum: softmax regression or least squares with a penalty on the
weights alone, mean loss + λR(W). Scikit-learn's parameters follow from λ by comparing coefficients:

- many classes: C Σ loss + (1 − ρ)/2 Σw² + ρ Σ|w| is the same objective with C = ρ/(λN), ρ = 1/(1 + 2β), and
  for the L2 penalty C = 1/(2λN);
- two classes: it has one vector w, the lab W₁ = −W₀ = w/2, for which β(W₀² + W₁²) + |W₀| + |W₁| is
  βw²/2 + |w|: ρ = 1/(1 + β), and C = 1/(λN) for the L2 penalty;
- ridge: Σ(y − ȳ)² + α Σw² with α = 2Nλ; elastic net: (1/2N)Σ(y − ȳ)² + αρ Σ|w| + α(1 − ρ)/2 Σw².
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn import datasets
from sklearn.linear_model import ElasticNet, LogisticRegression, Ridge

from nnlab.lab import sections
from nnlab.lab.build import build_data
from tests.command_line import nnlab

Array = NDArray[np.float64]

BOUND = 1e-6


def write(folder: Path, name: str) -> Path:
    """One of scikit-learn's sets as a table of full precision."""
    data = getattr(datasets, f"load_{name}")()
    lines = [",".join([*(str(n) for n in data.feature_names), "y"])]
    for x, y in zip(data.data, data.target, strict=True):
        target = repr(float(y)) if name == "diabetes" else str(data.target_names[y])
        lines.append(",".join([*(repr(float(v)) for v in x), target]))
    path = folder / f"{name}.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


class Trained:
    """The weights that a training by a config ended with, and the data that it saw."""

    def __init__(
        self, folder: Path, name: str, penalty: dict[str, Any], optimizer: dict[str, Any], epochs: int
    ) -> None:
        regression = name == "diabetes"
        data = {"name": "csv", "path": str(write(folder, name)), "target": "y", "validation": 0.0}
        data |= {"batch_size": "full", "task": "regression" if regression else "classification"}
        config = {
            "experiment": "regress" if regression else "classify",
            "data": data,
            "model": {"name": "mlp", "hidden": []},
            "loss": {"name": "squared_error" if regression else "cross_entropy", "regularization": penalty},
            "optimizer": optimizer,
            "training": {"epochs": epochs, "precision": "float64", "evaluate_every": epochs},
        }
        file = folder / "config.yaml"
        file.write_text(json.dumps(config))
        result = nnlab("train", "--config", file, "--runs", folder / "runs")
        assert result.code == 0, result.err
        run = Path(result.last_line)
        self.metrics = json.loads((run / "summary.json").read_text())["metrics"]
        state = torch.load(run / "checkpoints" / "best.pt", weights_only=True)["model"]
        self.weights, self.bias = (v.double().numpy() for v in state.values())
        section = sections.CsvData.model_validate(data)
        self.data = build_data(section, device="cpu", dtype=torch.float64)

    @property
    def train(self) -> tuple[Array, Array]:
        return self.data.train.inputs.numpy(), self.data.train.targets.numpy()


def log_softmax(scores: Array) -> Array:
    shifted = scores - scores.max(1, keepdims=True)
    result: Array = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    return result


def cross_entropy(weights: Array, bias: Array, x: Array, y: Array) -> float:
    return float(-log_softmax(x @ weights.T + bias)[np.arange(len(y)), y].mean())


def penalty_of(weights: Array, strength: float, beta: float, absolute: float) -> float:
    return float(strength * (beta * np.square(weights).sum() + absolute * np.abs(weights).sum()))


def as_softmax(model: LogisticRegression) -> tuple[Array, Array]:
    """Weights and centred biases of a softmax; of two classes from the one vector of scikit-learn."""
    w, b = model.coef_, model.intercept_
    if len(w) == 1:
        w, b = np.concatenate([-w, w]) / 2, np.concatenate([-b, b]) / 2
    return w, b - b.mean()


def difference(a: Array, b: Array) -> float:
    """The largest difference in units of the largest number."""
    return float(np.abs(a - b).max() / np.abs(b).max())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "kind", "strength"),
    [
        ("breast_cancer", "l2", 0.01),
        ("breast_cancer", "l2", 1e-5),
        ("breast_cancer", "elastic_net", 0.01),
        ("wine", "l2", 0.01),
        ("wine", "l2", 1e-5),
        ("wine", "elastic_net", 0.01),
    ],
)
def test_softmax_regression(tmp_path: Path, name: str, kind: str, strength: float) -> None:
    beta, two = 1.5, name == "breast_cancer"
    penalty: dict[str, Any] = {"name": kind, "strength": strength}
    if kind == "l2":
        lab = Trained(tmp_path, name, penalty, {"name": "lbfgs"}, 30)
        ρ, beta, absolute, solver = 0.0, 1.0, 0.0, "newton-cholesky"
        c = (1 if two else 0.5) / (strength * len(lab.data.train))
    else:
        penalty |= {"beta": beta, "proximal": True}
        lab = Trained(tmp_path, name, penalty, {"name": "sgd", "lr": 0.25}, 3000)
        ρ, absolute, solver = 1 / (1 + (beta if two else 2 * beta)), 1.0, "saga"
        c = ρ / (strength * len(lab.data.train))
    x, y = lab.train
    model = LogisticRegression(C=c, l1_ratio=ρ, solver=solver, tol=1e-12, max_iter=100_000, random_state=0)
    weights, bias = as_softmax(model.fit(x, y))

    def objective(w: Array, b: Array) -> float:
        return cross_entropy(w, b, x, y) + penalty_of(w, strength, beta, absolute)

    assert objective(lab.weights, lab.bias) == pytest.approx(objective(weights, bias), rel=BOUND)
    assert lab.metrics["train/loss"] == pytest.approx(cross_entropy(weights, bias, x, y), rel=BOUND)
    assert difference(lab.weights, weights) < BOUND
    assert difference(lab.bias - lab.bias.mean(), bias) < BOUND
    np.testing.assert_array_equal(lab.weights == 0, weights == 0)
    test = lab.data.test.inputs.numpy()
    mine = np.exp(log_softmax(test @ lab.weights.T + lab.bias))
    assert np.abs(mine - model.predict_proba(test)).max() < BOUND


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["l2", "elastic_net"])
def test_least_squares(tmp_path: Path, kind: str) -> None:
    strength, beta = 0.05, 0.8
    penalty: dict[str, Any] = {"name": kind, "strength": strength}
    if kind == "l2":
        lab = Trained(tmp_path, "diabetes", penalty, {"name": "lbfgs"}, 20)
        beta, absolute = 1.0, 0.0
        model = Ridge(alpha=2 * strength * len(lab.data.train), solver="cholesky")
    else:
        penalty |= {"beta": beta, "proximal": True}
        lab = Trained(tmp_path, "diabetes", penalty, {"name": "sgd", "lr": 0.2}, 3000)
        absolute = 1.0
        α = strength * (1 + 2 * beta)
        model = ElasticNet(alpha=α, l1_ratio=strength / α, tol=1e-14, max_iter=100_000)
    x, y = lab.train
    model.fit(x, y[:, 0])
    weights, bias = model.coef_.reshape(1, -1), np.atleast_1d(model.intercept_)

    def objective(w: Array, b: Array) -> float:
        return float(np.square(x @ w.T + b - y).mean() / 2) + penalty_of(w, strength, beta, absolute)

    assert objective(lab.weights, lab.bias) == pytest.approx(objective(weights, bias), rel=BOUND)
    assert difference(lab.weights, weights) < BOUND
    assert np.abs(lab.bias - bias).max() < BOUND  # of targets of variance 1
    np.testing.assert_array_equal(lab.weights == 0, weights == 0)
    predicted = lab.data.original(torch.tensor(model.predict(lab.data.test.inputs.numpy())[:, None]))
    mine = lab.data.original(torch.tensor(lab.data.test.inputs.numpy() @ lab.weights.T + lab.bias))
    torch.testing.assert_close(mine, predicted, rtol=BOUND, atol=0)
    error = float((predicted - lab.data.original(lab.data.test.targets)).square().mean().sqrt())
    assert lab.metrics["test/rmse"] == pytest.approx(error, rel=BOUND)
