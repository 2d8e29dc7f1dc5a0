"""Data sets as tensors on the device: published images, image folders, tables, synthetic points."""

from nnlab.data.augmentation import Augmentation, Draws
from nnlab.data.dataset import DataSet, RawData, Split, in_order, prepare
from nnlab.data.folder import load_image_folder
from nnlab.data.images import load_digits, load_torchvision
from nnlab.data.locations import cache_folder, data_root
from nnlab.data.synthetic import target_function
from nnlab.data.table import load_csv, read_csv

__all__ = [
    "Augmentation",
    "DataSet",
    "Draws",
    "RawData",
    "Split",
    "cache_folder",
    "data_root",
    "in_order",
    "load_csv",
    "load_digits",
    "load_image_folder",
    "load_torchvision",
    "prepare",
    "read_csv",
    "target_function",
]
