"""The norm of each tensor's gradient at each step, before clipping."""

import numpy as np

from harness.model import Float64, Run
from harness.units import show
from reports.figures import Figure
from reports.figures import _heat as heat


def draw(run: Run) -> Figure | None:
    """The figure, or None when no gradient was recorded."""
    trace = run.facts.trace
    if trace is None or trace.gradient_norm.size == 0:
        return None
    values = trace.gradient_norm
    positive = values[np.isfinite(values) & (values > 0)]
    low, high = _decades(positive)
    return heat.figure_of(
        trace,
        values,
        heat.Heat(
            name="gradients",
            title="Gradient norms",
            how="Rows should keep their colour or fade slowly. A dark row learns little, a circled one "
            "nothing; columns that brighten towards the right are about to diverge.",
            numbers=_numbers(trace.tensors, values, positive),
            colours=heat.VIRIDIS,
            scale=lambda given: (np.log10(np.abs(given)) - low) / (high - low),
            ticks=tuple(((power - low) / (high - low), f"1e{power}") for power in _powers(low, high)),
            far=np.abs,
        ),
    )


def _decades(positive: Float64) -> tuple[int, int]:
    """Powers of ten around all values, at least one apart."""
    if not len(positive):
        return -1, 0
    low, high = int(np.floor(np.log10(positive.min()))), int(np.ceil(np.log10(positive.max())))
    return low, max(high, low + 1)


def _powers(low: int, high: int) -> list[int]:
    return list(range(low, high + 1, -(-(high - low) // 5)))


def _numbers(names: tuple[str, ...], values: Float64, positive: Float64) -> str:
    words = [f"Gradient norms of {len(names)} tensors over {len(values)} steps"]
    if len(positive):
        words.append(f"{show(positive.min(), '')} to {show(positive.max(), '')}")
    words += [f"zero: {zero}"] if (zero := heat.listed(names, values == 0)) else []
    words += [f"not finite: {bad}"] if (bad := heat.listed(names, ~np.isfinite(values))) else []
    return "; ".join(words) + "."
