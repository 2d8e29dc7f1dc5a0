"""One sentence for each way in which a config does not fit its sections."""

import re
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from nnlab.errors import suggest
from nnlab.lab.source import Source, as_yaml


@dataclass(frozen=True)
class Mistake:
    """A value of a config that does not fit.

    Attributes:
        key: dotted, as for --set; empty for the whole.
        where: the file and line, or the flag, that the value came from.
        sentence: what is wrong with it.
    """

    key: str
    where: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.where}: {self.sentence}"


def explain(error: dict[str, Any], source: Source, cls: type[BaseModel]) -> Mistake:
    """The mistake of one pydantic error."""
    path = _without_tags(error["loc"], source.values, missing=error["type"] == "missing")
    key, kind, ctx = ".".join(map(str, path)), error["type"], error.get("ctx", {})
    value = as_yaml(error["input"])

    def mistake(sentence: str, *inner: str) -> Mistake:
        whole = (*path, *inner)
        return Mistake(".".join(map(str, whole)), source.origin(whole), sentence)

    if kind == "extra_forbidden":
        allowed = sorted({key for c in _classes_at(cls, source.values, path[:-1]) for key in c.model_fields})
        return mistake(f"unknown key {key} (value {value}); {suggest(str(path[-1]), allowed)}")
    if kind == "missing":
        return mistake(f"the key {key} is missing; it has no default")
    if kind in ("union_tag_not_found", "union_tag_invalid"):
        names = sorted({name for c in _classes_at(cls, source.values, path) for name in _names(c)})
        if kind == "union_tag_not_found":
            return mistake(f"{key} must be a mapping with a key name. Names: {', '.join(names)}")
        tag = as_yaml(error["input"].get("name"))
        return mistake(f"{key}.name: {tag} is unknown; {suggest(tag, names)}", "name")
    if kind in ("model_attributes_type", "model_type"):
        return mistake(f"{key}: {value} must be a mapping (`key: value` lines)")
    if kind == "invalid-json-value":
        return mistake(f"{key}: {value} must be text, a number, true, false, a list or a mapping")
    if kind == "literal_error":
        allowed = [word.strip("' ") for word in ctx["expected"].replace(" or ", ", ").split(",")]
        return mistake(f"{key}: {value} is not allowed; {suggest(str(error['input']), allowed)}")
    if kind == "value_error":
        problem = str(ctx["error"])
        inner = re.match(r"[a-z_0-9.]+(?=:)", problem)  # a section's check names the key that is at fault
        if inner is None:
            return mistake(f"{key}: {value} {problem}")
        return mistake(f"{key + '.' if key else ''}{problem}", *inner.group().split("."))
    if kind == "invalid_key" or error["loc"][-1:] == ("[key]",):
        return mistake(f"the key {value} is not a word; put it in quotes if it is meant as one")
    problem = re.sub(r"^\w+ should", "must", error["msg"]).replace(" after validation", "")
    return mistake(f"{key}: {value} {problem}")


def _without_tags(loc: tuple[str | int, ...], values: Any, *, missing: bool) -> tuple[str | int, ...]:
    """pydantic puts the chosen `name` of a section into the path; a reader does not want it there."""
    path, entered = list[str | int](), False
    for position, part in enumerate(loc):
        if entered and isinstance(values, dict) and values.get("name") == part:
            entered = False  # the name of points is points, as one of their keys is
            continue
        entered = True
        try:
            values = values[part]
        except (LookupError, TypeError):  # a tag, or the key that is missing
            if not missing or position < len(loc) - 1:
                continue
        path.append(part)
    return tuple(path)


def _sections(annotation: object) -> list[type[BaseModel]]:
    """The section classes that an annotation names, through unions and Annotated."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [cls for part in typing.get_args(annotation) for cls in _sections(part)]


def _names(cls: type[BaseModel]) -> list[str]:
    """The values of the key `name` by which a section class is chosen."""
    name = cls.model_fields.get("name")
    return [str(n) for n in typing.get_args(name.annotation)] if name else []


def _classes_at(cls: type[BaseModel], values: object, path: Sequence[str | int]) -> list[type[BaseModel]]:
    """The classes that the value at `path` might have to fit."""
    classes = [cls]
    for part in map(str, path):
        values = values.get(part) if isinstance(values, dict) else None
        annotations = [c.model_fields[part].annotation for c in classes if part in c.model_fields]
        classes = [section for annotation in annotations for section in _sections(annotation)]
        if isinstance(values, dict) and len(classes) > 1:
            classes = [c for c in classes if values.get("name") in _names(c)] or classes
    return classes
