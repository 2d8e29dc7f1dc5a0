"""Cybenko's sums: errors over the number of terms; built and trained networks of one size."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from nnlab.approximation.bins import build_bins
from nnlab.approximation.certificate import certify
from nnlab.approximation.quadrature import Errors
from nnlab.approximation.superposition import (
    Sweep,
    barron_bound,
    gaussian_constant,
    random_features,
    sweep,
    train,
)
from nnlab.approximation.targets import Target, make_target
from nnlab.chapters.approximation.bins.setup import Line, checked_target
from nnlab.chapters.approximation.sums.figures import constructed_and_trained
from nnlab.errors import Interrupted
from nnlab.lab.sections import Distinct, Section, StepName
from nnlab.lab.session import Advance, Outcome, Session
from nnlab.models.activations import ACTIVATIONS, STEP_ACTIVATIONS
from nnlab.plot.powerlaws import scaling_laws
from nnlab.record import Record
from nnlab.record.arrays import under
from nnlab.theory import Claim, exact_claim

WIDTH = 0.25  # s of the Gaussian whose Barron constant is known
UNITS = 20  # of the networks side by side
FALLING = (8, 32, 128)  # terms over which the error of sums built by formula falls


class SumsSettings(Section):
    """Σ αᵢ σ(wᵢᵀx + bᵢ) in each of the dimensions, over the number of terms and seeds."""

    dimensions: Annotated[list[Annotated[int, Field(ge=1, le=4)]], Distinct] = Field([1, 2, 3], min_length=1)
    terms: Annotated[list[Annotated[int, Field(ge=1, le=4096)]], Distinct] = Field(
        [8, 16, 32, 64], min_length=1
    )
    seeds: int = Field(5, ge=1, le=1000)
    activation: StepName = "sigmoid"


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


def build(text: str, interval: list[float] | None, settings: SumsSettings) -> list[Task]:
    """The target of the config where it has more than one variable, else a Gaussian per dimension.

    Args:
        text: the target.
        interval: that of the config.
        settings: the section `sums`.

    Raises:
        InputError: it is not defined everywhere on the cube.
    """
    if make_target(text).dimension > 1:
        low, high = interval or (0.0, 1.0)
        return [Task(checked_target("target", text, (low, high)), low, high, None)]
    return [_gaussian(d) for d in settings.dimensions]


def _gaussian(dimension: int) -> Task:
    names = ["x"] if dimension == 1 else [f"x{i + 1}" for i in range(dimension)]
    squares = " + ".join(f"({name} - 0.5)^2" for name in names)
    target = make_target(f"exp(-({squares})/{2 * WIDTH**2})", dimension)
    return Task(target, 0.0, 1.0, gaussian_constant(WIDTH, 0.0, 1.0, dimension))


def run(
    settings: SumsSettings,
    seed: int,
    line: Line | None,
    tasks: Sequence[Task],
    record: Record,
    session: Session,
) -> Outcome:
    """Fits and trains sums of every size from every seed, and compares built networks with trained ones."""
    metrics: dict[str, float] = {}
    rows: list[dict[str, Any]] = []
    claims: list[Claim] = []
    panels, bounds = {}, {}
    terms = sorted(settings.terms)
    with session.reporter.bar("sums") as advance:
        for done, task in enumerate(tasks):
            if session.stop():
                raise Interrupted(f"interrupted before the sums in {task.target.dimension} dimensions")
            d = task.target.dimension
            sweeps = sweep(
                task.target, terms, settings.seeds, seed=seed, lo=task.low, hi=task.high,
                activation=settings.activation, certify=d <= 2,
                progress=partial(_move, advance, done * len(terms), len(tasks) * len(terms), f"d = {d}"),
            )  # fmt: skip
            panels[f"d = {d}"] = _laws(sweeps)
            rows += [row for kind, s in sweeps.items() for row in _rows(task, kind, s)]
            for kind, s in sweeps.items():
                name = "trained" if kind == "trained" else "features"
                metrics |= {f"d{d}/{norm}_exponent_{name}": fit.slope for norm, fit in s.fits.items()}
            for kind, s in sweeps.items():
                record.save_arrays(**under(f"sums/{d}/{kind}", {"terms": s.terms, **s.errors._asdict()}))
            if task.constant is not None:
                n = np.geomspace(terms[0], terms[-1], 30)
                bounds[f"d = {d}"] = (n, np.array([barron_bound(task.constant, int(k)) for k in n]))
                claims.append(_barron_claim(task, sweeps["trained"]))
    barron = ("upper bound 2C/√N on the L₂ error", bounds)
    record.figure("sums", scaling_laws, panels, "error", x_label="terms N", bounds=barron)
    if line is not None:
        _compare(settings.activation, seed, line, record)
        if line.slope.lower > 0 and math.isfinite(line.slope.upper):  # neither constant nor too steep
            claims += [_falling_claim(line, activation) for activation in STEP_ACTIVATIONS]
    return Outcome(metrics, rows, claims)


def _move(advance: Advance, before: int, total: int, text: str, done: int) -> None:
    advance(before + done, total, text)


def _laws(sweeps: dict[str, Sweep]) -> dict[str, Any]:
    """Errors of both kinds in both norms with their fitted exponents, where there are any."""
    laws = {}
    for kind, s in sweeps.items():
        for norm, key, errors in (("L₂", "l2", s.errors.l2), ("sup", "sup", s.errors.sup_sampled)):
            fit = s.fits.get(key)
            slope, interval = (math.nan, (None, None)) if fit is None else (fit.slope, fit.interval)
            laws[f"{norm}, {kind}"] = (np.array(s.terms), errors, slope, interval)
    return laws


def _rows(task: Task, kind: str, s: Sweep) -> list[dict[str, Any]]:
    """A row per number of terms: geometric means over the seeds, certified bounds on the worst of them."""
    rows = []
    for terms, *of_seeds in zip(s.terms, *s.errors, strict=True):
        errors = Errors(*of_seeds)
        certified = np.isfinite(errors.sup_upper).all()
        rows.append({
            "construction": f"Cybenko sum, {kind}, d = {task.target.dimension}",
            "hidden_units": terms,
            "interval": [task.low, task.high],
            "error_lower": float(errors.sup_lower.max()) if certified else None,
            "error_upper": float(errors.sup_upper.max()) if certified else None,
            "sup_sampled": float(np.exp(np.log(errors.sup_sampled).mean())),
            "l2": float(np.exp(np.log(errors.l2).mean())),
        })  # fmt: skip
    for norm, fit in s.fits.items():
        rows[-1] |= {f"{norm}_exponent": fit.slope, f"{norm}_exponent_interval": list(fit.interval)}
    return rows


def _barron_claim(task: Task, trained: Sweep) -> Claim:
    """The trained sums meet the bound; it is on the best network, so it holds them from one side only."""
    assert task.constant is not None
    bounds = np.array([barron_bound(task.constant, terms) for terms in trained.terms])
    return exact_claim(
        f"barron_in_{task.target.dimension}_dimensions",
        sentence="Trained sums of N terms meet the L₂ bound that Barron's theorem gives for the best ones.",
        formula="L₂ error / (2C/√N) ≤ 1; the largest over N and seeds",
        hypotheses=[
            f"exp(−|x − c|²/2s²) on [0, 1]^{task.target.dimension}, s = {WIDTH:g}, C = {task.constant:.4g}",
            "N = " + ", ".join(str(n) for n in trained.terms),
        ],
        predicted=(None, 1.0),
        measured=float((trained.errors.l2 / bounds[:, None]).max()),
        tolerance=1e-6,
        seeds=trained.errors.l2.shape[1],
    )


def _falling_claim(line: Line, activation: str) -> Claim:
    """The certified error of sums built by formula falls: Cybenko's units need not be monotone."""
    certificates = [
        certify(build_bins(line.target, n, line.interval, activation=activation).network, line.target,
                line.interval, relative=1e-3)
        for n in FALLING
    ]  # fmt: skip
    step = ACTIVATIONS[activation].step
    shape = "monotone" if step is not None and step.logistic is not None else "not monotone"
    return exact_claim(
        f"sums_of_{activation}_come_nearer",
        sentence=f"The certified error of sums of {activation} units ({shape}) falls as their number grows.",
        formula="sup |Σ αᵢ σ(wᵢx + bᵢ) − f| with 4N terms over that with N, certified; the largest ratio",
        hypotheses=[
            f"f = {line.target.text} on [{line.interval[0]:g}, {line.interval[1]:g}], continuous",
            "σ → 0 at −∞, → 1 at ∞ up to a constant", "N = " + ", ".join(str(n) for n in FALLING),
        ],
        predicted=(0.0, 0.5),
        measured=max(more.upper / less.lower for less, more in pairwise(certificates)),
        tolerance=0.0,
    )  # fmt: skip


def _compare(activation: str, seed: int, line: Line, record: Record) -> None:
    """Draws networks of UNITS hidden units: built by formula, fitted, trained."""
    low, high = line.interval
    features = random_features(
        line.target, UNITS, np.random.default_rng([seed, UNITS]), lo=low, hi=high, activation=activation
    )
    networks = {
        "staircase": build_bins(line.target, UNITS + 1, line.interval).network,
        "ReLU hats": build_bins(line.target, UNITS, line.interval, construction="hats").network,
        "random features": features,
        "trained": train([features], line.target, lo=low, hi=high)[0],
    }
    x = np.linspace(low, high, 2001)
    outputs = {name: network.values(x[:, None]) for name, network in networks.items()}
    target = line.target.values(x[:, None])
    record.save_arrays(**under("side_by_side", {"x": x, "target": target, **outputs}))
    panels = {
        name: (outputs[name], certify(network, line.target, line.interval, relative=1e-3).upper)
        for name, network in networks.items()
    }
    record.figure("side_by_side", constructed_and_trained, x, target, panels, UNITS)
