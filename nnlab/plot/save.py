"""Writing a figure to disk: whole or not at all, and the same bytes for the same figure."""

import io
import threading
import warnings
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from nnlab.errors import ExperimentError, InputError, RunFolderError
from nnlab.files import DISK_FULL, replace_file
from nnlab.plot.fitting import fit_labels
from nnlab.plot.style import DPI, PAPER

# Drawing needs one setting (the salt of SVG identifiers) that matplotlib keeps for the whole process.
_DRAWING = threading.Lock()


def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Writes `folder/name.png` (150 dots per inch) and `folder/name.svg`, then empties the figure.

    Neither file holds a date or a random identifier: the same figure gives the same bytes. Each is written
    beside its place and moved there, so that a reader never sees half a picture. The folder is made if it
    is missing.

    Returns:
        The two paths, PNG first.

    Raises:
        InputError: `name` is not a bare file name.
        ExperimentError: the disk is full.
        RunFolderError: the folder cannot be written for another reason.
    """
    if name in ("", ".", "..") or Path(name).name != name or "\\" in name:
        raise InputError(f"figure name {name!r}: must be a bare file name without folders, such as 'loss'")
    fit_labels(figure)
    contents = {suffix: render(figure, suffix, name) for suffix in ("png", "svg")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # matplotlib 3.10 warns of shared logarithmic axes
        figure.clear()
    paths = [folder / f"{name}.{suffix}" for suffix in contents]
    for path, content in zip(paths, contents.values(), strict=True):
        _replace(path, content)
    return paths


def render(figure: Figure, suffix: str, salt: str) -> bytes:
    """Returns the picture as bytes of a PNG or SVG file. Salts keep the pictures of one HTML page apart."""
    buffer = io.BytesIO()
    title = " ".join(figure.get_suptitle().replace("\\$", "$").split())  # what a page reads out for it
    metadata = (
        {"Software": None} if suffix == "png" else {"Date": None, "Creator": None, "Title": title or None}
    )
    with drawing_alone(salt):
        figure.savefig(buffer, format=suffix, dpi=DPI, metadata=metadata, facecolor=PAPER)
    return buffer.getvalue()


@contextmanager
def drawing_alone(salt: str, settings: Mapping[str, Any] | None = None) -> Iterator[None]:
    """Gives one thread matplotlib's settings of the whole process, with a salt of SVG identifiers."""
    with _DRAWING:
        wanted = {"svg.hashsalt": f"nnlab-{salt}", **(settings or {})}
        current: MutableMapping[Any, Any] = matplotlib.rcParams
        before = {name: current[name] for name in wanted}
        current.update(wanted)
        try:
            yield
        finally:
            current.update(before)


def _replace(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, content)
    except OSError as error:
        if error.errno in DISK_FULL:
            message = f"{path}: the disk is full; free some space and draw the figure again"
            raise ExperimentError(message) from error
        reason = error.strerror or str(error)
        message = (
            f"{path}: the figure cannot be written ({reason}); make the folder writable, or choose another"
        )
        raise RunFolderError(message) from error
