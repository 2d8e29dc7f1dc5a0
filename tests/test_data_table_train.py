"""Tables through the command line: a training that says what it decided, or exit 2 with one message."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.command_line import finish, nnlab, start

CONFIG = """\
experiment: {experiment}
data: {{name: csv, path: {path}, target: y, batch_size: full{keys}}}
model: {{name: mlp, hidden: [4]}}
loss: {{name: {loss}}}
training: {{epochs: 3, precision: float32}}
"""


def config(folder: Path, text: str | bytes, keys: str = "", experiment: str = "classify") -> Path:
    table = folder / "t.csv"
    table.write_bytes(text if isinstance(text, bytes) else text.encode())
    loss = "cross_entropy" if experiment == "classify" else "squared_error"
    file = folder / "c.yaml"
    file.write_text(
        CONFIG.format(experiment=experiment, path=table, keys=f", {keys}" if keys else "", loss=loss)
    )
    return file


def german(rows: int = 60) -> str:
    """As a German Excel writes it, with groups, texts and gaps."""
    rng = np.random.default_rng(0)
    lines = ["sep=;", "Gewicht;Farbe;Kunde;y;;"]
    for k in range(rows):
        weight = "" if k % 9 == 4 else f"{rng.normal() + k % 2:.3f}".replace(".", ",")
        lines.append(f"{weight};{('rot', 'blau')[k % 3 == 0]};K{k // 3};{'ab'[k % 2]};;")
    return "\r\n".join([*lines, ";;;;;", ";;;;;", ""])


def test_a_table_as_excel_writes_it(tmp_path: Path) -> None:
    keys = "text: one_hot, missing: mean, group: Kunde, ignore: [Kunde]"
    file = config(tmp_path, german().encode("cp1252"), keys)
    result = nnlab("train", "--config", file, "--runs", tmp_path / "runs")
    assert result.code == 0, result
    for note in (
        "cells separated by a semicolon, decimal commas",
        "column Farbe: 2 categories, one input each: blau, rot",
        "the means of the training rows stand for them",
        "of 20 whole groups",
    ):
        assert note in result.out + result.err
    run = Path(result.last_line)
    assert json.loads((run / "summary.json").read_text())["status"] == "finished"
    again = nnlab("train", "--config", run / "config.yaml", "--runs", tmp_path / "again")
    assert again.code == 0, again
    first, second = (Path(r.last_line) / "metrics.jsonl" for r in (result, again))
    assert first.read_bytes() == second.read_bytes()


def test_a_regression_with_a_test_table(tmp_path: Path) -> None:
    rows = [f"{k};{k * k / 7:.4f}".replace(".", ",") for k in range(40)]
    (tmp_path / "other.csv").write_text(
        "y,a\n" + "\n".join(f"{k * k / 7!r},{k}" for k in range(40, 50)) + "\n"
    )
    file = config(
        tmp_path, "\n".join(["a;y", *rows]), f"task: regression, test: {tmp_path / 'other.csv'}", "regress"
    )
    result = nnlab("train", "--config", file, "--runs", tmp_path / "runs")
    assert result.code == 0, result
    metrics = json.loads((Path(result.last_line) / "summary.json").read_text())["metrics"]
    assert metrics["test/rmse"] > 50  # in the units of the table, whose values are 228 to 343


REFUSED = {
    "decimal commas": ("a,y\n1,5,u\n2,5,v\n", "", "t.csv, line 2: 3 cells, but the header names 2 columns"),
    "an unclear mark": ("a;y\n1,234;u\n2,345;v\n", "", "set data.decimal: comma if it is 1.234"),
    "a missing label": ("a,y\n1,u\n2,NA\n", "", "line 3, column y: 'NA' says that the target is missing"),
    "no spread": (
        "a,b,y\n1,1e-320,u\n2,2e-320,v\n3,5e-320,u\n4,3e-320,v\n",
        "test: 0.5, validation: 0",
        "column b: it cannot be",
    ),
    "a mistyped column": ("width,y\n1,u\n", "columns: [widht]", "data.columns: widht is no column"),
    "a wrong separator": ("a,y\n1,u\n", "separator: colon", "data.separator: colon is not allowed"),
    "a wrong encoding": ("a,y\n1,u\n", "encoding: utf-9", "data.encoding: utf-9 is no encoding of text"),
    "a wrong fraction": ("a,y\n1,u\n", "test: 1.5", "data.test: 1.5 must be a fraction between 0 and 1"),
    "percent": ("a,y\n1,u\n", "test: 20%", "data.test: 20% must be a fraction between 0 and 1"),
    "a column for a list": (
        "a,y\n1,u\n",
        "ignore: a",
        "data.ignore: a must be a list of columns, such as [a]",
    ),
    "a name that YAML reads": ("yes,y\n1,u\n", "group: yes", "data.group: true is no text as YAML reads it"),
    "no test table": ("a,y\n1,u\n2,v\n", "test: none.csv", "none.csv: no such file"),
    "a column twice": ("a,y\n1,u\n", "ignore: [a, a]", "data.ignore: [a, a] names a twice"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_one_message_and_no_run(name: str, tmp_path: Path) -> None:
    text, keys, message = REFUSED[name]
    result = nnlab("train", "--config", config(tmp_path, text, keys), "--runs", tmp_path / "runs")
    assert result.code == 2, result
    assert result.err.startswith("nnlab: ")
    assert message in result.err
    assert result.err.count("\n") == 1
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_the_same_in_a_process_of_its_own(tmp_path: Path) -> None:
    file = config(tmp_path, b"PK\x03\x04 and more")
    result = finish(start("train", "--config", file, "--runs", tmp_path / "runs"))
    assert result.code == 2
    assert "this is an Excel workbook" in result.err
    assert "Traceback" not in result.err


def test_what_was_noted_about_a_table_stays_with_its_runs(tmp_path: Path) -> None:
    file = config(tmp_path, german(), "text: one_hot, missing: mean, ignore: [Kunde]")
    trained = nnlab("train", "--config", file, "--runs", tmp_path / "runs", "--seeds", "2")
    assert trained.code == 0, trained
    group = Path(trained.last_line)
    summaries = [json.loads((group / seed / "summary.json").read_text()) for seed in ("s0", "s1")]
    first, second = (summary["notes"] for summary in summaries)
    assert first == second
    assert [note for note in first if note in trained.err] == first
    assert "column Farbe: 2 categories, one input each: blau, rot" in first
    for run in (group, group / "s1"):
        listed = nnlab("runs", "show", run).out.splitlines()
        assert [line.removeprefix("note: ") for line in listed if line.startswith("note: ")] == first
    more = group / "s1" / "summary.json"
    table = (tmp_path / "t.csv").rename(tmp_path / "away.csv")
    assert nnlab("train", "--resume", group, "--epochs", "5").code == 2
    assert json.loads(more.read_text())["notes"] == first
    table.rename(tmp_path / "t.csv")
    assert nnlab("train", "--resume", group, "--epochs", "5").code == 0
    assert json.loads(more.read_text())["notes"] == first
    assert nnlab("report", group, "--out", tmp_path / "page.html").code == 0
    assert (tmp_path / "page.html").read_text().count("one input each: blau, rot") == 1


def test_years_are_names_of_columns(tmp_path: Path) -> None:
    table = "2018,2019,y\n" + "".join(f"{k},{k * k},{'uv'[k % 2]}\n" for k in range(30))
    file = config(tmp_path, table, "columns: [2018], ignore: [2019]")
    first = nnlab("train", "--config", file, "--runs", tmp_path / "runs")
    assert first.code == 0, first
    again = nnlab("train", "--config", Path(first.last_line) / "config.yaml", "--runs", tmp_path / "again")
    assert again.code == 0, again


def test_numbers_as_classes_have_weights_by_value(tmp_path: Path) -> None:
    table = "a,y\n" + "".join(f"{k},{k % 3 // 2}.0\n" for k in range(30))
    file = config(tmp_path, table, "test: 0.2, validation: 0")
    text = file.read_text().replace("{name: cross_entropy}", "{name: cross_entropy, class_weights: {1: 2}}")
    file.write_text(text)
    weighted = nnlab("train", "--config", file, "--runs", tmp_path / "runs")
    assert weighted.code == 0, weighted
    file.write_text(text.replace("{1: 2}", "[1, 2]"))
    listed = nnlab("train", "--config", file, "--runs", tmp_path / "runs")
    rows = [(Path(result.last_line) / "metrics.jsonl").read_text() for result in (weighted, listed)]
    assert rows[0] == rows[1]
    file.write_text(text.replace("{1: 2}", "{2: 2}"))
    assert "loss.class_weights: 2 is no class of the data" in nnlab("train", "--config", file).err


def test_a_quantity_is_no_class_unless_the_config_says_so(tmp_path: Path) -> None:
    file = config(tmp_path, "a,y\n" + "".join(f"{k},{k % 2}\n" for k in range(30)), experiment="regress")
    refused = nnlab("train", "--config", file, "--runs", tmp_path / "runs")
    assert refused.code == 2
    assert "use experiment: classify, not regress, or data.task: regression where" in refused.err
