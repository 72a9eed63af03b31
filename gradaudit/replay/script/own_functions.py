"""Users' own functions in scripts: imported by path and constructed as the spec says."""

from __future__ import annotations

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


def call(subject: Subject, inputs: Inputs) -> Call:
    """The source that defines `function` as the user's; ReplayError where no script can call it."""
    if subject.graph or subject.backend not in TENSORS:
        what = "an ONNX file" if subject.graph else f"a function of {subject.backend}"
        raise ReplayError(f"{subject.name} is {what}; scripts call functions of {', '.join(TENSORS)}")
    if subject.device != "cpu":
        raise ReplayError(f"{subject.name} computes on {subject.device!r}; scripts compute on the CPU")
    if subject.backend == "numpy" and inputs.dtype == "bfloat16":
        raise ReplayError(f"{subject.name} is asked in bfloat16, which NumPy does not have by itself")
    _, _, attribute = subject.target.rpartition(":")
    kwargs = literals.keywords(subject.kwargs, TENSORS[subject.backend].format(dtype=inputs.dtype))
    source = f"""def load():
{_module(subject)}
    found = module
    for name in {attribute!r}.split("."):
        found = getattr(found, name)
    kwargs = {kwargs}
{_bound(subject, inputs.dtype)}


function = load()"""
    return Call((), ("import importlib", "import importlib.util", "import functools"), source)


def _module(subject: Subject) -> str:
    base = str(Path(subject.base_directory).resolve())
    folders = list(dict.fromkeys([base, str(Path.cwd())]))
    path = file_of(subject)
    if not path.endswith(".py"):
        return f"    sys.path += {folders!r}\n    module = importlib.import_module({path.replace('/', '.')!r})"
    file = next((each for each in (Path(base) / path, Path.cwd() / path) if each.is_file()), Path(base) / path)
    folders = list(dict.fromkeys([str(file.parent), *folders]))
    return (
        f"    sys.path += {folders!r}\n"
        f"    spec = importlib.util.spec_from_file_location({file.stem!r}, {str(file)!r})\n"
        "    module = importlib.util.module_from_spec(spec)\n"
        "    sys.modules[spec.name] = module\n"
        "    spec.loader.exec_module(module)"
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
