"""The report as one page of HTML that needs nothing else: no script, no network, no file beside it."""

from __future__ import annotations

import base64
import hashlib
import shlex
from collections.abc import Iterator, Sequence

from gradaudit.records.report import Report
from gradaudit.reports.against import TITLES, said, tone, update_command, version_line
from gradaudit.reports.evaluation_rows import Told
from gradaudit.reports.findings import place
from gradaudit.reports.html.case_section import case_section
from gradaudit.reports.html.guide import reading_guide
from gradaudit.reports.html.markup import Html, tag
from gradaudit.reports.html.style import CSS
from gradaudit.reports.html.tables import named, table, told
from gradaudit.reports.issues import Issue, issues, listed
from gradaudit.reports.standing import standing
from gradaudit.reports.summary import summary

CUT_SHORT = {
    3: "Something could not be audited",
    130: "Interrupted: the page holds what was done until then",
}
"""Headlines by exit status, where it says more than the findings."""


AGAINST = {0: Told("Nothing is worse than the baseline", "good"), 1: Told("Short of the baseline", "wrong")}
MOST = 300
"""So many changes stand on the page; the JSON report has all of them."""


def render(report: Report) -> str:
    """The page. Its content policy admits its own style sheet, by its hash, and nothing else.

    Texts of others are escaped where the page is built (`gradaudit.reports.html.markup`). Colours repeat what signs
    and words say; pictures have their content in words.
    """
    by_case: dict[int, list[Issue]] = {id(case): [] for case in report.cases}
    for issue in issues(report):
        by_case.setdefault(id(issue.case), []).append(issue)
    found = [by_case[id(case)] for case in report.cases]
    standings = [standing(own) for own in found]
    kept = {issue.fingerprint for issue in listed(report)}
    sections = [
        case_section(report, case, own, kept, f"case-{index}")
        for index, (case, own) in enumerate(zip(report.cases, found, strict=True), start=1)
    ]
    body = tag(
        "body",
        tag("a", "Skip to the cases", href="#cases", class_="skip"),
        tag(
            "header",
            tag("h1", "gradaudit report"),
            tag("p", told(_headline(report, standings)), class_=f"banner {_headline(report, standings).tone}"),
            tag("p", summary(report)[1]),
            _overview(report, found, standings),
            reading_guide(),
        ),
        tag("main", [*_against(report), *sections], id="cases"),
        tag("footer", _environment(report)),
    )
    headline = _headline(report, standings).text
    return f"<!DOCTYPE html>\n{tag('html', _head(headline), body, lang='en')}\n"


def _head(headline: str) -> Html:
    digest = base64.b64encode(hashlib.sha256(CSS.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    return tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name_="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name_="color-scheme", content="light dark"),
        tag("meta", name_="referrer", content="no-referrer"),
        tag("title", f"{headline}: gradaudit report"),
        # Without it browsers ask the server for one.
        tag("link", rel="icon", href="data:,"),
        tag("style", Html(CSS)),
    )


def _headline(report: Report, standings: Sequence[Told]) -> Told:
    """What the page says first: what was cut short, else how many cases fail, else whether there is more to see."""
    if report.exit_status in CUT_SHORT:
        return Told(CUT_SHORT[report.exit_status], "wrong")
    if report.baseline is not None:
        return AGAINST.get(report.exit_status, AGAINST[1])
    failing = sum(each.tone == "wrong" for each in standings)
    if failing or report.exit_status:
        several = f" in {failing:,} of {len(standings):,} cases" if failing and len(standings) > 1 else ""
        return Told(f"Findings{several}", "wrong")
    if any(each.tone == "doubtful" for each in standings):
        return Told("Nothing fails, but there are warnings", "doubtful")
    return Told("Nothing found beyond what is expected", "good")


def _against(report: Report) -> Iterator[Html]:
    """What is not as the baseline has it."""
    held = report.baseline
    if held is None or not (held.changes or held.versions):
        return
    rows = [(told(Told(TITLES[change.kind], tone(change))), said(change)) for change in held.changes[:MOST]]
    yield tag(
        "section",
        tag("h2", f"Against {held.path}", id="against"),
        table("What is not as the baseline has it", ("change", "what"), rows) if rows else "",
        tag("p", f"{len(held.changes) - MOST:,} more changes stand in the JSON report.", class_="quiet")
        if len(held.changes) > MOST
        else "",
        tag("p", version_line(held.versions)) if held.versions else "",
        tag("p", tag("code", update_command(held.path)), " records the present state."),
        aria_labelledby="against",
    )


def _overview(report: Report, found: Sequence[Sequence[Issue]], standings: Sequence[Told]) -> Html:
    """A row for each case, those that fail first."""
    rows = []
    order = sorted(range(len(found)), key=lambda index: standings[index].tone != "wrong")
    for index in order:
        case, own = report.cases[index], found[index]
        severities = [issue.severity for issue in own if issue.change is None]
        counted = [str(severities.count(severity)) for severity in ("error", "warning", "info")]
        link = tag("a", case.case.name or "(no name)", href=f"#case-{index + 1}")
        rows.append((link, told(standings[index]), *counted, place(case.case.source)))
    headers = ("case", "verdict", "errors", "warnings", "info", "where")
    moved = ", those that fail first" if order != sorted(order) else ""
    return tag("nav", table(f"Cases{moved}", headers, rows, numbers=(2, 3, 4)), id="overview", aria_label="Cases")


def _environment(report: Report) -> Html:
    environment = report.environment
    rows = []
    for state in environment.backends:
        flushed = {True: "yes", False: "no", None: "-"}[state.flush_to_zero]
        standing = Told("available", "good") if state.available else Told(f"missing: {state.reason}", "wrong")
        versions = ", ".join(f"{name} {version}" for name, version in state.versions)
        threads = "-" if state.threads is None else str(state.threads)
        details = ", ".join(f"{name} {value}" for name, value in state.details)
        rows.append((state.name, told(standing), versions, state.python, threads, flushed, details))
    headers = ("backend", "state", "versions", "Python", "threads", "flushes subnormals", "details")
    own = ", ".join(f"{name} {version}" for name, version in environment.versions)
    facts = (
        ("command", tag("code", shlex.join(report.command))),
        ("gradaudit", report.version),
        ("Python", f"{environment.python}, {own}"),
        ("platform", environment.platform),
        ("seed", str(environment.seed)),
        ("threads", str(environment.threads)),
    )
    return tag(
        "section",
        tag("h2", "How it was audited", id="environment"),
        named(facts),
        table("Backends", headers, rows) if rows else "",
        aria_labelledby="environment",
    )
