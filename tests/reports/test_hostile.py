"""Hostile names in every place and every format: nothing is obeyed, nothing breaks, nothing is computed."""

import json

import jsonschema
import pytest

from gradaudit import plugins
from gradaudit.reports import json_document
from gradaudit.reports.read_document import report_of
from tests.reports import hostile, judges
from tests.reports.judges import JUDGES


def test_every_format_has_a_judge():
    assert set(JUDGES) == set(plugins.names("gradaudit.reports")) - {"full", "concise", "json"}


@pytest.fixture(scope="module")
def document(full_report):
    return json.loads(json_document.render(full_report))


@pytest.mark.parametrize("payload", hostile.PAYLOADS)
@pytest.mark.parametrize("name", sorted(JUDGES))
def test_hostile_names_do_no_harm(document, name, payload):
    report = report_of(hostile.attacked(document, hostile.PAYLOADS[payload]))
    judged = JUDGES[name](plugins.get("gradaudit.reports", name)(report))
    if name == "sarif":
        jsonschema.Draft4Validator(judges.sarif_schema()).validate(judged)


@pytest.mark.parametrize(
    ("name", "payload"),
    # Tables of names of 10,000 characters are folded for seconds; concise does not fold.
    [(n, p) for n in ("full", "concise") for p in hostile.PAYLOADS if n == "concise" or not p.startswith("long")],
)
def test_hostile_names_do_no_harm_on_a_terminal(document, name, payload):
    report = report_of(hostile.attacked(document, hostile.PAYLOADS[payload]))
    text = plugins.get("gradaudit.reports", name)(report)
    assert judges.github(text) == []


def test_attacks_reach_every_format(document):
    """Else the tests above would guard nothing."""
    report = report_of(hostile.attacked(document, "ATTACK"))
    for name in (*JUDGES, "full", "concise"):
        assert plugins.get("gradaudit.reports", name)(report).count("ATTACK") > 10


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("github", "::set-output name=x::y\n"),
        ("github", "  ::error::x\n"),
        ("github", "a ##[add-path]/tmp\n"),
        ("markdown", "<b>x</b>\n"),
        ("markdown", "[x](y)\n"),
        ("markdown", "http://x.y\n"),
        ("markdown", "\x1b[31m\n"),
        ("gitlab", '[{"description": "x"}]'),
        ("csv", "a,b\n"),
        ("html", "<!DOCTYPE html><html><head><title>x</title></head><body><script>1</script></body></html>"),
        ("html", "<!DOCTYPE html><html><head><title>x</title></head><body><p>x<p></div></body></html>"),
        ("junit", "<testsuites>\x1b</testsuites>"),
        ("sarif", '{"runs": [{"results": [{"message": {"text": "[a](b)"}, "locations": []}]}]}'),
    ],
)
def test_a_judge_can_say_no(name, text):
    with pytest.raises((AssertionError, ValueError, SyntaxError, judges.html5lib.html5parser.ParseError)):
        JUDGES[name](text)
