"""Claims about a trained convolutional network: its formula, and what each of its units sees."""

import copy
import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from torch import Tensor, nn

from nnlab.models import CNN, Maxout, activation_maps, layer_table
from nnlab.theory import Claim, exact_claim, worst

Array = NDArray[np.float64]

IMAGES = 20
"""Test images that go through the formula."""
DRAWN = 400
"""Random images whose gradients show which pixels a unit sees: a maximum passes on one of its four."""
ROUNDING = 1e-10
"""Relative, of sums over a filter in float64, through every layer."""


def cnn_claims(
    model: CNN, images: Tensor, scores: Tensor, *, padding: int | None, exactness: float
) -> list[Claim]:
    """Returns the claims about a trained network with max-pooling.

    Args:
        model: on any device; a copy of it computes in float64 on the CPU.
        images: (N, C₀, H, W) standardized, such as those of the test set.
        scores: (N, outputs) of the trained network for them.
        padding: zeros around a map, as they were asked for; None for (k − 1)/2.
        exactness: relative rounding of the scores.
    """
    exact = copy.deepcopy(model).cpu().double().eval()
    images, scores = images[:IMAGES].cpu().double(), scores[:IMAGES].cpu().double()
    with torch.no_grad():
        maps = {name: m.numpy() for name, m in activation_maps(exact, images).items()}
    zeros = (_kernel(model) - 1) // 2 if padding is None else padding
    network = Formula(exact, zeros)
    return [
        _maps_claim(network, images.numpy(), maps),
        _scores_claim(network, images.numpy(), scores.numpy(), exactness),
        _pooling_claim(network, images.numpy(), maps),
        _parameters_claim(exact, tuple(images.shape[1:])),
        _receptive_field_claim(exact),
        _shift_claim(exact),
    ]


def _gap(a: Array, b: Array) -> float:
    """The largest difference, relative to the largest value of b; 1 where even the shapes differ."""
    return worst(a - b) / (worst(b) or 1.0) if a.shape == b.shape else 1.0


def _rivals(values: dict[str, float], predicted: float = 0.0) -> dict[str, float]:
    """Those that the network tells apart from the prediction: one whose maps are all 0 tells nothing."""
    return {name: value for name, value in values.items() if value != predicted and math.isfinite(value)}


def _convolutions(model: CNN) -> list[nn.Conv2d]:
    return [layer for layer in model.convolutions if isinstance(layer, nn.Conv2d)]


# --- its formula ----------------------------------------------------------------------------------------


def correlated(layer: nn.Conv2d, x: Array, padding: int, *, turned: bool = False) -> Array:
    """Returns the dot products of a layer's filters with all windows of x (N, C, H, W), plus the bias."""
    filters = layer.weight.detach().numpy()
    around = np.pad(x, [(0, 0), (0, 0), (padding, padding), (padding, padding)])
    windows = sliding_window_view(around, filters.shape[2:], axis=(2, 3))  # (N, C, H', W', k, k)
    filters = filters[:, :, ::-1, ::-1] if turned else filters
    maps: Array = np.einsum("nihwab,oiab->nohw", windows, filters, optimize=True)
    return maps if layer.bias is None else maps + layer.bias.detach().numpy()[:, None, None]


def pooled(x: Array, *, largest: bool = True) -> Array:
    """Returns the largest values, or the means, of 2 × 2 windows of each map of x (N, C, H, W), stride 2."""
    even = x[:, :, : x.shape[2] // 2 * 2, : x.shape[3] // 2 * 2]
    corners = np.stack([even[:, :, i::2, j::2] for i in (0, 1) for j in (0, 1)])
    values: Array = corners.max(axis=0) if largest else corners.mean(axis=0)
    return values


@dataclass(frozen=True)
class Formula:
    """A network worked out in NumPy from its trained weights.

    Attributes:
        model: in float64 on the CPU.
        padding: zeros around a map.
        largest: pools by maxima; by means is a mistake.
        turned: turns all filters, a mistake.
    """

    model: CNN
    padding: int
    largest: bool = True
    turned: bool = False

    def maps(self, block: int, x: Array) -> Array:
        """Returns the activated maps of a block, before its pooling, of those that go into it."""
        z = correlated(_convolutions(self.model)[block], x, self.padding, turned=self.turned)
        for norm in self.model.norms[block : block + 1]:
            assert isinstance(norm, nn.BatchNorm2d)
            z = _standardized(norm, z)
        activated: Array = self.model.activations[block](torch.from_numpy(z)).detach().numpy()
        return activated

    def scores(self, x: Array) -> Array:
        """Returns the scores (N, outputs) of images x (N, C₀, H, W)."""
        for block in range(len(self.model.convolutions)):
            x = pooled(self.maps(block, x), largest=self.largest)
        weight, bias = self.model.output.weight.detach().numpy(), self.model.output.bias
        scores: Array = x.reshape(len(x), -1) @ weight.T + (0 if bias is None else bias.detach().numpy())
        return scores


def _standardized(norm: nn.BatchNorm2d, x: Array) -> Array:
    """γ (x − mean)/√(variance + ε) + β with the statistics of training."""
    statistics = (norm.running_mean, norm.running_var, norm.weight, norm.bias)
    mean, variance, scale, shift = (t.detach().numpy()[:, None, None] for t in statistics if t is not None)
    standardized: Array = scale * (x - mean) / np.sqrt(variance + norm.eps) + shift
    return standardized


def _maps_claim(network: Formula, images: Array, maps: dict[str, Array]) -> Claim:
    layer = _convolutions(network.model)[0]
    expected, turned = (correlated(layer, images, network.padding, turned=t) for t in (False, True))
    rivals = {"filters turned": _gap(turned, expected)}
    if layer.bias is not None:
        bias = layer.bias.detach().numpy()[:, None, None]
        rivals["without the bias"] = _gap(expected - bias, expected)
    return exact_claim(
        "maps_are_dot_products_with_the_filters",
        sentence="An activation map holds the dot products of a filter with all windows of the image.",
        formula="z(x, y) = Σ Σ Σ f(c, x + i, y + j) w(c, i, j) + b, the largest relative difference",
        hypotheses=[f"the first layer after training, {len(images)} test images, float64"],
        predicted=0.0,
        measured=_gap(maps["convolutions.0"], expected),
        tolerance=ROUNDING,
        rivals=_rivals(rivals),
        predicted_by="nnlab.chapters.convolution.claims.correlated",
        measured_by="nnlab.models.activation_maps",
    )


def _scores_claim(network: Formula, images: Array, scores: Array, exactness: float) -> Claim:
    expected = network.scores(images)
    turned, means = replace(network, turned=True), replace(network, largest=False)
    return exact_claim(
        "scores_are_convolutions_with_activations_between",
        sentence="The network is convolutions with activations and pooling between, then a linear layer.",
        formula="s = W · pool φ(w₂ ∗ pool φ(w₁ ∗ x + b₁) + b₂) + b, the largest relative difference",
        hypotheses=[f"the trained network, {len(images)} test images"],
        predicted=0.0,
        measured=_gap(scores, expected),
        tolerance=exactness,
        rivals=_rivals(
            {
                "filters turned": _gap(turned.scores(images), expected),
                "means in place of maxima": _gap(means.scores(images), expected),
            }
        ),
        predicted_by="nnlab.chapters.convolution.claims.Formula.scores",
        measured_by="nnlab.training.predict",
    )


def _pooling_claim(network: Formula, images: Array, maps: dict[str, Array]) -> Claim:
    before = network.maps(0, images)
    expected = pooled(before)
    of_all_maps = np.broadcast_to(expected.max(axis=1, keepdims=True), expected.shape)
    return exact_claim(
        "pooling_acts_on_each_map_by_itself",
        sentence="Pooling keeps the largest of every 2 × 2 values of each map by itself, with stride 2.",
        formula="p(c, x, y) = max z(c, 2x + i, 2y + j) over i, j ∈ {0, 1}",
        hypotheses=[f"the first pooling of the trained network, {len(before)} test images"],
        predicted=0.0,
        measured=_gap(maps["pools.0"], expected),
        tolerance=ROUNDING,
        rivals=_rivals(
            {
                "means": _gap(pooled(before, largest=False), expected),
                "windows a pixel further": _gap(pooled(np.roll(before, -1, axis=2)), expected),
                "the largest of all maps": _gap(of_all_maps, expected),
            }
        ),
        predicted_by="nnlab.chapters.convolution.claims.pooled",
        measured_by="nnlab.models.activation_maps",
    )


def _parameters_claim(model: CNN, shape: tuple[int, ...]) -> Claim:
    """Counts from kernel, maps and image size alone, and holds the table of layers against it."""
    biased = int(model.output.bias is not None)
    maps, height, width = shape
    count, dense, per_norm = 0, 0, 2 * int(len(model.norms) > 0)
    for layer, activation in zip(_convolutions(model), model.activations, strict=True):
        k, padding, outputs = layer.kernel_size[0], int(layer.padding[0]), layer.out_channels
        count += outputs * (k * k * maps + int(layer.bias is not None) + per_norm)
        before = maps * height * width
        height, width = height + 2 * padding - k + 1, width + 2 * padding - k + 1
        dense += before * outputs * height * width
        pieces = activation.pieces if isinstance(activation, Maxout) else 1
        maps, height, width = outputs // pieces, height // 2, width // 2
    head = model.output.out_features * (maps * height * width + biased)
    return exact_claim(
        "number_of_parameters",
        sentence="Shared weights make a layer small: k²C_in numbers a filter, however large the image is.",
        formula="Σ (k² C_in + 1) C_out + (features + 1) · classes",
        hypotheses=["the table of layers", f"images of {' × '.join(map(str, shape))}"],
        predicted=float(count + head),
        measured=float(sum(row.parameters for row in layer_table(model, shape))),
        tolerance=0.0,
        rivals={
            "fully connected layers of the same sizes": float(dense + head),
            "the filters alone": float(sum(layer.weight.numel() for layer in _convolutions(model))),
        },
        predicted_by="closed form: Σ (k² C_in + 1) C_out + (features + 1) · classes",
        measured_by="nnlab.models.layer_table",
    )


# --- what a unit sees -----------------------------------------------------------------------------------


def _without_head(model: CNN) -> CNN:
    """Returns a copy that gives its last maps, stretched out, of images of any size."""
    headless = copy.deepcopy(model)
    headless.add_module("output", nn.Identity())
    return headless


def receptive_field(kernel: int, blocks: int) -> int:
    """Returns the side of the square that a unit after B blocks sees: 1 + Σ_b 2^{b−1} ((k − 1) + 1)."""
    side: int = 1 + kernel * (2**blocks - 1)
    return side


def _kernel(model: CNN) -> int:
    return int(_convolutions(model)[0].kernel_size[0])


def _large(model: CNN, count: int, side: int) -> Tensor:
    """Random images (count, C₀, side, side)."""
    channels = _convolutions(model)[0].in_channels
    random = torch.Generator().manual_seed(0)
    return torch.randn(count, channels, side, side, generator=random, dtype=torch.float64)


def _receptive_field_claim(model: CNN) -> Claim:
    """Counts the pixels on which a unit in the middle of the last maps depends, over random images."""
    blocks, kernel = len(model.convolutions), _kernel(model)
    side = receptive_field(kernel, blocks)
    headless = _without_head(model)
    images = _large(model, DRAWN, 2 * side + 2 ** (blocks + 1)).requires_grad_()
    maps = _last_maps(headless, images)
    middle = maps.shape[2] // 2
    (slopes,) = torch.autograd.grad(maps[:, :, middle, middle].square().sum(), images)
    sees = (slopes != 0).any(dim=0).any(dim=0)
    across = float(sees.any(dim=0).sum())
    rivals = {
        "without pooling": float(1 + blocks * (kernel - 1)),
        "pooling without its own window": float(1 + sum(2**b * (kernel - 1) for b in range(blocks))),
    }
    return exact_claim(
        "receptive_field",
        sentence="A unit of the last maps sees a square of the image; kernels and poolings give its side.",
        formula="r = 1 + Σ_b 2^{b−1} k: the rows and columns on which its gradient is not 0",
        hypotheses=[f"{blocks} blocks, k = {kernel}, {DRAWN} random images larger than the square"],
        predicted=float(side),
        measured=across if across == float(sees.any(dim=1).sum()) else math.nan,
        tolerance=0.0,
        rivals=_rivals(rivals, side),
        predicted_by="nnlab.chapters.convolution.claims.receptive_field",
        measured_by="nnlab.models.CNN.forward, torch.autograd.grad",
    )


def _last_maps(headless: CNN, images: Tensor) -> Tensor:
    """The last maps (N, C_B, side', side') of square images."""
    stretched = headless(images)
    shape = activation_maps(headless, images[:1].detach())[f"pools.{len(headless.pools) - 1}"].shape
    maps: Tensor = stretched.reshape(len(images), *shape[1:])
    return maps


@torch.no_grad()
def _shift_claim(model: CNN) -> Claim:
    """Compares the last maps of an image and of the same image moved, away from the borders."""
    blocks, kernel = len(model.convolutions), _kernel(model)
    stride, side = 2**blocks, receptive_field(kernel, blocks)
    headless = _without_head(model)
    margin = -(-side // stride) + 1
    image = _large(model, 2, stride * (2 * margin + 4))
    inner = (..., slice(margin, -margin), slice(margin, -margin))

    def moved(pixels: int) -> Tensor:
        return _last_maps(headless, image.roll((pixels, pixels), (2, 3)))[inner]

    def gap(pixels: int) -> float:
        return _gap(moved(pixels).numpy(), expected.numpy())

    expected = _last_maps(headless, image).roll((1, 1), (2, 3))[inner]
    return exact_claim(
        "maps_move_with_the_image",
        sentence="If the image moves by 2^B pixels, the maps after B poolings move by 1, inside.",
        formula="last maps(S^{2^B} f) = S last maps(f), the largest relative difference",
        hypotheses=[f"the trained network, B = {blocks}, random images"],
        predicted=0.0,
        measured=gap(stride),
        tolerance=ROUNDING,
        rivals=_rivals({"the maps stay": gap(0), "moved by 1 pixel": gap(1)}),
        predicted_by="torch.roll",
        measured_by="nnlab.models.CNN.forward",
    )
