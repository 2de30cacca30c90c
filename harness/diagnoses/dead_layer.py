"""A layer is dead: no gradient ever reaches it while others receive one."""

import numpy as np

from harness.diagnoses import Diagnostician
from harness.diagnoses._evidence import columns, listed, middle, trace_of
from harness.model import Diagnosis, Facts
from harness.units import show


class DeadLayer(Diagnostician):
    """Tensors whose gradient is exactly 0 at every step."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Surer when every tensor of a layer is dead. A single bias may have a gradient of 0 in theory."""
        trace = trace_of(facts)
        if trace is None:
            return None
        dead = (trace.gradient_norm == 0).all(axis=0)
        if not dead.any() or dead.all():
            return None
        bad, alive = columns(trace, dead), columns(trace, ~dead)
        layer = next((name for name in map(_layer, bad) if name not in set(map(_layer, alive))), "")
        whole = f"layer {layer} is dead" if layer else "dead tensors"
        return Diagnosis(
            name=self.name,
            cause=f"{whole}: no gradient reaches {len(bad)} of {len(trace.tensors)} tensors at any step",
            remedy="Is it used in the forward pass, is it detached, or are all its activations"
            " cut off (ReLU)?",
            weight=0.88 if layer else 0.45,
            step=0,
            tensor=next((name for name in bad if _layer(name) == layer), bad[0]),
            evidence=(
                f"tensors: {listed(bad)}",
                (
                    "median gradient norm of the others"
                    f" {show(middle(trace.gradient_norm[:, ~np.asarray(dead)]), '')}"
                ),
            ),
        )


def _layer(tensor: str) -> str:
    parts = tensor.split(".")
    numbered = next((i for i, part in enumerate(parts[:-1]) if part.isdigit()), None)
    return ".".join(parts[: numbered + 1]) if numbered is not None else ".".join(parts[:-1]) or tensor
