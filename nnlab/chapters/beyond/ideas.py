"""What is beyond the lecture as ideas, one for each screen of the slides, with exercises."""

from nnlab.page.contents import Exercise, Idea

IDEAS = (
    Idea(
        "nearest-weights",
        "B.1",
        "Gradient descent goes to the nearest of all weights that fit.",
        "minimal_norm:minimal_norm",
        "‖w(∞) − w₀‖² = u₀ᵀH⁻¹u₀",
        ("minimal_norm:*",),
        "More weights than examples fit in many ways. Descent moves along the features of the examples only, "
        "so that it ends at the point of the solutions that is nearest to the start.",
    ),
    Idea(
        "largest-margin",
        "B.2",
        "On separable data gradient descent turns towards the largest margin, like 1/log t.",
        "max_margin:max_margin",
        "w(t)/‖w(t)‖ → ŵ,  angle ~ 1/log t",
        ("max_margin:*",),
        "No penalty asks for the margin. The weights grow without end, and the examples nearest to the "
        "border decide in which direction; but very slowly.",
    ),
    Idea(
        "catapult",
        "B.3",
        "A step size from 2/λ to 4/λ throws the weights to a flatter minimum.",
        "catapult:catapult",
        "2 < ηλ₀ < 4: the loss climbs until ηλ < 2",
        ("catapult:*",),
        "Two linear layers on one example are a map of two numbers. Above 2/λ the loss climbs, and with it λ "
        "falls, until the step fits again; beyond 4/λ both grow without end.",
    ),
    Idea(
        "edge-of-stability",
        "B.4",
        "Descent sharpens its minimum until ηλmax of the Hessian is 2, and stays there.",
        "edge_of_stability:edge_of_stability",
        "ηλmax(∇²L) → 2",
        ("edge_of_stability:*",),
        "The step size decides how sharp the minimum becomes: whatever it is at the start, the sharpness "
        "rises to 2/η, and the loss goes on falling, no longer at every step.",
    ),
    Idea(
        "many-networks",
        "B.5",
        "Networks from many starts are a Gaussian process, before training and after it.",
        "ensembles:ensembles",
        "f ~ N(Ay, (−A I) K (−A I)ᵀ),  A = Θ_{XT} Θ_{TT}⁻¹",
        ("ensembles:*",),
        "The spread of trained networks where there is no data is known in advance. It is the posterior of a "
        "Gaussian process only if the last layer alone is trained.",
    ),
    Idea(
        "slow-waves-first",
        "B.6",
        "A network learns low frequencies first; without biases it never learns odd ones.",
        "spectral_bias:spectral_bias",
        "T_{1/2} = (log 2)/(nλ_k)",
        ("spectral_bias:*",),
        "On the circle the modes of the kernel are waves. Without biases a ReLU network of one hidden layer "
        "has no odd wave but the first: the rest of the target stays for ever.",
    ),
    Idea(
        "double-descent",
        "B.7",
        "The test error peaks where weights and examples are equally many, and falls again.",
        "double_descent:double_descent",
        "p = n: the largest error;  p → ∞: the noise is shared",
        ("double_descent:*",),
        "With as many weights as examples there is one fit, noise and all, and it may need huge weights. "
        "With more there are many, and descent takes the shortest.",
    ),
    Idea(
        "features-move",
        "B.8",
        "In µP features move at every width, and one step size serves them all.",
        "rich:rich",
        "µP: ‖Δh‖/‖h‖ ~ 1;  NTK: ‖Δh‖/‖h‖ ~ 1/√m",
        ("rich:*",),
        "The lecture's limit is the lazy one: features stay. With other scales of the layers they move as "
        "much in wide networks as in narrow ones, and the best step size can be found on a small network.",
    ),
)

EXERCISES = (
    Exercise(
        "B.1",
        "Why does gradient descent on a linear regression, from w₀, end at the solution nearest to w₀?",
        "Each gradient is a sum of features of the examples, so w − w₀ stays in their span. The solutions "
        "differ by vectors orthogonal to it, and of them the nearest has no such part.",
    ),
    Exercise(
        "B.2",
        "The angle to the largest margin falls like 1/log t. From step 1,000 on, when is it half as large?",
        "When log t has doubled: at 1,000² = a million steps. Early stopping is far from the limit.",
    ),
    Exercise(
        "B.3",
        "In the map f ← f(1 − ηλ + η²af²) and λ ← λ + ηaf²(ηλ − 4), what happens to λ while 2 < ηλ < 4?",
        "The second factor is negative: λ falls at every step, the faster the larger f has become. Measured, "
        "training ends with λ below 2/η, or diverges from ηλ₀ = {catapult:training_diverges_above_4} on.",
    ),
    Exercise(
        "B.4",
        "A minimum has the sharpness 40. With which step sizes can gradient descent stay there?",
        "η < 2/40 = 0.05. With a larger one it leaves along the sharpest direction, for a place that is "
        "flatter.",
    ),
    Exercise(
        "B.5",
        "Ten networks from different starts agree at a point. Does that mean that they are right there?",
        "No: their spread says what the examples leave open under this architecture. It is small near the "
        "examples, also where those are wrong.",
    ),
    Exercise(
        "B.6",
        "Eigenvalue k of a kernel on the circle falls like 1/k². How much longer does wave 8 take than wave "
        "2?",
        "Sixteen times: the half-life is log 2/(nλ_k).",
    ),
    Exercise(
        "B.7",
        "Why does the error peak at p = n, and how can it be avoided without more data?",
        "There the features of the examples are nearly dependent, and small singular values blow up the "
        "noise. A penalty λ‖w‖², early stopping, or p far from n.",
    ),
    Exercise(
        "B.8",
        "Which of the two limits explains transfer learning, where the features of one task serve another?",
        "The rich one: in the lazy limit the features are those of the random start, and nothing is learned "
        "in them.",
    ),
)
