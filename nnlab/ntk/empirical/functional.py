"""A module as a pure function of its examples and its parameters, which leaves the module unchanged."""

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property, reduce
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.modules import module as hooks
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from nnlab.errors import suggest
from nnlab.models import CNN, MLP, ActivationLayer, Maxout, ScaledLinear
from nnlab.ntk.errors import KernelError, ModelError

BY_EXAMPLE = {
    MLP, CNN, ActivationLayer, Maxout, ScaledLinear, nn.Linear, nn.Conv1d, nn.Conv2d, nn.Sequential,
    nn.ModuleList, nn.Identity, nn.ReLU, nn.LeakyReLU, nn.ELU, nn.GELU, nn.Sigmoid, nn.Tanh, nn.MaxPool2d,
    nn.AvgPool2d, nn.GroupNorm, nn.Flatten,
}  # fmt: skip
"""Modules whose results for an example depend on that example alone, the first axis counting examples."""

RECURRENT = (nn.RNNBase, nn.RNNCellBase)
LOW_PRECISION = (torch.float16, torch.bfloat16)


@dataclass(frozen=True)
class FunctionalModule:
    """A module as a pure function of examples, at fixed parameters."""

    module: nn.Module  # the module
    # all of its parameters and buffers, detached; those that are numbers in one type
    parameters: Mapping[str, Tensor]
    trained: Sequence[str]  # names of the parameters that the kernel is over
    outputs: Sequence[int] | None = None  # indices of the scores to look at, or None for all
    buffers: Sequence[str] = ()  # names of those in `parameters` that the module may change while it computes
    # the trained parameters that are the module's own, to the object: a hook or a closure may hold them too
    originals: Mapping[str, Tensor] = field(default_factory=dict)
    # of the module's own parameters, by their identity
    names: Mapping[int, str] = field(default_factory=dict)

    @property
    def dtype(self) -> torch.dtype:
        """The type of the computation."""
        return self.parameters[self.trained[0]].dtype

    @property
    def device(self) -> torch.device:
        """The device of the parameters."""
        return self.parameters[self.trained[0]].device

    @cached_property
    def copies(self) -> int:
        """The number of copies of an example in a batch of its own: torch's batch norm may err on one."""
        norms = nn.modules.batchnorm._BatchNorm
        return 2 if any(isinstance(module, norms) for module in self.module.modules()) else 1

    def leaves(self, names: Iterable[str]) -> dict[str, Tensor]:
        """Returns the named parameters as leaves of a graph."""
        return {
            name: self.originals[name]
            if name in self.originals
            else self.parameters[name].detach().requires_grad_()
            for name in names
        }

    @cached_property
    def known(self) -> bool:
        """True where all modules are known to treat examples one by one, and nothing interferes."""
        return is_known(self.module)

    def call(self, values: Mapping[str, Tensor], x: Tensor) -> Tensor:
        """Returns the module's result with some parameters replaced; buffers that it changes are copies."""
        result = self.evaluate(values, x)
        if not isinstance(result, Tensor):
            raise ModelError(
                f"the model returns {type(result).__name__}; a tangent kernel needs one tensor of scores, "
                "(n, C)"
            )
        if not result.is_floating_point():
            raise ModelError(f"the model returns numbers of type {result.dtype}; scores must be real")
        if result.ndim == 0 or len(result) != len(x):
            raise ModelError(
                f"the model maps {tuple(x.shape)} to {tuple(result.shape)}; scores (n, C) are needed, "
                "a row for each example"
            )
        if result.numel() == 0:
            raise ModelError(f"the model maps {tuple(x.shape)} to {tuple(result.shape)}: there are no scores")
        return result if result.dtype == self.dtype else result.to(self.dtype)

    @cached_property
    def as_it_is(self) -> bool:
        """True where all values are the module's own, and it changes none of them."""
        own = dict(self.module.named_parameters())
        if not self.known or self.buffers or len(own) != len(self.parameters):
            return False
        same = all(self.parameters[name].data_ptr() == value.data_ptr() for name, value in own.items())
        return same and len(self.originals) == len(self.trained)

    def evaluate(self, values: Mapping[str, Tensor], x: Tensor) -> Any:
        """Calls the module, as `call` does, and returns its result unchecked."""
        own, x = self.originals, x.clone()  # which the module may change in place
        if self.as_it_is and all(values.get(name, tensor) is tensor for name, tensor in own.items()):
            return self.module(x)  # to replace nothing would take longer than a small network
        copies = {name: self.parameters[name].clone() for name in self.buffers if name not in values}
        return functional_call(self.module, {**self.parameters, **copies, **values}, (x,))

    def scores(self, raw: Tensor) -> Tensor:
        """Returns the scores (n, C) in the module's result, of the chosen outputs."""
        scores = raw.reshape(len(raw), -1)
        if self.outputs is None:
            return scores
        for number in self.outputs:
            if not 0 <= number < scores.shape[1]:
                raise KernelError(f"outputs: {number}: the model has the outputs 0 to {scores.shape[1] - 1}")
        return scores[:, list(self.outputs)]

    def cast(self, dtype: torch.dtype) -> "FunctionalModule":
        """Returns the same in another precision."""
        values = {name: _cast(value, dtype) for name, value in self.parameters.items()}
        return replace(self, parameters=values, originals={})


def functional_module(
    model: nn.Module,
    params: Mapping[str, Tensor] | None = None,
    outputs: Sequence[int] | None = None,
    dtype: torch.dtype | None = None,
) -> FunctionalModule:
    """Returns the module at its own parameters, or with some of them replaced.

    Args:
        model: the module.
        params: values to take instead of the model's own, by name.
        outputs: indices of the scores to look at; all of them if None.
        dtype: of the computation; by default the widest type of the trained parameters, but at least float32.

    Raises:
        ModelError: nothing to differentiate in, batch statistics, randomness, or parameters that have no
            values or are complex.
        KernelError: no module, parameters that do not fit, or another type.
    """
    own, buffers = dict(model.named_parameters()), dict(model.named_buffers())
    _check_tensors(own, buffers)
    check_mode(model)
    trained = [name for name, parameter in own.items() if parameter.requires_grad]
    if not trained:
        raise ModelError("no parameter of the model requires gradients: there is nothing to differentiate in")
    # half precision has too few digits
    dtype = dtype or reduce(torch.promote_types, (own[name].dtype for name in trained), torch.float32)
    if dtype not in (torch.float32, torch.float64):
        raise KernelError(f"dtype: {dtype}: a kernel is computed in torch.float32 or torch.float64")
    names = {id(parameter): name for name, parameter in own.items()}
    params = _replacements(model, {**own, **buffers}, names, params or {})
    values = {name: _cast(value, dtype) for name, value in {**own, **buffers, **params}.items()}
    kept = {
        name: own[name]
        for name in trained
        if name not in params and own[name].dtype == dtype and not own[name].is_inference()
    }
    return FunctionalModule(model, values, trained, outputs, tuple(buffers), kept, names)


def check_module(model: nn.Module) -> None:
    """Raises KernelError for what is no module."""
    if not isinstance(model, nn.Module):
        raise KernelError(f"model: {_kind(model)}; a torch.nn.Module is needed, which holds the parameters")


def _cast(value: Tensor, dtype: torch.dtype) -> Tensor:
    """Detaches a tensor, also one of inference mode, and casts real and complex numbers."""
    value = value.clone() if value.is_inference() else value.detach()
    if value.is_complex():
        return value.to(torch.complex128 if dtype == torch.float64 else torch.complex64)
    return value.to(dtype) if value.is_floating_point() else value


def _check_tensors(own: Mapping[str, Tensor], buffers: Mapping[str, Tensor]) -> None:
    """Raises ModelError for parameters and buffers that no derivative can be taken with."""
    for name, parameter in own.items():
        if isinstance(parameter, UninitializedParameter | UninitializedBuffer):
            raise ModelError(
                f"parameter {name} has no shape yet, as its module is lazy; pass some examples through the "
                "model first"
            )
        if parameter.is_complex() and parameter.requires_grad:
            raise ModelError(
                f"parameter {name} is complex ({parameter.dtype}); kernels are over real parameters: hold "
                "both of its parts in one (torch.view_as_complex joins them), or freeze it"
            )
        if parameter._backward_hooks and parameter.requires_grad:
            raise ModelError(
                f"parameter {name} has a hook that sees its gradients, and may change them; remove it: a "
                "tangent kernel is made of derivatives"
            )
        if parameter.is_meta:
            raise ModelError(f"parameter {name} is on the meta device, where it has no values")
    for name, buffer in buffers.items():
        if buffer.requires_grad:
            raise ModelError(
                f"buffer {name} was computed from parameters and holds their graph, but does not follow "
                "them; compute it in forward, or detach it"
            )


def _replacements(
    model: nn.Module, own: Mapping[str, Tensor], names: Mapping[int, str], params: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """The values by the model's names; a parameter may be named by any of its names."""
    every = {name: name for name in own}
    every |= {other: names[id(p)] for other, p in model.named_parameters(remove_duplicate=False)}
    values: dict[str, Tensor] = {}
    for name, value in params.items():
        if name not in every:
            raise KernelError(
                f"params: {name}: the model has no such parameter; {suggest(str(name), names.values())}"
            )
        expected = own[every[name]]
        if not isinstance(value, Tensor) or value.shape != expected.shape:
            shape = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise KernelError(f"params: {name}: shape {shape}; the model's has {tuple(expected.shape)}")
        if value.layout != torch.strided or value.is_floating_point() != expected.is_floating_point():
            raise KernelError(
                f"params: {name}: type {value.dtype}, layout {value.layout}; the model's is {expected.dtype}"
            )
        if value.device != expected.device:
            raise KernelError(f"params: {name}: is on {value.device}, the model on {expected.device}")
        values[every[name]] = value
    return values


def check_mode(model: nn.Module) -> None:
    """Raises ModelError where dropout or batch norm would act as in training, or a weight be changed."""
    for name, module in model.named_modules():
        where = f"{name or 'the model'} ({type(module).__name__})"
        batch = isinstance(module, nn.modules.batchnorm._BatchNorm)
        if batch and module.running_mean is None:
            raise ModelError(
                f"{where} normalizes by the batch that it sees, so its outputs are no function of one "
                "example; use track_running_stats=True and model.eval()"
            )
        if isinstance(module, nn.Embedding | nn.EmbeddingBag) and module.max_norm is not None:
            norms = torch.linalg.vector_norm(module.weight.detach(), module.norm_type, dim=1)
            if bool((norms > module.max_norm).any()):
                raise ModelError(
                    f"{where} changes its own weight in the forward pass, by max_norm={module.max_norm}; "
                    "set max_norm=None, after scaling the weight yourself"
                )
        random = (
            (isinstance(module, nn.RReLU) and module.lower != module.upper)
            or (isinstance(module, nn.modules.dropout._DropoutNd) and module.p > 0)
            or (isinstance(module, nn.RNNBase | nn.MultiheadAttention) and module.dropout > 0)
        )
        if module.training and (random or batch):
            raise ModelError(
                f"{where} is in training mode, where the outputs "
                f"{'depend on the batch' if not random else 'are random'}; call model.eval() first"
            )


def examples(name: str, x: Any, network: FunctionalModule) -> Tensor:
    """Returns the examples, real ones in the kernel's type.

    Raises:
        KernelError: no tensor, no example, or on another device.
    """
    if not isinstance(x, Tensor):
        remedy = ""
        if isinstance(x, np.ndarray | list | tuple):
            remedy = ": torch.as_tensor makes one"
        elif hasattr(x, "__iter__") or hasattr(x, "__getitem__"):
            remedy = ": collect its batches with torch.cat"
        raise KernelError(f"{name}: {_kind(x)}; a tensor of examples (n, …) is needed{remedy}")
    if x.is_nested or x.layout != torch.strided:
        raise KernelError(
            f"{name}: is nested or sparse; a plain tensor is needed: torch.Tensor.to_dense makes one"
        )
    if x.ndim < 1 or len(x) == 0:
        raise KernelError(f"{name}: shape {tuple(x.shape)}; at least one example is needed, as (n, …)")
    if x.device != network.device:
        raise KernelError(f"{name}: is on {x.device}, the model on {network.device}; move one of them")
    return _cast(x, network.dtype)


def _kind(value: object) -> str:
    """Describes an object that was passed in place of another one."""
    kind = type(value).__name__
    if isinstance(value, np.ndarray):
        return f"a NumPy array of shape {value.shape}"
    if isinstance(value, list | tuple):
        return f"a {kind} of length {len(value)}"
    if isinstance(value, type):
        return f"the class {value.__name__}, not an object of it"
    return f"a function ({kind})" if callable(value) else f"an object of type {kind}"


@contextmanager
def surroundings(module: nn.Module) -> Iterator[None]:
    """While open, gradients are on, the module is plain torch that can be differentiated twice, and what it
    stores in itself is put back at the end."""
    with torch.inference_mode(False), torch.enable_grad(), plain(module), untouched(module):
        yield


@contextmanager
def plain(module: nn.Module) -> Iterator[None]:
    """While open, attention and recurrent layers are made of elementary operations.

    The fused ones have no second derivative, no forward derivative, no rule for vmap, or none of the three.
    """
    fast = torch.backends.mha.get_fastpath_enabled()
    recurrent = any(isinstance(part, RECURRENT) for part in module.modules())
    one_dnn, cudnn = torch.backends.mkldnn.enabled, torch.backends.cudnn.enabled
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        if recurrent:
            torch.backends.mkldnn.set_flags(_enabled=False)  # type: ignore[no-untyped-call]
            torch.backends.cudnn.set_flags(_enabled=False)  # type: ignore[no-untyped-call]
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        if recurrent:
            torch.backends.mkldnn.set_flags(_enabled=one_dnn)  # type: ignore[no-untyped-call]
            torch.backends.cudnn.set_flags(_enabled=cudnn)  # type: ignore[no-untyped-call]


COPIED = 2**28  # bytes of parameters that are copied, lest the module changes them


@contextmanager
def untouched(module: nn.Module, copied: int = COPIED) -> Iterator[None]:
    """While open, the module may store things in itself: attributes, buffers, hooks, parts, even parameters.
    At the end they are as they were; only the values of more than `copied` bytes of parameters are not."""
    parts = [(part, dict(part.__dict__)) for part in module.modules()]
    attributes = [value for _, own in parts for value in own.values()]
    containers = [(value, copy.copy(value)) for value in attributes if isinstance(value, dict | list | set)]
    states = [(parameter, parameter.grad, parameter.requires_grad) for parameter in module.parameters()]
    size = sum(value.nbytes for value, *_ in states if not isinstance(value, UninitializedParameter))
    watched = [value for value in attributes if isinstance(value, Tensor)]
    if size <= copied and not is_known(module):
        watched += module.parameters()
    copies = [
        (tensor, tensor.detach().clone())
        for tensor in watched
        if not (isinstance(tensor, UninitializedParameter) or tensor.is_inference() or tensor.is_meta)
    ]
    try:
        yield
    finally:
        for part, own in parts:
            for new in part.__dict__.keys() - own.keys():
                del part.__dict__[new]
            part.__dict__.update(own)
        for value, before in containers:
            value.clear()
            value.extend(before) if isinstance(value, list) else value.update(before)
        for parameter, gradient, requires in states:
            parameter.grad = gradient
            if parameter.requires_grad != requires:
                parameter.requires_grad_(requires)
        with torch.no_grad():
            for tensor, values in copies:
                if not torch.equal(tensor, values):
                    tensor.copy_(values)


def is_known(module: nn.Module) -> bool:
    """True where all of its parts are known to treat examples one by one, and nothing interferes."""
    watched = hooks._global_forward_hooks or hooks._global_forward_pre_hooks
    return not watched and all(
        type(part) in BY_EXAMPLE
        and "forward" not in part.__dict__
        and not part._forward_hooks
        and not part._forward_pre_hooks
        and not part._backward_hooks
        and not part._backward_pre_hooks
        for part in module.modules()
    )
