"""Losses with class weights: against torch and scikit-learn, in parts of a batch, in the bound on steps."""

import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor

from nnlab.chapters.experiments import EXPERIMENTS
from nnlab.data import DataSet, RawData, Split
from nnlab.data.dataset import prepare
from nnlab.errors import ConfigError, InputError
from nnlab.lab.config import check
from nnlab.lab.sections import TrainingExperiment
from nnlab.lab.session import Session
from nnlab.lab.source import Source
from nnlab.lab.training_run import build_parts, loss_of, step_bound
from nnlab.models import MLP
from nnlab.training import Parts, Settings, build_loss, build_optimizer, build_penalty, fit
from nnlab.training.losses import balanced_weights, entropy, mean_one, target_distribution
from nnlab.training.theory import softmax_hessian, softmax_step_bound

CLASSES = 3


def unbalanced(examples: int = 120, seed: int = 0, validation: float = 0.0) -> DataSet:
    """Clouds of which the last class has a tenth of the examples, in float64."""
    random = np.random.default_rng(seed)
    y = random.choice(CLASSES, 2 * examples, p=[0.6, 0.3, 0.1])
    y[:CLASSES] = range(CLASSES)
    x = random.normal(size=(2 * examples, 4)) + np.eye(CLASSES, 4)[y]
    halves = [
        Split(torch.from_numpy(a), torch.from_numpy(b)) for a, b in ((x, y), (x[::-1].copy(), y[::-1].copy()))
    ]
    train = Split(halves[0].inputs[:examples], halves[0].targets[:examples])
    test = Split(halves[1].inputs[:examples], halves[1].targets[:examples])
    raw = RawData("classification", train, test, CLASSES, ["many", "some", "few"])
    return prepare(
        raw, name="csv", validation=validation, split_seed=0, standardize=True,
        device=torch.device("cpu"), dtype=torch.float64,
    )  # fmt: skip


def config_of(weights: Any, **loss: Any) -> TrainingExperiment:
    values = {
        "experiment": "classify",
        "data": {"name": "blobs", "classes": CLASSES, "batch_size": "full"},
        "model": {"name": "mlp"},
        "loss": {"name": "cross_entropy", "class_weights": weights, **loss},
    }
    config = check(Source(where="test", text="", values=values), EXPERIMENTS)
    assert isinstance(config, TrainingExperiment)
    return config


# --- the weights ------------------------------------------------------------------------------------


def test_balanced_weights_are_those_of_scikit_learn_and_have_mean_1() -> None:
    y = np.repeat([0, 1, 2], [70, 25, 5])
    weights = balanced_weights(torch.bincount(torch.from_numpy(y)))
    expected = compute_class_weight("balanced", classes=np.array([0, 1, 2]), y=y)
    np.testing.assert_allclose(weights, expected, rtol=1e-15)
    assert weights.numpy()[y].mean() == pytest.approx(1.0, rel=1e-14)


def test_own_weights_keep_their_ratios_and_get_mean_1() -> None:
    sizes, own = torch.tensor([70, 25, 5]), torch.tensor([1.0, 2.0, 10.0], dtype=torch.float64)
    scaled = mean_one(own, sizes)
    np.testing.assert_allclose(scaled / scaled[0], own, rtol=1e-15)
    assert float((scaled * sizes).sum() / sizes.sum()) == pytest.approx(1.0, rel=1e-14)


@pytest.mark.parametrize("weights", [[1, 2, 4], {"many": 1, "few": 4.0, "some": 2}, {"few": 4, "some": 2}])
def test_weights_by_place_and_by_name_are_the_same(weights: Any) -> None:
    data = unbalanced()
    scaled = loss_of(config_of(weights), data).class_weights
    assert scaled is not None
    np.testing.assert_allclose(scaled / scaled[0], [1, 2, 4])
    assert float(scaled[data.train.targets].mean()) == pytest.approx(1.0)


@pytest.mark.parametrize("name", ["cross_entropy", "kl"])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_loss_is_the_mean_of_weighted_losses(name: str, smoothing: float) -> None:
    random = torch.Generator().manual_seed(1)
    scores = torch.randn(40, CLASSES, generator=random, dtype=torch.float64)
    y = torch.randint(CLASSES, (40,), generator=random)
    w = torch.tensor([0.5, 1.0, 3.0], dtype=torch.float64)
    p = target_distribution(y, CLASSES, smoothing)
    each = -(p * scores.log_softmax(1)).sum(1)
    if name == "kl":
        each = each - entropy(p)
    loss = build_loss(name, label_smoothing=smoothing, class_weights=w)
    assert float(loss(scores, y)) == pytest.approx(float((w[y] * each).mean()), rel=1e-12)
    # Targets that are distributions, and all on one class, are labels.
    if not smoothing:
        assert float(loss(scores, p)) == pytest.approx(float(loss(scores, y)), rel=1e-12)


def test_with_weights_of_mean_1_it_is_the_weighted_loss_of_torch() -> None:
    random = torch.Generator().manual_seed(2)
    scores, y = torch.randn(60, CLASSES, generator=random), torch.randint(CLASSES, (60,), generator=random)
    own = torch.tensor([1.0, 5.0, 0.3])
    w = mean_one(own, torch.bincount(y, minlength=CLASSES))
    expected = F.cross_entropy(scores, y, weight=own)  # divides by the sum of the weights
    assert float(build_loss("cross_entropy", class_weights=w)(scores, y)) == pytest.approx(
        float(expected), rel=1e-6
    )


# --- training ---------------------------------------------------------------------------------------


def trained(data: DataSet, weights: Tensor | None, strength: float = 0.01, **settings: Any) -> Parts:
    model = MLP(4, [], CLASSES, generator=torch.Generator().manual_seed(0)).double()
    loss = build_loss("cross_entropy", class_weights=weights)
    full = settings["batch_size"] == "full"
    own = {"lr": 1.0} if full else {"lr": 0.1, "momentum": 0.5}
    parts = Parts(
        model,
        data,
        loss,
        build_optimizer("lbfgs" if full else "sgd", model, **own),
        build_penalty("l2", strength),
    )
    fit(parts, Settings(**settings), generator=torch.Generator().manual_seed(3))
    return parts


def test_the_optimum_is_that_of_scikit_learn() -> None:
    """λΣW² + (1/N) Σ w_i l_i is their ½ΣW² + C Σ w_i l_i for C = 1/(2λN)."""
    data, strength = unbalanced(), 0.01
    assert data.class_sizes is not None
    parts = trained(data, balanced_weights(data.class_sizes), strength, batch_size="full", epochs=60)
    x, y = data.train.inputs.numpy(), data.train.targets.numpy()
    c = 1 / (2 * strength * len(y))
    theirs = LogisticRegression(C=c, class_weight="balanced", tol=1e-12, max_iter=10_000).fit(x, y)
    weight = next(parts.model.parameters()).detach()
    np.testing.assert_allclose(weight - weight.mean(0), theirs.coef_ - theirs.coef_.mean(0), atol=1e-6)
    probabilities = parts.model(data.test.inputs).detach().softmax(1)
    np.testing.assert_allclose(probabilities, theirs.predict_proba(data.test.inputs.numpy()), atol=1e-6)


@pytest.mark.parametrize("micro_batch", [1, 7, 16])
def test_parts_of_a_batch_give_the_step_of_the_batch(micro_batch: int) -> None:
    data = unbalanced()
    assert data.class_sizes is not None
    weights = balanced_weights(data.class_sizes)
    whole, parts = (
        trained(data, weights, batch_size=32, epochs=3, micro_batch=micro) for micro in (None, micro_batch)
    )
    for a, b in zip(whole.model.parameters(), parts.model.parameters(), strict=True):
        np.testing.assert_allclose(a.detach(), b.detach(), rtol=1e-10)


def test_the_best_weights_are_those_of_the_best_weighted_accuracy() -> None:
    """A model that only ever says the largest class has the best accuracy here, and must not win."""
    data = unbalanced(400, validation=0.25)
    assert data.class_sizes is not None
    assert data.validation is not None
    rows: list[dict[str, Any]] = []
    model = MLP(4, [], CLASSES, generator=torch.Generator().manual_seed(0)).double()
    with torch.no_grad():
        model.output.weight.zero_()
        model.output.bias.copy_(torch.tensor([3.0, 0.0, 0.0]))
    loss = build_loss("cross_entropy", class_weights=balanced_weights(data.class_sizes))
    parts = Parts(model, data, loss, build_optimizer("sgd", model, lr=0.02))
    settings = Settings(epochs=25, batch_size="full")
    result = fit(parts, settings, generator=torch.Generator().manual_seed(0), log=rows.append)
    val = [row for row in rows if row["split"] == "val"]
    assert max(val, key=lambda row: row["accuracy"])["epoch"] != result.best_epoch
    best = max(val, key=lambda row: (row["weighted_accuracy"], -row["loss"]))
    assert best["epoch"] == result.best_epoch


def test_without_weights_rows_have_the_keys_that_they_had() -> None:
    data, rows = unbalanced(validation=0.2), list[dict[str, Any]]()
    model = MLP(4, [], CLASSES, generator=torch.Generator().manual_seed(0)).double()
    parts = Parts(model, data, build_loss("cross_entropy"), build_optimizer("sgd", model, lr=0.1))
    fit(parts, Settings(epochs=1), generator=torch.Generator().manual_seed(0), log=rows.append)
    keys = [list(row) for row in rows]
    assert keys[0] == ["step", "epoch", "split", "loss", "accuracy", "lr"]
    assert keys[1:] == [["step", "epoch", "split", "loss", "accuracy"]] * 2


# --- the bound on the step size ---------------------------------------------------------------------


def test_the_bound_holds_for_the_weighted_hessian() -> None:
    """At random weights, far ones among them, λmax of the Hessian is at most 2/η of the bound."""
    values = config_of("balanced").model_dump()
    values["data"] |= {"name": "blobs", "examples": 60}
    values["optimizer"] = {"name": "sgd", "lr": 0.1}
    values["loss"]["class_weights"] = {"0": 1.0, "1": 30.0, "2": 0.1}
    config = check(Source(where="test", text="", values=values), EXPERIMENTS)
    assert isinstance(config, TrainingExperiment)
    parts = build_parts(config, Session())
    bound = step_bound(config, parts)
    weights = parts.loss.class_weights
    assert bound is not None
    assert weights is not None
    x = torch.cat([parts.data.train.inputs, torch.ones(len(parts.data.train), 1)], 1).double()
    w = weights.double()[parts.data.train.targets]
    random, largest = torch.Generator().manual_seed(0), 0.0
    for scale in (0.0, 0.1, 1.0, 10.0):
        p = (scale * torch.randn(len(x), CLASSES, generator=random)).double().softmax(1)
        hessian = softmax_hessian(x * w.sqrt()[:, None], p)
        differently = sum(
            torch.kron(torch.diag(q) - torch.outer(q, q), torch.outer(row, row)) * weight
            for q, row, weight in zip(p, x, w, strict=True)
        )
        assert isinstance(differently, Tensor)
        torch.testing.assert_close(hessian, differently / len(x))
        largest = max(largest, float(torch.linalg.eigvalsh(hessian)[-1]))
    assert largest <= 2 / bound.bound
    assert softmax_step_bound(x) > bound.bound  # without the weights it would promise too much


@pytest.mark.parametrize(
    ("changes", "known"),
    [
        ({}, True),
        ({"data": {"augmentation": {"flip": "random"}}}, False),
        ({"training": {"precision": "bfloat16"}}, False),
    ],
)
def test_no_bound_where_the_objective_changes_or_is_rounded(changes: dict[str, Any], known: bool) -> None:
    """Changed images are another objective every epoch, whose value may rise from one to the next."""
    values: dict[str, Any] = {
        "experiment": "classify",
        "data": {"name": "digits", "batch_size": "full"},
        "model": {"name": "mlp"},
    }
    for key, value in changes.items():
        values[key] = values.get(key, {}) | value
    config = check(Source(where="test", text="", values=values), EXPERIMENTS)
    assert isinstance(config, TrainingExperiment)
    assert (step_bound(config, build_parts(config, Session())) is not None) == known


# --- wrong ones -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("weights", "part"),
    [
        ([1, 2], "has 2 numbers, but data.name: csv has 3 classes: many, some, few"),
        ({"fewer": 2}, "fewer is no class of the data; did you mean few?"),
    ],
)
def test_weights_that_do_not_fit_the_classes_are_refused(weights: Any, part: str) -> None:
    with pytest.raises(InputError, match=r"loss\.class_weights") as error:
        loss_of(config_of(weights), unbalanced())
    assert part in str(error.value)


@pytest.mark.parametrize(
    "weights",
    [
        "even",
        [],
        {},
        [1, 0],
        {"a": -1},
        [math.inf],
        {"a": "2"},
        [10**400],
        {1: 2, "1": 3},
        {True: 1},
        3,
        [True],
    ],
)
def test_what_are_no_weights_is_refused(weights: Any) -> None:
    with pytest.raises(ConfigError, match=r"loss\.class_weights"):
        config_of(weights)


def test_numbers_may_name_classes() -> None:
    config = config_of({0: 1, 1.5: 2})
    assert config.loss.model_dump()["class_weights"] == {"0": 1.0, "1.5": 2.0}


@pytest.mark.parametrize("experiment", ["separable", "convergence"])
def test_experiments_about_the_plain_loss_refuse_weights(experiment: str) -> None:
    values = config_of("balanced").model_dump()
    values["experiment"] = experiment
    with pytest.raises(ConfigError, match=r"loss\.class_weights: experiment"):
        check(Source(where="test", text="", values=values), EXPERIMENTS)
