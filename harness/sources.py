"""A Python file and what it imports from its own folder: another text is another problem. Runs nothing."""

import ast
from collections.abc import Iterator
from pathlib import Path

MOST_FILES = 200
"""A program of more modules is told apart by the first of them."""


def with_local_modules(path: Path) -> tuple[Path, ...]:
    """The file, then all modules beside it that it imports, directly or through others."""
    found, waiting = {path: None}, [path]
    while waiting and len(found) < MOST_FILES:
        for near in _imported(waiting.pop(), path.parent):
            if near not in found:
                found[near] = None
                waiting.append(near)
    return tuple(found)


def _imported(path: Path, folder: Path) -> Iterator[Path]:
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return  # whoever runs it is told
    for node in ast.walk(tree):
        for name in _names(node):
            place = folder.joinpath(*name.split("."))
            yield from (each for each in (place.with_suffix(".py"), place / "__init__.py") if each.is_file())


def _names(node: ast.AST) -> list[str]:
    """Modules that a statement may import: of `from a import b`, a and a.b."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        above = [node.module] if node.module else []
        return above + [".".join([*above, alias.name]) for alias in node.names if alias.name != "*"]
    return []
