"""Softmax regression on separable data: no minimizer, the loss tends to 0 and the weights to infinity."""

import math
from typing import Literal

import numpy as np
import torch
from scipy.optimize import minimize
from torch import nn

from nnlab.chapters.classification import schema
from nnlab.chapters.classification.figures import separable_growth
from nnlab.errors import InputError
from nnlab.lab import drawing
from nnlab.lab.sections import MLPModel, TrainingExperiment
from nnlab.lab.session import Outcome, Session
from nnlab.lab.training_run import build_parts, design_matrix, histories, train
from nnlab.record import Record
from nnlab.theory import Claim, exact_claim, local_slope

LEAST_EPOCHS = 64  # six octaves, over which growth can be measured


class Config(TrainingExperiment):
    """Softmax regression of two classes by full-batch gradient descent, for many steps."""

    experiment: Literal["separable"]
    arrays = schema.SEPARABLE_ARRAYS

    def run(self, record: Record, session: Session) -> Outcome:
        """Trains, and compares the growth of ‖W‖ with the margin of the data."""
        parts = build_parts(self, session)
        data = parts.data
        if not isinstance(self.model, MLPModel) or self.model.hidden or data.outputs != 2:
            raise InputError("experiment: separable is about model.hidden: [] and a data set of two classes")
        if self.data.batch_size != "full" or parts.penalty is not None:
            raise InputError("experiment: separable needs data.batch_size: full and no regularization")
        x = design_matrix(parts).double().numpy(force=True)
        direction = max_margin(x, 2 * data.train.targets.numpy(force=True) - 1)
        if direction is None:
            raise InputError(
                "experiment: separable: no line separates the classes of these data; for data.name: blobs, "
                "use a larger data.radius or a smaller data.spread"
            )
        if self.training.epochs < LEAST_EPOCHS * self.training.evaluate_every:
            raise InputError(
                f"training.epochs: {self.training.epochs}: experiment: separable is about growth over many "
                f"steps; allowed: at least {LEAST_EPOCHS} times training.evaluate_every, "
                f"{LEAST_EPOCHS * self.training.evaluate_every}"
            )
        record.start()
        margin = float(1 / np.linalg.norm(direction))
        record.predict({"loss_exponent": -1.0, "margin": margin})
        result = train(self, parts, record, session, observe=lambda model: {"norm": whole_norm(model)})
        history = histories(record.history())["train"]
        steps, loss, norm = (np.array(history[key]) for key in ("step", "loss", "norm"))
        least = least_norm(loss, len(data.train), margin)
        record.save_arrays(**{schema.STEPS: steps, schema.LOSS: loss, schema.NORM: norm, "least_norm": least})
        record.figure("growth", separable_growth, steps, loss, norm, least)
        if data.input_shape == (2,):
            drawing.draw_regions(record, parts.model, data)
        claims = [
            _loss_claim(steps, loss),
            _least_norm_claim(norm, least),
            _growth_claim(steps, norm),
            _not_attained(loss),
        ]
        return Outcome(result.metrics | {"norm": whole_norm(parts.model), "margin": margin}, claims=claims)


def whole_norm(model: nn.Module) -> float:
    """Returns ‖(W, b)‖, the norm of all parameters."""
    with torch.no_grad():
        return float(torch.cat([p.flatten() for p in model.parameters()]).double().norm())


def least_norm(loss: np.ndarray, examples: int, margin: float) -> np.ndarray:
    """Returns the least norm ‖(W, b)‖ that allows a loss L of two classes: −log(e^{NL} − 1)/(√2 γ).

    Some example has y vᵀx ≤ ‖v‖γ for the difference v of the two rows, and alone costs
    log(1 + e^{−‖v‖γ}) ≤ N L; and ‖v‖ ≤ √2 ‖(W, b)‖. As L → 0 it grows without bound.
    """
    return np.asarray(-np.log(np.expm1(examples * loss)) / (math.sqrt(2) * margin))


def max_margin(x: np.ndarray, y: np.ndarray) -> np.ndarray | None:
    """Returns the shortest v with y vᵀx ≥ 1 for every example; the margin is γ = 1/‖v‖.

    Args:
        x: (N, d) features, with the column of ones if there is a bias.
        y: (N,) of ±1.

    Returns:
        v, (d,), or None where no v separates.
    """
    signed = x * y[:, None]
    start = signed.mean(0)
    lowest = (signed @ start).min()
    solution = minimize(
        lambda v: 0.5 * v @ v,
        start / lowest if lowest > 0 else start,
        jac=lambda v: v,
        constraints={"type": "ineq", "fun": lambda v: signed @ v - 1, "jac": lambda v: signed},
        method="SLSQP",
        options={"maxiter": 1000, "ftol": 1e-14},
    )
    if not solution.success or (signed @ solution.x).min() < 1 - 1e-6:
        return None
    return np.asarray(solution.x)


SOURCE = "Soudry et al., The implicit bias of gradient descent on separable data (2018)"


def _loss_claim(steps: np.ndarray, loss: np.ndarray) -> Claim:
    return exact_claim(
        "loss_falls_like_1_over_t",
        sentence="On separable data the loss falls like 1/t.",
        formula="L(W(t)) = Θ(1/t)",
        hypotheses=["linearly separable, softmax regression, full-batch gradient descent", SOURCE],
        predicted=-1.0,
        measured=local_slope(steps, loss),
        tolerance=0.05,
        rivals={"a minimum above 0 is attained": 0.0, "1/√t": -0.5},
    )


def _least_norm_claim(norm: np.ndarray, least: np.ndarray) -> Claim:
    """Claims a theorem at every step, not only in the limit."""
    return exact_claim(
        "a_small_loss_needs_large_weights",
        sentence="A smaller loss needs larger weights: as the loss tends to 0, they grow without bound.",
        formula="‖(W, b)‖ ≥ −log(e^{NL} − 1)/(√2 γ)",
        hypotheses=["two classes, separable with margin γ", "the smallest excess over all steps"],
        predicted=(0.0, None),
        measured=float((norm - least).min()),
        tolerance=0.0,
    )


def _growth_claim(steps: np.ndarray, norm: np.ndarray) -> Claim:
    """Claims growth like log t, which adds the same length in every octave of steps."""
    at = [int(np.searchsorted(steps, steps[-1] / part)) for part in (4, 2, 1)]
    before, last = np.diff(norm[at]) / np.diff(np.log(steps[at]))
    return exact_claim(
        "weights_grow_like_log_t",
        sentence="The weights grow like log t: every doubling of the steps adds the same length.",
        formula="(‖W(t)‖ − ‖W(t/2)‖)/(‖W(t/2)‖ − ‖W(t/4)‖) → 1",
        hypotheses=["linearly separable, softmax regression, full-batch gradient descent", SOURCE],
        predicted=1.0,
        measured=float(last / before),
        tolerance=0.05,
        rivals={"like √t": math.sqrt(2), "converging like 1/√t": math.sqrt(0.5)},
    )


def _not_attained(loss: np.ndarray) -> Claim:
    """Claims that the loss is above 0 at every step, and below any bound that a minimum above 0 would set."""
    return exact_claim(
        "infimum_is_not_attained",
        sentence="The loss comes arbitrarily close to 0 and never reaches it.",
        formula="L(W) > 0 = inf L",
        hypotheses=["linearly separable"],
        predicted=(math.ulp(0.0), float(loss[0]) / 100),
        measured=float(loss[-1]),
        tolerance=0.0,
    )
