"""The ledger of the baselines: which numbers were accepted as right, of which commit, and why."""

from collections.abc import Iterable

from reports import Document, Page, Site

PATH = "rebases.html"


class RebasesPage(Page):
    """`rebases.html`, once a baseline was recorded."""

    def documents(self, site: Site) -> Iterable[Document]:
        """One file, newest entries first."""
        if site.rebases:
            pages = {case: site.case_page(case) for case in site.cases()}
            content = {"rebases": site.rebases[::-1], "case_pages": pages, "status": "skip"}
            yield Document(path=PATH, inputs=(site.rebases, pages), content=lambda: content)
