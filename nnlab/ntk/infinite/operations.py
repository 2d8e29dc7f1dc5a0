"""What torch's layers, functions and methods do to fields of infinite width."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from nnlab.models import ActivationLayer, ScaledLinear
from nnlab.ntk.errors import KernelError
from nnlab.ntk.infinite import nonlinearities as known
from nnlab.ntk.infinite.averages import adaptive_avg_pool, avg_pool, mean
from nnlab.ntk.infinite.nodes import Fixed, Node, Sum, Value
from nnlab.ntk.infinite.nonlinearities import Nonlinearity
from nnlab.ntk.infinite.refusals import REASONS
from nnlab.ntk.infinite.reshaping import attribute, dim, flatten, reshape, size, squeeze
from nnlab.ntk.infinite.weighted import convolution, layer_norm, layer_norm_function, linear

if TYPE_CHECKING:
    from nnlab.ntk.infinite.tracing import Reading


def name_of(function: Any) -> str:
    """The name of a function of torch, of Python's operators or of nnlab; with its module for all others."""
    name, module = (
        getattr(function, "__name__", str(function)),
        getattr(function, "__module__", None) or "torch",
    )
    ours = module.partition(".")[0] in ("torch", "_operator", "operator", "builtins") or module in (
        "nnlab.models.activations",
    )
    return name if ours else f"{module}.{name}"


def _identity(reading: "Reading", where: str, x: Value, *_: Any, **__: Any) -> Value:
    return x


def _dropout(
    reading: "Reading", where: str, x: Value, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Value:
    if training and p > 0:
        raise KernelError(
            f"infinite_ntk: {where} is in training mode, where outputs are random; call model.eval()"
        )
    return x


# --- sums and multiples -----------------------------------------------------------------------------


def _add(reading: "Reading", where: str, x: Any, y: Any, *, alpha: float = 1) -> Value:
    return _combined(reading, where, x, y, 1.0, float(alpha))


def _sub(reading: "Reading", where: str, x: Any, y: Any, *, alpha: float = 1) -> Value:
    return _combined(reading, where, x, y, 1.0, -float(alpha))


def _mul(reading: "Reading", where: str, x: Any, y: Any) -> Value:
    number, value = (x, y) if isinstance(x, int | float) else (y, x)
    if not isinstance(number, int | float):
        raise KernelError(f"infinite_ntk: {where}: {REASONS['matmul']}")
    return _scaled(reading, where, value, float(number))


def _div(reading: "Reading", where: str, x: Any, y: Any) -> Value:
    if not isinstance(y, int | float):
        raise KernelError(f"infinite_ntk: {where}: {REASONS['matmul']}")
    return _scaled(reading, where, x, 1 / float(y))


def _neg(reading: "Reading", where: str, x: Value) -> Value:
    return _scaled(reading, where, x, -1.0)


def _scaled(reading: "Reading", where: str, x: Value, factor: float) -> Value:
    if isinstance(x.node, Fixed):
        return reading.fixed(where, x, lambda value: factor * value, x.shape)
    return _sum(reading, where, [(factor, x)])


def _combined(reading: "Reading", where: str, x: Any, y: Any, one: float, two: float) -> Value:
    for value in (x, y):
        if isinstance(value, int | float) and value != 0:
            raise KernelError(
                f"infinite_ntk: {where} adds the number {value}: the mean of the sum is not 0, and its "
                "limit is not "
                "known here; leave it out"
            )
    if isinstance(x, int | float):
        return _scaled(reading, where, y, two)
    if isinstance(y, int | float):
        return _scaled(reading, where, x, one)
    fixed = [isinstance(value.node, Fixed) for value in (x, y)]
    if x.shape != y.shape or (not any(fixed) and x.node.space != y.node.space):
        raise KernelError(
            f"infinite_ntk: {where} adds tensors with examples of shape {x.shape} and {y.shape}, or of other "
            "positions; only equal ones are understood"
        )
    if all(fixed):
        f, g = x.node.values, y.node.values
        return (
            reading.fixed(where, x, lambda value: value, x.shape)
            if x is y and one + two == 1
            else (_fixed_sum(reading, where, x.shape, lambda v: one * f(v) + two * g(v)))
        )
    if any(fixed):
        raise KernelError(
            f"infinite_ntk: {where} adds the input, of a fixed number of channels, to a layer of infinitely "
            "many; "
            "put a linear layer or a convolution between the input and the sum"
        )
    return _sum(reading, where, [(one, x), (two, y)])


def _fixed_sum(
    reading: "Reading", where: str, shape: tuple[int, ...], values: Callable[[Tensor], Tensor]
) -> Value:
    return Value(Fixed(reading.index(), where, shape[1:], shape[0], values), shape)


def _sum(reading: "Reading", where: str, parts: Sequence[tuple[float, Value]]) -> Value:
    """A weighted sum, each field once."""
    terms: dict[Node, float] = {}
    for factor, value in parts:
        terms[value.node] = terms.get(value.node, 0.0) + factor
    node, shape = parts[0][1].node, parts[0][1].shape
    made = Sum(
        reading.index(), where, node.space, node.channels, tuple((f, term) for term, f in terms.items())
    )
    return Value(made, shape)


# --- tables -----------------------------------------------------------------------------------------


def _elementwise(make: Callable[..., Nonlinearity]) -> Callable[..., Value]:
    """A function of one number, of which `make` reads the options."""

    def handle(reading: "Reading", where: str, x: Value, *options: Any, **named: Any) -> Value:
        named.pop("inplace", None)
        return reading.apply(where, make(*options, **named), x)

    return handle


def _always(function: Nonlinearity) -> Callable[..., Nonlinearity]:
    return lambda *_: function


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "relu": _elementwise(_always(known.RELU)),
    "relu_": _elementwise(_always(known.RELU)),
    "leaky_relu": _elementwise(lambda negative_slope=0.01, *_: known.leaky_relu(negative_slope)),
    "elu": _elementwise(lambda alpha=1.0, *_: known.elu(alpha)),
    "selu": _elementwise(_always(known.SELU)),
    "gelu": _elementwise(lambda approximate="none": known.gelu(approximate)),
    "silu": _elementwise(_always(known.SILU)),
    "mish": _elementwise(_always(known.MISH)),
    "softplus": _elementwise(lambda beta=1.0, threshold=20.0: known.softplus(beta, threshold)),
    "tanh": _elementwise(_always(known.TANH)),
    "sigmoid": _elementwise(_always(known.SIGMOID)),
    "erf": _elementwise(_always(known.ERF)),
    "sin": _elementwise(_always(known.SINE)),
    "cos": _elementwise(_always(known.COSINE)),
    "abs": _elementwise(_always(known.ABS)),
    "ripple": _elementwise(_always(known.RIPPLE)),
    "add": _add,
    "iadd": _add,
    "sub": _sub,
    "isub": _sub,
    "mul": _mul,
    "imul": _mul,
    "truediv": _div,
    "itruediv": _div,
    "div": _div,
    "neg": _neg,
    "flatten": flatten,
    "view": reshape,
    "reshape": reshape,
    "squeeze": squeeze,
    "contiguous": _identity,
    "getattr": attribute,
    "size": size,
    "dim": dim,
    "mean": mean,
    "dropout": _dropout,
    "avg_pool1d": avg_pool(1),
    "avg_pool2d": avg_pool(2),
    "adaptive_avg_pool1d": adaptive_avg_pool(1),
    "adaptive_avg_pool2d": adaptive_avg_pool(2),
    "layer_norm": layer_norm_function,
}
"""By name of a function or method: what is made of its arguments."""


def _activation_module(make: Callable[[Any], Nonlinearity]) -> Callable[..., Value]:
    return lambda reading, where, name, module, x: reading.apply(where, make(module), x)


def _dropout_module(reading: "Reading", where: str, name: str, module: Any, x: Value) -> Value:
    return _dropout(reading, where, x, module.p, module.training)


def _avg_pool_module(axes: int) -> Callable[..., Value]:
    def handle(reading: "Reading", where: str, name: str, m: Any, x: Value) -> Value:
        divisor = getattr(m, "divisor_override", None)
        return avg_pool(axes)(
            reading, where, x, m.kernel_size, m.stride, m.padding, m.ceil_mode, m.count_include_pad, divisor
        )

    return handle


def _adaptive_avg_pool_module(axes: int) -> Callable[..., Value]:
    return lambda reading, where, name, m, x: adaptive_avg_pool(axes)(reading, where, x, m.output_size)


MODULES: dict[type[nn.Module], Callable[..., Any]] = {
    nn.Linear: linear,
    ScaledLinear: linear,
    nn.Conv1d: convolution(1),
    nn.Conv2d: convolution(2),
    nn.LayerNorm: layer_norm,
    ActivationLayer: _activation_module(lambda m: known.by_name(m.name)),
    nn.ReLU: _activation_module(lambda m: known.RELU),
    nn.LeakyReLU: _activation_module(lambda m: known.leaky_relu(m.negative_slope)),
    nn.ELU: _activation_module(lambda m: known.elu(m.alpha)),
    nn.SELU: _activation_module(lambda m: known.SELU),
    nn.GELU: _activation_module(lambda m: known.gelu(m.approximate)),
    nn.SiLU: _activation_module(lambda m: known.SILU),
    nn.Mish: _activation_module(lambda m: known.MISH),
    nn.Softplus: _activation_module(lambda m: known.softplus(m.beta, m.threshold)),
    nn.Tanh: _activation_module(lambda m: known.TANH),
    nn.Sigmoid: _activation_module(lambda m: known.SIGMOID),
    nn.Identity: lambda reading, where, name, module, x: x,
    nn.Flatten: lambda reading, where, name, m, x: flatten(reading, where, x, m.start_dim, m.end_dim),
    nn.Dropout: _dropout_module,
    nn.Dropout1d: _dropout_module,
    nn.Dropout2d: _dropout_module,
    nn.AvgPool1d: _avg_pool_module(1),
    nn.AvgPool2d: _avg_pool_module(2),
    nn.AdaptiveAvgPool1d: _adaptive_avg_pool_module(1),
    nn.AdaptiveAvgPool2d: _adaptive_avg_pool_module(2),
}
"""By type of a layer: what is made of its input."""
