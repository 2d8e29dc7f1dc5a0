"""Benchmarks: nnlab beside another program that does the same, timed in interleaved pairs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nnlab.bench.approx import bench_approx
from nnlab.bench.cifar10 import bench_cifar10
from nnlab.bench.ensemble import bench_ensemble
from nnlab.bench.ntk import bench_ntk
from nnlab.bench.ntk_mnist import bench_ntk_mnist
from nnlab.bench.ntk_networks import bench_ntk_networks
from nnlab.bench.train import bench_train
from nnlab.lab.session import Reporter


@dataclass(frozen=True)
class Benchmark:
    """What is compared.

    Attributes:
        title: of the table.
        run: from the number of pairs to the other program's source and the rows of the table.
    """

    title: str
    run: Callable[[int, Reporter], tuple[str, list[dict[str, Any]]]]


BENCHMARKS = {
    "train": Benchmark("time per training step: nnlab beside plain PyTorch", bench_train),
    "cifar10": Benchmark("CIFAR-10: batches, steps, and what a step is made of", bench_cifar10),
    "ensemble": Benchmark("many seeds of a small network: nnlab beside one seed at a time", bench_ensemble),
    "ntk": Benchmark("tangent kernels: nnlab beside the contraction of Jacobians", bench_ntk),
    "ntk_networks": Benchmark(
        "kernels of networks of today beside a plain loop; infinite ones beside NumPy", bench_ntk_networks
    ),
    "approx": Benchmark("a million bins, certified; values beside the dense network", bench_approx),
    "ntk_mnist": Benchmark(
        "the trace kernel of MNIST: nnlab beside the matrix products it needs", bench_ntk_mnist
    ),
}
