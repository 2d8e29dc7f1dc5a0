"""A run goes on with the data that it started with, or not at all; the refusal says what changed."""

import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from nnlab.chapters.experiments import EXPERIMENTS
from nnlab.data import RawData, Split
from nnlab.data.changes import compare
from nnlab.data.fingerprint import Fingerprint, fingerprint, table_mark
from nnlab.errors import DataError, Interrupted, RunFolderError
from nnlab.lab import runner
from nnlab.lab.config import check
from nnlab.lab.sections import Experiment
from nnlab.lab.session import Session
from nnlab.lab.source import Source
from nnlab.record import open_run

pytestmark = pytest.mark.usefixtures("undrawn")


@dataclass
class Telling:
    """A reporter that remembers what it was told."""

    lines: list[str] = field(default_factory=list)

    def say(self, message: str) -> None:
        self.lines.append(message)

    def bar(self, title: str) -> Any:
        from nnlab.lab.session import Silence

        return Silence().bar(title)


class StopsAfter(Session):
    """A session that asks to stop after so many steps."""

    steps = 10**9

    def stop(self) -> bool:
        self.steps -= 1
        return self.steps < 0


def session_of(steps: int = 10**9) -> StopsAfter:
    session = StopsAfter(Telling(), experiments=EXPERIMENTS)
    session.steps = steps
    return session


def config_of(values: dict[str, Any]) -> Experiment:
    return check(Source("test", "", values), EXPERIMENTS)


def classify(data: dict[str, Any], **more: Any) -> Experiment:
    return config_of({
        "experiment": "classify",
        "data": {"batch_size": 16, **data},
        "model": {"name": "mlp", "hidden": [3]},
        "training": {"epochs": 2, "device": "cpu", "precision": "float32"},
        **more,
    })  # fmt: skip


def interrupted(config: Experiment, runs: Path, steps: int = 1, seeds: int | None = None) -> Path:
    """Returns the folder of a run, or of a group of seeds, that was stopped."""
    session = session_of(steps)
    with pytest.raises(Interrupted):
        _ = runner.run_seeds(config, seeds, runs, session) if seeds else runner.run(config, runs, session)
    (folder,) = (runs / config.experiment).iterdir()
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def refused(folder: Path) -> str:
    """Returns the message of a resume that is refused, and leaves everything as it was."""
    before = contents(folder)
    with pytest.raises(DataError) as error:
        runner.resume(folder, session_of())
    assert error.value.exit_code == 2
    assert contents(folder) == before
    return str(error.value)


def goes_on(folder: Path) -> list[str]:
    """Returns what a resume to the end told."""
    session = session_of()
    assert runner.resume(folder, session)["status"] == "finished"
    assert isinstance(session.reporter, Telling)
    return session.reporter.lines


# --- tables -------------------------------------------------------------------------------------------


def rows_of(count: int) -> list[str]:
    random = np.random.default_rng(0)
    return [f"{random.normal(k % 3):.4f},{random.normal(-(k % 3)):.4f},{'abc'[k % 3]}" for k in range(count)]


def write_table(path: Path, rows: list[str], header: str = "height,width,species") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *rows]) + "\n", "utf-8")
    return path


def swap_labels(rows: list[str]) -> list[str]:
    return [row[:-1] + {"a": "b", "b": "a", "c": "c"}[row[-1]] for row in rows]


TABLE_CHANGES: dict[str, tuple[Callable[[list[str]], tuple[list[str], str]], str]] = {
    "row appended": (lambda r: ([*r, "0.5,0.5,a"], ""), r"90 rows then, 91 now: 1 appended"),
    "rows removed": (lambda r: (r[:-2], ""), r"90 rows then, 88 now: 2 removed at the end"),
    "row removed in the middle": (
        lambda r: (r[:40] + r[41:], ""),
        r"90 rows then, 89 now; the first difference is in row 41",
    ),
    "labels swapped": (lambda r: (swap_labels(r), ""), r"other values in the column species \(the target\)"),
    "one number": (
        lambda r: ([*r[:6], "9.25" + r[6][r[6].index(",") :], *r[7:]], ""),
        r"other values in the column height; the first difference is in row 7",
    ),
    "rows in another order": (lambda r: ([r[1], r[0], *r[2:]], ""), r"the first difference is in row 1"),
    "columns in another order": (
        lambda r: ([",".join(np.array(row.split(","))[[1, 0, 2]]) for row in r], "width,height,species"),
        r"another order: height, width, species then, width, height, species now",
    ),
    "column added": (lambda r: ([f"1.5,{row}" for row in r], "new,height,width,species"), r"column new came"),
    "column removed": (lambda r: ([row.split(",", 1)[1] for row in r], "width,species"), r"height went away"),
    "column renamed": (
        lambda r: (r, "length,width,species"),
        r"column length came in; the column height went",
    ),
    "blanks": (
        lambda r: ([row.replace(",", ", ") for row in r], ""),
        r"the same cells are written otherwise",
    ),
}


@pytest.mark.parametrize("change", TABLE_CHANGES)
def test_a_changed_table_is_refused(tmp_path: Path, change: str) -> None:
    table = write_table(tmp_path / "data.csv", rows_of(90))
    config = classify({"name": "csv", "path": str(table), "target": "species"})
    folder = interrupted(config, tmp_path / "runs")
    made_of, words = TABLE_CHANGES[change]
    rows, header = made_of(rows_of(90))
    write_table(table, rows, header or "height,width,species")
    message = refused(folder)
    assert re.search(words, message), message
    assert str(table) in message
    assert f"nnlab train --config {folder / 'config.yaml'}" in message
    write_table(table, rows_of(90))  # as it was
    goes_on(folder)


def test_another_file_at_the_same_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = (
        write_table(tmp_path / k / "data.csv", rows_of(n)) for k, n in (("here", 90), ("there", 60))
    )
    monkeypatch.chdir(here.parent)
    folder = interrupted(
        classify({"name": "csv", "path": "data.csv", "target": "species"}), tmp_path / "runs"
    )
    monkeypatch.chdir(there.parent)
    message = refused(folder)
    assert str(here) in message
    assert str(there) in message
    assert "90 rows then, 60 now" in message


def test_a_moved_table_is_read_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = write_table(tmp_path / "here" / "data.csv", rows_of(90))
    monkeypatch.chdir(here.parent)
    folder = interrupted(
        classify({"name": "csv", "path": "data.csv", "target": "species"}), tmp_path / "runs"
    )
    there = tmp_path / "there"
    shutil.move(here.parent, there)
    monkeypatch.chdir(there)
    assert any(str(here) in line and str(there / "data.csv") in line for line in goes_on(folder))


def test_a_move_is_told_once(tmp_path: Path) -> None:
    here = write_table(tmp_path / "here.csv", rows_of(60))
    link = tmp_path / "link.csv"
    link.symlink_to(here)
    config = config_of({
        "experiment": "activations",
        "data": {"name": "csv", "path": str(link), "target": "species", "batch_size": 32},
        "model": {"name": "mlp", "hidden": [3]},
        "training": {"epochs": 1, "device": "cpu"},
    })  # fmt: skip
    folder = interrupted(config, tmp_path / "runs")
    link.unlink()
    here.rename(link)
    assert sum(str(here) in line and str(link) in line for line in goes_on(folder)) == 1


def test_a_table_that_is_gone_is_named_with_both_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = write_table(tmp_path / "here" / "data.csv", rows_of(90))
    monkeypatch.chdir(here.parent)
    folder = interrupted(
        classify({"name": "csv", "path": "data.csv", "target": "species"}), tmp_path / "runs"
    )
    monkeypatch.chdir(tmp_path)
    message = refused(folder)
    assert str(tmp_path / "data.csv") in message
    assert str(here) in message


def test_the_table_of_the_test_counts_too(tmp_path: Path) -> None:
    train, test = (write_table(tmp_path / f"{k}.csv", rows_of(n)) for k, n in (("train", 60), ("test", 21)))
    data = {"name": "csv", "path": str(train), "test": str(test), "target": "species"}
    folder = interrupted(classify(data), tmp_path / "runs")
    write_table(test, rows_of(24))
    message = refused(folder)
    assert f"{test}: 21 rows then, 24 now: 3 appended" in message


def test_a_kernel_study_of_a_table(tmp_path: Path) -> None:
    table = write_table(tmp_path / "data.csv", [f"{x:.2f},{x * x:.4f}" for x in np.linspace(-1, 1, 6)], "x,y")
    config = config_of({
        "experiment": "ntk",
        "data": {"name": "csv", "path": str(table), "target": "y", "task": "regression"},
        "widths": [8, 16],
        "seeds": 2,
    })  # fmt: skip
    folder = interrupted(config, tmp_path / "runs", steps=40)
    write_table(table, [f"{x:.2f},{x**3:.4f}" for x in np.linspace(-1, 1, 6)], "x,y")
    assert "other values in the column y (the target)" in refused(folder)


def test_an_approximation_of_points(tmp_path: Path) -> None:
    table = write_table(
        tmp_path / "points.csv", [f"{x:.2f},{x * x:.4f}" for x in np.linspace(0, 1, 9)], "x,y"
    )
    config = config_of({"experiment": "approx", "target": str(table), "parts": ["bins"], "bins": [4, 8]})
    folder = interrupted(config, tmp_path / "runs", steps=0)
    write_table(table, [f"{x:.2f},{x**3:.4f}" for x in np.linspace(0, 1, 9)], "x,y")
    assert "other values in the column y" in refused(folder)


@pytest.mark.slow
@pytest.mark.parametrize("experiment", ["regress", "activations", "sgd_vs_gd", "regularization"])
def test_every_experiment_on_a_table(tmp_path: Path, experiment: str) -> None:
    table = write_table(tmp_path / "data.csv", [row[:-1] + str(k % 2) for k, row in enumerate(rows_of(40))])
    regression = {"task": "regression"} if experiment == "regress" else {}
    config = config_of({
        "experiment": experiment,
        "data": {"name": "csv", "path": str(table), "target": "species", "batch_size": 16, **regression},
        "model": {"name": "mlp", "hidden": [3] if experiment in ("regress", "activations") else []},
        "training": {"epochs": 3, "device": "cpu"},
        **({"loss": {"name": "squared_error"}} if regression else {}),
    })  # fmt: skip
    folder = interrupted(config, tmp_path / "runs")
    write_table(table, [row[:-1] + str((k + 1) % 2) for k, row in enumerate(rows_of(40))])
    assert "other values in the column species (the target)" in refused(folder)


def test_both_networks_on_shuffled_pixels(tmp_path: Path, images: Path) -> None:
    config = config_of({
        "experiment": "pixel_shuffle",
        "data": {"name": "image_folder", "root": str(images), "batch_size": 8},
        "model": {"name": "cnn", "channels": [2]},
        "hidden": [3],
        "training": {"epochs": 1, "device": "cpu"},
    })  # fmt: skip
    folder = interrupted(config, tmp_path / "runs", steps=9)
    draw_image(images / "train/cat/new.bmp", 77)
    assert "1 image added" in refused(folder)


def test_a_longer_training_of_other_data(tmp_path: Path) -> None:
    table = write_table(tmp_path / "data.csv", rows_of(90))
    config = classify({"name": "csv", "path": str(table), "target": "species"})
    folder = Path(runner.run(config, tmp_path / "runs", session_of())["run_dir"])
    write_table(table, swap_labels(rows_of(90)))
    before = contents(folder)
    with pytest.raises(DataError, match=r"species \(the target\)"):
        runner.resume(folder, session_of(), epochs=5)
    assert contents(folder) == before
    assert open_run(folder).status == "finished"


def test_a_folder_whose_name_is_no_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = tmp_path / os.fsdecode(b"caf\xe9")
    try:
        here.mkdir()
    except OSError:
        pytest.skip("the file system takes no such name")
    write_table(here / "data.csv", rows_of(90))
    monkeypatch.chdir(here)
    folder = interrupted(
        classify({"name": "csv", "path": "data.csv", "target": "species"}), tmp_path / "runs"
    )
    write_table(here / "data.csv", rows_of(87))
    assert "87 now" in refused(folder)
    write_table(here / "data.csv", rows_of(90))
    goes_on(folder)


# --- groups -------------------------------------------------------------------------------------------


def test_the_members_of_a_group_have_one_data_set(tmp_path: Path) -> None:
    table = write_table(tmp_path / "data.csv", rows_of(90))
    config = classify({"name": "csv", "path": str(table), "target": "species"})
    folder = interrupted(config, tmp_path / "runs", steps=13, seeds=3)  # in the second member
    assert sorted(open_run(folder).summary["members"]) == ["s0"]
    write_table(table, [*rows_of(90), "0.5,0.5,a"])
    assert "1 appended" in refused(folder)
    shutil.rmtree(folder / "s1")  # no trace of it: the third and the second are compared with the first
    assert "1 appended" in refused(folder)
    write_table(table, rows_of(90))
    goes_on(folder)


def test_data_that_change_between_two_members(tmp_path: Path) -> None:
    table = write_table(tmp_path / "data.csv", rows_of(90))
    config = classify({"name": "csv", "path": str(table), "target": "species"})

    class Forgets(Session):
        def data(self, *arguments: Any) -> Any:
            self._data.clear()  # as where another set was read in between
            data = super().data(*arguments)
            write_table(table, [*rows_of(90), "0.5,0.5,a"])
            return data

    with pytest.raises(DataError, match="1 appended"):
        runner.run_seeds(config, 2, tmp_path / "runs", Forgets(Telling(), experiments=EXPERIMENTS))


# --- images -------------------------------------------------------------------------------------------


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An image folder of two classes, with a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    root = tmp_path / "images"
    for split, count in (("train", 8), ("test", 4)):
        for label, name in enumerate(("cat", "dog")):
            for k in range(count):
                draw_image(root / split / name / f"{k}.bmp", seed=100 * label + 10 * k + (split == "test"))
    return root


def draw_image(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (6, 5, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def replace_image(root: Path, *, keep_time: bool = False) -> None:
    """Replaces an image by another of as many bytes."""
    path = root / "train" / "dog" / "3.bmp"
    before = path.stat()
    draw_image(path, seed=4321)
    assert path.stat().st_size == before.st_size
    if keep_time:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


IMAGE_CHANGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "added": (lambda r: draw_image(r / "train/cat/new.bmp", 77), r"1 image added: train/cat/new\.bmp"),
    "many added": (
        lambda r: [*map(draw_image, [r / f"test/dog/new{k}.bmp" for k in range(3)], (70, 71, 72))],
        r"3 images added, the first test/dog/new0\.bmp",
    ),
    "removed": (lambda r: (r / "test/cat/2.bmp").unlink(), r"1 image removed: test/cat/2\.bmp"),
    "replaced": (replace_image, r"1 image replaced by another: train/dog/3\.bmp"),
    "replaced with its time": (
        lambda r: replace_image(r, keep_time=True),
        r"replaced by another: train/dog/3",
    ),
    "moved to another class": (
        lambda r: (r / "train/cat/1.bmp").rename(r / "train/dog/moved.bmp"),
        r"1 image moved or renamed: train/cat/1\.bmp → train/dog/moved\.bmp",
    ),
    "moved to the test": (
        lambda r: (r / "train/cat/1.bmp").rename(r / "test/cat/11.bmp"),
        r"1 image moved or renamed: train/cat/1\.bmp → test/cat/11\.bmp",
    ),
    "two labels swapped": (
        lambda r: (
            (r / "train/cat/1.bmp").rename(r / "x"),
            (r / "train/dog/1.bmp").rename(r / "train/cat/1.bmp"),
            (r / "x").rename(r / "train/dog/1.bmp"),
        ),
        r"2 images replaced by another, the first train/cat/1\.bmp",
    ),
}


@pytest.mark.parametrize("change", IMAGE_CHANGES)
def test_changed_images_are_refused(tmp_path: Path, images: Path, change: str) -> None:
    folder = interrupted(classify({"name": "image_folder", "root": str(images)}), tmp_path / "runs")
    alter, words = IMAGE_CHANGES[change]
    alter(images)
    message = refused(folder)
    assert re.search(words, message), message


def test_what_is_no_image_may_come_and_go(tmp_path: Path, images: Path) -> None:
    folder = interrupted(classify({"name": "image_folder", "root": str(images)}), tmp_path / "runs")
    (images / "train" / "cat" / "Thumbs.db").write_bytes(b"x")
    (images / "README.txt").write_text("cats and dogs")
    goes_on(folder)


def test_a_moved_folder_of_images(tmp_path: Path, images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NNLAB_DATA", str(images))
    folder = interrupted(classify({"name": "image_folder"}), tmp_path / "runs")
    images.rename(tmp_path / "moved")
    assert str(images) in refused(folder)
    monkeypatch.setenv("NNLAB_DATA", str(tmp_path / "moved"))
    assert any(str(images) in line and str(tmp_path / "moved") in line for line in goes_on(folder))


def write_mnist(root: Path, seed: int) -> None:
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True)
    random = np.random.default_rng(seed)
    for name, count in (("train", 40), ("t10k", 20)):
        for kind, array in (
            ("images-idx3", random.integers(0, 256, (count, 6, 6), dtype=np.uint8)),
            ("labels-idx1", (np.arange(count) % 10).astype(np.uint8)),
        ):
            sizes = b"".join(side.to_bytes(4, "big") for side in array.shape)
            (raw / f"{name}-{kind}-ubyte").write_bytes(bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes())


def test_another_copy_of_a_published_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seed in (("one", 0), ("other", 1), ("same", 0)):
        write_mnist(tmp_path / name, seed)
    monkeypatch.setenv("NNLAB_DATA", str(tmp_path / "one"))
    folder = interrupted(classify({"name": "mnist"}), tmp_path / "runs")
    monkeypatch.setenv("NNLAB_DATA", str(tmp_path / "other"))
    message = refused(folder)
    assert f"{tmp_path / 'one'}, and now are from {tmp_path / 'other'}" in message
    assert "other training inputs (40 × 1 × 6 × 6), other test inputs" in message
    assert "targets" not in message
    monkeypatch.setenv("NNLAB_DATA", str(tmp_path / "same"))
    goes_on(folder)


def test_digits_of_another_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sklearn import datasets

    folder = interrupted(classify({"name": "digits"}), tmp_path / "runs")
    whole = datasets.load_digits()
    content = json.loads((folder / "data.json").read_text())
    content["fingerprint"]["versions"]["scikit-learn"] = "0.1"
    (folder / "data.json").write_text(json.dumps(content))
    whole.images[5, 0, 0] += 1
    monkeypatch.setattr(datasets, "load_digits", lambda: whole)
    message = refused(folder)
    assert "other training inputs" in message or "other test inputs" in message
    assert "scikit-learn 0.1 then" in message


@pytest.mark.parametrize("name", ["xor", "spirals"])
def test_drawn_points_are_the_same_and_no_reason_to_refuse(tmp_path: Path, name: str) -> None:
    folder = interrupted(classify({"name": name, "examples": 40}), tmp_path / "runs")
    content = json.loads((folder / "data.json").read_text())
    assert content["fingerprint"]["path"] is None
    content["fingerprint"]["tensors"]["test inputs"]["digest"] = "0" * 32  # as of another processor
    (folder / "data.json").write_text(json.dumps(content))
    assert any("drawn from the seed" in line for line in goes_on(folder))


# --- run folders --------------------------------------------------------------------------------------


def test_a_run_of_an_earlier_version_goes_on_with_a_note(tmp_path: Path) -> None:
    folder = interrupted(classify({"name": "xor", "examples": 40}), tmp_path / "runs")
    (folder / "data.json").unlink()
    assert any("no data.json" in line and "cannot be told" in line for line in goes_on(folder))
    assert (folder / "data.json").exists()


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "[]",
        lambda text: text.replace('"path"', '"place"', 1),
        lambda text: text.replace('"name": "xor"', '"name": 3', 1),
        lambda text: "\0" + text,
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, damage: Callable[[str], str]) -> None:
    folder = interrupted(classify({"name": "xor", "examples": 40}), tmp_path / "runs")
    (folder / "data.json").write_text(damage((folder / "data.json").read_text("utf-8")), "utf-8")
    before = contents(folder)
    with pytest.raises(RunFolderError, match=re.escape(str(folder / "data.json"))):
        runner.resume(folder, session_of())
    assert contents(folder) == before


def test_a_run_keeps_its_data_from_its_start_on(tmp_path: Path) -> None:
    table = write_table(tmp_path / "data.csv", rows_of(90))
    config = classify({"name": "csv", "path": str(table), "target": "species"})
    content = json.loads((interrupted(config, tmp_path / "runs") / "data.json").read_text())
    mark = content["fingerprint"]
    assert (mark["path"], mark["size"]) == (str(table.resolve()), table.stat().st_size)
    assert mark["tables"][0]["rows"] == 90
    values = np.array([[float(cell) for cell in row.split(",")[:2]] for row in rows_of(90)])
    assert content["preprocessing"]["class_names"] == ["a", "b", "c"]
    assert content["reader"]["kind"] == "table"
    # of 65 of the 90 rows; near those of all
    np.testing.assert_allclose(content["preprocessing"]["mean"], values.mean(0), atol=0.3)


# --- the fingerprint itself ---------------------------------------------------------------------------


def raw_data(inputs: torch.Tensor, test: torch.Tensor | None = None) -> RawData:
    targets = torch.arange(len(inputs)) % 2
    test = inputs if test is None else test
    names = ["a", "b"]
    return RawData(
        "classification", Split(inputs, targets), Split(test, torch.arange(len(test)) % 2), 2, names
    )


def test_layout_in_memory_does_not_count() -> None:
    images = torch.randint(0, 256, (7, 3, 4, 5), dtype=torch.uint8)
    other = images.contiguous(memory_format=torch.channels_last)
    assert fingerprint(raw_data(images), "x") == fingerprint(raw_data(other), "x")
    other[6, 2, 3, 4] += 1
    assert fingerprint(raw_data(images), "x") != fingerprint(raw_data(other), "x")


def test_the_last_digit_of_a_mean_does_not_count() -> None:
    values = torch.randn(9, 2, dtype=torch.float64)
    near = values.clone()
    near[3, 1] *= 1 + 2**-52
    assert not torch.equal(near, values)
    assert compare(fingerprint(raw_data(values), "x"), fingerprint(raw_data(near), "x")) == ([], [])


@pytest.mark.parametrize(("package", "refuses"), [("pillow", False), ("nnlab", True)])
def test_another_decoder_of_the_same_files(tmp_path: Path, package: str, refuses: bool) -> None:
    draw_image(tmp_path / "train/cat/0.bmp", 0)
    values = torch.randint(0, 255, (4, 1, 2, 2), dtype=torch.uint8)
    own = {"pillow": "10.0", "nnlab": "1.0"}
    before, now = (
        fingerprint(
            replace(raw_data(images), files=(str(tmp_path / "train/cat/0.bmp"),)),
            "x",
            root=tmp_path,
            versions=v,
        )
        for images, v in ((values, own), (values + 1, own | {package: "11.0"}))
    )
    changes, notes = compare(before, now)
    assert bool(changes) == refuses
    assert f"{package} {own[package]} then, 11.0 now" in (changes or notes)[0]


def test_the_same_files_read_otherwise_are_other_data(tmp_path: Path) -> None:
    table, values = write_table(tmp_path / "data.csv", rows_of(9)), torch.randn(9, 2)
    marks = [fingerprint(raw_data(x), "csv", tables=[table], target="species") for x in (values, values + 1)]
    (change,) = compare(*marks).changes
    assert "the files are the same but are read as other training inputs (9 × 2), other test inputs" in change


def test_rows_of_a_large_table_are_digested_in_blocks(tmp_path: Path) -> None:
    rows = [f"{k},{k % 7},a" for k in range(1000)]
    before = table_mark(write_table(tmp_path / "data.csv", rows))
    assert len(before.blocks) == 250
    rows[517] = "0,0,a"
    now = table_mark(write_table(tmp_path / "data.csv", rows))
    marks = [Fingerprint(name="csv", tables=[mark]) for mark in (before, now)]
    assert "the first difference is in row 517 to 520" in compare(*marks).changes[0]


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe\0", b'a,"b\n1,2', b"sep=;\na;b\n1;2\n", b"a\n" + b"1" * 200_000]
)
def test_any_bytes_have_a_mark(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "data.csv").write_bytes(content)
    mark = table_mark(tmp_path / "data.csv")
    assert mark.size == len(content)
    assert mark == table_mark(tmp_path / "data.csv")


def test_large_images_are_sampled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nnlab.data.fingerprint.SAMPLED", 2)
    names = [f"train/cat/{k}.png" for k in range(9)]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(name.encode() * 9000)
    raw = raw_data(torch.zeros(3, 1, 2, 2, dtype=torch.uint8))
    raw = RawData(raw.task, raw.train, raw.test, 2, ["a", "b"], files=tuple(str(tmp_path / n) for n in names))
    marks = fingerprint(raw, "image_folder", root=tmp_path).images["train/cat"]
    assert {mark.split()[0] for mark in marks.values()} == {str(len(names[0]) * 9000)}
    assert 0 < sum(" " in mark for mark in marks.values()) < 9
