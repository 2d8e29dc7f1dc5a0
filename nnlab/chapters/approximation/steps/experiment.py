"""σ(wx + b) as a step at −b/w, how near it is to a hard one, and two opposing steps as a bin."""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linprog

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
from nnlab.theory import Claim, exact_claim, worst

Array = NDArray[np.float64]

POSITION, WINDOW = 0.4, 0.1
STEEPNESS = (10.0, 25.0, 50.0, 100.0, 200.0)  # over which the distance to the hard step is measured
SHOWN = (5.0, 20.0, 100.0)  # as curves
BIN = {"position": 0.5, "size": 0.3, "height": 0.8}


def run(record: Record) -> Outcome:
    """Draws the lecture's step and bin, and measures how far steep units are from hard steps."""
    _draw_steps(record)
    claims = [_distance_claim(name, *distances) for name, distances in _distances(record).items()]
    return Outcome({}, [], [*claims, _relu_claim(), _ramp_claim(), _bin(record)])


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
        tolerance=1e-6,  # the smallest distances are 10⁻⁹, and known to 10⁻¹⁶
        rivals={"half of it": 0.5, "twice": 2.0, "half of the window": float(_half_window(name))},
        predicted_by="nnlab.approximation.steps.step_distance",
        measured_by="nnlab.approximation.steps.measured_distance",
    )


def _half_window(name: str) -> float:
    """The ratio, farthest from 1, for a window of which δ is the width and not half of it."""
    return max(step_distance(name, w, WINDOW / 2) / step_distance(name, w, WINDOW) for w in STEEPNESS)


def _relu_claim() -> Claim:
    """The least distance of α φ(w(x − t)) + β to the step off the window: linear programs for many t."""
    s, window = POSITION, WINDOW
    x = np.concatenate([np.linspace(0, s - window, 31), np.linspace(s + window, 1, 61)])
    places = np.concatenate([np.linspace(-0.5, 1.5, 41), [s - window, s + window]])
    unit = ACTIVATIONS["relu"].function
    best = min(
        _farthest(unit(torch.from_numpy(w * (x - t))).numpy() / abs(w), x > s)
        for t in places
        for w in (STEEPNESS[-1], -STEEPNESS[-1])
    )
    right, left = 1 - s, s
    predicted = min((side - window) / (2 * (side + window)) for side in (left, right))
    return exact_claim(
        "one_relu_is_no_step",
        sentence="However steep, one ReLU stays away from a step, as it goes on growing.",
        formula="min over α, β, t of sup over |x − s| ≥ δ of |α max(0, ±w(x − t)) + β − 1_{x > s}| "
        "= (r − δ)/(2(r + δ)), r = min(s, 1 − s)",
        hypotheses=[f"on [0, 1], s = {s:g}, δ = {window:g}, w = {STEEPNESS[-1]:g}", ACTIVATIONS["relu"].why],
        predicted=predicted,
        measured=best,
        tolerance=1e-6,
        rivals={
            "a step": 0.0, "a constant": 0.5, "a sigmoid": step_distance("sigmoid", STEEPNESS[-1], window),
            "the longer side": (right - window) / (2 * (right + window)),
        },
        predicted_by="closed form: (r − δ)/(2(r + δ))",
        measured_by="nnlab.models.activations.get_activation, scipy.optimize.linprog",
    )  # fmt: skip


def _farthest(unit: Array, step: NDArray[np.bool_]) -> float:
    """The least e with |α · unit + β − step| ≤ e at all points, (K,) both."""
    rows, y = np.column_stack([unit, np.ones(len(unit))]), step.astype(np.float64)
    ones = np.ones((len(y), 1))
    answer = linprog(
        [0.0, 0.0, 1.0],
        A_ub=np.block([[rows, -ones], [-rows, -ones]]),
        b_ub=np.concatenate([y, -y]),
        bounds=[(None, None)] * 3,
        method="highs",
    )
    return float(answer.fun)


def _ramp_claim() -> Claim:
    """Two ReLUs are a ramp from 0 to 1, of width 1/w."""
    w = 2 / WINDOW
    network = ScalarNetwork(ramp_weights(w, POSITION), "relu")
    x = np.linspace(0, 1, 2001)

    def distance(width: float) -> float:
        return worst(network.values(x[:, None]) - np.clip((x - POSITION) / width + 0.5, 0, 1))

    return exact_claim(
        "ramp_of_two_relus",
        sentence="The difference of two ReLUs is a ramp of width 1/w, and an exact step off it.",
        formula="max(0, z + ½) − max(0, z − ½) = min(1, max(0, z + ½)), z = w(x − s); largest difference",
        hypotheses=[f"w = {w:g}, on [0, 1]"],
        predicted=0.0,
        measured=distance(1 / w),
        tolerance=1e-12,
        rivals={
            "width 2/w": distance(2 / w), "width 1/2w": distance(0.5 / w),
            "a sigmoid of that steepness": step_distance("sigmoid", w, 0.5 / w),
        },
        predicted_by="numpy.clip",
        measured_by="nnlab.approximation.steps.ramp_weights",
    )  # fmt: skip


def _bin(record: Record) -> Claim:
    """Draws one bin at several steepnesses; its height in the middle is h tanh(wS/4)."""
    x = np.linspace(0, 1, 1001)
    panels, off, height, size = {}, [], BIN["height"], BIN["size"]
    for w in (20.0, 60.0, 300.0):
        bin_ = Bin(activation="sigmoid", steepness=w, **BIN)
        units = [ScalarNetwork(step_weights("sigmoid", w, s), "sigmoid") for s in bin_.edges]
        up, down = (h * unit.values(x[:, None]) for h, unit in zip((height, -height), units, strict=True))
        panels[w] = (up, down)
        network = ScalarNetwork(bin_.layers(), "sigmoid")
        shape = np.sinh(w * size / 2) / (np.cosh(w * size / 2) + np.cosh(w * (x - BIN["position"])))
        off += [network.values(x[:, None]) / height - shape, (up + down) / height - shape]
        off.append(bin_.values(x) / height - shape)
        record.save_arrays(**{f"bin/{w:g}/up": up, f"bin/{w:g}/down": down, "bin/x": x})
    edges = (BIN["position"] - size / 2, BIN["position"] + size / 2)
    record.figure("single_bin", single_bin, x, panels, edges, height)
    middle = float(np.tanh(min(panels) * size / 4))
    return exact_claim(
        "height_of_a_bin",
        sentence="Two opposite steps make a bin, in its middle as high as its steepness allows.",
        formula="y(x)/h = sinh(wS/2)/(cosh(wS/2) + cosh w(x − p)), y(p)/h = tanh(wS/4); largest difference",
        hypotheses=[f"S = {size:g}, w = " + ", ".join(f"{w:g}" for w in panels)],
        predicted=0.0,
        measured=worst(*off),
        tolerance=1e-12,
        rivals={
            "height 1 in the middle": 1 - middle,
            "tanh(wS/2)": float(np.tanh(min(panels) * size / 2)) - middle,
            "tanh(wS/8)": middle - float(np.tanh(min(panels) * size / 8)),
        },
        predicted_by="closed form: sinh(wS/2)/(cosh(wS/2) + cosh w(x − p))",
        measured_by="nnlab.approximation.steps.Bin, nnlab.approximation.steps.step_weights",
    )  # fmt: skip
