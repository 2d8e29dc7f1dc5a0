"""The perceptron on AND, OR and XOR: mistakes and their bound, the proof for XOR, two hidden units."""

import numpy as np
from numpy.typing import NDArray

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
from nnlab.approximation.xor_units import EXACT, XorTraining, exact_xor, solves_xor, train_xor
from nnlab.chapters.approximation.perceptron.figures import (
    Problem,
    perceptron_mistakes,
    separating_lines,
    success_rate,
)
from nnlab.lab.session import Outcome, Session, generator
from nnlab.record import Record
from nnlab.theory import Claim, exact_claim, interval_claim

Array = NDArray[np.float64]

SHOWN = 12  # mistakes on XOR that are drawn: the rule would go on forever
STARTS = 500
UNITS = (2, 3, 4)
LEARNERS = ("sigmoid", "tanh", "relu")
ORDERS = 20  # random sets of points whose margin is known
DOUBLINGS = 5  # 2⁵ points on which the bound is attained
MARGIN = 0.1
SIDE = 121  # points a side of the decision regions


def run(seed: int, record: Record, session: Session) -> Outcome:
    """Runs the learning rule, proves that no line separates XOR, solves it by formula and by training."""
    points = np.array(CORNERS)
    mistakes, bounds, worst = _mistakes(seed)
    _draw(record, points)
    record.save_arrays(**{f"mistakes/{name}": np.array(m) for name, m in mistakes.items()})
    record.figure("perceptron_mistakes", perceptron_mistakes, mistakes, bounds)
    claims = [_bound_claim(mistakes, bounds, worst), _no_line_claim(points), _formula_claim()]
    return Outcome({}, [], [*claims, *_training(seed, record, session)])


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
    worst = max(m / b for name in problems for m, b in zip(mistakes[name], bounds[name], strict=True))
    return mistakes, {name: max(values) for name, values in bounds.items()}, worst


def _bound(points: Array, labels: Array) -> float:
    """(R/γ)²: by the best margin, which for random points is the planted one."""
    if len(points) <= 2**DOUBLINGS:
        return float(best_margin(points, labels).most_mistakes)
    return float(((points**2).sum(axis=1) + 1).max()) / MARGIN**2


def _bound_claim(mistakes: dict[str, list[int]], bounds: dict[str, float], worst: float) -> Claim:
    return exact_claim(
        "perceptron_mistake_bound",
        sentence="The perceptron makes at most (R/γ)² mistakes, and on some points exactly that many.",
        formula="max over all sets of points of mistakes / (R/γ)² = 1 (Novikoff 1962)",
        hypotheses=[f"{name}: at most {max(m)} of {bounds[name]:.0f}" for name, m in mistakes.items()],
        predicted=1.0,  # which the orthogonal points attain
        measured=worst,
        tolerance=0.0,
        rivals={"half of it": 0.5, "twice": 2.0},
        seeds=ORDERS,
    )


def _no_line_claim(points: Array) -> Claim:
    """The weights of both diagonals, whose middles coincide, checked in rational numbers."""
    labels = np.array(GATES["xor"])
    separation = separate(points, labels)
    proved = separation.separable is False and is_certificate(points, labels, separation.certificate)
    return exact_claim(
        "no_line_separates_xor",
        sentence="No line separates XOR: the convex hulls of its classes share the centre of the square.",
        formula="λ ≥ 0, Σ λᵢ = 1, Σ λᵢ yᵢ (xᵢ, 1) = 0 (Gordan 1873), checked in rational numbers",
        hypotheses=[
            f"λ = {', '.join(map(str, separation.certificate))}",
            f"common point {', '.join(map(str, separation.common))}",
        ],
        predicted=1.0,
        measured=float(proved),
        tolerance=0.0,
        rivals={"not proved": 0.0},
    )


# --- two hidden units -----------------------------------------------------------------------------------


def _formula_claim() -> Claim:
    solutions = {name: exact_xor(name) for name in EXACT}
    solved = [solves_xor(network) for network, _ in solutions.values()]
    return exact_claim(
        "two_hidden_units_solve_xor",
        sentence="Two hidden units solve XOR with explicit weights, whatever the activation.",
        formula="share of the activations whose network has the right sign at all four corners",
        hypotheses=[f"{name}: margin {margin:.3g}" for name, (_, margin) in solutions.items()],
        predicted=1.0,
        measured=float(np.mean(solved)),
        tolerance=0.0,
        rivals={"one that fails": 1 - 1 / len(EXACT)},
    )


def _training(seed: int, record: Record, session: Session) -> list[Claim]:
    """Trains from many starts, with two, three and four hidden units."""
    rates, intervals, names, claims = [], [], [], []
    work = [("tanh", units) for units in UNITS] + [(name, 2) for name in LEARNERS if name != "tanh"]
    with session.reporter.bar("XOR from many starts") as advance:
        for done, (activation, units) in enumerate(work):
            advance(done, len(work), f"{units} {activation} units")
            draw = generator(seed, f"xor {activation} {units}")
            training = train_xor(activation, units, STARTS, generator=draw)
            names.append(f"{units} {activation} units")
            rates.append(training.rate)
            intervals.append(training.interval)
            claims.append(
                _sometimes(
                    f"xor_by_training_{units}_{activation}",
                    f"Gradient descent solves XOR with {units} {activation} units from some random starts.",
                    ["(1/2N)Σ(f − y)², full batch", f"{STARTS} random starts"],
                    training,
                )
            )
        advance(len(work), len(work), "")
    claims += _one_unit(seed)
    record.save_arrays(**{"xor/success_rate": rates, "xor/interval": np.array(intervals, np.float64)})
    record.figure(
        "xor_training",
        success_rate,
        names,
        rates,
        np.array(intervals, np.float64),
        f"XOR from {STARTS} random starts",
        x_label="starts that solve XOR (%)",
    )
    return claims


def _one_unit(seed: int) -> list[Claim]:
    """A monotone unit has one line as its boundary and cannot solve XOR; one that is not monotone can."""
    monotone = train_xor("tanh", 1, STARTS // 5, steps=2000, generator=generator(seed, "xor tanh 1"))
    ripple = train_xor("ripple", 1, STARTS // 5, generator=generator(seed, "xor ripple 1"))
    return [
        exact_claim(
            "one_monotone_unit_never_solves_xor",
            sentence="One monotone hidden unit has a line as its boundary and never solves XOR.",
            formula="share of the starts that solve it = 0",
            hypotheses=[f"1 tanh unit, {STARTS // 5} starts"],
            predicted=0.0,
            measured=monotone.rate,
            tolerance=0.0,
            seeds=STARTS // 5,
        ),
        _sometimes(
            "one_unit_that_is_not_monotone_can",
            "One hidden unit with a non-monotone activation can solve XOR.",
            [f"1 ripple unit, φ(z) = σ(z) + z e^(−z²), {STARTS // 5} starts"],
            ripple,
        ),
    ]


def _sometimes(name: str, sentence: str, hypotheses: list[str], training: XorTraining) -> Claim:
    """The claim that some starts solve XOR."""
    starts = len(training.solved)
    return interval_claim(
        name, sentence, "P(all four corners right) > 0", hypotheses,
        predicted=(0.01, None), measured=training.rate, interval=training.interval, seeds=starts,
        how=f"95% Wilson interval over {starts} starts",
    )  # fmt: skip


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
