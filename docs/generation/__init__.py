"""Makes the pages of docs/reference/ from the package: rules, functions, the spec, the JSON report, the commands.

`conf.py` calls :func:`write` before each build; nothing of what it writes is kept in git.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from generation import commands, functions, report, rules, spec

SECTIONS = (spec, functions, rules, commands, report)
"""In the order of the table of contents."""

INDEX = """# Reference

Made from the code, of this version, when the documentation is built.

* [The spec](spec.md): every key, what it may be, and what it is unless given.
* [Functions](functions/index.md): definition, gradient, parameters and source; a formula, or no truth at all.
* [Rules](rules/index.md): what each code flags and why, the mathematics, examples, what to do.
* [Command line](commands.md): commands, flags, and what the [exit status](commands.md#exit-status) means.
* [The JSON report](report.md): every field.

```{toctree}
:hidden:

spec
functions/index
rules/index
commands
report
```
"""


def pages() -> Iterator[tuple[str, str]]:
    """Every page: its path below docs/reference/, and its text."""
    yield "index.md", INDEX
    for section in SECTIONS:
        yield from section.pages()


def write(folder: Path) -> None:
    """Write the pages into `folder` where they differ, and remove whatever else is there."""
    made = {folder / name: text for name, text in pages()}
    for path in folder.rglob("*.md") if folder.exists() else ():
        if path not in made:
            path.unlink()
    for path, text in made.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
