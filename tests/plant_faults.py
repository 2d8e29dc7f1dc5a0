"""Plants each fault of the table in a copy of nnlab, and looks which claims of its lesson then fail.

    python tests/plant_faults.py                          # all of them, one after the other
    python tests/plant_faults.py --chapter bins --jobs 2  # those of nnlab/chapters/lecture/faults/bins.yaml
    python tests/plant_faults.py --only half_the_bins
    python tests/plant_faults.py --unplanted --seed 3     # only the lessons without any fault

This process imports what nnlab imports, but never nnlab itself, and forks for each fault: a fault costs the
seconds of its lesson alone. Exit code 1 where a fault is not caught, or a claim fails without one.
"""

import argparse
import importlib
import json
import multiprocessing
import os
import resource
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from fnmatch import fnmatchcase
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parent.parent
SECONDS = 200  # of CPU that a lesson may take with a fault
LIBRARIES = (
    "torch", "torch.func", "torchvision", "numpy", "scipy.linalg", "scipy.optimize", "scipy.special",
    "scipy.stats", "scipy.integrate", "sklearn.linear_model", "sklearn.svm", "sklearn.datasets",
    "matplotlib.figure", "pydantic", "yaml", "typer", "rich", "igraph", "PIL.Image", "jinja2",
)  # fmt: skip


class Task(NamedTuple):
    """A lesson to run in a copy; `fault` is None for the copy as it is."""

    lesson: str
    settings: dict[str, Any]
    seed: int
    fault: dict[str, Any] | None


class Result(NamedTuple):
    """Verdicts by claim, claims that do not name two codes, the error of a lesson that broke, CPU seconds."""

    verdicts: dict[str, str]
    unnamed: list[str]
    error: str
    seconds: float


def main() -> int:
    """Runs what the command line asks for; returns the exit code."""
    options = _options()
    for library in LIBRARIES:
        importlib.import_module(library)
    with tempfile.TemporaryDirectory(prefix="nnlab-faults-") as folder:
        copy = Path(folder) / "as-it-is"
        for part in ("nnlab", "configs"):
            shutil.copytree(ROOT / part, copy / part, copy_function=shutil.copy2)
        table = [fault for fault in _table(copy) if _wanted(fault, options)]
        lessons = {json.dumps([f["lesson"], f["settings"]], sort_keys=True): f for f in table}
        as_it_is = [Task(f["lesson"], f["settings"], options.seed, None) for f in lessons.values()]
        planted = [] if options.unplanted else [
            Task(f["lesson"], f["settings"], options.seed, f) for f in table
        ]  # fmt: skip
        missed = 0
        for task, result in _run([*as_it_is, *planted], copy, options.jobs):
            missed += not (
                _judge_planted(task.fault, result) if task.fault else _judge_as_it_is(task, result)
            )
    count = len(as_it_is) + len(planted)
    print(
        f"{len(planted)} faults and {len(as_it_is)} lessons without any: {count - missed} as they should be"
    )
    return int(missed > 0)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these faults, with * for any letters")
    parser.add_argument("--chapter", nargs="+", metavar="NAME", help="those of these YAML files")
    parser.add_argument("--unplanted", action="store_true", help="the lessons without any fault alone")
    parser.add_argument("--seed", type=int, default=0, help="of the lessons")
    parser.add_argument("--jobs", type=int, default=1, help="processes at a time")
    return parser.parse_args()


def _wanted(fault: dict[str, Any], options: argparse.Namespace) -> bool:
    named = options.only is None or any(fnmatchcase(fault["name"], pattern) for pattern in options.only)
    return named and (options.chapter is None or fault["chapter"] in options.chapter)


# --- in the process of its own ---------------------------------------------------------------------------


def _table(copy: Path) -> list[dict[str, Any]]:
    """The faults of the copy, each as the fields of `nnlab.chapters.lecture.faults.Fault`."""
    receiver, process = _start(_read_table, copy)
    table: list[dict[str, Any]] = receiver.recv()
    process.join()
    return table


def _read_table(copy: Path, sender: Connection) -> None:
    sys.path.insert(0, str(copy))
    from nnlab.chapters.lecture.faults import read_faults

    sender.send([vars(fault) for fault in read_faults()])


def _start(function: Any, *arguments: Any) -> tuple[Connection, Any]:
    """Forks a process that calls the function with the arguments and a connection to send its result by."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=function, args=(*arguments, sender))
    process.start()
    sender.close()
    return receiver, process


def _run(tasks: list[Task], copy: Path, jobs: int) -> Iterator[tuple[Task, Result]]:
    """Runs the tasks, so many at a time; yields each with its result when it is there."""
    waiting, running = list(tasks), dict[Connection, tuple[Task, Any]]()
    while waiting or running:
        while waiting and len(running) < jobs:
            task = waiting.pop(0)
            receiver, process = _start(_lesson, task, copy)
            running[receiver] = task, process
        ready = [receiver for receiver in wait(list(running)) if isinstance(receiver, Connection)]
        for receiver in ready:
            task, process = running.pop(receiver)
            try:
                result: Result = receiver.recv()
            except EOFError:
                process.join()
                result = Result({}, [], f"the process ended with code {process.exitcode}", 0.0)
            process.join()
            yield task, result


def _lesson(task: Task, copy: Path, sender: Connection) -> None:
    """Plants the fault in a copy of the copy, runs the lesson there, and sends its verdicts."""
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    with tempfile.TemporaryDirectory(prefix="nnlab-fault-") as folder:
        try:
            where = copy if task.fault is None else _planted(task.fault, copy, Path(folder) / "copy")
            claims, error = _claims(task, where, Path(folder) / "runs"), ""
        except BaseException as raised:
            claims, error = [], "".join(traceback.format_exception(raised, limit=-4))
    verdicts = {claim["name"]: claim["verdict"] for claim in claims}
    unnamed = [c["name"] for c in claims if len({"", c["predicted_by"], c["measured_by"]}) < 3]
    sender.send(Result(verdicts, unnamed, error, time.process_time()))


def _planted(fault: dict[str, Any], copy: Path, folder: Path) -> Path:
    """A copy with the fault in it. Raises ValueError where its line does not occur exactly once."""
    source = (copy / fault["file"]).read_text("utf-8")
    if source.count(fault["before"]) != 1:
        raise ValueError(f"{fault['file']} holds {source.count(fault['before'])} times: {fault['before']}")
    shutil.copytree(copy, folder, copy_function=os.link)
    path = folder / fault["file"]
    for compiled in path.parent.glob(f"__pycache__/{path.stem}.*"):
        compiled.unlink()
    path.unlink()
    path.write_text(source.replace(fault["before"], fault["after"]), "utf-8")
    return folder


def _claims(task: Task, copy: Path, runs: Path) -> list[dict[str, Any]]:
    """Runs the lesson with the nnlab of the copy, without figures; returns its claims."""
    sys.path.insert(0, str(copy))
    import torch

    import nnlab
    from nnlab.chapters.experiments import EXPERIMENTS
    from nnlab.chapters.lecture import beyond, plan
    from nnlab.chapters.lecture.experiment import Config, experiment_of
    from nnlab.lab import runner
    from nnlab.lab.session import Session
    from nnlab.record import Record

    assert Path(nnlab.__file__).is_relative_to(copy)
    torch.set_num_threads(1)
    Record.draw = lambda record, *stop: None  # type: ignore[method-assign]
    lesson = {**plan.LESSONS, **beyond.LESSONS}[task.lesson]
    lesson = plan.Lesson(lesson.name, lesson.config, {**lesson.settings, **task.settings})
    config = experiment_of(lesson, Config(experiment="lecture", seed=task.seed), EXPERIMENTS)
    claims: list[dict[str, Any]] = runner.run(config, runs, Session(experiments=EXPERIMENTS))["claims"]
    return claims


# --- what came out ---------------------------------------------------------------------------------------


def _judge_as_it_is(task: Task, result: Result) -> bool:
    """Prints how the lesson went without a fault; returns whether no claim fails, and all name two codes."""
    failing = [claim for claim, verdict in result.verdicts.items() if verdict == "FAIL"]
    open_ = [claim for claim, verdict in result.verdicts.items() if verdict == "INCONCLUSIVE"]
    count = sum(verdict == "PASS" for verdict in result.verdicts.values())
    print(
        f"without a fault  {task.lesson} {task.settings or ''}: {count} PASS"
        + (f"; INCONCLUSIVE: {', '.join(open_)}" if open_ else "")
        + (f"; FAIL: {', '.join(failing)}" if failing else "")
        + (f"; without two codes: {', '.join(result.unnamed)}" if result.unnamed else "")
        + f"  ({result.seconds:.1f} s)",
        flush=True,
    )
    if result.error:
        print(result.error, flush=True)
    return not failing and not result.unnamed and not result.error


def _judge_planted(fault: dict[str, Any], result: Result) -> bool:
    """Prints which claims the fault turned to FAIL; returns whether the table's are among them."""
    failing = [claim for claim, verdict in result.verdicts.items() if verdict == "FAIL"]
    left = [name for name in fault["fails"] if not any(fnmatchcase(claim, name) for claim in failing)]
    word = "broken" if result.error else "MISSED" if left else "caught"
    others = [f"{name} is {_verdict(name, result)}" for name in left]
    print(
        f"{word}  {fault['name']}: FAIL: {', '.join(failing) or 'none'}"
        + (f"; {', '.join(others)}" if others else "")
        + f"  ({result.seconds:.1f} s)",
        flush=True,
    )
    if result.error:
        print(result.error, flush=True)
    return word == "caught"


def _verdict(name: str, result: Result) -> str:
    """The verdicts of the claims of that name, where none of them is FAIL."""
    verdicts = {verdict for claim, verdict in result.verdicts.items() if fnmatchcase(claim, name)}
    return " and ".join(sorted(verdicts)) or "not there"


if __name__ == "__main__":
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    sys.exit(main())
