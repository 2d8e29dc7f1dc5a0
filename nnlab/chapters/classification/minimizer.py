"""Softmax regression by NumPy and SciPy alone: its gradient, its steps and its minimizer, beside training."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

Array = NDArray[np.float64]

GRADIENT = 1e-9  # at which L-BFGS-B ends


@dataclass(frozen=True)
class Problem:
    """L(W, b) + quadratic · ΣW² + absolute · Σ|W| of softmax regression, L the mean cross-entropy.

    Attributes:
        x: (N, d) features, without the constant one of a bias.
        targets: (N, C) the targets as distributions.
        quadratic, absolute: the coefficients, λ included.
        bias: whether there are biases; they are never penalized.
    """

    x: Array
    targets: Array
    quadratic: float = 0.0
    absolute: float = 0.0
    bias: bool = True

    @property
    def shape(self) -> tuple[int, int]:
        """(C, d + 1), or (C, d) without biases: of [W | b]."""
        return self.targets.shape[1], self.x.shape[1] + self.bias

    def scores(self, weights: Array) -> Array:
        """Returns Wx + b, (N, C), for [W | b]."""
        d = self.x.shape[1]
        scores: Array = self.x @ weights[:, :d].T
        return scores + weights[:, d] if self.bias else scores

    def loss(self, weights: Array) -> float:
        """Returns L = −(1/N) Σ Σₖ tₖ log pₖ."""
        return float(-(self.targets * log_softmax(self.scores(weights), axis=1)).sum() / len(self.x))

    def penalty(self, weights: Array) -> float:
        """Returns quadratic · ΣW² + absolute · Σ|W|."""
        w = weights[:, : self.x.shape[1]]
        return float(self.quadratic * (w**2).sum() + self.absolute * np.abs(w).sum())

    def gradient(self, weights: Array) -> Array:
        """Returns that of L + quadratic · ΣW²: (1/N)(P − T)ᵀ[X | 1] + 2 quadratic [W | 0]."""
        d = self.x.shape[1]
        apart = (softmax(self.scores(weights), axis=1) - self.targets) / len(self.x)
        gradient = np.empty_like(weights)
        gradient[:, :d] = apart.T @ self.x + 2 * self.quadratic * weights[:, :d]
        if self.bias:
            gradient[:, d] = apart.sum(0)
        return gradient

    def descend(self, weights: Array, lr: float, steps: int) -> Array:
        """Returns the objective at steps 0 … `steps` of [W | b] ← [W | b] − η∇, (steps + 1,).

        The step of the kink follows as in training: W ← sign(W) max(|W| − η · absolute, 0).
        """
        d, objective = self.x.shape[1], []
        for step in range(steps + 1):
            objective.append(self.loss(weights) + self.penalty(weights))
            if step < steps:
                weights = weights - lr * self.gradient(weights)
                w = weights[:, :d]
                w[...] = np.sign(w) * np.maximum(np.abs(w) - lr * self.absolute, 0)
        return np.array(objective)


def coefficients(name: str, strength: float, beta: float) -> tuple[float, float]:
    """Returns the coefficients of ΣW² and of Σ|W| in λR(W), as the slide has them."""
    quadratic = {"l2": strength, "elastic_net": beta * strength}.get(name, 0.0)
    return quadratic, strength if name in ("l1", "elastic_net") else 0.0


def minimizer(problem: Problem) -> Array:
    """Returns [W | b] at the minimum, (C, d + 1) or (C, d).

    L-BFGS-B on W = P − M with P, M ≥ 0, where Σ|W| is the linear Σ(P + M).
    """
    (classes, columns), d = problem.shape, problem.x.shape[1]
    size = classes * d

    def objective(u: Array) -> tuple[float, Array]:
        plus, minus = u[:size].reshape(classes, d), u[size : 2 * size].reshape(classes, d)
        weights = np.concatenate([plus - minus, u[2 * size :].reshape(columns - d, classes).T], 1)
        slope = problem.gradient(weights)
        smooth = problem.quadratic * ((plus - minus) ** 2).sum()
        value = problem.loss(weights) + smooth + problem.absolute * (plus + minus).sum()
        kinked = (slope[:, :d] + problem.absolute, problem.absolute - slope[:, :d], slope[:, d:].T)
        return float(value), np.concatenate([part.ravel() for part in kinked])

    free = classes * (columns - d)
    solution = minimize(
        objective, np.zeros(2 * size + free), jac=True, method="L-BFGS-B",
        bounds=[(0, None)] * (2 * size) + [(None, None)] * free,
        options={"maxiter": 20_000, "maxfun": 40_000, "ftol": 1e-16, "gtol": GRADIENT, "maxcor": 30},
    )  # fmt: skip
    plus, minus, biases = np.split(solution.x, [size, 2 * size])
    return np.concatenate([(plus - minus).reshape(classes, d), biases.reshape(columns - d, classes).T], 1)
