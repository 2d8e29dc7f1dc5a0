"""From the sections of a config to a model and a data set. Below this file nothing sees a config object."""

import math
from pathlib import Path
from typing import assert_never

import torch
from torch import Tensor, nn

from nnlab.data import folder, images, synthetic, table
from nnlab.data.augmentation import Augmentation
from nnlab.data.dataset import DataSet, RawData, prepare
from nnlab.data.decoding import Progress
from nnlab.data.locations import data_root
from nnlab.errors import InputError
from nnlab.lab import sections
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
    return prepare(
        _load(section, progress),
        name=section.name,
        validation=section.validation,
        split_seed=section.split_seed,
        standardize=section.standardize,
        device=torch.device(device),
        dtype=dtype,
        augmentation=_augmentation(section),
        shuffle_pixels=isinstance(section, sections.ImageSection) and section.shuffle_pixels,
    )


def _augmentation(section: sections.Data) -> Augmentation | None:
    """None where every training image stays as it is."""
    if not isinstance(section, sections.ImageSection):
        return None
    asked = section.augmentation
    if asked == sections.AugmentationSection():
        return None
    return Augmentation(asked.flip, asked.crop, asked.cutout, section.split_seed)


def _load(section: sections.Data, progress: Progress | None) -> RawData:
    seed = section.split_seed
    match section:
        case sections.DigitsData():
            return images.load_digits(test=section.test, split_seed=seed)
        case sections.TorchvisionData():
            return images.load_torchvision(section.name, data_root(section.root), download=section.download)
        case sections.ImageFolderData():
            return folder.load_image_folder(
                data_root(section.root),
                channels=section.channels,
                skip_unreadable=section.skip_unreadable,
                progress=progress,
            )
        case sections.CsvData():
            path = Path(section.path).expanduser()
            return table.load_csv(
                path, target=section.target, task=section.task, test=section.test, split_seed=seed
            )
        case _:
            return _synthetic(section)


def _synthetic(
    section: sections.XorData
    | sections.TwoMoonsData
    | sections.SpiralsData
    | sections.BlobsData
    | sections.Regression1dData,
) -> RawData:
    examples, seed = section.examples, section.split_seed
    match section:
        case sections.XorData():
            return synthetic.xor(examples=examples, noise=section.noise, split_seed=seed)
        case sections.TwoMoonsData():
            return synthetic.two_moons(examples=examples, noise=section.noise, split_seed=seed)
        case sections.SpiralsData():
            return synthetic.spirals(
                examples=examples,
                classes=section.classes,
                turns=section.turns,
                noise=section.noise,
                split_seed=seed,
            )
        case sections.BlobsData():
            return synthetic.blobs(
                examples=examples,
                classes=section.classes,
                radius=section.radius,
                spread=section.spread,
                split_seed=seed,
            )
        case sections.Regression1dData():
            return synthetic.regression_1d(
                function=section.function, examples=examples, noise=section.noise, split_seed=seed
            )
        case _:
            assert_never(section)


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
    if isinstance(section, MLPModel):
        return MLP(
            math.prod(input_shape),
            section.hidden,
            outputs,
            section.activation,
            bias=section.bias,
            pieces=section.pieces,
            parameterization=section.parameterization,
            sigma_w=section.sigma_w,
            sigma_b=section.sigma_b,
            generator=generator,
        )
    if isinstance(section, CNNModel):
        return _build_cnn(section, _image_shape("cnn", input_shape), outputs, generator)
    if isinstance(section, SpeedCNNModel):
        shape = _image_shape("speed_cnn", input_shape)
        if examples is None:
            raise InputError("model.name: speed_cnn starts from training images, and was given none")
        return SpeedCNN(shape, section.channels, outputs, examples=examples, generator=generator)
    return build_custom(
        section.factory,
        section.arguments,
        input_shape=input_shape,
        outputs=outputs,
        generator=generator,
        allow=allow_custom_code,
    )


def _image_shape(name: str, input_shape: tuple[int, ...]) -> tuple[int, int, int]:
    if len(input_shape) != 3:
        raise InputError(
            f"model.name: {name} needs images of shape (channels, height, width), but an example of these "
            f"data has the shape {input_shape}; use model.name: mlp, or data that are images"
        )
    channels, height, width = input_shape
    return channels, height, width


def _build_cnn(
    section: CNNModel, input_shape: tuple[int, int, int], outputs: int, generator: torch.Generator
) -> CNN:
    return CNN(
        input_shape,
        section.channels,
        outputs,
        section.activation,
        kernel=section.kernel,
        padding=section.padding,
        bias=section.bias,
        pieces=section.pieces,
        batch_norm=section.batch_norm,
        dropout=section.dropout,
        generator=generator,
    )
