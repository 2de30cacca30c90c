"""A loss function is given something else than it expects, as probabilities in place of logits."""

from collections.abc import Mapping
from typing import Any

from harness.diagnoses._program import ENOUGH, ProgramDiagnostician, at, count, training_sites
from harness.model import Diagnosis, Facts

LEAST_ELEMENTS = 200


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
                cause, remedy = told
                return self.finding(f"{site['kind']} is given {cause}{at(site.get('where'))}", remedy, 0.93)
        return None


def _wrong(site: Mapping[str, Any], looked: float) -> tuple[str, str] | None:
    kind = site["kind"]
    if kind == "cross_entropy":
        if count(site, "probabilities") == looked and count(site, "classes") > 1:
            return (
                "probabilities (rows sum to 1) where it expects logits",
                "Take the softmax out: it has its own.",
            )
        if count(site, "unit_range") == looked:
            return "values within 0 to 1 only where it expects logits", "Take the sigmoid or softmax out."
        if count(site, "rectified") > 0.8 * looked:
            return (
                "rectified values (none below zero) where it expects logits",
                "Take the ReLU after the last layer out.",
            )
    if kind == "binary_cross_entropy_with_logits" and count(site, "unit_range") == looked:
        return "values within 0 to 1 only where it expects logits", "Take the sigmoid out: it has its own."
    if kind in ("nll_loss", "kl_div") and count(site, "log_probabilities") < 0.1 * looked:
        return "no logarithms of probabilities, which it expects", "Apply log_softmax first."
    return None
