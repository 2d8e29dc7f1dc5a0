"""The arrays in runs of networks on images that the widgets read: groups, and the names in them."""

from typing import NamedTuple

from nnlab.record.arrays import Array

DATA = "data"  # group: the fields of `ImageFormat`
CLASS_NAMES = "class_names"  # (C,) in the group DATA
FILTERS = "filters"  # (F, C, k, k) of the first convolution
SLIDING = "sliding"
MAPS = "maps"  # every image has a group in it: PICTURE, and under the name of each layer (n, H, W) or (n,)
PICTURE = "picture"  # (H, W) or (H, W, 3)


class Sliding(NamedTuple):
    """A filter of the first convolution on one image, in the group SLIDING."""

    inputs: Array  # (C, H, W)
    weights: Array  # (C, k, k)
    bias: Array  # ()
    map: Array  # (H', W')
    filter: Array  # () its number in the layer
    places: Array  # (K, 2) of the map, that are drawn
    stride: Array  # ()
    padding: Array  # ()


def chosen_of(layer: str) -> str:
    """Returns the name of the array (n,) of the numbers that a layer's saved maps have in it."""
    return f"{layer}/chosen"
