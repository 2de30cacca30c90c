"""Files of the site: names that stay inside it, writes that are whole or nothing, no page rendered twice."""

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

import harness.units
from harness.model import BrokenError
from reports._words import environment

HERE = Path(__file__).parent
KEY = re.compile(r'<meta name="page-key" content="([0-9a-f]{64})">')
KEY_WITHIN = 2048
"""The key lies within this many characters of a page's beginning."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """One file of the site.

    path: relative, with forward slashes. inputs: all that the content depends on; their `repr` tells them
    apart. content: the template's variables; called only when the file has to be written.
    """

    path: str
    inputs: tuple[object, ...]
    content: Callable[[], Mapping[str, Any]]


class Folder:
    """The folder that the site lies in, and what has been published into it this time.

    Raises:
        BrokenError: the folder cannot be made or written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._published: set[Path] = set()
        self._touch(lambda: path.mkdir(parents=True, exist_ok=True))

    def publish(self, template: str, document: Document) -> None:
        """Write one document unless the same one lies there already."""
        path = self.path / document.path
        self._published.add(path)
        key = key_of(document)
        if key_in(path) == key:
            return
        root = "../" * document.path.count("/")
        page = environment().get_template(f"{template}.html")
        text = page.render(key=key, root=root, **document.content())
        self._touch(lambda: write(path, text))

    def names(self, folder: str) -> frozenset[str]:
        """Names without suffix of the pages that lie in a folder of the site."""
        return frozenset(path.stem for path in (self.path / folder).glob("*.html"))

    def sweep(self, kept: Iterable[str] = ()) -> None:
        """Remove pages that were not published this time, and halves that an interrupted write left behind.

        Files that this report did not write (no key within) are left alone. kept: pages that stay.
        """
        stay = self._published | {self.path / name for name in kept}
        for path in [*self.path.glob("*.html"), *self.path.glob("*/*.html")]:
            if path not in stay and key_in(path):
                self._touch(partial(path.unlink, missing_ok=True))
        for path in [*self.path.glob("*.html.*.part"), *self.path.glob("*/*.html.*.part")]:
            if _abandoned(path):
                self._touch(partial(path.unlink, missing_ok=True))

    def _touch(self, action: Callable[[], object]) -> None:
        try:
            action()
        except OSError as error:
            raise BrokenError(
                f"report: cannot write {error.filename or self.path}: {error.strerror or error}; "
                "give a writable folder with free space"
            ) from error


def slug(text: str) -> str:
    """A file name for any text: one text, one name, no two the same, also where case does not count.

    Anything that is lost on the way is made up for by eight digits of a hash.
    """
    kept = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.")[:80].rstrip("-.")
    plain = bool(text) and kept == text == text.lower() and not re.search(r"(^|-)[0-9a-f]{8}$", text)
    digest = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:8]
    return text if plain else f"{kept}-{digest}".lstrip("-")


def write(path: Path, text: str) -> None:
    """Replace a file's content in one step: a reader sees the old page or the new one, never half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _abandoned(part: Path) -> bool:
    """Whether no other living process is writing this."""
    pid = part.name.split(".")[-2]
    return not pid.isdigit() or int(pid) == os.getpid() or not psutil.pid_exists(int(pid))


def key_in(path: Path) -> str:
    """The key of a written page; empty if there is no page, or another program's."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            found = KEY.search(file.read(KEY_WITHIN))
    except OSError:
        return ""
    return found.group(1) if found else ""


def key_of(document: Document) -> str:
    """A digest of the code that renders and of everything a document depends on."""
    text = "\n".join([code_digest(), document.path, *map(repr, document.inputs)])
    return hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest()


@cache
def code_digest() -> str:
    """A digest of this package, of the formatter of quantities, and of the libraries' versions."""
    digest = hashlib.sha256()
    ours = [path for kind in ("py", "html", "css", "js") for path in HERE.rglob(f"*.{kind}")]
    for path in sorted([Path(harness.units.__file__), *ours]):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    for library in ("jinja2", "matplotlib", "numpy"):
        digest.update(version(library).encode() + b"\0")
    return digest.hexdigest()
