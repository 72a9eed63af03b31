"""Failing evaluations on disk: saved with their inputs, read again, and written as scripts without gradaudit."""
