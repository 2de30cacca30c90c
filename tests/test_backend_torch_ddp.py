"""Two ranks beside the reference, ragged batches included; what a lost rank and ranks that go astray look like."""

import os
import signal

import numpy as np
import pytest
from test_backends import TRAININGS, decoder, train_beside

from harness.backends import _ranks
from harness.backends._ddp import server
from harness.backends._ranks import Ranks
from harness.backends.torch_ddp import TorchDdp
from harness.checks.replicas import Replicas as ReplicasCheck
from harness.diagnoses.ranks_see_same_data import RanksSeeSameData
from harness.diagnoses.replicas_out_of_sync import ReplicasOutOfSync
from harness.discover import get
from harness.faults.ranks_out_of_sync import RanksOutOfSync
from harness.faults.ranks_share_data import RanksShareData
from harness.model import Answer, BrokenError, Outcome
from harness.probes.replicas import Replicas
from harness.runner import Runner, Task
from harness.spec import Clusters, ClustersData, Mlp, MlpModel
from harness.testing import BackendContract, healthy_facts, relative_distances, sample_case, sample_problem
from harness.testing.backends import agrees

TWO = {"ranks": 2}


@pytest.fixture(scope="module", autouse=True)
def _end_the_ranks():
    yield
    Ranks.stop()


class TestContract(BackendContract):
    names = ("torch_ddp",)

    def trainers(self, plugin, number=1, **config):
        return super().trainers(plugin, number, **TWO, **config)


def built(model=None, **config):
    problem = sample_problem(model or decoder(), **{**TWO, **config})
    TorchDdp().configure(problem.config)
    return TorchDdp().build(problem), problem


@pytest.mark.parametrize("name", ["adamw", "nesterov", "hard clipping", "four parts", "even lengths"])
def test_ranks_train_as_one_process(name):
    # Ragged lengths: a mean of the ranks' means would weigh short samples too much. Four parts: one sample each.
    trainer, problem = built(dtype="float64", **TRAININGS[name])
    ours, theirs, reference = train_beside(trainer, problem)
    assert ours == pytest.approx(theirs, rel=1e-12)
    assert max(relative_distances(trainer.parameters(), reference.parameters()).values()) < 1e-9


def test_a_perceptron_trains_as_in_one_process():
    model = MlpModel(mlp=Mlp(inputs=5, hidden=(8,), outputs=3, task="classification"))
    trainer, problem = built(model, data=ClustersData(clusters=Clusters()), lengths=None, sequence=1, batch=6)
    ours, theirs, _ = train_beside(trainer, problem)
    assert ours == pytest.approx(theirs, rel=1e-5)


def test_three_ranks_share_a_batch_of_four():
    trainer, problem = built(ranks=3, micro_batches=1)
    agrees(trainer, problem)
    trainer.step(problem.batches[0])
    assert [len(rank.sample_ids) for rank in trainer.ranks()] == [2, 1, 1]


def test_each_rank_has_its_own_samples_and_the_same_weights():
    trainer, problem = built()
    trainer.step(problem.batches[0])
    one, other = trainer.ranks()
    assert sorted(one.sample_ids + other.sample_ids) == sorted(problem.batches[0].sample_ids)
    assert all(np.array_equal(one.parameters[name], other.parameters[name]) for name in trainer.names)


def test_what_it_does_not_compute():
    assert (
        TorchDdp().unsupported(sample_case()) == "distributes nothing, config.ranks is 1; expected 2 or more"
    )
    assert "draws masks in each rank" in TorchDdp().unsupported(sample_case(decoder(dropout=0.1), **TWO))
    assert TorchDdp().unsupported(sample_case(**TWO)) == ""
    assert TorchDdp().cores(sample_case(threads=3, **TWO).config) == 6


def test_ranks_do_not_change_the_problem():
    assert sample_problem(**TWO).digest == sample_problem().digest


# what goes astray shows


def looked_into(fault):
    """What the probe finds in a training with a fault, and the verdicts on it."""
    problem = sample_problem(**TWO)
    TorchDdp().configure(problem.config)

    def build():
        trainer = TorchDdp().build(problem)
        if fault is not None:
            fault.spoil_trainer(trainer)
        return trainer

    class Asked:
        pass

    Asked.problem, Asked.build = problem, staticmethod(build)
    found = Replicas().ask(Asked)
    facts = healthy_facts(answers={"replicas": Answer(facts=found)})
    return found, facts, list(ReplicasCheck(agree=True, sharded=True).judge(facts))


def test_healthy_ranks_pass():
    found, facts, verdicts = looked_into(None)
    assert found == {
        "ranks": 2, "steps": 6, "distance": 0.0, "apart_from": None, "shared": 0, "left_out": 0,
        "samples": 24, "unsharded_from": None,
    }  # fmt: skip
    assert [verdict.message for verdict in verdicts] == [
        "the 2 ranks hold the same weights after each of 6 steps",
        "each of 24 samples was taken by one of 2 ranks",
    ]
    assert ReplicasOutOfSync().weigh(facts) is RanksSeeSameData().weigh(facts) is None


def test_ranks_that_part_are_seen_and_named():
    found, facts, verdicts = looked_into(RanksOutOfSync())
    assert found["apart_from"] == 0
    assert found["distance"] > 1e-3
    assert [verdict.status.value for verdict in verdicts] == ["fail", "pass"]
    assert verdicts[0].message.startswith("the weights of 2 ranks part after step 0, up to ")
    assert (
        ReplicasOutOfSync()
        .weigh(facts)
        .cause.startswith("ranks are out of sync: their weights part after step 0")
    )


def test_data_that_is_not_sharded_is_seen_and_named():
    found, facts, verdicts = looked_into(RanksShareData())
    assert (found["shared"], found["left_out"], found["unsharded_from"]) == (12, 12, 0)
    assert [verdict.status.value for verdict in verdicts] == ["pass", "fail"]
    assert verdicts[1].message == (
        "of 24 samples 12 were taken by more than one rank and 12 by none, expected each in one"
    )
    assert "12 were taken by more than one rank, 12 by none" in RanksSeeSameData().weigh(facts).cause
    assert ReplicasOutOfSync().weigh(facts) is None


def test_one_process_has_no_replicas():
    problem = sample_problem()

    class Asked:
        build = staticmethod(lambda: get("backends", "torch_eager")().build(problem))

    Asked.problem = problem
    with pytest.raises(NotImplementedError, match="one process trains"):
        Replicas().ask(Asked)


# what becomes of a rank


def lost(trainer, problem, signum):
    """The error of a step after a signal to rank 1."""
    os.kill(Ranks.current._processes[0].pid, signum)
    with pytest.raises(BrokenError) as error:
        trainer.step(problem.batches[0])
    assert Ranks.current.broken
    trainer.close()
    return str(error.value)


def test_a_rank_that_dies_is_an_error_in_one_line():
    assert lost(*built(), signal.SIGKILL).startswith("rank 1 of 2: died of SIGKILL, in '")


def test_a_rank_that_falls_silent_is_an_error(monkeypatch):
    Ranks.stop()
    monkeypatch.setattr(_ranks, "PATIENCE", 2.0)
    trainer, problem = built()
    try:
        assert lost(trainer, problem, signal.SIGSTOP) == "rank 1 of 2: no answer within 2 s, in 'call'"
    finally:
        Ranks.stop()


def test_a_rank_that_fails_says_why():
    trainer, _ = built()
    with pytest.raises(BrokenError, match=r"^rank 1 of 2: KeyError: 'nowhere', in 'call'$"):
        trainer.each("load", [({},), ({"nowhere": np.zeros(1)},)])
    assert Ranks.current.broken


def test_after_a_loss_new_ranks_are_started():
    broken = Ranks.current
    trainer, problem = built()
    assert Ranks.current is not broken
    trainer.step(problem.batches[0])
    assert Ranks.start(2, 1, server) is Ranks.current


def test_it_runs_from_the_fork_server_and_leaves_no_rank_behind():
    (finished,) = Runner(workers=2).run([Task(case=sample_case(**TWO), backend="torch_ddp")])
    assert finished.facts.outcome is Outcome.COMPLETED, finished.facts
    assert finished.facts.environment["ranks"] == 2
