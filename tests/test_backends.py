"""Every backend beside the reference: all options of models, at both scales of weights, and of training.

What holds for each backend alone is its contract, in `harness.testing` and test_plugins.py.
"""

import inspect
from dataclasses import fields
from typing import ClassVar

import numpy as np
import pytest
import torch

from harness.backends import Backend, Program
from harness.backends.numpy_float64 import NumpyFloat64, NumpyTrainer
from harness.backends.torch_eager import TorchEager
from harness.discover import working
from harness.model import IGNORE
from harness.passes import digest
from harness.spec import (
    AdamW,
    AdamWOptimizer,
    Clusters,
    ClustersData,
    Config,
    Copy,
    CopyData,
    Decoder,
    DecoderModel,
    Mlp,
    MlpModel,
    Schedule,
    Sgd,
    SgdOptimizer,
    Teacher,
    TeacherData,
)
from harness.testing import observe, relative_distances, sample_case, sample_problem
from harness.testing.backends import GRADIENTS, agrees

BY_THEMSELVES = {"jax", "torch_compile", "torch_cuda", "torch_cuda_compile", "torch_ddp"}
"""They compile or start processes: test_backend_<name>.py tries what is theirs, in seconds."""
COMPUTING = [
    name
    for name, backend in working("backends").items()
    if not issubclass(backend, Program) and name not in BY_THEMSELVES
]
OTHERS = [name for name in COMPUTING if not working("backends")[name].reference]

DECODERS = {
    "default": {},
    "rmsnorm": {"norm": "rmsnorm"},
    "norm_eps": {"norm_eps": 0.1},
    "swiglu": {"activation": "swiglu"},
    "hidden": {"hidden": 24},
    "no positions": {"positions": "none"},
    "learned positions": {"positions": "learned"},
    "rotary positions": {"positions": "rotary"},
    "rope_theta": {"positions": "rotary", "rope_theta": 7.0},
    "one head": {"heads": 1},
    "one key/value head": {"kv_heads": 1},
    "grouped heads": {"heads": 4, "kv_heads": 2},
    "no attention_output": {"attention_output": False},
    "attention_bias": {"attention_bias": True},
    "no mlp_bias": {"mlp_bias": False},
    "no final_norm": {"final_norm": False},
    "untied": {"tied": False},
    "two layers": {"layers": 2},
    "init_std": {"init_std": 0.3},
    "like CLLM": {"attention_output": False, "final_norm": False, "heads": 1},
    "like SmolLM": {
        "norm": "rmsnorm", "activation": "swiglu", "positions": "rotary", "mlp_bias": False, "heads": 4,
        "kv_heads": 2, "layers": 2,
    },
}  # fmt: skip
TRAININGS = {
    "sgd": {"optimizer": SgdOptimizer(sgd=Sgd(lr=0.5))},
    "sgd with weight decay": {"optimizer": SgdOptimizer(sgd=Sgd(lr=0.5, weight_decay=0.1))},
    "momentum": {"optimizer": SgdOptimizer(sgd=Sgd(lr=0.1, momentum=0.9, weight_decay=0.01))},
    "nesterov": {"optimizer": SgdOptimizer(sgd=Sgd(lr=0.1, momentum=0.9, nesterov=True))},
    "adamw": {"optimizer": AdamWOptimizer(adamw=AdamW(lr=0.003))},
    "adamw with its options": {
        "optimizer": AdamWOptimizer(adamw=AdamW(lr=0.003, betas=(0.8, 0.9), eps=1e-4, weight_decay=0.5))
    },
    "no clipping": {"clip_norm": None},
    "hard clipping": {"clip_norm": 0.01},
    "clipping that never acts": {"clip_norm": 1e6},
    "constant": {"schedule": Schedule()},
    "warm-up": {"schedule": Schedule(warmup=4)},
    "linear": {"schedule": Schedule(kind="linear", warmup=1, final=0.2)},
    "cosine to zero": {"schedule": Schedule(kind="cosine")},
    "one part": {"micro_batches": 1},
    "four parts": {"micro_batches": 4},
    "even lengths": {"lengths": None},
    "copy": {"data": CopyData(copy=Copy()), "lengths": None},
}


def decoder(**options):
    return DecoderModel(decoder=Decoder(**{"vocab": 11, "width": 16, "layers": 1, "heads": 2, **options}))


def built(name, model=None, **config):
    """A trainer and its problem; skipped where the backend is not there, or says that it cannot."""
    backend: Backend = working("backends")[name]()
    model = model or decoder()
    if why := backend.unavailable() or backend.unsupported(sample_case(model, **config)):
        pytest.skip(why)
    problem = sample_problem(model, **config)
    backend.configure(problem.config)
    return backend.build(problem), problem


def train_beside(trainer, problem):
    """Losses of a trainer and of the reference, over all steps."""
    reference = NumpyTrainer(problem)
    pairs = [(trainer.step(batch), reference.step(batch)) for batch in problem.batches]
    return *map(list, zip(*pairs, strict=True)), reference


def test_every_option_of_the_decoder_is_tried():
    tried = {option for options in DECODERS.values() for option in options}
    elsewhere = {"vocab", "width", "dropout"}  # dropout: test_dropout.py, no other backend has its masks
    assert tried | elsewhere >= {field.name for field in fields(Decoder)}


def test_every_option_of_training_is_tried():
    tried = {option for options in TRAININGS.values() for option in options}
    elsewhere = {"steps", "batch", "sequence", "dtype", "seed", "threads", "ranks"}
    assert tried | elsewhere == {field.name for field in fields(Config)}


@pytest.mark.parametrize("options", DECODERS.values(), ids=DECODERS)
@pytest.mark.parametrize("name", OTHERS)
def test_decoders_agree_with_the_reference(name, options):
    trainer, problem = built(name, decoder(**options))
    assert (
        0 < agrees(trainer, problem) < GRADIENTS
    )  # float32 beside float64: equal bits would be no comparison


@pytest.mark.parametrize("options", DECODERS.values(), ids=DECODERS)
@pytest.mark.parametrize("name", OTHERS)
def test_decoders_train_as_the_reference(name, options):
    trainer, problem = built(name, decoder(**options), optimizer=SgdOptimizer(sgd=Sgd(lr=0.1)))
    ours, theirs, _ = train_beside(trainer, problem)
    assert ours == pytest.approx(theirs, rel=1e-5)
    assert theirs[0] != theirs[-1]


@pytest.mark.parametrize("config", TRAININGS.values(), ids=TRAININGS)
@pytest.mark.parametrize("name", OTHERS)
def test_trainings_follow_the_reference(name, config):
    # In float64 both do the same arithmetic, so that the rule itself is compared and not its rounding.
    trainer, problem = built(name, dtype="float64", **config)
    ours, theirs, reference = train_beside(trainer, problem)
    assert ours == pytest.approx(theirs, rel=1e-12)
    assert max(relative_distances(trainer.parameters(), reference.parameters()).values()) < 1e-9


@pytest.mark.parametrize("config", TRAININGS.values(), ids=TRAININGS)
@pytest.mark.parametrize("name", OTHERS)
def test_trainings_follow_the_reference_in_float32(name, config):
    trainer, problem = built(name, **config)
    ours, theirs, _ = train_beside(trainer, problem)
    assert ours == pytest.approx(theirs, rel=1e-5)


@pytest.mark.parametrize("activation", ["relu", "gelu", "tanh"])
@pytest.mark.parametrize("task", ["regression", "classification"])
@pytest.mark.parametrize("name", OTHERS)
def test_perceptrons_agree_with_the_reference(name, task, activation):
    model = MlpModel(mlp=Mlp(inputs=5, hidden=(8, 6), outputs=3, activation=activation, task=task))
    data = {
        "regression": TeacherData(teacher=Teacher()),
        "classification": ClustersData(clusters=Clusters()),
    }[task]
    trainer, problem = built(name, model, data=data, lengths=None, sequence=1)
    batch, reference = problem.batches[0], NumpyTrainer(problem)
    distances = relative_distances(trainer.gradients(batch), reference.gradients(batch))
    assert max(distances.values()) < 1e-4, distances
    ours, theirs, _ = train_beside(trainer, problem)
    assert ours == pytest.approx(theirs, rel=1e-5)


@pytest.mark.parametrize(("dtype", "loss"), [("float64", 1e-13), ("float32", 1e-6), ("bfloat16", 0.01)])
@pytest.mark.parametrize("name", OTHERS)
def test_each_dtype_is_as_close_as_its_precision(name, dtype, loss):
    trainer, problem = built(name, dtype=dtype)
    ours, theirs, _ = train_beside(trainer, problem)
    assert ours == pytest.approx(theirs, rel=loss)
    # And no closer: the numbers are really kept in that precision.
    kept = {"float64": np.float64, "float32": np.float32, "bfloat16": np.float32}[dtype]
    assert {values.dtype for values in trainer.parameters().values()} == {np.dtype(kept)}
    if dtype == "bfloat16":
        words = np.concatenate([np.ravel(values) for values in trainer.parameters().values()]).view(np.uint32)
        assert not (words & 0xFFFF).any()


@pytest.mark.parametrize("name", COMPUTING)
def test_a_seed_gives_its_own_training(name):
    curves = []
    for seed in (0, 0, 1):
        trainer, problem = built(name, seed=seed)
        curves.append([trainer.step(batch) for batch in problem.batches])
    assert curves[0] == curves[1] != curves[2]


@pytest.mark.parametrize("name", COMPUTING)
def test_padding_does_not_change_the_loss(name):
    # The tokens behind a sample's end may be anything.
    trainer, problem = built(name)
    batch = problem.batches[0]
    other = batch.inputs.copy()
    beyond = np.arange(other.shape[1]) >= batch.lengths[:, None]
    assert beyond.any()
    assert (batch.targets[beyond] == IGNORE).all()
    other[beyond] = 3
    changed = type(batch)(
        inputs=other, targets=batch.targets, sample_ids=batch.sample_ids, lengths=batch.lengths
    )
    assert trainer.loss(changed) == pytest.approx(trainer.loss(batch), rel=1e-6)


@pytest.mark.parametrize("name", COMPUTING)
def test_the_trace_of_a_healthy_training(name):
    backend = working("backends")[name]()
    if why := backend.unavailable():
        pytest.skip(why)
    problem = sample_problem()
    with observe(backend, problem) as context:
        trace = context.trace
    assert trace.learning_rate == pytest.approx(problem.facts.learning_rates)
    assert trace.update_ratio == pytest.approx(np.ones_like(trace.update_ratio), abs=1e-4)
    assert (trace.update_error < 1e-3).all()
    assert np.sqrt((trace.clipped_norm**2).sum(axis=1)).max() <= problem.config.clip_norm * 1.0001
    assert np.sqrt((trace.gradient_norm**2).sum(axis=1)).max() > problem.config.clip_norm


def test_torch_loads_where_it_is_needed_only():
    source = inspect.getsource(inspect.getmodule(TorchEager))
    assert "import torch" in source
    assert "\nimport torch" not in source


def test_a_backend_that_lacks_its_package_says_what_to_install():
    class Needs(Backend):
        packages: ClassVar = {"not_there": "a-package>=2", "numpy": "numpy", "nor_this": "other==1"}

    assert Needs().unavailable() == "needs a-package>=2 and other==1: pip install 'a-package>=2' 'other==1'"
    assert NumpyFloat64().unavailable() == ""
    assert TorchEager().unavailable() == ""


def test_torch_is_set_up_for_the_case():
    found = TorchEager().configure(sample_problem(threads=1, seed=7).config)
    assert torch.get_num_threads() == found["threads"] == 1
    assert torch.initial_seed() == 7
    assert torch.are_deterministic_algorithms_enabled() is found["deterministic_algorithms"] is True
    assert found["device"] == "cpu"
    assert found["dtype"] == "float32"


def test_the_reference_computes_in_float64_whatever_the_case_says():
    trainer, problem = built("numpy_float64", dtype="bfloat16")
    twin, _ = built("numpy_float64", dtype="float32")
    assert [trainer.step(batch) for batch in problem.batches] == [
        twin.step(batch) for batch in problem.batches
    ]
    assert digest(trainer) == digest(twin)
    assert NumpyFloat64().configure(problem.config)["dtype"] == "float64"


@pytest.mark.parametrize("settings", [{}, {"micro_batches": 2}], ids=["whole", "micro-batches"])
def test_the_reference_tells_from_one_pass_what_three_give(settings):
    reference, problem = built("numpy_float64", **settings)
    batch = problem.batches[0]
    logits, loss, gradients = reference.told(batch)
    np.testing.assert_array_equal(logits, reference.logits(batch.inputs))
    assert loss == reference.loss(batch)
    wanted = reference.gradients(batch)
    assert gradients.keys() == wanted.keys()
    for name, values in gradients.items():
        np.testing.assert_allclose(values, wanted[name], rtol=1e-12, atol=1e-15, err_msg=name)
    assert reference.held == {}
