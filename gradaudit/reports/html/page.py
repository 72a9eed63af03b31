"""The report as one page of HTML that needs nothing else: no script, no network, no file beside it."""

from __future__ import annotations

import base64
import hashlib
import shlex
from collections.abc import Sequence

from gradaudit.records.report import Report
from gradaudit.reports.evaluation_rows import Told
from gradaudit.reports.findings import place
from gradaudit.reports.html.case_section import case_section
from gradaudit.reports.html.markup import Html, tag
from gradaudit.reports.html.style import CSS
from gradaudit.reports.html.tables import SIGNS, named, table, told
from gradaudit.reports.issues import Issue, issues, listed
from gradaudit.reports.standing import standing
from gradaudit.reports.summary import summary

HEADLINES = {
    0: ("good", "Nothing found beyond what is expected"),
    1: ("wrong", "Findings"),
    3: ("wrong", "Something could not be audited"),
    130: ("wrong", "Interrupted: the page holds what was done until then"),
}


def render(report: Report) -> str:
    """The page. Its content policy admits its own style sheet, by its hash, and nothing else.

    Texts of others are escaped where the page is built (`gradaudit.reports.html.markup`). Colours repeat what signs
    and words say; pictures have their content in words.
    """
    by_case: dict[int, list[Issue]] = {id(case): [] for case in report.cases}
    for issue in issues(report):
        by_case[id(issue.case)].append(issue)
    found = [by_case[id(case)] for case in report.cases]
    kept = {issue.fingerprint for issue in listed(report)}
    sections = [
        case_section(report, case, own, kept, f"case-{index}")
        for index, (case, own) in enumerate(zip(report.cases, found, strict=True), start=1)
    ]
    body = tag(
        "body",
        tag("a", "Skip to the cases", href="#cases", class_="skip"),
        tag("header", tag("h1", "gradaudit report"), _banner(report), _overview(report, found)),
        tag("main", sections, id="cases"),
        tag("footer", _environment(report)),
    )
    return f"<!DOCTYPE html>\n{tag('html', _head(report), body, lang='en')}\n"


def _head(report: Report) -> Html:
    digest = base64.b64encode(hashlib.sha256(CSS.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    _, headline = HEADLINES.get(report.exit_status, ("wrong", "Unknown"))
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


def _banner(report: Report) -> Html:
    tone, headline = HEADLINES.get(report.exit_status, ("wrong", "Unknown"))
    return Html(tag("p", f"{SIGNS[tone]}{headline}", class_=f"banner {tone}") + tag("p", summary(report)[1]))


def _overview(report: Report, found: Sequence[Sequence[Issue]]) -> Html:
    rows = []
    for index, (case, own) in enumerate(zip(report.cases, found, strict=True), start=1):
        counted = [str(sum(issue.severity == severity for issue in own)) for severity in ("error", "warning", "info")]
        link = tag("a", case.case.name or "(no name)", href=f"#case-{index}")
        rows.append((link, told(standing(own)), *counted, place(case.case.source)))
    headers = ("case", "verdict", "errors", "warnings", "info", "where")
    return tag("nav", table("Cases", headers, rows, numbers=(2, 3, 4)), aria_label="Cases")


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
        ("command", shlex.join(report.command)),
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
