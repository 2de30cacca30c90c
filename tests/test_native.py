"""Our engine in C: threads, checkpoints, text, memory. That it computes as the reference: test_backends.py."""

import ctypes
import gc
import json
import re
from dataclasses import replace

import engines
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from harness.backends._native import NativeTrainer, config_text, library_of
from harness.backends.native_c import NativeC
from harness.backends.numpy_float64 import NumpyTrainer
from harness.model import IGNORE, BrokenError, HarnessError, Outcome
from harness.native import FOLDER, compiler
from harness.native.library import ABI, OPTIONAL, REQUIRED, Engine
from harness.passes import digest
from harness.runner import Task, impossible
from harness.spec import (
    AdamW,
    AdamWOptimizer,
    Decoder,
    DecoderModel,
    Library,
    Mlp,
    MlpModel,
    Sgd,
    SgdOptimizer,
)
from harness.testing import relative_distances, sample_case, sample_problem

pytestmark = engines.needs_compiler

THREADS = DecoderModel(
    decoder=Decoder(vocab=1000, width=128, layers=2, heads=4, attention_output=False, final_norm=False)
)
"""The model of report 002."""
SMOL = DecoderModel(
    decoder=Decoder(
        vocab=19, width=40, layers=2, heads=4, kv_heads=2, hidden=56, norm="rmsnorm", activation="swiglu",
        positions="rotary", mlp_bias=False,
    )
)  # fmt: skip
ODD = DecoderModel(decoder=Decoder(vocab=301, width=99, layers=1, heads=3, hidden=77, tied=False))
"""Sizes that are no multiple of any vector."""


@pytest.fixture
def engine():
    problem = sample_problem()
    made = NativeTrainer(problem)
    yield made
    made.close()


# The interface.


def test_the_header_and_the_calls_name_the_same_functions():
    header = (FOLDER / "engine.h").read_text()
    declared = set(re.findall(r"^ENGINE_API [^;(]*?engine_(\w+)\(", header, re.MULTILINE))
    assert declared == set(REQUIRED) | set(OPTIONAL)
    assert re.search(rf"#define ENGINE_ABI {ABI}\b", header)
    assert re.search(rf"#define ENGINE_IGNORE \({IGNORE}\)", header)


def test_every_key_that_an_engine_is_told_is_in_the_header():
    header = (FOLDER / "engine.h").read_text()
    keys = [line.partition("=")[0] for line in config_text(sample_problem()).splitlines()]
    assert len(keys) == len(set(keys))
    assert [key for key in keys if not re.search(rf"\b{key}\b", header)] == []


def test_every_fault_is_described_and_compiled_somewhere():
    described = set(re.findall(r"\bFAULT_\w+", (FOLDER / "faults.h").read_text().partition("*/")[0]))
    conditions = "\n".join(
        line for path in FOLDER.glob("*.[ch]") for line in path.read_text().splitlines() if line[:1] == "#"
    )
    assert described == set(re.findall(r"\bFAULT_\w+", conditions))


def test_the_engine_is_readable_in_parts():
    for path in FOLDER.glob("*.[ch]"):
        lines = path.read_text().splitlines()
        assert len(lines) <= 310, path.name
        assert max(map(len, lines)) <= 125, path.name
        assert lines[0].startswith("/* "), f"{path.name}: expected a comment that says what it is"


# What it computes.


@pytest.mark.parametrize("model", [THREADS, SMOL, ODD], ids=["threads", "smol", "odd"])
def test_the_number_of_threads_changes_no_bit(model):
    found = []
    for threads in (1, 2, 8):
        problem = sample_problem(model, threads=threads, steps=3)
        trainer = NativeC().build(problem)
        found.append(([trainer.step(batch) for batch in problem.batches], digest(trainer)))
        trainer.close()
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("model", [THREADS, SMOL, ODD], ids=["threads", "smol", "odd"])
def test_larger_models_agree_with_the_reference(model):
    problem = sample_problem(model, batch=16, sequence=33, lengths=(5, 33), micro_batches=1)
    trainer, reference = NativeC().build(problem), NumpyTrainer(problem)
    batch = problem.batches[0]
    assert trainer.loss(batch) == pytest.approx(reference.loss(batch), rel=1e-6)
    distances = relative_distances(trainer.gradients(batch), reference.gradients(batch))
    assert max(distances.values()) < 1e-5, distances
    assert np.allclose(trainer.logits(batch.inputs), reference.logits(batch.inputs), atol=1e-5)


@pytest.mark.parametrize("clip_norm", [None, 0.01])
@pytest.mark.parametrize(
    "optimizer",
    [
        SgdOptimizer(sgd=Sgd(lr=0.5, weight_decay=0.1)),
        SgdOptimizer(sgd=Sgd(lr=0.1, momentum=0.9, nesterov=True)),
        AdamWOptimizer(adamw=AdamW(lr=0.003, betas=(0.8, 0.9), eps=1e-4, weight_decay=0.5)),
    ],
    ids=["sgd", "nesterov", "adamw"],
)
def test_weights_end_where_the_reference_ends(optimizer, clip_norm):
    trainer, _, problem = engines.trained(optimizer=optimizer, clip_norm=clip_norm)
    reference = NumpyTrainer(problem)
    for batch in problem.batches:
        reference.step(batch)
    assert max(relative_distances(trainer.parameters(), reference.parameters()).values()) < 1e-4


def test_numbers_that_are_not_finite_are_not_hidden(engine):
    problem = sample_problem()
    engine.load({"embedding": np.full((11, 16), np.nan)})
    assert np.isnan(engine.step(problem.batches[0]))
    assert all(np.isnan(values).any() for values in engine.parameters().values())


def test_logits_of_more_samples_than_fit_at_a_time(engine):
    inputs = np.arange(7 * 8).reshape(7, 8) % 11
    together, one_by_one = engine.logits(inputs), [engine.logits(row[None]) for row in inputs]
    assert np.allclose(together, np.concatenate(one_by_one), atol=1e-6)
    assert engine.logits(inputs[:, :3]).shape == (7, 3, 11)


# What it refuses.


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([[1, 2, 11]], "token 11, expected 0 to 10"),
        ([[-1]], "token -1, expected 0 to 10"),
        ([[0] * 9], "1 samples of 9 tokens, expected at least one of 1 to 8 tokens"),
    ],
)
def test_tokens_that_cannot_be(engine, inputs, message):
    with pytest.raises(BrokenError, match=r"^builtin: ") as caught:
        engine.logits(np.array(inputs))
    assert str(caught.value) == f"builtin: {message}"


def test_targets_that_cannot_be(engine):
    with pytest.raises(BrokenError, match="builtin: target 12, expected 0 to 10, or -100"):
        engine.engine.loss(np.array([[1]]), np.array([[12]]))
    with pytest.raises(BrokenError, match="builtin: backward: total 0, expected at least 1"):
        engine.engine.backward(np.array([[1]]), np.array([[IGNORE]]), 0)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("norm=layernorm", "norm=batchnorm", "config: norm=batchnorm cannot be computed"),
        ("vocab=11", "vocab=0", "config: vocab=0 cannot be computed"),
        ("vocab=11\n", "", "config: lacks 'vocab'"),
        ("heads=2", "heads=3", "config: heads must divide width, and kv_heads must divide heads"),
        ("norm_eps=1e-05", "norm_eps=nan", "config: norm_eps=nan cannot be computed"),
        ("vocab=11", "vocabulary=11", "config: unknown key 'vocabulary'"),
        ("vocab=11", "vocab", "config: unknown key 'vocab'"),
        ("vocab=11", "x" * 200, "config: a line of more than 127 characters"),
    ],
)
def test_configs_that_cannot_be_computed(old, new, message):
    problem = sample_problem()
    text = config_text(problem)
    assert f"\n{text}".count(f"\n{old}") == 1
    text = f"\n{text}".replace(f"\n{old}", f"\n{new}")
    with pytest.raises(HarnessError) as caught:
        Engine(library_of(problem), text, problem.tensors)
    assert str(caught.value) == f"builtin: {message}"


def test_training_without_asking_for_it_is_an_error():
    functions = library_of(sample_problem()).functions
    message = ctypes.create_string_buffer(200)
    address = functions["create"](config_text(sample_problem()).encode(), message, 200)
    for name, arguments in {
        "zero_gradients": (),
        "backward": (None, None, 1, 1, 1, None),
        "clip": (1.0, None),
        "update": (0.1,),
    }.items():
        assert functions[name](address, *arguments) == 1
        assert b"call engine_init_for_training first" in functions["error"](address)
    functions["destroy"](address)


# Checkpoints, and going on.


def test_checkpoints_are_safetensors(engine, tmp_path):
    path = tmp_path / "checkpoint"
    engine.save(path)
    found = load_file(path)
    assert set(found) == set(engine.names)
    assert all(np.array_equal(found[name], values) for name, values in engine.parameters().items())
    other = NativeTrainer(sample_problem(seed=5))
    assert digest(other) != digest(engine)
    other.open(path)
    assert digest(other) == digest(engine)


def test_checkpoints_that_others_wrote_are_read(engine, tmp_path):
    values = {
        name: np.random.default_rng(3).standard_normal(each.shape).astype(np.float32)
        for name, each in engine.parameters().items()
    }
    save_file(values, tmp_path / "theirs")
    engine.open(tmp_path / "theirs")
    assert all(np.array_equal(engine.parameters()[name], each) for name, each in values.items())


def test_checkpoints_that_do_not_fit_are_refused(engine, tmp_path):
    path = tmp_path / "x"
    with pytest.raises(BrokenError, match="cannot be read: No such file or directory"):
        engine.open(path)
    with pytest.raises(BrokenError, match="cannot be written: "):
        engine.save(tmp_path / "none" / "x")
    path.write_bytes(b"no checkpoint at all")
    with pytest.raises(BrokenError, match="is no safetensors file"):
        engine.open(path)
    values = {name: np.array(each) for name, each in engine.parameters().items()}
    save_file({**values, "more": np.zeros(3, np.float32)}, path)
    with pytest.raises(BrokenError, match=r"checkpoint: holds 16 tensors, the model has 15"):
        engine.open(path)
    save_file({**values, "embedding": np.zeros((16, 11), np.float32)}, path)
    with pytest.raises(BrokenError, match="holds no float32 tensor 'embedding' of the model's shape"):
        engine.open(path)
    engine.save(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(BrokenError, match="checkpoint: ends within 'final_norm"):
        engine.open(path)


def test_a_state_of_another_size_is_refused(engine):
    with pytest.raises(BrokenError, match=r"builtin: state: 3 bytes, expected \d+"):
        engine.engine.restore(b"abc")


# Text.


def test_greedy_text_is_the_most_likely_token_after_the_other():
    trainer, _, problem = engines.trained(steps=20)
    prompt = problem.held_out.inputs[0][:3]
    text = list(prompt)
    for _ in range(12):
        text.append(int(trainer.logits(np.array([text[-8:]]))[0, -1].argmax()))
    assert trainer.engine.generate(prompt, 12).tolist() == text[3:]


def test_drawn_text_follows_its_seed_and_stays_among_the_most_likely():
    trainer, _, problem = engines.trained()
    prompt = problem.held_out.inputs[0][:3]
    drawn = [trainer.engine.generate(prompt, 40, top_k=4, seed=seed).tolist() for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    text = [*prompt.tolist(), *drawn[0]]
    for end in range(3, len(text)):
        logits = trainer.logits(np.array([text[max(0, end - 8) : end]]))[0, -1]
        assert text[end] in np.argsort(logits)[-4:]
    cold = trainer.engine.generate(prompt, 10, top_k=11, temperature=1e-3)
    assert cold.tolist() == trainer.engine.generate(prompt, 10).tolist()


def test_shares_of_drawn_tokens_are_those_of_the_model():
    trainer, _, problem = engines.trained()
    prompt = problem.held_out.inputs[0][:3]
    draws = [int(trainer.engine.generate(prompt, 1, top_k=11, seed=seed)[0]) for seed in range(2000)]
    logits = trainer.logits(prompt[None])[0, -1].astype(np.float64)
    shares = np.exp(logits - logits.max())
    shares /= shares.sum()
    error = np.sqrt(shares * (1 - shares) / len(draws))
    assert (np.abs(np.bincount(draws, minlength=11) / len(draws) - shares) < 5 * error).all()


def test_text_that_cannot_be_generated(engine):
    with pytest.raises(
        BrokenError, match="generate: needs a prompt, top_k of at least 1, and a temperature above 0"
    ):
        engine.engine.generate(np.array([1]), 3, temperature=0.0)
    assert engine.engine.generate(np.array([1]), 0).size == 0


# Memory.


def test_weights_and_gradients_are_views_of_the_engines_memory(engine):
    batch = sample_problem().batches[0]
    before = engine.loss(batch)
    engine.parameters()["embedding"][:] = 0
    assert engine.loss(batch) != before
    engine.step(batch)
    assert engine.gradient_arrays()[0].any()
    assert all(not flat.flags.owndata for flat in (*engine.weight_arrays(), *engine.gradient_arrays()))


def test_memory_outlives_the_trainer_while_it_is_looked_at():
    trainer = NativeTrainer(sample_problem())
    view = trainer.parameters()["embedding"]
    expected = view.copy()
    trainer.close()
    del trainer
    gc.collect()
    assert np.array_equal(view, expected)


def test_the_shared_gradient_is_that_of_the_embedding():
    use = NativeTrainer(sample_problem(THREADS, threads=8)).engine.memory()
    assert use["shared_gradient"] == 1000 * 128 * 4  # 0.49 MiB, as report 002 has it
    assert 490_752 * 4 <= use["weights"] < 490_752 * 4 + 64 * 30
    assert use["gradients"] == use["weights"]
    assert use["optimizer"] == 2 * use["weights"]


# The backend.


def test_what_it_cannot_compute():
    case = sample_case(MlpModel(mlp=Mlp(inputs=2, hidden=(3,), outputs=1)))
    assert NativeC().unsupported(case) == "computes decoders only, model is an mlp"
    case = sample_case(DecoderModel(decoder=Decoder(vocab=3, width=4, layers=1, heads=1, dropout=0.25)))
    assert NativeC().unsupported(case) == "draws no random masks, model.decoder.dropout is 0.25; expected 0"
    assert (
        NativeC().unsupported(sample_case(dtype="float64"))
        == "computes in float32 only, config.dtype is float64"
    )
    assert NativeC().unsupported(sample_case()) == ""


def test_what_it_records():
    found = NativeC().configure(sample_problem(threads=3).config)
    assert found["threads"] == 3
    assert found["dtype"] == "float32"
    assert json.loads(json.dumps(found)) == found


def test_without_a_compiler_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(compiler, "COMPILERS", ("no-such-compiler",))
    monkeypatch.delenv("CC", raising=False)
    expected = "needs a C compiler: install gcc or clang (apt install gcc), or name one in CC"
    assert NativeC().unavailable() == expected
    with pytest.raises(HarnessError, match=r"^builtin: cannot be compiled: needs a C compiler"):
        compiler.library_file(["builtin"], ["-DNEVER_BUILT"])


def test_without_a_compiler_a_ready_made_library_still_runs(monkeypatch, tmp_path):
    made = tmp_path / "engine.so"
    made.write_bytes(compiler.library_file(["builtin"]).read_bytes())
    monkeypatch.setattr(compiler, "COMPILERS", ("no-such-compiler",))
    monkeypatch.delenv("CC", raising=False)
    decoder = sample_problem().model.decoder
    ready = Library(decoder=decoder, source=str(made))
    cases = [replace(sample_case(), library=each) for each in (ready, replace(ready, source="x.c"), None)]
    found = [impossible(Task(case=case, backend="native_c")) for case in cases]
    why = "needs a C compiler: install gcc or clang (apt install gcc), or name one in CC", Outcome.UNAVAILABLE
    assert found == [None, why, why]
    trainer = NativeC().build(replace(sample_problem(), library=ready))
    batch = sample_problem().batches[0]
    assert trainer.step(batch) > trainer.loss(batch)


def test_flags_of_a_case_reach_the_compiler():
    library = Library(decoder=sample_problem().model.decoder, flags=("-DFAULT_RANDOM_LOGITS",))
    trainer = NativeC().build(replace(sample_problem(), library=library))
    inputs = sample_problem().batches[0].inputs
    assert not np.array_equal(trainer.infer(inputs), trainer.infer(inputs))
    assert np.array_equal(trainer.logits(inputs), trainer.logits(inputs))


def test_what_is_built_once_is_built_before_anybody_takes_the_time(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    library = Library(decoder=sample_problem().model.decoder, source=str(engines.STUB))
    NativeC().prepare(replace(sample_problem(), library=library))
    [built] = compiler.cache_folder().iterdir()
    assert built.suffix == ".so"
