"""Files that come with nnlab and that a user may copy: configs and notebooks."""

from collections.abc import Mapping
from pathlib import Path

from nnlab.errors import InputError, suggest


def list_shipped(command: str, about: Mapping[str, str]) -> None:
    """Prints the shipped files that a command takes: their names, and what each of them shows."""
    from rich.markup import escape

    from nnlab.cli import terminal

    rows = [(escape(name), escape(text)) for name, text in about.items()]
    table = terminal.table(f"{command} NAME", ("name", "what it shows"), rows)
    table.columns[1].justify = "left"
    terminal.out().print(table)


def copy_shipped(kind: str, shipped: Mapping[str, Path], name: str, destination: Path | None) -> Path:
    """Copies a shipped file, and never over another one.

    Args:
        kind: `config` or `notebook`; the command is `nnlab <kind>s copy`.
        shipped: the files, by name.
        name: of the one to copy.
        destination: a file, or a folder for a file of the same name; the current folder if left out.

    Returns:
        The path of the copy.

    Raises:
        InputError: no file of that name is shipped, the destination exists, or cannot be written.
    """
    if name not in shipped:
        raise InputError(f"no shipped {kind} is named {name}; {suggest(name, shipped)}")
    source = shipped[name]
    target = destination or Path(source.name)
    if target.is_dir():
        target = target / source.name
    try:
        with open(target, "xb") as file:
            file.write(source.read_bytes())
    except FileExistsError:
        raise InputError(
            f"{target}: exists already; name another file: nnlab {kind}s copy {name} FILE"
        ) from None
    except OSError as error:
        raise InputError(f"{target}: cannot be written ({error.strerror})") from None
    return target
