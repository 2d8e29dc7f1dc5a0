"""What the kernel experiment claims, and how each claim is judged."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from scipy.integrate import solve_ivp
from torch import Tensor

from nnlab.chapters.kernels.members import TINY, Comparison, Member, Plan, residuals_of
from nnlab.chapters.kernels.setup import KernelCNN, KernelCustom, KernelMLP, KernelModel, Task, build_network
from nnlab.lab.drawing import numbers
from nnlab.models.parameterization import DEFAULT_SIGMA_B
from nnlab.ntk import MemoryLimitError, as_matrix, empirical_ntk, feature_map, gradient_flow, spectrum
from nnlab.theory import Claim, exact_claim, exponent_claim, fit_exponent
from nnlab.training.descent import Trajectory

PLENTY = 10  # units per example, from which on a network counts as wide: p ≫ n
PARALLEL = 1e-12  # of 1 − |cos|, below which two inputs count as parallel
FLOW_POINTS, FLOW_TOLERANCE = 200, 1e-4  # residuals that are integrated; of ‖u(0)‖
REGRESSION_WORK = 10**10  # products of a linear regression on the features that is worth its claim
PROMISED_LOSS, REACHED_LOSS = 1e-6, 1e-4  # of the loss at the start
KINKED = ("relu", "leaky_relu", "maxout", "elu")  # the eigenvalues of smooth ones sink into rounding


def claims_about(
    model: KernelModel, task: Task, plan: Plan, comparisons: Sequence[Comparison], precision: str
) -> list[Claim]:
    """Everything but the step sizes and the circle."""
    setting = [describe(model), f"n = {task.n}", precision]
    claims = _feature_claims(model, task, plan, comparisons, precision, setting)
    claims += _definiteness_claim(model, task, comparisons, setting)
    claims += _rank_claim(model, task)
    claims += _linearization_claim(comparisons, task, plan, precision, setting)
    if plan.loss == "squared_error":
        claims += _flow_claim(comparisons[0].member, task, plan, setting)
    trained = [
        *setting, f"η = {plan.lr_fraction:g} η_max of each network, {plan.steps} steps",
        f"{plan.loss}, {plan.reduction}",
    ]  # fmt: skip
    if not isinstance(model, KernelCustom):  # which may be narrow however large its width is
        claims += _loss_claim(comparisons, task, plan, trained)
    return claims + _exponent_claims(model, comparisons, plan, setting, trained)


def describe(model: KernelModel) -> str:
    """The network in words."""
    if isinstance(model, KernelCustom):
        return f"the module of {model.factory}"
    if isinstance(model, KernelCNN):
        return f"CNN of {model.depth} blocks, {model.activation}, standard parameterization"
    layers = "1 hidden layer" if model.depth == 1 else f"{model.depth} hidden layers"
    bias = "bias" if model.bias else "no bias"
    return f"MLP, {layers}, {model.activation}, {bias}, {model.parameterization} parameterization"


# --- the kernel -------------------------------------------------------------------------------------


def _feature_claims(
    model: KernelModel,
    task: Task,
    plan: Plan,
    comparisons: Sequence[Comparison],
    precision: str,
    setting: list[str],
) -> list[Claim]:
    """Of the smallest network, where the features φ fit into memory."""
    first = comparisons[0]
    network = plan.network(model, first.member.width, task, first.member.seed)
    try:
        features = feature_map(network, task.x, memory_limit=plan.memory_limit)
    except MemoryLimitError:
        return []
    features = features.double().cpu().flatten(0, 1)  # (nC, p)
    setting = [*setting, f"m = {first.member.width}"]
    claims = [_gram_claim(features, as_matrix(first.member.kernel).double(), precision, setting)]
    affordable = features.numel() * plan.steps <= REGRESSION_WORK
    if plan.loss == "squared_error" and first.linearized is not None and plan.lr_fraction < 1 and affordable:
        claims.append(_regression_claim(features, first, first.linearized, task, plan, precision, setting))
    return claims


def _gram_claim(features: Tensor, kernel: Tensor, precision: str, setting: list[str]) -> Claim:
    return exact_claim(
        "kernel_is_gram_matrix",
        sentence="The kernel is the matrix of inner products of the feature map.",
        formula="H(x, x') = φ(x)·φ(x'), φ = ∇_w f(·, w₀); ‖φφᵀ − H‖/‖H‖",
        hypotheses=[*setting, "φ by torch.func, H layer by layer"],
        predicted=0.0,
        measured=float((features @ features.T - kernel).norm() / kernel.norm()),
        tolerance=1e-10 if precision == "float64" else 1e-4,
    )


def _regression_claim(
    features: Tensor,
    comparison: Comparison,
    linearized: Trajectory,
    task: Task,
    plan: Plan,
    precision: str,
    setting: list[str],
) -> Claim:
    """The linearized network beside linear regression on φ: the same steps, in θ = w − w₀."""
    measured = residuals_of(linearized, task)
    u = comparison.member.u0(task)
    theta = torch.zeros(features.shape[1], dtype=torch.float64)
    worst, scale = 0.0, float(u.norm())
    start = u
    for step in range(len(measured)):
        worst = max(worst, float((measured[step] - u).norm()) / max(scale, TINY))
        theta -= comparison.member.lr / plan.divisor(task) * (features.T @ u)
        u = start + features @ theta
    return exact_claim(
        "linearized_training_is_linear_regression",
        sentence="Training the linearized network is linear regression on φ(x) = ∇_w f(x, w₀).",
        formula="max_k ‖u_k − (u₀ + φθ_k)‖/‖u₀‖, θ_{k+1} = θ_k − ηφᵀ(u₀ + φθ_k)",
        hypotheses=[*setting, f"η = {plan.lr_fraction:g} η_max, {plan.steps} steps", "φ by torch.func"],
        predicted=0.0,
        measured=worst,
        tolerance=1e-8 if precision == "float64" else 1e-2,
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


def kernel_notes(model: KernelModel, task: Task, members: Sequence[Member]) -> list[str]:
    """What a user should know about kernels that are singular, and why they are."""
    singular: dict[int, list[int]] = {}
    for member in members:
        if member.spectrum.rank is not None and member.spectrum.rank < member.spectrum.size:
            singular.setdefault(member.width, []).append(member.spectrum.rank)
    if not singular:
        return []
    size, seeds = members[0].spectrum.size, sum(member.width == members[0].width for member in members)
    found = [
        f"at width {width} in {len(ranks)} of {seeds} networks, rank {min(ranks)} of {size}"
        for width, ranks in singular.items()
    ]
    reasons = []
    if repeated := task.n - len(np.unique(numbers(task.x.flatten(1)), axis=0)):
        reasons.append(f"{repeated} of the {task.n} points repeat{'s' * (repeated == 1)} another")
    elif not isinstance(model, KernelCustom) and (parallel := parallel_pairs(model, task)):
        reasons.append(f"{parallel} pairs of points are parallel as the first layer sees them")
    return [
        f"the kernel is singular, as far as rounding lets one tell: {'; '.join([*found, *reasons])}. "
        "Its modes of eigenvalue 0 are not learned"
    ]


def _definiteness_claim(
    model: KernelModel, task: Task, comparisons: Sequence[Comparison], setting: list[str]
) -> list[Claim]:
    """λmin > 0, for what the theory promises it, and where float64 can tell."""
    wide = [c.member for c in comparisons if c.member.width >= PLENTY * task.n]
    promised = not isinstance(model, KernelCustom) and model.activation in KINKED
    if task.x.dtype != torch.float64 or not promised:
        return []
    if not wide or wide[0].spectrum.lambda_min is None or parallel_pairs(model, task):
        return []
    ratios = [float(member.spectrum.lambda_min or 0) / member.spectrum.threshold for member in wide]
    where = f"m ≥ {PLENTY} n: widths {', '.join(str(w) for w in dict.fromkeys(m.width for m in wide))}"
    return [
        exact_claim(
            "kernel_is_positive_definite",
            sentence="The kernel of every wide network is positive definite: all targets can be fitted.",
            formula="λmin(H₀) > nC·ε·λmax(H₀), ε the rounding of the numbers",
            hypotheses=[*setting, where, "no two inputs are parallel as the first layer sees them"],
            predicted=(1.0, None),
            measured=min(ratios),
            tolerance=0.0,
        )
    ]


def _rank_claim(model: KernelModel, task: Task) -> list[Claim]:
    """Numbers on a line, no bias: f(x) = |x| f(sign x), so the kernel has one dimension for each sign."""
    if not isinstance(model, KernelMLP) or model.activation != "relu" or task.x[0].numel() != 1:
        return []
    signs = len({float(s) for s in task.x.sign().flatten() if s != 0})
    if signs == 0:
        return []
    bare = model.model_copy(update={"bias": False})
    kernel = empirical_ntk(build_network(bare, 64, task, 0), task.x)
    assert isinstance(kernel, Tensor)
    found = spectrum(kernel)
    return [
        exact_claim(
            "without_bias_the_rank_is_two" if signs == 2 else "without_bias_the_rank_is_one",
            sentence="Without bias, numbers on a line are all parallel, and the kernel is singular.",
            formula="f(x) = |x| f(sign x)  ⟹  rank H = number of signs among the inputs",
            hypotheses=[describe(bare), "m = 64", f"n = {task.n}"],
            predicted=float(signs),
            measured=float(found.rank or 0),
            tolerance=0.0,
            rivals={"full rank": float(task.n)} if task.n > 2 else None,
        )
    ]


# --- training ---------------------------------------------------------------------------------------


def _linearization_claim(
    comparisons: Sequence[Comparison], task: Task, plan: Plan, precision: str, setting: list[str]
) -> list[Claim]:
    """The linearization, trained in its parameters, follows the formula to rounding."""
    distances = []
    for comparison in comparisons:
        if comparison.linearized is not None:
            distances.append(_apart(residuals_of(comparison.linearized, task), comparison.predicted))
    squared = plan.loss == "squared_error"
    law = "u_k = (I − ηH₀)ᵏu₀" if squared else "f_{k+1} = f_k − ηH₀(softmax f_k − ȳ)"
    return [
        exact_claim(
            "linearization_follows_descent",
            sentence=f"The linearized network, trained in its weights, follows {law}.",
            formula="max_k ‖u_k − predicted‖/‖u_j‖, the largest for j ≤ k",
            hypotheses=[*setting, "forward products, every width", f"η = {plan.lr_fraction:g} η_max"],
            predicted=0.0,
            measured=max(distances),
            tolerance=1e-8 if precision == "float64" else 1e-2,
        )
    ]


def _flow_claim(member: Member, task: Task, plan: Plan, setting: list[str]) -> list[Claim]:
    """The formula for each mode beside u̇ = −H₀u (`mean`: −H₀u/n), integrated step by step."""
    u0 = member.u0(task)
    if len(u0) > FLOW_POINTS or not u0.any() or not math.isfinite(member.max_lr):
        return []
    speed = as_matrix(member.kernel).double() / plan.divisor(task)
    eigenvalues, vectors = (numbers(part) for part in torch.linalg.eigh(speed))
    times = np.geomspace(0.01, 100, 9) / eigenvalues[-1]
    found = gradient_flow(member.modes, u0, torch.from_numpy(times), reduction=plan.reduction, n=task.n)
    # implicit: the largest eigenvalue is many times the smallest, and the way goes on long after its mode
    flow = solve_ivp(lambda t, u: -numbers(speed) @ u, (0, times[-1]), numbers(u0), "Radau", times,
                     jac=-numbers(speed), rtol=1e-9, atol=1e-12 * float(u0.norm()))  # fmt: skip
    if not flow.success:
        return []
    integrated, size = vectors.T @ flow.y, float(u0.norm())
    mean_speed = np.exp(-eigenvalues.mean() * times) * (vectors.T @ numbers(u0))[:, None]
    rival = float(np.abs(mean_speed - integrated).max()) / size
    claim = exact_claim(
        "flow_decays_mode_by_mode",
        sentence="Along the gradient flow of the linearized network each eigenmode decays by itself.",
        formula="u(t) = e^{−H₀t} u(0): vᵢᵀu(t) = e^{−λᵢt} vᵢᵀu(0), the largest difference over ‖u(0)‖",
        hypotheses=[
            *setting, f"m = {member.width}", "u̇ = −H₀u by Radau's method, up to t = 100/λmax",
        ],
        predicted=0.0,
        measured=float(np.abs(vectors.T @ numbers(found.double()).T - integrated).max()) / size,
        tolerance=FLOW_TOLERANCE,
        rivals={"all modes at the mean speed": rival} if rival > FLOW_TOLERANCE else None,
    )  # fmt: skip
    return [claim]


def _loss_claim(comparisons: Sequence[Comparison], task: Task, plan: Plan, trained: list[str]) -> list[Claim]:
    """Of the widest networks, where the kernel says that the steps are enough for it."""
    widest = max(c.member.width for c in comparisons)
    wide = [c for c in comparisons if c.member.width == widest]
    promised = max(float(c.predicted_losses[-1] / c.predicted_losses[0]) for c in wide)
    if plan.loss != "squared_error" or widest < PLENTY * task.n or promised > PROMISED_LOSS:
        return []
    return [
        exact_claim(
            "training_loss_goes_to_zero",
            sentence="Gradient descent takes the training loss of a wide network to 0.",
            formula=f"L(w_k)/L(w₀) at the last step, where the kernel predicts {promised:.1e}",
            hypotheses=[*trained, f"m = {widest}", "λmin(H₀) > 0"],
            predicted=(None, REACHED_LOSS),
            measured=max(float(c.losses[-1] / c.losses[0]) for c in wide),
            tolerance=0.0,
            seeds=len(wide),
        )
    ]


def _apart(measured: Tensor, predicted: Tensor) -> float:
    """Over the largest residual so far, as long as none is infinite: above η_max rounding grows with them."""
    finite = (torch.isfinite(measured) & torch.isfinite(predicted)).all(1)
    steps = len(finite) if bool(finite.all()) else int(finite.int().argmin())
    so_far = predicted[:steps].norm(dim=1).cummax(0).values
    return float(((measured - predicted)[:steps].norm(dim=1) / so_far.clamp(min=TINY)).max())


def _exponent_claims(
    model: KernelModel, comparisons: Sequence[Comparison], plan: Plan, setting: list[str], trained: list[str]
) -> list[Claim]:
    """Over widths; of training for step sizes at which the linearization converges."""
    claims = []
    distance = over_widths(comparisons, lambda c: c.member.distance_to_infinite)
    if distance is not None:
        widths, values = distance
        claims.append(
            exponent_claim(
                "kernel_converges_with_width",
                sentence="The kernel at the start approaches its limit like 1/√m.",
                formula="‖H₀ − H∞‖/‖H∞‖ ~ m^−½, an average over m independent units, to within 0.2: "
                "behind more than one layer there is a bias of order 1/m beside it",
                hypotheses=[*setting, _widths(widths)],
                fit=fit_exponent(widths, values),
                predicted=(-0.7, -0.3),
            )
        )
    if not isinstance(model, KernelMLP) or model.parameterization != "ntk" or plan.lr_fraction >= 1:
        return claims
    drift = over_widths(comparisons, lambda c: c.drift)
    if drift is not None:
        claims.append(
            exponent_claim(
                "kernel_drift_falls_with_width",
                sentence="The kernel moves the less, the wider the network: at least like 1/√m.",
                formula="‖H(w) − H₀‖/‖H₀‖ = O(m^−½) (Lee et al. 2019, theorem 2.1)",
                hypotheses=[*trained, _widths(drift[0])],
                fit=fit_exponent(*drift),
                predicted=(None, -0.5),
            )
        )
    error = over_widths(comparisons, lambda c: c.residual_error)
    if error is not None:
        claims.append(_residual_claim(model, *error, [*trained, _widths(error[0])]))
    return claims


def _residual_claim(model: KernelMLP, widths: np.ndarray, errors: np.ndarray, hypotheses: list[str]) -> Claim:
    """With kinks the bound is reached; for smooth activations it is known to be only a bound."""
    kinked = model.activation in ("relu", "leaky_relu", "maxout")
    return exponent_claim(
        "residuals_follow_the_kernel_at_the_start",
        sentence=f"What H₀ predicts becomes exact with width, {'' if kinked else 'at least '}like 1/√m.",
        formula="sup_k ‖u_k − the prediction of H₀‖ = O(m^−½) (Lee et al. 2019, theorem 2.1)",
        hypotheses=hypotheses,
        fit=fit_exponent(widths, errors),
        predicted=-0.5 if kinked else (None, -0.5),
        rivals={"no limit": 0.0, "like 1/m": -1.0} if kinked else None,
    )


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
