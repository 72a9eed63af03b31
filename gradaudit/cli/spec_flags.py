"""The flags that stand for keys of a spec, as options of a Typer command."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

from gradaudit.errors import FlagError
from gradaudit.specs.flag_table import FLAGS

Given = dict[str, str | list[str] | None]
"""The texts of all such flags by the name of their parameter; None or empty where one was not given."""


def with_spec_flags(command: Callable[..., int]) -> Callable[..., int]:
    """`command` with one option more for each flag of the table; it gets their texts as `given`."""
    signature = inspect.signature(command, eval_str=True)
    own = [parameter for parameter in signature.parameters.values() if parameter.name != "given"]

    @functools.wraps(command)
    def with_given(**values: Any) -> int:
        given: Given = {flag.parameter: values.pop(flag.parameter) for flag in FLAGS}
        _check_interpreters(given)
        return command(given=given, **values)

    parameters = [
        *(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own),
        *(
            inspect.Parameter(
                flag.parameter,
                inspect.Parameter.KEYWORD_ONLY,
                default=None,
                annotation=Annotated[
                    list[str] | None if flag.repeatable else str | None,
                    typer.Option(flag.name, metavar=flag.metavar, help=flag.help),
                ],
            )
            for flag in FLAGS
        ),
    ]
    # Typer reads both: the signature for the defaults, the annotations for the types.
    with_given.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    with_given.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return with_given


def _check_interpreters(given: Given) -> None:
    """FlagError where a flag names an interpreter that is not there: a slip of the pen, and no backend that is
    missing. What a spec names may be on another machine, and is."""
    for flag, mark in (("backend", "@"), ("python", "=")):
        for text in given.get(flag) or ():
            for entry in text.split(","):
                name, _, path = entry.partition(mark)
                if path and not _there(path):
                    raise FlagError(
                        f"--{flag} {text!r}: there is no {path!r}; expected the path of a Python that has "
                        f"{name.strip()}, or the folder of its environment"
                    )


def _there(path: str) -> bool:
    """Whether a program or a folder of that name exists, or a program on the path."""
    import os
    import shutil

    return os.path.exists(os.path.expanduser(path)) or shutil.which(path) is not None  # noqa: PTH110, PTH111
