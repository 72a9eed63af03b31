import re
from dataclasses import replace

import pytest

from gradaudit.rules import registry
from gradaudit.rules.explanation import WIDTH, explain
from gradaudit.rules.interface import Rule
from gradaudit.rules.notation import OWN, letters, unexplained


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


@pytest.mark.parametrize("rule", registry.rules(), ids=lambda rule: rule.code)
def test_no_letter_of_a_formula_is_left_unexplained(rule: Rule) -> None:
    assert unexplained(rule) == set()
    told = letters(rule)
    assert told in " ".join(explain(rule).split())
    assert "the the" not in told


def test_letters_are_told_where_they_stand() -> None:
    rule = replace(
        registry.get("CAN101"), code="XYZ101", formula="den g_i = sum_j t_ij p_ij' <= u_s t_j, the subject's own"
    )
    assert [each.split(": ")[0] for each in letters(rule).split("; ")] == ["p", "t_ij", "t_j", "den", "g", "u_s"]
    assert unexplained(replace(rule, formula="rho_y = Q + a b_k for the k-th row")) == {"rho", "Q", "b"}
    assert letters(replace(rule, formula="no letters at all")) == ""


@pytest.mark.parametrize("code", sorted(OWN))
def test_letters_that_a_formula_tells_itself_stand_in_it(code: str) -> None:
    rule = registry.get(code)
    assert unexplained(replace(rule, code="XYZ101")) | known(rule) >= OWN[code]


def known(rule: Rule) -> set[str]:
    """The letters that would be told below a formula that told none itself."""
    return {each.split(": ")[0] for each in letters(replace(rule, code="XYZ101")).split("; ")}


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
