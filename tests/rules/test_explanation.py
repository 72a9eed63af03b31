from dataclasses import replace

import pytest

from gradaudit.rules import registry
from gradaudit.rules.explanation import WIDTH, explain
from gradaudit.rules.interface import Rule


@pytest.mark.parametrize("rule", registry.rules(), ids=lambda rule: rule.code)
def test_every_rule_has_a_page(rule: Rule) -> None:
    page = explain(rule)
    assert page.startswith(f"# {rule.code} {rule.name}\n\nSeverity: {rule.severity}. Family: ")
    titles = [line for line in page.splitlines() if line.startswith("## ")]
    silent = ["## What does not"] if rule.silent else []
    assert titles == [
        "## What it flags",
        "## Why it matters",
        "## The mathematics",
        "## What fires it",
        *silent,
        "## What to do",
    ]
    assert page.endswith("\n")
    assert not page.endswith("\n\n")
    assert "\n\n\n" not in page
    assert page.isascii()
    assert page.count("```") == 2 * (1 + (rule.fires is not None) + (rule.silent is not None))


def test_prose_is_filled_and_formulas_are_left_alone() -> None:
    long = "word " * 60
    rule = replace(registry.get("CAN101"), why=long, formula=f"  a  =  b\n  {'x' * 120}\n")
    page = explain(rule)
    prose = page.split("## Why it matters\n\n")[1].split("\n\n##")[0]
    assert prose.split() == long.split()
    assert max(map(len, prose.splitlines())) <= WIDTH
    assert f"```text\na  =  b\n{'x' * 120}\n```" in page


def test_paragraphs_stay_apart() -> None:
    page = explain(replace(registry.get("CAN101"), why="one\nof\n\ntwo"))
    assert "## Why it matters\n\none of\n\ntwo\n\n##" in page


def test_the_note_stands_where_there_is_no_example() -> None:
    rule = registry.get("RUN601")
    assert f"## What fires it\n\n{rule.fires_note}\n\n## What to do" in explain(rule)


def test_examples_are_printed_ready_to_run() -> None:
    page = explain(registry.get("SAT201"))
    assert "```yaml\nversion: 1\nname: hundreds apart\n" in page
