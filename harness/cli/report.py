"""`harness report`: render the site from what is recorded."""

from pathlib import Path
from typing import Annotated

import typer

from harness.cli._options import DEFAULT_SITE, DEFAULT_STORE, Store


def report(
    store: Store = DEFAULT_STORE,
    out: Annotated[Path, typer.Option(help="Folder of the site.")] = DEFAULT_SITE,
) -> int:
    """Render the report; open its index.html in a browser, no network needed."""
    typer.echo(f"report: {render_site(store, out)}")
    return 0


def render_site(store: str, folder: Path) -> Path:
    """Render all pages; returns the path of the first one.

    Raises:
        BrokenError: the folder cannot be written.
    """
    from harness.baselines import FOLDER as BASELINES  # noqa: PLC0415 - heavy
    from harness.ledger import LEDGER, entries  # noqa: PLC0415 - rarely
    from harness.model import BrokenError  # noqa: PLC0415 - heavy
    from harness.store import open_store  # noqa: PLC0415 - heavy
    from reports import render  # noqa: PLC0415 - heavy

    with open_store(store, create=False) as runs:
        try:
            ledgers = {(Path(cases) / BASELINES / LEDGER).resolve() for cases in runs.case_folders()}
            return render(runs, folder, rebases=entries(sorted(filter(Path.is_file, ledgers))))
        except OSError as error:
            raise BrokenError(f"report {folder}: cannot be written: {error.strerror or error}") from error
