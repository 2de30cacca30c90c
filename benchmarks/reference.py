"""What the float64 reference costs at the size of SmolLM-135M, 64 tokens a step, beside torch eager."""

import time
from dataclasses import dataclass

from benchmarks._turns import problem_of, step_times, trainer_of
from harness.backends.numpy_float64 import NumpyFloat64
from harness.backends.torch_eager import TorchEager
from harness.measure import PhaseMemory

STEPS = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """seconds: of the first step; peak: bytes up to its end; ratio: of steady steps to torch eager."""

    seconds: float
    peak: int
    ratio: float


def cost() -> Cost:
    """The reference alone first, for its memory; then in turn with torch."""
    problem = problem_of("smollm-135m", STEPS)
    memory = PhaseMemory()
    reference = trainer_of(NumpyFloat64(), problem)
    start = time.perf_counter()
    reference.step(problem.batches[0])
    seconds = time.perf_counter() - start
    memory.close("train")
    ours, torch = step_times(problem, [reference, trainer_of(TorchEager(), problem)])
    return Cost(seconds=seconds, peak=memory.peaks["train"], ratio=ours / torch)


class Reference:
    """One step of smollm-135m on numpy_float64; promised: below 20 s, even the first, and below 4 GB."""

    timeout = 600

    def setup_cache(self) -> Cost:
        return cost()

    setup_cache.timeout = 600  # type: ignore[attr-defined]

    def track_first_step(self, cost: Cost) -> float:
        return cost.seconds

    def track_peak_memory(self, cost: Cost) -> float:
        return cost.peak / 1e9

    def track_step_over_torch_eager(self, cost: Cost) -> float:
        return cost.ratio

    track_first_step.unit = "s"  # type: ignore[attr-defined]
    track_peak_memory.unit = "GB"  # type: ignore[attr-defined]
    track_step_over_torch_eager.unit = "x"  # type: ignore[attr-defined]
