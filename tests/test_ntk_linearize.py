"""The linearized network: its value, its derivative, what training it converges to, and what it refuses."""

import math
import subprocess
import sys

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from nnlab.models import CNN, MLP
from nnlab.ntk.dynamics.linearize import Parameters, linearize
from nnlab.ntk.errors import KernelError, ModelError
from tests.kernel_zoo import ZOO, gradients

FLOAT = torch.float64


def mlp(hidden: list[int] | None = None, outputs: int = 2, activation: str = "tanh") -> MLP:
    generator = torch.Generator().manual_seed(0)
    hidden = [7, 5] if hidden is None else hidden
    return MLP(3, hidden, outputs, activation, parameterization="ntk", generator=generator).to(FLOAT)


def points(n: int = 4, d: int = 3, seed: int = 1) -> Tensor:
    return torch.randn(n, d, dtype=FLOAT, generator=torch.Generator().manual_seed(seed))


def moved(params: Parameters, seed: int = 2, size: float = 1.0) -> Parameters:
    generator = torch.Generator().manual_seed(seed)
    return {
        name: value.detach() + size * torch.randn(value.shape, dtype=FLOAT, generator=generator)
        for name, value in params.items()
    }


def flat(params: Parameters) -> Tensor:
    return torch.cat([value.detach().flatten() for value in params.values()])


def jacobian(model: nn.Module, x: Tensor) -> Tensor:
    """Φ (nC, p), one backward pass per score."""
    rows = []
    for score in model(x).flatten():
        gradients = torch.autograd.grad(score, list(model.parameters()), retain_graph=True)
        rows.append(torch.cat([g.flatten() for g in gradients]))
    return torch.stack(rows)


def small_cnn() -> CNN:
    generator = torch.Generator().manual_seed(0)
    return CNN((1, 8, 8), [3, 4], 2, "gelu", generator=generator).to(FLOAT)


@pytest.mark.parametrize(("model", "x"), [(mlp(), points()), (small_cnn(), points(3, 64).view(3, 1, 8, 8))])
def test_it_is_the_tangent_at_w0(model: nn.Module, x: Tensor) -> None:
    """f at w₀; elsewhere f(w₀) + Φ(w − w₀) with the Jacobian of looped backward passes; linear in w."""
    f_lin = linearize(model)
    torch.testing.assert_close(f_lin(f_lin.params0, x), model(x), rtol=0, atol=0)
    w = moved(f_lin.params0)
    expected = model(x).flatten() + jacobian(model, x) @ (flat(w) - flat(f_lin.params0))
    torch.testing.assert_close(f_lin(w, x).flatten(), expected, rtol=1e-12, atol=1e-12)


def test_its_slope_is_the_finite_difference_of_the_network() -> None:
    model, x = mlp(), points()
    f_lin = linearize(model)
    direction, h = moved(f_lin.params0), 1e-5
    w = {name: start + h * (direction[name] - start) for name, start in f_lin.params0.items()}
    opposite = {name: 2 * start - w[name] for name, start in f_lin.params0.items()}
    central = (functional_call(model, w, (x,)) - functional_call(model, opposite, (x,))) / 2
    torch.testing.assert_close(f_lin(w, x) - model(x), central, rtol=1e-8, atol=1e-13)


def test_gradient_descent_ends_at_the_pseudo_inverse() -> None:
    """w₀ + Φ⁺(y − f₀): the solution nearest to the start, in parameters and as a function elsewhere."""
    model, x, y = mlp([8], outputs=1), points(4), points(4, 1, seed=4)
    f_lin = linearize(model)
    features, f0 = jacobian(model, x), model(x).detach()
    largest, *_, smallest = torch.linalg.svdvals(features).square().tolist()
    lr = 2 / (largest + smallest)  # every mode shrinks by at most 1 − lr · smallest per step
    steps = math.ceil(math.log(1e-10) / math.log(1 - lr * smallest))
    assert steps < 1000
    w = f_lin.start()
    for _ in range(steps):
        loss = (f_lin(w, x) - y).square().sum() / 2
        gradients = torch.autograd.grad(loss, list(w.values()))
        with torch.no_grad():
            for value, gradient in zip(w.values(), gradients, strict=True):
                value -= lr * gradient
    limit = flat(f_lin.params0) + torch.linalg.pinv(features) @ (y - f0).flatten()
    torch.testing.assert_close(flat(w), limit, rtol=1e-7, atol=1e-9)
    torch.testing.assert_close(f_lin(w, x), y, rtol=1e-7, atol=1e-9)
    new = points(6, seed=5)
    expected = model(new).flatten() + jacobian(model, new) @ (limit - flat(f_lin.params0))
    torch.testing.assert_close(f_lin(w, new).flatten(), expected, rtol=1e-7, atol=1e-9)


def test_many_w_at_once_under_vmap() -> None:
    model, x = mlp(), points()
    f_lin = linearize(model)
    several = [moved(f_lin.params0, seed) for seed in range(3)]
    stacked = {name: torch.stack([w[name] for w in several]) for name in f_lin.params0}
    batched = vmap(f_lin, in_dims=(0, None))(stacked, x)
    for one, w in zip(batched, several, strict=True):
        torch.testing.assert_close(one, f_lin(w, x), rtol=1e-12, atol=1e-12)


def test_training_the_network_afterwards_changes_nothing() -> None:
    model, x = mlp(), points()
    f_lin = linearize(model)
    before, w = f_lin(f_lin.params0, x), moved(f_lin.params0)
    elsewhere = f_lin(w, x)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2)
    assert torch.equal(f_lin(f_lin.params0, x), before)
    assert torch.equal(f_lin(w, x), elsewhere)


def test_at_other_parameters_and_in_some_of_them() -> None:
    model, x = mlp(), points()
    name = "output.weight"
    w0 = moved({name: model.output.weight})
    f_lin = linearize(model, w0)
    assert list(f_lin.params0) == [name]
    w = moved(w0, seed=8)
    with torch.no_grad():
        model.output.weight.copy_(w[name])
    torch.testing.assert_close(f_lin(w, x), model(x))  # the network is linear in its last layer


def test_frozen_parameters_are_constants() -> None:
    model = mlp()
    model.hidden[0].requires_grad_(False)
    assert sorted(linearize(model).params0) == [
        "hidden.1.bias",
        "hidden.1.weight",
        "output.bias",
        "output.weight",
    ]
    f_lin, x = linearize(model), points()
    before = f_lin(f_lin.params0, x)
    with torch.no_grad():
        model.get_parameter("hidden.0.weight").mul_(2)
    assert torch.equal(f_lin(f_lin.params0, x), before)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    with pytest.raises(KernelError, match="requires gradients"):
        linearize(model)


def test_batch_norm_and_dropout_only_in_evaluation_mode() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Dropout(0.5), nn.Linear(4, 1)).to(
        FLOAT
    )
    with pytest.raises(ModelError, match="eval"):
        linearize(model)
    f_lin, x = linearize(model.eval()), points()
    w = moved(f_lin.params0)
    expected = model(x).flatten() + jacobian(model, x) @ (flat(w) - flat(f_lin.params0))
    torch.testing.assert_close(f_lin(w, x).flatten(), expected, rtol=1e-12, atol=1e-12)
    model.train()
    with pytest.raises(ModelError, match="eval"):
        f_lin(w, x)


def test_wrong_parameters_are_named() -> None:
    f_lin, x = linearize(mlp()), points()
    w = moved(f_lin.params0)
    with pytest.raises(KernelError, match=r"output\.bias is missing"):
        f_lin({name: value for name, value in w.items() if name != "output.bias"}, x)
    with pytest.raises(KernelError, match=r"no parameter output\.bia; did you mean output\.bias"):
        f_lin({**w, "output.bia": w["output.bias"]}, x)
    with pytest.raises(KernelError, match=r"output\.bias has the shape \(3,\); it must be \(2,\)"):
        f_lin({**w, "output.bias": torch.zeros(3, dtype=FLOAT)}, x)
    with pytest.raises(KernelError, match="no parameter extra"):
        linearize(mlp(), {"extra": torch.zeros(1)})


@pytest.mark.slow
def test_no_warning_reaches_a_fresh_program() -> None:
    """torch warns on the first forward product of a process, which here may have been another test's."""
    program = (
        "import torch\nfrom nnlab.ntk.dynamics.linearize import linearize\n"
        "f = linearize(torch.nn.Linear(2, 1)); w = f.start()\n"
        "f(w, torch.ones(1, 2)).sum().backward(); print(w['weight'].grad.tolist())"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("[[1.0, 1.0]]\n", "")


# --- modules that were not written for it -----------------------------------------------------------


KINDS = ("hooks", "integers", "recurrent", "attention", "norms", "tied", "unusual")
OTHERS = [n for n, member in ZOO.items() if member.expected == "right" and member.kind in KINDS][::2]


@pytest.mark.parametrize("name", [*OTHERS, "GPT"])
def test_modules_of_others_are_linearized_or_refused(name: str) -> None:
    """The change along w − w₀ is the Jacobian by plain autograd times it, and can be trained through."""
    model, x = ZOO[name].build(), ZOO[name].inputs(2, 1)
    jacobian = gradients(model, x)
    linear = linearize(model)
    w = {key: value.requires_grad_() for key, value in moved(linear.params0).items()}
    try:
        change = linear(w, x) - functional_call(model, linear.params0, (x,))
    except ModelError as error:
        if "second ones by autograd" not in str(error):
            raise
        return
    step = torch.cat([(w[key] - start).detach().flatten() for key, start in linear.params0.items()])
    expected = jacobian @ step  # (n, C)
    assert (change.flatten(1) - expected).norm() <= 1e-9 * expected.norm().clamp(min=1e-9)
    weights = torch.linspace(1, 2, expected.numel(), dtype=FLOAT).view_as(expected)
    slopes = torch.autograd.grad((weights * change.flatten(1)).sum(), list(w.values()), allow_unused=True)
    found = [
        torch.zeros_like(v) if g is None else g.to_dense() for v, g in zip(w.values(), slopes, strict=True)
    ]
    total = torch.einsum("nc,ncp->p", weights, jacobian)
    assert (torch.cat([g.flatten() for g in found]) - total).norm() <= 1e-9 * total.norm().clamp(min=1e-9)
