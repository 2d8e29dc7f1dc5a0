"""Kernels as anyone would write them, which `nnlab bench ntk` and `ntk_networks` compare nnlab's to."""

import math
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call, jacrev, vmap

Array = NDArray[np.float64]


def jacobian_contraction(model: nn.Module, params: Mapping[str, Tensor], x1: Tensor, x2: Tensor) -> Tensor:
    """The full tangent kernel (n₁, n₂, C, C), from all Jacobians by vmap over jacrev."""

    def scores(params: Mapping[str, Tensor], x: Tensor) -> Tensor:
        outputs: Tensor = functional_call(model, dict(params), (x[None],))[0]
        return outputs

    jacobian = vmap(jacrev(scores), in_dims=(None, 0))
    left = [part.flatten(2) for part in jacobian(params, x1).values()]  # (n₁, C, p_layer) each
    right = [part.flatten(2) for part in jacobian(params, x2).values()]
    return torch.stack([torch.einsum("icp,jkp->ijck", a, b) for a, b in zip(left, right, strict=True)]).sum(0)


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
    """The trace of the tangent kernel over equal outputs, (n, n)."""
    return looped_kernel(model, x).diagonal(dim1=2, dim2=3).sum(-1)


def infinite_cnn(
    x1: Array, x2: Array, depth: int, sigma_w: float, sigma_b: float, pooling: bool
) -> tuple[Array, Array]:
    """The pair (nngp, ntk) of `depth` 3 × 3 convolutions of one size, each with a ReLU, and a linear layer.

    It takes one pair of images after the other, with the covariances of all pairs of pixels.

    Args:
        x1: (n₁, C, H, W) images.
        x2: (n₂, C, H, W) images.
        depth: number of convolutions.
        sigma_w: σ_w of all layers.
        sigma_b: σ_b of all layers.
        pooling: average over all pixels before the linear layer; otherwise it sees them all.
    """
    nngp, ntk = np.empty((2, len(x1), len(x2)))
    variances = [[_variances(x, depth, sigma_w, sigma_b) for x in images] for images in (x1, x2)]
    for i, x in enumerate(x1):
        for j, y in enumerate(x2):
            pair = _pair(x, y, variances[0][i], variances[1][j], sigma_w, sigma_b, pooling)
            nngp[i, j], ntk[i, j] = pair
    return nngp, ntk


def _pair(
    x: Array, y: Array, left: list[Array], right: list[Array], sigma_w: float, sigma_b: float, pooling: bool
) -> tuple[float, float]:
    covariance = np.einsum("chw,cij->hwij", x, y) / len(x)
    tangent = np.zeros_like(covariance)
    for a, b in zip(left, right, strict=True):
        covariance = sigma_w**2 * _patches(covariance) + sigma_b**2
        tangent = sigma_w**2 * _patches(tangent) + covariance
        norms = np.sqrt(a[:, :, None, None] * b)
        cosine = np.clip(covariance / np.maximum(norms, 1e-300), -1, 1)
        angle = np.arccos(cosine)
        covariance = norms * (np.sqrt(1 - cosine**2) + (math.pi - angle) * cosine) / (2 * math.pi)
        tangent = tangent * (math.pi - angle) / (2 * math.pi)
    if not pooling:
        height, width = x.shape[1:]
        rows, columns = np.indices((height, width))
        covariance = covariance[rows, columns, rows, columns]
        tangent = tangent[rows, columns, rows, columns]
    value = sigma_w**2 * covariance.mean() + sigma_b**2
    return float(value), float(sigma_w**2 * tangent.mean() + value)


def _variances(x: Array, depth: int, sigma_w: float, sigma_b: float) -> list[Array]:
    """(H, W) variances behind each convolution; a ReLU halves them."""
    variances: list[Array] = []
    second: Array = (x**2).mean(axis=0)
    for _ in range(depth):
        padded = np.pad(second, 1)
        height, width = second.shape
        shifted = [padded[i : i + height, j : j + width] for i in range(3) for j in range(3)]
        variances.append(sigma_w**2 * np.mean(shifted, axis=0) + sigma_b**2)
        second = variances[-1] / 2
    return variances


def _patches(kernel: Array) -> Array:
    """The mean over the nine offsets of (H, W, H, W) at shifted pixels, with zeros around the images."""
    height, width = kernel.shape[:2]
    padded = np.pad(kernel, 1)
    total = np.zeros_like(kernel)
    for i in range(3):
        for j in range(3):
            rows, columns = slice(i, i + height), slice(j, j + width)
            total += padded[rows, columns, rows, columns]
    return total / 9


LOOPS = (looped_kernel, looped_trace)
INFINITE = (infinite_cnn, _pair, _variances, _patches)
