"""A first-order Markov chain; the rows of its transition matrix P are Dirichlet(concentration).

Sequences start in the stationary distribution p, so every token is distributed as p, every pair as p_i P_ij.
H0 = -sum p_i ln p_i and H1 = -sum p_i P_ij ln P_ij are therefore exact at every position (Cover and Thomas,
Elements of Information Theory, 2006, section 4.2).
"""

from math import log

import numpy as np

from harness.data.common import (
    Dataset,
    decoder_of,
    draw_lengths,
    entropy,
    generate,
    next_token,
    refuse,
    stream,
)
from harness.model import Anchors, Array, Batch, Float64
from harness.spec import Case, Markov

MOST_TOKENS = 1024
"""The matrix has the square of the vocabulary; beyond this its stationary distribution takes seconds."""
NEARLY_ONE = 1.0 - 2.0**-40
"""Keeps row + u below row + 1 after rounding, for up to `MOST_TOKENS` rows."""

NEVER = 2.0**-52
"""A class of tokens that is left less often than this is closed."""


def load(case: Case, data: Markov) -> Dataset:
    """Fresh sequences for every step.

    Raises:
        HarnessError: the vocabulary is too large for a transition matrix.
    """
    decoder, config = decoder_of(case, "markov"), case.config
    if decoder.vocab > MOST_TOKENS:
        raise refuse(
            case,
            "config.data.markov",
            f"model.decoder.vocab is {decoder.vocab}; expected <= {MOST_TOKENS}, or use text",
        )
    matrix = transitions(decoder.vocab, data)
    shares = stationary(matrix)

    def make(ids: Array, purpose: str) -> Batch:
        generator = stream(config.seed, f"{purpose} samples")
        tokens = sample(matrix, shares, (len(ids), config.sequence + 1), generator)
        return next_token(tokens, ids, draw_lengths(config, len(ids), purpose), decoder.vocab - 1)

    anchors = Anchors(uniform=log(decoder.vocab), unigram=entropy(shares), floor=entropy_rate(matrix, shares))
    return generate(config, make, anchors)


def transitions(vocab: int, data: Markov) -> Float64:
    """(V, V) transition matrix: row i is the distribution of the token after i."""
    matrix = stream(data.seed, "markov").dirichlet(np.full(vocab, data.concentration), size=vocab)
    return np.asarray(matrix / matrix.sum(axis=1, keepdims=True))


def stationary(matrix: Float64) -> Float64:
    """(V,) distribution p with p P = p, to rounding.

    State reduction (Grassmann, Taksar and Heyman, 1985). It subtracts nothing, so it holds for nearly
    reducible chains, which a small concentration gives and where a linear solve does not. Of several closed
    classes it takes one.
    """
    reduced, root = matrix.copy(), 0
    for state in range(len(matrix) - 1, 0, -1):
        leaving = reduced[state, :state].sum()
        if leaving < NEVER:  # the states from here on are closed: p is 0 before them
            root = state
            break
        reduced[:state, state] /= leaving
        reduced[:state, :state] += np.outer(reduced[:state, state], reduced[state, :state])
    shares = np.zeros(len(matrix))
    shares[root] = 1.0
    for state in range(root + 1, len(matrix)):
        shares[state] = shares[root:state] @ reduced[root:state, state]
        shares /= shares.sum()  # at each turn, for the entries' range can exceed that of float64
    return shares


def entropy_rate(matrix: Float64, shares: Float64) -> float:
    """H1 in nats a token: the mean entropy of the rows, each as often as its token."""
    return float(sum(share * entropy(row) for share, row in zip(shares, matrix, strict=True)))


def sample(matrix: Float64, shares: Float64, shape: tuple[int, int], generator: np.random.Generator) -> Array:
    """Int64 tokens, a sequence a row, by inverse distribution functions; all sequences advance together."""
    uniform = np.minimum(generator.random(shape), NEARLY_ONE)
    # Row i's distribution function lies in [i, i + 1], so one sorted array serves all of them.
    functions = (_distribution_function(matrix) + np.arange(len(matrix))[:, None]).ravel()
    tokens = np.empty(shape, np.int64)
    tokens[:, 0] = np.searchsorted(_distribution_function(shares), uniform[:, 0], side="right")
    for place in range(1, shape[1]):
        before = tokens[:, place - 1]
        found = np.searchsorted(functions, before + uniform[:, place], side="right")
        tokens[:, place] = found - before * len(matrix)
    return tokens


def _distribution_function(shares: Float64) -> Float64:
    sums: Float64 = np.cumsum(shares, axis=-1)
    return sums / sums[..., -1:]  # ends at exactly 1
