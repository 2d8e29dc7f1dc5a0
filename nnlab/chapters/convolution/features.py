"""The figures of a trained classifier: classes, layers, filters and activation maps, with their numbers."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from scipy.linalg import eigh
from torch import Tensor, nn
from torch.nn import functional as F

from nnlab.chapters.convolution import schema
from nnlab.chapters.convolution.figures.classes import class_accuracy, middle_examples, representation
from nnlab.chapters.convolution.figures.filters import filter_images, pooling_step, sliding_filter
from nnlab.chapters.convolution.figures.layers import LAYERS, LayerMaps, layer_stack
from nnlab.chapters.convolution.figures.layers import activation_maps as activation_maps_figure
from nnlab.chapters.convolution.image_format import ImageFormat
from nnlab.data import DataSet
from nnlab.lab.session import generator
from nnlab.models.summary import FEATURES, activation_maps, evaluation_mode, layer_table
from nnlab.plot.images import as_picture
from nnlab.record import Record
from nnlab.record.arrays import under
from nnlab.theory.intervals import proportion_interval
from nnlab.training.evaluation import Precision, autocast

EXAMPLES = 4  # test images, each of another class, whose activation maps are drawn
POINTS = 2_000  # test images on the figure of the last hidden layer
MAPS = 8  # of each layer
BLOCK = 500  # images that go through the network at a time
PARAMETERS = 20_000  # of a network that is saved whole, for the page


@dataclass(frozen=True, eq=False)
class Example:
    """An image whose way through the network is drawn.

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
    """Draws everything that can be seen of a trained classifier.

    For more than two classes the accuracy of each; for images the stack of layers and the last hidden layer
    in two dimensions; for a network with convolutions its filters, one of them sliding over an image, what
    pooling does, and the activation maps of up to four test images.

    Args:
        record: takes arrays and figures, and the numbers that bring another image to the network's format.
        model: the trained network.
        data: what it was trained on.
        scores: (N, C) on the test split.
        precision: of forward passes.
    """
    draw_classes(record, model, data, scores, precision)
    if len(data.input_shape) == 3:
        images = ImageFormat.of(data)
        record.save_arrays(**images.arrays())
        _save_network(record, model)
        record.later("stack", lambda: draw_network(record, model, test_examples(data, images, scores)))


def _save_network(record: Record, model: nn.Module) -> None:
    """Saves all parameters of a small network, with which the page computes its answer to a drawn image."""
    parameters = dict(model.named_parameters())
    if sum(p.numel() for p in parameters.values()) <= PARAMETERS:
        _save(record, schema.NETWORK, **{name: p.float().numpy(force=True) for name, p in parameters.items()})


# --- the data set --------------------------------------------------------------------------------------


def draw_classes(
    record: Record, model: nn.Module, data: DataSet, scores: Tensor, precision: Precision
) -> None:
    """Draws the accuracy of each of more than two classes, and for images the last hidden layer."""
    if data.outputs > 2:
        record.later("classes", partial(_draw_class_accuracy, record, data, scores))
    if len(data.input_shape) == 3:
        record.later("representation", partial(_draw_representation, record, model, data, precision))


def _save(record: Record, prefix: str, /, **arrays: Any) -> None:
    record.save_arrays(**under(prefix, arrays))


def _draw_class_accuracy(record: Record, data: DataSet, scores: Tensor) -> None:
    """Draws the accuracy of each class on the test set, with Wilson's interval."""
    targets = data.test.targets
    right = scores.argmax(1) == targets
    examples, correct = (
        torch.bincount(labels, minlength=data.outputs).numpy(force=True)
        for labels in (targets, targets[right])
    )
    accuracy = [int(c) / int(n) if n else math.nan for c, n in zip(correct, examples, strict=True)]
    ends = [proportion_interval(int(c), int(n)) for c, n in zip(correct, examples, strict=True)]
    intervals = np.array([[math.nan if end is None else end for end in pair] for pair in ends])
    _save(record, "classes", accuracy=np.array(accuracy), intervals=intervals, examples=examples)
    overall = float(right.double().mean())
    record.figure("classes", class_accuracy, accuracy, data.class_names, intervals, overall)


def _draw_representation(record: Record, model: nn.Module, data: DataSet, precision: Precision) -> None:
    """Draws up to 2,000 test images on the first two principal components of the last hidden layer."""
    count = len(data.test)
    chosen = torch.randperm(count, generator=generator(0, "representation"))[:POINTS].sort().values
    inputs = data.test.inputs[chosen.to(data.test.inputs.device)]
    features = last_hidden(model, data, inputs, precision)
    if features is None or len(features) < 2 or not np.isfinite(features).all():
        return
    points, explained = principal_components(features)
    labels = data.test.targets.numpy(force=True)[chosen.numpy()]
    _save(
        record, "representation", points=points, explained=explained, labels=labels, examples=chosen.numpy()
    )
    middles = list(middle_examples(points, labels, data.outputs).values())
    pixels = (data.raw(inputs[middles]).float() / (data.full_scale or 1)).numpy(force=True)
    pictures = {index: as_picture(image) for index, image in zip(middles, pixels, strict=True)}
    record.figure(
        "representation",
        representation,
        points,
        labels.tolist(),
        data.class_names,
        explained.tolist(),
        pictures,
    )


@torch.no_grad()
def last_hidden(model: nn.Module, data: DataSet, inputs: Tensor, precision: Precision) -> np.ndarray | None:
    """Returns (n, F) float64, the input of the last linear layer; None where that is the image itself.

    `activation_maps` knows it too, but keeps a copy of every layer's output: too much for many images.
    """
    last: list[Tensor] = []

    def note(layer: nn.Module, arguments: tuple[Tensor, ...], outputs: Tensor) -> None:
        last[:] = [arguments[0]]

    blocks = []
    with _watching(model, nn.Linear, note):
        for block in torch.split(inputs, BLOCK):
            images = data.normalize(block)
            with autocast(images.device, precision):
                model(images)
            if not last or is_image(last[0], images):
                return None
            blocks.append(last[0].flatten(1).double().numpy(force=True))
    return np.concatenate(blocks)


@contextmanager
def _watching(model: nn.Module, kinds: Any, note: Callable[..., None]) -> Iterator[None]:
    """Calls `note` with each layer of these kinds, its inputs and outputs, in evaluation mode."""
    with ExitStack() as hooks, evaluation_mode(model):
        for layer in model.modules():
            if isinstance(layer, kinds):
                hooks.enter_context(layer.register_forward_hook(note))
        yield


def is_image(features: Tensor, images: Tensor) -> bool:
    """Tells whether a layer gets the images as they are, as that of softmax regression does."""
    return features[0].numel() == images[0].numel() and torch.equal(
        features.flatten(1), images.flatten(1).to(features.dtype)
    )


def principal_components(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns points (n, 2) on the two directions of largest variance, and their shares of the variance.

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


def test_examples(data: DataSet, images: ImageFormat, scores: Tensor) -> list[Example]:
    """Returns the first test image of each of up to four classes, evenly spaced among all."""
    classes = np.unique(data.test.targets.numpy(force=True))
    places = np.linspace(0, len(classes) - 1, min(EXAMPLES, len(classes))).round().astype(int)
    examples = []
    for number in classes[places]:
        index = int((data.test.targets == int(number)).nonzero()[0, 0])
        inputs = data.normalize(data.test.inputs[index : index + 1])[0]
        true = f"class: {data.class_names[number]} (test image {index})"
        words = (true, answer(scores[index], data.class_names))
        examples.append(Example(f"test{index}", images.picture(inputs), inputs, words))
    return examples


def answer(scores: Tensor, class_names: Sequence[str]) -> str:
    """Returns the model's answer to one image in words."""
    chances = scores.double().softmax(0)
    best = int(chances.argmax())
    return f"the model says: {class_names[best]}, {100 * float(chances[best]):.0f} %"


# --- the network ---------------------------------------------------------------------------------------


def draw_network(record: Record, model: nn.Module, examples: Sequence[Example]) -> None:
    """Draws the stack of layers and, where the network has maps, its filters, pooling and maps.

    It needs no data set: the first example is the one that filters and pooling are applied to.
    """
    first = examples[0]
    record.later("stack", partial(_draw_stack, record, model, tuple(first.inputs.shape)))
    record.later("filters", partial(_draw_filters, record, model, first))
    record.later("pooling", partial(_draw_first_pooling, record, model, first))
    for example in examples:
        record.later(f"maps-{example.name}", partial(_draw_maps, record, model, example))


def _draw_filters(record: Record, model: nn.Module, example: Example) -> None:
    """Draws the filters of the first layer and, where it is a plain convolution, one of them at work."""
    calls = observe(model, example.inputs[None])
    convolution = next((c for c in calls if readable_convolution(c, example.inputs)), None)
    if convolution is not None:
        weights = convolution.layer.weight.float().numpy(force=True)  # type: ignore[operator]
        record.save_arrays(**{schema.FILTERS: weights})
        record.figure("filters", filter_images, weights)
        _draw_sliding(record, convolution, example)


def _draw_first_pooling(record: Record, model: nn.Module, example: Example) -> None:
    pool = next((c for c in observe(model, example.inputs[None]) if readable_pool(c)), None)
    if pool is not None:
        _draw_pooling(record, pool)


@dataclass(frozen=True, eq=False)
class LayerCall:
    """A layer applied to one image: (C, H, W) in, (C', H', W') out."""

    layer: nn.Module
    inputs: Tensor
    outputs: Tensor


@torch.no_grad()
def observe(model: nn.Module, images: Tensor) -> list[LayerCall]:
    """Returns the calls of a network's convolutions and pools, in order, on one image (1, C, H, W)."""
    calls: list[LayerCall] = []

    def note(layer: nn.Module, inputs: tuple[Tensor, ...], outputs: Tensor) -> None:
        calls.append(LayerCall(layer, inputs[0][0].clone(), outputs[0].clone()))

    with _watching(model, (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d), note):
        model(images)
    return calls


def one_number(value: Any) -> int | None:
    """Returns the n of n or (n, n); None for anything else, such as a padding that has a name."""
    if isinstance(value, int):
        return value
    equal = isinstance(value, tuple) and value and all(v == value[0] for v in value)
    return int(value[0]) if equal else None


def padding_of(layer: nn.Conv2d) -> int | None:
    side = layer.kernel_size[0]
    named = {"valid": 0, "same": (side - 1) // 2 if side % 2 else None}
    return named[layer.padding] if isinstance(layer.padding, str) else one_number(layer.padding)


def readable_convolution(call: LayerCall, image: Tensor) -> bool:
    """Tells whether a layer is a plain convolution of an image, with square filters and equal strides."""
    layer = call.layer
    return (
        isinstance(layer, nn.Conv2d)
        and call.inputs.shape == image.shape
        and image.shape[0] in (1, 3)
        and layer.groups == 1
        and one_number(layer.dilation) == 1
        and None not in (one_number(layer.kernel_size), one_number(layer.stride), padding_of(layer))
    )


def readable_pool(call: LayerCall) -> bool:
    """Tells whether a layer is pooling by windows side by side."""
    layer = call.layer
    if not isinstance(layer, nn.MaxPool2d | nn.AvgPool2d) or call.inputs.ndim != 3:
        return False
    side = one_number(layer.kernel_size) or 1
    stride, padding, dilation = (
        one_number(getattr(layer, name, 1)) for name in ("stride", "padding", "dilation")
    )
    sizes = tuple(size // side for size in call.inputs.shape[1:])
    return side > 1 and (stride, padding, dilation) == (side, 0, 1) and call.outputs.shape[1:] == sizes


def _draw_stack(record: Record, model: nn.Module, input_shape: tuple[int, ...]) -> None:
    """Draws the layers with output sizes, parameters and multiply-adds."""
    rows = layer_table(model, input_shape)
    names = ("name", "kind", "parameters", "trainable", "multiply_adds")
    columns = {name: np.array([getattr(row, name) for row in rows]) for name in names}
    outputs = np.array(["×".join(map(str, row.output_shape)) for row in rows])
    _save(record, "stack", output=outputs, **columns)
    record.figure("stack", layer_stack, rows, input_shape)


def _draw_sliding(record: Record, call: LayerCall, example: Example) -> None:
    """Draws the filter whose map varies most, where it answers most, least, and hardly."""
    layer = call.layer
    assert isinstance(layer, nn.Conv2d)
    side, stride, padding = layer.kernel_size[0], layer.stride[0], padding_of(layer) or 0
    maps = call.outputs.double().numpy(force=True)
    chosen = int(maps.std((1, 2)).argmax())
    bias = 0.0 if layer.bias is None else float(layer.bias[chosen].detach())
    places = telling_places(maps[chosen], bias, tuple(call.inputs.shape[1:]), side, stride, padding)
    if not places:
        return
    weights, inputs = (x.double().numpy(force=True) for x in (layer.weight[chosen], call.inputs))
    arrays = {
        schema.INPUTS: inputs, schema.WEIGHTS: weights, schema.BIAS: bias, "map": maps[chosen],
        schema.FILTER: chosen, "places": places, schema.STRIDE: stride, schema.PADDING: padding,
    }  # fmt: skip
    record.save_arrays(**under(schema.SLIDING, arrays))
    record.figure(
        "sliding",
        sliding_filter,
        example.picture,
        inputs,
        weights,
        bias,
        maps[chosen],
        places,
        stride=stride,
        padding=padding,
        name=f"filter {chosen + 1} of {len(maps)}",
    )


def telling_places(
    values: np.ndarray, bias: float, image: tuple[int, ...], side: int, stride: int, padding: int
) -> list[tuple[int, int]]:
    """Returns up to three places of an activation map with windows inside the image and apart.

    The first has the largest value, the second the smallest, the third a dot product near 0.
    """
    rows, columns = np.indices(values.shape)
    top, left = rows * stride - padding, columns * stride - padding
    free = (top >= 0) & (left >= 0) & (top <= image[0] - side) & (left <= image[1] - side)
    apart = max(side, values.shape[0] // 6), max(side, values.shape[1] // 4)
    places = []
    for wanted in (values, -values, -np.abs(values - bias)):
        if not free.any():
            break
        row, column = np.unravel_index(np.where(free, wanted, -np.inf).argmax(), values.shape)
        places.append((int(row), int(column)))
        free &= (np.abs(rows - row) >= apart[0]) | (np.abs(columns - column) >= apart[1])
    return places


def _draw_pooling(record: Record, call: LayerCall) -> None:
    """Draws the map that varies most, before and after; written out where its neighbours differ most."""
    side = one_number(call.layer.kernel_size)
    assert side is not None
    chosen = int(call.inputs.double().flatten(1).std(1).argmax())
    before, after = call.inputs[chosen].double(), call.outputs[chosen].double()
    corner = (0, 0)
    if min(after.shape) >= 2:
        blocks = before[None, None]
        spread = F.avg_pool2d(blocks**2, 2 * side, side) - F.avg_pool2d(blocks, 2 * side, side) ** 2
        row, column = divmod(int(spread.argmax()), spread.shape[-1])
        corner = (row, column)
    kind = "max" if isinstance(call.layer, nn.MaxPool2d) else "mean"
    large, small = before.numpy(force=True), after.numpy(force=True)
    _save(record, "pooling", before=large, after=small, corner=np.array(corner), map=np.array(chosen))
    record.figure("pooling", pooling_step, large, small, corner, kernel=side, kind=kind)


def _draw_maps(record: Record, model: nn.Module, example: Example) -> None:
    """Draws the most varied maps of every layer for one image, on as many figures as they need.

    Networks without a convolution have none.
    """
    if not any(isinstance(call.layer, nn.Conv2d) for call in observe(model, example.inputs[None])):
        return
    layers, arrays = [], {schema.PICTURE: example.picture}
    for name, outputs in activation_maps(model, example.inputs[None]).items():
        if name == FEATURES:
            continue
        layer, chosen = _most_varied(name, outputs[0].double().numpy(force=True))
        layers.append(layer)
        arrays[name] = layer.values
        if chosen is not None:
            arrays[schema.chosen_of(name)] = chosen
    _save(record, f"{schema.MAPS}/{example.name}", **arrays)
    pages = math.ceil(len(layers) / LAYERS)
    size = math.ceil(len(layers) / pages)
    for page in range(pages):
        part, suffix = (f", part {page + 1} of {pages}", f"-{page + 1}") if pages > 1 else ("", "")
        rows = layers[page * size : (page + 1) * size]
        end = f": {example.words[-1]}" if example.words else ""
        title = f"What each layer makes of one image{end}{part}"
        record.figure(
            f"maps-{example.name}{suffix}",
            activation_maps_figure,
            example.picture,
            rows,
            example.words,
            title,
        )


def _most_varied(name: str, values: np.ndarray) -> tuple[LayerMaps, np.ndarray | None]:
    """Returns the maps of a layer that vary most over the image, in that order, and their numbers.

    Units, and maps of a single pixel, stay all together and as they are.
    """
    if values.ndim != 3 or values.shape[1:] == (1, 1):
        return LayerMaps(name, values.shape, values.reshape(-1)), None
    chosen = np.argsort(-values.std((1, 2)), kind="stable")[:MAPS]
    return LayerMaps(name, values.shape, values[chosen]), chosen
