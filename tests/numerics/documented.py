"""The tables of docs/numerics.md, made from the code. `python -m tests.numerics.documented` writes them anew."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

from gradaudit.numerics import formats
from gradaudit.numerics.formats import Format
from gradaudit.reference import special_values

PAGE = Path(__file__).parents[2] / "docs" / "numerics.md"
LOG_2 = math.log(2.0)


def between(name: str) -> str:
    """The table that the page shows between its marks."""
    return PAGE.read_text("utf-8").split(f"<!-- begin {name} -->\n")[1].split(f"<!-- end {name} -->")[0].strip()


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def format_table() -> str:
    """The formats and their numbers."""

    def power(value: float) -> str:
        return f"2^−{-int(math.log2(value))}" if value < 1.0 else f"2^{int(math.log2(value))}"

    rows = [
        [
            name,
            str(form.precision),
            f"{power(form.unit_roundoff)} = {form.unit_roundoff:.3g}",
            f"{power(form.smallest_subnormal)} = {form.smallest_subnormal:.3g}",
            f"{power(form.smallest_normal)} = {form.smallest_normal:.3g}",
            f"{form.largest:.6g}",
        ]
        for name, form in formats.FORMATS.items()
    ]
    return table(["format", "bits", "u", "η", "λ", "largest number"], rows)


def special_value_table() -> str:
    """The policy for special values."""
    return table(["where", "due", "why"], [[row.situation, row.due, row.reason] for row in special_values.TABLE])


THRESHOLDS: dict[str, tuple[str, Callable[[Format], float]]] = {
    "saturated: p of the target rounds to 1": ("log(2/u − 1)", lambda f: math.log(2.0 / f.unit_roundoff - 1.0)),
    "vanished: every Jacobian entry below u": (
        "arcosh(1/(2u) − 1)",
        lambda f: math.acosh(0.5 / f.unit_roundoff - 1.0),
    ),
    "1 + e^−g, formed in the format, is 1": ("−log u", lambda f: -math.log(f.unit_roundoff)),
    "underflowed: p of the other class below λ": ("log(1/λ − 1)", lambda f: math.log(1.0 / f.smallest_normal - 1.0)),
    "zero: p of the other class rounds to 0": ("−log(η/2)", lambda f: LOG_2 - math.log(f.smallest_subnormal)),
    "1/p overflows; exp(x) overflows at x = this": ("log(largest number)", lambda f: math.log(f.largest)),
}
"""What happens -> its formula and its value. (log(2/eta - 1) differs from -log(eta / 2) by eta / 2.)"""


def threshold_table() -> str:
    """Gaps between two classes at which each format stops answering."""
    rows = [
        [what, formula, *(f"{value(form):.4f}" for form in formats.FORMATS.values())]
        for what, (formula, value) in THRESHOLDS.items()
    ]
    return table(["from g on", "formula", *formats.FORMATS], rows)


def row_table() -> str:
    """The largest share of its tolerance that each order of a row's operations takes, on each machine."""
    from tests.reference.row_shares import MACHINES, STEPS, worst_share

    rows = [
        [quantity, function, row, f"`{order}`", *(f"{worst_share(*step, machine):.2f}" for machine in MACHINES)]
        for step in STEPS
        for quantity, function, row, order in [step]
    ]
    return table(["of", "function", "row", "order of operations", *MACHINES], rows)


TABLES = {
    "formats": format_table,
    "special values": special_value_table,
    "thresholds": threshold_table,
    "rows": row_table,
}


def main() -> None:
    """Write every table anew."""
    text = PAGE.read_text("utf-8")
    for name, make in TABLES.items():
        begin, end = f"<!-- begin {name} -->\n", f"<!-- end {name} -->"
        before, rest = text.split(begin)
        text = f"{before}{begin}{make()}\n{end}{rest.split(end)[1]}"
    PAGE.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
