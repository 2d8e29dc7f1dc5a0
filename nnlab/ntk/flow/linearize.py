"""A network replaced by its tangent at the start: a linear model whose kernel never moves."""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.func import functional_call, jvp

from nnlab.errors import suggest
from nnlab.ntk.empirical.jacobian import ForwardProducts
from nnlab.ntk.empirical.network import check_mode, check_module, plain, untouched
from nnlab.ntk.empirical.uses import ordered
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
        model: the network; its own parameters are not read any more.
        params0: w₀ by name: the parameters that w replaces.
        constants: the other parameters and the buffers, by name, as they were.
        buffers: names of those that the module may change while it computes.
    """

    model: nn.Module
    params0: Parameters
    constants: Parameters
    buffers: frozenset[str] = frozenset()
    _found: dict[str, bool] = field(default_factory=dict, repr=False, compare=False)

    def __call__(self, params: Mapping[str, Tensor], x: Tensor) -> Tensor:
        """The linearized scores, in the shape of `model(x)`; differentiable in `params` and in x.

        Args:
            params: w, with the names and shapes of `params0`.
            x: (n, ...) examples.

        Raises:
            KernelError: another name, a name that is missing, or another shape.
            ModelError: the model was put into training mode and has dropout or batch norm.
        """
        check_mode(self.model)
        self._check(params)
        _load_forward_mode()
        tangents = {name: params[name] - start for name, start in self.params0.items()}  # w − w₀
        with plain(self.model), untouched(self.model):
            if _is_transformed() or self._goes_forward(x):
                return self._by_forward_product(tangents, x)
            return self._by_backward_passes(tangents, x)

    def _by_forward_product(self, tangents: Parameters, x: Tensor) -> Tensor:
        value_and_change = jvp(lambda w: self._scores(w, x), (self.params0,), (tangents,))
        scores: Tensor = value_and_change[0] + value_and_change[1]
        return scores

    def _goes_forward(self, x: Tensor) -> bool:
        """Whether to take forward products: one example tells, in the first call.

        Some operations have none, or none that can be differentiated again; some that are cut off from
        gradients, as by no_grad, go on in them, so that backward passes have the last word.

        Raises:
            ModelError: the module has derivatives of neither kind.
        """
        if "forward" not in self._found:
            self._check_hidden(x[:1].detach())
            ways = [_tried(way, self.params0, x[:1].detach()) for way in self._ways()]
            if ways == [None, None]:
                raise ModelError(
                    "linearize: the model has neither forward derivatives nor second ones by autograd; "
                    "compute its kernel by empirical_ntk, which needs first ones only"
                )
            forward, backward = ways
            self._found["forward"] = forward is not None and (
                backward is None or torch.allclose(forward, backward, rtol=1e-3, atol=1e-5)
            )
        return self._found["forward"]

    def _check_hidden(self, x: Tensor) -> None:
        """Raises ModelError where the module uses a parameter past the values that are put in its place."""
        own = {id(parameter): name for name, parameter in self.model.named_parameters()}
        with torch.enable_grad():
            start = {name: value.detach().requires_grad_() for name, value in self.params0.items()}
            scores = self._scores(start, x)
        for node in ordered(scores.grad_fn):
            name = own.get(id(getattr(node, "variable", None)))
            if name is not None:
                raise ModelError(
                    f"linearize: parameter {name} is used in a place where no other value can be put, such "
                    "as a hook or a plain list"
                )

    def _ways(self) -> tuple[Callable[[Parameters, Tensor], Tensor], Callable[[Parameters, Tensor], Tensor]]:
        return self._by_forward_product, self._by_backward_passes

    def _by_backward_passes(self, tangents: Parameters, x: Tensor) -> Tensor:
        """The same where there is no forward product."""
        graph = torch.is_grad_enabled()
        with torch.enable_grad():
            start = {name: value.detach().requires_grad_() for name, value in self.params0.items()}
            scores = self._scores(start, x)
            change = ForwardProducts(scores, start).times(tangents, create_graph=graph)
        return scores + change if graph else (scores + change).detach()

    def start(self) -> Parameters:
        """A copy of w₀ to train: leaves that require gradients."""
        return {name: value.clone().requires_grad_() for name, value in self.params0.items()}

    def _scores(self, params: Parameters, x: Tensor) -> Tensor:
        own = {name: value.clone() for name, value in self.constants.items() if name in self.buffers}
        scores: Tensor = functional_call(self.model, {**self.constants, **own, **params}, (x.clone(),))
        return scores

    def _check(self, params: Mapping[str, Tensor]) -> None:
        if missing := sorted(self.params0.keys() - params.keys()):
            raise KernelError(f"linearize: parameter {missing[0]} is missing; w has the names of params0")
        for name, value in params.items():
            _check_name_and_shape(name, value, self.params0)


def linearize(model: nn.Module, params0: Mapping[str, Tensor] | None = None) -> Linearization:
    """The linearization of a network at w₀, as a function of w.

    >>> f_lin = linearize(model)
    >>> w = f_lin.start()
    >>> loss = (f_lin(w, x) - y).square().sum() / 2

    Args:
        model: any module; in evaluation mode where it has batch norm or dropout. Its present values are
            copied: training it afterwards changes nothing here.
        params0: w₀ by name, some or all of the model's parameters. What it leaves out is held constant. By
            default the parameters that require gradients, at their present values.

    Raises:
        KernelError: a name that the model does not have, another shape, or nothing to linearize in.
        ModelError: dropout or batch norm in training mode.
    """
    check_module(model)
    check_mode(model)
    own = dict(model.named_parameters())
    if params0 is None:
        params0 = {name: parameter for name, parameter in own.items() if parameter.requires_grad}
    if not params0:
        raise KernelError("linearize: no parameter requires gradients, so there is no w to be linear in")
    for name, value in params0.items():
        _check_name_and_shape(name, value, own)
    buffers = dict(model.named_buffers())
    kept = {**own, **buffers}
    return Linearization(
        model,
        {name: value.detach().clone() for name, value in params0.items()},
        {name: value.detach().clone() for name, value in kept.items() if name not in params0},
        frozenset(buffers),
    )


def _is_transformed() -> bool:
    """Whether torch.func transforms the call, inside of which no leaves of autograd can be made."""
    try:
        torch.empty(0).requires_grad_()
    except RuntimeError:
        return True
    return False


def _tried(way: Callable[[Parameters, Tensor], Tensor], start: Parameters, x: Tensor) -> Tensor | None:
    """The scores of a change of all parameters, in a graph; None where that fails."""
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
            scores = way(tangents, x)
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
