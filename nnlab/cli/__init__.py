"""The command line: one file per command. It parses, calls and prints; it knows no maths.

Nothing here imports torch before a command needs it.
"""

import sys

import typer

from nnlab.cli import configs, runs
from nnlab.cli.bench import bench
from nnlab.cli.train import train
from nnlab.errors import NnlabError

app = typer.Typer(
    name="nnlab",
    help="A laboratory for the theory of feed-forward neural networks.",
    epilog="An error is one message; with --debug, anywhere on the line, it is a traceback.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("train")(train)
app.add_typer(runs.app, name="runs")
app.add_typer(configs.app, name="configs")
app.command("bench")(bench)


def main() -> None:
    """Runs one command; every error becomes one message and an exit code."""
    debug = "--debug" in sys.argv
    sys.argv = [argument for argument in sys.argv if argument != "--debug"]
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # `nnlab runs list | head`
        sys.stderr.close()
        sys.exit(0)
    except Exception as error:
        if debug:
            raise
        if isinstance(error, NnlabError):
            print(f"nnlab: {error}", file=sys.stderr)
            sys.exit(error.exit_code)
        reason = " ".join(str(error).split()) or type(error).__name__
        print(f"nnlab: {type(error).__name__}: {reason} (--debug shows where)", file=sys.stderr)
        sys.exit(1)
