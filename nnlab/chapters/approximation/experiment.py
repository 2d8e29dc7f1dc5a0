"""Universal approximation, from the perceptron to Cybenko's sums, each error bounded everywhere."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from nnlab.chapters.approximation import schema
from nnlab.chapters.approximation.bins import experiment as bins
from nnlab.chapters.approximation.bins.setup import BinsSettings, build_line
from nnlab.chapters.approximation.perceptron import experiment as perceptron
from nnlab.chapters.approximation.steps import experiment as steps
from nnlab.chapters.approximation.sums import experiment as sums
from nnlab.chapters.approximation.sums.experiment import SumsSettings
from nnlab.chapters.approximation.surfaces import experiment as surfaces
from nnlab.errors import InputError, Interrupted
from nnlab.lab.sections import Distinct
from nnlab.lab.session import Outcome, Session
from nnlab.record import Record
from nnlab.theory import Claim

Part = Literal["perceptron", "steps", "bins", "surface", "sums"]


class Config(BinsSettings):
    """Builds networks by formula, bounds their error everywhere, and holds it against the theory."""

    experiment: Literal["approx"]
    arrays = schema.APPROX_ARRAYS
    parts: Annotated[list[Part], Distinct] = Field(
        ["perceptron", "steps", "bins", "surface", "sums"], min_length=1
    )
    surface: surfaces.SurfaceSettings = surfaces.SurfaceSettings()
    sums: SumsSettings = SumsSettings()

    def run(self, record: Record, session: Session) -> Outcome:
        return run(self, record, session)


def run(config: Config, record: Record, session: Session) -> Outcome:
    """Runs the parts that the config names; each draws its figures and makes its claims."""
    line = build_line(config, session)
    plane = surfaces.build(config.target, config.interval, config.surface)
    tasks = sums.build(config.target, config.interval, config.sums)
    work: dict[str, Callable[[], Outcome]] = {  # in the lecture's order
        "perceptron": lambda: perceptron.run(config.seed, record, session),
        "steps": lambda: steps.run(record),
    }
    if line is not None:
        work["bins"] = lambda: bins.run(config, line, answered, record, session)
    work["surface"] = lambda: surfaces.run(plane, record, session)
    work["sums"] = lambda: sums.run(config.sums, config.seed, line, tasks, record, session)
    parts = [part for part in work if part in config.parts]
    if not parts:
        raise InputError(
            f"target: {config.target}: has more than one variable, and bins are on the line; use parts: "
            "surface (two variables) or sums"
        )
    record.start()
    record.predict({"bins": bins.predictions(config, line)} if line is not None else {})
    answered = None
    if line is not None and "bins" in parts:
        answered = bins.answer(config, line, session)  # before all else, as it is what was asked
    metrics: dict[str, float] = {}
    rows: list[Mapping[str, Any]] = []
    claims: list[Claim] = []
    for part in parts:
        if session.stop():
            raise Interrupted(f"interrupted before the part {part}")
        done = work[part]()
        metrics |= {f"{part}/{name}": value for name, value in done.metrics.items()}
        rows += done.results
        claims += done.claims
    return Outcome(metrics, rows, claims)
