"""The table of semantics: what frameworks answer where the mathematics leaves something open, or they differ."""

from __future__ import annotations

import dataclasses
import json
import textwrap
from collections.abc import Sequence

from gradaudit.records.evaluation import BackendState
from gradaudit.records.semantics import Answer, AnsweredQuestion, SemanticTable
from gradaudit.reports.terminal import terminal_safe

INDENT = 2
HEADING = """# What frameworks answer

Where the mathematics leaves an answer open, or where conventions differ: the frameworks' own losses, called as their
users call them, on float32 logits and under an upstream gradient of ones. Each answer is the loss (MXNet's
SoftmaxOutput returns probabilities) and the gradient of the logits. `gradaudit check --semantics` asks again;
`--output-format markdown` made this page."""


def text(table: SemanticTable, width: int) -> str:
    """Each question with the answers below it; calls that answer alike share a paragraph."""
    lines = [*_folded(f"asked: {_versions(table.backends)}", width, 0), ""]
    for question in table.questions:
        lines += _folded(question.name, width, 0)
        lines += _folded(f"{question.inputs}; {question.mathematics}", width, 1)
        for said, calls in _alike(question).items():
            lines += _folded(said, width, 2)
            lines += _folded(", ".join(calls), width, 3)
        lines.append("")
    return "\n".join(lines[:-1]) + "\n"


def markdown(table: SemanticTable) -> str:
    """The same as a document: one table for each question."""
    parts = [HEADING, f"Asked: {_versions(table.backends)}."]
    for question in table.questions:
        rows = [f"| {_cell(', '.join(calls))} | {_cell(said)} |" for said, calls in _alike(question).items()]
        body = "\n".join(["| call | answer |", "| --- | --- |", *rows])
        sentence = f"{question.inputs[:1].upper()}{question.inputs[1:]}; {question.mathematics}."
        parts.append(f"## {question.name[:1].upper()}{question.name[1:]}\n\n{sentence}\n\n{body}")
    return "\n\n".join(parts) + "\n"


def document(table: SemanticTable) -> str:
    """The same as JSON."""
    return json.dumps(dataclasses.asdict(table), indent=2, sort_keys=True) + "\n"


def _alike(question: AnsweredQuestion) -> dict[str, list[str]]:
    """Answer -> the calls that gave it, in the order of the questions; those that could not be asked come last."""
    found: dict[str, list[str]] = {}
    for each in sorted(question.answers, key=lambda given: bool(given.missing)):
        found.setdefault(_said(each), []).append(each.call)
    return found


def _said(answer: Answer) -> str:
    if answer.missing:
        return f"not asked: {answer.missing}"
    if answer.refused:
        return f"refuses: {answer.refused}"
    return f"{answer.loss}; gradient {answer.gradient}"


def _versions(states: Sequence[BackendState]) -> str:
    return ", ".join(f"{each.name} {each.version or 'missing'}" for each in states)


def _folded(line: str, width: int, level: int) -> list[str]:
    margin = " " * (INDENT * level)
    return textwrap.wrap(
        terminal_safe(line), max(width, 20), initial_indent=margin, subsequent_indent=margin, break_on_hyphens=False
    )


def _cell(words: str) -> str:
    return terminal_safe(words).replace("|", "\\|")
