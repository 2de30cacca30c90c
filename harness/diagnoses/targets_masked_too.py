"""What a model of tokens is to fill in was overwritten in the targets as well: the answer is the mask."""

from harness.diagnoses._program import ENOUGH, ProgramDiagnostician, at, count, entries
from harness.model import Diagnosis, Facts


class TargetsMaskedToo(ProgramDiagnostician):
    """Asks whether the targets of a loss over a vocabulary ever hold anything but one token.

    Healthy: targets of several tokens, be they those of the inputs, as where a model is to copy; also one
    label for all, as contrastive losses have, which is no token of the inputs.
    """

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """At all calls the one token that the inputs show at these places, and at no others."""
        for site in entries(facts, "echoes", "sites"):
            looked = count(site, "looked")
            # A number of targets that is always the same may be that of the token by chance.
            if looked < ENOUGH or count(site, "echoed") < looked:
                continue
            if count(site, "tokens") != 1 or count(site, "sizes") < 2 or count(site, "targets") < 4 * looked:
                continue
            return self.finding(
                f"all {count(site, 'targets'):.0f} targets looked at{at(site.get('where'))} are the token"
                f" {count(site, 'token'):.0f}, and the input shows it at just these places: there is nothing"
                " to predict",
                "Are the labels the same tensor as the inputs that are masked in place? Clone them before.",
                0.92,
            )
        return None
