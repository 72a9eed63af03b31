"""A module whose import fails."""

reciprocal = 1 / 0
