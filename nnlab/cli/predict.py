"""`nnlab predict`: classes or values for new rows and images, by the model and preprocessing of a run."""

import csv
import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from nnlab.cli.files import check_places, write
from nnlab.cli.run import CustomCode, Device, RunName, RunsFolder, new_session
from nnlab.errors import InputError

if TYPE_CHECKING:
    from nnlab.lab.prediction import Predictions, SplitName

SHOWN = 20
"""Rows of the table on a terminal."""
SPLITS = ("train", "validation", "test")
Quiet = Annotated[bool, typer.Option(help="No progress, notes and metrics: only the predictions.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print predictions and metrics as JSON on stdout.")]


def predict(
    run: RunName,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="A table with the columns of the training data, or an image or a folder of images.",
        ),
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Examples of the run's own data: train, validation or test.")
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a new CSV file.")] = None,
    as_json: AsJson = False,
    device: Device = None,
    runs: RunsFolder = Path("runs"),
    quiet: Quiet = False,
    allow_custom_code: CustomCode = False,
) -> None:
    """Predict classes or values for new examples; without --data, for the test examples of the run itself.

    For classes, each row has the probabilities in columns with the names of the classes. Where the examples
    have their targets, metrics are printed, too. Without --out, and where stdout is no terminal, stdout gets
    the CSV.
    """
    if data is not None and split is not None:
        raise InputError("--data and --split: give one of them, new examples or a part of the run's own")
    split = "validation" if split == "val" else split  # as metrics call it
    if split is not None and split not in SPLITS:
        raise InputError(f"--split {split}: allowed are {', '.join(SPLITS)}")
    if device not in (None, "auto", "cpu", "cuda", "mps"):
        raise InputError(f"--device {device}: allowed are auto, cpu, cuda, mps")
    if out is not None:
        check_places({"--out": out})
    from nnlab.cli import terminal
    from nnlab.lab.prediction import predictor
    from nnlab.record import find_run

    session = new_session(quiet=quiet, allow_custom_code=allow_custom_code)
    stored = find_run(run, runs)
    model = predictor(stored, session, device=device)
    if stored.status != "finished":
        session.reporter.say(f"{stored.folder} is {stored.status}: these are its best weights so far")
    if data is None:
        result = model.of_split(cast("SplitName", split or "test"))
    else:
        with session.reporter.bar("reading") as advance:
            result = model.of_file(data, lambda done, total: advance(done, total, ""))
    for note in result.notes:
        session.reporter.say(note)
    if out is not None:
        write({"--out": out}, {"--out": _csv(result).encode()})
    if as_json:
        terminal.print_json(_json(result, str(stored.folder), data, split, out))
        return
    to_pipe = out is None and not sys.stdout.isatty()
    if to_pipe:
        print(_csv(result), end="")
    if result.metrics and not quiet:
        _print_metrics(result, session.reporter.say if to_pipe else terminal.print_line)
    if out is not None:
        terminal.print_line(out)
    elif not to_pipe:
        _print_table(result)


def _rows(result: "Predictions") -> tuple[list[str], list[list[Any]]]:
    """The header and the rows of the CSV: label, target where it is known, prediction, probabilities."""
    classes, rows = result.class_names, [[label] for label in result.labels]
    header = [result.kind]
    if result.targets is not None:
        header += _numbered("target", 1 if classes else result.targets.shape[1])
        targets = result.targets.tolist()
        rows = [
            [*row, *([classes[target]] if classes else target)]
            for row, target in zip(rows, targets, strict=True)
        ]
    if classes:
        header = [_free(name, classes) for name in (*header, "prediction")] + classes
        rows = [[*row, name] for row, name in zip(rows, result.most_likely(), strict=True)]
    else:
        header += _numbered("prediction", result.outputs.shape[1])
    return header, [[*row, *numbers] for row, numbers in zip(rows, result.outputs.tolist(), strict=True)]


def _numbered(name: str, count: int) -> list[str]:
    return [name] if count == 1 else [f"{name}_{k}" for k in range(1, count + 1)]


def _free(name: str, classes: list[str]) -> str:
    """A name for a column that is no class's."""
    while name in classes:
        name += "_"
    return name


def _csv(result: "Predictions") -> str:
    header, rows = _rows(result)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


def _json(
    result: "Predictions", folder: str, data: Path | None, split: str | None, out: Path | None
) -> dict[str, Any]:
    from nnlab.record import plain

    chosen = result.most_likely() if result.class_names else []
    examples: list[dict[str, Any]] = []
    for k, label in enumerate(result.labels):
        example: dict[str, Any] = {result.kind: label}
        if result.class_names:
            if result.targets is not None:
                example["target"] = result.class_names[int(result.targets[k])]
            chances = dict(zip(result.class_names, result.outputs[k].tolist(), strict=True))
            example |= {"prediction": chosen[k], "probabilities": chances}
        else:
            if result.targets is not None:
                example["target"] = _one_or_all(result.targets[k].tolist())
            example["prediction"] = _one_or_all(result.outputs[k].tolist())
        examples.append(example)
    return {
        "schema_version": 1,
        "run_dir": folder,
        "data": None if data is None else str(data.absolute()),
        "split": (split or "test") if data is None else None,
        "task": "classification" if result.class_names else "regression",
        "classes": result.class_names,
        "examples": len(result.labels),
        "metrics": plain(result.metrics),
        "notes": list(result.notes),
        "out": None if out is None else str(out),
        "predictions": examples,
    }


def _one_or_all(values: list[float]) -> float | list[float]:
    return values[0] if len(values) == 1 else values


def _print_metrics(result: "Predictions", say: Any) -> None:
    from nnlab.cli import terminal

    texts = [f"{name} {terminal.metric(name, value)}" for name, value in result.metrics.items()]
    say(f"{len(result.labels):,} examples: {', '.join(texts)}")


def _print_table(result: "Predictions") -> None:
    """The first rows; of many classes only the most probable ones."""
    from nnlab.cli import terminal

    header, rows = _rows(result)
    if len(result.class_names) > 10:
        header, rows = _without_most(result, header, rows)
    cells = [
        [cell if isinstance(cell, str) else terminal.number(cell) for cell in row] for row in rows[:SHOWN]
    ]
    more = f", the first {SHOWN} of {len(rows):,} (all: --out FILE)" if len(rows) > SHOWN else ""
    terminal.print_table(f"predictions{more}", header, cells)


def _without_most(
    result: "Predictions", header: list[str], rows: list[list[Any]]
) -> tuple[list[str], list[list[Any]]]:
    own = len(header) - len(result.class_names)
    chances = result.outputs.max(1).tolist()
    return [*header[:own], "probability"], [[*row[:own], chances[k]] for k, row in enumerate(rows)]
