"""New images are read as the training images were: to the same pixels, or refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from nnlab.data import load_digits, load_image_folder
from nnlab.data.image_reader import ImageReader
from nnlab.data.picture import Form
from nnlab.data.reader import Reader
from nnlab.errors import DataError
from tests.image_folder_cases import BROKEN, HEIGHT, WIDTH, Folder, deep, exif, sized, stored


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "images").fill()


def reader_of(folder: Folder, **keys: Any) -> ImageReader:
    """The reader of a loaded folder, as a run keeps it."""
    return kept(load_image_folder(folder.root, **keys).reader)


def kept(reader: Reader | None) -> ImageReader:
    assert isinstance(reader, ImageReader)
    again = ImageReader.from_dict(json.loads(json.dumps(reader.as_dict())))
    assert again == reader
    return again


def mixed(folder: Folder) -> Folder:
    sized(folder, [(40, 40), (40, 60), (80, 48)], lambda image: image)
    return folder


def many_bits(folder: Folder) -> Folder:
    deep(folder, 1000, "png")
    return folder


def turned(folder: Folder) -> Folder:
    for name in list(folder.fill().expected):
        folder.add(name, stored(folder.noise(), 6), exif=exif(6))
    return folder


@pytest.mark.parametrize("make", [Folder.fill, mixed, many_bits, turned])
@pytest.mark.parametrize("keys", [{"resize": 3}, {"resize": [5, 7], "crop": [4, 2]}, {"channels": 1}, {}])
def test_the_test_images_become_what_they_were(tmp_path: Path, make: Any, keys: dict[str, Any]) -> None:
    folder = make(Folder(tmp_path / "images"))
    if make is mixed and "resize" not in keys:
        keys = {**keys, "crop": 40}
    raw = load_image_folder(folder.root, **keys)
    reader = kept(raw.reader)
    for path in (folder.root, folder.root / "test"):
        new = reader.read(path)
        assert torch.equal(new.inputs, raw.test.inputs)
        assert new.inputs.stride() == raw.test.inputs.stride()
        assert new.targets is not None
        assert torch.equal(new.targets, raw.test.targets)
        assert new.labels[0].startswith("cat/0.")
        assert len(set(new.labels)) == len(new)
    for index, name in enumerate(sorted((folder.root / "train/dog").iterdir())):
        one = reader.read(name)
        assert torch.equal(one.inputs[0], raw.train.inputs[len(raw.train) // 2 + index])
        assert (one.labels, one.targets) == ([name.name], None)


def test_a_flat_folder_has_no_targets(folder: Folder) -> None:
    reader = reader_of(folder)
    calls: list[tuple[int, int]] = []
    new = reader.read(folder.root / "test/dog", progress=lambda *call: calls.append(call))
    np.testing.assert_array_equal(new.inputs.permute(0, 2, 3, 1), folder.images("test")[3:])
    assert (new.targets, new.labels, new.notes) == (None, ["0.png", "1.png", "2.png"], ())
    assert calls[-1] == (3, 3)


def test_other_files_and_deeper_folders_are_counted(folder: Folder) -> None:
    reader = reader_of(folder)
    folder.write("new/0.png", (folder.root / "test/cat/0.png").read_bytes()).write("new/a.heic", b"x")
    folder.write("new/Thumbs.db", b"x").write("new/deeper/0.png", b"x")
    new = reader.read(folder.root / "new")
    assert len(new) == 1
    files, folders = new.notes
    assert "passed over: 1 .heic" in files
    assert "passed over: 1, the first" in folders


def test_folders_with_other_names_are_no_classes(folder: Folder) -> None:
    reader = reader_of(folder)
    folder.fill("new", classes=("monday", "tuesday"))
    new = reader.read(folder.root / "new")
    assert (len(new), new.targets) == (6, None)
    assert "(monday, tuesday) are named like no class of the training (cat, dog)" in new.notes[0]
    assert new.labels[-1] == "tuesday/2.png"


def test_a_part_of_the_classes_is_enough(folder: Folder) -> None:
    reader = reader_of(folder)
    folder.fill("new", classes=("dog",))
    (folder.root / "new/cat").mkdir()
    new = reader.read(folder.root / "new")
    assert new.targets is not None
    assert new.targets.tolist() == [1, 1, 1]
    assert "folders without an image: cat" in new.notes[0]


@pytest.mark.parametrize(
    ("name", "words"), [("bird", ""), ("Cat", "'Cat' and 'cat' differ in capital letters")]
)
def test_a_class_that_the_training_did_not_have(folder: Folder, name: str, words: str) -> None:
    reader = reader_of(folder)
    folder.fill("new", classes=("dog", name))
    with pytest.raises(
        DataError, match=f"new/{name}: {name} is no class of the training.*cat, dog"
    ) as caught:
        reader.read(folder.root / "new")
    assert words in str(caught.value)


def test_nothing_to_read(folder: Folder, tmp_path: Path) -> None:
    reader = reader_of(folder)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty: holds no image"):
        reader.read(tmp_path / "empty")
    with pytest.raises(DataError, match=r"none\.png: No such file or directory; name an image"):
        reader.read(tmp_path / "none.png")


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_named_without_keys_of_the_config(folder: Folder, name: str) -> None:
    suffix, content, words = BROKEN[name]
    reader = reader_of(folder)
    folder.write(f"new/9.{suffix}", content)
    for path in (folder.root / "new", folder.root / f"new/9.{suffix}"):
        with pytest.raises(DataError, match=f"9.{suffix}: cannot be read as an image: .*Replace") as caught:
            reader.read(path)
        assert words in str(caught.value)
        assert "data." not in str(caught.value)


def test_another_size_is_fitted_and_said(folder: Folder) -> None:
    """Of 41 × 20 pixels the middle 30 × 20 have the proportions of 6 × 4."""
    reader = reader_of(folder)
    pixels = np.kron(folder.noise(5, 10, 3), np.ones((4, 4, 1), np.uint8))
    pixels = np.concatenate([pixels, pixels[:, :1]], 1)
    folder.add("new/0.png", pixels)
    folder.add("new/1.png")
    new = reader.read(folder.root / "new")
    fitted = ImageOps.fit(Image.fromarray(pixels), (WIDTH, HEIGHT), Image.Resampling.BICUBIC)
    np.testing.assert_allclose(new.inputs[0].permute(1, 2, 0).numpy(), np.asarray(fitted), atol=1)
    np.testing.assert_array_equal(new.inputs[1].permute(1, 2, 0), folder.expected["new/1.png"])
    (note,) = new.notes
    assert "of another size than the training images" in note
    assert ": 1, the first " in note
    assert note.endswith("new/0.png")


def test_the_scale_is_that_of_the_training_images(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "images")
    deep(folder, 1000, "png")
    reader = reader_of(folder, channels=1)
    assert reader.white == 999
    values = np.array([[0, 100, 200, 300, 999, 5000]] * HEIGHT, np.uint16)
    folder.add("new/0.png", values)
    new = reader.read(folder.root / "new")
    assert new.inputs[0, 0, 0].tolist() == [0, 26, 51, 77, 255, 255]
    scale, clipped = new.notes
    assert "999, the largest value of the training images, becomes white" in scale
    assert "where they become white: 1" in clipped


def test_many_bits_after_a_training_with_eight(folder: Folder) -> None:
    reader = reader_of(folder)
    folder.add("new/0.png", np.full((HEIGHT, WIDTH), 700, np.uint16))
    with pytest.raises(
        DataError, match=r"new/0\.png: has more than 8 bits a pixel, and no training image has"
    ):
        reader.read(folder.root / "new")


def test_scans_become_digits(tmp_path: Path) -> None:
    """The digits have 17 levels, so that an image of their levels in bytes comes back as it was."""
    raw = load_digits(test=0.2, split_seed=0)
    reader = kept(raw.reader)
    for k in range(3):
        levels = raw.test.inputs[k, 0].numpy().astype(float)
        colour = np.stack([np.rint(levels * 255 / 16).astype(np.uint8)] * 3, 2)
        Image.fromarray(colour).save(tmp_path / f"{k}.png")
    large = np.kron(levels, np.ones((10, 10)))
    Image.fromarray(np.rint(large * 255 / 16).astype(np.uint8)).save(tmp_path / "large.png")
    new = reader.read(tmp_path)
    assert new.inputs.shape == (4, 1, 8, 8)
    assert torch.equal(new.inputs[:3], raw.test.inputs[:3])
    assert float((new.inputs[3].float() - raw.test.inputs[2].float()).abs().mean()) < 1.5
    assert new.labels == ["0.png", "1.png", "2.png", "large.png"]


def strokes(paper: int, ink: int, side: int = 28) -> np.ndarray:
    image = np.full((side, side), paper, np.uint8)
    image[side // 4 : -side // 4, side // 2] = ink
    return image


def test_light_and_dark_that_changed_places_are_said(tmp_path: Path) -> None:
    images = torch.from_numpy(np.stack([strokes(0, 255 - k) for k in range(5)]))[:, None]
    reader = kept(ImageReader.of(images, Form(1), ["a", "b"]))
    assert reader.background == 0
    Image.fromarray(strokes(250, 10, 100)).save(tmp_path / "a.png")
    Image.fromarray(strokes(5, 200, 28)).save(tmp_path / "b.png")
    new = reader.read(tmp_path)
    (note,) = [note for note in new.notes if "border" in note]
    assert "with a light border, where training images have a dark one: 1, the first a.png" in note


def test_photographs_have_no_common_background(folder: Folder) -> None:
    folder.add("train/cat/8.png", np.full((HEIGHT, WIDTH, 3), 255, np.uint8))
    folder.add("train/cat/9.png", np.full((HEIGHT, WIDTH, 3), 0, np.uint8))
    assert reader_of(folder).background is None


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "table"}, {"size": [0, 4]}, {"size": 4}, {"size": None}, {"size": [4, 4, 4]},
        {"size": ["4", 4]},
        {"form": {}}, {"form": None}, {"form": {"channels": 2, "resize": None, "crop": None}},
        {"form": {"channels": 3, "resize": -1, "crop": None}}, {"full_scale": 0}, {"full_scale": "x"},
        {"class_names": [1]}, {"class_names": None}, {"white": "bright"}, {"white": -1}, {"background": True},
    ],
)  # fmt: skip
def test_content_of_another_kind_is_refused(folder: Folder, change: dict[str, Any]) -> None:
    content = json.loads(json.dumps(reader_of(folder).as_dict()))
    with pytest.raises((ValueError, KeyError, TypeError)):
        ImageReader.from_dict({**content, **change})
    for key in content:
        with pytest.raises(KeyError):
            ImageReader.from_dict({k: v for k, v in content.items() if k != key})
