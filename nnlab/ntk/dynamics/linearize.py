"""A network replaced by its tangent at the start: a linear model whose kernel never moves."""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.func import jvp

from nnlab.errors import suggest
from nnlab.ntk.empirical.functional import (
    COPIED,
    FunctionalModule,
    check_mode,
    check_module,
    plain,
    untouched,
)
from nnlab.ntk.empirical.graph import check_replaced, ordered
from nnlab.ntk.empirical.jacobian import ForwardProducts
from nnlab.ntk.errors import KernelError, ModelError

Parameters = dict[str, Tensor]


@dataclass(frozen=True)
class Linearization:
    """f_lin(w, x) = f(x, w₀) + ∇f(x, w₀)ᵀ(w − w₀), to be called as `f_lin(params, x)`.

    In w it is linear regression with the features φ(x) = ∇_w f(x, w₀), so that gradient descent on a squared
    error follows the kernel H(x, x') = φ(x)ᵀφ(x') exactly (Lee et al. 2019, "Wide neural networks of any
    depth evolve as linear models under gradient descent", section 2.2). The Jacobian is never formed: one
    forward product gives the value and the derivative along w − w₀ in about the time of two evaluations.

    Attributes:
        network: the module at copies of its parameters and buffers; its own are not read any more.
        params0: w₀ by name: the parameters that w replaces.
    """

    network: FunctionalModule
    params0: Parameters
    _properties: dict[str, bool] = field(default_factory=dict, repr=False, compare=False)

    def __call__(self, params: Mapping[str, Tensor], x: Tensor) -> Tensor:
        """Computes the linearized scores, in the shape of `model(x)`; differentiable in `params` and in x.

        Args:
            params: w, with the names and shapes of `params0`.
            x: (n, ...) examples.

        Raises:
            KernelError: another name, a name that is missing, or another shape.
            ModelError: the model was put into training mode and has dropout or batch norm, has derivatives
                of neither kind, or uses a parameter past the value that replaces it.
        """
        module = self.network.module
        check_mode(module)
        if missing := sorted(self.params0.keys() - params.keys()):
            raise KernelError(f"linearize: parameter {missing[0]} is missing; w has the names of params0")
        for name, value in params.items():
            _check_name_and_shape(name, value, self.params0)
        _load_forward_mode()
        tangents = {name: params[name] - start for name, start in self.params0.items()}  # w − w₀
        with plain(module), untouched(module, COPIED if self._properties.get("changing", True) else 0):
            if _is_transformed() or self._goes_forward(x):
                return self._by_forward_product(tangents, x)
            return self._by_backward_passes(tangents, x)

    def _goes_forward(self, x: Tensor) -> bool:
        """True where forward products are to be taken; one example decides, in the first call.

        Some operations have none, or none that can be differentiated again; some that are cut off from
        gradients, as by no_grad, go on in them, so that backward passes have the last word.
        """
        if "forward" not in self._properties:
            own = [value for value in self.network.module.parameters() if not value.is_inference()]
            versions = [parameter._version for parameter in own]
            self._check_replaced(x[:1].detach())
            forward, backward = (
                _tried(product, self.params0, x[:1].detach())
                for product in (self._by_forward_product, self._by_backward_passes)
            )
            if forward is None and backward is None:
                raise ModelError(
                    "linearize: the model has neither forward derivatives nor second ones by autograd; "
                    "compute its kernel by empirical_ntk, which needs first ones only"
                )
            self._properties["changing"] = versions != [parameter._version for parameter in own]
            self._properties["forward"] = forward is not None and (
                backward is None or torch.allclose(forward, backward, rtol=1e-3, atol=1e-5)
            )
        return self._properties["forward"]

    def _check_replaced(self, x: Tensor) -> None:
        """Raises ModelError where the module uses a parameter past the value that replaces it."""
        with torch.enable_grad():
            scores = self.network.evaluate(self.network.leaves(self.params0), x)
        leaves = [node.variable for node in ordered(scores.grad_fn) if hasattr(node, "variable")]
        check_replaced(leaves, self.network.names)

    def _by_forward_product(self, tangents: Parameters, x: Tensor) -> Tensor:
        scores_and_change = jvp(lambda w: self.network.evaluate(w, x), (self.params0,), (tangents,))
        linear: Tensor = scores_and_change[0] + scores_and_change[1]
        return linear

    def _by_backward_passes(self, tangents: Parameters, x: Tensor) -> Tensor:
        """Computes the same for modules without forward products."""
        graph = torch.is_grad_enabled()
        with torch.enable_grad():
            start = self.network.leaves(self.params0)
            scores = self.network.evaluate(start, x)
            linear: Tensor = scores + ForwardProducts(scores, start).times(tangents, create_graph=graph)
        return linear if graph else linear.detach()

    def start(self) -> Parameters:
        """Returns a copy of w₀ to train: leaves that require gradients."""
        return {name: value.clone().requires_grad_() for name, value in self.params0.items()}


def linearize(model: nn.Module, params0: Mapping[str, Tensor] | None = None) -> Linearization:
    """Linearizes a network at w₀, as a function of w.

    >>> f_lin = linearize(model)
    >>> w = f_lin.start()
    >>> loss = (f_lin(w, x) - y).square().sum() / 2

    Args:
        model: any module; in evaluation mode where it has batch norm or dropout. Its present values are
            copied: training it afterwards changes nothing in the result.
        params0: w₀ by name, some or all of the model's parameters. What it leaves out is held constant. By
            default the parameters that require gradients, at their present values.

    Raises:
        KernelError: a name that the model does not have, another shape, or nothing to linearize in.
        ModelError: dropout or batch norm in training mode.
    """
    check_module(model)
    check_mode(model)
    own, buffers = dict(model.named_parameters()), dict(model.named_buffers())
    if params0 is None:
        params0 = {name: parameter for name, parameter in own.items() if parameter.requires_grad}
    if not params0:
        raise KernelError("linearize: no parameter requires gradients, so there is no w to be linear in")
    for name, value in params0.items():
        _check_name_and_shape(name, value, own)
    values = {name: value.detach().clone() for name, value in {**own, **buffers, **params0}.items()}
    names = {id(parameter): name for name, parameter in own.items()}
    network = FunctionalModule(model, values, list(params0), buffers=tuple(buffers), names=names)
    return Linearization(network, {name: values[name] for name in params0})


def _is_transformed() -> bool:
    """True where torch.func transforms the call, inside of which no leaves of autograd can be made."""
    try:
        torch.empty(0).requires_grad_()
    except RuntimeError:
        return True
    return False


def _tried(product: Callable[[Parameters, Tensor], Tensor], start: Parameters, x: Tensor) -> Tensor | None:
    """The linearized scores for a change of all parameters, in a graph; None where that fails."""
    random = torch.Generator().manual_seed(0)
    with torch.enable_grad():
        tangents = {
            name: (torch.randn(value.shape, generator=random) / value.numel() ** 0.5)
            .to(value)
            .requires_grad_()
            for name, value in start.items()
        }
        for tangent in tangents.values():
            tangent.requires_grad_()
        try:
            scores = product(tangents, x)
            torch.autograd.grad(scores.sum(), list(tangents.values()), allow_unused=True)
        except Exception:  # torch says so in many ways
            return None
    return scores.detach()


def _check_name_and_shape(name: str, value: Tensor, expected: Mapping[str, Tensor]) -> None:
    if name not in expected:
        raise KernelError(f"linearize: there is no parameter {name}; {suggest(name, expected)}")
    if value.shape != expected[name].shape:
        raise KernelError(
            f"linearize: parameter {name} has the shape {tuple(value.shape)}; "
            f"it must be {tuple(expected[name].shape)}"
        )


@cache
def _load_forward_mode() -> None:
    """Lets torch load its forward mode now: on its first use it compiles a few functions with torch.jit,
    and warns that this is deprecated, which is no concern of the user's."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*torch.jit.script.*")
        with forward_ad.dual_level():
            forward_ad.make_dual(torch.zeros(()), torch.zeros(()))  # type: ignore[no-untyped-call]
