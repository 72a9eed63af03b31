import pytest

from gradaudit.rules.wording import LONGEST_QUOTE, in_full, label, number, one_line, place, setting, share
from tests.rules.records import element, key, quantity


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (1234567, "1234567"),
        (0.113182, "0.1132"),
        (-1e-44, "-1e-44"),
        (float("nan"), "NaN"),
        (2.0**-24, "5.96e-8"),
    ],
)
def test_number(value: float, text: str) -> None:
    assert number(value) == text


def test_share() -> None:
    assert share(1, 1, "row") == "the only row"
    assert share(3, 3, "row") == "all 3 rows"
    assert share(0, 1, "row") == "0 of 1 row"
    assert share(2, 131072, "row") == "2 of 131,072 rows"


def test_setting_shows_only_what_is_not_plain() -> None:
    assert setting("float32", 1.0) == "float32"
    assert setting("float32", 0.01) == "float32 at scale 0.01"
    assert setting("float16", 10.0, "offsets") == "float16 at scale 10, probe offsets"


@pytest.mark.parametrize(
    ("where", "text"),
    [
        ({}, "numpy fused float32"),
        ({"subject": "losses.py:Smoothed", "backend": "torch"}, "losses.py:Smoothed (torch) fused float32"),
        ({"subject": "torch unfused", "backend": "torch", "formulation": "unfused"}, "torch unfused float32"),
        ({"subject": "a\x1b[1m\nb", "formulation": ""}, "a [1m b (numpy) float32"),
    ],
    ids=["backend", "subject", "both in the subject's name", "foreign"],
)
def test_label(where: dict[str, object], text: str) -> None:
    assert label(key(**where)) == text


def test_place() -> None:
    assert place(quantity("gradient"), element(0, 0, 0, (0, 12))) == "gradient[0, 12]"
    assert place(quantity("output"), element(0, 0, 0, ())) == "output"


def test_one_line_strips_what_a_terminal_would_obey() -> None:
    assert one_line("a\r\n\tb\x1b]0;title\x07 c\u202e") == "a b ]0;title c"


def test_text_of_our_own_is_told_in_full() -> None:
    assert in_full("a\nb\x1b " + "x" * LONGEST_QUOTE) == "a b " + "x" * LONGEST_QUOTE


def test_one_line_shortens() -> None:
    assert one_line("x" * LONGEST_QUOTE) == "x" * LONGEST_QUOTE
    assert one_line("x" * (LONGEST_QUOTE + 1)) == "x" * (LONGEST_QUOTE - 1) + "…"
