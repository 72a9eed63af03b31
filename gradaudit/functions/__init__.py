"""The mathematics, each function once: parameters, formula, exact gradient, Jacobian, invariants, source."""
