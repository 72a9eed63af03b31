"""What the code cites of docs/numerics.md stands there: sections by number, headings and rows by name."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import gradaudit

PACKAGE = Path(gradaudit.__file__).parent
PAGE = PACKAGE.parent / "docs" / "numerics.md"
CITED = "docs/numerics.md"

SECTIONS = re.compile(r"\bsections? ((?:[0-9]+[a-z]?(?: \([^)]*\))?(?:, | and )?)+)")
SECTION = re.compile(r"([0-9]+[a-z]?)(?: \(([^)]*)\))?")
QUOTED = re.compile(r'"([^"]+)"')
ROW = re.compile(r"\brow ([A-Z])\b")


@dataclass
class Page:
    """Slugs of headings and anchors, by the number of their section; those of all sections under ""."""

    slugs: dict[str, set[str]] = field(default_factory=lambda: {"": set()})

    def holds(self, section: str, name: str) -> bool:
        """Whether the section (any, for "") has a heading or an anchor of that name."""
        return slug(name) in self.slugs.get(section, set())


def slug(name: str) -> str:
    """A heading as an anchor: lower case, words joined by hyphens."""
    return re.sub(r"[^\w\- ]", "", name.strip().lower()).replace(" ", "-")


def read_page(text: str) -> Page:
    page, section = Page(), ""
    for line in text.splitlines():
        heading = re.match(r"#+ (.*)", line)
        anchor = re.match(r'<a id="([^"]+)">', line)
        names = [anchor.group(1)] if anchor else []
        if heading:
            numbered = re.match(r"([0-9]+[a-z]?)\. (.*)", heading.group(1))
            if numbered:
                section = numbered.group(1)
            names = [slug(numbered.group(2) if numbered else heading.group(1))]
            # "Log-softmax: row S" is found as "row S" too.
            names += [slug(part) for part in heading.group(1).split(": ")[1:]]
        for name in names:
            page.slugs.setdefault(section, set()).add(name)
            page.slugs[""].add(name)
    return page


def citations(path: Path) -> Iterator[tuple[int, str]]:
    """What follows the page's name in strings and comments, up to the end of the sentence or parenthesis."""
    text = path.read_text("utf-8")
    pieces = [
        (node.lineno, node.value)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    pieces += [(token.start[0], token.string) for token in tokens if token.type == tokenize.COMMENT]
    for line, piece in pieces:
        words = " ".join(piece.split())
        for found in re.finditer(re.escape(CITED), words):
            before = words[: found.start()].rpartition(". ")[2]
            # 'row "unshifted" of docs/numerics.md' names its row first.
            named = before[-40:] if before.endswith(" of ") else ""
            yield line, named + _sentence(words[found.end() :])


def _sentence(rest: str) -> str:
    depth = 0
    for position, character in enumerate(rest):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if depth < 0 or (character == "." and rest[position + 1 : position + 2] in ("", " ")):
            return rest[:position]
    return rest


def references(citation: str) -> list[tuple[str, str]]:
    """(section, name) of everything that a citation names; a bare section has its number for a name."""
    found: list[tuple[str, str]] = []
    for listed in SECTIONS.findall(citation):
        for number, topics in SECTION.findall(listed):
            found += [(number, topic) for topic in topics.split(", ")] if topics else [(number, number)]
    rest = SECTIONS.sub("", citation)
    found += [("", name) for name in QUOTED.findall(rest)]
    found += [("", f"row {name}") for name in ROW.findall(rest)]
    if "policy for special values" in rest:
        found.append(("", "policy for special values"))
    return found


def missing(page: Page, name_of_file: str, found: list[tuple[int, str]]) -> list[str]:
    """Citations of a file that lead nowhere."""
    wrong = []
    for line, citation in found:
        for section, name in references(citation):
            known = section in page.slugs if section == name else page.holds(section, name)
            if not known:
                wrong.append(f"{name_of_file}:{line}: {name!r} is not in section {section or 'any'} of {CITED}")
    return wrong


@pytest.fixture(scope="module")
def cited() -> dict[Path, list[tuple[int, str]]]:
    """The citations of every module of the package."""
    return {path: list(citations(path)) for path in sorted(PACKAGE.rglob("*.py"))}


def test_every_citation_leads_somewhere(cited: dict[Path, list[tuple[int, str]]]) -> None:
    page = read_page(PAGE.read_text("utf-8"))
    wrong = [text for path, found in cited.items() for text in missing(page, path.name, found)]
    assert not wrong, "\n".join(wrong)


def test_the_citations_are_found_at_all(cited: dict[Path, list[tuple[int, str]]]) -> None:
    found = [reference for each in cited.values() for _, citation in each for reference in references(citation)]
    assert len(found) >= 30
    assert {
        ("0", "phi"),
        ("0", "undecided"),
        ("2", "softmax VJP and its row sum"),
        ("8b", "8b"),
        ("8c", "their rows"),
        ("", "Running bounds"),
        ("", "row S"),
        ("", "unshifted"),
        ("", "policy for special values"),
    } <= set(found)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('"""docs/numerics.md, section 2 (no such topic)."""', ["'no such topic' is not in section 2"]),
        ('source = "docs/numerics.md, sections 2 (bounds), 77 and 8c (their rows)"', ["'77' is not in section 77"]),
        ('"""Bounds (docs/numerics.md, "Rowing bounds") and "other words"."""', ["'Rowing bounds'"]),
        ("x = 1  # row Q of docs/numerics.md", ["'row Q'"]),
        ('"""docs/numerics.md, section 6 (phi)."""', ["'phi' is not in section 6"]),
        ('"""docs/numerics.md, "Notation". And section 99 of another book."""', []),
    ],
)
def test_a_citation_that_leads_nowhere_is_named(tmp_path: Path, line: str, expected: list[str]) -> None:
    path = tmp_path / "module.py"
    path.write_text(line + "\n", "utf-8")
    found = missing(read_page(PAGE.read_text("utf-8")), path.name, list(citations(path)))
    assert len(found) == len(expected)
    for text, part in zip(found, expected, strict=True):
        assert part in text
        assert text.startswith("module.py:1: ")
