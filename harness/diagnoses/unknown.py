"""No known cause: the strongest anomalies of the record."""

import math
from collections.abc import Iterator

import numpy as np

from harness.diagnoses import Diagnostician
from harness.diagnoses._evidence import by_name, found, largest, middle, norms, numbers, trace_of, uniform_of
from harness.model import Diagnosis, Facts, Trace
from harness.units import show

MOST = 4
NOTHING = "no known cause, and nothing in the record stands out"


class Unknown(Diagnostician):
    """Ranks below every other diagnosis: what looks strangest, where nothing fits."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Anomalies by how many times they exceed what is usual."""
        unusual = [each for each in _anomalies(facts) if each[0] >= 1]
        ranked = sorted(unusual, key=lambda each: -each[0])[:MOST]
        times, strongest, step, tensor = ranked[0] if ranked else (0.0, "", None, "")
        return Diagnosis(
            name=self.name,
            cause=f"no known cause; strongest anomaly: {strongest}" if ranked else NOTHING,
            remedy=f"{'Begin with the strongest anomaly, and compare' if ranked else 'Compare'}"
            " with a run that passed, step by step",
            weight=0.2 if times >= 10 else 0.1,
            step=step,
            tensor=tensor,
            evidence=tuple(text for _, text, _, _ in ranked),
        )


def _anomalies(facts: Facts) -> Iterator[tuple[float, str, int | None, str]]:
    """How strong (times the usual), what, step, tensor."""
    trace = trace_of(facts)
    if trace is not None:
        yield from _of_loss(facts, trace)
        yield from _of_gradients(trace)
        yield from _of_updates(trace)
    yield from _of_reference(facts)


def _of_loss(facts: Facts, trace: Trace) -> Iterator[tuple[float, str, int | None, str]]:
    uniform, start, end = uniform_of(facts), float(trace.loss[0]), float(trace.loss[-1])
    if uniform > 0 and math.isfinite(start):
        away = abs(start - uniform) / (0.05 * uniform)
        yield away, f"first loss {show(start, '')}, uniform {show(uniform, '')}", 0, ""
    if math.isfinite(start + end) and end > 0.97 * start:
        yield 5.0, f"the loss does not fall: {show(start, '')} to {show(end, '')}", trace.steps - 1, ""
    if facts.problem is not None and trace.steps < facts.problem.steps:
        yield 20.0, f"the record ends after {trace.steps} of {facts.problem.steps} steps", trace.steps - 1, ""


def _of_gradients(trace: Trace) -> Iterator[tuple[float, str, int | None, str]]:
    norm, usual = norms(trace.gradient_norm), middle(norms(trace.gradient_norm))
    if usual > 0 and np.isfinite(norm).any():
        step = int(np.nanargmax(np.where(np.isfinite(norm), norm, np.nan)))
        times = float(norm[step] / usual)
        yield times / 3, f"gradient norm at step {step} is {show(times, '')} x its median", step, ""
    each = np.array([middle(column) for column in trace.gradient_norm.T])
    if middle(each) > 0 and np.isfinite(each).any():
        column = int(np.nanargmax(np.where(np.isfinite(each), each, np.nan)))
        times = float(each[column] / middle(each))
        text = f"gradients of {trace.tensors[column]} are {show(times, '')} x the median tensor's"
        yield times / 100, text, None, trace.tensors[column]


def _of_updates(trace: Trace) -> Iterator[tuple[float, str, int | None, str]]:
    away = np.abs(trace.update_ratio - 1)
    if np.isfinite(away).any():
        step, column = np.unravel_index(np.nanargmax(np.where(np.isfinite(away), away, np.nan)), away.shape)
        ratio, tensor = float(trace.update_ratio[step, column]), trace.tensors[int(column)]
        text = f"update of {tensor} is {show(ratio, '')} of the rule's at step {step}"
        yield float(away[step, column]) / 0.05, text, int(step), tensor


def _of_reference(facts: Facts) -> Iterator[tuple[float, str, int | None, str]]:
    reference = found(facts, "reference")
    difference = numbers(reference, "loss_difference")
    if largest(difference) > 0:
        step = int(np.nanargmax(np.where(np.isfinite(difference), difference, np.nan)))
        apart = float(difference[step])
        yield (
            apart / 1e-3,
            f"loss differs from the reference's by {show(apart, '%')} at step {step}",
            step,
            "",
        )
    for at in ("default", "scaled"):
        apart_by = {
            name: value for name, value in by_name(reference, f"gradients_{at}").items() if value >= 0
        }
        if apart_by:
            name = max(apart_by, key=lambda each: apart_by[each])
            text = f"gradient of {name} differs by {show(apart_by[name], '')} at {at} weights"
            yield apart_by[name] / 1e-3, text, 0, name
