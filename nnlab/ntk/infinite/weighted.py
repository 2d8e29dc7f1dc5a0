"""Layers with parameters: linear layers, convolutions and norms."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from torch import nn
from torch.nn import functional as F

from nnlab.ntk.errors import KernelError
from nnlab.ntk.infinite.averages import check_after, check_axes
from nnlab.ntk.infinite.nodes import Fixed, Linear, Norm, Value, windows_of

if TYPE_CHECKING:
    from nnlab.ntk.infinite.tracing import Reading


def linear(reading: "Reading", where: str, name: str, module: nn.Linear, x: Value) -> Value:
    if len(x.shape) != 1:
        raise KernelError(
            f"infinite_ntk: {where} acts on the last axis of examples of shape {x.shape}; flatten them first"
        )
    if module.in_features != x.shape[0]:
        raise KernelError(
            f"infinite_ntk: {where} takes {module.in_features} numbers and is given {x.shape[0]}"
        )
    trains = reading.layer(where, name, module)
    node = Linear(reading.index(), where, (), module.out_features, x.node, 1.0, 0.0, None, trains)
    reading.names[node] = name
    return Value(node, (module.out_features,))


def convolution(axes: int) -> Callable[..., Value]:
    def handle(reading: "Reading", where: str, name: str, module: nn.Conv1d | nn.Conv2d, x: Value) -> Value:
        check_axes(where, x, axes)
        if module.groups != 1:
            raise KernelError(
                f"infinite_ntk: {where} has groups={module.groups}: what its limit is depends on how the "
                "groups grow; "
                "use groups=1"
            )
        if module.padding_mode != "zeros":
            raise KernelError(
                f"infinite_ntk: {where} has padding_mode={module.padding_mode}; only zeros is known"
            )
        if module.in_channels != x.shape[0]:
            raise KernelError(
                f"infinite_ntk: {where} takes {module.in_channels} channels and is given {x.shape[0]}"
            )
        padding: list[tuple[int, int]]
        if isinstance(module.padding, str):
            totals = [
                d * (k - 1) * (module.padding == "same")
                for k, d in zip(module.kernel_size, module.dilation, strict=True)
            ]
            padding = [(total // 2, total - total // 2) for total in totals]
        else:
            padding = [(p, p) for p in module.padding]
        windows = windows_of(x.shape[1:], module.kernel_size, module.stride, padding, module.dilation)
        for window in windows:
            check_after(where, x, window.after)
        trains = reading.layer(where, name, module)
        space = tuple(window.after for window in windows)
        node = Linear(reading.index(), where, space, module.out_channels, x.node, 1.0, 0.0, windows, trains)
        reading.names[node] = name
        return Value(node, (module.out_channels, *space))

    return handle


def layer_norm(reading: "Reading", where: str, name: str, module: nn.LayerNorm, x: Value) -> Value:
    scale, shift = module.weight, module.bias
    if (scale is not None and bool((scale != 1).any())) or (shift is not None and bool((shift != 0).any())):
        raise KernelError(
            f"infinite_ntk: {where} has a scale other than 1 or a shift other than 0; only their start is "
            "known"
        )
    trains = tuple(part is not None and part.requires_grad for part in (scale, shift))
    if any(trains):
        reading.claim(where, module)
    return _normed(reading, where, x, tuple(module.normalized_shape), module.eps, (trains[0], trains[1]))


def layer_norm_function(
    reading: "Reading",
    where: str,
    x: Value,
    normalized_shape: Any,
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
) -> Value:
    if weight is not None or bias is not None:
        raise KernelError(f"infinite_ntk: {where} has parameters of its own; use nn.LayerNorm")
    return _normed(reading, where, x, tuple(normalized_shape), eps, (False, False))


def _normed(
    reading: "Reading",
    where: str,
    x: Value,
    normalized: tuple[int, ...],
    eps: float,
    trains: tuple[bool, bool],
) -> Value:
    if normalized != x.shape:
        raise KernelError(
            f"infinite_ntk: {where} normalizes over {normalized} of examples of shape {x.shape}; only a "
            "norm over all "
            "features of an example is known"
        )
    if isinstance(x.node, Fixed):
        if any(trains):
            raise KernelError(
                f"infinite_ntk: {where} acts on the input with parameters of its own; use "
                "elementwise_affine=False"
            )
        return reading.fixed(where, x, lambda value: F.layer_norm(value, normalized, eps=eps), x.shape)
    node = Norm(reading.index(), where, x.node.space, x.node.channels, x.node, eps, trains)
    return Value(node, x.shape)
