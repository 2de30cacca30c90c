"""What checks offer to calibration agrees with their verdicts; single numbers of a check are replaced."""

from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import get_args, get_type_hints

import numpy as np
import pytest
from bounded import numbers_in

from harness import adjust
from harness.checks import Check
from harness.checks.loss_drop import LossDrop
from harness.discover import working
from harness.documents import parse
from harness.model import Anchors, Answer, Measurement, Status
from harness.proposals import number_in_file
from harness.testing import healthy_facts, healthy_trace, sample_facts
from harness.units import Rising
from harness.validation import validate

ROOT = Path(__file__).parents[1]
HERE = Path("case.yaml")
EPS = 2.0**-23
KIB, MIB = 2**10, 2**20


BOUNDED = (
    "accumulation: 1e-4",
    "checkpoint: {at_least: 1 KiB, at_most: 51 KiB}",
    "clipping: 1e-3",
    "entropy_floor: {margin: 10%}",
    "final_loss: {at_least: 2.9, at_most: 3.2}",
    "fresh_gradients: 1e-4",
    "generation: {matches_training: 1e-4, at_least: 10 tokens/s}",
    'gradients: {"*": {norm: [1e-4, 10], largest: [1e-9, 1], dead: 0}, "embedding": {norm: [1e-4, 1]}}',
    "gradient_total: {at_least: 0.1, at_most: 10, spike: 5}",
    "initial_loss: {uniform: 5%, at_least: 1, at_most: 9}",
    "learning_rate: {peak: [1e-3, 1e-3], last: [0, 1e-5]}",
    "loss_at: {0: {at_least: 3.2, at_most: 3.4}, 27: {at_most: 3.25}}",
    "loss_drop: {at_least: 3%, at_most: 60%}",
    "matches_reference: {loss: 1e-5, gradients: 1e-4}",
    "memory_growth: {at_most: 4 KiB}",
    "overfits_one_batch: {drop: 50%}",
    "peak_memory: {at_least: 1 KiB, at_most: 64 MiB}",
    "resume: 1e-6",
    "score: {at_least: 20%, at_most: 99%}",
    "startup_time: {at_least: 1 ms, at_most: 2 s}",
    "step_time: {at_least: 1 us, at_most: 36 ms}",
    "step_time_growth: {at_most: 50%}",
    "throughput: {at_least: 10 samples/s, at_most: 1000 samples/s}",
    "updates: {matches_optimizer: 1e-3}",
    "uses_inputs: {better_by: 5%}",
    'weights: {"*": {norm: [0, 10], mean: [0, 1]}}',
)
OTHERS = {"learning_rate: {follows: schedule, tolerance: 1e-6}"}


def check_of(text):
    [(name, node)] = parse(text, HERE).mapping.items()
    check, mistakes = validate(working("checks")[name], node, name, entire=working("checks")[name].entire)
    assert not mistakes, mistakes
    return check


SPREAD = ("gradient_norm", "gradient_largest", "gradient_nonzero", "weight_norm", "weight_mean")


def eventful():
    """Facts of a training in which every number is another one, and none is 0."""
    facts, generator = sample_facts("numpy_float64"), np.random.default_rng(0)
    shape = facts.trace.gradient_norm.shape
    noise = {name: generator.uniform(0.2, 0.9, shape) for name in (*SPREAD, "update_error")}
    trace = replace(facts.trace, memory=np.cumsum(generator.uniform(1, 2, facts.trace.steps)), **noise)
    anchors = Anchors(uniform=1.1 * trace.loss[0], unigram=3.0, floor=1.1 * trace.loss.min())
    times = tuple(1e-3 * (1 + np.arange(27) / 100))
    step_time = Measurement(name="step_time", value=1.1e-3, unit="s", samples=times)
    answers = {name: replace(answer, facts=dict(answer.facts)) for name, answer in facts.answers.items()}
    answers["reference"] = healthy_facts().answers["reference"]
    answers["score"].facts["trained"] = 0.5
    answers["overfit"].facts["drop"] = 0.9
    answers["baseline"].facts.update(blind_loss=2.0, seeing_loss=1.0)
    return replace(
        facts,
        trace=trace,
        answers=answers,
        problem=replace(facts.problem, anchors=anchors),
        measurements={**facts.measurements, "step_time": step_time},
    )


def passes(check, facts):
    return all(verdict.status is Status.PASS for verdict in check.judge(facts))


def bound_at_value(reading, beyond):
    """What the file would say to bound a reading at its value, or a little beyond it."""
    little = 1e-4 * max(abs(reading.value), 1e-9)
    if reading.centre is not None:
        return abs(reading.value - reading.centre) + (-little if beyond else little)
    inward = little if reading.high is None else -little
    return reading.value + (inward if beyond else -inward)


@pytest.mark.parametrize("text", BOUNDED, ids=lambda text: text.partition(":")[0])
def test_the_verdict_agrees_with_the_bounds_of_the_readings(text):
    check, facts = check_of(text), eventful()
    [node] = parse(text, HERE).mapping.values()
    found = check.readings(facts)
    assert sorted(found, key=str) == sorted(numbers_in(node), key=str), "a number without a reading"
    for keys, reading in found.items():
        assert (reading.low is None) != (reading.high is None) or reading.centre is not None
        stands = number_in_file(reading, reading.low, reading.high)
        assert adjust.number_at(check, keys) == pytest.approx(stands, rel=1e-9, abs=1e-12)
    fitting = adjust.adjusted(check, {keys: bound_at_value(each, False) for keys, each in found.items()})
    assert passes(fitting, facts), [verdict.message for verdict in fitting.judge(facts)]
    for keys, reading in found.items():
        too_tight = adjust.adjusted(fitting, {keys: bound_at_value(reading, True)})
        assert not passes(too_tight, facts), keys


@pytest.mark.parametrize("text", BOUNDED, ids=lambda text: text.partition(":")[0])
def test_there_is_no_reading_of_what_was_not_recorded(text):
    nothing = replace(healthy_facts(), trace=None, problem=None, measurements={}, answers={})
    assert check_of(text).readings(nothing) == {}
    none_yet = replace(nothing, trace=healthy_trace(steps=0))
    assert check_of(text).readings(none_yet) == {}


def has_bounds(kind):
    """Whether a check, or what it holds by tensor or step, has fields that are bounds."""
    hints = get_type_hints(kind, include_extras=True)
    parts = [part for field in fields(kind) for part in flat(hints[field.name])]
    inner = [part for part in parts if isinstance(part, type) and is_dataclass(part)]
    named = {"at_least", "at_most"} & {field.name for field in fields(kind)}
    ranges = [part for part in parts if isinstance(part, Rising)]
    return bool(named or ranges or any(map(has_bounds, inner)))


def flat(hint):
    return [hint, *(part for argument in get_args(hint) for part in flat(argument))]


def test_every_check_with_bounds_offers_readings():
    with_them = {name for name, kind in working("checks").items() if has_bounds(kind)}
    assert {"loss_drop", "gradients", "learning_rate", "loss_at", "step_time"} <= with_them
    assert with_them - {"memory_of", "cpu_use"} <= {text.partition(":")[0] for text in BOUNDED}
    assert not has_bounds(working("checks")["causal"])


def test_a_check_offers_nothing_by_default():
    assert Check().readings(healthy_facts()) == {}
    assert check_of("causal: true").readings(healthy_facts()) == {}


COSTS = {
    "peak_memory: {at_least: 1 KiB, at_most: 64 MiB}": ("memory", "high", 4 * MIB),
    "memory_growth: {at_most: 4 KiB}": ("memory", "high", 4096.0),
    "startup_time: {at_least: 1 ms, at_most: 2 s}": ("time", "high", 1e-3),
    "step_time: {at_least: 1 ms, at_most: 2 s}": ("time", "high", 1e-3),
    "step_time_growth: {at_most: 50%}": ("time", "high", 0.25),
    "throughput: {at_least: 10 samples/s, at_most: 1000 samples/s}": ("time", "low", None),
    "generation: {at_least: 10 tokens/s}": ("time", "low", None),
}


@pytest.mark.parametrize("text", COSTS, ids=lambda text: text.partition(":")[0])
def test_what_a_machine_takes_says_so(text):
    found = check_of(text).readings(eventful())
    assert found
    assert {(each.kind, each.worse, each.noise) for each in found.values()} == {COSTS[text]}


@pytest.mark.parametrize(
    "text",
    [
        "accumulation: 1e-4",
        "clipping: 1e-3",
        "fresh_gradients: 1e-4",
        "generation: {matches_training: 1e-4}",
        "matches_reference: {loss: 1e-5, gradients: 1e-4}",
        "resume: 1e-6",
        "updates: {matches_optimizer: 1e-3}",
    ],
    ids=lambda text: text.partition(":")[0],
)
def test_an_error_that_should_be_rounding_is_a_tolerance(text):
    assert {each.kind for each in check_of(text).readings(eventful()).values()} == {"tolerance"}


def answering(probe, **answer):
    return replace(healthy_facts(), answers={probe: Answer(facts=answer)})


@pytest.mark.parametrize(("error", "ratio", "tensors"), [(0.5, 1.0, 0.1), (0.1, 0.5, 0.2), (0.1, 1.0, 0.5)])
def test_the_reading_of_accumulation_is_the_worst_of_all(error, ratio, tensors):
    facts = answering("accumulation", error=error, ratio=ratio, tensor_errors={"a": tensors, "b": 0.0})
    assert check_of("accumulation: 1e-4").readings(facts)[()].value == 0.5


@pytest.mark.parametrize(("error", "ratio"), [([0.1, 0.5], [1.0, 1.1]), ([0.1, 0.2], [1.0, 1.5])])
def test_the_reading_of_fresh_gradients_is_the_worst_of_all(error, ratio):
    facts = answering("fresh_gradients", error=error, ratio=ratio)
    assert check_of("fresh_gradients: 1e-4").readings(facts)[()].value == 0.5


@pytest.mark.parametrize(("weights", "loss", "rate"), [(0.5, 0.1, 0.0), (0.1, 0.5, 0.0), (0.1, 0.0, 0.5)])
def test_the_reading_of_resume_is_the_worst_of_all(weights, loss, rate):
    series = {"rate_difference": [0.0, rate], "loss_difference": [loss, 0.0]}
    facts = answering("resume", weights_difference=weights, **series)
    assert check_of("resume: 1e-6").readings(facts)[()].value == 0.5


@pytest.mark.parametrize(("held_out", "lowest"), [(1.2, 1.2), (9.0, 1.5)])
def test_the_floor_is_held_by_training_and_held_out_losses(held_out, lowest):
    measurement = Measurement(name="held_out_loss", value=held_out, unit="")
    trace = replace(healthy_trace(), loss=np.full(28, 1.5))
    facts = replace(healthy_facts(trace), measurements={"held_out_loss": measurement})
    [reading] = check_of("entropy_floor: {margin: 10%}").readings(facts).values()
    assert (reading.value, reading.low) == (pytest.approx(lowest / 1.5), pytest.approx(0.9))


def test_the_highest_phase_is_the_peak_of_memory():
    [reading] = check_of("peak_memory: {at_most: 9 MiB}").readings(healthy_facts()).values()
    assert reading.value == 8 * MIB
    [build] = check_of("peak_memory: {at_most: 9 MiB, phase: build}").readings(healthy_facts()).values()
    assert build.value == 1 * MIB


def test_a_tolerance_of_nothing_is_a_promise():
    assert check_of("resume: 0").readings(sample_facts("numpy_float64")) == {}


def test_numbers_are_replaced_where_yaml_has_them():
    gradients = check_of('gradients: {"*.weight": {norm: [1e-4, 10]}, "*": {dead: 0}}')
    changed = adjust.adjusted(gradients, {("*.weight", "norm", 1): 20.0, ("*", "dead"): 0.5})
    assert changed == check_of('gradients: {"*.weight": {norm: [1e-4, 20]}, "*": {dead: 50%}}')
    assert adjust.number_at(changed, ("*.weight", "norm", 1)) == 20.0
    loss_at = adjust.adjusted(check_of("loss_at: {3: {at_most: 3}}"), {("3", "at_most"): 4.5})
    assert loss_at == check_of("loss_at: {3: {at_most: 4.5}}")
    assert adjust.adjusted(check_of("accumulation: 1e-4"), {(): 1e-3}) == check_of("accumulation: 1e-3")


def test_sizes_stay_whole_and_rates_keep_their_unit():
    size = adjust.adjusted(check_of("memory_growth: {at_most: 4 KiB}"), {("at_most",): 5.0 * KIB})
    assert type(size.at_most) is int
    throughput = adjust.adjusted(check_of("throughput: {at_least: 4 samples/s}"), {("at_least",): 5.0})
    assert (throughput.at_least, throughput.at_least.unit) == (5.0, "sample/s")


def test_both_bounds_may_pass_each_other_on_the_way():
    moved = adjust.adjusted(
        check_of("final_loss: {at_least: 1, at_most: 2}"), {("at_least",): 3.0, ("at_most",): 4.0}
    )
    assert (moved.at_least, moved.at_most) == (3.0, 4.0)
    with pytest.raises(ValueError, match="lies above at_most"):
        adjust.adjusted(moved, {("at_least",): 5.0})


def test_nothing_is_put_where_nothing_stands():
    with pytest.raises(KeyError, match="nothing stands at"):
        adjust.adjusted(LossDrop(at_least=0.1), {("at_leest",): 1.0})
