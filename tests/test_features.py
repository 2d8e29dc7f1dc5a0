"""`nnlab features` and its numbers against torch, scipy and brute force; a run's files keep their bytes."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.signal import correlate2d
from torch import nn
from torch.nn import functional as F

from nnlab.chapters.convolution.features import (
    last_hidden,
    observe,
    principal_components,
    readable_convolution,
    readable_pool,
    telling_places,
)
from nnlab.chapters.convolution.image_format import ImageFormat
from nnlab.data import DataSet
from nnlab.data.image_reader import ImageReader
from nnlab.data.picture import Form
from nnlab.data.user_image import read_user_image
from nnlab.errors import DataError
from nnlab.lab.build import build_data
from nnlab.lab.sections import DigitsData
from nnlab.models import CNN, activation_maps
from nnlab.record import open_run
from nnlab.theory.intervals import proportion_interval
from tests.command_line import Result, nnlab

CLASSES = ("blue", "green", "red")
SIDE = 12


# --- the user's image ----------------------------------------------------------------------------------


def picture(tmp_path: Path, pixels: np.ndarray, mode: str | None = None, name: str = "a.png") -> Path:
    file = tmp_path / name
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(file)
    return file


def ramp(height: int = 30, width: int = 40) -> np.ndarray:
    """(H, W, 3): red grows to the right, green downward."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([columns * 255 // (width - 1), rows * 255 // (height - 1), 0 * rows], 2).astype(np.uint8)


def test_an_image_of_the_right_form_is_taken_as_it_is(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    image = read_user_image(picture(tmp_path, pixels), (3, 8, 8))
    np.testing.assert_array_equal(image.pixels.numpy(), pixels.transpose(2, 0, 1))
    np.testing.assert_array_equal(image.original, pixels)
    assert image.words == "8 × 8 pixels"


def test_the_middle_is_kept_and_made_smaller_without_aliasing(tmp_path: Path) -> None:
    """Of 40 × 30 pixels the middle 30; a chequerboard of single pixels becomes its mean."""
    seen = read_user_image(picture(tmp_path, ramp()), (3, 6, 6)).pixels.numpy()
    blocks = ramp()[:, 5:35].reshape(6, 5, 6, 5, 3).mean((1, 3)).transpose(2, 0, 1)
    np.testing.assert_allclose(seen[:, 1:-1, 1:-1], blocks[:, 1:-1, 1:-1], atol=1.5)
    board = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
    small = read_user_image(picture(tmp_path, board), (1, 8, 8)).pixels.numpy()
    np.testing.assert_allclose(small, 127.5, atol=2)


def test_an_image_need_not_become_a_square(tmp_path: Path) -> None:
    seen = read_user_image(picture(tmp_path, ramp(40, 40)), (3, 5, 10)).pixels.numpy()
    blocks = ramp(40, 40)[10:30].reshape(5, 4, 10, 4, 3).mean((1, 3)).transpose(2, 0, 1)
    np.testing.assert_allclose(seen[:, 1:-1, 1:-1], blocks[:, 1:-1, 1:-1], atol=1.5)


@pytest.mark.parametrize(
    ("mode", "words"), [("L", "grey in three"), ("1", "grey in three"), ("P", ""), ("RGBA", "8 × 8 pixels")]
)
def test_any_mode_becomes_colour(tmp_path: Path, mode: str, words: str) -> None:
    image = read_user_image(picture(tmp_path, np.full((8, 8, 3), 255, np.uint8), mode), (3, 8, 8))
    assert image.pixels.shape == (3, 8, 8)
    assert bool((image.pixels == 255).all())
    assert words in image.words


def test_what_is_transparent_becomes_white(tmp_path: Path) -> None:
    pixels = np.zeros((4, 4, 4), np.uint8)
    pixels[:, 2:, 3] = 255  # the left half shows nothing, the right half is black
    seen = read_user_image(picture(tmp_path, pixels), (1, 4, 4)).pixels
    assert seen[0].tolist() == [[255, 255, 0, 0]] * 4


def test_16_bits_become_8_and_colour_becomes_luma(tmp_path: Path) -> None:
    deep = np.array([[0, 256], [0x8000, 0xFFFF]], np.uint16)
    assert read_user_image(picture(tmp_path, deep), (1, 2, 2)).pixels[0].tolist() == [[0, 1], [128, 255]]
    colours = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [90, 90, 90]]], np.uint8)
    grey = read_user_image(picture(tmp_path, colours), (1, 2, 2))
    weights = np.array([0.299, 0.587, 0.114])  # Rec. 601
    np.testing.assert_allclose(grey.pixels[0].numpy(), colours @ weights, atol=0.51)
    assert "converted to grey" in grey.words


def test_a_turned_photograph_stands_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rows of the file are columns of the scene
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[:4] = 255
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    seen = read_user_image(tmp_path / "a.png", (3, 8, 8))
    assert seen.pixels[0, 0].tolist() == [0] * 4 + [255] * 4
    assert "turned upright" in seen.words


def test_a_large_image_is_small_in_figures(tmp_path: Path) -> None:
    image = read_user_image(picture(tmp_path, np.zeros((700, 1400), np.uint8)), (1, 8, 8))
    assert image.original.shape == (240, 480)


def test_an_image_is_read_as_those_of_the_training(tmp_path: Path) -> None:
    """Squeezed where they were, and white where they were."""
    reader = ImageReader(Form(1, resize=(4, 4)), (4, 4), ("a", "b"), white=1000.0)
    deep = np.repeat(np.arange(0, 1200, 100, dtype=np.uint16)[:, None], 4, 1)
    image = read_user_image(picture(tmp_path, deep), (1, 4, 4), reader)
    means = np.minimum(np.arange(0, 1200, 100) * 0.255, 255).reshape(4, 3).mean(1)
    np.testing.assert_allclose(image.pixels[0].numpy(), np.stack([means] * 4, 1), atol=6)
    assert image.words == "4 × 12 pixels, reduced to 8 bits, brighter than white in places, resized to 4 × 4"
    assert torch.equal(image.pixels, reader.read(tmp_path / "a.png").inputs[0])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        (b"", "cannot be read as an image"),
        (b"GIF89a", "cannot be read as an image"),
        ("one", "1 × 1 pixels are too few"),
        ("line", "9 × 1 pixels are too few"),
        ("half", "cannot be read as an image"),
        ("folder", "no such file"),
    ],
)
def test_what_is_no_image_is_named(tmp_path: Path, content: object, message: str) -> None:
    file = tmp_path / "a.png"
    if isinstance(content, bytes):
        file.write_bytes(content)
    elif content == "folder":
        file.mkdir()
    elif content is not None:
        picture(tmp_path, np.zeros((1, 9 if content == "line" else 1), np.uint8))
    if content == "half":
        picture(tmp_path, np.random.default_rng(1).integers(0, 256, (40, 40, 3), dtype=np.uint8))
        file.write_bytes(file.read_bytes()[:2000])
    with pytest.raises(DataError, match=message) as caught:
        read_user_image(file, (3, 8, 8))
    assert str(file) in str(caught.value)


# --- the format of the images ----------------------------------------------------------------------------


def digits(**changes: Any) -> DataSet:
    return build_data(DigitsData(name="digits", **changes), device="cpu", dtype=torch.float64)


@pytest.mark.parametrize("changes", [{}, {"standardize": False}, {"shuffle_pixels": True}])
def test_another_image_gets_the_format_of_the_data(changes: dict[str, object]) -> None:
    """Digits have 17 grey levels: bytes lose nothing, and raw values are whole as in `nnlab predict`."""
    data = digits(**changes)
    kept = ImageFormat.from_arrays({k: np.asarray(v) for k, v in ImageFormat.of(data).arrays().items()})
    assert kept is not None
    assert kept.class_names == data.class_names
    raw = data.raw(data.test.inputs[:20])
    for image, wanted in zip(raw, data.test.inputs[:20], strict=True):
        inputs = kept.inputs((image * 255 / 16).round().to(torch.uint8))
        torch.testing.assert_close(inputs, wanted, rtol=0, atol=1e-12)
    if "shuffle_pixels" not in changes:
        np.testing.assert_allclose(kept.picture(data.test.inputs[0]), raw[0, 0] / 16, atol=1e-12)


def test_a_format_that_was_not_kept_is_none() -> None:
    assert ImageFormat.from_arrays({"data/mean": np.zeros((1, 1, 1))}) is None


# --- numbers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(50, 7), (20, 60), (5, 1), (2, 9)])
def test_principal_components_are_those_of_the_svd(shape: tuple[int, int]) -> None:
    features = np.random.default_rng(2).normal(size=shape) * np.linspace(1, 9, shape[1])
    points, explained = principal_components(features)
    centred = features - features.mean(0)
    left, values, _ = np.linalg.svd(centred, full_matrices=False)
    wanted = (left * values)[:, :2]
    known = wanted.shape[1]
    np.testing.assert_allclose(np.abs(points[:, :known]), np.abs(wanted), atol=1e-6)
    np.testing.assert_allclose(explained[:known], (values**2)[:2] / (centred**2).sum(), atol=1e-12)
    farthest = points[np.abs(points).argmax(0), [0, 1]]
    assert (farthest >= 0).all()


def test_features_without_spread_have_a_point_each() -> None:
    points, explained = principal_components(np.ones((4, 3)))
    assert not points.any()
    assert not explained.any()


def test_the_last_hidden_layer_is_what_the_activation_maps_say() -> None:
    data = digits()
    model = CNN((1, 8, 8), [3, 5], 10, batch_norm=True, generator=torch.Generator().manual_seed(0)).double()
    features = last_hidden(model, data, data.test.inputs, "float64")
    wanted = activation_maps(model, data.test.inputs)["features"]
    assert features is not None
    np.testing.assert_array_equal(features, wanted)
    assert model.training
    linear = nn.Sequential(nn.Flatten(), nn.Linear(64, 10)).double()
    assert last_hidden(linear, data, data.test.inputs, "float64") is None


def test_places_are_the_largest_the_smallest_and_one_near_zero() -> None:
    values = np.random.default_rng(3).normal(size=(20, 20)) + 0.5
    places = telling_places(values, 0.5, (20, 20), side=3, stride=1, padding=1)
    inner = values[1:-1, 1:-1]
    assert values[places[0]] == inner.max()
    assert values[places[1]] == inner.min()
    assert abs(values[places[2]] - 0.5) < 0.1
    for row, column in places:
        assert 1 <= row <= 18
        assert 1 <= column <= 18


@pytest.mark.parametrize(("stride", "padding"), [(1, 0), (2, 1), (3, 2)])
def test_windows_stay_inside_and_apart(stride: int, padding: int) -> None:
    generator = np.random.default_rng(4)
    size = (17 + 2 * padding - 3) // stride + 1
    for _ in range(20):
        places = telling_places(generator.normal(size=(size, size)), 0.0, (17, 17), 3, stride, padding)
        for row, column in places:
            assert 0 <= row * stride - padding <= 14
            assert 0 <= column * stride - padding <= 14
        for (r1, c1), (r2, c2) in ((a, b) for a in places for b in places if a < b):
            assert abs(r1 - r2) >= 3 or abs(c1 - c2) >= 3


def test_a_filter_that_fits_nowhere_has_no_place() -> None:
    assert telling_places(np.zeros((3, 3)), 0.0, (1, 1), side=3, stride=1, padding=2) == []


@pytest.mark.parametrize(
    ("layer", "readable"),
    [
        (nn.Conv2d(3, 4, 3), True),
        (nn.Conv2d(3, 4, 3, padding="same"), True),
        (nn.Conv2d(3, 4, 2, padding="same"), False),  # zeros on one side alone
        (nn.Conv2d(3, 4, (3, 5)), False),
        (nn.Conv2d(3, 3, 3, groups=3), False),
        (nn.Conv2d(3, 4, 3, dilation=2), False),
        (nn.Conv2d(3, 4, 3, stride=(1, 2)), False),
        (nn.MaxPool2d(2), True),
        (nn.AvgPool2d(3), True),
        (nn.MaxPool2d(3, stride=2), False),
        (nn.MaxPool2d(2, padding=1), False),
        (nn.MaxPool2d(4, padding=1), False),  # makes 2 pixels of 8, but not of windows side by side
        (nn.MaxPool2d(3, ceil_mode=True), False),  # 8 pixels make 3
        (nn.MaxPool2d((2, 1)), False),
    ],
)
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
def test_only_what_the_figures_can_explain_is_shown(layer: nn.Module, readable: bool) -> None:
    images = torch.zeros(1, 3, 8, 8)
    (call,) = observe(nn.Sequential(layer), images)
    pool = "Pool" in type(layer).__name__
    assert (readable_pool(call) if pool else readable_convolution(call, images[0])) is readable


# --- the command ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of three classes, each with a colour of its own."""
    root = tmp_path_factory.mktemp("images")
    generator = np.random.default_rng(5)
    for split, count in (("train", 12), ("test", 5)):
        for number, name in enumerate(CLASSES):
            (root / split / name).mkdir(parents=True)
            for index in range(count):
                pixels = generator.integers(0, 120, (SIDE, SIDE, 3), dtype=np.uint8)
                pixels[:, :, 2 - number] += 120
                Image.fromarray(pixels).save(root / split / name / f"{index}.png")
    return root


CONFIG = """
experiment: classify
data: {{name: image_folder, root: {root}, batch_size: 8}}
model: {model}
optimizer: {{name: sgd, lr: 0.05}}
training: {{epochs: 3, device: cpu}}
"""


def train(tmp_path: Path, root: Path, model: str = "{name: cnn, channels: [4, 6]}") -> Path:
    (tmp_path / "small.yaml").write_text(CONFIG.format(root=root, model=model))
    result = nnlab("train", "--config", tmp_path / "small.yaml", "--runs", tmp_path / "runs", "--quiet")
    assert result.code == 0, result.err
    return Path(result.last_line)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> Path:
    return train(tmp_path_factory.mktemp("run"), folder)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    pixels = np.zeros((60, 90, 3), np.uint8)
    pixels[:, :, 1] = 200
    return picture(tmp_path, pixels, name="meadow.jpg")


def sums(run: Path) -> dict[str, str]:
    """The bytes of a run's own files."""
    files = [f for f in run.rglob("*") if f.is_file() and "features" not in f.relative_to(run).parts]
    return {str(f.relative_to(run)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


def features(*arguments: str | Path, draw: bool = False) -> Result:
    return nnlab("features", *arguments, draw=draw)


def model_of(run: Path) -> CNN:
    model = CNN((3, SIDE, SIDE), [4, 6], 3, generator=torch.Generator())
    model.load_state_dict(torch.load(run / "checkpoints" / "best.pt", weights_only=True)["model"])
    return model.eval()


@pytest.mark.slow
def test_a_finished_run_is_drawn_into_a_new_folder(run: Path) -> None:
    before = sums(run)
    result = features(run, draw=True)
    assert result.code == 0, result.err
    new = Path(result.last_line)
    assert new.parent == run / "features"
    drawn = {file.stem for file in (new / "figures").glob("*.png")}
    assert {"classes", "filters", "pooling", "representation", "sliding", "stack"} < drawn
    assert {"maps-test0", "maps-test5", "maps-test10"} < drawn  # the first image of each class
    assert open_run(new).status == "finished"
    assert (
        open_run(new).summary["metrics"]["test/accuracy"] == open_run(run).summary["metrics"]["test/accuracy"]
    )
    again = features(run)
    assert Path(again.last_line) != new
    assert sums(run) == before


def test_a_training_draws_the_same_numbers(run: Path) -> None:
    drawn = open_run(Path(features(run, "--quiet").last_line)).arrays()
    trained = open_run(run).arrays()
    assert {name for name in drawn if name.startswith("maps/")}
    for name, values in drawn.items():
        np.testing.assert_array_equal(values, trained[name], err_msg=name)


def test_the_numbers_behind_the_figures(run: Path) -> None:
    """The sliding filter by scipy, pooling by hand, classes and maps by a forward pass of torch."""
    arrays = open_run(Path(features(run, "--quiet").last_line)).arrays()
    model = model_of(run)
    weights, inputs = arrays["sliding/weights"], np.pad(arrays["sliding/inputs"], ((0, 0), (1, 1), (1, 1)))
    answers = sum(correlate2d(x, w, "valid") for x, w in zip(inputs, weights, strict=True))
    np.testing.assert_allclose(answers + arrays["sliding/bias"], arrays["sliding/map"], atol=1e-5)
    first = model.convolutions[0]
    assert isinstance(first, torch.nn.Conv2d)
    np.testing.assert_array_equal(arrays["filters"], first.weight.detach().numpy())
    np.testing.assert_allclose(weights, arrays["filters"][int(arrays["sliding/filter"])])
    before, after = arrays["pooling/before"], arrays["pooling/after"]
    np.testing.assert_array_equal(before.reshape(6, 2, 6, 2).max((1, 3)), after)
    images = torch.from_numpy(arrays["sliding/inputs"]).float()[None]
    with torch.no_grad():
        maps = F.max_pool2d(F.relu(model.convolutions[0](images)), 2)[0]
    np.testing.assert_allclose(maps[int(arrays["pooling/map"])], after, atol=1e-6)
    shown, chosen = arrays["maps/test0/pools.0"], arrays["maps/test0/pools.0/chosen"]
    np.testing.assert_allclose(shown, maps[chosen], atol=1e-6)
    assert np.all(np.diff(shown.std((1, 2))) <= 0)


def test_class_accuracy_and_the_last_layer_by_another_way(run: Path) -> None:
    arrays = open_run(Path(features(run, "--quiet").last_line)).arrays()
    rows = open_run(run).summary["results"]
    assert [row["accuracy"] for row in rows] == arrays["classes/accuracy"].tolist()
    wanted = [proportion_interval(round(5 * row["accuracy"]), 5) for row in rows]
    np.testing.assert_allclose(arrays["classes/intervals"], np.array(wanted, dtype=float))
    assert arrays["representation/labels"].tolist() == [0] * 5 + [1] * 5 + [2] * 5
    assert arrays["representation/points"].shape == (15, 2)


def test_an_image_of_the_users_is_classified(run: Path, photo: Path) -> None:
    before = sums(run)
    result = features(run, "--image", photo, "--image", photo, "--json", draw=True)
    assert result.code == 0, result.err
    summary = json.loads(result.out)
    assert [row["rank"] for row in summary["results"]] == [1, 2, 3, 1, 2, 3]
    assert summary["images"] == [str(photo)] * 2
    new = Path(summary["run_dir"])
    drawn = {file.stem for file in (new / "figures").glob("*.png")}
    assert {"image-meadow", "image-meadow-2", "maps-meadow", "sliding", "classes"} < drawn
    assert "maps-test0" not in drawn
    assert "cropped around the centre, resized to 12 × 12" in result.err
    arrays = open_run(new).arrays()
    with torch.no_grad():
        scores = model_of(run)(torch.from_numpy(arrays["image/meadow/inputs"])[None])[0]
    np.testing.assert_allclose(arrays["image/meadow/scores"], scores, atol=1e-5)
    best = summary["results"][0]
    assert best["class"] == CLASSES[int(scores.argmax())]
    assert best["probability"] == pytest.approx(float(scores.double().softmax(0).max()), abs=1e-6)
    assert sums(run) == before


def test_without_its_data_set_a_run_still_knows_the_format(tmp_path: Path, folder: Path, photo: Path) -> None:
    root = shutil.copytree(folder, tmp_path / "moved")
    run = train(tmp_path, root)
    there = json.loads(features(run, "--image", photo, "--json").out)
    shutil.rmtree(root)
    result = features(run, "--image", photo, "--json")
    assert result.code == 0, result.err
    assert "drawn without the data set" in result.err
    assert json.loads(result.out)["results"] == there["results"]
    assert json.loads(result.out)["metrics"] == {}
    alone = features(run)
    assert alone.code == 2
    assert "--image FILE" in alone.err
    assert len(alone.err.splitlines()) == 1
    (run / "arrays.npz").unlink()
    unknown = features(run, "--image", photo)
    assert (unknown.code, len(unknown.err.splitlines())) == (2, 1)


def test_changed_images_are_not_taken_for_those_of_the_run(tmp_path: Path, folder: Path, photo: Path) -> None:
    root = shutil.copytree(folder, tmp_path / "changed")
    run = train(tmp_path, root)
    removed = next((root / "test").rglob("*.png"))
    removed.unlink()
    result = features(run)
    assert result.code == 2
    assert f"1 image removed: {removed.relative_to(root)}" in result.err
    assert "1 image removed" in features(run, "--image", photo).err  # drawn without them


@pytest.mark.parametrize(
    "model",
    ["{name: mlp, hidden: [5]}", "{name: mlp}", "{name: cnn, channels: [4], kernel: 5, batch_norm: true}"],
)
def test_any_model_of_images_is_drawn(tmp_path: Path, folder: Path, photo: Path, model: str) -> None:
    run = train(tmp_path, folder, model)
    for images in ((), ("--image", photo)):
        result = features(run, *images, "--quiet")
        assert result.code == 0, result.err
        arrays = open_run(Path(result.last_line)).arrays()
        assert ("filters" in arrays) == ("cnn" in model)
        assert ("representation/points" in arrays) == (model != "{name: mlp}")  # which has no hidden layer


# --- what cannot be drawn ------------------------------------------------------------------------------


@pytest.fixture
def copy(tmp_path: Path, run: Path) -> Path:
    return shutil.copytree(run, tmp_path / "copy", ignore=shutil.ignore_patterns("features"))


def assert_refused(result: Result, *words: str) -> None:
    assert result.code == 2, result.err
    assert not result.out
    assert len(result.err.splitlines()) == 1, result.err
    for word in words:
        assert word in result.err


def test_no_run_is_refused(tmp_path: Path) -> None:
    assert_refused(features(tmp_path / "none"), "no such folder")
    assert_refused(features(tmp_path), "is not a run folder")


def test_a_run_without_weights_is_refused(copy: Path) -> None:
    (copy / "checkpoints" / "best.pt").unlink()
    assert_refused(features(copy), "best.pt", "--resume")
    (copy / "checkpoints" / "best.pt").write_bytes(b"nothing")
    assert_refused(features(copy), "best.pt", "damaged")
    assert not (copy / "features").exists()


def test_weights_of_another_model_are_refused(copy: Path) -> None:
    text = (copy / "config.yaml").read_text().replace("- 6\n", "- 7\n").replace("[4, 6]", "[4, 7]")
    (copy / "config.yaml").write_text(text)
    assert_refused(features(copy), "best.pt", "does not fit the run's config.yaml")


def test_a_config_of_another_experiment_is_refused(copy: Path) -> None:
    text = (copy / "config.yaml").read_text("utf-8")
    assert "experiment: classify" in text
    changed = text.replace("experiment: classify", "experiment: pixel_shuffle")
    (copy / "config.yaml").write_text(changed, "utf-8")
    assert_refused(features(copy), "config.yaml is that of experiment: pixel_shuffle")


def test_another_experiment_and_a_group_are_refused(copy: Path) -> None:
    summary = json.loads((copy / "summary.json").read_text())
    (copy / "summary.json").write_text(json.dumps(summary | {"experiment": "xor"}))
    assert_refused(features(copy), "experiment xor", "classify")
    group = summary | {"members": ["s0", "s1"], "seeds": [0, 1]}
    (copy / "summary.json").write_text(json.dumps(group))
    assert_refused(features(copy), "group of runs", "s0, s1")


def test_an_image_that_cannot_be_read_leaves_no_folder(copy: Path, tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no image")
    assert_refused(features(copy, "--image", tmp_path / "text.png"), "text.png")
    assert_refused(features(copy, "--image", tmp_path / "none.png"), "none.png", "no such file")
    assert not (copy / "features").exists()


def test_points_have_no_features(tmp_path: Path) -> None:
    (tmp_path / "moons.yaml").write_text(
        "{experiment: classify, data: {name: two_moons}, model: {name: mlp}, training: {epochs: 1}}"
    )
    run = nnlab(
        "train", "--config", tmp_path / "moons.yaml", "--runs", tmp_path / "runs", "--quiet"
    ).last_line
    assert_refused(features(run), "two_moons", "no images")


def test_custom_code_runs_only_where_it_is_allowed(copy: Path) -> None:
    lines = (copy / "config.yaml").read_text().splitlines()
    start = lines.index("model:")
    end = next(i for i in range(start + 1, len(lines)) if not lines[i].startswith((" ", "-")))
    model = ["model: {name: custom, factory: 'nobody_has_this_module:build'}"]
    (copy / "config.yaml").write_text("\n".join([*lines[:start], *model, *lines[end:]]))
    assert_refused(features(copy), "--allow-custom-code")
    assert_refused(features(copy, "--allow-custom-code"), "nobody_has_this_module")


def test_an_unfinished_run_is_drawn_and_said_to_be_so(copy: Path) -> None:
    summary = json.loads((copy / "summary.json").read_text())
    (copy / "summary.json").write_text(json.dumps(summary | {"status": "interrupted"}))
    result = features(copy)
    assert result.code == 0
    assert "interrupted: these are its best weights so far" in result.err
