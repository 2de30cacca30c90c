"""The shift between two groups and its interval, against ways to get them that are slower and plainer."""

from itertools import combinations
from math import comb, inf, isnan, nan

import numpy as np
import pytest

from harness.effects import _arrangements, _depth, _paired_depth, effect, paired


@pytest.mark.parametrize(("first", "second"), [(1, 1), (2, 3), (4, 4), (5, 3)])
def test_the_arrangements_are_those_that_counting_finds(first, second):
    counted = [0] * (first * second + 1)
    for chosen in combinations(range(first + second), first):
        others = [place for place in range(first + second) if place not in chosen]
        counted[sum(a > b for a in chosen for b in others)] += 1
    assert _arrangements(first, second) == counted
    assert sum(counted) == comb(first + second, first)


@pytest.mark.parametrize(
    ("size", "error", "depth"),
    # Critical values of Mann and Whitney's test from the printed tables (two-sided), and one.
    [(3, 0.05, 0), (4, 0.05, 1), (5, 0.05, 3), (8, 0.05, 14), (10, 0.05, 24), (5, 0.01, 1), (10, 0.01, 17)],
)
def test_the_depth_is_that_of_the_tables(size, error, depth):
    assert _depth(size, size, error) == depth


def test_shift_and_interval_of_a_known_pair():
    found = effect([10, 11, 12, 13, 14], [20, 21, 22, 23, 24], 0.01)
    assert (found.before, found.after) == (12, 22)
    assert found.share == pytest.approx(10 / 12)
    assert (found.low, found.high) == pytest.approx((6 / 12, 14 / 12))


def test_too_few_say_nothing():
    found = effect([1.0, 1.0], [2.0, 2.0], 0.05)
    assert (found.share, found.low, found.high) == (1.0, -inf, inf)


def test_zeros_and_numbers_that_are_not_finite():
    assert effect([0] * 5, [0] * 5, 0.01).share == 0
    assert effect([0] * 5, [1] * 5, 0.01).low == inf
    broken = effect([1] * 5, [1, 1, 1, 1, nan], 0.01)
    assert isnan(broken.share)
    assert (broken.low, broken.high) == (-inf, inf)


@pytest.mark.parametrize("noise", ["normal", "heavy"])
def test_the_interval_misses_as_seldom_as_it_says(noise):
    chance, missed, trials = np.random.default_rng(0), 0, 2000
    for _ in range(trials):
        draw = chance.standard_normal if noise == "normal" else lambda size: chance.standard_t(2, size)
        found = effect(100 + draw(8), 103 + draw(8), 0.05)
        missed += not found.low <= 3 / found.before <= found.high
    assert 0.02 < missed / trials < 0.06


@pytest.mark.parametrize(
    ("pairs", "depth"),
    # Critical values of Wilcoxon's signed rank test from the printed tables (two-sided, 5 %), and one.
    [(5, 0), (6, 1), (7, 3), (8, 4), (9, 6), (10, 9), (12, 14), (20, 53)],
)
def test_the_depth_of_pairs_is_that_of_the_tables(pairs, depth):
    assert _paired_depth(pairs, 0.05) == depth


def test_the_factor_between_pairs():
    before = [10, 20, 30, 40, 50, 60]
    found = paired(before, [1.5 * each for each in before], 0.05)
    assert (found.before, found.after) == (35, 52.5)
    assert (found.share, found.low, found.high) == pytest.approx((0.5, 0.5, 0.5))
    assert paired(before, before, 0.05).share == 0


def test_pairs_that_are_too_few_or_no_numbers_say_nothing():
    found = paired([1.0] * 5, [2.0] * 5, 0.05)
    assert (found.share, found.low, found.high) == (pytest.approx(1.0), -inf, inf)
    for odd in (nan, 0.0):
        found = paired([1.0] * 6, [odd, *[1.0] * 5], 0.05)
        assert (isnan(found.share), found.low, found.high) == (True, -inf, inf)
    assert paired([1.0] * 6, [inf] * 6, 0.05).low == inf
    assert paired([1.0] * 8, [inf, *[1.0] * 7], 0.05).low == 0


@pytest.mark.parametrize("noise", ["normal", "heavy"])
def test_the_interval_of_pairs_misses_as_seldom_as_it_says(noise):
    chance, missed, trials = np.random.default_rng(0), 0, 2000
    for _ in range(trials):
        odd = chance.standard_normal(8) if noise == "normal" else chance.standard_t(2, 8)
        before = np.exp(chance.standard_normal(8))
        found = paired(before, 1.2 * before * np.exp(0.1 * odd), 0.05)
        missed += not found.low <= 0.2 <= found.high
    assert 0.02 < missed / trials < 0.06
