"""Train on number targets by squared error, and show the function that was learned."""

from functools import partial
from typing import Literal

import torch

from nnlab.chapters.classification import schema
from nnlab.chapters.classification.figures import regression_fit
from nnlab.data import target_function
from nnlab.errors import InputError
from nnlab.lab import drawing
from nnlab.lab.sections import Regression1dData, SquaredErrorLoss, TrainingExperiment
from nnlab.lab.session import Outcome, Session
from nnlab.lab.training_run import build_parts, train
from nnlab.record import Record
from nnlab.record.arrays import under
from nnlab.theory import Claim, exact_claim
from nnlab.training import Parts, predict
from nnlab.training.evaluation import error_sums, number_metrics
from nnlab.training.losses import squared_error


class Config(TrainingExperiment):
    """Fits a function by squared error."""

    experiment: Literal["regress"]
    arrays = schema.REGRESSION_ARRAYS

    def run(self, record: Record, session: Session) -> Outcome:
        """Trains, evaluates on the test set, and draws the fit where the input is one number."""
        parts = build_parts(self, session)
        data = parts.data
        if data.task != "regression":
            raise InputError(
                f"data.name: {self.data.name} has class labels; use experiment: classify, not regress"
                + (", or data.task: regression where the target is a quantity" * (self.data.name == "csv"))
            )
        record.start()
        result = train(self, parts, record, session)
        outputs = predict(parts.model, data, data.test.inputs, parts.precision)
        loss = self.loss
        label = f"squared error ({loss.reduction})" if isinstance(loss, SquaredErrorLoss) else "loss"
        if data.target_std is not None:
            label += ", standardized targets"
        drawing.draw_curves(record, result, label)
        if data.input_shape == (1,) and data.outputs == 1:
            record.later("fit", partial(_draw_fit, self, record, parts, outputs))
        doubt = mean_is_better(parts, outputs)
        if doubt is not None:
            record.warn(doubt)
        metrics = result.metrics | {"epochs": result.epochs, "best_epoch": result.best_epoch}
        return Outcome(metrics, claims=[_reductions_claim(outputs, data.test.targets)])


def _draw_fit(config: Config, record: Record, parts: Parts, outputs: torch.Tensor) -> None:
    """Draws the target, the points and the learned function, by ascending input."""
    data = parts.data
    inputs = drawing.raw_numbers(data, data.test.inputs)[:, 0]
    order = inputs.argsort()
    if isinstance(config.data, Regression1dData):
        target = target_function(config.data.function)(inputs)
    else:
        target = data.original(data.test.targets)[:, 0].cpu()
    outputs = data.original(outputs)[:, 0].cpu()
    x, truth, prediction = (v[order].numpy(force=True) for v in (inputs, target, outputs))
    points_x = drawing.raw_numbers(data, data.train.inputs)[:, 0].numpy()
    points_y = data.original(data.train.targets)[:, 0].numpy(force=True)
    arrays = {"x": x, "target": truth, "prediction": prediction, "points_x": points_x, "points_y": points_y}
    record.save_arrays(**under("fit", arrays))
    record.figure("fit", regression_fit, x, truth, prediction, points_x, points_y)


def mean_is_better(parts: Parts, outputs: torch.Tensor) -> str | None:
    """Returns a sentence where the mean of the training targets predicts the test as well as the network.

    That is where the test's mean square error is at least that of the constant: 1 − Σe²/Σ(ȳ − mean)² ≤ 0,
    with the mean over the training split.

    Args:
        parts: of the training.
        outputs: (n, C) of the network on the test split.
    """
    data, targets = parts.data, parts.data.test.targets
    mean = data.train.targets.double().mean(0).to(targets).expand_as(targets)
    network, constant = (error_sums(values, targets) for values in (outputs, mean))
    if network[0].sum() < constant[0].sum():
        return None
    errors = [number_metrics(sums, targets, data.target_std)["rmse"] for sums in (network, constant)]
    return (
        "the mean of the training targets predicts the test targets no worse than the network: its root mean "
        f"square error is {errors[1]:.4g}, that of the network {errors[0]:.4g}"
    )


def _reductions_claim(outputs: torch.Tensor, targets: torch.Tensor) -> Claim:
    """Claims that the two reductions differ by the factor N alone, and so do their step sizes."""
    y, ȳ = outputs.double(), targets.double()
    ratio = float(squared_error(y, ȳ, "sum") / squared_error(y, ȳ, "mean")) / len(y)
    return exact_claim(
        "sum_is_n_times_mean",
        sentence="The sum of squared errors is N times their mean: it needs a step size N times smaller.",
        formula="½ Σ‖y − ȳ‖² = N · (1/2N) Σ‖y − ȳ‖²",
        hypotheses=[f"N = {len(y)} test points"],
        predicted=1.0,
        measured=ratio,
        tolerance=1e-12,
    )
