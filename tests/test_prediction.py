"""`nnlab predict`, `Run.model` and `Run.predict`: the run's own metrics, and new examples read as its own."""

import csv
import io
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image
from scipy.special import softmax

from nnlab.chapters.experiments import EXPERIMENTS
from nnlab.errors import DataError, InputError, RunFolderError
from nnlab.lab import runner
from nnlab.lab.config import check
from nnlab.lab.prediction import predictor
from nnlab.lab.session import Session
from nnlab.lab.source import Source
from nnlab.record import Record, Run, open_run
from tests.command_line import Result, nnlab


@pytest.fixture(autouse=True)
def _undrawn(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Figures take most of the time of a short run; decoded images go into a cache of this test alone."""
    monkeypatch.setattr(Record, "draw", lambda record, *stop: None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


def run(runs: Path, values: dict[str, Any]) -> Run:
    """Returns the run of a config, on the CPU."""
    training = {"epochs": 3, "device": "cpu", **values.pop("training", {})}
    config = check(Source("test", "", {**values, "training": training}), EXPERIMENTS)
    return open_run(runner.run(config, runs, Session(experiments=EXPERIMENTS))["run_dir"])


def classify(runs: Path, data: dict[str, Any], **more: Any) -> Run:
    model = {"name": "mlp", "hidden": [5]}
    return run(runs, {"experiment": "classify", "data": data, "model": model, **more})


def regress(runs: Path, data: dict[str, Any], **more: Any) -> Run:
    own = {"model": {"name": "mlp", "hidden": [5]}, "optimizer": {"name": "adam", "lr": 0.01}}
    return run(
        runs, {"experiment": "regress", "data": data, "loss": {"name": "squared_error"}, **own, **more}
    )


def own_metrics(stored: Run, split: str = "test") -> dict[str, float]:
    return {k: v for k, v in stored.summary["metrics"].items() if k.startswith(f"{split}/")}


def predict(stored: Run | Path, *arguments: str | Path, code: int = 0) -> Result:
    folder = stored.folder if isinstance(stored, Run) else stored
    result = nnlab("predict", folder, *arguments)
    assert result.code == code, result.err
    return result


def as_json(stored: Run | Path, *arguments: str | Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(predict(stored, "--json", *arguments).out)
    return content


def as_rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


CLASSES = ("a, b", "ä", "1")


def write_rows(
    path: Path, count: int, *, seed: int = 0, kind: str = "classes", names: tuple[str, ...] = ()
) -> Path:
    """Writes a table of three classes, or of a quantity of some size, and returns its path."""
    random = np.random.default_rng(seed)
    lines = [["height", "width", "y"]]
    for k in range(count):
        x = random.normal(k % 3), random.normal(-(k % 3), 100)
        target = CLASSES[k % 3] if kind == "classes" else repr(5000 + 300 * x[0] - x[1] + random.normal())
        lines.append([repr(x[0]), repr(x[1]), target])
    order = [lines[0].index(name) for name in names or lines[0]]
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([line[k] for k in order] for line in lines)
    return path


def write_images(folder: Path, count: int, seed: int, classes: tuple[str, ...] = ("cat", "dog")) -> Path:
    random = np.random.default_rng(seed)
    for label, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for k in range(count):
            pixels = random.integers(0, 200, (6, 5, 3), dtype=np.uint8) + np.uint8(50 * label)
            Image.fromarray(pixels).save(folder / name / f"{k}.png")
    return folder


# --- the run's own splits -----------------------------------------------------------------------------


def of_table(folder: Path) -> Run:
    path = write_rows(folder / "data.csv", 90)
    return classify(folder / "runs", {"name": "csv", "path": str(path), "target": "y"})


def of_balanced_table(folder: Path) -> Run:
    path = write_rows(folder / "data.csv", 91)
    loss = {"name": "cross_entropy", "class_weights": "balanced", "label_smoothing": 0.1}
    return classify(folder / "runs", {"name": "csv", "path": str(path), "target": "y"}, loss=loss)


def of_digits(folder: Path) -> Run:
    model = {"name": "cnn", "channels": [4], "batch_norm": True}
    data = {"name": "digits", "shuffle_pixels": True}
    return classify(folder / "runs", data, model=model, training={"test_time_augmentation": "mirror"})


def of_images(folder: Path) -> Run:
    for split, count in (("train", 12), ("test", 5)):
        write_images(folder / "images" / split, count, seed=count)
    return classify(folder / "runs", {"name": "image_folder", "root": str(folder / "images")})


def of_function(folder: Path) -> Run:
    return regress(folder / "runs", {"name": "regression_1d", "standardize_target": True})


def of_quantity(folder: Path) -> Run:
    path = write_rows(folder / "data.csv", 90, kind="quantity")
    return regress(folder / "runs", {"name": "csv", "path": str(path), "target": "y", "task": "regression"})


def of_least_squares(folder: Path) -> Run:
    loss = {"name": "squared_error", "reduction": "sum"}
    optimizer = {"name": "sgd", "lr": 0.001}
    return classify(folder / "runs", {"name": "xor", "examples": 50}, loss=loss, optimizer=optimizer)


def of_doubles(folder: Path) -> Run:
    return classify(folder / "runs", {"name": "spirals", "examples": 60}, training={"precision": "float64"})


def of_half_precision(folder: Path) -> Run:
    return classify(folder / "runs", {"name": "two_moons"}, training={"precision": "bfloat16"})


ALL = (
    of_table, of_balanced_table, of_digits, of_images, of_function, of_quantity, of_least_squares, of_doubles,
    of_half_precision,
)  # fmt: skip


@pytest.mark.parametrize("make", ALL)
def test_the_metrics_of_every_split_to_the_last_bit(tmp_path: Path, make: Callable[[Path], Run]) -> None:
    stored = make(tmp_path)
    content = as_json(stored)
    assert content["split"] == "test"
    assert content["metrics"] == own_metrics(stored)
    assert len(content["metrics"]) >= 3
    assert len(content["predictions"]) == content["examples"]
    assert as_json(stored, "--split", "validation")["metrics"] == own_metrics(stored, "val")
    assert as_json(stored, "--split", "val")["split"] == "validation"
    assert as_json(stored, "--split", "train")["metrics"] == own_metrics(stored, "train")


@pytest.mark.slow
def test_the_metrics_of_mnist_to_the_last_bit(
    tmp_path: Path, data_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NNLAB_DATA", str(data_root))
    data = {"name": "mnist", "batch_size": 1024}
    stored = classify(tmp_path, data, model={"name": "mlp", "hidden": []}, training={"epochs": 1})
    content = as_json(stored)
    assert content["metrics"] == own_metrics(stored)
    assert content["examples"] == 10_000
    right = [example["prediction"] == example["target"] for example in content["predictions"]]
    assert np.mean(right) == own_metrics(stored)["test/accuracy"]


# --- files --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["classes", "quantity"])
def test_a_file_of_the_test_rows_has_the_metrics_of_the_run(tmp_path: Path, kind: str) -> None:
    train, test = (
        write_rows(tmp_path / f"{k}.csv", n, seed=n, kind=kind) for k, n in (("train", 80), ("test", 30))
    )
    data = {"name": "csv", "path": str(train), "test": str(test), "target": "y"}
    if kind == "classes":
        stored = classify(tmp_path / "runs", data)
    else:
        stored = regress(tmp_path / "runs", {**data, "task": "regression"})
    content = as_json(stored, "--data", test)
    assert {f"test/{name}": value for name, value in content["metrics"].items()} == own_metrics(stored)
    assert content["task"] == ("classification" if kind == "classes" else "regression")
    turned = write_rows(tmp_path / "turned.csv", 30, seed=30, kind=kind, names=("y", "width", "height"))
    assert as_json(stored, "--data", turned)["predictions"] == content["predictions"]


def test_a_folder_of_the_test_images_has_the_metrics_of_the_run(tmp_path: Path) -> None:
    stored = of_images(tmp_path)
    content = as_json(stored, "--data", tmp_path / "images" / "test")
    assert {f"test/{name}": value for name, value in content["metrics"].items()} == own_metrics(stored)
    first = content["predictions"][0]
    assert first["file"] == "cat/0.png"
    (alone,) = as_json(stored, "--data", tmp_path / "images" / "test" / "cat" / "0.png")["predictions"]
    assert_allclose(
        list(alone["probabilities"].values()), list(first["probabilities"].values()), rtol=1e-6
    )  # another batch, another order of sums
    assert "target" not in alone


@pytest.mark.parametrize("make", [of_table, of_images, of_quantity])
def test_the_run_folder_is_all_that_it_takes(tmp_path: Path, make: Callable[[Path], Run]) -> None:
    (tmp_path / "there").mkdir()
    stored = make(tmp_path / "there")
    images = make is of_images
    new = (
        write_images(tmp_path / "new", 3, seed=7)
        if images
        else write_rows(tmp_path / "new.csv", 9, seed=7, kind="classes" if make is of_table else "quantity")
    )
    before = as_json(stored, "--data", new)
    moved = tmp_path / "moved and renamed"
    shutil.move(stored.folder, moved)
    shutil.rmtree(tmp_path / "there")
    after = as_json(moved, "--data", new)
    assert after["predictions"] == before["predictions"]
    assert after["metrics"] == before["metrics"]
    message = predict(moved, code=2).err  # its own test examples are gone
    assert str(tmp_path / "there") in message
    assert "--data PATH predicts for other examples" in message


def test_predictions_of_a_table_by_hand(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "data.csv", 90)
    stored = classify(tmp_path, {"name": "csv", "path": str(path), "target": "y"}, model={"name": "mlp"})
    content = json.loads((stored.folder / "data.json").read_text("utf-8"))["preprocessing"]
    state = torch.load(stored.folder / "checkpoints" / "best.pt", weights_only=True)["model"]
    weight, bias = (tensor.numpy() for tensor in state.values())
    new = write_rows(tmp_path / "new.csv", 12, seed=5, names=("width", "height"))
    x = np.loadtxt(new, delimiter=",", skiprows=1)[:, ::-1]
    expected = softmax((x - content["mean"]) / content["std"] @ weight.T + bias, 1)
    out = tmp_path / "predictions.csv"
    assert predict(stored, "--data", new, "--out", out).last_line == str(out)
    rows = as_rows(out.read_text("utf-8"))
    names = sorted(CLASSES)
    assert list(rows[0]) == ["row", "prediction", *names]
    assert [row["row"] for row in rows] == [str(k) for k in range(1, 13)]
    assert_allclose([[float(row[name]) for name in names] for row in rows], expected, rtol=1e-4)
    assert [row["prediction"] for row in rows] == [names[k] for k in expected.argmax(1)]


def test_values_of_a_regression_by_hand(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "data.csv", 90, kind="quantity")
    data = {"name": "csv", "path": str(path), "target": "y", "task": "regression"}
    stored = regress(tmp_path, data, model={"name": "mlp"}, training={"epochs": 400})
    content = json.loads((stored.folder / "data.json").read_text("utf-8"))["preprocessing"]
    state = torch.load(stored.folder / "checkpoints" / "best.pt", weights_only=True)["model"]
    weight, bias = (tensor.numpy() for tensor in state.values())
    new = write_rows(tmp_path / "new.csv", 12, seed=5, kind="quantity")
    x, y = np.split(np.loadtxt(new, delimiter=",", skiprows=1), [2], axis=1)
    standard = (x - content["mean"]) / content["std"] @ weight.T + bias
    expected = standard * content["target_std"] + content["target_mean"]
    result = as_json(stored, "--data", new)
    values = np.array([[example["prediction"]] for example in result["predictions"]])
    assert_allclose(values, expected, rtol=1e-5)
    assert_allclose(np.array([[e["target"]] for e in result["predictions"]]), y, rtol=1e-6)
    error = expected - y
    assert_allclose(result["metrics"]["mae"], np.abs(error).mean(), rtol=1e-4)
    assert_allclose(result["metrics"]["r2"], 1 - (error**2).sum() / ((y - y.mean()) ** 2).sum(), rtol=1e-4)
    assert result["metrics"]["r2"] > 0.9


def test_missing_values_as_the_run_chose(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "data.csv", 90)
    new = tmp_path / "new.csv"
    new.write_text("height,width\n1.5,\n,2\n0.5,3\n")
    data = {"name": "csv", "path": str(path), "target": "y"}
    means = classify(tmp_path / "mean", {**data, "missing": "mean"})
    mean = json.loads((means.folder / "data.json").read_text("utf-8"))["preprocessing"]["mean"]
    content = as_json(means, "--data", new)
    filled = np.array([[1.5, mean[1]], [mean[0], 2.0], [0.5, 3.0]])
    chances = [list(example["probabilities"].values()) for example in content["predictions"]]
    assert_array_equal(chances, means.predict(filled))
    assert_array_equal(chances, means.predict([[1.5, np.nan], [np.nan, 2.0], [0.5, 3.0]]))
    dropped = as_json(classify(tmp_path / "drop", {**data, "missing": "drop"}), "--data", new)
    assert [example["row"] for example in dropped["predictions"]] == ["3"]
    message = predict(classify(tmp_path / "error", data), "--data", new, code=2).err
    assert f"{new}, line 2, column width" in message


def test_digits_take_pictures(tmp_path: Path) -> None:
    stored = classify(tmp_path / "runs", {"name": "digits"}, model={"name": "mlp"}, training={"epochs": 8})
    from sklearn.datasets import load_digits

    (tmp_path / "new").mkdir()
    digits = load_digits()
    for k in range(12):
        grey = np.rint(digits.images[k] * (255 / 16)).astype(np.uint8)
        Image.fromarray(grey).save(tmp_path / "new" / f"{k:02}.png")
    content = as_json(stored, "--data", tmp_path / "new")
    chances = [list(example["probabilities"].values()) for example in content["predictions"]]
    assert_allclose(chances, stored.predict(digits.images[:12]), rtol=1e-6)
    assert (
        np.mean([int(e["prediction"]) == digits.target[k] for k, e in enumerate(content["predictions"])])
        > 0.8
    )


# --- the command --------------------------------------------------------------------------------------


def test_csv_goes_to_a_pipe_and_what_a_person_reads_to_stderr(tmp_path: Path) -> None:
    stored = of_table(tmp_path)
    result = predict(stored)
    rows = as_rows(result.out)
    assert len(rows) == 18
    assert list(rows[0]) == ["example", "target", "prediction", *sorted(CLASSES)]
    right = np.mean([row["target"] == row["prediction"] for row in rows])
    assert right == own_metrics(stored)["test/accuracy"]
    assert f"test/accuracy {100 * right:.2f}%" in result.err
    assert predict(stored, "--quiet").err == ""


def test_a_run_by_its_name(tmp_path: Path) -> None:
    stored = of_table(tmp_path)
    for name in ("last", "classify", stored.folder.name[:15]):
        result = nnlab("predict", name, "--runs", tmp_path / "runs", "--json")
        assert json.loads(result.out)["run_dir"] == str(stored.folder)


def test_no_file_is_written_over(tmp_path: Path) -> None:
    stored, out = of_table(tmp_path), tmp_path / "out.csv"
    out.write_text("precious")
    assert "already exists" in predict(stored, "--out", out, code=2).err
    assert out.read_text() == "precious"
    assert "there is no folder" in predict(stored, "--out", tmp_path / "none" / "out.csv", code=2).err
    assert "--out" in predict(stored, "--out", tmp_path / "out.png", code=2).err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.csv", "out.csv", "runs"]


def test_helping_columns_make_way_for_classes(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    rows = [f"{k % 2 + 0.1 * (k % 7)},{('prediction', 'row')[k % 2]}" for k in range(40)]
    path.write_text("\n".join(["x,kind", *rows]) + "\n")
    stored = classify(tmp_path, {"name": "csv", "path": str(path), "target": "kind"})
    (first, *_) = as_rows(predict(stored).out)
    assert list(first) == ["example", "target", "prediction_", "prediction", "row"]


def test_wrong_new_data(tmp_path: Path) -> None:
    stored, new = of_table(tmp_path), tmp_path / "new.csv"
    for text, words in (
        ("height\n1\n", "width"),
        ("height,width\n1,one\n", "line 2, column width"),
        ("height,width\n1,1e300\n", "line 2, column width"),
        ("height,width\n", ""),
        ("", ""),
    ):
        new.write_text(text)
        message = predict(stored, "--data", new, code=2).err
        assert str(new) in message
        assert words in message
    absent = tmp_path / "none.csv"
    assert f"{absent}: no such file" in predict(stored, "--data", absent, code=2).err
    assert predict(stored, "--data", tmp_path, code=2).err.startswith("nnlab: ")
    assert "--split" in predict(stored, "--data", new, "--split", "test", code=2).err
    assert "train, validation, test" in predict(stored, "--split", "tset", code=2).err
    new.write_text("height,width\n1e38,1e38\n")
    stretched = json.loads((stored.folder / "data.json").read_text("utf-8"))
    stretched["preprocessing"]["std"] = [1e-9, 1e-9]
    (stored.folder / "data.json").write_text(json.dumps(stretched))
    assert "row 1: the network's output is not finite" in predict(stored, "--data", new, code=2).err


def test_changed_data_have_no_split_of_the_run(tmp_path: Path) -> None:
    stored = of_table(tmp_path)
    write_rows(tmp_path / "data.csv", 96)
    message = predict(stored, code=2).err
    assert "90 rows then, 96 now: 6 appended" in message
    assert "--data" in message


def test_runs_that_have_no_one_model(tmp_path: Path) -> None:
    data = {"name": "xor", "examples": 20}
    config = check(
        Source(
            "test",
            "",
            {"experiment": "classify", "data": data, "model": {"name": "mlp"}, "training": {"epochs": 1}},
        ),
        EXPERIMENTS,
    )
    group = runner.run_seeds(config, 2, tmp_path, Session(experiments=EXPERIMENTS))["run_dir"]
    assert "name one of them (s0, s1)" in predict(Path(group), code=2).err
    assert as_json(Path(group) / "s1")["metrics"] == own_metrics(open_run(Path(group) / "s1"))
    several = run(
        tmp_path, {"experiment": "activations", "data": data, "model": {"name": "mlp", "hidden": [3]}}
    )
    assert "which trains no single model" in predict(several, code=2).err
    with pytest.raises(RunFolderError, match="trains no single model"):
        several.model()


def test_damaged_files_are_named(tmp_path: Path) -> None:
    stored = of_table(tmp_path)
    kept = (stored.folder / "data.json").read_text("utf-8")
    for change in (
        lambda c: c["preprocessing"].update(mean=[1.0]),
        lambda c: c["preprocessing"].update(std=["x", "y"]),
        lambda c: c["preprocessing"].pop("task"),
        lambda c: c["preprocessing"].update(class_names=["a"]),
        lambda c: c["preprocessing"].update(class_names=["a"] * 1000, outputs=1000),
        lambda c: c["preprocessing"].update(input_shape=[2, 10**5, 10**6]),
        lambda c: c["preprocessing"].update(full_scale=255),
        lambda c: c["preprocessing"].update(target_mean=[0.0] * 7),
        lambda c: c["preprocessing"].update(pixel_order=[0, 0]),
        lambda c: c["reader"].update(columns=c["reader"]["columns"][:1]),
        lambda c: c["reader"].update(kind="oracle"),
        lambda c: c["reader"].update(columns=3),
        lambda c: c.update(reader=[1]),
    ):
        content = json.loads(kept)
        change(content)
        (stored.folder / "data.json").write_text(json.dumps(content), "utf-8")
        message = predict(stored, "--data", tmp_path / "data.csv", code=2).err
        assert f"{stored.folder / 'data.json'}: is damaged: " in message
    (stored.folder / "data.json").unlink()
    os.mkfifo(stored.folder / "data.json")  # which nobody writes into
    assert "data.json: is no file" in predict(stored, code=2).err
    (stored.folder / "data.json").unlink()
    (stored.folder / "data.json").write_text("[" * 100_000)
    assert f"{stored.folder / 'data.json'}: cannot be read" in predict(stored, code=2).err
    (stored.folder / "data.json").write_text(kept[:100], "utf-8")
    assert str(stored.folder / "data.json") in predict(stored, code=2).err
    (stored.folder / "data.json").write_text(kept, "utf-8")
    (stored.folder / "checkpoints" / "best.pt").write_bytes(b"no weights")
    assert str(stored.folder / "checkpoints" / "best.pt") in predict(stored, code=2).err


def test_a_run_of_an_earlier_version_needs_its_data(tmp_path: Path) -> None:
    stored = of_table(tmp_path)
    new = write_rows(tmp_path / "new.csv", 9, seed=7)
    expected = as_json(stored, "--data", new)["predictions"]
    (stored.folder / "data.json").unlink()
    assert as_json(stored)["metrics"] == own_metrics(stored)
    assert as_json(stored, "--data", new)["predictions"] == expected
    (tmp_path / "data.csv").unlink()
    message = predict(stored, "--data", new, code=2).err
    assert str(tmp_path / "data.csv") in message
    assert "has no data.json" in message


FACTORY = """
import torch

def make(input_shape, outputs, scale):
    model = torch.nn.Linear(*input_shape, outputs)
    torch.nn.init.constant_(model.weight, scale)
    return model
"""


def test_a_custom_model_asks_for_leave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_models.py").write_text(FACTORY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    own = {"name": "custom", "factory": "own_models:make", "arguments": {"scale": 0.5}}
    values = {
        "experiment": "classify", "data": {"name": "xor", "examples": 20}, "model": own,
        "training": {"epochs": 1, "device": "cpu"},
    }  # fmt: skip
    session = Session(allow_custom_code=True, experiments=EXPERIMENTS)
    stored = open_run(
        runner.run(check(Source("", "", values), EXPERIMENTS), tmp_path / "runs", session)["run_dir"]
    )
    assert "--allow-custom-code" in predict(stored, code=2).err
    assert as_json(stored, "--allow-custom-code")["metrics"] == own_metrics(stored)
    with pytest.raises(InputError, match="custom"):
        stored.predict(np.zeros((1, 2)))
    assert stored.predict(np.zeros((1, 2)), allow_custom_code=True).shape == (1, 2)


# --- from Python --------------------------------------------------------------------------------------


def test_arrays_give_what_files_give(tmp_path: Path) -> None:
    stored = of_table(tmp_path)
    new = write_rows(tmp_path / "new.csv", 12, seed=5)
    chances = [
        list(example["probabilities"].values()) for example in as_json(stored, "--data", new)["predictions"]
    ]
    x = np.array([[float(row["height"]), float(row["width"])] for row in as_rows(new.read_text("utf-8"))])
    predicted = stored.predict(x)
    assert predicted.dtype == np.float64
    assert_array_equal(predicted, chances)
    assert_array_equal(stored.predict(torch.from_numpy(x)), chances)
    assert_array_equal(stored.predict(x.tolist()), chances)
    assert_allclose(predicted.sum(1), 1)
    assert stored.class_names == sorted(CLASSES)


def test_what_was_constant_in_the_training_counts_for_nothing(tmp_path: Path) -> None:
    path, new = tmp_path / "data.csv", tmp_path / "new.csv"
    rows = [f"{k % 3 + 0.01 * k},7,{'ab'[k % 3 > 0]}" for k in range(60)]
    path.write_text("\n".join(["x,year,kind", *rows]) + "\n")
    stored = classify(tmp_path, {"name": "csv", "path": str(path), "target": "kind"})
    new.write_text("x,year\n0.5,7\n0.5,1000\n")
    chances = [list(e["probabilities"].values()) for e in as_json(stored, "--data", new)["predictions"]]
    assert chances[0] == chances[1]
    assert_array_equal(stored.predict([[0.5, 7.0], [0.5, 1000.0]]), chances)


class Frame:
    """What `predict` uses of a DataFrame of pandas."""

    def __init__(self, **columns: list[Any]) -> None:
        self.columns = list(columns)
        self._rows = [self.columns, *map(list, zip(*columns.values(), strict=True))]

    def to_csv(self, path: Path, *, index: bool) -> None:
        assert not index
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(self._rows)

    def to_numpy(self) -> np.ndarray:
        return np.array(self._rows[1:])


class PolarsFrame(Frame):
    """The same of polars."""

    to_csv = None  # type: ignore[assignment]

    def write_csv(self, path: Path) -> None:
        Frame.to_csv(self, path, index=False)


@pytest.mark.parametrize("frame_of", [Frame, PolarsFrame])
def test_a_data_frame_is_matched_by_its_columns(tmp_path: Path, frame_of: type[Frame]) -> None:
    path = tmp_path / "data.csv"
    rows = [f"{k % 3 + 0.01 * k},{('red', 'green')[k % 2]},{'ab'[k % 3 > 0]}" for k in range(60)]
    path.write_text("\n".join(["size,colour,kind", *rows]) + "\n")
    data = {"name": "csv", "path": str(path), "target": "kind", "text": "one_hot"}
    stored = classify(tmp_path, data)
    frame = frame_of(colour=["green", "red"], other=[1, 2], size=[0.1234567890123, 2.5])
    new = tmp_path / "new.csv"
    new.write_text("size,colour\n0.1234567890123,green\n2.5,red\n")
    examples = as_json(stored, "--data", new)["predictions"]
    assert_array_equal(stored.predict(frame), [list(e["probabilities"].values()) for e in examples])
    with pytest.raises(DataError, match="size is no column of the DataFrame"):
        stored.predict(frame_of(colour=["green"]))


def test_a_data_frame_where_columns_have_no_names(tmp_path: Path) -> None:
    stored = of_least_squares(tmp_path)
    assert_array_equal(
        stored.predict(Frame(a=[1.0, 2.0], b=[0.5, 3.0])), stored.predict([[1.0, 0.5], [2.0, 3.0]])
    )


def test_the_model_is_ready_to_be_used(tmp_path: Path) -> None:
    stored = of_images(tmp_path)
    model = stored.model()
    assert not model.training
    assert {parameter.device.type for parameter in model.parameters()} == {"cpu"}
    trained = predictor(stored, Session())
    images = np.stack([
        np.asarray(Image.open(tmp_path / "images" / "test" / "dog" / f"{k}.png")) for k in range(5)
    ]).transpose(0, 3, 1, 2)  # fmt: skip
    mean, std = (np.array(getattr(trained.preprocessing, key))[:, None, None] for key in ("mean", "std"))
    with torch.no_grad():
        scores = model(torch.from_numpy((images - mean) / std).float())
    assert_allclose(stored.predict(images), softmax(scores.double().numpy(), 1), rtol=1e-4)


def test_shuffled_pixels_are_shuffled_again(tmp_path: Path) -> None:
    stored = of_digits(tmp_path)
    from sklearn.datasets import load_digits

    trained = predictor(stored, Session(experiments=EXPERIMENTS))
    data = trained.own_data()
    images = data.raw(data.test.inputs)[:20]
    assert any((image[0] == load_digits().images).all((1, 2)).any() for image in images.numpy())
    of_split = trained.of_split("test").outputs[:20]
    assert_allclose(stored.predict(images), of_split, rtol=1e-4)
    assert_allclose(stored.predict(images[:, 0].numpy().astype(int)), of_split, rtol=1e-4)


def test_least_squares_gives_its_own_estimates(tmp_path: Path) -> None:
    stored = of_least_squares(tmp_path)
    x = np.array([[1.0, 1.0], [-1.0, 1.0]])
    content = json.loads((stored.folder / "data.json").read_text("utf-8"))["preprocessing"]
    with torch.no_grad():
        expected = stored.model()(torch.from_numpy((x - content["mean"]) / content["std"]).float())
    assert_allclose(stored.predict(x), expected.double().numpy(), rtol=1e-6)
    assert "trained by squared error" in predict(stored).err


def test_examples_that_do_not_fit(tmp_path: Path) -> None:
    stored = of_table(tmp_path)
    good = np.zeros((3, 2))
    for wrong, words in (
        (np.zeros((3, 3)), r"shape \(N, 2\), the numbers of the columns height, width, not \(3, 3\)"),
        (np.zeros(2), r"array\[None\]"),
        (np.array([["a", "b"]]), "must be numbers"),
        (good.astype(complex), "must be numbers"),
        (np.where(np.arange(6).reshape(3, 2) == 3, np.nan, good), r"finite numbers, but \[1, 1\] is nan"),
        (good[:0], "no example"),
        ([[1.0, 2.0], [1.0]], "no array"),
        (np.full((1, 2), 1e39), "finite"),
    ):
        with pytest.raises(InputError, match=words):
            stored.predict(wrong)
    pictures = of_images(tmp_path)
    for wrong, words in (
        (np.full((1, 3, 6, 5), 0.5), "multiply by 255"),
        (np.full((1, 3, 6, 5), -1), "from 0 to 255"),
        (np.zeros((1, 6, 5, 3)), r"shape \(N, 3, 6, 5\), not \(1, 6, 5, 3\)"),
    ):
        with pytest.raises(InputError, match=words):
            pictures.predict(wrong)
