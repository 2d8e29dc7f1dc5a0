"""Step sizes around η_max = 2/λmax: where the linearized network diverges, and what the network does."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nnlab.chapters.kernels.figures.stepsizes import flow_gap as flow_gap_figure
from nnlab.chapters.kernels.figures.stepsizes import step_sizes
from nnlab.chapters.kernels.members import TINY, Member, Plan, as_function, kernel_of, loss_of, residuals_of
from nnlab.chapters.kernels.setup import KernelMLP, KernelModel, Task
from nnlab.lab.drawing import numbers
from nnlab.lab.session import Session
from nnlab.ntk import NonFiniteError, as_matrix, flow_gap, gradient_descent, gradient_flow, linearize
from nnlab.record import Record
from nnlab.theory import Claim, exact_claim, local_exponent_claim
from nnlab.training.descent import Trajectory, follow

CLIMB = 1.01  # of the loss, that counts as one
SURE_CLIMB = 2.0  # of the linearization's loss: then there are enough steps for the network to climb in
MARGIN = 2.0  # times the drift of the kernel in stable training: so far must a step size be above η_max
LOOKS = 40  # kernels that are computed along a training; of large ones a few
LARGE = 300  # rows of a kernel
FEW_LOOKS = 10
GAPS = [2.0**-k for k in range(1, 8)]  # ηλ of the mode whose descent is held against its flow


@dataclass(frozen=True)
class Edge:
    """What is about to be tried.

    Attributes:
        member: the network.
        multiples: step sizes in units of η_max.
        steps: of each training; as many as the others have, unless the config says otherwise.
        plan: how the other trainings go; its loss and reduction hold here too.
        task: the examples.
    """

    member: Member
    multiples: Sequence[float]
    steps: int
    plan: Plan
    task: Task

    @property
    def applies(self) -> bool:
        """η_max is that of the squared error, and of a kernel that is not 0."""
        return self.plan.loss == "squared_error" and math.isfinite(self.member.max_lr)

    def factor(self, multiple: float) -> float:
        """|1 − ηλmax|: what a step does to the leading mode of the linearized network."""
        return abs(1 - 2 * multiple)

    def predictions(self) -> dict[str, Any]:
        """Growth of the leading mode per step, and whether the linearized network converges."""
        if not self.applies:
            return {}
        return {
            "width": self.member.width,
            "seed": self.member.seed,
            "eta_max": self.member.max_lr,
            "multiples": [
                {"multiple": m, "factor_per_step": self.factor(m), "linearization_converges": m < 1}
                for m in self.multiples
            ],
        }


def prepare(member: Member, multiples: Sequence[float], steps: int, plan: Plan, task: Task) -> Edge:
    """The network that is to be trained with step sizes around its η_max."""
    return Edge(member, sorted(multiples), steps, plan, task)


def run(
    edge: Edge,
    model: KernelModel,
    drift: float | None,
    record: Record,
    session: Session,
) -> list[Claim]:
    """Trains with every multiple, follows ηλmax of the kernel, and draws both figures.

    Args:
        edge: what is tried.
        model: of the network.
        drift: of the kernel of this network in the run's own training, or None where that diverged.
        record: where curves and figures go.
        session: for progress, and asked whether to stop.
    """
    if not edge.applies:
        return []
    claims: list[Claim] = []
    losses, sharpness = {}, {}
    with session.reporter.bar("step sizes around η_max") as advance:
        for done, multiple in enumerate(edge.multiples):
            advance(done, len(edge.multiples), f"{multiple:g} η_max")
            label = f"{multiple:g} η_max"
            linear, network, looks = _train(edge, multiple, model, session)
            losses[label] = (_losses(linear, edge), _losses(network, edge))
            sharpness[label] = (np.array([k for k, _ in looks]), np.array([v for _, v in looks]))
            claims.append(_linear_claim(edge, multiple, linear))
            is_ntk = isinstance(model, KernelMLP) and model.parameterization == "ntk"
            if is_ntk and drift is not None and multiple - 1 > MARGIN * drift:
                claims += _network_claims(edge, multiple, *losses[label], sharpness[label][1])
    arrays = {
        "edge/steps": np.arange(edge.steps + 1),
        "edge/eigenvalues": numbers(edge.member.modes.eigenvalues) / edge.plan.divisor(edge.task),
        "edge/start": numbers(edge.member.u0(edge.task) @ edge.member.modes.vectors),
        "edge/lr_max": np.array(edge.member.max_lr),
    }
    for label, (linear_loss, network_loss) in losses.items():
        arrays |= {f"edge/{label}/linearized": linear_loss, f"edge/{label}/network": network_loss}
        arrays |= {f"edge/{label}/look": sharpness[label][0], f"edge/{label}/sharpness": sharpness[label][1]}
    record.save_arrays(**arrays)
    record.save_figure(step_sizes(np.arange(edge.steps + 1), losses, sharpness), "step_sizes")
    return claims + _flow_claims(edge, record)


def _train(
    edge: Edge, multiple: float, model: KernelModel, session: Session
) -> tuple[Trajectory, Trajectory, list[tuple[int, float]]]:
    """The linearization, the network, and (step, ηλmax) of the network's kernel."""
    member, task = edge.member, edge.task
    network = edge.plan.network(model, member.width, task, member.seed)
    function, start = as_function(network)
    lr = multiple * member.max_lr
    looks: list[tuple[int, float]] = []
    every = max(1, edge.steps // (FEW_LOOKS if len(member.modes.eigenvalues) > LARGE else LOOKS))

    def observe(step: int, w: Any) -> None:
        if step % every and step != edge.steps:
            return
        try:
            kernel = kernel_of(network, task.x, None, edge.plan, w)
        except NonFiniteError:  # of a network that is about to diverge
            return
        largest = float(torch.linalg.eigvalsh(as_matrix(kernel).double())[-1])
        looks.append((step, lr * largest / edge.plan.divisor(task)))

    settings: dict[str, Any] = {"lr": lr, "steps": edge.steps, "stop": session.stop}
    objective = edge.plan.objective(task)
    linear = follow(linearize(network), start, task.x, objective, **settings)
    trained = follow(function, start, task.x, objective, observe=observe, **settings)
    return linear, trained, looks


def _losses(trajectory: Trajectory, edge: Edge) -> np.ndarray:
    return numbers(loss_of(residuals_of(trajectory, edge.task), edge.plan, edge.task))


def _setting(edge: Edge, multiple: float) -> list[str]:
    return [
        f"m = {edge.member.width}, seed {edge.member.seed}",
        f"η = {multiple:g} η_max = {multiple * edge.member.max_lr:.4g}",
        f"{edge.steps} steps, squared error ({edge.plan.reduction})",
    ]


def _linear_claim(edge: Edge, multiple: float, linear: Trajectory) -> Claim:
    """Its leading mode changes by |1 − ηλmax| a step: below 1 it dies out, above it grows without end."""
    residuals, factor = residuals_of(linear, edge.task), edge.factor(multiple)
    floor = torch.finfo(edge.task.x.dtype).eps ** 0.5 * float(residuals[0].norm())
    if multiple == 1:
        ends = "stays"
    else:
        ends = "dies out" if multiple < 1 else "grows without end"
    return exact_claim(
        f"linearization_at_{multiple:g}_eta_max",
        sentence=f"At {multiple:g} η_max the leading mode of the linearized network {ends}.",
        formula="|u·v₁| changes by the factor |1 − ηλmax| a step",
        hypotheses=_setting(edge, multiple),
        predicted=factor,
        measured=_factor_per_step((residuals @ edge.member.modes.vectors[:, 0]).abs(), floor),
        tolerance=1e-6 if edge.task.x.dtype == torch.float64 else 1e-2,
        rivals=None if factor == 1 else {"stays": 1.0},
    )


def _factor_per_step(sizes: Tensor, floor: float) -> float:
    """The geometric mean over the steps until rounding or infinity takes over; NaN from a start of 0."""
    if sizes[0] <= floor:
        return math.nan
    known = (sizes > floor) & torch.isfinite(sizes)
    steps = len(sizes) if bool(known.all()) else int(known.int().argmin())
    last = max(1, steps - 1)  # what one step wipes out was multiplied by 0
    return float((sizes[last] / sizes[0]) ** (1 / last))


def _climb(losses: np.ndarray) -> tuple[float, int]:
    """The largest L(w_j)/L(w_k) for k < j, and j; (1, 0) where the loss only falls."""
    ratios = losses / np.minimum.accumulate(losses).clip(min=TINY)
    return float(ratios.max()), int(ratios.argmax())


def _network_claims(
    edge: Edge, multiple: float, linear: np.ndarray, losses: np.ndarray, sharpness: np.ndarray
) -> list[Claim]:
    """Above η_max: the loss climbs first; if it comes down again, the kernel has become flatter.

    For the ntk parameterization alone: in the standard one a narrow network leaves the steep region within a
    step or two, before its loss could climb. Also in the ntk one the step size must be farther above η_max
    than the kernel moves anyway, and the linearization must have had the steps to climb in.
    """
    if _climb(linear[np.isfinite(linear)])[0] < SURE_CLIMB:
        return []
    known = losses[np.isfinite(losses)]
    climb, top = _climb(known)
    climbs = exact_claim(
        f"network_climbs_at_{multiple:g}_eta_max",
        sentence=f"At {multiple:g} η_max the network's loss climbs above where it was.",
        formula="L(w_j)/L(w_k) for k < j, the largest",
        hypotheses=_setting(edge, multiple),
        predicted=(CLIMB, None),
        measured=climb,
        tolerance=0.0,
    )
    if len(known) < len(losses) or climb < CLIMB or known[-1] >= known[: top + 1].min():
        return [climbs]  # it diverged, or has not climbed, or not come down yet
    settles = exact_claim(
        f"network_settles_flatter_at_{multiple:g}_eta_max",
        sentence=f"At {multiple:g} η_max the network settles where the kernel is flat enough for its step.",
        formula="ηλmax(H(w_k)) ≤ 2 at the end, from ηλmax(H₀) > 2 (Lewkowycz et al. 2020)",
        hypotheses=_setting(edge, multiple),
        predicted=(None, 2.0),
        measured=float(sharpness[-1]),
        tolerance=0.0,
        rivals={"the kernel stays": 2 * multiple},
    )
    return [climbs, settles]


def _flow_claims(edge: Edge, record: Record) -> list[Claim]:
    """The leading mode alone: descent against flow over ηλ, on the linearized network."""
    member = edge.member
    largest = float(member.modes.eigenvalues[0])
    u0 = member.modes.vectors[:, 0]
    steps = list(range(4 * round(1 / min(GAPS)) + 1))
    measured = []
    for x in GAPS:
        lr = x * edge.plan.divisor(edge.task) / largest
        settings: dict[str, Any] = {"reduction": edge.plan.reduction, "n": edge.task.n}
        descent = gradient_descent(member.modes, u0, lr, steps, **settings)
        flow = gradient_flow(member.modes, u0, [lr * k for k in steps], **settings)
        measured.append(float((descent - flow).norm(dim=1).max()))
    predicted = [flow_gap(x, 1.0).first_order for x in GAPS]
    record.save_arrays(**{"gap/lr_lambda": np.array(GAPS), "gap/measured": np.array(measured),
                          "gap/predicted": np.array(predicted)})  # fmt: skip
    exact = [flow_gap(x, 1.0).exact for x in GAPS]
    record.save_figure(flow_gap_figure(np.array(GAPS), np.array(measured), np.array(exact)), "flow_gap")
    hypotheses = [f"the leading mode of H₀, m = {member.width}", f"ηλ from {min(GAPS):g} to {max(GAPS):g}"]
    return [
        local_exponent_claim(
            "descent_is_flow_to_first_order",
            sentence="The gap between gradient descent and gradient flow falls like the step size.",
            formula="sup_k |(1 − ηλ)ᵏ − e^{−ηλk}| ~ η",
            hypotheses=hypotheses,
            sizes=[1 / x for x in GAPS],
            values=measured,
            predicted=-1.0,
            tolerance=0.05,
            rivals={"like η²": -2.0, "like √η": -0.5},
        ),
        exact_claim(
            "gap_of_descent_and_flow",
            sentence="For small steps the gap is ηλ/(2e).",
            formula="sup_k |(1 − ηλ)ᵏ − e^{−ηλk}| → ηλ/(2e), here in units of it",
            hypotheses=[*hypotheses, "at the smallest step"],
            predicted=1.0,
            measured=measured[-1] / predicted[-1],
            tolerance=0.02,
            rivals={"half": 0.5, "twice": 2.0},
        ),
    ]
