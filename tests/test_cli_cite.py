"""`nnlab cite`: the lab in the version that ran, and the literature behind the claims."""

import ast
import fnmatch
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from nnlab.chapters.lecture.plan import POINTS
from nnlab.lab.citing import AUTHOR, RELEASED, TITLE
from nnlab.record import Group, Record
from nnlab.theory.sources import _TABLE, REFERENCES, source_of
from tests.command_line import nnlab

ROOT = Path(__file__).parents[1]
REQUIRED = {
    "article": {"author", "title", "journal", "year"},
    "inproceedings": {"author", "title", "booktitle", "year"},
    "book": {"author", "title", "publisher", "year"},
    "misc": {"author", "title", "howpublished"},
}


def parsed(entry: str) -> tuple[str, str, dict[str, str]]:
    """Kind, key and fields of a BibTeX entry."""
    head = re.match(r"@(\w+)\{([\w.-]+),\n", entry)
    assert head, entry
    assert entry.count("{") == entry.count("}")
    fields = re.findall(r"(?:^|, )\s*(\w+) = \{((?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*)\}(?=,)", entry, re.M)
    return head[1], head[2], dict(fields)


def write_run(parent: Path, name: str, claims: list[str], version: str = "0.2.0", commit: str = "") -> Path:
    record = Record(parent, name, "experiment: approx\n", {"experiment": "approx", "name": name, "seed": 0})
    record.start()
    made = [
        {
            "name": claim, "sentence": "A sentence.", "formula": "", "hypotheses": [], "predicted": 1.0,
            "rivals": {}, "measured": 1.0, "interval": [1.0, 1.0], "seeds": 1, "rule": "", "verdict": "PASS",
        }
        for claim in claims
    ]  # fmt: skip
    record.finish("finished", claims=made)
    environment = {"versions": {"nnlab": version}, "git": {"commit": commit, "dirty": False}}
    (record.folder / "environment.json").write_text(json.dumps(environment), "utf-8")
    return record.folder


# --- the table ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", REFERENCES)
def test_every_reference_is_whole(key: str) -> None:
    kind, own, fields = parsed(REFERENCES[key])
    assert own == key
    assert fields.keys() >= REQUIRED[kind], key
    assert fields["year"] == re.sub(r"\D", "", key)
    surname = fields["author"].split(",")[0].lower()
    assert re.sub(r"[^a-z]", "", surname) == re.sub(r"[^a-z]|exact|fine", "", key)
    if "pages" in fields:
        first, last = map(int, fields["pages"].split("--"))
        assert first < last


def test_every_reference_is_used_and_every_use_is_there() -> None:
    used = {key for entry in _TABLE.values() if not isinstance(entry, str) for key in entry}
    assert used == REFERENCES.keys()


def names_of_claims() -> Iterator[str]:
    """The first argument of every call of a claim function in the chapters; what varies is a star."""
    for file in (ROOT / "nnlab/chapters").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            function = ast.unparse(node.func)
            if not function.endswith(("_claim", "_identity", "_sometimes")):
                continue
            first = node.args[0]
            if isinstance(first, ast.IfExp):
                first = first.body
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield first.value
            elif isinstance(first, ast.JoinedStr):
                yield "".join(
                    str(part.value) if isinstance(part, ast.Constant) else "X" for part in first.values
                )


def test_every_claim_of_the_chapters_has_a_source_or_says_why_not() -> None:
    claims = {name for name in names_of_claims() if name != "X"}
    assert len(claims) > 60
    for name in claims:
        open_name = name.replace("X", "*")  # one that the table lists one by one
        listed = any(fnmatch.fnmatch(other, open_name) for other in _TABLE)
        assert listed or source_of(name).note != "no source is noted", name


def test_every_claim_of_the_lecture_has_one() -> None:
    patterns = {pattern for point in POINTS for pattern in point.claims if pattern != "*"}
    known = [*_TABLE]
    for pattern in patterns:
        assert any(fnmatch.fnmatch(pattern, other) or fnmatch.fnmatch(other, pattern) for other in known), (
            pattern
        )


def test_a_claim_that_nobody_knows_is_said_to_have_no_source() -> None:
    assert source_of("a_claim_of_mine").note == "no source is noted"


def test_the_lab_is_cited_as_its_own_file_says() -> None:
    facts = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert TITLE.replace("{", "").replace("}", "") == facts["title"]
    assert AUTHOR.strip("{}") == facts["authors"][0]["name"]
    assert RELEASED[facts["version"]] == facts["date-released"].year


# --- the command ----------------------------------------------------------------------------------------


def entries(text: str) -> dict[str, dict[str, str]]:
    found = re.findall(r"^@.*?^\}$", text, re.DOTALL | re.MULTILINE)
    return {key: fields for _, key, fields in map(parsed, found)}


def test_a_run_is_cited_with_its_version_and_its_sources(tmp_path: Path) -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    run = write_run(tmp_path, "run", ["barron_in_2_dimensions", "height_of_a_bin", "mine @x{"], commit=commit)
    result = nnlab("cite", run)
    assert result.code == 0, result.err
    known = entries(result.out)
    assert [*known] == ["nnlab", "barron1993"]
    assert known["nnlab"]["note"] == f"Version 0.2.0, commit {commit}"
    assert known["nnlab"]["year"] == "2026"
    assert known["barron1993"]["pages"] == "930--945"
    assert "% height_of_a_bin: elementary" in result.out
    assert "% mine??x?: no source is noted" in result.out


def test_json_says_the_same(tmp_path: Path) -> None:
    run = write_run(tmp_path, "run", ["sums_of_tanh_come_nearer", "height_of_a_bin"])
    content: dict[str, Any] = json.loads(nnlab("cite", run, "--json").out)
    assert content["claims"]["sums_of_tanh_come_nearer"] == {
        "references": ["cybenko1989", "hornik1991"],
        "note": None,
    }
    assert content["claims"]["height_of_a_bin"]["references"] == []
    assert content["references"].keys() == {"cybenko1989", "hornik1991"}
    assert content["nnlab"].keys() == {"nnlab"}


def test_runs_of_two_versions_are_two_entries_and_groups_are_read(tmp_path: Path) -> None:
    group = Group(
        tmp_path, "group", "experiment: approx\n", {"experiment": "approx", "name": "g", "seed": 0}, [0]
    )
    group.start()
    group.add(write_run(group.folder, "s0", ["loss_falls_like_1_over_t"], version="0.1.0"))
    group.finish("finished", metrics={})
    result = nnlab("cite", group.folder, write_run(tmp_path, "new", ["loss_falls_like_1_over_t"]))
    assert [*entries(result.out)] == ["nnlab-0.1.0", "nnlab-0.2.0", "soudry2018"]


def test_a_run_without_claims_or_environment_cites_the_lab(tmp_path: Path) -> None:
    run = write_run(tmp_path, "run", [])
    (run / "environment.json").unlink()
    result = nnlab("cite", run)
    assert [*entries(result.out)] == ["nnlab"]
    assert "note" not in entries(result.out)["nnlab"]


@pytest.mark.parametrize("content", ["{", "[]", '{"versions": 3}', "x" * 100_000])
def test_a_damaged_environment_is_one_message(tmp_path: Path, content: str) -> None:
    run = write_run(tmp_path, "run", [])
    (run / "environment.json").write_text(content, "utf-8")
    result = nnlab("cite", run)
    assert result.code == 2
    assert "environment.json: is damaged" in result.err


def test_hostile_versions_do_not_leave_their_place(tmp_path: Path) -> None:
    run = write_run(tmp_path, "run", [], version="1}\n@book{x,\n", commit="}; rm -rf")
    assert [*entries(nnlab("cite", run).out)] == ["nnlab"]
