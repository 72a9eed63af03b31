"""The table of semantics: every question put to the frameworks' own losses, in workers like all frameworks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from tempfile import TemporaryDirectory

from gradaudit.backends.interface import STANDALONE
from gradaudit.measurement.answers import answer
from gradaudit.pipeline import Settings, worker_pool
from gradaudit.records.evaluation import EvaluationKey
from gradaudit.records.semantics import AnsweredQuestion, SemanticTable
from gradaudit.specs import semantic_questions
from gradaudit.specs.semantic_questions import Ask
from gradaudit.workers.adapter import load_adapter


def semantic_table(settings: Settings, names: Sequence[str] = ()) -> SemanticTable:
    """What the frameworks' own losses answer where the mathematics leaves something open, or where they differ.

    `names` are the backends that are asked, by default all that have losses of their own.
    """
    backends = [name for name in semantic_questions.backends() if not names or name in names]
    called = [name for name in backends if semantic_questions.as_subjects(name)]
    operators = [name for name in backends if name not in called]
    answered = []
    with worker_pool(settings) as pool, TemporaryDirectory(prefix="gradaudit-") as folder:

        def written(stem: str, options: Mapping[str, object]) -> str:
            path: str = load_adapter(STANDALONE / "onnx_calls.py").write(folder, stem, options)
            return path

        promised = [
            [
                (ask, pool.submit(_asked(ask), semantic_questions.inputs(question, ask), subject))
                for ask in question.asks
                if ask.backend in backends
                for subject in [semantic_questions.subject(ask, str(STANDALONE), written)]
            ]
            for question in semantic_questions.QUESTIONS
        ]
        for question, promises in zip(semantic_questions.QUESTIONS, promised, strict=True):
            answers = tuple(answer(ask.call, ask.backend, promise.result()) for ask, promise in promises)
            if answers:
                answered.append(AnsweredQuestion(question.name, question.inputs, question.mathematics, answers))
        states = pool.states(operators) + tuple(pool.subject_process(name).state() for name in called)
    return SemanticTable(tuple(answered), states)


def _asked(ask: Ask) -> EvaluationKey:
    return EvaluationKey(ask.call, ask.backend, "fused", "float32", 1.0)
