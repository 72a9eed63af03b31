"""What others say of a text in their format. Each judge raises AssertionError, or the error of a strict parser."""

import base64
import copy
import csv
import hashlib
import io
import json
import os
import re
from pathlib import Path
from urllib.parse import unquote

import html5lib
import junitparser
import pytest
from markdown_it import MarkdownIt
from pydantic_sarif.model import StaticAnalysisResultsFormatSarifVersion210JsonSchema

from gradaudit.reports.html.style import CSS
from gradaudit.reports.measurements_csv import COLUMNS

SCHEMA_VARIABLE = "GRADAUDIT_SARIF_SCHEMA"
BESIDE = "*/data/sarif-schema-2.1.0.json"
"""Where the OASIS schema is looked for beside the checkout, unless the variable names a place; it is not copied."""

COMMAND = re.compile(
    r"::(error|warning|notice) (file=[^,:\r\n]*,)?(line=[0-9]+,)?(col=[0-9]+,)?title=[^,:\r\n]*::[^\r\n]*"
)
HTML = "{http://www.w3.org/1999/xhtml}"
SVG = "{http://www.w3.org/2000/svg}"


def sarif_schema():
    """The OASIS schema; the test is skipped where no place is named and it is not at hand."""
    named = os.environ.get(SCHEMA_VARIABLE)
    if named:
        return json.loads(Path(named).read_text(encoding="utf-8"))
    beside = sorted(Path(__file__).parents[3].glob(BESIDE))
    if not beside:
        pytest.skip(f"the SARIF schema of OASIS is not at hand; {SCHEMA_VARIABLE} may name its place")
    return json.loads(beside[0].read_text(encoding="utf-8"))


def harmless(text, *, ends=""):
    """Nothing but printable characters, and those in `ends`."""
    assert all(character.isprintable() or character in ends for character in text), repr(text[:200])
    return text


def strings(value):
    """Every string of a JSON value, keys included."""
    if isinstance(value, dict):
        for key, entry in value.items():
            yield key
            yield from strings(entry)
    elif isinstance(value, list):
        for entry in value:
            yield from strings(entry)
    elif isinstance(value, str):
        yield value


def _before_errata(log):
    """The log as others' models have it, which were made of a draft of the schema: they know every field and which
    are due, but the `status` of a suppression was called `state` then."""
    older = copy.deepcopy(log)
    for result in (result for run in older["runs"] for result in run["results"]):
        suppressions = result.get("suppressions", [])
        assert not any("state" in each for each in suppressions), "it is called status"
        for each in suppressions:
            if "status" in each:
                each["state"] = each.pop("status")
    return json.dumps(older)


def sarif(text):
    """The log, if its structure is that of SARIF, its texts are harmless and its addresses are addresses."""
    log = json.loads(text)
    StaticAnalysisResultsFormatSarifVersion210JsonSchema.model_validate_json(_before_errata(log), strict=True)
    for string in strings(log):
        harmless(string)
    for result in log["runs"][0]["results"]:
        message = result["message"]["text"]
        assert len(message) <= 1200
        assert not re.search(r"(?<!\\)\[[^\[\]]*\]\(", message), "it holds a link"
        assert not re.search(r"(?<!\{)\{[0-9]+\}", message), "it holds a placeholder"
        for location in (*result["locations"], *result.get("relatedLocations", ())):
            if "physicalLocation" in location:
                uri = location["physicalLocation"]["artifactLocation"]["uri"]
                assert re.fullmatch(r"(file:///)?[A-Za-z0-9._~/%-]+", uri), uri
                unquote(uri, errors="strict")
    prints = [result["partialFingerprints"]["primaryLocationLineHash"] for result in log["runs"][0]["results"]]
    assert len(set(prints)) == len(prints)
    return log


def junit(text):
    """The suites as junitparser reads them, if names are unique and the counts are right."""
    harmless(text, ends="\n")
    suites = junitparser.JUnitXml.fromstring(text)
    names = [(case.classname, case.name) for suite in suites for case in suite]
    assert len(set(names)) == len(names), "GitLab drops the second of two"
    for suite in suites:
        results = [case.result for case in suite]
        assert all(len(result) <= 1 for result in results), "readers show the first result alone"
        counted = [type(result[0]).__name__ for result in results if result]
        assert (suite.tests, suite.failures, suite.errors, suite.skipped) == (
            len(results),
            counted.count("Failure"),
            counted.count("Error"),
            counted.count("Skipped"),
        )
        for case in suite:
            assert case.name
            assert case.classname
            assert len(case.name) <= 260
            assert case.time >= 0
            # GitLab shows the text of a failure, Jenkins its message.
            for result in case.result:
                assert result.message
                assert result.text or isinstance(result, junitparser.Skipped)
    for total in ("tests", "failures", "errors", "skipped"):
        assert getattr(suites, total) == sum(getattr(suite, total) for suite in suites)
    return suites


def github(text):
    """The commands that GitHub would obey, if they are ours and all else is harmless."""
    harmless(text, ends="\n")
    assert text.endswith("\n")
    commands = []
    for line in text.splitlines():
        assert not re.search(r"##(\[|vso\[|teamcity\[)", line)
        if re.match(r"\s*::", line):
            assert COMMAND.fullmatch(line), line
            commands.append(line)
    return commands


def gitlab(text):
    """The issues, if each has the six fields that GitLab asks for and a fingerprint of its own."""
    found = json.loads(text)
    for string in strings(found):
        harmless(string)
    for issue in found:
        assert set(issue) == {"description", "check_name", "fingerprint", "severity", "location"}
        assert issue["severity"] in {"info", "minor", "major", "critical", "blocker"}
        assert issue["location"]["lines"]["begin"] >= 1
        assert re.fullmatch(r"[0-9a-f]{32}", issue["fingerprint"])
        assert issue["description"]
        assert issue["check_name"]
        assert not issue["location"]["path"].startswith("./")
    assert len({issue["fingerprint"] for issue in found}) == len(found)
    return found


def markdown(text):
    """The tokens of a renderer that takes HTML and tables, if names of others became nothing but text."""
    harmless(text, ends="\n")
    assert len(text.encode()) <= 2**20
    tokens = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).parse(text)
    flat = [each for token in tokens for each in (token, *(token.children or ()))]
    kinds = {token.type for token in flat}
    assert kinds <= {
        *("heading_open", "heading_close", "inline", "paragraph_open", "paragraph_close", "text", "softbreak"),
        *(
            "table_open",
            "table_close",
            "thead_open",
            "thead_close",
            "tbody_open",
            "tbody_close",
            "tr_open",
            "tr_close",
        ),
        *("th_open", "th_close", "td_open", "td_close", "bullet_list_open", "bullet_list_close", "list_item_open"),
        *("list_item_close", "strong_open", "strong_close", "code_inline", "hardbreak", "text_special"),
    }, kinds
    raw = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", text)
    assert not re.search(r"[a-z]://|www\.", raw), "GitHub makes it a link"
    return tokens


def csv_rows(text):
    """The rows as dictionaries, if a strict reader takes them and no spreadsheet would compute a cell."""
    harmless(text, ends="\n")
    header, *rows = csv.reader(io.StringIO(text), strict=True)
    assert tuple(header) == COLUMNS
    assert all(len(row) == len(COLUMNS) for row in rows)
    for row in rows:
        for cell in row:
            if cell.lstrip()[:1] in {"=", "+", "-", "@"}:
                float(cell)
    return [dict(zip(header, row, strict=True)) for row in rows]


def html(text):
    """The tree of the page, if a strict parser takes it, its policy fits and all elements are known ones."""
    harmless(text, ends="\n")
    tree = html5lib.HTMLParser(strict=True, namespaceHTMLElements=True).parse(text)
    known = {
        *(
            "html",
            "head",
            "meta",
            "title",
            "link",
            "style",
            "body",
            "a",
            "header",
            "nav",
            "main",
            "footer",
            "section",
        ),
        *(
            "article",
            "h1",
            "h2",
            "h3",
            "h4",
            "p",
            "ul",
            "li",
            "dl",
            "dt",
            "dd",
            "div",
            "span",
            "strong",
            "code",
            "pre",
        ),
        *("table", "caption", "thead", "tbody", "tr", "th", "td", "details", "summary", "figure", "figcaption"),
    }
    drawn = {"svg", "g", "title", "rect", "line", "polyline", "circle", "text"}
    for element in tree.iter():
        assert element.tag in {f"{HTML}{name}" for name in known} | {f"{SVG}{name}" for name in drawn}, element.tag
        assert not [name for name in element.attrib if name.startswith("on") or name in {"style", "src", "srcset"}]
        if "href" in element.attrib:
            assert re.fullmatch(r"#[a-z0-9-]+|data:,", element.attrib["href"])
    ids = [element.attrib["id"] for element in tree.iter() if "id" in element.attrib]
    assert len(set(ids)) == len(ids)
    targets = [element.attrib["href"][1:] for element in tree.iter(f"{HTML}a")]
    targets += [name for element in tree.iter() for name in element.attrib.get("aria-labelledby", "").split()]
    assert set(targets) <= set(ids), "a link or a label leads nowhere"
    policies = [each.attrib["content"] for each in tree.iter(f"{HTML}meta") if "http-equiv" in each.attrib]
    (style,) = tree.iter(f"{HTML}style")
    digest = base64.b64encode(hashlib.sha256(style.text.encode()).digest()).decode()
    assert style.text == CSS
    assert policies == [
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    ]
    for table in tree.iter(f"{HTML}table"):
        assert table.find(f"{HTML}caption") is not None
        assert all(cell.attrib.get("scope") in {"col", "row"} for cell in table.iter(f"{HTML}th"))
        assert len({len(row) for row in table.iter(f"{HTML}tr")}) == 1
    for picture in tree.iter(f"{SVG}svg"):
        assert picture.attrib["role"] == "img"
        assert picture.attrib["aria-label"]
    return tree


JUDGES = {
    "sarif": sarif,
    "junit": junit,
    "github": github,
    "gitlab": gitlab,
    "markdown": markdown,
    "csv": csv_rows,
    "html": html,
}
"""By format; the console's have their own tests, and JSON has its schema."""
