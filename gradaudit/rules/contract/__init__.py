"""CON: how a subject behaves as a function."""
