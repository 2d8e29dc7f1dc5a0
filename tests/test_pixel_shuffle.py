"""The shuffled-pixels experiment on digits, its theorem step by step, and faults that its claims find."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from nnlab.chapters.convolution.figures.classes import shuffled_pixels
from nnlab.chapters.convolution.pixel_shuffle import Config, Trainings, _claims, with_permuted_columns
from nnlab.chapters.experiments import EXPERIMENTS
from nnlab.data import dataset, in_order
from nnlab.errors import InputError
from nnlab.lab import runner
from nnlab.lab.config import apply_sets, check, read_source
from nnlab.lab.session import Session
from nnlab.models import MLP
from nnlab.record import open_run
from tests.figure_checks import HOSTILE, assert_readable, bars, data, texts

DIGITS = (
    "data.name=digits", "data.batch_size=32", "model.channels=[8, 16]", "model.batch_norm=false",
    "hidden=[64]", "training.epochs=4", "training.precision=float32", "training.device=cpu", "seeds=5",
    "least_fall=0.01",
)  # fmt: skip


def config(*sets: str) -> Config:
    source = read_source("pixel_shuffle")
    apply_sets(source, [*DIGITS, *sets])
    checked = check(source, EXPERIMENTS)
    assert isinstance(checked, Config)
    return checked


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    return lambda *sets: runner.run(config(*sets), tmp_path, Session())


def verdicts(claims: list[Any]) -> dict[str, str]:
    found = [claim if isinstance(claim, dict) else claim.as_dict() for claim in claims]
    return {claim["name"]: claim["verdict"] for claim in found}


def test_digits_show_it(run: Callable[..., dict[str, Any]]) -> None:
    summary = run()
    decided = verdicts(summary["claims"])
    assert decided["permuted_columns_are_the_same_network"] == "PASS"
    assert decided["training_from_permuted_columns_is_the_same"] == "PASS"
    assert "FAIL" not in decided.values()  # five seeds are few
    rows = {(row["model"], row["pixels"]): row for row in summary["results"]}
    assert {row["parameters"] for row in rows.values()} == {64 * 64 + 64 + 650, 80 + 8 * 16 * 9 + 16 + 650}
    found = open_run(summary["run_dir"])
    arrays = found.arrays()
    falls = arrays["cnn/plain"] - arrays["cnn/shuffled"]
    claim = next(c for c in summary["claims"] if c["name"] == "cnn_loses_accuracy")
    assert claim["measured"] == pytest.approx(falls.mean())
    half = 15.5441 * falls.std(ddof=1) / np.sqrt(5)  # Student's t for 4 degrees of freedom
    assert claim["interval"] == pytest.approx([falls.mean() - half, falls.mean() + half], rel=1e-4)

    tests = {row["part"]: row["accuracy"] for row in found.metrics("test")}
    for (model, pixels), row in rows.items():
        assert [tests[f"{model}-{pixels}-{seed}"] for seed in range(5)] == list(arrays[f"{model}/{pixels}"])
        assert row["test_accuracy"] == pytest.approx(arrays[f"{model}/{pixels}"].mean())
    order = arrays["pixel_order"]
    assert sorted(order) == list(range(64))
    np.testing.assert_array_equal(arrays["picture_shuffled"].ravel(), arrays["picture"].ravel()[order])
    assert [path.name for path in sorted(found.folder.glob("figures/*.png"))] == ["shuffled_pixels.png"]


def test_without_a_permutation_the_claim_about_the_cnn_fails(
    run: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dataset, "in_order", lambda images, order: images)
    summary = run("seeds=2", "training.epochs=1")
    found = verdicts(summary["claims"])
    assert found["cnn_loses_accuracy"] == found["cnn_loses_more_than_the_network"] == "FAIL"
    arrays = open_run(summary["run_dir"]).arrays()
    for model in ("mlp", "cnn"):  # the same seeds on the same images: the same numbers
        np.testing.assert_array_equal(arrays[f"{model}/plain"], arrays[f"{model}/shuffled"])


def trainings(mlp: list[float], cnn: list[float]) -> Trainings:
    """Accuracies that fall by so much, and a network with images of 2 channels, rightly shuffled."""
    g = torch.Generator().manual_seed(0)
    order, plain = torch.randperm(20, generator=g), torch.randn(6, 2, 4, 5, generator=g)
    accuracies = {
        name: {"plain": [0.6] * len(falls), "shuffled": [0.6 - fall for fall in falls]}
        for name, falls in (("mlp", mlp), ("cnn", cnn))
    }
    return Trainings(
        accuracies,
        {"mlp": 1, "cnn": 1},
        {"plain": plain, "shuffled": in_order(plain, order)},
        plain[0],
        order,
        MLP(40, [7], 3, generator=g),
        (torch.ones(6, 3), torch.ones(6, 3)),
    )


def judged(mlp: list[float], cnn: list[float]) -> dict[str, str]:
    return verdicts(_claims(config(), trainings(mlp, cnn)))


def test_verdicts_on_falls() -> None:
    small, large = [0.002, -0.004, 0.001] * 4, [0.2, 0.21, 0.19] * 4
    assert set(judged(small, large).values()) == {"PASS"}
    assert judged(large, large)["network_keeps_its_accuracy"] == "FAIL"
    assert judged([0.1, -0.1, 0.02] * 4, large)["network_keeps_its_accuracy"] == "INCONCLUSIVE"
    assert judged(small, small)["cnn_loses_accuracy"] == "FAIL"
    assert judged(large, large)["cnn_loses_more_than_the_network"] == "FAIL"
    assert judged(large, large)["cnn_loses_accuracy"] == "PASS"


def test_columns_moved_otherwise_are_another_network() -> None:
    right = trainings([0.0, 0.0], [0.1, 0.1])
    for wrong in (right.order.argsort(), torch.arange(20)):
        claims = _claims(config(), replace(right, order=wrong))
        assert verdicts(claims)["permuted_columns_are_the_same_network"] == "FAIL"


@pytest.mark.parametrize("hidden", [[], [6], [6, 5]])
@pytest.mark.parametrize("optimizer", ["momentum", "adam"])
def test_shuffled_training_from_permuted_columns_is_the_same_training(
    optimizer: str, hidden: list[int]
) -> None:
    """Not only the function: every step keeps the two networks equal, up to the order of the columns."""
    g = torch.Generator().manual_seed(1)
    plain, labels = torch.randn(30, 2, 4, 5, dtype=torch.float64, generator=g), torch.arange(30) % 3
    order = torch.randperm(20, generator=g)
    network = MLP(40, hidden, 3, generator=g).double()
    twin = with_permuted_columns(network, order)

    def train(model: MLP, inputs: torch.Tensor) -> torch.Tensor:
        settings: dict[str, Any] = {"lr": 0.01, "weight_decay": 0.01}
        made = (
            torch.optim.Adam(model.parameters(), **settings)
            if optimizer == "adam"
            else torch.optim.SGD(model.parameters(), momentum=0.9, **settings)
        )
        for _ in range(20):
            made.zero_grad()
            F.cross_entropy(model(inputs), labels).backward()
            made.step()
        return model(inputs).detach()

    start = network(plain).detach()
    scores, others = train(network, plain), train(twin, in_order(plain, order))
    assert float((scores - start).abs().max()) > 0.1
    torch.testing.assert_close(others, scores, rtol=1e-9, atol=1e-9)
    weight = next(with_permuted_columns(network, order).parameters())
    torch.testing.assert_close(next(twin.parameters()), weight, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        (("model={name: mlp}",), "pixel_shuffle needs model.name: cnn, not mlp"),
        (("data={name: two_moons}",), "needs images, and data.name: two_moons has none"),
        (("data.shuffle_pixels=true",), "data.shuffle_pixels: pixel_shuffle tries both"),
        (("data.augmentation.flip=random",), "data.augmentation: mirroring or moving a shuffled image"),
        (("model.channels=[4, 4, 4, 4]",), "block 4 shrinks a map of 1 × 1 to 0 × 0"),
    ],
)
def test_what_it_refuses(run: Callable[..., dict[str, Any]], sets: tuple[str, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        run(*sets)


# --- the figure -------------------------------------------------------------------------------------


def picture(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).random(shape)


def test_bars_and_dots() -> None:
    accuracies = {"one": ([0.5, 0.6], [0.52, 0.54]), "two": ([0.7, 0.8], [0.4, 0.5])}
    figure = shuffled_pixels(picture(4, 5), picture(4, 5), accuracies, 0.1)
    assert_readable(figure)
    axes = next(axes for axes in figure.axes if axes.patches)
    assert [round(bar.get_height(), 6) for bar in bars(axes)] == [55, 53, 75, 45]
    dots = [data(line)[:, 1] for line in axes.lines if line.get_linestyle() == "None"]
    np.testing.assert_allclose(dots, [[50, 60], [52, 54], [70, 80], [40, 50]])
    words = texts(figure)
    title = " ".join(figure.get_suptitle().split())
    assert title.endswith("the one network loses 2 points, the two network loses 30 points of accuracy")
    assert {"55.0", "53.0", "75.0", "45.0", "plain pixels", "shuffled pixels", "chance: 10.0 %"} <= set(words)


@pytest.mark.parametrize("name", HOSTILE)
def test_any_name(name: str) -> None:
    figure = shuffled_pixels(picture(4, 4, 3), picture(4, 4, 3), {name: ([0.5], [1.0])}, 0.1)
    assert_readable(figure)
