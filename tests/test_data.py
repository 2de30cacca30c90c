from math import log

import numpy as np
import pytest
from problems import (
    ALL_KINDS,
    CLUSTERS_DATA,
    COPY_DATA,
    MARKOV_DATA,
    SAMPLE_DATA,
    TEACHER_DATA,
    arrays,
    assert_counts,
    build,
    decoder,
    error,
    ids,
    kinds,
    make_case,
    mlp,
)

from harness.data import clusters, teacher
from harness.model import IGNORE
from harness.spec import Clusters, ClustersData, Copy, CopyData, DecoderModel, Teacher, TeacherData


@kinds
def test_batches_have_the_promised_number_shapes_and_types(data, model):
    built = build(data, model, steps=3, batch=4)
    assert len(built.batches) == 3
    for batch in (*built.batches, built.held_out):
        assert batch.sample_ids.shape == batch.lengths.shape == (4,)
        assert batch.sample_ids.dtype == batch.lengths.dtype == np.int64
        if isinstance(model, DecoderModel):
            assert batch.inputs.shape == batch.targets.shape == (4, 8)
            assert batch.inputs.dtype == batch.targets.dtype == np.int64
            assert 0 <= batch.inputs.min() <= batch.inputs.max() < 27
        else:
            assert batch.inputs.shape == (4, 6)
            assert batch.inputs.dtype == np.float64
            assert batch.targets.shape == ((4, 3) if model.mlp.task == "regression" else (4,))


@kinds
def test_building_twice_gives_the_same_numbers(data, model):
    first, second = build(data, model), build(data, model)
    for one, other in zip((*first.batches, first.held_out), (*second.batches, second.held_out), strict=True):
        for mine, theirs in zip(arrays(one), arrays(other), strict=True):
            np.testing.assert_array_equal(mine, theirs)


@kinds
def test_more_steps_leave_the_first_batches_and_held_out_inputs_as_they_are(data, model):
    short, long = build(data, model, steps=4), build(data, model, steps=8)
    for one, other in zip(short.batches, long.batches, strict=False):
        for mine, theirs in zip(arrays(one), arrays(other), strict=True):
            np.testing.assert_array_equal(mine, theirs)
    np.testing.assert_array_equal(short.held_out.inputs, long.held_out.inputs)


@kinds
def test_another_seed_gives_other_batches(data, model):
    first, second = build(data, model, seed=0), build(data, model, seed=1)
    assert not np.array_equal(first.batches[0].inputs, second.batches[0].inputs)


@pytest.mark.parametrize("name", ["markov", "copy", "teacher", "clusters"])
def test_generated_samples_are_numbered_and_held_out_ones_are_new(name):
    built = build(*ALL_KINDS[name], steps=3, batch=4)
    assert ids(built.batches) == list(range(12))
    assert ids([built.held_out]) == [12, 13, 14, 15]
    assert built.held_out_fresh
    assert not np.array_equal(built.held_out.inputs, built.batches[0].inputs)


# Copy


@pytest.mark.parametrize("separator", [0, 3, 6])
def test_copy_shows_tokens_separator_and_tokens_and_counts_the_second_copy(separator):
    built = build(CopyData(copy=Copy(separator=separator)), decoder(7), sequence=10, batch=50)
    for batch in built.batches:
        assert (batch.inputs[:, 5] == separator).all()
        np.testing.assert_array_equal(batch.inputs[:, 6:], batch.inputs[:, :4])
        np.testing.assert_array_equal(batch.targets[:, 5:], batch.inputs[:, :5])
        assert (batch.targets[:, :5] == IGNORE).all()
    drawn = np.concatenate([batch.inputs[:, :5].ravel() for batch in built.batches])
    shares = np.full(7, 1 / 6)
    shares[separator] = 0.0
    assert_counts(np.bincount(drawn, minlength=7), shares)


def test_copy_counts_half_the_tokens_and_knows_its_anchors():
    built = build(COPY_DATA, decoder(9))
    assert built.tokens_per_step == 2 * 4
    assert (built.anchors.uniform, built.anchors.unigram, built.anchors.floor) == (log(9), log(8), 0.0)


def test_what_copy_cannot_be():
    assert error(COPY_DATA, sequence=7) == "config.sequence: 7 is odd; copy needs an even one, for two halves"
    assert error(COPY_DATA, lengths=(2, 4)) == (
        "config.lengths: copy fills every sequence; remove lengths, or use markov or text"
    )
    assert error(CopyData(copy=Copy(separator=27))) == (
        "config.data.copy.separator: 27 is no token; expected < model.decoder.vocab (27)"
    )
    assert error(COPY_DATA, decoder(2)) == (
        "config.data.copy: model.decoder.vocab is 2; expected >= 3, one is the separator"
    )


# Teacher and clusters


def test_targets_of_the_teacher_have_the_stated_variance_and_noise():
    data = TeacherData(teacher=Teacher(noise=0.5, seed=2))
    built = build(data, mlp(), steps=10, batch=2000)
    inputs = np.concatenate([batch.inputs for batch in built.batches])
    targets = np.concatenate([batch.targets for batch in built.batches])
    first, second = teacher.teacher(6, 3, 2)
    clean = np.tanh(inputs @ first.T) @ second.T
    assert (built.anchors.uniform, built.anchors.unigram, built.anchors.floor) == (None, 1.25, 0.25)
    np.testing.assert_allclose(inputs.var(axis=0), 1.0, atol=0.06)
    np.testing.assert_allclose(targets.mean(axis=0), 0.0, atol=0.05)
    np.testing.assert_allclose(clean.var(axis=0), 1.0, atol=0.06)
    np.testing.assert_allclose(targets.var(axis=0), 1.25, atol=0.08)
    np.testing.assert_allclose((targets - clean).var(axis=0), 0.25, atol=0.015)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_every_output_of_the_teacher_has_variance_one_by_integration(seed):
    first, second = teacher.teacher(2, 3, seed)
    axis = np.linspace(-9, 9, 181)
    density = np.exp(-(axis**2) / 2) / np.sqrt(2 * np.pi) * (axis[1] - axis[0])
    plane = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1)
    outputs = np.tanh(plane @ first.T) @ second.T
    variance = np.einsum("ijo,i,j->o", outputs**2, density, density)
    np.testing.assert_allclose(variance, 1.0, rtol=1e-6)


def test_covariance_of_tanh_of_equal_independent_and_opposed_arguments():
    found = teacher.covariance(np.array([[1.0, 0.0, -1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 1.0]]))
    axis = np.linspace(-12, 12, 20_001)
    square = np.trapezoid(np.tanh(axis) ** 2 * np.exp(-(axis**2) / 2) / np.sqrt(2 * np.pi), axis)
    np.testing.assert_allclose(found, square * np.array([[1, 0, -1], [0, 1, 0], [-1, 0, 1]]), atol=1e-7)


def test_without_noise_the_teacher_is_exact_and_one_input_suffices():
    built = build(TeacherData(teacher=Teacher(noise=0.0)), mlp(inputs=1, outputs=1))
    first, second = teacher.teacher(1, 1, 0)
    batch = built.batches[0]
    np.testing.assert_allclose(batch.targets, np.tanh(batch.inputs @ first.T) @ second.T, rtol=1e-14)
    assert built.anchors.floor == 0.0
    assert built.tokens_per_step == 2.0


def test_clusters_lie_around_their_centres_and_classes_are_even():
    data = ClustersData(clusters=Clusters(spread=0.3, seed=1))
    built = build(data, mlp(outputs=4, task="classification"), steps=10, batch=800)
    inputs = np.concatenate([batch.inputs for batch in built.batches])
    classes = np.concatenate([batch.targets for batch in built.batches])
    assert_counts(np.bincount(classes, minlength=4), np.full(4, 0.25))
    for number in range(4):
        members = inputs[classes == number]
        np.testing.assert_allclose(members.std(axis=0), 0.3, rtol=0.1)
        held_out = built.held_out.inputs[built.held_out.targets == number]
        np.testing.assert_allclose(members.mean(axis=0), held_out.mean(axis=0), atol=0.15)
    assert (built.anchors.uniform, built.anchors.unigram, built.anchors.floor) == (log(4), log(4), None)
    assert built.tokens_per_step == 800


def test_centres_have_unit_variance():
    case = make_case(ClustersData(clusters=Clusters(spread=1e-9)), mlp(500, 10, "classification"), batch=200)
    inputs = clusters.load(case, case.config.data.clusters).samples.inputs
    assert np.unique(inputs.round(6), axis=0).var() == pytest.approx(1.0, abs=0.1)


def test_a_model_that_does_not_suit_the_data():
    assert (
        error(TEACHER_DATA)
        == "config.data.teacher: is made for regression, model is a decoder; expected an mlp"
    )
    assert error(CLUSTERS_DATA, mlp()) == (
        "config.data.clusters: is made for classification, model.mlp.task is regression; "
        "set it to classification"
    )
    assert error(MARKOV_DATA, mlp()) == (
        "config.data.markov: is a source of tokens, model is an mlp; expected a decoder"
    )
    assert error(SAMPLE_DATA, mlp()).startswith("config.data.text: is a source of tokens")
    assert error(CLUSTERS_DATA, mlp(outputs=1, task="classification")) == (
        "config.data.clusters: model.mlp.outputs is 1; expected >= 2 classes"
    )


# Ragged lengths


@pytest.mark.parametrize("name", ["text", "markov"])
def test_ragged_samples_are_padded_with_the_last_id_and_ignored_beyond_their_length(name):
    ragged, whole = (build(*ALL_KINDS[name], steps=14, lengths=lengths) for lengths in ((1, 6), None))
    for one, other in zip((*ragged.batches, ragged.held_out), (*whole.batches, whole.held_out), strict=True):
        for row, length in enumerate(one.lengths):
            assert 1 <= length <= 6
            np.testing.assert_array_equal(one.inputs[row, :length], other.inputs[row, :length])
            np.testing.assert_array_equal(one.targets[row, :length], other.targets[row, :length])
            assert (one.inputs[row, length:] == 26).all()
            assert (one.targets[row, length:] == IGNORE).all()
    assert ragged.tokens_per_step == np.mean([batch.lengths.sum() for batch in ragged.batches])


def test_lengths_are_drawn_evenly():
    built = build(MARKOV_DATA, steps=10, batch=600, lengths=(3, 8))
    counts = np.bincount(np.concatenate([batch.lengths for batch in built.batches]), minlength=9)
    assert_counts(counts, np.array([0, 0, 0, *[1 / 6] * 6]))


def test_without_lengths_every_sample_fills_the_sequence():
    built = build(MARKOV_DATA)
    assert all((batch.lengths == 8).all() for batch in built.batches)
    assert built.tokens_per_step == 16.0


def test_lengths_where_they_make_no_sense():
    assert error(TEACHER_DATA, mlp(), lengths=(1, 2)) == (
        "config.lengths: samples of teacher have no length; remove it"
    )
    assert error(MARKOV_DATA, decoder(1), lengths=(1, 2)) == (
        "config.lengths: padding takes the last id, model.decoder.vocab is 1; expected >= 2"
    )
