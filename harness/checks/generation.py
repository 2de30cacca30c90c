"""Inference computes what training computes; the text it generates is varied, repeatable, quick enough."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from harness.checks import Check, Keys, Reading
from harness.checks._common import bounded, bounds_read, need_a_bound, skipped, unanswered
from harness.model import Facts, Status, Verdict
from harness.spec import Count
from harness.units import Positive, Rate


@dataclass(frozen=True, kw_only=True, slots=True)
class Generation(Check):
    """`generation: {matches_training: 1e-4, distinct: 3, repeatable: true, at_least: 10 tokens/s}`.

    matches_training: the largest difference between a logit of inference and of the training's forward
    pass, in standard deviations of the logits. distinct: the fewest different tokens in the generated
    texts. repeatable: generating twice gives the same. at_least: tokens generated in a second, all texts
    together.
    """

    probes: ClassVar[tuple[str, ...]] = ("generation",)

    matches_training: Positive | None = None
    distinct: Count | None = None
    repeatable: bool | None = None
    at_least: Rate | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot fail."""
        need_a_bound(
            matches_training=self.matches_training,
            distinct=self.distinct,
            repeatable=self.repeatable or None,
            at_least=self.at_least,
        )
        if self.repeatable is False:
            raise ValueError("nothing can be expected of text that may differ; leave repeatable out")
        if self.at_least is not None and self.at_least.unit not in ("token/s", ""):
            raise ValueError(f"expected a rate in token/s, got one in {self.at_least.unit}")

    def judge(self, facts: Facts) -> Iterable[Verdict]:
        """One verdict for each parameter that is given."""
        lacking = unanswered(self.name, facts, "generation", "inference")
        if lacking:
            return [lacking]
        return list(self._judge(facts.answers["generation"].facts))

    def _judge(self, found: Mapping[str, Any]) -> Iterator[Verdict]:
        if self.matches_training is not None:
            yield self._matches(float(found["inference_difference"]), self.matches_training)
        if self.distinct is None and not self.repeatable and self.at_least is None:
            return
        if "tokens" not in found:
            yield skipped(self.name, "the model generates no text")
            return
        if self.distinct is not None:
            yield self._distinct(found, self.distinct)
        if self.repeatable:
            yield self._repeats(found["repeatable"])
        if self.at_least is not None:
            rate = float(found["tokens_per_second"])
            yield bounded(self.name, rate, self.at_least, None, unit="token/s", about="generated")

    def readings(self, facts: Facts) -> Mapping[Keys, Reading]:
        """The difference from training, and the speed."""
        if unanswered(self.name, facts, "generation", "") is not None:
            return {}
        answer = facts.answers["generation"].facts
        found: dict[Keys, Reading] = {}
        if self.matches_training is not None:
            difference, allowed = float(answer["inference_difference"]), self.matches_training
            found["matches_training",] = Reading(value=difference, high=allowed, kind="tolerance")
        if "tokens_per_second" in answer:
            rate = float(answer["tokens_per_second"])
            found |= bounds_read(rate, self.at_least, None, unit="token/s", kind="time", worse="low")
        return found

    def _matches(self, difference: float, allowed: float) -> Verdict:
        about = "apart are inference and the training's forward pass, in standard deviations of the logits"
        hint = "inference does not use the trained weights, or computes something else with them"
        return bounded(self.name, difference, None, allowed, about=about, hint=hint)

    def _distinct(self, found: Mapping[str, Any], least: int) -> Verdict:
        about = f"different tokens among {found['tokens']} generated"
        hint = "the model repeats itself whatever it is given"
        return bounded(self.name, float(found["distinct"]), least, None, about=about, hint=hint)

    def _repeats(self, repeatable: bool) -> Verdict:
        bad = "generating twice gives two texts, expected the same; inference draws random numbers"
        return Verdict(
            check=self.name,
            status=Status.PASS if repeatable else Status.FAIL,
            reason="" if repeatable else "nondeterministic",
            message="generating twice gives the same text" if repeatable else bad,
        )
