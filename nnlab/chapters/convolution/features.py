"""What a convolutional network looks for and makes of an image: numbers into the record, and figures."""

import math
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.linalg import eigh
from torch import Tensor, nn
from torch.nn import functional as F

from nnlab.chapters.convolution.figures.classes import class_accuracy
from nnlab.chapters.convolution.figures.filters import filter_images
from nnlab.chapters.convolution.figures.maps import LAYERS, LayerMaps
from nnlab.chapters.convolution.figures.maps import activation_maps as activation_maps_figure
from nnlab.chapters.convolution.figures.pooling import pooling_step
from nnlab.chapters.convolution.figures.representation import representation
from nnlab.chapters.convolution.figures.sliding import sliding_filter
from nnlab.chapters.convolution.figures.stack import Layer, layer_stack
from nnlab.chapters.convolution.input_form import InputForm, as_picture
from nnlab.data import DataSet
from nnlab.lab.drawing import numbers
from nnlab.lab.session import generator
from nnlab.models.summary import FEATURES, activation_maps, layer_table
from nnlab.record import Record
from nnlab.theory.intervals import proportion_interval
from nnlab.training.trainer import Precision, autocast

EXAMPLES = 4  # test images, each of another class, whose activation maps are drawn
POINTS = 2_000  # test images on the figure of the last hidden layer
MAPS = 8  # of each layer
BLOCK = 500  # images that go through the network at a time


@dataclass(frozen=True, eq=False)
class Look:
    """An image to look into.

    Attributes:
        name: as part of file names.
        picture: (H, W) or (H, W, 3) in [0, 1], as people see it.
        inputs: (C, H, W), as the network gets it, on its device.
        words: lines to stand beside it.
    """

    name: str
    picture: np.ndarray
    inputs: Tensor
    words: tuple[str, ...] = ()


def draw_features(
    record: Record, model: nn.Module, data: DataSet, scores: Tensor, precision: Precision
) -> None:
    """Everything that can be seen of a trained classifier.

    For more than two classes the accuracy of each; for images the stack of layers and the last hidden layer
    in two dimensions; for a network with convolutions its filters, one of them sliding over an image, what
    pooling does, and the activation maps of up to four test images.

    Args:
        record: takes arrays and figures, and the numbers that bring another image to the network's form.
        model: the trained network.
        data: what it was trained on.
        scores: (N, C) on the test split.
        precision: of forward passes.
    """
    if data.task == "classification" and data.outputs > 2:
        draw_class_accuracy(record, data, scores)
    if len(data.input_shape) != 3:
        return
    form = InputForm.of(data)
    record.save_arrays(**form.arrays())
    draw_network(record, model, default_looks(data, form, scores))
    draw_representation(record, model, data, precision)


# --- the data set --------------------------------------------------------------------------------------


def draw_class_accuracy(record: Record, data: DataSet, scores: Tensor) -> None:
    """The accuracy of each class on the test set, with Wilson's interval."""
    targets = data.test.targets
    right = scores.argmax(1) == targets
    examples = numbers(torch.bincount(targets, minlength=data.outputs))
    correct = numbers(torch.bincount(targets[right], minlength=data.outputs))
    accuracy = [int(c) / int(n) if n else math.nan for c, n in zip(correct, examples, strict=True)]
    ends = [proportion_interval(int(c), int(n)) for c, n in zip(correct, examples, strict=True)]
    intervals = np.array([[math.nan if end is None else end for end in pair] for pair in ends])
    arrays = {"accuracy": np.array(accuracy), "intervals": intervals, "examples": examples}
    record.save_arrays(**{f"classes/{key}": value for key, value in arrays.items()})
    overall = float(right.double().mean())
    figure = class_accuracy(accuracy, data.class_names, intervals, overall=overall)
    record.save_figure(figure, "classes")


def draw_representation(record: Record, model: nn.Module, data: DataSet, precision: Precision) -> None:
    """Up to 2,000 test images on the first two principal components of the last hidden layer."""
    count = len(data.test)
    chosen = torch.randperm(count, generator=generator(0, "representation"))[:POINTS].sort().values
    inputs = data.test.inputs[chosen.to(data.test.inputs.device)]
    features = last_hidden(model, data, inputs, precision)
    if features is None or len(features) < 2 or not np.isfinite(features).all():
        return
    points, explained = principal_components(features)
    labels = numbers(data.test.targets)[chosen.numpy()]
    arrays = {"points": points, "explained": explained, "labels": labels, "examples": chosen.numpy()}
    record.save_arrays(**{f"representation/{key}": value for key, value in arrays.items()})
    pictures = raw_pictures(data, inputs)
    figure = representation(points, labels.tolist(), data.class_names, explained.tolist(), pictures)
    record.save_figure(figure, "representation")


@torch.no_grad()
def last_hidden(model: nn.Module, data: DataSet, inputs: Tensor, precision: Precision) -> np.ndarray | None:
    """(n, F) float64: what the last linear layer gets; None where there is none, or it gets the image itself.

    `activation_maps` knows it too, but keeps a copy of what every layer makes: too much for many images.
    """
    given: list[Tensor] = []

    def note(layer: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        given[:] = [arguments[0]]

    blocks = []
    hooks = [m.register_forward_pre_hook(note) for m in model.modules() if isinstance(m, nn.Linear)]
    training = model.training
    try:
        model.eval()
        for block in torch.split(inputs, BLOCK):
            images = data.normalize(block)
            with autocast(images.device, precision) or nullcontext():
                model(images)
            if not given or is_image(given[0], images):
                return None
            blocks.append(numbers(given[0].flatten(1).double()))
    finally:
        model.train(training)
        for hook in hooks:
            hook.remove()
    return np.concatenate(blocks)


def is_image(features: Tensor, images: Tensor) -> bool:
    """Whether a layer gets the images as they are, as that of softmax regression does."""
    return features[0].numel() == images[0].numel() and torch.equal(
        features.flatten(1), images.flatten(1).to(features.dtype)
    )


def principal_components(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points (n, 2) on the two directions of largest variance, and the shares of the variance along them.

    By the eigenvectors of the smaller of XXᵀ and XᵀX, X the centred features. The point farthest out along a
    direction is on its positive side.
    """
    centred = features - features.mean(0)
    wide = centred.shape[1] > centred.shape[0]
    gram = centred @ centred.T if wide else centred.T @ centred
    size = len(gram)
    values, vectors = eigh(gram, subset_by_index=[max(0, size - 2), size - 1])
    values, vectors = values[::-1].clip(min=0), vectors[:, ::-1]
    points = vectors * np.sqrt(values) if wide else centred @ vectors
    points = np.pad(points, ((0, 0), (0, 2 - points.shape[1])))
    signs = np.sign(points[np.abs(points).argmax(0), [0, 1]])
    total = float(np.trace(gram)) or 1.0
    return points * np.where(signs == 0, 1, signs), np.pad(values / total, (0, 2 - len(values)))


def default_looks(data: DataSet, form: InputForm, scores: Tensor) -> list[Look]:
    """The first test image of each of up to four classes that stand evenly among all."""
    classes = np.unique(numbers(data.test.targets))
    places = np.linspace(0, len(classes) - 1, min(EXAMPLES, len(classes))).round().astype(int)
    found = []
    for number in classes[places]:
        index = int((data.test.targets == int(number)).nonzero()[0, 0])
        inputs = data.normalize(data.test.inputs[index : index + 1])[0]
        true = f"class: {data.class_names[number]} (test image {index})"
        words = (true, answer(scores[index], data.class_names))
        found.append(Look(f"test{index}", form.picture(inputs), inputs, words))
    return found


def answer(scores: Tensor, class_names: Sequence[str]) -> str:
    """The model's answer to one image in words."""
    chances = scores.double().softmax(0)
    best = int(chances.argmax())
    return f"the model says: {class_names[best]}, {100 * float(chances[best]):.0f} %"


def raw_pictures(data: DataSet, inputs: Tensor) -> list[np.ndarray]:
    """Images as people see them, their pixels where they belong."""
    pixels = numbers(data.raw(inputs).float() / (data.full_scale or 1))
    return [as_picture(image) for image in pixels]


# --- the network ---------------------------------------------------------------------------------------


def draw_network(record: Record, model: nn.Module, looks: Sequence[Look]) -> None:
    """What needs no data set: the stack of layers and, where the network has maps, what happens in them."""
    draw_stack(record, model, tuple(looks[0].inputs.shape))
    seen = observe(model, looks[0].inputs[None])
    convolution = next((s for s in seen if readable_convolution(s, looks[0].inputs)), None)
    if convolution is not None:
        draw_filters(record, convolution)
        draw_sliding(record, convolution, looks[0])
    pool = next((s for s in seen if readable_pool(s)), None)
    if pool is not None:
        draw_pooling(record, pool)
    if any(isinstance(s.layer, nn.Conv2d) for s in seen):
        for look in looks:
            draw_maps(record, model, look)


@dataclass(frozen=True, eq=False)
class Seen:
    """A layer at work on one image: (C, H, W) in, (C', H', W') out."""

    layer: nn.Module
    inputs: Tensor
    outputs: Tensor


@torch.no_grad()
def observe(model: nn.Module, images: Tensor) -> list[Seen]:
    """The convolutions and pools of a network, in the order in which they work on one image (1, C, H, W)."""
    seen: list[Seen] = []

    def note(layer: nn.Module, inputs: tuple[Tensor, ...], outputs: Tensor) -> None:
        seen.append(Seen(layer, inputs[0][0].clone(), outputs[0].clone()))

    kinds = nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d
    hooks = [m.register_forward_hook(note) for m in model.modules() if isinstance(m, kinds)]
    training = model.training
    try:
        model.eval()(images)
    finally:
        model.train(training)
        for hook in hooks:
            hook.remove()
    return seen


def one_number(value: Any) -> int | None:
    """The n of n or (n, n); None for anything else, such as a padding that has a name."""
    if isinstance(value, int):
        return value
    equal = isinstance(value, tuple) and value and all(v == value[0] for v in value)
    return int(value[0]) if equal else None


def padding_of(layer: nn.Conv2d) -> int | None:
    side = layer.kernel_size[0]
    named = {"valid": 0, "same": (side - 1) // 2 if side % 2 else None}
    return named[layer.padding] if isinstance(layer.padding, str) else one_number(layer.padding)


def readable_convolution(seen: Seen, image: Tensor) -> bool:
    """Whether a layer is a plain convolution of an image, with square filters and equal steps."""
    layer = seen.layer
    return (
        isinstance(layer, nn.Conv2d)
        and seen.inputs.shape == image.shape
        and image.shape[0] in (1, 3)
        and layer.groups == 1
        and one_number(layer.dilation) == 1
        and None not in (one_number(layer.kernel_size), one_number(layer.stride), padding_of(layer))
    )


def readable_pool(seen: Seen) -> bool:
    """Whether a layer is pooling by windows side by side."""
    layer = seen.layer
    if not isinstance(layer, nn.MaxPool2d | nn.AvgPool2d) or seen.inputs.ndim != 3:
        return False
    side = one_number(layer.kernel_size)
    return (
        side is not None
        and side > 1
        and one_number(layer.stride) == side
        and one_number(layer.padding) == 0
        and one_number(getattr(layer, "dilation", 1)) == 1
        and tuple(seen.outputs.shape[1:]) == tuple(s // side for s in seen.inputs.shape[1:])
    )


def draw_stack(record: Record, model: nn.Module, input_shape: tuple[int, ...]) -> None:
    """The layers with output sizes, parameters and multiply-adds."""
    rows = layer_table(model, input_shape)
    record.save_arrays(
        **{
            "stack/name": np.array([row.name for row in rows], dtype=np.str_),
            "stack/kind": np.array([row.kind for row in rows], dtype=np.str_),
            "stack/output": np.array(["×".join(map(str, row.output_shape)) for row in rows], dtype=np.str_),
            "stack/parameters": np.array([row.parameters for row in rows]),
            "stack/trainable": np.array([row.trainable for row in rows]),
            "stack/multiply_adds": np.array([row.multiply_adds for row in rows]),
        }
    )
    layers = [
        Layer(row.name, row.kind, row.output_shape, row.parameters, row.trainable, row.multiply_adds)
        for row in rows
    ]
    record.save_figure(layer_stack(layers, input_shape), "stack")


def draw_filters(record: Record, seen: Seen) -> None:
    """The filters of the first layer as images."""
    assert isinstance(seen.layer, nn.Conv2d)
    weights = numbers(seen.layer.weight.float())
    record.save_arrays(filters=weights)
    record.save_figure(filter_images(weights), "filters")


def draw_sliding(record: Record, seen: Seen, look: Look) -> None:
    """The filter whose map varies most on the image, where it answers most, least, and hardly."""
    layer = seen.layer
    assert isinstance(layer, nn.Conv2d)
    side, stride, padding = layer.kernel_size[0], layer.stride[0], padding_of(layer) or 0
    maps = numbers(seen.outputs.double())
    chosen = int(maps.std((1, 2)).argmax())
    bias = 0.0 if layer.bias is None else float(layer.bias[chosen].detach())
    places = telling_places(maps[chosen], bias, tuple(seen.inputs.shape[1:]), side, stride, padding)
    if not places:
        return
    weights, inputs = numbers(layer.weight[chosen].double()), numbers(seen.inputs.double())
    arrays = {
        "inputs": inputs, "weights": weights, "bias": bias, "map": maps[chosen], "filter": chosen,
        "places": np.array(places), "stride": stride, "padding": padding,
    }  # fmt: skip
    record.save_arrays(**{f"sliding/{key}": value for key, value in arrays.items()})
    figure = sliding_filter(
        look.picture, inputs, weights, bias, maps[chosen], places,
        stride=stride, padding=padding, name=f"filter {chosen + 1} of {len(maps)}",
    )  # fmt: skip
    record.save_figure(figure, "sliding")


def telling_places(
    values: np.ndarray, bias: float, image: tuple[int, ...], side: int, stride: int, padding: int
) -> list[tuple[int, int]]:
    """Up to three places of an activation map whose windows lie inside the image and apart from each other.

    The first has the largest value, the second the smallest, the third a dot product near 0.
    """
    rows, columns = np.indices(values.shape)
    top, left = rows * stride - padding, columns * stride - padding
    free = (top >= 0) & (left >= 0) & (top <= image[0] - side) & (left <= image[1] - side)
    apart = max(side, values.shape[0] // 6), max(side, values.shape[1] // 4)
    found = []
    for wanted in (values, -values, -np.abs(values - bias)):
        if not free.any():
            break
        row, column = np.unravel_index(np.where(free, wanted, -np.inf).argmax(), values.shape)
        found.append((int(row), int(column)))
        free &= (np.abs(rows - row) >= apart[0]) | (np.abs(columns - column) >= apart[1])
    return found


def draw_pooling(record: Record, seen: Seen) -> None:
    """The map that varies most, before and after; written out where its neighbours differ most."""
    side = one_number(seen.layer.kernel_size)
    assert side is not None
    chosen = int(seen.inputs.double().flatten(1).std(1).argmax())
    before, after = seen.inputs[chosen].double(), seen.outputs[chosen].double()
    corner = (0, 0)
    if min(after.shape) >= 2:
        blocks = before[None, None]
        spread = F.avg_pool2d(blocks**2, 2 * side, side) - F.avg_pool2d(blocks, 2 * side, side) ** 2
        row, column = divmod(int(spread.argmax()), spread.shape[-1])
        corner = (row, column)
    kind = "max" if isinstance(seen.layer, nn.MaxPool2d) else "mean"
    large, small = numbers(before), numbers(after)
    arrays = {"before": large, "after": small, "corner": np.array(corner), "map": np.array(chosen)}
    record.save_arrays(**{f"pooling/{key}": value for key, value in arrays.items()})
    figure = pooling_step(large, small, corner, kernel=side, kind=kind)
    record.save_figure(figure, "pooling")


def draw_maps(record: Record, model: nn.Module, look: Look) -> None:
    """The most varied maps of every layer for one image, on as many figures as they need."""
    layers, arrays = [], {f"maps/{look.name}/picture": look.picture}
    for name, outputs in activation_maps(model, look.inputs[None]).items():
        if name == FEATURES:
            continue
        values = numbers(outputs[0].double())
        layer, chosen = most_varied(name, values)
        layers.append(layer)
        arrays[f"maps/{look.name}/{name}"] = layer.values
        if chosen is not None:
            arrays[f"maps/{look.name}/{name}/chosen"] = chosen
    record.save_arrays(**arrays)
    pages = math.ceil(len(layers) / LAYERS)
    size = math.ceil(len(layers) / pages)
    for page in range(pages):
        shown = layers[page * size : (page + 1) * size]
        figure = activation_maps_figure(look.picture, shown, look.words, maps_title(page, pages))
        record.save_figure(figure, f"maps-{look.name}" + (f"-{page + 1}" if pages > 1 else ""))


def maps_title(page: int, pages: int) -> str:
    part = f", part {page + 1} of {pages}" if pages > 1 else ""
    return f"What each layer makes of one image{part}"


def most_varied(name: str, values: np.ndarray) -> tuple[LayerMaps, np.ndarray | None]:
    """The maps of a layer that vary most over the image, in that order, and their numbers.

    Units, and maps of a single pixel, stay all together and as they are.
    """
    if values.ndim != 3 or values.shape[1:] == (1, 1):
        return LayerMaps(name, values.shape, values.reshape(-1)), None
    chosen = np.argsort(-values.std((1, 2)), kind="stable")[:MAPS]
    return LayerMaps(name, values.shape, values[chosen]), chosen
