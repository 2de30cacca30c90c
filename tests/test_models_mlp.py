"""The multi-layer perceptron: NumPy against finite differences, torch against NumPy and `torch.nn`."""

from itertools import product

import numpy as np
import pytest
import torch
from test_models_decoder import one_thread

from harness.model import IGNORE
from harness.models import describe, layers_numpy, mlp, numpy_model, torch_model
from harness.models.mlp_numpy import NumpyMlp
from harness.models.mlp_torch import TorchMlp
from harness.models.tensor import initial
from harness.spec import Decoder, DecoderModel, Mlp, MlpModel

__all__ = ["one_thread"]  # pytest finds the fixture here

ALL = list(product(["relu", "gelu", "tanh"], ["regression", "classification"], [(), (6,), (7, 5)]))
each_model = pytest.mark.parametrize("model", ALL, ids=str)
each_scale = pytest.mark.parametrize("scale", [0.0, 0.5], ids=["default_weights", "moved_weights"])


def setting(activation, task, hidden, scale):
    spec = Mlp(inputs=4, hidden=hidden, outputs=3, activation=activation, task=task)
    rng = np.random.default_rng(0)
    parameters = {t.name: initial(t, 0) + scale * rng.normal(size=t.shape) for t in mlp.describe(spec)}
    targets = rng.normal(size=(5, 3)) if task == "regression" else np.array([0, 2, IGNORE, 1, 2])
    return spec, parameters, rng.normal(size=(5, 4)), targets


def numpy_gradients(model, parameters, inputs, targets):
    outputs, tape = model.forward(parameters, inputs)
    total, number, d_outputs = model.loss_sum(outputs, targets)
    return outputs, total, number, model.backward(parameters, tape, d_outputs)


def torch_gradients(model, parameters, inputs, targets, dtype):
    leaves = {
        name: torch.tensor(value, dtype=dtype, requires_grad=True) for name, value in parameters.items()
    }
    outputs = model(leaves, torch.from_numpy(inputs))
    total, number = model.loss_sum(outputs, torch.from_numpy(targets))
    total.backward()
    gradients = {name: leaf.grad.double().numpy() for name, leaf in leaves.items()}
    return outputs.detach().double().numpy(), total.item(), number, gradients


@each_scale
@each_model
def test_numpy_gradients_are_the_slopes_of_the_loss(model, scale):
    spec, parameters, inputs, targets = setting(*model, scale)
    model = NumpyMlp(spec)
    gradients = numpy_gradients(model, parameters, inputs, targets)[3]
    assert [(name, g.shape) for name, g in gradients.items()] == [(n, p.shape) for n, p in parameters.items()]
    for name, gradient in gradients.items():
        assert np.linalg.norm(gradient) > 1e-3, name
        for index in np.ndindex(gradient.shape):
            losses = []
            for step in (1e-5, -1e-5):
                moved = parameters[name].copy()
                moved[index] += step
                outputs = model.forward(parameters | {name: moved}, inputs)[0]
                losses.append(model.loss_sum(outputs, targets)[0])
            slope = (losses[0] - losses[1]) / 2e-5
            assert slope == pytest.approx(gradient[index], rel=1e-6, abs=1e-8), (name, index)


@pytest.mark.parametrize(
    ("dtype", "tolerances"),
    [(torch.float64, (1e-12, 1e-11)), (torch.float32, (1e-5, 1e-4)), (torch.bfloat16, (0.05, 0.1))],
)
@each_scale
@each_model
def test_torch_agrees(model, scale, dtype, tolerances):
    spec, parameters, inputs, targets = setting(*model, scale)
    loss, tolerance = tolerances
    outputs, total, number, gradients = numpy_gradients(NumpyMlp(spec), parameters, inputs, targets)
    found = torch_gradients(TorchMlp(spec), parameters, inputs, targets, dtype)
    assert np.linalg.norm(found[0] - outputs) <= tolerance * np.linalg.norm(outputs)
    assert found[1] == pytest.approx(total, rel=loss)
    assert found[2] == number == (15 if spec.task == "regression" else 4)
    assert list(found[3]) == list(gradients)
    for name, gradient in gradients.items():
        assert np.linalg.norm(found[3][name] - gradient) <= tolerance * np.linalg.norm(gradient), name


@pytest.mark.parametrize(
    ("activation", "module"),
    [("relu", torch.nn.ReLU()), ("gelu", torch.nn.GELU(approximate="tanh")), ("tanh", torch.nn.Tanh())],
)
def test_outputs_are_those_of_plain_modules(activation, module):
    spec, parameters, inputs, _ = setting(activation, "regression", (7, 5), 0.5)
    sizes = [(4, 7), (7, 5), (5, 3)]
    layers = [torch.nn.Linear(*size, dtype=torch.float64) for size in sizes]
    for layer, name in zip(layers, ("hidden.0", "hidden.1", "output"), strict=True):
        layer.load_state_dict(
            {kind: torch.from_numpy(parameters[f"{name}.{kind}"]) for kind in ("weight", "bias")}
        )
    plain = torch.nn.Sequential(layers[0], module, layers[1], module, layers[2])
    expected = plain(torch.from_numpy(inputs)).detach().numpy()
    np.testing.assert_allclose(
        NumpyMlp(spec).forward(parameters, inputs)[0], expected, rtol=1e-12, atol=1e-13
    )


@pytest.mark.parametrize("name", layers_numpy.ACTIVATIONS)
def test_activations_and_slopes_are_those_of_torch_far_out_too(name):
    function, backward = layers_numpy.ACTIVATIONS[name]
    x = np.concatenate([np.linspace(-8, 8, 161), [-1e3, -40.0, 40.0, 1e3]])
    leaf = torch.tensor(x, requires_grad=True)
    oracle = {
        "gelu": lambda z: torch.nn.functional.gelu(z, approximate="tanh"),
        "relu": torch.relu, "silu": torch.nn.functional.silu, "tanh": torch.tanh,
    }[name]  # fmt: skip
    y = oracle(leaf)
    y.sum().backward()
    np.testing.assert_allclose(function(x), y.detach().numpy(), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(backward(x, np.ones_like(x)), leaf.grad.numpy(), rtol=1e-12, atol=1e-14)


def test_gelu_is_within_its_stated_distance_of_the_erf_form():
    x = np.linspace(-6, 6, 2001)
    exact = torch.nn.functional.gelu(torch.from_numpy(x)).numpy()
    assert 4e-4 < np.abs(layers_numpy.gelu(x) - exact).max() < 5e-4


def test_rows_of_equal_index_are_summed():
    rng = np.random.default_rng(4)
    indices, values = rng.integers(0, 6, size=200), rng.normal(size=(200, 3))
    found, expected = np.ones((8, 3)), np.ones((8, 3))
    layers_numpy.add_rows(found, indices, values)
    np.add.at(expected, indices, values)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize(
    "model",
    [
        MlpModel(mlp=Mlp(inputs=2, hidden=(3,), outputs=1)),
        DecoderModel(decoder=Decoder(vocab=5, width=4, layers=1, heads=2, positions="learned")),
    ],
    ids=["mlp", "decoder"],
)
def test_factories_make_models_that_know_their_names(model):
    names = tuple(tensor.name for tensor in describe(model, 6))
    assert numpy_model(model, 6).names == torch_model(model, 6).names == names
