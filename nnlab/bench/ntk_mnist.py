"""`nnlab bench ntk_mnist`: the trace kernel of all of MNIST, beside the matrix products that it needs."""

import inspect
import statistics
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nnlab.bench.memory import megabytes
from nnlab.bench.pairs import interleaved, seconds_of, spread
from nnlab.lab.sections import TorchvisionData, Training
from nnlab.lab.session import Reporter, Session
from nnlab.models import MLP
from nnlab.ntk import empirical_ntk, spectrum

LIMIT = 4 * 2**30
FEW = 10_000
WIDTH = 1024
Row = dict[str, Any]


def bench_ntk_mnist(pairs: int, reporter: Reporter) -> tuple[str, list[Row]]:
    """784-1024-10 in ntk parameterization, within 4 GiB: 10,000 images in memory, 60,000 into a file.

    The file takes 14.4 GB in the current folder and is deleted at the end.

    Args:
        pairs: interleaved timings for 10,000 images; 60,000 are done once.

    Returns:
        The source of the reference, and a row per number of images.
    """
    data = Session().data(
        TorchvisionData(name="mnist", batch_size="full", validation=0.0), Training(device="cpu")
    )
    images = data.normalize(data.train.inputs).flatten(1)
    generator = torch.Generator().manual_seed(0)
    model = MLP(images.shape[1], [WIDTH], 10, "relu", parameterization="ntk", generator=generator)
    rows = [_in_memory(model, images[:FEW].clone(), pairs, reporter), _in_file(model, images, reporter)]
    return inspect.getsource(half_products), rows


def half_products(n: int, block: int) -> float:
    """Seconds of half of A·Aᵀ, for A of n rows and 784, 1024 and 1024 columns, by torch.mm.

    Half of the whole product, as no program computes a half alone. The result goes into memory that has been
    used before; where it would not fit, `block` rows at a time.
    """
    factors = [torch.randn(n, columns) for columns in (784, 1024, 1024)]
    result = torch.zeros(block, n)
    seconds = 0.0
    for start in range(0, n, block):
        for factor in factors:
            rows = factor[start : start + block]
            seconds += seconds_of(partial(torch.mm, rows, factor.T, out=result[: len(rows)]))
    return seconds / 2


def _in_memory(model: MLP, images: Tensor, pairs: int, reporter: Reporter) -> Row:
    def kernel(verify: bool = True) -> Tensor:
        return empirical_ntk(  # type: ignore[return-value]
            model, images, output="trace", memory_limit=LIMIT, verify=verify
        )

    n = len(images)
    times = interleaved(
        lambda: seconds_of(kernel), lambda: half_products(n, n), pairs, reporter, f"{n} images"
    )
    checked = interleaved(
        lambda: seconds_of(kernel), lambda: seconds_of(lambda: kernel(False)), pairs, reporter, "its check"
    )
    peak, h = megabytes(kernel), kernel()
    return _row(n, times, peak, h) | {"check": statistics.median(own / bare - 1 for own, bare in checked)}


def _in_file(model: MLP, images: Tensor, reporter: Reporter) -> Row:
    n = len(images)
    with tempfile.TemporaryDirectory(dir=".") as folder, reporter.bar(f"{n} images") as advance:
        path = Path(folder) / "kernel.npy"

        def kernel() -> None:
            empirical_ntk(
                model, images, output="trace", memory_limit=LIMIT, out=path,
                progress=lambda done, total: advance(done, total, ""),
            )  # fmt: skip

        seconds: list[float] = []
        peak = megabytes(lambda: seconds.append(seconds_of(kernel)))
        times = [(seconds[0], half_products(n, 2000))]
        return _row(n, times, peak, np.load(path, mmap_mode="r")) | {"check": None}


def _row(n: int, times: list[tuple[float, float]], peak: float | None, kernel: Tensor | np.ndarray) -> Row:
    found: list[Any] = []
    seconds = seconds_of(lambda: found.append(spectrum(kernel, memory_limit=LIMIT, k=20)))
    return {
        "images": n,
        "nnlab_s": statistics.median(ours for ours, _ in times),
        "products_s": statistics.median(theirs for _, theirs in times),
        **spread("ratio", [ours / theirs for ours, theirs in times]),
        "peak_mb": peak,
        "eigenvalues": len(found[0].eigenvalues),
        "spectrum_s": seconds,
        "lambda_max": found[0].lambda_max,
    }
