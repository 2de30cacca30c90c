"""The losses against closed forms, hand counts and finite differences."""

import numpy as np
import pytest
import torch
from test_models_decoder import one_thread

from harness.model import IGNORE
from harness.models import losses, losses_torch
from harness.spec import Decoder, Mlp

__all__ = ["one_thread"]  # pytest finds the fixture here


def test_uniform_logits_lose_ln_v_a_target():
    total, number, _ = losses.loss_sum("cross_entropy", np.full((2, 3, 27), 4.2), np.zeros((2, 3), np.int64))
    assert number == 6
    assert total / number == pytest.approx(np.log(27), rel=1e-15)


def test_ignored_targets_neither_count_nor_push():
    logits = np.random.default_rng(0).normal(size=(2, 3, 5))
    targets = np.array([[1, IGNORE, 4], [IGNORE, IGNORE, 0]])
    total, number, gradient = losses.loss_sum("cross_entropy", logits, targets)
    shares = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    assert number == losses.counted("cross_entropy", targets) == 3
    assert total == pytest.approx(-np.log(shares[0, 0, 1] * shares[0, 2, 4] * shares[1, 2, 0]), rel=1e-14)
    np.testing.assert_array_equal(gradient[targets == IGNORE], 0)
    expected = shares[0, 2] - np.eye(5)[4]
    np.testing.assert_allclose(gradient[0, 2], expected, atol=1e-15)


def test_nothing_counted_is_a_loss_of_zero():
    total, number, gradient = losses.loss_sum("cross_entropy", np.ones((1, 2, 3)), np.full((1, 2), IGNORE))
    assert (total, number) == (0.0, 0)
    assert str(total) == "0.0"
    np.testing.assert_array_equal(gradient, np.zeros((1, 2, 3)))


def test_cross_entropy_survives_huge_logits():
    total, _, gradient = losses.loss_sum("cross_entropy", np.array([[1e300, 0.0, -1e300]]), np.array([1]))
    assert total == 1e300
    np.testing.assert_array_equal(gradient, [[1.0, -1.0, 0.0]])


def test_nonfinite_logits_give_a_nonfinite_loss_without_a_warning():
    total, _, _ = losses.loss_sum("cross_entropy", np.array([[np.inf, 0.0]]), np.array([1]))
    assert not np.isfinite(total)


def test_squared_error_by_hand():
    total, number, gradient = losses.loss_sum("squared_error", np.array([[1.0, 2.0]]), np.array([[0.5, 4.0]]))
    assert (total, number) == (4.25, 2)
    np.testing.assert_array_equal(gradient, [[1.0, -4.0]])


def test_squared_error_refuses_to_broadcast():
    with pytest.raises(ValueError, match=r"outputs \(3, 1\) and targets \(3,\) differ in shape"):
        losses.loss_sum("squared_error", np.zeros((3, 1)), np.zeros(3))


@pytest.mark.parametrize("loss", ["cross_entropy", "squared_error"])
def test_gradient_is_that_of_the_sum(loss):
    rng = np.random.default_rng(1)
    outputs = rng.normal(size=(4, 3))
    targets = rng.normal(size=(4, 3)) if loss == "squared_error" else np.array([0, 2, IGNORE, 1])
    gradient = losses.loss_sum(loss, outputs, targets)[2]
    for index in np.ndindex(outputs.shape):
        step = np.zeros_like(outputs)
        step[index] = 1e-5
        rise = (
            losses.loss_sum(loss, outputs + step, targets)[0]
            - losses.loss_sum(loss, outputs - step, targets)[0]
        )
        assert gradient[index] == pytest.approx(rise / 2e-5, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_torch_agrees(dtype):
    rng = np.random.default_rng(2)
    logits = torch.from_numpy(rng.normal(size=(2, 3, 5))).to(dtype)
    targets = np.array([[1, IGNORE, 4], [IGNORE, 2, 0]])
    total, number, _ = losses.loss_sum("cross_entropy", logits.double().numpy(), targets)
    got = losses_torch.total("cross_entropy", logits, torch.from_numpy(targets))
    assert got.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert float(got) == pytest.approx(total, rel=1e-12 if dtype == torch.float64 else 1e-6)
    assert losses_torch.counted("cross_entropy", torch.from_numpy(targets)) == number


def test_torch_squared_error_agrees():
    rng = np.random.default_rng(3)
    outputs, targets = rng.normal(size=(2, 4, 3))
    total, number, _ = losses.loss_sum("squared_error", outputs, targets)
    outputs, targets = torch.from_numpy(outputs), torch.from_numpy(targets)
    assert float(losses_torch.total("squared_error", outputs, targets)) == pytest.approx(total, rel=1e-14)
    assert losses_torch.counted("squared_error", targets) == number == 12


def test_each_model_has_its_loss():
    assert losses.loss_of(Decoder(vocab=3, width=2, layers=1, heads=1)) == "cross_entropy"
    assert losses.loss_of(Mlp(inputs=1, hidden=(), outputs=1)) == "squared_error"
    assert losses.loss_of(Mlp(inputs=1, hidden=(), outputs=2, task="classification")) == "cross_entropy"
