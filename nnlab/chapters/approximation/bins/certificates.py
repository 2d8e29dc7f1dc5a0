"""Claims about certificates themselves: suprema, slopes and rounding errors that are known in closed form."""

import math
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf, expit

from nnlab.approximation.certificate import certify
from nnlab.approximation.network import ScalarNetwork
from nnlab.approximation.targets import make_target
from nnlab.expressions import Interval, lipschitz, parse, slopes
from nnlab.theory import Claim, exact_claim

Array = NDArray[np.float64]
Curve = Callable[[Array], Array]

LARGEST = (
    ("sin(3*x + 0.2)", (0.0, 1.0), 1.0),
    ("cos(5*x)", (0.1, 1.0), 1.0),
    ("x*exp(-3*x)", (0.0, 1.0), 1 / (3 * math.e)),
    ("x^3 - x", (0.0, 1.0), 2 / math.sqrt(27)),
    ("x^1.5 - x", (0.0, 1.0), 4 / 27),
    ("1/(1 + (3*x - 1)^2)", (0.0, 1.0), 1.0),
    ("3*log(1 + x) - 2*x", (0.0, 1.0), 3 * math.log(1.5) - 1),
    ("sqrt(x) - x", (0.0, 1.0), 0.25),
    ("tan(x) - 2*x", (0.0, 1.0), math.pi / 2 - 1),
    ("arctan(x) - x/2", (0.0, 2.0), math.pi / 4 - 0.5),
    ("sigmoid(x)*(1 - sigmoid(x))", (-1.0, 2.0), 0.25),
    ("tanh(2*x) - x", (0.0, 1.0), math.sqrt(0.5) - math.atanh(math.sqrt(0.5)) / 2),
    ("min(2*x, 1 - x)", (0.0, 1.0), 2 / 3),
    ("0.4 - abs(x - 0.3)", (0.0, 0.6), 0.4),
    ("where(x < 0.3, x, 0.1)", (0.0, 1.0), 0.3),
    ("x^9007199254740993", (-1.0, -0.5), 1.0),
    ("sin(x - 10^6)", (1e6, 1e6 + 2), 1.0),
)
"""f, an interval, and sup |f| there; most are reached inside."""
STEEPEST = (
    ("sin(3*x)", (-0.3, 1.0), 3.0),
    ("cos(5*x)", (0.1, 1.0), 5.0),
    ("x^3 - x", (0.0, 1.0), 2.0),
    ("1/(1 + (3*x - 1)^2)", (0.0, 1.0), 9 * math.sqrt(3) / 8),
    ("exp(2*x)", (0.0, 1.0), 2 * math.exp(2)),
    ("exp(-x^2)", (0.0, 2.0), math.sqrt(2 / math.e)),
    ("log(1 + x)", (0.0, 1.0), 1.0),
    ("sqrt(1 + x)", (0.0, 1.0), 0.5),
    ("sigmoid(4*x - 1)", (0.0, 1.0), 1.0),
    ("tanh(3*x - 1)", (0.0, 1.0), 3.0),
    ("arctan(4*x - 1)", (0.0, 1.0), 4.0),
    ("tan(x)", (-0.5, 1.0), 1 / math.cos(1) ** 2),
    ("x^2.5", (0.0, 1.0), 2.5),
    ("2^x", (0.0, 1.0), 2 * math.log(2)),
    ("max(x, 3*x - 1)", (0.0, 1.0), 3.0),
)
"""f, an interval, and sup |f'| there."""
STEEPEST_OF_PLANE = (
    ("exp(-x1^2 - 2*x2^2)", ((-0.3, 1.0), (-0.2, 1.0)), 2 / math.sqrt(math.e)),
    ("x1^2*x2 + x2", ((0.0, 1.0), (0.0, 1.0)), math.sqrt(8)),
)
"""f, a rectangle, and sup ‖∇f‖ there: inside, at (0, 1/2), and in a corner."""
CURVES: Mapping[str, tuple[Curve, Curve]] = {
    "sin(3*x)": (lambda x: np.sin(3 * x), lambda x: 3 * np.cos(3 * x)),
    "cos(3*x)": (lambda x: np.cos(3 * x), lambda x: -3 * np.sin(3 * x)),
    "tan(x)": (np.tan, lambda x: 1 / np.cos(x) ** 2),
    "exp(2*x)": (lambda x: np.exp(2 * x), lambda x: 2 * np.exp(2 * x)),
    "log(1 + x)": (np.log1p, lambda x: 1 / (1 + x)),
    "sqrt(1 + x)": (lambda x: np.sqrt(1 + x), lambda x: 0.5 / np.sqrt(1 + x)),
    "tanh(2*x)": (lambda x: np.tanh(2 * x), lambda x: 2 / np.cosh(2 * x) ** 2),
    "sigmoid(3*x - 1)": (lambda x: expit(3 * x - 1), lambda x: 3 * expit(3 * x - 1) * expit(1 - 3 * x)),
    "arctan(2*x)": (lambda x: np.arctan(2 * x), lambda x: 2 / (1 + 4 * x**2)),
    "erf(x)": (erf, lambda x: 2 / np.sqrt(np.pi) * np.exp(-(x**2))),
    "x^3": (lambda x: x * x * x, lambda x: 3 * x * x),
    "(x - 0.4)^2": (lambda x: (x - 0.4) * (x - 0.4), lambda x: 2 * x - 0.8),
    "(1 + x)^-2": (lambda x: 1 / (1 + x) / (1 + x), lambda x: -2 / (1 + x) / (1 + x) / (1 + x)),
    "(1 + x)^1.5": (lambda x: (1 + x) * np.sqrt(1 + x), lambda x: 1.5 * np.sqrt(1 + x)),
    "x/(2 + x)": (lambda x: 1 - 2 / (2 + x), lambda x: 2 / (2 + x) / (2 + x)),
    "(2 + x)^x": (
        lambda x: np.exp(x * np.log(2 + x)),
        lambda x: np.exp(x * np.log(2 + x)) * (np.log(2 + x) + x / (2 + x)),
    ),
    "sin(x)*exp(x)": (lambda x: np.sin(x) * np.exp(x), lambda x: (np.sin(x) + np.cos(x)) * np.exp(x)),
    "where(x < 0.3, x, 2*x)": (lambda x: np.where(x < 0.3, x, 2 * x), lambda x: np.where(x < 0.3, 1.0, 2.0)),
    "max(1 - x, x^2)": (
        lambda x: np.maximum(1 - x, x * x), lambda x: np.where(x * x + x < 1, -1.0, 2 * x)
    ),
}  # fmt: skip
"""f, and by numpy f and f'."""
CELLS = 64
MOST = 20_000  # boxes: none of these takes more than 1,000
PLACES = (0.3, 0.7, 1 / 3)
CERTIFY = "nnlab.approximation.certificate.certify"


def of_certificates() -> list[Claim]:
    """The claims, which hold whatever the config asks for."""
    return [
        _of_suprema(), _of_slopes(), _of_sides(), *_of_enclosures(), _of_units(), _of_layers(),
        _of_evaluation(),
    ]  # fmt: skip


def _farthest(bounds: Sequence[tuple[float, float]], exact: Sequence[float]) -> float:
    """The bound that is farthest from what is exact, as a part of it."""
    parts = (np.array(bounds) / np.array(exact)[:, None]).ravel()
    return float(parts[np.abs(parts - 1).argmax()])


def _of_suprema() -> Claim:
    zero = ScalarNetwork([([[0.0]], [0.0]), ([[0.0]], [0.0])], "relu")
    certificates = [
        certify(zero, make_target(text), interval, max_boxes=MOST) for text, interval, _ in LARGEST
    ]
    return exact_claim(
        "certificates_enclose_known_suprema",
        sentence="Both certified bounds are the supremum, where that is known in closed form.",
        formula="lower = upper = sup |f|; measured: the one farthest from it, as a part of it",
        hypotheses=["the network is 0", "f = " + ", ".join(text for text, _, _ in LARGEST)],
        predicted=1.0,
        measured=_farthest([(c.lower, c.upper) for c in certificates], [exact for *_, exact in LARGEST]),
        tolerance=1e-8,
        rivals={"half": 0.5, "twice": 2.0},
        predicted_by="closed form: sup |f|",
        measured_by=CERTIFY,
    )


def _of_slopes() -> Claim:
    bounds = [
        lipschitz(parse(text, ("x",)), {"x": interval}, max_boxes=MOST) for text, interval, _ in STEEPEST
    ]
    return exact_claim(
        "lipschitz_constants_of_known_slopes",
        sentence="Both bounds on a Lipschitz constant are the largest slope, where that is known.",
        formula="lower = upper = sup |f'|; measured: the one farthest from it, as a part of it",
        hypotheses=["f = " + ", ".join(text for text, _, _ in STEEPEST)],
        predicted=1.0,
        measured=_farthest(bounds, [exact for *_, exact in STEEPEST]),
        tolerance=1e-8,
        rivals={"half": 0.5, "twice": 2.0},
        predicted_by="closed form: sup |f'|",
        measured_by="nnlab.expressions.lipschitz",
    )


def _of_sides() -> Claim:
    """How far a lower bound lies above, or an upper bound below, what is known: no tolerance but rounding."""
    zero = ScalarNetwork([([[0.0]], [0.0]), ([[0.0]], [0.0])], "relu")
    bounds, known = list[tuple[float, float]](), list[float]()
    for text, interval, exact in LARGEST:
        certificate = certify(zero, make_target(text), interval, max_boxes=MOST)
        bounds.append((certificate.lower, certificate.upper))
        known.append(exact)
    for text, interval, exact in STEEPEST:
        bounds.append(lipschitz(parse(text, ("x",)), {"x": interval}, max_boxes=MOST))
        known.append(exact)
    for text, sides, exact in STEEPEST_OF_PLANE:
        names = ("x1", "x2")
        box = dict(zip(names, sides, strict=True))
        bounds.append(lipschitz(parse(text, names), box, tolerance=1e-5, max_boxes=MOST))
        known.append(exact)
    (lower, upper), exact_values = np.array(bounds).T, np.array(known)
    return exact_claim(
        "certificates_err_on_the_safe_side",
        sentence="No lower bound lies above what it bounds, and no upper bound below it, in any digit.",
        formula="max of (lower − sup)/sup and (sup − upper)/sup; 0 where a bound is attained",
        hypotheses=[
            "sup |f|, f = " + ", ".join(text for text, *_ in LARGEST),
            "sup ‖∇f‖, f = " + ", ".join(text for text, *_ in (*STEEPEST, *STEEPEST_OF_PLANE)),
        ],
        predicted=0.0,
        measured=float((np.maximum(lower - exact_values, exact_values - upper) / exact_values).max()),
        tolerance=2.0**-50,  # the closed forms are rounded, too
        rivals={"the gap that is asked for": 1e-9, "the guard of the logarithm": 2.0**-49},
        predicted_by="closed form: sup |f| and sup ‖∇f‖",
        measured_by=f"{CERTIFY}, nnlab.expressions.lipschitz",
    )


def _of_enclosures() -> list[Claim]:
    """Values and slopes at the ends and in the middle of cells, against the intervals of these cells."""
    ends = np.linspace(0, 1, CELLS + 1)
    cells = {"x": Interval(ends[:-1], ends[1:])}
    x = np.stack([ends[:-1] + 1e-12, (ends[:-1] + ends[1:]) / 2, ends[1:] - 1e-12])
    farthest = []
    for text, curves in CURVES.items():
        value, steep = slopes(parse(text, ("x",)), cells, ("x",))
        for around, curve in zip((value, steep["x"]), curves, strict=True):
            bounded = np.isfinite(around.width) & (
                around.width > 1e-9
            )  # not where it jumps, nor of a constant
            away = np.abs(curve(x) - around.mid)[:, bounded] / (around.width[bounded] / 2)
            farthest.append(float(np.max(away, initial=0.5)))
    return [
        exact_claim(
            f"enclosures_hold_{what}",
            sentence=f"{what.capitalize()} of functions lie in the intervals of their cells, to their ends.",
            formula="|v(x) − middle| / radius ≤ 1, and near 1 at an end of some cell; measured: the largest",
            hypotheses=[f"{CELLS} cells of [0, 1]", "f = " + ", ".join(CURVES)],
            predicted=(0.9, 1 + 1e-6),
            measured=float(np.max(part)),
            tolerance=1e-9,
            predicted_by="closed form: f and f' by numpy",
            measured_by="nnlab.expressions.slopes",
        )
        for what, part in (("values", farthest[::2]), ("slopes", farthest[1::2]))
    ]


def _lag(w: float) -> float:
    """sup |σ(w(x − ½)) − x| on [0, 1]: where wσ' = 1, σ(1 − σ) = 1/w."""
    top = (1 + math.sqrt(1 - 4 / w)) / 2
    return top - 0.5 - math.log(top / (1 - top)) / w


def _network(activation: str, *parts: tuple[float, float], sigmoid: bool = False) -> ScalarNetwork:
    """One unit in each layer."""
    layers = [([[w]], [b]) for w, b in parts]
    return ScalarNetwork(layers, activation, "sigmoid" if sigmoid else "identity")


def _of_units() -> Claim:
    networks = [
        (_network("sigmoid", (12, -6), (1, 0)), _lag(12)),
        (_network("sigmoid", (-12, 6), (-1, 1)), _lag(12)),
        (_network("tanh", (6, -3), (0.5, 0.5)), _lag(12)),
        (_network("tanh", (-3, 1.5), (-0.5, 0.5)), _lag(6)),
        (_network("relu", (1, 0), (12, -6), sigmoid=True), _lag(12)),
        (_network("relu", (1, -1 / 3), (1.5, 0)), 1 / 3),
        (_network("relu", (-1, 1 / 3), (-1, 0.5)), 0.5),
        (_network("step", (1, -0.3), (1, 0)), 0.7),
        (_network("step", (-3, 1.2), (-1, 1)), 0.6),
    ]
    line = make_target("x")
    certificates = [certify(network, line, max_boxes=MOST) for network, _ in networks]
    return exact_claim(
        "certificates_of_single_units",
        sentence="The certified error of one unit against a line is known in closed form.",
        formula="lower = upper = sup |cφ(wx + b) + c₀ − x| on [0, 1]; measured: as a part of it",
        hypotheses=["sigmoid, tanh, ReLU and hard step, of both signs of w; a sigmoid on the output"],
        predicted=1.0,
        measured=_farthest([(c.lower, c.upper) for c in certificates], [exact for _, exact in networks]),
        tolerance=1e-8,
        rivals={"half": 0.5, "twice": 2.0},
        predicted_by="closed form: s − ½ − ln(s/(1 − s))/w, s(1 − s) = 1/w",
        measured_by=CERTIFY,
    )


def _of_layers() -> Claim:
    half, plane = make_target("(x1 + x2)/2"), np.array([[6.0, 6.0]])
    cases = [
        (_network("relu", (1, 0), (1, 0), (12, -6), sigmoid=True), make_target("x"), _lag(12)),
        (_network("step", (1, -0.3), (1, -0.5), (1, 0)), make_target("x"), 0.7),
        (_network("relu", (1, 0), (2, 1), (0.25, -0.25)), make_target("x"), 0.5),
        (ScalarNetwork([(plane, [-6.0]), ([[0.5]], [0.5])], "tanh"), half, _lag(24)),
        (ScalarNetwork([(2 * plane, [-12.0]), ([[1.0]], [0.0])], "sigmoid"), half, _lag(24)),
    ]
    certificates = [certify(network, target, relative=1e-5, max_boxes=MOST) for network, target, _ in cases]
    return exact_claim(
        "certificates_over_boxes",
        sentence="The certified error of two hidden layers, and of a ridge in the plane, is a known one too.",
        formula="lower = upper = sup |network − f|; measured: as a part of it",
        hypotheses=["ReLU, hard steps, tanh and sigmoid; f = x, and (x₁ + x₂)/2"],
        predicted=1.0,
        measured=_farthest([(c.lower, c.upper) for c in certificates], [exact for *_, exact in cases]),
        tolerance=2e-5,
        rivals={"half": 0.5, "twice": 2.0},
        predicted_by="closed form: s − ½ − ln(s/(1 − s))/w, s(1 − s) = 1/w",
        measured_by=CERTIFY,
    )


def _of_evaluation() -> Claim:
    """Steps of w = 0.1 … 0.9 at PLACES: what torch computes beside them, against fractions."""
    lost, bounds = [], []
    for place in PLACES:
        for w in np.linspace(0.1, 0.9, 9).tolist():
            network = _network("step", (w, -w * place), (1, 0))
            x = place + np.spacing(place) * np.arange(-2.0, 3.0)
            (weight, bias), _ = network.weights()
            score = [Fraction(weight[0, 0]) * Fraction(p) + Fraction(bias[0]) for p in x]
            exact = np.array([float(z >= 0) for z in score])
            lost.append(float(np.abs(network.values(x[:, None]) - exact).max()))
            bounds.append(certify(network, make_target("x")).evaluation)
    return exact_claim(
        "evaluation_of_hard_steps",
        sentence="Torch may put points next to a step on its wrong side; no more is lost than is told.",
        formula="max |network as computed − network| / the bound on it ≤ 1",
        hypotheses=["1_{wx + b ≥ 0} with w = 0.1, 0.2, … 0.9, beside its place"],
        predicted=(0.0, 1.0),
        measured=float(np.max(np.array(lost) / np.array(bounds))),
        tolerance=0.0,
        predicted_by="fractions.Fraction",
        measured_by=f"{CERTIFY}, nnlab.approximation.network.ScalarNetwork.values",
    )
