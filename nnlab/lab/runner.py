"""Runs an experiment into a run folder: one seed, several seeds, or the rest of a run that was cut off."""

import contextlib
import shlex
from collections import Counter
from pathlib import Path
from typing import Any

import torch

from nnlab.errors import Diverged, ExperimentError, InputError, Interrupted, NnlabError
from nnlab.files import DISK_FULL
from nnlab.lab import drawing
from nnlab.lab.config import check, source_of_run, to_yaml
from nnlab.lab.longer import lengthened
from nnlab.lab.sections import ONE_TRAINING, CustomFactory, Experiment, TrainingExperiment
from nnlab.lab.session import Session, stoppable
from nnlab.lab.training_run import build_parts, train, vary
from nnlab.models import custom
from nnlab.record import Group, Record, Run, adopted, check_writable, open_run, schema, slug, stamp
from nnlab.theory import over_seeds
from nnlab.training import distributed
from nnlab.training.capacity import out_of_memory

MESSAGE = 10_000
"""Characters of a message that a summary keeps."""


def run(config: Experiment, runs: Path, session: Session) -> dict[str, Any]:
    """Runs one experiment in a new folder under `runs`; returns its summary."""
    _check_processes(config, session)
    check_writable(runs)
    with stoppable(session):
        record = _new_record(config, runs / config.experiment, _stem(config), session)
        return _execute(config, record, session)


def run_seeds(config: Experiment, seeds: int, runs: Path, session: Session) -> dict[str, Any]:
    """Runs one experiment with the seeds seed, seed + 1, …; returns the group's summary."""
    _check_processes(config, session)
    check_writable(runs)
    if config.seed + seeds > 2**63:
        raise InputError(f"seed: {config.seed} with --seeds {seeds}: the last seed must be less than {2**63}")
    group = Group(
        runs / config.experiment,
        f"{_stem(config)}x{seeds}",
        to_yaml(config),
        _facts(config),
        range(config.seed, config.seed + seeds),
    )
    with stoppable(session):
        return _run_members(config, group, session)


def resume(path: Path, session: Session, epochs: int | None = None) -> dict[str, Any]:
    """Goes on with a run, or a group of runs, in its own folder; returns the summary.

    Args:
        epochs: trains up to so many, also past the end of a run that is finished.
    """
    stored = open_run(adopted(path))
    if epochs is None and stored.status == "finished":
        (Group if stored.is_group else Record).tidy(stored.folder)
        further = "; --epochs N trains it further" if stored.summary.get("experiment") in ONE_TRAINING else ""
        session.reporter.say(f"{path} is finished: there is nothing to resume{further}")
        return stored.summary
    config = read_config(stored, session)
    _check_processes(config, session)
    changed = None
    if epochs is not None:
        longer = lengthened(stored, config, epochs, session)
        config, changed = longer, None if longer is config else to_yaml(longer)
    with stoppable(session):
        try:
            reopened = Group.reopen(stored.folder, changed) if stored.is_group else _reopened(stored, changed)
        except OSError as error:
            if error.errno in DISK_FULL:
                raise _explained(error, stored.folder, stored.folder) from error
            raise
        if isinstance(reopened, Group):
            return _run_members(config, reopened, session)
        return _execute(config, reopened, session)


def assist(session: Session) -> str | None:
    """Does the share of every process but the first, in each training that the first one begins.

    Returns:
        A message for the user, if the first process cannot give it; else None.
    """
    world = session.world
    with stoppable(session):
        try:
            while (training := world.from_first()) is not None:  # as `_execute` sends it
                config, session.allow_custom_code = training
                parts = build_parts(config, session)
                with contextlib.suppress(Interrupted, Diverged):  # as in the first process, which tells it
                    train(config, parts, None, session)
        except BaseException as error:
            gone = distributed.lost(world, error)
            if gone is not None:
                untold = f"{world}: {gone}; the run's folder can be resumed: nnlab train --resume RUN"
                return untold if distributed.unheard(world) else None
            message = _message(error)
            distributed.report(world, message)
            # Where the first process waits for its GPU, it may never come to hear of this.
            uses_gpu = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
            return f"{world}: {message}" if uses_gpu else None
    return None


def _message(error: BaseException) -> str:
    if isinstance(error, NnlabError):
        return str(error)
    memory = _out_of_memory(error)
    return str(memory) if memory else f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"


def _check_processes(config: Experiment, session: Session) -> None:
    if session.world.size > 1 and config.experiment not in ONE_TRAINING:
        raise InputError(
            f"experiment: {config.experiment} runs in one process, not in {session.world.size}: start it "
            f"without torchrun. Allowed under torchrun: {', '.join(ONE_TRAINING)}"
        )


def read_config(stored: Run, session: Session) -> Experiment:
    """The checked config of a run folder."""
    return check(source_of_run(stored.folder / schema.CONFIG), session.experiments)


def _stem(config: Experiment) -> str:
    return f"{stamp()}-{slug(config.name or config.experiment)}-s{config.seed}"


def _facts(config: Experiment) -> dict[str, Any]:
    return {"experiment": config.experiment, "name": config.name or config.experiment, "seed": config.seed}


def _new_record(config: Experiment, parent: Any, stem: str, session: Session) -> Record:
    training = getattr(config, "training", None)
    device = "cpu" if training is None else str(session.device(training))
    if session.world.size > 1:
        device = f"{device}, {session.world.size} processes"
    return Record(parent, stem, to_yaml(config), _facts(config), device)


def _reopened(stored: Run, changed: str | None = None) -> Record:
    if stored.status == "running":
        raise InputError(f"{stored.folder}: another process is running this run right now")
    if stored.status == "diverged":
        raise InputError(
            f"{stored.folder}: this run diverged and would do so again; start one with a smaller step size"
        )
    return Record.reopen(stored.folder, changed)


def _run_members(config: Experiment, group: Group, session: Session) -> dict[str, Any]:
    summaries = []
    try:
        for number, seed in enumerate(group.seeds, 1):
            session.reporter.say(f"seed {seed} ({number} of {len(group.seeds)})")
            member = config.model_copy(update={"seed": seed})
            summaries.append(_run_member(member, group, session))
            group.add(Path(summaries[-1]["run_dir"]))
        metrics = {
            name: over_seeds([s["metrics"].get(name) for s in summaries]) for name in summaries[0]["metrics"]
        }
        group.finish("finished", metrics=metrics, verdicts=_verdicts(summaries))
    except BaseException as error:
        end(group, error)
        if isinstance(error, OSError):  # of the group's own files; a member's errors are explained by now
            raise _explained(error, group.start(), group.start()) from error
        raise
    return group.summary


def _run_member(config: Experiment, group: Group, session: Session) -> dict[str, Any]:
    folder = group.member(config.seed)
    if folder is None:
        record = _new_record(config, group.start, f"s{config.seed}", session)
        return _execute(config, record, session, group)
    stored = open_run(folder)
    own, changed = read_config(stored, session), None
    if isinstance(own, TrainingExperiment) and isinstance(config, TrainingExperiment):
        longer = vary(own, {"training.epochs": config.training.epochs})
        if longer != own:  # the group goes on past the end of this member
            own, changed = longer, to_yaml(longer)
    if changed is None and stored.status == "finished":
        return stored.summary
    return _execute(own, _reopened(stored, changed), session, group)


def _verdicts(summaries: list[dict[str, Any]]) -> dict[str, dict[str, int]]:
    """Claim -> verdict -> number of runs with it."""
    counts: dict[str, Counter[str]] = {}
    for summary in summaries:
        for claim in summary["claims"]:
            counts.setdefault(claim["name"], Counter())[claim["verdict"]] += 1
    return {name: dict(count) for name, count in counts.items()}


def _execute(
    config: Experiment, record: Record, session: Session, group: Group | None = None
) -> dict[str, Any]:
    """Runs the experiment, and writes into the summary how it ended; `group` is around it."""
    try:
        if isinstance(config, TrainingExperiment):
            session.world.from_first((config, session.allow_custom_code))
        record.axes = {**config.arrays, **drawing.ARRAYS}
        with session.running(record, group):
            outcome = config.run(record, session)
        record.complete(
            metrics=outcome.metrics,
            results=outcome.results,
            claims=[claim.as_dict() for claim in outcome.claims],
            **({"model": outcome.model} if outcome.model else {}),
        )
        record.draw(session.stop)
        if group is not None:  # whose summary alone is printed in the end
            for text in record.summary.get("warnings", []):
                session.reporter.say(f"warning: {text}")
        record.finish("finished")
    except BaseException as raised:
        error = distributed.lost(session.world, raised) or raised
        if error is not raised:
            distributed.dismiss()  # the others need not report it too
        else:
            error = _of_custom_code(config, raised) or raised
        if not record.started:
            cause = error if error is not raised else _out_of_memory(error)
            if cause is None:
                raise
            raise cause from raised
        end(record, error)
        raise _explained(error, record.folder, group.start() if group else record.folder) from raised
    return record.summary


def _of_custom_code(config: Experiment, error: BaseException) -> ExperimentError | None:
    """The error of a user's own model, where one may have failed in a way that has no message of ours."""
    model = getattr(config, "model", None)
    if not isinstance(model, CustomFactory) or out_of_memory(error):
        return None
    return custom.failure(model.factory, error)


def end(written: Record | Group, error: BaseException) -> None:
    """Writes how a run ended with `error`; on a full disk the last whole summary stays."""
    status: schema.Status = "failed"
    if isinstance(error, Interrupted | KeyboardInterrupt):
        status = "interrupted"
    elif isinstance(error, Diverged):
        status = "diverged"
    with contextlib.suppress(OSError):
        if written.resumed and isinstance(error, InputError):
            written.back_out()
        else:
            written.finish(status, message=(str(error) or type(error).__name__)[:MESSAGE])


def _explained(error: BaseException, folder: Path, whole: Path) -> BaseException:
    """The error to raise: our own errors gain the folder, a full disk and a Ctrl-C become errors of ours.

    `whole` is the folder to resume: that of the run, or the group around it.
    """
    go_on = f"go on with: nnlab train --resume {shlex.quote(str(whole))}"
    if isinstance(error, Interrupted | KeyboardInterrupt):
        return Interrupted(f"{error or 'interrupted'}; {go_on}")
    cause = error.__cause__ if isinstance(error, NnlabError) else error
    if isinstance(cause, OSError) and cause.errno in DISK_FULL:
        return ExperimentError(
            f"{folder}: the disk is full. What was written is readable; free some space, then {go_on}"
        )
    if isinstance(cause, FileNotFoundError) and not folder.exists():
        return ExperimentError(
            f"{folder}: was moved or removed while the run wrote it. What was written is in it; {go_on}, "
            "by the path that it has now"
        )
    if isinstance(error, distributed.WorkerError):
        return type(error)(f"{error}; {go_on}")
    if isinstance(error, ExperimentError):
        return type(error)(f"{error}\n{folder}")
    if isinstance(error, NnlabError):
        return error
    memory = _out_of_memory(error)
    return ExperimentError(f"{memory}\n{folder}") if memory else error


def _out_of_memory(error: BaseException) -> ExperimentError | None:
    """The error of memory that ran out elsewhere than in a step of a training; None for other errors."""
    reason = out_of_memory(error)
    if not reason:
        return None
    return ExperimentError(f"out of memory: {reason}. Try a smaller model or a smaller data set")
