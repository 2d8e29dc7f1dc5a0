"""The lecture: its plan, its run, its verdicts, and faults that it must catch."""

import html
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import pytest
import torch

from nnlab.approximation.bins import build_bins
from nnlab.chapters.approximation.bins import experiment as approx_bins
from nnlab.chapters.classification import sgd_vs_gd
from nnlab.chapters.experiments import EXPERIMENTS
from nnlab.chapters.kernels import claims as ntk_claims
from nnlab.chapters.kernels import members as ntk_members
from nnlab.chapters.lecture import experiment as lecture
from nnlab.chapters.lecture import slides
from nnlab.chapters.lecture.experiment import Config, chosen, experiment_of, unexpected
from nnlab.chapters.lecture.plan import LESSONS, POINTS, Lesson
from nnlab.cli import main
from nnlab.errors import ExperimentError, InputError, Interrupted
from nnlab.lab.sections import Experiment
from nnlab.models import MLP
from nnlab.ntk import empirical_ntk, gradient_flow, max_step
from nnlab.record import open_run
from nnlab.training import losses

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


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("lesson", LESSONS.values(), ids=LESSONS)
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
    assert [row["section"] for row in rows] == ["1.4", "3.3", "3.3", "6.4", "6.4"]
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
    assert [row["point"] for row in open_run(folder).summary["results"]] == ["entropy", "bin", "bin"]


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
    assert (summary["status"], len(summary["results"])) == ("failed", 2)


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


# --- planted faults -------------------------------------------------------------------------------------


def _base_10(original: Any) -> Any:
    return lambda scores, targets: original(scores, targets) / torch.tensor(10.0).log()


def _lambda_for_two_lambda(original: Any) -> Any:
    def half(self: losses.Penalty, weights: list[torch.Tensor]) -> None:
        for w in weights:
            assert w.grad is not None
            w.grad.add_(w.detach(), alpha=self.strength * self.quadratic)

    return half


def _without_replacement_forgotten(original: Any) -> Any:
    return lambda s, n, b: s / b


def _without_maximum(original: Any) -> Any:
    def forward(self: MLP, x: torch.Tensor) -> torch.Tensor:
        for layer in self.hidden:
            x = layer(x)
        scores: torch.Tensor = self.output(x)
        return scores

    return forward


def _without_half(original: Any) -> Any:
    return lambda *arguments: 2 * original(*arguments)


def _without_a_layer(original: Any) -> Any:
    def kernel(*arguments: Any, **options: Any) -> torch.Tensor:
        parts = empirical_ntk(*arguments, **options, per_layer=True)
        assert isinstance(parts, dict)
        _, *others = parts.values()
        return sum(others[1:], others[0])

    return kernel


def _twice_as_fast(original: Any) -> Any:
    return lambda H, u0, t, **options: gradient_flow(H, u0, 2 * t, **options)


def _half_the_step(original: Any) -> Any:
    return lambda *arguments: max_step(*arguments) / 2


def _edges_inside(original: Any) -> Any:
    return lambda *arguments, **settings: build_bins(*arguments, **{**settings, "outer": "inside"})


def _left_ends(original: Any) -> Any:
    return lambda *arguments, **settings: build_bins(*arguments, **{**settings, "heights": "left"})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("place", "name", "fault", "point", "claim"),
    [
        (slides, "cross_entropy", _base_10, "loss_of_0.13", "loss_of_probability_0.13"),
        (MLP, "forward", _without_maximum, "layers", "two_layers_are_their_formula"),
        (losses.Penalty, "add_gradient_", _lambda_for_two_lambda, "penalty_gradients", "gradient_of_l2"),
        (sgd_vs_gd, "predicted_noise", _without_replacement_forgotten, "minibatch_noise",
         "gradient_noise_batch_512"),
        (ntk_members, "squared_error", _without_half, "linear_regression",
         "linearized_training_is_linear_regression"),
        (ntk_members, "empirical_ntk", _without_a_layer, "positive_definite", "kernel_is_gram_matrix"),
        (ntk_claims, "gradient_flow", _twice_as_fast, "modes", "flow_decays_mode_by_mode"),
        (ntk_members, "max_step", _half_the_step, "largest_step", "linearization_at_1.05_eta_max"),
        (approx_bins, "build_bins", _edges_inside, "ends", "towers_with_outer_edges_outside"),
        (approx_bins, "build_bins", _left_ends, "bins", "error_within_the_bound"),
    ],
)  # fmt: skip
def test_a_planted_fault_fails_its_claim(
    place: object,
    name: str,
    fault: Callable[[Any], Any],
    point: str,
    claim: str,
    small: None,
    undrawn: None,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    command = ("lecture", "--only", point, "--runs", tmp_path)
    code, out, _ = nnlab(capsys, monkeypatch, *command)
    verdicts = {row["claim"]: row["verdict"] for row in open_run(out.splitlines()[-1]).summary["results"]}
    assert (code, verdicts[claim]) == (0, "PASS")
    monkeypatch.setattr(place, name, fault(getattr(place, name)))
    code, out, err = nnlab(capsys, monkeypatch, *command)
    verdicts = {row["claim"]: row["verdict"] for row in open_run(out.splitlines()[-1]).summary["results"]}
    assert (code, verdicts[claim]) == (1, "FAIL")
    assert claim in err
