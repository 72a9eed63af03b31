"""The pages of docs/ as their readers follow them: files are written, commands are run, in the order of the page.

`python -m tests.end_to_end.pages docs/tutorial.md ...` records what the commands of these pages print, to be read
over before a commit: test_docs.py holds every page against what its commands print. Blocks are, by their language,

* `console`: commands after `$`, each run in the page's folder, and what each prints, standard error after output;
* any with a `:caption:` (a `code-block`): a file of that name, written into the folder;
* `python` without one: run as a script;
* `yaml` without one: a spec, or keys of one, which are read;
* `sh`: what cannot be run here (it installs, or belongs to the project), and is looked up instead;
* `text`: no command.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

from tests.end_to_end.conftest import PROJECT, SCRIPT, environment

DOCS = PROJECT / "docs"
CODE_BLOCK = "{code-block} "
_ELAPSED = re.compile(r" in \d+\.\d\ds$", re.MULTILINE)
"""What pytest's last line ends in, which is another one each time."""

LANGUAGES = {"console", "python", "yaml", "toml", "sh", "text"}
PROGRAMS = {
    "gradaudit": [str(SCRIPT)],
    "pytest": [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"],
    "python": [sys.executable],
}


@dataclass(frozen=True)
class Block:
    """A fenced block: language and caption, its text, and the lines of the page that it stands on."""

    language: str
    caption: str | None
    text: str
    first: int
    last: int

    @property
    def commands(self) -> list[str]:
        """The lines after `$`."""
        return [line[2:] for line in self.text.splitlines() if line.startswith("$ ")]


def written() -> list[Path]:
    """The pages that people wrote; those that are made of the code stand in reference/."""
    return sorted(path for path in DOCS.glob("*.md") if path.is_file())


def blocks(text: str) -> list[Block]:
    """The fenced blocks of a page, without those that Sphinx alone reads (tables of contents)."""
    found = []
    for token in MarkdownIt().parse(text):
        info = token.info.strip()
        if token.type != "fence" or (info.startswith("{") and not info.startswith(CODE_BLOCK)):
            continue
        assert token.map is not None
        content, caption = token.content, None
        while info.startswith(CODE_BLOCK) and content.startswith(":"):
            option, _, content = content.partition("\n")
            name, _, value = option[1:].partition(": ")
            caption = value if name == "caption" else caption
        language = info.removeprefix(CODE_BLOCK)
        found.append(Block(language, caption, content.removeprefix("\n"), token.map[0] + 1, token.map[1]))
    return found


def play(text: str, folder: Path) -> Iterator[tuple[Block, str]]:
    """Follow a page in `folder`; each console block, and what it prints today, prompts and commands included."""
    for block in blocks(text):
        if block.caption is not None:
            save(block, folder)
        elif block.language == "console":
            yield block, "".join(f"$ {command}\n{printed(command, folder)}" for command in block.commands)


def save(block: Block, folder: Path) -> None:
    """Write a captioned block; a pyproject.toml with plugins is installed, too."""
    path = folder / str(block.caption)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(block.text, encoding="utf-8")
    if path.name == "pyproject.toml":
        install_plugins(block.text, folder)


def printed(command: str, folder: Path) -> str:
    """What a command prints when it is piped, run in `folder`, whose modules can be imported."""
    program, *arguments = shlex.split(command)
    assert program in PROGRAMS, f"{command!r}: what cannot be run in a test is no console block"
    arguments = [name for each in arguments for name in _expanded(each, folder)]
    done = run([*PROGRAMS[program], *arguments], folder)
    return _ELAPSED.sub(" in 2.00s", done.stdout + done.stderr)


def _expanded(argument: str, folder: Path) -> list[str]:
    """What a shell makes of an argument with `*`."""
    return sorted(str(path.relative_to(folder)) for path in folder.glob(argument)) if "*" in argument else [argument]


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """A process as a user starts it; a summary of GitHub's goes to summary.md."""
    path = os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH"))))
    programs = os.pathsep.join((str(SCRIPT.parent), os.environ["PATH"]))
    given = {"PATH": programs, "PYTHONPATH": path, "GITHUB_STEP_SUMMARY": str(folder / "summary.md")}
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        encoding="utf-8",
        cwd=folder,
        env={**environment(), **given},
        timeout=300,
        check=False,
    )


def install_plugins(pyproject: str, folder: Path) -> None:
    """What `pip install --editable .` leaves behind: the entry points, found beside the modules."""
    project = tomllib.loads(pyproject).get("project")
    if project is None:
        return
    metadata = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    metadata.mkdir(exist_ok=True)
    stated = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    (metadata / "METADATA").write_text(stated, encoding="utf-8")
    lines = []
    for group, entries in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {value}" for name, value in entries.items())]
    (metadata / "entry_points.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def recorded(path: Path) -> str:
    """The text of a page with every console block as it prints today."""
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines(keepends=True)
    folder = Path(tempfile.mkdtemp())
    try:
        found = list(play(text, folder))
    finally:
        shutil.rmtree(folder)
    for block, output in reversed(found):
        lines[block.first : block.last - 1] = [output]
    return "".join(lines)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        Path(name).write_text(recorded(Path(name)), encoding="utf-8")
