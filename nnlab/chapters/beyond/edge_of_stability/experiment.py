"""A small network fits a polynomial by full-batch descent, with its sharpness measured on the way."""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import torch
from numpy.polynomial import chebyshev
from numpy.typing import NDArray
from pydantic import Field

from nnlab.chapters.beyond.descent import data_set
from nnlab.chapters.beyond.edge_of_stability import schema
from nnlab.chapters.beyond.edge_of_stability.figures import edge_of_stability
from nnlab.chapters.beyond.rivals import finite
from nnlab.errors import ExperimentError
from nnlab.lab.sections import Count, Distinct, Experiment
from nnlab.lab.session import Outcome, Session, generator
from nnlab.models import MLP
from nnlab.record import Record
from nnlab.theory import Claim, exact_claim
from nnlab.training import Parts, Settings, build_loss, build_optimizer, fit
from nnlab.training.sharpness import sharpness

Array = NDArray[np.float64]

EVERY = 25  # steps between two measurements: odd, since the weights swing to and fro
EDGE = 2.0  # ηλmax at which a step multiplies the residual by −1
LATE = 3  # the last third of the training is late
DIGITS = 1e-4  # of a sharpness
SMALL = 5  # the step size over that of small steps
SOURCE = (
    "Cohen, Kaur, Li, Kolter, Talwalkar, Gradient descent typically occurs at the edge of stability (2021)"
)


class Config(Experiment):
    """Trains a tanh network of two hidden layers on a Chebyshev polynomial, with several step sizes."""

    experiment: Literal["edge_of_stability"]
    arrays = schema.ARRAYS
    width: Count = 50
    points: int = Field(20, ge=3, le=1000)
    degree: int = Field(4, ge=1, le=20)
    steps: int = Field(6000, ge=30 * EVERY, le=10**7, description=f"rounded down to a multiple of {EVERY}")
    starts: Annotated[list[Annotated[float, Field(gt=0, lt=2)]], Distinct] = Field(
        [0.8, 1.2], min_length=2, description="step sizes η in units of 1/λmax at the start"
    )

    def run(self, record: Record, session: Session) -> Outcome:
        """Trains with every step size, then with small steps down to the same loss."""
        record.start()
        starts = sorted(self.starts)
        first = self.sharpness(self.parts(lr=1.0))
        if not first > 0:
            raise ExperimentError(f"the Hessian at the start has no positive eigenvalue: {first:g}")
        record.predict({"late_eta_lambda_max": 2.0, "eta_lambda_max_at_the_start": starts})
        paths = []
        with session.reporter.bar("training") as advance:
            for done, start in enumerate(starts):
                advance(done, len(starts) + 1, f"η = {start:g}/λmax")
                paths.append(self.path(1, start / first, -np.inf, session))
            advance(len(starts), len(starts) + 1, "small steps")
            lowest = min(float(path.loss.min()) for path in paths)
            flow = self.path(SMALL, starts[0] / first, lowest, session)
        sharp = np.array([s / first * path.sharpness for s, path in zip(starts, paths, strict=True)])
        arrays = {
            schema.STEPS: EVERY * np.arange(1 + self.steps // EVERY),
            schema.STARTS: np.array(starts),
            schema.SHARPNESS: sharp,
            schema.LOSS: np.array([path.loss for path in paths]),
            f"{schema.FLOW}/{schema.SHARPNESS}": flow.sharpness / first,
            f"{schema.FLOW}/{schema.LOSS}": flow.loss,
        }
        record.save_arrays(**arrays)
        record.figure("edge_of_stability", edge_of_stability, *arrays.values())
        late = sharp[:, -(sharp.shape[1] // LATE) :].mean(1)
        flows = [
            start / first * flow.sharpness_at(path.loss.min())
            for start, path in zip(starts, paths, strict=True)
        ]
        others = late[::-1] / np.array(starts[::-1]) * np.array(starts)
        claims = [
            edge_claim(self, start, *values)
            for start, *values in zip(starts, late, flows, others, strict=True)
        ]
        claims.append(flow_claim(self, starts[0], flows[0]))
        metrics = {f"late_sharpness_from_{start:g}": float(v) for start, v in zip(starts, late, strict=True)}
        return Outcome(metrics | {"small_steps": float(SMALL * EVERY * (len(flow.loss) - 1))}, claims=claims)

    def parts(self, lr: float) -> Parts:
        """Returns the network at its start, the same in every training, and what it is trained on."""
        x = torch.linspace(-1, 1, self.points, dtype=torch.float64)[:, None]
        y = torch.from_numpy(chebyshev.chebval(x.numpy(), [0] * self.degree + [1]))
        model = MLP(
            1, [self.width] * 2, 1, "tanh", sigma_w=1.0, generator=generator(self.seed, "weights")
        ).double()
        return Parts(model, data_set(x, y), build_loss("squared_error"), build_optimizer("sgd", model, lr=lr))

    def sharpness(self, parts: Parts) -> float:
        """Returns λmax of the Hessian at the present weights."""
        return sharpness(parts, generator=generator(self.seed, "first direction"), tolerance=DIGITS)

    def path(self, slower: int, start: float, lowest: float, session: Session) -> "Path":
        """Trains with η = start/`slower`, for `slower` times as many steps or until the loss is `lowest`."""
        lr, every = start / slower, EVERY * slower
        parts = self.parts(lr)
        settings = Settings(epochs=every, batch_size="full", evaluate_every=every)
        losses, sharp = [], []
        for _ in range(self.steps // EVERY):
            sharp.append(self.sharpness(parts))
            result = fit(parts, settings, generator=torch.Generator(), stop=session.stop)
            losses.append(result.metrics["train/loss"])
            if losses[-1] <= lowest:
                break
        with torch.no_grad():
            model, train = self.parts(lr).model, parts.data.train
            first = float(parts.loss(model(train.inputs), train.targets))
        return Path(np.array([first, *losses]), np.array([*sharp, self.sharpness(parts)]))


@dataclass(frozen=True)
class Path:
    """Loss and λmax of the Hessian every few steps, the start first, (T,) each."""

    loss: Array
    sharpness: Array

    def sharpness_at(self, loss: float) -> float:
        """Returns λmax where the loss was first so low; at the end where it never was."""
        reached = np.flatnonzero(self.loss <= loss)
        return float(self.sharpness[reached[0] if len(reached) else -1])


def edge_claim(config: Config, start: float, late: float, flow: float, other: float) -> Claim:
    """Claims where the sharpness ends, beside where small steps or one of its own would leave it.

    Where small steps do not sharpen to the edge, nothing is known about larger ones.
    """
    return exact_claim(
        f"sharpness_settles_at_2_from_{start:g}",
        sentence="Full-batch descent sharpens until ηλmax of the Hessian is 2, and trains on at that edge.",
        formula="ηλmax(∇²L) → 2",
        hypotheses=[
            *_setting(config),
            f"η = {start:g}/λmax at the start",
            "mean over the last third",
            f"small steps to the same loss sharpen beyond 2: to {flow:.3g}",
            SOURCE,
        ],
        predicted=EDGE,
        measured=late if flow > EDGE else np.nan,
        tolerance=0.05,
        rivals=finite(
            {
                "it stays at its start": start,
                "small steps, at the same loss": flow,
                "a sharpness that does not depend on η": other,
                "4": 4.0,
            }
        ),
        predicted_by="closed form: |1 − ηλ| = 1 at λ = 2/η",
        measured_by="nnlab.training.fit, nnlab.training.sharpness.sharpness",
    )


def flow_claim(config: Config, start: float, flow: float) -> Claim:
    """Claims that it is the step size that holds the sharpness at 2/η: small steps go beyond."""
    return exact_claim(
        "small_steps_sharpen_beyond",
        sentence="Small steps to the same loss reach a sharpness that the larger step could not stay at.",
        formula="λmax(∇²L) > 2/η along gradient flow",
        hypotheses=[*_setting(config), f"η = {start:g}/λmax at the start, small steps η/{SMALL}", SOURCE],
        predicted=(2.1, None),
        measured=flow,
        tolerance=0.0,
        rivals={"the edge": EDGE, "the start": start},
        predicted_by="closed form: |1 − ηλ| > 1 for λ > 2/η",
        measured_by="nnlab.training.fit, nnlab.training.sharpness.sharpness",
    )


def _setting(config: Config) -> list[str]:
    return [
        f"two hidden layers of {config.width} tanh units, mean squared error, float64",
        f"{config.points} points of the Chebyshev polynomial of degree {config.degree}, {config.steps} steps",
        "an observation: no theorem says so for these networks",
    ]
