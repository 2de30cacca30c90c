"""From the numbers of healthy seeds to a bound: how they spread, what the bound sees, how it is written.

What differs between seeds gets the mean plus or minus `SPREAD` standard deviations. Where that reaches more
than half way to a limit of the quantity (a loss of 0, a share of 100 %), the deviations are those of the
logarithm of the distance from the limit, so that the bound stays inside and can fail. Times and memory get
`FACTOR` times the worst healthy value, on the side where they become worse; a present bound within a factor
of `STAYS` of that stays, because the machine is never twice the same. Tolerances get `FACTOR` times the
largest healthy error, and are not tightened below `FACTOR` times the rounding of the number format.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from statistics import NormalDist, mean, stdev

from harness.checks import Reading
from harness.units import percent, rate, seconds, size

SPREAD = 5.0
"""Standard deviations between the mean and a bound."""
FACTOR: Mapping[str, float] = {"time": 5.0, "memory": 2.0, "tolerance": 10.0}
STAYS = 2.0
CONFIDENCE, POWER, CHANGE = 0.95, 0.80, 0.05
"""Of the test that tells a change of the mean; two-sided."""
DIGITS = 3
"""Significant digits of a proposed number."""
EXACT_DIGITS = 12
"""Digits beyond these are rounding: 3.0000000000000004 is not to become 3.01."""

_READERS: Mapping[str, Callable[[object], float]] = {"%": percent, "s": seconds, "B": size}
_WRITTEN = re.compile(r"\s*([-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?)(\s*\S*)\s*")
_BARE = {"%": "%", "": ""}
"""What follows a number whose old text, a bare 0, had no unit; elsewhere a space and the base unit."""

Range = tuple[float | None, float | None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """What one number is on one backend, over seeds.

    effect: the smallest relative change of all runs that makes one fail at the present bound with the power
    `POWER`, signed; None where no factor does, or the mean is not above 0. needed: seeds on each side of a
    comparison that tell a change of 5 % from chance. outside: seeds that lie outside the present bound.
    """

    values: tuple[float, ...]
    mean: float
    deviation: float
    effect: float | None
    needed: int | None
    outside: int


def figure(readings: Sequence[Reading]) -> Figure:
    """The statistics of one number. readings: at least two, of one bound, one for each seed."""
    values = tuple(reading.value for reading in readings)
    middle, deviation, bound = mean(values), stdev(values), readings[0]
    return Figure(
        values=values,
        mean=middle,
        deviation=deviation,
        effect=effect_of(middle, deviation, bound.low, bound.high),
        needed=seeds_needed(middle, deviation),
        outside=sum(not _inside(value, bound.low, bound.high) for value in values),
    )


def effect_of(middle: float, deviation: float, low: float | None, high: float | None) -> float | None:
    """The relative change that, made to every run, brings all but 20 % of them beyond the nearer bound."""
    width = NormalDist().inv_cdf(POWER) * deviation
    changes = []
    if high is not None and middle > width:
        changes.append(max(0.0, high / (middle - width) - 1))
    if low is not None and low >= 0 and middle > 0:
        changes.append(min(0.0, low / (middle + width) - 1))
    return min(changes, key=abs, default=None)


def seeds_needed(middle: float, deviation: float, change: float = CHANGE) -> int | None:
    """Seeds on each side of a comparison of two means that see a relative change; None for a mean of 0.

    2 (z_0.975 + z_0.8)^2 / d^2 + z_0.975^2 / 4 with d = change / standard deviation (Guenther, 1981).
    """
    if middle == 0:
        return None
    sure, strong = NormalDist().inv_cdf((1 + CONFIDENCE) / 2), NormalDist().inv_cdf(POWER)
    ratio = deviation / (change * abs(middle))
    return max(2, math.ceil(2 * ((sure + strong) * ratio) ** 2 + sure**2 / 4))


def bounds_for(readings: Sequence[Reading], rounding: float) -> Range:
    """The bounds that healthy seeds propose, on the sides that are bounded now; None: open, or as it is.

    readings: as for `figure`. rounding: the relative rounding of the number format.
    """
    values, now = [reading.value for reading in readings], readings[0]
    if now.kind == "spread":
        low = None if now.low is None else _clamped(_reach(values, now.least, -1), now)
        high = None if now.high is None else _clamped(_reach(values, now.most, 1), now)
        return low, high
    if now.kind == "tolerance":
        tightest = min(FACTOR[now.kind] * rounding, math.inf if now.high is None else now.high)
        return None, max(FACTOR[now.kind] * max(values), tightest)
    return _cost(values, now)


def widest(ranges: Sequence[Range]) -> Range:
    """The range that holds all of several ranges; each is open on the same sides."""
    lows = [low for low, _ in ranges if low is not None]
    highs = [high for _, high in ranges if high is not None]
    return min(lows, default=None), max(highs, default=None)


def _inside(value: float, low: float | None, high: float | None) -> bool:
    return (low is None or value >= low) and (high is None or value <= high)


def _reach(values: Sequence[float], limit: float | None, sign: int) -> float:
    bound, farthest = _spread_to(values, limit, sign), max(values) if sign > 0 else min(values)
    # Among many seeds, one may lie farther out than the deviations reach; it is healthy all the same.
    return max(bound, farthest) if sign > 0 else min(bound, farthest)


def _spread_to(values: Sequence[float], limit: float | None, sign: int) -> float:
    middle, reach = mean(values), SPREAD * stdev(values)
    distances = [] if limit is None else [sign * (limit - value) for value in values]
    if limit is None or min(distances) <= 0 or reach <= mean(distances) / 2:
        return middle + sign * reach
    logarithms = [math.log(distance) for distance in distances]
    return limit - sign * math.exp(mean(logarithms) - SPREAD * stdev(logarithms))


def _clamped(bound: float, now: Reading) -> float:
    bound = bound if now.least is None else max(bound, now.least)
    return bound if now.most is None else min(bound, now.most)


def _cost(values: Sequence[float], now: Reading) -> Range:
    present = now.high if now.worse == "high" else now.low
    if present is None:
        return None, None
    noise = () if now.noise is None else (now.noise,)
    factor = FACTOR[now.kind]
    wanted = factor * max(*values, *noise) if now.worse == "high" else min(*values, *noise) / factor
    if wanted / STAYS <= present <= wanted * STAYS:
        wanted = present
    return (None, wanted) if now.worse == "high" else (wanted, None)


def number_in_file(now: Reading, low: float | None, high: float | None) -> float | None:
    """What the file says for these bounds: the one that is given, or the larger distance from the centre."""
    if now.centre is None:
        return high if low is None else low
    apart = [abs(bound - now.centre) for bound in (low, high) if bound is not None]
    return max(apart, default=None)


def rounded(value: float, old: str, unit: str, *, up: bool, cover: float | None = None) -> tuple[str, float]:
    """A number as the file writes it: `DIGITS` digits, rounded away from what is allowed, in the old unit.

    Args:
        value: in base units.
        old: what the file says now, such as `64 MiB` or `1e-3`: the unit and the manner are kept.
        unit: the base unit, as in `harness.units.show`.
        up: round up, for an upper bound or a distance.
        cover: what must stay within the bound although the last digit of a float may not.

    Returns:
        The text, and the number that reading it gives, in base units.
    """
    scale, suffix = _scale(old, unit)
    exact = Decimal(f"{Decimal(repr(float(value))) / scale:.{EXACT_DIGITS}g}")
    last = Decimal(1).scaleb(exact.adjusted() - DIGITS + 1)
    number = exact.quantize(last, ROUND_CEILING if up else ROUND_FLOOR)
    text, read = _spelled(number, old, unit, suffix)
    if cover is not None and not (read >= cover if up else read <= cover):
        text, read = _spelled(number + (last if up else -last), old, unit, suffix)
    return text, read


def _scale(old: str, unit: str) -> tuple[Decimal, str]:
    """The base units in one of what the old text counts, and what follows its number."""
    match = _WRITTEN.fullmatch(old)
    suffix = match[2] if match and match[2].strip() else _BARE.get(unit, f" {unit}")
    return Decimal(repr(_read(f"1{suffix}", unit))), suffix


def _read(text: str, unit: str) -> float:
    """A text in base units, as a case file's fields read it."""
    read = _READERS.get(unit, rate if unit.endswith("/s") else float)
    return float(read(text))


def _spelled(number: Decimal, old: str, unit: str, suffix: str) -> tuple[str, float]:
    exponent, number = number.adjusted(), number.normalize()
    plain = range(-1, DIGITS) if "e" in old.lower().removesuffix(suffix.lower()) else range(-4, 6)
    if not number or exponent in plain:
        text = f"{number:f}{suffix}"
    else:
        text = f"{number.scaleb(-exponent).normalize():f}e{exponent}{suffix}"
    return text, _read(text, unit)
