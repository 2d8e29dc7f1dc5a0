"""Drawn sets: the shapes that their names promise, independent training and test points."""

import math

import numpy as np
import pytest
import torch
from sklearn.datasets import make_moons

from nnlab.data import DataSet, RawData, synthetic, target_function
from nnlab.errors import DataError, InputError
from nnlab.lab import sections as config
from nnlab.lab.build import build_data

SECTIONS: dict[str, config.Data] = {
    "xor": config.XorData(name="xor"),
    "two_moons": config.TwoMoonsData(name="two_moons"),
    "spirals": config.SpiralsData(name="spirals", classes=3),
    "blobs": config.BlobsData(name="blobs", classes=4),
    "regression_1d": config.Regression1dData(name="regression_1d"),
}


def build(section: config.Data, dtype: torch.dtype = torch.float32, **changes: object) -> DataSet:
    return build_data(section.model_copy(update=changes), device="cpu", dtype=dtype)


@pytest.mark.parametrize("name", SECTIONS)
def test_same_split_seed_same_points(name: str) -> None:
    section = SECTIONS[name]
    torch.manual_seed(0)
    first = build(section)
    torch.manual_seed(1)
    again, other = build(section), build(section, split_seed=1)
    assert torch.equal(first.train.inputs, again.train.inputs)
    assert torch.equal(first.train.targets, again.train.targets)
    assert not torch.equal(first.train.inputs, other.train.inputs)


@pytest.mark.parametrize("name", SECTIONS)
def test_float64_rounds_to_float32(name: str) -> None:
    single, double = build(SECTIONS[name]), build(SECTIONS[name], torch.float64)
    assert torch.equal(double.train.inputs.float(), single.train.inputs)
    assert torch.equal(double.test.targets.to(single.test.targets.dtype), single.test.targets)


@pytest.mark.parametrize("name", SECTIONS)
def test_sizes_and_shapes(name: str) -> None:
    section = SECTIONS[name]
    assert not isinstance(section, config.DigitsData | config.TorchvisionData)
    data = build(section, examples=100, validation=0.2)
    one_dimensional = name == "regression_1d"
    assert data.validation is not None
    assert (len(data.train), len(data.validation)) == (80, 20)
    assert len(data.test) == (200 if one_dimensional else 100)
    assert data.input_shape == ((1,) if one_dimensional else (2,))
    assert data.outputs == {"spirals": 3, "blobs": 4, "regression_1d": 1}.get(name, 2)
    assert len(data.class_names) == (0 if one_dimensional else data.outputs)


@pytest.mark.parametrize("name", ["xor", "two_moons", "spirals", "blobs"])
def test_training_and_test_points_differ(name: str) -> None:
    data = build(SECTIONS[name], standardize=False, validation=0)
    train, test = ({tuple(p) for p in split.inputs.tolist()} for split in (data.train, data.test))
    assert len(train) == len(test) == 400
    assert not train & test


def test_xor_without_noise_is_the_four_corners() -> None:
    raw = synthetic.xor(examples=8, noise=0.0, split_seed=0)
    corners = {(*p, k) for p, k in zip(raw.train.inputs.tolist(), raw.train.targets.tolist(), strict=True)}
    assert corners == {(-1, -1, 0), (1, 1, 0), (-1, 1, 1), (1, -1, 1)}


def test_xor_noise_has_the_asked_deviation() -> None:
    noisy, clean = (synthetic.xor(examples=20_000, noise=s, split_seed=0).train.inputs for s in (0.3, 0.0))
    # The deviation of a deviation from n = 40,000 numbers is σ/√(2n) = 0.0011.
    assert (noisy - clean).std().item() == pytest.approx(0.3, abs=0.005)


def test_two_moons_lie_on_scikit_learns_half_circles() -> None:
    raw = synthetic.two_moons(examples=400, noise=0.0, split_seed=0)
    reference, labels = make_moons(20_000, shuffle=False, noise=None)
    for k in (0, 1):
        points = raw.train.inputs[raw.train.targets == k].double()
        distances = torch.cdist(points, torch.from_numpy(reference[labels == k])).min(1).values
        # 10,000 points on a length of π: none is farther from the next than π/10,000.
        assert len(points) == 200
        assert distances.max() < math.pi / 10_000


def test_spirals_wind_as_often_as_asked() -> None:
    raw = synthetic.spirals(examples=3000, classes=3, turns=2.0, noise=0.0, split_seed=0)
    x, y = raw.train.inputs.double().T
    r = torch.hypot(x, y)
    assert r.min() >= 0.1 - 1e-6
    assert r.max() <= 1 + 1e-6
    turns = torch.atan2(y, x) / (2 * math.pi) - 2.0 * r - raw.train.targets / 3
    # Only whole turns may be left. float32 angles up to 4π + 2π are off by less than 1e-6 of a turn.
    assert (turns - turns.round()).abs().max() < 1e-5


def test_blobs_have_centres_on_a_circle_and_the_asked_spread() -> None:
    raw = synthetic.blobs(examples=20_000, classes=4, radius=3.0, spread=0.5, split_seed=0)
    for k, centre in enumerate([(3, 0), (0, 3), (-3, 0), (0, -3)]):
        points = raw.train.inputs[raw.train.targets == k].numpy()
        # Deviations over 5,000 points: 0.5/√5000 = 0.007 of the mean, 0.005 of the spread.
        np.testing.assert_allclose(points.mean(0), centre, atol=0.035)
        np.testing.assert_allclose(points.std(0), 0.5, atol=0.025)


@pytest.mark.parametrize(
    ("name", "at"),
    [
        ("sine", {-1: 0, -0.5: -1, 0: 0, 0.5: 1, 1: 0}),
        ("step", {-1: 0, -1e-9: 0, 0: 1, 1: 1}),
        ("abs", {-1: 1, -0.25: 0.25, 0: 0, 1: 1}),
        ("cubic", {-1: -1, -0.5: 1, 0: 0, 0.5: -1, 1: 1}),
    ],
)
def test_target_functions(name: str, at: dict[float, float]) -> None:
    x = torch.tensor(list(at), dtype=torch.float64)
    expected = torch.tensor(list(at.values()), dtype=torch.float64)
    torch.testing.assert_close(target_function(name)(x), expected, rtol=0, atol=1e-15)


def test_an_unknown_target_function_is_named() -> None:
    with pytest.raises(InputError, match="sin is unknown; did you mean sine"):
        target_function("sin")


def regression(noise: float) -> RawData:
    return synthetic.regression_1d(function="cubic", examples=4001, noise=noise, split_seed=0)


def test_regression_is_the_function_plus_noise_and_the_test_has_none() -> None:
    raw = regression(0.2)
    x, y = raw.train.inputs.double(), raw.train.targets
    np.testing.assert_allclose(x.squeeze(1), np.linspace(-1, 1, 4001), atol=1e-7)
    residual = y - (4 * x**3 - 3 * x)
    # 4,001 numbers of deviation 0.2: the mean is off by 0.0032, the deviation by 0.0022.
    assert abs(residual.mean()) < 0.016
    assert residual.std().item() == pytest.approx(0.2, abs=0.011)
    test_x = raw.test.inputs.double()
    assert len(test_x) == 200
    torch.testing.assert_close(raw.test.targets, 4 * test_x**3 - 3 * test_x, rtol=0, atol=1e-15)


def test_raw_gives_the_inputs_of_regression_back() -> None:
    data = build(SECTIONS["regression_1d"], validation=0)
    np.testing.assert_allclose(data.raw(data.train.inputs).squeeze(1), np.linspace(-1, 1, 40), atol=1e-6)


def test_one_point_is_too_few_for_two_classes() -> None:
    with pytest.raises(DataError, match="xor has no training example of class 1"):
        build(SECTIONS["xor"], examples=1, validation=0)


@pytest.mark.parametrize(
    ("function", "values"),
    [
        ("2*x^2 - abs(x)", lambda x: 2 * x**2 - abs(x)),
        ("1.5", lambda x: 1.5 + 0 * x),
        ([[-1, 0], [0, 2], [0.5, 0]], lambda x: np.interp(x, [-1, 0, 0.5], [0, 2, 0])),
    ],
    ids=["an expression", "a constant", "points"],
)
def test_a_function_is_an_expression_or_drawn_through_points(function: object, values: object) -> None:
    section = config.Regression1dData(name="regression_1d", function=function, noise=0.0)  # type: ignore[arg-type]
    test = build(section, torch.float64, standardize=False).test
    x = test.inputs[:, 0].numpy()
    np.testing.assert_allclose(test.targets[:, 0].numpy(), values(x), atol=1e-12)  # type: ignore[operator]


def test_points_of_a_config_are_its_examples() -> None:
    given = [[0.25, -1.0, 2], [1.0, 0.5, 0], [0.0, 0.0, 1]]
    data = build(config.PointsData(name="points", points=given))
    assert data.train.inputs.tolist() == [point[:2] for point in given]
    assert data.train.targets.tolist() == [2, 0, 1]
    assert torch.equal(data.test.inputs, data.train.inputs)
    assert "the test is on the training points" in data.notes[0]
    held = build(config.PointsData(name="points", points=given * 4, test=0.25))
    assert (len(held.train), len(held.test)) == (9, 3)
    numbers = build(config.PointsData(name="points", task="regression", points=[[0.5, 1.5], [1, -2]]))
    assert (numbers.outputs, numbers.train.targets.tolist()) == (1, [[1.5], [-2.0]])


def test_points_of_every_class() -> None:
    with pytest.raises(DataError, match=r"data\.points: class 1 has no point"):
        build(config.PointsData(name="points", points=[[0.0, 0], [1.0, 2]]))
