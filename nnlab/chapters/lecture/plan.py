"""The lecture as a plan: its experiments, and the claims of them that stand for its sentences."""

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
        settings: dotted key -> value that differs from that config.
        full: further differences with `full`.
    """

    name: str
    config: str
    settings: Settings = field(default_factory=dict)
    full: Settings = field(default_factory=dict)


OFTEN = "often said"
"""The place of a sentence that is heard everywhere, but does not stand in the lecture."""


@dataclass(frozen=True)
class Overstatement:
    """A sentence that measurement refutes, or that holds only under further hypotheses.

    Attributes:
        sentence: in the words in which it is said.
        claim: the claim of the lesson whose measurement tests it.
        predicted: the value that the sentence predicts for that measurement.
        holds: the statement that holds instead.
        hypotheses: under which the sentence does hold.
        place: the section of the lecture where it stands, "5.6", or `OFTEN`.
    """

    sentence: str
    claim: str
    predicted: Prediction
    holds: str
    hypotheses: Sequence[str]
    place: str = OFTEN


@dataclass(frozen=True)
class Point:
    """A sentence of the lecture with the claims that stand for it.

    Attributes:
        name: for `--only`.
        section: of the lecture.
        sentence: in words.
        lesson: the experiment.
        claims: names of its claims, with * for any letters.
        overstated: a sentence on this point that does not hold as it stands.
    """

    name: str
    section: str
    sentence: str
    lesson: str
    claims: Sequence[str]
    overstated: Overstatement | None = None


LESSONS: Mapping[str, Lesson] = {
    lesson.name: lesson
    for lesson in (
        Lesson("slides", "slides"),
        Lesson("softmax", "softmax_digits", {"training.epochs": 300}, {"training.epochs": 1000}),
        Lesson("separable", "separable"),
        Lesson(
            "regularization",
            "regularization",
            {"strengths": [0.02, 0.05, 0.1], "training.epochs": 3000},
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
                "seeds": 24,
                "least_fall": 0.02,
                "optimizer.lr": 0.05,
                "training": {"epochs": 20},
            },
            {"seeds": 50},
        ),
        Lesson(
            "weight_change",
            "weight_change",
            {"widths": [64, 128, 256, 512, 1024], "seeds": 24},
            {"widths": [64, 128, 256, 512, 1024, 2048], "seeds": 32},
        ),
        Lesson(
            "wide",
            "weight_change",
            {
                "widths": [64, 128, 256, 512, 1024, 2048],
                "depths": [1],
                "parameterizations": ["ntk"],
                "protocols": ["stable"],
                "seeds": 256,
                "training.steps": 50,
            },
            {"seeds": 512},
        ),
        Lesson(
            "wide_and_smooth",
            "weight_change",
            {
                "widths": [128, 256, 512, 1024, 2048],
                "depths": [1],
                "parameterizations": ["ntk"],
                "protocols": ["stable"],
                "model.activation": "erf",
                "seeds": 128,
                "training.steps": 50,
            },
            {"seeds": 512},
        ),
        Lesson(
            "ntk",
            "ntk",
            {"seeds": 8, "sampled": ["relu", "leaky_relu", "erf", "gelu", "tanh", "sigmoid"]},
            {"widths": [64, 256, 1024, 4096], "seeds": 16},
        ),
        Lesson("finite_width", "finite_width", {}, {"networks": 8000}),
        Lesson(
            "zero_loss",
            "ntk",
            {
                "widths": [256],
                "seeds": 4,
                "model.activation": "erf",
                "data.examples": 5,
                "training.steps": 500,
                "training.lr_fraction": 0.9,
                "edge.steps": 20,
            },
            {"seeds": 16},
        ),
        Lesson("approx", "approx"),
    )
}

MISPRINTS: Mapping[str, str] = {"3.3": "The slide writes w₁x₂ once, where w₁x₁ is meant."}
"""Section -> what is misprinted on its slides."""

_BELOW_THE_BOUND = Overstatement(
    "Gradient descent converges only for step sizes below the bound.",
    "rate_at_2_×_bound",
    (None, 0.0),
    "At twice the bound it converges, at the rate that the Hessian at the optimum predicts: the bound comes "
    "from the largest curvature anywhere, and is sufficient but not necessary.",
    ["the bound equals 2/λmax at the optimum, as for a quadratic loss"],
)
_ROOT_OF_WIDTH = Overstatement(
    "The relative change of the weights falls like 1/√m.",
    "whole_ntk-2-constant",
    -0.5,
    "With one hidden layer and NTK parameterization it falls like 1/√m. With two hidden layers, as in the "
    "lecture's example, the relative change of the whole weight vector falls like 1/m, because its m² inner "
    "weights make it long; the relative change of each single layer falls like 1/√m in operator norm.",
    ["one hidden layer, NTK parameterization", "or each layer by itself, in its own norm"],
)
_ONE_STEP_SIZE = Overstatement(
    "One step size, with all other hyperparameters fixed, works for all widths.",
    "crossing_standard-2-constant",
    (2.0**20, None),
    "In standard parameterization λmax(H) grows like m, so a constant step size is too large from some width "
    "on: η must fall like 1/m. In NTK parameterization λmax stays bounded, and one step size works.",
    ["NTK parameterization"],
)

_POSITIVE_DEFINITE = Overstatement(
    "H(w₀) is positive definite for p ≫ n.",
    "without_bias_the_rank_is_two",
    20.0,
    "More parameters than examples are not enough: without biases a ReLU network on the line is linear on "
    "each side of 0, and with p = 4,224 and n = 20 its kernel has rank 2. With biases, and no input given "
    "twice, the kernel of a wide network is positive definite.",
    [
        "biases, and no input given twice",
        "or no biases, and no two inputs parallel, such as on the unit sphere",
    ],
    place="5.6",
)
_ONE_UNIT = Overstatement(
    "One hidden unit cannot model XOR.",
    "one_unit_that_is_not_monotone_can",
    (None, 0.0),
    "One hidden unit that is monotone, such as a sigmoid or a ReLU, cannot model XOR. One that is not "
    "monotone can, also where it is sigmoidal, as Cybenko's theorem asks for.",
    ["a monotone activation"],
    place="6.1",
)

# fmt: off
POINTS: Sequence[Point] = (
    Point("constant_feature", "1.1", "A constant feature absorbs the bias.",
          "slides", ["a_constant_feature*"]),
    Point("penalty_gradients", "1.2",
          "The gradients of the L2, L1 and elastic-net penalties are those on the slide.",
          "regularization", ["gradient_of_*"]),
    Point("optimality", "1.2",
          "Training with a penalty satisfies its optimality conditions, and R(W) falls as λ grows.",
          "regularization", ["optimality_*", "minimizer_*", "stronger_is_smaller_*"]),
    Point("loss_of_0.13", "1.3", "If the right class has probability 0.13, the loss is 2.04.",
          "slides", ["loss_of_probability_0.13"]),
    Point("infimum", "1.3",
          "On separable data the loss tends to 0 without reaching it, and the weights grow without bound.",
          "separable", ["*"]),
    Point("entropy", "1.4", "Cross-entropy is entropy plus KL divergence.",
          "slides", ["cross_entropy_is_entropy_plus_divergence"]),
    Point("descent", "1.5", "Below a bound on the step size, every step of gradient descent lowers the loss.",
          "softmax", ["descent", "steps_are_their_formula"]),
    Point("convergence", "1.5", "Gradient descent converges to the optimum at the rate max |1 − ηλᵢ|.",
          "convergence", ["*"], _BELOW_THE_BOUND),
    Point("minibatch_noise", "1.5",
          "The gradient of a mini-batch is unbiased, and its variance falls like 1/n in the batch size n.",
          "sgd_vs_gd",
          ["noise_of_one_example", "gradient_noise_batch_*", "epoch_of_batches_*", "batches_*_on_average"]),
    Point("layers", "2.1",
          "Networks of two and three layers are W₂ max(0, W₁x) and W₃ max(0, W₂ max(0, W₁x)).",
          "slides", ["*_layers_are_their_formula"]),
    Point("activations", "2.2",
          "The derivatives of the activation functions are those on the slide; a sigmoid's is at most 1/4.",
          "activations", ["sigmoid*", "derivative_of_*"]),
    Point("maxout", "2.2", "Maxout units approximate convex functions as nearly as one likes.",
          "activations", ["maxout_*"]),
    Point("backpropagation_of_a_sum", "3.1", "Backpropagation gives the gradient of (x + y)z.",
          "slides", ["backpropagation_of_the_sum"]),
    Point("chain_rule", "3.2",
          "The gradient that a node passes on is its local derivative times the gradient that arrives.",
          "slides", ["backpropagation_is_the_chain_rule"]),
    Point("backpropagation_of_a_neuron", "3.3",
          "Backpropagation gives the gradient of a neuron, node by node.",
          "slides", ["backpropagation_of_the_neuron*"]),
    Point("shuffled_pixels", "4.1",
          "Shuffling the pixels costs a convolutional network accuracy, but not a fully connected one.",
          "pixel_shuffle", ["*"]),
    Point("convolution", "4.2",
          "Convolution is an integral, a double sum and a matrix product; it commutes with shifts.",
          "slides",
          ["convolution_is_its_double_sum", "a_layer_is_one_matrix", "convolution_commutes_with_shifts",
           "continuous_convolution", "sizes_of_maps"]),
    Point("filters", "4.3",
          "A CNN is convolutions with activations between; what it sees moves with the image.",
          "cnn", ["maps_are_*", "scores_are_*", "number_of_parameters", "receptive_field", "maps_move_*"]),
    Point("pooling", "4.4",
          "Pooling shrinks each map by itself: the largest of 2 × 2 values, with stride 2.",
          "cnn", ["pooling_acts_*"]),
    Point("zero_loss", "5.1",
          "Gradient descent drives the training loss of a wide network to 0, at the rate of its kernel.",
          "zero_loss", ["training_loss_goes_to_zero"]),
    Point("weight_change", "5.3",
          "The weights of wide networks barely move: their relative change falls with the width.",
          "weight_change", ["whole_*", "prefactor_*", "first_layer_*", "second_layer_*"], _ROOT_OF_WIDTH),
    Point("step_size_over_width", "5.3",
          "The largest eigenvalue λmax of the kernel decides which step sizes work at a width.",
          "weight_change", ["lambda_max_*", "climbs_above_2_*", "crossing_*"], _ONE_STEP_SIZE),
    Point("linear_regression", "5.4",
          "Training a linearized network is linear regression on the features φ(x) = ∇_w f(x, w₀).",
          "ntk",
          ["linearized_training_is_linear_regression", "linearization_follows_descent",
           "function_at_new_points_follows_the_kernel", "least_squares_is_kernel_regression"]),
    Point("linearization_gap", "5.4", "The predictions of the linearization become exact as the width grows.",
          "wide", ["residual_error_*"]),
    Point("linearization_gap_of_smooth_networks", "5.4",
          "With a smooth activation the error of the linearization falls faster, like 1/m.",
          "wide_and_smooth", ["residual_error_*"]),
    Point("gradient_flow", "5.5", "As the step size tends to 0, gradient descent becomes gradient flow.",
          "ntk",
          ["descent_is_flow_to_first_order", "gap_of_descent_and_flow",
           "descent_is_the_modified_flow_to_second_order"]),
    Point("positive_definite", "5.6",
          "The kernel is the Gram matrix of φ; under its hypotheses it is positive definite.",
          "ntk",
          ["kernel_is_gram_matrix", "kernel_is_positive_definite", "a_repeated_point_makes_it_singular",
           "without_bias_the_rank_is_*"],
          _POSITIVE_DEFINITE),
    Point("kernel_drift", "5.6", "The kernel of a wide network barely changes in training.",
          "wide", ["kernel_drift_*"]),
    Point("constant_jacobian", "5.6",
          "The derivatives ∇_w f of a wide smooth network barely change, and its kernel even less.",
          "wide_and_smooth", ["jacobian_drift_*", "kernel_drift_*"]),
    Point("infinite_width", "5.6", "The mean kernel of random networks is the kernel of infinite width.",
          "ntk", ["infinite_kernel_of_*"]),
    Point("finite_width", "5.6",
          "At width m the kernel at the start has a spread of order 1/m and a shift of its mean, both known.",
          "finite_width", ["*"]),
    Point("modes", "5.7",
          "Under gradient flow the residuals are u(t) = e^{−Ht}u(0): each mode decays by itself.",
          "ntk", ["flow_decays_mode_by_mode"]),
    Point("largest_step", "5.7",
          "Linearized, a network converges for η < 2/λmax only; the network moves to a flatter region.",
          "ntk", ["linearization_at_*", "network_*"]),
    Point("xor", "6.1", "A linear classifier fails on XOR; two hidden units solve it.",
          "approx",
          ["perceptron_*", "no_line_separates_xor", "two_hidden_units_solve_xor", "xor_by_training_*",
           "one_monotone_*", "one_unit_*"], _ONE_UNIT),
    Point("steps", "6.3", "A steep sigmoid approximates a step; a steep ReLU does not.",
          "approx", ["step_of_*", "one_relu_is_no_step", "ramp_of_two_relus"]),
    Point("bin", "6.4", "Two opposite steps form a bin.",
          "approx",
          ["height_of_a_bin", "finite_steepness_is_sharp", "bound_for_finite_steepness",
           "default_steepness"]),
    Point("ends", "6.5",
          "Bins side by side cover the interval up to its ends if the outer edges lie outside.",
          "approx", ["half_the_height_at_the_end", "towers_with_outer_edges_outside"]),
    Point("bins", "6.6", "N = ⌈L/2ε⌉ bins suffice for an error of ε, and fewer do not.",
          "approx",
          ["bins_needed_*", "error_of_a_line", "error_within_the_bound", "no_histogram_with_fewer_bins",
           "histogram_constant", "interpolation_*", "certificates_*", "lipschitz_constants_*",
           "enclosures_hold_*", "evaluation_of_hard_steps"]),
    Point("two_variables", "6.6",
          "In two variables, isolated towers leave holes where cells meet; quadrant thresholds do not.",
          "approx", ["isolated_towers_*", "quadrant_thresholds_*"]),
    Point("sigmoid_output", "6.7", "With a sigmoid output, the network before it has to approximate σ⁻¹ ∘ f.",
          "approx", ["sigmoid_output_*"]),
    Point("cybenko", "6.8", "Sums of sigmoidal units approximate a function better as their number grows.",
          "approx", ["sums_of_*_come_nearer", "output_weights_are_least_squares", "training_finds_the_term",
           "barron_*"]),
    Point("density", "6.8",
          "In two variables too, sums of sigmoidal units, monotone or not, come as near as asked for.",
          "approx", ["sums_of_*_in_the_plane"]),
)
# fmt: on
"""The points in the lecture's order."""
