"""DIV: values apart from the truth, or from one another."""
