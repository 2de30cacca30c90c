import os

import psutil
import pytest
import sick
from watching import alive, marked

from harness import runner
from harness.forkserver import Ended
from harness.model import HarnessError, Outcome, Status
from harness.pipeline import judged
from harness.runner import Runner, Task, impossible, preload_for
from harness.worker import Job

MIB = 2**20
MARK = f"those-of-the-ward-of-{os.getpid()}"  # two workers of a test run may each have one
AT_STEP = f"in phase train at step {sick.STEP} of {sick.STEPS}"


@pytest.fixture(scope="module", autouse=True)
def distribution(tmp_path_factory):
    with sick.installed(tmp_path_factory.mktemp("distribution")):
        yield


def task(backend, **options):
    return Task(case=sick.case(name=backend, **options), backend=backend)


def run(*tasks, workers=1):
    """Facts by case, in the order of their ends."""
    return {finished.task.case.name: finished.facts for finished in Runner(workers=workers).run(tasks)}


@pytest.fixture(scope="module")
def ward(distribution):  # noqa: ARG001 - it must come first
    """All that misbehave, each between two that are well; all at once."""
    limited = {"exhausts", "crumbles", "drains"}
    late = {"hangs", "spins", "prints"}
    names = [name for name in sick.NAMES if name not in ("kills_server", "poisons", "meets")]
    tasks = [Task(case=sick.case(name="first"), backend="numpy_float64")]
    for name in names:
        limits = {"timeout": 3.0} if name in late else {"memory_limit": 64 * MIB} if name in limited else {}
        tasks.append(task(name, **limits))
    tasks.append(Task(case=sick.case(name="last"), backend="numpy_float64"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SICK_MARK", MARK)
        patch.setattr(runner, "LOG_BYTES", MIB)
        patch.setattr(runner, "LOOK_SECONDS", 0.05)
        finished = list(Runner(workers=4).run(tasks))
    assert sorted(each.task.case.name for each in finished) == sorted(each.case.name for each in tasks)
    return {each.task.case.name: each for each in finished}


def descendants():
    """Processes below this one: other tests may have left Python's own helpers running."""
    return {child.pid for child in psutil.Process().children(recursive=True)}


class TestHowItEnds:
    @pytest.mark.parametrize("name", ["first", "last", "heals"])
    def test_those_that_are_well_complete(self, ward, name):
        facts = ward[name].facts
        assert (facts.outcome, facts.phase, facts.message) == (Outcome.COMPLETED, "done", "")
        assert facts.trace.steps == sick.STEPS
        assert ward[name].seconds > 0

    @pytest.mark.parametrize("name", ["hangs", "spins", "prints"])
    def test_timeout(self, ward, name):
        facts = ward[name].facts
        assert (facts.outcome, facts.phase) == (Outcome.TIMEOUT, "train")
        assert facts.message == f"stopped after its time limit of 3 s {AT_STEP}"
        assert ward[name].seconds >= 3

    @pytest.mark.parametrize(
        ("name", "phase", "message"),
        [
            ("segfaults", "train", f"crashed with SIGSEGV {AT_STEP}"),
            ("aborts", "build", "crashed with SIGABRT in phase build"),
            ("leaves", "train", f"left with exit code 0 and no result {AT_STEP}"),
            ("leaves_early", "train", f"left with exit code 3 and no result {AT_STEP}"),
        ],
    )
    def test_crashed(self, ward, name, phase, message):
        facts = ward[name].facts
        assert (facts.outcome, facts.phase, facts.message) == (Outcome.CRASHED, phase, message)

    def test_a_crash_keeps_its_stack(self, ward):
        assert "Segmentation fault" in ward["segfaults"].facts.detail
        assert "string_at" in ward["segfaults"].facts.detail

    @pytest.mark.parametrize(
        ("name", "phase", "message"),
        [
            ("exhausts", "train", f"MemoryError, {AT_STEP}"),
            ("crumbles", "train", f"MemoryError, {AT_STEP}"),
            ("drains", "train", f"MemoryError, {AT_STEP}"),
            ("claims", "build", "RuntimeError: DefaultCPUAllocator: can't allocate memory, in phase build"),
            ("throws", "build", "aborted for lack of memory in phase build"),
            ("is_killed", "train", f"killed by the system (SIGKILL), most likely out of memory, {AT_STEP}"),
        ],
    )  # fmt: skip
    def test_out_of_memory(self, ward, name, phase, message):
        facts = ward[name].facts
        assert (facts.outcome, facts.phase, facts.message) == (Outcome.OUT_OF_MEMORY, phase, message)

    def test_broken(self, ward):
        facts = ward["raises"].facts
        assert (facts.outcome, facts.phase) == (Outcome.BROKEN, "train")
        assert facts.message == f"ValueError: the weights are unhappy, {AT_STEP}"
        assert "Traceback (most recent call last)" in facts.detail
        assert "sick_backends" in facts.detail

    def test_the_end_of_the_log_is_kept(self, ward):
        lines = ward["prints"].facts.detail.splitlines()
        assert 1 <= len(lines) <= runner.LOG_LINES
        assert set(lines[-1].split()) <= {str(sick.STEP + 1)}
        assert sum(map(len, lines)) <= 16_384

    def test_what_a_run_leaves_behind_is_dead(self, ward):
        assert ward["forks"].facts.outcome is Outcome.COMPLETED
        assert marked(MARK) == set()

    @pytest.mark.parametrize(
        ("name", "outcome", "message"),
        [
            ("absent", Outcome.UNAVAILABLE, "needs no-such-package>=9: pip install 'no-such-package>=9'"),
            ("refuses", Outcome.UNSUPPORTED, "it computes nothing, least of all refuses"),
            ("confused", Outcome.BROKEN, "backend 'confused' cannot be asked: KeyError: 'where am I'"),
            (
                "broken",
                Outcome.BROKEN,
                "backend 'broken' cannot be loaded: ImportError: no such thing as health",
            ),
        ],
    )
    def test_what_cannot_run_here_is_not_begun(self, ward, name, outcome, message):
        facts = ward[name].facts
        assert (facts.outcome, facts.message, facts.phase) == (outcome, message, "start")
        assert ward[name].seconds == 0

    def test_a_breakdown_is_an_error_and_never_a_failure(self, ward):
        found = {name: judged(finished, "session", {}) for name, finished in ward.items()}
        well = {"first", "last", "heals", "forks"}
        expected = {name: Status.PASS if name in well else Status.ERROR for name in found}
        expected |= {"absent": Status.SKIP, "refuses": Status.SKIP, "diverges": Status.FAIL}
        assert {name: run.status for name, run in found.items()} == expected
        for name, status in expected.items():
            if status in (Status.ERROR, Status.SKIP):
                assert found[name].reason == ward[name].facts.outcome.value

    def test_a_loss_that_is_not_a_number_is_a_failure(self, ward):
        verdict = judged(ward["diverges"], "session", {})
        assert (verdict.status, verdict.reason) == (Status.FAIL, "nonfinite")
        assert verdict.message == f"finite: loss is nan at step {sick.STEP}, expected finite numbers"


class TestTheServerDies:
    MESSAGE = "fork server: died of SIGKILL, expected it to outlive its jobs; what ran is lost"

    def test_what_ran_is_lost_and_the_rest_goes_on(self):
        before = descendants()
        waiting = [Task(case=sick.case(name=f"well{number}"), backend="numpy_float64") for number in range(3)]
        found = run(task("kills_server"), *waiting)
        assert found["kills_server"].outcome is Outcome.BROKEN
        assert found["kills_server"].message == f"{self.MESSAGE}; it stood {AT_STEP}"
        assert found["kills_server"].phase == "train"
        assert [found[each.case.name].outcome for each in waiting] == [Outcome.COMPLETED] * 3
        assert descendants() <= before

    def test_neighbours_are_lost_too(self):
        found = run(task("hangs"), task("kills_server"), task("heals"), workers=2)
        assert {name: facts.outcome for name, facts in found.items()} == {
            "hangs": Outcome.BROKEN, "kills_server": Outcome.BROKEN, "heals": Outcome.COMPLETED,
        }  # fmt: skip
        assert found["hangs"].message.startswith(self.MESSAGE)

    def test_a_server_that_cannot_import_takes_one_task_at_a_time_with_it(self):
        found = run(task("poisons"), task("heals"))
        assert found["poisons"].outcome is Outcome.BROKEN
        assert found["poisons"].message == (
            "fork server: left with exit code 5, expected it to outlive its jobs; what ran is lost; "
            "it stood in phase start"
        )
        assert found["heals"].outcome is Outcome.COMPLETED


class TestPlaces:
    def test_workers_run_together(self, tmp_path, monkeypatch):
        monkeypatch.setenv("MEETING", str(tmp_path))
        one, other = (
            Task(case=sick.case(name=name, timeout=60), backend="meets") for name in ("one", "other")
        )
        found = run(one, other, workers=2)
        assert {facts.outcome for facts in found.values()} == {Outcome.COMPLETED}

    def test_a_task_takes_as_many_places_as_threads(self, tmp_path, monkeypatch):
        monkeypatch.setenv("MEETING", str(tmp_path))
        wide = [
            Task(case=sick.case(name=name, timeout=1.5, threads=2), backend="meets")
            for name in ("one", "other")
        ]
        first = next(work := Runner(workers=2).run(wide))
        work.close()
        assert first.facts.message == "stopped after its time limit of 1.5 s in phase build"
        assert len(list(tmp_path.iterdir())) == 1

    @pytest.mark.parametrize(
        ("workers", "running", "threads", "room"),
        [
            (1, [], 1, True),
            (1, [], 8, True),  # wider than all: alone
            (1, [1], 1, False),
            (4, [2], 2, True),
            (4, [2, 1], 2, False),
            (4, [8], 1, False),
        ],
    )
    def test_room(self, workers, running, threads, room):
        busy = {
            number: runner._Running(job=None, task=task("heals", threads=width))
            for number, width in enumerate(running)
        }
        assert Runner(workers=workers, _running=busy)._has_room(task("heals", threads=threads)) is room

    def test_order_and_times(self):
        tasks = [task("heals") for _ in range(4)]
        finished = list(Runner().run(tasks))
        assert [each.task for each in finished] == tasks
        starts = [each.started for each in finished]
        assert starts == sorted(starts)


class TestCleanUp:
    @pytest.fixture(autouse=True)
    def temporary(self, tmp_path, monkeypatch):
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def test_closing_early_ends_what_runs(self, tmp_path):
        before = descendants()
        work = Runner(workers=2).run([task("hangs"), task("heals"), task("heals")])
        assert next(work).facts.outcome is Outcome.COMPLETED
        pids = descendants() - before
        assert len(pids) >= 2  # the server and the one that hangs
        work.close()
        assert not any(map(alive, pids))
        assert list(tmp_path.iterdir()) == []

    def test_a_run_that_ended_leaves_no_file(self, tmp_path):
        work = Runner().run([task("heals"), task("raises"), task("heals")])
        for number in range(3):
            next(work)
            (scratch,) = tmp_path.glob("harness-*")
            left = {path.name for path in scratch.iterdir()}
            assert left == set(), number
        assert list(work) == []
        assert list(tmp_path.iterdir()) == []

    def test_a_long_log_is_cut_to_its_end(self, tmp_path, monkeypatch):
        monkeypatch.setattr(runner, "LOG_BYTES", 1000)
        monkeypatch.setattr(runner, "LOG_TAIL", 6)
        texts = {"long": b"x" * 1001 + b"the end", "short": b"x" * 1000, "none": None}
        jobs = [Job(case=sick.case(), backend="heals", scratch=tmp_path / name) for name in texts]
        busy = {number: runner._Running(job=job, task=task("heals")) for number, job in enumerate(jobs)}
        for job, text in zip(jobs[:2], texts.values(), strict=False):
            job.scratch.mkdir()
            job.log_path.write_bytes(text)
        with jobs[0].log_path.open("ab") as writer:
            Runner(_running=busy)._cut_logs()
            writer.write(b", and on")
        assert [job.log_path.read_bytes() for job in jobs[:2]] == [b"he end, and on", b"x" * 1000]

    def test_damaged_facts_are_an_error(self, tmp_path):
        job = Job(case=sick.case(), backend="heals", scratch=tmp_path)
        job.facts_path.write_bytes(b"HFACTS1\nnonsense")
        job.log_path.write_text("what it said")
        facts = runner._facts_of(
            runner._Running(job=job, task=task("heals")), Ended(id=1, code=0, signal=None)
        )
        assert (facts.outcome, facts.detail) == (Outcome.BROKEN, "what it said")
        assert "not the facts of a run, or damaged" in facts.message


class TestBefore:
    def test_an_unknown_backend_is_the_users_mistake(self):
        with pytest.raises(HarnessError, match="unknown name 'haels'; did you mean 'heals'"):
            list(Runner().run([Task(case=sick.case(), backend="haels")]))

    def test_nothing_to_do_starts_nothing(self):
        assert list(Runner().run([])) == []

    def test_what_can_run_has_no_objection(self):
        assert impossible(task("heals")) is None

    def test_modules_to_import_once(self):
        modules = preload_for([task("heals"), task("poisons"), task("heals")])
        assert modules[0] == "harness.worker:prepare"
        assert len(modules) == len(set(modules))
        assert {"sick_backends.heals", "sick_backends._poison", "harness.probes.repeat"} <= set(modules)
        assert "torch" not in modules

    def test_patience_ends_with_the_next_time_limit(self):
        busy = {number: runner._Running(job=None, task=task("heals", timeout=0.25)) for number in range(2)}
        assert 0 <= Runner(_running=busy)._patience() <= 0.25
        for each in busy.values():
            each.killed = True
        assert Runner(_running=busy)._patience() == runner.LOOK_SECONDS
