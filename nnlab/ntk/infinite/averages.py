"""Averages over positions: pooling and means."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F

from nnlab.ntk.errors import KernelError
from nnlab.ntk.infinite.nodes import Fixed, Pool, Value, windows_of
from nnlab.ntk.infinite.reshaping import axes_of

if TYPE_CHECKING:
    from nnlab.ntk.infinite.tracing import Reading


def mean(reading: "Reading", where: str, x: Value, dim: Any = None, keepdim: bool = False) -> Value:
    if dim is None:
        raise KernelError(f"infinite_ntk: {where} averages over the examples; name the axes of the positions")
    axes = sorted(axes_of(x, dim))
    spatial = [axis - 2 for axis in axes]
    if min(spatial) < 0:
        raise KernelError(
            f"infinite_ntk: {where} averages over axis {axes[0]}, the channels: the mean of infinitely many "
            "independent ones is no random field; average over positions"
        )
    shape = tuple(
        1 if k - 1 in spatial else n for k, n in enumerate(x.shape) if keepdim or k - 1 not in spatial
    )
    if isinstance(x.node, Fixed):
        return reading.fixed(where, x, lambda value: value.mean(dim=axes, keepdim=keepdim), shape)
    space = x.node.space
    if x.shape[1:] != space:
        if len(spatial) != len(x.shape) - 1:
            raise KernelError(
                f"infinite_ntk: {where}: reshape after the average, or average over all positions"
            )
        spatial = list(range(len(space)))
    weights = [
        torch.full((1, n), 1 / n, dtype=torch.float64)
        if axis in spatial
        else torch.eye(n, dtype=torch.float64)
        for axis, n in enumerate(space)
    ]
    return _pooled(reading, where, x, weights, shape)


def _pooled(
    reading: "Reading", where: str, x: Value, weights: Sequence[Tensor], shape: tuple[int, ...]
) -> Value:
    node = Pool(reading.index(), where, shape[1:], x.node.channels, x.node, tuple(weights))
    return Value(node, shape)


def avg_pool(axes: int) -> Callable[..., Value]:
    function: Callable[..., Tensor] = {1: F.avg_pool1d, 2: F.avg_pool2d}[axes]

    def handle(
        reading: "Reading",
        where: str,
        x: Value,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> Value:
        check_axes(where, x, axes)
        if ceil_mode or divisor_override is not None:
            raise KernelError(f"infinite_ntk: {where}: ceil_mode and divisor_override are not understood")
        kernel = _each(kernel_size, axes)
        steps, zeros = (kernel if stride in (None, [], ()) else _each(stride, axes)), _each(padding, axes)
        weights = []
        for n, k, s, p in zip(x.shape[1:], kernel, steps, zeros, strict=True):
            (window,) = windows_of([n], [k], [s], [(p, p)], [1])
            check_after(where, x, window.after)
            weight = torch.zeros(window.after, n, dtype=torch.float64)
            for offset in range(k):
                for o in window.valid(offset):
                    weight[o, window.start(offset) + s * o] += 1
            weights.append(weight / (k if count_include_pad else weight.sum(dim=1, keepdim=True)))
        shape = (x.shape[0], *(len(weight) for weight in weights))
        if isinstance(x.node, Fixed):
            options: dict[str, Any] = {"count_include_pad": count_include_pad}
            return reading.fixed(where, x, lambda v: function(v, kernel, steps, zeros, **options), shape)
        return _pooled(reading, where, x, weights, shape)

    return handle


def adaptive_avg_pool(axes: int) -> Callable[..., Value]:
    function: Callable[..., Tensor] = {1: F.adaptive_avg_pool1d, 2: F.adaptive_avg_pool2d}[axes]

    def handle(reading: "Reading", where: str, x: Value, output_size: Any) -> Value:
        check_axes(where, x, axes)
        sizes = [n if m is None else m for n, m in zip(x.shape[1:], _each(output_size, axes), strict=True)]
        weights = []
        for n, m in zip(x.shape[1:], sizes, strict=True):
            weight = torch.zeros(m, n, dtype=torch.float64)
            for o in range(m):
                weight[o, o * n // m : -(-(o + 1) * n // m)] = 1
            weights.append(weight / weight.sum(dim=1, keepdim=True))
        shape = (x.shape[0], *sizes)
        if isinstance(x.node, Fixed):
            return reading.fixed(where, x, lambda v: function(v, sizes), shape)
        return _pooled(reading, where, x, weights, shape)

    return handle


def _each(value: Any, axes: int) -> list[Any]:
    """One number for each axis."""
    parts = list(value) if isinstance(value, list | tuple) else [value]
    return parts * axes if len(parts) == 1 else parts


def check_axes(where: str, x: Value, axes: int) -> None:
    node = x.node
    if len(x.shape) != axes + 1 or (not isinstance(node, Fixed) and x.shape[1:] != node.space):
        raise KernelError(
            f"infinite_ntk: {where} needs examples with channels and {axes} axes of positions, not of shape "
            f"{x.shape}"
        )


def check_after(where: str, x: Value, after: int) -> None:
    if after < 1:
        raise KernelError(f"infinite_ntk: {where} leaves nothing of examples of shape {x.shape}")
