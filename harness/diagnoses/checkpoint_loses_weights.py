"""A checkpoint does not give back all weights."""

from harness.diagnoses import Diagnostician
from harness.diagnoses._evidence import found, listed, names, number
from harness.model import Diagnosis, Facts
from harness.units import show


class CheckpointLosesWeights(Diagnostician):
    """Save, load into other weights, compare: tensors that stay, or values that are rounded."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """The first of: it cannot be loaded, tensors are lost, values differ."""
        checkpoint = found(facts, "checkpoint")
        lost, apart, error = (
            names(checkpoint, "lost"),
            number(checkpoint, "difference"),
            checkpoint.get("error"),
        )
        if not lost and not apart > 0 and not error:
            return None
        cause = (
            f"{len(lost)} tensors are not restored, first {lost[0]}"
            if lost
            else f"restored weights differ by up to {show(apart, '')}: they are rounded"
            if apart > 0
            else f"it cannot be loaded: {error}"
        )
        return Diagnosis(
            name=self.name,
            cause=f"checkpoint loses weights: {cause}",
            remedy="Are all tensors saved under the names that loading expects (strict), in full precision?",
            weight=0.965,
            tensor=lost[0] if lost else "",
            evidence=(
                f"largest difference {show(apart, '')}, size {show(number(checkpoint, 'bytes'), 'B')}",
                f"not restored: {listed(lost) or 'none'}",
                *((f"loading said: {error}",) if error else ()),
            ),
        )
