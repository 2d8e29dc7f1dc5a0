"""Predictions about gradient descent: step bounds, optimality, rates of convergence, mini-batch noise."""

import math

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from nnlab.training.losses import Loss

# --- softmax regression -----------------------------------------------------------------------------


def softmax_step_bound(features: Tensor, strength: float = 0.0) -> float:
    """The step size below which gradient descent on softmax regression with λ‖W‖² must descend.

    The Hessian of the mean cross-entropy is at most ½ λmax(XᵀX/N): per example it is
    (diag p − ppᵀ) ⊗ xxᵀ, and diag p − ppᵀ has eigenvalues of at most ½ (Böhning, "Multinomial logistic
    regression algorithm", 1992). λ‖W‖² adds 2λ. Gradient descent, and its proximal form, descends for
    η < 2/L, so for η < 4/(λmax(XᵀX/N) + 4λ). Sufficient, not necessary.

    Args:
        features: X, (N, d), with its column of ones where the model has a bias.
        strength: λ of the quadratic part; λβ for the elastic net.

    Returns:
        4/(λmax(XᵀX/N) + 4λ), computed in float64.
    """
    x = features.flatten(1).double()
    top = float(torch.linalg.eigvalsh(x.T @ x / len(x))[-1])
    curvature = top + 4 * strength
    return 4 / curvature if curvature > 0 else math.inf


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


def kkt_violation(w: Tensor, smooth_gradient: Tensor, strength: float) -> float:
    """The distance of W from the optimality conditions of (smooth part) + λΣ|W|.

    At a minimizer |gᵢ| ≤ λ where wᵢ = 0, and gᵢ + λ sign wᵢ = 0 elsewhere, with g the gradient of the
    loss, plus 2λβw for the elastic net. For λ = 0 it is gᵢ = 0.

    Returns:
        The largest violation over entries; 0 at an exact minimizer.
    """
    g = smooth_gradient
    at_zero = (g.abs() - strength).clamp_min(0)
    elsewhere = (g + strength * w.sign()).abs()
    return float(torch.where(w == 0, at_zero, elsewhere).max())


# --- the noise of a mini-batch gradient -------------------------------------------------------------


def example_gradients(model: nn.Module, loss: Loss, inputs: Tensor, targets: Tensor) -> Tensor:
    """Gradient of each example's loss in all parameters, flattened in their order: (N, p)."""
    parameters = {name: p.detach() for name, p in model.named_parameters()}

    def loss_of(parameters: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        return loss(functional_call(model, parameters, (x[None],)), y[None])

    gradients = vmap(grad(loss_of), in_dims=(None, 0, 0))(parameters, inputs, targets)
    return torch.cat([g.flatten(1) for g in gradients.values()], 1)


def noise_of_one(gradients: Tensor) -> float:
    """S = (1/N) Σᵢ ‖gᵢ − ḡ‖², for gradients (N, p)."""
    return float((gradients - gradients.mean(0)).square().sum(1).mean())


def predicted_noise(noise_of_one: float, examples: int, batch: int) -> float:
    """E‖ḡ_B − ḡ‖² of a batch drawn without replacement: S (N − B)/(B (N − 1)).

    Source: the variance of a sample mean from a finite population; Cochran, "Sampling Techniques" (1977),
    theorem 2.2. Drawn with replacement it would be S/B.
    """
    return noise_of_one * (examples - batch) / (batch * max(1, examples - 1))
