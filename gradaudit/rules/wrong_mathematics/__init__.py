"""BUG: wrong mathematics, diagnosed."""
