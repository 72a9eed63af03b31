"""What others wrote does no harm to a terminal or a CI log."""

import re

import pytest

from gradaudit.reports import concise
from gradaudit.reports.console import full
from gradaudit.reports.terminal import terminal_safe, without_commands
from tests.reports import sample_report


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("plain, Grüße, 損失", "plain, Grüße, 損失"),
        ("case[k=32] [/foo] :smile:", "case[k=32] [/foo] :smile:"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("two\nlines\r\tand\x00", "two\\nlines\\r\\tand\\x00"),
        ("\x9b2J", "\\x9b2J"),
        ("a\u202eb\u2066c\u200bd", "a\\u202eb\\u2066c\\u200bd"),
        ("\udc80", "\\udc80"),
        ("line\u2028break", "line\\u2028break"),
        ("##[add-path]x ##vso[task] ##teamcity[a] ## head", "#\\#[add-path]x #\\#vso[task] #\\#teamcity[a] ## head"),
    ],
)
def test_terminal_safe(text, safe):
    assert terminal_safe(text) == safe


def test_commands_that_open_a_line_are_broken_and_others_left():
    text = "::error::a\n  ::add-mask::b\nmod.py::test\n"
    assert without_commands(text) == "\\::error::a\n  \\::add-mask::b\nmod.py::test\n"


def renderings(report):
    for width in (20, 40, 79, 80, 81, 120, 500):
        yield full.render(report, width=width, verbose=True)
    yield concise.render(report)


def test_no_control_character_and_no_command_reaches_the_output(report):
    for text in renderings(report):
        assert not [character for line in text.split("\n") for character in line if not character.isprintable()]
        assert not re.search(r"^\s*::", text, re.MULTILINE)
        assert "##[" not in text


def test_colours_are_the_only_escape_sequences(report):
    text = full.render(report, width=100, color_system="truecolor")
    assert "\x1b[" in text
    uncoloured = [line.rstrip() for line in re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines()]
    assert uncoloured == full.render(report, width=100).splitlines()


def test_markup_is_text(report):
    text = full.render(report, width=200)
    assert "[/foo] wrong.yaml" in text
    assert sample_report.HOSTILE.startswith("\x1b")
    assert "\\x1b[31mred\\x1b[0m[/foo]" in text
