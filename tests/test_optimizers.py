import math

import numpy as np
import pytest

from harness.optimizers import AdamWRule, SgdRule, clip, peak_rate, rule
from harness.spec import AdamW, AdamWOptimizer, Sgd, SgdOptimizer

STEPS = 20
SHAPES = {"matrix": (3, 4), "gain": (5,), "cube": (2, 3, 2)}
SPECS = {
    "plain": Sgd(lr=0.1),
    "momentum": Sgd(lr=0.1, momentum=0.9),
    "nesterov": Sgd(lr=0.1, momentum=0.8, nesterov=True),
    "decay": Sgd(lr=0.1, weight_decay=0.05),
    "momentum_and_decay": Sgd(lr=0.1, momentum=0.9, weight_decay=0.05),
    "nesterov_and_decay": Sgd(lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.05),
    "adamw": AdamW(lr=0.01),
    "adamw_without_decay": AdamW(lr=0.01, weight_decay=0.0),
    "adamw_other_betas": AdamW(lr=0.01, betas=(0.5, 0.95), eps=1e-3, weight_decay=0.3),
    "adamw_no_memory": AdamW(lr=0.01, betas=(0.0, 0.0)),
}


def make_rule(spec):
    return rule(AdamWOptimizer(adamw=spec) if isinstance(spec, AdamW) else SgdOptimizer(sgd=spec))


def draw(generator):
    return {name: generator.standard_normal(shape) for name, shape in SHAPES.items()}


def torch_optimizer(spec, tensors):
    import torch

    groups = [
        {"params": [t for t in tensors if t.ndim >= 2], "weight_decay": spec.weight_decay},
        {"params": [t for t in tensors if t.ndim < 2], "weight_decay": 0.0},
    ]
    if isinstance(spec, AdamW):
        return torch.optim.AdamW(groups, lr=spec.lr, betas=spec.betas, eps=spec.eps)
    return torch.optim.SGD(groups, lr=spec.lr, momentum=spec.momentum, nesterov=spec.nesterov)


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_agrees_with_torch_over_many_steps_of_changing_learning_rate(spec):
    import torch

    generator = np.random.default_rng(1)
    weights = draw(generator)
    tensors = {name: torch.tensor(values, requires_grad=True) for name, values in weights.items()}
    optimizer, ours = torch_optimizer(spec, list(tensors.values())), make_rule(spec)
    for step in range(STEPS):
        rate = spec.lr * (1 + step % 3)
        for group in optimizer.param_groups:
            group["lr"] = rate
        gradients = draw(generator)
        for name, gradient in gradients.items():
            tensors[name].grad = torch.tensor(gradient)
            ours.update(name, weights[name], gradient, rate)
        optimizer.step()
        for name, values in weights.items():
            np.testing.assert_allclose(values, tensors[name].detach().numpy(), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_change_of_some_elements_is_that_part_of_the_whole_update(spec):
    generator = np.random.default_rng(2)
    weights, chosen = draw(generator), {"matrix": [0, 5, 11], "gain": [4], "cube": [3, 7]}
    decays = np.repeat([True, False, True], [3, 1, 2])
    whole, part = make_rule(spec), make_rule(spec)

    def pick(values):
        return np.concatenate([values[name].ravel()[elements] for name, elements in chosen.items()])

    for _ in range(5):
        gradients, before = draw(generator), pick(weights)
        change = part.change("sample", before, pick(gradients), spec.lr, decays)
        for name, gradient in gradients.items():
            whole.update(name, weights[name], gradient, spec.lr)
        np.testing.assert_allclose(before + change, pick(weights), rtol=1e-14)


def test_change_alters_neither_weight_nor_gradient():
    weight, gradient = np.ones((2, 2)), np.full((2, 2), 3.0)
    for spec in SPECS.values():
        ours = make_rule(spec)
        for _ in range(3):
            ours.change("w", weight, gradient, 0.1, True)
        assert (weight == 1).all()
        assert (gradient == 3).all()


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_a_gradient_that_the_caller_overwrites_leaves_the_memory_alone(spec):
    fresh, reused = make_rule(spec), make_rule(spec)
    buffer, found = np.zeros(3), {"fresh": np.ones(3), "reused": np.ones(3)}
    for number in (1.0, -2.0, 0.5):
        buffer[:] = number
        reused.update("w", found["reused"], buffer, 0.1)
        fresh.update("w", found["fresh"], np.full(3, number), 0.1)
    np.testing.assert_array_equal(found["reused"], found["fresh"])


def test_plain_sgd_by_hand():
    weight = np.array([[1.0, 2.0]])
    make_rule(Sgd(lr=0.5, weight_decay=0.1)).update("w", weight, np.array([[1.0, -1.0]]), 0.5)
    np.testing.assert_allclose(weight, [[1 - 0.5 * 1.1, 2 - 0.5 * (-0.8)]], rtol=1e-15)


def test_the_first_step_of_adamw_has_the_size_of_the_learning_rate_whatever_the_gradient():
    gradient = np.array([1e-3, -5.0, 400.0])
    change = make_rule(AdamW(lr=0.01, eps=1e-30)).change("w", np.zeros(3), gradient, 0.01, False)
    np.testing.assert_allclose(change, -0.01 * np.sign(gradient), rtol=1e-12)


def test_decay_leaves_vectors_alone():
    for spec in (Sgd(lr=0.1, weight_decay=0.5), AdamW(lr=0.1, weight_decay=0.5)):
        vector, matrix = np.ones(3), np.ones((3, 1))
        ours = make_rule(spec)
        ours.update("vector", vector, np.zeros(3), 0.1)
        ours.update("matrix", matrix, np.zeros((3, 1)), 0.1)
        np.testing.assert_array_equal(vector, np.ones(3))
        np.testing.assert_allclose(matrix, np.full((3, 1), 0.95), rtol=1e-15)


def test_decay_spares_what_it_does_not_act_on_even_if_that_is_not_finite():
    weight, decays = np.array([np.inf, 1.0]), np.array([False, True])
    change = make_rule(Sgd(lr=1.0, weight_decay=0.5)).change("w", weight, np.zeros(2), 1.0, decays)
    np.testing.assert_array_equal(change, [0.0, -0.5])


def test_a_non_finite_gradient_passes_through_without_a_warning():
    for spec in (Sgd(lr=0.1, momentum=0.9), AdamW(lr=0.1)):
        weight = np.zeros((1, 3))
        make_rule(spec).update("w", weight, np.array([[np.nan, np.inf, 1e200]]), 0.1)
        assert np.isnan(weight[0, 0])
        assert not np.isfinite(weight[0, 1])


def test_float32_stays_float32():
    for spec in SPECS.values():
        weight = np.ones((2, 2), np.float32)
        make_rule(spec).update("w", weight, np.ones((2, 2), np.float32), 0.1)
        change = make_rule(spec).change("w", weight, weight, 0.1, True)
        assert weight.dtype == change.dtype == np.float32


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_restoring_a_state_repeats_the_same_updates(spec):
    generator = np.random.default_rng(3)
    ours, weight = make_rule(spec), generator.standard_normal((2, 3))
    gradients = generator.standard_normal((6, 2, 3))
    for gradient in gradients[:3]:
        ours.update("w", weight, gradient, 0.1)
    state, start = ours.state(), weight.copy()

    def go_on(rule, weight):
        for gradient in gradients[3:]:
            rule.update("w", weight, gradient, 0.1)
        return weight

    first = go_on(ours, start.copy())
    other = make_rule(spec)
    for _ in range(2):  # the state survives being restored and trained on
        other.restore(state)
        np.testing.assert_array_equal(go_on(other, start.copy()), first)


def test_rule_and_peak_follow_the_case():
    sgd, adamw = SgdOptimizer(sgd=Sgd(lr=0.3)), AdamWOptimizer(adamw=AdamW(lr=0.2))
    assert isinstance(rule(sgd), SgdRule)
    assert isinstance(rule(adamw), AdamWRule)
    assert (peak_rate(sgd), peak_rate(adamw)) == (0.3, 0.2)


@pytest.mark.parametrize("max_norm", [0.1, 1.0, 1e6])
def test_clip_agrees_with_torch(max_norm):
    import torch

    gradients = draw(np.random.default_rng(4))
    tensors = [torch.zeros(shape, dtype=torch.float64, requires_grad=True) for shape in SHAPES.values()]
    for tensor, gradient in zip(tensors, gradients.values(), strict=True):
        tensor.grad = torch.tensor(gradient)
    expected = float(torch.nn.utils.clip_grad_norm_(tensors, max_norm))
    assert clip(gradients, max_norm) == pytest.approx(expected, rel=1e-14)
    for tensor, gradient in zip(tensors, gradients.values(), strict=True):
        np.testing.assert_allclose(gradient, tensor.grad.numpy(), rtol=1e-14)


def test_clip_by_hand_and_in_place():
    gradients = {"a": np.array([3.0]), "b": np.array([[4.0]])}
    kept = gradients["b"]
    assert clip(gradients, 1.0) == 5.0
    np.testing.assert_allclose(gradients["a"], [0.6], rtol=1e-6)
    np.testing.assert_allclose(kept, [[0.8]], rtol=1e-6)


def test_clip_leaves_small_gradients_bit_for_bit():
    gradients = {"a": np.array([0.1, 0.2])}
    clip(gradients, 1.0)
    assert gradients["a"].tolist() == [0.1, 0.2]


def test_clip_spreads_what_is_not_finite():
    gradients = {"a": np.array([np.nan]), "b": np.array([1.0])}
    assert math.isnan(clip(gradients, 1.0))
    assert np.isnan(gradients["b"]).all()
    gradients = {"a": np.array([np.inf]), "b": np.array([1.0])}
    assert clip(gradients, 1.0) == math.inf
    assert np.isnan(gradients["a"]).all()
    assert gradients["b"].tolist() == [0.0]


def test_clip_of_nothing_is_zero():
    assert clip({}, 1.0) == 0.0


def test_a_state_is_a_copy_in_both_directions():
    ours, weight = make_rule(Sgd(lr=0.1, momentum=0.5)), np.zeros(2)
    ours.update("w", weight, np.ones(2), 1.0)
    state = ours.state()
    state["w"]["momentum"][:] = 100.0
    np.testing.assert_array_equal(ours.change("w", weight, np.ones(2), 1.0, False), [-1.5, -1.5])
    ours.restore(state)
    state["w"]["momentum"][:] = 7.0
    np.testing.assert_array_equal(ours.change("w", weight, np.ones(2), 1.0, False), [-51.0, -51.0])
