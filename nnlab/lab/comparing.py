"""What tells runs apart: the keys in which their configs differ, and the one number of each result."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

HEADLINES = ("test/accuracy", "test/loss", "train/loss")
"""The metrics of which a list of runs shows the first that a run has."""


def headline(summary: Mapping[str, Any]) -> tuple[str, Any] | None:
    """Name and value of the metric that a list has room for; None where the run has none of them."""
    metrics = summary["metrics"]
    return next(((name, metrics[name]) for name in HEADLINES if name in metrics), None)


def claims_that_pass(summary: Mapping[str, Any]) -> tuple[int, int]:
    """The number of claims that pass, in a group with every seed, and the number of all."""
    counts = summary.get("verdicts") or {
        claim["name"]: {claim["verdict"]: 1} for claim in summary.get("claims", [])
    }
    return sum(set(verdicts) == {"PASS"} for verdicts in counts.values()), len(counts)


def flat(config: Any, prefix: str = "") -> dict[str, str]:
    """A config as dotted keys with JSON values.

    >>> flat({"model": {"name": "mlp", "hidden": [32]}, "seed": 0})
    {'model.name': '"mlp"', 'model.hidden': '[32]', 'seed': '0'}
    """
    if isinstance(config, dict) and config:
        return {k: v for key, item in config.items() for k, v in flat(item, f"{prefix}.{key}").items()}
    return {prefix.removeprefix("."): json.dumps(config)}


def differing(configs: Sequence[Mapping[str, str]]) -> list[str]:
    """The keys of flat configs that have not the same value in all of them."""
    keys = dict.fromkeys(key for config in configs for key in config)
    return [key for key in keys if len({config.get(key) for config in configs}) > 1]
