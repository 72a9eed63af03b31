"""What the report of a case depends on besides the case: this gradaudit, the machine, and what is installed here."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import sys
from collections.abc import Iterator
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np

from gradaudit import __version__
from gradaudit.specs.contents import file_digest

MANY_FILES = 20_000
"""Folders with more files than this are not read: cases with functions in them are always run."""

SOURCES = (".py", ".pyx", ".so", ".pyd", ".c", ".cc", ".cpp", ".h", ".hpp", ".cu", ".cuh")
"""What a Python module may be made of."""

UNTOLD = object()
"""Stands for what no hash can cover."""

VARIABLES = (
    "ATEN_", "CUDA_", "CUBLAS_", "DNNL_", "JAX_", "KERAS_", "MKL_", "MXNET_", "NPY_", "NVIDIA_", "ONEDNN_",
    "OPENBLAS_", "PYTORCH_", "TF_", "TORCH", "XLA_",
)  # fmt: skip
"""How the names of variables begin by which frameworks are told to compute otherwise."""


def of_audits() -> object:
    """What every audit here depends on: the sources of gradaudit, its plugins, NumPy, the processor, variables."""
    return [
        *(__version__, np.__version__, _own_sources(), _plugins()),
        *(platform.machine(), _processor()),
        [[name, os.environ[name]] for name in sorted(os.environ) if name.startswith(VARIABLES)],
    ]


def of_functions(folders: dict[str, object]) -> object:
    """What a user's function may depend on beside its own folder: every installed distribution, and the sources of
    those that are installed as they stand in a folder, or are on PYTHONPATH. UNTOLD where these cannot be read."""
    elsewhere = [Path(place) for place in os.environ.get("PYTHONPATH", "").split(os.pathsep) if place]
    described, editable = _distributions(tuple(sys.path))
    read = [below(place, SOURCES, folders) for place in (*elsewhere, *editable)]
    return UNTOLD if any(each is UNTOLD for each in read) else [described, read]


def below(folder: Path, suffixes: tuple[str, ...], folders: dict[str, object]) -> object:
    """The files in a folder (with `suffixes`, of those names and in all folders below it too), by their contents.

    UNTOLD where they are too many. `folders` keeps what was read already.
    """
    identity = f"{folder.resolve()}{suffixes}"
    if identity not in folders:
        found: list[list[str]] = []
        for path in _files(folder, suffixes):
            if len(found) == MANY_FILES:
                folders[identity] = UNTOLD
                return UNTOLD
            found.append([path.relative_to(folder).as_posix(), file_digest(path)])
        folders[identity] = sorted(found)
    return folders[identity]


def _files(folder: Path, suffixes: tuple[str, ...]) -> Iterator[Path]:
    for parent, within, files in os.walk(folder):
        within[:] = [name for name in within if suffixes and not name.startswith(".") and name != "node_modules"]
        if "pyvenv.cfg" in files:
            within.clear()
            continue
        yield from (Path(parent, name) for name in files if not suffixes or name.endswith(suffixes))


@lru_cache(maxsize=1)
def _own_sources() -> str:
    """A version may stand for many states of a repository; the sources do not."""
    found = hashlib.sha256()
    root = Path(__file__).parent
    for path in sorted(root.rglob("*.py")):
        found.update(f"{path.relative_to(root).as_posix()}\0".encode() + path.read_bytes())
    return found.hexdigest()


def _plugins() -> list[list[str]]:
    """The distributions that hold backends, functions and rules."""
    groups = ("gradaudit.backends", "gradaudit.functions", "gradaudit.rules")
    found = {entry.dist for group in groups for entry in metadata.entry_points(group=group) if entry.dist}
    return sorted([dist.name, dist.version] for dist in found)


@lru_cache(maxsize=1)
def _distributions(path: tuple[str, ...]) -> tuple[list[list[str]], list[Path]]:
    """Every installed distribution by its version and its list of files, and the folders of the editable ones."""
    described, editable = [], []
    for dist in metadata.distributions(path=list(path)):
        record, origin = dist.read_text("RECORD") or "", dist.read_text("direct_url.json") or ""
        digest = hashlib.sha256(f"{record}{origin}".encode("utf-8", "surrogatepass")).hexdigest()
        described.append([dist.metadata["Name"] or "", dist.version or "", digest])
        try:
            about = json.loads(origin or "null")
            # Of this very package the sources are known already.
            if about and about.get("dir_info", {}).get("editable") and dist.name != "gradaudit":
                editable.append(Path(unquote(urlsplit(about["url"]).path)))
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
    return sorted(described), sorted(editable)


def _processor() -> str:
    """What the processor can do: sums differ in their last digits between sets of instructions."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        return platform.processor()
    kept = {
        line.partition(":")[0].strip(): line for line in lines if line.startswith(("flags", "Features", "model name"))
    }
    return "\n".join(kept[name] for name in sorted(kept))
