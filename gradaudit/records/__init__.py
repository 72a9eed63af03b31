"""Frozen, slotted values that pass between the floors. NumPy is their only dependency."""
