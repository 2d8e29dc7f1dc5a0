"""σ(wx + b) as a step at −b/w, how near it is to a hard one, and two opposing steps as a bin."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from nnlab.approximation.network import Network
from nnlab.approximation.steps import (
    STEP_ACTIVATIONS,
    Bin,
    measured_distance,
    ramp_distance,
    ramp_weights,
    sigmoidality,
    step_distance,
    step_weights,
)
from nnlab.chapters.approximation.steps.figures.single_bin import single_bin
from nnlab.chapters.approximation.steps.figures.steps import step_distance as step_distance_figure
from nnlab.chapters.approximation.steps.figures.steps import steps_over_steepness
from nnlab.lab.outcome import Outcome
from nnlab.models import get_activation
from nnlab.record import Record
from nnlab.theory import Claim, exact_claim

Array = NDArray[np.float64]

POSITION, WINDOW = 0.4, 0.1
STEEPNESS = (10.0, 25.0, 50.0, 100.0, 200.0)  # over which the distance to the hard step is measured
SHOWN = (5.0, 20.0, 100.0)  # as curves
BIN = {"position": 0.5, "size": 0.3, "height": 0.8}


def run(record: Record) -> Outcome:
    """Draws the lecture's step and bin, and measures how far steep units are from hard steps."""
    _draw_steps(record)
    rows = _distances(record)
    claims = [
        _distance_claim(name, [r for r in rows if r["activation"] == name]) for name in STEP_ACTIVATIONS
    ]
    return Outcome({}, [], [*claims, _relu_claim(), _bin(record)])


def values_of(network: Network, x: Array) -> Array:
    """(n,) inputs to the (n,) values of a module with one input."""
    with torch.no_grad():
        found: Array = network(torch.from_numpy(x[:, None]))[:, 0].numpy()
    return found


def _draw_steps(record: Record) -> None:
    x = np.linspace(0, 1, 1001)
    panels: dict[str, dict[float, Array]] = {}
    for name in (*STEP_ACTIVATIONS, "relu"):
        phi = get_activation(name).function
        panels[name] = {w: phi(torch.from_numpy(w * x - w * POSITION)).numpy() for w in SHOWN}
    record.save_arrays(**{
        "steps/x": x,
        **{f"steps/{name}/{w:g}": y for name, curves in panels.items() for w, y in curves.items()},
    })  # fmt: skip
    record.save_figure(steps_over_steepness(x, panels, POSITION), "steps")


def _distances(record: Record) -> list[dict[str, Any]]:
    """Per activation and steepness: predicted before, measured on the module."""
    rows = []
    curve = np.geomspace(STEEPNESS[0], STEEPNESS[-1], 60)
    series = {}
    for name in STEP_ACTIVATIONS:
        predicted = [step_distance(name, w, WINDOW) for w in STEEPNESS]
        measured = [measured_distance(name, w, POSITION, WINDOW) for w in STEEPNESS]
        rows += [
            {"activation": name, "steepness": w, "predicted": p, "measured": m}
            for w, p, m in zip(STEEPNESS, predicted, measured, strict=True)
        ]
        drawn = np.array([step_distance(name, w, WINDOW) for w in curve])
        series[name] = (np.array(STEEPNESS), np.array(measured), curve, drawn)
        record.save_arrays(**{f"step_distance/{name}": np.array([STEEPNESS, predicted, measured])})
    record.save_figure(step_distance_figure(series, WINDOW), "step_distance")
    return rows


def _distance_claim(name: str, rows: list[dict[str, Any]]) -> Claim:
    formulas = {"sigmoid": "σ(−wδ)", "tanh": "σ(−2wδ)", "ripple": "max over |z| ≥ wδ of |φ(z) − 1_{z > 0}|"}
    seen = [r["measured"] / r["predicted"] for r in rows if r["predicted"] > 1e-12]  # others are rounding
    worst = max(seen, key=lambda ratio: abs(ratio - 1))
    return exact_claim(
        f"step_of_{name}",
        sentence=f"A steep {name} unit is as near to the hard step as its formula says, outside a window.",
        formula=f"sup over |x − s| ≥ δ of the distance = {formulas[name]}; the farthest ratio to it",
        hypotheses=[
            f"δ = {WINDOW:g}, w = " + ", ".join(f"{w:g}" for w in STEEPNESS),
            sigmoidality(name).reason,
        ],
        predicted=1.0,
        measured=worst,
        tolerance=1e-3,
        rivals={"half of it": 0.5, "twice": 2.0},
    )


def _relu_claim() -> Claim:
    """One ReLU never is a step; two of them make one, exact outside its ramp."""
    w = 2 / WINDOW
    network = Network.build(ramp_weights(w, POSITION), "relu")
    x = np.linspace(0, 1, 2001)
    far = np.abs(x - POSITION) >= WINDOW
    off = float(np.abs(values_of(network, x[far]) - (x[far] > POSITION)).max())
    return exact_claim(
        "ramp_of_two_relus",
        sentence="One ReLU grows without end and is no step; two make one that is exact off its ramp.",
        formula="max(0, w(x − s) + ½) − max(0, w(x − s) − ½) = 1_{x > s} where |x − s| ≥ δ ≥ 1/2w",
        hypotheses=[f"w = {w:g}, δ = {WINDOW:g}", sigmoidality("relu").reason],
        predicted=ramp_distance(w, WINDOW),
        measured=off,
        tolerance=1e-12,
        rivals={"a sigmoid of that steepness": step_distance("sigmoid", w, WINDOW)},
    )


def _bin(record: Record) -> Claim:
    """Draws one bin at several steepnesses; its height in the middle is h tanh(wS/4)."""
    x = np.linspace(0, 1, 1001)
    panels, farthest = {}, 0.0
    for w in (20.0, 60.0, 300.0):
        bin_ = Bin(activation="sigmoid", steepness=w, **BIN)
        low, high = bin_.edges
        up = BIN["height"] * values_of(Network.build(step_weights("sigmoid", w, low), "sigmoid"), x)
        down = -BIN["height"] * values_of(Network.build(step_weights("sigmoid", w, high), "sigmoid"), x)
        panels[w] = (up, down)
        network = Network.build(bin_.layers(), "sigmoid")
        middle = float(values_of(network, np.array([BIN["position"]]))[0])
        farthest = max(farthest, abs(middle / BIN["height"] - np.tanh(w * BIN["size"] / 4)))
        record.save_arrays(**{f"bin/{w:g}/up": up, f"bin/{w:g}/down": down, "bin/x": x})
    edges = (BIN["position"] - BIN["size"] / 2, BIN["position"] + BIN["size"] / 2)
    record.save_figure(single_bin(x, panels, edges, BIN["height"]), "single_bin")
    return exact_claim(
        "height_of_a_bin",
        sentence="Two opposing steps make a bin whose middle has the height that its steepness allows.",
        formula="y(p)/h = σ(wS/2) − σ(−wS/2) = tanh(wS/4); the largest difference",
        hypotheses=[f"S = {BIN['size']:g}, w = " + ", ".join(f"{w:g}" for w in panels)],
        predicted=0.0,
        measured=float(farthest),
        tolerance=1e-12,
    )
