"""Which variables of the user's own code are given a value that nothing reads."""

import ast
import linecache
import sys
from collections.abc import Mapping
from functools import lru_cache
from types import FrameType
from typing import Any

from harness.watching.places import is_own


def unread() -> Mapping[str, Any]:
    """Variables of the innermost function of the user's own, with their values, that its text never reads.

    Looking at the variables of a function keeps them until it ends: not to be done at every step.
    """
    here: FrameType | None = sys._getframe(1)  # noqa: SLF001 - as `inspect`, without its cost
    while here is not None and not is_own(here.f_code.co_filename):
        here = here.f_back
    if here is None:
        return {}
    written, read = _names(here.f_code.co_filename, here.f_code.co_firstlineno, here.f_code.co_name)
    return {name: here.f_locals[name] for name in written - read if name in here.f_locals}


@lru_cache(maxsize=64)
def _names(path: str, line: int, function: str) -> tuple[frozenset[str], frozenset[str]]:
    """Names that a function's text, or a module's, unpacks into, and those that it reads."""
    try:
        tree: ast.AST = ast.parse("".join(linecache.getlines(path)))
    except SyntaxError:
        return frozenset(), frozenset()
    if function != "<module>":
        tree = next((each for each in ast.walk(tree) if _begins(each) == line), ast.Module([], []))
    nodes = list(ast.walk(tree))
    read = {each.id for each in nodes if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Load)}
    groups = [each for each in nodes if isinstance(each, ast.Tuple) and isinstance(each.ctx, ast.Store)]
    written = {each.id for group in groups for each in group.elts if isinstance(each, ast.Name)}
    return frozenset(written), frozenset(read)


def _begins(node: ast.AST) -> int:
    """The first line of a function, its decorators included; 0 for what is none."""
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return 0
    return min([node.lineno, *(each.lineno for each in node.decorator_list)])
