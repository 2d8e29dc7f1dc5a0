"""From a data section of a config to a data set. Below this file nothing sees a config object."""

from pathlib import Path
from typing import assert_never

import torch

from nnlab import config
from nnlab.data import folder, images, synthetic, table
from nnlab.data.augmentation import Augmentation
from nnlab.data.dataset import DataSet, RawData, prepare
from nnlab.data.decoding import Progress
from nnlab.data.locations import data_root


def build_data(
    section: config.Data,
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
        shuffle_pixels=isinstance(section, config.ImageSection) and section.shuffle_pixels,
    )


def _augmentation(section: config.Data) -> Augmentation | None:
    """None where every training image stays as it is."""
    if not isinstance(section, config.ImageSection):
        return None
    asked = section.augmentation
    if asked == config.AugmentationSection():
        return None
    return Augmentation(asked.flip, asked.crop, asked.cutout, section.split_seed)


def _load(section: config.Data, progress: Progress | None) -> RawData:
    seed = section.split_seed
    match section:
        case config.DigitsData():
            return images.load_digits(test=section.test, split_seed=seed)
        case config.TorchvisionData():
            return images.load_torchvision(section.name, data_root(section.root), download=section.download)
        case config.ImageFolderData():
            return folder.load_image_folder(
                data_root(section.root),
                channels=section.channels,
                skip_unreadable=section.skip_unreadable,
                progress=progress,
            )
        case config.CsvData():
            path = Path(section.path).expanduser()
            return table.load_csv(
                path, target=section.target, task=section.task, test=section.test, split_seed=seed
            )
        case _:
            return _synthetic(section)


def _synthetic(
    section: config.XorData
    | config.TwoMoonsData
    | config.SpiralsData
    | config.BlobsData
    | config.Regression1dData,
) -> RawData:
    examples, seed = section.examples, section.split_seed
    match section:
        case config.XorData():
            return synthetic.xor(examples=examples, noise=section.noise, split_seed=seed)
        case config.TwoMoonsData():
            return synthetic.two_moons(examples=examples, noise=section.noise, split_seed=seed)
        case config.SpiralsData():
            return synthetic.spirals(
                examples=examples,
                classes=section.classes,
                turns=section.turns,
                noise=section.noise,
                split_seed=seed,
            )
        case config.BlobsData():
            return synthetic.blobs(
                examples=examples,
                classes=section.classes,
                radius=section.radius,
                spread=section.spread,
                split_seed=seed,
            )
        case config.Regression1dData():
            return synthetic.regression_1d(
                function=section.function, examples=examples, noise=section.noise, split_seed=seed
            )
        case _:
            assert_never(section)
