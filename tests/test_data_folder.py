"""Image folders: decoding, the cache that notices changes, and what is said about unfit images."""

import os
import shutil
import struct
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from nnlab.data import RawData, cache_folder, decoding, load_image_folder
from nnlab.errors import DataError
from nnlab.lab import sections as config
from nnlab.lab.build import build_data
from tests.command_line import files_no_longer_than

WIDTH, HEIGHT = 6, 4


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two classes of three training and two test images each, in colour, as PNG."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 3), ("test", 2)):
        for name in ("dog", "cat"):
            path = tmp_path / "images" / split / name
            path.mkdir(parents=True)
            for k in range(count):
                save(path / f"{k}.png", rng.integers(0, 256, (HEIGHT, WIDTH, 3)))
    return tmp_path / "images"


def save(path: Path, pixels: np.ndarray, **options: Any) -> None:
    Image.fromarray(pixels.astype(np.uint8)).save(path, **options)


def grey_pixels(seed: int = 5) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH))


class Calls(list[tuple[int, int]]):
    """A progress callable that keeps what it is told; it stays empty where nothing is decoded."""

    def __call__(self, done: int, total: int) -> None:
        self.append((done, total))


def read_all(root: Path, split: str) -> np.ndarray:
    """Class by class in alphabetical order, one file after the other, (N, H, W, 3)."""
    files = sorted((root / split).glob("*/*.png"))
    return np.stack([np.asarray(Image.open(file)) for file in files])


def test_classes_and_pixels(root: Path) -> None:
    raw = load_image_folder(root)
    assert (raw.class_names, raw.outputs, raw.full_scale, raw.notes) == (["cat", "dog"], 2, 255, ())
    assert raw.train.inputs.shape == (6, 3, HEIGHT, WIDTH)
    assert raw.train.inputs.dtype == torch.uint8
    for split, name in ((raw.train, "train"), (raw.test, "test")):
        np.testing.assert_array_equal(split.inputs.permute(0, 2, 3, 1), read_all(root, name))
    assert raw.train.targets.tolist() == [0, 0, 0, 1, 1, 1]
    assert raw.test.targets.tolist() == [0, 0, 1, 1]


def test_build_data_standardizes_by_the_training_images(root: Path) -> None:
    section = config.ImageFolderData(name="image_folder", root=str(root), validation=0.0)
    calls = Calls()
    data = build_data(section, device="cpu", dtype=torch.float32, progress=calls)
    images = read_all(root, "train").astype(np.float64)
    np.testing.assert_allclose(data.mean.flatten(), images.mean((0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(data.std.flatten(), images.std((0, 1, 2)), rtol=1e-6)
    assert calls[-1] == (10, 10)


def test_many_batches_and_threads(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = load_image_folder(root)
    (cache,) = (cache_folder() / "image_folder").iterdir()
    cache.unlink()
    monkeypatch.setattr(decoding, "BATCH", 3)
    monkeypatch.setattr(decoding, "PARALLEL_PIXELS", 1)
    calls = Calls()
    assert torch.equal(load_image_folder(root, progress=calls).train.inputs, expected.train.inputs)
    assert len(calls) == 4
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)
    assert calls[-1] == (10, 10)


def test_jpeg_and_capital_suffixes(root: Path) -> None:
    flat = np.full((HEIGHT, WIDTH, 3), (200, 100, 50))
    for name in ("a.jpg", "b.JPEG", "c.JPG"):
        save(root / "train/cat" / name, flat, format="JPEG", quality=100, subsampling=0)
    raw = load_image_folder(root)
    jpegs = raw.train.inputs[3:6].permute(0, 2, 3, 1).numpy().astype(int)
    assert len(raw.train) == 9
    # At the best quality JPEG rounds each coefficient of YCbCr to a whole number.
    assert np.abs(jpegs - flat).max() <= 2


# --- conversions --------------------------------------------------------------------------------------


def test_grey_becomes_three_equal_channels_and_is_said_once(root: Path) -> None:
    for k in (0, 1):
        save(root / f"train/cat/{k}.png", grey_pixels(k))
    for raw in (load_image_folder(root), load_image_folder(root)):  # decoded, then cached
        for k in (0, 1):
            np.testing.assert_array_equal(raw.train.inputs[k], np.stack([grey_pixels(k)] * 3))
        (note,) = raw.notes
        assert "grey, converted to three equal channels" in note
        assert ": 2, the first " in note
        assert note.endswith("train/cat/0.png")


def test_colour_becomes_luma_and_is_said_once(root: Path) -> None:
    raw = load_image_folder(root, channels=1)
    luma = read_all(root, "train") @ np.array([0.299, 0.587, 0.114])
    assert raw.train.inputs.shape == (6, 1, HEIGHT, WIDTH)
    assert np.abs(raw.train.inputs[:, 0].numpy() - luma).max() < 1
    (note,) = raw.notes
    assert "in colour, converted to grey" in note
    assert ": 10, the first " in note


def test_both_channel_counts_are_cached_apart(root: Path) -> None:
    assert load_image_folder(root, channels=3).train.inputs.shape[1] == 3
    assert load_image_folder(root, channels=1).train.inputs.shape[1] == 1
    calls = Calls()
    load_image_folder(root, channels=3, progress=calls)
    load_image_folder(root, channels=1, progress=calls)
    assert not calls


@pytest.mark.parametrize("bits", [10, 12, 16])
def test_the_largest_value_of_many_bits_becomes_white(root: Path, bits: int) -> None:
    values = np.random.default_rng(1).integers(0, 2**bits, (HEIGHT, WIDTH)).astype(np.uint16)
    Image.fromarray(values).save(root / "train/cat/0.png")
    raw = load_image_folder(root, channels=1)
    expected = np.floor(values / values.max() * 255 + 0.5)
    np.testing.assert_allclose(raw.train.inputs[0, 0], expected, atol=0)
    (note,) = [note for note in raw.notes if "more than 8 bits" in note]
    assert ": 1, the first " in note
    assert f"; {values.max()}, the largest value of the training images, becomes white" in note
    assert note.endswith("; the 9 images of 8 bits keep their values")


def test_what_is_transparent_is_laid_on_white_and_said(root: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (HEIGHT, WIDTH, 4))
    save(root / "train/cat/0.png", pixels)
    raw = load_image_folder(root)
    part = pixels[:, :, 3:] / 255
    expected = part * pixels[:, :, :3] + (1 - part) * 255
    np.testing.assert_allclose(raw.train.inputs[0].permute(1, 2, 0), expected, atol=1)
    assert any("transparent, laid on white: 1, the first " in note for note in raw.notes)


def test_an_opaque_layer_changes_nothing(root: Path) -> None:
    expected = load_image_folder(root)
    for file in root.glob("*/*/*.png"):
        Image.open(file).convert("RGBA").save(file)
    raw = load_image_folder(root)
    assert torch.equal(raw.train.inputs, expected.train.inputs)
    assert raw.notes == ()


def test_a_transparent_palette_colour_is_said(root: Path) -> None:
    image = Image.open(root / "train/cat/0.png").convert("P")
    image.save(root / "train/cat/0.png", transparency=int(np.asarray(image)[0, 0]))
    raw = load_image_folder(root)
    (note,) = raw.notes
    assert "transparent" in note
    assert raw.train.inputs[0, :, 0, 0].tolist() == [255, 255, 255]


def test_cmyk_is_converted_and_said(root: Path) -> None:
    """Pillow's conversion without a profile: each colour is (255 − ink) · (255 − black) / 255."""
    ink = np.full((HEIGHT, WIDTH, 4), (10, 100, 200, 50), dtype=np.uint8)
    Image.fromarray(ink, mode="CMYK").save(root / "train/cat/0.jpg", quality=100, subsampling=0)
    (root / "train/cat/0.png").unlink()
    raw = load_image_folder(root)
    expected = (255 - np.array([10, 100, 200])) * (255 - 50) / 255
    assert np.abs(raw.train.inputs[0].permute(1, 2, 0).numpy() - expected).max() <= 3
    cmyk, flat = raw.notes
    assert "in CMYK" in cmyk
    assert "of one colour everywhere: 1 of 6 for training" in flat


# --- files that cannot be read ------------------------------------------------------------------------


def test_unreadable_files_are_left_out_counted_and_named(root: Path) -> None:
    expected = load_image_folder(root)
    for name in ("train/cat/1.png", "test/dog/1.png"):
        (root / name).write_bytes(truncate((root / name).read_bytes()))
    for decoded in (True, False):
        calls = Calls()
        raw = load_image_folder(root, skip_unreadable=True, progress=calls)
        assert bool(calls) == decoded
        assert torch.equal(raw.train.inputs, expected.train.inputs[[0, 2, 3, 4, 5]])
        assert raw.train.targets.tolist() == [0, 0, 1, 1, 1]
        assert torch.equal(raw.test.inputs, expected.test.inputs[:3])
        assert raw.test.targets.tolist() == [0, 0, 1]
        (note,) = raw.notes
        assert note.startswith("data.skip_unreadable: 2 of 10 images cannot be read and are left out: ")
        assert note.index("train/cat/1.png: ") < note.index("test/dog/1.png: ")


def test_many_unreadable_files_are_not_all_named(root: Path) -> None:
    for k in range(20, 30):
        (root / f"train/cat/{k}.png").write_text("no image")
    (note,) = load_image_folder(root, skip_unreadable=True).notes
    assert "10 of 20 images" in note
    assert note.count("no image") == 0
    assert [f"cat/{k}.png" in note for k in (20, 21, 22, 23)] == [True, True, True, False]
    assert note.endswith("; and 7 more")


def test_a_run_that_wants_every_image_does_not_take_the_cache_of_one_that_skips(root: Path) -> None:
    (root / "train/cat/1.png").write_text("no image")
    load_image_folder(root, skip_unreadable=True)
    with pytest.raises(DataError, match=r"train/cat/1\.png: cannot be read .* data\.skip_unreadable: true"):
        load_image_folder(root)
    calls = Calls()
    assert len(load_image_folder(root, skip_unreadable=True, progress=calls).train) == 5
    assert not calls


def test_a_cache_without_unreadable_images_serves_both(root: Path) -> None:
    load_image_folder(root)
    calls = Calls()
    assert len(load_image_folder(root, skip_unreadable=True, progress=calls).train) == 6
    assert not calls


def test_the_first_file_may_be_the_unreadable_one(root: Path) -> None:
    """Its header declares another size, which is not taken for that of the others."""
    first = root / "train/cat/0.png"
    save(first, np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH + 3, 3)))
    first.write_bytes(cut(first.read_bytes()))
    with Image.open(first) as image:
        assert image.size == (WIDTH + 3, HEIGHT)
    assert load_image_folder(root, skip_unreadable=True).train.inputs.shape == (5, 3, HEIGHT, WIDTH)


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_class_that_loses_all_its_images_is_named(root: Path, split: str) -> None:
    for file in (root / split / "dog").iterdir():
        file.write_text("no image")
    count = {"train": 3, "test": 2}[split]
    for _ in range(2):  # decoded, then cached
        with pytest.raises(DataError, match=rf"{split}/dog: not one of the {count} images of class dog"):
            load_image_folder(root, skip_unreadable=True)


def test_nothing_readable_at_all_is_said(root: Path) -> None:
    for file in root.glob("*/*/*.png"):
        file.write_text("no image")
    with pytest.raises(DataError, match=r"train/cat/0\.png: neither this image nor any of 9 others"):
        load_image_folder(root, skip_unreadable=True)


def test_a_file_that_may_be_readable_next_time_is_not_remembered(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root reads everything, so that the refusal is made up: as the system would give it."""
    opened = Image.open

    def refused(file: str, **options: Any) -> Image.Image:
        if file.endswith("train/cat/1.png"):
            raise PermissionError(13, "Permission denied", file)
        return opened(file, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Image, "open", refused)
        assert len(load_image_folder(root, skip_unreadable=True).train) == 5
    assert len(load_image_folder(root, skip_unreadable=True).train) == 6


def test_build_data_passes_the_option_on(root: Path) -> None:
    (root / "train/cat/1.png").write_text("no image")
    section = config.ImageFolderData(
        name="image_folder", root=str(root), skip_unreadable=True, validation=0.0
    )
    data = build_data(section, device="cpu", dtype=torch.float32)
    assert (len(data.train), len(data.test)) == (5, 4)
    with pytest.raises(DataError, match=r"train/cat/1\.png"):
        build_data(section.model_copy(update={"skip_unreadable": False}), device="cpu", dtype=torch.float32)


# --- the cache ----------------------------------------------------------------------------------------


def load_and_tell(root: Path) -> tuple[RawData, bool]:
    """The raw data, and whether images were decoded for it."""
    calls = Calls()
    raw = load_image_folder(root, progress=calls)
    return raw, bool(calls)


def test_an_unchanged_folder_is_read_from_the_cache(root: Path) -> None:
    first, decoded = load_and_tell(root)
    again, decoded_again = load_and_tell(root)
    assert (decoded, decoded_again) == (True, False)
    assert torch.equal(first.train.inputs, again.train.inputs)
    assert torch.equal(first.test.inputs, again.test.inputs)


def rewrite(root: Path) -> None:
    """Other pixels in a file of the same name and size in bytes."""
    file = root / "train/cat/0.png"
    size = file.stat().st_size
    save(file, np.random.default_rng(9).integers(0, 256, (HEIGHT, WIDTH, 3)))
    assert file.stat().st_size == size


def touch(root: Path) -> None:
    """A nanosecond is enough."""
    file = root / "test/dog/1.png"
    state = file.stat()
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns + 1))


def add(root: Path) -> None:
    save(root / "test/dog/9.png", np.zeros((HEIGHT, WIDTH, 3)))


def remove(root: Path) -> None:
    (root / "train/dog/1.png").unlink()


def rename(root: Path) -> None:
    (root / "train/dog/1.png").rename(root / "train/dog/9.png")


def move_to_another_class(root: Path) -> None:
    (root / "train/dog/1.png").rename(root / "train/cat/9.png")


def move_within_the_order(root: Path) -> None:
    """The last cat becomes the first dog: the sequence of sizes and times stays as it was."""
    (root / "train/cat/2.png").rename(root / "train/dog/-.png")


@pytest.mark.parametrize(
    "change", [rewrite, touch, add, remove, rename, move_to_another_class, move_within_the_order]
)
def test_the_cache_notices_changes(root: Path, change: Callable[[Path], None]) -> None:
    load_image_folder(root)
    change(root)
    raw, decoded = load_and_tell(root)
    assert decoded
    for split, name in ((raw.train, "train"), (raw.test, "test")):
        np.testing.assert_array_equal(split.inputs.permute(0, 2, 3, 1), read_all(root, name))
    assert not load_and_tell(root)[1]
    assert len(list((cache_folder() / "image_folder").iterdir())) == 1  # replaced, not piled up


def test_a_change_of_the_same_size_and_time_is_noticed(root: Path) -> None:
    """The system notes a time at every change that no program can set."""
    load_image_folder(root)
    file = root / "train/cat/0.png"
    before = file.stat()
    rewrite(root)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = file.stat()
    assert (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    raw, decoded = load_and_tell(root)
    assert decoded
    np.testing.assert_array_equal(raw.train.inputs.permute(0, 2, 3, 1), read_all(root, "train"))


def test_each_form_is_cached_apart(root: Path) -> None:
    forms: list[dict[str, Any]] = [
        {"resize": 2}, {"resize": [2, 3]}, {"crop": 2}, {"crop": [3, 2]}, {"resize": 3, "crop": 2}, {},
    ]  # fmt: skip
    shapes = [load_image_folder(root, **form).train.inputs.shape[2:] for form in forms]
    assert [tuple(shape) for shape in shapes] == [(2, 2), (2, 3), (2, 2), (3, 2), (2, 2), (4, 6)]
    calls = Calls()
    for form, shape in zip(forms, shapes, strict=True):
        assert load_image_folder(root, progress=calls, **form).train.inputs.shape[2:] == shape
    assert not calls
    assert len(list((cache_folder() / "image_folder").iterdir())) == len(forms)


def test_the_seed_of_the_split_is_no_part_of_the_cache(root: Path) -> None:
    shutil.rmtree(root / "test")
    load_image_folder(root, test=0.34)
    calls, drawn = Calls(), set()
    for seed in range(20):
        raw = load_image_folder(root, test=0.34, split_seed=seed, progress=calls)
        drawn.add(raw.test.inputs.numpy().tobytes())
    assert len(drawn) > 1
    assert not calls


def test_what_is_white_depends_on_which_images_are_for_training(root: Path) -> None:
    """The same files by the same names below `root`, with other maxima for training."""
    for file in root.glob("*/*/*.png"):
        largest = 4000 if file.parts[-3] == "test" else 1000
        pixels = np.linspace(0, largest, 24).astype(np.uint16).reshape(4, 6) + int(file.stem)
        Image.fromarray(pixels).save(file)
    reader = load_image_folder(root).reader
    assert reader is not None
    assert reader.as_dict()["white"] == 1002
    (root / "train").rename(root / "swap")
    (root / "test").rename(root / "train")
    (root / "swap").rename(root / "test")
    for _ in range(2):  # decoded, then cached
        reader = load_image_folder(root).reader
        assert reader is not None
        assert reader.as_dict()["white"] == 4001


def test_leftovers_of_killed_processes_are_removed(root: Path) -> None:
    folder = cache_folder() / "image_folder"
    folder.mkdir(parents=True)
    old, new = folder / ".a.npz.123-4.tmp", folder / ".b.npz.567-8.tmp"
    for file in (old, new):
        file.write_text("half a cache")
    os.utime(old, (1e9, 1e9))
    load_image_folder(root)
    assert not old.exists()
    assert new.exists()


def test_several_that_load_at_once_agree(root: Path) -> None:
    expected = read_all(root, "train")
    with ThreadPoolExecutor(8) as pool:
        for raw in pool.map(lambda _: load_image_folder(root), range(16)):
            np.testing.assert_array_equal(raw.train.inputs.permute(0, 2, 3, 1), expected)
    assert len(list((cache_folder() / "image_folder").iterdir())) == 1


def truncate(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flip_a_pixel(content: bytes) -> bytes:
    middle = content.index(b"images.npy") + 300
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def replace_by_text(content: bytes) -> bytes:
    return b"no zip file at all" * 40


def empty(content: bytes) -> bytes:
    return b""


@pytest.mark.parametrize("damage", [truncate, flip_a_pixel, replace_by_text, empty])
def test_a_damaged_cache_is_rebuilt(root: Path, damage: Callable[[bytes], bytes]) -> None:
    first = load_image_folder(root)
    (cache,) = (cache_folder() / "image_folder").iterdir()
    cache.write_bytes(damage(cache.read_bytes()))
    raw, decoded = load_and_tell(root)
    assert decoded
    assert torch.equal(raw.train.inputs, first.train.inputs)
    assert not load_and_tell(root)[1]


class _Bomb:
    """A pickle that leaves a trace when it is opened."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.trace,))


def test_a_pickle_in_the_cache_is_not_opened(root: Path, tmp_path: Path) -> None:
    first = load_image_folder(root)
    (cache,) = (cache_folder() / "image_folder").iterdir()
    with np.load(cache) as stored:
        content = dict(stored)
    bomb = np.array([_Bomb(tmp_path / "trace")], dtype=object)
    np.savez(cache, **{**content, "images": bomb})
    raw, decoded = load_and_tell(root)
    assert decoded
    assert torch.equal(raw.train.inputs, first.train.inputs)
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize(
    "change",
    [
        {"images": np.zeros((3, 4, 6, 3), np.uint8)},
        {"images": np.zeros((10, 4, 6, 3))},
        {"flat": np.zeros(9, bool)},
        {"digests": np.zeros(10)},
    ],
)
def test_a_cache_of_another_form_is_rebuilt(root: Path, change: dict[str, Any]) -> None:
    first = load_image_folder(root)
    (cache,) = (cache_folder() / "image_folder").iterdir()
    with np.load(cache) as stored:
        content = dict(stored)
    np.savez(cache, **{**content, **change})
    raw, decoded = load_and_tell(root)
    assert decoded
    assert torch.equal(raw.train.inputs, first.train.inputs)


def test_a_cache_that_cannot_be_written_is_only_noted(root: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    for _ in range(2):
        raw, decoded = load_and_tell(root)
        assert decoded
        (note,) = raw.notes
        assert "could not be cached" in note


def test_a_full_disk_leaves_no_half_written_cache(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", fail)
    raw, _ = load_and_tell(root)
    assert "No space left on device" in raw.notes[0]
    assert not list((cache_folder() / "image_folder").iterdir())


def test_a_disk_that_fills_while_it_is_written(root: Path) -> None:
    with files_no_longer_than(700):
        raw, decoded = load_and_tell(root)
    assert decoded
    assert "could not be cached" in raw.notes[0]
    assert not list((cache_folder() / "image_folder").iterdir())
    assert load_and_tell(root)[0].notes == ()


# --- what does not fit --------------------------------------------------------------------------------


def test_hidden_files_other_files_and_loops_are_passed_over(root: Path) -> None:
    expected = load_image_folder(root)
    (root / "train/.DS_Store").write_text("x")
    (root / "train/README.txt").write_text("x")
    (root / "train/.hidden").mkdir()
    (root / "train/cat/.0.png").write_bytes(b"not an image")
    (root / "train/cat/notes.txt").write_text("x")
    (root / "train/cat/deeper.png").mkdir()
    (root / "train/up").symlink_to("..")
    (root / "train/same").symlink_to(root / "train")
    (root / "train/self").symlink_to("self")
    (root / "train/cat/loop").symlink_to("../cat")
    raw = load_image_folder(root)
    assert raw.class_names == ["cat", "dog"]
    assert torch.equal(raw.train.inputs, expected.train.inputs)
    others, link = raw.notes
    assert "not read as images, passed over: 1 .txt, the first " in others
    assert others.endswith("train/cat/notes.txt")
    assert link.endswith("train/self: a link that leads nowhere, left out")


def test_links_to_images_count_and_links_to_nothing_are_noted(root: Path) -> None:
    (root / "train/cat/8.png").symlink_to("0.png")
    (root / "train/cat/9.png").symlink_to("gone.png")
    (root / "train/dog/9.png").symlink_to("9.png")
    raw = load_image_folder(root)
    assert len(raw.train) == 7
    assert torch.equal(raw.train.inputs[3], raw.train.inputs[0])
    assert [note.split(":")[0].split("images/")[1] for note in raw.notes] == [
        "train/cat/9.png",
        "train/dog/9.png",
    ]


def test_a_root_that_was_forgotten(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NNLAB_DATA", raising=False)
    load_image_folder(root)  # so that the cache folder holds something
    section = config.ImageFolderData(name="image_folder")
    with pytest.raises(DataError, match=r"data\.root: names no folder, and NNLAB_DATA is not set"):
        build_data(section, device="cpu", dtype=torch.float32)


@pytest.mark.parametrize("name", ["images", "train", "dog"])
def test_a_folder_that_may_not_be_listed_is_named(
    root: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root lists everything, so that the refusal is made up: as the system would give it."""
    listed = os.scandir

    def refused(path: Any) -> Any:
        if Path(path).name == name:
            raise PermissionError(13, "Permission denied", path)
        return listed(path)

    monkeypatch.setattr(os, "scandir", refused)
    with pytest.raises(DataError, match=rf"/{name}: cannot be listed: Permission denied; .*readable"):
        load_image_folder(root)


def test_a_linked_class_folder_counts(root: Path, tmp_path: Path) -> None:
    (root / "train/cat").rename(tmp_path / "elsewhere")
    (root / "train/cat").symlink_to(tmp_path / "elsewhere")
    assert load_image_folder(root).class_names == ["cat", "dog"]


def test_an_image_of_another_size_is_named_with_both_sizes(root: Path) -> None:
    save(root / "test/dog/1.png", np.zeros((HEIGHT, WIDTH + 1, 3)))
    message = r"test/dog/1\.png: 7 × 4 pixels, but .*train/cat/0\.png has 6 × 4"
    with pytest.raises(DataError, match=message):
        load_image_folder(root)


def cut(content: bytes) -> bytes:
    return content[:-30]


def spoil(content: bytes) -> bytes:
    middle = content.index(b"IDAT") + 12
    return content[:middle] + b"\xff\xff\xff\xff" + content[middle + 4 :]


def gigantic(content: bytes) -> bytes:
    """A header that claims 60,000 × 60,000 pixels, with its own valid checksum."""
    chunk = b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return content[:12] + chunk + struct.pack(">I", zlib.crc32(chunk)) + content[33:]


@pytest.mark.parametrize("damage", [cut, spoil, gigantic, replace_by_text, empty])
@pytest.mark.parametrize("file", ["train/cat/0.png", "test/dog/1.png"])
def test_a_damaged_image_is_named(root: Path, damage: Callable[[bytes], bytes], file: str) -> None:
    (root / file).write_bytes(damage((root / file).read_bytes()))
    with pytest.raises(DataError, match=rf"{file}: cannot be read as an image: \S"):
        load_image_folder(root)
    assert not (cache_folder() / "image_folder").exists()


def test_the_content_says_what_an_image_is(root: Path) -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (HEIGHT, WIDTH, 3))
    save(root / "train/cat/0.png", pixels, format="BMP")
    raw = load_image_folder(root)
    np.testing.assert_array_equal(raw.train.inputs[0].permute(1, 2, 0), pixels)
    (note,) = raw.notes
    assert "of another format than their names say" in note
    assert note.endswith("train/cat/0.png")


def test_decoders_that_are_not_listed_are_not_used(root: Path) -> None:
    save(root / "train/cat/0.png", np.zeros((HEIGHT, WIDTH, 3)), format="PCX")
    with pytest.raises(DataError, match=r"train/cat/0\.png: cannot be read as an image: .* is neither PNG"):
        load_image_folder(root)


def test_a_class_without_an_image_is_named(root: Path) -> None:
    for file in (root / "test/dog").iterdir():
        file.unlink()
    with pytest.raises(
        DataError, match=r"test/dog: this class folder holds no image \(\.png, \.jpg, .*\); put one there"
    ):
        load_image_folder(root)


@pytest.mark.parametrize(("here", "there"), [("train", "test"), ("test", "train")])
def test_classes_must_be_the_same(root: Path, here: str, there: str) -> None:
    (root / here / "bird").mkdir()
    save(root / here / "bird/0.png", np.zeros((HEIGHT, WIDTH, 3)))
    with pytest.raises(DataError, match=rf"images/{there}: there is no folder for the class bird"):
        load_image_folder(root)


def test_missing_folders_are_named(root: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data\.root: .*none is not a folder; .*NNLAB_DATA"):
        load_image_folder(tmp_path / "none")
    (tmp_path / "hollow/train").mkdir(parents=True)
    with pytest.raises(DataError, match="hollow/train: holds no class folder"):
        load_image_folder(tmp_path / "hollow")
    (root / "train").rename(root / "trains")
    with pytest.raises(DataError, match="images: holds test, but no train; an image folder holds"):
        load_image_folder(root)
