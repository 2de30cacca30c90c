"""Progress: of many runs a bar on a terminal, plain lines elsewhere; of anything else a line that moves."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Self

from harness.cli._options import counted


class Screen:
    """Shows what runs have to say as they end. say: where plain lines go."""

    def __init__(self, total: int, workers: int, say: Callable[[str], None]) -> None:
        self._say = say
        self._bar = None
        if sys.stdout.isatty():
            from rich.progress import (  # noqa: PLC0415 - only a terminal pays for it
                BarColumn,
                MofNCompleteColumn,
                Progress,
                TextColumn,
                TimeElapsedColumn,
            )

            columns = (BarColumn(), MofNCompleteColumn(), TextColumn("runs"), TimeElapsedColumn())
            self._bar = Progress(*columns, transient=True)
            self._task = self._bar.add_task("runs", total=total)
        say(f"{counted(total, 'run')}, {workers} at a time")

    def __enter__(self) -> Self:
        """Show the bar."""
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Take it away."""
        if self._bar is not None:
            self._bar.stop()

    def advance(self, number: int, total: int, lines: Iterable[str] = ()) -> None:
        """So many of all runs have ended; the last one has these lines to say."""
        for line in lines:
            if self._bar is not None:
                self._bar.console.print(line, markup=False, highlight=False, soft_wrap=True)
            else:
                self._say(line)
        if self._bar is not None:
            self._bar.update(self._task, completed=number, total=total)


@contextmanager
def moving_line(words: str) -> Iterator[Callable[[str], None]]:
    """One line on a terminal that says what goes on just now, and goes when it is over; elsewhere nothing."""
    # While it moves, what is printed goes its way: it must not take that from a file.
    if not (sys.stderr.isatty() and sys.stdout.isatty()):
        yield lambda _: None
        return
    from rich.console import Console  # noqa: PLC0415 - only on a terminal
    from rich.text import Text  # noqa: PLC0415 - only on a terminal

    with Console(stderr=True).status(words) as status:
        yield lambda line: status.update(Text(line.strip()[:100])) if line.strip() else None
