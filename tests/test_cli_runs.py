"""`nnlab runs list | show | compare`."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from scipy import stats

from tests.command_line import Result, nnlab

CONFIG = """\
experiment: classify
data: {name: blobs, examples: 60, batch_size: 16}
model: {name: mlp}
optimizer: {name: sgd, lr: 0.1}
training: {epochs: 3}
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Some runs by name, and under `all` the folder of runs that holds them beside junk."""
    folder = tmp_path_factory.mktemp("runs-test")
    file = folder / "c.yaml"
    file.write_text(CONFIG)
    found = {"all": folder / "runs"}

    def train(name: str, *arguments: str) -> None:
        result = nnlab("train", "--config", file, *arguments, "--runs", found["all"], "--quiet")
        assert result.code == 0, result
        found[name] = Path(result.last_line)

    train("a")
    train("b", "--seed", "1")
    train("same", "--seed", "1")
    train("fast", "--set", "optimizer.lr=0.5")
    train("group", "--seeds", "3", "--set", "optimizer.momentum=0.5")
    train("odd", "--set", "name='[red]$x$<b>:smile:\\'")
    train("blind", "--set", "data.validation=0")
    for content, place in (("{", "x"), ("[]", "y"), ("{}", "z")):
        (found["all"] / "junk" / place).mkdir(parents=True)
        (found["all"] / "junk" / place / "summary.json").write_text(content)
    (found["all"] / "note.txt").write_text("mine")
    return found


def good(*arguments: str | Path) -> Result:
    result = nnlab("runs", *arguments)
    assert (result.code, result.err) == (0, ""), result
    return result


def squeezed(text: str) -> str:
    """Without the folding and the lines of a table."""
    return re.sub(r"[\s│┃━╇]+", "", text)


def metric(run: Path, name: str) -> float:
    value = json.loads((run / "summary.json").read_text())["metrics"][name]
    assert isinstance(value, float)
    return value


# --- list -------------------------------------------------------------------------------------------


def test_list_shows_every_run_and_marks_what_is_damaged(runs: dict[str, Path]) -> None:
    shown = good("list", "--runs", runs["all"]).out
    assert shown.startswith("10 runs, 3 of them damaged\n")
    for name, run in runs.items():
        if name != "all":
            assert squeezed(str(run)) in squeezed(shown)
    for place, reason in (
        ("x", "cannot be read: Expecting"),
        ("y", "must be a mapping"),
        ("z", "status: is missing"),
    ):
        line = next(line for line in shown.splitlines() if f"/junk/{place} " in line)
        assert "damaged" in line
        assert reason in line
    assert f"{100 * metric(runs['a'], 'test/accuracy'):.2f}%" in shown
    assert "0-2" in shown
    assert "\x1b" not in shown


def test_list_as_json(runs: dict[str, Path]) -> None:
    result = good("list", "--runs", runs["all"], "--json")
    assert result.out.count("\n") == 1
    listed = json.loads(result.out)
    whole = [row for row in listed if row["status"] != "damaged"]
    assert [Path(row["run_dir"]).name for row in whole] == sorted(runs[n].name for n in runs if n != "all")
    assert {row["status"] for row in whole} == {"finished"}
    damaged = [row for row in listed if row["status"] == "damaged"]
    assert [set(row) for row in damaged] == [{"run_dir", "status", "message"}] * 3


def test_list_tells_what_was_killed(runs: dict[str, Path], tmp_path: Path) -> None:
    copy = Path(shutil.copytree(runs["a"], tmp_path / "runs" / "classify" / "a"))
    text = (copy / "summary.json").read_text()
    (copy / "summary.json").write_text(text.replace('"finished"', '"running"'))
    assert "killed" in good("list", "--runs", tmp_path / "runs").out
    assert json.loads(good("show", copy, "--json").out)["status"] == "killed"


def test_list_knows_runs_and_groups_that_were_moved_out_of_their_folders(
    runs: dict[str, Path], tmp_path: Path
) -> None:
    shutil.copytree(runs["a"], tmp_path / "my run")
    shutil.copytree(runs["group"], tmp_path / "my group")
    rows = json.loads(good("list", "--runs", tmp_path, "--json").out)
    assert [row["run_dir"] for row in rows] == [str(tmp_path / "my group"), str(tmp_path / "my run")]
    assert nnlab("runs", "show", "group", "--runs", tmp_path).last_line == str(tmp_path / "my group")


def test_list_of_an_empty_folder_and_of_none(tmp_path: Path) -> None:
    assert good("list", "--runs", tmp_path).out.startswith("0 runs")
    assert good("list", "--runs", tmp_path, "--json").out == "[]\n"
    for place in (tmp_path / "no", Path(__file__)):
        result = nnlab("runs", "list", "--runs", place)
        assert (result.code, result.out) == (2, "")
        assert result.err == f"nnlab: {place}: no such folder; runs go to runs/ or to where --runs DIR says\n"


@pytest.mark.slow
@pytest.mark.parametrize("command", [["configs", "schema"], ["configs", "list"], ["--help"]])
def test_a_reader_that_leaves(command: list[str]) -> None:
    """`nnlab … | head -1`: no message, whoever closes the pipe and when."""
    process = subprocess.Popen(
        [sys.executable, "-m", "nnlab", *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    with process.stderr:
        assert process.stderr.read() == ""
    assert process.wait(timeout=60) in (0, 1)


# --- show -------------------------------------------------------------------------------------------


def test_show_a_run(runs: dict[str, Path]) -> None:
    result = good("show", runs["a"])
    assert result.out.startswith("c: finished, started 20")
    assert result.last_line == str(runs["a"])
    for split in ("train", "val", "test"):
        assert f"{metric(runs['a'], f'{split}/loss'):.4g}" in result.out
    assert "claims" in result.out
    assert good("show", runs["a"] / "summary.json").out == result.out


def test_show_a_group(runs: dict[str, Path]) -> None:
    result = good("show", runs["group"])
    assert "mean ± 95% interval over 3 seeds" in result.out
    assert "claim cross_entropy_is_entropy_plus_kl: 3 PASS" in result.out


def test_show_as_json_is_the_summary(runs: dict[str, Path]) -> None:
    for name in ("a", "group"):
        shown = json.loads(good("show", runs[name], "--json").out)
        written = json.loads((runs[name] / "summary.json").read_text())
        assert shown == written | {"run_dir": str(runs[name])}


def test_show_where_a_run_was_moved_to(runs: dict[str, Path], tmp_path: Path) -> None:
    copy = shutil.copytree(runs["a"], tmp_path / "moved")
    assert good("show", copy).last_line == str(copy)


def test_names_are_shown_as_they_are(runs: dict[str, Path]) -> None:
    name = "[red]$x$<b>:smile:\\"
    assert good("show", runs["odd"]).out.count(name) == 2
    assert runs["odd"].parent == runs["all"] / "classify"


# --- compare ----------------------------------------------------------------------------------------


def test_compare_joins_seeds_and_tells_configs_apart(runs: dict[str, Path]) -> None:
    result = good("compare", runs["a"], runs["b"], runs["fast"], runs["group"], "--json")
    rows = json.loads(result.out)
    assert [row["label"] for row in rows] == [
        "optimizer.lr=0.1, optimizer.momentum=0.0",
        "optimizer.lr=0.5, optimizer.momentum=0.0",
        "optimizer.lr=0.1, optimizer.momentum=0.5",
    ]
    assert [len(row["runs"]) for row in rows] == [2, 1, 3]
    values = [metric(runs[name], "test/loss") for name in ("a", "b")]
    joined = rows[0]["metrics"]["test/loss"]
    assert joined["values"] == values
    mean, half = sum(values) / 2, stats.t.ppf(0.975, 1) * abs(values[0] - values[1]) / 2
    assert joined["interval"] == pytest.approx([mean - half, mean + half], rel=1e-9)
    assert rows[1]["metrics"]["test/loss"]["interval"] == [None, None]
    assert rows[2]["runs"] == [str(runs["group"] / f"s{seed}") for seed in range(3)]
    shown = good("compare", runs["a"], runs["b"], runs["fast"], runs["group"]).out
    assert f"{mean:.4g} ± {half:.2g}" in shown
    assert "optimizer.lr=0.5" in shown


def test_compare_counts_no_seed_twice(runs: dict[str, Path]) -> None:
    """A run that is given twice, or run twice, is no second draw: it must not make the interval narrower."""
    once = json.loads(good("compare", runs["a"], runs["b"], "--json").out)
    (row,) = json.loads(good("compare", runs["a"], runs["b"], runs["a"], runs["same"], "--json").out)
    assert row["runs"] == [str(runs["a"]), str(runs["same"])]
    assert row["metrics"] == once[0]["metrics"]


def test_compare_names_alone_make_no_difference(runs: dict[str, Path]) -> None:
    (row,) = json.loads(good("compare", runs["odd"], runs["b"], "--json").out)
    assert row["label"] == "the same config"
    assert len(row["runs"]) == 2


def test_compare_knows_that_an_earlier_version_had_fewer_keys(runs: dict[str, Path], tmp_path: Path) -> None:
    """The seeds of a group that was begun by an earlier version are still those of one config."""
    early = Path(shutil.copytree(runs["a"], tmp_path / "early"))
    text = (early / "config.yaml").read_text()
    for line in ("  start: null\n", "  class_weights: null\n", "  compile: false\n"):
        assert line in text
        text = text.replace(line, "")
    (early / "config.yaml").write_text(text)
    (row,) = json.loads(good("compare", early, runs["b"], "--json").out)
    assert len(row["runs"]) == 2
    labels = [row["label"] for row in json.loads(good("compare", early, runs["fast"], "--json").out)]
    assert labels == ["optimizer.lr=0.1", "optimizer.lr=0.5"]


def test_compare_draws_into_new_files_only(runs: dict[str, Path], tmp_path: Path) -> None:
    png = tmp_path / "sub" / "p.png"
    drawn = [png, png.with_suffix(".svg")]
    result = good("compare", runs["a"], runs["fast"], "--png", png)
    assert result.out.splitlines()[-2:] == [str(file) for file in drawn]
    with Image.open(png) as picture:
        assert picture.format == "PNG"
    before = [file.read_bytes() for file in drawn]
    png.with_suffix(".svg").unlink()
    for target in (png, png.with_suffix(".svg"), tmp_path):
        refused = nnlab("runs", "compare", runs["b"], "--png", target)
        assert (refused.code, refused.out) == (2, "")
        assert "name another file" in refused.err or "is a folder; name a new file" in refused.err
    assert png.read_bytes() == before[0]


def test_compare_as_json_keeps_stdout_for_it(runs: dict[str, Path], tmp_path: Path) -> None:
    result = nnlab("runs", "compare", runs["a"], "--json", "--png", tmp_path / "p.png")
    assert result.code == 0
    assert len(json.loads(result.out)) == 1
    assert result.err == f"{tmp_path / 'p.png'}\n{tmp_path / 'p.svg'}\n"


def test_compare_without_a_curve(runs: dict[str, Path], tmp_path: Path) -> None:
    result = nnlab("runs", "compare", runs["blind"], "--png", tmp_path / "p.png")
    assert result.code == 2
    assert "none of these runs has a validation curve to draw" in result.err
    assert list(tmp_path.iterdir()) == []


def test_compare_what_is_not_whole(runs: dict[str, Path], tmp_path: Path) -> None:
    copy = Path(shutil.copytree(runs["a"], tmp_path / "a"))
    (copy / "config.yaml").unlink()
    result = nnlab("runs", "compare", runs["b"], copy)
    assert (result.code, result.out) == (2, "")
    assert f"{copy / 'config.yaml'}: cannot be read" in result.err
    group = Path(shutil.copytree(runs["group"], tmp_path / "g"))
    shutil.rmtree(group / "s1")
    result = nnlab("runs", "compare", group)
    assert (result.code, result.err) == (0, "left out: s1: is no run of this group, or its folder is gone\n")
    shutil.rmtree(group / "s0")
    (group / "s2" / "summary.json").write_text("{}")
    result = nnlab("runs", "compare", group)
    assert (result.code, result.out) == (2, "")
    assert "this group has no run yet that could be compared" in result.err


# --- the end of a training, and names of runs -------------------------------------------------------


def test_a_training_says_what_comes_next(runs: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(CONFIG)
    folder = tmp_path / "my runs"
    result = nnlab("train", "--config", tmp_path / "c.yaml", "--runs", folder, draw=True)
    *_, figures, page, last = result.out.splitlines()
    assert figures == f"figures: {last}/figures"
    assert page == f"a page of it all: nnlab report '{last}'"
    assert (Path(last) / "figures" / "curves.png").is_file()
    assert nnlab("train", "--config", tmp_path / "c.yaml", "--runs", folder, "--quiet").out.count("\n") == 1


@pytest.mark.parametrize(
    "command",
    [
        ["runs", "show"],
        ["runs", "compare"],
        ["report"],
        ["cite"],
        ["train", "--quiet", "--resume"],
        ["predict"],
    ],
)
def test_every_command_finds_a_run_by_its_name(
    command: list[str], runs: dict[str, Path], tmp_path: Path
) -> None:
    place = Path(shutil.copytree(runs["all"], tmp_path / "runs"))
    for name in ("last", runs["fast"].name):
        result = nnlab(*command, name, "--runs", place)
        assert result.code == 0, (name, result)
    for name, said in (("c-s", "runs have that in their names"), ("nothing", "has that name")):
        result = nnlab(*command, name, "--runs", place)
        assert (result.code, result.out) == (2, "")
        assert said in result.err
