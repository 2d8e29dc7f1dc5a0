"""L2, L1 and the elastic net over λ: accuracy, zeros, norm of the weights, optimality conditions."""

from itertools import pairwise
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field, PositiveFloat

from nnlab.chapters.classification import schema
from nnlab.chapters.classification.classify import share_of_zeros
from nnlab.chapters.classification.figures import regularization_paths
from nnlab.chapters.classification.schema import PenaltyRow
from nnlab.errors import InputError
from nnlab.lab.sections import Distinct, SGDOptimizer, TrainingExperiment
from nnlab.lab.session import Outcome, Session
from nnlab.lab.training_run import build_parts, train, vary
from nnlab.record import Record
from nnlab.record.arrays import under
from nnlab.theory import Claim, exact_claim
from nnlab.training import Parts
from nnlab.training.losses import build_penalty
from nnlab.training.theory import kkt_violation

PenaltyName = Literal["l2", "l1", "elastic_net"]
KKT_TOLERANCE = 0.01  # of λ: left by a training that ends after finitely many steps


class Config(TrainingExperiment):
    """Trains the same model with every penalty and every strength to its optimum."""

    experiment: Literal["regularization"]
    arrays = schema.REGULARIZATION_ARRAYS
    penalties: Annotated[list[PenaltyName], Distinct] = Field(["l2", "l1", "elastic_net"], min_length=1)
    strengths: Annotated[list[PositiveFloat], Distinct] = Field([0.001, 0.003, 0.01, 0.03, 0.1], min_length=1)

    def run(self, record: Record, session: Session) -> Outcome:
        """Trains every combination; the kinked penalties take proximal steps."""
        if not isinstance(self.optimizer, SGDOptimizer) or self.optimizer.momentum:
            raise InputError(
                "experiment: regularization takes proximal steps: optimizer.name must be sgd, with momentum 0"
            )
        parts = build_parts(self, session)
        record.start()
        record.save_arrays(**{schema.INPUT_SHAPE: parts.data.input_shape})
        rows: list[PenaltyRow] = []
        for penalty in self.penalties:
            trained = [_one(self, penalty, strength, record, session) for strength in self.strengths]
            rows += [row for row, _ in trained]
            weights = np.stack([weights for _, weights in trained])
            record.save_arrays(**under(penalty, {schema.WEIGHTS: weights}))
        _draw(self, record, rows)
        metrics = {
            f"{row['penalty']}/{row['strength']:g}/test/accuracy": row["test_accuracy"]
            for row in rows
            if row["test_accuracy"] is not None
        }
        return Outcome(metrics, rows, _claims(self, rows))


def _one(
    config: Config, penalty: PenaltyName, strength: float, record: Record, session: Session
) -> tuple[PenaltyRow, np.ndarray]:
    """Trains with one penalty and strength; returns the row of it and the weights of its first layer."""
    changes = {
        "loss.regularization.name": penalty,
        "loss.regularization.strength": strength,
        "loss.regularization.proximal": penalty != "l2",
    }
    varied = vary(config, changes)
    parts = build_parts(varied, session)
    result = train(varied, parts, record, session, part=f"{penalty}-{strength:g}")
    weights = [w.detach() for w in parts.weights]
    assert parts.penalty is not None
    row: PenaltyRow = {
        "penalty": penalty,
        "strength": strength,
        "test_accuracy": result.metrics.get("test/accuracy"),
        "sparsity": share_of_zeros(weights),
        "norm": float(torch.cat([w.flatten() for w in weights]).norm()),
        "penalty_value": float(parts.penalty.value(weights)) / strength,
        "kkt_violation": _violation(parts),
    }
    return row, weights[0].numpy(force=True)


def _violation(parts: Parts) -> float:
    """Returns the largest violation of the optimality conditions, in units of λ: 0 at the minimizer."""
    model, data, penalty = parts.model, parts.data, parts.penalty
    assert penalty is not None
    model.zero_grad(set_to_none=True)
    parts.loss(model(data.normalize(data.train.inputs)), data.train.targets).backward()  # type: ignore[no-untyped-call]
    strength, smooth = penalty.strength, penalty.quadratic * penalty.strength
    pairs = [(w.detach(), w.grad + 2 * smooth * w.detach()) for w in parts.weights if w.grad is not None]
    if not penalty.absolute:
        return max(float(g.abs().max()) for _, g in pairs) / strength
    return max(kkt_violation(w, g, strength) for w, g in pairs)


def _draw(config: Config, record: Record, rows: list[PenaltyRow]) -> None:
    paths: dict[str, dict[str, list[Any]]] = {}
    for penalty in config.penalties:
        of_penalty = [row for row in rows if row["penalty"] == penalty]
        paths[penalty] = {
            schema.ACCURACY: [row["test_accuracy"] for row in of_penalty],
            "sparsity": [row["sparsity"] for row in of_penalty],
            schema.NORM: [row["norm"] for row in of_penalty],
        }
    arrays = {name: values for penalty in paths for name, values in under(penalty, paths[penalty]).items()}
    record.save_arrays(**{schema.STRENGTHS: config.strengths, **arrays})
    record.figure("paths", regularization_paths, config.strengths, paths)


def _claims(config: Config, rows: list[PenaltyRow]) -> list[Claim]:
    claims = []
    for penalty in config.penalties:
        claims.append(_gradient_claim(penalty))
        of_penalty = sorted((r for r in rows if r["penalty"] == penalty), key=lambda r: r["strength"])
        claims.append(_optimality_claim(penalty, of_penalty))
        claims.append(_monotone_claim(penalty, of_penalty))
    return claims


def _optimality_claim(penalty: str, rows: list[PenaltyRow]) -> Claim:
    formulas = {
        "l2": "∂L/∂wᵢ + 2λwᵢ = 0",
        "l1": "|gᵢ| ≤ λ where wᵢ = 0,  gᵢ + λ sign wᵢ = 0 elsewhere;  g = ∇L",
        "elastic_net": "|gᵢ| ≤ λ where wᵢ = 0,  gᵢ + λ sign wᵢ = 0 elsewhere;  g = ∇L + 2λβw",
    }
    return exact_claim(
        f"optimality_{penalty}",
        sentence=f"Training with {penalty.replace('_', ' ')} ends where its optimality conditions hold.",
        formula=formulas[penalty],
        hypotheses=["convex: softmax regression, full batch, run to convergence"],
        predicted=0.0,
        measured=max(row["kkt_violation"] for row in rows),
        tolerance=KKT_TOLERANCE,
        rivals={"gradient of L without the penalty": 1.0},
    )


def _monotone_claim(penalty: str, rows: list[PenaltyRow]) -> Claim:
    """Claims that R falls with λ: two minimizers satisfy it by the sum of their two inequalities."""
    values = [row["penalty_value"] for row in rows]
    rises = [after / before - 1 if before else after for before, after in pairwise(values)]
    return exact_claim(
        f"stronger_is_smaller_{penalty}",
        sentence=f"A larger λ never gives a larger R(W) ({penalty.replace('_', ' ')}).",
        formula="λ < λ'  ⟹  R(W*_λ') ≤ R(W*_λ)",
        hypotheses=["both weights are minimizers"],
        predicted=(None, 1e-3),
        measured=max(rises, default=0.0),
        tolerance=0.0,
    )


def _gradient_claim(name: PenaltyName) -> Claim:
    """Compares the gradient that training adds with the formula and with differences of λR(W)."""
    strength, beta = 0.3, 0.7
    w = torch.linspace(-2, 2, 10, dtype=torch.float64).requires_grad_()  # none of them 0, where |w| bends
    formulas = {
        "l2": ("2λW", 2 * w, {"λW, the gradient of ½λΣW²": w}),
        "l1": ("λ sign W", w.sign(), {"no penalty": 0 * w}),
        "elastic_net": ("λ(2βW + sign W)", 2 * beta * w + w.sign(), {"βW for 2βW": beta * w + w.sign()}),
    }
    formula, slope, rivals = formulas[name]
    penalty = build_penalty(name, strength, beta)
    assert penalty is not None
    w.grad = torch.zeros_like(w)
    penalty.add_gradient_([w])
    step = 1e-3  # λR(W) is quadratic between its kinks: a central difference has no truncation error
    shifted = torch.eye(len(w), dtype=torch.float64) * step
    with torch.no_grad():
        rises = torch.stack([penalty.value([w + s]) - penalty.value([w - s]) for s in shifted])
        expected = strength * slope
        apart = max(float((other - expected).norm()) for other in (w.grad, rises / (2 * step)))
        size = float(expected.norm())
        wrong = {label: float((strength * other - expected).norm()) / size for label, other in rivals.items()}
    return exact_claim(
        f"gradient_of_{name}",
        sentence=f"The gradient of λR(W) is {formula}, as the slide says for {name.replace('_', ' ')}.",
        formula=f"∇ λ R(W) = {formula}, relative difference",
        hypotheses=["W ≠ 0", "what training adds, and central differences of λR(W), beside the formula"],
        predicted=0.0,
        measured=apart / size,
        tolerance=1e-9,
        rivals=wrong,
    )
