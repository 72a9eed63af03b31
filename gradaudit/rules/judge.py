"""Measured case -> findings, worst first, and the expectations that nothing met."""

from __future__ import annotations

from dataclasses import replace

from gradaudit.errors import PluginError
from gradaudit.records import backend_name
from gradaudit.records.case import Case, Expectation
from gradaudit.records.finding import SEVERITIES, Finding
from gradaudit.records.measurement import MeasuredCase
from gradaudit.rules import registry
from gradaudit.rules.interface import Rule

EXECUTION = "RUN"
"""Letters of the rules about what could not be audited. `--select` leaves them alone: it narrows what is judged,
and an evaluation that never took place must not turn into a clean exit by that."""


def judge(
    measured: MeasuredCase,
    select: tuple[str, ...] = (),
    ignore: tuple[str, ...] = (),
) -> tuple[tuple[Finding, ...], tuple[Expectation, ...]]:
    """What all rules say of the case, worst first, and the expectations of the case that were not met.

    `select` and `ignore` are prefixes of codes; an empty `select` selects everything, and `ignore` is added to
    the case's own. Expectations are held against every finding, shown or not, and only those whose code would
    be shown can be missing. PluginError where a rule raises, or returns something that is no finding of its own.
    """
    case = measured.case
    ignored = (*ignore, *case.ignore)
    found = [finding for rule in registry.rules() for finding in _findings_of(rule, measured)]
    marked = [replace(finding, expected=any(meets(finding, wish) for wish in case.expect)) for finding in found]
    shown = sorted(
        (
            finding
            for finding in marked
            if _is_shown(finding.code, select, ignored, always=finding.severity != "info")
        ),
        key=lambda finding: _order(finding, case),
    )
    missing = tuple(
        wish
        for wish in case.expect
        if _is_shown(wish.code, select, ignored) and not any(meets(finding, wish) for finding in found)
    )
    return tuple(shown), missing


def meets(finding: Finding, expectation: Expectation) -> bool:
    """Whether the finding is the expected one: the code, and every selector that was given.

    A finding without a backend, formulation, ... holds for all of them, and so meets any selector of that kind. That
    of `torch@/path/to/python` meets the backend `torch` too.
    """
    if finding.code != expectation.code:
        return False
    if expectation.backend is not None and finding.backend is not None:
        names = (finding.backend, backend_name.plain(finding.backend))
        if expectation.backend not in names:
            return False
    selectors = (
        (expectation.formulation, finding.formulation),
        (expectation.dtype, finding.dtype),
        (expectation.scale, finding.scale),
        (expectation.subject, finding.subject),
    )
    return all(wanted is None or got is None or wanted == got for wanted, got in selectors)


def _findings_of(rule: Rule, measured: MeasuredCase) -> tuple[Finding, ...]:
    origin = f"rule {rule.code} {rule.name} ({rule.check.__module__})"
    try:
        findings = tuple(rule.check(measured))
    except Exception as error:
        case = measured.case
        raise PluginError(
            f"{origin} failed on case {case.name!r} ({case.source}): {type(error).__name__}: {error}"
        ) from error
    for finding in findings:
        if not isinstance(finding, Finding) or finding.code != rule.code or finding.severity not in SEVERITIES:
            raise PluginError(
                f"{origin} returned {finding!r}; expected a Finding with the code {rule.code} and a severity among "
                f"{', '.join(SEVERITIES)}"
            )
    return findings


def _is_shown(code: str, select: tuple[str, ...], ignored: tuple[str, ...], *, always: bool = True) -> bool:
    """Whether a code was selected; what could not be audited is shown `always`, whatever was selected."""
    if registry.matches(code, ignored):
        return False
    return not select or (always and code.startswith(EXECUTION)) or registry.matches(code, select)


def _order(finding: Finding, case: Case) -> tuple[int, str, tuple[int, ...], str, str, str]:
    """Severity, code, then the place in the case's matrix; what holds for all of an axis comes before one of it."""
    position = (
        _position(finding.backend, case.backends),
        _position(finding.formulation, case.formulations),
        _position(finding.dtype, case.dtypes),
        _position(finding.scale, case.scale),
    )
    return (
        -SEVERITIES.index(finding.severity),
        finding.code,
        position,
        finding.subject or "",
        finding.probe or "",
        finding.message,
    )


def _position(value: object, axis: tuple[object, ...]) -> int:
    if value is None:
        return -1
    return axis.index(value) if value in axis else len(axis)
