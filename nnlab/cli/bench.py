"""`nnlab bench`: speeds as ratios to another program, timed in the same run."""

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
    title, benchmark = BENCHMARKS[name]
    source, results = benchmark(pairs, terminal.Terminal())
    columns = list(dict.fromkeys(column for row in results for column in row))
    rows = [[row.get(column) for column in columns] for row in results]
    if as_json:
        records = [dict(zip(columns, row, strict=True)) for row in rows]
        print(json.dumps({"schema_version": 1, "source": source, "rows": records}))
        return
    console = terminal.out()
    console.print(source, markup=False)
    console.print(terminal.table(title, columns, [[terminal.number(value) for value in row] for row in rows]))


def _bind_threads() -> None:
    """Starts over with one thread bound to each core, as OpenMP reads its settings only once.

    Unbound, two threads sometimes share a core, and a timing says more about the scheduler than the code.
    """
    if "OMP_PROC_BIND" not in os.environ:
        bound = {**os.environ, "OMP_PROC_BIND": "close", "OMP_PLACES": "cores"}
        os.execve(sys.executable, [sys.executable, "-m", "nnlab", *sys.argv[1:]], bound)
