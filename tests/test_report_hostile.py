"""What a page does with run folders that somebody else made: all of it is text, and nothing else is read."""

import json
import os
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnlab.chapters.pages import CHAPTERS
from nnlab.errors import RunFolderError
from nnlab.page import build_page
from nnlab.page import data as report_data
from nnlab.record import open_run
from tests.command_line import nnlab
from tests.hostile_runs import TEXTS, hostile_run
from tests.page_reader import Reader

SECRET = "the-secret-of-another-folder"


def page_of(folder: Path) -> str:
    return build_page([open_run(folder)], CHAPTERS, title=folder.name)


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """A run whose summary holds nothing but what it must."""
    folder = tmp_path / "plain"
    folder.mkdir()
    facts = {"name": "plain", "experiment": "xor", "seed": 0, "status": "finished", "metrics": {"a": 1}}
    (folder / "summary.json").write_text(json.dumps(facts))
    return folder


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder that no page may read."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "config.yaml").write_text(f"# {SECRET}\n")
    (folder / "metrics.jsonl").write_text("".join(f'{{"step": {i}, "{SECRET}": {i}}}\n' for i in range(5)))
    (folder / "x.svg").write_text(f"<svg><dc:title>{SECRET}</dc:title></svg>")
    arrays: dict[str, Any] = {SECRET: np.arange(3)}
    np.savez(folder / "arrays.npz", **arrays)
    claim: dict[str, Any] = {"name": SECRET, "sentence": SECRET, "verdict": "PASS"}
    claim |= {"predicted": 1, "measured": 1, "interval": [1, 1]}
    facts = {"name": SECRET, "experiment": SECRET, "seed": 0, "status": "finished", "metrics": {SECRET: 1}}
    (folder / "summary.json").write_text(json.dumps(facts | {"claims": [claim]}))
    return folder


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_nothing_that_a_run_says_becomes_a_tag(text: str, tmp_path: Path) -> None:
    calm_page = page_of(hostile_run(tmp_path / "calm", "word"))
    calm = Reader(calm_page).tags
    page = build_page([open_run(hostile_run(tmp_path / "run", text))], CHAPTERS, title=text)
    page.encode()  # no half characters
    tags = Reader(page).tags

    def count(found: list[tuple[str, dict[str, str | None]]], *names: str) -> int:
        return sum(tag in names for tag, _ in found)

    names = ("script", "style", "img", "svg", "base", "meta", "link", "iframe", "object", "form", "title")
    drawn = len([t for t in tags if t[0] in names]) - len([t for t in calm if t[0] in names])
    assert drawn == 0, {name: count(tags, name) for name in names}
    attributes = [(key, value or "") for _, found in tags for key, value in found.items()]
    assert not any(key.startswith("on") for key, _ in attributes)
    addresses = [value for key, value in attributes if key in ("href", "src")]
    assert all(address.startswith(("data:", "#")) for address in addresses)
    assert "root:x:" not in page
    assert not set("\u202e\u2066\x07\x1b") & set(page)
    assert len(page) < len(calm_page) + 3 * 2**18


def test_a_run_named_script_is_written_by_the_command(tmp_path: Path) -> None:
    folder = hostile_run(tmp_path / "<script>alert(1)<", TEXTS["half a character"])
    result = nnlab("report", folder)
    assert result.code == 0, result.err
    page = (folder / "report.html").read_text("utf-8")
    assert "&lt;script&gt;alert(1)&lt;" in page


@pytest.mark.parametrize("name", ["config.yaml", "metrics.jsonl", "arrays.npz", "figures/x.svg"])
def test_a_link_that_leads_out_of_the_folder_is_not_read(plain: Path, outside: Path, name: str) -> None:
    (plain / "figures").mkdir()
    (plain / name).symlink_to(outside / Path(name).name)
    assert SECRET not in page_of(plain)


def test_a_folder_of_figures_elsewhere_is_not_read(plain: Path, outside: Path) -> None:
    (plain / "figures").symlink_to(outside)
    assert SECRET not in page_of(plain)


def test_a_summary_elsewhere_is_refused(plain: Path, outside: Path) -> None:
    (plain / "summary.json").unlink()
    (plain / "summary.json").symlink_to(outside / "summary.json")
    with pytest.raises(RunFolderError, match="leads out of the run folder"):
        page_of(plain)
    result = nnlab("report", plain)
    assert (result.code, SECRET in result.err) == (2, False)


@pytest.mark.parametrize("member", ["../outside", "link", "/etc", "", ".", "..", "a\x00b", "x" * 5_000])
def test_members_of_a_group_are_its_own(plain: Path, outside: Path, member: str) -> None:
    (plain / "link").symlink_to(outside)
    summary = json.loads((plain / "summary.json").read_text())
    summary |= {"seeds": [0], "members": [member, str(outside)]}
    (plain / "summary.json").write_text(json.dumps(summary))
    page = page_of(plain)
    assert SECRET not in page
    assert "is no run of this group" in page


def test_runs_of_a_lecture_are_its_own(plain: Path, outside: Path) -> None:
    summary = json.loads((plain / "summary.json").read_text())
    rows = [{"run": str(outside), "claim": "x", "said": "x"}]
    (plain / "summary.json").write_text(json.dumps(summary | {"experiment": "lecture", "results": rows}))
    (plain / "runs" / "xor").mkdir(parents=True)
    (plain / "runs" / "xor" / "link").symlink_to(outside)
    (plain / "runs" / "other").symlink_to(outside.parent)
    assert SECRET not in page_of(plain)


def test_names_inside_arrays_lead_nowhere(plain: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(3))
    with zipfile.ZipFile(plain / "arrays.npz", "w") as archive:
        for name in ("../../up.npy", "/etc/root.npy", "a/b.npy"):
            archive.write(tmp_path / "a.npy", name)
    names = [values["download"] for _, values in Reader(page_of(plain)).tags if "download" in values]
    assert names
    assert not any("/" in str(name) for name in names)


def test_pickled_arrays_are_not_loaded(plain: Path) -> None:
    np.savez(plain / "arrays.npz", a=np.array([{"x": 1}], dtype=object))
    assert "<h3>XOR</h3>" in page_of(plain)


def test_files_too_large_are_not_read(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (plain / "config.yaml").write_text("#" * (report_data.CONFIG_BYTES + 1))
    with open(plain / "metrics.jsonl", "wb") as file:
        file.truncate(report_data.FILE_BYTES + 1)  # a hole: it takes no room on the disk
    with zipfile.ZipFile(plain / "arrays.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", b"\0" * (2**20))
    monkeypatch.setattr(report_data, "ARRAY_BYTES", 2**19)
    page = page_of(plain)
    assert "config.yaml cannot be read" in page
    assert "arrays.npz cannot be read" in page


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
def test_a_pipe_in_place_of_a_file_does_not_wait(plain: Path) -> None:
    for name in ("config.yaml", "metrics.jsonl", "arrays.npz"):
        os.mkfifo(plain / name)
    assert "config.yaml cannot be read" in page_of(plain)


def test_old_and_incomplete_runs_are_shown_with_what_they_have(plain: Path) -> None:
    page = page_of(plain)
    for words in ("config.yaml cannot be read", "there are no figures", "<h3>XOR</h3>"):
        assert words in page
    shutil.rmtree(plain)
    plain.mkdir()
    (plain / "summary.json").write_text('{"name": "old", "seed": 0, "status": "running", "metrics": {}}')
    assert "the run is killed" in page_of(plain) or "the run is running" in page_of(plain)


def test_a_csv_cell_is_never_a_formula_of_a_spreadsheet() -> None:
    cells = [report_data._cell(value) for value in ("=cmd()", "+1", "-1", "@x", "plain", -1.5, None)]
    assert cells == ["'=cmd()", "'+1", "'-1", "'@x", "plain", -1.5, None]


def write_rows(folder: Path, rows: int) -> None:
    """Rows of two splits, every hundredth of them spoiled in one of ten ways."""
    bad = [
        "[" * 50_000,
        "{",
        '{"step": 1, "loss": {"a": [1]}}',
        "\x00\x01",
        "9" * 5_000,
        "3",
        '"x"',
        "null",
        "[]",
        "x",
    ]
    with (folder / "metrics.jsonl").open("w") as file:
        for i in range(rows):
            if i % 100 == 50:
                file.write(bad[i // 100 % 10] + "\n")
            huge = (
                {"loss": float("nan")}
                if i % 7 == 0
                else {"loss": 1 / (1 + i), "big": 10**4_000 if i == 8 else i}
            )
            file.write(
                json.dumps({"step": i, "epoch": i, "split": "train" if i % 2 else "val", **huge}) + "\n"
            )


@pytest.mark.parametrize("rows", [3_000, pytest.param(300_000, marks=pytest.mark.slow)])
def test_long_and_spoiled_metrics_stop_no_command(plain: Path, rows: int) -> None:
    write_rows(plain, rows)
    (plain / "config.yaml").write_text("experiment: xor\n")
    page = page_of(plain)
    assert f"{rows // 100:,} lines of metrics.jsonl cannot be read" in page
    metrics = report_data.metrics_of(open_run(plain))
    assert metrics is not None
    assert (metrics.count, metrics.unreadable) == (rows, rows // 100)
    drawn = metrics.curves()
    assert {len(line) <= 2 * report_data.POINTS for splits in drawn.values() for line in splits.values()} == {
        True
    }
    assert drawn["loss"]["train"][:2] == [1.0, 0.5]
    assert drawn["loss"]["train"][-2] in (rows - 1, rows - 3)
    assert nnlab("runs", "show", plain).code == 0
    result = nnlab("runs", "compare", plain, "--png", plain / "curves.png", draw=True)
    assert result.code == 0, result.err
    assert f"{rows // 100:,} lines of metrics.jsonl cannot be read" in result.err
    assert (plain / "curves.png").stat().st_size > 1_000


def figures(folder: Path) -> Path:
    (folder / "figures").mkdir()
    for name in ("good", "linked", "pipe", "huge", "device"):
        (folder / "figures" / f"{name}.svg").write_text("<svg/>")
    return folder / "figures"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
def test_figures_that_are_none_are_left_out_with_a_word(plain: Path, outside: Path) -> None:
    place = figures(plain)
    for name in ("linked", "pipe", "device"):
        (place / f"{name}.svg").unlink()
    (place / "linked.svg").symlink_to(outside / "x.svg")
    os.mkfifo(place / "pipe.svg")
    (place / "device.svg").symlink_to("/dev/zero")
    os.truncate(place / "huge.svg", 2**36)
    page = page_of(plain)
    assert page.count("data:image/svg+xml") == 1
    for name in ("linked", "pipe", "huge", "device"):
        assert f"figures/{name} is left out: a link that leads elsewhere" in page
    assert SECRET not in page


def test_a_folder_of_figures_that_is_a_link_is_said(plain: Path, outside: Path) -> None:
    (plain / "figures").symlink_to(outside)
    page = page_of(plain)
    assert "figures/ is left out: a link that leads elsewhere" in page
    assert SECRET not in page
    assert nnlab("runs", "show", plain).code == 0


def test_more_pictures_than_a_page_holds(plain: Path) -> None:
    (plain / "figures").mkdir()
    for number in range(report_data.PICTURES + 5):
        (plain / "figures" / f"{number:04}.svg").write_text("<svg/>")
    assert "There are 5 more pictures in the run folder." in page_of(plain)


def test_warnings_are_on_the_page_and_in_the_terminal(plain: Path) -> None:
    summary = json.loads((plain / "summary.json").read_text())
    (plain / "summary.json").write_text(json.dumps(summary | {"warnings": ["the figure <b> was not drawn"]}))
    assert "warning: the figure &lt;b&gt; was not drawn" in page_of(plain)
    assert "warning: the figure <b> was not drawn\n" in nnlab("runs", "show", plain).out


def test_a_damaged_run_inside_a_lecture_is_said(plain: Path) -> None:
    summary = json.loads((plain / "summary.json").read_text())
    (plain / "summary.json").write_text(json.dumps(summary | {"experiment": "lecture", "results": []}))
    for name, content in (("good", json.dumps(summary | {"name": "inner"})), ("odd", '{"metrics": 3}')):
        inner = plain / "runs" / "xor" / name
        inner.mkdir(parents=True)
        (inner / "summary.json").write_text(content)
    page = page_of(plain)
    assert "left out: " in page
    assert "runs/xor/odd/summary.json: is not the summary of a run: " in page
    assert "runs/xor/good/config.yaml" in page
