"""Completes a table's reader by what the training rows alone say: means, constants, and columns of no use."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from nnlab.data.dataset import RawData
from nnlab.data.table.columns import Column
from nnlab.data.table.names import some
from nnlab.data.table.reader import LARGEST, TableReader, complete
from nnlab.errors import DataError

LEAST = torch.finfo(torch.float32).tiny

ROUNDED = 1e-2
"""The part of a column's spread that rounding may change before it is told."""


def completion(reader: TableReader, path: Path) -> Callable[[RawData, Tensor, bool, torch.dtype], RawData]:
    """Returns what completes a table's data once its training rows are known.

    Missing values become the means of the training rows. A column that is constant in all of them is made so
    in every row: nothing can be learned from it, and an untrained weight would meet other values.
    The function takes the data, the positions of the rows that stay in the training, whether inputs are
    standardized, and the type that they will have; it raises DataError where a column can neither be
    standardized nor be left as it is.
    """

    def finish(raw: RawData, kept: Tensor, standardize: bool, dtype: torch.dtype) -> RawData:
        trained, notes = _trained(reader, raw.train.inputs[kept], path)
        train, test = (
            replace(split, inputs=complete(split.inputs, trained.columns)[0])
            for split in (raw.train, raw.test)
        )
        more = [] if raw.test is raw.train else _changed(trained, raw, kept)
        spread = _Spread(path, trained, train.inputs[kept], torch.cat([train.inputs, test.inputs]))
        notes += [*more, *spread.notes(standardize, dtype)]
        if raw.task == "regression":
            spread.check_target(train.targets[kept], reader.target)
        return replace(raw, train=train, test=test, reader=trained, notes=(*raw.notes, *notes))

    return finish


def _trained(reader: TableReader, inputs: Tensor, path: Path) -> tuple[TableReader, list[str]]:
    columns, notes = [], []
    for column, (begin, end) in zip(reader.columns, reader.inputs_of, strict=True):
        part = inputs[:, begin:end]
        if reader.missing == "mean":
            if bool(part.isnan().all(0).any()):
                raise DataError(
                    f"data.missing: mean: {path}, column {column.name}: no training row has a value; leave "
                    f"it out by data.ignore: [{column.name}]"
                )
            means = part.nanmean(0)
            part = torch.where(part.isnan(), means, part)
        else:
            means = torch.zeros(0, dtype=torch.float64)
        constant = (part == part[:1]).all(0).tolist()
        first = part[0].tolist()
        columns.append(
            column.trained(
                means.tolist(), [v if same else None for v, same in zip(first, constant, strict=True)]
            )
        )
        notes += _constant_note(column, constant, first)
    return replace(reader, columns=tuple(columns)), notes


def _constant_note(column: Column, constant: list[bool], first: list[float]) -> list[str]:
    if column.kind == "category":
        out = [name for name, same in zip(column.categories, constant, strict=True) if same]
        if out and len(column.categories) > len(out):
            return [f"column {column.name}: no training row tells anything about {some(out)}"]
    if not all(constant):
        return []
    value = column.categories[first.index(max(first))] if column.kind == "category" else f"{first[0]:.15g}"
    return [
        f"column {column.name} is {value} in every training row: it tells nothing and counts for nothing; "
        f"data.ignore: [{column.name}] leaves it out"
    ]


def _changed(reader: TableReader, raw: RawData, kept: Tensor) -> list[str]:
    """Notes about held-out rows that differ where all training rows are equal."""
    held = torch.ones(len(raw.train), dtype=torch.bool)
    held[kept] = False
    return complete(torch.cat([raw.train.inputs[held], raw.test.inputs]), reader.columns)[1]


class _Spread:
    """The size of each input and of its spread, by which float numbers can fail to hold it."""

    def __init__(self, path: Path, reader: TableReader, kept: Tensor, everything: Tensor) -> None:
        self.path, self.reader = path, reader
        self.mean = kept.mean(0)
        self.size = kept.abs().amax(0)
        self.std = _std(kept)
        self.reach = (everything - self.mean).abs().amax(0)
        self.constant = (kept == kept[:1]).all(0)

    def notes(self, standardize: bool, dtype: torch.dtype) -> list[str]:
        """Returns a note for each column that loses digits.

        Raises:
            DataError: a column's spread is too small, or its values are too large beside it.
        """
        notes = []
        for k in torch.nonzero(~self.constant)[:, 0].tolist():
            name = self.reader.column_of(k).name
            std, size = self.std[k].item(), self.size[k].item()
            if std < LEAST:
                raise DataError(
                    f"{self.path}, column {name}: it cannot be standardized: its standard deviation over the "
                    f"training rows, {std:.3g}, is below the least that float32 holds, {LEAST:.2g}; write it "
                    f"in smaller units, or leave it out by data.ignore: [{name}]"
                )
            if standardize and self.reach[k].item() / std > LARGEST:
                raise DataError(
                    f"{self.path}, column {name}: it cannot be standardized: a row lies "
                    f"{self.reach[k].item():.3g} from the mean, and the standard deviation over the training "
                    f"rows is {std:.3g}; mend the row, or leave the column out by data.ignore: [{name}]"
                )
            kind, remedy = torch.float64, "subtract a constant from it in the table"
            if not standardize:
                kind, remedy = torch.promote_types(dtype, torch.float32), "set data.standardize: true"
            if size * torch.finfo(kind).eps / 2 > ROUNDED * std:
                notes.append(
                    f"column {name}: its values are about {size:.3g} and differ by about {std:.3g}, which "
                    f"{str(kind).removeprefix('torch.')} rounds away; {remedy}"
                )
        return notes

    def check_target(self, targets: Tensor, name: str) -> None:
        """Raises DataError where the target's spread is too small for float32."""
        if (targets == targets[:1]).all():
            return
        std = _std(targets).min().item()
        if std < LEAST:
            raise DataError(
                f"{self.path}, column {name}: the target's standard deviation over the training "
                f"rows, {std:.3g}, is below the least that float32 holds, {LEAST:.2g}; write it in smaller "
                "units"
            )


def _std(values: Tensor) -> Tensor:
    """Standard deviation per column of (N, k), also where the squares of its deviations underflow."""
    deviations = values - values.mean(0)
    scale = deviations.abs().amax(0)
    scale = torch.where(scale == 0, 1.0, scale)
    return scale * (deviations / scale).square().mean(0).sqrt()
