"""Draws the figures of run folders once more, from what the folders hold."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from numpy.typing import NDArray

from nnlab.errors import InputError, RunFolderError, suggest
from nnlab.files import replace_file
from nnlab.plot.fitting import smallest_text
from nnlab.plot.forms import Form, drawing_for
from nnlab.plot.output import caption, pictures, scale_of
from nnlab.plot.overlay import NotOverlaid, overlay
from nnlab.record import Run, schema
from nnlab.record.figures import Call, NotRepeatable, calls_of, function_of

READABLE = 17.5  # points on a slide, rounded to 18


@dataclass(frozen=True)
class Drawn:
    """Pictures that are not written yet.

    Attributes:
        files: name -> content.
        captions: name of a picture's file -> its title.
        notes: what was left out, and why.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    captions: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def members(run: Run) -> list[Run]:
    """Returns the run itself, or the finished and unfinished runs of a group.

    Raises:
        RunFolderError: the group has no run.
    """
    runs, faults = run.members()
    if faults:
        raise RunFolderError(f"{run.folder}: {faults[0]}")
    if not runs:
        raise RunFolderError(
            f"{run.folder}: no run of this group has finished: nnlab train --resume "
            f"{shlex.quote(str(run.folder))}"
        )
    return runs


def check_place(run: Run, style: str) -> Path:
    """Returns the folder of a run's redrawn figures. Raises RunFolderError where it leads elsewhere."""
    place = run.folder / schema.FIGURES / style
    if not place.resolve().is_relative_to(run.folder.resolve()):
        raise RunFolderError(f"{place}: leads out of the run folder; choose a folder with --out DIR")
    return place


def draw(
    runs: Sequence[Run], wanted: Sequence[str], form: Form, suffix: str, *, wide: bool | None = None
) -> Drawn:
    """Draws figures of one run, or the median and a band of several.

    Args:
        runs: of one experiment.
        wanted: names of figures; empty for all.
        form: size and fonts.
        suffix: pdf, svg, png or pgf.
        wide: whether a picture is wide; by default the figure decides.

    Raises:
        InputError: the runs are of different experiments; one has no such figure, or no figures.json; a
            figure that was asked for cannot be drawn from what the folder holds, or not for several runs.
    """
    _check_experiments(runs)
    calls = [calls_of(run) for run in runs]
    arrays = [run.arrays() for run in runs]
    names = _names(runs, calls, wanted)
    drawn = Drawn()
    for name in names:
        try:
            with drawing_for(form, wide=wide):
                figure = _figure(name, runs, calls, arrays)
                files = pictures(figure, form, suffix, name)
        except NotOverlaid as error:
            note = f"figure {name}: {len(runs)} runs cannot be drawn as one: {error}"
            if wanted:
                raise InputError(note) from None
            drawn.notes.append(f"left out: {note}")
            continue
        drawn.files.update(files)
        drawn.captions[next(iter(files))] = caption(figure)
        points = smallest_text(figure) * scale_of(figure, form)
        if form.height and points < READABLE:
            drawn.notes.append(
                f"figure {name}: its smallest text has {points:.0f} points; the back row may not read it"
            )
    if not drawn.files:
        raise InputError(
            "\n".join(
                [*drawn.notes, f"none of the figures of {runs[0].summary.get('experiment')} can be drawn so"]
            )
        )
    return drawn


def _check_experiments(runs: Sequence[Run]) -> None:
    kinds = dict.fromkeys(str(run.summary.get("experiment")) for run in runs)
    if len(kinds) > 1:
        raise InputError(
            f"the runs are of different experiments ({', '.join(kinds)}): only those of one can be drawn "
            "together"
        )


def _names(runs: Sequence[Run], calls: Sequence[Mapping[str, Call]], wanted: Sequence[str]) -> list[str]:
    for run, own in zip(runs, calls, strict=True):
        for name in wanted:
            if name not in own:
                raise InputError(f"--figure {name}: {run.folder} has no such figure; {suggest(name, own)}")
    common = [name for name in calls[0] if all(name in own for own in calls)]
    if not common:
        raise RunFolderError(f"{runs[0].folder}: has no figures")
    return list(dict.fromkeys(wanted)) or common


def _figure(
    name: str,
    runs: Sequence[Run],
    calls: Sequence[Mapping[str, Call]],
    arrays: Sequence[Mapping[str, NDArray[Any]]],
) -> Figure:
    """Calls the function of one figure. What the folder says of it is not trusted.

    Raises:
        RunFolderError: the function is none of ours, or it cannot draw these arguments.
        NotOverlaid: it is no figure of several runs.
    """
    path = runs[0].folder / schema.FIGURE_CALLS
    if len({own[name].function for own in calls}) > 1:
        raise NotOverlaid("the runs draw it by different functions")
    try:
        if len(runs) == 1:
            return calls[0][name].draw(arrays[0])
        values = [own[name].values(known) for own, known in zip(calls, arrays, strict=True)]
        return overlay(function_of(calls[0][name].function), values)
    except NotOverlaid:
        raise
    except NotRepeatable as error:
        raise RunFolderError(f"{path}: figure {name}: {error}") from None
    except Exception as error:  # whatever a function says to arguments that are not its own
        reason = " ".join(str(error).split())[:200]
        missing = f"{schema.ARRAYS} has no array " if isinstance(error, KeyError) else ""
        raise RunFolderError(
            f"{path}: figure {name} cannot be drawn from what the folder holds: "
            f"{missing or type(error).__name__ + ': '}{reason}"
        ) from None


def keep(files: Mapping[str, bytes], folder: Path) -> list[tuple[str, Path]]:
    """Writes files into a folder; one that is there with the same content stays. Returns names and paths.

    Raises:
        InputError: a file is there with another content, or cannot be written; nothing is written then.
    """
    paths = {name: folder / name for name in files}
    for name, path in paths.items():
        if path.is_symlink() or (path.exists() and not (path.is_file() and path.read_bytes() == files[name])):
            raise InputError(
                f"{path}: exists already, with another content; remove it, or choose a folder with --out DIR"
            )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, path in paths.items():
            if not path.exists():
                replace_file(path, files[name])
    except OSError as error:
        raise InputError(f"{folder}: cannot be written: {error.strerror or error}") from None
    return list(paths.items())
