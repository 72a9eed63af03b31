"""What frameworks answer where the mathematics leaves the answer open, or where they differ."""

from __future__ import annotations

from dataclasses import dataclass

from gradaudit.records.evaluation import BackendState


@dataclass(frozen=True, slots=True)
class Answer:
    """What one call of a framework answered: loss and gradient in words, or why there is neither.

    `refused` holds the exception that it raised, `missing` why it could not be asked at all.
    """

    call: str
    backend: str
    loss: str = ""
    gradient: str = ""
    refused: str = ""
    missing: str = ""


@dataclass(frozen=True, slots=True)
class AnsweredQuestion:
    """A question, the inputs in words, what the mathematics says of it, and every answer."""

    name: str
    inputs: str
    mathematics: str
    answers: tuple[Answer, ...]


@dataclass(frozen=True, slots=True)
class SemanticTable:
    """All questions, and the states of the backends that were asked."""

    questions: tuple[AnsweredQuestion, ...]
    backends: tuple[BackendState, ...]
