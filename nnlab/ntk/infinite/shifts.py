"""Convolutions and averages of covariances between positions.

A convolution with random filters turns K(p, p') into the sum over the offsets Δ of its kernel of
K(p + Δ, p' + Δ): a sum over shifted diagonals, one axis after the other, over both arguments at once. Behind
the edge there are zeros. A covariance is 0 there; a half squared distance, ½E[(u − v)²], is half of the other
variance if one of the two positions is behind the edge, and 0 if both are.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from nnlab.ntk.infinite.nodes import Window


def shifted_sum(values: Tensor, windows: Sequence[Window], first: int) -> Tensor:
    """Sums of values over the window of each output, along the axes from `first` on, with zeros behind
    edges."""
    for axis, window in enumerate(windows, start=first):
        shape = list(values.shape)
        shape[axis] = window.after
        summed = values.new_zeros(shape)
        for offset in range(window.kernel):
            seen = window.valid(offset)
            if seen:
                summed[_at(axis, _slice(seen))].add_(values[_at(axis, _seen(window, offset, seen))])
        values = summed
    return values


class DiagonalSums:
    """K(p, p') to Σ_Δ K(p + Δ, p' + Δ), some outputs p at a time so that they stay in the processor's
    cache."""

    def __init__(self, windows: Sequence[Window], halves: tuple[Tensor, Tensor] | None = None) -> None:
        """
        Args:
            windows: one for each axis of space, one or two of them.
            halves: half the variances, (r, 1, *space) and (1, s, *space), if K holds half squared distances.
        """
        self._windows = windows
        self._axes = len(windows)
        self._room: Tensor | None = None
        self._halves: list[tuple[Tensor, Tensor]] | None = None
        if halves is not None:
            left, right = halves
            self._halves = []
            for axis in range(self._axes):
                self._halves.append((self._spread(left, axis=2), self._spread(right, axis=2 + self._axes)))
                left, right = (
                    shifted_sum(half, windows[axis : axis + 1], 2 + axis) for half in (left, right)
                )

    def _between(self, source: Tensor, axis: int, outputs: int, after: int) -> Tensor:
        """Room for the sums along one axis, the same one for all rows that have its shape."""
        shape = list(source.shape)
        shape[2 + axis], shape[2 + axis + self._axes] = outputs, after
        if self._room is None or list(self._room.shape) != shape:
            self._room = source.new_empty(shape)
        return self._room

    def _spread(self, half: Tensor, axis: int) -> Tensor:
        """Variances with axes of length 1 for the other position."""
        shape = [*half.shape[:2], *[1] * (2 * self._axes)]
        shape[axis : axis + self._axes] = half.shape[2:]
        return half.reshape(shape)

    def rows(self, source: Tensor, outputs: range, out: Tensor) -> Tensor:
        """Writes the outputs p of which the first coordinate is in a range.

        Args:
            source: (r, s, *space, *space).
            outputs: the first coordinates.
            out: (r, s, len(outputs), …): where they go.

        Returns:
            The same tensor.
        """
        everything = [range(outputs.start, outputs.stop), *(range(w.after) for w in self._windows[1:])]
        for axis, window in enumerate(self._windows):
            if axis == self._axes - 1:
                target = out
            else:
                target = self._between(source, axis, len(everything[axis]), window.after)
            halves = None if self._halves is None else self._halves[axis]
            if axis > 0 and halves is not None:  # of the rows that are worked on
                halves = halves[0][_at(2, _slice(outputs))], halves[1]
            _add_diagonals(
                target, source, (2 + axis, 2 + axis + self._axes), window, everything[axis], halves
            )
            source = target
        return out


def _add_diagonals(
    target: Tensor,
    source: Tensor,
    axes: tuple[int, int],
    window: Window,
    outputs: range,
    halves: tuple[Tensor, Tensor] | None,
) -> None:
    """Writes Σ_δ source[p + δ, p' + δ] along a pair of axes, for outputs p in a range and all p'."""
    one, two = axes
    every = range(window.after)
    seen_by = {offset: window.valid(offset) for offset in range(window.kernel)}
    mine_by = {k: range(max(s.start, outputs.start), min(s.stop, outputs.stop)) for k, s in seen_by.items()}
    # an offset that sees something from everywhere goes first, and is written where others are added
    offsets = sorted(seen_by, key=lambda k: seen_by[k] != every or mine_by[k] != outputs)
    if seen_by[offsets[0]] != every or mine_by[offsets[0]] != outputs:
        target.zero_()
    for number, offset in enumerate(offsets):
        seen, mine = seen_by[offset], mine_by[offset]
        rows = _slice(range(mine.start - outputs.start, mine.stop - outputs.start))
        if mine and seen:
            part = source[_at(one, _seen(window, offset, mine), two, _seen(window, offset, seen))]
            if number == 0 and seen == every and mine == outputs:
                target.copy_(part)
            else:
                target[_at(one, rows, two, _slice(seen))].add_(part)
        if halves is None:
            continue
        for hidden in _rest(every, seen):
            if mine and hidden:
                part = halves[0][_at(one, _seen(window, offset, mine))]
                target[_at(one, rows, two, _slice(hidden))].add_(part)
        for hidden in _rest(outputs, mine):
            rows = _slice(range(hidden.start - outputs.start, hidden.stop - outputs.start))
            if seen and hidden:
                part = halves[1][_at(two, _seen(window, offset, seen))]
                target[_at(one, rows, two, _slice(seen))].add_(part)


def averaged(values: Tensor, weights: Sequence[Tensor], first: int) -> Tensor:
    """Weighted averages (after, before) along the axes from `first` on."""
    for axis, weight in enumerate(weights, start=first):
        after, before = weight.shape
        rest = math.prod(values.shape[axis + 1 :])
        shape = (*values.shape[:axis], after, *values.shape[axis + 1 :])
        lines = values.reshape(-1, before, rest)
        if rest == 1:
            values = (lines[..., 0] @ weight.T).reshape(shape)
        else:
            values = torch.matmul(weight, lines).reshape(shape)
    return values


def _rest(whole: range, part: range) -> tuple[range, range]:
    """The parts of a range before and behind a part of it."""
    if not part:
        return whole, range(0)
    return range(whole.start, part.start), range(part.stop, whole.stop)


def _slice(outputs: range) -> slice:
    return slice(outputs.start, outputs.stop)


def _seen(window: Window, offset: int, outputs: range) -> slice:
    """The positions that some outputs see at an offset of the kernel."""
    start = window.start(offset)
    return slice(
        start + window.stride * outputs.start,
        start + window.stride * (outputs.stop - 1) + 1,
        window.stride,
    )


def _at(axis: int, some: slice, axis2: int | None = None, some2: slice | None = None) -> tuple[slice, ...]:
    """An index that takes a slice of one or two axes, the second behind the first."""
    index = [slice(None)] * axis + [some]
    if axis2 is not None and some2 is not None:
        index += [slice(None)] * (axis2 - axis - 1) + [some2]
    return tuple(index)
