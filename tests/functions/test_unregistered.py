"""The examples of `gradaudit explain formula` and `explain self`, audited as they stand."""

import textwrap

import pytest

from gradaudit import pipeline
from gradaudit.functions import registry
from gradaudit.functions.unregistered import UNREGISTERED, Kind
from gradaudit.records.case import FORMULA, SELF
from gradaudit.specs import loading


@pytest.fixture(scope="module")
def pool():
    with pipeline.worker_pool(pipeline.Settings()) as pool:
        yield pool


@pytest.mark.slow
@pytest.mark.parametrize("name", UNREGISTERED)
def test_an_example_does_what_it_says(name, pool, tmp_path):
    kind = UNREGISTERED[name]
    assert errors(kind, kind.silent, "right.py", pool, tmp_path) == set()
    assert errors(kind, kind.fires, "wrong.py", pool, tmp_path) == {kind.found}


def errors(kind: Kind, code: str, file: str, pool, folder) -> set[str]:
    (folder / file).write_text(textwrap.dedent(code), encoding="utf-8")
    spec = textwrap.dedent(kind.spec).replace("losses.py", file)
    cases = tuple(loading.load_text(spec, str(folder / "example.yaml"), str(folder)))
    (report,) = pipeline.audit(cases, pipeline.Settings(), pool=pool).cases
    assert report.failures == ()
    return {finding.code for finding in report.findings if finding.severity == "error"}


def test_no_page_hides_a_function_of_the_registry():
    assert set(UNREGISTERED) == {FORMULA, SELF}
    assert not set(UNREGISTERED) & set(registry.names())
