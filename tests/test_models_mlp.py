"""The multilayer perceptron of every depth against the lecture's formulas written out."""

import copy
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from nnlab.errors import InputError
from nnlab.models import ACTIVATION_NAMES, MLP, get_activation, weight_matrices
from tests.activation_formulas import FORMULAS

PHI = {**FORMULAS, "maxout": lambda z: np.maximum(z[:, 0::2], z[:, 1::2])}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def arrays(model: nn.Module) -> list[np.ndarray]:
    return [parameter.detach().numpy() for parameter in model.parameters()]


def mlp(*args: Any, **kwargs: Any) -> MLP:
    """In float64, with biases that are not zero."""
    return MLP(*args, sigma_b=0.5, generator=seeded(1), **kwargs).double()


x = torch.randn(7, 2, 3, dtype=torch.float64, generator=seeded(2))  # seven examples of shape (2, 3)
flat = x.reshape(7, 6).numpy()


def test_no_hidden_layer_is_softmax_regression() -> None:
    model = mlp(6, [], 4)
    w, b = arrays(model)
    np.testing.assert_allclose(model(x).detach().numpy(), flat @ w.T + b, rtol=1e-12)


@pytest.mark.parametrize("name", ACTIVATION_NAMES)
def test_one_hidden_layer(name: str) -> None:
    model = mlp(6, [5], 4, name)
    w1, b1, w2, b2 = arrays(model)
    expected = PHI[name](flat @ w1.T + b1) @ w2.T + b2
    np.testing.assert_allclose(model(x).detach().numpy(), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", ["relu", "maxout"])
def test_two_hidden_layers_without_biases(name: str) -> None:
    model = mlp(6, [5, 1], 4, name, bias=False)
    w1, w2, w3 = arrays(model)
    expected = PHI[name](PHI[name](flat @ w1.T) @ w2.T) @ w3.T
    np.testing.assert_allclose(model(x).detach().numpy(), expected, rtol=1e-10, atol=1e-12)


@settings(deadline=None)
@given(
    inputs=st.integers(1, 5),
    hidden=st.lists(st.integers(1, 5), max_size=3),
    outputs=st.integers(1, 4),
    pieces=st.integers(2, 4),
    bias=st.booleans(),
    name=st.sampled_from(["tanh", "maxout"]),
)
def test_parameter_count(
    inputs: int, hidden: list[int], outputs: int, pieces: int, bias: bool, name: str
) -> None:
    model = MLP(inputs, hidden, outputs, name, bias=bias, pieces=pieces, generator=seeded())
    k = pieces if name == "maxout" else 1
    count, fan_in = 0, inputs
    for width in hidden:
        count += k * width * (fan_in + bias)
        fan_in = width
    assert sum(p.numel() for p in model.parameters()) == count + outputs * (fan_in + bias)
    assert model(torch.zeros(2, inputs)).shape == (2, outputs)


def gradients(model: nn.Module, inputs: Tensor, labels: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(F.cross_entropy(model(inputs), labels), list(model.parameters())))


def test_bias_trick_for_softmax_regression() -> None:
    """A feature of ones makes b the last column of W: equal scores, equal gradients."""
    with_bias, absorbed = mlp(6, [], 3), mlp(7, [], 3, bias=False)
    w, b = with_bias.parameters()
    with torch.no_grad():
        absorbed.output.weight.copy_(torch.cat([w, b[:, None]], dim=1))
    ones = torch.cat([x.flatten(1), torch.ones(7, 1)], dim=1)
    labels = torch.arange(7) % 3
    torch.testing.assert_close(absorbed(ones), with_bias(x), rtol=1e-12, atol=1e-12)
    dw, db = gradients(with_bias, x, labels)
    (absorbed_gradient,) = gradients(absorbed, ones, labels)
    torch.testing.assert_close(absorbed_gradient, torch.cat([dw, db[:, None]], dim=1), rtol=1e-12, atol=1e-14)


def test_bias_trick_for_two_layers() -> None:
    """A hidden unit that hands the 1 on, max(0, 1) = 1, absorbs the second layer's b too."""
    with_bias, absorbed = mlp(6, [4], 3), mlp(7, [5], 3, bias=False)
    w1, b1, w2, b2 = with_bias.parameters()
    layer = absorbed.hidden[0]
    assert isinstance(layer, nn.Linear)
    hands_on = torch.zeros(1, 7, dtype=torch.float64)
    hands_on[0, -1] = 1
    with torch.no_grad():
        layer.weight.copy_(torch.cat([torch.cat([w1, b1[:, None]], dim=1), hands_on]))
        absorbed.output.weight.copy_(torch.cat([w2, b2[:, None]], dim=1))
    ones = torch.cat([x.flatten(1), torch.ones(7, 1)], dim=1)
    labels = torch.arange(7) % 3
    torch.testing.assert_close(absorbed(ones), with_bias(x), rtol=1e-12, atol=1e-12)
    dw1, db1, dw2, db2 = gradients(with_bias, x, labels)
    first, second = gradients(absorbed, ones, labels)
    torch.testing.assert_close(first[:4], torch.cat([dw1, db1[:, None]], dim=1), rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(second, torch.cat([dw2, db2[:, None]], dim=1), rtol=1e-12, atol=1e-14)


def test_weight_matrices_leave_biases_and_norm_scales_out() -> None:
    model = MLP(6, [5, 4], 3, generator=seeded())
    assert [tuple(w.shape) for w in weight_matrices(model)] == [(5, 6), (4, 5), (3, 4)]
    mixed = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Embedding(4, 2), nn.LayerNorm(3))
    assert [tuple(w.shape) for w in weight_matrices(mixed)] == [(2, 1, 3, 3), (4, 2)]


@pytest.mark.parametrize("name", ACTIVATION_NAMES)
@pytest.mark.parametrize("parameterization", ["standard", "ntk"])
def test_functional_transforms_copies_and_pickles(name: str, parameterization: str) -> None:
    """torch.func's per-example Jacobian in the parameters is the one that backward gives row by row."""
    model = mlp(6, [5], 2, name, parameterization=parameterization)
    parameters = {key: value.detach() for key, value in model.named_parameters()}

    def one(parameters: dict[str, Tensor], example: Tensor) -> Tensor:
        return torch.func.functional_call(model, parameters, (example[None],))[0]

    jacobian = torch.func.vmap(torch.func.jacrev(one), (None, 0))(parameters, x[:2])
    for i in range(2):
        for output in range(2):
            rows = torch.autograd.grad(model(x[i : i + 1])[0, output], list(model.parameters()))
            for (key, _), row in zip(model.named_parameters(), rows, strict=True):
                torch.testing.assert_close(jacobian[key][i, output], row)
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(twin(x), model(x))


def test_state_dict_names_are_stable() -> None:
    model = MLP(6, [5, 4], 3, "maxout", generator=seeded())
    layers = ["hidden.0", "hidden.1", "output"]
    assert list(model.state_dict()) == [f"{layer}.{kind}" for layer in layers for kind in ("weight", "bias")]


@pytest.mark.parametrize("widths", [(0, [3], 2), (4, [3, 0], 2), (4, [-1], 2), (4, [3], 0)])
def test_widths_below_one(widths: tuple[int, list[int], int]) -> None:
    with pytest.raises(InputError, match="every width must be at least 1"):
        MLP(*widths, generator=seeded())


def test_each_layer_has_its_activation_and_the_gain_of_the_one_before() -> None:
    """W₃ tanh(W₂ max(0, W₁x)), whose weights have the gains of ReLU, ReLU and tanh."""
    names = ["relu", "tanh"]
    model = MLP(400, [400, 400], 400, names, bias=False, generator=seeded()).double()
    w1, w2, w3 = model.parameters()
    inputs = torch.randn(5, 400, dtype=torch.float64, generator=seeded())
    torch.testing.assert_close(model(inputs), torch.tanh((inputs @ w1.T).clamp(min=0) @ w2.T) @ w3.T)
    gains = [get_activation(name).gain for name in ("relu", *names)]
    assert [float(w.detach().std() * 20) for w in (w1, w2, w3)] == pytest.approx(gains, rel=0.02)
    with pytest.raises(InputError, match="2 names for 3 hidden layers"):
        MLP(2, [3, 3, 3], 1, names, generator=seeded())
