"""The lecture: its plan, its run and its verdicts."""

import html
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from nnlab.chapters.experiments import EXPERIMENTS
from nnlab.chapters.lecture import beyond
from nnlab.chapters.lecture import experiment as lecture
from nnlab.chapters.lecture.experiment import Config, chosen, experiment_of, unexpected
from nnlab.chapters.lecture.plan import LESSONS, POINTS, Lesson, Point
from nnlab.cli import main
from nnlab.errors import ExperimentError, InputError, Interrupted
from nnlab.lab.sections import Experiment
from nnlab.record import open_run

SMALL: Mapping[str, Mapping[str, Any]] = {
    "regularization": {"strengths": [0.1], "penalties": ["l2"], "training.epochs": 500},
    "sgd_vs_gd": {"draws": 4000, "training.epochs": 1, "batch_sizes": [512]},
    "ntk": {"widths": [32], "seeds": 2, "training.steps": 40, "edge.steps": 20},
    "approx": {"parts": ["steps", "bins"]},
}
"""Settings with which a lesson takes seconds."""


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    lessons = {
        name: Lesson(name, lesson.config, SMALL.get(name, lesson.settings))
        for name, lesson in LESSONS.items()
    }
    monkeypatch.setattr(lecture, "LESSONS", lessons)


def nnlab(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: object
) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command, run in this process so that a fault stays planted."""
    monkeypatch.setattr(sys, "argv", ["nnlab", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


# --- the plan -------------------------------------------------------------------------------------------


ALL_LESSONS = {**LESSONS, **beyond.LESSONS}


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("lesson", ALL_LESSONS.values(), ids=ALL_LESSONS)
def test_every_lesson_has_a_valid_config(lesson: Lesson, full: bool) -> None:
    config = experiment_of(lesson, Config(experiment="lecture", full=full, seed=7), EXPERIMENTS)
    assert (config.name, config.seed) == (lesson.name, 7)


def test_points_stand_in_the_lectures_order_and_use_every_lesson() -> None:
    sections = [tuple(map(int, point.section.split("."))) for point in POINTS]
    assert sections == sorted(sections)
    assert {point.lesson for point in POINTS} == set(LESSONS)
    assert len({point.name for point in POINTS}) == len(POINTS)


def test_chosen_points() -> None:
    assert chosen([]) == list(POINTS)
    assert [point.name for point in chosen(["bins", "entropy"])] == ["entropy", "bins"]
    assert [point.section for point in chosen([], beyond=True)] == [f"B.{k}" for k in range(1, 9)]
    with pytest.raises(InputError, match=r"only: entropi: did you mean entropy\? Allowed: "):
        chosen(["entropi"])


# --- a run ----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_lecture_holds_its_lessons_and_judges_its_points(
    small: None, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    only = ("--only", "entropy", "--only", "backpropagation_of_a_neuron", "--only", "bin")
    code, out, err = nnlab(capsys, monkeypatch, "lecture", *only, "--runs", tmp_path, "--seed", "3")
    assert code == 0, err
    assert "1.4 Cross-entropy is entropy plus KL divergence." in out
    run = open_run(out.splitlines()[-1])
    assert (run.summary["experiment"], run.summary["seed"], run.status) == ("lecture", 3, "finished")
    rows = run.summary["results"]
    assert [row["section"] for row in rows][:4] == ["1.4", "3.3", "3.3", "6.4"]
    assert {row["section"] for row in rows[3:]} == {"6.4"}
    assert {row["verdict"] for row in rows} == {"PASS"}
    assert [claim["name"] for claim in run.summary["claims"]] == [row["claim"] for row in rows]
    for row in rows:
        part = open_run(run.folder / row["run"])
        assert part.summary["seed"] == 3
        (claim,) = [c for c in part.summary["claims"] if c["name"] == row["claim"]]
        assert (claim["measured"], claim["verdict"]) == (row["measured"], row["verdict"])
    assert "slides (1 of 2)" in err
    assert f"the page: {run.folder / 'report.html'}" in err
    code, out, _ = nnlab(capsys, monkeypatch, "runs", "show", run.folder)
    assert code == 0
    assert [line for line in out.splitlines() if str(run.folder) in line] == [
        str(run.folder / "report.html"), str(run.folder),
    ]  # fmt: skip
    page = (run.folder / "report.html").read_text("utf-8")
    assert all(row["sentence"] in html.unescape(page) for row in rows)


def test_json_is_all_that_stands_on_stdout(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, _ = nnlab(capsys, monkeypatch, "lecture", "--only", "entropy", "--json", "--runs", tmp_path)
    assert code == 0
    assert json.loads(out)["results"][0]["point"] == "entropy"


def test_what_is_beyond_the_lecture_is_run_in_its_place(
    undrawn: None, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lesson, point = Lesson("slides", "slides"), Point("x", "B.3", "It is so.", "slides", ["*_neuron"])
    monkeypatch.setattr(lecture, "LESSONS_BEYOND", {"slides": lesson})
    monkeypatch.setattr(lecture, "POINTS_BEYOND", [point])
    code, out, err = nnlab(capsys, monkeypatch, "lecture", "--beyond", "--runs", tmp_path)
    assert code == 0, err
    run = open_run(out.splitlines()[-1])
    assert [(row["section"], row["claim"]) for row in run.summary["results"]] == [
        ("B.3", "backpropagation_of_the_neuron")
    ]
    page = (run.folder / "report.html").read_text("utf-8")
    assert "<title>Feed-forward networks: beyond the lecture, held against measurements</title>" in page
    assert "5. Networks and kernels" not in page
    assert "Misprint" not in page


def test_the_list_of_points(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for flags, points in (((), POINTS), (("--beyond",), beyond.POINTS)):
        code, out, _ = nnlab(capsys, monkeypatch, "lecture", *flags, "--list", "--json")
        assert code == 0
        assert [row["point"] for row in json.loads(out)["points"]] == [point.name for point in points]
        assert json.loads(out)["points"][0].keys() == {"section", "point", "lesson", "config", "sentence"}


def test_an_unknown_point_is_refused_before_anything_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, err = nnlab(capsys, monkeypatch, "lecture", "--only", "entropi", "--runs", tmp_path / "runs")
    assert (code, out) == (2, "")
    assert "did you mean entropy?" in err
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_a_lecture_that_was_stopped_goes_on_where_it_was(
    small: None,
    undrawn: None,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = lecture._lesson

    def stopped(lesson: Experiment, *arguments: Any) -> Any:
        if lesson.name == "approx":
            raise Interrupted("interrupted at step 3; go on with: nnlab train --resume elsewhere")
        return real(lesson, *arguments)

    monkeypatch.setattr(lecture, "_lesson", stopped)
    only = ("--only", "entropy", "--only", "bin")
    code, _, err = nnlab(capsys, monkeypatch, "lecture", *only, "--runs", tmp_path)
    (folder,) = tmp_path.glob("lecture/*")
    assert code == 130
    assert err.endswith(f"interrupted in the lesson approx; go on with: nnlab train --resume {folder}\n")
    (first,) = folder.glob("runs/slides/*")
    monkeypatch.setattr(lecture, "_lesson", real)
    code, _, _ = nnlab(capsys, monkeypatch, "train", "--resume", folder)
    assert code == 0
    assert list(folder.glob("runs/slides/*")) == [first]
    assert (folder / "report.html").is_file()
    points = [row["point"] for row in open_run(folder).summary["results"]]
    assert list(dict.fromkeys(points)) == ["entropy", "bin"]


def test_a_lesson_that_fails_is_named_and_the_others_run(
    small: None,
    undrawn: None,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = lecture._lesson

    def failing(lesson: Experiment, *arguments: Any) -> Any:
        if lesson.name == "slides":
            raise ExperimentError("the disk is slow\nfolder")
        return real(lesson, *arguments)

    monkeypatch.setattr(lecture, "_lesson", failing)
    only = ("--only", "entropy", "--only", "bin")
    code, _, err = nnlab(capsys, monkeypatch, "lecture", *only, "--runs", tmp_path)
    assert code == 1
    assert "slides: the disk is slow" in err
    (folder,) = tmp_path.glob("lecture/*")
    summary = open_run(folder).summary
    assert summary["status"] == "failed"
    assert {row["point"] for row in summary["results"]} == {"bin"}


# --- what was said otherwise ----------------------------------------------------------------------------


def test_what_was_said_is_held_against_the_same_measurement(
    undrawn: None, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"multiples": [2.0], "training.epochs": 1500}
    lesson = Lesson("convergence", "convergence", settings)
    monkeypatch.setitem(cast(dict[str, Lesson], LESSONS), "convergence", lesson)
    code, out, _ = nnlab(capsys, monkeypatch, "lecture", "--only", "convergence", "--runs", tmp_path)
    *rows, said = open_run(out.splitlines()[-1]).summary["results"]
    (holds,) = [row for row in rows if row["claim"] == said["against"]]
    assert code == 0
    assert (said["place"], "Often said: Gradient descent converges only" in out) == ("often said", True)
    assert (holds["verdict"], said["verdict"], said["refuted"]) == ("PASS", "FAIL", True)
    assert holds["measured"] == said["measured"]
    assert "refuted" in out
    assert "what holds: At twice the bound it converges" in out


def test_only_a_failure_that_is_not_listed_is_unexpected() -> None:
    rows: list[dict[str, Any]] = [
        {"claim": "a", "verdict": "FAIL", "refuted": True},
        {"claim": "b", "verdict": "FAIL", "refuted": False},
        {"claim": "c", "verdict": "INCONCLUSIVE", "refuted": False},
    ]
    assert unexpected(rows) == ["b"]
