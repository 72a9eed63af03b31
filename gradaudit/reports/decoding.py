"""JSON values back into records, by the type hints of the records, with the path of what does not fit."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Hashable, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np

from gradaudit.errors import ReportError

T = TypeVar("T")

SPELLED = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
"""How the JSON report spells the numbers that JSON does not have."""


def record(kind: type[T], given: object, where: str, **known: object) -> T:
    """A record of the fields that `given` holds under their names; those in `known` are taken as they are.

    `where` is the path of `given` in the document. A field that is absent gets its default. Fields that the record
    does not have are passed over: a later gradaudit may have added them. Raises ReportError.
    """
    fields = mapping(given, where)
    hints = _hints(typing.cast(Hashable, kind))
    values = dict(known)
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]
        if field.name in known:
            continue
        if field.name in fields:
            values[field.name] = decoded(hints[field.name], fields[field.name], f"{where}.{field.name}")
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise ReportError(f"{where}.{field.name} is missing")
    return kind(**values)


def decoded(hint: Any, given: object, where: str) -> Any:  # noqa: PLR0911 - one return for each kind of hint
    """`given` as what `hint` asks for: a scalar, a record, an array, a tuple or a mapping of such, or ReportError.

    Pairs of a name and a value are written as an object; its names come back sorted, as do those of any mapping.
    """
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return _one_of(arguments, given, where)
    if origin is tuple:
        if isinstance(given, Mapping) and typing.get_origin(arguments[0]) is tuple:
            name, value = typing.get_args(arguments[0])
            return tuple(
                (decoded(name, key, where), decoded(value, given[key], f"{where}.{key}")) for key in sorted(given)
            )
        return _entries(arguments, sequence(given, where), where)
    if origin is not None and issubclass(origin, Mapping):
        fields = mapping(given, where)
        return MappingProxyType({key: decoded(arguments[1], fields[key], f"{where}.{key}") for key in sorted(fields)})
    if hint is np.ndarray:
        return array(given, where)
    if dataclasses.is_dataclass(hint):
        return record(typing.cast(type, hint), given, where)
    return given if hint is object else _scalar((hint,), given, where)


def array(given: object, where: str) -> np.ndarray:
    """Nested lists of numbers as an array: int64 where every number is whole, else float64. Raises ReportError."""
    try:
        found = np.array(_numbers(given, where))
    except ValueError:
        raise ReportError(f"{where}: expected lists of one length") from None
    return found if found.dtype.kind == "i" and found.size else found.astype(np.float64)


def mapping(given: object, where: str) -> Mapping[str, object]:
    """`given`, if it is an object; ReportError otherwise."""
    if isinstance(given, Mapping):
        return given
    raise ReportError(f"{where}: expected an object, not {_shown(given)}")


def sequence(given: object, where: str) -> list[object]:
    """`given`, if it is a list; ReportError otherwise."""
    if isinstance(given, list):
        return given
    raise ReportError(f"{where}: expected a list, not {_shown(given)}")


def _entries(arguments: tuple[Any, ...], given: list[object], where: str) -> tuple[Any, ...]:
    if arguments[-1:] == (Ellipsis,):
        return tuple(decoded(arguments[0], entry, f"{where}[{index}]") for index, entry in enumerate(given))
    if len(given) != len(arguments):
        raise ReportError(f"{where}: expected {len(arguments)} entries, not {len(given)}")
    pairs = enumerate(zip(arguments, given, strict=True))
    return tuple(decoded(hint, entry, f"{where}[{index}]") for index, (hint, entry) in pairs)


def _one_of(hints: tuple[Any, ...], given: object, where: str) -> Any:
    if given is None and types.NoneType in hints:
        return None
    compound = [hint for hint in hints if hint not in (types.NoneType, bool, int, float, str)]
    return decoded(compound[0], given, where) if compound else _scalar(hints, given, where)


def _scalar(hints: tuple[Any, ...], given: object, where: str) -> Any:
    if float in hints:
        if isinstance(given, str) and given in SPELLED:
            return SPELLED[given]
        if isinstance(given, int) and not isinstance(given, bool) and int not in hints:
            return float(given)
    # By the very type: True is an int to isinstance.
    if type(given) in hints:
        return given
    names = [{float: "a number", int: "a whole number", str: "a text", bool: "true or false"}.get(h) for h in hints]
    raise ReportError(f"{where}: expected {' or '.join(name for name in names if name)}, not {_shown(given)}")


def _numbers(given: object, where: str) -> Any:
    if isinstance(given, list):
        return [_numbers(entry, where) for entry in given]
    return _scalar((int, float), given, where)


def _shown(given: object) -> str:
    if isinstance(given, Mapping):
        return "an object"
    return "a list" if isinstance(given, list) else "null" if given is None else f"{given!r:.60}"


@cache
def _hints(kind: Any) -> dict[str, Any]:
    # Records that hold arrays name NumPy for the sake of types alone.
    return typing.get_type_hints(kind, localns={"np": np})
