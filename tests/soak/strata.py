"""What a soak draws from: sound code of users by function, dtype, reduction and spelling; backends by their own."""

from __future__ import annotations

from collections.abc import Iterator

from gradaudit.backends import claimed, registry
from gradaudit.records.evaluation import Evaluation, EvaluationFailure, EvaluationKey
from gradaudit.records.inputs import Inputs
from gradaudit.records.subject import Subject
from gradaudit.reference import admissible, ladder
from gradaudit.workers import requests
from gradaudit.workers.adapter import load_adapter
from gradaudit.workers.live import _answer
from tests.soak import other_functions
from tests.soak.sound_case import SoundCase, Stratum
from tests.sound import cases

SIXTEEN_BITS = ("float16", "bfloat16")
BUILT_IN = (
    ("cross_entropy", "fused"),
    ("cross_entropy", "log_softmax"),
    ("softmax", "fused"),
    ("softmax", "log_softmax"),
    ("log_softmax", "fused"),
    ("logsumexp", "fused"),
)
"""What backends offer that is right on every logit."""

IN_FLOAT32 = (("softmax", "fused"), ("logsumexp", "fused"))
"""What of it torch computes in float32 throughout for 16-bit types."""


def strata() -> tuple[Stratum, ...]:
    """Every stratum, in an order that stays the same."""
    return (*_of_users(), *other_functions.strata(), *_of_backends())


def _of_users() -> Iterator[Stratum]:
    for own in cases.strata():
        name = " | ".join(("user", own.function, own.rows, own.dtype, own.reduction))
        yield Stratum(name, lambda seed, own=own: _user_case(seed, own))  # type: ignore[misc]


def _user_case(seed: int, own: cases.Stratum) -> SoundCase:
    drawn = cases.draw(seed, own)
    subject = Subject(drawn.name, "torch", f"tests/sound:{own.rows}", live=drawn.loss)
    profile = claimed.profile_of(subject, own.dtype)
    return SoundCase(
        drawn.name,
        drawn.inputs,
        EvaluationKey(drawn.name, "torch", subject.formulation, own.dtype, 1.0),
        subject,
        profile,
        admissible.rows(drawn.inputs.function, own.dtype, profile),
        lambda: cases.evaluate(drawn),
    )


def _of_backends() -> Iterator[Stratum]:
    for backend in ("numpy", "torch", "onnxruntime"):
        for dtype in registry.get(backend).dtypes:
            for function, formulation in BUILT_IN:
                # Along the last axis torch keeps a row's sum in 16 bits, which is a finding and no false alarm.
                if backend == "torch" and dtype in SIXTEEN_BITS and (function, formulation) not in IN_FLOAT32:
                    continue
                for reduction in cases.REDUCTIONS if function == "cross_entropy" else ("none",):
                    yield _backend_stratum(backend, function, formulation, dtype, reduction)


def _backend_stratum(backend: str, function: str, formulation: str, dtype: str, reduction: str) -> Stratum:
    name = " | ".join((backend, function, formulation, dtype, reduction))

    def draw(seed: int) -> SoundCase:
        rows = "F.cross_entropy" if function == "cross_entropy" else "fused"
        drawn = cases.draw(seed, cases.Stratum(function, rows, dtype, reduction))
        inputs = drawn.inputs
        profile = registry.get(backend).profile(function, formulation, dtype, classes_last=True)
        key = EvaluationKey(backend, backend, formulation, dtype, 1.0)
        return SoundCase(
            name,
            inputs,
            key,
            None,
            profile,
            ladder.rows(function, formulation, profile),
            lambda: _by_adapter(key, inputs),
        )

    return Stratum(name, draw)


def _by_adapter(key: EvaluationKey, inputs: Inputs) -> Evaluation | EvaluationFailure:
    """The backend's own formulation, in this process."""
    adapter = load_adapter(registry.get(key.backend).adapter)
    request = requests.evaluate(key, inputs, None, timeout=0.0)
    response, found = _answer(adapter, "evaluate", request, inputs)
    if response["status"] != "ok":
        kind = "unsupported" if response["status"] == "unsupported" else "raised"
        return EvaluationFailure(key, kind, f"{response.get('type')}: {response.get('message')}")
    return Evaluation(key, found["output"], found["gradient"], None, 0.0)
