"""Do the ranks of a distributed training hold the same weights, and has each of them samples of its own?"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from harness.model import Batch
from harness.probes import Context, Probe
from harness.probes._story import copied, distance, opened
from harness.trainer import Rank

STEPS = 8
"""Steps that are looked at, at most: what is not synchronised parts at the first."""


class Replicas(Probe):
    """Looks into every rank after each step of a training of its own."""

    def ask(self, context: Context) -> Mapping[str, Any]:
        """What is found over the first `STEPS` steps.

        ranks, steps: how many. distance: the largest L2 distance of a tensor between a rank and rank 0,
        relative to rank 0's; apart_from: the first step after which it is not zero, or null. shared: samples
        that more than one rank took, in one step or another; left_out: samples of a batch that none took;
        samples: all that there were; unsharded_from: the first step with any of the two, or null.
        """
        distances, shared, left_out, samples = [], [], [], 0
        with opened(context.build()) as trainer:
            if not trainer.ranks():
                raise NotImplementedError("one process trains: there are no replicas")
            for batch in context.problem.batches[:STEPS]:
                trainer.step(batch)
                ranks = trainer.ranks()
                distances.append(_apart(ranks))
                shared.append(_shared(ranks, batch))
                left_out.append(_left_out(ranks, batch))
                samples += len(batch.sample_ids)
        return {
            "ranks": len(ranks),
            "steps": len(distances),
            "distance": float(np.max(distances)),
            "apart_from": _first(distances),
            "shared": sum(shared),
            "left_out": sum(left_out),
            "samples": samples,
            "unsharded_from": _first([one + other for one, other in zip(shared, left_out, strict=True)]),
        }


def _apart(ranks: Sequence[Rank]) -> float:
    first, *others = (copied(rank.parameters) for rank in ranks)
    return float(np.max([distance(other, first) for other in others], initial=0.0))


def _shared(ranks: Sequence[Rank], batch: Batch) -> int:
    """Samples taken more often than the batch holds them: one id may stand in it twice."""
    taken = Counter(sample for rank in ranks for sample in rank.sample_ids)
    return (taken - Counter(batch.sample_ids.tolist())).total()


def _left_out(ranks: Sequence[Rank], batch: Batch) -> int:
    taken = Counter(sample for rank in ranks for sample in rank.sample_ids)
    return (Counter(batch.sample_ids.tolist()) - taken).total()


def _first(values: Sequence[float]) -> int | None:
    """The first step whose value is not 0; NaN is not."""
    return next((step for step, value in enumerate(values) if value != 0), None)
