"""An embedding takes an ordinary id for padding: its row never trains."""

from harness.diagnoses._program import ENOUGH, ProgramDiagnostician, count, entries
from harness.model import Diagnosis, Facts

TURNED = 1e-3
"""Of its length: a table that another layer shares trains by way of that."""


class EmbeddingRowNeverTrains(ProgramDiagnostician):
    """Reads where the padding index stands among the ids."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Alone, or between other ids."""
        for one in entries(facts, "layers", "embeddings"):
            calls, used = min(count(one, "calls"), 64), count(one, "used")
            if calls >= ENOUGH and used > 0.3 * calls and count(one, "moved") < TURNED:
                return self.finding(
                    f"row {count(one, 'padding'):.0f} of {one.get('name') or 'an embedding'} never"
                    " trains: it is its"
                    f" padding_idx, and {used:.0f} of {calls:.0f} batches use it as an ordinary id",
                    "Keep an id of its own for padding, or leave padding_idx out.",
                    0.85,
                    tensor=str(one.get("name", "")),
                )
        return None
