"""The figures of section 6 that need no run: everything in them is computed in the page."""

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
PERCEPTRON = Widget(
    "perceptron",
    "No line separates XOR",
    "A perceptron says 1 where w·x + b > 0: on one side of a line. Drag the line, or turn it by its arrow. "
    "AND and OR have a line; XOR has none.",
    {},
)
XOR_UNITS = Widget(
    "xor_units",
    "Two hidden units solve XOR",
    "φ(w(x₁ + x₂ − s₁)) − φ(w(x₁ + x₂ − s₂)) − ½: the first unit is on beyond one line, the second beyond "
    "another. Between the lines the output is positive. Drag the lines.",
    {},
)
ONE_UNIT = Widget(
    "one_unit",
    "One unit that is not monotone solves XOR",
    "c − φ(w(x₁ − x₂) + b) with φ(z) = σ(z) + z exp(−z²), which overshoots 1 before it comes back to it. A "
    "sigmoid takes its value at x₁ = x₂ between the two others, whatever w and b are.",
    {},
)
FIVE_BINS = Widget(
    "five_bins",
    "Five bins are ten hidden units",
    "Each bin takes two units, one up at its left edge and one down at its right edge, with the output "
    "weights h and −h. The outer edges lie outside of the interval.",
    {},
)
HAND_BINS = Widget(
    "hand_bins",
    "Bins by hand, with a certified error",
    "Drag heights and edges, type f or draw it. The green line is proved: no x has a larger error. For an "
    "expression it comes from interval arithmetic rounded outward, for a drawing from its straight pieces.",
    {
        "functions": [
            ["0.5 + 0.25 sin 2πx + 0.1 sin(7πx + 1)", "0.5 + 0.25*sin(2*pi*x) + 0.1*sin(7*pi*x + 1)"],
            ["sin 2πx", "sin(2*pi*x)"],
            ["1 − |2x − 1|", "1 - abs(2*x - 1)"],
            ["1/(1 + 25(2x − 1)²)", "1/(1 + 25*(2*x - 1)^2)"],
            ["x", "x"],
            ["√x", "sqrt(x)"],
        ],
        "epsilon": 0.1,
    },
)
SIGMOID_OUTPUT = Widget(
    "sigmoid_output",
    "Behind a sigmoid output stands σ⁻¹∘f",
    "Where the output is σ(z), the network before it has to approximate σ⁻¹(f(x)) = log(f/(1 − f)). As σ' is "
    "at most ¼, at most a quarter of its error is left.",
    {},
)
SUMS = Widget(
    "sums",
    "Sums of sigmoidal units come as near as asked for",
    "Σ αᵢφ(wᵢx + bᵢ) with random wᵢ and bᵢ, the αᵢ by least squares. φ need not be monotone: the ripple "
    "σ(z) + z exp(−z²) only tends to 0 and to 1.",
    {},
)
SURFACE = Widget(
    "two-variables",
    "In two variables isolated towers leave holes",
    "A second hidden layer says where two bins meet. Towers that stand alone all vanish where four cells "
    "meet, however steep; thresholds of quadrants that add up do not.",
    {},
)
