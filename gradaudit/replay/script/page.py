"""The script as text: what was found, the inputs, the call, and the verdict on the elements that showed it."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gradaudit.errors import ReplayError
from gradaudit.records.measurement import Element
from gradaudit.replay.saved import Saved
from gradaudit.replay.script import literals

WIDTH = 110

NOT_RUN = 3
"""The status of a script that could not be run: neither is the fault shown, nor is it gone."""


@dataclass(frozen=True, slots=True)
class Call:
    """The part of a script that computes: what it needs, the imports, and the source of a function `compute()` that
    returns {"loss": ..., "gradient" or "jacobian": ...} as NumPy arrays; it `prepares` by a function of that name."""

    needs: tuple[str, ...]
    imports: tuple[str, ...]
    source: str
    prepares: bool = False


def text(saved: Saved, call: Call, arrays: Mapping[str, str]) -> str:
    """The whole file; `arrays` are the inputs as Python expressions by their names."""
    parts = [
        f'"""{_introduction(saved, call)}\n"""',
        _imports([*(_FAILS_IMPORTS if saved.failure else _COMPARES_IMPORTS), *call.imports]),
        "\n".join(f"{name.upper()} = {expression}" for name, expression in arrays.items()),
    ]
    prepared = {"prepare": "        prepare()\n" if call.prepares else ""}
    if saved.failure is not None:
        parts += [call.source, _FAILS.format(seconds=literals.number(_patience(saved)), **prepared)]
    else:
        parts += [_elements(saved), call.source, _COMPARES.format(**prepared)]
    return "\n\n\n".join(part.strip("\n") for part in parts) + "\n"


def _imports(named: Iterable[str]) -> str:
    """Statements that import, once each; without what they name no verdict is given."""
    future = sorted({each for each in named if each.startswith("from __future__")})
    rest = sorted({*named} - {*future, "import sys"})
    guarded = ["import sys", "", "try:", *(f"    {each}" for each in rest), "except ImportError as error:"]
    return "\n".join([*future, *guarded, '    print("this cannot run here: %s" % error)', f"    sys.exit({NOT_RUN})"])


def shown(saved: Saved) -> list[tuple[str, Element]]:
    """The elements that are wrong by themselves, with the name of their array; ReplayError where none is."""
    found = [(each.name, element) for each in saved.numbers for element in each.worst if _is_wrong(element)]
    if not found:
        codes = ", ".join(finding.code for finding in saved.findings) or "it"
        raise ReplayError(
            f"no script can show {codes} by the numbers of one call: no element is beyond its tolerance by itself. "
            f"`gradaudit replay {saved.folder}` runs the evaluation again with all that is held against it"
        )
    return found


def _is_wrong(element: Element) -> bool:
    got, exact = element.got, element.reference
    if math.isnan(exact) or math.isinf(exact):
        return not (got == exact or (math.isnan(got) and math.isnan(exact)))
    return not abs(got - exact) <= element.tolerance


def _patience(saved: Saved) -> float:
    return saved.run.timeout + 60.0  # an import of a framework takes some of it


def _introduction(saved: Saved, call: Call) -> str:
    who = saved.key.subject if saved.key.says_backend else f"{saved.key.subject} ({saved.key.backend})"
    versions = ", ".join(f"{name} {version}" for name, version in saved.versions)
    said = [finding.message for finding in saved.findings]
    if saved.failure is not None and not said:
        said = [saved.failure.message]
    lines = [
        f"{saved.case.function.name} in {saved.key.dtype}: a fault of {who}, shown without gradaudit.",
        "",
        *(line for each in said for line in textwrap.wrap(each, WIDTH)),
        "",
        f"Needs {', '.join(call.needs)}. Found with {versions}.",
        f"Exits 1 where the fault shows, 0 where it does not, and {NOT_RUN} where it could not be run.",
    ]
    # Names and messages of others stand inside a string of three quotes.
    return "\n".join(_harmless(line) for line in lines)


def _harmless(line: str) -> str:
    escaped = line.replace("\\", "\\\\").replace('"', '\\"')
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in escaped)


def _elements(saved: Saved) -> str:
    rows = [
        f"    ({name!r}, {element.index!r}, {literals.number(element.got)}, {literals.number(element.reference)}, "
        f"{literals.number(element.tolerance)}),"
        for name, element in shown(saved)
    ]
    return (
        "# array, index, what was returned then, the exact value, the most that rounding can do to it\n"
        + "\n".join(["ELEMENTS = [", *rows, "]"])
    )


_COMPARES = """
def is_right(got, exact, tolerance):
    if exact != exact:
        return got != got
    return got == exact or abs(got - exact) <= tolerance


def main():
    try:
{prepare}        found = compute()
    except Exception:
        traceback.print_exc()
        print("it raised, where numbers are expected: they cannot be compared")
        return 3
    wrong = 0
    for name, index, then, exact, tolerance in ELEMENTS:
        array = found.get(name)
        got = float("nan")
        if array is not None and array.ndim == len(index) and all(i < size for i, size in zip(index, array.shape)):
            got = float(array[index])
        elif array is None or array.size != 1 or index:
            print("%s: no element %s in what was returned" % (name, list(index)))
        else:
            got = float(array.reshape(()))
        right = is_right(got, exact, tolerance)
        wrong += not right
        print("%s%s: %.9g; exact %.9g, tolerance %.3g: %s (it was %.9g)" % (
            name, list(index), got, exact, tolerance, "right" if right else "WRONG", then))
    print("%d of %d elements are wrong" % (wrong, len(ELEMENTS)))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
"""

_COMPARES_IMPORTS = ("import traceback",)

_FAILS = """
def main():
    # In a process of its own: what ends it, or never ends, is seen from here.
    if "--here" in sys.argv:
{prepare}        for name, array in compute().items():
            print(name, array)
        return 0
    try:
        ended = subprocess.run([sys.executable, os.path.abspath(__file__), "--here"], timeout={seconds}).returncode
    except subprocess.TimeoutExpired:
        print("it did not return within {seconds} seconds")
        return 1
    if not ended:
        print("it returned: the fault does not show")
        return 0
    print("it raised" if ended == 1 else "the process ended with status %d" % ended)
    return 1


if __name__ == "__main__":
    sys.exit(main())
"""

_FAILS_IMPORTS = ("import os", "import subprocess")
