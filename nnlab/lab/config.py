"""Configs: read from YAML, overridden by flags, checked, written with every default.

The key `experiment` chooses the class (see `nnlab.lab.sections`) that the mapping must fit.
"""

import copy
import os
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from nnlab.errors import ConfigError, suggest
from nnlab.files import read_whole
from nnlab.lab.messages import Mistake, explain
from nnlab.lab.sections import Experiment
from nnlab.lab.source import Source, as_yaml, dumped, parse_yaml, short
from nnlab.safe_yaml import MAX_DEPTH

SHOWN, LONGEST = 10, 900
"""The most mistakes of a config that a message names, and the most characters of each."""
FILE_BYTES = 4 * 2**20
"""The largest config that is read."""


class Misfit(ConfigError):
    """A config that does not fit its sections."""

    def __init__(self, message: str, mistakes: list[Mistake]) -> None:
        super().__init__(message)
        self.mistakes = mistakes


def shipped_configs() -> dict[str, Path]:
    """The configs that come with nnlab, by name: inside the wheel, or at the top of the repository."""
    package = Path(__file__).parent.parent
    folder = package if (package / "configs").is_dir() else package.parent
    return {path.stem: path for path in sorted((folder / "configs").glob("*.yaml"))}


def about(config: Path) -> str:
    """What a shipped config shows: the comment on its second line; the first one holds the command."""
    lines = config.read_text("utf-8").splitlines()
    return lines[1].removeprefix("#").strip() if len(lines) > 1 and lines[1].startswith("#") else ""


def read_source(config: str) -> Source:
    """Reads a config by its file's path or by the name of a shipped one."""
    path, shipped = Path(config), shipped_configs()
    if os.path.isfile(path):  # unlike Path.is_file, it takes a name that is too long
        return source_from_file(path)
    hint = "`nnlab configs list` shows the shipped ones"
    if os.path.isdir(path):
        raise ConfigError(f"--config {short(config)}: is a folder, not a config file; {hint}")
    if path.suffix in (".yaml", ".yml") or "/" in config:
        if path.stem in shipped:
            hint = f"a config of that name is shipped: --config {path.stem}"
        raise ConfigError(f"--config {short(config)}: no such file; {hint}")
    if config not in shipped:
        problem = "no file and no shipped config of that name"
        raise ConfigError(f"--config {short(config)}: {problem}; {suggest(config, shipped)}")
    return source_from_file(shipped[config])


def source_from_file(path: Path) -> Source:
    """Reads the YAML mapping in `path`. Raises ConfigError where it is not one."""
    try:
        text = read_whole(path, FILE_BYTES).decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")
    except (OSError, ValueError) as error:  # a name with a zero byte is a ValueError
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(f"{path}: cannot be read as a text file: {reason}") from None
    values = parse_yaml(text, str(path))
    if not isinstance(values, dict):
        raise ConfigError(
            f"{path}: a config is a mapping (`key: value` lines), but this file holds {as_yaml(values)}"
        )
    return Source(where=str(path), text=text, values=values)


def source_of_run(path: Path) -> Source:
    """Reads the config.yaml of a run folder, which holds every key.

    One that an earlier version did not have gets the value that the run was computed with.
    """
    source = source_from_file(path)
    data = source.values.get("data")
    if isinstance(data, dict) and data.get("name") == "csv" and "split_seed" in data:
        data.setdefault("standardize_target", False)
    return source


def apply_sets(source: Source, sets: Sequence[str]) -> None:
    """Applies every `--set KEY=VALUE`; KEY is dotted (model.hidden), VALUE is YAML ([64, 64])."""
    for item in sets:
        key, equals, value = item.partition("=")
        path = tuple(key.strip().split("."))
        origin = f"--set {short(item)}"
        if not equals or not all(path) or len(path) > MAX_DEPTH:
            raise ConfigError(f"{origin}: write it as KEY=VALUE, such as --set optimizer.lr=0.05")
        source.override(path, parse_yaml(value, origin), origin)


def check(source: Source, experiments: Mapping[str, type[Experiment]]) -> Experiment:
    """The checked config of `source`.

    Args:
        source: the values, from a file and from flags.
        experiments: the config class of each experiment, by the value of the key `experiment`.

    Raises:
        ConfigError: naming the file, the line or flag, the key, the value and what is allowed.
    """
    name = source.values.get("experiment")
    if name is None:
        raise ConfigError(f"{source.where}: the key experiment is missing. Allowed: {', '.join(experiments)}")
    if not isinstance(name, str) or name not in experiments:
        raise ConfigError(
            f"{source.origin(('experiment',))}: experiment: {as_yaml(name)} is unknown; "
            f"{suggest(str(name), experiments)}"
        )
    cls = experiments[name]
    try:
        return cls.model_validate(copy.deepcopy(source.values))
    except ValidationError as error:
        problems = error.errors(include_url=False)
        mistakes = dict.fromkeys(explain(dict(problem), source, cls) for problem in problems[:SHOWN])
        lines = [line if len(line) <= LONGEST else f"{line[:LONGEST]}…" for line in map(str, mistakes)]
        while sum(map(len, lines)) > 2 * LONGEST:
            lines.pop()
        hidden = len(problems) - len(lines) - (min(len(problems), SHOWN) - len(mistakes))
        more = [f"{source.where}: and {hidden:,} mistakes more"] if hidden else []
        raise Misfit("\n".join([*lines, *more]), list(mistakes)) from None


def to_yaml(config: Experiment) -> str:
    """The config with every default written out: loading it again gives an equal one."""
    return dumped(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def json_schema(experiments: Mapping[str, type[Experiment]]) -> dict[str, Any]:
    """A JSON schema over all experiments, for editors that complete and check YAML."""
    union: Any = typing.Union[tuple(experiments.values())]  # noqa: UP007
    adapter: TypeAdapter[Any] = TypeAdapter(Annotated[union, Field(discriminator="experiment")])
    schema = adapter.json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "nnlab config", **schema}
