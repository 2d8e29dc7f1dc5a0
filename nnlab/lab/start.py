"""A training that begins from another run's best weights: they are loaded, checked and remembered."""

import hashlib
import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nnlab.data import DataSet
from nnlab.data.preprocessing import Preprocessing
from nnlab.errors import InputError, RunFolderError
from nnlab.lab.config import check, source_of_run
from nnlab.lab.run_data import RunData, preprocessing_of
from nnlab.lab.sections import TrainingExperiment
from nnlab.lab.session import Session
from nnlab.lab.source import as_yaml
from nnlab.lab.weights import best_weights, refuse_group, refuse_without_weights
from nnlab.record import Record, Run, open_run, schema

Weights = dict[str, Tensor]

DIFFERENCES = 6
"""Layers that do not fit and are named; of more, their number is told."""

SHIFT = 0.01
"""Standard deviations by which another normalization may move an input without a warning."""


def begin_from(config: TrainingExperiment, model: nn.Module, data: DataSet, session: Session) -> None:
    """Gives `model` the best weights of the run `model.start`, if the config names one.

    The record of the run keeps their hash; in a resume they must be the same. Where the run has checkpoints
    of its own by then, the other run may be gone.

    Raises:
        InputError: the weights do not fit the model, or are not those that the run began from.
        RunFolderError: no such run, or one without weights.
    """
    if config.model.start is None:
        return
    path = Path(config.model.start).expanduser().absolute()
    kept = session.run_data
    if not os.path.exists(path) and kept is not None and _has_checkpoint(kept.record):
        session.reporter.say(f"model.start: {path} is gone; the run goes on from its own checkpoint")
        return
    run = _open(path)
    weights = best_weights(run)
    _refuse_changed(path, fingerprint(weights), kept)
    _fit(weights, model, path, data)
    model.load_state_dict(weights)
    for text in _doubts(config, run, data, session):
        if kept is None:
            session.reporter.say(f"warning: {text}")
        else:
            kept.record.warn(text)
    session.reporter.say(f"begins from the best weights of {path}")


def fingerprint(weights: Weights) -> str:
    """The SHA-256 of names, types, shapes and values of weights."""
    digest = hashlib.sha256()
    for name, tensor in sorted(weights.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _has_checkpoint(record: Record) -> bool:
    return record.resumed and (record.folder / "checkpoints" / "last.pt").exists()


def _open(path: Path) -> Run:
    try:
        run = open_run(path)
        refuse_group(run)
        refuse_without_weights(run)
    except RunFolderError as error:
        raise RunFolderError(
            f"model.start: {error}. A relative path is relative to the folder in which the command is run"
        ) from None
    return run


def _refuse_changed(path: Path, sha256: str, kept: RunData | None) -> None:
    """Compares with the hash that the run, or the first one of its group, has kept; or keeps it."""
    if kept is None:
        return
    before = kept.record.summary.get(schema.START)
    if before is None and kept.group is not None and kept.group.started:
        summaries = (open_run(file.parent).summary for file in kept.group.folder.glob(f"s*/{schema.SUMMARY}"))
        before = next((summary[schema.START] for summary in summaries if schema.START in summary), None)
    if before is not None and before.get("sha256") != sha256:
        raise InputError(
            f"model.start: {path}: its best weights are not those that this run began from (they were in "
            f"{before.get('run')}). Put them back as they were, or start a new run"
        )
    kept.record.summary[schema.START] = before or {"run": str(path), "sha256": sha256}


# --- do they fit? -----------------------------------------------------------------------------------


def _fit(weights: Weights, model: nn.Module, path: Path, data: DataSet) -> None:
    """Raises InputError where names or shapes of the weights are not those of the model."""
    own = model.state_dict()
    shapes = {name: (_shape(weights, name), _shape(own, name)) for name in {**own, **weights}}
    differing = {name: pair for name, pair in shapes.items() if pair[0] != pair[1]}
    if not differing:
        return
    outputs = _outputs(differing, data.outputs)
    if outputs is not None:
        raise InputError(
            f"model.start: {path}: its model has {outputs} outputs, but these data need {data.outputs} "
            f"({', '.join(differing)}); only a run on data of as many classes or targets can be begun from"
        )
    lines = [
        f"{name}: {shape or 'nothing'} there, {needed or 'nothing'} here"
        for name, (shape, needed) in list(differing.items())[:DIFFERENCES]
    ]
    if len(differing) > DIFFERENCES:
        lines.append(f"and {len(differing) - DIFFERENCES} more")
    raise InputError(
        f"model.start: {path}: its weights do not fit this model, whose section model must be that of "
        f"{path / schema.CONFIG} and whose inputs must have the same shape:\n  " + "\n  ".join(lines)
    )


def _shape(weights: Weights, name: str) -> tuple[int, ...] | None:
    return tuple(weights[name].shape) if name in weights else None


def _outputs(
    differing: dict[str, tuple[tuple[int, ...] | None, tuple[int, ...] | None]], outputs: int
) -> int | None:
    """The number of outputs of the other model, where that is all that differs; else None."""
    numbers = set()
    for other, own in differing.values():
        if not other or not own or other[1:] != own[1:] or own[0] != outputs:
            return None
        numbers.add(other[0])
    return numbers.pop() if len(numbers) == 1 else None


def _doubts(config: TrainingExperiment, run: Run, data: DataSet, session: Session) -> list[str]:
    """Returns what makes weights that fit mean something else here than there."""
    begin = f"model.start: {run.folder}: "
    doubts = [begin + text for text in _other_model(config, run, session)]
    before, now = preprocessing_of(run), Preprocessing.of(data)
    if before is not None and now is not None:
        doubts += [begin + text for text in _other_data(before, now)]
    return doubts


def _other_model(config: TrainingExperiment, run: Run, session: Session) -> list[str]:
    """The keys of the section model that change no shape but what the weights compute."""
    other = check(source_of_run(run.folder / schema.CONFIG), session.experiments)
    if not isinstance(other, TrainingExperiment):
        return []
    before, now = other.model.model_dump(exclude={"start"}), config.model.model_dump(exclude={"start"})
    return [
        f"model.{key} was {as_yaml(before.get(key))} there and is {as_yaml(value)} here: its weights compute "
        "another function"
        for key, value in now.items()
        if before.get(key) != value
    ]


def _other_data(before: Preprocessing, now: Preprocessing) -> list[str]:
    texts = []
    if before.class_names != now.class_names:
        texts.append(
            f"its classes were {_listed(before.class_names)}; here they are {_listed(now.class_names)}, so "
            "that outputs change their meaning"
        )
    if _moved(before.mean, before.std, now.mean, now.std):
        texts.append(
            "its inputs were normalized by another mean or standard deviation, so that the network sees the "
            "same example as other numbers than there"
        )
    targets = [(p.target_mean or [0.0], p.target_std or [1.0]) for p in (before, now)]
    if _moved(*targets[0], *targets[1]):
        texts.append("its targets were standardized in another way, so that outputs change their unit")
    return texts


def _moved(mean: list[float], std: list[float], new_mean: list[float], new_std: list[float]) -> bool:
    """Tells whether (x − mean)/std is noticeably another number, for x within a deviation of the mean."""
    if len(mean) != len(new_mean):
        return False
    pairs = zip(mean, std, new_mean, new_std, strict=True)
    return any(abs(m - n) > SHIFT * s or abs(s - t) > SHIFT * s for m, s, n, t in pairs)


def _listed(names: list[Any], most: int = 8) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
