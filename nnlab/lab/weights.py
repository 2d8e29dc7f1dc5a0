"""The best weights of a run: where they are, and what to say where there are none."""

import shlex
from pathlib import Path

from torch import Tensor

from nnlab.errors import RunFolderError
from nnlab.record import Run
from nnlab.training.checkpoint import read_checkpoint


def weights_file(run: Run) -> Path:
    """The file of a run's best weights, whether it is there or not."""
    return run.folder / "checkpoints" / "best.pt"


def best_weights(run: Run) -> dict[str, Tensor]:
    """Returns a run's best weights by name. Raises RunFolderError where their file is missing or damaged."""
    return {str(name): tensor for name, tensor in read_checkpoint(weights_file(run))["model"].items()}


def refuse_group(run: Run) -> None:
    """Raises RunFolderError where `run` is a group of runs, naming its members."""
    if run.is_group:
        members = ", ".join(run.summary["members"]) or "none yet"
        raise RunFolderError(f"{run.folder}: is a group of runs; name one of them ({members})")


def refuse_without_weights(run: Run) -> None:
    """Raises RunFolderError where `run` has no best weights yet, saying how it gets them."""
    if not weights_file(run).is_file():
        raise RunFolderError(
            f"{run.folder}: has no checkpoints/best.pt: the run is {run.status}; go on with it first: "
            f"nnlab train --resume {shlex.quote(str(run.folder))}"
        )
