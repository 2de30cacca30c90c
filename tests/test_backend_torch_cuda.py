"""The CUDA backends as far as a machine without a GPU can tell: why they are not there, and their own code on the CPU."""

import pytest
import torch

from harness.backends import torch_cuda
from harness.backends.torch_cuda import WORKSPACE, TorchCuda
from harness.backends.torch_cuda_compile import TorchCudaCompile
from harness.model import BrokenError
from harness.passes import digest
from harness.testing import sample_problem
from harness.testing.backends import agrees

BACKENDS = pytest.mark.parametrize("backend", [TorchCuda(), TorchCudaCompile()], ids=lambda one: one.name)


@BACKENDS
def test_without_a_gpu_it_says_so(backend, tmp_path, monkeypatch):
    monkeypatch.setattr(torch_cuda, "DEVICES", tmp_path)
    assert backend.unavailable() == f"needs an NVIDIA GPU: there is no {tmp_path}/nvidia0"


@pytest.mark.skipif(torch.version.cuda is not None, reason="this build of torch has CUDA")
@BACKENDS
def test_without_a_build_for_it_it_says_so(backend, tmp_path, monkeypatch):
    (tmp_path / "nvidia0").touch()
    monkeypatch.setattr(torch_cuda, "DEVICES", tmp_path)
    assert "needs a build of torch with CUDA" in backend.unavailable()


@pytest.mark.skipif(torch.cuda.is_available(), reason="torch can use a GPU here")
@BACKENDS
def test_a_gpu_that_torch_cannot_use_is_an_error(backend):
    with pytest.raises(BrokenError, match="torch cannot use the GPU"):
        backend.configure(sample_problem().config)


def test_what_was_set_is_recorded(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "A GPU")
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    found = TorchCuda().configure(sample_problem().config)
    assert (found["device"], found["cuda"], found["tf32"]) == ("cuda (A GPU)", "13.0", False)
    assert found["cublas_workspace"] == WORKSPACE
    assert found["deterministic_algorithms"] is torch.are_deterministic_algorithms_enabled() is True
    assert torch.get_float32_matmul_precision() == "highest"


@pytest.fixture
def calls(monkeypatch):
    """What is asked of CUDA, answered by the CPU: the trainer's own code runs, no kernel of a GPU does."""
    from harness.backends._cuda import CudaTrainer

    seen = []
    monkeypatch.setattr(CudaTrainer, "device", "cpu")
    for name, value in {
        "synchronize": None, "reset_peak_memory_stats": None, "max_memory_allocated": 5, "max_memory_reserved": 7,
    }.items():  # fmt: skip
        monkeypatch.setattr(torch.cuda, name, lambda name=name, value=value: seen.append(name) or value)
    monkeypatch.setattr(torch.cuda, "get_rng_state", torch.get_rng_state)
    monkeypatch.setattr(torch.cuda, "set_rng_state", torch.set_rng_state)
    return seen


@pytest.mark.usefixtures("calls")
def test_its_own_code_trains_as_the_reference():
    problem = sample_problem()
    agrees(TorchCuda().build(problem), problem)
    one, other = TorchCuda().build(problem), TorchCuda().build(problem)
    first = [one.step(batch) for batch in problem.batches[:2]]
    state = one.state()
    rest = [one.step(batch) for batch in problem.batches[2:]]
    other.restore(state)
    assert [other.step(batch) for batch in problem.batches[2:]] == rest
    assert digest(one) == digest(other)
    assert len(first) == 2


def test_a_step_begins_and_ends_with_an_idle_gpu(calls):
    trainer = TorchCuda().build(sample_problem())
    assert calls == ["reset_peak_memory_stats", "synchronize"]
    calls.clear()
    trainer.step(sample_problem().batches[0])
    assert calls == ["synchronize", "synchronize"]


@pytest.mark.usefixtures("calls")
@BACKENDS
def test_memory_is_that_of_the_allocator(backend):
    found = {each.name: (each.value, each.unit) for each in backend.build(sample_problem()).measurements()}
    found.pop("compile_time", None)
    assert found == {"device_memory.allocated": (5.0, "B"), "device_memory.reserved": (7.0, "B")}
