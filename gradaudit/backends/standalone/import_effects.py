"""The state of the process that everyone computes in, before and after a framework is imported.

Floating-point state is tried out rather than asked for, so that it is told for any processor. Run by path in any
Python from 3.8; imports nothing of gradaudit, and nothing that is not in the standard library.
"""

from __future__ import annotations

import os
import signal
import sys
import warnings
from typing import Any, Dict, List, Sequence

NUMBERS = ("subnormal results", "subnormal operands", "rounding", "floating-point traps")
"""What decides numbers, or whether there are any, whoever computes them."""

THREADS = ("OMP_", "KMP_", "MKL_", "OPENBLAS_", "GOTO", "BLIS_", "VECLIB_", "NUMEXPR_", "GOMP_")
"""Beginnings of the environment variables that libraries read which add up in as many parts as there are threads."""

TRAPS = (("invalid", 0x01), ("division by zero", 0x04), ("overflow", 0x08), ("underflow", 0x10))
"""Exceptions that fegetexcept tells of on x86; "inexact" traps nobody could compute with."""


def state() -> Dict[str, Any]:
    """The present state, by name: what is compared, as JSON can hold it."""
    return {
        "subnormal results": "flushed to zero" if sys.float_info.min / _two() == 0.0 else "kept",
        "subnormal operands": "taken as zero" if _subnormal() * 2.0**200 == 0.0 else "kept",
        "rounding": _rounding(),
        "floating-point traps": _traps(),
        "threads": _threads(),
        "signals handled": _signals(),
        "warnings filters": [_filter(each) for each in warnings.filters],
        "environment": dict(os.environ),
    }


def effects(before: Dict[str, Any], after: Dict[str, Any], own: Sequence[str] = ()) -> List[Dict[str, Any]]:
    """Every fact of the two states as {"name", "before", "after", "numbers"}: texts, and whether a change of it can
    change numbers.

    Of lists and variables only what was added, removed or changed is told, and no variable of `own`.
    """
    found = []
    for name in sorted(set(before) - {"environment"}):
        one, two = before[name], after[name]
        if isinstance(one, list):
            gone, come = [each for each in one if each not in two], [each for each in two if each not in one]
            one, two = ", ".join(gone), ", ".join(come)
        found.append({"name": name, "before": str(one), "after": str(two), "numbers": name in NUMBERS})
    one, two = before["environment"], after["environment"]
    found += [
        {
            "name": "environment variable " + name,
            "before": one.get(name, ""),
            "after": two.get(name, ""),
            "numbers": name.startswith(THREADS),
        }
        for name in sorted((set(one) | set(two)) - set(own))
        if one.get(name) != two.get(name)
    ]
    return found


def _two() -> float:
    """2, which no compiler can know."""
    return float(len("ab"))


def _subnormal() -> float:
    """2^-1074 by way of its bits: arithmetic would not give it where results are flushed."""
    import struct

    found: float = struct.unpack("<d", b"\1" + b"\0" * 7)[0]
    return found


def _rounding() -> str:
    """The direction, by sums that lie between two numbers."""
    half_ulp = 2.0**-53 * (_two() / 2.0)
    up, down = 1.0 + half_ulp > 1.0, 1.0 - half_ulp / 2.0 < 1.0
    negative_up = -1.0 - half_ulp < -1.0
    return {
        (False, False, False): "to nearest",
        (True, False, False): "upward",
        (False, True, True): "downward",
        (False, True, False): "towards zero",
    }.get((up, down, negative_up), "unknown")


def _traps() -> str:
    try:
        import ctypes
        import platform

        if platform.machine() not in ("x86_64", "AMD64", "i686"):
            return "unknown"
        enabled = ctypes.CDLL(None).fegetexcept()
    except (AttributeError, OSError, ImportError, TypeError):
        return "unknown"  # no glibc
    return ", ".join(name for name, bit in TRAPS if enabled & bit) or "none"


def _threads() -> int:
    """Those of the operating system, where it lists them, else Python's."""
    try:
        return len(os.listdir("/proc/self/task"))
    except OSError:
        import threading

        return threading.active_count()


def _signals() -> List[str]:
    """The names of the signals that something has a handler for, written in C or in Python, or that are ignored."""
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as file:
            lines = dict(line.split(":", 1) for line in file if ":" in line)
        caught, ignored = (int(lines[name], 16) for name in ("SigCgt", "SigIgn"))
    except (OSError, KeyError, ValueError):
        caught = ignored = 0
        for number in signal.Signals:
            handler = signal.getsignal(number)
            caught |= (1 << (number - 1)) if callable(handler) else 0
            ignored |= (1 << (number - 1)) if handler is signal.SIG_IGN else 0
    names = {number.value: number.name for number in signal.Signals}
    return [
        name + ("" if caught >> (number - 1) & 1 else " (ignored)")
        for number, name in sorted(names.items())
        if (caught | ignored) >> (number - 1) & 1
    ]


def _filter(each: Any) -> str:
    action, message, category, module, line = each
    texts = [getattr(text, "pattern", text) for text in (message, module)]
    rest = ["%r" % text for text in texts if text] + ([str(line)] if line else [])
    return " ".join([action, category.__name__, *rest])
