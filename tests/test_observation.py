"""Programs under observation: what is sick is found and named, what is healthy is left alone, bit for bit."""

import itertools
import math
from dataclasses import replace

import pytest
from programs import BASES, COMPILED, FAREWELL, SICK, UNUSUAL

from harness.codec import read_facts, write_facts
from harness.diagnoses import PROOF
from harness.discover import working
from harness.model import Answer, Facts, Outcome
from harness.testing import healthy_facts

HEALTHY = {**BASES, **UNUSUAL}
ALONE = sorted(name for name, cls in working("diagnoses").items() if cls.alone)


def test_every_diagnosis_that_stands_alone_has_a_program():
    assert sorted(SICK) == ALONE


def test_every_sick_program_has_a_healthy_twin():
    assert {one.healthy for one in SICK.values()} <= set(BASES.values())


@pytest.mark.parametrize("name", SICK)
def test_what_is_sick_is_found_and_named(clinic, name):
    seen = clinic.examine(SICK[name].text)
    if SICK[name].guess:
        assert name in seen.guessed
        assert (seen.named, seen.examination.exit_code) == ([], 0), seen.told
        return
    assert name in seen.named[:2], seen.told
    assert seen.examination.exit_code == 1
    found = next(each for each in seen.examination.findings if each.name == name)
    assert found.weight >= PROOF
    assert found.remedy
    assert "\n" not in found.cause


@pytest.mark.parametrize("name", HEALTHY)
def test_what_is_healthy_has_no_finding(clinic, name):
    seen = clinic.examine(HEALTHY[name] + FAREWELL)
    assert seen.told == []
    assert seen.examination.exit_code == 0, seen.examination.verdict
    assert seen.examination.trainings
    assert not seen.facts[0].answers["program"].facts["broken"]


@pytest.mark.parametrize("name", HEALTHY)
def test_observation_changes_no_bit(clinic, name):
    alone = clinic.unobserved(HEALTHY[name] + FAREWELL)
    assert alone.splitlines()[-1].startswith("digest ")
    assert clinic.examine(HEALTHY[name] + FAREWELL).output == alone


def test_what_was_seen_survives_its_file(clinic, tmp_path):
    for facts in clinic.examine(BASES["GAN"] + FAREWELL).facts:
        write_facts(tmp_path / "facts", facts)
        assert repr(read_facts(tmp_path / "facts")) == repr(facts)


@pytest.mark.slow
def test_a_compiled_program_is_healthy(clinic):
    seen = clinic.examine(COMPILED)
    assert seen.told == []
    assert seen.examination.exit_code == 0


def test_every_training_of_a_program_is_told(clinic):
    seen = clinic.examine(BASES["GAN"] + FAREWELL)
    assert [training.steps for training in seen.examination.trainings] == [40, 40]
    assert seen.examination.models == ("Sequential", "Sequential")


def test_a_trace_holds_what_the_program_did(clinic):
    seen = clinic.examine(
        BASES["regression"].replace(
            "    optimizer.step()\n", "    optimizer.step()\n    print(loss.item())\n"
        )
    )
    facts = seen.facts[0]
    printed = [float(line) for line in seen.output.splitlines()]
    assert facts.trace.loss.tolist() == pytest.approx(printed, rel=1e-12)
    assert facts.trace.tensors == ("0.weight", "0.bias", "2.weight", "2.bias")
    assert set(facts.trace.learning_rate) == {0.05}
    # Plain gradient descent: an update is the learning rate times the gradient.
    assert facts.trace.update_norm == pytest.approx(0.05 * facts.trace.gradient_norm, rel=1e-3, abs=1e-7)
    assert facts.parameters == 6 * 16 + 16 + 16 + 1


def test_so_many_steps_and_no_more(clinic):
    seen = clinic.examine(BASES["regression"], steps=7)
    assert seen.examination.trainings[0].steps == 7
    assert (seen.examination.ending.how, seen.examination.exit_code) == ("stopped", 0)
    assert seen.examination.ending.text == "stopped after 7 steps, as asked"


# diagnoses are total: whatever an answer lost, or turned into


ODD = (None, math.nan, math.inf, -1, 1e300, "x", [], ["x", None], {}, {"x": [math.nan]}, True)


def places(value, path=()):
    """Where anything stands within an answer, lists and mappings included."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from places(inner, (*path, key))


def replaced(value, path, new):
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


@pytest.mark.parametrize("name", SICK)
def test_a_diagnosis_takes_facts_that_went_wrong(clinic, name):
    one, facts = working("diagnoses")[name](), clinic.examine(SICK[name].text).facts[0]
    turn = itertools.count()
    for observer, answer in facts.answers.items():
        for path in places(dict(answer.facts)):
            for odd in ODD[next(turn) % 5 :: 5]:
                sick = Answer(facts=replaced(dict(answer.facts), path, odd))
                found = one.weigh(replace(facts, answers={**facts.answers, observer: sick}))
                assert found is None or 0 <= found.weight <= 1, (observer, path, odd)


@pytest.mark.parametrize("name", SICK)
def test_a_diagnosis_says_nothing_of_what_is_missing(clinic, name):
    one, facts = working("diagnoses")[name](), clinic.examine(SICK[name].text).facts[0]
    assert one.weigh(Facts(outcome=Outcome.CRASHED)) is None
    assert one.weigh(replace(facts, answers={}, trace=None)) is None
    skipped = {observer: Answer(skipped="no") for observer in facts.answers}
    assert one.weigh(replace(facts, answers=skipped, trace=None)) is None
    assert one.weigh(healthy_facts()) is None
