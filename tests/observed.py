"""Runs small programs under observation: each in a child of one process that has imported torch already."""

import json
import os
import pickle
import runpy
from dataclasses import dataclass, replace
from pathlib import Path

from harness.codec import read_facts
from harness.discover import working
from harness.doctor import Ending, examine
from harness.forkserver import ForkServer, Launch
from harness.model import Answer

PRELOAD = (
    "torch", "torch._dynamo", "torch.nn.functional", "torch.utils.data", "torch.optim", "torch.amp", "harness.watching.child",
    "harness.watching.training", "harness.watching.questions", "torch.optim.lr_scheduler",
)  # fmt: skip
SECONDS = 120


@dataclass(frozen=True)
class Seen:
    """What came of a program: its facts, the judgement of them, what it printed."""

    facts: tuple
    examination: object
    output: str

    @property
    def named(self):
        """Names of the findings, the weightiest first."""
        return [each.name for each in self.examination.findings]

    @property
    def guessed(self):
        return [each.name for each in self.examination.guesses]

    @property
    def told(self):
        return [f"{each.name} {each.weight}: {each.cause}" for each in self.examination.findings]


class Clinic:
    """Takes programs, a few at a time."""

    def __init__(self, folder):
        self.folder, self.number = folder, 0
        ours = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
        self.server = ForkServer(PRELOAD, {"PYTHONPATH": ours, "OMP_NUM_THREADS": "1"})
        self.begun, self.over, self.seen = {}, {}, {}

    def begin(self, text, **job):
        """Start a program without waiting for it."""
        key = (text, *sorted(job.items()))
        if key in self.begun:
            return key
        self.number += 1
        home = self.folder / str(self.number)
        home.mkdir(parents=True)
        script = home / "train.py"
        script.write_text(text)
        (home / "job.json").write_text(
            json.dumps(
                {"script": str(script), "arguments": [], "steps": 0, "minutes": 0.0, "folder": str(home)}
                | job
            )
        )
        argument = pickle.dumps(str(home / "job.json"))
        launch = Launch(
            id=self.number, target="observed:live", argument=argument, log=home / "log",
        )  # fmt: skip
        self.server.start(launch)
        self.begun[key] = self.number
        return key

    def end(self, key):
        """Wait for a program, and judge what was seen."""
        number = self.begun[key]
        self._wait(number)
        if key not in self.seen:
            self.seen[key] = self._read(self.folder / str(number))
        return self.seen[key]

    def examine(self, text, **job):
        """Run a program and judge what was seen of it."""
        return self.end(self.begin(text, **job))

    def unobserved(self, text):
        """What a program prints when nobody looks."""
        self.number += 1
        home = self.folder / str(self.number)
        home.mkdir()
        (home / "train.py").write_text(text)
        argument = pickle.dumps(str(home / "train.py"))
        self.server.start(
            Launch(id=self.number, target="observed:plain", argument=argument, log=home / "log")
        )
        self._wait(self.number)
        return (home / "log").read_text()

    def _wait(self, number):
        while number not in self.over:
            ended = self.server.ended(SECONDS)
            assert ended, f"program {number} does not end"
            self.over |= {one.id: one for one in ended}

    def _read(self, home):
        output = (home / "log").read_text()
        paths = sorted(home.glob("facts.*"), key=lambda path: int(path.suffix[1:]))
        facts = tuple(read_facts(path) for path in paths)
        assert facts, output[-2000:]
        told = facts[0].answers["program"].facts
        ending = Ending(how=told["ending"], text=told["text"], code=told["code"])
        doctors = [one() for one in working("diagnoses").values()]
        return Seen(facts, examine("train.py", facts, ending, doctors), output)

    def close(self):
        self.server.close()


def plain(path):
    """In the child: the program as it is, unobserved."""
    import torch

    torch.set_num_threads(1)
    runpy.run_path(path, run_name="__main__")


def live(path):
    """In the child: one thread, as the server was told, then the program."""
    import torch

    from harness.watching.child import main

    torch.set_num_threads(1)
    raise SystemExit(main(path))


def without(facts, *names):
    """The facts as if some observers had not been there."""
    left = {name: answer for name, answer in facts.answers.items() if name not in names}
    return replace(facts, answers=left | {name: Answer(skipped="no") for name in names})
