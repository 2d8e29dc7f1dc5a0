"""Lazy and rich training: which features move, and which step sizes stay, as networks grow wide."""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from nnlab.chapters.beyond.rich import schema
from nnlab.chapters.beyond.rich.figures import best_steps, features_over_width
from nnlab.chapters.beyond.rich.schema import OPTIMIZERS, PARAMETERIZATIONS, Optimizer, Parameterization
from nnlab.data import RawData, Split, prepare
from nnlab.errors import Diverged, Interrupted
from nnlab.lab.sections import ActivationName, Count, Distinct, Experiment, StepSize
from nnlab.lab.session import Outcome, Session, generator
from nnlab.models import MLP
from nnlab.record import Record
from nnlab.theory import Claim, measured_claim
from nnlab.training import Parts, Settings, fit
from nnlab.training.ensemble import Ensemble, Pass, descend
from nnlab.training.losses import build_loss
from nnlab.training.optimizers import build_optimizer

Array = NDArray[np.float64]

INPUTS, EXAMPLES, DEPTH = 4, 64, 2
GRID = np.arange(-2.5, 2.75, 0.5)
"""log₂ of the step sizes that are tried, over the middle of the search."""
MIDDLES = {("mup", "sgd"): 0.5, ("ntk", "sgd"): 0.5, ("mup", "adam"): -2.7, ("ntk", "adam"): -0.2}
"""log₂ of the step size in the middle of the search at the base width. Where the least loss lies at an end of
the grid, the middle is moved there."""
EXPONENTS = {("mup", "sgd"): 0.0, ("ntk", "sgd"): 0.0, ("mup", "adam"): 0.0, ("ntk", "adam"): -1.0}
"""The predicted exponents of the best step size."""
BASE_WIDTH = 4  # small, so that outputs begin near 0 at every width of the study
MOST_MOVES = 8  # of the grid
SOURCES = "Yang & Hu 2021; Yang et al. 2021"


class Config(Experiment):
    """Trains networks of two hidden layers for a few steps, in two parameterizations, at several widths."""

    experiment: Literal["rich"]
    arrays = schema.ARRAYS
    widths: Annotated[list[Count], Distinct] = Field([128, 256, 512, 1024], min_length=2)
    seeds: int = Field(16, ge=2, le=1000)
    activation: ActivationName = "tanh"
    steps: int = Field(
        10, ge=1, le=1000, description="of gradient descent, after which features are measured"
    )
    search_steps: int = Field(5, ge=1, le=100, description="after which the loss tells the best step size")
    lr: StepSize = Field(0.3, description="step size for the features, in both parameterizations")

    def run(self, record: Record, session: Session) -> Outcome:
        """Measures the change of the last hidden layer, and the best step sizes of descent and of Adam."""
        record.start()
        record.predict(
            {"features/mup": 0.0, "features/ntk": -0.5}
            | {f"best_step/{optimizer}/{name}": value for (name, optimizer), value in EXPONENTS.items()}
        )
        study = _Study(self, session)
        features, searches = {}, {}
        with session.reporter.bar("training") as advance:
            for name in PARAMETERIZATIONS:
                features[name] = study.features(name)
            pairs = [(name, optimizer) for optimizer in OPTIMIZERS for name in PARAMETERIZATIONS]
            for done, (name, optimizer) in enumerate(pairs):
                advance(done, len(pairs), f"{optimizer}, {name}")
                searches[name, optimizer] = study.search(name, optimizer)
        self._save(study.widths, features, searches, record)
        slopes = {name: study.slopes(values) for name, values in features.items()}
        steps = {key: study.slopes(2.0**search.best) for key, search in searches.items()}
        metrics = {f"features/{name}": float(values.mean()) for name, values in slopes.items()}
        metrics |= {f"best_step/{o}/{p}": float(values.mean()) for (p, o), values in steps.items()}
        claims = [_features_claim(name, values) for name, values in slopes.items()]
        claims += [_step_claim(*key, values) for key, values in steps.items()]
        return Outcome(metrics, claims=claims)

    @staticmethod
    def _save(
        widths: list[int],
        features: dict[Parameterization, Array],
        searches: "dict[tuple[Parameterization, Optimizer], _Search]",
        record: Record,
    ) -> None:
        arrays = {schema.WIDTHS: np.array(widths)}
        arrays |= {schema.FEATURES.format(name=name): values for name, values in features.items()}
        for (name, optimizer), search in searches.items():
            for key, values in (
                (schema.BEST, search.best),
                (schema.GRID, search.grid),
                (schema.LOSS, search.loss),
            ):
                arrays[key.format(optimizer=optimizer, name=name)] = values
        record.save_arrays(**arrays)
        best = {f"{optimizer}/{name}": search.best for (name, optimizer), search in searches.items()}
        record.figure("features", features_over_width, widths, features)
        record.figure("best_steps", best_steps, widths, best)


@dataclass(frozen=True)
class _Search:
    """The search for step sizes of one parameterization and optimizer; arrays as in the schema."""

    best: Array
    grid: Array
    loss: Array


@dataclass
class _Study:
    """The networks of a config, and their trainings."""

    config: Config
    session: Session

    @property
    def widths(self) -> list[int]:
        return sorted(self.config.widths)

    def network(self, name: Parameterization, width: int, seed: int) -> MLP:
        """A network of two hidden layers; every (parameterization, width, seed) has its own draws."""
        return MLP(
            INPUTS,
            [width] * DEPTH,
            1,
            self.config.activation,
            parameterization=name,
            base_width=BASE_WIDTH,
            generator=generator(self.config.seed, f"{name} weights", width, seed),
        )

    def data(self, seed: int) -> tuple[Tensor, Tensor]:
        """x (n, d), standard normal, and y (n, 1) = sin 2x₁ + x₂x₃ with its own mean and spread taken out."""
        x = torch.randn(EXAMPLES, INPUTS, generator=generator(self.config.seed, "examples", seed))
        y = torch.sin(2 * x[:, :1]) + x[:, 1:2] * x[:, 2:3]
        return x, (y - y.mean()) / y.std(correction=0)

    def features(self, name: Parameterization) -> Array:
        """‖h(t) − h(0)‖/‖h(0)‖ of the last hidden layer over the examples after `steps`, (K, S)."""
        config, changes = self.config, np.empty((len(self.widths), self.config.seeds))
        for k, width in enumerate(self.widths):
            for seed in range(config.seeds):
                x, y = self.data(seed)
                start = Ensemble.from_models([self.network(name, width, seed)])
                end = descend(
                    start, x, y, lr=config.lr, steps=config.steps, reduction="mean", stop=self.session.stop
                ).ensemble
                before, after = _last_hidden(start, x), _last_hidden(end, x)
                changes[k, seed] = float(torch.linalg.norm(after - before) / torch.linalg.norm(before))
        return changes

    def search(self, name: Parameterization, optimizer: Optimizer) -> _Search:
        """Tries step sizes at every width with every seed."""
        places = np.empty((len(self.widths), self.config.seeds))
        losses = np.empty((*places.shape, len(GRID)))
        octaves = np.log2(np.array(self.widths) / BASE_WIDTH)
        grid = (MIDDLES[name, optimizer] + EXPONENTS[name, optimizer] * octaves)[:, None] + GRID
        for k, seed in np.ndindex(places.shape):
            places[k, seed], losses[k, seed] = self._lowest(name, optimizer, self.widths[k], seed, grid[k])
        return _Search(places, grid, losses.mean(1))

    def _lowest(
        self, name: Parameterization, optimizer: Optimizer, width: int, seed: int, grid: Array
    ) -> tuple[float, Array]:
        """log₂ of the best step size of one network, and the losses on the first grid."""
        start = self._loss(name, optimizer, width, seed, 0.0)
        place, first = float("nan"), np.full(len(GRID), np.nan)
        for move in range(MOST_MOVES):
            losses = np.array([self._loss(name, optimizer, width, seed, 2.0**lr) for lr in grid])
            first = losses if move == 0 else first
            place = lowest(grid, losses)
            if losses.min() >= start:  # all of them are too large, and the least of them means nothing
                grid = grid - np.ptp(GRID)
            elif grid[0] < place < grid[-1]:
                return place, first
            else:
                grid = place + GRID
        return float("nan"), first

    def _loss(self, name: Parameterization, optimizer: Optimizer, width: int, seed: int, lr: float) -> float:
        """log of the training loss after `search_steps` full-batch steps; infinite where it diverged."""
        if self.session.stop():
            raise Interrupted("stopped in the search for step sizes")
        x, y = self.data(seed)
        split = Split(x, y)
        raw = RawData("regression", split, split, 1, [])
        data = prepare(
            raw, name="rich", validation=0, split_seed=0, standardize=False,
            device=torch.device("cpu"), dtype=torch.float32,
        )  # fmt: skip
        model = self.network(name, width, seed)
        parts = Parts(model, data, build_loss("squared_error"), build_optimizer(optimizer, model, lr=lr))
        settings = Settings(epochs=self.config.search_steps, batch_size="full", evaluate_every=10**6)
        try:
            result = fit(parts, settings, generator=generator(0, "order"))
        except Diverged:
            return float("inf")
        return float(np.log(result.metrics["train/loss"]))

    def slopes(self, values: Array) -> Array:
        """The least-squares slope of log₂ values (K, S) over log₂ width, of every seed, (S,)."""
        x = np.log2(self.widths) - np.log2(self.widths).mean()
        slopes: Array = x @ np.log2(values) / (x @ x)
        return slopes


@torch.no_grad()
def _last_hidden(ensemble: Ensemble, x: Tensor) -> Tensor:
    """The last hidden layer's values h (S, n, m)."""
    at = Pass(ensemble, x)
    at.forward()
    return at.inputs[-1][..., : ensemble.layers[-1].inputs].clone()


def lowest(grid: Array, values: Array) -> float:
    """Returns the place of the least of values (G,) on an even grid, by the parabola through its neighbours.

    Its neighbours beyond an end of the grid, or that are not finite, leave the grid's own place.
    """
    i = int(np.argmin(np.where(np.isfinite(values), values, np.inf)))
    if not 0 < i < len(grid) - 1 or not np.isfinite(values[i - 1 : i + 2]).all():
        return float(grid[i])
    before, at, after = values[i - 1 : i + 2]
    curvature = before - 2 * at + after
    shift = 0.5 * (before - after) / curvature if curvature > 0 else 0.0
    return float(grid[i] + shift * (grid[1] - grid[0]))


def _features_claim(name: str, slopes: Array) -> Claim:
    moves = name == "mup"
    return measured_claim(
        f"features_move_in_{name}",
        sentence="In µP features move by the same share at every width."
        if moves
        else "In ntk parameterization features move less and less: their change falls like 1/√m.",
        formula="‖h(t) − h(0)‖/‖h(0)‖ ∝ m^0" if moves else "‖h(t) − h(0)‖/‖h(0)‖ ∝ m^(−1/2)",
        hypotheses=["two hidden layers, gradient descent with one step size for all widths", SOURCES],
        predicted=0.0 if moves else -0.5,
        values=slopes,
        rivals={"falls like 1/√m": -0.5, "falls like 1/m": -1.0}
        if moves
        else {"moves at every width": 0.0, "falls like 1/m": -1.0},
        predicted_by="closed form: exponents of Yang & Hu 2021, theorem 3.4",
        measured_by="nnlab.training.ensemble.descend, nnlab.models.MLP",
    )


_SENTENCES = {
    ("mup", "sgd"): "In µP the best step size of gradient descent is the same at every width.",
    ("ntk", "sgd"): "In ntk parameterization the best step size of gradient descent stays, too.",
    ("mup", "adam"): "In µP the best step size of Adam is the same at every width.",
    ("ntk", "adam"): "In ntk parameterization the best step size of Adam falls like 1/m.",
}


def _step_claim(name: Parameterization, optimizer: Optimizer, slopes: Array) -> Claim:
    predicted = EXPONENTS[name, optimizer]
    rivals = {"the same at every width": 0.0, "falls like 1/√m": -0.5, "falls like 1/m": -1.0}
    return measured_claim(
        f"best_step_of_{optimizer}_in_{name}",
        sentence=_SENTENCES[name, optimizer],
        formula=f"argmin_η L_k(η) ∝ m^{predicted:g}".replace("-", "−"),
        hypotheses=["two hidden layers, a few steps over all examples", SOURCES],
        predicted=predicted,
        values=slopes,
        rivals={label: value for label, value in rivals.items() if value != predicted},
        predicted_by="closed form: exponents of Yang et al. 2021, table 3",
        measured_by="nnlab.training.fit, nnlab.training.optimizers.build_optimizer",
    )
