"""Section 5 as ideas, but for the widths, with exercises."""

from nnlab.chapters.kernels.worked import RANK
from nnlab.page.contents import Exercise, Idea

IDEAS = (
    Idea(
        "zero-loss",
        "5.1",
        "Gradient descent drives the loss of a wide network to 0, at the rate of its kernel.",
        "zero_loss:modes",
        "L(t) → 0 like e^{−2λmin t}",
        ("zero_loss:training_loss_goes_to_zero",),
        "What guarantees that descent finds a minimum of a loss that is not convex? For wide networks the "
        "kernel does: along each of its eigenvectors the error decays, the slowest last.",
    ),
    Idea(
        "the-example",
        "5.2",
        "The example: a function on the line, two hidden ReLU layers, full-batch descent.",
        "ntk:example",
        "L(w) = ½‖y(w) − ȳ‖²,  w ← w − η∇L(w)",
        text="Move the step, then change the width. The function bends to the examples, and in wide networks "
        "one hardly sees a weight move.",
    ),
    Idea(
        "linearize",
        "5.4",
        "So linearize: a regression that is linear in w follows the network.",
        "ntk:linearization",
        "y(w) ≈ y(w₀) + ∇y(w₀)ᵀ(w − w₀)",
        (
            "ntk:linearized_training_is_linear_regression",
            "ntk:linearization_follows_descent",
            "ntk:function_at_new_points_follows_the_kernel",
            "ntk:least_squares_is_kernel_regression",
        ),
        "If the weights hardly move, the first order of Taylor's series is enough. What is left is linear "
        "regression on the features φ(x) = ∇f(x, w₀).",
    ),
    Idea(
        "features-of-x",
        "5.4",
        "The features φ(x) = ∇f(x, w₀) are fixed, and not linear in x.",
        "ntk:features",
        "f(x) ≈ f₀(x) + φ(x)ᵀ(w − w₀)",
        text="Some of the features of the narrowest network over x, and their inner products at the "
        "examples: that is the kernel.",
    ),
    Idea(
        "gradient-flow",
        "5.5",
        "As the step size tends to 0, gradient descent becomes gradient flow.",
        "ntk:flow",
        "ẇ = −∇L,  ẏ = −∇yᵀ∇y (y − ȳ) = −H(w)(y − ȳ)",
        (
            "ntk:descent_is_flow_to_first_order",
            "ntk:gap_of_descent_and_flow",
            "ntk:descent_is_the_modified_flow_to_second_order",
        ),
        "After the same time, half the step size leaves half the distance. Descent itself follows the flow "
        "of a slightly different loss, L + η/4 ‖∇L‖², to second order.",
    ),
    Idea(
        "positive-definite",
        "5.6",
        "With biases, and no input given twice, the kernel is positive definite.",
        RANK,
        "H = ∇yᵀ∇y,  H(x, x') = φ(x)·φ(x')",
        (
            "ntk:kernel_is_gram_matrix",
            "ntk:kernel_is_positive_definite",
            "ntk:a_repeated_point_makes_it_singular",
            "ntk:without_bias_the_rank_is_*",
        ),
        "More weights than examples are not enough. Without biases a ReLU network on the line is linear on "
        "each side of 0, and its kernel has rank 2. Uncheck the biases.",
    ),
    Idea(
        "kernel-at-rest",
        "5.6",
        "In the kernel regime H(w(t)) ≈ H(w₀): the wider the network, the less it changes.",
        "ntk:drift",
        "‖H(t) − H(0)‖/‖H(0)‖ → 0 as m → ∞",
        text="The kernel of one network of each width, as it trains. The second image is the change, on a "
        "finer scale.",
    ),
    Idea(
        "infinite-width",
        "5.6",
        "As the width grows, the kernels of random networks tend to one that is known.",
        "ntk:spectra",
        "E H₀ → H∞ as m → ∞",
        ("ntk:infinite_kernel_of_*",),
        "The eigenvalues of the kernels at the start scatter less and less around those of infinite width, "
        "for which there are closed forms, layer by layer.",
    ),
    Idea(
        "finite-width",
        "5.6",
        "At width m the kernel has a spread of order 1/m and a shift of its mean, both known.",
        "finite_width:spread",
        "E‖H₀ − H∞‖² ≈ c/m,  E H₀ ≈ H∞ + H⁽¹⁾/m",
        ("finite_width:*",),
        "What is said of infinite width holds at finite width up to these corrections, measured over many "
        "random networks.",
    ),
    Idea(
        "choose-modes",
        "5.7",
        "Each eigenmode of the residual decays by itself, at the rate of its own eigenvalue.",
        "ntk:choose",
        "u(t) = e^{−Ht} u(0) = U e^{−Dt} U⁻¹ u(0)",
        ("ntk:flow_decays_mode_by_mode",),
        "Start with a smooth mode, then with a wiggly one: the first is gone at once, the other takes "
        "hundreds of times as long.",
    ),
    Idea(
        "modes-measured",
        "5.7",
        "The network's residual does what its kernel at the start predicts, mode by mode.",
        "ntk:modes",
        "uᵢ(t) = e^{−λᵢt} uᵢ(0)",
        text="Predicted before the training, then measured. By time t the modes with eigenvalues well "
        "above 1/t are learned.",
    ),
    Idea(
        "largest-step",
        "5.7",
        "The linearized network converges for η < 2/λmax only.",
        "ntk:descent",
        "uᵢ ← (1 − ηλᵢ) uᵢ,  |1 − ηλᵢ| < 1 for η < 2/λmax",
        ("ntk:linearization_at_*", "ntk:network_*"),
        "A little above 2/λmax the linearized network diverges. The network itself climbs at first, until "
        "its kernel has become flat enough for the step.",
    ),
)

EXERCISES = (
    Exercise(
        "5.2",
        "How many weights and biases has the example with one input, one output and two hidden layers of "
        "width m? At which m are there 20,000?",
        "m + m + m² + m + m + 1 ≈ m² + 4m: about 139.",
    ),
    Exercise(
        "5.4",
        "y(w) = w² at w₀ = 1 is linearized, and descent is to reach the target 1.21. Where does each of the "
        "two end, and how far are they apart?",
        "1 + 2(w − 1) = 1.21 at w = 1.105; w² = 1.21 at w = 1.1. The difference, 0.005, is of second order "
        "in the distance that w moves.",
    ),
    Exercise(
        "5.5",
        "Derive ẏ = −H(y − ȳ) from ẇ = −∇L.",
        "ẏ = ∇yᵀẇ = −∇yᵀ∇L, and ∇L = ∇y (y − ȳ) for L = ½‖y − ȳ‖², so that H = ∇yᵀ∇y.",
    ),
    Exercise(
        "5.5",
        "Descent with ηλmax = 0.2 and with 0.1 is compared to the flow after the same time. By which factor "
        "does the distance fall?",
        "By about 2. As the step size halves, the measured power of η is "
        "{ntk:descent_is_flow_to_first_order}.",
    ),
    Exercise(
        "5.6",
        "Without biases, why has the kernel of a ReLU network on the line rank 2, with 4,224 weights as with "
        "any other number?",
        "Then f(ax, w) = a f(x, w) for a > 0, so φ(ax) = a φ(x): all features of positive x are parallel, "
        "and so are those of negative x. Measured rank: {ntk:without_bias_the_rank_is_two}.",
    ),
    Exercise(
        "5.6",
        "Show that H is positive semidefinite for every network. When is an eigenvalue 0?",
        "aᵀHa = ‖Σ aᵢφ(xᵢ)‖² ≥ 0. It is 0 where the features of the examples are linearly dependent, as with "
        "an input that is given twice.",
    ),
    Exercise(
        "5.7",
        "λ₁ = 120 and λ₈ = 0.32. How many times as long does mode 8 take to lose 95%, and how many steps at "
        "the largest stable step size?",
        "120/0.32 = 375 times. t = 3/λ₈ = 9.4, and η < 2/120: more than 9.4/(2/120), about 560 steps.",
    ),
    Exercise(
        "5.7",
        "What does a step with 1.05 times 2/λmax do to the leading mode of the linearized network?",
        "1 − 2.1 = −1.1: it grows by a tenth and changes its sign. Measured: "
        "{ntk:linearization_at_1.05_eta_max}.",
    ),
    Exercise(
        "5.7",
        "The network that was trained with 1.5 times 2/λmax did not diverge. What has become of ηλmax at the "
        "end, and why can it train there?",
        "It is {ntk:network_settles_flatter_at_1.5_eta_max}, below 2: the loss climbed, the weights moved "
        "far, and the kernel there is flatter.",
    ),
)
