"""Kernels at the random start: of many networks beside the infinitely wide one, and singular ones."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import erf, expit, ndtr
from torch import Tensor

from nnlab.chapters.kernels.claims import describe, parallel_pairs
from nnlab.chapters.kernels.members import Study
from nnlab.chapters.kernels.setup import KernelMLP, Task, build_network
from nnlab.lab.session import generator
from nnlab.models import MLP
from nnlab.ntk import as_matrix, empirical_ntk, infinite_ntk, spectrum
from nnlab.theory import Claim, exact_claim, measured_claim, worst
from nnlab.theory.limits import fit_limit, limit_claim
from nnlab.training.ensemble import Ensemble

Array = NDArray[np.float64]

WIDTH, NETWORKS = 1024, 256  # of one hidden layer, whose mean kernel is exact at every width
RADII, ANGLES = (0.5, 1.0, 1.5, 1.0, 0.8), (0.0, 0.7, 1.9, 3.0, 4.4)  # five inputs in the plane
SIGMA_B = 0.5
FEW = 5  # points whose smallest eigenvalue is looked at: it needs about (λmax/λmin)² units
WIDTHS, EACH = (128, 256, 512), 128
HIDDEN = 2  # layers of the networks whose limit is integrated
NODES = np.arange(-90, 91) / 10  # of the trapezoidal rule, in standard deviations
CLEAR = 1e-10  # λmin/λmax, from which an eigenvalue is not taken for 0
PLENTY = 100  # λmax/λmin of the limit, up to which these widths are wide


def inputs() -> Tensor:
    """Five inputs in the plane of several lengths and directions, (5, 2)."""
    radii, angles = torch.tensor(RADII), torch.tensor(ANGLES)
    return (radii * torch.stack([angles.cos(), angles.sin()])).T.double()


def sampled_claim(activation: str, seed: int) -> Claim:
    """The mean of tr(H∞⁻¹ H₀)/n over networks is 1 at every width of one hidden layer."""
    x, networks = inputs(), []
    for member in range(NETWORKS):
        random = generator(seed, f"sampled {activation}", member)
        network = MLP(
            2, [WIDTH], 1, activation, parameterization="ntk", sigma_b=SIGMA_B, generator=random
        )  # fmt: skip
        networks.append(network.double())
    covariance, limit = infinite_ntk(networks[0], x)
    kernels = Ensemble.from_models(networks).tangent_kernel(x)
    return measured_claim(
        f"infinite_kernel_of_{activation}",
        sentence=f"{activation}: the mean kernel of random networks is the kernel of infinite width.",
        formula="E tr(H∞⁻¹ H₀)/n = 1",
        hypotheses=[f"one hidden layer of width {WIDTH}, ntk, {activation}, σ_b = {SIGMA_B:g}",
                    f"n = {len(x)} inputs in the plane"],
        predicted=1.0,
        values=_trace(limit, kernels),
        rivals={"half": 0.5, "twice": 2.0, "the last layer alone": float(_trace(limit, covariance[None])[0])},
        predicted_by="nnlab.ntk.infinite_ntk",
        measured_by="nnlab.models.MLP, nnlab.training.ensemble.Ensemble.tangent_kernel",
    )  # fmt: skip


def _trace(limit: Tensor, kernels: Tensor) -> Array:
    """(S,) tr(H∞⁻¹ H)/n of kernels (S, n, n)."""
    ratios = torch.linalg.solve(limit, kernels).diagonal(dim1=1, dim2=2).mean(1)
    return np.asarray(ratios)


Function = Callable[[Array], Array]


def _density(z: Array) -> Array:
    return np.asarray(np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi))


SMOOTH: Mapping[str, tuple[Function, Function]] = {
    "erf": (erf, lambda z: 2 * np.sqrt(2) * _density(np.sqrt(2) * z)),
    "gelu": (lambda z: z * ndtr(z), lambda z: ndtr(z) + z * _density(z)),
    "tanh": (np.tanh, lambda z: 1 / np.cosh(z) ** 2),
    "sigmoid": (expit, lambda z: expit(z) * expit(-z)),
}
"""φ and φ'."""
BENT: Mapping[str, float] = {"relu": 0.0, "leaky_relu": 0.01}
"""The slope of φ below 0."""


def _expectations(activation: str, a: float, b: float, c: float) -> tuple[float, float]:
    """E[φ(u)φ(v)] and E[φ'(u)φ'(v)] for variances a and b and the covariance c.

    Smooth ones by the trapezoidal rule; kinked ones as s c + (1 − s)² κ₁ and s + (1 − s)² κ₀, with the
    arc-cosine kernels κ of Cho & Saul 2009.
    """
    if activation in BENT:
        s, angle = BENT[activation], np.arccos(np.clip(c / np.sqrt(a * b), -1, 1))
        slopes = (np.pi - angle) / (2 * np.pi)
        values = np.sqrt(a * b) * np.sin(angle) / (2 * np.pi) + c * slopes
        return float(s * c + (1 - s) ** 2 * values), float(s + (1 - s) ** 2 * slopes)
    weights = np.exp(-(NODES**2) / 2)
    weights /= weights.sum()
    u = np.sqrt(a) * NODES[:, None]
    v = c / np.sqrt(a) * NODES[:, None] + np.sqrt(max(b - c**2 / a, 0.0)) * NODES
    means = (weights @ (f(u) * f(v)) @ weights for f in SMOOTH[activation])
    value, slope = map(float, means)
    return value, slope


def recursion(activation: str, x: Array, hidden: int) -> tuple[Array, Array]:
    """Returns K and Θ (n, n) of a network with so many hidden layers, layer by layer, for inputs x (n, d)."""
    gain = 1 / _expectations(activation, 1.0, 1.0, 1.0)[0]
    covariance = gain * x @ x.T / x.shape[1] + SIGMA_B**2
    kernel = covariance
    for _ in range(hidden):
        size = covariance.diagonal()
        pairs = np.array([
            [_expectations(activation, size[i], size[j], covariance[i, j]) for j in range(len(x))]
            for i in range(len(x))
        ])  # fmt: skip
        covariance = gain * pairs[..., 0] + SIGMA_B**2
        kernel = covariance + gain * pairs[..., 1] * kernel
    return covariance, kernel


def recursion_claim(activations: Sequence[str]) -> list[Claim]:
    """The kernels of infinite width of deeper networks, against integrals layer by layer."""
    known, x, apart, rivals = [n for n in activations if n in {*SMOOTH, *BENT}], inputs(), [], []
    for name in known:
        network = MLP(
            2, [1] * HIDDEN, 1, name, parameterization="ntk", sigma_b=SIGMA_B,
            generator=torch.Generator(),
        ).double()  # fmt: skip
        exact, fewer = (recursion(name, x.numpy(), hidden) for hidden in (HIDDEN, HIDDEN - 1))
        whole = infinite_ntk(network, x)
        network.output.bias.requires_grad_(False)  # sums over some of the parameters go another way
        covariance, part = infinite_ntk(network, x)
        apart += [(covariance - whole[0]).numpy(), (part + SIGMA_B**2 - whole[1]).numpy()]
        for ours, theirs, before in zip(whole, exact, fewer, strict=True):
            apart.append((ours.numpy() - theirs) / np.linalg.norm(theirs))
            rivals.append(worst((before - theirs) / np.linalg.norm(theirs)))
    if not known:
        return []
    return [
        exact_claim(
            "infinite_kernel_of_deeper_networks",
            sentence="The infinitely wide kernel of a deeper network is that of the layer before, passed on.",
            formula="K⁺ = σ_w² E[φφ] + σ_b², Θ⁺ = K⁺ + σ_w² E[φ'φ'] Θ; largest difference, over the norm",
            hypotheses=[
                f"{HIDDEN} hidden layers, {', '.join(known)}, σ_w² = 1/E[φ(z)²], σ_b = {SIGMA_B:g}",
                f"n = {len(x)} inputs in the plane; with the last bias held fixed, too: σ_b² off Θ",
            ],
            predicted=0.0,
            measured=worst(*apart),
            tolerance=1e-10,
            rivals={"one layer fewer": min(rivals)},
            predicted_by="nnlab.chapters.kernels.start.recursion",
            measured_by="nnlab.ntk.infinite_ntk",
        )
    ]


def definite_claim(study: Study) -> list[Claim]:
    """λmin(H₀) tends to λmin(H∞) > 0, where no two points are parallel as the first layer sees them."""
    model, task = study.model, study.task
    if study.limit is None or not isinstance(model, KernelMLP):
        return []
    chosen = torch.linspace(0, task.n - 1, min(FEW, task.n)).round().long()
    few = Task(task.x[chosen].double().cpu(), task.y[chosen].double().cpu())
    _, limit = infinite_ntk(build_network(model, 1, few, study.seed), few.x)
    eigenvalues = torch.linalg.eigvalsh(limit)
    if parallel_pairs(model, few) or not eigenvalues[-1] < PLENTY * eigenvalues[0]:
        return []
    ratios = []
    for width in WIDTHS:
        networks = [build_network(model, width, few, study.seed, 10**6 + k) for k in range(EACH)]
        kernels = Ensemble.from_models([each for each in networks if isinstance(each, MLP)])
        ratios.append((torch.linalg.eigvalsh(kernels.tangent_kernel(few.x))[:, 0] / eigenvalues[0]).numpy())
    return [
        limit_claim(
            "kernel_is_positive_definite",
            sentence="The kernel of wide networks is positive definite: λmin(H₀) tends to λmin(H∞) > 0.",
            formula="λmin(H₀)/λmin(H∞) → 1 as m → ∞, and λmin(H∞) > 0",
            hypotheses=[
                describe(model), f"n = {len(few.x)}, λmin(H∞) = {float(eigenvalues[0]):.3g}",
                f"widths {', '.join(map(str, WIDTHS))}",
                "no two inputs are parallel as the first layer sees them",
            ],
            fit=fit_limit(WIDTHS, ratios, (1.0,)),
            predicted=1.0,
            rivals={"singular": 0.0, "half": 0.5, "twice": 2.0},
            predicted_by="nnlab.ntk.infinite_ntk, torch.linalg.eigvalsh",
            measured_by="nnlab.training.ensemble.Ensemble.tangent_kernel",
        )
    ]  # fmt: skip


def repeated_claim(study: Study) -> list[Claim]:
    """A point that stands there twice takes a dimension away: the kernel needs points that differ."""
    model, task = study.model, study.task
    if not isinstance(model, KernelMLP) or task.n < 2 or task.x.dtype != torch.float64:
        return []
    chosen = torch.linspace(0, task.n - 1, min(FEW, task.n)).round().long()
    few = task.x[chosen]
    if parallel_pairs(model, Task(few, task.y[chosen])):
        return []
    twice = torch.cat([few, few[:1]])
    outputs = task.y.shape[1]
    network = build_network(model, WIDTH // 2, task, study.seed)
    eigenvalues = torch.linalg.eigvalsh(as_matrix(empirical_ntk(network, few)))
    if not eigenvalues[0] > CLEAR * eigenvalues[-1]:  # too near to each other for their rank to be known
        return []
    found = spectrum(empirical_ntk(network, twice)).rank
    return [
        exact_claim(
            "a_repeated_point_makes_it_singular",
            sentence="A point that stands there twice makes the kernel singular, at every width.",
            formula="rank H₀ = nC − C with one of n points twice",
            hypotheses=[describe(model), f"m = {WIDTH // 2}, n = {len(twice)}"],
            predicted=float(len(few) * outputs),
            measured=float("nan") if found is None else float(found),
            tolerance=0.0,
            rivals={"full rank": float(len(twice) * outputs)},
            predicted_by="closed form: equal rows of H",
            measured_by="nnlab.ntk.empirical_ntk, nnlab.ntk.spectrum",
        )
    ]


def claims_of(study: Study, activations: Sequence[str]) -> list[Claim]:
    """Every claim about kernels at the start.

    Args:
        activations: whose infinite kernels are held against sampled networks; with none, of the study's own
            network neither.
    """
    claims = [sampled_claim(activation, study.seed) for activation in activations]
    claims += recursion_claim(activations)
    return [*claims, *(definite_claim(study) if activations else []), *repeated_claim(study)]
