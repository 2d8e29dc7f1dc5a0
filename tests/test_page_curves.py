"""The curves of a page: names in words, numbered trainings as one line with a band, nothing dropped."""

import doctest

import numpy as np
import pytest

from nnlab.page import curves
from nnlab.page.curves import curves_widget, in_words
from nnlab.page.data import FEWEST, LINES, METRICS, NUMBERS, POINTS, Metrics

STEPS = [1.0, 2.0, 4.0]


def flat(values: list[float], steps: list[float] = STEPS) -> list[float]:
    return [number for pair in zip(steps, values, strict=True) for number in pair]


def test_examples_in_docstrings() -> None:
    assert doctest.testmod(curves) == (0, 1)


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ("elastic_net-0.05", "elastic net, λ = 0.05"),
        ("standard-2-constant-m256", "standard, 2 hidden layers, one step size for all, m = 256"),
        ("batch-64", "batch size 64"),
        ("cnn-shuffled", "convolutional, shuffled pixels"),
        ("2-hidden-units", "2 hidden units"),
        ("0.5 × bound", "0.5 × bound"),
    ],
)
def test_parts_have_names_in_words(part: str, words: str) -> None:
    assert in_words(part) == words


def test_numbered_trainings_are_a_median_and_a_band() -> None:
    lines = [(f"mlp-plain-{seed}/train", flat([4.0 + seed, 2.0 + seed, 1.0])) for seed in range(3)]
    (line,) = curves_widget({"loss": lines}, 0).data["loss"]["lines"]
    assert (line["name"], line["split"]) == ("fully connected, plain pixels, 3 trainings", "training")
    assert line["points"] == flat([5.0, 3.0, 1.0])
    assert (line["low"], line["high"]) == ([4.0, 2.0, 1.0], [6.0, 4.0, 1.0])


def test_the_band_of_many_leaves_out_the_outer_tenths() -> None:
    lines = [(f"width 64, network {seed}/train", flat([float(seed)] * 3)) for seed in range(11)]
    (line,) = curves_widget({"loss": lines}, 0).data["loss"]["lines"]
    assert line["name"] == "m = 64, 11 trainings"
    np.testing.assert_allclose([line["low"][0], line["points"][1], line["high"][0]], [1, 5, 9])


def test_seeds_of_a_group_are_one_line_and_two_runs_two() -> None:
    lines = [(f"seed {seed} relu/val", flat([1.0, 1.0, 1.0])) for seed in (7, 8, 9)]
    lines += [(f"{run}: train", flat([1.0, 1.0, 1.0])) for run in ("a", "b")]
    found = curves_widget({"loss": lines}, 0).data["loss"]["lines"]
    assert [(line["name"], line["split"]) for line in found] == [
        ("ReLU, 3 trainings", "validation"), ("a", "training"), ("b", "training")
    ]  # fmt: skip


@pytest.mark.parametrize("numbers", [(8, 64, 512), (0, 1), (1, 2, 4)])
def test_sizes_are_no_numbers_of_trainings(numbers: tuple[int, ...]) -> None:
    lines = [(f"batch-{number}/train", flat([1.0, 1.0, 1.0])) for number in numbers]
    found = curves_widget({"loss": lines}, 0).data["loss"]["lines"]
    assert [line["name"] for line in found] == [f"batch size {number}" for number in numbers]


def test_trainings_without_common_steps_stay_lines_of_their_own() -> None:
    lines = [(f"a-{seed}/train", [10.0 + seed, 1.0, 20.0 + seed, 2.0]) for seed in range(3)]
    assert len(curves_widget({"loss": lines}, 0).data["loss"]["lines"]) == 3


def test_what_has_no_room_is_counted() -> None:
    metrics = Metrics()
    for part in range(LINES + 3):
        for step in (1, 2):
            metrics.add({"part": str(part), "step": step, "loss": 1.0})
    assert len(metrics.curves()["loss"]) == LINES
    assert len(metrics.left_out) == 3
    for name in range(METRICS + 1):
        metrics.add({"step": 1, f"m{name}": 1.0})
    assert len(metrics.left_out) == 5  # two metrics more, as the loss is one
    assert "5 lines are not drawn" in curves_widget({}, len(metrics.left_out)).text


@pytest.mark.parametrize("parts", [1, 10, 300])
def test_more_lines_have_fewer_points(parts: int) -> None:
    metrics = Metrics()
    for step in range(1, 400):
        for part in range(parts):
            metrics.add({"part": str(part), "step": step, "loss": 1 / step})
    drawn = metrics.curves()["loss"]
    count = len(next(iter(drawn.values()))) // 2
    assert FEWEST <= count <= POINTS
    assert sum(map(len, drawn.values())) <= max(NUMBERS, 2 * FEWEST * parts)
