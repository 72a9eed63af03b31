"""Regression: what an audit found beside what an earlier one found. Pure functions of reports."""
