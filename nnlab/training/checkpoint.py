"""Checkpoints: everything that a training needs to go on as if nothing had happened."""

import io
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nnlab.errors import RunFolderError
from nnlab.record import MetricsLog, replace_file
from nnlab.training.optimizers import Muon

State = dict[str, Any]

_FORM: dict[str, Any] = {
    "model": dict, "epoch": int, "optimizer": dict, "position": dict, "order": Tensor,
    "generator": Tensor, "torch_rng": list, "cuda_rng": list, "finished": dict | None, "ending": dict | None,
    "log_offset": int,
}  # fmt: skip
"""The types of the fields of last.pt and best.pt."""


class Checkpoints:
    """`last.pt` and `best.pt` in one folder, tied to the rows that the metrics log held at that time.

    Saving is a matter of time, not of steps: what a killed run has to repeat is bounded, what saving
    costs is too, and since a repeated step gives the same numbers, the moment makes no difference.

    Args:
        folder: made at the first save.
        log: its offset is stored with each checkpoint, and accepted again where a training goes on.
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
        """Writes best.pt where it changed, then last.pt, behind the rows that it counts on."""
        self._log.sync()  # where the run folder was moved, it must not come into being anew
        self.folder.mkdir(parents=True, exist_ok=True)
        if best_epoch != self._best_saved:
            _write(self.folder / "best.pt", {"model": best, "epoch": best_epoch})
            self._best_saved = best_epoch
        _write(self.folder / "last.pt", {**state, "log_offset": self._log.tell()})
        self._saved_at = time.monotonic()

    def load(self, fields: Sequence[str]) -> tuple[State, dict[str, Tensor]] | None:
        """The last state and the best weights so far; None where nothing was saved yet.

        Args:
            fields: those of the state that its reader cannot do without.

        Raises:
            RunFolderError: a checkpoint is missing or damaged, or holds another kind of state.
        """
        if not (self.folder / "last.pt").exists():
            return None
        state = read_checkpoint(self.folder / "last.pt")
        best = read_checkpoint(self.folder / "best.pt")
        missing = [name for name in (*fields, "log_offset") if name not in state]
        if missing:
            raise RunFolderError(
                f"{self.folder / 'last.pt'}: is damaged or no checkpoint of nnlab (it has no {missing[0]})"
            )
        return state, best["model"]

    def log_offset(self) -> int:
        """Bytes of the metrics log that are certain."""
        return self._log.tell()

    def accept(self, log_offset: int) -> None:
        """Says that so many bytes of the metrics log are certain; the next row is written behind them."""
        self._log.accept(log_offset, ("split", "step"))

    def offset_of_last_row(self) -> int:
        """Bytes of the metrics log before its last row: at the end of a training, that of the test."""
        return self._log.offset_of_last_row()

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
        if not path.exists():
            raise RunFolderError(f"{path}: no such checkpoint")
        _check_archive(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
        _check_form(state)
    except RunFolderError:
        raise
    except _Damage as damage:
        raise RunFolderError(f"{path}: is damaged or no checkpoint of nnlab ({damage})") from None
    except (OSError, MemoryError) as error:
        reason = getattr(error, "strerror", None) or "it needs more memory than there is"
        raise RunFolderError(f"{path}: is damaged or cannot be read ({reason})") from None
    except Exception:  # torch's own words would advise to load what is not to be trusted
        problem = "it holds something else than tensors, numbers and texts, or is torn"
        raise RunFolderError(f"{path}: is damaged or no checkpoint of nnlab ({problem})") from None
    return state  # type: ignore[no-any-return]


class _Damage(Exception):
    """Says what is wrong with a checkpoint."""


def _check_archive(path: Path) -> None:
    """Raises _Damage unless the file is a whole archive as `_write` makes it, in which nothing is packed."""
    if not path.is_file() or not zipfile.is_zipfile(path):
        raise _Damage("it is no archive of torch, or cut short")
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        if any(member.compress_type != zipfile.ZIP_STORED for member in members):
            raise _Damage("its content is packed")
        if sum(member.file_size for member in members) > path.stat().st_size:
            raise _Damage("its parts are larger than the whole")
        if archive.testzip() is not None:
            raise _Damage("a part of it was changed")


def _check_form(state: object) -> None:
    """Raises _Damage where a field has another type than a training writes."""
    if not isinstance(state, dict) or "model" not in state:
        raise _Damage("it holds no model")
    for name, kinds in _FORM.items():
        if name in state and not isinstance(state[name], kinds):
            raise _Damage(f"its field {name} is of type {type(state[name]).__name__}")
    tensors = state["model"].values()
    if not all(isinstance(tensor, Tensor) for tensor in tensors):
        raise _Damage("its model holds something else than tensors")


def check_optimizer(optimizer: torch.optim.Optimizer) -> None:
    """Raises ValueError where an optimizer that has loaded a saved state could not take a step with it."""
    if isinstance(optimizer, Muon):
        for part in optimizer.parts:
            check_optimizer(part)
        return
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    sizes = {1, sum(p.numel() for p in parameters)}  # L-BFGS keeps vectors of all parameters
    for group in optimizer.param_groups:
        for name, default in optimizer.defaults.items():
            if name == "differentiable":  # torch's own, which not every group has
                continue
            if name not in group:
                raise ValueError(f"the optimizer has no {name}")
            kinds = int | float | Tensor if isinstance(default, int | float) else tuple | list
            if isinstance(default, int | float | tuple) and not isinstance(group[name], kinds):
                raise ValueError(f"{name} of the optimizer is {type(group[name]).__name__}")
    for parameter, fields in optimizer.state.items():
        for name, value in fields.items():
            fits = not isinstance(value, Tensor) or value.shape == parameter.shape or value.numel() in sizes
            if not fits or not isinstance(value, Tensor | int | float | list | None):
                raise ValueError(f"{name} of the optimizer does not fit a parameter {tuple(parameter.shape)}")
