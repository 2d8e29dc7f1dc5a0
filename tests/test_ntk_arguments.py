"""What may be passed to `empirical_ntk`, and what it says of the rest."""

import logging
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from nnlab.ntk import KernelError, ModelError, empirical_ntk, feature_map, linearize


def model() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))


def points(n: int = 4) -> Tensor:
    return torch.randn(n, 4, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (points().numpy(), r"a NumPy array of shape \(4, 4\).*torch\.as_tensor"),
        (points().tolist(), r"a list of length 4.*torch\.as_tensor"),
        (DataLoader(TensorDataset(points())), r"an object of type DataLoader.*torch\.cat"),
        (TensorDataset(points()), r"an object of type TensorDataset.*torch\.cat"),
        (lambda: points(), r"a function"),
        (None, r"an object of type NoneType"),
        (torch.tensor(1.0), r"shape \(\); at least one example"),
    ],
)
def test_what_is_no_tensor_is_named(x: object, message: str) -> None:
    with pytest.raises(KernelError, match=f"x1: {message}"):
        empirical_ntk(model(), x)  # type: ignore[call-overload]
    with pytest.raises(KernelError, match=f"x: {message}"):
        feature_map(model(), x)  # type: ignore[arg-type]
    if x is not None:  # which stands for x1
        with pytest.raises(KernelError, match=f"x2: {message}"):
            empirical_ntk(model(), points(), x)  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: lambda x: x, r"model: a function"),
        (lambda: nn.Linear, r"model: the class Linear, not an object of it"),
        (lambda: points(), r"model: an object of type Tensor"),
        (lambda: nn.LazyLinear(3), r"weight has no shape yet, as its module is lazy"),
        (lambda: nn.Linear(4, 3, device="meta"), r"weight is on the meta device"),
        (lambda: nn.Flatten(), r"no parameter"),
    ],
)
def test_what_is_no_model_is_named(made: Callable[[], object], message: str) -> None:
    for call in (lambda m: empirical_ntk(m, points()), lambda m: feature_map(m, points())):
        with pytest.raises(KernelError, match=message):
            call(made())


def test_linearize_names_what_is_no_model() -> None:
    with pytest.raises(KernelError, match="model: a function"):
        linearize(lambda x: x)  # type: ignore[arg-type]


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_single_and_told(
    half: torch.dtype, caplog: pytest.LogCaptureFixture
) -> None:
    halved, x = model().to(half), points().to(half)
    with caplog.at_level(logging.INFO, logger="nnlab.ntk"):
        found = empirical_ntk(halved, x)
    assert found.dtype == torch.float32
    assert f"the parameters are {half}; computed in torch.float32" in caplog.text
    assert torch.equal(found, empirical_ntk(model().to(half).float(), x.float()))
    assert halved.get_parameter("0.weight").dtype == half


def test_the_widest_type_counts() -> None:
    mixed = nn.Sequential(model(), nn.Linear(3, 2).double())

    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = mixed[0], mixed[1]

        def forward(self, x: Tensor) -> Tensor:
            return self.last(self.first(x).double())

    found = empirical_ntk(Mixed(), points())
    assert found.dtype == torch.float64
    truth = empirical_ntk(Mixed().double(), points().double())
    assert (found - truth).norm() <= 1e-12 * truth.norm()


def test_examples_may_be_numbers() -> None:
    class Table(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rows = nn.Embedding(5, 3, dtype=torch.float64)

        def forward(self, k: Tensor) -> Tensor:
            return torch.tanh(self.rows(k))

    table, k = Table(), torch.tensor([0, 3, 3, 1])
    kernel = empirical_ntk(table, k, output="trace")
    same = (k[:, None] == k[None]).double()
    slopes = 1 - torch.tanh(table.rows(k).detach()) ** 2
    assert (kernel - same * (slopes @ slopes.T)).abs().max() <= 1e-14


def test_a_model_that_fails_says_why() -> None:
    with pytest.raises(ModelError, match=r"the model fails on examples of shape \(4, 3\).*mat1 and mat2"):
        empirical_ntk(model(), points()[:, :3])


def test_complex_parameters_are_named() -> None:
    class Filter(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.spectrum = nn.Parameter(torch.ones(3, dtype=torch.complex64))

        def forward(self, x: Tensor) -> Tensor:
            return torch.fft.irfft(torch.fft.rfft(x) * self.spectrum, 4)

    with pytest.raises(ModelError, match=r"parameter spectrum is complex"):
        empirical_ntk(Filter(), points())


def test_numpy_arrays_of_the_right_shape_are_not_taken_for_tensors() -> None:
    with pytest.raises(KernelError, match="NumPy"):
        empirical_ntk(model(), np.zeros((4, 4), dtype=np.float32))  # type: ignore[call-overload]


def test_frozen_parameters_can_be_replaced_too() -> None:
    frozen, other = model(), model()
    frozen.get_parameter("0.weight").requires_grad_(False)
    weight = other.get_parameter("0.weight")
    with torch.no_grad():
        weight.mul_(2)
    weight.requires_grad_(False)
    found = empirical_ntk(frozen, points(), params={"0.weight": weight})
    assert torch.equal(found, empirical_ntk(other, points()))
