"""Colour, sizes, broken pipes and progress."""

import io

import pytest

from gradaudit.cli.amounts import byte_count
from gradaudit.cli.progress import Progress
from gradaudit.cli.streams import color_system
from gradaudit.errors import FlagError
from gradaudit.pipeline import ProgressEvent


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("choice", "stream", "environ", "expected"),
    [
        ("auto", io.StringIO(), {"TERM": "xterm-256color"}, None),
        ("auto", Terminal(), {"TERM": "xterm-256color"}, "256"),
        ("auto", Terminal(), {"TERM": "xterm"}, "standard"),
        ("auto", Terminal(), {"TERM": "xterm", "COLORTERM": "truecolor"}, "truecolor"),
        ("auto", Terminal(), {"TERM": "dumb"}, None),
        ("auto", Terminal(), {"TERM": "xterm", "NO_COLOR": "1"}, None),
        ("auto", io.StringIO(), {"FORCE_COLOR": "1"}, "256"),
        ("auto", io.StringIO(), {"FORCE_COLOR": "1", "NO_COLOR": "1"}, None),
        ("always", io.StringIO(), {"NO_COLOR": "1"}, "256"),
        ("never", Terminal(), {"TERM": "xterm", "FORCE_COLOR": "1"}, None),
    ],
)
def test_the_flag_over_no_color_over_force_color(choice, stream, environ, expected):
    assert color_system(choice, stream, environ) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1024", 1024),
        ("2GB", 2 * 10**9),
        ("2gb", 2 * 10**9),
        ("512MiB", 512 * 2**20),
        ("1.5 GiB", 3 * 2**29),
        ("3k", 3000),
        ("1T", 10**12),
    ],
)
def test_sizes(text, expected):
    assert byte_count(text, "--max-memory") == expected


@pytest.mark.parametrize("text", ["", "GB", "-1", "1e9", "2GBB", "1i", "1iB", "1 2", "inf", "0.1"])
def test_what_is_no_size(text):
    with pytest.raises(FlagError, match="--max-memory"):
        byte_count(text, "--max-memory")


def lines_of(monkeypatch, *texts, width=20, term="xterm"):
    """What a terminal of so many columns is told, one entry for each time that the line is cleared."""
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", term)
    stream = io.StringIO()
    with Progress(stream, shown=True) as progress:
        for text in texts:
            progress.on(ProgressEvent(1, 2, text))
    return stream.getvalue().split("\r\x1b[2K")


def test_progress_rewrites_one_line_and_takes_it_away(monkeypatch):
    assert lines_of(monkeypatch, "a\nname", "b") == ["", "starting", "1/2 a\\nname", "1/2 b", ""]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a long name of a case", "1/2 a long name ..."),
        ("a long name: of a case: torch", "1/2 a lon...: torch"),
        ("case: torch float32 probe", "1/2 torch float3..."),
        ("小さいモデル: torch", "1/2 小さ...: torch"),
        ("e\u0301tude: numpy 12", "1/2 e\u0301tude: numpy 12"),
        ("x: y", "1/2 x: y"),
    ],
)
def test_progress_keeps_to_one_line_and_shows_what_is_under_way(monkeypatch, text, line):
    assert lines_of(monkeypatch, text)[2] == line


def test_progress_is_silent_where_a_line_cannot_be_rewritten(monkeypatch):
    assert lines_of(monkeypatch, "name", term="dumb") == [""]


def test_progress_is_silent_away_from_a_terminal():
    stream = io.StringIO()
    with Progress(stream, shown=False) as progress:
        progress.on(ProgressEvent(1, 2, "name"))
    assert stream.getvalue() == ""
