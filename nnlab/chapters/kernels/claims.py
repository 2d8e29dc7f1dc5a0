"""The claims of the kernel experiment, and how each is judged."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from scipy.integrate import solve_ivp
from torch import Tensor

from nnlab.chapters.kernels.members import TINY, Comparison, Member, Study
from nnlab.chapters.kernels.setup import KernelCNN, KernelCustom, KernelMLP, KernelModel, Task, build_network
from nnlab.models.parameterization import DEFAULT_SIGMA_B
from nnlab.ntk import MemoryLimitError, as_matrix, empirical_ntk, feature_map, gradient_flow, spectrum
from nnlab.theory import Claim, exact_claim, exponent_claim, fit_exponent

PLENTY = 10  # units per example, from which on a network counts as wide: p ≫ n
PARALLEL = 1e-12  # of 1 − |cos|, below which two inputs count as parallel
FLOW_POINTS, FLOW_TOLERANCE = 200, 1e-4  # residuals that are integrated; of ‖u(0)‖
REGRESSION_WORK = 10**10  # products of a linear regression on the features that is worth its claim
PROMISED_LOSS, REACHED_LOSS = 1e-6, 1e-4  # of the loss at the start
KINKED = ("relu", "leaky_relu", "maxout", "elu")  # the eigenvalues of smooth ones sink into rounding


def claims_about(study: Study, comparisons: Sequence[Comparison]) -> list[Claim]:
    """Every claim but those about the step sizes, the circle and the infinite ensemble."""
    claims = _feature_claims(study, comparisons[0])
    claims += _definiteness_claim(study, comparisons)
    claims += _rank_claim(study)
    claims += _linearization_claim(study, comparisons)
    if study.loss == "squared_error":
        claims += _flow_claim(study, comparisons[0].member)
    if not isinstance(study.model, KernelCustom):  # which may be narrow however large its width is
        claims += _loss_claim(study, comparisons)
    return claims + _exponent_claims(study, comparisons)


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
    kernel = as_matrix(member.kernel).double()
    hypotheses = [*_setting(study), f"m = {member.width}"]
    claims = [
        exact_claim(
            "kernel_is_gram_matrix",
            sentence="The kernel is the Gram matrix of the feature map.",
            formula="H(x, x') = φ(x)·φ(x'), φ = ∇_w f(·, w₀); ‖φφᵀ − H‖/‖H‖",
            hypotheses=[*hypotheses, "φ by torch.func, H layer by layer"],
            predicted=0.0,
            measured=float((features @ features.T - kernel).norm() / kernel.norm()),
            tolerance=_tolerance(study, 1e-10, 1e-4),
        )
    ]
    affordable = features.numel() * study.steps <= REGRESSION_WORK
    if (
        study.loss == "squared_error"
        and first.linearized is not None
        and study.lr_fraction < 1
        and affordable
    ):
        claims.append(_regression_claim(study, member, first.linearized, features, hypotheses))
    return claims


def _regression_claim(
    study: Study, member: Member, linearized: Tensor, features: Tensor, hypotheses: list[str]
) -> Claim:
    """The linearized network beside linear regression on φ: the same steps, in θ = w − w₀."""
    u = start = member.u0
    theta = torch.zeros(features.shape[1], dtype=torch.float64)
    worst, scale = 0.0, max(float(u.norm()), TINY)
    for measured in linearized:
        worst = max(worst, float((measured - u).norm()) / scale)
        theta -= member.lr / study.divisor * (features.T @ u)
        u = start + features @ theta
    return exact_claim(
        "linearized_training_is_linear_regression",
        sentence="Training the linearized network is linear regression on φ(x) = ∇_w f(x, w₀).",
        formula="max_k ‖u_k − (u₀ + φθ_k)‖/‖u₀‖, θ_{k+1} = θ_k − ηφᵀ(u₀ + φθ_k)",
        hypotheses=[*hypotheses, f"η = {study.lr_fraction:g} η_max, {study.steps} steps", "φ by torch.func"],
        predicted=0.0,
        measured=worst,
        tolerance=_tolerance(study, 1e-8, 1e-2),
    )


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


def _definiteness_claim(study: Study, comparisons: Sequence[Comparison]) -> list[Claim]:
    """λmin > 0, where the theory promises it and float64 can tell."""
    model, task = study.model, study.task
    wide = [c.member for c in comparisons if c.member.width >= PLENTY * task.n]
    promised = not isinstance(model, KernelCustom) and model.activation in KINKED
    if task.x.dtype != torch.float64 or not promised:
        return []
    if not wide or wide[0].spectrum.lambda_min is None or parallel_pairs(model, task):
        return []
    ratios = [float(member.spectrum.lambda_min or 0) / member.spectrum.threshold for member in wide]
    widths = ", ".join(str(w) for w in dict.fromkeys(member.width for member in wide))
    return [
        exact_claim(
            "kernel_is_positive_definite",
            sentence="The kernel of every wide network is positive definite: all targets can be fitted.",
            formula="λmin(H₀) > nC·ε·λmax(H₀), ε the rounding of the numbers",
            hypotheses=[
                *_setting(study), f"m ≥ {PLENTY} n: widths {widths}",
                "no two inputs are parallel as the first layer sees them",
            ],
            predicted=(1.0, None),
            measured=min(ratios),
            tolerance=0.0,
        )
    ]  # fmt: skip


def _rank_claim(study: Study) -> list[Claim]:
    """Numbers on a line, no bias: f(x) = |x| f(sign x), so the kernel has one dimension for each sign."""
    model, task = study.model, study.task
    if not isinstance(model, KernelMLP) or model.activation != "relu" or task.x[0].numel() != 1:
        return []
    signs = len({float(s) for s in task.x.sign().flatten() if s != 0})
    if signs == 0:
        return []
    bare = model.model_copy(update={"bias": False})
    kernel = empirical_ntk(build_network(bare, 64, task, 0), task.x)
    return [
        exact_claim(
            "without_bias_the_rank_is_two" if signs == 2 else "without_bias_the_rank_is_one",
            sentence="Without bias, numbers on a line are all parallel, and the kernel is singular.",
            formula="f(x) = |x| f(sign x)  ⟹  rank H = number of signs among the inputs",
            hypotheses=[describe(bare), "m = 64", f"n = {task.n}"],
            predicted=float(signs),
            measured=float(spectrum(kernel).rank or 0),
            tolerance=0.0,
            rivals={"full rank": float(task.n)} if task.n > 2 else None,
        )
    ]


# --- training ---------------------------------------------------------------------------------------


def _linearization_claim(study: Study, comparisons: Sequence[Comparison]) -> list[Claim]:
    """The linearization, trained in its parameters, follows the formula to rounding."""
    squared = study.loss == "squared_error"
    law = "u_k = (I − ηH₀)ᵏu₀" if squared else "f_{k+1} = f_k − ηH₀(softmax f_k − ȳ)"
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
            measured=max(_apart(c.linearized, c.predicted) for c in comparisons if c.linearized is not None),
            tolerance=_tolerance(study, 1e-8, 1e-2),
        )
    ]


def _apart(measured: Tensor, predicted: Tensor) -> float:
    """The largest distance over the largest residual so far, as long as none is infinite.

    Above η_max rounding grows with the residuals.
    """
    finite = (torch.isfinite(measured) & torch.isfinite(predicted)).all(1)
    steps = len(finite) if bool(finite.all()) else int(finite.int().argmin())
    so_far = predicted[:steps].norm(dim=1).cummax(0).values
    return float(((measured - predicted)[:steps].norm(dim=1) / so_far.clamp(min=TINY)).max())


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
    jacobian, start = -speed.numpy(force=True), u0.numpy(force=True)
    flow = solve_ivp(lambda t, u: jacobian @ u, (0, times[-1]), start, "Radau", times, jac=jacobian,
                     rtol=1e-9, atol=1e-12 * float(u0.norm()))  # fmt: skip
    if not flow.success:
        return []
    integrated, size = vectors.T @ flow.y, float(u0.norm())
    mean_speed = np.exp(-eigenvalues.mean() * times) * (vectors.T @ start)[:, None]
    rival = float(np.abs(mean_speed - integrated).max()) / size
    claim = exact_claim(
        "flow_decays_mode_by_mode",
        sentence="Under gradient flow each eigenmode of the linearized network decays independently.",
        formula="u(t) = e^{−H₀t} u(0): vᵢᵀu(t) = e^{−λᵢt} vᵢᵀu(0), the largest difference over ‖u(0)‖",
        hypotheses=[
            *_setting(study), f"m = {member.width}", "u̇ = −H₀u by Radau's method, up to t = 100/λmax",
        ],
        predicted=0.0,
        measured=float(np.abs(vectors.T @ predicted.double().numpy(force=True).T - integrated).max()) / size,
        tolerance=FLOW_TOLERANCE,
        rivals={"all modes at the mean speed": rival} if rival > FLOW_TOLERANCE else None,
    )  # fmt: skip
    return [claim]


def _loss_claim(study: Study, comparisons: Sequence[Comparison]) -> list[Claim]:
    """The loss of the widest networks, where the kernel says that the steps are enough for it."""
    widest = max(c.member.width for c in comparisons)
    wide = [c.losses for c in comparisons if c.member.width == widest]
    promised = max(float(predicted[-1] / predicted[0]) for _, predicted in wide)
    if study.loss != "squared_error" or widest < PLENTY * study.task.n or promised > PROMISED_LOSS:
        return []
    return [
        exact_claim(
            "training_loss_goes_to_zero",
            sentence="Gradient descent drives the training loss of a wide network to 0.",
            formula=f"L(w_k)/L(w₀) at the last step, where the kernel predicts {promised:.1e}",
            hypotheses=[*_trained(study), f"m = {widest}", "λmin(H₀) > 0"],
            predicted=(None, REACHED_LOSS),
            measured=max(float(measured[-1] / measured[0]) for measured, _ in wide),
            tolerance=0.0,
            seeds=len(wide),
        )
    ]


def _exponent_claims(study: Study, comparisons: Sequence[Comparison]) -> list[Claim]:
    """Claims over widths; of training for step sizes at which the linearization converges."""
    claims, model = [], study.model
    if (distance := over_widths(comparisons, lambda c: c.member.distance_to_infinite)) is not None:
        claims.append(
            exponent_claim(
                "kernel_converges_with_width",
                sentence="The kernel at the start converges to its limit like 1/√m.",
                formula="‖H₀ − H∞‖/‖H∞‖ ~ m^−½, an average over m independent units, to within 0.2: "
                "behind more than one layer there is a bias of order 1/m beside it",
                hypotheses=[*_setting(study), _widths(distance[0])],
                fit=fit_exponent(*distance),
                predicted=(-0.7, -0.3),
            )
        )
    if not isinstance(model, KernelMLP) or model.parameterization != "ntk" or study.lr_fraction >= 1:
        return claims
    if (drift := over_widths(comparisons, lambda c: c.drift)) is not None:
        claims.append(
            exponent_claim(
                "kernel_drift_falls_with_width",
                sentence="Kernels of wide networks move less: the drift falls at least like 1/√m.",
                formula="‖H(w) − H₀‖/‖H₀‖ = O(m^−½) (Lee et al. 2019, theorem 2.1)",
                hypotheses=[*_trained(study), _widths(drift[0])],
                fit=fit_exponent(*drift),
                predicted=(None, -0.5),
            )
        )
    if (error := over_widths(comparisons, lambda c: c.residual_error)) is not None:
        # with kinks the bound is reached; for smooth activations it is known to be only a bound
        kinked = model.activation in ("relu", "leaky_relu", "maxout")
        claims.append(
            exponent_claim(
                "residuals_follow_the_kernel_at_the_start",
                sentence="What H₀ predicts becomes exact as the width grows: the error falls "
                f"{'' if kinked else 'at least '}like 1/√m.",
                formula="sup_k ‖u_k − the prediction of H₀‖ = O(m^−½) (Lee et al. 2019, theorem 2.1)",
                hypotheses=[*_trained(study), _widths(error[0])],
                fit=fit_exponent(*error),
                predicted=-0.5 if kinked else (None, -0.5),
                rivals={"no limit": 0.0, "like 1/m": -1.0} if kinked else None,
            )
        )
    return claims


def over_widths(
    comparisons: Sequence[Comparison], measure: Callable[[Comparison], float | None]
) -> tuple[np.ndarray, np.ndarray] | None:
    """Widths (K,) and values (K, S); None where there is one width alone, or a value is missing."""
    widths = sorted({c.member.width for c in comparisons})
    rows = [[measure(c) for c in comparisons if c.member.width == width] for width in widths]
    usable = all(value is not None and math.isfinite(value) and value > 0 for row in rows for value in row)
    if len(widths) < 2 or not usable:
        return None
    return np.array(widths), np.array(rows, dtype=np.float64)


def _widths(widths: np.ndarray) -> str:
    return f"widths {', '.join(str(int(width)) for width in widths)}"
