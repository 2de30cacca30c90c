"""`harness doctor`: run a training script as it is, under observation, and say what is wrong with it."""

import tempfile
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli._options import JsonFile, speaker, write_json
from harness.cli._screen import moving_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.doctor import Examination
    from harness.watching.program import Watched

Script = Annotated[Path, typer.Argument(help="A Python script that trains with PyTorch.")]
Arguments = Annotated[list[str] | None, typer.Argument(help="What the script is given, after --.")]
Steps = Annotated[int, typer.Option(min=0, help="Stop cleanly after so many updates; 0 for no limit.")]
Minutes = Annotated[float, typer.Option(min=0, help="Stop cleanly after so many minutes; 0 for no limit.")]
Python = Annotated[
    str, typer.Option(help="The interpreter that runs the script [default: this one].", show_default=False)
]
Html = Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Also write a page for a browser.")]
Echo = Annotated[bool, typer.Option("--echo", help="Show what the script prints.")]


def doctor(  # noqa: PLR0913, PLR0917 - options of a command
    script: Script,
    arguments: Arguments = None,
    steps: Steps = 0,
    minutes: Minutes = 0.0,
    python: Python = "",
    echo: Echo = False,
    html: Html = None,
    json_file: JsonFile = None,
) -> int:
    """Run a training script under observation and say what is wrong with it; exit 1 if something is."""
    from harness.discover import working  # noqa: PLC0415 - heavy
    from harness.doctor import Ending, examine, words  # noqa: PLC0415 - heavy

    say = speaker(json_file)
    watched = _watched(script, arguments or [], steps, minutes, python, echo)
    ending = Ending(how=watched.ending, text=watched.text, code=watched.code, output=watched.output)
    facts = [each for each in watched.facts if each.answers]
    examination = examine(str(script), facts, ending, [one() for one in working("diagnoses").values()])
    for line in words(examination):
        say(line)
    if not ending.well and watched.output:
        say(f"\nlast lines of the script:\n{watched.output}")
    write_json(json_file, _as_json(examination, facts))
    if html is not None:
        from reports._doctor import write_page  # noqa: PLC0415 - only when asked for

        write_page(examination, html)
        say(f"page: {html}")
    return examination.exit_code


def _watched(  # noqa: PLR0913, PLR0917 - as the command
    script: Path, arguments: list[str], steps: int, minutes: float, python: str, echo: bool
) -> "Watched":
    import sys  # noqa: PLC0415 - only here

    from harness.watching.program import Job, watch  # noqa: PLC0415 - heavy

    with tempfile.TemporaryDirectory(prefix="harness-doctor-") as folder, _progress(echo) as on_line:
        job = Job(
            script=script, arguments=tuple(arguments), steps=steps, minutes=minutes, folder=Path(folder),
            python=python or sys.executable,
        )  # fmt: skip
        return watch(job, on_line)


@contextmanager
def _progress(echo: bool) -> "Iterator[Callable[[str], None]]":
    """On a terminal, a line that moves; with `echo`, what the script prints."""
    if echo:
        yield lambda line: typer.echo(line, err=True)
        return
    with moving_line("training under observation") as tell:
        yield tell


def _as_json(examination: "Examination", facts: Any) -> object:
    from harness.plain import strict  # noqa: PLC0415 - rarely

    status = {0: "pass", 1: "fail"}.get(examination.exit_code, "error")
    reason = (
        ""
        if status == "pass"
        else examination.findings[0].name
        if status == "fail"
        else examination.ending.how
    )
    run = {
        "case": examination.script,
        "backend": "script",
        "status": status,
        "reason": reason,
        "message": examination.verdict,
        "verdicts": [],
        "diagnoses": [asdict(each) for each in (*examination.findings, *examination.guesses)],
        "measurements": {
            each.name: {"value": each.value, "unit": each.unit}
            for each in (facts[0].measurements.values() if facts else ())
        },
        "environment": dict(facts[0].environment) if facts else {},
        "seen": {
            key: value
            for key, value in asdict(examination).items()
            if key not in ("script", "findings", "guesses")
        },
    }
    return strict({"schema": 1, "runs": [run]})
