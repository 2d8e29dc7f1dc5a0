"""Section 4: a filter that slides over an image, and the maps that each layer makes."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnlab.chapters.convolution import schema
from nnlab.chapters.convolution.ideas import EXERCISES, IDEAS
from nnlab.page.contents import ChapterPage, ExperimentPage, Section
from nnlab.page.data import config_of
from nnlab.page.widget import Arrays, Widget, floats, numbers, packed, shaped
from nnlab.record import Run
from nnlab.record.arrays import group, groups

IMAGES = 4
"""The number of images whose maps are drawn."""


def learned_filter(run: Run, arrays: Arrays) -> Widget:
    """A filter of the first layer on the image that the run looked at."""
    saved = group(arrays, schema.SLIDING)
    image, weights = saved[schema.INPUTS], saved[schema.WEIGHTS]
    channels, height, width = image.shape
    shaped(weights, channels, weights.shape[-1], weights.shape[-1])
    shaped(image, channels, max(height, weights.shape[-1]), max(width, weights.shape[-1]))
    if saved[schema.STRIDE] < 1 or not 0 <= saved[schema.PADDING] < weights.shape[-1]:
        raise ValueError("no convolution")
    return Widget(
        "filter",
        "A learned filter slides over an image",
        "At each place the filter takes the dot product with the pixels under it and adds its bias: one "
        "number of its activation map.",
        {
            "image": numbers(image, 4),
            "stride": int(saved[schema.STRIDE]),
            "padding": int(saved[schema.PADDING]),
            "filters": [
                {
                    "name": f"filter {int(saved[schema.FILTER]) + 1} of the first layer",
                    "weights": numbers(weights, 4),
                    "bias": float(saved[schema.BIAS]),
                }
            ],
        },
    )


def maps(run: Run, arrays: Arrays) -> Widget:
    """Filters of the first layer, and the maps of each layer for each of the images."""
    images = groups(group(arrays, schema.MAPS)).items()
    looks = [_look(name, saved) for name, saved in images if schema.PICTURE in saved][:IMAGES]
    if not looks:
        raise ValueError("no image with its maps")
    filters = arrays.get(schema.FILTERS, np.zeros(0))
    class_names = group(arrays, schema.DATA)[schema.CLASS_NAMES]
    return Widget(
        "maps",
        "What each layer makes of an image",
        "Each filter of a layer gives one activation map. From layer to layer the maps become smaller, and "
        "the patterns that they respond to larger. The maps that vary most over the image are drawn.",
        {
            "looks": looks,
            "filters": numbers(filters, 3) if filters.ndim == 4 else [],
            "classes": [str(name) for name in np.atleast_1d(class_names)],
        },
    )


def _look(name: str, saved: Arrays) -> dict[str, Any]:
    """Returns an image and what each layer makes of it."""
    picture = saved[schema.PICTURE]
    beside = {schema.PICTURE, *map(schema.chosen_of, saved)}
    layers = [
        _maps(_in_words(layer), values, saved[schema.chosen_of(layer)])
        if values.ndim == 3
        else {"name": _in_words(layer), "values": numbers(values.reshape(-1), 4)}
        for layer, values in saved.items()
        if layer not in beside
    ]
    return {"name": name, "layers": layers, "picture": numbers(picture.reshape(*picture.shape[:2], -1), 3)}


KINDS = {
    "convolutions": "convolution",
    "activations": "activation",
    "pools": "pooling",
    "norms": "batch norm",
}
ORDER = ("first", "second", "third", "fourth")


def _in_words(layer: str) -> str:
    """Returns "first convolution" for convolutions.0; other layers keep their names.

    >>> _in_words("pools.1"), _in_words("output"), _in_words("body.3")
    ('second pooling', 'scores', 'body.3')
    """
    kind, _, number = layer.partition(".")
    if kind in KINDS and number.isdigit() and int(number) < len(ORDER):
        return f"{ORDER[int(number)]} {KINDS[kind]}"
    return "scores" if layer == "output" else layer


def _maps(layer: str, values: NDArray[Any], chosen: NDArray[Any]) -> dict[str, Any]:
    """Returns the maps (n, H, W) of a layer, their numbers in it, and their strongest response."""
    place = [int(i) for i in np.unravel_index(values.argmax(), values.shape)]
    return {
        "name": layer,
        "maps": packed(values),
        "chosen": [int(number) + 1 for number in shaped(chosen, len(values))],
        "strongest": {"value": float(values.max()), "at": place},
    }


def digit(run: Run, arrays: Arrays) -> Widget:
    """A sheet to draw a digit on, and the parameters of the network that answers."""
    images = group(arrays, schema.DATA)
    if images["shape"].tolist() != [1, 8, 8] or images["full_scale"] != 16:
        raise ValueError("the images are not the digits")
    saved, model = group(arrays, schema.NETWORK), config_of(run)["model"]
    is_linear = model["name"] == "mlp" and not model["hidden"]
    layers = [] if is_linear else _convolutions(saved, model)
    return Widget(
        "digit",
        "Draw a digit",
        "The drawing is scaled as in the data set, and the inked cells of each block of 4 × 4 are counted. "
        "Softmax regression compares it with one template a class; the convolutional network slides its "
        "filters over it.",
        {
            "network": {
                "name": "softmax regression" if is_linear else "convolutional network",
                "mean": float(images["mean"].item()),
                "std": float(images["std"].item()),
                "classes": [str(name) for name in images[schema.CLASS_NAMES]],
                "layers": [*layers, {"kind": "linear", "name": "scores", **_parameters(saved, "output")}],
            },
            "examples": _examples(arrays, images["full_scale"]),
        },
    )


def _parameters(saved: Arrays, layer: str) -> dict[str, Any]:
    weights = saved[f"{layer}.weight"]
    return {"weights": floats(weights), "bias": floats(shaped(saved[f"{layer}.bias"], len(weights)))}


def _convolutions(saved: Arrays, model: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns the blocks of a network of `nnlab.models.CNN`, layer by layer."""
    if (
        model["name"] != "cnn"
        or model["batch_norm"]
        or model["activation"] not in ("relu", "tanh", "sigmoid")
    ):
        raise ValueError("a network of another kind")
    padding = (model["kernel"] - 1) // 2 if model["padding"] is None else model["padding"]
    layers = list[dict[str, Any]]()
    for block in range(len(model["channels"])):
        layers += [
            {
                "kind": "convolution",
                "name": _in_words(f"convolutions.{block}"),
                "padding": padding,
                **_parameters(saved, f"convolutions.{block}"),
            },
            {
                "kind": "activation",
                "name": _in_words(f"activations.{block}"),
                "function": model["activation"],
            },
            {"kind": "pool", "name": _in_words(f"pools.{block}")},
        ]
    return layers


def _examples(arrays: Arrays, full_scale: Any) -> list[dict[str, Any]]:
    """Returns test images: some of those whose maps are drawn, and some that the network gets wrong."""
    seen = list(groups(group(arrays, schema.MAPS)).items())[:IMAGES]
    wrong = group(arrays, "mistakes")
    named = [
        (f"test image {name.removeprefix('test')}", saved[schema.PICTURE] * float(full_scale))
        for name, saved in seen
    ]
    named += [
        (f"a {true} that it takes for a {predicted}", image[0])
        for image, true, predicted in list(
            zip(wrong["images"], wrong["true"], wrong["predicted"], strict=True)
        )[:IMAGES]
    ]
    return [
        {"name": name, "pixels": [round(v) for v in shaped(image, 8, 8).reshape(-1).tolist()]}
        for name, image in named
    ]


SCRIPTS = ("filter", "maps", "answer", "digit", "stretch", "volume", "pool", "convolution")

PAGE = ChapterPage(
    sections=(
        Section(
            4,
            "Convolutional networks",
            "Filters slide over the image and take dot products: each gives a map, and pooling shrinks it.",
        ),
    ),
    experiments={
        "pixel_shuffle": ExperimentPage("Shuffled pixels", 4),
        "features": ExperimentPage("Filters and activation maps", 4, (maps, learned_filter)),
    },
    ideas=IDEAS,
    exercises=EXERCISES,
    scripts=tuple(Path(__file__).parent / f"{name}.js" for name in SCRIPTS),
)
