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

EXTRAS = ("jax", "tensorflow")
"""Frameworks that do not come with gradaudit, by the names of the extras that bring them."""

GITLAB_JOB = (
    "the jobs of this repository are GitLab's; one with these lines audits: pip install gradaudit; "
    "gradaudit check --report gitlab=gl-code-quality.json --report junit=gradaudit.xml"
)


def init(
    target: Annotated[
        str,
        typer.Argument(metavar="LOSS", help="PATH.py:NAME, MODULE:NAME or PATH.onnx; it is read and not imported."),
    ],
    output: Annotated[
        str | None,
        typer.Option(
            metavar="PATH", help="Where the spec goes, a file or a folder. [default: NAME.gradaudit.yaml here]"
        ),
    ] = None,
    workflow: Annotated[
        bool | None,
        typer.Option(
            "--workflow/--no-workflow",
            help="Write .github/workflows/gradaudit.yml too, for GitHub Actions. [default: unless the repository is "
            "GitLab's]",
            show_default=False,
        ),
    ] = None,
    requirement: Annotated[
        str | None,
        typer.Option(
            metavar="REQUIREMENT", help="What the workflow installs. [default: as this gradaudit was installed]"
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite what is there.")] = False,
) -> int:
    """Write a commented spec for a loss of your own, and the workflow that audits it.

    What the loss computes is guessed from its name and its defaults: read the spec before you trust its verdict.
    """
    from gradaudit.cli import report_formats
    from gradaudit.cli import workflow as workflows
    from gradaudit.specs import starting

    found, file = _sketched(target)
    spec = _place(output, found.attribute)
    if os.path.lexists(spec) and not force:
        raise FlagError(f"{spec} is there already; --force overwrites, and --output PATH names another spec")
    _check(starting.spec_text(found, _from(Path(), target, file)))
    files = [(spec, starting.spec_text(found, _from(spec.parent, target, file)))]
    notes = []
    root = workflows.repository(Path.cwd())
    gitlab = workflow is None and (root / ".gitlab-ci.yml").is_file() and not (root / ".github").exists()
    if gitlab:
        notes.append(f"{GITLAB_JOB} (--workflow writes one for GitHub Actions)")
    elif workflow is not False:
        place = Path(os.path.relpath(root / workflows.PLACE))
        content, remark = _workflow(root, requirement, found.framework)
        if not os.path.lexists(place) or force:
            files.append((place, content))
            notes.append(remark)
        else:
            notes.append(_kept(place, content, found.framework))
    if requirement is not None and (gitlab or workflow is False):
        raise FlagError("--requirement is for the workflow, and none is written; --workflow writes it")
    for path, content in files:
        path.parent.mkdir(parents=True, exist_ok=True)
        report_formats.write_file(content, path)
    write_lines([f"wrote {path}" for path, _ in files])
    missing = starting.to_fill_in(found)
    if missing:
        notes.append(f"{found.attribute} needs {', '.join(missing)}: fill in kwargs: in {spec}")
    notes += [starting.called_otherwise(found), _unfound(spec)]
    for note in notes:
        if note:
            say(note)
    say(f"read {spec}, and then: gradaudit check {spec}")
    return 0


def _place(output: str | None, attribute: str) -> Path:
    """Where the spec goes: a file, or a folder for one of the usual name."""
    stem = re.sub(r"(?<=[a-z])(?=[A-Z])|[^\w]+", "_", attribute).lower().strip("_")
    name = f"{stem}.gradaudit.yaml"
    if output is None:
        return Path(name)
    if output.endswith(("/", os.sep)) or Path(output).is_dir():
        return Path(output, name)
    if Path(output).suffix not in (".yaml", ".yml"):
        raise FlagError(
            f"--output {output!r}: the name of a spec ends in .yaml; expected such as {Path(output, name)}, "
            f"or a folder ({output}/)"
        )
    return Path(output)


def _workflow(root: Path, given: str | None, framework: str) -> tuple[str, str]:
    """The text of the workflow, and what is to be said of it."""
    from gradaudit.cli import requirement, workflow

    working = workflow.project(Path.cwd(), root)
    asked, remark = (requirement.checked(given), "") if given is not None else requirement.installed(root, working)
    if framework in EXTRAS and given is None:
        asked = requirement.with_extra(asked, framework)
    return workflow.text(root, working, asked), remark


def _kept(place: Path, content: str, framework: str) -> str:
    """What to say of a workflow that is there and may be the user's own by now."""
    there = place.read_text("utf-8", "replace") if place.is_file() else ""
    if framework in EXTRAS and framework not in there:
        return f"{place} stays as it is, and does not name {framework}: it has to install gradaudit[{framework}] too"
    return "" if there == content else f"{place} is there already and stays as it is; --force writes it anew"


def _unfound(spec: Path) -> str:
    """What to say where `gradaudit check` alone, and so the workflow, would not come upon the spec."""
    from gradaudit.cli import project_file
    from gradaudit.errors import RequestError

    project = project_file.read(Path.cwd())
    if not project.values.get("specs"):
        if spec.name.endswith(project_file.SPELLINGS):
            return ""
        return f"`gradaudit check` by itself finds {project_file.PATTERN}; it is to be told of {spec}"
    try:
        named = [Path(each).resolve() for each in project_file.default_specs(project, Path.cwd())]
    except RequestError:
        named = []
    if any(spec.resolve().is_relative_to(each) for each in named):
        return ""
    return f"{project.place('specs')} does not name {spec}: add it, or `gradaudit check` by itself passes it over"


def _sketched(target: str) -> tuple[Sketch, Path]:
    """What the target is, and its file."""
    from gradaudit.specs.sketch import Sketch, sketch
    from gradaudit.specs.source_files import source_file

    if target.endswith(".onnx"):
        if not Path(target).is_file():
            raise FlagError(f"{target!r}: there is no such file")
        return Sketch("onnx", Path(target).stem, ("logits", "targets"), (), (), ""), Path(target)
    where, colon, attribute = target.rpartition(":")
    if not colon or not where or not all(part.isidentifier() for part in attribute.split(".")):
        raise FlagError(f"{target!r} names no function; expected PATH.py:NAME or MODULE:NAME, e.g. losses.py:MyLoss")
    file = source_file(where)
    return sketch(file, attribute), file


def _from(folder: Path, target: str, file: Path) -> str:
    """The target as a spec in `folder` names it: a file by its path from there, a module as it is."""
    where, _, attribute = target.rpartition(":")
    path = Path(os.path.relpath(file, folder)).as_posix()
    if not where:
        return path
    return f"{path}:{attribute}" if where.endswith(".py") else target


def _check(text: str) -> None:
    """Read the text, as of a spec in this folder, as `check` would; what is wrong with it is said before anything is
    written."""
    from gradaudit.rules import registry
    from gradaudit.specs.loading import load_text

    load_text(text, "the spec", ".", known_codes=registry.codes)
