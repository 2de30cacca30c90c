"""YAML with positions: reads one file into nodes that know where each key and value stands.

Plain values follow YAML 1.2: `1e-3` is a number, `no` and `2024-01-01` are texts, only `true` and `false` are
truth values. Keys are texts (a whole number as a key is its digits). Tags, merge keys and more documents are
refused, and what a file may expand to is bounded, so that no file can take the suite down.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from harness.model import HarnessError

LARGEST_FILE = 2**20
"""Bytes."""
MOST_NODES = 50_000
"""Values of one file after aliases are expanded."""
DEEPEST = 40
"""Levels of nesting after aliases are expanded."""

_INT = re.compile(r"[-+]?[0-9]{1,100}")
_PREFIXED = re.compile(r"0o[0-7]{1,100}|0x[0-9a-fA-F]{1,100}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]{1,100}|[0-9]{1,100}(\.[0-9]{0,100})?)([eE][-+]?[0-9]{1,9})?")
_INFINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_WORDS: Mapping[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_UNPRINTABLE = re.compile("[\0-\x08\x0b-\x1f\x7f\ud800-\udfff]")

Scalar = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Place:
    """A position in a file; line and column count from 1."""

    path: Path
    line: int = 1
    column: int = 1

    def __str__(self) -> str:
        """`cases/x.yaml:12:3`."""
        return f"{self.path}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Mistake:
    """What is wrong, and where. extended_by: the file that is wrong because of what another one says."""

    place: Place
    text: str
    extended_by: Path | None = None

    def __str__(self) -> str:
        """`cases/x.yaml:12:3: expect: missing`."""
        why = f" (as extended by {self.extended_by})" if self.extended_by else ""
        return f"{self.place}: {self.text}{why}"


class DocumentError(HarnessError):
    """A mistake after which a file cannot be read on."""

    def __init__(self, place: Place, text: str) -> None:
        self.mistake = Mistake(place, text)
        super().__init__(str(self.mistake))


@dataclass(frozen=True, slots=True)
class Node:
    """A value and where it stands.

    value: a scalar, a list of nodes, or a mapping of texts to nodes. key: where the key that leads here
    stands. text: a scalar as it is written.
    """

    value: "Scalar | list[Node] | dict[str, Node]"
    place: Place
    key: Place | None = None
    text: str = ""

    @property
    def mapping(self) -> "dict[str, Node]":
        """The children of a mapping; of anything else, none."""
        return self.value if isinstance(self.value, dict) else {}

    @property
    def start(self) -> Place:
        """Where to point at: the key if there is one, else the value."""
        return self.key or self.place


def plain(node: Node) -> Any:
    """The value without positions: scalars, lists and dicts."""
    if isinstance(node.value, dict):
        return {key: plain(child) for key, child in node.value.items()}
    return [plain(child) for child in node.value] if isinstance(node.value, list) else node.value


def read(path: Path) -> Node:
    """Read a file that holds one mapping.

    Raises:
        DocumentError: the file cannot be read, is too large, is not UTF-8, is not YAML, or holds no mapping.
    """
    return parse(_text(path), path)


def parse(text: str, path: Path) -> Node:
    """The mapping that a text holds; `path` is for positions only.

    Raises:
        DocumentError: the text is not one YAML mapping.
    """
    builder = _Builder(path)
    try:
        for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
            builder.take(event)
    except (yaml.YAMLError, UnicodeEncodeError) as error:
        raise _syntax_error(error, text, path) from None
    if builder.root is None:
        raise DocumentError(Place(path), "the file is empty; expected a mapping")
    if not isinstance(builder.root.value, dict):
        raise DocumentError(builder.root.place, "expected a mapping at the top of the file")
    return builder.root


def _text(path: Path) -> str:
    where = Place(path)
    try:
        if not path.exists():
            raise DocumentError(where, "no such file")
        if not path.is_file():
            raise DocumentError(where, "expected a regular file")
        with path.open("rb") as file:
            data = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise DocumentError(where, f"cannot be read: {error.strerror or error}") from None
    if len(data) > LARGEST_FILE:
        raise DocumentError(where, "the file is larger than 1 MiB; expected a case file")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line, column = data.count(b"\n", 0, error.start) + 1, error.start - data.rfind(b"\n", 0, error.start)
        text = f"byte 0x{data[error.start]:02x} is not UTF-8; save the file as UTF-8"
        raise DocumentError(Place(path, line, column), text) from None


def _syntax_error(error: Exception, text: str, path: Path) -> DocumentError:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark is None:
        # Only an unprintable character has no mark; its position differs between the C and the Python reader.
        found = next((line for line in enumerate(text.split("\n"), 1) if _UNPRINTABLE.search(line[1])), None)
        match = _UNPRINTABLE.search(found[1]) if found else None
        place = Place(path, found[0], match.start() + 1) if found and match else Place(path)
        return DocumentError(place, "not YAML: a control character")
    parts = (getattr(error, "context", None), getattr(error, "problem", None))
    said = ", ".join(" ".join(part.split()) for part in parts if part)
    line = (text.splitlines() or [""])[min(mark.line, len(text.splitlines()) - 1)]
    advice = "; indent with spaces, not tabs" if "\t" in line[: mark.column + 1] else ""
    return DocumentError(Place(path, mark.line + 1, mark.column + 1), f"not YAML: {said}{advice}")


@dataclass(slots=True)
class _Open:
    """A list or mapping that is not closed yet. nodes, depth: of what it holds, aliases expanded."""

    place: Place
    anchor: str | None
    items: list[Node] | dict[str, Node]
    key: tuple[str, Place] | None = None
    nodes: int = 1
    depth: int = 1

    @property
    def wants_key(self) -> bool:
        return isinstance(self.items, dict) and self.key is None


@dataclass(slots=True)
class _Builder:
    """Builds nodes from the parser's events, without recursion: deep nesting is a mistake, not a crash."""

    path: Path
    root: Node | None = None
    open: list[_Open] = field(default_factory=list)
    anchors: dict[str, tuple[Node, int, int]] = field(default_factory=dict)

    def take(self, event: yaml.Event) -> None:
        """One event."""
        mark = event.start_mark
        place = Place(self.path, mark.line + 1, mark.column + 1) if mark else Place(self.path)
        if isinstance(event, yaml.DocumentStartEvent) and self.root is not None:
            raise DocumentError(place, "a second document; a case file holds one")
        if isinstance(event, yaml.NodeEvent) and not isinstance(event, yaml.ScalarEvent):
            self._need_text_key(place)
        if isinstance(event, yaml.CollectionStartEvent):
            self._start(event, place)
        elif isinstance(event, yaml.CollectionEndEvent):
            self._end()
        elif isinstance(event, yaml.AliasEvent):
            self._alias(str(event.anchor), place)
        elif isinstance(event, yaml.ScalarEvent):
            self._scalar(event, place)

    def _need_text_key(self, place: Place) -> None:
        if self.open and self.open[-1].wants_key:
            raise DocumentError(place, "a key must be a text")

    def _start(self, event: yaml.CollectionStartEvent, place: Place) -> None:
        _refuse_tag(event.tag, place)
        if len(self.open) >= DEEPEST:
            raise DocumentError(place, f"nested deeper than {DEEPEST} levels")
        self.open.append(_Open(place, event.anchor, {} if isinstance(event, yaml.MappingStartEvent) else []))

    def _end(self) -> None:
        done = self.open.pop()
        self._add(Node(done.items, done.place), done.anchor, done.nodes, done.depth)

    def _alias(self, anchor: str, place: Place) -> None:
        if anchor not in self.anchors:
            raise DocumentError(place, f"'*{anchor}' names no value before it")
        node, nodes, depth = self.anchors[anchor]
        self._add(node, None, nodes, depth, place)

    def _scalar(self, event: yaml.ScalarEvent, place: Place) -> None:
        _refuse_tag(event.tag, place)
        if _UNPRINTABLE.search(event.value):
            raise DocumentError(place, "a text holds a control character or half of a surrogate pair")
        value = _resolve(event.value) if event.implicit[0] and event.tag is None else event.value
        if self.open and self.open[-1].wants_key:
            self._key(value, place)
        else:
            self._add(Node(value, place, text=event.value), event.anchor, 1, 1)

    def _key(self, value: Scalar, place: Place) -> None:
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise DocumentError(place, "a key must be a text; put it in quotes")
        name = str(value)
        if name == "<<":
            raise DocumentError(place, "'<<' is not supported; use 'extends'")
        before = self.open[-1].items[name].start if name in self.open[-1].items else None  # type: ignore[call-overload]
        if before:
            raise DocumentError(place, f"{name}: duplicate key; the first is in line {before.line}")
        self.open[-1].key = (name, place)

    def _add(
        self, node: Node, anchor: str | None, nodes: int, depth: int, place: Place | None = None
    ) -> None:
        if anchor:
            self.anchors[anchor] = (node, nodes, depth)
        if not self.open:
            self.root = node
            return
        parent = self.open[-1]
        parent.nodes, parent.depth = parent.nodes + nodes, max(parent.depth, depth + 1)
        if parent.nodes > MOST_NODES or parent.depth + len(self.open) - 1 > DEEPEST:
            text = f"expands to more than {MOST_NODES} values or {DEEPEST} levels"
            raise DocumentError(place or node.place, text)
        if isinstance(parent.items, list):
            parent.items.append(node)
        elif parent.key is not None:
            name, where = parent.key
            parent.items[name], parent.key = replace(node, key=where), None


def _refuse_tag(tag: str | None, place: Place) -> None:
    if tag not in (None, "!", "tag:yaml.org,2002:str"):
        raise DocumentError(place, f"tags such as '{tag}' are not supported")


def _resolve(text: str) -> Scalar:
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        return int(text)
    if _PREFIXED.fullmatch(text):
        return int(text, 0)
    if _INFINITE.fullmatch(text):
        return float(text.replace(".", ""))
    return float(text) if _FLOAT.fullmatch(text) else text
