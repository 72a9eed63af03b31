"""`gradaudit validate`: read specs, start nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gradaudit.cli.streams import say, write_lines


def validate(
    paths: Annotated[
        list[str] | None,
        typer.Argument(metavar="PATH", help="Spec files or folders; - is standard input. Without: as for check."),
    ] = None,
) -> int:
    """Read specs and say what is wrong with them.

    Nothing of the user's is imported, and no backend is started. Exits 2 where a spec is wrong.
    """
    from gradaudit.cli import project_file
    from gradaudit.cli.spec_sources import load_specs, spec_paths
    from gradaudit.errors import RequestError
    from gradaudit.reports.number_format import count

    project = project_file.read(Path.cwd())
    status = 0
    for path in spec_paths(paths or [], project):
        try:
            cases = load_specs([path], project)
        except RequestError as error:
            say(str(error), prefix="error: ")
            status = error.exit_status
        else:
            write_lines([f"{path}: {count(len(cases), 'valid case')}"])
    return status
