"""What is said of a measured case: one rule a file, the registry, the judge and the exit status."""
