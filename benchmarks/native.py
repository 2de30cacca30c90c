"""What a step costs in the C engine against torch eager: one case, the same cores, each step in turn."""

import time
from dataclasses import replace
from pathlib import Path
from statistics import median

from harness.backends.native_c import NativeC
from harness.backends.torch_eager import TorchEager
from harness.cases import load_cases
from harness.problem import build_problem

CASES = Path(__file__).parent.parent / "cases"
WARM_UP = 2


def step_times(name: str, steps: int) -> tuple[float, float]:
    """Median seconds of a step in `native_c` and in `torch_eager`."""
    case = next(case for case in load_cases([CASES]).cases if case.name == name)
    problem = build_problem(replace(case, config=replace(case.config, steps=steps)))
    trainers = []
    for backend in (NativeC(), TorchEager()):
        backend.configure(problem.config)
        trainers.append(backend.build(problem))
    seconds: list[list[float]] = [[], []]
    for batch in problem.batches:
        for trainer, own in zip(trainers, seconds, strict=True):
            start = time.perf_counter()
            trainer.step(batch)
            own.append(time.perf_counter() - start)
    ours, torch = (median(own[WARM_UP:]) for own in seconds)
    return ours, torch


class Native:
    """Step time of native_c relative to torch_eager; promised: a fifth on cllm-minimal, 3 on smollm-135m."""

    timeout = 600

    def track_cllm_minimal(self) -> float:
        ours, torch = step_times("cllm-minimal", 300)
        return ours / torch

    def track_smollm_135m(self) -> float:
        ours, torch = step_times("smollm-135m", 6)
        return ours / torch

    track_cllm_minimal.unit = track_smollm_135m.unit = "x"  # type: ignore[attr-defined]
