"""Step sizes around η_max = 2/λmax: where the linearized network diverges, and what the network does."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nnlab.chapters.kernels import schema
from nnlab.chapters.kernels.figures.training import flow_gap as flow_gap_figure
from nnlab.chapters.kernels.figures.training import step_sizes
from nnlab.chapters.kernels.members import TINY, Member, Study, as_function, kernel_of
from nnlab.chapters.kernels.setup import KernelMLP
from nnlab.lab.session import Session
from nnlab.ntk import NonFiniteError, as_matrix, flow_gap, gradient_descent, gradient_flow, linearize
from nnlab.record import Record
from nnlab.record.arrays import under
from nnlab.theory import Claim, exact_claim, local_slope
from nnlab.training.descent import follow

CLIMB = 1.01  # of the loss, that counts as one
SURE_CLIMB = 2.0  # of the linearization's loss: then there are enough steps for the network to climb in
MARGIN = 2.0  # times the drift of the kernel in stable training: so far must a step size be above η_max
LOOKS = 40  # kernels that are computed along a training; of large ones a few
LARGE = 300  # rows of a kernel
FEW_LOOKS = 10
GAPS = [2.0**-k for k in range(1, 8)]  # ηλ of the mode whose descent is compared with its flow


@dataclass(frozen=True)
class Edge:
    """Further trainings of one network, with step sizes around its η_max.

    Attributes:
        member: the network.
        multiples: step sizes in units of η_max, ascending.
        steps: of each training.
    """

    member: Member
    multiples: Sequence[float]
    steps: int

    @property
    def study(self) -> Study:
        return self.member.study

    @property
    def applies(self) -> bool:
        """True for the squared error, whose η_max it is, and for a kernel that is not 0."""
        return self.study.loss == "squared_error" and math.isfinite(self.member.max_lr)

    def factor(self, multiple: float) -> float:
        """|1 − ηλmax|: the factor by which a step multiplies the leading mode of the linearized network."""
        return abs(1 - 2 * multiple)

    def predictions(self) -> dict[str, Any]:
        """Growth of the leading mode per step, and whether the linearized network converges."""
        if not self.applies:
            return {}
        return {
            "width": self.member.width,
            "network": self.member.number,
            "eta_max": self.member.max_lr,
            "multiples": [
                {"multiple": m, "factor_per_step": self.factor(m), "linearization_converges": m < 1}
                for m in self.multiples
            ],
        }


@dataclass(frozen=True)
class EdgeRun:
    """The trainings with one step size.

    Attributes:
        multiple: the step size in units of η_max.
        residuals: (steps + 1, nC) of the linearization.
        losses: (steps + 1,) of the linearization and of the network.
        looks: the steps (K,) at which the kernel of the network was computed.
        sharpness: (K,) ηλmax of that kernel.
    """

    multiple: float
    residuals: Tensor
    losses: tuple[np.ndarray, np.ndarray]
    looks: np.ndarray
    sharpness: np.ndarray


def run(edge: Edge, drift: float | None, record: Record, session: Session) -> list[Claim]:
    """Trains with every multiple, follows ηλmax of the kernel, and draws both figures.

    Args:
        edge: the network and the step sizes.
        drift: of the kernel of this network in the run's own training, or None where that diverged.
        record: where curves and figures go.
        session: for progress, and asked whether to stop.
    """
    if not edge.applies:
        return []
    model, member = edge.study.model, edge.member
    is_ntk = isinstance(model, KernelMLP) and model.parameterization == "ntk"
    claims, runs = [], []
    with session.reporter.bar("step sizes around η_max") as advance:
        for done, multiple in enumerate(edge.multiples):
            advance(done, len(edge.multiples), f"{multiple:g} η_max")
            runs.append(_train(edge, multiple, session))
            claims.append(_linear_claim(edge, runs[-1]))
            if is_ntk and drift is not None and multiple - 1 > MARGIN * drift:
                claims += _network_claims(edge, runs[-1])
    arrays = {
        schema.STEPS: np.arange(edge.steps + 1),
        schema.EIGENVALUES: member.modes.eigenvalues.numpy(force=True) / edge.study.divisor,
        schema.START: (member.u0 @ member.modes.vectors).numpy(force=True),
        schema.LR_MAX: np.array(member.max_lr),
    }
    names = (schema.LINEARIZED, schema.NETWORK, "look", schema.SHARPNESS)
    for trained in runs:
        parts = (*trained.losses, trained.looks, trained.sharpness)
        arrays |= under(f"{trained.multiple:g} {schema.UNIT}", dict(zip(names, parts, strict=True)))
    record.save_arrays(**under(schema.EDGE, arrays))
    losses = {trained.multiple: trained.losses for trained in runs}
    sharpness = {trained.multiple: (trained.looks, trained.sharpness) for trained in runs}
    record.figure("step_sizes", step_sizes, arrays[schema.STEPS], losses, sharpness)
    return claims + _flow_claims(member, record)


def _train(edge: Edge, multiple: float, session: Session) -> EdgeRun:
    member, study, task = edge.member, edge.study, edge.study.task
    network = study.network(member.width, member.number)
    function, start = as_function(network)
    lr = multiple * member.max_lr
    looks: list[int] = []
    sharpness: list[float] = []
    every = max(1, edge.steps // (FEW_LOOKS if len(member.modes.eigenvalues) > LARGE else LOOKS))

    def observe(step: int, w: Any) -> None:
        if step % every and step != edge.steps:
            return
        try:
            kernel = kernel_of(network, study, task.x, None, w)
        except NonFiniteError:  # of a network that is about to diverge
            return
        looks.append(step)
        sharpness.append(lr * float(torch.linalg.eigvalsh(as_matrix(kernel).double())[-1]) / study.divisor)

    settings: dict[str, Any] = {"lr": lr, "steps": edge.steps, "stop": session.stop}
    linear = study.residuals(follow(linearize(network), start, task.x, study.objective, **settings))
    trained = study.residuals(follow(function, start, task.x, study.objective, observe=observe, **settings))
    losses = study.losses(linear).numpy(force=True), study.losses(trained).numpy(force=True)
    return EdgeRun(multiple, linear, losses, np.array(looks), np.array(sharpness))


# --- claims -----------------------------------------------------------------------------------------


def _setting(edge: Edge, multiple: float) -> list[str]:
    return [
        f"m = {edge.member.width}, network {edge.member.number}",
        f"η = {multiple:g} η_max = {multiple * edge.member.max_lr:.4g}",
        f"{edge.steps} steps, squared error ({edge.study.reduction})",
    ]


def _linear_claim(edge: Edge, trained: EdgeRun) -> Claim:
    """A step multiplies the leading mode by |1 − ηλmax|: below 1 it decays, above it grows without bound."""
    residuals, multiple, dtype = trained.residuals, trained.multiple, edge.study.task.x.dtype
    factor, floor = edge.factor(multiple), torch.finfo(dtype).eps ** 0.5 * float(residuals[0].norm())
    ends = "keeps its size" if multiple == 1 else "decays" if multiple < 1 else "grows without bound"
    return exact_claim(
        f"linearization_at_{multiple:g}_eta_max",
        sentence=f"At {multiple:g} η_max the leading mode of the linearized network {ends}.",
        formula="|u·v₁| changes by the factor |1 − ηλmax| a step",
        hypotheses=_setting(edge, multiple),
        predicted=factor,
        measured=_factor_per_step((residuals @ edge.member.modes.vectors[:, 0]).abs(), floor),
        tolerance=1e-6 if dtype == torch.float64 else 1e-2,
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


def _network_claims(edge: Edge, trained: EdgeRun) -> list[Claim]:
    """The loss above η_max: it climbs first; if it comes down again, the kernel has become flatter.

    For the ntk parameterization alone: in the standard one a narrow network leaves the steep region within a
    step or two, before its loss could climb. Also in the ntk one the step size must be farther above η_max
    than the kernel moves anyway, and the linearization must have had the steps to climb in.
    """
    (linear, losses), multiple = trained.losses, trained.multiple
    if _climb(linear[np.isfinite(linear)])[0] < SURE_CLIMB:
        return []
    known = losses[np.isfinite(losses)]
    climb, top = _climb(known)
    climbs = exact_claim(
        f"network_climbs_at_{multiple:g}_eta_max",
        sentence=f"At {multiple:g} η_max the network's loss rises above an earlier value.",
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
        sentence=f"At {multiple:g} η_max the network settles where its kernel is flat enough for the step.",
        formula="ηλmax(H(w_k)) ≤ 2 at the end, from ηλmax(H₀) > 2 (Lewkowycz et al. 2020)",
        hypotheses=_setting(edge, multiple),
        predicted=(None, 2.0),
        measured=float(trained.sharpness[-1]),
        tolerance=0.0,
        rivals={"the kernel stays": 2 * multiple},
    )
    return [climbs, settles]


def _flow_claims(member: Member, record: Record) -> list[Claim]:
    """The leading mode alone: descent against flow over ηλ, on the linearized network."""
    largest, u0 = float(member.modes.eigenvalues[0]), member.modes.vectors[:, 0]
    settings: dict[str, Any] = {"reduction": member.study.reduction, "n": member.study.task.n}
    steps = list(range(4 * round(1 / min(GAPS)) + 1))
    measured = []
    for x in GAPS:
        lr = x * member.study.divisor / largest
        descent = gradient_descent(member.modes, u0, lr, steps, **settings)
        flow = gradient_flow(member.modes, u0, [lr * k for k in steps], **settings)
        measured.append(float((descent - flow).norm(dim=1).max()))
    laws = [flow_gap(x, 1.0) for x in GAPS]
    products, gaps = np.array(GAPS), np.array(measured)
    predicted = np.array([law.first_order for law in laws])
    arrays = {"lr_lambda": products, "measured": gaps, "predicted": predicted}
    record.save_arrays(**under("gap", arrays))
    record.figure("flow_gap", flow_gap_figure, products, gaps, np.array([law.exact for law in laws]))
    hypotheses = [f"the leading mode of H₀, m = {member.width}", f"ηλ from {min(GAPS):g} to {max(GAPS):g}"]
    return [
        exact_claim(
            "descent_is_flow_to_first_order",
            sentence="The gap between gradient descent and gradient flow shrinks in proportion to η.",
            formula="sup_k |(1 − ηλ)ᵏ − e^{−ηλk}| ~ η",
            hypotheses=hypotheses,
            predicted=-1.0,
            measured=local_slope([1 / x for x in GAPS], measured),
            tolerance=0.05,
            rivals={"like η²": -2.0, "like √η": -0.5},
        ),
        exact_claim(
            "gap_of_descent_and_flow",
            sentence="For small steps the gap between gradient descent and gradient flow is ηλ/(2e).",
            formula="sup_k |(1 − ηλ)ᵏ − e^{−ηλk}| → ηλ/(2e), here in units of it",
            hypotheses=[*hypotheses, "at the smallest step"],
            predicted=1.0,
            measured=measured[-1] / laws[-1].first_order,
            tolerance=0.02,
            rivals={"half": 0.5, "twice": 2.0},
        ),
    ]
