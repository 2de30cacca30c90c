"""What `harness run` hands over to others: JSON, a table in Markdown, JUnit XML."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli._options import STANDARD_OUTPUT, write_json, write_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.model import Run
    from harness.news import Session
    from harness.pipeline import Night

MarkdownFile = Annotated[
    Path | None,
    typer.Option(
        "--markdown", metavar="FILE", help="Also write what is new as a table; - for standard output."
    ),
]
JUnitFile = Annotated[
    Path | None,
    typer.Option("--junit", metavar="FILE", help="Also write JUnit XML; - for standard output."),
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Handover:
    """Where each form of a night goes; nowhere by default.

    Raises:
        HarnessError: two of them go to standard output.
    """

    json_file: Path | None = None
    markdown: Path | None = None
    junit: Path | None = None

    def __post_init__(self) -> None:
        """Refuse to mix two forms."""
        if [getattr(self, field.name) for field in fields(self)].count(STANDARD_OUTPUT) > 1:
            from harness.model import HarnessError  # noqa: PLC0415 - heavy

            raise HarnessError("--json, --markdown, --junit: only one can be -; give the others a file")

    def cleared(self, *, only_if: bool = True) -> "Handover":
        """Take away what the last night left there: should this one not end, it must not be read for its own.

        Raises:
            BrokenError: a file cannot be removed.
        """
        for field in fields(self):
            target = getattr(self, field.name)
            if only_if and target not in (None, STANDARD_OUTPUT) and target.is_file():
                _remove(target)
        return self

    def write(self, night: "Night", store: str) -> None:
        """Write all forms that were asked for.

        Raises:
            BrokenError: a file cannot be written.
        """
        from harness.codec import runs_to_json  # noqa: PLC0415 - heavy
        from harness.junit import junit  # noqa: PLC0415 - heavy
        from harness.markdown import markdown  # noqa: PLC0415 - heavy

        if self.json_file is not None:
            write_json(self.json_file, runs_to_json(night.runs))
        if self.junit is not None:
            write_text("--junit", self.junit, junit(night.runs))
        if self.markdown is not None:
            write_text("--markdown", self.markdown, markdown(night.runs, *_before(night.session, store)))


def _remove(target: Path) -> None:
    try:
        target.unlink()
    except OSError as error:
        from harness.model import BrokenError  # noqa: PLC0415 - heavy

        raise BrokenError(f"{target}: cannot be written anew: {error.strerror or error}") from error


def _before(session: str, store: str) -> "tuple[Sequence[Run], Session | None]":
    """The runs of the last night, and that night."""
    from harness.news import last_night  # noqa: PLC0415 - heavy
    from harness.store import open_store  # noqa: PLC0415 - heavy

    with open_store(store, create=False) as recorded:
        last = last_night(recorded.sessions(), session)
        return (recorded.runs(session=last.id), last) if last else ((), None)
