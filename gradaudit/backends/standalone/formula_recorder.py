"""A user's Python formula, called once on symbols: what it does to them is written down, nothing is computed.

    def loss(z, y, m):
        return m.logsumexp(z) - m.take(z, y)

The parameters are named: z (the scaled logits), y (the label), q (target probabilities), w (class weights), n (the
number of classes), m (the functions), and the user's constants. The request holds "target" and "folders", as those of
subjects do, "kinds" (name of each symbol), "constants" (numbers by name), "functions" (what m offers) and
"most_nodes". The notes of the response hold "nodes": [operation, arguments, value, line], line being the place in the
user's file that asked for it.

Run by path in any Python from 3.8 with NumPy; imports nothing of gradaudit.
"""

from __future__ import annotations

import difflib
import importlib.util
import inspect
import os
import sys
from typing import Any, Dict, List, Optional

Request = Dict[str, Any]


def _sibling(stem: str) -> Any:
    """A file beside this one, loaded by path like this one."""
    name = "gradaudit_adapter_" + stem
    if name not in sys.modules:
        path = os.path.join(os.path.dirname(os.path.abspath(__file__)), stem + ".py")
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


user_code = _sibling("user_code")


class FormulaError(TypeError):
    """The function asks for something that a formula cannot have."""


class UnsupportedError(Exception):
    """Never raised: every formula that can be recorded is supported."""


def hello(threads: int) -> dict[str, Any]:
    """Nothing needs to be imported."""
    user_code.watch()
    return {"versions": {}, "dtypes": [], "threads": threads, "details": {}}


def evaluate(request: Request, arrays: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG001 - an adapter's signature
    """The graph of the formula that the request names, as notes."""
    found = None
    try:
        found = user_code.find(request["target"], request["folders"])
        if not callable(found):
            raise user_code.UnusableSubjectError(
                "%s is a %s; a formula is a function, def loss(z, y, m): ..."
                % (request["target"], type(found).__name__)
            )
        recording = Recording(request["most_nodes"])
        result = recording.finished(found(**_arguments(found, request, recording)))
    except BaseException as error:
        user_code.mark(error, found)
        raise
    notes = {"nodes": recording.nodes, "result": result, "defined": str(user_code.place_of(found))}
    return {"seconds": 0.0, "notes": notes}


def _arguments(found: Any, request: Request, recording: Recording) -> dict[str, Any]:
    """What the function is called with, by the names of its parameters."""
    known: dict[str, Any] = {name: recording.input(name) for name in request["kinds"]}
    known.update(request["constants"])
    known["m"] = Namespace(recording, request["functions"])
    passed = {}
    for parameter in inspect.signature(found).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if parameter.kind == parameter.POSITIONAL_ONLY:
            raise user_code.UnusableSubjectError(
                "%s takes %r by position only; remove the / from its parameters"
                % (user_code.name_of(found), parameter.name)
            )
        if parameter.name in known:
            passed[parameter.name] = known[parameter.name]
        elif parameter.default is parameter.empty:
            raise user_code.UnusableSubjectError(
                "%s has a parameter %r, which stands for nothing here%s"
                % (user_code.name_of(found), parameter.name, _meant(parameter.name, list(known)))
            )
    return passed


def _meant(name: str, known: List[str]) -> str:
    elsewhere = {"x": "z", "logits": "z", "targets": "y", "target": "y", "labels": "y", "label": "y", "weight": "w"}
    nearest = [elsewhere[name]] if elsewhere.get(name) in known else difflib.get_close_matches(name, known, n=1)
    own = "; name numbers of your own under constants: {%s: 2.0}" % name
    return ("; did you mean %r?" % nearest[0] if nearest else "; there are " + ", ".join(known)) + own


class Recording:
    """The operations so far, in the order in which they were asked for."""

    def __init__(self, most: int) -> None:
        self.nodes: List[list[Any]] = []
        self.most = most

    def add(self, operation: str, arguments: List[int], value: Any = None) -> Symbol:
        """Write an operation down."""
        if len(self.nodes) >= self.most:
            raise FormulaError("more than %d operations; a formula has no loop over classes or rows" % self.most)
        self.nodes.append([operation, arguments, value, _line()])
        return Symbol(self, len(self.nodes) - 1)

    def input(self, name: str) -> Symbol:
        """A symbol for one of the inputs."""
        return self.add("input", [], name)

    def symbol(self, value: Any) -> Optional[Symbol]:
        """What `value` is in the graph: a symbol, or a number; None for anything else."""
        if isinstance(value, Symbol):
            return value if value.recording is self else None
        number = as_number(value)
        return None if number is None else self.add("constant", [], number)

    def finished(self, result: Any) -> int:
        """The position of what the function returned."""
        if isinstance(result, Symbol) and result.recording is self:
            return result.position
        raise FormulaError("it returned %s; expected what it made of z" % _described(result))


class Symbol:
    """A value of the formula that is not known. It can be computed with, and not looked at."""

    def __init__(self, recording: Recording, position: int) -> None:
        self.recording = recording
        self.position = position

    def _with(self, operation: str, other: Any, swapped: bool = False) -> Any:
        symbol = self.recording.symbol(other)
        if symbol is None:
            return NotImplemented
        pair = [symbol.position, self.position] if swapped else [self.position, symbol.position]
        return self.recording.add(operation, pair)

    def __array_ufunc__(self, ufunc: Any, method: str, *values: Any, **options: Any) -> Any:
        operation = {"true_divide": "divide"}.get(ufunc.__name__, ufunc.__name__)
        symbols = [self.recording.symbol(value) for value in values]
        named = operation in ("add", "subtract", "multiply", "divide") and method == "__call__" and not options
        if not named or any(symbol is None for symbol in symbols):
            raise FormulaError("np.%s cannot be recorded; use the functions of m, as in m.exp(z)" % ufunc.__name__)
        return self.recording.add(operation, [symbol.position for symbol in symbols if symbol is not None])

    def __add__(self, other: Any) -> Any:
        return self._with("add", other)

    def __radd__(self, other: Any) -> Any:
        return self._with("add", other, True)

    def __sub__(self, other: Any) -> Any:
        return self._with("subtract", other)

    def __rsub__(self, other: Any) -> Any:
        return self._with("subtract", other, True)

    def __mul__(self, other: Any) -> Any:
        return self._with("multiply", other)

    def __rmul__(self, other: Any) -> Any:
        return self._with("multiply", other, True)

    def __truediv__(self, other: Any) -> Any:
        return self._with("divide", other)

    def __rtruediv__(self, other: Any) -> Any:
        return self._with("divide", other, True)

    def __neg__(self) -> Symbol:
        return self.recording.add("negate", [self.position])

    def __pos__(self) -> Symbol:
        return self

    def __pow__(self, exponent: Any) -> Symbol:
        number = as_number(exponent)
        if number is None:
            raise FormulaError("an exponent is a number; write m.exp(b * m.log(a)) for a to the power of b")
        return self.recording.add("power", [self.position], number)

    def __getitem__(self, index: Any) -> Symbol:
        if not isinstance(index, Symbol):
            raise FormulaError("only the label picks a class: a[y] or m.take(a, y)")
        return self.recording.add("take", [self.position, index.position])

    def _looked_at(self, *_: Any) -> Any:
        raise FormulaError(
            "a formula is recorded without values: it cannot compare, branch on, convert or count them; use the "
            "functions of m"
        )

    __bool__ = __float__ = __int__ = __index__ = __len__ = __iter__ = __contains__ = _looked_at
    __lt__ = __le__ = __gt__ = __ge__ = __array__ = __abs__ = __rpow__ = __mod__ = __floordiv__ = _looked_at
    __eq__ = __ne__ = _looked_at
    __hash__ = object.__hash__


class Namespace:
    """The functions of a formula: m.logsumexp(z), m.take(z, y), ..."""

    def __init__(self, recording: Recording, functions: List[str]) -> None:
        self._recording = recording
        self._functions = functions

    def __dir__(self) -> List[str]:
        return list(self._functions)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name not in self._functions:
            nearest = difflib.get_close_matches(name, self._functions, n=1)
            hint = "did you mean m.%s?" % nearest[0] if nearest else "there are " + ", ".join(self._functions)
            raise AttributeError("m has no %r; %s" % (name, hint))

        def call(*values: Any) -> Symbol:
            due = 2 if name == "take" else 1
            symbols = [self._recording.symbol(value) for value in values]
            if len(values) != due or any(symbol is None for symbol in symbols):
                usage = "m.take(a, y)" if name == "take" else "m.%s(a)" % name
                came = ", ".join(map(_described, values)) or "nothing"
                raise FormulaError("%s takes values of the formula; %s came" % (usage, came))
            return self._recording.add(name, [symbol.position for symbol in symbols if symbol is not None])

        return call


def as_number(value: Any) -> Optional[float]:
    """A real number as a float; None for anything else."""
    if isinstance(value, bool) or not hasattr(value, "__float__") or isinstance(value, (str, Symbol)):
        return None
    if getattr(value, "shape", ()) != ():
        return None
    number = float(value)
    if number - number != 0.0:
        raise FormulaError("%r is no finite number" % number)
    return number


def _line() -> str:
    """The innermost place of the user's on the stack."""
    frame = sys._getframe(2)
    while frame is not None:
        if user_code.is_users(frame.f_code.co_filename):
            return "%s:%d" % (user_code.shown_path(frame.f_code.co_filename), frame.f_lineno)
        frame = frame.f_back  # type: ignore[assignment]
    return ""


def _described(value: Any) -> str:
    if isinstance(value, Symbol):
        return "a value of the formula"
    if value is None:
        return "None"
    return "the %s %.40r" % (type(value).__name__, value)
