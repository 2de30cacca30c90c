"""The contract of a probe."""

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

from harness.discover import Kind, get
from harness.passes import digest
from harness.probes import Context, Probe
from harness.problem import Problem
from harness.testing.contract import Contract, skip
from harness.testing.sample import observe, sample_problem
from harness.trainer import Trainer


class ProbeContract(Contract):
    """A probe looks and touches nothing. backend: the one whose training it is shown."""

    kind: ClassVar[Kind] = "probes"
    backend: ClassVar[str] = "torch_eager"

    def context(self) -> AbstractContextManager[Context]:
        """A training of the sample problem that has just ended."""
        return observe(get("backends", self.backend)(), sample_problem())

    def test_it_is_stateless(self, plugin: str) -> None:
        """Made without arguments, and nothing is kept from one question to the next."""
        probe: Probe = self.load(plugin)()
        assert probe.name == plugin
        with self.context() as context:
            _ask(probe, context)
        assert not getattr(probe, "__dict__", {}), f"{plugin}: keeps {vars(probe)}"

    def test_its_answer_is_json(self, plugin: str) -> None:
        """Named numbers and short texts, which are recorded."""
        with self.context() as context:
            answer = _ask(self.load(plugin)(), context)
        assert _has_texts_as_keys(answer), f"{plugin}: expected texts as keys, got {answer}"
        assert json.dumps(json.loads(json.dumps(answer))) == json.dumps(answer)

    def test_it_leaves_the_problem_as_it_was(self, plugin: str) -> None:
        """The problem is the same for every backend and every probe."""
        with self.context() as context:
            before = _digest_anew(context.problem)
            _ask(self.load(plugin)(), context)
            assert _digest_anew(context.problem) == before, f"{plugin}: changes the problem"

    def test_it_leaves_the_observed_trainer_as_it_was(self, plugin: str) -> None:
        """It may be read, so that other probes read the same: weights, mode, and the very next step."""
        with self.context() as context:
            state, mode = context.observed.state(), context.observed.training
            _ask(self.load(plugin)(), context)
            assert digest(context.observed) == context.observed_digest, f"{plugin}: changes the weights"
            assert context.observed.training == mode, f"{plugin}: leaves another mode"
            found = _step(context.observed, context.problem)
            context.observed.restore(state)
            assert found == _step(context.observed, context.problem), (
                f"{plugin}: changes the optimizer's state"
            )

    def test_it_leaves_a_live_training_as_it_was(self, plugin: str) -> None:
        """A training that is under way when the probe is asked goes on bit for bit."""
        with self.context() as context:
            half = len(context.problem.batches) // 2
            live = context.build()
            before = [live.step(batch) for batch in context.problem.batches[:half]]
            weights = digest(live)
            _ask(self.load(plugin)(), context)
            assert digest(live) == weights, f"{plugin}: changes the weights of a training that is under way"
            after = [live.step(batch) for batch in context.problem.batches[half:]]
            assert [*before, *after] == list(context.losses), f"{plugin}: changes the course of a training"
            assert digest(live) == context.weights_digest
            live.close()

    def test_it_closes_what_it_builds(self, plugin: str) -> None:
        """Some trainers hold what Python cannot free."""
        built: list[Trainer] = []
        closed: list[Trainer] = []
        with self.context() as context:

            def build(*other: Problem) -> Trainer:
                trainer: Any = context.build(*other)
                built.append(trainer)
                trainer.close = partial(closed.append, trainer)
                return built[-1]

            _ask(self.load(plugin)(), replace(context, build=build))
        left = [trainer for trainer in built if trainer not in closed]
        for trainer in built:
            type(trainer).close(trainer)
        assert not left, f"{plugin}: builds {len(built)} trainers and leaves {len(left)} open"


def _step(trainer: Trainer, problem: Problem) -> tuple[float, str]:
    return trainer.step(problem.batches[0]), digest(trainer)


def _ask(probe: Probe, context: Context) -> Any:
    try:
        return probe.ask(context)
    except NotImplementedError as reason:
        skip(probe.name, reason)


def _has_texts_as_keys(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(isinstance(key, str) for key in value) and all(map(_has_texts_as_keys, value.values()))
    return not isinstance(value, list | tuple) or all(map(_has_texts_as_keys, value))


def _digest_anew(problem: Problem) -> str:
    # `replace` makes a problem that has not computed anything yet.
    return replace(problem).digest
