"""The tangent kernel over widths: what it predicts is written down, then networks train and are compared."""

import math
from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field, PositiveFloat

from nnlab.chapters.kernels import circle, discretization, drawing, edge, infinite, schema, start
from nnlab.chapters.kernels.claims import claims_about, kernel_notes
from nnlab.chapters.kernels.infinite import Networks
from nnlab.chapters.kernels.members import Comparison, Member, Study, compare, prepare
from nnlab.chapters.kernels.setup import (
    KernelCustom,
    KernelMLP,
    KernelModel,
    LinePoints,
    Points,
    build_task,
)
from nnlab.errors import Diverged, InputError, Interrupted
from nnlab.lab.sections import Count, Distinct, Experiment, Hardware, Section
from nnlab.lab.session import Outcome, Session
from nnlab.ntk import MemoryLimitError, ModelError
from nnlab.record import Record

AFFORDABLE = 3_000_000  # parameters of a network that is small enough to train many times


SampledActivation = Literal["relu", "leaky_relu", "erf", "gelu", "tanh", "sigmoid", "elu"]


class SquaredError(Section):
    """`sum` is ½Σ‖y−ȳ‖², `mean` is (1/2N)Σ‖y−ȳ‖²."""

    name: Literal["squared_error"]
    reduction: Literal["sum", "mean"] = "sum"


class CrossEntropy(Section):
    """−log softmax of the right class, summed over the examples or their mean; for images."""

    name: Literal["cross_entropy"]
    reduction: Literal["sum", "mean"] = "mean"


class Descent(Hardware):
    """Full-batch gradient descent. The steps are those of every training in the experiment."""

    steps: int = Field(300, ge=1, le=10**7)
    lr_fraction: float = Field(0.5, gt=0, le=100, description="step size in units of η_max = 2/λmax(H₀)")
    precision: Literal["float32", "float64"] = "float64"


class Edge(Section):
    """Further trainings, with step sizes in units of η_max."""

    multiples: Annotated[list[PositiveFloat], Distinct] = Field([0.95, 1.05, 1.5], min_length=1)
    steps: int | None = Field(None, ge=1, le=10**6, description="those of training if left out")


class Config(Experiment):
    """Predicts training from the tangent kernel at the start, then trains and compares, width by width."""

    experiment: Literal["ntk"]
    arrays = schema.ARRAYS
    widths: Annotated[list[Count], Distinct] = Field([64, 256, 1024], min_length=1)
    seeds: int = Field(3, ge=1, le=1000, description="networks of each width")
    data: Points = LinePoints(name="line")
    model: KernelModel = KernelMLP(name="mlp")
    loss: Annotated[SquaredError | CrossEntropy, Field(discriminator="name")] = SquaredError(
        name="squared_error"
    )
    training: Descent = Descent()
    edge: Edge = Edge()
    infinite: bool = Field(
        False,
        description="predict the ensemble of infinitely wide networks too; compare finite ones with it",
    )
    ensemble: Networks = Networks()
    sampled: Annotated[list[SampledActivation], Distinct] = Field(
        [], description="activations whose infinitely wide kernels are held against many random networks"
    )
    outputs: Annotated[list[Annotated[int, Field(ge=0)]], Distinct] | None = Field(
        None,
        min_length=1,
        description="indices of the scores whose spectra are computed; all of them if left out",
    )
    memory_gib: PositiveFloat | None = Field(
        None, le=10**6, description="limit for one kernel; a quarter of the free memory if left out"
    )

    @property
    def memory_limit(self) -> int | None:
        """The limit for one kernel in bytes."""
        return None if self.memory_gib is None else int(self.memory_gib * 2**30)

    def run(self, record: Record, session: Session) -> Outcome:
        return run(self, record, session)


def run(config: Config, record: Record, session: Session) -> Outcome:
    """Computes every kernel at the start, writes the predictions, trains, compares, and judges."""
    study = Study(
        model=config.model, task=build_task(config.data, config.training, session), loss=config.loss.name,
        reduction=config.loss.reduction, lr_fraction=config.training.lr_fraction, steps=config.training.steps,
        memory_limit=config.memory_limit, outputs=config.outputs, allow_custom_code=session.allow_custom_code,
        seed=config.seed,
    )  # fmt: skip
    _check(config, study)
    members = list(_members(config, study, session))
    at_the_edge = edge.Edge(
        _edge_member(members), sorted(config.edge.multiples), config.edge.steps or config.training.steps
    )
    ensemble = infinite.prepare(study, config.ensemble) if config.infinite else None
    predictions = {
        "steps": study.recorded,
        "members": [member.predictions() for member in members],
        "step_sizes": at_the_edge.predictions(),
    }
    if ensemble is not None:
        predictions["infinite"] = ensemble.as_dict(study)
    notes = kernel_notes(study, members)
    for note in notes:
        session.reporter.say(note)
    record.start()
    record.note(notes)
    record.predict(predictions)
    comparisons = _compared(config, members, record, session)
    claims = start.claims_of(study, config.sampled) + claims_about(study, comparisons)
    claims += discretization.run(study, record, session)
    drift = next(c.drift for c in comparisons if c.member is at_the_edge.member)
    claims += edge.run(at_the_edge, drift, record, session)
    if config.data.name == "circle":
        claims += circle.run(config.model, record, session)
    metrics = _metrics(comparisons)
    if ensemble is not None:
        more, measured = infinite.run(ensemble, study, record, session)
        claims, metrics = claims + more, metrics | measured
    drawing.draw(study, comparisons, record)
    return Outcome(metrics, [comparison.row() for comparison in comparisons], claims)


def _check(config: Config, study: Study) -> None:
    """Raises InputError where sections of the config do not fit each other, or the data."""
    task = study.task
    if study.loss == "cross_entropy" and task.labels is None:
        raise InputError(
            f"loss.name: cross_entropy needs classes, but data.name: {config.data.name} has numbers; "
            "use data.name: digits, mnist or cifar10, a csv with data.task: classification, or loss.name: "
            "squared_error"
        )
    for index in config.outputs or ():
        if index >= task.outputs:
            raise InputError(f"outputs: {index}: these data have the outputs 0 to {task.outputs - 1}")
    if isinstance(config.model, KernelCustom):
        _check_repeats(config.model, study, min(config.widths))
    if config.infinite:
        infinite.check(config.data.name, study)


def _check_repeats(model: KernelCustom, study: Study, width: int) -> None:
    """A factory that draws other random numbers than torch's returns another network every time."""
    first, again = (study.network(width, 0).eval() for _ in range(2))
    with torch.no_grad():
        outputs, others = first(study.task.x), again(study.task.x)
    mine, theirs = (list(network.state_dict().values()) for network in (first, again))
    same = len(mine) == len(theirs) and all(torch.equal(a, b) for a, b in zip(mine, theirs, strict=True))
    close = torch.allclose(outputs, others, rtol=1e-4, atol=1e-4 * float(outputs.abs().max()))
    if not (same and close):
        raise InputError(
            f"model.factory: {model.factory} returns another network each time it is called for one seed; "
            "draw its parameters from torch's global random numbers alone, which are seeded"
        )


def _members(config: Config, study: Study, session: Session) -> Iterator[Member]:
    """Every network at its start, with its kernel."""
    pairs = [(width, number) for width in sorted(config.widths) for number in range(config.seeds)]
    with session.reporter.bar("kernels at the start") as advance:
        for done, (width, number) in enumerate(pairs):
            if session.stop():
                raise Interrupted("interrupted before the predictions were complete: nothing was written")
            advance(done, len(pairs), f"width {width}")
            try:
                yield prepare(study, width, number)
            except ModelError as error:
                if not isinstance(config.model, KernelCustom):
                    raise
                raise InputError(f"model.factory: {config.model.factory}: {error}") from error
            except MemoryLimitError as error:
                reason = str(error).replace("memory_limit: ", "").partition(";")[0]
                raise InputError(
                    f"memory_gib: at width {width} {reason}; raise it (--memory), or take a smaller width "
                    "or fewer data.examples"
                ) from error


def _edge_member(members: Sequence[Member]) -> Member:
    """The widest network that is small enough to train many times."""
    affordable = [member for member in members if member.parameters <= AFFORDABLE] or members[:1]
    return max(affordable, key=lambda member: member.width)


def _compared(
    config: Config, members: Sequence[Member], record: Record, session: Session
) -> list[Comparison]:
    comparisons = []
    with session.reporter.bar("training") as advance:
        for done, member in enumerate(members):
            advance(done, len(members), f"width {member.width}")
            comparisons.append(compare(member, linear=member.number == 0, stop=session.stop))
            for row in comparisons[-1].log_rows():
                record.log(row)
        advance(len(members), len(members), "")
    if all(comparison.kernel is None for comparison in comparisons):
        fraction = config.training.lr_fraction
        raise Diverged(
            f"every network diverged; training.lr_fraction: {fraction:g} of η_max is too much: try "
            f"{0.5 if fraction > 0.5 else fraction / 10:g}"
        )
    return comparisons


def _metrics(comparisons: Sequence[Comparison]) -> dict[str, float]:
    """Means over the seeds of the widest network that trained."""
    done = [c for c in comparisons if c.kernel is not None]
    widest = [c.row() for c in done if c.member.width == done[-1].member.width]
    same = ("lambda_min", "lambda_max", "kernel_drift", "distance_to_infinite", "residual_error")
    means: dict[str, float] = {}
    for name, column in {"train/loss": "train_loss", **{name: name for name in same}}.items():
        values = [row[column] for row in widest if row[column] is not None]
        if values:
            means[name] = math.fsum(values) / len(values)
    return means
