"""Reads YAML text as plain values; anything else that the language can do is refused.

`Loader` reads numbers and words as people write them, for configs. `TextLoader` leaves every value as it is
written, for a reader with rules of its own.
"""

import re
from typing import Any

import yaml
from yaml.reader import ReaderError

from nnlab.errors import InputError

MAX_DEPTH = 50
MAX_VALUES = 100_000


class Loader(yaml.SafeLoader):
    """SafeLoader that reads 1e-4 as a number, and refuses accidents and attacks.

    These are: a duplicate key; an alias inside the value that it names; deep nesting; and aliases of aliases
    that unfold to more values than a config could need. Of YAML 1.1's whole numbers it leaves 1:30, which
    is 90, and 010, which is 8, as text.
    """

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._around: list[str | None] = []  # the anchors of the nodes around the one that is read
        self._values = 0  # read so far, with every alias counted as what it stands for
        self._values_below: dict[str, int] = {}  # each anchor

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        anchor: str | None = getattr(event, "anchor", None)
        is_alias = isinstance(event, yaml.AliasEvent)
        if is_alias and anchor in self._around:
            raise _refused(f"*{anchor} stands inside &{anchor}", event.start_mark)
        if len(self._around) >= MAX_DEPTH:
            raise _refused(f"it is nested deeper than {MAX_DEPTH} levels", event.start_mark)
        before = self._values
        self._values += self._values_below.get(str(anchor), 1) if is_alias else 1
        if self._values > MAX_VALUES:
            raise _refused(f"it holds more than {MAX_VALUES:,} values", event.start_mark)
        self._around.append(None if is_alias else anchor)
        node = super().compose_node(parent, index)
        self._around.pop()
        if anchor is not None and not is_alias:
            self._values_below[anchor] = self._values - before
        return node

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        keys = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if (key.tag, key.value) in keys:
                    raise _refused(f"the key {key.value} stands twice", key.start_mark)
                keys.add((key.tag, key.value))
        return node


def _refused(problem: str, mark: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=mark)


def _register_numbers() -> None:
    # YAML 1.1 wants 1.0e-4; people write 1e-4, and mean a number. It reads 1:30 as 90; nobody means that.
    real = re.compile(
        r"^[-+]?(?:[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?|[0-9][0-9_]*[eE][-+]?[0-9]+"
        r"|\.[0-9][0-9_]*(?:[eE][-+]?[0-9]+)?|\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
    )
    whole = re.compile(r"^[-+]?(?:0|[1-9][0-9_]*|0b[01_]+|0x[0-9a-fA-F_]+)$")
    numbers = ("tag:yaml.org,2002:float", "tag:yaml.org,2002:int")
    Loader.yaml_implicit_resolvers = {
        first: [(tag, regexp) for tag, regexp in pairs if tag not in numbers]
        for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    Loader.add_implicit_resolver("tag:yaml.org,2002:float", real, list("-+0123456789."))
    Loader.add_implicit_resolver("tag:yaml.org,2002:int", whole, list("-+0123456789"))


_register_numbers()


class TextLoader(Loader):
    """Loader that takes every value and key for the text that it is: `on`, 1:30 and 1e5 too."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - a table of PyYAML's class


def load(text: str, where: str, loader: type[Loader] = Loader) -> Any:
    """The value of a YAML text. Raises InputError with `where` and the line."""
    try:
        return yaml.load(text, Loader=loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark else ""
        raise InputError(f"{where}{line}: this is not valid YAML: {error.problem}") from None
    except ReaderError as error:
        number = text.count("\n", 0, error.position) + 1
        character: Any = error.character  # a letter, or its number
        code = character if isinstance(character, int) else ord(character)
        raise InputError(
            f"{where}, line {number}: this is not valid YAML: the character U+{code:04X} may not stand in it"
        ) from None
    except (yaml.YAMLError, ValueError, TypeError, AttributeError, LookupError) as error:
        # A value that does not fit its tag, such as !!int "", can raise any of these inside PyYAML.
        reason = " ".join(str(error).split())
        raise InputError(f"{where}: this is not valid YAML: {reason}") from None
