"""From several seeds, the loss comes down to a value in as many steps as recorded: neither more nor fewer."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np

from harness.checks import Check
from harness.checks._common import missing, unanswered, window_of
from harness.checks.matches_baseline import FAILURES, RECORDED
from harness.effects import Effect, paired
from harness.model import Facts, Status, Verdict
from harness.units import Finite, Percent, Whole, show

FEWEST = 6
"""With fewer seeds nothing is ever clear: even if all of them lean to one side, chance does so in 6 %."""
ERROR = 0.05
"""How often the interval may miss."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Convergence(Check):
    """`convergence: {to: 2.9, seeds: 8, within: 10%}`.

    to: the loss that the last steps (the median of as many as `loss_drop` takes) come down to. seeds: how
    many, the case's own and those after it; each is compared with itself as recorded. within: by which share
    of the steps the seeds together may be slower or faster. improvement: whether faster fails, too.
    """

    probes: ClassVar[tuple[str, ...]] = ("convergence",)
    pinned: ClassVar[bool] = True

    to: Annotated[float, Finite()]
    within: Percent
    seeds: Annotated[int, Whole()] = 8
    improvement: Literal["fail", "pass"] = "fail"

    def __post_init__(self) -> None:
        """Refuse what can never be clear, or cannot fail."""
        if self.seeds < FEWEST:
            raise ValueError(f"seeds: {self.seeds} are never enough, expected at least {FEWEST}")
        if not 0 < self.within < 1:
            raise ValueError(f"within: expected above 0% and below 100%, got {show(self.within, '%')}")

    @property
    def trainings(self) -> int:
        """As many as there are seeds."""
        return self.seeds

    def recorded(self, facts: Facts) -> dict[str, Any]:
        """What a baseline holds of this run: the loss to reach, and by seed in how many steps it was.

        Raises:
            ValueError: a seed never gets there, or is there from the start.
        """
        if unanswered(self.name, facts, "convergence", "") is not None:
            return {}
        found = facts.answers["convergence"].facts["losses"]
        steps = {seed: steps_to(losses, self.to) for seed, losses in found.items()}
        for seed, losses in found.items():
            if not window_of(len(losses), None) < steps[seed] <= len(losses):
                where = "there from the start" if math.isfinite(steps[seed]) else "never there"
                raise ValueError(
                    f"seed {seed} is {where}: {losses[0]:.4g} to {losses[-1]:.4g} in {len(losses)} steps,"
                    f" expected to come down to {self.to:.4g} between; choose another loss for `to`"
                )
        return {"to": self.to, "steps": steps}

    def judge(self, facts: Facts) -> Iterable[Verdict]:
        """One verdict."""
        lacking = unanswered(self.name, facts, "convergence", "training from other seeds")
        if lacking:
            return [lacking]
        if RECORDED not in facts.answers:
            return [missing(self.name, "what this run is compared with")]
        there, losses = facts.answers[RECORDED].facts, facts.answers["convergence"].facts["losses"]
        return [self._unfit(there) or self._nonfinite(losses) or self._compared(losses, there)]

    def _unfit(self, there: Mapping[str, Any]) -> Verdict | None:
        """Why there is nothing to compare with; None where there is."""
        if there["reason"]:
            status = Status.FAIL if there["reason"] in FAILURES else Status.ERROR
            return self._bad(there["reason"], there["message"], status)
        known = there.get("convergence")
        if not known:
            return self._bad("no_baseline", f"the baseline has none of it; record: {there['rebase']}")
        if known["to"] != self.to:
            message = f"to: {known['to']:.4g} and {self.to:.4g} (recorded and now); record again"
            return self._bad("no_comparable_baseline", f"{message}: {there['rebase']}")
        return None

    def _nonfinite(self, losses: Mapping[str, Sequence[float]]) -> Verdict | None:
        for seed, each in losses.items():
            finite = np.isfinite(each)
            if not finite.all():
                step = int(np.argmin(finite))
                message = f"seed {seed}: the loss of step {step} is {each[step]}, expected a number"
                return self._bad("nonfinite", message, Status.FAIL, step)
        return None

    def _compared(self, losses: Mapping[str, Sequence[float]], there: Mapping[str, Any]) -> Verdict:
        """Each seed with itself; what one lacks is left out, and so makes the answer less clear."""
        known = there["convergence"]["steps"]
        seeds = [seed for seed in losses if seed in known][: self.seeds]
        if not seeds:
            return self._bad("no_comparable_baseline", f"no seed was recorded; record: {there['rebase']}")
        steps = [steps_to(losses[seed], self.to) for seed in seeds]
        found = paired([known[seed] for seed in seeds], steps, ERROR)
        never = sum(math.isinf(each) for each in steps)
        return self._told(found, len(seeds), never, there["rebase"])

    def _told(self, found: Effect, seeds: int, never: int, rebase: str) -> Verdict:
        """Clear are an interval without 0 around an effect of interest, and one that holds no such effect."""
        said = self._words(found, seeds, never)
        advice = f"if it is meant: {rebase}"
        if -self.within <= found.low and found.high <= self.within:
            return self._verdict(Status.PASS, found, "", said)
        if found.low > 0 and found.share >= self.within:
            return self._verdict(Status.FAIL, found, "slower", f"slower: {said}; {advice}")
        if found.high < 0 and found.share <= -self.within:
            if self.improvement == "pass":
                return self._verdict(Status.PASS, found, "", f"improved: {said}")
            doubt = "too fast is a symptom, too: does the model see what it should predict?"
            return self._verdict(Status.FAIL, found, "faster", f"faster: {said}; {doubt} {advice}")
        more = _more(found, seeds, self.within)
        message = f"{seeds} seeds do not suffice: {said}{more}"
        return self._verdict(Status.ERROR, found, "inconclusive", message)

    def _words(self, found: Effect, seeds: int, never: int) -> str:
        medians = f"median {found.after:.4g}, recorded {found.before:.4g}"
        lost = f"; {never} of {seeds} seeds never get there" if never else ""
        return (
            f"steps to a loss of {self.to:.4g} changed by {_signed(found.share)} ({seeds} seeds:"
            f" {_signed(found.low)} to {_signed(found.high)}; {medians}{lost}), expected {self._expected}"
        )

    @property
    def _expected(self) -> str:
        return f"{show(-self.within, '%')} to {show(self.within, '%')}"

    def _verdict(self, status: Status, found: Effect, reason: str, message: str) -> Verdict:
        return Verdict(
            check=self.name, status=status, observed=found.share, expected=self._expected, unit="%",
            reason=reason, message=message,
        )  # fmt: skip

    def _bad(
        self, reason: str, message: str, status: Status = Status.ERROR, step: int | None = None
    ) -> Verdict:
        return Verdict(check=self.name, status=status, reason=reason, message=message, step=step)


def steps_to(losses: Sequence[float], to: float) -> float:
    """After how many steps the median of the last ones is at or below a loss; infinite where it never is."""
    if not len(losses):
        return math.inf
    size = window_of(len(losses), None)
    windows = np.lib.stride_tricks.sliding_window_view(np.asarray(losses, np.float64), size)
    with np.errstate(all="ignore"):  # a loss that overflows is above all others
        there = np.flatnonzero(np.median(windows, axis=1) <= to)
    return float(there[0] + size) if len(there) else math.inf


def _more(found: Effect, seeds: int, within: float) -> str:
    """How many seeds would probably do: an interval shrinks with the root of their number."""
    half, clear = (found.high - found.low) / 2, abs(abs(found.share) - within)
    if not (math.isfinite(half) and clear > within / 10):
        return ""
    return f"; about {math.ceil(seeds * max(half / clear, 1.1) ** 2)} might"


def _signed(share: float) -> str:
    return f"{'+' * (share > 0)}{show(share, '%')}"
