"""The adapter of a framework that lives in an environment of its own; it says which Python it got."""

from __future__ import annotations

import sys


def hello(threads):
    import boxed

    if hasattr(boxed, "refuse"):
        raise ImportError("boxed cannot be imported here")
    return {
        "versions": {"boxed": boxed.__version__},
        "dtypes": ["float32"],
        "threads": threads,
        "details": {"prefix": sys.prefix},
    }
