"""The flags of every command that audits: which rules judge, what fails, and what workers may use."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any, Literal

import typer

Severity = Literal["error", "warning", "info"]

Select = Annotated[
    list[str] | None,
    typer.Option(
        metavar="CODES", envvar="GRADAUDIT_SELECT", help="Only rules whose code begins so, e.g. CAN,DIV301."
    ),
]
Ignore = Annotated[
    list[str] | None,
    typer.Option(metavar="CODES", envvar="GRADAUDIT_IGNORE", help="All rules but those whose code begins so."),
]
FailOn = Annotated[
    Severity | None,
    typer.Option(envvar="GRADAUDIT_FAIL_ON", help="Least severity that exits 1. [default: error]"),
]
Timeout = Annotated[
    float | None,
    typer.Option(
        metavar="SECONDS", envvar="GRADAUDIT_TIMEOUT", help="For one evaluation, then it is killed. [default: 60]"
    ),
]
StartupTimeout = Annotated[
    float | None,
    typer.Option(
        metavar="SECONDS",
        envvar="GRADAUDIT_STARTUP_TIMEOUT",
        help="For a worker to import its framework. [default: 180]",
    ),
]
MaxMemory = Annotated[
    str | None,
    typer.Option(metavar="SIZE", envvar="GRADAUDIT_MAX_MEMORY", help="Cap for each worker, e.g. 2GB or 512MiB."),
]
Jobs = Annotated[
    int | None,
    typer.Option(metavar="N", envvar="GRADAUDIT_JOBS", help="Workers at a time. [default: one for each backend]"),
]
Seed = Annotated[
    int | None,
    typer.Option(metavar="N", envvar="GRADAUDIT_SEED", help="For what a spec leaves to chance. [default: 0]"),
]

FLAGS: dict[str, object] = {
    "select": Select,
    "ignore": Ignore,
    "fail-on": FailOn,
    "timeout": Timeout,
    "startup-timeout": StartupTimeout,
    "max-memory": MaxMemory,
    "jobs": Jobs,
    "seed": Seed,
}
"""By their names without dashes, as [tool.gradaudit] has them."""

RunFlags = dict[str, object]
"""The values of those that were given, by such names."""


def with_run_flags(command: Callable[..., int]) -> Callable[..., int]:
    """`command` with these flags as options more; it gets what was given of them as `run`."""
    signature = inspect.signature(command, eval_str=True)
    own = [parameter for parameter in signature.parameters.values() if parameter.name != "run"]

    @functools.wraps(command)
    def with_run(**values: Any) -> int:
        given = {flag: values.pop(flag.replace("-", "_")) for flag in FLAGS}
        return command(run={flag: value for flag, value in given.items() if value not in (None, [])}, **values)

    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [
        *(parameter.replace(kind=keyword) for parameter in own),
        *(
            inspect.Parameter(flag.replace("-", "_"), keyword, default=None, annotation=annotation)
            for flag, annotation in FLAGS.items()
        ),
    ]
    # Typer reads both: the signature for the defaults, the annotations for the types.
    with_run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    with_run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return with_run
