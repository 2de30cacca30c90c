"""Quantities with units: one formatter for people, one reader for YAML, the types of a check's fields.

The types are plain `typing.Annotated` ones; pydantic reads their markers when it validates a case file.
Importing this module does not import pydantic.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Self

from annotated_types import Ge, Gt

_TIMES = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}
_SIZES = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_DECIMAL_SIZES = {"kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_RATES: dict[str, tuple[int, str]] = {
    **{f"{name}{s}/s": (1, f"{name}/s") for name in ("token", "step", "sample") for s in ("", "s")},
    **{f"{name}/s": (factor, "B/s") for name, factor in (_SIZES | _DECIMAL_SIZES).items()},
}
_SHOWN_TIMES = (("h", 7200.0), ("min", 120.0), ("s", 1.0), ("ms", 1e-3), ("us", 1e-6), ("ns", 0.0))
_NUMBER = r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]{1,3})?"
_QUANTITY = re.compile(rf"\s*({_NUMBER})\s*(\S+?)\s*")
_LONGEST = 60
"""Characters of a quantity, and of a value that a message quotes."""


class PerSecond(float):
    """A rate in its base unit; `unit` is `token/s`, `step/s`, `sample/s` or `B/s`."""

    unit: str

    def __new__(cls, value: float, unit: str = "") -> Self:
        """A float that remembers what is counted."""
        self = super().__new__(cls, value)
        self.unit = unit
        return self


def show(value: float | str | None, unit: str) -> str:
    """A quantity for people, to four significant digits.

    Args:
        value: in base units: seconds for `s`, bytes for `B`, a share (0 to 1) for `%`. A text stays as it is.
        unit: `s`, `B`, `B/s`, `%`, `` (plain), or any other unit, which is appended.

    Returns:
        `36 ms`, `1.2 s`, `12 MiB`, `3.1 %`, `12,340 token/s`; `nan`, `inf` and `-inf` stand alone; `none` for
        None.
    """
    if value is None or isinstance(value, str):
        return "none" if value is None else value
    if not math.isfinite(value):
        return str(float(value))
    if unit == "s":
        return _show_seconds(float(value))
    if unit in ("B", "B/s"):
        return _show_bytes(float(value)) + unit[1:]
    return f"{_digits(100 * value)} %" if unit == "%" else f"{_digits(value)} {unit}".rstrip()


def _digits(value: float) -> str:
    if hasattr(value, "__index__"):  # NumPy's integers too
        return f"{value:,}"
    text = f"{value:.4g}"
    # An exponent hides the size of what people count: 12,340 token/s reads better than 1.234e+04.
    return f"{float(text):,.0f}" if 1e4 <= abs(float(text)) < 1e9 else text


def _show_seconds(value: float) -> str:
    rounded = float(f"{value:.4g}")
    unit = next(unit for unit, least in _SHOWN_TIMES if abs(rounded) >= least) if rounded else "s"
    return f"{_digits(value / _TIMES[unit])} {unit}"


def _show_bytes(value: float) -> str:
    unit = next((unit for unit, size in reversed(_SIZES.items()) if abs(value) >= size), "B")
    return f"{_digits(value / _SIZES[unit])} {unit}"


def percent(value: object) -> float:
    """`3%` to 0.03. The number 0 needs no sign.

    Raises:
        ValueError: no percentage; a bare number other than 0 could mean two things.
    """
    what = "a percentage such as 3%"
    if isinstance(value, int | float) and not isinstance(value, bool) and value:
        advice = f": write {value:.4g}% or {100 * value:.4g}%" if math.isfinite(value) else ""
        raise ValueError(f"expected {what}, got {value}{advice}")
    return float(_quantity(value, {"%": 0.01}, what))


def size(value: object) -> int:
    """`12 MiB`, `51 KiB`, `1.5 GB` to bytes.

    Raises:
        ValueError: no size, or a negative one.
    """
    what = "a size such as 12 MiB"
    return round(_not_negative(_quantity(value, _SIZES | _DECIMAL_SIZES, what), value, what))


def seconds(value: object) -> float:
    """`100 us`, `36 ms`, `60 s`, `5 min`, `1 h` to seconds.

    Raises:
        ValueError: no time, or a negative one.
    """
    what = "a time such as 36 ms"
    return _not_negative(_quantity(value, _TIMES, what), value, what)


def rate(value: object) -> PerSecond:
    """`1000 tokens/s`, `20 steps/s`, `8 samples/s`, `5 MiB/s` to a number of the base unit in a second.

    Raises:
        ValueError: no rate, or a negative one.
    """
    what = "a rate such as 1000 tokens/s"
    number = _quantity(value, {name: factor for name, (factor, _) in _RATES.items()}, what)
    written = _QUANTITY.fullmatch(value) if isinstance(value, str) else None
    return PerSecond(_not_negative(number, value, what), _RATES[written[2]][1] if written else "")


def _quantity(value: object, units: Mapping[str, float], what: str) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and value == 0:
        return 0.0
    match = _QUANTITY.fullmatch(value) if isinstance(value, str) and len(value) <= _LONGEST else None
    if match is None or match[2] not in units:
        raise ValueError(f"expected {what}, got {got(value)}")
    # Decimal, because 57 * 0.01 is not 0.57 in binary.
    number = float(Decimal(match[1]) * Decimal(str(units[match[2]])))
    if not math.isfinite(number):
        raise ValueError(f"expected {what}, got {got(value)}")
    return number


def _not_negative(number: float, value: object, what: str) -> float:
    if number < 0:
        raise ValueError(f"expected {what}, not below 0, got {got(value)}")
    return number


def got(value: object) -> str:
    """A value as a message quotes it: in YAML's words, short."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    text = "null" if value is None else str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


@dataclass(frozen=True)
class Finite:
    """Marks a float: any number but nan and inf; no text, no truth value."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        """A strict float."""
        from pydantic_core import core_schema  # noqa: PLC0415 - only where case files are validated

        return core_schema.float_schema(strict=True, allow_inf_nan=False)


@dataclass(frozen=True)
class Whole:
    """Marks an int: whole numbers only; no truth value, and 3.0 is not 3."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        """A strict int."""
        from pydantic_core import core_schema  # noqa: PLC0415 - only where case files are validated

        return core_schema.int_schema(strict=True)


@dataclass(frozen=True)
class Quantity:
    """Marks a number that is written with a unit: `read` turns what YAML holds into it."""

    read: Callable[[object], float]
    about: str
    pattern: str

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        """`read` alone decides."""
        from pydantic_core import core_schema  # noqa: PLC0415 - only where case files are validated

        return core_schema.no_info_plain_validator_function(self.read)

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        """A text with a unit, or 0."""
        return {
            "description": self.about,
            "anyOf": [{"type": "string", "pattern": self.pattern}, {"const": 0}],
        }


@dataclass(frozen=True)
class Rising:
    """Marks a tuple of two floats: `[low, high]` with low <= high."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        """A strict pair, then the order."""
        from pydantic_core import core_schema  # noqa: PLC0415 - only where case files are validated

        number = core_schema.float_schema(strict=True, allow_inf_nan=False)
        return core_schema.no_info_after_validator_function(
            _rising, core_schema.tuple_schema([number, number])
        )


def _rising(pair: tuple[float, float]) -> tuple[float, float]:
    if not pair[0] <= pair[1]:
        raise ValueError(f"expected [low, high] with low <= high, got [{pair[0]:.4g}, {pair[1]:.4g}]")
    return pair


def _pattern(units: Iterable[str]) -> str:
    return rf"^\s*{_NUMBER}\s*({'|'.join(units)})\s*$"


Positive = Annotated[float, Finite(), Gt(0)]
"""A number above 0."""
NonNegative = Annotated[float, Finite(), Ge(0)]
"""A number of at least 0."""
Range = Annotated[tuple[float, float], Rising()]
"""`[low, high]` with low <= high."""
Percent = Annotated[float, Quantity(percent, "a percentage such as 3%", _pattern(["%"]))]
"""A share, 0 to 1 inside."""
Bytes = Annotated[int, Quantity(size, "a size such as 12 MiB", _pattern(_SIZES | _DECIMAL_SIZES))]
"""A size, whole bytes inside."""
Seconds = Annotated[float, Quantity(seconds, "a time such as 36 ms", _pattern(_TIMES))]
"""A time, seconds inside."""
Rate = Annotated[PerSecond, Quantity(rate, "a rate such as 1000 tokens/s", _pattern(_RATES))]
"""A rate, per second inside; its `unit` says of what."""
