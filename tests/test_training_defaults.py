"""Defaults of a config's sections are those of the functions and classes that they become."""

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from nnlab.data import Augmentation, load_csv, load_digits, load_image_folder, load_torchvision
from nnlab.data.synthetic import SETS
from nnlab.lab import sections
from nnlab.models import CNN, MLP
from nnlab.training import Settings, build_loss, build_penalty, schedule
from nnlab.training.optimizers import OPTIMIZERS

BUILDERS: list[tuple[type[sections.Section], Callable[..., Any]]] = [
    (sections.SGDOptimizer, OPTIMIZERS["sgd"]),
    (sections.AdamOptimizer, OPTIMIZERS["adam"]),
    (sections.AdamWOptimizer, OPTIMIZERS["adamw"]),
    (sections.MuonOptimizer, OPTIMIZERS["muon"]),
    (sections.LBFGSOptimizer, OPTIMIZERS["lbfgs"]),
    (sections.DecaySchedule, schedule),
    (sections.StepSchedule, schedule),
    (sections.Regularization, build_penalty),
    (sections.CrossEntropyLoss, build_loss),
    (sections.SquaredErrorLoss, build_loss),
    (sections.Training, Settings),
    (sections.DataSection, Settings),
    (sections.OptimizerSection, Settings),
    (sections.MLPModel, MLP),
    (sections.CNNModel, CNN),
    (sections.AugmentationSection, Augmentation),
    (sections.DigitsData, load_digits),
    (sections.TorchvisionData, load_torchvision),
    (sections.ImageFolderData, load_image_folder),
    (sections.CsvData, load_csv),
    (sections.XorData, SETS["xor"]),
    (sections.TwoMoonsData, SETS["two_moons"]),
    (sections.SpiralsData, SETS["spirals"]),
    (sections.BlobsData, SETS["blobs"]),
    (sections.Regression1dData, SETS["regression_1d"]),
    (sections.PointsData, SETS["points"]),
]


@pytest.mark.parametrize(
    ("section", "build"), BUILDERS, ids=[f"{section.__name__} {b.__name__}" for section, b in BUILDERS]
)
def test_defaults_agree(section: type[sections.Section], build: Callable[..., Any]) -> None:
    """Where a function has a default, so has the section, and it is the same one."""
    parameters, shared = inspect.signature(build).parameters, 0
    for key, field in section.model_fields.items():
        if key in parameters:
            shared += 1
            default = parameters[key].default
            if default is not inspect.Parameter.empty:
                assert (key, field.get_default()) == (key, default)
    assert shared > 0


def test_every_section_of_a_kind_is_compared() -> None:
    compared = {section for section, _ in BUILDERS}
    for kind in (sections.OptimizerSection, sections.SyntheticData):
        pending: list[type] = kind.__subclasses__()
        while pending:
            one = pending.pop()
            assert one in compared
            pending += one.__subclasses__()
