"""How long a worker may take, and how much it may use."""

from __future__ import annotations

import os
from dataclasses import dataclass

UNKNOWN_MEMORY = 8 << 30


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """Limits of one worker.

    `timeout` is in seconds for one evaluation, `startup_timeout` in seconds until the framework is imported.
    `max_memory` is in bytes beyond what the import takes; None stands for half of the machine's memory. `threads`
    is what the framework may use: more than one changes the order of sums from run to run. `python` is the
    interpreter that has the framework; None stands for the variable GRADAUDIT_PYTHON_<BACKEND>, else for the one
    that runs gradaudit.
    """

    timeout: float = 60.0
    startup_timeout: float = 180.0
    max_memory: int | None = None
    threads: int = 1
    python: str | None = None

    @property
    def memory_cap(self) -> int:
        """`max_memory`, or half of the machine's memory."""
        if self.max_memory is not None:
            return self.max_memory
        try:
            return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
        except (ValueError, OSError, AttributeError):
            return UNKNOWN_MEMORY
