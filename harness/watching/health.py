"""The training of a block of one's own program: observed, diagnosed, and held to what is expected of it."""

import json
import random
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from harness.checks import Check
from harness.diagnoses import PROOF, Diagnostician
from harness.discover import suggest, working
from harness.documents import parse
from harness.draft import checks_of
from harness.judge import diagnose, judge
from harness.model import BrokenError, Diagnosis, Facts, HarnessError, Status, Verdict
from harness.watching.changes import Changes
from harness.watching.child import Ending, facts_of
from harness.watching.hooks import install
from harness.watching.hub import Hub
from harness.watching.keeper import Keeper

NOTHING = "nothing was trained: no optimizer made a step inside the block"
NEEDS_CASE = "asks trainings that are made anew, and a block runs once; expected a check of what it shows"


class UnhealthyError(AssertionError):
    """The training is sick, or not as expected. Its text is what was found."""


@dataclass(slots=True)
class Watch:
    """What came of a block; empty until it has ended without an exception.

    facts: of every training, the one with the most updates of tensors first. findings: of all of them, the
    best evidence first. verdicts: of the expectations, for the first.
    """

    facts: tuple[Facts, ...] = ()
    findings: tuple[Diagnosis, ...] = ()
    verdicts: tuple[Verdict, ...] = ()

    @property
    def losses(self) -> tuple[float, ...]:
        """Of every update of the first training."""
        trace = self.facts[0].trace if self.facts else None
        return () if trace is None else tuple(trace.loss.tolist())


@dataclass(slots=True)
class TrainingHealth:
    """Observes the block of a `with` statement, and judges it where the block ends."""

    checks: Mapping[str, Check]
    accept: tuple[str, ...]
    _open: list[tuple[Watch, Hub, Changes, float]] = field(default_factory=list)

    def __enter__(self) -> Watch:
        """Hook torch.

        Raises:
            HarnessError: this process is under observation already.
        """
        __tracebackhide__ = True
        hub = Hub({"keeper": Keeper(), **{name: one() for name, one in working("observers").items()}})  # type: ignore[dict-item]
        changes = install(hub)
        changes.enter_modules()
        watch = Watch()
        self._open.append((watch, hub, changes, time.perf_counter()))
        return watch

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Take all hooks away; then judge, unless the block raised.

        Raises:
            UnhealthyError: the training is sick, or not as expected.
            BrokenError: something that an expectation needs was not observed.
        """
        __tracebackhide__ = True
        watch, hub, changes, began = self._open.pop()
        try:
            changes.close()
            if kind is None:
                self._judge(watch, _told(hub, time.perf_counter() - began))
        finally:
            # Who keeps a wrapper keeps the hub, and must not keep the models.
            hub.observers.clear()
            hub.listen()

    def _judge(self, watch: Watch, facts: Sequence[Facts]) -> None:
        __tracebackhide__ = True
        watch.facts = tuple(facts)
        watch.findings = _findings(facts)
        if facts[0].trace is not None:
            watch.verdicts = judge(self.checks, facts[0]).verdicts
        failed, unjudged = (_lines(watch.verdicts, status) for status in (Status.FAIL, Status.ERROR))
        sick = list(self._sick(watch.findings))
        if failed or sick:
            raise UnhealthyError("\n".join(["the training is not healthy", *failed, *unjudged, *sick]))
        if facts[0].trace is None:
            raise UnhealthyError(NOTHING)
        if unjudged:
            raise BrokenError("\n".join(["the training could not be judged", *unjudged]))

    def _sick(self, findings: Iterable[Diagnosis]) -> Iterator[str]:
        for found in findings:
            if found.name not in self.accept and found.weight >= PROOF:
                yield f"sick   {found.name}: {found.cause}. {found.remedy}"
                yield from (f"       {line}" for line in found.evidence)


def expectations(expect: Mapping[str, Any] | None) -> Mapping[str, Check]:
    """Checks by name, from the words of a case's `expect`.

    Raises:
        HarnessError: they are wrong; all mistakes at once, one line each.
    """
    if expect is None:
        return {}
    try:
        text = json.dumps({"expect": expect})
    except (TypeError, ValueError) as error:
        raise HarnessError(f"training_health: expect: expected plain values as in a case: {error}") from None
    checks, mistakes = checks_of(parse(text, Path("training_health")).mapping["expect"], "expect")
    lines = [mistake.text for mistake in mistakes]
    lines += [f"expect.{name}: {NEEDS_CASE}" for name, check in checks.items() if check.probes]
    if lines:
        raise HarnessError("\n".join(f"training_health: {line}" for line in lines))
    return checks


def accepted(names: Iterable[str]) -> tuple[str, ...]:
    """Names of findings that are no sickness here.

    Raises:
        HarnessError: a name is unknown.
    """
    names, known = tuple(names), tuple(working("diagnoses"))
    for name in names:
        if name not in known:
            raise HarnessError(f"training_health: accept: unknown finding '{name}'{suggest(name, known)}")
    return names


def _told(hub: Hub, seconds: float) -> list[Facts]:
    with hub.quietly(), _same_chance():
        return facts_of(hub, Ending("completed"), seconds, asked=True)


@contextmanager
def _same_chance() -> Iterator[None]:
    """Random numbers go on as if nobody had drawn any."""
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 - the program may use this one
    try:
        with torch.random.fork_rng(devices=devices):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002 - as above


def _findings(facts: Iterable[Facts]) -> tuple[Diagnosis, ...]:
    """Of all trainings; what two of them share is said once."""
    ours: list[Diagnostician] = [one() for one in working("diagnoses").values() if one.alone]
    found = {
        (each.name, each.cause): each for one in facts for each in diagnose(ours, one) if each.weight > 0
    }
    return tuple(sorted(found.values(), key=lambda each: (-each.weight, each.name)))


def _lines(verdicts: Iterable[Verdict], status: Status) -> list[str]:
    return [f"{each.status:<6} {each.check}: {each.message}" for each in verdicts if each.status is status]
