"""Step sizes around η_max = 2/λmax: where the linearized network diverges, and what the network does."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nnlab.chapters.kernels import schema
from nnlab.chapters.kernels.figures.training import step_sizes
from nnlab.chapters.kernels.members import TINY, Member, Study, as_function, kernel_of
from nnlab.chapters.kernels.setup import KernelCustom, KernelMLP
from nnlab.lab.session import Session
from nnlab.ntk import NonFiniteError, as_matrix, linearize
from nnlab.record import Record
from nnlab.record.arrays import under
from nnlab.theory import Claim, exact_claim
from nnlab.training.descent import follow
from nnlab.training.losses import squared_error

SURE_CLIMB = 10.0  # of the leading mode over ‖u₀‖ by the linearization: from here on the network must turn
REST = 0.1  # of its highest loss, below which a network that climbed has come down
SMALL = {torch.float64: 1e-6, torch.float32: 1e-3}  # residual over ‖u₀‖ at which the kernel stays
GROWTH_STEPS = 4
GROWTH_TOLERANCE = {torch.float64: 1e-3, torch.float32: 2e-2}  # 3⁴ times SMALL, and its rounding
MARGIN = 2.0  # times the drift of the kernel in stable training: so far must a step size be above η_max
LOOKS = 40  # kernels that are computed along a training; of large ones a few
LARGE = 300  # rows of a kernel
FEW_LOOKS = 10


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

    def climbs(self, multiple: float) -> bool:
        """True where the steps are enough for the leading mode to grow beyond the residual at the start."""
        leading = abs(float(self.member.u0 @ self.member.modes.vectors[:, 0]))
        growth = self.steps * math.log(max(self.factor(multiple), TINY))
        return leading > 0 and growth + math.log(leading / float(self.member.u0.norm())) > math.log(
            SURE_CLIMB
        )

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
    claims, runs = list[Claim](), []
    with session.reporter.bar("step sizes around η_max") as advance:
        for done, multiple in enumerate(edge.multiples):
            advance(done, len(edge.multiples), f"{multiple:g} η_max")
            runs.append(_train(edge, multiple, session))
            claims.append(_linear_claim(edge, runs[-1]))
            if multiple > 1 and not isinstance(model, KernelCustom) and member.u0.any():
                claims.append(_climb_claim(edge, multiple, _growth(edge, multiple, session.stop)))
            if is_ntk and drift is not None and 1 + MARGIN * drift < multiple < 2 and edge.climbs(multiple):
                claims.append(_settles_claim(edge, runs[-1]))
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
    return claims


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
        rivals={
            label: value
            for label, value in (
                ("it stays", 1.0),
                ("η_max = 1/λmax", abs(1 - multiple)),
                ("η_max = 4/λmax", abs(1 - 4 * multiple)),
            )
            if abs(value - factor) > 1e-3
        },
        predicted_by="closed form: |1 − 2η/η_max|; nnlab.ntk.max_step",
        measured_by="nnlab.training.descent.follow, nnlab.ntk.linearize",
    )


def _factor_per_step(sizes: Tensor, floor: float) -> float:
    """The geometric mean over the steps until rounding or infinity takes over; NaN from a start of 0."""
    if sizes[0] <= floor:
        return math.nan
    known = (sizes > floor) & torch.isfinite(sizes)
    steps = len(sizes) if bool(known.all()) else int(known.int().argmin())
    last = max(1, steps - 1)  # what one step wipes out was multiplied by 0
    return float((sizes[last] / sizes[0]) ** (1 / last))


def _growth(edge: Edge, multiple: float, stop: Callable[[], bool]) -> float:
    """Measures the factor by which a step multiplies a small residual along the leading mode of H₀.

    The targets lie so near to the outputs at the start that the kernel stays, and differ from them by the
    leading eigenvector alone.
    """
    member, study, task = edge.member, edge.study, edge.study.task
    network = study.network(member.width, member.number)
    function, start = as_function(network)
    mode = member.modes.vectors[:, 0]
    small = SMALL[task.x.dtype] * max(float(member.u0.norm()), TINY)
    outputs = function(start, task.x).detach()
    y = outputs - small * mode.view(outputs.shape).to(outputs)

    def objective(scores: Tensor) -> Tensor:
        return squared_error(scores, y, study.reduction)

    trained = follow(
        function, start, task.x, objective, lr=multiple * member.max_lr, steps=GROWTH_STEPS, stop=stop
    )
    sizes = ((trained.outputs - y).double().cpu().flatten(1) @ mode).abs()
    return float((sizes[-1] / sizes[0]) ** (1 / GROWTH_STEPS))


def _climb_claim(edge: Edge, multiple: float, growth: float) -> Claim:
    """The network's own steps, while its residual is small: the leading mode grows by ηλmax − 1 a step."""
    factor = edge.factor(multiple)
    rivals = {
        "it stays": 1.0, "half the step size": abs(1 - multiple),
        "twice the step size": abs(1 - 4 * multiple), "gradient flow": math.exp(-2 * multiple),
    }  # fmt: skip
    tolerance = GROWTH_TOLERANCE[edge.study.task.x.dtype]
    return exact_claim(
        f"network_climbs_at_{multiple:g}_eta_max",
        sentence=f"At {multiple:g} η_max a small residual of the network along the leading mode grows.",
        formula="|u·v₁| grows by the factor ηλmax − 1 a step, η_max = 2/λmax",
        hypotheses=[
            f"m = {edge.member.width}, network {edge.member.number}",
            f"targets at a small distance from f₀ along v₁, {GROWTH_STEPS} steps",
        ],
        predicted=factor,
        measured=growth,
        tolerance=tolerance,
        rivals={label: value for label, value in rivals.items() if abs(value - factor) > 10 * tolerance},
        predicted_by="closed form: 2η/η_max − 1; nnlab.ntk.max_step",
        measured_by="nnlab.training.descent.follow",
    )


def _settles_claim(edge: Edge, trained: EdgeRun) -> Claim:
    """Where descent comes to rest, no mode of its kernel may grow: ηλmax(H) ≤ 2, wherever it began."""
    losses, multiple = trained.losses[1], trained.multiple
    at_rest = bool(np.isfinite(losses).all() and losses[-1] < min(losses[0], REST * losses.max()))
    return exact_claim(
        f"network_settles_flatter_at_{multiple:g}_eta_max",
        sentence=f"At {multiple:g} η_max the network settles where its kernel is flat enough for the step.",
        formula="ηλmax(H(w_k)) ≤ 2 at the end, from ηλmax(H₀) > 2 (Lewkowycz et al. 2020)",
        hypotheses=[
            *_setting(edge, multiple),
            f"its loss ends below its first and below {REST:g} of its highest",
        ],
        predicted=(None, 2.0),
        measured=float(trained.sharpness[-1]) if at_rest else math.nan,
        tolerance=0.0,
        rivals={"the kernel stays": 2 * multiple},
        predicted_by="closed form: |1 − ηλ| ≤ 1 for every mode that is at rest",
        measured_by="nnlab.training.descent.follow, nnlab.ntk.empirical_ntk",
    )
