"""From a module to the fields that it computes at infinite width.

The module is traced by torch.fx and its operations are read one by one. What is not known, or has no limit,
is an error that names the layer: an operation is never guessed.
"""

import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, fx, nn

from nnlab.errors import suggest
from nnlab.models import MLP, ActivationLayer, Maxout, ScaledLinear
from nnlab.models.activations import ripple
from nnlab.models.parameterization import DEFAULT_SIGMA_B
from nnlab.ntk.errors import KernelError
from nnlab.ntk.infinite import operations, reshaping
from nnlab.ntk.infinite.nodes import Fixed, Linear, Node, Nonlinear, Norm, Sum, Value, sources
from nnlab.ntk.infinite.nonlinearities import Nonlinearity, PiecewiseLinear, by_name
from nnlab.ntk.infinite.refusals import REASONS

# σ_w or σ_b: of all layers, or of some by name.
Sigma = float | Mapping[str, float] | None

WeightedLayer = nn.Linear | nn.Conv1d | nn.Conv2d


def trace(model: nn.Module, shape: tuple[int, ...], sigma_w: Sigma, sigma_b: Sigma) -> Node:
    """The field of the network's outputs.

    Args:
        model: the module.
        shape: of an example.
        sigma_w, sigma_b: as for `infinite_ntk`.

    Raises:
        KernelError: an operation that has no known limit, layers that do not fit, or a wrong σ.
    """
    if not isinstance(model, nn.Module):
        raise KernelError(
            f"infinite_ntk: the first argument is {type(model).__name__}; it must be a module, or a tensor "
            "of "
            "examples with depth="
        )
    reading = Reading(model, shape)
    result = reading.read()
    if not isinstance(result, Value):
        raise KernelError(
            f"infinite_ntk: the model returns {type(result).__name__}; it must return one tensor"
        )
    node = result.node
    if isinstance(node, Fixed):
        raise KernelError("infinite_ntk: no layer with weights acts on the input: there is no kernel")
    if not node.gaussian or isinstance(node, Norm):
        raise KernelError(
            f"infinite_ntk: the output is that of {node.name}: the outputs are finitely many numbers, whose "
            "tangent kernel stays random behind anything but a linear layer; take the model without its "
            "last part"
        )
    if node.positions > 1:
        raise KernelError(
            f"infinite_ntk: the output, of {node.name}, has {node.positions} positions; average over them, "
            "or "
            "flatten and add a linear layer"
        )
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise KernelError("infinite_ntk: no parameter of the model requires gradients")
    return _with_sigmas(node, reading, sigma_w, sigma_b)


class Reading:
    """Reads a module's operations and keeps what is known of its layers.

    Attributes:
        linear: the layers with weights, by qualified name.
        kinds: the activations that the fields go through.
    """

    def __init__(self, model: nn.Module, shape: tuple[int, ...]) -> None:
        self._model = model
        self._shape = shape
        self._count = 0
        self._weights: dict[int, str] = {}
        self.linear: dict[str, WeightedLayer] = {}
        self.names: dict[Node, str] = {}
        self.kinds: dict[str, Nonlinearity] = {}

    def read(self) -> Any:
        x = Value(Fixed(self.index(), "the input", self._shape[1:], self._shape[0], lambda x: x), self._shape)
        model = self._model
        if _Tracer().is_leaf_module(model, ""):
            return self.module("", model, (x,), {})
        graph = _traced(model)
        return self._run(graph, x)

    def index(self) -> int:
        self._count += 1
        return self._count

    def _run(self, graph: fx.Graph, x: Value) -> Any:
        values: dict[fx.Node, Any] = {}
        taken = False
        order = {node: k for k, node in enumerate(graph.nodes)}
        for node in graph.nodes:
            arguments = fx.node.map_arg(node.args, lambda n: values[n])
            keywords = fx.node.map_arg(node.kwargs, lambda n: values[n])
            self._check_in_place(node, order)
            if node.op == "placeholder":
                if taken and not node.args:
                    raise KernelError(
                        f"infinite_ntk: the model takes a second input, {node.target}; one is allowed"
                    )
                values[node] = node.args[0] if taken else x
                taken = True
            elif node.op == "get_attr":
                raise KernelError(
                    f"infinite_ntk: the model uses {node.target} by itself; only layers are understood: "
                    "use nn.Linear or a convolution, and no parameters or buffers of its own"
                )
            elif node.op == "call_module":
                module = self._model.get_submodule(str(node.target))
                values[node] = self.module(str(node.target), module, arguments, keywords)
            elif node.op == "output":
                return arguments[0]
            else:
                values[node] = self._call(node, arguments, keywords)
        raise AssertionError("a graph without output")

    def _check_in_place(self, node: fx.Node, order: Mapping[fx.Node, int]) -> None:
        """Raises where something that is changed in place is used again afterwards."""
        target = self._model.get_submodule(str(node.target)) if node.op == "call_module" else node.target
        in_place = (
            getattr(target, "inplace", False)
            or node.kwargs.get("inplace", False)
            or target in (operator.iadd, operator.isub, operator.imul, operator.itruediv, torch.relu_)
            or (node.op == "call_method" and str(target).endswith("_") and not str(target).endswith("__"))
        )
        if not in_place:
            return
        changed = node.args[0] if node.args else None
        while isinstance(changed, fx.Node):
            if any(order[user] > order[node] for user in changed.users):
                raise KernelError(
                    f"infinite_ntk: {node.name} changes its input in place, which is used again afterwards; "
                    "use the form that is not in place"
                )
            changed = changed.args[0] if changed.args and _keeps_memory(changed, self._model) else None

    def _call(self, node: fx.Node, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
        """A function or method."""
        if not _values_in((arguments, keywords)):  # arithmetic of sizes
            if node.op == "call_method":
                return getattr(arguments[0], str(node.target))(*arguments[1:], **keywords)
            return node.target(*arguments, **keywords)  # type: ignore[operator]
        name = node.target if node.op == "call_method" else operations.name_of(node.target)
        where = f"{node.name} ({name})"
        handler = operations.FUNCTIONS.get(str(name))
        if handler is None:
            raise refusal(where, str(name))
        return handler(self, where, *arguments, **keywords)

    def module(
        self, name: str, module: nn.Module, arguments: tuple[Any, ...], keywords: dict[str, Any]
    ) -> Any:
        """A layer."""
        where = f"{name} ({type(module).__name__})" if name else f"the model ({type(module).__name__})"
        values = [*arguments, *keywords.values()]
        if len(values) != 1 or not isinstance(values[0], Value):
            raise refusal(where, type(module).__name__)
        if nn.utils.parametrize.is_parametrized(module) or module._forward_hooks or module._forward_pre_hooks:
            raise KernelError(
                f"infinite_ntk: {where} has a parametrization or hooks, whose limit is not known; remove them"
            )
        if _is_mlp(module):
            return self._read_mlp(module, f"{name}." if name else "", values[0])  # type: ignore[arg-type]
        handler = operations.MODULES.get(type(module))
        if handler is None:
            raise refusal(where, type(module).__name__)
        return handler(self, where, name, module, values[0])

    def _read_mlp(self, model: MLP, prefix: str, x: Value) -> Value:
        """An MLP calls its activation as a function, which torch.fx would look into."""
        value = reshaping.flatten(self, "flatten", x, 1)
        for k, layer in enumerate(model.hidden):
            value = self.module(f"{prefix}hidden.{k}", layer, (value,), {})
            where = f"{prefix}phi ({model.activation})"
            if model.activation == "maxout":
                raise refusal(where, "Maxout")
            value = self.apply(where, by_name(model.activation), value)
        result: Value = self.module(f"{prefix}output", model.output, (value,), {})
        return result

    def apply(self, where: str, function: Nonlinearity, value: Value) -> Value:
        """An elementwise function."""
        node = value.node
        if isinstance(node, Fixed):
            return self.fixed(where, value, function.function, value.shape)
        if not node.gaussian:
            raise KernelError(
                f"infinite_ntk: {where} acts on the output of {node.name}, which is no Gaussian field: put "
                "a linear "
                "layer or a convolution between them"
            )
        if _has_scale(node) and not (isinstance(function, PiecewiseLinear) and _is_scaled(node)):
            raise KernelError(
                f"infinite_ntk: {where} acts on a LayerNorm with a trained scale, whose part of the kernel "
                "is known "
                "behind ReLU, leaky ReLU or a linear layer only; use elementwise_affine=False or "
                "weight.requires_grad_(False)"
            )
        self.kinds[function.name] = function
        return Value(Nonlinear(self.index(), where, node.space, node.channels, node, function), value.shape)

    def fixed(
        self, where: str, value: Value, function: Callable[[Tensor], Tensor], shape: tuple[int, ...]
    ) -> Value:
        """A function of what does not depend on weights yet: it is simply computed."""
        before = value.node
        assert isinstance(before, Fixed)
        node = Fixed(self.index(), where, shape[1:], shape[0], lambda x: function(before.values(x)))
        return Value(node, shape)

    def layer(self, where: str, name: str, module: WeightedLayer) -> tuple[bool, bool]:
        """Notes a layer with weights; whether its weight and bias are trained."""
        self.claim(where, module)
        self.linear[name] = module
        weight, bias = (getattr(module, key, None) for key in ("weight", "bias"))
        return bool(weight is not None and weight.requires_grad), bias is None or bool(bias.requires_grad)

    def claim(self, where: str, module: nn.Module) -> None:
        """Raises where parameters are used a second time."""
        for parameter in module.parameters(recurse=False):
            if id(parameter) in self._weights:
                raise KernelError(
                    f"infinite_ntk: {where} uses the parameters of {self._weights[id(parameter)]} again: "
                    "the limit "
                    "of shared ones is not known; give each use a layer of its own"
                )
            self._weights[id(parameter)] = where


def _has_scale(node: Node) -> bool:
    """Whether a Gaussian field is made of a norm with a trained scale, without a linear layer in between."""
    if isinstance(node, Linear):
        return False
    return (isinstance(node, Norm) and node.trains[0]) or any(_has_scale(source) for source in sources(node))


def _is_scaled(node: Node) -> bool:
    """Whether it is such a norm itself, and the only one."""
    return isinstance(node, Norm) and not _has_scale(node.source)


def refusal(where: str, kind: str) -> KernelError:
    """What to say of an operation without a known limit."""
    reason = REASONS.get(kind, "its infinite-width limit is not known here")
    return KernelError(f"infinite_ntk: {where}: {reason}")


def _values_in(arguments: Any) -> list[Value]:
    if isinstance(arguments, Value):
        return [arguments]
    if isinstance(arguments, Mapping):
        return _values_in(list(arguments.values()))
    if isinstance(arguments, list | tuple):
        return [value for part in arguments for value in _values_in(part)]
    return []


def _keeps_memory(node: fx.Node, model: nn.Module) -> bool:
    """Whether a result lies where the input lies, so that changing it changes both."""
    if node.op == "call_module":
        module = model.get_submodule(str(node.target))
        return isinstance(module, nn.Flatten | nn.Identity | nn.Unflatten | nn.modules.dropout._DropoutNd)
    name = str(node.target) if node.op == "call_method" else operations.name_of(node.target)
    return name in reshaping.VIEWS


# --- tracing ----------------------------------------------------------------------------------------


class _Tracer(fx.Tracer):
    """Looks into every module but the layers that are known, and those of torch."""

    def __init__(self) -> None:
        super().__init__(autowrap_functions=(ripple,))

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        ours = isinstance(m, ScaledLinear | ActivationLayer | Maxout) or _is_mlp(m)
        return ours or super().is_leaf_module(m, module_qualified_name)


def _is_mlp(module: nn.Module) -> bool:
    return type(module).forward is MLP.forward


def _traced(model: nn.Module) -> fx.Graph:
    try:
        return _Tracer().trace(model)
    except KernelError:
        raise
    except Exception as error:  # what a module's own code raises on symbols can be anything
        raise KernelError(
            f"infinite_ntk: {type(model).__name__} cannot be read by torch.fx: {error}; write its forward "
            "without "
            "conditions and loops that depend on the values or shapes of tensors"
        ) from error


# --- σ_w and σ_b ------------------------------------------------------------------------------------


def _with_sigmas(node: Node, reading: Reading, sigma_w: Sigma, sigma_b: Sigma) -> Node:
    """The same field, its layers with their σ."""
    for key, sigma in (("sigma_w", sigma_w), ("sigma_b", sigma_b)):
        _check_sigma(key, sigma, reading.linear)
    weights = {name: _sigma_w(sigma_w, name, module, reading) for name, module in reading.linear.items()}
    biases = {name: _sigma_b(sigma_b, name, module) for name, module in reading.linear.items()}
    return _rebuilt(node, reading.names, weights, biases)


def _sigma_w(sigma: Sigma, name: str, module: WeightedLayer, reading: Reading) -> float:
    given = sigma.get(name) if isinstance(sigma, Mapping) else sigma
    if given is not None:
        return float(given)
    if isinstance(module, ScaledLinear):
        return module.weight_multiplier * math.sqrt(module.in_features)
    return _default_sigma_w(reading)


def _sigma_b(sigma: Sigma, name: str, module: WeightedLayer) -> float:
    if module.bias is None:
        return 0.0
    given = sigma.get(name) if isinstance(sigma, Mapping) else sigma
    if given is not None:
        return float(given)
    return module.bias_multiplier if isinstance(module, ScaledLinear) else DEFAULT_SIGMA_B["ntk"]


def _default_sigma_w(reading: Reading) -> float:
    kinds = list(reading.kinds.values())
    if len(kinds) > 1:
        raise KernelError(
            f"infinite_ntk: the model has the activations {', '.join(sorted(reading.kinds))}, whose gains "
            "differ; "
            "give sigma_w, a number or one for each layer"
        )
    return kinds[0].gain if kinds else 1.0


def _check_sigma(key: str, sigma: Sigma, layers: Mapping[str, WeightedLayer]) -> None:
    values = dict(sigma) if isinstance(sigma, Mapping) else {} if sigma is None else {"": sigma}
    for name, value in values.items():
        of = f" of {name}" if isinstance(sigma, Mapping) else ""
        if isinstance(sigma, Mapping) and name not in layers:
            raise KernelError(f"infinite_ntk: {key}: there is no layer {name}; {suggest(str(name), layers)}")
        least = 0 if key == "sigma_b" else "more than 0"
        allowed = isinstance(value, int | float) and math.isfinite(value)
        if not allowed or value < 0 or (key == "sigma_w" and value == 0):
            raise KernelError(
                f"infinite_ntk: {key} {value}{of} is not allowed: it must be a finite number, "
                f"{'at least 0' if least == 0 else least}"
            )


def _rebuilt(
    last: Node,
    names: Mapping[Node, str],
    weights: Mapping[str, float],
    biases: Mapping[str, float],
) -> Node:
    """A copy of the graph in which every layer has its σ."""
    made: dict[Node, Node] = {}
    for node in _before(last):
        change: dict[str, Any] = {}
        if isinstance(node, Sum):
            change["terms"] = tuple((factor, made[term]) for factor, term in node.terms)
        elif not isinstance(node, Fixed):
            change["source"] = made[node.source]  # type: ignore[attr-defined]
        if isinstance(node, Linear):
            change |= {"sigma_w": weights[names[node]], "sigma_b": biases[names[node]]}
        made[node] = replace(node, **change) if change else node
    return made[last]


def _before(last: Node) -> list[Node]:
    """A node and all that it is made of, in the order of computation."""
    found, waiting = {last}, [last]
    while waiting:
        node = waiting.pop()
        for source in sources(node):
            if source not in found:
                found.add(source)
                waiting.append(source)
    return sorted(found, key=lambda node: node.index)
