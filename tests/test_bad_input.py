# ruff: noqa: E501 - what is written and what is said about it stand on one line
"""Wrong input ends with exit 2 and one message, before anything is made in the folder of runs."""

import json
import os
import pickle
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from PIL import Image

from nnlab.chapters.classification import classify
from nnlab.chapters.experiments import EXPERIMENTS
from nnlab.errors import Interrupted
from nnlab.lab import runner
from nnlab.lab.config import check
from nnlab.lab.session import Session
from nnlab.lab.source import Source, parse_yaml
from nnlab.record import MetricsLog
from tests.command_line import finish, nnlab, start

CONFIG = """\
experiment: classify
data: {name: blobs, examples: 60, batch_size: 16}
model: {name: mlp, hidden: [8]}
training: {epochs: 6}
"""


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return tmp_path / "runs"


def write(folder: Path, text: str) -> Path:
    file = folder / "c.yaml"
    file.write_text(text)
    return file


def refused(runs: Path, *arguments: str | Path) -> str:
    """Runs `nnlab train` on wrong input, holds it to what is promised, and returns the message."""
    result = nnlab("train", *arguments, "--runs", runs)
    assert result.code == 2, result
    assert result.out == ""
    assert result.err.startswith("nnlab: ")
    assert result.err.count("\n") == 1, "one message"
    assert len(result.err) < 900
    assert "Traceback" not in result.err
    assert not runs.exists()
    return result.err


def refused_config(runs: Path, text: str, *arguments: str) -> str:
    """The same for a config of this text; the message names the file."""
    file = write(runs.parent, text)
    message = refused(runs, "--config", file, *arguments)
    return message.replace(str(file), "c.yaml")


# --- configs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (CONFIG + "optimiser: 1\n", ["c.yaml, line 5", "optimiser (value 1)", "did you mean optimizer?"]),
        (CONFIG + "optimizer: {name: sgd, lr: fast}\n", ["c.yaml, line 5: optimizer.lr: fast must be a valid"]),
        (CONFIG + "optimizer: {name: sgd, lr: -1}\n", ["optimizer.lr: -1 must be greater than 0"]),
        (CONFIG + "optimizer: {name: sdg, lr: 1}\n", ["optimizer.name: sdg is unknown; did you mean sgd?"]),
        ("experiment: clasify\n", ["c.yaml, line 1: experiment: clasify is unknown; did you mean classify?"]),
        (CONFIG + "seed: [1\n", ["c.yaml, line 6: this is not valid YAML"]),
        ("- a\n- b\n", ["c.yaml: a config is a mapping", "this file holds [a, b]"]),
        ("", ["c.yaml: a config is a mapping", "this file holds nothing"]),
        (CONFIG + "a: " + "[" * 5000 + "]" * 5000 + "\n", ["c.yaml, line 5", "nested deeper than 50 levels"]),
        (CONFIG + "seed: 1" + "0" * 5000 + "\n", ["c.yaml: this is not valid YAML"]),
        (CONFIG + "name: !!python/object/apply:os.abort []\n", ["c.yaml, line 5", "python/object/apply:os.abort"]),
    ],
)  # fmt: skip
def test_a_wrong_config(text: str, said: list[str], runs: Path) -> None:
    message = refused_config(runs, text)
    for part in said:
        assert part in message


def test_a_config_that_is_not_there(runs: Path) -> None:
    assert "no such file" in refused(runs, "--config", runs.parent / "nothing.yaml")
    assert "did you mean xor?" in refused(runs, "--config", "xorr")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--set", "seed"], "--set seed: write it as KEY=VALUE, such as --set optimizer.lr=0.05"),
        (["--set", "model.hiden=[1]"], "--set model.hiden=[1]: unknown key model.hiden (value [1]); did you mean hidden?"),
        (["--set", "training.epochs=many"], "--set training.epochs=many: training.epochs: many must be a valid integer"),
        (["--seed", "-1"], "--seed -1: seed: -1 must be greater than or equal to 0"),
        (["--seed", "x"], "--seed"),
        (["--seeds", "0"], "--seeds"),
        (["--seeds", "1000000000000000000000"], "--seeds"),
        (["--seed", str(2**63 - 1), "--seeds", "2"], "the last seed must be less than"),
        (["--device", "gpu"], "--device gpu: training.device: gpu is not allowed; did you mean cpu? Allowed: auto, cpu, cuda, mps"),
        (["--resume", "x"], "one of --config FILE|NAME and --resume RUN"),
        (["--confg", "x"], "--confg"),
        (["extra"], "extra"),
    ],
    ids=lambda v: " ".join(v)[:30] if isinstance(v, list) else "",
)  # fmt: skip
def test_wrong_flags(arguments: list[str], said: str, runs: Path) -> None:
    assert said in refused_config(runs, CONFIG, *arguments)


def test_flags_that_do_not_go_together(runs: Path) -> None:
    assert "one of --config FILE|NAME and --resume RUN" in refused(runs)
    for flags in (["--set", "seed=1"], ["--seed", "1"], ["--seeds", "2"], ["--device", "cpu"]):
        assert "leave out --set, --seed, --seeds and --device" in refused(runs, "--resume", "x", *flags)


def test_a_device_that_is_absent(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    for device in ("cuda", "mps"):
        message = refused_config(runs, CONFIG, "--device", device)
        assert f"training.device: {device}: this machine has no" in message
        assert "allowed here: auto, cpu" in message


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you\ntried"),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3725.29 GiB."),
        MemoryError(),
    ],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
def test_a_model_that_no_memory_holds(error: Exception, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not known to be wrong beforehand; still one message, and nothing is made."""

    def build(*arguments: object) -> None:
        raise error

    monkeypatch.setattr(classify, "build_parts", build)
    result = nnlab("train", "--config", write(runs.parent, CONFIG), "--runs", runs)
    assert result.code == 1
    assert result.err.startswith("nnlab: out of memory: ")
    assert "Try a smaller model or a smaller data set" in result.err
    assert result.err.count("\n") == 1
    assert not runs.exists()


# --- parts that do not fit --------------------------------------------------------------------------


def table(folder: Path, rows: list[str]) -> Path:
    file = folder / "t.csv"
    file.write_text("\n".join(["a,b,y", *rows]) + "\n")
    return file


GOOD_ROWS = [f"{7 * i % 40},{i * i},{'uv'[i % 2]}" for i in range(40)]
NUMBER_ROWS = [f"{7 * i % 40},{i * i},{i * i % 13 / 3:.2f}" for i in range(40)]


@pytest.mark.parametrize(
    ("rows", "data", "rest", "said"),
    [
        (["1,2,u", "3,x,v"], "target: y", "", ["t.csv, line 3, column b: 'x' is not a finite number"]),
        (GOOD_ROWS, "target: z", "", ["data.target: z is no column of", "Allowed: a, b, y"]),
        (["1,2,u"] * 20, "target: y", "", ["has only the class u"]),
        (GOOD_ROWS, "target: y", "model: {name: cnn}", ["model.name: cnn needs images", "model.name: mlp"]),
        (NUMBER_ROWS, "target: y, task: regression", "", ["loss.name: cross_entropy needs class labels", "squared_error"]),
        (NUMBER_ROWS, "target: y, task: regression, batch_size: full", "loss: {name: squared_error}", ["has number targets; use experiment: regress"]),
    ],
)  # fmt: skip
def test_a_wrong_table(rows: list[str], data: str, rest: str, said: list[str], runs: Path) -> None:
    file = table(runs.parent, rows)
    model = "" if "model:" in rest else "model: {name: mlp}\n"
    text = f"experiment: classify\ndata: {{name: csv, path: {file}, {data}}}\n{model}{rest}\n"
    message = refused_config(runs, text)
    for part in said:
        assert part in message


def test_a_table_that_is_not_there(runs: Path) -> None:
    for path, problem in ((runs.parent / "no.csv", "no such file"), (runs.parent, "Is a directory")):
        text = f"experiment: classify\ndata: {{name: csv, path: {path}, target: y}}\nmodel: {{name: mlp}}\n"
        message = refused_config(runs, text)
        assert f"data.path: {path}: " in message
        assert problem in message


def test_regression_on_classes(runs: Path) -> None:
    text = "experiment: regress\ndata: {name: digits}\nmodel: {name: mlp}\nloss: {name: squared_error}\n"
    assert "data.name: digits has class labels; use experiment: classify" in refused_config(runs, text)


def test_an_experiment_about_something_else(runs: Path) -> None:
    text = "experiment: xor\ndata: {name: digits}\nmodel: {name: mlp}\n"
    assert "experiment: xor is about model.name: mlp and data.name: xor" in refused_config(runs, text)


def test_custom_code_without_its_flag(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The module that the factory is in would leave a trace if it were imported."""
    (runs.parent / "their_code.py").write_text("open('ran', 'w')\n")
    monkeypatch.chdir(runs.parent)
    text = "experiment: classify\ndata: {name: digits}\nmodel: {name: custom, factory: 'their_code:build'}\n"
    message = refused_config(runs, text)
    assert "model.factory: their_code:build runs your own code" in message
    assert "--allow-custom-code" in message
    assert not (runs.parent / "ran").exists()


# --- data sets --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "cifar10"])
def test_a_data_set_that_is_missing(name: str, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NNLAB_DATA", str(runs.parent / "data"))
    message = refused_config(runs, CONFIG, "--set", f"data={{name: {name}}}")
    assert f"data.name: {name} is not on this machine: looked for" in message
    assert str(runs.parent / "data") in message
    assert "Get it by --set data.download=true" in message
    assert "NNLAB_DATA=FOLDER" in message
    assert not (runs.parent / "data").exists()


def test_a_data_set_that_is_damaged(runs: Path) -> None:
    raw = runs.parent / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for split in ("train", "t10k"):
        for content in ("images-idx3", "labels-idx1"):
            (raw / f"{split}-{content}-ubyte").write_bytes(b"not what it says")
    message = refused_config(runs, CONFIG, "--set", f"data={{name: mnist, root: {runs.parent}}}")
    assert "train-images-idx3-ubyte: this file is damaged" in message


def test_a_data_root_that_cannot_be_read(runs: Path) -> None:
    message = refused_config(runs, CONFIG, "--set", f"data={{name: mnist, root: {'a' * 400}}}")
    assert "data.name: mnist cannot be read" in message


def image_folder(root: Path) -> None:
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            folder = root / split / name
            folder.mkdir(parents=True)
            for i in range(4):
                Image.new("L", (4, 4), 50 * i).save(folder / f"{i}.png")


def test_a_class_without_an_image(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(runs.parent / "cache"))
    root = runs.parent / "pictures"
    image_folder(root)
    data = f"data={{name: image_folder, root: {root}}}"
    shutil.rmtree(root / "train" / "dog")
    (root / "train" / "dog").mkdir()
    assert f"{root / 'train' / 'dog'}: this class folder holds no image" in refused_config(
        runs, CONFIG, "--set", data
    )
    (root / "train" / "dog" / "0.png").write_bytes(b"no picture")
    message = refused_config(runs, CONFIG, "--set", data)
    assert f"{root / 'train' / 'dog' / '0.png'}: cannot be read as an image" in message


# --- the folder of runs -----------------------------------------------------------------------------


@pytest.mark.parametrize("extra", [[], ["--seeds", "2"]])
def test_a_file_where_the_runs_should_go(extra: list[str], tmp_path: Path) -> None:
    file = write(tmp_path, CONFIG)
    (tmp_path / "runs").write_text("mine")
    for folder in (tmp_path / "runs", tmp_path / "runs" / "below"):
        result = nnlab("train", "--config", file, "--runs", folder, *extra)
        assert result.code == 2
        assert "is a file, not a folder; choose another with --runs DIR" in result.err
    assert (tmp_path / "runs").read_text() == "mine"


def test_a_folder_of_runs_that_is_read_only(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """(An administrator may write anywhere: so that the question is asked of `access`, not of the disk.)"""
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    message = refused_config(runs, CONFIG)
    assert f"{runs}: not writable ({runs.parent} denies it); choose another folder with --runs DIR" in message


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="no /proc")
def test_a_folder_where_nobody_can_make_one(tmp_path: Path) -> None:
    result = nnlab("train", "--config", write(tmp_path, CONFIG), "--runs", "/proc/nnlab-runs")
    assert result.code == 2
    assert result.err.startswith("nnlab: /proc/nnlab-runs")
    assert "--runs DIR" in result.err
    assert result.err.count("\n") == 1


# --- resuming ---------------------------------------------------------------------------------------


@dataclass
class StopsAfter(Session):
    """A session that is asked to stop after so many steps."""

    steps: int = 10

    def stop(self) -> bool:
        self.steps -= 1
        return self.steps <= 0


@pytest.fixture(scope="module")
def cut_off(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that was interrupted."""
    config = check(Source("c.yaml", CONFIG, parse_yaml(CONFIG, "")), EXPERIMENTS)
    runs = tmp_path_factory.mktemp("cut-off")
    with pytest.raises(Interrupted):
        runner.run(config, runs, StopsAfter())
    (found,) = runs.glob("classify/*")
    return found


@pytest.fixture
def run(cut_off: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(cut_off, tmp_path / "run"))


def contents(folder: Path) -> dict[Path, bytes]:
    return {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def refused_resume(run: Path) -> str:
    """A resume that is refused changes nothing in the folder."""
    before = contents(run)
    result = nnlab("train", "--resume", run)
    assert result.code == 2, result
    assert result.out == ""
    assert result.err.startswith("nnlab: ")
    assert result.err.count("\n") == 1
    assert "Traceback" not in result.err
    assert contents(run) == before
    return result.err


def test_the_run_itself_can_be_resumed(run: Path) -> None:
    result = nnlab("train", "--resume", run, "--quiet")
    assert (result.code, result.out, result.err) == (0, f"{run}\n", "")
    assert json.loads((run / "summary.json").read_text())["status"] == "finished"
    before = contents(run)
    again = nnlab("train", "--resume", run)
    assert again.code == 0
    assert "is finished: there is nothing to resume" in again.err
    assert contents(run) == before


def edited(old: str, new: str) -> Callable[[Path], None]:
    def edit(run: Path) -> None:
        file = run / "config.yaml"
        assert old in file.read_text()
        file.write_text(file.read_text().replace(old, new))

    return edit


@pytest.mark.parametrize(
    "edit", [edited("- 8", "- 16"), edited("relu", "tanh"), edited("batch_size: 16", "batch_size: 8")]
)
def test_a_config_that_does_not_fit_its_checkpoint(edit: Callable[[Path], None], run: Path) -> None:
    """Also where the shapes agree: the numbers would be those of neither config."""
    edit(run)
    message = refused_resume(run)
    assert f"{run / 'config.yaml'}: was changed since the run began" in message
    assert "start a new run: nnlab train --config" in message


def test_a_checkpoint_of_another_model(run: Path, tmp_path: Path) -> None:
    other = StopsAfter()
    text = CONFIG.replace("[8]", "[16]")
    with pytest.raises(Interrupted):
        runner.run(check(Source("c.yaml", text, parse_yaml(text, "")), EXPERIMENTS), tmp_path / "o", other)
    (theirs,) = (tmp_path / "o").glob("classify/*/checkpoints")
    shutil.copytree(theirs, run / "checkpoints", dirs_exist_ok=True)
    message = refused_resume(run)
    assert "last.pt: does not fit the run's config.yaml" in message


class TouchesAFile:
    """A pickle that makes the file `ran` where it is loaded as a pickle."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return (os.mkdir, (str(self.folder / "ran"),))


def damage(name: str) -> Callable[[Path], None]:
    def cut(run: Path) -> None:
        file = run / "checkpoints" / name
        file.write_bytes(file.read_bytes()[:1000])

    return cut


DAMAGES: dict[str, Callable[[Path], object]] = {
    "last.pt cut short": damage("last.pt"),
    "best.pt cut short": damage("best.pt"),
    "last.pt garbage": lambda run: (run / "checkpoints" / "last.pt").write_bytes(b"garbage" * 100),
    "last.pt empty": lambda run: (run / "checkpoints" / "last.pt").write_bytes(b""),
    "last.pt no state": lambda run: torch.save(torch.zeros(3), run / "checkpoints" / "last.pt"),
    "best.pt missing": lambda run: (run / "checkpoints" / "best.pt").unlink(),
}


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_checkpoint(kind: str, run: Path) -> None:
    DAMAGES[kind](run)
    message = refused_resume(run)
    assert str(run / "checkpoints" / kind.split()[0]) in message


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_checkpoint_with_code_in_it(run: Path) -> None:
    evil = TouchesAFile(run)
    for content in ("pickle", "torch"):
        if content == "pickle":
            (run / "checkpoints" / "last.pt").write_bytes(pickle.dumps(evil, protocol=2))
        else:
            torch.save({"model": evil}, run / "checkpoints" / "last.pt")
        assert "last.pt: is damaged or no checkpoint of nnlab" in refused_resume(run)
        assert not (run / "ran").exists()
    pickle.loads(pickle.dumps(evil))  # the trap does work
    assert (run / "ran").is_dir()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda run: (run / "metrics.jsonl").write_bytes(b""), "metrics.jsonl: is shorter than its checkpoint"),
        (lambda run: (run / "config.yaml").unlink(), "config.yaml: cannot be read as a text file"),
        (lambda run: (run / "config.yaml").write_text("a: ["), "config.yaml, line 1: this is not valid YAML"),
        (lambda run: (run / "summary.json").write_text("{"), "summary.json: cannot be read"),
        (lambda run: (run / "summary.json").write_text("[1]"), "summary.json: is not the summary of a run"),
        (lambda run: (run / "summary.json").write_text('{"status": "running"}'), "is not the summary of a run"),
        (lambda run: (run / "summary.json").unlink(), "is not a run folder: it has no summary.json"),
    ],
)  # fmt: skip
def test_a_spoiled_run_folder(spoil: Callable[[Path], object], said: str, run: Path) -> None:
    spoil(run)
    assert said in refused_resume(run)


def test_a_run_that_is_being_written(run: Path) -> None:
    log = MetricsLog(run / "metrics.jsonl")
    try:
        assert "another process is running this run right now" in refused_resume(run)
        assert json.loads(nnlab("runs", "show", run, "--json").out)["status"] == "interrupted"
    finally:
        log.close()


def test_a_diverged_run(run: Path) -> None:
    file = run / "summary.json"
    file.write_text(file.read_text().replace('"interrupted"', '"diverged"'))
    assert "this run diverged and would do so again; start one with a smaller step size" in refused_resume(
        run
    )


def test_folders_that_are_no_run(tmp_path: Path) -> None:
    for command in (["train", "--resume"], ["runs", "show"], ["runs", "compare"]):
        for place, said in (
            (tmp_path, "is not a run folder"),
            (tmp_path / "no", "no such folder"),
            ("", "is not a run folder"),
        ):
            result = nnlab(*command, place)
            assert result.code == 2
            assert said in result.err
            assert result.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


# --- the installed program --------------------------------------------------------------------------


@pytest.mark.slow
def test_the_program_itself(tmp_path: Path) -> None:
    """A few of the above through the real process: exit status, stderr, and nothing on stdout."""
    file = write(tmp_path, CONFIG)
    cases: list[tuple[list[str | Path], str]] = [
        (["--config", "nothing.yaml"], "nnlab: --config nothing.yaml: no such file"),
        (
            ["--config", file, "--set", "data={name: mnist, root: nowhere}"],
            "nnlab: data.name: mnist is not on",
        ),
    ]
    processes = [start("train", *arguments, cwd=tmp_path) for arguments, _ in cases]
    for process, (_, said) in zip(processes, cases, strict=True):
        result = finish(process)
        assert (result.code, result.out) == (2, "")
        assert result.err.startswith(said)
        assert result.err.count("\n") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["c.yaml"]


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="no such file"):
        nnlab("train", "--config", tmp_path / "x.yaml", "--debug")
