"""L2, L1 and the elastic net over λ: accuracy, zeros, norm of the weights, optimality conditions."""

import math
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field, PositiveFloat

from nnlab.chapters.classification import schema
from nnlab.chapters.classification.classify import share_of_zeros
from nnlab.chapters.classification.figures import regularization_paths
from nnlab.chapters.classification.local_descent import stacked
from nnlab.chapters.classification.minimizer import Problem, coefficients, minimizer
from nnlab.chapters.classification.schema import PenaltyRow
from nnlab.errors import InputError
from nnlab.lab.sections import Distinct, MLPModel, SGDOptimizer, TrainingExperiment
from nnlab.lab.session import Outcome, Session, generator
from nnlab.lab.training_run import build_parts, settings_of, train, vary
from nnlab.record import Record
from nnlab.record.arrays import under
from nnlab.theory import Claim, exact_claim, worst
from nnlab.training import Parts, fit
from nnlab.training.losses import build_penalty
from nnlab.training.theory import kkt_violation

PenaltyName = Literal["l2", "l1", "elastic_net"]
LBFGS_EPOCHS = 30  # of 20 iterations each, where there is no kink
# What is left of the distance after finitely many steps, in units of what the next step would change of the
# optimality conditions; the first numbers are what the solver leaves.
KKT_LEFT, WEIGHTS_LEFT, VALUE_LEFT = (1e-9, 2.0), (1e-5, 10.0), (1e-6, 1.0)
TRAINING = "nnlab.training.trainer.fit"
SOLVER = "nnlab.chapters.classification.minimizer.minimizer"


class Config(TrainingExperiment):
    """Trains the same model with every penalty and every strength to its optimum."""

    experiment: Literal["regularization"]
    arrays = schema.REGULARIZATION_ARRAYS
    penalties: Annotated[list[PenaltyName], Distinct] = Field(["l2", "l1", "elastic_net"], min_length=1)
    strengths: Annotated[list[PositiveFloat], Distinct] = Field([0.001, 0.003, 0.01, 0.03, 0.1], min_length=1)

    def run(self, record: Record, session: Session) -> Outcome:
        """Trains every combination: full-batch L2 by L-BFGS, the kinked penalties by proximal steps."""
        if not isinstance(self.optimizer, SGDOptimizer) or self.optimizer.momentum:
            raise InputError(
                "experiment: regularization takes proximal steps: optimizer.name must be sgd, with momentum 0"
            )
        parts = build_parts(self, session)
        record.start()
        record.save_arrays(**{schema.INPUT_SHAPE: parts.data.input_shape})
        rows: list[PenaltyRow] = []
        claims: list[Claim] = []
        for penalty in self.penalties:
            trained = [_one(self, penalty, strength, record, session) for strength in self.strengths]
            rows += [row for row, _ in trained]
            weights = np.stack([parts.weights[0].detach().numpy(force=True) for _, parts in trained])
            record.save_arrays(**under(penalty, {schema.WEIGHTS: weights}))
            claims.append(_gradient_claim(penalty))
            if _has_one_minimum(self):
                minima = [
                    _Minimum.of(parts, _varied(self, penalty, strength), session)
                    for strength, (_, parts) in zip(self.strengths, trained, strict=True)
                ]
                claims += _minimum_claims(penalty, sorted(minima, key=lambda m: m.strength))
        _draw(self, record, rows)
        metrics = {
            f"{row['penalty']}/{row['strength']:g}/test/accuracy": row["test_accuracy"]
            for row in rows
            if row["test_accuracy"] is not None
        }
        return Outcome(metrics, rows, claims)


def _has_one_minimum(config: Config) -> bool:
    """Tells whether training is full-batch descent on softmax regression, which is convex."""
    model, loss = config.model, config.loss
    return (
        isinstance(model, MLPModel)
        and not model.hidden
        and model.parameterization == "standard"
        and loss.name == "cross_entropy"
        and not loss.label_smoothing
        and config.data.batch_size == "full"
    )


def _varied(config: Config, penalty: PenaltyName, strength: float) -> Config:
    """Returns the config with a penalty; those with a kink take proximal steps."""
    changes = {
        "loss.regularization.name": penalty,
        "loss.regularization.strength": strength,
        "loss.regularization.proximal": penalty != "l2",
    }
    return vary(config, changes)


def _one(
    config: Config, penalty: PenaltyName, strength: float, record: Record, session: Session
) -> tuple[PenaltyRow, Parts]:
    """Trains with one penalty and strength; returns the row of it and what was trained."""
    varied = _varied(config, penalty, strength)
    if penalty == "l2" and config.data.batch_size == "full":
        varied = vary(varied, {"optimizer": {"name": "lbfgs"}, "training.epochs": LBFGS_EPOCHS})
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
    return row, parts


def _violation(parts: Parts) -> float:
    """Returns the largest violation of the optimality conditions, in units of λ: 0 at the minimizer.

    Biases, which are not penalized, have the condition ∂L/∂b = 0.
    """
    model, data, penalty = parts.model, parts.data, parts.penalty
    assert penalty is not None
    model.zero_grad(set_to_none=True)
    parts.loss(model(data.normalize(data.train.inputs)), data.train.targets).backward()  # type: ignore[no-untyped-call]
    strength, smooth = penalty.strength, penalty.quadratic * penalty.strength
    penalized, violations = {id(w) for w in parts.weights}, []
    for p in model.parameters():
        if p.grad is not None:
            slope = p.grad + 2 * smooth * p.detach() if id(p) in penalized else p.grad
            kinked = strength * penalty.absolute if id(p) in penalized else 0.0
            violations.append(kkt_violation(p.detach(), slope, kinked) / strength)
    return worst(violations)


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


@dataclass(frozen=True)
class _Minimum:
    """Where one training ended, beside the minimizer.

    Attributes:
        strength: λ.
        problem: what was trained, as NumPy has it.
        ours, theirs: [W | b] of the training and of the solver; one number added to all biases changes
            nothing, so that they have a mean of 0.
        halved: the solver's with λ/2.
        left: how far from its optimality conditions the next step of training says that it is, in units of λ.
    """

    strength: float
    problem: Problem
    ours: np.ndarray
    theirs: np.ndarray
    halved: np.ndarray
    left: float

    @classmethod
    def of(cls, parts: Parts, config: Config, session: Session) -> "_Minimum":
        """Returns that of a finished training, with one more step of the gradient descent of `config`."""
        data = parts.data
        x = data.normalize(data.train.inputs).flatten(1).double().numpy(force=True)
        targets = np.eye(data.outputs)[data.train.targets.numpy(force=True)]
        bias = len(list(parts.model.parameters())) == 2
        own = config.loss.regularization
        problem, halved = (
            Problem(x, targets, *coefficients(own.name, strength, own.beta), bias)
            for strength in (own.strength, own.strength / 2)
        )
        further = build_parts(config, session)
        further.model.load_state_dict(parts.model.state_dict())
        one = replace(settings_of(config), epochs=1)
        fit(further, one, generator=generator(config.seed, "order"), stop=session.stop)
        moved = (stacked(further.model) - stacked(parts.model)).abs().max()
        left = float(moved) / (config.optimizer.lr * own.strength)
        ours = _centred(problem, stacked(parts.model).double().numpy(force=True))
        theirs, weaker = (_centred(p, minimizer(p)) for p in (problem, halved))
        return cls(own.strength, problem, ours, theirs, weaker, left)


def _centred(problem: Problem, weights: np.ndarray) -> np.ndarray:
    if not problem.bias:
        return weights
    return np.concatenate([weights[:, :-1], weights[:, -1:] - weights[:, -1].mean()], 1)


def _minimum_claims(penalty: PenaltyName, minima: list[_Minimum]) -> list[Claim]:
    """Claims optimality conditions, weights and R(W) at every strength, in ascending order."""
    left = worst([minimum.left for minimum in minima])
    return [
        _optimality_claim(penalty, minima, left),
        _minimizer_claim(penalty, minima, left),
        _value_claim(penalty, minima, left),
    ]


def _tolerance(left: float, rounding_and_factor: tuple[float, float]) -> float:
    """Returns the tolerance where the next step would still change the optimality conditions by `left`."""
    rounding, factor = rounding_and_factor
    return max(rounding, factor * left) if math.isfinite(left) else 0.0


def _half(apart: float) -> dict[str, float]:
    """Returns what half the penalty would give; nothing where both are 0, as no weights are left."""
    return {"half the penalty": apart} if apart else {}


def _optimality_claim(penalty: PenaltyName, minima: list[_Minimum], left: float) -> Claim:
    formulas = {
        "l2": "∂L/∂wᵢ + 2λwᵢ = 0",
        "l1": "|gᵢ| ≤ λ where wᵢ = 0,  gᵢ + λ sign wᵢ = 0 elsewhere;  g = ∇L",
        "elastic_net": "|gᵢ| ≤ λ where wᵢ = 0,  gᵢ + λ sign wᵢ = 0 elsewhere;  g = ∇L + 2λβw",
    }
    violations = []
    for m in minima:
        w, slope = (torch.from_numpy(values) for values in (m.ours, m.problem.gradient(m.ours)))
        d = m.problem.x.shape[1]
        violations.append(kkt_violation(w[:, :d], slope[:, :d], m.problem.absolute) / m.strength)
        if m.problem.bias:
            violations.append(kkt_violation(w[:, d], slope[:, d], 0.0) / m.strength)
    return exact_claim(
        f"optimality_{penalty}",
        sentence=f"Training with {penalty.replace('_', ' ')} ends where its optimality conditions hold.",
        formula=f"{formulas[penalty]};  ∂L/∂b = 0",
        hypotheses=[
            "convex: softmax regression, full batch, run to convergence",
            f"in units of λ, of which the next step would remove {left:.2g}",
        ],
        predicted=0.0,
        measured=worst(violations),
        tolerance=_tolerance(left, KKT_LEFT),
        rivals={"gradient of L without the penalty": 1.0, "half the penalty": 0.5},
        predicted_by="nnlab.chapters.classification.minimizer.Problem, nnlab.training.theory.kkt_violation",
        measured_by=TRAINING,
    )


def _minimizer_claim(penalty: PenaltyName, minima: list[_Minimum], left: float) -> Claim:
    def apart(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.linalg.norm(a - b) / np.linalg.norm(b)) if b.any() else float(np.linalg.norm(a))

    return exact_claim(
        f"minimizer_{penalty}",
        sentence=f"Training with {penalty.replace('_', ' ')} ends at the weights that a solver finds.",
        formula="argmin L(W, b) + λR(W), relative distance, the largest over λ",
        hypotheses=["convex: softmax regression, full batch, run to convergence", "L-BFGS-B on W = P − M"],
        predicted=0.0,
        measured=worst([apart(m.ours, m.theirs) for m in minima]),
        tolerance=_tolerance(left, WEIGHTS_LEFT),
        rivals=_half(apart(minima[0].halved, minima[0].theirs)),
        predicted_by=SOLVER,
        measured_by=TRAINING,
    )


def _value_claim(penalty: PenaltyName, minima: list[_Minimum], left: float) -> Claim:
    """Claims R(W) at the minimizers; that it falls follows from the sum of two minimizers' inequalities."""

    def excess(m: _Minimum, weights: np.ndarray) -> float:
        value, least = m.problem.penalty(weights), m.problem.penalty(m.theirs)
        return (value - least) / least if least else value

    values = [m.problem.penalty(m.theirs) / m.strength for m in minima]
    return exact_claim(
        f"stronger_is_smaller_{penalty}",
        sentence=f"As λ grows, R(W) of {penalty.replace('_', ' ')} falls through a solver's values.",
        formula="λ < λ'  ⟹  R(W*_λ') ≤ R(W*_λ);  R(W)/R(W*_λ) − 1, the largest over λ",
        hypotheses=[
            f"R = {value:.5g} at λ = {m.strength:g}" for value, m in zip(values, minima, strict=True)
        ],
        predicted=0.0,
        measured=worst([excess(m, m.ours) for m in minima]),
        tolerance=_tolerance(left, VALUE_LEFT),
        rivals=_half(excess(minima[0], minima[0].halved)),
        predicted_by=SOLVER,
        measured_by=TRAINING,
    )


def _gradient_claim(name: PenaltyName) -> Claim:
    """Compares what training does with λR(W): its gradient, that of its value, and its proximal step."""
    strength, beta, lr = 0.3, 0.7, 0.25
    w = np.linspace(-2, 2, 10)  # none of them 0, where |w| bends
    formulas = {
        "l2": ("2λW", 2 * w, {"λW, the gradient of ½λΣW²": w}),
        "l1": ("λ sign W", np.sign(w), {"λW/2": w / 2}),
        "elastic_net": ("λ(2βW + sign W)", 2 * beta * w + np.sign(w), {"βW for 2βW": beta * w + np.sign(w)}),
    }
    formula, slope, rivals = formulas[name]
    penalty = build_penalty(name, strength, beta)
    assert penalty is not None
    weights = torch.tensor(w, requires_grad=True)
    weights.grad = torch.zeros_like(weights)
    penalty.add_gradient_([weights])
    (of_value,) = torch.autograd.grad(penalty.value([weights]), [weights])
    shrunk = weights.detach().clone()
    penalty.shrink_([shrunk], lr)
    absolute = 0.0 if name == "l2" else lr * strength
    expected, size = strength * slope, float(np.linalg.norm(strength * slope))
    soft = np.sign(w) * np.maximum(np.abs(w) - absolute, 0)
    apart = [weights.grad.numpy() - expected, of_value.numpy() - expected, shrunk.numpy() - soft]
    return exact_claim(
        f"gradient_of_{name}",
        sentence=f"The gradient of λR(W) is {formula}, as the slide says for {name.replace('_', ' ')}.",
        formula=f"∇ λ R(W) = {formula}; the proximal step is sign(W) max(|W| − ηλ, 0) for the kink",
        hypotheses=["W ≠ 0", "what training adds, the derivative of λR(W), and the step that training takes"],
        predicted=0.0,
        measured=worst(*apart) / size,
        tolerance=1e-14,
        rivals={
            label: float(np.linalg.norm(strength * (other - slope))) / size for label, other in rivals.items()
        },
        predicted_by="closed form: " + formula,
        measured_by="nnlab.training.losses.Penalty",
    )
