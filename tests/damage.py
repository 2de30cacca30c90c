"""A real training, broken by hand in ways that no fault of the suite lists; for the tests of diagnoses."""

from dataclasses import replace

import numpy as np

from harness.backends.numpy_float64 import NumpyFloat64
from harness.discover import working
from harness.model import Answer, Batch
from harness.problem import micro_batches
from harness.spec import Sgd, SgdOptimizer
from harness.testing.healthy import healthy_facts
from harness.testing.sample import observe, sample_problem
from harness.training import counted

TENSOR = "layers.0.mlp.up.weight"
GAIN = "layers.0.mlp_norm.weight"


class Damaged(NumpyFloat64):
    """The reference's own program, broken after it was built; it no longer counts as the reference."""

    reference = False

    def __init__(self, damage):
        self.damage = damage

    def build(self, problem):
        trainer = super().build(problem)
        self.damage(trainer)
        return trainer


def examine(damage, spoil=lambda problem: problem, probes=None):
    """Facts of a training of 12 steps with plain SGD, and the answers of the probes (all of them)."""
    problem = spoil(sample_problem(steps=12, optimizer=SgdOptimizer(sgd=Sgd(lr=0.3))))
    asked = working("probes") if probes is None else {name: working("probes")[name] for name in probes}
    with observe(Damaged(damage), problem) as context:
        return replace(
            healthy_facts(),
            problem=problem.facts,
            trace=context.trace,
            answers={name: answer(probe(), context) for name, probe in asked.items()},
            measurements={},
        )


def answer(probe, context):
    try:
        return Answer(facts=probe.ask(context))
    except NotImplementedError as reason:
        return Answer(skipped=str(reason))


def nothing(trainer):
    del trainer


def updates(times):
    """The optimizer's rule that many times in every step."""

    def damage(trainer):
        update = trainer.update
        trainer.update = lambda rate: [update(rate) for _ in range(times)][-1:]

    return damage


def scaled_update(factor):
    """Every update cut or stretched."""

    def damage(trainer):
        update = trainer.update

        def broken(rate):
            before = {name: values.copy() for name, values in trainer.weights.items()}
            update(rate)
            trainer.load({name: old + factor * (trainer.weights[name] - old) for name, old in before.items()})

        trainer.update = broken

    return damage


def clears_every(steps):
    """Gradients are forgotten every so many steps only."""

    def damage(trainer):
        zero = trainer.zero_gradients
        trainer.zero_gradients = lambda: zero() if trainer.position % steps == 0 else None

    return damage


def after_update(change):
    """Something done to the weights, by name, after every update."""

    def damage(trainer):
        update = trainer.update

        def broken(rate):
            before = {name: values.copy() for name, values in trainer.weights.items()}
            update(rate)
            for name, values in trainer.weights.items():
                values[...] = change(trainer, name, values, before[name])

        trainer.update = broken

    return damage


def rounds_to(dtype):
    """Weights that are kept in few bits: NumPy has float16; bfloat16 is the upper half of float32."""

    def keep(trainer, name, values, before):
        del trainer, name, before
        if dtype == "float16":
            return values.astype(np.float16)
        bits = (values.astype(np.float32).view(np.uint32) + 0x8000) & 0xFFFF0000
        return bits.astype(np.uint32).view(np.float32)

    return after_update(keep)


def freezes(tensor):
    return after_update(lambda _, name, values, before: before if name == tensor else values)


def breaks_at(step, tensor):
    """One tensor's gradient becomes infinite at one step."""

    def damage(trainer):
        accumulate = trainer.accumulate

        def broken(batch):
            loss = accumulate(batch)
            if trainer.position == step:
                trainer.held[tensor][...] = np.inf
            return loss

        trainer.accumulate = broken

    return damage


def hurries(extra):
    """The schedule advances more than once in a step."""

    def damage(trainer):
        update = trainer.update

        def broken(rate):
            update(rate)
            trainer.position += extra

        trainer.update = broken

    return damage


def outputs(change):
    """Logits are changed on their way out."""

    def damage(trainer):
        forward = trainer.model.forward

        def broken(weights, inputs):
            logits, tape = forward(weights, inputs)
            return change(logits), tape

        trainer.model.forward = broken

    return damage


def leaks_back(distance):
    """Each position sees a tenth of the logits so many positions later."""

    def change(logits):
        later = np.zeros_like(logits)
        later[:, :-distance] = logits[:, distance:]
        return logits + 0.1 * later

    return outputs(change)


def first_sample_leaks(logits):
    logits = logits.copy()
    logits[1:] += 0.1 * logits[:1]
    return logits


def loss_times(factor):
    def damage(trainer):
        loss_sum = trainer.model.loss_sum

        def broken(logits, targets):
            total, count, slope = loss_sum(logits, targets)
            return factor * total, count, slope

        trainer.model.loss_sum = broken

    return damage


def gradient_of(tensor, factor):
    """One tensor's gradient is another multiple of itself."""

    def damage(trainer):
        backward = trainer.model.backward

        def broken(weights, tape, slope):
            return {
                name: factor * found if name == tensor else found
                for name, found in backward(weights, tape, slope).items()
            }

        trainer.model.backward = broken

    return damage


def adds_means(divided):
    """The means of micro-batches, averaged or summed."""

    def damage(trainer):
        def broken(batch):
            parts = micro_batches(batch, min(2, len(batch.sample_ids)))
            divisor = len(parts) if divided else 1
            return sum(trainer.backward(part, divisor * counted(part)) for part in parts)

        trainer.accumulate = broken

    return damage


def clips_scaled(scale):
    def damage(trainer):
        clip = trainer.clip

        def broken():
            trainer.held = {name: scale * held for name, held in trainer.held.items()}
            clip()
            trainer.held = {name: held / scale for name, held in trainer.held.items()}

        trainer.clip = broken

    return damage


def forgets_position(trainer):
    restore = trainer.restore

    def broken(state):
        restore(state)
        trainer.position = 0

    trainer.restore = broken


def scores_everything_right(trainer):
    trainer.score = lambda batch: 0.0 * len(batch.inputs) + 1.0


def answers_at_random(trainer):
    generator = np.random.default_rng(0)
    trainer.infer = lambda inputs: generator.standard_normal(trainer.logits(inputs).shape)


def evaluates_with_a_step(trainer):
    loss = trainer.loss

    def broken(batch):
        trainer.load({name: 0.999 * values for name, values in trainer.weights.items()})
        return loss(batch)

    trainer.loss = broken


def saves_half(trainer):
    save = trainer.save

    def broken(path):
        kept = {name: values.copy() for name, values in trainer.weights.items()}
        trainer.load({name: values.astype(np.float16) for name, values in kept.items()})
        save(path)
        trainer.load(kept)

    trainer.save = broken


def moved_targets(by):
    """Targets of another position, so many tokens further on."""

    def move(batch):
        targets = np.full_like(batch.targets, -100)
        targets[:, :-by] = batch.targets[:, by:]
        return Batch(inputs=batch.inputs, targets=targets, sample_ids=batch.sample_ids, lengths=batch.lengths)

    def spoil(problem):
        long = sample_problem(steps=12, optimizer=problem.config.optimizer, lengths=None)
        return replace(long, batches=tuple(map(move, long.batches)), held_out=move(long.held_out))

    return spoil
