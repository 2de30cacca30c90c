"""The output is uniform: the loss stands at ln V."""

import numpy as np

from harness.diagnoses import Diagnostician
from harness.diagnoses._blindness import blind_and_seeing
from harness.diagnoses._evidence import (
    found,
    largest,
    middle,
    name_of_uniform,
    norms,
    number,
    trace_of,
    uniform_of,
)
from harness.model import Diagnosis, Facts, Trace
from harness.units import show

NEAR = 1e-4
REMEDY = "Are the logits computed from the weights, and do the weights move from zero?"


class UniformOutput(Diagnostician):
    """Every loss lies at the uniform anchor: all logits of a position are equal."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Mostly a consequence of weights that do not move; the cause itself if no input changes a logit."""
        trace, uniform = trace_of(facts), uniform_of(facts)
        if trace is None or facts.problem is None or trace.steps < 2:
            return None
        if not uniform > 0:
            return self._constant(facts, trace)
        away = np.abs(trace.loss - uniform) / uniform
        if not (away <= NEAR).all():
            return None
        deaf = number(found(facts, "influence"), "own") == 0
        return Diagnosis(
            name=self.name,
            cause=f"the output is uniform: loss = {name_of_uniform(facts)} = {uniform:.6f}"
            f" at all {trace.steps} steps",
            remedy=REMEDY,
            weight=0.975 if deaf else 0.94 if (away <= NEAR / 100).all() else 0.8,
            step=0,
            evidence=(
                f"loss {trace.loss[0]:.6f} to {trace.loss[-1]:.6f}",
                (
                    f"gradient norm {show(middle(norms(trace.gradient_norm)), '')},"
                    f" largest update norm {show(largest(trace.update_norm), '')}"
                ),
            ),
        )

    def _constant(self, facts: Facts, trace: Trace) -> Diagnosis | None:
        """Of numbers: no gradient flows, and constant inputs give the very same losses."""
        blind, seeing = blind_and_seeing(facts)
        if not abs(seeing - blind) <= 1e-6 * blind or not (trace.gradient_norm == 0).all():
            return None
        return Diagnosis(
            name=self.name,
            cause="the output is constant: constant inputs give the same loss"
            f" {show(seeing, '')}, and no tensor"
            " receives a gradient",
            remedy=REMEDY,
            weight=0.955,
            step=0,
            evidence=(f"largest update norm {show(largest(trace.update_norm), '')}",),
        )
