"""No gradient reaches any tensor: no backward pass, a detached loss, or no gradient buffers."""

import numpy as np

from harness.diagnoses import Diagnostician
from harness.diagnoses._evidence import event, trace_of
from harness.model import Diagnosis, Facts


class BuffersNeverAllocated(Diagnostician):
    """Gradients are exactly 0 in all tensors at all steps, or there is nothing to train."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """An exact zero everywhere is no small gradient: nothing was written."""
        trace = trace_of(facts)
        if facts.parameters == 0:
            return self._named(
                "no gradient can flow: 0 trainable parameters", ("requires_grad is off everywhere",)
            )
        if trace is None or not trace.tensors or not (trace.gradient_norm == 0).all():
            return None
        runs = event(trace, "backward")
        told = [f"largest gradient 0 over {trace.gradient_norm.size} readings"]
        if np.isfinite(runs).all():
            told.append(f"backward ran {int(runs.sum())} times in {trace.steps} steps")
        cause = f"no gradient reaches any of {len(trace.tensors)} tensors: norm 0 at all {trace.steps} steps"
        return self._named(cause, tuple(told))

    def _named(self, cause: str, evidence: tuple[str, ...]) -> Diagnosis:
        return Diagnosis(
            name=self.name,
            cause=cause,
            remedy="Does backward() run on the training loss, not detached, and was training"
            " enabled before the"
            " gradient buffers were allocated?",
            weight=0.95,
            step=0,
            evidence=evidence,
        )
