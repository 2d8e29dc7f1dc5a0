"""Augmentation against numpy, one image at a time; its draws against what they are said to be."""

from typing import Any, Literal

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from nnlab.data import Augmentation, DataSet, Draws, RawData, Split, augmentation, dataset, prepare
from nnlab.errors import DataError
from nnlab.lab import sections as config
from nnlab.lab.build import build_data

FILL = torch.tensor([3, 200, 90, 7], dtype=torch.uint8)


def pictures(n: int, channels: int, height: int, width: int, seed: int = 0) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.integers(0, 256, (n, channels, height, width)).astype(np.uint8))


def changed(image: np.ndarray, k: int, asked: Augmentation, draws: Draws, fill: np.ndarray) -> np.ndarray:
    """Image k (C, H, W) by the definition: pad, cut the window out, mirror it, fill a square in."""
    _, height, width = image.shape
    down, right = (0, 0) if draws.shift is None else draws.shift[k].tolist()
    margin = [(0, 0), (asked.crop,) * 2, (asked.crop,) * 2]
    padded = np.pad(image, margin, mode="reflect")
    top, left = asked.crop + down, asked.crop + right
    window = padded[:, top : top + height, left : left + width].copy()
    if draws.mirrored is not None and draws.mirrored[k]:
        window = window[:, :, ::-1].copy()
    if draws.centre is not None:
        y, x = (int(c) - asked.cutout // 2 for c in draws.centre[k])
        square = np.s_[:, max(y, 0) : y + asked.cutout, max(x, 0) : x + asked.cutout]
        window[square] = fill[: len(image), None, None]
    return window


@st.composite
def cases(draw: Any) -> tuple[torch.Tensor, Augmentation]:
    height, width = draw(st.integers(1, 7)), draw(st.integers(1, 7))
    images = pictures(draw(st.integers(1, 5)), draw(st.integers(1, 4)), height, width)
    flip = draw(st.sampled_from(["none", "random", "alternating"]))
    crop = draw(st.integers(0, min(height, width) - 1))
    return images, Augmentation(
        flip, crop, draw(st.integers(0, min(height, width))), seed=draw(st.integers(0, 9))
    )


@settings(deadline=None, max_examples=150)
@given(cases(), st.booleans(), st.integers(0, 3), st.sampled_from([1, 60, 2**19]))
def test_apply_is_pad_crop_mirror_and_fill(
    case: tuple[torch.Tensor, Augmentation], channels_last: bool, epoch: int, slice_bytes: int
) -> None:
    images, asked = case
    if channels_last:
        images = images.contiguous(memory_format=torch.channels_last)
    before = images.clone()
    draws = asked.draw(
        len(images), epoch, (images.shape[2], images.shape[3]), torch.Generator().manual_seed(epoch)
    )
    fill = FILL[: images.shape[1]]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(augmentation, "SLICE", slice_bytes)
        found = asked.apply(images, draws, fill)
    expected = [changed(x, k, asked, draws, FILL.numpy()) for k, x in enumerate(images.numpy())]
    np.testing.assert_array_equal(found, np.stack(expected))
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(images, before)


@pytest.mark.parametrize("side", [1, 2, 5, 8])
def test_a_cut_out_square_has_its_side_and_loses_what_lies_outside(side: int) -> None:
    """Eight rows and columns: a square around (y, x) covers [y − ⌊c/2⌋, y − ⌊c/2⌋ + c) of them."""
    places = torch.cartesian_prod(torch.arange(8), torch.arange(8))
    asked = Augmentation(cutout=side)
    found = asked.apply(torch.ones(64, 1, 8, 8, dtype=torch.uint8), Draws(None, None, places))
    covered = [len({y for y in range(8) if c - side // 2 <= y < c - side // 2 + side}) for c in range(8)]
    for (y, x), image in zip(places.tolist(), found, strict=True):
        assert int((image == 0).sum()) == covered[y] * covered[x]
        assert image[0, y, x] == 0


def drawn(asked: Augmentation, epoch: int = 0, seed: int = 0, examples: int = 20_000) -> Draws:
    return asked.draw(examples, epoch, (6, 9), torch.Generator().manual_seed(seed))


def uniform(values: torch.Tensor, allowed: range) -> bool:
    """Whether every allowed value comes up, no other does, and Pearson's test keeps the hypothesis."""
    counts = np.array([int((values == v).sum()) for v in allowed])
    return int(counts.sum()) == values.numel() and bool(stats.chisquare(counts).pvalue > 1e-3)


def test_draws_are_uniform_and_independent() -> None:
    draws = drawn(Augmentation("random", crop=2, cutout=3))
    assert draws.mirrored is not None
    assert draws.shift is not None
    assert draws.centre is not None
    mirrored, shift, centre = draws.mirrored.long(), draws.shift, draws.centre
    assert uniform(mirrored, range(2))
    assert uniform((shift[:, 0] + 2) * 5 + shift[:, 1] + 2, range(25))  # jointly: rows and columns apart
    assert uniform(centre[:, 0] * 9 + centre[:, 1], range(54))
    assert uniform(mirrored * 5 + shift[:, 1] + 2, range(10))


def test_nothing_is_drawn_for_what_is_not_asked() -> None:
    generator = torch.Generator().manual_seed(0)
    before = generator.get_state()
    draws = Augmentation("alternating").draw(5, 0, (6, 9), generator)
    assert (draws.shift, draws.centre) == (None, None)
    assert torch.equal(generator.get_state(), before)
    assert drawn(Augmentation(crop=1)).mirrored is None


def mirrored(
    flip: Literal["random", "alternating"], epoch: int, coins: int = 0, seed: int = 0
) -> torch.Tensor:
    draws = drawn(Augmentation(flip, seed=coins), epoch, seed, examples=500)
    assert draws.mirrored is not None
    return draws.mirrored


def test_the_alternating_flip_shows_both_ways_in_any_two_epochs() -> None:
    """Whatever the generator's state: a run that goes on in its middle sees the same."""
    for epoch in range(5):
        now, then = mirrored("alternating", epoch, seed=epoch), mirrored("alternating", epoch + 1, seed=7)
        assert torch.equal(now, ~then)
    first = mirrored("alternating", 0)
    assert 200 < int(first.sum()) < 300
    assert 200 < int((first != mirrored("alternating", 0, coins=1)).sum()) < 300


def test_the_random_flip_tosses_anew() -> None:
    assert torch.equal(mirrored("random", 0, seed=1), mirrored("random", 1, seed=1))  # the generator decides
    assert 200 < int((mirrored("random", 0, seed=1) != mirrored("random", 0, seed=2)).sum()) < 300


def test_an_image_is_changed_alike_in_whatever_batch() -> None:
    images = pictures(40, 3, 8, 8)
    asked = Augmentation("random", crop=3, cutout=4)
    draws = asked.draw(40, 0, (8, 8), torch.Generator().manual_seed(0))
    whole = asked.apply(images, draws, FILL[:3])
    batch = torch.tensor([7, 3, 3, 39, 0])
    assert torch.equal(asked.apply(images[batch], draws.select(batch), FILL[:3]), whole[batch])


# --- the data set -------------------------------------------------------------------------------------


def coloured() -> RawData:
    x = pictures(40, 3, 5, 4)
    train, test = (Split(images, torch.arange(len(images)) % 3) for images in (x[:30], x[30:]))
    return RawData("classification", train, test, 3, ["a", "b", "c"], full_scale=255)


def ready(asked: Augmentation | None = None, *, shuffle: bool = False, **changes: Any) -> DataSet:
    options: dict[str, Any] = {"validation": 0.2, "split_seed": 0, "standardize": True} | changes
    options |= {"device": torch.device("cpu"), "dtype": torch.float32}
    return prepare(coloured(), name="set", augmentation=asked, shuffle_pixels=shuffle, **options)


def test_training_images_stay_bytes_and_no_other_split_changes() -> None:
    plain, data = ready(), ready(Augmentation("random", crop=1))
    assert data.train.inputs.dtype == torch.uint8
    assert torch.equal(data.normalize(data.train.inputs), plain.train.inputs)
    assert data.validation is not None
    assert plain.validation is not None
    assert torch.equal(data.validation.inputs, plain.validation.inputs)
    assert torch.equal(data.test.inputs, plain.test.inputs)


def test_colour_images_lie_channels_last_in_every_form() -> None:
    for data in (ready(), ready(Augmentation("random")), ready(shuffle=True)):
        assert data.validation is not None
        for split in (data.train, data.validation, data.test):
            for images in (
                split.inputs,
                data.normalize(split.inputs),
                split.take(torch.tensor([2, 0])).inputs,
            ):
                assert images.is_contiguous(memory_format=torch.channels_last)
                assert not images.is_contiguous()


@pytest.mark.parametrize(
    "asked", [Augmentation("alternating", crop=2, cutout=2), Augmentation(crop=3), Augmentation(cutout=3)]
)
@pytest.mark.parametrize("limit", [0, 2**29])
def test_take_and_batch_are_indexing(
    asked: Augmentation, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With and without a copy of the images that is laid out once."""
    monkeypatch.setattr(dataset, "LINES_LIMIT", limit)
    data = ready(asked)
    indices = torch.tensor([4, 1, 9])
    taken = data.train.take(indices)
    assert torch.equal(taken.inputs, data.train.inputs[indices])
    assert torch.equal(taken.targets, data.train.targets[indices])
    plain = data.batch(indices)
    assert torch.equal(plain.inputs, data.normalize(data.train.inputs[indices]))
    draws = asked.draw(len(data.train), 0, (5, 4), torch.Generator().manual_seed(1))
    changed = asked.apply(data.train.inputs, draws, data.fill)[indices]
    batch = data.batch(indices, draws.select(indices))
    assert torch.equal(batch.inputs, data.normalize(changed))
    assert torch.equal(batch.targets, plain.targets)
    assert not torch.equal(batch.inputs, plain.inputs)


@pytest.mark.parametrize("standardize", [True, False])
def test_what_is_cut_out_becomes_the_mean_colour(standardize: bool) -> None:
    data = ready(Augmentation(cutout=2), standardize=standardize)
    mean = data.train.inputs.double().mean((0, 2, 3))
    assert data.fill is not None
    assert data.fill.dtype == torch.uint8
    assert (data.fill.double() - mean).abs().max() <= 0.5
    assert ready(Augmentation("random")).fill is None


def section(**augmented: Any) -> config.DigitsData:
    return config.DigitsData.model_validate({"name": "digits", "augmentation": augmented})


def build(**augmented: Any) -> DataSet:
    return build_data(section(**augmented), device="cpu", dtype=torch.float32)


def test_build_data_passes_the_section_on() -> None:
    assert build().augmentation is None
    assert build(flip="none", crop=0, cutout=0).augmentation is None
    data = build(flip="alternating", crop=7, cutout=8)
    assert data.augmentation == Augmentation("alternating", 7, 8, seed=0)
    assert data.train.inputs.dtype == torch.uint8


@pytest.mark.parametrize(
    ("augmented", "message"),
    [
        ({"crop": 8}, r"data\.augmentation\.crop: 8, but the images of digits have 8 × 8 .* 0 to 7$"),
        ({"cutout": 9}, r"data\.augmentation\.cutout: 9, but the images of digits have 8 × 8 .* 0 to 8$"),
    ],
)
def test_what_is_too_large_for_the_images_is_named(augmented: dict[str, int], message: str) -> None:
    with pytest.raises(DataError, match=message):
        build(**augmented)


# --- shuffled pixels ----------------------------------------------------------------------------------


@pytest.mark.parametrize("asked", [None, Augmentation("random")])
def test_one_permutation_moves_the_pixels_of_every_image(asked: Augmentation | None) -> None:
    plain, data = ready(), ready(asked, shuffle=True)
    assert plain.pixel_order is None
    order = data.pixel_order
    assert order is not None
    assert sorted(order.tolist()) == list(range(20))
    assert order.tolist() != list(range(20))
    assert torch.equal(data.mean, plain.mean)
    for here, there in zip(
        (data.train, data.validation, data.test), (plain.train, plain.validation, plain.test), strict=True
    ):
        assert here is not None
        assert there is not None
        moved = data.normalize(here.inputs).flatten(2)
        assert torch.equal(moved, there.inputs.flatten(2)[:, :, order])
        assert torch.equal(data.raw(here.inputs).round(), plain.raw(there.inputs).round())


def test_the_split_seed_draws_the_permutation() -> None:
    orders = [ready(shuffle=True, split_seed=seed).pixel_order for seed in (0, 0, 1)]
    first, again, other = orders
    assert first is not None
    assert again is not None
    assert other is not None
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


# --- standardizing batches ----------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
def test_normalize_is_the_same_in_every_memory_order(
    dtype: torch.dtype, channels: int, memory: torch.memory_format, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Subtracted and divided in at least float32, then rounded once: as torch does it element by element."""
    monkeypatch.setattr(dataset, "SLICE", 50)
    mean = (
        torch.tensor([100.3, 120.7, 90.1][:channels])
        .view(-1, 1, 1)
        .to(torch.promote_types(dtype, torch.float32))
    )
    std = mean / 1.7
    images = pictures(9, channels, 3, 4).contiguous(memory_format=memory)
    split = Split(images, torch.zeros(9))
    data = DataSet(
        "set", "classification", split, None, split, (channels, 3, 4), 2, ["a", "b"], mean, std, dtype
    )
    found = data.normalize(images)
    assert torch.equal(found, ((images.to(mean.dtype) - mean) / std).to(dtype))
    assert found.stride() == images.stride()
