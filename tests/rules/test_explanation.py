import re
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
    silent = ["## What does not"] if rule.silent_spec else []
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
    assert "\n\n\n" not in re.sub("```python.*?```", "code", page, flags=re.DOTALL)
    assert page.isascii()
    blocks = (rule.formula, rule.fires, rule.fires_code, rule.silent, rule.silent_code)
    assert page.count("```") == 2 * sum(block is not None for block in blocks)


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


def test_code_stands_beside_its_spec_and_its_neighbour_instead_of_it() -> None:
    rule = replace(registry.get("BUG401"), fires_code="def loss(): ...\n", silent_code="def loss():\n    return 1\n")
    page = explain(rule)
    assert "losses.py:loss\n```\n\nwith this losses.py beside it:\n\n```python\ndef loss(): ...\n```" in page
    assert "## What does not\n\nwith this losses.py instead:\n\n```python\ndef loss():\n    return 1\n```" in page


def test_examples_are_printed_ready_to_run() -> None:
    page = explain(registry.get("SAT201"))
    assert "```yaml\nversion: 1\nname: hundreds apart\n" in page
