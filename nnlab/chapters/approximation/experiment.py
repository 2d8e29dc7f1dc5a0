"""Universal approximation, from the perceptron to Cybenko's sums, each error bounded everywhere."""

from collections.abc import Callable

from nnlab.chapters.approximation import setup
from nnlab.chapters.approximation.bins import experiment as approx_bins
from nnlab.chapters.approximation.perceptron import experiment as approx_perceptron
from nnlab.chapters.approximation.setup import build_line
from nnlab.chapters.approximation.steps import experiment as approx_steps
from nnlab.chapters.approximation.sums import experiment as approx_sums
from nnlab.chapters.approximation.surfaces import experiment as approx_surface
from nnlab.errors import InputError, Interrupted
from nnlab.lab.outcome import Outcome
from nnlab.lab.session import Session
from nnlab.record import Record


class Config(setup.Config):
    """Builds networks by formula, bounds their error everywhere, and holds it against the theory."""

    def run(self, record: Record, session: Session) -> Outcome:
        return run(self, record, session)


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
