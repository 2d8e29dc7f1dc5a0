"""Benchmarks: nnlab beside another program that does the same, timed in interleaved pairs."""

from nnlab.bench.approx import bench_approx
from nnlab.bench.cifar10 import bench_cifar10
from nnlab.bench.ensemble import bench_ensemble
from nnlab.bench.kernels import bench_ntk, bench_ntk_mnist, bench_ntk_networks
from nnlab.bench.train import bench_train

BENCHMARKS = {
    "train": ("time per training step: nnlab beside plain PyTorch", bench_train),
    "cifar10": ("CIFAR-10: batches, steps, and the parts of a step", bench_cifar10),
    "ensemble": ("many seeds of a small network: nnlab beside one seed at a time", bench_ensemble),
    "ntk": ("tangent kernels: nnlab beside the contraction of Jacobians", bench_ntk),
    "ntk_networks": (
        "kernels of modern networks beside a plain loop; infinite ones beside NumPy",
        bench_ntk_networks,
    ),
    "approx": ("a million bins, certified; values beside the dense network", bench_approx),
    "ntk_mnist": ("the trace kernel of MNIST: nnlab beside the matrix products it needs", bench_ntk_mnist),
}
"""The title of the table, and the function of the number of interleaved pairs of timings and a reporter."""
