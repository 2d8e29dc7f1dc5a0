"""Cybenko's sums: errors over the number of terms; built and trained networks of one size."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
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
from nnlab.chapters.approximation.bins.experiment import bends
from nnlab.chapters.approximation.bins.setup import Line, checked_target
from nnlab.chapters.approximation.sums.claims import (
    of_barron,
    of_least_squares,
    of_the_line,
    of_the_plane,
    of_training,
)
from nnlab.chapters.approximation.sums.figures import constructed_and_trained
from nnlab.errors import Interrupted
from nnlab.lab.sections import Distinct, Section, StepName
from nnlab.lab.session import Advance, Outcome, Session
from nnlab.models.activations import STEP_ACTIVATIONS
from nnlab.plot.powerlaws import scaling_laws
from nnlab.record import Record
from nnlab.record.arrays import under
from nnlab.theory import Claim

WIDTH = 0.25  # s of the Gaussian whose Barron constant is known
UNITS = 20  # of the networks side by side


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
                claims += of_barron(WIDTH, d, task.constant, seed)
    barron = ("upper bound 2C/√N on the L₂ error", bounds)
    record.figure("sums", scaling_laws, panels, "error", x_label="terms N", bounds=barron)
    if line is not None:
        _compare(settings.activation, seed, line, record)
        bend = bends(line)
        if bend is not None and line.slope.source == "certified" and 0 < line.slope.upper < math.inf:
            m = float(bend.magnitude.max())
            claims += [of_the_line(line, activation, m) for activation in STEP_ACTIVATIONS]
    claims += [of_the_plane(activation) for activation in STEP_ACTIVATIONS]
    targets = [(task.target, task.low, task.high) for task in tasks]
    claims += [of_least_squares(targets, settings.activation, seed), of_training(seed)]
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
