"""Published image sets: what is read, where it is looked for, and how damage is found."""

import hashlib
import pickle
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torchvision.datasets import CIFAR10, MNIST, cifar, mnist

from nnlab.data import DataSet, cache_folder, load_torchvision
from nnlab.data import data_root as find_root
from nnlab.errors import DataError
from nnlab.lab import sections as config
from nnlab.lab.build import build_data

IDX_FILES = [
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
]


def build(name: str, root: Path | None = None, **changes: object) -> DataSet:
    values = {"name": name, **changes}
    section = (
        config.DigitsData.model_validate(values)
        if root is None
        else config.TorchvisionData.model_validate({**values, "root": str(root)})
    )
    return build_data(section, device="cpu", dtype=torch.float32)


# --- digits -------------------------------------------------------------------------------------------


def test_digits_are_scikit_learns() -> None:
    data = build("digits")
    assert data.validation is not None
    assert data.input_shape == (1, 8, 8)
    splits = (data.train, data.validation, data.test)
    # 1,797 · 0.2 = 359.4 for the test; 1,438 · 0.1 = 143.8 for validation.
    assert [len(s) for s in splits] == [1294, 144, 359]
    bunch = load_digits()
    expected = sorted(
        (x.tobytes(), int(y)) for x, y in zip(bunch.data.astype(np.uint8), bunch.target, strict=True)
    )
    found = sorted(
        (x.numpy().tobytes(), int(y))
        for s in splits
        for x, y in zip(data.raw(s.inputs).round().to(torch.uint8), s.targets, strict=True)
    )
    assert found == expected
    share = torch.bincount(data.test.targets) / torch.bincount(torch.from_numpy(bunch.target))
    assert (share - 0.2).abs().max() < 0.01
    assert data.full_scale == 16


def test_digits_have_one_mean_and_deviation() -> None:
    data = build("digits", validation=0)
    raw = data.raw(data.train.inputs).round().double().numpy()
    assert data.mean.shape == data.std.shape == (1, 1, 1)
    assert data.mean.item() == pytest.approx(raw.mean(), rel=1e-6)
    assert data.std.item() == pytest.approx(raw.std(), rel=1e-6)


# --- where files are looked for -----------------------------------------------------------------------


def test_root_comes_from_config_then_environment_then_cache(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NNLAB_DATA", "/from/environment")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert find_root("/from/config") == Path("/from/config")
    assert find_root("~/data") == Path.home() / "data"
    assert find_root(None) == Path("/from/environment")
    monkeypatch.setenv("NNLAB_DATA", "")
    assert find_root(None) == tmp_path / "nnlab"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert find_root(None) == cache_folder() == Path.home() / ".cache" / "nnlab"


@pytest.mark.parametrize(
    ("name", "folder", "file"),
    [
        ("mnist", "MNIST/raw", "train-images-idx3-ubyte"),
        ("fashion_mnist", "FashionMNIST/raw", "t10k-labels-idx1-ubyte"),
        ("cifar10", "cifar-10-batches-py", "data_batch_5"),
    ],
)
def test_a_missing_set_is_named_with_its_remedies(tmp_path: Path, name: str, folder: str, file: str) -> None:
    with pytest.raises(DataError) as caught:
        build(name, tmp_path)
    message = str(caught.value)
    for part in (name, str(tmp_path / folder), file, "--set data.download=true", "NNLAB_DATA=", "data.root"):
        assert part in message
    assert "\n" not in message
    assert not list(tmp_path.iterdir())


# --- idx files ----------------------------------------------------------------------------------------


def write_idx(path: Path, array: np.ndarray) -> None:
    header = struct.pack(f">{1 + array.ndim}I", 0x0800 + array.ndim, *array.shape)
    path.write_bytes(header + array.astype(np.uint8).tobytes())


def write_mnist(root: Path, folder: str = "MNIST") -> tuple[np.ndarray, np.ndarray]:
    """A small set in the published format: 40 training and 20 test images of 6 × 5 pixels."""
    rng = np.random.default_rng(0)
    raw = root / folder / "raw"
    raw.mkdir(parents=True)
    images, labels = rng.integers(0, 256, (60, 6, 5)), np.arange(60) % 10
    for name, part in (("train", slice(0, 40)), ("t10k", slice(40, 60))):
        write_idx(raw / f"{name}-images-idx3-ubyte", images[part])
        write_idx(raw / f"{name}-labels-idx1-ubyte", labels[part])
    return images, labels


@pytest.mark.parametrize(("name", "folder"), [("mnist", "MNIST"), ("fashion_mnist", "FashionMNIST")])
def test_idx_files_are_read(tmp_path: Path, name: str, folder: str) -> None:
    images, labels = write_mnist(tmp_path, folder)
    data = build(name, tmp_path, validation=0)
    assert data.input_shape == (1, 6, 5)
    np.testing.assert_array_equal(data.raw(data.train.inputs).round()[:, 0], images[:40])
    np.testing.assert_array_equal(data.test.targets, labels[40:])
    assert data.mean.item() == pytest.approx(images[:40].mean(), rel=1e-6)
    assert data.class_names[9] == ("9" if name == "mnist" else "Ankle boot")


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def lengthen(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


def cut_header(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:6])


def spoil_header(path: Path) -> None:
    path.write_bytes(b"\x1f\x8b\x08\x08" + path.read_bytes()[4:])


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [truncate, lengthen, cut_header, spoil_header, empty])
@pytest.mark.parametrize("file", IDX_FILES)
def test_a_damaged_file_is_named(tmp_path: Path, file: str, damage: Callable[[Path], None]) -> None:
    write_mnist(tmp_path)
    damage(tmp_path / "MNIST" / "raw" / file)
    with pytest.raises(DataError, match=f"{file}: this file is damaged: .*Delete it and get it again"):
        build("mnist", tmp_path)


def test_fewer_labels_than_images_are_named(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    write_idx(tmp_path / "MNIST/raw/train-labels-idx1-ubyte", np.arange(39) % 10)
    with pytest.raises(DataError, match=r"train-labels-idx1-ubyte: holds 39 labels, but .* holds 40 images"):
        build("mnist", tmp_path)


def test_a_label_out_of_range_is_named(tmp_path: Path) -> None:
    _, labels = write_mnist(tmp_path)
    write_idx(tmp_path / "MNIST/raw/t10k-labels-idx1-ubyte", np.where(np.arange(20) == 3, 17, labels[40:]))
    with pytest.raises(DataError, match=r"t10k-labels-idx1-ubyte: .*label 3 is 17, not one of 0 … 9"):
        build("mnist", tmp_path)


def test_test_images_of_another_size_are_named(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    write_idx(tmp_path / "MNIST/raw/t10k-images-idx3-ubyte", np.zeros((20, 7, 5)))
    with pytest.raises(DataError, match="training images have 5 × 6 pixels, test images 5 × 7"):
        build("mnist", tmp_path)


def test_a_file_without_images_is_named(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    write_idx(tmp_path / "MNIST/raw/train-images-idx3-ubyte", np.zeros((0, 6, 5)))
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte: .* holds nothing after its header"):
        build("mnist", tmp_path)


# --- downloading --------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [URLError("no route to host"), OSError("broken"), RuntimeError("md5")])
@pytest.mark.parametrize(("name", "module"), [("mnist", mnist), ("cifar10", cifar)])
def test_a_failed_download_is_named(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    module: object,
    error: Exception,
) -> None:
    def fail(*_: object, **__: object) -> None:
        print("Downloading …")
        print("  0%", file=sys.stderr)
        raise error

    monkeypatch.setattr(module, "download_and_extract_archive", fail)
    reason = "no route to host" if isinstance(error, URLError) else str(error)
    with pytest.raises(DataError, match=f"data.download: {name} could not be downloaded.*{reason}") as caught:
        build(name, tmp_path, download=True)
    assert "NNLAB_DATA=" in str(caught.value)
    assert "\n" not in str(caught.value)
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""  # no terminal, so no progress either


def test_a_download_is_used_and_not_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def place(self: MNIST) -> None:
        write_mnist(Path(self.root))

    monkeypatch.setattr(MNIST, "download", place)
    first = build("mnist", tmp_path, download=True)
    again = build("mnist", tmp_path, download=True)  # a second download would find its folder in the way
    assert torch.equal(first.train.inputs, again.train.inputs)


# --- CIFAR-10 -----------------------------------------------------------------------------------------


class _Bomb:
    """A pickle that leaves a trace when it is opened."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.trace,))


def write_cifar(root: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, np.ndarray]:
    """Six small batches in the published format, with their md5 in place of the published ones."""
    folder = root / CIFAR10.base_folder
    folder.mkdir()
    rng = np.random.default_rng(0)
    images: dict[str, np.ndarray] = {}

    def write(name: str, content: object) -> str:
        data = pickle.dumps(content)
        (folder / name).write_bytes(data)
        return hashlib.md5(data).hexdigest()

    def batch(name: str) -> list[str]:
        images[name] = rng.integers(0, 256, (20, 3072)).astype(np.uint8)
        return [name, write(name, {"data": images[name], "labels": [k % 10 for k in range(20)]})]

    monkeypatch.setattr(CIFAR10, "train_list", [batch(f"data_batch_{k}") for k in range(1, 6)])
    monkeypatch.setattr(CIFAR10, "test_list", [batch("test_batch")])
    md5 = write("batches.meta", {"label_names": [f"class {k}" for k in range(10)]})
    monkeypatch.setattr(CIFAR10, "meta", {**CIFAR10.meta, "md5": md5})
    return images


def test_cifar10_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = write_cifar(tmp_path, monkeypatch)
    data = build("cifar10", tmp_path, validation=0)
    assert data.input_shape == (3, 32, 32)
    assert data.class_names[3] == "class 3"
    train = np.concatenate([images[f"data_batch_{k}"] for k in range(1, 6)])
    np.testing.assert_array_equal(data.raw(data.train.inputs).round().flatten(1), train)
    np.testing.assert_array_equal(data.raw(data.test.inputs).round().flatten(1), images["test_batch"])
    np.testing.assert_allclose(
        data.mean.flatten(), train.reshape(-1, 3, 1024).mean((0, 2), dtype=np.float64), rtol=1e-6
    )
    assert data.test.targets.tolist() == [k % 10 for k in range(20)]


@pytest.mark.parametrize("file", ["data_batch_1", "data_batch_5", "test_batch", "batches.meta"])
def test_a_changed_pickle_is_named_and_never_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    write_cifar(tmp_path, monkeypatch)
    trace = tmp_path / "trace"
    (tmp_path / CIFAR10.base_folder / file).write_bytes(pickle.dumps(_Bomb(trace)))
    with pytest.raises(DataError, match=f"{file}: this file is damaged: its md5 is not the published"):
        build("cifar10", tmp_path)
    assert not trace.exists()


# --- real data ----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_mnist_as_published(data_root: Path) -> None:
    data = build("mnist", data_root)
    assert data.validation is not None
    splits = (data.train, data.validation, data.test)
    assert [tuple(s.inputs.shape) for s in splits] == [(n, 1, 28, 28) for n in (54_000, 6_000, 10_000)]
    # Published over all 60,000 images: 0.1307 and 0.3081, to four digits. The mean of an image varies by
    # 0.045 over the set; leaving out 6,000 of 60,000 moves the mean by 0.045 · √(1/54,000 − 1/60,000).
    assert data.mean.item() / 255 == pytest.approx(0.1307, abs=0.0003)
    assert data.std.item() / 255 == pytest.approx(0.3081, abs=0.0003)
    assert data.train.inputs.double().mean().abs() < 1e-5
    whole = torch.bincount(load_torchvision("mnist", data_root).train.targets)
    assert whole.tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert (torch.bincount(data.validation.targets) - whole / 10).abs().max() < 1


def test_mnist_truncated(data_root: Path, tmp_path: Path) -> None:
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for file in IDX_FILES:
        (raw / file).symlink_to(data_root / "MNIST" / "raw" / file)
    whole = (raw / IDX_FILES[2]).read_bytes()
    (raw / IDX_FILES[2]).unlink()
    (raw / IDX_FILES[2]).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"t10k-images.* declares 10000 × 28 × 28 bytes .* is 3920008 bytes"):
        build("mnist", tmp_path)


MEASURE_PEAK = """
import sys, threading
from pathlib import Path
import torch, torchvision.datasets
from nnlab.data import (load_torchvision, prepare)

def anonymous():  # bytes of this process that no file stands behind
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon:"))

def watch():
    while not done.wait(0.002):
        seen.append(anonymous())

before, seen, done = anonymous(), [], threading.Event()
watcher = threading.Thread(target=watch)
watcher.start()
options = dict(validation=0.1, split_seed=0, standardize=True)
raw = load_torchvision("mnist", Path(sys.argv[1]))
data = prepare(raw, name="mnist", device=torch.device("cpu"), dtype=torch.float32, **options)
done.set()
watcher.join()
print(max(seen) - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc to read the memory from")
def test_mnist_fits_in_memory(data_root: Path) -> None:
    """The peak of anonymous memory is that of the final tensors beside the uint8 images."""
    # In a process of its own: here the allocator keeps memory from earlier tests.
    command = [sys.executable, "-c", MEASURE_PEAK, str(data_root)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    final, raw = 70_000 * 784 * 4, 70_000 * 784
    # One float copy of the training split would be 169 MB more.
    assert final < int(done.stdout) < final + raw + 50e6
