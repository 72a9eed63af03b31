"""Memory for the blocks of an audit, which has some hundred arrays of a megabyte made and given back for each."""

from __future__ import annotations

from functools import cache

import numpy as np

LARGEST = 31 << 20
"""Bytes; glibc takes no notice of what exceeds 32 MiB."""


@cache
def keep_freed() -> None:
    """Have the C library keep memory that is given back, up to 62 MiB of it, instead of returning it to the system.

    glibc learns from the largest piece that it has mapped apart and unmapped again (mallopt(3), M_MMAP_THRESHOLD),
    and gives memory back from twice that size on. Else every array of a block is paged in anew: a third of the time
    of a large audit. The piece is never touched. Other C libraries are not affected.
    """
    np.empty(LARGEST, dtype=np.uint8)
