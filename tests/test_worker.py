from dataclasses import replace

import numpy as np
import pytest
import sick

from harness import worker
from harness.backends.numpy_float64 import NumpyFloat64, NumpyTrainer
from harness.checks._common import first_different_step
from harness.checks.convergence import Convergence
from harness.checks.deterministic import Deterministic
from harness.checks.loss_drop import LossDrop
from harness.checks.matches_reference import MatchesReference
from harness.codec import read_facts
from harness.faults import TrainingFault
from harness.measure import Progress
from harness.model import BrokenError, HarnessError, Outcome
from harness.passes import digest
from harness.problem import build_problem
from harness.spec import TextData
from harness.testing.sample import sample_case
from harness.worker import Job, main

STEPS = sick.STEPS


@pytest.fixture
def job(tmp_path):
    """A job of the reference, on a perceptron that expects nothing."""
    return Job(case=sick.case(), backend="numpy_float64", scratch=tmp_path)


@pytest.fixture
def closed(monkeypatch):
    """Trainers that were built, and those of them that were closed, in order."""
    built, gone = [], []
    build, close = NumpyFloat64.build, NumpyTrainer.close
    monkeypatch.setattr(
        NumpyFloat64, "build", lambda self, problem: built.append(trainer := build(self, problem)) or trainer
    )
    monkeypatch.setattr(NumpyTrainer, "close", lambda self: gone.append(self) or close(self))
    return built, gone


def done(job):
    main(job)
    return read_facts(job.facts_path)


def trained(case):
    """The same training, written out."""
    problem = build_problem(case)
    trainer = NumpyTrainer(problem)
    losses = [trainer.step(batch) for batch in problem.batches]
    return problem, trainer, losses


class TestFacts:
    def test_a_run_that_completes(self, job):
        facts, (problem, _, losses) = done(job), trained(job.case)
        assert (facts.outcome, facts.phase, facts.message, facts.detail) == (
            Outcome.COMPLETED,
            "done",
            "",
            "",
        )
        assert facts.problem == problem.facts
        assert facts.parameters == problem.facts.parameters == 4 * 6 + 6 + 6 * 2 + 2
        assert facts.environment == {"device": "cpu", "threads": 1, "dtype": "float64"}
        assert facts.answers == {}
        assert facts.trace.loss.tolist() == losses
        assert facts.trace.tensors == tuple(problem.initial)

    def test_measurements(self, job):
        found, (problem, trainer, _) = done(job).measurements, trained(job.case)
        alone = {name: each for name, each in found.items() if not name.startswith(("cpu_use", "time."))}
        assert {name: each.unit for name, each in alone.items()} == {
            "startup_time": "s", "first_step_time": "s", "step_time": "s", "throughput": "token/s",
            "held_out_loss": "",
            "peak_memory.build": "B", "peak_memory.train": "B", "peak_memory.evaluate": "B",
        }  # fmt: skip
        assert all(each.value > 0 for name, each in found.items() if not name.startswith("peak_memory"))
        assert found["held_out_loss"].value == trainer.loss(problem.held_out)
        assert len(found["step_time"].samples) == STEPS - 1  # the first step is apart
        assert found["step_time"].value == np.median(found["step_time"].samples)
        assert found["throughput"].value == problem.tokens_per_step / found["step_time"].value

    def test_a_single_step_is_its_own_median(self, job):
        found = done(replace(job, case=sick.case(steps=1))).measurements
        assert found["step_time"].samples == (found["first_step_time"].value,)

    def test_the_held_out_loss_is_taken_in_evaluation_mode(self, job, monkeypatch):
        modes = []
        loss = NumpyTrainer.loss
        monkeypatch.setattr(
            NumpyTrainer, "loss", lambda self, batch: modes.append(self.training) or loss(self, batch)
        )
        assert done(job).outcome is Outcome.COMPLETED
        assert modes == [False]

    def test_phases_come_in_order(self, job, monkeypatch):
        phases = []
        enter = Progress.enter
        monkeypatch.setattr(Progress, "enter", lambda self, phase: phases.append(phase) or enter(self, phase))
        done(job)
        assert phases == ["start", "build", "train", "evaluate", "observe", "probe", "done"]
        assert Progress.read(job.progress_path).phase == "done"

    def test_only_unobserved_steps_are_timed(self, job, monkeypatch):
        watched = []
        step = NumpyTrainer.step

        def noted(self, batch, watch=None):
            watched.append(watch is not None)
            return step(self, batch, watch)

        monkeypatch.setattr(NumpyTrainer, "step", noted)
        done(job)
        assert watched == [False] * STEPS + [True] * STEPS


class TestProbes:
    def ask(self, job, **expect):
        return done(replace(job, case=replace(job.case, expect=expect)))

    def test_only_those_that_a_check_reads_are_asked(self, job):
        facts = self.ask(job, deterministic=Deterministic(required=True), loss_drop=LossDrop(at_least=0.1))
        assert set(facts.answers) == {"repeat"}
        assert facts.answers["repeat"].facts == {"losses": facts.trace.loss.tolist(), "weights_equal": True}
        assert facts.answers["repeat"].seconds > 0

    def test_one_that_makes_no_sense_is_skipped_with_the_reason(self, job):
        facts = self.ask(job, matches_reference=MatchesReference(loss=1e-5, gradients=1e-4))
        assert facts.outcome is Outcome.COMPLETED
        assert facts.answers["reference"].skipped == "this backend is the reference"

    def test_one_that_breaks_is_an_error_of_its_phase(self, job, monkeypatch):
        def broken(*_):
            raise ZeroDivisionError("no denominator")

        monkeypatch.setattr("harness.probes.repeat.Repeat.ask", broken)
        facts = self.ask(job, deterministic=Deterministic(required=True))
        assert (facts.outcome, facts.phase) == (Outcome.BROKEN, "probe")
        assert facts.message == "ZeroDivisionError: no denominator, in phase probe"

    def test_a_training_that_differs_from_itself_is_told(self, job, monkeypatch):
        step = NumpyTrainer.step

        def drifting(self, batch, watch=None):
            loss = step(self, batch, watch)
            return loss + 1e-9 * (watch is not None and self.position == 3)

        monkeypatch.setattr(NumpyTrainer, "step", drifting)
        facts = self.ask(job, deterministic=Deterministic(required=True))
        assert first_different_step(facts) == 2
        assert facts.answers["repeat"].facts["weights_equal"] is True


AT_STEP = "in phase train at step 0 of 5"
ERRORS = [
    (ValueError("two\n lines"), Outcome.BROKEN, f"ValueError: two lines, {AT_STEP}"),
    (RuntimeError(), Outcome.BROKEN, f"RuntimeError, {AT_STEP}"),
    (HarnessError("text: none"), Outcome.INVALID, "text: none"),
    (BrokenError("disk: full"), Outcome.BROKEN, "disk: full"),
    (MemoryError(), Outcome.OUT_OF_MEMORY, f"MemoryError, {AT_STEP}"),
    (
        RuntimeError("CUDA out of memory"),
        Outcome.OUT_OF_MEMORY,
        f"RuntimeError: CUDA out of memory, {AT_STEP}",
    ),
    (OSError("cannot allocate memory"), Outcome.OUT_OF_MEMORY, f"OSError: cannot allocate memory, {AT_STEP}"),
]


class TestSeeds:
    def test_a_case_is_trained_from_as_many_as_a_check_asks_for(self, job):
        case = replace(job.case, expect={"convergence": Convergence(to=1.0, within=0.1, seeds=6)})
        facts = done(replace(job, case=case))
        losses = facts.answers["convergence"].facts["losses"]
        assert list(losses) == [str(case.config.seed + more) for more in range(6)]
        assert losses[str(case.config.seed)] == list(facts.trace.loss)
        other = replace(case, config=replace(case.config, seed=case.config.seed + 3))
        assert losses[str(other.config.seed)] == trained(other)[2]

    def test_a_fault_breaks_every_seed(self, job):
        case = replace(job.case, expect={"convergence": Convergence(to=1.0, within=0.1, seeds=6)})
        facts = done(replace(job, case=case, fault="learning_rate_zero"))
        healthy = done(replace(job, case=case))
        sick_ones, others = (each.answers["convergence"].facts["losses"] for each in (facts, healthy))
        assert all(sick_ones[seed][0] == others[seed][0] for seed in others)
        assert all(sick_ones[seed] != others[seed] for seed in others)


class TestErrors:
    @pytest.mark.parametrize(("error", "outcome", "message"), ERRORS)
    def test_what_is_raised_is_told(self, job, monkeypatch, error, outcome, message):
        def failing(*_):
            raise error

        monkeypatch.setattr(NumpyTrainer, "step", failing)
        facts = done(job)
        assert (facts.outcome, facts.phase, facts.message) == (outcome, "train", message)
        assert facts.detail.startswith("Traceback (most recent call last)")
        assert (facts.trace, facts.problem) == (None, None)

    def test_a_long_message_is_cut(self, job, monkeypatch):
        def failing(*_):
            raise ValueError("x" * 10_000)

        monkeypatch.setattr(NumpyTrainer, "step", failing)
        assert len(done(job).message) < 600

    def test_data_that_cannot_be_read_are_the_users_mistake(self, job):
        facts = done(replace(job, case=sample_case(data=TextData(text="no_such.txt"))))
        assert (facts.outcome, facts.phase) == (Outcome.INVALID, "start")
        assert "no_such.txt" in facts.message

    def test_what_is_no_error_passes_through(self, job, monkeypatch):
        monkeypatch.setattr(NumpyTrainer, "step", lambda *_: (_ for _ in ()).throw(SystemExit(3)))
        with pytest.raises(SystemExit):
            main(job)
        assert not job.facts_path.exists()


class TestTrainers:
    def test_all_are_closed(self, job, closed):
        done(job)
        built, gone = closed
        assert built == gone
        assert len(gone) == 2

    @pytest.mark.parametrize(("failing_step", "phase"), [(0, "train"), (STEPS, "observe")])
    def test_one_that_fails_too(self, job, closed, monkeypatch, failing_step, phase):
        step, steps = NumpyTrainer.step, []

        def failing(self, batch, watch=None):
            steps.append(watch)
            if len(steps) > failing_step:
                raise ValueError("unhappy")
            return step(self, batch, watch)

        monkeypatch.setattr(NumpyTrainer, "step", failing)
        assert done(job).phase == phase
        built, gone = closed
        assert built == gone
        assert len(gone) == {"train": 1, "observe": 2}[phase]

    def test_a_fault_is_in_every_one_and_in_the_problem(self, job, monkeypatch):
        class Fault(TrainingFault):
            def spoil_problem(self, problem):
                return replace(problem, batches=problem.batches[:2])

            def spoil_trainer(self, trainer):
                spoiled.append(trainer)
                trainer.update = lambda _: None

        spoiled, get = [], worker.get
        monkeypatch.setattr(worker, "get", lambda kind, name: Fault if kind == "faults" else get(kind, name))
        healthy, broken = done(job), done(replace(job, fault="any"))
        assert len(spoiled) == 2
        assert (healthy.trace.steps, broken.trace.steps) == (STEPS, 2)
        assert healthy.trace.update_ratio == pytest.approx(np.ones_like(healthy.trace.update_ratio))
        assert broken.trace.update_ratio == pytest.approx(np.zeros_like(broken.trace.update_ratio))
        assert healthy.problem.digest != broken.problem.digest


class TestDigest:
    def test_it_is_of_every_bit_and_name(self):
        class Holder:
            def __init__(self, **parameters):
                self.parameters = lambda: parameters

        one = np.arange(6.0).reshape(2, 3)
        other = one.copy()
        other.view(np.uint64)[1, 2] ^= 1
        found = [
            digest(Holder(a=one)),
            digest(Holder(b=one)),
            digest(Holder(a=other)),
            digest(Holder(a=one.astype(np.float32))),
            digest(Holder(a=one, b=one)),
            digest(Holder(a=one[:, ::-1])),
        ]
        assert len(set(found)) == len(found)
        assert digest(Holder(a=one.copy())) == found[0]
        assert digest(Holder(a=np.asfortranarray(one))) == found[0]
