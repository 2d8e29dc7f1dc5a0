"""The page: everything a run folder says is text on it, nothing is fetched, what is missing is said."""

import base64
import io
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nnlab.chapters.experiments import EXPERIMENTS
from nnlab.chapters.pages import CHAPTERS
from nnlab.lab import runner
from nnlab.lab.config import check, read_source
from nnlab.lab.session import Session
from nnlab.page import build_page
from nnlab.page.claims import WIDTH, cards, drawings
from nnlab.page.contents import ChapterPage, Contents
from nnlab.page.data import POINTS, Room, metrics_of, pictures, tables
from nnlab.page.lecture import expand
from nnlab.page.numbers import as_text
from nnlab.record import open_run
from tests.command_line import nnlab
from tests.page_reader import Reader


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
    before_glossary = page[: page.index('<section id="glossary">')]
    for claim in summary["claims"]:
        assert claim["verdict"] in before_glossary
    assert as_text(summary["metrics"]["test/accuracy"], "test/accuracy") in page
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
    page = build_page([open_run(run_folder)], CHAPTERS)
    for kind in ("input", "select"):
        for match in re.finditer(f"<{kind}[^>]*>", page):
            before = page[: match.start()]
            assert before.rfind("<label") > before.rfind("</label>"), match.group()


def test_several_runs_of_one_experiment_stand_side_by_side(run_folder: Path, tmp_path: Path) -> None:
    other = copy_of(run_folder, tmp_path / "other")
    lonely = nnlab("report", run_folder, other)
    assert lonely.code == 2
    assert "--out page.html" in lonely.err
    out = tmp_path / "page.html"
    assert nnlab("report", run_folder, other, "--out", out).code == 0
    page = out.read_text("utf-8")
    assert page.count("<article") == 1
    assert page.count('"name": "other", ') >= 1  # a line of its curves
    claims = open_run(run_folder).summary["claims"]
    assert page.count('class="claim"') == len(claims)  # one card for each, with a line for each run
    assert page.count('class="drawn"') == 2 * len(claims)
    again = nnlab("report", run_folder, other, "--out", out)
    assert (again.code, out.read_text("utf-8")) == (2, page)


def test_what_a_folder_lacks_is_said(run_folder: Path, tmp_path: Path) -> None:
    folder = copy_of(run_folder, tmp_path / "torn")
    shutil.rmtree(folder / "figures")
    (folder / "config.yaml").unlink()
    (folder / "arrays.npz").write_bytes(b"PK torn")
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"step": 99, "lo')
    change(folder, status="interrupted", claims=[])
    page = build_page([open_run(folder)], CHAPTERS)
    for words in ("config.yaml cannot be read", "there are no figures", "the run is interrupted"):
        assert words in page
    assert nnlab("report", tmp_path / "nothing").code == 2


def test_curves_are_thinned_and_keep_their_ends(run_folder: Path, tmp_path: Path) -> None:
    folder = copy_of(run_folder, tmp_path / "long")
    rows = [{"step": i, "split": "train", "loss": 1 / (1 + i), "broken": float("nan")} for i in range(5_000)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    metrics = metrics_of(open_run(folder))
    assert metrics is not None
    found = metrics.curves()
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
    found = {table.name: table for table in tables(open_run(folder), None, Room(10_000))}
    assert base64.b64decode(found["a"].source.partition(",")[2]).decode().split() == ["1.5,2.0", "3.0,4.0"]
    assert found["b"].source == ""
    assert found["b"].shape == "2×2×2"
    assert all(table.source == "" for table in tables(open_run(folder), None, Room(10)))


def test_runs_stand_in_the_order_of_the_lecture(run_folder: Path, tmp_path: Path) -> None:
    for experiment, number in (("xor", 6), ("ntk", 5), ("pixel_shuffle", 4), ("activations", 2), ("new", 7)):
        folder = copy_of(run_folder, tmp_path / experiment)
        change(folder, experiment=experiment)
        assert Contents(CHAPTERS).section_of(open_run(folder)).number == number
    assert Contents(CHAPTERS).section_of(open_run(run_folder)).number == 1
    page = build_page([open_run(tmp_path / name) for name in ("xor", "activations", "ntk")], CHAPTERS)
    places = [page.index(f'id="part{number}"') for number in (2, 5, 6)]
    assert places == sorted(places)
    assert places[-1] < page.index(">XOR</h3>")


CLAIM = {"predicted": 2.0, "measured": 2.1, "interval": [1.9, 2.3], "rivals": {"none": 1.0}}


def test_marks_of_a_claim() -> None:
    drawing = drawings([CLAIM])[0]
    assert drawing is not None
    marks = {mark.kind: mark for mark in drawing.marks}
    assert set(marks) == {"predicted", "measured", "interval", "rival"}
    assert marks["rival"].x < marks["interval"].x < marks["predicted"].x < marks["measured"].x
    assert (drawing.low, drawing.high) == ("1", "2.3")


def test_measurements_of_one_claim_share_an_axis() -> None:
    first, second = drawings([CLAIM, CLAIM | {"measured": 4.0, "interval": [3.0, 5.0]}])
    assert first is not None
    assert second is not None
    predicted = [next(m.x for m in d.marks if m.kind == "predicted") for d in (first, second)]
    assert predicted[0] == predicted[1]
    assert first.high == "5"


@pytest.mark.parametrize(
    "claim",
    [
        {},
        {"predicted": "?", "measured": None, "interval": None, "rivals": []},
        {"predicted": [1, 2, 3], "measured": float("nan"), "interval": ["a", "b"]},
        {"predicted": 1.0, "measured": 10**400, "interval": [None, None]},
        {"predicted": -1e308, "measured": 1e308, "interval": [-1.7e308, 1.7e308]},
    ],
)
def test_a_claim_without_numbers_has_no_drawing(claim: dict[str, object]) -> None:
    assert drawings([claim]) == [None]
    assert len(cards("run", [("", claim)], "x")) == 1


def test_an_open_range_reaches_the_edge() -> None:
    drawing = drawings([{"predicted": [0, None], "measured": 1.0, "interval": [None, None]}])[0]
    assert drawing is not None
    band = drawing.marks[0]
    assert (band.kind, band.x + band.width, band.label) == ("range", WIDTH, "predicted: ≥\u00a00")


def test_seeds_of_a_group_are_lines_of_one_card(run_folder: Path, tmp_path: Path) -> None:
    group = tmp_path / "group"
    for seed in (0, 1):
        member = copy_of(run_folder, group / f"s{seed}")
        change(member, seed=seed)
    spread = {"test/accuracy": {"mean": 0.9, "interval": [0.8, 1.0]}}
    facts = {"name": "g", "seed": 0, "experiment": "classify", "status": "finished", "metrics": spread}
    (group / "summary.json").write_text(json.dumps(facts | {"seeds": [0, 1], "members": ["s0", "s1"]}))
    shutil.copy(run_folder / "config.yaml", group)
    page = build_page([open_run(group)], CHAPTERS)
    claims = open_run(run_folder).summary["claims"]
    assert page.count('class="claim"') == len(claims)
    assert page.count('<p class="label">seed 1') == len(claims)
    assert page.count("<strong>Where:</strong>") == len(claims)  # once for both seeds
    assert "90.00% ± 10.00%" in page
    assert "--seeds 2" in page


def test_a_lecture_is_shown_as_its_sentences_and_the_runs_inside_it(run_folder: Path, tmp_path: Path) -> None:
    lecture = tmp_path / "lecture"
    copy_of(run_folder, lecture / "runs" / "classify" / "a-softmax")
    held, limited, *others = (claim["name"] for claim in open_run(run_folder).summary["claims"])
    run = "runs/classify/a-softmax"
    rows = [
        {"section": "1.4", "sentence": "It is so.", "claim": held, "verdict": "PASS", "run": run,
         "predicted": 0.0, "measured": 1e-16, "interval": [-1e-9, 1e-9], "refuted": False},
        {"section": "1.5", "sentence": "Descent only below the bound.", "holds": "Descent below it.",
         "hypotheses": ["a quadratic loss"], "claim": "x_as_said", "against": limited, "run": run,
         "predicted": [None, 0.0], "measured": 1.5, "interval": [1.4, 1.6],
         "verdict": "FAIL", "refuted": True},
        {"section": "3.1", "sentence": "Not run.", "claim": "none", "run": "x", "verdict": None},
    ]  # fmt: skip
    facts = {"name": "lecture", "seed": 0, "experiment": "lecture", "status": "finished", "metrics": {}}
    (lecture / "summary.json").write_text(json.dumps(facts | {"results": rows}))
    page = build_page([open_run(lecture)], CHAPTERS)
    glance = page[page.index('<section id="glance">') : page.index('<section id="part')]
    table = glance[glance.index('<table class="glance">') :]
    assert len(re.findall("<tr", table)) == 1 + len(rows)
    assert "1.5 says: Descent only below the bound." in glance
    assert re.search(r'<strong>Holds:</strong> <a href="#(\w+)">Descent below it.</a>', glance)
    assert "It holds for: a quadratic loss" in glance
    assert "1.4 to 1.6" in table
    for key in re.findall(r'href="#(\w+)"', glance):
        assert f'id="{key}"' in page
    assert page.count('class="claim"') == 2 + len(others)
    rests = page[page.index('<section id="evidence">') : page.index('<section id="glossary">')]
    assert (
        len(re.findall("<tr", rests)) == 1 + 1
    )  # the sentence that is listed as refuted has no row of its own
    head = page[page.index("<header") : page.index("<nav")]
    assert "1 PASS" in head
    assert "1 refuted" in head
    assert "FAIL" not in head
    assert [run.folder.name for run in expand(open_run(lecture))] == ["a-softmax"]


def test_a_card_says_what_its_claim_rests_on(run_folder: Path, tmp_path: Path) -> None:
    copy = copy_of(run_folder, tmp_path / "run")
    claim, *others = open_run(copy).summary["claims"]
    hostile = {"predicted_by": "<i>x.y</i>, numpy.sum", "measured_by": "nnlab.fit", "name": "descent"}
    rule = "99.99% t-interval of the mean over 9 seeds [1, 2]: it contains 1.5."
    change(copy, name="softmax", claims=[claim | hostile | {"rule": rule}, *others])
    page = build_page(
        [open_run(copy)], [*CHAPTERS, ChapterPage(faults=lambda run, name: [f"<u>{run}</u> {name}."])]
    )
    assert "<strong>Predicted by:</strong> &lt;i&gt;x.y&lt;/i&gt;, numpy.sum" in page
    assert "<strong>Measured by:</strong> nnlab.fit" in page
    assert "&lt;u&gt;softmax&lt;/u&gt; descent." in page
    assert "<i>x" not in page
    assert "<u>" not in page
    assert "1 measurement is random" in page
    assert "none of them fails in about 99.99% of all runs" in page


def test_what_is_worked_on_the_slides_stands_in_its_sections(tmp_path: Path) -> None:
    summary = runner.run(check(read_source("slides"), EXPERIMENTS), tmp_path, Session())
    page = build_page([open_run(summary["run_dir"])], CHAPTERS)
    for section, figure, sentence in (
        (1, "has probability 0.13: the loss is 2.04", "the loss of the example is 2.04"),
        (3, "f = 1/(1 + exp", "Backpropagation gives the gradient on the slide"),
        (4, "", "Discrete convolution is the double sum"),
    ):
        part = page[page.index(f'<section id="part{section}"') :]
        part = part[: part.find('<section id="part', 10)]
        assert sentence in part
        assert figure in part
    assert page.count('class="claim"') == len(summary["claims"])


def test_rows_of_the_table_and_the_curves_are_data_too(run_folder: Path) -> None:
    run = open_run(run_folder)
    found = {table.name: table for table in tables(run, metrics_of(run), Room(10**6))}
    head, *rows = base64.b64decode(found["metrics"].source.partition(",")[2]).decode().splitlines()
    assert "step" in head.split(",")
    assert len(rows) == len(open_run(run_folder).metrics())
    assert "results" in found


def test_a_picture_keeps_its_drawing_in_fewer_bytes(run_folder: Path) -> None:
    found = {picture.name: picture for picture in pictures(open_run(run_folder), Room(10**7))}
    picture, file = found["curves"], run_folder / "figures" / "curves.png"
    kind, _, content = picture.source.partition(",")
    assert kind == "data:image/png;base64"
    small = Image.open(io.BytesIO(base64.b64decode(content)))
    whole = Image.open(file)
    assert small.size == whole.size
    off = np.abs(np.asarray(small.convert("RGB"), int) - np.asarray(whole.convert("RGB"), int))
    assert off.mean() < 1
    assert len(base64.b64decode(content)) < file.stat().st_size / 2


def test_what_is_beyond_the_lecture_has_its_exercises(run_folder: Path, tmp_path: Path) -> None:
    lecture = tmp_path / "lecture"
    copy = copy_of(run_folder, lecture / "runs" / "catapult" / "a-catapult")
    change(copy, experiment="catapult", name="catapult")
    row = {"section": "B.3", "sentence": "It is so.", "verdict": "PASS", "run": "runs/catapult/a-catapult"}
    facts = {"name": "lecture", "seed": 0, "experiment": "lecture", "status": "finished", "metrics": {}}
    (lecture / "summary.json").write_text(json.dumps(facts | {"results": [row]}))
    page = build_page([open_run(lecture)], CHAPTERS)
    assert 'id="exercises-8"' in page
    assert 'id="exercises-1"' not in page
