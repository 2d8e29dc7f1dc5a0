"""What nnlab's kernels of networks are timed against: a loop over examples and scores, good for any module.

`nnlab bench ntk_networks` prints this file.
"""

import torch
from torch import Tensor, nn


def looped_kernel(model: nn.Module, x: Tensor) -> Tensor:
    """The full tangent kernel (n, n, C, C): a backward pass for each score of each example, then J Jᵀ."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    rows = []
    for example in x:
        for score in model(example[None])[0]:
            gradients = torch.autograd.grad(score, parameters, retain_graph=True)
            rows.append(torch.cat([gradient.flatten() for gradient in gradients]))
    jacobian = torch.stack(rows)  # (nC, p)
    kernel = (jacobian @ jacobian.T).view(len(x), -1, len(x), len(rows) // len(x))
    return kernel.permute(0, 2, 1, 3)


def looped_trace(model: nn.Module, x: Tensor) -> Tensor:
    """Its trace over equal outputs, (n, n)."""
    return looped_kernel(model, x).diagonal(dim1=2, dim2=3).sum(-1)
