"""The worked numbers of the lecture: all hold, and a wrong implementation is caught."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from nnlab.chapters.experiments import EXPERIMENTS
from nnlab.chapters.lecture import slides
from nnlab.lab import runner
from nnlab.lab.config import check, read_source
from nnlab.lab.session import Session


def verdicts(runs: Path, seed: int = 0) -> dict[str, str]:
    source = read_source("slides")
    source.override(("seed",), seed, "--seed")
    summary = runner.run(check(source, EXPERIMENTS), runs, Session())
    return {claim["name"]: claim["verdict"] for claim in summary["claims"]}


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_everything_on_the_slides_holds(seed: int, tmp_path: Path) -> None:
    found = verdicts(tmp_path, seed)
    assert len(found) == 13
    assert set(found.values()) == {"PASS"}


def _unturned(original: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    return lambda f, g, **options: original(f, g.flip(0, 1), **options)


def _turned(original: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    return lambda filters, *sizes, **options: original(filters.flip(2, 3), *sizes, **options)


@pytest.mark.parametrize(
    ("place", "name", "fault", "claim"),
    [
        (slides, "kl_divergence", lambda f: lambda p, q: f(q, p), "cross_entropy_is_entropy_plus_divergence"),
        (slides, "entropy", lambda f: lambda p: f(p) / 2, "cross_entropy_is_entropy_plus_divergence"),
        (slides, "convolve", _unturned, "convolution_is_its_double_sum"),
        (slides, "convolution_matrix", _turned, "a_layer_is_one_matrix"),
        (slides, "conv_output_size", lambda f: lambda s, k, p, t: f(s, k, p, t) - 1, "sizes_of_maps"),
    ],
)  # fmt: skip
def test_a_planted_fault_fails_its_claim(
    place: object,
    name: str,
    fault: Callable[..., object],
    claim: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(place, name, fault(getattr(place, name)))
    assert verdicts(tmp_path)[claim] == "FAIL"
