"""Runs as rows of the store's tables, and back. Pure; only `harness.store` uses this."""

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from sqlalchemy import Table

from harness.codec import (
    SAME,
    answers_from_dict,
    answers_to_dict,
    pack_samples,
    pack_trace,
    problem_from_dict,
    problem_to_dict,
    unpack_samples,
)
from harness.history import losses
from harness.model import Diagnosis, Facts, Measurement, Outcome, Run, Status, Verdict
from harness.plain import digest
from harness.tables import DIAGNOSIS, MEASUREMENT, RUN, TRACE, VERDICT

Row = dict[str, Any]

VERDICT_FIELDS = tuple(field.name for field in fields(Verdict))
DIAGNOSIS_FIELDS = tuple(field.name for field in fields(Diagnosis))


class Digests:
    """The digests of environments. The runs of a night share theirs, so each is digested once."""

    def __init__(self) -> None:
        self.known: dict[int, tuple[str, Mapping[str, Any]]] = {}

    def of(self, environment: Mapping[str, Any]) -> str:
        """The digest of an environment, which is kept: its identity stays its own."""
        if id(environment) not in self.known:
            self.known[id(environment)] = (digest(environment), environment)
        return self.known[id(environment)][0]

    @property
    def environments(self) -> dict[str, Mapping[str, Any]]:
        """All that were digested, by digest."""
        return dict(self.known.values())


def rows_of(run: Run, digests: Digests) -> dict[Table, list[Row]]:
    """All rows of a run but its environments, by table, in an order that foreign keys accept."""
    facts = run.facts
    measurements = enumerate(facts.measurements.items())
    return {
        RUN: [_run_row(run, digests)],
        MEASUREMENT: [_measurement_row(run.id, position, *named) for position, named in measurements],
        VERDICT: [_verdict_row(run.id, position, verdict) for position, verdict in enumerate(run.verdicts)],
        DIAGNOSIS: [_diagnosis_row(run.id, rank, diagnosis) for rank, diagnosis in enumerate(run.diagnoses)],
        TRACE: [] if facts.trace is None else [{"run": run.id, "data": pack_trace(facts.trace)}],
    }


def _run_row(run: Run, digests: Digests) -> Row:
    commit, dirty = run.environment.get("commit"), run.environment.get("dirty")
    return {
        **{name: getattr(run, name) for name in SAME},
        **_facts_row(run.facts, digests),
        "status": run.status.value,
        "commit": commit if isinstance(commit, str) else None,
        "dirty": dirty if isinstance(dirty, bool) else None,
        "environment": digests.of(run.environment),
    }


def _facts_row(facts: Facts, digests: Digests) -> Row:
    loss, problem = losses(facts.trace), facts.problem
    return {
        "outcome": facts.outcome.value,
        "phase": facts.phase,
        "facts_message": facts.message,
        "detail": facts.detail,
        "parameters": _whole(facts.parameters),
        "worker_environment": digests.of(facts.environment),
        "first_loss": loss and loss.first,
        "final_loss": loss and loss.final,
        "loss_drop": loss and loss.drop,
        "problem_digest": None if problem is None else problem.digest,
        "problem": None if problem is None else problem_to_dict(problem),
        "answers": answers_to_dict(facts.answers),
    }


def _measurement_row(run: str, position: int, name: str, measurement: Measurement) -> Row:
    samples = pack_samples(measurement.samples)
    value, unit = measurement.value, measurement.unit
    return {"run": run, "name": name, "position": position, "value": value, "unit": unit, "samples": samples}


def _verdict_row(run: str, position: int, verdict: Verdict) -> Row:
    row = {name: getattr(verdict, name) for name in VERDICT_FIELDS}
    text = verdict.observed if isinstance(verdict.observed, str) else None
    number = None if isinstance(verdict.observed, str) else verdict.observed
    observed = {"observed": number, "observed_text": text}
    place = {"run": run, "position": position, "step": _whole(verdict.step)}
    return {**row, **observed, **place, "status": verdict.status.value}


def _diagnosis_row(run: str, rank: int, diagnosis: Diagnosis) -> Row:
    row = {name: getattr(diagnosis, name) for name in DIAGNOSIS_FIELDS}
    return {**row, "run": run, "rank": rank, "step": _whole(diagnosis.step)}


def _whole(value: int | None) -> int | None:
    """Python's own int: database drivers know no NumPy integers."""
    return None if value is None else int(value)


def measurement_of(row: Mapping[str, Any]) -> Measurement:
    """A measurement; without its samples when they were not asked for."""
    samples = unpack_samples(row["samples"]) if "samples" in row else ()
    return Measurement(name=row["name"], value=row["value"], unit=row["unit"], samples=samples)


def verdict_of(row: Mapping[str, Any]) -> Verdict:
    """A verdict."""
    values = {name: row[name] for name in VERDICT_FIELDS}
    observed = row["observed"] if row["observed_text"] is None else row["observed_text"]
    return Verdict(**{**values, "status": Status(row["status"]), "observed": observed})


def diagnosis_of(row: Mapping[str, Any]) -> Diagnosis:
    """A diagnosis."""
    values = {name: row[name] for name in DIAGNOSIS_FIELDS}
    return Diagnosis(**{**values, "evidence": tuple(row["evidence"])})


def run_values(
    row: Mapping[str, Any],
    environments: Mapping[str, Mapping[str, Any]],
    measurements: Iterable[Measurement],
    verdicts: Iterable[Verdict],
    diagnoses: Iterable[Diagnosis],
) -> Row:
    """The arguments of `Run`, from a run's rows of all tables but its trace."""
    return {
        **{name: row[name] for name in SAME},
        "status": Status(row["status"]),
        "environment": environments[row["environment"]],
        "facts": _facts_of(row, environments[row["worker_environment"]], measurements),
        "verdicts": tuple(verdicts),
        "diagnoses": tuple(diagnoses),
    }


def _facts_of(
    row: Mapping[str, Any], environment: Mapping[str, Any], measurements: Iterable[Measurement]
) -> Facts:
    return Facts(
        outcome=Outcome(row["outcome"]),
        phase=row["phase"],
        message=row["facts_message"],
        detail=row["detail"],
        problem=None if row["problem"] is None else problem_from_dict(row["problem"]),
        parameters=row["parameters"],
        measurements={measurement.name: measurement for measurement in measurements},
        answers=answers_from_dict(row["answers"]),
        environment=environment,
    )
