"""Kinks and jumps in sentences: at which operations, and what the function does to either side."""

from nnlab.chapters.backpropagation.build import Worksheet
from nnlab.chapters.backpropagation.checks import Checks
from nnlab.chapters.backpropagation.kinks import Entry, Sides, sentence
from nnlab.chapters.backpropagation.notation import Notation
from nnlab.chapters.backpropagation.numbers import apart, number

MANY = 10
"""Of more sentences the others are counted."""


def notes(sheet: Worksheet, checks: Checks, notation: Notation, digits: int = 4) -> list[str]:
    """The sentences, in a notation; where that is TeX, formulas stand between dollar signs."""
    writer = _Writer(sheet, notation, digits)
    kinks = [
        f"{'kink' if kink.is_certain else 'possible kink'}: {sentence(sheet, kink.index, notation)}"
        for kink in checks.kinks
    ]
    kinks += [
        f"possible kink: by differences {writer.bend((found.variable, found.entry), found.left, found.right)}"
        for check in checks.variables
        for found in check.differences
        if found.bends and (found.variable, found.entry) not in checks.sides
    ]
    sides = [writer.sides(entry, found) for entry, found in checks.sides.items() if found.is_known]
    return [*_some(kinks), *_some(sides)]


def _some(lines: list[str]) -> list[str]:
    left_out = len(lines) - MANY
    return lines if left_out <= 0 else [*lines[:MANY], f"and {left_out:,} more like these; --json has all"]


class _Writer:
    """Writes what the function of a worksheet does along an entry of a variable."""

    def __init__(self, sheet: Worksheet, notation: Notation, digits: int) -> None:
        self.sheet, self.notation, self.digits = sheet, notation, digits
        self.names = {line.name: notation.names[line.index] for line in sheet.lines}

    def sides(self, entry: Entry, found: Sides) -> str:
        """A kink or a jump."""
        variable, place = entry
        if found.jumps:
            at = self.notation.number(number(float(self.sheet.at[variable][place]), self.digits))
            where, result = (
                self.notation.formula(self._entry(entry)),
                self.notation.formula(self.notation.result),
            )
            below, here, above = self._apart(found.below, self.sheet.value, found.above)
            return f"jump at {where} = {at}: {result} is {below} just below, {here} there, {above} just above"
        used = float(self.sheet.gradients[variable][place])
        if found.left != found.right:
            return f"kink: {self.bend(entry, found.left, found.right)}"
        slope, other = self._apart(found.left, used)
        return f"kink: {self._slope(entry)} is {slope} to either side; the slopes used give {other}"

    def bend(self, entry: Entry, left: float, right: float) -> str:
        """Two slopes."""
        return f"{self._slope(entry)} is {' to the left, '.join(self._apart(left, right))} to the right"

    def _slope(self, entry: Entry) -> str:
        return self.notation.formula(self.notation.gradient(self._entry(entry)))

    def _entry(self, entry: Entry) -> str:
        variable, place = entry
        return self.names[variable] + "".join(f"[{i}]" for i in place)

    def _apart(self, *values: float) -> list[str]:
        return [self.notation.number(text) for text in apart(values, self.digits)]
