"""The power of an audit: which fault classes its inputs could expose, by planting each of them into the truth."""

from gradaudit.measurement.power.exposure import exposures

__all__ = ["exposures"]
