"""Dropout acts on residual updates in training alone, from one seed, and leaves the rest as it was."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from harness.backends.numpy_float64 import NumpyFloat64, NumpyTrainer
from harness.backends.torch_eager import TorchEager
from harness.cases import load_cases
from harness.documents import parse
from harness.models.decoder_torch import TorchDecoder
from harness.passes import digest
from harness.problem import _canonical
from harness.spec import Decoder, DecoderModel, Mlp, MlpModel
from harness.testing import sample_case, sample_problem
from harness.validation import validate

PLAIN = Decoder(vocab=11, width=16, layers=1, heads=2, hidden=24)
DROPPING = replace(PLAIN, dropout=0.25)
CASE = Path(__file__).parents[1] / "cases" / "markov-gpt-dropout.yaml"


def problem(spec=DROPPING, **config):
    return sample_problem(DecoderModel(decoder=spec), **config)


def trainer(spec=DROPPING, **config):
    found = problem(spec, **config)
    TorchEager().configure(found.config)
    return TorchEager().build(found)


def story(made, batches=None):
    batches = problem().batches if batches is None else batches
    return [made.step(batch) for batch in batches], digest(made)


# the option


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("1", "decoder.dropout: expected < 1, got 1"),
        ("-0.1", "decoder.dropout: expected >= 0, got -0.1"),
        (".nan", "decoder.dropout: expected a finite number"),
        ("half", "decoder.dropout: expected a number, got 'half'"),
    ],
)
def test_a_share_that_cannot_be_is_refused(value, message):
    node = parse(f"{{vocab: 3, width: 2, layers: 1, heads: 1, dropout: {value}}}", Path("x.yaml"))
    made, mistakes = validate(Decoder, node, "decoder")
    assert made is None
    assert message in "; ".join(map(str, mistakes))


def test_a_problem_without_dropout_keeps_its_digest():
    # What is hashed is what it was before the option came: no word of it.
    assert b"dropout" not in _canonical(DecoderModel(decoder=PLAIN), problem(PLAIN).config)
    assert b'"dropout":0.25' in _canonical(DecoderModel(decoder=DROPPING), problem().config)
    assert problem(PLAIN).digest == problem(replace(PLAIN, dropout=0.0)).digest
    assert problem().digest != problem(PLAIN).digest


# the model


def test_training_drops_the_share_and_scales_the_rest():
    model, shape = TorchDecoder(DROPPING, 8), (200, 50, 16)
    torch.manual_seed(0)
    found = model.residual(torch.full(shape, 5.0), torch.ones(shape)) - 5.0
    kept = found != 0
    assert found[kept].numpy() == pytest.approx(1 / 0.75, rel=1e-6)
    # 160,000 draws: five standard errors are 0.0054.
    assert float((~kept).double().mean()) == pytest.approx(0.25, abs=0.0054)


def test_evaluation_drops_nothing():
    model, x, update = TorchDecoder(DROPPING, 8), torch.rand(2, 3, 16), torch.rand(2, 3, 16)
    model.training = False
    before = torch.get_rng_state()
    assert torch.equal(model.residual(x, update), x + update)
    assert torch.equal(torch.get_rng_state(), before), "and draws nothing"


def test_without_dropout_training_draws_nothing():
    model, x, update = TorchDecoder(PLAIN, 8), torch.rand(2, 3, 16), torch.rand(2, 3, 16)
    before = torch.get_rng_state()
    assert model.training
    assert torch.equal(model.residual(x, update), x + update)
    assert torch.equal(torch.get_rng_state(), before)


def test_evaluation_with_dropout_is_the_model_without():
    inputs = problem().held_out.inputs
    dropping, plain = trainer(), trainer(PLAIN)
    assert not np.array_equal(dropping.logits(inputs), plain.logits(inputs))
    dropping.train(False)
    assert np.array_equal(dropping.logits(inputs), plain.logits(inputs))
    assert np.array_equal(dropping.infer(inputs), plain.logits(inputs))
    dropping.train()
    assert not np.array_equal(dropping.logits(inputs), dropping.logits(inputs))


# the training


def test_fresh_trainers_draw_the_same_masks():
    first = story(trainer())
    torch.rand(1000)  # whatever was drawn before
    assert story(trainer()) == first
    assert story(trainer(PLAIN))[0] != first[0]
    assert story(trainer(seed=1), problem(seed=1).batches)[0] != first[0]


def test_a_state_holds_the_masks_to_come():
    batches, made = problem().batches, trainer()
    story(made, batches[:3])
    state = made.state()
    rest = story(made, batches[3:])
    other = trainer()
    other.restore(state)
    assert story(other, batches[3:]) == rest
    made.restore(state)
    assert story(made, batches[3:]) == rest


def test_gradients_are_those_of_the_next_step_and_use_up_no_masks():
    asked, bare = trainer(clip_norm=None), trainer(clip_norm=None)
    seen = []

    class Watch:
        def gradients_ready(self):
            seen.append([array.copy() for array in asked.gradient_arrays()])

        def gradients_clipped(self):
            pass

        def updated(self, rate):
            pass

    batches = problem().batches
    state = asked.state()  # asking must not depend on who built a trainer last
    expected = asked.gradients(batches[0])
    again = asked.gradients(batches[0])
    losses = [asked.step(batches[0], Watch())]
    for array, name in zip(seen[0], asked.names, strict=True):
        assert np.array_equal(array, expected[name].ravel()), name
        assert np.array_equal(expected[name], again[name])
    bare.restore(state)
    assert losses == [bare.step(batches[0])]


def test_the_mode_of_the_trainer_is_that_of_the_model():
    made = trainer()
    assert made.training
    assert made.model.training
    made.train(False)
    assert not made.training
    assert not made.model.training
    made.train()
    assert made.model.training


# the other backends


def test_the_reference_says_why_it_cannot():
    why = "draws no random masks, model.decoder.dropout is 0.25; expected 0"
    assert NumpyFloat64().unsupported(sample_case(DecoderModel(decoder=DROPPING))) == why
    assert NumpyFloat64().unsupported(sample_case(DecoderModel(decoder=PLAIN))) == ""
    assert NumpyFloat64().unsupported(sample_case(MlpModel(mlp=Mlp(inputs=2, hidden=(2,), outputs=1)))) == ""
    assert TorchEager().unsupported(sample_case(DecoderModel(decoder=DROPPING))) == ""


def test_evaluation_is_that_of_the_reference():
    made, reference = trainer(dtype="float64"), NumpyTrainer(problem())
    made.train(False)
    assert made.loss(problem().held_out) == pytest.approx(reference.loss(problem().held_out), rel=1e-12)


def test_the_shipped_case_has_dropout_and_no_reference():
    (case,) = load_cases([CASE]).cases
    assert case.model.decoder.dropout == 0.1
    assert case.backends == ("torch_eager",)
    assert "matches_reference" not in case.expect
    assert {"evaluation", "trains_in_training_mode", "resume"} <= set(case.expect)
