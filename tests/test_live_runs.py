"""What the live lab reads of run folders: all of it, as it grows, and nothing else; it writes nothing."""

import json
import math
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnlab.live import runs as listing
from nnlab.live import tail as tailing
from nnlab.live.runs import Runs
from nnlab.live.tail import POINTS, Tail
from tests.hostile_runs import TEXTS, hostile_run
from tests.many_runs import growing, row, run_folder, tree

if sys.platform == "win32":
    pytest.skip("run folders have no locks on Windows", allow_module_level=True)

SECRET = "the-secret-of-another-folder"


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each question is answered by a new look."""
    monkeypatch.setattr(listing, "FRESH", 0.0)


def by_key(runs: Runs) -> dict[str, dict[str, Any]]:
    return {row["key"]: row for row in runs.rows()}


def test_a_row_says_what_a_run_did(tmp_path: Path) -> None:
    run_folder(tmp_path / "classify" / "20260101-120000-digits-s0", name="digits", seed=7)
    (one,) = Runs(tmp_path).rows()
    assert one["key"] == "classify/20260101-120000-digits-s0"
    assert (one["name"], one["seeds"], one["status"]) == ("digits", "7", "finished")
    assert (one["metric"], one["result"], one["value"]) == ("test/accuracy", "90.00%", 0.9)


def test_300_folders_of_which_20_grow_are_listed_within_a_second_and_left_as_they_are(tmp_path: Path) -> None:
    folders = [
        run_folder(
            tmp_path / f"experiment{i % 7}" / f"2026-{i:03}", status="running" if i < 20 else "finished"
        )
        for i in range(300)
    ]
    Runs(tmp_path / "nothing").rows()  # imports what the first list needs, as the server does when it starts
    with growing(folders[:20]) as files:
        before, runs, began = tree(tmp_path), Runs(tmp_path), time.perf_counter()
        first = by_key(runs)
        assert time.perf_counter() - began < 1.0
        assert len(first) == 300
        assert sum(one["status"] == "running" for one in first.values()) == 20
        runs.curves(list(first)[:20], None)
        runs.differences(list(first)[:20])
        assert tree(tmp_path) == before
        for file in files:
            file.write(row(77))
            file.flush()
        before, began = tree(tmp_path), time.perf_counter()
        again = by_key(runs)
        assert time.perf_counter() - began < 0.5
        assert {one["progress"] for one in again.values() if "progress" in one} == {
            f"epoch 77, step 77, loss {1 / 78:.4g}"
        }
        assert tree(tmp_path) == before


def test_a_run_that_nobody_holds_is_killed_and_one_that_ends_is_read_again(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "a", status="running")
    runs = Runs(tmp_path)
    assert by_key(runs)["a"]["status"] == "killed"
    with growing([folder]):
        assert by_key(runs)["a"]["status"] == "running"
    (folder / "summary.json").write_text((folder / "summary.json").read_text().replace("running", "diverged"))
    assert by_key(runs)["a"]["status"] == "diverged"


def test_runs_come_and_go(tmp_path: Path) -> None:
    runs = Runs(tmp_path)
    assert runs.rows() == []
    run_folder(tmp_path / "a")
    run_folder(tmp_path / "b" / "c")
    assert set(by_key(runs)) == {"a", "b/c"}
    (tmp_path / "a" / "summary.json").unlink()
    assert set(by_key(runs)) == {"b/c"}
    with pytest.raises(KeyError):
        runs.folder("a")


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"name": 1}', '{"a":' * 5000, "\x00" * 100])
def test_a_damaged_run_is_listed_as_one(tmp_path: Path, content: str) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "summary.json").write_text(content)
    (one,) = Runs(tmp_path).rows()
    assert one["status"] == "damaged"
    assert str(tmp_path) not in one["message"]


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_what_a_run_says_is_short_text_and_numbers(text: str, tmp_path: Path) -> None:
    hostile_run(tmp_path / "run", text)
    runs = Runs(tmp_path)
    for content in (runs.rows(), runs.curves(["run"], None), runs.differences(["run"])):
        written = json.dumps(content, allow_nan=False, ensure_ascii=False)
        assert len(written) < 100_000
        assert not set("\u202e\u2066\x07\x1b\ud800") & set(written)


NAMES = [
    "a b",
    "<img src=x onerror=alert(1)>",
    "ü",
    "a%2fb",
    "..a",
    "-x",
    "a\nb",
    "'\"",
    "x" * 200,
    "a\\b",
    "~a",
    "?#&",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_key_is_safe_in_an_address_and_finds_its_run(tmp_path: Path, name: str) -> None:
    folder = run_folder(tmp_path / name / name, name="plain")
    runs = Runs(tmp_path)
    (one,) = runs.rows()
    assert set(one["key"]) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/")
    assert runs.folder(one["key"]) == folder.resolve()
    assert len(one["folder"]) <= listing.NAME + 1


def test_a_name_that_is_no_unicode_has_a_key(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path) + b"/caf\xe9"
    run_folder(Path(os.fsdecode(folder)), name="plain")
    (one,) = Runs(tmp_path).rows()
    json.dumps(one, ensure_ascii=False).encode()


PATHS = [
    "..", "../outside", "classify/../../outside", "/etc", "//etc", "classify", "", ".", "classify/", "a\x00b",
    "%2e%2e", "~", "classify//run", "./classify/run", "classify/run/../run", "classify/run/s0",
]  # fmt: skip


@pytest.mark.parametrize("key", PATHS)
def test_a_path_is_no_key(tmp_path: Path, key: str) -> None:
    run_folder(tmp_path / "runs" / "classify" / "run")
    run_folder(tmp_path / "outside", name=SECRET)
    runs = Runs(tmp_path / "runs")
    with pytest.raises(KeyError):
        runs.folder(key)
    assert runs.curves([key], None)["runs"] == {}
    assert runs.differences([key])["runs"] == {}


def test_links_are_followed_nowhere(tmp_path: Path) -> None:
    outside = run_folder(tmp_path / "outside", name=SECRET, metrics={SECRET: 1})
    (outside / "metrics.jsonl").write_text("".join(f'{{"step": {i}, "{SECRET}": {i}}}\n' for i in range(5)))
    root = tmp_path / "runs"
    run_folder(root / "real", seeds=[0, 1], members=["s0", "../outside", "s1"])
    run_folder(root / "real" / "s0")
    (root / "real" / "s1").symlink_to(outside)
    (root / "link").symlink_to(outside)
    (root / "folder").symlink_to(tmp_path)
    for name in ("summary.json", "metrics.jsonl", "config.yaml"):
        part = run_folder(root / name.partition(".")[0])
        (part / name).unlink()
        (part / name).symlink_to(outside / name)
    runs = Runs(root)
    keys = [one["key"] for one in runs.rows()]
    assert sorted(keys) == ["config", "metrics", "real", "summary"]
    for content in (runs.rows(), runs.curves(keys, None), runs.curves(keys, SECRET), runs.differences(keys)):
        assert SECRET not in json.dumps(content)


def test_pipes_in_the_places_of_files_keep_nobody_waiting(tmp_path: Path) -> None:
    for name in ("summary.json", "metrics.jsonl", "config.yaml"):
        folder = run_folder(tmp_path / name.partition(".")[0], status="running")
        (folder / name).unlink()
        os.mkfifo(folder / name)
    runs = Runs(tmp_path)
    keys = [one["key"] for one in runs.rows()]
    assert runs.curves(keys, None)["whole"]
    runs.differences(keys)


# --- curves ---------------------------------------------------------------------------------------------


def lines_of(content: dict[str, Any], key: str) -> dict[str, list[float]]:
    lines = content["runs"][key]["lines"]
    return {f"{line['seed']} {line['split']}".strip(): line["points"] for line in lines}


def test_the_curves_of_a_run_that_grows(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "a", rows=2)
    runs = Runs(tmp_path)
    assert lines_of(runs.curves(["a"], None), "a") == {"train": [0, 1, 1, 0.5]}
    with open(folder / "metrics.jsonl", "a") as file:
        file.write(row(2, 3.0) + row(2, 4.0, "val") + '{"step": 3, "lo')
    assert lines_of(runs.curves(["a"], "loss"), "a") == {"train": [0, 1, 1, 0.5, 2, 3], "val": [2, 4]}
    with open(folder / "metrics.jsonl", "a") as file:
        file.write('ss": 7, "split": "val"}\n')
    assert lines_of(runs.curves(["a"], "loss"), "a")["val"] == [2, 4, 3, 7]


def test_a_resume_that_writes_other_rows_is_read_anew(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "a", rows=50)
    runs = Runs(tmp_path)
    runs.curves(["a"], None)
    whole = (folder / "metrics.jsonl").read_text().splitlines(keepends=True)
    with open(folder / "metrics.jsonl", "r+") as file:  # the same file: shorter, then longer than before
        file.truncate(len("".join(whole[:20])))
        file.seek(0, os.SEEK_END)
        file.write("".join(row(step, 2.0) for step in range(20, 90)))
    points = lines_of(runs.curves(["a"], None), "a")["train"]
    assert points[::2] == list(range(90))
    assert set(points[41::2]) == {2.0}


def test_groups_show_every_seed_and_the_one_that_runs(tmp_path: Path) -> None:
    run_folder(tmp_path / "g", seeds=[0, 1, 2], members=["s0"])
    for name in ("s0", "s1"):
        run_folder(tmp_path / "g" / name, rows=1)
    names = lines_of(Runs(tmp_path).curves(["g"], None), "g")
    assert list(names) == ["0 train", "1 train"]


def test_lines_that_are_left_out_are_told(tmp_path: Path) -> None:
    seeds = listing.SEEDS + 2
    run_folder(tmp_path / "g", seeds=list(range(seeds)), members=[f"s{seed}" for seed in range(seeds)])
    for seed in range(seeds):
        run_folder(tmp_path / "g" / f"s{seed}", rows=1)
    many = run_folder(tmp_path / "many", rows=0)
    parts = "".join(row(0, split=f"part {part}") for part in range(tailing.LINES + 1))
    (many / "metrics.jsonl").write_text(parts)
    run_folder(tmp_path / "few")
    found = Runs(tmp_path).curves(["g", "many", "few"], None)["runs"]
    assert {key: (len(run["lines"]), run["left_out"]) for key, run in found.items()} == {
        "g": (listing.SEEDS, True), "many": (tailing.LINES, True), "few": (1, False),
    }  # fmt: skip


def test_a_long_file_is_read_in_parts_without_a_pause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "READING", 0.0)
    monkeypatch.setattr(tailing, "ROW_BYTES", 2**14)
    run_folder(tmp_path / "a", rows=5000)
    runs, answers = Runs(tmp_path), list[dict[str, Any]]()
    while not answers or not answers[-1]["whole"]:
        answers.append(runs.curves(["a"], None))
    assert len(answers) > 5
    assert answers[-1]["runs"]["a"]["rows"] == 5000


def test_of_many_rows_the_extremes_stay(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "a", rows=0)
    values = np.sin(np.arange(50_000) / 3000)
    values[34_567], values[45_678] = 9.0, -9.0
    rows = "".join(row(step, value) for step, value in enumerate(values.tolist()))
    (folder / "metrics.jsonl").write_text(rows)
    tail = Tail(folder / "metrics.jsonl")
    tail.read(60)
    points = np.array(tail.lines["loss"]["train"].points()).reshape(-1, 2)
    assert len(points) <= POINTS + 10
    assert {(34_567, 9), (45_678, -9), (0, 0)} <= {(a, b) for a, b in points.tolist()}
    assert (np.diff(points[:, 0]) > 0).all()
    assert np.diff(points[:, 0]).max() < 400  # nowhere a gap
    np.testing.assert_allclose(points[:, 1], values[points[:, 0].astype(int)], rtol=1e-4)


def test_memory_has_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tailing, "KEPT", 1000)
    folder = run_folder(tmp_path / "a", rows=0)
    splits = ["".join(row(step, math.sin(step), split) for step in range(3000)) for split in ("train", "val")]
    (folder / "metrics.jsonl").write_text("".join(splits))
    tail = Tail(folder / "metrics.jsonl")
    tail.read(60)
    kept = [line.steps for line in tail.lines["loss"].values()]
    assert sum(map(len, kept)) <= 1000
    assert [(steps[0], steps[-1]) for steps in kept] == [(0, 2999), (0, 2999)]


@pytest.mark.parametrize(
    ("line", "rows"),
    [
        (b"x" * 3_000_000 + b"\n", 3), (b'{"step": 1e999, "loss": 1}\n', 4), (b"[1]\n", 3), (b"\xff\n", 3),
        (b'{"step": 1, "loss": NaN}\n', 4), (b'{"step": true, "loss": 1}\n', 4), (b"\n\n\n", 3),
        (b'{"step": ' + b"9" * 5000 + b"}\n", 3), (b'{"step": 2, "loss": ' + b"9" * 400 + b"}\n", 4),
        (b'{"a":' * 100_000 + b"\n", 3), (b'{"step": 1, "a": {"b": 1}}\n', 3),
    ],
    ids=lambda value: repr(value)[:20],
)  # fmt: skip
def test_a_line_that_is_no_row_costs_no_other(tmp_path: Path, line: bytes, rows: int) -> None:
    folder = run_folder(tmp_path / "a", rows=2)
    with open(folder / "metrics.jsonl", "ab") as file:
        file.write(line + row(2).encode())
    runs = Runs(tmp_path)
    while not (content := runs.curves(["a"], None))["whole"]:
        pass
    assert content["runs"]["a"]["rows"] == rows
    assert lines_of(content, "a")["train"][::2] == [0, 1, 2]


def test_where_configs_differ(tmp_path: Path) -> None:
    for name, lr in (("a", "0.1"), ("b", "0.2")):
        folder = run_folder(tmp_path / name, name="same", metrics={"test/loss": float(lr)})
        (folder / "config.yaml").write_text(f"experiment: classify\nseed: 0\noptimizer: {{lr: {lr}}}\n")
    found = Runs(tmp_path).differences(["a", "b"])
    assert (found["keys"], found["metrics"]) == (["optimizer.lr"], ["test/loss"])
    assert found["runs"]["b"] == {"config": ["0.2"], "metrics": ["0.2"]}
