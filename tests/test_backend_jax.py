"""JAX beside the reference: in float64, where both do the same arithmetic, and as close as float32 allows."""

import subprocess
import sys

import numpy as np
import pytest
from test_backends import DECODERS, TRAININGS, decoder, train_beside

from harness.backends.jax import Jax
from harness.model import HarnessError, Outcome
from harness.runner import Runner, Task
from harness.spec import Clusters, ClustersData, Mlp, MlpModel, Teacher, TeacherData
from harness.testing import relative_distances, sample_case, sample_problem
from harness.testing.backends import agrees

pytest.importorskip("jax", reason="needs jax")
pytest.importorskip("optax", reason="needs optax")

MODELS = {
    "default": {},
    "like CLLM": DECODERS["like CLLM"],
    "like SmolLM": DECODERS["like SmolLM"],
    "learned positions, untied, one key/value head": {
        "positions": "learned", "tied": False, "kv_heads": 1, "attention_bias": True, "hidden": 24,
    },
    "no positions": {"positions": "none", "norm_eps": 0.1, "mlp_bias": False, "init_std": 0.3},
    "another rope_theta": {"positions": "rotary", "rope_theta": 7.0},
}  # fmt: skip
"""Every option, in few models: each takes a second to compile."""
RULES = (
    "sgd with weight decay", "momentum", "nesterov", "adamw with its options", "no clipping", "hard clipping",
    "clipping that never acts", "four parts",
)  # fmt: skip
"""Trainings whose rules are optax's or our own in JAX; schedules and data are the same for all backends."""


def built(model=None, **config):
    problem = sample_problem(model or decoder(), **config)
    Jax().configure(problem.config)
    return Jax().build(problem), problem


@pytest.mark.parametrize("options", MODELS.values(), ids=MODELS)
def test_decoders_agree_with_the_reference_in_float64(options):
    trainer, problem = built(decoder(**options), dtype="float64")
    assert agrees(trainer, problem, loss=1e-12, gradients=1e-10) < 1e-10
    assert {values.dtype for values in trainer.parameters().values()} == {np.dtype(np.float64)}


def test_every_option_of_the_decoder_is_tried():
    tried = {option for options in MODELS.values() for option in options}
    assert tried >= {option for options in DECODERS.values() for option in options}


def test_a_decoder_agrees_with_the_reference_in_float32():
    trainer, problem = built(decoder(**DECODERS["like SmolLM"]))
    agrees(trainer, problem, loss=1e-5, gradients=1e-4)
    fresh = Jax().build(problem)
    ours, theirs, _ = train_beside(fresh, problem)
    assert ours == pytest.approx(theirs, rel=1e-5)
    assert {values.dtype for values in fresh.parameters().values()} == {np.dtype(np.float32)}


@pytest.mark.parametrize("name", RULES)
def test_trainings_follow_the_reference(name):
    trainer, problem = built(dtype="float64", **TRAININGS[name])
    ours, theirs, reference = train_beside(trainer, problem)
    assert ours == pytest.approx(theirs, rel=1e-12)
    assert max(relative_distances(trainer.parameters(), reference.parameters()).values()) < 1e-9


@pytest.mark.parametrize(
    ("task", "activation"), [("regression", "relu"), ("regression", "gelu"), ("classification", "tanh")]
)
def test_perceptrons_agree_with_the_reference(task, activation):
    model = MlpModel(mlp=Mlp(inputs=5, hidden=(8, 6), outputs=3, activation=activation, task=task))
    data = TeacherData(teacher=Teacher()) if task == "regression" else ClustersData(clusters=Clusters())
    trainer, problem = built(model, data=data, lengths=None, sequence=1, dtype="float64")
    ours, theirs, reference = train_beside(trainer, problem)
    assert ours == pytest.approx(theirs, rel=1e-12)
    assert max(relative_distances(trainer.parameters(), reference.parameters()).values()) < 1e-9


def test_bfloat16_is_kept_in_bfloat16():
    trainer, problem = built(dtype="bfloat16")
    ours, theirs, _ = train_beside(trainer, problem)
    assert ours == pytest.approx(theirs, rel=0.01)
    words = np.concatenate([np.ravel(values) for values in trainer.parameters().values()]).view(np.uint32)
    assert not (words & 0xFFFF).any()


def test_views_of_weights_stay_as_they_were():
    trainer, problem = built()
    before = trainer.parameters()
    kept = {name: values.copy() for name, values in before.items()}
    trainer.step(problem.batches[0])
    assert all(np.array_equal(before[name], kept[name]) for name in kept)
    assert not np.array_equal(trainer.parameters()["embedding"], kept["embedding"])


def test_a_text_longer_than_its_positions_is_refused():
    trainer, _ = built(decoder(positions="learned"))
    with pytest.raises(HarnessError, match="9 tokens given, learned positions hold 8"):
        trainer.logits(np.zeros((1, 9), np.int64))


def test_dropout_is_not_computed():
    why = Jax().unsupported(sample_case(decoder(dropout=0.1)))
    assert why == "draws no random masks, model.decoder.dropout is 0.1; expected 0"


def test_nothing_is_compiled_in_a_step():
    import jax

    trainer, problem = built(decoder(width=12))  # no other test has compiled this one
    assert trainer.prepare((*problem.batches, problem.held_out)) is True
    (measured,) = trainer.measurements()
    assert (measured.name, measured.unit, len(measured.samples)) == ("compile_time", "s", 2)
    assert measured.value == pytest.approx(sum(measured.samples))
    with jax.log_compiles(), pytest.MonkeyPatch.context() as patch:
        compiled = []
        patch.setattr("jax._src.compiler.compile_or_get_cached", lambda *given, **_: compiled.append(given))
        for batch in problem.batches:
            trainer.step(batch)
    assert compiled == []


def test_importing_starts_no_thread():
    # What the fork server imports must leave it a process that can be forked.
    code = (
        "import os, numpy; before = len(os.listdir('/proc/self/task'))\n"
        "import jax, jax.numpy, optax, harness.models.decoder_jax\n"
        "print(len(os.listdir('/proc/self/task')) - before)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0", done.stderr


def test_it_runs_from_the_fork_server(tmp_path):
    (finished,) = Runner(cache=tmp_path / "cache").run([Task(case=sample_case(), backend="jax")])
    assert finished.facts.outcome is Outcome.COMPLETED, finished.facts
    assert finished.facts.measurements["compile_time"].value > 0
    assert list((tmp_path / "cache" / "jax").iterdir())
