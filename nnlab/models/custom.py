"""A user's own model: a factory named in the config, which runs only where the user allowed it."""

import contextlib
import importlib
import inspect
import os
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import Any

import torch
from torch import nn

from nnlab.errors import ExperimentError, InputError, NnlabError, suggest
from nnlab.models.summary import trial, zeros_for

LONGEST = 500
"""Characters of the text of an error that a message repeats."""


def load_factory(path: str, allow: bool) -> Callable[..., object]:
    """Imports the factory that `path` names. The current folder is importable meanwhile.

    Args:
        path: `package.module:function`.
        allow: whether the user agreed to running that code; importing it already does.

    Raises:
        InputError: not allowed, not of that form, not importable, not there, or not callable.
    """
    if not allow:
        raise InputError(
            f"model.factory: {path} runs your own code, which a config may not do by itself; "
            "pass --allow-custom-code if you trust it"
        )
    module_name, colon, name = path.partition(":")
    if not colon or not module_name or not name:
        raise InputError(f"model.factory: {path}: write it as package.module:function")
    importlib.invalidate_caches()  # the file may be younger than the last look into its folder
    what = f"model.factory: {path}: {module_name} cannot be imported from {os.getcwd()} or installed packages"
    with _current_folder_importable(), _explained(what):
        module = importlib.import_module(module_name)
    factory = getattr(module, name, None)
    if not callable(factory):
        problem = f"{module_name} has no {name}"
        if hasattr(module, name):
            problem = f"{name} is of type {type(factory).__name__}, which cannot be called"
        raise InputError(f"model.factory: {path}: {problem}; {suggest(name, _callables(module))}")
    return factory  # type: ignore[no-any-return]


def build_custom(
    path: str,
    arguments: Mapping[str, Any],
    *,
    input_shape: tuple[int, ...],
    outputs: int,
    generator: torch.Generator,
    allow: bool,
) -> nn.Module:
    """Calls the factory as `factory(input_shape, outputs, **arguments)` and tries its model on two examples.

    The factory may use torch's global random numbers as usual: while it runs, the CPU's are seeded from
    `generator`, and afterwards they are as they were before. It should build on the CPU: the random numbers
    of other devices are left alone, as are Python's and NumPy's.

    Raises:
        InputError: as `load_factory`, or the arguments do not fit, the factory fails, its result is no
            nn.Module, or its model does not map (2, *input_shape) to (2, outputs).
    """
    factory = load_factory(path, allow)
    _check_arguments(path, factory, input_shape, outputs, arguments)
    with _current_folder_importable(), _seeded(generator):
        with _explained(f"model.factory: {path} failed"):
            model = factory(input_shape, outputs, **arguments)
        if not isinstance(model, nn.Module):
            raise InputError(
                f"model.factory: {path} returned an object of type {type(model).__name__}; "
                "it must return a torch.nn.Module"
            )
        _try_out(path, model, input_shape, outputs)  # seeded, as lazy layers draw their start only here
    return model


@contextlib.contextmanager
def _current_folder_importable() -> Iterator[None]:
    folder = os.getcwd()
    if folder in sys.path:
        yield
        return
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):  # the user's code may have taken it out
            sys.path.remove(folder)


@contextlib.contextmanager
def _explained(what: str) -> Iterator[None]:
    """Turns whatever the user's code raises, sys.exit included, into one InputError with its place."""
    try:
        yield
    except (Exception, SystemExit) as error:
        raise InputError(f"{what}: {_in_short(error)}") from error


def failure(path: str, error: BaseException) -> ExperimentError | None:
    """Returns what to tell of an error that came out of the model of a factory while it was used.

    None where it is an error of ours, whose message says all, or an interruption.
    """
    if isinstance(error, NnlabError | OSError) or not isinstance(error, Exception | SystemExit):
        return None
    return ExperimentError(f"model.factory: {path}: its model failed in the run: {_in_short(error)}")


def _in_short(error: BaseException) -> str:
    """The kind and the text of an error, cut where it is long, and its place in the user's code."""
    reason = " ".join(str(error.msg if isinstance(error, SyntaxError) else error).split())
    reason = reason if len(reason) <= LONGEST else f"{reason[:LONGEST]}…"
    return f"{type(error).__name__}{': ' * bool(reason)}{reason}{_place(error)}"


def _place(error: BaseException) -> str:
    """` (FILE, line N)` of the innermost frame of the user's code; nothing where it was not reached.

    Of a module that does not parse it is the line that does not.
    """
    if isinstance(error, SyntaxError) and error.filename:
        return f" ({error.filename}, line {error.lineno})"
    ours = os.path.dirname(os.path.dirname(__file__))
    not_theirs = ("<", ours, os.path.dirname(torch.__file__), *map(sysconfig.get_path, ("stdlib", "purelib")))
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [f for f in frames if not f.filename.startswith(not_theirs)]
    if not theirs:  # the user's module may be an installed one
        installed = sysconfig.get_path("purelib")
        theirs = [
            f
            for f in frames
            if f.filename.startswith(installed) and not f.filename.startswith(not_theirs[:3])
        ]
    return f" ({theirs[-1].filename}, line {theirs[-1].lineno})" if theirs else ""


@contextlib.contextmanager
def _seeded(generator: torch.Generator) -> Iterator[None]:
    """torch's CPU random numbers seeded from `generator` inside, as before outside."""
    seed = int(torch.randint(2**63 - 1, (), generator=generator))
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed the other devices too
        yield


def _callables(module: ModuleType) -> list[str]:
    """Public callables that the module defines itself: what the user may have meant."""
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and callable(value)
        and getattr(value, "__module__", "") == module.__name__
    ]


def _check_arguments(
    path: str,
    factory: Callable[..., object],
    input_shape: tuple[int, ...],
    outputs: int,
    arguments: Mapping[str, Any],
) -> None:
    try:
        signature = inspect.signature(factory)
    except (TypeError, ValueError):
        return  # some callables written in C do not tell; calling them will
    try:
        signature.bind(input_shape, outputs, **arguments)
    except TypeError as error:
        allowed = list(signature.parameters)[2:]
        unknown = [name for name in arguments if name not in allowed]
        hint = suggest(unknown[0], allowed) if unknown else f"Its arguments: {signature}"
        raise InputError(
            f"model.arguments: {dict(arguments)} does not fit {path}, which is called as "
            f"factory(input_shape, outputs, **arguments): {error}; {hint}"
        ) from None


def _try_out(path: str, model: nn.Module, input_shape: tuple[int, ...], outputs: int) -> None:
    """Two examples of zeros through the model, in evaluation mode and as in training; no statistics move."""
    examples = zeros_for(model, 2, input_shape)
    for training, mode in ((False, ""), (True, " in training mode")):
        failed = f"model.factory: {path}: its model fails{mode} on {tuple(examples.shape)}"
        with trial(model, training=training), torch.no_grad(), _explained(failed):
            scores = model(examples)
        if not isinstance(scores, torch.Tensor) or scores.shape != (2, outputs):
            got = tuple(scores.shape) if isinstance(scores, torch.Tensor) else type(scores).__name__
            raise InputError(
                f"model.factory: {path}: its model maps {tuple(examples.shape)}{mode} to {got}; "
                f"the data need (2, {outputs})"
            )
        if not scores.is_floating_point():
            raise InputError(
                f"model.factory: {path}: its model gives numbers of type {scores.dtype}{mode}; "
                "scores must be floating-point numbers"
            )
