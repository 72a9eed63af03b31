"""Specs from paths, standard input or the project file."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from gradaudit.cli.project_file import ProjectFile, default_specs
from gradaudit.records.case import Case
from gradaudit.rules import registry
from gradaudit.specs.loading import load
from gradaudit.specs.overrides import NO_OVERRIDES, Overrides
from gradaudit.specs.sources import MAX_BYTES


def spec_paths(paths: Sequence[str], project: ProjectFile) -> tuple[str, ...]:
    """The paths that were named, or those of the project where none was."""
    return tuple(paths) or default_specs(project, Path.cwd())


def load_specs(paths: Sequence[str], project: ProjectFile, overrides: Overrides = NO_OVERRIDES) -> tuple[Case, ...]:
    """The cases of these specs; `-` reads standard input, one byte further than a spec may be long."""
    named = spec_paths(paths, project)
    text = sys.stdin.buffer.read(MAX_BYTES + 1) if "-" in named else None
    return load(named, text, overrides, registry.codes)
