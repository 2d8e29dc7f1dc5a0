"""A run on unbalanced classes: its table, its warning, its weights, and what `--epochs` sets."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as reference

from nnlab.chapters.experiments import EXPERIMENTS
from nnlab.lab import runner
from nnlab.lab.config import check
from nnlab.lab.session import Session
from nnlab.lab.source import Source
from nnlab.record import open_run
from tests.command_line import nnlab

pytestmark = pytest.mark.usefixtures("undrawn")


def table(path: Path, *, rare: int, examples: int = 200, apart: float = 1.5) -> Path:
    """Two clouds, of which the second has `rare` examples."""
    random = np.random.default_rng(rare)
    y = np.arange(examples) < rare
    x = random.normal(size=(examples, 2)) + apart * y[:, None]
    lines = [f"{a:.6f},{b:.6f},{'ill' if ill else 'well'}" for (a, b), ill in zip(x, y, strict=True)]
    path.write_text("\n".join(["a,b,state", *lines]) + "\n")
    return path


def run(path: Path, folder: Path, loss: dict[str, Any] | None = None, epochs: int = 40) -> dict[str, Any]:
    values: dict[str, Any] = {
        "experiment": "classify",
        "data": {"name": "csv", "path": str(path), "target": "state", "batch_size": "full", "test": 0.4},
        "model": {"name": "mlp"},
        "loss": {"name": "cross_entropy", **(loss or {})},
        "optimizer": {"name": "sgd", "lr": 1.0},
        "training": {"epochs": epochs},
    }
    config = check(Source(where="test", text="", values=values), EXPERIMENTS)
    return runner.run(config, folder, Session(experiments=EXPERIMENTS))


def test_the_table_of_classes_is_that_of_scikit_learn(tmp_path: Path) -> None:
    summary = run(table(tmp_path / "t.csv", rare=60), tmp_path)
    confusion = open_run(summary["run_dir"]).arrays()["confusion"]
    true, predicted = (np.repeat(index.ravel(), confusion.ravel()) for index in np.indices((2, 2)))
    expected = reference.precision_recall_fscore_support(true, predicted, labels=[0, 1], zero_division=0)
    rows = summary["results"]
    assert [row["class"] for row in rows] == ["ill", "well"]
    for key, column in zip(("precision", "recall", "f1", "examples"), expected, strict=True):
        np.testing.assert_allclose([row[key] for row in rows], column, rtol=1e-14)
    assert [row["accuracy"] for row in rows] == [row["recall"] for row in rows]
    metrics = summary["metrics"]
    assert metrics["test/balanced_accuracy"] == pytest.approx(
        reference.balanced_accuracy_score(true, predicted)
    )
    assert metrics["test/macro_f1"] == pytest.approx(reference.f1_score(true, predicted, average="macro"))
    assert 0.5 < metrics["test/macro_f1"] < 1


@pytest.mark.parametrize(
    ("rare", "apart", "warned"),
    [(12, 0.0, True), (12, 6.0, False), (90, 0.0, False)],
    ids=["nothing to see", "easy to see", "nothing to see, but balanced"],
)
def test_it_says_where_the_largest_class_alone_is_as_good(
    tmp_path: Path, rare: int, apart: float, warned: bool
) -> None:
    summary = run(table(tmp_path / "t.csv", rare=rare, apart=apart), tmp_path)
    warnings = [text for text in summary.get("warnings", []) if "always saying well" in text]
    assert len(warnings) == warned
    if warned:
        assert "class_weights: balanced" in warnings[0]
        assert f"{summary['metrics']['test/accuracy']:.4g}" in warnings[0]
        share = summary["results"][1]["examples"] / sum(row["examples"] for row in summary["results"])
        assert summary["metrics"]["test/accuracy"] <= share


def test_balanced_weights_find_the_rare_class(tmp_path: Path) -> None:
    path = table(tmp_path / "t.csv", rare=12)
    plain, balanced = run(path, tmp_path), run(path, tmp_path, {"class_weights": "balanced"})
    recall = [summary["results"][0]["recall"] for summary in (plain, balanced)]
    assert recall[0] < 0.5 < recall[1]
    names = {name.rpartition("/")[2] for name in balanced["metrics"]} - {
        name.rpartition("/")[2] for name in plain["metrics"]
    }
    assert names == {"weighted_accuracy"}
    assert "warnings" not in balanced


def test_the_claim_of_descent_holds_with_weights(tmp_path: Path) -> None:
    """The bound has the weights in it: without them it is too large by far for so rare a class."""
    path = table(tmp_path / "t.csv", rare=12)
    for weights, formula in ((None, "XᵀX"), ("balanced", "XᵀDX")):
        summary = run(path, tmp_path, {"class_weights": weights})
        (claim,) = [claim for claim in summary["claims"] if claim["name"] == "descent"]
        assert formula in claim["formula"]
        assert claim["verdict"] == "PASS"


def test_absent_classes_have_no_scores(tmp_path: Path) -> None:
    """Of a class with one example none is held out for the test."""
    path = table(tmp_path / "t.csv", rare=12)
    path.write_text(path.read_text() + "9,9,odd\n")
    summary = run(path, tmp_path)
    row = next(row for row in summary["results"] if row["class"] == "odd")
    assert row["examples"] == 0
    assert row["accuracy"] is row["recall"] is row["f1"] is None
    assert summary["metrics"]["test/balanced_accuracy"] == pytest.approx(
        np.mean([row["recall"] for row in summary["results"] if row["examples"]])
    )


# --- the command line -------------------------------------------------------------------------------


def test_epochs_on_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(
        "experiment: classify\ndata: {name: blobs, examples: 30}\nmodel: {name: mlp}\ntraining: {epochs: 9}\n"
    )
    result = nnlab("train", "--config", tmp_path / "c.yaml", "--epochs", "2", "--runs", tmp_path, "--quiet")
    assert result.code == 0, result
    folder = Path(result.out.strip())
    assert len(open_run(folder).metrics("train")) == 2
    assert nnlab("train", "--resume", folder, "--epochs", "4", "--quiet").code == 0
    assert len(open_run(folder).metrics("train")) == 4
    refused = nnlab("train", "--resume", folder, "--epochs", "4", "--quiet")
    assert refused.code == 2
    assert "--epochs 4" in refused.err
    assert "training of 4 epochs" in refused.err
    nothing = nnlab("train", "--config", "ntk", "--epochs", "4", "--runs", tmp_path)
    assert nothing.code == 2
    assert "--epochs" in nothing.err
