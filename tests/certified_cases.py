"""Made expressions and networks of all kinds, certified, and held against arithmetic in 60 digits or more."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise, product
from typing import Any

import mpmath as mp
import numpy as np
from numpy.typing import NDArray

from nnlab.approximation.bins import build_bins
from nnlab.approximation.certificate import Certificate, certify
from nnlab.approximation.network import ACTIVATIONS, Output, ScalarNetwork
from nnlab.approximation.targets import make_target
from nnlab.errors import InputError
from tests.graph_reference import reference

Array = NDArray[np.float64]

SIZES = (0, 0, 0, 0, -1, 5, 1e3, -1e6, 1e10, 1e15, -1e15)
"""Where intervals begin."""
POWERS = ("2", "3", "5", "-1", "-2", "0.5", "1.5", "(1/3)", "7", "12", "13", "0", "2.0", "(3-1)")
HUGE = (
    "9007199254740993", "9007199254740992", "(2^53+1)", "1e16", "(10^30+1)", "12345678901234567891", "101",
    "1001",
)  # fmt: skip
EVERYWHERE = ("sin", "cos", "exp", "tanh", "sigmoid", "abs", "relu", "erf", "softplus", "cbrt")
SOMEWHERE = ("tan", "log", "sqrt", "sinh", "arctan", "log1p", "arcsin", "acosh", "expm1", "atanh")


@dataclass
class Case:
    """A target, a network and where both are looked at; `sort` names the kind of network."""

    text: str
    network: ScalarNetwork
    low: float
    high: float
    sort: str

    def __str__(self) -> str:
        weights = [(w.tolist(), b.tolist()) for w, b in self.network.weights()]
        shape = f"{self.network.activation}, {self.network.output_activation}, {self.network.dtype}"
        return f"{self.sort}: {self.text} on ({self.low!r}, {self.high!r}), {shape}, {weights}"[:3000]


@dataclass
class Findings:
    """The result of checking a case.

    Attributes:
        faults: what is false.
        points: how many points were looked at.
        tightness: the upper bound over the largest error that was seen.
        evaluation: the bound on evaluation over the largest such error that was seen.
        certificate: what was checked.
    """

    faults: list[str] = field(default_factory=list)
    points: int = 0
    tightness: float = 1.0
    certificate: Certificate | None = None
    evaluation: float = np.inf


# --- expressions ---------------------------------------------------------------------------------------


def made_expression(rng: random.Random, names: tuple[str, ...], depth: int = 3) -> str:
    """An expression of the given terms, which lie between −1 and 2 or so."""
    if depth == 0 or rng.random() < 0.15:
        return rng.choice([*names * 8, "0.3", "0.7", "pi", "1", "2", "0.1", "(1/3)"])

    def part() -> str:
        return made_expression(rng, names, depth - 1)

    match rng.randrange(13):
        case 0 | 1 | 2:
            return f"({part()} {rng.choice('+-*')} {part()})"
        case 3:
            return f"({part()})/({rng.choice(['3', '1.5 + abs(' + part() + ')', part()])})"
        case 4:
            return f"({part()})^{rng.choice(POWERS)}"
        case 5:
            scale = rng.choice(["2^-50", "1e-16", "0.001", "1e-3", "1e-9"])
            return f"({rng.choice(['1', '-1'])} {rng.choice('+-')} {scale}*({part()}))^{rng.choice(HUGE)}"
        case 6 | 7:
            return f"{rng.choice(EVERYWHERE)}({part()})"
        case 8:
            return f"{rng.choice(SOMEWHERE)}({part()})"
        case 9:
            return f"{rng.choice(['min', 'max'])}({part()}, {part()})"
        case 10:
            condition = f"{part()} {rng.choice(['<', '<=', '>', '>='])} {rng.choice(['0.3', '0.5', part()])}"
            return f"where({condition}, {part()}, {part()})"
        case 11:
            return f"{rng.choice(['floor', 'ceil', 'sign'])}({part()})"
    return f"-({part()})"


# --- networks ------------------------------------------------------------------------------------------


def _size(rng: random.Random, least: float, most: float) -> float:
    return rng.choice([-1, 1]) * float(10 ** rng.uniform(least, most))


def _units(rng: random.Random, low: float, high: float) -> tuple[list[float], list[float], list[float]]:
    units = []
    for _ in range(rng.randint(1, 9)):
        w = rng.choice([
            rng.choice([1.0, -1.0, 3.0, 0.1, 2.0, -0.5]), _size(rng, -2, 4), _size(rng, -8, 12), 0.0,
            _size(rng, -312, -290),
        ])  # fmt: skip
        place = low + (high - low) * rng.choice([rng.random(), rng.choice([0.25, 0.3, 0.5])])
        bias = -w * place if w and abs(w) > 1e-200 else rng.choice([0.0, 0.3, -2.0])
        units.append((w, bias, rng.choice([1.0, -1.0, _size(rng, -3, 2)])))
    if rng.random() < 0.3:
        w, bias, c = units[0]
        units.append((w, bias, -c))
    return tuple(map(list, zip(*units, strict=True)))  # type: ignore[return-value]


def _line(rng: random.Random, low: float, high: float) -> ScalarNetwork:
    w, b, c = (np.array(part) for part in _units(rng, low, high))
    output: Output = rng.choice(["identity", "identity", "identity", "sigmoid"])
    layers = [(w[:, None], b), (c[None], np.array([rng.choice([0.0, 1.0, rng.uniform(-2, 2)])]))]
    return ScalarNetwork(layers, rng.choice(ACTIVATIONS), output)


def _deep(rng: random.Random, d: int, low: float, high: float, layers: int) -> ScalarNetwork:
    draw, scale = np.random.default_rng(rng.getrandbits(32)), rng.choice([1.0, 3.0, 30.0])
    sizes = [d, *(rng.randint(2, 6) for _ in range(layers)), 1]
    weights: list[tuple[Array, Array]] = []
    for n, m in pairwise(sizes):
        weights.append((scale * draw.standard_normal((m, n)), draw.standard_normal(m)))
    first = weights[0][0]
    if rng.random() < 0.4:  # steps along the axes, at round places
        first *= np.eye(d)[draw.integers(0, d, len(first))]
        if rng.random() < 0.5:
            first[first != 0] = rng.choice([1.0, 2.0, 3.0])
    centre = low + (high - low) * draw.choice([0.3, 0.5, 0.75], (len(first), d))
    weights[0] = (first, -(first * centre).sum(axis=1))
    if rng.random() < 0.4:
        weights[1:] = [(np.round(w), np.round(b) - 0.5) for w, b in weights[1:]]
    return ScalarNetwork(weights, rng.choice(ACTIVATIONS), rng.choice(["identity", "sigmoid"]))


def _bins(rng: random.Random, text: str, low: float, high: float) -> ScalarNetwork:
    return build_bins(
        make_target(text), rng.randint(1, 40), (low, high),
        construction=rng.choice(["staircase", "towers", "hats"]), heights=rng.choice(["midpoint", "left"]),
        steepness=rng.choice([None, None, np.inf, 10.0 ** rng.uniform(0, 4) / (high - low)]),
        activation=rng.choice(["sigmoid", "tanh", "ripple", "step"]),
    ).network  # fmt: skip


def made_case(rng: random.Random) -> Case | None:
    """A target and a network; None where the expression has no value everywhere."""
    low = float(rng.choice(SIZES))
    length = rng.choice([1.0, 1.0, 2.0, 0.1, 10.0 ** -rng.uniform(0, 8), 8.0])
    if abs(low) > 1e8:
        length = rng.choice([8.0, 16.0, 64.0, 4 * float(np.spacing(low)), float(np.spacing(low))])
    high = low + length
    sort = rng.choice(["line"] * 5 + ["bins"] * 4 + ["deep", "plane", "plane"])
    d = 2 if sort == "plane" else 1
    names = ("x1", "x2") if d == 2 else ("x",)
    shifted = tuple(f"({n} {'-' if low > 0 else '+'} {abs(low):.0f})" if low else n for n in names)
    text = made_expression(rng, shifted)
    try:
        target = make_target(text, d)
        if sort == "bins":
            network = _bins(rng, text, low, high)
        elif sort == "line":
            network = _line(rng, low, high)
        else:
            network = _deep(rng, d, low, high, 2 if sort == "deep" else rng.randint(1, 2))
        if target.dimension != d:
            return None
    except InputError:
        return None
    return Case(text, network.float() if rng.random() < 0.25 else network, low, high, sort)


# --- what is true --------------------------------------------------------------------------------------

PHI: dict[str, Callable[[Any], Any]] = {
    "sigmoid": lambda z: 1 / (1 + mp.exp(-_within(z))),
    "tanh": lambda z: mp.tanh(_within(z)),
    "ripple": lambda z: 1 / (1 + mp.exp(-_within(z))) + _within(z) * mp.exp(-(_within(z) ** 2)),
    "relu": lambda z: max(z, mp.mpf(0)),
    "step": lambda z: mp.mpf(int(z >= 0)),
}


def _within(z: Any) -> Any:
    """e^{−400} is below every bound that is looked at here but for those that are 0 exactly."""
    return max(min(z, mp.mpf(400)), mp.mpf(-400))


def exact_network(network: ScalarNetwork, x: tuple[Any, ...]) -> Any:
    """The network's value in the working precision of mpmath."""
    h, phi = list(x), PHI[network.activation]
    *hidden, (c, c0) = network.weights()
    for w, b in hidden:
        rows = zip(w.tolist(), b.tolist(), strict=True)
        h = [phi(mp.fdot(zip(map(mp.mpf, row), h, strict=True)) + bias) for row, bias in rows]
    y = mp.fdot(zip(map(mp.mpf, c[0].tolist()), h, strict=True)) + float(c0[0])
    return PHI["sigmoid"](y) if network.output_activation == "sigmoid" else y


def _points(rng: random.Random, case: Case, certificate: Certificate) -> list[tuple[float, ...]]:
    """Ends, middle, places of steps and of jumps with their neighbours, and some at random."""
    low, high = case.low, case.high
    (w, b), *_ = case.network.weights()
    with np.errstate(all="ignore"):
        at = (-b[:, None] / w).ravel()
    at = at[np.abs(at) < 1e30][:12]
    at = np.concatenate([at, low + (high - low) * np.array([0.3, 0.5, 0.7, 0.1, 1 / 3])])
    single, ends = at.astype(np.float32), (np.float32(-np.inf), np.float32(np.inf))
    near = [at, single.astype(np.float64)]
    near += [np.nextafter(at, float(end)) for end in ends]
    near += [np.nextafter(single, end).astype(np.float64) for end in ends]
    near.append(np.nextafter(near[2], -np.inf))
    inside = np.clip(np.concatenate([*near, np.array([low, high, low / 2 + high / 2])]), low, high).tolist()
    free = [min(high, low + (high - low) * rng.random()) for _ in range(8)]
    d = case.network.inputs
    if d == 1:
        return [certificate.at, *((x,) for x in {*inside, *free})]
    pool = inside + free
    corners = list(product((low, high), repeat=d))
    return [certificate.at, *corners, *(tuple(rng.choice(pool) for _ in range(d)) for _ in range(40))]


def check(case: Case, rng: random.Random, max_boxes: int = 20_000) -> Findings:
    """Certifies a case, and holds bounds and evaluation against the truth at many points.

    Raises:
        InputError: the target has no value everywhere.
    """
    network, d = case.network, case.network.inputs
    certificate = certify(network, make_target(case.text, d), (case.low, case.high), max_boxes=max_boxes)
    names = ("x1", "x2") if d == 2 else ("x",)
    points = _points(rng, case, certificate)
    with np.errstate(all="ignore"):
        computed = network.values(np.array(points))
    findings = Findings(points=len(points))
    largest = lost = mp.mpf(0)
    with mp.workdps(120):
        for k, point in enumerate(points):
            x = tuple(map(mp.mpf, point))
            y, f = exact_network(network, x), reference(case.text, dict(zip(names, x, strict=True)))
            if np.isfinite(certificate.evaluation):
                lost = max(lost, abs(mp.mpf(float(computed[k])) - y))
            if f is None:
                continue
            error = abs(y - f)
            largest = max(largest, error)
            if error > certificate.upper:
                findings.faults.append(f"error {mp.nstr(error, 20)} above {certificate.upper!r} at {point}")
            if k == 0 and error < certificate.lower:
                findings.faults.append(f"error {mp.nstr(error, 20)} below {certificate.lower!r} at {point}")
        if lost > certificate.evaluation:
            findings.faults.append(f"evaluation {mp.nstr(lost, 10)} above {certificate.evaluation!r}")
        findings.certificate = certificate
        findings.tightness = float(certificate.upper / largest) if largest else np.inf
        findings.evaluation = float(certificate.evaluation / lost) if lost else np.inf
    if not certificate.lower <= certificate.upper:
        findings.faults.append(f"bounds {certificate.lower!r}, {certificate.upper!r}")
    return findings


def exact_power(base: Fraction, exponent: int) -> Any:
    """base^exponent in the working precision, whatever the exponent."""
    value = mp.exp(exponent * mp.log(abs(mp.mpf(base.numerator) / base.denominator)))
    return -value if base < 0 and exponent % 2 else value
