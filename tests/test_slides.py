"""The worked numbers of the lecture: all hold."""

from pathlib import Path

import pytest

from nnlab.chapters.experiments import EXPERIMENTS
from nnlab.lab import runner
from nnlab.lab.config import check, read_source
from nnlab.lab.session import Session


def verdicts(runs: Path, seed: int = 0) -> dict[str, str]:
    source = read_source("slides")
    source.override(("seed",), seed, "--seed")
    summary = runner.run(check(source, EXPERIMENTS), runs, Session())
    return {claim["name"]: claim["verdict"] for claim in summary["claims"]}


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_everything_on_the_slides_holds(seed: int, tmp_path: Path) -> None:
    found = verdicts(tmp_path, seed)
    assert len(found) == 14
    assert set(found.values()) == {"PASS"}
