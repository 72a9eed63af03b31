"""What the letters in the rules' formulas stand for, told below each formula."""

from __future__ import annotations

import re

from gradaudit.rules.interface import Rule

NOTATION = {
    "x": "the logits",
    "z": "the logits as they enter the softmax",
    "p": "the softmax of the logits",
    "p_max": "the largest probability of a row",
    "y": "the label of a row",
    "e_y": "1 at class y and 0 elsewhere",
    "t_ij": "the target mass of row i on class j",
    "t_j": "how far the largest logit is above logit j",
    "T": "the sum of a row's target masses",
    "N": "the number of rows",
    "V": "the number of rows that count, those that are not ignored",
    "C": "the number of classes",
    "w": "the class weights",
    "eps": "label_smoothing",
    "den": "what the mean divides by",
    "g": "the gradient of the logits",
    "r": "the exact gradient of the logits",
    "v": "the upstream gradient",
    "lse": "logsumexp, max x + log s",
    "s": "the sum of exp(x - max x) over the classes",
    "sigma": "the relative error of s",
    "u": "the unit roundoff of the dtype",
    "u_s": "the unit roundoff of the format in which s is stored",
    "eta": "the smallest positive number of the dtype",
    "gap": "how far the largest logit is above another one",
    "delta": "1 where both indices are equal and 0 elsewhere",
}
"""A letter, with any subscript but those that stand here themselves, in the order in which they are told."""

INDICES = frozenset("aijkn")
"""Indices, a count of terms, and an English article."""

OWN = {
    "BUG401": {"c", "K"},
    "BUG402": {"c"},
    "BUG403": {"c"},
    "BUG404": {"c", "K", "V"},
    "BUG431": {"b", "c"},
    "BUG432": {"b", "c"},
    "BUG441": {"x"},
    "BUG452": {"P", "s"},
    "BUG453": {"c"},
    "BUG455": {"e", "q"},
    "BUG456": {"s"},
    "BUG462": {"c"},
    "BUG471": {"H", "d"},
    "BUG481": {"b"},
    "CAN101": {"g", "v", "y"},
    "CAN102": {"c"},
    "CAN103": {"rho"},
    "CON502": {"f"},
    "CON507": {"D", "R", "f", "g", "h", "v"},
    "POW702": {"r"},
    "RUN606": {"x"},
    "SAT201": {"K"},
}
"""Letters that a formula tells by itself, or uses for something else: x is also a multiplication sign."""

_LETTER = re.compile(r"(?<![\w^'])(?:[A-Za-z]|den|eps|lse|sigma|eta|gap|rho|delta)(?:_(?:\w+|\{[^}]*\}))?(?!\w)")


def letters(rule: Rule) -> str:
    """What the letters of the rule's formula stand for, `p: the softmax of the logits; ...`; "" where none does."""
    used = {_known_as(found) for found in _LETTER.findall(rule.formula)} - OWN.get(rule.code, set())
    return "; ".join(f"{letter}: {meaning}" for letter, meaning in NOTATION.items() if letter in used)


def unexplained(rule: Rule) -> set[str]:
    """Letters of the formula that neither it nor NOTATION explains."""
    used = {_known_as(found) for found in _LETTER.findall(rule.formula)}
    return used - OWN.get(rule.code, set()) - set(NOTATION) - INDICES


def _known_as(found: str) -> str:
    """The entry of NOTATION that a letter with its subscript belongs to; without one, the letter alone."""
    letter, _, subscript = found.partition("_")
    if letter == "e" and subscript:
        return "e_y"
    if letter == "t":
        return "t_j" if subscript == "j" else "t_ij" if subscript else "t"
    return found if found in NOTATION else letter
