"""The run folder: written whole, locked while it is written, and readable whatever happened to it."""

import hashlib
import json
import math
import os
import re
import subprocess
import sys
import threading
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nnlab.errors import RunFolderError
from nnlab.record import (
    Group,
    MetricsLog,
    Record,
    check_writable,
    find_runs,
    new_folder,
    open_run,
    plain,
    replace_file,
    slug,
)
from tests.command_line import files_no_longer_than

FACTS = {"experiment": "classify", "name": "a run", "seed": 0}


def started(folder: Path, **facts: Any) -> Record:
    record = Record(folder, "stem", "experiment: classify\n", FACTS | facts)
    record.start()
    return record


# --- folders ----------------------------------------------------------------------------------------

MAKE_FOLDER = """
import sys
from pathlib import Path
from nnlab.record import new_folder
print("ready", flush=True)
sys.stdin.readline()
print(new_folder(Path(sys.argv[1]), "20260101-120000-a-s0").name)
"""


def test_eight_processes_get_eight_folders(tmp_path: Path) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", MAKE_FOLDER, str(tmp_path / "runs")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for _ in range(8)
    ]  # fmt: skip
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    names = [process.communicate(timeout=30)[0].strip() for process in processes]
    stem = "20260101-120000-a-s0"
    assert sorted(names) == sorted([stem, *(f"{stem}-{i}" for i in range(2, 9))])
    assert sorted(p.name for p in (tmp_path / "runs").iterdir()) == sorted(names)


def test_a_new_folder_leaves_files_and_folders_alone(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("mine")
    (tmp_path / "a-2").mkdir()
    assert new_folder(tmp_path, "a") == tmp_path / "a-3"
    assert (tmp_path / "a").read_text() == "mine"


def test_nothing_is_made_before_start(tmp_path: Path) -> None:
    record = Record(tmp_path / "runs", "stem", "", FACTS)
    assert not record.started
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(RuntimeError, match="has not started"):
        record.log({"loss": 1.0})


def test_a_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    with pytest.raises(RunFolderError, match="is a file, not a folder; choose another with --runs DIR"):
        check_writable(tmp_path / "runs" / "below")
    with pytest.raises(RunFolderError, match="cannot make a run folder there"):
        new_folder(tmp_path / "runs", "a")


def test_a_folder_that_denies_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked of the nearest folder that exists; nothing is made for the question."""
    asked = []

    def deny(path: Path, mode: int) -> bool:
        asked.append(path)
        return False

    monkeypatch.setattr(os, "access", deny)
    with pytest.raises(RunFolderError, match=f"not writable \\({tmp_path} denies it\\)"):
        check_writable(tmp_path / "a" / "b")
    assert asked == [tmp_path]
    assert list(tmp_path.iterdir()) == []


@settings(max_examples=200)
@given(
    st.text(max_size=80)
    | st.sampled_from(["<script>$x$[bold]/../..", "..", ".", "", "/", "-rf", "a" * 300, "é"])
)
def test_a_slug_is_one_harmless_part_of_a_path(name: str) -> None:
    found = slug(name)
    assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,59}", found)
    assert (Path("/runs") / found).resolve().parent == Path("/runs")


def test_a_slug_keeps_what_is_good() -> None:
    assert slug("mlp2_digits-b.64") == "mlp2_digits-b.64"
    assert slug("<script>$x$[bold]/../..") == "script-x-bold"


# --- files ------------------------------------------------------------------------------------------


def test_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    file, contents = tmp_path / "f", [b"a" * 1_000_000, b"b" * 10]
    replace_file(file, contents[0])

    def write() -> None:
        for i in range(1, 200):
            replace_file(file, contents[i % 2])

    writer = threading.Thread(target=write)
    writer.start()
    seen = set()
    while writer.is_alive():
        seen.add(file.read_bytes())
    writer.join()
    assert seen <= set(contents)
    assert [p.name for p in tmp_path.iterdir()] == ["f"]


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "f"
    replace_file(file, b"old")

    def full(self: Path, content: bytes) -> int:
        with open(self, "wb") as half:
            half.write(content[:2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        replace_file(file, b"new and longer")
    assert file.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["f"]


def test_json_holds_no_numpy_and_nothing_infinite() -> None:
    values = {
        "a": np.float32(0.5), "b": np.int64(3), "c": np.array([[1.0, math.nan]]), "d": math.inf, "e": (1, 2),
        "f": Path("x"), "g": np.bool_(True), 3: None, "h": np.float64("nan"), "i": {2},
    }  # fmt: skip
    assert json.loads(json.dumps(plain(values), allow_nan=False)) == {
        "a": 0.5, "b": 3, "c": [[1.0, None]], "d": None, "e": [1, 2], "f": "x", "g": True, "3": None,
        "h": None, "i": [2],
    }  # fmt: skip


def test_every_json_file_says_its_schema_version(tmp_path: Path) -> None:
    record = started(tmp_path)
    record.predict({"rate": 0.5})
    record.finish("finished")
    files = sorted(record.folder.glob("*.json"))
    assert [file.name for file in files] == ["environment.json", "predictions.json", "summary.json"]
    for file in files:
        assert json.loads(file.read_text())["schema_version"] == 1


def test_the_summary_is_there_from_the_start(tmp_path: Path) -> None:
    record = started(tmp_path)
    summary = open_run(record.folder).summary
    assert {k: summary[k] for k in FACTS} == FACTS
    assert summary["status"] == "running"
    assert summary["run_dir"] == str(record.folder)
    assert (summary["metrics"], summary["results"], summary["claims"]) == ({}, [], [])
    record.finish("finished", metrics={"test/loss": 0.25})
    summary = open_run(record.folder).summary
    assert summary["status"] == "finished"
    assert summary["metrics"] == {"test/loss": 0.25}
    assert summary["wall_seconds"] >= 0


def test_predictions_are_proved_by_their_hash(tmp_path: Path) -> None:
    record = started(tmp_path)
    record.predict({"rate": 0.5})
    record.finish("finished")
    content = (record.folder / "predictions.json").read_bytes()
    assert json.loads(content)["rate"] == 0.5
    assert open_run(record.folder).summary["predictions_sha256"] == hashlib.sha256(content).hexdigest()


def test_arrays_come_back(tmp_path: Path) -> None:
    record = started(tmp_path)
    assert open_run(record.folder).arrays() == {}
    record.save_arrays(**{"a/b": [1.0, 2.0]})
    record.save_arrays(c=np.arange(6).reshape(2, 3))
    record.finish("finished")
    arrays = open_run(record.folder).arrays()
    assert arrays["a/b"].tolist() == [1.0, 2.0]
    assert arrays["c"].tolist() == [[0, 1, 2], [3, 4, 5]]


def test_the_environment_tells_what_numbers_depend_on(tmp_path: Path) -> None:
    record = started(tmp_path)
    record.finish("finished")
    found = json.loads((record.folder / "environment.json").read_text())
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert found["versions"]["numpy"] == np.__version__
    assert {"platform", "device", "threads", "git"} <= set(found)


# --- metrics ----------------------------------------------------------------------------------------

ROWS = [
    {"step": i, "split": ("train", "val")[i % 2], "loss": 1.5**-i if i != 3 else math.nan} for i in range(6)
]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(0, 400))
def test_rows_up_to_a_torn_line(cut: int, tmp_path: Path) -> None:
    """However short the file was cut: the rows that are whole, and no other."""
    folder = new_folder(tmp_path, "r")
    record = started(folder)
    for row in ROWS:
        record.log(row)
    record.finish("finished")
    file = record.folder / "metrics.jsonl"
    whole = file.read_bytes()
    file.write_bytes(whole[:cut])
    complete = whole[:cut].count(b"}")
    expected = [plain(row) for row in ROWS[:complete]]
    run = open_run(record.folder)
    assert run.metrics() == expected
    assert run.metrics("val") == [row for row in expected if row["split"] == "val"]


def test_a_line_is_in_the_file_as_soon_as_it_is_logged(tmp_path: Path) -> None:
    record = started(tmp_path)
    for i, row in enumerate(ROWS):
        record.log(row)
        assert len(open_run(record.folder).metrics()) == i + 1
    assert record.history() == [plain(row) for row in ROWS]
    record.close()


def test_a_resume_cuts_off_what_no_checkpoint_accepted(tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    log = MetricsLog(file)
    log.write({"step": 1})
    offset = log.tell()
    log.write({"step": 2})
    log.close()
    with open(file, "ab") as torn:
        torn.write(b'{"step": 3, "lo')
    log = MetricsLog(file)
    log.accept(offset)
    assert file.read_bytes().count(b"\n") == 2  # nothing is lost until the run writes anew
    log.write({"step": 20})
    log.close()
    assert [json.loads(line) for line in file.read_text().splitlines()] == [{"step": 1}, {"step": 20}]


def test_a_log_that_is_shorter_than_its_checkpoint(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path / "metrics.jsonl")
    with pytest.raises(RunFolderError, match="is shorter than its checkpoint remembers"):
        log.accept(10)
    log.close()


def test_two_writers_of_one_run(tmp_path: Path) -> None:
    record = started(tmp_path)
    with pytest.raises(RunFolderError, match="another process is running this run right now"):
        Record.reopen(record.folder)
    assert open_run(record.folder).status == "running"
    record.close()
    assert open_run(record.folder).status == "killed"
    again = Record.reopen(record.folder)
    assert open_run(record.folder).status == "running"
    again.finish("finished")
    assert open_run(record.folder).status == "finished"


# --- going on ---------------------------------------------------------------------------------------


def test_reopening_keeps_what_is_known(tmp_path: Path) -> None:
    record = started(tmp_path)
    record.predict({"rate": 0.5})
    record.finish("interrupted", message="stopped")
    before = open_run(record.folder).summary
    again = Record.reopen(record.folder)
    again.finish("finished")
    after = open_run(record.folder).summary
    for key in ("experiment", "name", "seed", "started", "predictions_sha256", "config_sha256"):
        assert after[key] == before[key]
    assert "message" not in after
    assert after["wall_seconds"] >= before["wall_seconds"]


def test_a_config_that_was_changed(tmp_path: Path) -> None:
    record = started(tmp_path)
    record.finish("interrupted")
    files = {file: file.read_bytes() for file in record.folder.iterdir() if file.is_file()}
    (record.folder / "config.yaml").write_text("experiment: classify\nseed: 1\n")
    with pytest.raises(RunFolderError, match="was changed since the run began"):
        Record.reopen(record.folder)
    del files[record.folder / "config.yaml"]
    for file, content in files.items():
        assert file.read_bytes() == content


def test_backing_out_of_a_resume(tmp_path: Path) -> None:
    record = started(tmp_path)
    record.log(ROWS[0])
    record.finish("interrupted", message="stopped")
    before = {file: file.read_bytes() for file in record.folder.iterdir() if file.is_file()}
    again = Record.reopen(record.folder)
    assert open_run(record.folder).status == "running"
    again.back_out()
    assert {file: file.read_bytes() for file in record.folder.iterdir() if file.is_file()} == before


# --- TensorBoard ------------------------------------------------------------------------------------


def _events(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Tag -> (step, value), by TensorBoard's own reader."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    reader = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    reader.Reload()
    return {tag: [(e.step, e.value) for e in reader.Scalars(tag)] for tag in reader.Tags()["scalars"]}


def test_tensorboard_reads_what_was_logged(tmp_path: Path) -> None:
    record = started(tmp_path)
    for step in range(1, 1001):
        record.log({"step": step, "epoch": step, "split": "train", "loss": 1 / step, "note": "text"})
    record.log({"step": 1000, "epoch": 5, "split": "val", "part": "tanh", "accuracy": 0.75})
    record.finish("finished")
    events = _events(record.folder / "tensorboard")
    assert set(events) == {"train/loss", "tanh/val/accuracy"}
    assert events["tanh/val/accuracy"] == [(1000, 0.75)]
    steps = [step for step, _ in events["train/loss"]]
    assert steps[:199] == list(range(1, 200))
    assert max(b / a for a, b in pairwise(steps[199:])) < 1.005 + 1 / 200  # thinned to 0.5%, whole steps
    assert len(steps) < 199 + math.log(1000 / 200, 1.005)
    for step, value in events["train/loss"]:
        assert value == pytest.approx(1 / step, rel=1e-6)


def test_a_disk_that_fills_at_the_last_event(tmp_path: Path) -> None:
    """Events wait in memory: the run must not say that it is finished where they cannot be written."""
    record = started(tmp_path)
    for step in range(1, 40):
        record.log({"step": step, "split": "train", "loss": 0.5})
    with files_no_longer_than(record.metrics.tell()), pytest.raises(OSError, match="File too large"):
        record.finish("finished")
    assert open_run(record.folder).status == "killed"
    assert len(open_run(record.folder).metrics()) == 39


@pytest.mark.parametrize("killed", [False, True])
def test_tensorboard_has_what_the_metrics_have_after_a_resume(killed: bool, tmp_path: Path) -> None:
    """One file, with what the checkpoint accepted and what the resume logged, also of another part."""
    record = started(tmp_path)
    for step in range(1, 6):
        record.log({"part": "a", "step": step, "split": "train", "loss": float(step)})
    record.log({"part": "b", "step": 1, "split": "train", "loss": 1.0})
    accepted = record.metrics.tell()
    for step in (2, 3):
        record.log({"part": "b", "step": step, "split": "train", "loss": float(step)})
    if killed:
        record.metrics.close()  # the events are still in the process
    else:
        record.finish("interrupted")
    again = Record.reopen(record.folder)
    again.metrics.accept(accepted)
    for step in (2, 3, 4):
        again.log({"part": "b", "step": step, "split": "train", "loss": 10.0 * step})
    again.finish("finished")
    events = _events(again.folder / "tensorboard")
    assert events["a/train/loss"] == [(step, float(step)) for step in range(1, 6)]
    assert events["b/train/loss"] == [(1, 1.0), (2, 20.0), (3, 30.0), (4, 40.0)]
    assert len(list((again.folder / "tensorboard").iterdir())) == 1
    record.close()


def test_tensorboard_has_every_row_of_a_run_that_was_killed_after_its_training(tmp_path: Path) -> None:
    record = started(tmp_path)
    record.log({"step": 1, "split": "train", "loss": 1.0})
    accepted = record.metrics.tell()
    record.metrics.close()
    again = Record.reopen(record.folder)
    again.metrics.accept(accepted)
    again.finish("finished")
    assert _events(again.folder / "tensorboard")["train/loss"] == [(1, 1.0)]
    record.close()


# --- reading ----------------------------------------------------------------------------------------

GOOD = {"status": "finished", "name": "a", "seed": 0, "metrics": {}}
WRONG: list[dict[str, Any]] = [
    {"status": "odd"}, {"status": 3}, {"status": ["running"]}, {"name": None}, {"seed": "x"},
    {"metrics": []}, {"wall_seconds": "x"}, {"members": 3}, {"members": ["s0"]},
    {"members": [1], "seeds": [0]}, {"members": ["s0"], "seeds": ["a"]}, {"claims": 1},
]  # fmt: skip


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"[1]", b"3", b"{}", b"\xff\xfe", b"[" * 100_000,
        *(json.dumps(GOOD | change).encode() for change in WRONG),
    ],
    ids=lambda content: repr(content[:90]),
)  # fmt: skip
def test_a_folder_that_is_no_run(content: bytes, tmp_path: Path) -> None:
    folder = tmp_path / "classify" / "x"
    folder.mkdir(parents=True)
    (folder / "summary.json").write_bytes(content)
    with pytest.raises(RunFolderError, match=f"^{re.escape(str(folder / 'summary.json'))}: "):
        open_run(folder)
    assert list(find_runs(tmp_path)) == []


def test_a_run_in_a_notebook_is_short_and_escaped(tmp_path: Path) -> None:
    record = started(tmp_path, name="<script>")
    claim = {
        "name": "c",
        "sentence": "a < b",
        "predicted": [None, 1.0],
        "measured": 0.123456789,
        "interval": [0.1, 0.2],
    }
    record.finish(
        "finished",
        metrics={"test/<loss>": 1 / 3},
        claims=[claim | {"verdict": "PASS"}] * 100,
        results=[{"x": i} for i in range(1000)],
    )
    run = open_run(record.folder)
    assert repr(run) == f"<run '<script>' (classify, finished) in {str(record.folder)!r}>"
    assert repr(record) == f"<Record '<script>' (finished) in {record.folder}>"
    page = run._repr_html_()
    assert "<script>" not in page
    assert "<td>test/&lt;loss&gt;</td><td>0.333333</td>" in page
    row = "<td>a &lt; b</td><td>≤ 1</td><td>0.123457</td><td>0.1 to 0.2</td><td>PASS</td>"
    assert page.count(row) == 100


def test_a_group_in_a_notebook(tmp_path: Path) -> None:
    group = Group(tmp_path, "g", "experiment: classify\n", FACTS, range(2))
    assert repr(group) == "<Group 'a run' (running) in g, not started>"
    group.start()
    spread = {"test/loss": {"mean": 0.25, "interval": [0.125, 0.375], "values": [0.2, 0.3]}}
    group.finish("finished", metrics=spread, verdicts={"<b>": {"PASS": 1, "FAIL": 1}})
    run = open_run(group.folder)
    assert repr(run) == f"<group of 2 seeds 'a run' (classify, finished) in {str(group.folder)!r}>"
    page = run._repr_html_()
    assert "<td>test/loss</td><td>0.25 (0.125 to 0.375)</td>" in page
    assert "<td>&lt;b&gt;</td><td>1 PASS, 1 FAIL</td>" in page


def test_places_that_are_no_run(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="no such folder; `nnlab runs list` shows the runs"):
        open_run(tmp_path / "nothing")
    with pytest.raises(RunFolderError, match=r"is not a run folder: it has no summary\.json"):
        open_run(tmp_path)
    (tmp_path / "summary.json").mkdir()
    with pytest.raises(RunFolderError, match=r"it has no summary\.json"):
        open_run(tmp_path)


def test_runs_are_found_oldest_first_and_junk_passed_over(tmp_path: Path) -> None:
    for place in ("xor/20260102-a", "classify/20260103-b", "classify/20260101-c", "classify/20260104-d/s0"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "summary.json").write_text(json.dumps(GOOD | {"name": place[-1]}))
    (tmp_path / "classify" / "junk").mkdir()
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "classify" / "20260104-d" / "summary.json").write_text("{")
    assert [run.summary["name"] for run in find_runs(tmp_path)] == ["c", "a", "b"]
    assert list(find_runs(tmp_path / "nothing")) == []


def test_a_run_is_opened_by_its_summary_too(tmp_path: Path) -> None:
    record = started(tmp_path)
    record.finish("finished")
    assert open_run(record.folder / "summary.json") == open_run(str(record.folder))


# --- groups -----------------------------------------------------------------------------------------


def test_a_group_makes_nothing_before_its_first_member(tmp_path: Path) -> None:
    group = Group(tmp_path / "runs", "g", "experiment: classify\n", FACTS, range(3))
    group.write_summary(status="failed")
    assert group.member(0) is None
    assert list(tmp_path.iterdir()) == []
    record = Record(group.start, "s0", "experiment: classify\n", FACTS)
    record.start()
    assert record.folder == tmp_path / "runs" / "g" / "s0"
    assert group.member(0) == record.folder
    assert group.member(1) is None
    assert open_run(group.start()).status == "running"
    record.finish("finished")
    group.add(record.folder)
    with pytest.raises(RunFolderError, match="another process is running this run right now"):
        Group.reopen(group.folder)
    group.close()
    assert open_run(group.start()).status == "killed"
    again = Group.reopen(group.folder)
    assert open_run(group.start()).status == "running"
    assert again.summary["members"] == ["s0"]
    assert again.seeds == [0, 1, 2]
    again.finish("finished", metrics={})
    assert open_run(group.start()).status == "finished"


def test_backing_out_of_the_resume_of_a_group(tmp_path: Path) -> None:
    group = Group(tmp_path, "g", "experiment: classify\n", FACTS, range(2))
    group.start()
    group.finish("interrupted", message="stopped")
    before = (group.start() / "summary.json").read_bytes()
    again = Group.reopen(group.folder)
    assert open_run(group.start()).status == "running"
    again.back_out()
    assert (group.start() / "summary.json").read_bytes() == before


def test_a_group_whose_config_was_changed(tmp_path: Path) -> None:
    group = Group(tmp_path, "g", "experiment: classify\n", FACTS, range(2))
    (group.start() / "config.yaml").write_text("experiment: xor\n")
    group.close()
    with pytest.raises(RunFolderError, match="was changed since the run began"):
        Group.reopen(group.folder)
