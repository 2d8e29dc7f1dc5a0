"""Curves over the steps of training: names in words, many trainings of one setting as a middle and a band."""

import re
from collections.abc import Iterable
from typing import Any

import numpy as np

from nnlab.display import spoken
from nnlab.page.widget import Widget

FEW = 3  # trainings that differ in their number alone: from here on one line with a band
MANY = 10  # trainings of which a band leaves out the outer tenths
DIGITS = 4

Line = tuple[str, list[float]]
"""A name, and steps and values one after the other."""

_SPLITS = {"train": "training", "val": "validation", "test": "test"}
_METRICS = {
    "lr": "learning rate",
    "change": "relative weight change",
    "predicted_loss": "predicted loss",
    "distance": "distance to the optimum",
    "norm": "norm of the weights",
}
_PARTS = (
    (re.compile(r"(ntk|standard|mup)-1-(.*)"), r"\1, 1 hidden layer, \2"),
    (re.compile(r"(ntk|standard|mup)-(\d+)-(.*)"), r"\1, \2 hidden layers, \3"),
    (re.compile(r"(.*?)\bconstant-m(\d+)"), r"\1one step size for all, m = \2"),
    (re.compile(r"(.*?)\b(?:stable-)?m(\d+)"), r"\1m = \2"),
    (re.compile(r"(l1|l2|elastic_net)-([\d.e-]+)"), r"\1, λ = \2"),
    (re.compile(r"batch-(\w+)"), r"batch size \1"),
    (re.compile(r"mlp-(plain|shuffled)"), r"fully connected, \1 pixels"),
    (re.compile(r"cnn-(plain|shuffled)"), r"convolutional, \1 pixels"),
    (re.compile(r"width (\d+)"), r"m = \1"),
)
_NUMBERED = re.compile(r"(.+?)(?:-|, (?:network|start|seed) )(\d+)")
_SEED = re.compile(r"seed (\d+) ?(.*)")


def curves_widget(lines: dict[str, list[Line]], left_out: int) -> Widget:
    """The interactive figure of the curves of runs.

    Args:
        lines: metric -> its lines, named as in the run: 'l2-0.02/train'.
        left_out: lines that were not read, as a page has no room for more.
    """
    text = "Drag the step to read every line there."
    if left_out:
        text += f" {left_out:,} lines are not drawn: the run folder has them."
    data = {
        metric: {"label": _METRICS.get(metric, spoken(metric).replace("_", " ")), "lines": _folded(each)}
        for metric, each in lines.items()
    }
    return Widget("curves", "Over the steps of training", text, data)


def in_words(part: str) -> str:
    """The name of a part of an experiment as people write it.

    >>> in_words("l2-0.02"), in_words("ntk-1-stable-m64"), in_words("leaky_relu"), in_words("batch-full")
    ('L₂, λ = 0.02', 'NTK, 1 hidden layer, m = 64', 'leaky ReLU', 'full batch')
    """
    words = part
    for pattern, template in _PARTS:
        match = pattern.fullmatch(words)
        words = match.expand(template) if match else words
    words = spoken(words).replace("_", " ")
    return words.replace("-", " ") if words == part else words


def _folded(lines: Iterable[Line]) -> list[dict[str, Any]]:
    """The lines by setting and split; those that are numbered from 0 on, or by seeds, are folded."""
    settings: dict[tuple[str, str, str], dict[int, Line]] = {}
    for name, flat in lines:
        label, _, rest = name.rpartition(": ")
        seed = _SEED.fullmatch(rest)
        part, _, split = (seed[2] if seed else rest).rpartition("/")
        if split not in _SPLITS:
            part, split = "/".join(filter(None, (part, split))), ""
        numbered = _NUMBERED.fullmatch(part)
        index = int(seed[1]) if seed else int(numbered[2]) if numbered else -1
        stem = part if seed or not numbered else numbered[1]
        if seed:
            part = f"seed {index} {part}".strip()
        settings.setdefault((label, stem, split), {})[index] = part, flat
    found = []
    for (label, stem, split), members in settings.items():
        lead = f"{label}: " if label else ""
        folded = _band([flat for _, flat in members.values()]) if _are_seeds(members) else None
        if folded is not None:
            name = ", ".join(filter(None, (in_words(stem), f"{len(members)} trainings")))
            found.append({"name": lead + name, "split": _SPLITS.get(split, ""), **folded})
            continue
        for part, flat in members.values():
            found.append(
                {
                    "name": (lead + in_words(part)).removesuffix(": "),
                    "split": _SPLITS.get(split, ""),
                    "points": flat,
                }
            )
    return found


def _are_seeds(members: dict[int, Line]) -> bool:
    """Tells whether the numbers are those of trainings, one after the other, and not of batch sizes."""
    return len(members) >= FEW and max(members) - min(members) == len(members) - 1


def _band(members: list[list[float]]) -> dict[str, Any] | None:
    """Median and band of curves at the steps that all of them have; None where there are not two."""
    curves = [dict(zip(flat[::2], flat[1::2], strict=True)) for flat in members]
    steps = sorted(set(curves[0]).intersection(*curves[1:]))
    if len(steps) < 2:
        return None
    values = np.array([[curve[step] for step in steps] for curve in curves])
    outer = 0.1 if len(curves) >= MANY else 0.0
    middle, low, high = (np.quantile(values, q, axis=0) for q in (0.5, outer, 1 - outer))
    rounded = [[float(f"{value:.{DIGITS}g}") for value in row] for row in (middle, low, high)]
    points = [number for pair in zip(steps, rounded[0], strict=True) for number in pair]
    return {"points": points, "low": rounded[1], "high": rounded[2]}
