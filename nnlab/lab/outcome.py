"""The outcome of an experiment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nnlab.theory import Claim


@dataclass(frozen=True)
class Outcome:
    """The contents of a finished summary.

    Attributes:
        metrics: flat, named `train/loss`, `val/accuracy`, `test/accuracy`…
        results: rows of the experiment's table.
        claims: predictions, measurements and verdicts.
        model: the size of the one model that was trained: `parameters`, and `multiply_adds` of one example.
    """

    metrics: dict[str, float]
    results: Sequence[Mapping[str, Any]] = ()
    claims: list[Claim] = field(default_factory=list)
    model: dict[str, int] = field(default_factory=dict)
