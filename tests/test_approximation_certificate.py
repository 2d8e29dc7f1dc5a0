"""Certified errors against sampling in extended precision, brute force, and what theory says of the networks."""

import itertools
import math
import re
import time
from dataclasses import dataclass
from typing import Any

import mpmath as mp
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike, NDArray

from graph_reference import reference
from nnlab.approximation.bins import bins_for, build_bins, error_bound, steepness_for
from nnlab.approximation.certificate import Certificate, certify, histogram_lower_bound
from nnlab.approximation.line import LineNetwork
from nnlab.approximation.network import ACTIVATIONS, Network
from nnlab.approximation.targets import NAMED, PointsTarget, make_target
from nnlab.errors import InputError
from nnlab.graph import lipschitz, parse

Array = NDArray[np.float64]
Long = NDArray[np.longdouble]

EPS = float(np.finfo(np.longdouble).eps)
STEP_UP = st.integers(0, 2**32 - 1)


# --- networks and targets in extended precision ---------------------------------------------------------


def line_network(w: ArrayLike, b: ArrayLike, c: ArrayLike, c0: float, activation: str, output: Any) -> Network:
    """c₀ + Σ cᵢ φ(wᵢx + bᵢ)."""
    w, b, c = (np.asarray(v, np.float64) for v in (w, b, c))
    return Network.build([(w[:, None], b), (c[None], np.array([c0]))], activation, output)


def long_values(network: Network, x: ArrayLike) -> tuple[Long, float]:
    """(n,) values of the network in long double, and what their rounding may have done."""
    (w, b), (c, c0) = network.weights()
    points = np.asarray(x, np.longdouble)
    z = points[:, None] * w[:, 0].astype(np.longdouble) + b.astype(np.longdouble)
    with np.errstate(over="ignore", under="ignore"):
        h = {
            "sigmoid": lambda: 1 / (1 + np.exp(-z)),
            "tanh": lambda: np.tanh(z),
            "ripple": lambda: 1 / (1 + np.exp(-z)) + z * np.exp(-z * z),
            "relu": lambda: np.maximum(z, 0),
            "step": lambda: (z >= 0).astype(np.longdouble),
        }[network.activation]()
        y = h @ c[0].astype(np.longdouble) + np.longdouble(c0[0])
        if network.output_activation == "sigmoid":
            y = 1 / (1 + np.exp(-y))
    size = float(np.abs(w).max() * np.abs(points).max() + np.abs(b).max()) + len(b) + 8
    return y, 8 * EPS * (size * float(np.abs(c).sum()) + abs(float(c0[0])) + 1)


def exact_value(network: Network, x: float) -> Any:
    """One value of the network in mpmath."""
    (w, b), (c, c0) = network.weights()
    phi = {
        "sigmoid": lambda z: 1 / (1 + mp.exp(-z)),
        "tanh": mp.tanh,
        "ripple": lambda z: 1 / (1 + mp.exp(-z)) + z * mp.exp(-(min(abs(z), mp.mpf(100)) ** 2)),
        "relu": lambda z: max(z, mp.mpf(0)),
        "step": lambda z: mp.mpf(int(z >= 0)),
    }
    y = mp.mpf(float(c0[0]))
    for w_i, b_i, c_i in zip(w[:, 0], b, c[0], strict=True):
        z = mp.mpf(float(w_i)) * mp.mpf(x) + mp.mpf(float(b_i))
        z = z if network.activation in ("relu", "step") else max(min(z, mp.mpf(10**4)), mp.mpf(-(10**4)))
        y += mp.mpf(float(c_i)) * phi[network.activation](z)
    return phi["sigmoid"](y) if network.output_activation == "sigmoid" else y


NAMES = {
    **{name: getattr(np, name) for name in ("sin", "cos", "exp", "tanh", "sqrt", "abs", "where")},
    "log": np.log,
    "min": np.minimum,
    "max": np.maximum,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "relu": lambda x: np.maximum(x, 0),
    "N": np.longdouble,
    "pi": np.longdouble("3.14159265358979323846264338327950288"),
}


def long_target(text: str, x: ArrayLike) -> Long:
    """Values of an expression in long double, read by Python itself."""
    numbers = re.sub(r"\d+\.?\d*", r"N('\g<0>')", text).replace("^", "**")
    found = eval(numbers, {"__builtins__": {}}, {**NAMES, "x": np.asarray(x, np.longdouble)})
    return np.broadcast_to(np.asarray(found, np.longdouble), np.shape(x))
