"""The perceptron on AND, OR and XOR: mistakes and their bound, the proof for XOR, two hidden units."""

import numpy as np
import torch
from numpy.typing import NDArray

from nnlab.approximation.network import Network
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
from nnlab.approximation.xor_units import exact_xor, solves_xor, train_xor
from nnlab.chapters.approximation.perceptron.figures.mistakes import perceptron_mistakes
from nnlab.chapters.approximation.perceptron.figures.separation import separating_lines
from nnlab.lab.outcome import Outcome
from nnlab.lab.session import Session, generator
from nnlab.plot.sweeps import success_rate
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
    """Runs the rule, proves that XOR has no line, and solves it by formula and by training."""
    points = np.array(CORNERS)
    mistakes, bounds, worst = _mistakes(seed)
    _draw(record, points)
    record.save_arrays(**{f"mistakes/{name}": np.array(m) for name, m in mistakes.items()})
    record.save_figure(perceptron_mistakes(mistakes, bounds), "perceptron_mistakes")
    claims = [_bound_claim(mistakes, bounds, worst), _no_line_claim(points), _formula_claim()]
    return Outcome({}, [], [*claims, *_training(seed, record, session)])


# --- the learning rule ----------------------------------------------------------------------------------


def _mistakes(seed: int) -> tuple[dict[str, list[int]], dict[str, float], float]:
    """Mistakes until all points are right and the largest bound (R/γ)², by problem; the worst ratio."""
    draw = generator(seed, "planted")
    problems = {
        "AND": [(np.array(CORNERS), np.array(GATES["and"]))],
        "OR": [(np.array(CORNERS), np.array(GATES["or"]))],
        f"{2**DOUBLINGS} orthogonal points": [tight(DOUBLINGS)],
        "200 random points": [planted(100, 10, MARGIN, 0.3, draw) for _ in range(ORDERS)],
    }
    found = {name: [(learn(*one).mistakes, _bound(*one)) for one in sets] for name, sets in problems.items()}
    mistakes = {name: [m for m, _ in pairs] for name, pairs in found.items()}
    bounds = {name: max(bound for _, bound in pairs) for name, pairs in found.items()}
    return mistakes, bounds, max(m / bound for pairs in found.values() for m, bound in pairs)


def _bound(points: Array, labels: Array) -> float:
    """(R/γ)²: by the best margin, which for random points is the planted one."""
    if len(points) <= 2**DOUBLINGS:
        return float(best_margin(points, labels).most_mistakes)
    return float(((points**2).sum(axis=1) + 1).max()) / MARGIN**2


def _bound_claim(mistakes: dict[str, list[int]], bounds: dict[str, float], worst: float) -> Claim:
    return exact_claim(
        "perceptron_mistake_bound",
        sentence="The perceptron makes at most (R/γ)² mistakes, and on some points exactly as many.",
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
    found = separate(points, labels)
    proved = found.separable is False and is_certificate(points, labels, found.certificate)
    words = ", ".join(str(weight) for weight in found.certificate)
    return exact_claim(
        "no_line_separates_xor",
        sentence="No line separates XOR: both classes have a point in common, the middle of the square.",
        formula="λ ≥ 0, Σ λᵢ = 1, Σ λᵢ yᵢ (xᵢ, 1) = 0 (Gordan 1873), checked in rational numbers",
        hypotheses=[f"λ = {words}", "common point " + ", ".join(str(part) for part in found.common)],
        predicted=1.0,
        measured=float(proved),
        tolerance=0.0,
        rivals={"not proved": 0.0},
    )


# --- two hidden units -----------------------------------------------------------------------------------


def _formula_claim() -> Claim:
    names = ("step", "sigmoid", "tanh", "ripple", "relu")
    solutions = {name: exact_xor(name) for name in names}
    solved = [solves_xor(solution.network()) for solution in solutions.values()]
    return exact_claim(
        "two_hidden_units_solve_xor",
        sentence="Two hidden units solve XOR, by weights that can be written down, with any activation.",
        formula="share of the activations whose network has the right sign at all four corners",
        hypotheses=[f"{name}: margin {solution.margin:.3g}" for name, solution in solutions.items()],
        predicted=1.0,
        measured=float(np.mean(solved)),
        tolerance=0.0,
        rivals={"one that fails": 1 - 1 / len(names)},
    )


def _training(seed: int, record: Record, session: Session) -> list[Claim]:
    """From many starts, with two, three and four hidden units."""
    rates, intervals, names, claims = [], [], [], []
    work = [("tanh", units) for units in UNITS] + [(name, 2) for name in LEARNERS if name != "tanh"]
    with session.reporter.bar("XOR from many starts") as advance:
        for done, (activation, units) in enumerate(work):
            advance(done, len(work), f"{units} {activation} units")
            draw = generator(seed, f"xor {activation} {units}")
            found = train_xor(activation, units, STARTS, generator=draw)
            low, high = found.interval
            names.append(f"{units} {activation} units")
            rates.append(found.rate)
            intervals.append([low, high])
            claims.append(
                interval_claim(
                    f"xor_by_training_{units}_{activation}",
                    sentence=f"Gradient descent solves XOR with {units} {activation} units from some starts.",
                    formula="P(all four corners right) > 0",
                    hypotheses=["(1/2N)Σ(f − y)², full batch", f"{STARTS} random starts"],
                    predicted=(0.01, None),
                    measured=found.rate,
                    interval=(low, high),
                    seeds=STARTS,
                    how=f"95% Wilson interval over {STARTS} starts",
                )
            )
        advance(len(work), len(work), "")
    claims += _one_unit(seed)
    record.save_arrays(**{"xor/success_rate": rates, "xor/interval": np.array(intervals, np.float64)})
    figure = success_rate(
        names,
        rates,
        np.array(intervals, np.float64),
        f"XOR from {STARTS} random starts",
        x_label="starts that solve XOR (%)",
    )
    record.save_figure(figure, "xor_training")
    return claims


def _one_unit(seed: int) -> list[Claim]:
    """A monotone unit has one line as its boundary and cannot solve XOR; one that is not monotone can."""
    monotone = train_xor("tanh", 1, STARTS // 5, steps=2000, generator=generator(seed, "xor tanh 1"))
    ripple = train_xor("ripple", 1, STARTS // 5, generator=generator(seed, "xor ripple 1"))
    low, high = ripple.interval
    return [
        exact_claim(
            "one_monotone_unit_never_solves_xor",
            sentence="One hidden unit with a monotone activation is a line, and never solves XOR.",
            formula="share of the starts that solve it = 0",
            hypotheses=[f"1 tanh unit, {STARTS // 5} starts"],
            predicted=0.0,
            measured=monotone.rate,
            tolerance=0.0,
            seeds=STARTS // 5,
        ),
        interval_claim(
            "one_unit_that_is_not_monotone_can",
            sentence="One hidden unit whose activation is not monotone can solve XOR.",
            formula="P(all four corners right) > 0",
            hypotheses=[f"1 ripple unit, φ(z) = σ(z) + z e^(−z²), {STARTS // 5} starts"],
            predicted=(0.01, None),
            measured=ripple.rate,
            interval=(low, high),
            seeds=STARTS // 5,
            how=f"95% Wilson interval over {STARTS // 5} starts",
        ),
    ]


# --- figure ---------------------------------------------------------------------------------------------


def _draw(record: Record, points: Array) -> None:
    """The rule's lines on each gate, and the two hidden units with the band between their lines."""
    panels = {}
    for name, labels in GATES.items():
        path = learn(points, labels, SHOWN if name == "xor" else 10_000).path[1:]
        panels[name.upper()] = (points, (np.array(labels) > 0).astype(int), path)
        record.save_arrays(**{f"perceptron/{name}": path})
    solution = exact_xor("step")
    (weight, bias), _ = solution.layers
    lines = np.column_stack([weight, bias])
    two = "XOR, two hidden units"
    panels[two] = (points, panels["XOR"][1], lines)
    axis = np.linspace(-0.5, 1.5, SIDE)
    figure = separating_lines(
        panels,
        regions={two: (axis, axis, _classes(solution.network(), axis))},
        captions={"XOR": "no line separates: proved", two: "right between the two lines"},
    )
    record.save_figure(figure, "perceptron")


def _classes(network: Network, axis: Array) -> NDArray[np.int64]:
    """(G, G): 1 where the network is positive, at (x₁, x₂)."""
    grid = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    with torch.no_grad():
        values = network(torch.from_numpy(grid)).numpy()
    return np.asarray((values > 0).reshape(len(axis), len(axis)), np.int64)
