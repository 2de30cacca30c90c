"""Facts in, judgement out. Pure: a recorded run can be judged again at any time."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from harness.checks import Check
from harness.diagnoses import Diagnostician
from harness.model import Diagnosis, Facts, Float64, Outcome, Status, Trace, Verdict

SKIPPED = (Outcome.UNAVAILABLE, Outcome.UNSUPPORTED)
GUESS = 0.3
"""Diagnoses that weigh less are guesses."""
WITHOUT_TENSOR = ("loss", "learning rate")


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """What came of a run, in one word, one reason and one line, with all that led there."""

    status: Status
    reason: str
    message: str
    verdicts: tuple[Verdict, ...] = ()
    diagnoses: tuple[Diagnosis, ...] = ()


def judge(
    checks: Mapping[str, Check], facts: Facts, diagnosticians: Iterable[Diagnostician] = ()
) -> Judgement:
    """Judge the facts of one run by the case's checks.

    Non-finite numbers come first and cannot be switched off. What fails outweighs what broke or is missing,
    which outweighs what passes. A failed run is diagnosed: what each diagnostician says, the best fit first.
    """
    if facts.outcome in SKIPPED:
        return Judgement(status=Status.SKIP, reason=facts.outcome.value, message=facts.message)
    if facts.outcome is not Outcome.COMPLETED:
        return Judgement(status=Status.ERROR, reason=facts.outcome.value, message=facts.message)
    verdicts = (
        *readable(facts),
        *finite(facts),
        *complete(facts),
        *(verdict for check in checks.values() for verdict in _ask(check, facts)),
    )
    judgement = _summary(verdicts)
    if judgement.status is not Status.FAIL:
        return judgement
    return replace(judgement, diagnoses=diagnose(diagnosticians, facts))


def diagnose(diagnosticians: Iterable[Diagnostician], facts: Facts) -> tuple[Diagnosis, ...]:
    """All diagnoses that the facts speak for, by weight; what a broken one said comes last, with weight 0."""
    found = [
        diagnosis for diagnosis in (_consult(one, facts) for one in diagnosticians) if diagnosis is not None
    ]
    return tuple(sorted(found, key=lambda diagnosis: (-diagnosis.weight, diagnosis.name)))


def _consult(diagnostician: Diagnostician, facts: Facts) -> Diagnosis | None:
    try:
        return diagnostician.weigh(facts)
    except Exception as error:  # noqa: BLE001 - a broken plugin must not hide what the checks found
        broke = f"{type(error).__name__}: {error}"
        return Diagnosis(
            name=diagnostician.name, cause="this diagnosis broke", remedy=broke, weight=0.0, evidence=(broke,)
        )


def finite(facts: Facts) -> Iterable[Verdict]:
    """The check that is always on: every loss, gradient, weight and measurement is a finite number."""
    if facts.trace is None or facts.trace.steps == 0:
        log = facts.answers.get("log")
        read = (
            ""
            if log is None
            else f"; {log.facts['lines']} lines were read, none with a loss that can be read"
        )
        message = f"no step was recorded{read}"
        yield Verdict(check="finite", status=Status.ERROR, reason="missing", message=message)
        return
    found = first_nonfinite(facts.trace)
    if found is not None:
        step, what, tensor, value = found
        yield _nonfinite(f"{what} of {tensor}" if tensor else what, value, step, tensor)
        return
    bad = next((each for each in facts.measurements.values() if not math.isfinite(each.value)), None)
    if bad is not None:
        yield _nonfinite(f"measurement '{bad.name}'", bad.value)
        return
    message = f"all numbers of {facts.trace.steps} steps are finite"
    yield Verdict(check="finite", status=Status.PASS, message=message)


def readable(facts: Facts) -> Iterable[Verdict]:
    """Of a program's log: a line that lacks the number which is due there says nothing of health."""
    log = facts.answers.get("log")
    for number, text in log.facts["unreadable"][:1] if log else ():
        yield _log(Status.ERROR, "unreadable", f"line {number} of the log cannot be read: {text}")


def complete(facts: Facts) -> Iterable[Verdict]:
    """Also always on: every planned step was recorded, once; a program's own log does not say otherwise."""
    log = facts.answers["log"].facts if "log" in facts.answers else {}
    yield from _said(log)
    if facts.trace is None or facts.problem is None or not facts.trace.steps:
        return
    steps, planned, lacking = facts.trace.steps, facts.problem.steps, list(log.get("missing", ()))
    if steps == planned and not lacking:
        return
    step = lacking[0] if lacking else min(steps, planned)
    first = f"; the first that lacks is {step}" if lacking else ""
    yield Verdict(
        check="complete", status=Status.FAIL, observed=steps, expected=f"{planned} steps", step=step,
        reason="cut_short" if lacking or steps < planned else "too_many_steps",
        message=f"{steps} of {planned} steps were recorded, expected all of them{first}",
    )  # fmt: skip


def _said(log: Mapping[str, Any]) -> Iterable[Verdict]:
    """What a program's log says of itself: that it failed, or one step more than once."""
    for number, text in log.get("not_ok", ())[:1]:
        yield _log(Status.FAIL, "not_ok", f"the program says so itself, in line {number}: {text}")
    repeated = log.get("repeated", ())
    if repeated:
        steps = ", ".join(map(str, repeated[:3]))
        more = f" and {len(repeated) - 3} more" if len(repeated) > 3 else ""
        text = f"logged more than once: step {steps}{more}; expected each once"
        yield _log(Status.FAIL, "repeated_steps", text, repeated[0])


def _log(status: Status, reason: str, message: str, step: int | None = None) -> Verdict:
    return Verdict(check="complete", status=status, reason=reason, message=message, step=step)


def first_nonfinite(trace: Trace) -> tuple[int, str, str, float] | None:
    """Step, quantity, tensor and value of the first number that is not finite, in order of computation."""
    quantities = [(what, values) for name, what, values in _quantities(trace) if name not in trace.absent]
    for step in range(trace.steps):
        for what, values in quantities:
            bad = np.flatnonzero(~np.isfinite(values[step]))
            if len(bad):
                tensor = "" if what in WITHOUT_TENSOR else trace.tensors[bad[0]]
                return step, what, tensor, float(values[step, bad[0]])
    return None


def _quantities(trace: Trace) -> tuple[tuple[str, str, Float64], ...]:
    """What must be finite, in order of computation: field, words, values (T, P) or (T, 1)."""
    return (
        ("weight_norm", "weight norm", trace.weight_norm),
        ("loss", "loss", trace.loss[:, None]),
        ("gradient_norm", "gradient norm", trace.gradient_norm),
        ("gradient_largest", "largest gradient", trace.gradient_largest),
        ("clipped_norm", "clipped gradient norm", trace.clipped_norm),
        ("learning_rate", "learning rate", trace.learning_rate[:, None]),
        ("update_norm", "update norm", trace.update_norm),
    )


def _nonfinite(where: str, value: float, step: int | None = None, tensor: str = "") -> Verdict:
    at = "" if step is None else f" at step {step}"
    return Verdict(
        check="finite",
        status=Status.FAIL,
        reason="nonfinite",
        observed=value,
        expected="finite numbers",
        step=step,
        tensor=tensor,
        message=f"{where} is {value}{at}, expected finite numbers",
    )


def _ask(check: Check, facts: Facts) -> Iterable[Verdict]:
    try:
        return _verdicts(check, facts)
    except Exception as error:  # noqa: BLE001 - a broken check is an error, never a failed training
        message = f"the check broke: {type(error).__name__}: {error}"
        return (Verdict(check=check.name, status=Status.ERROR, reason="broken", message=message),)


def _verdicts(check: Check, facts: Facts) -> Iterable[Verdict]:
    lacking = sorted(set(check.columns) & set(facts.trace.absent if facts.trace else ()))
    if lacking:
        message = f"{', '.join(lacking)}: not among what was recorded"
        return (Verdict(check=check.name, status=Status.ERROR, reason="missing", message=message),)
    verdicts = tuple(check.judge(facts))
    if not verdicts or not all(isinstance(verdict, Verdict) for verdict in verdicts):
        raise TypeError(f"expected verdicts, got {verdicts!r:.60}")
    return verdicts


def _summary(verdicts: tuple[Verdict, ...]) -> Judgement:
    for status in (Status.FAIL, Status.ERROR):
        bad = [verdict for verdict in verdicts if verdict.status is status]
        if bad:
            first = bad[0]
            message = f"{first.check}: {first.message}"
            return Judgement(status=status, reason=first.reason, message=message, verdicts=verdicts)
    return Judgement(status=Status.PASS, reason="", message="", verdicts=verdicts)
