"""The experiment weight_change: its numbers against single networks, its claims, its refusals, its resume."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import Tensor

from nnlab.chapters.experiments import EXPERIMENTS
from nnlab.chapters.widths import experiment
from nnlab.chapters.widths import study as widths_study
from nnlab.chapters.widths.laws import crossing, crossing_claim, edge_claim, laws, thresholds
from nnlab.chapters.widths.linear import Architecture, Linear
from nnlab.chapters.widths.schema import Family, Setting
from nnlab.chapters.widths.study import Study, curve_steps, operator_norm
from nnlab.errors import ConfigError, InputError, Interrupted
from nnlab.lab import runner
from nnlab.lab.config import apply_sets, check, read_source
from nnlab.lab.session import Session, generator
from nnlab.models import MLP
from nnlab.record import open_run
from nnlab.training import ensemble as batched

Summary = dict[str, Any]
WIDTHS, SEEDS, STEPS = [64, 128, 256], 12, 80
LRS = {"ntk": 0.015, "standard": 6e-4}


def config(*sets: str) -> Any:
    source = read_source("weight_change")
    apply_sets(source, ["training.device=cpu", "name=w", *sets])
    return check(source, EXPERIMENTS)


def run_in(folder: Path, *sets: str, session: Session | None = None) -> Summary:
    return runner.run(config(*sets), folder, session or Session())


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Summary:
    """The shipped config, smaller."""
    return run_in(
        tmp_path_factory.mktemp("runs"), f"widths={WIDTHS}", f"seeds={SEEDS}", f"training.steps={STEPS}"
    )


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures take most of the time of a small run."""
    monkeypatch.setattr(experiment, "_draw", lambda *arguments: None)


TINY = ("widths=[8, 4]", "seeds=3", "training.steps=10", "depths=[2]")


@pytest.mark.slow
def test_rows_figures_and_arrays(shipped: Summary) -> None:
    settings = [f"{p}-{d}-{protocol}" for protocol in ("constant", "stable") for d in (1, 2) for p in LRS]
    assert [(row["setting"], row["width"]) for row in shipped["results"]] == [
        (setting, width) for setting in settings for width in WIDTHS
    ]
    found = open_run(shipped["run_dir"])
    assert {path.stem for path in found.folder.glob("figures/*.png")} == {
        "training_constant", "training_stable", "exponents_constant", "exponents_stable", "lambda_max", "edge"
    }  # fmt: skip
    arrays = found.arrays()
    assert arrays["widths"].tolist() == WIDTHS
    assert arrays["ntk-2-stable/loss"].shape == (3, SEEDS, len(curve_steps(STEPS)))
    assert arrays["ntk-2-stable/layer_operator_change"].shape == (3, SEEDS, 3)
    for row in shipped["results"]:
        index, kept = WIDTHS.index(row["width"]), ~arrays[f"{row['setting']}/diverged"]
        change = arrays[f"{row['setting']}/change"][index][kept[index]]
        assert row["whole"] == pytest.approx(change.mean(), rel=1e-12)
        assert 0 < row["lambda_min"] < row["lambda_max"]
        assert (row["second_layer"] is None) == ("-1-" in row["setting"])


def test_exponents_are_near_those_of_theory(shipped: Summary) -> None:
    """Three widths and few seeds: within 0.25, half of what separates two exponents."""
    expected = {
        "ntk-1-stable": {"whole": -0.5, "first_layer": -0.5},
        "standard-1-stable": {"whole": -1.0, "first_layer": -1.5, "kernel_drift": -2.0},
        "ntk-2-stable": {"whole": -1.0, "first_layer": -0.5, "second_layer": -0.5},
        "standard-2-stable": {"whole": -1.0, "first_layer": -1.5, "second_layer": -0.5},
        "ntk-1-constant": {"whole": -0.5},
        "ntk-2-constant": {"whole": -1.0},
    }
    for setting, powers in expected.items():
        for quantity, power in powers.items():
            assert abs(shipped["metrics"][f"{setting}/{quantity}"] - power) < 0.25, (setting, quantity)
    assert not any(name.startswith("standard-1-constant") for name in shipped["metrics"])


def test_claims(shipped: Summary) -> None:
    claims = {claim["name"]: claim for claim in shipped["claims"]}
    assert {claim["verdict"] for claim in claims.values()} <= {"PASS", "INCONCLUSIVE"}
    assert all(claim["predicted_by"] != claim["measured_by"] for claim in claims.values())
    for name in (
        "lambda_max_ntk-1",
        "lambda_max_standard-2",
        "climbs_above_2_ntk-2",
        "climbs_above_2_standard-1",
    ):
        assert claims[name]["verdict"] == "PASS", claims[name]
    for setting in ("ntk-1", "standard-2"):
        stable = [c for name, c in claims.items() if name.endswith(f"{setting}-stable")]
        assert len(stable) == (3 if setting == "ntk-1" else 4)
        for claim in stable:
            said = " ".join(claim["hypotheses"])
            for word in (
                "hidden layer",
                setting[:-2],
                "η = 1/λmax(H₀)",
                f"{STEPS} steps",
                "float64",
                "64, 128, 256",
            ):
                assert word in said
    assert ", not like 1/√m" in claims["whole_standard-1-stable"]["sentence"]
    assert claims["whole_standard-1-stable"]["rivals"]["1/√m"] == -0.5


def test_what_was_predicted_before_the_run_happened(shipped: Summary) -> None:
    folder = Path(shipped["run_dir"])
    predicted = json.loads((folder / "predictions.json").read_text("utf-8"))
    assert shipped["predictions_sha256"]
    for row in shipped["results"]:
        said, width = predicted[row["setting"]], str(row["width"])
        assert said["eta_lambda_max"][width] == pytest.approx(row["eta_lambda_max"], rel=0.15)
        # of networks with ηλmax(H₀) a little above 2, two are slow to climb
        assert row["climbed"] == pytest.approx(SEEDS * said["share_that_climbs"][width], abs=2)
    assert predicted["standard-2-constant"]["first_width_where_most_climb"] == 256
    claims = {claim["name"]: claim for claim in shipped["claims"]}
    assert claims["crossing_standard-2-constant"]["verdict"] == "PASS"
    assert claims["climbs_above_2_standard-2"]["measured"] == pytest.approx(2.0, abs=1e-4)
    assert "crossing_ntk-2-constant" not in claims
    climbed = [row["climbed"] for row in shipped["results"] if row["setting"] == "standard-2-constant"]
    assert climbed[0] == 0
    assert climbed[-1] == SEEDS


@pytest.mark.parametrize(
    ("parameterization", "depth", "protocol"), [("ntk", 2, "stable"), ("standard", 1, "constant")]
)
def test_a_network_of_the_run_trained_alone(
    shipped: Summary, parameterization: str, depth: int, protocol: str
) -> None:
    """Seed 5 of width 128, by a plain loop, autograd Jacobians and full decompositions."""
    arrays, member, width = open_run(shipped["run_dir"]).arrays(), 5, 128
    x = torch.linspace(-1, 1, 10, dtype=torch.float64)[:, None]
    y, x = torch.sin(torch.pi * x), x / x.square().mean().sqrt()
    net = MLP(
        1, [width] * depth, 1, "relu", parameterization=parameterization, sigma_b=1.0,
        generator=generator(0, "weights", depth, width, member),
    ).double()  # fmt: skip
    start = [p.detach().clone() for p in net.parameters()]
    kernel, before = tangent_kernel(net, x), jacobian(net, x)
    eigenvalues = torch.linalg.eigvalsh(kernel)
    lr = LRS[parameterization] if protocol == "constant" else float(1 / eigenvalues[-1])
    for _ in range(STEPS):
        gradients = torch.autograd.grad(0.5 * (net(x) - y).square().sum(), list(net.parameters()))
        with torch.no_grad():
            for p, gradient in zip(net.parameters(), gradients, strict=True):
                p.sub_(lr * gradient)
    end = [p.detach() for p in net.parameters()]
    moved = [p - q for p, q in zip(end, start, strict=True)]
    weights = [i for i, p in enumerate(end) if p.ndim == 2]
    after = tangent_kernel(net, x)
    expected: Mapping[str, Any] = {
        "lr": lr,
        "eigenvalues": eigenvalues,
        "final_loss": 0.5 * (net(x) - y).square().sum().detach(),
        "change": length(moved) / length(start),
        "layer_change": torch.stack([moved[i].norm() / start[i].norm() for i in weights]),
        "layer_operator_change": torch.stack(
            [torch.linalg.svdvals(moved[i])[0] / torch.linalg.svdvals(start[i])[0] for i in weights]
        ),
        "kernel_drift": (after - kernel).norm() / kernel.norm(),
        "jacobian_drift": (jacobian(net, x) - before).norm() / before.norm(),
    }
    for name, value in expected.items():
        found = torch.from_numpy(arrays[f"{parameterization}-{depth}-{protocol}/{name}"])[1, member]
        torch.testing.assert_close(found, torch.as_tensor(value, dtype=found.dtype), rtol=1e-9, atol=1e-12)


def jacobian(net: MLP, x: Tensor) -> Tensor:
    parameters = list(net.parameters())
    rows = [torch.autograd.grad(net(x[i : i + 1]).sum(), parameters) for i in range(len(x))]
    return torch.stack([torch.cat([g.flatten() for g in row]) for row in rows])


def tangent_kernel(net: MLP, x: Tensor) -> Tensor:
    rows = jacobian(net, x)
    return rows @ rows.T


def length(tensors: list[Tensor]) -> Tensor:
    return torch.cat([t.flatten() for t in tensors]).norm()


# --- runs that repeat, stop and go on ---


def lasting(summary: Summary) -> dict[str, Any]:
    return {key: summary[key] for key in ("metrics", "results", "claims", "predictions_sha256")}


@pytest.mark.usefixtures("undrawn")
def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = run_in(tmp_path / "a", *TINY), run_in(tmp_path / "b", *TINY)
    assert json.dumps(lasting(first)) == json.dumps(lasting(second))
    logs = [(Path(s["run_dir"]) / "metrics.jsonl").read_bytes() for s in (first, second)]
    assert logs[0] == logs[1]
    other = run_in(tmp_path / "c", *TINY, "seed=1")
    assert other["results"][0]["whole"] != first["results"][0]["whole"]


@pytest.mark.usefixtures("undrawn")
def test_a_run_that_was_stopped_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run_in(tmp_path / "whole", *TINY)
    trained: list[str] = []
    original = Study._train

    def counted(self: Any, setting: Setting, width: int, *rest: Any) -> Any:
        trained.append(f"{setting.key}-m{width}")
        return original(self, setting, width, *rest)

    monkeypatch.setattr(Study, "_train", counted)

    class StopsInTheFourth(Session):
        def stop(self) -> bool:
            return len(trained) == 4

    with pytest.raises(Interrupted, match="nnlab train --resume"):
        run_in(tmp_path / "cut", *TINY, session=StopsInTheFourth())
    (folder,) = (tmp_path / "cut").glob("*/*")
    assert open_run(folder).status == "interrupted"
    resumed = runner.resume(folder, Session(experiments=EXPERIMENTS))
    assert trained[3] == trained[4], "only what had not ended is done again"
    assert len(trained) == 9
    assert json.dumps(lasting(resumed)) == json.dumps(lasting(whole))
    logs = [(Path(s["run_dir"]) / "metrics.jsonl").read_bytes() for s in (whole, resumed)]
    assert logs[0] == logs[1]


@pytest.mark.usefixtures("undrawn")
def test_memory_in_pieces_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run_in(tmp_path / "whole", *TINY)
    monkeypatch.setattr(batched, "GROUP", 1)
    pieces = run_in(tmp_path / "pieces", *TINY)
    for one, other in zip(whole["results"], pieces["results"], strict=True):
        assert one["whole"] == pytest.approx(other["whole"], rel=1e-9)


@pytest.mark.usefixtures("undrawn")
def test_networks_stop_where_the_loss_has_fallen(tmp_path: Path) -> None:
    sets = ("widths=[64, 96, 128]", "seeds=4", "depths=[1]", "protocols=[stable]", "training.steps=400")
    summary = run_in(tmp_path, *sets, "training.loss_fraction=0.2")
    arrays = open_run(summary["run_dir"]).arrays()
    for parameterization in LRS:
        key = f"{parameterization}-1-stable"
        reached = arrays[f"{key}/final_loss"] <= 0.2 * arrays[f"{key}/start_loss"]
        assert (reached | (arrays[f"{key}/steps"] == 400)).all()
        assert (arrays[f"{key}/steps"][reached] < 400).any()
    assert any("steps" in row for row in summary["results"])
    claims = {claim["name"]: claim for claim in summary["claims"]}
    assert "at most 0.2 of its first" in " ".join(claims["whole_ntk-1-stable"]["hypotheses"])
    assert "prefactor_ntk-1-stable" not in claims  # each network has taken another number of steps


LESS = {
    "one width": ("widths=[64]",),
    "small widths": ("widths=[4, 8]", "parameterizations=[ntk]"),
    "one seed": ("widths=[64, 128]", "seeds=1", "protocols=[stable]"),
    "all diverge": (
        "widths=[64, 128]",
        "training.lr.standard=100.0",
        "training.lr.ntk=1.0e+30",
        "depths=[1]",
    ),
}


@pytest.mark.parametrize("case", LESS)
def test_it_goes_on_where_there_is_less_to_see(
    tmp_path: Path, case: str, request: pytest.FixtureRequest
) -> None:
    """And draws what there is, without a warning."""
    if case in ("small widths", "one seed"):
        request.getfixturevalue("undrawn")
    summary = run_in(tmp_path, "seeds=3", "training.steps=20", *LESS[case])
    assert summary["status"] == "finished"
    fitted = [claim for claim in summary["claims"] if not claim["name"].startswith(("climbs", "crossing"))]
    assert bool(fitted) == (case in ("one seed", "all diverge"))
    if case == "one seed":
        assert {claim["verdict"] for claim in fitted} == {"INCONCLUSIVE"}
        assert {claim["name"].partition("_ntk")[0].partition("_standard")[0] for claim in fitted} == {
            "lambda_max",
            "first_layer",
        }
    if case == "all diverge":
        assert all(row["diverged"] == 3 for row in summary["results"] if "constant" in row["setting"])
        assert not any("constant" in name for name in summary["metrics"])


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    "sets",
    [
        ("training.precision=float32",),
        ("model.activation=maxout", "data.points=2"),
        ("model.activation=tanh", "model.bias=false", "data.function=step"),
    ],
)
def test_other_networks(tmp_path: Path, sets: tuple[str, ...]) -> None:
    summary = run_in(tmp_path, "widths=[128, 64]", "seeds=3", "training.steps=20", "depths=[2]", *sets)
    assert [row["width"] for row in summary["results"]] == [64, 128] * 4
    for row in summary["results"]:
        assert row["kernel_drift"] > 0
        assert row["whole"] < row["second_layer"] * 10


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(("lr", "fitted"), [(0.015, True), (0.06, False)])
def test_no_exponent_over_widths_that_are_unstable(tmp_path: Path, lr: float, fitted: bool) -> None:
    """At ηλmax = 2.4 nothing has diverged after three steps, and yet these are no networks of the theory."""
    sets = ("depths=[1]", "protocols=[constant]", "parameterizations=[ntk]", "training.steps=3")
    summary = run_in(tmp_path, "widths=[64, 128]", "seeds=3", *sets, f"training.lr.ntk={lr}")
    assert all(row["diverged"] == 0 for row in summary["results"])
    assert bool(summary["metrics"]) == fitted


# --- faults ---


@pytest.mark.usefixtures("undrawn")
def test_a_change_that_is_not_relative_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absolute(now: Any, start: Any) -> dict[str, Tensor]:
        found = batched.weight_change(now, start)
        parts = [layer.parameters.flatten(1) for layer in start.layers]
        return found | {"change": found["change"] * torch.cat(parts, 1).norm(dim=1)}

    monkeypatch.setattr(widths_study, "weight_change", absolute)
    summary = run_in(
        tmp_path,
        "widths=[64, 128, 256, 512, 1024]",
        "depths=[1]",
        "protocols=[stable]",
        "training.steps=20",
        "seeds=16",
    )
    verdicts = {claim["name"]: claim["verdict"] for claim in summary["claims"]}
    for name in ("whole_ntk-1", "whole_standard-1"):
        assert verdicts[f"{name}-stable"] == "FAIL"


def test_a_wrong_threshold_of_stability_is_caught() -> None:
    """Had the loss climbed above 1/λmax or 3/λmax already, the claims would say so."""
    x = np.array([1.25, 1.75, 2.25, 2.75, 3.25])
    for edge, verdict in ((2.0, "PASS"), (1.5, "FAIL"), (3.0, "FAIL")):
        growth = np.tile(np.abs(1 - 2 * x / edge), (3, 4, 1))
        np.testing.assert_allclose(thresholds(x.tolist(), growth), edge, rtol=1e-12)
        claim = edge_claim(Family(1, "ntk"), x.tolist(), growth, [], 1e-3)
        assert claim.verdict == verdict
    lost = np.tile(np.abs(1 - x), (3, 4, 1))
    for value, verdict in ((0.5, "FAIL"), (1.5, "FAIL"), (np.nan, "INCONCLUSIVE")):
        lost[1, 2] = value  # one network that never climbs, or always, or is not known
        assert edge_claim(Family(1, "ntk"), x.tolist(), lost, [], 1e-3).verdict == verdict
    setting, widths = Setting(Family(1, "standard"), "constant"), [64, 128, 256, 512]
    products = np.array([0.5, 1.2, 2.4, 4.8])

    def claimed(limit: float, scale: float = 1.0) -> Any:
        climbed = np.tile(products[:, None] > limit, (1, 20))
        return crossing_claim(setting, widths, scale * products, climbed, [])

    assert (claimed(2).predicted, claimed(2).verdict, claimed(1).verdict) == (256.0, "PASS", "FAIL")
    assert (claimed(2, 1 / 1.2).predicted, claimed(2, 1 / 1.2).verdict) == ((256.0, 512.0), "PASS")
    assert claimed(100).verdict == "FAIL"
    assert claimed(2, 0.1) is None
    assert crossing([64, 128], np.array([False, False])) is None


# --- the mathematics beneath ---


def test_laws_follow_from_the_norms_of_gradients() -> None:
    """‖ΔW‖/‖W₀‖ ~ ‖∂f/∂W‖/(λmax ‖W₀‖) at two widths: a second way to the exponents of the table."""
    x = torch.tensor([[0.3], [-1.1]], dtype=torch.float64)

    def movement(family: Family, width: int) -> Tensor:
        """(3,): whole vector, first layer, second layer in operator norm; mean of logarithms over seeds."""
        logarithms = []
        for seed in range(10):
            net = MLP(
                1, [width] * family.depth, 1, "relu", parameterization=family.parameterization, sigma_b=1.0,
                generator=torch.Generator().manual_seed(1000 * width + seed),
            ).double()  # fmt: skip
            parameters = list(net.parameters())
            gradients = list(torch.autograd.grad(net(x).sum(), parameters))
            matrices = [i for i, p in enumerate(parameters) if p.ndim == 2]
            second = matrices[1]
            ratios = torch.stack([
                length(gradients) / length([p.detach() for p in parameters]),
                gradients[0].norm() / parameters[0].detach().norm(),
                torch.linalg.matrix_norm(gradients[second], 2)
                / torch.linalg.matrix_norm(parameters[second].detach(), 2),
            ])  # fmt: skip
            logarithms.append((ratios / tangent_kernel(net, x).trace()).log())
        return torch.stack(logarithms).mean(0)

    small, large = 100, 400
    parameterizations: tuple[Literal["ntk", "standard"], ...] = ("ntk", "standard")
    for family in (Family(d, p) for d in (1, 2) for p in parameterizations):
        slopes = (movement(family, large) - movement(family, small)) / np.log(large / small)
        powers = {law.quantity: law.low for law in laws(family, "relu")}
        names = ("whole", "first_layer", "second_layer")
        for name, slope in zip(names, slopes.tolist(), strict=True):
            if name in powers:
                assert slope == pytest.approx(powers[name], abs=0.15), (family, name)


def test_laws_of_the_kernel_depend_on_the_activation() -> None:
    def drift(depth: int, parameterization: Literal["ntk", "standard"], activation: str) -> Any:
        found = {law.quantity: law for law in laws(Family(depth, parameterization), activation)}
        return found["kernel_drift"].predicted

    assert drift(2, "ntk", "tanh") == -1.0
    assert drift(1, "ntk", "relu") == (-1.0, -0.5)
    assert drift(2, "ntk", "relu") == (-1.0, -0.5)
    assert drift(1, "standard", "relu") == -2.0


@pytest.mark.parametrize("parameterization", ["ntk", "standard"])
def test_the_linearized_network_of_infinite_width_moves_as_a_wide_one(
    parameterization: Literal["ntk", "standard"],
) -> None:
    """One network of 3,000 units, its Jacobian by autograd, and its linear regression solved step by step."""
    width, steps, x = 3000, 30, torch.tensor([[-1.0], [0.2], [1.3]], dtype=torch.float64)
    linear = Linear(Architecture(1, "relu", True, None, 1.0, x), Family(1, parameterization), width)
    net = MLP(
        1, [width], 1, "relu", parameterization=parameterization, sigma_b=1.0,
        generator=torch.Generator().manual_seed(0),
    ).double()  # fmt: skip
    rows = jacobian(net, x)
    kernel = rows @ rows.T
    assert linear.lambda_max == pytest.approx(float(torch.linalg.eigvalsh(kernel)[-1]), rel=0.05)
    u0, lr = torch.tensor([1.0, -0.5, 0.7], dtype=torch.float64), 0.5 / linear.lambda_max
    theta = torch.zeros(rows.shape[1], dtype=torch.float64)
    for _ in range(steps):
        theta -= lr * rows.T @ (u0 + rows @ theta)
    start = torch.cat([p.detach().flatten() for p in net.parameters()])
    changes = linear.changes(u0[None], lr, steps)
    assert float(changes["whole"]) == pytest.approx(float(theta.norm() / start.norm()), rel=0.05)
    first = float(theta[:width].norm() / start[:width].norm())
    assert float(changes["first_layer"]) == pytest.approx(first, rel=0.05)


@pytest.mark.parametrize("size", [(40, 7), (300, 300), (1, 9), (600, 300)])
def test_operator_norm(size: tuple[int, int]) -> None:
    draw = torch.Generator().manual_seed(0)
    matrix = torch.randn(size, generator=draw, dtype=torch.float64)
    assert operator_norm(matrix) == pytest.approx(float(torch.linalg.svdvals(matrix)[0]), rel=1e-12)
    low_rank = matrix[:, :1] @ matrix[:1] + 1e-6 * matrix
    assert operator_norm(low_rank) == pytest.approx(float(torch.linalg.svdvals(low_rank)[0]), rel=1e-12)
    assert operator_norm(1e250 * matrix) == pytest.approx(1e250 * operator_norm(matrix), rel=1e-12)
    assert operator_norm(0 * matrix) == 0.0
    assert np.isnan(operator_norm(matrix / 0.0))


def test_recorded_steps() -> None:
    assert curve_steps(1) == [0, 1]
    assert curve_steps(5) == [0, 1, 2, 3, 4, 5]
    steps = curve_steps(10_000)
    assert (steps[0], steps[-1]) == (0, 10_000)
    assert len(steps) <= 31


# --- wrong input ---


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("widths=[0]", "widths.0: 0 must be greater than or equal to 1"),
        ("widths=[wide]", "widths.0: wide must be a valid integer"),
        ("widths=[64, 128, 64]", "names 64 twice"),
        ("widths=[]", "widths"),
        ("widths=64", "widths"),
        ("widths=[64.5]", "valid integer"),
        ("seeds=0", "seeds: 0 must be greater than or equal to 1"),
        ("depths=[0]", "depths.0"),
        ("depths=[1, 1]", "names 1 twice"),
        ("parameterizations=[ntk, mup]", "mup"),
        ("protocols=[stable, stable]", "names stable twice"),
        ("data.points=1", "data.points: 1 must be greater than or equal to 2"),
        ("data.function=sinus", "did you mean sine"),
        ("training.lr.ntk=0.0", "training.lr.ntk"),
        ("training.lr.ntk=-1.0", "training.lr.ntk"),
        ("training.fraction=0.0", "training.fraction"),
        ("training.steps=0", "training.steps"),
        ("training.loss_fraction=1.0", "training.loss_fraction"),
        ("training.precision=bfloat16", "training.precision"),
        ("model.activation=reluu", "did you mean relu"),
        ("model={hidden: [3]}", "unknown key model.hidden"),
        ("training.epochs=3", "unknown key training.epochs"),
    ],
)
def test_a_wrong_config_is_refused(change: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said.replace("(", r"\(")):
        config(change)


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        (("widths=[64, 1000000]",), "widths: 1000000 with depths: 2: .* smaller widths, or one hidden layer"),
        (("widths=[1]", "depths=[2]", "model.bias=false", "protocols=[stable]"), "its tangent kernel is 0"),
        (("widths=[8]", "model.sigma_w=1.0e+200"), "too large for float64"),
    ],
)
def test_what_cannot_be_trained_makes_no_folder(tmp_path: Path, sets: tuple[str, ...], said: str) -> None:
    with pytest.raises(InputError, match=said):
        run_in(tmp_path, *sets)
    assert list(tmp_path.iterdir()) == []
