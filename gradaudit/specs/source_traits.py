"""What the source of a loss tells of how it wants to be called. It is read and not run; what does not show is not
claimed."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

TARGETS = frozenset({"y_true", "true", "target", "targets", "label", "labels", "y", "gt", "ground_truth"})
PREDICTIONS = frozenset(
    {"y_pred", "pred", "preds", "prediction", "predictions", "logits", "logit", "output", "outputs", "scores", "x"}
)
UPSTREAMS = frozenset(
    {"upstream", "grad", "grad_output", "grad_outputs", "grad_out", "g", "dy", "dout", "cotangent", "ct", "head_grad"}
)
READINGS = {
    "probabilities": frozenset({"probs", "prob", "probabilities", "proba"}),
    "log_probabilities": frozenset({"log_probs", "log_prob", "logprobs", "log_probabilities", "logp"}),
}
"""Names of a first parameter that is not the logits, by what a spec calls it."""

ENCODERS = frozenset({"one_hot", "to_categorical", "scatter", "scatter_", "eye"})
"""Calls that make one-hot rows of labels."""
ONE_HOT_LOSSES = frozenset({
    "categorical_crossentropy",
    "CategoricalCrossentropy",
    "softmax_cross_entropy_with_logits",
    "softmax_cross_entropy",
})  # fmt: skip
"""Losses of Keras, TensorFlow and Optax that take one-hot rows, and no labels."""
LOOKUPS = frozenset({"gather", "take_along_axis", "take_along_dim", "take", "index_select", "nll_loss"})
"""Calls to which labels are indices."""
NOT_LOSSES = frozenset({"Tensor", "Variable"})

Function = ast.FunctionDef | ast.AsyncFunctionDef


def targets_first(inputs: Sequence[str]) -> bool:
    """Whether the parameters are named as Keras orders them: (targets, predictions)."""
    names = [name.lower() for name in inputs[:2]]
    return len(names) == 2 and names[0] in TARGETS and names[1] in PREDICTIONS


def reading(inputs: Sequence[str]) -> str:
    """What the first parameter is by its name: logits, probabilities or log_probabilities."""
    first = inputs[0].lower() if inputs else ""
    return next((what for what, names in READINGS.items() if first in names), "logits")


def takes_one_hot(function: Function, targets: str) -> bool:
    """Whether its targets must be one-hot rows: they are a factor, or go into a loss that takes such rows alone."""
    for node in ast.walk(function):
        if isinstance(node, ast.Name) and node.id == targets and isinstance(node.ctx, ast.Store):
            return False
        if isinstance(node, ast.Call) and _last_name(node.func) in ENCODERS:
            return False
        looked_up = isinstance(node, ast.Subscript) or (
            isinstance(node, ast.Call) and _last_name(node.func) in LOOKUPS
        )
        if looked_up and any(isinstance(each, ast.Name) and each.id == targets for each in _within(node)):
            return False
    return any(_wants_rows(node, targets) for node in ast.walk(function))


def makes_a_loss(function: Function) -> bool:
    """Whether it returns a function or an object to call, and not a loss: a factory."""
    within = {each.name for each in ast.walk(function) if isinstance(each, Function | ast.ClassDef)}
    returned = [each.value for each in _own_returns(function.body) if each.value is not None]
    return bool(returned) and all(_callable(value, within - {function.name}) for value in returned)


def _within(node: ast.AST) -> Iterator[ast.AST]:
    """What stands in an index or among the arguments of a call, and not what is indexed or called."""
    parts = [node.slice] if isinstance(node, ast.Subscript) else []
    if isinstance(node, ast.Call):
        parts = [*node.args, *(keyword.value for keyword in node.keywords)]
    return (each for part in parts for each in ast.walk(part))


def _wants_rows(node: ast.AST, targets: str) -> bool:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        return any(isinstance(side, ast.Name) and side.id == targets for side in (node.left, node.right))
    if isinstance(node, ast.Call) and _last_name(node.func) in ONE_HOT_LOSSES:
        given = [*node.args, *(keyword.value for keyword in node.keywords)]
        return any(isinstance(each, ast.Name) and each.id == targets for each in given)
    return False


def _own_returns(body: Sequence[ast.stmt]) -> Iterator[ast.Return]:
    """The returns of a function, without those of functions within it."""
    waiting: list[ast.AST] = list(body)
    while waiting:
        node = waiting.pop(0)
        if isinstance(node, ast.Return):
            yield node
        elif not isinstance(node, Function | ast.ClassDef | ast.Lambda):
            waiting += ast.iter_child_nodes(node)


def _callable(value: ast.expr, within: set[str]) -> bool:
    if isinstance(value, ast.Lambda) or (isinstance(value, ast.Name) and value.id in within):
        return True
    name = _last_name(value.func) if isinstance(value, ast.Call) else ""
    return name == "partial" or (name[:1].isupper() and name not in NOT_LOSSES)


def _last_name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
