"""`nnlab bench approx`: a million bins built, certified and drawn; values beside the dense network."""

import inspect
import os
import statistics
import tempfile
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from nnlab.approximation.bins import Histogram, build_bins
from nnlab.approximation.certificate import Certificate, certify
from nnlab.approximation.evaluation import evaluation_error
from nnlab.approximation.line import LineNetwork
from nnlab.approximation.targets import Target, make_target
from nnlab.bench.timing import Result, Row, compare, megabytes, seconds_of, spread, timed
from nnlab.chapters.approximation.bins.figures import histogram_fit
from nnlab.errors import ExperimentError
from nnlab.lab.session import Reporter
from nnlab.plot.save import save

Array = NDArray[np.float64]

BINS = 1_000_000
GAP = 0.01  # of the bound L/2N, between both certified bounds
DENSE = 10_000  # bins of the network that is evaluated as a whole
POINTS = 20_001
ROUNDS = 7  # at most
LIPSCHITZ = {"sine": 2 * np.pi, "weierstrass": 119.5889}  # sup |f'| of the targets, for the unit of errors


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


def bench_approx(pairs: int, reporter: Reporter) -> Result:
    """A million bins for two targets, and values beside those of the dense network at ten thousand."""
    if hasattr(os, "sched_setaffinity"):  # OpenMP has bound this thread to one core
        os.sched_setaffinity(0, range(os.cpu_count() or 1))
    rounds = min(pairs, ROUNDS)
    rows = [_million(name, rounds, reporter) for name in LIPSCHITZ]
    return inspect.getsource(dense), [*rows, _against_dense(rounds, reporter)]


def _million(name: str, rounds: int, reporter: Reporter) -> Row:
    target = make_target(name)
    bound = LIPSCHITZ[name] / (2 * BINS)

    def certified() -> tuple[Histogram, Certificate, float, float]:
        histogram, build = timed(lambda: build_bins(target, BINS))
        certificate, proof = timed(
            lambda: certify(histogram.network, target, absolute=GAP * bound, relative=0.0)
        )
        return histogram, certificate, build, proof

    builds, totals = [], []
    with reporter.bar(f"{BINS} bins, {name}") as advance:
        for done in range(rounds):
            histogram, certificate, build, proof = certified()
            builds.append(build)
            totals.append(build + proof)
            advance(done + 1, rounds, f"{totals[-1]:.2f} s")
    return {
        "target": name,
        "bins": BINS,
        **spread("build_and_certify_s", totals),
        "build_s": statistics.median(builds),
        "gap_of_epsilon": (certificate.upper - certificate.lower) / bound,
        "error_of_epsilon": certificate.upper / bound,
        "figure_s": seconds_of(lambda: _draw(target, histogram, certificate)),
        "peak_mb": megabytes(lambda: _draw(target, *certified()[:2])),
    }


def _draw(target: Target, histogram: Histogram, certificate: Certificate) -> None:
    """Saves the figure with every bin's value, and a close-up of six bins."""
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


def _against_dense(rounds: int, reporter: Reporter) -> Row:
    """Compares values and times.

    Raises:
        ExperimentError: the values differ by more than rounding allows.
    """
    network = build_bins(make_target("sine"), DENSE).network
    (weight, bias), (output, constant) = network.weights()
    x = np.linspace(0, 1, POINTS)
    line = LineNetwork(network)

    def theirs() -> Array:
        return dense(weight, bias, output, float(constant[0]), x)

    allowed = evaluation_error(network, 0.0, 1.0)
    difference = float(np.abs(line.values(x) - theirs()).max())
    if difference > 2 * allowed:
        raise ExperimentError(f"local and dense evaluation differ by {difference}, allowed is {2 * allowed}")
    times = compare(lambda: LineNetwork(network).values(x), theirs, rounds, reporter, "dense network")
    return {
        "target": f"sine, values at {POINTS} points",
        "bins": DENSE,
        "dense_s": times.medians[1],
        **times.speedup(),
        "difference": difference,
        "allowed": allowed,
    }
