"""The pages that docs/generation makes of the code: all there is stands in them, and Sphinx builds them all."""

import importlib.util
import json
import re
import shutil
import subprocess
import sys

import pytest
from markdown_it import MarkdownIt

from gradaudit.functions import registry as functions
from gradaudit.functions.unregistered import UNREGISTERED
from gradaudit.reports.report_schema import report_schema
from gradaudit.reports.summary import EXIT_MEANINGS
from gradaudit.rules import registry as rules
from gradaudit.specs import loading
from gradaudit.specs.schema import json_schema
from tests.end_to_end.conftest import run
from tests.end_to_end.pages import DOCS

MARKDOWN = MarkdownIt("commonmark").enable("table")


@pytest.fixture(scope="module")
def pages():
    """The pages by their paths, made in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(DOCS))
        import generation

        return dict(generation.pages())


@pytest.fixture
def prose():
    """`docs/generation/markdown.py`'s prose."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(DOCS))
        from generation import markdown

        return markdown.prose


def cells(page: str) -> list[list[str]]:
    """The rows of all tables, as they are shown."""
    rows, row, within = [], [], False
    for token in MARKDOWN.parse(page):
        within = within or token.type == "td_open"
        if token.type == "tr_open":
            row = []
        elif token.type == "inline" and within:
            row.append("".join(child.content for child in token.children))
        elif token.type == "td_close":
            within = False
        elif token.type == "tr_close" and row:
            rows.append(row)
    return rows


def test_every_rule_has_a_page_and_stands_in_the_index(pages):
    listed = [row[0] for row in cells(pages["rules/index.md"])]
    assert sorted(listed) == sorted(rules.codes())
    for rule in rules.rules():
        page = pages[f"rules/{rule.code}.md"]
        assert page.startswith(f"# {rule.code} {rule.name}\n")
        for block in filter(None, (rule.fires, rule.fires_code, rule.silent)):
            assert block.strip().splitlines()[0].strip() in page


def test_every_function_has_a_page_with_its_parameters(pages):
    names = [*functions.names(), *(f"mxnet.{name}" for name in functions.names("mxnet"))]
    assert {row[0] for row in cells(pages["functions/index.md"])} == {*names, *UNREGISTERED}
    for name in names:
        found = [row[0] for row in cells(pages[f"functions/{name}.md"])]
        assert found == [parameter.name for parameter in functions.get(name).parameters]
    for kind in UNREGISTERED.values():
        assert f"rules/{kind.found}.md" in pages[f"functions/{kind.name}.md"]


def test_every_key_of_a_spec_is_told(pages):
    sections = dict(re.findall(r"^## (.*)\n((?:(?!## ).*\n)*)", pages["spec.md"], re.MULTILINE))
    definitions = json_schema()["$defs"]
    own = {name for name in definitions if f"functions/{name.replace('_', '.', 1)}.md" not in pages}
    own -= {name for name in definitions if f"functions/{name}.md" in pages}
    assert own <= set(sections)
    for name in own:
        assert [row[0] for row in cells(sections[name])] == list(definitions[name].get("properties", {}))


def test_every_row_of_the_reference_says_something(pages):
    """Keys, parameters, flags, fields, codes and exit statuses: none is only named."""
    silent = [(name, row) for name, page in pages.items() for row in cells(page) if len(row[-1].split()) < 2]
    # What an operator of MXNet's is called elsewhere, and what a mean divides by, may be one word.
    assert not [(name, row) for name, row in silent if not name.startswith("functions/")]
    assert not [(name, row) for name, row in silent if not row[-1].strip()]
    statuses = cells(pages["commands.md"].partition("## Exit status")[2])
    assert [int(row[0]) for row in statuses] == sorted(EXIT_MEANINGS)


def test_the_example_of_a_spec_is_read(pages):
    (example,) = re.findall(r"```yaml\n(.*?)```", pages["spec.md"], re.DOTALL)
    first, second = loading.load_text(example, "page.yaml", ".")
    assert (first.backends, first.scale, second.formulations) == (
        ("numpy", "torch"),
        (1.0, 10.0, 100.0),
        ("unfused",),
    )
    assert [each.code for each in second.expect] == ["BUG461"]


def test_every_field_of_the_report_is_told(pages):
    shown = {row[0].rpartition(".")[2] for row in cells(pages["report.md"])}

    def names(schema):
        if isinstance(schema, dict):
            yield from schema.get("properties", {})
            for value in schema.values():
                yield from names(value)
        elif isinstance(schema, list):
            for value in schema:
                yield from names(value)

    assert set(names(report_schema())) == shown


def test_every_command_and_option_is_told(pages, tmp_path):
    page = pages["commands.md"]
    for command in re.findall(r"^  (\w+)  ", run("--help", cwd=tmp_path).out.partition("Commands:")[2], re.MULTILINE):
        assert f"## gradaudit {command}\n" in page
        options = re.findall(r"^  (?:-\w, )?(--[\w-]+)", run(command, "--help", cwd=tmp_path).out, re.MULTILINE)
        section = page.partition(f"## gradaudit {command}\n")[2].partition("\n## ")[0]
        assert all(option in section for option in options), command


def test_texts_are_shown_as_they_are(pages, prose):
    for name, page in pages.items():
        for token in MARKDOWN.parse(page):
            kinds = {child.type for child in token.children or ()}
            assert not kinds & {"html_inline", "em_open", "strong_open", "image"}, (name, token.content)
            assert token.type != "html_block", (name, token.content)
    hostile = "a_b_c *x* <b> [y](z) | `p_y` \\ $q$ {r} x^2 #1"
    (inline,) = (token for token in MARKDOWN.parse(prose(hostile)) if token.type == "inline")
    assert "".join(child.content for child in inline.children) == hostile.replace("`", "")


def test_pages_are_the_same_twice_and_stale_ones_go(pages, tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(DOCS))
        import generation

        (tmp_path / "rules").mkdir()
        (tmp_path / "rules" / "OLD001.md").write_text("gone\n", encoding="utf-8")
        generation.write(tmp_path)
    found = {
        path.relative_to(tmp_path).as_posix(): path.read_text(encoding="utf-8") for path in tmp_path.rglob("*.md")
    }
    assert found == pages


@pytest.mark.slow
def test_sphinx_builds_every_page_without_a_warning(pages, tmp_path):
    for module in ("sphinx", "myst_parser", "furo"):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed: pip install 'gradaudit[docs]'")
    source, built = tmp_path / "docs", tmp_path / "html"
    shutil.copytree(DOCS, source, ignore=shutil.ignore_patterns("_build", "reference", "__pycache__"))
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", str(source), str(built)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for name in pages:
        assert (built / "reference" / name).with_suffix(".html").exists() or name.count(".") > 1, name
    assert (built / "numerics.html").exists()
    index = json.loads((built / "searchindex.js").read_text(encoding="utf-8").removeprefix("Search.setIndex(")[:-1])
    assert "reference/rules/BUG402" in index["docnames"]

    (source / "index.md").write_text("# Broken\n\n[nowhere](nowhere.md)\n", encoding="utf-8")
    again = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert again.returncode == 1
    assert "nowhere" in again.stderr
