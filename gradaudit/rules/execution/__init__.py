"""RUN: what could not be audited."""
