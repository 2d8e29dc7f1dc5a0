"""Run folders that are moved, renamed, copied, reached by links, half made, or lead elsewhere."""

import errno
import json
import os
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from nnlab.chapters.lecture import experiment as lecture
from nnlab.chapters.lecture.plan import LESSONS, Lesson
from nnlab.errors import Interrupted
from nnlab.files import is_temporary, remove_temporaries, replacing, temporary_beside
from nnlab.lab.session import Session
from nnlab.record import Record, folders, open_run
from tests.command_line import Result, nnlab

CONFIG = """\
experiment: classify
data: {name: blobs, examples: 30, batch_size: 8}
model: {name: mlp, hidden: [3]}
training: {epochs: 2, checkpoint_seconds: 0}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "small.yaml"
    file.write_text(CONFIG)
    return file


def summary(run: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((run / "summary.json").read_text())
    return content


def write_summary(run: Path, **fields: Any) -> None:
    (run / "summary.json").write_text(json.dumps(summary(run) | fields))


def cut_off(config: Path, monkeypatch: pytest.MonkeyPatch, *more: str | Path) -> Path:
    """A run that was interrupted after its first steps."""
    asked = iter([False, False, True])
    with monkeypatch.context() as patch:
        patch.setattr(Session, "stop", lambda self: next(asked, True))
        result = nnlab("train", "--config", config, *more)
    assert result.code == 130, result
    (run,) = config.parent.glob("runs/classify/*")
    return run


def unbroken(config: Path) -> bytes:
    result = nnlab("train", "--config", config, "--runs", config.parent / "whole", "--quiet")
    return (Path(result.last_line) / "metrics.jsonl").read_bytes()


# --- places ---------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_nothing_in_a_folder_says_where_it_is(config: Path, tmp_path: Path) -> None:
    run = Path(
        nnlab("train", "--config", config, "--runs", tmp_path / "runs", "--quiet", draw=True).last_line
    )
    for file in run.rglob("*"):
        if file.is_file():
            assert str(tmp_path).encode() not in file.read_bytes(), file
    assert open_run(run).summary["run_dir"] == str(run)


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    "name", ["überführt to a'b", *(pytest.param(name, marks=SLOW) for name in ("moved", "-dash"))]
)
def test_a_folder_that_was_moved_goes_on(
    name: str, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = cut_off(config, monkeypatch, "--runs", tmp_path / "runs")
    new = tmp_path / "elsewhere" / name
    new.parent.mkdir()
    run.rename(new)
    monkeypatch.chdir(new.parent)
    result = nnlab("train", "--quiet", f"--resume=./{name}")
    assert result == Result(0, f"{name}\n", "")
    assert (new / "metrics.jsonl").read_bytes() == unbroken(config)
    assert not run.exists()


def test_a_folder_that_is_reached_by_a_link(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = cut_off(config, monkeypatch, "--runs", tmp_path / "runs")
    (tmp_path / "link").symlink_to(run)
    result = nnlab("train", "--quiet", "--resume", tmp_path / "link")
    assert result == Result(0, f"{tmp_path / 'link'}\n", "")
    assert (run / "metrics.jsonl").read_bytes() == unbroken(config)


def test_a_copy_of_a_run_that_is_written_is_killed_and_goes_on(config: Path, tmp_path: Path) -> None:
    running = Record(
        tmp_path / "runs" / "classify", "r", CONFIG, {"experiment": "classify", "name": "r", "seed": 0}
    )
    running.start()
    running.log({"step": 1, "epoch": 1, "split": "train", "loss": 1.0})
    copy = Path(shutil.copytree(running.folder, tmp_path / "copy"))
    assert open_run(running.folder).status == "running"
    assert open_run(copy).status == "killed"
    assert nnlab("train", "--quiet", "--resume", copy).code == 0
    assert (copy / "metrics.jsonl").read_bytes() == unbroken(config)
    assert open_run(running.folder).status == "running"
    running.close()


@pytest.mark.slow
def test_an_older_folder_that_says_where_it_was(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own place is where it is found; every command that prints it says so."""
    run = cut_off(config, monkeypatch, "--runs", tmp_path / "runs")
    write_summary(run, run_dir="/gone/for/good")
    assert open_run(run).summary["run_dir"] == str(run)
    assert nnlab("runs", "show", run).last_line == str(run)
    (listed,) = json.loads(nnlab("runs", "list", "--runs", tmp_path / "runs", "--json").out)
    assert listed["run_dir"] == str(run)
    assert nnlab("train", "--quiet", "--resume", run) == Result(0, f"{run}\n", "")
    assert json.loads(nnlab("train", "--resume", run, "--json").out)["run_dir"] == str(run)
    assert "run_dir" not in summary(run)


@pytest.mark.slow
def test_a_group_that_was_moved_goes_on(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = nnlab("train", "--config", config, "--seeds", "2", "--runs", tmp_path / "whole", "--quiet")
    group = cut_off(config, monkeypatch, "--seeds", "2", "--runs", tmp_path / "runs")
    write_summary(group, run_dir="/gone")
    write_summary(group / "s0", run_dir="/gone/s0")
    group.rename(tmp_path / "moved")
    monkeypatch.chdir(tmp_path)
    assert nnlab("train", "--quiet", "--resume", "moved").code == 0
    ours, theirs = summary(tmp_path / "moved"), summary(Path(whole.last_line))
    assert (ours["members"], ours["metrics"]) == (["s0", "s1"], theirs["metrics"])


# --- the lecture ----------------------------------------------------------------------------------------


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lesson that trains takes two steps."""
    lesson = Lesson("softmax", "softmax_digits", {"training.epochs": 2})
    monkeypatch.setattr(lecture, "LESSONS", {**LESSONS, "softmax": lesson})


def cut_lecture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A lecture that was interrupted after its first lesson, started with an absolute path."""
    real, lessons = lecture._lesson, iter(["slides", "softmax"])

    def stopping(*arguments: Any) -> Any:
        if next(lessons) == "softmax":
            raise Interrupted("interrupted")
        return real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(lecture, "_lesson", stopping)
        points = ("--only", "entropy", "--only", "descent")
        assert nnlab("lecture", *points, "--runs", tmp_path / "runs", "--quiet").code == 130
    (run,) = tmp_path.glob("runs/lecture/*")
    return run


@pytest.mark.parametrize("moved", [False, pytest.param(True, marks=SLOW)])
def test_a_lecture_that_began_by_an_absolute_path_goes_on_by_a_relative_one(
    moved: bool, small: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = cut_lecture(tmp_path, monkeypatch)
    (slides,) = run.glob("runs/slides/*")
    write_summary(slides, run_dir=str(slides))  # as older versions did
    monkeypatch.chdir(tmp_path)
    path = run.relative_to(tmp_path)
    if moved:
        path = path.rename("the lecture")
    result = nnlab("train", "--resume", path)
    assert result.code == 0, result.err
    rows = summary(tmp_path / path)["results"]
    assert list(dict.fromkeys(row["point"] for row in rows)) == ["entropy", "descent"]
    for row in rows:
        assert not Path(row["run"]).is_absolute()
        assert open_run(tmp_path / path / row["run"]).status == "finished"
    page = (tmp_path / path / "report.html").read_text()
    assert str(tmp_path) not in page


@pytest.mark.slow
def test_a_lecture_that_ended_in_an_error_at_its_end_goes_on(
    small: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an older version left it: every lesson finished, the lecture failed."""
    run = cut_lecture(tmp_path, monkeypatch)
    assert nnlab("train", "--resume", run, "--quiet").code == 0
    rows = summary(run)["results"]
    for folder in run.glob("runs/*/*"):
        write_summary(folder, run_dir=f"/gone/{folder.name}")
    write_summary(run, run_dir="/gone", status="failed", results=[], claims=[], message="'a' is not in 'b'")
    assert nnlab("train", "--resume", run, "--quiet").code == 0
    assert summary(run)["results"] == rows
    assert open_run(run).status == "finished"


# --- half made ------------------------------------------------------------------------------------------


def half_made(folder: Path, *files: str) -> None:
    folder.mkdir()
    for file in files:
        (folder / file).write_text("" if file == "metrics.jsonl" else "x")


@pytest.mark.parametrize(
    "files",
    [
        ("config.yaml", "metrics.jsonl"),
        *(pytest.param(files, marks=SLOW) for files in ((), ("config.yaml", "environment.json"))),
    ],
)
def test_a_member_without_a_summary_runs_once(
    files: tuple[str, ...], config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between its folder and its summary, as an older version could be."""
    group = cut_off(config, monkeypatch, "--seeds", "3", "--runs", tmp_path / "runs")
    half_made(group / "s1", *files)
    half_made(group / "s2", *files)
    assert nnlab("train", "--quiet", "--resume", group).code == 0
    assert summary(group)["members"] == ["s0", "s1", "s2"]
    assert sorted(path.name for path in group.iterdir() if path.is_dir()) == ["s0", "s1", "s2"]


def test_a_member_that_ran_twice_is_listed_once(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An older version listed a seed once for each time that it was killed. Nothing that ran is lost."""
    group = Path(nnlab("train", "--config", config, "--seeds", "2", "--runs", tmp_path, "--quiet").last_line)
    shutil.copytree(group / "s1", group / "s1-2")
    (group / "s1" / "summary.json").unlink()
    write_summary(group, status="running", members=["s0", "s1-2", "s1-3"])
    assert nnlab("train", "--quiet", "--resume", group).code == 0
    assert summary(group)["members"] == ["s0", "s1-2"]
    assert (group / "s1" / "checkpoints" / "last.pt").exists()


def test_what_is_half_written_goes_unless_somebody_writes_it(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = cut_off(config, monkeypatch, "--runs", tmp_path / "runs")
    left = [run / ".summary.json.123-456.tmp", run / "checkpoints" / ".last.pt.123-456.tmp"]
    (run / "figures").mkdir()
    left += [run / "figures" / ".loss.png.123-456.tmp", run / "arrays.npz.tmp", run / ".mine.tmp"]
    for file in left:
        file.write_bytes(b"half")
    ready, go = threading.Event(), threading.Event()

    def write_a_page() -> None:
        with replacing(run / "report.html") as temporary:
            temporary.write_text("a page")
            ready.set()
            go.wait(60)

    writer = threading.Thread(target=write_a_page)
    writer.start()
    ready.wait(60)
    assert nnlab("train", "--quiet", "--resume", run).code == 0
    assert [file.name for file in left if file.exists()] == [
        "arrays.npz.tmp",
        ".mine.tmp",
    ]  # of somebody else
    go.set()
    writer.join()
    assert (run / "report.html").read_text() == "a page"
    assert [path.name for path in run.iterdir() if is_temporary(path.name)] == []


def test_what_a_killed_page_left_goes_from_a_finished_run(config: Path, tmp_path: Path) -> None:
    run = Path(nnlab("train", "--config", config, "--runs", tmp_path / "runs", "--quiet").last_line)
    left = run / ".report.html.123-456.tmp"
    left.write_bytes(b"half")
    assert nnlab("train", "--resume", run, "--quiet").code == 0
    assert not left.exists()


def test_a_temporary_name_fits_beside_the_longest_name(tmp_path: Path) -> None:
    for name in ("a" * 255, "ü" * 127, "\U0001f600" * 63):
        with replacing(tmp_path / name) as temporary:
            temporary.write_text("whole")
        assert (tmp_path / name).read_text() == "whole"
        assert is_temporary(temporary_beside(tmp_path / name).name)
    assert not is_temporary("summary.json")
    remove_temporaries(tmp_path)
    assert len(list(tmp_path.iterdir())) == 3


# --- what leads elsewhere -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["figures", "metrics.jsonl", *(pytest.param(n, marks=SLOW) for n in ("checkpoints", "tensorboard"))],
)
def test_a_link_out_of_the_folder_is_not_followed(
    name: str, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = cut_off(config, monkeypatch, "--runs", tmp_path / "runs")
    outside = tmp_path / "outside"
    if (run / name).is_dir() or name == "metrics.jsonl":
        (run / name).rename(outside)
    else:
        outside.mkdir()
    (run / name).symlink_to(outside)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    result = nnlab("train", "--resume", run, draw=True)
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith(f"nnlab: {run / name}: is a link")
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.slow
def test_a_member_that_is_a_link_is_not_followed(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = cut_off(config, monkeypatch, "--seeds", "2", "--runs", tmp_path / "runs")
    (group / "s0").rename(tmp_path / "outside")
    (group / "s0").symlink_to(tmp_path / "outside")
    result = nnlab("train", "--resume", group)
    assert result.code == 2
    assert result.err == (
        f"nnlab: {group / 's0'}: is a link that leads out of the run folder, which is all that a run writes "
        "to; put a folder in its place, or remove it\n"
    )


def test_a_figure_of_a_folder_that_was_moved_does_not_bring_it_back(tmp_path: Path) -> None:
    record = Record(tmp_path, "r", CONFIG, {"experiment": "classify", "name": "r", "seed": 0})
    record.start()
    record.folder.rename(tmp_path / "renamed")
    with pytest.raises(FileNotFoundError):
        record.save_figure(Figure(), "loss")
    with pytest.raises(FileNotFoundError):
        record.metrics.sync()
    with pytest.raises(FileNotFoundError):
        record.finish("finished")
    assert [path.name for path in tmp_path.iterdir()] == ["renamed"]
    assert open_run(tmp_path / "renamed").status == "killed"


@pytest.fixture
def mover(config: Path, tmp_path: Path) -> Iterator[threading.Thread]:
    """Renames the folder of runs as soon as there is a checkpoint in it."""

    def move() -> None:
        end = time.monotonic() + 60
        while time.monotonic() < end and not list(tmp_path.glob("runs/classify/*/checkpoints/last.pt")):
            time.sleep(0.001)
        (tmp_path / "runs").rename(tmp_path / "renamed")

    thread = threading.Thread(target=move)
    thread.start()
    yield thread
    thread.join()


@pytest.mark.slow
def test_a_folder_that_is_moved_while_it_is_written(
    mover: threading.Thread, config: Path, tmp_path: Path
) -> None:
    """It cannot be written any more; nothing comes into being at its old place; it goes on at the new one."""
    sets = ("--set", "training.epochs=600", "--set", "training.evaluate_every=100")
    result = nnlab("train", "--config", config, *sets, "--runs", tmp_path / "runs")
    mover.join()
    (run,) = tmp_path.glob("renamed/classify/*")
    old = tmp_path / "runs" / "classify" / run.name
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith(f"nnlab: {old}: was moved or removed while the run wrote it.")
    assert not (tmp_path / "runs").exists()
    assert open_run(run).status == "killed"
    assert nnlab("train", "--resume", run, "--quiet").code == 0
    whole = nnlab("train", "--config", config, *sets, "--runs", tmp_path / "whole", "--quiet")
    assert (run / "metrics.jsonl").read_bytes() == (Path(whole.last_line) / "metrics.jsonl").read_bytes()


def test_a_folder_that_denies_writing(config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = cut_off(config, monkeypatch, "--runs", tmp_path / "runs")

    def deny(path: Path, mode: str, **options: Any) -> Any:  # as the system would, if this were not root
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(folders, "open", deny, raising=False)
    result = nnlab("train", "--resume", run)
    assert (result.code, result.err) == (2, f"nnlab: {run}: not writable (Permission denied)\n")
