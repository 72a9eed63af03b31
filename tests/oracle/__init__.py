"""The exact values that the tests judge by: see README.md."""
