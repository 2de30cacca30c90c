"""What watching a training costs: steps that are observed against bare ones, in turn on twin trainers."""

import time
from dataclasses import replace
from pathlib import Path
from statistics import median

from harness.backends.torch_eager import TorchEager
from harness.cases import load_cases
from harness.optimizers import rule
from harness.problem import Problem, build_problem
from harness.recorder import Recorder
from harness.spec import AdamW, AdamWOptimizer, Case, Config, Decoder, DecoderModel, Markov, MarkovData

CASES = Path(__file__).parent.parent / "cases"


def shipped(name: str, steps: int) -> Case:
    """A shipped case with another number of steps."""
    case = next(case for case in load_cases([CASES]).cases if case.name == name)
    return replace(case, config=replace(case.config, steps=steps))


def of_27_million() -> Case:
    """A decoder of 27 million parameters on 1,024 tokens a step."""
    model = Decoder(vocab=1024, width=512, layers=8, heads=8, hidden=2048, positions="learned")
    config = Config(
        data=MarkovData(markov=Markov()), sequence=128, batch=8, steps=9, threads=2,
        optimizer=AdamWOptimizer(adamw=AdamW(lr=1e-4)),
    )  # fmt: skip
    return replace(shipped("cllm-minimal", 1), model=DecoderModel(decoder=model), config=config)


def ratio(case: Case, *, observed: bool) -> float:
    """Time of a step over that of a bare one, both in turn on the same batches; the first eighth warms up."""
    backend = TorchEager()
    backend.configure(case.config)
    problem = build_problem(case)
    bare, other = backend.build(problem), backend.build(problem)
    watch = recorder(other, problem) if observed else None
    seconds: tuple[list[float], list[float]] = ([], [])
    for batch in problem.batches:
        start = time.perf_counter()
        bare.step(batch)
        middle = time.perf_counter()
        loss = other.step(batch, watch)
        if watch is not None:
            watch.finish_step(loss)
        seconds[0].append(middle - start)
        seconds[1].append(time.perf_counter() - middle)
    skip = max(1, len(problem.batches) // 8)
    # Medians of blocks of 32 steps, summed: what the recorder puts off is paid at the end of each block.
    return _robust(seconds[1][skip:]) / _robust(seconds[0][skip:])


def recorder(trainer: object, problem: Problem) -> Recorder:
    """A recorder bound to a trainer."""
    return Recorder(
        trainer=trainer,  # type: ignore[arg-type]
        matrices=[len(tensor.shape) >= 2 for tensor in problem.tensors],
        rule=rule(problem.config.optimizer),
        seed=0,
        clips=problem.config.clip_norm is not None,
    )


def _robust(seconds: list[float]) -> float:
    blocks = [sum(seconds[start : start + 32]) for start in range(0, len(seconds) - len(seconds) % 32, 32)]
    return median(blocks) if blocks else median(seconds)


class Observation:
    """Ratios: observed steps over bare ones, and timed steps (which nobody observes) over bare ones."""

    params = ("12 thousand", "490 thousand", "27 million")
    param_names = ("parameters",)
    timeout = 600

    def setup(self, size: str) -> None:
        makers = {
            "12 thousand": lambda: shipped("cllm-minimal", 2048),
            "490 thousand": lambda: shipped("cllm-threads", 256),
            "27 million": of_27_million,
        }
        self.case = makers[size]()

    def track_observed_over_bare(self, _size: str) -> float:
        return ratio(self.case, observed=True)

    def track_timed_over_bare(self, _size: str) -> float:
        return ratio(self.case, observed=False)

    track_observed_over_bare.unit = track_timed_over_bare.unit = "ratio"  # type: ignore[attr-defined]
