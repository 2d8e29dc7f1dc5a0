"""The distance of gradient descent to the optimum, beside the linear rate that theory predicts."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field, PositiveFloat
from torch import Tensor, nn

from nnlab.chapters.classification import schema
from nnlab.chapters.classification.figures import convergence
from nnlab.chapters.classification.local_descent import (
    BESIDE,
    bound_claims,
    factor_claim,
    factor_of_a_step,
    stacked,
)
from nnlab.errors import InputError
from nnlab.lab.sections import Distinct, MLPModel, SGDOptimizer, TrainingExperiment
from nnlab.lab.session import Outcome, Session
from nnlab.lab.training_run import build_parts, design_matrix, histories, step_bound, train, vary
from nnlab.record import Record
from nnlab.record.arrays import under
from nnlab.theory import Claim, exact_claim
from nnlab.training import Parts
from nnlab.training.theory import linear_rate, measured_rate, softmax_hessian, softmax_step_bound

OPTIMUM_EPOCHS = 60  # of 20 L-BFGS iterations each: far more than digits need
# A line search compares objectives, and so finds the optimum to the root of rounding only, 1e-8. Newton's
# method solves for the gradient; each step doubles the digits.
NEWTON_STEPS = 3
RATE_TOLERANCE = 1e-3
SEEN = 0.01  # of the distance, what the last third of the steps removes at least where a rate is claimed
FLAT = 1e-10  # of the largest eigenvalue: one number added to all biases changes nothing


class Config(TrainingExperiment):
    """Softmax regression with L2, by gradient descent at multiples of the step size that is guaranteed."""

    experiment: Literal["convergence"]
    arrays = schema.CONVERGENCE_ARRAYS
    multiples: Annotated[list[PositiveFloat], Distinct] = Field([0.1, 0.5, 1.0, 10.0], min_length=1)

    def run(self, record: Record, session: Session) -> Outcome:
        """Finds the optimum by L-BFGS, checks it against scikit-learn, and measures the approach to it."""
        _check(self)
        parts = build_parts(self, session)
        bound = step_bound(self, parts)
        assert bound is not None
        record.start()
        lbfgs = {"name": "lbfgs", "short_steps": False}  # the last digits are left to Newton's method
        newton = vary(self, {"optimizer": lbfgs, "training.epochs": OPTIMUM_EPOCHS})
        optimum = build_parts(newton, session)
        train(newton, optimum, record, session, part="optimum")
        for _ in range(NEWTON_STEPS):
            newton_step(optimum)
        best = stacked(optimum.model)
        eigenvalues, directions = torch.linalg.eigh(hessian(optimum))
        curvature = Curvature(eigenvalues, directions, wrong_curvatures(optimum))
        lrs = {f"{multiple:g} {schema.UNIT}": multiple * bound.bound for multiple in self.multiples}
        rates = {label: linear_rate(eigenvalues, lr) for label, lr in lrs.items()}
        record.predict({"guaranteed_below": bound.bound, "step_sizes": lrs, "rates": rates})
        claims = [scikit_learn_claim(optimum)]
        rows, distances = [], {}
        for label, lr in lrs.items():
            varied = vary(self, {"optimizer.lr": lr})
            descent = build_parts(varied, session)
            mode = curvature.slowest(lr).reshape(best.shape)
            result = train(
                varied, descent, record, session, part=label, observe=partial(_distances, best, mode)
            )
            history = histories(record.history(), label)["train"]
            distances[label] = np.array(history["distance"])
            rows.append(_row(label, lr, rates[label], history, result.metrics))
            if rates[label] >= 1:
                claims.append(self._factor_claim(f"leaves_at_{label}", lr, optimum, curvature, session))
            elif (1 - rates[label]) * self.training.epochs / 3 >= SEEN:
                claims.append(_rate_claim(label, lr, rates[label], torch.tensor(history["mode"])))
        steps = np.arange(self.training.epochs)
        away = stacked(parts.model) - best
        model = {schema.EIGENVALUES: eigenvalues, schema.START: directions.T @ away.flatten()}
        record.save_arrays(
            **{schema.STEPS: steps, schema.BOUND: bound.bound},
            **under(schema.HESSIAN, {name: values.numpy(force=True) for name, values in model.items()}),
            **under(schema.DISTANCE, distances),
        )
        converging = {label: rate for label, rate in rates.items() if rate < 1}
        record.figure("convergence", convergence, steps, distances, converging)
        edge = 2 / float(eigenvalues[-1])
        claims += [
            self._factor_claim(f"factor_at_{share:g}_×_edge", share * edge, optimum, curvature, session)
            for share in BESIDE
        ]
        claims += bound_claims(optimum, self.seed, session)
        return Outcome(optimum_metrics(optimum), rows, claims)

    def _factor_claim(
        self, name: str, lr: float, optimum: Parts, curvature: "Curvature", session: Session
    ) -> Claim:
        """Claims the factor of a step along the direction of the largest curvature, beside the optimum."""
        top = float(curvature.eigenvalues[-1])
        parts = build_parts(vary(self, {"optimizer.lr": lr}), session)
        parts.model.load_state_dict(optimum.model.state_dict())
        parts.precision = optimum.precision
        predicted = abs(1 - lr * top)
        direction = curvature.directions[:, -1].reshape(stacked(parts.model).shape)
        measured = factor_of_a_step(parts, direction, predicted, self.seed, session)
        goes = "shrinks" if predicted < 1 else "grows"
        return factor_claim(
            name.replace(" ", "_"),
            f"Beside the optimum, at {lr * top / 2:.3g} times 2/λmax, its distance {goes} by |1 − ηλmax| "
            "a step.",
            [f"λmax = {top:.5g} of the Hessian at the optimum, η = {lr:.4g}"],
            predicted,
            measured,
            {label: abs(1 - lr * other) for label, other in curvature.wrong.items()},
        )


@dataclass(frozen=True)
class Curvature:
    """The Hessian at the optimum.

    Attributes:
        eigenvalues: (p,) ascending.
        directions: (p, p) its eigenvectors, as columns.
        wrong: the largest eigenvalues that a mistake would give, by the mistake.
    """

    eigenvalues: Tensor
    directions: Tensor
    wrong: Mapping[str, float]

    def slowest(self, lr: float) -> Tensor:
        """Returns the eigenvector (p,) of the largest |1 − ηλ|, among those with λ > 0."""
        moving = self.eigenvalues > FLAT * self.eigenvalues[-1]
        return self.directions[:, int(((1 - lr * self.eigenvalues).abs() * moving).argmax())]


def _distances(best: Tensor, mode: Tensor, model: nn.Module) -> dict[str, float]:
    """Returns the distance to the optimum, and its part along one eigenvector of the Hessian."""
    away = stacked(model) - best
    return {"distance": float(away.norm()), "mode": float((away * mode).sum().abs())}


def _check(config: Config) -> None:
    model, optimizer, training, loss = config.model, config.optimizer, config.training, config.loss
    linear = isinstance(model, MLPModel) and not model.hidden
    plain = isinstance(optimizer, SGDOptimizer) and optimizer.momentum == 0 and optimizer.clip_norm is None
    needs = {
        "is about softmax regression: model.hidden: []": linear,
        "needs model.parameterization: standard": getattr(model, "parameterization", None) == "standard",
        "is about plain full-batch gradient descent: optimizer.name: sgd, momentum: 0, no clip_norm, "
        "data.batch_size: full": plain and config.data.batch_size == "full",
        "needs training.precision: float64 and training.evaluate_every: 1": (
            training.precision == "float64" and training.evaluate_every == 1
        ),
        "needs loss.name: cross_entropy without label smoothing": (
            loss.name == "cross_entropy" and not loss.label_smoothing
        ),
        "needs loss.regularization: {name: l2, strength: above 0}": (
            loss.regularization.name == "l2" and loss.regularization.strength > 0
        ),
    }
    for need, met in needs.items():
        if not met:
            raise InputError(f"experiment: convergence {need}")


def optimum_metrics(parts: Parts) -> dict[str, float]:
    """Returns objective and gradient at the optimum, and its accuracy on the test set."""
    data = parts.data
    scores = parts.model(data.normalize(data.test.inputs))
    return {
        "optimum/objective": objective(parts),
        "optimum/gradient_norm": float(gradient(parts).norm()),
        "test/accuracy": float((scores.argmax(1) == data.test.targets).double().mean()),
    }


def objective(parts: Parts) -> float:
    """Returns the mean cross-entropy plus λΣW² on the training split."""
    data = parts.data
    assert parts.penalty is not None
    with torch.no_grad():
        loss = parts.loss(parts.model(data.normalize(data.train.inputs)), data.train.targets)
        return float(loss + parts.penalty.value(parts.weights))


def gradient(parts: Parts) -> Tensor:
    """Returns ∇(L + λΣW²), (C, d) or with a bias (C, d + 1), the bias last."""
    data = parts.data
    assert parts.penalty is not None
    parts.model.zero_grad(set_to_none=True)
    parts.loss(parts.model(data.normalize(data.train.inputs)), data.train.targets).backward()  # type: ignore[no-untyped-call]
    parts.penalty.add_gradient_(parts.weights)
    gradients = [p.grad for p in parts.model.parameters() if p.grad is not None]
    return torch.cat([g if g.ndim == 2 else g[:, None] for g in gradients], 1)


def hessian(parts: Parts, penalized: float = 1.0) -> Tensor:
    """Returns the Hessian of L + λΣW², row-major over (class, feature); λ acts on weights, not on biases.

    Args:
        parts: of softmax regression with L2.
        penalized: the part of λ that counts.
    """
    assert parts.penalty is not None
    x = design_matrix(parts).double()
    with torch.no_grad():
        p = parts.model(parts.data.normalize(parts.data.train.inputs)).softmax(1)
    curvature = softmax_hessian(x, p.double())
    regularized = torch.ones(p.shape[1], x.shape[1], dtype=torch.float64, device=x.device)
    if len(list(parts.model.parameters())) == 2:
        regularized[:, -1] = 0
    curvature.diagonal().add_(2 * penalized * parts.penalty.strength * regularized.flatten())
    return curvature


def wrong_curvatures(parts: Parts) -> dict[str, float]:
    """Returns the largest eigenvalues of Hessians that a mistake would give, by the mistake."""
    x = design_matrix(parts)
    without, half, right = (
        float(torch.linalg.eigvalsh(hessian(parts, part))[-1]) for part in (0.0, 0.5, 1.0)
    )
    return {
        "without the penalty": without,
        "λ for 2λ": half,
        "sum of losses for their mean": len(x) * without + right - without,
        "twice the curvature": 2 * right,
        "half of it": right / 2,
        "the curvature of the bound": 2
        / softmax_step_bound(x, parts.penalty.strength if parts.penalty else 0.0),
    }


@torch.no_grad()
def newton_step(parts: Parts) -> None:
    """Takes the step w ← w − H⁺∇; a pseudo-inverse, as one number added to all biases changes nothing."""
    with torch.enable_grad():
        g = gradient(parts)
    step = (torch.linalg.pinv(hessian(parts), hermitian=True) @ g.flatten()).reshape(g.shape)
    columns = parts.weights[0].shape[1]
    for p in parts.model.parameters():
        p.sub_(step[:, :columns] if p.ndim == 2 else step[:, -1])


def scikit_learn_claim(parts: Parts) -> Claim:
    """Compares [W | b] with LogisticRegression: its C Σ loss + ½‖W‖² is our objective/(2λ) for C = 1/(2λN).

    One number added to all biases changes nothing: both are compared with a mean of 0.
    """
    assert parts.penalty is not None
    strength, ours = parts.penalty.strength, _centred(stacked(parts.model).numpy(force=True), parts)
    theirs, half = (_centred(_reference(parts, part * strength), parts) for part in (1.0, 0.5))
    return exact_claim(
        "optimum_agrees_with_scikit_learn",
        sentence="L-BFGS and Newton's method find the weights that scikit-learn finds.",
        formula="argmin L(W) + λ‖W‖², relative distance",
        hypotheses=["softmax regression with L2, float64, scikit-learn's newton-cholesky"],
        predicted=0.0,
        measured=float(np.linalg.norm(ours - theirs) / np.linalg.norm(theirs)),
        tolerance=1e-8,
        rivals={"½λ‖W‖² for λ‖W‖²": float(np.linalg.norm(half - theirs) / np.linalg.norm(theirs))},
        predicted_by="sklearn.linear_model.LogisticRegression",
        measured_by="nnlab.training.trainer.fit, nnlab.training.theory.softmax_hessian",
    )


def _centred(weights: np.ndarray, parts: Parts) -> np.ndarray:
    if len(list(parts.model.parameters())) == 2:
        weights[:, -1] -= weights[:, -1].mean()
    return weights


def _reference(parts: Parts, strength: float) -> np.ndarray:
    """Returns scikit-learn's [W | b], (C, d + 1), or W, (C, d)."""
    from sklearn.linear_model import LogisticRegression  # slow to import, and no other experiment needs it

    data = parts.data
    x = data.normalize(data.train.inputs).flatten(1).double().numpy(force=True)
    has_bias = len(list(parts.model.parameters())) == 2
    # of two classes it keeps one row v, the difference of ours, and ½‖v‖² in place of ½(‖v/2‖² + ‖v/2‖²)
    two = data.outputs == 2
    reference = LogisticRegression(
        C=1 / (2 * strength * len(x)) * (2 if two else 1), solver="newton-cholesky", tol=1e-12, max_iter=100,
        fit_intercept=has_bias,
    )  # fmt: skip
    reference.fit(x, data.train.targets.numpy(force=True))
    rows = np.concatenate([reference.coef_, reference.intercept_[:, None]][: 1 + has_bias], 1)
    return np.concatenate([-rows, rows]) / 2 if two else rows


def _row(
    label: str, lr: float, rate: float, history: dict[str, list[float]], metrics: dict[str, float]
) -> dict[str, Any]:
    distances = torch.tensor(history["distance"])
    return {
        "step_size": label,
        "lr": lr,
        "predicted_rate": rate,
        "measured_rate": measured_rate(distances),
        "distance_at_start": float(distances[0]),
        "distance_at_end": float(distances[-1]),
        "objective_at_end": history["objective"][-1],
        "largest_rise": float(np.diff(history["objective"]).max()) if len(distances) > 1 else 0.0,
        "train_loss": metrics["train/loss"],
    }


def _rate_claim(label: str, lr: float, rate: float, along: Tensor) -> Claim:
    """Claims the predicted 1 − ρ, what a step removes of the distance along the slowest direction."""
    removed = 1 - measured_rate(along)
    return exact_claim(
        f"rate_at_{label.replace(' ', '_')}",
        sentence=f"Descent with step size {label} converges, by the predicted factor a step.",
        formula="⟨w(k+1) − w*, v⟩/⟨w(k) − w*, v⟩ → ρ = max |1 − ηλᵢ|,  along its eigenvector v",
        hypotheses=[
            "λᵢ: eigenvalues of the Hessian at the optimum, without the flat direction",
            "from a random start, over the last third of the steps",
            f"η = {lr:.4g}",
        ],
        predicted=1.0,
        measured=removed / (1 - rate),
        tolerance=RATE_TOLERANCE,
        rivals={"half as fast": 0.5, "twice as fast": 2.0},
        predicted_by="nnlab.training.theory.softmax_hessian, nnlab.training.theory.linear_rate",
        measured_by="nnlab.training.trainer.fit",
    )
