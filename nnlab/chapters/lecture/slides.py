"""The worked numbers and identities of the slides, beside the results of this package's own functions."""

from collections.abc import Callable
from itertools import product
from typing import Any, Literal

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy import special
from torch import Tensor
from torch.nn import functional as F

from nnlab.chapters.backpropagation.examples import EXAMPLES
from nnlab.chapters.backpropagation.worksheet import with_sigmoids
from nnlab.chapters.lecture.figures import graph_of, loss_of_probability
from nnlab.data import DataSet, Split
from nnlab.expressions import parse
from nnlab.expressions.passes import gradient
from nnlab.lab.sections import Experiment
from nnlab.lab.session import Outcome, Session, generator
from nnlab.models import CNN, MLP, weight_matrices
from nnlab.models.convolution import conv_output_size, convolution_matrix, convolve
from nnlab.record import Record
from nnlab.theory import Claim, exact_claim, worst
from nnlab.training import Parts, Settings, fit
from nnlab.training.losses import build_loss, cross_entropy, entropy, kl_divergence
from nnlab.training.optimizers import sgd

Array = NDArray[np.float64]

PROBABILITY = 0.13
"""The probability of the right class on the lecture's slide."""
ROUNDING = 1e-12
CELLS = 1024
"""The number of cells of [0, 1] for the continuous convolution."""
SIGMA_W, SIGMA_B = 1.2, 0.3
"""Of the start of networks with a bias."""
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
        sections = {
            "1.1": [_constant_feature(generator(self.seed, "features"))],
            "1.3": [_loss()],
            "1.4": [_entropies(generator(self.seed, "distributions"))],
            "2.1": [_layers(generator(self.seed, f"{hidden} hidden"), hidden) for hidden in (1, 2)],
            "3.1": [sum_of_two],
            "3.2": [_chain_rule(generator(self.seed, "variables"))],
            "3.3": neuron,
            "4.2": [*_convolution(generator(self.seed, "images")), _continuous_convolution(), _sizes()],
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
    *,
    predicted_by: str,
    measured_by: str,
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
        predicted_by=predicted_by,
        measured_by=measured_by,
    )


def _largest(difference: Tensor | Array) -> float:
    return worst(np.asarray(difference))


# --- 1. softmax and cross-entropy -----------------------------------------------------------------------


def _loss() -> Claim:
    """Trains on one example whose right class, of three, has the slide's probability at the start."""
    rest = (1 - PROBABILITY) / 2
    model = MLP(4, [], 3, generator=torch.Generator().manual_seed(0)).double()
    image = torch.tensor([[0.2, 0.9, 0.4, 0.7]], dtype=torch.float64)
    with torch.no_grad():
        scores = torch.tensor([PROBABILITY, 0.4 * rest, 1.6 * rest], dtype=torch.float64).log() + 5.0
        model.output.bias.copy_(scores - image[0] @ model.output.weight.T)
    rows: list[dict[str, Any]] = []
    parts = Parts(model, _one_example(image), build_loss("cross_entropy"), sgd(model, lr=0.1))
    fit(parts, Settings(epochs=1, batch_size="full"), generator=torch.Generator(), log=rows.append)
    return exact_claim(
        "loss_of_probability_0.13",
        sentence="The right class has probability 0.13, so the loss of the example is 2.04.",
        formula="−log P(Y = y|x) = −log 0.13 = 2.04",
        hypotheses=["the training loss of the first step, one example of class 0, softmax regression"],
        predicted=-np.log(PROBABILITY),
        measured=next(row["loss"] for row in rows if row["split"] == "train"),
        tolerance=ROUNDING,
        rivals={"logarithm to base 10": -np.log10(PROBABILITY), "1 − P": 1 - PROBABILITY},
        predicted_by="closed form: −log 0.13",
        measured_by="nnlab.training.trainer.fit",
    )


def _one_example(image: Tensor) -> DataSet:
    """Returns a data set of one example, of the first of three classes."""
    split, zeros = Split(image, torch.zeros(1, dtype=torch.int64)), torch.zeros_like(image[0])
    names = ["first", "second", "third"]
    return DataSet(
        "one example", "classification", split, None, split, image.shape[1:], len(names), names,
        zeros, zeros + 1, image.dtype,
    )  # fmt: skip


def _entropies(draw: torch.Generator) -> Claim:
    """Compares the loss of pairs of distributions on 5 classes, some with zeros, with its two parts."""
    p, q = (torch.rand(PAIRS, 5, generator=draw, dtype=torch.float64) for _ in range(2))
    p = p * (p > 0.2)
    p, q = (p + 1e-300) / (p + 1e-300).sum(1, keepdim=True), q / q.sum(1, keepdim=True)
    losses = torch.stack([cross_entropy(q[[k]].log() + 3.0, p[[k]]) for k in range(PAIRS)])
    return _identity(
        "cross_entropy_is_entropy_plus_divergence",
        "Cross-entropy is entropy plus KL divergence.",
        "H(P, Q) = H(P) + D(P‖Q), the largest difference",
        _largest(losses - (entropy(p) + kl_divergence(p, q))),
        {
            "H(Q) in place of H(P)": _largest(entropy(p) - entropy(q)),
            "without the entropy": _largest(entropy(p)),
        },
        f"{PAIRS} random pairs of distributions on 5 classes, Q > 0",
        predicted_by="nnlab.training.losses.entropy, nnlab.training.losses.kl_divergence",
        measured_by="nnlab.training.losses.cross_entropy",
    )


def _constant_feature(draw: torch.Generator) -> Claim:
    """Compares both networks for 3 classes and 4 pixels, as on the slide, in both parameterizations."""
    x, apart, size = torch.rand(50, 4, generator=draw).double(), [], 0.0
    ones = np.column_stack([x, np.ones(len(x))])
    for name, a, c in (("standard", 1.0, 1.0), ("ntk", SIGMA_W / 4**0.5, SIGMA_B)):
        network = MLP(
            4, [], 3, parameterization=name, sigma_w=SIGMA_W, sigma_b=SIGMA_B, generator=draw
        ).double()
        W, b = (p.detach().numpy() for p in network.parameters())
        with torch.no_grad():
            apart.append(_largest(network(x).numpy() - ones @ np.column_stack([a * W, c * b]).T))
        size = max(size, _largest(c * b))
    return _identity(
        "a_constant_feature_absorbs_the_bias",
        "A feature that is always 1 absorbs the bias into the weights.",
        "Wx + b = (W b)(x, 1), the largest difference",
        worst(*apart),
        {"without the bias": size, "the bias subtracted": 2 * size},
        f"3 classes, 4 pixels, 50 random images; also with σ_w W/√4 and σ_b b for W and b, σ_w = {SIGMA_W}, "
        f"σ_b = {SIGMA_B}",
        predicted_by="numpy.column_stack",
        measured_by="nnlab.models.MLP.forward",
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
        _largest(apart),
        {"without the maximum": _largest(linear - expected)},
        "random weights, 40 random inputs, no bias",
        predicted_by="numpy.maximum",
        measured_by="nnlab.models.MLP.forward",
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
        worst(*(measured[key] - expected[key] for key in expected)),
        {
            "a gradient of 0": worst(*expected.values()),
            "the opposite sign": 2 * worst(*(value for key, value in expected.items() if key != "value")),
        },
        "float64",
        predicted_by="closed form: the slide's numbers",
        measured_by="nnlab.expressions.passes.gradient",
    )


FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "exp": np.exp, "log": np.log, "sqrt": np.sqrt, "sin": np.sin, "cos": np.cos, "tan": np.tan,
    "sinh": np.sinh, "cosh": np.cosh, "tanh": np.tanh, "arcsin": np.arcsin, "arccos": np.arccos,
    "arctan": np.arctan, "asinh": np.arcsinh, "atanh": np.arctanh, "log10": np.log10, "log2": np.log2,
    "log1p": np.log1p, "expm1": np.expm1, "erf": special.erf, "sigmoid": lambda u: 1 / (1 + np.exp(-u)),
    "softplus": lambda u: np.log(1 + np.exp(u)),
}  # fmt: skip
"""Functions of expressions, by NumPy and SciPy over the complex numbers."""

COMPOSED: dict[str, Callable[[Any, Any, Any], Any]] = {
    "(x + y)*z": lambda x, y, z: (x + y) * z,
    "x/y - (z - x)/(y*y)": lambda x, y, z: x / y - (z - x) / y**2,
    "-x^3*y^-2 + z^0.5": lambda x, y, z: -(x**3) * y**-2 + z**0.5,
    "x^y*exp(-z*x)": lambda x, y, z: x**y * np.exp(-z * x),
    "sin(x*y)*sin(x*y) + cos(x*y/z)": lambda x, y, z: np.sin(x * y) ** 2 + np.cos(x * y / z),
    "tanh(x*tanh(y*tanh(z)))": lambda x, y, z: np.tanh(x * np.tanh(y * np.tanh(z))),
}
OF_VECTORS: dict[str, Callable[[Any, Any], Any]] = {
    "logsumexp(W @ u)": lambda W, u: np.log(np.exp(W @ u).sum()),
    "sum(softmax(W @ u)*(W @ u))": lambda W, u: np.exp(W @ u) @ (W @ u) / np.exp(W @ u).sum(),
    "mean(tanh(W @ u)) + sum(W)": lambda W, u: np.tanh(W @ u).mean() + W.sum(),
    "u @ (transpose(W) @ (W @ u))": lambda W, u: (W @ u) @ (W @ u),
    "sum(transpose(W)/(1 + W @ transpose(W) @ (W @ u) @ (W @ u)))": lambda W, u: (
        W.sum() / (1 + (W @ W.T @ (W @ u)) @ (W @ u))
    ),
}
"""Expressions of a matrix W (3, 2) and a vector u (2,)."""
STEP = 1e-20
"""The imaginary step: f(x + ih) = f(x) + ih f'(x) up to h², so that no digits cancel."""


def _chain_rule(draw: torch.Generator) -> Claim:
    """Compares backpropagation with complex steps, for every function of the table and composed ones."""
    at = dict(zip("xyz", (0.2 + 0.6 * torch.rand(3, generator=draw).double()).tolist(), strict=True))
    cases = COMPOSED | {f"{name}(x*y)*z": _times_z(f) for name, f in FUNCTIONS.items()}
    gaps, sizes = [], []
    for text, function in cases.items():
        slopes = gradient(parse(text, tuple(at), tensors=True), at)[1]
        for name in at:
            stepped = function(*(value + STEP * 1j * (key == name) for key, value in at.items()))
            expected = stepped.imag / STEP
            gaps.append((float(slopes[name]) - expected) / (1 + abs(expected)))
            sizes.append(expected / (1 + abs(expected)))
    tensors = {"W": torch.rand(3, 2, generator=draw).double(), "u": torch.rand(2, generator=draw).double()}
    arrays = {name: value.numpy() for name, value in tensors.items()}
    for text, of_vectors in OF_VECTORS.items():
        slopes = gradient(parse(text, tuple(arrays), tensors=True), arrays)[1]
        for name, value in arrays.items():
            for place in np.ndindex(value.shape):
                moved = {key: array.astype(complex) for key, array in arrays.items()}
                moved[name][place] += 1j * STEP
                expected = of_vectors(moved["W"], moved["u"]).imag / STEP
                gaps.append((float(slopes[name][place]) - expected) / (1 + abs(expected)))
    return _identity(
        "backpropagation_is_the_chain_rule",
        "The gradient that a node passes on is its local derivative times the gradient that arrives.",
        "∂f/∂x = Im f(x + ih)/h for h → 0; the largest difference, relative to 1 + |∂f/∂x|",
        worst(*gaps),
        {"a gradient of 0": worst(*sizes), "the opposite sign": 2 * worst(*sizes)},
        f"{len(cases)} expressions of three variables and {len(OF_VECTORS)} of a matrix and a vector, at a "
        "random point, float64",
        predicted_by="numpy.imag",
        measured_by="nnlab.expressions.passes.gradient",
    )


def _times_z(f: Callable[[Any], Any]) -> Callable[[Any, Any, Any], Any]:
    return lambda x, y, z: f(x * y) * z


# --- 4. convolution -------------------------------------------------------------------------------------


def _convolution(draw: torch.Generator) -> list[Claim]:
    """Checks the identities on a random image and filter; each measure is a largest difference."""
    f, g = torch.randn(8, 10, generator=draw).double(), torch.randn(3, 3, generator=draw).double()
    return [_definition(f, g), _matrix(draw), _shifts(f, g)]


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
        predicted_by="closed form: ΣΣ f(n₁, n₂) g(x − n₁, y − n₂)",
        measured_by="nnlab.models.convolution.convolve",
    )


def _matrix(draw: torch.Generator) -> Claim:
    filters = torch.randn(4, 2, 3, 3, generator=draw).double()
    maps = torch.randn(2, 8, 10, generator=draw).double()
    multiplied = convolution_matrix(filters, (8, 10), padding=1, stride=2) @ maps.flatten()
    around = np.pad(maps.numpy(), [(0, 0), (1, 1), (1, 1)])
    windows = sliding_window_view(around, (3, 3), axis=(1, 2))[:, ::2, ::2]  # (2, 4, 5, 3, 3)
    products, turned = (
        np.einsum("ihwab,oiab->ohw", windows, w.numpy()).ravel() for w in (filters, filters.flip(2, 3))
    )
    return _identity(
        "a_layer_is_one_matrix",
        "A convolutional layer is a fully connected layer with shared weights.",
        "dot products of windows and filters = Mx, padding 1, stride 2, two maps in and four out",
        _largest(multiplied.numpy() - products),
        {"filters turned": _largest(products - turned)},
        predicted_by="numpy.lib.stride_tricks.sliding_window_view",
        measured_by="nnlab.models.convolution.convolution_matrix",
    )


def _shifts(f: Tensor, g: Tensor) -> Claim:
    moved = convolve(f.roll((1, 2), (0, 1)), g, circular=True)
    by_transform = np.fft.ifft2(np.fft.fft2(f) * np.fft.fft2(g, f.shape)).real
    shifted = np.roll(by_transform, (1, 2), (0, 1))
    return _identity(
        "convolution_commutes_with_shifts",
        "If the image shifts, its activation map shifts with it.",
        "(Sf)∗g = S(f∗g) with circular padding, f∗g by Fourier transforms",
        _largest(moved.numpy() - shifted),
        {
            "the map stays": _largest(shifted - by_transform),
            "shifted the other way": _largest(shifted - np.roll(by_transform, (-1, -2), (0, 1))),
        },
        predicted_by="numpy.fft.fft2, numpy.fft.ifft2",
        measured_by="nnlab.models.convolution.convolve",
    )


def _continuous_convolution() -> Claim:
    """Takes h times the discrete convolution at left ends, whose error is known to the order h."""
    h = 1 / CELLS
    x = torch.arange(CELLS, dtype=torch.float64) * h
    y = x.numpy()
    sums = h * convolve((-x).exp()[None], x[None])[0, :CELLS].numpy()
    gap = float(((sums - (y - 1 + np.exp(-y))) / h)[-1])
    return exact_claim(
        "continuous_convolution",
        sentence="The continuous convolution is the limit of the discrete one, times the width of a cell.",
        formula="(h Σ f(nh) g(y − nh) − ∫ f(x) g(y − x) dx)/h → f(0) g(y)/2",
        hypotheses=[
            "f = e^−x and g = x for x ≥ 0, both 0 before: ∫ f(x) g(y − x) dx = y − 1 + e^−y",
            f"h = 1/{CELLS}, at y = 1 − h; the error of left ends by Euler and Maclaurin's formula",
        ],
        predicted=y[-1] / 2,
        measured=gap,
        tolerance=h / 4,  # the next term is h (1 + y − e^−y)/12
        rivals={"converged without error": 0.0, "the error of right ends": -y[-1] / 2, "error h": y[-1]},
        predicted_by="closed form: f(0) g(y)/2",
        measured_by="nnlab.models.convolution.convolve",
    )


def _sizes() -> Claim:
    """Compares layers of many kernels, strides and paddings with the formula, and the lecture's 32 → 16."""
    image, wrong, kinds = torch.zeros(1, 1, 8, 10), 0, 0
    for kernel, stride, padding in product((1, 2, 3, 5), (1, 2, 3), (0, 1, 2)):
        maps = F.conv2d(image, torch.ones(1, 1, kernel, kernel), stride=stride, padding=padding)
        wrong += [conv_output_size(size, kernel, padding, stride) for size in (8, 10)] != list(maps.shape[2:])
        kinds += 1
    network = CNN((3, 32, 32), [6], 10, generator=torch.Generator())
    pooled = network.pools[0](torch.zeros(1, 6, 32, 32))
    wrong += pooled.shape[2:] != (16, conv_output_size(32, 2, 0, 2))
    return _identity(
        "sizes_of_maps",
        "The size of a map follows from a formula; pooling over 2 × 2 windows halves 32 to 16.",
        f"⌊(size + 2·padding − kernel)/stride⌋ + 1: layers of {kinds + 1} for which it is wrong",
        float(wrong),
        {"every one": float(kinds + 1)},
        "layers of torch, and a pooling of a CNN",
        predicted_by="nnlab.models.convolution.conv_output_size",
        measured_by="torch.nn.functional.conv2d, nnlab.models.CNN",
    )


# --- figures --------------------------------------------------------------------------------------------


def _draw(record: Record) -> None:
    p = np.linspace(0.005, 1, 400)
    record.save_arrays(probability=p, loss=-np.log(p))
    record.figure("loss", loss_of_probability, p, -np.log(p), PROBABILITY)
    for name in ("sum", "neuron"):
        example = EXAMPLES[name]
        record.figure(name, graph_of, example.expression, dict(example.at), f"f = {example.expression}")
