"""The true mathematics of a case: a function and its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from gradaudit.records.expression import Expression


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """The true mathematics, by registered name and validated parameters (every default filled in).

    `expression` is the graph of a formula; the name is then "formula". The name SELF says that there is no truth at
    hand: the gradient is audited against the subject's own forward.
    """

    name: str
    parameters: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))
    expression: Expression | None = None
