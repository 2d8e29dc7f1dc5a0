"""The infinite-width kernels of a ReLU network of convolutions, as anyone would write them with NumPy.

One pair of images after the other, the covariances of all pairs of pixels as arrays (H, W, H, W).
"""

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def plain_infinite_cnn(
    x1: Array, x2: Array, depth: int, sigma_w: float, sigma_b: float, pooling: bool
) -> tuple[Array, Array]:
    """(nngp, ntk) of `depth` 3 × 3 convolutions that keep the size, each with a ReLU, and a linear layer.

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
    found: list[Array] = []
    second: Array = (x**2).mean(axis=0)
    for _ in range(depth):
        padded = np.pad(second, 1)
        height, width = second.shape
        shifted = [padded[i : i + height, j : j + width] for i in range(3) for j in range(3)]
        found.append(sigma_w**2 * np.mean(shifted, axis=0) + sigma_b**2)
        second = found[-1] / 2
    return found


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
