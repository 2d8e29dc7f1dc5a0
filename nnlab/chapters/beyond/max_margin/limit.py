"""The limit of gradient descent on separable data, from the support vectors alone.

With zᵢ = yᵢxᵢ the descent of the logistic loss with steps of size η is, in the long run,

    w(t) = ŵ log t + w̃ + o(1),   ŵ = Σ αᵢzᵢ,   (η/N) exp(−zᵢᵀw̃) = αᵢ for each support vector,

where ŵ is the shortest vector with zᵢᵀŵ ≥ 1 and αᵢ are its dual variables (Soudry, Hoffer, Nacson, Gunasekar
and Srebro, "The implicit bias of gradient descent on separable data", 2018, theorems 3 and 4). Where the
support vectors span the space, w̃ is known with them, and nothing is left to fit: neither the start nor any
other example has a part in it. A softmax of two scores moves the difference of its rows by 2η.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.svm import SVC

Array = NDArray[np.float64]

HARD = 1e9  # C of the SVM: no example may be inside the margin
SUPPORT = 1e-6  # of the largest α, above which an example is a support vector


@dataclass(frozen=True)
class Limit:
    """w(t) = ŵ log t + w̃.

    Attributes:
        direction: ŵ, (d,); the margin is 1/‖ŵ‖.
        offset: w̃, (d,).
    """

    direction: Array
    offset: Array

    def weights(self, steps: Array) -> Array:
        """Returns w at steps (T,), (T, d)."""
        return np.log(steps)[:, None] * self.direction + self.offset


def limit_of(z: Array, lr: float) -> Limit:
    """Returns the limit of descent on signed examples.

    Args:
        z: (N, d) examples times their class, ±1; linearly separable without a bias, their support vectors d
            in number and independent.
        lr: η, of the logistic loss (1/N) Σ log(1 + exp(−wᵀzᵢ)).

    Raises:
        ValueError: the support vectors do not determine w̃.
    """
    direction, dual = support_vectors(z)
    chosen = dual > SUPPORT * dual.max()
    if chosen.sum() != z.shape[1]:
        raise ValueError(f"{chosen.sum()} support vectors in {z.shape[1]} dimensions")
    return Limit(direction, np.linalg.solve(z[chosen], -np.log(len(z) * dual[chosen] / lr)))


def support_vectors(z: Array) -> tuple[Array, Array]:
    """Returns ŵ, (d,), and its dual variables, (N,), by scikit-learn's support vector machine.

    It has a bias, which the other half of the examples, −z with the class −1, holds at 0.
    """
    both = np.concatenate([z, -z])
    machine = SVC(kernel="linear", C=HARD, tol=1e-10).fit(both, np.repeat([1, -1], len(z)))
    dual = np.zeros(len(both))
    dual[machine.support_] = np.abs(machine.dual_coef_[0])
    return np.asarray(machine.coef_[0]), dual[: len(z)] + dual[len(z) :]


def angle_from(direction: Array, vectors: Array) -> Array:
    """Returns the signed angle from a direction in the plane to vectors (…, 2), in degrees."""
    across = direction[0] * vectors[..., 1] - direction[1] * vectors[..., 0]
    return np.asarray(np.degrees(np.arctan2(across, vectors @ direction)))
