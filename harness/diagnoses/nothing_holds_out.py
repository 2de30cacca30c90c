"""What was learned holds for nothing but what was trained on."""

from collections.abc import Mapping
from typing import Any

from harness.diagnoses._evidence import found
from harness.diagnoses._program import (
    ProgramDiagnostician,
    alone_in_program,
    at,
    count,
    ended_by_itself,
    entries,
    main_site,
    several,
)
from harness.model import Diagnosis, Facts

LEARNED = 0.85
"""Of the loss of a constant: in training, at least so much was learned."""
LEAST_ROWS = 64
SQUARES, CLASSES = ("mse_loss",), ("cross_entropy", "nll_loss")


class NothingHoldsOut(ProgramDiagnostician):
    """Compares the last evaluations with what a constant gives, and the training's losses likewise."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Every evaluation is as bad as a constant, or worse, and the training is not."""
        site = main_site(facts)
        chance, final = count(site, "chance"), count(site, "final")
        learned = chance > 0 and final < LEARNED * chance and site.get("whole")
        judged = [each for each in entries(facts, "heldout", "sites") if _alike(each, site)]
        if not learned or not judged or not alone_in_program(facts) or not ended_by_itself(facts):
            return None
        if found(facts, "batches").get("asked_in_training") or not all(_blind(each) for each in judged):
            return None
        last = _rounds(judged[0])[-1]
        return self.finding(
            f"what was learned holds for nothing else: {_told(last)}{at(judged[0].get('where'))}, while the"
            f" loss in training is {final / chance:.0%} of it",
            "Do inputs and targets belong together (were they shuffled apart)? Is the evaluation's data"
            " prepared as the training's is?",
            0.7,
        )


def _rounds(site: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    rounds = [each for each in several(site.get("rounds")) if isinstance(each, Mapping)]
    return [each for each in rounds if count(each, "rows") >= LEAST_ROWS]


def _alike(judged: Mapping[str, Any], site: Mapping[str, Any]) -> bool:
    """Whether an evaluation asks for what is trained: classes, or numbers."""
    classes = judged.get("kind") in CLASSES
    return bool(_rounds(judged)) and (site.get("kind") in CLASSES if classes else site.get("kind") in SQUARES)


def _blind(site: Mapping[str, Any]) -> bool:
    """No better than a constant: of classes, neither by the loss nor by what is right."""
    return all(
        count(each, "constant") > 1e-9
        and count(each, "loss") >= count(each, "constant")
        and ("right" not in each or count(each, "right") <= 1.02 * count(each, "most"))
        for each in _rounds(site)
    )


def _told(last: Mapping[str, Any]) -> str:
    what = "the entropy of its labels" if "right" in last else "the variance of its targets"
    loss, constant = count(last, "loss"), count(last, "constant")
    return f"the evaluation's loss of {loss:.4g} is no better than {what}, {constant:.4g}"
