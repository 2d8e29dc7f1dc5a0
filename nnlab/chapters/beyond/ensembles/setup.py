"""The points, the kernels of infinite width, and the three distributions that they predict."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nnlab.chapters.beyond.ensembles import schema
from nnlab.lab.session import generator
from nnlab.ntk import infinite_ntk, posterior

Array = NDArray[np.float64]

SIGMA_B = 0.5
ANGLES = 48  # new points
SPAN = 3.0  # the angles of the training points reach from 0 to it; beyond them there is much left to vary
CONVERGED = 10.0  # steps in units of λmax/λmin: the slowest mode is left with e⁻¹⁰


@dataclass(frozen=True)
class Forecast:
    """A Gaussian process at the new points: mean (g, C), and covariance (g, g) of each output."""

    mean: Array
    covariance: Array

    @property
    def variance(self) -> float:
        """The variance, averaged over the new points."""
        return float(self.covariance.diagonal().mean())


@dataclass(frozen=True)
class Task:
    """The points, and the kernels of infinite width.

    Attributes:
        angles: (n,) and (g,) of training points and new points.
        x: (n, 2) on the circle of radius √2.
        new: (g, 2).
        y: (n, C).
        nngp, ntk: K and Θ over training and new points, (n + g, n + g).
    """

    angles: tuple[Tensor, Tensor]
    x: Tensor
    new: Tensor
    y: Tensor
    nngp: Tensor
    ntk: Tensor

    @classmethod
    def of(cls, points: int, outputs: int, seed: int) -> "Task":
        """Draws the targets; the points are equally spaced."""
        known = torch.linspace(0, SPAN, points, dtype=torch.float64)
        new = 2 * math.pi * torch.arange(ANGLES, dtype=torch.float64) / ANGLES
        x, grid = (math.sqrt(2) * torch.stack([t.cos(), t.sin()], 1) for t in (known, new))
        random = generator(seed, "targets")
        y = torch.randn(points, outputs, generator=random, dtype=torch.float64)
        nngp, ntk = infinite_ntk(torch.cat([x, grid]), depth=1, activation="erf", sigma_b=SIGMA_B)
        return cls((known, new), x, grid, y, nngp, ntk)

    def predictions(self) -> dict[str, Forecast]:
        """Computes the distributions at the start, after training all layers, and the last one."""
        n = len(self.x)
        laws = posterior((self.nngp, self.ntk), self.y)
        start = Forecast(np.zeros((len(self.new), self.y.shape[1])), self.nngp[n:, n:].numpy())
        trained, last = (
            Forecast(law.mean.numpy(), law.covariance.numpy()) for law in (laws.ensemble, laws.nngp)
        )
        return {schema.STARTED: start, schema.TRAINED: trained, schema.LAST: last}

    def schedule(self, kernel: Tensor) -> tuple[float, int]:
        """Returns η = 1/λmax, and the steps in which the slowest mode decays by e⁻¹⁰."""
        n = len(self.x)
        eigenvalues = torch.linalg.eigvalsh(kernel[:n, :n])
        return 1 / float(eigenvalues[-1]), math.ceil(CONVERGED * float(eigenvalues[-1] / eigenvalues[0]))
