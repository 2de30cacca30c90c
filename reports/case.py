"""One case over commits: small trends for each backend, and its runs, newest first."""

from collections.abc import Iterable, Mapping
from typing import Any

from harness.history import METRICS
from harness.model import Run
from reports import Document, Page, Site
from reports._trend import trend
from reports._words import commit_of, headline, overall

SHOWN = 200
"""Rows of the table; older runs are counted."""
COLUMNS = ("final_loss", "loss_drop", "step_time", "peak_memory")


class CasePage(Page):
    """`cases/<slug>.html`."""

    def documents(self, site: Site) -> Iterable[Document]:
        """One file a case. The page needs no trace."""
        for case, runs in site.cases.items():
            yield _document(site, case, runs)


def _document(site: Site, case: str, runs: tuple[Run, ...]) -> Document:
    rows = [(*_brief(run), run.id in site.drawn) for run in runs[:SHOWN]]
    return Document(
        path=site.case_page(case),
        inputs=(case, rows, len(runs), len(site.nights)),
        content=lambda: _content(site, case, runs),
    )


def _brief(run: Run) -> tuple[object, ...]:
    values = [METRICS[name].read(run) for name in COLUMNS]
    judged = (run.status, run.reason, run.message)
    return (run.id, run.backend, run.revision, run.case_digest, run.started, *judged, commit_of(run), *values)


def _content(site: Site, case: str, runs: tuple[Run, ...]) -> Mapping[str, Any]:
    newest = _newest_of_each(runs)
    return {
        "case": case,
        "status": overall(newest.values()),
        "headline": headline(newest.values()),
        "newest": newest,
        "problem": next((run.facts.problem for run in runs if run.facts.problem), None),
        "trends": {backend: _trends(site, case, backend) for backend in newest},
        "columns": [METRICS[name] for name in COLUMNS],
        "rows": [_row(site, run) for run in runs[:SHOWN]],
        "count": len(runs),
    }


def _newest_of_each(runs: Iterable[Run]) -> dict[str, Run]:
    """The newest run of each backend, by backend."""
    newest: dict[str, Run] = {}
    for run in runs:
        newest.setdefault(run.backend, run)
    return dict(sorted(newest.items()))


def _trends(site: Site, case: str, backend: str) -> list[Any]:
    found = (trend(METRICS[name], site.cells[case, backend]) for name in COLUMNS if name != "loss_drop")
    return [each for each in found if each is not None]


def _row(site: Site, run: Run) -> dict[str, Any]:
    values = [(METRICS[name].read(run), METRICS[name].unit) for name in COLUMNS]
    return {"run": run, "page": site.run_page(run), "commit": commit_of(run), "values": values}
