"""Labels have nothing to do with the inputs: the loss stays at the entropy of the labels."""

from harness.checks._common import start_and_end
from harness.diagnoses import Diagnostician
from harness.diagnoses._answers import answers_in_inputs
from harness.diagnoses._blindness import blind_and_seeing
from harness.diagnoses._evidence import anchor_of, by_name, found, number, trace_of
from harness.model import Diagnosis, Facts
from harness.units import show

REMEDY = "Are inputs and targets shuffled, sorted or sampled together, by one index?"


class LabelsUnrelated(Diagnostician):
    """Targets that are no shifted inputs; or a loss that a blind training reaches too."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """By the tokens where there are any; else by what can be learned from the inputs."""
        agreement = by_name(found(facts, "alignment"), "agreement")
        known = [share for share in agreement.values() if share >= 0]
        if known:
            return self._by_tokens(agreement, max(known)) if not answers_in_inputs(facts) else None
        return self._by_loss(facts)

    def _by_tokens(self, agreement: dict[str, float], most: float) -> Diagnosis | None:
        if not most < 0.9:
            return None
        return Diagnosis(
            name=self.name,
            cause=f"labels are unrelated to the inputs: at most {show(most, '%')} of the targets"
            " equal the input at"
            " any shift",
            remedy=REMEDY,
            weight=0.96 if most < 0.6 else 0.88,
            evidence=tuple(
                f"agreement at shift {shift}: {show(share, '%')}" for shift, share in agreement.items()
            ),
        )

    def _by_loss(self, facts: Facts) -> Diagnosis | None:
        trace = trace_of(facts)
        unigram = anchor_of(facts, "unigram")
        blind, seeing = blind_and_seeing(facts)
        if trace is None or not (trace.update_norm > 0).any():
            return None
        end = start_and_end(trace, None)[1]
        useless = seeing > 0.9 * blind
        if not end > 0.9 * unigram or (blind > 0 and not useless):
            return None
        drop = number(found(facts, "overfit"), "drop")
        return Diagnosis(
            name=self.name,
            cause=f"labels seem unrelated to the inputs: the loss ends at {show(end, '')}, the"
            " entropy of the labels"
            f" alone is {show(unigram, '')}",
            remedy=REMEDY,
            weight=(0.8 if drop > 0.2 else 0.6) if useless else 0.3,
            evidence=(
                f"blind training ends at {show(blind, '')}, seeing at {show(seeing, '')}",
                f"one batch is learned by heart to {show(drop, '%')}",
            ),
        )
