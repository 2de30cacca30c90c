"""The contract of a backend and of the trainers that it makes."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest

from harness.backends import Backend
from harness.backends.numpy_float64 import NumpyTrainer
from harness.discover import Kind
from harness.model import IGNORE, Array, Batch
from harness.passes import digest
from harness.probes.reference import find_scale
from harness.problem import Problem
from harness.testing.contract import Contract, skip
from harness.testing.sample import copies, recorder_of, relative_distances, sample_case, sample_problem
from harness.trainer import Trainer

LOSS = 1e-5
"""Largest relative difference of a loss from the reference in float32."""
GRADIENTS = 1e-4
"""Largest relative L2 distance of a tensor's gradient from the reference in float32."""

QUIET = """
import importlib, sys
from harness.discover import get
backend = get("backends", {name!r})()
heavy = {{name.partition(".")[0] for name in (*backend.packages, *backend.preload)}} - {{"harness"}}
print("loaded", *sorted(heavy & set(sys.modules)))
before = set(sys.modules)
backend.unavailable()
print("imported", *sorted(set(sys.modules) - before))
"""


class BackendContract(Contract):
    """A backend is stateless; its trainers start at the problem's values and train as the reference does."""

    kind: ClassVar[Kind] = "backends"

    @contextmanager
    def trainers(self, plugin: str, number: int = 1, **config: Any) -> Iterator[tuple[Problem, Any]]:
        """Fresh trainers of the sample problem; what a trainer lacks, or cannot do here, skips the test."""
        backend: Backend = self.load(plugin)()
        case = sample_case(**config)
        why = backend.misfit(case) or backend.unavailable() or backend.unsupported(case)
        if why:
            pytest.skip(why)
        problem = sample_problem(**config)
        backend.configure(problem.config)
        made = [backend.build(problem) for _ in range(number)]
        try:
            yield problem, (made[0] if number == 1 else made)
        except NotImplementedError as reason:
            skip(plugin, reason)
        finally:
            for trainer in made:
                trainer.close()

    def test_it_is_stateless(self, plugin: str) -> None:
        """Made without arguments, and nothing is kept from one training to the next."""
        backend: Backend = self.load(plugin)()
        assert backend.name == plugin
        if not (backend.misfit(sample_case()) or backend.unavailable()):
            backend.configure(sample_problem().config)
            backend.build(sample_problem()).close()
        assert not vars(backend), f"{plugin}: keeps {vars(backend)}"

    def test_asking_whether_it_is_there_imports_nothing(self, plugin: str) -> None:
        """`harness list` asks all backends and loads no framework."""
        code = QUIET.format(name=plugin)
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)  # noqa: S603
        assert done.stdout.split("\n")[:2] == ["loaded", "imported"], f"{plugin}: {done.stdout}{done.stderr}"

    def test_it_says_what_it_set(self, plugin: str) -> None:
        """Device, threads and dtype are recorded with every run."""
        with self.trainers(plugin) as (problem, _):
            found = self.load(plugin)().configure(problem.config)
        assert {"device", "threads", "dtype"} <= set(found)
        assert json.loads(json.dumps(dict(found))) == dict(found)

    def test_it_leaves_the_problem_as_it_was(self, plugin: str) -> None:
        """The problem is the same for every backend."""
        with self.trainers(plugin) as (problem, trainer):
            before = replace(problem).digest  # of a copy, which has not computed any yet
            for batch in problem.batches:
                trainer.step(batch)
            trainer.load({name: np.zeros_like(values) for name, values in copies(trainer).items()})
            assert replace(problem).digest == before, f"{plugin}: changes the problem"

    def test_it_starts_at_the_initial_values(self, plugin: str) -> None:
        """Names, order, shapes and values are the problem's, rounded to the trainer's dtype."""
        with self.trainers(plugin) as (problem, trainer):
            found = copies(trainer)
            assert tuple(found) == tuple(trainer.names) == tuple(tensor.name for tensor in problem.tensors)
            for tensor in problem.tensors:
                values = found[tensor.name]
                assert values.shape == tensor.shape
                assert np.array_equal(values, problem.initial[tensor.name].astype(values.dtype)), tensor.name

    def test_load_round_trips(self, plugin: str) -> None:
        """What `parameters` gives, `load` takes, in whole or in part."""
        with self.trainers(plugin, 2) as (problem, (one, other)):
            for batch in problem.batches:
                one.step(batch)
            first, *rest = copies(one).items()
            other.load(dict([first]))
            assert np.array_equal(other.parameters()[first[0]], first[1])
            other.load(dict(rest))
            assert digest(other) == digest(one)

    def test_loss_is_that_of_the_logits(self, plugin: str) -> None:
        """Mean cross entropy over the counted targets, here written out once more."""
        with self.trainers(plugin) as (problem, trainer):
            batch = problem.batches[0]
            logits = np.asarray(trainer.logits(batch.inputs), np.float64)
            assert logits.shape == (*batch.inputs.shape, problem.model.decoder.vocab)  # type: ignore[union-attr]
            assert trainer.loss(batch) == pytest.approx(_cross_entropy(logits, batch.targets), rel=LOSS)

    def test_step_returns_the_loss_before_it(self, plugin: str) -> None:
        """At every step, whatever the micro-batches; and it trains."""
        with self.trainers(plugin) as (problem, trainer):
            start = digest(trainer)
            for batch in problem.batches:
                expected = trainer.loss(batch)
                assert trainer.step(batch) == pytest.approx(expected, rel=LOSS)
            assert digest(trainer) != start

    def test_asking_changes_nothing(self, plugin: str) -> None:
        """Gradients, loss, logits and a change of mode leave the training as it was, bit for bit."""
        with self.trainers(plugin, 2) as (problem, (bare, asked)):
            for batch in problem.batches:
                _ask_everything(asked, problem)
                assert digest(asked) == digest(bare)
                assert asked.step(batch) == bare.step(batch)
            assert digest(asked) == digest(bare)

    def test_watching_changes_nothing(self, plugin: str) -> None:
        """Observed steps are the unobserved ones, bit for bit."""
        with self.trainers(plugin, 2) as (problem, (bare, watched)):
            recorder = recorder_of(watched, problem)
            for batch in problem.batches:
                loss = watched.step(batch, recorder)
                recorder.finish_step(loss)
                assert loss == bare.step(batch)
            assert digest(watched) == digest(bare)
            trace = recorder.trace()
            assert trace.update_ratio == pytest.approx(np.ones_like(trace.update_ratio), abs=1e-3)
            parts = problem.config.micro_batches
            assert {name: set(counts) for name, counts in trace.events.items()} == {
                "backward": {parts}, "update": {1}, "zero_grad": {1},
            }  # fmt: skip

    def test_restore_returns_to_a_state(self, plugin: str) -> None:
        """The same batches after it give the same bits, also in another trainer, and more than once."""
        with self.trainers(plugin, 2) as (problem, (one, other)):
            first, rest = problem.batches[:2], problem.batches[2:]
            for batch in first:
                one.step(batch)
            state = one.state()
            story = [one.step(batch) for batch in rest], digest(one)
            for trainer in (one, other, one):
                trainer.restore(state)
                assert ([trainer.step(batch) for batch in rest], digest(trainer)) == story

    def test_training_twice_gives_the_same_bits(self, plugin: str) -> None:
        """What `deterministic: true` expects."""
        with self.trainers(plugin, 2) as (problem, pair):
            stories = [
                ([trainer.step(batch) for batch in problem.batches], digest(trainer)) for trainer in pair
            ]
        assert stories[0] == stories[1]

    @pytest.mark.parametrize("parts", [2, 4])
    def test_micro_batches_give_the_gradients_of_the_whole(self, plugin: str, parts: int) -> None:
        """Also where samples differ in length: a mean of means would not."""
        with self.trainers(plugin, micro_batches=1) as (problem, whole):
            expected = dict(whole.gradients(problem.batches[0]))
            lengths = problem.batches[0].lengths
            assert len(set(lengths)) > 1, "the sample has ragged lengths"
        with self.trainers(plugin, micro_batches=parts) as (problem, split):
            found = split.gradients(problem.batches[0])
            assert max(relative_distances(found, expected).values()) < LOSS

    def test_it_trains_as_the_reference(self, plugin: str) -> None:
        """Loss within 1e-5 at every step."""
        with self.trainers(plugin) as (problem, trainer):
            reference = NumpyTrainer(problem)
            expected = [reference.step(batch) for batch in problem.batches]
            assert [trainer.step(batch) for batch in problem.batches] == pytest.approx(expected, rel=LOSS)

    def test_its_gradients_are_those_of_the_reference(self, plugin: str) -> None:
        """Within 1e-4 for each tensor, at the initial weights and where logits are of order one."""
        with self.trainers(plugin) as (problem, trainer):
            agrees(trainer, problem)


def agrees(trainer: Trainer, problem: Problem, loss: float = LOSS, gradients: float = GRADIENTS) -> float:
    """Assert that losses and gradients of the first batch are the reference's, at both scales of weights.

    loss, gradients: the largest relative differences.

    Returns:
        The largest relative difference of a gradient that was found.
    """
    batch, reference = problem.batches[0], NumpyTrainer(problem)
    default = _agrees(trainer, reference, batch, loss, gradients)
    find_scale(reference, batch.inputs)
    assert 0.5 < np.std(reference.logits(batch.inputs)) < 2
    trainer.load(reference.parameters())
    return max(default, _agrees(trainer, reference, batch, loss, gradients))


def _agrees(trainer: Trainer, reference: NumpyTrainer, batch: Batch, loss: float, gradients: float) -> float:
    assert trainer.loss(batch) == pytest.approx(reference.loss(batch), rel=loss)
    expected = reference.gradients(batch)
    distances = relative_distances(trainer.gradients(batch), expected)
    assert max(distances.values()) < gradients, distances
    return max(distances.values())


def _ask_everything(trainer: Trainer, problem: Problem) -> None:
    batch = problem.held_out
    trainer.train(False)
    trainer.loss(batch)
    trainer.logits(batch.inputs)
    trainer.train()
    trainer.gradients(batch)


def _cross_entropy(logits: Array, targets: Array) -> float:
    shifted = logits - logits.max(axis=-1, keepdims=True)
    shares = np.exp(shifted) / np.exp(shifted).sum(axis=-1, keepdims=True)
    shares, targets = shares[targets != IGNORE], targets[targets != IGNORE]
    return float(-np.log(shares[np.arange(len(targets)), targets]).mean())
