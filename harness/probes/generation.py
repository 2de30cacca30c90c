"""Are inference's logits those of the training's forward pass, and is generated text varied, repeatable?"""

import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from harness.model import Array
from harness.probes import Context, Probe
from harness.probes._fresh import load_drawn
from harness.probes._story import copied, logit_distance, opened
from harness.trainer import Trainer

PROMPTS = 8
"""Texts that are continued, at most: the beginnings of held-out samples."""
STEPS = 16
"""Tokens that each text is continued by."""


class Generation(Probe):
    """Compares both paths at trained weights and where logits are of order one; continues held-out text."""

    def ask(self, context: Context) -> Mapping[str, Any]:
        """What is found; for a model of no tokens, inference_difference alone.

        inference_difference: largest difference of a logit between `infer` and the forward pass in
        evaluation mode, in standard deviations of the logits, at the trained weights and at weights drawn
        for O(1) logits, the larger; difference_trained and difference_drawn: both. tokens: generated, each
        the most likely one after those before it; distinct: how many different ones; repeatable: the same
        the second time. tokens_per_second: of the first, or of the second by a trainer that compiles at it.
        """
        inputs = context.problem.held_out.inputs
        with opened(context.build()) as trainer:
            load_drawn(context.problem, trainer, inputs)
            drawn = _difference(trainer, inputs)
            trainer.load(copied(context.observed.parameters()))
            trained = _difference(trainer, inputs)
            found = {
                "inference_difference": float(np.maximum(trained, drawn)),
                "difference_trained": trained,
                "difference_drawn": drawn,
            }
            return found | (_generated(trainer, context) if inputs.dtype.kind == "i" else {})


def _difference(trainer: Trainer, inputs: Array) -> float:
    mode = trainer.training
    inferred = np.array(trainer.infer(inputs))
    trainer.train(False)
    try:
        return logit_distance(inferred, trainer.logits(inputs))
    finally:
        trainer.train(mode)


def _generated(trainer: Trainer, context: Context) -> dict[str, Any]:
    held_out, sequence = context.problem.held_out, context.problem.config.sequence
    # Equal lengths, all of real tokens: half of the shortest sample.
    prompts = held_out.inputs[:PROMPTS, : max(1, int(held_out.lengths[:PROMPTS].min()) // 2)]
    texts, seconds = _timed(trainer, prompts, sequence)
    again, later = _timed(trainer, prompts, sequence)
    return {
        "tokens": int(texts.size),
        "distinct": len(np.unique(texts)),
        "repeatable": bool(np.array_equal(again, texts)),
        "tokens_per_second": texts.size / max(later if trainer.compiles else seconds, 1e-9),
    }


def _timed(trainer: Trainer, prompts: Array, sequence: int) -> tuple[Array, float]:
    start = time.perf_counter()
    texts = _continue(trainer, prompts, sequence)
    return texts, time.perf_counter() - start


def _continue(trainer: Trainer, prompts: Array, sequence: int) -> Array:
    """The generated tokens (prompts, `STEPS`): greedily, from as many tokens as the model was trained on."""
    texts = prompts
    for _ in range(STEPS):
        logits = np.asarray(trainer.infer(np.ascontiguousarray(texts[:, -sequence:])))
        best = logits[:, -1].argmax(axis=-1).astype(prompts.dtype)
        texts = np.concatenate([texts, best[:, None]], axis=1)
    return texts[:, prompts.shape[1] :]
