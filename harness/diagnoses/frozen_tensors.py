"""Some tensors are frozen: they never change while others train."""

import numpy as np

from harness.diagnoses import Diagnostician
from harness.diagnoses._evidence import columns, flowing, listed, middle, still, trace_of
from harness.model import Diagnosis, Facts
from harness.units import show


class FrozenTensors(Diagnostician):
    """Tensors that never move; most often with a gradient that is not 0."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Silent when nothing moves or the learning rate is 0: those are other causes."""
        trace = trace_of(facts)
        if trace is None or not (trace.learning_rate > 0).any() or not (trace.update_norm > 0).any():
            return None
        driven = still(trace) & flowing(trace)
        frozen = driven if driven.any() else still(trace) & (trace.gradient_norm == 0).all(axis=0)
        if not frozen.any():
            return None
        bad = columns(trace, frozen)
        how = (
            "never change while their gradients flow (norm"
            f" {show(middle(trace.gradient_norm[:, frozen]), '')})"
            if driven.any()
            else "never change and receive no gradient"
        )
        others = f"{int(np.count_nonzero(~still(trace)))} others move"
        return Diagnosis(
            name=self.name,
            cause=f"frozen: {len(bad)} of {len(trace.tensors)} tensors {how}, first {bad[0]}",
            remedy="Does the optimizer hold them, and is requires_grad set (LoRA: inference_mode=False)?",
            weight=0.94 if driven.any() else 0.86,
            step=0,
            tensor=bad[0],
            evidence=(
                f"tensors: {listed(bad)}",
                f"{others}, median update norm {show(middle(trace.update_norm[:, ~still(trace)]), '')}",
            ),
        )
