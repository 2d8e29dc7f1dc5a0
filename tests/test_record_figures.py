"""Figures as calls: kept whole, repeated exactly, never at the cost of a run."""

import errno
import itertools
import json
import math
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from nnlab.chapters.approximation.perceptron.figures import Problem
from nnlab.chapters.experiments import EXPERIMENTS
from nnlab.data.dataset import RawData, Split, prepare
from nnlab.errors import ExperimentError, Interrupted, RunFolderError
from nnlab.lab import drawing, runner
from nnlab.lab.config import apply_sets, check, read_source
from nnlab.lab.session import Session
from nnlab.models.summary import LayerRow
from nnlab.page import build_page
from nnlab.plot import confusion, curves
from nnlab.plot.confusion import confusion_matrix
from nnlab.plot.curves import compare_curves, learning_curves
from nnlab.plot.regions import decision_regions
from nnlab.plot.scales import Units
from nnlab.record import Record, open_run, schema
from nnlab.record.figures import Call, Kept, NotRepeatable, _decode, _encode, call_of, calls_of, function_of

# --- arguments ------------------------------------------------------------------------------------------

ARRAYS = st.builds(
    lambda values, dtype: np.array(values, dtype),
    st.lists(st.integers(0, 100), max_size=30),
    st.sampled_from(["f4", "f8", "i8", "u1", "?", "U5"]),
)
KEYS = st.text(max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=8) | ARRAYS,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.lists(inner, max_size=5).map(tuple)
        | st.dictionaries(KEYS, inner, max_size=4)
        | st.dictionaries(st.integers() | st.floats(allow_nan=False, allow_infinity=False), inner, max_size=3)
    ),
    max_leaves=12,
)


def same(first: Any, second: Any) -> bool:
    """Equal in type, too; not-a-number equals itself."""
    if type(first) is not type(second):
        return False
    if isinstance(first, np.ndarray):
        return first.dtype == second.dtype and np.array_equal(first, second)
    if isinstance(first, dict):
        return list(first) == list(second) and all(same(first[key], second[key]) for key in first)
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(same, first, second))
    return bool(first == second) or (first != first and second != second)


@given(VALUES)
def test_arguments_come_back_as_they_were(value: Any) -> None:
    kept = Kept()
    text = json.dumps(_encode(value, "figures/x/value", kept), allow_nan=False)
    assert same(_decode(json.loads(text), kept.arrays), value)


def test_long_lists_pictures_and_our_own_objects_come_back() -> None:
    kept = Kept()
    row = LayerRow("fc", "linear", (10,), 650, 650, 640)
    problem = Problem(np.zeros((4, 2)), np.array([0, 1, 1, 0]), np.ones((3, 3)))
    value = {
        "floats": [0.5 * k for k in range(40)],
        "whole": tuple(range(40)),
        "pictures": [np.full((3, 3), float(k)) for k in range(6)],
        "row": row,
        "gap": [1.0, math.nan, -math.inf],
    }
    again = _decode(json.loads(json.dumps(_encode({**value, "problem": problem}, "p", kept))), kept.arrays)
    for key in value:
        assert same(again[key], value[key]), key
    assert same(again["problem"].lines, problem.lines)
    assert {name for name in kept.arrays if "pictures" in name} == {"p/pictures"}


def test_what_is_saved_already_is_kept_once() -> None:
    kept = Kept()
    matrix = np.arange(9.0).reshape(3, 3)
    kept.save("confusion", matrix)
    call = call_of("c", confusion_matrix, (matrix.copy(), ["a", "b", "c"]), {}, kept)
    assert call.arguments["matrix"] == {"$array": "confusion"}
    kept.save("confusion", matrix + 1)  # replaced: the next call must not get the new content
    call = call_of("c", confusion_matrix, (matrix.copy(), ["a", "b", "c"]), {}, kept)
    assert np.array_equal(call.values(kept.arrays)["matrix"], matrix)


def test_later_changes_of_a_tensor_do_not_reach_the_figure() -> None:
    kept, weights = Kept(), torch.ones(2, 2)
    call = call_of("c", confusion_matrix, (weights.numpy(), ["a", "b"]), {}, kept)
    weights.mul_(7)
    assert np.array_equal(call.values(kept.arrays)["matrix"], np.ones((2, 2)))


@pytest.mark.parametrize(
    "reference",
    [
        "os:system", "nnlab.plot.save:render", "nnlab.plot.curves:_panel", "nnlab.plot.curves:Figure",
        "nnlab.plot.curves:as_numbers", "nnlab.record.writing:Record", "nnlab.plot.nothing:f", "", ":",
        "nnlab.plot.curves:", "nnlab.plot.curves.learning_curves", "nnlab.chapters.figures.x:y",
        "nnlab.plot..curves:learning_curves", "builtins:eval", "nnlab.plot.bands:over_seeds",
    ],
)  # fmt: skip
def test_only_our_figure_functions_are_called(reference: str) -> None:
    with pytest.raises(NotRepeatable):
        function_of(reference)


@pytest.mark.parametrize(
    "value",
    [
        {"$array": "missing"}, {"$object": "os:system", "fields": {}},
        {"$object": "nnlab.plot.curves:History"},
        {"$number": "1e5"}, {"$tuple": 3}, {"$items": [[1]]}, {"$eval": "1"},
        {"$object": "nnlab.plot.bands:SeedBand", "fields": {"wrong": 1}},
    ],
)  # fmt: skip
def test_damaged_arguments_are_refused(value: Any) -> None:
    with pytest.raises((ValueError, LookupError, TypeError)):
        _decode(value, {})


def test_arguments_that_are_nested_too_deeply_are_refused() -> None:
    value: Any = 1
    for _ in range(500):
        value = [value]
    with pytest.raises(ValueError, match="deep"):
        _decode(value, {})


# --- the record -----------------------------------------------------------------------------------------


def started(folder: Path) -> Record:
    record = Record(folder, "run", "experiment: classify\n", {"experiment": "x", "name": "run", "seed": 0})
    record.start()
    return record


HISTORY = {"a": {"epoch": [1.0, 2.0], "loss": [1.0, 0.5]}}


def summary(record: Record) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((record.folder / schema.SUMMARY).read_text("utf-8"))
    return content


def test_everything_is_safe_before_the_first_figure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = started(tmp_path)
    seen = []

    def look(self: Record, figure: Figure, name: str) -> None:
        rows = (self.folder / schema.METRICS).read_text("utf-8").splitlines()
        seen.append((name, summary(self)["metrics"], len(rows), (self.folder / "figures.json").exists()))

    monkeypatch.setattr(Record, "save_figure", look)
    record.log({"step": 1, "split": "train", "loss": 1.0})
    record.figure("loss", compare_curves, HISTORY)
    assert seen == []
    record.complete(metrics={"test/loss": 0.25})
    assert seen == []
    record.draw()
    record.finish("finished")
    assert seen == [("loss", {"test/loss": 0.25}, 1, True)]


@pytest.mark.parametrize("error", [ValueError("no"), MemoryError(), RuntimeError("CUDA"), OSError(5, "I/O")])
def test_a_figure_that_fails_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*arguments: object) -> Any:
        raise error

    record = started(tmp_path)
    record.figure("loss", compare_curves, HISTORY)
    record.figure("matrix", confusion_matrix, np.eye(2), ["a", "b"])
    monkeypatch.setattr(confusion, "_title", fail)
    record.complete(metrics={"x": 1.0})
    record.draw()
    record.finish("finished")
    (text,) = summary(record)["warnings"]
    assert summary(record)["status"] == "finished"
    assert "matrix" in text
    assert type(error).__name__ in text
    assert "nnlab plot RUN --figure matrix" in text
    assert (record.folder / "figures/loss.png").exists()
    assert not (record.folder / "figures/matrix.png").exists()


@pytest.mark.parametrize(
    "call",
    [
        lambda record: record.figure("x", lambda: None),
        lambda record: record.figure("x", compare_curves, object()),
        lambda record: record.figure("x", compare_curves, HISTORY, unknown=1),
        lambda record: record.figure("x", compare_curves, {"a": {"epoch": np.array([None])}}),
        lambda record: record.later("x", lambda: 1 / 0),
    ],
)
def test_a_call_that_cannot_be_kept_is_a_warning(tmp_path: Path, call: Callable[[Record], Any]) -> None:
    record = started(tmp_path)
    call(record)
    record.figure("loss", compare_curves, HISTORY)
    record.draw()
    record.finish("finished")
    (text,) = summary(record)["warnings"]
    assert "figure x" in text
    assert (record.folder / "figures/loss.png").exists()


def test_a_full_disk_is_the_error_of_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    record = started(tmp_path)
    record.figure("loss", compare_curves, HISTORY)
    monkeypatch.setattr("nnlab.plot.save.replace_file", full)
    with pytest.raises(ExperimentError, match="disk is full"):
        record.draw()
    record.close()


def test_work_for_figures_is_done_after_the_summary(tmp_path: Path) -> None:
    record = started(tmp_path)
    done = []

    def prepare() -> None:
        done.append(summary(record)["metrics"])
        record.save_arrays(grid=np.arange(3))
        record.figure("loss", compare_curves, HISTORY)

    record.later("loss", prepare)
    record.complete(metrics={"x": 1.0})
    record.draw()
    record.finish("finished")
    assert done == [{"x": 1.0}]
    assert list(open_run(record.folder).arrays()) == ["grid"]
    assert "loss" in calls_of(open_run(record.folder))


def test_warnings_are_told_once(tmp_path: Path) -> None:
    record = started(tmp_path)
    record.warn("a")
    record.warn("a")
    record.finish("finished")
    assert summary(record)["warnings"] == ["a"]


def test_a_run_that_ends_early_keeps_its_calls(tmp_path: Path) -> None:
    record = started(tmp_path)
    record.figure("loss", compare_curves, HISTORY)
    record.finish("interrupted")
    assert list(calls_of(open_run(record.folder))) == ["loss"]


# --- runs -----------------------------------------------------------------------------------------------


def config(name: str, *sets: str) -> Any:
    source = read_source(name)
    apply_sets(source, sets)
    return check(source, EXPERIMENTS)


def run(folder: Path, name: str = "spirals", *sets: str) -> Path:
    runner.run(config(name, "training.epochs=2", *sets), folder, Session(experiments=EXPERIMENTS))
    (summary_file,) = folder.glob("*/*/summary.json")
    return summary_file.parent


def contents(folder: Path) -> dict[str, bytes]:
    names = ("metrics.jsonl", "arrays.npz", "figures.json", "figures/*")
    files = [file for pattern in names for file in folder.glob(pattern)]
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


@pytest.mark.parametrize("kill_at", [pytest.param("curves", marks=pytest.mark.slow), "fit"])
def test_a_run_killed_while_drawing_resumes_to_the_same_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kill_at: str
) -> None:
    whole = run(tmp_path / "whole", "regression_1d")
    save = Record.save_figure

    def killed(self: Record, figure: Figure, name: str) -> None:
        if name == kill_at:
            raise KeyboardInterrupt
        save(self, figure, name)

    with monkeypatch.context() as patch:
        patch.setattr(Record, "save_figure", killed)
        with pytest.raises(Interrupted, match="resume"):
            run(tmp_path / "cut", "regression_1d")
    (cut,) = (tmp_path / "cut").glob("*/*")
    before = json.loads((cut / "summary.json").read_text("utf-8"))
    assert before["status"] == "interrupted"
    assert before["metrics"]["test/loss"] > 0
    runner.resume(cut, Session(experiments=EXPERIMENTS))
    assert contents(cut) == contents(whole)
    assert set(contents(cut)) >= {"figures/curves.png", "figures/fit.png", "figures.json"}


def test_a_training_whose_figures_all_fail_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> Any:
        raise ValueError("no")

    monkeypatch.setattr(curves, "new_figure", fail)
    monkeypatch.setattr(drawing, "plane", fail)
    folder = run(tmp_path)
    summary = open_run(folder).summary
    assert summary["status"] == "finished"
    assert len(summary["warnings"]) == 2
    page = build_page([open_run(folder)], [])
    assert "The figure curves is missing" in page


SMALL = {
    "spirals": (), "softmax_digits": (), "regression_1d": (), "cnn_digits": (), "sgd_vs_gd": (),
    "activations": ("model.hidden=[8]",), "regularization": ("strengths=[0.01,0.1]",),
    "convergence": ("training.epochs=20",), "xor": ("starts=2",), "separable": ("training.epochs=1300",),
    "pixel_shuffle": ("data.name=digits",),
}  # fmt: skip
SLOW = {
    "approx": ("sums.dimensions=[1,2]", "sums.terms=[4,8]", "sums.seeds=2"),
    "ntk": ("widths=[16,32]", "seeds=2", "training.steps=20"),
    "weight_change": ("widths=[16,32,64]", "seeds=2", "training.steps=20"),
    "slides": (),
}


def check_run(folder: Path, name: str, sets: tuple[str, ...]) -> None:
    """Every figure is drawn, none with a warning; every array is described; all can be drawn again."""
    runner.run(config(name, *sets), folder, Session(experiments=EXPERIMENTS))
    (file,) = folder.glob("*/*/figures.json")
    run = open_run(file.parent)
    assert [text for text in run.summary.get("warnings", []) if text.startswith("figure ")] == []
    content = json.loads(file.read_text("utf-8"))
    assert content["axes"].keys() == run.arrays().keys()
    assert [array for array, text in content["axes"].items() if not text] == []
    assert {path.stem for path in (file.parent / "figures").glob("*.png")} == content["figures"].keys()


@pytest.mark.parametrize("name", ["regression_1d", "xor"])
def test_every_array_of_an_experiment_is_described(tmp_path: Path, name: str) -> None:
    check_run(tmp_path, name, ("training.epochs=2", *SMALL[name]))


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in (*SMALL, *SLOW) if name not in ("regression_1d", "xor")])
def test_every_array_of_every_other_experiment_is_described(tmp_path: Path, name: str) -> None:
    epochs = () if name in SLOW else ("training.epochs=2",)
    check_run(tmp_path, name, (*epochs, *SMALL.get(name, ()), *SLOW.get(name, ())))


def test_a_folder_without_calls_says_what_to_do(tmp_path: Path) -> None:
    record = started(tmp_path)
    record.finish("finished")
    with pytest.raises(RunFolderError, match="nnlab train --config"):
        calls_of(open_run(record.folder))


# --- the plane of decision regions ----------------------------------------------------------------------

N = 40
RANDOM = np.random.default_rng(3)
COLUMNS = {
    "year": RANDOM.integers(1950, 2024, N).astype(float),
    "kelvin": RANDOM.normal(288.15, 0.4, N),
    "longitude": 11.5754 + RANDOM.normal(0, 1e-4, N),
    "unix time": 1.7e9 + RANDOM.uniform(0, 3e4, N),
    "nanoseconds": 1.7e18 + RANDOM.integers(0, 3000, N),
    "constant": np.full(N, 273.15),
    "constant zero": np.zeros(N),
    "constant huge": np.full(N, -3e30),
    "tiny": 1e-150 * RANDOM.normal(size=N),
    "huge": 1e30 * RANDOM.normal(size=N),
    "usual": RANDOM.normal(size=N),
    "two values": RANDOM.integers(0, 2, N).astype(float),
}
ORDER = [*COLUMNS, "usual"]
PAIRS = [*itertools.pairwise(ORDER), ("unix time", "constant"), ("tiny", "huge")]
CASES = [*((pair, True) for pair in PAIRS), *((pair, False) for pair in PAIRS[:8:2])]


@pytest.mark.parametrize(("pair", "standardize"), CASES)
def test_decision_regions_are_right_for_any_features(pair: tuple[str, str], standardize: bool) -> None:
    inputs = torch.from_numpy(np.stack([COLUMNS[name] for name in pair], 1))
    labels = torch.from_numpy(np.arange(N) % 2)
    split = Split(inputs, labels)
    raw = RawData("classification", split, split, 2, ["cold", "warm"])
    data = prepare(
        raw, name="own", validation=0.0, split_seed=0, standardize=standardize, device=torch.device("cpu"),
        dtype=torch.float32,
    )  # fmt: skip
    plane = drawing.plane(data)
    for x in (plane.x1, plane.x2):
        assert np.isfinite(x).all()
        assert (np.diff(x) > 0).all()
    points = inputs.numpy()
    for x, column in zip((plane.x1, plane.x2), points.T, strict=True):
        known = column if standardize else column.astype(np.float32).astype(float)  # what the model got
        assert x[0] <= known.min()
        assert known.max() <= x[-1]
    if standardize:  # float32 holds standardized inputs, but not all digits of raw ones
        spans, sizes = np.ptp(points, 0), np.abs(points).max(0)
        assert (np.abs(plane.points - points) <= 1e-6 * spans + 1e-15 * sizes).all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sides = plane.inputs.reshape(drawing.GRID, drawing.GRID, 2)[..., 0] > 0
        probabilities = np.stack([sides, ~sides], -1).astype(float)
        figure = decision_regions(
            plane.x1, plane.x2, {"": probabilities}, plane.points, labels.numpy(), ["cold", "warm"]
        )
        figure.canvas.draw()
    (axes,) = figure.axes
    for axis in (axes.xaxis, axes.yaxis):
        written = [label.get_text() for label in axis.get_ticklabels()]
        low, high = sorted(axis.get_view_interval())
        seen = [text for text, at in zip(written, axis.get_ticklocs(), strict=True) if low <= at <= high]
        assert len(set(seen)) == len(seen) >= 2
        assert max(map(len, seen)) <= 9
        assert axis.get_offset_text().get_text() == ""


@given(
    st.floats(-1e100, 1e100, allow_nan=False),
    st.floats(1e-100, 1e100, allow_nan=False),
    st.integers(0, 2**32 - 1),
)
def test_units_keep_order_and_say_the_value(offset: float, span: float, seed: int) -> None:
    values = offset + span * np.random.default_rng(seed).uniform(size=20)
    units = Units.of(values)
    along = units.apply(values)
    assert np.isfinite(along).all()
    assert (np.abs(along) < 1e5).all()
    back = (along * 10.0**units.exponent + units.offset) * 10.0**units.size
    np.testing.assert_allclose(back, values, rtol=1e-9, atol=1e-300)


def test_learning_curves_are_repeated_to_the_last_byte(tmp_path: Path) -> None:
    record = started(tmp_path)
    history = {"train": {"epoch": [*range(1, 31)], "loss": [*np.linspace(2, 0.1, 30)]}}
    record.figure("curves", learning_curves, history, loss_label="cross entropy")
    record.draw()
    record.finish("finished")
    call = calls_of(open_run(record.folder))["curves"]
    assert isinstance(call, Call)
    again = Record(tmp_path, "again", "experiment: classify\n", {"experiment": "x", "name": "a", "seed": 0})
    again.start()
    again.save_figure(call.draw(open_run(record.folder).arrays()), "curves")
    again.close()
    for suffix in ("png", "svg"):
        assert (again.folder / f"figures/curves.{suffix}").read_bytes() == (
            record.folder / f"figures/curves.{suffix}"
        ).read_bytes()
