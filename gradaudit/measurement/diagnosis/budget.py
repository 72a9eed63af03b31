"""How long a fault is searched for, in evaluations of models: the same on every machine, and for every load of it."""

from __future__ import annotations

MOST = 8000
"""Evaluations of models that the search for one subject's fault at one dtype may take."""

ELEMENTS = 2048
"""Logits up to which an evaluation of a model counts once: the work for less is that of calling functions."""


class Budget:
    """What is left of a search: `spend` counts, and nothing is started any more once `spent`."""

    def __init__(self, most: int = MOST) -> None:
        self.most = most
        self.used = 0

    def spend(self, elements: int) -> None:
        """Count an evaluation of a model on so many logits."""
        self.used += 1 + elements // ELEMENTS

    @property
    def spent(self) -> bool:
        """Whether the search ends here."""
        return self.used >= self.most
