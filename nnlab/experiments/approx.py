"""Universal approximation, from the perceptron to Cybenko's sums, each error bounded everywhere."""

from collections.abc import Callable

from nnlab.errors import InputError, Interrupted
from nnlab.experiments import approx_bins, approx_perceptron, approx_steps, approx_sums, approx_surface
from nnlab.experiments.approx_setup import Config, build_line
from nnlab.experiments.outcome import Outcome
from nnlab.experiments.session import Session
from nnlab.record import Record

__all__ = ["Config", "run"]

ORDER = ("perceptron", "steps", "bins", "surface", "sums")  # of the lecture


def run(config: Config, record: Record, session: Session) -> Outcome:
    """Runs the parts that the config names; each draws its figures and makes its claims."""
    line = build_line(config, session)
    plane, sums = approx_surface.build(config), approx_sums.build(config)
    work: dict[str, Callable[[], Outcome]] = {
        "perceptron": lambda: approx_perceptron.run(config.seed, record, session),
        "steps": lambda: approx_steps.run(record),
        "surface": lambda: approx_surface.run(plane, record, session),
        "sums": lambda: approx_sums.run(config, line, sums, record, session),
    }
    if line is not None:
        work["bins"] = lambda: approx_bins.run(config, line, record, session)
    parts = [part for part in ORDER if part in config.parts and part in work]
    if not parts:
        raise InputError(
            f"target: {config.target}: has more than one variable, and bins are on the line; use parts: "
            "surface (two variables) or sums"
        )
    record.start()
    record.predict({"bins": approx_bins.predictions(config, line)} if line is not None else {})
    metrics: dict[str, float] = {}
    rows, claims = [], []
    for part in parts:
        if session.stop():
            raise Interrupted(f"interrupted before the part {part}")
        outcome = work[part]()
        metrics.update({f"{part}/{name}": value for name, value in outcome.metrics.items()})
        rows += outcome.results
        claims += outcome.claims
    return Outcome(metrics, rows, claims)
