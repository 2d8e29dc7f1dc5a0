"""A campaign of image folders: each is read to the right pixels, or refused with file, place and remedy."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from nnlab.errors import DataError
from nnlab.lab.build import build_data
from nnlab.lab.sections import ImageFolderData
from tests.command_line import Result, finish, nnlab, start
from tests.image_folder_cases import CASES, Case, Folder, as_bytes


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_image_folder(case: Case, tmp_path: Path) -> None:
    folder = Folder(tmp_path / "images")
    case.build(folder)
    section = ImageFolderData(
        **{"name": "image_folder", "root": str(folder.root), "validation": 0.0, **case.keys}
    )
    if case.error:
        refused(case, section, folder)
        return
    for _ in range(2):  # decoded, then from the cache
        data = build_data(section, device="cpu", dtype=torch.float32)
        compare_notes(data.notes, case.notes)
        if case.check is not None:
            case.check(data, folder)
            continue
        for split, examples in (("train", data.train), ("test", data.test), ("val", data.validation)):
            if examples is None or any("no test folder" in note for note in data.notes):
                continue
            (place,) = {name.split("/")[0] for name in folder.expected if name.lower().startswith(split)}
            expected = folder.images(place)
            pixels = as_bytes(data, examples).astype(float)
            np.testing.assert_allclose(pixels - expected[..., : pixels.shape[3]], 0, atol=case.tolerance)


def refused(case: Case, section: ImageFolderData, folder: Folder) -> None:
    with pytest.raises(DataError) as caught:
        build_data(section, device="cpu", dtype=torch.float32)
    message = str(caught.value)
    assert message.isprintable()
    for words in case.error:
        assert words in message
    assert str(folder.root) in message or "data." in message


def compare_notes(notes: tuple[str, ...], expected: tuple[str, ...]) -> None:
    """Each note is expected, and each that is expected is there once; % stands for any text."""
    assert len(notes) == len(expected), notes
    for words in expected:
        start, _, end = words.partition("%")
        assert sum(start in note and end in note for note in notes) == 1, (words, notes)
    for note in notes:
        assert note.isprintable()


def test_there_are_many_cases() -> None:
    assert len(CASES) >= 80
    assert sum(bool(case.error) for case in CASES.values()) >= 30


# --- on the command line ---------------------------------------------------------------------------------

FLAGS = (
    "--config", "softmax_digits", "--set", "training.epochs=1", "--set", "training.device=cpu",
    "--set", "training.precision=float32", "--set", "data.name=image_folder", "--quiet",
)  # fmt: skip

REFUSED = [
    "half a PNG", "a web page", "two sizes", "every image of one colour", "capital letters", "test alone",
    "one class", "a PNG of 3,600 megapixels", "12 bits a colour in files of 16, 3 channels", "no folder",
    "a class whose name is no text", "a broken file with a line end in its name",
]  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_the_command_line_refuses_in_one_line(tmp_path: Path, name: str) -> None:
    folder = Folder(tmp_path / "images")
    CASES[name].build(folder)
    result = nnlab(
        "train", *FLAGS, "--set", f"data.root={folder.root}", "--runs", tmp_path / "runs", *sets(CASES[name])
    )
    one_message(result, CASES[name], tmp_path)


def one_message(result: Result, case: Case, folder: Path) -> None:
    assert result.code == 2
    assert result.err.startswith("nnlab: ")
    assert result.err.count("\n") == 1
    for words in case.error:
        assert words in result.err
    assert not list((folder / "runs").glob("*/*"))


def sets(case: Case) -> list[str]:
    return [part for key, value in case.keys.items() for part in ("--set", f"data.{key}={value}")]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["half a JPEG", "two sizes"])
def test_a_process_ends_with_2_and_no_traceback(tmp_path: Path, name: str) -> None:
    folder = Folder(tmp_path / "images")
    CASES[name].build(folder)
    process = start("train", *FLAGS, "--set", f"data.root={folder.root}", "--runs", tmp_path / "runs")
    one_message(finish(process), CASES[name], tmp_path)


@pytest.mark.parametrize("name", ["photographs held in eight ways", "resized and cropped", "a folder val"])
def test_a_training_with_what_is_told(tmp_path: Path, name: str) -> None:
    folder = Folder(tmp_path / "images")
    CASES[name].build(folder)
    flags = [flag for flag in FLAGS if flag != "--quiet"]
    result = nnlab(
        "train", *flags, "--set", f"data.root={folder.root}", "--set", "data.validation=0.3",
        "--runs", tmp_path / "runs", *sets(CASES[name]),
    )  # fmt: skip
    assert result.code == 0, result.err
    for words in CASES[name].notes:
        assert words in result.err


@pytest.mark.parametrize("name", ["photographs held in eight ways", "resized and cropped", "12 bits in png"])
def test_the_test_images_as_new_ones_give_the_same_metrics(tmp_path: Path, name: str) -> None:
    folder = Folder(tmp_path / "images")
    CASES[name].build(folder)
    result = nnlab(
        "train", *FLAGS, "--set", f"data.root={folder.root}", "--set", "data.validation=0.0",
        "--runs", tmp_path / "runs", "--json",
        *sets(CASES[name]),
    )  # fmt: skip
    assert result.code == 0, result.err
    summary = json.loads(result.out)
    new = nnlab("predict", summary["run_dir"], "--data", folder.root / "test", "--json")
    assert new.code == 0, new.err
    metrics = json.loads(new.out)["metrics"]
    assert metrics
    assert {f"test/{key}": value for key, value in metrics.items()}.items() <= summary["metrics"].items()


@pytest.mark.parametrize(
    "value", ["0", "-1", "9000", "true", "2.5", "[4]", "[4, 4, 4]", "[4, 0]", "small", "{}"]
)
@pytest.mark.parametrize("key", ["resize", "crop"])
def test_sizes_that_are_none(tmp_path: Path, key: str, value: str) -> None:
    result = nnlab("train", *FLAGS, "--set", f"data.root={tmp_path}", "--set", f"data.{key}={value}")
    assert result.code == 2
    assert f"data.{key}" in result.err
    assert "must be a number of pixels from 1 to 8192, or [height, width]" in result.err


def kernel(root: Path, *sets: str, data: str = "image_folder") -> Result:
    flags = [part for one in (f"data.root={root}", *sets) for part in ("--set", one)]
    return nnlab(
        "ntk", "--data", data, "--widths", "8,16", "--steps", "3", "--set", "data.examples=4",
        "--runs", root.parent / "runs", "--quiet", *flags,
    )  # fmt: skip


def test_kernels_of_images_of_two_sizes(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "images")
    CASES["two sizes"].build(folder)
    one_message(kernel(folder.root), CASES["two sizes"], tmp_path)
    result = kernel(folder.root, "data.resize=4")
    assert result.code == 0, result.err


def test_kernels_of_other_sets_are_not_resized(tmp_path: Path) -> None:
    result = kernel(tmp_path, "data.resize=4", data="digits")
    assert result.code == 2
    assert "resize is for name: image_folder, not for digits; leave it out" in result.err
