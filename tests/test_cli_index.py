"""The index of `nnlab runs list`: the same list, read again only where something has changed."""

import json
import os
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from nnlab.cli import index
from nnlab.record import reading
from tests.command_line import nnlab

SUMMARY: dict[str, Any] = {"status": "finished", "name": "a", "seed": 0, "metrics": {"test/loss": 1.5}}


def write(folder: Path, **fields: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "summary.json").write_text(json.dumps(SUMMARY | fields))


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Eight runs: of four of them a row can be kept."""
    monkeypatch.setattr(index, "MANY", 1)
    monkeypatch.setattr(index, "SETTLED_NS", 0)
    for number in range(4):
        write(tmp_path / "classify" / f"run{number}", seed=number)
    write(tmp_path / "classify" / "killed", status="running")
    write(tmp_path / "classify" / "odd", metrics={"x": {}})
    write(tmp_path / "classify" / "group", seeds=[0], members=["s0"])
    write(tmp_path / "classify" / "group" / "s0")
    return tmp_path


def listed(runs: Path) -> tuple[str, int]:
    """The list, and the number of summaries that were read for it."""
    with mock.patch.object(reading, "read_json", wraps=reading.read_json) as read:
        result = nnlab("runs", "list", "--runs", runs)
    assert (result.code, result.err) == (0, "")
    return result.out, read.call_count


def test_the_second_list_is_the_first_and_reads_less(runs: Path) -> None:
    first, read = listed(runs)
    assert read == 8
    assert first.startswith("7 runs, 1 of them damaged\n")
    second, read = listed(runs)
    assert (second, read) == (first, 4)  # the one that is killed, the odd one, the group and its member


def test_what_has_changed_is_read(runs: Path) -> None:
    listed(runs)
    write(runs / "classify" / "run1", seed=77)
    write(runs / "classify" / "new", seed=88)
    (runs / "classify" / "run2" / "summary.json").unlink()
    out, read = listed(runs)
    assert read == 6
    assert " 77 " in out
    assert " 88 " in out
    assert "run2" not in out


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b'{"version": 1}',
        b'{"version": 1, "rows": []}',
        b'{"version": 2, "rows": {}}',
        b"[" * 100_000,
        b'{"version": 1, "rows": {"classify/run0": [1, 2, "a"], "classify/run1": 3}}',
    ],
)
def test_an_index_that_is_damaged_is_written_anew(content: bytes, runs: Path) -> None:
    first, _ = listed(runs)
    (runs / index.FILE).write_bytes(content)
    assert listed(runs) == (first, 8)
    assert listed(runs) == (first, 4)


def test_rows_of_another_form_are_not_believed(runs: Path) -> None:
    first, _ = listed(runs)
    stored = json.loads((runs / index.FILE).read_text())
    odds: list[list[Any]] = [[3], ["x", "y", "z", 4], ["t"]]
    for key, odd in zip(stored["rows"], odds, strict=False):
        stored["rows"][key] = [*stored["rows"][key][:2], *odd]
    (runs / index.FILE).write_text(json.dumps(stored))
    assert listed(runs)[0] == first


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
def test_an_index_that_cannot_be_read_or_written(runs: Path) -> None:
    first, _ = listed(runs)
    (runs / index.FILE).unlink()
    (runs / index.FILE).mkdir()
    assert listed(runs) == (first, 8)
    (runs / index.FILE).rmdir()
    os.mkfifo(runs / index.FILE)
    assert listed(runs)[0] == first
    with mock.patch.object(index, "replace_file", side_effect=OSError(30, "Read-only file system")):
        (runs / index.FILE).unlink()
        assert listed(runs)[0] == first


def test_few_runs_and_young_ones_leave_no_file(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "SETTLED_NS", 10**18)
    listed(runs)
    assert not (runs / index.FILE).exists()
    monkeypatch.setattr(index, "SETTLED_NS", 0)
    monkeypatch.setattr(index, "MANY", 500)
    listed(runs)
    assert not (runs / index.FILE).exists()


def test_a_run_that_is_killed_is_asked_each_time(runs: Path) -> None:
    from nnlab.record import MetricsLog

    assert "killed" in listed(runs)[0]
    log = MetricsLog(runs / "classify" / "killed" / "metrics.jsonl")
    try:
        assert "running" in listed(runs)[0]
    finally:
        log.close()
    assert "running" not in listed(runs)[0]
