"""The claims about sums: their constants on the line and in the plane, Barron's average, least squares."""

import math
from collections.abc import Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, qmc

from nnlab.approximation.bins import build_bins
from nnlab.approximation.boxes import certify_boxes
from nnlab.approximation.certificate import certify
from nnlab.approximation.quadrature import measure, quadrature
from nnlab.approximation.superposition import (
    barron_sum,
    gaussian_constant,
    random_features,
    ridge_sum,
    train,
)
from nnlab.approximation.targets import Target, make_target
from nnlab.chapters.approximation.bins.claims import CERTIFY, constant_of_steps
from nnlab.chapters.approximation.bins.setup import Line
from nnlab.chapters.approximation.certified import certified_claim, rounding, step_constant
from nnlab.models.activations import ACTIVATIONS
from nnlab.theory import Claim, exact_claim, measured_claim, worst

Array = NDArray[np.float64]

FALLING = (32, 512)  # bins between which the error of sums built by formula falls
RIDGES = (8, 40)  # bins of each of two ridges, likewise
DRAWS = 1000  # sums that are drawn from Barron's representation
POINTS = 8  # log₂ of the points over which their mean square is taken
OMEGAS = 14  # log₂ of the frequencies over which its expectation is
ONE_TERM = ("2*sigmoid(8*x - 3) - 1", "3*sigmoid(6*x1 - 4*x2 - 1)")
STARTS = 3  # of the training towards each of them
FEW = 8  # random features whose output weights are found twice


def _shape(activation: str) -> str:
    step = ACTIVATIONS[activation].step
    return "monotone" if step is not None and step.logistic is not None else "not monotone"


# --- sums by formula --------------------------------------------------------------------------------------


def of_the_line(line: Line, activation: str, bend: float) -> Claim:
    """The certified error of sums built by formula falls like 1/N: Cybenko's units need not be monotone.

    Args:
        bend: M ≥ |f''|.
    """
    size, slope = line.length / FALLING[1], line.slope.upper
    networks = [build_bins(line.target, n, line.interval, activation=activation).network for n in FALLING]
    few, many = (certify(network, line.target, line.interval, relative=1e-4) for network in networks)
    unit = slope * size / 2
    predicted = constant_of_steps(line, activation)
    falls = FALLING[1] / FALLING[0]
    return certified_claim(
        f"sums_of_{activation}_come_nearer",
        sentence=f"The certified error of sums of N {activation}s, {_shape(activation)}, falls like 1/N.",
        formula="sup |Σ αᵢ σ(wᵢx + bᵢ) − f| · 2N/L(b − a) → max(κ, |f'(a)|/L, |f'(b)|/L), "
        "κ = max |2σ(z) − 1 − 2z/v|",
        hypotheses=[
            f"f = {line.target.text[:80]} on [{line.interval[0]:g}, {line.interval[1]:g}], L = {slope:.6g}",
            "σ → 0 at −∞, → 1 at ∞ up to a constant",
            f"N = {FALLING[1]}, error {many.upper:.3g}; N = {FALLING[0]}, error {few.upper:.3g}",
            f"up to 2M(b − a)/NL, |f''| ≤ M = {bend:.4g}",
        ],
        predicted=predicted,
        bounds=(many.lower / unit, many.upper / unit),
        room=2 * bend * size / slope + 1e-8 + rounding(line.target, line.interval, slope) / unit,
        rivals={
            f"1/√N from {FALLING[0]} on": predicted * math.sqrt(falls), "no approach": predicted * falls,
            "1/N²": predicted / falls, "half": predicted / 2, "twice": 2 * predicted,
        },
        predicted_by="nnlab.chapters.approximation.certified.step_constant",
        measured_by=CERTIFY,
    )  # fmt: skip


def of_the_plane(activation: str) -> Claim:
    """sin πx₁ sin πx₂ = ½cos π(x₁ − x₂) − ½cos π(x₁ + x₂): functions of one variable along directions."""
    hill, ridges = make_target("hill"), [make_target("0.5*cos(pi*x)"), make_target("-0.5*cos(pi*x)")]
    errors = []
    for bins in RIDGES:
        parts = [
            build_bins(ridge, bins, interval, activation=activation)
            for ridge, interval in zip(ridges, ((-1.0, 1.0), (0.0, 2.0)), strict=True)
        ]
        network = ridge_sum([((1.0, -1.0), parts[0]), ((1.0, 1.0), parts[1])])
        errors.append(certify_boxes(network, hill, np.zeros(2), np.ones(2), relative=0.05))
    few, many = errors
    unit, size = math.pi / RIDGES[1], 2 / RIDGES[1]
    predicted, falls = step_constant(activation), RIDGES[1] / RIDGES[0]
    return certified_claim(
        f"sums_of_{activation}_in_the_plane",
        sentence=f"In two variables too, sums of {activation} units, {_shape(activation)}, come near.",
        formula="sup over [0, 1]² of |Σ αᵢ σ(wᵢᵀx + bᵢ) − f| · N/π → κ = max |2σ(z) − 1 − 2z/v|",
        hypotheses=[
            "f = sin πx₁ sin πx₂ = ½cos π(x₁ − x₂) − ½cos π(x₁ + x₂), each with L = π/2, b − a = 2",
            f"N = {RIDGES[1]} bins along each, {2 * (RIDGES[1] - 1)} units: error {many.upper:.3g}; "
            f"N = {RIDGES[0]}: {few.upper:.3g}",
            "up to M(b − a)/NL = 2π/N",
        ],
        predicted=predicted,
        bounds=(many.lower / unit, many.upper / unit),
        room=math.pi * size,
        rivals={
            f"1/√N from {RIDGES[0]} on": predicted * math.sqrt(falls), "no approach": predicted * falls,
            "1/N²": predicted / falls, "one ridge alone": predicted / 2, "twice": 2 * predicted,
        },
        predicted_by="nnlab.chapters.approximation.certified.step_constant",
        measured_by="nnlab.approximation.superposition.ridge_sum, nnlab.approximation.boxes.certify_boxes",
    )  # fmt: skip


# --- Barron's average ---------------------------------------------------------------------------------------


def of_barron(width: float, dimension: int, constant: float, seed: int) -> list[Claim]:
    """Sums of N steps drawn as in the proof of Barron's theorem: their mean square error is known exactly.

    Args:
        width: s of the Gaussian on [0, 1]^d.
        constant: C of the theorem on it.
    """
    x = qmc.Sobol(dimension, scramble=False).random_base2(POINTS) + 0.5 ** (POINTS + 1)
    f = np.exp(-((x - 0.5) ** 2).sum(axis=1) / (2 * width**2))
    spread = _second_moment(x - 0.5, width) - float(((f - 1) ** 2).mean())
    terms = 2 ** math.ceil(math.log2(2 * spread / f.var()))
    errors, sizes = np.empty(DRAWS), np.empty(DRAWS)
    for draw in range(DRAWS):
        network = barron_sum(width, terms, dimension, np.random.default_rng([seed, dimension, draw]))
        errors[draw] = ((network.values(x) - f) ** 2).mean()
        sizes[draw] = (np.abs(network.weights()[0][0]).sum(axis=1) / 2).mean()
    setting = f"f = exp(−|x − c|²/2s²) on [0, 1]^{dimension}, s = {width:g}"
    name = f"in_{dimension}_dimension{'s' * (dimension > 1)}"
    return [
        measured_claim(
            f"barron_{name}",
            sentence="N steps drawn as in Barron's proof have the mean square error that its variance says.",
            formula="N E‖f − f_N‖² = E‖g‖² − ‖f − 1‖² ≤ (2C)², g = −2V sign(sin t) 1{ω·(x − c) > t}",
            hypotheses=[
                setting, f"N = {terms}, where it is half that of the best constant",
                f"mean over {2**POINTS} points; {DRAWS} sums", f"(2C)² = {4 * constant**2:.4g}",
            ],
            predicted=spread,
            values=terms * errors,
            rivals={
                "E‖g‖²": spread + float(((f - 1) ** 2).mean()), "(2C)²": 4 * constant**2,
                "1/√N": spread * math.sqrt(terms), "1/N²": spread / terms,
                "the best constant": terms * float(f.var()), "half": spread / 2,
            },
            predicted_by="scipy.stats.qmc.Sobol",
            measured_by="nnlab.approximation.superposition.barron_sum",
        ),
        measured_claim(
            f"barron_constant_{name}",
            sentence="Barron's constant is the mean of |ω|_B over the frequencies of the function.",
            formula="C = E sup over B of |ω·(x − c)| = ½ E Σ|ωᵢ| = √(2/π) d/2s",
            hypotheses=[setting, f"{DRAWS * terms:,} frequencies, ω ~ N(0, I/s²)"],
            predicted=gaussian_constant(width, 0.0, 1.0, dimension),
            values=sizes,
            rivals={
                "2C": 2 * constant, "C/2": constant / 2, "without √(2/π)": constant * math.sqrt(math.pi / 2),
            },
            predicted_by="nnlab.approximation.superposition.gaussian_constant",
            measured_by="nnlab.approximation.superposition.barron_sum",
        ),
    ]  # fmt: skip


def _second_moment(u: Array, width: float) -> float:
    """E‖g‖² = mean over u of 2 E[V S(|ω·u|)], S(z) = ∫₀^z |sin t| dt, V = S(½Σ|ωᵢ|), (K, d) u."""
    unit = qmc.Sobol(u.shape[1], scramble=False).random_base2(OMEGAS) + 0.5 ** (OMEGAS + 1)
    omega = norm.ppf(unit) / width
    swept = _waves(np.abs(omega).sum(axis=1) / 2)
    return float(np.mean([2 * (swept * _waves(np.abs(omega @ at))).mean() for at in u]))


def _waves(z: Array) -> Array:
    """∫₀^z |sin t| dt: 2 for each whole half wave, and what is left."""
    rest = np.mod(z, math.pi)
    return np.asarray(2 * np.round((z - rest) / math.pi) + 1 - np.cos(rest))


# --- least squares ----------------------------------------------------------------------------------------


def of_least_squares(targets: Sequence[tuple[Target, float, float]], activation: str, seed: int) -> Claim:
    """Random features with output weights by the product's solver and by NumPy's: the same residual.

    Args:
        targets: f with the ends of its cube.
    """
    ratios, before = [], []
    far = (make_target("exp(x1)*cos(3*x2)"), -1.0, 1.5)  # a box whose corner is not 0
    for target, low, high in (*targets, far):
        d = target.dimension
        network = random_features(
            target, FEW, np.random.default_rng([seed, 7, d]), lo=low, hi=high, activation=activation
        )
        rule = quadrature(np.full(d, low), np.full(d, high), coarse=True)
        root, y = np.sqrt(rule.weights), target.values(rule.points)
        share = np.sqrt(rule.weights / rule.weights.sum())  # of a mean, whatever the weights add up to
        hidden = network.weights()[0]
        columns = [_unit(hidden, i, activation, rule.points) for i in range(FEW)]
        design = share[:, None] * np.column_stack([*columns, np.ones(len(y))])
        best = np.linalg.norm(design @ np.linalg.lstsq(design, share * y, rcond=1e-12)[0] - share * y)
        ratios.append(np.linalg.norm(root * (network.values(rule.points) - y)) / best)
        before.append(np.linalg.norm(root * (y - rule.mean(y))) / best)
    ratio = np.array(ratios)
    return exact_claim(
        "output_weights_are_least_squares",
        sentence="The output weights of random features have the least L₂ error that any have.",
        formula="‖Σ αᵢ σ(wᵢᵀx + bᵢ) − f‖ / min over α, by NumPy's singular values; the ratio farthest from 1",
        hypotheses=[f"N = {FEW} units, d = " + ", ".join(str(t.dimension) for t, _, _ in targets)],
        predicted=1.0,
        measured=ratio[np.abs(ratio - 1).argmax()],
        tolerance=1e-6,
        rivals={"the best constant": float(min(before))},
        predicted_by="numpy.linalg.lstsq",
        measured_by="nnlab.approximation.superposition.random_features",
    )


def of_training(seed: int) -> Claim:
    """One unit is trained towards functions that are one unit, from random weights: the error goes to 0."""
    after, before = [], []
    for number, (text, activation) in enumerate(product(ONE_TERM, ("sigmoid", "tanh"))):
        target = make_target(text)
        draws = [np.random.default_rng([seed, 11, number, start]) for start in range(STARTS)]
        starts = [random_features(target, 1, draw, activation=activation) for draw in draws]
        drawn, trained = (
            [float(measure(each, target, certify=False).l2) for each in networks]
            for networks in (starts, train(starts, target))
        )
        before += drawn
        after.append(np.min(trained))
    return exact_claim(
        "training_finds_the_term",
        sentence="Training finds the weights of a single unit, w and b as well as α.",
        formula="L₂ error of α₀ + α σ(wᵀx + b) after training towards one such function",
        hypotheses=[
            "f = " + ", ".join(ONE_TERM),
            f"a sigmoid and a tanh; the best of {STARTS} random starts, since one may end in a local minimum",
        ],
        predicted=0.0,
        measured=worst(after),
        tolerance=1e-8,
        rivals={"w and b as they were drawn, the best α": min(before)},
        seeds=STARTS,
        predicted_by="closed form: 0, as f is such a sum",
        measured_by="nnlab.approximation.superposition.train, nnlab.approximation.quadrature.measure",
    )


def _unit(hidden: tuple[Array, Array], i: int, activation: str, x: Array) -> Array:
    """Values of one hidden unit at x (K, d), in NumPy."""
    z = x @ hidden[0][i] + hidden[1][i]
    sigmoid = 1 / (1 + np.exp(-z))
    by_name = {"sigmoid": sigmoid, "tanh": np.tanh(z), "ripple": sigmoid + z * np.exp(-(z**2))}
    return np.asarray(by_name[activation])
