"""Checks of equivalence: each passes a healthy training and fails sick ones, in exactly these words."""

from dataclasses import replace
from math import inf, nan
from statistics import median

import numpy as np
import pytest
from asking import CLASSES, ask, overriding

from harness.checks.accumulation import Accumulation
from harness.checks.attends import Attends
from harness.checks.causal import Causal
from harness.checks.clipping import Clipping
from harness.checks.fresh_gradients import FreshGradients
from harness.checks.gradient_total import GradientTotal
from harness.checks.ignores_padding import IgnoresPadding
from harness.checks.labels import Labels
from harness.checks.order_invariant import OrderInvariant
from harness.checks.samples_independent import SamplesIndependent
from harness.checks.step_time_growth import StepTimeGrowth
from harness.model import Answer, Measurement, Status
from harness.testing import healthy_facts, healthy_trace

HEALTHY = {
    "influence": {"future": 0.0, "past": 0.75, "own": 1.5, "first_leak": None, "scale": 1.0},
    "isolation": {"other_sample": 0.0, "permuted_logits": 0.0, "permuted_loss": 1.2e-7},
    "accumulation": {"ratio": 1.0, "error": 2e-7, "tensor_errors": {"embedding": 1e-7, "head.weight": 3e-7}},
    "fresh_gradients": {
        "steps": [0, 1, 2, 3],
        "ratio": [1.0, 1.0, 1.0, 1.0],
        "error": [0.0, 1e-7, 0.0, 0.0],
        "clipped_ratio": [0.25, 0.5, 1.0, 1.0],
        "clipped_expected": [0.25, 0.5, 1.0, 1.0],
    },
    "padding": {"loss_change": 0.0, "gradient_change": 0.0, "counted": 1920, "expected": 1920},
    "alignment": {
        "agreement": {"-2": 0.04, "-1": 0.05, "0": 0.03, "1": 1.0, "2": 0.03, "3": 0.05},
        "best": 1,
        "loss_shift": 0,
    },
}
PROBED = {
    Causal(required=True): "the influence of tokens on logits",
    Attends(required=True): "the influence of tokens on logits",
    SamplesIndependent(required=True): "the influence of samples on each other",
    OrderInvariant(required=True): "the effect of the order of samples",
    Accumulation(at_most=1e-4): "the gradients of single samples",
    FreshGradients(at_most=1e-4): "the gradients of single steps",
    Clipping(at_most=1e-3): "the gradients of single steps",
    IgnoresPadding(required=True): "the effect of padding",
    Labels(shift=1): "the alignment of targets",
}
probed = pytest.mark.parametrize("check", PROBED, ids=lambda check: check.name)


def answered(probe, **changes):
    """Healthy facts with this answer. changes: of a healthy answer."""
    return healthy_facts(answers={probe: Answer(facts={**HEALTHY[probe], **changes})})


def verdicts(check, **changes):
    return list(check.judge(answered(check.probes[0], **changes)))


def only(check, **changes):
    (verdict,) = verdicts(check, **changes)
    return verdict


def failure(verdict, **expected):
    """Whether a verdict is exactly this failure, as far as it is told."""
    assert verdict.status is Status.FAIL, verdict
    assert {key: getattr(verdict, key) for key in expected} == expected
    return True


def passes(verdict, message):
    assert verdict.status is Status.PASS, verdict
    assert (verdict.message, verdict.reason, verdict.step, verdict.tensor) == (message, "", None, "")
    return True


# causal


def test_causal_passes():
    message = "logits change by 0 standard deviations at most when a later token changes, expected no change"
    assert passes(only(Causal(required=True)), message)
    assert only(Causal(required=True), future=1e-4, first_leak=None).status is Status.PASS


def test_causal_fails_when_the_future_leaks():
    leak = {"changed": 7, "position": 3, "change": 0.41}
    verdict = only(Causal(required=True), future=0.8, first_leak=leak)
    message = (
        "logits at position 3 change by 0.41 standard deviations when token 7 changes, expected no change: "
        "the future leaks"
    )
    assert failure(verdict, message=message, observed=0.8, expected="no change", reason="out_of_bounds")


@pytest.mark.parametrize("future", [nan, inf])
def test_causal_fails_on_what_is_not_finite(future):
    verdict = only(Causal(required=True), future=future, first_leak=None)
    message = (
        f"logits change by {future} standard deviations at most when a later token changes, "
        "expected no change: the future leaks"
    )
    assert failure(verdict, reason="nonfinite", message=message)


# attends


def test_attends_passes():
    message = (
        "logits change by 0.75 standard deviations at most when an earlier token changes, expected >= 0.001"
    )
    assert passes(only(Attends(required=True)), message)


def test_attends_fails_when_nothing_is_mixed():
    message = (
        "logits change by 0 standard deviations at most when an earlier token changes, expected >= 0.001: "
        "attention mixes nothing"
    )
    assert failure(only(Attends(required=True), past=0.0), observed=0.0, message=message)
    assert failure(only(Attends(required=True), past=nan), reason="nonfinite")


# samples_independent


def test_samples_independent_passes():
    message = (
        "logits of a sample change by 0 standard deviations when others of its batch are replaced, "
        "expected no change"
    )
    assert passes(only(SamplesIndependent(required=True)), message)


def test_samples_independent_fails_when_samples_leak():
    message = (
        "logits of a sample change by 0.41 standard deviations when others of its batch are replaced, "
        "expected no change: samples leak into each other"
    )
    verdict = only(SamplesIndependent(required=True), other_sample=0.41)
    assert failure(verdict, observed=0.41, reason="out_of_bounds", message=message)
    assert failure(only(SamplesIndependent(required=True), other_sample=nan), reason="nonfinite")


# order_invariant


def test_order_invariant_passes():
    logits, loss = verdicts(OrderInvariant(required=True))
    assert passes(
        logits, "logits change by 0 standard deviations when the batch is permuted, expected no change"
    )
    assert passes(loss, "the loss changes by 1.2e-05 % when the batch is permuted, expected no change")


def test_order_invariant_fails_when_the_order_counts():
    logits, loss = verdicts(OrderInvariant(required=True), permuted_logits=0.2, permuted_loss=0.01)
    means = "expected no change: results depend on a sample's place in its batch"
    message = f"logits change by 0.2 standard deviations when the batch is permuted, {means}"
    assert failure(logits, observed=0.2, message=message)
    assert failure(
        loss, observed=0.01, message=f"the loss changes by 1 % when the batch is permuted, {means}"
    )
    for verdict in verdicts(OrderInvariant(required=True), permuted_logits=nan, permuted_loss=nan):
        assert failure(verdict, reason="nonfinite")


# accumulation


def test_accumulation_passes():
    total, worst = verdicts(Accumulation(at_most=1e-4))
    assert passes(
        total,
        "a batch's gradient is 1 times the weighted sum of its samples' gradients, relative distance 2e-07, "
        "expected <= 0.0001",
    )
    assert passes(
        worst,
        "a batch's gradient of head.weight lies 3e-07 (relative) from its samples', expected <= 0.0001",
    )


def test_accumulation_fails_when_nothing_is_divided():
    errors = {"embedding": 3.0, "head.weight": 3.1}
    total, worst = verdicts(Accumulation(at_most=1e-4), ratio=4.0, error=3.0, tensor_errors=errors)
    means = "expected <= 0.0001: micro-batches are not added up as one batch"
    message = (
        "a batch's gradient is 4 times the weighted sum of its samples' gradients, relative distance 3, "
        f"{means}"
    )
    assert failure(total, observed=3.0, expected="<= 0.0001", message=message)
    message = f"a batch's gradient of head.weight lies 3.1 (relative) from its samples', {means}"
    assert failure(worst, observed=3.1, tensor="head.weight", message=message)


def test_accumulation_fails_for_one_tensor_alone():
    errors = {"embedding": 0.5, "head.weight": 0.0}
    total, worst = verdicts(Accumulation(at_most=1e-4), tensor_errors=errors)
    assert total.status is Status.PASS
    assert failure(worst, tensor="embedding")


def test_accumulation_fails_on_nan():
    errors = {"a": 9.0, "b": nan, "c": 0.0}
    total, worst = verdicts(Accumulation(at_most=10.0), ratio=nan, error=nan, tensor_errors=errors)
    assert failure(total, reason="nonfinite")
    assert failure(worst, reason="nonfinite", tensor="b")
    total, _ = verdicts(Accumulation(at_most=1e-4), ratio=nan)
    assert total.status is Status.FAIL


# fresh_gradients


def test_fresh_gradients_passes():
    message = (
        "at step 1 the optimizer sees 1 times the gradient of its batch, relative distance 1e-07, "
        "expected <= 0.0001"
    )
    assert passes(only(FreshGradients(at_most=1e-4)), message)


def test_fresh_gradients_fails_at_the_first_step_that_sees_more():
    verdict = only(FreshGradients(at_most=1e-4), ratio=[1.0, 2.0, 3.0, 4.0], error=[0.0, 1.25, 2.5, 3.75])
    message = (
        "at step 1 the optimizer sees 2 times the gradient of its batch, relative distance 1.25, "
        "expected <= 0.0001: gradients of other steps are mixed in, or its own are lost"
    )
    assert failure(verdict, observed=1.25, step=1, reason="out_of_bounds", message=message)


def test_fresh_gradients_fails_on_nan():
    verdict = only(FreshGradients(at_most=1e-4), ratio=[1.0, nan, 1.0, 1.0], error=[0.0, nan, 0.0, 0.0])
    assert failure(verdict, reason="nonfinite", step=1)
    assert only(FreshGradients(at_most=1e-4), ratio=[nan] * 4).status is Status.FAIL


# clipping


def test_clipping_passes():
    message = "clipping multiplies the gradient's norm by 0.5004 at step 1, expected 0.5"
    assert passes(only(Clipping(at_most=1e-3), clipped_ratio=[0.25, 0.5004, 1.0, 1.0]), message)


def test_clipping_fails_when_it_is_skipped():
    verdict = only(Clipping(at_most=1e-3), clipped_ratio=[1.0, 1.0, 1.0, 1.0])
    message = (
        "clipping multiplies the gradient's norm by 1 at step 0, expected 0.25: "
        "what the optimizer sees is not what clip_norm implies"
    )
    assert failure(verdict, observed=1.0, expected="0.25", step=0, message=message)


def test_clipping_fails_when_gradients_vanish_or_are_not_finite():
    verdict = only(Clipping(at_most=1e-3), clipped_ratio=[0.25, 0.5, 1.0, 1.5e-5])
    assert failure(verdict, observed=1.5e-5, step=3, reason="out_of_bounds")
    assert failure(only(Clipping(at_most=1e-3), clipped_ratio=[nan] * 4), step=0, reason="nonfinite")
    assert only(Clipping(at_most=1e-3), clipped_expected=[0.0, nan, 1.0, 1.0]).status is Status.FAIL


# ignores_padding


def test_ignores_padding_passes():
    counted, loss, gradient = verdicts(IgnoresPadding(required=True))
    assert passes(counted, "1,920 targets count, expected 1,920")
    assert passes(loss, "the loss changes by 0 % when only padding changes, expected no change")
    assert passes(gradient, "the gradient changes by 0 % when only padding changes, expected no change")


def test_ignores_padding_fails_when_padding_counts():
    changes = {"counted": 2560, "loss_change": 0.02, "gradient_change": 0.3}
    counted, loss, gradient = verdicts(IgnoresPadding(required=True), **changes)
    assert failure(
        counted, observed=2560, message="2,560 targets count, expected 1,920: padding is trained on"
    )
    means = "when only padding changes, expected no change: padding has a say"
    assert failure(loss, observed=0.02, unit="%", message=f"the loss changes by 2 % {means}")
    assert failure(gradient, observed=0.3, message=f"the gradient changes by 30 % {means}")


def test_ignores_padding_fails_on_nan():
    _, loss, gradient = verdicts(IgnoresPadding(required=True), loss_change=nan, gradient_change=nan)
    assert failure(loss, reason="nonfinite")
    assert failure(gradient, reason="nonfinite")


# labels


def agreeing(**shares):
    return {str(shift): shares.get(name, 0.04) for shift, name in SHIFTS.items()}


SHIFTS = {-2: "minus_2", -1: "minus_1", 0: "same", 1: "next", 2: "second", 3: "third"}


def test_labels_passes():
    data, loss = verdicts(Labels(shift=1))
    assert passes(data, "100 % of the targets are the input 1 later, expected >= 99 % at shift 1")
    assert passes(loss, "the loss shifts targets by 0, expected 0")
    data, _ = verdicts(Labels(shift=0), agreement=agreeing(same=1.0), best=0)
    assert passes(data, "100 % of the targets are the input itself, expected >= 99 % at shift 0")
    data, _ = verdicts(Labels(shift=-1), agreement=agreeing(minus_1=0.99), best=-1)
    assert passes(data, "99 % of the targets are the input 1 earlier, expected >= 99 % at shift -1")


def test_labels_fails_when_targets_are_not_shifted():
    data, _ = verdicts(Labels(shift=1), agreement=agreeing(same=1.0), best=0)
    message = (
        "4 % of the targets are the input 1 later, 100 % are the input itself, "
        "expected >= 99 % at shift 1: targets and inputs are misaligned"
    )
    assert failure(data, observed=0.04, unit="%", reason="out_of_bounds", message=message)
    data, _ = verdicts(Labels(shift=1), agreement=agreeing(second=1.0), best=2)
    assert "100 % are the input 2 later" in data.message


def test_labels_fails_when_targets_are_shuffled():
    data, _ = verdicts(Labels(shift=1), agreement=agreeing(next=0.05), best=1)
    message = (
        "5 % of the targets are the input 1 later, "
        "expected >= 99 % at shift 1: targets and inputs are misaligned"
    )
    assert failure(data, message=message)


def test_labels_fails_when_the_loss_shifts_once_more():
    data, loss = verdicts(Labels(shift=1), loss_shift=1)
    assert data.status is Status.PASS
    message = "the loss shifts targets by 1, expected 0: they are shifted once too often or too little"
    assert failure(loss, observed=1, message=message)


def test_labels_fails_where_no_pair_exists():
    data, _ = verdicts(Labels(shift=1), agreement={**agreeing(same=1.0), "1": nan}, best=0)
    assert failure(data, reason="nonfinite")


def test_labels_says_nothing_of_a_loss_that_is_not_known():
    assert only(Labels(shift=1), loss_shift=None).status is Status.PASS


def test_labels_needs_a_pair():
    verdict = only(Labels(shift=1), best=None)
    assert (verdict.status, verdict.message) == (
        Status.ERROR,
        "a pair of a target and an input was not recorded",
    )


# step_time_growth


def timed(samples, value=None):
    value = median(samples) if value is None else value
    measurement = Measurement(name="step_time", value=value, unit="s", samples=tuple(samples))
    return healthy_facts(measurements={"step_time": measurement})


def growth(samples, at_most=0.5, **changes):
    (verdict,) = StepTimeGrowth(at_most=at_most).judge(timed(samples, **changes))
    return verdict


def test_step_time_growth_passes():
    verdict = growth([0.001] * 27)
    assert passes(verdict, "0 % of the median step more at the end than at the start, expected <= 50 %")
    assert growth([0.001 + 1e-5 * step for step in range(8)], at_most=0.059).status is Status.PASS


def test_step_time_growth_fails_when_steps_slow_down():
    samples = [0.001 * (1 + 0.1 * step) for step in range(20)]  # the median is 1.95 ms, quarters 0.5 ms apart
    verdict = growth(samples)
    assert verdict.observed == pytest.approx(3 * 0.5 / 1.95)
    message = "76.92 % of the median step more at the end than at the start, expected <= 50 %"
    assert failure(verdict, unit="%", reason="out_of_bounds", message=message)


@pytest.mark.parametrize("steps", [9, 27, 150, 2000])
def test_step_time_growth_sees_a_climb_in_noise_however_long_the_training(steps):
    noise = np.random.default_rng(steps).lognormal(0, 0.1, steps)
    assert growth((noise * np.linspace(0.001, 0.005, steps)).tolist()).status is Status.FAIL


def test_step_time_growth_is_not_swayed_by_slow_steps():
    samples = np.full(40, 0.001)
    samples[30:40:2] = 1.0
    assert growth(samples.tolist()).observed == 0


def test_a_machine_that_becomes_busy_midway_is_no_steady_climb():
    noise = np.random.default_rng(0).lognormal(0, 0.1, 150)
    busy = np.where(np.arange(150) < 75, 1.0, 2.0)
    verdict = growth((0.001 * noise * busy).tolist())
    assert verdict.status is Status.PASS
    assert verdict.observed < 0.2


def test_step_time_growth_needs_steps():
    verdict = growth([0.001] * 7)
    assert (verdict.status, verdict.reason) == (Status.SKIP, "not_applicable")
    assert verdict.message == "7 steady steps are too few for a slope, need 8"
    (verdict,) = StepTimeGrowth(at_most=0.01).judge(healthy_facts(measurements={}))
    assert verdict.message == "measurement 'step_time' was not recorded"


def test_step_time_growth_fails_on_nan():
    assert failure(growth([nan] * 9), reason="nonfinite")
    assert failure(growth([0.001] * 9, value=nan), reason="nonfinite")
    assert failure(growth([0.0] * 9), reason="nonfinite")


# gradient_total


def test_gradient_total_passes():
    trace = healthy_trace(gradient_norm=np.tile([3.0, 4.0, 12.0], (28, 1)))
    (verdict,) = GradientTotal(at_least=1.0, at_most=13.0).judge(healthy_facts(trace))
    assert passes(verdict, "13 is the norm of all gradients at step 0, expected 1 to 13")


def test_gradient_total_fails_at_the_first_step_outside():
    norms = np.tile([3.0, 4.0, 12.0], (28, 1))
    norms[5], norms[9] = [0.0, 0.0, 0.5], 1e9
    (verdict,) = GradientTotal(at_least=1.0, at_most=20.0).judge(
        healthy_facts(healthy_trace(gradient_norm=norms))
    )
    message = "0.5 is the norm of all gradients at step 5, expected 1 to 20"
    assert failure(verdict, observed=0.5, step=5, reason="out_of_bounds", message=message)
    norms[2, 1] = nan
    (verdict,) = GradientTotal(at_most=1e12).judge(healthy_facts(healthy_trace(gradient_norm=norms)))
    assert failure(verdict, step=2, reason="nonfinite")


def test_gradient_total_needs_steps():
    (verdict,) = GradientTotal(at_most=1.0).judge(healthy_facts(healthy_trace(steps=0)))
    assert verdict.message == "the gradients was not recorded"


def spiky(times, at=14):
    norms = np.tile([3.0, 4.0, 12.0], (28, 1))
    norms[at] *= times
    (verdict,) = GradientTotal(spike=5.0).judge(healthy_facts(healthy_trace(gradient_norm=norms)))
    return verdict


def test_gradient_total_sees_one_step_that_stands_out():
    assert passes(
        spiky(4.9), "4.9 times the steps around it is the norm of all gradients at step 14, expected <= 5"
    )
    message = "10 times the steps around it is the norm of all gradients at step 14, expected <= 5"
    assert failure(spiky(10.0), observed=10.0, step=14, reason="out_of_bounds", message=message)
    assert failure(spiky(10.0, at=27), observed=10.0, step=27, reason="out_of_bounds")
    assert failure(spiky(nan), step=14, reason="nonfinite")


def test_gradient_total_of_no_gradients_has_no_spike():
    norms = np.zeros((28, 3))
    (verdict,) = GradientTotal(spike=5.0).judge(healthy_facts(healthy_trace(gradient_norm=norms)))
    assert (verdict.status, verdict.observed) == (Status.PASS, 1.0)


# what they share


@probed
def test_what_was_not_asked_is_an_error(check):
    (verdict,) = check.judge(healthy_facts(answers={}))
    assert (verdict.status, verdict.reason) == (Status.ERROR, "missing")
    assert verdict.message == f"{PROBED[check]} was not recorded"


@probed
def test_what_makes_no_sense_is_skipped(check):
    facts = healthy_facts(answers={check.probes[0]: Answer(skipped="samples have no positions")})
    (verdict,) = check.judge(facts)
    assert (verdict.status, verdict.reason, verdict.message) == (
        Status.SKIP,
        "not_applicable",
        "samples have no positions",
    )


@pytest.mark.parametrize("cls", [Causal, Attends, SamplesIndependent, OrderInvariant, IgnoresPadding])
def test_false_expects_nothing(cls):
    with pytest.raises(ValueError, match=r"^false expects nothing; leave the key out$"):
        cls(required=False)


@pytest.mark.parametrize("shift", [-3, 4])
def test_shifts_are_those_that_are_looked_at(shift):
    with pytest.raises(ValueError, match=f"^expected a shift from -2 to 3, got {shift}$"):
        Labels(shift=shift)


def test_a_gradient_total_needs_a_bound():
    with pytest.raises(ValueError, match=r"^give at least one of at_least, at_most, spike$"):
        GradientTotal()
    with pytest.raises(ValueError, match=r"^at_least \(2\) lies above at_most \(1\)$"):
        GradientTotal(at_least=2.0, at_most=1.0)


# from a live trainer to the verdict


@pytest.mark.parametrize("backend", ["torch_eager", "numpy_float64"])
@pytest.mark.parametrize("settings", [{}, CLASSES], ids=["decoder", "classes"])
@probed
def test_a_healthy_training_passes(check, backend, settings):
    if settings and check.probes[0] in ("influence", "padding", "alignment"):
        pytest.skip("samples have no positions")
    answer = Answer(facts=ask(check.probes[0], backend, **settings))
    statuses = {verdict.status for verdict in check.judge(healthy_facts(answers={check.probes[0]: answer}))}
    assert statuses == {Status.PASS}


def no_mask(trainer):
    trainer.model.causal = False


SICK = {
    Causal(required=True): no_mask,
    Attends(required=True): overriding(
        logits=lambda _trainer, _old, inputs: np.eye(11, dtype=np.float32)[inputs]
    ),
    SamplesIndependent(required=True): overriding(
        logits=lambda _trainer, old, inputs: old(inputs) + 0.1 * old(inputs)[-1:]
    ),
    OrderInvariant(required=True): overriding(
        logits=lambda _trainer, old, inputs: old(inputs) * np.arange(1, 1 + len(inputs))[:, None, None]
    ),
    Accumulation(at_most=1e-4): overriding(
        backward=lambda _trainer, old, batch, total: old(batch, total - len(batch.inputs))
    ),
    FreshGradients(at_most=1e-4): overriding(zero_gradients=lambda _trainer, _old: None),
    Clipping(at_most=1e-3): overriding(clip=lambda _trainer, _old: None),
    IgnoresPadding(required=True): no_mask,
    Labels(shift=1): overriding(
        backward=lambda _trainer, old, batch, total: old(
            replace(batch, targets=np.roll(batch.targets, 1, axis=1)), total
        )
    ),
}


@pytest.mark.parametrize("backend", ["torch_eager", "numpy_float64"])
@pytest.mark.parametrize(("check", "spoil"), SICK.items(), ids=[check.name for check in SICK])
def test_a_sick_training_fails(check, spoil, backend):
    answer = Answer(facts=ask(check.probes[0], backend, spoil))
    statuses = [verdict.status for verdict in check.judge(healthy_facts(answers={check.probes[0]: answer}))]
    assert Status.FAIL in statuses
    assert set(statuses) <= {Status.FAIL, Status.PASS}
