"""The graph of fields that a module computes, traced by torch.fx and read one operation after the other.

An operation that is not supported, or has no limit, is an error that names it: none is ever guessed.
"""

import math
import operator
from collections.abc import Mapping
from typing import Any

import torch
from torch import fx, nn

from nnlab.errors import suggest
from nnlab.models import MLP, ActivationLayer, Maxout, ScaledLinear
from nnlab.models.activations import ELEMENTWISE
from nnlab.models.parameterization import DEFAULT_SIGMA_B
from nnlab.ntk.errors import KernelError
from nnlab.ntk.infinite import operations
from nnlab.ntk.infinite.nodes import Fixed, Node, Norm, Value
from nnlab.ntk.infinite.nonlinearities import by_name
from nnlab.ntk.infinite.operations import Network, Operation, WeightedLayer

# σ_w or σ_b: of all layers, or of some by name.
Sigma = float | Mapping[str, float] | None


def trace(model: nn.Module, shape: tuple[int, ...], sigma_w: Sigma, sigma_b: Sigma) -> Node:
    """Returns the field of the model's outputs.

    Args:
        model: the module.
        shape: of an example.
        sigma_w, sigma_b: as for `infinite_ntk`.

    Raises:
        KernelError: an operation that is not supported, layers that do not fit, or a wrong σ.
    """
    reader = _Reader(model)
    result = reader.read(shape)
    if not isinstance(result, Value):
        raise KernelError(
            f"infinite_ntk: the model returns {type(result).__name__}; it must return one tensor"
        )
    node = result.node
    if isinstance(node, Fixed):
        raise KernelError("infinite_ntk: no layer with weights acts on the input, so that there is no kernel")
    if not node.gaussian or isinstance(node, Norm):
        raise KernelError(
            f"infinite_ntk: the output is that of {node.name}: the number of outputs is finite, and only "
            "behind a linear layer does their tangent kernel have a deterministic limit; remove the last "
            "operation from the model"
        )
    if node.positions > 1:
        raise KernelError(
            f"infinite_ntk: the output, of {node.name}, has {node.positions} positions; average over them, "
            "or flatten and add a linear layer"
        )
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise KernelError(
            "infinite_ntk: no parameter of the model requires gradients; call requires_grad_() on some"
        )
    _set_sigmas(reader.network, sigma_w, sigma_b)
    return node


class _Reader:
    """Reads the operations of a model.

    Attributes:
        network: the part that has been read.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self.network = Network()

    def read(self, shape: tuple[int, ...]) -> Any:
        """The outputs of the model for examples of a shape."""
        start = Operation(self.network, "the input")
        x = start.create(Fixed, shape, shape[1:], shape[0], lambda inputs: inputs)
        if _Tracer().is_leaf_module(self._model, ""):
            return self._module("", self._model, (x,), {})
        values: dict[fx.Node, Any] = {}
        graph = self._traced()
        order = {node: k for k, node in enumerate(graph.nodes)}
        for node in graph.nodes:
            arguments = fx.node.map_arg(node.args, lambda n: values[n])
            keywords = fx.node.map_arg(node.kwargs, lambda n: values[n])
            self._check_in_place(node, order)
            if node.op == "placeholder":
                if values and not node.args:
                    raise KernelError(
                        f"infinite_ntk: the model takes a second input, {node.target}; only one is allowed"
                    )
                values[node] = node.args[0] if values else x
            elif node.op == "get_attr":
                raise KernelError(
                    f"infinite_ntk: the model uses {node.target} by itself, and parameters and buffers "
                    "outside of layers are not supported; use nn.Linear or a convolution"
                )
            elif node.op == "call_module":
                module = self._model.get_submodule(str(node.target))
                values[node] = self._module(str(node.target), module, arguments, keywords)
            elif node.op == "output":
                return arguments[0]
            else:
                values[node] = self._function(node, arguments, keywords)
        raise AssertionError("a graph without output")

    def _traced(self) -> fx.Graph:
        try:
            return _Tracer().trace(self._model)
        except KernelError:
            raise
        except Exception as error:  # the code of a module can raise anything when it is given symbols
            raise KernelError(
                f"infinite_ntk: {type(self._model).__name__} cannot be read by torch.fx: {error}; write its "
                "forward without conditions and loops that depend on the values or shapes of tensors"
            ) from error

    def _check_in_place(self, node: fx.Node, order: Mapping[fx.Node, int]) -> None:
        """Raises KernelError where a tensor that is changed in place is used again afterwards."""
        target = self._model.get_submodule(str(node.target)) if node.op == "call_module" else node.target
        in_place = (
            getattr(target, "inplace", False)
            or node.kwargs.get("inplace", False)
            or target in (operator.iadd, operator.isub, operator.imul, operator.itruediv, torch.relu_)
            or (node.op == "call_method" and str(target).endswith("_") and not str(target).endswith("__"))
        )
        changed = node.args[0] if in_place and node.args else None
        while isinstance(changed, fx.Node):
            if any(order[user] > order[node] for user in changed.users):
                raise KernelError(
                    f"infinite_ntk: {node.name} changes its input in place, and the input is used again "
                    "afterwards; use the form that is not in place"
                )
            changed = changed.args[0] if changed.args and self._shares_memory(changed) else None

    def _shares_memory(self, node: fx.Node) -> bool:
        """True where a result may share the memory of the input, so that a change of one changes both."""
        if node.op == "call_module":
            module = self._model.get_submodule(str(node.target))
            return isinstance(module, nn.Flatten | nn.Identity | nn.Unflatten | nn.modules.dropout._DropoutNd)
        return _name_of(node) in operations.VIEWS

    def _function(self, node: fx.Node, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
        """The result of a function or method."""
        if not _holds_value((arguments, keywords)):  # arithmetic of sizes
            if node.op == "call_method":
                return getattr(arguments[0], str(node.target))(*arguments[1:], **keywords)
            return node.target(*arguments, **keywords)  # type: ignore[operator]
        name = _name_of(node)
        operation = Operation(self.network, f"{node.name} ({name})")
        if name not in operations.FUNCTIONS:
            raise operation.refusal(name)
        return operations.FUNCTIONS[name](operation, *arguments, **keywords)

    def _module(
        self, name: str, module: nn.Module, arguments: tuple[Any, ...], keywords: dict[str, Any]
    ) -> Any:
        """The result of a layer."""
        kind = type(module).__name__
        operation = Operation(self.network, f"{name or 'the model'} ({kind})", name)
        values = [*arguments, *keywords.values()]
        if len(values) != 1 or not isinstance(values[0], Value):
            raise operation.refusal(kind)
        if nn.utils.parametrize.is_parametrized(module) or module._forward_hooks or module._forward_pre_hooks:
            raise operation.error(" has a parametrization or hooks, whose limit is not known; remove them")
        if _is_mlp(module):
            return self._mlp(f"{name}." if name else "", module, values[0])  # type: ignore[arg-type]
        if isinstance(module, ActivationLayer):
            return operations.apply(operation, by_name(module.name), values[0])
        if type(module) not in operations.MODULES:
            raise operation.refusal(kind)
        return operations.MODULES[type(module)](operation, module, values[0])

    def _mlp(self, prefix: str, model: MLP, x: Value) -> Value:
        """The result of an MLP, which calls its activation as a function that torch.fx would look into."""
        value = operations.flatten(Operation(self.network, "flatten"), x, 1)
        for k, (layer, phi) in enumerate(zip(model.hidden, model.activations, strict=True)):
            value = self._module(f"{prefix}hidden.{k}", layer, (value,), {})
            operation = Operation(self.network, f"{prefix}phi ({phi})")
            if phi == "maxout":
                raise operation.refusal("Maxout")
            value = operations.apply(operation, by_name(phi), value)
        result: Value = self._module(f"{prefix}output", model.output, (value,), {})
        return result


class _Tracer(fx.Tracer):
    """Traces through all modules but those of torch and the layers of nnlab."""

    def __init__(self) -> None:
        super().__init__(autowrap_functions=tuple(row.function for row in ELEMENTWISE.values()))

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        ours = isinstance(m, ScaledLinear | ActivationLayer | Maxout) or _is_mlp(m)
        return ours or super().is_leaf_module(m, module_qualified_name)


def _is_mlp(module: nn.Module) -> bool:
    return type(module).forward is MLP.forward


def _name_of(node: fx.Node) -> str:
    """The name of a method, or function of torch, Python's operators or nnlab; of others with the module."""
    if node.op == "call_method":
        return str(node.target)
    name = getattr(node.target, "__name__", str(node.target))
    module = getattr(node.target, "__module__", None) or "torch"
    known = module.partition(".")[0] in ("torch", "_operator", "operator", "builtins")
    return name if known or module == "nnlab.models.activations" else f"{module}.{name}"


def _holds_value(arguments: Any) -> bool:
    if isinstance(arguments, Mapping):
        arguments = list(arguments.values())
    if isinstance(arguments, list | tuple):
        return any(_holds_value(part) for part in arguments)
    return isinstance(arguments, Value)


# --- σ_w and σ_b ------------------------------------------------------------------------------------


def _set_sigmas(network: Network, sigma_w: Sigma, sigma_b: Sigma) -> None:
    """Sets σ_w and σ_b of every layer to what is given for it, or else to its default."""
    names = [name for name, _, _ in network.layers]
    _check_sigma("sigma_w", sigma_w, names)
    _check_sigma("sigma_b", sigma_b, names)
    for name, module, node in network.layers:
        own = [sigma.get(name) if isinstance(sigma, Mapping) else sigma for sigma in (sigma_w, sigma_b)]
        node.sigma_w = _default_sigma_w(module, network) if own[0] is None else float(own[0])
        default = module.bias_multiplier if isinstance(module, ScaledLinear) else DEFAULT_SIGMA_B["ntk"]
        node.sigma_b = 0.0 if module.bias is None else float(default if own[1] is None else own[1])


def _default_sigma_w(module: WeightedLayer, network: Network) -> float:
    if isinstance(module, ScaledLinear):
        if not module.has_kernel_limit:
            raise KernelError(
                "infinite_ntk: the model is in the mup parameterization, whose features move at every width: "
                "its kernel has no limit that training keeps; use parameterization='ntk'"
            )
        return module.weight_multiplier * math.sqrt(module.in_features)
    functions = list(network.activations.values())
    if len(functions) > 1:
        raise KernelError(
            f"infinite_ntk: the model has the activations {', '.join(sorted(network.activations))}, whose "
            "gains differ; give sigma_w, a number or one for each layer"
        )
    return functions[0].gain if functions else 1.0


def _check_sigma(key: str, sigma: Sigma, names: list[str]) -> None:
    by_layer = isinstance(sigma, Mapping)
    values = dict(sigma) if isinstance(sigma, Mapping) else {} if sigma is None else {"": sigma}
    for name, value in values.items():
        if by_layer and name not in names:
            raise KernelError(f"infinite_ntk: {key}: there is no layer {name}; {suggest(str(name), names)}")
        positive = key == "sigma_w"
        allowed = isinstance(value, int | float) and math.isfinite(value)
        if not allowed or value < 0 or (positive and value == 0):
            raise KernelError(
                f"infinite_ntk: {key} {value}{f' of {name}' if by_layer else ''} is not allowed: it must be "
                f"a finite number, {'more than 0' if positive else 'at least 0'}"
            )
