"""The command line: one file a command. It imports nothing heavy until a command runs.

Exit codes: 0 all passed (skips allowed), 1 something failed, 2 the user's input is wrong, 3 the suite or a
backend broke; 130 interrupted, 141 whoever read the output has gone.
"""

from contextvars import ContextVar
from typing import Annotated

import typer

from harness import __version__
from harness.cli import (
    bisect,
    calibrate,
    capsule,
    compare,
    diverge,
    doctor,
    export,
    history,
    lint,
    list_,
    rebase,
    replay,
    report,
    run,
    sabotage,
    schema,
    validate,
)

WRONG_INPUT, BROKE, INTERRUPTED, NO_READER = 2, 3, 130, 141
UsageError: type[typer.BadParameter] = typer.BadParameter.__mro__[1]
"""Typer's base of all mistakes on a command line; whether it is click's or its own depends on its version."""

_debug: ContextVar[bool] = ContextVar("debug", default=False)

app = typer.Typer(
    name="harness",
    help="Regression tests for neural-network training: is it healthy, if not why, since when.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    # Plain help: rich would take a third of the time that `harness --help` may take.
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for name, command in (
    ("list", list_.list_),
    ("lint", lint.lint),
    ("schema", schema.schema),
    ("run", run.run),
    ("doctor", doctor.doctor),
    ("sabotage", sabotage.sabotage),
    ("calibrate", calibrate.calibrate),
    ("rebase", rebase.rebase),
    ("diverge", diverge.diverge),
    ("replay", replay.replay),
    ("capsule", capsule.capsule),
    ("compare", compare.compare),
    ("validate", validate.validate),
    ("bisect", bisect.bisect),
    ("report", report.report),
    ("history", history.history),
    ("export", export.export),
):
    app.command(name, short_help=command.__doc__)(command)


@app.callback(invoke_without_command=True)
def common(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and leave.", is_eager=True)
    ] = False,
) -> None:
    """Regression tests for neural-network training: is it healthy, if not why, since when."""
    if version:
        typer.echo(f"training-harness {__version__}")
        raise typer.Exit
    _debug.set(debug)


def main(arguments: list[str] | None = None) -> int:
    """Run a command line; returns its exit code. An error is one line; its traceback is for `--debug`."""
    _debug.set(False)
    try:
        code = app(args=arguments, prog_name="harness", standalone_mode=False)
    except UsageError as error:
        return _misused(error)
    except (KeyboardInterrupt, typer.Abort):
        return _interrupted()
    except (SystemExit, BrokenPipeError):
        # Whoever read our output has gone (`| head`), which typer answers with SystemExit. No error, but a
        # run that is cut short must not look like one that passed.
        return NO_READER
    except Exception as error:  # noqa: BLE001 - the last line of defence: one line in place of a traceback
        return _complain(error)
    # Typer catches Ctrl-C in a command itself.
    return _interrupted() if code == INTERRUPTED else code if isinstance(code, int) else 0


def _interrupted() -> int:
    advice = "nothing that was recorded is lost, `harness run ... --resume` goes on"
    typer.echo(f"interrupted; {advice}", err=True)
    return INTERRUPTED


def _misused(error: typer.BadParameter) -> int:
    """A mistake on the command line, in one line; a bare `harness` shows its help instead."""
    path = error.ctx.command_path if error.ctx else "harness"
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()
    else:
        typer.echo(f"{path}: {error.format_message().rstrip('.')}; see `{path} --help`", err=True)
    return WRONG_INPUT


def _complain(error: Exception) -> int:
    # Imported here, because it takes NumPy along, which `harness --help` does without.
    from harness.model import HarnessError  # noqa: PLC0415

    if _debug.get():
        import traceback  # noqa: PLC0415 - only when asked for

        traceback.print_exception(error)
    if isinstance(error, HarnessError):
        typer.echo(str(error), err=True)
        return error.exit_code
    said = " ".join(str(error).split())
    typer.echo(f"harness broke: {type(error).__name__}: {said}; `harness --debug ...` shows where", err=True)
    return BROKE
