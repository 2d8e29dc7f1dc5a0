"""Gradient descent goes to the nearest of all weights that fit, along a way whose length is known."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from nnlab.chapters.beyond.descent import train
from nnlab.chapters.beyond.minimal_norm import schema
from nnlab.chapters.beyond.minimal_norm.figures import distance_from_start
from nnlab.errors import InputError
from nnlab.lab.sections import Count, Distinct, Experiment
from nnlab.lab.session import Outcome, Session, generator
from nnlab.models import MLP
from nnlab.ntk import Modes, decompose, empirical_ntk, feature_map, gradient_flow, linearize
from nnlab.ntk.dynamics.distance import least_squared_distance, squared_distances
from nnlab.record import Record
from nnlab.theory import Claim, exact_claim, measured_claim, worst
from nnlab.training.descent import Trajectory, follow
from nnlab.training.losses import squared_error

Array = NDArray[np.float64]

ARRIVED = 1e-9  # the share of the way that may be left where a claim is about its end
PREDICTED_BY = "nnlab.ntk.dynamics.distance"


class Config(Experiment):
    """Trains a linearized network, and networks of every width; measures how far their weights move."""

    experiment: Literal["minimal_norm"]
    arrays = schema.ARRAYS
    widths: Annotated[list[Count], Distinct] = Field([64, 256, 1024], min_length=2)
    networks: int = Field(16, ge=2, le=10_000, description="of each width")
    points: int = Field(8, ge=2, le=200)
    inputs: int = Field(10, ge=1, le=1000, description="d: the points lie on the sphere of radius √d")
    steps: int = Field(500, ge=2, le=100_000, description="of gradient descent, with η = 1/λmax(H₀)")

    def run(self, record: Record, session: Session) -> Outcome:
        """Predicts the distances from the kernels at the start, trains, and compares."""
        widths = sorted(self.widths)
        if widths[-1] < 2 * widths[-2]:
            raise InputError(f"widths: {widths[-1]} must be at least twice {widths[-2]}, the width before it")
        members = [[Member.of(self, width, i) for i in range(self.networks)] for width in widths]
        record.start()
        narrow = members[0][0]
        steps = list(range(self.steps + 1))
        predicted = squared_distances(narrow.modes, narrow.u0, narrow.lr, steps).numpy()
        least = [[float(least_squared_distance(m.modes, m.u0)) for m in row] for row in members]
        record.predict({"squared_distances": predicted.tolist(), "least_squared_distances": least})
        linear = follow_linear(narrow, self.steps, session)
        curve, _ = narrow.trained(self.steps, session)
        ratios = self._ratios(members, np.array(least), session)
        arrays = {
            schema.STEPS: steps, schema.EIGENVALUES: narrow.modes.eigenvalues.numpy(),
            schema.START: (narrow.modes.vectors.T @ narrow.u0).numpy(), schema.LR: narrow.lr,
            schema.LINEARIZED: linear.squares, schema.NETWORK: curve, "predicted": predicted,
            schema.WIDTHS: widths, schema.RATIOS: ratios,
        }  # fmt: skip
        record.save_arrays(**{name: np.asarray(values) for name, values in arrays.items()})
        record.figure(
            "distance",
            distance_from_start,
            np.array(steps),
            predicted,
            linear.squares,
            np.array(widths),
            ratios,
        )
        claims = [way_claim(narrow, steps, linear.squares)]
        if narrow.left(self.steps) <= ARRIVED:
            claims.append(least_norm_claim(narrow, linear.trajectory))
        if all(member.left(self.steps) <= ARRIVED for row in members[-2:] for member in row):
            claims.append(network_claim(members, widths, ratios))
        rows = [
            {"width": width, "ratio": float(row.mean()), "std": float(row.std(ddof=1))}
            for width, row in zip(widths, ratios, strict=True)
        ]
        return Outcome({"ratio": float(ratios[-1].mean())}, rows, claims)

    def _ratios(self, members: "list[list[Member]]", least: Array, session: Session) -> Array:
        """(W, S) measured ‖w − w₀‖² over the predicted."""
        ratios = np.empty(least.shape)
        with session.reporter.bar("training") as advance:
            for place, (row, column) in enumerate(np.ndindex(*least.shape)):
                advance(place, least.size, "")
                _, end = members[row][column].trained(self.steps, session, curve=False)
                ratios[row, column] = end / least[row, column]
        return ratios


@dataclass(frozen=True)
class Member:
    """A network at its start.

    Attributes:
        network: with one hidden layer, in the ntk parameterization; not trained.
        x: (n, d).
        y: (n, 1).
        modes: of H₀.
        u0: (n,) f₀ − y.
    """

    network: MLP
    x: Tensor
    y: Tensor
    modes: Modes
    u0: Tensor

    @classmethod
    def of(cls, config: Config, width: int, index: int) -> "Member":
        """Draws the network number `index` of a width, and the examples, which all networks share."""
        random = generator(config.seed, "examples")
        x = torch.randn(config.points, config.inputs, generator=random, dtype=torch.float64)
        x = math.sqrt(config.inputs) * x / x.norm(dim=1, keepdim=True)
        y = torch.randn(config.points, 1, generator=random, dtype=torch.float64)
        draws = generator(config.seed, "weights", width, index)
        network = MLP(config.inputs, [width], 1, "erf", parameterization="ntk", generator=draws).double()
        with torch.no_grad():
            u0 = (network(x) - y)[:, 0]
        return cls(network, x, y, decompose(empirical_ntk(network, x)[:, :, 0, 0]), u0)

    @property
    def lr(self) -> float:
        """η = 1/λmax(H₀)."""
        return 1 / float(self.modes.eigenvalues[0])

    def left(self, steps: int) -> float:
        """Returns the share of its way that the linearization still has before it after so many steps."""
        ways = (self.modes.vectors.T @ self.u0) ** 2 / self.modes.eigenvalues.abs()
        left = ways * (1 - self.lr * self.modes.eigenvalues) ** (2 * steps)
        return math.sqrt(left.sum() / ways.sum())

    def trained(self, steps: int, session: Session, *, curve: bool = True) -> tuple[Array, float]:
        """Trains a copy of the network; returns ‖w_k − w₀‖² (steps + 1,) where asked for, and at the end."""
        network = MLP(
            self.x.shape[1], [self.network.output.in_features], 1, "erf", parameterization="ntk",
            generator=torch.Generator(),
        ).double()  # fmt: skip
        network.load_state_dict(self.network.state_dict())
        squares: list[float] = []

        def observe(step: int, model: nn.Module) -> None:
            squares.append(_squared_distance(dict(model.named_parameters()), self.start))

        train(
            network, self.x, self.y, lr=self.lr, steps=steps, observe=observe if curve else None,
            stop=session.stop,
        )  # fmt: skip
        return np.array(squares), _squared_distance(dict(network.named_parameters()), self.start)

    @property
    def start(self) -> dict[str, Tensor]:
        """w₀ by name."""
        return {name: value.detach() for name, value in self.network.named_parameters()}


@torch.no_grad()
def _squared_distance(w: Mapping[str, Tensor], start: Mapping[str, Tensor]) -> float:
    return math.fsum(float((w[name] - value).square().sum()) for name, value in start.items())


@dataclass(frozen=True)
class Linear:
    """The descent of a linearized network: where it ended, and ‖w_k − w₀‖² (steps + 1,) on its way."""

    trajectory: Trajectory
    squares: Array


def follow_linear(member: Member, steps: int, session: Session) -> Linear:
    """Trains the linearization of a network on ½Σ‖f − y‖²."""
    linear = linearize(member.network)
    squares: list[float] = []
    trajectory = follow(
        linear, linear.start(), member.x, lambda f: squared_error(f, member.y, "sum"), lr=member.lr,
        steps=steps, observe=lambda step, w: squares.append(_squared_distance(w, linear.params0)),
        stop=session.stop,
    )  # fmt: skip
    return Linear(trajectory, np.array(squares))


# --- claims -----------------------------------------------------------------------------------------


def _hypotheses(member: Member, *more: str) -> list[str]:
    n, d = member.x.shape
    return [
        f"n = {n} points on the sphere in d = {d}, full-batch gradient descent on ½Σ‖f − y‖²",
        "erf, one hidden layer, ntk parameterization; η = 1/λmax(H₀)",
        *more,
    ]


def way_claim(member: Member, steps: list[int], measured: Array) -> Claim:
    """Claims the distance of the linearization at every step: the largest relative error is 0."""
    modes, u0, k = member.modes, member.u0, steps[1:]
    predicted = squared_distances(modes, u0, member.lr, k).numpy()
    squares, lam = (modes.vectors.T @ u0).numpy() ** 2, modes.eigenvalues.numpy()
    learned = 1 - (1 - member.lr * lam) ** np.array(k)[:, None]
    flow = gradient_flow(modes, u0, [member.lr * step for step in k]).numpy() @ modes.vectors.numpy()
    start = (modes.vectors.T @ u0).numpy()
    right = (learned**2 * squares / lam).sum(1)
    others = {
        "gradient flow": ((start - flow) ** 2 / lam).sum(1),
        "without the square": (learned * squares / lam).sum(1),
        "twice": 2 * right,
        "in function space": (learned**2 * squares).sum(1),
        "H⁻² for H⁻¹": (learned**2 * squares / lam**2).sum(1),
    }
    return exact_claim(
        "distance_of_the_linearization",
        sentence="The weights of a linearized network move by a distance that its kernel and its first "
        "residual determine, at every step.",
        formula="‖w_k − w₀‖² = u₀ᵀ(I − (I − ηH)ᵏ)² H⁻¹ u₀; the largest relative error over k",
        hypotheses=_hypotheses(member, f"linearized at the start, k = 1 to {k[-1]}"),
        predicted=0.0,
        measured=worst(measured[1:] / predicted - 1),
        tolerance=1e-8,
        rivals={name: worst(values / right - 1) for name, values in others.items()},
        predicted_by=f"{PREDICTED_BY}.squared_distances",
        measured_by="nnlab.ntk.dynamics.linearize.linearize, nnlab.training.descent.follow",
    )


def least_norm_claim(member: Member, trajectory: Trajectory) -> Claim:
    """Claims that the linearization ends at the solution nearest to its start, in units of its way."""
    names = list(member.start)
    start = _flat(member.start, names)
    features = feature_map(member.network, member.x)[:, 0].numpy()
    least = np.linalg.lstsq(features, -member.u0.numpy(), rcond=None)[0]
    moved = _flat(trajectory.parameters, names) - start
    last = sum(value.numel() for name, value in member.start.items() if name.startswith("output"))
    output_only = np.zeros_like(least)
    output_only[-last:] = np.linalg.lstsq(features[:, -last:], -member.u0.numpy(), rcond=None)[0]
    size = float(np.linalg.norm(least))
    to_origin = np.linalg.lstsq(features, features @ start - member.u0.numpy(), rcond=None)[0] - start
    return exact_claim(
        "descent_ends_nearest_to_its_start",
        sentence="Of all weights that fit the targets, gradient descent on a linearized network ends at "
        "those nearest to its start.",
        formula="‖w − w₀ − Φ⁺(y − f₀)‖/‖Φ⁺(y − f₀)‖ = 0 with the pseudo-inverse Φ⁺ of Φ = ∇f(x, w₀)",
        hypotheses=_hypotheses(member, "linearized at the start; the loss is at its end"),
        predicted=0.0,
        measured=worst(float(np.linalg.norm(moved - least)) / size),
        tolerance=10 * ARRIVED,
        rivals={
            "nearest to 0": float(np.linalg.norm(to_origin - least)) / size,
            "by the output layer alone": float(np.linalg.norm(output_only - least)) / size,
            "half of the way": 0.5,
        },
        predicted_by="numpy.linalg.lstsq",
        measured_by="nnlab.ntk.dynamics.linearize.linearize, nnlab.training.descent.follow",
    )


def _flat(w: Mapping[str, Tensor], names: list[str]) -> Array:
    flat: Array = torch.cat([w[name].reshape(-1) for name in names]).numpy()
    return flat


def network_claim(members: list[list[Member]], widths: list[int], ratios: Array) -> Claim:
    """Claims the prefactor of the network's distance, of the two largest widths without their part in 1/m."""
    (before, width), wide = widths[-2:], members[-1]
    values = (width * ratios[-1] - before * ratios[-2]) / (width - before)
    return measured_claim(
        "distance_of_the_network",
        sentence="The weights of a wide network move by the distance of its linearization.",
        formula="‖w − w₀‖²/u₀ᵀH₀⁻¹u₀ = 1 + c/m + O(1/m²); (m r(m) − m' r(m'))/(m − m') without c",
        hypotheses=_hypotheses(wide[0], f"m' = {before}, m = {width}; the loss is at its end"),
        predicted=1.0,
        values=values,
        rivals={"half": 0.5, "twice": 2.0, **_others(wide)},
        predicted_by=f"{PREDICTED_BY}.least_squared_distance, nnlab.ntk.empirical.kernel.empirical_ntk",
        measured_by="nnlab.training.trainer.fit",
    )


def _others(members: list[Member]) -> dict[str, float]:
    """Other distances in units of u₀ᵀH₀⁻¹u₀, means over the networks."""
    ratios: dict[str, list[float]] = {"‖u₀‖²/λmax": [], "‖u₀‖²/λmin": []}
    for member in members:
        squares, lam = (member.modes.vectors.T @ member.u0).numpy() ** 2, member.modes.eigenvalues.numpy()
        values = squares.sum() / lam[0], squares.sum() / lam[-1]
        for name, value in zip(ratios, values, strict=True):
            ratios[name].append(float(value / (squares / lam).sum()))
    means: dict[str, Any] = {name: float(np.mean(each)) for name, each in ratios.items()}
    return means
