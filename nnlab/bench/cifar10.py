"""`nnlab bench cifar10`: batches and steps on colour images, and where the time of a step goes."""

from pathlib import Path
from typing import Any

from nnlab.bench import plain_torchvision
from nnlab.bench.cifar10_airbench import airbench_rows
from nnlab.bench.cifar10_images import delivery_rows, find_images
from nnlab.bench.cifar10_steps import config_of, data_of, step_rows
from nnlab.bench.step_profile import profile_rows
from nnlab.lab.session import Reporter

FAST = "cnn_cifar10_fast"


def bench_cifar10(pairs: int, reporter: Reporter) -> tuple[str, list[dict[str, Any]]]:
    """Batches in images a second (larger is better), then steps and their parts in milliseconds.

    `ratio` is nnlab's number over the other one: at least 20 is wanted for batches, at most 1.05 for steps.
    For the parts of a step, the other number is the floor.

    Args:
        pairs: interleaved timings of each, fewer where one takes long.

    Returns:
        The source of the other program, and a row per comparison.
    """
    images = find_images(reporter)
    config = config_of(FAST)
    rows = [
        *delivery_rows(images, pairs, reporter),
        *step_rows(images, pairs, reporter),
        *profile_rows(config, data_of(config, images)),
        *airbench_rows(FAST, images, pairs, reporter),
    ]
    return Path(plain_torchvision.__file__).read_text("utf-8"), rows
