"""The arguments of `assert_gradients` as a case and settings, by the models that specs go through."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gradaudit.errors import FlagError
from gradaudit.records.case import Case, InlineArray

if TYPE_CHECKING:
    import numpy as np

    from gradaudit.pipeline import Settings
    from gradaudit.records.location import Location
    from gradaudit.specs.nodes import Node

ARGUMENTS = (
    *("logits", "targets", "axis", "dtypes", "scale", "upstream", "probes", "derivatives", "name", "backend"),
    *(
        "kwargs",
        "factory",
        "input",
        "one_hot_targets",
        "profile",
        "autocast",
        "expect",
        "ignore",
        "select",
        "fail_on",
    ),
    "seed",
)
"""The keyword arguments of `assert_gradients`; any other is a parameter of the function."""

ROWS, CLASSES, SPREAD = 7, 11, 2.0
"""The logits where none are given: neither number divides the other, so that no two factors look alike."""


def requested(
    loss: object,
    function: str | Mapping[str, object],
    given: Mapping[str, Any],
    parameters: Mapping[str, object],
    caller: Location,
) -> tuple[Case, Settings]:
    """The case of a live loss, and how it is to be run; FlagError (RequestError) for arguments that make no sense."""
    from gradaudit.specs.probes import names
    from gradaudit.testing.live import live_subject

    settings = _settings(given)
    function = _function(function, parameters)
    subject = live_subject(loss, given, caller)
    keys, values = _keys(function, given, subject.backend)
    case = _built(keys, subject.name, caller)
    if values is not None:
        case = dataclasses.replace(case, logits=InlineArray(values), shape=values.shape)
    case = dataclasses.replace(case, subjects=(subject,), backends=(), backends_named=True, source=caller)
    chosen = given.get("probes", "standard")
    probes = names(case) if chosen == "standard" else case.probes
    return dataclasses.replace(case, probes=probes, derivatives=subject.derivatives), settings


def _function(function: str | Mapping[str, object], parameters: Mapping[str, object]) -> dict[str, object]:
    if isinstance(function, str):
        named: dict[str, object] = {"name": function}
    elif isinstance(function, Mapping):
        named = dict(function)
    else:
        raise FlagError(
            f"function: {function!r} is no name of a function; name what the loss is meant to compute, for example "
            '"cross_entropy", and give its parameters by name: label_smoothing=0.1'
        )
    _check_names(named.get("name"), parameters)
    return named | {key: _plain(value) for key, value in parameters.items()}


def _check_names(function: object, parameters: Mapping[str, object]) -> None:
    """FlagError for a keyword that is neither an argument nor a parameter of the function."""
    import difflib

    from gradaudit.functions import registry

    if function not in registry.names():
        return
    known = [parameter.name for parameter in registry.get(str(function)).parameters]
    for key in parameters:
        if key in known:
            continue
        close = difflib.get_close_matches(key, [*known, *ARGUMENTS], n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"that has {', '.join(known)}"
        raise FlagError(f"{key}=: no argument of assert_gradients and no parameter of {function}; {hint}")


def _keys(
    function: Mapping[str, object], given: Mapping[str, Any], backend: str
) -> tuple[dict[str, object], np.ndarray | None]:
    """The keys of a spec, and the logits where they are values: those need not pass through lists."""
    values = None
    shape = _shape(given.get("logits"), function)
    if shape is None:
        values = _array(given["logits"])
        shape = values.shape
    keys: dict[str, object] = {
        "function": function if len(function) > 1 or "name" not in function else function["name"],
        "logits": {"random": {"shape": list(shape), "scale": SPREAD, "seed": int(given.get("seed", 0))}},
        # Stands for the live callable, which takes its place when the case is built.
        "subjects": [{backend: "gradaudit.testing:live"}],
    }
    targets = given.get("targets")
    if targets is not None or _takes_targets(function):
        keys["targets"] = _targets(targets)
    upstream = given.get("upstream", "random")
    keys["upstream"] = upstream if isinstance(upstream, (str, dict)) else {"values": _plain(upstream)}
    for key in ("axis", "dtypes", "scale", "name"):
        if given.get(key) is not None:
            keys[key] = _plain(given[key])
    for key in ("expect", "ignore"):
        chosen = given.get(key) or ()
        keys[key] = [chosen] if isinstance(chosen, str) else [_plain(each) for each in chosen]
    if given.get("probes", "standard") != "standard":
        keys["probes"] = _plain(given["probes"])
    return keys, values


def _built(keys: Mapping[str, object], name: str, caller: Location) -> Case:
    from gradaudit.rules import registry
    from gradaudit.specs.draft import Context
    from gradaudit.specs.loading import build_case
    from gradaudit.specs.nodes import raise_for

    case, problems = build_case(_tree(keys, caller), name, Context(known_codes=registry.codes))
    raise_for(problems)
    assert case is not None, "a case without problems"
    return case


def _tree(keys: Mapping[str, object], caller: Location) -> Node:
    from gradaudit.specs.nodes import Node, from_plain

    entries = {}
    for key, value in keys.items():
        try:
            entries[key] = from_plain(value, caller, f"{key}=")
        except TypeError as error:
            raise FlagError(f"{key}=: {error}; give numbers, text, or lists of them") from None
    return Node(entries, caller, caller, "assert_gradients")


def _settings(given: Mapping[str, Any]) -> Settings:
    from gradaudit.pipeline import Settings
    from gradaudit.records.finding import SEVERITIES
    from gradaudit.rules import registry

    fail_on, select = given.get("fail_on", "error"), given.get("select", ())
    if fail_on not in SEVERITIES:
        raise FlagError(f"fail_on={fail_on!r}: expected {', '.join(reversed(SEVERITIES))}")
    seed = given.get("seed", 0)
    if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
        raise FlagError(f"seed={seed!r}: expected a whole number from 0 on")
    select = (select,) if isinstance(select, str) else tuple(select)
    registry.check_prefixes(select, "select=")
    return Settings(seed=seed, select=select, fail_on=fail_on, command=("gradaudit.testing",))


def _shape(logits: object, function: Mapping[str, object]) -> tuple[int, ...] | None:
    """The shape of logits that are to be drawn; None where they are values."""
    if logits is None:
        weight = function.get("weight")
        return ROWS, len(weight) if isinstance(weight, list) else CLASSES
    if isinstance(logits, tuple) and logits and all(isinstance(each, int) for each in logits):
        return tuple(int(each) for each in logits)
    return None


def _array(values: object) -> np.ndarray:
    import numpy as np

    try:
        array = np.array(_host(values), dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise FlagError(f"logits=: {values!r} is no array of numbers ({error}); give values, or a shape") from None
    array.flags.writeable = False
    return array


def _targets(targets: object) -> object:
    if targets is None:
        return {"random": {}}
    if isinstance(targets, str):
        return {"random": {"kind": targets}}
    return _plain(targets)


def _takes_targets(function: Mapping[str, object]) -> bool:
    from gradaudit.functions import registry
    from gradaudit.records.case import SELF

    name = function.get("name")
    if name == SELF or name not in registry.names():
        return name in (SELF, None)
    return registry.get(str(name)).takes_targets


def _plain(value: Any) -> object:
    """Lists and numbers in place of arrays and tensors."""
    value = _host(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(each) for each in value]
    return value


def _host(value: Any) -> Any:
    """A tensor as float64 or int64 numbers on the host; anything else as it is."""
    if not hasattr(value, "detach"):
        return value
    tensor = value.detach().cpu()
    return tensor.double().numpy() if tensor.is_floating_point() else tensor.numpy()
