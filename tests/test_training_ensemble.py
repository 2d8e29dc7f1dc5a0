"""Many networks stepping together: each must go the way that it goes alone."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from nnlab.errors import Interrupted
from nnlab.models import MLP
from nnlab.training import ensemble as batched
from nnlab.training.ensemble import CHECK, Ensemble, descend, weight_change

POINTS = 7
SHAPES: dict[str, dict[str, Any]] = {
    "ntk": {},
    "standard": {"parameterization": "standard", "sigma_b": 0.7},
    "maxout": {"activation": "maxout", "pieces": 3},
    "gelu without bias": {"activation": "gelu", "bias": False, "parameterization": "standard"},
    "tanh, one hidden layer": {"activation": "tanh", "hidden": [6], "outputs": 1},
    "frozen biases": {"sigma_b": 0.0},
    "linear": {"hidden": []},
}


def model(seed: int, **changes: Any) -> MLP:
    shape: dict[str, Any] = {"inputs": 2, "hidden": [5, 4], "outputs": 3, "parameterization": "ntk"}
    return MLP(**(shape | changes), generator=torch.Generator().manual_seed(seed)).double()


def models(count: int, **changes: Any) -> list[MLP]:
    return [model(seed, **changes) for seed in range(count)]


def data(outputs: int = 3) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(99)
    x, y = (torch.randn(POINTS, size, generator=draw, dtype=torch.float64) for size in (2, outputs))
    return x, y


def alone(
    net: MLP, x: Tensor, y: Tensor, lr: float, steps: int, reduction: str = "sum", fraction: float = 0.0
) -> list[float]:
    """The loop that everyone writes; it changes the network. The loss before each step, and the last."""
    losses: list[float] = []
    while True:
        loss = 0.5 * (net(x) - y).square().sum() / (len(x) if reduction == "mean" else 1)
        losses.append(loss.item())
        if len(losses) > steps or not losses[-1] > fraction * losses[0]:
            return losses
        gradients = torch.autograd.grad(loss, list(net.parameters()))
        with torch.no_grad():
            for p, gradient in zip(net.parameters(), gradients, strict=True):
                p.sub_(lr * gradient)


def assert_same_weights(ensemble: Ensemble, expected: Sequence[MLP]) -> None:
    assert len(ensemble) == len(expected)
    for member, net in enumerate(expected):
        pairs = [(layer.weight[member], layer.bias) for layer in ensemble.layers]
        parts = [p for weight, bias in pairs for p in (weight, *([] if bias is None else [bias[member]]))]
        for p, q in zip(parts, net.parameters(), strict=True):
            torch.testing.assert_close(p, q.detach(), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize("shape", SHAPES)
def test_each_member_trains_as_it_does_alone(shape: str, reduction: Any) -> None:
    changes = SHAPES[shape]
    nets, x, y = models(5, **changes), *data(changes.get("outputs", 3))
    lrs = torch.linspace(0.004, 0.02, 5, dtype=torch.float64)
    start = Ensemble.from_models(nets)
    result = descend(start, x, y, lr=lrs, steps=40, reduction=reduction, record=[40, 0, 3])
    losses = [alone(net, x, y, float(lr), 40, reduction) for net, lr in zip(nets, lrs, strict=True)]
    assert_same_weights(result.ensemble, nets)
    expected = torch.tensor(losses, dtype=torch.float64)  # (S, 41)
    assert result.recorded == (0, 3, 40)
    torch.testing.assert_close(result.loss, expected[:, [0, 3, 40]], rtol=1e-12, atol=0)
    torch.testing.assert_close(result.final_loss, expected[:, -1], rtol=1e-12, atol=0)
    torch.testing.assert_close(result.highest_loss, expected.amax(1), rtol=1e-12, atol=0)
    assert result.steps.tolist() == [40] * 5
    assert_same_weights(start, models(5, **changes))  # the start is left alone


@pytest.mark.parametrize("shape", SHAPES)
def test_outputs_and_tangent_kernel_against_autograd(shape: str) -> None:
    changes = SHAPES[shape]
    nets, (x, y) = models(3, **changes), data(changes.get("outputs", 3))
    ensemble = Ensemble.from_models(nets)
    outputs, kernel = ensemble.outputs(x), ensemble.tangent_kernel(x)
    assert kernel.shape == (3, POINTS * y.shape[1], POINTS * y.shape[1])
    for member, net in enumerate(nets):
        torch.testing.assert_close(outputs[member], net(x).detach(), rtol=1e-12, atol=1e-14)
        jacobian = torch.cat(
            [
                torch.cat([g.flatten() for g in torch.autograd.grad(value, list(net.parameters()),
                                                                    retain_graph=True)])[None]
                for value in net(x).flatten()
            ]
        )  # fmt: skip
        expected = jacobian @ jacobian.T
        assert (kernel[member] - expected).norm() <= 1e-12 * expected.norm()


@pytest.mark.parametrize("together", [1, 2, 5])
def test_members_do_not_depend_on_their_company(together: int, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = data()
    ensemble = Ensemble.from_models(models(5))
    all_ = descend(ensemble, x, y, lr=0.01, steps=30, record=[10], observe=weight_change)
    monkeypatch.setattr(batched, "_together", lambda *arguments: together)
    some = descend(ensemble, x, y, lr=0.01, steps=30, record=[10], observe=weight_change)
    torch.testing.assert_close(some.final_loss, all_.final_loss, rtol=1e-12, atol=0)
    for name, value in all_.observed.items():
        torch.testing.assert_close(some.observed[name], value, rtol=1e-11, atol=0)


def test_each_member_stops_where_its_loss_has_fallen_far_enough() -> None:
    """Step sizes far apart, so that members leave one by one and the rest go on without them."""
    nets, (x, y) = models(6, hidden=[30]), data()
    lrs = torch.tensor([0.1, 0.05, 0.02, 0.01, 0.003, 1e-5], dtype=torch.float64)
    steps = 16 * CHECK
    result = descend(
        Ensemble.from_models(nets), x, y, lr=lrs, steps=steps, loss_fraction=0.5,
        record=[0, 5, steps], observe=weight_change,
    )  # fmt: skip
    starts = models(6, hidden=[30])
    losses = [alone(net, x, y, float(lr), steps, fraction=0.5) for net, lr in zip(nets, lrs, strict=True)]
    taken = [len(values) - 1 for values in losses]
    assert min(taken) < CHECK < sorted(taken)[4] < steps == taken[5], "the case must exercise every branch"
    assert result.steps.tolist() == taken
    assert (result.final_loss <= 0.5 * result.start_loss).tolist() == [True] * 5 + [False]
    assert_same_weights(result.ensemble, nets)
    torch.testing.assert_close(
        result.loss[:, -1],
        torch.tensor([values[-1] for values in losses], dtype=torch.float64),
        rtol=1e-12,
        atol=0,
    )
    for member, (before, after) in enumerate(zip(starts, nets, strict=True)):  # what stopped keeps its last
        whole, layers = _change(before, after)
        assert float(result.observed["change"][member, -1]) == pytest.approx(whole, rel=1e-11)
        assert result.observed["layer_change"][member, -1].tolist() == pytest.approx(layers, rel=1e-11)
    assert result.observed["change"][:, 0].tolist() == [0.0] * 6


def test_members_that_have_stopped_make_room() -> None:
    """Half of them stop in the first steps; what is left is not slowed down by them."""
    x, y = data()
    sizes: list[int] = []

    def observe(now: Ensemble, start: Ensemble) -> dict[str, Tensor]:
        assert len(now) == len(start)
        sizes.append(len(now))
        return {}

    lrs = torch.tensor([0.05, 0.05, 1e-5, 1e-5], dtype=torch.float64)
    ensemble = Ensemble.from_models([model(1, hidden=[30])] * 4)
    steps = 4 * CHECK
    result = descend(
        ensemble, x, y, lr=lrs, steps=steps, loss_fraction=0.5, record=[0, steps], observe=observe
    )
    assert result.steps[0] < CHECK < result.steps[2]
    assert sizes == [4, 2, 2], "the start, those that have stopped, the end"


def _change(before: MLP, after: MLP) -> tuple[float, list[float]]:
    start, end = (torch.cat([p.detach().flatten() for p in net.parameters()]) for net in (before, after))
    pairs = [(p, q) for p, q in zip(before.parameters(), after.parameters(), strict=True) if p.ndim == 2]
    layers = [float((q - p).detach().norm() / p.detach().norm()) for p, q in pairs]
    return float((end - start).norm() / start.norm()), layers


def test_a_member_that_diverges_is_marked_and_the_others_go_on() -> None:
    nets, (x, y) = models(3, activation="gelu"), data()
    lrs = torch.tensor([0.01, 50.0, 0.01], dtype=torch.float64)
    result = descend(
        Ensemble.from_models(nets),
        x,
        y,
        lr=lrs,
        steps=6 * CHECK,
        record=[1, 6 * CHECK],
        observe=weight_change,
    )
    assert result.diverged.tolist() == [False, True, False]
    assert result.steps[1] < 6 * CHECK
    assert result.highest_loss[1] > 1e10 * result.start_loss[1]
    assert not result.loss[1, -1].isfinite()
    assert not result.observed["change"][1, -1].isfinite()
    for member in (0, 2):
        assert float(result.final_loss[member]) == pytest.approx(
            alone(nets[member], x, y, 0.01, 6 * CHECK)[-1], rel=1e-12
        )


def test_a_member_that_starts_at_the_targets_stays_there() -> None:
    ensemble, (x, _) = Ensemble.from_models(models(2)), data()
    result = descend(ensemble, x, ensemble.outputs(x)[0], lr=0.01, steps=5)
    assert result.steps.tolist() == [0, 5]
    assert (result.final_loss == 0).tolist() == [True, False]


def test_any_quantity_can_be_observed() -> None:
    """Outputs on other points at recorded steps, as the kernel experiments need them."""
    nets, (x, y) = models(4), data()
    new = torch.randn(9, 2, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    result = descend(
        Ensemble.from_models(nets), x, y, lr=0.01, steps=8, record=range(9),
        observe=lambda now, start: {"new": now.outputs(new)},
    )  # fmt: skip
    assert result.observed["new"].shape == (4, 9, 9, 3)
    for member, net in enumerate(nets):
        alone(net, x, y, 0.01, 8)
        torch.testing.assert_close(
            result.observed["new"][member, -1], net(new).detach(), rtol=1e-12, atol=1e-13
        )


def test_the_same_numbers_byte_for_byte() -> None:
    x, y = data()
    first, second = (
        descend(Ensemble.from_models(models(6, hidden=[40, 40])), x, y, lr=0.005, steps=50) for _ in range(2)
    )
    for one, other in zip(first.ensemble.layers, second.ensemble.layers, strict=True):
        assert torch.equal(one.parameters, other.parameters)


def test_single_precision_stays_single() -> None:
    x, y = (t.float() for t in data())
    nets = [net.float() for net in models(3)]
    result = descend(Ensemble.from_models(nets), x, y, lr=0.01, steps=20)
    assert result.ensemble.layers[0].parameters.dtype == torch.float32
    expected = [alone(net, x, y, 0.01, 20)[-1] for net in nets]
    assert result.final_loss.tolist() == pytest.approx(expected, rel=1e-4)


def test_it_can_be_stopped_and_tells_its_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = data()
    ensemble, reports = Ensemble.from_models(models(3)), []
    monkeypatch.setattr(batched, "_together", lambda *arguments: 2)
    descend(ensemble, x, y, lr=0.01, steps=40, progress=lambda done, total: reports.append((done, total)))
    assert reports == sorted(reports)
    assert reports[-1] == (120, 120)
    with pytest.raises(Interrupted, match="stopped after step 1 of 40"):
        descend(ensemble, x, y, lr=0.01, steps=40, stop=lambda: True)
