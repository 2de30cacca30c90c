"""The judge: what is not finite comes first, what broke is no failure, and nothing but a pass is a pass."""

from dataclasses import dataclass, fields, replace
from math import inf, nan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from harness.checks import Check
from harness.checks.deterministic import Deterministic
from harness.checks.entropy_floor import EntropyFloor
from harness.checks.final_loss import FinalLoss
from harness.checks.gradient_total import GradientTotal
from harness.checks.gradients import GradientBounds, Gradients
from harness.checks.initial_loss import InitialLoss
from harness.checks.learning_rate import LearningRate
from harness.checks.loss_at import Between, LossAt
from harness.checks.loss_drop import LossDrop
from harness.checks.matches_baseline import Band, MatchesBaseline
from harness.checks.matches_reference import MatchesReference
from harness.checks.memory_growth import MemoryGrowth
from harness.checks.parameters import Parameters
from harness.checks.peak_memory import PeakMemory
from harness.checks.startup_time import StartupTime
from harness.checks.step_time import StepTime
from harness.checks.step_time_growth import StepTimeGrowth
from harness.checks.throughput import Throughput
from harness.checks.updates import Updates
from harness.checks.weights import WeightBounds, Weights
from harness.diagnoses import Diagnostician
from harness.discover import working
from harness.judge import first_nonfinite, judge
from harness.model import Diagnosis, Facts, Outcome, Status, Trace, Verdict
from harness.testing import healthy_facts, healthy_trace

STEPS, TENSORS = 28, 3
EVERY_CHECK = {
    check.name: check
    for check in (
        Deterministic(required=True),
        EntropyFloor(margin=0.1),
        FinalLoss(at_least=-1e300, at_most=1e300),
        GradientTotal(at_most=1e300),
        Gradients(tensors={"*": GradientBounds(norm=(0.0, 1e300), largest=(0.0, 1e300), dead=0.99)}),
        InitialLoss(uniform=0.99),
        LearningRate(follows="schedule", tolerance=1e300),
        LossAt(steps={0: Between(at_most=1e300)}),
        LossDrop(at_least=-1e300),
        MatchesBaseline(band=Band(relative=1e300, mean=1e300)),
        MatchesReference(loss=1.0, gradients=1.0),
        MemoryGrowth(at_most=2**62),
        Parameters(count=12_416),
        PeakMemory(at_most=2**62),
        StartupTime(at_most=1e300),
        StepTime(at_most=1e300),
        StepTimeGrowth(at_most=1e300),
        Throughput(at_least=0.0),
        Updates(per_step=1, matches_optimizer=1e300),
        Weights(tensors={"*": WeightBounds(norm=(0.0, 1e300), mean=(0.0, 1e300))}),
    )
}
"""As lenient as they can be, so that nothing but the judge itself stands between NaN and a pass."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Says(Check):
    """A check that answers what it was told to."""

    answer: object

    def judge(self, facts):
        del facts
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def says(status, message="so it is", reason=""):
    return Says(answer=[Verdict(check="says", status=status, reason=reason, message=message)])


PASS, FAIL, SKIP = (
    says(Status.PASS),
    says(Status.FAIL, "3, expected 4", "out_of_bounds"),
    says(Status.SKIP, "no", "na"),
)
ERROR = says(Status.ERROR, "x was not recorded", "missing")


def poisoned(name, step=5, tensor=1, value=nan, trace=None):
    trace = trace or healthy_trace()
    array = getattr(trace, name).copy()
    array[(step, tensor) if array.ndim == 2 else step] = value
    return replace(trace, **{name: array})


def test_the_lenient_checks_are_all_that_need_no_further_probe():
    known = working("checks").items()
    elsewhere = {"healthy", "memory_of", "cpu_use"}  # of programs, of engines, of busy machines
    asked = {name for name, cls in known if set(cls.probes) <= {"repeat", "reference"}}
    assert set(EVERY_CHECK) == asked - elsewhere


def test_a_healthy_training_passes_them_all():
    judgement = judge(EVERY_CHECK, healthy_facts())
    assert (judgement.status, judgement.reason, judgement.message) == (Status.PASS, "", "")
    assert judgement.verdicts[0].check == "finite"
    assert judgement.verdicts[0].message == "all numbers of 28 steps are finite"
    assert {verdict.status for verdict in judgement.verdicts} == {Status.PASS}


# non-finite numbers


@pytest.mark.parametrize("value", [nan, inf, -inf])
@pytest.mark.parametrize(
    ("name", "where", "tensor"),
    [
        ("loss", "loss", ""),
        ("learning_rate", "learning rate", ""),
        ("weight_norm", "weight norm of layers.0.mlp.up.weight", "layers.0.mlp.up.weight"),
        ("gradient_norm", "gradient norm of layers.0.mlp.up.weight", "layers.0.mlp.up.weight"),
        ("gradient_largest", "largest gradient of layers.0.mlp.up.weight", "layers.0.mlp.up.weight"),
        ("clipped_norm", "clipped gradient norm of layers.0.mlp.up.weight", "layers.0.mlp.up.weight"),
        ("update_norm", "update norm of layers.0.mlp.up.weight", "layers.0.mlp.up.weight"),
    ],
)
def test_one_number_that_is_not_finite_fails_the_run(name, where, tensor, value):
    judgement = judge({}, healthy_facts(poisoned(name, value=value)))
    message = f"{where} is {value} at step 5, expected finite numbers"
    assert (judgement.status, judgement.reason) == (Status.FAIL, "nonfinite")
    assert judgement.message == f"finite: {message}"
    (verdict,) = judgement.verdicts
    assert (verdict.step, verdict.tensor, verdict.message) == (5, tensor, message)
    assert verdict.expected == "finite numbers"
    assert verdict.observed == value or np.isnan(verdict.observed)


@pytest.mark.parametrize("value", [nan, inf])
def test_a_measurement_that_is_not_finite_fails_the_run(value):
    measurements = dict(healthy_facts().measurements)
    measurements["held_out_loss"] = replace(measurements["held_out_loss"], value=value)
    judgement = judge({}, healthy_facts(measurements=measurements))
    assert (judgement.status, judgement.reason) == (Status.FAIL, "nonfinite")
    assert judgement.message == f"finite: measurement 'held_out_loss' is {value}, expected finite numbers"


def test_it_comes_before_every_check():
    judgement = judge({"says": FAIL, "parameters": Parameters(count=1)}, healthy_facts(poisoned("loss")))
    assert [verdict.check for verdict in judgement.verdicts] == ["finite", "says", "parameters"]
    assert judgement.reason == "nonfinite"


def test_it_cannot_be_switched_off():
    # Not by expecting nothing, not by a check of the same name, not by checks that look elsewhere.
    facts = healthy_facts(poisoned("loss"))
    for checks in ({}, {"finite": PASS}, {"says": PASS}, {"says": ERROR}):
        assert judge(checks, facts).reason == "nonfinite"


def test_first_nonfinite_follows_the_order_of_computation():
    order = {
        "weight_norm": "weight norm",
        "loss": "loss",
        "gradient_norm": "gradient norm",
        "gradient_largest": "largest gradient",
        "clipped_norm": "clipped gradient norm",
        "learning_rate": "learning rate",
        "update_norm": "update norm",
    }
    trace = healthy_trace()
    for name, what in reversed(order.items()):
        trace = poisoned(name, step=5, trace=trace)
        assert first_nonfinite(trace)[:2] == (5, what)


def test_first_nonfinite_takes_the_first_step_then_the_first_tensor():
    trace = poisoned("gradient_norm", 7, 0, trace=poisoned("gradient_norm", 7, 2, trace=poisoned("loss", 9)))
    assert first_nonfinite(trace)[:3] == (7, "gradient norm", "embedding")
    assert first_nonfinite(poisoned("update_norm", 6, 2, inf, trace=trace)) == (
        6, "update norm", "final_norm.weight", inf,
    )  # fmt: skip
    assert first_nonfinite(healthy_trace()) is None


def test_a_ratio_that_the_rule_does_not_give_is_no_failure():
    trace = replace(poisoned("update_ratio"), update_error=poisoned("update_error").update_error)
    assert judge({}, healthy_facts(trace)).status is Status.PASS


@pytest.mark.parametrize("trace", [None, healthy_trace(steps=0)])
def test_without_a_step_nothing_can_be_judged(trace):
    judgement = judge({"says": PASS}, replace(healthy_facts(), trace=trace))
    assert (judgement.status, judgement.reason) == (Status.ERROR, "missing")
    assert judgement.message == "finite: no step was recorded"


# how a run ended


@pytest.mark.parametrize("outcome", [Outcome.UNAVAILABLE, Outcome.UNSUPPORTED])
def test_what_cannot_run_here_is_skipped(outcome):
    judgement = judge({"says": FAIL}, Facts(outcome=outcome, message="needs jax: pip install jax"))
    assert (judgement.status, judgement.reason) == (Status.SKIP, outcome.value)
    assert judgement.message == "needs jax: pip install jax"
    assert judgement.verdicts == ()


@pytest.mark.parametrize("outcome", ["timeout", "out_of_memory", "crashed", "invalid", "broken"])
def test_what_ended_badly_is_an_error_and_never_a_failure(outcome):
    # Even with a trace that would fail, or one that would pass.
    for trace in (poisoned("loss"), healthy_trace()):
        facts = healthy_facts(trace, outcome=Outcome(outcome), message="stopped at step 3 of 28")
        judgement = judge({"says": FAIL}, facts)
        assert (judgement.status, judgement.reason) == (Status.ERROR, outcome)
        assert judgement.message == "stopped at step 3 of 28"
        assert judgement.verdicts == ()


def test_every_outcome_is_decided():
    decided = {Outcome.COMPLETED, Outcome.UNAVAILABLE, Outcome.UNSUPPORTED}
    for outcome in set(Outcome) - decided:
        assert judge({}, healthy_facts(outcome=outcome)).status is Status.ERROR


# from verdicts to a judgement


@pytest.mark.parametrize(
    ("checks", "status", "reason", "message"),
    [
        ([PASS, FAIL], Status.FAIL, "out_of_bounds", "says: 3, expected 4"),
        ([PASS, ERROR], Status.ERROR, "missing", "says: x was not recorded"),
        ([ERROR, FAIL], Status.FAIL, "out_of_bounds", "says: 3, expected 4"),
        ([FAIL, ERROR], Status.FAIL, "out_of_bounds", "says: 3, expected 4"),
        ([SKIP, PASS], Status.PASS, "", ""),
        ([SKIP], Status.PASS, "", ""),
        ([SKIP, ERROR], Status.ERROR, "missing", "says: x was not recorded"),
    ],
)
def test_failure_outweighs_error_outweighs_pass(checks, status, reason, message):
    judgement = judge({str(number): check for number, check in enumerate(checks)}, healthy_facts())
    assert (judgement.status, judgement.reason, judgement.message) == (status, reason, message)
    assert [verdict.status for verdict in judgement.verdicts[1:]] == [
        check.answer[0].status for check in checks
    ]


def test_the_first_failure_is_the_one_that_is_told():
    checks = {"a": says(Status.FAIL, "first", "one"), "b": says(Status.FAIL, "second", "two")}
    judgement = judge(checks, healthy_facts())
    assert (judgement.reason, judgement.message) == ("one", "says: first")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (KeyError("loss"), "the check broke: KeyError: 'loss'"),
        (ZeroDivisionError("division by zero"), "the check broke: ZeroDivisionError: division by zero"),
        ([], "the check broke: TypeError: expected verdicts, got ()"),
        (["pass"], "the check broke: TypeError: expected verdicts, got ('pass',)"),
        ([True], "the check broke: TypeError: expected verdicts, got (True,)"),
        (None, "the check broke: TypeError: 'NoneType' object is not iterable"),
    ],
)
def test_a_broken_check_is_an_error_and_the_others_are_asked(answer, message):
    judgement = judge({"broken": Says(answer=answer), "says": PASS}, healthy_facts())
    assert (judgement.status, judgement.reason) == (Status.ERROR, "broken")
    name = __name__.rpartition(".")[2]
    assert judgement.message == f"{name}: {message}"
    assert [verdict.status.value for verdict in judgement.verdicts] == ["pass", "error", "pass"]


def test_a_check_that_breaks_half_way_is_an_error():
    def half():
        yield Verdict(check="says", status=Status.PASS, message="good so far")
        raise ValueError("and then no more")

    judgement = judge({"says": Says(answer=half())}, healthy_facts())
    assert judgement.status is Status.ERROR
    assert "ValueError: and then no more" in judgement.message


def test_judging_changes_nothing():
    facts = healthy_facts()
    for field in fields(Trace):
        values = getattr(facts.trace, field.name)
        if isinstance(values, np.ndarray):
            values.flags.writeable = False
    assert judge(EVERY_CHECK, facts) == judge(EVERY_CHECK, facts)


# diagnoses


@dataclass(frozen=True)
class Thinks(Diagnostician):
    """A diagnostician that says what it was told to, and is called so."""

    said: object

    @property
    def name(self):
        return "thinks"

    def weigh(self, facts):
        del facts
        if isinstance(self.said, Exception):
            raise self.said
        return self.said


def diagnosis(name, weight):
    return Diagnosis(name=name, cause="a cause", remedy="a remedy", weight=weight)


def test_a_failed_run_is_diagnosed_with_the_best_fit_first():
    said = [diagnosis("b", 0.5), None, diagnosis("c", 0.9), diagnosis("a", 0.5)]
    judgement = judge({"says": FAIL}, healthy_facts(), [Thinks(each) for each in said])
    assert [each.name for each in judgement.diagnoses] == ["c", "a", "b"]
    assert (judgement.status, judgement.message) == (Status.FAIL, "says: 3, expected 4")


@pytest.mark.parametrize("check", [PASS, SKIP, ERROR])
def test_only_a_failed_run_is_diagnosed(check):
    asked = Thinks(AssertionError("must not be asked"))
    assert judge({"says": check}, healthy_facts(), [asked]).diagnoses == ()
    assert judge({"says": FAIL}, healthy_facts(outcome=Outcome.CRASHED), [asked]).diagnoses == ()


def test_a_broken_diagnostician_hurts_no_other():
    broken = Thinks(KeyError("loss"))
    judgement = judge({"says": FAIL}, healthy_facts(), [broken, Thinks(diagnosis("a", 0.5))])
    assert [(each.name, each.weight) for each in judgement.diagnoses] == [("a", 0.5), ("thinks", 0.0)]
    assert judgement.diagnoses[1].evidence == ("KeyError: 'loss'",)
    assert judgement.reason == "out_of_bounds"


# any trace


FLOATS = st.floats(width=64, allow_nan=True, allow_infinity=True)


@st.composite
def traces(draw, elements=FLOATS):
    steps, tensors = draw(st.integers(0, 12)), draw(st.integers(1, 3))
    shapes = {
        field.name: (steps,) if field.name in {"loss", "learning_rate", "memory"} else (steps, tensors)
        for field in fields(Trace)
        if field.name not in {"tensors", "events", "digests", "absent"}
    }
    return Trace(
        tensors=tuple(f"tensor.{number}" for number in range(tensors)),
        events={},
        **{
            name: draw(arrays(np.float64, shape, elements=elements, fill=elements))
            for name, shape in shapes.items()
        },
    )


@settings(max_examples=150)
@given(trace=traces())
def test_any_trace_is_judged(trace):
    with np.errstate(all="ignore"):
        judgement = judge(EVERY_CHECK, replace(healthy_facts(), trace=trace))
    assert isinstance(judgement.status, Status)
    assert judgement.verdicts[0].check == "finite"
    assert "the check broke" not in "".join(verdict.message for verdict in judgement.verdicts)
    finite = all(
        np.isfinite(getattr(trace, name)).all()
        for name in ("loss", "gradient_norm", "gradient_largest", "weight_norm")
    )
    if trace.steps and not finite:
        assert (judgement.status, judgement.reason) == (Status.FAIL, "nonfinite")
    if not trace.steps:
        assert judgement.status is not Status.PASS


@settings(max_examples=100)
@given(
    name=st.sampled_from(
        ["loss", "gradient_norm", "gradient_largest", "clipped_norm", "weight_norm", "update_norm"]
    ),
    step=st.integers(0, STEPS - 1),
    tensor=st.integers(0, TENSORS - 1),
    value=st.sampled_from([nan, inf, -inf]),
)
def test_one_bad_number_anywhere_is_found_where_it_is(name, step, tensor, value):
    trace = poisoned(name, step, tensor, value)
    judgement = judge(EVERY_CHECK, healthy_facts(trace))
    assert (judgement.status, judgement.reason) == (Status.FAIL, "nonfinite")
    assert judgement.verdicts[0].step == step
    assert judgement.verdicts[0].tensor == ("" if name == "loss" else trace.tensors[tensor])
