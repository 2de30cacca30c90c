"""How far each loss is from the recorded one, in the band that the case allows."""

from collections.abc import Iterator

import numpy as np
from markupsafe import Markup

from harness.model import Float64, Run
from harness.units import percent, show
from reports.figures import Figure
from reports.figures import _plain as plain
from reports.figures._numbers import finite, thinned

HEIGHT = 180
DOTS, ROWS = 400, 60


def draw(run: Run) -> Figure | None:
    """The figure, or None when the run was not held against recorded losses."""
    answer, trace = run.facts.answers.get("recorded"), run.facts.trace
    recorded = np.asarray(answer.facts.get("losses", ()) if answer else (), dtype=float)
    if trace is None or not len(recorded) or not trace.steps:
        return None
    steps = min(len(recorded), trace.steps)
    then, now = recorded[:steps], trace.loss[:steps]
    with np.errstate(all="ignore"):
        away = np.where(now == then, 0.0, (now - then) / np.abs(then))
    band = _band(run)
    shown = thinned(steps, ROWS)
    numbers = _numbers(away, band)
    return Figure(
        name="baseline",
        title="Loss against its baseline",
        how="Each loss less the recorded one, over it. The band is what the case allows: rounding scatters "
        "around zero inside it; a curve that leaves zero on one side is another computation.",
        numbers=numbers,
        svg=plain.drawing(plain.WIDTH, HEIGHT, numbers, _parts(away, band)),
        columns=("step", "loss", "recorded", "difference"),
        rows=tuple((str(at), show(now[at], ""), show(then[at], ""), show(away[at], "%")) for at in shown),
        note="" if len(shown) == steps else f"{len(shown)} of {steps} steps, evenly chosen.",
    )


def _band(run: Run) -> float | None:
    """What the first verdict on the baseline allows, as it says: `-0.02 % to 0.02 %`."""
    said = (one.expected for one in run.verdicts if one.check == "matches_baseline" and one.unit == "%")
    text = next(said, "").rpartition(" to ")[2]
    try:
        return percent(text)
    except ValueError:
        return None


def _numbers(away: Float64, band: float | None) -> str:
    known = finite(away)
    words = [f"{len(away)} losses beside the recorded ones"]
    if len(known) and not known.any() and len(known) == len(away):
        words.append("all the same")
    elif len(known):
        worst = int(np.argmax(np.where(np.isfinite(away), np.abs(away), -1.0)))
        words.append(f"the farthest {show(float(away[worst]), '%')} at step {worst}")
        words.append(f"on average {show(float(known.mean()), '%')}")
    words += [f"not finite: {len(away) - len(known)}"] if len(known) < len(away) else []
    words += [f"allowed {show(band, '%')} either way"] if band is not None else []
    return "; ".join(words) + "."


def _parts(away: Float64, band: float | None) -> Iterator[Markup]:
    known = finite(away)
    reach = 1.25 * max(float(np.abs(known).max(initial=0.0)), band or 0.0) or 1e-6
    plot = plain.Plot(steps=len(away), low=-reach, high=reach)
    if band is not None:
        top, width = plot.y(band), plot.right - plot.left
        yield plain.bar(plot.left, top, width, plot.y(-band) - top, "--pass", 0.14)
    yield from plot.frame([(tick, show(tick, "%")) for tick in (-reach / 1.25, 0.0, reach / 1.25)], "step")
    yield from plot.across(0.0, "--muted", ["recorded"])
    shown = [(at, float(away[at])) for at in thinned(len(away), DOTS) if np.isfinite(away[at])]
    allowed = np.inf if band is None else band
    yield plot.dots([one for one in shown if abs(one[1]) <= allowed], "--accent")
    yield plot.dots([one for one in shown if abs(one[1]) > allowed], "--fail")
    lost = [(at, plot.high) for at in thinned(len(away), DOTS) if not np.isfinite(away[at])]
    yield plot.dots(lost, "--fail", 6)
