"""The gradient of each example at a use of its parameters, by the rules of `nnlab.ntk.empirical.graph`."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from nnlab.ntk.empirical.graph import Use, aligned


def patches_of(use: Use) -> Tensor:
    """The inputs of the units at each position, (n, T, d); of a lookup the indices of its rows, (n, T)."""
    node: Any = use.node
    if use.rule == "lookup":
        return use.front(node._saved_indices).flatten(1)
    if use.rule == "convolution":
        return use.front(_patches(node)).flatten(1, 2)  # (n, T', positions, d)
    return _operand(use)


def units_of(use: Use, g: Tensor) -> Tensor:
    """The gradient at each position, (n, T, m), from that of the result."""
    if use.rule == "lookup":
        return use.front(g * _is_looked_up(use)).flatten(1, -2)
    if use.rule == "convolution":
        return use.front(g.flatten(2).transpose(1, 2)).flatten(1, 2)
    return _matrix(use, use.front(g))


def _matrix(use: Use, front: Tensor) -> Tensor:
    """(n, …, T, m) of a product's result or operand (n, …), whose positions are rows or columns."""
    if use.turned:
        front = front.transpose(-1, -2)
    return front.squeeze(1) if front.ndim == 4 and front.shape[1] == 1 else front


def _operand(use: Use) -> Tensor:
    """The matrix that is not the weight: (n, T, d), or (n, b, T, d) of b products."""
    node: Any = use.node
    left, right = {
        "MmBackward0": ("_saved_self", "_saved_mat2"), "BmmBackward0": ("_saved_self", "_saved_mat2"),
        "AddmmBackward0": ("_saved_mat1", "_saved_mat2"),
        "BaddbmmBackward0": ("_saved_batch1", "_saved_batch2"),
    }[node.name()]  # fmt: skip
    operand = getattr(node, right if use.turned else left)
    return _matrix(use, use.front(operand.detach()))


def _patches(node: Any) -> Tensor:
    """The patches of a convolution: (N, positions, groups · d)."""
    h, kernel = node._saved_input.detach(), node._saved_weight.shape[2:]
    if len(kernel) <= 2:
        wide = h if len(kernel) == 2 else h[:, :, None]  # an image of height 1
        unfolded = F.unfold(
            wide,
            _pair(kernel, 1),
            dilation=_pair(node._saved_dilation, 1),
            padding=_pair(node._saved_padding, 0),
            stride=_pair(node._saved_stride, 1),
        )
        return unfolded.transpose(1, 2)
    h = F.pad(h, [side for width in reversed(node._saved_padding) for side in (width, width)])
    for axis, (size, step, stride) in enumerate(
        zip(kernel, node._saved_dilation, node._saved_stride, strict=True), start=2
    ):
        h = h.unfold(axis, (size - 1) * step + 1, stride)[..., ::step]
    dims = len(kernel)  # (N, C, positions…, kernel…)
    positions = range(2, 2 + dims)
    return h.permute(0, *positions, 1, *range(2 + dims, 2 + 2 * dims)).flatten(1, dims).flatten(2)


def _pair(sizes: Sequence[int], of_height: int) -> tuple[int, int]:
    """The (height, width) of a setting; that of one dimension gets the height `of_height`."""
    height, width = (int(size) for size in ((of_height, *sizes) if len(sizes) == 1 else sizes))
    return height, width


def weight_rows(use: Use, g: Tensor, seen: Tensor | None = None) -> Tensor:
    """∂f_c/∂θ of every example, (n, *shape of the weight), from the gradient of the result.

    Args:
        use: the use.
        g: the gradient of the result.
        seen: `patches_of` the use where it is at hand.
    """
    source = use.sources["weight"]
    if use.rule in ("scale", "shift"):
        return _reduced(use, g if use.rule == "shift" else g * _slope(use))
    seen = patches_of(use) if seen is None else seen
    units = units_of(use, g)
    if use.rule == "lookup":
        return _scattered(seen, units, source.shape[0])
    if use.rule == "convolution":
        n, t, _ = units.shape
        groups = seen.shape[-1] // math.prod(source.shape[1:])
        of_units, of_inputs = (part.reshape(n, t, groups, -1).permute(0, 2, 3, 1) for part in (units, seen))
        return (of_units @ of_inputs.transpose(-1, -2)).reshape(n, *source.shape)
    if use.turned:
        return (units.transpose(-1, -2) @ seen).reshape(-1, *source.shape)
    return (seen.transpose(-1, -2) @ units).reshape(-1, *source.shape)


def bias_rows(use: Use, g: Tensor) -> Tensor:
    """The rows as of `weight_rows`, for the bias of a linear layer or convolution."""
    return units_of(use, g).sum(1).reshape(-1, *use.sources["bias"].shape)


def _is_looked_up(use: Use) -> Tensor:
    """True where a row of the table is trained, and does not stand for padding: (…, 1)."""
    node: Any = use.node
    padding = node._saved_padding_idx
    padding = padding if padding < 2**63 else -1  # torch keeps it without its sign
    trained: Tensor = node._saved_indices != padding
    return trained[..., None]


def _scattered(rows: Tensor, units: Tensor, table: int) -> Tensor:
    """(n, table, m): gradients (n, T, m) added up in the rows (n, T) that were looked up."""
    sums = units.new_zeros(len(rows), table, units.shape[-1])
    return sums.scatter_add_(1, rows[..., None].expand_as(units), units)


def _reduced(use: Use, g: Tensor) -> Tensor:
    """Summed over the axes that the weight does not have, those of the example apart."""
    sign = 1.0
    node: Any = use.node
    if node.name() == "AddBackward0" and use.slot == 1:
        sign = float(node._saved_alpha)
    elif node.name() == "SubBackward0" and use.slot == 1:
        sign = -float(node._saved_alpha)
    front = use.front(g)  # the axis of the examples now has their positions
    axes = [axis + 1 for axis, size in enumerate(aligned(use)) if size == 1]
    rows = front.sum(axes, keepdim=True) if axes else front
    reduced: Tensor = rows.reshape(len(front), *use.sources["weight"].shape)
    return sign * reduced


def _slope(use: Use) -> Tensor:
    """∂z/∂θ where each number of z depends on one of θ, in a shape that broadcasts to the result's."""
    node: Any = use.node
    match node.name():
        case "MulBackward0":
            slope = node._saved_other if use.slot == 0 else node._saved_self
        case "DivBackward0":
            other = node._saved_other
            slope = 1 / other if use.slot == 0 else -node._saved_self / other**2
        case "WhereBackward0":
            slope = node._saved_condition if use.slot == 0 else ~node._saved_condition
        case "PreluKernelBackward0":
            slope = node._saved_self.clamp(max=0)
        case _:
            return _normalized(node)
    return slope.detach() if isinstance(slope, Tensor) else torch.as_tensor(slope)


def _normalized(node: Any) -> Tensor:
    """The numbers that a norm multiplies by its scale: (h − mean)/√(variance + ε)."""
    h: Tensor = node._saved_input.detach()
    apart = h
    if node.name() == "NativeLayerNormBackward0":
        mean, scale = node._saved_result1, node._saved_result2
    elif node.name() == "NativeGroupNormBackward0":
        apart = h.reshape(len(h), node._saved_group, -1)
        mean, scale = node._saved_result1[..., None], node._saved_result2[..., None]
    else:
        channels = (1, -1, *(1,) * (h.ndim - 2))
        mean = node._saved_running_mean.view(channels)
        scale = (node._saved_running_var + node._saved_eps).rsqrt().view(channels)
    normalized: Tensor = ((apart - mean) * scale).reshape(h.shape)
    return normalized
