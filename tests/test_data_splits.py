"""Held-out examples: each class in proportion, from the split seed alone, and errors that say why."""

from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nnlab.data.splits import generator, held_out_counts, hold_out
from nnlab.errors import DataError


@settings(max_examples=300, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 60), min_size=1, max_size=12),
    twentieths=st.integers(0, 19),
)
def test_counts_add_up_and_stay_within_one_of_the_quota(sizes: list[int], twentieths: int) -> None:
    exact = Fraction(twentieths, 20)
    counts = held_out_counts(sizes, twentieths / 20)
    # At a tie (N·f = k + ½) the float product may fall to either side of the exact one.
    assert abs(sum(counts) - exact * sum(sizes)) <= Fraction(1, 2)
    for count, size in zip(counts, sizes, strict=True):
        assert 0 <= count <= size
        assert abs(count - exact * size) <= 1


def test_a_class_keeps_its_last_example_where_another_can_give_one() -> None:
    # Quotas 0.6 and 2.4, three in all: by remainders alone the only example of class 0 would go.
    assert held_out_counts([1, 4], 0.6) == [0, 3]
    assert held_out_counts([2, 2], 0.9) == [2, 2]


def test_hold_out_is_stratified_and_disjoint() -> None:
    strata = torch.arange(3).repeat_interleave(torch.tensor([100, 40, 10]))[torch.randperm(150)]
    kept, held = hold_out(strata, 0.2, split_seed=5, purpose="test", names=["a", "b", "c"])
    assert torch.bincount(strata[held]).tolist() == [20, 8, 2]
    assert sorted([*kept.tolist(), *held.tolist()]) == list(range(150))
    assert kept.tolist() == sorted(kept.tolist())


def test_hold_out_depends_on_the_split_seed_and_nothing_else() -> None:
    strata = torch.arange(200) % 4

    def draw(seed: int) -> list[int]:
        return hold_out(strata, 0.25, split_seed=seed, purpose="test")[1].tolist()

    torch.manual_seed(1)
    first = draw(7)
    torch.manual_seed(2)
    assert draw(7) == first
    assert draw(8) != first


def test_every_example_is_held_out_equally_often() -> None:
    strata = torch.zeros(20, dtype=torch.int64)
    times = torch.zeros(20)
    for seed in range(2000):
        times[hold_out(strata, 0.25, split_seed=seed, purpose="test")[1]] += 1
    # Binomial(2000, ¼) has mean 500 and deviation 19.4: 5 deviations, for 20 counts.
    assert (times - 500).abs().max() < 97


def test_purposes_and_seeds_of_any_size_give_streams_of_their_own() -> None:
    seeds = [(0, "test"), (0, "validation"), (1, "test"), (2**80, "test"), (2**80 + 2**64, "test")]
    draws = {tuple(torch.rand(4, generator=generator(*seed)).tolist()) for seed in seeds}
    assert len(draws) == len(seeds)


@pytest.mark.parametrize(
    ("sizes", "fraction", "purpose", "message"),
    [
        ([2, 2], 0.1, "validation", r"data\.validation: 0\.1 of 4 .* no validation example.* or 0 for none"),
        (
            [2, 2],
            0.1,
            "test",
            r"data\.test: 0\.1 of 4 examples leaves no test example; use a larger fraction$",
        ),
        (
            [1, 1],
            0.5,
            "test",
            r"data\.test: 0\.5 of 2 .* no training example of class (cat|dog), which has 1",
        ),
    ],
)
def test_an_impossible_fraction_is_named(
    sizes: list[int], fraction: float, purpose: str, message: str
) -> None:
    strata = torch.arange(2).repeat_interleave(torch.tensor(sizes))
    with pytest.raises(DataError, match=message):
        hold_out(strata, fraction, split_seed=0, purpose=purpose, names=["cat", "dog"])


def test_without_classes_the_message_speaks_of_none() -> None:
    with pytest.raises(DataError, match="leaves no training example; use"):
        hold_out(torch.zeros(1, dtype=torch.int64), 0.6, split_seed=0, purpose="test")
