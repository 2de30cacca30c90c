"""Facts in which nothing is wrong, to change one thing of; for the tests of diagnoses."""

from dataclasses import replace

import numpy as np

from harness.model import Answer
from harness.testing.healthy import healthy_facts, healthy_problem, healthy_trace

STEPS = 28
TENSORS = ("embedding", "layers.0.mlp.up.weight", "final_norm.weight")
CLOSE = dict.fromkeys(TENSORS, 1e-7)
SAME = {"logits": 1e-6, "loss_ratio": 1.0, "gradient_ratio": 1.0}
ANSWERS = {
    "repeat": {"weights_equal": True},
    "reference": {
        "loss_difference": [1e-8] * STEPS, "gradients_default": CLOSE, "gradients_scaled": CLOSE,
        "forward_default": SAME, "forward_scaled": SAME, "scale": 16.0, "reference_moved": True,
    },
    "influence": {"future": 0.0, "past": 0.8, "own": 1.2, "first_leak": None, "scale": 8.0},
    "isolation": {"other_sample": 0.0, "permuted_logits": 1e-7, "permuted_loss": 1e-8},
    "accumulation": {"ratio": 1.0, "error": 1e-7, "tensor_errors": CLOSE},
    "fresh_gradients": {
        "steps": [0, 1, 2, 3], "ratio": [1.0] * 4, "error": [1e-7] * 4,
        "clipped_ratio": [0.4, 0.5, 0.6, 1.0], "clipped_expected": [0.4, 0.5, 0.6, 1.0],
    },
    "padding": {"loss_change": 0.0, "gradient_change": 1e-8, "counted": 448, "expected": 448},
    "alignment": {
        "agreement": {"-2": 0.04, "-1": 0.04, "0": 0.05, "1": 1.0, "2": 0.05, "3": 0.04}, "best": 1,
        "loss_shift": 0,
    },
    "evaluation": {
        "repeat_difference": 0.0, "inference_repeat": 0.0, "loss_repeat": 0.0, "mode_before": True,
        "mode_after": True, "changed_weights": False, "changed_training": False, "training_flag": True,
        "flag_after_evaluation": True, "train_eval_difference": 1e-7, "dropout": 0.0,
    },
    "coverage": {
        "optimized": list(TENSORS), "missing": [], "moved": list(TENSORS), "unmoved": [], "negligible": [],
        "aliased": [],
    },
    "resume": {
        "split": 6, "resumed_at": 6, "loss_difference": [0.0] * 6, "rate_difference": [0.0] * 6,
        "weights_difference": 0.0,
    },
    "replicas": {
        "ranks": 2, "steps": 8, "distance": 0.0, "apart_from": None, "shared": 0, "left_out": 0, "samples": 32,
        "unsharded_from": None,
    },
    "checkpoint": {"bytes": 49_664, "difference": 0.0, "lost": [], "error": "", "seconds": 0.01},
    "generation": {
        "inference_difference": 1e-6, "difference_trained": 1e-6, "difference_drawn": 1e-7, "tokens": 128,
        "distinct": 9, "repeatable": True, "tokens_per_second": 900.0,
    },
    "score": {"trained": 0.4, "randomised": 0.06, "chance": 0.15},
    "baseline": {"blind_loss": 2.8, "seeing_loss": 2.4, "steps": STEPS},
    "overfit": {"start": float(healthy_trace().loss[0]), "end": 0.2, "drop": 0.94, "steps": 60},
    "ledger": {
        "epochs": 2, "samples": 56, "duplicates": 0, "coverage": 1.0, "repeated_batches": 0.0, "same_order": 0,
        "reshuffled": True, "held_out_overlap": 0,
    },
}  # fmt: skip


def facts(*, answers=None, problem=None, measured=None, **arrays):
    """Healthy facts with all answers. answers: by probe, what to replace; measured: samples by name."""
    trace = healthy_trace(**arrays)
    told = {
        probe: Answer(facts={**found, **(answers or {}).get(probe, {})}) for probe, found in ANSWERS.items()
    }
    healthy = healthy_facts(trace, answers=told, problem=healthy_problem(**(problem or {})))
    if "weight_norm" not in arrays:  # matrices that are drawn at random have unlike norms
        trace = replace(trace, weight_norm=np.add(trace.weight_norm, [0, 0.3, 3]))
    found = {
        name: replace(each, samples=tuple((measured or {}).get(name, each.samples)))
        for name, each in healthy.measurements.items()
    }
    return replace(healthy, trace=trace, measurements=found)


def table(value, **places):
    """A (28, 3) table of one value. places: `at=[(rows, columns, other value), ...]`."""
    filled = np.full((STEPS, len(TENSORS)), float(value))
    for rows, columns, other in places.get("at", ()):
        filled[rows, columns] = other
    return filled


def row(value, at=()):
    """A (28,) row of one value. at: pairs of an index and another value."""
    filled = np.full(STEPS, float(value))
    for index, other in at:
        filled[index] = other
    return filled


def without_answers(healthy):
    """The same facts, nothing asked."""
    return replace(healthy, answers={})
