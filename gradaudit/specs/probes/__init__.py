"""Probes: inputs that are added to a case's own, so that a fault cannot hide behind easy ones.

`names` says which probes are standard for a case, `inputs` makes one of them. Each is sized so that the constants of
different faults differ: 7 rows, 11 classes, 2 rows ignored, a scalar upstream gradient of 1.7.
"""

from gradaudit.specs.probes.catalogue import KNOWN, applies, inputs, names, summary

__all__ = ["KNOWN", "applies", "inputs", "names", "summary"]
