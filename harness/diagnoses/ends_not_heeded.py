"""Values go on after the end: what follows is added where nothing follows."""

from collections.abc import Mapping

from harness.diagnoses._evidence import found
from harness.diagnoses._program import ENOUGH, ProgramDiagnostician, at, count
from harness.model import Diagnosis, Facts


class EndsNotHeeded(ProgramDiagnostician):
    """Reads whether targets follow a model's own values, and which marks of their samples are not read."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """At most of the later losses, with a mark that some samples have and most have not."""
        told = found(facts, "terminals")
        looked, followed, marks = count(told, "looked"), count(told, "followed"), told.get("marks")
        shares = {name: count(marks, name) for name in marks} if isinstance(marks, Mapping) else {}
        rare = {name: share for name, share in shares.items() if 0 < share < 0.5}
        if followed < ENOUGH or followed < 0.3 * looked or not rare:
            return None
        name, share = min(rare.items(), key=lambda each: each[1])
        return self.finding(
            f"ends are not heeded: targets follow the values that a model gives of what comes"
            f" next{at(told.get('where'))}, and `{name}`, which marks {share:.1%} of the samples, is never"
            " read",
            f"Where an episode ends nothing follows: reward + gamma * (1 - {name}) * value.",
            0.75,
        )
