"""Gradient descent of a smooth network beside gradient flow, and the flow that it follows more closely.

Steps of size η reach after a time t = ηk the point of the flow ẇ = −g, g = ∇L, but for η D(t) + O(η²),

    Ḋ = −∇²L D − ½ ∇²L g,    D(0) = 0,

and that of the modified flow ẇ = −∇(L + η/4 ‖∇L‖²) = −g − (η/2) ∇²L g but for O(η²) (Barrett & Dherin 2021,
"Implicit gradient regularization", theorem 3.1). Both flows are integrated by a method of order 8. The
theorem needs derivatives that are smooth, which those of a ReLU network are not.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.integrate import solve_ivp
from torch import Tensor
from torch.func import functional_call, grad, jvp

from nnlab.chapters.kernels import schema
from nnlab.chapters.kernels.figures.training import flow_gap
from nnlab.chapters.kernels.members import Study
from nnlab.chapters.kernels.setup import KernelMLP, build_network
from nnlab.lab.session import Session
from nnlab.models import get_activation
from nnlab.ntk import as_matrix, empirical_ntk, max_step
from nnlab.record import Record
from nnlab.record.arrays import under
from nnlab.theory import Claim, exact_claim
from nnlab.training.descent import follow
from nnlab.training.losses import squared_error

Array = NDArray[np.float64]

WIDTH, EXAMPLES = 16, 8  # of the network that is integrated
LARGEST, STEPS = schema.GAP_STEP, schema.GAP_STEPS
HALVINGS = 3  # step sizes, each half of the one before
PRECISION = 1e-11  # of the integration
TOLERANCE = 0.01  # what the third order may cost behind an extrapolation from ηλ = 0.1 and 0.05: about (ηλ)²


class Measured(NamedTuple):
    """Distances between the weights of descent and of the flows after the same time, for K step sizes.

    Attributes:
        products: ηλmax(H₀), each half of the one before.
        to_flow: ‖w − w_flow‖.
        to_modified: ‖w − w_modified‖.
        first_order: η‖D‖.
        along: ⟨w − w_flow, D⟩/(η‖D‖²).
    """

    products: Array
    to_flow: Array
    to_modified: Array
    first_order: Array
    along: Array


def run(study: Study, record: Record, session: Session) -> list[Claim]:
    """Trains one small network of the study's architecture, with tanh for what is not smooth; for an mlp."""
    if not isinstance(study.model, KernelMLP) or study.loss != "squared_error":
        return []
    activation = study.model.activation if get_activation(study.model.activation).smooth else "tanh"
    measured = measure(study, study.model.model_copy(update={"activation": activation}), session)
    if measured is None:
        return []
    record.save_arrays(**under(schema.GAP, measured._asdict()))
    record.figure("flow_gap", flow_gap, *measured[:4])
    return claims_of(measured, _hypotheses(study, activation))


def _hypotheses(study: Study, activation: str) -> list[str]:
    depth = study.model.depth if isinstance(study.model, KernelMLP) else 0
    return [
        f"MLP, {depth} hidden layer{'s' * (depth > 1)} of width {WIDTH}, {activation}, float64",
        f"{min(EXAMPLES, study.task.n)} of the points, squared error (sum)",
        f"up to t = {LARGEST * STEPS:g} η_max, in {STEPS}, {2 * STEPS} and {4 * STEPS} steps",
    ]


def measure(study: Study, model: KernelMLP, session: Session) -> Measured | None:
    """Trains and integrates; None where the kernel is 0."""
    task = study.task
    chosen = torch.linspace(0, task.n - 1, min(EXAMPLES, task.n)).round().long()
    x, y = (values.double().cpu()[chosen] for values in (task.x, task.y))
    network = build_network(model, WIDTH, task, study.seed).double().cpu()
    start = {name: value.detach() for name, value in network.named_parameters()}
    largest = max_step(torch.linalg.eigvalsh(as_matrix(empirical_ntk(network, x))))
    if not np.isfinite(largest) or not bool((network(x) - y).any()):
        return None

    def function(w: Any, inputs: Tensor) -> Tensor:
        scores: Tensor = functional_call(network, dict(w), (inputs,))
        return scores

    def objective(scores: Tensor) -> Tensor:
        return squared_error(scores, y, "sum")

    flat = _Flat(start, lambda w: objective(function(w, x)))
    time = LARGEST * STEPS * largest
    both = _integrate(flat.first_order, np.append(flat.start, 0 * flat.start), time)
    w_flow, drift = both[: len(flat.start)], both[len(flat.start) :]
    rows = []
    for halving in range(HALVINGS):
        lr = LARGEST * largest / 2**halving
        ended = follow(function, start, x, objective, lr=lr, steps=STEPS * 2**halving, stop=session.stop)
        w = torch.cat([value.flatten() for value in ended.parameters.values()]).numpy()
        gap, modified = w - w_flow, w - _integrate(flat.modified(lr), flat.start, time)
        size = np.linalg.norm(drift)
        rows.append((2 * lr / largest, np.linalg.norm(gap), np.linalg.norm(modified), lr * size,
                     gap @ drift / (lr * size**2)))  # fmt: skip
    return Measured(*np.array(rows, dtype=np.float64).T)


class _Flat:
    """The loss as a function of one vector of all weights."""

    def __init__(self, start: dict[str, Tensor], loss: Callable[[dict[str, Tensor]], Tensor]) -> None:
        self._shapes = {name: value.shape for name, value in start.items()}
        self.start: Array = torch.cat([value.flatten() for value in start.values()]).numpy()
        self._gradient = grad(lambda w: loss(self._named(w)))

    def _named(self, w: Tensor) -> dict[str, Tensor]:
        parts = torch.split(w, [shape.numel() for shape in self._shapes.values()])
        return {
            name: part.view(shape) for (name, shape), part in zip(self._shapes.items(), parts, strict=True)
        }

    def _along(self, w: Tensor, direction: Tensor) -> Tensor:
        """∇²L · direction."""
        product: Tensor = jvp(self._gradient, (w,), (direction,))[1]
        return product

    def first_order(self, _: float, state: Array) -> Array:
        """The slopes of w in the flow, and of D."""
        w, d = torch.from_numpy(state).chunk(2)
        g = self._gradient(w)
        return np.asarray(torch.cat([-g, -self._along(w, d + g / 2)]))

    def modified(self, lr: float) -> Callable[[float, Array], Array]:
        """The slope of w in the flow of L + η/4 ‖∇L‖²."""

        def slope(_: float, state: Array) -> Array:
            w = torch.from_numpy(state)
            g = self._gradient(w)
            return np.asarray(-g - lr / 2 * self._along(w, g))

        return slope


def _integrate(slope: Callable[[float, Array], Array], start: Array, time: float) -> Array:
    """The state at the end; NaN where the integration fails."""
    flow = solve_ivp(slope, (0.0, time), start, "DOP853", rtol=PRECISION, atol=PRECISION)
    return np.asarray(flow.y[:, -1] if flow.success else np.full_like(start, np.nan))


def extrapolated(values: Array) -> float:
    """The limit of values at step sizes that halve, from the last two, for an error in proportion to them."""
    return float(2 * values[-1] - values[-2])


def claims_of(measured: Measured, hypotheses: list[str]) -> list[Claim]:
    """The factor and the power of the gap to the flow, and the power of that to the modified flow."""
    flows = "scipy.integrate.solve_ivp, torch.func.jvp"
    descent = "nnlab.training.descent.follow"
    powers, modified = (-np.diff(np.log2(gaps)) for gaps in (measured.to_flow, measured.to_modified))
    return [
        exact_claim(
            "descent_is_flow_to_first_order",
            sentence="The gap between gradient descent and gradient flow shrinks in proportion to η.",
            formula="‖w_k − w(ηk)‖ ~ η¹, the power between step sizes that halve, extrapolated to η → 0",
            hypotheses=hypotheses,
            predicted=1.0,
            measured=extrapolated(powers),
            tolerance=TOLERANCE,
            rivals={"like η²": 2.0, "like √η": 0.5},
            predicted_by="closed form: the order of Euler's method, 1",
            measured_by=f"{descent}, {flows}",
        ),
        exact_claim(
            "gap_of_descent_and_flow",
            sentence="For small steps the gap between gradient descent and gradient flow is η D, predicted.",
            formula="⟨w_k − w(ηk), D⟩/(η‖D‖²) → 1, Ḋ = −∇²L D − ½ ∇²L ∇L",
            hypotheses=hypotheses,
            predicted=1.0,
            measured=extrapolated(measured.along),
            tolerance=TOLERANCE,
            rivals={"half: L + η/8 ‖∇L‖²": 0.5, "twice: L + η/2 ‖∇L‖²": 2.0, "the other sign": -1.0},
            predicted_by=flows,
            measured_by=descent,
        ),
        exact_claim(
            "descent_is_the_modified_flow_to_second_order",
            sentence="Gradient descent on L follows the flow of L + η/4 ‖∇L‖², to the second order in η.",
            formula="‖w_k − w̃(ηk)‖ ~ η², the power between step sizes that halve, extrapolated to η → 0",
            hypotheses=hypotheses,
            predicted=2.0,
            measured=extrapolated(modified),
            tolerance=2 * TOLERANCE,
            rivals={"like η": 1.0, "like η³": 3.0},
            predicted_by="closed form: the order of the modified equation, 2",
            measured_by=f"{descent}, {flows}",
        ),
    ]
