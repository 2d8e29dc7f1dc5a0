# ruff: noqa: E501 - commands stand on one line
"""`nnlab train`: what it prints, how it ends, what it leaves when it is stopped or the disk is full."""

import contextlib
import json
import os
import pty
import re
import shutil
import signal
import statistics
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from scipy import stats

from nnlab.lab import runner
from nnlab.lab.sections import Experiment
from nnlab.lab.session import Session
from nnlab.record import Group, Record, open_run
from tests.command_line import Result, files_no_longer_than, finish, nnlab, start

CONFIG = """\
experiment: classify
data: {name: blobs, examples: 60, batch_size: 16}
model: {name: mlp, hidden: [8]}
training: {epochs: 3}
"""
LONG = """\
experiment: classify
data: {name: blobs, examples: 60, batch_size: full}
model: {name: mlp, hidden: [8]}
training: {epochs: 3000, evaluate_every: 20}
"""


def write(folder: Path, text: str = CONFIG) -> Path:
    file = folder / "my_config.yaml"
    file.write_text(text)
    return file


def summary(run: str | Path) -> dict[str, Any]:
    """The summary with the place at which it was read, as `--json` prints it."""
    content: dict[str, Any] = json.loads((Path(run) / "summary.json").read_text())
    return content | {"run_dir": str(run)}


def metrics(run: str | Path) -> bytes:
    return (Path(run) / "metrics.jsonl").read_bytes()


def wait_for(condition: Any, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


# --- what it prints ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    folder = tmp_path_factory.mktemp("trained")
    return folder, nnlab("train", "--config", write(folder), "--runs", folder / "runs", draw=True)


def test_a_run_ends_with_its_folder(trained: tuple[Path, Result]) -> None:
    folder, result = trained
    assert result.code == 0
    run = Path(result.last_line)
    assert re.fullmatch(r"\d{8}-\d{6}-my_config-s0", run.name)
    assert run.parent == folder / "runs" / "classify"
    found = summary(run)
    assert (found["status"], found["name"], found["seed"], found["run_dir"]) == (
        "finished",
        "my_config",
        0,
        str(run),
    )
    shown = f"{100 * found['metrics']['test/accuracy']:.2f}%"
    assert shown in result.out
    pictures = {"activation", "classes", "confusion", "curves", "regions"}
    assert {p.name for p in run.glob("figures/*")} == {f"{n}.{e}" for n in pictures for e in ("png", "svg")}
    assert {
        "config.yaml",
        "environment.json",
        "metrics.jsonl",
        "arrays.npz",
        "figures",
        "checkpoints",
        "tensorboard",
    } <= {p.name for p in run.iterdir()}


def test_no_terminal_no_colours_and_no_bars(trained: tuple[Path, Result]) -> None:
    _, result = trained
    assert "\x1b" not in result.out + result.err
    assert "\r" not in result.out + result.err
    assert result.err == ""


@pytest.mark.slow
def test_a_terminal_gets_colours_and_bars(tmp_path: Path) -> None:
    """With both streams on a terminal of its own. (Whether anything shows depends on it: bars crashed there once.)"""
    master, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "nnlab", "train", "--config", write(tmp_path), "--runs", tmp_path / "runs"],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "200"},
    )
    os.close(terminal)
    shown = b""
    with contextlib.suppress(OSError):  # how Linux says that the other end is closed
        while chunk := os.read(master, 65536):
            shown += chunk
    os.close(master)
    assert process.wait(timeout=60) == 0, shown
    text = shown.decode()
    (run,) = (tmp_path / "runs").glob("classify/*")
    assert text.splitlines()[-1] == str(run)
    assert "\x1b[" in text
    assert "training" in text
    assert "PASS" in text


def test_the_config_in_the_folder_gives_the_same_metrics(trained: tuple[Path, Result]) -> None:
    folder, first = trained
    again = nnlab(
        "train", "--config", Path(first.last_line) / "config.yaml", "--runs", folder / "again", "--quiet"
    )
    assert again.code == 0
    assert metrics(again.last_line) == metrics(first.last_line)
    assert summary(again.last_line)["metrics"] == summary(first.last_line)["metrics"]
    assert summary(again.last_line)["name"] == "my_config"


def test_json_is_one_object_and_nothing_else(tmp_path: Path) -> None:
    result = nnlab("train", "--config", write(tmp_path), "--runs", tmp_path / "runs", "--json")
    assert result.code == 0
    assert result.out.count("\n") == 1
    printed = json.loads(result.out)
    assert printed == summary(printed["run_dir"])


def test_quiet_prints_the_folder_alone(tmp_path: Path) -> None:
    result = nnlab(
        "train",
        "--config",
        write(tmp_path, CONFIG.replace("16", "full")),
        "--runs",
        tmp_path / "runs",
        "--quiet",
    )
    assert result.err == ""
    assert result.out == f"{summary(result.last_line)['run_dir']}\n"


def test_a_hostile_name_stays_inside_and_is_shown_as_it_is(tmp_path: Path) -> None:
    name = "<script>$x$[bold]/../.. :smile: \\"
    text = CONFIG.replace("experiment:", f"name: {json.dumps(name)}\nexperiment:")
    result = nnlab("train", "--config", write(tmp_path, text), "--runs", tmp_path / "runs")
    assert result.code == 0
    assert Path(result.last_line).resolve().parent == (tmp_path / "runs" / "classify").resolve()
    assert name in result.out
    assert name in nnlab("runs", "show", result.last_line).out
    assert sorted(p.name for p in tmp_path.iterdir()) == ["my_config.yaml", "runs"]
    assert len(list(tmp_path.glob("runs/classify/*"))) == 1


def test_a_config_file_of_any_name(tmp_path: Path) -> None:
    file = tmp_path / ("a\nb" + "x" * 230 + ".yaml")
    file.write_text(CONFIG)
    result = nnlab("train", "--config", file, "--runs", tmp_path / "runs", "--quiet")
    assert result.code == 0
    assert summary(result.last_line)["name"] == "a?b" + "x" * 197


# --- overrides --------------------------------------------------------------------------------------


def test_a_flag_beats_set_which_beats_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[Experiment] = []

    def note(config: Experiment, runs: Path, session: object) -> dict[str, Any]:
        ran.append(config)
        return {"metrics": {}, "run_dir": "here"}

    monkeypatch.setattr(runner, "run", note)
    file = write(tmp_path, CONFIG + "seed: 1\nname: from the file\n")
    sets = ["--set", "seed=2", "--set", "training.epochs=9", "--set", "training.device=cuda"]
    assert nnlab("train", "--config", file).out == "here\n"
    nnlab("train", "--config", file, *sets)
    nnlab("train", "--config", file, *sets, "--seed", "3", "--device", "cpu")
    assert [config.seed for config in ran] == [1, 2, 3]
    training = [config.model_dump()["training"] for config in ran]
    assert [t["epochs"] for t in training] == [3, 9, 9]
    assert [t["device"] for t in training] == ["auto", "cuda", "cpu"]
    assert {config.name for config in ran} == {"from the file"}


def test_a_shipped_config_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str | None] = []

    def run(config: Experiment, *_: object) -> dict[str, Any]:
        ran.append(config.name)
        return {"metrics": {}, "run_dir": ""}

    monkeypatch.setattr(runner, "run", run)
    nnlab("train", "--config", "mlp2_digits")
    assert ran == ["mlp2_digits"]


# --- several seeds ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def group(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    folder = tmp_path_factory.mktemp("group")
    return folder, nnlab(
        "train", "--config", write(folder), "--seed", "5", "--seeds", "3", "--runs", folder / "runs"
    )


def test_seeds_make_one_group(group: tuple[Path, Result]) -> None:
    folder, result = group
    assert result.code == 0
    path = Path(result.last_line)
    assert re.fullmatch(r"\d{8}-\d{6}-my_config-s5x3", path.name)
    found = summary(path)
    assert found["status"] == "finished"
    assert found["members"] == ["s5", "s6", "s7"]
    assert found["seeds"] == [5, 6, 7]
    for seed in (5, 6, 7):
        member = summary(path / f"s{seed}")
        assert (member["seed"], member["status"]) == (seed, "finished")
    assert len({metrics(path / f"s{seed}") for seed in (5, 6, 7)}) == 3
    assert [p.name for p in (folder / "runs" / "classify").iterdir()] == [path.name]


def test_the_interval_over_seeds_is_students(group: tuple[Path, Result]) -> None:
    path = Path(group[1].last_line)
    found = summary(path)["metrics"]["test/loss"]
    values = [summary(path / f"s{seed}")["metrics"]["test/loss"] for seed in (5, 6, 7)]
    mean, error = statistics.mean(values), statistics.stdev(values) / len(values) ** 0.5
    low, high = stats.t.interval(0.95, len(values) - 1, mean, error)
    assert found["values"] == values
    assert found["mean"] == pytest.approx(mean, rel=1e-12)
    assert found["interval"] == pytest.approx([low, high], rel=1e-9)
    assert f"{mean:.4g} ± {(high - low) / 2:.2g}" in group[1].out


def test_a_member_is_the_run_of_its_seed(group: tuple[Path, Result], tmp_path: Path) -> None:
    alone = nnlab("train", "--config", write(tmp_path), "--seed", "6", "--runs", tmp_path / "runs", "--quiet")
    assert metrics(alone.last_line) == metrics(Path(group[1].last_line) / "s6")


@pytest.fixture
def cut_group(group: tuple[Path, Result], tmp_path: Path) -> Path:
    """A copy of the group as kill −9 would leave it in its second member."""
    path = Path(shutil.copytree(group[1].last_line, tmp_path / "g"))
    shutil.rmtree(path / "s7")
    cut = path / "s6"
    (cut / "metrics.jsonl").write_bytes(metrics(cut)[:-20])
    shutil.rmtree(cut / "checkpoints")
    for folder in (cut, path):
        (folder / "summary.json").write_text(json.dumps(summary(folder) | {"status": "running"}))
    return path


def test_a_group_is_resumed_as_one(group: tuple[Path, Result], cut_group: Path) -> None:
    """The finished member stays as it is; the second runs to its end, and the third as a whole."""
    assert open_run(cut_group).status == "killed"
    untouched = (cut_group / "s5" / "summary.json").read_bytes()
    result = nnlab("train", "--resume", cut_group, "--json")
    assert result.code == 0, result.err
    assert json.loads(result.out)["metrics"] == summary(group[1].last_line)["metrics"]
    assert (cut_group / "s5" / "summary.json").read_bytes() == untouched
    for seed in (6, 7):
        assert metrics(cut_group / f"s{seed}") == metrics(Path(group[1].last_line) / f"s{seed}")


def test_a_group_that_another_process_runs(cut_group: Path) -> None:
    running = Group.reopen(cut_group)
    before = (cut_group / "summary.json").read_bytes()
    result = nnlab("train", "--resume", cut_group)
    assert (result.code, result.out) == (2, "")
    assert result.err == f"nnlab: {cut_group}: another process is running this run right now\n"
    assert (cut_group / "summary.json").read_bytes() == before
    running.close()


def test_a_group_with_a_member_that_is_damaged(cut_group: Path) -> None:
    before = (cut_group / "summary.json").read_bytes()
    (cut_group / "s6" / "config.yaml").write_text("a: [")
    result = nnlab("train", "--resume", cut_group)
    assert result.code == 2
    assert f"nnlab: {cut_group / 's6' / 'config.yaml'}, line 1: this is not valid YAML" in result.err
    assert (cut_group / "summary.json").read_bytes() == before
    assert not (cut_group / "s7").exists()


@pytest.mark.slow
def test_a_group_that_is_interrupted(tmp_path: Path) -> None:
    """The message names the group, which is what to go on with."""
    process = start("train", "--config", write(tmp_path, LONG), "--runs", tmp_path / "runs", "--seeds", "2")
    wait_for(lambda: any(p.stat().st_size for p in tmp_path.glob("runs/*/*/s0/metrics.jsonl")))
    process.send_signal(signal.SIGINT)
    result = finish(process)
    (path,) = (tmp_path / "runs").glob("classify/*")
    assert (result.code, result.out) == (130, "")
    assert result.err.endswith(f"go on with: nnlab train --resume {path}\n")
    assert summary(path)["status"] == summary(path / "s0")["status"] == "interrupted"
    assert [p.name for p in path.iterdir() if p.is_dir()] == ["s0"]


# --- how it ends ------------------------------------------------------------------------------------


def test_a_diverging_run(tmp_path: Path) -> None:
    result = nnlab(
        "train",
        "--config",
        write(tmp_path),
        "--set",
        "loss={name: squared_error}",
        "--set",
        "optimizer.name=sgd",
        "--set",
        "optimizer.lr=1e6",
        "--set",
        "training.epochs=50",
        "--runs",
        tmp_path / "runs",
    )
    assert (result.code, result.out) == (1, "")
    (run,) = (tmp_path / "runs").glob("classify/*")
    found = summary(run)
    assert found["status"] == "diverged"
    said = re.search(
        r"the loss is (nan|inf) at step (\d+) with step size 1e\+06; the last finite loss was ([\d.e+]+)\.",
        found["message"],
    )
    assert said is not None
    assert result.err == f"nnlab: {found['message']}\n{run}\n"
    assert float(said[3]) > 1
    assert "--set optimizer.lr=" in found["message"]
    assert all(row["loss"] is not None for row in open_run(run).metrics("train"))


def stopped_in_the_middle(folder: Path, number: signal.Signals) -> tuple[Path, Result]:
    """A long run in a process of its own, sent a signal once it trains."""
    process = start(
        "train", "--config", write(folder, LONG), "--runs", folder / "runs",
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),  # nohup, around the tests, ignores SIGHUP
    )  # fmt: skip
    wait_for(lambda: any(p.stat().st_size for p in folder.glob("runs/*/*/metrics.jsonl")))
    process.send_signal(number)
    result = finish(process)
    (run,) = (folder / "runs").glob("classify/*")
    return run, result


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the long run that nobody stops."""
    folder = tmp_path_factory.mktemp("unbroken")
    return Path(nnlab("train", "--config", write(folder, LONG), "--runs", folder / "runs").last_line)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_interrupts_and_resume_goes_on(
    number: signal.Signals, tmp_path: Path, unbroken: Path
) -> None:
    run, result = stopped_in_the_middle(tmp_path, number)
    assert (result.code, result.out) == (130, "")
    assert re.fullmatch(
        rf"nnlab: stopped after step \d+ of 3000; go on with: nnlab train --resume {run}",
        result.err.splitlines()[-1],
    )
    assert summary(run)["status"] == "interrupted"
    assert (run / "checkpoints" / "last.pt").is_file()
    assert (run / "checkpoints" / "best.pt").is_file()
    if number == signal.SIGINT:
        _second_process_is_refused(run)
    resumed = nnlab("train", "--resume", run, "--json")
    assert resumed.code == 0, resumed.err
    assert json.loads(resumed.out) == summary(run)
    assert metrics(run) == metrics(unbroken)
    assert summary(run)["metrics"] == summary(unbroken)["metrics"]


def test_an_interruption_while_figures_are_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its numbers are complete, and a resume draws the figures."""
    completed: list[Record] = []
    complete = Record.complete

    def note(self: Record, **fields: object) -> None:
        complete(self, **fields)
        completed.append(self)

    with monkeypatch.context() as patch:
        patch.setattr(Record, "complete", note)
        patch.setattr(Session, "stop", lambda self: bool(completed))
        result = nnlab("train", "--config", write(tmp_path), "--runs", tmp_path / "runs")
    (run,) = (tmp_path / "runs").glob("classify/*")
    assert (result.code, result.out) == (130, "")
    message = result.err.splitlines()[-1]
    resume = rf"go on with: nnlab train --resume {run}"
    assert re.fullmatch(rf"nnlab: interrupted before the figure \w+ was drawn; {resume}", message)
    before = summary(run)
    assert before["status"] == "interrupted"
    assert before["metrics"]["test/accuracy"] is not None
    assert not (run / "figures").exists()
    assert nnlab("train", "--resume", run, "--quiet", draw=True).code == 0
    assert (summary(run)["metrics"], summary(run)["claims"]) == (before["metrics"], before["claims"])
    assert len(list(run.glob("figures/*"))) == 10


def _second_process_is_refused(run: Path) -> None:
    """Two resumes at once: the one that comes second ends, and does the first no harm."""
    first = start("train", "--resume", run)
    wait_for(lambda: summary(run)["status"] == "running")
    second = nnlab("train", "--resume", run)
    first.send_signal(signal.SIGINT)
    assert second.code == 2, second
    assert second.err == f"nnlab: {run}: another process is running this run right now\n"
    assert finish(first).code == 130
    assert summary(run)["status"] == "interrupted"


# --- a full disk ------------------------------------------------------------------------------------


def readable(run: Path) -> None:
    """Every file that a full disk left is whole."""
    for file in run.glob("*.json"):
        json.loads(file.read_text())
    lines = metrics(run).split(b"\n") if (run / "metrics.jsonl").exists() else [b""]
    assert lines.pop() == b"", "no torn line"
    assert all(isinstance(json.loads(line), dict) for line in lines)
    assert [p for p in run.rglob("*") if p.name.endswith(".tmp")] == []
    for file in run.rglob("*.png"):
        assert file.read_bytes().endswith(b"IEND\xaeB`\x82")


FULL = CONFIG.replace("epochs: 3", "epochs: 12, checkpoint_seconds: 0")
HIT = [
    "config.yaml",
    "summary.json",
    "environment.json",
    "metrics.jsonl",
    "tensorboard/*",
    "checkpoints/last.pt",
    "arrays.npz",
    "figures/curves.png",
    "figures/regions.svg",
]


@pytest.fixture(scope="module")
def sizes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """How large each file of the run is where the disk is not full."""
    folder = tmp_path_factory.mktemp("sizes")
    result = nnlab("train", "--config", write(folder, FULL), "--runs", folder / "runs", "--quiet", draw=True)
    run = Path(result.last_line)
    return {pattern: next(run.glob(pattern)).stat().st_size for pattern in HIT}


@pytest.mark.slow
@pytest.mark.parametrize("pattern", HIT)
def test_the_disk_fills_at(pattern: str, sizes: dict[str, int], tmp_path: Path) -> None:
    """One byte less than the file needs: this write fails, or an earlier one of a larger file."""
    draw = pattern.startswith("figures")
    with files_no_longer_than(sizes[pattern] - 1):
        result = nnlab("train", "--config", write(tmp_path, FULL), "--runs", tmp_path / "runs", draw=draw)
    assert (result.code, result.out) == (1, "")
    assert result.err.count("\n") == 1
    parent = tmp_path / "runs" / "classify"
    if not list(parent.iterdir()):  # it never began
        assert result.err == f"nnlab: {parent}: the disk is full; free some space, and start the run again\n"
        return
    (run,) = parent.iterdir()
    assert result.err.startswith(f"nnlab: {run}: the disk is full")
    readable(run)
    assert f"free some space, then go on with: nnlab train --resume {run}" in result.err
    assert open_run(run).status in ("failed", "killed")
    assert isinstance(open_run(run).arrays(), dict)
    assert nnlab("train", "--resume", run, "--quiet").code == 0
    assert summary(run)["status"] == "finished"


def test_after_the_disk_was_full_the_metrics_are_those_of_an_unbroken_run(
    tmp_path: Path, sizes: dict[str, int]
) -> None:
    file = write(tmp_path, FULL)
    with files_no_longer_than(sizes["metrics.jsonl"] - 100):
        nnlab("train", "--config", file, "--runs", tmp_path / "cut")
    (run,) = (tmp_path / "cut").glob("classify/*")
    assert nnlab("train", "--resume", run).code == 0
    whole = nnlab("train", "--config", file, "--runs", tmp_path / "whole", "--quiet")
    assert metrics(run) == metrics(whole.last_line)


ON_A_SMALL_DISK = """
mount -t tmpfs -o size="$1" none "$2/disk" || exit 77
"$3" -m nnlab train --quiet --config "$2/my_config.yaml" --runs "$2/disk/runs"
code=$?
cp -r "$2/disk/runs" "$2/copy"
exit $code
"""


@pytest.mark.slow
def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    """A file system of 100 KiB, mounted where no other process sees it."""
    write(tmp_path, FULL)
    (tmp_path / "disk").mkdir()
    script = ["sh", "-c", ON_A_SMALL_DISK, "sh", "100k", str(tmp_path), sys.executable]
    try:
        done = subprocess.run(
            ["unshare", "--map-root-user", "--mount", *script], capture_output=True, text=True, timeout=120
        )
    except FileNotFoundError:
        pytest.skip("there is no unshare here")
    if done.returncode not in (0, 1, 2) or "unshare" in done.stderr:
        pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")
    (run,) = (tmp_path / "copy").glob("classify/*")
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(
        rf"nnlab: {tmp_path}/disk/runs/classify/{run.name}: the disk is full\. .*\n", done.stderr
    )
    readable(run)
    assert summary(run)["status"] == "failed"


# --- starting up ------------------------------------------------------------------------------------

HEAVY = ("torch", "numpy", "pydantic", "scipy", "matplotlib", "yaml", "sklearn")
SEEN = f"""
import sys
sys.argv = ["nnlab", "--help"]
from nnlab.cli import main
try:
    main()
finally:
    print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)
"""


def test_help_imports_nothing_heavy() -> None:
    done = subprocess.run([sys.executable, "-c", SEEN], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert done.stderr == "[]\n"
    for command in ("train", "runs", "configs", "bench"):
        assert command in done.stdout


def test_the_version_is_that_of_the_package() -> None:
    result = nnlab("--version")
    assert (result.code, result.out) == (0, f"nnlab {metadata.version('nnlab')}\n")


def test_help_of_every_command() -> None:
    for command in ([], ["train"], ["runs"], ["runs", "list"], ["configs"], ["configs", "copy"], ["bench"]):
        for flag in ("--help", "-h"):
            result = nnlab(*command, flag)
            assert (result.code, result.err) == (0, "")
            assert "Usage: nnlab" in result.out
