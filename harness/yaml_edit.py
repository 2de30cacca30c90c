"""Changes single values of a YAML file; every other byte stays: comments, order, quotes, line ends."""

import os
import re
import tempfile
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from harness.documents import Node, Place
from harness.model import BrokenError, HarnessError

_LINE_END = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
"""What YAML calls the end of a line."""

Keys = Sequence[str | int]
Edit = tuple[int, int, str]
"""From this character to before that one, this text."""


def at(node: Node | None, keys: Keys) -> Node | None:
    """The value below a node: by keys of mappings and places in lists; None where there is none."""
    for key in keys:
        if node is None:
            return None
        if isinstance(node.value, list):
            node = node.value[key] if isinstance(key, int) and key < len(node.value) else None
        else:
            node = node.mapping.get(str(key))
    return node


def span(source: str, root: Node, node: Node) -> tuple[int, int] | None:
    """Where a scalar's own characters stand, without quotes; None if they cannot be replaced safely.

    That is one that an alias repeats elsewhere, has an anchor, or is not spelled in one plain piece.
    """
    if isinstance(node.value, list | dict) or sum(each == node.place for each in _places(root)) != 1:
        return None
    start = position(source, node.place)
    quote = source[start : start + 1] if source[start : start + 1] in ("'", '"') else ""
    start += len(quote)
    end = start + len(node.text)
    whole = source[start:end] == node.text and source[end : end + len(quote)] == quote
    return (start, end) if whole and node.text else None


def position(source: str, place: Place) -> int:
    """The index of a place in the text."""
    ends = [0, *(match.end() for match in _LINE_END.finditer(source))]
    return ends[place.line - 1] + place.column - 1


def _places(node: Node) -> Iterator[Place]:
    """The places of all scalars; those of an alias are those of what it stands for."""
    waiting = [node]
    while waiting:
        node = waiting.pop()
        if isinstance(node.value, dict):
            waiting += node.value.values()
        elif isinstance(node.value, list):
            waiting += node.value
        else:
            yield node.place


def line_after(source: str, node: Node, line: str) -> Edit | None:
    """The edit that adds a line below the one on which a top-level value stands.

    None where the file's mapping is not written one key a line.
    """
    if node.key is None or node.key.column != 1 or isinstance(node.value, list | dict):
        return None
    match = _LINE_END.search(source, position(source, node.place))
    if match is None:
        return len(source), len(source), f"\n{line}"
    return match.end(), match.end(), f"{line}{match[0]}"


def spliced(source: str, edits: Iterable[Edit]) -> str:
    """The text with all edits made; they must not overlap."""
    done, parts = 0, []
    for start, end, text in sorted(edits):
        assert start >= done, "edits overlap"
        parts += [source[done:start], text]
        done = end
    return "".join([*parts, source[done:]])


def decoded(data: bytes) -> str:
    """A file's text, without a byte order mark; line ends as they are."""
    return data.decode("utf-8-sig")


def replace_file(path: Path, before: bytes, text: str) -> None:
    """Put a new text in place of a file, whole or not at all; its mode and byte order mark stay.

    Raises:
        HarnessError: the file no longer holds what it held before.
        BrokenError: it cannot be written.
    """
    target = Path(os.path.realpath(path))
    data = (BOM_UTF8 if before.startswith(BOM_UTF8) else b"") + text.encode()
    try:
        if target.read_bytes() != before:
            raise HarnessError(
                f"{path}: the file was changed meanwhile and is left as it is; calibrate again"
            )
        _swap(target, data)
    except OSError as error:
        reason = error.strerror or error
        raise BrokenError(f"{path}: cannot be written: {reason}; it is as it was") from error


def _swap(target: Path, data: bytes) -> None:
    # Hidden, so that nobody who lists case files meanwhile takes it for one.
    handle, name = tempfile.mkstemp(prefix=f".{target.name}-", suffix=".part", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), target.stat().st_mode & 0o7777)
            os.fsync(file.fileno())
        Path(name).replace(target)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise
