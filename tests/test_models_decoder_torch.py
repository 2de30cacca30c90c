"""The decoder in torch against NumPy, on every option and scale, and what only torch does."""

import inspect

import numpy as np
import pytest
import torch
from test_models_decoder import (
    SEQUENCE,
    assert_close_gradients,
    batch,
    each_option,
    each_scale,
    numpy_gradients,
    one_thread,
    spec_of,
    weights,
)

from harness.model import HarnessError
from harness.models.decoder_numpy import NumpyDecoder
from harness.models.decoder_torch import TorchDecoder

__all__ = ["one_thread"]  # pytest finds the fixture here


class TwiceNumpy(NumpyDecoder):
    """Attention that only doubles its input."""

    def attend(self, _p, _name, x):
        return 2 * x, None


class TwiceTorch(TorchDecoder):
    """The same in torch."""

    def attend(self, _p, _name, x):
        return 2 * x


class OpenNumpy(NumpyDecoder):
    """Attention that sees the future."""

    causal = False


class OpenTorch(TorchDecoder):
    """The same in torch."""

    causal = False


def torch_gradients(model, parameters, inputs, targets, dtype=torch.float64):
    leaves = {
        name: torch.tensor(value, dtype=dtype, requires_grad=True) for name, value in parameters.items()
    }
    logits = model(leaves, torch.from_numpy(inputs))
    total, _ = model.loss_sum(logits, torch.from_numpy(targets))
    total.backward()
    gradients = {name: leaf.grad.double().numpy() for name, leaf in leaves.items()}
    return logits.detach().double().numpy(), total.item(), gradients


@each_scale
@each_option
def test_torch_float64_is_the_reference(option, lively):
    spec = spec_of(option)
    parameters, data = weights(spec, lively), batch()
    logits, total, gradients = numpy_gradients(NumpyDecoder(spec, SEQUENCE), parameters, *data)
    found = torch_gradients(TorchDecoder(spec, SEQUENCE), parameters, *data)
    np.testing.assert_allclose(found[0], logits, rtol=1e-9, atol=1e-9 * np.abs(logits).max())
    assert found[1] == pytest.approx(total, rel=1e-9)
    assert_close_gradients(spec, found[2], gradients, 1e-9)


@each_scale
@each_option
def test_torch_float32_agrees_within_the_tolerance_of_cases(option, lively):
    spec = spec_of(option)
    parameters, data = weights(spec, lively), batch()
    _, total, gradients = numpy_gradients(NumpyDecoder(spec, SEQUENCE), parameters, *data)
    found = torch_gradients(TorchDecoder(spec, SEQUENCE), parameters, *data, dtype=torch.float32)
    assert found[1] == pytest.approx(total, rel=1e-5)
    assert_close_gradients(spec, found[2], gradients, 1e-4)


@pytest.mark.parametrize("option", ["cllm", "smollm", "all"])
def test_torch_bfloat16_trains_near_the_reference(option):
    spec = spec_of(option)
    parameters, data = weights(spec), batch()
    _, total, gradients = numpy_gradients(NumpyDecoder(spec, SEQUENCE), parameters, *data)
    found = torch_gradients(TorchDecoder(spec, SEQUENCE), parameters, *data, dtype=torch.bfloat16)
    assert found[1] == pytest.approx(total, rel=0.03)
    assert_close_gradients(spec, found[2], gradients, 0.1)


@pytest.mark.parametrize("option", ["default", "smollm", "all"])
def test_later_tokens_change_nothing_earlier_and_something_later(option):
    spec = spec_of(option)
    parameters, (inputs, _) = weights(spec), batch()
    changed = inputs.copy()
    changed[:, 3] = (changed[:, 3] + 1) % spec.vocab
    leaves = {name: torch.from_numpy(value) for name, value in parameters.items()}
    reference, network = NumpyDecoder(spec, SEQUENCE), TorchDecoder(spec, SEQUENCE)
    for logits in (
        lambda tokens: reference.forward(parameters, tokens)[0],
        lambda tokens: network(leaves, torch.from_numpy(tokens)).numpy(),
    ):
        before, after = logits(inputs), logits(changed)
        np.testing.assert_allclose(before[:, :3], after[:, :3], rtol=1e-13, atol=1e-13)
        assert (np.abs(before - after)[:, 3:].max(axis=(0, 2)) > 1e-3).all()


@pytest.mark.parametrize(("reference", "network"), [(TwiceNumpy, TwiceTorch), (OpenNumpy, OpenTorch)])
def test_one_part_can_be_altered_alone_and_alike(reference, network):
    spec, (inputs, _) = spec_of("default"), batch()
    parameters = weights(spec)
    leaves = {name: torch.from_numpy(value) for name, value in parameters.items()}
    healthy, altered = (
        base(spec, SEQUENCE).forward(parameters, inputs)[0] for base in (NumpyDecoder, reference)
    )
    found = network(spec, SEQUENCE)(leaves, torch.from_numpy(inputs)).numpy()
    np.testing.assert_allclose(found, altered, rtol=1e-10, atol=1e-12)
    assert np.abs(altered - healthy).max() > 0.1


def test_open_attention_has_right_gradients_too():
    spec, data = spec_of("grouped"), batch()
    parameters = weights(spec)
    expected = torch_gradients(OpenTorch(spec, SEQUENCE), parameters, *data)[2]
    found = numpy_gradients(OpenNumpy(spec, SEQUENCE), parameters, *data)[2]
    assert_close_gradients(spec, found, expected, 1e-10)


def test_numpy_and_torch_have_the_same_parts():
    ours, theirs = (
        {name for name, _ in inspect.getmembers(base, inspect.isfunction) if not name.startswith("_")}
        for base in (NumpyDecoder, TorchDecoder)
    )
    parts = theirs - {"tables", "loss_sum"}
    assert parts >= {
        "embed",
        "positions",
        "block",
        "residual",
        "norm",
        "attend",
        "rotate",
        "mix",
        "feed_forward",
        "head",
    }
    assert parts | {"forward", "backward", "loss_sum"} == {
        name for name in ours if not name.endswith("_backward")
    }


@pytest.mark.parametrize("base", [NumpyDecoder, TorchDecoder])
def test_a_text_longer_than_learned_positions_is_refused(base):
    spec = spec_of("learned")
    parameters = {
        name: value if base is NumpyDecoder else torch.from_numpy(value)
        for name, value in weights(spec).items()
    }
    inputs = np.zeros((1, 8), dtype=np.int64)
    model = base(spec, SEQUENCE)
    with pytest.raises(HarnessError) as caught:
        model.forward(parameters, inputs) if base is NumpyDecoder else model(
            parameters, torch.from_numpy(inputs)
        )
    assert str(caught.value) == (
        "decoder: 8 tokens given, learned positions hold 7; give fewer or raise config.sequence"
    )


@pytest.mark.parametrize("option", ["default", "rotary", "smollm"])
def test_torch_compiles_to_one_graph(option):
    spec, (inputs, _) = spec_of(option), batch()
    parameters = {name: torch.from_numpy(value) for name, value in weights(spec).items()}
    expected, tokens = (
        NumpyDecoder(spec, SEQUENCE).forward(weights(spec), inputs)[0],
        torch.from_numpy(inputs),
    )
    torch.compiler.reset()
    fresh, used = TorchDecoder(spec, SEQUENCE), TorchDecoder(spec, SEQUENCE)
    used(parameters, tokens)
    for model in (fresh, used):
        compiled = torch.compile(model, backend="eager", fullgraph=True)
        compiled(parameters, tokens)
        with torch.compiler.set_stance("fail_on_recompile"):
            np.testing.assert_allclose(compiled(parameters, tokens).numpy(), expected, rtol=1e-10, atol=1e-12)


def test_tables_are_made_once_and_do_not_pile_up():
    model = TorchDecoder(spec_of("rotary"), SEQUENCE)
    like = torch.zeros(1)
    assert model.tables(5, like) is model.tables(5, like)
    assert model.tables(5, like.double())[0].dtype == torch.float64
    assert model.tables(5, like.to("meta"))[0].device.type == "meta"
    for length in range(1, 40):
        assert model.tables(length, like)[0].shape == (length, 4)
    assert len(model._tables) <= 8
