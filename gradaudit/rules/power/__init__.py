"""POW: audits that could not fail."""
