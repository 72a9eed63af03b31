"""`gradaudit schema`: the formats, as JSON Schema."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from gradaudit.cli.streams import write


def schema(
    of: Annotated[Literal["spec", "report"], typer.Argument(help="Which format.")] = "spec",
) -> int:
    """Print the JSON Schema of specs or reports."""
    import json

    if of == "spec":
        from gradaudit.specs.schema import json_schema

        document = json_schema()
    else:
        from gradaudit.reports.report_schema import report_schema

        document = report_schema()
    write(json.dumps(document, indent=2, sort_keys=True) + "\n")
    return 0
