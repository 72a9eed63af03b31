"""Float formats, the arithmetic a bound is charged with, ball arithmetic on arrays, and its escalation to arb."""
