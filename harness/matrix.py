"""The sabotage matrix: what cases made of faults, and how much of them they noticed. Pure values and sums."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Effect(StrEnum):
    """What a case made of a fault. `QUIET` and `FALSE_ALARM` are for benign variants."""

    NAMED = "named"
    CAUGHT = "caught"
    MISSED = "missed"
    QUIET = "quiet"
    FALSE_ALARM = "false_alarm"
    NOT_APPLICABLE = "not_applicable"


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """One fault in one case on one backend. checks: those that failed. diagnoses: names in order of weight.

    naive: the naive gate (loss drop of 30 %, finite, gradient norm within 1e-4 to 100) would have failed.
    """

    case: str
    backend: str
    fault: str
    area: str
    effect: Effect
    naive: bool
    message: str = ""
    checks: tuple[str, ...] = ()
    diagnoses: tuple[str, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Matrix:
    """One `harness sabotage`. alarms: healthy runs that failed, as `case [backend]: message`."""

    id: str
    started: float
    seconds: float
    healthy_runs: int
    alarms: tuple[str, ...]
    cells: tuple[Cell, ...]
    checkout: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Shares:
    """Over faults that apply somewhere: how many any case catches, and names; and the false alarms."""

    faults: int
    caught: int
    named: int
    naive: int
    healthy_runs: int
    false_alarms: int


def shares(matrix: Matrix) -> Shares:
    """Sum up a matrix."""
    by_fault: dict[str, list[Cell]] = {}
    for one in matrix.cells:
        if one.effect in (Effect.NAMED, Effect.CAUGHT, Effect.MISSED):
            by_fault.setdefault(one.fault, []).append(one)
    benign = [one for one in matrix.cells if one.effect in (Effect.QUIET, Effect.FALSE_ALARM)]
    return Shares(
        faults=len(by_fault),
        caught=sum(any(one.effect is not Effect.MISSED for one in row) for row in by_fault.values()),
        named=sum(any(one.effect is Effect.NAMED for one in row) for row in by_fault.values()),
        naive=sum(any(one.naive for one in row) for row in by_fault.values()),
        healthy_runs=len(benign) + matrix.healthy_runs,
        false_alarms=len(matrix.alarms) + sum(one.effect is Effect.FALSE_ALARM for one in benign),
    )


def unmet(case: str, promised: Collection[str], cells: Sequence[Cell]) -> list[Cell]:
    """Cells that break a case's promise: faults that it must catch and missed, and false alarms."""
    mine = [one for one in cells if one.case == case]
    missed = [one for one in mine if one.fault in promised and one.effect is Effect.MISSED]
    return missed + [one for one in mine if one.effect is Effect.FALSE_ALARM]
