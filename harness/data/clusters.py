"""Classification of normal clusters: one a class, centres ~ N(0, 1) in every axis, fixed by the data's seed.

Classes are equally frequent, so guessing evenly and guessing by frequency both cost ln C.
"""

from math import log

import numpy as np

from harness.data.common import Dataset, generate, mlp_of, refuse, stream
from harness.model import Anchors, Array, Batch, Float64
from harness.spec import Case, Clusters


def load(case: Case, data: Clusters) -> Dataset:
    """Fresh samples for every step.

    Raises:
        HarnessError: the model is no classifier, or has one class only.
    """
    mlp, config = mlp_of(case, "clusters", "classification"), case.config
    if mlp.outputs < 2:
        raise refuse(case, "config.data.clusters", "model.mlp.outputs is 1; expected >= 2 classes")
    centres = stream(data.seed, "clusters").standard_normal((mlp.outputs, mlp.inputs))

    def make(ids: Array, purpose: str) -> Batch:
        return _batch(ids, centres, data.spread, config.seed, purpose)

    return generate(config, make, Anchors(uniform=log(mlp.outputs), unigram=log(mlp.outputs)))


def _batch(ids: Array, centres: Float64, spread: float, seed: int, purpose: str) -> Batch:
    classes = stream(seed, f"{purpose} classes").integers(0, len(centres), len(ids))
    around = stream(seed, f"{purpose} samples").standard_normal((len(ids), centres.shape[1]))
    inputs = centres[classes] + spread * around
    return Batch(inputs=inputs, targets=classes, sample_ids=ids, lengths=np.ones(len(ids), np.int64))
