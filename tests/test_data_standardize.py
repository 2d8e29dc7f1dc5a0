"""Statistics of the training split alone, and the two forms in which a split is kept."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from nnlab.data import DataSet, RawData, Split, dataset, prepare
from nnlab.errors import DataError

CPU = torch.device("cpu")


def coloured(count: int = 60, seed: int = 0) -> RawData:
    """Images (3, 4, 5) of three classes, whose channels differ, and a test split of other brightness."""
    rng = np.random.default_rng(seed)
    scale = np.array([255, 128, 16]).reshape(3, 1, 1)

    def split(n: int, brightness: float) -> Split:
        images = (brightness * scale * rng.random((n, 3, 4, 5))).astype(np.uint8)
        return Split(torch.from_numpy(images), torch.arange(n) % 3)

    names = ["a", "b", "c"]
    return RawData("classification", split(count, 1.0), split(12, 0.3), 3, names, full_scale=255)


def table() -> RawData:
    rng = np.random.default_rng(3)
    x = torch.from_numpy(rng.normal(5, [1, 20, 0.01], (50, 3)))
    x[:, 2] = 0.1
    y = torch.from_numpy(rng.normal(100, 30, (50, 1)))
    return RawData("regression", Split(x[:40], y[:40]), Split(x[40:], y[40:]), 1, [])


def ready(raw: RawData, **changes: Any) -> DataSet:
    options: dict[str, Any] = {
        "validation": 0.2, "split_seed": 0, "standardize": True, "device": CPU, "dtype": torch.float32,
    }  # fmt: skip
    return prepare(raw, name="set", **{**options, **changes})


def training_images(raw: RawData, data: DataSet) -> np.ndarray:
    """The raw training images, found again by undoing the standardizing."""
    found = data.raw(data.train.inputs).round().to(torch.uint8).numpy()
    everything = {image.tobytes() for image in raw.train.inputs.numpy()}
    assert all(image.tobytes() in everything for image in found)
    return found


def test_pixel_statistics_are_numpys_over_the_training_split_only() -> None:
    raw = coloured()
    data = ready(raw)
    assert data.validation is not None
    assert (len(data.train), len(data.validation), len(data.test)) == (48, 12, 12)
    images = training_images(raw, data).astype(np.float64)
    np.testing.assert_allclose(data.mean.flatten(), images.mean((0, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(data.std.flatten(), images.std((0, 2, 3)), rtol=1e-6)
    # Over all images the mean is another one: the comparison above can tell.
    assert abs(raw.train.inputs.double().mean((0, 2, 3)) - data.mean.flatten()).min() > 1e-3


def test_no_other_split_has_a_say_in_training_inputs() -> None:
    raw = coloured()
    before = ready(raw)
    assert before.validation is not None
    training = {image.tobytes() for image in training_images(raw, before)}
    changed = raw.train.inputs.clone()
    for image in changed:
        if image.numpy().tobytes() not in training:
            image.fill_(255)
    after = ready(
        RawData(
            "classification",
            Split(changed, raw.train.targets),
            Split(255 - raw.test.inputs, raw.test.targets),
            3,
            raw.class_names,
            full_scale=255,
        )
    )
    assert after.validation is not None
    assert torch.equal(before.train.inputs, after.train.inputs)
    assert torch.equal(before.mean, after.mean)
    assert not torch.equal(before.validation.inputs, after.validation.inputs)


def test_splits_are_disjoint() -> None:
    raw = coloured()
    data = ready(raw)
    assert data.validation is not None
    train, validation = (
        {image.tobytes() for image in data.raw(split.inputs).round().to(torch.uint8).numpy()}
        for split in (data.train, data.validation)
    )
    assert not train & validation
    assert len(train | validation) == len(raw.train)


def test_pixel_statistics_are_exact() -> None:
    rng = np.random.default_rng(1)
    images = rng.integers(250, 256, (2000, 1, 16, 16)).astype(np.uint8)
    raw = RawData(
        "classification",
        Split(torch.from_numpy(images), torch.arange(2000) % 2),
        Split(torch.from_numpy(images[:2]), torch.arange(2)),
        2,
        ["a", "b"],
        full_scale=255,
    )
    data = ready(raw, validation=0, dtype=torch.float64)
    exact = images.astype(object)  # Python's whole numbers: no rounding
    count, total, squares = images.size, int(exact.sum()), int((exact * exact).sum())
    assert data.mean.item() == total / count
    assert data.std.item() == pytest.approx(np.sqrt(squares / count - (total / count) ** 2), rel=1e-8)
    assert data.train.inputs.mean().abs() < 1e-12
    assert data.train.inputs.square().mean() == pytest.approx(1, abs=1e-12)


def test_large_splits_stay_uint8_and_normalize_to_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = coloured()
    small = ready(raw)
    monkeypatch.setattr(dataset, "PREPARED_LIMIT", 12 * 60 * 4)  # as many bytes as the test split has
    large = ready(raw)
    assert large.train.inputs.dtype == torch.uint8
    assert large.test.inputs.dtype == torch.float32
    assert torch.equal(large.normalize(large.train.inputs), small.train.inputs)
    assert torch.equal(large.test.inputs, small.test.inputs)
    assert torch.equal(large.raw(large.train.inputs), large.train.inputs.float())


def test_chunks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = ready(coloured())
    monkeypatch.setattr(dataset, "CHUNK", 7 * 60)
    assert torch.equal(ready(coloured()).train.inputs, whole.train.inputs)


def test_normalize_returns_floats_themselves() -> None:
    data = ready(coloured())
    assert data.normalize(data.train.inputs) is data.train.inputs


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_raw_undoes_standardizing(dtype: torch.dtype) -> None:
    raw = coloured()
    data = ready(raw, validation=0, dtype=dtype)
    assert data.train.inputs.dtype == dtype
    # Standardized pixels are below 4, where a bfloat16 is off by at most 2⁻⁷, in raw units 74 · 2⁻⁷.
    tolerance = 0.6 if dtype == torch.bfloat16 else 1e-4
    difference = data.raw(data.train.inputs).double() - raw.train.inputs.double()
    assert difference.abs().max() < tolerance


def test_the_splits_are_the_same_in_every_dtype() -> None:
    single, double = ready(coloured()), ready(coloured(), dtype=torch.float64)
    assert torch.equal(single.train.targets, double.train.targets)
    # Three roundings of float32 on numbers below 4: mean, difference, quotient.
    torch.testing.assert_close(single.train.inputs.double(), double.train.inputs, rtol=0, atol=2e-6)


def test_without_standardizing_pixels_are_scaled_to_one() -> None:
    raw = coloured()
    data = ready(raw, standardize=False, validation=0)
    np.testing.assert_array_equal(data.train.inputs, raw.train.inputs.numpy().astype(np.float32) / 255)
    assert data.mean.shape == data.std.shape == (3, 1, 1)
    assert data.mean.eq(0).all()
    assert data.std.eq(255).all()


def test_feature_statistics_are_numpys_and_constant_features_are_only_shifted() -> None:
    raw = table()
    data = ready(raw, validation=0, dtype=torch.float64)
    x = raw.train.inputs.numpy()
    np.testing.assert_allclose(data.mean[:2], x.mean(0)[:2], rtol=1e-14)
    np.testing.assert_allclose(data.std[:2], x.std(0)[:2], rtol=1e-14)
    assert [data.mean[2].item(), data.std[2].item()] == [0.1, 1.0]
    assert data.train.inputs[:, 2].eq(0).all()
    np.testing.assert_allclose(
        data.test.inputs[:, :2], ((raw.test.inputs.numpy() - x.mean(0)) / x.std(0))[:, :2], rtol=1e-12
    )


def test_regression_targets_are_left_alone() -> None:
    raw = table()
    data = ready(raw, validation=0)
    assert data.train.targets.dtype == torch.float32
    assert torch.equal(data.train.targets, raw.train.targets.float())


def test_without_standardizing_features_are_unchanged() -> None:
    raw = table()
    data = ready(raw, standardize=False, validation=0, dtype=torch.float64)
    assert torch.equal(data.train.inputs, raw.train.inputs)
    assert torch.equal(data.raw(data.train.inputs), raw.train.inputs)


def test_one_example_per_class_without_validation() -> None:
    raw = coloured(count=3)
    data = ready(raw, validation=0)
    assert data.validation is None
    assert len(data.train) == 3
    with pytest.raises(DataError, match=r"data\.validation: .* leaves no training example of class"):
        ready(raw, validation=0.4)


def with_targets(train: Tensor, test: Tensor, names: list[str]) -> RawData:
    images = torch.zeros(8, 1, 2, 2, dtype=torch.uint8)
    first, second = (Split(images[: len(t)], t) for t in (train, test))
    return RawData("classification", first, second, len(names), names, full_scale=255)


@pytest.mark.parametrize(
    ("train", "test", "names", "message"),
    [
        ([0, 2, 0], [1], ["a", "b", "c"], "no training example of class b"),
        ([], [1], ["a", "b"], "no training example"),
        ([0, 1], [], ["a", "b"], "no test example"),
        ([0, 0], [0], ["a"], "only the class a"),
    ],
)
def test_missing_examples_are_named(
    train: list[int], test: list[int], names: list[str], message: str
) -> None:
    raw = with_targets(torch.tensor(train, dtype=torch.int64), torch.tensor(test, dtype=torch.int64), names)
    with pytest.raises(DataError, match=message):
        ready(raw, validation=0)


def test_black_images_do_not_divide_by_zero() -> None:
    raw = with_targets(torch.tensor([0, 1]), torch.tensor([1]), ["a", "b"])
    assert ready(raw, validation=0).train.inputs.eq(0).all()
