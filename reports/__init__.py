"""The pages of the report, one file a page. Reads recorded runs, writes a folder that opens from disk.

`render` writes `index.html`, a page a case, and a page for each run of the newest night; those of earlier
nights stay. The same history gives the same bytes; a page is rendered again only when its inputs or this code
have changed.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from types import ModuleType

from harness.collector import paused
from harness.ledger import Entry
from reports._files import Document, Folder
from reports._site import Runs, Site

__all__ = ["Document", "Page", "Runs", "Site", "pages", "render"]


class Page:
    """Base of all pages: one kind of page. Its file's name is its name and that of its template."""

    @property
    def name(self) -> str:
        """The name of the page's file, and of its template in `reports/templates`."""
        return type(self).__module__.rpartition(".")[2]

    def documents(self, site: Site) -> Iterable[Document]:
        """The files of this kind, each with what it depends on and how to get its content. Draws nothing."""
        raise NotImplementedError


def render(source: Runs, folder: Path, *, rebases: Iterable[Entry] = ()) -> Path:
    """Write the report and return the path of its index.

    Args:
        source: where the runs are. Only what a page needs that has to be written is read.
        folder: where the site lies; made if missing. Pages of cases that are gone, and of runs that are gone
            or long past, are removed.
        rebases: what the ledgers of the baselines say.

    Raises:
        BrokenError: the folder cannot be written.
    """
    written = Folder(folder)
    with paused():
        _write(source, written, rebases)  # all that it read is gone when the collector looks again
    return written.path / "index.html"


def _write(source: Runs, written: Folder, rebases: Iterable[Entry]) -> None:
    site = Site.read(source, written.names("runs"), rebases)
    for page in pages():
        for document in page.documents(site):
            written.publish(page.name, document)
    written.sweep(map(site.run_page, site.pages))


@cache
def pages() -> tuple[Page, ...]:
    """One of each kind of page, by name. A file whose name begins with an underscore is a helper."""
    package = importlib.import_module(__name__)
    names = sorted(info.name for info in pkgutil.iter_modules(package.__path__) if not info.ispkg)
    return tuple(_page(importlib.import_module(f"{__name__}.{name}")) for name in names if name[0] != "_")


def _page(module: ModuleType) -> Page:
    own = [
        value for value in vars(module).values() if _is_page(value) and value.__module__ == module.__name__
    ]
    if len(own) != 1:
        raise TypeError(f"{module.__name__}: expected one public subclass of Page, found {len(own)}")
    page: Page = own[0]()
    return page


def _is_page(value: object) -> bool:
    return inspect.isclass(value) and issubclass(value, Page) and not value.__name__.startswith("_")
