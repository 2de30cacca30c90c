"""What the commands that run other commits have in common: their options, and how they are set up."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli._screen import moving_line

if TYPE_CHECKING:
    from harness.elsewhere import Elsewhere
    from harness.model import Run
    from harness.repository import Repository
    from harness.worktrees import Worktrees

HERE = Path()
Repo = Annotated[
    Path, typer.Option("--repo", metavar="PATH", help="A folder of the repository: case files lie in it.")
]
Python = Annotated[
    str, typer.Option("--python", metavar="PROGRAM", help="The interpreter to run with; it needs the suite.")
]
Build = Annotated[
    str,
    typer.Option("--build", metavar="COMMAND", help="Run this in each checkout first, such as 'make -j2'."),
]
Backends = Annotated[
    list[str] | None, typer.Option("--backend", help="Run on this backend only; may be repeated.")
]


@contextmanager
def set_up(
    repo: Path, python: str, build: str, backends: list[str] | None
) -> "Iterator[tuple[Repository, Worktrees, Elsewhere]]":
    """The repository, its worktrees, which go when this is left, and how cases are run in them."""
    from harness.elsewhere import Elsewhere  # noqa: PLC0415 - heavy
    from harness.repository import open_repository  # noqa: PLC0415 - heavy
    from harness.worktrees import Worktrees  # noqa: PLC0415 - heavy

    repository = open_repository(repo)
    with Worktrees(repository) as trees, moving_line("making checkouts") as tell:
        how = Elsewhere(
            scratch=trees.scratch, python=python, build=build, backends=tuple(backends or ()), tell=tell
        )
        yield repository, trees, how


def why(run: "Run") -> list[str]:
    """What a run that is not well says, and its likely causes, indented."""
    from harness.cli.run import lines_of  # noqa: PLC0415 - only when something is wrong

    return [f"       {line.strip()}" for line in lines_of(run)]
