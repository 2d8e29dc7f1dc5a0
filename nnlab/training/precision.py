"""The number format of a training on the hardware at hand: bfloat16 where it is native and faster."""

import copy
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch

from nnlab.training.capacity import out_of_memory
from nnlab.training.evaluation import Precision
from nnlab.training.trainer import Parts, Settings, Step

SHORT_STEP = 0.01
"""Seconds. A step that takes less is computed in float32: there is little to gain, and a measurement of so
short a time could come out differently the next time, and the run's numbers with it."""

GAIN = 0.8
"""The share of float32's time that bfloat16 may take at most to be worth its lost digits."""

TRIES = 5
"""Measurements of each kind, of steps that take less than a second; of longer ones the first says enough."""


@dataclass(frozen=True)
class Choice:
    """A number format, and why it was chosen, as a part of a sentence."""

    precision: Precision
    reason: str


def computes_bfloat16(device: torch.device) -> bool:
    """Tells whether the hardware multiplies bfloat16 numbers itself, and does not emulate it in float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type != "cpu":
        return False
    capabilities: Mapping[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    names = ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16")
    return any(capabilities.get(name) for name in names) or torch.cpu._is_avx512_bf16_supported()


def choose(parts: Parts, settings: Settings) -> Choice:
    """Returns the faster of float32 and bfloat16 for the steps of a training, as far as that is certain.

    Where the hardware computes bfloat16 and a step is not short, steps of both kinds are timed in turns, on
    a copy of the model. Weights, buffers and random numbers of the training stay as they are.

    Args:
        parts: of a training in float32.
        settings: of which batch_size and micro_batch count.
    """
    device = parts.data.train.inputs.device
    if not computes_bfloat16(device):
        return Choice("float32", f"this {_name(device)} has no bfloat16 of its own")
    try:
        trial = replace(parts, model=copy.deepcopy(parts.model), schedule=None)
    except Exception as error:  # a model of the user's own may forbid it
        return Choice("float32", f"the model cannot be copied for a trial ({type(error).__name__})")
    try:
        single = _seconds(trial, settings, "float32")
        if single < SHORT_STEP:
            return Choice("float32", f"a step takes {1000 * single:.0f} ms")
        half = _seconds(trial, settings, "bfloat16")
        for _ in range(TRIES - 1 if single < 1 else 0):
            single = min(single, _seconds(trial, settings, "float32"))
            half = min(half, _seconds(trial, settings, "bfloat16"))
    except Exception as error:  # the training will say what is wrong, or how large a batch fits
        if out_of_memory(error):
            return Choice("float32", "a trial step ran out of memory")
        return Choice("float32", f"a trial step failed ({' '.join(str(error).split())[:100]})")
    times = f"a step takes {1000 * half:.0f} ms in bfloat16 and {1000 * single:.0f} ms in float32"
    return Choice("bfloat16" if half < GAIN * single else "float32", times)


def _seconds(trial: Parts, settings: Settings, precision: Precision) -> float:
    """Seconds of a forward and a backward pass over a batch, after one that loads what loads late."""
    data = trial.data
    size = len(data.train) if settings.batch_size == "full" else settings.batch_size
    examples = min(size, settings.micro_batch or size, len(data.train))
    inputs = data.normalize(data.train.inputs[:examples])
    targets = data.train.targets[:examples]
    trial.optimizer = torch.optim.SGD(trial.model.parameters(), lr=0.0)
    trial.precision = precision
    step = Step(trial, replace(settings, micro_batch=None, clip_norm=None))
    trial.model.train()
    devices = [inputs.device] if inputs.device.type == "cuda" else []
    seconds = []
    with torch.random.fork_rng(devices):
        for _ in range(2):
            began = time.perf_counter()
            step(inputs, targets)
            if devices:
                torch.cuda.synchronize()
            seconds.append(time.perf_counter() - began)
    return min(seconds)


def _name(device: torch.device) -> str:
    return "processor" if device.type == "cpu" else "GPU"


def emulation_warning(device: torch.device) -> str:
    """The warning for a bfloat16 that was asked for on hardware without it."""
    return (
        f"training.precision: bfloat16 is emulated, since this {_name(device)} has none of its own: a step "
        "can take many times as long as in float32. Faster here: --set training.precision=auto"
    )
