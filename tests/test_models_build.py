"""From a config's model section to a module, and a user's own model."""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from nnlab.errors import InputError
from nnlab.lab.build import build_model
from nnlab.lab.sections import CNNModel, CustomModel, MLPModel, SpeedCNNModel
from nnlab.models import CNN, MLP, ScaledLinear, SpeedCNN
from nnlab.models.custom import load_factory

MODULE = """
import torch
from torch import nn


def build(input_shape, outputs, width=3, fail=False):
    if fail:
        raise RuntimeError("no luck\\nat all")
    first, last = nn.Linear(input_shape[0], width), nn.Linear(width, outputs)
    return nn.Sequential(nn.Flatten(), first, nn.Dropout(), last)


def lazy(input_shape, outputs):
    return nn.Sequential(nn.Flatten(), nn.LazyLinear(outputs))


def frozen(input_shape, outputs):
    model = build(input_shape, outputs)
    model[2].eval()
    return model


def wrong_width(input_shape, outputs):
    return nn.Linear(input_shape[0] + 1, outputs)


def squeezed(input_shape, outputs):
    return nn.Sequential(nn.Linear(input_shape[0], 1), nn.Flatten(0))


def no_module(input_shape, outputs):
    return "a model"


def needs_more(input_shape, outputs, width):
    return build(input_shape, outputs, width)


def needs_company(input_shape, outputs):
    import my_company
    return my_company.model(input_shape, outputs)


table = {}
"""


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_mlp_section() -> None:
    section = MLPModel.model_validate(
        {"name": "mlp", "hidden": [5], "activation": "maxout", "pieces": 3, "bias": False,
         "parameterization": "ntk", "sigma_w": 1.5}
    )  # fmt: skip
    model = build_model(section, input_shape=(1, 2, 4), outputs=3, generator=seeded())
    assert isinstance(model, MLP)
    assert isinstance(model.output, ScaledLinear)
    twin = MLP(
        8, [5], 3, "maxout", bias=False, pieces=3, parameterization="ntk", sigma_w=1.5, generator=seeded()
    )
    x = torch.randn(4, 1, 2, 4, generator=seeded(1))
    assert torch.equal(model(x), twin(x))


def test_cnn_section() -> None:
    section = CNNModel.model_validate({"name": "cnn", "channels": [4], "activation": "maxout", "pieces": 2})
    model = build_model(section, input_shape=(1, 6, 6), outputs=3, generator=seeded())
    twin = CNN((1, 6, 6), [4], 3, "maxout", pieces=2, generator=seeded())
    x = torch.randn(4, 1, 6, 6, generator=seeded(1))
    assert torch.equal(model(x), twin(x))


def test_cnn_section_with_every_option() -> None:
    options: dict[str, Any] = {"kernel": 5, "padding": 1, "bias": False, "batch_norm": True, "dropout": 0.5}
    section = CNNModel.model_validate({"name": "cnn", "channels": [4], **options})
    model = build_model(section, input_shape=(1, 9, 9), outputs=3, generator=seeded())
    twin = CNN((1, 9, 9), [4], 3, generator=seeded(), **options)
    assert str(model) == str(twin)
    assert isinstance(model, CNN)
    convolution = model.convolutions[0]
    assert isinstance(convolution, torch.nn.Conv2d)
    assert convolution.kernel_size == (5, 5)
    x = torch.randn(4, 1, 9, 9, generator=seeded(1))
    assert torch.equal(model.eval()(x), twin.eval()(x))


def test_speed_cnn_section() -> None:
    section = SpeedCNNModel.model_validate({"name": "speed_cnn", "channels": [8, 8, 8]})
    images = torch.randn(30, 3, 20, 20, generator=seeded(2))
    arguments: dict[str, Any] = {"input_shape": (3, 20, 20), "outputs": 4, "examples": images}
    model = build_model(section, generator=seeded(), **arguments)
    twin = SpeedCNN(channels=[8, 8, 8], generator=seeded(), **arguments)
    assert torch.equal(model.eval()(images), twin.eval()(images))
    with pytest.raises(InputError, match="speed_cnn starts from training images"):
        build_model(section, generator=seeded(), **arguments | {"examples": None})


@pytest.mark.parametrize("section", [CNNModel(name="cnn"), SpeedCNNModel(name="speed_cnn")])
def test_cnns_need_images(section: CNNModel | SpeedCNNModel) -> None:
    with pytest.raises(
        InputError, match=rf"{section.name} needs images of shape \(channels, height, width\).*\(2,\)"
    ):
        build_model(section, input_shape=(2,), outputs=2, generator=seeded())


@pytest.fixture
def my_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module in the current folder, as a user would write it."""
    (tmp_path / "my_model.py").write_text(MODULE)
    (tmp_path / "broken.py").write_text("width = 3\nwidth.no_such_thing\n")
    (tmp_path / "leaves.py").write_text("import sys\nsys.exit(3)\n")
    monkeypatch.chdir(tmp_path)
    for name in ("my_model", "broken", "leaves"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return "my_model"


def build(factory: str, *, allow: bool = True, seed: int = 0, **arguments: Any) -> torch.nn.Module:
    section = CustomModel.model_validate({"name": "custom", "factory": factory, "arguments": arguments})
    return build_model(section, input_shape=(4,), outputs=2, generator=seeded(seed), allow_custom_code=allow)


def build_sequence(factory: str, seed: int = 0) -> torch.nn.Sequential:
    model = build(factory, seed=seed)
    assert isinstance(model, torch.nn.Sequential)
    return model


def weight(model: torch.nn.Sequential) -> torch.Tensor:
    """The weight of the second layer."""
    layer = model[1]
    assert isinstance(layer, torch.nn.Linear)
    return layer.weight


def refusal(factory: str, **arguments: Any) -> str:
    with pytest.raises(InputError) as caught:
        build(factory, **arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_custom_model_gets_shape_outputs_and_arguments(my_model: str) -> None:
    model = build("my_model:build", width=6)
    assert [tuple(p.shape) for p in model.parameters()] == [(6, 4), (6,), (2, 6), (2,)]
    assert all(module.training for module in model.modules())


def test_custom_model_is_reproducible_and_changes_no_ambient_state(my_model: str) -> None:
    state, path = torch.random.get_rng_state(), list(sys.path)
    first = build_sequence("my_model:build")
    assert torch.equal(torch.random.get_rng_state(), state)
    assert sys.path == path
    torch.manual_seed(123)
    again, other = build_sequence("my_model:build"), build_sequence("my_model:build", seed=1)
    assert torch.equal(weight(first), weight(again))
    assert not torch.equal(weight(first), weight(other))


@pytest.mark.filterwarnings("ignore:Lazy modules are a new feature")
def test_lazy_layers_start_reproducibly(my_model: str) -> None:
    first, again = build_sequence("my_model:lazy"), build_sequence("my_model:lazy")
    assert weight(first).shape == (2, 4)
    assert torch.equal(weight(first), weight(again))


def test_trying_a_model_out_keeps_its_modes(my_model: str) -> None:
    model = build_sequence("my_model:frozen")
    assert [module.training for module in model] == [True, True, False, True]


def test_custom_code_needs_the_flag(my_model: str) -> None:
    with pytest.raises(InputError, match="--allow-custom-code"):
        build("my_model:build", allow=False)
    assert "my_model" not in sys.modules  # not even imported


def test_module_that_is_not_there(my_model: str) -> None:
    message = refusal("no_such_module:build")
    assert "no_such_module cannot be imported" in message
    assert "ModuleNotFoundError" in message


def test_module_that_fails_names_the_line(my_model: str) -> None:
    message = refusal("broken:build")
    assert "AttributeError" in message
    assert "broken.py, line 2)" in message


def test_module_that_leaves(my_model: str) -> None:
    assert "SystemExit: 3" in refusal("leaves:build")


def test_missing_attribute_suggests_the_nearest(my_model: str) -> None:
    assert "my_model has no bild; did you mean build?" in refusal("my_model:bild")


def test_attribute_that_is_not_callable(my_model: str) -> None:
    message = refusal("my_model:table")
    assert "table is of type dict" in message
    assert "Allowed: build, " in message


def test_wrong_argument_suggests_the_nearest(my_model: str) -> None:
    message = refusal("my_model:build", widht=6)
    assert message.startswith("model.arguments: {'widht': 6} does not fit my_model:build")
    assert "did you mean width?" in message


def test_missing_argument_is_named(my_model: str) -> None:
    message = refusal("my_model:needs_more")
    assert "missing a required argument: 'width'" in message
    assert "(input_shape, outputs, width)" in message


def test_factory_that_fails(my_model: str) -> None:
    message = refusal("my_model:build", fail=True)
    assert "my_model:build failed: RuntimeError: no luck at all" in message
    assert "my_model.py, line 8)" in message


def test_import_inside_the_factory_that_fails(my_model: str) -> None:
    assert "No module named 'my_company'" in refusal("my_model:needs_company")


def test_factory_that_returns_something_else(my_model: str) -> None:
    assert "returned an object of type str; it must return a torch.nn.Module" in refusal("my_model:no_module")


def test_model_that_does_not_fit_the_input(my_model: str) -> None:
    assert "its model fails on (2, 4): RuntimeError" in refusal("my_model:wrong_width")


def test_model_with_another_output_shape(my_model: str) -> None:
    assert "its model maps (2, 4) to (2,); the data need (2, 2)" in refusal("my_model:squeezed")


@pytest.mark.parametrize("path", ["my_model", "my_model:", ":build"])
def test_path_of_another_form(path: str) -> None:
    with pytest.raises(InputError, match="write it as"):
        load_factory(path, allow=True)
