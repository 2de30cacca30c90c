"""What repeated runs of two commits say: exactly where they repeat, by intervals where they do not."""

from dataclasses import replace
from math import nan

import numpy as np
import pytest
from recorded import make_facts, make_run, make_trace

from harness.decide import ERROR, Kind, Limits, decide
from harness.model import HarnessError, Measurement, Status

TIMES = Limits(metrics=("step_time",))
LOSSES = Limits(metrics=("final_loss",))


def timed(*seconds):
    facts = make_facts()
    return [
        make_run(
            status=Status.PASS,
            facts=replace(
                facts, measurements={"step_time": Measurement(name="step_time", value=each, unit="s")}
            ),
        )
        for each in seconds
    ]


def lost(final, count=2, status=Status.PASS, **changes):
    trace = make_trace(loss=(3.5, 3.0, 2.5, final))
    return [make_run(status=status, facts=make_facts(trace=trace), **changes)] * count


def noisy(middle, count, spread=0.01, seed=0):
    return timed(*(middle * (1 + spread * np.random.default_rng(seed).standard_normal(count))))


def test_looks_end_with_the_last_round():
    assert Limits(most=14).looks == (5, 7, 10, 14)
    assert Limits(most=12).looks == (5, 7, 10, 12)
    assert Limits(most=4).looks == ()


@pytest.mark.parametrize(
    ("factor", "kind"),
    [(1.2, Kind.REGRESSION), (0.8, Kind.IMPROVEMENT), (1.0, Kind.SAME)],
)
def test_times_are_compared_by_their_interval(factor, kind):
    found = decide(noisy(1, 7), noisy(factor, 7, seed=1), TIMES)
    assert (found.kind, found.settled, found.outcome) == (kind, True, Kind.SAME)
    [metric] = found.findings
    assert metric.low <= factor - 1 <= metric.high
    assert not metric.exact


def test_noise_that_hides_the_effect_is_not_clear_and_neither_is_a_round_between_looks():
    assert decide(noisy(1, 7, 0.5), noisy(1, 7, 0.5, 1), TIMES).kind is Kind.INCONCLUSIVE
    assert decide(noisy(1, 6), noisy(2, 6, seed=1), TIMES).kind is Kind.INCONCLUSIVE


def test_a_clear_effect_below_the_threshold_is_no_regression():
    before, after = noisy(1, 7, 1e-3), noisy(1.03, 7, 1e-3, 1)
    assert decide(before, after, TIMES).kind is Kind.SAME
    assert decide(before, after, replace(TIMES, threshold=0.02)).kind is Kind.REGRESSION


@pytest.mark.parametrize("noise", ["normal", "heavy", "wandering"])
def test_equal_code_is_seldom_called_worse_or_better(noise):
    chance, alarms, trials = np.random.default_rng(1), 0, 300
    limits = replace(TIMES, most=10)
    for _ in range(trials):
        draws = {
            "normal": chance.standard_normal(20),
            "heavy": chance.standard_t(2, 20),
            "wandering": np.cumsum(chance.standard_normal(20)) / 2,
        }[noise]
        values = 1 + 0.1 * np.clip(draws, -8, 8)
        for look in limits.looks:
            found = decide(timed(*values[: 2 * look : 2]), timed(*values[1 : 2 * look : 2]), limits)
            if found.settled:
                alarms += found.kind is not Kind.SAME
                break
    assert alarms / trials <= ERROR


def test_a_slowdown_of_a_tenth_is_found_in_noise_of_three_percent():
    chance, seen, trials = np.random.default_rng(2), 0, 100
    for _ in range(trials):
        old, new = 1 + 0.03 * chance.standard_normal(14), 1.1 * (1 + 0.03 * chance.standard_normal(14))
        found = (decide(timed(*old[:look]), timed(*new[:look]), TIMES) for look in TIMES.looks)
        seen += any(each.kind is Kind.REGRESSION for each in found)
    assert seen / trials > 0.9


@pytest.mark.parametrize(
    ("after", "kind"),
    [
        (2.0, Kind.SAME),
        (2.001, Kind.REGRESSION),
        (1.999, Kind.IMPROVEMENT),
        (2.0 * (1 + 1e-7), Kind.CHANGE),
        (nan, Kind.REGRESSION),
    ],
)
def test_losses_that_repeat_are_compared_to_the_bit(after, kind):
    found = decide(lost(2.0), lost(after), LOSSES)
    assert (found.kind, found.settled) == (kind, True)
    [metric] = found.findings
    assert metric.exact
    assert ("they part at step 3, forward" in metric.note) == (kind is not Kind.SAME)


def test_losses_that_do_not_repeat_are_noisy():
    mixed = lost(2.0, 1) + lost(2.1, 1)
    [metric] = decide(mixed, lost(2.0), LOSSES).findings
    assert (metric.exact, metric.kind) == (False, Kind.INCONCLUSIVE)


def test_one_round_is_no_repeat():
    found = decide(lost(2.0, 1), lost(3.0, 1), LOSSES)
    assert (found.kind, found.settled) == (Kind.INCONCLUSIVE, False)


@pytest.mark.parametrize(
    ("before", "after", "outcome"),
    [
        ("pp", "ff", Kind.REGRESSION),
        ("pp", "ee", Kind.REGRESSION),
        ("ff", "pp", Kind.IMPROVEMENT),
        ("ff", "ee", Kind.REGRESSION),
        ("ee", "ff", Kind.CHANGE),
        ("ee", "ee", Kind.SAME),
        ("ee", "pp", Kind.IMPROVEMENT),
        ("pp", "pf", Kind.INCONCLUSIVE),
        ("ppp", "pff", Kind.REGRESSION),
        ("ppf", "ppf", Kind.SAME),
        ("ps", "pp", Kind.SAME),
        ("s", "p", Kind.SKIPPED),
    ],
)
def test_the_status_goes_by_majority(before, after, outcome):
    names = {"p": Status.PASS, "f": Status.FAIL, "e": Status.ERROR, "s": Status.SKIP}
    sides = ([lost(2.0, 1, names[each])[0] for each in side] for side in (before, after))
    found = decide(*sides, LOSSES)
    assert found.outcome is outcome
    assert found.settled is (outcome is not Kind.INCONCLUSIVE)
    if outcome is Kind.REGRESSION:
        assert found.worst.status in (Status.FAIL, Status.ERROR)


def test_numbers_of_a_side_that_did_not_run_are_not_compared():
    assert decide(lost(2.0), lost(2.5, 2, Status.ERROR), LOSSES).findings == ()


def test_unlike_problems_have_no_regressions():
    old, new = lost(2.0), lost(2.5, revision=9)
    found = decide(old, new, LOSSES)
    assert found.unlike.startswith("case revision: ")
    assert found.kind is Kind.CHANGE
    problem = replace(old[0].facts.problem, digest="other")
    other = [replace(run, facts=replace(run.facts, problem=problem)) for run in lost(2.5)]
    assert decide(old, other, LOSSES).unlike == "problem digest: p0 and other"
    bare = [replace(run, facts=replace(run.facts, problem=None)) for run in lost(2.5)]
    assert decide(old, bare, LOSSES).unlike == ""


def test_what_only_one_side_records_is_told():
    bare = [make_run(status=Status.PASS, facts=make_facts(measurements={}))] * 2
    [metric] = decide(timed(1, 1), bare, TIMES).findings
    assert (metric.kind, metric.note) == (Kind.CHANGE, "not recorded in every run")
    assert decide(bare, bare, TIMES).findings == ()


def test_an_unknown_metric():
    with pytest.raises(HarnessError, match="metric 'step_tim': unknown; did you mean 'step_time'"):
        decide(timed(1, 1), timed(1, 1), Limits(metrics=("step_tim",)))
