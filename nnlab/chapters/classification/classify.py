"""Train a classifier: softmax regression, a multilayer perceptron, a small CNN or the user's own."""

from collections.abc import Sequence
from typing import Literal

import torch

from nnlab.chapters.convolution import schema as convolution_schema
from nnlab.chapters.convolution.claims import IMAGES, cnn_claims
from nnlab.chapters.convolution.features import draw_features
from nnlab.data import DataSet
from nnlab.errors import InputError
from nnlab.lab import drawing
from nnlab.lab.sections import CNNModel, MLPModel, TrainingExperiment
from nnlab.lab.session import Outcome, Session
from nnlab.lab.training_run import StepBound, build_parts, histories, step_bound, train
from nnlab.models import CNN, layer_table
from nnlab.record import Record
from nnlab.theory import Claim, exact_claim
from nnlab.training import FitResult, Parts, predict
from nnlab.training.losses import cross_entropy_of, entropy, kl_divergence, target_distribution

UNBALANCED = 3
"""Times as many training examples in the largest class as in the smallest."""


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
        rounded = parts.precision == "bfloat16"  # by more than what a small step descends
        if isinstance(parts.model, CNN):
            exactness = 0.1 if rounded else 1e3 * torch.finfo(scores.dtype).eps
            images = data.normalize(data.test.inputs[:IMAGES])
            claims += cnn_claims(parts.model, images, scores, exactness=exactness)
        if bound is not None and bound.guaranteed and not rounded:
            claims.append(descent_claim(record, bound, scores.dtype, parts.loss.class_weights is not None))
        return Outcome(metrics, results, claims, size)


def _draw(
    config: Config, record: Record, parts: Parts, result: FitResult, scores: torch.Tensor
) -> list[dict[str, object]]:
    data = parts.data
    drawing.draw_curves(record, result, loss_label=config.loss.name.replace("_", " "))
    section = config.model
    hidden = section.hidden if isinstance(section, MLPModel) else isinstance(section, CNNModel)
    if isinstance(section, MLPModel | CNNModel) and hidden:
        drawing.draw_activation(record, section.activation, section.pieces)
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
    """Claims H(P, Q) = H(P) + D(P‖Q) on the test set, with smoothed labels as P so that H(P) > 0."""
    q = scores.double().softmax(1).clamp_min(torch.finfo(torch.float64).tiny)
    p = target_distribution(labels, scores.shape[1], label_smoothing=0.1)
    gap = (cross_entropy_of(p, q) - entropy(p) - kl_divergence(p, q)).abs().max()
    return exact_claim(
        "cross_entropy_is_entropy_plus_kl",
        sentence="Cross-entropy is the entropy of the targets plus the KL divergence to the prediction.",
        formula="H(P, Q) = H(P) + D(P‖Q)",
        hypotheses=["P: labels smoothed by 0.1", "Q: the model's probabilities on the test set"],
        predicted=0.0,
        measured=float(gap),
        tolerance=1e-9,
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
        measured=float(rises.max()) if len(rises) else 0.0,
        tolerance=0.0,
    )
