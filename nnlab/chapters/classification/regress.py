"""Train on number targets by squared error, and show the function that was learned."""

from functools import partial
from typing import Literal

import numpy as np
import torch

from nnlab.chapters.classification import schema
from nnlab.chapters.classification.figures import regression_fit
from nnlab.errors import InputError
from nnlab.lab import drawing
from nnlab.lab.build import build_function
from nnlab.lab.sections import Regression1dData, SquaredErrorLoss, TrainingExperiment
from nnlab.lab.session import Outcome, Session
from nnlab.lab.training_run import build_parts, train
from nnlab.record import Record
from nnlab.record.arrays import under
from nnlab.theory import Claim, exact_claim, worst
from nnlab.training import Parts, build_loss, predict
from nnlab.training.evaluation import Metrics, error_sums, number_metrics


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
        eps = torch.finfo(torch.bfloat16 if parts.precision == "bfloat16" else outputs.dtype).eps
        claims = [
            _reductions_claim(outputs, data.test.targets),
            _errors_claim(result.metrics, outputs, data.test.targets, data.target_std, eps),
        ]
        return Outcome(metrics, claims=claims)


def _draw_fit(config: Config, record: Record, parts: Parts, outputs: torch.Tensor) -> None:
    """Draws the target, the points and the learned function, by ascending input."""
    data = parts.data
    inputs = drawing.raw_numbers(data, data.test.inputs)[:, 0]
    order = inputs.argsort()
    if isinstance(config.data, Regression1dData):
        target = build_function(config.data.function)(inputs)
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
    """Claims the two reductions: they differ by the factor N alone, and so do their step sizes."""
    y, ȳ = outputs.double(), targets.double()
    half = 0.5 * float(((y - ȳ).numpy(force=True) ** 2).sum())
    reduced = {name: float(build_loss("squared_error", reduction=name)(y, ȳ)) for name in ("sum", "mean")}
    size = half or 1.0
    return exact_claim(
        "sum_is_n_times_mean",
        sentence="The sum of squared errors is N times their mean: it needs a step size N times smaller.",
        formula="½ Σ‖y − ȳ‖² = N · (1/2N) Σ‖y − ȳ‖²",
        hypotheses=[f"N = {len(y)} test points", "relative difference"],
        predicted=0.0,
        measured=worst(reduced["sum"] - half, len(y) * reduced["mean"] - half) / size,
        tolerance=1e-12,
        rivals={"without the ½": 1.0},
        predicted_by="closed form: ½ Σ‖y − ȳ‖²",
        measured_by="nnlab.training.losses.squared_error",
    )


def _errors_claim(
    metrics: Metrics, outputs: torch.Tensor, targets: torch.Tensor, std: torch.Tensor | None, eps: float
) -> Claim:
    """Claims the reported errors, in original units, and R²."""
    y, ȳ = (values.double().numpy(force=True) for values in (outputs, targets))
    scale = np.ones(y.shape[1]) if std is None else std.double().numpy(force=True)
    squares = ((y - ȳ) ** 2).mean(0)
    expected = {
        "rmse": float((scale * np.sqrt(squares)).mean()),
        "mae": float((scale * np.abs(y - ȳ).mean(0)).mean()),
    }
    spread = ȳ.var(0)
    if len(ȳ) > 1 and (spread > 0).all():
        expected["r2"] = float((1 - squares / spread).mean())
    return exact_claim(
        "errors_are_their_formulas",
        sentence="The reported errors are √mean e², mean |e| and 1 − Σe²/Σ(ȳ − mean ȳ)², in original units.",
        formula="relative difference; of R², which may be near 0, over max(1, |R²|)",
        hypotheses=[f"N = {len(ȳ)} test points, {', '.join(expected)}"],
        predicted=0.0,
        measured=worst(
            [
                (metrics[f"test/{name}"] - value) / (max(1.0, abs(value)) if name == "r2" else value)
                for name, value in expected.items()
                if value
            ]
            or [0.0]
        ),
        tolerance=64 * eps,
        rivals={"sum for mean": max(1.0, len(y) - 1.0)},
        predicted_by="numpy.mean, numpy.var",
        measured_by="nnlab.training.evaluation.evaluate",
    )
