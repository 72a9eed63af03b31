"""The mathematics, each function once: parameters, formula, exact gradient, Jacobian structure, invariants, source."""
