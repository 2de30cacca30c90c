"""No loss below the entropy rate of the source: below it, the answer leaks into the input."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from harness.checks import Check, Keys, Reading
from harness.checks._common import bounded, missing, window_of
from harness.model import Facts, Verdict
from harness.units import Percent


@dataclass(frozen=True, kw_only=True, slots=True)
class EntropyFloor(Check):
    """`entropy_floor: {margin: 10%}`: no median over a window of losses lies below (1 - margin) H1.

    The window is as long as that of `loss_drop`. The margin allows for the sampling noise of a batch; the
    held-out loss is held to the same floor.
    """

    margin: Percent

    def __post_init__(self) -> None:
        """Refuse what cannot fail or cannot hold."""
        if not 0 <= self.margin < 1:
            raise ValueError(f"expected a margin of at least 0% and below 100%, got {100 * self.margin:.4g}%")

    def judge(self, facts: Facts) -> Iterable[Verdict]:
        """One verdict for training, one for held-out data where it was measured."""
        floor = facts.problem.anchors.floor if facts.problem else None
        if floor is None:
            return [missing(self.name, "the entropy floor of this problem")]
        if facts.trace is None or facts.trace.steps == 0:
            return [missing(self.name, "the loss")]
        lowest, step = _lowest(facts.trace.loss)
        verdicts = [self._above(lowest, floor, f"is the lowest training loss (H1 = {floor:.4g})", step)]
        held_out = facts.measurements.get("held_out_loss")
        if held_out is not None:
            about = f"is the held-out loss (H1 = {floor:.4g})"
            verdicts.append(self._above(held_out.value, floor, about, None))
        return verdicts

    def readings(self, facts: Facts) -> Mapping[Keys, Reading]:
        """The lowest loss, in training or held out, as a ratio to H1: it lies above 1 - margin."""
        floor = facts.problem.anchors.floor if facts.problem else None
        if not floor or facts.trace is None or facts.trace.steps == 0:
            return {}
        held_out = facts.measurements.get("held_out_loss")
        losses = [_lowest(facts.trace.loss)[0], *([] if held_out is None else [held_out.value])]
        ratio, low = min(losses) / floor, 1 - self.margin
        return {("margin",): Reading(value=ratio, low=low, unit="%", least=0.0, most=1.0, centre=1.0)}

    def _above(self, loss: float, floor: float, about: str, step: int | None) -> Verdict:
        hint = "below the entropy of the source: targets leak into the inputs"
        return bounded(self.name, loss, floor * (1 - self.margin), None, about=about, hint=hint, step=step)


def _lowest(loss: np.typing.NDArray[np.float64]) -> tuple[float, int]:
    size = window_of(len(loss), None)
    smooth = np.median(np.lib.stride_tricks.sliding_window_view(loss, size), axis=1)
    step = int(np.argmin(smooth))
    return float(smooth[step]), step
