"""The experiment of the playground: what its form holds, as the YAML of a config that `nnlab train` runs.

Nothing here imports torch.
"""

import copy
import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Literal, get_args
from urllib.parse import parse_qsl, urlencode

from nnlab.errors import ConfigError, InputError
from nnlab.lab import sections
from nnlab.lab.config import Misfit, check
from nnlab.lab.sections import Experiment, MLPModel, TrainingExperiment
from nnlab.lab.source import Source, dumped, parse_yaml

FIRST_LINE = "# nnlab train --config playground.yaml\n"
ADDRESS = 6000
"""The most characters of an address."""
EXAMPLES, NUMBERS = 5_000, 300_000
"""The most examples, and parameters of a network, that can be drawn while they are trained on."""

Values = dict[str, Any]


class Classify(TrainingExperiment):
    """The keys of the experiment classify."""

    experiment: Literal["classify"]


class Regress(TrainingExperiment):
    """The keys of the experiment regress."""

    experiment: Literal["regress"]


EXPERIMENTS: Mapping[str, type[Experiment]] = {"classify": Classify, "regress": Regress}
"""The experiments of the playground; running them into a folder is up to `nnlab train`."""

DATA = ("xor", "two_moons", "spirals", "blobs", "regression_1d", "points")
OPTIMIZERS = ("sgd", "adam", "adamw", "lbfgs")


def parsed(text: str) -> TrainingExperiment:
    """The checked config of a YAML text.

    Raises:
        ConfigError: what does not fit; of the class Misfit where each mistake has its key.
    """
    values = parse_yaml(text, "playground")
    if not isinstance(values, dict):
        raise ConfigError("playground: a config is a mapping (`key: value` lines)")
    config = check(Source(where="playground", text=text, values=values), EXPERIMENTS)
    assert isinstance(config, TrainingExperiment)
    return config


def to_yaml(config: TrainingExperiment) -> str:
    """The config as YAML, without what is as by default."""
    return FIRST_LINE + _as_text(_short(config))


def _short(config: TrainingExperiment) -> Values:
    """The values that are not as by default; loss and optimizer in any case, and names first."""
    values = config.model_dump(mode="json", exclude_defaults=True)
    for key, section in (("loss", config.loss), ("optimizer", config.optimizer)):
        values.setdefault(key, section.model_dump(mode="json", exclude_defaults=True))
    return _names_first(values)


def _names_first(values: Values) -> Values:
    inner = {key: _names_first(value) if isinstance(value, dict) else value for key, value in values.items()}
    return {key: inner[key] for key in sorted(inner, key=lambda key: key != "name")}


def _as_text(values: Values) -> str:
    return dumped(values, sort_keys=False, allow_unicode=True, default_flow_style=None, width=110)


class State:
    """What the form holds, and the last experiment that it was.

    Attributes:
        config: the experiment.
        values: of the form, nested as in YAML; where they do not fit, `config` is not theirs.
        errors: dotted key -> what is wrong there; under the empty key what is wrong with the whole.
    """

    def __init__(self, text: str) -> None:
        self.values, self.errors = Values(), dict[str, str]()
        self._take(parsed(text))

    def replace(self, text: str) -> None:
        """Takes a whole YAML text, unless it does not fit."""
        self._check(lambda: _suitable(parsed(text)))

    def change(self, changes: Mapping[str, Any]) -> None:
        """Sets values of the form; None puts a key back to its default, a text of a number is YAML.

        A section with another name loses the keys that it does not know, and the experiment and its loss
        follow the data.
        """
        values = copy.deepcopy(self.values)
        for key, value in changes.items():
            path = key.split(".")
            section = values
            for part in path[:-1]:
                if not isinstance(section.get(part), dict):
                    section[part] = {}
                section = section[part]
            if value is None:
                section.pop(path[-1], None)
            else:
                section[path[-1]] = value
            if path[-1] == "name" and value is not None:
                _forget_unknown(values, path[:-1])
        _follow_data(values)
        text = _as_text(values)
        self.values = values
        self._check(lambda: _suitable(parsed(text)))

    def take_address(self, address: str) -> None:
        """Takes the experiment of an address, unless it does not fit."""
        values: Values = {}
        try:
            for key, text in parse_qsl(address.lstrip("#"), max_num_fields=200):
                section = values
                *path, last = key.split(".")
                for part in path:
                    section = section.setdefault(part, {})
                section[last] = parse_yaml(text, key)
        except (ValueError, AttributeError, TypeError, InputError) as error:
            self.errors = {"": f"this address holds no experiment: {error}"}
            return
        self.replace(_as_text(values))

    def address(self) -> str:
        """The experiment as a part of an address; empty where it is too long for one."""
        pairs = list(_flat(_short(self.config)))
        text = urlencode([(key, _one_line(value)) for key, value in pairs], safe="[]{},:")
        return text if len(text) <= ADDRESS else ""

    def refuse(self, message: str) -> None:
        """Keeps what is wrong with an experiment that fits its sections and still cannot be built."""
        self.errors = {_key_in(message): message}

    @property
    def yaml(self) -> str:
        """The experiment as YAML, without what is as by default."""
        return self._yaml

    def as_dict(self) -> dict[str, Any]:
        """What the page needs: the values with all defaults, those of the form over them, and the rest."""
        return {
            "values": _over(self.config.model_dump(mode="json"), self.values),
            "errors": self.errors,
            "yaml": self.yaml,
            "address": self._address,
        }

    def _check(self, read: Any) -> None:
        try:
            self._take(read())
        except Misfit as error:
            self.errors = {mistake.key: mistake.sentence for mistake in error.mistakes}
        except InputError as error:
            self.refuse(str(error).removeprefix("playground: "))

    def _take(self, config: TrainingExperiment) -> None:
        self.config, self.errors = config, {}
        self.values = _short(config)
        self._yaml, self._address = to_yaml(config), self.address()


def _forget_unknown(values: Values, path: list[str]) -> None:
    """Drops the keys of a section that the class of its new name does not have."""
    section = values
    for part in path:
        section = section[part]
    for cls in _classes(path):
        if section["name"] in get_args(cls.model_fields["name"].annotation):
            for key in set(section) - set(cls.model_fields):
                del section[key]


def _follow_data(values: Values) -> None:
    """Sets the experiment, and the loss where it must be another one, to what the data need."""
    data, loss = values.get("data"), values.get("loss", {})
    if not isinstance(data, dict):
        return
    numbers = data.get("name") == "regression_1d" or data.get("task") == "regression"
    values["experiment"] = "regress" if numbers else "classify"
    if numbers and isinstance(loss, dict) and loss.get("name") != "squared_error":
        kept = {"regularization": loss["regularization"]} if "regularization" in loss else {}
        values["loss"] = {"name": "squared_error", **kept}


def _suitable(config: TrainingExperiment) -> TrainingExperiment:
    """Returns the config. Raises InputError for what `nnlab train` runs and the playground cannot show."""
    data, model = config.data, config.model
    here = "nnlab train runs it, the playground does not"
    if data.name not in DATA:
        raise InputError(f"data.name: {data.name}: {here}; here: {', '.join(DATA)}")
    if not isinstance(model, MLPModel):
        raise InputError(f"model.name: {model.name}: {here}; here: mlp")
    if model.start is not None:
        raise InputError(f"model.start: {here}; leave it out")
    if config.optimizer.name not in OPTIMIZERS:
        raise InputError(f"optimizer.name: {config.optimizer.name}: {here}; here: {', '.join(OPTIMIZERS)}")
    if config.training.device not in ("auto", "cpu"):
        raise InputError(f"training.device: {config.training.device}: {here}; here: cpu")
    examples = len(data.points) if isinstance(data, sections.PointsData) else data.examples  # type: ignore[union-attr]
    key = "points" if isinstance(data, sections.PointsData) else "examples"
    if examples > EXAMPLES:
        raise InputError(f"data.{key}: {examples:,} examples: at most {EXAMPLES:,} can be watched here")
    widths = [2, *model.hidden, 10]
    numbers = sum(a * b for a, b in pairwise(widths)) * model.pieces
    if numbers > NUMBERS or len(model.hidden) > 8:
        raise InputError(
            f"model.hidden: {model.hidden}: at most 8 layers and {NUMBERS:,} weights can be watched here"
        )
    return config


def _classes(path: list[str]) -> list[type[sections.Section]]:
    """The classes that a section may have, by their names."""
    annotation: Any = TrainingExperiment
    for part in path:
        options = [cls for cls in _members(annotation) if part in cls.model_fields]
        if not options:
            return []
        annotation = options[0].model_fields[part].annotation
    return [cls for cls in _members(annotation) if "name" in cls.model_fields]


def _members(annotation: Any) -> list[type[sections.Section]]:
    if isinstance(annotation, type) and issubclass(annotation, sections.Section):
        return [annotation]
    return [cls for part in get_args(annotation) for cls in _members(part)]


def _flat(values: Values, *path: str) -> Any:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, *path, key)
        else:
            yield ".".join((*path, key)), value


def _one_line(value: Any) -> str:
    text = dumped(value, default_flow_style=True, width=10**6, allow_unicode=True)
    return text.replace("\n...\n", "").strip()


def _over(below: Values, above: Values) -> Values:
    """The values above, and of those below what is missing there."""
    merged = copy.deepcopy(below)
    for key, value in above.items():
        old: Any = merged.get(key)
        same = (
            isinstance(old, dict)
            and isinstance(value, dict)
            and old.get("name") == value.get("name", old.get("name"))
        )
        merged[key] = _over(old, value) if same else value
    return merged


def _key_in(message: str) -> str:
    """The key of a config that a message begins with."""
    found = re.match(r"(?:data|model|loss|optimizer|training)(?:\.\w+)+", message)
    return found.group() if found else ""
