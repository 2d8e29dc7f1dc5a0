"""The claims of the kernel experiment about single networks, and how each is judged."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from scipy.integrate import solve_ivp
from torch import Tensor, nn

from nnlab.chapters.kernels.members import TINY, Comparison, Member, Study
from nnlab.chapters.kernels.setup import KernelCNN, KernelCustom, KernelMLP, KernelModel, Task, build_network
from nnlab.models import MLP, get_activation
from nnlab.models.parameterization import DEFAULT_SIGMA_B
from nnlab.ntk import (
    MemoryLimitError,
    as_matrix,
    empirical_ntk,
    feature_map,
    gradient_descent,
    gradient_flow,
    linearize,
    spectrum,
)
from nnlab.theory import Claim, exact_claim, worst
from nnlab.training.ensemble import Ensemble

PARALLEL = 1e-12  # of 1 − |cos|, below which two inputs count as parallel
FLOW_POINTS = 200  # residuals that are integrated
FLOW_PRECISION, FLOW_TOLERANCE = 1e-10, 1e-8  # of the integration, and of its sum over the steps; of ‖u(0)‖
LOOPED = 1000  # scores whose gradients are computed one by one
REGRESSION_WORK = 10**10  # products of a linear regression on the features that is worth its claim
PROMISED_LOSS = 1e-6  # of the loss at the start
SLOWEST_SEEN = 5.0  # −log of what is left of the slowest mode at the end: before, others are the loss
ROUNDED_LOSS = 1e-20  # of the loss at the start, below which residuals are rounding
LAST = 10  # the share of the steps, one in so many, over which the rate of the loss is taken
CONDITIONED = 16  # times eps λmax/λmin: what rounding leaves of the solution of Ha = y
LARGE = 1e15  # residuals, up to which float32 holds their squares
RATE_TOLERANCE = 1e-3  # of the rate at the end: what the second slowest mode still adds


def claims_about(study: Study, comparisons: Sequence[Comparison]) -> list[Claim]:
    """Every claim about networks that were trained, and the rank of their kernels."""
    claims = _feature_claims(study, comparisons[0])
    claims += _rank_claim(study)
    claims += _linearization_claim(study, comparisons)
    if study.loss == "squared_error":
        claims += _flow_claim(study, comparisons[0].member)
        claims += _loss_claim(study, comparisons)
    return claims


def describe(model: KernelModel) -> str:
    """The network in words."""
    if isinstance(model, KernelCustom):
        return f"the module of {model.factory}"
    if isinstance(model, KernelCNN):
        return f"CNN of {model.depth} blocks, {model.activation}, standard parameterization"
    layers = "1 hidden layer" if model.depth == 1 else f"{model.depth} hidden layers"
    bias = "bias" if model.bias else "no bias"
    return f"MLP, {layers}, {model.activation}, {bias}, {model.parameterization} parameterization"


def _setting(study: Study) -> list[str]:
    precision = str(study.task.x.dtype).removeprefix("torch.")
    return [describe(study.model), f"n = {study.task.n}", precision]


def _trained(study: Study) -> list[str]:
    step = f"η = {study.lr_fraction:g} η_max of each network, {study.steps} steps"
    return [*_setting(study), step, f"{study.loss.replace('_', ' ')} ({study.reduction})"]


def _tolerance(study: Study, double: float, single: float) -> float:
    return double if study.task.x.dtype == torch.float64 else single


# --- the kernel -------------------------------------------------------------------------------------


def _feature_claims(study: Study, first: Comparison) -> list[Claim]:
    """Claims about the smallest network, where the features φ fit into memory."""
    member = first.member
    network = study.network(member.width, member.number)
    try:
        features = feature_map(network, study.task.x, memory_limit=study.memory_limit)
    except MemoryLimitError:
        return []
    features = features.double().cpu().flatten(0, 1)  # (nC, p)
    hypotheses = [*_setting(study), f"m = {member.width}"]
    claims = []
    if len(features) <= LOOPED and not isinstance(study.model, KernelCustom):
        claims.append(_gram_claim(study, member, network, hypotheses))
    affordable = features.numel() * study.steps <= REGRESSION_WORK
    if (
        study.loss == "squared_error"
        and first.linearized is not None
        and study.lr_fraction < 1
        and affordable
    ):
        claims.append(_regression_claim(study, member, network, first.linearized, features, hypotheses))
        claims += _function_claims(study, first, features, hypotheses)
    return claims


def looped_gradients(network: nn.Module, x: Tensor) -> Tensor:
    """Returns the gradient of every score in all weights, (nC, p), one after the other; float64 on CPU."""
    weights = [p for p in network.parameters() if p.requires_grad]
    rows = []
    for score in network(x).reshape(-1):
        gradients = torch.autograd.grad(score, weights, retain_graph=True, materialize_grads=True)
        rows.append(torch.cat([gradient.flatten() for gradient in gradients]).double().cpu())
    return torch.stack(rows)


def _gram_claim(study: Study, member: Member, network: nn.Module, hypotheses: list[str]) -> Claim:
    """Both ways in which kernels are computed, of one network and of many, beside looped autograd."""
    gradients = looped_gradients(network, study.task.x)
    gram, kernels = gradients @ gradients.T, [as_matrix(member.kernel).double()]
    if isinstance(network, MLP):
        kernels.append(Ensemble.from_models([network]).tangent_kernel(study.task.x)[0].double().cpu())
    size = gram.norm().clamp(min=TINY)
    return exact_claim(
        "kernel_is_gram_matrix",
        sentence="The kernel is the Gram matrix of the feature map.",
        formula="H(x, x') = φ(x)·φ(x'), φ = ∇_w f(·, w₀); ‖H − φφᵀ‖/‖φφᵀ‖",
        hypotheses=[*hypotheses, "φ by backward passes, one for each score; H layer by layer"],
        predicted=0.0,
        measured=worst([float((kernel - gram).norm() / size) for kernel in kernels]),
        tolerance=_tolerance(study, 1e-12, 1e-4),
        rivals={"half of it": 0.5, "twice": 1.0},
        predicted_by="torch.autograd.grad",
        measured_by="nnlab.ntk.empirical_ntk, nnlab.training.ensemble.Ensemble.tangent_kernel",
    )


def _regression_claim(
    study: Study,
    member: Member,
    network: nn.Module,
    linearized: Tensor,
    features: Tensor,
    hypotheses: list[str],
) -> Claim:
    """The linearized network beside linear regression on φ: the same steps, in θ = w − w₀, and values."""
    scale = max(float(member.u0.norm()), TINY)

    def apart(multiple: float) -> float:
        """The distance from a regression with this multiple of the step size."""
        u, theta = member.u0, torch.zeros(features.shape[1], dtype=torch.float64)
        distances = []
        for measured in linearized:
            distances.append(float((measured - u).norm()) / scale)
            theta -= multiple * member.lr / study.divisor * (features.T @ u)
            u = member.u0 + features @ theta
        if multiple == 1:
            distances.append(
                float((_linear_change(network, study.task.x, theta) - features @ theta).norm()) / scale
            )
        return worst(distances)

    tolerance = _tolerance(study, 1e-11, 1e-2)
    return exact_claim(
        "linearized_training_is_linear_regression",
        sentence="Training the linearized network is linear regression on φ(x) = ∇_w f(x, w₀).",
        formula="max_k ‖u_k − (u₀ + φθ_k)‖/‖u₀‖, θ_{k+1} = θ_k − ηφᵀ(u₀ + φθ_k); f_lin(w₀ + θ) = f(w₀) + φθ",
        hypotheses=[*hypotheses, f"η = {study.lr_fraction:g} η_max, {study.steps} steps", "φ by torch.func"],
        predicted=0.0,
        measured=apart(1.0),
        tolerance=tolerance,
        rivals=_far(
            {"‖u‖² in place of ½‖u‖²": apart(2.0), "the mean over the points": apart(1 / study.task.n)},
            tolerance,
        ),
        predicted_by="nnlab.ntk.feature_map",
        measured_by="nnlab.training.descent.follow, nnlab.ntk.linearize",
    )  # fmt: skip


def _linear_change(network: nn.Module, x: Tensor, theta: Tensor) -> Tensor:
    """Returns f_lin(w₀ + θ, x) − f_lin(w₀, x), (nC,) in float64 on the CPU, for θ (p,)."""
    linear = linearize(network)
    start = linear.params0
    parts = torch.split(theta, [value.numel() for value in start.values()])
    moved = {
        name: value + part.view_as(value).to(value)
        for (name, value), part in zip(start.items(), parts, strict=True)
    }
    with torch.no_grad():
        return (linear(moved, x) - linear(start, x)).double().cpu().reshape(-1)


def _function_claims(study: Study, first: Comparison, features: Tensor, hypotheses: list[str]) -> list[Claim]:
    """The linearized network between the points: after the steps of its training, and at its end."""
    member, task = first.member, study.task
    grid_start, cross, learned = member.grid_start, member.grid_kernel, first.linear_grid
    if task.grid is None or grid_start is None or cross is None or learned is None:
        return []
    before, y = grid_start.double().reshape(-1), task.y.double().cpu().reshape(-1)

    def after(lr: float) -> Tensor:
        return gradient_descent(
            member.modes, member.u0, lr, study.steps, reduction=study.reduction, n=task.n, H_xt=cross,
            f0_x=before,
        )  # fmt: skip

    tolerance = _tolerance(study, 1e-9, 1e-2)
    size = float((learned.double().reshape(-1) - before).norm()) or TINY
    apart = {lr: float((learned.double().reshape(-1) - after(lr * member.lr)).norm()) / size for lr in (1, 2)}
    claims = [
        exact_claim(
            "function_at_new_points_follows_the_kernel",
            sentence="Between the points, too, the linearized network is what the kernel predicts.",
            formula="f_x(k) = f_x(0) − H_x H⁻¹(I − (I − ηH)ᵏ)u₀; ‖measured − predicted‖/‖f_x(k) − f_x(0)‖",
            hypotheses=[*hypotheses, f"{study.steps} steps, {len(before)} values at new points"],
            predicted=0.0,
            measured=apart[1],
            tolerance=tolerance,
            rivals=_far({"twice the step size": apart[2]}, tolerance),
            predicted_by="nnlab.ntk.gradient_descent",
            measured_by="nnlab.training.descent.follow, nnlab.ntk.linearize",
        )
    ]
    if member.spectrum.rank == len(y) and member.regression is not None and len(features) == task.n:
        over_grid = feature_map(
            study.network(member.width, member.number), task.grid, memory_limit=study.memory_limit
        ).double().cpu().flatten(0, 1)  # fmt: skip
        theta = np.linalg.lstsq(features.numpy(), -member.u0.numpy(), rcond=None)[0]
        fitted = before.numpy() + over_grid.numpy() @ theta
        ends = member.regression.predictions.reshape(-1).numpy(force=True)
        condition = float(member.modes.eigenvalues[0] / member.modes.eigenvalues[-1])
        rounding = CONDITIONED * torch.finfo(task.x.dtype).eps * condition
        close = _tolerance(study, 1e-6, 1e-1) + rounding
        claims.append(
            exact_claim(
                "least_squares_is_kernel_regression",
                sentence="Least squares of minimal norm in the features is kernel regression with H₀.",
                formula="f_x + φ_xθ = f_x + H_xH⁻¹(ȳ − f₀), φθ = ȳ − f₀ with the smallest ‖θ‖; relative",
                hypotheses=hypotheses,
                predicted=0.0,
                measured=float(np.linalg.norm(fitted - ends) / np.linalg.norm(fitted)),
                tolerance=close,
                rivals=_far({"without f₀": float(np.linalg.norm(before) / np.linalg.norm(fitted))}, close),
                predicted_by="nnlab.ntk.kernel_regression",
                measured_by="numpy.linalg.lstsq, nnlab.ntk.feature_map",
            )
        )
    return claims


def _far(rivals: Mapping[str, float], tolerance: float) -> dict[str, float]:
    """The rivals that differ from the prediction 0 by more than the tolerance, and are finite."""
    return {label: value for label, value in rivals.items() if 2 * tolerance < value < math.inf}


def parallel_pairs(model: KernelModel, task: Task) -> int:
    """Pairs of inputs that are parallel as the first layer's units see them: next to what multiplies a bias.

    Biases that start at 0 let no unit tell x from 2x, also where they are trained: the gradients then differ
    in few directions.
    """
    x = task.x.double().cpu().flatten(1)
    if isinstance(model, KernelMLP) and model.bias:
        sigma_b = DEFAULT_SIGMA_B[model.parameterization] if model.sigma_b is None else model.sigma_b
        x = torch.cat([x / math.sqrt(x.shape[1]), torch.full((len(x), 1), sigma_b, dtype=x.dtype)], 1)
    norms = x.norm(dim=1, keepdim=True)
    unit = x / norms.clamp(min=1e-300)
    # |x/‖x‖ ∓ x'/‖x'‖|² = 2(1 ∓ cos): its root is exact where 1 − cos would be rounding
    apart = torch.minimum(torch.cdist(unit, unit), torch.cdist(unit, -unit))
    close = (apart < math.sqrt(2 * PARALLEL)) | (norms == 0) | (norms.T == 0)
    return int(close.triu(1).sum())


def kernel_notes(study: Study, members: Sequence[Member]) -> list[str]:
    """Tells which kernels are singular, and why."""
    singular: dict[int, list[int]] = {}
    for member in members:
        if member.spectrum.rank is not None and member.spectrum.rank < member.spectrum.size:
            singular.setdefault(member.width, []).append(member.spectrum.rank)
    if not singular:
        return []
    size, seeds = members[0].spectrum.size, sum(member.width == members[0].width for member in members)
    parts = [
        f"at width {width} in {len(ranks)} of {seeds} networks, rank {min(ranks)} of {size}"
        for width, ranks in singular.items()
    ]
    task = study.task
    if repeated := task.n - len(np.unique(task.x.flatten(1).numpy(force=True), axis=0)):
        parts.append(f"{repeated} of the {task.n} points repeat{'s' * (repeated == 1)} another")
    elif not isinstance(study.model, KernelCustom) and (parallel := parallel_pairs(study.model, task)):
        parts.append(f"{parallel} pairs of points are parallel as the first layer sees them")
    return [
        f"the kernel is singular, as far as rounding lets one tell: {'; '.join(parts)}. "
        "Its modes of eigenvalue 0 are not learned"
    ]


def _rank_claim(study: Study) -> list[Claim]:
    """Numbers on a line, no bias: f(x) = |x| f(sign x), so the kernel has one dimension for each sign."""
    model, task = study.model, study.task
    if not isinstance(model, KernelMLP) or model.activation != "relu" or task.x[0].numel() != 1:
        return []
    signs = len({float(s) for s in task.x.sign().flatten() if s != 0})
    if not 0 < signs < task.n:
        return []
    bare = model.model_copy(update={"bias": False})
    network = build_network(bare, 64, task, study.seed)
    rank, outputs = spectrum(empirical_ntk(network, task.x)).rank, task.y.shape[1]
    parameters = sum(p.numel() for p in network.parameters())
    return [
        exact_claim(
            "without_bias_the_rank_is_two" if signs == 2 else "without_bias_the_rank_is_one",
            sentence="Without bias, numbers on a line are parallel, and H is singular also for p ≫ n.",
            formula="f(x) = |x| f(sign x)  ⟹  rank H = number of signs among the inputs",
            hypotheses=[describe(bare), "m = 64", f"p = {parameters:,}", f"n = {task.n}"],
            predicted=float(signs * outputs),
            measured=math.nan if rank is None else float(rank),
            tolerance=0.0,
            rivals={"full rank": float(task.n * outputs)},
            predicted_by="closed form: the number of signs among the inputs",
            measured_by="nnlab.ntk.empirical_ntk, nnlab.ntk.spectrum",
        )
    ]


# --- training ---------------------------------------------------------------------------------------


def _linearization_claim(study: Study, comparisons: Sequence[Comparison]) -> list[Claim]:
    """The linearization, trained in its parameters, follows the formula to rounding."""
    squared = study.loss == "squared_error"
    law = "u_k = (I − ηH₀)ᵏu₀" if squared else "f_{k+1} = f_k − ηH₀(softmax f_k − ȳ)"
    trained = [c for c in comparisons if c.linearized is not None]
    tolerance = _tolerance(study, 1e-10, 1e-2)
    first = trained[0]
    assert first.linearized is not None
    rivals = {}
    if squared:
        member, n = first.member, study.task.n
        steps = range(len(first.linearized))
        doubled = gradient_descent(
            member.modes, member.u0, 2 * member.lr, list(steps), reduction=study.reduction, n=n
        )
        flow = {"gradient flow, e^{−ηHk}u₀": member.flow(steps), "twice the step size": doubled}
        rivals = {label: _apart(first.linearized, values) for label, values in flow.items()}
    return [
        exact_claim(
            "linearization_follows_descent",
            sentence=f"The linearized network, trained in its weights, follows {law}.",
            formula="max_k ‖u_k − predicted‖/‖u_j‖, the largest for j ≤ k",
            hypotheses=[
                *_setting(study),
                "forward products, every width",
                f"η = {study.lr_fraction:g} η_max",
            ],
            predicted=0.0,
            measured=worst([_apart(c.linearized, c.predicted) for c in trained if c.linearized is not None]),
            tolerance=tolerance,
            rivals=_far(rivals, tolerance),
            predicted_by="nnlab.ntk.gradient_descent" if squared else "nnlab.ntk.logit_descent",
            measured_by="nnlab.training.descent.follow, nnlab.ntk.linearize",
        )
    ]


def _apart(measured: Tensor, predicted: Tensor) -> float:
    """The largest distance over the largest residual so far, as long as the predicted one is below LARGE.

    Above η_max rounding grows with the residuals. NaN where a measured one of these steps is not finite.
    """
    within = predicted.norm(dim=1) < LARGE
    steps = len(within) if bool(within.all()) else int(within.int().argmin())
    so_far = predicted[:steps].norm(dim=1).cummax(0).values
    return worst(((measured - predicted)[:steps].norm(dim=1) / so_far.clamp(min=TINY)).numpy(force=True))


def _flow_claim(study: Study, member: Member) -> list[Claim]:
    """The formula for each mode beside u̇ = −H₀u (`mean`: −H₀u/n), integrated step by step."""
    u0 = member.u0
    if len(u0) > FLOW_POINTS or not u0.any() or not math.isfinite(member.max_lr):
        return []
    speed = as_matrix(member.kernel).double() / study.divisor
    eigenvalues, vectors = (part.numpy(force=True) for part in torch.linalg.eigh(speed))
    times = np.geomspace(0.01, 100, 9) / eigenvalues[-1]
    predicted = gradient_flow(
        member.modes, u0, torch.from_numpy(times), reduction=study.reduction, n=study.task.n
    )
    # implicit: the largest eigenvalue is many times the smallest, and the flow goes on long after its mode
    jacobian, start, size = -speed.numpy(force=True), u0.numpy(force=True), float(u0.norm())
    flow = solve_ivp(lambda t, u: jacobian @ u, (0, times[-1]), start, "Radau", times, jac=jacobian,
                     rtol=FLOW_PRECISION, atol=FLOW_PRECISION * size * 1e-3)  # fmt: skip
    integrated = vectors.T @ flow.y if flow.success else np.full((len(start), len(times)), np.nan)

    def apart(rates: np.ndarray) -> float:
        """The distance of modes that decay with these rates."""
        return worst(np.exp(-rates[:, None] * times) * (vectors.T @ start)[:, None] - integrated) / size

    rivals = {
        "e^{−2Ht}": apart(2 * eigenvalues), "e^{−Ht/n}": apart(eigenvalues / study.task.n),
        "all modes at the mean speed": apart(np.full_like(eigenvalues, eigenvalues.mean())),
    }  # fmt: skip
    claim = exact_claim(
        "flow_decays_mode_by_mode",
        sentence="Under gradient flow each eigenmode of the linearized network decays independently.",
        formula="u(t) = e^{−H₀t} u(0): vᵢᵀu(t) = e^{−λᵢt} vᵢᵀu(0), the largest difference over ‖u(0)‖",
        hypotheses=[
            *_setting(study), f"m = {member.width}", "u̇ = −H₀u by Radau's method, up to t = 100/λmax",
        ],
        predicted=0.0,
        measured=worst(vectors.T @ predicted.double().numpy(force=True).T - integrated) / size,
        tolerance=FLOW_TOLERANCE,
        rivals=_far(rivals, FLOW_TOLERANCE),
        predicted_by="nnlab.ntk.gradient_flow, nnlab.ntk.decompose",
        measured_by="scipy.integrate.solve_ivp",
    )  # fmt: skip
    return [claim]


def _loss_claim(study: Study, comparisons: Sequence[Comparison]) -> list[Claim]:
    """The loss of the widest networks, where their kernels say that the steps are enough for it.

    However far the kernel has moved, the last steps multiply the slowest mode of the last one by 1 − ηλmin.
    With kinks that is no theorem: some come to rest at a point, which then sees a mean of two kernels; the
    loss of networks of 512 ReLU units fell at 0.83 to 0.9 of that rate.
    """
    widest = max(c.member.width for c in comparisons)
    wide = [c for c in comparisons if c.member.width == widest]
    promised = worst([float(c.losses[1][-1] / c.losses[1][0]) for c in wide])
    # The kink of a unit may come to rest at a point.
    kinked = not isinstance(study.model, KernelCustom) and get_activation(study.model.activation).has_kink
    slowest = min(study.steps * c.member.lr * float(c.member.modes.eigenvalues[-1]) for c in wide)
    seen = slowest / study.divisor >= SLOWEST_SEEN
    if not promised <= PROMISED_LOSS or not seen or study.lr_fraction >= 1 or kinked:
        return []
    ratios = np.array([_rate(c, study) for c in wide])
    farthest = ratios[np.abs(ratios - 1).argmax()] if np.isfinite(ratios).all() else math.nan
    return [
        exact_claim(
            "training_loss_goes_to_zero",
            sentence="Gradient descent drives the loss of a wide network to 0, at the rate of its kernel.",
            formula="L(w_{k+1})/L(w_k) → (1 − ηλmin(H))², H at the end; ratio of the logarithms",
            hypotheses=[*_trained(study), f"m = {widest}", "λmin(H) > 0", "no kinks"],
            predicted=1.0,
            measured=float(farthest),
            tolerance=RATE_TOLERANCE,
            rivals={"it stops at a loss above 0": 0.0, "L falls like |u|": 0.5, "twice as fast": 2.0},
            seeds=len(wide),
            predicted_by="nnlab.ntk.empirical_ntk, torch.linalg.eigvalsh",
            measured_by="nnlab.training.descent.follow",
        )
    ]


def _rate(comparison: Comparison, study: Study) -> float:
    """Measured over predicted decrease of log L in the last steps; NaN where the network diverged."""
    losses = study.losses(comparison.measured)
    if comparison.kernel is None:
        return math.nan
    above = losses > ROUNDED_LOSS * losses[0]
    last = len(losses) - 1 if bool(above.all()) else max(1, int(above.int().argmin()) - 1)
    first = last - max(1, last // LAST)
    slowest = torch.linalg.eigvalsh(as_matrix(comparison.kernel).double())[0] / study.divisor
    predicted = 2 * torch.log1p(-comparison.member.lr * slowest)
    return float((losses[last] / losses[first]).log() / (last - first) / predicted)
