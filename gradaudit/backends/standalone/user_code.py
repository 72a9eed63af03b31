"""Users' own functions: found by name, imported, and named by file and line where they fail.

Nothing is evaluated as text: a target is "module:attr" or "path.py:attr", and importlib does the rest. Run by path in
any Python from 3.8; imports nothing of gradaudit.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import inspect
import os
import sys
import sysconfig
import traceback
from typing import Any, List, NamedTuple

MOST_NAMES = 8

HERE = os.path.dirname(os.path.abspath(__file__))

_files: dict[tuple[str, str], Any] = {}
_installed: list[str] = []
_watching: list[bool] = []
_forks: list[str] = []
_start: list[str] = []
_places: dict[int, Any] = {}


class NoSuchSubjectError(Exception):
    """There is no such file, module or attribute."""


class SubjectImportError(Exception):
    """The user's module was found, and failed while it was imported."""


class UnusableSubjectError(Exception):
    """What was found cannot be called as asked."""


class ForkedError(Exception):
    """A call of the user's function forked the process."""


class Place(NamedTuple):
    """Where something of the user's is defined; `line` is 0 where that is not known."""

    file: str
    line: int
    name: str

    def __str__(self) -> str:
        where = shown_path(self.file) if self.file else "?"
        return "%s:%d in %s" % (where, self.line, self.name) if self.line else "%s in %s" % (where, self.name)


def find(target: str, folders: List[str], setting: str = "") -> Any:
    """The object that `target` names; relative paths and modules are looked for in `folders`, in their order.

    A file is imported once for every `setting` of the framework that its constants may depend on.
    """
    where, _, attribute = target.rpartition(":")
    module = _from_file(where, folders, setting) if where.endswith(".py") else _by_name(where, folders)
    found = module
    for part in attribute.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            owner = where if found is module else "%s:%s" % (where, attribute.rpartition("." + part)[0])
            raise NoSuchSubjectError(_no_attribute(owner, part, found)) from None
    return found


def bound(found: Any, kwargs: dict[str, Any], factory: bool) -> Any:
    """The callable that `found` stands for: a class is constructed, a function gets its keyword arguments bound."""
    import functools

    if factory or inspect.isclass(found):
        what = "constructed" if inspect.isclass(found) else "called as a factory"
        try:
            found = found(**kwargs)
        except TypeError as error:
            if _raised_inside(error):
                raise
            raise UnusableSubjectError(
                "%s cannot be %s with %s: %s" % (name_of(found), what, _arguments(kwargs), error)
            ) from None
    elif kwargs:
        found = functools.partial(found, **kwargs)
    if not callable(found):
        raise UnusableSubjectError("it cannot be called: %.60r is of type %s" % (found, type(found).__name__))
    return found


def place_of(found: Any) -> Place:
    """Where a function or class, or that of an object, is defined."""
    if id(found) not in _places:
        _places[id(found)] = (found, _place_of(found))
    return _places[id(found)][1]


def _place_of(found: Any) -> Place:
    import functools

    while isinstance(found, functools.partial):
        found = found.func
    found = inspect.unwrap(found) if callable(found) else found
    name = name_of(found)
    found = getattr(found, "__func__", found)
    code = getattr(found, "__code__", None)
    if code is not None:
        return Place(code.co_filename, code.co_firstlineno, name)
    kind = found if inspect.isclass(found) else type(found)
    try:
        return Place(inspect.getsourcefile(kind) or "", inspect.getsourcelines(kind)[1], name)
    except (OSError, TypeError):
        module = sys.modules.get(getattr(kind, "__module__", None) or "")
        return Place(getattr(module, "__file__", None) or "", 0, name)


def place_of_failure(error: BaseException, subject: Any = None) -> Place | None:
    """The innermost line of the user's in the traceback of `error`; where the subject is defined, if it has none."""
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        return Place(error.filename, error.lineno, "<module>")
    frames = [
        Place(frame.filename, frame.lineno or 0, frame.name) for frame in traceback.extract_tb(error.__traceback__)
    ]
    own = place_of(subject) if subject is not None else None
    theirs = [frame for frame in frames if is_users(frame.file, own.file if own else "")]
    return theirs[-1] if theirs else own


def is_users(file: str, subject_file: str = "") -> bool:
    """Whether `file` is neither ours nor part of Python or of an installed package; the subject's own always is."""
    if not os.path.isabs(file) or file.startswith(HERE + os.sep):
        return False
    if file == subject_file:
        return True
    if not _installed:
        _installed.extend(
            {sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib", "purelib", "platlib")}
        )
    return not any(file.startswith(folder) for folder in _installed)


def name_of(found: Any) -> str:
    """What people call a function, class or object."""
    name = getattr(found, "__qualname__", None) or getattr(found, "__name__", None)
    return name if isinstance(name, str) else type(found).__qualname__


def shown_path(path: str) -> str:
    """The path relative to the working directory where it lies below it; to the worker's first one in a worker."""
    try:
        relative = os.path.relpath(path, _start[0] if _start else None)
    except (OSError, ValueError):
        return path
    return path if relative.startswith(os.pardir) else relative


def mark(error: BaseException, subject: Any = None) -> None:
    """Write the place of the user's mistake on the exception, for the response that stands for it."""
    place = place_of_failure(error, subject)
    if place is not None and not hasattr(error, "gradaudit_place"):
        try:
            error.gradaudit_place = str(place)  # type: ignore[attr-defined]
        except Exception:
            return  # an exception with slots keeps its own counsel


def watch() -> None:
    """A worker begins: `refuse_forks` knows of forks from now on, and changes of the folder move no path."""
    if not _start:
        _start.append(os.getcwd())
    if not _watching and hasattr(os, "register_at_fork"):
        _watching.append(True)
        os.register_at_fork(after_in_parent=_note_fork)


def refuse_forks() -> None:
    """Raise where the process was forked since the last call, by the place of the user's that did so."""
    places = list(_forks)
    del _forks[:]
    if places:
        error = ForkedError("it forks the process; a loss that is called at every step must not")
        error.gradaudit_place = places[0]  # type: ignore[attr-defined]
        raise error


def settle(seed: int) -> None:
    """Seed the random generators of Python and NumPy."""
    import random

    import numpy as np

    random.seed(seed)
    np.random.seed(seed % (1 << 32))


def generators() -> dict[str, str]:
    """The states of the random generators of Python and NumPy, by whose they are."""
    import random

    import numpy as np

    state: Any = np.random.get_state()
    kind, keys, *rest = state
    # repr leaves most of an array out.
    return {"Python's": repr(random.getstate()), "NumPy's": "%s %s %r" % (kind, keys.tobytes().hex(), rest)}


def _note_fork() -> None:
    frames = [Place(frame.filename, frame.lineno or 0, frame.name) for frame in traceback.extract_stack()]
    theirs = [frame for frame in frames if is_users(frame.file)]
    _forks.append(str(theirs[-1]) if theirs else "?")


def _from_file(where: str, folders: List[str], setting: str) -> Any:
    candidates = [os.path.abspath(os.path.join(folder, where)) for folder in folders]
    path = next((candidate for candidate in candidates if os.path.isfile(candidate)), None)
    if path is None:
        searched = " and ".join(dict.fromkeys(os.path.dirname(candidate) for candidate in candidates))
        raise NoSuchSubjectError("there is no file %s in %s" % (os.path.basename(where), searched))
    known = _files.get((path, setting))
    if known is not None and sys.modules.get(known.__name__) is known:
        return known
    package, above = _package_of(path)
    _search(os.path.dirname(path), *folders, *above)
    # Under its package's name relative imports find what is beside it; the package itself is imported by them alone.
    name = "%sgradaudit_subject_%d_%s" % (package, len(_files), os.path.basename(path)[:-3])
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickles look their module up by its name
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        sys.modules.pop(name, None)
        raise _failed_import(where, error) from error
    _files[path, setting] = module
    return module


def _package_of(path: str) -> tuple[str, List[str]]:
    """The package that a file belongs to, as "outer.inner." ("" for none), and the folder that holds it, if any."""
    folder = os.path.dirname(path)
    names: List[str] = []
    while os.path.isfile(os.path.join(folder, "__init__.py")) and os.path.basename(folder).isidentifier():
        names.insert(0, os.path.basename(folder))
        folder = os.path.dirname(folder)
    return "".join(each + "." for each in names), [folder] if names else []


def _by_name(where: str, folders: List[str]) -> Any:
    _search(*folders)
    importlib.invalidate_caches()
    try:
        return importlib.import_module(where)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if where != missing and not where.startswith(missing + "."):
            raise _failed_import(where, error) from error
        searched = " and ".join(dict.fromkeys(os.path.abspath(folder) for folder in folders))
        path = where.replace(".", os.sep) + ".py"
        beside = any(os.path.isfile(os.path.join(folder, path)) for folder in folders)
        hint = "; a file is named with its ending: %s:..." % path if beside else ""
        raise NoSuchSubjectError(
            "there is no module %r: it is neither installed nor in %s%s" % (missing, searched, hint)
        ) from None
    except BaseException as error:
        raise _failed_import(where, error) from error


def _failed_import(where: str, error: BaseException) -> SubjectImportError:
    alone = "no known parent package" in str(error)
    hint = "; it is in no package: there is no __init__.py beside it" if alone and where.endswith(".py") else ""
    failed = SubjectImportError("importing %s failed: %s: %s%s" % (where, type(error).__name__, error, hint))
    place = place_of_failure(error)
    if place is not None:
        failed.gradaudit_place = str(place)  # type: ignore[attr-defined]
    return failed


def _search(*folders: str) -> None:
    """Let modules beside the user's be found, after everything that is installed."""
    for folder in map(os.path.abspath, folders):
        if folder not in sys.path:
            sys.path.append(folder)


def _no_attribute(owner: str, name: str, found: Any) -> str:
    known = [each for each in dir(found) if not each.startswith("_") and not inspect.ismodule(getattr(found, each))]
    nearest = difflib.get_close_matches(name, known, n=1)
    if nearest:
        return "%s has no %r; did you mean %r?" % (owner, name, nearest[0])
    listed = ", ".join(known[:MOST_NAMES]) + (", ..." if len(known) > MOST_NAMES else "")
    return "%s has no %r; it has %s" % (owner, name, listed or "nothing public")


def _arguments(kwargs: dict[str, Any]) -> str:
    return "the keyword arguments " + ", ".join(sorted(kwargs)) if kwargs else "no arguments (kwargs: is absent)"


def _raised_inside(error: BaseException) -> bool:
    """Whether a TypeError comes from inside the user's code, not from a call that does not fit."""
    return any(is_users(frame.filename) for frame in traceback.extract_tb(error.__traceback__))
