"""The figures of a finished run drawn again, for its own test images or any other (`nnlab features`)."""

import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from nnlab.chapters.classification import classify
from nnlab.chapters.convolution import schema
from nnlab.chapters.convolution.features import Example, answer, draw_classes, draw_network, test_examples
from nnlab.chapters.convolution.figures.classes import class_probabilities
from nnlab.chapters.convolution.image_format import ImageFormat
from nnlab.data import DataSet
from nnlab.data.image_reader import ImageReader
from nnlab.data.user_image import UserImage, read_user_image
from nnlab.errors import DataError, RunFolderError
from nnlab.lab import drawing, runner
from nnlab.lab.finished_run import available_hardware, own_data, precision_of, restored
from nnlab.lab.run_data import reader_of
from nnlab.lab.sections import Hardware
from nnlab.lab.session import Session
from nnlab.lab.weights import refuse_group, refuse_without_weights
from nnlab.plot.images import as_picture
from nnlab.record import Record, Run, open_run, slug, stamp
from nnlab.record.arrays import under
from nnlab.training import predict
from nnlab.training.evaluation import Precision, autocast


@dataclass(frozen=True, eq=False)
class TrainedClassifier:
    """A classifier of images at its best weights.

    Attributes:
        run: the folder, which stays as it is.
        model: in evaluation mode, on the device.
        images: the format of its images.
        data: None where the data set is not at hand any more.
        precision: of forward passes.
    """

    run: Run
    model: nn.Module
    images: ImageFormat
    data: DataSet | None
    precision: Precision

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device


def draw_again(path: Path, images: Sequence[Path], session: Session) -> dict[str, Any]:
    """Draws the features of a finished run into a new folder RUN/features/<time>.

    Args:
        path: the run folder.
        images: files to classify and draw, instead of test images.

    Returns:
        The summary of the new folder: `run_dir` is the folder, `results` has the classes of each image.

    Raises:
        InputError: no such run, not one of a classifier of images, or without weights; an image that cannot
            be read; a data set that is not at hand where it is needed.
    """
    run = check_run(open_run(path))
    trained = load(run, session, needs_data=not images)
    reader = reader_of(run)
    as_trained = reader if isinstance(reader, ImageReader) else None
    own = [read_user_image(image, trained.images.shape, as_trained) for image in images]
    if not os.access(run.folder, os.W_OK | os.X_OK):
        raise RunFolderError(f"{run.folder}: not writable; the figures go into its folder features")
    facts = {
        "experiment": "features",
        "name": run.summary["name"],
        "seed": run.summary["seed"],
        "of_run": os.pardir + os.sep + os.pardir,  # wherever the folder is moved to
        "images": [image.file for image in own],
    }
    record = Record(run.folder / "features", stamp(), run.config_text(), facts, str(trained.device))
    record.axes = {**schema.ARRAYS, **drawing.ARRAYS}
    record.start()
    try:
        outcome = _draw(record, trained, own, session)
        record.complete(**outcome)
        record.draw()
        for text in record.summary.get("warnings", []):
            session.reporter.say(f"warning: {text}")
        record.finish("finished")
    except BaseException as error:
        runner.end(record, error)
        raise
    return record.summary


# --- reading the run -----------------------------------------------------------------------------------


def check_run(run: Run) -> Run:
    """Returns the run. Raises RunFolderError where it is not one of a classifier with weights."""
    refuse_group(run)
    if run.summary.get("experiment") != "classify":
        raise RunFolderError(
            f"{run.folder}: is a run of the experiment {run.summary.get('experiment')}; features are drawn "
            "for runs of experiment: classify"
        )
    refuse_without_weights(run)
    return run


def load(run: Run, session: Session, *, needs_data: bool) -> TrainedClassifier:
    """Builds the model of a run's config, with its best weights, and its data set where it is at hand."""
    config = runner.read_config(run, session)
    if not isinstance(config, classify.Config):
        raise RunFolderError(
            f"{run.folder}: its config.yaml is that of experiment: {config.experiment}, but its summary says "
            "classify; one of the two was changed"
        )
    hardware = available_hardware(config.training, session)
    data, images = _data(run, config, hardware, session, needs_data=needs_data)
    model = restored(run, config, hardware, session, images.shape, len(images.class_names))
    if run.status != "finished":
        session.reporter.say(f"{run.folder} is {run.status}: these are its best weights so far")
    return TrainedClassifier(run, model, images, data, precision_of(run, config))


def _data(
    run: Run, config: classify.Config, hardware: Hardware, session: Session, *, needs_data: bool
) -> tuple[DataSet | None, ImageFormat]:
    """Returns the data set and its format; the format alone, as the run kept it, where the set is missing."""
    try:
        data = own_data(run, config, hardware, session)
    except DataError as error:
        images = ImageFormat.from_arrays(run.arrays())
        if needs_data or images is None:
            hint = "" if images is None else "; without the data set, name images of your own: --image FILE"
            raise DataError(f"{error}{hint}") from None
        session.reporter.say(f"{error}: drawn without the data set")
        return None, images
    if len(data.input_shape) != 3:
        raise RunFolderError(
            f"{run.folder}: was trained on data.name: {config.data.name}, which holds no images; features "
            "are drawn for images"
        )
    return data, ImageFormat.of(data)


# --- drawing -------------------------------------------------------------------------------------------


def _draw(
    record: Record, trained: TrainedClassifier, own: Sequence[UserImage], session: Session
) -> dict[str, Any]:
    """Draws classes, network and the user's own images; returns metrics and results of the new folder."""
    record.save_arrays(**trained.images.arrays())
    metrics, results = {}, []
    examples: list[Example] = []
    if trained.data is not None:
        data = trained.data
        scores = predict(trained.model, data, data.test.inputs, trained.precision)
        metrics["test/accuracy"] = float((scores.argmax(1) == data.test.targets).double().mean())
        draw_classes(record, trained.model, data, scores, trained.precision)
        examples = [] if own else test_examples(data, trained.images, scores)
    for image, name in zip(own, _names(own), strict=True):
        session.reporter.say(f"{image.file}: {image.words}")
        example, rows = _classify(record, trained, image, name)
        examples.append(example)
        results += rows
    draw_network(record, trained.model, examples)
    return {"metrics": metrics, "results": results}


def _names(images: Sequence[UserImage]) -> list[str]:
    """Returns file names that differ, also where the images have one name in several folders."""
    names: list[str] = []
    for image in images:
        stem = slug(image.name)
        candidates = itertools.chain([stem], (f"{stem}-{count}" for count in itertools.count(2)))
        names.append(next(name for name in candidates if name not in names))
    return names


def _classify(
    record: Record, trained: TrainedClassifier, image: UserImage, name: str
) -> tuple[Example, list[dict[str, Any]]]:
    """Draws the model's answer to one image of the user's; returns its most probable classes as rows."""
    classes = trained.images.class_names
    inputs = trained.images.inputs(image.pixels).to(trained.device)
    with torch.no_grad(), autocast(trained.device, trained.precision):
        scores = trained.model(inputs[None])[0].float().cpu()
    chances = scores.double().softmax(0).numpy()
    arrays = {"inputs": inputs.cpu().numpy(), "scores": scores.numpy(), "probabilities": chances}
    record.save_arrays(**under(f"image/{name}", arrays))
    file, resized = Path(image.file).name, as_picture(image.pixels.numpy() / 255)
    record.figure(
        f"image-{name}",
        class_probabilities,
        image.original / 255,
        resized,
        chances,
        classes,
        file,
        image.words,
    )
    best = np.argsort(-chances, kind="stable")[:5]
    rows = [
        {
            "image": image.file,
            "rank": rank,
            "class": classes[index],
            "probability": float(chances[index]),
            "score": float(scores[index]),
        }
        for rank, index in enumerate(map(int, best), 1)
    ]
    words = (f"image: {file}", answer(scores, classes))
    return Example(name, trained.images.picture(inputs), inputs, words), rows
