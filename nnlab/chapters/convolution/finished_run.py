"""What can be seen of a finished run, for its own test images or any other."""

import os
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nnlab.chapters.classification import classify
from nnlab.chapters.convolution.features import (
    Look,
    answer,
    default_looks,
    draw_class_accuracy,
    draw_network,
    draw_representation,
)
from nnlab.chapters.convolution.figures.probabilities import class_probabilities
from nnlab.chapters.convolution.input_form import InputForm, as_picture
from nnlab.data import DataSet
from nnlab.data.user_image import UserImage, read_user_image
from nnlab.errors import DataError, RunFolderError
from nnlab.lab import runner
from nnlab.lab.finished_run import hardware_here, refuse_group, refuse_without_weights, restored
from nnlab.lab.sections import Hardware
from nnlab.lab.session import Session
from nnlab.record import Record, Run, open_run, slug, stamp
from nnlab.training import predict
from nnlab.training.trainer import Precision, autocast


@dataclass(frozen=True, eq=False)
class FinishedRun:
    """A classifier of images at its best weights.

    Attributes:
        run: the folder, which nothing here changes.
        model: in evaluation mode, on the device.
        form: what its images are like.
        data: None where the data set is not at hand any more.
        precision: of forward passes.
    """

    run: Run
    model: nn.Module
    form: InputForm
    data: DataSet | None
    precision: Precision


def draw_again(path: Path, images: Sequence[Path], session: Session) -> dict[str, Any]:
    """Draws what can be seen of a finished run, into a new folder RUN/features/<time>.

    Args:
        path: the run folder.
        images: files to look into, instead of test images.

    Returns:
        The summary of the new folder: `run_dir` is the folder, `results` has the classes of each image.

    Raises:
        InputError: no such run, not one of a classifier of images, or without weights; an image that cannot
            be read; a data set that is not at hand where it is needed.
    """
    found = check_run(open_run(path))
    loaded = load(found, session, needs_data=not images)
    given = [read_user_image(image, loaded.form.shape) for image in images]
    if not os.access(found.folder, os.W_OK | os.X_OK):
        raise RunFolderError(f"{found.folder}: not writable; the figures go into its folder features")
    record = _new_record(loaded, given)
    record.start()
    try:
        outcome = _draw(record, loaded, given, session)
        record.finish("finished", **outcome)
    except BaseException as error:
        status = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
        with suppress(OSError):  # on a full disk the last whole summary stays
            record.finish(status, message=str(error) or type(error).__name__)
        raise
    return record.summary


# --- reading the run -----------------------------------------------------------------------------------


def check_run(run: Run) -> Run:
    """The run again. Raises RunFolderError where it is not one of a classifier with weights."""
    refuse_group(run)
    if run.summary.get("experiment") != "classify":
        raise RunFolderError(
            f"{run.folder}: is a run of the experiment {run.summary.get('experiment')}; features are drawn "
            "for runs of experiment: classify"
        )
    refuse_without_weights(run)
    return run


def load(run: Run, session: Session, *, needs_data: bool) -> FinishedRun:
    """Builds the model of a run's config, with its best weights, and its data set where it is at hand."""
    config = runner.read_config(run, session)
    assert isinstance(config, classify.Config)
    hardware = hardware_here(config.training, session)
    data, form = _data(run, config, hardware, session, needs_data=needs_data)
    model = restored(run, config, hardware, session, form.shape, len(form.class_names))
    if run.status != "finished":
        session.reporter.say(f"{run.folder} is {run.status}: these are its best weights so far")
    return FinishedRun(run, model, form, data, config.training.precision)


def _data(
    run: Run, config: classify.Config, hardware: Hardware, session: Session, *, needs_data: bool
) -> tuple[DataSet | None, InputForm]:
    """The data set and its form; the form alone, as the run kept it, where the set is not at hand."""
    try:
        data = session.data(config.data, hardware)
    except DataError as error:
        form = InputForm.from_arrays(run.arrays())
        if needs_data or form is None:
            hint = "" if form is None else "; without the data set, name images of your own: --image FILE"
            raise DataError(f"{error}{hint}") from None
        session.reporter.say(f"{error}: drawn without the data set")
        return None, form
    if len(data.input_shape) != 3:
        raise RunFolderError(
            f"{run.folder}: was trained on data.name: {config.data.name}, which are no images; features are "
            "drawn for images"
        )
    return data, InputForm.of(data)


# --- drawing -------------------------------------------------------------------------------------------


def _new_record(loaded: FinishedRun, given: Sequence[UserImage]) -> Record:
    facts = {
        "experiment": "features",
        "name": loaded.run.summary["name"],
        "seed": loaded.run.summary["seed"],
        "of_run": str(loaded.run.folder),
        "images": [image.file for image in given],
    }
    device = str(next(loaded.model.parameters()).device)
    return Record(loaded.run.folder / "features", stamp(), loaded.run.config_text(), facts, device)


def _draw(
    record: Record, loaded: FinishedRun, given: Sequence[UserImage], session: Session
) -> dict[str, Any]:
    """Metrics and results of the new folder."""
    record.save_arrays(**loaded.form.arrays())
    metrics, looks, results = {}, [], []
    if loaded.data is not None:
        data = loaded.data
        scores = predict(loaded.model, data, data.test.inputs, loaded.precision)
        metrics["test/accuracy"] = float((scores.argmax(1) == data.test.targets).double().mean())
        if data.outputs > 2:
            draw_class_accuracy(record, data, scores)
        draw_representation(record, loaded.model, data, loaded.precision)
        looks = [] if given else default_looks(data, loaded.form, scores)
    for image, name in zip(given, _names(given), strict=True):
        session.reporter.say(f"{image.file}: {image.words}")
        look, rows = _classify(record, loaded, image, name)
        looks.append(look)
        results.extend(rows)
    draw_network(record, loaded.model, looks)
    return {"metrics": metrics, "results": results}


def _names(given: Sequence[UserImage]) -> list[str]:
    """File names that differ, also where the images have one name in several folders."""
    found: list[str] = []
    for image in given:
        name = stem = slug(image.name)
        count = 1
        while name in found:
            count += 1
            name = f"{stem}-{count}"
        found.append(name)
    return found


def _classify(
    record: Record, loaded: FinishedRun, image: UserImage, name: str
) -> tuple[Look, list[dict[str, Any]]]:
    """The model's answer to one image of the user's: its figure, and its most probable classes as rows."""
    form, device = loaded.form, next(loaded.model.parameters())
    inputs = form.inputs(image.pixels).to(device)
    scores = _scores(loaded, inputs)
    chances = scores.double().softmax(0)
    arrays = {"inputs": inputs.cpu().numpy(), "scores": scores.numpy(), "probabilities": chances.numpy()}
    record.save_arrays(**{f"image/{name}/{key}": value for key, value in arrays.items()})
    original = image.original / 255
    seen = as_picture(image.pixels.numpy() / 255)
    figure = class_probabilities(
        original, seen, arrays["probabilities"], form.class_names, Path(image.file).name, image.words
    )
    record.save_figure(figure, f"image-{name}")
    best = np.argsort(-arrays["probabilities"], kind="stable")[:5]
    rows = [
        {
            "image": image.file,
            "rank": rank,
            "class": form.class_names[index],
            "probability": float(chances[index]),
            "score": float(scores[index]),
        }
        for rank, index in enumerate(map(int, best), 1)
    ]
    words = (f"image: {Path(image.file).name}", answer(scores, form.class_names))
    return Look(name, form.picture(inputs), inputs, words), rows


@torch.no_grad()
def _scores(loaded: FinishedRun, inputs: Tensor) -> Tensor:
    """(C,) on the CPU."""
    with autocast(inputs.device, loaded.precision) or nullcontext():
        scores: Tensor = loaded.model(inputs[None])[0]
    return scores.float().cpu()
