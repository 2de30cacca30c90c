"""The ledger beside the baselines: who accepted other numbers, of which commit, and why. Only ever longer."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness.model import BrokenError
from harness.plain import strict

LEDGER = "LEDGER.jsonl"


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One line. when: ISO 8601, UTC. largest_change: relative; None where there was no baseline before."""

    when: str
    commit: str | None
    case: str
    backend: str
    revision: int
    largest_change: float | None
    because: str


def enter(ledger: Path, entry: Entry) -> None:
    """Add a line.

    Raises:
        BrokenError: the file cannot be written.
    """
    try:
        with ledger.open("a", encoding="utf-8") as file:
            file.write(json.dumps(strict(asdict(entry)), ensure_ascii=False) + "\n")
    except OSError as error:
        reason = error.strerror or error
        raise BrokenError(f"{ledger}: cannot be written: {reason}; note there why, by hand") from error


def entries(ledgers: Iterable[Path]) -> tuple[Entry, ...]:
    """All lines of some ledgers by time; what cannot be read is told in the place of its reason."""
    found = [entry for ledger in ledgers for entry in _entries(ledger)]
    return tuple(sorted(found, key=lambda entry: (entry.when, entry.case, entry.backend)))


def _entries(ledger: Path) -> Iterable[Entry]:
    try:
        lines = ledger.read_text(encoding="utf-8", errors="backslashreplace").splitlines()
    except OSError as error:
        yield _unread(f"{ledger}: cannot be read: {error.strerror or error}")
        return
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield _entry(line, f"{ledger}:{number}")


def _entry(line: str, where: str) -> Entry:
    try:
        found: dict[str, Any] = json.loads(line)
        largest = found["largest_change"]
        known = {name: found[name] for name in ("when", "commit", "case", "backend", "because")}
        change = None if largest is None else float(largest)
        return Entry(**known, revision=int(found["revision"]), largest_change=change)
    except (ValueError, TypeError, KeyError) as error:
        return _unread(f"{where}: not a line of a ledger: {' '.join(str(error).split()):.80}")


def _unread(why: str) -> Entry:
    return Entry(when="", commit=None, case="", backend="", revision=0, largest_change=None, because=why)
