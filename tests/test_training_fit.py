"""The training loop against a loop written out, and its promises: best weights, early stops, divergence."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from nnlab.data import DataSet
from nnlab.errors import Diverged
from nnlab.lab.build import build_data
from nnlab.lab.sections import BlobsData, DigitsData, Regression1dData
from nnlab.models import CNN, MLP
from nnlab.training import (
    FitResult,
    Parts,
    Settings,
    build_loss,
    build_optimizer,
    build_penalty,
    fit,
    predict,
    schedule,
)
from nnlab.training.evaluation import Precision, views
from nnlab.training.losses import Penalty
from nnlab.training.optimizers import Schedule

CPU = torch.device("cpu")


def blobs(validation: float = 0.2, dtype: torch.dtype = torch.float64) -> DataSet:
    section = BlobsData(name="blobs", examples=50, spread=1.5, validation=validation)
    return build_data(section, device=CPU, dtype=dtype)


def network(data: DataSet, hidden: list[int], dtype: torch.dtype = torch.float64, seed: int = 0) -> MLP:
    inputs = math.prod(data.input_shape)
    return MLP(inputs, hidden, data.outputs, generator=torch.Generator().manual_seed(seed)).to(dtype)


def trained(
    data: DataSet,
    model: nn.Module,
    *,
    name: str = "sgd",
    lr: float = 0.1,
    momentum: float = 0.0,
    seed: int = 5,
    loss: str = "cross_entropy",
    penalty: Penalty | None = None,
    schedule: Schedule | None = None,
    hooks: dict[str, Any] | None = None,
    precision: Precision = "float32",
    **settings: Any,
) -> tuple[list[dict[str, Any]], FitResult]:
    rows: list[dict[str, Any]] = []
    own = {"momentum": momentum} if momentum else {}
    parts = Parts(
        model,
        data,
        build_loss(loss),
        build_optimizer(name, model, lr=lr, **own),
        penalty,
        schedule,
        precision,
    )
    result = fit(
        parts,
        Settings(**{"epochs": 3, "batch_size": 8, **settings}),
        generator=torch.Generator().manual_seed(seed),
        log=rows.append,
        **(hooks or {}),
    )
    return rows, result


def by_hand(
    data: DataSet, model: nn.Module, lr: float, momentum: float, l2: float, epochs: int
) -> list[float]:
    """Mini-batch SGD with λΣW² through autograd; the mean loss of each epoch."""
    generator = torch.Generator().manual_seed(5)
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=momentum)
    x, y = data.train.inputs, data.train.targets
    losses = []
    for _ in range(epochs):
        total = 0.0
        for batch in torch.randperm(len(y), generator=generator).split(8):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x[batch]), y[batch])
            penalty = sum((p**2).sum() for p in model.parameters() if p.ndim == 2)
            (loss + l2 * penalty).backward()
            optimizer.step()
            total += loss.item() * len(batch)
        losses.append(total / len(y))
    return losses


@pytest.mark.parametrize("l2", [0.0, 0.02])
def test_equals_a_loop_written_out(l2: float) -> None:
    data = blobs(validation=0.0)
    ours, theirs = network(data, [6]), network(data, [6])
    expected = by_hand(data, theirs, 0.1, 0.9, l2, epochs=3)
    rows, result = trained(data, ours, momentum=0.9, penalty=build_penalty("l2", l2))
    found = [row["loss"] for row in rows if row["split"] == "train"]
    assert found == pytest.approx(expected, rel=1e-12)
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-10, atol=1e-12)
    assert result.steps == 3 * math.ceil(50 / 8)
    assert result.best_epoch == 3  # without validation the last weights count


def test_full_batch_logs_the_objective_before_each_step() -> None:
    data = blobs(validation=0.0)
    model = network(data, [])
    start = [p.detach().clone() for p in model.parameters()]
    x, y = data.train.inputs, data.train.targets
    expected_loss = F.cross_entropy(F.linear(x, start[0], start[1]), y).item()
    rows, _ = trained(data, model, batch_size="full", epochs=2, penalty=build_penalty("l2", 0.1))
    train = [row for row in rows if row["split"] == "train"]
    assert train[0]["loss"] == pytest.approx(expected_loss, rel=1e-12)
    assert train[0]["objective"] == pytest.approx(
        expected_loss + 0.1 * (start[0] ** 2).sum().item(), rel=1e-12
    )
    assert train[1]["objective"] < train[0]["objective"]
    larger_than_the_set, _ = trained(data, network(data, []), batch_size=10_000, epochs=2)
    full, _ = trained(data, network(data, []), batch_size="full", epochs=2)
    assert larger_than_the_set == full


def test_best_weights_are_those_of_the_best_validation() -> None:
    """Replays the same training to the best epoch, and finds the same weights."""
    data = blobs(validation=0.4)
    model = network(data, [16])
    rows, result = trained(data, model, lr=1.0, epochs=12)
    val = [row for row in rows if row["split"] == "val"]
    best = max(val, key=lambda row: (row["accuracy"], -row["loss"]))
    assert result.best_epoch == best["epoch"] < 12
    assert result.metrics["val/accuracy"] == best["accuracy"]
    assert result.metrics["val/loss"] == pytest.approx(best["loss"], rel=1e-12)
    replay = network(data, [16])
    trained(data, replay, lr=1.0, epochs=result.best_epoch)
    for mine, other in zip(model.parameters(), replay.parameters(), strict=True):
        torch.testing.assert_close(mine, other, rtol=0, atol=0)
    test = data.test
    accuracy = (model(test.inputs).argmax(1) == test.targets).double().mean().item()
    assert result.metrics["test/accuracy"] == accuracy
    assert rows[-1]["split"] == "test"
    assert rows[-1]["accuracy"] == accuracy


def test_patience_stops_early() -> None:
    data = blobs(validation=0.4)
    rows, result = trained(data, network(data, [16]), lr=1.0, epochs=500, patience=3)
    val = [row for row in rows if row["split"] == "val"]
    assert result.epochs == len(val) == result.best_epoch + 3 < 500


def test_schedule_reaches_the_optimizer() -> None:
    data = blobs()
    rows, _ = trained(data, network(data, []), epochs=4, batch_size="full", lr=0.2,
                      schedule=schedule("linear", total=4))  # fmt: skip
    lrs = [row["lr"] for row in rows if row["split"] == "train"]
    assert lrs == pytest.approx([0.2, 0.2 * 2 / 3, 0.2 / 3, 0.0])


def test_evaluate_every_thins_rows_and_keeps_the_last() -> None:
    data = blobs()
    rows, _ = trained(data, network(data, []), epochs=7, evaluate_every=3)
    assert [row["epoch"] for row in rows if row["split"] == "val"] == [3, 6, 7]
    assert [row["epoch"] for row in rows if row["split"] == "train"] == [3, 6, 7]


def test_observe_sees_the_weights_that_the_epoch_starts_from() -> None:
    data = blobs(validation=0.0)
    model = network(data, [])
    start = model.output.weight.detach().norm().item()
    hooks = {"observe": lambda m: {"norm": float(m.output.weight.detach().norm())}}
    rows, _ = trained(data, model, hooks=hooks)
    assert next(row["norm"] for row in rows if row["split"] == "train") == start


def test_clipping_bounds_the_whole_gradient() -> None:
    data = blobs(validation=0.0)
    model = network(data, [4])
    before = torch.cat([p.detach().flatten() for p in model.parameters()])
    trained(
        data, model, lr=1.0, epochs=1, batch_size="full", clip_norm=1e-3, penalty=build_penalty("l2", 1.0)
    )
    after = torch.cat([p.detach().flatten() for p in model.parameters()])
    assert (after - before).norm().item() == pytest.approx(1e-3, rel=1e-2)  # torch divides by norm + 1e-6


def test_proximal_steps_reach_zeros_and_the_kkt_conditions() -> None:
    data = blobs(validation=0.0)
    model = network(data, [])
    strength = 0.05
    trained(data, model, lr=0.2, epochs=4000, batch_size="full", evaluate_every=4000,
            penalty=build_penalty("l1", strength, proximal=True))  # fmt: skip
    w = model.output.weight
    model.zero_grad()
    F.cross_entropy(model(data.train.inputs), data.train.targets).backward()
    assert w.grad is not None
    zero = w == 0
    assert zero.any()
    assert not zero.all()
    assert (w.grad[zero].abs() <= strength).all()
    torch.testing.assert_close(w.grad[~zero], -strength * w[~zero].sign(), rtol=0, atol=1e-8)


def test_divergence_names_step_size_and_last_loss() -> None:
    section = Regression1dData(name="regression_1d", validation=0.0)
    data = build_data(section, device=CPU, dtype=torch.float32)
    model = network(data, [8], torch.float32)
    with pytest.raises(
        Diverged, match=r"step \d+ with step size 1000; the last finite loss was \d"
    ) as caught:
        trained(data, model, lr=1000.0, epochs=200, loss="squared_error")
    assert "optimizer.lr" in str(caught.value)


def test_bfloat16_trains() -> None:
    data = blobs(dtype=torch.float32)
    model = network(data, [32], torch.float32)
    rows, result = trained(data, model, lr=0.3, epochs=20, precision="bfloat16")
    assert result.metrics["train/accuracy"] > 0.75
    exact, _ = trained(data, network(data, [32], torch.float32), lr=0.3, epochs=20)
    assert rows[0]["loss"] != exact[0]["loss"]  # it did compute in another precision
    assert rows[0]["loss"] == pytest.approx(exact[0]["loss"], rel=0.02)


def test_lbfgs_reaches_a_gradient_of_zero() -> None:
    data = blobs(validation=0.0)
    model = network(data, [])
    penalty = build_penalty("l2", 0.01)
    trained(data, model, name="lbfgs", lr=1.0, epochs=5, batch_size="full", penalty=penalty)
    model.zero_grad()
    loss = F.cross_entropy(model(data.train.inputs), data.train.targets)
    (loss + 0.01 * (model.output.weight**2).sum()).backward()
    largest = max(float(p.grad.abs().max()) for p in model.parameters() if p.grad is not None)
    assert largest < 1e-7  # the line search compares objectives: √(rounding of ½wᵀHw) is what it can see


@pytest.mark.parametrize("batch_size", [7, "full"])
def test_same_seed_same_rows(batch_size: Any) -> None:
    data = blobs(dtype=torch.float32)

    def rows(seed: int) -> list[dict[str, Any]]:
        return trained(data, network(data, [5], torch.float32), batch_size=batch_size, seed=seed)[0]

    assert rows(1) == rows(1)
    if batch_size != "full":
        assert rows(1) != rows(2)


def test_stop_and_progress() -> None:
    data = blobs()
    seen: list[tuple[int, int]] = []
    stop: Callable[[], bool] = lambda: False  # noqa: E731
    hooks = {"stop": stop, "progress": lambda done, total, text: seen.append((done, total))}
    trained(data, network(data, []), hooks=hooks)
    assert seen[-1][0] == seen[-1][1]


# --- micro-batches and test-time views --------------------------------------------------------------


@pytest.mark.parametrize("loss", ["cross_entropy", "kl", "squared_error"])
@pytest.mark.parametrize("micro_batch", [1, 3, 7, 100])
def test_micro_batches_make_the_same_step(loss: str, micro_batch: int) -> None:
    data = blobs()
    whole, parts = network(data, [5]), network(data, [5])
    rows, _ = trained(data, whole, loss=loss, momentum=0.9, penalty=build_penalty("l2", 1e-2))
    same, _ = trained(
        data, parts, loss=loss, momentum=0.9, penalty=build_penalty("l2", 1e-2), micro_batch=micro_batch
    )
    for row, other in zip(rows, same, strict=True):
        assert row.keys() == other.keys()
        assert all(row[k] == pytest.approx(other[k], rel=1e-10) for k in row if k != "split")
    for p, q in zip(whole.parameters(), parts.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-10, atol=1e-12)


def test_micro_batches_of_a_sum() -> None:
    data = build_data(Regression1dData(name="regression_1d"), device=CPU, dtype=torch.float64)
    models = [network(data, [4]) for _ in range(2)]
    for model, micro_batch in zip(models, (None, 5), strict=True):
        loss, optimizer = build_loss("squared_error", reduction="sum"), build_optimizer("sgd", model, lr=1e-3)
        settings = Settings(epochs=2, batch_size="full", micro_batch=micro_batch)
        fit(Parts(model, data, loss, optimizer), settings, generator=torch.Generator())
    for p, q in zip(models[0].parameters(), models[1].parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-11, atol=1e-13)


def test_micro_batches_are_of_one_size() -> None:
    """9 examples, 8 at a time: 5 and 4, not 8 and a single one, which batch norm would divide by 0."""
    sizes: list[int] = []

    class Counting(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if self.training:
                sizes.append(len(x))
            return super().forward(x)

    data = blobs(validation=0)
    trained(data, Counting(2, data.outputs).double(), batch_size=9, micro_batch=8, epochs=1)
    assert sizes == [5, 4] * 5 + [5]


class Corner(nn.Module):
    """Scores: the first pixel of the first channel, and the last one of its row."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.scale * torch.stack([x[:, 0, 0, 0], x[:, 0, 0, -1]], 1)


def test_views_by_hand() -> None:
    """A pixel at each place: what a corner shows when mirrored and moved, by counting."""
    x = torch.arange(16.0).reshape(1, 1, 4, 4)
    assert [(w, v.tolist()) for w, v in views(x, "none")] == [(1.0, x.tolist())]
    mirrored = sum((w * Corner()(v) for w, v in views(x, "mirror")), torch.zeros(1, 2))
    assert mirrored.tolist() == [[1.5, 1.5]]
    # Up and to the left: reflection puts row 1, column 1 at the corner: 5, and 6 at its end. Down and to the
    # right: 5 at the corner, and at its end the reflected column 2: 6.
    moved = sum((w * Corner()(v) for w, v in views(x, "mirror_and_shift")), torch.zeros(1, 2))
    assert moved.tolist() == [[0.5 * 1.5 + 0.25 * 5.5 + 0.25 * 5.5] * 2]
    assert sum(w for w, _ in views(x, "mirror_and_shift")) == 1.0


def test_accuracy_with_views_stands_beside_the_one_without() -> None:
    data = build_data(DigitsData(name="digits"), device=CPU, dtype=torch.float32)
    model = CNN((1, 8, 8), [4], data.outputs, generator=torch.Generator().manual_seed(0))
    rows, result = trained(data, model, epochs=1, test_time_augmentation="mirror")
    scores = predict(model, data, data.test.inputs)
    mirrored = predict(model, data, data.test.inputs.flip(-1))
    for name, outputs in {"accuracy": scores, "accuracy_tta": (scores + mirrored) / 2}.items():
        right = (outputs.argmax(1) == data.test.targets).double().mean()
        assert result.metrics[f"test/{name}"] == float(right)
    assert result.metrics["test/accuracy_tta"] < result.metrics["test/accuracy"]  # digits are not symmetric
    assert "train/accuracy_tta" not in result.metrics
    assert not any("accuracy_tta" in row for row in rows if row["split"] == "val")
    assert rows[-1]["accuracy_tta"] == result.metrics["test/accuracy_tta"]
