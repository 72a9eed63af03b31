from dataclasses import replace

import pytest

from gradaudit.records.evaluation import FAILURE_KINDS, BackendState, ProcessFact
from gradaudit.records.measurement import MeasuredCase
from gradaudit.rules.execution.backend_missing import RULE as RUN603
from gradaudit.rules.execution.crashed import RULE as RUN601
from gradaudit.rules.execution.import_changed_process import RULE as RUN607
from gradaudit.rules.execution.out_of_memory import RULE as RUN604
from gradaudit.rules.execution.raised import RULE as RUN605
from gradaudit.rules.execution.reference_unsound import RULE as RUN606
from gradaudit.rules.execution.timed_out import RULE as RUN602
from gradaudit.rules.exit_status import exit_status
from tests.rules.records import case, failure, found, key, measurement, subject

KINDS = {
    "crashed": RUN601,
    "timed_out": RUN602,
    "missing": RUN603,
    "out_of_memory": RUN604,
    "raised": RUN605,
    "unverified": RUN606,
}


def test_every_kind_of_failure_but_what_is_not_offered_has_a_rule() -> None:
    assert {*KINDS, "unsupported", "refused"} == set(FAILURE_KINDS)


@pytest.mark.parametrize("kind", FAILURE_KINDS)
def test_each_rule_speaks_of_its_own_kind_alone(kind: str) -> None:
    speaking = [rule for rule in KINDS.values() if found(rule, failure(kind), measurement())]
    assert speaking == ([] if kind == "unsupported" else [KINDS[{"refused": "raised"}.get(kind, kind)]])


def test_a_case_of_which_nothing_was_audited_is_no_clean_one() -> None:
    graph, half = failure("unsupported", "torch has no graph execution"), failure("unsupported", "no bfloat16")
    (finding,) = found(RUN603, graph, graph)
    assert finding.message == (
        "nothing of the case was audited: no backend offers what it asks for: torch has no graph execution"
    )
    assert exit_status([finding], ()) == 3
    (finding,) = found(RUN603, graph, half)
    assert finding.message.endswith("torch has no graph execution, and 1 more such reason")
    assert found(RUN603, graph, measurement()) == []
    assert [each.backend for each in found(RUN603, graph, failure("missing", "no torch"))] == ["numpy"]


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"missing"}))
def test_one_finding_an_evaluation_with_the_reason(kind: str) -> None:
    findings = found(
        KINDS[kind], failure(kind, "signal 11\nlast words\x1b[31m"), failure(kind, "again", dtype="float16")
    )
    assert [each.dtype for each in findings] == ["float32", "float16"]
    assert findings[0].message.startswith("numpy fused float32: ")
    assert findings[0].message.endswith(": signal 11 last words [31m")
    assert {each.severity for each in findings} == {"error"}


def test_a_subject_is_one_finding_whatever_probes_and_dtypes_it_fails_at() -> None:
    failures = [
        failure("crashed", f"signal {number}", subject="losses.py:f", backend="torch", probe=probe, dtype=dtype)
        for number, (probe, dtype) in enumerate([("sizes", "float32"), (None, "float32"), (None, "float16")])
    ]
    (finding,) = found(RUN601, *failures, of=case(subjects=(subject(),)))
    assert finding.message == (
        "losses.py:f (torch) fused float32: the worker process died: signal 1; 2 further evaluations failed so"
    )
    assert (finding.subject, finding.dtype, finding.scale, finding.severity) == ("losses.py:f", None, 1.0, "error")


def test_a_refused_probe_is_no_error_and_leaves_the_exit_status_alone() -> None:
    asked = case(subjects=(subject(),))
    refused = [failure("refused", "TypeError: no", subject="losses.py:f", backend="torch", probe=p) for p in "ab"]
    (finding,) = found(RUN605, *refused, of=asked)
    assert (finding.severity, finding.probe, finding.evidence["evaluations"]) == ("warning", "a", 2)
    assert "it takes the case's own inputs and raised here" in finding.message
    assert exit_status([finding], []) == 0
    answered = measurement(key=key(subject="losses.py:f", backend="torch", probe="c"))
    (known,) = found(RUN605, *refused, answered, of=asked)
    assert known.severity == "info"
    raised = failure("raised", "TypeError: no", subject="losses.py:f", backend="torch")
    (told,) = found(RUN605, *refused, raised, of=asked)
    assert (told.severity, told.probe) == ("error", None)
    assert exit_status([told], []) == 3


@pytest.mark.parametrize(
    ("named", "asked"),
    [(True, "named by the case"), (False, "one of the default backends")],
    ids=["named", "default"],
)
def test_a_missing_backend_is_one_finding(named: bool, asked: str) -> None:
    missing = [
        failure("missing", "No module named 'torch'", subject="torch", backend="torch", dtype=dtype)
        for dtype in ("float32", "float16")
    ]
    other = failure("missing", "no such device", subject="onnxruntime", backend="onnxruntime")
    findings = found(RUN603, *missing, other, of=case(backends_named=named))
    assert [each.backend for each in findings] == ["torch", "onnxruntime"]
    assert findings[0].message == (
        f"backend torch ({asked}) is missing, and 2 evaluations with it: No module named 'torch'"
    )
    assert (findings[0].subject, findings[0].dtype, findings[0].scale) == ("torch", None, None)
    assert findings[0].evidence["evaluations"] == 2


def test_all_executions_of_a_missing_backend_are_one_finding() -> None:
    names = {"tensorflow": "eager", "tensorflow, graph": "graph"}
    absent = [
        failure("missing", "No module named 'tensorflow'", subject=name, backend="tensorflow", execution=execution)
        for name, execution in names.items()
    ]
    (finding,) = found(RUN603, *absent)
    assert (finding.subject, finding.evidence["evaluations"]) == ("tensorflow", 2)


def test_a_missing_backend_is_told_with_what_gets_it() -> None:
    absent = replace(
        failure("missing", "No module named 'mxnet'", backend="mxnet"), detail="gradaudit backends install"
    )
    (told,) = found(RUN603, absent, of=case(backends_named=True))
    assert told.message.endswith("No module named 'mxnet'; to get it: gradaudit backends install")
    traced = replace(absent, detail="Traceback (most recent call last):\n  ...")
    (told,) = found(RUN603, traced, of=case(backends_named=True))
    assert told.message.endswith("No module named 'mxnet'")


def test_a_device_that_a_subject_asks_for_is_no_missing_default() -> None:
    own = subject()
    absent = failure("missing", "no device 'cuda' here", subject=own.name, backend="torch")
    (told,) = found(RUN603, absent, of=case(subjects=(own,)))
    assert told.message.startswith(f"backend torch (which {own.name} asks for) is missing, and 1 evaluation with it")


@pytest.mark.parametrize(
    ("reason", "cause"),
    [
        ("losses.py:3 in f: NameError: name 'torchh' is not defined", "misspelt"),
        ("losses.py:3 in f: AttributeError: module 'torch' has no attribute 'sofmax'", "misspelt"),
        ("losses.py: ModuleNotFoundError: No module named 'apex'", "not installed"),
        ("losses.py:1: SyntaxError: invalid syntax", "no valid Python"),
        ("losses.py:3 in f: ValueError: expected 2 axes", ""),
    ],
)
def test_an_exception_that_no_input_would_mend_is_told_as_such(reason: str, cause: str) -> None:
    (finding,) = found(
        RUN605, failure("raised", reason, subject="losses.py:f", backend="torch"), of=case(subjects=(subject(),))
    )
    assert finding.message.split(reason)[1].endswith(")") == bool(cause)
    assert cause in finding.message


def test_what_only_informs_is_named_by_its_first_changes() -> None:
    names = [f"environment variable NAME_{i}" for i in range(5)]
    facts = tuple(ProcessFact(name, "", "1", numbers=False) for name in names)
    state = BackendState("tensorflow", True, version="2.21.0", process=facts)
    (finding,) = RUN607.check(MeasuredCase(case(), (), (), (), backends=(state,)))
    assert finding.message.endswith(": sets NAME_0 to 1; sets NAME_1 to 1; and 3 more: which changes no numbers")
    assert list(finding.evidence) == names
