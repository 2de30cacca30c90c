"""The runs of two commits, case by case: which of them are held against each other. Pure."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from harness.comparable import MACHINE_PARTS, kind
from harness.decide import Comparison, Limits, decide
from harness.history import comparable_facts
from harness.model import Run

Pair = tuple[list[Run], list[Run]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Lacking:
    """A case on a backend of which one commit has no run. of: 0 before, 1 after."""

    case: str
    backend: str
    of: Literal[0, 1]


def compared(runs: Sequence[Run], commits: tuple[str, str], limits: Limits) -> Iterator[Comparison | Lacking]:
    """Each case and backend of the runs of two commits, by name; of each kind of machine apart.

    commits: hashes, before and after. Runs of others do not belong here.
    """
    limits = replace(limits, recorded=True)
    pairs: dict[tuple[str, str], Pair] = defaultdict(lambda: ([], []))
    for run in runs:
        pairs[run.case, run.backend][run.environment["commit"] == commits[1]].append(run)
    for (case, backend), (before, after) in sorted(pairs.items()):
        if before and after:
            yield from (decide(*pair, limits) for pair in _alike(before, after))
        else:
            yield Lacking(case=case, backend=backend, of=1 if before else 0)


def _alike(before: Sequence[Run], after: Sequence[Run]) -> Iterator[Pair]:
    """By kind of machine. Of kinds that only one side has nothing is told, unless there is no other."""
    old, new = _by_kind(before), _by_kind(after)
    shared = [each for each in old if each in new]
    if not shared:
        yield list(old.popitem()[1]), list(new.popitem()[1])
    for each in shared:
        yield old[each], new[each]


def _by_kind(runs: Sequence[Run]) -> dict[tuple[object, ...], list[Run]]:
    """In the order of time; what died before it knew its kind is among all of them."""
    found: dict[tuple[object, ...], list[Run]] = {}
    unknown = [run for run in runs if not run.facts.environment]
    for run in runs:
        if run.facts.environment:
            found.setdefault(kind(comparable_facts(run), MACHINE_PARTS), list(unknown)).append(run)
    return found or {(): unknown}
