"""Audits for people's own tests: a live loss, in this process, by the adapters, measurements and rules of the CLI.

    from gradaudit.testing import assert_gradients

    def test_my_loss():
        assert_gradients(my_loss, reduction="mean", label_smoothing=0.1)

Importing this module imports no framework, and nothing of NumPy.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from gradaudit.records.location import Location
    from gradaudit.records.report import Report
    from gradaudit.workers.pool import Pool

__all__ = ["assert_gradients", "audit_gradients"]


def assert_gradients(
    loss: object,
    function: str | Mapping[str, object] = "cross_entropy",
    *,
    logits: object = None,
    targets: object = None,
    axis: int | Sequence[int] = -1,
    dtypes: str | Sequence[str] = ("float32",),
    scale: float | Sequence[float] = 1.0,
    upstream: object = "random",
    probes: str | Sequence[str] = "standard",
    derivatives: int = 1,
    name: str | None = None,
    backend: str | None = None,
    kwargs: Mapping[str, object] | None = None,
    factory: bool = False,
    input: str = "logits",  # noqa: A002 - the key of a spec
    one_hot_targets: bool = False,
    profile: Mapping[str, str] | None = None,
    autocast: str | None = None,
    expect: Sequence[str | Mapping[str, object]] = (),
    ignore: str | Sequence[str] = (),
    select: str | Sequence[str] = (),
    fail_on: str = "error",
    seed: int = 0,
    **function_parameters: object,
) -> Report:
    """Audit `loss` and raise AssertionError, with the text that `gradaudit check` prints, where it is wrong.

    `loss` is a function `loss(logits, targets)` over torch (for softmax and its kin `f(logits)`), a Module, a class
    of Modules (constructed with `kwargs`), an autograd.Function, or a NumPy function `f(logits, targets, upstream)`
    that returns `(loss, gradient)`; `backend` says which of them where it cannot be seen. `function` and its
    parameters (`reduction="sum"`, `label_smoothing=0.1`, ...) are what `loss` is meant to compute.

    `logits` are values or a shape, 7 rows of 11 classes unless given; `targets` are class indices or probabilities,
    drawn unless given, or "probabilities" to draw those. The other arguments are the keys of a spec and the options
    of `gradaudit check`. Returns the report; raises RequestError where the arguments make no sense.
    """
    __tracebackhide__ = True
    from gradaudit.testing.request import ARGUMENTS
    from gradaudit.testing.verdict import failure

    given = {key: value for key, value in locals().items() if key in ARGUMENTS}
    report = _audit(loss, function, given, function_parameters, _caller())
    text = failure(report)
    if text is not None:
        raise AssertionError(text)
    return report


def audit_gradients(loss: object, function: str | Mapping[str, object] = "cross_entropy", **arguments: Any) -> Report:
    """The report on `loss`, whatever it says; the arguments are those of :func:`assert_gradients`."""
    from gradaudit.testing.request import ARGUMENTS

    given = {key: value for key, value in arguments.items() if key in ARGUMENTS}
    parameters = {key: value for key, value in arguments.items() if key not in ARGUMENTS}
    return _audit(loss, function, given, parameters, _caller())


def _audit(
    loss: object,
    function: str | Mapping[str, object],
    given: Mapping[str, Any],
    parameters: Mapping[str, object],
    caller: Location,
) -> Report:
    from gradaudit import pipeline
    from gradaudit.testing.request import requested
    from gradaudit.workers.local import LocalPool

    case, settings = requested(loss, function, given, parameters, caller)
    with LocalPool() as pool:
        return pipeline.audit((case,), settings, None, cast("Pool", pool))


def _caller() -> Location:
    """The line of the test that called the public function."""
    import os

    from gradaudit.records.location import Location

    frame = sys._getframe(2)
    path = frame.f_code.co_filename
    shown = os.path.relpath(path) if os.path.isabs(path) else path  # noqa: PTH117 - pathlib has no relative path upwards
    return Location(shown, frame.f_lineno)
