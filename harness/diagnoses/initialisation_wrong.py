"""The starting weights are wrong: zero, too large, all equal, or the same in several layers."""

import math
from collections.abc import Iterable

import numpy as np

from harness.diagnoses import Diagnostician
from harness.diagnoses._evidence import (
    CLEAR,
    anchor_of,
    found,
    listed,
    name_of_uniform,
    number,
    trace_of,
    uniform_of,
)
from harness.model import Diagnosis, Facts, Trace
from harness.units import show

TOO_LARGE = 2.0
"""First loss over ln V that no usual initialisation gives."""
TOO_LARGE_FOR_NUMBERS = 15.0
"""First mean squared error over the variance of the targets, likewise."""


class InitialisationWrong(Diagnostician):
    """Judged by norms and mean magnitudes before the first update, and by the first loss."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """The first of: zero, constant, equal layers, not the problem's, too large."""
        trace = trace_of(facts)
        if trace is None:
            return None
        return next((each for each in self._findings(facts, trace) if each is not None), None)

    def _findings(self, facts: Facts, trace: Trace) -> Iterable[Diagnosis | None]:
        matrices = _matrices(facts, trace)
        yield self._zero(trace, matrices)
        yield self._constant(facts, trace, matrices)
        yield self._equal(facts, trace, matrices)
        yield self._another(facts)
        yield self._too_large(facts, trace, matrices)

    def _zero(self, trace: Trace, matrices: list[int]) -> Diagnosis | None:
        zero = [i for i in matrices if trace.weight_norm[0, i] == 0]
        idle = [i for i in zero if not (trace.gradient_norm[:, i] > 0).any()]
        if not zero or (len(zero) < len(matrices) and not idle):
            return None
        cause = f"weights are zero at the start in {len(zero)} of {len(matrices)} matrices"
        return self._named(cause, trace, zero, 0.985 if len(zero) > len(matrices) / 2 else 0.9)

    def _constant(self, facts: Facts, trace: Trace, matrices: list[int]) -> Diagnosis | None:
        size = {i: math.prod(_shape(facts, trace, i)) for i in matrices}
        flat = [
            i for i in matrices if size[i] > 1 and _near(trace.weight_mean[0, i] * size[i] ** 0.5, trace, i)
        ]
        if not flat:
            return None
        cause = (
            f"all elements have the same magnitude at the start in {len(flat)} of {len(matrices)} matrices"
        )
        return self._named(cause, trace, flat, 0.96)

    def _equal(self, facts: Facts, trace: Trace, matrices: list[int]) -> Diagnosis | None:
        same = [
            i
            for i in matrices
            if any(
                _near(trace.weight_norm[0, j], trace, i)
                and _shape(facts, trace, i) == _shape(facts, trace, j)
                for j in matrices
                if j != i
            )
        ]
        if not same:
            return None
        cause = f"layers start with the same weights: {len(same)} of {len(matrices)} matrices have a twin"
        return self._named(cause, trace, same, 0.955)

    def _too_large(self, facts: Facts, trace: Trace, matrices: list[int]) -> Diagnosis | None:
        anchor, name, most = _anchor(facts)
        loss = float(trace.loss[0])
        if not loss > most * anchor > 0 or not math.isfinite(loss):
            return None
        biggest = sorted(matrices, key=lambda i: -np.nan_to_num(trace.weight_mean[0, i]))
        cause = (
            f"weights are too large at the start: first loss {show(loss, '')} is {show(loss / anchor, '')} x"
        )
        return self._named(f"{cause} {name}", trace, biggest[:3], 0.87)

    def _another(self, facts: Facts) -> Diagnosis | None:
        reference = found(facts, "reference")
        default, scaled = (number(reference.get(f"forward_{at}"), "logits") for at in ("default", "scaled"))
        if not default > 10 * CLEAR or not scaled < CLEAR:
            return None
        return Diagnosis(
            name=self.name,
            cause=f"starting weights are not the problem's: logits differ by {show(default, '')}"
            " standard deviations"
            " from the reference's, and agree once the same weights are loaded",
            remedy="Is the model initialised or scaled again after its weights were loaded?",
            weight=0.96,
            step=0,
            evidence=(f"difference at equal weights {show(scaled, '')}",),
        )

    def _named(self, cause: str, trace: Trace, bad: list[int], weight: float) -> Diagnosis:
        tensors = [trace.tensors[i] for i in bad]
        means = [
            f"mean magnitude of {trace.tensors[i]} {show(float(trace.weight_mean[0, i]), '')}"
            for i in bad[:3]
        ]
        return Diagnosis(
            name=self.name,
            cause=f"{cause} ({listed(tensors)})" if tensors else cause,
            remedy="Are weights drawn at random for each layer, with a mean magnitude of about 0.01 to 0.1?",
            weight=weight,
            step=0,
            tensor=tensors[0] if tensors else "",
            evidence=(*means, f"first loss {show(float(trace.loss[0]), '')}"),
        )


def _anchor(facts: Facts) -> tuple[float, str, float]:
    """A loss that an untrained model comes near, its name, and how many times that is too much."""
    uniform = uniform_of(facts)
    if facts.problem is None or uniform > 0:
        return uniform, name_of_uniform(facts), TOO_LARGE
    return anchor_of(facts, "unigram"), "the targets' variance", TOO_LARGE_FOR_NUMBERS


def _matrices(facts: Facts, trace: Trace) -> list[int]:
    return [i for i in range(len(trace.tensors)) if len(_shape(facts, trace, i)) >= 2]


def _shape(facts: Facts, trace: Trace, index: int) -> tuple[int, ...]:
    return tuple(facts.problem.shapes.get(trace.tensors[index], ())) if facts.problem else ()


def _near(value: float, trace: Trace, index: int) -> bool:
    norm = trace.weight_norm[0, index]
    return bool(norm > 0 and abs(value - norm) <= 1e-6 * norm)
