"""The child process that trains: the lab's own data, network, loss, optimizer and training loop.

The loop asks after every step whether to stop. There the commands are read, the training waits while it is
paused, and what is to be seen is measured, so that the training itself is that of `nnlab train`.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nnlab.data import DataSet, read_csv
from nnlab.errors import Diverged, InputError, Interrupted, NnlabError
from nnlab.lab.drawing import plane, raw_numbers
from nnlab.lab.sections import TrainingExperiment
from nnlab.lab.session import Session
from nnlab.lab.training_run import build_parts, train
from nnlab.live.state import EXPERIMENTS, parsed
from nnlab.live.wire import Channel, packet
from nnlab.models import MLP
from nnlab.training import Parts
from nnlab.training.evaluation import evaluate

FRAMES = 30.0
"""The most frames a second."""
SHARE = 0.3
"""The most of the time that frames may take from the training."""
LINES = 61
"""Points a side of the plane on which functions of two variables are drawn."""
COARSE = 3
"""Every so manieth of them is drawn for single neurons."""
CURVE = 241
"""Points of the line on which functions of one variable are drawn."""
UNITS = 16
"""Units of a layer that are drawn."""
POINTS = 5000
"""Points that are drawn."""

Array = NDArray[Any]


@dataclass
class _Session(Session):
    """A session that is asked after every step."""

    control: Callable[[], bool] = lambda: False

    def stop(self) -> bool:
        return self.control()


@dataclass(frozen=True)
class Grid:
    """The places at which the network is looked at.

    Attributes:
        axes: raw coordinates of its lines, one array for each input; empty where there are more than two.
        inputs: (n, d) as the network gets them.
    """

    axes: tuple[Array, ...]
    inputs: Tensor | None

    @classmethod
    def around(cls, data: DataSet) -> "Grid":
        """A grid around the training points."""
        if data.input_shape == (2,):
            place = plane(data, LINES)
            return cls((place.x1, place.x2), place.inputs.to(data.dtype))
        if data.input_shape == (1,):
            x = raw_numbers(data, data.train.inputs)[:, 0]
            margin = 0.15 * float(x.max() - x.min()) or 1.0
            line = torch.linspace(
                float(x.min()) - margin, float(x.max()) + margin, CURVE, dtype=torch.float64
            )
            inputs = (line - data.mean.double()) / data.std.double()
            return cls((line.numpy(),), inputs[:, None].to(data.dtype))
        return cls((), None)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(len(axis) for axis in self.axes)


def shares(scores: Tensor, config: TrainingExperiment) -> Tensor:
    """What scores (…, C) say of each class: probabilities, or the scores where these learn 0 and 1."""
    return scores if config.loss.name == "squared_error" else scores.softmax(-1)


def regions(p: Tensor) -> Tensor:
    """(…, 2) of shares (…, C): the best class, and its share out of 255."""
    sure, best = p.max(-1)
    return torch.stack([best.to(p), 255 * sure.clamp(0, 1)], -1).round().to(torch.uint8)


class Training:
    """One training that is watched: what a frame shows of it."""

    def __init__(self, config: TrainingExperiment, parts: Parts) -> None:
        model = parts.model
        assert isinstance(model, MLP)
        self.config, self.parts, self.model, self.data = config, parts, model, parts.data
        self.grid = Grid.around(parts.data)
        self.start = self._weights().clone()
        self.rows: list[dict[str, Any]] = []
        self.step = 0
        self.steps_per_epoch = math.ceil(
            len(self.data.train) / (config.data.batch_size if config.data.batch_size != "full" else 10**12)
        )

    @property
    def steps(self) -> int:
        """Of the whole training."""
        return self.steps_per_epoch * self.config.training.epochs

    def loaded(self, number: int) -> bytes:
        """What does not change while it trains: points, axes, and the network's shape."""
        data = self.data
        splits = {"train": data.train, "val": data.validation}
        arrays = {f"axis{i}": axis.astype(np.float32) for i, axis in enumerate(self.grid.axes)}
        for name, split in splits.items():
            if split is not None and self.grid.inputs is not None:
                arrays[f"{name}_x"] = raw_numbers(data, split.inputs[:POINTS]).numpy().astype(np.float32)
                targets = data.original(split.targets[:POINTS])
                arrays[f"{name}_y"] = targets.reshape(len(targets), -1).numpy(force=True).astype(np.float32)
        if self.config.data.name == "regression_1d":
            order = raw_numbers(data, data.test.inputs)[:, 0]
            arrays["truth_x"] = order.numpy().astype(np.float32)
            arrays["truth_y"] = data.original(data.test.targets)[:, 0].numpy(force=True).astype(np.float32)
        header = {
            "number": number,
            "task": data.task,
            "classes": data.class_names,
            "inputs": math.prod(data.input_shape),
            "outputs": data.outputs,
            "examples": len(data.train),
            "layers": [math.prod(data.input_shape), *self.config.model.hidden, data.outputs],  # type: ignore[union-attr]
            "parameters": self.start.numel(),
            "steps": self.steps,
            "steps_per_epoch": self.steps_per_epoch,
            "notes": list(data.notes),
        }
        return packet("loaded", header, **arrays)

    @torch.no_grad()
    def frame(self, header: dict[str, Any]) -> bytes:
        """The network as it is: its function, its neurons, its weights."""
        weights = self._weights()
        moved = float((weights - self.start).norm() / self.start.norm().clamp(min=1e-30))
        header["moved"] = moved if math.isfinite(moved) else None
        arrays = self._weight_arrays()
        if self.grid.inputs is not None:
            arrays |= self._responses(self.grid.inputs)
        return packet("frame", {"step": self.step, **header}, **arrays)

    def starting_rows(self) -> list[dict[str, Any]]:
        """The losses at the start."""
        rows = []
        for name, split in (("train", self.data.train), ("val", self.data.validation)):
            if split is not None:
                metrics = evaluate(self.model, self.data, split, self.parts.loss)
                rows.append({"split": name, "step": 0, "epoch": 0, **metrics})
        return rows

    def _weights(self) -> Tensor:
        return torch.cat([p.detach().reshape(-1) for p in self.model.parameters()])

    def _weight_arrays(self) -> dict[str, Array]:
        """The weights of each layer between the units that are drawn, (to, from)."""
        layers = [*self.model.hidden, self.model.output]
        arrays = {}
        for number, layer in enumerate(layers):
            weight = layer.weight.detach()
            pieces = getattr(self.model.phis[number], "pieces", 1) if number < len(self.model.phis) else 1
            weight = weight[::pieces]  # the first piece of a maxout unit stands for it
            arrays[f"w{number}"] = weight[:UNITS, :UNITS].float().numpy(force=True)
        return arrays

    def _responses(self, inputs: Tensor) -> dict[str, Array]:
        """The function on the grid, and of each neuron that is drawn −127 … 127 of its largest value."""
        h, arrays = inputs, {}
        for number, (layer, phi) in enumerate(zip(self.model.hidden, self.model.phis, strict=True)):
            h = phi(layer(h))
            arrays[f"unit{number}"] = self._small(h[:, :UNITS])
        scores = self.model.output(h)
        arrays[f"unit{len(self.model.hidden)}"] = self._small(scores[:, :UNITS])
        if self.data.task == "regression":
            values = self.data.original(scores).float()
            arrays["function"] = values.reshape(*self.grid.shape, -1).numpy(force=True)
        else:
            p = shares(scores, self.config)
            if len(self.grid.shape) == 2:
                arrays["regions"] = regions(p).reshape(*self.grid.shape, 2).numpy(force=True)
            else:
                arrays["function"] = p.float().numpy(force=True)
        return arrays

    def _small(self, values: Tensor) -> Array:
        """(units, …) int8, every few lines of the grid."""
        shaped = values.T.reshape(-1, *self.grid.shape)
        shaped = shaped[(slice(None), *[slice(None, None, COARSE)] * len(self.grid.shape))]
        largest = shaped.abs().flatten(1).max(1).values.clamp(min=1e-30)
        scaled = 127 * shaped / largest.reshape(-1, *[1] * len(self.grid.shape))
        return scaled.round().nan_to_num().clamp(-127, 127).to(torch.int8).numpy(force=True)


class Worker:
    """Follows the commands of the server."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._session = _Session(control=self._between_steps, experiments=EXPERIMENTS)
        self._training: Training | None = None
        self._config: TrainingExperiment | None = None
        self._number = 0
        self._ended = False
        self._running, self._single = False, 0
        self._pace = math.inf  # steps a second
        self._next_frame = 0.0

    def run(self) -> None:
        """Follows commands until the server is gone."""
        self._channel.send(packet("ready"))
        while True:
            if self._training is not None and (self._running or self._single):
                self._train()
            elif (command := self._channel.wait()) is not None:
                self._follow(command)

    # --- commands -------------------------------------------------------------------------------------

    def _follow(self, command: dict[str, Any]) -> None:
        match command["do"]:
            case "load":
                self._load(command)
            case "start":
                self._running, self._single = True, 0
                self._tell()
            case "pause" if self._running:
                self._running, self._single = False, 0
                self._tell()
            case "step":
                self._running, self._single = False, self._single + 1
            case "pace":
                self._pace = command["steps"] or math.inf
            case "table":
                self._read_table(command)

    def _load(self, command: dict[str, Any]) -> None:
        """Builds another training; where there was one, it ends."""
        self._ended = True  # the training that goes on at the moment, if there is one
        self._training, self._number = None, command["number"]
        self._running, self._single = command["run"], 0
        try:
            self._config = parsed(command["yaml"])
            self._prepare()
        except NnlabError as error:
            self._running = False
            self._send("refused", message=str(error))
        except (RuntimeError, MemoryError) as error:
            self._running = False
            self._send("refused", message=f"this experiment cannot be built: {error}")

    def _prepare(self) -> None:
        assert self._config is not None
        parts = build_parts(self._config, self._session)
        task = {"classify": "classification", "regress": "regression"}[self._config.experiment]
        if parts.data.task != task:
            raise InputError(f"experiment: {self._config.experiment} is for {task}")
        self._training = Training(self._config, parts)
        self._channel.send(self._training.loaded(self._number))
        self._send("rows", rows=self._training.starting_rows())
        self._frame()
        self._tell()

    def _read_table(self, command: dict[str, Any]) -> None:
        """Reads a table as the lab does; its rows become points of a config."""
        keys = command["keys"]
        try:
            raw = read_csv(Path(command["path"]), **keys)
        except NnlabError as error:
            self._send("table", message=str(error).replace(command["path"], command["name"]))
            return
        inputs, targets = raw.train.inputs.double(), raw.train.targets.double().reshape(len(raw.train), -1)
        points = torch.cat([inputs, targets], 1).tolist()
        notes = [note.replace(command["path"], command["name"]) for note in raw.notes]
        self._send("table", points=points, classes=raw.class_names, notes=notes)

    # --- training -------------------------------------------------------------------------------------

    def _train(self) -> None:
        assert self._training is not None
        if self._training.step:  # it is at its end, and starts anew
            self._prepare()
        self._ended, training = False, self._training
        self._began, self._clock = time.monotonic(), training.step
        try:
            result = train(training.config, training.parts, None, self._session, log=training.rows.append)
            state, text = "finished", dict[str, Any](metrics=result.metrics)
            if result.best_epoch < result.epochs:
                text["best_epoch"] = result.best_epoch
        except Interrupted:
            return  # for another training
        except Diverged as error:
            state, text = "diverged", {"message": str(error).partition(" Try ")[0]}
        except (NnlabError, RuntimeError, MemoryError) as error:
            state, text = "failed", {"message": str(error)}
        if self._ended:
            return
        self._running, self._single = False, 0
        self._rows()
        if "best_epoch" not in text:  # else the network holds other weights than its last ones, now drawn
            self._frame()
        self._tell(state, **text)

    def _between_steps(self) -> bool:
        """Follows commands, waits where it is to wait, and draws; tells whether the training is to end."""
        training = self._training
        if training is None or self._ended:
            return True
        training.step += 1
        self._single = max(0, self._single - 1)
        now = time.monotonic()
        if now >= self._next_frame or training.step == training.steps:
            self._draw()
        for waiting in self._channel.commands():
            self._follow(waiting)
        while not self._ended and not self._running and not self._single:
            self._draw()
            if (command := self._channel.wait()) is not None:
                self._follow(command)
            self._began, self._clock = time.monotonic(), training.step
        while not self._ended and self._running and (left := self._left(training)) > 0:
            if left > 1 / FRAMES:
                self._draw()
            if (wanted := self._channel.wait(left)) is not None:
                self._follow(wanted)
        return self._ended

    def _left(self, training: Training) -> float:
        """Seconds to wait before the next step, so that there are not more steps a second than wanted."""
        return self._began + (training.step - self._clock) / self._pace - time.monotonic()

    def _draw(self) -> None:
        self._rows()
        self._frame()

    def _rows(self) -> None:
        assert self._training is not None
        if self._training.rows:
            self._send("rows", rows=self._training.rows)
            self._training.rows.clear()

    def _frame(self) -> None:
        assert self._training is not None
        began = time.monotonic()
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # several would wait for each other; the training keeps those of nnlab train
        try:
            frame = self._training.frame({"number": self._number})
        finally:
            torch.set_num_threads(threads)
        self._channel.send(frame)
        took = time.monotonic() - began
        self._next_frame = time.monotonic() + max(1 / FRAMES - took, took / SHARE)

    def _tell(self, state: str | None = None, **more: Any) -> None:
        self._send("state", state=state or ("running" if self._running else "paused"), **more)

    def _send(self, kind: str, **header: Any) -> None:
        self._channel.send(packet(kind, {"number": self._number, **header}))


def main() -> None:
    Worker(Channel()).run()


if __name__ == "__main__":
    main()
