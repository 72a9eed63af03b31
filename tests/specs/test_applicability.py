"""Functions, their targets, backends and what subjects read: what does not go together is refused where it stands."""

# ruff: noqa: E501 - a message is easiest to read in one piece

from __future__ import annotations

from pathlib import Path

import pytest

from gradaudit.errors import SpecError
from gradaudit.specs.loading import load_text
from tests.specs.conftest import CODES

LOGITS = "version: 1\nlogits: [[0.1, 2, 3]]\n"
SUBJECT = "subjects: [{torch: losses.py:loss}]\n"

REFUSED = [
    (
        "function: {name: focal, alpha: [1, 2]}\ntargets: [1]\n" + SUBJECT,
        "3:32: function.alpha: 2 factors for 3 classes (axis [1] of logits [1, 3]); give one for each class",
    ),
    (
        "function: {name: cross_entropy, logit_adjustment: [1]}\ntargets: [1]\n" + SUBJECT,
        "3:51: function.logit_adjustment: 1 offsets for 3 classes (axis [1] of logits [1, 3]); give one for each class",
    ),
    (
        "function: focal\ntargets: [[0.2, 0.3, 0.5]]\n" + SUBJECT,
        "4:10: targets: focal needs class indices, one a row, and these are probabilities of the logits' shape; give "
        "such, or {random: {seed: 1}}",
    ),
    (
        "function: kl_divergence\ntargets: [1]\n" + SUBJECT,
        "4:10: targets: kl_divergence needs probabilities of the logits' shape, and these are class indices, one a "
        "row; give such, or {random: {kind: probabilities, seed: 1}}",
    ),
    (
        "function: poly\ntargets: [1]\nbackends: [torch]\n",
        "5:11: backends: none has a poly of its own; give subjects: [{torch: losses.py:loss}]",
    ),
    (
        "function: {name: cross_entropy, softcap: 5}\ntargets: [1]\nbackends: [torch]\n",
        "5:11: backends: none has a cross_entropy with softcap of its own; give subjects: [{torch: losses.py:loss}]",
    ),
    (
        "function: poly\ntargets: [1]\nbackends: [torch]\n" + SUBJECT,
        "5:11: backends: none has a poly of its own; leave backends out, and the subjects are audited alone",
    ),
    (
        "function: z_loss\ntargets: [1]\nsubjects: [{torch: losses.py:loss, input: probabilities}]\n",
        "5:43: subjects: input: z_loss is a function of logits, and has no meaning at given probabilities; use input: "
        "logits",
    ),
    (
        "function: {name: focal, gamma: -1}\ntargets: [1]\n" + SUBJECT,
        "3:32: function.gamma: -1 is out of range; expected at least 0",
    ),
    (
        "function: {name: margin, kind: cosface}\ntargets: [1]\n" + SUBJECT,
        "3:32: function.kind: 'cosface' is not known; expected additive or angular",
    ),
]


@pytest.mark.parametrize(("text", "message"), REFUSED, ids=range(len(REFUSED)))
def test_what_does_not_go_together_is_refused(
    text: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("losses.py").write_text("def loss(x, y): ...\n", "utf-8")
    with pytest.raises(SpecError) as refused:
        load_text(LOGITS + text, "spec.yaml", known_codes=CODES)
    assert str(refused.value) == f"spec.yaml:{message}"


def test_what_goes_together_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("losses.py").write_text("def loss(x, y): ...\n", "utf-8")
    given = "function: {name: focal, gamma: 1.5, alpha: [1, 2, 3]}\ntargets: [1]\nsubjects: [{torch: losses.py:loss, input: probabilities}]\n"
    (case,) = load_text(LOGITS + given, "spec.yaml", known_codes=CODES)
    assert case.function.parameters["alpha"] == (1.0, 2.0, 3.0)
    assert case.function.parameters["gamma"] == 1.5
    assert case.backends == ()
