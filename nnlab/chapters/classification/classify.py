"""Train a classifier: softmax regression, a multilayer perceptron, a small CNN or the user's own."""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from scipy.special import entr, log_softmax

from nnlab.chapters.classification.minimizer import Problem, coefficients
from nnlab.chapters.convolution import schema as convolution_schema
from nnlab.chapters.convolution.claims import IMAGES, cnn_claims
from nnlab.chapters.convolution.features import draw_features
from nnlab.data import DataSet
from nnlab.errors import InputError
from nnlab.lab import drawing
from nnlab.lab.sections import CNNModel, ConstantSchedule, MLPModel, TrainingExperiment
from nnlab.lab.session import Outcome, Session
from nnlab.lab.training_run import StepBound, build_parts, design_matrix, histories, step_bound, train
from nnlab.models import CNN, layer_table
from nnlab.models.summary import evaluation_mode
from nnlab.record import Record
from nnlab.theory import Claim, exact_claim, worst
from nnlab.training import FitResult, Parts, build_loss, predict
from nnlab.training.evaluation import BATCH

UNBALANCED = 3
"""Times as many training examples in the largest class as in the smallest."""
SMOOTHING = 0.1
FORMULA_STEPS = 100
"""The steps that are done once more by the formula."""
MOST_WORK = 10**9
"""Multiply-adds of these steps, which bounds them for large data."""


class Config(TrainingExperiment):
    """Trains one classifier and shows what it learned."""

    experiment: Literal["classify"]
    arrays = convolution_schema.ARRAYS

    def run(self, record: Record, session: Session) -> Outcome:
        """Trains, evaluates on the test set, draws, and judges what the theory says about this training."""
        parts = build_parts(self, session)
        data = parts.data
        if data.task != "classification":
            raise InputError(
                f"data.name: {self.data.name} has number targets; use experiment: regress, not classify"
            )
        bound = step_bound(self, parts)
        record.start()
        layers = layer_table(parts.model, data.input_shape)
        size = {
            "parameters": sum(layer.parameters for layer in layers),
            "multiply_adds": sum(layer.multiply_adds for layer in layers),
        }
        if len(data.input_shape) == 3:
            session.reporter.say(
                f"model {self.model.name}: {size['parameters']:,} parameters, "
                f"{size['multiply_adds']:,} multiply-adds for one image"
            )
        if bound is not None:
            session.reporter.say(bound.sentence())
            descent = {
                "step_size": bound.lr,
                "guaranteed_below": bound.bound,
                "guaranteed": bound.guaranteed,
            }
            record.predict({"descent": descent})
        formula = _formula(self, parts) if bound is not None else None
        result = train(self, parts, record, session)
        scores = predict(parts.model, data, data.test.inputs, parts.precision)
        results = _draw(self, record, parts, result, scores)
        doubt = majority_is_as_good(self, data, result.metrics["test/accuracy"])
        if doubt is not None:
            record.warn(doubt)
        metrics = result.metrics | {"epochs": result.epochs, "best_epoch": result.best_epoch}
        if parts.penalty is not None and parts.penalty.absolute:  # its kink at 0 can make weights exactly 0
            metrics["sparsity"] = share_of_zeros(parts.weights)
        claims = [cross_entropy_claim(scores, data.test.targets)]
        # Elsewhere the same scores may be rounded in another way, and an accuracy differs by an example.
        exact = scores.device.type == "cpu" and parts.precision != "bfloat16" and session.world.alone
        if exact and _has_plain_loss(self):
            claims.append(mean_claim(result.metrics, _forward(parts), data.test.targets))
        if formula is not None:
            claims.append(formula_claim(record, *formula, scores.dtype))
        rounded = parts.precision == "bfloat16"  # by more than what a small step descends
        if isinstance(parts.model, CNN) and isinstance(self.model, CNNModel):
            exactness = 0.1 if rounded else 1e3 * torch.finfo(scores.dtype).eps
            images = data.normalize(data.test.inputs[:IMAGES])
            claims += cnn_claims(parts.model, images, scores, padding=self.model.padding, exactness=exactness)
        if bound is not None and bound.guaranteed and not rounded:
            claims.append(descent_claim(record, bound, scores.dtype, parts.loss.class_weights is not None))
        return Outcome(metrics, results, claims, size)


def _draw(
    config: Config, record: Record, parts: Parts, result: FitResult, scores: torch.Tensor
) -> list[dict[str, object]]:
    data = parts.data
    drawing.draw_curves(record, result, loss_label=config.loss.name.replace("_", " "))
    section = config.model
    if isinstance(section, CNNModel):
        drawing.draw_activations(record, [section.activation], section.pieces)
    elif isinstance(section, MLPModel) and section.hidden:
        drawing.draw_activations(record, section.activations, section.pieces)
    elif isinstance(section, MLPModel) and len(data.input_shape) == 3:
        drawing.draw_templates(record, data, next(parts.model.parameters()))
    if data.input_shape == (2,):
        drawing.draw_regions(record, parts.model, data)
    draw_features(record, parts.model, data, scores, parts.precision)
    return drawing.draw_predictions(record, data, scores)


def majority_is_as_good(config: Config, data: DataSet, accuracy: float) -> str | None:
    """Returns a sentence where the classes are very unbalanced and the largest alone is right as often.

    With class weights it is None: they give up accuracy for the smaller classes.
    """
    weighted = config.loss.name != "squared_error" and config.loss.class_weights is not None
    sizes = torch.bincount(data.train.targets, minlength=data.outputs)
    largest, smallest = int(sizes.argmax()), int(sizes.argmin())
    if weighted or sizes[largest] < UNBALANCED * sizes[smallest]:
        return None
    constant = float((data.test.targets == largest).double().mean())
    if accuracy > constant:
        return None
    remedy = "; with loss: {name: cross_entropy, class_weights: balanced} every class counts as much"
    return (
        f"the test accuracy, {accuracy:.4g}, is no better than that of always saying "
        f"{data.class_names[largest]}, {constant:.4g}, of which there are {int(sizes[largest]):,} training "
        f"examples, beside {int(sizes[smallest]):,} of {data.class_names[smallest]}. Look at "
        f"test/balanced_accuracy and test/macro_f1{remedy}"
    )


def share_of_zeros(weights: Sequence[torch.Tensor]) -> float:
    """Returns the share of entries that are exactly 0."""
    return sum(int((w == 0).sum()) for w in weights) / sum(w.numel() for w in weights)


def cross_entropy_claim(scores: torch.Tensor, labels: torch.Tensor) -> Claim:
    """Claims H(P, Q) = H(P) + D(P‖Q) of the losses that training uses, with smoothed labels so that H(P) > 0.

    Labels that training smooths and targets that are distributions have to agree.
    """
    scores, classes = scores.double().cpu(), scores.shape[1]
    p = (1 - SMOOTHING) * np.eye(classes)[labels.numpy(force=True)] + SMOOTHING / classes
    surprise = np.log(p) - log_softmax(scores.numpy(), axis=1)
    entropy, divergence = (float(values.sum(1).mean()) for values in (entr(p), p * surprise))
    labels, soft = labels.cpu(), torch.from_numpy(p)
    losses = [
        float(build_loss(name, label_smoothing=smoothing)(scores, targets)) - predicted
        for name, predicted in (("cross_entropy", entropy + divergence), ("kl", divergence))
        for targets, smoothing in ((labels, SMOOTHING), (soft, 0.0))
    ]
    size = entropy + divergence
    return exact_claim(
        "cross_entropy_is_entropy_plus_kl",
        sentence="Cross-entropy is the entropy of the targets plus the KL divergence to the prediction.",
        formula="H(P, Q) = H(P) + D(P‖Q), relative difference",
        hypotheses=[
            f"P: labels smoothed by {SMOOTHING:g}",
            "Q: the model's probabilities on the test set",
            "the losses cross_entropy and kl, of smoothed labels and of distributions",
        ],
        predicted=0.0,
        measured=worst(losses) / size,
        tolerance=1e-12,
        rivals={"without H(P)": entropy / size, "without D(P‖Q)": divergence / size},
        predicted_by="scipy.special.entr, scipy.special.log_softmax",
        measured_by="nnlab.training.losses.cross_entropy, nnlab.training.losses.kl_loss",
    )


def _has_plain_loss(config: Config) -> bool:
    loss = config.loss
    return loss.name == "cross_entropy" and not loss.label_smoothing and loss.class_weights is None


@torch.no_grad()
def _forward(parts: Parts) -> torch.Tensor:
    """Returns the scores of the test set, (N, C)."""
    blocks = torch.split(parts.data.test.inputs, BATCH)
    with evaluation_mode(parts.model):
        return torch.cat([parts.model(parts.data.normalize(block)) for block in blocks])


def mean_claim(metrics: dict[str, float], scores: torch.Tensor, labels: torch.Tensor) -> Claim:
    """Claims that test loss and accuracy, as they are reported, are means over the examples.

    Args:
        metrics: as training reports them.
        scores: (N, C) of the test set.
        labels: (N,) its labels.
    """
    s, y = scores.double().numpy(force=True), labels.numpy(force=True)
    loss = float(-log_softmax(s, axis=1)[np.arange(len(y)), y].mean())
    accuracy, scale = float((s.argmax(1) == y).mean()), 1 + float(np.abs(s).max())
    rivals = {"sum for mean": (len(y) - 1) * loss / scale, "log₂ for log": (1 / np.log(2) - 1) * loss / scale}
    return exact_claim(
        "loss_is_the_mean_over_examples",
        sentence="The loss of a data set is the mean of that of its examples; its accuracy is a mean, too.",
        formula="L = (1/N) Σ −log P(Y = yᵢ|xᵢ), difference in units of 1 + max |s|",
        hypotheses=[f"the test set, N = {len(y)}", "loss and accuracy as training reports them"],
        predicted=0.0,
        measured=worst((metrics["test/loss"] - loss) / scale, metrics["test/accuracy"] - accuracy),
        tolerance=8 * torch.finfo(scores.dtype).eps,
        rivals={label: value for label, value in rivals.items() if value > 0},
        predicted_by="scipy.special.log_softmax, numpy.mean",
        measured_by="nnlab.training.evaluation.evaluate",
    )


def _formula(config: Config, parts: Parts) -> tuple[np.ndarray, dict[str, float]] | None:
    """Returns the objective over the first steps by the formula of a step in NumPy, and what mistakes give.

    The numbers of the mistakes are their largest distances from the right objective, relative to it. None
    where this training does more than the formula (other losses, a schedule), or where the objective rises by
    the formula, so that rounding errors grow.
    """
    data = parts.data
    work = len(data.train) * math.prod(data.input_shape) * data.outputs  # of a step
    steps = min(FORMULA_STEPS, config.training.epochs, MOST_WORK // work) - 1
    plain = (
        _has_plain_loss(config)
        and getattr(config.model, "parameterization", None) == "standard"
        and config.optimizer.schedule == ConstantSchedule(name="constant")
        and config.training.evaluate_every == 1
    )
    if not plain or steps < 0:
        return None
    x = design_matrix(parts).double().numpy(force=True)
    bias = len(list(parts.model.parameters())) == 2
    features = x[:, : x.shape[1] - bias]
    if config.data.standardize:  # once more, by other code: it must not change a thing
        columns = features.reshape(len(features), data.input_shape[0], -1)
        axes = (0, 2) if len(data.input_shape) == 3 else 0
        spread = columns.std(axes, keepdims=True)
        columns = (columns - columns.mean(axes, keepdims=True)) / np.where(spread > 1e-6, spread, 1.0)
        features = columns.reshape(features.shape)
    targets = np.eye(data.outputs)[data.train.targets.numpy(force=True)]
    own = config.loss.regularization
    quadratic, absolute = coefficients(own.name, own.strength, own.beta)
    weights = np.concatenate(
        [p.detach().double().reshape(len(p), -1).numpy(force=True) for p in parts.model.parameters()], 1
    )
    lr = config.optimizer.lr
    right = Problem(features, targets, quadratic, absolute, bias)
    with np.errstate(over="ignore", invalid="ignore"):
        objective = right.descend(weights, lr, steps)
    if not (np.diff(objective) <= 0).all():
        return None
    others = {
        "half the step size": right.descend(weights, lr / 2, steps),
        "batches of half the examples": Problem(
            features[::2], targets[::2], quadratic, absolute, bias
        ).descend(weights, lr, steps),
    }
    if quadratic or absolute:
        half = Problem(features, targets, quadratic / 2, absolute / 2, bias)
        others["½λR(W) for λR(W)"] = half.descend(weights, lr, steps)
    apart = {label: float(np.abs(other / objective - 1).max()) for label, other in others.items()}
    return objective, {label: value for label, value in apart.items() if value > 0}


def formula_claim(
    record: Record, objective: np.ndarray, wrong: dict[str, float], dtype: torch.dtype
) -> Claim:
    """Claims that training takes the lecture's step, by the objective that it reports at every step.

    Args:
        record: holds the objective at every step.
        objective: (T,) of the first steps, by the formula.
        wrong: the largest relative distance that mistakes would make, by the mistake.
        dtype: of the scores.
    """
    history = histories(record.history())["train"]
    reported = np.array(history.get("objective", history["loss"]))[: len(objective)]
    return exact_claim(
        "steps_are_their_formula",
        sentence="A step of training is W ← W − η∇(L(W) + λR(W)), on the mean over all examples.",
        formula="∇L = (1/N) (P − Y)ᵀ X; the objective at every step, largest relative difference",
        hypotheses=[f"softmax regression, full batch, the first {len(objective)} steps from the same start"],
        predicted=0.0,
        measured=worst(reported / objective - 1),
        tolerance=32 * torch.finfo(dtype).eps,
        rivals=wrong,
        predicted_by="nnlab.chapters.classification.minimizer.Problem",
        measured_by="nnlab.training.trainer.fit",
    )


def descent_claim(record: Record, bound: StepBound, dtype: torch.dtype, weighted: bool = False) -> Claim:
    """Claims that the objective never rises, up to the rounding of one evaluation.

    Args:
        record: holds the objective at every step.
        bound: on the step size.
        dtype: of the scores.
        weighted: whether the loss has class weights.
    """
    history = histories(record.history())["train"]
    objective = torch.tensor(history.get("objective", history["loss"]), dtype=torch.float64)
    rises = (objective[1:] - objective[:-1]) / objective[:-1].abs().clamp_min(1e-12)
    rounding = 64 * torch.finfo(dtype).eps
    return exact_claim(
        "descent",
        sentence="Below the bound, every step of gradient descent lowers the objective.",
        formula=f"η < 4/(λmax({'XᵀDX' if weighted else 'XᵀX'}/N) + 4λ)  ⟹  L(W − η∇L) ≤ L(W)",
        hypotheses=[
            *(["D = diag(w_y), the class weight of each example"] if weighted else []),
            "softmax regression, full batch, plain or proximal gradient descent",
            f"η = {bound.lr:g} < {bound.bound:.4g}",
        ],
        predicted=(None, rounding),
        measured=float(rises.max()) if len(rises) else math.nan,
        tolerance=0.0,
        predicted_by="nnlab.training.theory.softmax_step_bound",
        measured_by="nnlab.training.trainer.fit",
    )
