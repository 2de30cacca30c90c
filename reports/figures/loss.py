"""The loss over steps, between what is known before anything trains; the learning rate below it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.model import Float64, Run, Status, Trace, Verdict
from harness.units import show
from reports.figures import Figure
from reports.figures import _canvas as canvas
from reports.figures._numbers import finite, thinned
from reports.figures._plain import SIZE, WIDTH

HEIGHT, LEFT, TOP, EDGE = 340, 48, 20, 14
LOSS_HEIGHT, RATE_HEIGHT, RATE_TOP = 210, 40, 258
ROWS = 60
NUMBER = r"[-+]?[\d,]+(?:\.\d+)?(?:e[-+]?\d+)?"
RANGE = re.compile(
    rf"(?:>= (?P<floor>{NUMBER})|<= (?P<ceiling>{NUMBER})|(?P<low>{NUMBER}) to (?P<high>{NUMBER}))\s*"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Bound:
    """What one verdict allows the loss at one step."""

    check: str
    step: int
    low: float | None
    high: float | None
    held: bool


def draw(run: Run) -> Figure | None:
    """The figure, or None when no step was recorded."""
    trace = run.facts.trace
    if trace is None or trace.steps == 0:
        return None
    anchors, bounds = anchors_of(run), bounds_of(run.verdicts, trace.steps)
    width = WIDTH - LEFT - max((18 + 6.4 * len(_label(*anchor)) for anchor in anchors.items()), default=EDGE)
    with canvas.sheet(WIDTH, HEIGHT) as made:
        _loss(canvas.axes(made, LEFT, TOP, width, LOSS_HEIGHT), trace, anchors, bounds)
        _rate(canvas.axes(made, LEFT, RATE_TOP, width, RATE_HEIGHT), trace)
        numbers = _numbers(trace, anchors)
        svg = canvas.svg_of(made, "loss", numbers)
    shown = thinned(trace.steps, ROWS)
    return Figure(
        name="loss",
        title="Loss and learning rate",
        how=_how(anchors, bounds),
        numbers=numbers,
        svg=svg,
        columns=("step", "loss", "learning rate"),
        rows=tuple(
            (str(step), show(trace.loss[step], ""), show(trace.learning_rate[step], "")) for step in shown
        ),
        note="" if len(shown) == trace.steps else f"{len(shown)} of {trace.steps} steps, evenly chosen.",
    )


def anchors_of(run: Run) -> dict[str, float]:
    """The losses known in advance, by the label that they have in the figure."""
    problem = run.facts.problem
    if problem is None:
        return {}
    known = problem.anchors
    labelled = (
        (f"ln {problem.vocabulary or 0:,}", known.uniform),
        ("H0", known.unigram),
        ("H1", known.floor),
    )
    return {label: value for label, value in labelled if value is not None and np.isfinite(value)}


def bounds_of(verdicts: Sequence[Verdict], steps: int) -> tuple[Bound, ...]:
    """What `initial_loss`, `loss_at` and `final_loss` allow, read from their verdicts."""
    found = (_bound(verdict, steps) for verdict in verdicts if not verdict.unit)
    return tuple(bound for bound in found if bound is not None)


def _bound(verdict: Verdict, steps: int) -> Bound | None:
    at = re.search(r"at step (\d+)", verdict.message)
    places = {"initial_loss": 0, "final_loss": steps - 1, "loss_at": int(at.group(1)) if at else verdict.step}
    step, limits = places.get(verdict.check), RANGE.fullmatch(verdict.expected)
    if step is None or limits is None or not 0 <= step < steps:
        return None
    number = {name: float(text.replace(",", "")) for name, text in limits.groupdict().items() if text}
    low, high = number.get("floor", number.get("low")), number.get("ceiling", number.get("high"))
    return Bound(check=verdict.check, step=step, low=low, high=high, held=verdict.status is Status.PASS)


def _loss(ax: Any, trace: Trace, anchors: dict[str, float], bounds: Sequence[Bound]) -> None:
    low, high = limits(trace.loss, anchors, bounds)
    canvas.whole_ticks(ax, trace.steps - 1)
    canvas.value_ticks(ax, low, high, lambda value: f"{value:.5g}")
    ax.set_title("loss", loc="left", fontsize=SIZE - 1, color=canvas.MUTED, pad=4)
    ax.tick_params(labelbottom=False)
    _anchor_lines(ax, {label: value for label, value in anchors.items() if low <= value <= high})
    for bound in bounds:
        _bracket(ax, bound, low, high)
    marker = "o" if trace.steps <= 40 else ""
    ax.plot(trace.loss, color=canvas.ACCENT, linewidth=1.8, marker=marker, markersize=3.5, zorder=3)
    _nonfinite(ax, trace.loss)


def limits(loss: Float64, anchors: dict[str, float], bounds: Sequence[Bound]) -> tuple[float, float]:
    """The vertical range: all finite losses, and what else lies near enough not to flatten them."""
    seen = [float(value) for value in finite(loss)]
    near = list(anchors.values()) + [
        value for bound in bounds for value in (bound.low, bound.high) if value is not None
    ]
    seen = seen or near or [0.0, 1.0]
    low, high = min(seen), max(seen)
    reach = max(1.5 * (high - low), 0.2 * max(abs(low), abs(high)))
    inside = [low, high, *(value for value in near if low - reach <= value <= high + reach)]
    low, high = min(inside), max(inside)
    room = max(0.06 * (high - low), 0.005 * max(abs(low), abs(high)), 1e-9)
    return low - room, high + room


def _anchor_lines(ax: Any, anchors: dict[str, float]) -> None:
    """One dashed line each; the labels stand in the margin, moved apart and tied to their lines."""
    low, high = ax.get_ylim()
    scale = LOSS_HEIGHT / (high - low)
    places = canvas.spread_out([(value - low) * scale for value in anchors.values()], 14.0)
    for (label, value), place in zip(anchors.items(), places, strict=True):
        ax.axhline(value, color=canvas.MUTED, linewidth=1.2, dashes=(4, 3), zorder=2)
        ends = ([1.0, 1.03], [(value - low) / (high - low), place / LOSS_HEIGHT])
        ax.plot(*ends, transform=ax.transAxes, color=canvas.MUTED, linewidth=1, clip_on=False)
        ax.text(
            1.045,
            ends[1][1],
            _label(label, value),
            transform=ax.transAxes,
            va="center",
            fontsize=SIZE - 1,
        )


def _label(name: str, value: float) -> str:
    return f"{name} = {value:.4g}"


def _bracket(ax: Any, bound: Bound, low: float, high: float) -> None:
    """A bar over what is allowed, capped where a limit lies inside the picture."""
    colour = canvas.PASS if bound.held else canvas.FAIL
    ends = [
        low if bound.low is None else max(bound.low, low),
        high if bound.high is None else min(bound.high, high),
    ]
    if ends[0] > ends[1]:
        return
    ax.plot([bound.step] * 2, ends, color=colour, linewidth=6, alpha=0.28, solid_capstyle="butt", zorder=1.5)
    caps = [value for value in (bound.low, bound.high) if value is not None and low <= value <= high]
    ax.plot(
        [bound.step] * len(caps),
        caps,
        color=colour,
        linestyle="",
        marker="_",
        markersize=13,
        markeredgewidth=2,
    )


def _nonfinite(ax: Any, loss: Float64) -> None:
    """A cross at the top for every step without a finite loss."""
    bad = np.flatnonzero(~np.isfinite(loss))
    if not len(bad):
        return
    ax.axvspan(bad[0] - 0.5, len(loss) - 0.5, color=canvas.FAIL, alpha=0.1, linewidth=0)
    shown = [bad[index] for index in thinned(len(bad), 80)]
    across = ax.get_xaxis_transform()
    ax.plot(
        shown,
        [0.95] * len(shown),
        transform=across,
        color=canvas.FAIL,
        linestyle="",
        marker="x",
        markersize=6,
    )
    text = f"not finite from step {bad[0]}"
    right = bad[0] > 0.6 * len(loss)
    ax.text(bad[0], 0.84, text, transform=across, color=canvas.FAIL, ha="right" if right else "left")


def _rate(ax: Any, trace: Trace) -> None:
    rate = trace.learning_rate
    known = finite(rate)
    top = float(known.max()) if len(known) and known.max() > 0 else 1.0
    canvas.whole_ticks(ax, trace.steps - 1)
    ax.set_ylim(0, 1.15 * top)
    ax.set_yticks([0, top], ["0", f"{top:.3g}"])
    ax.tick_params(length=0)
    ax.set_title("learning rate", loc="left", fontsize=SIZE - 1, color=canvas.MUTED, pad=4)
    ax.plot(rate, color=canvas.MUTED, linewidth=1.5, marker="o" if trace.steps == 1 else "", markersize=3.5)
    ax.set_xlabel("step")


def _numbers(trace: Trace, anchors: dict[str, float]) -> str:
    known = finite(trace.loss)
    words = [
        f"Loss {show(trace.loss[0], '')} at step 0, {show(trace.loss[-1], '')} at step {trace.steps - 1}"
    ]
    if len(known):
        words.append(f"lowest {show(known.min(), '')}, highest {show(known.max(), '')}")
    bad = np.flatnonzero(~np.isfinite(trace.loss))
    words += [f"not finite from step {bad[0]}"] if len(bad) else []
    words += [f"{label} is {show(value, '')}" for label, value in anchors.items()]
    return "; ".join(words) + "."


def _how(anchors: dict[str, float], bounds: Sequence[Bound]) -> str:
    names = {"H0": "H0, the entropy of single tokens", "H1": "H1, the lowest an honest model can reach"}
    parts = [names.get(label, f"{label}, a model that prefers nothing") for label in anchors]
    text = "The curve should leave its start and fall without jumps."
    text += f" Dashed: {'; '.join(parts)}." if parts else ""
    checks = sorted({bound.check for bound in bounds})
    return text + (f" Bars: what {', '.join(checks)} allow{'s' * (len(checks) == 1)}." if checks else "")
