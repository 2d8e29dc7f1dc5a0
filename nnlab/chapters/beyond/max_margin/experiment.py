"""Softmax regression on separable points of the plane, for many steps, beside its limit."""

import itertools
from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from nnlab.chapters.beyond.descent import data_set
from nnlab.chapters.beyond.max_margin import schema
from nnlab.chapters.beyond.max_margin.figures import max_margin
from nnlab.chapters.beyond.max_margin.limit import Limit, angle_from, limit_of
from nnlab.chapters.beyond.rivals import finite
from nnlab.data.dataset import DataSet, Split
from nnlab.lab.sections import Experiment, StepSize
from nnlab.lab.session import Outcome, Session, generator
from nnlab.models import MLP
from nnlab.record import Record
from nnlab.theory import Claim, exact_claim
from nnlab.training import Parts, Settings, build_loss, build_optimizer, fit
from nnlab.training.descent import spaced_steps

Array = NDArray[np.float64]

LOOKS = 40  # measurements, evenly spaced in the logarithm of the step
DECADE = 10.0  # the last decade of steps decides about rates
TOLERANCE = 0.005  # relative: what o(1) may be at the end, where the offset is reached like 1/t
ANGLE = 40.0  # degrees: the tolerance of an angle over the relative one
START = 0.1  # σ_w: a larger start is forgotten later
SOURCE = "Soudry et al., The implicit bias of gradient descent on separable data (2018), theorems 3 and 4"
LIMIT = "sklearn.svm.SVC, nnlab.chapters.beyond.max_margin.limit.limit_of"
TRAINING = "nnlab.training.fit"


class Config(Experiment):
    """Trains softmax regression of two classes without bias, by full-batch gradient descent."""

    experiment: Literal["max_margin"]
    arrays = schema.ARRAYS
    examples: int = Field(12, ge=4, le=10_000)
    lr: StepSize = 0.5
    steps: int = Field(30_000, ge=1000, le=10**7)

    def run(self, record: Record, session: Session) -> Outcome:
        """Predicts the weights at every step from the support vectors; then trains."""
        x, y = points(self.examples, generator(self.seed, "points"))
        record.start()
        z = (x * y[:, None]).numpy()
        limit = limit_of(z, 2 * self.lr)
        record.predict(
            {"margin": 1 / float(np.linalg.norm(limit.direction)), "direction": limit.direction.tolist(),
             "offset": limit.offset.tolist()}
        )  # fmt: skip
        steps, vectors, loss = self.trained(x, y, session)
        arrays = {
            schema.STEPS: steps,
            schema.ANGLE: angle_from(limit.direction, vectors),
            schema.PREDICTED: angle_from(limit.direction, limit.weights(steps)),
            schema.VECTORS: vectors,
            schema.POINTS: z,
            schema.MARGIN: limit.direction,
            schema.CENTRE: z.mean(0),
        }
        record.save_arrays(loss=loss, **arrays)
        record.figure("max_margin", max_margin, *arrays.values())
        claims = claims_of(self, limit, z, steps, vectors, loss)
        metrics = {"train/loss": float(loss[-1]), "angle": float(arrays[schema.ANGLE][-1])}
        return Outcome(metrics, claims=claims)

    def trained(self, x: Tensor, y: Tensor, session: Session) -> tuple[Array, Array, Array]:
        """Returns steps (T,), the difference of the two rows of weights there (T, 2), and the loss (T,)."""
        weights = generator(self.seed, "weights")
        model = MLP(2, [], 2, bias=False, sigma_w=START, generator=weights).double()
        parts = Parts(
            model, two_classes(x, y), build_loss("cross_entropy"), build_optimizer("sgd", model, lr=self.lr)
        )
        at = spaced_steps(self.steps, LOOKS)
        vectors, losses = [], []
        with session.reporter.bar("training") as advance:
            for before, after in itertools.pairwise(at):
                advance(before, self.steps, "")
                settings = Settings(epochs=after - before, batch_size="full", evaluate_every=after - before)
                result = fit(parts, settings, generator=torch.Generator(), stop=session.stop)
                rows = model.output.weight.detach()
                vectors.append((rows[1] - rows[0]).numpy().copy())
                losses.append(result.metrics["train/loss"])
        return np.array(at[1:], float), np.array(vectors), np.array(losses)


def points(examples: int, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Returns points of the plane (N, 2) and their classes ±1, (N,), separable by a line through the origin.

    In a random frame, yx has the coordinates (1, a) and (1, −b) for the two support vectors, with a from 2.5
    to 4 and b from 0.6 to 0.9, and for the others numbers from 2.5 to 5 and from 0 to 1.5: the largest margin
    is 1, and neither the mean of yx nor least squares have its direction.
    """

    def uniform(low: float, high: float, count: int) -> Tensor:
        return low + (high - low) * torch.rand(count, generator=random, dtype=torch.float64)

    turn = uniform(0, 2 * np.pi, 1)
    along = torch.cat([torch.ones(2, dtype=torch.float64), uniform(2.5, 5, examples - 2)])
    across = torch.cat([uniform(2.5, 4, 1), -uniform(0.6, 0.9, 1), uniform(0, 1.5, examples - 2)])
    signed = torch.stack(
        [along * turn.cos() - across * turn.sin(), along * turn.sin() + across * turn.cos()], 1
    )
    y = 1.0 - 2.0 * (torch.arange(examples) % 2).double()
    return signed * y[:, None], y


def two_classes(x: Tensor, y: Tensor) -> DataSet:
    """Returns examples (N, d) with classes ±1, (N,), as a data set whose labels are 0 and 1."""
    split = Split(x, (y > 0).long())
    return replace(
        data_set(x, y[:, None]), task="classification", train=split, test=split, outputs=2,
        class_names=["−1", "+1"],
    )  # fmt: skip


# --- claims -----------------------------------------------------------------------------------------


def claims_of(
    config: Config, limit: Limit, z: Array, steps: Array, vectors: Array, loss: Array
) -> list[Claim]:
    """Returns the claims about direction, length, angle, rate and loss."""
    length = float(np.linalg.norm(limit.direction))
    back = int(np.searchsorted(steps, steps[-1] / DECADE))
    logs = float(np.log(steps[-1] / steps[back]))
    growth = (vectors[-1] - vectors[back]) / logs
    least_squares = np.asarray(np.linalg.lstsq(z, np.ones(len(z)), rcond=None)[0], np.float64)
    angles = angle_from(limit.direction, vectors[[back, -1]])
    predicted = float(angle_from(limit.direction, limit.weights(steps[-1:]))[0])
    cotangents = 1 / np.tan(np.radians(angles))
    unit = limit.direction / length
    across = float(unit[0] * limit.offset[1] - unit[1] * limit.offset[0])
    slope, ratio = length / across, steps[-1] / steps[back]
    tolerance = left_open(limit, z, steps[-1])
    hypotheses = [
        f"{config.examples} points of the plane, separable by a line through the origin; no bias",
        f"softmax regression, full-batch gradient descent, η = {config.lr:g}, {config.steps} steps, float64",
        SOURCE,
    ]
    late = f"from step {steps[back]:.0f} to {steps[-1]:.0f}"
    return [
        exact_claim(
            "weights_grow_along_the_largest_margin",
            sentence="On separable data the weights grow in the direction of the largest margin.",
            formula="angle of w(t) − w(t/10) from ŵ, in degrees → 0",
            hypotheses=[*hypotheses, late],
            predicted=0.0,
            measured=float(angle_from(limit.direction, growth)),
            tolerance=ANGLE * tolerance,
            rivals=finite(
                {
                    "difference of the means": float(angle_from(limit.direction, z.mean(0))),
                    "least squares": float(angle_from(limit.direction, least_squares)),
                    "the direction that they have": float(angles[1]),
                }
            ),
            predicted_by=LIMIT,
            measured_by=TRAINING,
        ),
        exact_claim(
            "weights_grow_by_1_over_the_margin",
            sentence="For every factor e of steps the weights grow by one over the margin.",
            formula="γ ‖w(t) − w(t/10)‖/log 10 → 1",
            hypotheses=[*hypotheses, late],
            predicted=1.0,
            measured=float(np.linalg.norm(growth)) / length,
            tolerance=tolerance,
            rivals={"half": 0.5, "twice": 2.0, "they stop": 0.0},
            predicted_by=LIMIT,
            measured_by=TRAINING,
        ),
        exact_claim(
            "angle_to_the_largest_margin",
            sentence="The angle that is left follows from the support vectors alone: nothing is fitted.",
            formula="tan θ(t) = ‖P⊥w̃‖/(‖ŵ‖ log t + ŵᵀw̃/‖ŵ‖),  (2η/N) exp(−zᵢᵀw̃) = αᵢ",
            hypotheses=[*hypotheses, "in units of the prediction, at the end"],
            predicted=1.0,
            measured=float(angles[1]) / predicted,
            tolerance=tolerance,
            rivals=finite(
                {
                    "like 1/√t over the last decade": float(angles[0] / predicted / np.sqrt(ratio)),
                    "like 1/t": float(angles[0] / predicted / ratio),
                    "it stays": float(angles[0]) / predicted,
                    "the step size is not doubled": _angle_of_half_step(limit, steps[-1]) / predicted,
                }
            ),
            predicted_by=LIMIT,
            measured_by=TRAINING,
        ),
        exact_claim(
            "angle_falls_like_1_over_log_t",
            sentence="The direction is approached like 1/log t, with a known constant.",
            formula="Δ cot θ/Δ log t = ‖ŵ‖/‖P⊥w̃‖, in units of it",
            hypotheses=[*hypotheses, late],
            predicted=1.0,
            measured=float(cotangents[1] - cotangents[0]) / logs / slope,
            tolerance=2 * tolerance,
            rivals=finite(
                {
                    "like 1/√t": float(cotangents[0] * (np.sqrt(ratio) - 1)) / logs / slope,
                    "like 1/t": float(cotangents[0] * (ratio - 1)) / logs / slope,
                    "it stays": 0.0,
                }
            ),
            predicted_by=LIMIT,
            measured_by=TRAINING,
        ),
        exact_claim(
            "loss_times_steps",
            sentence="The loss times the number of steps tends to a constant that the margin sets.",
            formula="t L(t) → 1/(2ηγ²), in units of it",
            hypotheses=hypotheses,
            predicted=1.0,
            measured=float(steps[-1] * loss[-1]) * 2 * config.lr / length**2,
            tolerance=tolerance,
            rivals={"half": 0.5, "twice": 2.0},
            predicted_by=LIMIT,
            measured_by=TRAINING,
        ),
    ]


def left_open(limit: Limit, z: Array, step: float) -> float:
    """Returns the relative tolerance of the limits after a number of steps.

    A support vector that costs e^−m = c leaves c (1 + m) of the limits open, by the second order of its loss
    and by the start; the other examples as much as they cost beside the support vectors. Where that is more
    than TOLERANCE, four times as much is the tolerance, as these are orders and no bounds.

    Args:
        limit: of the descent.
        z: (N, d) examples times their class.
        step: t.
    """
    scores = z @ limit.weights(np.array([step]))[0]
    costs, support = np.exp(-scores), z @ limit.direction < 1 + 1e-5
    left = float((costs * (1 + scores))[support].max() + costs[~support].sum() / costs[support].sum())
    return TOLERANCE if left <= TOLERANCE else 4 * left


def _angle_of_half_step(limit: Limit, step: float) -> float:
    """Returns the angle that a step size of half the size would leave: w̃ + ŵ log ½, as zᵢᵀŵ = 1."""
    return float(angle_from(limit.direction, limit.weights(np.array([step / 2]))[0]))
