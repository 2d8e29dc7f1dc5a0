"""Data sets and models from the sections of a config. Below this file nothing sees a config object."""

import math
from collections.abc import Callable
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from nnlab import __version__
from nnlab.data import folder, images, synthetic, table
from nnlab.data.augmentation import Augmentation
from nnlab.data.changes import DECODER
from nnlab.data.dataset import DataSet, RawData, prepare
from nnlab.data.decoding import Progress
from nnlab.data.fingerprint import Fingerprint, fingerprint
from nnlab.data.locations import data_root
from nnlab.errors import InputError
from nnlab.lab import sections
from nnlab.lab.functions import of_expression, of_points
from nnlab.lab.sections import CNNModel, CustomModel, MLPModel, SpeedCNNModel
from nnlab.models import CNN, MLP, SpeedCNN, build_custom


def build_data(
    section: sections.Data,
    *,
    device: torch.device | str,
    dtype: torch.dtype,
    progress: Progress | None = None,
) -> DataSet:
    """The whole data set of a config section, as tensors on the device.

    Args:
        section: the checked section `data`.
        device: where all tensors go.
        dtype: of the inputs once they are standardized, and of regression targets.
        progress: called with (done, total) while the files of an image folder are decoded.

    Raises:
        DataError: where the set is missing, damaged or not of the declared form, or its images are too
            small for the augmentation.
    """
    none = sections.AugmentationSection()
    changes = getattr(section, "augmentation", none)
    raw = _load(section, progress)
    data = prepare(
        raw,
        name=section.name,
        validation=section.validation,
        split_seed=section.split_seed,
        standardize=section.standardize,
        device=torch.device(device),
        dtype=dtype,
        augmentation=None
        if changes == none
        else Augmentation(**changes.model_dump(), seed=section.split_seed),
        shuffle_pixels=getattr(section, "shuffle_pixels", False),
        standardize_target=getattr(section, "standardize_target", False),
    )
    return replace(data, fingerprint=_fingerprint(section, raw))


def _fingerprint(section: sections.Data, raw: RawData) -> Fingerprint:
    match section:
        case sections.DigitsData():
            return fingerprint(raw, section.name, versions={"scikit-learn": metadata.version("scikit-learn")})
        case sections.TorchvisionData():
            return fingerprint(raw, section.name, root=data_root(section.root))
        case sections.ImageFolderData():
            versions = {"nnlab": __version__, DECODER: metadata.version(DECODER)}
            return fingerprint(raw, section.name, root=data_root(section.root), versions=versions)
        case sections.CsvData():
            tables = [path for path in (section.path, section.test) if isinstance(path, str)]
            paths = [Path(path).expanduser() for path in tables]
            return fingerprint(raw, section.name, tables=paths, target=section.target)
        case _:
            return fingerprint(raw, section.name, drawn=True)


def _load(section: sections.Data, progress: Progress | None) -> RawData:
    """The examples of a set; its keys are the loader's arguments."""
    own = section.model_dump(exclude={"name", "standardize_target", *sections.ImageSection.model_fields})
    seed = section.split_seed
    match section:
        case sections.DigitsData():
            return images.load_digits(**own, split_seed=seed)
        case sections.TorchvisionData():
            return images.load_torchvision(section.name, data_root(own.pop("root")), **own)
        case sections.ImageFolderData():
            root = data_root(own.pop("root"))
            return folder.load_image_folder(root, **own, split_seed=seed, progress=progress)
        case sections.CsvData():
            return table.load_csv(Path(own.pop("path")).expanduser(), **own, split_seed=seed)
        case sections.Regression1dData():
            own["function"] = build_function(section.function)
            return synthetic.regression_1d(**own, split_seed=seed)
        case _:
            return synthetic.SETS[section.name](**own, split_seed=seed)


def build_function(function: str | list[list[float]]) -> Callable[[Tensor], Tensor]:
    """The function of a config, elementwise on tensors."""
    if isinstance(function, str) and function in sections.FUNCTION_NAMES:
        return synthetic.target_function(function)
    f = of_expression(function) if isinstance(function, str) else of_points(function)
    return lambda x: torch.from_numpy(np.array(f(x.double().numpy(force=True)))).to(x)


def build_model(
    section: MLPModel | CNNModel | SpeedCNNModel | CustomModel,
    *,
    input_shape: tuple[int, ...],
    outputs: int,
    generator: torch.Generator,
    examples: Tensor | None = None,
    allow_custom_code: bool = False,
) -> nn.Module:
    """The model that a config's `model` section describes, at its random start, float32 on the CPU.

    Args:
        section: the checked section.
        input_shape: shape of one example: (d,) or (channels, height, width).
        outputs: number of scores.
        generator: a CPU generator; the only source of random numbers.
        examples: (n, *input_shape) standardized training examples, for a start that depends on the data;
            only speed_cnn needs them.
        allow_custom_code: whether the user passed --allow-custom-code.

    Returns:
        A module that maps (N, *input_shape) to (N, outputs).

    Raises:
        InputError: the model does not fit the data, or a custom one cannot be built.
    """
    if isinstance(section, CustomModel):
        return build_custom(
            section.factory,
            section.arguments,
            input_shape=input_shape,
            outputs=outputs,
            generator=generator,
            allow=allow_custom_code,
        )
    if isinstance(section, MLPModel):
        own = section.model_dump(exclude={"name", "hidden", "start"})
        return MLP(math.prod(input_shape), section.hidden, outputs, **own, generator=generator)
    if len(input_shape) != 3:
        raise InputError(
            f"model.name: {section.name} needs images of shape (channels, height, width), but an example of "
            f"these data has the shape {input_shape}; use model.name: mlp, or data that are images"
        )
    if isinstance(section, CNNModel):
        own = section.model_dump(exclude={"name", "channels", "start"})
        return CNN(input_shape, section.channels, outputs, **own, generator=generator)
    if examples is None:
        raise InputError("model.name: speed_cnn starts from training images, and was given none")
    return SpeedCNN(input_shape, section.channels, outputs, examples=examples, generator=generator)
