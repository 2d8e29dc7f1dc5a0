"""Metrics of classes and of numbers, held against scikit-learn."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from sklearn import metrics as reference
from torch import Tensor

from nnlab.training import build_loss
from nnlab.training.distributed import World
from nnlab.training.evaluation import class_counts, class_metrics, class_scores, measure


def labels(seed: int, examples: int, classes: int, *, skew: float = 1.0) -> tuple[Tensor, Tensor]:
    """True and predicted classes of which the first are the more frequent, the larger the skew."""
    random = np.random.default_rng(seed)
    share = np.arange(1, classes + 1) ** -skew
    drawn = random.choice(classes, (2, examples), p=share / share.sum())
    drawn[1] = np.where(random.random(examples) < 0.4, drawn[0], drawn[1])
    return torch.from_numpy(drawn[0]), torch.from_numpy(drawn[1])


def scores_of(predicted: Tensor, classes: int) -> Tensor:
    return torch.nn.functional.one_hot(predicted, classes).float()


CASES = {
    "as many of each": labels(0, 500, 4, skew=0.0),
    "very unbalanced": labels(1, 300, 6, skew=4.0),
    "classes that no example has": (torch.tensor([0, 0, 2, 2, 2]), torch.tensor([0, 1, 2, 2, 3])),
    "a class that is never predicted": (torch.tensor([0, 1, 1, 2]), torch.tensor([0, 1, 1, 1])),
    "always the same answer": (torch.tensor([0, 1, 1, 2]), torch.tensor([1, 1, 1, 1])),
    "all wrong": (torch.tensor([0, 1]), torch.tensor([1, 0])),
    "a single example, right": (torch.tensor([3]), torch.tensor([3])),
    "a single example, wrong": (torch.tensor([3]), torch.tensor([0])),
}


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true", "ignore:A single label")
@pytest.mark.parametrize("case", CASES)
def test_classes_are_judged_as_by_scikit_learn(case: str) -> None:
    true, predicted = CASES[case]
    classes = 7
    measured = measure(scores_of(predicted, classes), true, build_loss("cross_entropy"))
    assert measured["accuracy"] == pytest.approx(reference.accuracy_score(true, predicted), abs=1e-15)
    balanced = reference.balanced_accuracy_score(true, predicted)
    assert measured["balanced_accuracy"] == pytest.approx(balanced, abs=1e-14)
    f1 = reference.f1_score(true, predicted, average="macro", zero_division=0)
    assert measured["macro_f1"] == pytest.approx(f1, abs=1e-14)
    own = class_scores(class_counts(predicted, true, classes))
    theirs = reference.precision_recall_fscore_support(
        true, predicted, labels=list(range(classes)), zero_division=0
    )
    for ours, other in zip(own, theirs[:3], strict=True):
        np.testing.assert_allclose(ours, other, atol=1e-14)


@pytest.mark.parametrize("case", CASES)
def test_weighted_accuracy_is_that_of_weighted_examples(case: str) -> None:
    true, predicted = CASES[case]
    weights = torch.linspace(0.2, 3.0, 7)
    measured = class_metrics(class_counts(predicted, true, 7), weights)
    expected = reference.accuracy_score(true, predicted, sample_weight=weights[true].double().numpy())
    assert measured["weighted_accuracy"] == pytest.approx(expected, abs=1e-14)


# --- numbers ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [1, 3])
@pytest.mark.parametrize("mean", [0.0, 1e5])
def test_numbers_are_judged_as_by_scikit_learn(columns: int, mean: float) -> None:
    random = np.random.default_rng(columns)
    std = np.linspace(0.5, 4e3, columns)
    target, output = random.normal(size=(2, 80, columns)) @ np.diag(np.linspace(1, 2, columns))
    measured = measure(
        torch.from_numpy(output),
        torch.from_numpy(target),
        build_loss("squared_error"),
        target_std=torch.from_numpy(std),
    )
    y, f = target * std + mean, output * std + mean
    assert measured["r2"] == pytest.approx(reference.r2_score(y, f), rel=1e-7)
    assert measured["mae"] == pytest.approx(reference.mean_absolute_error(y, f), rel=1e-9)
    assert measured["rmse"] == pytest.approx(reference.root_mean_squared_error(y, f), rel=1e-9)
    assert measured["loss"] == pytest.approx(0.5 * np.square(output - target).sum() / 80)


@pytest.mark.parametrize("error", [0.0, 0.3])
@pytest.mark.parametrize("value", [2.5, 0.1])
def test_equal_targets_have_the_r2_of_scikit_learn(error: float, value: float) -> None:
    """0.1 has no exact mean: its computed spread must not divide."""
    target = torch.full((7, 1), value, dtype=torch.float64)
    measured = measure(target + error, target, build_loss("squared_error"))
    assert measured["r2"] == (0.0 if error else 1.0)


def test_a_single_number_has_no_r2() -> None:
    measured = measure(torch.tensor([[1.0]]), torch.tensor([[2.0]]), build_loss("squared_error"))
    assert math.isnan(measured["r2"])
    assert measured["mae"] == measured["rmse"] == 1.0


# --- several processes ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Counted(World):
    """One of several processes in which the sums of the others are known."""

    others: list[Sequence[float]] = field(default_factory=list)
    own: list[Sequence[float]] = field(default_factory=list)

    @property
    def alone(self) -> bool:
        return False

    def sum(self, values: Sequence[float]) -> list[float]:
        self.own.append(values)
        return [float(sum(column)) for column in zip(values, *self.others, strict=True)]


@pytest.mark.parametrize("examples", [1, 2, 3, 50])
@pytest.mark.parametrize("kind", ["classes", "weighted classes", "mean", "sum"])
def test_shares_add_up_to_the_whole(kind: str, examples: int) -> None:
    processes, random = 3, torch.Generator().manual_seed(examples)
    outputs = torch.randn(examples, 4, generator=random)
    weights = torch.tensor([0.5, 1.0, 2.0, 4.0]) if kind.startswith("weighted") else None
    if "classes" in kind:
        targets, loss = (
            torch.randint(4, (examples,), generator=random),
            build_loss("cross_entropy", class_weights=weights),
        )
    else:
        targets = torch.randn(examples, 4, generator=random)
        loss = build_loss("squared_error", reduction="mean" if kind == "mean" else "sum")
    worlds = [Counted(rank, processes) for rank in range(processes)]
    for world in worlds:
        part = world.share(examples).part
        measure(outputs[part], targets[part], loss, world=world, whole=targets)
    first = Counted(0, processes, others=[world.own[0] for world in worlds[1:]])
    part = first.share(examples).part
    together = measure(outputs[part], targets[part], loss, world=first, whole=targets)
    alone = measure(outputs, targets, loss)
    assert together == pytest.approx(alone, rel=1e-6, nan_ok=True)  # the loss is summed in float32
