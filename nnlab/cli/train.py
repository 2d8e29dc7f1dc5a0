"""`nnlab train`: any experiment's YAML, run into a folder of its own."""

import os
import shlex
from pathlib import Path
from typing import Annotated

import typer

from nnlab.cli.run import (
    AsJson,
    CustomCode,
    Device,
    Flag,
    Quiet,
    Runs,
    Sets,
    checked_config,
    folder_of,
    new_session,
)
from nnlab.errors import InputError


def train(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="CONFIG",
            help="A YAML file, or the name of a shipped config (nnlab configs list); the same as --config.",
        ),
    ] = None,
    config: Annotated[
        str | None, typer.Option(help="A YAML file, or the name of a shipped config (nnlab configs list).")
    ] = None,
    resume: Annotated[
        str | None,
        typer.Option(metavar="RUN", help="Go on with a run that was cut off, in its own folder."),
    ] = None,
    sets: Sets = None,
    seed: Annotated[int | None, typer.Option(help="The run's seed.")] = None,
    seeds: Annotated[
        int | None, typer.Option(min=1, max=10_000, help="Run so many seeds; report mean and 95% interval.")
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(min=1, help="Train so many epochs; with --resume, on past the end of a finished run."),
    ] = None,
    device: Device = None,
    runs: Runs = Path("runs"),
    as_json: AsJson = False,
    quiet: Quiet = False,
    allow_custom_code: CustomCode = False,
) -> None:
    """Run an experiment: train, measure, draw its figures, judge its claims.

    The last line printed is the run's folder.
    """
    config = _chosen(name, config)
    if (config is None) == (resume is None):
        raise InputError(
            "nnlab train needs one of --config FILE|NAME and --resume RUN; nnlab train xor is short for "
            "--config xor"
        )
    if resume is not None and (sets or seed is not None or seeds is not None or device is not None):
        raise InputError(
            "--resume goes on with the run's own config: leave out --set, --seed, --seeds and --device"
        )
    from nnlab.cli.summary import leave_page, report
    from nnlab.lab import runner
    from nnlab.training.distributed import together

    flags = [
        Flag("--seed", ("seed",), seed),
        Flag("--epochs", ("training", "epochs"), epochs),
        Flag("--device", ("training", "device"), device),
    ]
    checked = None if config is None else checked_config(config, sets or [], flags)
    with together() as world:
        session = new_session(quiet=quiet, plain=as_json, allow_custom_code=allow_custom_code, world=world)
        if checked is None:
            assert resume is not None
            summary = runner.resume(folder_of(resume, runs), session, epochs)
        elif seeds is None:
            summary = runner.run(checked, runs, session)
        else:
            summary = runner.run_seeds(checked, seeds, runs, session)
    leave_page(summary, session)
    report(summary, as_json=as_json, quiet=quiet)


def _chosen(name: str | None, config: str | None) -> str | None:
    """The config, given with or without --config.

    Raises:
        InputError: both are given, or a run folder in the place of a config.
    """
    if name is not None and config is not None:
        raise InputError(f"the config is given twice, as {name} and as --config {config}; leave one out")
    chosen = config if name is None else name
    if chosen is not None and os.path.isfile(os.path.join(chosen, "summary.json")):
        raise InputError(
            f"{chosen} is a run folder and no config: go on with it by nnlab train --resume "
            f"{shlex.quote(chosen)}, or repeat it by nnlab train "
            f"{shlex.quote(os.path.join(chosen, 'config.yaml'))}"
        )
    return chosen
