import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from problems import (
    MARKOV_DATA,
    SAMPLE_DATA,
    TEACHER_DATA,
    arrays,
    build,
    decoder,
    kinds,
    mlp,
    write,
)

from harness import models, problem
from harness.model import IGNORE
from harness.problem import micro_batches
from harness.schedules import learning_rate
from harness.spec import (
    AdamW,
    AdamWOptimizer,
    Decoder,
    DecoderModel,
    Markov,
    MarkovData,
    Mlp,
    MlpModel,
    Schedule,
    Sgd,
    SgdOptimizer,
    TextData,
)


@kinds
def test_micro_batches_are_the_batch_in_order(data, model):
    batch = build(data, model, batch=6).batches[0]
    parts = micro_batches(batch, 3)
    assert [len(part.sample_ids) for part in parts] == [2, 2, 2]
    for whole, pieces in zip(arrays(batch), zip(*map(arrays, parts), strict=True), strict=True):
        np.testing.assert_array_equal(np.concatenate(pieces), whole)
        assert all(np.shares_memory(piece, whole) for piece in pieces)


def test_every_micro_batch_counts_something():
    for batch in build(MARKOV_DATA, lengths=(1, 2), batch=6).batches:
        assert all((part.targets != IGNORE).any(axis=1).all() for part in micro_batches(batch, 6))


def test_parts_that_do_not_divide_a_batch():
    with pytest.raises(ValueError, match="2 samples cannot be split into 3 equal parts"):
        micro_batches(build(MARKOV_DATA).batches[0], 3)


def test_initial_values_are_those_of_the_model_in_its_order():
    built = build(MARKOV_DATA, decoder(positions="learned"), seed=5)
    tensors = models.describe(built.model, 8)
    assert list(built.initial) == [tensor.name for tensor in tensors]
    assert len(built.initial) == len(tensors)
    for tensor in tensors:
        np.testing.assert_array_equal(built.initial[tensor.name], models.initial(tensor, 5))


def test_initial_values_are_the_caller_s_own():
    initial = build(MARKOV_DATA).initial
    expected = initial["embedding"].copy()
    for _ in range(2):
        initial["embedding"][:] = 7.0
    np.testing.assert_array_equal(initial["embedding"], expected)


def test_small_tensors_are_made_once_and_large_ones_are_not_kept(monkeypatch):
    made = []

    def counting(tensor, seed):
        made.append(tensor.name)
        return models.initial(tensor, seed)

    monkeypatch.setattr(problem, "initial", counting)
    monkeypatch.setattr(problem, "SMALL", 27 * 4 - 1)
    built = build(MARKOV_DATA)
    for _ in range(3):
        built.initial["embedding"]
        built.initial["final_norm.weight"]
    assert made.count("embedding") == 3
    assert made.count("final_norm.weight") == 1


def test_an_unknown_tensor():
    with pytest.raises(KeyError, match="nothing"):
        build(MARKOV_DATA).initial["nothing"]


def test_no_more_than_one_large_tensor_is_in_memory_for_the_digest():
    model = MlpModel(mlp=Mlp(inputs=400, hidden=(400, 400, 400), outputs=400))
    built = build(TEACHER_DATA, model, steps=1)
    one = 400 * 400 * 8
    tracemalloc.start()
    built.digest  # noqa: B018 - computed on access
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert one < peak < 1.5 * one


def test_the_digest_is_sixteen_bytes_and_the_same_for_the_same_case():
    digest = build(SAMPLE_DATA).digest
    assert len(bytes.fromhex(digest)) == 16
    assert digest == build(SAMPLE_DATA).digest


def test_the_digest_is_computed_once(monkeypatch):
    built = build(MARKOV_DATA)
    first = built.digest
    monkeypatch.setattr(problem, "_add", None)
    assert built.digest == built.facts.digest == first


CHANGES = {
    "seed": {"seed": 1},
    "steps": {"steps": 5},
    "batch": {"batch": 4},
    "sequence": {"sequence": 6},
    "micro_batches": {"micro_batches": 2},
    "clip_norm": {"clip_norm": 1.0},
    "learning_rate": {"optimizer": SgdOptimizer(sgd=Sgd(lr=0.2))},
    "optimizer": {"optimizer": AdamWOptimizer(adamw=AdamW(lr=0.1))},
    "schedule": {"schedule": Schedule(kind="cosine")},
    "lengths": {"lengths": (8, 8)},
    "model": {"model": decoder(activation="swiglu")},
    "model_without_a_tensor_changed": {"model": decoder(norm_eps=1e-6)},
    "data": {"data": MarkovData(markov=Markov(concentration=0.3, seed=1))},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_the_digest_changes_with_whatever_changes_the_training(change):
    assert build(MARKOV_DATA).digest != build(**{"data": MARKOV_DATA, **change}).digest


@pytest.mark.parametrize("change", [{"dtype": "float64"}, {"threads": 2}])
def test_the_digest_does_not_follow_how_the_numbers_are_computed(change):
    assert build(MARKOV_DATA).digest == build(MARKOV_DATA, **change).digest


def test_the_digest_follows_the_text_and_not_the_name_of_its_file(tmp_path):
    original = build(**write(tmp_path, "some text or other")).digest
    (tmp_path / "other.txt").write_text("some text or other")
    assert build(TextData(text="other.txt"), path=tmp_path / "case.yaml").digest == original
    assert build(**write(tmp_path, "tome text or other")).digest != original


@pytest.mark.parametrize("field", ["inputs", "targets", "sample_ids", "lengths"])
@pytest.mark.parametrize("where", ["first", "last", "held_out"])
def test_the_digest_sees_a_single_number_of_the_data(field, where):
    built, changed = build(TEACHER_DATA, mlp()), build(TEACHER_DATA, mlp())
    batch = {"first": changed.batches[0], "last": changed.batches[-1], "held_out": changed.held_out}[where]
    values = getattr(batch, field)
    values.flat[-1] = (
        np.nextafter(values.flat[-1], np.inf) if values.dtype == np.float64 else values.flat[-1] + 1
    )
    assert built.digest != changed.digest


@pytest.mark.parametrize("name", ["embedding", "final_norm.bias"])
def test_the_digest_sees_a_single_bit_of_a_weight(monkeypatch, name):
    def off_by_one_bit(tensor, seed):
        values = models.initial(tensor, seed)
        if tensor.name == name:
            values.flat[0] = np.nextafter(values.flat[0], np.inf)
        return values

    original = build(MARKOV_DATA).digest
    monkeypatch.setattr(problem, "initial", off_by_one_bit)
    assert build(MARKOV_DATA).digest != original


def test_the_digest_sees_a_tensor_that_changes_its_name_or_shape():
    built = build(MARKOV_DATA)
    renamed = replace(built.tensors[1], name="other")
    turned = replace(built.tensors[0], shape=built.tensors[0].shape[::-1])
    others = (
        replace(built, tensors=(built.tensors[0], renamed, *built.tensors[2:])),
        replace(built, tensors=(turned, *built.tensors[1:])),
    )
    assert len({built.digest, *(other.digest for other in others)}) == 3


def test_facts_of_the_smallest_reference_run():
    model = DecoderModel(
        decoder=Decoder(vocab=27, width=32, layers=1, heads=1, attention_output=False, final_norm=False)
    )
    schedule = Schedule(kind="linear", warmup=3, final=0.5)
    built = build(SAMPLE_DATA, model, steps=28, schedule=schedule)
    facts = built.facts
    assert (facts.parameters, facts.vocabulary, facts.steps) == (12_416, 27, 28)
    assert (facts.tokens_per_step, facts.samples_per_step) == (16.0, 2)
    assert facts.shapes == {tensor.name: tensor.shape for tensor in built.tensors}
    assert facts.anchors == built.anchors
    assert facts.digest == built.digest
    assert facts.learning_rates == tuple(learning_rate(schedule, 0.1, step, 28) for step in range(28))


def test_facts_of_a_perceptron():
    facts = build(TEACHER_DATA, mlp(), optimizer=AdamWOptimizer(adamw=AdamW(lr=0.25))).facts
    assert facts.vocabulary is None
    assert facts.parameters == 6 * 5 + 5 + 5 * 3 + 3
    assert facts.tokens_per_step == 2 * 3
    assert facts.learning_rates == (0.25,) * 4
