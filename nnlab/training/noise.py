"""The noise of a mini-batch gradient: predicted from the examples' gradients, measured by drawing."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from nnlab.training.losses import Loss

DRAWS_AT_ONCE = 1000  # bounds the (draws, N) arrays that a measurement holds


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


def draw_batches(examples: int, batch: int, draws: int, generator: torch.Generator) -> Tensor:
    """Indices (draws, batch) of subsets of 0 … N − 1 without replacement, each equally likely."""
    keys = torch.rand(draws, examples, generator=generator)
    return keys.argsort(1)[:, :batch] if 2 * batch > examples else keys.topk(batch, 1).indices


def measured_noise(
    gradients: Tensor,
    batch: int,
    draws: int,
    generator: torch.Generator,
    stop: Callable[[], bool] = lambda: False,
) -> Tensor:
    """‖ḡ_B − ḡ‖² of `draws` random batches without replacement: (draws,), float64.

    The mean of a batch's gradients is a row of counts times the matrix of gradients; so many batches at a
    time are one product. Less than `draws` values come back where `stop` says so.

    Args:
        gradients: (N, p), one row per example.
    """
    n = len(gradients)
    centred = (gradients - gradients.mean(0)).double()
    found = []
    for start in range(0, draws, DRAWS_AT_ONCE):
        if stop():
            break
        picks = draw_batches(n, batch, min(DRAWS_AT_ONCE, draws - start), generator)
        chosen = torch.zeros(len(picks), n, dtype=torch.float64).scatter_(1, picks, 1.0)
        means = chosen.to(centred.device) @ centred / batch
        found.append(means.square().sum(1).cpu())
    return torch.cat(found) if found else torch.zeros(0, dtype=torch.float64)
