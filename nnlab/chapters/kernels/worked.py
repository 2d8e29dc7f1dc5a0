"""The figure of section 5 that needs no run."""

from nnlab.page.widget import Widget

RANK = Widget(
    "rank",
    "Without biases the kernel on the line has rank 2",
    "The tangent kernel of a random network with two hidden ReLU layers, computed here. With biases and no "
    "input given twice it is positive definite as soon as the network is wide enough.",
    {},
)
