"""A rule's documentation as one page: plain text that is Markdown too."""

from __future__ import annotations

import textwrap

from gradaudit.rules.interface import Rule

WIDTH = 100


def explain(rule: Rule) -> str:
    """The page that `gradaudit explain` prints and the docs hold; ends with a line break."""
    parts = [
        f"# {rule.code} {rule.name}",
        f"Severity: {rule.severity}. Family: {rule.family}.",
        _section("What it flags", _wrapped(rule.summary)),
        _section("Why it matters", _wrapped(rule.why)),
        _section("The mathematics", f"{_block(rule.formula, 'text')}\n\n{_wrapped(f'Source: {rule.source}')}"),
        _section("What fires it", _example(rule.fires, rule.fires_note)),
    ]
    if rule.silent is not None:
        parts.append(_section("What does not", _block(rule.silent, "yaml")))
    parts.append(_section("What to do", _wrapped(rule.advice)))
    return "\n\n".join(parts) + "\n"


def _section(title: str, body: str) -> str:
    return f"## {title}\n\n{body}"


def _example(spec: str | None, note: str) -> str:
    blocks = [] if spec is None else [_block(spec, "yaml")]
    return "\n\n".join([*blocks, _wrapped(note)] if note else blocks)


def _block(text: str, language: str) -> str:
    return f"```{language}\n{textwrap.dedent(text).strip()}\n```"


def _wrapped(text: str) -> str:
    """Paragraphs, each filled to WIDTH; they are separated by blank lines."""
    paragraphs = textwrap.dedent(text).strip().split("\n\n")
    wrapper = textwrap.TextWrapper(WIDTH, break_long_words=False, break_on_hyphens=False)
    return "\n\n".join(wrapper.fill(" ".join(part.split())) for part in paragraphs)
