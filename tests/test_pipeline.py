import os
import random
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest
import sick
import tiny
from watching import eventually, marked

from harness import pipeline
from harness.cli import main
from harness.model import Facts, Measurement, Outcome, Status
from harness.pipeline import Night, night, plan_tasks
from harness.runner import Finished, Task
from harness.store import open_store
from harness.testing.healthy import healthy_facts

SEEDS = 6
STORE = "history.sqlite"
MARK = "HARNESS_TEST_MARK"


@pytest.fixture(autouse=True)
def workplace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def recorded(store=STORE):
    """Sessions, finished ones among them, and what is known of each run that does not depend on the clock."""
    with open_store(store, create=False) as opened:
        sessions = opened.sessions()
        runs = [opened.run(row.id) for row in opened.runs()]
    found = sorted(
        (run.case, run.backend, run.status, *run.facts.trace.loss.tolist(), run.facts.problem.digest)
        for run in runs
    )
    return len(sessions), sum(session.finished is not None for session in sessions), found


def command(*arguments, mark="none", **options):
    """`harness run` in a process and a group of its own."""
    line = [sys.executable, "-m", "harness", "run", "--store", STORE, *arguments]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
    return subprocess.Popen(line, env={**os.environ, MARK: mark}, start_new_session=True, **options)


def write_family():
    """One case a seed."""
    family = f"tags: [small]\nmatrix: {{config.seed: {list(range(SEEDS))}}}"
    tiny.write("tiny", ("steps: 3", "steps: 40"), ("tags: [small]", family))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """What is recorded when nobody disturbs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("undisturbed"))
        write_family()
        with command() as process:
            assert process.wait() == 0, process.stderr.read()
        return recorded()


class TestKilled:
    """`kill -9` at any moment, then `--resume`: the store is that of a run that nobody disturbed."""

    @pytest.mark.slow
    @pytest.mark.parametrize("seed", [0, 7])
    def test_at_random_moments(self, undisturbed, seed):
        write_family()
        generator, mark = random.Random(seed), f"killed-{seed}-{os.getpid()}"
        kills = 0
        for attempt in range(3):
            with command(*["--resume"] * (attempt > 0), mark=mark) as process:
                ended = self.kill(process, generator)
            eventually(lambda: not marked(mark))
            assert ended in {0, -signal.SIGKILL}
            kills += ended == -signal.SIGKILL
            if Path(STORE).exists():
                sessions, finished, runs = recorded()
                assert sessions <= 1
                assert len(set(runs)) == len(runs)
                assert set(runs) <= set(undisturbed[2])
                if finished:
                    break  # the end was recorded before the blow: nothing is left to resume
        else:
            with command("--resume", mark=mark) as process:
                assert process.wait() == 0, process.stderr.read()
        assert kills
        assert recorded() == undisturbed == (1, 1, undisturbed[2])
        assert len(undisturbed[2]) == SEEDS

    def kill(self, process, generator):
        """After some lines and a moment: before the first run, in the middle of one, or of its record."""
        for _ in range(generator.randrange(4)):
            process.stdout.readline()
        for _ in range(generator.randrange(20_000)):
            process.poll()
        process.kill()
        return process.wait()


class TestInterrupted:
    @pytest.mark.slow
    def test_ctrl_c_leaves_no_process_and_no_half_record(self, tmp_path):
        with sick.installed(tmp_path):
            changes = ("backends: [numpy_float64]", "backends: [heals, hangs]")
            tiny.write("tiny", changes, ("steps: 3", f"steps: {sick.STEPS}"))
            mark = f"interrupted-{os.getpid()}"
            with command("--workers", "2", mark=mark) as process:
                said = [process.stdout.readline() for _ in range(2)]
                assert said[1].startswith("pass   tiny [heals]")
                os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the whole group
                _, errors = process.communicate()
            advice = "nothing that was recorded is lost, `harness run ... --resume` goes on"
            assert (process.returncode, errors) == (130, f"interrupted; {advice}\n")
            assert marked(mark) == set()
            sessions, finished, runs = recorded()
            assert (sessions, finished) == (1, 0)
            assert [run[:3] for run in runs] == [("tiny", "heals", Status.PASS)]

    def test_ctrl_c_before_anything_runs(self, monkeypatch, capsys):
        def interrupt(*_):
            raise KeyboardInterrupt

        tiny.write()
        monkeypatch.setattr(pipeline, "fingerprint", interrupt)
        assert main(["run", "--store", STORE]) == 130
        assert capsys.readouterr().err.startswith("interrupted; ")
        assert recorded() == (1, 0, [])


class Dead(BaseException):
    """Stands for a process that is gone."""


class FakeRunner:
    """Finishes every task at once, with the facts of a healthy training."""

    begun: ClassVar[list[str]] = []

    def __init__(self, **_):
        pass

    def run(self, tasks):
        for number, task in enumerate(tasks):
            type(self).begun.append(task.case.name)
            yield Finished(task=task, started=1000.0 + number, seconds=0.5, facts=healthy_facts())


class TestResume:
    NAMES = ("a", "b", "c")

    @pytest.fixture(autouse=True)
    def fake(self, monkeypatch):
        monkeypatch.setattr(FakeRunner, "begun", [])
        monkeypatch.setattr(pipeline, "Runner", FakeRunner)
        monkeypatch.setattr(pipeline, "fingerprint", dict)
        monkeypatch.setattr(pipeline, "checkout", lambda _: {"commit": "c0"})

    def cases(self, names=NAMES):
        return [replace(sick.case(name=name), backends=("numpy_float64",), digest=name) for name in names]

    def go(self, cases=None, **options):
        heard = []
        done = night(
            self.cases() if cases is None else cases,
            STORE,
            on_run=lambda run, number, of: heard.append((run.case, number, of)),
            **options,
        )
        return done, heard

    def die(self, monkeypatch, what, call, *, after):
        """Die in the n-th call of a method of the store, before or after its work."""
        with monkeypatch.context() as patch:
            patch.setattr(
                f"harness.store.Store.{what}", dying(getattr(pipeline.Store, what), call, after=after)
            )
            with pytest.raises(Dead):
                self.go()

    @pytest.mark.parametrize("after", [False, True])
    @pytest.mark.parametrize(
        ("what", "call"), [("begin", 1), ("add", 1), ("add", 2), ("add", 3), ("finish", 1)]
    )
    def test_dying_around_any_record(self, monkeypatch, what, call, after):
        self.die(monkeypatch, what, call, after=after)
        left = {"begin": 3, "add": 4 - call - after, "finish": 0}[what]
        before = len(FakeRunner.begun)
        if (what, after) == ("finish", True):
            assert recorded()[:2] == (1, 1)  # its end was recorded: there is nothing to resume
        else:
            done, heard = self.go(resume=True)
            assert [number for _, number, _ in heard] == list(range(4 - left, 4))
            assert {of for *_, of in heard} <= {3}
            assert done.resumed == 3 - left
            assert [run.case for run in done.runs] == list(self.NAMES)
        assert len(FakeRunner.begun) - before == left
        assert recorded()[:2] == (1, 1)
        assert [run[0] for run in recorded()[2]] == list(self.NAMES)

    def test_without_resume_a_session_begins(self, monkeypatch):
        self.die(monkeypatch, "add", 2, after=True)
        done, _ = self.go()
        assert (done.resumed, len(done.runs)) == (0, 3)
        assert recorded()[:2] == (2, 1)

    def test_resume_with_nothing_to_resume_begins_one(self):
        assert self.go(resume=True)[0].resumed == 0
        assert self.go(resume=True)[0].resumed == 0
        assert recorded()[:2] == (2, 2)

    @pytest.mark.parametrize("changed", ["names", "digest", "commit"])
    def test_another_plan_or_commit_is_not_resumed(self, monkeypatch, changed):
        self.die(monkeypatch, "add", 2, after=True)
        cases = self.cases(("a", "b")) if changed == "names" else self.cases()
        if changed == "digest":
            cases[0] = replace(cases[0], digest="changed")
        if changed == "commit":
            monkeypatch.setattr(pipeline, "checkout", lambda _: {"commit": "c1"})
        assert self.go(cases, resume=True)[0].resumed == 0
        assert recorded()[:2] == (2, 1)

    def test_an_interruption_ends_the_runner_first(self, monkeypatch):
        events = []

        class Noted(FakeRunner):
            def run(self, tasks):
                try:
                    yield from super().run(tasks)
                finally:
                    events.append("runner")

        close = pipeline.Store.close
        monkeypatch.setattr(pipeline, "Runner", Noted)
        monkeypatch.setattr("harness.store.Store.close", lambda self: events.append("store") or close(self))
        self.die(monkeypatch, "add", 2, after=False)
        assert events == ["runner", "store"]


def dying(method, call, *, after):
    calls = []

    def spy(*arguments, **options):
        calls.append(1)
        if len(calls) == call and not after:
            raise Dead
        answer = method(*arguments, **options)
        if len(calls) == call:
            raise Dead
        return answer

    return spy


class TestPlan:
    def test_every_case_on_each_of_its_backends(self):
        one = replace(sick.case(name="one"), backends=("numpy_float64", "torch_eager"))
        two = replace(sick.case(name="two"), backends=("torch_eager",))
        assert plan_tasks([one, two]) == [
            Task(case=one, backend="numpy_float64"),
            Task(case=one, backend="torch_eager"),
            Task(case=two, backend="torch_eager"),
        ]
        assert plan_tasks([one, two], ["numpy_float64"]) == [Task(case=one, backend="numpy_float64")]

    def test_ids_are_unique_and_sort_by_time(self):
        ids = [pipeline.new_id(started) for started in (0.0, 1.0, 1.0, 1e9, 2e9)]
        assert len(set(ids)) == len(ids)
        assert [name[:11] for name in ids] == sorted(name[:11] for name in ids)
        assert len({len(name) for name in ids}) == 1

    def test_a_run_is_its_facts_and_their_judgement(self):
        facts = replace(
            healthy_facts(), measurements={"x": Measurement(name="x", value=float("inf"), unit="s")}
        )
        case = sick.case(name="one")
        task = Task(case=case, backend="numpy_float64")
        run = pipeline.judged(
            Finished(task=task, started=5.0, seconds=2.0, facts=facts), "s", {"commit": "c"}
        )
        assert (run.case, run.backend, run.session, run.started, run.seconds) == (
            "one",
            "numpy_float64",
            "s",
            5.0,
            2.0,
        )
        assert (run.revision, run.case_digest, run.environment) == (
            case.revision,
            case.digest,
            {"commit": "c"},
        )
        assert (run.status, run.reason, run.facts) == (Status.FAIL, "nonfinite", facts)


class TestExitCodes:
    @pytest.mark.parametrize(
        ("outcomes", "code"),
        [
            ([], 0),
            ([Outcome.COMPLETED, Outcome.UNAVAILABLE, Outcome.UNSUPPORTED], 0),
            (["nonfinite"], 1),
            ([Outcome.INVALID], 2),
            ([Outcome.CRASHED], 3),
            ([Outcome.TIMEOUT], 3),
            ([Outcome.OUT_OF_MEMORY], 3),
            ([Outcome.BROKEN, Outcome.INVALID], 3),
            ([Outcome.COMPLETED, Outcome.BROKEN, "nonfinite", Outcome.INVALID], 1),
        ],
    )
    def test_of_a_night(self, outcomes, code):
        runs = [self.judged(outcome) for outcome in outcomes]
        assert Night(session="s", store=STORE, runs=tuple(runs)).exit_code == code

    def judged(self, outcome):
        facts = healthy_facts()
        if outcome == "nonfinite":
            facts = replace(facts, measurements={"x": Measurement(name="x", value=float("nan"), unit="s")})
        elif outcome is not Outcome.COMPLETED:
            facts = Facts(outcome=outcome, message="why")
        task = Task(case=sick.case(), backend="numpy_float64")
        return pipeline.judged(Finished(task=task, started=1.0, seconds=1.0, facts=facts), "s", {})

    @pytest.mark.parametrize(
        ("backends", "expected", "code", "said"),
        [
            ("heals, absent, refuses", 920, 0, r"1 passed, 2 skipped in "),
            ("heals, diverges", 920, 1, r"1 passed, 1 failed in "),
            ("heals, absent", 921, 1, r"0 passed, 1 failed, 1 skipped in "),
            ("heals, raises, leaves, broken", 920, 3, r"1 passed, 3 errors in "),
            ("heals, raises, diverges", 920, 1, r"1 passed, 1 failed, 1 errors? in "),
        ],
    )
    def test_of_the_command(self, tmp_path, capsys, backends, expected, code, said):  # noqa: PLR0913, PLR0917
        with sick.installed(tmp_path):
            tiny.write(
                "tiny",
                ("[numpy_float64]", f"[{backends}]"),
                ("parameters: 920", f"parameters: {expected}"),
                ("steps: 3", f"steps: {sick.STEPS}"),
            )
            assert main(["run", "--store", STORE, "--workers", "2"]) == code
        out = capsys.readouterr().out
        assert re.search(said, out), out
        with open_store(STORE, create=False) as store:
            (session,) = store.sessions()
            assert session.finished is not None
            assert {run.backend for run in store.runs()} == set(backends.split(", "))

    def test_of_a_case_that_is_wrong(self, capsys):
        tiny.write("tiny", ("steps: 3", "steps: 0"))
        assert main(["run", "--store", STORE]) == 2
        assert "steps" in capsys.readouterr().err
        assert not Path(STORE).exists()
