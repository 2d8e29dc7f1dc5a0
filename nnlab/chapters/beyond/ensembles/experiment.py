"""Many networks, each from its own random start, are a Gaussian process: before training, and after it.

f₀ has the covariance K, the "nngp" kernel. With the tangent kernel Θ, training points T and new points X,
gradient descent on ½Σ(f − y)² until it has converged gives

    all layers      f = f₀(X) + A(y − f₀(T)),  A = Θ_XT Θ_TT⁻¹:  mean A y, covariance (−A I) K (−A I)ᵀ
    last layer      the same with K in place of Θ:  the posterior of the process, K_XX − K_XT K_TT⁻¹ K_TX

(Lee et al. 2019, "Wide neural networks of any depth evolve as linear models under gradient descent", section
2.3.1, eq. 14 to 16). The first is not the posterior of the process, nor of any other Bayesian model.

With several outputs every network gives as many samples, since its outputs are independent at infinite
width; the means over them are what is judged, one for each network.
"""

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from nnlab.chapters.beyond.descent import train
from nnlab.chapters.beyond.ensembles import schema
from nnlab.chapters.beyond.ensembles.claims import Ensembles, claims_of, spread_ratios
from nnlab.chapters.beyond.ensembles.figures import functions_on_the_circle
from nnlab.chapters.beyond.ensembles.setup import SIGMA_B, Task
from nnlab.lab.sections import Count, Experiment
from nnlab.lab.session import Outcome, Session, generator
from nnlab.models import MLP
from nnlab.record import Record
from nnlab.record.arrays import under
from nnlab.training.ensemble import Ensemble, descend, in_parts

Array = NDArray[np.float64]


class Config(Experiment):
    """Trains many wide networks, wholly and their last layer alone; compares them with two closed forms."""

    experiment: Literal["ensembles"]
    arrays = schema.ARRAYS
    networks: int = Field(256, ge=8, le=100_000)
    width: Count = 2048
    last_layer_width: Count = Field(512, description="of the networks whose last layer alone is trained")
    points: int = Field(4, ge=2, le=50, description="training points on the circle")
    outputs: int = Field(8, ge=1, le=1000)

    def run(self, record: Record, session: Session) -> Outcome:
        """Predicts mean and covariance of three ensembles, trains them, and compares."""
        task = Task.of(self.points, self.outputs, self.seed)
        forecasts = task.predictions()
        record.start()
        record.predict(
            {
                name: {"mean": forecast.mean.tolist(), "covariance": forecast.covariance.tolist()}
                for name, forecast in forecasts.items()
            }
        )
        before, after = self._train_all(task, session)
        alone = self._train_last(task, session)
        functions = {schema.STARTED: before, schema.TRAINED: after, schema.LAST: alone}
        measured = {name: (outputs, forecasts[name]) for name, outputs in functions.items()}
        _save(record, task, measured)
        variances = {name: float(spread_ratios(*pair).mean()) for name, pair in measured.items()}
        metrics = {f"variance/{name}": variance for name, variance in variances.items()}
        rows = [{"training": name, "variance": variance} for name, variance in variances.items()]
        return Outcome(metrics, rows, claims_of(task, measured, (self.width, self.last_layer_width)))

    def network(self, width: int, member: int) -> MLP:
        """Draws a network in float64."""
        return MLP(
            2, [width], self.outputs, "erf", parameterization="ntk", sigma_b=SIGMA_B,
            generator=generator(self.seed, "weights", width, member),
        ).double()  # fmt: skip

    def _train_all(self, task: Task, session: Session) -> tuple[Array, Array]:
        """(S, g, C) outputs at the new points, before and after all layers of every network are trained."""
        before, after = [], []
        lr, steps = task.schedule(task.ntk)
        with session.reporter.bar("training all layers") as advance:
            for part in in_parts(self.networks, 64 * self.width * (self.outputs + 3)):
                start = Ensemble.from_models([self.network(self.width, member) for member in part])

                def tell(done: int, of: int, part: range = part) -> None:
                    advance(part.start * steps + done * len(part) * steps // of, self.networks * steps, "")

                end = descend(start, task.x, task.y, lr=lr, steps=steps, stop=session.stop, progress=tell)
                before.append(start.outputs(task.new))
                after.append(end.ensemble.outputs(task.new))
        return torch.cat(before).numpy(), torch.cat(after).numpy()

    def _train_last(self, task: Task, session: Session) -> Array:
        """(S, g, C) outputs at the new points after the last layer of every network is trained."""
        outputs = []
        lr, steps = task.schedule(task.nngp)
        with session.reporter.bar("training last layers") as advance:
            for member in range(self.networks):
                advance(member, self.networks, "")
                network = self.network(self.last_layer_width, member)
                network.hidden.requires_grad_(False)
                train(network, task.x, task.y, lr=lr, steps=steps, stop=session.stop)
                with torch.no_grad():
                    outputs.append(network(task.new))
        return torch.stack(outputs).numpy()


def _save(record: Record, task: Task, measured: Ensembles) -> None:
    """Saves what the first output does, and draws it."""
    known, new = (np.degrees(angles.numpy()) for angles in task.angles)
    arrays = {schema.ANGLES: new, schema.POINTS: known, schema.TARGETS: task.y[:, 0].numpy()}
    panels = {}
    for name, (functions, forecast) in measured.items():
        mine = {
            schema.FUNCTIONS: functions[:, :, 0],
            schema.MEAN: forecast.mean[:, 0],
            schema.STD: np.sqrt(forecast.covariance.diagonal()),
        }
        arrays |= under(name, mine)
        panels[name] = tuple(mine.values())
    record.save_arrays(**arrays)
    ratios = np.array(
        [spread_ratios(functions, forecast).mean() for functions, forecast in measured.values()]
    )
    record.figure("functions", functions_on_the_circle, new, (known, arrays[schema.TARGETS]), panels, ratios)
