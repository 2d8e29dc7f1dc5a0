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
    claim = {"name": SECRET, "sentence": SECRET, "verdict": "PASS"}
    claim |= {"predicted": 1, "measured": 1, "interval": [1, 1]}
    facts = {"name": SECRET, "experiment": SECRET, "seed": 0, "status": "finished", "metrics": {SECRET: 1}}
    (folder / "summary.json").write_text(json.dumps(facts | {"claims": [claim]}))
    return folder


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_nothing_that_a_run_says_becomes_a_tag(text: str, tmp_path: Path) -> None:
    calm = Reader(page_of(hostile_run(tmp_path / "calm", "word"))).tags
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
    assert len(page) < 2**20


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
