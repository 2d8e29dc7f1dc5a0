"""Errors of nnlab: the input was wrong, the experiment failed, or its result is not right.

Every message says what is wrong, where, and what to do about it. The command line prints it alone,
without a traceback, and ends with `exit_code`.
"""

import difflib
from collections.abc import Iterable


class NnlabError(Exception):
    """Base of every error that nnlab raises on purpose."""

    exit_code = 1


class InputError(NnlabError):
    """A flag, config, data set or run folder that cannot be used. Raised before anything is computed."""

    exit_code = 2


class ConfigError(InputError):
    """A config that does not parse or does not fit its schema."""


class DataError(InputError):
    """A data set that is missing, damaged or not of the declared form."""


class RunFolderError(InputError):
    """A run folder that is not one, is in use, or cannot be written."""


class ExperimentError(NnlabError):
    """The experiment itself failed, for instance since the disk filled."""


class CheckFailed(NnlabError):
    """A result that disagrees with its check. Raised after it was shown."""


class Diverged(ExperimentError):
    """The loss is no longer a finite number."""


class Interrupted(NnlabError):
    """The user asked the run to stop; it wrote a checkpoint first."""

    exit_code = 130


def suggest(word: str, allowed: Iterable[str]) -> str:
    """The end of an error message: the nearest valid name, then all of them.

    >>> suggest("reluu", ["relu", "tanh"])
    'did you mean relu? Allowed: relu, tanh'
    """
    names = sorted(allowed)
    near = [name for name in names if name.casefold() == word.casefold()]
    near = near or difflib.get_close_matches(word, names, n=1, cutoff=0.5)
    listed = f"Allowed: {', '.join(names)}" if names else "Nothing is allowed here"
    return f"did you mean {near[0]}? {listed}" if near else listed
