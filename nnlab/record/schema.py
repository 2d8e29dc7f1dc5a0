"""The names in a run folder: its files, and the fields of summary.json with their types."""

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

SCHEMA_VERSION = 1
STATUSES = ("running", "finished", "diverged", "interrupted", "failed")

SUMMARY = "summary.json"
CONFIG = "config.yaml"
METRICS = "metrics.jsonl"
ARRAYS = "arrays.npz"
PREDICTIONS = "predictions.json"
ENVIRONMENT = "environment.json"
FIGURES = "figures"
TENSORBOARD = "tensorboard"

REQUIRED: Mapping[str, type] = {"status": str, "name": str, "seed": int, "metrics": dict}
"""The fields that every summary has."""

OPTIONAL: Mapping[str, Any] = {
    "wall_seconds": int | float,
    "results": list,  # rows of the experiment's table
    "claims": list,  # see nnlab.theory.Claim.as_dict
    "seeds": list,  # the fields of a group: its seeds, and the folders of the members that have started
    "members": list,
}
"""Fields whose type is checked where they are present. Beside them a summary may hold others: experiment,
started, run_dir, config_sha256, predictions_sha256, message, model, and of a group verdicts."""

KEPT = ("experiment", "name", "seed", "started", "predictions_sha256", "seeds", "members", "precision")
"""The fields that a run keeps when it is resumed."""


def is_summary(content: Any) -> bool:
    """Tells whether a JSON value has the form that readers of a summary count on."""
    if not isinstance(content, dict) or content.get("status") not in STATUSES:
        return False
    fields = {key: kind for key, kind in OPTIONAL.items() if key in content} | dict(REQUIRED)
    return (
        all(isinstance(content.get(key), kind) for key, kind in fields.items())
        and ("members" in content) == ("seeds" in content)
        and all(isinstance(name, str) for name in content.get("members", []))
        and all(isinstance(seed, int) for seed in content.get("seeds", []))
    )


def plain(value: object) -> Any:
    """`value` as JSON can hold it: numpy numbers become numbers, what is not finite becomes null."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, list | tuple | set):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    return str(value)


def json_bytes(content: Mapping[str, object]) -> bytes:
    """The content of a JSON file with the version of this schema."""
    whole = plain({"schema_version": SCHEMA_VERSION, **content})
    return (json.dumps(whole, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()
