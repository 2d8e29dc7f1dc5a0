"""Train on number targets by squared error, and show the function that was learned."""

from typing import Literal

import torch

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
from nnlab.training.losses import squared_error


class Config(TrainingExperiment):
    """Fits a function by squared error."""

    experiment: Literal["regress"]

    def run(self, record: Record, session: Session) -> Outcome:
        """Trains, evaluates on the test set, and draws the fit where the input is one number."""
        parts = build_parts(self, session)
        data = parts.data
        if data.task != "regression":
            raise InputError(
                f"data.name: {self.data.name} has class labels; use experiment: classify, not regress"
            )
        record.start()
        result = train(self, parts, record, session)
        outputs = predict(parts.model, data, data.test.inputs, parts.precision)
        loss = self.loss
        label = f"squared error ({loss.reduction})" if isinstance(loss, SquaredErrorLoss) else "loss"
        drawing.draw_curves(record, result, label)
        if data.input_shape == (1,) and data.outputs == 1:
            _draw_fit(self, record, parts, outputs)
        metrics = result.metrics | {"epochs": result.epochs, "best_epoch": result.best_epoch}
        return Outcome(metrics, claims=[_reductions_claim(outputs, data.test.targets)])


def _draw_fit(config: Config, record: Record, parts: Parts, outputs: torch.Tensor) -> None:
    """Draws the target, the points and the learned function, by ascending input."""
    data = parts.data
    inputs = data.raw(data.test.inputs)[:, 0]
    order = inputs.argsort()
    if isinstance(config.data, Regression1dData):
        target = target_function(config.data.function)(inputs)
    else:
        target = data.test.targets[:, 0]
    x, truth, prediction = (v.numpy(force=True) for v in (inputs[order], target[order], outputs[order, 0]))
    points_x = data.raw(data.train.inputs)[:, 0].numpy(force=True)
    points_y = data.train.targets[:, 0].numpy(force=True)
    arrays = {"x": x, "target": truth, "prediction": prediction, "points_x": points_x, "points_y": points_y}
    record.save_arrays(**under("fit", arrays))
    record.save_figure(regression_fit(x, truth, prediction, points_x, points_y), "fit")


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
