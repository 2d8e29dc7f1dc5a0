"""The form of summary.json, which everything that reads a run folder counts on.

A field that is not listed here is kept and may hold anything that JSON can, within the limits of size and
depth. A new field of the summary is optional, so that older run folders stay readable.
"""

from collections.abc import Iterator
from typing import Annotated, Any, NotRequired

from pydantic import ConfigDict, Field, GetCoreSchemaHandler, TypeAdapter, ValidationError
from pydantic_core import CoreSchema, core_schema
from typing_extensions import TypedDict

from nnlab.record.schema import SCHEMA_VERSION, Status

LONGEST_NAME = 1_000
LONGEST_TEXT = 1_000_000
DEEPEST = 20
"""Levels of lists and mappings inside one another."""


class _Wording:
    """Annotation that says in one sentence what a value must be, whatever is wrong with it."""

    def __init__(self, sentence: str) -> None:
        self._sentence = sentence

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.custom_error_schema(handler(source), "form", custom_error_message=self._sentence)


_FORM = ConfigDict(extra="allow", strict=True)


Name = Annotated[
    str,
    Field(min_length=1, max_length=LONGEST_NAME),
    _Wording(f"must be text of 1 to {LONGEST_NAME:,} characters"),
]
Text = Annotated[
    str, Field(max_length=LONGEST_TEXT), _Wording(f"must be text of at most {LONGEST_TEXT:,} characters")
]
Number = Annotated[float, Field(allow_inf_nan=False), _Wording("must be a finite number")]
Whole = Annotated[int, Field(ge=-(2**63), lt=2**63), _Wording("must be a whole number of at most 64 bits")]
Measured = Number | None
Range = Annotated[
    tuple[Measured, Measured], Field(strict=False), _Wording("must be the two ends of an interval")
]
Prediction = Annotated[Measured | Range, _Wording("must be a number, null, or the two ends of an interval")]
Cell = Annotated[
    bool | Number | Text | list[bool | Number | Text | None] | None,
    _Wording("must be a number, text, true, false, null, or a list of these"),
]


class Spread(TypedDict):
    """A metric over the seeds of a group."""

    __pydantic_config__ = _FORM  # type: ignore[misc]

    mean: Measured
    interval: Range


Metric = Annotated[Measured | Spread, _Wording("must be a number, null, or mean and interval over seeds")]


class ClaimForm(TypedDict):
    """A claim, see `nnlab.theory.Claim`."""

    __pydantic_config__ = _FORM  # type: ignore[misc]

    name: Name
    sentence: Text
    verdict: Name
    predicted: Prediction
    measured: Measured
    interval: Range
    formula: NotRequired[Text]
    hypotheses: NotRequired[list[Text]]
    rivals: NotRequired[dict[Text, Prediction]]
    rule: NotRequired[Text]
    predicted_by: NotRequired[Text]
    measured_by: NotRequired[Text]


class SummaryForm(TypedDict):
    """The fields of summary.json."""

    __pydantic_config__ = _FORM  # type: ignore[misc]

    schema_version: NotRequired[
        Annotated[
            int,
            Field(ge=1, le=SCHEMA_VERSION),
            _Wording(f"must be {SCHEMA_VERSION}; a newer nnlab may have written it"),
        ]
    ]
    status: Status
    name: Name
    seed: Whole
    metrics: dict[Name, Metric]
    experiment: NotRequired[Name]
    started: NotRequired[Name]
    wall_seconds: NotRequired[Annotated[Number, Field(ge=0)] | None]
    run_dir: NotRequired[Text | None]
    message: NotRequired[Text | None]
    results: NotRequired[list[dict[Name, Cell]]]
    claims: NotRequired[list[ClaimForm]]
    warnings: NotRequired[list[Text]]
    notes: NotRequired[list[Text]]
    model: NotRequired[dict[Name, Measured]]
    precision: NotRequired[Name | None]
    start: NotRequired[dict[Name, Text]]  # `run` and `sha256` of the weights that a training began from
    config_sha256: NotRequired[Name]
    config_next_sha256: NotRequired[Name]  # while config.yaml is replaced by that of a longer run
    seeds: NotRequired[Annotated[list[Whole], Field(min_length=1)]]
    members: NotRequired[list[Text]]
    verdicts: NotRequired[dict[Name, dict[Name, Whole]]]


_ADAPTER = TypeAdapter(SummaryForm)
_KNOWN = frozenset(SummaryForm.__annotations__)


def fault(content: object) -> str | None:
    """Returns what is wrong with the content of a summary.json, as `metrics.x: must be …`, or None."""
    try:
        _ADAPTER.validate_python(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(str(part)[:100] for part in first["loc"])
        return f"{place}: {_reworded(first)}" if place else "must be a mapping of fields"
    assert isinstance(content, dict)
    if ("members" in content) != ("seeds" in content):
        return "seeds and members: must both be there, in the summary of a group, or neither"
    key = next((key for key, value in _unlisted(content) if not _within_limits(value, DEEPEST)), None)
    return None if key is None else f"{key[:100]}: is nested too deeply, or holds a text or number too long"


def _unlisted(content: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The fields whose form is free, those of claims and of metrics over seeds among them."""
    for key, value in content.items():
        if key not in _KNOWN:
            yield key, value
    for form, values in ((ClaimForm, content.get("claims", [])), (Spread, content["metrics"].values())):
        for fields in values:
            if isinstance(fields, dict):
                yield from ((key, fields[key]) for key in fields.keys() - form.__annotations__.keys())


def _reworded(error: Any) -> str:
    if error["type"] == "missing":
        return "is missing"
    message = str(error["msg"]).replace("Input should", "must")
    return message[:1].lower() + message[1:]


def _within_limits(value: object, depth: int) -> bool:
    if isinstance(value, dict | list):
        inner = [*value, *value.values()] if isinstance(value, dict) else value
        return depth > 0 and all(_within_limits(item, depth - 1) for item in inner)
    if isinstance(value, str):
        return len(value) <= LONGEST_TEXT
    return not isinstance(value, int) or abs(value) < 10**300
