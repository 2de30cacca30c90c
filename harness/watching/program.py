"""A Python program under observation, from outside: started, followed to its end, its facts read."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.codec import read_facts
from harness.model import BrokenError, Facts, HarnessError, Outcome

ASKING_SECONDS = 60.0
"""So long may the questions at the end take after the minutes that were asked for."""
SHORT = 0.01
"""Minutes that an interrupted program has to end, before the questions."""
MOST_LOG = 16 << 20
"""Bytes of a program's output that are kept."""
LAST_LINES = 4
BROKE = "broke: "
"""Begins the reason of an answer that is lacking because whoever should have given it failed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """What to run. steps, minutes: stop cleanly after so many; 0: let it run to its end.

    home: the folder that it runs in; this process's own if none is named. environment: variables of its own.
    evaluate: `file.py:function` that gives a model's score; seed: of the weights that it is compared with.
    """

    script: Path
    arguments: tuple[str, ...] = ()
    steps: int = 0
    minutes: float = 0.0
    folder: Path
    python: str = sys.executable
    home: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    evaluate: str = ""
    seed: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Watched:
    """What came of it. facts: of every training, the largest first; one without a trace if none was seen.

    ending: `completed`, `left`, `raised`, `refused`, `stopped`, `killed`; text: in its own words.
    output: its last lines.
    """

    facts: tuple[Facts, ...]
    ending: str
    text: str
    code: int
    output: str


def watch(job: Job, on_line: Callable[[str], None] = lambda _: None) -> Watched:
    """Run a script under observation.

    Raises:
        HarnessError: there is no such script, or no such interpreter.
        BrokenError: it left nothing behind, not even a word of how it ended.
    """
    if not job.script.is_file():
        raise HarnessError(f"{job.script}: no such file; expected a Python script")
    if shutil.which(job.python) is None:
        raise HarnessError(f"--python {job.python}: no such program; expected a Python interpreter")
    job.folder.mkdir(parents=True, exist_ok=True)
    for old in job.folder.glob("facts.*"):
        old.unlink()
    code, output = _run(job, on_line)
    facts = tuple(read_facts(path) for path in _numbered(job.folder))
    if not facts:
        return _nothing(job, code, output)
    told = facts[0].answers["program"].facts
    ending, text = str(told["ending"]), str(told["text"])
    if ending == "killed":
        text = _fate(code)
    return Watched(facts=facts, ending=ending, text=text, code=code, output=output)


def _numbered(folder: Path) -> list[Path]:
    return sorted(folder.glob("facts.*"), key=lambda path: int(path.suffix[1:]))


def _nothing(job: Job, code: int, output: str) -> Watched:
    """It ended before anything was left: killed early, or its interpreter lacks what observation needs."""
    last = f"; its last line: {output.splitlines()[-1][:200]}" if output.strip() else ""
    if code >= 0 and "harness" in output and "Error" in output:
        raise BrokenError(f"{job.script}: observation could not begin{last}")
    facts = Facts(outcome=Outcome.CRASHED, phase="train", message=f"the program {_fate(code)}{last}")
    return Watched(facts=(facts,), ending="killed", text=_fate(code), code=code, output=output)


def _fate(code: int) -> str:
    return (
        f"died of {signal.Signals(-code).name}" if code < 0 else f"left with exit code {code}, without a word"
    )


def _run(job: Job, on_line: Callable[[str], None]) -> tuple[int, str]:
    path = job.folder / "job.json"
    script = job.script.resolve() if job.home else job.script  # as it was named, unless it runs elsewhere
    path.write_text(
        json.dumps(
            {
                "script": str(script), "arguments": list(job.arguments), "steps": job.steps,
                "minutes": job.minutes, "folder": str(job.folder.resolve()), "evaluate": job.evaluate,
                "seed": job.seed,
            }
        )
    )  # fmt: skip
    ours = str(Path(__file__).parents[2])
    known = os.environ.get("PYTHONPATH")
    environment = {
        **os.environ,
        **job.environment,
        "PYTHONUNBUFFERED": "1",
        "PYTHONPATH": os.pathsep.join([ours, known] if known else [ours]),
    }
    process = subprocess.Popen(  # noqa: S603 - the user's own program
        # -P: a file in its folder that is called as a package of ours or of Python must not be taken for it.
        [job.python, "-P", "-m", "harness.watching.child", str(path.resolve())],
        cwd=job.home, env=environment, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        try:
            last = _follow(process, job, on_line)
        except KeyboardInterrupt:
            # The program ends as if it had been interrupted itself, and what was seen is still told.
            os.killpg(process.pid, signal.SIGINT)
            last = _follow(process, replace(job, minutes=job.minutes or SHORT), on_line)
        return process.wait(), "\n".join(last)
    finally:
        _end(process)


def _follow(process: "subprocess.Popen[bytes]", job: Job, on_line: Callable[[str], None]) -> list[str]:
    """Every line that it prints; the last few. Past its time it is asked to end, then made to."""
    last: list[str] = []
    limit = time.monotonic() + 60 * job.minutes + ASKING_SECONDS if job.minutes else None
    written = 0
    assert process.stdout is not None
    os.set_blocking(process.stdout.fileno(), False)
    with (job.folder / "output.log").open("wb") as log:
        while True:
            line = _line(process, limit)
            if line is None:
                return last
            if written < MOST_LOG:
                written += log.write(line)
            text = line.decode(errors="replace").rstrip("\r\n")
            if text.strip():
                last = [*last[-LAST_LINES + 1 :], text]
            on_line(text)


def _line(process: "subprocess.Popen[bytes]", limit: float | None) -> bytes | None:
    """The next line, b"" now and then while there is none; None when the program is over."""
    import select  # noqa: PLC0415 - only where programs run

    assert process.stdout is not None
    while True:
        line = process.stdout.readline(1 << 20)
        if line:
            return line
        over = process.poll() is not None
        ready, _, _ = select.select([process.stdout], [], [], 0.0 if over else 0.2)
        if over and not ready:
            return None
        if over:
            rest = process.stdout.read()
            return rest or None
        if limit is not None and time.monotonic() > limit:
            _end(process)
            return None


def _end(process: "subprocess.Popen[bytes]") -> None:
    """The program and whatever it started are over."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    with process:
        pass
