"""The record ends after half of the steps."""

from dataclasses import fields, replace
from typing import ClassVar

from harness.faults import TraceFault
from harness.faults._traces import replace_facts, trace_of, with_trace
from harness.model import Facts

WHOLE = ("tensors", "events")
"""Fields of a trace that do not run over the steps themselves."""


class TraceCutShort(TraceFault):
    """A killed run whose record was taken for a whole one; no diagnosis is due, the reason says it all."""

    named: ClassVar[tuple[str, ...]] = ()

    def spoil(self, facts: Facts) -> Facts:
        """Keep the first half."""
        trace = trace_of(facts)
        kept = trace.steps // 2
        changes = {
            field.name: getattr(trace, field.name)[:kept]
            for field in fields(trace)
            if field.name not in WHOLE
        }
        events = {name: counts[:kept] for name, counts in trace.events.items()}
        cut = with_trace(facts, events=events, **changes)
        answer = facts.answers.get("reference")
        if answer is None or "loss_difference" not in answer.facts:
            return cut
        fewer = replace_facts(answer, loss_difference=list(answer.facts["loss_difference"])[:kept])
        return replace(cut, answers={**facts.answers, "reference": fewer})
