"""What every kind of data shares: the data set, independent random streams, ragged lengths, error lines."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from harness.model import IGNORE, Anchors, Array, Batch, HarnessError
from harness.programs import TransformersModel
from harness.spec import Case, Config, Decoder, DecoderModel, Mlp, MlpModel


@dataclass(frozen=True, kw_only=True, slots=True)
class Dataset:
    """All data of one training.

    samples: the steps x batch samples that are trained on, in order; each step takes the next `batch`.
    held_out: one batch more, not trained on if `fresh`; else the first batch again, for want of data.
    """

    samples: Batch
    held_out: Batch
    anchors: Anchors
    fresh: bool = True


def stream(seed: int, purpose: str) -> np.random.Generator:
    """An independent random stream for one purpose, e.g. the order of samples.

    Streams of one seed share no numbers with each other, nor with the initial weights, whose names hold no
    colon.
    """
    key = tuple(f"data:{purpose}".encode())
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=key)))


def split(batch: Batch, parts: int) -> tuple[Batch, ...]:
    """Equal parts of a batch, in order, as views. `parts` must divide the number of samples."""
    size, rest = divmod(len(batch.sample_ids), parts)
    if rest:
        raise ValueError(f"{len(batch.sample_ids)} samples cannot be split into {parts} equal parts")
    return tuple(_slice(batch, slice(start, start + size)) for start in range(0, parts * size, size))


def next_token(tokens: Array, sample_ids: Array, lengths: Array, pad: int) -> Batch:
    """Inputs and targets of next-token prediction.

    Args:
        tokens: (N, L+1) int64, the texts.
        sample_ids: (N,) int64.
        lengths: (N,) int64, 1 to L real tokens of the inputs; each has one counted target.
        pad: the input id beyond the length; targets there are `IGNORE`.
    """
    beyond = np.arange(tokens.shape[1] - 1) >= lengths[:, None]
    inputs, targets = tokens[:, :-1].copy(), tokens[:, 1:].copy()
    inputs[beyond] = pad
    targets[beyond] = IGNORE
    return Batch(inputs=inputs, targets=targets, sample_ids=sample_ids, lengths=lengths)


def draw_lengths(config: Config, number: int, purpose: str) -> Array:
    """(number,) real tokens a sample: drawn evenly from `config.lengths`, or the whole sequence each."""
    if config.lengths is None:
        return np.full(number, config.sequence, np.int64)
    shortest, longest = config.lengths
    return stream(config.seed, f"{purpose} lengths").integers(shortest, longest, number, endpoint=True)


def generate(config: Config, make: Callable[[Array, str], Batch], anchors: Anchors) -> Dataset:
    """A data set of fresh samples, numbered through. make: from sample ids and a purpose that seeds them."""
    trained = config.steps * config.batch
    return Dataset(
        samples=make(np.arange(trained), "train"),
        held_out=make(np.arange(trained, trained + config.batch), "held-out"),
        anchors=anchors,
    )


def entropy(shares: Array) -> float:
    """Entropy of a distribution in nats; of counts, that of their shares."""
    positive = shares[shares > 0]
    total = positive.sum()
    return float(np.log(total) - (positive * np.log(positive)).sum() / total) + 0.0  # + 0.0: no negative zero


def refuse(case: Case, key: str, problem: str) -> HarnessError:
    """The one-line error for a case's data. key: which entry of the case file."""
    if isinstance(case.model, TransformersModel):
        problem = problem.replace("model.decoder.vocab", "model.transformers.config.vocab_size")
    return HarnessError(f"{case.path}: {key}: {problem}")


def decoder_of(case: Case, kind: str) -> Decoder:
    """The case's decoder.

    Raises:
        HarnessError: the model is another, or ragged lengths leave no id for padding.
    """
    if isinstance(case.model, TransformersModel):
        # Data ask for the size of the vocabulary only.
        vocab = int(case.model.transformers.config["vocab_size"])
        return Decoder(vocab=vocab, width=1, layers=1, heads=1)
    if not isinstance(case.model, DecoderModel):
        raise refuse(
            case, f"config.data.{kind}", "is a source of tokens, model is an mlp; expected a decoder"
        )
    decoder = case.model.decoder
    if case.config.lengths and decoder.vocab < 2:
        raise refuse(
            case, "config.lengths", "padding takes the last id, model.decoder.vocab is 1; expected >= 2"
        )
    return decoder


def mlp_of(case: Case, kind: str, task: str) -> Mlp:
    """The case's multi-layer perceptron.

    Raises:
        HarnessError: the model or its task is another, or ragged lengths are asked of samples that have none.
    """
    if not isinstance(case.model, MlpModel):
        raise refuse(case, f"config.data.{kind}", f"is made for {task}, model is a decoder; expected an mlp")
    if case.model.mlp.task != task:
        raise refuse(
            case,
            f"config.data.{kind}",
            f"is made for {task}, model.mlp.task is {case.model.mlp.task}; set it to {task}",
        )
    if case.config.lengths:
        raise refuse(case, "config.lengths", f"samples of {kind} have no length; remove it")
    return case.model.mlp


def _slice(batch: Batch, part: slice) -> Batch:
    return Batch(
        inputs=batch.inputs[part],
        targets=batch.targets[part],
        sample_ids=batch.sample_ids[part],
        lengths=batch.lengths[part],
    )
