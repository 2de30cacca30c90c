"""The decoder in NumPy against finite differences, on every option, at both scales of weights."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_limits

from harness.model import IGNORE
from harness.models import decoder
from harness.models.decoder_numpy import NumpyDecoder
from harness.models.tensor import initial
from harness.spec import Decoder

SEQUENCE = 7
BASE = Decoder(vocab=11, width=12, layers=2, heads=3, hidden=20)
LLAMA = {"norm": "rmsnorm", "activation": "swiglu", "positions": "rotary", "mlp_bias": False}
CLLM = {"attention_output": False, "final_norm": False}
OPTIONS = {
    "default": {},
    "rmsnorm": {"norm": "rmsnorm"},
    "layernorm_eps": {"norm_eps": 0.1},
    "rmsnorm_eps": {"norm": "rmsnorm", "norm_eps": 0.1},
    "swiglu": {"activation": "swiglu"},
    "default_hidden": {"hidden": None, "activation": "swiglu"},
    "no_positions": {"positions": "none"},
    "learned": {"positions": "learned"},
    "rotary": {"positions": "rotary"},
    "rope_theta": {"positions": "rotary", "rope_theta": 5.0},
    "one_head": {"heads": 1},
    "one_kv_head": {"kv_heads": 1},
    "grouped": {"heads": 6, "kv_heads": 3},
    "no_attention_output": {"attention_output": False},
    "grouped_no_attention_output": {"heads": 6, "kv_heads": 2, "attention_output": False},
    "attention_bias": {"attention_bias": True},
    "attention_bias_rotary": {"attention_bias": True, "positions": "rotary", "attention_output": False},
    "no_mlp_bias": {"mlp_bias": False},
    "no_mlp_bias_swiglu": {"mlp_bias": False, "activation": "swiglu"},
    "no_final_norm": {"final_norm": False},
    "untied": {"tied": False},
    "untied_no_final_norm": {"tied": False, "final_norm": False},
    "cllm": CLLM,
    "smollm": {**LLAMA, "heads": 6, "kv_heads": 2},
    "all": {
        "activation": "swiglu",
        "positions": "learned",
        "heads": 6,
        "kv_heads": 2,
        "attention_bias": True,
        "tied": False,
    },
}
each_option = pytest.mark.parametrize("option", OPTIONS)
each_scale = pytest.mark.parametrize("lively", [False, True], ids=["default_weights", "weights_of_order_one"])


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Threads that wait for each other cost more than these tiny shapes, above all on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with threadpool_limits(1):
        yield
    torch.set_num_threads(before)


def spec_of(option):
    return replace(BASE, **OPTIONS[option])


def weights(spec, lively=True):
    """Starting values, or values at which every part matters: logits and attention scores of O(1)."""
    tensors = decoder.describe(spec, SEQUENCE)
    if not lively:
        return {tensor.name: initial(tensor, 0) for tensor in tensors}
    rng = np.random.default_rng(0)
    drawn = {}
    for tensor in tensors:
        matrix = tensor.name not in {"embedding", "positions"} and len(tensor.shape) == 2
        spread = 1.0 if tensor.init == "normal" else 0.3
        values = rng.normal(size=tensor.shape) * spread / (np.sqrt(tensor.shape[1]) if matrix else 1.0)
        drawn[tensor.name] = values + (tensor.init == "ones")
    return drawn


def batch(length=5):
    rng = np.random.default_rng(1)
    inputs, targets = rng.integers(0, BASE.vocab, size=(2, 3, length))
    targets[0, 1] = targets[2, -2:] = IGNORE
    return inputs, targets


def numpy_loss(model, parameters, inputs, targets):
    return model.loss_sum(model.forward(parameters, inputs)[0], targets)[0]


def numpy_gradients(model, parameters, inputs, targets):
    logits, tape = model.forward(parameters, inputs)
    total, _, d_logits = model.loss_sum(logits, targets)
    return logits, total, model.backward(parameters, tape, d_logits)


def slope(function, step):
    """Central differences of sixth order: at std 0.02 the loss bends too sharply for the second."""
    near, middle, far = (function(k * step) - function(-k * step) for k in (1, 2, 3))
    return (45 * near - 9 * middle + far) / (60 * step)


def has_no_gradient(spec, name):
    """A bias on all keys adds the same to every score of a row, unless keys turn; softmax does not see it."""
    return name.endswith("key.bias") and spec.positions != "rotary"


def assert_close_gradients(spec, found, expected, tolerance):
    assert list(found) == list(expected)
    largest = max(np.linalg.norm(gradient) for gradient in expected.values())
    for name, gradient in expected.items():
        scale = largest if has_no_gradient(spec, name) else np.linalg.norm(gradient)
        assert np.linalg.norm(found[name] - gradient) <= tolerance * scale, name


@each_scale
@each_option
def test_numpy_gradients_are_the_slopes_of_the_loss(option, lively):
    spec = spec_of(option)
    model, parameters, data = NumpyDecoder(spec, SEQUENCE), weights(spec, lively), batch()
    gradients = numpy_gradients(model, parameters, *data)[2]
    assert [(name, g.shape) for name, g in gradients.items()] == [(n, p.shape) for n, p in parameters.items()]
    rng = np.random.default_rng(2)
    for name, gradient in gradients.items():
        direction = rng.normal(size=gradient.shape)

        def along(distance, name=name, direction=direction):
            return numpy_loss(model, parameters | {name: parameters[name] + distance * direction}, *data)

        norm = np.linalg.norm(gradient)
        assert (norm < 1e-12) == has_no_gradient(spec, name), name
        assert abs(slope(along, 4e-4) - np.vdot(gradient, direction)) <= 1e-6 * norm + 1e-10, name


def test_a_prefix_has_the_logits_of_the_whole():
    spec = spec_of("all")
    parameters, (inputs, _) = weights(spec), batch()
    model = NumpyDecoder(spec, SEQUENCE)
    whole = model.forward(parameters, inputs)[0]
    np.testing.assert_allclose(model.forward(parameters, inputs[:, :2])[0], whole[:, :2], rtol=1e-12)


def test_attention_is_that_of_torch_multihead_attention():
    spec = spec_of("attention_bias")
    p, name = weights(spec), "layers.0.attention"
    oracle = torch.nn.MultiheadAttention(spec.width, spec.heads, batch_first=True, dtype=torch.float64)
    parts = ("query", "key", "value")
    stacked = {
        kind: np.concatenate([p[f"{name}.{part}.{kind}"] for part in parts]) for kind in ("weight", "bias")
    }
    oracle.load_state_dict(
        {f"in_proj_{kind}": torch.from_numpy(value) for kind, value in stacked.items()}
        | {f"out_proj.{kind}": torch.from_numpy(p[f"{name}.output.{kind}"]) for kind in ("weight", "bias")}
    )
    x = np.random.default_rng(3).normal(size=(2, 5, spec.width))
    later = torch.ones(5, 5).triu(1).bool()
    expected = oracle(*[torch.from_numpy(x)] * 3, attn_mask=later, need_weights=False)[0].detach().numpy()
    found = NumpyDecoder(spec, SEQUENCE).attend(p, name, x)[0]
    np.testing.assert_allclose(found, expected, atol=1e-13)


class Llama(torch.nn.Module):
    """One Llama layer with embedding, final norm and tied head, written apart from ours: heads in a loop."""

    def __init__(self, spec, p):
        super().__init__()
        self.spec, self.p = (
            spec,
            torch.nn.ParameterDict({k.replace(".", "/"): torch.tensor(v) for k, v in p.items()}),
        )

    def norm(self, x, name):
        return x * (x.pow(2).mean(-1, keepdim=True) + self.spec.norm_eps).rsqrt() * self.p[f"{name}/weight"]

    def turn(self, x):
        """The pair (i, i + A/2) as a complex number, turned by e^(i t theta^(-2i/A))."""
        half = x.shape[-1] // 2
        rate = self.spec.rope_theta ** (-torch.arange(half, dtype=x.dtype) / half)
        angle = torch.arange(x.shape[-2], dtype=x.dtype)[:, None] * rate
        turned = torch.complex(x[..., :half], x[..., half:]) * torch.polar(torch.ones_like(angle), angle)
        return torch.cat([turned.real, turned.imag], dim=-1)

    def attention(self, x):
        weight = {
            part: self.p[f"layers/0/attention/{part}/weight"] for part in ("query", "key", "value", "output")
        }
        size, share = self.spec.width // self.spec.heads, self.spec.heads // self.spec.kv_heads
        out = []
        for head in range(self.spec.heads):
            own = slice(head * size, (head + 1) * size)
            read = slice(head // share * size, (head // share + 1) * size)
            q, k = self.turn(x @ weight["query"][own].T), self.turn(x @ weight["key"][read].T)
            scores = (q @ k.mT / size**0.5).masked_fill(
                torch.ones(x.shape[1], x.shape[1]).triu(1) > 0, -torch.inf
            )
            out.append(scores.softmax(-1) @ (x @ weight["value"][read].T))
        return torch.cat(out, dim=-1) @ weight["output"].T

    def forward(self, tokens):
        p = self.p
        x = p["embedding"][tokens]
        x = x + self.attention(self.norm(x, "layers/0/attention_norm"))
        h = self.norm(x, "layers/0/mlp_norm")
        gate = h @ p["layers/0/mlp/gate/weight"].T
        x = (
            x
            + (gate * gate.sigmoid() * (h @ p["layers/0/mlp/up/weight"].T)) @ p["layers/0/mlp/down/weight"].T
        )
        return self.norm(x, "final_norm") @ p["embedding"].T


def test_smollm_options_make_a_llama():
    spec = replace(spec_of("smollm"), layers=1, width=36, rope_theta=50.0)  # head size 6: three angles
    parameters, (inputs, targets) = weights(spec), batch()
    logits, total, gradients = numpy_gradients(NumpyDecoder(spec, SEQUENCE), parameters, inputs, targets)
    oracle = Llama(spec, parameters)
    expected = oracle(torch.from_numpy(inputs))
    loss = torch.nn.CrossEntropyLoss(reduction="sum")(
        expected.flatten(0, 1), torch.from_numpy(targets).flatten()
    )
    loss.backward()
    np.testing.assert_allclose(logits, expected.detach().numpy(), rtol=1e-10, atol=1e-12)
    assert total == pytest.approx(loss.item(), rel=1e-12)
    theirs = {name.replace("/", "."): value.grad.numpy() for name, value in oracle.p.items()}
    assert_close_gradients(spec, gradients, {name: theirs[name] for name in gradients}, 1e-11)


def test_nonfinite_weights_pass_through_without_a_warning():
    spec = spec_of("smollm")
    parameters = weights(spec)
    parameters["layers.0.mlp.up.weight"][0, 0] = np.inf
    logits, total, gradients = numpy_gradients(NumpyDecoder(spec, SEQUENCE), parameters, *batch())
    assert not np.isfinite(total)
    assert not np.isfinite(logits).all()
    assert not np.isfinite(gradients["embedding"]).all()


def test_the_numpy_model_writes_to_none_of_its_arguments():
    spec, (inputs, targets) = spec_of("learned"), batch()
    parameters = weights(spec)
    for array in (*parameters.values(), inputs, targets):
        array.setflags(write=False)
    model = NumpyDecoder(spec, SEQUENCE)
    first, second = (numpy_gradients(model, parameters, inputs, targets) for _ in range(2))
    np.testing.assert_array_equal(first[0], second[0])
    for name, gradient in first[2].items():
        np.testing.assert_array_equal(gradient, second[2][name])
