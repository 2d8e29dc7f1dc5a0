"""Mean, variance and covariance of networks, each held against the closed form of infinite width."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from nnlab.chapters.beyond.ensembles import schema
from nnlab.chapters.beyond.ensembles.setup import ANGLES, CONVERGED, SIGMA_B, Array, Forecast, Task
from nnlab.chapters.beyond.wide import near_claim
from nnlab.theory import Claim

Ensembles = Mapping[str, tuple[Array, Forecast]]
"""By kind of training: outputs (S, g, C) of networks at the new points, and their predicted distribution."""

POSTERIOR = "nnlab.ntk.regression.posterior.posterior"
OPEN = 16.0  # over m: what the order 1/m may add to a ratio; at m = 8 the largest differed by 20/m
SAME = 1e-6  # of a prediction: what is nearer is the same law and no rival


@dataclass(frozen=True)
class Kind:
    """A kind of training.

    Attributes:
        networks: in words, as the beginning of a sentence.
        law: the distribution that they have.
        mean, covariance: of it, in symbols.
        trained: what is trained; empty for nothing.
        other: the kind whose distribution is the rival.
        predicted_by, measured_by: of its claims.
    """

    networks: str
    law: str
    mean: str
    covariance: str
    trained: str
    other: str
    predicted_by: str
    measured_by: str


KINDS: Mapping[str, Kind] = {
    schema.STARTED: Kind(
        "Networks at their random start", "the NNGP prior", "0", "K", "", schema.LAST,
        "nnlab.ntk.infinite.kernel.infinite_ntk", "nnlab.training.ensemble.Ensemble.outputs",
    ),
    schema.TRAINED: Kind(
        "Networks whose layers are all trained", "the NTK ensemble",
        "Θ_XT Θ_TT⁻¹ y", "(−A I) K (−A I)ᵀ with A = Θ_XT Θ_TT⁻¹", "all layers", schema.LAST, POSTERIOR,
        "nnlab.training.ensemble.descend",
    ),
    schema.LAST: Kind(
        "Networks whose last layer alone is trained", "the NNGP posterior", "K_XT K_TT⁻¹ y",
        "K_XX − K_XT K_TT⁻¹ K_TX", "the last layer", schema.TRAINED, POSTERIOR,
        "nnlab.training.trainer.fit",
    ),
}  # fmt: skip

LAWS = {
    schema.STARTED: "NNGP prior", schema.TRAINED: "NTK ensemble", schema.LAST: "NNGP posterior"
}  # fmt: skip


def claims_of(task: Task, measured: Ensembles, widths: tuple[int, int]) -> list[Claim]:
    """Returns the claims about all kinds: variances, covariances, and means where there is one.

    Args:
        task: the points and targets.
        measured: of every kind.
        widths: of networks whose layers are all trained, and of those whose last one is.
    """
    claims = []
    for name, kind in KINDS.items():
        functions, forecast = measured[name]
        width = widths[1] if name == schema.LAST else widths[0]
        hypotheses = _hypotheses(task, kind, width)
        others = {LAWS[other]: measured[other][1] for other in KINDS if other != name}
        claims += [
            variance_claim(name, functions, forecast, others, hypotheses, OPEN / width),
            covariance_claim(name, functions, forecast, hypotheses, OPEN / width),
        ]
        if kind.trained:
            other = measured[kind.other][1]
            claims.append(mean_claim(name, functions, forecast, other, hypotheses, OPEN / width))
    return claims


def spread_ratios(functions: Array, forecast: Forecast) -> Array:
    """Returns (S,) squared distances from the predicted mean, in units of the predicted variance.

    Both are averaged over points and outputs.
    """
    ratios: Array = np.square(functions - forecast.mean).mean((1, 2)) / forecast.variance
    return ratios


def variance_claim(
    name: str,
    functions: Array,
    forecast: Forecast,
    others: Mapping[str, Forecast],
    hypotheses: list[str],
    room: float = 0.0,
) -> Claim:
    """Claims the variance of an ensemble; rivals are those of the others; `room` is left open."""
    kind = KINDS[name]
    ratios = {label: other.variance / forecast.variance for label, other in others.items()}
    apart = {label: ratio for label, ratio in ratios.items() if abs(ratio - 1) > SAME}
    return near_claim(
        f"variance_{name}",
        sentence=f"{kind.networks} have the variance of {kind.law}.",
        formula=f"Cov f = {kind.covariance}; the mean of (f − E f)² over its predicted value",
        hypotheses=hypotheses,
        room=room,
        values=spread_ratios(functions, forecast),
        rivals={**apart, "twice": 2.0, "half": 0.5, "none": 0.0},
        predicted_by=kind.predicted_by,
        measured_by=kind.measured_by,
    )


def covariance_claim(
    name: str, functions: Array, forecast: Forecast, hypotheses: list[str], room: float = 0.0
) -> Claim:
    """Claims the covariance between different points, along the predicted one; `room` is left open."""
    kind = KINDS[name]
    between = forecast.covariance - np.diag(forecast.covariance.diagonal())
    off = functions - forecast.mean
    values = np.einsum("sgc,gh,shc->s", off, between, off) / off.shape[2] / np.square(between).sum()
    return near_claim(
        f"covariance_{name}",
        sentence=f"{kind.networks} have the covariance of {kind.law} between different points.",
        formula=f"Cov f = {kind.covariance} = C; ⟨(f − E f)(f − E f)ᵀ, C⟩/⟨C, C⟩ off the diagonal",
        hypotheses=hypotheses,
        room=room,
        values=values,
        rivals={"independent points": 0.0, "twice": 2.0, "half": 0.5},
        predicted_by=kind.predicted_by,
        measured_by=kind.measured_by,
    )


def mean_claim(
    name: str,
    functions: Array,
    forecast: Forecast,
    other: Forecast,
    hypotheses: list[str],
    room: float = 0.0,
) -> Claim:
    """Claims the mean of an ensemble, along its difference from that of the other one; `room` is open."""
    kind = KINDS[name]
    difference = forecast.mean - other.mean
    size = float(np.square(difference).sum()) or math.nan  # equal means cannot be told apart
    zero = float(-(other.mean * difference).sum() / size)
    return near_claim(
        f"mean_{name}",
        sentence=f"{kind.networks} have the mean of {kind.law}.",
        formula=f"E f = {kind.mean}; with its difference D from the rival M, ⟨f − M, D⟩/⟨D, D⟩",
        hypotheses=hypotheses,
        room=room,
        values=((functions - other.mean) * difference).sum((1, 2)) / size,
        rivals={
            f"mean M of the {LAWS[kind.other]}": 0.0,
            **({"mean 0": zero} if abs(zero - 1) > SAME else {}),
            "half of the way from M": 0.5,
        },
        predicted_by=kind.predicted_by,
        measured_by=kind.measured_by,
    )


def _hypotheses(task: Task, kind: Kind, width: int) -> list[str]:
    n, outputs = task.y.shape
    descent = f"gradient descent of {kind.trained} on ½Σ(f − y)², η = 1/λmax, {CONVERGED:g} λmax/λmin steps"
    return [
        f"erf, one hidden layer, NTK parameterization, σ_b = {SIGMA_B:g}, {outputs} outputs",
        f"m → ∞; here m = {width}, and {OPEN:g}/m = {OPEN / width:.2g} is left open on both sides",
        *([descent] if kind.trained else []),
        f"n = {n} points on the circle, averages over {ANGLES} new points and all outputs",
    ]
