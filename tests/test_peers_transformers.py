"""Our decoder beside the Llama of transformers, as SmolLM-135M is built but small: logits, loss, every gradient.

Theirs normalises and rotates in float32 whatever its dtype, which sets the tolerances.
"""

import numpy as np
import pytest
import torch

from harness.discover import get
from harness.model import IGNORE, Batch
from harness.spec import Decoder, DecoderModel
from harness.testing import relative_distances, sample_problem

transformers = pytest.importorskip("transformers", reason="needs transformers")

SPEC = Decoder(
    vocab=49, width=24, layers=2, heads=6, kv_heads=2, hidden=40, norm="rmsnorm", activation="swiglu",
    positions="rotary", mlp_bias=False,
)  # fmt: skip
PARTS = {
    "attention_norm": "input_layernorm", "attention.query": "self_attn.q_proj", "attention.key": "self_attn.k_proj",
    "attention.value": "self_attn.v_proj", "attention.output": "self_attn.o_proj",
    "mlp_norm": "post_attention_layernorm", "mlp.gate": "mlp.gate_proj", "mlp.up": "mlp.up_proj",
    "mlp.down": "mlp.down_proj",
}  # fmt: skip
NAMES = {"embedding": "model.embed_tokens.weight", "final_norm.weight": "model.norm.weight"} | {
    f"layers.{layer}.{ours}.weight": f"model.layers.{layer}.{theirs}.weight"
    for layer in range(SPEC.layers)
    for ours, theirs in PARTS.items()
}
"""Theirs by ours; the tied head is the embedding in both."""


@pytest.fixture(scope="module")
def llama():
    config = transformers.LlamaConfig(
        vocab_size=SPEC.vocab, hidden_size=SPEC.width, intermediate_size=SPEC.hidden,
        num_hidden_layers=SPEC.layers, num_attention_heads=SPEC.heads, num_key_value_heads=SPEC.kv_heads,
        rms_norm_eps=SPEC.norm_eps, tie_word_embeddings=True, initializer_range=0.3, use_cache=False,
    )  # fmt: skip
    torch.manual_seed(0)
    model = transformers.LlamaForCausalLM(config).float()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "norm" in name:
                weight.uniform_(0.5, 1.5)  # gains of 1 would hide a norm without one
    return model


@pytest.fixture(scope="module")
def batch():
    draw = np.random.default_rng(1)
    tokens = draw.integers(0, SPEC.vocab, (3, 10))
    targets = tokens[:, 1:].copy()
    targets[1, 5:] = IGNORE
    inputs = np.ascontiguousarray(tokens[:, :-1])
    return Batch(inputs=inputs, targets=targets, sample_ids=np.arange(3), lengths=np.array([9, 5, 9]))


@pytest.fixture(scope="module")
def theirs(llama, batch):
    """Logits, loss and gradients of transformers, by our names."""
    labels = np.concatenate([np.full((3, 1), IGNORE), batch.targets], axis=1)[:, :-1]
    inputs = torch.from_numpy(batch.inputs)
    logits = llama(inputs).logits
    loss = torch.nn.functional.cross_entropy(
        logits.reshape(-1, SPEC.vocab), torch.from_numpy(batch.targets).reshape(-1), ignore_index=IGNORE
    )
    llama.zero_grad()
    loss.backward()
    parameters = dict(llama.named_parameters())
    gradients = {ours: parameters[name].grad.double().numpy() for ours, name in NAMES.items()}
    # Their own loss shifts the labels itself; the last target is one that it cannot see.
    shifted = llama(inputs, labels=torch.from_numpy(labels)).loss
    return logits.detach().numpy(), float(loss.detach()), gradients, float(shifted.detach())


@pytest.fixture(params=["torch_eager", "numpy_float64", "jax"])
def trainer(request, llama):
    backend = get("backends", request.param)()
    if why := backend.unavailable():
        pytest.skip(why)
    problem = sample_problem(DecoderModel(decoder=SPEC), batch=3, micro_batches=3)
    backend.configure(problem.config)
    made = backend.build(problem)
    parameters = dict(llama.named_parameters())
    assert set(NAMES) == set(made.names)
    assert set(NAMES.values()) == set(parameters)
    made.load({ours: parameters[name].detach().numpy() for ours, name in NAMES.items()})
    return made


def test_the_decoder_is_theirs(trainer, theirs, batch):
    logits, loss, gradients, _ = theirs
    assert np.std(logits) > 0.5
    np.testing.assert_allclose(trainer.logits(batch.inputs), logits, rtol=1e-4, atol=1e-4 * np.std(logits))
    assert trainer.loss(batch) == pytest.approx(loss, rel=1e-5)
    assert max(relative_distances(trainer.gradients(batch), gradients).values()) < 1e-4


def test_their_own_loss_is_ours(trainer, theirs, batch):
    targets = batch.targets.copy()
    targets[:, -1] = IGNORE
    shorter = Batch(inputs=batch.inputs, targets=targets, sample_ids=batch.sample_ids, lengths=batch.lengths)
    assert trainer.loss(shorter) == pytest.approx(theirs[3], rel=1e-5)
