"""Which layers a model has, and what each needs: found by watching it compute two examples."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge
from torch.func import functional_call
from torch.nn import functional as F

from nnlab.models import CNN, MLP, ActivationLayer, Maxout, ScaledLinear, layer_multipliers
from nnlab.ntk.errors import ModelError

# The nodes that torch's autograd records for functions of one number each.
ELEMENTWISE = {
    f"{name}Backward{version}"
    for name in [
        "Clone", "Relu", "LeakyRelu", "Elu", "Selu", "Celu", "Gelu", "Silu", "Mish", "Sigmoid", "LogSigmoid",
        "Tanh", "Softplus", "Hardtanh", "Hardsigmoid", "Hardswish", "Erf", "Exp", "Sin", "Cos", "Neg", "Mul",
        "Div", "Add", "Sub", "Pow", "Abs", "Clamp", "Square",
    ]
    for version in (0, 1)
}  # fmt: skip


BY_EXAMPLE = {
    MLP, CNN, ActivationLayer, Maxout, ScaledLinear, nn.Linear, nn.Conv1d, nn.Conv2d, nn.Sequential,
    nn.ModuleList, nn.Identity, nn.ReLU, nn.LeakyReLU, nn.ELU, nn.GELU, nn.Sigmoid, nn.Tanh, nn.MaxPool2d,
    nn.AvgPool2d, nn.LayerNorm, nn.GroupNorm,
}  # fmt: skip
"""Modules whose results for an example depend on that example alone."""


@dataclass(frozen=True)
class Call:
    """One use of a layer in a forward pass.

    Attributes:
        inputs: what the layer was given.
        edge: where in the graph the layer's result stands.
        result: what was handed on.
        versions: the counters of in-place changes of both at that moment.
    """

    inputs: Tensor
    edge: GradientEdge
    result: Tensor
    versions: tuple[int, int]


@dataclass(frozen=True)
class Network:
    """A module as a pure function of examples, at fixed parameters.

    Attributes:
        module: the module.
        parameters: all of its parameters and floating-point buffers, detached, of one type.
        trained: names of the parameters that the kernel is over.
        outputs: indices of the scores to look at, or None for all.
        copies: whether the results of layers are handed on as copies, since the module changes them in
            place: else the graph would have no place left where the layer's own result stands.
    """

    module: nn.Module
    parameters: Mapping[str, Tensor]
    trained: Sequence[str]
    outputs: Sequence[int] | None
    copies: bool = False

    def raw(self, x: Tensor) -> Tensor:
        """What the module returns."""
        result = functional_call(self.module, dict(self.parameters), (x,))
        if not isinstance(result, Tensor):
            raise ModelError(
                f"the model returns {type(result).__name__}; a tangent kernel needs one tensor of scores, "
                "(n, C)"
            )
        return result

    def scores(self, raw: Tensor) -> Tensor:
        """(n, C) of what the module returned, restricted to the outputs that are asked for."""
        scores = raw.reshape(len(raw), -1)
        return scores if self.outputs is None else scores[:, list(self.outputs)]


@dataclass(frozen=True)
class Layer:
    """A group of parameters, and the sizes that say what it costs.

    Attributes:
        name: the name of the module that holds them; empty for the model itself.
        parameters: their names, those that are trained.
        module: the linear layer or convolution; None where torch.func has to differentiate.
        inputs: d, numbers that a unit sees.
        units: m.
        positions: T, how often an example uses the weights.
        size: number of trained parameters p.
        is_output: the layer's result is the network's output.
        feeds_output: its result reaches the output layer through a function of one number each.
    """

    name: str
    parameters: tuple[str, ...]
    module: nn.Module | None
    inputs: int = 0
    units: int = 0
    positions: int = 1
    size: int = 0
    is_output: bool = False
    feeds_output: bool = False

    @property
    def multipliers(self) -> tuple[float, float]:
        """(a, c) of z = a·W h + c·b."""
        return layer_multipliers(self.module) if isinstance(self.module, nn.Linear) else (1.0, 1.0)

    @property
    def scale(self) -> float:
        """a², or 0 where the weight is not trained."""
        return self.multipliers[0] ** 2 if self._trains("weight") else 0.0

    @property
    def constant(self) -> float:
        """c², or 0 where there is no bias, or it is not trained."""
        return self.multipliers[1] ** 2 if self._trains("bias") else 0.0

    def _trains(self, name: str) -> bool:
        return any(parameter.rpartition(".")[2] == name for parameter in self.parameters)


# --- watching a forward pass ------------------------------------------------------------------------


@contextmanager
def watched(modules: Sequence[nn.Module], calls: dict[nn.Module, list[Call]], copies: bool) -> Iterator[None]:
    """While open, every use of the modules is noted, and gradients can be taken at their results."""

    def note(module: nn.Module, arguments: tuple[Tensor, ...], result: Tensor) -> Tensor:
        if not result.requires_grad:
            result.requires_grad_()
        edge = get_gradient_edge(result)
        passed = result.clone() if copies else result
        inputs = arguments[0]
        call = Call(inputs, edge, passed, (inputs._version, passed._version))
        calls.setdefault(module, []).append(call)
        return passed

    hooks = [module.register_forward_hook(note) for module in modules]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def forward(
    network: Network, x: Tensor, modules: Sequence[nn.Module]
) -> tuple[Tensor, dict[nn.Module, list[Call]]]:
    """The module's output on x, in a graph, and each use of the modules."""
    calls: dict[nn.Module, list[Call]] = {}
    with torch.enable_grad(), watched(modules, calls, network.copies):
        raw = network.raw(x)
    for uses in calls.values():
        for call in uses:
            if call.inputs._version != call.versions[0]:
                raise ModelError(
                    "the model changes the input of a linear layer or convolution in place after use; "
                    "write x = x + y in place of x += y, or choose method='jacobian'"
                )
    return raw, calls


def check_independent(network: Network, x: Tensor, raw: Tensor) -> None:
    """Raises ModelError where the scores of an example change with the company that it is in.

    Modules that are known to treat examples one by one are not tried.

    Args:
        network: the model.
        x: a few examples.
        raw: what the model returns for them.
    """
    if all(type(module) in BY_EXAMPLE for module in network.module.modules()):
        return
    with torch.no_grad():
        together, alone = network.scores(raw), network.scores(network.raw(x[:1]))
    difference = (together[0] - alone[0]).abs().max()
    if difference > 1e-3 * together.abs().max():
        raise ModelError(
            "the model mixes examples: the scores of one change with what else is in its batch; "
            "a tangent kernel is defined between single examples"
        )


def check_mode(model: nn.Module) -> None:
    """Raises ModelError where dropout or batch norm would act as in training."""
    for name, module in model.named_modules():
        where = f"{name or 'the model'} ({type(module).__name__})"
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_mean is None:
            raise ModelError(
                f"{where} normalizes by the batch that it sees, so its outputs are no function of one "
                "example; use track_running_stats=True and model.eval()"
            )
        random = isinstance(module, nn.modules.dropout._DropoutNd) and module.p > 0
        if module.training and (random or isinstance(module, nn.modules.batchnorm._BatchNorm | nn.RReLU)):
            raise ModelError(
                f"{where} is in training mode, where the outputs "
                f"{'depend on the batch' if not random else 'are random'}; call model.eval() first"
            )


# --- finding the layers -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Probe:
    """What a forward pass of a few examples tells.

    Attributes:
        network: the model, as it is to be watched from now on.
        x: the examples.
        raw: what the module returned.
        calls: each use of the layers; with `raw` it holds the graph.
        layers: the groups of parameters, in the order of the module.
        saved: bytes that the pass keeps for the backward pass, per example, parameters apart.
    """

    network: Network
    x: Tensor
    raw: Tensor
    calls: dict[nn.Module, list[Call]]
    layers: list[Layer]
    saved: int

    def is_of(self, x: Tensor) -> bool:
        """Whether the pass was of these very examples."""
        return x.data_ptr() == self.x.data_ptr() and x.shape == self.x.shape


def probe(network: Network, x: Tensor) -> Probe:
    """Watches a forward pass of the examples x; two are enough."""
    seen, in_place = _probe(network, x)
    return _probe(replace(network, copies=True), x)[0] if in_place else seen


def _probe(network: Network, x: Tensor) -> tuple[Probe, bool]:
    """And whether a layer's result was changed in place."""
    modules = _linear_maps(network)
    # with parameters that require gradients, the graph shows every use of them
    parameters = {
        name: value.detach().requires_grad_() if name in network.trained else value
        for name, value in network.parameters.items()
    }
    kept = _Kept(parameters.values())
    with torch.autograd.graph.saved_tensors_hooks(kept.note, lambda tensor: tensor):
        raw, calls = forward(replace(network, parameters=parameters), x, list(modules))
    every = [call for uses in calls.values() for call in uses]
    for call in every:
        kept.note(call.inputs)
        kept.note(call.result)
    layers = _find_layers(network, modules, raw, calls, _uses(raw, parameters))
    in_place = any(call.result._version != call.versions[1] for call in every)
    return Probe(network, x, raw, calls, layers, kept.bytes // len(x)), in_place


class _Kept:
    """Bytes of the storages that a graph keeps, each counted once."""

    def __init__(self, parameters: Iterable[Tensor]) -> None:
        self._own = {parameter.untyped_storage().data_ptr() for parameter in parameters}
        self._sizes: dict[int, int] = {}

    def note(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in self._own:
            self._sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    @property
    def bytes(self) -> int:
        return sum(self._sizes.values())


def _uses(raw: Tensor, parameters: Mapping[str, Tensor]) -> dict[str, int]:
    """How often each parameter enters the graph of what the module returned."""
    names = {id(parameter): name for name, parameter in parameters.items()}
    uses = dict.fromkeys(parameters, 0)
    waiting, seen = [raw.grad_fn], {raw.grad_fn}
    while waiting:
        node = waiting.pop()
        for following, _ in [] if node is None else node.next_functions:
            name = names.get(id(getattr(following, "variable", None)))
            if name is not None:
                uses[name] += 1
            elif following not in seen:
                seen.add(following)
                waiting.append(following)
    return uses


def _find_layers(
    network: Network,
    modules: Mapping[nn.Module, str],
    raw: Tensor,
    calls: Mapping[nn.Module, list[Call]],
    uses: Mapping[str, int],
) -> list[Layer]:
    """The layers that are understood, and the other parameters for torch.func."""
    found, rest = [], dict.fromkeys(network.trained)
    for module, name in modules.items():
        layer = _layer(network, name, module, calls.get(module, []), raw)
        # a weight that enters elsewhere too, say transposed in a decoder, has cross terms between its uses
        if layer is not None and all(uses[key] == len(calls[module]) for key in layer.parameters):
            found.append(layer)
            for parameter in layer.parameters:
                del rest[parameter]
    if (output := next((layer for layer in found if layer.is_output), None)) is not None:
        assert output.module is not None
        before = calls[output.module][0]
        found = [_with_chain(layer, calls, before, output) for layer in found]
    return found + group(network, rest)


def group(network: Network, names: Sequence[str] | Mapping[str, None]) -> list[Layer]:
    """Parameters by the module that holds them, for torch.func to differentiate."""
    by_module: dict[str, list[str]] = {}
    for name in names:
        by_module.setdefault(name.rpartition(".")[0], []).append(name)
    return [
        Layer(module, tuple(held), None, size=sum(network.parameters[name].numel() for name in held))
        for module, held in by_module.items()
    ]


def merged(layers: Sequence[Layer]) -> Layer:
    """All parameters as one group."""
    names = tuple(name for layer in layers for name in layer.parameters)
    return Layer("", names, None, size=sum(layer.size for layer in layers))


def _linear_maps(network: Network) -> dict[nn.Module, str]:
    """The plain linear layers and convolutions that hold parameters which are trained, with their names."""
    trained = set(network.trained)
    return {
        module: name
        for name, module in network.module.named_modules()
        if _is_linear_map(module) and any(key in trained for key in _own(name, module))
    }


def _own(name: str, module: nn.Module) -> list[str]:
    """Full names of a module's own parameters."""
    prefix = f"{name}." if name else ""
    return [prefix + key for key, _ in module.named_parameters(recurse=False)]


def _is_linear_map(module: nn.Module) -> bool:
    """Whether the module computes W h + b as its class does, with both as plain parameters."""
    known = {nn.Linear: nn.Linear.forward, ScaledLinear: ScaledLinear.forward,
             nn.Conv1d: nn.Conv1d.forward, nn.Conv2d: nn.Conv2d.forward}  # fmt: skip
    if known.get(type(module)) is not type(module).forward or set(module._parameters) != {"weight", "bias"}:
        return False
    if isinstance(module, nn.Conv1d | nn.Conv2d):
        return module.padding_mode == "zeros" and not isinstance(module.padding, str)
    return True


def _layer(
    network: Network, name: str, module: nn.Module, calls: Sequence[Call], raw: Tensor
) -> Layer | None:
    """None where the layer is not used, or not example by example: then torch.func takes its parameters."""
    if not calls or any(len(call.inputs) != len(raw) or call.inputs.ndim < 2 for call in calls):
        return None
    trained = set(network.trained)
    parameters = tuple(key for key in _own(name, module) if key in trained)
    weight = module.weight
    assert isinstance(weight, Tensor)
    return Layer(
        name=name,
        parameters=parameters,
        module=module,
        inputs=math.prod(weight.shape[1:]),
        units=weight.shape[0],
        positions=sum(call.result[0].numel() // weight.shape[0] for call in calls),
        size=sum(network.parameters[key].numel() for key in parameters),
        is_output=len(calls) == 1 and calls[0].result is raw and raw.ndim == 2,
    )


def _with_chain(layer: Layer, calls: Mapping[nn.Module, list[Call]], before: Call, output: Layer) -> Layer:
    """Marks the layer whose result becomes the output layer's input number by number."""
    if layer is output or layer.module is None or layer.positions != 1 or len(calls[layer.module]) != 1:
        return layer
    call = calls[layer.module][0]
    elementwise = before.inputs.shape == call.result.shape and is_elementwise(
        before.inputs.grad_fn, call.edge.node
    )
    return replace(layer, feeds_output=elementwise)


def is_elementwise(end: torch.autograd.graph.Node | None, start: torch.autograd.graph.Node) -> bool:
    """Whether every path of the graph leads from `end` to `start` through functions of one number each.

    The tensors at both ends must have one shape: broadcasting only ever enlarges, so that nothing can have
    been broadcast on the way.
    """
    reached, waiting, seen = False, [end], set()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if node is start:
            reached = True
        elif node.name() in ELEMENTWISE:
            waiting += [following for following, _ in node.next_functions]
        else:
            return False
    return reached


# --- a layer's inputs and gradients as matrices -----------------------------------------------------


def input_rows(module: nn.Module, h: Tensor) -> Tensor:
    """What the units see at each position: (n, T, d); of a convolution the patches of the image."""
    if isinstance(module, nn.Linear):
        return h.reshape(len(h), -1, h.shape[-1])
    if isinstance(module, nn.Conv1d):
        h = h[:, :, None]  # an image of height 1
    assert isinstance(module, nn.Conv1d | nn.Conv2d)
    patches = F.unfold(
        h,
        _pair(module.kernel_size, 1),
        dilation=_pair(module.dilation, 1),
        padding=_pair(module.padding, 0),
        stride=_pair(module.stride, 1),
    )  # (n, C_in·k², T)
    return patches.transpose(1, 2)


def _pair(sizes: Sequence[int] | str, of_height: int) -> tuple[int, int]:
    """(height, width) of a convolution's setting; one-dimensional ones get the height given."""
    height, width = (int(size) for size in ((of_height, *sizes) if len(sizes) == 1 else sizes))
    return height, width


def gradient_rows(module: nn.Module, g: Tensor) -> Tensor:
    """The gradient at each position: (n, T, m)."""
    if isinstance(module, nn.Linear):
        return g.reshape(len(g), -1, g.shape[-1])
    return g.flatten(2).transpose(1, 2)
