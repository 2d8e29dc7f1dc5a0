"""Predictions of a finished run: for new files, for arrays, and for the splits of its own data."""

import math
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import ConfigDict
from torch import Tensor, nn

from nnlab.data import DataSet, Split
from nnlab.data.preprocessing import Preprocessing
from nnlab.data.reader import NewExamples, Reader
from nnlab.data.table import TableReader
from nnlab.data.table.reader import complete
from nnlab.errors import DataError, InputError, RunFolderError
from nnlab.lab import run_data
from nnlab.lab.config import check, source_of_run
from nnlab.lab.finished_run import available_hardware, own_data, precision_of, restored
from nnlab.lab.sections import CNNModel, CustomModel, Hardware, MLPModel, TrainingExperiment
from nnlab.lab.session import Session, select_device
from nnlab.lab.training_run import loss_of
from nnlab.lab.weights import best_weights, refuse_group, refuse_without_weights, weights_file
from nnlab.record import Run, schema
from nnlab.training import predict
from nnlab.training.evaluation import Precision, Views, evaluate

SplitName = Literal["train", "validation", "test"]
METRIC_NAMES: dict[SplitName, str] = {"train": "train", "validation": "val", "test": "test"}
"""The names of the splits in the metrics of a run."""

LEAST_SQUARES = (
    "the classifier was trained by squared error: the numbers of the classes are its outputs, which estimate "
    "probabilities but need not lie between 0 and 1"
)


class _OneModel(TrainingExperiment):
    """The common part of the configs of all experiments that train one model."""

    model_config = ConfigDict(extra="ignore")


@dataclass(frozen=True, eq=False)
class Predictions:
    """Predictions for N examples.

    Attributes:
        labels: N texts that tell the examples apart: numbers of rows, or names of files.
        kind: of the labels, `row`, `file` or `example`.
        outputs: (N, C) float64: probabilities of the classes, or values in original units.
        targets: (N,) class labels or (N, C) values in original units; None where they are unknown.
        class_names: one per class; empty for regression.
        metrics: of all examples, where the targets are known.
        notes: what a user should know about how the files were read.
    """

    labels: list[str]
    kind: str
    outputs: np.ndarray
    targets: np.ndarray | None
    class_names: list[str]
    metrics: dict[str, float]
    notes: tuple[str, ...] = ()

    def most_likely(self) -> list[str]:
        """Returns the name of the class with the largest probability, for each example."""
        return [self.class_names[k] for k in self.outputs.argmax(1)]


@dataclass(frozen=True, eq=False)
class Predictor:
    """A run's model at its best weights, and all that it takes to use it.

    Attributes:
        model: in evaluation mode, on the device of `hardware`.
        data: the run's own data set, where it had to be read; None where the run folder says all.
    """

    run: Run
    config: TrainingExperiment
    model: nn.Module
    preprocessing: Preprocessing
    reader: Reader | None
    hardware: Hardware
    session: Session
    data: DataSet | None = None

    @property
    def device(self) -> torch.device:
        return select_device(self.hardware)

    @property
    def precision(self) -> Precision:
        return precision_of(self.run, self.config)

    # --- new examples ---

    def of_file(self, path: Path, progress: Callable[[int, int], None] | None = None) -> Predictions:
        """Returns predictions for the rows of a table, or the images of a folder or file.

        Raises:
            DataError: the files do not fit the training data.
            InputError: the run's data were no files of a user's.
        """
        if self.reader is None:
            raise InputError(
                f"--data {path}: {self.run.folder} was trained on data.name: {self.preprocessing.name}, no "
                "table and no folder of images; from Python, open_run(RUN).predict(array) takes its examples"
            )
        new = self.reader.read(path, progress=progress)
        self._refuse_unfit(new)
        data = self.preprocessing.apply(new.inputs, new.targets, self.device)
        kind = "file" if self.preprocessing.full_scale else "row"
        known = new.targets is not None
        return self._of_split(self.model, data, data.test, new.labels, kind, known=known, notes=new.notes)

    def _refuse_unfit(self, new: NewExamples) -> None:
        """Raises RunFolderError where reader and preprocessing in data.json are not of one run."""
        shape, own = tuple(new.inputs.shape[1:]), tuple(self.preprocessing.input_shape)
        labels = new.targets is not None and not new.targets.is_floating_point()
        if shape != own:
            raise run_data.damaged(self.run.folder, f"its reader reads examples of shape {shape}, not {own}")
        if labels != (self.preprocessing.task == "classification") and new.targets is not None:
            raise run_data.damaged(self.run.folder, "its reader reads targets of another task")
        if new.targets is not None and labels and int(new.targets.max()) >= self.preprocessing.outputs:
            raise run_data.damaged(self.run.folder, "its reader has more classes than the preprocessing")

    def of_inputs(self, inputs: Tensor) -> np.ndarray:
        """Returns probabilities or values (N, C), float64, for inputs (N, *input_shape) in raw units."""
        data = self.preprocessing.apply(inputs, None, self.device)
        return self._answers(data, predict(self.model, data, data.test.inputs, self.precision))

    # --- the run's own data ---

    def of_split(self, name: SplitName) -> Predictions:
        """Returns predictions for a split of the run's own data; its metrics are those of the run.

        Raises:
            DataError: the data are not at hand, or were changed.
            InputError: the run had no validation split.
        """
        data = self.own_data()
        split = {"train": data.train, "validation": data.validation, "test": data.test}[name]
        if split is None:
            raise InputError(f"--split validation: {self.run.folder} held no validation examples out")
        labels = [str(k) for k in range(1, len(split) + 1)]
        views = "none" if name == "train" else self.config.training.test_time_augmentation
        # as the training had it, for the same metrics to the last bit
        forward = torch.compile(self.model) if self.config.training.compile else self.model
        predictions = self._of_split(forward, data, split, labels, "example", known=True, views=views)
        named = {f"{METRIC_NAMES[name]}/{key}": value for key, value in predictions.metrics.items()}
        return replace(predictions, metrics=named)

    def own_data(self) -> DataSet:
        """Returns the run's own data set. Raises DataError where it is not at hand, or was changed."""
        try:
            return self.data or own_data(self.run, self.config, self.hardware, self.session)
        except DataError as error:
            raise DataError(f"{error}; --data PATH predicts for other examples without them") from None

    def _of_split(
        self,
        forward: Callable[[Tensor], Tensor],
        data: DataSet,
        split: Split,
        labels: list[str],
        kind: str,
        *,
        known: bool,
        views: Views = "none",
        notes: tuple[str, ...] = (),
    ) -> Predictions:
        outputs = predict(forward, data, split.inputs, self.precision)
        metrics: dict[str, float] = {}
        targets = None
        if known:
            metrics = evaluate(forward, data, split, loss_of(self.config, data), self.precision, views)
            targets = split.targets
            targets = data.original(targets) if targets.is_floating_point() else targets
        return Predictions(
            labels=labels,
            kind=kind,
            outputs=self._answers(data, outputs, [f"{kind} {label}" for label in labels]),
            targets=None if targets is None else targets.numpy(force=True),
            class_names=list(data.class_names),
            metrics=metrics,
            notes=(*notes, LEAST_SQUARES) if self._gives_scores(data) else notes,
        )

    def _gives_scores(self, data: DataSet) -> bool:
        return data.task == "classification" and self.config.loss.name == "squared_error"

    def _answers(self, data: DataSet, outputs: Tensor, labels: list[str] | None = None) -> np.ndarray:
        """Probabilities (N, C) of scores, or values (N, C) in original units; float64 on the CPU."""
        values = outputs.cpu().double()
        if data.task == "regression":
            values = data.original(values).cpu()
        elif not self._gives_scores(data):
            values = values.softmax(1)
        broken = torch.nonzero(~values.isfinite().all(1)).flatten()
        if len(broken):
            first = int(broken[0])
            raise DataError(
                f"{labels[first] if labels else f'example {first}'}: the network's output is not finite; its "
                "values are too far from those of the training data"
            )
        return values.numpy()


def predictor(run: Run, session: Session, *, device: str | None = None) -> Predictor:
    """Returns what predicts with a run's model.

    Where the run has no data.json, as runs of earlier versions, its data set is read.

    Args:
        device: in place of that of the run.

    Raises:
        RunFolderError: a group of runs, a run that trained no single model, or files that are damaged.
        InputError: a custom model that is not allowed.
        DataError: the data set is needed, and not at hand.
    """
    config = config_of(run)
    hardware: Hardware = config.training
    if device is not None:
        hardware = hardware.model_copy(update={"device": device})
    hardware = available_hardware(hardware, session)
    preprocessing, data = run_data.preprocessing_of(run), None
    if preprocessing is None:
        data = _data_of_earlier_run(run, config, hardware, session)
        preprocessing = Preprocessing.of(data)
        assert preprocessing is not None  # session.data prepares, and so places, every set
    reader = run_data.reader_of(run) if data is None else data.reader
    _refuse_other_sizes(run, config, preprocessing)
    model = restored(run, config, hardware, session, tuple(preprocessing.input_shape), preprocessing.outputs)
    return Predictor(run, config, model, preprocessing, reader, hardware, session, data)


def _refuse_other_sizes(run: Run, config: TrainingExperiment, preprocessing: Preprocessing) -> None:
    """Raises RunFolderError for sizes that need more weights than the run has, before a model is built."""
    numbers = sum(tensor.numel() for tensor in best_weights(run).values())
    inputs = math.prod(preprocessing.input_shape)
    if isinstance(config.model, CNNModel):
        inputs = math.ceil(inputs / 4 ** len(config.model.channels))  # each block halves the sides
    elif not isinstance(config.model, MLPModel):
        inputs = 0
    if not isinstance(config.model, CustomModel) and max(inputs, preprocessing.outputs) > numbers:
        raise run_data.damaged(
            run.folder,
            f"preprocessing: inputs {preprocessing.input_shape} and {preprocessing.outputs} outputs do not "
            f"fit the {numbers:,} weights of {weights_file(run).name}",
        )


def config_of(run: Run) -> TrainingExperiment:
    """Returns the config of a run that trained one model, whatever its experiment.

    Raises:
        RunFolderError: a group of runs, or one without a model.
        ConfigError: its config is damaged.
    """
    refuse_group(run)
    if run.status == "finished" and not weights_file(run).is_file():
        raise RunFolderError(
            f"{run.folder}: is a run of experiment: {run.summary.get('experiment')}, which trains no single "
            "model; predictions are those of a run of classify or regress"
        )
    refuse_without_weights(run)
    source = source_of_run(run.folder / schema.CONFIG)
    config = check(source, {str(source.values.get("experiment")): _OneModel})
    assert isinstance(config, TrainingExperiment)
    return config


def _data_of_earlier_run(
    run: Run, config: TrainingExperiment, hardware: Hardware, session: Session
) -> DataSet:
    try:
        return own_data(run, config, hardware, session)
    except DataError as error:
        raise DataError(
            f"{error}; {run.folder} has no {schema.DATA}, like all runs of earlier versions: what it does to "
            "its inputs can only be learned from its data"
        ) from None


def model_of(run: Run, *, device: str = "cpu", allow_custom_code: bool = False) -> nn.Module:
    """Returns the model of a run at its best weights; see `Run.model`."""
    return predictor(run, Session(allow_custom_code=allow_custom_code), device=device).model


def predict_array(
    run: Run, examples: Any, *, device: str = "cpu", allow_custom_code: bool = False
) -> np.ndarray:
    """Returns probabilities or values (N, C) for examples in raw units; see `Run.predict`."""
    trained = predictor(run, Session(allow_custom_code=allow_custom_code), device=device)
    if hasattr(examples, "columns"):
        return _of_frame(trained, examples)
    reader = trained.reader
    if not isinstance(reader, TableReader):
        return trained.of_inputs(as_inputs(examples, trained.preprocessing))
    columns = f"the numbers of the columns {', '.join(column.name for column in reader.columns)}"
    inputs = as_inputs(examples, trained.preprocessing, columns, missing=reader.missing == "mean")
    return trained.of_inputs(complete(inputs, reader.columns)[0])


# --- arrays -------------------------------------------------------------------------------------------


def as_inputs(
    array: Any, preprocessing: Preprocessing, columns: str = "", *, missing: bool = False
) -> Tensor:
    """Returns examples as inputs in raw units: (N, features) float64, or (N, C, H, W) uint8.

    Args:
        array: a NumPy array, a tensor, or what NumPy makes an array of: (N, features) in the order of the
            run's columns; (N, C, H, W), or of one channel (N, H, W), whole numbers from 0 to the run's white.
        preprocessing: of the run.
        columns: what the numbers of an example are, for messages.
        missing: whether NaN may stand for a missing value.

    Raises:
        InputError: another shape, values that are no finite numbers, or no pixels.
    """
    if isinstance(array, Tensor):
        array = array.detach().cpu().numpy()
    try:
        values = np.asarray(array)
    except ValueError as error:  # rows of different lengths
        raise InputError(f"the examples are no array: {error}") from None
    if values.dtype.kind not in "buif":
        raise InputError(
            f"the examples must be numbers, not {values.dtype}; texts of a table are read from files: "
            "nnlab predict RUN --data FILE"
        )
    shape = tuple(preprocessing.input_shape)
    if len(shape) == 3 and shape[0] == 1 and values.ndim == 3:
        values = values[:, None]
    if values.ndim != len(shape) + 1 or values.shape[1:] != shape:
        hint = "; for one example, give array[None]" if values.shape == shape else ""
        wanted = "(N, " + ", ".join(map(str, shape)) + ")" + (f", {columns}" if columns else "")
        raise InputError(f"the examples must have the shape {wanted}, not {values.shape}{hint}")
    if not len(values):
        raise InputError("there is no example: the array has the length 0")
    values = values.astype(np.float64)
    wrong = np.argwhere(np.isinf(values) if missing else ~np.isfinite(values))
    if len(wrong):
        place = ", ".join(str(int(k)) for k in wrong[0])
        raise InputError(f"the examples must be finite numbers, but [{place}] is {values[tuple(wrong[0])]}")
    if preprocessing.full_scale is None:
        return torch.from_numpy(values)
    white = preprocessing.full_scale
    if values.min() < 0 or values.max() > white or (values != np.rint(values)).any():
        lowest, highest = values.min(), values.max()
        hint = f"; multiply by {white} and round" if lowest >= 0 and highest <= 1 else ""
        raise InputError(
            f"the pixels must be whole numbers from 0 to {white}, as in the run's own images, but lie "
            f"between {lowest:g} and {highest:g}{hint}"
        )
    return torch.from_numpy(values.astype(np.uint8))


def _of_frame(trained: Predictor, frame: Any) -> np.ndarray:
    """Predictions for a DataFrame, read as the table that it would be as a file: by its columns' names."""
    if trained.reader is None or trained.preprocessing.full_scale is not None:
        return trained.of_inputs(as_inputs(frame.to_numpy(), trained.preprocessing))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "frame.csv"
        if hasattr(frame, "write_csv"):  # polars
            frame.write_csv(path)
        else:  # pandas
            frame.to_csv(path, index=False)
        try:
            return trained.of_inputs(trained.reader.read(path).inputs)
        except DataError as error:
            raise DataError(str(error).replace(str(path), "the DataFrame, written as CSV")) from None
