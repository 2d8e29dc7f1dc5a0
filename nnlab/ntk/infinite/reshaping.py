"""Reshaping of fields: positions may be put into one axis with the channels, and that is all."""

import math
from typing import TYPE_CHECKING, Any

from nnlab.ntk.errors import KernelError
from nnlab.ntk.infinite.nodes import Fixed, Value

if TYPE_CHECKING:
    from nnlab.ntk.infinite.tracing import Reading

EXAMPLES = 1_000_003
"""Stands for the number of examples in shapes that a module computes with; no layer is that wide."""

VIEWS = frozenset({"flatten", "view", "reshape", "squeeze", "contiguous", "dropout"})
"""Functions and methods whose result may lie where the input lies."""


def flatten(reading: "Reading", where: str, x: Value, start_dim: int = 0, end_dim: int = -1) -> Value:
    axes = len(x.shape) + 1
    start, end = start_dim % axes, end_dim % axes
    if start < 1:
        raise KernelError(f"infinite_ntk: {where} flattens the examples together; use start_dim=1")
    shape = (*x.shape[: start - 1], math.prod(x.shape[start - 1 : end]), *x.shape[end:])
    return _reshaped(reading, where, x, shape)


def reshape(reading: "Reading", where: str, x: Value, *shape: Any) -> Value:
    sizes = list(shape[0] if len(shape) == 1 and isinstance(shape[0], list | tuple) else shape)
    numel = math.prod(x.shape)
    if sizes and sizes[0] == -1 and -1 not in sizes[1:]:
        sizes[0] = EXAMPLES
    if sizes.count(-1) == 1:
        rest = math.prod(size for size in sizes[1:] if size != -1)
        sizes[sizes.index(-1)] = numel // max(1, rest)
    if not sizes or sizes[0] != EXAMPLES or math.prod(sizes[1:]) != numel:
        raise KernelError(
            f"infinite_ntk: {where} reshapes examples of shape {x.shape} in a way that is not understood; "
            "use "
            "flatten(1)"
        )
    return _reshaped(reading, where, x, tuple(sizes[1:]))


def _reshaped(reading: "Reading", where: str, x: Value, shape: tuple[int, ...]) -> Value:
    if shape == x.shape:
        return x
    if isinstance(x.node, Fixed):
        return reading.fixed(where, x, lambda value: value.reshape(len(value), *shape), shape)
    flattened = len(shape) == 1
    positions_only = len(shape) == 2 and shape[0] == x.node.channels and x.shape[0] == x.node.channels
    if flattened or positions_only:
        return Value(x.node, shape)
    raise KernelError(
        f"infinite_ntk: {where} turns examples of shape {x.shape} into {shape}, which mixes channels and "
        "positions; "
        "flatten all of an example"
    )


def squeeze(reading: "Reading", where: str, x: Value, *dims: Any) -> Value:
    axes = axes_of(x, dims[0] if dims else tuple(range(1, len(x.shape) + 1)))
    shape = tuple(n for axis, n in enumerate(x.shape, start=1) if axis not in axes or n != 1 or axis == 1)
    return _reshaped(reading, where, x, shape)


def axes_of(x: Value, dim: Any) -> list[int]:
    """Axes as numbers from 0, the examples' own."""
    dims = list(dim) if isinstance(dim, list | tuple) else [dim]
    return [d % (len(x.shape) + 1) for d in dims]


def attribute(reading: "Reading", where: str, x: Value, name: str) -> Any:
    if name == "shape":
        return (EXAMPLES, *x.shape)
    if name == "ndim":
        return len(x.shape) + 1
    raise KernelError(
        f"infinite_ntk: {where}: the model looks at {name} of a tensor, which is not understood"
    )


def size(reading: "Reading", where: str, x: Value, dim: int | None = None) -> Any:
    shape = (EXAMPLES, *x.shape)
    return shape if dim is None else shape[dim]


def dim(reading: "Reading", where: str, x: Value) -> int:
    return len(x.shape) + 1
