"""The copy task: k random tokens, a separator, the same k tokens again; only the second copy counts.

With sequence = 2 k the inputs are the first 2 k of these 2 k + 1 tokens. A model that attends reaches loss 0;
one that does not stays at ln(V - 1), for the tokens themselves are uniform over all ids but the separator.
"""

from math import log

import numpy as np

from harness.data.common import Dataset, decoder_of, generate, next_token, refuse, stream
from harness.model import IGNORE, Anchors, Array, Batch
from harness.spec import Case, Copy


def load(case: Case, data: Copy) -> Dataset:
    """Fresh sequences for every step.

    Raises:
        HarnessError: an odd sequence, ragged lengths, a separator that is no token, or fewer than 3 tokens.
    """
    vocab, config = decoder_of(case, "copy").vocab, case.config
    _check(case, data, vocab)

    def make(ids: Array, purpose: str) -> Batch:
        generator = stream(config.seed, f"{purpose} samples")
        return _batch(ids, config.sequence // 2, vocab, data.separator, generator)

    return generate(config, make, Anchors(uniform=log(vocab), unigram=log(vocab - 1), floor=0.0))


def _check(case: Case, data: Copy, vocab: int) -> None:
    config = case.config
    if vocab < 3:
        raise refuse(
            case, "config.data.copy", f"model.decoder.vocab is {vocab}; expected >= 3, one is the separator"
        )
    if data.separator >= vocab:
        raise refuse(
            case,
            "config.data.copy.separator",
            f"{data.separator} is no token; expected < model.decoder.vocab ({vocab})",
        )
    if config.sequence % 2:
        raise refuse(
            case, "config.sequence", f"{config.sequence} is odd; copy needs an even one, for two halves"
        )
    if config.lengths:
        raise refuse(
            case, "config.lengths", "copy fills every sequence; remove lengths, or use markov or text"
        )


def _batch(ids: Array, half: int, vocab: int, separator: int, generator: np.random.Generator) -> Batch:
    tokens = generator.integers(0, vocab - 1, (len(ids), half))
    tokens += tokens >= separator  # skips the separator
    texts = np.concatenate([tokens, np.full((len(ids), 1), separator), tokens], axis=1)
    batch = next_token(texts, ids, np.full(len(ids), 2 * half), vocab - 1)
    batch.targets[:, :half] = IGNORE
    return batch
