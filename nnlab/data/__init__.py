"""Data sets as tensors on the device: published images, image folders, tables, synthetic points."""

from nnlab.data.build import build_data
from nnlab.data.dataset import PREPARED_LIMIT, DataSet, RawData, Split, Task, prepare
from nnlab.data.folder import load_image_folder
from nnlab.data.images import load_digits, load_torchvision
from nnlab.data.locations import cache_folder, data_root
from nnlab.data.synthetic import target_function
from nnlab.data.table import load_csv

__all__ = [
    "PREPARED_LIMIT",
    "DataSet",
    "RawData",
    "Split",
    "Task",
    "build_data",
    "cache_folder",
    "data_root",
    "load_csv",
    "load_digits",
    "load_image_folder",
    "load_torchvision",
    "prepare",
    "target_function",
]
