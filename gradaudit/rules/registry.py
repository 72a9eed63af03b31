"""The rules that are installed, by code and by name."""

from __future__ import annotations

from gradaudit import plugins
from gradaudit.errors import FlagError, PluginError
from gradaudit.rules.interface import Rule

GROUP = "gradaudit.rules"


def codes() -> tuple[str, ...]:
    """The codes of all rules, sorted, without importing the rules."""
    return plugins.names(GROUP)


def get(code: str) -> Rule:
    """The rule registered under `code`; PluginError where that is no rule, or one of another code."""
    rule = plugins.get(GROUP, code)
    if not isinstance(rule, Rule):
        raise PluginError(f"{GROUP}: {code!r} is a {type(rule).__name__}, not a Rule")
    if rule.code != code:
        raise PluginError(f"{GROUP}: {code!r} holds the rule {rule.code}; the entry point must be named {rule.code}")
    return rule


def rules() -> tuple[Rule, ...]:
    """Every rule, sorted by code; PluginError where two of them share a name."""
    found = tuple(get(code) for code in codes())
    by_name: dict[str, Rule] = {}
    for rule in found:
        other = by_name.setdefault(rule.name, rule)
        if other is not rule:
            raise PluginError(f"{GROUP}: {other.code} and {rule.code} are both called {rule.name!r}; rename one")
    return found


def find(code_or_name: str) -> Rule:
    """The rule with this code (in any case) or name; FlagError with the nearest ones where there is none."""
    wanted = code_or_name.strip()
    if wanted.upper() in codes():
        return get(wanted.upper())
    known = {rule.name: rule for rule in rules()}
    if wanted.lower() in known:
        return known[wanted.lower()]
    raise FlagError(f"no rule has the code or name {code_or_name!r}{_nearest(wanted, (*codes(), *known))}")


def beginning_with(letters: str) -> tuple[Rule, ...]:
    """The rules whose codes begin with these letters and digits, if they are fewer than a code has; () for a code."""
    wanted = letters.strip().upper()
    if wanted in codes():
        return ()
    return tuple(get(code) for code in codes() if wanted and code.startswith(wanted))


def check_prefixes(prefixes: tuple[str, ...], flag: str) -> None:
    """FlagError where a prefix given to `flag` (--select, --ignore) begins no code."""
    for prefix in prefixes:
        if not _begins_some_code(prefix):
            raise FlagError(f"{flag} {prefix!r}: no rule's code begins with it{_nearest(prefix, _beginnings())}")


def matches(code: str, prefixes: tuple[str, ...]) -> bool:
    """Whether the code begins with one of the prefixes, in any case of letters."""
    return any(code.startswith(prefix.strip().upper()) for prefix in prefixes)


def _begins_some_code(prefix: str) -> bool:
    return bool(prefix.strip()) and any(matches(code, (prefix,)) for code in codes())


def _beginnings() -> tuple[str, ...]:
    return tuple(sorted({code[:3] for code in codes()} | set(codes())))


def _nearest(wanted: str, known: tuple[str, ...]) -> str:
    import difflib  # only a wrong name pays for it

    by_case = {name.upper(): name for name in known}
    close = [by_case[name] for name in difflib.get_close_matches(wanted.strip().upper(), by_case, n=3, cutoff=0.5)]
    guess = f"; did you mean {' or '.join(close)}?" if close else "."
    return f"{guess} `gradaudit rules` lists them all"
