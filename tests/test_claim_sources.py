"""Where the numbers of claims come from: other code predicts than measures, and all of it can be imported."""

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import nnlab
from nnlab.chapters.experiments import EXPERIMENTS
from nnlab.chapters.lecture import beyond, plan
from nnlab.chapters.lecture.experiment import Config, experiment_of
from nnlab.lab import runner
from nnlab.lab.session import Session

CHAPTERS = Path(nnlab.__file__).parent / "chapters"
DOTTED = re.compile(r"[A-Za-z_]\w*(\.\w+)+")
IN_WORDS = ("closed form", "closed forms")


def texts() -> Iterator[tuple[str, str, str]]:
    """(file, keyword, text) of every predicted_by and measured_by that is written out in a chapter.

    Those that are put together from parts are left to the runs.
    """
    for file in sorted(CHAPTERS.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.keyword) and node.arg in ("predicted_by", "measured_by"):
                value = node.value
                for part in (value.body, value.orelse) if isinstance(value, ast.IfExp) else (value,):
                    if isinstance(part, ast.Constant) and isinstance(part.value, str):
                        yield file.name, node.arg, part.value


def problem(name: str) -> str:
    """Returns why a dotted name cannot be imported; empty where it can."""
    parts = name.split(".")
    for split in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:split]))
        except ModuleNotFoundError:
            continue
        for part in parts[split:]:
            if not hasattr(found, part):
                return f"{name}: there is no {part}"
            found = getattr(found, part)
        return ""
    return f"{name}: there is no such module"


def test_code_that_claims_name_is_there() -> None:
    wrong = [(file, keyword, found) for file, keyword, text in texts() for found in mistakes(text) if found]
    assert wrong == []


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("nnlab.theory.judge", ""),
        ("numpy.linalg.eigvalsh", ""),
        ("nnlab.models.MLP.forward", ""),
        ("nnlab.theory.judges", "there is no judges"),
        ("nowhere.at.all", "no such module"),
    ],
)
def test_problem(name: str, reason: str) -> None:
    assert reason in problem(name)
    assert bool(problem(name)) == bool(reason)


def mistakes(text: str) -> list[str]:
    """Returns what is wrong with a predicted_by or measured_by: a closed form in words, or dotted names."""
    if text.startswith(IN_WORDS):
        return []
    names = text.split(", ")
    return [problem(n) if DOTTED.fullmatch(n) else f"{n!r} is no dotted name" for n in names]


def test_claims_of_a_run_name_two_codes(tmp_path: Path) -> None:
    config = experiment_of(plan.LESSONS["slides"], Config(experiment="lecture"), EXPERIMENTS)
    for claim in runner.run(config, tmp_path, Session())["claims"]:
        assert not any(mistakes(claim["predicted_by"]) + mistakes(claim["measured_by"]))
        assert claim["predicted_by"] != claim["measured_by"]


def test_every_point_has_its_lesson() -> None:
    for chapter in (plan, beyond):
        assert {point.lesson for point in chapter.POINTS} <= set(chapter.LESSONS)
