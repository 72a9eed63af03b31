"""Users' own functions in scripts: imported by path and constructed as the spec says.

A file is looked for where it was audited, so that a script shows whether a mended loss is right, and else in a copy
beside the script, so that it runs where that file is not.
"""

from __future__ import annotations

import ast
from math import prod
from pathlib import Path

import numpy as np

from gradaudit.errors import ReplayError
from gradaudit.records.inputs import Inputs
from gradaudit.records.subject import Subject
from gradaudit.replay.again import file_of
from gradaudit.replay.script import literals
from gradaudit.replay.script.page import Call

TENSORS = {
    "torch": "torch.tensor({{}}, dtype=torch.{dtype})",
    "jax": 'jnp.asarray({{}}, dtype="{dtype}")',
    "tensorflow": "tf.constant({{}}, dtype=tf.{dtype})",
    "numpy": 'np.array({{}}, dtype="{dtype}")',
}


def call(subject: Subject, inputs: Inputs, script: Path) -> tuple[Call, dict[Path, bytes]]:
    """The source that defines `function` as the user's, and the copy of its file that lies beside `script`.

    Raises ReplayError where no script can call it, or where its file is not there to be copied.
    """
    if subject.graph or subject.backend not in TENSORS:
        what = "an ONNX file" if subject.graph else f"a function of {subject.backend}"
        raise ReplayError(f"{subject.name} is {what}; scripts call functions of {', '.join(TENSORS)}")
    if subject.device != "cpu":
        raise ReplayError(f"{subject.name} computes on {subject.device!r}; scripts compute on the CPU")
    if subject.backend == "numpy" and inputs.dtype == "bfloat16":
        raise ReplayError(f"{subject.name} is asked in bfloat16, which NumPy does not have by itself")
    _, _, attribute = subject.target.rpartition(":")
    kwargs = literals.keywords(subject.kwargs, TENSORS[subject.backend].format(dtype=inputs.dtype))
    found, module, copies = _module(subject, script)
    source = f"""{found}


def load():
{module}
    found = module
    for name in {attribute!r}.split("."):
        found = getattr(found, name)
    kwargs = {kwargs}
{_bound(subject, inputs.dtype)}


def prepare():
    global function
    function = load()"""
    imports = ("import importlib", "import importlib.util", "import functools", "import os")
    return Call((), imports, source, prepares=True), copies


def _module(subject: Subject, script: Path) -> tuple[str, str, dict[Path, bytes]]:
    """The lines that find the module of the function, those that import it, and the copy of its file, if it is named
    by a file."""
    base = Path(subject.base_directory).resolve()
    folders = list(dict.fromkeys([str(base), str(Path.cwd())]))
    path = file_of(subject)
    if not path.endswith(".py"):
        name = path.replace("/", ".")
        found = _FOUND.format(folders=folders, needed=[name.partition(".")[0]], exists="True", missing=name)
        return found, f"    module = importlib.import_module({name!r})", {}
    file = _file(subject)
    if file is None:
        raise ReplayError(
            f"{subject.name} is defined in {path}, which is neither in {base} nor in {Path.cwd()}: a script needs it"
        )
    beside = script.with_name(f"{script.stem}.{file.stem}.py")
    folders = list(dict.fromkeys([str(file.parent.resolve()), *folders]))
    chosen = _CHOSEN.format(file=str(file.resolve()), beside=beside.name)
    modules = list(needed(subject))
    found = chosen + _FOUND.format(
        folders=folders, needed=modules, exists="os.path.isfile(FILE)", missing=beside.name
    )
    lines = f"""    spec = importlib.util.spec_from_file_location({file.stem!r}, FILE)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)"""
    try:
        return found, lines, {beside: file.read_bytes()}
    except OSError as error:
        reason = error.strerror or error
        raise ReplayError(f"{file}, where {subject.name} is defined, cannot be read: {reason}") from None


def _file(subject: Subject) -> Path | None:
    """The file that a function is defined in, if there is one of that name."""
    path = file_of(subject)
    looked_for = (Path(subject.base_directory) / path, Path.cwd() / path)
    return next((each for each in looked_for if path.endswith(".py") and each.is_file()), None)


def needed(subject: Subject) -> tuple[str, ...]:
    """The modules beside a function's file that it cannot be imported without."""
    file = _file(subject)
    if file is None:
        return ()
    try:
        body = ast.parse(file.read_bytes()).body
    except (OSError, SyntaxError, ValueError):
        return ()
    named = [alias.name for node in body if isinstance(node, ast.Import) for alias in node.names]
    named += [node.module for node in body if isinstance(node, ast.ImportFrom) and node.module and not node.level]
    folders = {file.parent, Path(subject.base_directory), Path.cwd()}
    tops = dict.fromkeys(name.partition(".")[0] for name in named)
    return tuple(
        top for top in tops if any((each / f"{top}.py").is_file() or (each / top).is_dir() for each in folders)
    )


def _bound(subject: Subject, dtype: str) -> str:
    if subject.factory:
        made = "    made = found(**kwargs)"
    else:
        made = "    made = found(**kwargs) if isinstance(found, type) else functools.partial(found, **kwargs)"
    if subject.backend != "torch":
        return f"{made}\n    return made"
    return (
        "    if isinstance(found, type) and issubclass(found, torch.autograd.Function):\n"
        "        return lambda *given: found.apply(*given, *kwargs.values())\n"
        f"{made}\n"
        f"    return made.to(dtype=torch.{dtype}) if isinstance(made, torch.nn.Module) else made"
    )


def one_hot(inputs: Inputs) -> np.ndarray:
    """Rows of the logits' shape and dtype, 1 at the label; ignored rows are 0 throughout."""
    assert inputs.targets is not None
    sizes = [inputs.logits.shape[axis] for axis in inputs.axis]
    ignored = inputs.targets == inputs.function.parameters.get("ignore_index", -100)
    rows = (np.arange(prod(sizes)) == inputs.targets[..., None]) & ~ignored[..., None]
    rows = rows.reshape(*inputs.targets.shape, *sizes)
    return np.moveaxis(rows, range(inputs.targets.ndim, rows.ndim), inputs.axis).astype(inputs.logits.dtype)


_CHOSEN = """# the file as it is now, and else as it was when this script was written
FILE = {file!r}
FILE = FILE if os.path.isfile(FILE) else os.path.join(os.path.dirname(os.path.abspath(__file__)), {beside!r})
"""

_FOUND = """sys.path += [*{folders!r}, os.path.dirname(os.path.abspath(__file__))]
MISSING = [] if {exists} else [{missing!r}]
MISSING += [name for name in {needed!r} if importlib.util.find_spec(name) is None]
if MISSING:
    print("this cannot run here without %s" % ", ".join(MISSING))
    sys.exit(3)"""
