"""A checkpoint is read, and little or nothing of it arrives."""

from harness.diagnoses._program import ProgramDiagnostician, at, count, entries, several
from harness.model import Diagnosis, Facts


class CheckpointNotLoaded(ProgramDiagnostician):
    """Reads what load_state_dict said."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Most tensors are missing; a guess where some arrive: a part may be taken over on purpose."""
        for load in entries(facts, "checkpoints", "loads"):
            own, missing, lost = (count(load, key) for key in ("tensors", "missing", "unexpected"))
            if not own or missing < 0.5 * own or not lost:
                continue
            names = [
                str(each) for key in ("first_missing", "first_unexpected") for each in several(load.get(key))
            ]
            return self.finding(
                f"of {own:.0f} tensors of {load['model']}, {missing:.0f} are not in the checkpoint that"
                " is loaded"
                f"{at(load.get('where'))}, which has {lost:.0f} others"
                + (f" ('{names[0]}' against '{names[1]}')" if len(names) == 2 else ""),
                "Load with strict=True; take prefixes such as 'module.' off the names.",
                0.93 if missing == own or _renamed(names) else 0.45,
            )
        return None


def _renamed(names: list[str]) -> bool:
    """Whether a name that is missing stands in the checkpoint behind or without a prefix."""
    return len(names) == 2 and (names[0].endswith(f".{names[1]}") or names[1].endswith(f".{names[0]}"))
