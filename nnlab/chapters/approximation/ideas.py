"""Section 6 as ideas, one for each screen of the slides, with exercises."""

from nnlab.chapters.approximation.worked import (
    BIN,
    FIVE_BINS,
    HAND_BINS,
    ONE_UNIT,
    PERCEPTRON,
    SIGMOID_OUTPUT,
    STEP,
    SUMS,
    SURFACE,
    XOR_UNITS,
)
from nnlab.page.contents import Exercise, Idea

IDEAS = (
    Idea(
        "perceptron",
        "6.1",
        "A perceptron is a line: AND and OR have one, XOR has none.",
        PERCEPTRON,
        "sign(w·x + b)",
        ("approx:perceptron_*", "approx:no_line_separates_xor"),
        "Where a line exists, the learning rule finds one after at most (R/γ)² mistakes. For XOR there is a "
        "proof in four numbers that no line does: both classes have the same centre, (½, ½).",
    ),
    Idea(
        "two-units-solve-xor",
        "6.1",
        "Two hidden units solve XOR: on beyond the first line, off beyond the second.",
        XOR_UNITS,
        "φ(w(x₁ + x₂ − ½)) − φ(w(x₁ + x₂ − 3/2)) − ½",
        ("approx:two_hidden_units_solve_xor",),
        "A single hidden layer with two units is enough, with weights that one can write down. Move the "
        "lines until a corner is on the wrong side.",
    ),
    Idea(
        "xor-by-training",
        "6.1",
        "Training finds the two units from some starts only; others end at a mean.",
        "approx:xor_training",
        claims=("approx:xor_by_training_*",),
        text="Where descent does not solve XOR it ends where several corners share one output, their mean. "
        "More hidden units make this rarer.",
    ),
    Idea(
        "one-unit",
        "6.1",
        "One monotone hidden unit cannot model XOR; one that is not monotone can.",
        ONE_UNIT,
        "c − φ(w(x₁ − x₂) + b),  φ(z) = σ(z) + z e^{−z²}",
        ("approx:one_monotone_*", "approx:one_unit_*"),
        "The usual sentence needs a monotone activation. The ripple tends to 0 and to 1 like a sigmoid, as "
        "Cybenko's theorem asks for, and overshoots on the way.",
    ),
    Idea(
        "universal-approximation",
        "6.2",
        "One hidden layer of finitely many units comes as near to a continuous f as asked for.",
        "approx:side_by_side",
        "∀ ε > 0 ∃ N: |f(x) − Σ αᵢφ(wᵢᵀx + bᵢ)| ≤ ε for all x ∈ [0,1]ⁿ",
        text="Four ways to the same function with the same number of terms: steps, hats of ReLUs, random "
        "units with output weights by least squares, and training. The theorem says that weights exist, not "
        "that training finds them.",
    ),
    Idea(
        "steep-units-are-steps",
        "6.3",
        "A hidden sigmoid with a large weight is a step, and it stands at s = −b/w.",
        STEP,
        "φ(wx + b) → 1 for x > s, → 0 for x < s,  s = −b/w",
        ("approx:step_of_*", "approx:one_relu_is_no_step", "approx:ramp_of_two_relus"),
        "The same with tanh. A ReLU goes on growing; the difference of two is a ramp, and a step beside it.",
    ),
    Idea(
        "two-steps-are-a-bin",
        "6.4",
        "Two opposite steps make a bin of height h.",
        BIN,
        "h φ(w(x − s₁)) − h φ(w(x − s₂))",
        (
            "approx:height_of_a_bin",
            "approx:finite_steepness_is_sharp",
            "approx:bound_for_finite_steepness",
            "approx:default_steepness",
        ),
        "The weights are on the edges of the network: w into both units, −ws₁ and −ws₂ as biases, h and −h "
        "out of them. Make w small, and the bin becomes lower and rounder.",
    ),
    Idea(
        "five-bins",
        "6.5",
        "Five bins are ten hidden units: a histogram of f.",
        FIVE_BINS,
        "y(x) = Σ hᵢ (φ(w(x − eᵢ)) − φ(w(x − eᵢ₊₁)))",
        ("approx:half_the_height_at_the_end", "approx:towers_with_outer_edges_outside"),
        "At the ends of the interval the outer edges have to lie outside: a step at the end itself is at "
        "half of its height there, however steep.",
    ),
    Idea(
        "guess-the-bins",
        "6.6",
        "Predict first: how does the error fall as the bins become more?",
        "approx:guess-bins",
        text="Let everyone draw before the measurement is shown. The errors are certified: no x has a larger "
        "one.",
    ),
    Idea(
        "how-many-bins",
        "6.6",
        "⌈L/2ε⌉ bins suffice for every L-Lipschitz f and an error of ε; fewer, for some only.",
        "approx:bins",
        "|f(x) − f(mᵢ)| ≤ L|x − mᵢ| ≤ L/2N ≤ ε  for N ≥ L/2ε",
        (
            "approx:bins_needed_*",
            "approx:error_of_a_line",
            "approx:error_within_the_bound",
            "approx:no_histogram_with_fewer_bins",
            "approx:histogram_constant",
        ),
        "From the middle of a bin it is half a bin to its ends. For f = Lx the bound is attained. Heights "
        "from left ends need twice as many bins.",
    ),
    Idea(
        "bins-by-hand",
        "6.6",
        "Drag the bins: their error is proved for every x.",
        HAND_BINS,
        "sup |y − f| ≤ max over bins of max(sup f − h, h − inf f)",
        (
            "approx:certificates_*",
            "approx:lipschitz_constants_*",
            "approx:enclosures_hold_*",
            "approx:evaluation_of_hard_steps",
        ),
        "Unequal bins need fewer. Sampling finds no more than the errors it happens to look at; interval "
        "arithmetic bounds them all. The best height of a bin is the middle between the smallest and the "
        "largest value of f in it.",
    ),
    Idea(
        "straight-pieces",
        "6.6",
        "Pieces of straight lines, from ReLUs, are better than steps: 1/N² against 1/N.",
        "approx:error_over_bins",
        "|f − y| ≤ M/8N²,  |f''| ≤ M",
        ("approx:interpolation_*",),
        "A hat is a second difference of three ReLUs. The theorem's steps are the simplest proof, not the "
        "best network.",
    ),
    Idea(
        "two-variables",
        "6.6",
        "In two variables isolated towers leave holes.",
        SURFACE,
        "Σ H_{ij} σ(w₂(uᵢ + vⱼ − 3/2))  or  Σ D_{ij} σ(w₂(aᵢ + bⱼ − 3/2))",
        ("approx:isolated_towers_*", "approx:quadrant_thresholds_*"),
        "A tower stands where a bin in x₁ and a bin in x₂ are both on. Where four cells meet each is at ½, "
        "and ½ + ½ is below the threshold of all four. Quadrants that add up leave no holes.",
    ),
    Idea(
        "sigmoid-output",
        "6.7",
        "With a sigmoid on the output, the layers before it approximate σ⁻¹∘f.",
        SIGMOID_OUTPUT,
        "|σ(z) − f| ≤ ¼ |z − σ⁻¹(f)|",
        ("approx:sigmoid_output_*",),
        "f has to stay inside of (0, 1). Where f comes near 0 or 1, σ⁻¹∘f becomes steep, but there the "
        "sigmoid passes on little of an error.",
    ),
    Idea(
        "cybenko",
        "6.8",
        "Sums of sigmoidal units come nearer as their number grows, monotone or not.",
        SUMS,
        "Σ αᵢ φ(wᵢᵀx + bᵢ),  φ → 1 at +∞, φ → 0 at −∞",
        (
            "approx:sums_of_*_come_nearer",
            "approx:sums_of_*_in_the_plane",
            "approx:output_weights_are_least_squares",
            "approx:training_finds_the_term",
        ),
        "Cybenko's proof constructs nothing: it shows that no measure but 0 is orthogonal to all units. Here "
        "the hidden weights are random, and the output weights a linear problem. In the plane each unit is a "
        "ridge, constant along a direction, and sums of ridges come near in the same way.",
    ),
    Idea(
        "barron",
        "6.8",
        "N terms reach a mean square error of at most (2C)²/N, in any dimension.",
        "approx:sums",
        "∫ (f − f_N)² dμ ≤ (2C)²/N,  C = ∫ |ω|_B |F|(dω)",
        ("approx:barron_*",),
        "Barron's bound has no power 1/d of N: the dimension is in the constant of f, which may be large.",
    ),
)

EXERCISES = (
    Exercise(
        "6.1",
        "Add the conditions of the four corners of XOR to show that no w and b satisfy all of them.",
        "w₁ + b > 0, w₂ + b > 0, b < 0 and w₁ + w₂ + b < 0. The first two add up to w₁ + w₂ + 2b > 0, the "
        "last two to w₁ + w₂ + 2b < 0. Of the 16 gates of two variables {approx:no_line_separates_xor} have "
        "no line: XOR and its opposite.",
    ),
    Exercise(
        "6.1",
        "Write XOR with two ReLUs in place of two steps.",
        "|x₁ − x₂| = max(0, x₁ − x₂) + max(0, x₂ − x₁): it is 1 at (0, 1) and (1, 0), else 0.",
    ),
    Exercise(
        "6.2",
        "Why does the theorem need a compact set, and a continuous f?",
        "On all of ℝ a sum of N sigmoids is nearly constant far out, but sin x is not. A jump cannot be met "
        "uniformly by continuous functions: beside it one is off by half of its height.",
    ),
    Exercise(
        "6.3",
        "A sigmoid unit is to be within 0.01 of a hard step wherever |x − s| ≥ 0.05. How large must w be?",
        "σ(−0.05w) ≤ 0.01 for w ≥ log(99)/0.05 = 91.9. Measured over formula for such distances: "
        "{approx:step_of_sigmoid}.",
    ),
    Exercise(
        "6.4",
        "Which function is max(0, w(x − s₁)) − max(0, w(x − s₂))? How many ReLUs make a bin with sloping "
        "sides?",
        "A ramp that stays at w(s₂ − s₁) to the right of s₂. A ramp up and a ramp down are a bin: four "
        "ReLUs.",
    ),
    Exercise(
        "6.5",
        "A staircase Σ (hᵢ − hᵢ₋₁) φ(w(x − eᵢ)) is the same histogram. How many hidden units has it for N "
        "bins?",
        "N − 1 and a bias h₀, in place of 2N: neighbouring bins share an edge, at which −hᵢ₋₁ and hᵢ add up.",
    ),
    Exercise(
        "6.6",
        "f(x) = sin 2πx on [0, 1], ε = 0.01. How many equal bins suffice? Try it by hand: with how few can "
        "you do it?",
        "L = 2π, so N = ⌈2π/0.02⌉ = 315. The best unequal bins take 2ε of rise or fall each, and f rises "
        "and falls by 4 in all: about 200; press “fewest bins for ε”. For f = Lx with L = 3.388 the "
        "certified number is {approx:bins_needed_for_0.01}.",
    ),
    Exercise(
        "6.6",
        "Why do N − 1 bins not suffice for f = Lx, whatever their heights?",
        "One of them is at least 1/(N − 1) wide, where f varies by L/(N − 1); half of that is more than ε. "
        "Measured: {approx:no_histogram_with_fewer_bins} times ε.",
    ),
    Exercise(
        "6.6",
        "√x has no Lipschitz constant on [0, 1]. Is there a histogram with an error of at most ε?",
        "Yes: √x is continuous, and rises by 1 in all, so ⌈1/2ε⌉ bins of unequal width do. Only equal bins "
        "need L; N of them leave ½√(1/N) in the first.",
    ),
    Exercise(
        "6.7",
        "f ranges over [0.1, 0.9]. An error of at most 0.01 is asked for behind a sigmoid. Which error "
        "before it is certainly small enough, and which may be?",
        "0.04, since σ' ≤ ¼. Where f is near 0.1 or 0.9, σ' is 0.09, so that even 0.1 may do. Near ½ a "
        "share of {approx:sigmoid_output_passes_on_a_quarter} is passed on.",
    ),
    Exercise(
        "6.8",
        "Which of these are sigmoidal: tanh, ReLU, (1 + tanh)/2, a Gaussian bump?",
        "(1 + tanh)/2 is. tanh tends to −1 and 1: it is one but for a constant and a factor, which α and c "
        "undo. A ReLU grows without bound, and a bump tends to 0 on both sides; each becomes one as a "
        "difference or as a sum of two.",
    ),
)
