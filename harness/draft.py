"""One case on its way from its file: every part is validated, whatever is wrong with the others."""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Gt, MinLen

from harness import spec
from harness.checks import Check
from harness.discover import Kind, plugins, suggest
from harness.documents import Mistake, Node, plain
from harness.named_files import named_files
from harness.native import BUILTIN
from harness.suitability import unsuitable
from harness.units import Bytes, Seconds, got
from harness.validation import validate

Text = Annotated[str, MinLen(1)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Header:
    """What a case file says besides its model, its config and its expectations."""

    schema: spec.Count
    about: Text
    backends: Annotated[tuple[Text, ...], MinLen(1)]
    revision: spec.Count = 1
    source: str = ""
    tags: tuple[Text, ...] = ()
    timeout: Annotated[Seconds, Gt(0)] = 600.0
    memory_limit: Annotated[Bytes, Gt(0)] | None = None
    quarantine: spec.Quarantine | None = None


HEADER = tuple(item.name for item in fields(Header))
KEYS = (*HEADER, "model", "config", "expect", "expect_on", "catches", "extends", "matrix", "abstract")
"""The keys at the top of a case file."""
NOT_IN_DIGEST = ("about", "source", "tags", "quarantine")
"""What changes neither the numbers nor the judgement."""


@dataclass(slots=True)
class Draft:
    """What a case's file says, and what is wrong with it.

    root: the file, completed and without matrix. partial: it is abstract; what it lacks is no mistake.
    """

    path: Path
    root: Node
    partial: bool = False
    mistakes: list[Mistake] = field(default_factory=list)

    def case(self, name: str) -> spec.Case | None:
        """The case, if nothing is wrong; else `mistakes` says what."""
        if self._is_newer():
            return None
        self.root = _relocated(self.root, self.path)
        header, model, config = (
            self._header(),
            self._part("model", spec.Model),
            self._part("config", spec.Config),
        )
        expect, expect_on = self._expect(), self._expect_on()
        catches = self._catches()
        self._backends()
        if self.mistakes or header is None or model is None or config is None:
            return None
        given = {item: getattr(header, item) for item in HEADER if item != "schema"}
        library = model.library if isinstance(model, spec.LibraryModel) else None
        case = spec.Case(
            name=name, path=self.path, digest="", config=config, expect=expect, library=library,
            model=spec.DecoderModel(decoder=library.decoder) if library else model,
            expect_on=expect_on, catches=catches, raw=self._raw(), **given,
        )  # fmt: skip
        self.mistakes += unsuitable(case, self.root)
        return None if self.mistakes else replace(case, digest=_digest(case))

    def _is_newer(self) -> bool:
        node = self.root.mapping.get("schema")
        if node is None or type(node.value) is not int or node.value <= spec.Case.SCHEMA:
            return False
        advice = f"upgrade training-harness (this one reads schema {spec.Case.SCHEMA})"
        self._wrong(node, f"schema: {got(node.value)} is written for a newer version; {advice}")
        return True

    def _wrong(self, node: Node, text: str) -> None:
        self.mistakes.append(Mistake(node.start, text))

    def _validate(self, kind: Any, node: Node, key: str, entire: str = "") -> Any:
        value, mistakes = validate(kind, node, key, entire=entire, partial=self.partial)
        self.mistakes += mistakes
        return value

    def _header(self) -> Header | None:
        for key, node in self.root.mapping.items():
            if key not in KEYS:
                self._wrong(node, f"{key}: unknown key{suggest(key, KEYS)}")
        own = {key: node for key, node in self.root.mapping.items() if key in HEADER}
        header: Header | None = self._validate(Header, replace(self.root, value=own), "")
        self._quarantined(header.quarantine if header else None)
        return header

    def _quarantined(self, quarantine: spec.Quarantine | None) -> None:
        listed = self._listed_backends()
        for name in quarantine.backends if quarantine and listed else ():
            if name not in listed:
                text = f"'{name}' is not one of this case's backends{suggest(name, listed)}"
                self._wrong(self.root.mapping["quarantine"], f"quarantine.backends: {text}")

    def _part(self, key: str, kind: Any) -> Any:
        node = self._required(key)
        return self._validate(kind, node, key) if node else None

    def _required(self, key: str) -> Node | None:
        node = self.root.mapping.get(key)
        if node is None and not self.partial:
            self._wrong(self.root, f"{key}: missing")
        return node

    def _expect(self) -> dict[str, Check]:
        node = self._required("expect")
        return self._checks(node, "expect") if node else {}

    def _checks(self, node: Node, key: str) -> dict[str, Check]:
        if not node.mapping:
            self._wrong(node, f"{key}: expected at least one check{_what_else(node)}")
        found = {name: self._check(name, child, f"{key}.{name}") for name, child in node.mapping.items()}
        return {name: check for name, check in found.items() if check is not None}

    def _check(self, name: str, node: Node, key: str) -> Check | None:
        if not self._is_known("checks", name, node, key):
            return None
        plugin = plugins("checks")[name]
        if plugin.error:
            self._wrong(node, f"{key}: the check cannot be loaded: {plugin.error}")
            return None
        check: Check | None = self._validate(plugin.value, node, key, plugin.value.entire)
        return check

    def _expect_on(self) -> dict[str, Mapping[str, Check]]:
        node = self.root.mapping.get("expect_on")
        if node is not None and not isinstance(node.value, dict):
            self._wrong(node, f"expect_on: expected a mapping of backends to checks, got {got(plain(node))}")
        listed = self._listed_backends()
        for name, child in node.mapping.items() if node else ():
            if name not in listed and not (self.partial and not listed):
                self._wrong(
                    child, f"expect_on.{name}: not one of this case's backends{suggest(name, listed)}"
                )
        return {
            name: self._checks(child, f"expect_on.{name}")
            for name, child in (node.mapping if node else {}).items()
        }

    def _listed_backends(self) -> tuple[str, ...]:
        node = self.root.mapping.get("backends")
        listed = node.value if node and isinstance(node.value, list) else []
        return tuple(item.value for item in listed if isinstance(item.value, str))

    def _backends(self) -> None:
        node, seen = self.root.mapping.get("backends"), set()
        for number, item in enumerate(node.value if node and isinstance(node.value, list) else ()):
            if isinstance(item.value, str) and self._is_known(
                "backends", item.value, item, f"backends[{number}]"
            ):
                if item.value in seen:
                    self._wrong(item, f"backends[{number}]: '{item.value}' is listed twice")
                seen.add(item.value)

    def _catches(self) -> tuple[str, ...] | Literal["all"]:
        node = self.root.mapping.get("catches")
        if node is None:
            return ()
        if node.value == "all":
            return "all"
        if not isinstance(node.value, list):
            self._wrong(node, f"catches: expected 'all' or a list of faults, got {got(plain(node))}")
            return ()
        names = tuple(str(item.value) for item in node.value)
        for number, (name, item) in enumerate(zip(names, node.value, strict=True)):
            self._is_known("faults", name, item, f"catches[{number}]")
        return names

    def _is_known(self, kind: Kind, name: str, node: Node, key: str) -> bool:
        if name in plugins(kind):
            return True
        # A check is a key of the file; a backend or a fault is a value in it.
        what = "unknown key" if kind == "checks" else f"unknown {kind.removesuffix('s')} '{name}'"
        self._wrong(node, f"{key}: {what}{suggest(name, plugins(kind))}")
        return False

    def _raw(self) -> dict[str, Any]:
        return {key: plain(node) for key, node in self.root.mapping.items() if key in KEYS[:-3]}


def checks_of(node: Node, key: str) -> tuple[Mapping[str, Check], list[Mistake]]:
    """The checks of a mapping that stands in no case file, and what is wrong with it."""
    draft = Draft(path=node.place.path, root=node)
    return draft._checks(node, key), draft.mistakes  # noqa: SLF001 - a part of its own module


def _what_else(node: Node) -> str:
    return "" if node.value == {} else f", got {got(plain(node))}"


FILES = (
    ("config", "data", "text"), ("model", "library", "source"), ("model", "script"), ("model", "python"),
    ("model", "evaluate"),
)  # fmt: skip
"""Where a case names files, relative to its folder."""


def _relocated(root: Node, path: Path) -> Node:
    """The file with what it names relative to its folder, also where an extended file names it."""
    for keys in FILES:
        node = _at(root, keys)
        if node is not None:
            root = _put(root, keys, _moved(node, path))
    return root


def _moved(node: Node, path: Path) -> Node:
    if isinstance(node.value, list):
        return replace(node, value=[_moved(item, path) for item in node.value])
    if not isinstance(node.value, str) or node.place.path.parent == path.parent or node.value == BUILTIN:
        return node
    return replace(node, value=os.path.relpath(node.place.path.parent / node.value, path.parent))


def _at(node: Node | None, keys: Iterable[str]) -> Node | None:
    for key in keys:
        node = node.mapping.get(key) if node else None
    return node


def _put(node: Node, keys: tuple[str, ...], value: Node) -> Node:
    if not keys:
        return value
    return replace(node, value={**node.mapping, keys[0]: _put(node.mapping[keys[0]], keys[1:], value)})


def _digest(case: spec.Case) -> str:
    """SHA-256, 16 hexadecimal digits, of all that changes numbers or judgement, named files included."""
    kept = {key: value for key, value in case.raw.items() if key not in NOT_IN_DIGEST}
    digest = hashlib.sha256(json.dumps(kept, sort_keys=True, separators=(",", ":")).encode())
    for path in named_files(case):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
