"""The sharpness of a training, against Hessians that are formed whole, and Lanczos' method against NumPy."""

import numpy as np
import pytest
import torch
from torch import nn

from nnlab.chapters.beyond.descent import data_set
from nnlab.models import MLP
from nnlab.training import Parts, build_loss, build_optimizer, build_penalty
from nnlab.training.sharpness import hessian_product, largest_eigenvalue, sharpness


def parts(activation: str = "tanh", penalty: float = 0.0) -> Parts:
    random = torch.Generator().manual_seed(1)
    model = MLP(2, [4, 3], 2, activation, generator=random).double()
    x, y = (torch.randn(7, 2, generator=random, dtype=torch.float64) for _ in range(2))
    loss, optimizer = build_loss("squared_error"), build_optimizer("sgd", model, lr=0.1)
    return Parts(model, data_set(x, y), loss, optimizer, penalty=build_penalty("l2", penalty))


def dense(of: Parts) -> torch.Tensor:
    """The Hessian by differentiating the formula of the loss, entry by entry."""
    parameters = {name: p.detach() for name, p in of.model.named_parameters()}
    sizes = [p.numel() for p in parameters.values()]

    def objective(vector: torch.Tensor) -> torch.Tensor:
        pieces = dict(zip(parameters, vector.split(sizes), strict=True))
        w = {name: piece.view_as(parameters[name]) for name, piece in pieces.items()}
        outputs = torch.func.functional_call(of.model, w, (of.data.train.inputs,))
        penalty = sum(w[name].square().sum() for name in w if name.endswith("weight"))
        strength = of.penalty.strength if of.penalty is not None else 0.0
        return (outputs - of.data.train.targets).square().sum() / 14 + strength * penalty

    whole = torch.cat([p.flatten() for p in parameters.values()])
    return torch.autograd.functional.hessian(objective, whole)


@pytest.mark.parametrize(
    ("activation", "penalty"), [("tanh", 0.0), ("tanh", 0.3), ("relu", 0.0), ("gelu", 0.1)]
)
def test_products_and_the_largest_eigenvalue_are_those_of_the_whole_matrix(
    activation: str, penalty: float
) -> None:
    of = parts(activation, penalty)
    matrix, product = dense(of), hessian_product(of)
    columns = [product(direction) for direction in torch.eye(len(matrix), dtype=torch.float64)]
    torch.testing.assert_close(torch.stack(columns), matrix, rtol=1e-10, atol=1e-12)
    expected = np.linalg.eigvalsh(matrix.numpy())[-1]
    measured = sharpness(of, generator=torch.Generator().manual_seed(0), tolerance=1e-10)
    assert measured == pytest.approx(expected, rel=1e-9)


def test_frozen_parameters_are_not_part_of_it() -> None:
    of = parts()
    assert isinstance(of.model, MLP)
    of.model.hidden.requires_grad_(False)
    x = of.data.train.inputs
    with torch.no_grad():
        hidden = x
        for layer in of.model.hidden:
            hidden = torch.tanh(layer(hidden))
    design = np.concatenate([hidden.numpy(), np.ones((7, 1))], 1)  # the loss is quadratic in the last layer
    expected = np.linalg.eigvalsh(design.T @ design / 7)[-1]
    measured = sharpness(of, generator=torch.Generator().manual_seed(0), tolerance=1e-10)
    assert measured == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("size", [1, 2, 30, 200])
def test_lanczos_finds_the_largest_eigenvalue(size: int) -> None:
    random = np.random.default_rng(size)
    root = random.standard_normal((size, size))
    for matrix in (root @ root.T, -root @ root.T, root + root.T, np.eye(size), np.zeros((size, size))):
        expected = np.linalg.eigvalsh(matrix)[-1]
        tensor = torch.from_numpy(matrix)
        start = torch.from_numpy(random.standard_normal(size))
        measured = largest_eigenvalue(tensor.mv, start, iterations=size, tolerance=1e-10)
        assert measured == pytest.approx(expected, rel=1e-8, abs=1e-9 * np.abs(matrix).max())


def test_few_products_give_it_to_the_tolerance() -> None:
    """A cluster, as of a network: many small eigenvalues and a few large ones."""
    values = np.concatenate([np.linspace(0, 0.1, 500), [1.0, 2.0, 5.0]])
    turn, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((503, 503)))
    matrix = torch.from_numpy(turn * values @ turn.T)
    count = 0

    def product(vector: torch.Tensor) -> torch.Tensor:
        nonlocal count
        count += 1
        return matrix @ vector

    assert largest_eigenvalue(product, torch.ones(503).double(), 100, 1e-6) == pytest.approx(5.0, rel=1e-6)
    assert count < 15


def test_a_model_without_curvature_has_none() -> None:
    model = nn.Linear(1, 1).double()
    of = parts()
    zero = torch.zeros(3, 1, dtype=torch.float64)
    flat = Parts(model, data_set(zero, zero), of.loss, build_optimizer("sgd", model, lr=1.0))
    model.bias.requires_grad_(False)
    assert sharpness(flat, generator=torch.Generator().manual_seed(0)) == 0.0
