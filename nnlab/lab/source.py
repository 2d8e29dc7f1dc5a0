"""Configs before they are checked, with the origin of each value; and values as YAML text."""

import math
from dataclasses import dataclass, field
from typing import Any

import yaml
from pydantic import BaseModel

from nnlab.errors import ConfigError, InputError
from nnlab.safe_yaml import Loader, load


class _Dumper(yaml.SafeDumper):
    """SafeDumper that puts text in quotes where any reader would take a number: 1e5, 010, 1:30."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - a table of PyYAML's class
        first: [*pairs, *yaml.SafeDumper.yaml_implicit_resolvers.get(first, [])]
        for first, pairs in Loader.yaml_implicit_resolvers.items()
    }


def dumped(value: object, **options: Any) -> str:
    """A value as YAML text."""
    text: str = yaml.dump(value, Dumper=_Dumper, **options)
    return text


def as_yaml(value: object) -> str:
    """A value as one would write it in YAML, short enough for a message."""
    if isinstance(value, BaseModel):
        value = value.model_dump()
    if value is None:
        return "nothing"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    plain = isinstance(value, str | int | float | bool | list | dict)
    text = dumped(value, default_flow_style=True, width=10**6, allow_unicode=True) if plain else str(value)
    return short(text.replace("\n...\n", ""))


def short(text: str) -> str:
    """The text on one line of at most 80 characters."""
    line = " ".join(text.split())
    return line if len(line) <= 80 else line[:77] + "..."


def parse_yaml(text: str, where: str) -> Any:
    """The value of a YAML text, by the safe loader. Raises ConfigError with file and line."""
    try:
        return load(text, where)
    except InputError as error:
        raise ConfigError(str(error)) from None


@dataclass
class Source:
    """A config before it is checked: its values, and the file or flag that each of them came from."""

    where: str
    text: str = field(repr=False)
    values: dict[str, Any]
    overrides: dict[tuple[str, ...], str] = field(default_factory=dict)

    def origin(self, path: tuple[str | int, ...]) -> str:
        """`FILE, line N` or `--set KEY=VALUE`, for the value at `path`."""
        for length in range(len(path), 0, -1):
            key = tuple(str(part) for part in path[:length])
            if key in self.overrides:
                return self.overrides[key]
        below = [o for key, o in self.overrides.items() if key[: len(path)] == tuple(map(str, path))]
        if below and _line_of(self.text, path[:1]) is None:
            return below[0]  # the flag that made the mapping
        line = _line_of(self.text, path)
        return f"{self.where}, line {line}" if line else self.where

    def override(self, path: tuple[str, ...], value: Any, origin: str) -> None:
        """Puts `value` at `path`, making the mappings on the way where there are none."""
        mapping = self.values
        for depth, part in enumerate(path[:-1]):
            below = mapping.setdefault(part, {})
            if not isinstance(below, dict):
                raise ConfigError(
                    f"{origin}: {'.'.join(path[: depth + 1])} is {as_yaml(below)}, which has no keys below it"
                )
            mapping = below
        mapping[path[-1]] = value
        self.overrides[path] = origin


def _line_of(text: str, path: tuple[str | int, ...]) -> int | None:
    try:
        node = yaml.compose(text, Loader=Loader)
    except yaml.YAMLError:
        return None
    line: int | None = None
    for part in path:
        if isinstance(node, yaml.MappingNode):
            pair = next(((k, v) for k, v in node.value if k.value == str(part)), None)
            if pair is None:
                return line
            line, node = pair[0].start_mark.line + 1, pair[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
        else:
            return line
    return line
