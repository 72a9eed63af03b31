"""What pip is to install so that another machine has this gradaudit."""

from __future__ import annotations

import json
import os
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from gradaudit.errors import FlagError

NAME = "gradaudit"


def checked(text: str) -> str:
    """A requirement that was given: one for pip, which no shell and no workflow reads as anything else.

    FlagError where it is none.
    """
    if not text.strip() or text.lstrip().startswith("-") or not text.isprintable() or "${{" in text:
        raise FlagError(
            f"--requirement {text!r}: expected one requirement as pip takes it: gradaudit==0.1.0, "
            "'gradaudit @ git+https://HOST/REPOSITORY@REF', or a path in this repository"
        )
    return text.strip()


def installed(root: Path, working: Path) -> tuple[str, str]:
    """The requirement by which this gradaudit was installed (PEP 610), and a remark, "" where there is none to make.

    What was installed from a folder or file of this machine is named by its path from `working` where it is in the
    repository at `root`; else by its name alone, which the remark then says.
    """
    try:
        described = json.loads(metadata.distribution(NAME).read_text("direct_url.json") or "null")
    except (metadata.PackageNotFoundError, ValueError, OSError):
        described = None
    if not isinstance(described, dict) or not isinstance(described.get("url"), str):
        return NAME, ""
    url = described["url"]
    parts = urlsplit(url)
    if parts.scheme == "file":
        return _local(Path(unquote(parts.path)), root, working)
    if parts.password or not url.isprintable():
        return NAME, "this gradaudit was installed from an address with a password: --requirement names one without"
    found = f"{NAME} @ {_reference(url, described)}"
    subdirectory = described.get("subdirectory")
    return (f"{found}#subdirectory={subdirectory}" if isinstance(subdirectory, str) else found), ""


def with_extra(requirement: str, extra: str) -> str:
    """The requirement with an extra of gradaudit's: `gradaudit[jax] @ git+...`, `./tools/gradaudit[jax]`."""
    if requirement == NAME or requirement.startswith((f"{NAME} ", f"{NAME}=", f"{NAME}<", f"{NAME}>", f"{NAME}~")):
        return f"{NAME}[{extra}]{requirement.removeprefix(NAME)}"
    return (
        f"{requirement}[{extra}]" if requirement.startswith("./") and not requirement.endswith("]") else requirement
    )


def _reference(url: str, described: dict[str, Any]) -> str:
    vcs = described.get("vcs_info")
    if not isinstance(vcs, dict):
        return url
    return f"{vcs.get('vcs', 'git')}+{url}@{vcs.get('commit_id') or vcs.get('requested_revision')}"


def _local(place: Path, root: Path, working: Path) -> tuple[str, str]:
    real = os.path.realpath(place)
    if Path(real).is_relative_to(os.path.realpath(root)):
        path = Path(os.path.relpath(real, os.path.realpath(working))).as_posix()
        return path if path.startswith(".") else f"./{path}", ""
    return NAME, (
        f"this gradaudit was installed from {place}, which no other machine has: the workflow installs {NAME!r} by "
        "name; --requirement names another, as pip takes it"
    )
