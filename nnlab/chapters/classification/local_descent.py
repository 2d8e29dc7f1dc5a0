"""Descent that starts beside an optimum: the factor of a step, below and above the largest step size."""

from collections.abc import Mapping
from dataclasses import replace
from math import log
from typing import Any

import torch
from torch import Tensor, nn

from nnlab.data import Split
from nnlab.lab.session import Session, generator
from nnlab.lab.training_run import histories
from nnlab.models import MLP
from nnlab.theory import Claim, exact_claim
from nnlab.training import Parts, Settings, build_loss, build_optimizer, build_penalty, fit
from nnlab.training.theory import softmax_step_bound

START = 1e-7  # of the distance to the optimum, where the gradient is linear up to as large a part
STEPS = 40
GROWTH = 30.0  # the largest distance at the end, in units of START
TOLERANCE = 1e-5  # the second order of the gradient costs a few times the distance, at most 3e-6
BESIDE = (0.98, 1.02)  # times the largest step size


def factor_of_a_step(parts: Parts, direction: Tensor, expected: float, seed: int, session: Session) -> float:
    """Returns the factor by which a step of `fit` multiplies the distance along an eigenvector.

    Args:
        parts: of a full-batch gradient descent; the model is at the optimum, and is moved.
        direction: (C, d) or (C, d + 1), of length 1: an eigenvector of the Hessian at the optimum.
        expected: the factor, which decides on the number of steps.
        seed: of the order of the examples.
        session: is asked whether to stop.

    Returns:
        The geometric mean over the steps, without its sign.
    """
    optimum = stacked(parts.model)
    move(parts.model, START * direction)
    steps = STEPS if expected <= 1 else max(2, min(STEPS, int(log(GROWTH) / log(expected))))
    rows: list[dict[str, Any]] = []
    fit(
        parts,
        Settings(epochs=steps + 1, batch_size="full"),
        generator=generator(seed, "order"),
        observe=lambda model: {"along": float(((stacked(model) - optimum) * direction).sum())},
        log=rows.append,
        stop=session.stop,
    )
    along = histories(rows)["train"]["along"]
    return float(abs(along[steps] / along[0]) ** (1 / steps))


def stacked(model: nn.Module) -> Tensor:
    """Returns [W | b], (C, d + 1), or W, (C, d), of a linear model."""
    return torch.cat([p.detach().reshape(len(p), -1) for p in model.parameters()], 1)


@torch.no_grad()
def move(model: nn.Module, change: Tensor) -> None:
    """Adds to [W | b] of a linear model."""
    start = 0
    for p in model.parameters():
        columns = p[:, None] if p.ndim == 1 else p
        columns += change[:, start : start + columns.shape[1]]
        start += columns.shape[1]


def factor_claim(
    name: str,
    sentence: str,
    hypotheses: list[str],
    predicted: float,
    measured: float,
    rivals: Mapping[str, float],
) -> Claim:
    """Claims the factor |1 − ηλ| of a step along an eigenvector."""
    return exact_claim(
        name,
        sentence=sentence,
        formula="⟨w(k+1) − w*, v⟩/⟨w(k) − w*, v⟩ = 1 − ηλ,  Hv = λv",
        hypotheses=[f"the start is {START:g} v beside the optimum", *hypotheses],
        predicted=predicted,
        measured=measured,
        tolerance=TOLERANCE,
        rivals={label: value for label, value in rivals.items() if value != predicted},
        predicted_by="nnlab.training.theory.softmax_hessian",
        measured_by="nnlab.training.trainer.fit",
    )


# --- the case that attains the bound ----------------------------------------------------------------


def ambiguous(parts: Parts, strength: float, share: float) -> tuple[Parts, Tensor]:
    """Returns softmax regression of two classes that nothing tells apart, at its optimum, and a direction.

    Every example has both labels. The optimum is W = 0, where all probabilities are ½ and diag p − ppᵀ has
    the eigenvalue ½ of Böhning's bound.

    Args:
        parts: their inputs and their number format are used; there are no biases.
        strength: λ of L2.
        share: of the step bound, to descend with.

    Returns:
        The parts, and (v, −v)/√2, (2, d), with v the eigenvector of the largest eigenvalue of XᵀX/N.
    """
    data = parts.data
    x = data.normalize(data.train.inputs).flatten(1)
    labels = torch.arange(2, device=x.device).repeat_interleave(len(x))
    split = Split(torch.cat([x, x]), labels)
    shape = (x.shape[1],)
    twice = replace(data, train=split, validation=None, test=split, outputs=2, input_shape=shape)
    model = MLP(x.shape[1], [], 2, bias=False, generator=torch.Generator()).to(x)
    with torch.no_grad():
        model.output.weight.zero_()
    lr = share * softmax_step_bound(x, strength)
    top = torch.linalg.svd(x, full_matrices=False).Vh[0]
    optimizer, penalty = build_optimizer("sgd", model, lr=lr), build_penalty("l2", strength)
    undecided = Parts(
        model, twice, build_loss("cross_entropy"), optimizer, penalty, precision=parts.precision
    )
    return undecided, torch.stack([top, -top]) / 2**0.5


def bound_claims(parts: Parts, seed: int, session: Session) -> list[Claim]:
    """Claims that the bound of `softmax_step_bound` is sharp: below it distances shrink, above they grow."""
    assert parts.penalty is not None
    strength, claims = parts.penalty.strength, []
    for share in BESIDE:
        undecided, direction = ambiguous(parts, strength, share)
        lr, predicted = undecided.optimizer.param_groups[0]["lr"], abs(1 - 2 * share)
        measured = factor_of_a_step(undecided, direction, predicted, seed, session)
        goes = "converges" if share < 1 else "leaves the optimum, and the objective rises"
        claim = factor_claim(
            f"two_classes_at_{share:g}_×_bound",
            f"At {share:g} times the bound, descent on two classes that nothing tells apart {goes}.",
            [
                "every example has both labels, so that W* = 0 attains Böhning's ½",
                f"η = {lr:.4g}",
                "no biases",
            ],
            predicted,
            measured,
            {
                "¼ for Böhning's ½": abs(1 - share - lr * strength),
                "1 for Böhning's ½": abs(1 - 4 * share + 2 * lr * strength),
                "λ for 2λ": abs(1 - 2 * share + lr * strength),
            },
        )
        claims.append(replace(claim, predicted_by="nnlab.training.theory.softmax_step_bound"))
    return claims
