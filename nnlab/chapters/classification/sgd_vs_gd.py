"""Full batch against mini-batches: the noise of the gradient, and the progress of an epoch with each."""

from typing import Annotated, Any, Literal

from pydantic import Field

from nnlab.chapters.classification import schema
from nnlab.chapters.classification.figures import gradient_noise
from nnlab.errors import InputError, Interrupted
from nnlab.lab.sections import BatchSize, Count, Distinct, TrainingExperiment
from nnlab.lab.session import Outcome, Session, generator
from nnlab.lab.training_run import build_parts, histories, train, vary
from nnlab.plot.curves import compare_curves
from nnlab.record import Record
from nnlab.record.arrays import under
from nnlab.theory import Claim, interval_claim, mean_interval
from nnlab.training import Parts
from nnlab.training.theory import example_gradients, measured_noise, noise_of_one, predicted_noise

MAX_ENTRIES = 2**28  # of the (N, p) matrix of gradients: 2 GiB in float64
NOISE = ("batch", "measured", "predicted", "interval", "rival")
"""The columns on the variance of the mini-batch gradient at the start, in the order of its figure."""


class Config(TrainingExperiment):
    """Trains with each batch size for the same number of epochs; measures gradient noise at the start."""

    experiment: Literal["sgd_vs_gd"]
    arrays = schema.SGD_ARRAYS
    batch_sizes: Annotated[list[BatchSize], Distinct] = Field(["full", 512, 64, 8], min_length=1)
    draws: Count = 20_000

    def run(self, record: Record, session: Session) -> Outcome:
        """Measures the noise of the mini-batch gradient, then trains with every batch size."""
        parts = build_parts(self, session)
        entries = len(parts.data.train) * sum(p.numel() for p in parts.model.parameters())
        if entries > MAX_ENTRIES:
            raise InputError(
                f"experiment: sgd_vs_gd holds the gradient of every example, {entries:,} numbers here; "
                f"at most {MAX_ENTRIES:,}: choose a smaller model or data set"
            )
        record.start()
        noise, claims = measure_noise(self, parts, session)
        if noise:
            record.save_arrays(**under("noise", noise))
            record.figure("gradient_noise", gradient_noise, *noise.values())
        results: list[dict[str, Any]] = []
        curves: dict[str, dict[str, list[float]]] = {}
        metrics: dict[str, float] = {}
        for batch_size in self.batch_sizes:
            varied = vary(self, {"data.batch_size": batch_size})
            parts = build_parts(varied, session)
            result = train(varied, parts, record, session, part=f"batch-{batch_size}")
            measured: dict[str, float] = {
                k: result.metrics[k]
                for k in ("train/loss", "test/loss", "test/accuracy")
                if k in result.metrics
            }
            results.append({"batch_size": batch_size, "steps": result.steps, **measured})
            metrics |= {f"batch-{batch_size}/{name}": value for name, value in measured.items()}
            curves[f"batch size {batch_size}"] = histories(record.history(), f"batch-{batch_size}")["train"]
        record.save_arrays(**{f"{label}/train_loss": curve["loss"] for label, curve in curves.items()})
        title = "After as many epochs, smaller batches have taken more steps and got further"
        record.figure("loss_by_epoch", compare_curves, curves, title, log=True, y_label="training loss")
        return Outcome(metrics, results, claims)


def measure_noise(
    config: Config, parts: Parts, session: Session
) -> tuple[dict[str, tuple[Any, ...]], list[Claim]]:
    """Returns the columns `NOISE`, a row for each batch size below the full one, and the claims of them."""
    data = parts.data
    inputs, targets = data.normalize(data.train.inputs).double(), data.train.targets
    targets = targets.double() if targets.is_floating_point() else targets
    gradients = example_gradients(parts.model.double(), parts.loss, inputs, targets)
    n, spread = len(gradients), noise_of_one(gradients)
    sizes = sorted({b for b in config.batch_sizes if isinstance(b, int) and b < n})
    rows, claims = [], []
    with session.reporter.bar("drawing mini-batches") as advance:
        for done, batch in enumerate(sizes):
            advance(done, len(sizes), f"batch size {batch}")
            draws = measured_noise(
                gradients, batch, config.draws, generator(config.seed, f"noise {batch}"), session.stop
            )
            if session.stop():
                raise Interrupted("stopped while drawing mini-batches")
            predicted = predicted_noise(spread, n, batch)
            mean, low, high = mean_interval(draws)
            rows.append((batch, mean, predicted, (low, high), spread / batch))
            claims.append(_noise_claim(batch, n, mean, (low, high), predicted, len(draws)))
    return dict(zip(NOISE, zip(*rows, strict=True), strict=False)), claims


def _noise_claim(batch: int, n: int, measured: float, interval: Any, predicted: float, draws: int) -> Claim:
    """Claims that measured over predicted variance is 1; the rival is the nearest mistake it excludes."""
    without = (n - 1) / (n - batch)
    if without > 1.05:
        rivals = {"S/B, drawn with replacement": without}
    else:
        rivals = {"S(N−B)/(√B(N−1)), noise falling like 1/√B": batch**0.5} if batch > 1 else {"2S": 2.0}
    low, high = interval
    return interval_claim(
        f"gradient_noise_batch_{batch}",
        sentence=f"The gradient of {batch} examples has the variance of a sample without replacement.",
        formula="E‖ḡ_B − ḡ‖² = S (N − B)/(B (N − 1)),  S = (1/N) Σ‖gᵢ − ḡ‖²",
        hypotheses=[f"N = {n}, B = {batch}, without replacement, at the start"],
        predicted=1.0,
        rivals=rivals,
        measured=measured / predicted,
        interval=(None if low is None else low / predicted, None if high is None else high / predicted),
        seeds=draws,
        how=f"95% interval of measured over predicted variance, {draws} draws",
    )
