"""YAML text to a tree with places. A safe reader of our own: YAML 1.2 scalars, no aliases, no tags, bounded.

What YAML offers and a spec has no use for is refused before any value is built: anchors and aliases (a few
lines of them expand to gigabytes), tags, several documents, duplicate keys (the first would be lost silently),
more than sources.MAX_BYTES bytes, MAX_NODES values or MAX_DEPTH levels.
"""

from __future__ import annotations

import math
import re
from typing import Any

import yaml

from gradaudit.errors import SpecError
from gradaudit.records.location import Location
from gradaudit.specs.nodes import Node, Scalar
from gradaudit.specs.sources import MAX_BYTES
from gradaudit.specs.wording import escaped, shortened

MAX_NODES = 100_000
"""Scalars, lists and mappings of one spec."""
MAX_DEPTH = 32
"""Levels of nesting; the root is level 1."""
MAX_DIGITS = 400
"""Characters of one number: float64 needs no more, and a longer integer takes quadratic time to read."""

_TAG = "tag:yaml.org,2002:"
# Tabs and line feeds are the scanner's business. U+0085, U+2028 and U+2029 break lines in YAML 1.1 and in no editor,
# so that positions after them would be wrong.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LINE_BREAK = re.compile("\r\n|\r|\n")


class _Refused(Exception):  # noqa: N818 - a signal inside this module
    """Something that is YAML, and not for a spec."""

    def __init__(self, message: str, mark: yaml.Mark) -> None:
        super().__init__(message)
        self.message = message
        self.mark = mark


class SpecLoader(yaml.SafeLoader):
    """PyYAML's own parser (never the C one, which crashes on deep nesting), with limits checked while composing."""

    # YAML 1.2 core schema (yaml.org/spec/1.2.2, section 10.3.2) instead of YAML 1.1.
    yaml_implicit_resolvers = {}  # noqa: RUF012 - PyYAML's own way of declaring it

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self.depth = 0
        self.nodes = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Compose one node, after everything that can be refused at its first event was."""
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        if self.check_event(yaml.AliasEvent):
            raise _Refused(
                f"aliases (*{shortened(event.anchor)}) are not read; write the value out", event.start_mark
            )
        if event.anchor is not None:
            raise _Refused(
                f"anchors (&{shortened(event.anchor)}) are not read; what cases share goes into defaults:",
                event.start_mark,
            )
        if event.tag is not None:
            raise _Refused(f"tags ({shortened(event.tag)}) are not read; write the plain value", event.start_mark)
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise _Refused(
                f"more than {MAX_NODES:,} values in one spec; put large arrays into an .npy file and write "
                "{file: NAME.npy}",
                event.start_mark,
            )
        if self.depth >= MAX_DEPTH:
            raise _Refused(f"nested more than {MAX_DEPTH} levels deep; no spec needs that", event.start_mark)
        self.depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1


for _tag, _pattern, _first in (
    ("null", r"(?:~|null|Null|NULL|)\Z", ["~", "n", "N", ""]),
    ("bool", r"(?:true|True|TRUE|false|False|FALSE)\Z", list("tTfF")),
    ("int", r"(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)\Z", list("-+0123456789")),
    (
        "float",
        r"(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z",
        list("-+.0123456789"),
    ),
):
    SpecLoader.add_implicit_resolver(_TAG + _tag, re.compile(_pattern), _first)


def read(source: str | bytes, path: str) -> Node:
    """The tree of one YAML document.

    `path` is the name under which messages know the text. Raises SpecError, with line and column, for anything
    that is not one well-formed, bounded document.
    """
    text = _decoded(source, path)
    loader: SpecLoader | None = None
    try:
        loader = SpecLoader(text)
        root = loader.get_single_node()
    except _Refused as refused:
        raise SpecError(refused.message, _place(path, refused.mark)) from None
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(error, path, text) from None
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        # An escape such as "\Uffffffff" or a directive with a huge version makes PyYAML itself fail.
        mark = loader.get_mark() if loader is not None else None
        raise SpecError(
            f"not valid YAML: an escape or a directive is out of range ({shortened(str(error))})", _place(path, mark)
        ) from None
    if root is None:
        raise SpecError("the spec is empty; it begins with version: 1", Location(path, 1, 1))
    return _located(root, path)


def _decoded(source: str | bytes, path: str) -> str:
    size = len(source)
    if size > MAX_BYTES:
        raise SpecError(
            f"the spec is larger than {MAX_BYTES:,} bytes; put large arrays into an .npy file and write "
            "{file: NAME.npy}",
            Location(path, 1, 1),
        )
    if isinstance(source, bytes):
        try:
            text = source.decode("utf-8")
        except UnicodeDecodeError as error:
            before = source[: error.start].decode("utf-8")
            raise SpecError(
                f"byte 0x{source[error.start]:02x} is not UTF-8; save the file as UTF-8 text",
                _place_at_end(before, path),
            ) from None
    else:
        text = source
    text = text.removeprefix("\ufeff")
    found = _FORBIDDEN.search(text)
    if found is not None:
        raise SpecError(
            f"the character U+{ord(found.group()):04X} may not stand in a spec; remove it, or write it as an escape "
            "in double quotes",
            _place_at_end(text[: found.start()], path),
        )
    return text


def _place_at_end(before: str, path: str) -> Location:
    lines = _LINE_BREAK.split(before.removeprefix("\ufeff"))
    return Location(path, len(lines), len(lines[-1]) + 1)


def _place(path: str, mark: yaml.Mark | None) -> Location:
    return Location(path, 1, 1) if mark is None else Location(path, mark.line + 1, mark.column + 1)


def _syntax_error(error: yaml.MarkedYAMLError, path: str, text: str) -> SpecError:
    mark = error.problem_mark or error.context_mark
    place = _place(path, mark)
    problem = error.problem or error.context or "cannot be read"
    if problem.startswith("but found another document"):
        return SpecError("a second document begins here; one file is one spec, its list is cases:", place)
    if mark is not None and text[mark.index : mark.index + 1] == "\t":
        return SpecError("a tab stands here; YAML separates and indents with spaces", place)
    context = f" ({_one_line(error.context)})" if error.context and error.problem else ""
    return SpecError(f"not valid YAML: {_one_line(problem)}{context}{_HINTS.get(problem, '')}", place)


_HINTS = {
    "mapping values are not allowed here": "; a text with ': ' in it needs quotes, and a key its own line",
    "could not find expected ':'": "; a key is followed by ': '",
}


def _one_line(text: str) -> str:
    """PyYAML's words, which may quote the input, as one harmless line."""
    return escaped(" ".join(text.split()))


def _located(node: yaml.Node, path: str) -> Node:
    """Our tree from PyYAML's; the depth is bounded by MAX_DEPTH."""
    place = _place(path, node.start_mark)
    if isinstance(node, yaml.SequenceNode):
        return Node([_located(child, path) for child in node.value], place)
    if isinstance(node, yaml.MappingNode):
        entries: dict[str, Node] = {}
        for key_node, value_node in node.value:
            key = _key(key_node, path)
            key_place = _place(path, key_node.start_mark)
            if key in entries:
                raise SpecError(
                    f"the key '{shortened(key)}' stands twice; the first is on line {_line(entries[key])}",
                    key_place,
                )
            entries[key] = _located(value_node, path)
            entries[key].key_location = key_place
        return Node(entries, place)
    return Node(_scalar(node, place), place)


def _line(node: Node) -> int | None:
    return (node.key_location or node.location).line


def _key(node: yaml.Node, path: str) -> str:
    if not isinstance(node, yaml.ScalarNode):
        raise SpecError("a key is a word here, not a list or a mapping", _place(path, node.start_mark))
    return _checked(str(node.value), _place(path, node.start_mark))


def _scalar(node: yaml.Node, place: Location) -> Scalar:
    text = str(node.value)
    kind = node.tag.removeprefix(_TAG)
    if kind == "null":
        return None
    if kind == "bool":
        return text.lower() == "true"
    if kind in ("int", "float") and len(text) > MAX_DIGITS:
        raise SpecError(f"a number of {len(text)} characters; {MAX_DIGITS} are enough", place)
    if kind == "int":
        prefixes = {"0x": 16, "0o": 8}
        base = prefixes.get(text[:2], 10)
        return int(text[2:], base) if base != 10 else int(text)
    if kind == "float":
        if text.lower().endswith(("inf", "nan")):
            return float(text.lower().replace(".", ""))
        value = float(text)
        if math.isinf(value):
            raise SpecError(f"{shortened(text)} lies beyond float64; infinity is written .inf", place)
        return value
    return _checked(text, place)


def _checked(text: str, place: Location) -> str:
    # Escapes in double quotes can spell halves of surrogate pairs, which no output can encode.
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise SpecError(f"'{shortened(text)}' holds half of a surrogate pair; no text can hold that", place)
    return text
