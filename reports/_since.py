"""What is new since the last night: other verdicts, metrics that changed for good, accepted numbers."""

from collections.abc import Iterable
from dataclasses import dataclass

from harness.changes import Change
from harness.comparable import same_kind
from harness.ledger import Entry
from harness.model import Run, Status
from harness.news import last_night, news
from harness.quarantine import of
from reports._changes import Told, told
from reports._site import Night, Site
from reports._words import first_sentence, shorten, stamp

MOST = 12
"""Lasting changes on the first page; the pages of the cases have all of them."""
REASON = 200
GROUPS = (
    ("new", "newly unhealthy", Status.FAIL),
    ("healed", "healthy again", Status.PASS),
    ("lost", "no longer judged", Status.SKIP),
    ("needless", "in quarantine, and healthy", Status.PASS),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """A run whose verdict is not the last night's. word: what became of it; text: why."""

    run: Run
    page: str
    word: str
    state: Status
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Since:
    """What changed. night: the one that tonight is held against.

    changes: lasting ones that began in the nights that are shown, worst first; more: how many are left out.
    machine: what sets tonight's machine apart from the last night's; '' if nothing does. compared: whether
    there is a page that holds two commits against each other.
    """

    night: Night
    items: tuple[Item, ...]
    changes: tuple[Told, ...]
    more: int
    rebases: tuple[Entry, ...]
    machine: str
    compared: bool


def since_last_night(site: Site) -> Since | None:
    """What changed since the last night of the same plan; None where there is none."""
    before = _before(site)
    if before is None:
        return None
    tonight = site.nights[0]
    changes = _changes(site)
    return Since(
        night=before,
        items=tuple(_items(site, tonight, before)),
        changes=tuple(told(site, changes[:MOST])),
        more=max(len(changes) - MOST, 0),
        rebases=tuple(entry for entry in site.rebases if entry.when[:19] >= stamp(before.started)[:19]),
        machine=_machine(before, tonight),
        compared=len(site.commits()) > 1,
    )


def _before(site: Site) -> Night | None:
    if not site.nights:
        return None
    last = last_night([night.session for night in site.nights], site.nights[0].session.id)
    return next((night for night in site.nights if last and night.session.id == last.id), None)


def _items(site: Site, tonight: Night, before: Night) -> Iterable[Item]:
    found = news(tonight.runs, before.runs)
    for name, word, state in GROUPS:
        for run in getattr(found, name):
            yield Item(
                run=run,
                page=site.run_page(run.id),
                word=word,
                state=run.status if state is Status.FAIL else state,
                text=_why(run),
            )


def _why(run: Run) -> str:
    held = of(run)
    if run.status is Status.PASS:
        return held.message if held else ""
    cause = first_sentence(run.diagnoses[0].cause) if run.diagnoses else ""
    return shorten(" - ".join(text for text in (run.message or run.reason, cause) if text), REASON)


def _changes(site: Site) -> list[Change]:
    """Lasting changes of tonight's cases that began in the nights that are shown and did not heal."""
    start = site.nights[-1].started
    cases = dict.fromkeys(run.case for run in site.nights[0].runs)
    found = [change for case in cases for change in site.past(case).changes]
    standing = [change for change in found if change.when >= start and not change.healed]
    order = {"regression": 0, "improvement": 1, "change": 2}
    return sorted(standing, key=lambda change: (order[change.kind], -change.when, change.case, change.metric))


def _machine(before: Night, tonight: Night) -> str:
    """The first difference of the machines, where each night ran on one."""
    return same_kind(_first(before), _first(tonight))


def _first(night: Night) -> dict[str, object]:
    return dict(night.runs[0].environment)
