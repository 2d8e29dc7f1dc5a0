"""Names of the arrays in runs of networks on images that the widgets read."""

DATA = "data"  # group: the fields of `ImageFormat`
CLASS_NAMES = "class_names"  # (C,) in it

FILTERS = "filters"  # (F, C, k, k) of the first convolution

SLIDING = "sliding"  # group: one of these filters on an image, (C, H, W)
INPUTS, WEIGHTS, BIAS, FILTER = "inputs", "weights", "bias", "filter"  # FILTER is its number in the layer
STRIDE, PADDING = "stride", "padding"

MAPS = "maps"  # group: for every image a group, with PICTURE and under the layers' names (n, H, W) or (n,)
PICTURE = "picture"  # (H, W) or (H, W, 3)


def chosen_of(layer: str) -> str:
    """Returns the name of the array (n,) of the numbers that a layer's saved maps have in it."""
    return f"{layer}/chosen"
