"""A hidden unit as a step, and two of them as a bin, on the page."""

from nnlab.page.widget import Widget

STEP = Widget(
    "step",
    "A hidden unit becomes a step",
    "φ(wx + b) stands at s = −b/w. The larger the weight w, the nearer a sigmoid or a tanh is to a step "
    "there. A ReLU never becomes one.",
    {},
)
BIN = Widget(
    "bin",
    "Two opposite steps make a bin",
    "h φ(w(x − s₁)) − h φ(w(x − s₂)): one hidden unit steps up at s₁, the other steps down at s₂, with the "
    "output weights h and −h.",
    {},
)
