"""XOR by two hidden units: weights by formula, and gradient descent from many random starts.

The corners of the unit square have the sums s = x₁ + x₂ = 0, 1, 1, 2, and XOR is true where s = 1: it is a
bin of size 1 around s = 1 (`nnlab.approximation.steps.Bin`). Two opposing steps, an OR and an AND, make it:

    h₁ = φ(w(s − ½)),    h₂ = φ(w(s − 3/2)),    v(s) = h₁ − h₂.

With ReLU |x₁ − x₂| = max(0, x₁ − x₂) + max(0, x₂ − x₁) is XOR itself. The output unit is v minus the mean of
its two values, so that its sign is the answer: f > 0 where XOR is true. The formulas are ours.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from nnlab.approximation.network import ScalarNetwork
from nnlab.approximation.perceptron import CORNERS, GATES
from nnlab.approximation.steps import Bin
from nnlab.errors import InputError
from nnlab.models import MLP
from nnlab.models.activations import ACTIVATIONS, STEP_ACTIVATIONS
from nnlab.theory import proportion_interval
from nnlab.theory.intervals import Interval
from nnlab.training.ensemble import Ensemble, descend

EXACT = ("step", *STEP_ACTIVATIONS, "relu")

POINTS = torch.tensor(CORNERS, dtype=torch.float64)
ANSWERS = torch.tensor(GATES["xor"], dtype=torch.float64)[:, None]


def solves_xor(network: torch.nn.Module) -> bool:
    """Tells whether the sign of a network's output, (4, 1) in float64, is XOR at each corner."""
    with torch.no_grad():
        return bool((network(POINTS) * ANSWERS > 0).all())


# --- by formula --------------------------------------------------------------------------------------


def exact_xor(activation: str, steepness: float = 20.0) -> tuple[ScalarNetwork, float]:
    """Two hidden units with weights by formula, and their margin m > 0: the output is m for true, else −m.

    | φ | W₁ | b₁ | W₂ | margin m |
    | --- | --- | --- | --- | --- |
    | step | (1 1; 1 1) | −½, −3/2 | 1, −1 | ½ |
    | sigmoid | w (1 1; 1 1) | −w/2, −3w/2 | 1, −1 | ½[tanh(w/4) − sinh(w/2)/(cosh(w/2) + cosh w)] |
    | tanh | likewise | likewise | ½, −½ | that of the sigmoid at 2w |
    | other steps | likewise | likewise | 1, −1 | ½[1 − 3φ(−w/2) + φ(−3w/2)] |
    | relu | (1 −1; −1 1) | 0, 0 | 1, 1 | ½ |

    b₂ = −(v(1) + v(0))/2. For the sigmoid v(1) > v(0), however flat it is: a bin is highest in its middle.

    Args:
        activation: one of EXACT.
        steepness: w > 0 of the smooth ones.

    Raises:
        InputError: an activation without steps, or a steepness so small that float64 shows no difference
            between the two answers.
    """
    gates, low, high = np.ones((2, 2)), 0.0, 1.0
    if activation == "relu":
        hidden, outer = (np.array([[1.0, -1.0], [-1.0, 1.0]]), np.zeros(2)), np.ones((1, 2))
    elif activation == "step":
        hidden, outer = (gates, np.array([-0.5, -1.5])), np.array([[1.0, -1.0]])
    else:
        bin_ = Bin(activation, position=1.0, size=1.0, height=1.0, steepness=steepness)
        (weight, bias), (outer, _) = bin_.layers()
        hidden = (weight @ gates[:1], bias)
        low, high = (float(value) for value in bin_.values([0.0, 1.0]))
    network = ScalarNetwork([hidden, (outer, np.array([-(high + low) / 2]))], activation)
    if not solves_xor(network):
        raise InputError(f"steepness: {steepness:g}: too flat for float64: both answers look alike")
    return network, (high - low) / 2


def one_unit_xor() -> tuple[ScalarNetwork, float]:
    """One hidden unit that is not monotone and solves XOR, and its margin, 0.098.

    −φ(w(x₁ − x₂) + b) + c with the ripple φ, w = 1.245 and b = 0.845: where x₁ = x₂ the ripple overshoots,
    φ(b) = 1.113; at the two other corners it is on either side of that, at φ(b + w) = 0.916 and
    φ(b − w) = 0.060. c is halfway between the two larger values. A monotone unit takes its value at x₁ = x₂
    between the two others.
    """
    w, b = 1.245, 0.845
    at = ACTIVATIONS["ripple"].function(torch.tensor([b, b + w], dtype=torch.float64))
    middle, side = (float(value) for value in at)
    hidden = (np.array([[w, -w]]), np.array([b]))
    network = ScalarNetwork([hidden, (np.array([[-1.0]]), np.array([(middle + side) / 2]))], "ripple")
    return network, (middle - side) / 2


# --- by training -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class XorTraining:
    """Networks trained from S random starts.

    Attributes:
        activation: φ.
        solved: (S,) True where the sign of the output is right at all four corners.
        loss: (S,) at the end; the best linear function has ½.
        steps: (S,) that each took.
        ensemble: the trained networks.
    """

    activation: str
    solved: NDArray[np.bool_]
    loss: NDArray[np.float64]
    steps: NDArray[np.int64]
    ensemble: Ensemble

    @property
    def rate(self) -> float:
        """The share of the starts that were solved."""
        return float(self.solved.mean())

    @property
    def interval(self) -> Interval:
        """Wilson's 95% interval of the probability that a start is solved."""
        return proportion_interval(int(self.solved.sum()), len(self.solved))

    def network(self, member: int) -> ScalarNetwork:
        """One of the trained networks, as a module."""
        layers = []
        for layer in self.ensemble.layers:
            assert layer.bias is not None
            layers.append((layer.weight[member].numpy(), layer.bias[member].numpy()))
        return ScalarNetwork(layers, self.activation)


def train_xor(
    activation: str,
    units: int = 2,
    starts: int = 500,
    *,
    lr: float = 0.1,
    steps: int = 10_000,
    loss_fraction: float = 1e-6,
    generator: torch.Generator,
) -> XorTraining:
    """Full-batch gradient descent on (1/2N)Σ(f − y)², N = 4, y = ±1, from many random starts at once.

    A start has weights of variance gain²/fan-in and biases of variance 1, all normal.

    Args:
        activation: one of STEP_ACTIVATIONS, or relu.
        units: H.
        starts: S.
        lr: η.
        steps: at most.
        loss_fraction: of its loss at the start, where a network stops.
        generator: a CPU generator.

    Raises:
        InputError: an unknown activation, a width below 1.
    """
    models = [
        MLP(2, [units], 1, activation, sigma_b=1.0, generator=generator).double() for _ in range(starts)
    ]
    done = descend(
        Ensemble.from_models(models), POINTS, ANSWERS,
        lr=lr, steps=steps, reduction="mean", loss_fraction=loss_fraction,
    )  # fmt: skip
    right = (done.ensemble.outputs(POINTS) * ANSWERS > 0).all(dim=1)[:, 0]  # NaN is not right
    return XorTraining(activation, right.numpy(), done.final_loss.numpy(), done.steps.numpy(), done.ensemble)
