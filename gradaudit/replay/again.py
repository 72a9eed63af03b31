"""A saved evaluation asked for again, and what that says beside what was found when it was saved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

from gradaudit.records.case import Case
from gradaudit.records.finding import Finding
from gradaudit.records.kept import Kept, KeptCase
from gradaudit.records.report import Report
from gradaudit.records.subject import Subject
from gradaudit.replay import encoding
from gradaudit.replay.failing import failing
from gradaudit.replay.saved import Saved, versions_of


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a replay shows. `again` are the codes of saved errors that were found once more, `gone` those that were
    not, `instead` errors that are new. `differing` are the versions that are others now: name, then, now ("" where
    there is none). `judged` is false where the evaluation could not be asked for again. `edited` is the file of the
    user's function, if it is not as it was."""

    again: tuple[str, ...]
    gone: tuple[str, ...]
    instead: tuple[str, ...]
    differing: tuple[tuple[str, str, str], ...]
    judged: bool
    edited: str = ""


def case_of(saved: Saved) -> Case:
    """The case that asks for the saved evaluation alone, on the arrays that were kept."""
    own = {field.name: getattr(saved.case, field.name) for field in fields(saved.case)}
    own["subjects"] = tuple(located(saved))
    return KeptCase(**own, kept=Kept(saved.key, saved.inputs))


def located(saved: Saved) -> list[Subject]:
    """The case's subject, looked for from here where it is there, else from where the audit ran."""
    found = []
    for subject in saved.case.subjects:
        elsewhere = Path(saved.working_directory) / subject.base_directory
        path = file_of(subject)
        here = [Path(subject.base_directory) / path, Path.cwd() / path]
        stays = any(_exists(each) for each in here) or not _exists(elsewhere / path)
        found.append(subject if stays else replace(subject, base_directory=str(elsewhere)))
    return found


def file_of(subject: Subject) -> str:
    """The file that a target names, relative to where it is looked for; that of a module without its ending."""
    module, _, _ = subject.target.rpartition(":")
    if subject.graph or not module:
        return subject.target
    return module if module.endswith(".py") else module.replace(".", "/")


def _exists(path: Path) -> bool:
    try:
        return path.exists() or path.with_suffix(".py").exists()
    except (OSError, ValueError):
        return False


def compare(saved: Saved, report: Report) -> Comparison:
    """The errors of a replay beside those that were saved."""
    found: dict[str, Finding] = {}
    for case in report.cases:
        found |= {finding.code: finding for each in failing(case) for finding in each.findings}
        # An error that is shown elsewhere than it was before is the same error.
        found |= {each.code: each for each in case.findings if each.severity == "error" and each.subject is not None}
    before = dict.fromkeys(finding.code for finding in saved.findings)
    missing = any(each.kind in ("missing", "unsupported") for case in report.cases for each in case.failures)
    return Comparison(
        again=tuple(code for code in before if code in found),
        gone=tuple(code for code in before if code not in found),
        instead=tuple(code for code in found if code not in before),
        differing=tuple(_differing(saved, report)),
        judged=not missing and bool(report.cases),
        edited=_edited(saved),
    )


def source_of(subject: Subject) -> str:
    """The SHA-256 of the file that a subject is defined in; "" where its target names none, or none that is there."""
    path = file_of(subject)
    if not (subject.graph or path.endswith(".py")):
        return ""
    for each in (Path(subject.base_directory) / path, Path.cwd() / path):
        try:
            return encoding.digest_of(each)
        except (OSError, ValueError):
            continue
    return ""


def _edited(saved: Saved) -> str:
    now = "" if saved.subject is None else source_of(located(saved)[0])
    return (
        file_of(saved.subject) if saved.subject is not None and saved.source and now not in ("", saved.source) else ""
    )


def _differing(saved: Saved, report: Report) -> list[tuple[str, str, str]]:
    worker = saved.case.worker(saved.key.backend) if saved.subject is None else saved.subject.worker
    then, now = dict(saved.versions), dict(versions_of(report.environment, worker))
    return [
        (name, then.get(name, ""), now.get(name, ""))
        for name in sorted({*then, *now})
        if then.get(name) != now.get(name)
    ]


def said(saved: Saved, comparison: Comparison) -> list[str]:
    """The comparison in lines of text."""
    lines = []
    if not comparison.judged:
        lines.append("not asked again: what is needed is missing here")
    else:
        lines += [f"{code} occurs again" for code in comparison.again]
        lines += [f"{code} does not occur again" for code in comparison.gone]
        lines += [f"{code} is found in its place" for code in comparison.instead if comparison.gone]
        lines += [f"{code} is new" for code in comparison.instead if not comparison.gone]
    if comparison.edited:
        lines.append(f"{comparison.edited} has been edited since")
    if comparison.differing:
        lines.append("other versions: " + "; ".join(_version(*each) for each in comparison.differing))
    else:
        lines.append(f"the same versions: {_listed(saved.versions)}")
    return lines


def _version(name: str, then: str, now: str) -> str:
    return f"{name} {then or 'none'} then, {now or 'none'} now"


def _listed(versions: Sequence[tuple[str, str]]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions)
