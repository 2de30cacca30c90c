"""The loss is zero by construction: what is compared is the same."""

from harness.diagnoses._program import ENOUGH, ProgramDiagnostician, at, count, main_site, training_sites
from harness.model import Diagnosis, Facts


class LossComparesItself(ProgramDiagnostician):
    """Reads what loss functions are given."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Prediction and target are equal at every call."""
        for site in training_sites(facts):
            looked = count(site, "looked")
            if looked >= ENOUGH and count(site, "identical") == looked:
                return self.finding(
                    f"{site['kind']} compares a tensor with itself{at(site.get('where'))}: prediction"
                    " and target are equal"
                    f" at all {looked:.0f} calls looked at",
                    "What is the target meant to be?",
                    0.95 if site["kind"] != "kl_div" and site is main_site(facts) else 0.45,
                )
        return None
