"""A scheduler waits for a metric to fall that rises with success, or the other way round."""

from collections.abc import Mapping
from typing import Any

from harness.diagnoses._program import ENOUGH, ProgramDiagnostician, alone_in_program, count, entries
from harness.model import Diagnosis, Facts

TOGETHER = 0.7
"""Correlation of a metric with the training loss, or with its opposite, that is a clear one."""


class RateFollowsWrongWay(ProgramDiagnostician):
    """Asks whether what a scheduler calls worse is what training makes better.

    Healthy: an accuracy with mode 'max', a loss with 'min'; also a loss with 'min' that rises because the
    model overfits, which is what such a scheduler is for.
    """

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """The training loss falls, the metric is never better than at first, and the rate was cut for it."""
        for told in entries(facts, "metrics", "schedulers"):
            if not alone_in_program(facts) or not _wrong(told):
                continue
            other = "max" if told["mode"] == "min" else "min"
            return self.finding(
                f"{told.get('kind')} waits for a metric to {'fall' if other == 'max' else 'rise'}"
                f" (mode {told['mode']!r}) that goes from {count(told, 'first'):.4g} to"
                f" {count(told, 'last'):.4g} while the training loss falls from"
                f" {count(told, 'first_loss'):.4g} to {count(told, 'last_loss'):.4g}:"
                f" it cut the rate {count(told, 'cuts'):.0f} times in {count(told, 'calls'):.0f} steps",
                f"Is this metric better the larger it is (mode='max'), or a loss (mode='min')? Here {other!r}"
                " fits.",
                0.9 if _unlike_loss(told) == (other == "max") else 0.45,
            )
        return None


def _wrong(told: Mapping[str, Any]) -> bool:
    """Whether training went well and the scheduler took it for the opposite."""
    sign = {"min": -1, "max": 1}.get(str(told.get("mode")), 0)
    calls = count(told, "calls")
    return (
        calls >= ENOUGH
        and count(told, "cuts") > 0
        and sign * count(told, "correlation") > TOGETHER
        and count(told, "best_at") < 0.1 * calls
        and count(told, "last_loss") < 0.97 * count(told, "first_loss")
        and sign * (count(told, "first") - count(told, "last")) > 0.02 * abs(count(told, "first"))
    )


def _unlike_loss(told: Mapping[str, Any]) -> bool:
    """Whether the metric is something else than a loss.

    It goes against the held-out loss; where none is known, it began elsewhere than the training loss. A
    held-out loss that rises from the start tells of overfitting, and began where the training loss did.
    """
    if told.get("evaluated"):
        return count(told, "with_held_out") < -0.5
    first, loss = abs(count(told, "first")), abs(count(told, "first_loss"))
    return not 0.8 * loss < first < 5 * loss
