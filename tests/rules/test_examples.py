"""The examples of every rule, through the real pipeline and the real backends, in one audit."""

import textwrap

import pytest

from gradaudit import pipeline
from gradaudit.records.report import CaseReport
from gradaudit.rules import registry
from gradaudit.rules.explanation import CODE_FILE
from gradaudit.rules.interface import Rule
from gradaudit.specs import loading

pytestmark = pytest.mark.slow

EXAMPLES = tuple(
    (rule, kind, spec, code)
    for rule in registry.rules()
    for kind, spec, code in (
        ("fires", rule.fires, rule.fires_code),
        ("silent", rule.silent_spec, rule.silent_code),
    )
    if spec is not None
)

ALSO = {"CON505": {"BUG401"}}
"""Errors that an example cannot do without: a result of another shape is that of another reduction."""

Reports = dict[tuple[str, str], CaseReport]


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Reports:
    """Every example in one folder, its losses.py under a name of its own: a worker serves one folder, and starting
    one for each example takes longer than the examples do."""
    cases, folder = [], tmp_path_factory.mktemp("examples")
    for rule, kind, text, code in EXAMPLES:
        name, spec = f"{rule.code}-{kind}", text
        if code is not None:
            assert f"{CODE_FILE}:" in text
            spec = text.replace(f"{CODE_FILE}:", f"{name}.py:")
            (folder / f"{name}.py").write_text(textwrap.dedent(code), encoding="utf-8")
        path = folder / f"{name}.yaml"
        cases += loading.load_text(textwrap.dedent(spec), str(path), str(folder), known_codes=registry.codes)
    assert len(cases) == len(EXAMPLES), "an example is one case"
    report = pipeline.audit(tuple(cases), pipeline.Settings())
    keys = [(rule.code, kind) for rule, kind, _, _ in EXAMPLES]
    return dict(zip(keys, report.cases, strict=True))


@pytest.mark.parametrize(
    ("rule", "kind"),
    [(rule, kind) for rule, kind, _, _ in EXAMPLES],
    ids=[f"{rule.code}-{kind}" for rule, kind, _, _ in EXAMPLES],
)
def test_an_example_does_what_it_says(reports: Reports, rule: Rule, kind: str) -> None:
    report = reports[rule.code, kind]
    assert report.failures == ()
    found = {finding.code for finding in report.findings}
    assert (rule.code in found) is (kind == "fires")
    errors = {finding.code for finding in report.findings if finding.severity == "error"}
    assert errors <= {rule.code} | ALSO.get(rule.code, set()), "an example shows its own fault and no other"
