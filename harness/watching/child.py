"""Runs a Python program as it is, in this process, and leaves what was observed: `python -m ... JOB`.

JOB is a JSON file: script, arguments, folder (where facts are left), steps, minutes, evaluate, seed.
"""

import json
import math
import os
import runpy
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any, NoReturn

from harness.codec import write_facts
from harness.discover import working
from harness.measure import program_peak
from harness.model import Anchors, Answer, Facts, HarnessError, Measurement, Outcome, ProblemFacts
from harness.processes import die_with
from harness.watching.evaluation import score
from harness.watching.hooks import install
from harness.watching.hub import Hub, StopTraining
from harness.watching.keeper import Keeper
from harness.watching.places import is_own
from harness.watching.program import BROKE

FEWEST_TIMES, MOST_TIMES = 4, 1000
"""Steps without which no time is told; of more than the most, the last count."""
FIRST_SNAPSHOT = 8
"""At this step, and whenever their number has doubled, what is known is left: the program may be killed."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a program ended: `completed`, `left` (own code), `raised`, `refused` (by us), `stopped`, killed."""

    how: str
    text: str = ""
    code: int = 0


def main(path: str) -> int:
    """Run the job that a file describes."""
    die_with(os.getppid())
    job = json.loads(Path(path).read_text())
    observers = {"keeper": Keeper(), **{name: one() for name, one in working("observers").items()}}
    deadline = time.monotonic() + 60 * job["minutes"] if job["minutes"] else 0.0
    hub = Hub(observers, steps=job["steps"], deadline=deadline)
    folder, began = Path(job["folder"]), time.perf_counter()
    hub.observers["snapshots"] = _Snapshots(folder, began)  # type: ignore[assignment]
    hub.listen()
    hub.leave = lambda: _end(hub, folder, began, job)
    install(hub)
    ending = _run(job["script"], job["arguments"])
    _leave(hub, folder, ending, time.perf_counter() - began, job=job)
    with suppress(Exception):  # the program may have closed it
        sys.stdout.flush()
    return ending.code


def _end(hub: Hub, folder: Path, began: float, job: Mapping[str, Any]) -> NoReturn:
    """Tell what was seen and go: the program catches everything."""
    _leave(hub, folder, Ending("stopped", hub.stopped), time.perf_counter() - began, job=job)
    with suppress(Exception):
        sys.stdout.flush()
    os._exit(0)


def _run(script: str, arguments: list[str]) -> Ending:
    path = Path(script).resolve()
    sys.argv = [script, *arguments]
    sys.path.insert(0, str(path.parent))
    try:
        runpy.run_path(str(path), run_name="__main__")
    except StopTraining as stop:
        return Ending("stopped", str(stop))
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else 0 if leaving.code is None else 1
        return Ending("left", "" if isinstance(leaving.code, int | None) else str(leaving.code), code)
    except KeyboardInterrupt:
        return Ending("stopped", "interrupted")
    except HarnessError as error:  # from a driver of ours: the user's input is wrong
        return Ending("refused", str(error), error.exit_code)
    except BaseException as error:  # noqa: BLE001 - whatever the program raises is told, not passed on
        return Ending("raised", _raised(error), 1)
    return Ending("completed")


def _raised(error: BaseException) -> str:
    """`ValueError: text (train.py:12)`, with the innermost line of the user's own."""
    where, trace = "", error.__traceback__
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        if is_own(name):
            where = f" ({Path(name).name}:{trace.tb_lineno})"
        trace = trace.tb_next
    text = " ".join(str(error).split())[:300]
    return f"{type(error).__name__}: {text}{where}" if text else f"{type(error).__name__}{where}"


class _Snapshots:
    """Leaves what is known so far, at steps 8, 16, 32, ..."""

    name = "snapshots"

    def __init__(self, folder: Path, began: float) -> None:
        self.folder, self.began, self.next = folder, began, FIRST_SNAPSHOT

    def stepped(self, hub: Hub, optimizer: Any) -> None:
        del optimizer
        if hub.step >= self.next:
            self.next *= 2
            _leave(hub, self.folder, Ending("killed"), time.perf_counter() - self.began)

    def found(self, hub: Hub) -> Mapping[str, Any]:
        raise NotImplementedError


def _leave(
    hub: Hub, folder: Path, ending: Ending, seconds: float, job: Mapping[str, Any] | None = None
) -> None:
    """Write the facts of every training, the largest first. job: all is over, and questions may be asked."""
    if os.getpid() != hub.process:
        return
    hub.busy = True
    try:
        for number, facts in enumerate(facts_of(hub, ending, seconds, job=job, asked=job is not None)):
            write_facts(folder / f"facts.{number}", facts)
    finally:
        hub.busy = False


def facts_of(
    hub: Hub, ending: Ending, seconds: float, *, asked: bool, job: Mapping[str, Any] | None = None
) -> list[Facts]:
    """What observers saw, for every training, the largest first; one without a trace where there was none.

    asked: also put questions to copies of the models. job: what the program was started with, if it was.
    """
    used = _used(seconds)
    answers = _answers(hub, asked=asked)
    if job is not None and job.get("evaluate") and ending.how in ("completed", "left", "stopped"):
        answers["score"] = _scored(hub, job)
    answers["program"] = Answer(facts=_program(hub, ending, seconds))
    numbers = sorted(
        range(len(hub.trainings)),
        key=lambda n: -list(hub.trainings.values())[n].count * len(list(hub.trainings.values())[n].tensors),
    )
    return [_of_training(hub, number, answers, used) for number in numbers] or [
        Facts(outcome=Outcome.COMPLETED, phase="done", answers=answers)
    ]


def _used(seconds: float) -> dict[str, Measurement]:
    """Time and memory of the program, before it is asked anything."""
    found = [
        Measurement(name="program_time", value=seconds, unit="s"),
        Measurement(name="peak_memory.program", value=float(program_peak()), unit="B"),
    ]
    return {each.name: each for each in found if each.value}


def _step_time(training: Any) -> dict[str, Measurement]:
    """From one update to the next, less what observation took: what lies between them counts, too."""
    seconds = [after - before for before, after in pairwise(training.ends)][-MOST_TIMES:]
    if len(seconds) < FEWEST_TIMES:
        return {}
    return {
        "step_time": Measurement(name="step_time", value=median(seconds), unit="s", samples=tuple(seconds))
    }


def _scored(hub: Hub, job: Mapping[str, Any]) -> Answer:
    """Its own evaluation; what broke in it is told, for whoever expects a score."""
    began = time.perf_counter()
    try:
        return Answer(facts=score(hub, job["evaluate"], job["seed"]), seconds=time.perf_counter() - began)
    except ValueError as error:
        return Answer(skipped=f"{BROKE}{error}")
    except BaseException as error:  # noqa: BLE001 - the program's code: whatever it raises is told
        return Answer(skipped=f"{BROKE}{_raised(error)}")


def _answers(hub: Hub, *, asked: bool) -> dict[str, Answer]:
    answers = {}
    for name, observer in hub.observers.items():
        if name in ("keeper", "snapshots") or (name == "behaviour" and not asked):
            continue
        began = time.perf_counter()
        try:
            facts, why = observer.found(hub), ""
        except NotImplementedError as reason:
            facts, why = {}, str(reason)
        except Exception as error:  # noqa: BLE001 - a broken observer hurts nothing else
            facts, why = {}, f"broke: {type(error).__name__}: {error}"
        # What all others build on tells nothing right once it broke.
        if broke := hub.broken.get("keeper") or hub.broken.get(name):
            facts, why = {}, f"broke: {broke}"
        answers[name] = Answer(facts=facts, skipped=why, seconds=time.perf_counter() - began)
    return answers


def _program(hub: Hub, ending: Ending, seconds: float) -> dict[str, Any]:
    return {
        "ending": ending.how,
        "text": ending.text,
        "code": ending.code,
        "seconds": seconds,
        "observing": hub.spent,
        "trainings": [one.name for one in hub.trainings.values()],
        "broken": dict(hub.broken),
        "updates": hub.updates,
        "threads": threading.active_count(),
    }


def _of_training(
    hub: Hub, number: int, answers: Mapping[str, Answer], used: Mapping[str, Measurement]
) -> Facts:
    training = list(hub.trainings.values())[number]
    own = {
        "number": number,
        "name": training.name,
        "steps": training.count,
        "stride": training.stride,
        "idle": (training.idle / [max(1, count) for count in training.asked]).tolist(),
        "asked": training.asked.tolist(),
        "absent": training.absent.tolist(),
        "first_nonfinite": list(training.first_nonfinite or ()),
        "late": training.late,
    }
    trace = training.trace()
    return Facts(
        outcome=Outcome.COMPLETED,
        phase="done",
        problem=_problem(training, answers),
        parameters=sum(each.numel() for each in training.parameters),
        trace=trace,
        measurements={**used, **_step_time(training)},
        answers={**answers, "training": Answer(facts=own)},
        environment={
            "device": str(training.parameters[0].device) if training.parameters else "unknown",
            "threads": 0,
        },
    )


def _problem(training: Any, answers: Mapping[str, Answer]) -> ProblemFacts:
    sites = [site for site in answers["losses"].facts.get("sites", ()) if site["training"]]
    most: Mapping[str, Any] = max(sites, key=lambda site: site["calls"], default={})
    classes = int(most.get("classes", 0))
    chance = most.get("chance", math.nan)
    anchors = Anchors(
        uniform=math.log(classes) if classes > 1 else None,
        unigram=chance if classes > 1 and math.isfinite(chance) else None,
    )
    return ProblemFacts(
        digest="",
        vocabulary=classes or None,
        parameters=sum(each.numel() for each in training.parameters),
        shapes={
            name: tuple(each.shape) for name, each in zip(training.tensors, training.parameters, strict=True)
        },
        anchors=anchors,
        tokens_per_step=0.0,
        samples_per_step=0,
        steps=len(training.rows),
    )


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
