"""Activation functions side by side: their slopes, and what a network learns with each."""

from typing import Annotated, Any, Literal

import torch

from nnlab.chapters.classification import schema
from nnlab.chapters.classification.activation_claims import derivative_claims, maxout_claim, quarter_claims
from nnlab.errors import InputError
from nnlab.lab.drawing import activation_curve
from nnlab.lab.sections import ActivationName, CustomModel, Distinct, TrainingExperiment
from nnlab.lab.session import Outcome, Session
from nnlab.lab.training_run import build_parts, histories, train, vary
from nnlab.plot.activations import activation_functions
from nnlab.plot.curves import compare_curves
from nnlab.record import Record
from nnlab.training import Parts

ALL: list[ActivationName] = ["sigmoid", "tanh", "relu", "leaky_relu", "maxout", "elu", "gelu"]


class Config(TrainingExperiment):
    """Trains one architecture with each activation, everything else equal."""

    experiment: Literal["activations"]
    arrays = schema.ACTIVATIONS_ARRAYS
    activations: Annotated[list[ActivationName], Distinct] = ALL

    def run(self, record: Record, session: Session) -> Outcome:
        """Trains with each activation in turn; compares gradients at the start, curves and accuracies."""
        if isinstance(self.model, CustomModel) or not self.activations:
            raise InputError(
                "experiment: activations needs model.name: mlp or cnn and at least one activation"
            )
        build_parts(self, session)
        record.start()
        results: list[dict[str, Any]] = []
        curves: dict[str, dict[str, list[float]]] = {}
        for name in self.activations:
            varied = vary(self, {"model.activation": name})
            parts = build_parts(varied, session)
            first, last = _gradient_norms(parts)
            result = train(varied, parts, record, session, part=name)
            accuracy = result.metrics.get("test/accuracy")
            results.append({
                "activation": name,
                "gradient_first_layer": first,
                "gradient_last_layer": last,
                "train_loss": result.metrics["train/loss"],
                "test_accuracy": accuracy,
            })  # fmt: skip
            curves[name] = histories(record.history(), name)["train"]
        _draw(self, record, curves)
        metrics = {f"{r['activation']}/test/accuracy": r["test_accuracy"] for r in results}
        return Outcome(metrics, results, [*quarter_claims(), *derivative_claims(), maxout_claim()])


def _gradient_norms(parts: Parts) -> tuple[float, float]:
    """Returns the norm of the loss gradient in the first and the last weight matrix, at the start."""
    data = parts.data
    inputs = data.normalize(data.train.inputs[:1024])
    parts.loss(parts.model(inputs), data.train.targets[:1024]).backward()  # type: ignore[no-untyped-call]
    norms = [float(w.grad.norm()) for w in parts.weights if w.grad is not None]
    parts.model.zero_grad(set_to_none=True)
    return norms[0], norms[-1]


def _draw(config: Config, record: Record, curves: dict[str, dict[str, list[float]]]) -> None:
    z = torch.linspace(-4, 4, 401, dtype=torch.float64)
    pieces = getattr(config.model, "pieces", 2)
    names: list[str] = [*config.activations]
    functions = {name: activation_curve(name, z, pieces) for name in names}
    record.save_arrays(
        z=z,
        **{f"{name}/value": value for name, (value, _) in functions.items()},
        **{f"{name}/derivative": slope for name, (_, slope) in functions.items()},
        **{f"{name}/train_loss": curve["loss"] for name, curve in curves.items()},
    )
    record.figure("activations", activation_functions, z.numpy(), functions)
    record.figure("curves", compare_curves, curves, log=True, y_label="training loss")
