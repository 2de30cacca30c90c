"""The checks of what a training takes of the machine, and where those numbers come from."""

import threading
import time
from math import nan
from pathlib import Path

import numpy as np
import pytest

from harness import spent
from harness.backends.native_c import NativeC
from harness.backends.numpy_float64 import NumpyFloat64
from harness.backends.torch_eager import TorchEager
from harness.checks.cpu_use import CpuUse
from harness.checks.memory_of import MemoryOf, Size
from harness.measure import Progress
from harness.model import Measurement, Status
from harness.passes import timed_training
from harness.spent import Clock, cpu_use, time_by_part
from harness.testing import healthy_facts
from harness.testing.sample import sample_problem

KIB = 2**10


def measuring(**values):
    found = {name.replace("__", "."): value for name, value in values.items()}
    found = {name: Measurement(name=name, value=value, unit="B") for name, value in found.items()}
    return healthy_facts(measurements=found)


def judged(check, facts=None):
    return list(check.judge(healthy_facts() if facts is None else facts))


# memory_of


def test_memory_of_passes():
    (verdict,) = judged(MemoryOf(parts={"shared_gradient": Size(at_most=4.0 * KIB)}))
    assert (verdict.status, verdict.observed, verdict.unit) == (Status.PASS, 4 * 27 * 32, "B")
    assert verdict.message == "3.375 KiB is what shared_gradient takes, expected <= 4 KiB"


def test_memory_of_fails_by_part():
    sizes = {"weights": Size(at_least=KIB, at_most=64.0 * KIB), "shared_gradient": Size(at_most=3.0 * KIB)}
    first, second = judged(MemoryOf(parts=sizes))
    assert first.status is Status.PASS
    assert (second.status, second.reason) == (Status.FAIL, "out_of_bounds")
    assert second.message == "3.375 KiB is what shared_gradient takes, expected <= 3 KiB"


def test_memory_of_fails_on_nan():
    (verdict,) = judged(MemoryOf(parts={"weights": Size(at_most=1e9)}), measuring(memory__weights=nan))
    assert (verdict.status, verdict.reason) == (Status.FAIL, "nonfinite")


def test_memory_of_a_part_that_is_not_told():
    (verdict,) = judged(MemoryOf(parts={"cache": Size(at_most=1.0)}))
    expected = "the memory of 'cache', of weights, shared_gradient, was not recorded"
    assert (verdict.status, verdict.message) == (Status.ERROR, expected)


def test_memory_of_a_backend_that_tells_nothing_is_skipped():
    (verdict,) = judged(MemoryOf(parts={"weights": Size(at_most=1.0)}), measuring(peak_memory__train=1.0))
    expected = "the backend does not tell what the parts of a training take"
    assert (verdict.status, verdict.reason, verdict.message) == (Status.SKIP, "not_applicable", expected)


def test_memory_of_refuses_what_cannot_fail():
    with pytest.raises(ValueError, match="give at least one part, such as gradients"):
        MemoryOf(parts={})
    with pytest.raises(ValueError, match="give at least one of at_least, at_most"):
        Size()
    with pytest.raises(ValueError, match=r"at_least \(2\) lies above at_most \(1\)"):
        Size(at_least=2.0, at_most=1.0)


def test_memory_of_reads_what_healthy_runs_can_bound():
    readings = MemoryOf(parts={"weights": Size(at_most=1e6), "cache": Size(at_most=1.0)}).readings(
        healthy_facts()
    )
    assert list(readings) == [("weights", "at_most")]
    assert (readings["weights", "at_most"].value, readings["weights", "at_most"].kind) == (49_664, "memory")


# cpu_use


def test_cpu_use_passes():
    (verdict,) = judged(CpuUse(at_least=0.5, at_most=1.2))
    assert (verdict.status, verdict.observed, verdict.unit) == (Status.PASS, 0.95, "%")
    assert verdict.message == "95 % of the cores that its threads may use, expected 50 % to 120 %"


def test_cpu_use_fails_on_both_sides_and_on_nan():
    (idle,) = judged(CpuUse(at_least=0.96))
    assert idle.message == "95 % of the cores that its threads may use, expected >= 96 %"
    (greedy,) = judged(CpuUse(at_most=0.5))
    (unknown,) = judged(CpuUse(at_most=0.5), measuring(cpu_use__per_thread=nan))
    found = [(each.status, each.reason) for each in (idle, greedy, unknown)]
    assert found == [(Status.FAIL, "out_of_bounds")] * 2 + [(Status.FAIL, "nonfinite")]


def test_cpu_use_needs_its_measurement():
    (verdict,) = judged(CpuUse(at_most=1.0), measuring(step_time=1.0))
    assert (verdict.status, verdict.reason) == (Status.ERROR, "missing")
    assert CpuUse(at_most=1.0).readings(measuring(step_time=1.0)) == {}


# Where the numbers come from.


def values(found):
    return {each.name: each.value for each in found}


def test_cores_kept_busy(monkeypatch):
    monkeypatch.setattr(spent.os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    assert values(cpu_use(3.0, 2.0, 2)) == {"cpu_use": 1.5, "cpu_use.per_thread": 0.75}
    # Eight threads have four cores: all of them busy is 100 %.
    assert values(cpu_use(8.0, 2.0, 8, (0.5, 0.5))) == {"cpu_use": 4.0, "cpu_use.per_thread": 1.0}
    assert cpu_use(8.0, 2.0, 8, (0.5, 0.5))[1].samples == (0.5, 0.5)


def test_a_busy_process_and_an_idle_one(monkeypatch):
    # The clocks of the process and of the wall are turned by hand: who computes moves both.
    clocks = {"cpu": 0.0, "wall": 0.0}
    monkeypatch.setattr(spent.time, "process_time", lambda: clocks["cpu"])
    monkeypatch.setattr(spent.time, "perf_counter", lambda: clocks["wall"])
    use = spent.CpuUse()
    clocks |= {"cpu": 1.0, "wall": 4.0}
    assert use.measurements(1)[0].value == 0.25


def test_each_thread_that_ran_is_told_apart(monkeypatch, tmp_path):
    monkeypatch.setattr(spent, "TASKS", tmp_path)
    for thread, nanoseconds in (("1", 5_000_000_000), ("2", 0), ("3", 7)):
        (tmp_path / thread).mkdir()
        (tmp_path / thread / "schedstat").write_text(f"{nanoseconds} 0 1\n")
    clocks = iter([0.0, 2.0])
    monkeypatch.setattr(spent.time, "perf_counter", lambda: next(clocks))
    use = spent.CpuUse()
    (tmp_path / "1" / "schedstat").write_text("6000000000 0 1\n")
    (tmp_path / "2" / "schedstat").write_text("1500000000 0 1\n")
    assert use.measurements(2)[1].samples == (0.5, 0.75)


def test_a_kernel_that_does_not_tell_of_threads(monkeypatch, tmp_path):
    monkeypatch.setattr(spent, "TASKS", tmp_path / "gone")
    assert spent.CpuUse().measurements(1)[1].samples == ()


def test_the_threads_of_this_process_are_seen():
    stop, before = threading.Event(), set(spent._seconds_by_thread())
    thread = threading.Thread(target=stop.wait)
    thread.start()
    try:
        assert set(spent._seconds_by_thread()) - before == {str(thread.native_id)}
    finally:
        stop.set()
        thread.join()


def test_a_clock_runs_within_steps_only(monkeypatch):
    clocks = iter([1.0, 3.0, 7.0, 7.0, 8.0])
    monkeypatch.setattr(spent.time, "perf_counter", lambda: next(clocks))
    clock = Clock()
    clock.end("forward")
    clock.start()
    clock.end("forward")
    clock.end("backward")
    clock.stop()
    clock.end("forward")
    clock.start()
    clock.end("forward")
    assert clock.parts == {"forward": 3.0, "backward": 4.0}
    assert values(time_by_part(clock.parts, 2)) == {"time.forward": 1.5, "time.backward": 2.0}
    assert list(time_by_part(clock.parts, 0)) == []


PARTS = {
    TorchEager: {"zero_gradients", "forward", "backward", "clip", "update"},
    NumpyFloat64: {"zero_gradients", "forward", "backward", "clip", "update"},
    NativeC: {"zero_gradients", "forward", "loss", "backward", "clip", "update"},
}


@pytest.mark.parametrize("backend", PARTS, ids=lambda backend: backend.__name__)
def test_every_part_of_a_step_is_timed(backend, tmp_path):
    problem = sample_problem(clip_norm=0.1)
    backend().configure(problem.config)
    began = time.perf_counter()
    timed = timed_training(backend().build, problem, Progress(tmp_path / "progress"))
    passed = time.perf_counter() - began
    found = values(timed.measurements)
    parts = {name.removeprefix("time."): value for name, value in found.items() if name.startswith("time.")}
    assert set(parts) == PARTS[backend]
    assert min(parts.values()) > 0
    # Nothing is counted twice: the parts of all steps take no longer than all of it.
    assert sum(parts.values()) * problem.config.steps < passed
    assert found["cpu_use"] >= 0


def test_what_is_asked_between_steps_counts_nowhere():
    trainer = TorchEager().build(sample_problem())
    batch = sample_problem().batches[0]
    trainer.gradients(batch)
    assert list(trainer.measurements()) == []
    trainer.step(batch)
    before = values(trainer.measurements())
    trainer.gradients(batch)
    assert values(trainer.measurements()) == before


def test_an_engine_tells_its_memory_by_part():
    problem = sample_problem()
    trainer = NativeC().build(problem)
    found = {each.name: (each.value, each.unit) for each in trainer.measurements()}
    embedding = next(tensor for tensor in problem.tensors if tensor.name == "embedding")
    assert found["memory.shared_gradient"] == (4 * np.prod(embedding.shape), "B")
    assert found["memory.gradients"] == found["memory.weights"]
    assert not [name for name in found if name.startswith("time.")], "it has made no step"


def test_the_engines_header_and_its_reader_name_the_same_parts():
    from harness.native import FOLDER, library

    header = Path(FOLDER, "engine.h").read_text()
    for name, fields in (("memory", library._Memory._fields_), ("time", library._Time._fields_)):
        body = header.partition(f"}} engine_{name}_use;")[0].rpartition("typedef struct {")[2]
        lines = [line.partition(";")[0].split()[-1] for line in body.splitlines() if ";" in line]
        assert lines == [field[0] for field in fields]
