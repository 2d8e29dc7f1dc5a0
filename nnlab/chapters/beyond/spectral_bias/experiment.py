"""How long gradient descent takes to learn each harmonic on the circle, and which ones it never learns.

On n equally spaced points of the circle the infinitely wide kernel has the eigenvectors cos kθ and sin kθ,
with the eigenvalues nλ_k (`nnlab.ntk.spectral.harmonics`). Under gradient flow on ½Σ(f − y)² harmonic k of
the residual f − y decays like e^{−nλ_k t}: half of it is gone after ln 2/(nλ_k). A step of size η multiplies
it by 1 − ηnλ_k, and the half-life is ln 2/−ln(1 − ηnλ_k) steps (Basri et al. 2019, section 4).

A network of one hidden ReLU layer without biases is max(0, z) = (z + |z|)/2, summed: its odd part is linear.
So it has no odd harmonic but k = 1, whatever its width and its weights, and those of a target stay.

Finite networks differ from that by their own kernel and by its movement. Targets are f₀ + (a small function),
so that the residual is that function at the start: then the kernel hardly moves.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from nnlab.chapters.beyond.descent import train
from nnlab.chapters.beyond.spectral_bias import schema
from nnlab.chapters.beyond.spectral_bias.claims import claims_of
from nnlab.chapters.beyond.spectral_bias.figures import decay_of_harmonics
from nnlab.errors import InputError
from nnlab.lab.sections import Count, Distinct, Experiment
from nnlab.lab.session import Outcome, Session, generator
from nnlab.models import MLP
from nnlab.ntk.spectral.harmonics import circle_eigenvalues, circle_points
from nnlab.record import Record
from nnlab.record.arrays import under

Array = NDArray[np.float64]

AMPLITUDE = 0.005  # of each harmonic of the residual at the start: at 0.1 half-lives are some 2 % longer
SIGMA_B = 0.5  # of the networks with bias
PROGRESS = {schema.GROUPS[0]: 0.3, schema.GROUPS[1]: 1.0}  # ηλmax
LONGER = 1.3  # trained so much longer than the longest half-life that is predicted
NEVER = 1e-12  # λ_k/λmax from which on a harmonic is learned


class Config(Experiment):
    """Trains wide ReLU networks on sums of harmonics, without bias and with it; measures half-lives."""

    experiment: Literal["spectral_bias"]
    arrays = schema.ARRAYS
    networks: int = Field(24, ge=2, le=10_000, description="of each kind")
    width: Count = 4096
    points: int = Field(32, ge=8, le=1024, description="an even number")
    without_bias: Annotated[list[Count], Distinct] = Field(
        [1, 2, 3, 4, 5, 6], min_length=1, description="harmonics of the target"
    )
    with_bias: Annotated[list[Count], Distinct] = Field([1, 2, 3, 4], min_length=1)

    def run(self, record: Record, session: Session) -> Outcome:
        """Predicts the half-lives, trains, and compares."""
        tasks = [Task.of(self, name) for name in schema.GROUPS]
        record.start()
        record.predict(
            {
                task.name: {
                    "harmonics": task.harmonics, "half_lives": task.half_lives.tolist(), "lr": task.lr,
                    "steps": task.steps,
                }
                for task in tasks
            }
        )  # fmt: skip
        measured = {}
        for task in tasks:
            with session.reporter.bar(f"training {task.name.replace('_', ' ')}") as advance:
                shares = []
                for member in range(self.networks):
                    advance(member, self.networks, "")
                    shares.append(task.trained(self, member, session))
            measured[task.name] = np.array(shares)
            arrays = {
                schema.HARMONICS: np.array(task.harmonics), schema.EIGENVALUES: task.eigenvalues,
                schema.LR: np.array(task.lr), schema.SHARES: measured[task.name],
                schema.HALF_LIVES: half_lives(measured[task.name]),
            }  # fmt: skip
            record.save_arrays(**under(task.name, arrays))
        panels = {
            task.name: (np.array(task.harmonics), task.half_lives, measured[task.name]) for task in tasks
        }
        record.figure("harmonics", decay_of_harmonics, panels, self.width)
        claims, rows = [], []
        for task in tasks:
            lives = half_lives(measured[task.name])
            claims += claims_of(
                task.name, task.harmonics, task.half_lives, lives, measured[task.name], self.points,
                task.facts(self), self.width,
            )  # fmt: skip
            rows += [
                {"networks": task.name.replace("_", " "), "harmonic": k, "predicted": _finite(expected),
                 "half_life": _finite(float(mean))}
                for k, expected, mean in zip(task.harmonics, task.half_lives, lives.mean(0), strict=True)
            ]  # fmt: skip
        return Outcome(_metrics(rows), rows, claims)


def _metrics(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Measured half-lives in units of the predicted ones."""
    return {
        f"{row['networks'].replace(' ', '_')}/{row['harmonic']}": row["half_life"] / row["predicted"]
        for row in rows
        if row["predicted"] and row["half_life"] is not None
    }


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


@dataclass(frozen=True)
class Task:
    """The target of one kind of network, and the half-lives of its harmonics.

    Attributes:
        name: of the kind.
        x: (n, 2) points on the unit circle.
        harmonics: (K,) k, ascending.
        residual: (n, 1) f − y at the start.
        eigenvalues: (K,) nλ_k.
        lr: η.
        half_lives: (K,) in steps, infinite for harmonics that are never learned.
    """

    name: str
    x: Tensor
    harmonics: list[int]
    residual: Tensor
    eigenvalues: Array
    lr: float
    half_lives: Array

    @classmethod
    def of(cls, config: Config, name: str) -> "Task":
        """Draws the phases of the harmonics.

        Raises:
            InputError: an odd number of points, a harmonic that they cannot tell from others, or none that is
                learned.
        """
        harmonics, n = sorted(getattr(config, name)), config.points
        if n % 2:
            raise InputError(f"points: {n} must be even: on an odd number even harmonics look like odd ones")
        if 2 * harmonics[-1] >= n:
            raise InputError(f"{name}: {n} points tell harmonics below {n // 2} apart, not {harmonics[-1]}")
        random = generator(config.seed, f"phases {name}")
        angles = 2 * math.pi * torch.arange(n, dtype=torch.float64) / n
        phases = 2 * math.pi * torch.rand(len(harmonics), generator=random, dtype=torch.float64)
        waves = [torch.cos(k * angles + phase) for k, phase in zip(harmonics, phases, strict=True)]
        residual = AMPLITUDE * torch.stack(waves).sum(0)[:, None]
        _, values = circle_eigenvalues(n, sigma_b=SIGMA_B if name == schema.GROUPS[1] else 0.0)
        learned = np.where(values > NEVER * values.max(), values, 0.0)
        eigenvalues = n * learned[harmonics]
        if not eigenvalues.any():
            raise InputError(f"{name}: none of the harmonics {harmonics} is ever learned")
        lr = PROGRESS[name] / float(n * values.max())
        with np.errstate(divide="ignore"):
            lives = math.log(2) / -np.log1p(-lr * eigenvalues)
        return cls(name, circle_points(n), harmonics, residual, eigenvalues, lr, lives)

    @property
    def steps(self) -> int:
        """The length of a training."""
        return math.ceil(LONGER * float(self.half_lives[np.isfinite(self.half_lives)].max()))

    def trained(self, config: Config, member: int, session: Session) -> Array:
        """Trains one network; returns the share of every harmonic that is left, (K, steps + 1)."""
        bias = self.name == schema.GROUPS[1]
        network = MLP(
            2, [config.width], 1, "relu", bias=bias, parameterization="ntk", sigma_b=SIGMA_B,
            generator=generator(config.seed, f"weights {self.name}", config.width, member),
        ).double()  # fmt: skip
        with torch.no_grad():
            y = network(self.x) - self.residual
        coefficients = []

        def observe(step: int, model: nn.Module) -> None:
            with torch.no_grad():
                coefficients.append(harmonics_of((model(self.x) - y)[:, 0].numpy(), self.harmonics))

        train(network, self.x, y, lr=self.lr, steps=self.steps, observe=observe, stop=session.stop)
        return shares_of(np.array(coefficients)).T

    def facts(self, config: Config) -> list[str]:
        """The hypotheses of the claims."""
        bias = f"biases with σ_b = {SIGMA_B:g}" if self.name == schema.GROUPS[1] else "no biases"
        return [
            f"ReLU, one hidden layer of width {config.width}, ntk parameterization, {bias}",
            f"n = {config.points} equally spaced points on the circle; harmonics {self.harmonics}",
            f"full-batch gradient descent on ½Σ(f − y)², ηnλmax = {PROGRESS[self.name]:g}",
            f"y = f₀ + a function of amplitude {AMPLITUDE:g} in each harmonic",
        ]


def harmonics_of(values: Array, harmonics: Sequence[int]) -> NDArray[np.complex128]:
    """Returns the coefficients (K,) of some harmonics k of a function on n equally spaced points (n,)."""
    coefficients: NDArray[np.complex128] = (np.fft.rfft(values) / len(values))[list(harmonics)]
    return coefficients


def shares_of(coefficients: NDArray[np.complex128]) -> Array:
    """Returns the part of coefficients (T, K) along their start, in units of it: 1 at the start."""
    start = coefficients[0]
    shares: Array = (coefficients * start.conj()).real / np.abs(start) ** 2
    return shares


def half_lives(shares: Array) -> Array:
    """Returns the steps (…,) at which shares (…, T + 1) fall to a half, between steps on a straight line.

    Where T steps are too few, as of an exponential that is at the last share then; not a number where that is
    1 or more.
    """
    below, last = shares < 0.5, shares.shape[-1] - 1
    after = np.where(below.any(-1), below.argmax(-1), 1)
    low, high = (np.take_along_axis(shares, at[..., None], -1)[..., 0] for at in (after, after - 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        crossing = after - 1 + (high - 0.5) / (high - low)
        later = math.log(2) * last / -np.log(shares[..., -1])
    return np.where(below.any(-1), crossing, np.where(shares[..., -1] < 1, later, np.nan))
