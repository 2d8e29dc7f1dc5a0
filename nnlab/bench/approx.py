"""`nnlab bench approx`: a million bins built, certified and drawn; values beside the dense network."""

import inspect
import os
import statistics
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from nnlab.approximation.bins import Histogram, build_bins
from nnlab.approximation.certificate import Certificate, certify
from nnlab.approximation.line import LineNetwork
from nnlab.approximation.targets import Target, make_target
from nnlab.bench.memory import megabytes
from nnlab.bench.pairs import interleaved, seconds_of, spread
from nnlab.chapters.approximation.bins.figures.histograms import histogram_fit
from nnlab.errors import ExperimentError
from nnlab.lab.session import Reporter
from nnlab.plot.save import save

Array = NDArray[np.float64]
Row = dict[str, Any]

TARGETS = ("sine", "weierstrass")
BINS = 1_000_000
GAP = 0.01  # of the bound L/2N, between both certified bounds
DENSE = 10_000  # bins of the network that is evaluated as a whole
POINTS = 20_001
LIPSCHITZ = {"sine": 2 * np.pi, "weierstrass": 119.5889}  # sup |f'|, only to say what a part of ε is


# --- the other program ------------------------------------------------------------------------------


def dense(weight: Array, bias: Array, output: Array, constant: float, x: Array, block: int = 512) -> Array:
    """The network as anyone would write it, a block of points after the other."""
    hidden = nn.Linear(1, len(bias), dtype=torch.float64)
    last = nn.Linear(len(bias), 1, dtype=torch.float64)
    network = nn.Sequential(hidden, nn.Sigmoid(), last)
    with torch.no_grad():
        hidden.weight.copy_(torch.from_numpy(weight))
        hidden.bias.copy_(torch.from_numpy(bias))
        last.weight.copy_(torch.from_numpy(output))
        last.bias.fill_(constant)
        parts = torch.split(torch.from_numpy(x)[:, None], block)
        return np.concatenate([network(part).numpy()[:, 0] for part in parts])


# --- nnlab ------------------------------------------------------------------------------------------


def bench_approx(pairs: int, reporter: Reporter) -> tuple[str, list[Row]]:
    """A million bins for two targets, and the dense network at ten thousand.

    Args:
        pairs: repetitions of each timing.

    Returns:
        The source of the other program, and a row per target, then one for the comparison.
    """
    _free_to_move()
    rows = [_million(name, min(pairs, 7), reporter) for name in TARGETS]
    return inspect.getsource(dense), [*rows, _against_dense(min(pairs, 7), reporter)]


def _free_to_move() -> None:
    """OpenMP has bound this thread to one core, and the threads that it starts would stay there too."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, range(os.cpu_count() or 1))


def _million(name: str, repetitions: int, reporter: Reporter) -> Row:
    target = make_target(name)
    build: list[float] = []
    proof: list[float] = []
    with reporter.bar(f"{BINS} bins, {name}") as advance:
        for done in range(repetitions):
            histogram, certificate = _certified(target, build, proof)
            advance(done + 1, repetitions, f"{build[-1] + proof[-1]:.2f} s")
    drawn = seconds_of(lambda: _draw(histogram, target, certificate))
    peak = megabytes(lambda: _draw(*_certified_again(target)))
    bound = LIPSCHITZ[name] / (2 * BINS)
    return {
        "target": name,
        "bins": BINS,
        **spread("build_and_certify_s", [b + p for b, p in zip(build, proof, strict=True)]),
        "build_s": statistics.median(build),
        "gap_of_epsilon": (certificate.upper - certificate.lower) / bound,
        "error_of_epsilon": certificate.upper / bound,
        "figure_s": drawn,
        "peak_mb": peak,
        **dict.fromkeys(("dense_s", "speedup", "speedup_low", "speedup_high", "difference", "allowed")),
    }


def _certified(target: Target, build: list[float], proof: list[float]) -> tuple[Histogram, Certificate]:
    made: list[Any] = []
    build.append(seconds_of(lambda: made.append(build_bins(target, BINS))))
    allowed = GAP * LIPSCHITZ[target.text] / (2 * BINS)
    proof.append(
        seconds_of(lambda: made.append(certify(made[0].network, target, absolute=allowed, relative=0.0)))
    )
    return made[0], made[1]


def _certified_again(target: Target) -> tuple[Histogram, Target, Certificate]:
    histogram, certificate = _certified(target, [], [])
    return histogram, target, certificate


def _draw(histogram: Histogram, target: Target, certificate: Certificate) -> None:
    """The figure with every bin's value, and a close-up of six bins."""
    network = LineNetwork(histogram.network)
    middles = histogram.borders[:-1] + np.diff(histogram.borders) / 2
    close = np.linspace(histogram.borders[1000], histogram.borders[1006], 1501)
    figure = histogram_fit(
        middles, target.values(middles[:, None]), network.values(middles),
        histogram.borders, histogram.heights,
        hidden_units=histogram.network.hidden_units, error_upper=certificate.upper,
        close_up=(close, target.values(close[:, None]), network.values(close)),
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        save(figure, Path(folder), "million")


def _against_dense(pairs: int, reporter: Reporter) -> Row:
    """Equal values, and the ratio of times."""
    target = make_target("sine")
    network = build_bins(target, DENSE).network
    (weight, bias), (output, constant) = network.weights()
    x = np.linspace(0, 1, POINTS)
    line = LineNetwork(network)
    allowed = line.evaluation_error(1.0)
    difference = float(np.abs(line.values(x) - dense(weight, bias, output, float(constant[0]), x)).max())
    if difference > 2 * allowed:
        raise ExperimentError(f"local and dense evaluation differ by {difference}, allowed is {2 * allowed}")
    times = interleaved(
        lambda: seconds_of(lambda: LineNetwork(network).values(x)),
        lambda: seconds_of(lambda: dense(weight, bias, output, float(constant[0]), x)),
        pairs,
        reporter,
        "dense network",
    )
    return {
        "target": f"sine, values at {POINTS} points",
        "bins": DENSE,
        **dict.fromkeys(
            ("build_and_certify_s", "build_and_certify_s_low", "build_and_certify_s_high", "build_s")
        ),
        **dict.fromkeys(("gap_of_epsilon", "error_of_epsilon", "figure_s", "peak_mb")),
        "dense_s": statistics.median(other for _, other in times),
        **spread("speedup", [other / own for own, other in times]),
        "difference": difference,
        "allowed": allowed,
    }
