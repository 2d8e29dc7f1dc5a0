"""A run that goes on past its end: what its config becomes, and what that means."""

import shlex
from pathlib import Path

from nnlab.errors import InputError, RunFolderError
from nnlab.lab.sections import ONE_TRAINING, DecaySchedule, Experiment, TrainingExperiment
from nnlab.lab.session import Session
from nnlab.lab.training_run import vary
from nnlab.record import Run, open_run


def lengthened(stored: Run, config: Experiment, epochs: int, session: Session) -> TrainingExperiment:
    """Returns the config of a run, or of the first seed of a group, with more epochs; says what that means.

    Raises:
        InputError: the run is no single training, is one seed of a group, has had so many epochs, or has
            stopped early.
    """
    if not isinstance(config, TrainingExperiment) or config.experiment not in ONE_TRAINING:
        raise InputError(
            f"--epochs {epochs}: experiment: {config.experiment} is not one training that could go on; start "
            f"it anew with other settings. Allowed: {', '.join(ONE_TRAINING)}"
        )
    around = _group_around(stored)
    if around is not None:
        raise InputError(
            f"--epochs {epochs}: {stored.folder} is one seed of {around}, whose runs are of one length; "
            f"nnlab train --resume {shlex.quote(str(around))} --epochs {epochs} makes all of them longer"
        )
    wanted = config.training.epochs
    if epochs == wanted and stored.status != "finished":  # the command was given before, and cut off
        return config
    if epochs <= wanted:
        rest = "" if stored.status == "finished" else "; without --epochs it goes on to these"
        raise InputError(
            f"--epochs {epochs}: {stored.folder} is a training of {wanted} epochs; give more than that{rest}"
        )
    done = stored.summary["metrics"].get("epochs")
    if not stored.is_group and stored.status == "finished" and isinstance(done, int) and done < wanted:
        folder = shlex.quote(str(stored.folder))
        raise InputError(
            f"--epochs {epochs}: {stored.folder} stopped early, after {done} of {wanted} epochs, and would "
            f"again (training.patience: {config.training.patience}). To train its best weights further: "
            f"nnlab train --config {folder}/config.yaml --set model.start={folder} "
            "--set training.patience=null"
        )
    longer = vary(config, {"training.epochs": epochs})
    schedule = config.optimizer.schedule
    if isinstance(schedule, DecaySchedule):
        session.reporter.say(
            f"optimizer.schedule.name: {schedule.name} falls from the first epoch to the last: from here on "
            f"the step size is that of a training of {epochs} epochs, larger than near the end of {wanted}, "
            f"so that the result is not that of {epochs} epochs from the start"
        )
    return longer


def _group_around(stored: Run) -> Path | None:
    """The folder of the group that a run is a member of."""
    parent = stored.folder.absolute().parent
    try:
        members = open_run(parent).summary.get("members", [])
    except RunFolderError:
        return None
    return parent if stored.folder.absolute().name in members else None
