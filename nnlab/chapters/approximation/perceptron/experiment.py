"""The perceptron on AND, OR and XOR: mistakes and their bound, the proof for XOR, two hidden units."""

from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit

from nnlab.approximation.perceptron import (
    CORNERS,
    GATES,
    best_margin,
    is_certificate,
    learn,
    planted,
    separate,
    tight,
)
from nnlab.approximation.xor_units import (
    ANSWERS,
    EXACT,
    POINTS,
    XorTraining,
    exact_xor,
    one_unit_xor,
    train_xor,
)
from nnlab.chapters.approximation.perceptron.figures import (
    Problem,
    perceptron_mistakes,
    separating_lines,
    success_rate,
)
from nnlab.lab.session import Outcome, Session, generator
from nnlab.models.activations import ACTIVATIONS
from nnlab.record import Record
from nnlab.theory import Claim, exact_claim, worst

Array = NDArray[np.float64]

SHOWN = 12  # mistakes on XOR that are drawn: the rule would go on forever
STARTS = 500
UNITS = (2, 3, 4)
LEARNERS = ("sigmoid", "tanh", "relu")
MONOTONE = ("sigmoid", "tanh", "relu")
STEEPNESS = 4.0  # of the two units by formula: so flat that their margin is not just ½
LATTICE = 33  # weights and biases from −4 to 4 that a single unit may have, along each axis
ORDERS = 20  # random sets of points whose margin is known
DOUBLINGS = 5  # 2⁵ points on which the bound is attained
MARGIN = 0.1
SIDE = 121  # points a side of the decision regions


def run(seed: int, record: Record, session: Session) -> Outcome:
    """Runs the learning rule, proves that no line separates XOR, solves it by formula and by training."""
    points = np.array(CORNERS)
    mistakes, bounds, ratio = _mistakes(seed)
    _draw(record, points)
    record.save_arrays(**{f"mistakes/{name}": np.array(m) for name, m in mistakes.items()})
    record.figure("perceptron_mistakes", perceptron_mistakes, mistakes, bounds)
    trainings = _training(seed, record, session)
    claims = [_bound_claim(mistakes, bounds, ratio), _attained_claim(), _no_line_claim(), _formula_claim()]
    claims += [_stationary_claim(trainings["2 relu units"]), _monotone_claim(), _one_unit_claim()]
    metrics = {f"xor/{name.replace(' ', '_')}": training.rate for name, training in trainings.items()}
    return Outcome(metrics, [], claims)


# --- the learning rule ----------------------------------------------------------------------------------


def _mistakes(seed: int) -> tuple[dict[str, list[int]], dict[str, float], float]:
    """Mistakes until all points are right and the largest bound (R/γ)², by problem; the largest ratio."""
    draw = generator(seed, "planted")
    problems = {
        "AND": [(np.array(CORNERS), np.array(GATES["and"]))],
        "OR": [(np.array(CORNERS), np.array(GATES["or"]))],
        f"{2**DOUBLINGS} orthogonal points": [tight(DOUBLINGS)],
        "200 random points": [planted(100, 10, MARGIN, 0.3, draw) for _ in range(ORDERS)],
    }
    mistakes = {name: [learn(*one).mistakes for one in sets] for name, sets in problems.items()}
    bounds = {name: [_bound(*one) for one in sets] for name, sets in problems.items()}
    ratio = worst(*(np.array(mistakes[name]) / np.array(bounds[name]) for name in problems))
    return mistakes, {name: max(values) for name, values in bounds.items()}, ratio


def _bound(points: Array, labels: Array) -> float:
    """(R/γ)²: by the best margin, which for random points is the planted one."""
    if len(points) <= 2**DOUBLINGS:
        return float(best_margin(points, labels).most_mistakes)
    return float(((points**2).sum(axis=1) + 1).max()) / MARGIN**2


def _bound_claim(mistakes: dict[str, list[int]], bounds: dict[str, float], ratio: float) -> Claim:
    return exact_claim(
        "perceptron_mistake_bound",
        sentence="The perceptron never makes more than (R/γ)² mistakes.",
        formula="max over all sets of points of mistakes / (R/γ)² ≤ 1 (Novikoff 1962)",
        hypotheses=[f"{name}: at most {max(m)} of {bounds[name]:.0f}" for name, m in mistakes.items()],
        predicted=(None, 1.0),
        measured=ratio,
        tolerance=0.0,
        seeds=ORDERS,
        predicted_by="nnlab.approximation.perceptron.best_margin",
        measured_by="nnlab.approximation.perceptron.learn",
    )


def _attained_claim() -> Claim:
    """Orthogonal points: each is a mistake once."""
    points, labels = tight(DOUBLINGS)
    bound = best_margin(points, labels).most_mistakes
    return exact_claim(
        "perceptron_attains_the_bound",
        sentence="On orthogonal points it makes exactly (R/γ)² mistakes.",
        formula=f"mistakes = (R/γ)² = n for n = {2**DOUBLINGS} orthogonal points",
        hypotheses=["rows of Sylvester's matrix, labels ±1 in turn", "R² = n, γ = 1"],
        predicted=bound,
        measured=learn(points, labels).mistakes,
        tolerance=0.0,
        rivals={"R/γ": bound**0.5, "half": bound / 2, "twice": 2 * bound, "one fewer": bound - 1},
        predicted_by="nnlab.approximation.perceptron.best_margin",
        measured_by="nnlab.approximation.perceptron.learn",
    )


def _no_line_claim() -> Claim:
    """Lines with small weights make 14 of the 16 gates; XOR and its opposite have a proof that none does."""
    points, proved, parted = np.array(CORNERS), [], []
    for labels in product((-1.0, 1.0), repeat=4):
        separation = separate(points, labels)
        if separation.separable is False and is_certificate(points, labels, separation.certificate):
            proved.append(labels)
        elif separation.weights is not None:
            sides = points @ separation.weights + separation.bias
            parted.append(bool(np.all(np.sign(sides) == labels)))
    weights = [0.5 * k for k in range(-4, 5)]
    lines = {
        tuple(float(np.sign(a * x + b * y + c)) for x, y in CORNERS)
        for a, b, c in product(weights, weights, [w + 0.25 for w in weights])
    }
    xor, without = separate(points, GATES["xor"]), 2**4 - len(lines)
    counts = (len(proved) if tuple(GATES["xor"]) in proved else 0, 2**4 - sum(parted))
    return exact_claim(
        "no_line_separates_xor",
        sentence="No line separates XOR, or its opposite; every other gate of two variables has a line.",
        formula="λ ≥ 0, Σ λᵢ = 1, Σ λᵢ yᵢ (xᵢ, 1) = 0 (Gordan 1873), in rational numbers, for 2 of 16 gates",
        hypotheses=[
            f"λ = {', '.join(map(str, xor.certificate))} for XOR",
            f"common point {', '.join(map(str, xor.common))}",
        ],
        predicted=without,
        measured=max(counts, key=lambda count: abs(count - without)),
        tolerance=0.0,
        rivals={"lines for all": 0.0, "XOR alone": 1.0, "also one more": 3.0},
        predicted_by="closed form: the signs of lines with small weights",
        measured_by="nnlab.approximation.perceptron.separate, nnlab.approximation.perceptron.is_certificate",
    )


# --- two hidden units, and one --------------------------------------------------------------------------


def _margins() -> dict[str, float]:
    """The margins of `exact_xor` in closed form."""
    w = STEEPNESS

    def sigmoid(w: float) -> float:
        return float(np.tanh(w / 4) - np.sinh(w / 2) / (np.cosh(w / 2) + np.cosh(w))) / 2

    def ripple(z: float) -> float:
        return float(expit(z) + z * np.exp(-(z**2)))

    return {
        "step": 0.5, "relu": 0.5, "sigmoid": sigmoid(w), "tanh": sigmoid(2 * w),
        "ripple": (1 - 3 * ripple(-w / 2) + ripple(-3 * w / 2)) / 2,
    }  # fmt: skip


def _formula_claim() -> Claim:
    """The margin at the corners, as the module computes it, over that in closed form."""
    margins, ratios = _margins(), {}
    for name in EXACT:
        network, _ = exact_xor(name, STEEPNESS)
        with torch.no_grad():
            ratios[name] = float((network(POINTS) * ANSWERS).min()) / margins[name]
    ratio = np.array([ratios[name] for name in margins])
    return exact_claim(
        "two_hidden_units_solve_xor",
        sentence="Two hidden units solve XOR with explicit weights, with the margin of their formula.",
        formula="min over the corners of y f(x), over the margin in closed form; the ratio farthest from 1",
        hypotheses=[f"{name}: margin {margin:.4g}" for name, margin in margins.items()],
        predicted=1.0,
        measured=ratio[np.abs(ratio - 1).argmax()],
        tolerance=1e-12,
        rivals={"it fails": 0.0, "twice": 2.0, "half": 0.5},
        predicted_by="closed form: ½[tanh(w/4) − sinh(w/2)/(cosh(w/2) + cosh w)]",
        measured_by="nnlab.approximation.xor_units.exact_xor",
    )


def _training(seed: int, record: Record, session: Session) -> dict[str, XorTraining]:
    """Trains from many starts, with two, three and four hidden units."""
    trainings = {}
    work = [("tanh", units) for units in UNITS] + [(name, 2) for name in LEARNERS if name != "tanh"]
    with session.reporter.bar("XOR from many starts") as advance:
        for done, (activation, units) in enumerate(work):
            advance(done, len(work), f"{units} {activation} units")
            draw = generator(seed, f"xor {activation} {units}")
            training = train_xor(activation, units, STARTS, generator=draw)
            trainings[f"{units} {activation} units"] = training
        advance(len(work), len(work), "")
    rates = [training.rate for training in trainings.values()]
    intervals = np.array([training.interval for training in trainings.values()], np.float64)
    record.save_arrays(**{"xor/success_rate": rates, "xor/interval": intervals})
    record.figure(
        "xor_training",
        success_rate,
        list(trainings),
        rates,
        intervals,
        f"XOR from {STARTS} random starts",
        x_label="starts that solve XOR (%)",
    )
    return trainings


def _stationary_claim(training: XorTraining) -> Claim:
    """k corners of both classes share an output, their mean: they leave Σ(f − y)²/8 = ½, ⅓ or ¼."""
    shared = [(2, 2), (1, 2), (1, 1)]
    values = [0.0, *((p + m - (p - m) ** 2 / (p + m)) / 8 for p, m in shared)]
    nearest = np.abs(training.loss[:, None] - np.array(values)).min(axis=1)
    return exact_claim(
        "xor_by_training_ends_at_least_squares",
        sentence="Two trained ReLUs solve XOR, or give 4, 3 or 2 corners of both classes their mean.",
        formula="(1/2N)Σ(f − y)² ∈ {0, ½, ⅓, ¼} at the end; the largest distance",
        hypotheses=[
            f"{len(training.loss)} random starts, full batch, 10,000 steps of 0.1",
            f"{training.rate:.1%} solve it",
        ],
        predicted=0.0,
        measured=worst(nearest),
        tolerance=1e-4,
        rivals={"½Σ(f − y)²": 2 - 0.5, "(1/N)Σ(f − y)²": 1 - 0.5, "answers 0 and 1": 0.25 - 0.125},
        seeds=len(training.loss),
        predicted_by="closed form: (k − s²/k)/8 for k corners of label sum s",
        measured_by="nnlab.approximation.xor_units.train_xor",
    )


def _best_margin_of_a_unit(activation: str) -> float:
    """The largest margin on XOR of one unit with any output weight of size 1 and bias, over a lattice."""
    axis = torch.linspace(-4, 4, LATTICE, dtype=torch.float64)
    weights = torch.cartesian_prod(axis, axis, axis)  # (w₁, w₂, b)
    values = ACTIVATIONS[activation].function(weights[:, :2] @ POINTS.T + weights[:, 2:])  # (K, 4)
    true, false = values[:, ANSWERS[:, 0] > 0], values[:, ANSWERS[:, 0] < 0]
    apart = torch.maximum(true.amin(1) - false.amax(1), false.amin(1) - true.amax(1))
    return float(apart.max()) / 2


def _monotone_claim() -> Claim:
    margins = [_best_margin_of_a_unit(name) for name in MONOTONE]
    return exact_claim(
        "one_monotone_unit_never_solves_xor",
        sentence="One monotone hidden unit has a line as its boundary: its margin on XOR is at most 0.",
        formula="max over w, b of ½[min over one class − max over the other of φ(wᵀx + b)] = 0, at w = 0",
        hypotheses=[", ".join(MONOTONE), f"{LATTICE}³ weights (w₁, w₂, b) in [−4, 4]³"],
        predicted=0.0,
        measured=max(margins) if np.isfinite(margins).all() else np.nan,
        tolerance=1e-12,
        rivals={"that of a ripple": _best_margin_of_a_unit("ripple")},
        predicted_by="closed form: φ monotone, z₀₀ + z₁₁ = z₀₁ + z₁₀",
        measured_by="nnlab.models.activations.get_activation",
    )


def _one_unit_claim() -> Claim:
    network, _ = one_unit_xor()
    b, w = 0.845, 1.245
    middle, side = (float(expit(z) + z * np.exp(-(z**2))) for z in (b, b + w))
    with torch.no_grad():
        measured = float((network(POINTS) * ANSWERS).min())
    return exact_claim(
        "one_unit_that_is_not_monotone_can",
        sentence="One hidden unit that is sigmoidal but not monotone solves XOR, with this margin.",
        formula="min over the corners of y f(x) = ½[φ(b) − φ(b + w)] > 0, f = c − φ(w(x₁ − x₂) + b)",
        hypotheses=[f"φ(z) = σ(z) + z e^(−z²), w = {w}, b = {b}"],
        predicted=(middle - side) / 2,
        measured=measured,
        tolerance=1e-12,
        rivals={"it fails": 0.0, "twice": middle - side},
        predicted_by="scipy.special.expit",
        measured_by="nnlab.approximation.xor_units.one_unit_xor",
    )


# --- figure ---------------------------------------------------------------------------------------------


def _draw(record: Record, points: Array) -> None:
    """The rule's lines on each gate, and the two hidden units with the band between their lines."""
    problems = {}
    for name, labels in GATES.items():
        path = learn(points, labels, SHOWN if name == "xor" else 10_000).path[1:]
        caption = "no line separates: proved" if name == "xor" else None
        classes = np.array(labels) > 0
        problems[name.upper()] = Problem(points, classes.astype(np.int64), path, caption=caption)
        record.save_arrays(**{f"perceptron/{name}": path})
    network, _ = exact_xor("step")
    (weight, bias), _ = network.weights()
    axis = np.linspace(-0.5, 1.5, SIDE)
    grid = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1)
    region = axis, (network.values(grid) > 0).astype(np.int64)
    problems["XOR, two hidden units"] = Problem(
        points, problems["XOR"].labels, np.column_stack([weight, bias]), region, "right between the two lines"
    )
    record.figure("perceptron", separating_lines, problems)
