"""Gradients are clipped when it has no effect, or while the loss scale is still in them."""

from harness.diagnoses._program import ENOUGH, ProgramDiagnostician, count, of_training
from harness.model import Diagnosis, Facts


class ClippedAtWrongTime(ProgramDiagnostician):
    """Reads the order of calls."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Most of the clippings."""
        story = of_training(facts, "cycle")
        clipped, scaled, late = (count(story, key) for key in ("clipped", "clipped_scaled", "clipped_late"))
        if clipped < ENOUGH:
            return None
        if scaled > 0.8 * clipped:
            return self.finding(
                f"gradients are clipped before they are unscaled, {scaled:.0f} times: the limit acts on"
                " numbers"
                " that carry the loss scale",
                "Call scaler.unscale_(optimizer) before clip_grad_norm_.",
                0.95,
            )
        if late > 0.8 * clipped:
            return self.finding(
                f"gradients are clipped after the update, {late:.0f} times, where it has no effect",
                "Clip between backward() and optimizer.step().",
                0.93,
            )
        return None
