"""The algorithms a candidate may use, spelled over balls that are charged with its arithmetic."""
