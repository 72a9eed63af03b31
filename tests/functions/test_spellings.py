"""Every spelling has a candidate in torch, which stays within the tolerance of its spelling.

`python -m tests.functions.spelled` runs many more cases than these.
"""

from __future__ import annotations

from types import MappingProxyType

import numpy as np
import pytest
import torch  # noqa: TID253 (a candidate)

from gradaudit.functions import registry
from gradaudit.functions.interface import Spelling
from tests.functions import spelled
from tests.functions.candidates import CANDIDATES
from tests.oracle import families

SPELLINGS = [(name, each) for name in spelled.PARAMETERS for each in registry.get(name).spellings]
FAMILIES = ("normal_1", "normal_20", "offset_1000", "gap_15", "subnormal_probabilities")


def test_every_spelling_has_a_candidate() -> None:
    assert {(name, each.name) for name, each in SPELLINGS} == set(CANDIDATES)


@pytest.mark.parametrize("dtype", spelled.PROFILES)
@pytest.mark.parametrize(("name", "spelling"), SPELLINGS, ids=[f"{name}, {each.name}" for name, each in SPELLINGS])
def test_a_sound_candidate_is_within_its_tolerance(name: str, spelling: Spelling, dtype: str) -> None:
    found = []
    for own in spelled.PARAMETERS[name]:
        for family, logits in families.families(dtype, 10, 4, 0):
            if family in FAMILIES:
                found.append(spelled.shares(name, spelling, own, dtype, logits))
    kept = [share for share in found if share is not None]
    assert kept
    assert max(max(share.loss, share.gradient) for share in kept) <= 1.0
    assert max(share.decided for share in kept) > 0.5


@pytest.mark.parametrize(("name", "spelling"), SPELLINGS, ids=[f"{name}, {each.name}" for name, each in SPELLINGS])
def test_an_error_of_a_few_units_is_not(name: str, spelling: Spelling, monkeypatch: pytest.MonkeyPatch) -> None:
    """One part in 2^-16 is far beyond any of the tolerances at ordinary logits."""
    sound = CANDIDATES[name, spelling.name]
    monkeypatch.setitem(CANDIDATES, (name, spelling.name), lambda x, y, p: sound(x, y, p) * (1.0 + 2.0**-16))
    logits = dict(families.families("float32", 10, 4, 0))["normal_1"]
    found = [spelled.shares(name, spelling, own, "float32", logits) for own in spelled.PARAMETERS[name]]
    assert all(min(share.loss, share.gradient) > 1.0 for share in found if share is not None)


@pytest.mark.parametrize("gamma", [1.7, 0.3])
@pytest.mark.parametrize("dtype", spelled.PROFILES)
def test_an_exponent_that_the_dtype_has_to_round(dtype: str, gamma: float) -> None:
    """torch rounds it to the dtype: x^1.7 is off by 11 ULP at x = 1e-6, which is no fault."""
    worst = []
    for family, logits in families.families(dtype, 10, 8, 0):
        if family in (*FAMILIES, "normal_5", "gap_7.5"):
            found = spelled.shares("focal", registry.get("focal").spellings[0], {"gamma": gamma}, dtype, logits)
            assert found is not None
            worst.append(max(found.loss, found.gradient))
    assert 0.05 < max(worst) <= 1.0


def test_given_probabilities_and_logarithms_are_within_their_tolerances() -> None:
    """focal, of what a subject reads: by the spelling that reads it as it stands."""
    logits = dict(families.families("float32", 10, 8, 0))["normal_5"].astype(np.float64)
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    labels, function = families.labels(logits, 1), registry.get("focal")
    parameters = MappingProxyType({each.name: each.default for each in function.parameters} | {"reduction": "none"})
    y = torch.from_numpy(labels)[:, None]
    for reading, spelling in (("probabilities", function.spellings[2]), ("log_probabilities", function.spellings[1])):
        given = (p if reading == "probabilities" else np.log(p)).astype(np.float32)
        inputs = spelled.inputs_of("focal", parameters, given, labels, "float32", reading)
        x = torch.from_numpy(given.copy()).requires_grad_(True)
        own = x.gather(1, y)[:, 0]
        loss = -((1 - own) ** 2) * own.log() if reading == "probabilities" else -((1 - own.exp()) ** 2) * own
        loss.backward(torch.from_numpy(inputs.upstream.copy()))
        assert x.grad is not None
        share = spelled.compared(inputs, spelling, loss.detach().numpy()[:, None], x.grad.numpy())
        assert 0.0 < max(share.loss, share.gradient) <= 1.0
