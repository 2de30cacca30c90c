"""The check `healthy`: proof fails it, a guess is told, and what was not looked at is no pass."""

import pytest

from harness.checks.healthy import Healthy
from harness.diagnoses import PROOF
from harness.discover import working
from harness.model import Answer, Status
from harness.testing import healthy_facts

OBSERVED = {
    "program": Answer(facts={"ending": "completed", "trainings": ["SGD 1"], "broken": {}}),
    "training": Answer(facts={"number": 0, "name": "SGD 1", "steps": 28}),
}
FROZEN = Answer(facts={"trained_frozen": ["a.lora_A.weight"], "held": 3, "uncovered": []})


def verdicts(**answers):
    return list(Healthy(on=True).judge(healthy_facts(answers={**OBSERVED, **answers})))


def others(weight):
    finding = {
        "name": "rate_zero",
        "cause": "its rate is 0",
        "remedy": "",
        "weight": weight,
        "step": None,
        "tensor": "",
    }
    return Answer(facts={"trainings": [{"name": "SGD 2", "steps": 9, "findings": [finding]}]})


def test_healthy_passes_when_nothing_is_found():
    (verdict,) = verdicts()
    assert (verdict.status, verdict.message) == (Status.PASS, "nothing speaks against it")


def test_healthy_fails_with_cause_and_place_of_a_finding():
    (verdict,) = verdicts(parameters=FROZEN)
    assert (verdict.status, verdict.reason, verdict.tensor) == (Status.FAIL, "unhealthy", "a.lora_A.weight")
    assert verdict.message.startswith("1 tensors of low-rank adapters are frozen (a.lora_A.weight)")
    assert verdict.observed == "adapters_frozen"


def test_a_finding_in_another_training_fails_too():
    (verdict,) = verdicts(others=others(PROOF))
    assert (verdict.status, verdict.message) == (Status.FAIL, "of SGD 2: its rate is 0")


def test_a_guess_is_told_and_passes():
    (verdict,) = verdicts(others=others(PROOF - 0.01))
    assert verdict.status is Status.PASS
    assert verdict.message == "nothing speaks against it; a guess: of SGD 2: its rate is 0"


def test_an_observer_that_broke_is_an_error():
    program = Answer(facts={**OBSERVED["program"].facts, "broken": {"losses": "KeyError: 3"}})
    (verdict,) = verdicts(program=program)
    assert (verdict.status, verdict.message) == (Status.ERROR, "could not look at everything: losses broke")


def test_a_diagnosis_that_broke_is_an_error(monkeypatch):
    def weigh(*_):
        raise RuntimeError("oh")

    monkeypatch.setattr(working("diagnoses")["rate_zero"], "weigh", weigh)
    (verdict,) = verdicts()
    assert (verdict.status, verdict.message) == (
        Status.ERROR,
        "could not look at everything: rate_zero broke",
    )


def test_what_nobody_observed_is_missing():
    (verdict,) = Healthy(on=True).judge(healthy_facts())
    assert (verdict.status, verdict.reason) == (Status.ERROR, "missing")


def test_it_refuses_to_expect_nothing():
    with pytest.raises(ValueError, match="nothing can be expected"):
        Healthy(on=False)
