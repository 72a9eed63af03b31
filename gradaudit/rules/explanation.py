"""A rule's documentation as one page: plain text that is Markdown too."""

from __future__ import annotations

import textwrap

from gradaudit.rules.interface import Rule
from gradaudit.rules.notation import letters

WIDTH = 100
CODE_FILE = "losses.py"
"""The file that the code of an example stands in, beside its spec."""


def explain(rule: Rule) -> str:
    """The page that `gradaudit explain` prints and the docs hold; ends with a line break."""
    parts = [
        f"# {rule.code} {rule.name}",
        f"Severity: {rule.severity}. Family: {rule.family}.",
        _section("What it flags", _wrapped(rule.summary)),
        _section("Why it matters", _wrapped(rule.why)),
        _section("The mathematics", _mathematics(rule)),
        _section("What fires it", _example(rule.fires, rule.fires_code, rule.fires_note)),
    ]
    if (rule.silent, rule.silent_code) != (None, None):
        parts.append(_section("What does not", _example(rule.silent, rule.silent_code, "")))
    parts.append(_section("What to do", _wrapped(rule.advice)))
    return "\n\n".join(parts) + "\n"


def _mathematics(rule: Rule) -> str:
    told = letters(rule)
    parts = [_block(rule.formula, "text"), *([_wrapped(told)] if told else []), _wrapped(f"Source: {rule.source}")]
    return "\n\n".join(parts)


def _section(title: str, body: str) -> str:
    return f"## {title}\n\n{body}"


def _example(spec: str | None, code: str | None, note: str) -> str:
    """The spec, the `losses.py` beside it, and a note; a `losses.py` without a spec takes the place of another."""
    blocks = [] if spec is None else [_block(spec, "yaml")]
    if code is not None:
        beside = "beside it" if spec is not None else "instead"
        blocks += [f"with this {CODE_FILE} {beside}:", _block(code, "python")]
    return "\n\n".join([*blocks, _wrapped(note)] if note else blocks)


def _block(text: str, language: str) -> str:
    return f"```{language}\n{textwrap.dedent(text).strip()}\n```"


def _wrapped(text: str) -> str:
    """Paragraphs, each filled to WIDTH; they are separated by blank lines."""
    paragraphs = textwrap.dedent(text).strip().split("\n\n")
    wrapper = textwrap.TextWrapper(WIDTH, break_long_words=False, break_on_hyphens=False)
    return "\n\n".join(wrapper.fill(" ".join(part.split())) for part in paragraphs)
