"""The files that a case names, and what those need from beside them. Runs nothing."""

from collections.abc import Iterator
from pathlib import Path

from harness.native import BUILTIN
from harness.programs import CommandModel, files_of
from harness.sources import with_local_modules
from harness.spec import Case, TextData


def named_files(case: Case) -> tuple[Path, ...]:
    """The text, the engine's sources and the program of a case with its local modules, each once."""
    folder = case.path.parent
    paths = [path for name in _named(case) for path in _with_modules(folder / name)]
    return tuple(dict.fromkeys(paths))


def _named(case: Case) -> Iterator[str]:
    if isinstance(case.config.data, TextData):
        yield case.config.data.text
    yield from (source for source in (case.library.sources if case.library else ()) if source != BUILTIN)
    yield from files_of(case.model).values()
    if isinstance(case.model, CommandModel):
        for text in case.model.command:
            if "{" not in text and (case.path.parent / text).is_file():
                yield text


def _with_modules(path: Path) -> tuple[Path, ...]:
    return with_local_modules(path) if path.suffix == ".py" else (path,)
