"""A training that begins from another run's best weights."""

import json
import re
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch

from nnlab.chapters.experiments import EXPERIMENTS
from nnlab.errors import ConfigError, InputError, RunFolderError
from nnlab.lab import runner
from nnlab.lab.config import check
from nnlab.lab.sections import TrainingExperiment
from nnlab.lab.session import Session
from nnlab.lab.source import Source
from nnlab.lab.start import fingerprint
from nnlab.lab.training_run import build_parts
from nnlab.record import Record, open_run
from nnlab.training.checkpoint import read_checkpoint

pytestmark = pytest.mark.usefixtures("undrawn")


def session(stop_after: int | None = None) -> Session:
    one = Session(experiments=EXPERIMENTS, allow_custom_code=True)
    if stop_after is not None:
        left = iter(range(stop_after))
        one.stop = lambda: next(left, None) is None  # type: ignore[method-assign]
    return one


def config_of(
    start: Path | str | None = None, experiment: str = "classify", **changes: Any
) -> TrainingExperiment:
    values: dict[str, Any] = {
        "experiment": experiment,
        "data": {"name": "blobs", "examples": 40, "validation": 0.2, "batch_size": 9},
        "model": {"name": "mlp", "hidden": [4, 5], "start": None if start is None else str(start)},
        "optimizer": {"name": "sgd", "lr": 0.05},
        "training": {"epochs": 3},
    }
    for key, value in changes.items():
        values[key] = values.get(key, {}) | value
    config = check(Source(where="test", text="", values=values), EXPERIMENTS)
    assert isinstance(config, TrainingExperiment)
    return config


def run(config: TrainingExperiment, folder: Path) -> Path:
    return Path(runner.run(config, folder, session())["run_dir"])


def best(folder: Path) -> dict[str, torch.Tensor]:
    weights = read_checkpoint(folder / "checkpoints" / "best.pt")["model"]
    assert isinstance(weights, dict)
    return weights


@pytest.fixture
def first(tmp_path: Path) -> Path:
    return run(config_of(), tmp_path / "first")


def test_it_begins_where_the_other_was_best(first: Path) -> None:
    parts = build_parts(config_of(first), session())
    for name, tensor in parts.model.state_dict().items():
        assert torch.equal(tensor, best(first)[name])


def test_a_relative_path_is_relative_to_the_shell(
    first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(first.parent)
    build_parts(config_of(first.name), session())
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        RunFolderError, match=re.escape(f"model.start: {tmp_path / first.name}: no such folder")
    ):
        build_parts(config_of(first.name), session())


def test_the_summary_keeps_the_hash_of_the_weights(first: Path, tmp_path: Path) -> None:
    folder = run(config_of(first), tmp_path)
    start = json.loads((folder / "summary.json").read_text())["start"]
    assert start == {"run": str(first), "sha256": fingerprint(best(first))}
    changed = {name: tensor.clone() for name, tensor in best(first).items()}
    changed["output.bias"][0] += 1e-6
    assert fingerprint(changed) != start["sha256"]


def test_a_whole_run_is_that_of_the_weights(first: Path, tmp_path: Path) -> None:
    """It is repeated to the last bit, and begins below the loss that the other began with."""
    one, other = run(config_of(first), tmp_path), run(config_of(first), tmp_path)
    assert (one / "metrics.jsonl").read_bytes() == (other / "metrics.jsonl").read_bytes()
    rows = open_run(one).metrics("train")
    assert rows[0]["loss"] < open_run(first).metrics("train")[0]["loss"]


def test_a_custom_model_begins_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_start.py").write_text(
        "from torch import nn\n\n\ndef network(input_shape, outputs):\n"
        "    return nn.Sequential(nn.Linear(*input_shape, 3), nn.BatchNorm1d(3), nn.Linear(3, outputs))\n"
    )
    monkeypatch.chdir(tmp_path)

    def of(start: Path | None) -> TrainingExperiment:
        model = {
            "name": "custom",
            "factory": "own_start:network",
            "start": None if start is None else str(start),
        }
        return type(config_of()).model_validate({**config_of().model_dump(), "model": model})

    first = run(of(None), tmp_path / "runs")
    parts = build_parts(of(first), session())
    assert torch.equal(parts.model.state_dict()["1.running_mean"], best(first)["1.running_mean"])


# --- what does not fit ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"model": {"hidden": [4, 6]}}, ["hidden.1.weight: (5, 4) there, (6, 4) here", "output.weight"]),
        ({"model": {"hidden": [4]}}, ["hidden.1.bias: (5,) there, nothing here"]),
        ({"model": {"bias": False}}, ["hidden.0.bias: (4,) there, nothing here"]),
        (
            {"data": {"classes": 5}},
            ["its model has 3 outputs, but these data need 5 (output.weight, output.bias)"],
        ),
    ],
)
def test_what_does_not_fit_is_named(first: Path, changes: dict[str, Any], parts: list[str]) -> None:
    with pytest.raises(InputError, match=r"^model\.start: ") as error:
        build_parts(config_of(first, **changes), session())
    for part in parts:
        assert part in str(error.value)


def test_other_inputs_are_named(first: Path) -> None:
    config = config_of(first)
    config = type(config).model_validate({**config.model_dump(), "data": {"name": "digits"}})
    with pytest.raises(InputError, match=r"hidden\.0\.weight: \(4, 2\) there, \(4, 64\) here"):
        build_parts(config, session())


def test_a_group_and_a_run_without_weights_are_refused(tmp_path: Path) -> None:
    group = runner.run_seeds(config_of(), 2, tmp_path, session())["run_dir"]
    with pytest.raises(
        RunFolderError, match=r"model\.start: .* is a group of runs; name one of them \(s0, s1\)"
    ):
        build_parts(config_of(group), session())
    folder = Path(group) / "s0"
    (folder / "checkpoints" / "best.pt").unlink()
    with pytest.raises(RunFolderError, match=r"model\.start: .*has no checkpoints/best\.pt"):
        build_parts(config_of(folder), session())


@pytest.mark.parametrize("path", ["a" * 300, "a/" * 3000, "~/nowhere", "/dev/null", "."])
def test_what_is_no_run_is_refused(path: str) -> None:
    with pytest.raises(RunFolderError, match=r"^model\.start: "):
        build_parts(config_of(path), session())


@pytest.mark.parametrize("content", [b"", b"no zip", None])
def test_damaged_weights_are_refused(first: Path, content: bytes | None) -> None:
    file = first / "checkpoints" / "best.pt"
    if content is None:
        torch.save({"model": {"a": 3}}, file)
    else:
        file.write_bytes(content)
    with pytest.raises(RunFolderError, match=r"best\.pt"):
        build_parts(config_of(first), session())


@pytest.mark.parametrize("experiment", ["sgd_vs_gd", "activations"])
def test_experiments_of_several_trainings_refuse_it(experiment: str) -> None:
    with pytest.raises(ConfigError, match=r"model\.start: is for the experiments classify and regress"):
        config_of("somewhere", experiment)


# --- what fits and means something else -------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"model": {"activation": "tanh"}}, "model.activation was relu there and is tanh here"),
        ({"data": {"spread": 4.0}}, "normalized by another mean or standard deviation"),
        ({"data": {"standardize": False}}, "normalized by another mean or standard deviation"),
        ({}, None),
    ],
)
def test_it_warns_of_another_meaning(
    first: Path, tmp_path: Path, changes: dict[str, Any], part: str | None
) -> None:
    folder = run(config_of(first, **changes), tmp_path)
    warnings = open_run(folder).summary.get("warnings", [])
    assert len(warnings) == (part is not None)
    assert part is None or part in warnings[0]


def test_it_warns_of_classes_in_another_order(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    rows = [(k, k * 7 % 5, "left" if k % 2 else "right") for k in range(60)]
    table.write_text("a,b,y\n" + "".join(f"{a},{b},{y}\n" for a, b, y in rows))
    data = {"name": "csv", "path": str(table), "target": "y"}
    config = config_of()
    of = lambda start: type(config).model_validate({  # noqa: E731
        **config.model_dump(), "data": data, "model": config.model.model_dump() | {"start": start},
    })  # fmt: skip
    first = run(of(None), tmp_path)
    table.write_text(table.read_text().replace("left", "zuletzt"))
    folder = run(of(str(first)), tmp_path)
    (warning,) = [w for w in open_run(folder).summary["warnings"] if "its classes were" in w]
    assert "its classes were left, right; here they are right, zuletzt" in warning


# --- resumed ----------------------------------------------------------------------------------------


def cut(first: Path, folder: Path) -> Path:
    with pytest.raises(BaseException, match="go on with"):
        runner.run(config_of(first), folder, session(stop_after=5))
    (stopped,) = (folder / "classify").iterdir()
    return stopped


def changed(first: Path) -> None:
    file = first / "checkpoints" / "best.pt"
    state = read_checkpoint(file)
    state["model"]["output.bias"] += 1.0
    torch.save(state, file)


def test_a_resume_equals_the_unbroken_run(first: Path, tmp_path: Path) -> None:
    whole, stopped = run(config_of(first), tmp_path / "whole"), cut(first, tmp_path / "cut")
    runner.resume(stopped, session())
    assert (stopped / "metrics.jsonl").read_bytes() == (whole / "metrics.jsonl").read_bytes()


@pytest.mark.parametrize("saved", [False, True])
def test_a_changed_start_is_refused_in_a_resume(first: Path, tmp_path: Path, saved: bool) -> None:
    """Whether there is a checkpoint of the run's own or not."""
    stopped = cut(first, tmp_path)
    if not saved:
        (stopped / "checkpoints" / "last.pt").unlink()
    changed(first)
    before = (stopped / "metrics.jsonl").read_bytes()
    with pytest.raises(InputError, match="are not those that this run began from"):
        runner.resume(stopped, session())
    assert (stopped / "metrics.jsonl").read_bytes() == before
    assert open_run(stopped).status == "interrupted"


def test_a_start_that_is_gone_is_not_missed_where_the_run_has_a_checkpoint(
    first: Path, tmp_path: Path
) -> None:
    whole, stopped = run(config_of(first), tmp_path / "whole"), cut(first, tmp_path / "cut")
    first.rename(tmp_path / "elsewhere")
    runner.resume(stopped, session())
    assert (stopped / "metrics.jsonl").read_bytes() == (whole / "metrics.jsonl").read_bytes()


def test_without_a_checkpoint_it_is_missed(first: Path, tmp_path: Path) -> None:
    stopped = cut(first, tmp_path)
    (stopped / "checkpoints" / "last.pt").unlink()
    first.rename(tmp_path / "elsewhere")
    with pytest.raises(RunFolderError, match="no such folder"):
        runner.resume(stopped, session())


def test_all_seeds_of_a_group_begin_from_the_same_weights(first: Path, tmp_path: Path) -> None:
    calls = 0
    original = Record.start

    def start(record: Record) -> Path:
        nonlocal calls
        calls += 1
        folder = original(record)
        if calls == 1:
            changed(first)  # while the first seed is trained
        return folder

    with (
        mock.patch.object(Record, "start", start),
        pytest.raises(InputError, match="are not those that this run began from"),
    ):
        runner.run_seeds(config_of(first), 2, tmp_path, session())
