"""The console script: the commands, and the exit status that each way to end stands for."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated

import typer

from gradaudit import __version__
from gradaudit.cli import backends, baseline
from gradaudit.cli.check import check
from gradaudit.cli.compare import compare
from gradaudit.cli.explain import explain
from gradaudit.cli.init import init
from gradaudit.cli.merge import merge
from gradaudit.cli.render import render
from gradaudit.cli.replay import replay
from gradaudit.cli.rules import rules
from gradaudit.cli.schema import schema
from gradaudit.cli.streams import close_quietly, say, use_utf8, write
from gradaudit.cli.validate import validate
from gradaudit.errors import GradauditError

USAGE, INTERNAL, INTERRUPTED = 2, 3, 130
ENDING = ("SIGTERM", "SIGHUP")
"""Signals by which others end us (a CI job's time limit, a terminal that closes): an interruption like Ctrl-C, so
that workers and the run folder go too."""
COMPLETION = "_GRADAUDIT_COMPLETE"
"""Environment variable by which a shell asks Typer for completions."""
TRACEBACK = "GRADAUDIT_TRACEBACK"
"""Environment variable: any value shows the traceback of an internal error."""

# Plain help: Typer's Rich help imports half of Rich, which alone takes as long as all the rest.
app = typer.Typer(
    name="gradaudit",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    help="Prove where softmax and cross-entropy gradients are right, measure how right, and name the cause where "
    "they are wrong.",
    epilog="Exit status: 0 nothing found beyond what is expected; 1 findings; 2 the request is wrong; 3 something "
    "could not be audited; 130 interrupted.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (check, compare, render, merge, replay, explain, rules, validate, init, schema):
    app.command()(command)
app.add_typer(backends.app, name="backends")
app.add_typer(baseline.app, name="baseline")


def _show_version(wanted: bool) -> None:
    if wanted:
        write(f"gradaudit {__version__}\n")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Nothing but --version stands before the command."""


def main() -> None:
    """Run the command line of this process and exit."""
    for name in ENDING:
        number = getattr(signal, name, None)
        # Who started us may have had a signal ignored, as nohup does; that stays so.
        if number is not None and signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)
    sys.exit(run(sys.argv[1:], os.environ))


def run(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """The exit status of one command line. Nothing escapes but SystemExit; an internal error is never 1."""
    use_utf8()
    try:
        status = app(list(arguments), prog_name="gradaudit", standalone_mode=False)
    except GradauditError as error:
        say(str(error), prefix="error: ")
        status = error.exit_status
    except typer.TyperException as error:
        status = _usage(error)
    except (KeyboardInterrupt, typer.Abort):
        status = INTERRUPTED
    except SystemExit as stop:
        # Typer exits 1 by itself where a pipe breaks, and 1 means findings.
        status = _exited(stop, environ)
    except Exception as error:
        status = _internal(error, arguments, environ)
    if status == INTERRUPTED:
        say("interrupted")
    close_quietly()
    return status if isinstance(status, int) else 0


def _usage(error: typer.TyperException) -> int:
    context = getattr(error, "ctx", None)
    # pydantic, by which Typer checks choices, puts the class of its own error first.
    message = error.format_message().replace(": Value error, ", ": ")
    if context is None or type(error).__name__ == "NoArgsIsHelpError":
        say(message)
    else:
        say(message, prefix="error: ")
        say(f"{context.get_usage()}\nTry '{context.command_path} --help'.")
    return USAGE


def _exited(stop: SystemExit, environ: Mapping[str, str]) -> int:
    if COMPLETION in environ or not stop.code:
        raise stop
    say(f"internal error: ended early with {stop.code!r}")
    return INTERNAL


def _internal(error: Exception, arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    if environ.get(TRACEBACK) or "-v" in arguments or "--verbose" in arguments:
        import traceback

        say("".join(traceback.format_exception(error)))
    say(
        f"internal error: {type(error).__name__}: {error}\n"
        f"This is a fault of gradaudit and no verdict on what was audited. With {TRACEBACK}=1 in the environment "
        "(or check -v) the traceback is shown; please report it."
    )
    return INTERNAL
