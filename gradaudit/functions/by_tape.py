"""Gradients of formulas by reverse-mode differentiation over the algebra they are evaluated in."""

from __future__ import annotations

from dataclasses import replace

from gradaudit.functions.interface import Formula, Function
from gradaudit.functions.rows import Rows, Targets
from gradaudit.numerics.algebra import Algebra, N
from gradaudit.numerics.tape import Tape, Variable


def gradient_of(function: Function) -> Formula:
    """The function's own gradient, or that of its output by a tape."""
    return _Gradient(function.output) if function.gradient is None else function.gradient


def gradient(formula: Formula, m: Algebra[N], rows: Rows[N]) -> N:
    """The gradient of `formula` with respect to the scaled logits, under the rows' upstream gradient."""
    tape = Tape(m)
    z = tape.variable(rows.z)
    return tape.gradient(formula(tape, on_tape(tape, rows, z)), rows.upstream, z)


def target_gradient(formula: Formula, m: Algebra[N], rows: Rows[N]) -> N:
    """The derivative by the dense target mass, [rows, n]."""
    assert rows.targets is not None
    assert rows.targets.dense is not None, "labels have no derivative"
    tape = Tape(m)
    mass = tape.variable(rows.targets.dense)
    lifted = on_tape(tape, rows, tape.constant(rows.z))
    own = replace(lifted, targets=Targets(None, None, mass))
    return tape.gradient(formula(tape, own), rows.upstream, mass)


def hessian_vector(function: Function, m: Algebra[N], rows: Rows[N], direction: N) -> N:
    """d/dz of <gradient, direction>: the Hessian of <upstream, output> times the direction, [rows, n].

    The second derivative is a tape's over that of the first; nothing is a difference.
    """
    tape = Tape(m)
    z = tape.variable(rows.z)
    slope = gradient_of(function)(tape, on_tape(tape, rows, z))
    along = tape.sum(tape.expand(slope, m.shape(rows.z)) * tape.constant(direction))
    return tape.gradient(along, m.exact(1.0), z)


def on_tape(tape: Tape[N], rows: Rows[N], z: Variable[N]) -> Rows[Variable[N]]:
    """The rows on a tape, with `z` in the place of their logits and everything else constant."""
    targets = None
    if rows.targets is not None:
        own = rows.targets
        targets = Targets(
            own.labels,
            None if own.mass is None else tape.constant(own.mass),
            None if own.dense is None else tape.constant(own.dense),
        )
    return Rows(
        z,
        None if rows.factor is None else tape.constant(rows.factor),
        tape.constant(rows.upstream),
        targets,
        rows.parameters,
        rows.labels,
        rows.counted,
        rows.reading,
        rows.support,
    )


class _Gradient:
    """The gradient of a formula, as a formula."""

    def __init__(self, output: Formula) -> None:
        self.output = output

    def __call__(self, m: Algebra[N], rows: Rows[N]) -> N:
        """Evaluate on `rows` in the algebra `m`."""
        return gradient(self.output, m, rows)
