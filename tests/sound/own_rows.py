"""The row of each sound formulation, and the largest errors under it: no row may be exceeded by its own formulation.

`python -m tests.sound.own_rows SEEDS` prints the table of docs/numerics.md, "Verification of the rows".
"""

from __future__ import annotations

import sys
from collections import defaultdict

import numpy as np

from gradaudit.measurement.evaluation import measure
from gradaudit.reference import admissible
from gradaudit.reference.formulations import formulated
from gradaudit.reference.truth import Truth
from tests.sound import cases
from tests.sound.cases import Drawn, Stratum

BY_LOG_P = {
    "shifted by the attached maximum": formulated.MAXIMUM,
    "fused after the attached maximum": formulated.MAXIMUM,
    "log1p of the rest": formulated.MAXIMUM,
    "fused after the first logit": formulated.FIRST,
    "fused after the mean": formulated.MEAN,
    "quotient": formulated.MAXIMUM,
}
BY_LOGSUMEXP = {
    "shifted by the attached maximum": formulated.MAXIMUM_LOGSUMEXP,
    "fused after the attached maximum": formulated.MAXIMUM_LOGSUMEXP,
    "log1p of the rest": formulated.MAXIMUM_LOGSUMEXP,
    "fused after the first logit": formulated.FIRST_LOGSUMEXP,
    "fused after the mean": formulated.MEAN_LOGSUMEXP,
    "saved logsumexp": formulated.BY_LOGSUMEXP,
    "logsumexp": formulated.BY_LOGSUMEXP,
    "shifted logsumexp": formulated.BY_LOGSUMEXP,
    "halves": formulated.PARTS,
    "tree": formulated.PAIRS,
    "fold": formulated.CLASSES,
    "online 3": formulated.ONLINE_ANY,
    "online 64": formulated.ONLINE,
    "online 3, attached": formulated.ONLINE_ATTACHED_ANY,
    "online 64, attached": formulated.ONLINE_ATTACHED,
}
ALWAYS_BY_LOGSUMEXP = frozenset(BY_LOGSUMEXP) - frozenset(BY_LOG_P)


def own_row(stratum: Stratum, drawn: Drawn) -> str:
    """The name of the row that bounds the case's formulation."""
    style, rows = drawn.style, stratum.rows.removeprefix("exp of ")
    if rows == "differences to the target":
        return admissible.RELATIVE
    if style is not None and drawn.meaning is not None and cases.losses.averages_apart(drawn.meaning, style):
        return formulated.APART.name
    of_logsumexp = stratum.function == "logsumexp" or rows in ALWAYS_BY_LOGSUMEXP
    if style is not None:
        smoothed = bool(drawn.inputs.function.parameters["label_smoothing"])
        soft = drawn.inputs.targets is not None and drawn.inputs.targets.ndim == 2
        if smoothed:
            of_logsumexp |= style.smoothing == "logsumexp form" and not soft
        else:
            of_logsumexp |= style.pick == "logsumexp less logit" and not soft and rows not in cases.losses.BACKWARDS
    if of_logsumexp:
        return BY_LOGSUMEXP.get(rows, formulated.BY_LOGSUMEXP).name
    if stratum.rows.startswith("exp of ") and rows not in BY_LOG_P:
        return formulated.BY_LOG.name
    return BY_LOG_P.get(rows, formulated.PLAIN).name


def share(stratum: Stratum, seed: int) -> tuple[str, float] | None:
    """The row's name and the largest error under it, in units of the tolerance; None where a result is not finite."""
    drawn = cases.draw(seed, stratum)
    evaluation, profile, call = cases.evaluate(drawn), cases.profile(stratum.dtype), drawn.inputs.function
    if not (
        np.isfinite(evaluation.output.astype(float)).all() and np.isfinite(evaluation.gradient.astype(float)).all()
    ):  # type: ignore[union-attr]
        return None
    name = own_row(stratum, drawn)
    (row,) = [
        each
        for each in admissible.rows(call, stratum.dtype, profile)
        if not each.weaker and each.formulation == name and each.profile == profile
    ]
    found = measure(Truth(drawn.inputs), evaluation, profile, "values", (row,))
    assert found.gradient is not None
    return name, max(found.output.max_error_over_tolerance, found.gradient.max_error_over_tolerance)


def main(seeds: int, start: int = 0) -> None:
    """Print the largest share and the number of cases of each row and dtype: Markdown."""
    worst: dict[tuple[str, str], list[float]] = defaultdict(list)
    for seed in range(start, start + seeds):
        for stratum in cases.strata():
            found = share(stratum, seed)
            if found is not None:
                worst[found[0], stratum.dtype].append(found[1])
                if found[1] > 1.0:
                    print("exceeded:", stratum, seed, found)  # noqa: T201
    names = list(dict.fromkeys(name for name, _ in worst))
    print("| row | " + " | ".join(cases.DTYPES) + " |")  # noqa: T201
    for name in names:
        cells = [worst[name, dtype] for dtype in cases.DTYPES]
        print(f"| {name} | " + " | ".join(f"{max(each):.2f} ({len(each)})" if each else "" for each in cells) + " |")  # noqa: T201


if __name__ == "__main__":
    main(*(int(each) for each in sys.argv[1:]))
