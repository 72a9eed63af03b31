"""The tolerance rows of a user's own function: every admissible formulation at every precision, tightest first.

docs/numerics.md, "Admissible formulations" and "A user's own code". A row is cheap to name; it costs something only
when it is tried, and the first rows explain most sound code.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from gradaudit.functions import registry
from gradaudit.functions.interface import Function, Spelling
from gradaudit.numerics import formats
from gradaudit.records.function_call import FunctionCall
from gradaudit.records.profile import Profile
from gradaudit.reference.formulations import formulated, user_programs
from gradaudit.reference.formulations.formulated import Formulation
from gradaudit.reference.formulations.program import Program
from gradaudit.reference.ladder import DECLARED, INSIDE, ToleranceRow, precisions

ROUNDED_ONCE = "rounded once"
"""The precision of 16-bit results that were computed in float32 and rounded when they were returned."""

STATISTICS = "row statistics"
ROW_SUMS = "rows added up"
"""What sound code may keep in the 16 bits of its operations or in more: a row's sum and logarithm; sums over rows."""

RELATIVE = "differences to the target"
"""The formulation logsumexp(x - x_y)."""

Precisions = tuple[tuple[str, Profile], ...]


def rows(function_call: FunctionCall, dtype: str, profile: Profile) -> tuple[ToleranceRow, ...]:
    """Every row that a subject of the function, fed `dtype`, is tried against; `profile` is what it is held to.

    Wider than the profile is always allowed and comes first; narrower comes last, `weaker`.
    """
    forms = _forms(function_call, registry.of_call(function_call))
    sound = _sound(dtype, profile)
    # What explains the data without a loss of digits comes before what does not; and a lower precision names what it
    # explains better than a formulation under which small probabilities vanish.
    found = [_row(form, name, own) for name, own in sound for form in forms if not form.looser]
    found += [
        _row(form, name, own)
        for name, own in _some(sound)
        for form in forms
        if form.looser and not form.primitives.hides_tail
    ]
    found += [
        _row(form, name, own) for name, own in _some(sound)[::2] for form in forms if form.primitives.hides_tail
    ]
    # A precision too low is named by the formulations that nearly everybody uses.
    found += [
        replace(_row(form, name, own), weaker=True, coarse=name.endswith(INSIDE))
        for name, own in precisions(profile)[1:]
        for form in forms
        if form.name != RELATIVE and form.primitives in (formulated.PLAIN, formulated.BY_LOGSUMEXP)
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


def _some(sound: Precisions) -> Precisions:
    """The strictest and the last two: what formulations are tried at that explain little sound code."""
    return sound if len(sound) < 4 else (sound[0], *sound[-2:])


def _sound(dtype: str, profile: Profile) -> Precisions:
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
    if call.name == "cross_entropy" and function.native(call.parameters):
        program = user_programs.cross_entropy_of(function)
        own = [_form(each, program) for each in formulated.FORMULATIONS]
        if not call.parameters.get("label_smoothing"):
            relative = user_programs.cross_entropy_of(function, relative=True)
            own.insert(2, _Form(RELATIVE, relative, formulated.PLAIN, looser=True))
        if call.parameters.get("reduction") != "none":
            own.append(_form(formulated.APART, program))
        return tuple(own)
    return tuple(_spelled(function, call))


def _form(primitives: Formulation, program: Program) -> _Form:
    return _Form(primitives.name, program, primitives, primitives.looser, primitives.common_offset)


def _spelled(function: Function, call: FunctionCall) -> Iterator[_Form]:
    """Every spelling that serves the parameters over the shifted primitives, the loosest ones over the others."""
    spellings: list[Spelling | None] = [each for each in function.spellings if each.applies(call.parameters)]
    if not any(each is not None and each.output is function.output for each in spellings):
        spellings.insert(0, None)
    tight = [each for each in spellings if each is None or not each.looser]
    wide = [each for each in spellings if each is None or not each.alone]
    coarsest = list(dict.fromkeys((tight[-1], wide[-1]))) if tight else wide[-1:]
    for primitives in formulated.FORMULATIONS:
        if primitives in formulated.VARIANTS:
            continue
        for spelling in spellings if primitives is formulated.PLAIN else coarsest:
            names = [primitives.name] if spelling is None else [primitives.name, spelling.name]
            yield _Form(
                "; ".join(names),
                user_programs.by_tape_of(function, spelling),
                primitives,
                primitives.looser or (spelling is not None and spelling.looser),
                primitives.common_offset or (spelling is not None and spelling.common_offset),
            )
