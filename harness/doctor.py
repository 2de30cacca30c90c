"""What an observed program shows, as a report: findings by weight, guesses, what was not asked. Pure."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.diagnoses import PROOF, Diagnostician
from harness.judge import diagnose
from harness.model import BrokenError, Diagnosis, Facts, Outcome
from harness.units import show

BLOCKS = "▁▂▃▄▅▆▇█"
WIDTH = 40
"""Characters of a loss curve."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ending:
    """How the program ended: `completed`, `left`, `raised`, `stopped` or `killed`, and in its own words."""

    how: str
    text: str = ""
    code: int = 0
    output: str = ""

    @property
    def well(self) -> bool:
        """Whether it came to an end that was meant."""
        return self.how in ("completed", "stopped") or (self.how == "left" and self.code == 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Training:
    """One optimizer's training in short. losses: of the recorded steps; rates: the first and the last."""

    name: str
    steps: int
    tensors: int
    parameters: int
    losses: tuple[float, ...]
    rates: tuple[float, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Examination:
    """All that `harness doctor` tells.

    findings: with evidence that stands by itself; guesses: what may be meant so. looked_at: observers that
    saw something; unasked: what could not be asked, and why. seconds: of the program; observing: of them, for
    observation. broke: what failed in the observation that all of it builds on.
    """

    script: str
    ending: Ending
    models: tuple[str, ...]
    parameters: int
    trainable: int
    trainings: tuple[Training, ...]
    findings: tuple[Diagnosis, ...]
    guesses: tuple[Diagnosis, ...]
    looked_at: tuple[str, ...]
    unasked: tuple[str, ...]
    seconds: float
    observing: float
    broke: str = ""

    @property
    def exit_code(self) -> int:
        """0 healthy, 1 sick, 2 the program could not be run, or trains nothing that is seen, 3 we broke."""
        if self.broke:
            return BrokenError.exit_code
        if self.findings:
            return 1
        return 0 if self.trainings and self.ending.well else 2

    @property
    def verdict(self) -> str:
        """The whole in one line."""
        if self.broke:
            return f"not judged: observation broke: {self.broke}"
        if self.findings:
            more = f", and {len(self.findings) - 1} more" if len(self.findings) > 1 else ""
            return f"sick: {self.findings[0].cause}{more}"
        if not self.trainings:
            why = f"; it {self.told_ending}" if not self.ending.well else ""
            return f"no training was seen: no optimizer of torch.optim ever stepped{why}"
        if not self.ending.well:
            return f"not judged: the program {self.told_ending}; up to there nothing was found"
        steps = max(training.steps for training in self.trainings)
        return f"healthy: nothing was found in {steps} steps"

    @property
    def told_ending(self) -> str:
        """`raised ValueError: ... (train.py:12)`."""
        told = {"raised": f"raised {self.ending.text}", "left": f"left with exit code {self.ending.code}"}
        said = f": {self.ending.text}" if self.ending.how == "left" and self.ending.text else ""
        return told.get(self.ending.how, self.ending.text or self.ending.how) + said


def examine(
    script: str, facts: Sequence[Facts], ending: Ending, diagnosticians: Iterable[Diagnostician]
) -> Examination:
    """Judge what was seen of every training of a program. facts: one a training, the largest first."""
    first = facts[0] if facts else Facts(outcome=Outcome.COMPLETED)
    parameters = _facts(first, "parameters")
    program = _facts(first, "program")
    broke = str(program.get("broken", {}).get("keeper", ""))
    asked = [] if broke else [one for one in diagnosticians if one.alone]
    found = _distinct(diagnosis for each in facts for diagnosis in diagnose(asked, each))
    return Examination(
        script=script,
        ending=ending,
        models=tuple(map(str, parameters.get("models", ()))),
        parameters=int(parameters.get("parameters", 0)),
        trainable=int(parameters.get("trainable", 0)),
        trainings=tuple(_training(each) for each in facts if each.trace is not None),
        findings=tuple(each for each in found if each.weight >= PROOF),
        guesses=tuple(each for each in found if each.weight < PROOF),
        looked_at=tuple(
            name for name, answer in first.answers.items() if _is_observer(name) and not answer.skipped
        ),
        unasked=_unasked(first),
        seconds=float(program.get("seconds", 0.0)),
        observing=float(program.get("observing", 0.0)),
        broke=broke,
    )


def _facts(facts: Facts, name: str) -> Mapping[str, Any]:
    answer = facts.answers.get(name)
    return {} if answer is None else answer.facts


def _is_observer(name: str) -> bool:
    return name not in ("program", "training")


def _unasked(facts: Facts) -> tuple[str, ...]:
    told = [f"{name}: {answer.skipped}" for name, answer in facts.answers.items() if answer.skipped]
    models = _facts(facts, "behaviour").get("models", ())
    told += [f"behaviour of {each['model']}: {each['unasked']}" for each in models if each.get("unasked")]
    return tuple(told)


def _distinct(found: Iterable[Diagnosis]) -> list[Diagnosis]:
    """Each once, the weightiest first: trainings of one program share most of what was seen."""
    ordered = sorted(found, key=lambda each: (-each.weight, each.name, each.cause))
    return list({(each.name, each.cause): each for each in ordered}.values())


def _training(facts: Facts) -> Training:
    told, trace = _facts(facts, "training"), facts.trace
    assert trace is not None
    rates = trace.learning_rate
    return Training(
        name=str(told.get("name", "training")),
        steps=int(told.get("steps", trace.steps)),
        tensors=len(trace.tensors),
        parameters=facts.parameters or 0,
        losses=tuple(trace.loss.tolist()),
        rates=(float(rates[0]), float(rates[-1])) if len(rates) else (math.nan, math.nan),
    )


def sparkline(values: Sequence[float], width: int = WIDTH) -> str:
    """A curve in blocks, from the lowest to the highest value; `x` where a value is not finite."""
    if not values:
        return ""
    parts = np.array_split(np.asarray(values, np.float64), min(width, len(values)))
    middles = np.array([np.median(part) for part in parts])
    known = middles[np.isfinite(middles)]
    if not len(known):
        return "x" * len(middles)
    low, span = known.min(), max(float(np.ptp(known)), 1e-300)
    return "".join(
        BLOCKS[int((len(BLOCKS) - 1) * (value - low) / span)] if math.isfinite(value) else "x"
        for value in middles
    )


def words(examination: Examination) -> list[str]:
    """The report for a terminal, the verdict first."""
    lines = [f"{examination.script}: {_headline(examination)}", ""]
    lines += _seen(examination)
    for title, found in (
        ("found", examination.findings),
        ("guesses, which may be meant so", examination.guesses),
    ):
        if found:
            lines += ["", f"{title}:"]
            lines += [line for diagnosis in found for line in _diagnosis(diagnosis)]
    if examination.looked_at:
        lines += ["", f"looked at: {', '.join(examination.looked_at)}{_else(examination)}"]
    return lines + _not_asked(examination.unasked)


def _not_asked(unasked: Sequence[str]) -> list[str]:
    """What could not be asked, and why; that of which there was nothing, by name alone."""
    why = [each for each in unasked if "broke: " in each or each.startswith("behaviour")]
    absent = [each.partition(":")[0] for each in unasked if each not in why]
    lines = ["not asked:", *(f"  {each}" for each in why)] if why else []
    if absent:
        lines += [f"nothing to look at (--json and --html tell of what): {', '.join(absent)}"]
    return lines


def _headline(examination: Examination) -> str:
    """The verdict; with findings their number, for they follow."""
    number = len(examination.findings)
    return f"sick, {number} finding{'s' * (number > 1)}" if number else examination.verdict


def _else(examination: Examination) -> str:
    return "; nothing else was found" if examination.findings else ""


def _seen(examination: Examination) -> list[str]:
    lines = []
    if examination.models:
        lines.append(
            f"model     {', '.join(examination.models)}: {examination.parameters:,} parameters,"
            f" {examination.trainable:,} trainable"
        )
    for training in examination.trainings:
        first, last = training.losses[0], training.losses[-1]
        lines.append(
            f"training  {training.name}: {training.steps:,} steps, {training.tensors} tensors,"
            f" {training.parameters:,} parameters, learning rate {show(training.rates[0], '')}"
            + (f" to {show(training.rates[1], '')}" if training.rates[0] != training.rates[1] else "")
        )
        lines.append(f"loss      {show(first, '')} {sparkline(training.losses)} {show(last, '')}")
    share = examination.observing / examination.seconds if examination.seconds else 0.0
    lines.append(f"time      {show(examination.seconds, 's')}, of which {show(share, '%')} for observation")
    if examination.ending.how != "completed":
        lines.append(f"end       {examination.told_ending}")
    return lines


def _diagnosis(diagnosis: Diagnosis) -> list[str]:
    name = diagnosis.name.replace("_", " ")
    return [
        f"  {name}: {diagnosis.cause}",
        f"    {diagnosis.remedy}",
        *(f"    {line}" for line in diagnosis.evidence),
    ]
