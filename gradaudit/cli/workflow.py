"""The workflow for GitHub Actions that `gradaudit init` writes, and where in a repository it belongs."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

PLACE = ".github/workflows/gradaudit.yml"
BASELINE = "gradaudit-baseline.txt"

TEXT = """\
# Audits every *.gradaudit.yaml, or the specs of [tool.gradaudit] in pyproject.toml. Written by `gradaudit init`.
name: gradaudit
on: [push, pull_request]
permissions:
  contents: read
jobs:
  gradients:
    runs-on: ubuntu-latest
    timeout-minutes: 30
{defaults}    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with:
          python-version: "3.12"
{cache}      # What your losses import has to be installed too.
      - name: Install
        run: >-
          python -m pip install {packages}
{remark}      - name: Audit
        run: >-
          gradaudit check --output-format github{baseline}
          --report json=gradaudit.json --report html=gradaudit.html --report markdown="$GITHUB_STEP_SUMMARY"
      - name: Keep the reports
        if: always()
        uses: actions/upload-artifact@v4
        with:
          name: gradaudit
          path: |
            {folder}gradaudit.json
            {folder}gradaudit.html
          if-no-files-found: ignore
"""

REMARK = f"""\
      # To fail for what is new or worse alone: `gradaudit baseline update`, commit {BASELINE}, and
      # add --baseline {BASELINE} here.
"""


def repository(folder: Path) -> Path:
    """The root of the repository that `folder` is in: GitHub reads workflows there alone. `folder` itself where it is
    in none."""
    return next((each for each in (folder, *folder.parents) if (each / ".git").exists()), folder)


def project(folder: Path, root: Path) -> Path:
    """From where the audit is to run: the nearest folder with a [tool.gradaudit] from `folder` up to `root`; else
    `root`."""
    for each in (folder, *folder.parents):
        if re.search(r"^\[tool\.gradaudit[\].]", _read(each / "pyproject.toml"), re.MULTILINE):
            return each
        if each == root:
            break
    return root


def text(root: Path, working: Path, requirement: str) -> str:
    """The workflow of the repository at `root` that installs `requirement` and what the project in `working` needs,
    and runs there."""
    below = "" if working == root else working.relative_to(root).as_posix()
    defaults = f"    defaults:\n      run:\n        working-directory: {json.dumps(below)}\n" if below else ""
    parts = [shlex.quote(requirement)]
    if requirement != "." and re.search(r"^\[project\]", _read(working / "pyproject.toml"), re.MULTILINE):
        parts.append("-e .")
    if (working / "requirements.txt").is_file():
        parts.append("-r requirements.txt")
    by_project = re.search(r"^\s*baseline\s*=", _read(working / "pyproject.toml"), re.MULTILINE) is not None
    by_flag = not by_project and (working / BASELINE).is_file()
    return TEXT.format(
        defaults=defaults,
        # Without one of these files the cache has no key, and the step fails.
        cache="          cache: pip\n" if _locks(root) else "",
        packages=" ".join(parts),
        remark="" if by_project or by_flag else REMARK,
        baseline=f" --baseline {BASELINE}" if by_flag else "",
        folder=f"{below}/" if below else "",
    )


def _locks(root: Path) -> bool:
    """Whether there is what setup-python makes the key of its cache of."""
    return any((root / name).is_file() for name in ("requirements.txt", "pyproject.toml"))


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""
