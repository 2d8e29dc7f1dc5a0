"""Margins, catapults, the edge of stability, double descent: small runs, and claims that can fail."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize

from nnlab.chapters.beyond.catapult import experiment as catapult
from nnlab.chapters.beyond.catapult.two_variables import follow_map, largest_falling_product
from nnlab.chapters.beyond.double_descent import experiment as double_descent
from nnlab.chapters.beyond.double_descent.risk import risk, training_error
from nnlab.chapters.beyond.edge_of_stability import experiment as edge_of_stability
from nnlab.chapters.beyond.max_margin import experiment as max_margin
from nnlab.chapters.beyond.max_margin.limit import Limit, angle_from, limit_of, support_vectors
from nnlab.chapters.experiments import EXPERIMENTS
from nnlab.chapters.pages import CHAPTERS
from nnlab.errors import InputError
from nnlab.lab import runner
from nnlab.lab.config import apply_sets, check, read_source
from nnlab.lab.session import Session, generator
from nnlab.models import MLP
from nnlab.page.contents import Contents
from nnlab.record import open_run
from nnlab.theory import Claim

Array = NDArray[np.float64]


def config(name: str, *sets: str) -> Any:
    source = read_source(name)
    apply_sets(source, ["name=b", *sets])
    return check(source, EXPERIMENTS)


SMALL = {
    "max_margin": ("steps=1000",),
    "catapult": ("width=64", "steps=40", "products=[1.0, 3.0]"),
    "edge_of_stability": ("width=8", "steps=750", "points=6"),
    "double_descent": ("examples=20", "features=[8, 40]", "peak=[10, 20, 40]", "draws=2", "peak_draws=2"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_a_small_run_is_whole(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catapult, "HALVINGS", (4, 2))
    summary = runner.run(config(name, *SMALL[name]), tmp_path, Session())
    assert all(claim["predicted_by"] and claim["measured_by"] for claim in summary["claims"])
    assert not summary.get("warnings")
    run = open_run(summary["run_dir"])
    content = json.loads((run.folder / "figures.json").read_text("utf-8"))
    assert content["axes"].keys() == run.arrays().keys()
    assert [array for array, text in content["axes"].items() if not text] == []
    assert [path.stem for path in run.folder.glob("figures/*.png")] == [name]
    assert [widget.kind for widget in Contents(CHAPTERS).widgets_of(run)] == [name]


def verdicts(claims: list[Claim]) -> dict[str, str]:
    return {claim.name: claim.verdict for claim in claims}


# --- margins ------------------------------------------------------------------------------------------


def signed(seed: int = 0) -> Array:
    x, y = max_margin.points(12, generator(seed, "points"))
    return (x * y[:, None]).numpy()


@pytest.mark.parametrize("seed", range(5))
def test_the_machine_finds_the_shortest_vector_with_margin_1(seed: int) -> None:
    z = signed(seed)
    direction, dual = support_vectors(z)
    shortest = minimize(
        lambda v: v @ v / 2, z.mean(0), jac=lambda v: v, method="SLSQP",
        constraints={"type": "ineq", "fun": lambda v: z @ v - 1, "jac": lambda v: z},
        options={"ftol": 1e-15},
    ).x  # fmt: skip
    np.testing.assert_allclose(direction, shortest, atol=1e-6)
    np.testing.assert_allclose(dual @ z, direction, atol=1e-8)
    assert np.linalg.norm(direction) == pytest.approx(1, rel=1e-6)


def test_the_limit_is_that_of_gradient_flow() -> None:
    """ŵ log t + w̃ solves dw/dt = (η/N) Σ exp(−zᵢᵀw) zᵢ over the support vectors."""
    z, lr, t = signed(), 0.3, 1e6
    limit = limit_of(z, lr)
    weights = limit.weights(np.array([t]))[0]
    speed = lr / len(z) * np.exp(-z[:2] @ weights) @ z[:2]
    np.testing.assert_allclose(t * speed, limit.direction, atol=1e-5)


def test_the_limit_needs_as_many_support_vectors_as_dimensions() -> None:
    with pytest.raises(ValueError, match="1 support vectors in 2 dimensions"):
        limit_of(np.array([[1.0, 0.0], [3.0, 0.5], [3.0, -0.5]]), 1.0)


def margin_claims(change: Any = lambda t, w: w, loss_factor: float = 1.0) -> dict[str, str]:
    """Verdicts on weights that are exactly as predicted, changed."""
    one, z = config("max_margin"), signed()
    limit = limit_of(z, 2 * one.lr)
    steps = np.geomspace(100, one.steps, 20)
    vectors = np.array([change(t, w) for t, w in zip(steps, limit.weights(steps), strict=True)])
    loss = loss_factor * float(limit.direction @ limit.direction) / (2 * one.lr * steps)
    return verdicts(max_margin.claims_of(one, limit, z, steps, vectors, loss))


def test_the_claims_about_margins_pass_for_the_limit_alone() -> None:
    z = signed()
    limit = limit_of(z, 1.0)
    across = np.array([-limit.direction[1], limit.direction[0]])
    assert set(margin_claims().values()) == {"PASS"}
    half = margin_claims(lambda t, w: w / 2)
    assert half["weights_grow_by_1_over_the_margin"] == "FAIL"
    away = margin_claims(lambda t, w: w + 0.05 * across)
    assert away["angle_to_the_largest_margin"] == "FAIL"
    fast = margin_claims(lambda t, w: np.log(t) * limit.direction + 100 * across / np.sqrt(t))
    assert fast["angle_falls_like_1_over_log_t"] == fast["angle_to_the_largest_margin"] == "FAIL"
    mean = z.mean(0) / np.linalg.norm(z.mean(0))
    assert margin_claims(lambda t, w: np.log(t) * mean)["weights_grow_along_the_largest_margin"] == "FAIL"
    assert margin_claims(loss_factor=2.0)["loss_times_steps"] == "FAIL"
    assert margin_claims(lambda t, w: math.nan * w)["angle_to_the_largest_margin"] == "INCONCLUSIVE"


def test_few_steps_leave_the_limits_open() -> None:
    z = signed()
    limit = limit_of(z, 1.0)
    assert max_margin.left_open(limit, z, 30_000) == max_margin.TOLERANCE
    scores = z[:2] @ limit.weights(np.array([300.0]))[0]
    second_order = (np.exp(-scores) * (1 + scores)).max()
    assert max_margin.left_open(limit, z, 300) == pytest.approx(4 * second_order, rel=0.02)


def test_angles_are_signed() -> None:
    vectors = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 0.0]])
    np.testing.assert_allclose(angle_from(np.array([2.0, 0.0]), vectors), [45, -45, 180])
    assert Limit(np.array([1.0, 0.0]), np.zeros(2)).weights(np.array([1.0])).tolist() == [[0.0, 0.0]]


# --- the catapult -------------------------------------------------------------------------------------


@pytest.mark.parametrize("y", [0.0, 0.7])
def test_the_map_is_descent_of_two_vectors(y: float) -> None:
    random = np.random.default_rng(0)
    n, x, lr = 30, 1.3, 0.4
    u, v = random.standard_normal((2, n))
    outputs, kernels = [], []
    for _ in range(12):
        f = float(u @ v) * x / math.sqrt(n)
        outputs.append(f)
        kernels.append(x * x * float(u @ u + v @ v) / n)
        slope = lr * (f - y) * x / math.sqrt(n)
        u, v = u - slope * v, v - slope * u
    predicted = follow_map(outputs[0], kernels[0], lr=lr, steps=11, width=n, x=x, y=y)
    np.testing.assert_allclose(predicted[0], outputs, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(predicted[1], kernels, rtol=1e-9)


@pytest.mark.parametrize(("f", "kernel"), [(1.7, 4.0), (1e-3, 4.0), (10.0, 1.0)])
def test_the_largest_step_that_does_not_raise_the_loss(f: float, kernel: float) -> None:
    product = largest_falling_product(f, kernel, width=100, x=1.5)
    for factor, rises in ((1 - 1e-9, False), (1 + 1e-9, True)):
        outputs, _ = follow_map(f, kernel, lr=factor * product / kernel, steps=1, width=100, x=1.5)
        assert (abs(outputs[1]) > abs(outputs[0])) == rises
    assert largest_falling_product(0.0, kernel, width=100, x=1.5) == 2.0


def test_a_boundary_is_halved_or_not_there() -> None:
    low, high = catapult.halved(lambda p: p > 2.34, (1.0, 4.0), 10)
    assert low <= 2.34 <= high
    assert high - low == pytest.approx(3 / 1024)
    for test in (lambda p: True, lambda p: False, lambda p: None if 2 < p < 3 else p > 2.34):
        assert all(map(math.isnan, catapult.halved(test, (1.0, 4.0), 10)))


def test_the_last_finite_state_stands_for_those_after_it() -> None:
    outputs, kernels = catapult.known(
        np.array([1.0, 2.0, 3.0, np.inf, np.nan]), np.array([4.0, 5.0, np.inf, np.nan, np.nan])
    )
    assert (outputs.tolist(), kernels.tolist()) == ([1, 2, 2, 2, 2], [4, 5, 5, 5, 5])


def test_the_claims_about_catapults_fail_for_wrong_numbers() -> None:
    one = config("catapult", "width=64", "steps=40")
    first, products = catapult.State(0.8, 4.5), [1.0, 3.0]

    def trainings(factor: float, target: float) -> list[catapult.Training]:
        maps = [one.map(first, product, target) for product in products]
        return [catapult.Training(f, factor * kernel) for f, kernel in maps]

    for factor, verdict in ((1.0, "PASS"), (1 + 1e-9, "FAIL"), (math.nan, "INCONCLUSIVE")):
        pair = trainings(factor, 0.0), trainings(factor, catapult.TARGET)
        assert catapult.map_claim(one, first, products, *pair).verdict == verdict
        wrong = 1 + 100 * (factor - 1)
        assert catapult.end_claim(one, first, 3.0, trainings(wrong, 0.0)[1]).verdict == verdict
    falling = largest_falling_product(*first, width=64, x=catapult.X)
    for measured, verdict in ((falling, "PASS"), (falling + 1e-5, "FAIL"), (math.nan, "INCONCLUSIVE")):
        assert catapult.rise_claim(one, (measured, measured), falling).verdict == verdict
    for measured, verdict in ((4.0, "PASS"), (3.9, "FAIL"), (2.0, "FAIL"), (math.nan, "INCONCLUSIVE")):
        assert catapult.divergence_claim(one, (measured, measured)).verdict == verdict


# --- the edge of stability ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("late", "verdict"),
    [(2.0, "PASS"), (2.04, "PASS"), (1.9, "FAIL"), (2.1, "FAIL"), (1.0, "FAIL"), (math.nan, "INCONCLUSIVE")],
)
def test_the_edge_is_at_2(late: float, verdict: str) -> None:
    one = config("edge_of_stability")
    assert edge_of_stability.edge_claim(one, 0.8, late, 3.2, 1.3).verdict == verdict


def test_a_rival_at_the_edge_leaves_it_open() -> None:
    one = config("edge_of_stability")
    assert edge_of_stability.edge_claim(one, 0.8, 2.0, 2.04, 1.3).verdict == "INCONCLUSIVE"


def test_networks_that_do_not_sharpen_say_nothing_about_the_edge() -> None:
    one = config("edge_of_stability")
    assert edge_of_stability.edge_claim(one, 0.8, 1.06, 1.07, 1.3).verdict == "INCONCLUSIVE"
    assert edge_of_stability.edge_claim(one, 0.8, 1.06, math.nan, 1.3).verdict == "INCONCLUSIVE"


@pytest.mark.parametrize(("flow", "verdict"), [(3.0, "PASS"), (2.05, "FAIL"), (math.nan, "INCONCLUSIVE")])
def test_small_steps_go_beyond(flow: float, verdict: str) -> None:
    assert edge_of_stability.flow_claim(config("edge_of_stability"), 0.8, flow).verdict == verdict


def test_the_sharpness_where_a_loss_was_reached() -> None:
    path = edge_of_stability.Path(np.array([4.0, 3.0, 3.5, 1.0]), np.array([1.0, 2.0, 3.0, 4.0]))
    assert [path.sharpness_at(loss) for loss in (5.0, 3.0, 2.0, 0.5)] == [1.0, 2.0, 4.0, 4.0]


def test_a_path_ends_at_its_loss() -> None:
    one = config("edge_of_stability", *SMALL["edge_of_stability"])
    first = one.sharpness(one.parts(lr=1.0))
    whole = one.path(1, 0.5 / first, -np.inf, Session())
    assert len(whole.loss) == len(whole.sharpness) == 1 + 750 // edge_of_stability.EVERY
    assert whole.sharpness[0] == pytest.approx(first, rel=1e-3)
    short = one.path(1, 0.5 / first, whole.loss[3], Session())
    np.testing.assert_array_equal(short.loss, whole.loss[:4])


# --- double descent -----------------------------------------------------------------------------------


@pytest.mark.parametrize("p", [5, 12, 30, 60])
def test_the_risk_is_that_of_many_pseudo_inverses(p: int) -> None:
    random = np.random.default_rng(p)
    n, sigma, norm, draws = 20, 0.7, 1.5, 1000
    x = random.standard_normal((draws, n, p))
    beta = random.standard_normal((draws, p, 1))
    beta *= norm / np.linalg.norm(beta, axis=1, keepdims=True)
    y = x @ beta + sigma * random.standard_normal((draws, n, 1))
    fitted = np.linalg.pinv(x) @ y
    squares = np.square(fitted - beta).sum((1, 2))
    residuals = np.square(y - x @ fitted).mean((1, 2))
    for values, predicted in (
        (squares, risk(n, p, sigma=sigma, norm=norm)),
        (residuals, training_error(n, p, sigma)),
    ):
        assert values.mean() == pytest.approx(predicted, abs=4 * values.std() / math.sqrt(draws) + 1e-9)


def test_the_risk_is_infinite_around_the_threshold() -> None:
    assert [math.isinf(risk(20, p, sigma=1.0, norm=1.0)) for p in (18, 19, 20, 21, 22)] == [
        False, True, True, True, False,
    ]  # fmt: skip


def draws_around(value: float, error: float = 0.25, away: float = 1e-9) -> double_descent.Draws:
    spread = 1 + 0.02 * np.random.default_rng(0).standard_normal(100)
    return double_descent.Draws(value * spread, error * spread, np.full(100, away))


@pytest.mark.parametrize("p", [16, 30, 64, 160])
def test_the_claim_about_the_risk(p: int) -> None:
    one = config("double_descent")
    value = risk(40, p, sigma=1.0, norm=2.0)
    claim = double_descent.risk_claim(one, p, draws_around(value))
    assert claim.verdict == "PASS"
    for wrong in (*claim.rivals.values(), 1.05 * value, 0.0):
        assert double_descent.risk_claim(one, p, draws_around(wrong)).verdict == "FAIL"
    assert double_descent.risk_claim(one, p, draws_around(math.nan)).verdict == "INCONCLUSIVE"


def test_the_claims_about_residuals_and_weights() -> None:
    one = config("double_descent")
    for error, verdict in ((0.25, "PASS"), (0.27, "FAIL"), (1.0, "FAIL"), (math.nan, "INCONCLUSIVE")):
        assert double_descent.training_claim(one, 30, {30: draws_around(1.0, error)}).verdict == verdict
    for away, verdict in ((1e-6, "PASS"), (0.01, "FAIL"), (math.nan, "INCONCLUSIVE")):
        assert double_descent.least_norm_claim(one, [draws_around(1.0, away=away)]).verdict == verdict


@pytest.mark.parametrize(
    ("top", "verdict"),
    [(40, "PASS"), (30, "FAIL"), (20, "FAIL"), (80, "FAIL"), (52, "FAIL"), (0, "INCONCLUSIVE")],
)
def test_the_claim_about_the_peak(top: int, verdict: str) -> None:
    one = config("double_descent")
    heights = {p: draws_around(9.0 if p == top else 1.0 if top else math.nan) for p in one.peak}
    assert double_descent.peak_claim(one, "relu", heights).verdict == verdict


@pytest.mark.parametrize(
    ("sets", "peak"),
    [("noise=1", True), ("noise=0.01", False), ("peak=[20, 39, 40, 41, 80]", False), ("norm=0", True)],
)
def test_a_peak_is_claimed_where_the_noise_makes_one(sets: str, peak: bool) -> None:
    assert config("double_descent", sets).has_peak() == peak


def test_half_as_many_features_as_examples() -> None:
    one = config("double_descent")
    claim = double_descent.training_claim(one, 20, {20: draws_around(1.0, 0.5)})
    assert (claim.verdict, "σ²p/n" in claim.rivals) == ("PASS", False)


@pytest.mark.parametrize("sets", ["features=[8, 36]", "peak=[20, 30, 80]", "peak=[40, 60, 80]"])
def test_numbers_of_features_that_decide_nothing_are_refused(sets: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="must"):
        runner.run(config("double_descent", sets), tmp_path, Session())


def test_features_of_networks_stay_as_they_are() -> None:
    one = config("double_descent", *SMALL["double_descent"])
    random = torch.Generator().manual_seed(0)
    task = double_descent.Task.drawn(one, 4, random)
    model = MLP(4, [6], one.targets, bias=False, generator=random).double()
    model.hidden.requires_grad_(False)
    (weight,) = model.hidden.parameters()
    before = weight.clone()
    test, train = double_descent.fitted(model, task, 5, Session())
    torch.testing.assert_close(weight, before, rtol=0, atol=0)
    hidden = torch.relu(task.train.inputs @ before.T).detach().numpy()
    best = np.linalg.lstsq(hidden, task.train.targets.numpy(), rcond=None)[0]
    new = torch.relu(task.test.inputs @ before.T).detach().numpy() @ best
    assert test == pytest.approx(float(np.square(new - task.test.targets.numpy()).mean()), rel=1e-4)
    assert train == pytest.approx(
        float(np.square(hidden @ best - task.train.targets.numpy()).mean()), rel=1e-4
    )
