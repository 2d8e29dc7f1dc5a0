"""Cybenko's sums: errors over the number of terms; built and trained networks of one size."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from nnlab.approximation.barron import barron_bound, gaussian_constant
from nnlab.approximation.bins import build_bins
from nnlab.approximation.certificate import certify
from nnlab.approximation.steps import STEP_ACTIVATIONS
from nnlab.approximation.superposition import Sweep, side_by_side, sweep
from nnlab.approximation.targets import ExpressionTarget, Target, make_target
from nnlab.chapters.approximation.setup import Config, Line, naming
from nnlab.chapters.approximation.steps.experiment import values_of
from nnlab.chapters.approximation.sums.figures import constructed_and_trained, terms_scaling
from nnlab.errors import Interrupted
from nnlab.expressions import check_domain
from nnlab.lab.outcome import Outcome
from nnlab.lab.session import Advance, Session
from nnlab.record import Record
from nnlab.theory import Claim, exact_claim

WIDTH = 0.25  # s of the Gaussian whose Barron constant is known
UNITS = 20  # of the networks side by side
FALLING = (8, 32, 128)  # terms over which the error of sums built by formula falls


@dataclass(frozen=True)
class Task:
    """A function on a cube.

    Attributes:
        target: f of d variables.
        low, high: the cube (low, high)^d.
        constant: C of Barron's theorem on it; None where it is not known.
    """

    target: Target
    low: float
    high: float
    constant: float | None


def build(config: Config) -> list[Task]:
    """The function that the config names where it has more than one variable, else a Gaussian per dimension.

    Raises:
        InputError: it is not defined everywhere on the cube.
    """
    own = make_target(config.target)
    low, high = config.interval if config.interval and own.dimension > 1 else (0.0, 1.0)
    if isinstance(own, ExpressionTarget) and own.dimension > 1:
        with naming("target"):
            check_domain(own.graph, dict.fromkeys(own.variables, (low, high)))
        return [Task(own, low, high, None)]
    return [_gaussian(d) for d in config.sums.dimensions]


def _gaussian(dimension: int) -> Task:
    names = ["x"] if dimension == 1 else [f"x{i + 1}" for i in range(dimension)]
    squares = " + ".join(f"({name} - 0.5)^2" for name in names)
    target = make_target(f"exp(-({squares})/{2 * WIDTH**2})", dimension)
    return Task(target, 0.0, 1.0, gaussian_constant(WIDTH, 0.0, 1.0, dimension))


def run(
    config: Config, line: Line | None, tasks: Sequence[Task], record: Record, session: Session
) -> Outcome:
    """Fits and trains sums of every size from every seed, and compares built networks with trained ones."""
    metrics: dict[str, float] = {}
    rows: list[dict[str, Any]] = []
    claims: list[Claim] = []
    panels, bounds = {}, {}
    terms = sorted(config.sums.terms)
    with session.reporter.bar("sums") as advance:
        for done, task in enumerate(tasks):
            if session.stop():
                raise Interrupted(f"interrupted before the sums in {task.target.dimension} dimensions")
            d = task.target.dimension
            found = sweep(
                task.target, terms, config.sums.seeds, seed=config.seed, lo=task.low, hi=task.high,
                activation=config.sums.activation, certify=d <= 2,
                progress=partial(_move, advance, done * len(terms), len(tasks) * len(terms), f"d = {d}"),
            )  # fmt: skip
            panels[f"d = {d}"] = _laws(found)
            rows += [row for kind, s in found.items() for row in _rows(task, kind, s)]
            metrics.update(_exponents(d, found))
            _keep(record, d, found)
            if task.constant is not None:
                n = np.geomspace(terms[0], terms[-1], 30)
                bounds[f"d = {d}"] = (n, np.array([barron_bound(task.constant, int(k)) for k in n]))
                claims.append(_barron_claim(task, found["trained"]))
    record.save_figure(terms_scaling(panels, bounds=bounds), "sums")
    if line is not None:
        _compare(config, line, record)
        if line.slope.lower > 0 and math.isfinite(line.slope.upper):  # neither constant nor too steep
            claims += [_falling_claim(line, activation) for activation in STEP_ACTIVATIONS]
    return Outcome(metrics, rows, claims)


def _move(advance: Advance, before: int, total: int, text: str, done: int) -> None:
    advance(before + done, total, text)


def _laws(found: dict[str, Sweep]) -> dict[str, Any]:
    """Errors of both kinds in both norms with their fitted exponents, where there are any."""
    laws = {}
    for kind, s in found.items():
        for norm, errors, fit in (("L₂", s.l2, s.l2_fit), ("sup", s.sup_sampled, s.sup_fit)):
            slope, interval = (math.nan, (None, None)) if fit is None else (fit.slope, fit.interval)
            laws[f"{norm}, {kind}"] = (np.array(s.terms), errors, slope, interval)
    return laws


def _rows(task: Task, kind: str, found: Sweep) -> list[dict[str, Any]]:
    """One per number of terms: geometric means over the seeds, certified bounds on the worst of them."""
    rows = []
    for k, terms in enumerate(found.terms):
        certified = np.isfinite(found.sup_upper[k]).all()
        rows.append({
            "construction": f"Cybenko sum, {kind}, d = {task.target.dimension}",
            "hidden_units": terms,
            "interval": [task.low, task.high],
            "error_lower": float(found.sup_lower[k].max()) if certified else None,
            "error_upper": float(found.sup_upper[k].max()) if certified else None,
            "sup_sampled": float(np.exp(np.log(found.sup_sampled[k]).mean())),
            "l2": float(np.exp(np.log(found.l2[k]).mean())),
        })  # fmt: skip
    for norm, fit in (("l2", found.l2_fit), ("sup", found.sup_fit)):
        if fit is not None:
            rows[-1] |= {f"{norm}_exponent": fit.slope, f"{norm}_exponent_interval": list(fit.interval)}
    return rows


def _exponents(dimension: int, found: dict[str, Sweep]) -> dict[str, float]:
    return {
        f"d{dimension}/{norm}_exponent_{'trained' if kind == 'trained' else 'features'}": fit.slope
        for kind, s in found.items()
        for norm, fit in (("l2", s.l2_fit), ("sup", s.sup_fit))
        if fit is not None
    }


def _keep(record: Record, dimension: int, found: dict[str, Sweep]) -> None:
    for kind, s in found.items():
        at = f"sums/{dimension}/{kind}"
        record.save_arrays(**{
            f"{at}/terms": s.terms, f"{at}/l2": s.l2, f"{at}/sup_sampled": s.sup_sampled,
            f"{at}/sup_lower": s.sup_lower, f"{at}/sup_upper": s.sup_upper,
        })  # fmt: skip


def _barron_claim(task: Task, found: Sweep) -> Claim:
    """One-sided: the bound is on the best network, and training finds one that is no worse than it."""
    assert task.constant is not None
    bounds = np.array([barron_bound(task.constant, terms) for terms in found.terms])
    return exact_claim(
        f"barron_in_{task.target.dimension}_dimensions",
        sentence="Trained sums of N terms are as near in L₂ as Barron's theorem promises of the best.",
        formula="L₂ error / (2C/√N) ≤ 1; the largest over N and seeds",
        hypotheses=[
            f"exp(−|x − c|²/2s²) on [0, 1]^{task.target.dimension}, s = {WIDTH:g}, C = {task.constant:.4g}",
            "N = " + ", ".join(str(n) for n in found.terms),
        ],
        predicted=(None, 1.0),
        measured=float((found.l2 / bounds[:, None]).max()),
        tolerance=1e-6,
        seeds=found.l2.shape[1],
    )


def _falling_claim(line: Line, activation: str) -> Claim:
    """Sums built by formula, their error bounded everywhere: Cybenko's units need not be monotone."""
    certificates = [
        certify(build_bins(line.target, n, line.interval, activation=activation).network, line.target,
                line.interval, relative=1e-3)
        for n in FALLING
    ]  # fmt: skip
    shape = "not monotone" if activation == "ripple" else "monotone"
    return exact_claim(
        f"sums_of_{activation}_come_nearer",
        sentence=f"Sums of {activation} units ({shape}) come nearer as their number grows.",
        formula="sup |Σ αᵢ σ(wᵢx + bᵢ) − f| with 4N terms over that with N, the largest; both certified",
        hypotheses=[
            f"f = {line.target.text} on [{line.interval[0]:g}, {line.interval[1]:g}], continuous",
            "σ → 0 at −∞, → 1 at ∞ up to a constant", "N = " + ", ".join(str(n) for n in FALLING),
        ],
        predicted=(0.0, 0.5),
        measured=max(more.upper / less.lower for less, more in pairwise(certificates)),
        tolerance=0.0,
    )  # fmt: skip


def _compare(config: Config, line: Line, record: Record) -> None:
    """Networks of UNITS hidden units: built by formula, fitted, trained."""
    low, high = line.interval
    built = {
        "staircase": build_bins(line.target, UNITS + 1, line.interval).network,
        "ReLU hats": build_bins(line.target, UNITS, line.interval, construction="hats").network,
    }
    generator = np.random.default_rng([config.seed, UNITS])
    found = side_by_side(
        line.target, UNITS, generator, built, lo=low, hi=high, activation=config.sums.activation
    )
    x = np.linspace(low, high, 2001)
    outputs = {name: values_of(c.network, x) for name, c in found.items()}
    errors = {name: c.errors.sup.upper for name, c in found.items() if c.errors.sup is not None}
    target = line.target.values(x[:, None])
    record.save_arrays(**{
        "side_by_side/x": x, "side_by_side/target": target,
        **{f"side_by_side/{name}": y for name, y in outputs.items()},
    })  # fmt: skip
    figure = constructed_and_trained(
        x, target, outputs, hidden_units=UNITS, errors=errors if len(errors) == len(outputs) else None
    )
    record.save_figure(figure, "side_by_side")
