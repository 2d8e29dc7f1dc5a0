"""Mean and variance of the kernels of a network of width m, at order 1/m."""

from dataclasses import dataclass
from typing import Any, overload

import torch
from torch import Tensor, nn

from nnlab.errors import suggest
from nnlab.models import MLP, ScaledLinear
from nnlab.models.activations import get_activation
from nnlab.models.parameterization import DEFAULT_SIGMA_B
from nnlab.ntk.errors import KernelError, NonFiniteError, finite
from nnlab.ntk.finite.moments import EXPECTATIONS, LARGEST_VARIANCE, Expectations, Moments
from nnlab.ntk.finite.recursion import Layer, State, follow

PARALLEL = 1e-14
"""1 − cos² of the angle up to which two inputs are multiples of each other."""

NEAR = 1e-6
"""1 − cos² from which on the closed forms of the ReLU have digits left."""


@dataclass(frozen=True)
class FiniteWidth:
    """Statistics of the kernels of random networks whose hidden layers have m units.

    The tangent kernel H (n, n) is that of one output, a diagonal block of `empirical_ntk`; S (n, n) is the
    covariance of an output given the hidden layers, the "nngp" kernel of a finite network. With one hidden
    layer all is exact at every m; behind more there are further terms of order 1/m².

    Attributes:
        depth: number of hidden layers.
        infinite: H∞, the limit of the mean.
        mean_correction: H⁽¹⁾ in E[H] = H∞ + H⁽¹⁾/m.
        variance: V in Var[H_ij] = V_ij/m, of every entry.
        shared: A in Cov[H_ij of one output, H_ij of another] = A_ij/m; a trace over C outputs has the
            variance (C² A + C (V − A))/m.
        between: B in E[H_ij²] = B_ij/m for the block of two different outputs, whose mean is 0.
        last_layer: the part of V that the units of the last hidden layer give, as if the kernels before it
            were their limits; all of it with one hidden layer.
        nngp, nngp_correction, nngp_variance: K, its correction and its variance, of S as of H.
    """

    depth: int
    infinite: Tensor
    mean_correction: Tensor
    variance: Tensor
    shared: Tensor
    between: Tensor
    last_layer: Tensor
    nngp: Tensor
    nngp_correction: Tensor
    nngp_variance: Tensor

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

    `finite_width(x, depth=2, activation="erf")` is for an `MLP` in the ntk parameterization with hidden
    layers of one width, all of whose parameters are trained; `finite_width(model, x)` for such a model, of
    which the architecture matters and which parameters require gradients, not their values, nor the width.

    Formulas and sources: `nnlab.ntk.finite.recursion`. They are for each pair of inputs by itself, so that
    the work grows like n².

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
        raise KernelError(
            f"finite_width: depth {depth!r} is not allowed: it is a number of layers, at least 1"
        )
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
        raise KernelError(
            f"finite_width: the activation {name} is not supported; {suggest(name, EXPECTATIONS)}"
        )


def _inputs(x: Tensor) -> Tensor:
    """(n, d) in float64."""
    if not isinstance(x, Tensor) or x.ndim < 2 or x.numel() == 0 or x.is_complex():
        raise KernelError("finite_width: the inputs must be a real tensor (n, …), n at least 1")
    x = x.detach().to(torch.float64).flatten(1)
    if not bool(torch.isfinite(x).all()):
        raise NonFiniteError("finite_width: the inputs hold NaN or infinity")
    return x


def _layers_of(model: nn.Module) -> tuple[list[Layer], str]:
    """The linear layers and the activation of a model; KernelError where it is of another kind."""
    if not isinstance(model, MLP):
        raise KernelError(f"finite_width: the model is {type(model).__name__}; only an MLP is supported")
    names = set(model.activations)
    if len(names) > 1:
        raise KernelError(
            f"finite_width: the activations are {', '.join(sorted(names))}; they must be one in all layers"
        )
    activation = names.pop() if names else "relu"
    _check_activation(activation)
    modules = [*model.hidden, model.output]
    widths = {len(rows) for module in model.hidden for rows in module.parameters() if rows.ndim == 2}
    if len(widths) != 1:
        raise KernelError(
            f"finite_width: the widths of the hidden layers are {sorted(widths)}; they must be equal"
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
    return layers, activation


def _statistics(x: Tensor, layers: list[Layer], activation: str) -> FiniteWidth:
    """The statistics of each input alone, and of each pair."""
    n = len(x)
    products = x @ x.T / x.shape[1]
    squares = torch.diagonal(products)
    if not bool((layers[0].sigma_w ** 2 * squares + layers[0].sigma_b ** 2 > 0).all()):
        raise KernelError(
            "finite_width: an input is 0 and there is no bias, so that its kernel is 0; leave it out"
        )
    alone = _entries(*follow(layers, squares[:, None], _checked(activation)))
    rows, columns = torch.triu_indices(n, n, offset=1, device=x.device)
    pairs = torch.stack([products[rows, columns], squares[rows], squares[columns]], dim=1)
    if activation == "relu":
        ratio = _multiples(layers, pairs)
        multiple = torch.isfinite(ratio)
    else:
        multiple = torch.zeros(len(rows), dtype=torch.bool, device=x.device)
    both = x.new_empty(len(alone), len(rows))
    if bool(multiple.any()):
        powers = torch.tensor(POWERS, device=x.device)[:, None]
        both[:, multiple] = alone[:, rows[multiple]] * ratio[multiple] ** powers
    if not bool(multiple.all()):
        both[:, ~multiple] = _entries(*follow(layers, pairs[~multiple], _checked(activation)))
    values = torch.diag_embed(alone)  # (fields, n, n)
    values[:, rows, columns] = both
    values[:, columns, rows] = both
    return FiniteWidth(len(layers) - 1, *finite("finite_width: a statistic", values))


POWERS = (1, 1, 2, 2, 2, 2, 1, 1, 2)
"""Degree of each field of `FiniteWidth` in the second input, where there is no bias."""


def _entries(state: State, last_layer: State) -> Tensor:
    """The fields of `FiniteWidth`, (fields, N)."""
    return torch.stack(
        [
            state.tangent,
            state.tangent_shift,
            state.variance,
            state.tangent_spread,
            state.apart,
            last_layer.variance,
            state.covariance[:, 0],
            state.shift[:, 0],
            state.spread[:, 0, 0],
        ]
    )


def _multiples(layers: list[Layer], pairs: Tensor) -> Tensor:
    """The positive factor between inputs whose pre-activations are multiples of each other, else NaN, (N,).

    The kernels of a pair are then those of its first input times the factor, or its square. With biases it
    is 1: only equal inputs are of this kind.
    """
    c, a, b = (layers[0].sigma_w ** 2 * pairs + layers[0].sigma_b ** 2).T
    aligned = (1 - c**2 / (a * b) <= PARALLEL) & (c > 0)
    if any(layer.sigma_b for layer in layers):
        aligned &= (a - b).abs() <= PARALLEL**0.5 * (a + b)
    return torch.where(aligned, (b / a).sqrt(), torch.nan)


def _checked(activation: str) -> Expectations:
    """The moments, which refuse covariances that they are not accurate for."""
    moments = EXPECTATIONS[activation]

    def checked(covariance: Tensor) -> Moments:
        largest = float(covariance.max())
        if activation != "relu" and largest > LARGEST_VARIANCE:
            raise KernelError(
                f"finite_width: pre-activations have a variance of {largest:.3g}, and integrals for "
                f"{activation} are made up to {LARGEST_VARIANCE:g}; scale the inputs down"
            )
        if activation == "relu" and covariance.shape[1] == 3:
            c, a, b = covariance.T
            if bool(((1 - c**2 / (a * b) < NEAR) & (c > 0)).any()):
                raise KernelError(
                    f"finite_width: two inputs have directions less than {NEAR**0.5:g} apart without being "
                    "the same; the kink of the ReLU then leaves no accurate digits: leave one of them out"
                )
        return moments(covariance)

    return checked
