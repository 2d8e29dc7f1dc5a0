"""Short ways on the command line: a config without its flag, the lecture's list, numbers as expressions."""

import json
from pathlib import Path

import pytest

from nnlab.chapters.lecture.plan import LESSONS, POINTS
from nnlab.lab import runner
from nnlab.lab.sections import Experiment
from tests.command_line import nnlab


@pytest.fixture
def configs(monkeypatch: pytest.MonkeyPatch) -> list[Experiment]:
    """The configs that would be run."""
    given: list[Experiment] = []

    def run(config: Experiment, *_: object) -> dict[str, object]:
        given.append(config)
        return {"run_dir": "r", "metrics": {}, "name": "x", "seed": 0, "results": [], "status": "finished"}

    monkeypatch.setattr(runner, "run", run)
    return given


@pytest.mark.parametrize(
    "arguments", [("xor",), ("--config", "xor"), ("--set", "name=b", "xor"), ("xor", "--quiet")]
)
def test_a_config_needs_no_flag(arguments: tuple[str, ...], configs: list[Experiment]) -> None:
    result = nnlab("train", *arguments)
    assert (result.code, configs[0].experiment) == (0, "xor"), result


def test_a_file_needs_none_either(tmp_path: Path, configs: list[Experiment]) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("experiment: approx\nseed: 7\n")
    assert nnlab("train", file).code == 0
    assert (configs[0].seed, configs[0].name) == (7, "mine")


def test_a_run_folder_is_no_config(tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_text("{}")
    for arguments in ((tmp_path,), ("--config", tmp_path)):
        result = nnlab("train", *arguments)
        assert result.code == 2
        assert f"{tmp_path} is a run folder" in result.err
        assert f"nnlab train --resume {tmp_path}" in result.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("xor", "--config", "ntk"), "the config is given twice, as xor and as --config ntk"),
        ((), "needs one of --config FILE|NAME and --resume RUN"),
        (("xor", "--resume", "runs/x"), "needs one of --config FILE|NAME and --resume RUN"),
        (("xor", "spirals"), "unexpected extra argument"),
        (("xorr",), "did you mean xor?"),
    ],
)
def test_what_cannot_be_meant_is_refused(arguments: tuple[str, ...], words: str) -> None:
    result = nnlab("train", *arguments)
    assert result.code == 2
    assert words in result.err


def test_the_lecture_lists_its_points_without_running_any(tmp_path: Path) -> None:
    text = " ".join(nnlab("lecture", "--list", "--runs", tmp_path / "none").out.split())
    assert not (tmp_path / "none").exists()
    for point in POINTS:
        assert f"{point.section} │ {point.name} │ {point.lesson} │ {LESSONS[point.lesson].config}" in text
    listed = json.loads(nnlab("lecture", "--list", "--json").out)["points"]
    assert [(row["point"], row["sentence"]) for row in listed] == [(p.name, p.sentence) for p in POINTS]
