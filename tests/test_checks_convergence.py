"""The check `convergence`: over several seeds slower, faster, the same, or not yet clear."""

from dataclasses import replace
from math import inf, nan

import numpy as np
import pytest

from harness.checks.convergence import Convergence, steps_to
from harness.judge import judge
from harness.model import Answer, Status
from harness.testing import healthy_facts

SEEDS, STEPS, TO = 8, 100, 1.0
CHECK = Convergence(to=TO, within=0.1)
REBASE = "if it is meant: harness rebase healthy --backend torch_eager --because ..."
RECORDED = {str(seed): 40.0 + seed for seed in range(SEEDS)}


def losses(reached):
    """Losses that stand at 2 and fall to 0.5, so that after so many steps the median of the last 5 is low."""
    fall = STEPS if reached == inf else int(reached) - 3
    return [2.0] * fall + [0.5] * (STEPS - fall)


def facts(steps, there=None, **more):
    """A run whose seeds take so many steps, held to what was recorded."""
    seen = healthy_facts()
    found = {"to": TO, "steps": RECORDED} if there is None else there
    answers = {
        "convergence": Answer(facts={"losses": {str(at): losses(each) for at, each in enumerate(steps)}}),
        "recorded": Answer(facts={**seen.answers["recorded"].facts, "convergence": found, **more}),
    }
    return replace(seen, answers={**seen.answers, **answers})


def verdict(steps, check=CHECK, **more):
    [found] = check.judge(facts(steps, **more))
    return found


def times(factor, noise=0.0):
    chance = np.random.default_rng(0).uniform(-noise, noise, SEEDS)
    return [round(each * factor * (1 + odd)) for each, odd in zip(RECORDED.values(), chance, strict=True)]


def test_the_steps_are_counted_to_the_median_of_the_last_losses():
    assert steps_to(losses(40), TO) == 40
    assert steps_to([3.0, 2.0, 1.0, 0.5], 1.0) == 3
    assert steps_to([2.0] * 3, 1.0) == inf
    assert steps_to([], 1.0) == inf
    assert steps_to([nan] * 10, 1.0) == steps_to([1e308] * 20, 1.0) == inf


def test_convergence_passes_as_fast_as_recorded():
    found = verdict(RECORDED.values())
    assert (found.status, found.reason, found.observed, found.unit) == (Status.PASS, "", 0.0, "%")
    assert found.message == (
        "steps to a loss of 1 changed by 0 % (8 seeds: 0 % to 0 %; median 43.5, recorded 43.5), expected -10 % to 10 %"
    )


def test_convergence_passes_a_little_apart():
    assert verdict(times(1.02, noise=0.03)).status is Status.PASS


def test_convergence_fails_slower():
    found = verdict(times(1.3, noise=0.03))
    assert (found.status, found.reason) == (Status.FAIL, "slower")
    assert found.observed == pytest.approx(0.3, abs=0.03)
    assert found.message.startswith("slower: steps to a loss of 1 changed by +")
    assert found.message.endswith(f"expected -10 % to 10 %; {REBASE}")


def test_convergence_fails_faster_too():
    found = verdict(times(0.6, noise=0.03))
    assert (found.status, found.reason) == (Status.FAIL, "faster")
    assert found.observed == pytest.approx(-0.4, abs=0.03)
    assert "too fast is a symptom, too: does the model see what it should predict?" in found.message


def test_faster_passes_where_that_is_wanted():
    found = verdict(times(0.6), Convergence(to=TO, within=0.1, improvement="pass"))
    assert (found.status, found.message.startswith("improved: steps to a loss")) == (Status.PASS, True)
    assert verdict(times(1.6), Convergence(to=TO, within=0.1, improvement="pass")).reason == "slower"


def test_seeds_that_scatter_do_not_suffice():
    found = verdict([30, 55, 31, 56, 33, 58, 35, 60])
    assert (found.status, found.reason) == (Status.ERROR, "inconclusive")
    assert found.message.startswith("8 seeds do not suffice: steps to a loss of 1 changed by ")
    assert found.message.endswith(" might")
    assert judge({"convergence": CHECK}, facts([30, 55, 31, 56, 33, 58, 35, 60])).reason == "inconclusive"


def test_clearly_other_but_perhaps_by_little_is_not_clear():
    found = verdict(times(1.08, noise=0.06))
    assert (found.status, found.reason) == (Status.ERROR, "inconclusive")


def test_fewer_seeds_than_it_takes_were_recorded():
    found = verdict(times(2), there={"to": TO, "steps": {"0": 40.0, "1": 41.0, "2": 42.0, "9": 40.0}})
    assert (found.status, found.reason) == (Status.ERROR, "inconclusive")
    assert "3 seeds do not suffice" in found.message
    assert verdict(times(1), there={"to": TO, "steps": {"9": 40.0}}).reason == "no_comparable_baseline"


def test_a_seed_that_never_gets_there_is_the_slowest():
    one = verdict([*times(1)[:-1], inf])
    assert (one.status, one.reason) == (Status.ERROR, "inconclusive")
    assert "1 of 8 seeds never get there" in one.message
    every = verdict([inf] * SEEDS)
    assert (every.status, every.reason, every.observed) == (Status.FAIL, "slower", inf)


def test_a_loss_that_is_no_number_fails():
    sick = facts(times(1))
    told = sick.answers["convergence"].facts["losses"]
    told["3"][7] = nan
    [found] = CHECK.judge(sick)
    assert (found.status, found.reason, found.step) == (Status.FAIL, "nonfinite", 7)
    assert found.message == "seed 3: the loss of step 7 is nan, expected a number"


def test_nothing_is_said_without_what_was_recorded():
    none = verdict(times(1), there={})
    assert (none.status, none.reason) == (Status.ERROR, "no_baseline")
    assert none.message.startswith("the baseline has none of it; record: harness rebase")
    other = verdict(times(1), there={"to": 0.9, "steps": RECORDED})
    assert (other.status, other.reason) == (Status.ERROR, "no_comparable_baseline")
    assert other.message.startswith("to: 0.9 and 1 (recorded and now); record again: harness rebase")
    assert verdict(times(1), reason="unreadable_baseline", message="why").status is Status.FAIL
    assert verdict(times(1), reason="no_baseline", message="why").status is Status.ERROR
    odd = verdict(times(1), there={"to": TO, "steps": {**RECORDED, "0": nan}})
    assert (odd.status, odd.reason) == (Status.ERROR, "inconclusive")


def test_what_was_never_asked_is_missing():
    for name in ("convergence", "recorded"):
        known = facts(times(1))
        left = {key: answer for key, answer in known.answers.items() if key != name}
        [found] = CHECK.judge(replace(known, answers=left))
        assert (found.status, found.reason) == (Status.ERROR, "missing")
    assert CHECK.recorded(healthy_facts(answers={})) == {}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"seeds": 5}, "seeds: 5 are never enough, expected at least 6"),
        ({"within": 0.0}, "within: expected above 0% and below 100%, got 0 %"),
        ({"within": 1.0}, "within: expected above 0% and below 100%, got 100 %"),
    ],
)
def test_what_can_never_be_clear_is_refused(settings, said):
    with pytest.raises(ValueError, match=said):
        Convergence(**{"to": 1.0, "within": 0.1, **settings})


def test_what_is_recorded_are_the_steps_of_each_seed():
    assert CHECK.recorded(facts(RECORDED.values())) == {"to": TO, "steps": RECORDED}
    with pytest.raises(
        ValueError, match="seed 1 is never there: 2 to 2 in 100 steps, expected to come down to 1"
    ):
        CHECK.recorded(facts([40, inf]))
    with pytest.raises(ValueError, match=r"seed 0 is there from the start: .* choose another loss for `to`"):
        CHECK.recorded(facts([4]))
