"""How values of the user's appear in messages: shortened, harmless, and beside the nearest valid choice."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

LONGEST = 60
"""Characters of a value that a message shows."""

MOST_MEANT = 4
"""Choices that a suggestion names at most."""

OTHER_NAMES = {
    "half": "float16",
    "fp16": "float16",
    "f16": "float16",
    "bf16": "bfloat16",
    "brain": "bfloat16",
    "single": "float32",
    "float": "float32",
    "fp32": "float32",
    "f32": "float32",
    "double": "float64",
    "fp64": "float64",
    "f64": "float64",
    "pytorch": "torch",
    "ort": "onnxruntime",
    "onnx": "onnxruntime",
    "np": "numpy",
    "ce": "cross_entropy",
    "crossentropy": "cross_entropy",
    "lse": "logsumexp",
    "gaussian": "normal",
    "randn": "normal",
    "rand": "uniform",
    "labels": "targets",
    "label": "targets",
    "dim": "axis",
    "head": "upstream",
    "cotangent": "upstream",
    "grad_outputs": "upstream",
    "inputs": "logits",
    "x": "logits",
    "jacobian": "per_output",
}
"""What people call a thing elsewhere, and its name here: too far apart for a comparison of letters."""


def escaped(text: str) -> str:
    """`text` with every control, bidirectional and other unprintable character as its escape sequence."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def shortened(text: str) -> str:
    """`text` escaped, and cut to LONGEST characters."""
    head = escaped(text[: LONGEST + 1])
    return head if len(head) <= LONGEST else head[: LONGEST - 3] + "..."


def path_text(path: str) -> str:
    """A path in quotes, in full: its last part says most."""
    return f"'{escaped(path)}'"


def shown(value: object) -> str:
    """A value as a message names it: text in quotes, numbers as YAML spells them, containers by their kind."""
    match value:
        case None:
            text = "an empty value"
        case bool():
            text = "true" if value else "false"
        case str():
            text = f"'{shortened(value)}'"
        case dict():
            keys = shortened(", ".join(str(key) for key in list(value)[:8]))
            text = f"a mapping ({keys})" if value else "an empty mapping"
        case list() | tuple():
            text = f"a list of {len(value)}" if value else "an empty list"
        case float():
            text = number(value)
        case _:
            text = shortened(str(value))
    return text


def number(value: float) -> str:
    """A float as YAML spells it: `.inf`, `.nan`, and no needless zeros."""
    if value != value:  # noqa: PLR0124 - NaN is the one number that differs from itself
        return ".nan"
    if value in (float("inf"), float("-inf")):
        return ".inf" if value > 0 else "-.inf"
    return str(int(value)) if value.is_integer() and abs(value) < 1e16 else repr(value)


def counted(amount: int, noun: str) -> str:
    """`1 case`, `2 cases`."""
    return f"{amount} {noun}{'' if amount == 1 else 's'}"


def one_of(choices: Iterable[str]) -> str:
    """The choices as a sentence has them: "a, b or c"."""
    words = list(choices)
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} or {words[-1]}"


def nearest(word: str, choices: Iterable[str]) -> str | None:
    """The choice that was probably meant by `word`, if any is near enough."""
    known = list(choices)
    lower = word.strip().lower().replace("-", "_")
    synonym = OTHER_NAMES.get(lower)
    if synonym in known:
        return synonym
    folded = {choice.lower(): choice for choice in reversed(known)}
    matches = difflib.get_close_matches(lower, folded, n=1)
    return folded[matches[0]] if matches else None


def did_you_mean(word: object, choices: Iterable[str]) -> str:
    """ "; did you mean 'x'?" where a near choice exists, else the list of all choices.

    A word that several choices begin with ("keras" of "keras-jax" and "keras-torch") means any of them.
    """
    known = list(choices)
    family = [choice for choice in known if isinstance(word, str) and choice.startswith(f"{word}-")]
    if 1 < len(family) <= MOST_MEANT:
        return f"; did you mean {one_of(map(repr, family))}?"
    match = nearest(word, known) if isinstance(word, str) else None
    if match is not None:
        return f"; did you mean {match!r}?"
    return f"; expected {one_of(known)}" if known else ""


def shape_text(shape: Iterable[int]) -> str:
    """A shape as specs spell it: `[2, 3]`, and "one number" for no axes."""
    sizes = list(shape)
    return f"[{', '.join(map(str, sizes))}]" if sizes else "one number"
