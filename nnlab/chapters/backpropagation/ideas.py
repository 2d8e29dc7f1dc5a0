"""Section 3 as ideas, one for each screen of the slides, with exercises."""

from nnlab.chapters.backpropagation.worked import CHAIN, NETWORK, NEURON, SUM, graph
from nnlab.page.contents import Exercise, Idea

IDEAS = (
    Idea(
        "gradient-of-a-sum",
        "3.1",
        "One walk back through the graph gives the derivative by every input.",
        graph(SUM),
        "f = qz,  q = x + y:  ∂f/∂z = q = 3,  ∂f/∂q = z = −4,  ∂f/∂x = ∂f/∂y = −4",
        ("slides:backpropagation_of_the_sum",),
        "At (x, y, z) = (−2, 5, −4). Forward the values are computed once, and the walk back uses them. It "
        "costs about as much as the walk forward, however many inputs there are.",
    ),
    Idea(
        "chain-rule-at-a-node",
        "3.2",
        "A node passes on its local derivative times the gradient that arrives.",
        CHAIN,
        "∂L/∂a = ∂q/∂a · ∂L/∂q",
        ("slides:backpropagation_is_the_chain_rule",),
        "A sum hands its gradient on to both inputs, a product exchanges them, a maximum gives it to the "
        "larger one alone. A node needs to know nothing of the rest of the graph.",
    ),
    Idea(
        "gradient-of-a-neuron",
        "3.3",
        "A neuron, taken apart into 1/x, c + x, eˣ and ax, gives its gradients node by node.",
        graph(NEURON),
        "f(w, x) = 1/(1 + e^{−(w₀x₀ + w₁x₁ + w₂)}),  σ' = σ(1 − σ)",
        ("slides:backpropagation_of_the_neuron*",),
        "Taken together the four nodes are a sigmoid, whose derivative σ(1 − σ) = 0.197 is passed on at "
        "once: the same gradients, whatever is called one node.",
    ),
    Idea(
        "gradient-of-a-loss",
        "3.3",
        "The loss of a whole network is such a graph, too.",
        graph(NETWORK),
        "L = (v₁ max(0, w₁x + b₁) + v₂ max(0, w₂x + b₂) − y)²/2",
        text="What reaches x comes from both hidden units and is added up. A ReLU whose input is negative "
        "passes nothing on: its weights do not learn from this example. Make b₁ = −2 and look.",
    ),
)

EXERCISES = (
    Exercise(
        "3.1",
        "In f = (x + y)z at (−2, 5, −4): x grows by 0.01. By how much does f change, by the gradient and "
        "exactly? And if z grows by 0.01?",
        "∂f/∂x = −4: f changes by −0.04, exactly, since f is linear in x. ∂f/∂z = 3: by +0.03. The largest "
        "difference between backpropagation and the slide is {slides:backpropagation_of_the_sum}.",
    ),
    Exercise(
        "3.1",
        "How many walks through the graph does the gradient of a function of a million weights take "
        "backward, and how many if each weight were changed a little in turn?",
        "One forward and one backward. Changing each weight in turn takes a million walks forward: this is "
        "why networks are trained by backpropagation.",
    ),
    Exercise(
        "3.2",
        "3 arrives at the node q = ab with a = 2 and b = −5. What is passed on to a, and to b? And at q = "
        "a + b, and q = max(a, b)?",
        "Product: −5 · 3 = −15 to a, 2 · 3 = 6 to b. Sum: 3 to both. Maximum: 3 to a, the larger, 0 to b.",
    ),
    Exercise(
        "3.2",
        "f = x · x has one variable and a product of two arguments. What reaches x?",
        "Each argument gets the other factor, x; what reaches x from both places is added up: 2x. Type x*x "
        "in the figure.",
    ),
    Exercise(
        "3.3",
        "Verify σ' = σ(1 − σ), and with it the gradient of the neuron in w₀ at w = (2, −3, −3), x = (−1, "
        "−2).",
        "(1/(1 + e⁻ˢ))' = e⁻ˢ/(1 + e⁻ˢ)² = σ(1 − σ). At s = 1, σ = 0.731 and σ' = 0.197, so "
        "∂f/∂w₀ = 0.197 · x₀ = −0.197. Difference to the slide, with the sigmoid as one node: "
        "{slides:backpropagation_of_the_neuron_with_its_sigmoid}.",
    ),
    Exercise(
        "3.3",
        "The weights of a neuron are multiplied by 100. What happens to the gradients, and why is that bad?",
        "s = 100 and 1 − σ ≈ e⁻¹⁰⁰: all gradients by the weights vanish, and the neuron does not learn, "
        "however wrong it is. Type 200, −300, −300 in the figure.",
    ),
    Exercise(
        "3.3",
        "Draw the graph of log(1 + eˣ) and give its derivative as a function that you know.",
        "x → exp → + 1 → log passes on eˣ · 1 · 1/(1 + eˣ) = σ(x). Type log(1 + exp(x)) in the figure, and "
        "then softplus(x).",
    ),
)
