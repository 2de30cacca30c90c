"""What healthy seeds say and propose: exact numbers."""

from math import e, exp
from pathlib import Path

import numpy as np
import pytest

from harness.checks import Reading
from harness.proposals import bounds_for, effect_of, figure, number_in_file, rounded, seeds_needed, widest

ROOT = Path(__file__).parents[1]
HERE = Path("case.yaml")
EPS = 2.0**-23
KIB, MIB = 2**10, 2**20


def readings(*values, **about):
    return [Reading(value=value, **about) for value in values]


def test_figure_of_three_seeds():
    found = figure(readings(9.0, 10.0, 11.0, low=9.5, high=20.0))
    assert (found.values, found.mean, found.deviation, found.outside) == ((9.0, 10.0, 11.0), 10.0, 1.0, 1)
    assert found.needed == 64


def test_mean_and_deviation_are_exact():
    # One tenth is not a binary number: a sum of floats would be off by a rounding, a bound at 0.1 would fail.
    found = figure(readings(*[0.1] * 7, high=0.1))
    assert (found.mean, found.deviation, found.outside) == (0.1, 0.0, 0)


@pytest.mark.parametrize(("effect_size", "needed"), [(0.2, 394), (0.5, 64), (0.8, 26), (1.0, 17)])
def test_seeds_needed_are_those_of_the_tables(effect_size, needed):
    # Cohen (1988), table 2.4.1: a two-sided t-test of two means, 95 % confidence, 80 % power.
    assert seeds_needed(1.0, 0.05 / effect_size) == needed


def test_no_seed_is_needed_for_what_never_varies_and_none_helps_at_a_mean_of_zero():
    assert seeds_needed(3.0, 0.0) == 2
    assert seeds_needed(0.0, 1.0) is None


def test_seeds_needed_have_the_power_that_is_promised():
    generator, needed = np.random.default_rng(0), seeds_needed(1.0, 0.06)
    old, new = (generator.normal(mean, 0.06, (4000, needed)) for mean in (1.0, 1.05))
    difference = new.mean(1) - old.mean(1)
    error = np.sqrt((old.var(1, ddof=1) + new.var(1, ddof=1)) / needed)
    assert needed == 24
    seen = np.mean(difference / error > 2.0129)  # two-sided 5 % of t with 46 degrees of freedom
    assert 0.78 < seen < 0.82


@pytest.mark.parametrize(
    ("low", "high", "effect"),
    [
        (None, 12.0, 12 / (10 - 0.8416212335729143) - 1),
        (8.0, None, 8 / (10 + 0.8416212335729143) - 1),
        (8.0, 12.0, 8 / (10 + 0.8416212335729143) - 1),
        (8.0, 10.5, 10.5 / (10 - 0.8416212335729143) - 1),
        (None, 9.0, 0.0),  # fails already
        (0.0, None, -1.0),
        (-1.0, None, None),  # no factor makes it negative
    ],
)
def test_smallest_effect(low, high, effect):
    assert effect_of(10.0, 1.0, low, high) == (None if effect is None else pytest.approx(effect, rel=1e-12))


def test_no_effect_is_named_where_the_mean_is_not_above_zero():
    assert effect_of(0.0, 1.0, None, 1.0) is None
    assert effect_of(-0.1, 1.0, None, 1.0) is None
    assert effect_of(1.0, 2.0, None, 5.0) is None  # a fifth of the runs stay below it whatever the factor


@pytest.mark.parametrize(("low", "high"), [(None, 3.4), (2.8, None)])
def test_the_smallest_effect_fails_eight_runs_of_ten(low, high):
    runs = np.random.default_rng(0).normal(3.0, 0.05, 100_000) * (1 + effect_of(3.0, 0.05, low, high))
    failed = runs > high if low is None else runs < low
    assert 0.79 < failed.mean() < 0.81


# what seeds propose


def test_the_spread_is_five_standard_deviations():
    assert bounds_for(readings(9.0, 10.0, 11.0, low=0.0, high=20.0), EPS) == (5.0, 15.0)


def test_an_open_side_stays_open():
    assert bounds_for(readings(9.0, 10.0, 11.0, high=20.0), EPS) == (None, 15.0)
    assert bounds_for(readings(9.0, 10.0, 11.0, low=1.0), EPS) == (5.0, None)


def test_near_a_limit_the_spread_is_that_of_the_logarithm():
    # Logarithms 0, 1 and 2: mean 1, deviation 1.
    assert bounds_for(readings(1.0, e, e**2, low=1e-3, least=0.0), EPS)[0] == pytest.approx(exp(-4))
    shares = [1 - exp(power) for power in (-1, -2, -3)]
    assert bounds_for(readings(*shares, high=0.999, most=1.0), EPS)[1] == pytest.approx(1 - exp(-7))


def test_far_from_a_limit_it_is_not():
    assert bounds_for(readings(9.0, 10.0, 11.0, low=1.0, least=0.0), EPS)[0] == 5.0


def test_a_seed_on_the_limit_has_no_logarithm():
    assert bounds_for(readings(0.0, 1.0, low=0.0, least=0.0), EPS)[0] == 0.0
    assert bounds_for(readings(-1.0, 1.0, low=-9.0), EPS)[0] == pytest.approx(-5 * 2**0.5)


def test_a_bound_stays_where_the_quantity_can_be():
    assert bounds_for(readings(1.1, 1.2, low=0.9, least=0.0, most=1.0), EPS)[0] < 1.0
    assert bounds_for(readings(1.12, 1.12, low=0.9, least=0.0, most=1.0), EPS)[0] == 1.0


def test_no_healthy_seed_lies_outside():
    values = [0.0] * 49 + [1.0]
    assert 0.02 + 5 * np.std(values, ddof=1) < 1.0
    assert bounds_for(readings(*values, high=9.0), EPS)[1] == 1.0
    assert bounds_for(readings(*(1 - value for value in values), low=-9.0), EPS)[0] == 0.0


@pytest.mark.parametrize(
    ("values", "present", "proposed"),
    [
        ((1e-6, 3e-6), 1e-4, 3e-5),
        ((1e-6, 3e-6), 1e-5, 3e-5),  # too tight: loosened
        ((0.0, 0.0), 1e-4, 10 * EPS),  # never tightened below rounding
        ((0.0, 1e-9), 1e-4, 10 * EPS),
        ((0.0, 0.0), 1e-7, 1e-7),  # somebody wanted it that tight, and it holds
        ((1e-7, 1e-7), 1e-7, 1e-6),
    ],
)
def test_tolerances(values, present, proposed):
    found = bounds_for(readings(*values, high=present, kind="tolerance"), EPS)
    assert found == (None, pytest.approx(proposed, rel=1e-12))


@pytest.mark.parametrize(
    ("about", "expected"),
    [
        ({"kind": "time", "high": 9.0}, (None, 0.1)),
        ({"kind": "memory", "high": 9.0}, (None, 0.04)),
        ({"kind": "time", "high": 9.0, "noise": 0.1}, (None, 0.5)),
        ({"kind": "time", "high": 0.2}, (None, 0.2)),  # within twice the proposal
        ({"kind": "time", "high": 0.05}, (None, 0.05)),
        ({"kind": "time", "high": 0.0499}, (None, 0.1)),
        ({"kind": "time", "low": 1e-3}, (None, None)),  # faster is no failure
        ({"kind": "time", "low": 1e-4, "worse": "low"}, (0.002, None)),
        ({"kind": "time", "high": 9.0, "worse": "low"}, (None, None)),
    ],
)
def test_times_and_memory_get_a_factor_on_the_worse_side(about, expected):
    found = bounds_for(readings(0.01, 0.02, **about), EPS)
    assert [one is None for one in found] == [one is None for one in expected]
    assert [one or 0.0 for one in found] == pytest.approx([one or 0.0 for one in expected], rel=1e-12)


def test_the_widest_of_several_backends():
    assert widest([(1.0, 2.0), (0.5, 1.5)]) == (0.5, 2.0)
    assert widest([(None, 2.0), (None, 3.0)]) == (None, 3.0)
    assert widest([(None, None)]) == (None, None)


def test_the_number_in_the_file():
    assert number_in_file(Reading(value=1.0, low=2.0), 3.0, None) == 3.0
    assert number_in_file(Reading(value=1.0, high=2.0), None, 3.0) == 3.0
    around = Reading(value=1.0, low=0.9, high=1.1, centre=1.0)
    assert number_in_file(around, 0.75, 1.125) == 0.25
    assert number_in_file(around, 0.75, 1.5) == 0.5
    assert number_in_file(around, None, None) is None


@pytest.mark.parametrize(
    ("value", "old", "unit", "up", "expected"),
    [
        (0.123456, "3%", "%", True, ("12.4%", 0.124)),
        (0.123456, "3 %", "%", False, ("12.3 %", 0.123)),
        (0.57, "0%", "%", True, ("57%", 0.57)),  # 57 * 0.01 is not 0.57 in binary
        (0.12, "0", "%", True, ("12%", 0.12)),
        (0.0, "3%", "%", True, ("0%", 0.0)),
        (-0.01234, "3%", "%", False, ("-1.24%", -0.0124)),
        (12.345 * MIB, "64 MiB", "B", True, ("12.4 MiB", round(12.4 * MIB))),
        (12.345 * MIB, "9000KiB", "B", True, ("12700KiB", 12_700 * KIB)),
        (0.0123456, "36 ms", "s", True, ("12.4 ms", 0.0124)),
        (0.0123456, "2 s", "s", True, ("0.0124 s", 0.0124)),
        (1234.5, "400 tokens/s", "token/s", False, ("1230 tokens/s", 1230.0)),
        (1234.5, "0", "step/s", False, ("1230 step/s", 1230.0)),
        (2.34567, "2.6", "", True, ("2.35", 2.35)),
        (2.34567, "1e-3", "", False, ("2.34", 2.34)),
        (0.000123456, "1e-3", "", True, ("1.24e-4", 1.24e-4)),
        (0.000123456, "0.002", "", True, ("0.000124", 1.24e-4)),
        (0.0000123456, "0.002", "", False, ("1.23e-5", 1.23e-5)),
        (3e-5, "1E-3", "", True, ("3e-5", 3e-5)),
        (123456.0, "10", "", True, ("124000", 124_000.0)),
        (3.0000000000000004, "1", "", True, ("3", 3.0)),
        (9.999, "1", "", True, ("10", 10.0)),
    ],
)
def test_rounding_goes_outward_and_keeps_unit_and_manner(value, old, unit, up, expected):
    assert rounded(value, old, unit, up=up) == expected


def test_rounding_never_leaves_a_healthy_seed_outside():
    just_above = np.nextafter(0.1, 1)
    assert rounded(just_above, "1", "", up=True) == ("0.1", 0.1)
    assert rounded(just_above, "1", "", up=True, cover=just_above) == ("0.101", 0.101)
    just_below = np.nextafter(0.1, 0)
    assert rounded(just_below, "1", "", up=False, cover=just_below) == ("0.099", 0.099)
