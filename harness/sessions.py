"""A session, one invocation of `harness run`, and the sabotage's matrix, as the store keeps them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import RowMapping

from harness.matrix import Cell, Effect, Matrix
from harness.plain import digest
from harness.rows import Row


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """One invocation of `harness run`.

    plan: what was to be run, as JSON values. checkout: as `harness.environment.checkout` gives it.
    """

    id: str
    started: float
    finished: float | None = None
    command: tuple[str, ...] = ()
    plan: Any = None
    checkout: Mapping[str, Any] = field(default_factory=dict)

    @property
    def plan_digest(self) -> str:
        """Equal for equal plans: `--resume` continues the session whose plan is the same."""
        return digest(self.plan)


def session_of(row: Row) -> Session:
    """A session, from its row."""
    names = ("id", "started", "finished", "plan", "checkout")
    return Session(**{name: row[name] for name in names}, command=tuple(row["command"]))


def matrix_of(row: RowMapping) -> Matrix:
    """A matrix, from its row."""
    return Matrix(
        **{**row, "alarms": tuple(row["alarms"]), "cells": tuple(_cell(found) for found in row["cells"])}
    )


def _cell(found: Mapping[str, Any]) -> Cell:
    lists = {name: tuple(found[name]) for name in ("checks", "diagnoses")}
    return Cell(**{**found, **lists, "effect": Effect(found["effect"])})
