"""The sharpness of a training: the largest eigenvalue of the Hessian of what it minimizes.

The Hessian is never formed: products with it come from differentiating twice (Pearlmutter, "Fast exact
multiplication by the Hessian", 1994), and its largest eigenvalue from Lanczos' method.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from nnlab.training.trainer import Parts

Product = Callable[[Tensor], Tensor]

BREAKDOWN = 1e-12  # of the largest entry so far: a next direction this short is rounding


def hessian_product(parts: Parts) -> Product:
    """Returns v ↦ ∇²(L + λR) v, (p,) to (p,), at the present weights of the model.

    L is the trainer's own loss over the whole training split, in the order of the model's trainable
    parameters. The map keeps the graph of one gradient, and is not to be used after the next step.

    Args:
        parts: model, data, loss and penalty; the optimizer plays no part.
    """
    parameters = [p for p in parts.model.parameters() if p.requires_grad]
    data = parts.data
    objective = parts.loss(parts.model(data.normalize(data.train.inputs)), data.train.targets)
    if parts.penalty is not None:
        objective = objective + parts.penalty.value(parts.weights)
    gradient = _flat(torch.autograd.grad(objective, parameters, create_graph=True, materialize_grads=True))

    def product(vector: Tensor) -> Tensor:
        slope = gradient @ vector
        return _flat(
            torch.autograd.grad(slope, parameters, retain_graph=True, materialize_grads=True)
        ).detach()

    return product


def _flat(tensors: tuple[Tensor, ...]) -> Tensor:
    return torch.cat([tensor.flatten() for tensor in tensors])


def sharpness(
    parts: Parts, *, generator: torch.Generator, iterations: int = 100, tolerance: float = 1e-6
) -> float:
    """Returns λmax(∇²(L + λR)) at the present weights.

    Args:
        parts: see `hessian_product`.
        generator: on the CPU, draws the first direction.
        iterations: at most so many products.
        tolerance: relative, of the eigenvalue.
    """
    first = next(p for p in parts.model.parameters() if p.requires_grad)
    size = sum(p.numel() for p in parts.model.parameters() if p.requires_grad)
    start = torch.randn(size, generator=generator, dtype=torch.float64).to(first)
    return largest_eigenvalue(hessian_product(parts), start, iterations, tolerance)


def largest_eigenvalue(
    product: Product, start: Tensor, iterations: int = 100, tolerance: float = 1e-6
) -> float:
    """Returns the largest eigenvalue of a symmetric matrix, by Lanczos' method.

    Every direction is made orthogonal to all earlier ones, twice: without it, rounding brings copies of
    eigenvalues that were there already. With θ the largest eigenvalue of the tridiagonal matrix, s the last
    entry of its eigenvector and β the length of the next direction, an eigenvalue lies within β|s| of θ
    (Parlett, "The Symmetric Eigenvalue Problem", 1998, section 13.2); it stops where that is small.

    Args:
        product: v ↦ Av.
        start: (p,) the first direction, of any length but 0.
        iterations: at most so many products.
        tolerance: of β|s|, over |θ|.
    """
    basis = (start / start.norm())[None]
    diagonal: list[float] = []
    beside: list[float] = []
    theta = float("nan")
    for _ in range(min(iterations, len(start))):
        image = product(basis[-1])
        diagonal.append(float(image @ basis[-1]))
        for _ in range(2):
            image = image - basis.T @ (basis @ image)
        length = float(image.norm())
        values, vectors = np.linalg.eigh(np.diag(diagonal) + np.diag(beside, 1) + np.diag(beside, -1))
        theta = float(values[-1])
        scale = max(map(abs, [*diagonal, *beside]))
        if length <= BREAKDOWN * scale or length * abs(vectors[-1, -1]) <= tolerance * abs(theta):
            break
        beside.append(length)
        basis = torch.cat([basis, (image / length)[None]])
    return theta
