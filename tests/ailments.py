"""What can be wrong with a training, by the diagnosis that is to name it: facts, cause, step, tensor, weight."""

import math
from dataclasses import dataclass, replace

import numpy as np
from patients import CLOSE, SAME, STEPS, TENSORS, facts, row, table, without_answers

from harness.model import Anchors, Facts

LN27 = math.log(27)
SURE, FITS = (0.9, 1.0), (0.5, 0.9)
NAN, INF = math.nan, math.inf
EMBEDDING, UP, NORM = TENSORS
ZERO = table(0)


@dataclass(frozen=True)
class Sick:
    """Facts, and what is to be said of them. weight: least and most, both included."""

    facts: Facts
    cause: str
    weight: tuple[float, float] = SURE
    step: int | None = None
    tensor: str = ""
    remedy: str = ""


def asked(probe, **found):
    return facts(answers={probe: found})


def reference(**found):
    return asked("reference", **found)


def aligned(best, shares, added=0):
    agreement = dict(zip(("-2", "-1", "0", "1", "2", "3"), shares, strict=True))
    return asked("alignment", agreement=agreement, best=best, loss_shift=added)


RATES = tuple(0.01 * (1 - 0.9 * step / (STEPS - 1)) for step in range(STEPS))
"""A learning rate that falls along a line to a tenth."""


def scheduled(used):
    return facts(problem={"learning_rates": RATES}, learning_rate=np.array(used))


def by_update(value, **changes):
    return facts(update_ratio=table(value), update_error=table(abs(value - 1)), **changes)


def started(seconds, **problem):
    healthy = facts(problem=problem)
    measured = replace(healthy.measurements["startup_time"], value=seconds)
    return replace(healthy, measurements={**healthy.measurements, "startup_time": measured})


def calls(update=1.0, backward=1.0, zero_grad=1.0):
    return {"update": row(update), "backward": row(backward), "zero_grad": row(zero_grad)}


def rounded(spacing):
    """Updates of three sizes, each with the error of numbers that are that far apart: 0.45 of it in the mean."""
    sizes = np.repeat([[0.3, 0.03, 0.006]], STEPS, axis=0)
    norms = np.repeat([[2.0, 2.3, 5.0]], STEPS, axis=0)
    error = 0.45 * spacing * norms / (sizes * norms)
    return facts(weight_norm=norms, update_norm=sizes * norms, update_error=error)


SICK = {
    "nonfinite_origin": [
        Sick(facts(loss=row(3, [(5, NAN)])), "nan first appears at step 5 in the loss", step=5),
        Sick(
            facts(gradient_norm=table(0.5, at=[(7, 1, INF)]), loss=row(3, [(8, NAN)])),
            "inf first appears at step 7 in the gradient of layers.0.mlp.up.weight",
            step=7,
            tensor=UP,
        ),
        Sick(
            facts(gradient_norm=table(0.5, at=[(7, slice(None), NAN)])),
            "nan first appears at step 7 in the gradient of final_norm.weight",
            step=7,
            tensor=NORM,
        ),
        Sick(
            facts(weight_norm=table(2, at=[(0, 0, INF)])),
            "inf first appears at step 0 in the weights of embedding",
            step=0,
            tensor=EMBEDDING,
        ),
        Sick(
            facts(gradient_norm=table(0.5, at=[(6, slice(None), 1e6), (7, slice(None), INF)])),
            "inf first appears at step 7 in the gradient of final_norm.weight",
            step=7,
            tensor=NORM,
            remedy="Clip the gradients",
        ),
    ],
    "learning_rate_zero": [
        Sick(
            facts(learning_rate=row(0), update_norm=ZERO),
            "learning rate is zero at 28 of 28 steps, from step 0 on",
            step=0,
        ),
        Sick(
            facts(learning_rate=np.array([0.01] * 7 + [0.0] * 21)),
            "learning rate is zero at 21 of 28 steps, from step 7 on",
            FITS,
            step=7,
        ),
    ],
    "never_updates": [
        Sick(
            facts(update_norm=ZERO, update_ratio=ZERO),
            "optimizer never updates: 0 of 3 tensors changed while gradients flow (norm 0.866)",
            step=0,
            remedy="Does optimizer.step() run?",
        ),
        Sick(
            facts(update_norm=table(1e-3, at=[([9, 20], slice(None), 0)])),
            "optimizer leaves out updates: 0 of 3 tensors changed while gradients flow (norm 0.866) at 2 of 28 steps, first at step 9",
            step=9,
        ),
        Sick(
            facts(clipped_norm=ZERO, update_ratio=table(0.001)),
            "optimizer never updates along the gradient (norm 0.866 after backward, 0 at the optimizer): updates are 0.001 of the rule's",
            step=0,
            remedy="between backward() and optimizer.step()",
        ),
    ],
    "updated_twice": [
        Sick(
            by_update(2, events=calls(update=2)),
            "update applied twice: each step moves the weights 2 times as far as the optimizer's rule",
            step=0,
            remedy="Is optimizer.step() called once",
        ),
        Sick(
            by_update(3),
            "update applied 3 times: each step moves the weights 3 times as far as the optimizer's rule",
            step=0,
        ),
        Sick(
            by_update(2.5),
            "update applied 2.5 times: each step moves the weights 2.5 times as far as the optimizer's rule",
            step=0,
        ),
        Sick(
            by_update(0.5),
            "update applied 0.5 times: each step moves the weights 0.5 times as far as the optimizer's rule",
            step=0,
            remedy="scaled down",
        ),
        Sick(
            facts(update_ratio=table(2, at=[(slice(0, None, 2), slice(None), 4)]), events=calls(update=2)),
            "update applied twice: each step moves the weights 3 times as far as the optimizer's rule",
            step=0,
        ),
        Sick(
            facts(update_ratio=table(2, at=[(slice(0, None, 2), slice(None), 4)])),
            "update applied 3 times: each step moves the weights 3 times as far as the optimizer's rule",
            FITS,
            step=0,
        ),
    ],
    "wrong_sign": [
        Sick(
            by_update(-1),
            "wrong sign: updates are -1 times the optimizer's rule, so training climbs the loss",
            step=0,
        ),
        Sick(
            by_update(-3),
            "wrong sign: updates are -3 times the optimizer's rule, so training climbs the loss",
            step=0,
        ),
        Sick(
            reference(forward_default={**SAME, "gradient_ratio": -1.0}),
            "wrong sign: gradients are -1 times the reference's, so training climbs the loss",
            step=0,
        ),
    ],
    "update_rule_differs": [
        Sick(
            facts(update_error=table(1e-7, at=[(slice(None), 2, 0.02)])),
            "update rule differs from the configured optimizer's for 1 of 3 tensors (relative distance 0.02): only gains and biases differ: weight decay acts on them",
            step=0,
            tensor=NORM,
        ),
        Sick(
            facts(update_error=table(0.02, at=[(slice(None), 2, 1e-7)])),
            "update rule differs from the configured optimizer's for 2 of 3 tensors (relative distance 0.02): only matrices differ: weight decay is coupled with the gradient (L2), left out, or of another size",
            step=0,
            tensor=EMBEDDING,
        ),
        Sick(
            facts(update_error=table(0.5, at=[(0, slice(None), 1e-7)])),
            "update rule differs from the configured optimizer's for 3 of 3 tensors (relative distance 0.5): the first update is right, later ones are not: momentum is lost or has other decay rates (betas)",
            step=1,
            tensor=EMBEDDING,
        ),
        Sick(
            facts(update_error=table(0.5)),
            "update rule differs from the configured optimizer's for 3 of 3 tensors (relative distance 0.5): from the first step on",
            step=0,
            tensor=EMBEDDING,
        ),
        Sick(
            facts(
                update_ratio=np.repeat(
                    [[(1 - 0.9**t) / math.sqrt(1 - 0.999**t)] for t in range(1, STEPS + 1)], 3, axis=1
                ),
                update_error=table(3),
            ),
            "update rule differs from the configured optimizer's for 3 of 3 tensors (relative distance 3): Adam's bias correction is missing",
            step=0,
            tensor=EMBEDDING,
        ),
    ],
    "frozen_tensors": [
        Sick(
            facts(update_norm=table(1e-3, at=[(slice(None), 1, 0)])),
            "frozen: 1 of 3 tensors never change while their gradients flow (norm 0.5), first layers.0.mlp.up.weight",
            step=0,
            tensor=UP,
        ),
        Sick(
            facts(update_norm=table(1e-3, at=[(slice(None), [0, 2], 0)])),
            "frozen: 2 of 3 tensors never change while their gradients flow (norm 0.5), first embedding",
            step=0,
            tensor=EMBEDDING,
        ),
        Sick(
            facts(
                update_norm=table(1e-3, at=[(slice(None), 2, 0)]),
                gradient_norm=table(0.5, at=[(slice(None), 2, 0)]),
            ),
            "frozen: 1 of 3 tensors never change and receive no gradient, first final_norm.weight",
            FITS,
            step=0,
            tensor=NORM,
        ),
    ],
    "uncovered_parameters": [
        Sick(
            asked("coverage", missing=[UP], optimized=[EMBEDDING, NORM]),
            "optimizer does not hold 1 of 3 trainable tensors, first layers.0.mlp.up.weight",
            tensor=UP,
            remedy="added, replaced or unfrozen",
        ),
        Sick(
            asked("coverage", missing=list(TENSORS), optimized=[]),
            "optimizer does not hold 3 of 3 trainable tensors, first embedding",
            tensor=EMBEDDING,
            remedy="copied",
        ),
    ],
    "replicas_out_of_sync": [
        Sick(
            asked("replicas", ranks=2, distance=0.01, apart_from=3),
            "ranks are out of sync: their weights part after step 3, up to 1 %",
            step=3,
        ),
        Sick(
            asked("replicas", ranks=2, distance=NAN, apart_from=0),
            "ranks are out of sync: their weights part after step 0, up to nan",
            step=0,
        ),
    ],
    "ranks_see_same_data": [
        Sick(
            asked("replicas", ranks=2, samples=32, shared=16, left_out=16, unsharded_from=0),
            "ranks see the same data: of 32 samples 16 were taken by more than one rank, 16 by none",
            step=0,
        ),
        Sick(
            asked("replicas", ranks=4, samples=32, shared=3, left_out=0, unsharded_from=5),
            "ranks see the same data: of 32 samples 3 were taken by more than one rank, 0 by none",
            step=5,
        ),
    ],
    "aliased_parameters": [
        Sick(
            asked("coverage", aliased=[["a", "b"]]),
            "parameters share memory: a and b are one tensor (1 pairs in all)",
            tensor="b",
        ),
        Sick(
            asked("coverage", aliased=[["l.0", "l.1"], ["l.0", "l.2"]]),
            "parameters share memory: l.0 and l.1 are one tensor (2 pairs in all)",
            tensor="l.1",
        ),
    ],
    "buffers_never_allocated": [
        Sick(
            facts(gradient_norm=ZERO, clipped_norm=ZERO, update_norm=ZERO, events=calls(backward=0)),
            "no gradient reaches any of 3 tensors: norm 0 at all 28 steps",
            step=0,
        ),
        Sick(replace(facts(), parameters=0), "no gradient can flow: 0 trainable parameters", step=0),
    ],
    "gradients_accumulate": [
        Sick(
            asked("fresh_gradients", ratio=[1.0, 2.0, 2.9, 3.8], error=[1e-7, 1.0, 1.9, 2.8]),
            "gradients accumulate: the gradient at step 3 is 3.8 times its own recomputation (relative distance 2.8), at step 0 it is right",
            step=1,
            remedy="zero_grad",
        ),
        Sick(
            asked("fresh_gradients", ratio=[1.0, 1.6, 1.6, 1.6], error=[1e-7, 0.9, 0.9, 0.9]),
            "gradients accumulate: the gradient at step 1 is 1.6 times its own recomputation (relative distance 0.9), at step 0 it is right",
            step=1,
        ),
        Sick(
            asked("fresh_gradients", ratio=[1.0, 1.0, 1.7, 1.0], error=[1e-7, 1e-7, 0.8, 1e-7]),
            "gradients accumulate: the gradient at step 2 is 1.7 times its own recomputation (relative distance 0.8), at step 0 it is right",
            step=2,
        ),
        Sick(
            without_answers(facts(events=calls(zero_grad=0))),
            "gradients accumulate: zero_grad ran 0 times in 28 steps with 28 backward passes",
            FITS,
            step=1,
        ),
    ],
    "uniform_output": [
        Sick(facts(loss=row(LN27)), "the output is uniform: loss = ln 27 = 3.295837 at all 28 steps", step=0),
        Sick(
            facts(
                loss=row(10.802672),
                problem={"vocabulary": 49_152, "anchors": Anchors(uniform=math.log(49_152))},
            ),
            "the output is uniform: loss = ln 49152 = 10.802673 at all 28 steps",
            step=0,
        ),
        Sick(
            facts(loss=row(LN27, [(3, LN27 * 1.00005)])),
            "the output is uniform: loss = ln 27 = 3.295837 at all 28 steps",
            FITS,
            step=0,
        ),
        Sick(
            facts(
                loss=row(1.0),
                gradient_norm=ZERO,
                problem={"anchors": Anchors(unigram=1.0)},
                answers={"baseline": {"blind_loss": 1.0, "seeing_loss": 1.0}},
            ),
            "the output is constant: constant inputs give the same loss 1, and no tensor receives a gradient",
            step=0,
        ),
    ],
    "initialisation_wrong": [
        Sick(
            facts(weight_norm=table(0, at=[(slice(None), 2, 5.6)]), weight_mean=table(0)),
            "weights are zero at the start in 2 of 2 matrices (embedding, layers.0.mlp.up.weight)",
            step=0,
            tensor=EMBEDDING,
        ),
        Sick(
            facts(
                weight_norm=table(2, at=[(slice(None), 1, 0)]),
                gradient_norm=table(0.5, at=[(slice(None), 1, 0)]),
            ),
            "weights are zero at the start in 1 of 2 matrices (layers.0.mlp.up.weight)",
            step=0,
            tensor=UP,
        ),
        Sick(
            facts(weight_mean=table(0.02, at=[(0, 1, 2.3 / 64)])),
            "all elements have the same magnitude at the start in 1 of 2 matrices (layers.0.mlp.up.weight)",
            step=0,
            tensor=UP,
        ),
        Sick(
            facts(problem={"shapes": {EMBEDDING: (8, 4), UP: (8, 4), NORM: (4,)}}, weight_norm=table(2)),
            "layers start with the same weights: 2 of 2 matrices have a twin (embedding, layers.0.mlp.up.weight)",
            step=0,
            tensor=EMBEDDING,
        ),
        Sick(
            facts(loss=row(9.0)),
            "weights are too large at the start: first loss 9 is 2.731 x ln 27 (embedding, layers.0.mlp.up.weight)",
            FITS,
            step=0,
            tensor=EMBEDDING,
        ),
        Sick(
            facts(loss=row(40.0), problem={"vocabulary": None, "anchors": Anchors(unigram=1.0)}),
            "weights are too large at the start: first loss 40 is 40 x the targets' variance (embedding, layers.0.mlp.up.weight)",
            FITS,
            step=0,
            tensor=EMBEDDING,
        ),
        Sick(
            reference(forward_default={**SAME, "logits": 3.2}),
            "starting weights are not the problem's: logits differ by 3.2 standard deviations from the reference's, and agree once the same weights are loaded",
            step=0,
        ),
    ],
    "dead_layer": [
        Sick(
            facts(gradient_norm=table(0.5, at=[(slice(None), 1, 0)])),
            "layer layers.0 is dead: no gradient reaches 1 of 3 tensors at any step",
            FITS,
            step=0,
            tensor=UP,
        ),
        Sick(
            facts(
                tensors=("layers.1.a", "layers.1.b", "head"),
                gradient_norm=table(0.5, at=[(slice(None), [0, 1], 0)]),
            ),
            "layer layers.1 is dead: no gradient reaches 2 of 3 tensors at any step",
            FITS,
            step=0,
            tensor="layers.1.a",
        ),
        Sick(
            facts(
                tensors=("layers.1.a", "layers.1.b", "head"),
                gradient_norm=table(0.5, at=[(slice(None), 1, 0)]),
            ),
            "dead tensors: no gradient reaches 1 of 3 tensors at any step",
            (0.3, 0.49),
            step=0,
            tensor="layers.1.b",
        ),
    ],
    "exploding_gradients": [
        Sick(
            facts(gradient_norm=table(0.5, at=[(13, slice(None), 5)])),
            "gradients explode: norm 8.66 at step 13, 10 x its neighbours",
            FITS,
            step=13,
            tensor=EMBEDDING,
        ),
        Sick(
            facts(gradient_norm=table(0.5, at=[(20, 2, 40)])),
            "gradients explode: norm 40.01 at step 20, 46.2 x its neighbours",
            FITS,
            step=20,
            tensor=NORM,
        ),
        Sick(
            facts(gradient_norm=np.repeat(np.logspace(0, 5, STEPS)[:, None], 3, axis=1)),
            "gradients explode: norm grows from 2.193 to 143,100",
            FITS,
            step=12,
            tensor=EMBEDDING,
        ),
        Sick(
            facts(gradient_largest=table(0.1, at=[(4, 1, 3.5)])),
            "gradients are large: largest element 3.5 is above 1, unclipped",
            (0.2, 0.49),
            step=4,
            tensor=EMBEDDING,
            remedy="Clip the gradients",
        ),
    ],
    "vanishing_gradients": [
        Sick(
            facts(gradient_largest=table(2e-8)),
            "gradients vanish: largest element 2e-08 at any step, below 1e-06",
            FITS,
            step=0,
            tensor=EMBEDDING,
            remedy="Raise the learning rate",
        ),
        Sick(
            facts(gradient_nonzero=table(0.3)),
            "gradients underflow to zero: 70 % of the elements of 3 tensors never receive any",
            FITS,
            step=0,
            tensor=EMBEDDING,
            remedy="loss scaling",
        ),
        Sick(
            facts(gradient_largest=table(0.1, at=[(slice(None), 2, 1e-9)])),
            "gradients are tiny: below 1e-06 at every step in 1 of 3 tensors",
            (0.2, 0.49),
            step=0,
            tensor=NORM,
            remedy="Raise the learning rate",
        ),
    ],
    "update_below_precision": [
        Sick(
            rounded(2.0**-8),
            "updates are below the precision of the weights: 0 % of them change nothing, those of 3 of 3 tensors are rounded like bfloat16",
            step=0,
            tensor=EMBEDDING,
        ),
        Sick(
            rounded(2.0**-11),
            "updates are below the precision of the weights: 0 % of them change nothing, those of 3 of 3 tensors are rounded like float16",
            step=0,
            tensor=EMBEDDING,
        ),
        Sick(
            facts(
                update_norm=table(1e-3, at=[(slice(3, None, 2), 2, 0)]),
                update_ratio=table(1, at=[(slice(3, None, 2), 2, 0)]),
            ),
            "updates are below the precision of the weights: 15.48 % of them change nothing, those of 1 of 3 tensors are rounded away at some steps",
            step=3,
            tensor=NORM,
        ),
    ],
    "no_clipping": [
        Sick(
            asked("fresh_gradients", clipped_ratio=[1.0] * 4, clipped_expected=[0.4, 0.5, 0.6, 1.0]),
            "gradients are not clipped: at step 0 clipping leaves 100 % of the norm, the limit allows 40 %",
            step=0,
        ),
        Sick(
            asked(
                "fresh_gradients", clipped_ratio=[1.0, 0.8, 1.0, 1.0], clipped_expected=[1.0, 0.5, 1.0, 1.0]
            ),
            "gradients are clipped too little: at step 1 clipping leaves 80 % of the norm, the limit allows 50 %",
            step=1,
        ),
    ],
    "clipped_before_unscaling": [
        Sick(
            asked(
                "fresh_gradients",
                clipped_ratio=[1e-5, 2e-5, 1e-5, 1e-5],
                clipped_expected=[0.4, 0.8, 0.4, 0.4],
            ),
            "gradients are clipped before unscaling: at step 0 clipping leaves 0.001 % of the norm, the limit asks for 40 %",
            step=0,
            remedy="unscale",
        ),
        Sick(
            asked("fresh_gradients", clipped_ratio=[0.4, 0.25, 0.6, 1.0]),
            "gradients are clipped before unscaling: at step 1 clipping leaves 25 % of the norm, the limit asks for 50 %",
            step=1,
        ),
        Sick(
            without_answers(
                facts(
                    clipped_norm=table(1e-5),
                    gradient_norm=np.repeat(np.linspace(1, 2, STEPS)[:, None], 3, axis=1),
                )
            ),
            "gradients are clipped before unscaling: at step 0 clipping leaves 0.0006668 % of the norm",
            FITS,
            step=0,
        ),
    ],
    "schedule_wrong_rate": [
        Sick(
            scheduled([0.01] * STEPS),
            "schedule gives the wrong learning rate: 0.01 at step 1, expected 0.009667; it never advances",
            step=1,
        ),
        Sick(
            scheduled([RATES[min(4 * step, STEPS - 1)] for step in range(STEPS)]),
            "schedule gives the wrong learning rate: 0.008667 at step 1, expected 0.009667; it advances 4 times a step",
            step=1,
        ),
        Sick(
            scheduled([RATES[step % 7] for step in range(STEPS)]),
            "schedule gives the wrong learning rate: 0.01 at step 7, expected 0.007667; it starts again every 7 steps",
            step=7,
        ),
        Sick(
            scheduled([100 * rate for rate in RATES]),
            "schedule gives the wrong learning rate: 1 at step 0, expected 0.01; it is 100 times the planned rate",
            step=0,
        ),
        Sick(
            scheduled([RATES[0]] * 3 + list(RATES[:-3])),
            "schedule gives the wrong learning rate: 0.01 at step 1, expected 0.009667; it is 3 steps late",
            step=1,
        ),
        Sick(
            scheduled([*RATES[:14], *(0.5 * rate for rate in RATES[14:])]),
            "schedule gives the wrong learning rate: 0.002667 at step 14, expected 0.005333; from step 14 on it is 0.5 times the planned rate",
            step=14,
        ),
        Sick(
            scheduled([*RATES[:9], 0.3, *RATES[10:]]),
            "schedule gives the wrong learning rate: 0.3 at step 9, expected 0.007; no simple mistake fits",
            step=9,
        ),
        Sick(
            by_update(100),
            "learning rate of the optimizer seems 100 times the recorded one: every update is",
            FITS,
            step=0,
        ),
    ],
    "mean_of_means": [
        Sick(
            asked("accumulation", ratio=1.02, error=0.6, tensor_errors={EMBEDDING: 0.3, UP: 0.8}),
            "mean of means: the gradient of a batch differs from the count-weighted sum over its samples (cosine 0.8621, relative distance 0.6)",
            step=0,
            tensor=UP,
        ),
        Sick(
            asked("accumulation", ratio=0.7, error=0.9),
            "mean of means: the gradient of a batch differs from the count-weighted sum over its samples (cosine 0.6364, relative distance 0.9)",
            step=0,
            tensor=EMBEDDING,
        ),
    ],
    "accumulation_not_divided": [
        Sick(
            asked("accumulation", ratio=4.0, error=3.0, tensor_errors={UP: 3.0}),
            "accumulation is not divided: the gradient of a batch is 4 times the count-weighted sum over its samples",
            step=0,
            tensor=UP,
        ),
        Sick(
            asked("accumulation", ratio=4.0, error=3.2),
            "accumulation is not divided: the gradient of a batch is 4 times the count-weighted sum over its samples",
            step=0,
            tensor=EMBEDDING,
        ),
        Sick(
            asked("accumulation", ratio=0.25, error=0.75),
            "accumulation is divided too often: the gradient of a batch is 0.25 times the count-weighted sum over its samples",
            step=0,
            tensor=EMBEDDING,
        ),
    ],
    "attention_mixes_nothing": [
        Sick(
            asked("influence", past=0.0),
            "attention mixes nothing: changing a token moves the logits of later positions by 0 and its own by 1.2 standard deviations",
        ),
        Sick(
            asked("influence", past=2e-5, own=3.0),
            "attention mixes nothing: changing a token moves the logits of later positions by 2e-05 and its own by 3 standard deviations",
        ),
    ],
    "future_leaks": [
        Sick(
            asked("influence", future=1.5, first_leak={"changed": 4, "position": 3, "change": 1.5}),
            "the future leaks: changing token 4 moves the logits at position 3 (by up to 1.5 standard deviations)",
            remedy="off by one",
        ),
        Sick(
            asked("influence", future=0.02, first_leak={"changed": 9, "position": 2, "change": 0.02}),
            "the future leaks: changing token 9 moves the logits at position 2 (by up to 0.02 standard deviations)",
            remedy="polarity",
        ),
        Sick(
            asked("influence", future=0.9, past=0.0, first_leak={"changed": 1, "position": 0, "change": 0.9}),
            "the future leaks: changing token 1 moves the logits at position 0 (by up to 0.9 standard deviations)",
            remedy="inverted",
        ),
        Sick(asked("influence", future=0.9), "the future leaks (by up to 0.9 standard deviations)"),
    ],
    "samples_leak": [
        Sick(
            asked("isolation", other_sample=0.4),
            "samples leak: replacing other samples of the batch moves logits by 0.4 standard deviations",
        ),
        Sick(
            asked("isolation", permuted_loss=0.03),
            "the order of samples matters: permuting the batch moves logits by 1e-07 and the loss by 3 %",
            FITS,
        ),
    ],
    "inputs_ignored": [
        Sick(
            asked("influence", own=0.0, past=0.0),
            "inputs are ignored: no changed token moves any logit (by 0 standard deviations)",
        ),
        Sick(
            asked("baseline", blind_loss=2.4),
            "inputs are ignored: the loss ends at 2.4 with constant inputs too",
        ),
        Sick(
            facts(loss=row(LN27), answers={"influence": {"own": 0.0, "past": 0.0}}),
            "inputs are ignored: no changed token moves any logit (by 0 standard deviations)",
            FITS,
        ),
    ],
    "labels_misaligned": [
        Sick(
            aligned(0, (0.1, 0.1, 1.0, 0.1, 0.1, 0.1)),
            "labels are misaligned: training predicts the token it reads, expected the next one (targets equal the inputs shifted by 0 in 100 %)",
        ),
        Sick(
            aligned(2, (0.1, 0.1, 0.1, 0.1, 1.0, 0.1)),
            "labels are misaligned: training predicts the token 2 positions ahead, expected the next one (targets equal the inputs shifted by 2 in 100 %)",
        ),
        Sick(
            aligned(-1, (0.1, 0.8, 0.1, 0.2, 0.1, 0.1)),
            "labels are misaligned: training predicts the token 1 positions back, expected the next one (targets equal the inputs shifted by -1 in 80 %)",
        ),
        Sick(
            aligned(1, (0.1, 0.1, 0.1, 1.0, 0.1, 0.1), added=1),
            "labels are misaligned: training predicts the token 2 positions ahead, expected the next one (targets equal the inputs shifted by 1 in 100 %, the loss shifts by 1)",
        ),
    ],
    "labels_unrelated": [
        Sick(
            aligned(1, (0.1, 0.1, 0.1, 0.15, 0.1, 0.1)),
            "labels are unrelated to the inputs: at most 15 % of the targets equal the input at any shift",
        ),
        Sick(
            aligned(1, (0.1, 0.1, 0.02, 0.7, 0.1, 0.1)),
            "labels are unrelated to the inputs: at most 70 % of the targets equal the input at any shift",
            FITS,
        ),
        Sick(
            facts(
                loss=row(2.8),
                answers={
                    "alignment": {"agreement": {}},
                    "baseline": {"blind_loss": 2.81, "seeing_loss": 2.8},
                },
            ),
            "labels seem unrelated to the inputs: the loss ends at 2.8, the entropy of the labels alone is 2.8",
            FITS,
        ),
    ],
    "loss_below_floor": [
        Sick(
            facts(loss=np.linspace(3.3, 0.4, STEPS)),
            "the answers leak: loss 0.4537 lies below the floor 1.5, the entropy of the source",
            FITS,
            step=26,
        ),
        Sick(
            aligned(1, (0.1, 0.1, 0.34, 0.67, 0.1, 0.1)),
            "the answers leak: 34 % of the targets stand in the inputs in place of the token that is read",
            step=26,
        ),
    ],
    "loss_wrong_scale": [
        Sick(
            reference(forward_scaled={**SAME, "loss_ratio": 1.7}),
            "loss is 1.7 times the reference's, from the same logits (scaled weights)",
            step=0,
            remedy="no softmax before it",
        ),
        Sick(
            reference(
                forward_default={**SAME, "loss_ratio": 0.5}, forward_scaled={**SAME, "loss_ratio": 0.5}
            ),
            "loss is 0.5 times the reference's, from the same logits (default weights)",
            step=0,
        ),
        Sick(
            without_answers(facts(loss=np.linspace(1.65, 1.2, STEPS))),
            "first loss 1.65 is 0.5006 x ln 27: too good for an untrained model",
            FITS,
            step=0,
        ),
        Sick(facts(loss=row(0.0)), "loss is exactly 0 at every step", step=0),
        Sick(
            reference(loss_difference=[0.002] * STEPS),
            "loss differs from the reference's by the same 0.2 % at all 28 steps",
            FITS,
            step=0,
        ),
        Sick(
            asked("overfit", start=LN27 / 1.01),
            "recorded first loss is 1.01 times what the same step gives when it is taken again",
            FITS,
            step=0,
        ),
    ],
    "padding_counted": [
        Sick(
            asked("padding", counted=512, loss_change=0.3),
            "padding counts in the loss: 512 targets count, 448 are real",
        ),
        Sick(
            asked("padding", loss_change=0.02), "padding has an effect: other padding changes the loss by 2 %"
        ),
        Sick(
            asked("padding", gradient_change=0.3),
            "padding has an effect: other padding changes the loss by 0 %",
        ),
    ],
    "same_batch_again": [
        Sick(
            asked("ledger", repeated_batches=0.96),
            "the same batch comes again: 96 % of the steps repeat an earlier one",
        ),
        Sick(
            asked("ledger", repeated_batches=0.1),
            "the same batch comes again: 10 % of the steps repeat an earlier one",
        ),
    ],
    "duplicated_samples": [
        Sick(
            asked("ledger", duplicates=28),
            "samples are duplicated: 28 of 56 were already seen in the same epoch",
        ),
        Sick(
            asked("ledger", duplicates=1),
            "samples are duplicated: 1 of 56 were already seen in the same epoch",
        ),
    ],
    "never_reshuffled": [
        Sick(
            asked("ledger", same_order=1, reshuffled=False),
            "never reshuffled: 1 of 2 epochs repeat the order of the one before",
        ),
        Sick(
            asked("ledger", same_order=7, epochs=8, reshuffled=False),
            "never reshuffled: 7 of 8 epochs repeat the order of the one before",
        ),
    ],
    "held_out_in_training": [
        Sick(
            asked("ledger", held_out_overlap=2), "held-out samples are in training: 2 of them occur in both"
        ),
        Sick(
            asked("ledger", held_out_overlap=17), "held-out samples are in training: 17 of them occur in both"
        ),
    ],
    "dropout_in_evaluation": [
        Sick(
            asked("evaluation", loss_repeat=0.02, inference_repeat=0.5, repeat_difference=0.5),
            "dropout is active in evaluation: the same evaluation twice differs by 2 %",
        ),
        Sick(
            asked("evaluation", loss_repeat=1e-4, repeat_difference=1e-4),
            "dropout is active in evaluation: the same evaluation twice differs by 0.01 %",
        ),
    ],
    "never_in_training_mode": [
        Sick(
            asked("evaluation", training_flag=False),
            "never in training mode: the training flag is off during the steps, and the loss differs from evaluation's by 1e-05 %",
            step=0,
        ),
        Sick(
            asked(
                "evaluation",
                training_flag=False,
                mode_before=False,
                mode_after=False,
                flag_after_evaluation=False,
                train_eval_difference=0.0,
            ),
            "never in training mode: the training flag is off during the steps, and the loss differs from evaluation's by 0 %",
            step=0,
        ),
    ],
    "evaluation_changes_training": [
        Sick(
            asked("evaluation", changed_weights=True, changed_training=True),
            "evaluation changes the training: it moves the weights",
        ),
        Sick(
            asked("evaluation", mode_after=False, changed_training=True),
            "evaluation changes the training: it leaves evaluation mode on",
            remedy="model.train()",
        ),
        Sick(
            asked("evaluation", flag_after_evaluation=False),
            "evaluation changes the training: it leaves evaluation mode on",
        ),
        Sick(
            asked("evaluation", changed_training=True), "evaluation changes the training: later losses differ"
        ),
    ],
    "logits_unrelated_to_weights": [
        Sick(
            facts(
                answers={
                    "generation": {"inference_difference": 4.0, "repeatable": False},
                    "evaluation": {"inference_repeat": 4.0, "repeat_difference": 4.0},
                }
            ),
            "logits of inference are random: 4 standard deviations from the training's forward pass at the same weights",
        ),
        Sick(
            asked("generation", inference_difference=3.0),
            "logits of inference are unrelated to the weights: 3 standard deviations from the training's forward pass at the same weights",
        ),
        Sick(
            asked("generation", inference_difference=0.01),
            "logits of inference are not those of training: 0.01 standard deviations from the training's forward pass at the same weights",
            FITS,
        ),
    ],
    "score_independent_of_weights": [
        Sick(
            asked("score", trained=1.0, randomised=1.0),
            "score does not depend on the weights: 100 % with weights in random order, 100 % with trained ones",
        ),
        Sick(
            asked("score", trained=0.8, randomised=0.7),
            "score does not depend on the weights: 70 % with weights in random order, 80 % with trained ones",
        ),
    ],
    "checkpoint_loses_weights": [
        Sick(
            asked("checkpoint", lost=[UP], difference=1.0),
            "checkpoint loses weights: 1 tensors are not restored, first layers.0.mlp.up.weight",
            tensor=UP,
        ),
        Sick(
            asked("checkpoint", difference=3e-5),
            "checkpoint loses weights: restored weights differ by up to 3e-05: they are rounded",
        ),
        Sick(
            asked("checkpoint", error="KeyError: 'a'"),
            "checkpoint loses weights: it cannot be loaded: KeyError: 'a'",
        ),
    ],
    "resume_loses_state": [
        Sick(
            asked("resume", loss_difference=[0.0, 0.01, 0.02], weights_difference=0.05),
            "resume loses optimizer state: the first loss is right, weights end 0.05 apart",
            step=6,
        ),
        Sick(
            asked("resume", loss_difference=[0.03, 0.01, 0.02], weights_difference=0.05),
            "resume loses state: weights end 0.05 apart",
            step=6,
        ),
    ],
    "resume_repeats_data": [
        Sick(
            asked("resume", resumed_at=0, loss_difference=[0.1], rate_difference=[0.4]),
            "resume starts again at step 0 in place of 6: data are repeated",
            step=6,
        ),
        Sick(
            asked("resume", rate_difference=[0.0, 0.4, 0.1]),
            "resume restarts the schedule: the learning rate differs by up to 40 %",
            step=7,
        ),
    ],
    "memory_grows": [
        Sick(
            facts(memory=np.linspace(1e8, 1.5e8, STEPS)),
            "memory grows every step: 1.766 MiB a step, 95.37 MiB to 143.1 MiB in 28 steps",
            step=9,
        ),
        Sick(
            facts(memory=1e6 * 1.002 ** np.arange(STEPS)),
            "memory grows every step: 2.027 KiB a step, 976.6 KiB to 1.007 MiB in 28 steps",
            FITS,
            step=9,
        ),
    ],
    "starts_slowly": [
        Sick(
            started(3.1),
            "starts slowly: 3.1 s until ready to train, expected 1.002 s at most for 12,416 numbers",
        ),
        Sick(
            started(40.0, parameters=134_515_008),
            "starts slowly: 40 s until ready to train, expected 27.9 s at most for 134,515,008 numbers",
            (0.3, 0.5),
        ),
    ],
    "steps_slow_down": [
        Sick(
            facts(measured={"step_time": np.linspace(0.001, 0.003, 27)}),
            "steps slow down: 1.231 ms a step at first, 2.808 ms at the end (3.846 % more a step)",
            step=0,
        ),
        Sick(
            facts(measured={"step_time": np.linspace(1, 9, 400)}),
            "steps slow down: 1.992 s a step at first, 8.008 s at the end (0.401 % more a step)",
            step=0,
        ),
    ],
    "nondeterministic": [
        Sick(
            asked("repeat", losses=[*facts().trace.loss[:11], *[0.0] * (STEPS - 11)], weights_equal=False),
            "training is nondeterministic: losses part at step 11 between two trainings from the same start",
            step=11,
        ),
        Sick(
            asked("repeat", weights_equal=False),
            "training is nondeterministic: losses agree, final weights do not between two trainings from the same start",
        ),
        Sick(
            asked(
                "repeat",
                weights_equal=False,
                parting={"step": 7, "tensor": UP, "words": f"step 7, update of {UP}"},
            ),
            "training is nondeterministic: losses agree, final weights do not between two trainings from the same start",
            step=7,
            tensor=UP,
        ),
    ],
    "forward_differs_from_reference": [
        Sick(
            reference(forward_scaled={**SAME, "logits": 4.6}, forward_default={**SAME, "logits": 0.0035}),
            "forward pass differs from the reference: logits are 4.6 standard deviations from the reference's at O(1) weights, 0.0035 at the starting ones",
            step=0,
        ),
        Sick(
            reference(forward_scaled={**SAME, "logits": 0.005}),
            "forward pass differs from the reference: logits are 0.005 standard deviations from the reference's at O(1) weights, 1e-06 at the starting ones",
            FITS,
            step=0,
        ),
        Sick(
            reference(forward_scaled={}, gradients_scaled={**CLOSE, UP: 0.7}),
            "forward pass differs from the reference: gradients agree at small weights (1e-07) and not at O(1) weights (0.7)",
            FITS,
            step=0,
        ),
    ],
    "backward_differs_from_reference": [
        Sick(
            reference(gradients_scaled={**CLOSE, EMBEDDING: 0.8, UP: 0.3}),
            "backward pass differs from the reference in 2 of 3 tensors while the loss agrees; nearest the output layers.0.mlp.up.weight (relative distance 0.3)",
            FITS,
            step=0,
            tensor=UP,
        ),
        Sick(
            reference(gradients_default={**CLOSE, NORM: NAN}),
            "backward pass differs from the reference in 1 of 3 tensors while the loss agrees; nearest the output final_norm.weight (relative distance nan)",
            FITS,
            step=0,
            tensor=NORM,
        ),
    ],
    "diverges_from_reference_at_step": [
        Sick(
            reference(loss_difference=[1e-8] * 9 + [0.02] * 19),
            "parts from the reference at step 9: loss differs by 2 %, before it by 1e-06 % at most",
            FITS,
            step=9,
        ),
        Sick(
            reference(loss_difference=[1e-8] * 20 + [0.3] + [1e-8] * 7),
            "parts from the reference at step 20: loss differs by 30 %, before it by 1e-06 % at most",
            FITS,
            step=20,
            remedy="Only this step differs",
        ),
    ],
    "unknown": [
        Sick(facts(), "no known cause, and nothing in the record stands out", (0.0, 0.29)),
        Sick(
            facts(update_ratio=table(1, at=[(4, 1, 9)])),
            "no known cause; strongest anomaly: update of layers.0.mlp.up.weight is 9 of the rule's at step 4",
            (0.0, 0.29),
            step=4,
            tensor=UP,
        ),
        Sick(
            facts(problem={"steps": 56}),
            "no known cause; strongest anomaly: the record ends after 28 of 56 steps",
            (0.0, 0.29),
            step=27,
        ),
    ],
}
