"""The action of torch's layers, functions and methods on fields of infinite width.

A handler reads one operation of a model and returns the field that it computes. Operations without a handler,
and options that no handler knows, are errors that name the operation and say what to use in its place.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nnlab.models import ScaledLinear
from nnlab.models.activations import ELEMENTWISE
from nnlab.ntk.errors import KernelError
from nnlab.ntk.infinite import nonlinearities as known
from nnlab.ntk.infinite.nodes import Fixed, Linear, Node, Nonlinear, Norm, Pool, Sum, Value, Window, sources
from nnlab.ntk.infinite.nonlinearities import Nonlinearity, PiecewiseLinear

WeightedLayer = nn.Linear | nn.Conv1d | nn.Conv2d
Shape = tuple[int, ...]  # of an example, without the axis of examples

EXAMPLES = 1_000_003
"""Stands for the number of examples in shapes that a module computes with; no layer is that wide."""

VIEWS = frozenset({"flatten", "view", "reshape", "squeeze", "contiguous", "dropout"})
"""Functions and methods whose result may share the memory of their input."""


@dataclass
class Network:
    """The part of a model that has been read.

    Attributes:
        layers: linear layers and convolutions, with their qualified names and the fields that they compute.
        activations: elementwise functions of Gaussian fields, by name.
        owners: the name of the operation that uses a parameter, by the parameter's id.
        fields: how many have been created.
    """

    layers: list[tuple[str, WeightedLayer, Linear]] = field(default_factory=list)
    activations: dict[str, Nonlinearity] = field(default_factory=dict)
    owners: dict[int, str] = field(default_factory=dict)
    fields: int = 0


@dataclass(frozen=True)
class Operation:
    """One layer or function call of a model; it creates fields and errors under its name.

    Attributes:
        network: what has been read before.
        name: for messages, such as "features.1 (MaxPool2d)".
        layer: the qualified name of the layer; empty for a function.
    """

    network: Network
    name: str
    layer: str = ""

    def error(self, message: str) -> KernelError:
        """Returns an error whose message follows the name of the operation."""
        return KernelError(f"infinite_ntk: {self.name}{message}")

    def refusal(self, kind: str) -> KernelError:
        """Returns the error for a type of layer, or name of a function, that is not supported."""
        return self.error(f": {REASONS.get(kind, UNKNOWN)}")

    def create(
        self, kind: Callable[..., Node], shape: Shape, space: Shape, channels: int, *attributes: Any
    ) -> Value:
        """Returns a tensor, whose examples have a shape, that holds a new field."""
        self.network.fields += 1
        return Value(kind(self.network.fields, self.name, space, channels, *attributes), shape)

    def compute(self, x: Value, function: Callable[[Tensor], Tensor], shape: Shape) -> Value:
        """Returns a function of a tensor that depends on no weights, in which it is evaluated as it is."""
        before = x.node
        assert isinstance(before, Fixed)
        return self.create(Fixed, shape, shape[1:], shape[0], lambda inputs: function(before.values(inputs)))

    def claim(self, module: nn.Module) -> None:
        """Raises KernelError where parameters are used a second time."""
        for parameter in module.parameters(recurse=False):
            if id(parameter) in self.network.owners:
                raise self.error(
                    f" uses the parameters of {self.network.owners[id(parameter)]} again: the limit of "
                    "shared parameters is not known to nnlab; use a separate layer for each call"
                )
            self.network.owners[id(parameter)] = self.name


# --- layers with parameters -------------------------------------------------------------------------


def _linear(op: Operation, module: nn.Linear, x: Value) -> Value:
    if len(x.shape) != 1:
        raise op.error(f" acts on the last axis of examples of shape {x.shape}; flatten them first")
    return _weighted(op, module, x)


def _convolution(op: Operation, module: nn.Conv1d | nn.Conv2d, x: Value) -> Value:
    _check_axes(op, x, len(module.kernel_size))
    if module.groups != 1:
        raise op.error(f" has groups={module.groups}: the limit depends on how the groups grow; use groups=1")
    if module.padding_mode != "zeros":
        raise op.error(f" has padding_mode={module.padding_mode}; only padding with zeros is supported")
    windows = []
    for k, n in enumerate(x.shape[1:]):
        kernel, dilation = module.kernel_size[k], module.dilation[k]
        if isinstance(module.padding, str):
            total = dilation * (kernel - 1) if module.padding == "same" else 0
            padding = total // 2, total - total // 2
        else:
            padding = module.padding[k], module.padding[k]
        windows.append(_window(op, x, n, kernel, module.stride[k], padding, dilation))
    return _weighted(op, module, x, tuple(windows))


def _window(
    op: Operation, x: Value, n: int, kernel: int, stride: int, padding: tuple[int, int], dilation: int = 1
) -> Window:
    """The window of a convolution or average along an axis of n positions."""
    after = (n + sum(padding) - dilation * (kernel - 1) - 1) // stride + 1
    if after < 1:
        raise op.error(f" leaves no positions of examples of shape {x.shape}; use a smaller kernel")
    return Window(n, after, kernel, stride, dilation, padding[0])


def _weighted(
    op: Operation, module: WeightedLayer, x: Value, windows: tuple[Window, ...] | None = None
) -> Value:
    """A linear layer, or a convolution with windows."""
    outputs, inputs = module.weight.shape[:2]
    if inputs != x.shape[0]:
        kind = "channels" if windows else "numbers"
        raise op.error(f" takes {inputs} {kind}, but its input has {x.shape[0]}")
    op.claim(module)
    space = tuple(window.after for window in windows or ())
    trains = module.weight.requires_grad, module.bias is None or module.bias.requires_grad
    value = op.create(Linear, (outputs, *space), space, outputs, x.node, windows, trains)
    assert isinstance(value.node, Linear)
    op.network.layers.append((op.layer, module, value.node))
    return value


def _layer_norm_module(op: Operation, module: nn.LayerNorm, x: Value) -> Value:
    scale, shift = module.weight, module.bias
    if (scale is not None and bool((scale != 1).any())) or (shift is not None and bool((shift != 0).any())):
        raise op.error(
            " has a scale other than 1 or a shift other than 0; only their initial values are supported"
        )
    trains = scale is not None and scale.requires_grad, shift is not None and shift.requires_grad
    if any(trains):
        op.claim(module)
    return _norm(op, x, tuple(module.normalized_shape), module.eps, trains)


def _layer_norm(
    op: Operation, x: Value, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Value:
    if weight is not None or bias is not None:
        raise op.error(" is given a scale or a shift as a tensor; use nn.LayerNorm")
    return _norm(op, x, tuple(normalized_shape), eps, (False, False))


def _norm(op: Operation, x: Value, normalized: Shape, eps: float, trains: tuple[bool, bool]) -> Value:
    if normalized != x.shape:
        raise op.error(
            f" normalizes over {normalized} of examples of shape {x.shape}; only a norm over all features "
            "of an example is supported"
        )
    if not isinstance(x.node, Fixed):
        return op.create(Norm, x.shape, x.node.space, x.node.channels, x.node, eps, trains)
    if any(trains):
        raise op.error(" acts on the input with trained parameters; use elementwise_affine=False")
    return op.compute(x, lambda value: F.layer_norm(value, normalized, eps=eps), x.shape)


# --- elementwise functions, sums and multiples ------------------------------------------------------


def apply(op: Operation, function: Nonlinearity, x: Value) -> Value:
    """Returns an elementwise function of a tensor."""
    node = x.node
    if isinstance(node, Fixed):
        return op.compute(x, function.function, x.shape)
    if not node.gaussian:
        raise op.error(
            f" acts on the output of {node.name}, which is not a Gaussian field; put a linear layer or a "
            "convolution between them"
        )
    own_scale = isinstance(node, Norm) and not _has_scale(node.source)
    if _has_scale(node) and not (isinstance(function, PiecewiseLinear) and own_scale):
        raise op.error(
            " acts on a LayerNorm with a trained scale, whose part of the kernel is known only if ReLU, "
            "leaky ReLU or a linear layer follows; use elementwise_affine=False or "
            "weight.requires_grad_(False)"
        )
    op.network.activations[function.name] = function
    return op.create(Nonlinear, x.shape, node.space, node.channels, node, function)


def _has_scale(node: Node) -> bool:
    """True where a Gaussian field contains a norm with a trained scale that no linear layer follows."""
    if isinstance(node, Linear):
        return False
    return (isinstance(node, Norm) and node.trains[0]) or any(_has_scale(source) for source in sources(node))


def _elementwise(function: Nonlinearity | Callable[..., Nonlinearity]) -> Callable[..., Value]:
    """The handler of a function, or of one that is made of options."""

    def handler(op: Operation, x: Value, *options: Any, inplace: bool = False, **named: Any) -> Value:
        one = function if isinstance(function, Nonlinearity) else function(*options, **named)
        return apply(op, one, x)

    return handler


def _dropout(op: Operation, x: Value, p: float = 0.5, training: bool = True, inplace: bool = False) -> Value:
    if training and p > 0:
        raise op.error(" is in training mode, in which outputs are random; call model.eval()")
    return x


def _add(op: Operation, x: Any, y: Any, *, alpha: float = 1, sign: int = 1) -> Value:
    """x + sign · alpha · y."""
    factor = sign * float(alpha)
    for value in (x, y):
        if isinstance(value, int | float) and value != 0:
            raise op.error(
                f" adds the number {value}: the limit of a sum whose mean is not 0 is not known to nnlab; "
                "leave the number out"
            )
    if isinstance(x, int | float):
        return _scaled(op, y, factor)
    if isinstance(y, int | float):
        return _scaled(op, x, 1.0)
    fixed = [isinstance(value.node, Fixed) for value in (x, y)]
    if x.shape != y.shape or (not any(fixed) and x.node.space != y.node.space):
        raise op.error(
            f" adds tensors with examples of shape {x.shape} and {y.shape}; both must have the same shape, "
            "and the same positions where they are flattened"
        )
    if all(fixed):
        f, g = x.node.values, y.node.values
        return op.create(
            Fixed, x.shape, x.shape[1:], x.shape[0], lambda inputs: f(inputs) + factor * g(inputs)
        )
    if any(fixed):
        raise op.error(
            " adds the input, which has a fixed number of channels, to a layer of infinitely many; put a "
            "linear layer or a convolution between the input and the sum"
        )
    return _sum(op, x, [(1.0, x.node), (factor, y.node)])


def _mul(op: Operation, x: Any, y: Any) -> Value:
    number, value = (x, y) if isinstance(x, int | float) else (y, x)
    if not isinstance(number, int | float):
        raise op.refusal("matmul")
    return _scaled(op, value, float(number))


def _div(op: Operation, x: Any, y: Any) -> Value:
    if not isinstance(y, int | float):
        raise op.refusal("matmul")
    return _scaled(op, x, 1 / float(y))


def _scaled(op: Operation, x: Value, factor: float) -> Value:
    if isinstance(x.node, Fixed):
        return op.compute(x, lambda value: factor * value, x.shape)
    return _sum(op, x, [(factor, x.node)])


def _sum(op: Operation, x: Value, parts: Sequence[tuple[float, Node]]) -> Value:
    """A weighted sum in the shape of x, each field once."""
    factors: dict[Node, float] = {}
    for factor, node in parts:
        factors[node] = factors.get(node, 0.0) + factor
    terms = tuple((factor, node) for node, factor in factors.items())
    return op.create(Sum, x.shape, x.node.space, x.node.channels, terms)


# --- averages over positions ------------------------------------------------------------------------


def _mean(op: Operation, x: Value, dim: Any = None, keepdim: bool = False) -> Value:
    if dim is None:
        raise op.error(" averages over the examples; name the axes of the positions")
    axes = sorted(_axes_of(x, dim))
    spatial = [axis - 2 for axis in axes]
    if min(spatial) < 0:
        raise op.error(
            f" averages over axis {axes[0]}, the channels: the mean of infinitely many independent channels "
            "is not a random field; average over positions"
        )
    shape = tuple(1 if k in axes else n for k, n in enumerate(x.shape, start=1) if keepdim or k not in axes)
    space = x.node.space
    if x.shape[1:] != space:
        if len(spatial) != len(x.shape) - 1:
            raise op.error(": reshape after the average, or average over all positions")
        spatial = list(range(len(space)))
    weights = [
        _weights(n, [range(n)] if axis in spatial else [range(k, k + 1) for k in range(n)])
        for axis, n in enumerate(space)
    ]
    return _pool(op, x, shape, weights, lambda value: value.mean(dim=axes, keepdim=keepdim))


def _weights(n: int, windows: Sequence[range], divisor: int | None = None) -> Tensor:
    """The weights (len(windows), n) of averages over windows, which are clipped to 0 … n − 1.

    Args:
        divisor: of the sums; the number of positions in each window if None.
    """
    weight = torch.zeros(len(windows), n, dtype=torch.float64)
    for row, window in zip(weight, windows, strict=True):
        row[max(window.start, 0) : max(window.stop, 0)] = 1
    return weight / (weight.sum(dim=1, keepdim=True) if divisor is None else divisor)


def _pool(
    op: Operation, x: Value, shape: Shape, weights: Sequence[Tensor], function: Callable[[Tensor], Tensor]
) -> Value:
    """Averages with weights for each axis; of the input by a function of torch."""
    if isinstance(x.node, Fixed):
        return op.compute(x, function, shape)
    return op.create(Pool, shape, shape[1:], x.node.channels, x.node, tuple(weights))


def _avg_pool(
    function: Callable[..., Tensor],
    axes: int,
    op: Operation,
    x: Value,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Value:
    _check_axes(op, x, axes)
    if ceil_mode or divisor_override is not None:
        raise op.error(": ceil_mode and divisor_override are not supported; leave them out")
    kernel = _each(kernel_size, axes)
    steps, zeros = (kernel if stride in (None, [], ()) else _each(stride, axes)), _each(padding, axes)
    weights = []
    for n, k, s, p in zip(x.shape[1:], kernel, steps, zeros, strict=True):
        starts = [s * o - p for o in range(_window(op, x, n, k, s, (p, p)).after)]
        windows = [range(start, start + k) for start in starts]
        weights.append(_weights(n, windows, k if count_include_pad else None))
    options: dict[str, Any] = {"count_include_pad": count_include_pad}
    shape = (x.shape[0], *map(len, weights))
    return _pool(op, x, shape, weights, lambda value: function(value, kernel, steps, zeros, **options))


def _adaptive_avg_pool(
    function: Callable[..., Tensor], axes: int, op: Operation, x: Value, output_size: Any
) -> Value:
    _check_axes(op, x, axes)
    sizes = [n if m is None else m for n, m in zip(x.shape[1:], _each(output_size, axes), strict=True)]
    weights = [
        _weights(n, [range(o * n // m, -(-(o + 1) * n // m)) for o in range(m)])
        for n, m in zip(x.shape[1:], sizes, strict=True)
    ]
    return _pool(op, x, (x.shape[0], *sizes), weights, lambda value: function(value, sizes))


def _each(value: Any, axes: int) -> list[Any]:
    """One number for each axis."""
    parts = list(value) if isinstance(value, list | tuple) else [value]
    return parts * axes if len(parts) == 1 else parts


def _check_axes(op: Operation, x: Value, axes: int) -> None:
    if len(x.shape) != axes + 1 or (not isinstance(x.node, Fixed) and x.shape[1:] != x.node.space):
        raise op.error(
            f" needs examples with channels and {axes} axes of positions, but they have the shape {x.shape}"
        )


# --- shapes -----------------------------------------------------------------------------------------


def flatten(op: Operation, x: Value, start_dim: int = 0, end_dim: int = -1) -> Value:
    axes = len(x.shape) + 1
    start, end = start_dim % axes, end_dim % axes
    if start < 1:
        raise op.error(" flattens the examples together; use start_dim=1")
    shape = (*x.shape[: start - 1], math.prod(x.shape[start - 1 : end]), *x.shape[end:])
    return _reshaped(op, x, shape)


def _reshape(op: Operation, x: Value, *shape: Any) -> Value:
    sizes = list(shape[0] if len(shape) == 1 and isinstance(shape[0], list | tuple) else shape)
    numel = math.prod(x.shape)
    if sizes and sizes[0] == -1 and -1 not in sizes[1:]:
        sizes[0] = EXAMPLES
    if sizes.count(-1) == 1:
        rest = math.prod(size for size in sizes[1:] if size != -1)
        sizes[sizes.index(-1)] = numel // max(1, rest)
    if not sizes or sizes[0] != EXAMPLES or math.prod(sizes[1:]) != numel:
        raise op.error(
            f" reshapes examples of shape {x.shape} to sizes that nnlab cannot follow; use flatten(1)"
        )
    return _reshaped(op, x, tuple(sizes[1:]))


def _reshaped(op: Operation, x: Value, shape: Shape) -> Value:
    if shape == x.shape:
        return x
    if isinstance(x.node, Fixed):
        return op.compute(x, lambda value: value.reshape(len(value), *shape), shape)
    positions_only = len(shape) == 2 and shape[0] == x.node.channels and x.shape[0] == x.node.channels
    if len(shape) == 1 or positions_only:
        return Value(x.node, shape)
    raise op.error(
        f" turns examples of shape {x.shape} into {shape}, which mixes channels and positions; flatten all "
        "of an example"
    )


def _squeeze(op: Operation, x: Value, *dims: Any) -> Value:
    axes = _axes_of(x, dims[0] if dims else tuple(range(1, len(x.shape) + 1)))
    shape = tuple(n for axis, n in enumerate(x.shape, start=1) if axis not in axes or n != 1 or axis == 1)
    return _reshaped(op, x, shape)


def _axes_of(x: Value, dim: Any) -> list[int]:
    """Axes as numbers from 0, which is the axis of the examples."""
    dims = list(dim) if isinstance(dim, list | tuple) else [dim]
    return [d % (len(x.shape) + 1) for d in dims]


def _attribute(op: Operation, x: Value, name: str) -> Any:
    if name == "shape":
        return _size(op, x)
    if name == "ndim":
        return len(x.shape) + 1
    raise op.error(f" reads the attribute {name} of a tensor; only shape and ndim are supported")


def _size(op: Operation, x: Value, dim: int | None = None) -> Any:
    shape = (EXAMPLES, *x.shape)
    return shape if dim is None else shape[dim]


# --- tables -----------------------------------------------------------------------------------------

FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{name: _elementwise(known.by_name(name)) for name in ELEMENTWISE},
    "relu_": _elementwise(known.RELU),
    "leaky_relu": _elementwise(lambda negative_slope=0.01, *_: known.leaky_relu(negative_slope)),
    "elu": _elementwise(lambda alpha=1.0, *_: known.elu(alpha)),
    "selu": _elementwise(known.SELU),
    "gelu": _elementwise(lambda approximate="none": known.gelu(approximate)),
    "silu": _elementwise(known.SILU),
    "mish": _elementwise(known.MISH),
    "softplus": _elementwise(lambda beta=1.0, threshold=20.0: known.softplus(beta, threshold)),
    "sin": _elementwise(known.SINE),
    "cos": _elementwise(known.COSINE),
    "abs": _elementwise(known.ABS),
    "add": _add,
    "iadd": _add,
    "sub": partial(_add, sign=-1),
    "isub": partial(_add, sign=-1),
    "mul": _mul,
    "imul": _mul,
    "truediv": _div,
    "itruediv": _div,
    "div": _div,
    "neg": lambda op, x: _scaled(op, x, -1.0),
    "flatten": flatten,
    "view": _reshape,
    "reshape": _reshape,
    "squeeze": _squeeze,
    "contiguous": lambda op, x: x,
    "getattr": _attribute,
    "size": _size,
    "dim": lambda op, x: len(x.shape) + 1,
    "mean": _mean,
    "dropout": _dropout,
    "avg_pool1d": partial(_avg_pool, F.avg_pool1d, 1),
    "avg_pool2d": partial(_avg_pool, F.avg_pool2d, 2),
    "adaptive_avg_pool1d": partial(_adaptive_avg_pool, F.adaptive_avg_pool1d, 1),
    "adaptive_avg_pool2d": partial(_adaptive_avg_pool, F.adaptive_avg_pool2d, 2),
    "layer_norm": _layer_norm,
}
"""Handlers of functions and methods, by name; they take the operation and the arguments."""

_AVERAGE = ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad")

_SAME_AS: dict[type[nn.Module], tuple[str, ...]] = {
    nn.ReLU: ("relu",),
    nn.LeakyReLU: ("leaky_relu", "negative_slope"),
    nn.ELU: ("elu", "alpha"),
    nn.SELU: ("selu",),
    nn.GELU: ("gelu", "approximate"),
    nn.SiLU: ("silu",),
    nn.Mish: ("mish",),
    nn.Softplus: ("softplus", "beta", "threshold"),
    nn.Tanh: ("tanh",),
    nn.Sigmoid: ("sigmoid",),
    nn.Identity: ("contiguous",),
    nn.Flatten: ("flatten", "start_dim", "end_dim"),
    nn.Dropout: ("dropout", "p", "training"),
    nn.Dropout1d: ("dropout", "p", "training"),
    nn.Dropout2d: ("dropout", "p", "training"),
    nn.AvgPool1d: ("avg_pool1d", *_AVERAGE),
    nn.AvgPool2d: ("avg_pool2d", *_AVERAGE, "divisor_override"),
    nn.AdaptiveAvgPool1d: ("adaptive_avg_pool1d", "output_size"),
    nn.AdaptiveAvgPool2d: ("adaptive_avg_pool2d", "output_size"),
}
"""Layers that compute a function: its name, and the attributes of the layer that are its options."""


def _as_function(function: str, *options: str) -> Callable[..., Value]:
    return lambda op, module, x: FUNCTIONS[function](op, x, *(getattr(module, name) for name in options))


MODULES: dict[type[nn.Module], Callable[..., Value]] = {
    nn.Linear: _linear,
    ScaledLinear: _linear,
    nn.Conv1d: _convolution,
    nn.Conv2d: _convolution,
    nn.LayerNorm: _layer_norm_module,
    **{module: _as_function(*function) for module, function in _SAME_AS.items()},
}
"""Handlers of layers, by type; they take the operation, the layer and its input."""

_REASONS: dict[tuple[str, ...], str] = {
    (
        "MaxPool1d", "MaxPool2d", "AdaptiveMaxPool1d", "AdaptiveMaxPool2d", "max_pool1d", "max_pool2d",
        "boolean_dispatch", "adaptive_max_pool1d", "adaptive_max_pool2d", "fn", "amax", "max",
    ): "the maximum of a Gaussian field over positions has no closed-form expectation; use average pooling "
    "or strides",
    ("BatchNorm1d", "BatchNorm2d", "LazyBatchNorm1d", "LazyBatchNorm2d", "batch_norm"):
    "its output depends on the other examples of the batch, or of training, so that the limit is not a "
    "kernel of two examples; use LayerNorm over all features",
    ("InstanceNorm1d", "InstanceNorm2d", "instance_norm"):
    "it normalizes each channel by its own random mean and deviation; use LayerNorm over all features",
    ("GroupNorm", "group_norm"):
    "the limit depends on how the groups grow; use LayerNorm over all features",
    (
        "MultiheadAttention", "matmul", "bmm", "einsum", "Bilinear", "scaled_dot_product_attention",
        "TransformerEncoderLayer", "GLU", "glu", "pow", "square",
    ): "products of fields, and so gates and attention, have no Gaussian limit of this kind; use sums and "
    "multiples by numbers",
    ("RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell"):
    "a recurrent layer uses its weights again at every step; use layers with separate weights",
    ("Softmax", "LogSoftmax", "softmax", "log_softmax"):
    "a softmax couples all channels and belongs to the loss; leave it out",
    ("Embedding", "EmbeddingBag", "embedding"):
    "it looks up vectors by an index; apply a linear layer to one-hot codes of the indices",
    ("Maxout",):
    "the maximum of several Gaussian fields has no closed-form expectation; use another activation",
    ("cat", "concat", "stack"):
    "the channels of a concatenation are not identically distributed; use a sum",
    ("PReLU",):
    "its slope is a trained parameter, whose part of the kernel is not known to nnlab; use LeakyReLU",
    ("linear", "conv1d", "conv2d"):
    "it takes its weights as tensors; use the layer as a module",
    ("Conv3d", "ConvTranspose1d", "ConvTranspose2d"):
    "only convolutions along one or two axes are supported; use Conv1d or Conv2d",
    ("Hardtanh", "ReLU6", "hardtanh", "relu6", "clamp"):
    "it has kinks away from 0; only functions that are smooth except at 0 are supported",
}  # fmt: skip

UNKNOWN = "its infinite-width limit is not known to nnlab; see the supported operations in help(infinite_ntk)"
REASONS = {name: reason for names, reason in _REASONS.items() for name in names}
"""The reason why a layer or function is not supported and what to use, by type or name."""
