"""Small drawings of a few marks, written as SVG at once: a drawing library takes fifty times as long."""

import math
from collections.abc import Iterable, Sequence

from markupsafe import Markup

SIZE = 12
WIDTH = 420
"""Of a figure that stands beside others, in CSS pixels: on a telephone its text is still ten pixels high."""
STRETCH = 1.15
"""A figure grows at most so far beyond its own size."""
HEAD = Markup('<svg role="img" aria-label="{}" viewBox="0 0 {:g} {:g}" style="max-width:{}px">')
TEXT = Markup(
    '<text x="{:g}" y="{:g}" text-anchor="{}" dominant-baseline="central" fill="var({})" font-size="{:g}">'
    "{}</text>"
)
PATH = Markup('<path d="{}" stroke="var({})" stroke-width="{:g}" fill="none"{}/>')
ROUND = Markup(' style="stroke-linecap:round"')
BAR = Markup('<rect x="{:g}" y="{:g}" width="{:g}" height="{:g}" fill="var(--accent)"/>')
STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


def drawing(width: float, height: float, label: str, parts: Iterable[Markup]) -> Markup:
    """An inline element with an accessible name, in the colours and the font of the page."""
    opened = HEAD.format(label, width, height, math.ceil(STRETCH * width))
    return opened + Markup("").join(parts) + Markup("</svg>")


def text(  # noqa: PLR0913 - a place, words and how they stand
    x: float, y: float, words: str, *, anchor: str = "start", colour: str = "--ink", size: float = SIZE
) -> Markup:
    """Words whose middle is at this height. anchor: start, middle or end."""
    return TEXT.format(round(x, 1), round(y, 1), anchor, colour, size, words)


def path(data: str, colour: str, width: float, *, dots: bool = False) -> Markup:
    """A line; with dots, of round ends, so that an empty piece is a dot."""
    return PATH.format(data, colour, width, ROUND if dots else "")


def bar(x: float, y: float, width: float, height: float) -> Markup:
    """A filled rectangle."""
    return BAR.format(*(round(value, 1) for value in (x, y, width, height)))


def round_ticks(top: float, most: int) -> list[float]:
    """At most `most` + 1 round numbers from 0 to at most `top`, evenly spaced."""
    least = top / most
    power = 10.0 ** math.floor(math.log10(least))
    step = next(factor * power for factor in STEPS if factor * power >= least * (1 - 1e-9))
    return [number * step for number in range(int(top / step * (1 + 1e-9)) + 1)]


def whole_ticks(last: int, most: int = 6) -> list[int]:
    """At most `most` + 1 whole numbers from 0 to at most `last`."""
    if last <= most:
        return list(range(last + 1))
    step = max(1, round(round_ticks(last, most)[1]))
    return list(range(0, last + 1, step))


def dotted(places: Sequence[tuple[float, float]]) -> str:
    """The path of some dots."""
    return "".join(f"M{x:.1f} {y:.1f}h0" for x, y in places)
