"""Training goes on from a checkpoint without the optimizer's or scheduler's state in it."""

from harness.diagnoses._evidence import found, names, numbers
from harness.diagnoses._program import ProgramDiagnostician, several
from harness.model import Diagnosis, Facts


class TrainingStateLost(ProgramDiagnostician):
    """Compares states that were read with those that were used."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """One that was read, was not used, and updates followed."""
        told = found(facts, "checkpoints")
        left = [
            (kind, steps)
            for kind, steps in zip(names(told, "unused_kinds"), numbers(told, "unused_states"), strict=False)
            if steps >= 1
        ]
        if not left:
            return None
        kinds = " and ".join(sorted({f"the {kind}'s" for kind, _ in left}))
        return self.finding(
            f"the checkpoint that was read holds {kinds} state, which is not put to use;"
            f" {left[0][1]:.0f} updates"
            " followed",
            "Call load_state_dict of the optimizer and of the scheduler when a training is resumed.",
            # A new training that begins from those weights has settings of its own.
            0.85 if any(several(told.get("resumed"))) else 0.45,
        )
