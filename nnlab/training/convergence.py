"""How fast gradient descent approaches the optimum of softmax regression, from its Hessian there."""

from torch import Tensor


def softmax_hessian(features: Tensor, probabilities: Tensor) -> Tensor:
    """Hessian of the mean cross-entropy in the weights: (1/N) Σᵢ (diag pᵢ − pᵢpᵢᵀ) ⊗ xᵢxᵢᵀ.

    Args:
        features: X, (N, d).
        probabilities: (N, C), softmax of the scores.

    Returns:
        (C·d, C·d), row-major over (class, feature).
    """
    n, d = features.shape
    classes = probabilities.shape[1]
    hessian = features.new_zeros(classes, d, classes, d)
    for k in range(classes):
        for j in range(k, classes):
            p = probabilities[:, k] * ((1.0 if k == j else 0.0) - probabilities[:, j])
            block = features.T @ (p[:, None] * features) / n
            hessian[k, :, j, :] = block
            hessian[j, :, k, :] = block
    return hessian.reshape(classes * d, classes * d)


def linear_rate(eigenvalues: Tensor, lr: float) -> float:
    """ρ = max |1 − ηλ| over the directions that move: near the optimum each step shrinks the distance by ρ.

    Directions without curvature (λ = 0: adding one number to every score changes nothing) carry no
    gradient, so gradient descent never moves along them; they are left out, by a threshold of 1e-10 λmax.

    Source: Polyak, "Introduction to Optimization" (1987), section 1.4.
    """
    moving = eigenvalues[eigenvalues > 1e-10 * eigenvalues.max()]
    return float((1 - lr * moving).abs().max())


def measured_rate(distances: Tensor, floor: float = 1e-9) -> float:
    """The factor per step over the last third of the steps before the distance sinks to `floor` of its start.

    Args:
        distances: (T,), the distance to the optimum at steps 0 … T − 1.
    """
    above = int((distances > floor * distances[0]).sum())
    last, first = above - 1, (2 * above) // 3
    if last <= first:
        return float("nan")
    return float((distances[last] / distances[first]) ** (1 / (last - first)))
