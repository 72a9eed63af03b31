"""The console blocks of README.md. `python -m tests.end_to_end.readme` records them anew, to be read over before a
commit: the test beside it holds README.md against what the commands print. Those over framework_configs/ take every
framework: they are recorded where all are installed, and tested in tests/frameworks."""

import importlib.util
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.end_to_end.conftest import PROJECT, run

README = PROJECT / "README.md"

_BLOCK = re.compile(r"(?<=^```console\n)(\$ (gradaudit .*)\n)((?:.*\n)*?)(?=```$)", re.MULTILINE)
_NUMBER = re.compile(r"-?(?:\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?|inf|NaN)\*?")
_LINE = re.compile("─+")
_RECORDED = re.compile(
    r"recorded with torch (?P<torch>\S+) \((?P<cpu>\w+)\), NumPy (?P<numpy>\S+) "
    r"and ONNX Runtime (?P<onnxruntime>\S+);"
)


@dataclass(frozen=True)
class Block:
    """A command of README.md and what README.md says it prints, standard error after standard output."""

    command: str
    output: str


def blocks(text: str, *, every_framework: bool = False) -> Iterator[Block]:
    """Every console block that begins with `$ gradaudit`, in order: those that take every framework, or the rest."""
    for match in _BLOCK.finditer(text):
        if takes_every_framework(match[2]) == every_framework:
            yield Block(match[2], match[3])


def takes_every_framework(command: str) -> bool:
    """Whether a command needs more than what gradaudit itself installs."""
    return "framework_configs" in command


def printed(command: str) -> str:
    """What the command prints when it is run in the project's folder and piped."""
    name, *arguments = shlex.split(command)
    assert name == "gradaudit", command
    outcome = run(*arguments, cwd=PROJECT)
    return outcome.out + outcome.err


def recorded_on(text: str) -> dict[str, str]:
    """The versions and the processor that README.md names, line breaks apart."""
    match = _RECORDED.search(" ".join(text.split()))
    assert match is not None, "README.md does not say what its output was recorded with"
    return match.groupdict()


def running_on(report: Mapping[str, Any]) -> dict[str, str]:
    """The same of a JSON report."""
    states = {state["name"]: state for state in report["environment"]["backends"]}
    return {
        "torch": states["torch"]["version"].partition("+")[0],
        "cpu": states["torch"]["details"]["cpu_capability"],
        "numpy": states["numpy"]["version"],
        "onnxruntime": states["onnxruntime"]["version"],
    }


def without_numbers(output: str) -> str:
    """The words of an output: other versions and processors round differently, and columns follow the digits."""
    return " ".join(_LINE.sub("─", _NUMBER.sub("#", output)).replace("#*", "#").split())


def refreshed(text: str) -> str:
    """`text` with every block as it prints today; what cannot be run here stays as it is."""
    everything = all(importlib.util.find_spec(name) for name in ("tensorflow", "jax"))

    def again(match: re.Match[str]) -> str:
        runs = everything or not takes_every_framework(match[2])
        return match[1] + (printed(match[2]) if runs else match[3])

    return _BLOCK.sub(again, text)


if __name__ == "__main__":
    README.write_text(refreshed(README.read_text(encoding="utf-8")), encoding="utf-8")
