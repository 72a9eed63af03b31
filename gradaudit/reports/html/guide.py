"""How to read the page: its words and its colours, folded at its top and beside its pictures."""

from __future__ import annotations

from gradaudit.reports.html.markup import Html, tag
from gradaudit.reports.html.tables import named

WORDS = (
    (
        "e/t",
        "the largest error in units of its tolerance, the bound on what rounding can do to that very element. "
        "Above 1 it is no rounding: the value is wrong.",
    ),
    ("ULP", "the same error in units in the last place of the dtype, for orientation; no verdict rests on it."),
    ("forward", "what the function returns: the loss, or the outputs of an activation."),
    ("gradient", "the derivative of the forward by the logits, along the upstream gradient of the case."),
    ("Jacobian", "the gradient of every output by itself (upstream: per_output)."),
    ("undecided", "the share of elements whose tolerance is as large as their value. They pass nothing."),
    ("sum (exact)", "the sum of the row that adds up worst, and in brackets what it adds up to in exact arithmetic."),
    (
        "explained by",
        "the formulation, or the precision, whose rounding accounts for every element at once; or the fault "
        "that does.",
    ),
    ("probe", "inputs that gradaudit adds to those of the case, so that a fault cannot hide behind easy ones."),
    ("u", "the unit roundoff of the dtype: half the distance from 1 to the next larger number."),
)


def reading_guide() -> Html:
    """The words of the page, folded."""
    summary = tag("summary", "How to read this page")
    return tag("details", summary, named(WORDS), class_="guide")


def picture_legend() -> Html:
    """What the colours of heat maps and histograms mean."""
    swatches = (
        ("positive", "above 0"),
        ("negative", "below 0"),
        ("bar", "within its tolerance"),
        ("beyond", "beyond"),
    )
    told = [tag("span", tag("span", class_=f"swatch {kind}", aria_hidden="true"), words) for kind, words in swatches]
    return tag("p", told, "the deeper, the larger; dashed: the tolerance itself", class_="legend quiet")
