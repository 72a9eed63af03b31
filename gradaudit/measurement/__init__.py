"""Evaluations against their enclosures, and what the inputs do to the function: numbers, without a verdict."""
