"""Minimum-norm regression on Gaussian and on random ReLU features, over their number."""

from dataclasses import dataclass, replace
from typing import Annotated, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, NonNegativeFloat, PositiveFloat
from torch import Tensor

from nnlab.chapters.beyond.descent import data_set
from nnlab.chapters.beyond.double_descent import schema
from nnlab.chapters.beyond.double_descent.figures import double_descent
from nnlab.chapters.beyond.double_descent.risk import bias, risk, training_error, variance
from nnlab.data.dataset import Split
from nnlab.errors import InputError
from nnlab.lab.sections import Count, Distinct, Experiment
from nnlab.lab.session import Outcome, Session, generator
from nnlab.models import MLP
from nnlab.record import Record
from nnlab.record.arrays import under
from nnlab.theory import CONFIDENCE, LEVEL, Claim, exact_claim, mean_interval, measured_claim, worst
from nnlab.training import Parts, Settings, build_loss, build_optimizer, fit

Array = NDArray[np.float64]

NEAR = 8  # features from n at which the variance of the risk is still small enough for a mean
PEAK = 2.0  # times the risk at other numbers of features, what σ²n must be for a peak at n
TEST = 600  # new examples, by which the risk is measured, in more than one block
EPOCHS = 5  # of 20 iterations of L-BFGS, from weights 0
NETWORK_EPOCHS = 10
INPUTS = 20  # d, of the random ReLU features
SOURCE = "Hastie, Montanari, Rosset, Tibshirani, Surprises in high-dimensional ridgeless least squares (2022)"


class Config(Experiment):
    """Fits Gaussian targets by full-batch descent from 0, which ends at the weights of least norm."""

    experiment: Literal["double_descent"]
    arrays = schema.ARRAYS
    examples: int = Field(40, ge=20, le=1000)
    features: Annotated[list[Count], Distinct] = Field([8, 16, 24, 30, 52, 64, 80, 160], min_length=2)
    peak: Annotated[list[Count], Distinct] = Field([20, 30, 36, 40, 44, 52, 80], min_length=3)
    draws: int = Field(60, ge=2, le=10_000)
    peak_draws: int = Field(8, ge=2, le=10_000)
    targets: Count = Field(20, description="columns of targets of each draw, with their own β and noise")
    noise: PositiveFloat = 1.0
    norm: NonNegativeFloat = Field(2.0, description="‖β‖")

    def run(self, record: Record, session: Session) -> Outcome:
        """Measures the risk of independent draws at every number of features."""
        n, features, peak = self.examples, sorted(self.features), sorted(self.peak)
        if any(abs(p - n) < NEAR for p in features):
            raise InputError(
                f"features: must be at least {NEAR} from examples: {n}, where the risk has a mean"
            )
        if n not in peak or peak[0] == n or peak[-1] == n:
            raise InputError(f"peak: must hold examples: {n}, and numbers of features below and above it")
        record.start()
        predicted = {p: risk(n, p, sigma=self.noise, norm=self.norm) for p in features}
        record.predict({"risk": predicted, "peak": n})
        draws: dict[int, Draws] = {}
        relu: dict[int, Draws] = {}
        with session.reporter.bar("fits") as advance:
            for done, p in enumerate(sorted({*features, *peak})):
                advance(done, len({*features, *peak}), f"{p} features")
                draws[p] = self.gaussian(p, self.draws if p in features else self.peak_draws, session)
                if p in peak or p == features[-1]:
                    relu[p] = self.relu(p, session)
        self.record(record, draws, relu)
        claims = [risk_claim(self, p, draws[p]) for p in features]
        claims += [
            least_norm_claim(self, [draws[p] for p in features]),
            *(training_claim(self, p, draws) for p in [p for p in features if p < n][-1:]),
        ]
        if self.has_peak():
            claims += [
                peak_claim(self, "gaussian", {p: draws[p] for p in peak}),
                peak_claim(self, "relu", {p: relu[p] for p in peak}),
            ]
        return Outcome({f"risk_at_{p}": float(draws[p].risk.mean()) for p in features}, claims=claims)

    def has_peak(self) -> bool:
        """Tells whether the noise alone makes the risk at p = n larger than at the other numbers of features.

        There the smallest eigenvalue of XᵀX is about 1/n, so that the risk is typically about σ²n. Without
        noise nothing rises at n, and next to n nothing can be told apart.
        """
        n = self.examples
        others = [risk(n, p, sigma=self.noise, norm=self.norm) for p in self.peak if p != n]
        return self.noise**2 * n >= PEAK * max(others)

    def gaussian(self, p: int, count: int, session: Session) -> "Draws":
        """Fits a linear model to `count` draws of p Gaussian features."""
        results = []
        for draw in range(count):
            random = generator(self.seed, "gaussian features", p, draw)
            task = Task.drawn(self, p, random)
            model = MLP(p, [], self.targets, bias=False, generator=random).double()
            results.append((*fitted(model, task, EPOCHS, session), away_from_pinv(model, task)))
        return Draws(*np.array(results).T)

    def relu(self, p: int, session: Session) -> "Draws":
        """Fits the output layer of networks with p random ReLU features of d Gaussian inputs."""
        results = []
        for draw in range(self.peak_draws):
            random = generator(self.seed, "ReLU features", p, draw)
            task = Task.drawn(self, INPUTS, random)
            model = MLP(INPUTS, [p], self.targets, bias=False, generator=random).double()
            model.hidden.requires_grad_(False)
            results.append((*fitted(model, task, NETWORK_EPOCHS, session), np.nan))
        return Draws(*np.array(results).T)

    def record(self, record: Record, draws: "dict[int, Draws]", relu: "dict[int, Draws]") -> None:
        """Saves means over the draws, and draws them beside the formula."""
        record.save_arrays(**{schema.SETTING: np.array([self.examples, self.noise, self.norm])})
        groups = {schema.GAUSSIAN: draws, schema.RELU: relu}
        arrays = {name: _arrays(by_features) for name, by_features in groups.items()}
        for name, values in arrays.items():
            record.save_arrays(**under(name, values))
        gaussian, network = arrays[schema.GAUSSIAN], arrays[schema.RELU]
        curve = np.arange(min(draws), 1 + max(draws))
        record.figure(
            "double_descent", double_descent, self.examples,
            *(gaussian[name] for name in (schema.FEATURES, schema.RISK, schema.INTERVAL)),
            curve, np.array([risk(self.examples, int(p), sigma=self.noise, norm=self.norm) for p in curve]),
            network[schema.FEATURES], network[schema.RISK], LEVEL,
        )  # fmt: skip


@dataclass(frozen=True)
class Draws:
    """The results of several draws with one number of features.

    Attributes:
        risk: (D,) mean squared error on new examples without noise, of one target.
        error: (D,) mean squared error on the training examples.
        away: (D,) distance of the weights from the pseudo-inverse's, over their norm; NaN where not compared.
    """

    risk: Array
    error: Array
    away: Array


def _arrays(draws: dict[int, Draws]) -> dict[str, Array]:
    order = sorted(draws)
    intervals = [mean_interval(draws[p].risk, CONFIDENCE)[1:] for p in order]
    return {
        schema.FEATURES: np.array(order),
        schema.RISK: np.array([draws[p].risk.mean() for p in order]),
        schema.INTERVAL: np.array(intervals, dtype=np.float64),
        schema.LOG_RISK: np.array([np.log(draws[p].risk).mean() for p in order]),
    }


@dataclass(frozen=True)
class Task:
    """Examples with noisy targets, and new ones with targets that have no noise.

    Attributes:
        train: inputs (n, d) ~ N(0, I), targets (n, C) = xᵀβ + ε, each column of β of the norm of the config.
        test: likewise without ε.
    """

    train: Split
    test: Split

    @classmethod
    def drawn(cls, config: Config, inputs: int, random: torch.Generator) -> "Task":
        """Draws β, the examples and their noise."""

        def normal(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=random, dtype=torch.float64)

        beta = normal(inputs, config.targets)
        beta = config.norm * beta / beta.norm(dim=0)
        x, new = normal(config.examples, inputs), normal(TEST, inputs)
        y = x @ beta + config.noise * normal(config.examples, config.targets)
        return cls(Split(x, y), Split(new, new @ beta))


def fitted(model: MLP, task: Task, epochs: int, session: Session) -> tuple[float, float]:
    """Trains the last layer of a model from weights 0; returns its error on new examples and on its own."""
    torch.nn.init.zeros_(model.output.weight)
    data = replace(data_set(task.train.inputs, task.train.targets), test=task.test)
    parts = Parts(model, data, build_loss("squared_error"), build_optimizer("lbfgs", model, history=30))
    settings = Settings(epochs=epochs, batch_size="full", evaluate_every=epochs)
    result = fit(parts, settings, generator=torch.Generator(), stop=session.stop)
    per_target = 2 / task.train.targets.shape[1]
    return per_target * result.metrics["test/loss"], per_target * result.metrics["train/loss"]


def away_from_pinv(model: MLP, task: Task) -> float:
    """Returns ‖W − Y ᵀ(X⁺)ᵀ‖ over the norm of the latter, the weights of least norm."""
    shortest = np.linalg.pinv(task.train.inputs.numpy()) @ task.train.targets.numpy()
    weights = model.output.weight.detach().numpy().T
    return float(np.linalg.norm(weights - shortest) / np.linalg.norm(shortest))


# --- claims -----------------------------------------------------------------------------------------


def _setting(config: Config) -> list[str]:
    return [
        f"n = {config.examples}, noise σ = {config.noise:g}, ‖β‖ = {config.norm:g}; x ~ N(0, I)",
        "all features of the target are seen (well specified); risk on new examples, without noise",
        f"weights of least norm, by L-BFGS from 0; {config.targets} targets a draw",
        SOURCE,
    ]


def risk_claim(config: Config, p: int, draws: Draws) -> Claim:
    """Claims the risk at one number of features."""
    n, sigma, norm = config.examples, config.noise, config.norm
    value = risk(n, p, sigma=sigma, norm=norm)
    if p < n:
        formula, rivals = "σ²p/(n − p − 1)", {"σ²p/n": sigma**2 * p / n, "no noise": 0.0}
    else:
        formula = "σ²n/(p − n − 1) + ‖β‖²(1 − n/p)"
        rivals = {
            "the noise alone": variance(n, p, sigma),
            "the missing part alone": bias(n, p, norm),
            "σ²p/n": sigma**2 * p / n,
        }
    return measured_claim(
        f"risk_with_{p}_features",
        sentence=f"With {p} features and {n} examples minimum-norm regression has the predicted risk.",
        formula=f"E‖β̂ − β‖² = {formula}",
        hypotheses=_setting(config),
        predicted=value,
        values=draws.risk,
        rivals={label: other for label, other in rivals.items() if other != value},
        predicted_by="nnlab.chapters.beyond.double_descent.risk.risk",
        measured_by="nnlab.training.fit",
    )


def training_claim(config: Config, p: int, draws: dict[int, Draws]) -> Claim:
    """Claims the error on the examples themselves, which falls to 0 at p = n."""
    n, sigma = config.examples, config.noise
    share = 1 - p / n
    return measured_claim(
        f"training_error_with_{p}_features",
        sentence="The error on the training examples falls in proportion to n − p, and is 0 from p = n on.",
        formula="E‖y − Xβ̂‖²/n = σ²(1 − p/n)",
        hypotheses=_setting(config),
        predicted=training_error(n, p, sigma),
        values=draws[p].error,
        rivals={
            "σ²": sigma**2,
            "σ²(1 − p/n)²": (sigma * share) ** 2,
            "that of new examples": variance(n, p, sigma),
        }
        | ({"σ²p/n": sigma**2 * p / n} if 2 * p != n else {}),
        predicted_by="nnlab.chapters.beyond.double_descent.risk.training_error",
        measured_by="nnlab.training.fit",
    )


def least_norm_claim(config: Config, draws: list[Draws]) -> Claim:
    """Claims that descent from 0 finds the weights of least norm among those that fit best."""
    return exact_claim(
        "descent_finds_the_least_norm",
        sentence="Descent from weights 0 ends at the weights of least norm among those that fit best.",
        formula="W → X⁺Y",
        hypotheses=[*_setting(config), "largest distance over all draws, relative"],
        predicted=0.0,
        measured=worst(*(one.away for one in draws)),
        tolerance=1e-3,
        rivals={"weights 0": 1.0},
        predicted_by="numpy.linalg.pinv",
        measured_by="nnlab.training.fit",
    )


def peak_claim(config: Config, kind: Literal["gaussian", "relu"], draws: dict[int, Draws]) -> Claim:
    """Claims where the risk is largest: between its neighbours among the numbers of features."""
    n, order = config.examples, sorted(draws)
    heights = np.array([np.log(draws[p].risk).mean() for p in order])
    nearest = min(abs(p - n) for p in order if p != n)
    measured = order[int(heights.argmax())] / n if np.isfinite(heights).all() else np.nan
    what = "Gaussian features" if kind == "gaussian" else f"random ReLU features of {INPUTS} Gaussian inputs"
    return exact_claim(
        f"peak_of_{kind}_features",
        sentence=f"With {what} the risk is largest where features and examples are equally many.",
        formula="argmax over p of E log risk, over n",
        hypotheses=[
            *([] if kind == "relu" else _setting(config)),
            f"p = {', '.join(map(str, order))}; n = {n}, σ = {config.noise:g}, ‖β‖ = {config.norm:g}",
            "tolerance: half of the way to the nearest other number",
        ],
        predicted=1.0,
        measured=measured,
        tolerance=nearest / (2 * n),
        rivals={"n/2": 0.5, "2n": 2.0},
        predicted_by="closed form: p = n",
        measured_by="nnlab.training.fit",
    )
