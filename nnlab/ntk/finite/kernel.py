"""Mean and variance of the kernels of a network of width m, at order 1/m."""

from dataclasses import dataclass
from typing import Any, overload

import torch
from torch import Tensor, nn

from nnlab.errors import suggest
from nnlab.models import MLP, ScaledLinear
from nnlab.models.activations import get_activation
from nnlab.models.parameterization import DEFAULT_SIGMA_B
from nnlab.ntk.errors import KernelError, NonFiniteError
from nnlab.ntk.finite.moments import EXPECTATIONS, LARGEST_VARIANCE
from nnlab.ntk.finite.recursion import Layer, State, follow

PARALLEL = 1e-12
"""1 − cos² of the angle up to which two inputs are multiples of each other."""

NEAR = 1e-6
"""1 − cos² from which on the closed forms of the ReLU have digits left: they lose those of its square."""


@dataclass(frozen=True)
class FiniteWidth:
    """Statistics of the kernels of random networks whose hidden layers have m units.

    The tangent kernel H (n, n) is that of one output, a diagonal block of `empirical_ntk`; S (n, n) is the
    covariance of an output given the hidden layers, the "nngp" kernel of a finite network. With one hidden
    layer all is exact at every m; behind more there are further terms of order 1/m².

    Attributes:
        infinite: H∞, the limit of the mean.
        mean_correction: H⁽¹⁾ in E[H] = H∞ + H⁽¹⁾/m.
        variance: V in Var[H_ij] = V_ij/m, of every entry.
        shared: A in Cov[H_ij of one output, H_ij of another] = A_ij/m; of a trace over C outputs the variance is
            (C² A + C (V − A))/m.
        between: B in E[H_ij²] = B_ij/m for the block of two different outputs, whose mean is 0.
        nngp, nngp_correction, nngp_variance: the same of S.
        depth: number of hidden layers.
    """

    infinite: Tensor
    mean_correction: Tensor
    variance: Tensor
    shared: Tensor
    between: Tensor
    nngp: Tensor
    nngp_correction: Tensor
    nngp_variance: Tensor
    depth: int

    @property
    def expected_squared_deviation(self) -> float:
        """c in E‖H − H∞‖_F² = c/m for one output, Σ V_ij; the squared mean shift is of order 1/m²."""
        return float(self.variance.sum())

    @property
    def relative_squared_deviation(self) -> float:
        """c/‖H∞‖_F²."""
        return self.expected_squared_deviation / float(self.infinite.square().sum())

    def mean(self, width: int) -> Tensor:
        """E[H] at a width, but for terms of order 1/m² where there is more than one hidden layer, (n, n)."""
        return self.infinite + self.mean_correction / width


@overload
def finite_width(
    x: Tensor,
    *,
    depth: int,
    activation: str = "relu",
    sigma_w: float | None = None,
    sigma_b: float | None = None,
) -> FiniteWidth: ...


@overload
def finite_width(model: MLP, x: Tensor) -> FiniteWidth: ...


def finite_width(*arguments: Any, **options: Any) -> FiniteWidth:
    """Returns the statistics of the kernels of random networks of width m at order 1/m.

    `finite_width(x, depth=2, activation="erf")` is for an `MLP` in the ntk parameterization with hidden layers
    of one width, all of whose parameters are trained; `finite_width(model, x)` for such a model, of which the
    architecture matters and which parameters require gradients, not their values, and not the width.

    Formulas and sources: `nnlab.ntk.finite.recursion`. They are for each pair of inputs by itself, so that the
    work grows like n².

    Args:
        model: an `MLP(…, parameterization="ntk")` with at least one hidden layer.
        x: (n, …) inputs, flattened to d numbers each as `MLP` does.
        depth: hidden layers, at least 1.
        activation: relu, erf or tanh.
        sigma_w: σ_w; the activation's gain by default.
        sigma_b: σ_b; 0.1 by default, 0 stands for a network without biases.

    Returns:
        Tensors (n, n) in float64 on the device of x.

    Raises:
        KernelError: another activation or parameterization, layers of different widths or of no hidden layer,
            pre-activations of a variance above 50 where there is no closed form; with the ReLU, inputs whose
            directions differ by less than 10⁻³ without being the same.
        NonFiniteError: NaN or infinity in x.
    """
    first = arguments[0] if arguments else options.get("model", options.get("x"))
    form = _of_model if isinstance(first, nn.Module) else _of_arguments
    return form(*arguments, **options)


def _of_model(model: nn.Module, x: Tensor) -> FiniteWidth:
    layers, activation = _layers_of(model)
    return _statistics(_inputs(x), layers, activation)


def _of_arguments(
    x: Tensor,
    *,
    depth: int,
    activation: str = "relu",
    sigma_w: float | None = None,
    sigma_b: float | None = None,
) -> FiniteWidth:
    if isinstance(depth, bool) or not isinstance(depth, int) or depth < 1:
        raise KernelError(f"finite_width: depth {depth!r} is not allowed: it is a number of layers, at least 1")
    _check_activation(activation)
    sigma_w = get_activation(activation).gain if sigma_w is None else sigma_w
    sigma_b = DEFAULT_SIGMA_B["ntk"] if sigma_b is None else sigma_b
    if not (0 < sigma_w < float("inf") and 0 <= sigma_b < float("inf")):
        raise KernelError(
            f"finite_width: sigma_w {sigma_w}, sigma_b {sigma_b}: finite numbers, more than 0 and at least 0"
        )
    return _statistics(_inputs(x), [Layer(sigma_w, sigma_b)] * (depth + 1), activation)


def _check_activation(name: str) -> None:
    if name not in EXPECTATIONS:
        raise KernelError(f"finite_width: the activation {name} is not supported; {suggest(name, EXPECTATIONS)}")


def _inputs(x: Tensor) -> Tensor:
    """(n, d) in float64."""
    if not isinstance(x, Tensor) or x.ndim < 2 or x.numel() == 0 or x.is_complex():
        raise KernelError("finite_width: the inputs must be a real tensor (n, …), n at least 1")
    x = x.detach().to(torch.float64).flatten(1)
    if not bool(torch.isfinite(x).all()):
        raise NonFiniteError("finite_width: the inputs hold NaN or infinity")
    return x


def _layers_of(model: nn.Module) -> tuple[list[Layer], str]:
    """The linear layers and the activation of a model; KernelError where it is not of the kind that is known."""
    if not isinstance(model, MLP):
        raise KernelError(f"finite_width: the model is {type(model).__name__}; only an MLP is supported")
    _check_activation(model.activation)
    modules = [*model.hidden, model.output]
    widths = {module.out_features for module in model.hidden}
    if len(widths) != 1:
        raise KernelError(
            f"finite_width: the hidden layers have the widths {sorted(widths)}; they must have one width in common"
        )
    layers = []
    for module in modules:
        if not isinstance(module, ScaledLinear) or not module.has_kernel_limit:
            raise KernelError(
                "finite_width: the model is not in the ntk parameterization; use parameterization='ntk'"
            )
        bias = module.bias
        layers.append(
            Layer(
                module.weight_multiplier * module.in_features**0.5,
                0.0 if bias is None else module.bias_multiplier,
                (module.weight.requires_grad, bias is not None and bias.requires_grad),
            )
        )
    return layers, model.activation


def _statistics(x: Tensor, layers: list[Layer], activation: str) -> FiniteWidth:
    products = x @ x.T / x.shape[1]
    squares = torch.diagonal(products)
    rows, columns = torch.triu_indices(len(x), len(x), offset=1, device=x.device)
    pairs = torch.stack([products[rows, columns], squares[rows], squares[columns]], dim=1)
    alone = _follow(layers, squares[:, None], activation)
    scale, same = _parallel(x, layers, activation)[:, rows, columns]
    ...
