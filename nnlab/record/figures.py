"""Figures as calls that can be repeated: a public function of ours, and its arguments.

`figures.json` holds for each figure the function and the arguments as JSON; numbers in arrays stand in
`arrays.npz` and are named there. A file that someone else made can therefore call nothing but the functions
of `nnlab.plot` and of the chapters' `figures`, with numbers and texts.

Values that JSON cannot tell apart are objects with one key that starts with `$`:

| JSON | value |
| --- | --- |
| `{"$array": "curve/train/loss"}` | an array of `arrays.npz`; with `"as"`, its numbers or rows in a list |
| `{"$number": "inf"}` | a number that JSON lacks |
| `{"$tuple": […]}`, `{"$items": [[key, value], …]}` | a tuple; a mapping whose keys are no texts |
| `{"$object": "nnlab.…:Problem", "fields": {…}}` | one of the dataclasses that the functions take |
"""

import dataclasses
import hashlib
import importlib
import inspect
import json
import math
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nnlab.errors import RunFolderError
from nnlab.files import read_whole
from nnlab.record import schema

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from nnlab.record.reading import Run

Array = NDArray[Any]

_MODULES = re.compile(r"nnlab\.plot\.\w+|nnlab\.chapters(\.\w+)*\.figures(\.\w+)*")
_OBJECTS = ("nnlab.models.summary:LayerRow",)  # beside the dataclasses of these modules
_LONG = 16  # numbers in a list, from which on they are kept as an array
_FEW = 4  # arrays in a list, which are kept one by one: they may have names already
_KINDS = "biufU"  # of arrays that can be kept without pickle: no objects, no times
_DEEP = 24  # levels of lists and mappings in an argument
CALL_BYTES = 64 * 2**20  # of figures.json


class NotRepeatable(TypeError):
    """A call that cannot be kept: its function is none of ours, or an argument has no place in the files."""


@dataclass(frozen=True)
class Call:
    """The call of a figure function.

    Attributes:
        function: `module:name`.
        arguments: by the names of the parameters, as JSON.
    """

    function: str
    arguments: Mapping[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """Returns the call as figures.json holds it."""
        return {"function": self.function, "arguments": dict(self.arguments)}

    def values(self, arrays: Mapping[str, Array]) -> dict[str, Any]:
        """Returns the arguments. Raises ValueError or LookupError where they are damaged."""
        return {name: _decode(value, arrays) for name, value in self.arguments.items()}

    def draw(self, arrays: Mapping[str, Array]) -> "Figure":
        """Calls the function.

        Args:
            arrays: those of the run, by name.
        """
        figure: Figure = function_of(self.function)(**self.values(arrays))
        return figure


class Kept:
    """The arrays of a run by name. What is in it twice is kept once."""

    def __init__(self) -> None:
        self.arrays: dict[str, Array] = {}
        self._names: dict[tuple[Any, ...], str] = {}  # content -> name

    def save(self, name: str, array: Any) -> None:
        """Keeps an array under its name. What another object may still change is copied."""
        values = np.asarray(array)
        self.arrays[name] = values if values.flags.owndata else values.copy()
        if values.dtype.kind in _KINDS:
            self._names.setdefault(_content(values), name)

    def name_of(self, array: Array, wanted: str) -> str:
        """Returns the name of an array with this content; without one it is kept under the wanted name."""
        content = _content(array)
        name = self._names.get(content)
        if name is not None and _content(self.arrays[name]) == content:  # it may have been replaced
            return name
        self.save(wanted, array)
        return wanted


def call_of(
    name: str,
    function: Callable[..., "Figure"],
    arguments: Sequence[Any],
    keywords: Mapping[str, Any],
    kept: Kept,
) -> Call:
    """Returns the call as it can be written; its arrays are added to those that are kept.

    Raises:
        NotRepeatable: the function is not public, not one of `nnlab.plot` and the chapters' `figures`, or
            returns no figure; an argument is neither numbers nor text, nor made of such.
    """
    reference = f"{getattr(function, '__module__', '')}:{getattr(function, '__name__', '')}"
    if function_of(reference) is not function:
        raise NotRepeatable(f"{reference}: is not the function of that name")
    bound = inspect.signature(function).bind(*arguments, **keywords)
    values = {
        key: _encode(value, f"{schema.FIGURES}/{name}/{key}", kept) for key, value in bound.arguments.items()
    }
    return Call(reference, values)


def function_of(reference: str) -> Callable[..., "Figure"]:
    """Returns the figure function `module:name`. Raises NotRepeatable where it is none of ours."""
    function = _attribute(reference)
    result = inspect.signature(function).return_annotation if inspect.isfunction(function) else None
    if getattr(result, "__name__", result) != "Figure":
        raise NotRepeatable(f"{reference}: is no function that draws a figure of nnlab")
    return function  # type: ignore[no-any-return]


def _attribute(reference: str) -> Any:
    """Returns what a module of figures defines under a public name."""
    module, _, name = reference.partition(":")
    if not (reference in _OBJECTS or _MODULES.fullmatch(module)) or name.startswith("_"):
        raise NotRepeatable(f"{reference}: is no function that draws a figure of nnlab")
    try:
        value = getattr(importlib.import_module(module), name, None)
    except ImportError:
        value = None
    if getattr(value, "__module__", None) != module:
        raise NotRepeatable(f"{reference}: nnlab has no such function")
    return value


# --- arguments as JSON ----------------------------------------------------------------------------------


def _content(array: Array) -> tuple[Any, ...]:
    digest = hashlib.blake2b(np.ascontiguousarray(array).view(np.uint8).data if array.size else b"")
    return array.dtype.str, array.shape, digest.digest()


def _encode(value: Any, path: str, kept: Kept) -> Any:
    """Returns a value as JSON; `path` is the name of an array that is not kept yet."""
    if value is None or (isinstance(value, bool | int | str) and not isinstance(value, np.generic)):
        return value
    if isinstance(value, np.generic):
        return _encode(value.item(), path, kept)
    if isinstance(value, float):
        return value if math.isfinite(value) else {"$number": str(value)}
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in _KINDS:
            raise NotRepeatable(f"{path}: an array of {value.dtype} cannot be kept")
        return {"$array": kept.name_of(value, path)}
    if isinstance(value, list | tuple | range):
        return _encode_list(value, path, kept)
    if isinstance(value, Mapping):
        if all(isinstance(key, str) and not key.startswith("$") for key in value):
            return {key: _encode(item, f"{path}/{key}", kept) for key, item in value.items()}
        pairs = [[_key(key), _encode(item, f"{path}/{key}", kept)] for key, item in value.items()]
        return {"$items": pairs}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        kind = f"{type(value).__module__}:{type(value).__qualname__}"
        _attribute(kind)
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value) if field.init}
        return {
            "$object": kind,
            "fields": {key: _encode(v, f"{path}/{key}", kept) for key, v in fields.items()},
        }
    raise NotRepeatable(f"{path}: a value of type {type(value).__name__} cannot be kept")


def _encode_list(value: Sequence[Any], path: str, kept: Kept) -> Any:
    kind = "tuple" if isinstance(value, tuple) else "list"
    array = _as_array(value)
    if array is not None:
        return {
            "$array": kept.name_of(array, path),
            "as": f"{kind} of {'rows' if array.ndim > 1 else 'numbers'}",
        }
    items = [_encode(item, f"{path}/{index}", kept) for index, item in enumerate(value)]
    return {"$tuple": items} if kind == "tuple" else items


def _as_array(value: Sequence[Any]) -> Array | None:
    """Returns many numbers of one type, or several arrays of one form, as one array; else None."""
    if len(value) > _FEW and all(isinstance(item, np.ndarray) and item.ndim for item in value):
        if len({(item.dtype, item.shape) for item in value}) == 1 and value[0].dtype.kind in _KINDS:
            return np.stack(list(value))
        return None
    if len(value) < _LONG:
        return None
    if all(type(item) is float for item in value):
        return np.array(value, np.float64)
    if all(type(item) is int and abs(item) < 2**63 for item in value):
        return np.array(value, np.int64)
    return None


def _key(key: Any) -> Any:
    if isinstance(key, np.generic):
        key = key.item()
    if (isinstance(key, float) and math.isfinite(key)) or key is None or isinstance(key, str | int):
        return key
    raise NotRepeatable(f"a mapping with the key {key!r} cannot be kept")


def _decode(value: Any, arrays: Mapping[str, Array], depth: int = 0) -> Any:
    """Returns the value that JSON stands for. Raises ValueError or LookupError where it stands for none."""
    if depth > _DEEP:
        raise ValueError("nested too deeply")

    def inner(item: Any) -> Any:
        return _decode(item, arrays, depth + 1)

    if isinstance(value, list):
        return [inner(item) for item in value]
    if not isinstance(value, dict):
        return value
    tag = next((key for key in value if key.startswith("$")), None)
    if tag is None:
        return {key: inner(item) for key, item in value.items()}
    content = value[tag]
    if tag == "$array":
        return _decode_array(arrays[content], value.get("as"))
    if tag == "$number" and content in ("nan", "inf", "-inf"):
        return float(content)
    if tag == "$tuple":
        return tuple(map(inner, content))
    if tag == "$items":
        return {key: inner(item) for key, item in content}
    if tag == "$object":
        kind = _attribute(str(content))
        if not (isinstance(kind, type) and dataclasses.is_dataclass(kind)):
            raise ValueError(f"{content}: is no form of values")
        return kind(**{key: inner(item) for key, item in value["fields"].items()})
    raise ValueError(f"{tag}: is no form of values")


def _decode_array(array: Array, form: object) -> Any:
    if form is None:
        return array
    kind, _, parts = str(form).partition(" of ")
    items = list(array) if parts == "rows" else array.tolist()
    return tuple(items) if kind == "tuple" else items


# --- figures.json ---------------------------------------------------------------------------------------


def described(names: Sequence[str], known: Mapping[str, str], calls: Mapping[str, Call]) -> dict[str, str]:
    """Returns what each array is: its axes, and units.

    Args:
        names: of arrays.
        known: pattern of names (`curve/*/loss`) -> description; the first one that fits holds.
        calls: what arrays that belong to one figure are, its function says in its docstring.
    """
    texts = {}
    for name in names:
        texts[name] = next((text for pattern, text in known.items() if fnmatchcase(name, pattern)), "")
        if not texts[name] and name.startswith(f"{schema.FIGURES}/"):
            texts[name] = _argument_text(name, calls)
    return texts


def _argument_text(name: str, calls: Mapping[str, Call]) -> str:
    """Returns the words of a docstring on the parameter that an array belongs to."""
    figure, _, rest = name.removeprefix(f"{schema.FIGURES}/").partition("/")
    parameter, _, inside = rest.partition("/")
    if figure not in calls:
        return ""
    function = calls[figure].function
    lines = (inspect.getdoc(function_of(function)) or "").splitlines()
    text: list[str] = []
    for line in lines:
        match = re.match(r"    (\w[\w, ]*): (.*)", line)
        if match:
            text = [match[2]] if not text and parameter in match[1].split(", ") else text
            if text and parameter not in match[1].split(", "):
                break
        elif text:
            if not line.startswith("        "):
                break
            text.append(line.strip())
    where = f"; here {inside}" if inside else ""
    return f"Of the figure {figure}, {parameter}: {' '.join(text) or f'see {function}'}{where}"


def json_of(calls: Mapping[str, Call], axes: Mapping[str, str]) -> bytes:
    """Returns the content of figures.json; names that are no Unicode, as files have them, stay readable."""
    content = {
        "schema_version": schema.SCHEMA_VERSION,
        "figures": {name: call.as_dict() for name, call in calls.items()},
        "axes": dict(axes),
    }
    return (json.dumps(content, indent=1, allow_nan=False) + "\n").encode()


def _is_file_name(name: str) -> bool:
    return name not in ("", ".", "..") and not set(name) & set("/\\\0")


def calls_of(run: "Run") -> dict[str, Call]:
    """Returns the figures of a run folder, by name.

    Raises:
        RunFolderError: the folder has no figures.json, or one that is damaged.
    """
    path = run.folder / schema.FIGURE_CALLS
    try:
        if not path.resolve().is_relative_to(run.folder.resolve()):
            raise RunFolderError(f"{path}: is a link that leads out of the run folder")
        content = json.loads(read_whole(path, CALL_BYTES))["figures"]
        if not all(_is_file_name(name) for name in content):
            raise ValueError("the name of a figure is no bare file name")
        return {name: Call(str(call["function"]), dict(call["arguments"])) for name, call in content.items()}
    except FileNotFoundError:
        raise RunFolderError(f"{run.folder}: {_why_no_calls(run)}") from None
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise RunFolderError(f"{path}: is damaged: {type(error).__name__}: {error}") from None


def _why_no_calls(run: "Run") -> str:
    """Says why a run folder has no figures.json, and what to do."""
    inside = sorted(str(file.parent) for file in run.folder.glob(f"runs/*/*/{schema.FIGURE_CALLS}"))
    if inside:
        listed = "".join(f"\n  {folder}" for folder in inside)
        return f"has no figures of its own; each of its runs has, draw those of one:{listed}"
    if run.status == "running":
        return "is running; its figures are known when its numbers are"
    if run.status in ("killed", "interrupted", "failed"):
        return (
            f"has no figures yet, as it was cut off ({run.status}). Go on with it: nnlab train --resume "
            f"{shlex.quote(str(run.folder))}"
        )
    if run.status == "diverged":
        return "diverged, before it had any figures"
    return (
        f"has no {schema.FIGURE_CALLS}, which tells how its figures are drawn: an earlier version of nnlab "
        f"made it. Run it again: nnlab train --config {shlex.quote(str(run.folder / schema.CONFIG))}"
    )
