"""Each tensor's update over the one that the optimizer's own rule gives: 1 is right."""

import numpy as np

from harness.model import Float64, Run
from harness.units import show
from reports.figures import Figure
from reports.figures import _heat as heat
from reports.figures._numbers import finite


def draw(run: Run) -> Figure | None:
    """The figure, or None when no update was compared with the rule."""
    trace = run.facts.trace
    if trace is None or not np.isfinite(trace.update_ratio).any():
        return None
    return heat.figure_of(
        trace,
        trace.update_ratio,
        heat.Heat(
            name="updates",
            title="Updates against the optimizer's rule",
            how="Grey is 1: the weights moved as the rule says. Circles: nothing moved. Orange: too far, "
            "twice at the end of the scale. Blue: too little. Empty: the rule asks for no update.",
            numbers=_numbers(trace.tensors, trace.update_ratio),
            colours=heat.AROUND,
            scale=lambda given: given / 2,
            ticks=((0.0, "0"), (0.5, "1"), (1.0, "2 or more")),
            far=lambda given: np.abs(given - 1),
            blank_nan=True,
        ),
    )


def _numbers(names: tuple[str, ...], ratio: Float64) -> str:
    known = finite(ratio)
    words = [f"Update ratios of {len(names)} tensors over {len(ratio)} steps"]
    words.append(
        f"{show(known.min(), '')} to {show(known.max(), '')}, median {show(float(np.median(known)), '')}"
    )
    words += [f"not moved: {zero}"] if (zero := heat.listed(names, ratio == 0)) else []
    words += [f"infinite: {bad}"] if (bad := heat.listed(names, np.isinf(ratio))) else []
    return "; ".join(words) + "."
