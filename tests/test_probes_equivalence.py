"""Probes of equivalence: what a healthy training answers and what sick ones do; that none is touched."""

from dataclasses import replace
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from asking import CLASSES, NUMBERS, ask, backends, both_models, context_of, overriding, why_not

from harness.discover import get
from harness.model import IGNORE
from harness.passes import digest
from harness.probes._fresh import fresh, load_drawn, other, relative, steady, varies
from harness.problem import micro_batches
from harness.spec import Copy, CopyData
from harness.testing import sample_problem

PROBES = ("influence", "isolation", "accumulation", "fresh_gradients", "padding", "alignment")
DEVIATIONS = 1e-4


@cache
def full():
    """The sample problem with no padding."""
    return sample_problem(lengths=None)


# influence


@backends
def test_influence_goes_forward_only(backend):
    found = ask("influence", backend)
    assert found["future"] <= 1e-6
    assert found["first_leak"] is None
    assert found["past"] > 0.1
    assert found["own"] > 0.1
    assert 0.1 < found["scale"] < 10


@pytest.mark.parametrize("settings", [CLASSES, NUMBERS, {"sequence": 1, "lengths": None}])
def test_influence_needs_positions(settings):
    assert why_not("influence", **settings) in ("samples have no positions", "a sample has a single position")


def test_influence_is_exact_where_it_is_known():
    # Logits 3 onehot(x_t) + 2 onehot(x_(t-1)) + onehot(x_(t-3)): a changed token moves them by just as much.
    problem = sample_problem(lengths=None)

    def logits(_trainer, _old, inputs):
        hot = np.eye(11)[inputs]
        found = 3 * hot
        found[:, 1:] += 2 * hot[:, :-1]
        found[:, 3:] += hot[:, :-3]
        return found

    found = ask("influence", spoil=overriding(logits=logits), problem=problem)
    deviation = np.std(logits(None, None, problem.batches[0].inputs))
    assert found["own"] == pytest.approx(3 / deviation)
    assert found["past"] == pytest.approx(2 / deviation)
    assert (found["future"], found["first_leak"]) == (0, None)


@backends
def test_influence_sees_that_there_is_no_mask(backend):
    def spoil(trainer):
        trainer.model.causal = False

    found = ask("influence", backend, spoil)
    assert found["future"] > 0.1
    assert found["first_leak"]["changed"] == 1
    assert found["first_leak"]["position"] == 0
    assert DEVIATIONS < found["first_leak"]["change"] <= found["future"]


def masked(mask):
    """Attention in torch with another mask; mask (L, L) is true where it may look."""

    def spoil(trainer):
        def mix(query, key, value):
            seen = mask(torch.ones(query.shape[2], query.shape[2], dtype=torch.bool))
            return torch.nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=seen)

        trainer.model.mix = mix

    return spoil


def test_influence_sees_a_mask_that_is_off_by_one():
    found = ask("influence", "torch_eager", masked(lambda ones: ones.tril(1)))
    assert found["future"] > 0.01
    assert (found["first_leak"]["changed"], found["first_leak"]["position"]) == (1, 0)
    assert found["past"] > 0.01


def test_influence_sees_an_inverted_mask():
    found = ask("influence", "torch_eager", masked(lambda ones: ones.triu()))
    assert found["future"] > 0.01
    assert found["past"] == 0


@pytest.mark.parametrize(("to", "source"), [(0, 7), (2, 5), (6, 7)])
def test_influence_sees_a_single_leak_at_any_distance(to, source):
    def logits(_trainer, old, inputs):
        found = old(inputs)
        found[:, to] += 0.01 * inputs[:, source, None]
        return found

    found = ask("influence", spoil=overriding(logits=logits))
    assert (found["first_leak"]["changed"], found["first_leak"]["position"]) == (source, to)
    assert 0.001 < found["future"] < 1


@backends
def test_influence_sees_attention_that_mixes_nothing(backend):
    def spoil(trainer):
        numpy = backend == "numpy_float64"
        trainer.model.mix = lambda _query, _key, value: (value, None) if numpy else value

    found = ask("influence", backend, spoil)
    assert (found["past"], found["future"]) == (0, 0)
    assert found["own"] > 0.1


def test_influence_is_zero_where_logits_are_constant_and_nan_where_they_are():
    constant = overriding(logits=lambda _trainer, _old, inputs: np.zeros((*inputs.shape, 11)))
    found = ask("influence", spoil=constant)
    assert [found[name] for name in ("future", "past", "own")] == [0, 0, 0]
    broken = overriding(logits=lambda _trainer, _old, inputs: np.full((*inputs.shape, 11), np.nan))
    found = ask("influence", spoil=broken)
    assert np.isnan([found[name] for name in ("future", "past", "own")]).all()
    assert found["first_leak"] is None


def test_influence_does_not_depend_on_the_starting_weights():
    def spoil(trainer):
        trainer.load({name: np.zeros_like(values) for name, values in trainer.parameters().items()})

    assert ask("influence", spoil=spoil) == ask("influence")


def test_influence_looks_at_some_positions_of_a_long_sequence():
    found = []
    spoil = overriding(logits=lambda _trainer, old, inputs: found.append(inputs) or old(inputs))
    ask("influence", spoil=spoil, sequence=64, lengths=None)
    first = found[-9:][0]
    changed = [set(np.flatnonzero((inputs != first).any(axis=0))) for inputs in found[-8:]]
    assert changed == [{0}, {9}, {18}, {27}, {36}, {45}, {54}, {63}]
    assert all((inputs != first).sum() == len(first) for inputs in found[-8:])


# random numbers in the forward pass


def dropout(trainer, *, always=True):
    """Logits with dropout, from torch's generator; in training mode only, or always."""
    original = trainer.logits

    def logits(inputs):
        found = torch.from_numpy(original(inputs))
        return torch.nn.functional.dropout(found, 0.5, training=always or trainer.training).numpy()

    trainer.logits = logits


def test_dropout_is_no_leak_even_in_evaluation_mode():
    found = ask("influence", "torch_eager", dropout)
    assert found["future"] == 0
    assert found["first_leak"] is None
    assert found["past"] > 0.1


def test_dropout_is_turned_off_where_samples_are_compared():
    def spoil(trainer):
        dropout(trainer, always=False)

    found = ask("isolation", "torch_eager", spoil)
    assert max(found.values()) <= 1e-6
    assert ask("accumulation", "torch_eager", spoil)["error"] < 1e-6
    assert (
        max(ask("padding", "torch_eager", spoil)[name] for name in ("loss_change", "gradient_change")) < 1e-6
    )
    assert ask("alignment", "torch_eager", spoil)["loss_shift"] == 0


@pytest.mark.parametrize("probe", PROBES)
def test_a_model_with_dropout_answers_as_one_without(probe):
    model = sample_problem().model
    with_dropout = replace(model, decoder=replace(model.decoder, dropout=0.3))
    assert set(ask(probe, "torch_eager", model=with_dropout)) == set(ask(probe, "torch_eager"))
    for name, value in ask(probe, "torch_eager", model=with_dropout).items():
        expected = ask(probe, "torch_eager")[name]
        if name in ("future", "first_leak", "counted", "best", "loss_shift"):
            assert value == expected
        if name in ("error", "other_sample", "permuted_logits", "permuted_loss", "loss_change"):
            assert np.max(value) < 1e-6


def test_dropout_in_evaluation_mode_hides_the_loss_of_alignment_alone():
    found = ask("alignment", "torch_eager", dropout)
    assert found["agreement"]["1"] == 1
    assert found["loss_shift"] is None


@pytest.mark.parametrize("probe", ["influence", "isolation", "accumulation", "padding"])
def test_what_cannot_be_repeated_is_not_judged(probe):
    generator = np.random.default_rng(0)
    spoil = overriding(logits=lambda _trainer, old, inputs: old(inputs) + generator.normal(size=11))
    assert why_not(probe, spoil=spoil).startswith("the same inputs give other logits each time")


@pytest.mark.parametrize("probe", PROBES)
def test_the_shared_random_generator_goes_on_as_if_nobody_had_asked(probe):
    def spoil(trainer):
        dropout(trainer, always=False)
        torch.manual_seed(7)  # what a probe finds once it has built its trainer

    get("probes", probe)().ask(context_of("torch_eager", sample_problem(), spoil))
    found = torch.rand(3)
    torch.manual_seed(7)
    assert torch.equal(found, torch.rand(3))


# isolation


@backends
@both_models
def test_isolation_of_samples(backend, settings):
    found = ask("isolation", backend, **settings)
    assert max(found["other_sample"], found["permuted_logits"]) <= 1e-6
    assert found["permuted_loss"] <= 1e-6


def test_isolation_needs_two_samples():
    assert why_not("isolation", batch=1, micro_batches=1) == "a batch holds a single sample"


MIXING = {
    "mean of the batch": lambda logits: logits + 0.01 * logits.mean(axis=0, keepdims=True),
    "the sample before": lambda logits: logits + 0.01 * np.roll(logits, 1, axis=0),
    "the last sample": lambda logits: logits + 0.01 * logits[-1:],
    "batch normalisation": lambda logits: (logits - logits.mean(axis=0)) / (1e-5 + logits.std(axis=0)),
}


@backends
@both_models
@pytest.mark.parametrize("mix", MIXING.values(), ids=MIXING)
def test_isolation_sees_samples_that_leak(backend, settings, mix):
    spoil = overriding(logits=lambda _trainer, old, inputs: mix(old(inputs)))
    assert ask("isolation", backend, spoil, **settings)["other_sample"] > 1e-3


@backends
def test_isolation_sees_that_the_place_in_the_batch_counts(backend):
    def logits(_trainer, old, inputs):
        found = old(inputs)
        return found * (1 + 0.01 * np.arange(len(found), dtype=found.dtype)[:, None, None])

    found = ask("isolation", backend, overriding(logits=logits))
    assert found["other_sample"] <= 1e-6
    assert found["permuted_logits"] > 0.01


@backends
def test_isolation_sees_a_loss_that_depends_on_the_order(backend):
    def loss(_trainer, old, batch):
        parts = [old(part) for part in micro_batches(batch, 2)]
        return 0.6 * parts[0] + 0.4 * parts[1]

    found = ask("isolation", backend, overriding(loss=loss))
    assert found["permuted_logits"] <= 1e-6
    assert found["permuted_loss"] > 1e-4


# padding


@backends
@pytest.mark.parametrize(
    "settings", [{}, {"lengths": None}, {"lengths": None, "data": CopyData(copy=Copy())}]
)
def test_padding_has_no_effect(backend, settings):
    found = ask("padding", backend, **settings)
    assert found["loss_change"] <= 1e-7
    assert found["gradient_change"] <= 1e-7
    assert found["counted"] == found["expected"] > 0


def test_padding_counts_the_real_targets():
    problem = sample_problem()
    lengths = sum(int(batch.lengths.sum()) for batch in (*problem.batches, problem.held_out))
    assert ask("padding")["expected"] == lengths


@pytest.mark.parametrize("settings", [CLASSES, NUMBERS])
def test_padding_needs_positions(settings):
    assert why_not("padding", **settings) == "samples have no positions"


def test_padding_needs_room():
    problem = sample_problem(lengths=None)
    targets = np.full_like(problem.batches[0].targets, IGNORE)
    targets[:, -1] = 3
    last = replace(problem.batches[0], targets=targets)
    reason = why_not("padding", problem=replace(problem, batches=(last,)))
    assert reason == "only the last position of a sample counts: nothing can lie behind it"


def padding_counted_by_the_loss(trainer):
    """Targets that are not to count are taken for token 0."""
    original = trainer.model.loss_sum

    def loss_sum(outputs, targets):
        counting = targets.clamp(min=0) if isinstance(targets, torch.Tensor) else np.maximum(targets, 0)
        return original(outputs, counting)

    trainer.model.loss_sum = loss_sum


@backends
@pytest.mark.parametrize("lengths", [(2, 8), None], ids=["ragged", "equal"])
def test_padding_sees_a_loss_that_counts_it(backend, lengths):
    found = ask("padding", backend, padding_counted_by_the_loss, lengths=lengths)
    assert found["loss_change"] > 1e-3
    assert found["gradient_change"] > 1e-3


@backends
def test_padding_sees_gradients_that_count_it(backend):
    def backward(_trainer, old, batch, total):
        return old(replace(batch, targets=np.maximum(batch.targets, 0)), total)

    found = ask("padding", backend, overriding(backward=backward))
    assert found["loss_change"] <= 1e-7
    assert found["gradient_change"] > 1e-3


@backends
def test_padding_sees_that_there_is_no_mask(backend):
    def spoil(trainer):
        trainer.model.causal = False

    assert ask("padding", backend, spoil)["loss_change"] > 1e-3


def test_padding_sees_data_in_which_it_counts():
    problem = sample_problem()
    batches = tuple(replace(batch, targets=np.maximum(batch.targets, 0)) for batch in problem.batches)
    found = ask("padding", problem=replace(problem, batches=batches))
    more = sum(int((batch.targets == IGNORE).sum()) for batch in problem.batches)
    assert more > 0
    assert found["counted"] - found["expected"] == more


# alignment


@backends
@pytest.mark.parametrize(
    "settings",
    [{}, {"lengths": None}, {"lengths": None, "data": CopyData(copy=Copy())}, {"micro_batches": 4}],
)
def test_alignment_is_one_position_later(backend, settings):
    found = ask("alignment", backend, **settings)
    assert found["agreement"]["1"] == 1
    assert (found["best"], found["loss_shift"]) == (1, 0)
    assert list(found["agreement"]) == ["-2", "-1", "0", "1", "2", "3"]
    assert max(share for shift, share in found["agreement"].items() if shift != "1") < 0.6


def test_alignment_counts_by_a_second_implementation():
    problem = sample_problem()
    for shift, share in ask("alignment")["agreement"].items():
        pairs = [
            (batch.targets[i, t], batch.inputs[i, t + int(shift)])
            for batch in (*problem.batches, problem.held_out)
            for i, length in enumerate(batch.lengths)
            for t in range(8)
            if batch.targets[i, t] != IGNORE and 0 <= t + int(shift) < length
        ]
        assert share == sum(target == token for target, token in pairs) / len(pairs)


def shifted(problem, shift):
    """Each target is the input `shift` positions later; where there is none, it does not count."""

    def change(batch):
        targets = np.full_like(batch.targets, IGNORE)
        width = targets.shape[1] - abs(shift)
        targets[:, max(-shift, 0) :][:, :width] = batch.inputs[:, max(shift, 0) :][:, :width]
        return replace(batch, targets=targets)

    return replace(problem, batches=tuple(map(change, problem.batches)), held_out=change(problem.held_out))


@pytest.mark.parametrize("shift", [-2, -1, 0, 2, 3])
def test_alignment_sees_data_that_are_shifted_otherwise(shift):
    found = ask("alignment", problem=shifted(full(), shift))
    assert found["best"] == shift
    assert found["agreement"][str(shift)] == 1
    assert found["agreement"]["1"] < 0.6


def test_alignment_sees_shuffled_targets():
    generator = np.random.default_rng(0)
    change = lambda batch: replace(batch, targets=generator.permuted(batch.targets.ravel()).reshape(4, 8))  # noqa: E731
    problem = replace(full(), batches=tuple(map(change, full().batches)), held_out=change(full().held_out))
    assert max(ask("alignment", problem=problem)["agreement"].values()) < 0.5


@backends
@pytest.mark.parametrize("wraps", [True, False])
@pytest.mark.parametrize("shift", [-1, 1, 2])
def test_alignment_sees_a_loss_that_shifts_once_more(backend, shift, wraps):
    def backward(_trainer, old, batch, _total):
        targets = np.roll(batch.targets, -shift, axis=1)
        if not wraps:
            targets[:, slice(-shift, None) if shift > 0 else slice(None, -shift)] = IGNORE
        return old(replace(batch, targets=targets), int((targets != IGNORE).sum()))

    found = ask("alignment", backend, overriding(backward=backward), lengths=None)
    assert (found["best"], found["loss_shift"]) == (1, shift)


def test_alignment_does_not_guess_at_a_loss_of_another_kind():
    spoil = overriding(backward=lambda _trainer, old, batch, total: 1.1 * old(batch, total))
    assert ask("alignment", spoil=spoil)["loss_shift"] is None


@pytest.mark.parametrize("settings", [CLASSES, NUMBERS])
def test_alignment_needs_positions(settings):
    assert why_not("alignment", **settings) == "samples have no positions"


# what they share


@backends
@pytest.mark.parametrize("probe", PROBES)
@pytest.mark.parametrize("settings", [{}, CLASSES], ids=["decoder", "classes"])
def test_a_training_that_is_under_way_goes_on_bit_for_bit(backend, probe, settings):
    problem = sample_problem(**settings)
    context = context_of(backend, problem)
    live, bare = context.build(), context.build()
    for batch in problem.batches[:3]:
        assert live.step(batch) == bare.step(batch)
    before = digest(live)
    try:
        get("probes", probe)().ask(context)
    except NotImplementedError as reason:
        assert str(reason) == "samples have no positions"  # noqa: PT017 - most of them do answer
    assert digest(live) == before
    for batch in problem.batches[3:]:
        assert live.step(batch) == bare.step(batch)
    assert digest(live) == digest(bare)


@pytest.mark.parametrize("probe", PROBES)
def test_answers_repeat_to_the_bit(probe):
    assert ask(probe, "torch_eager") == ask(probe, "torch_eager")


def test_fresh_closes_and_puts_back_even_after_an_error():
    calls = []
    trainer = SimpleNamespace(
        state=lambda: "state", restore=calls.append, close=lambda: calls.append("closed")
    )

    def use():
        with fresh(SimpleNamespace(build=lambda: trainer)):
            raise KeyError("in the middle")

    with pytest.raises(KeyError):
        use()
    assert calls == ["state", "closed"]


def test_fresh_does_without_a_state():
    def state():
        raise NotImplementedError("no state")

    closed = []
    trainer = SimpleNamespace(state=state, close=lambda: closed.append(True))
    with fresh(SimpleNamespace(build=lambda: trainer)) as given:
        assert given is trainer
    assert closed


@backends
@pytest.mark.parametrize(
    "settings",
    [{}, {"sequence": 64, "lengths": None}, CLASSES, NUMBERS],
    ids=["decoder", "long", "classes", "numbers"],
)
def test_drawn_weights_give_logits_of_order_one(backend, settings):
    problem = sample_problem(**settings)
    trainer = context_of(backend, problem).build()
    load_drawn(problem, trainer, problem.batches[0].inputs)
    assert 1 / 3 < np.std(trainer.logits(problem.batches[0].inputs)) < 3


@pytest.mark.parametrize("power", [1e-4, 0.5, 2, 4, 1e4])
def test_drawn_weights_are_found_however_logits_grow(power):
    class Trainer:
        loaded = 1.0

        def load(self, parameters):
            self.loaded = float(np.std(parameters.get("embedding", np.zeros(1)))) or self.loaded

        def logits(self, _inputs):
            factor = 1e3 * self.loaded**power if power < 100 else 1e-3 * self.loaded**2
            return factor * np.random.default_rng(0).normal(size=(4, 8, 11))

    trainer, problem = Trainer(), sample_problem()
    gain = load_drawn(problem, trainer, problem.batches[0].inputs)
    assert np.isfinite(gain)
    assert power == 1e-4 or 0.2 < np.std(trainer.logits(None)) < 5


def test_other_inputs_differ_everywhere():
    problem = sample_problem()
    inputs = problem.batches[0].inputs
    found = other(problem, inputs)
    assert (found != inputs).all()
    assert found.dtype == inputs.dtype
    assert (found >= 0).all()
    assert (found < 11).all()
    numbers = sample_problem(**NUMBERS).batches[0].inputs
    assert (other(sample_problem(**NUMBERS), numbers) != numbers).all()


def test_other_inputs_need_a_second_token():
    alone = SimpleNamespace(config=SimpleNamespace(seed=0), facts=SimpleNamespace(vocabulary=1))
    with pytest.raises(NotImplementedError, match="there is only one token"):
        other(alone, np.zeros((2, 3), np.int64))


@pytest.mark.parametrize(
    ("difference", "scale", "expected"),
    [(1, 2, 0.5), (0, 0, 0), (1, 0, np.inf), (np.nan, 0, np.nan), (np.nan, 1, np.nan), (1, np.nan, np.nan)],
)
def test_relative(difference, scale, expected):
    assert relative(difference, scale) == pytest.approx(expected, nan_ok=True)


def test_steady_returns_to_one_random_state():
    trainer = context_of("torch_eager", sample_problem(), dropout).build()
    inputs = sample_problem().batches[0].inputs
    assert varies(trainer, inputs)
    asked = steady(trainer, inputs)
    assert np.array_equal(asked(inputs), asked(inputs))
