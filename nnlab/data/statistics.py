"""Mean and standard deviation of raw inputs, exact to the last float64 rounding.

The standard deviation is that of the population, √(1/N Σ(x − mean)²), as numpy's default is. Where all
values are equal it is given as 1, so that dividing by it changes nothing.
"""

import math

import torch
from torch import Tensor

CHUNK = 2**20
"""Pixels counted at a time."""


def pixels(images: Tensor, indices: Tensor) -> tuple[Tensor, Tensor]:
    """Per channel, over all pixels of the chosen images.

    Args:
        images: (N, C, H, W) uint8.
        indices: (n,) which images count.

    Returns:
        Mean and standard deviation in raw units, each (C, 1, 1) float64.
    """
    histogram = torch.zeros(images.shape[1], 256, dtype=torch.int64)
    for chunk in torch.split(indices, max(1, CHUNK // images[0].numel())):
        chosen = images[chunk]
        for channel, counts in enumerate(histogram):
            counts += torch.bincount(chosen[:, channel].flatten(), minlength=256)
    moments = [_moments(counts) for counts in histogram.tolist()]
    mean, std = torch.tensor(moments, dtype=torch.float64).T
    return mean.reshape(-1, 1, 1), std.reshape(-1, 1, 1)


def _moments(histogram: list[int]) -> tuple[float, float]:
    # With Python's whole numbers nothing is rounded before the last division:
    # N² times the variance is N Σx² − (Σx)².
    count = sum(histogram)
    total = sum(value * times for value, times in enumerate(histogram))
    squares = sum(value * value * times for value, times in enumerate(histogram))
    std = math.sqrt(count * squares - total * total) / count
    return total / count, std or 1.0


def features(inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Per column of (N, features): mean and standard deviation, each (features,) float64."""
    values = inputs.double()
    mean = values.mean(0)
    std = (values - mean).square().mean(0).sqrt()
    # The mean of equal values may be rounded, and then their computed deviation is not 0.
    constant = (values == values[0]).all(0)
    return torch.where(constant, values[0], mean), torch.where(constant, 1.0, std)
