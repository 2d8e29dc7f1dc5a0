"""Gradient descent of two linear layers on one example, as a map of two numbers.

With f = n^{−1/2} Σ vᵢuᵢ x, the loss ½(f − y)² and the tangent kernel λ = x²(‖u‖² + ‖v‖²)/n, a step of size
η is, with the residual r = f − y,

    f ← f − ηλr + (η²x²/n) r² f,
    λ ← λ + (ηx²/n) r (ηλr − 4f).

For y = 0 these are f(1 − ηλ + η²x²f²/n) and λ + (ηx²f²/n)(ηλ − 4), as in Lewkowycz, Bahri, Dyer,
Sohl-Dickstein and Gur-Ari, "The large learning rate phase of deep learning: the catapult mechanism" (2020).
"""

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def follow_map(
    f: float, kernel: float, *, lr: float, steps: int, width: int, x: float, y: float = 0.0
) -> tuple[Array, Array]:
    """Returns f and λ after 0, 1, … steps, (steps + 1,) each.

    Args:
        f, kernel: at the start.
        lr: η.
        steps: how many.
        width: n.
        x, y: the example and its target.
    """
    outputs, kernels = np.empty(steps + 1), np.empty(steps + 1)
    a = x * x / width
    for step in range(steps + 1):
        outputs[step], kernels[step] = f, kernel
        r = f - y
        f, kernel = (
            f - lr * kernel * r + lr * lr * a * r * r * f,
            kernel + lr * a * r * (lr * kernel * r - 4 * f),
        )
    return outputs, kernels


def largest_falling_product(f: float, kernel: float, *, width: int, x: float) -> float:
    """Returns the largest ηλ₀ at which the first step does not raise the loss, for the target 0.

    The step multiplies f by 1 − p + qp², where p = ηλ₀ and q = x²f₀²/(λ₀²n). It is −1 at the smaller root of
    qp² − p + 2, which tends to 2 as the width grows; where that has no root, it is 1 at p = 1/q.
    """
    q = (x * f / kernel) ** 2 / width
    if q == 0:
        return 2.0
    return 4 / (1 + math.sqrt(1 - 8 * q)) if 8 * q <= 1 else 1 / q
