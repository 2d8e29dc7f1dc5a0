# ruff: noqa: E501 - commands stand on one line
"""`nnlab ntk`: its flags, what it refuses, what it says, and how a run goes on that was stopped."""

import json
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from nnlab.chapters.kernels import drawing as ntk_drawing
from nnlab.chapters.kernels.experiment import Config
from nnlab.cli.run import Flag, checked_config
from nnlab.lab import runner
from nnlab.lab.sections import Experiment
from nnlab.record import Record
from tests.command_line import finish, nnlab, start

SMALL = ["--widths", "4,8", "--seeds", "1", "--steps", "3", "--set", "edge.steps=2", "--examples", "4"]


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return tmp_path / "runs"


@pytest.fixture(autouse=True)
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """test_experiments_ntk makes them."""
    monkeypatch.setattr(ntk_drawing, "draw", lambda *arguments: None)
    monkeypatch.setattr(Record, "save_figure", lambda *arguments: None)


@pytest.fixture
def configs(monkeypatch: pytest.MonkeyPatch) -> list[Experiment]:
    """The configs that would have run."""
    found: list[Experiment] = []

    def note(config: Experiment, runs: Path, session: object) -> dict[str, Any]:
        found.append(config)
        return {"metrics": {}, "run_dir": "here"}

    monkeypatch.setattr(runner, "run", note)
    return found


def wait_for(condition: Any, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


# --- flags ------------------------------------------------------------------------------------------


def test_it_is_the_experiment_of_train(configs: list[Experiment]) -> None:
    assert nnlab("ntk").code == nnlab("train", "--config", "ntk").code == 0
    assert configs[0] == configs[1]
    assert configs[0].name == "ntk"


def test_every_flag_arrives(configs: list[Experiment]) -> None:
    result = nnlab(
        "ntk", "--widths", "16,4", "--data", "digits", "--examples", "9", "--model", "mlp", "--depth", "3", "--activation", "erf",
        "--parameterization", "standard", "--loss", "cross_entropy", "--steps", "7", "--seeds", "2", "--outputs", "4,1",
        "--memory", "0.5", "--seed", "11", "--device", "cpu",
    )  # fmt: skip
    assert result.code == 0, result
    found = configs[0].model_dump()
    assert (found["widths"], found["seeds"], found["outputs"], found["seed"]) == ([16, 4], 2, [4, 1], 11)
    assert (found["data"]["name"], found["data"]["examples"]) == ("digits", 9)
    model = [found["model"][k] for k in ("name", "depth", "activation", "parameterization")]
    assert model == ["mlp", 3, "erf", "standard"]
    assert found["model"]["sigma_b"] is None  # --model starts its section anew
    assert found["loss"] == {"name": "cross_entropy", "reduction": "mean"}
    assert (found["training"]["steps"], found["training"]["device"]) == (7, "cpu")
    assert found["training"]["lr_fraction"] == 0.5  # the file's
    assert isinstance(configs[0], Config)
    assert configs[0].memory_limit == 2**29


def test_a_flag_beats_set_which_beats_the_file(configs: list[Experiment], tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(
        "experiment: ntk\nwidths: [3]\nseeds: 1\ntraining: {steps: 1}\ndata: {name: line, function: abs}\n"
    )
    sets = ["--set", "widths=[5]", "--set", "training.steps=2", "--set", "data.examples=7"]
    nnlab("ntk", "--config", file)
    nnlab("ntk", "--config", file, *sets)
    nnlab("ntk", "--config", file, *sets, "--widths", "6", "--steps", "3", "--examples", "8")
    nnlab("ntk", "--config", file, *sets, "--data", "circle")
    found = [config.model_dump() for config in configs]
    assert [f["widths"] for f in found] == [[3], [5], [6], [5]]
    assert [f["training"]["steps"] for f in found] == [1, 2, 3, 2]
    assert [f["data"]["examples"] for f in found] == [20, 7, 8, 7]
    assert [f["data"]["name"] for f in found] == ["line", "line", "line", "circle"]
    assert {f["name"] for f in found} == {"mine"}


# --- what it refuses --------------------------------------------------------------------------------


REFUSED = {
    "width 0": (["--widths", "8,0"], "--widths 8,0: widths.1: 0 must be greater than or equal to 1"),
    "width text": (["--widths", "8,wide"], "--widths 8,wide: must be whole numbers with commas between, such as 64,256"),
    "width fraction": (["--widths", "8.5"], "--widths 8.5: must be whole numbers"),
    "width list in a file": (["--set", "widths=[8, wide]"], "widths.1: wide must be a valid integer"),
    "no width": (["--widths", ""], "--widths : must be whole numbers"),
    "empty widths": (["--set", "widths=[]"], "widths: [] must have at least 1 item"),
    "width twice": (["--widths", "8,4,8"], "8 twice"),
    "no seed": (["--seeds", "0"], "seeds: 0 must be greater than or equal to 1"),
    "seed too large": (["--seed", str(2**63)], "must be less than"),
    "no steps": (["--steps", "0"], "training.steps: 0 must be greater than or equal to 1"),
    "no points": (["--examples", "0"], "data.examples: 0 must be greater than or equal to 1"),
    "data mistyped": (["--data", "cirkle"], "--data cirkle: data.name: cirkle is unknown; did you mean circle?"),
    "model mistyped": (["--model", "mpl"], "did you mean mlp?"),
    "activation mistyped": (["--activation", "relv"], "did you mean relu?"),
    "loss mistyped": (["--loss", "squared_eror"], "did you mean squared_error?"),
    "output out of range": (["--outputs", "1", *SMALL], "outputs: 1: these data have the outputs 0 to 0"),
    "output out of range, digits": (["--outputs", "0,10", "--data", "digits"], "outputs: 10: these data have the outputs 0 to 9"),
    "output negative": (["--outputs=-1"], "outputs.0: -1 must be greater than or equal to 0"),
    "output twice": (["--outputs", "0,0"], "0 twice"),
    "no output": (["--set", "outputs=[]"], "outputs: [] must have at least 1 item"),
    "cnn on a line": (["--model", "cnn", *SMALL], "model.name: cnn needs images: data.name: digits"),
    "cnn on a circle": (["--model", "cnn", "--data", "circle", *SMALL], "model.name: cnn needs images"),
    "classes on a line": (["--loss", "cross_entropy", *SMALL], "loss.name: cross_entropy needs classes, but data.name: line has numbers"),
    "more digits than there are": (["--data", "digits", "--examples", "5000"], "data.examples: 5000: digits has"),
    "no memory": (["--memory", "0"], "memory_gib: 0.0 must be greater than 0"),
    "memory for no kernel": (["--memory", "1e-8", *SMALL], "memory_gib: at width 4 the kernel itself takes"),
    "memory for no block": (["--memory", "1e-6", *SMALL], "raise it (--memory), or take a smaller width or fewer data.examples"),
    "points that overflow": (["--set", "data.points=[1e200]", *SMALL], "not finite"),
    "targets that overflow": (["--set", "data={name: line, function: cubic, points: [1e120]}", "--widths", "4"], "NaN or infinity"),
    "infinite on a circle": (["--infinite", "--data", "circle"], "infinite: true (--infinite) needs data.name: line, where functions can be drawn, not circle"),
    "infinite cnn": (["--infinite", "--model", "cnn", *SMALL], "needs model.name: mlp, not cnn"),
    "infinite in standard": (["--infinite", "--parameterization", "standard"], "needs model.parameterization: ntk, not standard"),
    "infinite maxout": (["--infinite", "--activation", "maxout"], "that of maxout is not"),
    "infinite that diverges": (["--infinite", "--set", "training.lr_fraction=1"], "needs training.lr_fraction below 1, not 1"),
    "infinite without a kernel": (["--infinite", *SMALL, "--set", "data.points=[0.0]", "--set", "model.bias=false"], "the tangent kernel is 0 at these points"),
    "infinite of another experiment": (["--infinite", "--config", "weight_change"], "--infinite: unknown key infinite"),
    "ensemble of one": (["--set", "ensemble.networks=1"], "ensemble.networks: 1 must be greater than or equal to 2"),
    "ensemble too wide": (["--infinite", *SMALL, "--set", "ensemble.width=100000"], "ensemble.width: 100000: start, end and a step of one such network take"),
    "table without a path": (["--data", "csv", "--set", "data.target=y"], "--data csv: the key data.path is missing"),
    "table that is absent": (["--data", "csv", "--set", "data.path=no.csv", "--set", "data.target=y"], "no.csv: no such file"),
    "custom without leave": (["--model", "custom", "--set", "model.factory=mine:build"], "pass --allow-custom-code if you trust it"),
    "custom without a module": (["--model", "custom", "--set", "model.factory=not_there:build", "--allow-custom-code"], "not_there cannot be imported from"),
    "custom without a factory": (["--model", "custom"], "the key model.factory is missing"),
    "another experiment": (["--config", "softmax_digits"], "unknown key widths"),
    "float64 on mps": (["--device", "mps"], "precision: float64 does not exist on device: mps"),
    "multiples twice": (["--set", "edge.multiples=[1.5, 1.5]"], "1.5 twice"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_wrong_input(kind: str, runs: Path) -> None:
    """Exit 2 with one message, before anything is written."""
    arguments, said = REFUSED[kind]
    widths = [] if "--widths" in arguments or "widths" in kind or "file" in kind else ["--widths", "4"]
    result = nnlab("ntk", *arguments, *widths, "--runs", runs)
    assert result.code == 2, result
    assert result.out == ""
    assert result.err.startswith("nnlab: ")
    assert result.err.count("\n") == 1
    assert said in result.err
    assert not runs.exists()


# --- what it says -----------------------------------------------------------------------------------


def test_a_run_ends_with_its_folder(runs: Path) -> None:
    result = nnlab("ntk", *SMALL, "--runs", runs)
    assert result.code == 0, result
    folder = Path(result.last_line)
    assert folder.parent == runs / "ntk"
    found = json.loads((folder / "summary.json").read_text())
    assert [row["width"] for row in found["results"]] == [4, 8]
    for word in ("lambda_min", "distance_to_infinite", "kernel_drift", "PASS"):
        assert word in result.out
    again = nnlab("ntk", "--config", folder / "config.yaml", "--runs", runs, "--json")
    assert again.out.count("\n") == 1
    printed = json.loads(again.out)
    stored = json.loads((Path(printed["run_dir"]) / "summary.json").read_text())
    assert printed == {**stored, "run_dir": printed["run_dir"]}
    assert printed["results"] == found["results"]
    assert (Path(printed["run_dir"]) / "metrics.jsonl").read_bytes() == (
        folder / "metrics.jsonl"
    ).read_bytes()


def test_a_singular_kernel_is_said_on_stderr(runs: Path) -> None:
    points = ["--widths", "8", "--seeds", "1", "--steps", "2", "--set", "edge.steps=2", "--set", "data.points=[0.5,0.5]"]  # fmt: skip
    result = nnlab("ntk", *points, "--runs", runs, "--json")
    assert result.code == 0, result
    assert result.err.startswith("the kernel is singular, as far as rounding lets one tell: at width 8")
    assert result.err.count("\n") == 1
    assert json.loads(result.out)["notes"] == [result.err.strip()]
    quiet = nnlab("ntk", *points, "--runs", runs, "--quiet")
    assert (quiet.code, quiet.err) == (0, "")
    assert quiet.out.count("\n") == 1


def test_every_network_diverges(runs: Path) -> None:
    arguments = ["--widths", "64", "--seeds", "2", "--steps", "100", "--set", "training.lr_fraction=100"]
    result = nnlab("ntk", *arguments, "--runs", runs)
    assert result.code == 1, result
    assert result.out == ""
    (folder,) = runs.glob("ntk/*")
    assert (
        result.err
        == f"nnlab: every network diverged; training.lr_fraction: 100 of η_max is too much: try 0.5\n{folder}\n"
    )
    refused = nnlab("train", "--resume", folder)
    assert refused.code == 2
    assert "would do so again" in refused.err


@pytest.mark.slow
def test_interrupted_and_resumed(runs: Path) -> None:
    """By a real SIGINT, as Ctrl-C sends it, in the middle of training.

    That the end is that of a run which was never stopped, test_experiments_ntk shows.
    """
    arguments = ["--widths", "8", "--seeds", "10", "--steps", "150", "--set", "edge.steps=2", "--device", "cpu"]  # fmt: skip
    process = start("ntk", *arguments, "--runs", runs)
    wait_for(lambda: any(file.stat().st_size for file in runs.glob("ntk/*/metrics.jsonl")))
    process.send_signal(signal.SIGINT)
    result = finish(process)
    (folder,) = runs.glob("ntk/*")
    assert result.code == 130, result
    assert result.err.endswith(f"of 150; go on with: nnlab train --resume {folder}\n")
    stopped = json.loads((folder / "summary.json").read_text())
    assert stopped["status"] == "interrupted"
    before = (folder / "metrics.jsonl").read_bytes()
    assert before
    resumed = nnlab("train", "--resume", folder, "--json")
    assert resumed.code == 0
    found = json.loads(resumed.out)
    assert (found["run_dir"], found["status"]) == (str(folder), "finished")
    assert found["predictions_sha256"] == stopped["predictions_sha256"]
    assert [row["network"] for row in found["results"]] == list(range(10))
    steps = len(json.loads((folder / "predictions.json").read_text())["steps"])
    after = (folder / "metrics.jsonl").read_bytes()
    assert after.startswith(before)
    assert after.count(b"\n") == 10 * steps


def test_a_flag_for_a_section_beats_set_for_its_name() -> None:
    flags = [Flag("--data", ("data",), {"name": "circle"}), Flag("--examples", ("data", "examples"), 7)]
    config = checked_config("ntk", ["data.name=digits"], flags)
    data = config.model_dump()["data"]
    assert (data["name"], data["examples"]) == ("circle", 7)
