"""Every diagnosis: sick facts are named with cause, step and tensor; relatives too; healthy facts are not."""

import ast
import math
from dataclasses import replace
from functools import partial
from pathlib import Path

import damage
import numpy as np
import pytest
from ailments import INF, LN27, NAN, SICK, ZERO
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from patients import ANSWERS, SAME, STEPS, TENSORS, facts, row, table

from harness.backends.numpy_float64 import NumpyFloat64
from harness.cases import load_cases
from harness.discover import get, plugins, working
from harness.judge import diagnose
from harness.model import Anchors, Answer, Facts, Measurement, Outcome, ProblemFacts, Trace
from harness.problem import build_problem
from harness.testing.healthy import healthy_trace
from harness.testing.sample import observe, sample_facts


def doctor(name):
    return get("diagnoses", name)()


def ranks(patient):
    return [found.name for found in diagnose([one() for one in working("diagnoses").values()], patient)]


CASES = [
    pytest.param(name, sick, id=f"{name}-{number}")
    for name, found in SICK.items()
    for number, sick in enumerate(found)
]
SILENT = [name for name in SICK if name != "unknown"]


@pytest.mark.parametrize(("name", "sick"), CASES)
def test_sick_facts_are_named(name, sick):
    found = doctor(name).weigh(sick.facts)
    assert found is not None
    assert (found.name, found.cause, found.step, found.tensor) == (name, sick.cause, sick.step, sick.tensor)
    assert sick.weight[0] <= found.weight <= sick.weight[1]
    assert sick.remedy in found.remedy


@pytest.mark.parametrize(("name", "sick"), CASES)
def test_what_is_said_is_short_and_has_evidence(name, sick):
    found = doctor(name).weigh(sick.facts)
    texts = (found.cause, found.remedy, *found.evidence)
    assert all(text and "\n" not in text and len(text) <= 220 for text in texts), texts
    assert found.evidence or name == "unknown"
    assert not found.cause.endswith(".")
    assert found.cause[0].islower() or found.cause.startswith("Adam")


def test_every_diagnosis_is_tested_here():
    # Those that stand alone have programs of their own: tests/test_observation.py.
    assert sorted(SICK) == sorted(name for name, cls in working("diagnoses").items() if not cls.alone)
    assert set(working("diagnoses")) == set(plugins("diagnoses"))
    assert all(len(found) >= 2 for found in SICK.values()), "expected a relative of the same family too"


@pytest.mark.parametrize("name", SILENT)
def test_healthy_facts_are_not_named(name):
    assert doctor(name).weigh(facts()) is None


@pytest.mark.parametrize("name", sorted(SICK))
def test_what_was_not_asked_is_no_evidence(name):
    skipped = {probe: Answer(skipped="no", facts=found) for probe, found in ANSWERS.items()}
    sick = {probe: Answer(skipped="no", facts=dict.fromkeys(found, 1e9)) for probe, found in ANSWERS.items()}
    for answers in ({}, skipped, sick):
        found = doctor(name).weigh(replace(facts(), answers=answers))
        assert found is None or found.weight < 0.5


@pytest.mark.parametrize("name", sorted(SICK))
def test_what_was_not_recorded_is_no_evidence(name):
    for empty in (
        Facts(outcome=Outcome.CRASHED),
        replace(facts(), trace=None, problem=None, measurements={}, answers={}),
    ):
        found = doctor(name).weigh(empty)
        assert found is None or found.weight < 0.3


@pytest.mark.parametrize("name", sorted(SICK))
def test_a_diagnosis_is_stateless_and_described(name):
    cls = get("diagnoses", name)
    assert cls().name == name
    assert cls.__doc__
    assert plugins("diagnoses")[name].about.endswith((".", "?"))
    assert not vars(cls())


def test_no_diagnosis_knows_a_fault():
    import harness.diagnoses

    sources = {path.stem: path.read_text() for path in Path(harness.diagnoses.__path__[0]).glob("*.py")}
    faults = set(plugins("faults")) - set(sources)
    for name, source in sources.items():
        texts = {node.value for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant)}
        words = {word for text in texts if isinstance(text, str) for word in text.replace("'", " ").split()}
        assert not words & faults, name
        assert "harness.faults" not in source, name


# ranking


RANKED = {
    "a rate of zero outranks its consequences": (
        facts(learning_rate=row(0), update_norm=ZERO, loss=row(LN27)),
        "learning_rate_zero",
    ),
    "no update outranks a uniform output": (
        facts(update_norm=ZERO, update_ratio=ZERO, loss=row(LN27)),
        "never_updates",
    ),
    "no gradients outrank a uniform output": (
        facts(
            gradient_norm=ZERO,
            clipped_norm=ZERO,
            update_norm=ZERO,
            loss=row(10.802672),
            problem={"vocabulary": 49_152, "anchors": Anchors(uniform=math.log(49_152))},
        ),
        "buffers_never_allocated",
    ),
    "what is not finite comes first": (
        facts(update_norm=ZERO, loss=row(LN27, [(4, NAN)])),
        "nonfinite_origin",
    ),
    "gradients that add up outrank gradients that grow": (
        facts(
            gradient_norm=np.repeat(np.logspace(0, 3, STEPS)[:, None], 3, axis=1),
            answers={"fresh_gradients": {"ratio": [1.0, 2.0, 3.0, 4.0], "error": [0.0, 1.0, 2.0, 3.0]}},
        ),
        "gradients_accumulate",
    ),
    "attention that mixes nothing outranks another forward pass": (
        facts(answers={"influence": {"past": 0.0}, "reference": {"forward_scaled": {**SAME, "logits": 5.0}}}),
        "attention_mixes_nothing",
    ),
    "misaligned labels outrank a loss below the floor": (
        facts(
            loss=np.linspace(3, 0.01, STEPS),
            answers={"alignment": {"agreement": {"-1": 0.1, "0": 1.0, "1": 0.1}, "best": 0}},
        ),
        "labels_misaligned",
    ),
    "an optimizer that holds nothing outranks what it leaves": (
        facts(update_norm=ZERO, answers={"coverage": {"missing": list(TENSORS), "optimized": []}}),
        "uncovered_parameters",
    ),
    "zero weights outrank the gradients they stop": (
        facts(weight_norm=ZERO, gradient_norm=ZERO, update_norm=ZERO, loss=row(LN27)),
        "initialisation_wrong",
    ),
    "a leak outranks another forward pass": (
        facts(
            answers={"influence": {"future": 1.0}, "reference": {"forward_scaled": {**SAME, "logits": 5.0}}}
        ),
        "future_leaks",
    ),
    "a shared tensor outranks another forward pass": (
        facts(
            answers={
                "coverage": {"aliased": [["a", "b"]]},
                "reference": {"forward_scaled": {**SAME, "logits": 5.0}},
            }
        ),
        "aliased_parameters",
    ),
    "random inference is no dropout": (
        facts(
            answers={
                "generation": {"inference_difference": 4.0, "repeatable": False},
                "evaluation": {"inference_repeat": 4.0, "repeat_difference": 4.0},
            }
        ),
        "logits_unrelated_to_weights",
    ),
    "weights that evaluation moves explain that it does not repeat": (
        facts(
            answers={"evaluation": {"loss_repeat": 0.1, "repeat_difference": 0.1, "changed_weights": True}}
        ),
        "evaluation_changes_training",
    ),
    "the same batch outranks what follows from it": (
        facts(
            loss=np.linspace(3, 0.01, STEPS), answers={"ledger": {"repeated_batches": 0.9, "duplicates": 50}}
        ),
        "same_batch_again",
    ),
    "a restarted schedule outranks lost state": (
        facts(
            answers={
                "resume": {"rate_difference": [0.3], "loss_difference": [0.0, 0.2], "weights_difference": 0.1}
            }
        ),
        "resume_repeats_data",
    ),
}


@pytest.mark.parametrize(("patient", "first"), RANKED.values(), ids=RANKED)
def test_the_more_specific_cause_ranks_first(patient, first):
    assert ranks(patient)[0] == first


@pytest.mark.parametrize(("name", "sick"), [case for case in CASES if case.values[0] != "unknown"])
def test_unknown_ranks_last(name, sick):
    assert ranks(sick.facts)[-1] == "unknown"
    assert name in ranks(sick.facts)


def test_the_decision_table_of_report_001():
    """Weights zero: initialisation; gradients zero: backward; above 1.0: clip; below 1e-6: learning rate."""
    zero = facts(weight_norm=ZERO, weight_mean=ZERO)
    assert ranks(zero)[0] == "initialisation_wrong"
    gone = facts(gradient_norm=ZERO, gradient_largest=ZERO, clipped_norm=ZERO)
    assert ranks(gone)[0] == "buffers_never_allocated"
    assert "backward()" in doctor("buffers_never_allocated").weigh(gone).remedy
    huge = facts(gradient_largest=table(1.01))
    assert ranks(huge) == ["exploding_gradients", "unknown"]
    assert "Clip the gradients" in doctor("exploding_gradients").weigh(huge).remedy
    tiny = facts(gradient_largest=table(0.99e-6))
    assert ranks(tiny) == ["vanishing_gradients", "unknown"]
    assert "Raise the learning rate" in doctor("vanishing_gradients").weigh(tiny).remedy
    assert ranks(facts(gradient_largest=table(1e-4, at=[(3, 0, 1.0)]))) == ["unknown"]


def test_what_gradients_of_1_are_worth_depends_on_clipping():
    assert ranks(facts(gradient_largest=table(3), clipped_norm=table(0.1))) == ["unknown"]


def test_unknown_lists_the_strongest_anomalies_first():
    patient = facts(
        loss=row(2.0),
        update_ratio=table(1, at=[(4, 1, 3)]),
        gradient_norm=table(0.5, at=[(9, 0, 4.0)]),
        answers={"reference": {"loss_difference": [0.5] + [1e-8] * 27}},
    )
    assert doctor("unknown").weigh(patient).evidence == (
        "loss differs from the reference's by 50 % at step 0",
        "update of layers.0.mlp.up.weight is 3 of the rule's at step 4",
        "first loss 2, uniform 3.296",
        "the loss does not fall: 2 to 2",
    )


# whatever was recorded, however little


NUMBERS = st.one_of(
    st.floats(width=64), st.sampled_from([0.0, 1.0, 2.0, -1.0, NAN, INF, -INF, 1e-300, 1e300, 5e-324])
)
KEYS = sorted(
    {key for found in ANSWERS.values() for key in found} | {"changed", "position", "logits", "loss_ratio"}
)
VALUES = st.recursive(
    st.one_of(NUMBERS, st.none(), st.booleans(), st.integers(-(10**400), 10**400), st.text(max_size=4)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=5),
        st.dictionaries(
            st.sampled_from(["a", "0", "1", "2", "logits", "loss_ratio", "gradient_ratio"]), inner, max_size=4
        ),
    ),
    max_leaves=6,
)
TABLES = (
    "gradient_norm",
    "clipped_norm",
    "gradient_largest",
    "gradient_nonzero",
    "weight_norm",
    "weight_mean",
    "update_norm",
    "update_ratio",
    "update_error",
)


@st.composite
def arrays(draw, shape):
    shape = draw(st.sampled_from([shape, shape, shape, shape, (0,), (2, 2)]))
    size = math.prod(shape)
    base = draw(st.sampled_from([0.0, 1.0, 0.5, NAN, INF, -1.0, 1e-9, 1e200]))
    values = np.full(size, base)
    for index in draw(st.lists(st.integers(0, max(size - 1, 0)), max_size=4)):
        if size:
            values[index] = draw(NUMBERS)
    return values.reshape(shape)


@st.composite
def traces(draw):
    steps, tensors = draw(st.integers(0, 13)), draw(st.sampled_from([(), ("a",), ("l.0.w", "l.1.w", "n")]))
    one, two = partial(arrays, (steps,)), partial(arrays, (steps, len(tensors)))
    loss = draw(one())
    return Trace(
        tensors=tensors,
        loss=loss if loss.shape == (steps,) else np.ones(steps),
        learning_rate=draw(one()),
        memory=draw(one()),
        events=draw(
            st.dictionaries(st.sampled_from(["backward", "update", "zero_grad", "other"]), one(), max_size=3)
        ),
        digests=draw(st.sampled_from([(), ("x",) * steps])),
        **{name: draw(two()) for name in TABLES},
    )


ANCHORS = st.builds(
    Anchors, uniform=st.none() | NUMBERS, unigram=st.none() | NUMBERS, floor=st.none() | NUMBERS
)
PROBLEMS = st.builds(
    ProblemFacts,
    digest=st.just("x"),
    vocabulary=st.none() | st.integers(1, 99),
    parameters=st.integers(0, 99),
    shapes=st.sampled_from([{}, {"a": (2, 3), "l.0.w": (3, 3), "l.1.w": (3, 3), "n": (3,)}, {"a": (0, 3)}]),
    anchors=st.builds(Anchors) | ANCHORS,
    tokens_per_step=st.just(1.0),
    samples_per_step=st.just(1),
    steps=st.integers(0, 30),
    learning_rates=st.lists(NUMBERS, max_size=14).map(tuple),
)
ANYTHING = st.builds(
    Facts,
    outcome=st.just(Outcome.COMPLETED),
    problem=st.none() | PROBLEMS,
    parameters=st.none() | st.integers(0, 3),
    trace=st.none() | traces(),
    measurements=st.dictionaries(
        st.sampled_from(["step_time", "held_out_loss"]),
        st.builds(
            Measurement,
            name=st.just("x"),
            value=NUMBERS,
            unit=st.just("s"),
            samples=st.lists(NUMBERS, max_size=12).map(tuple),
        ),
    ),
    answers=st.dictionaries(
        st.sampled_from(sorted(ANSWERS)),
        st.builds(Answer, facts=st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=8)),
    ),
)


def hold(patient):
    for one in working("diagnoses").values():
        found = one().weigh(patient)
        assert found is None or 0 <= found.weight <= 1
        assert found is None or found.step is None or (isinstance(found.step, int) and found.step >= 0)
        assert found is None or isinstance(found.tensor, str)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(ANYTHING)
def test_no_diagnostician_ever_raises(patient):
    hold(patient)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_no_diagnostician_raises_on_answers_gone_wrong(data):
    probe = data.draw(st.sampled_from(sorted(ANSWERS)))
    key = data.draw(st.sampled_from(sorted(ANSWERS[probe])))
    hold(facts(answers={probe: {key: data.draw(VALUES)}}))


@pytest.mark.parametrize("name", [*TABLES, "learning_rate", "memory", "loss"])
@pytest.mark.parametrize("value", [NAN, INF, 0.0, -1.0, 1e308])
def test_no_diagnostician_raises_on_a_record_gone_wrong(name, value):
    shape = np.shape(getattr(healthy_trace(), name))
    hold(facts(**{name: np.full(shape, value)}))


# real trainings, broken in ways that nobody listed


REAL = {
    "five updates": (damage.updates(5), "updated_twice", "update applied 5 times", 0, ""),
    "half an update": (damage.scaled_update(0.5), "updated_twice", "update applied 0.5 times", 0, ""),
    "no update": (damage.updates(0), "never_updates", "0 of 15 tensors changed", 0, ""),
    "a third of an update uphill": (damage.scaled_update(-1 / 3), "wrong_sign", "-0.3333 times", 0, ""),
    "gradients of two steps": (
        damage.clears_every(2),
        "gradients_accumulate",
        "at step 0 it is right",
        1,
        "",
    ),
    "gradients of four steps": (
        damage.clears_every(4),
        "gradients_accumulate",
        "at step 0 it is right",
        1,
        "",
    ),
    "weights in float16": (damage.rounds_to("float16"), "update_below_precision", "like float16", 0, None),
    "weights in bfloat16": (damage.rounds_to("bfloat16"), "update_below_precision", "like bfloat16", 0, None),
    "a frozen gain": (damage.freezes(damage.GAIN), "frozen_tensors", "1 of 15 tensors", 0, damage.GAIN),
    "an infinite gradient": (
        damage.breaks_at(7, damage.TENSOR),
        "nonfinite_origin",
        "inf first",
        7,
        damage.TENSOR,
    ),
    "a leak over three tokens": (damage.leaks_back(3), "future_leaks", "the future leaks", None, ""),
    "one sample in all others": (
        damage.outputs(damage.first_sample_leaks),
        "samples_leak",
        "replacing other samples",
        None,
        "",
    ),
    "a loss that is too large": (
        damage.loss_times(1.3),
        "loss_wrong_scale",
        "1.3 times the reference's",
        0,
        "",
    ),
    "one gradient negated": (
        damage.gradient_of(damage.TENSOR, -1),
        "backward_differs_from_reference",
        "1 of 15",
        0,
        damage.TENSOR,
    ),
    "one gradient a tenth too long": (
        damage.gradient_of(damage.GAIN, 1.1),
        "backward_differs_from_reference",
        "distance 0.1)",
        0,
        damage.GAIN,
    ),
    "means averaged": (damage.adds_means(divided=True), "mean_of_means", "mean of means", 0, None),
    "means summed": (damage.adds_means(divided=False), "accumulation_not_divided", "2.129 times", 0, None),
    "clipped at a scale of 1024": (
        damage.clips_scaled(1024),
        "clipped_before_unscaling",
        "leaves 0.01063 %",
        0,
        "",
    ),
    "a position that is forgotten": (
        damage.forgets_position,
        "resume_repeats_data",
        "step 0 in place of 6",
        6,
        "",
    ),
    "a score that is always full": (
        damage.scores_everything_right,
        "score_independent_of_weights",
        "100 % with weights",
        None,
        "",
    ),
    "answers at random": (damage.answers_at_random, "logits_unrelated_to_weights", "are random", None, ""),
    "evaluation that decays weights": (
        damage.evaluates_with_a_step,
        "evaluation_changes_training",
        "moves the weights",
        None,
        "",
    ),
    "a checkpoint in float16": (damage.saves_half, "checkpoint_loses_weights", "they are rounded", None, ""),
    "logits half as large again": (
        damage.outputs(lambda logits: 1.5 * logits),
        "forward_differs_from_reference",
        "standard deviations",
        0,
        "",
    ),
    "logits of nothing": (
        damage.outputs(lambda logits: 0 * logits),
        "uniform_output",
        "ln 11 = 2.397895",
        0,
        "",
    ),
}


@pytest.mark.parametrize(("broken", "name", "words", "step", "tensor"), REAL.values(), ids=REAL)
def test_a_broken_training_is_named_first(broken, name, words, step, tensor):
    found = diagnose([one() for one in working("diagnoses").values()], damage.examine(broken))[0]
    assert (found.name, found.step) == (name, step)
    assert words in found.cause
    assert tensor in (None, found.tensor)


@pytest.mark.parametrize("extra", [1, 3])
def test_a_schedule_that_hurries_is_named_with_its_speed(extra):
    patient = damage.examine(damage.hurries(extra), probes=())
    found = doctor("schedule_wrong_rate").weigh(patient)
    assert found.cause.endswith(f"it advances {extra + 1} times a step")
    assert ranks(patient)[0] == "schedule_wrong_rate"


@pytest.mark.parametrize("by", [1, 2])
def test_targets_further_on_are_named_with_their_distance(by):
    patient = damage.examine(damage.nothing, damage.moved_targets(by), probes=("alignment",))
    assert ranks(patient)[0] == "labels_misaligned"
    found = doctor("labels_misaligned").weigh(patient)
    assert f"predicts the token {by + 1} positions ahead" in found.cause


def test_a_real_healthy_training_is_not_named():
    assert ranks(damage.examine(damage.nothing)) == ["unknown"]


def test_the_same_numbers_recorded_by_torch_are_healthy_too():
    found = diagnose([one() for one in working("diagnoses").values()], sample_facts("torch_eager"))
    assert [(each.name, each.cause) for each in found if each.weight >= 0.5] == []


SHIPPED = [
    case
    for case in load_cases([Path(__file__).parents[1] / "cases"]).cases
    if "large" not in case.tags and NumpyFloat64().misfit(case) == ""
]


@pytest.mark.parametrize("case", SHIPPED, ids=lambda case: case.name)
def test_healthy_trainings_of_shipped_cases_do_not_look_sick(case):
    """A few steps of each, in NumPy, with the answers that cost no training."""
    config = replace(case.config, steps=5, threads=1)
    problem = build_problem(replace(case, config=config))
    asked = ("repeat", "coverage", "ledger")
    with observe(NumpyFloat64(), problem) as context:
        told = {name: damage.answer(get("probes", name)(), context) for name in asked}
        patient = replace(facts(), problem=problem.facts, trace=context.trace, answers=told, measurements={})
    found = diagnose([one() for one in working("diagnoses").values()], patient)
    assert [(each.name, each.cause) for each in found if each.weight >= 0.5] == []
