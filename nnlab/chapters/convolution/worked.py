"""Figures of section 4 that need no run: a filter, an image as a vector, a volume of filters, pooling."""

from nnlab.page.widget import Widget

CROSS = [[0, 0, 0, 1, 0, 0, 0]] * 3 + [[1] * 7] + [[0, 0, 0, 1, 0, 0, 0]] * 3
FILTER = Widget(
    "filter",
    "A filter slides over an image",
    "At each place the filter takes the dot product with the pixels under it: one number of its "
    "activation map.",
    {
        "image": [CROSS],
        "stride": 1,
        "padding": 0,
        "filters": [
            {"name": "edge to the right", "weights": [[[-1, 0, 1]] * 3], "bias": 0},
            {"name": "edge below", "weights": [[[-1, -1, -1], [0, 0, 0], [1, 1, 1]]], "bias": 0},
            {"name": "horizontal line", "weights": [[[-1, -1, -1], [2, 2, 2], [-1, -1, -1]]], "bias": 0},
            {"name": "sharpen", "weights": [[[0, -1, 0], [-1, 5, -1], [0, -1, 0]]], "bias": 0},
        ],
    },
)

CONVOLUTION = Widget(
    "convolution",
    "The convolution of two functions",
    "Above, f and the other function turned round and moved to y; their product is shaded, and its area is "
    "the value of the convolution at y, below. With cells of width h the area becomes a sum.",
    {"functions": ["box", "triangle", "bump", "one-sided decay"]},
)

STRETCH = Widget(
    "stretch",
    "An image as one vector",
    "A fully connected layer gets the red, then the green, then the blue values, row by row. Neighbours are "
    "torn apart, and nothing says that they were neighbours: any other order serves it as well.",
    {"side": 32, "lines": 24},
)

VOLUME = Widget(
    "volume",
    "A filter goes through all channels",
    "A filter is as deep as its input. At each place it gives one number, over all places one map; several "
    "filters give as many maps, the channels of the next layer's input.",
    {
        "side": 32,
        "channels": 3,
        "sides": [1, 3, 5, 7],
        "filters": 6,
        "start": {"side": 5, "stride": 1, "padding": 0},
    },
)

POOL = Widget(
    "pool",
    "Pooling, 2 × 2 with stride 2",
    "Each window of 2 × 2 numbers leaves one. Type other numbers, into the field or the cells.",
    {"values": [[1, 1, 2, 4], [5, 6, 7, 8], [3, 2, 1, 0], [1, 2, 3, 4]]},
)
