"""The worked numbers and identities of the slides, beside the results of this package's own functions."""

from itertools import product
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from nnlab.chapters.backpropagation.examples import EXAMPLES
from nnlab.chapters.backpropagation.worksheet import with_sigmoids
from nnlab.chapters.lecture.figures import graph_of, loss_of_probability
from nnlab.expressions import parse
from nnlab.expressions.passes import gradient
from nnlab.lab.sections import Experiment
from nnlab.lab.session import Outcome, Session, generator
from nnlab.models import MLP, weight_matrices
from nnlab.models.convolution import conv_output_size, convolution_matrix, convolve
from nnlab.record import Record
from nnlab.theory import Claim, exact_claim
from nnlab.training.losses import cross_entropy, cross_entropy_of, entropy, kl_divergence

Array = NDArray[np.float64]

PROBABILITY = 0.13
"""The probability of the right class on the lecture's slide."""
ROUNDING = 1e-12
PAIRS = 200
"""The number of pairs of distributions drawn for the identity of cross-entropy."""


ARRAYS = {
    "probability": "(T,) probabilities of the right class",
    "loss": "(T,) the loss −log P of the example",
}


class Config(Experiment):
    """The worked numbers and identities of the lecture: no training, a second of time."""

    experiment: Literal["slides"]
    arrays = ARRAYS

    def run(self, record: Record, session: Session) -> Outcome:
        """Checks all identities on random inputs, and draws the loss and two graphs."""
        record.start()
        sum_of_two, *neuron = _backpropagation()
        *convolution, pooling, sizes = _convolution(generator(self.seed, "images"))
        sections = {
            "1.1": [_constant_feature(generator(self.seed, "features"))],
            "1.3": [_loss()],
            "1.4": [_entropies(generator(self.seed, "distributions"))],
            "2.1": [_layers(generator(self.seed, f"{hidden} hidden"), hidden) for hidden in (1, 2)],
            "3.1": [sum_of_two],
            "3.3": neuron,
            "4.2": [*convolution, sizes],
            "4.4": [pooling],
        }
        pictures = {"1.3": "loss", "3.1": "sum", "3.3": "neuron"}
        rows = [
            {"section": section, "claim": claim.name, "figure": pictures.get(section)}
            for section, claims in sections.items()
            for claim in claims
        ]
        _draw(record)
        return Outcome({}, rows, [claim for claims in sections.values() for claim in claims])


def _identity(
    name: str,
    sentence: str,
    formula: str,
    measured: float,
    rivals: dict[str, float],
    hypothesis: str = "random images and filters, float64; the largest difference",
) -> Claim:
    """Claims that a largest difference is 0 up to rounding."""
    return exact_claim(
        name,
        sentence=sentence,
        formula=formula,
        hypotheses=[hypothesis],
        predicted=0.0,
        measured=measured,
        tolerance=ROUNDING,
        rivals=rivals,
    )


def _largest(difference: Tensor) -> float:
    return float(difference.abs().max())


# --- 1. softmax and cross-entropy -----------------------------------------------------------------------


def _loss() -> Claim:
    """Takes the loss of scores whose softmax gives the right one of three classes the slide's probability."""
    rest = (1 - PROBABILITY) / 2
    scores = torch.tensor([[PROBABILITY, 0.4 * rest, 1.6 * rest]], dtype=torch.float64).log() + 5.0
    return exact_claim(
        "loss_of_probability_0.13",
        sentence="The right class has probability 0.13, so the loss of the example is 2.04.",
        formula="−log P(Y = y|x) = −log 0.13 = 2.04",
        hypotheses=["the loss computed from scores, which softmax leaves free up to a common shift"],
        predicted=2.0402208285265546,
        measured=float(cross_entropy(scores, torch.tensor([0]))),
        tolerance=ROUNDING,
        rivals={"logarithm to base 10": 0.8860566476931632, "1 − P": 1 - PROBABILITY},
    )


def _entropies(draw: torch.Generator) -> Claim:
    """Compares both sides for random pairs of distributions on 5 classes, some of them with zeros."""
    p, q = (torch.rand(PAIRS, 5, generator=draw, dtype=torch.float64) for _ in range(2))
    p = p * (p > 0.2)
    p, q = (p + 1e-300) / (p + 1e-300).sum(1, keepdim=True), q / q.sum(1, keepdim=True)
    apart = cross_entropy_of(p, q) - (entropy(p) + kl_divergence(p, q))
    return _identity(
        "cross_entropy_is_entropy_plus_divergence",
        "Cross-entropy is entropy plus KL divergence.",
        "H(P, Q) = H(P) + D(P‖Q), the largest difference",
        _largest(apart),
        {"H(Q) in place of H(P)": _largest(entropy(p) - entropy(q))},
        f"{PAIRS} random pairs of distributions on 5 classes, Q > 0",
    )


def _constant_feature(draw: torch.Generator) -> Claim:
    """Compares both networks for 3 classes and 4 pixels, as on the slide."""
    W, x = torch.randn(3, 4, generator=draw).double(), torch.rand(50, 4, generator=draw).double()
    b = torch.randn(3, generator=draw).double()
    with_bias = MLP(4, [], 3, generator=draw).double()
    without = MLP(5, [], 3, bias=False, generator=draw).double()
    with torch.no_grad():
        with_bias.output.weight.copy_(W)
        with_bias.output.bias.copy_(b)
        without.output.weight.copy_(torch.cat([W, b[:, None]], 1))
        apart = with_bias(x) - without(torch.cat([x, torch.ones(len(x), 1)], 1))
    return _identity(
        "a_constant_feature_absorbs_the_bias",
        "A feature that is always 1 absorbs the bias into the weights.",
        "Wx + b = (W b)(x, 1), the largest difference",
        _largest(apart),
        {"without the bias": _largest(b)},
        "3 classes, 4 pixels, 50 random images",
    )


# --- 2. networks ----------------------------------------------------------------------------------------


def _layers(draw: torch.Generator, hidden: int) -> Claim:
    """Compares a network with its formula, multiplied out in NumPy."""
    widths = [5, 7, 6][: hidden + 1]
    network = MLP(widths[0], widths[1:], 3, bias=False, generator=draw).double()
    x = torch.randn(40, widths[0], generator=draw).double()
    first, *others = [w.detach().numpy() for w in weight_matrices(network)]
    expected = linear = first @ x.numpy().T
    for W in others:
        expected, linear = W @ np.maximum(0, expected), W @ linear
    with torch.no_grad():
        apart = network(x).numpy().T - expected
    name = "two" if hidden == 1 else "three"
    formula = "W₂ max(0, W₁x)" if hidden == 1 else "W₃ max(0, W₂ max(0, W₁x))"
    return _identity(
        f"{name}_layers_are_their_formula",
        f"A network of {name} layers is {formula}.",
        f"f(x) = {formula}, the largest difference",
        float(np.abs(apart).max()),
        {"without the maximum": float(np.abs(linear - expected).max())},
        "random weights, 40 random inputs, no bias",
    )


# --- 3. backpropagation ---------------------------------------------------------------------------------


def _backpropagation() -> list[Claim]:
    """Compares value and gradient from the graph with the numbers on both slides."""
    total = {"value": -12.0, "x": -4.0, "y": -4.0, "z": 3.0}
    s = 1 / (1 + np.exp(-1.0))  # w·x + w₂ = 1 at the slide's point
    slope = s * (1 - s)
    neuron = {"value": s, "w0": -slope, "x0": 2 * slope, "w1": -2 * slope, "x1": -3 * slope, "w2": slope}
    return [
        _example("sum", "(x + y)z at (−2, 5, −4)", "∂f/∂x = ∂f/∂y = −4, ∂f/∂z = 3", total, fused=False),
        _example(
            "neuron", "1/(1 + e^{−(w₀x₀ + w₁x₁ + w₂)})", "σ' = σ(1 − σ) = 0.197, times the other factor",
            neuron, fused=False,
        ),
        _example("neuron", "its sigmoid as one node", "σ' = σ(1 − σ)", neuron, fused=True),
    ]  # fmt: skip


def _example(name: str, what: str, formula: str, expected: dict[str, float], *, fused: bool) -> Claim:
    example = EXAMPLES[name]
    graph = parse(example.expression, tuple(example.at), tensors=True)
    value, slopes = gradient(with_sigmoids(graph) if fused else graph, example.at)
    measured = {"value": value} | {key: float(slope) for key, slope in slopes.items()}
    return _identity(
        f"backpropagation_of_the_{name}" + ("_with_its_sigmoid" if fused else ""),
        f"Backpropagation gives the gradient on the slide: {what}.",
        f"{formula}; the largest difference",
        max(abs(measured[key] - expected[key]) for key in expected),
        {"a gradient of 0": max(map(abs, expected.values()))},
        "float64",
    )


# --- 4. convolution -------------------------------------------------------------------------------------


def _convolution(draw: torch.Generator) -> list[Claim]:
    """Checks the identities on a random image and filter; each measure is a largest difference."""
    f, g = torch.randn(8, 10, generator=draw).double(), torch.randn(3, 3, generator=draw).double()
    return [_definition(f, g), _matrix(draw), _shifts(f, g), _pooling(f), _sizes()]


def _definition(f: Tensor, g: Tensor) -> Claim:
    double_sum = torch.zeros(f.shape[0] + g.shape[0] - 1, f.shape[1] + g.shape[1] - 1, dtype=torch.float64)
    for n1, n2 in np.ndindex(*f.shape):
        for k1, k2 in np.ndindex(*g.shape):
            double_sum[n1 + k1, n2 + k2] += f[n1, n2] * g[k1, k2]  # x − n₁ = k₁
    unturned = F.conv2d(f[None, None], g[None, None], padding=2)[0, 0]
    return _identity(
        "convolution_is_its_double_sum",
        "Discrete convolution is the double sum of its definition.",
        "(f∗g)(x, y) = Σ Σ f(n₁, n₂) g(x − n₁, y − n₂)",
        _largest(convolve(f, g) - double_sum),
        {"filter not turned": _largest(unturned - double_sum)},
    )


def _matrix(draw: torch.Generator) -> Claim:
    filters = torch.randn(4, 2, 3, 3, generator=draw).double()
    maps = torch.randn(2, 8, 10, generator=draw).double()
    multiplied = convolution_matrix(filters, (8, 10), padding=1, stride=2) @ maps.flatten()
    layer = F.conv2d(maps[None], filters, padding=1, stride=2).flatten()
    turned = F.conv2d(maps[None], filters.flip(2, 3), padding=1, stride=2).flatten()
    return _identity(
        "a_layer_is_one_matrix",
        "A convolutional layer is a fully connected layer with shared weights.",
        "conv(x) = Mx, padding 1, stride 2, two maps in and four out",
        _largest(multiplied - layer),
        {"filters turned": _largest(layer - turned)},
    )


def _shifts(f: Tensor, g: Tensor) -> Claim:
    moved = convolve(f.roll((1, 2), (0, 1)), g, circular=True)
    around = convolve(f, g, circular=True)
    return _identity(
        "convolution_commutes_with_shifts",
        "If the image shifts, its activation map shifts with it.",
        "(Sf)∗g = S(f∗g) with circular padding",
        _largest(moved - around.roll((1, 2), (0, 1))),
        {"the map stays": _largest(around.roll((1, 2), (0, 1)) - around)},
    )


def _pooling(f: Tensor) -> Claim:
    def pooled(image: Tensor) -> Tensor:
        return F.max_pool2d(image[None, None], 2)[0, 0]

    return _identity(
        "pooling_commutes_with_even_shifts",
        "Max-pooling over 2 × 2 windows turns a shift by 2 pixels into a shift by 1.",
        "pool(S²f) = S pool(f), stride 2",
        _largest(pooled(f.roll(2, 0)) - pooled(f).roll(1, 0)),
        {"a shift by 1 pixel": _largest(pooled(f.roll(1, 0)) - pooled(f))},
    )


def _sizes() -> Claim:
    """Compares layers of many kernels, strides and paddings with the formula, and the lecture's 32 → 16."""
    image, wrong, kinds = torch.zeros(1, 1, 8, 10), 0, 0
    for kernel, stride, padding in product((1, 2, 3, 5), (1, 2, 3), (0, 1, 2)):
        maps = F.conv2d(image, torch.ones(1, 1, kernel, kernel), stride=stride, padding=padding)
        wrong += [conv_output_size(size, kernel, padding, stride) for size in (8, 10)] != list(maps.shape[2:])
        kinds += 1
    wrong += conv_output_size(32, 2, 0, 2) != 16
    return _identity(
        "sizes_of_maps",
        "The size of a map follows from a formula; pooling over 2 × 2 windows halves 32 to 16.",
        f"⌊(size + 2·padding − kernel)/stride⌋ + 1: layers of {kinds} for which it is wrong",
        float(wrong),
        {"every one": float(kinds)},
    )


# --- figures --------------------------------------------------------------------------------------------


def _draw(record: Record) -> None:
    p = np.linspace(0.005, 1, 400)
    record.save_arrays(probability=p, loss=-np.log(p))
    record.figure("loss", loss_of_probability, p, -np.log(p), PROBABILITY)
    for name in ("sum", "neuron"):
        example = EXAMPLES[name]
        record.figure(name, graph_of, example.expression, dict(example.at), f"f = {example.expression}")
