"""Loads a finished run: its config, its model at the best weights, and its data set."""

import torch
from torch import nn

from nnlab.data import DataSet
from nnlab.errors import DataError, InputError, RunFolderError
from nnlab.lab import runner
from nnlab.lab.build import build_model
from nnlab.lab.run_data import fingerprint_of, refuse_changed
from nnlab.lab.sections import Hardware, TrainingExperiment
from nnlab.lab.session import Session, dtype_of, generator, select_device
from nnlab.lab.weights import best_weights, refuse_group, refuse_without_weights, weights_file
from nnlab.record import Run
from nnlab.training.evaluation import Precision


def restore(run: Run, session: Session) -> tuple[TrainingExperiment, nn.Module, DataSet]:
    """Config, model at its best weights, and data set of a run that trained one model, on images or not.

    Raises:
        RunFolderError: a group of runs, an experiment that trains no single model, or no weights.
        DataError: the data set is not at hand, or was changed.
    """
    refuse_group(run)
    config = runner.read_config(run, session)
    if not isinstance(config, TrainingExperiment):
        raise RunFolderError(
            f"{run.folder}: is a run of experiment: {config.experiment}, which trains no single model"
        )
    refuse_without_weights(run)
    hardware = available_hardware(config.training, session)
    data = own_data(run, config, hardware, session)
    return config, restored(run, config, hardware, session, data.input_shape, data.outputs), data


def own_data(run: Run, config: TrainingExperiment, hardware: Hardware, session: Session) -> DataSet:
    """Returns the data set of a run, as it was when the run started.

    Raises:
        DataError: it is not at hand, or was changed.
        RunFolderError: data.json is damaged.
    """
    before = fingerprint_of(run.data(), run.folder)
    try:
        data = session.data(config.data, hardware)
    except DataError as error:
        if before is None or before.path is None:
            raise
        raise DataError(f"{error}; {run.folder} was started with the data in {before.path}") from None
    if before is not None and data.fingerprint is not None:
        refuse_changed(
            before, data.fingerprint, run.folder, session.reporter.say, "Put them back as they were"
        )
    return data


def restored(
    run: Run,
    config: TrainingExperiment,
    hardware: Hardware,
    session: Session,
    input_shape: tuple[int, ...],
    outputs: int,
) -> nn.Module:
    """The model at its best weights, in evaluation mode, on the device."""
    model = build_model(
        config.model,
        input_shape=input_shape,
        outputs=outputs,
        generator=generator(config.seed, "weights"),
        examples=torch.zeros(1, *input_shape),  # a start that best.pt replaces
        allow_custom_code=session.allow_custom_code,
    )
    model = model.to(device=select_device(hardware), dtype=dtype_of(hardware))
    weights = best_weights(run)
    try:
        model.load_state_dict(weights)
    except (RuntimeError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise RunFolderError(
            f"{weights_file(run)}: does not fit the run's config.yaml ({reason[:300]}); "
            "one of the two was changed"
        ) from None
    return model.eval()


def precision_of(run: Run, config: TrainingExperiment) -> Precision:
    """The number format that the run's forward passes had: what `auto` became, as its summary says."""
    wanted = config.training.precision
    if wanted != "auto":
        return wanted
    return "bfloat16" if run.summary.get("precision") == "bfloat16" else "float32"


def available_hardware(hardware: Hardware, session: Session) -> Hardware:
    """The run's device where this machine has it, else the CPU."""
    try:
        select_device(hardware)
    except InputError:
        session.reporter.say(f"training.device: {hardware.device} is not available: the CPU takes its place")
        return hardware.model_copy(update={"device": "cpu"})
    return hardware
