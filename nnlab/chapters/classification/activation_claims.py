"""Claims of activation functions: values and slopes, the sigmoid's quarter, what maxout approximates."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import erf, expit

from nnlab.models import ACTIVATION_NAMES, MLP, get_activation
from nnlab.theory import Claim, exact_claim, worst

Array = NDArray[np.float64]
Complex = NDArray[np.complexfloating[Any, Any]]

GRID = np.linspace(-6, 6, 1201)  # holds 0, the kink of those that have one
DEPTH = 3
PIECES = (1, 2, 4, 8, 16)


@dataclass(frozen=True)
class Formula:
    """A function on the slide, once more in NumPy.

    Attributes:
        value: φ(z), of complex z where it is smooth: Im φ(z + ih)/h is its slope, without cancellation.
        rivals: the slopes that mistakes would give, by the mistake.
        pieces: φ left and right of its kink at 0, and the slope that training uses there; None if smooth.
    """

    value: Callable[[Complex], Complex]
    rivals: Mapping[str, Callable[[Array], Array]]
    pieces: tuple[Callable[[Complex], Complex], Callable[[Complex], Complex], float] | None = None


def _sigmoid(z: Complex) -> Complex:
    return np.asarray(1 / (1 + np.exp(-z)))


def _density(z: Array) -> Array:
    return np.asarray(np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi))


def _zero(z: Complex) -> Complex:
    return 0 * z


def _same(z: Complex) -> Complex:
    return z


def _kinked(left: Callable[[Complex], Complex]) -> Callable[[Complex], Complex]:
    return lambda z: np.where(z.real > 0, z, left(z))


FORMULAS: Mapping[str, Formula] = {
    "sigmoid": Formula(_sigmoid, {"σ for σ(1 − σ)": expit}),
    "tanh": Formula(np.tanh, {"1 − tanh for 1 − tanh²": lambda z: 1 - np.tanh(z)}),
    "relu": Formula(_kinked(_zero), {"slope −1 on the left": np.sign}, (_zero, _same, 0.0)),
    "leaky_relu": Formula(
        _kinked(lambda z: 0.01 * z),
        {"0.1 for 0.01": lambda z: np.where(z > 0, 1.0, 0.1)},
        (lambda z: 0.01 * z, _same, 0.01),
    ),
    "elu": Formula(
        _kinked(lambda z: np.exp(z) - 1),
        {"e^z − 1 for its slope e^z": lambda z: np.where(z > 0, 1.0, np.expm1(z))},
        (lambda z: np.exp(z) - 1, _same, 1.0),
    ),
    "gelu": Formula(
        lambda z: z * (1 + erf(z / math.sqrt(2))) / 2,
        {"Φ(z) without z φ(z)": lambda z: (1 + erf(z / math.sqrt(2))) / 2},
    ),
    "erf": Formula(erf, {"without 2/√π": lambda z: np.exp(-(z**2)), "1/√π": _density}),
    "ripple": Formula(
        lambda z: _sigmoid(z) + z * np.exp(-(z**2)),
        {"(1 − z²) for (1 − 2z²)": lambda z: expit(z) * expit(-z) + (1 - z**2) * np.exp(-(z**2))},
    ),
}


def derivative_claims() -> list[Claim]:
    """Returns a claim for each activation function of one number, and that of maxout."""
    names = [name for name in ACTIVATION_NAMES if name != "maxout"]
    return [*(_derivative_claim(name, FORMULAS[name]) for name in names if name in FORMULAS), _maxout_claim()]


def _derivative_claim(name: str, formula: Formula) -> Claim:
    """Compares value, slope and autograd's slope with the formula and its complex steps."""
    activation, h = get_activation(name), 1e-20
    z = torch.tensor(GRID, requires_grad=True)
    value = activation.function(z)
    (slope,) = torch.autograd.grad(value.sum(), [z])
    step = GRID + 1j * h
    expected = formula.value(step).imag / h
    if formula.pieces is not None:
        left, right, at_kink = formula.pieces
        for side, part in ((GRID < 0, left), (GRID > 0, right)):
            expected[side] = part(step[side]).imag / h
        expected[GRID == 0] = at_kink
    differences = (
        value.detach().numpy() - formula.value(GRID.astype(complex)).real,
        slope.numpy() - expected,
        activation.derivative(z.detach()).numpy() - expected,
    )
    kink = " and the side that training takes at 0" if formula.pieces else ""
    return exact_claim(
        f"derivative_of_{name}",
        sentence=f"The slope of {name.replace('_', ' ')} is the derivative of its formula.",
        formula=f"φ(z) = {activation.formula};  φ'(z) = lim Im φ(z + ih)/h",
        hypotheses=[f"float64, 1,201 points of [−6, 6]{kink}", "value, slope, and autograd's slope"],
        predicted=0.0,
        measured=worst(*differences),
        tolerance=1e-14,
        rivals={label: worst(rival(GRID) - expected) for label, rival in formula.rivals.items()},
        predicted_by="nnlab.chapters.classification.activation_claims.Formula",
        measured_by="nnlab.models.get_activation, torch.autograd.grad",
    )


def _maxout_claim() -> Claim:
    """Compares maxout of three pieces with NumPy's maximum, and its slope with 1 at the largest score."""
    pieces, units = 3, 2
    draw = np.random.default_rng(0).standard_normal((100, units * pieces))
    activation, scores = get_activation("maxout", pieces), torch.tensor(draw, requires_grad=True)
    value = activation.function(scores)
    (slope,) = torch.autograd.grad(value.sum(), [scores])
    groups = draw.reshape(100, units, pieces)
    largest = (groups == groups.max(2, keepdims=True)).reshape(draw.shape).astype(float)
    return exact_claim(
        "derivative_of_maxout",
        sentence="A maxout unit is the largest of its scores, and passes its gradient on to that one alone.",
        formula="h = max(z₁, …, z_k),  ∂h/∂zⱼ = 1 where zⱼ is the largest, else 0",
        hypotheses=["two units of three pieces, 100 random scores, no two of them equal"],
        predicted=0.0,
        measured=worst(
            value.detach().numpy() - groups.max(2),
            slope.numpy() - largest,
            activation.derivative(scores.detach()).numpy() - largest,
        ),
        tolerance=0.0,
        rivals={"a gradient shared by all pieces": 1 - 1 / pieces},
        predicted_by="numpy.max",
        measured_by="nnlab.models.Maxout, torch.autograd.grad",
    )


def quarter_claims() -> list[Claim]:
    """Claims max σ' = 1/4, its place, and a chain of sigmoids that attains it."""
    derivative = get_activation("sigmoid").derivative

    def falling(z: float) -> float:
        return -float(derivative(torch.tensor(z, dtype=torch.float64)))

    steepest = minimize_scalar(falling, bounds=(-20, 15), method="bounded", options={"xatol": 1e-9})
    on_grid = float(derivative(torch.linspace(-20, 20, 400_001, dtype=torch.float64)).max())
    largest = exact_claim(
        "sigmoid_slope_is_at_most_a_quarter",
        sentence="A sigmoid passes on at most a quarter of the gradient that reaches it, and a quarter at 0.",
        formula="max σ'(z) = σ'(0) = 1/4, difference",
        hypotheses=["z on a grid over [−20, 20]; the place by a search over [−20, 15]"],
        predicted=0.0,
        measured=worst(on_grid - 0.25, -steepest.fun - 0.25),
        tolerance=1e-12,
        rivals={"1/2": 0.25, "1": 0.75},
        predicted_by="closed form: 1/4",
        measured_by="nnlab.models.get_activation, scipy.optimize.minimize_scalar",
    )
    place = exact_claim(
        "sigmoid_is_steepest_at_0",
        sentence="The slope of a sigmoid is largest at 0.",
        formula="argmax σ'(z) = 0",
        hypotheses=["a search over [−20, 15], which finds a flat maximum to the root of rounding"],
        predicted=0.0,
        measured=float(steepest.x),
        tolerance=1e-6,
        predicted_by="closed form: 0",
        measured_by="nnlab.models.get_activation, scipy.optimize.minimize_scalar",
    )
    network = MLP(1, [1] * DEPTH, 1, "sigmoid", generator=torch.Generator().manual_seed(0)).double()
    with torch.no_grad():
        for name, p in network.named_parameters():
            p.fill_(1.0 if p.ndim == 2 else 0.0 if name == "hidden.0.bias" else -0.5)
    x = torch.zeros(1, 1, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(network(x).sum(), [x])
    chain = exact_claim(
        "sigmoids_in_a_row_pass_a_quarter_each",
        sentence=f"{DEPTH} layers of sigmoids pass on at most 1/{4**DEPTH} of the gradient; this one does.",
        formula=f"∂f/∂x = Π wₗ σ'(zₗ) = 4^−{DEPTH} for wₗ = 1, zₗ = 0",
        hypotheses=["one unit a layer, weights 1, biases that make every zₗ 0"],
        predicted=4.0**-DEPTH,
        measured=float(gradient),
        tolerance=1e-15,
        rivals={"one layer more": 4.0 ** -(DEPTH + 1), "one less": 4.0 ** -(DEPTH - 1)},
        predicted_by="closed form: 4^−L",
        measured_by="nnlab.models.MLP, torch.autograd.grad",
    )
    return [largest, place, chain]


# --- maxout approximates convex functions -----------------------------------------------------------


def maxout_of_squares(pieces: int) -> MLP:
    """Returns one maxout unit of k pieces that is as near to x² on [0, 1] as k pieces allow, in float64.

    Its pieces are the tangents at aⱼ = (j − ½)/k, 2aⱼx − aⱼ², raised by 1/(8k²).
    """
    network = MLP(1, [1], 1, "maxout", pieces=pieces, generator=torch.Generator().manual_seed(0)).double()
    at = (torch.arange(pieces, dtype=torch.float64) + 0.5) / pieces
    values = (2 * at[:, None], 1 / (8 * pieces**2) - at.square(), torch.ones(1, 1), torch.zeros(1))
    with torch.no_grad():
        for p, value in zip(network.parameters(), values, strict=True):
            p.copy_(value)
    return network


def distance_from_squares(network: MLP) -> float:
    """Returns sup |x² − f(x)| over [0, 1] of a network with one maxout unit.

    On a piece z = mx + c the error is largest at an end or where 2x = m. The ends are 0, 1 and crossings of
    two pieces: f is evaluated at all of them, whether they are ends of it or not.
    """
    slopes, offsets, *_ = (p.detach().flatten().numpy() for p in network.parameters())
    i, j = np.triu_indices(len(slopes), 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        crossings = (offsets[j] - offsets[i]) / (slopes[i] - slopes[j])
    places = np.concatenate([[0.0, 1.0], slopes / 2, crossings])
    x = places[np.isfinite(places) & (places >= 0) & (places <= 1)]
    with torch.no_grad():
        values = network(torch.from_numpy(x)[:, None])[:, 0].numpy()
    return worst(x**2 - values)


def maxout_claim() -> Claim:
    """Claims the error of the best maxout unit for x², which falls to a quarter with twice the pieces."""
    ratios = [8 * k**2 * distance_from_squares(maxout_of_squares(k)) for k in PIECES]
    return exact_claim(
        "maxout_approximates_a_convex_function",
        sentence="A maxout unit of k pieces comes within 1/(8k²) of x² on [0, 1], and none comes nearer.",
        formula="sup |x² − maxⱼ(wⱼx + bⱼ)| = 1/(8k²);  8k² times the error, minus 1",
        hypotheses=[
            f"k = {', '.join(map(str, PIECES))}, the largest difference",
            "one of k pieces is on an interval of at least 1/k, where the best line errs by (1/k)²/8",
        ],
        predicted=0.0,
        measured=worst(np.array(ratios) - 1),
        tolerance=1e-12,
        rivals={
            "tangents that are not raised, or chords": 1.0,
            "one piece less": (PIECES[-1] / (PIECES[-1] - 1)) ** 2 - 1,
            "falling like 1/k": PIECES[-1] - 1.0,
        },
        predicted_by="closed form: 1/(8k²)",
        measured_by="nnlab.models.MLP, nnlab.models.Maxout",
    )
