"""The exceptions of gradaudit, and the exit status each branch stands for.

    GradauditError
    |-- RequestError              exit 2: the request is wrong (spec, flags, nothing selected)
    |   |-- SpecError             a spec file; carries file:line:column
    |   |-- FlagError             a command-line flag or an argument of the Python API
    |   |-- ReportError           a JSON report that cannot be read
    |   `-- ReplayError           a saved evaluation that cannot be replayed, or not written as a script
    `-- AuditError                exit 3: something that was asked for could not be audited
        |-- WorkerError           a worker process failed to start or broke its protocol
        `-- PluginError           a plugin failed to load or registered a name twice

What goes wrong inside one evaluation is no exception: it is an
:class:`gradaudit.records.evaluation.EvaluationFailure`, a value in the report.
"""

from __future__ import annotations

from gradaudit.records.location import Location


class GradauditError(Exception):
    """Base of every error that gradaudit raises on purpose."""

    exit_status: int = 3


class RequestError(GradauditError):
    """What was asked for makes no sense; the message says what would."""

    exit_status = 2


class SpecError(RequestError):
    """A spec is malformed.

    `location` is where the offending value stands; the message begins with it (`file:line:column: ...`).
    """

    def __init__(self, message: str, location: Location) -> None:
        super().__init__(f"{location}: {message}")
        self.location = location
        self.detail = message


class FlagError(RequestError):
    """A command-line flag or an argument of the Python API is wrong."""


class ReportError(RequestError):
    """What was given as a JSON report is none, or belongs to another schema version."""


class ReplayError(RequestError):
    """What was given as a saved evaluation is none, or is not what was saved; or no script can show it."""


class AuditError(GradauditError):
    """Something that was asked for could not be audited."""

    exit_status = 3


class WorkerError(AuditError):
    """A worker process could not be started, or broke its protocol."""


class PluginError(AuditError):
    """A plugin could not be loaded, or registered a name that is taken."""
