"""An embedding only ever gets one or two of its ids."""

from harness.diagnoses._evidence import names
from harness.diagnoses._program import ProgramDiagnostician, count, entries
from harness.model import Diagnosis, Facts

FEW = 4
"""Places of a sample."""


class IdsCollapsed(ProgramDiagnostician):
    """Collects the ids that tables are given."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Of a table of eight rows and more, after many lookups."""
        tables = entries(facts, "layers", "tables")
        rich = any(len(names(table, "ids")) > 2 for table in tables)
        for table in tables:
            ids = names(table, "ids")
            if len(ids) > 2 or count(table, "rows") < 8 or count(table, "lookups") < 500:
                continue
            return self.finding(
                f"{table.get('name') or 'an embedding'} of {count(table, 'rows'):.0f} rows only ever"
                " gets the ids"
                f" {', '.join(ids)}, in {count(table, 'lookups'):.0f} lookups",
                "Are ids scaled, normalized, clipped or cast before they are looked up?",
                # Beside one that gets more, it may tell segments, or tasks.
                0.45 if rich and (len(ids) > 1 or count(table, "places") < FEW) else 0.75,
                tensor=str(table.get("name", "")),
            )
        return None
