"""A loss function is given something else than it expects, as probabilities in place of logits."""

from collections.abc import Mapping
from typing import Any

from harness.diagnoses._program import ENOUGH, ProgramDiagnostician, at, count, training_sites
from harness.model import Diagnosis, Facts

LEAST_ELEMENTS = 200
SQUASHING = ("Sigmoid", "Softmax", "Hardsigmoid")
EDGE = 0.02
"""So near to 0 and to 1 come probabilities that are sure, and logits only on their way beyond."""


class LossGivenWrongInput(ProgramDiagnostician):
    """Reads the ranges and sums of what loss functions are given."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Every call that was looked at."""
        for site in training_sites(facts):
            looked = count(site, "looked")
            if looked < ENOUGH or count(site, "elements") < LEAST_ELEMENTS:
                continue
            told = _wrong(site, looked)
            if told:
                cause, remedy, weight = told
                where = at(site.get("where"))
                return self.finding(f"{site['kind']} is given {cause}{where}", remedy, weight)
        return None


def _wrong(site: Mapping[str, Any], looked: float) -> tuple[str, str, float] | None:
    kind = site["kind"]
    if kind == "cross_entropy":
        return _not_logits(site, looked)
    if kind == "binary_cross_entropy_with_logits" and count(site, "unit_range") == looked:
        cause = "values within 0 to 1 only where it expects logits"
        return cause, "Take the sigmoid out: it has its own.", _certainty(site)
    if kind in ("nll_loss", "kl_div") and count(site, "log_probabilities") < 0.1 * looked:
        cause = "no logarithms of probabilities, which it expects"
        # What is nowhere above zero may be a likelihood of another kind.
        return cause, "Apply log_softmax first.", 0.93 if count(site, "positive") > 0.5 * looked else 0.45
    return None


def _not_logits(site: Mapping[str, Any], looked: float) -> tuple[str, str, float] | None:
    if count(site, "probabilities") == looked and count(site, "classes") > 1:
        cause = "probabilities (rows sum to 1) where it expects logits"
        return cause, "Take the softmax out: it has its own.", 0.93
    if count(site, "unit_range") == looked:
        cause = "values within 0 to 1 only where it expects logits"
        return cause, "Take the sigmoid or softmax out.", _certainty(site)
    if count(site, "rectified") > 0.8 * looked:
        cause = "rectified values (none below zero) where it expects logits"
        return cause, "Take the ReLU after the last layer out.", 0.93
    return None


def _certainty(site: Mapping[str, Any]) -> float:
    """Young logits may lie in 0 to 1 by chance: what made them tells, or that they reach both ends."""
    if site.get("made_by") in SQUASHING:
        return 0.93
    return 0.93 if count(site, "least_input") < EDGE and count(site, "largest_input") > 1 - EDGE else 0.45
