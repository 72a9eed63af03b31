"""The reference floor against the oracle, and the teeth of its tolerances."""
