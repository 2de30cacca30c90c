"""The same batch is trained on again and again although there are more."""

from collections.abc import Mapping
from typing import Any

from harness.diagnoses._evidence import found
from harness.diagnoses._program import ProgramDiagnostician, count, entries
from harness.model import Diagnosis, Facts


class BatchNeverChanges(ProgramDiagnostician):
    """Compares checksums of the batches."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """One batch only, while a loader holds more or the batch is a small part of a larger tensor."""
        told = found(facts, "batches")
        steps, different = count(told, "steps"), count(told, "different_batches")
        if steps < 10 or different > 1 or count(told, "samples") == 1:
            return None
        more = [
            one
            for one in entries(facts, "loaders", "loaders")
            if count(one, "length") > 1 and count(one, "trained")
        ]
        part = count(told, "view_share")
        if not more and not part < 0.5:
            return None
        why = "the loader holds more" if more else f"it is {part:.0%} of the tensor it was cut from"
        again = count(told, "cut_anew") > 0.5 * steps
        if more:
            again = max(count(one, "trained") for one in more) > 0.5 * steps
        return self.finding(
            f"one batch is trained on at all {steps:.0f} steps, and {why}",
            "Go through the loader; next(iter(loader)) begins again each time.",
            # Drawn once and kept: to fit one batch may be what is wanted, unless others are judged by it.
            0.85 if again else 0.7 if more and _judged_on_others(told) else 0.45,
        )


def _judged_on_others(told: Mapping[str, Any]) -> bool:
    """Whether the model is evaluated, on samples that it was not trained on."""
    return count(told, "evaluated_batches") > 0 and count(told, "trained_share") < 0.1
