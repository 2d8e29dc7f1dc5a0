"""The lecture as a plan: which experiments it takes, and which of their claims stand for its sentences."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nnlab.theory import Prediction

Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Lesson:
    """An experiment of the lecture.

    Attributes:
        name: of its run.
        config: the shipped config that it starts from.
        settings: dotted key -> value, other than in that config.
        full: the same, on top, for `full`.
    """

    name: str
    config: str
    settings: Settings = field(default_factory=dict)
    full: Settings = field(default_factory=dict)


@dataclass(frozen=True)
class Said:
    """A sentence of the lecture that measurement refutes, or holds only under further hypotheses.

    Attributes:
        sentence: as it was said.
        claim: the claim of the lesson whose measurement it is held against.
        predicted: what the sentence says of that measurement.
        holds: what does hold.
        hypotheses: under which the sentence does hold.
    """

    sentence: str
    claim: str
    predicted: Prediction
    holds: str
    hypotheses: Sequence[str]


@dataclass(frozen=True)
class Point:
    """A sentence of the lecture and what stands for it.

    Attributes:
        name: what `--only` calls it.
        section: of the lecture.
        sentence: in words.
        lesson: the experiment.
        claims: names of its claims, with * for any letters.
        said: what was said otherwise.
    """

    name: str
    section: str
    sentence: str
    lesson: str
    claims: Sequence[str]
    said: Said | None = None


LESSONS: Mapping[str, Lesson] = {
    lesson.name: lesson
    for lesson in (
        Lesson("slides", "slides"),
        Lesson("softmax", "softmax_digits", {"training.epochs": 300}, {"training.epochs": 1000}),
        Lesson("separable", "separable"),
        Lesson(
            "regularization",
            "regularization",
            {"strengths": [0.01, 0.03, 0.1], "training.epochs": 3000},
            {"strengths": [0.005, 0.01, 0.02, 0.05, 0.1], "training.epochs": 8000},
        ),
        Lesson("convergence", "convergence"),
        Lesson("sgd_vs_gd", "sgd_vs_gd", {"training.epochs": 10}, {"training.epochs": 30}),
        Lesson("activations", "activations", {"training.epochs": 5}, {"training.epochs": 20}),
        Lesson("cnn", "cnn_digits", {"training.epochs": 10}, {"training.epochs": 30}),
        Lesson(
            "pixel_shuffle",
            "pixel_shuffle",
            {
                "data": {"name": "digits", "batch_size": 64, "test": 0.75, "validation": 0},
                "model": {"name": "cnn", "channels": [32]},
                "hidden": [128],
                "seeds": 16,
                "least_fall": 0.02,
                "optimizer.lr": 0.05,
                "training": {"epochs": 20},
            },
            {"seeds": 50},
        ),
        Lesson(
            "weight_change",
            "weight_change",
            {"widths": [64, 128, 256, 512, 1024]},
            {"widths": [64, 128, 256, 512, 1024, 2048], "seeds": 32},
        ),
        Lesson("ntk", "ntk", {}, {"widths": [64, 256, 1024, 4096]}),
        Lesson(
            "zero_loss",
            "ntk",
            {"widths": [512], "seeds": 4, "data.examples": 5, "training.steps": 1000, "edge.steps": 20},
            {"seeds": 16},
        ),
        Lesson("approx", "approx"),
    )
}

_BELOW_THE_BOUND = Said(
    "Gradient descent only converges for step sizes below the bound.",
    "rate_at_2_×_bound",
    (None, 0.0),
    "At twice the bound it converges at the rate that the Hessian at the optimum predicts: the bound, from "
    "the largest curvature anywhere, is sufficient and not necessary.",
    ["the bound equals 2/λmax at the optimum, as for a quadratic loss"],
)
_ROOT_OF_WIDTH = Said(
    "The relative change of the weights falls like 1/√m.",
    "whole_ntk-2-constant",
    -0.5,
    "With one hidden layer and ntk parameterization it falls like 1/√m. With two hidden layers, as in the "
    "lecture's example, the stacked weight vector changes like 1/m: its m² inner weights make it long, "
    "and each layer by itself changes like 1/√m in operator norm.",
    ["one hidden layer, ntk parameterization", "or the layers one by one, each in its own norm"],
)
_ONE_STEP_SIZE = Said(
    "One step size, with all other hyperparameters fixed, serves all widths.",
    "crossing_standard-2-constant",
    (2.0**20, None),
    "In standard parameterization λmax(H) grows like m, so a constant step is too large from some width on: "
    "η must fall like 1/m. In ntk parameterization λmax stays, and one step size does serve.",
    ["ntk parameterization"],
)

POINTS: Sequence[Point] = (
    Point(
        "constant_feature", "1.1", "A constant feature absorbs the bias.", "slides", ["a_constant_feature*"]
    ),
    Point(
        "penalty_gradients",
        "1.2",
        "The gradients of L2, L1 and elastic net are those of the slide's sums.",
        "regularization",
        ["gradient_of_*"],
    ),
    Point(
        "optimality",
        "1.2",
        "Training with a penalty ends where its optimality conditions hold; more λ, less R(W).",
        "regularization",
        ["optimality_*", "stronger_is_smaller_*"],
    ),
    Point(
        "loss_of_0.13",
        "1.3",
        "Probability 0.13 for the right class is a loss of 2.04.",
        "slides",
        ["loss_of_probability_0.13"],
    ),
    Point(
        "infimum",
        "1.3",
        "On separable data the loss falls to 0 and never reaches it, and the weights grow for ever.",
        "separable",
        ["*"],
    ),
    Point(
        "entropy",
        "1.4",
        "Cross-entropy is entropy plus KL divergence.",
        "slides",
        ["cross_entropy_is_entropy_plus_divergence"],
    ),
    Point(
        "descent",
        "1.5",
        "Below a bound on the step size every step of gradient descent lowers the loss.",
        "softmax",
        ["descent"],
    ),
    Point(
        "convergence",
        "1.5",
        "Gradient descent comes to the optimum at the rate of its largest factor |1 − ηλ|.",
        "convergence",
        ["*"],
        _BELOW_THE_BOUND,
    ),
    Point(
        "minibatch_noise",
        "1.5",
        "A mini-batch's gradient is right on average, and its variance falls like 1/n.",
        "sgd_vs_gd",
        ["gradient_noise_batch_*"],
    ),
    Point("layers", "2.1", "Networks of two and three layers.", "slides", ["*_layers_are_their_formula"]),
    Point(
        "activations",
        "2.2",
        "Activations and their slopes.",
        "activations",
        ["sigmoid_slope_is_at_most_a_quarter", "derivatives_match_differences"],
    ),
    Point(
        "backpropagation_of_a_sum", "3.1", "(x + y)z, backwards.", "slides", ["backpropagation_of_the_sum"]
    ),
    Point(
        "backpropagation_of_a_neuron",
        "3.3",
        "A neuron, backwards, node by node.",
        "slides",
        ["backpropagation_of_the_neuron*"],
    ),
    Point(
        "shuffled_pixels",
        "4.1",
        "Shuffling the pixels costs a convolutional network accuracy, and a fully connected one none.",
        "pixel_shuffle",
        ["*"],
    ),
    Point(
        "convolution",
        "4.2",
        "Convolution: its double sum, its matrix, its sizes, and shifts.",
        "slides",
        [
            "convolution_is_its_double_sum",
            "a_layer_is_one_matrix",
            "convolution_commutes_with_shifts",
            "sizes_of_maps",
        ],
    ),
    Point(
        "filters",
        "4.3",
        "A convolutional network, to look into.",
        "cnn",
        ["cross_entropy_is_entropy_plus_kl"],
    ),
    Point(
        "pooling", "4.4", "Max-pooling, 2 × 2 with stride 2.", "slides", ["pooling_commutes_with_even_shifts"]
    ),
    Point(
        "zero_loss",
        "5.1",
        "Gradient descent takes the training loss of a wide network to 0.",
        "zero_loss",
        ["training_loss_goes_to_zero"],
    ),
    Point(
        "weight_change",
        "5.3",
        "Wide networks hardly move: the relative change of the weights falls with the width.",
        "weight_change",
        ["whole_*", "first_layer_*", "second_layer_*"],
        _ROOT_OF_WIDTH,
    ),
    Point(
        "step_size_over_width",
        "5.3",
        "Which step size serves a width is said by λmax of its kernel.",
        "weight_change",
        ["lambda_max_*", "climbs_above_2_*", "crossing_*"],
        _ONE_STEP_SIZE,
    ),
    Point(
        "linear_regression",
        "5.4",
        "A linearized network trains as linear regression on φ(x) = ∇_w f(x, w₀).",
        "ntk",
        ["linearized_training_is_linear_regression", "linearization_follows_descent"],
    ),
    Point(
        "linearization_gap",
        "5.4",
        "What linearization predicts becomes exact with width.",
        "ntk",
        ["residuals_follow_the_kernel_at_the_start"],
    ),
    Point(
        "gradient_flow",
        "5.5",
        "As the step size goes to 0, gradient descent becomes gradient flow.",
        "ntk",
        ["descent_is_flow_to_first_order", "gap_of_descent_and_flow"],
    ),
    Point(
        "positive_definite",
        "5.6",
        "The kernel is the Gram matrix of φ, and positive definite under its hypotheses.",
        "ntk",
        ["kernel_is_gram_matrix", "kernel_is_positive_definite", "without_bias_the_rank_is_*"],
    ),
    Point(
        "kernel_drift",
        "5.6",
        "The kernel of a wide network hardly moves.",
        "weight_change",
        ["kernel_drift_*"],
    ),
    Point(
        "infinite_width",
        "5.6",
        "The kernel at the start approaches its limit with the width.",
        "ntk",
        ["kernel_converges_with_width", "kernel_drift_falls_with_width"],
    ),
    Point("modes", "5.7", "u(t) = e^{−Ht}u(0), mode by mode.", "ntk", ["flow_decays_mode_by_mode"]),
    Point(
        "largest_step",
        "5.7",
        "Linearized, it converges for η below 2/λmax and diverges above; the network finds a flatter place.",
        "ntk",
        ["linearization_at_*", "network_*"],
    ),
    Point(
        "xor",
        "6.1",
        "A linear classifier fails XOR, two hidden units model it.",
        "approx",
        [
            "perceptron_mistake_bound",
            "no_line_separates_xor",
            "two_hidden_units_solve_xor",
            "xor_by_training_*",
            "one_*",
        ],
    ),
    Point(
        "steps",
        "6.3",
        "A steep sigmoid is a step; ReLU is not.",
        "approx",
        ["step_of_*", "ramp_of_two_relus"],
    ),
    Point(
        "bin",
        "6.4",
        "Two opposite steps make a bin.",
        "approx",
        ["height_of_a_bin", "finite_steepness_is_sharp"],
    ),
    Point(
        "ends",
        "6.5",
        "Bins side by side, up to the ends of the interval.",
        "approx",
        ["half_the_height_at_the_end", "towers_with_outer_edges_outside"],
    ),
    Point(
        "bins",
        "6.6",
        "N = ⌈L/2ε⌉ bins are enough for an error of ε, and no fewer are.",
        "approx",
        [
            "error_within_the_bound",
            "no_histogram_with_fewer_bins",
            "histogram_rate",
            "interpolation_*",
        ],
    ),
    Point(
        "two_variables",
        "6.6",
        "In two variables towers must be added up with care.",
        "approx",
        ["isolated_towers_*", "quadrant_thresholds_*"],
    ),
    Point(
        "sigmoid_output",
        "6.7",
        "With a sigmoid on the output, approximate σ⁻¹ ∘ f.",
        "approx",
        ["sigmoid_output_within_the_bound"],
    ),
    Point(
        "cybenko",
        "6.8",
        "Sums of sigmoidal units come nearer as their number grows.",
        "approx",
        ["barron_*", "sums_*"],
    ),
)
"""In the lecture's order."""
