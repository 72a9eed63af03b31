"""The flags that stand for keys of a spec: a table for the command line, free of heavy imports.

Each flag's text becomes a plain value as YAML would give it; the models then check it like any other. Importing
this module costs nothing: yaml is loaded only by a flag that holds brackets.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gradaudit.errors import FlagError


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag.

    `key` is the key of a case that it sets; `function.NAME` a parameter of the function. `repeatable` flags
    collect their values into a list. `parse` turns the text into a value; ValueError with the reason where it
    cannot.
    """

    name: str
    key: str
    metavar: str
    help: str
    parse: Callable[[str], object]
    repeatable: bool = False

    @property
    def parameter(self) -> str:
        """The name of the flag as a Python identifier."""
        return self.name.removeprefix("--").replace("-", "_")


def word(text: str) -> object:
    """One word, or a mapping or list in brackets."""
    return _flow(text) if text.lstrip().startswith(("{", "[")) else _filled(text)


def words(text: str) -> object:
    """A comma-separated list of words, or a list in brackets."""
    return _flow(text) if text.lstrip().startswith(("{", "[")) else [_filled(part) for part in text.split(",")]


def number(text: str) -> object:
    """One number: `1e-3`, `inf`, `.inf`, `nan`."""
    return _number(text)


def integer(text: str) -> object:
    """One whole number."""
    value = _number(text)
    if not isinstance(value, int):
        raise ValueError(f"{_quoted(text)} is not a whole number")
    return value


def numbers(text: str) -> object:
    """A comma-separated list of numbers, or one in brackets."""
    return _flow(text) if _in_brackets(text) else [_number(part) for part in text.split(",")]


def array(text: str) -> object:
    """Numbers separated by commas, rows by semicolons; or brackets; or a file, with or without @."""
    if _in_brackets(text):
        return _flow(text)
    file = _file(text)
    if file is not None:
        return file
    rows = [[_number(part) for part in row.split(",")] for row in text.split(";")]
    return rows if len(rows) > 1 else rows[0]


def targets(text: str) -> object:
    """Class indices or probabilities as `array` reads them, or `random,seed=1,ignored=5,kind=probabilities`."""
    if _first_word(text) == "random":
        return {"random": _options(text, numeric=("seed", "ignored"), textual=("kind",))}
    value = array(text)
    if isinstance(value, list) and len(value) == 1 and "," not in text and not _in_brackets(text):
        return value[0]
    return value


def upstream(text: str) -> object:
    """`ones`, `random`, `per_output`, `random,seed=3`, or the values as `array` reads them."""
    if _first_word(text) == "random" and "," in text:
        return {"random": _options(text, numeric=("seed",), textual=("generator",))}
    if _in_brackets(text):
        value = _flow(text)
        return {"values": value} if isinstance(value, list) else value
    if text.strip()[:1].isalpha() and text.strip().lower() not in ("inf", "nan"):
        return text.strip().replace("-", "_")
    return {"values": array(text)}


def random(text: str) -> object:
    """`normal,128x256,seed=42,scale=3,generator=torch`, in any order; or a mapping in braces."""
    if _in_brackets(text):
        return {"random": _flow(text)}
    drawn: dict[str, object] = {}
    for part in (part.strip() for part in text.split(",")):
        key, equals, value = part.partition("=")
        if equals:
            _set(drawn, key.strip(), _option(key.strip(), value, ("seed", "scale"), ("generator", "distribution")))
        elif part[:1].isdigit():
            _set(drawn, "shape", [integer(extent) for extent in part.lower().split("x")])
        else:
            _set(drawn, "distribution", _filled(part))
    return {"random": drawn}


def probes(text: str) -> object:
    """`none` or `standard`, or a list of probes."""
    return words(text) if "," in text or _in_brackets(text) else _filled(text)


def autocast(text: str) -> object:
    """`none`, or a dtype."""
    return None if text.strip().lower() in ("none", "null", "") else text.strip()


def subject(text: str) -> object:
    """`torch:losses.py:loss`, `onnx:loss.onnx`; or a mapping in braces, {torch: losses.py:loss, kwargs: {...}}."""
    if _in_brackets(text):
        value = _flow(text)
        return [value] if isinstance(value, dict) else value
    framework, colon, target = text.strip().partition(":")
    if not colon or not target or framework.endswith(".py"):
        raise ValueError(f"{_quoted(text)} does not begin with torch:, numpy:, jax: or onnx:")
    return [{framework: target}]


def interpreters(text: str) -> object:
    """`mxnet=/path/to/python`, also several with commas between them; or a mapping in braces."""
    if _in_brackets(text):
        return [_flow(text)]
    found: dict[str, object] = {}
    for part in text.split(","):
        name, equals, path = (piece.strip() for piece in part.partition("="))
        if not equals or not name or not path:
            raise ValueError(f"{_quoted(part.strip())} is not BACKEND=PATH")
        _set(found, name, path)
    return [found]


def expected(text: str) -> object:
    """Codes separated by commas, or {code: BUG461, formulation: unfused}."""
    value = words(text)
    return [value] if isinstance(value, dict) else value


FUNCTIONS = (
    *("softmax", "log_softmax", "logsumexp", "softcap", "cross_entropy", "focal", "poly", "kl_divergence"),
    *("margin", "z_loss"),
)
"""What comes with gradaudit, written down here so that a help text need not load it."""

FLAGS = (
    Flag("--name", "name", "TEXT", "Name of the case.", str),
    Flag("--function", "function", "NAME", f"{', '.join(FUNCTIONS)}, or self: no truth at hand.", word),
    Flag("--function-semantics", "semantics", "NAME", "mxnet: the function is MXNet's operator of that name.", str),
    Flag("--logits", "logits", "NUMBERS|FILE", "'0.1, 2', '1,2; 3,4', '[[0.1, 2]]' or data.npy.", array),
    Flag("--random", "logits", "SPEC", "Drawn logits: 'normal,128x256,seed=42,scale=3'.", random),
    Flag(
        "--targets",
        "targets",
        "NUMBERS|FILE",
        "Class indices or probabilities, or 'random,seed=1,ignored=5'.",
        targets,
    ),
    Flag("--axis", "axis", "INT[,INT]", "Class axis, or axes.", numbers),
    Flag("--upstream", "upstream", "KIND", "ones, random, per_output, 'random,seed=3', or the values.", upstream),
    Flag("--derivatives", "derivatives", "INT", "Order of the derivatives.", integer),
    Flag("--device", "device", "NAME", "Where the backends compute.", str),
    Flag("--autocast", "autocast", "DTYPE", "Torch subjects run under it.", autocast),
    Flag("--scale", "scale", "NUMBERS", "Factors of the logits, one evaluation each.", numbers, repeatable=True),
    Flag("--dtype", "dtypes", "NAMES", "float16, bfloat16, float32, float64.", words, repeatable=True),
    Flag("--backend", "backends", "NAMES", "numpy, torch, onnxruntime, tensorflow, jax, ...", words, repeatable=True),
    Flag("--python", "python", "BACKEND=PATH", "The interpreter that has a backend.", interpreters, repeatable=True),
    Flag("--formulation", "formulations", "NAMES", "fused, log_softmax, unfused, unshifted.", words, repeatable=True),
    Flag("--execution", "execution", "NAMES", "eager, graph, compiled.", words, repeatable=True),
    Flag("--subject", "subjects", "FRAMEWORK:PATH.py:NAME", "A function of your own.", subject, repeatable=True),
    Flag("--probes", "probes", "NAMES", "none, standard, or probes: inputs added to your own.", probes),
    Flag("--expect", "expect", "CODES", "Findings that must occur.", expected, repeatable=True),
    Flag("--formula", "function.formula", "TEXT", "Mathematics of your own, over z, y, q.", str),
    Flag("--constants", "function.constants", "MAPPING", "Names in the formula: '{gamma: 2.0}'.", word),
    Flag("--reduction", "function.reduction", "KIND", "none, mean or sum.", str),
    Flag("--label-smoothing", "function.label_smoothing", "NUMBER", "Mass spread over all classes.", number),
    Flag("--weight", "function.weight", "NUMBERS", "One weight for each class.", numbers),
    Flag("--ignore-index", "function.ignore_index", "INT", "Label whose rows take no part.", integer),
    Flag("--temperature", "function.temperature", "NUMBER", "The logits are divided by it.", number),
    Flag("--logit-scale", "function.logit_scale", "NUMBER", "The logits are multiplied by it.", number),
    Flag("--masked-classes", "function.masked_classes", "INTS", "Classes that take no part.", numbers),
    Flag("--softcap", "function.softcap", "NUMBER", "cross_entropy: logits become c tanh(z / c).", number),
    Flag("--z-loss", "function.z_loss", "NUMBER", "cross_entropy: coefficient of logsumexp squared.", number),
    Flag(
        "--entropy-regularization",
        "function.entropy_regularization",
        "NUMBER",
        "cross_entropy: factor of the entropy that is taken away.",
        number,
    ),
    Flag(
        "--logit-adjustment", "function.logit_adjustment", "NUMBERS", "cross_entropy: offset of each class.", numbers
    ),
    Flag("--coefficient", "function.coefficient", "NUMBER", "z_loss: factor of logsumexp squared.", number),
    Flag("--cap", "function.cap", "NUMBER", "softcap: the bound of the activation.", number),
    Flag("--gamma", "function.gamma", "NUMBER", "focal: exponent of 1 - p.", number),
    Flag("--alpha", "function.alpha", "NUMBERS", "focal: factor of each class.", numbers),
    Flag("--epsilon", "function.epsilon", "NUMBER", "poly: factor of 1 - p.", number),
    Flag("--margin-kind", "function.kind", "KIND", "margin: additive or angular.", str),
    Flag("--margin", "function.margin", "NUMBER", "margin: what the label's cosine loses.", number),
    Flag("--margin-scale", "function.scale", "NUMBER", "margin: factor of the cosines.", number),
)
"""Every flag that stands for a key of a case."""

_SPECIAL = {"inf": float("inf"), "nan": float("nan")}


def parsed(flag: Flag, texts: Sequence[str]) -> object:
    """The value of a flag given as `texts` (one, unless it is repeatable); FlagError where it is malformed."""
    values = [_parsed_text(flag, text) for text in texts]
    if not flag.repeatable:
        return values[-1]
    return [item for value in values for item in (value if isinstance(value, list) else [value])]


def given_as(flag: Flag, texts: Sequence[str]) -> str:
    """The flag and its text, as messages begin."""
    return f"{flag.name} {_quoted(','.join(texts))}"


def _parsed_text(flag: Flag, text: str) -> object:
    try:
        return flag.parse(text)
    except ValueError as error:
        raise FlagError(f"{given_as(flag, [text])}: {error}; expected {flag.metavar}: {flag.help}") from None


def _in_brackets(text: str) -> bool:
    return text.lstrip().startswith(("{", "["))


def _first_word(text: str) -> str:
    return text.split(",", maxsplit=1)[0].strip().lower()


def _filled(text: str) -> str:
    if not text.strip():
        raise ValueError("a word is empty")
    return text.strip()


def _number(text: str) -> int | float:
    bare = text.strip()
    unsigned = bare[1:] if bare[:1] in ("+", "-") else bare
    special = _SPECIAL.get(unsigned.lower().removeprefix("."))
    if special is not None:
        return -special if bare.startswith("-") else special
    if not bare:
        raise ValueError("a number is missing")
    if len(bare) > 400 or "_" in bare or not bare.isascii():
        raise ValueError(f"{_quoted(bare)} is not a number")
    try:
        return int(bare)
    except ValueError:
        pass
    try:
        value = float(bare)
    except ValueError:
        raise ValueError(f"{_quoted(bare)} is not a number") from None
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"{_quoted(bare)} lies beyond float64; infinity is written inf")
    return value


def _file(text: str) -> object | None:
    bare = text.strip()
    if bare.startswith("@"):
        return {"file": _filled(bare[1:])}
    known = bare.lower().endswith((".npy", ".npz", ".safetensors")) or ".npz:" in bare or ".safetensors:" in bare
    return {"file": bare} if known else None


def _options(text: str, numeric: tuple[str, ...], textual: tuple[str, ...]) -> dict[str, object]:
    """What follows the first word: `key=value`, separated by commas."""
    options: dict[str, object] = {}
    for part in text.split(",")[1:]:
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals:
            raise ValueError(f"{_quoted(part.strip())} is not key=value")
        _set(options, key, _option(key, value, numeric, textual))
    return options


def _option(key: str, value: str, numeric: tuple[str, ...], textual: tuple[str, ...]) -> object:
    if key in numeric:
        return _number(value)
    if key in textual:
        return _filled(value)
    raise ValueError(f"{_quoted(key)} is none of {', '.join((*numeric, *textual))}")


def _set(options: dict[str, object], key: str, value: object) -> None:
    if key in options:
        raise ValueError(f"{_quoted(key)} stands twice")
    options[key] = value


def _flow(text: str) -> object:
    """A list or mapping in brackets, as YAML or JSON spells it."""
    from gradaudit.errors import SpecError
    from gradaudit.specs.nodes import plain
    from gradaudit.specs.reader import read

    try:
        return plain(read(text, "flag"))
    except SpecError as error:
        raise ValueError(f"character {error.location.column}: {error.detail}") from None


def _quoted(text: str) -> str:
    from gradaudit.specs.wording import shortened

    return f"'{shortened(text)}'"
