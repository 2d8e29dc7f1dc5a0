"""σ(wx + b) as a step at −b/w, how near it is to a hard one, and two opposing steps as a bin."""

import numpy as np
import torch
from numpy.typing import NDArray

from nnlab.approximation.network import ScalarNetwork
from nnlab.approximation.steps import (
    Bin,
    measured_distance,
    ramp_weights,
    step_distance,
    step_weights,
)
from nnlab.chapters.approximation.steps.figures import distance_to_step, single_bin, steps_over_steepness
from nnlab.lab.session import Outcome
from nnlab.models.activations import ACTIVATIONS, STEP_ACTIVATIONS
from nnlab.record import Record
from nnlab.record.arrays import under
from nnlab.theory import Claim, exact_claim

Array = NDArray[np.float64]

POSITION, WINDOW = 0.4, 0.1
STEEPNESS = (10.0, 25.0, 50.0, 100.0, 200.0)  # over which the distance to the hard step is measured
SHOWN = (5.0, 20.0, 100.0)  # as curves
BIN = {"position": 0.5, "size": 0.3, "height": 0.8}


def run(record: Record) -> Outcome:
    """Draws the lecture's step and bin, and measures how far steep units are from hard steps."""
    _draw_steps(record)
    claims = [_distance_claim(name, *distances) for name, distances in _distances(record).items()]
    return Outcome({}, [], [*claims, _relu_claim(), _bin(record)])


def _draw_steps(record: Record) -> None:
    x = np.linspace(0, 1, 1001)
    panels: dict[str, dict[float, Array]] = {}
    for name in (*STEP_ACTIVATIONS, "relu"):
        phi = ACTIVATIONS[name].function
        panels[name] = {w: phi(torch.from_numpy(w * x - w * POSITION)).numpy() for w in SHOWN}
    arrays = {f"{name}/{w:g}": y for name, curves in panels.items() for w, y in curves.items()}
    record.save_arrays(**under("steps", {"x": x, **arrays}))
    record.figure("steps", steps_over_steepness, x, panels, POSITION)


def _distances(record: Record) -> dict[str, tuple[Array, Array]]:
    """Distances to the hard step over steepness, predicted and measured on the module, by activation."""
    curve = np.geomspace(STEEPNESS[0], STEEPNESS[-1], 60)
    distances, series = {}, {}
    for name in STEP_ACTIVATIONS:
        predicted = np.array([step_distance(name, w, WINDOW) for w in STEEPNESS])
        measured = np.array([measured_distance(name, w, POSITION, WINDOW) for w in STEEPNESS])
        distances[name] = predicted, measured
        drawn = np.array([step_distance(name, w, WINDOW) for w in curve])
        series[name] = (np.array(STEEPNESS), measured, curve, drawn)
        record.save_arrays(**{f"step_distance/{name}": np.array([STEEPNESS, predicted, measured])})
    record.figure("step_distance", distance_to_step, series, WINDOW)
    return distances


def _distance_claim(name: str, predicted: Array, measured: Array) -> Claim:
    step = ACTIVATIONS[name].step
    assert step is not None
    ratios = (measured / predicted)[predicted > 1e-12]  # others are rounding
    return exact_claim(
        f"step_of_{name}",
        sentence=f"Outside a window, a steep {name} unit is as close to the hard step as its formula says.",
        formula=f"sup over |x − s| ≥ δ of the distance = {step.distance}; the ratio farthest from 1",
        hypotheses=[
            f"δ = {WINDOW:g}, w = " + ", ".join(f"{w:g}" for w in STEEPNESS),
            step.why,
        ],
        predicted=1.0,
        measured=ratios[np.abs(ratios - 1).argmax()],
        tolerance=1e-3,
        rivals={"half of it": 0.5, "twice": 2.0},
    )


def _relu_claim() -> Claim:
    """One ReLU never is a step; two of them make one, exact outside its ramp."""
    w = 2 / WINDOW
    network = ScalarNetwork(ramp_weights(w, POSITION), "relu")
    x = np.linspace(0, 1, 2001)
    far = np.abs(x - POSITION) >= WINDOW
    off = float(np.abs(network.values(x[far, None]) - (x[far] > POSITION)).max())
    return exact_claim(
        "ramp_of_two_relus",
        sentence="One ReLU is unbounded and no step; the difference of two is an exact step off its ramp.",
        formula="max(0, w(x − s) + ½) − max(0, w(x − s) − ½) = 1_{x > s} where |x − s| ≥ δ ≥ 1/2w",
        hypotheses=[f"w = {w:g}, δ = {WINDOW:g}", ACTIVATIONS["relu"].why],
        predicted=0.0,
        measured=off,
        tolerance=1e-12,
        rivals={"a sigmoid of that steepness": step_distance("sigmoid", w, WINDOW)},
    )


def _bin(record: Record) -> Claim:
    """Draws one bin at several steepnesses; its height in the middle is h tanh(wS/4)."""
    x = np.linspace(0, 1, 1001)
    panels, farthest, height = {}, 0.0, BIN["height"]
    for w in (20.0, 60.0, 300.0):
        bin_ = Bin(activation="sigmoid", steepness=w, **BIN)
        units = [ScalarNetwork(step_weights("sigmoid", w, s), "sigmoid") for s in bin_.edges]
        up, down = (h * unit.values(x[:, None]) for h, unit in zip((height, -height), units, strict=True))
        panels[w] = (up, down)
        network = ScalarNetwork(bin_.layers(), "sigmoid")
        middle = float(network.values(np.array([[BIN["position"]]]))[0])
        farthest = max(farthest, abs(middle / BIN["height"] - np.tanh(w * BIN["size"] / 4)))
        record.save_arrays(**{f"bin/{w:g}/up": up, f"bin/{w:g}/down": down, "bin/x": x})
    edges = (BIN["position"] - BIN["size"] / 2, BIN["position"] + BIN["size"] / 2)
    record.figure("single_bin", single_bin, x, panels, edges, BIN["height"])
    return exact_claim(
        "height_of_a_bin",
        sentence="Two opposite steps make a bin whose middle is as high as its steepness allows.",
        formula="y(p)/h = σ(wS/2) − σ(−wS/2) = tanh(wS/4); the largest difference",
        hypotheses=[f"S = {BIN['size']:g}, w = " + ", ".join(f"{w:g}" for w in panels)],
        predicted=0.0,
        measured=float(farthest),
        tolerance=1e-12,
    )
