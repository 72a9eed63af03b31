"""`gradaudit render`: any report again from the saved JSON, byte for byte, and clear words for what is no report."""

import io
import json
import os
import stat

import pytest

from gradaudit import plugins
from gradaudit.errors import ReportError
from gradaudit.reports import json_document, read_document
from tests.reports import sample_report

CASE = ("--logits", "0.1, 2", "--function", "softmax")
FORMATS = sorted(plugins.names("gradaudit.reports"))


@pytest.fixture
def saved(tmp_path):
    """The path of a saved report whose exit status is 3."""
    (tmp_path / "report.json").write_text(json_document.render(sample_report.sample_report()))
    return "report.json"


def test_every_format_has_the_bytes_that_check_writes(cli, audits, tmp_path):
    wanted = [part for name in FORMATS for part in ("--report", f"{name}=first.{name}")]
    assert cli("check", *CASE, *wanted).status == 3
    again = [part for name in FORMATS for part in ("--report", f"{name}=second.{name}")]
    outcome = cli("render", "first.json", *again)
    assert (outcome.status, outcome.out, outcome.err) == (0, "", "")
    for name in FORMATS:
        first, second = ((tmp_path / f"{which}.{name}").read_bytes() for which in ("first", "second"))
        assert first == second
        assert first


@pytest.mark.parametrize("name", ["concise", "github", "json", "sarif", "markdown"])
def test_standard_output_has_the_text_that_check_prints(cli, audits, tmp_path, name):
    printed = cli("check", *CASE, "-q", "--output-format", name, "--report", "json=report.json").out
    outcome = cli("render", "report.json", "--output-format", name)
    assert (outcome.status, outcome.out) == (0, printed)


def test_full_is_the_default_and_has_colours_on_demand(cli, audits, saved):
    outcome = cli("render", saved)
    assert outcome.out == cli("check", *CASE).out
    assert "\x1b[" in cli("render", saved, "--color", "always").out
    assert "Segmentation fault" in cli("render", saved, "-v").out
    assert "Segmentation fault" not in outcome.out


def test_the_worst_findings_alone_on_demand(cli, audits, saved):
    for command in (("render", saved), ("check", *CASE, "-q")):
        all_of_them = cli(*command, "--output-format", "concise")
        few = cli(*command, "--output-format", "concise", "--max-findings", "1")
        assert few.status == all_of_them.status
        assert len(all_of_them.out.splitlines()) == 7
        assert few.out.startswith("specs/[/foo] wrong.yaml:12: DIV301 error")
        assert len(few.out.splitlines()) == 1
    assert "of which the worst 1 are listed" in cli("render", saved, "--max-findings", "1").out.replace("\n", " ")
    assert cli("render", saved, "--max-findings", "-1").status == 2


def test_files_and_standard_output_together(cli, saved, tmp_path):
    outcome = cli("render", saved, "--output-format", "concise", "--report", "html=r.html")
    assert outcome.out.startswith("specs/forum.yaml:3: CAN101 ")
    assert (tmp_path / "r.html").read_text().startswith("<!DOCTYPE html>")


def test_a_report_is_read_from_standard_input(cli, saved, tmp_path, monkeypatch):
    text = (tmp_path / saved).read_bytes()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"\xef\xbb\xbf" + text), encoding="utf-8"))
    assert cli("render", "-", "--output-format", "json").out.encode() == text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "report.json: it is not JSON: Expecting value at line 1, column 1"),
        (b"\xff\xfe", "report.json: it is not UTF-8, so no JSON report of gradaudit"),
        (b'{"runs": []}', "report.json: it is no JSON report of gradaudit, which `gradaudit check --report json="),
        (
            b'{"schema_version": 7, "tool": {"name": "gradaudit", "version": "\\u001b[31m"}}',
            "report.json: it has schema version 7, written by gradaudit \\x1b[31m; this gradaudit reads version 1",
        ),
        (b'{"schema_version": 1, "tool": {"name": "gradaudit"}}', "report.json: rules: expected an object, not null"),
        (None, "the report 'report.json' cannot be read: No such file or directory; `gradaudit check --report"),
    ],
)
def test_what_is_no_report_is_2_and_writes_nothing(cli, tmp_path, content, message):
    if content is not None:
        (tmp_path / "report.json").write_bytes(content)
    outcome = cli("render", "report.json", "--report", "html=r.html")
    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err.startswith(f"error: {message}")
    assert not (tmp_path / "r.html").exists()


def test_a_folder_is_no_report(cli, tmp_path):
    outcome = cli("render", ".")
    assert (outcome.status, outcome.err) == (2, "error: the report '.' cannot be read: Is a directory\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Missing argument 'REPORT.json'"),
        (("report.json", "--output-format", "htm"), "--output-format 'htm': no such format; did you mean html?"),
        (("report.json", "--report", "htm=x"), "--report 'htm': no such format; did you mean html?"),
        (("report.json", "--report", "html=-"), "standard output is what --output-format html writes to"),
        (
            ("report.json", "--report", "json=./report.json"),
            "that is a report which is read; write to another file",
        ),
        (("report.json", "--report", "html=no/such/r.html"), "there is no folder 'no/such'; make it first"),
    ],
)
def test_a_wrong_request_is_2(cli, saved, tmp_path, arguments, message):
    before = (tmp_path / saved).read_bytes()
    outcome = cli("render", *arguments)
    assert (outcome.status, outcome.out) == (2, "")
    assert message in outcome.err
    assert (tmp_path / saved).read_bytes() == before


def test_one_format_that_fails_does_not_cost_the_others(cli, audits, saved, tmp_path, monkeypatch):
    def broken(report):
        raise KeyError("no such thing")

    own = plugins.get
    monkeypatch.setattr(plugins, "get", lambda group, name: broken if name == "sarif" else own(group, name))
    for command in (("render", saved), ("check", *CASE, "-q", "--output-format", "concise")):
        outcome = cli(*command, "--report", "sarif=r.sarif", "--report", "junit=r.xml")
        assert outcome.status == 3
        assert "error: the report format 'sarif' failed with KeyError: 'no such thing'" in outcome.err
        assert not (tmp_path / "r.sarif").exists()
        assert (tmp_path / "r.xml").read_text().startswith("<?xml")
        (tmp_path / "r.xml").unlink()


def test_a_report_that_does_not_come_back_is_saved_all_the_same(cli, audits, tmp_path, monkeypatch):
    def lost(document):
        raise ReportError("report.exit_status is missing")

    monkeypatch.setattr(read_document, "report_of", lost)
    outcome = cli(
        "check", *CASE, "-q", "--output-format", "json", "--report", "html=r.html", "--report", "json=r.json"
    )
    assert outcome.status == 3
    assert "error: the report does not come back from its own JSON: report.exit_status is missing" in outcome.err
    assert not (tmp_path / "r.html").exists()
    assert (tmp_path / "r.json").read_text() == outcome.out == json_document.render(sample_report.sample_report())


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_write_protected_file_is_left_alone(cli, saved, tmp_path):
    (tmp_path / "r.html").write_text("mine")
    (tmp_path / "r.html").chmod(stat.S_IRUSR)
    outcome = cli("render", saved, "--report", "html=r.html")
    assert outcome.status == 2
    assert "'r.html' is write-protected" in outcome.err
    assert (tmp_path / "r.html").read_text() == "mine"


def test_rendering_imports_no_framework(process, saved, tmp_path):
    outcome = process("render", saved, "--output-format", "sarif", PYTHONPROFILEIMPORTTIME="1")
    assert json.loads(outcome.out)["version"] == "2.1.0"
    imported = {line.rpartition("|")[2].strip() for line in outcome.err.splitlines()}
    assert "gradaudit.reports.issues" in imported
    # Typer brings pydantic along.
    assert not imported & {"torch", "onnxruntime", "onnx", "rich", "yaml", "flint"}
