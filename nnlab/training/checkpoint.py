"""Checkpoints: everything that a training needs to go on as if nothing had happened."""

import io
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nnlab.errors import RunFolderError
from nnlab.record import MetricsLog, replace_file

State = dict[str, Any]


class Checkpoints:
    """`last.pt` and `best.pt` in one folder, tied to the rows that the metrics log held at that time.

    Saving is a matter of time, not of steps: what a killed run has to repeat is bounded, what saving
    costs is too, and since a repeated step gives the same numbers, the moment makes no difference.

    Args:
        folder: made at the first save.
        log: its offset is stored with each checkpoint, and accepted again at `load`.
        seconds: least time between two saves that `due` asks for.
    """

    def __init__(self, folder: Path, log: MetricsLog, seconds: float = 15.0) -> None:
        self.folder = folder
        self._log = log
        self._seconds = seconds
        self._saved_at = time.monotonic()
        self._best_saved: int | None = None

    def due(self) -> bool:
        return time.monotonic() - self._saved_at >= self._seconds

    def save(self, state: State, best: dict[str, Tensor], best_epoch: int) -> None:
        """Writes best.pt where it changed, then last.pt."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if best_epoch != self._best_saved:
            _write(self.folder / "best.pt", {"model": best, "epoch": best_epoch})
            self._best_saved = best_epoch
        _write(self.folder / "last.pt", {**state, "log_offset": self._log.tell()})
        self._saved_at = time.monotonic()

    def load(self) -> tuple[State, dict[str, Tensor]] | None:
        """The last state and the best weights so far; None where nothing was saved yet."""
        if not (self.folder / "last.pt").exists():
            return None
        state = read_checkpoint(self.folder / "last.pt")
        best = read_checkpoint(self.folder / "best.pt")
        self._log.accept(state["log_offset"])
        return state, best["model"]

    def misfit(self, error: Exception) -> RunFolderError:
        """The error for a checkpoint that does not fit the model or optimizer of the config."""
        reason = " ".join(str(error).split())
        return RunFolderError(
            f"{self.folder / 'last.pt'}: does not fit the run's config.yaml ({reason[:300]}); "
            "one of the two was changed. Start a new run with nnlab train --config"
        )


def _write(path: Path, state: State) -> None:
    # torch.save hides the reason of a failed write; a buffer of our own keeps "no space left on device".
    buffer = io.BytesIO()
    torch.save(state, buffer)
    replace_file(path, buffer.getbuffer())


def read_checkpoint(path: Path) -> State:
    """A checkpoint's content, loaded without running any code from it.

    Raises:
        RunFolderError: the file is missing, damaged or no checkpoint.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise RunFolderError(f"{path}: no such checkpoint") from None
    except Exception as error:
        reason = [*str(error).splitlines(), type(error).__name__][0]
        raise RunFolderError(f"{path}: is damaged or no checkpoint of nnlab ({reason[:200]})") from None
    if not isinstance(state, dict) or "model" not in state:
        raise RunFolderError(f"{path}: is no checkpoint of nnlab")
    return state
