"""Faults that claims must catch: changes of one line of nnlab, each with the claims that it turns to FAIL.

`tests/plant_faults.py` plants them in a copy; the page of the lecture names them beside their claims.
"""

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from nnlab import safe_yaml

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Fault:
    """A mistake in a line of nnlab's own code.

    Attributes:
        chapter: the name of the YAML file that it stands in.
        name: unique among all faults.
        words: what a person would call the mistake.
        file: that it is in, such as nnlab/approximation/bins.py.
        before: a piece of one line, which occurs once in the file.
        after: what stands there instead.
        lesson: whose claims catch it.
        settings: dotted key -> value, with which the lesson takes seconds.
        fails: names of the claims that it turns to FAIL, with * for any letters.
    """

    chapter: str
    name: str
    words: str
    file: str
    before: str
    after: str
    lesson: str
    fails: Sequence[str]
    settings: Mapping[str, Any] = field(default_factory=dict)


@cache
def read_faults() -> Sequence[Fault]:
    """Reads the table: the entries of all YAML files of this folder, in the order of their names.

    Raises:
        InputError: a file is no YAML.
        TypeError: an entry has too few keys, or one that `Fault` has not.
    """
    return tuple(
        Fault(path.stem, **entry)
        for path in sorted(FOLDER.glob("*.yaml"))
        for entry in safe_yaml.load(path.read_text("utf-8"), str(path)) or []
    )


def caught_by(lesson: str, claim: str) -> list[str]:
    """Returns the words for each fault of the table that this claim of that lesson catches."""
    return [
        fault.words
        for fault in read_faults()
        if fault.lesson == lesson and any(fnmatch.fnmatchcase(claim, name) for name in fault.fails)
    ]
