"""The shipped configs, and the JSON schema that editors check a config with."""

import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnlab.chapters.experiments import EXPERIMENTS
from nnlab.errors import ConfigError
from nnlab.lab.config import check, json_schema, read_source, shipped_configs
from nnlab.lab.source import Source

FOLDER = Path(__file__).parent.parent / "configs"
FILES = sorted(FOLDER.glob("*"))
SCHEMA = json_schema(EXPERIMENTS)
NEEDED = {
    "softmax_digits", "mlp2_digits", "mlp3_digits", "cnn_digits", "softmax_mnist", "mlp2_mnist", "mlp3_mnist",
    "activations", "sgd_vs_gd", "regularization", "separable", "xor",
}  # fmt: skip


def test_every_file_is_a_shipped_config() -> None:
    assert [path.suffix for path in FILES] == [".yaml"] * len(FILES)
    assert shipped_configs() == {path.stem: path for path in FILES}
    assert set(shipped_configs()) >= NEEDED


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_shipped_config_is_good(file: Path) -> None:
    command, about, first, *_ = file.read_text("utf-8").splitlines()
    assert command == f"# nnlab train --config configs/{file.name}"
    assert re.fullmatch(r"# \S.{10,110}\S", about)
    assert first.startswith("experiment: ")
    config = check(read_source(str(file)), EXPERIMENTS)
    assert read_source(file.stem).values == read_source(str(file)).values
    assert type(config) is EXPERIMENTS[config.experiment]


def test_every_experiment_has_a_shipped_config() -> None:
    assert {read_source(str(file)).values["experiment"] for file in FILES} == set(EXPERIMENTS)


# --- the schema -------------------------------------------------------------------------------------

TYPES: dict[str, Any] = {
    "object": dict, "array": list, "string": str, "integer": int, "number": int | float, "boolean": bool,
    "null": type(None),
}  # fmt: skip
READ = {
    "$defs", "$ref", "$schema", "additionalProperties", "anyOf", "const", "default", "description",
    "discriminator", "enum", "exclusiveMaximum", "exclusiveMinimum", "items", "maxItems", "maxLength",
    "maximum", "minItems", "minLength", "minimum", "oneOf", "properties", "required", "title", "type",
}  # fmt: skip


def faults(value: Any, schema: dict[str, Any]) -> Iterator[str]:
    """What is wrong with a value by a JSON schema: as much of draft 2020-12 as nnlab's schema uses."""
    assert set(schema) <= READ, f"this validator does not know {set(schema) - READ}"
    if "$ref" in schema:
        yield from faults(value, SCHEMA["$defs"][schema["$ref"].removeprefix("#/$defs/")])
    for word in {"anyOf", "oneOf"} & set(schema):
        fitting = [part for part in schema[word] if not any(faults(value, part))]
        if not fitting or (word == "oneOf" and len(fitting) > 1):
            yield f"{word}: {len(fitting)} fit {value}"
    kind = schema.get("type")
    if kind is not None and not (
        isinstance(value, TYPES[kind]) and (kind == "boolean") == isinstance(value, bool)
    ):
        yield f"{value} is no {kind}"
        return
    if "const" in schema and value != schema["const"]:
        yield f"{value} is not {schema['const']}"
    if "enum" in schema and value not in schema["enum"]:
        yield f"{value} is not one of {schema['enum']}"
    if isinstance(value, int | float):
        yield from _range_faults(value, schema)
    if isinstance(value, str | list):
        unit = "Length" if isinstance(value, str) else "Items"
        if not schema.get(f"min{unit}", 0) <= len(value) <= schema.get(f"max{unit}", len(value)):
            yield f"{value} is too short or too long"
    if isinstance(value, list):
        yield from (fault for item in value for fault in faults(item, schema.get("items", {})))
    if isinstance(value, dict):
        yield from _object_faults(value, schema)


def _range_faults(value: float, schema: dict[str, Any]) -> Iterator[str]:
    if value < schema.get("minimum", value) or value > schema.get("maximum", value):
        yield f"{value} is out of range"
    if value <= schema.get("exclusiveMinimum", value - 1) or value >= schema.get(
        "exclusiveMaximum", value + 1
    ):
        yield f"{value} is out of range"


def _object_faults(value: dict[str, Any], schema: dict[str, Any]) -> Iterator[str]:
    known, others = schema.get("properties", {}), schema.get("additionalProperties", True)
    yield from (f"{key} is missing" for key in schema.get("required", []) if key not in value)
    for key, item in value.items():
        if key in known:
            yield from faults(item, known[key])
        elif others is False:
            yield f"{key} is unknown"
        elif isinstance(others, dict):
            yield from faults(item, others)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_the_schema_accepts_a_shipped_config(file: Path) -> None:
    assert list(faults(read_source(str(file)).values, SCHEMA)) == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_the_schema_accepts_a_resolved_config(file: Path) -> None:
    config = check(read_source(str(file)), EXPERIMENTS)
    assert list(faults(config.model_dump(mode="json"), SCHEMA)) == []


def _places(values: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The path of every mapping inside a config."""
    if isinstance(values, dict):
        yield path
        for key, item in values.items():
            yield from _places(item, (*path, key))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_the_schema_rejects_a_mistyped_key_at_every_level(file: Path) -> None:
    values = read_source(str(file)).values
    for path in _places(values):
        for key in _at(values, path):
            changed = copy.deepcopy(values)
            place = _at(changed, path)
            place[key + "x"] = place.pop(key)
            assert any(faults(changed, SCHEMA)), (*path, key)


def _at(values: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        values = values[key]
    return values


SCALAR = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 3),
    st.sampled_from([0.5, 1e-3, 2**70, "full", "l1", "tanh", [], [3], {}]),
)


@settings(max_examples=300, deadline=None)
@given(file=st.sampled_from(FILES), data=st.data(), value=SCALAR)
def test_the_schema_accepts_what_the_check_accepts(file: Path, data: st.DataObject, value: Any) -> None:
    """An editor must not mark a config that runs. (The check knows more: how parts fit together.)"""
    values = check(read_source(str(file)), EXPERIMENTS).model_dump(mode="json")
    place = _at(values, data.draw(st.sampled_from(list(_places(values)))))
    place[data.draw(st.sampled_from(sorted(place)))] = value
    try:
        check(Source("c.yaml", "", values), EXPERIMENTS)
    except ConfigError:
        return
    assert list(faults(values, SCHEMA)) == []


def test_the_schema_says_what_editors_need() -> None:
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    mlp = SCHEMA["$defs"]["MLPModel"]
    assert mlp["additionalProperties"] is False
    one, each_layer = mlp["properties"]["activation"]["oneOf"]
    assert "sigmoid" in one["enum"]
    assert each_layer["items"] == one
    assert SCHEMA["$defs"]["Training"]["properties"]["epochs"]["default"] == 30
