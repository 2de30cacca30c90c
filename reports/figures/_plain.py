"""Small drawings of a few marks, written as SVG at once: a drawing library takes fifty times as long."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

SIZE, SMALL = 12, 11
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
BAR = Markup('<rect fill="var({})" fill-opacity="{:g}" x="{:g}" y="{:g}" width="{:g}" height="{:g}"/>')
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


def bar(  # noqa: PLR0913, PLR0917 - a place and a size
    x: float, y: float, width: float, height: float, colour: str = "--accent", opacity: float = 1.0
) -> Markup:
    """A filled rectangle."""
    return BAR.format(colour, opacity, *(round(value, 1) for value in (x, y, width, height)))


@dataclass(frozen=True, kw_only=True, slots=True)
class Plot:
    """A frame for steps (0 to last) and values (low to high), with room around it; sizes in CSS pixels."""

    steps: int
    low: float
    high: float
    left: float = 60
    top: float = 8
    right: float = WIDTH - 74
    height: float = 128
    room: float = 8

    def x(self, step: float) -> float:
        """Where a step stands."""
        share = step / max(self.steps - 1, 1)
        return round(self.left + self.room + (self.right - self.left - 2 * self.room) * share, 1)

    def y(self, value: float) -> float:
        """Where a value stands."""
        share = (value - self.low) / (self.high - self.low)
        return round(self.top + self.height * (1 - share), 1)

    def frame(self, ticks: Iterable[tuple[float, str]], below: str) -> Iterator[Markup]:
        """Grid, texts of both axes and the axes themselves. below: what the steps are."""
        floor = self.top + self.height
        for value, words in ticks:
            yield path(f"M{self.left:g} {self.y(value)}H{self.right:g}", "--grid", 1)
            yield text(self.left - 6, self.y(value), words, anchor="end", colour="--muted", size=SMALL)
        for step in whole_ticks(self.steps - 1):
            yield text(self.x(step), floor + 12, str(step), anchor="middle", colour="--muted", size=SMALL)
        yield path(f"M{self.left:g} {self.top:g}V{floor:g}H{self.right:g}", "--line", 1)
        middle = (self.left + self.right) / 2
        yield text(middle, floor + 32, below, anchor="middle", colour="--muted")

    def dots(self, values: Iterable[tuple[int, float]], colour: str, width: float = 4.4) -> Markup:
        """A dot a step."""
        return path(
            "".join(f"M{self.x(at)} {self.y(value)}h0" for at, value in values), colour, width, dots=True
        )

    def line(self, values: Iterable[tuple[float, float]], colour: str) -> Markup:
        """A line from step to step."""
        return path("M" + "L".join(f"{self.x(at)} {self.y(value)}" for at, value in values), colour, 1.6)

    def across(self, value: float, colour: str, words: Sequence[str]) -> Iterator[Markup]:
        """A line at a value, with words behind its end."""
        yield path(f"M{self.left:g} {self.y(value)}H{self.right:g}", colour, 1.2)
        for number, line in enumerate(words):
            yield text(self.right + 6, self.y(value) + 14 * (number - (len(words) - 1) / 2), line, size=SMALL)


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
