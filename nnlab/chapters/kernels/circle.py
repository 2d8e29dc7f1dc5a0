"""The infinite kernel on the circle: which frequencies a ReLU network of one hidden layer can learn."""

import numpy as np

from nnlab.chapters.kernels.figures.kernels import circle_harmonics
from nnlab.chapters.kernels.setup import KernelMLP, KernelModel
from nnlab.lab.session import Session
from nnlab.ntk.spectral.harmonics import circle_eigenvalues, circle_tail
from nnlab.record import Record
from nnlab.record.arrays import under
from nnlab.theory import Claim, exact_claim, worst

POINTS = 4096  # k ≪ n for the frequencies that are shown
SHOWN = 64
TAIL = (32, 64)  # frequencies over which k²λ_k is compared with its limit
BIAS = 1.0  # σ_b of the kernel with bias: as large as the inputs, so that the tail is soon reached


def run(model: KernelModel, record: Record, session: Session) -> list[Claim]:
    """The eigenvalues of H∞ by frequency, without bias and with it; for one hidden ReLU layer."""
    if not isinstance(model, KernelMLP) or model.activation != "relu" or model.depth != 1:
        session.reporter.say(
            "the frequencies of the circle are those of one hidden ReLU layer: model.depth: 1 shows them"
        )
        return []
    k, without = circle_eigenvalues(POINTS, sigma_w=model.sigma_w, sigma_b=0.0)
    _, with_bias = circle_eigenvalues(POINTS, sigma_w=model.sigma_w, sigma_b=BIAS)
    limit = circle_tail(sigma_w=model.sigma_w, sigma_b=BIAS).even
    chosen = slice(1, SHOWN + 1)
    curves = {"k": k[chosen], "without_bias": without[chosen], "with_bias": with_bias[chosen]}
    record.save_arrays(**under("circle", curves))
    record.figure(
        "circle", circle_harmonics, k[chosen].astype(np.float64), without[chosen], with_bias[chosen], limit
    )
    odd, even = without[3 : SHOWN + 1 : 2], without[2 : SHOWN + 1 : 2]
    tail = slice(TAIL[0], TAIL[1] + 1)
    ratios = k[tail] ** 2 * with_bias[tail] / limit
    hypotheses = ["H∞ of one hidden ReLU layer", f"n = {POINTS} equally spaced points", f"k ≤ {SHOWN}"]
    return [
        exact_claim(
            "no_odd_modes_without_bias",
            sentence="Without bias the kernel has no odd frequencies k ≥ 3: the network cannot learn them.",
            formula="λ_k = 0 for odd k ≥ 3; the largest of them over the smallest even one",
            hypotheses=[*hypotheses, "σ_b = 0, n even"],
            predicted=0.0,
            measured=worst(odd / even.min()),
            tolerance=1e-9,
            rivals={"as with bias": float(with_bias[3 : SHOWN + 1 : 2].max() / even.min())},
            predicted_by="closed form: the ReLU is a linear function plus an even one",
            measured_by="nnlab.ntk.spectral.harmonics.circle_eigenvalues",
        ),
        exact_claim(
            "tail_of_the_circle_with_bias",
            sentence="With bias every frequency is learned, at a rate that falls like 1/k².",
            formula="k²λ_k → σ_w³ √(σ_w² + 2σ_b²)/4π², here in units of it, the farthest from 1",
            hypotheses=[*hypotheses, f"σ_b = {BIAS:g}", f"k from {TAIL[0]} to {TAIL[1]}"],
            predicted=1.0,
            measured=float(ratios[np.abs(ratios - 1).argmax()]),
            tolerance=0.02,
            rivals={"only even modes": 2.0, "half": 0.5},
            predicted_by="nnlab.ntk.spectral.harmonics.circle_tail",
            measured_by="nnlab.ntk.spectral.harmonics.circle_eigenvalues",
        ),
    ]
