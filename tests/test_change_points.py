"""Where the level changed: false alarms, what is found and how soon, beside the detectors of others."""

import numpy as np
import pytest
from asv import step_detect
from hypothesis import given, settings
from hypothesis import strategies as st
from noises import KINDS, stepped, still

from harness.change_points import CLIP, FIRST, SHORTEST, THRESHOLD, change_points

SERIES = 200


def series_with_a_step(seed=0, *parts):
    generator = np.random.default_rng(seed)
    levels = parts or ((60, 1.0), (60, 1.1))
    return np.concatenate([level * (1 + 0.02 * generator.standard_normal(size)) for size, level in levels])


# The levels that we promise.


@pytest.mark.parametrize("kind", KINDS)
def test_at_most_one_percent_of_still_series_raise_an_alarm(kind):
    alarms = [bool(change_points(values)) for values in still(kind, SERIES)]
    assert np.mean(alarms) <= 0.01


def share_found(kind, step, since=5, **where):
    found = [
        any(abs(change.at - at) <= 2 for change in change_points(values))
        for values, at in stepped(kind, SERIES, step, since, **where)
    ]
    return np.mean(found)


@pytest.mark.parametrize("kind", ["white", "student"])
@pytest.mark.parametrize("step", [0.10, -0.10])
def test_95_percent_of_10_percent_steps_are_found_with_five_values(kind, step):
    assert share_found(kind, step) >= 0.95


def test_most_are_found_with_five_values_among_outliers_and_all_a_little_later():
    assert share_found("outliers", 0.10) >= 0.8
    assert share_found("outliers", 0.10, since=10) >= 0.95


def test_smaller_steps_and_steps_in_correlated_noise_take_longer():
    assert share_found("white", 0.05) < 0.6
    assert share_found("white", 0.05, since=20) > 1.5 * share_found("white", 0.05)
    assert share_found("correlated 0.3", 0.10, since=15) > share_found("correlated 0.3", 0.10)


# Night by night.


@given(st.integers(0, 2**31), st.integers(30, 150), st.integers(0, 25), st.floats(0.8, 1.3))
@settings(max_examples=40, deadline=None)
def test_looking_at_the_end_gives_what_looking_every_night_gave(seed, size, back, level):
    values = series_with_a_step(seed, (size, 1.0), (30, level), (40, 1.0))
    told = change_points(values)
    tonight = len(values) - back
    known = [(change.at, change.score) for change in told if change.known < tonight]
    assert [(change.at, change.score) for change in change_points(values[:tonight])] == known


def test_a_change_says_from_when_it_was_known_and_both_levels():
    values = series_with_a_step()
    (change,) = change_points(values)
    assert change.at == 60
    assert change.at + SHORTEST - 1 <= change.known < change.at + 10
    assert change.score > THRESHOLD
    assert (change.before, change.after) == (np.median(values[:60]), np.median(values[60:]))
    assert change_points(values[: change.known]) == ()


def test_a_change_and_its_way_back_are_two_changes():
    found = change_points(series_with_a_step(3, (60, 1.0), (12, 1.15), (20, 1.0)))
    assert len(found) == 2
    assert [change.after > change.before for change in found] == [True, False]
    assert [abs(change.at - at) <= 1 for change, at in zip(found, (60, 72), strict=True)] == [True, True]


# What must not be told.


@pytest.mark.parametrize("size", [1.5, 10.0, 1e6, -1e6])
@pytest.mark.parametrize("count", [1, 2])
def test_single_outliers_are_no_change(size, count):
    values = series_with_a_step(1, (100, 1.0))
    values[60 : 60 + count] *= size
    assert change_points(values) == ()


def test_too_few_values_tell_nothing():
    assert change_points([]) == ()
    assert change_points([1.0] * FIRST + [2.0] * (SHORTEST - 1)) == ()
    (change,) = change_points([1.0] * 40 + [2.0] * SHORTEST)
    assert (change.at, change.known, change.before, change.after) == (40, 44, 1.0, 2.0)


def test_a_thousandth_is_not_worth_telling_however_exact_the_values_are():
    assert change_points([1.0] * 50 + [1.0005] * 50) == ()
    assert len(change_points([1.0] * 50 + [1.01] * 50)) == 1


def test_values_that_are_not_finite_are_passed_over_and_places_are_kept():
    values = series_with_a_step()
    holes = np.insert(values, [10, 40, 40, 75], [np.nan, np.inf, -np.inf, np.nan])
    (plain,), (found,) = change_points(values), change_points(holes)
    assert (found.at, found.score) == (plain.at + 3, plain.score)
    assert change_points([np.nan] * 100) == ()


@pytest.mark.parametrize("factor", [1e-9, 1e12, -1.0])
def test_the_unit_does_not_matter(factor):
    values = series_with_a_step()
    assert [change.at for change in change_points(factor * values)] == [
        change.at for change in change_points(values)
    ]


def test_a_level_of_zero_is_a_level():
    (change,) = change_points([0.0] * 30 + [3.0] * 10)
    assert (change.at, change.before, change.after) == (30, 0.0, 3.0)


def test_clipping_leaves_two_outliers_of_five_too_weak_and_five_values_strong_enough():
    assert 2 * CLIP < THRESHOLD * SHORTEST**0.5 < CLIP * SHORTEST


# Beside others, on the same series.

COMPARED = 20


def asv_alarms(values):
    return len(step_detect.detect_steps(list(values))) - 1


def ruptures_alarms(values):
    """PELT with the usual penalty, 2 log(n) variances, which is taken from neighbours' differences."""
    import ruptures

    variance = np.median(np.abs(np.diff(values))) ** 2 / (2 * 0.6745**2)
    found = ruptures.Pelt(model="l2", min_size=SHORTEST, jump=1).fit(values)
    return len(found.predict(pen=2 * np.log(len(values)) * variance)) - 1


def test_ruptures_raises_alarms_on_series_that_stand_still():
    series = [values for kind in KINDS for values in still(kind, 8)]
    assert np.mean([ruptures_alarms(values) > 0 for values in series]) > 0.1


def test_asv_needs_longer_to_see_a_step():
    series = [values for values, _ in stepped("white", COMPARED, 0.10)]
    ours = np.mean([bool(change_points(values)) for values in series])
    theirs = np.mean([asv_alarms(values) > 0 for values in series])
    assert ours >= 0.95
    assert theirs < ours


@pytest.mark.parametrize("others", [asv_alarms, ruptures_alarms])
def test_others_agree_where_a_step_is_plain(others):
    values = series_with_a_step(5, (60, 1.0), (60, 1.2))
    (change,) = change_points(values)
    assert (change.at, others(values)) == (60, 1)
