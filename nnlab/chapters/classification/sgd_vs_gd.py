"""Full batch against mini-batches: the noise of the gradient, and the progress of an epoch with each."""

import math
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from nnlab.chapters.classification import schema
from nnlab.chapters.classification.batch_gradients import Batches, watch
from nnlab.chapters.classification.figures import gradient_noise
from nnlab.errors import InputError
from nnlab.lab.sections import BatchSize, Count, Distinct, TrainingExperiment
from nnlab.lab.session import Outcome, Session, generator
from nnlab.lab.training_run import build_parts, histories, train, vary
from nnlab.plot.curves import compare_curves
from nnlab.record import Record
from nnlab.record.arrays import under
from nnlab.theory import CONFIDENCE, LEVEL, Claim, exact_claim, interval_claim, mean_interval, worst
from nnlab.training import Parts, build_penalty
from nnlab.training.theory import example_gradients, noise_of_one, predicted_noise

MAX_ENTRIES = 2**28  # of the matrices of gradients, (N, p) and (draws, p): 2 GiB each in float64
MOST_ALONE = 5000  # examples of which training takes a step each for the noise of one
STRENGTH = 0.01  # λ of the L2 penalty whose gradient stays whole
EXAMPLES = "nnlab.training.theory.example_gradients"
TRAINING = "nnlab.training.trainer.fit"
NOISE = ("batch", "measured", "predicted", "interval", "rival")
"""The columns on the variance of the mini-batch gradient at the start, in the order of its figure."""


class Config(TrainingExperiment):
    """Trains with each batch size for the same number of epochs; measures gradient noise at the start."""

    experiment: Literal["sgd_vs_gd"]
    arrays = schema.SGD_ARRAYS
    batch_sizes: Annotated[list[BatchSize], Distinct] = Field(["full", 512, 64, 8], min_length=1)
    draws: Count = Field(4000, description="mini-batches of each size, at least: whole epochs are drawn")

    def run(self, record: Record, session: Session) -> Outcome:
        """Measures the noise of the mini-batch gradient, then trains with every batch size."""
        parts = build_parts(self, session)
        rows = max(len(parts.data.train), self.draws)
        entries = rows * sum(p.numel() for p in parts.model.parameters())
        if entries > MAX_ENTRIES:
            raise InputError(
                f"experiment: sgd_vs_gd holds the gradient of every example, {entries:,} numbers here; "
                f"at most {MAX_ENTRIES:,}: choose a smaller model or data set"
            )
        record.start()
        noise, claims = measure_noise(self, parts, session)
        if noise:
            record.save_arrays(**under("noise", noise))
            record.figure("gradient_noise", gradient_noise, *noise.values(), LEVEL)
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
        record.figure("loss_by_epoch", compare_curves, curves, log=True, y_label="training loss")
        return Outcome(metrics, results, claims)


def measure_noise(
    config: Config, parts: Parts, session: Session
) -> tuple[dict[str, tuple[Any, ...]], list[Claim]]:
    """Returns the columns `NOISE`, a row for each batch size below the full one, and the claims of them."""
    data, model = parts.data, parts.model.double()
    inputs, targets = data.normalize(data.train.inputs).double(), data.train.targets
    targets = targets.double() if targets.is_floating_point() else targets
    gradients = example_gradients(model, parts.loss, inputs, targets)
    n, spread, whole = len(gradients), noise_of_one(gradients), gradients.mean(0)
    penalty = build_penalty("l2", STRENGTH)
    penalized = {id(w) for w in parts.weights}
    slope = torch.cat(
        [(2 * STRENGTH * (id(p) in penalized) * p.detach()).flatten() for p in model.parameters()]
    )
    sizes = sorted({b for b in config.batch_sizes if isinstance(b, int) and b < n})
    rows, claims = [], []
    if n <= MOST_ALONE:
        one = watch(
            model, data, parts.loss, None, batch=1, epochs=1,
            generator=generator(config.seed, "noise", 1), stop=session.stop,
        )  # fmt: skip
        claims.append(_spread_claim(one, spread, whole))
    with session.reporter.bar("drawing mini-batches") as advance:
        for done, batch in enumerate(sizes):
            advance(done, len(sizes), f"batch size {batch}")
            batches = watch(
                model, data, parts.loss, penalty, batch=batch,
                epochs=max(2, math.ceil(config.draws / math.ceil(n / batch))),
                generator=generator(config.seed, "noise", batch), stop=session.stop,
            )  # fmt: skip
            ratios = noise_ratios(batches, whole + slope, spread, n)
            mean, low, high = mean_interval(ratios, CONFIDENCE)
            predicted = predicted_noise(spread, n, batch)
            scaled = tuple(None if end is None else end * predicted for end in (low, high))
            rows.append((batch, mean * predicted, predicted, scaled, spread / batch))
            claims += [
                _noise_claim(batch, n, mean, (low, high), len(ratios)),
                _epoch_claim(batch, batches, whole, slope),
                _mean_claim(batch, batches, whole, slope),
            ]
    return dict(zip(NOISE, zip(*rows, strict=True), strict=False)), claims


def noise_ratios(batches: Batches, whole: Tensor, spread: float, examples: int) -> Tensor:
    """Returns ‖ḡ_B − ḡ‖² over its predicted mean, averaged over the batches of an epoch: (E,).

    The batches of an epoch share no example, so only epochs are independent. Each batch has the prediction of
    its own size; a last batch of the size N, which has no noise, is no batch.

    Args:
        batches: of `watch`.
        whole: (p,) the gradient of the whole set, with that of the penalty.
        spread: S.
        examples: N.
    """
    predicted = torch.tensor([predicted_noise(spread, examples, int(size)) for size in batches.sizes])
    distances = (batches.gradients - whole).square().sum(2).cpu()
    return (distances / predicted.double()).mean(1)


def _spread_claim(one: Batches, spread: float, whole: Tensor) -> Claim:
    """Claims S: an epoch of batches of one example holds all of them, so that nothing is random."""
    n, mean_square = one.gradients.shape[1], float(whole.square().sum())
    measured = float((one.gradients[0] - one.gradients[0].mean(0)).square().sum(1).mean())
    return exact_claim(
        "noise_of_one_example",
        sentence="The gradient of one example has the variance S over the examples.",
        formula="(1/N) Σ‖gᵢ − ḡ‖² = S, measured over predicted",
        hypotheses=[f"N = {n}, an epoch of batches of one example, at the start"],
        predicted=1.0,
        measured=measured / spread,
        tolerance=1e-10,
        rivals={"‖gᵢ‖² for ‖gᵢ − ḡ‖²": 1 + mean_square / spread, "N − 1 for N": n / (n - 1)},
        predicted_by=f"{EXAMPLES}, nnlab.training.theory.noise_of_one",
        measured_by=TRAINING,
    )


def _noise_claim(batch: int, n: int, mean: float, interval: Any, epochs: int) -> Claim:
    """Claims that measured over predicted variance is 1."""
    without, lines = (n - 1) / (n - batch), {}
    if without > 1.05:
        lines["S/B, drawn with replacement"] = without
    if batch > 1:
        lines["falling like 1/√B"] = batch**0.5
        lines["falling like 1/B²"] = 1 / batch
    return interval_claim(
        f"gradient_noise_batch_{batch}",
        sentence=f"The gradient of {batch} examples has the variance of a sample without replacement.",
        formula="E‖ḡ_B − ḡ‖² = S (N − B)/(B (N − 1)),  S = (1/N) Σ‖gᵢ − ḡ‖²",
        hypotheses=[f"N = {n}, B = {batch}, the batches that training forms, at the start"],
        predicted=1.0,
        rivals={"2S": 2.0} | lines,
        measured=mean,
        interval=interval,
        seeds=epochs,
        how=f"{LEVEL} t-interval of measured over predicted variance, {epochs} epochs",
        predicted_by=f"{EXAMPLES}, nnlab.training.theory.predicted_noise",
        measured_by=TRAINING,
    )


def _epoch_claim(batch: int, batches: Batches, whole: Tensor, slope: Tensor) -> Claim:
    """Claims that the batches of an epoch, weighted with their sizes, have the full gradient as mean."""
    shares = (batches.sizes / batches.sizes.sum()).to(whole)
    means = (batches.gradients * shares[:, None]).sum(1)
    size = (whole + slope).norm()
    scaled = float((shares**2).sum())
    return exact_claim(
        f"epoch_of_batches_of_{batch}_is_the_full_gradient",
        sentence=f"Over an epoch, the gradients of batches of {batch} average to that of the whole set.",
        formula="Σ (n_b/N)(ḡ_b + 2λW) = ḡ + 2λW, relative distance",
        hypotheses=[f"λ = {STRENGTH:g}, whole in every batch", f"{len(means)} epochs, the largest of all"],
        predicted=0.0,
        measured=worst(((means - whole - slope).norm(dim=1) / size).numpy(force=True)),
        tolerance=1e-12,
        rivals={
            "the penalty times n/N in every batch": float((1 - scaled) * slope.norm() / size),
            "λW for 2λW": float(slope.norm() / 2 / size),
        },
        predicted_by=EXAMPLES,
        measured_by=TRAINING,
    )


def _mean_claim(batch: int, batches: Batches, whole: Tensor, slope: Tensor) -> Claim:
    """Claims that the first batch of an epoch, a random one, is right on average along the full gradient."""
    first = batches.gradients[:, 0] - slope
    mean, low, high = mean_interval((first @ whole / whole.square().sum()).numpy(force=True), CONFIDENCE)
    return interval_claim(
        f"batches_of_{batch}_are_right_on_average",
        sentence=f"The gradient of {batch} random examples is right on average.",
        formula="E⟨ḡ_B, ḡ⟩/‖ḡ‖² = 1",
        hypotheses=["the first batch of an epoch, without the gradient of the penalty"],
        predicted=1.0,
        rivals={"nothing in common with it": 0.0, "sum for mean": float(max(2, batch))},
        measured=mean,
        interval=(low, high),
        seeds=len(first),
        how=f"{LEVEL} t-interval over {len(first)} epochs",
        predicted_by=EXAMPLES,
        measured_by=TRAINING,
    )
