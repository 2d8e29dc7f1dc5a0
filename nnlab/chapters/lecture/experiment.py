"""The whole lecture: each of its experiments, and each of its sentences against its measurement."""

import fnmatch
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from nnlab.chapters.lecture.beyond import LESSONS as LESSONS_BEYOND
from nnlab.chapters.lecture.beyond import POINTS as POINTS_BEYOND
from nnlab.chapters.lecture.plan import LESSONS, POINTS, Lesson, Overstatement, Point
from nnlab.errors import ExperimentError, InputError, Interrupted, NnlabError, suggest
from nnlab.lab import runner
from nnlab.lab.config import check, read_source
from nnlab.lab.sections import Distinct, Experiment
from nnlab.lab.session import Outcome, Session
from nnlab.record import Record, find_runs
from nnlab.theory import Claim, judge


class Config(Experiment):
    """Runs the lecture's experiments one after the other, and gathers their claims."""

    experiment: Literal["lecture"]
    only: Annotated[list[str], Distinct] = Field([], description="points of the lecture; empty for all")
    full: bool = Field(False, description="more seeds, widths and steps")
    beyond: bool = Field(False, description="the statements beyond the lecture, in place of its own points")

    def run(self, record: Record, session: Session) -> Outcome:
        """Runs the lessons that the chosen points need, each in a run folder of its own inside the lecture's.

        A lesson that fails does not keep the others from running.

        Raises:
            ExperimentError: lessons failed; the message names them.
        """
        points = chosen(self.only, beyond=self.beyond)
        lessons = (LESSONS_BEYOND if self.beyond else LESSONS).values()
        wanted = [lesson for lesson in lessons if any(point.lesson == lesson.name for point in points)]
        configs = {lesson.name: experiment_of(lesson, self, session.experiments) for lesson in wanted}
        record.start()
        summaries: dict[str, dict[str, Any]] = {}
        failures: dict[str, str] = {}
        for number, (name, lesson_config) in enumerate(configs.items(), 1):
            if session.stop():
                raise Interrupted(f"interrupted before the lesson {name}")
            session.reporter.say(f"{name} ({number} of {len(configs)})")
            try:
                summaries[name] = _lesson(lesson_config, record.folder / "runs", session)
            except Interrupted as error:
                raise Interrupted(f"interrupted in the lesson {name}") from error
            except ExperimentError as error:
                failures[name] = str(error).splitlines()[0]
                session.reporter.say(f"{name} failed: {failures[name]}")
            else:
                session.reporter.say("  " + _counted(summaries[name]["claims"]))
        claims, rows = [], []
        for point in points:
            if point.lesson in summaries:
                for claim, row in _of_point(point, summaries[point.lesson], record.folder):
                    claims.append(claim)
                    rows.append(row)
        if failures:
            record.finish("failed", results=rows, claims=[claim.as_dict() for claim in claims])
            raise ExperimentError("; ".join(f"{name}: {message}" for name, message in failures.items()))
        seconds = {f"{name}/seconds": float(summary["wall_seconds"]) for name, summary in summaries.items()}
        return Outcome(seconds, rows, claims)


def chosen(only: Sequence[str], *, beyond: bool = False) -> list[Point]:
    """Returns the points of those names, in the lecture's order; all of them where none is named.

    Args:
        only: their names.
        beyond: takes the statements beyond the lecture.

    Raises:
        InputError: no point has one of the names.
    """
    points = POINTS_BEYOND if beyond else POINTS
    names = [point.name for point in points]
    for name in only:
        if name not in names:
            raise InputError(f"only: {name}: {suggest(name, names)}")
    return [point for point in points if not only or point.name in only]


def experiment_of(lesson: Lesson, config: Config, experiments: Mapping[str, type[Experiment]]) -> Experiment:
    """Returns the checked config of a lesson: the shipped one, with the lecture's settings and seed."""
    source = read_source(lesson.config)
    settings = {**lesson.settings, **(lesson.full if config.full else {}), "seed": config.seed}
    for key, value in {"name": lesson.name, **settings}.items():
        source.override(tuple(key.split(".")), value, f"lesson {lesson.name}, {key}")
    return check(source, experiments)


def _lesson(config: Experiment, runs: Path, session: Session) -> dict[str, Any]:
    """Runs a lesson, resumes it, or reads its summary where it is finished."""
    begun = [run for run in find_runs(runs) if run.summary["name"] == config.name]
    if not begun:
        return runner.run(config, runs, session)
    run = next((run for run in begun if run.status == "finished"), begun[-1])
    if run.status == "diverged":
        raise ExperimentError(str(run.summary.get("message", "the lesson diverged")))
    return run.summary if run.status == "finished" else runner.resume(run.folder, session)


def _of_point(point: Point, summary: dict[str, Any], folder: Path) -> list[tuple[Claim, dict[str, Any]]]:
    """Returns the claims of a point with their rows, last the overstatement."""
    matching = [
        Claim(**{**claim, "interval": tuple(claim["interval"])})
        for claim in summary["claims"]
        if any(fnmatch.fnmatchcase(claim["name"], pattern) for pattern in point.claims)
    ]
    if not matching:
        raise NnlabError(f"{point.name}: the lesson {point.lesson} made none of its claims")
    run = Path(summary["run_dir"]).relative_to(folder).as_posix()
    judged = [(claim, _row(point, claim, run)) for claim in matching]
    if point.overstated is not None:
        measured = next(claim for claim in matching if claim.name == point.overstated.claim)
        claim = _as_said(point, point.overstated, measured)
        listed = {
            "refuted": True,
            "against": measured.name,
            "holds": point.overstated.holds,
            "hypotheses": list(point.overstated.hypotheses),
            "place": point.overstated.place,
        }
        judged.append((claim, _row(point, claim, run) | listed))
    return judged


def _as_said(point: Point, overstated: Overstatement, measured: Claim) -> Claim:
    """Judges the overstatement by the same measurement as the statement that does hold."""
    verdict, reason = judge(overstated.predicted, {}, measured.interval)
    return replace(
        measured,
        name=f"{point.name}_as_said",
        sentence=overstated.sentence,
        predicted=overstated.predicted,
        rivals={},
        rule=f"{measured.rule.partition(':')[0]}: {reason}.",
        verdict=verdict,
    )


def _row(point: Point, claim: Claim, run: str) -> dict[str, Any]:
    values = claim.as_dict()
    return {
        "section": point.section,
        "point": point.name,
        "title": point.sentence,
        "claim": claim.name,
        "run": run,
        **{key: values[key] for key in ("sentence", "predicted", "measured", "interval", "verdict")},
        "refuted": False,
    }


def unexpected(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Returns the claims that fail and are not listed as refuted."""
    return [row["claim"] for row in rows if row["verdict"] == "FAIL" and not row["refuted"]]


def _counted(claims: Sequence[dict[str, Any]]) -> str:
    counts = Counter(claim["verdict"] for claim in claims)
    return ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
