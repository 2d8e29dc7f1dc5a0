"""Targets are standardized for the training alone: metrics, figures and predictions are in original units."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn import metrics as reference
from sklearn.linear_model import Ridge

from nnlab.chapters.experiments import EXPERIMENTS
from nnlab.errors import DataError
from nnlab.lab import runner
from nnlab.lab.config import check, source_of_run
from nnlab.lab.sections import TrainingExperiment
from nnlab.lab.session import Session
from nnlab.lab.source import Source
from nnlab.record import open_run

ROWS = 150


def table(path: Path, seed: int = 0, *, features: int = 3, noise: float = 500.0) -> Path:
    random = np.random.default_rng(seed)
    x = random.normal(size=(ROWS, features))
    y = 80_000 + x @ np.linspace(3000, -9000, features) + noise * random.normal(size=ROWS)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*(f"x{k}" for k in range(features)), "price"])
        writer.writerows(np.column_stack([x, y]).tolist())
    return path


def checked(values: dict[str, Any]) -> TrainingExperiment:
    config = check(Source(where="test", text="", values=values), EXPERIMENTS)
    assert isinstance(config, TrainingExperiment)
    return config


def config_of(path: Path, **changes: Any) -> TrainingExperiment:
    values: dict[str, Any] = {
        "experiment": "regress",
        "data": {
            "name": "csv",
            "path": str(path),
            "target": "price",
            "task": "regression",
            "batch_size": "full",
        },
        "model": {"name": "mlp", "hidden": []},
        "loss": {"name": "squared_error", "regularization": {"name": "l2", "strength": 0.02}},
        "optimizer": {"name": "lbfgs"},
        "training": {"epochs": 20, "precision": "float64"},
    }
    for key, value in changes.items():
        values[key] = values[key] | value
    return checked(values)


def session() -> Session:
    return Session(experiments=EXPERIMENTS)


def test_a_run_is_ridge_regression_on_standardized_targets(tmp_path: Path) -> None:
    """(1/2N)Σe² + λΣw² is their Σe² + αΣw² for α = 2Nλ."""
    config = config_of(table(tmp_path / "t.csv"))
    summary = runner.run(config, tmp_path, session())
    data = session().data(config.data, config.training)
    x, y = data.train.inputs.numpy(), data.train.targets.numpy()
    assert data.target_mean is not None
    assert data.target_std is not None
    np.testing.assert_allclose([y.mean(), y.std()], [0.0, 1.0], atol=1e-12)
    original = data.original(data.train.targets).numpy()
    np.testing.assert_allclose([data.target_mean, data.target_std], [original.mean(0), original.std(0)])
    assert 60_000 < original.mean() < 100_000
    ridge = Ridge(alpha=2 * len(x) * 0.02, tol=1e-12).fit(x, y)
    for name, split in {"train": data.train, "val": data.validation, "test": data.test}.items():
        assert split is not None
        scaled = ridge.predict(split.inputs.numpy()).reshape(-1, 1)
        mean, std = original.mean(), original.std()
        target, prediction = split.targets.numpy() * std + mean, scaled * std + mean
        measured = {key: summary["metrics"][f"{name}/{key}"] for key in ("r2", "mae", "rmse", "loss")}
        assert measured["r2"] == pytest.approx(reference.r2_score(target, prediction), rel=1e-6)
        assert measured["mae"] == pytest.approx(reference.mean_absolute_error(target, prediction), rel=1e-6)
        expected = reference.root_mean_squared_error(target, prediction)
        assert measured["rmse"] == pytest.approx(expected, rel=1e-6)
        assert measured["loss"] == pytest.approx((expected / std) ** 2 / 2, rel=1e-6)  # in training units
    assert "warnings" not in summary


def test_the_figure_is_in_original_units(tmp_path: Path) -> None:
    config = config_of(table(tmp_path / "t.csv", features=1))
    arrays = open_run(runner.run(config, tmp_path, session())["run_dir"]).arrays()
    for name in ("target", "prediction", "points_y"):
        assert 60_000 < arrays[f"fit/{name}"].mean() < 100_000
    error = arrays["fit/prediction"] - arrays["fit/target"]
    assert np.sqrt(np.square(error).mean()) < 2_000


def test_without_it_targets_stay_as_they_are(tmp_path: Path) -> None:
    config = config_of(table(tmp_path / "t.csv"), data={"standardize_target": False})
    data = session().data(config.data, config.training)
    assert data.target_mean is None
    assert data.original(data.train.targets) is data.train.targets
    assert 60_000 < float(data.train.targets.mean()) < 100_000


def test_a_function_on_the_line_keeps_its_scale_unless_asked() -> None:
    for standardize in (False, True):
        values: dict[str, Any] = {
            "experiment": "regress",
            "data": {"name": "regression_1d", "function": "cubic", "noise": 0.0},
            "model": {"name": "mlp"},
            "loss": {"name": "squared_error"},
        }
        if standardize:
            values["data"]["standardize_target"] = True
        config = checked(values)
        data = session().data(config.data, config.training)
        assert (data.target_std is not None) == standardize
        scale = data.original(data.train.targets).double()
        plain = session().data(
            config.data.model_copy(update={"standardize_target": False}),
            config.training,
        )
        np.testing.assert_allclose(scale, plain.train.targets, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("value", ["5", "0.1", "1e-320"])
def test_targets_without_spread_are_refused(tmp_path: Path, value: str) -> None:
    rows = "".join(f"{k},{value}\n" for k in range(20))
    (tmp_path / "t.csv").write_text("x,price\n" + rows)
    with pytest.raises(DataError, match=r"data\.standardize_target: true: .* training targets"):
        runner.run(config_of(tmp_path / "t.csv"), tmp_path / "runs", session())
    assert not (tmp_path / "runs").exists()


# --- where the mean is better -----------------------------------------------------------------------


@pytest.mark.parametrize(("noise", "worse"), [(500.0, False), (1e7, True)])
def test_it_says_where_the_mean_is_better(tmp_path: Path, noise: float, worse: bool) -> None:
    """A network that learns 120 rows of noise by heart predicts the others worse than their mean."""
    config = config_of(
        table(tmp_path / "t.csv", noise=noise),
        model={"hidden": [64]},
        training={"epochs": 40},
        loss={"regularization": {"name": "none"}},
    )
    summary = runner.run(config, tmp_path, session())
    warnings = [text for text in summary.get("warnings", []) if "mean of the training targets" in text]
    assert len(warnings) == worse
    data = session().data(config.data, config.training)
    mean = float(data.original(data.train.targets).mean())
    constant = float((data.original(data.test.targets) - mean).square().mean().sqrt())
    assert (summary["metrics"]["test/rmse"] >= constant) == worse
    if worse:
        assert f"{constant:.4g}" in warnings[0]
        assert f"{summary['metrics']['test/rmse']:.4g}" in warnings[0]


# --- runs of earlier versions -----------------------------------------------------------------------


def test_the_config_of_an_earlier_run_keeps_its_meaning(tmp_path: Path) -> None:
    """Its targets were not standardized, and its config.yaml does not say so."""
    run = Path(runner.run(config_of(table(tmp_path / "t.csv")), tmp_path, session())["run_dir"])
    text = (run / "config.yaml").read_text()
    assert source_of_run(run / "config.yaml").values["data"]["standardize_target"] is True
    (run / "config.yaml").write_text(text.replace("  standardize_target: true\n", ""))
    assert source_of_run(run / "config.yaml").values["data"]["standardize_target"] is False


def test_the_same_numbers_whatever_the_unit(tmp_path: Path) -> None:
    """A target in thousands is the same training: R² is equal, errors are a thousandth."""
    path = table(tmp_path / "t.csv")
    lines = path.read_text().splitlines()
    thousands = [lines[0]]
    for line in lines[1:]:
        *x, y = line.split(",")
        thousands.append(",".join([*x, repr(float(y) / 1024)]))
    (tmp_path / "k.csv").write_text("\n".join(thousands) + "\n")
    one = runner.run(config_of(path), tmp_path, session())["metrics"]
    other = runner.run(config_of(tmp_path / "k.csv"), tmp_path, session())["metrics"]
    assert other["test/r2"] == pytest.approx(one["test/r2"], rel=1e-9)
    assert other["test/mae"] * 1024 == pytest.approx(one["test/mae"], rel=1e-9)


def test_classes_have_no_targets_to_standardize() -> None:
    values = {"experiment": "classify", "data": {"name": "blobs"}, "model": {"name": "mlp"}}
    config = checked(values)
    data = session().data(config.data, config.training)
    assert data.target_std is None
    assert data.class_sizes is not None
    assert torch.equal(data.class_sizes, torch.bincount(data.train.targets))
