"""Slips of losses that are given probabilities, or their logarithms, and take them for something else."""

# ruff: noqa: ARG005 - each slip takes what its stage is given
from __future__ import annotations

from gradaudit.measurement.diagnosis.models import targets
from gradaudit.measurement.diagnosis.models.clamps import epsilons
from gradaudit.measurement.diagnosis.models.variation import Variation, loss_slip, picked, reference_loss
from gradaudit.measurement.diagnosis.view import View

TWICE, CLAMPED = "softmax-applied-twice", "clamped-probability"


def variations(view: View) -> list[Variation]:
    """The slips that exist for a loss of rows that is fed something else than logits."""
    if not view.truth.function.takes_targets:
        return []
    found = _of_logarithms() if view.inputs.reading == "log_probabilities" else _of_probabilities(view)
    return [*found, *targets.variations(view)]


def _of_logarithms() -> list[Variation]:
    return [
        loss_slip(
            "log-softmax again",
            TWICE,
            "log_softmax is applied to log-probabilities: the value is the same, for they add up to 1 already, and "
            "the gradient is p - y where -y is due",
            "pick the log-probability of the label, as nll_loss does; give cross_entropy logits",
            lambda m, z, t, v: reference_loss(m, z, t, v, reading="logits"),
        ),
        loss_slip(
            "probability of the label",
            TWICE,
            "the loss is minus the probability of the label: the log-probabilities are exponentiated",
            "pick the log-probability of the label as it is given",
            lambda m, z, t, v: -picked(m, m.exp(z), t),
        ),
    ]


def _of_probabilities(view: View) -> list[Variation]:
    found = [
        loss_slip(
            "softmax again",
            TWICE,
            "softmax is applied to probabilities",
            "take the logarithm of the probability of the label; give cross_entropy logits",
            lambda m, z, t, v: reference_loss(m, z, t, v, reading="logits"),
        ),
        loss_slip(
            "no logarithm",
            TWICE,
            "the logarithm is missing: the loss is minus the probability of the label",
            "take the logarithm of the probability of the label",
            lambda m, z, t, v: -picked(m, z, t),
        ),
    ]
    for value, text in epsilons(view.inputs.dtype):
        found.append(
            loss_slip(
                f"log(p + {text})",
                CLAMPED,
                f"{text} is added to the probabilities inside the logarithm",
                "take the logarithm of the probabilities as they are, or ask for log-probabilities",
                lambda m, z, t, v, value=value: -picked(m, m.log(z + m.parameter(value)), t),
                rarely=True,
            )
        )
        found.append(
            loss_slip(
                f"p >= {text}",
                CLAMPED,
                f"probabilities are cut off below {text} before the logarithm",
                "take the logarithm of the probabilities as they are, or ask for log-probabilities",
                lambda m, z, t, v, value=value: -picked(m, m.log(m.clip(z, value, None)), t),
                rarely=True,
            )
        )
    return found
