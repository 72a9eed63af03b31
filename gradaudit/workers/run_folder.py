"""The folder through which arrays travel: inputs stored once for all backends, one folder for each evaluation.

A stored input is deleted as soon as nobody holds its array any more.
"""

from __future__ import annotations

import contextlib
import itertools
import shutil
import threading
import weakref
from pathlib import Path
from typing import TYPE_CHECKING

from gradaudit.records import backend_name

if TYPE_CHECKING:
    import numpy as np

    from gradaudit.records.inputs import Inputs

_folders: weakref.WeakValueDictionary[Path, RunFolder] = weakref.WeakValueDictionary()
_folders_lock = threading.Lock()


def shared(path: Path) -> RunFolder:
    """The run folder at `path`, the same object for all who ask for it."""
    path = Path(path).resolve()
    with _folders_lock:
        folder = _folders.get(path)
        if folder is None:
            folder = _folders[path] = RunFolder(path)
        return folder


class RunFolder:
    """A folder of `.npy` files. Safe to be used from several threads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stored: dict[int, Path] = {}
        self._scalars: list[object] = []
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def store(self, inputs: Inputs) -> dict[str, str]:
        """The paths of the arrays of `inputs`, which are written unless they are in a file already."""
        arrays = {
            "logits": inputs.logits,
            "targets": inputs.targets,
            "upstream": None if inputs.per_output else inputs.upstream,
            "weight": inputs.weight,
        }
        return {name: str(self._path_of(array)) for name, array in arrays.items() if array is not None}

    def new_evaluation(self, backend: str) -> Path:
        """A new folder for what one evaluation returns."""
        folder = self.path / f"{backend_name.plain(backend)}-{next(self._numbers)}"
        folder.mkdir()
        return folder

    def _path_of(self, array: np.ndarray) -> Path:
        import numpy as np

        own = _file_of(array)
        if own is not None:
            return own
        with self._lock:
            known = self._stored.get(id(array))
            if known is not None:
                return known
            path = self.path / f"input-{next(self._numbers)}.npy"
            _write(path, array)
            self._stored[id(array)] = path
            if not isinstance(array, np.ndarray):
                self._scalars.append(array)  # nobody can be told when a NumPy scalar goes
                return path
        # While the array lives its identity is not given to another one.
        weakref.finalize(array, self._forget, id(array)).atexit = False
        return path

    def _forget(self, identity: int) -> None:
        path = self._stored.pop(identity, None)
        if path is not None:
            with contextlib.suppress(OSError):
                path.unlink()


def _write(path: Path, array: np.ndarray) -> None:
    import numpy as np

    stored = array.view(np.uint16) if array.dtype.name == "bfloat16" else array
    # A worker must never see half a file, even if it is asked twice for the same one.
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        np.save(file, np.asarray(stored, stored.dtype.newbyteorder("="), order="C"), allow_pickle=False)
    partial.replace(path)


def _file_of(array: np.ndarray) -> Path | None:
    """The `.npy` file whose whole content a memory-mapped `array` is, if it is one."""
    import numpy as np

    if not isinstance(array, np.memmap) or array.filename is None or array.mode != "r":
        return None
    path = Path(str(array.filename))
    if path.suffix != ".npy" or not array.flags.c_contiguous or not array.dtype.isnative:
        return None
    try:
        whole = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError):
        return None
    # Views keep the file's name: one of the same extent and layout can only be the whole.
    same = (whole.dtype, whole.shape, whole.strides) == (array.dtype, array.shape, array.strides)
    return path.resolve() if same else None


def remove(folder: Path) -> None:
    """Delete an evaluation's folder; what is still memory-mapped lives on until it is let go."""
    shutil.rmtree(folder, ignore_errors=True)
