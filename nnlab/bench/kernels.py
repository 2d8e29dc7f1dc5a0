"""`nnlab bench ntk`, `ntk_networks` and `ntk_mnist`: kernels beside programs that compute the same."""

import inspect
import statistics
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torchvision
from torch import Tensor, nn

from nnlab.bench import plain_kernels
from nnlab.bench.timing import (
    Result,
    Row,
    Timings,
    compare,
    interleaved,
    megabytes,
    seconds_of,
    spread,
    timed,
)
from nnlab.lab.sections import TorchvisionData, Training
from nnlab.lab.session import Reporter, Session
from nnlab.models import MLP
from nnlab.ntk import empirical_ntk, infinite_ntk, spectrum

GIB = 2**30
FEW = 10_000  # images of MNIST whose kernel fits into memory

Kernel = Callable[..., Tensor]


def _with_check(kernel: Kernel, pairs: int, reporter: Reporter, title: str) -> tuple[float, float]:
    """Median seconds of a kernel with its check, and the check's part of the time without it."""
    times = compare(kernel, lambda: kernel(verify=False), pairs, reporter, title)
    parts = [own / bare - 1 for own, bare in zip(times.ours, times.theirs, strict=True)]
    return times.medians[0], statistics.median(parts)


# --- two hidden layers ------------------------------------------------------------------------------


def bench_ntk(pairs: int, reporter: Reporter) -> Result:
    """Two hidden layers, d = 8, n = 64, one output, float32; at the last width without the other program."""
    source = inspect.getsource(plain_kernels.jacobian_contraction)
    # 268 million parameters at the last width: the Jacobian of 64 examples would take 69 GB
    return source, [*(_against_jacobians(width, pairs, reporter) for width in (1024, 2048)), _huge(16_384)]


def _mlp(width: int) -> tuple[MLP, Tensor]:
    generator = torch.Generator().manual_seed(0)
    model = MLP(8, [width, width], 1, "relu", parameterization="ntk", generator=generator)
    return model, torch.randn(64, 8, generator=generator)


def _against_jacobians(width: int, pairs: int, reporter: Reporter) -> Row:
    model, x = _mlp(width)
    params = {name: parameter.detach() for name, parameter in model.named_parameters()}
    ours = partial(empirical_ntk, model, x)

    def theirs() -> Tensor:
        return plain_kernels.jacobian_contraction(model, params, x, x)

    difference = (ours() - theirs()).norm() / theirs().norm()  # also warms both up
    assert difference < 1e-4, f"the two programs disagree by {difference}"
    times = compare(ours, theirs, pairs, reporter, f"width {width}")
    _, check = _with_check(ours, pairs, reporter, "its check")
    return {
        "width": width,
        "nnlab_ms": 1e3 * times.medians[0],
        "jacobians_ms": 1e3 * times.medians[1],
        **times.speedup(),
        "check": check,
        "nnlab_mb": megabytes(ours),
        "jacobians_mb": megabytes(theirs),
    }


def _huge(width: int) -> Row:
    """One kernel without the other program; the weights are part of its peak of memory."""
    seconds = []
    peak = megabytes(lambda: seconds.append(seconds_of(partial(empirical_ntk, *_mlp(width)))))
    return {"width": width, "nnlab_ms": 1e3 * seconds[0], "nnlab_mb": peak}


# --- MNIST ------------------------------------------------------------------------------------------


def bench_ntk_mnist(pairs: int, reporter: Reporter) -> Result:
    """784-1024-10 in ntk parameterization, within 4 GiB: 10,000 images in memory, 60,000 into a file.

    The file takes 14.4 GB in the current folder and is deleted at the end. The timing of
    60,000 images is a single one.
    """
    data = Session().data(
        TorchvisionData(name="mnist", batch_size="full", validation=0.0), Training(device="cpu")
    )
    images = data.normalize(data.train.inputs).flatten(1)
    generator = torch.Generator().manual_seed(0)
    model = MLP(images.shape[1], [1024], 10, "relu", parameterization="ntk", generator=generator)
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
    kernel, n = partial(empirical_ntk, model, images, output="trace", memory_limit=4 * GIB), len(images)
    times = interleaved(
        lambda: seconds_of(kernel), lambda: half_products(n, n), pairs, reporter, f"{n} images"
    )
    _, check = _with_check(kernel, pairs, reporter, "its check")
    return _mnist_row(n, times, megabytes(kernel), kernel()) | {"check": check}


def _in_file(model: MLP, images: Tensor, reporter: Reporter) -> Row:
    n = len(images)
    with tempfile.TemporaryDirectory(dir=".") as folder, reporter.bar(f"{n} images") as advance:
        path = Path(folder) / "kernel.npy"
        kernel = partial(
            empirical_ntk, model, images, output="trace", memory_limit=4 * GIB, out=path,
            progress=lambda done, total: advance(done, total, ""),
        )  # fmt: skip
        seconds: list[float] = []
        peak = megabytes(lambda: seconds.append(seconds_of(kernel)))
        times = Timings(seconds, [half_products(n, 2000)])
        return _mnist_row(n, times, peak, np.load(path, mmap_mode="r"))


def _mnist_row(n: int, times: Timings, peak: float | None, kernel: Tensor | np.ndarray) -> Row:
    values, seconds = timed(lambda: spectrum(kernel, memory_limit=4 * GIB, k=20))
    return {
        "images": n,
        "nnlab_s": times.medians[0],
        "products_s": times.medians[1],
        **times.ratio(),
        "peak_mb": peak,
        "eigenvalues": len(values.eigenvalues),
        "spectrum_s": seconds,
        "lambda_max": values.lambda_max,
    }


# --- modern networks --------------------------------------------------------------------------------


class Recurrent(nn.Module):
    """Two GRU layers, and ten scores of their last state."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.GRU(8, 64, 2, batch_first=True)
        self.head = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.head(self.layers(x)[0][:, -1])
        return scores


def bench_ntk_networks(pairs: int, reporter: Reporter) -> Result:
    """Kernels of networks in float32, with the check against autograd and without; one of infinite width."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        vit = torchvision.models.VisionTransformer(32, 8, 4, 4, 64, 128, num_classes=10).eval()
        recurrent = Recurrent(), torch.randn(100, 20, 8)
        patches = vit, torch.randn(64, 3, 32, 32)
        small, large = (
            (torchvision.models.resnet18(num_classes=10).eval(), torch.randn(n, 3, 64, 64)) for n in (8, 32)
        )
    rows = [
        _network_row("GRU, 100 sequences of 20", *recurrent, "trace", pairs, reporter),
        _network_row("vision transformer, 64 images of 3×32×32", *patches, "full", pairs, reporter),
        _network_row("resnet18, 8 images of 3×64×64", *small, "full", pairs, reporter),
        _network_row("resnet18, 32 images of 3×64×64", *large, "full", pairs, reporter, looped=False),
        _infinite(reporter),
    ]
    others = (*plain_kernels.LOOPS, *plain_kernels.INFINITE)
    return "\n\n".join(inspect.getsource(function) for function in others), rows


def _network_row(
    name: str, model: nn.Module, x: Tensor, output: str, pairs: int, reporter: Reporter, looped: bool = True
) -> Row:
    """The row of a network; of the loop only where it fits into memory."""
    ours = partial(empirical_ntk, model, x, output=output, memory_limit=2 * GIB)
    peak = megabytes(ours)  # also warms up
    seconds, check = _with_check(ours, pairs, reporter, f"{name}, check")
    row = {"network": name, "nnlab_s": seconds}
    if looped:
        loop = plain_kernels.looped_trace if output == "trace" else plain_kernels.looped_kernel
        difference = (ours() - loop(model, x)).norm() / ours().norm()
        assert difference < 1e-3, f"the two programs disagree by {difference}"
        times = compare(ours, lambda: loop(model, x), 3, reporter, name)
        row |= {"loop_s": times.medians[1], **times.speedup()}
    return row | {"check": check, "nnlab_mb": peak}


def _infinite(reporter: Reporter) -> Row:
    """Three convolutions and global average pooling: NumPy takes some pairs, and all in proportion."""
    images = torch.randn(20, 3, 32, 32, generator=torch.Generator().manual_seed(0)).double()
    layers: list[nn.Module] = []
    for channels in (3, 4, 4):  # their numbers do not matter at infinite width
        layers += [nn.Conv2d(channels, 4, 3, padding=1), nn.ReLU()]
    model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 1))
    with reporter.bar("infinite width") as advance:
        ours = seconds_of(
            lambda: infinite_ntk(
                model, images, memory_limit=2 * GIB, progress=lambda done, total: advance(done, total, "")
            )
        )
    few = 3
    some = images[:few].numpy()
    theirs = seconds_of(lambda: plain_kernels.infinite_cnn(some, some, 3, 2**0.5, 0.1, pooling=True))
    theirs *= len(images) * (len(images) + 1) / 2 / few**2
    return {
        "network": "infinite CNN, 3 convolutions, average pooling, 20 images of 3×32×32 (NumPy)",
        "nnlab_s": ours,
        "loop_s": theirs,
        **spread("speedup", [theirs / ours]),
    }
