"""The layers of a network as a table, and their outputs for images."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from nnlab.models.activations import Maxout
from nnlab.models.cnn import ActivationLayer

Convolution = nn.Conv1d | nn.Conv2d | nn.Conv3d
Pooling = nn.MaxPool1d | nn.MaxPool2d | nn.AvgPool1d | nn.AvgPool2d

FEATURES = "features"
"""The last hidden layer among the activation maps: what the output layer reads."""


@dataclass(frozen=True)
class LayerRow:
    """One use of a layer in a forward pass.

    Attributes:
        name: of the module inside the model, such as `convolutions.0`.
        kind: what it does, such as `convolution 3×3`.
        output_shape: of one example: (C, H, W) or (F,).
        parameters: numbers that it holds; 0 where an earlier row has counted them.
        trainable: those of them that training changes.
        multiply_adds: multiplications, each with an addition, for one example: those of convolutions and
            linear layers. Biases, batch norm, activations and pooling are not counted, as they take one
            operation or a few for each value.
    """

    name: str
    kind: str
    output_shape: tuple[int, ...]
    parameters: int
    trainable: int
    multiply_adds: int


def layer_table(model: nn.Module, input_shape: tuple[int, ...]) -> list[LayerRow]:
    """The layers of a model in the order in which an example goes through them.

    A convolution with filters (C_out, C_in/groups, h, w) and output (C_out, H', W') takes
    C_out·H'·W'·C_in/groups·h·w multiply-adds (zeros of the padding count), a linear layer m·d at each place.

    Layers are the modules without modules inside them, and those that hold parameters of their own. What a
    model computes outside of such modules is not seen.

    Args:
        model: on any device; its mode, parameters and statistics are left as they are.
        input_shape: of one example.
    """
    rows: list[LayerRow] = []
    counted: set[int] = set()

    def see(name: str, module: nn.Module, inputs: Tensor, output: Tensor) -> None:
        own = [p for p in module.parameters(recurse=False) if id(p) not in counted]
        counted.update(map(id, own))
        rows.append(
            LayerRow(
                name,
                _kind(module),
                tuple(output.shape[1:]),
                sum(p.numel() for p in own),
                sum(p.numel() for p in own if p.requires_grad),
                _multiply_adds(module, output),
            )
        )

    _watched(model, zeros_for(model, 1, input_shape), see)
    return rows


def activation_maps(model: nn.Module, images: Tensor) -> dict[str, Tensor]:
    """The outputs of every layer for some images, in evaluation mode.

    Args:
        model: on the images' device; its mode is left as it is.
        images: (n, C, H, W) standardized, or (n, F).

    Returns:
        The name of the layer, as in `layer_table`, → its output (n, C, H, W) or (n, F); and under `features`
        the last hidden layer (n, F): what the last linear layer reads. A layer that is used more than once
        has ` (2)`, ` (3)`… behind its name.
    """
    maps: dict[str, Tensor] = {}
    features: list[Tensor] = []

    def see(name: str, module: nn.Module, inputs: Tensor, output: Tensor) -> None:
        times = sum(seen == name or seen.startswith(f"{name} (") for seen in maps)
        # copies, since what follows may change a result in place
        maps[name if times == 0 else f"{name} ({times + 1})"] = output.detach().clone()
        if isinstance(module, nn.Linear):
            features[:] = [inputs.detach().flatten(1).clone()]

    _watched(model, images, see)
    return maps | {FEATURES: features[0]} if features else maps


def zeros_for(model: nn.Module, examples: int, input_shape: tuple[int, ...]) -> Tensor:
    """Zeros (examples, *input_shape) in the number format and on the device of the model's parameters."""
    first = next((p for p in model.parameters() if p.is_floating_point()), torch.zeros(()))
    return torch.zeros(examples, *input_shape, dtype=first.dtype, device=first.device)


def _watched(model: nn.Module, inputs: Tensor, see: Callable[[str, nn.Module, Tensor, Tensor], None]) -> None:
    """One forward pass in evaluation mode; `see` gets name, module, first input and output of each layer."""

    def hook(name: str) -> Callable[[nn.Module, tuple[Any, ...], Any], None]:
        def call(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            result = output[0] if isinstance(output, tuple) else output  # a recurrent layer's state
            if inputs and isinstance(inputs[0], Tensor) and isinstance(result, Tensor):
                see(name, module, inputs[0], result)

        return call

    with ExitStack() as hooks, evaluation_mode(model), torch.no_grad():
        for name, module in _layers(model):
            hooks.enter_context(module.register_forward_hook(hook(name)))
        model(inputs)


def _layers(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    for name, module in model.named_modules():
        inner = any(True for _ in module.children())
        holds = any(True for _ in module.parameters(recurse=False))
        if (holds or not inner) and not isinstance(module, nn.Identity | nn.Flatten):
            yield name or type(model).__name__, module


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Evaluation mode inside, each module's own mode afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


@contextmanager
def trial(model: nn.Module, *, training: bool) -> Iterator[None]:
    """Training or evaluation mode inside; afterwards modes and buffers are as before."""
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    with evaluation_mode(model):
        model.train(training)
        try:
            yield
        finally:
            with torch.no_grad():
                for name, buffer in model.named_buffers():
                    if name in buffers and buffer.shape == buffers[name].shape:
                        buffer.copy_(buffers[name])


def _kind(module: nn.Module) -> str:
    """The operation of a layer, in the words of the field."""
    match module:
        case nn.Conv1d() | nn.Conv2d() | nn.Conv3d():
            return f"convolution {_by(module.kernel_size)}"
        case nn.MaxPool1d() | nn.MaxPool2d():
            return f"max-pool {_window(module)}"
        case nn.AvgPool1d() | nn.AvgPool2d():
            return f"average-pool {_window(module)}"
        case nn.AdaptiveMaxPool2d():
            return "max over places" if module.output_size in (1, (1, 1)) else "adaptive max-pool"
        case nn.BatchNorm1d() | nn.BatchNorm2d() | nn.BatchNorm3d():
            return "batch norm"
        case nn.Linear():
            return "linear"
        case nn.Dropout():
            return f"dropout {module.p:g}"
        case ActivationLayer():
            return module.name
        case Maxout():
            return f"maxout of {module.pieces}"
        case _:
            return type(module).__name__.lower()


def _by(sides: Sequence[int]) -> str:
    return "×".join(map(str, sides))


def _window(module: Pooling) -> str:
    """A pooling window as 2×2."""
    sides, flat = module.kernel_size, isinstance(module, nn.MaxPool1d | nn.AvgPool1d)
    return _by([sides] * (1 if flat else 2) if isinstance(sides, int) else sides)


def _multiply_adds(module: nn.Module, output: Tensor) -> int:
    """Multiply-adds for one example."""
    values = output[0].numel()
    if isinstance(module, Convolution):
        return values * module.in_channels // module.groups * math.prod(module.kernel_size)
    return values * module.in_features if isinstance(module, nn.Linear) else 0
