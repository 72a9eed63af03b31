"""A live callable as a subject: its name, the framework that it is written in, and what it claims."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Iterator, Mapping
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any

from gradaudit.errors import FlagError
from gradaudit.records.subject import INPUTS, SECOND_ORDER, Subject

if TYPE_CHECKING:
    from gradaudit.records.location import Location

FRAMEWORKS = ("torch", "jax", "tensorflow", "numpy")
"""Frameworks that a live loss may be written in, the first one where nothing tells."""

CLAIMS = ("compute", "accumulate", "storage", "formulation")


def live_subject(loss: object, given: Mapping[str, Any], caller: Location) -> Subject:
    """The subject that `loss` and the arguments about it stand for; FlagError where they are wrong."""
    if isinstance(loss, str):
        raise FlagError(
            f"loss={loss!r}: a callable was expected, not its name; import it, or audit it by name in a spec "
            "(subjects:) with `gradaudit check`"
        )
    if not callable(loss):
        raise FlagError(
            f"loss={loss!r}: {type(loss).__name__} is not callable; give loss(logits, targets), a Module, an "
            "autograd.Function, or a NumPy function that returns (loss, gradient)"
        )
    backend = given.get("backend") or framework_of(loss)
    if backend not in FRAMEWORKS:
        raise FlagError(f"backend={backend!r}: a live loss runs in {' or '.join(FRAMEWORKS)}; name one of them")
    _one_of("input", given.get("input", "logits"), INPUTS)
    derivatives = given.get("derivatives", 1)
    if derivatives not in (1, 2) or (derivatives == 2 and backend not in SECOND_ORDER):
        raise FlagError(
            f"derivatives={derivatives!r}: expected 1, or 2 for a loss written in {' or '.join(SECOND_ORDER)}"
        )
    profile = dict(given.get("profile") or {})
    for key in profile:
        _one_of("profile key", key, CLAIMS)
    return Subject(
        name=str(given.get("name") or _name(loss)),
        backend=backend,
        target=_target(loss),
        kwargs=dict(given.get("kwargs") or {}),
        factory=bool(given.get("factory", False)),
        input=given.get("input", "logits"),
        targets="one_hot" if given.get("one_hot_targets") else "as_given",
        profile=profile,
        autocast=given.get("autocast"),
        location=caller,
        live=loss,
        derivatives=derivatives,
    )


def framework_of(loss: object) -> str:
    """The framework that a callable is made of: by its class, by what its code names, else torch."""
    kind = loss if isinstance(loss, type) else type(loss)
    bases = [base.__module__.partition(".")[0] for base in kind.__mro__]
    function = _function(loss)
    named = set(bases) | (set(_named(function, set())) if function is not None else set())
    named.add(str(getattr(function or loss, "__module__", "")).partition(".")[0])
    if "keras" in named and "tensorflow" in sys.modules:
        named.add("tensorflow")
    return next((framework for framework in FRAMEWORKS if framework in named), FRAMEWORKS[0])


def _function(loss: object) -> FunctionType | None:
    """The Python function behind a function, a method, a partial or an object with `__call__`."""
    while hasattr(loss, "func"):
        loss = loss.func
    if isinstance(loss, MethodType):
        loss = loss.__func__
    if not isinstance(loss, FunctionType) and not isinstance(loss, type):
        loss = vars(type(loss)).get("__call__")
    loss = inspect.unwrap(loss) if callable(loss) else loss
    return loss if isinstance(loss, FunctionType) else None


def _named(function: FunctionType, seen: set[FunctionType]) -> Iterator[str]:
    """The top-level packages that a function's code refers to, by way of the functions that it calls too."""
    if function in seen:
        return
    seen.add(function)
    cells = [cell.cell_contents for cell in function.__closure__ or () if _filled(cell)]
    for value in (*_globals_of(function), *cells):
        owner = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
        if isinstance(owner, str):
            yield owner.partition(".")[0]
        if isinstance(value, FunctionType):
            yield from _named(value, seen)
    yield from _imports(function.__code__)


def _globals_of(function: FunctionType) -> Iterator[object]:
    """The globals that the code names, and what it may take out of the modules among them."""
    for code in _codes(function.__code__):
        for name in code.co_names:
            found = function.__globals__.get(name)
            if found is not None:
                yield found
            if isinstance(found, ModuleType):
                taken = (vars(found).get(other) for other in code.co_names)
                yield from (value for value in taken if isinstance(value, FunctionType))


def _imports(code: CodeType) -> Iterator[str]:
    """Modules that the code itself may import: names of its own that are loaded."""
    for inner in _codes(code):
        yield from (name.partition(".")[0] for name in inner.co_names if name.partition(".")[0] in sys.modules)


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:  # the name is assigned later
        return False


def _name(loss: Any) -> str:
    name = getattr(loss, "__name__", None) or getattr(_function(loss), "__name__", "")
    return type(loss).__name__ if name in ("", "__call__", "_wrapped_call_impl") else str(name)


def _target(loss: Any) -> str:
    """Where the callable is defined, as `path.py:name`, or `module:name` where no file is known."""
    function = _function(loss)
    shown = loss if isinstance(loss, type) or function is None else function
    if not isinstance(loss, (type, FunctionType, MethodType)) and function is None:
        shown = type(loss)
    try:
        path = os.path.relpath(inspect.getsourcefile(shown) or "")
    except (TypeError, ValueError):
        path = str(getattr(shown, "__module__", "") or "builtins")
    return f"{path}:{getattr(shown, '__qualname__', _name(loss))}"


def _one_of(what: str, value: object, known: tuple[str, ...]) -> None:
    if value in known:
        return
    import difflib

    close = difflib.get_close_matches(str(value), known, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(known)}"
    raise FlagError(f"{what}={value!r} is not known; {hint}")
