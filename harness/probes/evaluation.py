"""Does evaluating twice give the same, and does it leave the mode, the weights and later training alone?"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import numpy as np

from harness.model import Batch
from harness.probes import Context, Probe
from harness.probes._story import Notes, copied, logit_distance, opened, relative, same
from harness.spec import DecoderModel
from harness.trainer import Trainer

MOST_STEPS = 5
"""Steps that are trained with evaluations between them."""


class Evaluation(Probe):
    """Trains a few steps with evaluations between them, beside the training that had none."""

    def ask(self, context: Context) -> Mapping[str, Any]:
        """All that is found.

        repeat_difference: the larger of inference_repeat (largest difference of a logit between two
        inferences, in standard deviations of the logits) and loss_repeat (relative, of two losses in
        evaluation mode). mode_before, mode_after: the training flag around an evaluation. changed_weights:
        by an evaluation. changed_training: steps with evaluations between them have other losses.
        training_flag: while a step that nothing came before was taken; flag_after_evaluation: in the steps
        after one. train_eval_difference: the largest relative difference between a step's loss and the loss
        in evaluation mode at the same weights. dropout: the model's share.
        """
        with opened(context.build()) as trainer:
            return {
                **_interleaved(context, trainer),
                **_repeated(trainer, context.problem.held_out),
                "dropout": _dropout(context),
            }


def _interleaved(context: Context, trainer: Trainer) -> dict[str, Any]:
    first, *later = context.problem.batches[:MOST_STEPS]
    notes, quiet = Notes(trainer).train([first]), []
    before, mode = copied(trainer.parameters()), bool(trainer.training)
    _evaluate(trainer, context.problem.held_out)
    after, changed = bool(trainer.training), not same(trainer.parameters(), before)
    for batch in later:
        quiet.append(_quiet_loss(trainer, batch))
        notes.train([batch])
        _evaluate(trainer, context.problem.held_out)
    bare = np.asarray(context.losses[: len(notes.losses)])
    return {
        "mode_before": mode,
        "mode_after": after,
        "changed_weights": changed,
        "changed_training": not np.array_equal(notes.losses, bare, equal_nan=True),
        "training_flag": notes.modes[0],
        "flag_after_evaluation": all(notes.modes[1:]),
        "train_eval_difference": float(np.max(relative(notes.losses[1:], quiet), initial=0.0)),
    }


def _evaluate(trainer: Trainer, batch: Batch) -> None:
    """As a training loop does between epochs: the loss in evaluation mode, then what evaluation reports."""
    _quiet_loss(trainer, batch)
    trainer.infer(batch.inputs)
    with suppress(NotImplementedError):  # a regression has no score
        trainer.score(batch)


def _quiet_loss(trainer: Trainer, batch: Batch) -> float:
    mode = trainer.training
    trainer.train(False)
    try:
        return trainer.loss(batch)
    finally:
        trainer.train(mode)


def _repeated(trainer: Trainer, batch: Batch) -> dict[str, float]:
    (loss,) = relative([_quiet_loss(trainer, batch)], [_quiet_loss(trainer, batch)])
    first = np.array(trainer.infer(batch.inputs))
    logits = logit_distance(trainer.infer(batch.inputs), first)
    return {
        "loss_repeat": loss,
        "inference_repeat": logits,
        "repeat_difference": float(np.maximum(loss, logits)),
    }


def _dropout(context: Context) -> float:
    model = context.problem.model
    return model.decoder.dropout if isinstance(model, DecoderModel) else 0.0
