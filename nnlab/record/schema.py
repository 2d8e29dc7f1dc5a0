"""The names in a run folder; the fields of summary.json, and their forms, stand in `nnlab.record.summary`."""

import json
import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

SCHEMA_VERSION = 1
Status = Literal["running", "finished", "diverged", "interrupted", "failed"]

SUMMARY = "summary.json"
CONFIG = "config.yaml"
METRICS = "metrics.jsonl"
ARRAYS = "arrays.npz"
PREDICTIONS = "predictions.json"
ENVIRONMENT = "environment.json"
DATA = "data.json"
FIGURES = "figures"
FIGURE_CALLS = "figures.json"
TENSORBOARD = "tensorboard"

START = "start"  # in a summary: the run whose weights a training began from, and the hash of these

KEPT = (
    "experiment", "name", "seed", "started", "predictions_sha256", "seeds", "members", "precision", "notes",
    START,
)  # fmt: skip
"""The fields that a run keeps when it is resumed."""


def plain(value: object) -> Any:
    """`value` as JSON can hold it: numpy numbers become numbers, what is not finite becomes null."""
    if isinstance(value, Mapping):
        return {_whole(str(key)): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, list | tuple | set):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int):
        return value
    return _whole(str(value))


def _whole(text: str) -> str:
    """The text, with what no file of UTF-8 can hold written out: names of files may be no Unicode."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def json_bytes(content: Mapping[str, object], indent: int | None = 2) -> bytes:
    """The content of a JSON file with the version of this schema; without `indent` on one line."""
    whole = plain({"schema_version": SCHEMA_VERSION, **content})
    return (json.dumps(whole, indent=indent, ensure_ascii=False, allow_nan=False) + "\n").encode()
