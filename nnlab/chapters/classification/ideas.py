"""Sections 1 and 2 as ideas, one for each screen of the slides, with exercises."""

from nnlab.chapters.classification.worked import (
    ACTIVATIONS,
    DIVERGENCE,
    MAXOUT,
    PENALTY,
    SLOPES,
    SOFTMAX,
    downhill,
    layers,
    scores,
)
from nnlab.page.contents import Exercise, Idea

IDEAS = (
    Idea(
        "four-pixels",
        "1.1",
        "A linear classifier gives an image one score for each class.",
        scores(constant=False),
        "f(x, W) = Wx + b,  W ∈ R^{3×4},  b ∈ R³",
        text="Four pixels become a column of four numbers. Each row of W is compared with it by a dot "
        "product, and the class of the largest score is the answer.",
    ),
    Idea(
        "templates",
        "1.1",
        "Each row of W is a picture of what its class looks for.",
        "softmax:templates",
        text="The weights of a softmax classifier of handwritten digits, trained, with 64 pixels in place "
        "of four: where the pixel of an image is bright and the weight is positive, the score of the class "
        "rises.",
    ),
    Idea(
        "constant-feature",
        "1.1",
        "A feature that is always 1 absorbs the bias into the weights.",
        scores(constant=True),
        "Wx + b = (W b)(x, 1)",
        ("slides:a_constant_feature*",),
        "The bias is one more column of W, and x has one more row that is always 1: the scores stay the "
        "same.",
    ),
    Idea(
        "penalty-balls",
        "1.2",
        "L1 sets weights to exactly 0, where L2 only makes them small.",
        PENALTY,
        "L + λR(W),  R = Σ W²,  Σ |W|  or  Σ (βW² + |W|)",
        ("regularization:gradient_of_*", "regularization:optimality_*"),
        "At the minimizer an ellipse of equal loss touches the ball of equal penalty. The ball of L1 has "
        "corners on the axes, and a corner is touched from many directions; a circle has none.",
    ),
    Idea(
        "weights-under-a-penalty",
        "1.2",
        "As λ grows the penalty of the weights falls, and L1 leaves fewer and fewer of them.",
        "regularization:weights",
        "λ < λ'  ⟹  R(W*_λ') ≤ R(W*_λ)",
        ("regularization:minimizer_*", "regularization:stronger_is_smaller_*"),
        "The weights of each class as images, at the optimum for several λ. Grey pixels are exactly 0.",
    ),
    Idea(
        "loss-of-an-example",
        "1.3",
        "If the right class has probability 0.13, the loss is −log 0.13 = 2.04.",
        SOFTMAX,
        "P(Y = k|x) = e^{s_k}/Σ e^{s_j},  L = −log P(Y = y|x)",
        ("slides:loss_of_probability_0.13",),
        "The softmax makes probabilities of the scores of the four pixels. The loss is 0 only in the limit, "
        "where the score of the right class is infinitely far above the others.",
    ),
    Idea(
        "guess-the-loss",
        "1.3",
        "Predict first: gradient descent goes on and on. What becomes of the loss?",
        "separable:guess-loss",
        text="The data can be separated by a line. Let everyone draw or choose before the measurement is "
        "shown.",
    ),
    Idea(
        "no-minimum",
        "1.3",
        "On separable data the loss tends to 0 like 1/t, and the weights grow without bound.",
        "separable:growth",
        "L(t) ~ 1/(2ηγ²t),  ‖v(t)‖ ~ (log t)/γ",
        ("separable:*",),
        "No weights attain the infimum 0. Larger ones are always better, and they grow like a logarithm; γ "
        "is the margin of the data.",
    ),
    Idea(
        "cross-entropy",
        "1.4",
        "Cross-entropy is entropy plus KL divergence: training lowers only the divergence.",
        DIVERGENCE,
        "H(P, Q) = H(P) + D(P‖Q),  D(P‖Q) = Σ P log(P/Q)",
        ("slides:cross_entropy_is_entropy_plus_divergence",),
        "P are the targets, Q is what the network says. If P is a label, its entropy is 0, and the "
        "cross-entropy is the loss of the example.",
    ),
    Idea(
        "descent-on-a-surface",
        "1.5",
        "Each step of gradient descent goes downhill, unless the step is too large.",
        downhill(),
        "W ← W − η∇L(W)",
        ("softmax:descent", "softmax:steps_are_their_formula"),
        "On a quadratic loss the bound is 2/λmax, the tick on the slider. Below it every step lowers the "
        "loss, fast along the steep direction and slowly along the flat one. Beyond it descent leaves the "
        "minimum.",
    ),
    Idea(
        "rate-of-descent",
        "1.5",
        "Near the optimum a step shrinks the distance by a factor.",
        "convergence:descent",
        "‖w(k+1) − w*‖ ≈ ρ ‖w(k) − w*‖,  ρ = max |1 − ηλᵢ|,  bound = 2/K,  K ≥ λmax(w)",
        ("convergence:*",),
        "The λᵢ are the eigenvalues of the Hessian at the optimum. The bound that holds everywhere is "
        "sufficient, but not necessary: at twice the bound descent still converges here.",
    ),
    Idea(
        "guess-the-noise",
        "1.5",
        "Predict first: how noisy is the gradient of a mini-batch?",
        "sgd_vs_gd:guess-noise",
        text="The variance is the mean squared distance from the gradient of the whole set. The batches are "
        "drawn without replacement.",
    ),
    Idea(
        "noise-of-a-mini-batch",
        "1.5",
        "A mini-batch's gradient is right on average; its variance falls like 1/n.",
        "sgd_vs_gd:gradient_noise",
        "E‖ḡ_n − ḡ‖² = S (N − n)/(n (N − 1))",
        (
            "sgd_vs_gd:noise_of_one_example",
            "sgd_vs_gd:gradient_noise_batch_*",
            "sgd_vs_gd:epoch_of_batches_*",
            "sgd_vs_gd:batches_*_on_average",
        ),
        "S is the variance of one example's gradient. Drawn without replacement, the variance falls a little "
        "faster than 1/n and is 0 where n = N. The regularizer's gradient stays whole.",
    ),
    Idea(
        "small-batches-go-further",
        "1.5",
        "After as many epochs, small batches have taken more steps and got further.",
        "sgd_vs_gd:progress",
        text="An epoch costs the same for all of them: every example once. With 8 examples a step it has "
        "many more steps than with all of them.",
    ),
    Idea(
        "layers",
        "2.1",
        "A network is linear layers with max(0, ·) between them.",
        layers(linear=False),
        "W₂ max(0, W₁x),  W₃ max(0, W₂ max(0, W₁x))",
        ("slides:*_layers_are_their_formula",),
        "W₁ is H × d, W₂ is C × H. Move x₁: hidden units become 0 and come back, and the function bends "
        "there.",
    ),
    Idea(
        "layers-without-maximum",
        "2.1",
        "Without the maximum all layers together are one matrix.",
        layers(linear=True),
        "W₃ (W₂ (W₁x)) = (W₃W₂W₁) x",
        text="However many layers there are, the scores are linear in x: only the activation makes depth "
        "count.",
    ),
    Idea(
        "activations",
        "2.2",
        "An activation passes on the gradient times its slope.",
        ACTIVATIONS,
        claims=("activations:derivative_of_*",),
        text="ReLU, leaky ReLU and ELU have slope 1 for z > 0. Sigmoid and tanh become flat on both sides. "
        "Maxout passes the gradient on to its largest line alone.",
    ),
    Idea(
        "sigmoids-in-a-row",
        "2.2",
        "A sigmoid passes on at most a quarter of the gradient; n in a row at most 4⁻ⁿ.",
        SLOPES,
        "σ' = σ(1 − σ) ≤ 1/4",
        ("activations:sigmoid*",),
        "The slope is largest at z = 0. That is why deep networks of sigmoids learn slowly at first.",
    ),
    Idea(
        "training-with-activations",
        "2.2",
        "The same network learns slowest with sigmoids.",
        "activations:progress",
        text="Handwritten digits, the same network, step size and number of epochs; only the activation "
        "differs.",
    ),
    Idea(
        "maxout",
        "2.2",
        "A maxout unit of k lines comes within 1/(8k²) of x² on [0, 1], and none comes nearer.",
        MAXOUT,
        "h(x) = max(w₁x + b₁, …, w_kx + b_k),  sup |x² − h(x)| = 1/(8k²)",
        ("activations:maxout_*",),
        "The largest of k lines is convex, so that with enough lines it is as near to a convex function as "
        "one likes. ReLU and leaky ReLU are maxout units of two lines.",
    ),
)

EXERCISES = (
    Exercise(
        "1.1",
        "How many numbers has W for images of 32 × 32 pixels in three colours and 10 classes, and how many "
        "are there with the bias absorbed?",
        "10 × 3,072 = 30,720 weights. A constant feature adds a column: 10 × 3,073 = 30,730.",
    ),
    Exercise(
        "1.1",
        "Change one bias in the picture of four pixels so that the right class, cat, wins. By how much must "
        "it change at least?",
        "The score of cat is 3.2 and that of car 5.1: the bias of cat must rise by more than 1.9, from 0.9 "
        "to above 2.8, or that of car fall by as much.",
    ),
    Exercise(
        "1.1",
        "All scores are raised by the same number. What happens to the probabilities?",
        "Nothing: exp(s + c) = exp(s) exp(c), and exp(c) cancels. So one row of W and one bias could be "
        "fixed at 0.",
    ),
    Exercise(
        "1.2",
        "Why is the gradient of λR(W) not enough where a weight is 0 under L1? What condition holds there?",
        "|w| has a kink at 0. A weight stays at 0 as long as the gradient of the loss there is at most λ in "
        "size. The run's weights break this condition by at most {regularization:optimality_l1}.",
    ),
    Exercise(
        "1.2",
        "The loss is ½(w − 2)² for a single weight. Find its minimizer with λw² and with λ|w|. From which λ "
        "on is it 0?",
        "L2: w = 2/(1 + 2λ), which is never 0. L1: w = max(0, 2 − λ), which is 0 from λ = 2 on.",
    ),
    Exercise(
        "1.2",
        "Which penalty is best if 60 of 64 pixels are known to be noise, and which if two features are "
        "copies of each other?",
        "L1 for the noise: it leaves out weights. L2 or the elastic net for the copies: they share the "
        "weight evenly, while under L1 every division between the two has the same penalty.",
    ),
    Exercise(
        "1.3",
        "Ten classes, and a network that knows nothing yet gives all of them the same score. What is its "
        "loss?",
        "−log(1/10) = log 10 = 2.30. A first loss far from it is a sign of a mistake.",
    ),
    Exercise(
        "1.3",
        "The loss of separable data is measured at step t. What is it at step 4t, and how much longer have "
        "the weights become?",
        "A quarter, as it falls like 1/t: measured, t times the loss is "
        "{separable:loss_falls_like_1_over_t} times its limit. The weights grow by (log 4)/γ; for each "
        "doubling of t the measured growth is {separable:weights_grow_like_log_t} times (log 2)/γ.",
    ),
    Exercise(
        "1.3",
        "Why does a penalty λR(W) give the loss of separable data a minimum?",
        "Without it a longer W is always better. With it the objective grows with W, so that the minimum "
        "lies at finite weights.",
    ),
    Exercise(
        "1.4",
        "P is a label, and Q gives the label probability q. Compute entropy, divergence and cross-entropy.",
        "H(P) = 0, since 0 log 0 = 1 log 1 = 0. So D(P‖Q) = H(P, Q) = −log q: for q = 0.13 it is "
        "{slides:loss_of_probability_0.13}.",
    ),
    Exercise(
        "1.4",
        "Show that D(P‖Q) ≥ 0. When is it 0? Is it symmetric?",
        "log u ≤ u − 1, so −D = Σ P log(Q/P) ≤ Σ (Q − P) = 0, with equality only where Q = P. It is not "
        "symmetric: swap P = (1, 0) and Q = (½, ½), and log 2 becomes infinite.",
    ),
    Exercise(
        "1.4",
        "Smoothed labels give the right class 0.9 and nine others 0.1/9 each. What is the smallest possible "
        "loss?",
        "The entropy of the labels: −0.9 log 0.9 − 0.1 log(0.1/9) = 0.545, where Q = P. It is no longer 0.",
    ),
    Exercise(
        "1.5",
        "A quadratic loss has eigenvalues 10 and 0.1. Which step size makes max |1 − ηλᵢ| smallest, and how "
        "many steps divide the distance by 10?",
        "η = 2/(10 + 0.1): both factors are ±(10 − 0.1)/(10 + 0.1) = ±0.980, and log 10/−log 0.980 = 115 "
        "steps.",
    ),
    Exercise(
        "1.5",
        "At 0.98 and at 1.02 times 2/λmax, by which factor does the distance change along the steepest "
        "direction?",
        "|1 − 2 · 0.98| = 0.96 and |1 − 2 · 1.02| = 1.04. Measured beside an optimum: "
        "{convergence:factor_at_0.98_×_edge} and {convergence:factor_at_1.02_×_edge}.",
    ),
    Exercise(
        "1.5",
        "How many times as many examples must a mini-batch have to halve the standard deviation of its "
        "gradient?",
        "Four times: the variance falls like 1/n, its root like 1/√n. At n = 64 the measured variance is "
        "{sgd_vs_gd:gradient_noise_batch_64} times the predicted one.",
    ),
    Exercise(
        "2.1",
        "A network has 3,072 inputs, 100 hidden units and 10 outputs. How many weights and biases has it? "
        "Where are most of them?",
        "307,200 + 1,000 weights and 100 + 10 biases: 308,310, of which more than 99% stand in W₁.",
    ),
    Exercise(
        "2.1",
        "Give a network W₂ max(0, W₁x) of two hidden units that computes |x|.",
        "W₁ = (1, −1)ᵀ, W₂ = (1, 1): max(0, x) + max(0, −x) = |x|. Without the maximum it would be 0.",
    ),
    Exercise(
        "2.1",
        "All weights of one hidden unit, those into it, are multiplied by 2. How can W₂ be changed so that "
        "the network computes the same?",
        "max(0, 2z) = 2 max(0, z), so the unit's column of W₂ is halved. Many weights give the same "
        "function.",
    ),
    Exercise(
        "2.2",
        "Show that σ' = σ(1 − σ), and that it is at most 1/4. At which z is that?",
        "σ = 1/(1 + e⁻ᶻ), so σ' = e⁻ᶻ/(1 + e⁻ᶻ)² = σ(1 − σ). A product u(1 − u) is largest at u = "
        "½, that is at z = 0; the search in the run finds z = {activations:sigmoid_is_steepest_at_0}.",
    ),
    Exercise(
        "2.2",
        "Ten layers of sigmoids with weights 1: what share of the gradient arrives at most? With which "
        "weights would it not shrink?",
        "4⁻¹⁰, about 10⁻⁶. Measured for three layers: {activations:sigmoids_in_a_row_pass_a_quarter_each} = "
        "1/64. The weights would have to be 4, and z would have to stay at 0.",
    ),
    Exercise(
        "2.2",
        "Write ReLU, leaky ReLU and |x| as maxout units. Can sin x be one?",
        "max(0, z), max(0.01z, z), max(−z, z). The largest of lines is convex, and sin is not: no maxout "
        "unit computes it, but a difference of two comes as near as one likes.",
    ),
    Exercise(
        "2.2",
        "How many lines does a maxout unit need to come within 0.001 of x² on [0, 1]?",
        "1/(8k²) ≤ 0.001 for k ≥ √125 = 11.2: twelve lines.",
    ),
)
