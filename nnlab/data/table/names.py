"""Classes and categories: the different texts of a column, and what is odd about them."""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from nnlab.data.table.cells import LONG, exact

_ALIKE = str.maketrans("АВЕЅІЈКМНОРСТХаеѕіјорсухΑΒΕΖΗΙΚΜΝΟΡΤΥΧο", "ABESIJKMHOPCTXaesijopcyxABEZHIKMNOPTYXo")
"""Cyrillic and Greek letters that look like Latin ones."""

_UNSEEN = dict.fromkeys(map(ord, "\u00ad\u200b\u200c\u200d\u2060\ufeff"))


class Names:
    """The classes of a target or the categories of a column, each with its number.

    Attributes:
        names: in their order.
    """

    def __init__(self, names: Sequence[str], decimal: str = ".") -> None:
        self.names = tuple(names)
        self._decimal = decimal
        self._positions = {exact(name, decimal): k for k, name in enumerate(names)}
        self._met: dict[tuple[str, str], int | None] = {}

    def __len__(self) -> int:
        return len(self.names)

    def position(self, text: str, decimal: str | None = None) -> int | None:
        """Returns the number of the name that equals the text, or as a number; None where none does.

        Args:
            text: of a cell.
            decimal: the decimal mark of the cell's table; that of the names if left out.
        """
        key = text, decimal or self._decimal
        if key not in self._met:
            position = self._positions.get(exact(*key))
            self._met[key] = self._positions.get(exact(text, self._decimal)) if position is None else position
        return self._met[key]


def names_of(counts: Mapping[str, int], decimal: str, column: str) -> tuple[list[str], list[str]]:
    """Returns the distinct names of a column, and notes about those that may be the same or are odd.

    Numbers that are equal are one name, by its shortest spelling. The order is alphabetical, or by value
    where all are numbers.

    Args:
        counts: how often each text occurs.
        decimal: the decimal mark of numbers.
        column: its name, for the notes.
    """
    spellings: dict[Decimal | str, list[str]] = {}
    for text in counts:
        spellings.setdefault(exact(text, decimal), []).append(text)
    several = [sorted(texts, key=_plainness) for texts in spellings.values() if len(texts) > 1]
    notes = [f"column {column}: {', '.join(texts)} are one number, and so one class" for texts in several]
    notes = _first(notes)
    numbers = [value for value in spellings if isinstance(value, Decimal)]
    chosen = {value: min(texts, key=_plainness) for value, texts in spellings.items()}
    if len(numbers) == len(spellings):
        return [chosen[value] for value in sorted(numbers)], notes
    if numbers:
        texts = sorted(value for value in spellings if isinstance(value, str))
        digits = some((chosen[value] for value in sorted(numbers)), 3)
        notes.append(f"column {column} mixes numbers and texts: {digits} beside {some(texts, 3)}")
    notes += _look_alikes(chosen.values(), counts, column)
    return sorted(chosen.values()), notes


def _plainness(text: str) -> tuple[int, str]:
    return len(text), text


def _look_alikes(names: Iterable[str], counts: Mapping[str, int], column: str) -> list[str]:
    """A note for each set of names that a reader could take for one another; they stay apart."""
    groups: dict[str, list[str]] = {}
    for name in names:
        plain = unicodedata.normalize("NFKC", name.translate(_UNSEEN)).translate(_ALIKE)
        groups.setdefault(" ".join(plain.casefold().split()), []).append(name)
    notes = []
    for group in groups.values():
        if len(group) > 1:
            alike = " and ".join(f"{show(name)} ({counts[name]})" for name in sorted(group))
            notes.append(
                f"column {column}: {alike} look alike but are different classes; make them equal in the "
                "table if they are one"
            )
    return _first(notes)


def _first(notes: list[str], most: int = 5) -> list[str]:
    """The first of many notes of one kind, the last of which tells how many more there are."""
    if len(notes) <= most:
        return notes
    return [*notes[: most - 1], f"{notes[most - 1]} (and {len(notes) - most:,} more like this)"]


def show(name: str) -> str:
    """Returns a name so that letters which cannot be seen, or look like others, can be told."""
    plain = name.isascii() or (
        name == unicodedata.normalize("NFC", name) and name.translate({**_UNSEEN, **_ALIKE}) == name
    )
    if len(name) > LONG:
        name = f"{name[:LONG]}…"
    return name if plain and name.isprintable() and name == " ".join(name.split()) else ascii(name)


def some(names: Iterable[str], most: int = 5) -> str:
    """Returns the first of the names, so that each can be told, and dots for others."""
    listed = [show(name) for name in names]
    return ", ".join(listed[:most]) + (", …" if len(listed) > most else "")
