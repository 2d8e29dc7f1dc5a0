"""Softmax regression on separable data: no minimizer, the loss tends to 0 and the weights to infinity."""

import math
from typing import Literal

import numpy as np
import torch
from scipy.optimize import minimize
from torch import nn

from nnlab import figures
from nnlab.config import MLPModel, TrainingExperiment
from nnlab.errors import InputError
from nnlab.experiments import drawing
from nnlab.experiments.outcome import Outcome
from nnlab.experiments.session import Session
from nnlab.experiments.training_run import build_parts, design_matrix, histories, train
from nnlab.record import Record
from nnlab.theory import Claim, exact_claim, local_exponent_claim


class Config(TrainingExperiment):
    """Softmax regression of two classes by full-batch gradient descent, for many steps."""

    experiment: Literal["separable"]


def run(config: Config, record: Record, session: Session) -> Outcome:
    """Trains, and holds the growth of ‖W‖ against the margin of the data."""
    parts = build_parts(config, session)
    data = parts.data
    if not isinstance(config.model, MLPModel) or config.model.hidden or data.outputs != 2:
        raise InputError("experiment: separable is about model.hidden: [] and a data set of two classes")
    if config.data.batch_size != "full" or parts.penalty is not None:
        raise InputError("experiment: separable needs data.batch_size: full and no regularization")
    x = drawing.numbers(design_matrix(parts).double())
    direction = max_margin(x, 2 * drawing.numbers(data.train.targets) - 1)
    if direction is None:
        raise InputError(
            "experiment: separable: no line separates the classes of these data; for data.name: blobs "
            "a larger data.radius or a smaller data.spread does"
        )
    record.start()
    margin = float(1 / np.linalg.norm(direction))
    slope = 1 / (math.sqrt(2) * margin)
    record.predict({"loss_exponent": -1.0, "norm_per_log_step": slope, "margin": margin})
    result = train(config, parts, record, session, observe=lambda model: sizes(model, direction))
    history = histories(record.history())["train"]
    steps, loss, norm, along = (np.array(history[key]) for key in ("step", "loss", "norm", "along_margin"))
    predicted = norm[-1] + slope * np.log(steps / steps[-1])  # the theory fixes the slope, not the offset
    record.save_arrays(steps=steps, loss=loss, norm=norm, along_margin=along, predicted_norm=predicted)
    figure = figures.separable_growth(steps, loss, norm, predicted_norm=predicted)
    record.save_figure(figure, "growth")
    if drawing.is_plane(data):
        drawing.draw_regions(record, parts.model, data)
    claims = [_loss_claim(steps, loss), _norm_claim(steps, along, slope), _not_attained(loss)]
    return Outcome(result.metrics | sizes(parts.model, direction) | {"margin": margin}, claims=claims)


def sizes(model: nn.Module, direction: np.ndarray) -> dict[str, float]:
    """‖(W, b)‖, and its component along the max-margin direction (−v, v)/(√2‖v‖)."""
    with torch.no_grad():
        rows = torch.cat([p.flatten(1) if p.ndim == 2 else p[:, None] for p in model.parameters()], 1)
        rows = rows.double().cpu()
        v = torch.from_numpy(direction / np.linalg.norm(direction))
        return {"norm": float(rows.norm()), "along_margin": float((rows[1] - rows[0]) @ v) / math.sqrt(2)}


def max_margin(x: np.ndarray, y: np.ndarray) -> np.ndarray | None:
    """The shortest v with y vᵀx ≥ 1 for every example; the margin is γ = 1/‖v‖.

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
    return local_exponent_claim(
        "loss_falls_like_1_over_t",
        sentence="On separable data the loss falls like 1/t.",
        formula="L(W(t)) = Θ(1/t)",
        hypotheses=["linearly separable, softmax regression, full-batch gradient descent", SOURCE],
        sizes=steps,
        values=loss,
        predicted=-1.0,
        tolerance=0.05,
        rivals={"a minimum above 0 is attained": 0.0, "1/√t": -0.5},
    )


def _norm_claim(steps: np.ndarray, along: np.ndarray, slope: float) -> Claim:
    """(W, b) ≈ (−v, v)/2 · log t for two classes, so ‖(W, b)‖ ≈ ‖v‖/√2 · log t with ‖v‖ = 1/γ.

    Measured along the direction of v: across it the weights only settle, and would delay the norm's slope.
    """
    half = int(np.searchsorted(steps, steps[-1] / 2))
    measured = (along[-1] - along[half]) / math.log(steps[-1] / steps[half])
    return exact_claim(
        "norm_grows_like_log_t",
        sentence="The weights grow without bound, like log t over the margin γ.",
        formula="d‖(W, b)‖/d log t → 1/(√2 γ)",
        hypotheses=[
            "linearly separable into two classes",
            "along the max-margin direction, last octave",
            SOURCE,
        ],
        predicted=1.0,
        measured=float(measured / slope),
        tolerance=0.05,
        rivals={"the weights converge": 0.0},
    )


def _not_attained(loss: np.ndarray) -> Claim:
    """The loss is above 0 at every step, and below any bound that a minimum above 0 would set."""
    return exact_claim(
        "infimum_is_not_attained",
        sentence="The loss comes as close to 0 as one likes and never reaches it.",
        formula="L(W) > 0 = inf L",
        hypotheses=["linearly separable"],
        predicted=(math.ulp(0.0), float(loss[0]) / 100),
        measured=float(loss[-1]),
        tolerance=0.0,
    )
