"""Says once, after a training's first steps, how long it will take and what would make it shorter."""

import time
from collections.abc import Callable

import torch

from nnlab.display import duration
from nnlab.lab.sections import TrainingExperiment
from nnlab.lab.session import Advance

LONG = 600.0
"""Seconds of a training that its user should know of."""

FIRST = 5.0
"""Seconds of steps that an estimate needs."""


def forecasting(
    advance: Advance,
    say: Callable[[str], None],
    config: TrainingExperiment,
    device: torch.device,
    clock: Callable[[], float] = time.monotonic,
) -> Advance:
    """Returns `advance` with an estimate: a training that takes longer than 10 minutes is said to, once."""
    first: tuple[int, float] | None = None
    silent = False

    def with_estimate(done: int, total: int, text: str) -> None:
        nonlocal first, silent
        advance(done, total, text)
        now = clock()
        if first is None:
            first = done, now
        steps, seconds = done - first[0], now - first[1]
        if silent or steps < 1 or seconds < FIRST:
            return
        silent = True
        each = seconds / steps
        if each * (total - done) > LONG:
            say(_sentence(each, total - done, config, device))

    return with_estimate


def _sentence(each: float, steps: int, config: TrainingExperiment, device: torch.device) -> str:
    step = f"{each:.1f} s" if each >= 1 else f"{1000 * each:.0f} ms"
    begin = f"{steps:,} steps of about {step} each will take {duration(each * steps)} on {device}"
    return f"{begin}. Shorter: {'; '.join(_remedies(each * steps, config, device))}"


def _remedies(seconds: float, config: TrainingExperiment, device: torch.device) -> list[str]:
    remedies = []
    training = config.training
    if training.precision == "float64":
        remedies.append("--set training.precision=auto, if float64 is not needed")
    elif training.precision == "bfloat16":
        remedies.append("--set training.precision=auto, which takes bfloat16 only where it is faster")
    if device.type == "cpu":
        remedies.append("--device cuda" if torch.cuda.is_available() else "a machine with a GPU")
    epochs = int(training.epochs * LONG / seconds)
    if epochs >= 1 and training.epochs > 1:
        remedies.append(f"--set training.epochs={epochs} for about 10 min")
    elif training.epochs > 1:
        remedies.append("--set training.epochs=1")
    remedies.append("fewer examples or a smaller model")
    return remedies
