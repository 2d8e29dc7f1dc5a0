"""The page: everything a run folder says is text on it, nothing is fetched, what is missing is said."""

import base64
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from nnlab.record import open_run
from nnlab.report import build_page
from nnlab.report.charts import claim_marks
from nnlab.report.data import POINTS, Room, curves, tables
from nnlab.report.numbers import shown
from nnlab.report.sections import section_of
from tests.command_line import nnlab

HOSTILE = [
    "<script>alert(1)</script>", "</script><script>alert(1)</script>", "\"><img src=x onerror=alert(1)>",
    "' onload='x", "{{ 7*7 }}", "{% include '/etc/passwd' %}", "javascript:alert(1)", "<!--", "-->", "]]>",
    "&lt;b&gt;", "\u2028", "../../../etc/passwd", "$(id)", "`id`", "a\nb", "\x07", "名前",
    "<svg/onload=alert(1)>", "</style><script>x</script>",
]  # fmt: skip


class Reader(HTMLParser):
    """Elements and addresses of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def addresses(self) -> list[str]:
        return [str(a[key]) for _, a in self.tags for key in ("src", "href") if a.get(key) is not None]


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs = tmp_path_factory.mktemp("runs")
    done = nnlab(
        "train",
        "--config",
        "softmax_digits",
        "--set",
        "training.epochs=3",
        "--runs",
        runs,
        "--quiet",
        draw=True,
    )
    assert done.code == 0, done.err
    return Path(done.last_line)


def copy_of(folder: Path, to: Path) -> Path:
    shutil.copytree(folder, to)
    return to


def change(folder: Path, **fields: object) -> None:
    file = folder / "summary.json"
    file.write_text(json.dumps(json.loads(file.read_text("utf-8")) | fields), "utf-8")


def test_a_page_holds_all_of_a_run_and_fetches_nothing(run_folder: Path) -> None:
    result = nnlab("report", run_folder)
    assert result.code == 0
    assert result.last_line == str(run_folder / "report.html")
    page = (run_folder / "report.html").read_text("utf-8")
    summary = open_run(run_folder).summary
    for claim in summary["claims"]:
        assert claim["verdict"] in page
    assert shown(summary["metrics"]["test/accuracy"], "test/accuracy") in page
    assert f"nnlab train --config {run_folder}/config.yaml" in page
    assert "1. Multi-class logistic regression" in page
    reader = Reader(page)
    assert all(address.startswith(("data:", "#")) for address in reader.addresses())
    pictures = [a for tag, a in reader.tags if tag == "img"]
    assert len(pictures) == len(list((run_folder / "figures").glob("*.svg")))
    assert all(picture["alt"] for picture in pictures)
    assert set(re.findall(r"https?://[^\s\"'`<]*", page)) == {
        "http://www.w3.org/2000/svg"
    }  # a name, no address
    assert len(page) < 8 * 2**20


def test_every_control_of_the_page_has_a_label(run_folder: Path) -> None:
    page = build_page([open_run(run_folder)])
    for kind in ("input", "select"):
        for match in re.finditer(f"<{kind}[^>]*>", page):
            before = page[: match.start()]
            assert before.rfind("<label") > before.rfind("</label>"), match.group()


def test_nothing_that_a_run_says_becomes_a_tag(run_folder: Path, tmp_path: Path) -> None:
    plain = Reader(build_page([open_run(run_folder)])).tags
    count = sum(tag == "script" for tag, _ in plain)
    for number, text in enumerate(HOSTILE):
        folder = copy_of(run_folder, tmp_path / f"r{number}")
        claim = {
            "name": text, "sentence": text, "formula": text, "hypotheses": [text], "predicted": text,
            "rivals": {text: 1.0}, "measured": 0.5, "interval": [0.1, 0.9], "rule": text, "verdict": text,
        }  # fmt: skip
        change(
            folder, name=text, experiment=text, message=text, claims=[claim], metrics={text: text},
            results=[{text: text}], status="failed",
        )  # fmt: skip
        (folder / "config.yaml").write_text(f"# {text}\n", "utf-8")
        (folder / "metrics.jsonl").write_text(
            "".join(json.dumps({"step": i, "split": text, text: i}) + "\n" for i in range(3)), "utf-8"
        )
        np.savez(folder / "arrays.npz", safe=np.arange(3))
        page = build_page([open_run(folder)], title=text)
        tags = Reader(page).tags
        assert sum(tag == "script" for tag, _ in tags) == count, text
        assert not any(key.startswith("on") for _, attributes in tags for key in attributes), text
        assert "root:" not in page
        assert "49" not in page.split("<title>")[1].split("</title>")[0]


def test_several_runs_of_one_experiment_stand_side_by_side(run_folder: Path, tmp_path: Path) -> None:
    other = copy_of(run_folder, tmp_path / "other")
    lonely = nnlab("report", run_folder, other)
    assert lonely.code == 2
    assert "--out page.html" in lonely.err
    out = tmp_path / "page.html"
    assert nnlab("report", run_folder, other, "--out", out).code == 0
    page = out.read_text("utf-8")
    assert page.count("<article") == 1
    assert page.count("other: train") >= 1
    again = nnlab("report", run_folder, other, "--out", out)
    assert (again.code, out.read_text("utf-8")) == (2, page)


def test_what_a_folder_lacks_is_said(run_folder: Path, tmp_path: Path) -> None:
    folder = copy_of(run_folder, tmp_path / "torn")
    shutil.rmtree(folder / "figures")
    (folder / "config.yaml").unlink()
    (folder / "arrays.npz").write_bytes(b"PK torn")
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"step": 99, "lo')
    change(folder, status="interrupted", claims=[{"name": "old"}, "no claim"])
    page = build_page([open_run(folder)])
    for words in ("config.yaml cannot be read", "there are no figures", "the run is interrupted"):
        assert words in page
    assert nnlab("report", tmp_path / "nothing").code == 2


def test_curves_are_thinned_and_keep_their_ends(run_folder: Path, tmp_path: Path) -> None:
    folder = copy_of(run_folder, tmp_path / "long")
    rows = [{"step": i, "split": "train", "loss": 1 / (1 + i), "broken": float("nan")} for i in range(5_000)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = curves(open_run(folder))
    points = found["loss"]["train"]
    assert len(points) <= 2 * POINTS
    assert points[:2] == [0.0, 1.0]
    assert points[-2] == 4_999.0
    assert "broken" not in found


def test_arrays_become_csv_while_there_is_room(run_folder: Path, tmp_path: Path) -> None:
    folder = copy_of(run_folder, tmp_path / "arrays")
    np.savez(
        folder / "arrays.npz", a=np.array([[1.5, 2.0], [3.0, 4.0]]), b=np.zeros((2, 2, 2)), c=np.arange(3)
    )
    found = {table.name: table for table in tables(open_run(folder), Room(10_000))}
    assert base64.b64decode(found["a"].source.partition(",")[2]).decode().split() == ["1.5,2.0", "3.0,4.0"]
    assert found["b"].source == ""
    assert found["b"].shape == "2×2×2"
    assert all(table.source == "" for table in tables(open_run(folder), Room(10)))


def test_runs_stand_in_the_order_of_the_lecture(run_folder: Path, tmp_path: Path) -> None:
    for experiment, number in (("xor", 6), ("ntk", 5), ("pixel_shuffle", 4), ("activations", 2), ("new", 7)):
        folder = copy_of(run_folder, tmp_path / experiment)
        change(folder, experiment=experiment)
        assert section_of(open_run(folder)).number == number
    assert section_of(open_run(run_folder)).number == 1
    page = build_page([open_run(tmp_path / name) for name in ("xor", "activations", "ntk")])
    places = [page.index(f'id="part{number}"') for number in (2, 5, 6)]
    assert places == sorted(places)


def test_marks_of_a_claim() -> None:
    claim = {"predicted": 2.0, "measured": 2.1, "interval": [1.9, 2.3], "rivals": {"none": 1.0}}
    marks = {mark.kind: mark for mark in claim_marks(claim)}
    assert set(marks) == {"predicted", "measured", "interval", "rival"}
    assert marks["rival"].x < marks["interval"].x < marks["predicted"].x < marks["measured"].x
    assert claim_marks({"predicted": "?", "measured": None, "interval": None}) == []
    assert [m.kind for m in claim_marks({"predicted": [0, None], "measured": 1.0, "interval": [None, None]})]
