"""The tolerance rows of a user's own function: every admissible formulation at every precision, tightest first.

docs/numerics.md, "Admissible formulations" and "A user's own code". A row is cheap to name; it costs something only
when it is tried, and the first rows explain most sound code.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from gradaudit.functions import registry
from gradaudit.functions.interface import Function
from gradaudit.numerics import formats
from gradaudit.records.case import FunctionCall
from gradaudit.records.profile import Profile
from gradaudit.reference.formulations import formulated, user_programs
from gradaudit.reference.formulations.formulated import Formulation
from gradaudit.reference.formulations.program import Program
from gradaudit.reference.formulations.user_programs import TARGET_RELATIVE
from gradaudit.reference.ladder import DECLARED, INSIDE, ToleranceRow, precisions

ROUNDED_ONCE = "rounded once"
"""The precision of 16-bit results that were computed in float32 and rounded when they were returned."""

STATISTICS = "row statistics"
ROW_SUMS = "rows added up"
"""What sound code may keep in the 16 bits of its operations or in more: a row's sum and logarithm; sums over rows."""


def rows(function_call: FunctionCall, dtype: str, profile: Profile) -> tuple[ToleranceRow, ...]:
    """Every row that a subject of the function, fed `dtype`, is tried against; `profile` is what it is held to.

    Wider than the profile is always allowed and comes first; narrower comes last, `weaker`.
    """
    forms = _forms(function_call, registry.of_call(function_call))
    sound = _sound(dtype, profile)
    # A lower precision names what it explains better than a formulation under which small probabilities vanish.
    found = [_row(form, name, own) for name, own in sound for form in forms if not form.primitives.hides_tail]
    ends = sound if len(sound) == 1 else (sound[0], sound[-1])
    found += [_row(form, name, own) for name, own in ends for form in forms if form.primitives.hides_tail]
    # A precision too low is named by the formulations that nearly everybody uses.
    found += [
        replace(_row(form, name, own), weaker=True, coarse=name.endswith(INSIDE))
        for name, own in precisions(profile)[1:]
        for form in forms
        if form.primitives in (formulated.PLAIN, formulated.BY_LOGSUMEXP) and form.program is not TARGET_RELATIVE
    ]
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _Form:
    name: str
    program: Program
    primitives: Formulation
    looser: bool = False
    common_offset: bool = False


def _row(form: _Form, precision: str, profile: Profile) -> ToleranceRow:
    return ToleranceRow(
        formulation=form.name,
        precision=precision,
        program=form.program,
        profile=profile,
        weaker=False,
        coarse=False,
        looser=form.looser,
        common_offset=form.common_offset,
        primitives=form.primitives,
    )


def _sound(dtype: str, profile: Profile) -> tuple[tuple[str, Profile], ...]:
    """The precisions that are sound, strictest first; the last one is the profile itself."""
    wide = formats.get("float32").precision
    if formats.get(profile.storage).precision >= wide:
        return ((DECLARED, profile),)
    inside = replace(
        profile,
        compute="float32",
        accumulate="float32",
        storage="float32",
        statistics="float32",
        reduction="float32",
        exp_ulp=4.0,
        log_ulp=4.0,
        result=dtype,
    )
    steps = [(ROUNDED_ONCE, inside), (f"{ROUNDED_ONCE}, {STATISTICS} in {dtype}", replace(inside, statistics=dtype))]
    if formats.get(profile.accumulate).precision >= wide:
        kept = replace(profile, statistics=profile.accumulate, reduction=profile.accumulate)
        steps.append((f"{DECLARED}, {STATISTICS} in {profile.accumulate}", kept))
        added = replace(profile, reduction=profile.accumulate)
        steps.append((f"{DECLARED}, {ROW_SUMS} in {profile.accumulate}", added))
    return (*steps, (DECLARED, profile))


def _forms(call: FunctionCall, function: Function) -> tuple[_Form, ...]:
    if call.name in user_programs.ACTIVATIONS:
        program = user_programs.ACTIVATIONS[call.name]
        own = [_form(each, program) for each in formulated.FORMULATIONS]
        if call.name == "softmax":
            own.insert(1, _form(formulated.BY_LOG, program))
        return tuple(own)
    if call.name == "cross_entropy":
        own = [_form(each, user_programs.CROSS_ENTROPY) for each in formulated.FORMULATIONS]
        if not call.parameters.get("label_smoothing"):
            relative = _Form("differences to the target", TARGET_RELATIVE, formulated.PLAIN, looser=True)
            own.insert(2, relative)
        return tuple(own)
    return tuple(_spelled(function, call))


def _form(primitives: Formulation, program: Program) -> _Form:
    return _Form(primitives.name, program, primitives, primitives.looser, primitives.common_offset)


def _spelled(function: Function, call: FunctionCall) -> list[_Form]:
    """Every spelling that serves the parameters, over every formulation of the primitives."""
    spellings = [each for each in function.spellings if each.applies(call.parameters)]
    outputs = [(each.name, each.output, each.looser, each.common_offset) for each in spellings]
    if not outputs:
        outputs = [("", function.output, False, False)]
    return [
        _Form(
            ", ".join(part for part in (primitives.name, name) if part),
            user_programs.by_tape_of(output),
            primitives,
            looser or primitives.looser,
            offset or primitives.common_offset,
        )
        for primitives in formulated.FORMULATIONS
        for name, output, looser, offset in outputs
    ]
