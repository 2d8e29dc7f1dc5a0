"""The words of the laboratory, each with its meaning."""

import re
from collections.abc import Mapping

from nnlab.errors import InputError, suggest

_TEXT = """
claim: A statement of the theory about one quantity, with its hypotheses, held against a measurement:
prediction, rivals, measured value, interval and verdict.

prediction: The value that the theory gives for the quantity of a claim: a number, or a closed range, one
end of which may be open (an inequality).

rival: A value that the quantity would have if the theory were false in a way worth excluding. A point
prediction of a random quantity needs at least one.

hypothesis: An assumption under which a claim is a theorem, or under which its quantity was measured.

interval: The values that a measurement leaves possible. Of a random quantity it is a 99.99%
confidence interval (Student's t for a mean, Wilson's for a proportion, Welch's t for an exponent); of a
quantity without randomness it is the measured value ± a tolerance.

verdict: PASS, FAIL or INCONCLUSIVE. One rule derives it from prediction, rivals and interval, for every
claim.

PASS: The interval contains the predicted number and excludes every rival; or it lies inside the predicted
range.

FAIL: The interval excludes the predicted number; or it lies wholly outside the predicted range.

INCONCLUSIVE: Neither PASS nor FAIL: the interval contains a rival beside the predicted number, lies partly
inside and partly outside the predicted range, or is not finite.

refuted: The mark of a sentence that is listed as false as it stands, and whose claim fails. The page says
where the lecture has it, or that it is often said. What holds instead stands beside it, and `nnlab lecture`
does not count it as a failure.

balanced accuracy: The mean over the classes of the share of each class's examples that is right: a model
that always names the largest of C classes has 1/C, however large that class is.

macro F1: The mean over the classes of F1 = 2 right/(examples of the class + answers that name it). It is 1
only where every example is right; a class that is never right counts with 0.

class weight: How often the loss of an example of a class counts. Balanced, N/(C n) for n of N examples: all
C classes count as much, and the mean over the training examples is 1.

R²: 1 − Σe²/Σ(y − mean y)² on a split, with the errors e of the predictions of the targets y: 1 without an
error, 0 for the mean of these targets, negative for what is worse than it.

width: The number of units of a hidden layer, m; the same in every hidden layer where one width is named.

standard parameterization: A layer z = Wh + b with n inputs whose weights start with variance σ_w²/n and
whose biases start with variance σ_b². Its tangent kernel grows in proportion to the width.

NTK parameterization: A layer z = (σ_w/√n) Wh + σ_b b whose weights and biases start with variance 1: the
same random function as in the standard parameterization, but its tangent kernel has a limit as the width
grows, and one step size serves every width.

tangent kernel (NTK): H(x, x′) = J(x) J(x′)ᵀ, where J(x) is the Jacobian of the network's scores at x with
respect to its parameters. H₀ is the kernel at the start of training.

kernel drift: ‖H − H₀‖/‖H₀‖ in the Frobenius norm, on the training examples: how far training has moved the
tangent kernel H.

residual: u = f − y, scores minus targets of the training examples. With a constant tangent kernel, gradient
flow on ½‖u‖² gives u̇ = −Hu.

mode: An eigenvector of the tangent kernel on the training examples, with its eigenvalue λ. With a constant
kernel the component of the residual along it falls like e^{−λt} in gradient flow, and is multiplied by 1 −
ηλ in every step of gradient descent.

ηₘₐₓ (η_max): 2/λmax of the tangent kernel at the start (2N/λmax for a loss that is a mean over N examples).
Below it |1 − ηλ| < 1 for every mode with λ > 0: gradient descent of the linearized network converges.

edge: The trainings of one network with step sizes around ηₘₐₓ, where descent of the linearized network
changes from converging to diverging.

layerwise method: Computes the tangent kernel as a sum over layers. A linear layer contributes the inner
products of its inputs (plus 1 for a bias) times those of the gradients at its outputs, and no Jacobian is
formed.

jacobian method: Computes the tangent kernel as J Jᵀ, with the Jacobian J of all scores of a block of
examples.

products method: Computes the tangent kernel one column after the other, by products of Jᵀ and of J with
vectors.

constant protocol: Training with one step size for all widths.

stable protocol: Training of each network with the step size η = fraction/λmax(H₀) of its own tangent kernel
at the start.

Lipschitz constant: The least L with |f(x) − f(y)| ≤ L|x − y| for all x and y of the interval: the largest
slope of f in size.

bin: One of N equal parts of the interval, on which a network approximates the target by one height. Two
opposing steps make a bin.

steepness: The weight w of a hidden unit σ(w(x − s)) that acts as a step at s; infinite for a hard step.

midpoint heights: Heights of the bins are the target's values at their midpoints: ⌈L(b − a)/2ε⌉ bins suffice
for an L-Lipschitz target and an error of ε.

left heights: Heights of the bins are the target's values at their left ends: ⌈L(b − a)/ε⌉ bins suffice for
an L-Lipschitz target and an error of ε.

staircase: A network with N bins and N − 1 steep hidden units: a step at each inner edge, weighted by the
difference between the two heights beside it.

towers: A network with N bins and 2N steep hidden units: each bin is a step up at its left edge minus a step
up at its right edge, times its height.

hats: A network of ReLU units that interpolates the target linearly between the borders of the bins.

isolated towers: A network of two inputs and two hidden layers with a threshold unit of its own for each
cell of a grid. At a corner where four cells meet its output tends to 0, however steep it is.

quadrant thresholds: A network of two inputs and two hidden layers whose thresholds are 1 on the quadrants
x₁ > sᵢ, x₂ > tⱼ, weighted by mixed second differences of the heights. It has no holes.

certificate: Proved lower and upper bounds of sup |network − target| over an interval or a box, by branch
and bound with every rounding error accounted for; nothing is sampled.

ripple: The activation σ(z) + z e^{−z²}: sigmoidal, with limits 0 and 1, but not monotone.

worksheet: A computation graph worked through step by step: the value of every node on the way forward, then
local derivatives and what is passed back.

run folder: The folder of one run of an experiment: config.yaml, summary.json and environment.json, beside
them metrics, arrays, figures, checkpoints and the predictions made before the run.

group: The folder around the runs of one config over several seeds, with a summary of its own: mean and 95%
interval of each metric, and the verdicts of each claim counted.

lesson: One experiment of the lecture: a shipped config, with settings of the lecture's own.

point: One sentence of the lecture, with the lesson that tests it and the claims that stand for it; `nnlab
lecture --only POINT` runs it alone.
"""


GLOSSARY: Mapping[str, str] = {
    word: " ".join(meaning.split())
    for word, _, meaning in (paragraph.partition(": ") for paragraph in _TEXT.strip().split("\n\n"))
}


def look_up(word: str) -> tuple[str, str]:
    """The entry (word, meaning) of a term, or of a word that only one term has; case does not matter.

    Raises:
        InputError: the word is not in the glossary; the message names the nearest one.
    """
    folded = word.casefold()
    for entry in GLOSSARY:
        if folded in (entry.casefold(), *re.split(r" \(|\)", entry.casefold())[:-1]):
            return entry, GLOSSARY[entry]
    having = [entry for entry in GLOSSARY if folded in re.findall(r"\w+", entry.casefold())]
    if len(having) != 1:
        raise InputError(f"{word}: not in the glossary; {suggest(word, having or GLOSSARY)}")
    return having[0], GLOSSARY[having[0]]
