"""Train on number targets by squared error, and show the function that was learned."""

from typing import Literal

import torch

from nnlab.chapters.classification.figures.regression import regression_fit
from nnlab.data import target_function
from nnlab.errors import InputError
from nnlab.lab import drawing
from nnlab.lab.outcome import Outcome
from nnlab.lab.sections import Regression1dData, TrainingExperiment
from nnlab.lab.session import Session
from nnlab.lab.training_run import Parts, build_parts, train
from nnlab.record import Record
from nnlab.theory import Claim, exact_claim
from nnlab.training import predict
from nnlab.training.losses import squared_error


class Config(TrainingExperiment):
    """Fits a function by squared error."""

    experiment: Literal["regress"]

    def run(self, record: Record, session: Session) -> Outcome:
        return run(self, record, session)


def run(config: Config, record: Record, session: Session) -> Outcome:
    """Trains, evaluates on the test set, and draws the fit where the input is one number."""
    parts = build_parts(config, session)
    data = parts.data
    if data.task != "regression":
        raise InputError(
            f"data.name: {config.data.name} has class labels; use experiment: classify, not regress"
        )
    record.start()
    result = train(config, parts, record, session)
    outputs = predict(parts.model, data, data.test.inputs, config.training.precision)
    drawing.draw_curves(
        record,
        result,
        loss_label=f"squared error ({config.loss.reduction})"
        if config.loss.name == "squared_error"
        else "loss",
    )
    if data.input_shape == (1,) and data.outputs == 1:
        _draw_fit(config, record, parts, outputs)
    metrics = result.metrics | {"epochs": result.epochs, "best_epoch": result.best_epoch}
    return Outcome(metrics, claims=[_reductions_claim(outputs, data.test.targets)])


def _draw_fit(config: Config, record: Record, parts: Parts, outputs: torch.Tensor) -> None:
    """The target, the points and the learned function, by ascending input."""
    data = parts.data
    inputs = data.raw(data.test.inputs)[:, 0]
    order = inputs.argsort()
    if isinstance(config.data, Regression1dData):
        target = target_function(config.data.function)(inputs)
    else:
        target = data.test.targets[:, 0]
    x, truth, prediction = (drawing.numbers(v) for v in (inputs[order], target[order], outputs[order, 0]))
    points_x = drawing.numbers(data.raw(data.train.inputs)[:, 0])
    points_y = drawing.numbers(data.train.targets[:, 0])
    record.save_arrays(**{
        "fit/x": x, "fit/target": truth, "fit/prediction": prediction,
        "fit/points_x": points_x, "fit/points_y": points_y,
    })  # fmt: skip
    record.save_figure(regression_fit(x, truth, prediction, points_x, points_y), "fit")


def _reductions_claim(outputs: torch.Tensor, targets: torch.Tensor) -> Claim:
    """The two reductions differ by the factor N, and by nothing else: their step sizes differ by it too."""
    y, ȳ = outputs.double(), targets.double()
    ratio = float(squared_error(y, ȳ, "sum") / squared_error(y, ȳ, "mean")) / len(y)
    return exact_claim(
        "sum_is_n_times_mean",
        sentence="The summed squared error is N times the mean one: its step size must be N times smaller.",
        formula="½ Σ‖y − ȳ‖² = N · (1/2N) Σ‖y − ȳ‖²",
        hypotheses=[f"N = {len(y)} test points"],
        predicted=1.0,
        measured=ratio,
        tolerance=1e-12,
    )
