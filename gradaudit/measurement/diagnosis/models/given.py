"""Slips of losses that are given probabilities, or their logarithms, and take them for something else."""

# ruff: noqa: ARG001, ARG005 - each slip takes what its stage is given
from __future__ import annotations

from gradaudit.functions.rows import Targets
from gradaudit.measurement.diagnosis.models import targets
from gradaudit.measurement.diagnosis.models.clamps import epsilons, rounded_end
from gradaudit.measurement.diagnosis.models.variation import (
    M,
    V,
    Variation,
    loss_slip,
    picked,
    reference_loss,
    weighted,
)
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
        loss_slip(
            "logarithm again",
            TWICE,
            "the logarithm is taken once more, of minus the log-probabilities",
            "pick the log-probability of the label as it is given",
            lambda m, z, t, v: picked(m, m.log(-z), t),
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
    found += [
        loss_slip(
            "probabilities divided by their sum",
            TWICE,
            "the probabilities are divided by their sum again: the value is the same, for they add up to 1, and the "
            "gradient is 1 - 1 / p_y where -1 / p_y is due",
            "take the logarithm of the probability of the label as it is given",
            lambda m, z, t, v: weighted(m, m.log(m.sum(z)), t) - picked(m, m.log(z), t),
        ),
        loss_slip(
            "binary cross entropy",
            TWICE,
            "each class is scored by itself, -y log p - (1 - y) log(1 - p), where the label's -log p alone is due",
            "take the logarithm of the probability of the label, and of no other",
            _binary,
        ),
    ]
    for value, text in epsilons(view.inputs.dtype):
        found.append(
            loss_slip(
                f"{text} <= p <= 1 - {text}, divided by their sum",
                CLAMPED,
                f"probabilities are cut to [{text}, 1 - {text}] and divided by their sum again",
                "take the logarithm of the probability of the label as it is given",
                lambda m, z, t, v, value=value: _renormalised(m, m.clip(z, value, 1.0 - value), t, v),
                rarely=True,
            )
        )
        found.append(
            loss_slip(
                f"{text} <= p <= 1 - {text}",
                CLAMPED,
                f"probabilities are cut to [{text}, 1 - {text}] before the logarithm",
                "take the logarithm of the probabilities as they are, or ask for log-probabilities",
                lambda m, z, t, v, value=value: rounded_end(
                    m, -picked(m, m.log(m.clip(z, value, 1.0 - value)), t), v
                ),
                rarely=True,
            )
        )
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


def _binary(m: M, z: V, t: Targets[V], view: View) -> V | None:
    if t.labels is None or t.mass is None:
        return None
    remainders = m.log(m.exact(1.0) - z)
    return t.mass * (m.take(remainders, t.labels) - m.sum(remainders)) - picked(m, m.log(z), t)


def _renormalised(m: M, p: V, t: Targets[V], view: View) -> V:
    return rounded_end(m, weighted(m, m.log(m.sum(p)), t) - picked(m, m.log(p), t), view)
