"""Options that cost nothing where they are left out.

Typer builds a validator of pydantic's for every option of a command, given or not; loading pydantic takes
longer than a small worksheet of `nnlab backprop`. Texts need no validator, and what was left out needs none.
"""

from typing import Any

import typer

HELP = ["-h", "--help"]


def skip_validators(command: Any) -> None:
    """Lets the parameters of a command, and of its subcommands, build a validator where a value needs one.

    Does nothing with versions of typer that keep their validators elsewhere.
    """
    for parameter in command.get_params(typer.Context(command, help_option_names=HELP)):
        if getattr(parameter, "_runtime_param", parameter) is None:
            parameter._runtime_param = _WhenNeeded(parameter)
    for subcommand in getattr(command, "commands", {}).values():
        skip_validators(subcommand)


class _WhenNeeded:
    """Stands where typer keeps the validator of a parameter, and makes way for it."""

    def __init__(self, parameter: Any) -> None:
        self._parameter = parameter

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """Returns the value of the parameter, as typer's own validator would."""
        many = param.multiple or param.nargs == -1
        if value is None:
            return () if many else None
        annotation = self._parameter.type_descriptor.annotation
        if annotation == list[str] and many:
            return list(value)
        if annotation in (str, bool) and isinstance(value, annotation):
            return value
        self._parameter._runtime_param = None
        return self._parameter.get_runtime_param().coerce(value, param=param, ctx=ctx)
