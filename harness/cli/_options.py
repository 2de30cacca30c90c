"""Options that several commands share, and the file that `--json` writes."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

DEFAULT_STORE = "out/history.sqlite"
DEFAULT_SITE = Path("out/site")
STANDARD_OUTPUT = Path("-")

Paths = Annotated[
    list[Path] | None,
    typer.Argument(help="Case files or folders of them [default: cases].", show_default=False),
]
Store = Annotated[str, typer.Option("--store", metavar="URL", help="SQLAlchemy URL or path of the store.")]
JsonFile = Annotated[
    Path | None,
    typer.Option("--json", metavar="FILE", help="Also write the result as JSON; - for standard output."),
]


def paths_or_default(paths: list[Path] | None) -> list[Path]:
    """What was named, or the folder `cases`."""
    return paths or [Path("cases")]


def speaker(*files: Path | None) -> Callable[[str], None]:
    """Writes lines for people: to standard output, unless one of the files is that."""
    return partial(typer.echo, err=STANDARD_OUTPUT in files)


def counted(number: int, what: str) -> str:
    """`1 run`, `2 runs`."""
    return f"{number} {what}{'s' * (number != 1)}"


def write_json(target: Path | None, value: Any) -> None:
    """Write JSON to a file, or to standard output for `-`; nothing when no file was named.

    Raises:
        BrokenError: the file cannot be written.
    """
    if target is not None:
        write_text("--json", target, json.dumps(value, indent=2, allow_nan=False) + "\n")


def write_text(option: str, target: Path, text: str) -> None:
    """Write what an option asks for to its file, or to standard output for `-`.

    Raises:
        BrokenError: the file cannot be written.
    """
    if target == STANDARD_OUTPUT:
        typer.echo(text, nl=False)
        return
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        from harness.model import BrokenError  # noqa: PLC0415 - heavy

        reason = error.strerror or error
        raise BrokenError(f"{option} {target}: cannot be written: {reason}; name another file") from error
