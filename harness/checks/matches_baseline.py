"""The training gives what was recorded: the same bits on the same machine, else within a narrow band."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np

from harness.checks import Check
from harness.checks._common import missing
from harness.kinds import OrTrue
from harness.model import Facts, Float64, Status, Trace, Verdict
from harness.units import Positive, show

RELATIVE, MEAN = 2e-4, 1e-4
RECORDED = "recorded"
"""The answer in which facts hold what was recorded, as if a probe had found it."""
METRICS = ("held_out_loss",)
"""Measurements that a training of the same bits repeats."""
LEAST = 1e-3
"""Share of the largest norm that smaller ones count as: what should be zero is rounding, nowhere the same."""
FAILURES = ("unreadable_baseline",)
"""Reasons for which there is nothing to compare with that are a failure; the others say nothing of health."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Band:
    """How far a training may be from its baseline where not every bit can be the same.

    relative: largest relative difference of any loss, final weight norm or held-out loss. mean: largest
    magnitude of the mean of the signed relative differences of all losses: rounding has no sign, mistakes do.
    improvement: whether a loss that is lower all along fails, too.
    """

    relative: Positive | None = None
    mean: Positive | None = None
    improvement: Literal["fail", "pass"] | None = None

    def __post_init__(self) -> None:
        """Refuse an empty mapping: `true` is the word for what is usual."""
        if self.relative is None and self.mean is None and self.improvement is None:
            raise ValueError("give at least one of relative, mean, improvement, or write true")


@dataclass(frozen=True, kw_only=True, slots=True)
class MatchesBaseline(Check):
    """`matches_baseline: true`, or `{relative: 2e-4, mean: 1e-4, improvement: pass}`.

    band: `true` for 2e-4 and 1e-4, and an improvement fails. Where machine, versions and settings are those
    of the recording, the same bits are expected; elsewhere the band.
    """

    entire: ClassVar[str] = "band"
    pinned: ClassVar[bool] = True

    band: Annotated[bool | Band, OrTrue()]

    def __post_init__(self) -> None:
        """Refuse what cannot fail."""
        if self.band is False:
            raise ValueError("nothing can be expected of what may be anything; leave the key out")

    def judge(self, facts: Facts) -> Iterable[Verdict]:
        """One verdict on what there is to compare; then one each for losses, their mean, and the rest."""
        answer = facts.answers.get(RECORDED)
        if answer is None:
            return [missing(self.name, "what this run is compared with")]
        if facts.trace is None or facts.trace.steps == 0:
            return [missing(self.name, "the loss")]
        wrong = self._unfit(facts, facts.trace, answer.facts)
        if wrong:
            return [wrong]
        if answer.facts["bitwise"] and _same_bits(facts, facts.trace, answer.facts):
            message = f"all {facts.trace.steps} losses and the final weights are the recorded bits"
            return [Verdict(check=self.name, status=Status.PASS, message=message)]
        return self._compared(facts, facts.trace, answer.facts)

    def _unfit(self, facts: Facts, trace: Trace, found: Mapping[str, Any]) -> Verdict | None:
        """Why there is nothing to compare; None where there is."""
        if found["reason"]:
            status = Status.FAIL if found["reason"] in FAILURES else Status.ERROR
            return self._bad(found["reason"], found["message"], status=status)
        there = {"losses": found["losses"], **_named(found)}
        bad = next((name for name, values in there.items() if not np.isfinite(values).all()), None)
        if bad is not None:
            return self._bad(
                "nonfinite_baseline", f"{_file(found)}: its {bad} are not all finite; {_advice(found)}"
            )
        return self._incomplete(facts, trace, found)

    def _incomplete(self, facts: Facts, trace: Trace, found: Mapping[str, Any]) -> Verdict | None:
        steps, recorded = trace.steps, len(found["losses"])
        if steps != recorded:
            reason = "missing_steps" if steps < recorded else "extra_steps"
            return self._bad(
                reason,
                f"{steps} steps, recorded {recorded} in {_file(found)}, expected as many",
                min(steps, recorded),
            )
        if not np.isfinite(trace.loss).all():
            step = int(np.argmin(np.isfinite(trace.loss)))
            return self._bad(
                "nonfinite", f"the loss of step {step} is {trace.loss[step]}, expected a number", step
            )
        here = _numbers(facts, trace)
        lacking = sorted(here.keys() ^ _named(found).keys())
        if lacking:
            side = "the baseline" if lacking[0] in here else "this run"
            return self._bad("missing_metric", f"{lacking[0]}: {side} lacks it; {_advice(found)}")
        return None

    def _compared(self, facts: Facts, trace: Trace, found: Mapping[str, Any]) -> list[Verdict]:
        away = _relative(trace.loss, found["losses"])
        relative, mean = self._bounds()
        verdicts = [*self._pointwise(trace, found, away, relative), *self._mean(found, away, mean)]
        if any(verdict.status is Status.FAIL for verdict in verdicts):
            return self._better(trace, found, away) or verdicts
        verdicts += self._rest(facts, trace, found, relative)
        if found["bitwise"] and all(verdict.status is Status.PASS for verdict in verdicts):
            return [self._other_bits(found, away)]
        return verdicts

    def _bounds(self) -> tuple[float, float]:
        band = self.band if isinstance(self.band, Band) else Band(relative=RELATIVE, mean=MEAN)
        return band.relative or RELATIVE, band.mean or MEAN

    def _pointwise(
        self, trace: Trace, found: Mapping[str, Any], away: Float64, allowed: float
    ) -> Iterable[Verdict]:
        bad = ~(np.abs(away) <= allowed)
        step = int(np.argmax(bad)) if bad.any() else int(np.argmax(np.abs(away)))
        yield self._held(
            away[step], allowed, "off_baseline", found, step=step,
            about=f"from the recorded loss of step {step} ({_pair(trace.loss[step], found['losses'][step])})",
        )  # fmt: skip

    def _mean(self, found: Mapping[str, Any], away: Float64, allowed: float) -> Iterable[Verdict]:
        about = "on average from the recorded losses, with sign"
        yield self._held(float(away.mean()), allowed, "one_signed", found, about=about)

    def _better(self, trace: Trace, found: Mapping[str, Any], away: Float64) -> list[Verdict]:
        """Lower at the end, lower on average, and nowhere beyond the band above: a change for the better."""
        relative, mean = self._bounds()
        if not (away[-1] < 0 and away.mean() < -mean and away.max() <= relative):
            return []
        allowed = isinstance(self.band, Band) and self.band.improvement == "pass"
        message = (
            f"improved: the loss is lower than recorded by {_share(-away.mean())} on average,"
            f" by {_share(-away[-1])} at the end ({_pair(trace.loss[-1], found['losses'][-1])})"
        )
        if allowed:
            return [Verdict(check=self.name, status=Status.PASS, message=message)]
        return [self._bad("improved", f"{message}; {_advice(found)}", int(np.argmax(away < -relative)))]

    def _rest(
        self, facts: Facts, trace: Trace, found: Mapping[str, Any], allowed: float
    ) -> Iterable[Verdict]:
        """The number that is farthest off among final weight norms and metrics."""
        here, there = _numbers(facts, trace), _named(found)
        if not there:
            return
        names = list(there)
        least = LEAST * max(map(abs, found["weight_norms"].values()), default=0.0)
        away = _relative([here[name] for name in names], [there[name] for name in names], least)
        worst = int(np.argmax(np.where(np.isfinite(away), np.abs(away), np.inf)))
        name = names[worst]
        about = f"from the recorded {name} ({_pair(here[name], there[name])})"
        yield self._held(float(away[worst]), allowed, "off_baseline", found, about=about)

    def _other_bits(self, found: Mapping[str, Any], away: Float64) -> Verdict:
        differs = np.flatnonzero(away)
        where = f"from step {differs[0]} on" if len(differs) else "in the final weights"
        message = (
            f"other bits than recorded {where}, by {_share(np.abs(away).max())} at most, on the same machine"
            f" and versions, expected the same bits: something is computed in another way; {_advice(found)}"
        )
        return self._bad("other_bits", message, int(differs[0]) if len(differs) else None)

    def _held(  # noqa: PLR0913 - a verdict has that many parts
        self, away: float, allowed: float, reason: str, found: Mapping[str, Any], *, about: str,
        step: int | None = None,
    ) -> Verdict:  # fmt: skip
        good = bool(abs(away) <= allowed)
        wanted = f"-{_share(allowed)} to {_share(allowed)}"
        message = f"{_share(away)} {about}, expected {wanted}"
        return Verdict(
            check=self.name,
            status=Status.PASS if good else Status.FAIL,
            observed=float(away),
            expected=wanted,
            unit="%",
            step=None if good else step,
            reason="" if good else reason if np.isfinite(away) else "nonfinite",
            message=message if good else f"{message}; {_advice(found)}",
        )

    def _bad(
        self, reason: str, message: str, step: int | None = None, *, status: Status = Status.FAIL
    ) -> Verdict:
        return Verdict(check=self.name, status=status, reason=reason, message=message, step=step)


def _numbers(facts: Facts, trace: Trace) -> dict[str, float]:
    """What is compared besides losses, by name: final weight norms and metrics."""
    told = "weight_norm" not in trace.absent
    norms = zip(trace.tensors, trace.weight_norm[-1].tolist(), strict=True) if told else ()
    metrics = {name: facts.measurements[name].value for name in METRICS if name in facts.measurements}
    return {**metrics, **{f"weight norm of {name}": value for name, value in norms}}


def _named(found: Mapping[str, Any]) -> dict[str, float]:
    norms = {f"weight norm of {name}": value for name, value in found["weight_norms"].items()}
    return {**found["metrics"], **norms}


def _same_bits(facts: Facts, trace: Trace, found: Mapping[str, Any]) -> bool:
    digest = trace.digests[-1] if trace.digests else ""
    return (
        trace.loss.tolist() == list(found["losses"])
        and _numbers(facts, trace) == _named(found)
        and digest == found["digest"]
    )


def _relative(
    here: Float64 | Sequence[float], there: Float64 | Sequence[float], least: float = 0.0
) -> Float64:
    old = np.asarray(there, np.float64)
    scale = np.maximum(np.abs(old), max(least, float(np.finfo(np.float64).tiny)))
    return np.asarray((np.asarray(here, np.float64) - old) / scale, np.float64)


def _share(value: float) -> str:
    return show(float(value), "%")


def _pair(here: float, there: float) -> str:
    return f"{show(float(here), '')}, recorded {show(float(there), '')}"


def _advice(found: Mapping[str, Any]) -> str:
    return f"if it is meant: {found['rebase']}"


def _file(found: Mapping[str, Any]) -> str:
    return str(found.get("path") or "the baseline")
