"""torch.compile beside the reference: few models, for each takes seconds to compile; its contract is in test_plugins.py."""

import fcntl
import os
import shutil

import pytest
import torch
from test_backends import DECODERS, decoder, train_beside

from harness.backends import torch_compile
from harness.backends.torch_compile import TorchCompile
from harness.backends.torch_eager import TorchEager
from harness.model import Outcome
from harness.runner import Runner, Task
from harness.spec import Mlp, MlpModel, Teacher, TeacherData
from harness.testing import relative_distances, sample_case, sample_problem
from harness.testing.backends import agrees

needs = pytest.mark.skipif(bool(TorchCompile().unavailable()), reason=TorchCompile().unavailable() or "-")
NUMBERS = {"data": TeacherData(teacher=Teacher()), "lengths": None, "sequence": 1}
PERCEPTRON = MlpModel(mlp=Mlp(inputs=5, hidden=(8,), outputs=3))


def built(model, **config):
    problem = sample_problem(model, **config)
    TorchCompile().configure(problem.config)
    return TorchCompile().build(problem), problem


def graphs():
    from torch._dynamo.utils import counters

    return counters["stats"]["unique_graphs"]


@needs
@pytest.mark.slow
def test_a_decoder_of_the_newer_kind_agrees_with_the_reference_and_compiles_in_no_step():
    trainer, problem = built(decoder(**{**DECODERS["like SmolLM"], "layers": 1}), dtype="float64")
    assert trainer.prepare((*problem.batches, problem.held_out)) is True
    (measured,) = trainer.measurements()
    assert (measured.name, measured.unit, len(measured.samples)) == ("compile_time", "s", 2)
    assert measured.value == pytest.approx(sum(measured.samples))
    compiled = graphs()
    ours, theirs, reference = train_beside(trainer, problem)
    assert ours == pytest.approx(theirs, rel=1e-12)
    assert max(relative_distances(trainer.parameters(), reference.parameters()).values()) < 1e-9
    agrees(TorchCompile().build(problem), problem, loss=1e-12, gradients=1e-10)
    for length in (3, 5, 7):
        trainer.infer(problem.held_out.inputs[:, :length].copy())
    assert graphs() == compiled, "one graph serves all lengths, and all trainers of a process"
    assert torch._dynamo.utils.counters["graph_break"] == {}


@needs
@pytest.mark.slow
def test_a_perceptron_trains_as_the_reference():
    trainer, problem = built(PERCEPTRON, **NUMBERS)
    ours, theirs, _ = train_beside(trainer, problem)
    assert ours == pytest.approx(theirs, rel=1e-5)


@needs
@pytest.mark.slow
def test_a_changed_model_is_compiled_anew():
    # What breaks a live model must show: a graph of the healthy one would hide it.
    (trainer, problem), broken = (
        built(PERCEPTRON, **NUMBERS),
        TorchCompile().build(sample_problem(PERCEPTRON, **NUMBERS)),
    )
    broken.model.activate = lambda z: 2 * z
    assert broken.step(problem.batches[0]) != pytest.approx(trainer.step(problem.batches[0]), rel=1e-3)


@needs
@pytest.mark.slow
def test_it_runs_from_the_fork_server():
    (finished,) = Runner().run([Task(case=sample_case(PERCEPTRON, **NUMBERS), backend="torch_compile")])
    assert finished.facts.outcome is Outcome.COMPLETED, finished.facts
    assert finished.facts.measurements["compile_time"].value > 0
    assert finished.facts.environment["compiler"] == "inductor"


def test_what_it_compiles_is_kept_in_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "")
    TorchCompile().keep_in(tmp_path)
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == str(tmp_path / "inductor")


def test_processes_that_compile_take_turns(tmp_path, monkeypatch):
    # Two that compile the same kernel at once: one would load what the other's linker still writes.
    from harness.backends._turns import Turns

    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "inductor"))
    one = Turns()
    one.begin(None)
    other = os.open(tmp_path / "inductor" / "turns.lock", os.O_RDWR)
    try:
        with pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        one.end(None)
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.close(other)


@needs
def test_every_compilation_takes_its_turn():
    from torch._dynamo.callback import callback_handler

    from harness.backends import _compiled

    _compiled.set_up()
    _compiled.set_up()
    assert callback_handler.start_callbacks.count(_compiled._TURNS.begin) == 1
    assert callback_handler.end_callbacks.count(_compiled._TURNS.end) == 1


def test_without_a_compiler_it_says_so(monkeypatch):
    monkeypatch.setenv("CXX", "not-a-compiler")
    expected = (
        "needs a C++ compiler, 'not-a-compiler' is not there: apt-get install g++, or set CXX to another"
    )
    assert TorchCompile().unavailable() == expected


@pytest.mark.skipif(shutil.which(os.environ.get("CXX", "g++")) is None, reason="needs a C++ compiler")
def test_without_the_headers_of_python_it_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(torch_compile, "INCLUDE", str(tmp_path))
    expected = f"needs the headers of Python, {tmp_path} has none: apt-get install python3-dev"
    assert TorchCompile().unavailable() == expected


def test_eager_torch_has_nothing_to_prepare():
    problem = sample_problem()
    trainer = TorchEager().build(problem)
    assert trainer.prepare((*problem.batches, problem.held_out)) is False
    assert list(trainer.measurements()) == []
