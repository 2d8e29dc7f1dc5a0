"""The distance of gradient descent to the optimum, beside the linear rate that theory predicts."""

from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field, PositiveFloat
from torch import Tensor, nn

from nnlab.chapters.classification import schema
from nnlab.chapters.classification.figures import convergence
from nnlab.errors import InputError
from nnlab.lab.sections import Distinct, MLPModel, SGDOptimizer, TrainingExperiment
from nnlab.lab.session import Outcome, Session
from nnlab.lab.training_run import build_parts, design_matrix, histories, step_bound, train, vary
from nnlab.record import Record
from nnlab.record.arrays import under
from nnlab.theory import Claim, exact_claim
from nnlab.training import Parts
from nnlab.training.theory import linear_rate, measured_rate, softmax_hessian

OPTIMUM_EPOCHS = 60  # of 20 L-BFGS iterations each: far more than digits need
# A line search compares objectives, and so finds the optimum to the root of rounding only, 1e-8. Newton's
# method solves for the gradient; each step doubles the digits.
NEWTON_STEPS = 3


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
        claims = [scikit_learn_claim(optimum)]
        for _ in range(NEWTON_STEPS):
            newton_step(optimum)
        best = parameters_of(optimum.model)
        eigenvalues, directions = torch.linalg.eigh(hessian(optimum))
        lrs = {f"{multiple:g} {schema.UNIT}": multiple * bound.bound for multiple in self.multiples}
        rates = {label: linear_rate(eigenvalues, lr) for label, lr in lrs.items()}
        record.predict({"guaranteed_below": bound.bound, "step_sizes": lrs, "rates": rates})
        rows, distances = [], {}
        for label, lr in lrs.items():
            varied = vary(self, {"optimizer.lr": lr})
            descent = build_parts(varied, session)
            result = train(
                varied, descent, record, session, part=label,
                observe=lambda model: {"distance": float((parameters_of(model) - best).norm())},
            )  # fmt: skip
            history = histories(record.history(), label)["train"]
            distances[label] = np.array(history["distance"])
            rows.append(_row(label, lr, rates[label], history, result.metrics))
            judge = _rate_claim if rates[label] < 1 else _no_convergence_claim
            claims.append(judge(label, lr, rates[label], torch.tensor(history["distance"])))
        steps = np.arange(self.training.epochs)
        away = stacked(parts) - stacked(optimum)
        model = {schema.EIGENVALUES: eigenvalues, schema.START: directions.T @ away}
        record.save_arrays(
            **{schema.STEPS: steps, schema.BOUND: bound.bound},
            **under(schema.HESSIAN, {name: values.numpy(force=True) for name, values in model.items()}),
            **under(schema.DISTANCE, distances),
        )
        converging = {label: rate for label, rate in rates.items() if rate < 1}
        record.figure("convergence", convergence, steps, distances, converging)
        return Outcome(optimum_metrics(optimum), rows, claims)


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


def parameters_of(model: nn.Module) -> Tensor:
    """Returns all parameters as one vector, (p,)."""
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def stacked(parts: Parts) -> Tensor:
    """Returns [W | b] row by row, (p,): the order of the Hessian."""
    columns = [p.detach().reshape(len(p), -1) for p in parts.model.parameters()]
    return torch.cat(columns, 1).flatten()


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


def hessian(parts: Parts) -> Tensor:
    """Returns the Hessian of L + λΣW², row-major over (class, feature); λ acts on weights, not on biases."""
    assert parts.penalty is not None
    x = design_matrix(parts).double()
    with torch.no_grad():
        p = parts.model(parts.data.normalize(parts.data.train.inputs)).softmax(1)
    curvature = softmax_hessian(x, p.double())
    regularized = torch.ones(p.shape[1], x.shape[1], dtype=torch.float64, device=x.device)
    if len(list(parts.model.parameters())) == 2:
        regularized[:, -1] = 0
    curvature.diagonal().add_(2 * parts.penalty.strength * regularized.flatten())
    return curvature


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
    """Compares with LogisticRegression: its C Σ loss + ½‖W‖² is our objective/(2λ) for C = 1/(2λN)."""
    from sklearn.linear_model import LogisticRegression  # slow to import, and no other experiment needs it

    assert parts.penalty is not None
    data = parts.data
    x = data.normalize(data.train.inputs).flatten(1).double().numpy(force=True)
    strength = parts.penalty.strength
    has_bias = len(list(parts.model.parameters())) == 2
    reference = LogisticRegression(C=1 / (2 * strength * len(x)), tol=1e-10, max_iter=100_000,
                                   fit_intercept=has_bias)  # fmt: skip
    reference.fit(x, data.train.targets.numpy(force=True))
    theirs = _their_objective(reference, x, data.train.targets.numpy(force=True), strength)
    return exact_claim(
        "optimum_agrees_with_scikit_learn",
        sentence="L-BFGS finds the minimum that scikit-learn finds for the same data and objective.",
        formula="L(W*) + λ‖W*‖², relative difference",
        hypotheses=["softmax regression with L2, float64, scikit-learn's LogisticRegression with tol 1e-10"],
        predicted=0.0,
        measured=(objective(parts) - theirs) / theirs,
        tolerance=1e-8,
    )


def _their_objective(model: Any, x: np.ndarray, y: np.ndarray, strength: float) -> float:
    scores = model.decision_function(x)
    if scores.ndim == 1:  # two classes: scikit-learn keeps one row, with softmax scores ∓ half of it
        half = model.coef_ / 2
        scores, weights = np.stack([-scores / 2, scores / 2], 1), np.concatenate([-half, half])
    else:
        weights = model.coef_
    shifted = scores - scores.max(1, keepdims=True)
    losses = np.log(np.exp(shifted).sum(1)) - shifted[np.arange(len(y)), np.searchsorted(model.classes_, y)]
    return float(losses.mean() + strength * (weights**2).sum())


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


def _rate_claim(label: str, lr: float, rate: float, distances: Tensor) -> Claim:
    """Claims the predicted 1 − ρ, the part of the distance that a step removes."""
    removed = 1 - measured_rate(distances)
    return exact_claim(
        f"rate_at_{label.replace(' ', '_')}",
        sentence=f"Near the optimum each step of size {label} shrinks the distance by the predicted factor.",
        formula="‖w(k+1) − w*‖/‖w(k) − w*‖ → ρ = max |1 − ηλᵢ|",
        hypotheses=[
            "λᵢ: eigenvalues of the Hessian at the optimum, without the flat direction",
            f"η = {lr:.4g}",
        ],
        predicted=1.0,
        measured=removed / (1 - rate),
        tolerance=0.05,
        rivals={"half as fast": 0.5, "twice as fast": 2.0},
    )


def _no_convergence_claim(label: str, lr: float, rate: float, distances: Tensor) -> Claim:
    """Claims that the optimum repels for ρ > 1: almost every start leads elsewhere, or nowhere."""
    return exact_claim(
        f"no_convergence_at_{label.replace(' ', '_')}",
        sentence=f"Descent with step size {label} does not converge to the optimum.",
        formula="ρ = max |1 − ηλᵢ| > 1  ⟹  w(k) does not tend to w*",
        hypotheses=["λᵢ: eigenvalues of the Hessian at the optimum", f"η = {lr:.4g}, ρ = {rate:.4g}"],
        predicted=(1e-3, None),
        measured=float(distances[-1] / distances[0]),
        tolerance=0.0,
    )
