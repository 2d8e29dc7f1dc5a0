"""The way from the command line to a run, which every command that runs an experiment shares."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeAlias

import typer

if TYPE_CHECKING:
    from nnlab.lab.sections import Experiment
    from nnlab.lab.session import Session
    from nnlab.training.distributed import World

# The options that several commands share.
RunName: TypeAlias = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="A run: its folder, the folder's name or a part of it, the name of its config, or: last.",
    ),
]
RunNames: TypeAlias = Annotated[
    list[str],
    typer.Argument(metavar="RUN...", help="Runs or groups of seeds: their folders, names, or: last."),
]
RunsFolder: TypeAlias = Annotated[
    Path, typer.Option("--runs", metavar="DIR", help="The folder that holds the run folders.")
]
Runs: TypeAlias = Annotated[Path, typer.Option(help="The folder that run folders go to.")]
Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print the summary as JSON on stdout.")]
Quiet: TypeAlias = Annotated[bool, typer.Option(help="No progress and no tables: only the run folder.")]
Device: TypeAlias = Annotated[str | None, typer.Option(help="auto, cpu, cuda or mps.")]
Sets: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override one value, such as optimizer.lr=0.05."),
]
CustomCode: TypeAlias = Annotated[
    bool, typer.Option("--allow-custom-code", help="Let model.name: custom run your factory.")
]


def folder_of(run: str, runs: Path) -> Path:
    """Returns the folder of a run that a path or a name stands for; a path that exists as it is."""
    from nnlab.record import find_run

    return Path(run) if run and os.path.lexists(run) else find_run(run, runs).folder


class Flag(NamedTuple):
    """An option that stands for one value of the config.

    Attributes:
        name: as the user types it.
        path: of the key.
        value: None where the flag was left out.
    """

    name: str
    path: tuple[str, ...]
    value: Any


def numbers(flag: str, text: str | None, kind: type[int] | type[float], example: str) -> list[Any] | None:
    """The numbers that a flag lists with commas between: 64,256 as [64, 256]; None if it was left out.

    Raises:
        InputError: a part is not a number of that kind.
    """
    from nnlab.errors import InputError

    if text is None:
        return None
    try:
        return [kind(part) for part in text.split(",")]
    except ValueError:
        wanted = "whole numbers" if kind is int else "numbers"
        raise InputError(f"{flag} {text}: must be {wanted} with commas between, such as {example}") from None


def run_config(
    config: str,
    sets: list[str],
    flags: Iterable[Flag],
    *,
    runs: Path,
    as_json: bool,
    quiet: bool,
    allow_custom_code: bool = False,
) -> None:
    """Runs a config once and reports."""
    from nnlab.cli.summary import report
    from nnlab.lab import runner

    checked = checked_config(config, sets, flags)
    session = new_session(quiet=quiet, plain=as_json, allow_custom_code=allow_custom_code)
    summary = runner.run(checked, runs, session)
    report(summary, as_json=as_json, quiet=quiet)


def new_session(
    *,
    quiet: bool = False,
    plain: bool = False,
    allow_custom_code: bool = False,
    world: "World | None" = None,
) -> "Session":
    """The session of this command's runs, with messages on the terminal and every experiment known.

    Args:
        quiet: no messages.
        plain: progress as lines, also on a terminal.
        allow_custom_code: lets `model.name: custom` run its factory.
        world: the processes that train together.
    """
    from nnlab.chapters.experiments import EXPERIMENTS
    from nnlab.cli.terminal import Terminal
    from nnlab.lab.session import Session, Silence
    from nnlab.training.distributed import World

    reporter = Silence() if quiet else Terminal(plain=plain)
    return Session(reporter, allow_custom_code, world=world or World(), experiments=EXPERIMENTS)


def checked_config(config: str, sets: list[str], flags: Iterable[Flag]) -> "Experiment":
    """The config of the command line: a flag beats --set, which beats the file.

    A flag that names a whole section, such as --data, starts it anew; --set and other flags then fill it.
    """
    from nnlab.chapters.experiments import EXPERIMENTS
    from nnlab.lab.config import apply_sets, check, read_source

    source = read_source(config)
    used = [flag for flag in flags if flag.value is not None]
    for flag in used:
        if isinstance(flag.value, dict):
            source.override(flag.path, dict(flag.value), f"{flag.name} {_typed(flag.value)}")
    apply_sets(source, sets)
    for flag in used:
        path, value = flag.path, flag.value
        if isinstance(value, dict):
            path, value = (*path, "name"), value["name"]
        source.override(path, value, f"{flag.name} {_typed(flag.value)}".rstrip())
    stem = "".join(letter if letter.isprintable() else "?" for letter in Path(source.where).stem)
    source.values.setdefault("name", stem[:200])  # what a name may be
    return check(source, EXPERIMENTS)


def _typed(value: Any) -> str:
    """The value as the user typed it; nothing after a flag that takes none."""
    if value is True:
        return ""
    if isinstance(value, list):
        return ",".join(str(part) for part in value)
    return str(value["name"]) if isinstance(value, dict) else str(value)
