"""Case files into cases: finds them, completes families, validates all, and reports all mistakes at once."""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from os.path import exists, isdir, realpath  # unlike those of Path, these never raise
from pathlib import Path

from harness.documents import DocumentError, Mistake, Node, Place, read
from harness.draft import Draft
from harness.families import Variant, complete, variants
from harness.model import HarnessError
from harness.spec import Case

SUFFIXES = (".yaml", ".yml")
SKIPPED = "baselines"
"""The folder of recorded truth; its files are no cases."""


class CaseErrors(HarnessError):  # noqa: N818 - many errors in one
    """All mistakes of all case files, one line each."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("\n".join(map(str, self.mistakes)))


@dataclass(frozen=True, kw_only=True, slots=True)
class Loaded:
    """The good cases by name, the files that were read, and every mistake in the order of files and lines."""

    cases: tuple[Case, ...]
    files: tuple[Path, ...]
    mistakes: tuple[Mistake, ...] = ()


def load_cases(paths: Sequence[Path]) -> Loaded:
    """Read all case files of files and folders.

    Raises:
        CaseErrors: a file is wrong; its text holds all mistakes of all files, one line each.
        HarnessError: a path does not exist, or there is no case file under any.
    """
    loaded = read_cases(paths)
    if loaded.mistakes:
        raise CaseErrors(loaded.mistakes)
    return loaded


def read_cases(paths: Sequence[Path]) -> Loaded:
    """As `load_cases`, but mistakes are returned beside the cases that are good.

    Raises:
        HarnessError: a path does not exist, or there is no case file under any.
    """
    files = tuple(find(paths))
    if not files:
        raise HarnessError(f"{_listed(paths)}: no case files; expected *.yaml or *.yml")
    reader = _Reader()
    for path in files:
        reader.take(path)
    cases, mistakes = reader.unique()
    if not cases and not mistakes:
        raise HarnessError(f"{_listed(paths)}: no cases; every file there is abstract")
    return Loaded(
        cases=tuple(sorted(cases, key=lambda case: case.name)),
        files=files,
        mistakes=_once(mistakes),
    )


def find(paths: Sequence[Path]) -> Iterator[Path]:
    """The case files of files and folders, each once, sorted within a folder.

    Hidden entries and folders named `baselines` are left out.

    Raises:
        HarnessError: a path does not exist, or is a file of another kind.
    """
    seen: set[str] = set()
    for path in map(Path, paths):
        for found in _under(path) if isdir(path) else [_file(path)]:  # noqa: PTH112
            if realpath(found) not in seen:
                seen.add(realpath(found))
                yield found


def _file(path: Path) -> Path:
    if not exists(path):  # noqa: PTH110
        raise HarnessError(f"{path}: no such file or folder; expected case files or folders of them")
    if path.suffix not in SUFFIXES:
        raise HarnessError(f"{path}: expected a case file, *.yaml or *.yml")
    return path


def _under(folder: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if name != SKIPPED and not name.startswith("."))
        names = (name for name in sorted(files) if not name.startswith("."))
        yield from (Path(place) / name for name in names if name.endswith(SUFFIXES))


def _listed(paths: Sequence[Path]) -> str:
    return ", ".join(map(str, paths)) or "no path given"


def _once(mistakes: Sequence[Mistake]) -> tuple[Mistake, ...]:
    """In the order of files and lines; what several files inherit is said once, of its own file if it can."""
    first: dict[tuple[str, int, int, str], Mistake] = {}
    for mistake in sorted(mistakes, key=lambda mistake: mistake.extended_by is not None):
        place = mistake.place
        first.setdefault((str(place.path), place.line, place.column, mistake.text), mistake)
    return tuple(first[key] for key in sorted(first))


@dataclass(slots=True)
class _Reader:
    """Reads files, each once, and gathers cases and mistakes."""

    cases: list[Case] = field(default_factory=list)
    mistakes: list[Mistake] = field(default_factory=list)
    documents: dict[Path, Node | DocumentError] = field(default_factory=dict)

    def take(self, path: Path) -> None:
        """All cases of one file."""
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", path.stem):
            text = f"the file's name '{path.stem}' names the case; expected letters, digits, '.', '_' and '-'"
            self.mistakes.append(Mistake(Place(path), text))
            return
        try:
            root = complete(path, self._document)
            abstract, found = _is_abstract(root), variants(root, path.stem)
        except DocumentError as error:
            self.mistakes.append(error.mistake)
            return
        for variant in found:
            self._variant(path, variant, abstract=abstract)

    def _document(self, path: Path) -> Node:
        """A file as it stands; raises what it raised the first time."""
        if path not in self.documents:
            try:
                self.documents[path] = read(path)
            except DocumentError as error:
                self.documents[path] = error
        found = self.documents[path]
        if isinstance(found, DocumentError):
            raise found
        return found

    def _variant(self, path: Path, variant: Variant, *, abstract: bool) -> None:
        draft = Draft(path=path, root=variant.root, partial=abstract)
        case = draft.case(path.stem + variant.label)
        self.mistakes += [
            mistake if mistake.place.path == path else replace(mistake, extended_by=path)
            for mistake in draft.mistakes
        ]
        if case is not None and not abstract:
            self.cases.append(case)

    def unique(self) -> tuple[list[Case], list[Mistake]]:
        """The cases whose names are theirs alone, and all mistakes."""
        first: dict[str, Case] = {}
        for case in self.cases:
            before = first.setdefault(case.name, case)
            if before is not case:
                text = f"the name '{case.name}' is taken by {before.path}; rename one of the files"
                self.mistakes.append(Mistake(Place(case.path), text))
        return list(first.values()), self.mistakes


def _is_abstract(root: Node) -> bool:
    node = root.mapping.get("abstract")
    if node is None:
        return False
    if not isinstance(node.value, bool):
        raise DocumentError(node.start, "abstract: expected true or false")
    return node.value
