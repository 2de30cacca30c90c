"""A reshape stands where axes were to be exchanged: it keeps the order in memory, and mixes them up."""

from harness.diagnoses._program import ENOUGH, ProgramDiagnostician, at, count, entries
from harness.model import Diagnosis, Facts

REMEDIES = {
    "split": "Split the features first, then move the axis: view(B, T, H, D).transpose(1, 2).",
    "joined": "Move the heads back first, then join: transpose(1, 2).reshape(B, T, H * D).",
    "moved": "Exchange axes with transpose or permute; view and reshape only cut and join them.",
}


class AxesScrambled(ProgramDiagnostician):
    """Reads reshapes whose results have the sizes of an exchange, and whether layers train on them."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Most of the time what comes out goes into a layer with weights, or into attention."""
        told = [each for each in entries(facts, "reshapes", "places") if count(each, "used") >= ENOUGH]
        if not told:
            return None
        first = max(told, key=lambda each: count(each, "used"))
        return self.finding(
            f"a reshape between {first.get('shapes')}{at(first.get('where'))} stands where axes are to be"
            " exchanged: it keeps the order in memory, so that places and features are mixed up",
            REMEDIES.get(str(first.get("kind")), REMEDIES["moved"]),
            0.85,
        )
