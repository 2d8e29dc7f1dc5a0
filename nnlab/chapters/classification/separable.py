"""Softmax regression on separable data: no minimizer, the loss tends to 0 and the weights to infinity."""

import math
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import torch
from scipy.optimize import minimize
from torch import nn

from nnlab.chapters.classification import schema
from nnlab.chapters.classification.figures import separable_growth
from nnlab.data import Split
from nnlab.errors import InputError
from nnlab.lab import drawing
from nnlab.lab.sections import ConstantSchedule, MLPModel, SGDOptimizer, TrainingExperiment
from nnlab.lab.session import Outcome, Session, generator
from nnlab.lab.training_run import build_parts, design_matrix, histories, settings_of, train, vary
from nnlab.record import Record
from nnlab.theory import Claim, exact_claim, worst
from nnlab.training import fit

LEAST_EPOCHS = 64  # six octaves, over which growth can be measured
STEPS_ON_ONE = 500  # of the training on a single example


class Config(TrainingExperiment):
    """Softmax regression of two classes by full-batch gradient descent, for many steps."""

    experiment: Literal["separable"]
    arrays = schema.SEPARABLE_ARRAYS

    def run(self, record: Record, session: Session) -> Outcome:
        """Trains, and compares the growth of ‖W‖ with the margin of the data."""
        _check(self)
        parts = build_parts(self, session)
        data = parts.data
        if data.outputs != 2:
            raise InputError("experiment: separable is about a data set of two classes")
        x = design_matrix(parts).double().numpy(force=True)
        labels = 2 * data.train.targets.numpy(force=True) - 1
        direction = max_margin(x, labels)
        if direction is None:
            raise InputError(
                "experiment: separable: no line separates the classes of these data; for data.name: blobs, "
                "use a larger data.radius or a smaller data.spread"
            )
        record.start()
        margin = float(1 / np.linalg.norm(direction))
        times_steps = 1 / (2 * self.optimizer.lr * margin**2)
        record.predict({"loss_times_steps": times_steps, "margin": margin})
        result = train(
            self, parts, record, session,
            observe=lambda model: {"norm": whole_norm(model), "length": length_along(model, direction)},
        )  # fmt: skip
        history = histories(record.history())["train"]
        steps, loss, norm, length = (np.array(history[key]) for key in ("step", "loss", "norm", "length"))
        least = least_norm(loss, len(data.train), margin)
        record.save_arrays(**{schema.STEPS: steps, schema.LOSS: loss, schema.NORM: norm, "least_norm": least})
        record.figure("growth", separable_growth, steps, loss, norm, least)
        if data.input_shape == (2,):
            drawing.draw_regions(record, parts.model, data)
        gap, tolerance = remainder(x @ direction * labels, steps[-1] / times_steps)
        claims = [
            _loss_claim(steps, loss, times_steps, len(x), margin, gap, tolerance),
            _growth_claim(steps, length, margin, gap, tolerance),
            _least_norm_claim(norm, least),
            _one_example_claim(*descent_on_one(self, session)),
        ]
        return Outcome(result.metrics | {"norm": whole_norm(parts.model), "margin": margin}, claims=claims)


def _check(config: Config) -> None:
    model, optimizer, training = config.model, config.optimizer, config.training
    plain = isinstance(optimizer, SGDOptimizer) and optimizer.momentum == 0 and optimizer.clip_norm is None
    needs = {
        "is about softmax regression: model.hidden: []": isinstance(model, MLPModel) and not model.hidden,
        "needs data.batch_size: full and no regularization": (
            config.data.batch_size == "full" and config.loss.regularization.strength == 0
        ),
        "needs loss.name: cross_entropy without label smoothing": (
            config.loss.name == "cross_entropy" and not config.loss.label_smoothing
        ),
        "is about plain gradient descent: optimizer.name: sgd, with a constant step size, momentum 0 and no "
        "clip_norm": plain and optimizer.schedule == ConstantSchedule(name="constant"),
    }
    for need, met in needs.items():
        if not met:
            raise InputError(f"experiment: separable {need}")
    if training.epochs < LEAST_EPOCHS * training.evaluate_every:
        raise InputError(
            f"training.epochs: {training.epochs}: experiment: separable is about growth over many "
            f"steps; allowed: at least {LEAST_EPOCHS} times training.evaluate_every, "
            f"{LEAST_EPOCHS * training.evaluate_every}"
        )


def whole_norm(model: nn.Module) -> float:
    """Returns ‖(W, b)‖, the norm of all parameters."""
    with torch.no_grad():
        return float(torch.cat([p.flatten() for p in model.parameters()]).double().norm())


def length_along(model: nn.Module, direction: np.ndarray) -> float:
    """Returns ⟨v, v̂⟩/‖v̂‖ of the difference v of the two rows of (W | b), along a direction v̂ of (d,)."""
    rows = torch.cat([p.detach().double().reshape(2, -1) for p in model.parameters()], 1)
    v = (rows[1] - rows[0]).numpy(force=True)
    return float(v @ direction / np.linalg.norm(direction))


def remainder(margins: np.ndarray, age: float) -> tuple[float, float]:
    """Returns the gap θ behind the support vectors, and what may be left of the limits, relative to them.

    After t steps each of S support vectors costs about 1/τ, τ = 2ηγ²t/S. The limits leave out the losses'
    second order, (1 + log τ)/τ, and the N − S other examples, which cost τ^−θ at most, beside 1/τ. These are
    orders, not bounds; four times their sum is the tolerance.

    Args:
        margins: (N,) y v̂ᵀx: 1 for support vectors, at least θ for all others; θ is infinite without any.
        age: 2ηγ²t.
    """
    others = margins[margins > 1 + 1e-5]
    support = len(margins) - len(others)
    gap = float(others.min()) if len(others) else math.inf
    tau = max(1.0, age / support)
    return gap, 4 * ((1 + math.log(tau)) / tau + len(others) * tau ** (1 - gap))


def descent_on_one(config: Config, session: Session) -> tuple[np.ndarray, np.ndarray]:
    """Returns ‖(W, b)‖ and the least norm that the loss allows, at every step of training on one example.

    It is the first training example, and descent starts from W = 0.
    """
    on_one = vary(config, {"training.epochs": STEPS_ON_ONE, "training.evaluate_every": 1})
    parts = build_parts(on_one, session)
    train = parts.data.train
    parts.data = replace(parts.data, train=Split(train.inputs[:1], train.targets[:1]))
    with torch.no_grad():
        for p in parts.model.parameters():
            p.zero_()
    rows: list[dict[str, Any]] = []
    fit(
        parts, settings_of(on_one), generator=generator(config.seed, "order"), log=rows.append,
        observe=lambda model: {"norm": whole_norm(model)}, stop=session.stop,
    )  # fmt: skip
    history = histories(rows)["train"]
    margin = float(design_matrix(parts).double().norm())
    return np.array(history["norm"]), least_norm(np.array(history["loss"]), 1, margin)


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


TRAINING = "nnlab.training.trainer.fit"
MARGIN = "nnlab.chapters.classification.separable.max_margin"


def _hypotheses(gap: float) -> list[str]:
    return [
        "linearly separable, softmax regression of two classes, full-batch gradient descent",
        f"the margins of the examples that are no support vectors are at least {gap:.3g} times the least",
    ]


def _loss_claim(
    steps: np.ndarray,
    loss: np.ndarray,
    times_steps: float,
    examples: int,
    margin: float,
    gap: float,
    tolerance: float,
) -> Claim:
    """Claims the limit of t L(t) with its constant.

    In the limit v(t) = v̂ log t + const, so 2ηḡ = v̂/t for the mean gradient ḡ = (1/N) Σ e^{−mᵢ} yᵢxᵢ of the
    support vectors. With v̂ = Σ αᵢ yᵢxᵢ this is e^{−mᵢ}/N = αᵢ/(2ηt), and Σ αᵢ = ‖v̂‖² = 1/γ².
    """
    return exact_claim(
        "loss_falls_like_1_over_t",
        sentence="On separable data the loss falls like 1/(2ηγ²t): it tends to 0 and has no other minimum.",
        formula="2ηγ² t L(W(t)) → 1",
        hypotheses=_hypotheses(gap),
        predicted=1.0,
        measured=float(steps[-1] * loss[-1] / times_steps),
        tolerance=tolerance,
        rivals={
            "step size η for the difference of two rows": 2.0,
            "sum of losses for their mean": float(examples),
            "γ for γ²": 1 / margin,
            "1/√t": float(math.sqrt(steps[-1])),
        },
        predicted_by=MARGIN,
        measured_by=TRAINING,
    )


def _growth_claim(
    steps: np.ndarray, length: np.ndarray, margin: float, gap: float, tolerance: float
) -> Claim:
    """Claims the length that the last octave of steps adds along the direction of the largest margin."""
    half = int(np.searchsorted(steps, steps[-1] / 2))
    growth = (length[-1] - length[half]) / math.log(steps[-1] / steps[half])
    return exact_claim(
        "weights_grow_like_log_t",
        sentence="The weights grow like (log t)/γ: every doubling of the steps adds the same length.",
        formula="γ(‖v(t)‖ − ‖v(t/2)‖)/log 2 → 1 along v̂, for the difference v of the two rows of (W | b)",
        hypotheses=_hypotheses(gap),
        predicted=1.0,
        measured=float(margin * growth),
        tolerance=tolerance,
        rivals={"one row for the difference of two": 0.5, "one row's norm, 1/√2": math.sqrt(0.5),
                "γ² for γ": margin, "1/γ for γ": margin**2},
        predicted_by=MARGIN,
        measured_by=TRAINING,
    )  # fmt: skip


def _least_norm_claim(norm: np.ndarray, least: np.ndarray) -> Claim:
    """Claims a theorem at every step, not only in the limit."""
    return exact_claim(
        "a_small_loss_needs_large_weights",
        sentence="A smaller loss needs larger weights: as the loss tends to 0, they grow without bound.",
        formula="‖(W, b)‖ ≥ −log(e^{NL} − 1)/(√2 γ)",
        hypotheses=["two classes, separable with margin γ", "the smallest excess over all steps"],
        predicted=(0.0, None),
        measured=float(np.min(norm - least)),
        tolerance=0.0,
        predicted_by="nnlab.chapters.classification.separable.least_norm",
        measured_by=TRAINING,
    )


def _one_example_claim(norm: np.ndarray, least: np.ndarray) -> Claim:
    """Claims the case that attains the bound: descent on one example moves straight away from 0."""
    return exact_claim(
        "one_example_attains_the_least_norm",
        sentence="On a single example, descent from 0 always has the least norm that its loss allows.",
        formula="‖(W, b)‖ = −log(e^L − 1)/(√2 ‖x‖), relative difference",
        hypotheses=[
            "N = 1, with the constant feature of the bias in x",
            "the largest over all steps but the first",
        ],
        predicted=0.0,
        measured=worst(norm[1:] / least[1:] - 1),
        tolerance=1e-9,
        rivals={"the difference of the rows for both rows": math.sqrt(2) - 1},
        predicted_by="nnlab.chapters.classification.separable.least_norm",
        measured_by=TRAINING,
    )
