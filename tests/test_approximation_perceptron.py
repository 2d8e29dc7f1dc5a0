"""The perceptron against brute force, other solvers and exact arithmetic; XOR by formula and by training."""

import itertools
import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import differential_evolution, minimize

from nnlab.approximation import perceptron
from nnlab.approximation.perceptron import (
    CORNERS,
    GATES,
    best_margin,
    is_certificate,
    learn,
    planted,
    separate,
    tight,
)
from nnlab.approximation.xor_units import (
    EXACT,
    POINTS,
    XorTraining,
    exact_xor,
    one_unit_xor,
    solves_xor,
    train_xor,
)
from nnlab.errors import InputError
from nnlab.models import MLP
from nnlab.theory import proportion_interval

TRUTH: dict[str, Callable[[tuple[float, float]], float]] = {
    "and": min, "or": max, "xor": lambda pair: int(pair[0] != pair[1]),
}  # fmt: skip


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("gate", GATES)
def test_the_gates_are_the_logical_functions(gate: str) -> None:
    assert [(label + 1) / 2 for label in GATES[gate]] == [TRUTH[gate](corner) for corner in CORNERS]


# --- the learning rule ------------------------------------------------------------------------------


def by_hand(points: np.ndarray, labels: np.ndarray, passes: int) -> tuple[list[int], list[float]]:
    """The rule once more, pass by pass, in plain Python."""
    w, b, updates = [0.0] * points.shape[1], 0.0, []
    for _ in range(passes):
        for i, (x, y) in enumerate(zip(points.tolist(), labels.tolist(), strict=True)):
            if y * (sum(p * q for p, q in zip(w, x, strict=True)) + b) <= 0:
                w, b = [p + y * q for p, q in zip(w, x, strict=True)], b + y
                updates.append(i)
    return updates, [*w, b]


@pytest.mark.parametrize("gate", ["and", "or"])
def test_and_and_or_are_learned_within_the_bound(gate: str) -> None:
    learned, margin = learn(CORNERS, GATES[gate]), best_margin(CORNERS, GATES[gate])
    assert learned.converged
    assert (np.sign(np.array(CORNERS) @ learned.weights + learned.bias) == GATES[gate]).all()
    updates, last = by_hand(np.array(CORNERS), np.array(GATES[gate]), 50)
    assert learned.updates.tolist() == updates
    assert [*learned.weights, learned.bias] == last
    # γ² = 1/17 and 1/9 by hand: w̃ = (2, 2, −3) and (2, 2, −1) have min w̃·z = 1; R² = 3
    assert margin.squared == {"and": Fraction(1, 17), "or": Fraction(1, 9)}[gate]
    assert margin.radius_squared == 3
    assert margin.most_mistakes == {"and": 51, "or": 27}[gate]
    assert 0 < learned.mistakes <= margin.most_mistakes


def test_xor_is_never_learned() -> None:
    learned = learn(CORNERS, GATES["xor"], most=999)
    assert not learned.converged
    assert learned.mistakes == 999
    assert np.linalg.norm(learned.path, axis=1).max() < 4  # it goes round in circles


def test_the_path_is_that_of_the_updates() -> None:
    points, labels = planted(20, 4, 0.3, 1.0, seeded(1))
    learned = learn(points, labels)
    z = labels[:, None] * np.column_stack([points, np.ones(len(points))])
    assert not learned.path[0].any()
    np.testing.assert_allclose(np.diff(learned.path, axis=0), z[learned.updates], atol=1e-13)
    assert ((learned.path[:-1] * z[learned.updates]).sum(axis=1) <= 0).all()  # each was a mistake
    assert (z @ learned.path[-1] > 0).all()


@pytest.mark.parametrize("doublings", [1, 2, 3, 4, 5])
def test_the_bound_is_attained(doublings: int) -> None:
    points, labels = tight(doublings)
    margin, learned = best_margin(points, labels), learn(points, labels)
    assert margin.squared == 1
    assert learned.mistakes == margin.most_mistakes == 2**doublings
    assert learned.converged


# --- the margin -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pairs", "dimension", "gamma"), [(2, 2, 0.5), (10, 5, 0.125), (30, 12, 0.3), (60, 20, 1.0)]
)
def test_planted_margins_are_found_exactly(pairs: int, dimension: int, gamma: float) -> None:
    points, labels = planted(pairs, dimension, gamma, 1.0, seeded(pairs))
    margin = best_margin(points, labels)
    assert margin.squared == Fraction(gamma) ** 2
    assert margin.value == pytest.approx(gamma, rel=1e-15)
    np.testing.assert_allclose(margin.direction, np.eye(dimension + 1)[0], atol=1e-12)
    learned = learn(points, labels)
    assert learned.converged
    assert learned.mistakes <= margin.most_mistakes


@pytest.mark.parametrize("seed", range(8))
def test_margin_against_a_general_solver(seed: int) -> None:
    """min ½‖w̃‖² with w̃·z ≥ 1, by sequential quadratic programming."""
    random = np.random.default_rng(seed)
    points = random.standard_normal((12, 3))
    labels = np.where(points @ [1.0, -2.0, 0.5] + 0.3 > 0, 1.0, -1.0)
    margin = best_margin(points, labels)
    z = labels[:, None] * np.column_stack([points, np.ones(12)])
    found = minimize(
        lambda w: w @ w / 2,
        margin.direction * 2 / margin.value + 0.1 * random.standard_normal(4),
        jac=lambda w: w,
        constraints={"type": "ineq", "fun": lambda w: z @ w - 1, "jac": lambda w: z},
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 500},
    )
    assert margin.value == pytest.approx(1 / np.linalg.norm(found.x), rel=1e-6)
    assert (z @ margin.direction).min() == pytest.approx(margin.value, rel=1e-12)
    # the convex weights: their sum of z is as long as the margin, so that no direction has a larger one
    shares = np.array([float(value) for value in margin.weights])
    assert sum(margin.weights) == 1
    assert np.linalg.norm(shares @ z) == pytest.approx(margin.value, rel=1e-12)
    assert learn(points, labels, 10**6).mistakes <= margin.most_mistakes


# --- separable or not --------------------------------------------------------------------------------


def test_no_line_separates_xor() -> None:
    found = separate(CORNERS, GATES["xor"])
    assert found.separable is False
    assert found.certificate == (Fraction(1, 4),) * 4
    assert found.common == (Fraction(1, 2), Fraction(1, 2))  # the middle of both diagonals
    assert is_certificate(CORNERS, GATES["xor"], found.certificate)
    assert found.weights is None


def test_all_sixteen_gates() -> None:
    """Of the 16 functions of two bits, 14 are separable: all but XOR and its negation."""
    grid = np.linspace(-2, 2, 17)
    lines = np.array(list(itertools.product(grid, grid, grid)))  # (w₁, w₂, b)
    scores = lines @ np.column_stack([CORNERS, np.ones(4)]).T
    for labels in itertools.product([-1.0, 1.0], repeat=4):
        by_search = bool((scores * labels > 0).all(axis=1).any())
        found = separate(CORNERS, labels)
        assert found.separable is by_search
        if by_search:
            values = np.array(CORNERS) @ found.weights + found.bias
            assert (values * labels > 0).all()


small = st.integers(-4, 4)


@pytest.mark.slow
@given(data=st.data(), dimension=st.integers(1, 3), count=st.integers(1, 9))
@settings(deadline=None, max_examples=250)
def test_one_of_the_two_is_always_proved(data: st.DataObject, dimension: int, count: int) -> None:
    """Points with whole coordinates, often equal ones: what is proved is checked here by other means."""
    row = st.lists(small, min_size=dimension, max_size=dimension)
    points = np.array(data.draw(st.lists(row, min_size=count, max_size=count)), float)
    labels = np.array(data.draw(st.lists(st.sampled_from([-1.0, 1.0]), min_size=count, max_size=count)))
    found = separate(points, labels)
    assert found.separable is not None
    if found.separable:
        assert found.weights is not None
        values = points @ found.weights + found.bias
        assert (labels * values > 0).all()
        length = np.linalg.norm(found.weights)
        if length:
            assert found.margin == pytest.approx((labels * values).min() / length, rel=1e-9)
        margin = best_margin(points, labels)
        assert 0 < learn(points, labels, margin.most_mistakes + 1).mistakes <= margin.most_mistakes
    else:
        positive, negative = ({i for i in range(count) if labels[i] == sign} for sign in (1, -1))
        for half in (positive, negative):
            assert sum(found.certificate[i] for i in half) == Fraction(1, 2)
            mean = [
                sum(2 * found.certificate[i] * Fraction(points[i, j]) for i in half) for j in range(dimension)
            ]
            assert tuple(mean) == found.common
        with pytest.raises(InputError, match="no hyperplane separates"):
            best_margin(points, labels)


@pytest.mark.parametrize("scale", [1e-90, 1e-9, 1.0, 1e9, 1e90])
@pytest.mark.parametrize("shift", [0.0, 1e3])
def test_scale_and_place_do_not_matter(scale: float, shift: float) -> None:
    points = scale * (np.array(CORNERS) + shift)
    assert separate(points, GATES["and"]).separable is True
    assert separate(points, GATES["xor"]).separable is False


def test_a_certificate_is_checked_exactly() -> None:
    nearly = [Fraction(1, 4)] * 3 + [Fraction(1, 4) + Fraction(1, 10**30)]
    assert not is_certificate(CORNERS, GATES["xor"], nearly)
    assert not is_certificate(CORNERS, GATES["and"], [Fraction(1, 4)] * 4)
    assert not is_certificate(CORNERS, GATES["xor"], [Fraction(0)] * 4)
    # the sum of the z vanishes, but by a negative weight
    assert not is_certificate(
        [[0.0], [1.0], [2.0]], [1, 1, -1], [Fraction(-1, 2), Fraction(1), Fraction(1, 2)]
    )


def test_classes_that_touch_in_a_point_or_nearly() -> None:
    assert separate([[0.0], [1.0], [1.0], [2.0]], [-1, -1, 1, 1]).separable is False
    apart = np.nextafter(1.0, 2.0)
    for found in (separate([[0.0], [1.0], [apart], [2.0]], [-1, -1, 1, 1]),
                  separate([[0.0], [apart], [1.0], [2.0]], [-1, -1, 1, 1])):  # fmt: skip
        assert found.separable is not None or found.residual < 1e-6


def test_an_answer_that_proves_nothing_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(perceptron, "_hyperplane", lambda z: (np.array([1.0, -1.0]), 0.0))
    assert separate(CORNERS, GATES["xor"]).separable is False
    assert separate(CORNERS, GATES["and"]).separable is None  # there is no certificate to be found
    wrong = np.array([0.25, 0.25, 0.25, 0.25 + 1e-7])
    monkeypatch.setattr(perceptron, "_common_weights", lambda z: wrong[[0, 1, 2, 2]] * [1, 1, 1, 0])
    found = separate(CORNERS, GATES["xor"])
    assert found.separable is None
    assert found.residual > 0.1


def test_a_solution_with_a_negative_weight_is_no_certificate(monkeypatch: pytest.MonkeyPatch) -> None:
    """The points 0, 1 against 2: Σ λᵢ zᵢ = 0 has the one solution (−½, 1, ½)."""
    monkeypatch.setattr(perceptron, "_hyperplane", lambda z: (np.array([1.0]), 0.0))
    monkeypatch.setattr(perceptron, "_common_weights", lambda z: np.array([0.3, 0.4, 0.3]))
    assert separate([[0.0], [1.0], [2.0]], [1, 1, -1]).separable is None


@pytest.mark.parametrize("wrong", [[1, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 1], [1, 1, 1, 1]])
def test_a_wrong_support_is_no_margin(monkeypatch: pytest.MonkeyPatch, wrong: list[float]) -> None:
    monkeypatch.setattr(perceptron, "nnls", lambda *_, **__: (np.array(wrong, float), 0.0))
    with pytest.raises(InputError, match="too small against the points"):
        best_margin(CORNERS, GATES["and"])


def test_one_class_alone_is_separable() -> None:
    found = separate([[0.0, 1.0], [2.0, 3.0]], [1, 1])
    assert found.separable
    assert learn([[0.0, 1.0], [2.0, 3.0]], [1, 1]).mistakes == 1


def test_rational_elimination_against_cramers_rule() -> None:
    random = np.random.default_rng(5)
    for _ in range(50):
        above, below = random.integers(-5, 6, (3, 3)), random.integers(1, 7, (3, 3))
        a = [[Fraction(int(above[i, j]), int(below[i, j])) for j in range(3)] for i in range(3)]
        b = [Fraction(int(v)) for v in random.integers(-5, 6, 3)]
        whole = determinant(a)
        solved = perceptron._solve(a, b)
        if whole == 0:
            assert solved is None
            continue
        replaced = [
            [[*row[:j], value, *row[j + 1 :]] for row, value in zip(a, b, strict=True)] for j in range(3)
        ]
        assert solved == [determinant(matrix) / whole for matrix in replaced]


def determinant(m: list[list[Fraction]]) -> Fraction:
    (a, b, c), (d, e, f), (g, h, i) = m
    return a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)


# --- XOR by two hidden units --------------------------------------------------------------------------


def truth_by_formula(activation: str, layers: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """The network at the corners in plain NumPy."""
    activations: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "step": lambda z: (z >= 0).astype(float),
        "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
        "tanh": np.tanh,
        "ripple": lambda z: 1 / (1 + np.exp(-z)) + z * np.exp(-z * z),
        "relu": lambda z: np.maximum(z, 0),
    }
    phi = activations[activation]
    (w1, b1), (w2, b2) = layers
    return (phi(np.array(CORNERS) @ w1.T + b1) @ w2.T + b2)[:, 0]


@pytest.mark.parametrize("activation", EXACT)
@pytest.mark.parametrize("steepness", [0.1, 1.0, 2.0, 7.5, 60.0])
def test_two_units_solve_xor_by_formula(activation: str, steepness: float) -> None:
    network, margin = exact_xor(activation, steepness)
    assert [w.shape for w, _ in network.weights()] == [(2, 2), (1, 2)]
    expected = margin * np.array(GATES["xor"])
    np.testing.assert_allclose(truth_by_formula(activation, network.weights()), expected, atol=1e-14)
    with torch.no_grad():
        np.testing.assert_allclose(network(POINTS)[:, 0].numpy(), expected, atol=1e-14)
    assert solves_xor(network)
    assert network.hidden_units == 2


def test_the_margin_by_its_formula() -> None:
    for w in (0.5, 2.0, 20.0):
        formula = (math.tanh(w / 4) - math.sinh(w / 2) / (math.cosh(w / 2) + math.cosh(w))) / 2
        assert exact_xor("sigmoid", w)[1] == pytest.approx(formula, rel=1e-12)
        assert exact_xor("tanh", w / 2)[1] == pytest.approx(formula, rel=1e-12)


def test_the_ripple_solves_it_at_every_steepness() -> None:
    for w in np.geomspace(0.01, 1000, 200):
        assert exact_xor("ripple", w)[1] > 0


def test_one_unit_that_is_not_monotone_solves_it() -> None:
    """With about the largest margin that any weights have, by a search over them."""
    network, margin = one_unit_xor()
    assert solves_xor(network)
    with torch.no_grad():
        worst = (network(POINTS)[:, 0].numpy() * np.array(GATES["xor"])).min()
    assert worst == pytest.approx(margin, rel=1e-12)

    def lost(weights: np.ndarray) -> float:
        z = np.array(CORNERS) @ weights[:2] + weights[2]
        value = 1 / (1 + np.exp(-z)) + z * np.exp(-(z**2))
        true, false = value[1:3], value[[0, 3]]
        return -max(true.min() - false.max(), false.min() - true.max()) / 2

    best = differential_evolution(lost, [(-4, 4)] * 3, seed=0, tol=1e-8)
    assert margin == pytest.approx(-best.fun, rel=1e-3)


def test_a_network_that_is_linear_does_not_solve_it() -> None:
    network, _ = exact_xor("relu")
    with torch.no_grad():
        network.get_parameter("hidden.0.bias").fill_(10.0)  # both units always on
    assert not solves_xor(network)


@pytest.fixture(scope="module")
def trained() -> XorTraining:
    return train_xor("tanh", 2, 60, steps=3000, generator=seeded(0))


def test_training_counts_the_starts_that_are_right(trained: XorTraining) -> None:
    solved = [solves_xor(trained.network(member)) for member in range(60)]
    assert trained.solved.tolist() == solved
    assert trained.rate == sum(solved) / 60
    assert trained.interval == proportion_interval(sum(solved), 60)
    assert 0.4 < trained.rate < 0.9


def test_losses_are_those_of_the_networks_and_failures_are_plateaus(trained: XorTraining) -> None:
    y = torch.tensor(GATES["xor"], dtype=torch.float64)
    for member in range(60):
        with torch.no_grad():
            outputs = trained.network(member)(POINTS)[:, 0]
        assert trained.loss[member] == pytest.approx(
            float(((outputs - y) ** 2).mean() / 2), rel=1e-9, abs=1e-12
        )
    assert trained.loss[~trained.solved].min() > 0.2
    assert (trained.loss[trained.solved] < 0.25).all()
    assert trained.steps[trained.solved].min() < 3000  # it stops by itself


def test_training_is_that_of_one_network_alone() -> None:
    """The first start once more, by autograd and torch's own optimizer."""
    once = train_xor("tanh", 2, 1, steps=200, loss_fraction=0.0, generator=seeded(0))
    model = MLP(2, [2], 1, "tanh", sigma_b=1.0, generator=seeded(0)).double()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    y = torch.tensor(GATES["xor"], dtype=torch.float64)[:, None]
    for _ in range(200):
        optimizer.zero_grad()
        ((model(POINTS) - y) ** 2).mean().div(2).backward()
        optimizer.step()
    with torch.no_grad():
        torch.testing.assert_close(once.network(0)(POINTS), model(POINTS), rtol=1e-9, atol=1e-9)


def test_more_units_solve_it_more_often() -> None:
    rates = [train_xor("relu", units, 150, steps=1500, generator=seeded(3)) for units in (2, 4)]
    above, below = rates[0].interval[1], rates[1].interval[0]
    assert above is not None
    assert below is not None
    assert above < below
    # where ReLU fails it rests at fits of 0, 1 or 2 of the points: losses ½, ⅓ and ¼
    failed = rates[0].loss[~rates[0].solved]
    assert np.isclose(failed[:, None], [1 / 2, 1 / 3, 1 / 4], atol=1e-3).any(axis=1).mean() > 0.9


def test_the_same_seed_gives_the_same_training() -> None:
    first, second = (train_xor("sigmoid", 2, 5, steps=100, generator=seeded(7)) for _ in range(2))
    assert first.loss.tolist() == second.loss.tolist()


# --- bad input ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: learn([0.0, 1.0], [1, -1]), "must be (n, d) and (n,)"),
        (lambda: learn(np.zeros((0, 2)), []), "n ≥ 1"),
        (lambda: learn([[0.0], [1.0]], [1, -1, 1]), "must be (n, d) and (n,)"),
        (lambda: learn([[0.0], [1.0]], [0, 1]), "labels: 0: must be 1 or −1"),
        (lambda: learn([[0.0], [math.nan]], [1, -1]), "not finite"),
        (lambda: learn([[0.0], [1e200]], [1, -1]), "beyond ±1e+100"),
        (lambda: best_margin(CORNERS, GATES["xor"]), "no hyperplane separates"),
        (lambda: separate([[0.0], [math.inf]], [1, -1]), "not finite"),
        (lambda: is_certificate(CORNERS, GATES["xor"], [Fraction(1)]), "1 weights for 4 points"),
        (lambda: exact_xor("gelu"), "gelu makes no step here"),
        (lambda: exact_xor("sigmoid", 1e-7), "too flat for float64"),
        (lambda: train_xor("tanh", 0, 3, generator=seeded()), "at least 1"),
    ],
)  # fmt: skip
def test_bad_input_is_named(call: Callable[[], object], words: str) -> None:
    with pytest.raises(InputError) as caught:
        call()
    assert words in str(caught.value)
