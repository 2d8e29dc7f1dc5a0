# ruff: noqa: E501 - what is written and what is said about it stand on one line
"""Configs: defaults, the order of overrides, the way there and back, and what is said about a mistake."""

import contextlib
import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from nnlab.chapters.experiments import EXPERIMENTS
from nnlab.errors import ConfigError
from nnlab.lab import sections as c
from nnlab.lab.config import apply_sets, check, read_source, shipped_configs, to_yaml
from nnlab.lab.sections import Experiment
from nnlab.lab.source import Source, parse_yaml

BASE: dict[str, Any] = {"experiment": "classify", "data": {"name": "digits"}, "model": {"name": "mlp"}}
TEXT = """\
experiment: classify
data: {name: digits}
model: {name: mlp}
"""


def checked(values: dict[str, Any]) -> Experiment:
    return check(Source("c.yaml", "", values), EXPERIMENTS)


def load(text: str, *sets: str) -> Experiment:
    source = Source("c.yaml", text, parse_yaml(text, "c.yaml"))
    apply_sets(source, sets)
    return check(source, EXPERIMENTS)


def refusal(text: str, *sets: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(text, *sets)
    return str(caught.value)


# --- defaults ---------------------------------------------------------------------------------------

COMMON_DATA = {"batch_size": 64, "validation": 0.1, "split_seed": 0, "standardize": True}
COMMON_IMAGES = {
    **COMMON_DATA,
    "shuffle_pixels": False,
    "augmentation": {"flip": "none", "crop": 0, "cutout": 0},
}
SOFT = {"label_smoothing": 0.0, "class_weights": None}
REGULARIZATION = {"name": "none", "strength": 0.0, "beta": 1.0, "proximal": False}
CONSTANT = {"name": "constant", "warmup_epochs": 0.0}
COMMON_OPTIMIZER = {"clip_norm": None, "schedule": CONSTANT}
TRAINING = {
    "epochs": 30, "device": "auto", "precision": "auto", "compile": False, "micro_batch": None,
    "test_time_augmentation": "none",
    "patience": None, "evaluate_every": 1, "checkpoint_seconds": 15.0,
}  # fmt: skip
MLP = {
    "name": "mlp", "hidden": [], "activation": "relu", "pieces": 2, "bias": True,
    "parameterization": "standard", "base_width": 64, "sigma_w": None, "sigma_b": None, "start": None,
}  # fmt: skip


def test_every_default_of_a_whole_config() -> None:
    assert checked(BASE).model_dump() == {
        "experiment": "classify",
        "name": None,
        "seed": 0,
        "data": {"name": "digits", **COMMON_IMAGES, "test": 0.2},
        "model": MLP,
        "loss": {"name": "cross_entropy", **SOFT, "regularization": REGULARIZATION},
        "optimizer": {"name": "sgd", "lr": 0.1, "momentum": 0.0, "nesterov": False, **COMMON_OPTIMIZER},
        "training": TRAINING,
    }


SECTIONS: list[tuple[Any, dict[str, Any], dict[str, Any]]] = [
    (c.Data, {"name": "mnist"}, {**COMMON_IMAGES, "root": None, "download": False}),
    (c.Data, {"name": "fashion_mnist"}, {**COMMON_IMAGES, "root": None, "download": False}),
    (c.Data, {"name": "cifar10"}, {**COMMON_IMAGES, "root": None, "download": False}),
    (
        c.Data,
        {"name": "image_folder"},
        {
            **COMMON_IMAGES,
            "root": None,
            "channels": 3,
            "resize": None,
            "crop": None,
            "test": 0.2,
            "skip_unreadable": False,
        },
    ),
    (
        c.Data,
        {"name": "csv", "path": "t.csv", "target": "y"},
        {
            **COMMON_DATA,
            **dict.fromkeys(("columns", "ignore", "categories", "separator", "decimal", "encoding", "group")),
            "task": "classification",
            "text": "error",
            "missing": "error",
            "missing_target": "error",
            "stratify": None,
            "standardize_target": True,
            "test": 0.2,
        },
    ),
    (c.Data, {"name": "xor"}, {**COMMON_DATA, "examples": 400, "noise": 0.2}),
    (c.Data, {"name": "two_moons"}, {**COMMON_DATA, "examples": 400, "noise": 0.15}),
    (
        c.Data,
        {"name": "spirals"},
        {**COMMON_DATA, "examples": 400, "classes": 2, "turns": 1.5, "noise": 0.05},
    ),
    (c.Data, {"name": "blobs"}, {**COMMON_DATA, "examples": 400, "classes": 3, "radius": 3.0, "spread": 1.0}),
    (
        c.Data,
        {"name": "regression_1d"},
        {**COMMON_DATA, "function": "sine", "examples": 40, "noise": 0.1, "standardize_target": False},
    ),
    (
        c.Data,
        {"name": "points", "points": [[0.5, -1, 0], [1, 1, 1]]},
        {
            **COMMON_DATA,
            "task": "classification",
            "points": [[0.5, -1.0, 0.0], [1.0, 1.0, 1.0]],
            "classes": None,
            "validation": 0.0,
            "test": 0.0,
            "standardize": False,
            "standardize_target": False,
        },
    ),
    (
        c.Model,
        {"name": "cnn"},
        {
            "channels": [16, 32],
            "kernel": 3,
            "padding": None,
            "activation": "relu",
            "pieces": 2,
            "bias": True,
            "batch_norm": False,
            "dropout": 0.0,
            "start": None,
        },
    ),
    (c.Model, {"name": "speed_cnn"}, {"channels": [64, 256, 256], "start": None}),
    (c.Model, {"name": "custom", "factory": "a.b:c"}, {"arguments": {}, "start": None}),
    (c.Loss, {"name": "kl"}, {**SOFT, "regularization": REGULARIZATION}),
    (c.Loss, {"name": "squared_error"}, {"reduction": "mean", "regularization": REGULARIZATION}),
    (c.Schedule, {"name": "cosine"}, {"warmup_epochs": 0.0, "final": 0.0}),
    (c.Schedule, {"name": "linear"}, {"warmup_epochs": 0.0, "final": 0.0}),
    (c.Schedule, {"name": "step"}, {"warmup_epochs": 0.0, "every_epochs": 10, "factor": 0.1}),
    (c.Optimizer, {"name": "adam"}, {"lr": 1e-3, "beta1": 0.9, "beta2": 0.999, **COMMON_OPTIMIZER}),
    (
        c.Optimizer,
        {"name": "adamw"},
        {"lr": 1e-3, "beta1": 0.9, "beta2": 0.999, "weight_decay": 0.01, **COMMON_OPTIMIZER},
    ),
    (
        c.Optimizer,
        {"name": "muon"},
        {
            "lr": 0.02,
            "momentum": 0.95,
            "newton_schulz_steps": 5,
            "unit_filters": False,
            "other_lr": 0.01,
            "other_momentum": None,
            "other_decay": 0.0,
            "head_lr": None,
            **COMMON_OPTIMIZER,
        },
    ),
    (
        c.Optimizer,
        {"name": "lbfgs"},
        {"lr": 1.0, "history": 20, "iterations": 20, "short_steps": True, **COMMON_OPTIMIZER},
    ),
]


@pytest.mark.parametrize(("union", "given_", "defaults"), SECTIONS, ids=lambda v: str(v)[:30])
def test_every_default_of_a_section(union: Any, given_: dict[str, Any], defaults: dict[str, Any]) -> None:
    assert TypeAdapter(union).validate_python(given_).model_dump() == given_ | defaults


def test_no_section_is_left_out() -> None:
    """Every name that a union knows is in the tables above."""
    unions: dict[str, Any] = {
        "data": c.Data,
        "model": c.Model,
        "loss": c.Loss,
        "optimizer": c.Optimizer,
        "s": c.Schedule,
    }
    known = {
        tag
        for union in unions.values()
        for tag in TypeAdapter(union).json_schema()["discriminator"]["mapping"]
    }
    assert known == {given_["name"] for _, given_, _ in SECTIONS} | {
        "digits",
        "mlp",
        "cross_entropy",
        "sgd",
        "constant",
    }


def test_only_the_learning_rate_of_sgd_and_the_unions_have_no_default() -> None:
    assert "the key optimizer.lr is missing" in refusal(TEXT + "optimizer: {name: sgd}\n")
    assert "the key data is missing" in refusal("experiment: classify\nmodel: {name: mlp}\n")
    assert "the key model is missing" in refusal("experiment: classify\ndata: {name: digits}\n")


# --- overrides --------------------------------------------------------------------------------------


def test_set_beats_the_file_and_the_last_set_the_others() -> None:
    text = TEXT + "optimizer: {name: sgd, lr: 0.5, momentum: 0.25}\nseed: 3\n"
    sets = ["optimizer.lr=1e-3", "model.hidden=[8, 4]", "optimizer.lr=2e-3", "training.epochs=7"]
    values = load(text, *sets).model_dump()
    assert values["optimizer"]["lr"] == 2e-3
    assert values["optimizer"]["momentum"] == 0.25
    assert values["model"]["hidden"] == [8, 4]
    assert values["training"]["epochs"] == 7
    assert values["seed"] == 3


def test_set_replaces_a_whole_section() -> None:
    values = load(TEXT + "optimizer: {name: sgd, lr: 0.5}\n", "optimizer={name: adam}").model_dump()
    assert values["optimizer"]["name"] == "adam"
    assert values["optimizer"]["lr"] == 1e-3


@pytest.mark.parametrize("item", ["seed", "=3", "a..b=3", ".=3", "", "seed:3", "a" + ".b" * 3000 + "=1"])
def test_set_without_key_and_value(item: str) -> None:
    message = refusal(TEXT, item)
    assert message.startswith("--set ")
    assert "write it as KEY=VALUE, such as --set optimizer.lr=0.05" in message
    assert len(message) < 200


@pytest.mark.parametrize(
    ("item", "said"),
    [
        ("training.epochs=x", "training.epochs: x must be a valid integer"),
        ("model.hiden=[1]", "unknown key model.hiden (value [1]); did you mean hidden?"),
        ("data.name=digit", "data.name: digit is unknown; did you mean digits?"),
        ("data=", "data: nothing must be a mapping"),
        ("model.hidden=[1,2", "this is not valid YAML"),
        (
            "optimizer.lr=3",
            "optimizer must be a mapping with a key name. Names: adam, adamw, lbfgs, muon, sgd",
        ),
        ("seed.x.y=3", "seed: {x: {y: 3}} must be a valid integer"),
    ],
)
def test_an_error_in_a_set_names_the_set(item: str, said: str) -> None:
    message = refusal(TEXT, item)
    assert message.startswith(f"--set {item}")
    assert said in message


def test_set_below_a_plain_value() -> None:
    assert "--set seed.x=1: seed is 4, which has no keys below it" in refusal(TEXT + "seed: 4\n", "seed.x=1")


# --- there and back ---------------------------------------------------------------------------------


def variants() -> list[dict[str, Any]]:
    """A whole config around each section of the table, and every shipped config."""
    found = []
    for union, given_, _ in SECTIONS:
        values = copy.deepcopy(BASE)
        key = {
            id(c.Data): "data",
            id(c.Model): "model",
            id(c.Loss): "loss",
            id(c.Optimizer): "optimizer",
        }.get(id(union))
        values[key or "optimizer"] = given_ if key else {"name": "sgd", "lr": 0.1, "schedule": given_}
        if given_["name"] == "lbfgs":
            values["data"]["batch_size"] = "full"
        if given_["name"] == "regression_1d":
            values["loss"] = {"name": "squared_error"}
        found.append(values)
    return found + [read_source(name).values for name in shipped_configs()]


@pytest.mark.parametrize("values", variants(), ids=lambda v: str(v)[:60])
def test_the_resolved_config_is_the_same_config(values: dict[str, Any]) -> None:
    config = checked(values)
    text = to_yaml(config)
    again = load(text)
    assert again == config
    assert type(again) is type(config)
    assert to_yaml(again) == text


LOOKS_LIKE_SOMETHING_ELSE = ["1e5", "1e-4", "yes", "~", "null", "2020-01-01", "1:30", "0x10", "1_0", "<<", "=", "#x", "*a", "!b", " c", "-", ".5e3", ".inf", "{", "é 😀", "1."]  # fmt: skip


WORD = st.text(max_size=8).filter(str.isprintable)  # PyYAML loses some line separators
PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | WORD


@settings(max_examples=100, deadline=None)
@given(
    name=st.one_of(
        st.sampled_from(LOOKS_LIKE_SOMETHING_ELSE),
        st.text(min_size=1, max_size=30).filter(str.isprintable),
    ),
    lr=st.floats(0, 1e30, exclude_min=True),
    seed=st.integers(0, 2**63 - 1),
    arguments=st.dictionaries(WORD, st.recursive(PLAIN, lambda inner: st.lists(inner) | st.dictionaries(WORD, inner), max_leaves=6), max_size=3),
)  # fmt: skip
def test_any_text_and_number_survives(name: str, lr: float, seed: int, arguments: dict[str, Any]) -> None:
    config = checked({
        "experiment": "classify", "name": name, "seed": seed, "data": {"name": "digits"},
        "model": {"name": "custom", "factory": "a:b", "arguments": arguments},
        "optimizer": {"name": "sgd", "lr": lr},
    })  # fmt: skip
    assert load(to_yaml(config)) == config


# --- numbers ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("1e-4", 1e-4), ("1E-4", 1e-4), ("1.0e-4", 1e-4), ("1.e-4", 1e-4), (".5", 0.5), ("5e0", 5.0),
        ("+1e2", 100.0), ("3", 3.0), ("1e+2", 100.0),
    ],
)  # fmt: skip
def test_numbers_as_people_write_them(written: str, value: float) -> None:
    assert load(TEXT + f"optimizer: {{name: sgd, lr: {written}}}\n").model_dump()["optimizer"]["lr"] == value


@pytest.mark.parametrize("text", ["e4", "1e", "1e5x", "v1e5", "'1e5'", "e", "."])
def test_text_stays_text(text: str) -> None:
    assert load(TEXT + f"name: {text}\n").name == text.strip("'")


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (".nan", "nan must be a finite number"),
        (".inf", "inf must be a finite number"),
        ("1e999", "inf must be a finite number"),
        ("1e-999", "0.0 must be greater than 0"),
        ("-0.1", "-0.1 must be greater than 0"),
        ("1e31", f"1.0e+31 must be less than or equal to 1{'0' * 30}"),
        ("fast", "fast must be a valid number"),
        ("true", "true must be a valid number"),
        ("'0.1'", "'0.1' must be a valid number"),
    ],
)
def test_numbers_that_are_no_step_size(written: str, said: str) -> None:
    assert (
        refusal(TEXT + f"optimizer: {{name: sgd, lr: {written}}}\n")
        == f"c.yaml, line 4: optimizer.lr: {said}"
    )


@pytest.mark.parametrize("key", ["seed", "training.epochs", "model.pieces", "data.split_seed"])
def test_enormous_whole_numbers(key: str) -> None:
    assert f"{key}: 1000" in refusal(TEXT, f"{key}=1{'0' * 40}")
    assert "this is not valid YAML: " in refusal(TEXT, f"{key}=1{'0' * 5000}")


# --- what is said about a mistake -------------------------------------------------------------------

MISTAKES = [
    # unknown keys, at every level
    ("optimiser: 1\n", ["line 4", "unknown key optimiser (value 1)", "did you mean optimizer?", "training"]),
    ("training: {epoch: 3}\n", ["line 4", "unknown key training.epoch (value 3)", "did you mean epochs?", "patience"]),
    (
        "loss:\n  name: kl\n  regularization:\n    strengh: 1\n",
        ["line 7", "unknown key loss.regularization.strengh", "did you mean strength?", "Allowed: beta, name, proximal, strength"],
    ),
    (
        "optimizer:\n  name: sgd\n  lr: 1\n  schedule:\n    name: cosine\n    warmup: 1\n",
        ["line 9", "optimizer.schedule.warmup (value 1)", "did you mean warmup_epochs?", "Allowed: final, name, warmup_epochs"],
    ),
    ("optimizer: {name: adam, momentum: 0.9}\n", ["optimizer.momentum", "Allowed: beta1, beta2, clip_norm, lr, name, schedule"]),
    # unions with a wrong or missing name
    ("loss: {name: crossentropy}\n", ["line 4", "loss.name: crossentropy is unknown", "did you mean cross_entropy?", "kl, squared_error"]),
    ("loss: {}\n", ["line 4", "loss must be a mapping with a key name", "cross_entropy, kl, squared_error"]),
    ("loss: kl\n", ["line 4", "loss: kl must be a mapping"]),
    ("optimizer: {name: sdg, lr: 1}\n", ["optimizer.name: sdg is unknown", "did you mean sgd?"]),
    ("optimizer: {lr: 1}\n", ["optimizer must be a mapping with a key name. Names: adam, adamw, lbfgs, muon, sgd"]),
    ("optimizer: {name: sgd, lr: 1, schedule: {name: cosin}}\n", ["optimizer.schedule.name: cosin is unknown", "did you mean cosine?"]),
    ("optimizer: {name: {a: 1}}\n", ["optimizer.name: {a: 1} is unknown"]),
    ("optimizer: {name: }\n", ["optimizer.name: nothing is unknown"]),
    # wrong types and ranges
    ("training: {epochs: 3.5}\n", ["line 4", "training.epochs: 3.5 must be a valid integer"]),
    ("training: {epochs: true}\n", ["training.epochs: true must be a valid integer"]),
    ("training: {epochs: '3'}\n", ["training.epochs: '3' must be a valid integer"]),
    ("training: {epochs: }\n", ["training.epochs: nothing must be a valid integer"]),
    ("training: {epochs: 0}\n", ["training.epochs: 0 must be greater than or equal to 1"]),
    ("training: {compile: 1}\n", ["training.compile: 1 must be a valid boolean"]),
    ("training: {device: gpu}\n", ["training.device: gpu is not allowed", "Allowed: auto, cpu, cuda, mps"]),
    ("training: [1]\n", ["training: [1] must be a mapping"]),
    ("seed: -1\n", ["seed: -1 must be greater than or equal to 0"]),
    ("seed: 2020-01-01\n", ["seed: 2020-01-01 must be a valid integer"]),
    ("name: ''\n", ["name: '' must have at least 1 character"]),
    ('name: "a\\nb"\n', ["must be text on one line, without control characters"]),
    # keys that are no words
    ("1: 2\n", ["line 4", "the key 1 is not a word"]),
    ("~: 2\n", ["the key nothing is not a word"]),
    ("on: 2\n", ["the key true is not a word"]),
    ("training: {2: 3}\n", ["line 4", "the key 2 is not a word"]),
    # parts that do not fit together
    ("optimizer: {name: sgd, lr: 1, nesterov: true}\n", ["line 4", "nesterov: true needs a momentum above 0"]),
    ("optimizer: {name: lbfgs}\n", ["optimizer.name: lbfgs needs data.batch_size: full, not 64"]),
    ("loss: {name: kl, regularization: {name: l2, proximal: true}}\n", ["proximal: true is for l1 and elastic_net, not for l2"]),
    (
        "optimizer: {name: sgd, lr: 1, schedule: {name: constant, warmup_epochs: 31}}\n",
        ["optimizer.schedule.warmup_epochs: 31 is longer than training.epochs: 30"],
    ),
    ("training: {device: mps, precision: float64}\n", ["precision: float64 does not exist on device: mps"]),
]  # fmt: skip


@pytest.mark.parametrize(("lines", "said"), MISTAKES, ids=lambda v: v[:40] if isinstance(v, str) else "")
def test_a_mistake_is_explained(lines: str, said: list[str]) -> None:
    message = refusal(TEXT + lines)
    assert message.startswith("c.yaml")
    assert "\n" not in message
    for part in said:
        assert part in message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("data: {name: digits}\n", "the key experiment is missing. Allowed: "),
        ("experiment: clasify\n", "c.yaml, line 1: experiment: clasify is unknown; did you mean classify?"),
        ("experiment: [classify]\n", "experiment: [classify] is unknown"),
        ("experiment: classify\ndata: {name: digit}\nmodel: {name: mlp}\n", "line 2: data.name: digit is unknown; did you mean digits?"),
        ("experiment: classify\ndata: {name: digits}\nmodel: {name: mpl}\n", "line 3: model.name: mpl is unknown; did you mean mlp?"),
        ("experiment: classify\ndata: {name: digits}\nmodel: {name: mlp, hidden: 5}\n", "model.hidden: 5 must be a valid list"),
        ("experiment: classify\ndata: {name: digits}\nmodel:\n  name: mlp\n  hidden:\n    - 5\n    - -3\n", "line 7: model.hidden.1: -3 must be greater than"),
        ("experiment: classify\ndata: {name: digits}\nmodel: {name: mlp, activation: reluu}\n", "model.activation: reluu is not allowed; did you mean relu?"),
        ("experiment: classify\ndata: {name: digits, batch_size: fulll}\nmodel: {name: mlp}\n", "data.batch_size: fulll must be a whole number of at least 1, or full"),
        ("experiment: classify\ndata: {name: digits, validation: 1.0}\nmodel: {name: mlp}\n", "data.validation: 1.0 must be less than 1"),
        ('experiment: classify\ndata: {name: csv, target: y, path: "a\\0b"}\nmodel: {name: mlp}\n', 'data.path: "a\\0b" holds a zero byte'),
        ("experiment: classify\ndata: {name: mnist, root: ~nobody-of-that-name/x}\nmodel: {name: mlp}\n", "data.root: ~nobody-of-that-name/x begins with the home folder of a user"),
        ("experiment: classify\ndata: {name: digits}\nmodel: {name: custom, factory: a.b}\n", "model.factory: a.b must be written as package.module:function"),
        ("experiment: classify\ndata: {name: digits}\nmodel: {name: custom, factory: 'a:b', arguments: {d: 2020-01-01}}\n", "model.arguments.d: 2020-01-01 must be text, a number"),
        ("experiment: classify\ndata: {name: regression_1d}\nmodel: {name: mlp}\n", "data.name: regression_1d has numbers to learn; set loss.name: squared_error"),
        ("experiment: regress\ndata:\n  name: regression_1d\n  function: sin(\nmodel: {name: mlp}\n", "line 4: data.function: sin( is no function of x: the expression ends where"),
        ("experiment: regress\ndata: {name: regression_1d, function: 1/x}\nmodel: {name: mlp}\n", "data.function: 1/x has no value, or a huge one, at x = 0"),
        ("experiment: regress\ndata: {name: regression_1d, function: [[1, 0], [0, 1]]}\nmodel: {name: mlp}\n", "has x = 0 behind x = 1: its points must have rising x"),
        ("experiment: regress\ndata: {name: regression_1d, function: [[1, 0]]}\nmodel: {name: mlp}\n", "or at least two points [x, y]"),
        ("experiment: classify\ndata: {name: points, points: [[0, 1], [0, 1, 1]]}\nmodel: {name: mlp}\n", "data.points.1: [0.0, 1.0, 1.0] has 3 numbers, the first one 2"),
        ("experiment: classify\ndata: {name: points, points: [[0, 1, 0.5]]}\nmodel: {name: mlp}\n", "data.points.0: [0.0, 1.0, 0.5] ends with 0.5, and a class is 0, 1, 2, …"),
        ("experiment: classify\ndata: {name: points, points: [[0, 1, 0]], task: regression}\nmodel: {name: mlp}\n", "data.name: points has numbers to learn; set loss.name: squared_error"),
        ("experiment: classify\ndata: {name: digits}\nmodel: {name: mlp, hidden: [4, 4], activation: [relu, reluu]}\n", "model.activation.1: reluu is not allowed; did you mean relu?"),
        ("experiment: classify\ndata: {name: digits}\nmodel: {name: mlp, hidden: [4, 4], activation: [relu]}\n", "model.activation: has 1 names, but hidden: 2 layers"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_first_keys(text: str, said: str) -> None:
    assert said in refusal(text)


@pytest.mark.parametrize(
    ("optimizer", "said"),
    [
        ("{name: lbfgs, schedule: {name: cosine}}", "optimizer.schedule.name: cosine: the line search of lbfgs chooses"),
        ("{name: lbfgs, clip_norm: 1.0}", "optimizer.clip_norm: a line search needs the whole gradient"),
    ],
)  # fmt: skip
def test_lbfgs_does_without_schedule_and_clipping(optimizer: str, said: str) -> None:
    assert said in refusal(TEXT, "data.batch_size=full", f"optimizer={optimizer}")


def test_several_mistakes_are_told_at_once() -> None:
    text = TEXT + "training: {epochs: x, device: gpu}\noptimizer: {name: sgd, lr: -1, mom: 1}\n"
    lines = refusal(text).splitlines()
    assert len(lines) == 4
    assert {line.split(": ")[0] for line in lines} == {"c.yaml, line 4", "c.yaml, line 5"}
    for part in ("training.epochs: x", "training.device: gpu", "optimizer.lr: -1", "optimizer.mom"):
        assert sum(part in line for line in lines) == 1


def test_a_long_value_is_cut_short() -> None:
    assert len(refusal(TEXT + f"training: {{device: {'x' * 5000}}}\n")) < 300


# --- YAML -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: {b: 1\n", "c.yaml, line 2: this is not valid YAML: expected ',' or '}'"),
        ("a:\n\tb: 1\n", "line 2: this is not valid YAML: found character '\\t'"),
        ("a: 1\na: 2\n", "line 2: this is not valid YAML: the key a stands twice"),
        ("a: {b: 1, 'b': 2}\n", "line 1: this is not valid YAML: the key b stands twice"),
        ("a: 1\n---\nb: 2\n", "another document"),
        ("a: !!python/object/apply:os.getcwd []\n", "python/object/apply:os.getcwd"),
        ("a: !mine x\n", "!mine"),
        ("? [a]\n: 1\n", "unhashable key"),
        ("a: *b\n", "undefined alias 'b'"),
        ("a: &b [*b]\n", "line 1: this is not valid YAML: *b stands inside &b"),
        ("a: &b {c: {d: *b}}\n", "*b stands inside &b"),
        ("a: {<<: 3}\n", "expected a mapping or list of mappings for merging"),
        ("a: " + "[" * 3000 + "]" * 3000 + "\n", "it is nested deeper than 50 levels"),
        ("a: " + "{a: " * 400 + "1" + "}" * 400 + "\n", "it is nested deeper than 50 levels"),
        ("a: 2020-13-45\n", "month must be in 1..12"),
        ("a: \0\n", "this is not valid YAML"),
        ('a: !!int ""\n', "this is not valid YAML"),
        ("a: !!bool 3\n", "this is not valid YAML"),
        ("a: !!timestamp 3\n", "this is not valid YAML"),
    ],
    ids=lambda v: v[:30],
)
def test_yaml_that_is_refused(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_yaml(text, "c.yaml")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_number_is_read_that_nobody_wrote() -> None:
    """YAML 1.1 reads 1:30 as 90 and 010 as 8; a key that wants a number refuses both as text."""
    text = "a: [1:30, 010, -08, 1:30.5]\nb: [10, -3, 0, 0x10, 1_000, 1e-4, .5, 0.25]\n"
    values = parse_yaml(text, "")
    assert values == {"a": ["1:30", "010", "-08", "1:30.5"], "b": [10, -3, 0, 16, 1000, 1e-4, 0.5, 0.25]}
    written = to_yaml(load(TEXT + 'name: "010"\n'))
    assert yaml.safe_load(written)["name"] == parse_yaml(written, "")["name"] == "010"


def test_aliases_that_unfold_without_end() -> None:
    """Ten aliases of ten aliases of ten…: 10¹² values in 13 lines."""
    lines = ["- &a0 x"] + [f"- &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 13)]
    with pytest.raises(ConfigError, match="more than 100,000 values"):
        parse_yaml("\n".join(lines), "c.yaml")


def test_anchors_and_merge_keys() -> None:
    text = """\
experiment: classify
data: {name: digits}
model: {<<: &base {name: mlp, hidden: [8], bias: false}, bias: true}
loss: {name: kl, regularization: &r {name: l2, strength: 1e-4}}
"""
    values = load(text).model_dump()
    assert values["model"] == MLP | {"hidden": [8]}
    assert values["loss"]["regularization"] == REGULARIZATION | {"name": "l2", "strength": 1e-4}
    merged = "a: &a {x: 1}\nb: &b {<<: *a, x: 2}\nc: {<<: *b}\nd: {<<: [*a, *b], y: 3}\n"
    assert parse_yaml(merged, "") == yaml.safe_load(merged)
    assert "unknown key training.name" in refusal(text + "training: {<<: *r}\n")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "a config is a mapping (`key: value` lines), but this file holds nothing"),
        (b"# only a remark\n", "this file holds nothing"),
        (b"- a\n- b\n", "this file holds [a, b]"),
        (b"hello\n", "this file holds hello"),
        (b"\x89PNG\r\n\x1a\n\xff\xfe", "cannot be read as a text file"),
        ("experiment: classify\n".encode("utf-16"), "cannot be read as a text file"),
    ],
)
def test_files_that_are_no_mapping(content: bytes, said: str, tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        read_source(str(file))
    assert str(caught.value).startswith(str(file))
    assert said in str(caught.value)


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_bytes(b"\xef\xbb\xbf" + TEXT.encode())
    assert read_source(str(file)).values["experiment"] == "classify"


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ("softmax_digit", "no file and no shipped config of that name; did you mean softmax_digits?"),
        ("softmax_digits.yaml", "no such file; a config of that name is shipped: --config softmax_digits"),
        ("nowhere/x.yaml", "no such file; `nnlab configs list` shows the shipped ones"),
        ("/", "is a folder, not a config file"),
        ("a" * 5000, "no file and no shipped config"),
        ("a\0b", "no file and no shipped config"),
    ],
)
def test_configs_that_are_not_there(
    config: str, said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as caught:
        read_source(config)
    assert said in str(caught.value)


# --- whatever comes in ------------------------------------------------------------------------------

WORDS = sorted({
    *(key for cls in EXPERIMENTS.values() for key in cls.model_fields),
    *(key for _, given_, defaults in SECTIONS for key in given_ | defaults),
    *EXPERIMENTS, "digits", "mlp", "sgd", "l1", "cross_entropy", "strength", "regularization", "full", "[key]",
})  # fmt: skip
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.just(10**40), st.floats(), st.text(max_size=8),
    st.sampled_from(WORDS), st.dates(), st.binary(max_size=4),
)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS) | SCALARS, inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(
    start=st.sampled_from([{}, BASE, *(read_source(name).values for name in shipped_configs())]),
    changes=st.lists(st.tuples(st.lists(st.sampled_from(WORDS), min_size=1, max_size=3), VALUES), max_size=4),
)
def test_check_raises_nothing_but_config_errors(
    start: dict[str, Any], changes: list[tuple[list[str], Any]]
) -> None:
    source = Source("c.yaml", "", copy.deepcopy(start))
    try:
        for path, value in changes:
            source.override(tuple(path), value, "--set")
        config = check(source, EXPERIMENTS)
    except ConfigError:
        return
    assert type(config)(**config.model_dump()) == config


@settings(max_examples=250, deadline=None)
@given(st.text(alphabet="abe:-[]{}&*<>!?|'\"#%@~0159.,_ \n\t=\\x\0é", max_size=40))
def test_parsing_raises_nothing_but_config_errors(text: str) -> None:
    with contextlib.suppress(ConfigError):
        parse_yaml(text, "c.yaml")
