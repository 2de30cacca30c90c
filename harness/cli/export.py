"""`harness export`: hand the history over to another tool."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli._options import DEFAULT_STORE, Store, counted

if TYPE_CHECKING:
    from harness.exports.asv import Exported

FORMS = ("asv",)
DEFAULT_FOLDER = Path("out/asv/history")


def export(
    form: Annotated[str, typer.Argument(help="What to write: asv.")],
    store: Store = DEFAULT_STORE,
    out: Annotated[Path, typer.Option(help="Folder of what is written.")] = DEFAULT_FOLDER,
    repo: Annotated[Path, typer.Option(help="The git repository whose commits were measured.")] = Path(),
) -> int:
    """Hand all that is recorded over to another tool: `asv` writes results for asv."""
    from harness.discover import suggest  # noqa: PLC0415 - heavy
    from harness.exports.asv import export as export_asv  # noqa: PLC0415 - heavy
    from harness.model import HarnessError  # noqa: PLC0415 - heavy
    from harness.store import open_store  # noqa: PLC0415 - heavy

    if form not in FORMS:
        raise HarnessError(f"export: unknown form '{form}'{suggest(form, FORMS)}")
    with open_store(store, create=False) as recorded:
        runs = recorded.runs(samples=True)
    done = _written(lambda: export_asv(runs, out, repo), out)
    for line in lines_of(done):
        typer.echo(line)
    return 0


def _written(write: "Callable[[], Exported]", out: Path) -> "Exported":
    from harness.model import BrokenError  # noqa: PLC0415 - heavy

    try:
        return write()
    except OSError as error:
        raise BrokenError(f"--out {out}: cannot be written: {error.strerror or error}") from error


def lines_of(done: "Exported") -> list[str]:
    """What was handed over, what was not and why, and how to look at it."""
    machines = ", ".join(done.machines) or "no machine"
    lines = [f"{counted(done.results, 'result')} of {counted(done.commits, 'commit')} on {machines}"]
    lines += [f"left out: {counted(count, 'run')} {why}" for why, count in done.left_out.items()]
    lines += [f"note: {note}" for note in done.notes]
    conf = done.folder / "asv.conf.json"
    return [*lines, f"asv publish --config {conf} && asv preview --config {conf}"]
