"""The loss ends where a model stands that sees nothing of its inputs."""

from collections.abc import Mapping
from typing import Any

from harness.diagnoses._program import (
    ProgramDiagnostician,
    alone_in_program,
    at,
    count,
    ended_by_itself,
    main_site,
    of_training,
    training_sites,
)
from harness.model import Diagnosis, Facts

CLEAR = 3.0
"""Standard errors below chance: something was learned, however little."""
LEAST_STEPS = 40
"""Shorter trainings need not have learned anything."""
CONTESTED = ("binary_cross_entropy", "binary_cross_entropy_with_logits")
"""Two sides that hold each other at chance say so: real and generated, one domain and another."""


class LearnedNothing(ProgramDiagnostician):
    """Compares the last losses with the entropy of the targets, their variance, or what a constant gets."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Not below it, after a training long enough."""
        site = main_site(facts)
        chance, final = count(site, "chance"), count(site, "final")
        if not chance > 1e-6 or count(site, "calls") < LEAST_STEPS or not alone_in_program(facts):
            return None
        if site.get("reduction") != "mean" or not site.get("whole") or not ended_by_itself(facts):
            return None
        # One of several losses may have a target that moves: that of a code book, say.
        if any(_learned(each) for each in training_sites(facts)):
            return None
        if site.get("kind") in CONTESTED and len(training_sites(facts)) > 1:
            return None
        return self.finding(
            f"nothing was learned: the loss ends at {final:.4g}{at(site.get('where'))}, and {_of(site)} is"
            f" {chance:.4g}, which"
            " takes no input at all",
            "Do inputs and targets belong together? Do the weights move, at a rate that suits? Does the"
            " output depend on"
            " the input?",
            # It may have begun far above, or slowly, and not be through.
            0.45 if count(site, "falling") > CLEAR or _put_back(facts) else 0.7,
        )


def _of(site: Mapping[str, Any]) -> str:
    if count(site, "classes"):
        return "the entropy of the labels"
    return "the variance of the targets" if site.get("kind") == "mse_loss" else "that of the best constant"


def _learned(site: Mapping[str, Any]) -> bool:
    """Whether the last losses of a loss function lie below chance."""
    chance = count(site, "chance")
    return chance > 0 and (count(site, "final") < 0.97 * chance or count(site, "below_chance") > CLEAR)


def _put_back(facts: Facts) -> bool:
    """Whether the program itself writes to the weights: each loss may be that of another beginning."""
    story = of_training(facts, "cycle")
    return count(story, "moved_between") > 0.1 * count(story, "steps") > 0
