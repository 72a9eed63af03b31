"""Tables of the page: a caption, headers with their scope, and a frame that keyboards can scroll."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gradaudit.reports.evaluation_rows import Told
from gradaudit.reports.html.markup import Child, Html, join, tag

SIGNS = {"wrong": "✗ ", "doubtful": "! ", "good": "✓ ", "info": "i ", "absent": "", "": ""}
"""What is said by colour is said by a sign too."""


def table(caption: str, headers: Sequence[str], rows: Sequence[Sequence[Child]], numbers: Sequence[int] = ()) -> Html:
    """A table whose first column names its rows; the columns in `numbers` are aligned to the right."""
    kinds = ["number" if index in numbers else None for index in range(len(headers))]
    head = [tag("th", header, scope="col", class_=kind) for header, kind in zip(headers, kinds, strict=True)]
    body = [
        tag(
            "tr",
            tag("th", row[0], scope="row"),
            [tag("td", cell, class_=kind) for cell, kind in zip(row[1:], kinds[1:], strict=True)],
        )
        for row in rows
    ]
    # The caption stays in sight, and folds, where the table is wider than the screen.
    inner = tag("table", tag("caption", tag("span", caption)), tag("thead", tag("tr", head)), tag("tbody", body))
    return tag("div", inner, class_="scroll", role="region", tabindex=0, aria_label=caption)


def told(said: Told) -> Html:
    """A text in the colour of its tone, and with its sign where the tone says something."""
    text = f"{SIGNS[said.tone]}{said.text}"
    return tag("span", text, class_=said.tone) if said.tone else join(text)


def named(pairs: Iterable[tuple[str, Child]]) -> Html:
    """Names beside what they stand for."""
    entries = [entry for name, value in pairs for entry in (tag("dt", name), tag("dd", value))]
    return tag("dl", entries, class_="named")


def bulleted(items: Sequence[Child]) -> Html:
    """A list."""
    return tag("ul", [tag("li", item) for item in items])
