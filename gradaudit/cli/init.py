"""`gradaudit init`: a spec for a loss, and the workflow that audits it."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gradaudit.cli.streams import say, write_lines
from gradaudit.errors import FlagError

if TYPE_CHECKING:
    from gradaudit.specs.sketch import Sketch

WORKFLOW = ".github/workflows/gradaudit.yml"

WORKFLOW_TEXT = """\
# Audits every *.gradaudit.yaml, or the specs of [tool.gradaudit] in pyproject.toml. Written by `gradaudit init`.
name: gradaudit
on: [push, pull_request]
permissions:
  contents: read
jobs:
  gradients:
    runs-on: ubuntu-latest
    timeout-minutes: 30
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with:
          python-version: "3.12"
      # What your losses import has to be installed too.
      - name: Install
        run: python -m pip install {packages}
      - name: Audit
        run: >-
          gradaudit check --output-format github
          --report json=gradaudit.json --report markdown="$GITHUB_STEP_SUMMARY"
      - name: Keep the report
        if: always()
        uses: actions/upload-artifact@v4
        with:
          name: gradaudit
          path: gradaudit.json
          if-no-files-found: ignore
"""


def init(
    target: Annotated[
        str,
        typer.Argument(metavar="LOSS", help="PATH.py:NAME, MODULE:NAME or PATH.onnx; it is read and not imported."),
    ],
    output: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="Where the spec goes. [default: NAME.gradaudit.yaml here]"),
    ] = None,
    workflow: Annotated[
        bool, typer.Option("--workflow/--no-workflow", help=f"Write {WORKFLOW} too, for GitHub Actions.")
    ] = True,
    force: Annotated[bool, typer.Option("--force", help="Overwrite what is there.")] = False,
) -> int:
    """Write a commented spec for a loss of your own, and the workflow that audits it.

    What the loss computes is guessed from its name and its defaults: read the spec before you trust its verdict.
    """
    from gradaudit.cli import report_formats
    from gradaudit.specs.starting import spec_text

    found, file = _sketched(target)
    stem = re.sub(r"(?<=[a-z])(?=[A-Z])|[^\w]+", "_", found.attribute).lower().strip("_")
    spec = Path(output or f"{stem}.gradaudit.yaml")
    text = spec_text(found, _from(spec, target, file))
    _check(text, spec)
    files = [(spec, text)]
    place = Path(WORKFLOW)
    content = WORKFLOW_TEXT.format(packages=_packages())
    if workflow and not (place.is_file() and place.read_bytes() == content.encode()):
        files.append((place, content))
    taken = [str(path) for path, _ in files if os.path.lexists(path)]
    if taken and not force:
        raise FlagError(
            f"{' and '.join(taken)} {'is' if len(taken) == 1 else 'are'} there already; --force overwrites, "
            "--output PATH names another spec, and --no-workflow leaves the workflow alone"
        )
    for path, content in files:
        path.parent.mkdir(parents=True, exist_ok=True)
        report_formats.write_file(content, path)
    write_lines([f"wrote {path}" for path, _ in files])
    if found.required:
        say(f"{found.attribute} needs {', '.join(found.required)}: fill in kwargs: in {spec}")
    say(f"read {spec}, and then: gradaudit check {spec}")
    return 0


def _sketched(target: str) -> tuple[Sketch, Path]:
    """What the target is, and its file."""
    from gradaudit.specs.sketch import Sketch, sketch, source_file

    if target.endswith(".onnx"):
        if not Path(target).is_file():
            raise FlagError(f"{target!r}: there is no such file")
        return Sketch("onnx", Path(target).stem, ("logits", "targets"), (), (), ""), Path(target)
    where, colon, attribute = target.rpartition(":")
    if not colon or not where or not all(part.isidentifier() for part in attribute.split(".")):
        raise FlagError(f"{target!r} names no function; expected PATH.py:NAME or MODULE:NAME, e.g. losses.py:MyLoss")
    file = source_file(where)
    return sketch(file, attribute), file


def _from(spec: Path, target: str, file: Path) -> str:
    """The target as it is named in the spec: a file from the folder of the spec, a module as it is."""
    where, _, attribute = target.rpartition(":")
    if not where:
        return Path(os.path.relpath(file, spec.parent)).as_posix()
    return f"{Path(os.path.relpath(file, spec.parent)).as_posix()}:{attribute}" if where.endswith(".py") else target


def _check(text: str, spec: Path) -> None:
    """Read the text as `check` would; what is wrong with it then is said before anything is written."""
    from gradaudit.rules import registry
    from gradaudit.specs.loading import load_text

    load_text(text, str(spec), os.path.dirname(spec) or ".", known_codes=registry.codes)  # noqa: PTH120


def _packages() -> str:
    """What pip is to install: gradaudit, and what the project here says that it needs."""
    parts = ["gradaudit"]
    project = Path("pyproject.toml")
    if project.is_file() and re.search(r"^\[project\]", project.read_text("utf-8", "replace"), re.MULTILINE):
        parts.append("-e .")
    if Path("requirements.txt").is_file():
        parts.append("-r requirements.txt")
    return " ".join(parts)
