"""Readers, which loaders leave behind to read new examples in the way of the training data."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

from torch import Tensor


@dataclass(frozen=True, eq=False)
class NewExamples:
    """Examples that a reader has read from a file or a folder.

    Attributes:
        inputs: (N, *input_shape) in raw units, of the type and order of `RawData.train.inputs`: float64 for
            tables, uint8 for images.
        targets: (N,) int64 class labels or (N, C) float64 in original units, as in `RawData.train.targets`;
            None where there are none.
        labels: N texts that tell the examples apart: the number of a table's row, or the name of a file.
        notes: what a user should know about how the files were read.
    """

    inputs: Tensor
    targets: Tensor | None
    labels: list[str]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.inputs)


class Reader(Protocol):
    """Reads new examples exactly as a loader read the training data: a frozen object, kept as JSON.

    Attributes:
        kind: names the class among all readers, `table` or `images`; `as_dict` has it under the key `kind`.
    """

    kind: ClassVar[str]

    def as_dict(self) -> dict[str, Any]:
        """Returns what JSON can hold; `from_dict` gives an equal reader of it."""

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Self:
        """Returns the reader that `as_dict` described.

        Raises:
            ValueError, KeyError or TypeError: for content that is none of this reader.
        """

    def read(self, path: Path, *, progress: Callable[[int, int], None] | None = None) -> NewExamples:
        """Reads new examples.

        Args:
            path: a file or folder of the form of the training data, with or without targets.
            progress: told how many of all files are read.

        Raises:
            DataError: naming file and place of what does not fit the training data.
        """
