"""Two parameters share memory: layers that should be apart are one."""

from collections.abc import Sequence

from harness.diagnoses import Diagnostician
from harness.diagnoses._evidence import found
from harness.model import Diagnosis, Facts


class AliasedParameters(Diagnostician):
    """The coverage probe found parameters of different names in the same memory."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """A pair a finding; the first is named."""
        pairs = _pairs(found(facts, "coverage").get("aliased"))
        if not pairs:
            return None
        one, other = pairs[0]
        return Diagnosis(
            name=self.name,
            cause=f"parameters share memory: {one} and {other} are one tensor ({len(pairs)} pairs in all)",
            remedy="Are layers repeated ([layer] * n) in place of built one by one?",
            weight=0.97,
            tensor=other,
            evidence=tuple(f"{one} = {other}" for one, other in pairs[:3]),
        )


def _pairs(value: object) -> list[tuple[str, str]]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        return []
    pairs = [each for each in value if isinstance(each, Sequence) and not isinstance(each, str)]
    return [(str(each[0]), str(each[1])) for each in pairs if len(each) >= 2]
