"""The two newest commits on record, side by side."""

from collections.abc import Iterable, Mapping
from typing import Any

from harness.decide import Comparison, Limits
from harness.model import Run
from harness.pairs import Lacking, compared
from reports import Document, Page, Site
from reports._comparison import content
from reports._words import commit_text

PATH = "compare.html"


class ComparePage(Page):
    """`compare.html`, once two commits without uncommitted changes are among the nights that are shown."""

    def documents(self, site: Site) -> Iterable[Document]:
        """One file: the newest commit beside the one before it."""
        runs = site.commits()
        if len(runs) > 1:
            after, before = list(runs)[:2]
            ids = [run.id for commit in (before, after) for run in runs[commit]]
            yield Document(
                path=PATH,
                inputs=(before, after, ids, site.cases()),
                content=lambda: _content(site, (before, after), [*runs[before], *runs[after]]),
            )


def _content(site: Site, commits: tuple[str, str], runs: list[Run]) -> Mapping[str, Any]:
    every = list(compared(sorted(runs, key=lambda run: (run.started, run.id)), commits, Limits()))
    lacking = [
        f"{one.case} on {one.backend}: no run of {commit_text(commits[one.of])}"
        for one in every
        if isinstance(one, Lacking)
    ]
    found = [one for one in every if isinstance(one, Comparison)]
    pages = {case: site.case_page(case) for case in site.cases()}
    return {
        "home": "index.html",
        **content([commit_text(commit) for commit in commits], found, lacking, pages),
    }
