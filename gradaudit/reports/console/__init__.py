"""The report on a terminal. Only `full` is called from outside; Rich is imported when it is, not before."""
