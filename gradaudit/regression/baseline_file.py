"""A baseline as a small text file that people review and merge.

One line for each finding, each evaluation and each version of what computed, `kind name=value ...`, sorted. The name
of a thing comes first and lasts, what may change about it comes last. Values with spaces or other than plain
characters are JSON strings; `#` begins a comment line. No line number, time or path of a spec stands in it.
"""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gradaudit.records.evaluation import EAGER, EXECUTIONS
from gradaudit.records.finding import SEVERITIES
from gradaudit.regression import levels
from gradaudit.regression.baseline import Baseline, Held
from gradaudit.regression.standing import OWN, PROBES, QUANTITIES, VERDICTS, EvaluationName, FindingName

VERSION = 1
HEADER = f"# gradaudit baseline, version {VERSION}"
ABOUT = """\
# What an audit found, for `gradaudit baseline check` and `gradaudit check --baseline` to hold later ones against.
# Written by `gradaudit baseline update`. The lines are sorted, and each stands for itself in reviews and merges.
# loss, gradient, jacobian: the largest error / tolerance, rounded up to a power of two or 1.5 times one;
# "faithful": every element is within 1 ulp of the exact value. row: the tolerance that explains them, if one does.
# apart, of `function: self`: how far the gradient is from that in float64; row: what its own values say of it.
"""

CONFLICT = re.compile(r"(<<<<<<<|\|\|\|\|\|\|\||=======|>>>>>>>)( |\r?$)")
OTHER_VERSION = re.compile(r"# gradaudit baseline, version (\d{1,9})")
PLAIN = re.compile(r"[A-Za-z0-9_.,:;@/+()-]+")
FIELD = re.compile(r' ([a-z]+)=("(?:[^"\\]|\\.)*"|[^\s"]+)')

FIELDS = (
    *("case", "code", "subject", "backend", "formulation", "dtype", "scale", "number", "execution", "inputs"),
    *(*QUANTITIES, "row", "severity", "of", "is"),
)
"""What lines may say."""

NO_ROW = "none"

Name = FindingName | EvaluationName | str
"""What a line is about; a text is the name of something that has a version."""


class BaselineSyntaxError(ValueError):
    """What is wrong with the text of a baseline; `line` counts from 1."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


def text(baseline: Baseline) -> str:
    """The file."""
    return "".join(f"{line}\n" for line in (HEADER, *ABOUT.splitlines(), *sorted(_lines(baseline))))


def read(given: str) -> Baseline:
    """The baseline that `text` wrote or people edited; BaselineSyntaxError says what is wrong, and on which line."""
    lines = given.removeprefix("\ufeff").split("\n")
    for number, line in enumerate(lines, start=1):
        if CONFLICT.match(line):
            raise BaselineSyntaxError(
                number,
                "an unresolved merge conflict: keep the lines of both sides, each thing once; or take one side (git "
                "checkout --ours FILE) and update it",
            )
    _check_header(lines[0].rstrip())
    entries: dict[Name, object] = {}
    places: dict[Name, int] = {}
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            name, value = _entry(line.rstrip())
        except ValueError as error:
            raise BaselineSyntaxError(number, str(error)) from None
        if name in entries:
            raise BaselineSyntaxError(
                number, f"this stands on line {places[name]} already: keep one of the two lines"
            )
        entries[name], places[name] = value, number
    return Baseline(
        {name: str(value) for name, value in entries.items() if isinstance(name, FindingName)},
        {
            name: value
            for name, value in entries.items()
            if isinstance(name, EvaluationName)
            if isinstance(value, Held)
        },
        {name: str(value) for name, value in entries.items() if isinstance(name, str)},
    )


def _check_header(line: str) -> None:
    other = OTHER_VERSION.fullmatch(line)
    if other and int(other[1]) != VERSION:
        raise BaselineSyntaxError(
            1,
            f"a baseline of version {other[1]}, and this gradaudit reads version {VERSION}: use the gradaudit that "
            "wrote it, or write it anew",
        )
    if not other:
        raise BaselineSyntaxError(1, f"no baseline of gradaudit: expected {HEADER!r}, not {line[:60]!r}")


def _lines(baseline: Baseline) -> Iterator[str]:
    for finding, severity in baseline.findings.items():
        yield _line("finding", _of_finding(finding), {"severity": severity})
    for evaluation, held in baseline.evaluations.items():
        errors = {name: levels.text(held.levels[name]) for name in QUANTITIES if name in held.levels}
        yield _line("evaluation", _of_evaluation(evaluation), {**errors, "row": held.row or NO_ROW})
    for name, version in baseline.versions.items():
        yield _line("version", {"of": name}, {"is": version})


def _line(kind: str, name: Mapping[str, str], value: Mapping[str, str]) -> str:
    return " ".join([kind, *(f"{key}={_spelled(word)}" for key, word in (*name.items(), *value.items()))])


def _spelled(word: str) -> str:
    """A plain word as it is, any other text as a JSON string without control or invisible characters."""
    if PLAIN.fullmatch(word):
        return word
    quoted = json.dumps(word, ensure_ascii=False)
    return "".join(each if each.isprintable() else json.dumps(each)[1:-1] for each in quoted)


def _of_finding(name: FindingName) -> dict[str, str]:
    fields = {"case": name.case, "code": name.code}
    optional = {
        "subject": name.subject,
        "backend": name.backend,
        "formulation": name.formulation,
        "dtype": name.dtype,
        "scale": "" if name.scale is None else repr(name.scale),
        "number": "" if name.number == 1 else str(name.number),
    }
    return fields | {key: word for key, word in optional.items() if word}


def _of_evaluation(name: EvaluationName) -> dict[str, str]:
    fields = {"case": name.case, "subject": name.subject, "backend": name.backend, "formulation": name.formulation}
    fields["dtype"] = name.dtype
    if name.scale != 1.0:
        fields["scale"] = repr(name.scale)
    if name.execution != EAGER:
        fields["execution"] = name.execution
    if name.inputs != OWN:
        fields["inputs"] = name.inputs
    return fields


@dataclass(slots=True)
class _Fields:
    """The fields of a line that are not read yet."""

    left: dict[str, str]

    def take(self, key: str) -> str:
        if key not in self.left:
            raise ValueError(f"{key}= is missing")
        return self.left.pop(key)

    def one_of(self, key: str, words: tuple[str, ...], default: str | None = None) -> str:
        word = self.left.pop(key, default) if default is not None else self.take(key)
        if word not in words:
            raise ValueError(f"{key}={word!r:.60}: expected {', '.join(words)}")
        return word

    def scale(self, default: float | None) -> float | None:
        if "scale" not in self.left:
            return default
        word = self.take("scale")
        try:
            value = float(word)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise ValueError(f"scale={word!r:.60}: expected a finite number")
        return value

    def ordinal(self, key: str) -> int:
        word = self.left.pop(key, "1")
        if not re.fullmatch(r"[1-9][0-9]{0,8}", word):
            raise ValueError(f"{key}={word!r:.60}: expected a whole number from 1")
        return int(word)


def _entry(line: str) -> tuple[Name, object]:
    """What a line is about and what it says of it."""
    kind, _, rest = line.partition(" ")
    readers = {"finding": _finding, "evaluation": _evaluation, "version": _version}
    if kind not in readers:
        raise ValueError(f"unknown kind of line {kind!r:.60}: expected {', '.join(readers)}, or # before a comment")
    fields = _Fields(_split(f" {rest}" if rest else ""))
    unknown = next((key for key in fields.left if key not in FIELDS), None)
    if unknown is not None:
        near = difflib.get_close_matches(unknown, FIELDS, 1)
        raise ValueError(f"unknown field {unknown[:60]!r} of {kind}{f'; did you mean {near[0]!r}?' if near else ''}")
    entry = readers[kind](fields)
    if fields.left:
        raise ValueError(f"unknown field {next(iter(fields.left))!r} of {kind}")
    return entry


def _split(rest: str) -> dict[str, str]:
    found: dict[str, str] = {}
    position = 0
    while position < len(rest):
        match = FIELD.match(rest, position)
        if match is None:
            raise ValueError(f'expected name=value or name="a text" at {rest[position:].strip()[:60]!r}')
        key, word = match.groups()
        if key in found:
            raise ValueError(f"{key}= stands twice")
        try:
            found[key] = json.loads(word) if word.startswith('"') else word
        except json.JSONDecodeError:
            raise ValueError(f"{key}={word!r:.60} is no JSON string") from None
        position = match.end()
    return found


def _version(fields: _Fields) -> tuple[Name, object]:
    return fields.take("of"), fields.take("is")


def _finding(fields: _Fields) -> tuple[Name, object]:
    scale, number = fields.scale(None), fields.ordinal("number")
    optional = {key: fields.left.pop(key, "") for key in ("subject", "backend", "formulation", "dtype")}
    name = FindingName(fields.take("case"), fields.take("code"), **optional, scale=scale, number=number)
    return name, fields.one_of("severity", SEVERITIES)


def _evaluation(fields: _Fields) -> tuple[Name, object]:
    scale = fields.scale(1.0)
    name = EvaluationName(
        fields.take("case"),
        fields.take("subject"),
        fields.take("backend"),
        fields.take("formulation"),
        fields.take("dtype"),
        1.0 if scale is None else scale,
        fields.one_of("execution", EXECUTIONS, EAGER),
        fields.one_of("inputs", (OWN, PROBES), OWN),
    )
    held = {key: _level(key, fields.take(key)) for key in QUANTITIES if key in fields.left}
    row = fields.take("row")
    if not held and row not in VERDICTS.values():
        raise ValueError(f"no error is given: expected {'=, '.join(QUANTITIES)}= or several of them")
    return name, Held(held, "" if row == NO_ROW else row)


def _level(key: str, word: str) -> float:
    try:
        return levels.read(word)
    except ValueError as error:
        raise ValueError(f"{key}={word:.60}: {error}") from None
