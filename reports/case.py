"""One case over commits: trends with their lasting changes for each backend, and its runs, newest first."""

from collections.abc import Iterable, Mapping
from typing import Any

from harness.history import METRICS
from harness.ledger import Entry
from harness.model import Run
from reports import Document, Page, Site
from reports._changes import told
from reports._site import Past
from reports._trend import Trend, bound_of, trend
from reports._words import commit_of, headline, overall

SHOWN = 60
"""Rows of the table; older runs are counted."""
COLUMNS = ("final_loss", "loss_drop", "step_time", "peak_memory")
TRENDS = ("final_loss", "held_out_loss", "step_time", "startup_time", "peak_memory")


class CasePage(Page):
    """`cases/<slug>.html`."""

    def documents(self, site: Site) -> Iterable[Document]:
        """One file a case. Its runs are read when the page has to be written; recorded runs never change."""
        for case in site.cases():
            yield _document(site, case)


def _document(site: Site, case: str) -> Document:
    tallies = [tally for tally in site.tallies if tally.case == case]
    return Document(
        path=site.case_page(case),
        inputs=(tallies, site.pages_of.get(case, ()), _rebases(site, case)),
        content=lambda: _content(site, case),
    )


def _rebases(site: Site, case: str) -> list[Entry]:
    return [entry for entry in site.rebases if entry.case == case]


def _content(site: Site, case: str) -> Mapping[str, Any]:
    past = site.past(case)
    newest = {backend: runs[0] for backend, runs in past.cells.items()}
    return {
        "case": case,
        "status": overall(newest.values()),
        "headline": headline(newest.values()),
        "newest": newest,
        "problem": next((run.facts.problem for run in past.runs if run.facts.problem), None),
        "trends": {backend: _trends(site, case, backend, past) for backend in newest},
        "changes": told(site, reversed(past.changes)),
        "rebases": _rebases(site, case)[::-1],
        "columns": [METRICS[name] for name in COLUMNS],
        "rows": [_row(site, run) for run in past.runs[:SHOWN]],
        "count": len(past.runs),
    }


def _trends(site: Site, case: str, backend: str, past: Past) -> list[Trend]:
    whole = site.whole(case, backend)
    found = (
        trend(
            kinds,
            [change for change in past.changes if (change.backend, change.metric) == (backend, name)],
            site.run_page,
            bound_of(whole, name),
        )
        for name in TRENDS
        if (kinds := [one for one in past.series[name] if one.backend == backend])
    )
    return [each for each in found if each is not None]


def _row(site: Site, run: Run) -> dict[str, Any]:
    values = [(METRICS[name].read(run), METRICS[name].unit) for name in COLUMNS]
    return {"run": run, "page": site.run_page(run.id), "commit": commit_of(run), "values": values}
