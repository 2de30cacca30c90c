from itertools import pairwise
from math import log

import numpy as np
import pytest
from problems import ALL_KINDS, MARKOV_DATA, assert_counts, build, decoder, error

from harness.data import common, markov
from harness.spec import Markov, MarkovData


def test_rows_of_the_chain_are_distributions_fixed_by_its_own_seed():
    matrix = markov.transitions(12, Markov(concentration=0.1, seed=3))
    np.testing.assert_allclose(matrix.sum(axis=1), 1.0, rtol=1e-14)
    assert matrix.min() >= 0
    np.testing.assert_array_equal(matrix, markov.transitions(12, Markov(concentration=0.1, seed=3)))
    assert not np.array_equal(matrix, markov.transitions(12, Markov(concentration=0.1, seed=4)))


def test_the_chain_does_not_follow_the_seed_of_the_training():
    assert build(MARKOV_DATA, seed=0).anchors == build(MARKOV_DATA, seed=1).anchors
    other = MarkovData(markov=Markov(concentration=0.3, seed=1))
    assert build(MARKOV_DATA).anchors.floor != build(other).anchors.floor


def test_a_higher_concentration_gives_more_even_rows():
    floors = [build(MarkovData(markov=Markov(concentration=c))).anchors.floor for c in (0.01, 0.1, 1, 100)]
    assert floors == sorted(floors)
    assert floors[-1] == pytest.approx(log(27), rel=0.01)


def test_stationary_distribution_agrees_with_the_eigenvector():
    matrix = markov.transitions(20, Markov(concentration=0.5))
    values, vectors = np.linalg.eig(matrix.T)
    vector = np.real(vectors[:, np.argmin(np.abs(values - 1))])
    np.testing.assert_allclose(markov.stationary(matrix), vector / vector.sum(), rtol=1e-10)


def test_stationary_distribution_of_two_tokens_by_hand():
    np.testing.assert_allclose(
        markov.stationary(np.array([[0.9, 0.1], [0.3, 0.7]])), [0.75, 0.25], rtol=1e-15
    )
    nearly_closed = np.array([[1 - 1e-12, 1e-12], [3e-12, 1 - 3e-12]])
    np.testing.assert_allclose(markov.stationary(nearly_closed), [0.75, 0.25], rtol=1e-12)


@pytest.mark.parametrize(
    "matrix",
    [
        [[1.0]],
        [[1.0, 0.0], [0.5, 0.5]],
        [[0.5, 0.5], [0.0, 1.0]],
        [[1.0, 0.0], [0.0, 1.0]],
        [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]],
        [[0.5, 0.5, 0.0, 0.0], [0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 0.1, 0.9], [0.0, 0.0, 0.3, 0.7]],
        [[1 - 1e-300, 1e-300], [1.0, 0.0]],
        [[0.0, 1.0], [1e-300, 1 - 1e-300]],
    ],
)
def test_stationary_distribution_of_chains_that_are_not_irreducible(matrix):
    matrix = np.array(matrix)
    shares = markov.stationary(matrix)
    assert shares.sum() == pytest.approx(1.0, rel=1e-15)
    assert shares.min() >= 0
    np.testing.assert_allclose(shares @ matrix, shares, atol=1e-15)


@pytest.mark.parametrize("concentration", [1e-300, 1e-10, 1e-3, 0.01, 0.1, 1.0, 1e6])
def test_chains_of_any_concentration_have_finite_entropies(concentration):
    matrix = markov.transitions(40, Markov(concentration=concentration))
    shares = markov.stationary(matrix)
    np.testing.assert_allclose(shares @ matrix, shares, atol=1e-14)
    assert -1e-12 <= markov.entropy_rate(matrix, shares) <= common.entropy(shares) + 1e-12 <= log(40) + 2e-12


def test_entropies_agree_with_their_definition():
    matrix, built = markov.transitions(27, MARKOV_DATA.markov), build(MARKOV_DATA)
    shares = np.linalg.matrix_power(matrix, 4096)[0]
    unigram = -sum(share * log(share) for share in shares)
    rate = -sum(shares[i] * p * log(p) for i in range(27) for p in matrix[i] if p > 0)
    assert built.anchors.unigram == pytest.approx(unigram, rel=1e-9)
    assert built.anchors.floor == pytest.approx(rate, rel=1e-9)
    assert built.anchors.uniform == log(27)


def test_samples_have_the_stated_entropies():
    built = build(MARKOV_DATA, decoder(8), steps=40, batch=100, sequence=16)
    pairs = np.concatenate([np.stack([b.inputs.ravel(), b.targets.ravel()], 1) for b in built.batches])
    joint = np.bincount(pairs[:, 0] * 8 + pairs[:, 1], minlength=64)
    first, second = joint.reshape(8, 8).sum(axis=1), joint.reshape(8, 8).sum(axis=0)
    # 64,000 pairs: standard error of either about 0.004, bias of the joint 64 / 128,000.
    assert common.entropy(second) == pytest.approx(built.anchors.unigram, abs=0.015)
    assert common.entropy(joint) - common.entropy(first) == pytest.approx(built.anchors.floor, abs=0.015)
    # The same at every place of a sequence: the chain starts in its stationary distribution.
    starts = np.concatenate([batch.inputs[:, 0] for batch in built.batches])
    shares = markov.stationary(markov.transitions(8, MARKOV_DATA.markov))
    assert_counts(np.bincount(starts, minlength=8), shares)


def test_successors_follow_the_rows_and_impossible_ones_never_appear():
    matrix = np.array(
        [[0.0, 0.25, 0.75, 0.0], [1.0, 0.0, 0.0, 0.0], [0.2, 0.2, 0.6, 0.0], [0.0, 0.0, 0.0, 1.0]]
    )
    shares = np.array([0.4, 0.3, 0.3, 0.0])
    tokens = markov.sample(matrix, shares, (5000, 9), np.random.default_rng(0))
    for token in range(3):
        after = tokens[:, 1:][tokens[:, :-1] == token]
        assert_counts(np.bincount(after, minlength=4), matrix[token])
    assert_counts(np.bincount(tokens[:, 0], minlength=4), shares)


def test_targets_are_the_next_inputs():
    for name in ("markov", "text"):
        for batch in build(*ALL_KINDS[name]).batches:
            np.testing.assert_array_equal(batch.inputs[:, 1:], batch.targets[:, :-1])


def test_extreme_uniform_numbers_still_give_possible_tokens():
    class Extreme:
        def random(self, shape):
            return np.full(shape, np.nextafter(1.0, 0.0))

    matrix = markov.transitions(1000, Markov(concentration=1.0))
    matrix[:, -1] = 0.0
    matrix /= matrix.sum(axis=1, keepdims=True)
    tokens = markov.sample(matrix, matrix[0], (3, 5), Extreme())
    assert tokens.max() <= 998
    assert all(matrix[one, other] > 0 for row in tokens for one, other in pairwise(row))


def test_a_vocabulary_too_large_for_a_chain():
    assert error(MARKOV_DATA, decoder(2000)) == (
        "config.data.markov: model.decoder.vocab is 2000; expected <= 1024, or use text"
    )
