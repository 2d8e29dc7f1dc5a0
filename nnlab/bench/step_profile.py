"""The time of a training step by kind of operation, beside the floor that its arithmetic sets."""

import dataclasses
import os
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile, record_function

from nnlab.bench.timing import Row, row, seconds_of
from nnlab.bench.train import TimedSession, trainer_seconds
from nnlab.data import DataSet, Draws, Split
from nnlab.lab.sections import TrainingExperiment
from nnlab.lab.training_run import build_parts, settle_precision
from nnlab.models import layer_table
from nnlab.training.evaluation import autocast

STEPS = 3
"""Steps that are profiled, after one that is not."""

SIDE = 2048
"""The size of the square matrices whose product measures the rate of multiply-adds."""

BATCHES, OPTIMIZER = "augmentation and batches", "optimizer"
GRADIENTS = "convolution gradients"
KINDS = {
    "convolution_backward": GRADIENTS,
    "convolution": "convolution forward",
    "batch_norm": "batch norm",
    "gelu": "GELU",
    "max_pool": "pooling",
    "aten::linear": "linear layer",
    "aten::mm": "linear layer",
    "aten::_to_copy": "casts and copies",
    "aten::contiguous": "casts and copies",
    "aten::clone": "casts and copies",
    "aten::copy_": "casts and copies",
}
"""Part of an operation's name → its kind; the first that fits."""


class _MarkedData(DataSet):
    """A data set that makes its batches under a name in the profile."""

    def batch(self, indices: Tensor, draws: Draws | None = None) -> Split:
        with record_function(BATCHES):
            return super().batch(indices, draws)


def profile_rows(config: TrainingExperiment, data: DataSet) -> list[Row]:
    """Milliseconds a step of each kind of operation, by torch.profiler, on the CPU.

    The profiler sees the two gradients of a convolution as one operation. Its time is divided as the two
    take when each is computed alone, on the same shapes. The floor is the time of the multiply-adds of
    convolutions and linear layers at the rate of a matrix product that is measured here.
    """
    marked = _MarkedData(**{f.name: getattr(data, f.name) for f in dataclasses.fields(data)})
    dtype = torch.bfloat16 if config.training.precision == "bfloat16" else torch.float32
    before = matrix_product_rate(dtype)
    step, kinds = _profiled(config, marked)
    rate = max(before, matrix_product_rate(dtype))
    layers = _convolutions(config, data)
    inputs, weights = (sum(layer.seconds(which) for layer in layers) for which in ("input", "weight"))
    gradients = kinds.pop(GRADIENTS, 0.0)
    for name, part in (("input", inputs), ("weight", weights)):
        kinds[f"convolution {name} gradient"] = gradients * part / max(inputs + weights, 1e-12)
    kinds["the rest"] = max(0.0, step - sum(kinds.values()))
    floors = {kind: 2 * adds / rate for kind, adds in _multiply_adds(config, data, layers).items()}
    by_time = sorted(kinds.items(), key=lambda item: -item[1])
    rows = [_row(kind, seconds, step, floors.get(kind)) for kind, seconds in by_time]
    whole = _row("everything", step, step, sum(floors.values()))
    return [whole | {"against": f"floor at {rate / 1e9:.0f} GFLOP/s"}, *rows]


def _row(kind: str, seconds: float, step: float, floor: float | None) -> Row:
    ratio = seconds / floor if floor else None
    against = f"{seconds / step:.1%} of the step" + ("; floor" if floor else "")
    ratios = dict.fromkeys(("ratio", "ratio_low", "ratio_high"), ratio)
    return row(f"of a step: {kind}", against, "ms", 1e3 * seconds, 1e3 * floor if floor else None, **ratios)


# --- the profile --------------------------------------------------------------------------------------


def _profiled(config: TrainingExperiment, data: DataSet) -> tuple[float, dict[str, float]]:
    """Seconds of a step, and of each kind of operation in it."""
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # else it prints that it starts, stops and finds no GPU
    profiler = profile(activities=[ProfilerActivity.CPU])

    def at(step: int) -> None:
        if step == 1:
            profiler.start()
        elif step == 1 + STEPS:
            profiler.stop()

    trainer_seconds(config, data, STEPS, at)
    kinds: dict[str, float] = defaultdict(float)
    events: list[Any] = list(profiler.events())  # type: ignore[no-untyped-call]
    for event in events:
        kind = _kind([str(e.name) for e in _with_parents(event)])
        if kind is not None:
            kinds[kind] += event.self_cpu_time_total / 1e6 / STEPS
    spans = [(event.time_range.start, event.time_range.end) for event in events]
    step_seconds = (max(end for _, end in spans) - min(start for start, _ in spans)) / 1e6 / STEPS
    return step_seconds, dict(kinds)


def _with_parents(event: Any) -> Iterator[Any]:
    while event is not None:
        yield event
        event = event.cpu_parent


def _kind(names: list[str]) -> str | None:
    """The kind of an operation, from its name and those of the operations around it, from the inside out."""
    if BATCHES in names:
        return BATCHES
    if any(name.startswith("Optimizer.step#") and "With" not in name for name in names):
        return OPTIMIZER
    return next((kind for name in names for part, kind in KINDS.items() if part in name), None)


# --- arithmetic ---------------------------------------------------------------------------------------


def matrix_product_rate(dtype: torch.dtype) -> float:
    """Floating-point operations a second of a product of two square matrices: the best of twenty."""
    a, b = torch.randn(2, SIDE, SIDE).to(dtype)
    return 2 * SIDE**3 / min(seconds_of(lambda: a @ b) for _ in range(20))


@dataclass(frozen=True, eq=False)
class _Convolution:
    """A convolution in a training step: the layer, its input and output, and the gradients that it needs."""

    name: str
    module: nn.Conv2d
    inputs: Tensor
    output: Tensor
    needs_input: bool
    needs_weight: bool

    def seconds(self, which: str) -> float:
        """Seconds of the gradient of the `input` or of the `weight` alone, for this batch."""
        if not (self.needs_input if which == "input" else self.needs_weight):
            return 0.0
        m, mask = self.module, [which == "input", which == "weight", False]
        arguments = (None, m.stride, m.padding, m.dilation, False, [0, 0], m.groups, mask)
        weight = m.weight.detach().to(self.inputs.dtype)
        backward = torch.ops.aten.convolution_backward
        return min(
            seconds_of(lambda: backward(self.output, self.inputs, weight, *arguments)) for _ in range(3)
        )


def _convolutions(config: TrainingExperiment, data: DataSet) -> list[_Convolution]:
    """Every convolution of the model, with tensors of the shape and type that it has in a step."""
    session = TimedSession(data_set=data)
    parts = build_parts(config, session)
    settle_precision(config, parts, None, session)
    examples = min(int(config.data.batch_size), config.training.micro_batch or len(data.train))
    batch = data.batch(torch.arange(examples))
    convolutions: list[_Convolution] = []

    def hook(name: str) -> Callable[[nn.Conv2d, tuple[Tensor, ...], Tensor], None]:
        def see(module: nn.Conv2d, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            x = inputs[0].detach().to(output.dtype)
            needs = inputs[0].requires_grad, module.weight.requires_grad
            convolutions.append(_Convolution(name, module, x, output.detach(), *needs))

        return see

    for name, module in parts.model.named_modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(hook(name))
    with autocast(batch.inputs.device, parts.precision):
        parts.model(batch.inputs)
    return convolutions


def _multiply_adds(config: TrainingExperiment, data: DataSet, layers: list[_Convolution]) -> dict[str, float]:
    """Kind → multiply-adds of a whole batch."""
    model = build_parts(config, TimedSession(data_set=data)).model
    batch = int(config.data.batch_size)
    adds = {row.name: float(row.multiply_adds * batch) for row in layer_table(model, data.input_shape)}
    convolutions = {layer.name for layer in layers}
    return {
        "convolution forward": sum(adds[name] for name in convolutions),
        "convolution input gradient": sum(adds[layer.name] for layer in layers if layer.needs_input),
        "convolution weight gradient": sum(adds[layer.name] for layer in layers if layer.needs_weight),
        "linear layer": 3 * sum(value for name, value in adds.items() if name not in convolutions),
    }
