"""What goes wrong with folders of images and with the options of convolutional networks, one message each."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.command_line import Result, nnlab

SIDE = 16


def write_image(path: Path, *, side: int = SIDE, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two classes, 8 images of each for training and 4 for testing."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    root = tmp_path / "images"
    for split, count in (("train", 8), ("test", 4)):
        for label, name in enumerate(("cat", "dog")):
            for number in range(count):
                write_image(root / split / name / f"{number}.png", seed=100 * label + number)
    return root


def train(root: Path, *sets: str, config: str = "cnn_cifar10") -> Result:
    given = [
        "data.name=image_folder", f"data.root={root}", "data.batch_size=4", "training.epochs=1",
        "model.channels=[4]", "training.precision=float32", "optimizer.schedule.warmup_epochs=0", *sets,
    ]  # fmt: skip
    flags = [part for one in given for part in ("--set", one)]
    return nnlab("train", "--config", config, *flags, "--runs", root.parent / "runs", "--quiet")


def one_message(result: Result, *words: str, code: int = 2) -> None:
    assert result.code == code, result.err
    assert result.err.startswith("nnlab: ")
    assert len(result.err.strip().splitlines()) == 1, result.err
    assert "Traceback" not in result.err
    for word in words:
        assert word in result.err, result.err


def test_a_plain_run_works(folder: Path) -> None:
    assert train(folder).code == 0


@pytest.mark.skipif(sys.platform != "linux", reason="file names are bytes on Linux alone")
def test_a_class_whose_name_is_no_text_is_refused_before_training(folder: Path) -> None:
    for split in ("train", "test"):
        (folder / split / "cat").rename(os.fsdecode(os.fsencode(folder / split) + b"/c\xe4t"))
    one_message(train(folder), "the name of a class must be text", "rename this folder")
    assert not (folder.parent / "runs" / "classify").exists()


def test_an_unreadable_file_with_a_newline_in_its_name_takes_one_line(folder: Path) -> None:
    (folder / "train" / "cat" / "a\nb.png").write_text("no image")
    one_message(train(folder), "cannot be read as an image: its content is neither")


def test_images_that_no_memory_holds_are_counted(folder: Path) -> None:
    large = folder.parent / "large.png"
    Image.new("1", (13_000, 13_000)).save(large)
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            for old in (folder / split / name).iterdir():
                old.unlink()
            for number in range(500):
                (folder / split / name / f"{number}.png").symlink_to(large)
    result = train(folder)
    one_message(result, "2,000 images of 13000 × 13000 pixels need 944.4 GiB", "GiB", "make them smaller")
    assert "Warning" not in result.err


@pytest.mark.parametrize("augmented", [True, False])
def test_lbfgs_trains_filters_that_lie_channels_last(folder: Path, augmented: bool) -> None:
    plain = () if augmented else ("data.augmentation.flip=none", "data.augmentation.crop=0")
    result = train(folder, "optimizer={name: lbfgs}", "data.batch_size=full", *plain)
    assert result.code == 0, result.err


@pytest.mark.parametrize(
    ("sets", "words"),
    [
        (("model.kernel=4",), ("--set model.kernel=4: model.kernel: 4 is even",)),
        (
            ("optimizer.nesterov=true", "optimizer.momentum=0"),
            ("--set optimizer.nesterov=true: optimizer.nesterov: true needs a momentum",),
        ),
        (
            ("data.batch_size={a: 1}",),
            ("data.batch_size: {a: 1} must be a whole number of at least 1, or full",),
        ),
        (("data.augmentation.flp=random",), ("unknown key data.augmentation.flp", "flip")),
        (("data.augmentation.crop=-1",), ("data.augmentation.crop", "-1")),
        (("data.augmentation.cutout=99",), ("cutout", "99", "16")),
        (("model.channels=[]",), ("model.channels", "at least 1")),
        (("model.channels=[4,4,4,4,4]",), ("block 5", "1 × 1", "0 × 0")),
        (("model.dropout=1.5",), ("model.dropout", "1.5")),
        (("training.precision=float16",), ("training.precision", "float16", "bfloat16")),
        (("training.epochs=0",), ("training.epochs", "0")),
        (("loss.label_smoothing=2",), ("loss.label_smoothing", "2")),
        (("training.micro_batch=0",), ("training.micro_batch", "0")),
        (("model={name: speed_cnn}",), ("speed_cnn halves the image three times", "16 × 16")),
        (("model={name: speed_cnn, channels: [4, 4]}",), ("model.channels", "at least 3 items, not 2")),
    ],
)
def test_options_that_make_no_sense_are_refused(
    folder: Path, sets: tuple[str, ...], words: tuple[str, ...]
) -> None:
    one_message(train(folder, *sets), *words)


def test_a_message_about_parts_that_do_not_fit_names_the_option_at_fault(tmp_path: Path) -> None:
    flags = [
        "training.epochs=1", "data={name: two_moons}", "model={name: mlp}",
        "training.test_time_augmentation=mirror",
    ]  # fmt: skip
    given = [part for one in flags for part in ("--set", one)]
    result = nnlab("train", "--config", "cnn_cifar10", *given, "--runs", tmp_path, "--quiet")
    one_message(
        result, "nnlab: --set training.test_time_augmentation=mirror: training.test_time_augmentation"
    )


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_folders_and_files_without_permission_are_named(folder: Path) -> None:
    secret = folder / "train" / "cat" / "0.png"
    secret.chmod(0)
    one_message(train(folder), f"{secret}: cannot be read: Permission denied. Make it readable or remove it")
    secret.chmod(0o600)
    folder.chmod(0)
    try:
        one_message(train(folder), "cannot be listed: Permission denied")
    finally:
        folder.chmod(0o700)
