"""What the families say of themselves: names, shapes, counts, starting values."""

import subprocess
import sys

import numpy as np
import pytest

from harness import models
from harness.models import decoder, positions
from harness.models.tensor import Tensor
from harness.spec import Decoder, DecoderModel, Mlp, MlpModel

PINNED = [-0.4236701261234954, 0.6335423912094348, 0.17635894226626816, 1.2632323652816266]
SMALL = {"attention_output": False, "final_norm": False, "tied": True}
MINIMAL = Decoder(vocab=27, width=32, layers=1, heads=1, **SMALL)
THREADS = Decoder(vocab=1000, width=128, layers=2, heads=4, **SMALL)
SMOLLM = Decoder(
    vocab=49_152,
    width=576,
    layers=30,
    heads=9,
    kv_heads=3,
    hidden=1536,
    norm="rmsnorm",
    activation="swiglu",
    positions="rotary",
    mlp_bias=False,
)


@pytest.mark.parametrize(("spec", "expected"), [(MINIMAL, 12_416), (THREADS, 490_752), (SMOLLM, 134_515_008)])
def test_reference_architectures_have_their_parameter_count(spec, expected):
    assert models.count(DecoderModel(decoder=spec), 8) == expected


def test_minimal_decoder_names_shapes_and_starts():
    found = {t.name: (t.shape, t.init, t.std) for t in models.describe(DecoderModel(decoder=MINIMAL), 8)}
    assert found == {
        "embedding": ((27, 32), "normal", 0.02),
        "layers.0.attention_norm.weight": ((32,), "ones", 0),
        "layers.0.attention_norm.bias": ((32,), "zeros", 0),
        "layers.0.attention.query.weight": ((32, 32), "normal", 0.02),
        "layers.0.attention.key.weight": ((32, 32), "normal", 0.02),
        "layers.0.attention.value.weight": ((32, 32), "normal", 0.02),
        "layers.0.mlp_norm.weight": ((32,), "ones", 0),
        "layers.0.mlp_norm.bias": ((32,), "zeros", 0),
        "layers.0.mlp.up.weight": ((128, 32), "normal", 0.02),
        "layers.0.mlp.up.bias": ((128,), "zeros", 0),
        "layers.0.mlp.down.weight": ((32, 128), "normal", 0.02),
        "layers.0.mlp.down.bias": ((32,), "zeros", 0),
    }


def test_every_optional_tensor_appears_with_its_option():
    spec = Decoder(
        vocab=11,
        width=12,
        layers=1,
        heads=3,
        kv_heads=1,
        hidden=20,
        activation="swiglu",
        positions="learned",
        attention_bias=True,
        tied=False,
        init_std=0.5,
    )
    found = {tensor.name: tensor for tensor in decoder.describe(spec, 7)}
    plain = {tensor.name for tensor in models.describe(DecoderModel(decoder=MINIMAL), 7)}
    assert {name: tensor.shape for name, tensor in found.items() if name not in plain} == {
        "positions": (7, 12),
        "layers.0.attention.query.bias": (12,),
        "layers.0.attention.key.bias": (4,),
        "layers.0.attention.value.bias": (4,),
        "layers.0.attention.output.weight": (12, 12),
        "layers.0.attention.output.bias": (12,),
        "layers.0.mlp.gate.weight": (20, 12),
        "layers.0.mlp.gate.bias": (20,),
        "final_norm.weight": (12,),
        "final_norm.bias": (12,),
        "head.weight": (11, 12),
    }
    assert plain <= set(found)
    assert found["layers.0.attention.key.weight"].shape == (4, 12)
    assert found["layers.0.mlp.down.weight"].shape == (12, 20)
    assert {tensor.std for tensor in found.values() if tensor.init == "normal"} == {0.5}


def test_rmsnorm_has_no_bias():
    spec = Decoder(vocab=5, width=4, layers=1, heads=1, norm="rmsnorm", mlp_bias=False)
    assert not [tensor.name for tensor in decoder.describe(spec, 4) if tensor.name.endswith("bias")]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, 2304),
        ({"activation": "swiglu"}, 1536),
        ({"hidden": 100}, 100),
        ({"hidden": 100, "activation": "swiglu"}, 100),
    ],
)
def test_hidden_size(options, expected):
    assert decoder.hidden_size(Decoder(vocab=5, width=576, layers=1, heads=1, **options)) == expected


def test_narrowest_swiglu_still_has_a_hidden_layer():
    assert decoder.hidden_size(Decoder(vocab=5, width=1, layers=1, heads=1, activation="swiglu")) == 8


@pytest.mark.parametrize(("activation", "gain"), [("relu", 2), ("gelu", 2), ("tanh", 1)])
def test_mlp_names_shapes_and_starts(activation, gain):
    spec = Mlp(inputs=4, hidden=(8, 6), outputs=3, activation=activation)
    found = [(t.name, t.shape, t.init, t.std**2) for t in models.describe(MlpModel(mlp=spec), 1)]
    assert found == [
        ("hidden.0.weight", (8, 4), "normal", pytest.approx(gain / 4)),
        ("hidden.0.bias", (8,), "zeros", 0),
        ("hidden.1.weight", (6, 8), "normal", pytest.approx(gain / 8)),
        ("hidden.1.bias", (6,), "zeros", 0),
        ("output.weight", (3, 6), "normal", pytest.approx(1 / 6)),
        ("output.bias", (3,), "zeros", 0),
    ]
    assert models.count(MlpModel(mlp=spec), 1) == 40 + 54 + 21


def test_initial_values_are_float64_with_the_stated_spread():
    values = models.initial(Tensor(name="embedding", shape=(1000, 64), std=0.02), 0)
    assert values.dtype == np.float64
    assert values.shape == (1000, 64)
    assert values.std() == pytest.approx(0.02, rel=0.02)
    assert abs(values.mean()) < 0.02 * 4 / np.sqrt(values.size)


def test_initial_values_of_norms_and_biases():
    np.testing.assert_array_equal(models.initial(Tensor(name="a", shape=(3,), init="ones"), 5), np.ones(3))
    np.testing.assert_array_equal(models.initial(Tensor(name="a", shape=(3,), init="zeros"), 5), np.zeros(3))


def test_initial_values_depend_on_seed_and_name_alone():
    tensor = Tensor(name="a", shape=(50,), std=1.0)
    first = models.initial(tensor, 1)
    np.testing.assert_array_equal(first, models.initial(tensor, 1))
    for other in (models.initial(tensor, 2), models.initial(Tensor(name="b", shape=(50,), std=1.0), 1)):
        assert abs(np.corrcoef(first, other)[0, 1]) < 0.6
        assert not (first == other).any()


def test_initial_values_never_change_between_versions():
    values = models.initial(Tensor(name="embedding", shape=(2, 2), std=1.0), 0)
    sequence = np.random.SeedSequence(entropy=0, spawn_key=(101, 109, 98, 101, 100, 100, 105, 110, 103))
    np.testing.assert_array_equal(values, np.random.Generator(np.random.PCG64(sequence)).normal(size=(2, 2)))
    np.testing.assert_allclose(values.ravel(), PINNED, rtol=1e-15)


def test_sinusoidal_positions_follow_the_formula():
    table = positions.sinusoidal(6, 5)
    for t in range(6):
        for i in range(5):
            angle = t / 10_000 ** ((i - i % 2) / 5)
            assert table[t, i] == pytest.approx(np.cos(angle) if i % 2 else np.sin(angle), abs=1e-15)


def test_rotary_positions_turn_the_pair_i_and_i_plus_half():
    cosine, sine = positions.rotary(5, 6, 100.0)
    for t in range(5):
        for i in range(6):
            angle = t * 100.0 ** (-2 * (i % 3) / 6)
            assert (cosine[t, i], sine[t, i]) == pytest.approx((np.cos(angle), np.sin(angle)), abs=1e-15)


def test_describing_and_the_reference_load_no_framework():
    code = (
        "import sys; from harness import models, spec;"
        "model = spec.DecoderModel(decoder=spec.Decoder(vocab=3, width=2, layers=1, heads=1));"
        "models.count(model, 4), models.numpy_model(model, 4); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
