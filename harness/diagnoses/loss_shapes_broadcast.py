"""The loss compares arrays of different shapes, every prediction with every target."""

from harness.diagnoses._program import ProgramDiagnostician, at, entries, training_sites
from harness.model import Diagnosis, Facts


class LossShapesBroadcast(ProgramDiagnostician):
    """Reads the shapes that loss functions are given."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Shapes that differ and broadcast."""
        for site in training_sites(facts):
            if site.get("broadcast"):
                return self.finding(
                    f"{site['kind']} compares shapes {site['broadcast']}{at(site.get('where'))}: they"
                    " are broadcast, every"
                    " prediction against every target",
                    "Give both the same shape: squeeze(-1) or unsqueeze(-1).",
                    0.95,
                )
        for site in training_sites(facts):
            if site.get("spread_out"):
                return self.finding(
                    f"{site['kind']} compares shapes {site['spread_out']}{at(site.get('where'))}: a"
                    " prediction serves several targets",
                    "Is that meant? Else give both the same shape.",
                    0.4,
                )
        for each in entries(facts, "losses", "outer"):
            return self.finding(
                f"a difference of shapes {each['shapes']}{at(each.get('where'))} is broadcast to every"
                " pair: each"
                " prediction against every target",
                "Give both the same shape: squeeze(-1) or unsqueeze(-1).",
                0.93,
            )
        return None
