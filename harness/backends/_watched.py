"""PyTorch programs that run as they are, under observation: what their backends share."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from harness.backends import Program
from harness.backends._asked import asked_digest
from harness.backends._places import expected_rates
from harness.diagnoses import Diagnostician
from harness.discover import working
from harness.judge import diagnose
from harness.measure import OUT_OF_MEMORY, Progress
from harness.model import Answer, Facts, HarnessError, Outcome, ProblemFacts
from harness.spec import Case
from harness.watching.program import BROKE, Job, Watched, watch

NEGLIGIBLE = 1e-6
"""A gradient that stays below this share of the largest one is zero in theory and rounding in practice."""
ECHOED = 1 << 20
"""So much of a program's output goes into the run's own log."""


class WatchedProgram(Program):
    """Base of the backends that observe a PyTorch program."""

    def job(self, case: Case, scratch: Path) -> Job:
        """What is run."""
        raise NotImplementedError

    def problem(self, case: Case, seen: ProblemFacts) -> ProblemFacts:
        """What is known of the problem: what was seen of it, and what the case says."""
        return replace(
            seen,
            digest=asked_digest(case),
            learning_rates=expected_rates(case),
            tokens_per_step=float(case.config.batch * case.config.sequence),
            samples_per_step=case.config.batch,
        )

    def record(self, case: Case, scratch: Path, progress: Progress) -> Facts:
        """Run it to its end, or for the case's steps; the facts of its largest training."""
        progress.enter("train")
        watched = watch(self.job(case, scratch), _echo())
        progress.enter("done")
        message = _lacking(watched, case) or _unscored(watched)
        if message:
            outcome = _outcome(watched, message)
            return Facts(outcome=outcome, phase="train", message=message, detail=watched.output)
        return self._facts(case, watched)

    def _facts(self, case: Case, watched: Watched) -> Facts:
        main, *others = watched.facts
        assert main.problem is not None
        stride = main.answers["training"].facts["stride"]
        # Of a long training, every second step was recorded, or every fourth.
        steps = -(-case.config.steps // stride)
        answers = {**main.answers, "coverage": Answer(facts=_coverage(main))}
        if others:
            answers["others"] = Answer(facts={"trainings": [_of_other(each) for each in others]})
        return replace(
            main,
            problem=replace(self.problem(case, main.problem), steps=steps),
            answers=answers,
            environment={**main.environment, "threads": case.config.threads},
        )


def threads_of(case: Case) -> Mapping[str, str]:
    """The environment that keeps a program to its threads."""
    return dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(case.config.threads))


def _echo() -> Callable[[str], None]:
    """Passes lines on to the run's log, up to a limit."""
    left = ECHOED

    def tell(line: str) -> None:
        nonlocal left
        left -= len(line) + 1
        if left > 0 and line:
            sys.stdout.write(f"{line}\n")

    return tell


def _lacking(watched: Watched, case: Case) -> str:
    """Why there is nothing to judge; empty where there is."""
    if watched.ending == "refused":
        raise HarnessError(f"{case.path}: {watched.text}")
    trace = watched.facts[0].trace
    seen = 0 if trace is None else watched.facts[0].answers["training"].facts["steps"]
    after = f"after {seen} of {case.config.steps} steps"
    if watched.ending == "raised":
        advice = "; install it, or list it under model.needs" if "No module named" in watched.text else ""
        return f"the program raised {watched.text} {after}{advice}"
    if watched.ending == "killed":
        return f"the program {watched.text} {after}"
    if watched.ending == "left" and watched.code:
        why = f": {watched.text}" if watched.text else ""
        return f"the program left with exit code {watched.code} {after}{why}"
    if trace is None:
        raise HarnessError(
            f"{case.path}: model: no training was seen; expected steps of an optimizer of torch"
        )
    return ""


def _unscored(watched: Watched) -> str:
    told = watched.facts[0].answers.get("score", Answer()).skipped
    return f"model.evaluate: {told.removeprefix(BROKE)}" if told.startswith(BROKE) else ""


def _outcome(watched: Watched, message: str) -> Outcome:
    starved = "SIGKILL" in message or any(words in message.lower() for words in OUT_OF_MEMORY)
    return Outcome.OUT_OF_MEMORY if starved and watched.ending in ("raised", "killed") else Outcome.CRASHED


def _coverage(facts: Facts) -> dict[str, Any]:
    """What the probe `coverage` tells of computed models, as far as it was seen."""
    trace = facts.trace
    assert trace is not None
    norms = trace.gradient_norm
    largest = norms.max(axis=1, keepdims=True, initial=0.0)
    moved = np.atleast_1d(np.any(trace.update_norm > 0, axis=0))
    faint = np.all(norms <= NEGLIGIBLE * largest, axis=0) & np.any(norms > 0, axis=0)
    return {
        "optimized": list(trace.tensors),
        "missing": list(facts.answers["parameters"].facts.get("uncovered", ())),
        "moved": [name for name, each in zip(trace.tensors, moved, strict=True) if each],
        "unmoved": [name for name, each in zip(trace.tensors, moved, strict=True) if not each],
        "negligible": [name for name, each in zip(trace.tensors, faint, strict=True) if each],
    }


def _of_other(facts: Facts) -> dict[str, Any]:
    """A further training in short, with what stands alone of all that can be said of it."""
    told = facts.answers["training"].facts
    found = diagnose([one() for one in _standing_alone()], facts)
    findings = [
        {"name": each.name, "cause": each.cause, "remedy": each.remedy, "weight": each.weight}
        | {"step": each.step, "tensor": each.tensor}
        for each in found
    ]
    return {"name": told["name"], "steps": told["steps"], "findings": findings}


def _standing_alone() -> list[type[Diagnostician]]:
    return [one for one in working("diagnoses").values() if one.alone]
