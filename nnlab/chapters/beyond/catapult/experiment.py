"""Two linear layers on one example, trained with step sizes from 0 to beyond 4/λ₀."""

from collections.abc import Callable
from contextlib import suppress
from typing import Annotated, Literal, NamedTuple

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from nnlab.chapters.beyond.catapult import schema
from nnlab.chapters.beyond.catapult.figures import catapult
from nnlab.chapters.beyond.catapult.two_variables import Array, follow_map, largest_falling_product
from nnlab.chapters.beyond.descent import train
from nnlab.errors import Diverged
from nnlab.lab.sections import Count, Distinct, Experiment
from nnlab.lab.session import Outcome, Session, generator
from nnlab.models.parameterization import linear_layer
from nnlab.record import Record
from nnlab.theory import Claim, exact_claim, worst

X = 1.5  # the example
TARGET = 1.0  # of the trainings that test the map with a target; the others have 0
SWEEP = np.linspace(0.1, 3.98, 195)  # of the map, for the figure
PROBE_STEPS = 20  # of a training that tells whether the loss rises
LONG_STEPS = 5000  # of one that tells whether it diverges
SETTLED = 1e-6  # of the first loss, at which a training has converged
RANGES = (0.5, 7.5), (1.2, 9.3)  # of ηλ₀, in which the boundaries are looked for
HALVINGS = 24, 10  # of these ranges
MAP = "nnlab.chapters.beyond.catapult.two_variables.follow_map"
TRAINING = "nnlab.training.fit, torch.autograd.grad"


class Config(Experiment):
    """Trains a network of two linear layers on one example, with one step size after the other."""

    experiment: Literal["catapult"]
    arrays = schema.ARRAYS
    width: int = Field(512, ge=64, le=10**6)
    steps: Count = 300
    products: Annotated[list[Annotated[float, Field(gt=0, lt=4)]], Distinct] = Field(
        [0.5, 1.0, 1.5, 1.9, 2.5, 3.0, 3.5], min_length=2, description="step sizes η in units of 1/λ₀"
    )

    def run(self, record: Record, session: Session) -> Outcome:
        """Follows every training beside the map, and finds both boundaries by halving."""
        record.start()
        products = sorted(self.products)
        first = measured(self.network())
        maps = [self.map(first, product) for product in products]
        falling = largest_falling_product(*first, width=self.width, x=X)
        ends = {
            f"{p:g}": p * kernels[-1] / first.kernel for p, (_, kernels) in zip(products, maps, strict=True)
        }
        record.predict({"ends": ends, "loss_rises_above": falling, "diverges_above": 4.0})
        runs = [self.trained(first, product, 0.0, session) for product in products]
        targeted = [self.trained(first, product, TARGET, session) for product in products]
        self.record(record, first, products, runs)
        claims = [
            map_claim(self, first, products, runs, targeted),
            *(end_claim(self, first, p, r) for p, r in zip(products, runs, strict=True) if p > 2),
            rise_claim(
                self, halved(lambda p: self.rises(first, p, session), RANGES[0], HALVINGS[0]), falling
            ),
            divergence_claim(
                self, halved(lambda p: self.diverges(first, p, session), RANGES[1], HALVINGS[1])
            ),
        ]
        last = {
            f"end_at_{p:g}": float(p * r.kernels[-1] / first.kernel)
            for p, r in zip(products, runs, strict=True)
        }
        return Outcome(last, claims=claims)

    def network(self) -> nn.Module:
        """Returns f(x) = n^{−1/2} Σ vᵢuᵢ x at its start, the same in every training, in float64."""
        random = generator(self.seed, "weights")
        layers = (
            linear_layer(a, b, generator=random, bias=False, sigma_w=1.0, parameterization="ntk")
            for a, b in ((1, self.width), (self.width, 1))
        )
        return nn.Sequential(*layers).double()

    def map(self, first: "State", product: float, target: float = 0.0) -> tuple[Array, Array]:
        """Returns f and λ by the map, (steps + 1,) each; finite as those of a training are."""
        lr = product / first.kernel
        return known(*follow_map(*first, lr=lr, steps=self.steps, width=self.width, x=X, y=target))

    def trained(self, first: "State", product: float, target: float, session: Session) -> "Training":
        """Trains with η = product/λ₀; where it diverges, the last finite state stands for those after it."""
        states: list[State] = []

        def observe(_: int, model: nn.Module) -> None:
            states.append(measured(model))

        with suppress(Diverged):
            self._train(first, product, target, self.steps, session, observe)
        states += [State(np.nan, np.nan)] * (self.steps + 1 - len(states))
        return Training(*known(*np.array(states).T))

    def rises(self, first: "State", product: float, session: Session) -> bool:
        """Tells whether the loss ever rises above the first within a few steps."""
        outputs: list[float] = []

        def observe(_: int, model: nn.Module) -> None:
            outputs.append(abs(measured(model).output))

        try:
            self._train(first, product, 0.0, PROBE_STEPS, session, observe)
        except Diverged:
            return True
        return max(outputs) > outputs[0]

    def diverges(self, first: "State", product: float, session: Session) -> bool | None:
        """Tells whether the training diverges; None where it has neither diverged nor converged in time."""
        try:
            end = self._train(first, product, 0.0, LONG_STEPS, session)
        except Diverged:
            return True
        return False if end < SETTLED * first.output**2 / 2 else None

    def _train(
        self,
        first: "State",
        product: float,
        target: float,
        steps: int,
        session: Session,
        observe: Callable[[int, nn.Module], None] | None = None,
    ) -> float:
        x, y = (torch.full((1, 1), value, dtype=torch.float64) for value in (X, target))
        lr = product / first.kernel
        return train(self.network(), x, y, lr=lr, steps=steps, observe=observe, stop=session.stop)

    def record(self, record: Record, first: "State", products: list[float], runs: "list[Training]") -> None:
        """Saves the curves, and draws ends and peaks beside those of the map."""
        maps = [self.map(first, product) for product in SWEEP]
        with np.errstate(over="ignore"):  # of a training that diverged
            losses = np.array([run.outputs for run in runs]) ** 2 / 2
        scale = np.array(products)[:, None] / first.kernel
        arrays = {
            schema.PRODUCTS: np.array(products),
            schema.LOSS: losses,
            schema.SHARPNESS: scale * np.array([run.kernels for run in runs]),
            schema.START: np.array([*first, X, self.width]),
            "sweep": SWEEP,
            "predicted_ends": SWEEP / first.kernel * np.array([kernels[-1] for _, kernels in maps]),
            "predicted_peaks": np.array([(outputs**2).max() / outputs[0] ** 2 for outputs, _ in maps]),
        }
        arrays["measured_ends"] = arrays[schema.SHARPNESS][:, -1]
        arrays["measured_peaks"] = arrays[schema.LOSS].max(1) / arrays[schema.LOSS][:, 0]
        record.save_arrays(**arrays)
        names = ("sweep", "predicted_ends", "predicted_peaks", "products", "measured_ends", "measured_peaks")
        record.figure("catapult", catapult, *(arrays[name] for name in names))


class State(NamedTuple):
    """f and λ = ‖∇f‖²."""

    output: float
    kernel: float


class Training(NamedTuple):
    """f and λ at every step, (steps + 1,) each."""

    outputs: Array
    kernels: Array


def measured(model: nn.Module) -> State:
    """Returns f(x) and its tangent kernel, by autograd."""
    output: Tensor = model(torch.full((1, 1), X, dtype=torch.float64)).sum()
    gradients = torch.autograd.grad(output, list(model.parameters()))
    return State(float(output.detach()), float(torch.stack([g.square().sum() for g in gradients]).sum()))


def known(outputs: Array, kernels: Array) -> tuple[Array, Array]:
    """Returns f and λ, (steps + 1,) each, with the last finite ones in place of all after them."""
    finite = np.isfinite(outputs) & np.isfinite(kernels)
    last = np.maximum.accumulate(np.where(finite, np.arange(len(finite)), 0))
    return outputs[last], kernels[last]


def halved(
    test: Callable[[float], bool | None], ends: tuple[float, float], times: int
) -> tuple[float, float]:
    """Halves an interval around the boundary above which `test` is true; (NaN, NaN) where it has none.

    The test is false at the low end and true at the high one; where it is undecided, there is no boundary.
    """
    low, high = ends
    if test(low) is not False or test(high) is not True:
        return np.nan, np.nan
    for _ in range(times):
        middle = (low + high) / 2
        above = test(middle)
        if above is None:
            return np.nan, np.nan
        low, high = (low, middle) if above else (middle, high)
    return low, high


# --- claims -----------------------------------------------------------------------------------------

NETWORK = "two linear layers, f = n^{−1/2} Σ vᵢuᵢ x, on one example; NTK parameterization, float64"


def map_claim(
    config: Config, first: State, products: list[float], runs: list[Training], targeted: list[Training]
) -> Claim:
    """Claims that descent is the map at every step, with the target 0 and with another one."""
    gaps, frozen = [], []
    for target, trainings in ((0.0, runs), (TARGET, targeted)):
        for product, training in zip(products, trainings, strict=True):
            outputs, kernels = config.map(first, product, target)
            largest = np.abs(outputs).max()
            gaps += [(training.outputs - outputs) / largest, (training.kernels - kernels) / first.kernel]
            frozen.append((kernels - first.kernel) / first.kernel)
    return exact_claim(
        "descent_is_the_map_of_two_numbers",
        sentence="Gradient descent of two linear layers on one example is a map of two numbers, f and λ.",
        formula="f ← f − ηλr + η²x²r²f/n,  λ ← λ + (ηx²/n) r(ηλr − 4f),  r = f − y",
        hypotheses=[
            NETWORK,
            f"n = {config.width}, x = {X:g}, targets 0 and {TARGET:g}",
            f"ηλ₀ from {products[0]:g} to {products[-1]:g}",
            f"largest difference over {config.steps} steps, of f over its largest value, of λ over λ₀",
        ],
        predicted=0.0,
        measured=worst(*gaps),
        tolerance=1e-10,
        rivals={"the kernel stays": worst(*frozen)},
        predicted_by=MAP,
        measured_by=TRAINING,
    )


def end_claim(config: Config, first: State, product: float, training: Training) -> Claim:
    """Claims the kernel at the end of a catapult."""
    kernels = config.map(first, product)[1]
    return exact_claim(
        f"catapult_ends_at_{product:g}",
        sentence=f"From ηλ₀ = {product:g} training ends at a minimum that is flatter by a known amount.",
        formula="ηλ(∞) of the map, below 2",
        hypotheses=[NETWORK, f"n = {config.width}, target 0, {config.steps} steps"],
        predicted=float(product * kernels[-1] / first.kernel),
        measured=float(product * training.kernels[-1] / first.kernel),
        tolerance=1e-8,
        rivals={"the kernel stays": product, "it stops at the edge": 2.0},
        predicted_by=MAP,
        measured_by=TRAINING,
    )


def rise_claim(config: Config, boundary: tuple[float, float], predicted: float) -> Claim:
    """Claims the step size from which on the loss rises."""
    return exact_claim(
        "loss_rises_above_2",
        sentence="Below ηλ₀ = 2 the loss falls at every step; above, it rises first.",
        formula="ηλ₀ = 2 + η²x²f₀²/n",
        hypotheses=[NETWORK, f"n = {config.width}, target 0", f"halved {HALVINGS[0]} times"],
        predicted=predicted,
        measured=sum(boundary) / 2,
        tolerance=1e-6,
        rivals={"1": 1.0, "3": 3.0, "4": 4.0},
        predicted_by="nnlab.chapters.beyond.catapult.two_variables.largest_falling_product",
        measured_by=TRAINING,
    )


def divergence_claim(config: Config, boundary: tuple[float, float]) -> Claim:
    """Claims the step size from which on training diverges: where λ grows, whatever f."""
    return exact_claim(
        "training_diverges_above_4",
        sentence="Below ηλ₀ = 4 training converges; above, it diverges.",
        formula="λ ← λ + (ηx²f²/n)(ηλ − 4): λ falls where ηλ < 4",
        hypotheses=[
            NETWORK,
            f"n = {config.width}, target 0, at most {LONG_STEPS} steps",
            f"converged: loss below {SETTLED:g} of the first; halved {HALVINGS[1]} times",
        ],
        predicted=4.0,
        measured=sum(boundary) / 2,
        tolerance=0.01,
        rivals={"2": 2.0, "3": 3.0, "6": 6.0},
        predicted_by="closed form: λ falls where ηλ < 4",
        measured_by="nnlab.training.fit",
    )
