"""What is evaluated on has been trained on."""

from harness.diagnoses._evidence import found
from harness.diagnoses._program import ProgramDiagnostician, count
from harness.model import Diagnosis, Facts


class EvaluatedOnTrained(ProgramDiagnostician):
    """Compares checksums of samples."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Batches that hold both kinds: a split that overlaps. Whole ones may be meant."""
        told = found(facts, "batches")
        batches, mixed, share = (
            count(told, key) for key in ("evaluated_batches", "mixed_batches", "trained_share")
        )
        if not batches or share < 0.02 or count(told, "samples") < 32 or told.get("asked_in_training"):
            return None
        chance = count(told, "twins")
        if chance and share < chance + 0.3:
            return None
        # The part that is held out holds as many as any part holds twice: alike, and not the same.
        by_chance = chance and count(told, "mixed_share") < chance + 0.3
        return self.finding(
            f"{share:.0%} of what the model is evaluated on was trained on"
            + (f"; {mixed:.0f} of {batches:.0f} batches hold both kinds" if mixed else ""),
            "Split before anything else (oversampling too), and evaluate on the part that training"
            " never sees.",
            0.75 if mixed > 0.4 * batches and not by_chance else 0.4,
        )
