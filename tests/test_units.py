"""Quantities: shown with four digits and a unit, read from YAML, refused with what was expected."""

import math
import pickle
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import pytest
from annotated_types import Ge, Gt, Le
from hypothesis import given
from hypothesis import strategies as st

from harness import schema, units
from harness.documents import parse
from harness.kinds import ByKey, ByName
from harness.units import (
    Bytes,
    Finite,
    NonNegative,
    Percent,
    PerSecond,
    Positive,
    Range,
    Rate,
    Seconds,
    Whole,
    percent,
    rate,
    seconds,
    show,
    size,
)
from harness.validation import validate


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.036, "s", "36 ms"),
        (1.2, "s", "1.2 s"),
        (0.0, "s", "0 s"),
        (3e-8, "s", "30 ns"),
        (0.000_25, "s", "250 us"),
        (0.999_999, "s", "1 s"),
        (119.0, "s", "119 s"),
        (600.0, "s", "10 min"),
        (7200.0, "s", "2 h"),
        (-0.036, "s", "-36 ms"),
        (12 * 2**20, "B", "12 MiB"),
        (1023.0, "B", "1023 B"),
        (1536.0, "B", "1.5 KiB"),
        (0.0, "B", "0 B"),
        (-2048.0, "B", "-2 KiB"),
        (5 * 2**20, "B/s", "5 MiB/s"),
        (0.031, "%", "3.1 %"),
        (12_340.4, "token/s", "12,340 token/s"),
        (20.0, "step/s", "20 step/s"),
        (3.295837, "", "3.296"),
        (1e-5, "", "1e-05"),
        (12_416, "", "12,416"),
        (np.int64(134_515_008), "", "134,515,008"),
        (np.float32(0.5), "x", "0.5 x"),
        (2e12, "", "2e+12"),
        (math.nan, "s", "nan"),
        (math.inf, "B", "inf"),
        (-math.inf, "%", "-inf"),
        ("nondeterministic", "", "nondeterministic"),
        (None, "s", "none"),
    ],
)
def test_show(value, unit, text):
    assert show(value, unit) == text


@given(st.floats(min_value=1e-8, max_value=1e6))
def test_what_is_shown_of_a_time_reads_back_within_four_digits(value):
    assert seconds(show(value, "s").replace(",", "")) == pytest.approx(value, rel=5.1e-4)


@pytest.mark.parametrize(
    ("read", "text", "value"),
    [
        (percent, "3%", 0.03),
        (percent, " 57 % ", 0.57),  # 57 * 0.01 is 0.5700000000000001
        (percent, "1e-3%", 1e-5),
        (percent, "-5%", -0.05),
        (percent, 0, 0.0),
        (size, "12 MiB", 12 * 2**20),
        (size, "51KiB", 52_224),
        (size, "1.5 GB", 1_500_000_000),
        (size, "7 B", 7),
        (size, 0, 0),
        (seconds, "36 ms", 0.036),
        (seconds, "60 s", 60.0),
        (seconds, "5 min", 300.0),
        (seconds, "1 h", 3600.0),
        (seconds, "100 us", 1e-4),
        (seconds, "100 µs", 1e-4),
        (rate, "1000 tokens/s", 1000.0),
        (rate, "5 MiB/s", 5 * 2**20),
    ],
)
def test_read(read, text, value):
    assert read(text) == value


@pytest.mark.parametrize(
    ("text", "unit"),
    [("1 token/s", "token/s"), ("20 steps/s", "step/s"), ("8 samples/s", "sample/s"), ("5 MB/s", "B/s")],
)
def test_a_rate_remembers_what_is_counted(text, unit):
    assert rate(text).unit == unit
    assert pickle.loads(pickle.dumps(rate(text))).unit == unit


@pytest.mark.parametrize(
    ("read", "value", "message"),
    [
        (percent, 0.03, "expected a percentage such as 3%, got 0.03: write 0.03% or 3%"),
        (percent, "abc", "expected a percentage such as 3%, got 'abc'"),
        (percent, True, "expected a percentage such as 3%, got true"),
        (percent, math.nan, "expected a percentage such as 3%, got nan"),
        (percent, "nan%", "expected a percentage such as 3%, got 'nan%'"),
        (size, 12, "expected a size such as 12 MiB, got 12"),
        (size, "-3 B", "expected a size such as 12 MiB, not below 0, got '-3 B'"),
        (size, "12 mib", "expected a size such as 12 MiB, got '12 mib'"),
        (seconds, 60, "expected a time such as 36 ms, got 60"),
        (seconds, "1e999 h", "expected a time such as 36 ms, got '1e999 h'"),
        (seconds, None, "expected a time such as 36 ms, got null"),
        (seconds, [1], "expected a time such as 36 ms, got a list"),
        (seconds, {"s": 1}, "expected a time such as 36 ms, got a mapping"),
        (rate, "3 parsecs", "expected a rate such as 1000 tokens/s, got '3 parsecs'"),
        (rate, "x" * 100, f"expected a rate such as 1000 tokens/s, got '{'x' * 56}..."),
    ],
)
def test_refused(read, value, message):
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        read(value)
    assert str(caught.value) == message


@dataclass(frozen=True, kw_only=True, slots=True)
class Below:
    on: bool = False
    at: Mapping[Annotated[int, Ge(0)], Positive] | None = None

    def __post_init__(self):
        if self.at == {}:
            raise ValueError("give at least one step")


@dataclass(frozen=True, kw_only=True, slots=True)
class First:
    first: Below
    pair: tuple[Annotated[int, Whole(), Ge(1)], Annotated[int, Whole(), Ge(1)]] = (1, 2)


@dataclass(frozen=True, kw_only=True, slots=True)
class Second:
    second: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    kind: Literal["flat", "steep"] = "flat"
    slope: NonNegative = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Everything:
    share: Annotated[Percent, Ge(0), Le(1)] | None = None
    bytes: Bytes | None = None
    time: Annotated[Seconds, Gt(0)] | None = None
    rate: Rate | None = None
    number: Annotated[float, Finite()] | None = None
    positive: Positive | None = None
    nonnegative: NonNegative | None = None
    whole: Annotated[int, Whole()] | None = None
    range: Range | None = None
    one: Annotated[First | Second, ByKey()] | None = None
    shape: Annotated[Shape, ByName()] | None = None


def read(text):
    value, mistakes = validate(Everything, parse(text, path="x"), "")
    return value, [mistake.text for mistake in mistakes]


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        ("share: 3%", "share", 0.03),
        ("bytes: 12 MiB", "bytes", 12 * 2**20),
        ("time: 5 min", "time", 300.0),
        ("rate: 20 steps/s", "rate", PerSecond(20.0)),
        ("number: 3", "number", 3.0),
        ("number: -1e-3", "number", -0.001),
        ("nonnegative: 0", "nonnegative", 0.0),
        ("whole: -3", "whole", -3),
        ("range: [1e-4, 10]", "range", (1e-4, 10.0)),
        ("range: [2, 2]", "range", (2.0, 2.0)),
        (
            "one: {first: {on: true, at: {0: 1, 7: 2.5}}}",
            "one",
            First(first=Below(on=True, at={0: 1.0, 7: 2.5})),
        ),
        ("one: {second: x}", "one", Second(second="x")),
        ("one: {pair: [3, 4], first: {}}", "one", First(first=Below(), pair=(3, 4))),
        ("shape: steep", "shape", Shape(kind="steep")),
        ("shape: {steep: {slope: 2}}", "shape", Shape(kind="steep", slope=2.0)),
        ("shape: {flat: }", "shape", Shape()),
    ],
)
def test_types_read(text, field, value):
    found, mistakes = read(text)
    assert mistakes == []
    assert getattr(found, field) == value


KNOWN = "bytes, nonnegative, number, one, positive, range, rate, shape, share, time, whole"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("share: abc", "share: expected a percentage such as 3%, got 'abc'"),
        ("share: 300%", "share: expected <= 1, got '300%'"),
        ("time: 0", "time: expected > 0, got 0"),
        ("number: .nan", "number: expected a finite number, got nan"),
        ("number: -.inf", "number: expected a finite number, got -inf"),
        ("number: true", "number: expected a number, got true"),
        ("number: '3'", "number: expected a number, got '3'"),
        ("positive: 0", "positive: expected > 0, got 0"),
        ("nonnegative: -1", "nonnegative: expected >= 0, got -1"),
        ("whole: 3.0", "whole: expected a whole number, got 3.0"),
        ("whole: true", "whole: expected a whole number, got true"),
        ("range: [3, 1]", "range: expected [low, high] with low <= high, got [3, 1]"),
        ("range: [.nan, 1]", "range[0]: expected a finite number, got nan"),
        ("range: [1]", "range[1]: missing"),
        ("range: [1, 2, 3]", "range: expected at most 2 items, got 3"),
        ("range: 3", "range: expected a list, got 3"),
        ("one: {frist: {}}", "one.frist: unknown kind; did you mean 'first'?"),
        ("one: {zzz: {}}", "one.zzz: unknown kind; known: first, second"),
        ("one: {}", "one: expected one of first, second, got an empty mapping"),
        ("one: {first: {}, second: x}", "one: expected one kind, got first and second; keep one"),
        ("one: 3", "one: expected a mapping of one of first, second, got 3"),
        ("one: {first: {no: 1}}", "one.first.no: unknown key; known: at, on"),
        ("one: {first: {on: no}}", "one.first.on: expected true or false, got 'no'"),
        ("one: {first: {at: {}}}", "one.first: give at least one step"),
        ("one: {first: {at: {-1: 1}}}", "one.first.at.-1: expected >= 0, got '-1'"),
        ("one: {first: {at: {x: 1}}}", "one.first.at.x: expected a whole number, got 'x'"),
        ("one: {first: {}, pair: [1, 0]}", "one.pair[1]: expected >= 1, got 0"),
        ("one: {second: 3}", "one.second: expected a text, got 3; put it in quotes"),
        ("shape: step", "shape: unknown kind 'step'; did you mean 'steep'?"),
        ("shape: {steep: {slop: 2}}", "shape.steep.slop: unknown key; did you mean 'slope'?"),
        ("shape: {steep: {slope: -2}}", "shape.steep.slope: expected >= 0, got -2"),
        ("shape: {step: {}}", "shape.step: unknown kind; did you mean 'steep'?"),
        ("shape: {steep: 2}", "shape: expected a mapping under steep, got 2"),
        ("shape: {steep: {kind: flat}}", "shape: 'kind' is written as the key, not under it"),
        ("shape: 3", "shape: expected one of flat, steep, or a mapping of one of them, got 3"),
        ("nonsense_here: 3", f"nonsense_here: unknown key; known: {KNOWN}"),
    ],
)
def test_types_refuse(text, message):
    assert read(text) == (None, [message])


def test_every_mistake_is_reported_at_once():
    assert (
        len(
            read("{share: 1, bytes: 1, time: 1, rate: 1, positive: 0, whole: 1.5, range: [2, 1], one: {}}")[1]
        )
        == 8
    )


def test_json_schema_agrees_with_the_reader_on_every_type():
    jsonschema = pytest.importorskip("jsonschema")
    definitions = {}
    everything = schema._of(Everything, definitions)
    checker = jsonschema.Draft202012Validator(everything | {"$defs": definitions})
    for good in (
        {"share": "3%", "bytes": "51KiB", "time": "36 ms", "rate": "20 steps/s", "range": [1e-4, 10]},
        {"one": {"first": {"on": True}}, "shape": "steep", "share": 0},
        {"shape": {"steep": {"slope": 2}}, "positive": 0.5, "whole": -3},
        {"shape": {"flat": None}, "number": None},
    ):
        assert list(checker.iter_errors(good)) == [], good
    for bad in (
        {"share": "3"}, {"share": 3}, {"bytes": "3 km"}, {"time": 3}, {"rate": "3 s"}, {"positive": 0},
        {"nonnegative": -1}, {"whole": 1.5}, {"range": [1]}, {"one": {"third": 1}}, {"one": {}},
        {"shape": "step"}, {"shape": {"steep": {"slop": 1}}}, {"shape": {"steep": {}, "flat": {}}},
        {"zzz": 1},
    ):  # fmt: skip
        assert list(checker.iter_errors(bad)), bad


def test_importing_units_does_not_import_pydantic():
    code = "import sys, harness.units, harness.kinds, harness.spec; print('pydantic' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_every_unit_of_a_pattern_is_read():
    for name in units._SIZES | units._DECIMAL_SIZES:
        assert size(f"1 {name}") > 0
    for name in units._TIMES:
        assert seconds(f"1 {name}") > 0
    for name in units._RATES:
        assert rate(f"1 {name}") > 0
