"""What nnlab's kernels are timed against: the Jacobian contraction that torch.func makes easy.

`nnlab bench ntk` prints this file. It takes the derivative of every score in every parameter for all
examples, by vmap over jacrev, and contracts the two Jacobians layer by layer.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.func import functional_call, jacrev, vmap


def jacobian_contraction(model: nn.Module, params: Mapping[str, Tensor], x1: Tensor, x2: Tensor) -> Tensor:
    """The full tangent kernel (n₁, n₂, C, C)."""

    def scores(params: Mapping[str, Tensor], x: Tensor) -> Tensor:
        found: Tensor = functional_call(model, dict(params), (x[None],))[0]
        return found

    jacobian = vmap(jacrev(scores), in_dims=(None, 0))
    left = [part.flatten(2) for part in jacobian(params, x1).values()]  # (n₁, C, p_layer) each
    right = [part.flatten(2) for part in jacobian(params, x2).values()]
    return torch.stack([torch.einsum("icp,jkp->ijck", a, b) for a, b in zip(left, right, strict=True)]).sum(0)
