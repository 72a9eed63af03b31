"""What docs/ shows is what the commands print; every block of every page is run, read or looked up."""

import re
import shlex
import sys
import tomllib

import pytest
import yaml

from gradaudit import plugins
from gradaudit.specs import loading
from tests.end_to_end.conftest import PROJECT
from tests.end_to_end.pages import (
    CODE_BLOCK,
    DOCS,
    LANGUAGES,
    Block,
    blocks,
    install_plugins,
    play,
    run,
    save,
    written,
)
from tests.end_to_end.readme import README, recorded_on, running_on, without_numbers

PAGES = {path.name: path.read_text(encoding="utf-8") for path in written()}
BLOCKS = [(name, block) for name, text in PAGES.items() for block in blocks(text)]
PYPROJECT = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
MAKEFILE = (PROJECT / "Makefile").read_text(encoding="utf-8")

GIVEN = {"function": "cross_entropy", "logits": [[1.0, 2.0]], "targets": [0]}
"""What keys of a spec that stand alone are read beside."""


def of(language: str, *, captioned: bool = False) -> list[pytest.param]:
    chosen = [
        (name, block)
        for name, block in BLOCKS
        if block.language == language and (block.caption is not None) == captioned
    ]
    return [pytest.param(block, id=f"{name}:{block.first}") for name, block in chosen]


LONG = ("ci.md", "five_minutes.md", "regression.md", "tutorial.md")
"""Pages whose commands take more than a few seconds."""


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] if name in LONG else [])
        for name in PAGES
        if any(each[0] == name for each in BLOCKS)
    ],
)
def test_a_page_can_be_followed(name, forum, tmp_path):
    same_machine = recorded_on(README.read_text(encoding="utf-8")) == running_on(forum[1])
    for block, output in play(PAGES[name], tmp_path):
        if same_machine:
            assert output == block.text, f"python -m tests.end_to_end.pages docs/{name} records the output anew"
        assert without_numbers(output) == without_numbers(block.text)


@pytest.mark.parametrize("block", of("python"))
def test_a_python_snippet_runs(block, tmp_path):
    done = run([sys.executable, "-W", "error", "-c", block.text], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("block", of("yaml"))
def test_keys_of_a_spec_are_read(block, tmp_path):
    found = yaml.safe_load(block.text)
    for subject in found.get("subjects", ()):
        (tmp_path / str(subject.get("onnx"))).touch()
    text = block.text if "version" in found else yaml.safe_dump({"version": 1, **GIVEN, **found}, sort_keys=False)
    assert loading.load_text(text, "page.yaml", str(tmp_path))


@pytest.mark.parametrize("block", of("sh"))
def test_what_is_installed_or_made_exists(block):
    for line in block.text.splitlines():
        assert is_known(line), line


def is_known(line: str) -> bool:
    """Whether an extra, a backend or a target of make that a line names is there."""
    match shlex.split(line, comments=True):
        case [] | ["git", "clone", *_] | ["pip", "install", "--editable", "."]:
            return True
        case ["pip", "install", named]:
            extras = re.fullmatch(r"gradaudit(?:\[(.*)\])?", named)
            wanted = extras[1].split(",") if extras and extras[1] else []
            return extras is not None and set(wanted) <= set(PYPROJECT["project"]["optional-dependencies"])
        case ["gradaudit", "backends", "install", backend]:
            return backend in plugins.names("gradaudit.backends")
        case ["gradaudit", command, *_]:
            return command in commands()
        case ["make", target]:
            return re.search(rf"^{target}:", MAKEFILE, re.MULTILINE) is not None
    return False


def test_the_distribution_of_the_page_holds_all_of_its_modules():
    """What setuptools packs is named; it refuses to guess among several modules, and an adapter is run by path."""
    files = {block.caption: block.text for block in blocks(PAGES["extending.md"]) if block.caption is not None}
    stated = tomllib.loads(files["pyproject.toml"])
    assert stated["build-system"]["build-backend"] == "setuptools.build_meta"
    modules = stated["tool"]["setuptools"]["py-modules"]
    named = [entry for group in stated["project"]["entry-points"].values() for entry in group.values()]
    assert {entry.partition(":")[0] for entry in named} < set(modules)
    assert {f"{module}.py" for module in modules} == {path for path in files if path.startswith("house_")}


def commands():
    """The commands of the command line."""
    import typer.main

    from gradaudit.cli.main import app

    return typer.main.get_command(app).commands


@pytest.mark.slow
def test_the_steps_for_ci_run_as_printed(tmp_path):
    files = {block.caption: block for block in blocks(PAGES["ci.md"]) if block.caption is not None}
    save(files["specs/fused.gradaudit.yaml"], tmp_path)
    workflow = yaml.safe_load(files[".github/workflows/gradients.yml"].text)
    (job,) = workflow["jobs"].values()
    steps = [step["run"] for step in job["steps"] if "run" in step]
    pipeline = yaml.safe_load(files[".gitlab-ci.yml"].text)["gradients"]
    (hook,) = yaml.safe_load(files[".pre-commit-config.yaml"].text)["repos"][0]["hooks"]
    (spec,) = (path for path in files if re.search(hook["files"], path))
    for command in (*steps, *pipeline["script"], f"{hook['entry']} {spec}"):
        if command.startswith("gradaudit check ") or not is_known(command):
            done = run(["sh", "-e", "-c", command], tmp_path)
            assert done.returncode == 0, done.stdout + done.stderr
    written_files = {path.name for path in tmp_path.iterdir()}
    assert written_files >= {"summary.md", "gradaudit.json", "gradaudit.sarif"}
    assert written_files >= set(pipeline["artifacts"]["reports"].values())


def test_every_block_is_of_a_kind_that_is_tested():
    assert {block.language for _, block in BLOCKS} <= LANGUAGES
    for name, block in BLOCKS:
        if block.language == "text":
            assert not re.search(r"^(\$ |gradaudit |pip |make )", block.text, re.MULTILINE), (name, block.first)
        if block.language == "console":
            assert block.text.startswith("$ "), (name, block.first)
    assert {name for name, block in BLOCKS if block.language == "console"} >= {
        "ci.md",
        "extending.md",
        "five_minutes.md",
        "regression.md",
        "tutorial.md",
    }


@pytest.mark.parametrize("setting", ["pygments_style", "pygments_dark_style"])
def test_code_can_be_read_on_its_background(setting):
    """By WCAG 2, 4.5 to 1."""
    styles = pytest.importorskip("pygments.styles", reason="comes with gradaudit[docs]")
    named = re.search(rf'^{setting} = "(.*)"$', (DOCS / "conf.py").read_text(encoding="utf-8"), re.MULTILINE)
    style = styles.get_style_by_name(named[1])
    for token, drawn in style:
        if drawn["color"] and "Error" not in str(token):
            behind = drawn["bgcolor"] or style.background_color
            low, high = sorted(map(luminance, (drawn["color"], behind)))
            assert (high + 0.05) / (low + 0.05) >= 4.5, (named[1], token)


def luminance(colour):
    """Relative luminance of `rrggbb`, with or without `#`."""
    parts = [int(part, 16) / 255 for part in re.findall("..", colour.removeprefix("#"))]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_blocks_are_told_apart(tmp_path):
    text = f"# x\n\n```{CODE_BLOCK}python\n:caption: a/b.py\n\nx = 1\n```\n\n"
    text += "```console\n$ gradaudit --version\n?\n```\n"
    file, console = blocks(text)
    assert file == Block("python", "a/b.py", "x = 1\n", 3, 7)
    assert console.commands == ["gradaudit --version"]
    ((block, output),) = play(text, tmp_path)
    assert (tmp_path / "a" / "b.py").read_text(encoding="utf-8") == "x = 1\n"
    assert block == console
    assert re.fullmatch(r"\$ gradaudit --version\ngradaudit \d+\.\d+\.\d+\n", output)
    assert blocks("```{toctree}\nindex\n```\n") == []


def test_what_is_not_there_is_seen(tmp_path):
    known = ("pip install 'gradaudit[jax]'  # once", "gradaudit backends install mxnet", "make docs", "")
    unknown = (
        "pip install gradaudit[cuda]",
        "gradaudit backends install theano",
        "make coffee",
        "rm -rf /",
        "gradaudit guess",
    )
    assert [is_known(line) for line in known] == [True] * 4
    assert [is_known(line) for line in unknown] == [False] * 5
    with pytest.raises(AssertionError, match="no console block"):
        list(play("```console\n$ rm x\n```\n", tmp_path))
    install_plugins("[tool.gradaudit]\njobs = 1\n", tmp_path)
    assert list(tmp_path.iterdir()) == []
