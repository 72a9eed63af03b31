"""assert_gradients on live losses: what passes, what is raised, and what the caller's process keeps."""

import os
import random
import subprocess
import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from gradaudit.records.report import Report
from gradaudit.testing import assert_gradients, audit_gradients
from tests.testing import losses

PADDED = {"random": {"seed": 1, "ignored": 2}}
FEW = ["ordinary", "ones"]
"""Probes that are quick."""


@pytest.mark.parametrize(
    ("loss", "arguments"),
    [
        (losses.of_torch, {}),
        (losses.of_numpy, {}),
        (losses.Smoothed, {"kwargs": {"smoothing": 0.1}, "label_smoothing": 0.1}),
        (losses.Smoothed(0.1), {"label_smoothing": 0.1}),
        (losses.SavedSoftmax, {}),
        (losses.SavedSoftmax.apply, {}),
        (losses.Callable(), {}),
        (losses.partial, {"reduction": "sum"}),
        (torch.nn.CrossEntropyLoss(), {"targets": "probabilities"}),
        (lambda logits: torch.softmax(logits, -1), {"function": "softmax", "upstream": "per_output"}),
    ],
    ids=["torch", "numpy", "class", "module", "Function", "apply", "callable", "partial", "soft", "softmax"],
)
def test_sound_losses_of_every_kind_pass(loss, arguments):
    report = assert_gradients(loss, probes=FEW[: 1 + (arguments.get("function") is None)], **arguments)
    assert isinstance(report, Report)
    assert report.exit_status == 0
    assert len(report.cases[0].measurements) >= 2


def test_a_wrong_loss_raises_the_text_of_the_cli():
    with pytest.raises(AssertionError) as error:
        assert_gradients(losses.without_padding_in_the_count, targets=PADDED, probes="none")
    lines = str(error.value).splitlines()
    here = os.path.relpath(__file__)
    assert lines[0].startswith(f"── without_padding_in_the_count  {here}:")
    assert lines[1] == "  error BUG402 mean-denominator"
    assert "reference x 0.714286 = 5/7" in " ".join(str(error.value).split())
    assert lines[-1].startswith(("1 case", "absent"))


def test_auditing_raises_nothing():
    report = audit_gradients(losses.without_padding_in_the_count, targets=PADDED, probes="none")
    assert report.exit_status == 1
    assert "BUG402" in {finding.code for finding in report.cases[0].findings}


def test_what_is_expected_passes_and_what_is_ignored_too():
    wrong = losses.without_padding_in_the_count
    assert_gradients(wrong, targets=PADDED, probes="none", expect=["BUG402"])
    assert_gradients(wrong, targets=PADDED, probes="none", ignore=["BUG", "CON", "DIV"])
    with pytest.raises(AssertionError, match="expected, not found"):
        assert_gradients(losses.of_torch, probes="none", expect=["BUG402"])


def test_warnings_fail_where_they_are_to():
    shape = {"function": "softmax", "upstream": "ones", "probes": "none"}
    softmax = lambda logits: torch.softmax(logits, -1)  # noqa: E731
    assert_gradients(softmax, **shape)
    with pytest.raises(AssertionError, match="CAN101"):
        assert_gradients(softmax, fail_on="warning", **shape)


def raises(logits, targets):
    raise KeyError("no such head")


def ends_the_process(logits, targets):
    sys.exit("done")


def returns_nothing(logits, targets):
    F.cross_entropy(logits, targets)


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (raises, "no such head"),
        (ends_the_process, "SystemExit"),
        (returns_nothing, "None"),
        (lambda logits, targets: F.cross_entropy(logits.detach(), targets), "carries no gradient"),
    ],
    ids=["raises", "exits", "returns None", "detached"],
)
def test_a_loss_that_cannot_be_audited_fails_with_the_reason(loss, words):
    with pytest.raises(AssertionError) as error:
        assert_gradients(loss, probes="none")
    assert words in str(error.value)


def test_generators_and_threads_of_the_process_are_left_alone():
    def draws(logits, targets):
        torch.rand(3), np.random.rand(2), random.random()  # noqa: S311
        return F.cross_entropy(logits, targets)

    torch.manual_seed(3), np.random.seed(3), random.seed(3)
    threads = torch.get_num_threads()
    due = torch.rand(1).item(), np.random.rand(), random.random()  # noqa: S311
    torch.manual_seed(3), np.random.seed(3), random.seed(3)
    audit_gradients(draws, probes="none")
    assert (torch.rand(1).item(), np.random.rand(), random.random()) == due  # noqa: S311
    assert torch.get_num_threads() == threads


def test_subnormals_that_are_flushed_are_refused():
    code = """
import torch
import torch.nn.functional as F
from gradaudit.testing import assert_gradients
if not torch.set_flush_denormal(True):
    print("this processor flushes nothing")
else:
    assert_gradients(F.cross_entropy, probes="none")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert "flushes nothing" in done.stdout or "this process flushes subnormal numbers to zero" in done.stderr


def test_importing_it_imports_no_framework():
    code = """
import sys
import gradaudit.testing
heavy = {"torch", "numpy", "onnx", "onnxruntime", "jax", "pydantic", "rich", "flint", "yaml"}
print(sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout == "[]\n"


def test_a_numpy_loss_needs_no_torch():
    code = """
import sys
import numpy as np
from gradaudit.testing import assert_gradients

def loss(logits, targets, upstream):
    rest = logits - logits.max(axis=1, keepdims=True)
    log_p = rest - np.log(np.exp(rest).sum(axis=1, keepdims=True))
    rows = np.arange(len(targets))
    gradient = np.exp(log_p)
    gradient[rows, targets] -= 1
    return -log_p[rows, targets].mean(), upstream * gradient / len(targets)

assert_gradients(loss, probes="none")
print("torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout == "False\n"
