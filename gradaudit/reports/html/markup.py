"""Markup that is safe by the way it is built: every text that is no markup already is escaped."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from gradaudit.reports.terminal import terminal_safe

VOID = frozenset({"br", "col", "link", "meta", "rect", "line", "polyline", "circle"})
"""Elements that never have a child; those of SVG are closed by a slash, which HTML passes over."""


class Html(str):
    """Text that is markup already."""

    __slots__ = ()


Child = Html | str | Iterable["Html | str"]


def tag(name: str, /, *children: Child, **attributes: str | int | float | None) -> Html:
    """An element. `class_` is the attribute `class`, `aria_label` is `aria-label`; None leaves an attribute out."""
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(terminal_safe(str(value)), quote=True)}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in VOID:
        return Html(f"<{name}{given}/>")
    return Html(f"<{name}{given}>{join(*children)}</{name}>")


def join(*children: Child) -> Html:
    """Children one after the other, texts escaped: no text of others can end an element or begin one."""
    return Html("".join(_written(child) for child in children))


def _written(child: Child) -> str:
    if isinstance(child, Html):
        return str(child)
    if isinstance(child, str):
        return escape(terminal_safe(child), quote=False)
    return join(*child)
