"""What users' code has changed of the process that everyone computes in.

Run by path in any Python from 3.8; imports nothing of gradaudit.
"""

from __future__ import annotations

import builtins
import math
import os
import random
import sys
import threading
from typing import Any, Dict, List

MOST = 4
"""Names that one sentence lists."""

STREAMS = ("standard input", "standard output", "standard error")
"""What the first descriptors stand for."""

_before: Dict[str, Any] = {}


def remember(namespaces: Dict[str, Any], settings: Any) -> None:
    """Take the present state as the untouched one.

    `namespaces` are modules and classes whose members nobody should replace, by name; `settings()` returns the
    framework's own switches by name.
    """
    watched = dict(namespaces, builtins=builtins, math=math, random=random)
    _before["members"] = {
        name: (space, [each for each in vars(space).items() if callable(each[1]) and not isinstance(each[1], type)])
        for name, space in watched.items()
    }
    _before["settings"] = settings
    _before["values"] = dict(settings())
    _before["threads"] = set(threading.enumerate())
    _before["streams"] = (sys.stdout, sys.stderr)
    _before["folder"] = os.getcwd()
    _before["descriptors"] = [_file(number) for number in range(len(STREAMS))]


def _file(number: int) -> Any:
    """Which file a descriptor stands for; None for none."""
    try:
        status = os.fstat(number)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _is_of_package(value: Any, name: str) -> bool:
    """Whether a function was written in the package that `name` lies in: torch wraps some of its own once its
    compiler is imported, whoever asks for that."""
    package = sys.modules.get(name.partition(".")[0])
    folder = os.path.dirname(getattr(package, "__file__", None) or "")
    written_in = getattr(getattr(value, "__code__", None), "co_filename", "")
    return bool(folder) and written_in.startswith(folder + os.sep)


def changes() -> List[str]:
    """What differs from the untouched state, as predicates: "replaces torch.exp"."""
    if not _before:
        return []
    found = []
    replaced = [
        "%s.%s" % (name, member)
        for name, (space, members) in _before["members"].items()
        for present in [vars(space)]
        for member, value in members
        if present.get(member) is not value and not _is_of_package(present.get(member), name)
    ]
    if replaced:
        more = ", ..." if len(replaced) > MOST else ""
        found.append("replaces %s%s" % (", ".join(replaced[:MOST]), more))
    found += [
        "sets %s to %s" % (name, value)
        for name, value in _before["settings"]().items()
        if value != _before["values"][name]
    ]
    threads = [thread for thread in threading.enumerate() if thread not in _before["threads"] and thread.is_alive()]
    if threads:
        found.append("leaves %d thread%s running" % (len(threads), "s" if len(threads) > 1 else ""))
    for name, stream in zip(("stdout", "stderr"), _before["streams"]):
        if getattr(stream, "closed", False):
            found.append("closes sys.%s" % name)
        elif getattr(sys, name) is not stream:
            found.append("replaces sys.%s" % name)
    for number, known in enumerate(_before["descriptors"]):
        if known is not None and _file(number) != known:
            found.append("%s %s" % ("closes" if _file(number) is None else "redirects", STREAMS[number]))
    try:
        folder = os.getcwd()
    except OSError:
        folder = "one that is gone"
    if folder != _before["folder"]:
        found.append("changes the working directory to %s" % folder)
    return found
