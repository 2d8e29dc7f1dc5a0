"""The child process that predicts a training before it starts, from the kernel of the network at its start.

A network that stays near its start is the linear model of its gradients there: its kernel H on the training
points tells how fast each part of the error is learned, the largest step size, and the function at any time.
For the squared error that is a closed form, for the cross-entropy the linear model is descended step by step.
"""

import math
import os
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nnlab.errors import NnlabError
from nnlab.lab.sections import ConstantSchedule, SGDOptimizer, TrainingExperiment
from nnlab.lab.session import Session
from nnlab.lab.training_run import build_parts
from nnlab.live.state import parsed
from nnlab.live.wire import Channel, packet
from nnlab.live.worker import COARSE, Grid, regions, shares
from nnlab.models import MLP
from nnlab.ntk import (
    as_matrix,
    decompose,
    empirical_ntk,
    gradient_descent,
    infinite_ntk,
    logit_descent,
    max_step,
)
from nnlab.ntk.dynamics.distance import squared_distances
from nnlab.training import Parts

LARGEST = 2000
"""The largest kernel, examples times outputs, of which all is predicted."""
MOMENTS = 48
"""Numbers of steps for which the function is predicted."""
WORK = 6e9
"""Multiplications of a prediction step by step."""
EIGENVALUES = 200
"""Eigenvalues that are drawn."""
POWER_STEPS = 60
CLOSED_FORMS = {"relu", "erf"}
"""Activations whose infinite kernels are formulas; those of others take minutes."""

Array = NDArray[Any]


class Forecast:
    """The prediction of one training, in pieces that are sent as soon as they are known."""

    def __init__(self, config: TrainingExperiment, parts: Parts) -> None:
        self.config, self.parts, self.data = config, parts, parts.data
        assert isinstance(parts.model, MLP)
        self.model = parts.model.double()
        self.x = self.data.train.inputs.double()
        self.y = self.data.train.targets
        grid = Grid.around(self.data)
        self.places = self._coarse(grid)
        self.squared = config.loss.name == "squared_error"
        self.reduction = parts.loss.reduction
        with torch.no_grad():
            self.start = self.model(self.x)
            self.start_x = None if self.places is None else self.model(self.places)

    def first(self) -> dict[str, Any]:
        """What is predicted at all, and why not more."""
        return {"notes": self._notes(), "known": self.known, "lr": self.config.optimizer.lr}

    @property
    def size(self) -> int:
        return int(self.start.numel())

    @property
    def known(self) -> bool:
        """Whether a curve is predicted."""
        optimizer = self.config.optimizer
        plain = isinstance(optimizer, SGDOptimizer) and not self.parts.penalty and optimizer.clip_norm is None
        smooth = self.squared or not (self.config.loss.label_smoothing or self.config.loss.class_weights)  # type: ignore[union-attr]
        steady = optimizer.schedule == ConstantSchedule(name="constant")
        return plain and smooth and steady and self.size <= LARGEST

    def kernel(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """The eigenvalues and the largest step size."""
        self.h = as_matrix(empirical_ntk(self.model, self.x)).detach()
        n = len(self.x)
        if self.squared:
            self.modes = decompose(self.h)
            values = self.modes.eigenvalues
            limit = max_step(values[:1], self.reduction, n)
        else:
            values = torch.linalg.eigvalsh(self.h).flip(0)
            limit = 2 * n / self._sharpness() if self.reduction == "mean" else 2 / self._sharpness()
        momentum = getattr(self.config.optimizer, "momentum", 0.0)
        return {
            "limit": _finite(limit * (1 + momentum))
            if isinstance(self.config.optimizer, SGDOptimizer)
            else None,
            "squared": self.squared,
        }, {"eigenvalues": _large(values)}

    def curves(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """The loss, the distance of the weights and the function at growing numbers of steps."""
        steps = self._steps()
        arrays: dict[str, Array] = {"steps": np.array(steps, np.float32)}
        h_x = (
            None
            if self.places is None
            else as_matrix(empirical_ntk(self.model, self.places, self.x)).detach()
        )
        scores, new = self._descent(self.h, self.start, self.start_x, h_x, steps, self.squared and self.modes)
        arrays["loss"] = self._losses(scores)
        if new is not None:
            arrays |= self._function("function", new)
        if self.squared and self._rate() < max_step(self.modes.eigenvalues[:1], self.reduction, len(self.x)):
            u0 = (self.start - self._targets()).reshape(-1)
            squares = squared_distances(
                self.modes, u0, self._rate(), steps, reduction=self.reduction, n=len(self.x)
            )
            norm = math.sqrt(sum(float(p.detach().square().sum()) for p in self.model.parameters()))
            arrays["moved"] = (squares.sqrt() / norm).float().numpy()
        return {"steps_known": steps[-1]}, arrays

    def infinite(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """The same of infinitely wide networks, whose mean at the start is 0."""
        steps, n = self._steps(), len(self.x)
        theta = infinite_ntk(self.model, self.x)[1]
        start = torch.zeros_like(self.start)
        theta_x = start_x = None
        if self.places is not None:
            theta_x = infinite_ntk(self.model, self.places, self.x)[1]
            start_x = torch.zeros(len(self.places), start.shape[1], dtype=torch.float64)
        modes = decompose(theta)
        values = modes.eigenvalues.repeat_interleave(start.shape[1])
        scores, new = self._descent(theta, start, start_x, theta_x, steps, modes)
        arrays = {"infinite_eigenvalues": _large(values), "infinite_loss": self._losses(scores)}
        if new is not None:
            arrays |= self._function("infinite", new)
        limit = max_step(values[:1], self.reduction, n) if self.squared else math.inf
        return {"infinite_limit": _finite(limit)}, arrays

    @property
    def has_limit(self) -> bool:
        """Whether the limit of infinite width is known for this network."""
        section = self.config.model
        return (
            self.known
            and getattr(section, "parameterization", "") == "ntk"
            and bool(self.model.hidden)
            and set(self.model.activations) <= CLOSED_FORMS
        )

    def _notes(self) -> list[str]:
        """Sentences on where the prediction is for something else than what is trained."""
        optimizer, notes = self.config.optimizer, []
        if self.size > LARGEST:
            notes.append(
                f"{len(self.x):,} examples and {self.start.shape[1]} outputs are too many to predict; up to "
                f"{LARGEST:,} numbers are predicted."
            )
        if not isinstance(optimizer, SGDOptimizer):
            notes.append("The prediction is for gradient descent: choose SGD as the optimizer to see it.")
        elif optimizer.momentum:
            notes.append("With momentum μ the prediction takes the step size η/(1 − μ).")
        if self.parts.penalty:
            notes.append("A penalty on the weights is not predicted.")
        if self.config.data.batch_size != "full" and self.config.data.batch_size < len(self.x):
            notes.append("The prediction is for steps on all examples; batches scatter around it.")
        if self.known and not self.has_limit:
            notes.append(
                "The limit of infinite width is drawn in the NTK parameterization, for ReLU and erf."
            )
        return notes

    def _rate(self) -> float:
        optimizer = self.config.optimizer
        return optimizer.lr / (1 - getattr(optimizer, "momentum", 0.0))

    def _steps(self) -> list[int]:
        """Numbers of steps from 0 to the end, denser at the start."""
        size = self.config.data.batch_size
        each = 1 if size == "full" else math.ceil(len(self.x) / size)
        most = self.config.training.epochs * each
        if not self.squared:
            most = min(most, int(WORK / self.size**2))
        return sorted({0, *np.geomspace(1, max(2, most), MOMENTS - 1).round().astype(int).tolist()})

    def _descent(
        self,
        h: Tensor,
        start: Tensor,
        start_x: Tensor | None,
        h_x: Tensor | None,
        steps: list[int],
        modes: Any,
    ) -> tuple[Tensor, Tensor | None]:
        """Scores (K, n, C) at the training points, and (K, n_x, C) at the places that are drawn."""
        n, rate, alone = len(self.x), self._rate(), len(h) == len(start)
        flat = start if alone else start.reshape(-1)
        flat_x = start_x if alone or start_x is None else start_x.reshape(-1)
        if not self.squared:
            found = logit_descent(
                h, flat, self.y, rate, steps, reduction=self.reduction, H_xt=h_x, f0_x=flat_x
            )
            new = (
                None
                if found.new is None or start_x is None
                else found.new.reshape(len(steps), *start_x.shape)
            )
            return found.train.reshape(len(steps), *start.shape), new
        target = self._targets().reshape(flat.shape)
        u0 = flat - target
        known: dict[str, Any] = {"reduction": self.reduction, "n": n}
        train = gradient_descent(modes, u0, rate, steps, **known) + target
        new = None
        if h_x is not None and start_x is not None:
            new = gradient_descent(modes, u0, rate, steps, **known, H_xt=h_x, f0_x=flat_x)
            new = new.reshape(len(steps), *start_x.shape)
        return train.reshape(len(steps), *start.shape), new

    def _targets(self) -> Tensor:
        """(n, C), one-hot for classes."""
        if self.y.is_floating_point():
            return self.y.double()
        return torch.nn.functional.one_hot(self.y, self.data.outputs).double()

    def _losses(self, scores: Tensor) -> Array:
        y = self.y.double() if self.y.is_floating_point() else self.y
        losses = torch.stack([self.parts.loss(rows, y) for rows in scores])
        return losses.clamp(max=1e30).float().numpy()

    def _function(self, name: str, values: Tensor) -> dict[str, Array]:
        """Values (K, n_x, C) in the form of a frame's."""
        values = values.nan_to_num(0.0, 1e30, -1e30)
        if self.data.task == "regression":
            return {name: self.data.original(values).clamp(-1e30, 1e30).float().numpy()}
        p = shares(values, self.config)
        return {name: p.float().numpy() if self.data.input_shape == (1,) else regions(p).numpy()}

    def _coarse(self, grid: Grid) -> Tensor | None:
        """The places at which the function is predicted: fewer than are drawn, where they are a plane."""
        if grid.inputs is None or len(grid.shape) < 2:
            return None if grid.inputs is None else grid.inputs.double()
        inputs = grid.inputs.double().reshape(*grid.shape, -1)
        return inputs[::COARSE, ::COARSE].reshape(-1, inputs.shape[-1])

    def _sharpness(self) -> float:
        """λmax of S H at the start, S the second derivatives of Σ cross-entropies in the scores."""
        p = self.start.softmax(1)
        v = torch.randn(self.size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        largest = 0.0
        for _ in range(POWER_STEPS):
            hv = (self.h @ v).view_as(p)
            v = (p * (hv - (p * hv).sum(1, keepdim=True))).reshape(-1)
            largest = float(v.norm())
            if largest == 0:
                return 1e-30
            v = v / largest
        return largest


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None


def _large(values: Tensor) -> Array:
    return values[:EIGENVALUES].clamp(min=0).float().numpy()


def main() -> None:
    """Follows the commands of the server."""
    if hasattr(os, "nice"):
        os.nice(5)  # the training goes first
    channel, session = Channel(), Session()
    channel.send(packet("ready"))
    waiting: dict[str, Any] | None = None
    while True:
        command, waiting = waiting or channel.wait(), None
        if command is None or command["do"] != "load":
            continue
        header, arrays = {"number": command["number"]}, dict[str, Array]()
        try:
            config = parsed(command["yaml"])
            forecast = Forecast(config, build_parts(config, session))
            header |= forecast.first()
            pieces = [forecast.kernel] if forecast.size <= LARGEST else []
            pieces += [forecast.curves] if forecast.known else []
            pieces += [forecast.infinite] if forecast.has_limit else []
            for piece in pieces:
                waiting = next((c for c in channel.commands() if c["do"] == "load"), None)
                if waiting is not None:
                    break
                more, found = piece()
                header, arrays = header | more, arrays | found
                channel.send(packet("forecast", header, **arrays))
            if not pieces:
                channel.send(packet("forecast", header))
        except (NnlabError, RuntimeError, MemoryError) as error:
            header["notes"] = [*header.get("notes", []), f"This cannot be predicted: {error}"]
            channel.send(packet("forecast", header, **arrays))


if __name__ == "__main__":
    main()
