"""Run folders whose files are odd, torn or somebody else's: marked, left out or refused, all in words."""

import io
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nnlab.errors import RunFolderError
from nnlab.files import read_whole
from nnlab.record import find_run, find_runs, open_run
from nnlab.record.arrays import read_arrays
from nnlab.record.reading import ROW_BYTES, Rows, read_json
from nnlab.record.summary import LONGEST_TEXT, fault
from nnlab.training.checkpoint import check_optimizer, read_checkpoint

CLAIM = {
    "name": "c",
    "sentence": "s",
    "verdict": "PASS",
    "predicted": [0, None],
    "measured": 0.5,
    "interval": [0.4, 0.6],
}
GOOD: dict[str, Any] = {
    "status": "finished",
    "name": "a",
    "seed": 0,
    "metrics": {"test/loss": 1.5, "n": None},
}
GROUP = {"seeds": [0, 1], "members": ["s0"], "metrics": {"x": {"mean": None, "interval": [None, None]}}}

# --- the form of a summary ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        {},
        GROUP,
        {"claims": [CLAIM]},
        {"claims": [CLAIM | {"seeds": 3, "own": {"x": [1]}}]},
        {"results": [{"a": 1, "b": "x", "c": None, "d": [0.5, None], "e": True, "f": ["x", "y"]}]},
        {"model": {"parameters": 10**9}, "warnings": ["w"], "notes": [], "verdicts": {"c": {"PASS": 2}}},
        {"later": {"a": [{"b": None}]}, "run_dir": None, "wall_seconds": 3, "message": ""},
        {"schema_version": 1, "seed": 2**63 - 1, "metrics": {"x": 10**300}},
        {"precision": "float32"},
    ],
    ids=str,
)
def test_summaries_that_are_good(fields: dict[str, Any]) -> None:
    assert fault(GOOD | fields) is None


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"metrics": {"x": {}}}, "metrics.x: must be a number, null, or mean and interval over seeds"),
        ({"metrics": {"x": "y"}}, "metrics.x: must be a number"),
        ({"metrics": {"x": True}}, "metrics.x: must be a number"),
        ({"metrics": {"x": int("9" * 4_000)}}, "metrics.x: must be a number"),
        ({"metrics": {"x": float("inf")}}, "metrics.x: must be a number"),
        ({"metrics": {"x": {"mean": 1, "interval": [0]}}}, "metrics.x: must be a number"),
        ({"metrics": {"x" * 5_000: 1}}, "must be text of 1 to 1,000 characters"),
        ({"metrics": []}, "metrics: must be a valid dictionary"),
        ({"claims": [{**CLAIM, "verdict": None}]}, "claims.0.verdict: must be text"),
        ({"claims": [{k: v for k, v in CLAIM.items() if k != "verdict"}]}, "claims.0.verdict: is missing"),
        ({"claims": [CLAIM, 3]}, "claims.1: must be a valid dictionary"),
        (
            {"claims": [CLAIM | {"interval": [0, "x"]}]},
            "claims.0.interval: must be the two ends of an interval",
        ),
        ({"claims": [CLAIM | {"rivals": {"r": [1, 2, 3]}}]}, "claims.0.rivals.r: must be a number, null"),
        ({"claims": [CLAIM | {"own": json.loads("[" * 90 + "]" * 90)}]}, "own: is nested too deeply"),
        ({"results": {"a": 1}}, "results: must be a valid list"),
        ({"results": [{"a": {"b": 1}}]}, "results.0.a: must be a number, text"),
        ({"results": [{"a": [[1]]}]}, "results.0.a: must be a number, text"),
        ({"warnings": "x"}, "warnings: must be a valid list"),
        ({"notes": [1]}, "notes.0: must be text"),
        ({"message": "x" * 10**7}, f"message: must be text of at most {LONGEST_TEXT:,} characters"),
        ({"later": "x" * 10**7}, "later: is nested too deeply, or holds a text or number too long"),
        ({"later": [10**3_000]}, "later: is nested too deeply, or holds a text or number too long"),
        ({"later": json.loads("[" * 50 + "]" * 50)}, "later: is nested too deeply"),
        ({"seed": 0.5}, "seed: must be a whole number"),
        ({"seed": 2**64}, "seed: must be a whole number"),
        ({"status": "well"}, "status: must be 'running'"),
        ({"name": ""}, "name: must be text"),
        ({"schema_version": 2}, "schema_version: must be 1; a newer nnlab may have written it"),
        ({"wall_seconds": -1}, "wall_seconds: "),
        ({"seeds": [0]}, "seeds and members: must both be there"),
        ({"seeds": [], "members": []}, "seeds: "),
        ({"verdicts": {"c": {"PASS": "x"}}}, "verdicts.c.PASS: must be"),
    ],
)
def test_summaries_that_are_odd(fields: dict[str, Any], said: str) -> None:
    problem = fault(GOOD | fields)
    assert problem is not None
    assert said in problem
    assert len(problem) < 500
    assert "Input" not in problem


@pytest.mark.parametrize("content", [None, 3, [], "x", {}])
def test_no_summary_at_all(content: object) -> None:
    assert fault(content)


def folder_of(runs: Path, folder_name: str, /, **fields: Any) -> Path:
    folder = runs / "classify" / folder_name
    folder.mkdir(parents=True)
    (folder / "summary.json").write_text(json.dumps(GOOD | fields))
    return folder


def test_one_odd_summary_does_not_hide_the_others(tmp_path: Path) -> None:
    for number in range(3):
        folder_of(tmp_path, f"run{number}")
    folder_of(tmp_path, "odd", metrics={"x": {}})
    assert [run.folder.name for run in find_runs(tmp_path)] == ["run0", "run1", "run2"]


# --- finding a run -----------------------------------------------------------------------------------


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Five runs of two configs, and a group; the folder that holds them is the current one's `runs`."""
    monkeypatch.chdir(tmp_path)
    for name, config, began in (
        ("20260101-120000-digits-s0", "digits", "2026-01-01T12:00:00+00:00"),
        ("20260102-120000-digits-s1", "digits", "2026-01-02T12:00:00+00:00"),
        ("20260103-120000-xor-s0", "xor", "2026-01-03T12:00:00+02:00"),
        ("mine", "xor", "2026-01-03T11:00:00+00:00"),
        ("copied", "blobs", "no time"),
    ):
        folder_of(tmp_path / "runs", name, name=config, started=began)
    group = folder_of(tmp_path / "runs", "20260101-000000-g-s0x2", name="g", **GROUP)
    (group / "s0").mkdir()
    (group / "s0" / "summary.json").write_text(json.dumps(GOOD))
    return tmp_path / "runs"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("last", "mine"),  # an hour after the other, which has another time zone
        ("digits", "20260102-120000-digits-s1"),
        ("xor", "mine"),
        ("mine", "mine"),
        ("0102", "20260102-120000-digits-s1"),
        ("20260101-120000-digits-s0", "20260101-120000-digits-s0"),
        ("digits-s0", "20260101-120000-digits-s0"),
        ("classify/mine", "mine"),
        ("runs/classify/mine", "mine"),
        ("runs/classify/mine/summary.json", "mine"),
        ("g/s0", "s0"),
        ("g", "20260101-000000-g-s0x2"),
        ("copied", "copied"),
        ("blobs", "copied"),
    ],
)
def test_a_run_by_its_name(text: str, found: str, runs: Path) -> None:
    assert find_run(text).folder.name == found
    assert find_run(text, runs).folder.name == found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("digit", "digit: 2 runs have that in their names; write more of it:"),
        ("s0", "s0: 3 runs have that"),
        ("digist", "no run under runs has that name; did you mean digits?"),
        ("no/such", "no run under runs"),
        ("g/s1", "g/s1: no such folder"),
        ("", "is not a run folder"),
        ("a\x00b", "no run under runs has that name"),
        ("n" * 5_000, "no run under runs has that name"),
        ("/nowhere", "/nowhere: no such folder"),
    ],
)
def test_a_name_of_none_or_of_several(text: str, said: str, runs: Path) -> None:
    with pytest.raises(RunFolderError) as error:
        find_run(text)
    assert said in str(error.value)


def test_a_path_that_exists_wins(runs: Path) -> None:
    Path("xor").mkdir()
    with pytest.raises(RunFolderError, match=r"xor: is not a run folder: it has no summary\.json"):
        find_run("xor")
    Path("last").mkdir()
    (Path("last") / "summary.json").write_text(json.dumps(GOOD | {"name": "by path"}))
    assert find_run("last").summary["name"] == "by path"


def test_the_last_run_is_damaged(runs: Path) -> None:
    folder_of(runs, "20270101-000000-x-s0", metrics=3)
    with pytest.raises(RunFolderError, match="is not the summary of a run: metrics"):
        find_run("last")


def test_members_that_are_gone_or_damaged(runs: Path) -> None:
    folder = runs / "classify" / "20260101-000000-g-s0x2"
    summary = json.loads((folder / "summary.json").read_text()) | {"members": ["s0", "s1", "../mine", "s2"]}
    (folder / "summary.json").write_text(json.dumps(summary))
    (folder / "s2").mkdir()
    (folder / "s2" / "summary.json").write_text("{")
    members, faults = open_run(folder).members()
    assert [member.folder.name for member in members] == ["s0"]
    assert [fault.split(":")[0] for fault in faults] == ["s1", "../mine", str(folder / "s2" / "summary.json")]
    assert open_run(folder / "s0").members() == ([open_run(folder / "s0")], [])


# --- metrics.jsonl -----------------------------------------------------------------------------------

BAD_LINES: tuple[bytes, ...] = (
    b'{"step": 1, "lo',
    b"\xff\xfe\x00",
    b"[1]",
    b"3",
    b'{"a": {"b": 1}}',
    b'{"a": [1]}',
    b"[" * 100_000,
    b'{"a": ' + b"9" * 5_000 + b"}",
    b"x" * (3 * ROW_BYTES),
    b"{" * 50_000,
)


def test_lines_that_are_no_rows_are_counted(tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    good = [{"step": i, "loss": 1 / (i + 1)} for i in range(len(BAD_LINES) + 1)]
    lines = [json.dumps(row).encode() for row in good]
    mixed = [line for pair in zip(lines, BAD_LINES, strict=False) for line in pair] + [lines[-1], b"", b"  "]
    file.write_bytes(b"\n".join(mixed))
    rows = Rows(file)
    for _ in range(2):  # the count is that of one reading
        assert list(rows) == good
        assert rows.unreadable == len(BAD_LINES)


def test_rows_up_to_an_offset(tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    lines = [json.dumps({"step": i}).encode() + b"\n" for i in range(5)]
    file.write_bytes(b"".join(lines))
    for count in range(6):
        assert list(Rows(file, sum(map(len, lines[:count])))) == [{"step": i} for i in range(count)]
    assert list(Rows(tmp_path / "none")) == []


# --- arrays.npz --------------------------------------------------------------------------------------


def npz(**arrays: Any) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


def with_header(shape: str, descr: str = "<f8", data: bytes = b"\0" * 16) -> bytes:
    """An npz file with an array whose header says what is not so."""
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}}}".encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    content = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + data
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a.npy", content)
    return stream.getvalue()


def test_arrays_are_what_numpy_reads(tmp_path: Path) -> None:
    arrays: dict[str, Any] = {
        "a/b": np.arange(6.0).reshape(2, 3),
        "c": np.array("text"),
        "d": np.zeros((0, 3)),
        "e": np.array(3),
        "f": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "g": np.array(["é", "long"]),
    }
    (tmp_path / "arrays.npz").write_bytes(npz(**arrays))
    read = read_arrays(tmp_path / "arrays.npz")
    with np.load(tmp_path / "arrays.npz") as stored:
        assert read.keys() == set(stored.files) == arrays.keys()
        for name in arrays:
            np.testing.assert_array_equal(read[name], stored[name])
            assert (read[name].dtype, read[name].shape) == (stored[name].dtype, stored[name].shape)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK torn",
        b"\x93NUMPY",
        npz(a=np.zeros(100))[:-30],
        npz(a=np.array([{}], dtype=object)),
        with_header("(1000000000000,)"),
        with_header("(3,)"),
        with_header("(2, -1)"),
        with_header("'x'"),
        with_header("(2,)", "O"),
        with_header("(2,)", "V99999999"),
        with_header("__import__('os')"),
        with_header("(" * 500 + ")" * 500),
        with_header("(2,)").replace(b"NUMPY", b"NUMPX"),
    ],
    ids=[
        "empty",
        "torn",
        "no archive",
        "cut short",
        "objects",
        "too large",
        "fewer numbers",
        "negative shape",
        "text as shape",
        "object type",
        "huge type",
        "code as shape",
        "nested shape",
        "other magic",
    ],  # not the bytes, which hold the time
)
def test_array_files_that_are_damaged(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "arrays.npz").write_bytes(content)
    with pytest.raises(RunFolderError, match=r"arrays\.npz: is damaged or no file of arrays"):
        read_arrays(tmp_path / "arrays.npz")


def test_arrays_beyond_the_limit_are_not_unpacked(tmp_path: Path) -> None:
    (tmp_path / "arrays.npz").write_bytes(npz(a=np.zeros(10**6)))
    with pytest.raises(RunFolderError, match="its arrays take more than 1,000 bytes"):
        read_arrays(tmp_path / "arrays.npz", 1_000)


# --- other files -------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
def test_what_is_no_ordinary_file_keeps_nobody_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for place in (tmp_path / "pipe", Path("/dev/zero"), tmp_path):
        with pytest.raises(OSError, match=r"ordinary|directory"):
            read_whole(place, 100)
        with pytest.raises(RunFolderError, match="cannot be read"):
            read_json(place)
    (tmp_path / "x").write_bytes(b"12345")
    assert read_whole(tmp_path / "x", 5) == b"12345"
    with pytest.raises(OSError, match="its 5 bytes are more than 4"):
        read_whole(tmp_path / "x", 4)


def test_numbers_that_json_lacks_are_none(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"a": NaN, "b": [Infinity, -Infinity, 1]}')
    assert read_json(tmp_path / "x.json") == {"a": None, "b": [None, None, 1]}


# --- checkpoints -------------------------------------------------------------------------------------


def saved(content: object) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream)
    return stream.getvalue()


def packed(content: bytes) -> bytes:
    """The same archive, compressed: a small file may then hold terabytes."""
    stream = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(content)) as source,
        zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as target,
    ):
        for name in source.namelist():
            target.writestr(name, source.read(name))
    return stream.getvalue()


WEIGHTS = {"w": torch.ones(3)}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "it is no archive of torch"),
        (b"garbage" * 100, "it is no archive of torch"),
        (saved({"model": WEIGHTS})[:-100], "cut short"),
        (saved([1]), "it holds no model"),
        (saved({"model": WEIGHTS, "epoch": "x"}), "its field epoch is of type str"),
        (saved({"model": WEIGHTS, "position": 3}), "its field position is of type int"),
        (saved({"model": {"w": 1.0}}), "something else than tensors"),
        (saved({"model": None}), "model is of type NoneType"),
        (
            saved({"model": WEIGHTS, "x": Path("x")}),
            "it holds something else than tensors, numbers and texts",
        ),
        (packed(saved({"model": WEIGHTS})), "its content is packed"),
        (
            saved({"model": WEIGHTS}).replace(b"\x00\x00\x80\x3f" * 3, b"\x00\x00\x80\x40" * 3),
            "a part of it was changed",
        ),
    ],
)
def test_checkpoints_that_are_damaged(content: bytes, said: str, tmp_path: Path) -> None:
    file = tmp_path / "last.pt"
    file.write_bytes(content)
    with pytest.raises(RunFolderError) as error:
        read_checkpoint(file)
    assert f"{file}: is damaged or no checkpoint of nnlab" in str(error.value)
    assert said in str(error.value)
    assert "weights_only" not in str(error.value)


def test_a_checkpoint_that_is_whole(tmp_path: Path) -> None:
    (tmp_path / "best.pt").write_bytes(saved({"model": WEIGHTS, "epoch": 3, "later": [1, "x", None]}))
    assert torch.equal(read_checkpoint(tmp_path / "best.pt")["model"]["w"], WEIGHTS["w"])
    with pytest.raises(RunFolderError, match="no such checkpoint"):
        read_checkpoint(tmp_path / "none.pt")


@pytest.mark.parametrize("kind", ["sgd", "adam", "lbfgs"])
def test_an_optimizer_state_that_fits_and_others(kind: str) -> None:
    parameters = [torch.nn.Parameter(torch.ones(2, 3)), torch.nn.Parameter(torch.ones(2))]
    optimizer = {
        "sgd": lambda: torch.optim.SGD(parameters, lr=0.1, momentum=0.9),
        "adam": lambda: torch.optim.Adam(parameters, lr=0.1),
        "lbfgs": lambda: torch.optim.LBFGS(parameters, lr=0.1),
    }[kind]()

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = torch.stack([(p - 3).square().sum() for p in parameters]).sum()
        value.backward()
        return value

    for _ in range(2):
        optimizer.step(loss)  # type: ignore[arg-type]
    check_optimizer(optimizer)
    (group,) = optimizer.param_groups
    group["lr"] = "0.1"
    with pytest.raises(ValueError, match="lr of the optimizer is str"):
        check_optimizer(optimizer)
    del group["lr"]
    with pytest.raises(ValueError, match="the optimizer has no lr"):
        check_optimizer(optimizer)
    group["lr"] = 0.1
    name = next(
        key for key, value in optimizer.state[parameters[0]].items() if isinstance(value, torch.Tensor)
    )
    for odd in (torch.zeros(7), "x"):
        optimizer.state[parameters[0]][name] = odd
        with pytest.raises(ValueError, match=f"{name} of the optimizer does not fit"):
            check_optimizer(optimizer)
