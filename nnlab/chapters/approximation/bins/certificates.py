"""Claims about certificates themselves: suprema, slopes and rounding errors that are known in closed form."""

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from nnlab.approximation.certificate import certify
from nnlab.approximation.network import ScalarNetwork
from nnlab.approximation.targets import make_target
from nnlab.chapters.approximation.certified import certified_claim
from nnlab.expressions import lipschitz, parse
from nnlab.theory import Claim

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
PLACES = (0.3, 0.7, 1 / 3)
CERTIFY = "nnlab.approximation.certificate.certify"


def of_certificates() -> list[Claim]:
    """The claims, which hold whatever the config asks for."""
    return [_of_suprema(), _of_slopes(), _of_units(), _of_layers(), _of_evaluation()]


def _ends(bounds: Sequence[tuple[float, float]], exact: Sequence[float]) -> tuple[float, float]:
    """The least lower and the largest upper bound, each over what is exact."""
    lower, upper = (np.array(bounds) / np.array(exact)[:, None]).T
    return float(lower.min()), float(upper.max())


def _of_suprema() -> Claim:
    zero = ScalarNetwork([([[0.0]], [0.0]), ([[0.0]], [0.0])], "relu")
    found = [certify(zero, make_target(text), interval) for text, interval, _ in LARGEST]
    return certified_claim(
        "certificates_enclose_known_suprema",
        sentence="Both certified bounds are the supremum, where that is known in closed form.",
        formula="lower ≤ sup |f| ≤ upper, as parts of sup |f|: the least and the largest of all",
        hypotheses=["the network is 0", "f = " + ", ".join(text for text, _, _ in LARGEST)],
        predicted=1.0,
        bounds=_ends([(c.lower, c.upper) for c in found], [exact for *_, exact in LARGEST]),
        room=1e-8,
        rivals={"half": 0.5, "twice": 2.0},
        predicted_by="closed form: sup |f|",
        measured_by=CERTIFY,
    )


def _of_slopes() -> Claim:
    found = [lipschitz(parse(text, ("x",)), {"x": interval}) for text, interval, _ in STEEPEST]
    return certified_claim(
        "lipschitz_constants_of_known_slopes",
        sentence="Both bounds on a Lipschitz constant are the largest slope, where that is known.",
        formula="lower ≤ sup |f'| ≤ upper, as parts of sup |f'|: the least and the largest of all",
        hypotheses=["f = " + ", ".join(text for text, _, _ in STEEPEST)],
        predicted=1.0,
        bounds=_ends(found, [exact for *_, exact in STEEPEST]),
        room=1e-8,
        rivals={"half": 0.5, "twice": 2.0},
        predicted_by="closed form: sup |f'|",
        measured_by="nnlab.expressions.lipschitz",
    )


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
    found = [certify(network, line) for network, _ in networks]
    return certified_claim(
        "certificates_of_single_units",
        sentence="The certified error of one unit against a line is known in closed form.",
        formula="sup |cφ(wx + b) + c₀ − x| on [0, 1], as a part of what it is",
        hypotheses=["sigmoid, tanh, ReLU and hard step, of both signs of w; a sigmoid on the output"],
        predicted=1.0,
        bounds=_ends([(c.lower, c.upper) for c in found], [exact for _, exact in networks]),
        room=1e-8,
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
    found = [certify(network, target, relative=1e-5) for network, target, _ in cases]
    return certified_claim(
        "certificates_over_boxes",
        sentence="So is that of two hidden layers, and of a ridge in the plane.",
        formula="sup |network − f|, as a part of what it is",
        hypotheses=["ReLU, hard steps, tanh and sigmoid; f = x, and (x₁ + x₂)/2"],
        predicted=1.0,
        bounds=_ends([(c.lower, c.upper) for c in found], [exact for *_, exact in cases]),
        room=2e-5,
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
    return certified_claim(
        "evaluation_of_hard_steps",
        sentence="Torch puts points next to a step on its wrong side, which costs all of it and no more.",
        formula="max |network as computed − network| / the bound on it",
        hypotheses=["1_{wx + b ≥ 0} with w = 0.1, 0.2, … 0.9, beside its place"],
        predicted=1.0,
        bounds=(max(lost) / max(bounds), max(lost) / min(bounds)),
        room=0.02,
        rivals={"never": 0.0, "twice": 2.0, "half": 0.5},
        predicted_by="fractions.Fraction",
        measured_by=f"{CERTIFY}, nnlab.approximation.network.ScalarNetwork.values",
    )
