"""The table of planted faults, and faults that must turn their claims to FAIL."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from nnlab.chapters.lecture import beyond, plan
from nnlab.chapters.lecture.faults import Fault, read_faults

ROOT = Path(__file__).parent.parent
FAULTS = read_faults()
QUICK = (
    "half_the_bins", "threshold_of_1", "cross_entropy_in_base_10", "gradients_not_added_up",
    "filter_not_turned", "no_activation_between", "pixels_moved_back", "smoothing_is_dropped",
    "slope_of_sigmoid",
)  # fmt: skip
"""Faults of several chapters that take a second or two each."""


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_changes_one_place_and_names_its_claims(fault: Fault) -> None:
    assert (ROOT / fault.file).read_text("utf-8").count(fault.before) == 1
    assert fault.after != fault.before
    assert "\n" not in fault.before
    assert fault.lesson in {**plan.LESSONS, **beyond.LESSONS}
    assert fault.words
    assert fault.words.endswith(".")
    assert fault.fails


def test_faults_have_names_of_their_own() -> None:
    assert [name for name, count in Counter(fault.name for fault in FAULTS).items() if count > 1] == []


def test_the_quick_ones_are_in_the_table() -> None:
    assert set(QUICK) <= {fault.name for fault in FAULTS}


@pytest.mark.slow
def test_planted_faults_fail_their_claims() -> None:
    """All of them with NNLAB_FAULTS=all, which takes minutes."""
    chosen = [] if os.environ.get("NNLAB_FAULTS") == "all" else ["--only", *QUICK]
    command = [sys.executable, str(Path(__file__).parent / "plant_faults.py"), *chosen]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
