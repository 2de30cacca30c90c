"""Matplotlib without its state: drawings in CSS pixels, as SVG with the colours and the font of the page."""

import io
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import numpy as np
from markupsafe import Markup
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure as Sheet
from matplotlib.ticker import MaxNLocator

from reports.figures._plain import SIZE, STRETCH

INK, MUTED, GRID, LINE, CARD, ACCENT, PASS, FAIL, ERROR = (f"#0102{number:02x}" for number in range(1, 10))
VARIABLES = {
    INK: "--ink",
    MUTED: "--muted",
    GRID: "--grid",
    LINE: "--line",
    CARD: "--card",
    ACCENT: "--accent",
    PASS: "--pass",
    FAIL: "--fail",
    ERROR: "--error",
}
"""Colours that nobody would choose stand for the page's variables: so dark mode reaches the figures."""


STYLE: Any = {
    "svg.hashsalt": "reports",
    "svg.fonttype": "none",
    "font.size": SIZE,
    "text.color": INK,
    "axes.edgecolor": LINE,
    "axes.labelcolor": MUTED,
    "axes.linewidth": 1.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.labelsize": SIZE - 1,
    "ytick.labelsize": SIZE - 1,
    "text.parse_math": False,
    "path.simplify": True,
}


@contextmanager
def sheet(width: float, height: float) -> Iterator[Sheet]:
    """A drawing of so many CSS pixels; read it with `svg_of` before the block ends."""
    with mpl.rc_context(STYLE):
        made = Sheet(figsize=(width / 72, height / 72), dpi=72)
        FigureCanvasSVG(made)
        yield made


def axes(made: Sheet, left: float, top: float, width: float, height: float) -> Any:
    """Axes at a place given in CSS pixels from the top left corner."""
    across, down = (float(size) * 72 for size in made.get_size_inches())
    return made.add_axes((left / across, 1 - (top + height) / down, width / across, height / down))


def svg_of(made: Sheet, name: str, label: str) -> Markup:
    """The drawing as an inline element with a name, ids of its own, and the page's colours and font."""
    buffer = io.StringIO()
    made.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = re.sub(
        r"<metadata>.*?</metadata>|<style.*?</style>", "", text[text.index("<svg") :], flags=re.DOTALL
    )
    for colour, variable in VARIABLES.items():
        text = text.replace(colour, f"var({variable})")
    text = re.sub(r"font: (?:[\w.]+ )*?([\d.]+px) [^;\"]*", r"font-size: \1", text)
    text = re.sub(r"font-family: [^;\"]*;?", "", text)
    opening = Markup('<svg role="img" aria-label="{}" viewBox="{}" style="max-width:{}px">')
    view = re.search(r'viewBox="([^"]*)"', text)
    assert view
    head = opening.format(label, view.group(1), math.ceil(STRETCH * float(view.group(1).split()[2])))
    return head + Markup(_own_ids(text[text.index(">") + 1 :], name).strip())  # noqa: S704 - matplotlib escapes text


def _own_ids(text: str, name: str) -> str:
    """Keep only ids that are referred to, and make them this figure's: several figures share a page."""
    wanted = set(re.findall(r'(?:href="#|url\(#)([^")]+)', text))

    def mine(found: re.Match[str]) -> str:
        return f' id="{name}-{found.group(1)}"' if found.group(1) in wanted else ""

    text = re.sub(r' id="([^"]*)"', mine, text)
    text = re.sub(r'xlink:href="#', f'href="#{name}-', text).replace("xlink:href", "href")
    text = text.replace("url(#", f"url(#{name}-")
    return re.sub(r"\n\s*", " ", text)


def whole_ticks(ax: Any, last: int) -> None:
    """Ticks on whole numbers from 0 to `last`, and a little room around them."""
    ax.set_xlim(-0.03 * max(last, 1), 1.03 * max(last, 1))
    ticks = MaxNLocator(nbins=6, integer=True).tick_values(0, max(last, 1))
    shown = [int(tick) for tick in ticks if 0 <= tick <= last]
    ax.set_xticks(shown, [str(tick) for tick in shown])


def value_ticks(ax: Any, low: float, high: float, words: Any, bins: int = 5) -> None:
    """Limits and ticks of the vertical axis, with a quiet line at each tick. words: number to text."""
    ax.set_ylim(low, high)
    ticks = [float(tick) for tick in MaxNLocator(nbins=bins).tick_values(low, high) if low <= tick <= high]
    ax.set_yticks(ticks, [words(tick) for tick in ticks])
    ax.grid(axis="y", color=GRID, linewidth=1)
    ax.set_axisbelow(True)
    ax.tick_params(length=0)


def spread_out(places: Sequence[float], gap: float) -> list[float]:
    """The places moved apart so that neighbours are at least `gap` from each other, in the same order."""
    order = np.argsort(places, kind="stable")
    # Isotonic regression: once its gaps are taken off, a place may only rise; those that do not share a mean.
    pools: list[list[float]] = []
    for rank, index in enumerate(order):
        pools.append([places[index] - gap * rank])
        while len(pools) > 1 and np.mean(pools[-2]) >= np.mean(pools[-1]):
            last = pools.pop()
            pools[-1] += last
    moved = [float(np.mean(pool)) for pool in pools for _ in pool]
    return [moved[rank] + gap * rank for rank in np.argsort(order)]
