import pytest

from gradaudit.records.case import Expectation
from gradaudit.records.finding import Finding
from gradaudit.rules.exit_status import exit_status
from tests.rules.records import case


def finding(code: str, severity: str, expected: bool = False) -> Finding:
    return Finding(code, "by-hand", severity, "words", case().source, expected=expected)


ERROR = finding("DIV301", "error")
WARNING = finding("CAN101", "warning")
INFO = finding("SAT203", "info")
CRASH = finding("RUN601", "error")
MISSING = Expectation("SAT201")


@pytest.mark.parametrize(
    ("findings", "missing", "fail_on", "status"),
    [
        ([], [], "error", 0),
        ([WARNING, INFO], [], "error", 0),
        ([WARNING], [], "warning", 1),
        ([INFO], [], "warning", 0),
        ([INFO], [], "info", 1),
        ([ERROR], [], "error", 1),
        ([ERROR], [], "info", 1),
        ([finding("DIV301", "error", expected=True)], [], "error", 0),
        ([finding("CAN101", "warning", expected=True)], [], "info", 0),
        ([finding("DIV301", "error", expected=True), ERROR], [], "error", 1),
        ([], [MISSING], "error", 1),
        ([CRASH], [], "error", 3),
        ([CRASH, ERROR], [MISSING], "error", 3),
        ([finding("RUN601", "error", expected=True)], [], "error", 0),
        ([finding("RUN601", "error", expected=True)], [MISSING], "error", 1),
    ],
)
def test_exit_status(findings: list[Finding], missing: list[Expectation], fail_on: str, status: int) -> None:
    assert exit_status(findings, missing, fail_on) == status
    assert exit_status(reversed(findings), iter(missing), fail_on) == status
