"""How far wide networks move: ideas of section 5, with exercises."""

from nnlab.page.contents import Exercise, Idea

IDEAS = (
    Idea(
        "guess-the-weights",
        "5.3",
        "Predict first: how far do the weights move when the width doubles?",
        "weight_change:guess-width",
        text="Let everyone draw or choose before the measurement is shown: does a larger network have to "
        "move its weights more, or less?",
    ),
    Idea(
        "weights-barely-move",
        "5.3",
        "The wider the network, the less its weights move, while the loss falls alike.",
        "weight_change:widths",
        "‖w(t) − w₀‖/‖w₀‖ → 0 as m → ∞",
        ("weight_change:whole_*", "weight_change:prefactor_*"),
        "Each of many weights has to move a little only. With one hidden layer the relative change falls "
        "like 1/√m; with two, as in the lecture's example, the whole vector changes like 1/m, because its "
        "m² inner weights make it long.",
    ),
    Idea(
        "layer-by-layer",
        "5.3",
        "In NTK parameterization the relative change of each layer falls like 1/√m.",
        "weight_change:exponents_stable",
        claims=("weight_change:first_layer_*", "weight_change:second_layer_*"),
        text="The exponent of the whole vector is that of its longest part. Each layer by itself, in its own "
        "norm, tells the rule. In standard parameterization with η ~ 1/m the first layer moves less "
        "still, like 1/√m³.",
    ),
    Idea(
        "step-size-over-width",
        "5.3",
        "λmax decides which step sizes work at a width: one for all widths need not exist.",
        "weight_change:largest_step",
        "η < 2/λmax,  λmax ~ m in standard parameterization",
        ("weight_change:lambda_max_*", "weight_change:crossing_*"),
        "In NTK parameterization λmax does not depend on the width, and one step size works for all. In "
        "standard parameterization it grows like m, and η must fall like 1/m.",
    ),
    Idea(
        "edge-of-the-step-size",
        "5.3",
        "A small residual along the leading mode grows exactly where ηλmax > 2.",
        "weight_change:edge",
        "|1 − ηλmax| > 1 for η > 2/λmax",
        ("weight_change:climbs_above_2_*",),
        "Step sizes across the edge, at every width: the factor by which a small residual changes in a step.",
    ),
    Idea(
        "guess-the-gap",
        "5.4",
        "Predict first: how wrong is the linearization when the network is twice as wide?",
        "wide:guess-gap",
        text="The largest distance of the residual from what the kernel at the start predicts. The hidden "
        "layer has ReLUs.",
    ),
    Idea(
        "linearization-becomes-exact",
        "5.4",
        "The predictions of the linearization become exact as the width grows.",
        "wide:law-gap",
        "max ‖u(t) − u_lin(t)‖/‖u₀‖ ~ 1/√m",
        ("wide:residual_error_*",),
        "The second order of Taylor's series, which was left out, becomes small: for ReLUs like 1/√m.",
    ),
    Idea(
        "gap-of-smooth-networks",
        "5.4",
        "With a smooth activation the error of the linearization falls faster, like 1/m.",
        "wide_and_smooth:law-gap",
        "max ‖u(t) − u_lin(t)‖/‖u₀‖ ~ 1/m",
        ("wide_and_smooth:residual_error_*",),
        "Units that bend in place of breaking have a bounded second derivative.",
    ),
    Idea(
        "guess-the-drift",
        "5.6",
        "Predict first: how far does the kernel move when the network is twice as wide?",
        "wide:guess-drift",
        text="The relative change of H at the end of the training; the hidden layer has ReLUs.",
    ),
    Idea(
        "kernel-drift",
        "5.6",
        "The kernel of a wide ReLU network barely changes: like 1/√m, by units that switch.",
        "wide:law-drift",
        "‖H(t) − H(0)‖/‖H(0)‖ ~ 1/√m",
        ("wide:kernel_drift_*",),
        "The slope of a ReLU jumps where its unit switches on or off at an example, and the kernel with it; "
        "in a wide network a smaller share of the units does.",
    ),
    Idea(
        "derivatives-at-rest",
        "5.6",
        "The derivatives of a wide smooth network barely change, and its kernel even less.",
        "wide_and_smooth:law-drift",
        "‖J − J₀‖/‖J₀‖ ~ 1/√m,  ‖H − H₀‖/‖H₀‖ ~ 1/m",
        ("wide_and_smooth:jacobian_drift_*", "wide_and_smooth:kernel_drift_*"),
        "Every entry of J moves by a share of 1/√m. In H = JJᵀ these moves are summed over the weights; they "
        "have different signs, and most of them cancel.",
    ),
)

EXERCISES = (
    Exercise(
        "5.3",
        "A network of one hidden layer moves its weights by 13% at width 64. What do you expect at width "
        "1,024?",
        "A quarter of it, 3%, by 1/√m: 16 times the width. Measured exponent: "
        "{weight_change:whole_ntk-1-stable}.",
    ),
    Exercise(
        "5.3",
        "With two hidden layers the exponent is −1 in place of −½. Does each weight move less?",
        "No: ‖w₀‖ is longer. There are m² inner weights of size 1, so ‖w₀‖ ~ m, and the distance "
        "‖w(t) − w₀‖ hardly depends on m in both cases. Measured: {weight_change:whole_ntk-2-stable}.",
    ),
    Exercise(
        "5.3",
        "In standard parameterization η = 0.001 works at width 64. What do you choose at width 1,024?",
        "λmax ~ m, so a sixteenth: η = 0.00006. In the run a step size that is stable at 64 no longer is "
        "from m = {weight_change:crossing_standard-1-constant} on.",
    ),
    Exercise(
        "5.4",
        "How much wider must a ReLU network be to halve the error of its linearization, and how much a "
        "network of erf units?",
        "Four times, by 1/√m; twice, by 1/m. Measured exponents: {wide:residual_error_ntk-1-stable} and "
        "{wide_and_smooth:residual_error_ntk-1-stable}.",
    ),
)
