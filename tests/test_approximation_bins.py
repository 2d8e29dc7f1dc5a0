"""Networks of bins and hats against their formulas, the theorem on steepness, and files of networks."""

import io
import math
import os
import pickle
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from nnlab.approximation.bins import (
    EXCESS,
    Histogram,
    bins_for,
    build_bins,
    check_memory,
    error_bound,
    steepness_for,
)
from nnlab.approximation.certificate import certify
from nnlab.approximation.network import ScalarNetwork, load_network, network_bytes
from nnlab.approximation.targets import make_target
from nnlab.errors import InputError

Array = NDArray[np.float64]

TARGET = "sin(2*pi*x) + x"


def outputs(histogram: Histogram, x: Array) -> Array:
    with torch.no_grad():
        return np.asarray(histogram.network(torch.from_numpy(x[:, None]))[:, 0])


def f(x: Array) -> Array:
    return np.asarray(np.sin(2 * np.pi * x) + x)


def sigmoid(z: NDArray[Any]) -> Array:
    return np.asarray((1 + np.tanh(z / 2)) / 2)


def edges_of(bins: int, interval: tuple[float, float]) -> Array:
    return np.linspace(*interval, bins + 1)


# --- the networks are what their formulas say -----------------------------------------------------------

INTERVALS = [(0.0, 1.0), (-1.5, 0.5), (3.0, 3.25)]


@pytest.mark.parametrize("interval", INTERVALS)
@pytest.mark.parametrize("bins", [1, 2, 5, 12])
@pytest.mark.parametrize("heights", ["midpoint", "left"])
def test_the_staircase_is_a_sum_of_rises(bins: int, interval: tuple[float, float], heights: Any) -> None:
    w = 7 * bins / (interval[1] - interval[0])
    histogram = build_bins(make_target(TARGET), bins, interval, heights=heights, steepness=w)
    edges, x = edges_of(bins, interval), np.linspace(*interval, 101)
    h = f((edges[:-1] + edges[1:]) / 2 if heights == "midpoint" else edges[:-1])
    expected = h[0] + sum(
        (h[i] - h[i - 1]) * sigmoid(w * (x - edges[i])) for i in range(1, bins)
    )  # fmt: skip
    assert np.abs(outputs(histogram, x) - expected).max() < 1e-12
    assert histogram.network.hidden_units == max(1, bins - 1)
    assert (histogram.construction, histogram.bins, histogram.steepness) == ("staircase", bins, w)
    assert histogram.borders == pytest.approx(edges, abs=1e-14)
    assert histogram.heights == pytest.approx(h, abs=1e-13)


@pytest.mark.parametrize("interval", INTERVALS)
@pytest.mark.parametrize("bins", [1, 2, 5, 12])
def test_towers_are_pairs_of_opposing_steps(bins: int, interval: tuple[float, float]) -> None:
    """Each height times a step up minus a step down; 2N units; outer edges two bins outside."""
    length = interval[1] - interval[0]
    w = 7 * bins / length
    histogram = build_bins(make_target(TARGET), bins, interval, construction="towers", steepness=w)
    edges, x = edges_of(bins, interval), np.linspace(*interval, 101)
    h = f((edges[:-1] + edges[1:]) / 2)
    edges[0] -= 2 * length / bins
    edges[-1] += 2 * length / bins
    steps = sigmoid(w * (x[:, None] - edges))
    assert np.abs(outputs(histogram, x) - (steps[:, :-1] - steps[:, 1:]) @ h).max() < 1e-12
    assert histogram.network.hidden_units == 2 * bins
    (_, _), (c, c0) = histogram.network.weights()
    assert np.array_equal(c[0, ::2], -c[0, 1::2])
    assert c0 == 0


@pytest.mark.parametrize("construction", ["staircase", "towers"])
@pytest.mark.parametrize("interval", INTERVALS)
def test_tanh_steps_are_the_sigmoid_ones(construction: Any, interval: tuple[float, float]) -> None:
    """σ(z) = (1 + tanh(z/2))/2: half the steepness, half the weights."""
    target, x = make_target(TARGET), np.linspace(*interval, 501)
    one, other = (
        build_bins(target, 9, interval, construction=construction, steepness=300.0, activation=name)
        for name in ("sigmoid", "tanh")
    )
    assert np.abs(outputs(one, x) - outputs(other, x)).max() < 1e-12
    assert other.steepness == one.steepness == 300.0
    (w, _), _ = other.network.weights()
    assert np.all(w == 150.0)
    assert other.network.activation == "tanh"


@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "ripple", "step"])
@pytest.mark.parametrize("construction", ["staircase", "towers"])
def test_within_each_bin_the_output_is_its_height(construction: Any, activation: str) -> None:
    steepness = None if activation == "step" else 1e4
    histogram = build_bins(
        make_target(TARGET), 8, construction=construction, steepness=steepness, activation=activation
    )
    middles = (np.arange(8) + 0.5) / 8
    for offset in (-0.05, 0.0, 0.05):
        assert np.abs(outputs(histogram, middles + offset) - f(middles)).max() < 1e-12


@pytest.mark.parametrize("construction", ["staircase", "towers"])
def test_hard_steps_are_the_histogram_on_both_sides_of_every_edge(construction: Any) -> None:
    """A step is 1 from its edge on; the last end belongs to the last bin."""
    histogram = build_bins(make_target(TARGET), 10, steepness=math.inf, construction=construction)
    assert histogram.steepness == math.inf
    assert histogram.network.activation == "step"
    assert outputs(histogram, histogram.borders) == pytest.approx(
        np.append(histogram.heights, histogram.heights[-1]), abs=1e-12
    )
    below = np.nextafter(histogram.borders[1:], -np.inf)
    assert outputs(histogram, below) == pytest.approx(histogram.heights, abs=1e-12)


def test_the_first_and_the_last_tower_stand_inside_or_outside() -> None:
    """With outer edges at the ends the output there is half of the height, however steep the steps."""
    target = make_target("1")
    for w in (300.0, 1e5):
        inside = build_bins(target, 5, construction="towers", steepness=w, outer="inside")
        outside = build_bins(target, 5, construction="towers", steepness=w)
        ends = np.array([0.0, 1.0])
        assert outputs(inside, ends) == pytest.approx([0.5, 0.5], abs=1e-12)
        assert outputs(outside, ends) == pytest.approx([1.0, 1.0], abs=1e-12)
        assert certify(inside.network, target).lower == pytest.approx(0.5, abs=1e-9)
        assert certify(outside.network, target, absolute=1e-10).upper < 1.1e-10


@pytest.mark.parametrize("text", ["sin(2*pi*x)", "x", "3 + x^2"])
def test_the_error_of_the_first_and_the_last_tower_is_as_inside(text: str) -> None:
    """The same as the staircase's in every bin, the outer ones included."""
    target = make_target(text)
    towers, stairs = (build_bins(target, 6, construction=name) for name in ("towers", "staircase"))
    for low, high in pairwise(stairs.borders):
        found, expected = (certify(h.network, target, (low, high)) for h in (towers, stairs))
        assert found.upper == pytest.approx(expected.upper, rel=1e-8)
        assert found.lower == pytest.approx(expected.lower, rel=1e-8)


@pytest.mark.parametrize("construction", ["staircase", "towers", "hats"])
def test_one_bin(construction: Any) -> None:
    """Its height, or for hats the chord, and no step inside."""
    histogram = build_bins(make_target("x^2"), 1, (1.0, 3.0), construction=construction)
    x = np.linspace(1, 3, 11)
    expected = 1 + 4 * (x - 1) if construction == "hats" else np.full(11, 4.0)
    assert outputs(histogram, x) == pytest.approx(expected, abs=1e-12)
    found = certify(histogram.network, make_target("x^2"), (1.0, 3.0))
    assert found.upper == pytest.approx(1 if construction == "hats" else 5, rel=1e-8)


def test_a_sigmoid_output_approximates_the_logit() -> None:
    target = make_target("0.5 + 0.4*sin(2*pi*x)")
    histogram = build_bins(target, 20, output="sigmoid", steepness=1e4)
    at = (np.arange(20) + 0.5) / 20
    values = 0.5 + 0.4 * np.sin(2 * np.pi * at)
    assert histogram.heights == pytest.approx(np.log(values / (1 - values)), abs=1e-13)
    assert outputs(histogram, at) == pytest.approx(values, abs=1e-13)
    found = certify(histogram.network, target)
    delta, slope = 0.1, 0.8 * math.pi
    assert found.upper <= slope / (delta * (1 - delta)) / (2 * 20) / 4 * (1 + 1e-9)  # σ' ≤ ¼
    assert found.complete


# --- hats -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "slope", "bend"),
    [("x^2", 2.0, 2.0), ("sin(2*pi*x)", 2 * math.pi, 4 * math.pi**2), ("exp(-x)", 1.0, 1.0),
     ("4*x*(1 - x)", 4.0, 8.0), ("log(1 + x)", 1.0, 1.0)],
)  # fmt: skip
@pytest.mark.parametrize("bins", [1, 3, 10, 100, 1000])
def test_hats_interpolate(text: str, slope: float, bend: float, bins: int) -> None:
    """Exact at the knots; elsewhere at most L/2N and M/8N² off, the latter attained by parabolas."""
    target = make_target(text)
    histogram = build_bins(target, bins, construction="hats")
    knots = histogram.borders
    assert outputs(histogram, knots) == pytest.approx(target.values(knots[:, None]), abs=2e-11)
    found = certify(histogram.network, target)
    # what the rounding of N second differences, of size up to L each, leaves
    room = 1e-15 * slope * bins
    assert found.upper <= min(slope / (2 * bins), bend / (8 * bins**2)) * (1 + 2e-9) + room
    if text in ("x^2", "4*x*(1 - x)"):
        assert found.lower >= bend / (8 * bins**2) * (1 - 1e-8) - room
    assert histogram.network.activation == "relu"
    assert histogram.network.hidden_units == bins
    assert histogram.heights == pytest.approx(target.values(knots[:, None]))


def test_hats_of_a_kink_at_a_knot_are_exact() -> None:
    target = make_target("abs(x - 0.25)")
    assert certify(build_bins(target, 8, construction="hats").network, target).upper < 1e-13


# --- how many bins, how steep ---------------------------------------------------------------------------


@given(
    st.decimals("0.001", "1000", places=3), st.sampled_from(["0.1", "0.01", "0.001", "0.03"]),
    st.sampled_from(["1", "2", "0.25", "3"]), st.sampled_from(["midpoint", "left"]),
)  # fmt: skip
@settings(max_examples=300, deadline=None)
def test_bins_for_rounds_up_the_exact_quotient(
    lipschitz: Any, epsilon: str, length: str, heights: Any
) -> None:
    """Against exact fractions of the decimals: 0.3/0.1 counts as 3, though not in float64."""
    halves = 2 if heights == "midpoint" else 1
    exact = math.ceil(Fraction(str(lipschitz)) * Fraction(length) / (halves * Fraction(epsilon)))
    assert bins_for(float(lipschitz), float(epsilon), float(length), heights) == exact


def test_a_constant_needs_one_bin() -> None:
    assert bins_for(0.0, 0.1) == 1
    assert bins_for(1e-9, 0.1) == 1


@pytest.mark.parametrize(
    ("lipschitz", "epsilon"),
    [(1.0, 0.0), (1.0, -0.1), (1.0, math.nan), (1.0, math.inf), (-1.0, 0.1), (math.inf, 0.1), (math.nan, 0.1),
     (1.0, 1e-320), (1e308, 1e-308)],
)  # fmt: skip
def test_errors_and_slopes_that_are_refused(lipschitz: float, epsilon: float) -> None:
    """Also those whose quotient is beyond float64."""
    with pytest.raises(InputError, match=r"epsilon|lipschitz"):
        bins_for(lipschitz, epsilon)


@pytest.mark.parametrize(("bins", "length"), [(1, 1.0), (10, 0.5), (1000, 4.0), (10**6, 1.0)])
def test_the_steepness_adds_what_it_is_said_to_add(bins: int, length: float) -> None:
    v = steepness_for(bins, length) * length / bins
    assert 22.7 < v < 22.9
    hard = 3 * length / (2 * bins)
    assert error_bound(3.0, bins, steepness_for(bins, length), length) / hard - 1 == pytest.approx(
        EXCESS, rel=1e-6
    )
    assert steepness_for(bins, length, 1e-9) * length / bins == pytest.approx(22.11, abs=0.01)
    assert error_bound(3.0, bins, math.inf, length) == hard


def zigzag(rng: np.random.Generator, x: Array, lipschitz: float) -> Array:
    """A function of slopes ±L, with turns at random places."""
    turns = np.sort(np.concatenate([[0.0], rng.uniform(0, 1, rng.integers(0, 12)), [1.0]]))
    signs = rng.choice([-1, 1], len(turns) - 1)
    values = np.concatenate([[0.0], np.cumsum(signs * np.diff(turns) * lipschitz)])
    return np.asarray(np.interp(x, turns, values))


def test_finite_steepness_never_costs_more_than_the_theorem_says() -> None:
    """Staircases of 600 Lipschitz functions, by their formula, against both expressions of the bound."""
    rng = np.random.default_rng(7)
    closest = 0.0
    for _ in range(600):
        bins, v = int(rng.integers(1, 25)), 10 ** rng.uniform(-1, 1.5)
        w, lipschitz = v * bins, 10 ** rng.uniform(-2, 2)
        edges = np.arange(bins + 1) / bins
        x = np.unique(np.concatenate([np.linspace(0, 1, 801), edges, rng.uniform(0, 1, 100)]))
        middles = (edges[:-1] + edges[1:]) / 2
        seed = rng.integers(2**32)
        values, h = (zigzag(np.random.default_rng(seed), at, lipschitz) for at in (x, middles))
        rises = np.diff(h, prepend=0.0)
        steps = sigmoid(w * (x[:, None] - edges[None, :-1]))
        steps[:, 0] = 1
        error = np.abs(steps @ rises - values).max()
        sharp = lipschitz / (2 * bins) * (1 + 4 * sigmoid(-v * np.arange(1, 2000)).sum())
        assert error <= sharp * (1 + 1e-12)
        assert sharp <= error_bound(lipschitz, bins, w) * (1 + 1e-12)
        closest = max(closest, error / sharp)
    assert closest > 0.95  # the bound is nearly met among them


@pytest.mark.parametrize(("bins", "v"), [(40, 2.0), (40, 4.0), (12, 6.0), (2, 25.0)])
def test_the_tip_of_a_tent_attains_the_bound(bins: int, v: float) -> None:
    """|x − ½| with an even number of bins, the sums as far as the bins go: bins/2 on either side of the tip.

    Σᵢ πᵢ |mᵢ − ½| = (1/2N)(1 + 4 Σ_{j=1}^{N/2−1} σ(−jv)), as π comes in pairs that add up by parts.
    """
    target = make_target("abs(x - 0.5)")
    histogram = build_bins(target, bins, steepness=v * bins)
    expected = (1 + 4 * sigmoid(-v * np.arange(1, bins // 2)).sum()) / (2 * bins)
    found = certify(histogram.network, target)
    assert found.lower == pytest.approx(expected, rel=1e-9)
    assert found.upper == pytest.approx(expected, rel=1e-9)
    assert found.at[0] == pytest.approx(0.5, abs=1e-6)
    assert found.upper <= error_bound(1.0, bins, v * bins) * (1 + 1e-12)


def test_left_ends_need_twice_as_many_bins() -> None:
    target = make_target("2*x")
    for bins in (4, 30):
        histogram = build_bins(target, bins, heights="left", steepness=math.inf)
        found = certify(histogram.network, target)
        assert found.upper == pytest.approx(2 / bins, rel=1e-9)
        assert found.lower == pytest.approx(2 / bins, rel=1e-9)
    assert bins_for(2.0, 0.01, heights="left") == 2 * bins_for(2.0, 0.01) == 200


# --- bad input ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"bins": 0}, "bins: 0 must be at least 1"),
        ({"bins": -3}, "bins: -3"),
        ({"interval": (1.0, 0.0)}, "empty or reversed"),
        ({"interval": (0.5, 0.5)}, "empty or reversed"),
        ({"interval": (0.0, math.nan)}, "interval"),
        ({"interval": (0.0, math.inf)}, "interval"),
        ({"interval": (1.0, 1 + 2**-51)}, "cannot tell the edges apart"),
        ({"steepness": 0.0}, "steepness: 0 must be greater than 0"),
        ({"steepness": -5.0}, "steepness: -5"),
        ({"steepness": math.nan}, "steepness: nan"),
        ({"steepness": 1.7e308, "interval": (0.0, 9.0)}, "steepness"),
        ({"activation": "relu"}, "must become a step.*hats"),
        ({"activation": "relu", "construction": "towers"}, "must become a step.*hats"),
        ({"target": "1/x", "heights": "left"}, "1/x: is inf at x = 0"),
        ({"target": "1/(x - 0.5)", "construction": "hats"}, "is inf at x = 0.5"),
        ({"target": "log(x)", "interval": (-1.0, 1.0)}, "is nan at x = -0.75"),
        ({"target": "2*x", "output": "sigmoid"}, "output: sigmoid: has values in .0, 1."),
        ({"target": "x", "output": "sigmoid", "construction": "hats"}, "is 0 at x = 0"),
    ],
    ids=str,
)
def test_what_is_refused(settings: dict[str, Any], message: str) -> None:
    given_values = {"target": "sine", "bins": 4, **settings}
    target, bins = make_target(given_values.pop("target")), given_values.pop("bins")
    with pytest.raises(InputError, match=message):
        build_bins(target, bins, **given_values)


def test_more_bins_than_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused before anything is built, with both numbers of bytes."""
    monkeypatch.setattr("nnlab.approximation.bins.free_bytes", lambda: 2**20)
    with pytest.raises(
        InputError, match=r"20,000 hidden units take 1,920,000 bytes .*1 MiB of memory are free"
    ):
        build_bins(make_target("sine"), 10_000, construction="towers")
    build_bins(make_target("sine"), 10_000)
    check_memory(2**20 // 96)
    with pytest.raises(InputError, match="bins"):
        check_memory(2**20 // 96 + 1)


# --- files ----------------------------------------------------------------------------------------------


def saved(folder: Path, content: Any) -> Path:
    path = folder / "network.pt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    return path


def equal(one: ScalarNetwork, other: ScalarNetwork) -> bool:
    return (
        (one.activation, one.output_activation) == (other.activation, other.output_activation)
        and [p.shape for p in one.parameters()] == [p.shape for p in other.parameters()]
        and all(torch.equal(p, q) for p, q in zip(one.parameters(), other.parameters(), strict=True))
    )


NETWORKS = {
    "staircase": {"bins": 7},
    "towers": {"bins": 3, "construction": "towers", "activation": "ripple"},
    "hats": {"bins": 5, "construction": "hats"},
    "hard": {"bins": 4, "steepness": math.inf},
    "sigmoid output": {"bins": 6, "output": "sigmoid", "activation": "tanh"},
}


@pytest.mark.parametrize("settings", NETWORKS.values(), ids=NETWORKS)
def test_networks_come_back_from_their_files(settings: dict[str, Any], tmp_path: Path) -> None:
    target = make_target("0.5 + 0.3*sin(9*x)")
    network = build_bins(target, **settings).network
    loaded = load_network(saved(tmp_path, network_bytes(network)))
    x = torch.linspace(0, 1, 101, dtype=torch.float64)[:, None]
    assert equal(loaded, network)
    assert torch.equal(loaded(x), network(x))
    assert isinstance(loaded, torch.nn.Module)
    assert network_bytes(loaded) == network_bytes(network)


def test_several_hidden_layers_come_back_as_well(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    shapes = [(4, 3), (2, 4), (1, 2)]
    network = ScalarNetwork(
        [(generator.standard_normal(shape), generator.standard_normal(shape[0])) for shape in shapes], "tanh"
    )
    assert equal(load_network(saved(tmp_path, network_bytes(network))), network)


def content(**changes: Any) -> dict[str, Any]:
    """What a file of three units holds, with changes; None leaves a part out."""
    raw = network_bytes(build_bins(make_target("sine"), 4).network)
    whole = torch.load(io.BytesIO(raw), weights_only=True)
    return {key: value for key, value in {**whole, **changes}.items() if value is not None}


def test_the_content_that_is_changed_below_is_right_as_it_is(tmp_path: Path) -> None:
    assert load_network(saved(tmp_path, content())).hidden_units == 3


WRONG = {
    "a list": [1, 2, 3],
    "a tensor": torch.zeros(3),
    "another width": content(hidden=[5]),
    "no width": content(hidden=[]),
    "a negative width": content(hidden=[-1]),
    "a width beyond memory": content(hidden=[10**13]),
    "a width in words": content(hidden="three"),
    "two inputs": content(inputs=2),
    "no activation": content(activation=None),
    "an unknown activation": content(activation="gelu"),
    "an unknown output": content(output="relu"),
    "no weights": content(model={}),
    "weights that are none": content(model=3),
    "text": b"x,y\n0,0\n",
    "nothing": b"",
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_files_that_hold_something_else(wrong: Any, tmp_path: Path) -> None:
    path = saved(tmp_path, wrong)
    with pytest.raises(InputError) as error:
        load_network(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
    assert "\x1b" not in str(error.value)


def test_files_that_are_missing_or_folders(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "no.pt"):
        with pytest.raises(InputError, match=str(path)):
            load_network(path)


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    """Cut anywhere; or one bit turned: refused, or of no consequence."""
    network = build_bins(make_target("sine"), 40).network
    whole = network_bytes(network)
    for end in range(0, len(whole) - 1, 61):
        with pytest.raises(InputError):
            load_network(saved(tmp_path, whole[:end]))
    rng = np.random.default_rng(0)
    for place in rng.choice(len(whole), 300, replace=False):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(rng.integers(8))
        try:
            loaded = load_network(saved(tmp_path, bytes(damaged)))
        except InputError:
            continue
        assert equal(loaded, network), f"byte {place} of {len(whole)}"


class Trap:
    """Writes a file where it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("form", ["archive", "pickle", "module"])
def test_nothing_in_a_file_runs(form: str, tmp_path: Path) -> None:
    sprung = tmp_path / "sprung"
    trap = Trap(str(sprung))
    if form == "pickle":
        path = saved(tmp_path, pickle.dumps(content(inputs=trap)))
    elif form == "archive":
        path = saved(tmp_path, content(inputs=trap))
    else:
        path = saved(tmp_path, build_bins(make_target("sine"), 3).network)
    with pytest.raises(InputError, match="damaged or no network") as error:
        load_network(path)
    assert not sprung.exists()
    assert "\x1b" not in str(error.value)
