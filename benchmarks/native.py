"""What a step costs in the C engine against torch eager: one case, the same cores, each step in turn."""

from benchmarks._turns import problem_of, step_times, trainer_of
from harness.backends.native_c import NativeC
from harness.backends.torch_eager import TorchEager


def ratio(name: str, steps: int) -> float:
    """Median step of `native_c` over that of `torch_eager`."""
    problem = problem_of(name, steps)
    trainers = [trainer_of(backend, problem) for backend in (NativeC(), TorchEager())]
    ours, torch = step_times(problem, trainers)
    return ours / torch


class Native:
    """Step time of native_c relative to torch_eager; promised: a fifth on cllm-minimal, 3 on smollm-135m."""

    timeout = 600

    def track_cllm_minimal(self) -> float:
        return ratio("cllm-minimal", 300)

    def track_smollm_135m(self) -> float:
        return ratio("smollm-135m", 6)

    track_cllm_minimal.unit = track_smollm_135m.unit = "x"  # type: ignore[attr-defined]
