"""XOR: no linear classifier, two hidden units."""

import math
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field

from nnlab.chapters.approximation import schema
from nnlab.chapters.approximation.perceptron.figures import success_rate
from nnlab.data import DataSet
from nnlab.errors import InputError, Interrupted
from nnlab.lab import drawing
from nnlab.lab.sections import Count, Distinct, TrainingExperiment
from nnlab.lab.session import Outcome, Session
from nnlab.lab.training_run import build_parts, train, vary
from nnlab.plot.regions import decision_regions
from nnlab.record import Record
from nnlab.record.arrays import under
from nnlab.theory import Claim, exact_claim, proportion_interval
from nnlab.training import Parts, predict
from nnlab.training.losses import cross_entropy

TIE = 1e-6  # of a probability from one half


class Config(TrainingExperiment):
    """Trains networks with each list of hidden layers on XOR, from many starts."""

    experiment: Literal["xor"]
    arrays = schema.XOR_ARRAYS
    hidden: Annotated[list[list[Count]], Distinct] = Field([[], [2], [8]], min_length=1)
    starts: Count = 20

    def run(self, record: Record, session: Session) -> Outcome:
        return run(self, record, session)


def run(config: Config, record: Record, session: Session) -> Outcome:
    """Counts from how many starts each architecture learns all training points."""
    if config.model.name != "mlp" or config.data.name != "xor":
        raise InputError("experiment: xor is about model.name: mlp and data.name: xor")
    data = build_parts(config, session).data
    record.start()
    rows, regions = [], {}
    grid = drawing.plane(data)
    for hidden in config.hidden:
        row, best = _starts(config, hidden, record, session)
        rows.append(row)
        regions[row["model"]] = drawing.plane_probabilities(best, data, grid.inputs)
    _draw(record, rows, regions, grid, data)
    metrics = {f"{row['model']}/success_rate": row["success_rate"] for row in rows}
    return Outcome(metrics, rows, _claims(rows, exact=config.data.noise == 0))


def _starts(
    config: Config, hidden: list[int], record: Record, session: Session
) -> tuple[dict[str, Any], torch.nn.Module]:
    """Trains one architecture from every start; its row, and the model with the least loss."""
    name = "linear" if not hidden else f"{'-'.join(map(str, hidden))} hidden units"
    accuracies, losses, best = [], [], None
    for start in range(config.starts):
        if session.stop():
            raise Interrupted(f"stopped before start {start + 1} of {config.starts}, {name}")
        varied = vary(config, {"model.hidden": hidden, "seed": config.seed * config.starts + start})
        parts = build_parts(varied, session)
        train(varied, parts, record, session, part=f"{name.replace(' ', '-')}-{start}")
        accuracy, loss = _accuracy_and_loss(parts)
        accuracies.append(accuracy)
        losses.append(loss)
        if losses[-1] == min(losses):
            best = parts.model
    successes = sum(accuracy == 1.0 for accuracy in accuracies)
    low, high = proportion_interval(successes, config.starts)
    assert best is not None
    return {
        "model": name,
        "starts": config.starts,
        "success_rate": successes / config.starts,
        "interval": [low, high],
        "best_accuracy": max(accuracies),
        "least_loss": min(losses),
    }, best


def _accuracy_and_loss(parts: Parts) -> tuple[float, float]:
    """Accuracy and loss on the training points; a tie, one half for both classes, is half right.

    The best linear classifier says one half everywhere: rounding alone would break its ties, well or badly,
    where a coin gets half of them right.
    """
    train = parts.data.train
    scores = predict(parts.model, parts.data, train.inputs).double()
    lead = scores.softmax(1).gather(1, train.targets[:, None]) - 0.5
    right = torch.where(lead.abs() <= TIE, 0.5, (lead > 0).double())
    return float(right.mean()), float(cross_entropy(scores, train.targets))


def _draw(
    record: Record,
    rows: list[dict[str, Any]],
    regions: dict[str, np.ndarray],
    grid: drawing.Plane,
    data: DataSet,
) -> None:
    arrays = {"x1": grid.x1, "x2": grid.x2, "points": grid.points}
    record.save_arrays(**arrays, **under("regions", regions))
    record.figure(
        "regions",
        decision_regions,
        grid.x1,
        grid.x2,
        regions,
        grid.points,
        data.train.targets.numpy(force=True),
        data.class_names,
    )
    names = [row["model"] for row in rows]
    rates, intervals = [r["success_rate"] for r in rows], [r["interval"] for r in rows]
    record.save_arrays(success_rate=rates, success_interval=intervals)
    record.figure(
        "success_rate", success_rate, names, rates, intervals, x_label="starts that learn every point (%)"
    )


def _claims(rows: list[dict[str, Any]], *, exact: bool) -> list[Claim]:
    claims = []
    for row in rows:
        if row["model"] == "linear":
            claims.append(_linear_accuracy(row, exact=exact))
            if exact:
                claims.append(_linear_loss(row))
    return claims


def _linear_accuracy(row: dict[str, Any], *, exact: bool) -> Claim:
    return exact_claim(
        "linear_fails_xor",
        sentence="A linear classifier gets at most three of the four corners right.",
        formula="no w, b: sign(wᵀx + b) = −x₁x₂ on {±1}²",
        hypotheses=[f"the best of {row['starts']} starts, on the training points", "a tie is half right"],
        predicted=(None, 0.75 if exact else 0.999),  # noise may move a few points over a line
        measured=row["best_accuracy"],
        tolerance=0.0,
        seeds=row["starts"],
        predicted_by="closed form: no line separates XOR",
        measured_by="nnlab.training.fit",
    )


def _linear_loss(row: dict[str, Any]) -> Claim:
    """The loss is convex and XOR is symmetric, so W = 0 minimizes it: every class has probability ½."""
    return exact_claim(
        "linear_loss_on_xor_is_log_2",
        sentence="The best that a linear classifier can do on XOR is to say one half everywhere.",
        formula="min L = log 2",
        hypotheses=["the four corners, each equally often"],
        predicted=math.log(2),
        measured=row["least_loss"],
        tolerance=1e-4,
        predicted_by="closed form: log 2",
        measured_by="nnlab.training.fit",
        rivals={"three of four right": math.log(2) * 0.75, "all right": 0.0},
        seeds=row["starts"],
    )
