"""The command line: one file a command, each of which parses, calls, prints and returns an exit status.

`gradaudit --help` imports the modules of all commands, so these import nothing heavier than Typer at their top;
what a command works with is imported inside it.
"""
