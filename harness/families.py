"""Families of cases: `extends` completes a file with another one, `matrix` makes several cases of one."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import product
from math import prod
from os.path import isfile, normpath, realpath  # unlike those of Path, these never raise
from pathlib import Path
from typing import get_args

from harness import spec
from harness.discover import suggest
from harness.documents import DEEPEST, DocumentError, Node
from harness.kinds import kinds, named

VARIED = ("model", "config", "backends", "expect", "expect_on", "timeout", "memory_limit", "catches")
"""What a matrix may vary."""
MOST_VARIANTS = 1000
LONGEST_CHAIN = 16
_OWN = ("extends", "matrix", "abstract")
"""What a file keeps to itself."""
_KINDS = {
    ("model",): tuple(kinds(get_args(spec.Model)[0])),
    ("config", "data"): tuple(kinds(get_args(spec.Data)[0])),
    ("config", "optimizer"): tuple(kinds(get_args(spec.Optimizer)[0])),
    ("config", "schedule"): named(spec.Schedule)[1],
}
"""Where one of several kinds is written as a key; another kind replaces, the same kind merges."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One choice of a matrix: what follows the file's stem in the case's name, and the file so chosen."""

    label: str
    root: Node


def complete(path: Path, read: Callable[[Path], Node]) -> Node:
    """A file with all that it extends merged under it.

    Args:
        path: the file.
        read: reads one file; what it raises passes through.

    Raises:
        DocumentError: `extends` names no file, or leads back to where it came from.
    """
    root = read(path)
    chain, seen = [root], [realpath(path)]
    while (link := chain[-1].mapping.get("extends")) is not None:
        parent = _parent(link)
        if realpath(parent) in seen:
            circle = [Path(item).name for item in seen] + [parent.name]
            raise DocumentError(link.start, f"extends: {' -> '.join(circle)} is a circle")
        if len(seen) >= LONGEST_CHAIN:
            raise DocumentError(link.start, f"extends: a chain of more than {LONGEST_CHAIN} files")
        seen.append(realpath(parent))
        chain.append(read(parent))
    merged = _without(chain.pop(), _OWN)
    while chain:
        merged = _merge(merged, _without(chain.pop(), _OWN), ())
    own = {key: node for key, node in root.mapping.items() if key in _OWN}
    return replace(merged, value={**merged.mapping, **own})


def _parent(link: Node) -> Path:
    if not isinstance(link.value, str) or not link.value:
        raise DocumentError(link.start, "extends: expected the path of a case file, relative to this one")
    parent = link.place.path.parent / link.value
    if not isfile(parent):  # noqa: PTH113
        raise DocumentError(link.place, f"extends: no such file: '{parent}'")
    short = Path(normpath(parent))
    return (
        short if realpath(short) == realpath(parent) else parent
    )  # `..` after a symbolic link leads elsewhere


def _without(node: Node, keys: tuple[str, ...]) -> Node:
    return replace(node, value={key: child for key, child in node.mapping.items() if key not in keys})


def _merge(below: Node, above: Node, path: tuple[str, ...]) -> Node:
    """What `above` says, completed by `below`."""
    if not isinstance(below.value, dict) or not isinstance(above.value, dict):
        return above
    kind = next((name for name in _KINDS.get(path, ()) if name in above.value), None)
    if kind is not None and kind not in below.value:
        return above
    children = dict(below.value)
    for key, child in above.value.items():
        if child.value is None and key in children and _removes(path):
            del children[key]
        else:
            children[key] = _merge(children[key], child, (*path, key)) if key in children else child
    return replace(above, value=children)


def _removes(path: tuple[str, ...]) -> bool:
    """Whether null under this path takes an inherited entry away: only expectations, which are never null."""
    return path == ("expect",) or path[:1] == ("expect_on",)


def variants(root: Node, stem: str) -> list[Variant]:
    """The cases of a file: one for each choice of its matrix, or the file itself.

    Raises:
        DocumentError: the matrix is no mapping of paths to lists, or names what cannot vary.
    """
    matrix = root.mapping.get("matrix")
    if matrix is None:
        return [Variant("", root)]
    if not matrix.mapping:
        raise DocumentError(matrix.start, "matrix: expected a mapping such as {config.batch: [2, 8]}")
    choices = {path: _choices(path, node) for path, node in matrix.mapping.items()}
    if prod(map(len, choices.values())) > MOST_VARIANTS:
        raise DocumentError(matrix.start, f"matrix: more than {MOST_VARIANTS} cases")
    names = _short_names(list(choices))
    found = [
        _variant(root, dict(zip(choices, chosen, strict=True)), names)
        for chosen in product(*choices.values())
    ]
    _refuse_same_labels(found, stem, matrix)
    return found


def _choices(path: str, node: Node) -> list[Node]:
    first = path.partition(".")[0]
    if first not in VARIED or path.count(".") >= DEEPEST:
        raise DocumentError(node.start, f"matrix.{path[:80]}: unknown path{suggest(first, VARIED)}")
    if not isinstance(node.value, list) or not node.value:
        raise DocumentError(node.start, f"matrix.{path}: expected a list of values that is not empty")
    return [replace(choice, key=node.key) for choice in node.value]


def _short_names(paths: list[str]) -> dict[str, str]:
    """The last part of each path, or the whole path where two end alike."""
    last = [path.rpartition(".")[2] for path in paths]
    return {path: name if last.count(name) == 1 else path for path, name in zip(paths, last, strict=True)}


def _variant(root: Node, chosen: dict[str, Node], names: dict[str, str]) -> Variant:
    for path, value in chosen.items():
        root = _set(root, path.split("."), value, path)
    label = ",".join(f"{names[path]}={_label(value)}" for path, value in chosen.items())
    return Variant(f"[{label}]", _without(root, ("matrix",)))


def _set(node: Node, keys: list[str], value: Node, path: str) -> Node:
    """The node with the value at a path; mappings that are not there yet are made."""
    if not isinstance(node.value, dict):
        raise DocumentError(
            value.start, f"matrix.{path}: no such path, there is no mapping above '{keys[0]}'"
        )
    key, *rest = keys
    empty = replace(value, value={})
    child = _set(node.value.get(key, empty), rest, value, path) if rest else value
    return replace(node, value={**node.value, key: child})


def _label(node: Node) -> str:
    """A value in a name: a scalar as it is written, one of several kinds by its key, a list by its items."""
    return re.sub(r"[^A-Za-z0-9._+-]+", "_", "-".join(_words(node)))[:60]


def _words(node: Node) -> Iterator[str]:
    if isinstance(node.value, list):
        for item in node.value:
            yield from _words(item)
    else:
        yield next(iter(node.mapping), "") if isinstance(node.value, dict) else node.text


def _refuse_same_labels(found: list[Variant], stem: str, matrix: Node) -> None:
    labels = [variant.label for variant in found]
    twice = next((label for label in labels if labels.count(label) > 1), None)
    if twice:
        advice = "vary a path below, such as config.optimizer.sgd.lr"
        raise DocumentError(matrix.start, f"matrix: two cases would be named '{stem}{twice}'; {advice}")
