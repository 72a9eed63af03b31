"""What a rule is."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from gradaudit.records.finding import SEVERITIES, Finding, RuleSummary
from gradaudit.records.measurement import MeasuredCase

FAMILIES: Mapping[str, str] = MappingProxyType(
    {
        "CAN": "cancellation: digits that cancelled",
        "SAT": "saturation: where the function stops answering",
        "DIV": "divergence: values apart from the truth, or from one another",
        "BUG": "wrong mathematics, diagnosed",
        "CON": "contract: how it behaves as a function",
        "RUN": "execution: what could not be audited",
        "POW": "power of the audit: tests that could not fail",
    }
)
"""The letters of a code, and what rules under them are about. A plugin may bring letters of its own."""

_CODE = re.compile(r"[A-Z]{3}[0-9]{3}")
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class Rule:
    """One statement that can be made of a measured case, with its documentation.

    `code` is three letters and three digits, stable for ever; `name` is kebab-case and names the fault.
    `severity` is that of an ordinary finding; `check` may say less or more where the context asks for it.
    `formula` is the mathematics in plain text and `source` where it comes from. `fires` is a complete spec that
    makes the rule fire and `silent` a near neighbour of it that does not; where no sound backend can be brought
    to fire it, `fires` is None and `fires_note` says what does. `fires_code` and `silent_code` are the Python source
    of the `losses.py` that stands beside such a spec; without a `silent` of its own the spec of `fires` serves both.
    `advice` is the next step of the reader. ValueError where a text is missing or malformed.
    """

    code: str
    name: str
    severity: str
    summary: str
    why: str
    formula: str
    source: str
    fires: str | None
    silent: str | None
    advice: str
    check: Callable[[MeasuredCase], Iterable[Finding]]
    fires_note: str = ""
    fires_code: str | None = None
    silent_code: str | None = None

    def __post_init__(self) -> None:
        if not _CODE.fullmatch(self.code):
            raise ValueError(
                f"rule code {self.code!r}: expected three capital letters and three digits, as in CAN101"
            )
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"rule {self.code}: name {self.name!r}: expected kebab-case, as in 'row-sum-residual'")
        if self.severity not in SEVERITIES:
            raise ValueError(f"rule {self.code}: severity {self.severity!r}: expected one of {', '.join(SEVERITIES)}")
        for section in ("summary", "why", "formula", "source", "advice"):
            if not getattr(self, section).strip():
                raise ValueError(f"rule {self.code}: its {section} is empty")
        if self.fires is None and not self.fires_note.strip():
            raise ValueError(
                f"rule {self.code}: neither an example that fires it nor a fires_note that says what does"
            )
        if self.fires is None and (self.fires_code, self.silent_code) != (None, None):
            raise ValueError(f"rule {self.code}: the code of an example stands beside a spec, and there is none")

    @property
    def family(self) -> str:
        """What the letters of the code stand for, or the letters themselves where a plugin brought them."""
        return FAMILIES.get(self.code[:3], self.code[:3])

    @property
    def silent_spec(self) -> str | None:
        """The spec of the example that does not fire it: `silent`, or that of `fires` with other code beside it."""
        return self.fires if self.silent is None and self.silent_code is not None else self.silent

    @property
    def summarised(self) -> RuleSummary:
        """The part of the documentation that travels in reports."""
        return RuleSummary(self.code, self.name, self.severity, self.summary, self.advice)
