"""Names of the arrays in runs of networks on images that the widgets read."""

from collections.abc import Mapping

DATA = "data"  # group: the fields of `ImageFormat`
CLASS_NAMES = "class_names"  # (C,) in it

FILTERS = "filters"  # (F, C, k, k) of the first convolution

SLIDING = "sliding"  # group: one of these filters on an image, (C, H, W)
INPUTS, WEIGHTS, BIAS, FILTER = "inputs", "weights", "bias", "filter"  # FILTER is its number in the layer
STRIDE, PADDING = "stride", "padding"

NETWORK = "network"  # group: the parameters of a small network by their names in it

MAPS = "maps"  # group: for every image a group, with PICTURE and under the layers' names (n, H, W) or (n,)
PICTURE = "picture"  # (H, W) or (H, W, 3)


def chosen_of(layer: str) -> str:
    """Returns the name of the array (n,) of the numbers that a layer's saved maps have in it."""
    return f"{layer}/chosen"


ARRAYS: Mapping[str, str] = {
    "data/shape": "(3,) channels, height and width of the images",
    "data/mean": "(channels, 1, 1) mean of the training pixels, raw units",
    "data/std": "(channels, 1, 1) their standard deviation, raw units",
    "data/full_scale": "() raw value of a white pixel",
    "data/class_names": "(C,) names of the classes",
    "data/pixel_order": "(H·W,) place k holds the pixel that was at pixel_order[k]",
    "classes/accuracy": "(C,) accuracy of each class on the test split, a fraction of 1",
    "classes/intervals": "(C, 2) its 95% interval (Wilson): low, high",
    "classes/examples": "(C,) number of its test examples",
    "representation/points": "(n, 2) test examples along two principal components of the last hidden layer",
    "representation/explained": "(2,) shares of the variance along them",
    "representation/labels": "(n,) class numbers of these examples",
    "representation/examples": "(n,) their numbers in the test split",
    "filters": "(F, channels, k, k) weights of the first convolution",
    "sliding/inputs": "(channels, H, W) the image, standardized",
    "sliding/weights": "(channels, k, k) the filter",
    "sliding/bias": "() its bias",
    "sliding/map": "(H', W') its activation map",
    "sliding/filter": "() its number in the layer, from 0",
    "sliding/places": "(p, 2) rows and columns of the map whose windows are drawn",
    "sliding/stride": "() pixels from one window to the next",
    "sliding/padding": "() pixels of zeros around the image",
    "network/*": "the parameters of a small network, float32, by their names in it",
    "pooling/before": "(H, W) an activation map",
    "pooling/after": "(H', W') the same after pooling",
    "pooling/corner": "(2,) row and column, in the pooled map, of the part that is written out",
    "pooling/map": "() its number in the layer, from 0",
    "maps/*/picture": "(H, W) or (H, W, 3) the image, in [0, 1]",
    "maps/*/chosen": "(n,) numbers of the maps that are kept of this layer, the most varied first",
    "maps/*": "(n, H, W) activation maps of a layer, or (n,) its units",
    "stack/name": "(L,) names of the layers",
    "stack/kind": "(L,) what they do",
    "stack/output": "(L,) sizes of their outputs, channels × height × width",
    "stack/parameters": "(L,) numbers that they hold",
    "stack/trainable": "(L,) those of them that training changes",
    "stack/multiply_adds": "(L,) multiplications with an addition, for one example",
    "image/*/inputs": "(channels, H, W) a user's image as the network gets it",
    "image/*/scores": "(C,) the network's scores for it",
    "image/*/probabilities": "(C,) and its class probabilities",
}
"""Describes the arrays of a classifier and of `nnlab features`: pattern of names -> axes and units."""

PIXEL_SHUFFLE_ARRAYS: Mapping[str, str] = {
    "picture": "(H, W) or (H, W, 3) a test image, in [0, 1]",
    "picture_shuffled": "the same with its pixels moved",
    "pixel_order": "(H·W,) place k holds the pixel that was at pixel_order[k]",
    "*/plain": "(S,) test accuracy of each training on plain images, a fraction of 1",
    "*/shuffled": "(S,) test accuracy of each training on shuffled images",
}
