"""The check `matches_baseline` over facts that hold what was recorded."""

from dataclasses import replace
from math import inf, nan

import numpy as np
import pytest

from harness.checks.matches_baseline import Band, MatchesBaseline
from harness.judge import judge
from harness.model import Answer, Measurement, Status
from harness.testing import healthy_facts, healthy_trace

USUAL = MatchesBaseline(band=True)
ADVICE = "; if it is meant: harness rebase healthy --backend torch_eager --because ..."


def against(facts=None, **found):
    """Healthy facts; found: what the baseline holds instead."""
    facts = healthy_facts() if facts is None else facts
    there = {**healthy_facts().answers["recorded"].facts, **found}
    return replace(facts, answers={**facts.answers, "recorded": Answer(facts=there)})


def trained(loss, **found):
    """A training of these losses, held to the healthy one."""
    facts = healthy_facts(healthy_trace(loss=np.asarray(loss)))
    return against(facts, **found)


def elsewhere(factor=1.0, **found):
    """A training whose losses are so many times the recorded ones, on another machine."""
    return trained(healthy_trace().loss * factor, bitwise=False, **found)


def verdicts(facts, check=USUAL):
    return list(check.judge(facts))


def failure(facts, check=USUAL):
    bad = [verdict for verdict in verdicts(facts, check) if verdict.status is Status.FAIL]
    assert bad
    return bad[0]


def test_matches_baseline_passes_the_same_bits():
    (verdict,) = verdicts(against())
    assert (verdict.status, verdict.reason) == (Status.PASS, "")
    assert verdict.message == "all 28 losses and the final weights are the recorded bits"


def test_matches_baseline_passes_rounding_on_another_machine():
    noise = 1 + 1e-5 * np.random.default_rng(0).uniform(-1, 1, 28)
    found = verdicts(elsewhere(noise))
    assert [verdict.status for verdict in found] == [Status.PASS] * 3
    assert found[0].message.endswith("expected -0.02 % to 0.02 %")
    assert "on average from the recorded losses, with sign" in found[1].message


def test_matches_baseline_fails_on_other_bits_on_the_same_machine():
    loss = healthy_trace().loss.copy()
    loss[7] = np.nextafter(loss[7], 10)
    verdict = failure(trained(loss))
    assert (verdict.reason, verdict.step) == ("other_bits", 7)
    assert verdict.message.startswith("other bits than recorded from step 7 on, by ")
    assert verdict.message.endswith(ADVICE)


def test_matches_baseline_fails_on_other_weights_under_the_same_losses():
    verdict = failure(against(digest="0123"))
    assert (verdict.reason, verdict.step) == ("other_bits", None)
    assert "in the final weights" in verdict.message


@pytest.mark.parametrize("bitwise", [True, False])
def test_matches_baseline_fails_at_the_first_step_that_is_off(bitwise):
    loss = healthy_trace().loss.copy()
    loss[12] *= 1 + 3e-4
    loss[20] *= 1 + 9e-4
    verdict = failure(trained(loss, bitwise=bitwise))
    assert (verdict.reason, verdict.step) == ("off_baseline", 12)
    assert verdict.observed == pytest.approx(3e-4)
    assert verdict.message == (
        "0.03 % from the recorded loss of step 12 (2.857, recorded 2.856), expected -0.02 % to 0.02 %"
        + ADVICE
    )


def test_matches_baseline_fails_on_a_small_difference_that_has_one_sign():
    verdict = failure(elsewhere(1 + 1.5e-4))
    assert verdict.reason == "one_signed"
    assert verdict.observed == pytest.approx(1.5e-4)
    assert verdict.message.startswith(
        "0.015 % on average from the recorded losses, with sign, expected -0.01 %"
    )


def test_matches_baseline_fails_on_an_improvement_and_calls_it_so():
    verdict = failure(elsewhere(np.linspace(1, 0.97, 28)))
    assert verdict.reason == "improved"
    assert verdict.message.startswith(
        "improved: the loss is lower than recorded by 1.5 % on average, by 3 % at the end"
    )
    assert verdict.message.endswith(ADVICE)


def test_matches_baseline_passes_an_improvement_where_that_is_wanted():
    (verdict,) = verdicts(elsewhere(np.linspace(1, 0.97, 28)), MatchesBaseline(band=Band(improvement="pass")))
    assert verdict.status is Status.PASS
    assert verdict.message.startswith("improved: ")


def test_lower_at_the_end_after_a_detour_above_is_no_improvement():
    factor = np.linspace(1, 0.97, 28)
    factor[5] = 1.001
    assert failure(elsewhere(factor)).reason == "off_baseline"


def test_matches_baseline_fails_on_weights_that_are_off():
    norms = {**healthy_facts().answers["recorded"].facts["weight_norms"], "embedding": 2.1}
    verdict = failure(against(bitwise=False, weight_norms=norms))
    assert (verdict.reason, verdict.message.partition(",")[0]) == (
        "off_baseline", "-4.762 % from the recorded weight norm of embedding (2",
    )  # fmt: skip


def test_a_norm_that_should_be_zero_is_held_to_the_largest_one():
    norms = {**healthy_facts().answers["recorded"].facts["weight_norms"], "final_norm.weight": 1e-9}
    weights = healthy_trace().weight_norm.copy()
    weights[:, 2] = 3e-9
    facts = healthy_facts(healthy_trace(weight_norm=weights))
    assert all(v.status is Status.PASS for v in verdicts(against(facts, bitwise=False, weight_norms=norms)))


def test_matches_baseline_fails_on_a_held_out_loss_that_is_off():
    assert failure(against(bitwise=False, metrics={"held_out_loss": 2.6})).reason == "off_baseline"


@pytest.mark.parametrize(
    ("steps", "reason", "message"),
    [
        (27, "missing_steps", "27 steps, recorded 28 in the baseline, expected as many"),
        (29, "extra_steps", "29 steps, recorded 28 in the baseline, expected as many"),
        (1, "missing_steps", "1 steps, recorded 28 in the baseline, expected as many"),
    ],
)
def test_every_step_counts(steps, reason, message):
    facts = against(healthy_facts(healthy_trace(steps=steps)))
    assert (failure(facts).reason, failure(facts).message) == (reason, message)


@pytest.mark.parametrize("lacks", ["run", "baseline"])
def test_a_metric_that_one_side_lacks_fails(lacks):
    facts = healthy_facts(measurements={}) if lacks == "run" else healthy_facts()
    verdict = failure(against(facts, **({} if lacks == "run" else {"metrics": {}})))
    assert verdict.reason == "missing_metric"
    side = "this run" if lacks == "run" else "the baseline"
    assert verdict.message.startswith(f"held_out_loss: {side} lacks it")


def test_a_tensor_that_one_side_lacks_fails():
    assert failure(against(weight_norms={"embedding": 2.0})).reason == "missing_metric"


@pytest.mark.parametrize("value", [nan, inf])
def test_numbers_that_are_not_finite_fail_on_either_side(value):
    loss = healthy_trace().loss.copy()
    loss[3] = value
    here = failure(trained(loss))
    assert (here.reason, here.step) == ("nonfinite", 3)
    there = failure(against(losses=loss.tolist()))
    assert (there.reason, there.message.partition(";")[0]) == (
        "nonfinite_baseline",
        "the baseline: its losses are not all finite",
    )
    both = failure(trained(loss, losses=loss.tolist()))
    assert both.reason == "nonfinite_baseline"
    assert failure(against(metrics={"held_out_loss": value})).reason == "nonfinite_baseline"


def test_a_held_out_loss_that_is_nan_fails():
    odd = {"held_out_loss": Measurement(name="held_out_loss", value=nan, unit="")}
    assert failure(against(healthy_facts(measurements=odd))).reason == "nonfinite"


@pytest.mark.parametrize(
    ("reason", "status"),
    [
        ("no_baseline", Status.ERROR),
        ("no_comparable_baseline", Status.ERROR),
        ("unreadable_baseline", Status.FAIL),
    ],
)
def test_without_a_baseline_nothing_passes(reason, status):
    facts = healthy_facts(answers={"recorded": Answer(facts={"reason": reason, "message": "why"})})
    (verdict,) = verdicts(facts)
    assert (verdict.status, verdict.reason, verdict.message) == (status, reason, "why")
    assert judge({"matches_baseline": USUAL}, facts).reason == reason


def test_what_was_never_looked_for_is_missing():
    (verdict,) = verdicts(healthy_facts(answers={}))
    assert (verdict.status, verdict.reason) == (Status.ERROR, "missing")
    (verdict,) = verdicts(replace(healthy_facts(), trace=None))
    assert (verdict.status, verdict.reason) == (Status.ERROR, "missing")


def test_a_band_of_its_own():
    wide = MatchesBaseline(band=Band(relative=1e-2, mean=1e-2))
    assert all(verdict.status is Status.PASS for verdict in verdicts(elsewhere(1.005), wide))
    narrow = MatchesBaseline(band=Band(relative=1e-6))
    assert failure(elsewhere(1 + 1e-5), narrow).reason == "off_baseline"


@pytest.mark.parametrize("make", [lambda: MatchesBaseline(band=False), Band])
def test_what_could_not_fail_is_refused(make):
    with pytest.raises(
        ValueError, match=r"leave the key out|give at least one of relative, mean, improvement"
    ):
        make()


def test_a_program_that_tells_losses_only_is_held_to_those():
    trace = healthy_trace(absent=("weight_norm",), digests=())
    facts = against(healthy_facts(trace, measurements={}), weight_norms={}, metrics={}, digest="")
    (verdict,) = verdicts(facts)
    assert verdict.status is Status.PASS
