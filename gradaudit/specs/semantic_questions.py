"""Where frameworks part company: inputs on which the mathematics leaves something open, or conventions differ.

Each question is put to the frameworks' own losses, as their users call them, and not to what gradaudit's adapters
make of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from gradaudit.functions import registry
from gradaudit.records.case import SELF
from gradaudit.records.function_call import FunctionCall
from gradaudit.records.inputs import Inputs
from gradaudit.records.subject import Subject

NAN, INF = float("nan"), float("inf")
IGNORED = -100
ONNX_RUNTIME = "onnxruntime"
CALLS = {"torch": "torch_calls.py", "tensorflow": "tensorflow_calls.py", "jax": "jax_calls.py"}
"""The file of each framework's calls, beside the adapters."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One call: in words, the backend that makes it, the function in its file of calls (or the operator of that
    framework's own semantics) and its options."""

    call: str
    backend: str
    function: str
    options: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Question:
    """A question and its inputs: float32 logits, labels or soft targets."""

    name: str
    mathematics: str
    logits: Any
    targets: Any
    asks: tuple[Ask, ...]

    @property
    def inputs(self) -> str:
        """The inputs in words."""
        return f"logits {_shown(self.logits)}, targets {_shown(self.targets)}"


def _torch(words: str = "", **options: Any) -> Ask:
    return Ask(f"torch F.cross_entropy({words})", "torch", "cross_entropy", options)


def _keras(words: str = "", **options: Any) -> Ask:
    call = f"keras SparseCategoricalCrossentropy({', '.join(filter(None, ('from_logits', words)))})"
    return Ask(call, "tensorflow", "keras_sparse", options)


def _onnx(words: str = "", **options: Any) -> Ask:
    return Ask(f"onnx SoftmaxCrossEntropyLoss({words})", ONNX_RUNTIME, "SoftmaxCrossEntropyLoss", options)


def _mxnet(operator: str, words: str = "", **options: Any) -> Ask:
    return Ask(f"mxnet {operator}({words})", "mxnet", operator, options)


SPARSE = Ask("tf.nn.sparse_softmax_cross_entropy_with_logits, mean", "tensorflow", "sparse")
SOFT = Ask("tf.nn.softmax_cross_entropy_with_logits, mean", "tensorflow", "soft")
TAKEN = Ask("jax -take_along_axis(log_softmax), mean", "jax", "taken")
ONE_HOT = Ask("jax -sum(targets * log_softmax), mean", "jax", "one_hot")
GLUON = _mxnet("SoftmaxCrossEntropyLoss")
SUMMED = _mxnet("softmax_cross_entropy")
ROWS = [[1.0, 2.0, 0.5], [0.0, -1.0, 3.0]]
ON_LABELS = (_torch(), _onnx(), SPARSE, _keras(), TAKEN, ONE_HOT, GLUON, SUMMED)
IGNORING = (
    _torch("ignore_index=-100"),
    _onnx("ignore_index=-100", ignore_index=IGNORED),
    _keras("ignore_class=-100", ignore_class=IGNORED),
    _mxnet(
        "SoftmaxOutput",
        "use_ignore, ignore_label=-100, normalization=valid",
        use_ignore=True,
        ignore_label=IGNORED,
        normalization="valid",
    ),
)
ON_SOFT = (
    _torch(),
    SOFT,
    Ask("keras CategoricalCrossentropy(from_logits)", "tensorflow", "keras_categorical"),
    ONE_HOT,
    _mxnet("SoftmaxCrossEntropyLoss", "sparse_label=False", sparse_label=False),
)

QUESTIONS = (
    Question(
        "all rows ignored, mean",
        "0/0: no mean of nothing is due",
        ROWS,
        [IGNORED, IGNORED],
        (*IGNORING, SPARSE, TAKEN),
    ),
    Question(
        "ignore_index is a class",
        "row 1 takes no part: the loss is that of row 0",
        ROWS,
        [0, 1],
        (
            _torch("ignore_index=1", ignore_index=1),
            _onnx("ignore_index=1", ignore_index=1),
            _keras("ignore_class=1", ignore_class=1),
            _mxnet(
                "SoftmaxOutput",
                "use_ignore, ignore_label=1, normalization=valid",
                use_ignore=True,
                ignore_label=1,
                normalization="valid",
            ),
        ),
    ),
    Question(
        "-inf logit of another class",
        "the class has probability 0: the loss is finite",
        [[1.0, 2.0, -INF]],
        [1],
        ON_LABELS,
    ),
    Question("-inf logit of the label", "-log 0: the loss is inf", [[1.0, 2.0, -INF]], [2], ON_LABELS),
    Question("a row of -inf alone", "0/0: no probabilities are due", [[-INF, -INF, -INF]], [1], ON_LABELS),
    Question("+inf logit of another class", "inf - inf under a shift: left open", [[1.0, INF, 0.0]], [0], ON_LABELS),
    Question("+inf logit of the label", "the limit of the loss is 0: left open", [[1.0, INF, 0.0]], [1], ON_LABELS),
    Question(
        "a NaN in one of two rows", "the other row's gradient is due", [ROWS[0], [NAN, 0.0, 1.0]], [0, 1], ON_LABELS
    ),
    Question(
        "soft targets that add up to 2",
        "the gradient is 2 p - q: p - q forgets the mass",
        [[1.0, 2.0, 0.5]],
        [[1.0, 1.0, 0.0]],
        ON_SOFT,
    ),
    Question("soft targets of zero", "loss and gradient are 0", [[1.0, 2.0, 0.5]], [[0.0, 0.0, 0.0]], ON_SOFT),
    Question("a label beyond the classes", "undefined", ROWS, [0, 3], ON_LABELS),
    Question("a negative label", "undefined", ROWS, [0, -1], ON_LABELS),
    Question(
        "weights that add up to 0, mean",
        "0/0: no mean is due",
        ROWS,
        [0, 0],
        (_torch("weight=[0, 1, 1]", weight={"tensor": [0.0, 1.0, 1.0]}),),
    ),
    Question(
        "label smoothing of 0.1",
        "conventions: 0.1 spread over all K classes, or over the K - 1 others",
        [[1.0, 2.0, 0.5]],
        [1],
        (
            _torch("label_smoothing=0.1", label_smoothing=0.1),
            Ask(
                "keras CategoricalCrossentropy(from_logits, label_smoothing=0.1)",
                "tensorflow",
                "keras_categorical",
                {"label_smoothing": 0.1},
            ),
            _mxnet("SoftmaxOutput", "smooth_alpha=0.1", smooth_alpha=0.1),
        ),
    ),
    Question(
        "smoothing and ignored rows, mean",
        "the ignored row takes no part in the smoothing either",
        ROWS,
        [0, IGNORED],
        (
            _torch("label_smoothing=0.1", label_smoothing=0.1),
            _mxnet(
                "SoftmaxOutput",
                "smooth_alpha=0.1, use_ignore, ignore_label=-100, normalization=valid",
                smooth_alpha=0.1,
                use_ignore=True,
                ignore_label=IGNORED,
                normalization="valid",
            ),
        ),
    ),
    Question(
        "an empty batch, mean", "0/0: no mean of nothing is due", np.zeros((0, 3)), np.zeros(0, np.int64), ON_LABELS
    ),
    Question("one class", "the loss is 0, and so is its gradient", [[2.0]], [0], ON_LABELS),
)


def backends() -> tuple[str, ...]:
    """Every backend that some question is put to, each once."""
    return tuple(dict.fromkeys(ask.backend for question in QUESTIONS for ask in question.asks))


def as_subjects(backend: str) -> bool:
    """Whether the backend's calls are subjects, and not operators of its own semantics."""
    return backend in CALLS or backend == ONNX_RUNTIME


def subject(ask: Ask, folder: str, written: Callable[[str, Mapping[str, Any]], str]) -> Subject | None:
    """The call as a subject, its file in `folder`; None where the backend has the operator itself.

    `written` makes the file of an ONNX operator, of its name and options, and returns its path.
    """
    if ask.backend == ONNX_RUNTIME:
        stem = "_".join([ask.function, *(f"{name}_{value}" for name, value in ask.options.items())])
        return Subject(ask.call, ask.backend, written(stem, ask.options))
    if ask.backend not in CALLS:
        return None
    return Subject(ask.call, ask.backend, f"{CALLS[ask.backend]}:{ask.function}", ask.options, base_directory=folder)


def inputs(question: Question, ask: Ask) -> Inputs:
    """The arrays of a question for one call, under an upstream gradient of ones."""
    logits = np.array(question.logits, dtype=np.float32)
    targets = np.array(question.targets)
    targets = targets.astype(np.float32 if targets.dtype.kind == "f" and targets.ndim == logits.ndim else np.int64)
    if as_subjects(ask.backend):
        call, shape = FunctionCall(SELF, MappingProxyType({"output": "loss", "reduction": "mean"})), ()
    else:
        definition = registry.get(f"{ask.backend}.{ask.function}")
        meaning = {each.name: each.default for each in definition.parameters} | dict(ask.options)
        call = FunctionCall(f"{ask.backend}.{ask.function}", MappingProxyType(meaning))
        shape = {"SoftmaxOutput": logits.shape, "SoftmaxCrossEntropyLoss": logits.shape[:1]}.get(ask.function, (1,))
    upstream = np.ones(shape, np.float32)
    return Inputs(call, "float32", 1.0, (1,), logits, targets, upstream, per_output=False, weight=None)


def _shown(values: Any) -> str:
    array = np.asarray(values)
    if array.size == 0:
        return f"of the shape {array.shape}"
    return str(array.tolist()).replace("nan", "NaN")
