from dataclasses import replace

import pytest

from gradaudit.rules import registry

SOUND = registry.get("CAN101")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"code": "CAN1"}, "rule code 'CAN1': expected three capital letters and three digits"),
        ({"code": "can101"}, "rule code 'can101'"),
        ({"name": "Summed outputs"}, "rule CAN101: name 'Summed outputs': expected kebab-case"),
        ({"name": "-cancel"}, "expected kebab-case"),
        ({"severity": "fatal"}, "severity 'fatal': expected one of info, warning, error"),
        ({"summary": " "}, "rule CAN101: its summary is empty"),
        ({"formula": ""}, "its formula is empty"),
        ({"fires": None, "fires_note": "So.", "fires_code": "x = 1"}, "stands beside a spec, and there is none"),
        ({"fires": None}, "neither an example that fires it nor a fires_note"),
    ],
    ids=str,
)
def test_a_malformed_rule_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(SOUND, **changes)


def test_a_note_may_stand_for_the_example() -> None:
    assert replace(SOUND, fires=None, fires_note="A dead worker does.").fires is None


def test_the_summary_that_travels_in_reports() -> None:
    summary = SOUND.summarised
    assert (summary.code, summary.name, summary.severity) == ("CAN101", "summed-outputs-cancel", "warning")
    assert (summary.summary, summary.advice) == (SOUND.summary, SOUND.advice)
