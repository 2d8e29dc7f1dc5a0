"""Cybenko's sums, f(x) ≈ α₀ + Σᵢ αᵢ φ(wᵢᵀx + bᵢ): by least squares on random features, and trained.

Cybenko 1989 ("Approximation by superpositions of a sigmoidal function", Math. Control Signals Systems 2): for
every continuous sigmoidal φ they are dense in C([0,1]^d). How near N terms come is measured here.

Random features: wᵢ ~ N(0, β²/side²) in every coordinate and bᵢ = −wᵢᵀpᵢ with pᵢ uniform over the box: each
unit's step passes through the box, and is about 1/(β√d) of it wide. The αᵢ are then a linear problem, solved
in float64 in the norm of L2 over the box.

Trained: all parameters by Adam on the full batch, then by L-BFGS, the αᵢ being solved for anew in between.
Without that networks of 32 terms end a thousand times further from a smooth function of one variable than
random features of the same number: gradients hardly see the directions in which sigmoids nearly cancel.

Coordinates are scaled to the unit cube, and f to a root mean square of 1, while training.

Barron 1993 ("Universal approximation bounds for superpositions of a sigmoidal function", IEEE Trans. Inform.
Theory 39, theorem 1). Let B be a bounded set around a point c, f(x) = ∫ e^{iω·(x − c)} F(dω) on B with a
complex measure F, and C = ∫ |ω|_B |F|(dω), |ω|_B = sup_{x ∈ B} |ω·(x − c)|. Then for every bounded measurable
sigmoidal φ, every probability measure μ on B and every N there is a sum of N terms αᵢ φ(wᵢᵀx + bᵢ) and a
constant with

    ∫ (f − f_N)² dμ ≤ (2C)²/N.

On a ball of radius r, |ω|_B = r|ω|: the (2 r C_f)²/N of the paper, with C_f = ∫ |ω| |F|(dω). On a box of
half sides aᵢ around its centre, |ω|_B = Σᵢ aᵢ|ωᵢ| ≤ |a||ω|: never more than on the ball around the box, so
that is what is used here. Moving c turns F by a phase and leaves C as it is.

The bound is one on the best network; what training finds is held against it from one side only.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import lstsq
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits
from torch import Tensor

from nnlab.approximation.bins import Histogram
from nnlab.approximation.network import ScalarNetwork
from nnlab.approximation.quadrature import Errors, box_of, measure, quadrature
from nnlab.approximation.targets import Target
from nnlab.errors import InputError, suggest
from nnlab.models.activations import STEP_ACTIVATIONS, Activation, get_activation
from nnlab.theory.exponents import ExponentFit, fit_exponent

Array = NDArray[np.float64]

BANDWIDTH = 10.0  # β√d: how many times steeper than the box is wide a unit is
CONDITION = 1e-10  # singular values below this part of the largest count as zero
START_CONDITION = 1e-3  # the same before training: large weights that cancel would not survive the first step
LEARNING_RATE = 0.02  # Adam's, falling to 0 like a cosine
BATCH_NUMBERS = 2**21  # hidden values of all networks that are trained together


# --- random features -----------------------------------------------------------------------------------


def random_features(
    target: Target,
    terms: int,
    generator: np.random.Generator,
    *,
    lo: ArrayLike = 0.0,
    hi: ArrayLike = 1.0,
    activation: str = "sigmoid",
) -> ScalarNetwork:
    """N random sigmoidal units, their output weights by least squares.

    Args:
        target: f of d ≤ 4 variables.
        terms: N.
        generator: draws w, then p.
        lo, hi: corners of the box (d,), or numbers.
        activation: one of STEP_ACTIVATIONS.

    Raises:
        InputError: N < 1, an activation that is not sigmoidal, a box that is empty, f not finite in it.
    """
    low, high = box_of(target.dimension, lo, hi)
    if terms < 1:
        raise InputError(f"terms: {terms} is not allowed: must be at least 1")
    if activation not in STEP_ACTIVATIONS:
        raise InputError(
            f"activation: {activation} is not sigmoidal; {suggest(activation, STEP_ACTIVATIONS)}"
        )
    d = len(low)
    w = BANDWIDTH / math.sqrt(d) * generator.standard_normal((terms, d)) / (high - low)
    b = -(w * (low + (high - low) * generator.random((terms, d)))).sum(axis=1)
    problem = _Problem(target, low, high, activation)
    return problem.network(problem.solved(problem.units([(w, b)]), CONDITION), 0)


# --- training ------------------------------------------------------------------------------------------


def train(
    starts: Sequence[ScalarNetwork],
    target: Target,
    *,
    lo: ArrayLike = 0.0,
    hi: ArrayLike = 1.0,
    adam_steps: int = 300,
    lbfgs_steps: int = 300,
) -> list[ScalarNetwork]:
    """Networks with one hidden layer, trained in all parameters towards f in L2 over a box.

    Adam goes through all of them as one batch; L-BFGS has a line search for each. Where random features with
    outer weights by least squares beat what two thirds of the steps of L-BFGS made of them, the last third
    starts from those: no network is worse than its start.

    Args:
        starts: networks of the same width and activation; of their weights the hidden ones count.
        target: f.
        lo, hi: corners of the box (d,), or numbers.
        adam_steps: of Adam with 0.02 · (1 + cos πt/T)/2 on the full batch.
        lbfgs_steps: of L-BFGS, at most.

    Raises:
        InputError: networks of different shapes, more than one hidden layer, an activation without slopes.
    """
    low, high = box_of(target.dimension, lo, hi)
    shapes = {
        (n.activation, *(layer.out_features for layer in n.layers), n.output_activation) for n in starts
    }
    if len(shapes) != 1 or len(starts[0].layers) != 2 or starts[0].output_activation != "identity":
        raise InputError(
            "training is for networks of one shape, with one hidden layer and no output function"
        )
    problem = _Problem(target, low, high, starts[0].activation)
    size = max(1, BATCH_NUMBERS // (len(problem.points) * starts[0].hidden_units))
    trained: list[ScalarNetwork] = []
    # thousands of operations of under a millisecond: threads would wait for each other far longer than work
    with threadpool_limits(1):
        for first in range(0, len(starts), size):
            trained += problem.trained(starts[first : first + size], adam_steps, lbfgs_steps)
    return trained


class _Sums(NamedTuple):
    """S sums of N terms, in the coordinates of the unit cube.

    Attributes:
        w: (S, N, d).
        b, alpha: (S, N).
        alpha0: (S,).
    """

    w: Tensor
    b: Tensor
    alpha: Tensor
    alpha0: Tensor

    def flat(self, member: int) -> Array:
        """The parameters of one of them as a vector."""
        vector: Array = torch.cat([tensor[member].flatten() for tensor in self]).numpy()
        return vector

    def like(self, vector: Array) -> "_Sums":
        """One sum with the parameters of a vector."""
        _, n, d = self.w.shape
        whole = torch.from_numpy(vector)
        w, b, alpha = whole[: n * d], whole[n * d : n * d + n], whole[n * d + n : -1]
        return _Sums(w.view(1, n, d), b[None], alpha[None], whole[-1:])


class _Problem:
    """Least squares over a box: the mean of (Σ − f)², f scaled to a root mean square of 1."""

    def __init__(self, target: Target, low: Array, high: Array, activation: str) -> None:
        rule = quadrature(low, high, coarse=True)
        y = target.values(rule.points)
        if not np.isfinite(y).all():
            at = rule.points[~np.isfinite(y)][0].tolist()
            raise InputError(f"target: {target.text}: is not finite at {at}, inside the box")
        self.low, self.side, self.name = low, high - low, activation
        self.phi: Activation = get_activation(activation)
        self.scale = math.sqrt(rule.mean(y**2)) or 1.0
        self.points = torch.from_numpy((rule.points - low) / self.side)  # (M, d)
        self.y, self.weights = torch.from_numpy(y / self.scale), torch.from_numpy(rule.weights)  # (M,)

    def units(self, hidden: Sequence[tuple[Array, Array]]) -> _Sums:
        """Sums with the hidden weights of each network, and no output yet."""
        w = torch.from_numpy(np.stack([w * self.side for w, _ in hidden]))
        b = torch.from_numpy(np.stack([b + w @ self.low for w, b in hidden]))
        return _Sums(w, b, torch.zeros_like(b), torch.zeros(len(b), dtype=torch.float64))

    def network(self, sums: _Sums, member: int) -> ScalarNetwork:
        w, b, alpha, alpha0 = (tensor[member].numpy() for tensor in sums)
        w = w / self.side
        return ScalarNetwork(
            [(w, b - w @ self.low), (self.scale * alpha[None], self.scale * alpha0[None])], self.name
        )

    def trained(
        self, starts: Sequence[ScalarNetwork], adam_steps: int, lbfgs_steps: int
    ) -> list[ScalarNetwork]:
        """Networks trained as `train` describes it."""
        units = self.units([network.weights()[0] for network in starts])
        best = self.adam(self.solved(units, START_CONDITION), adam_steps)
        best = self.polish(best, 2 * lbfgs_steps // 3)
        for other in (self.solved(best, CONDITION), self.solved(units, CONDITION)):
            best = self.better(best, other)
        best = self.polish(best, lbfgs_steps - 2 * lbfgs_steps // 3)
        return [self.network(best, member) for member in range(len(starts))]

    def hidden(self, sums: _Sums) -> tuple[Tensor, Tensor]:
        """Scores and values of the hidden units, (S, M, N)."""
        points = self.points.expand(len(sums.w), -1, -1)
        z = torch.baddbmm(sums.b[:, None], points, sums.w.transpose(1, 2))
        return z, self.phi.function(z)

    def slope(self, z: Tensor, h: Tensor) -> Tensor:
        """φ'(z) of hidden units with values h; from those, where that saves exponentials."""
        if self.name == "sigmoid":
            return h - h.square()
        return 1 - h.square() if self.name == "tanh" else self.phi.derivative(z)

    def loss(self, sums: _Sums) -> Tensor:
        """(S,) weighted means of the squared error."""
        _, h = self.hidden(sums)
        return self.residual(sums, h).square() @ self.weights

    def residual(self, sums: _Sums, h: Tensor) -> Tensor:
        """(S, M)."""
        return (h @ sums.alpha[:, :, None])[:, :, 0] + sums.alpha0[:, None] - self.y

    def gradient(self, sums: _Sums) -> tuple[Tensor, _Sums]:
        """(S,) losses, and their gradients in all parameters, by the chain rule."""
        z, h = self.hidden(sums)
        residual = self.residual(sums, h)
        u = 2 * self.weights * residual  # ∂loss/∂output
        slope = self.slope(z, h).mul_(u[:, :, None]).mul_(sums.alpha[:, None])  # ∂loss/∂z
        return residual.square() @ self.weights, _Sums(
            slope.transpose(1, 2) @ self.points, slope.sum(dim=1), (u[:, None] @ h)[:, 0], u.sum(dim=1)
        )

    def solved(self, sums: _Sums, condition: float) -> _Sums:
        """The sums with the outer weights of least loss: QR with column pivoting, small pivots cut off."""
        _, h = self.hidden(sums)
        root = self.weights.sqrt()
        columns = torch.cat([h, torch.ones_like(h[:, :, :1])], dim=2) * root[:, None]
        right = (self.y * root).numpy()
        outer = torch.stack([
            torch.from_numpy(lstsq(matrix.numpy(), right, cond=condition, lapack_driver="gelsy")[0])
            for matrix in columns
        ])  # fmt: skip
        return _Sums(sums.w, sums.b, outer[:, :-1].contiguous(), outer[:, -1].contiguous())

    def adam(self, sums: _Sums, steps: int) -> _Sums:
        """Adam (Kingma & Ba 2015, algorithm 1) on all sums at once: it works on each parameter by itself."""
        parameters = [tensor.clone() for tensor in sums]
        first, second = ([torch.zeros_like(p) for p in parameters] for _ in range(2))
        for t in range(1, steps + 1):
            _, gradient = self.gradient(_Sums(*parameters))
            rate = LEARNING_RATE * (1 + math.cos(math.pi * t / steps)) / 2
            for p, g, m, v in zip(parameters, gradient, first, second, strict=True):
                m.lerp_(g, 1 - 0.9)
                v.lerp_(g.square(), 1 - 0.999)
                p.sub_(rate / (1 - 0.9**t) * m / ((v / (1 - 0.999**t)).sqrt() + 1e-8))
        return _Sums(*parameters)

    def polish(self, sums: _Sums, steps: int) -> _Sums:
        """L-BFGS (Byrd, Lu, Nocedal & Zhu 1995) on each sum, until no step lowers its loss any more."""

        def loss_and_gradient(vector: Array) -> tuple[float, Array]:
            loss, gradient = self.gradient(sums.like(vector))
            return float(loss[0]), gradient.flat(0)

        if steps < 1:
            return sums
        options = {
            "maxiter": steps, "maxcor": 20, "maxls": 40, "maxfun": 10 * steps, "ftol": 0.0, "gtol": 0.0,
        }  # fmt: skip
        vectors = [
            minimize(loss_and_gradient, sums.flat(s), jac=True, method="L-BFGS-B", options=options).x
            for s in range(len(sums.w))
        ]
        return _Sums(*map(torch.cat, zip(*map(sums.like, vectors), strict=True)))

    def better(self, first: _Sums, second: _Sums) -> _Sums:
        """The one with the smaller loss of each pair."""
        use = self.loss(second) < self.loss(first)
        pairs = zip(first, second, strict=True)
        return _Sums(*(torch.where(use.view(-1, *[1] * (a.dim() - 1)), b, a) for a, b in pairs))


# --- errors over the number of terms -------------------------------------------------------------------


@dataclass(frozen=True)
class Sweep:
    """Errors over the number of terms.

    Attributes:
        terms: (K,) N.
        errors: (K, S) of each kind, one per seed.
        fits: the exponents over N of the errors `l2` and `sup_sampled`, under l2 and sup; none for a single
            number of terms, or where an error is 0 and there is no power law.
    """

    terms: tuple[int, ...]
    errors: Errors
    fits: dict[str, ExponentFit]


def sweep(
    target: Target,
    terms: Sequence[int],
    seeds: int,
    *,
    seed: int = 0,
    lo: ArrayLike = 0.0,
    hi: ArrayLike = 1.0,
    activation: str = "sigmoid",
    adam_steps: int = 300,
    lbfgs_steps: int = 300,
    certify: bool = True,
    progress: Callable[[int], None] | None = None,
) -> dict[str, Sweep]:
    """Random features and, from their hidden weights, trained networks, over the number of terms and seeds.

    Args:
        target: f.
        terms: numbers of terms.
        seeds: S independent networks of each number.
        seed: what they are drawn from.
        lo, hi: corners of the box (d,), or numbers.
        activation: one of STEP_ACTIVATIONS.
        adam_steps, lbfgs_steps: see `train`.
        certify: True to bound the largest errors.
        progress: called with how many numbers of terms are done.

    Returns:
        "random features" and "trained".

    Raises:
        InputError: what `random_features` and `train` refuse.
    """
    counts = tuple(sorted(set(terms)))
    networks: dict[str, list[list[ScalarNetwork]]] = {"random features": [], "trained": []}
    with threadpool_limits(1):  # see `train`
        for done, n in enumerate(counts):
            draws = [np.random.default_rng([seed, target.dimension, n, s]) for s in range(seeds)]
            row = [random_features(target, n, draw, lo=lo, hi=hi, activation=activation) for draw in draws]
            networks["random features"].append(row)
            trained = train(row, target, lo=lo, hi=hi, adam_steps=adam_steps, lbfgs_steps=lbfgs_steps)
            networks["trained"].append(trained)
            if progress is not None:
                progress(done + 1)
        measured = {
            kind: np.array([[measure(n, target, lo, hi, certify=certify) for n in row] for row in rows])
            for kind, rows in networks.items()
        }
    sweeps = {}
    for kind, table in measured.items():
        errors = Errors(*np.moveaxis(table, -1, 0))
        fits = {
            name: fit_exponent(counts, values)
            for name, values in (("l2", errors.l2), ("sup", errors.sup_sampled))
            if len(counts) > 1 and (values > 0).all()
        }
        sweeps[kind] = Sweep(counts, errors, fits)
    return sweeps


# --- sums by formula --------------------------------------------------------------------------------------


def ridge_sum(parts: Sequence[tuple[ArrayLike, Histogram]]) -> ScalarNetwork:
    """Σₖ yₖ(aₖᵀx) as one network: histograms of functions of one variable, along directions of R^d.

    So f = Σₖ gₖ(aₖᵀx), such as a trigonometric polynomial, is met to Σₖ sup |yₖ − gₖ|, and sums of steps are
    dense in C([0, 1]^d), as those polynomials are.

    Args:
        parts: (aₖ (d,), yₖ), all with one activation and no output function.

    Raises:
        InputError: activations or directions that do not fit each other.
    """
    networks = [histogram.network for _, histogram in parts]
    directions = [np.asarray(a, np.float64) for a, _ in parts]
    if (
        len({(n.activation, n.output_activation) for n in networks}) != 1
        or len({a.shape for a in directions}) != 1
    ):
        raise InputError(
            "ridges: must have one activation, one output function, and directions of one length"
        )
    (hidden, outer) = zip(*(network.weights() for network in networks), strict=True)
    weight = np.concatenate([w * a for (w, _), a in zip(hidden, directions, strict=True)])
    bias = np.concatenate([b for _, b in hidden])
    output = np.concatenate([c for c, _ in outer], axis=1), np.sum([c0 for _, c0 in outer], axis=0)
    return ScalarNetwork([(weight, bias), output], networks[0].activation)


def barron_sum(
    width: float,
    terms: int,
    dimension: int,
    generator: np.random.Generator,
    *,
    lo: ArrayLike = 0.0,
    hi: ArrayLike = 1.0,
) -> ScalarNetwork:
    """N hard steps drawn from Barron's representation of exp(−|x − c|²/2s²), c the centre of the box.

    The proof of Barron's theorem (1993, section VI): with ω ~ N(0, I/s²) and u = x − c,

        f(x) = E cos(ω·u) = 1 − 2 E ∫₀^{|ω|_B} sin t · 1{ω·u > t} dt,

    an average of steps. Each term draws ω, then t with the density |sin t|/V, V = ∫₀^{|ω|_B} |sin t| dt, for
    g = −2V sign(sin t) · 1{ω·u > t}. Their mean, plus 1, has the expectation f at every x, and

        E‖f − f_N‖² = (E‖g‖² − ‖f − 1‖²)/N ≤ (2C)²/N.

    Args:
        width: s.
        terms: N.
        dimension: d.
        generator: draws ω, then t.
        lo, hi: corners of the box (d,), or numbers.
    """
    low, high = box_of(dimension, lo, hi)
    omega = generator.standard_normal((terms, dimension)) / width
    total = _swept(np.abs(omega) @ (high - low) / 2)
    at = generator.random(terms) * total
    halves = np.floor(at / 2)  # whole half waves before t
    t = halves * math.pi + np.arccos(1 - (at - 2 * halves))
    alpha = -2 * total * np.where(halves % 2 == 0, 1.0, -1.0) / terms
    return ScalarNetwork([(omega, -t - omega @ (low + high) / 2), (alpha[None], [1.0])], "step")


def _swept(z: Array) -> Array:
    """∫₀^z |sin t| dt."""
    halves = np.floor(z / math.pi)
    return np.asarray(2 * halves + 1 - np.cos(z - halves * math.pi))


# --- Barron's bound -----------------------------------------------------------------------------------


def gaussian_constant(width: float, lo: ArrayLike, hi: ArrayLike, dimension: int) -> float:
    """C on a box of exp(−|x − x₀|²/2s²): √(2/π)/s · Σᵢ aᵢ.

    F is the normal distribution of covariance I/s² (times a phase), and E|ωᵢ| = √(2/π)/s.

    Args:
        width: s.
        lo, hi: corners of the box (d,), or numbers.
        dimension: d.
    """
    low, high = box_of(dimension, lo, hi)
    return math.sqrt(2 / math.pi) / width * float((high - low).sum()) / 2


def barron_bound(constant: float, terms: int) -> float:
    """2C/√N: N terms and a constant reach an L2 error (root of the mean square) of at most this."""
    return 2 * constant / math.sqrt(terms)
