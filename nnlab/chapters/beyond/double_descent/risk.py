"""The risk of minimum-norm regression on Gaussian features, exact at every number of examples and features.

All p features are seen: y = xᵀβ + ε with x ~ N(0, I_p) and ε ~ N(0, σ²), n examples, and β̂ the shortest of
the weights that fit best. The risk is that of a new x, without noise: E(xᵀβ̂ − xᵀβ)² = E‖β̂ − β‖². The matrix
XᵀX, or XXᵀ, is Wishart, and the mean trace of its inverse is p/(n − p − 1), or n/(p − n − 1); for p > n the
rows of X span a uniformly random subspace, which misses the part 1 − n/p of ‖β‖². Both means are infinite for
p from n − 1 to n + 1. (Belkin, Hsu and Xu, "Two models of double descent for weak features", 2020; Hastie,
Montanari, Rosset and Tibshirani, "Surprises in high-dimensional ridgeless least squares interpolation", 2022,
for the limit of p/n.)
"""

import math


def variance(n: int, p: int, sigma: float) -> float:
    """Returns the part of the risk that the noise brings, σ²p/(n − p − 1) or σ²n/(p − n − 1)."""
    if abs(n - p) <= 1:
        return math.inf
    return sigma**2 * min(n, p) / (abs(n - p) - 1)


def bias(n: int, p: int, norm: float) -> float:
    """Returns the part of the risk that the examples do not determine, ‖β‖²(1 − n/p) for p > n, else 0."""
    return norm**2 * max(0.0, 1 - n / p)


def risk(n: int, p: int, *, sigma: float, norm: float) -> float:
    """Returns the risk of minimum-norm regression, infinite for p from n − 1 to n + 1."""
    return variance(n, p, sigma) + bias(n, p, norm)


def training_error(n: int, p: int, sigma: float) -> float:
    """Returns the mean squared residual on the examples, σ²(1 − p/n) for p < n, else 0."""
    return sigma**2 * max(0.0, 1 - p / n)
