"""`nnlab bench`: speeds as ratios against another program, timed in the same run."""

import json
import os
import sys
from typing import Annotated

import typer


def bench(
    name: Annotated[
        str, typer.Argument(help="train, ntk, ntk_mnist, ntk_networks, approx, ensemble or cifar10.")
    ],
    pairs: Annotated[int, typer.Option(min=3, help="Interleaved pairs of timings.")] = 15,
    as_json: Annotated[bool, typer.Option("--json", help="Print the rows as JSON on stdout.")] = False,
) -> None:
    """Time nnlab beside another program, in interleaved pairs; print the other program's source."""
    _bind_threads()
    from nnlab.bench import BENCHMARKS
    from nnlab.cli import terminal
    from nnlab.errors import InputError, suggest

    if name not in BENCHMARKS:
        raise InputError(f"nnlab bench {name}: unknown; {suggest(name, BENCHMARKS)}")
    source, results = BENCHMARKS[name].run(pairs, terminal.Terminal())
    if as_json:
        print(json.dumps({"schema_version": 1, "source": source, "rows": results}))
        return
    console = terminal.out()
    console.print(source, markup=False)
    columns = list(results[0])
    rows = [[terminal.number(row[column]) for column in columns] for row in results]
    console.print(terminal.table(BENCHMARKS[name].title, columns, rows))


def _bind_threads() -> None:
    """Starts over with one thread bound to each core, as OpenMP reads its settings only once.

    Unbound, two threads sometimes share a core, and a timing says more about the scheduler than the code.
    """
    if "OMP_PROC_BIND" not in os.environ:
        bound = {**os.environ, "OMP_PROC_BIND": "close", "OMP_PLACES": "cores"}
        os.execve(sys.executable, [sys.executable, "-m", "nnlab", *sys.argv[1:]], bound)
