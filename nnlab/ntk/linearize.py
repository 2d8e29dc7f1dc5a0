"""A network replaced by its tangent at the start: a linear model whose kernel never moves."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.func import functional_call, jvp

from nnlab.errors import suggest
from nnlab.ntk.errors import KernelError
from nnlab.ntk.network import check_mode

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
    """

    model: nn.Module
    params0: Parameters
    constants: Parameters

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
        value_and_change = jvp(lambda w: self._scores(w, x), (self.params0,), (tangents,))
        scores: Tensor = value_and_change[0] + value_and_change[1]
        return scores

    def start(self) -> Parameters:
        """A copy of w₀ to train: leaves that require gradients."""
        return {name: value.clone().requires_grad_() for name, value in self.params0.items()}

    def _scores(self, params: Parameters, x: Tensor) -> Tensor:
        scores: Tensor = functional_call(self.model, {**self.constants, **params}, (x,))
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
    check_mode(model)
    own = dict(model.named_parameters())
    if params0 is None:
        params0 = {name: parameter for name, parameter in own.items() if parameter.requires_grad}
    if not params0:
        raise KernelError("linearize: no parameter requires gradients, so there is no w to be linear in")
    for name, value in params0.items():
        _check_name_and_shape(name, value, own)
    kept = {**own, **dict(model.named_buffers())}
    return Linearization(
        model,
        {name: value.detach().clone() for name, value in params0.items()},
        {name: value.detach().clone() for name, value in kept.items() if name not in params0},
    )


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
