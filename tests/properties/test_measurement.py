"""A sound backend is never accused, whatever it is asked; and the same audits do accuse one that is not sound."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume
from hypothesis import strategies as st

from gradaudit.measurement import evaluation
from gradaudit.numerics import arithmetic
from gradaudit.numerics.arithmetic import Arithmetic
from gradaudit.records.profile import Profile
from tests.properties.running import MANY, Law, run
from tests.properties.sound_cases import accusations, loosest_tolerance, sound_cases
from tests.reference.subjects import BACKENDS, evaluated


def never_accused(backend: str, *, large: bool = False) -> Law:
    """The law that an audit of `backend` finds nothing."""

    def law(data: st.DataObject) -> None:
        case = data.draw(sound_cases(large=large))
        found = accusations(backend, case, evaluated(backend, case.formulation, case.inputs))
        assert not found, "\n".join(found)

    return law


def test_numpy_is_never_accused() -> None:
    run(never_accused("numpy"), 300)


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
def test_no_backend_is_ever_accused(backend: str) -> None:
    run(never_accused(backend), MANY)


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
def test_no_backend_is_accused_of_large_arrays(backend: str) -> None:
    run(never_accused(backend, large=True), 60)


# ------------------------------------------------------------------------------------ the same audits can accuse


def test_a_hundredth_of_the_tolerance_is_too_little(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tolerances that are not granted are missed at once."""
    right = arithmetic.of_profile

    def strict(profile: Profile) -> Arithmetic:
        found = right(profile)
        shares = {
            name: getattr(found, name) / 100.0 for name in ("u", "e", "l", "eta", "u_sum", "u_store", "eta_store")
        }
        return replace(found, **shares, l_statistics=found.l_statistics / 100.0)

    monkeypatch.setattr(arithmetic, "of_profile", strict)
    with pytest.raises(AssertionError, match=r"DIV30[14]: numpy .*"):
        run(never_accused("numpy"), 40, shrink=False)


LIES = {"the wrong sign": lambda g: -g, "twice too large": lambda g: 2 * g, "no number": lambda g: np.nan * g}


def accused_of(lie: str) -> Law:
    """The law that one wrong element is always found, if its tolerance is no third of it."""

    def law(data: st.DataObject) -> None:
        case = data.draw(sound_cases())
        # The others have numbers to lose already, and their nature explains it.
        assume(case.formulation in ("fused", "log_softmax") and not case.inputs.per_output)
        arrays = evaluated("numpy", case.formulation, case.inputs)
        gradient = np.array(arrays["gradient"])
        values = gradient.astype(np.float64)
        decided = np.flatnonzero(np.abs(values) > 3.0 * loosest_tolerance("numpy", case))
        assume(len(decided) > 0)
        at = np.unravel_index(data.draw(st.sampled_from(list(decided))), gradient.shape)
        gradient[at] = LIES[lie](values[at])
        assert accusations("numpy", case, arrays | {"gradient": gradient}), f"{lie} at {at} is not found"

    return law


@pytest.mark.parametrize("lie", LIES)
def test_one_wrong_element_is_always_found(lie: str) -> None:
    run(accused_of(lie), 40)


@pytest.mark.slow
@pytest.mark.parametrize("lie", LIES)
def test_one_wrong_element_is_always_found_in_many_cases(lie: str) -> None:
    run(accused_of(lie), MANY // 3)


def test_a_lie_that_is_granted_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last law fails when a gradient is compared with nothing."""
    monkeypatch.setattr(evaluation, "_compare_gradients", lambda *_: None)
    with pytest.raises(AssertionError, match=r"the wrong sign at .* is not found"):
        run(accused_of("the wrong sign"), 40, shrink=False)
