"""Every sample is trained on once an epoch, in an order that changes, and held-out ones never."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from annotated_types import Ge

from harness.checks import Check
from harness.checks._common import bounded, need_a_bound, skipped, unanswered
from harness.model import Facts, Status, Verdict
from harness.units import Percent, Whole

Number = Annotated[int, Whole(), Ge(0)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Samples(Check):
    """`samples: {duplicates: 0, repeated_batches: 0%, held_out_overlap: 0, reshuffled: true, coverage: 90%}`.

    duplicates: most samples that may come again within their epoch. repeated_batches: largest share of
    steps whose batch was there before in its epoch. held_out_overlap: most held-out samples that may occur
    in training. reshuffled: no epoch has the order of the one before. coverage: smallest share of the
    data's samples that is trained on.
    """

    probes: ClassVar[tuple[str, ...]] = ("ledger",)

    duplicates: Number | None = None
    repeated_batches: Percent | None = None
    held_out_overlap: Number | None = None
    reshuffled: bool | None = None
    coverage: Percent | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot fail or cannot hold."""
        need_a_bound(
            duplicates=self.duplicates,
            repeated_batches=self.repeated_batches,
            held_out_overlap=self.held_out_overlap,
            reshuffled=self.reshuffled or None,
            coverage=self.coverage,
        )
        if self.reshuffled is False:
            raise ValueError("nothing can be expected of an order that may stay; leave reshuffled out")
        for name, share in (("repeated_batches", self.repeated_batches), ("coverage", self.coverage)):
            if share is not None and not 0 <= share <= 1:
                raise ValueError(f"expected {name} of 0% to 100%, got {100 * share:.4g}%")

    def judge(self, facts: Facts) -> Iterable[Verdict]:
        """One verdict for each parameter that is given."""
        lacking = unanswered(self.name, facts, "ledger", "which samples were trained on")
        return [lacking] if lacking else list(self._judge(facts.answers["ledger"].facts))

    def _judge(self, found: Mapping[str, Any]) -> Iterator[Verdict]:
        if self.duplicates is not None:
            about = f"of {found['samples']} samples were there before in their epoch"
            hint = "samples are drawn or sharded twice"
            yield bounded(
                self.name, float(found["duplicates"]), None, self.duplicates, about=about, hint=hint
            )
        if self.repeated_batches is not None:
            share, hint = float(found["repeated_batches"]), "the same batch is trained on again"
            about = "of the steps have a batch that was there before"
            yield bounded(self.name, share, None, self.repeated_batches, unit="%", about=about, hint=hint)
        if self.held_out_overlap is not None:
            yield self._held_out(found["held_out_overlap"], self.held_out_overlap)
        if self.reshuffled:
            yield self._order(found)
        if self.coverage is not None:
            about, hint = "of the samples are trained on", "part of the data is never seen"
            yield bounded(
                self.name, float(found["coverage"]), self.coverage, None, unit="%", about=about, hint=hint
            )

    def _held_out(self, overlap: int | None, allowed: int) -> Verdict:
        if overlap is None:
            return skipped(self.name, "the data are too few to hold any sample out")
        about, hint = "held-out samples occur in training", "a held-out loss says nothing about new data"
        return bounded(self.name, float(overlap), None, allowed, about=about, hint=hint)

    def _order(self, found: Mapping[str, Any]) -> Verdict:
        if found["reshuffled"] is None:
            return skipped(
                self.name, "no second epoch, or too few samples, to tell whether the order changes"
            )
        same = int(found["same_order"])
        bad = f"{same} of {found['epochs']} epochs have the order of the one before, expected none"
        return Verdict(
            check=self.name,
            status=Status.FAIL if same else Status.PASS,
            observed=float(same),
            expected="0",
            reason="same_order" if same else "",
            message=f"{bad}; the shuffle is seeded anew" if same else "every epoch has an order of its own",
        )
