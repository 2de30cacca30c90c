"""The optimizer never updates: gradients flow and the weights stand still."""

import numpy as np

from harness.diagnoses import Diagnostician
from harness.diagnoses._evidence import event, first, largest, middle, norms, trace_of
from harness.model import Diagnosis, Facts, Trace
from harness.units import show

REMEDY = "Does optimizer.step() run?"


class NeverUpdates(Diagnostician):
    """No tensor changes although gradients and learning rate are above 0: at all steps, or at some."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Also: the gradient is erased before the optimizer sees it, and only weight decay acts."""
        trace = trace_of(facts)
        if trace is None or not trace.tensors:
            return None
        due = (norms(trace.gradient_norm) > 0) & (trace.learning_rate > 0)
        idle = due & (trace.update_norm == 0).all(axis=1)
        if idle.any():
            return self._idle(trace, due, idle)
        erased = due & (norms(trace.clipped_norm) == 0)
        if due.any() and (erased[due].all() or abs(middle(trace.update_ratio[due])) < 0.02):
            return self._erased(trace)
        return None

    def _idle(
        self, trace: Trace, due: np.typing.NDArray[np.bool_], idle: np.typing.NDArray[np.bool_]
    ) -> Diagnosis:
        every = bool(idle[due].all())
        flow = show(middle(norms(trace.gradient_norm)[idle]), "")
        where = "" if every else f" at {int(idle.sum())} of {trace.steps} steps, first at step {first(idle)}"
        return Diagnosis(
            name=self.name,
            cause=f"optimizer {'never updates' if every else 'leaves out updates'}: 0 of {len(trace.tensors)}"
            f" tensors changed while gradients flow (norm {flow}){where}",
            remedy=REMEDY,
            weight=0.96 if every else 0.9,
            step=first(idle),
            evidence=_evidence(trace),
        )

    def _erased(self, trace: Trace) -> Diagnosis:
        flow, seen = (show(middle(norms(each)), "") for each in (trace.gradient_norm, trace.clipped_norm))
        return Diagnosis(
            name=self.name,
            cause=f"optimizer never updates along the gradient (norm {flow} after backward, {seen} at the"
            f" optimizer): updates are {show(middle(trace.update_ratio), '')} of the rule's",
            remedy="Is zero_grad() called between backward() and optimizer.step()?",
            weight=0.93,
            step=0,
            evidence=_evidence(trace),
        )


def _evidence(trace: Trace) -> tuple[str, ...]:
    calls = event(trace, "update")
    told = [f"largest update norm {show(largest(trace.update_norm), '')}"]
    told.append(f"largest learning rate {show(largest(trace.learning_rate), '')}")
    if np.isfinite(calls).all():
        told.append(f"the optimizer ran {int(calls.sum())} times in {trace.steps} steps")
    if trace.digests:
        told.append(
            f"{len(set(trace.digests))} different states of the weights in {len(trace.digests)} steps"
        )
    return tuple(told)
