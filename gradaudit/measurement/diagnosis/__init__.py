"""Diagnosis: the cause of a wrong loss or gradient, from all evaluations of a subject together.

A fault is a model: it predicts what a faulty function returns for any inputs, with the tolerance that a faithful
execution of it needs. It is named only if it explains every element of every evaluation (docs/numerics.md,
"Diagnosis").
"""

from gradaudit.measurement.diagnosis.diagnose import diagnose

__all__ = ["diagnose"]
