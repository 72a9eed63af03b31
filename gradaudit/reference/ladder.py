"""The tolerance rows a candidate is tried against, strictest first.

A row is a formulation at a precision. First come the declared precision's rows: the shifted one, then the
declared formulation's own. Only if none explains every element does the precision go down, step by step.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from gradaudit.numerics import formats
from gradaudit.records.profile import Profile
from gradaudit.reference.formulations import fused, given, log_softmax, renormalised, unfused, unshifted
from gradaudit.reference.formulations.formulated import Formulation
from gradaudit.reference.formulations.program import Program

DECLARED = "declared"
INSIDE = "inside"
FLUSHED = "subnormals flushed to 0"
"""What the names of precisions are made of: the profile's own, a format in which everything is computed, and a range
without subnormal numbers."""

UNSHIFTED = "unshifted"

FLUSHED_BELOW = 2.0**-100
"""Processors flush float32 and wider formats; float16's subnormals are too large to be given up unnoticed."""


@dataclass(frozen=True, slots=True)
class ToleranceRow:
    """One row: `formulation` and `precision` name it; `program` under `profile` gives the tolerance.

    `weaker`: its precision is below the declared one; `coarse`: and its kernels compute in no more than the storage
    format. `looser`: its formulation loses digits that the shifted one keeps; `common_offset`: among them those of an
    offset common to the row. `primitives`: how a user's code computes softmax and its kin; the program then runs over
    their algebra.
    """

    formulation: str
    precision: str
    program: Program
    profile: Profile
    weaker: bool
    coarse: bool
    looser: bool
    common_offset: bool
    primitives: Formulation | None = None

    @property
    def flushed(self) -> bool:
        """Whether it allows small numbers to be lost, which the declared precision does not."""
        return self.weaker and self.precision == FLUSHED

    @property
    def must_regain(self) -> bool:
        """Whether it is so wide that it hides elements altogether: it has to decide what it is tried for."""
        return self.coarse or self.flushed


@dataclass(frozen=True, slots=True)
class _Form:
    name: str
    program: Program
    looser: bool = False
    common_offset: bool = False


def rows(function: str, formulation: str, profile: Profile, reading: str = "logits") -> tuple[ToleranceRow, ...]:
    """Every row that a candidate which declares `formulation` and `profile` is tried against, in order.

    `reading` is what it is fed: of log-probabilities there is one formulation, which picks them.
    """
    forms = _forms(function, formulation, profile.probabilities)
    if reading == "log_probabilities":
        forms = (_Form("log-probabilities as given", given.program()),)
    return tuple(
        ToleranceRow(
            formulation=form.name,
            precision=precision,
            program=form.program,
            profile=candidate,
            weaker=precision != DECLARED,
            coarse=precision.endswith(INSIDE),
            looser=form.looser,
            common_offset=form.common_offset,
        )
        for precision, candidate in precisions(profile)
        for form in forms
        # (g / s) exp(z) would scale what is flushed up without limit: such a row explains anything.
        if not (precision == FLUSHED and form.name == UNSHIFTED)
    )


def _forms(function: str, formulation: str, probabilities: str) -> tuple[_Form, ...]:
    strictest = _Form("shifted", fused.programs(function, "quotient"))
    if formulation == "fused":
        return (strictest, *_fused(function, probabilities))
    if formulation == "log_softmax":
        return strictest, _Form("log_softmax", log_softmax.programs(function, probabilities))
    if formulation.startswith("renormalised"):
        quotient = _Form("renormalised", renormalised.by_quotient(probabilities), looser=True)
        if formulation == "renormalised":
            return strictest, quotient
        return strictest, quotient, _Form("fused of log p", renormalised.fused_of_log(probabilities), looser=True)
    if formulation == "unfused":
        return strictest, _Form("unfused", unfused.programs(function, probabilities), looser=True)
    return strictest, _Form(UNSHIFTED, unshifted.programs(function, probabilities), looser=True)


def _fused(function: str, probabilities: str) -> tuple[_Form, ...]:
    """The fused form whose backward is another one than by the stored quotient."""
    names = {
        "quotient_rule": "shifted, by the quotient rule",
        "expanded": "shifted, p g - p sum p g",
        "exp_log": "shifted, p = exp(log p)",
    }
    if probabilities in names:
        return (_Form(names[probabilities], fused.programs(function, probabilities)),)
    if probabilities == "exp_lse":
        lossy = fused.programs(function, "exp_lse")
        return (_Form("p = exp(x - logsumexp)", lossy, looser=True, common_offset=True),)
    return ()


def precisions(profile: Profile) -> tuple[tuple[str, Profile], ...]:
    """The declared profile, then weaker ones: less of each step kept in more than the storage format."""
    u = {name: form.unit_roundoff for name, form in formats.FORMATS.items()}
    storage = profile.storage
    steps: list[tuple[str, Profile]] = [(DECLARED, profile)]
    if u[profile.statistics] < u[storage]:
        steps.append((f"{storage} row statistics", replace(profile, statistics=storage)))
    if u[profile.accumulate] < u[storage]:
        steps.append((f"{storage} sums", replace(profile, accumulate=storage, statistics=storage, reduction=storage)))
    if u[profile.compute] < u[storage]:
        steps.append((f"{storage} {INSIDE}", _inside(profile, storage)))
    if not profile.flushes and formats.get(profile.compute).smallest_normal < FLUSHED_BELOW:
        steps.append((FLUSHED, replace(profile, flushes=True)))
    # From wide to narrow; float16 keeps more digits than bfloat16.
    steps += [
        (f"{name} {INSIDE}", _inside(profile, name))
        for name in ("float32", "float16", "bfloat16")
        if u[name] > u[storage]
    ]
    return tuple(steps)


def _inside(profile: Profile, name: str) -> Profile:
    return replace(profile, compute=name, accumulate=name, statistics=name, reduction=name)
