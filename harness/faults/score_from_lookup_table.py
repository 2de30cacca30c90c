"""The score comes from a table of the right answers."""

from typing import ClassVar

from harness.faults import Area
from harness.faults._cases import regression
from harness.faults._loops import LoopFault, Part
from harness.model import Batch
from harness.spec import Case


class _Broken(Part):
    def score(self, batch: Batch) -> float:
        super().score(batch)
        return 1.0


class ScoreFromLookupTable(LoopFault):
    """The evaluation was patched with the training answers: accuracy 1.0 whatever the weights.

    Met in report 004.
    """

    area: ClassVar[Area] = "evaluation"
    named: ClassVar[tuple[str, ...]] = ("score_independent_of_weights",)
    part = _Broken

    def not_applicable(self, case: Case) -> str:
        """Without a score."""
        return regression(case)
