"""The experiment `approx`, part by part: what it claims, what it writes, and that its verdicts can fail."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnlab.approximation.bins import build_bins
from nnlab.approximation.targets import make_target
from nnlab.chapters.approximation.bins import experiment as approx_bins
from nnlab.chapters.approximation.bins.setup import BinsSettings, build_line
from nnlab.chapters.approximation.certified import step_constant
from nnlab.chapters.approximation.steps import experiment as approx_steps
from nnlab.chapters.experiments import EXPERIMENTS
from nnlab.errors import Interrupted
from nnlab.lab import runner
from nnlab.lab.config import apply_sets, check, read_source
from nnlab.lab.session import Outcome, Session, Silence
from nnlab.plot.text import at_most
from nnlab.record import Record, Run, open_run

QUICK_SUMS = ("sums.dimensions=[1,2]", "sums.terms=[4,8]", "sums.seeds=3")


@pytest.fixture(autouse=True)
def figures_drawn(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the figures; drawing them is tested once."""
    names: list[str] = []
    monkeypatch.setattr(Record, "save_figure", lambda self, figure, name: names.append(name))
    return names


def run(folder: Path, *sets: str, session: Session | None = None) -> Run:
    source = read_source("approx")
    apply_sets(source, sets)
    summary = runner.run(check(source, EXPERIMENTS), folder, session or Session())
    return open_run(Path(summary["run_dir"]))


def claims(found: Run) -> dict[str, dict[str, Any]]:
    return {claim["name"]: claim for claim in found.summary["claims"]}


@pytest.mark.slow
def test_everything_out_of_the_box(tmp_path: Path, figures_drawn: list[str]) -> None:
    """The lecture's figures, and every claim passes."""
    found = run(tmp_path, *QUICK_SUMS)
    verdicts = {name: claim["verdict"] for name, claim in claims(found).items()}
    assert set(verdicts.values()) == {"PASS"}, verdicts
    assert set(figures_drawn) == {
        "perceptron", "perceptron_mistakes", "xor_training", "steps", "step_distance", "single_bin",
        "bins", "bins_200", "five_bins", "error_curves", "error_over_bins", "towers_ends",
        "sigmoid_output",
        "surface", "sums", "side_by_side",
    }  # fmt: skip
    rows = found.summary["results"]
    kinds = {row["construction"].split(",")[0] for row in rows}
    assert kinds == {"staircase", "isolated towers", "quadrant thresholds", "Cybenko sum"}
    assert all(row["error_lower"] <= row["error_upper"] for row in rows if row.get("error_upper") is not None)
    towers, off, quadrants = (row for row in rows if row["construction"].startswith(("isolated", "quadrant")))
    assert towers["error_lower"] > 0.9  # the hill's height is lost at a corner
    assert off["error_upper"] < 0.25
    assert quadrants["error_upper"] < 0.25


class Told(Silence):
    """A reporter that keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, message: str) -> None:
        self.lines.append(message)


def test_the_number_of_bins_is_answered_before_all_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the first part is run, with the certificate that the summary has too."""
    reporter, before = Told(), list[str]()

    def steps(record: Record) -> Outcome:
        before.extend(reporter.lines)
        return Outcome({})

    monkeypatch.setattr(approx_steps, "run", steps)
    done = run(tmp_path, "parts=[steps,bins]", "target=x^2", "epsilon=0.05", session=Session(reporter))
    (answer,) = before
    assert answer.startswith("an error of at most 0.05 on [0, 1] takes N = 20 bins (19 hidden units)")
    row = done.summary["results"][0]
    assert (row["bins"], row["bound"]) == (20, pytest.approx(0.05, rel=1e-9))
    assert f"certified error {at_most(row['error_upper'], 4)}" in answer
    assert "L = 2 is certified" in answer


def test_an_error_that_is_attained_is_not_said_to_be_larger(tmp_path: Path) -> None:
    """5 bins of |x − ½| reach 0.1 exactly; of 1 bin there are not many."""
    for target, start in (
        ("|x−½|", "takes N = 5 bins (4 hidden units): certified error 0.1,"),
        ("3", "takes N = 1 bin (1 hidden unit): certified error "),
    ):
        reporter = Told()
        config = BinsSettings(experiment="approx", target=target, epsilon=0.1)
        line = build_line(config, Session(reporter))
        assert line is not None
        approx_bins.answer(config, line, Session(reporter))
        assert reporter.lines[0].startswith("an error of at most 0.1 on [0, 1] " + start)


def test_histograms_that_look_the_same_are_drawn_once(tmp_path: Path, figures_drawn: list[str]) -> None:
    run(tmp_path / "a", "parts=[bins]", "target=x^2", "epsilon=0.05")
    assert {"bins_20", "five_bins"} <= {*figures_drawn}
    assert not {"bins", "bins_21"} & {*figures_drawn}
    figures_drawn.clear()
    run(tmp_path / "b", "parts=[bins]", "bins=[5, 20]")
    assert {"bins", "bins_20", "five_bins"} <= {*figures_drawn}
    assert "bins_5" not in figures_drawn
    figures_drawn.clear()
    run(tmp_path / "c", "parts=[bins]", "bins=[5]", "construction=hats", "activation=relu")
    assert {"bins_5", "five_bins"} <= {*figures_drawn}  # hats look otherwise


@pytest.mark.slow
def test_the_same_config_gives_the_same_numbers(tmp_path: Path) -> None:
    first, second = (run(tmp_path, "parts=[bins,sums]", *QUICK_SUMS) for _ in range(2))
    assert first.summary["results"] == second.summary["results"]
    assert first.summary["claims"] == second.summary["claims"]
    assert first.summary["predictions_sha256"] == second.summary["predictions_sha256"]


def test_each_seed_draws_its_own_sums(tmp_path: Path) -> None:
    first, second = (run(tmp_path, f"seed={s}", "parts=[sums]", *QUICK_SUMS) for s in (0, 1))
    assert first.summary["results"] != second.summary["results"]


@pytest.mark.parametrize(
    ("target", "slope", "curvature"),
    [("x", 1.0, 0.0), ("sine", 2 * np.pi, 4 * np.pi**2), ("tent", 2.0, None), ("x^3", 3.0, 6.0)],
)
def test_predictions_follow_from_the_expression(
    tmp_path: Path, target: str, slope: float, curvature: float | None
) -> None:
    found = run(tmp_path, "parts=[bins]", f"target={target}", "bins=[4,8]")
    predicted = json.loads((found.folder / "predictions.json").read_text())["bins"]
    assert predicted["lipschitz"] == pytest.approx(slope, rel=1e-8)
    assert predicted["bounds"] == pytest.approx([slope / 8, slope / 16], rel=1e-8)
    assert predicted["answers"]["0.1"] == int(np.ceil(slope / 0.2 - 1e-9))
    held = claims(found)
    assert held["error_within_the_bound"]["verdict"] == "PASS"
    assert ("interpolation_within_the_bound" in held) == bool(curvature)
    if curvature:
        assert f"{curvature:.6g}" in " ".join(held["interpolation_within_the_bound"]["hypotheses"])


def test_a_wrong_construction_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Heights read at left ends but sold as midpoints: the bound L/2N is broken and seen."""

    def wrong(*arguments: Any, **settings: Any) -> Any:
        return build_bins(*arguments, **{**settings, "heights": "left"})

    monkeypatch.setattr(approx_bins, "build_bins", wrong)
    found = claims(run(tmp_path, "parts=[bins]", "target=x", "epsilon=0.1"))
    assert found["error_within_the_bound"]["verdict"] == "FAIL"
    assert found["enough_bins"]["verdict"] == "FAIL"
    assert found["one_bin_more"]["verdict"] == "FAIL"


def test_a_wrong_rate_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(*arguments: Any, **settings: Any) -> Any:
        return build_bins(*arguments, **{**settings, "construction": "staircase"})

    monkeypatch.setattr(approx_bins, "build_bins", wrong)
    found = claims(run(tmp_path, "parts=[bins]"))
    assert found["interpolation_within_the_bound"]["verdict"] == "FAIL"
    assert found["interpolation_constant"]["verdict"] == "FAIL"


@pytest.mark.parametrize(
    "sets",
    [
        ("target=100000+x",),
        ("target=1e5+1e-3*x",),
        ("target=x^2+1e6",),
        ("target=abs(x-0.3)+1e4", "epsilon=0.01"),
        ("target=0.5+1e-9*x",),
        ("target=x", "interval=[1e6,1000001]"),
    ],
)
def test_rounding_fails_no_theorem(tmp_path: Path, sets: tuple[str, ...]) -> None:
    """Large offsets, level and steep slopes, far intervals: what float64 does is no part of the theory."""
    found = claims(run(tmp_path, "parts=[bins]", "bins=[5, 200]", *sets))
    assert {claim["verdict"] for claim in found.values()} == {"PASS"}
    assert {"error_within_the_bound", "error_of_a_line", "bins_needed_from_left_ends"} <= {*found}


def test_rounding_that_hides_an_error_decides_nothing(tmp_path: Path) -> None:
    found = claims(run(tmp_path, "target=1e14+sin(3*x)", "parts=[bins]"))
    for name in ("interpolation_constant", "histogram_constant", "towers_with_outer_edges_outside"):
        assert found[name]["verdict"] == "INCONCLUSIVE"


def test_a_kink_is_not_smooth() -> None:
    """f'' is bounded over each cell, but f' jumps where two of them meet."""
    for target, smooth in (
        ("tent", False),
        ("x^2+x*abs(x-0.5)", False),
        ("abs(x-0.3)", False),
        ("x^3", True),
    ):
        line = build_line(BinsSettings(experiment="approx", target=target), Session())
        assert line is not None
        assert (approx_bins.bends(line) is not None) == smooth, target


def test_the_error_at_an_edge() -> None:
    """Between straight heights, as the network of many bins shows it far from both ends."""
    target = make_target("x")
    for activation in ("sigmoid", "tanh", "ripple"):
        network = build_bins(target, 40, activation=activation).network
        x = np.linspace(0.45, 0.55, 100_001)
        shown = np.abs(network.values(x[:, None]) - x).max() * 80
        assert step_constant(activation) == pytest.approx(shown, abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("construction", ["staircase", "towers", "hats"])
@pytest.mark.parametrize("epsilon", [0.1, 0.01])
def test_enough_bins_for_epsilon(tmp_path: Path, construction: str, epsilon: float) -> None:
    sets = ("parts=[bins]", "target=runge", f"epsilon={epsilon}", f"construction={construction}")
    found = run(tmp_path, *sets)
    held = claims(found)
    assert {held[name]["verdict"] for name in ("enough_bins", "one_bin_more")} == {"PASS"}
    assert found.summary["results"][0]["bins"] == int(np.ceil(6.4951905 / (2 * epsilon)))


def test_the_bins_that_epsilon_needs_come_last() -> None:
    """The claims on ε are about the last two, whatever other numbers of bins are asked for."""
    source = read_source("approx")
    apply_sets(source, ("target=x", "epsilon=0.1", "bins=[6,9]"))
    config = check(source, EXPERIMENTS)
    assert isinstance(config, BinsSettings)
    line = build_line(config, Session())
    assert line is not None
    assert line.bins == (9, 5, 6)


def test_a_sigmoid_output(tmp_path: Path, figures_drawn: list[str]) -> None:
    found = run(tmp_path, "parts=[bins]", "output=sigmoid", "epsilon=0.02")
    held = claims(found)
    assert {held[name]["verdict"] for name in ("enough_bins", "one_bin_more")} == {"PASS"}
    assert "sigmoid_output" in figures_drawn
    assert found.summary["results"][0]["error_upper"] <= 0.02
    arrays = found.arrays()
    assert np.all(np.abs(1 / (1 + np.exp(-arrays["sigmoid_output/inner"])) - 0.5) < 0.5)


def test_a_target_of_points(tmp_path: Path) -> None:
    (tmp_path / "points.csv").write_text("x,y\n-1,0\n0,2\n3,-1\n")
    found = run(tmp_path, "parts=[bins]", f"target={tmp_path / 'points.csv'}", "epsilon=0.1")
    row = found.summary["results"][0]
    assert row["interval"] == [-1.0, 3.0]
    assert row["lipschitz"] == pytest.approx(2.0)
    assert row["bins"] == 40  # ⌈2 · 4/(2 · 0.1)⌉
    assert row["error_upper"] <= 0.1 * (1 + 1e-9)


def test_two_and_three_variables(tmp_path: Path, figures_drawn: list[str]) -> None:
    found = run(tmp_path, "target=x1*x2", "surface.cells=4", "parts=[bins,surface,sums]", *QUICK_SUMS)
    assert set(figures_drawn) == {"surface", "sums"}
    assert {row["construction"].split(" ")[0] for row in found.summary["results"]} == {
        "isolated", "quadrant", "Cybenko",
    }  # fmt: skip
    figures_drawn.clear()
    run(tmp_path, "target=x1*x2*x3", "parts=[sums]", *QUICK_SUMS)
    assert set(figures_drawn) == {"sums"}


@pytest.mark.parametrize("after", [0, 1, 3])
def test_it_can_be_stopped(tmp_path: Path, after: int) -> None:
    """It ends between two networks, with what to do."""

    class Stopping(Session):
        asked = 0

        def stop(self) -> bool:
            self.asked += 1
            return self.asked > after

    with pytest.raises(Interrupted, match="nnlab train --resume"):
        run(tmp_path, "parts=[steps,bins]", session=Stopping())
    (folder,) = (tmp_path / "approx").iterdir()
    assert open_run(folder).status == "interrupted"


@pytest.mark.parametrize(
    "sets", [("bins=[1]",), ("target='3'", "bins=[2]"), ("interval=[-7.5,-7.25]", "bins=[3]")]
)
def test_small_and_odd(tmp_path: Path, sets: tuple[str, ...]) -> None:
    found = run(tmp_path, "parts=[bins]", *sets)
    assert {claim["verdict"] for claim in found.summary["claims"]} == {"PASS"}


def test_resume_computes_it_again(tmp_path: Path) -> None:
    class Stopping(Session):
        def stop(self) -> bool:
            return True

    with pytest.raises(Interrupted):
        run(tmp_path, "parts=[bins]", "bins=[3]", session=Stopping())
    (folder,) = (tmp_path / "approx").iterdir()
    summary = runner.resume(folder, Session(experiments=EXPERIMENTS))
    assert summary["status"] == "finished"
    assert summary["results"][0]["bins"] == 3
