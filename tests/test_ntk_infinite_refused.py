"""What has no infinite-width limit that is known, and wrong arguments, are errors that name it."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nnlab.models import CNN, MLP, Maxout
from nnlab.ntk.errors import KernelError, NonFiniteError
from nnlab.ntk.infinite.kernel import infinite_ntk

FLOAT = torch.float64


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=FLOAT, generator=torch.Generator().manual_seed(0))


class Written(nn.Module):
    """A network of the layers a and b whose forward is given."""

    def __init__(self, forward: Callable[[Any, Tensor], Tensor], a: nn.Module, b: nn.Module) -> None:
        super().__init__()
        self.a, self.b = a, b
        self._written = forward

    def forward(self, x: Tensor) -> Tensor:
        return self._written(self, x)


def refuses(model: nn.Module, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(KernelError, match=message):
        infinite_ntk(model, normal(2, *shape))


def conv(m: int = 4, **options: Any) -> nn.Conv2d:
    return nn.Conv2d(m, m, 3, padding=1, **options)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([conv(), nn.MaxPool2d(2)], r"1 \(MaxPool2d\).*average pooling"),
        ([conv(), nn.BatchNorm2d(4)], r"1 \(BatchNorm2d\).*LayerNorm"),
        ([conv(), nn.GroupNorm(2, 4)], r"1 \(GroupNorm\).*LayerNorm"),
        ([conv(), nn.InstanceNorm2d(4)], r"1 \(InstanceNorm2d\).*LayerNorm"),
        ([conv(), nn.PReLU()], r"1 \(PReLU\).*LeakyReLU"),
        ([conv(), nn.ReLU6()], r"1 \(ReLU6\).*kinks"),
        ([conv(), nn.Dropout(0.5)], r"1 \(Dropout\) is in training mode.*eval"),
        ([conv(groups=4)], r"0 \(Conv2d\) has groups=4"),
        ([conv(padding_mode="circular")], "padding_mode=circular"),
        ([nn.Conv2d(3, 2, 3)], "takes 3 channels, but its input has 4"),
        ([nn.Conv2d(4, 2, 9)], "leaves no positions"),
        ([nn.ConvTranspose2d(4, 4, 3)], r"0 \(ConvTranspose2d\)"),
        ([conv(), nn.LayerNorm(6)], r"1 \(LayerNorm\) normalizes over \(6,\)"),
        ([conv(), nn.ReLU(), nn.AvgPool2d(2), nn.ReLU()], r"3 \(ReLU\) acts on .* 2 \(AvgPool2d\)"),
        ([conv(), nn.AvgPool2d(2, ceil_mode=True)], "ceil_mode"),
        ([conv()], "36 positions"),
        ([nn.Flatten()], "no layer with weights"),
        ([nn.Flatten(), nn.Linear(7, 2)], "takes 7 numbers, but its input has 144"),
        ([nn.Linear(6, 2)], r"0 \(Linear\) acts on the last axis"),
        ([nn.Flatten(0), nn.Linear(6, 2)], "examples together"),
    ],
)  # fmt: skip
def test_layers_of_images(layers: list[nn.Module], message: str) -> None:
    refuses(nn.Sequential(*layers), (4, 6, 6), message)


def trained_norm() -> nn.LayerNorm:
    norm = nn.LayerNorm(4)
    nn.init.constant_(norm.weight, 2.0)
    return norm


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([nn.Linear(3, 4), Maxout(2), nn.Linear(2, 1)], r"1 \(Maxout\)"),
        ([nn.Linear(3, 4), nn.Softmax(1)], r"1 \(Softmax\).*leave it out"),
        ([nn.Linear(3, 4), nn.ReLU(), nn.Tanh(), nn.Linear(4, 1)], r"2 \(Tanh\) acts on .* 1 \(ReLU\)"),
        ([nn.Linear(3, 4), nn.ReLU()], r"output is that of 1 \(ReLU\)"),
        ([nn.Linear(3, 4), nn.LayerNorm(4)], r"output is that of 1 \(LayerNorm\)"),
        ([nn.Linear(3, 4), trained_norm(), nn.Linear(4, 1)], "scale other than 1"),
        ([nn.Linear(3, 4), nn.LayerNorm(4), nn.Tanh(), nn.Linear(4, 1)],
         r"2 \(Tanh\) acts on a LayerNorm with a trained scale.*elementwise_affine=False"),
        ([nn.LayerNorm(3), nn.Linear(3, 1)], r"0 \(LayerNorm\) acts on the input"),
        ([nn.LSTM(3, 4)], r"0 \(LSTM\).*again at every step"),
        ([nn.Embedding(3, 4)], r"0 \(Embedding\).*one-hot"),
        ([nn.MultiheadAttention(3, 1)], r"0 \(MultiheadAttention\)"),
        ([nn.utils.parametrizations.weight_norm(nn.Linear(3, 1))], "parametrization"),
        ([nn.Linear(3, 1).requires_grad_(False)], "no parameter"),
    ],
)  # fmt: skip
def test_layers_of_features(layers: list[nn.Module], message: str) -> None:
    refuses(nn.Sequential(*layers), (3,), message)


@pytest.mark.parametrize(
    ("forward", "message"),
    [
        (lambda m, x: m.a(x) * m.b(x), r"mul.*products"),
        (lambda m, x: m.a(x) ** 2, r"pow.*products"),
        (lambda m, x: m.a(x) @ x, "matmul.*products"),
        (lambda m, x: 1 / m.a(x), "truediv.*products"),
        (lambda m, x: torch.cat([m.a(x), m.b(x)], 1), "cat.*use a sum"),
        (lambda m, x: m.a(x) + 1.0, "adds the number 1"),
        (lambda m, x: m.b(m.b(m.a(x))), r"b \(Linear\) uses the parameters of b \(Linear\) again"),
        (lambda m, x: m.b(torch.relu((h := torch.relu(m.a(x))) + m.b(h))), "not a Gaussian field"),
        (lambda m, x: x + m.a(x), "adds the input"),
        (lambda m, x: m.a(x).mean(1), "the channels"),
        (lambda m, x: m.a(x).mean(), "over the examples"),
        (lambda m, x: m.a(x) + m.a.bias, "uses a.bias by itself"),
        (lambda m, x: F.linear(x, m.a.weight), "uses a.weight by itself"),
        (lambda m, x: m.a(x) if x.sum() > 0 else x, "cannot be read by torch.fx"),
        (lambda m, x: F.relu(z := m.a(x), inplace=True) + z, "in place"),
        (lambda m, x: F.relu_((z := m.a(x)).view(-1, 3)) + z, "in place"),
        (lambda m, x: F.dropout(m.a(x), 0.5), "training mode"),
        (lambda m, x: torch.clamp(m.a(x), min=0), "clamp.*kinks"),
        (lambda m, x: m.a(x).to(torch.float64), r"to\)?: its infinite-width limit is not known"),
        (lambda m, x: m.a(x.view(-1, 1, 3)), r"a \(Linear\) acts on the last axis"),
        (lambda m, x: (m.a(x), m.b(x)), "returns tuple"),
    ],
)  # fmt: skip
def test_operations(forward: Callable[[nn.Module, Tensor], Tensor], message: str) -> None:
    refuses(Written(forward, nn.Linear(3, 3), nn.Linear(3, 3)), (3,), message)


def test_a_maximum_by_a_function() -> None:
    refuses(Written(lambda m, x: F.max_pool2d(m.a(x), 2), conv(), conv()), (4, 6, 6), "average pooling")


def test_models_of_nnlab_with_a_maximum() -> None:
    generator = torch.Generator().manual_seed(0)
    refuses(CNN((4, 6, 6), [3], 2, generator=generator), (4, 6, 6), r"pools\.0 \(MaxPool2d\)")
    refuses(MLP(3, [2], 1, "maxout", generator=generator), (3,), "maxout")


def test_weights_and_layers_used_twice() -> None:
    tied = nn.Linear(3, 3)
    refuses(nn.Sequential(tied, nn.ReLU(), tied), (3,), "again")
    other = nn.Linear(3, 3)
    other.weight = tied.weight
    refuses(
        nn.Sequential(tied, nn.ReLU(), other), (3,), r"2 \(Linear\) uses the parameters of 0 \(Linear\) again"
    )


def test_hooks() -> None:
    model = nn.Sequential(nn.Linear(3, 3))
    model[0].register_forward_hook(lambda *_: None)
    refuses(model, (3,), "hooks")


def test_what_is_no_model() -> None:
    with pytest.raises(KernelError, match="the first argument is str"):
        infinite_ntk("relu", depth=1)  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sigma_w": {"convolution": 1.0}}, "there is no layer convolution"),
        ({"sigma_w": {"44": 1.0}}, "did you mean 4"),
        ({"sigma_b": {"0": -1.0}}, "sigma_b -1.0 of 0"),
        ({"sigma_w": 0.0}, "sigma_w 0.0"),
        ({"sigma_w": math.nan}, "sigma_w nan"),
        ({"sigma_b": math.inf}, "sigma_b inf"),
        ({}, "activations relu, tanh, whose gains differ; give sigma_w"),
        ({"x1": torch.zeros(3)}, r"x1 has the shape \(3,\)"),
        ({"x1": torch.zeros(0, 3)}, r"x1 has the shape \(0, 3\)"),
        ({"x2": torch.zeros(3, 4)}, r"x1 holds examples of shape \(3,\), x2 of \(4,\)"),
    ],
)
def test_wrong_arguments_are_named(change: dict[str, Any], message: str) -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 1))
    arguments: dict[str, Any] = {"x1": normal(2, 3), **change}
    x1 = arguments.pop("x1")
    with pytest.raises(KernelError, match=message):
        infinite_ntk(model, x1, **arguments)


def test_what_is_not_finite_is_named() -> None:
    x = normal(3, 2)
    model = nn.Sequential(nn.Linear(2, 2), nn.GELU(), nn.Linear(2, 1))
    for value in (math.nan, math.inf):
        wrong = x.clone()
        wrong[1, 0] = value
        with pytest.raises(NonFiniteError, match="example 1 of x2"):
            infinite_ntk(model, x, wrong)
    deep = nn.Sequential(
        *[layer for _ in range(20) for layer in (nn.Linear(2, 2), nn.ReLU())], nn.Linear(2, 1)
    )
    divided = nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2, eps=0.0), nn.ReLU(), nn.Linear(2, 1))
    for call in (
        lambda: infinite_ntk(deep, x, sigma_w=1e10),
        lambda: infinite_ntk(x, depth=20, sigma_w=1e10),
        lambda: infinite_ntk(model, 1e160 * x),
        lambda: infinite_ntk(divided, 0 * x, sigma_b=0.0),
    ):  # fmt: skip
        with pytest.raises(NonFiniteError, match=r"finite|squared norm"):
            call()
