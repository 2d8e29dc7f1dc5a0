"""The command line: one file per command. It parses, calls and prints; it knows no maths.

Nothing here imports torch before a command needs it.
"""

import contextlib
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated

import typer

from nnlab.cli import streams
from nnlab.cli.quick import HELP, skip_validators
from nnlab.errors import NnlabError

LONGEST, LONGEST_WORD = 4_000, 400
"""Characters of a message, and of a word in it, such as a path."""
UsageError = typer.BadParameter.__bases__[0]  # typer does not export it by name

COMMANDS = (
    "train", "ntk", "approx", "backprop", "lecture", "view", "predict", "features", "report", "plot", "cite",
    "glossary", "runs", "configs", "notebooks", "bench",
)  # fmt: skip
"""The commands in the order of the help; each is a module of this package."""


def _version(wanted: bool) -> None:
    if wanted:
        from nnlab import __version__

        print(f"nnlab {__version__}")
        raise typer.Exit


def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """A laboratory for the theory of feed-forward neural networks."""


def program(words: Sequence[str]) -> typer.Typer:
    """Builds the program for a command line; where that names a command, the others are not loaded."""
    app = typer.Typer(
        name="nnlab",
        epilog="An error is one message; with --debug, anywhere on the line, it is a traceback.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
        context_settings={"help_option_names": HELP},
    )
    app.callback()(options)
    first = next((word for word in words if not word.startswith("-")), "")
    for name in (first,) if first in COMMANDS else COMMANDS:
        module = import_module(f"nnlab.cli.{name}")
        if hasattr(module, "app"):  # a group of commands
            app.add_typer(module.app, name=name)
        else:
            app.command(name, cls=getattr(module, "COMMAND", None))(getattr(module, name))
    return app


def main() -> None:
    """Runs one command; every error becomes one message and an exit code."""
    debug = "--debug" in sys.argv
    sys.argv = [argument for argument in sys.argv if argument != "--debug"]
    try:
        streams.prepare()
        command = typer.main.get_command(program(sys.argv[1:]))
        skip_validators(command)
        code = command(prog_name="nnlab", standalone_mode=False)
        print(end="", flush=True)  # here, where a closed pipe can still be answered
        sys.exit(code)
    except KeyboardInterrupt:
        streams.settle()
        sys.exit(130)
    except BrokenPipeError:  # `nnlab runs list | head`
        streams.settle()
        sys.exit(0)
    except Exception as error:
        if debug:
            raise
        sys.exit(_report(error))


def _report(error: Exception) -> int:
    """Prints one message on stderr, and returns the exit code."""
    import re

    from nnlab.display import visible

    lost = streams.settle()
    message, code = _explained(lost if lost is not None and isinstance(error, OSError) else error)
    if message:
        words = re.sub(rf"\S{{{LONGEST_WORD},}}", lambda word: f"{word[0][:100]}…{word[0][-100:]}", message)
        text = words if len(words) <= LONGEST else f"{words[:LONGEST]}…"
        with contextlib.suppress(OSError, ValueError):  # stderr is full, or closed
            print(visible(text), file=sys.stderr, flush=True)
    return code


def _explained(error: Exception) -> tuple[str, int]:
    """The message and the exit code: our own errors and usage errors as they are, others with their type."""
    code = getattr(error, "exit_code", 1)
    if isinstance(error, UsageError):
        return _usage(error), code
    if isinstance(error, NnlabError):
        return f"nnlab: {error}", code
    known = streams.explained(error)
    if known is not None:
        return f"nnlab: {known[0]}", known[1]
    reason = " ".join(str(error).split())
    return f"nnlab: {type(error).__name__}: {reason[:500]} (--debug shows where)", code


def _usage(error: Exception) -> str:
    """The message of a usage error, with the command that explains the options."""
    problem, context = error.format_message(), getattr(error, "ctx", None)  # type: ignore[attr-defined]
    if type(error).__name__ == "NoArgsIsHelpError":
        return str(problem)  # the help itself, empty where it is printed already
    command = getattr(context, "command_path", "nnlab")
    return f"nnlab: {' '.join(str(problem).split())} (options: {command} --help)"
