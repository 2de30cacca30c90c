"""Probes of the gradient: what a healthy training answers, and what sick ones do."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from asking import NUMBERS, ask, backends, both_models, context_of, overriding, why_not

from harness.backends.numpy_float64 import NumpyTrainer
from harness.discover import get
from harness.model import IGNORE
from harness.probes._fresh import alone, choose
from harness.probes._gradients import Overlap, norm
from harness.problem import micro_batches
from harness.spec import Schedule
from harness.testing import relative_distances, sample_problem
from harness.training import counted

# accumulation


def mean_of_means(trainer, _old, batch):
    parts = micro_batches(batch, min(trainer.config.micro_batches, len(batch.inputs)))
    return sum(trainer.backward(part, int((part.targets != IGNORE).sum()) * len(parts)) for part in parts)


def not_divided(trainer, _old, batch):
    parts = micro_batches(batch, min(trainer.config.micro_batches, len(batch.inputs)))
    return sum(trainer.backward(part, int((part.targets != IGNORE).sum())) for part in parts)


@backends
@both_models
@pytest.mark.parametrize("parts", [1, 2])
def test_accumulation_is_that_of_one_batch(backend, settings, parts):
    found = ask("accumulation", backend, **{**settings, "micro_batches": parts})
    assert found["ratio"] == pytest.approx(1, abs=1e-6)
    assert found["error"] < 1e-6
    assert max(found["tensor_errors"].values()) < 1e-5


def test_accumulation_names_every_tensor():
    names = {tensor.name for tensor in sample_problem().tensors}
    assert set(ask("accumulation")["tensor_errors"]) == names


def test_accumulation_goes_on_with_fewer_samples_than_micro_batches():
    problem = sample_problem(micro_batches=4)
    trainer = get("backends", "numpy_float64")().build(problem)
    single = replace_rows(problem.batches[0], [2])
    whole = get("backends", "numpy_float64")().build(sample_problem(micro_batches=1)).gradients(single)
    found = trainer.gradients(single)
    assert all(np.array_equal(found[name], whole[name]) for name in whole)
    assert ask("accumulation", problem=problem)["error"] < 1e-12


@backends
@pytest.mark.parametrize("lengths", [(2, 8), None], ids=["ragged", "equal"])
def test_accumulation_sees_a_mean_of_means(backend, lengths):
    # Equal lengths would hide it, so the probe makes them ragged.
    found = ask("accumulation", backend, overriding(accumulate=mean_of_means), lengths=lengths)
    assert found["error"] > 0.05
    assert max(found["tensor_errors"].values()) > 0.05
    assert found["ratio"] == pytest.approx(1, abs=0.5)


@backends
@both_models
def test_accumulation_sees_a_sum_that_is_not_divided(backend, settings):
    if settings == NUMBERS:
        spoil = overriding(accumulate=lambda _trainer, old, batch: 3 * old(batch))
        assert ask("accumulation", backend, spoil, **settings)["error"] < 1e-6, (
            "that is the loss, not the gradient"
        )
        return
    found = ask("accumulation", backend, overriding(accumulate=not_divided), **{**settings, "batch": 6})
    assert found["ratio"] == pytest.approx(2, rel=0.3)
    assert found["error"] > 0.5


def test_accumulation_of_a_lost_micro_batch_is_short():
    def accumulate(trainer, _old, batch):
        first, *_ = micro_batches(batch, min(2, len(batch.inputs)))
        return trainer.backward(first, int((batch.targets != IGNORE).sum()))

    found = ask("accumulation", spoil=overriding(accumulate=accumulate))
    assert found["ratio"] < 0.8
    assert found["error"] > 0.2


def test_accumulation_names_the_tensor_that_lacks_its_part():
    def backward(trainer, old, batch, total):
        if len(batch.inputs) > 1:
            held = trainer.held.get("embedding", 0)
            loss = old(batch, total)
            trainer.held["embedding"] = held + 0 * trainer.held["embedding"]
            return loss
        return old(batch, total)

    found = ask("accumulation", spoil=overriding(backward=backward))
    off = {name for name, error in found["tensor_errors"].items() if error > 1e-6}
    assert off == {"embedding"}
    assert found["tensor_errors"]["embedding"] == pytest.approx(1)


def test_accumulation_without_any_gradient_has_no_answer_that_passes():
    found = ask("accumulation", spoil=overriding(gradients=lambda _trainer, _old, _batch: {}))
    assert np.isnan([found["ratio"], found["error"]]).all()


def test_accumulation_needs_two_samples():
    assert why_not("accumulation", batch=1, micro_batches=1) == "a batch holds a single sample"


def test_accumulation_asks_for_no_more_samples_than_it_needs():
    asked = []

    def gradients(_trainer, old, batch):
        asked.append(len(batch.inputs))
        return old(batch)

    for batch, parts, expected in ((48, 4, 16), (48, 3, 15), (48, 24, 24), (2, 1, 2)):
        asked.clear()
        ask("accumulation", spoil=overriding(gradients=gradients), batch=batch, micro_batches=parts)
        assert asked == [expected] + [1] * expected


# fresh_gradients


@backends
@both_models
def test_fresh_gradients_are_those_of_the_batch(backend, settings):
    found = ask("fresh_gradients", backend, **settings)
    assert found["steps"] == [0, 1, 2, 3]
    assert found["ratio"] == pytest.approx([1] * 4, abs=1e-6)
    assert max(found["error"]) < 1e-6
    assert found["clipped_ratio"] == pytest.approx(found["clipped_expected"], rel=1e-6)
    assert found["clipped_expected"][0] < 0.5, "there is something to clip"


def test_fresh_gradients_without_clipping_expect_a_factor_of_one():
    found = ask("fresh_gradients", clip_norm=None)
    assert found["clipped_expected"] == found["clipped_ratio"] == [1.0] * 4


@backends
def test_fresh_gradients_see_that_nothing_is_zeroed(backend):
    spoil = overriding(zero_gradients=lambda _trainer, _old: None)
    found = ask("fresh_gradients", backend, spoil)
    assert (found["error"][0], found["ratio"][0]) == pytest.approx((0, 1), abs=1e-6)
    assert min(found["error"][1:]) > 0.05, "what is left was clipped"
    assert min(ask("fresh_gradients", backend, spoil, clip_norm=None)["error"][1:]) > 0.5


@backends
def test_fresh_gradients_see_gradients_of_the_batch_before(backend):
    def step(trainer, old, batch, watch=None):
        used = trainer.__dict__.get("before", batch)
        trainer.before = batch
        return old(used, watch)

    found = ask("fresh_gradients", backend, overriding(step=step))
    assert found["error"][0] < 1e-6
    assert min(found["error"][1:]) > 0.1


@backends
def test_fresh_gradients_see_gradients_that_are_zeroed_too_late(backend):
    def accumulate(trainer, old, batch):
        loss = old(batch)
        if trainer.__dict__.get("in_step"):
            trainer.zero_gradients()
        return loss

    def step(trainer, old, batch, watch=None):
        trainer.in_step = True
        try:
            return old(batch, watch)
        finally:
            trainer.in_step = False

    found = ask("fresh_gradients", backend, overriding(accumulate=accumulate, step=step))
    assert found["ratio"] == [0.0] * 4
    assert found["error"] == [1.0] * 4
    assert found["clipped_ratio"] == [1.0] * 4, "nothing to clip is not clipping's fault"


@backends
def test_fresh_gradients_see_that_nothing_is_clipped(backend):
    found = ask("fresh_gradients", backend, overriding(clip=lambda _trainer, _old: None))
    assert max(found["error"]) < 1e-6
    assert found["clipped_ratio"] == pytest.approx([1] * 4)
    assert max(found["clipped_expected"]) < 1


def test_fresh_gradients_see_clipping_before_unscaling():
    def clip(trainer, old):
        for factor in (65_536.0, 1 / 65_536.0):
            for gradient in trainer.held.values():
                np.multiply(gradient, factor, out=gradient)
            if factor > 1:
                old()

    found = ask("fresh_gradients", spoil=overriding(clip=clip))
    assert max(found["clipped_ratio"]) < 1e-4


def test_fresh_gradients_see_clipping_of_each_tensor_alone():
    def clip(trainer, _old):
        for gradient in trainer.held.values():
            np.multiply(gradient, min(1.0, trainer.config.clip_norm / np.linalg.norm(gradient)), out=gradient)

    found = ask("fresh_gradients", spoil=overriding(clip=clip))
    apart = np.abs(np.array(found["clipped_ratio"]) / found["clipped_expected"] - 1)
    assert apart.min() > 0.1


def test_fresh_gradients_clip_by_a_second_formula():
    seen = []

    def clip(trainer, old):
        before = [gradient.copy() for gradient in trainer.held.values()]
        old()
        seen.append((before, [gradient.copy() for gradient in trainer.held.values()]))

    found = ask("fresh_gradients", spoil=overriding(clip=clip))
    for step, (before, after) in enumerate(seen[-4:]):
        lengths = [np.sqrt(sum(float((part**2).sum()) for part in parts)) for parts in (before, after)]
        assert found["clipped_ratio"][step] == pytest.approx(lengths[1] / lengths[0])
        assert found["clipped_expected"][step] == pytest.approx(0.5 / lengths[0], rel=1e-5)


@backends
def test_fresh_gradients_of_a_detached_loss_have_no_answer_that_passes(backend):
    found = ask("fresh_gradients", backend, overriding(backward=lambda _trainer, _old, _batch, _total: 1.0))
    assert np.isnan(found["ratio"]).all()
    assert np.isnan(found["error"]).all()


def test_fresh_gradients_with_dropout_are_asked_from_one_random_state():
    def spoil(trainer):
        original = trainer.model.feed_forward
        trainer.model.feed_forward = lambda *given: torch.nn.functional.dropout(original(*given), 0.5)

    found = ask("fresh_gradients", "torch_eager", spoil)
    assert max(found["error"]) < 1e-6


def test_fresh_gradients_repeat_the_batches_of_a_short_training():
    assert len(ask("fresh_gradients", steps=2)["error"]) == 4


def test_fresh_gradients_need_gradients_that_show():
    def spoil(trainer):
        trainer.__class__ = type("Silent", (), {"__getattribute__": silent})

    def silent(self, name):
        if name == "gradient_arrays":
            raise AttributeError(name)
        return object.__getattribute__(self, name)

    trainer = SimpleNamespace(state=lambda: None, restore=lambda _state: None, close=lambda: None)
    context = replace(context_of("numpy_float64", sample_problem()), build=lambda: trainer)
    with pytest.raises(NotImplementedError, match="does not show the gradients of a step"):
        get("probes", "fresh_gradients")().ask(context)


def test_schedules_do_not_matter():
    # A rate that starts at zero moves nothing in the first steps, and the questions do not need it to.
    found = ask("fresh_gradients", schedule=Schedule(kind="linear", warmup=6))
    assert max(found["error"]) < 1e-6


# the distance of gradients


def test_overlap_is_that_of_the_flat_vectors():
    generator = np.random.default_rng(0)
    found, wanted = generator.normal(size=(2, 12))
    cut = [slice(0, 5), slice(5, 12)]
    overlap = Overlap.of((found[part].reshape(1, -1), wanted[part].reshape(1, -1)) for part in cut)
    assert overlap.ratio == pytest.approx(found @ wanted / (wanted @ wanted))
    assert overlap.error == pytest.approx(np.linalg.norm(found - wanted) / np.linalg.norm(wanted))
    assert norm([found[:5], None, found[5:]]) == pytest.approx(np.linalg.norm(found))


def test_overlap_takes_none_for_zero():
    wanted = np.array([3.0, 4.0])
    assert (Overlap.of([(None, wanted)]).ratio, Overlap.of([(None, wanted)]).error) == (0, 1)
    assert Overlap.of([(wanted, None), (None, None)]).found == 25
    assert np.isnan([Overlap.of([(wanted, None)]).ratio, Overlap.of([]).error]).all()


def replace_rows(batch, rows):
    return replace(
        batch,
        inputs=batch.inputs[rows],
        targets=batch.targets[rows],
        sample_ids=batch.sample_ids[rows],
        lengths=batch.lengths[rows],
    )


# What several of them share.


@pytest.mark.parametrize(("compiles", "micro_batches"), [(True, 1), (True, 2), (False, 1)])
def test_one_sample_counts_alone(compiles, micro_batches, monkeypatch):
    monkeypatch.setattr(NumpyTrainer, "compiles", compiles)
    problem = sample_problem(micro_batches=micro_batches)
    batch, trainer = problem.batches[0], NumpyTrainer(problem)
    by_itself = choose(batch, slice(1, 2))
    single = alone(trainer, batch, 1, micro_batches)
    assert (single.inputs.shape == batch.inputs.shape) == (compiles and micro_batches == 1)
    assert counted(single) == counted(by_itself)
    distances = relative_distances(trainer.gradients(single), trainer.gradients(by_itself))
    assert max(distances.values()) < 1e-12


def test_numbers_to_be_predicted_cannot_be_left_out(monkeypatch):
    monkeypatch.setattr(NumpyTrainer, "compiles", True)
    problem = sample_problem(**NUMBERS)
    assert len(alone(NumpyTrainer(problem), problem.batches[0], 2, 1).inputs) == 1


@pytest.mark.parametrize("probe", ["accumulation", "alignment"])
def test_answers_do_not_depend_on_how_a_sample_is_asked_for(probe, monkeypatch):
    by_itself = ask(probe, micro_batches=1)
    monkeypatch.setattr(NumpyTrainer, "compiles", True)
    in_the_whole = ask(probe, micro_batches=1)
    if probe == "alignment":
        assert in_the_whole == by_itself
        return
    assert in_the_whole["ratio"] == pytest.approx(by_itself["ratio"], rel=1e-9)
    assert max(in_the_whole["error"], by_itself["error"]) < 1e-9
