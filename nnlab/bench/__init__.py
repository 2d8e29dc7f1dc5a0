"""Benchmarks: nnlab beside another program that does the same, timed in interleaved pairs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nnlab.bench.ensemble import bench_ensemble
from nnlab.bench.ntk import bench_ntk
from nnlab.bench.ntk_mnist import bench_ntk_mnist
from nnlab.bench.train import bench_train
from nnlab.experiments.session import Reporter


@dataclass(frozen=True)
class BenchResult:
    """The other program's source and the table of ratios."""

    title: str
    source: str
    rows: list[dict[str, Any]]


def _train(pairs: int, reporter: Reporter) -> BenchResult:
    source, rows = bench_train(pairs, reporter)
    return BenchResult("time per training step: nnlab beside plain PyTorch", source, rows)


def _ntk(pairs: int, reporter: Reporter) -> BenchResult:
    source, rows = bench_ntk(pairs, reporter)
    return BenchResult("tangent kernels: nnlab beside the contraction of Jacobians", source, rows)


def _ntk_mnist(pairs: int, reporter: Reporter) -> BenchResult:
    source, rows = bench_ntk_mnist(pairs, reporter)
    return BenchResult("the trace kernel of MNIST: nnlab beside the matrix products it needs", source, rows)


def _ensemble(pairs: int, reporter: Reporter) -> BenchResult:
    source, rows = bench_ensemble(pairs, reporter)
    return BenchResult("16 seeds trained together: nnlab beside one seed at a time", source, rows)


BENCHMARKS: dict[str, Callable[[int, Reporter], BenchResult]] = {
    "train": _train,
    "ntk": _ntk,
    "ntk_mnist": _ntk_mnist,
    "ensemble": _ensemble,
}
