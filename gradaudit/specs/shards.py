"""An audit split into parts that run apart, each of which knows its place in the whole."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence

from gradaudit.errors import FlagError
from gradaudit.records.case import Case
from gradaudit.records.report import Shard
from gradaudit.specs.contents import contents_of


def parsed(text: str, flag: str) -> tuple[int, int]:
    """`2/5` is the second of five parts; FlagError for what is none."""
    match = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text.strip())
    index, of = (int(part) for part in match.groups()) if match else (0, 0)
    if not 1 <= index <= of:
        raise FlagError(f"{flag} {text!r}: expected I/N, the part and how many there are, from 1/N to N/N; e.g. 1/4")
    return index, of


def shard(cases: Sequence[Case], index: int, of: int) -> Shard:
    """Which of the cases part `index` (from 1) of `of` audits: in turn, so that one long spec is spread over all.

    The positions depend on the number of cases alone, and are in order.
    """
    positions = tuple(range(index - 1, len(cases), of))
    return Shard(index, of, positions, len(cases), digest(cases), tuple(case.name for case in cases))


def digest(cases: Sequence[Case]) -> str:
    """SHA-256 of what the cases say, and where: shards belong together where it is the same."""
    told = json.dumps([contents_of(case) for case in cases], sort_keys=True)
    return hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest()
