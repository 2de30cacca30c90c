"""Every fault: its contract, that it really breaks what it says, and that benign ones break nothing."""

import copy
import sys
import tracemalloc
from dataclasses import fields, is_dataclass, replace
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch

from harness.backends.numpy_float64 import NumpyFloat64
from harness.discover import get, plugins, working
from harness.faults import Area, TraceFault, TrainingFault
from harness.measure import Progress
from harness.model import IGNORE, Measurement
from harness.problem import build_problem
from harness.spec import (
    AdamW,
    AdamWOptimizer,
    Clusters,
    ClustersData,
    Decoder,
    DecoderModel,
    Mlp,
    MlpModel,
    Schedule,
    Sgd,
    SgdOptimizer,
    Teacher,
    TeacherData,
    TextData,
)
from harness.testing.healthy import healthy_facts
from harness.testing.sample import recorder_of, sample_case
from harness.worker import Job, run

TRAINING = [name for name, fault in working("faults").items() if issubclass(fault, TrainingFault)]
TRACE = [name for name, fault in working("faults").items() if issubclass(fault, TraceFault)]
BENIGN = [name for name in TRAINING if get("faults", name).benign]
BREAKING = [name for name in TRAINING if name not in BENIGN]
BACKENDS = ("torch_eager", "numpy_float64")

CLOSE = 1e-5
"""Losses of a benign variant, relative. Float32 rounds at 6e-8, which six steps magnify."""
CHANGED = 1e-6
"""What counts as a change: ten times the rounding of float32; the slightest fault is far above it."""

STEPS = 4
DECODER = {"vocab": 11, "width": 16, "layers": 1, "heads": 2, "hidden": 24, "init_std": 0.2}
ADAMW = AdamWOptimizer(adamw=AdamW(lr=0.01, weight_decay=0.1))
MOMENTUM = SgdOptimizer(sgd=Sgd(lr=0.2, momentum=0.9, weight_decay=0.1))
PLAIN = {
    "optimizer": SgdOptimizer(sgd=Sgd(lr=0.5)), "schedule": Schedule(), "clip_norm": None, "lengths": None,
    "micro_batches": 1,
}  # fmt: skip


def decoder(**options):
    return DecoderModel(decoder=Decoder(**{**DECODER, **options}))


def perceptron(task, outputs):
    return MlpModel(mlp=Mlp(inputs=5, hidden=(12, 12), outputs=outputs, task=task))


TEXT = {"data": TextData(text="data/sample.txt", stride=12), "path": Path("cases/x.yaml"), "lengths": None}
FAMILIES = {
    "adamw": {"optimizer": ADAMW, "model": decoder(positions="learned", layers=2)},
    "sgd": {"optimizer": MOMENTUM, "model": decoder()},
    "rotary": {
        "optimizer": ADAMW, "schedule": Schedule(kind="linear", final=0.1),
        "model": decoder(positions="rotary", heads=4, kv_heads=2, norm="rmsnorm", activation="swiglu"),
    },
    "plain": {**PLAIN, "model": decoder(positions="none")},
    "dropout": {"optimizer": ADAMW, "model": decoder(dropout=0.3)},
    "regression": {
        **PLAIN, "optimizer": ADAMW, "data": TeacherData(teacher=Teacher()), "batch": 8, "clip_norm": 0.1,
        "model": perceptron("regression", 1),
    },
    "classification": {
        **PLAIN, "optimizer": MOMENTUM, "data": ClustersData(clusters=Clusters()), "batch": 8,
        "micro_batches": 2, "model": perceptron("classification", 3),
    },
}  # fmt: skip
"""Ragged lengths, micro-batches, clipping that acts and a moving rate, unless `PLAIN`."""


@cache
def case_of(family):
    options = {"clip_norm": 0.1, "steps": STEPS, **FAMILIES[family]}
    return sample_case(options.pop("model"), **options)


@cache
def problem_of(family):
    return build_problem(case_of(family))


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    one_thread()


def one_thread():
    torch.set_num_threads(1)
    NumpyFloat64().configure(case_of("plain").config)


def builder(backend, family, name=""):
    """The problem, and what builds trainers; both broken by a fault if one is named."""
    problem, build = problem_of(family), get("backends", backend)().build
    if not name:
        return problem, lambda: build(problem)
    fault = get("faults", name)()
    broken = fault.spoil_problem(problem)

    def build_broken():
        trainer = build(broken)
        fault.spoil_trainer(trainer)
        return trainer

    return broken, build_broken


# what can be seen of a training


def story(backend, family, name="", folder=None):
    """All that can be seen of a training from outside, as arrays by name. It is told once, and kept."""
    if (backend, family, name) not in TOLD:
        TOLD[backend, family, name] = _tell(backend, family, name, folder)
    return TOLD[backend, family, name]


TOLD = {}


def _tell(backend, family, name, folder):
    problem, build = builder(backend, family, name)
    trainer, inputs = build(), problem.batches[0].inputs
    seen = {"fresh gradients": _flat(trainer.gradients(problem.batches[0])), "start": trainer.logits(inputs)}
    trace, state = _recorded(trainer, problem)
    names = ("loss", "learning_rate", "gradient_norm", "clipped_norm", "update_norm", "update_ratio")
    seen |= {key: getattr(trace, key) for key in names} | dict(trace.events)
    seen["optimized"] = np.array([each in trainer.optimized() for each in trainer.names])
    seen["aliased"] = np.array([np.shares_memory(*pair) for pair in combinations(trainer.weight_arrays(), 2)])
    seen["end"] = _flat(trainer.parameters())
    other = build()
    seen["resumed"] = _resumed(other, problem, state)
    seen["reopened"] = _reopened(trainer, other, folder)
    return seen | _evaluated(trainer, problem)


def _recorded(trainer, problem):
    recorder, middle = recorder_of(trainer, problem), len(problem.batches) // 2
    for number, batch in enumerate(problem.batches):
        if number == middle:
            state = trainer.state()
        recorder.finish_step(trainer.step(batch, recorder))
    return recorder.trace(), state


def _resumed(trainer, problem, state):
    trainer.restore(state)
    return np.array([trainer.step(batch) for batch in problem.batches[len(problem.batches) // 2 :]])


def _reopened(trainer, other, folder):
    path = folder / "checkpoint"
    trainer.save(path)
    other.load({name: np.zeros_like(values) for name, values in other.parameters().items()})
    other.open(path)
    return _flat(other.parameters())


def _evaluated(trainer, problem):
    batch, seen = problem.batches[0], {"mode": np.array([trainer.training])}
    seen["logits"], seen["inferred"] = trainer.logits(batch.inputs), trainer.infer(batch.inputs)
    if batch.targets.dtype.kind == "i":
        seen["score"] = np.array([trainer.score(each) for each in (*problem.batches, problem.held_out)])
    seen["mode after"] = np.array([trainer.training])
    trainer.train(False)
    seen["held out"] = np.array([trainer.loss(problem.held_out) for _ in range(2)])
    trainer.train()
    seen["mode in the end"] = np.array([trainer.training])
    return seen


def _flat(arrays):
    return np.concatenate(
        [np.zeros(0), *(np.asarray(values, np.float64).ravel() for values in arrays.values())]
    )


def differences(ours, theirs, tolerance):
    """What differs between two stories."""
    return [key for key in theirs if not _alike(ours[key], theirs[key], tolerance)]


def _alike(ours, theirs, tolerance):
    if ours.shape != theirs.shape:
        return False
    finite = theirs[np.isfinite(theirs)].astype(np.float64)
    scale = float(np.abs(finite).max(initial=0.0))
    return np.allclose(ours, theirs, rtol=tolerance, atol=tolerance * scale, equal_nan=True)


def everywhere(names):
    """Faults with the backends and families that they can be injected into."""
    return [
        pytest.param(name, backend, family, id=f"{name}-{backend}-{family}")
        for name in names
        for backend in get("faults", name).backends or BACKENDS
        if backend in BACKENDS  # what is compiled has its own file: test_faults_compiled.py
        for family in (FAMILIES if backend == "torch_eager" else ("adamw",))
        if family not in SPECIAL or name in BENIGN or applies(name, family) != applies(name, "adamw")
    ]


SPECIAL = ("plain", "dropout", "regression")
"""Families that show where a fault does not apply, or applies after all."""


def applies(name, family):
    return not get("faults", name)().not_applicable(case_of(family))


# contract


@pytest.mark.parametrize("name", working("faults"))
def test_it_keeps_the_contract(name):
    fault = get("faults", name)
    about = plugins("faults")[name].about
    assert about.endswith("."), about
    assert len(about) <= 120
    assert fault.__doc__
    assert fault().name == name
    assert not vars(fault())
    assert fault.area in get_args(Area)
    assert set(fault.backends) <= set(working("backends"))
    assert name.startswith("benign_") == fault.benign
    assert name.startswith("trace_") == issubclass(fault, TraceFault)
    assert not (fault.benign and fault.named)


SPEAK_FOR_THEMSELVES = {"trace_cut_short", "trace_metric_missing"}
"""Broken records: the reason of the failing check is their name."""


@pytest.mark.parametrize("name", [*BREAKING, *TRACE])
def test_a_diagnosis_of_that_name_exists(name):
    named = set(get("faults", name).named)
    assert named or name in SPEAK_FOR_THEMSELVES
    assert named <= set(working("diagnoses"))


@pytest.mark.parametrize("name", TRAINING)
def test_what_does_not_apply_says_why(name):
    for family in FAMILIES:
        why = get("faults", name)().not_applicable(case_of(family))
        assert isinstance(why, str)
        assert why == why.strip().rstrip(".")


def test_there_are_enough_of_them():
    assert len(BREAKING) + len(TRACE) >= 40
    assert len(BENIGN) >= 10
    areas = {get("faults", name).area for name in [*BREAKING, *TRACE]}
    assert areas >= set(get_args(Area))


def test_every_fault_applies_somewhere():
    idle = {
        name for name in TRAINING if all(get("faults", name)().not_applicable(case_of(f)) for f in FAMILIES)
    }
    # The first needs epochs; see its own test. The others need ranks: test_backend_torch_ddp.py.
    assert idle == {"never_reshuffled", "ranks_out_of_sync", "ranks_share_data"}


# training faults: they change what can be seen

ON_THEIR_OWN = {
    "memory_leak", "slower_every_step", "nondeterministic_reduction", "never_reshuffled", "ranks_out_of_sync",
    "ranks_share_data",
}  # fmt: skip
"""They change no number of one training; each has its own test below, those of ranks with their backend."""


@pytest.mark.parametrize(
    ("name", "backend", "family"), everywhere(n for n in BREAKING if n not in ON_THEIR_OWN)
)
def test_it_breaks_the_training_or_does_not_apply(name, backend, family, tmp_path):
    why = get("faults", name)().not_applicable(case_of(family))
    try:
        broken = story(backend, family, name, tmp_path)
    except (AttributeError, LookupError, RuntimeError, UserWarning, ValueError):
        assert why, "it cannot be built, and does not say why"
        return
    changed = differences(broken, story(backend, family, folder=tmp_path), CHANGED)
    if why:
        changed = [key for key in changed if not key.startswith("mode")]  # a flag that nothing depends on
    assert bool(changed) != bool(why), f"{why or 'applies'}; changed: {changed}"


@pytest.mark.parametrize(("name", "backend", "family"), everywhere(BENIGN))
def test_a_benign_variant_changes_nothing_that_matters(name, backend, family, tmp_path):
    why = get("faults", name)().not_applicable(case_of(family))
    if name == "benign_other_threads" and family != "regression":
        why = "two threads and a small tensor: it takes seconds"
    if why:
        pytest.skip(why)
    healthy = story(backend, family, folder=tmp_path)
    try:
        changed = differences(story(backend, family, name, tmp_path), healthy, CLOSE)
    finally:
        if name == "benign_other_threads":
            one_thread()
    assert set(changed) <= {"backward", "zero_grad"}  # how often, not what


NOT_COMPARED = {"layers_start_equal", "benign_other_threads"}
"""The gradient of the one is zero in theory, and rounding in practice; the other takes time."""
BOTH = [
    name
    for name in TRAINING
    if set(get("faults", name).backends or BACKENDS) >= set(BACKENDS) and name not in NOT_COMPARED
]


@pytest.mark.parametrize("family", ["adamw", "sgd"])
@pytest.mark.parametrize("name", BOTH)
def test_both_backends_break_alike(name, family, tmp_path):
    """The two are written independently: each is the other's oracle."""
    why = get("faults", name)().not_applicable(case_of(family))
    if why:
        pytest.skip(why)
    ours, theirs = (story(backend, family, name, tmp_path) for backend in BACKENDS)
    for key in ("loss", "learning_rate", "optimized", "update", "zero_grad"):
        assert _alike(ours[key], theirs[key], 1e-4), key


@pytest.mark.parametrize("name", [name for name in BREAKING if name != "nondeterministic_reduction"])
def test_it_is_deterministic(name, tmp_path):
    family = "plain"
    if get("faults", name)().not_applicable(case_of(family)):
        pytest.skip("it changes nothing here")
    again = _tell("torch_eager", family, name, tmp_path)
    assert differences(again, story("torch_eager", family, name, tmp_path), 0.0) == []


@pytest.mark.parametrize("name", TRAINING)
def test_the_healthy_problem_stays_as_it_was(name):
    for family in ("adamw", "regression"):
        problem = problem_of(family)
        fault, before = get("faults", name)(), replace(problem).digest
        if fault.not_applicable(case_of(family)):
            continue
        spoiled = fault.spoil_problem(problem)
        assert replace(problem).digest == before
        assert spoiled is problem or spoiled.digest != before


# single faults, by what they mean


def trained(backend, family, name):
    problem, build = builder(backend, family, name)
    return _recorded(build(), problem)[0]


both = pytest.mark.parametrize("backend", BACKENDS)


@both
@pytest.mark.parametrize(
    ("name", "ratio"),
    [("double_step", 2), ("triple_step", 3), ("optimizer_never_steps", 0), ("gradient_ascent", -1),
     ("zero_grad_before_step", 0), ("optimizer_holds_copies", 0)],
)  # fmt: skip
def test_updates_are_this_many_times_what_the_rule_gives(name, ratio, backend):
    assert trained(backend, "plain", name).update_ratio == pytest.approx(ratio, abs=2e-3)


@both
@pytest.mark.parametrize("name", ["loss_detached", "gradient_buffers_missing"])
def test_no_gradient_arrives(name, backend):
    problem, build = builder(backend, "adamw", name)
    trainer = build()
    trainer.step(problem.batches[0])
    assert all(flat is None for flat in trainer.gradient_arrays())
    assert trainer.gradients(problem.batches[0]) == {}


@both
def test_accumulation_is_too_large_by_the_number_of_parts(backend):
    trace, fine = (trained(backend, "classification", name) for name in ("accumulation_not_divided", ""))
    assert trace.gradient_norm[0] == pytest.approx(2 * fine.gradient_norm[0], rel=1e-5)
    assert trace.loss[0] == pytest.approx(fine.loss[0], rel=1e-6)


@both
def test_mean_of_means_weighs_short_samples_too_much(backend):
    problem, build = builder(backend, "adamw", "mean_of_means")
    batch, parts = problem.batches[0], []
    healthy = builder(backend, "adamw")[1]()
    for half in (slice(0, 2), slice(2, 4)):
        part = {field.name: getattr(batch, field.name)[half] for field in fields(batch)}
        parts.append(
            _flat(healthy.gradients(type(batch)(**{key: v.repeat(2, 0) for key, v in part.items()})))
        )
    assert _alike(_flat(build().gradients(batch)), np.mean(parts, axis=0), 1e-5)


@both
def test_clipping_of_scaled_gradients_leaves_next_to_nothing(backend):
    trace = trained(backend, "adamw", "clip_before_unscale")
    norms = np.sqrt((trace.clipped_norm**2).sum(axis=1))
    assert norms == pytest.approx(0.1 / 65536, rel=1e-3)


@both
def test_rates_are_those_of_other_steps(backend):
    problem = problem_of("adamw")
    steps = range(len(problem.batches))
    parts = problem.config.micro_batches
    expected = {
        "schedule_per_micro_batch": [problem.learning_rate(step * parts) for step in steps],
        "schedule_never_advances": [problem.learning_rate(0) for _ in steps],
        "schedule_restarts": [problem.learning_rate(step % 2) for step in steps],
        "learning_rate_hundredfold": [100 * problem.learning_rate(step) for step in steps],
        "learning_rate_zero": [0.0 for _ in steps],
    }
    for name, rates in expected.items():
        assert trained(backend, "adamw", name).learning_rate == pytest.approx(rates), name


@pytest.mark.parametrize(
    ("name", "future", "past"),
    [
        ("no_causal_mask", True, True), ("causal_mask_off_by_one", True, True),
        ("causal_mask_inverted", True, False), ("attention_doubles_input", False, False),
        ("samples_mixed", False, False), ("rotary_twice", False, True),
    ],
)  # fmt: skip
def test_which_positions_a_token_reaches(name, future, past):
    problem, build = builder("torch_eager", "rotary", name)
    trainer, inputs = build(), problem.batches[0].inputs
    changed = inputs.copy()
    changed[:, 4] = (changed[:, 4] + 1) % 11
    moved = np.abs(trainer.logits(changed) - trainer.logits(inputs)).max(axis=(0, 2))
    assert (moved[:4].max() > 1e-4, moved[5:].max() > 1e-4) == (future, past)
    assert moved[4] > 1e-4


def test_one_sample_reaches_another():
    problem, build = builder("torch_eager", "adamw", "samples_mixed")
    trainer, inputs = build(), problem.batches[0].inputs
    changed = inputs.copy()
    changed[0] = (changed[0] + 1) % 11
    assert np.abs(trainer.logits(changed) - trainer.logits(inputs))[1:].max() > 1e-4


def test_attention_that_doubles_has_the_gradient_of_a_doubling():
    """Finite differences of the broken loss along the broken gradient."""
    problem, build = builder("numpy_float64", "adamw", "attention_doubles_input")
    trainer, batch, small = build(), problem.batches[0], 1e-6
    gradients = trainer.gradients(batch)
    start = {name: values.copy() for name, values in trainer.parameters().items()}
    losses = []
    for sign in (1, -1):
        trainer.load({name: start[name] + sign * small * gradients[name] for name in start})
        losses.append(trainer.loss(batch))
    slope = sum(float((values**2).sum()) for values in gradients.values())
    assert (losses[0] - losses[1]) / (2 * small) == pytest.approx(slope, rel=1e-6)


@both
def test_uniform_output_costs_the_logarithm_of_the_vocabulary(backend):
    trace = trained(backend, "adamw", "output_uniform")
    assert trace.loss == pytest.approx(np.log(11), rel=1e-6)
    assert not trace.gradient_norm.any()


@both
def test_not_a_number_begins_in_the_middle(backend):
    assert np.isnan(trained(backend, "adamw", "nan_at_step").loss).tolist() == [False] * 2 + [True] * 2
    trace = trained(backend, "adamw", "inf_in_one_tensor")
    assert np.isfinite(trace.loss).tolist() == [True] * 3 + [False]
    assert np.isinf(trace.gradient_norm).sum(axis=1).tolist()[:3] == [0, 0, 1]


@both
def test_one_tensor_stands_still(backend):
    for name in ("frozen_tensor", "optimizer_misses_tensor"):
        moved = trained(backend, "adamw", name).update_norm.sum(axis=0) > 0
        assert (~moved).sum() == 1, name
    problem, build = builder(backend, "adamw", "optimizer_misses_tensor")
    trainer = build()
    trainer.step(problem.batches[0])
    assert len(trainer.optimized()) == len(trainer.names) - 1
    assert all(flat is not None and flat.any() for flat in trainer.gradient_arrays())


def test_weights_in_half_precision_lose_updates():
    problem, build = builder("torch_eager", "adamw", "bfloat16_weights")
    trainer = build()
    before = _flat(trainer.parameters())
    trainer.train()
    trainer.zero_gradients()
    trainer.accumulate(problem.batches[0])
    trainer.update(1e-5)
    assert (_flat(trainer.parameters()) == before).mean() > 0.5


def test_gradients_underflow_without_a_loss_scale():
    problem, build = builder("torch_eager", "adamw", "gradients_in_float16_underflow")
    healthy, broken = builder("torch_eager", "adamw")[1](), build()
    for trainer in (healthy, broken):
        trainer.load({name: 0.02 * values for name, values in trainer.parameters().items()})
    batch = problem.batches[0]
    zero = [(_flat(trainer.gradients(batch)) == 0).mean() for trainer in (healthy, broken)]
    assert zero[1] > zero[0] + 0.2


# data, by what they mean


def spoiled(name, family="adamw"):
    problem = problem_of(family)
    return problem, get("faults", name)().spoil_problem(problem)


def test_labels_stand_where_they_say():
    for name, shift in (("labels_not_shifted", 0), ("labels_shifted_twice", 2)):
        before, after = spoiled(name)
        for old, new in zip(before.batches, after.batches, strict=True):
            length = old.inputs.shape[1]
            counted = new.targets[:, : length - shift] != IGNORE
            aligned = new.targets[:, : length - shift] == old.inputs[:, shift:]
            # The input at a sample's end is padding: what it should show is not seen there.
            counted &= np.arange(length - shift) < (old.lengths - shift)[:, None]
            assert aligned[counted].all(), name
            assert ((new.targets != IGNORE).sum(axis=1) >= 1).all()


def test_shuffled_labels_are_the_same_labels():
    before, after = spoiled("labels_shuffled")
    for old, new in zip(before.batches, after.batches, strict=True):
        assert (np.sort(old.targets, axis=None) == np.sort(new.targets, axis=None)).all()
        assert ((old.targets == IGNORE) == (new.targets == IGNORE)).all()
        assert (old.targets != new.targets).any()


def test_padding_counts():
    _, after = spoiled("padding_in_loss")
    assert all((batch.targets != IGNORE).all() for batch in after.batches)
    assert any((batch.lengths < 8).any() for batch in after.batches)


def test_every_third_answer_leaks():
    before, after = spoiled("label_leak")
    for old, new in zip(before.batches, after.batches, strict=True):
        leaks = np.zeros(old.inputs.shape, bool)
        leaks[:, ::3] = old.targets[:, ::3] != IGNORE
        assert (new.inputs == np.where(leaks, old.targets, old.inputs)).all()
    before, after = spoiled("label_leak", "classification")
    assert (after.batches[0].inputs[:, 0] == before.batches[0].targets).all()
    assert (after.batches[0].inputs[:, 1:] == before.batches[0].inputs[:, 1:]).all()


def test_the_same_batch_comes_again():
    _, after = spoiled("same_batch_every_step")
    assert len(after.batches) == STEPS
    assert {id(batch) for batch in after.batches} == {id(after.batches[0])}


def test_samples_come_twice_in_a_batch():
    _, after = spoiled("samples_duplicated")
    assert [batch.sample_ids.tolist() for batch in after.batches[:2]] == [[0, 1, 0, 1], [4, 5, 4, 5]]


def text_case(**options):
    case = sample_case(decoder(vocab=27), **{**PLAIN, "data": TEXT["data"], "steps": 16, **options})
    return replace(case, path=Path(__file__).parents[1] / "cases" / "x.yaml")


def test_every_epoch_has_the_order_of_the_first():
    case, fault = text_case(), get("faults", "never_reshuffled")()
    problem = build_problem(case)
    ids = [batch.sample_ids.tolist() for batch in problem.batches]
    epoch = next(step for step in range(1, 16) if set(ids[step]) & {i for one in ids[:step] for i in one})
    after = [batch.sample_ids.tolist() for batch in fault.spoil_problem(problem).batches]
    assert fault.not_applicable(case) == ""
    assert ids[:epoch] == after[:epoch]
    assert ids != after
    assert all(after[step] == after[step % epoch] for step in range(16))
    short = text_case(steps=2)
    assert fault.not_applicable(short) == "no sample comes a second time"
    assert fault.spoil_problem(build_problem(short)).digest == build_problem(short).digest


def test_what_is_held_out_is_trained_on():
    before, after = spoiled("held_out_in_training")
    assert not set(before.held_out.sample_ids) & {i for batch in before.batches for i in batch.sample_ids}
    assert set(after.held_out.sample_ids) <= {i for batch in after.batches for i in batch.sample_ids}
    fault, case = get("faults", "held_out_in_training")(), text_case()
    assert fault.not_applicable(case) == "the text is too short to hold anything out"
    assert fault.spoil_problem(build_problem(case)).digest == build_problem(case).digest


# memory, time, and chance


def peaks(name):
    problem, build = builder("numpy_float64", "plain", name)
    trainer, held = build(), []
    tracemalloc.start()
    try:
        for batch in problem.batches:
            trainer.step(batch)
            held.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    return np.diff(held[1:])


def test_memory_grows_with_every_step():
    assert (peaks("memory_leak") >= 2**20).all()
    assert (np.abs(peaks("")) < 2**16).all()


def calls(name):
    """How many functions the last steps call: the time that they take, without a clock."""
    problem = build_problem(sample_case(decoder(), **{**PLAIN, "steps": 13}))
    trainer = NumpyFloat64().build(problem)
    if name:
        get("faults", name)().spoil_trainer(trainer)
    return [_counted_calls(lambda batch=batch: trainer.step(batch)) for batch in problem.batches][1:]


def _counted_calls(function):
    events = []
    sys.setprofile(lambda _frame, event, _what: events.append(event))
    try:
        function()
    finally:
        sys.setprofile(None)
    return events.count("call")


def test_steps_take_longer_and_longer():
    fine, slow = calls(""), calls("slower_every_step")
    assert len(set(fine)) == 1
    assert slow == sorted(slow)
    assert len(set(slow)) == 4  # one batch more to evaluate at every fourth step
    assert slow[0] > fine[0]


@pytest.mark.parametrize("family", ["adamw", "regression"])
def test_no_two_trainings_are_the_same(family, tmp_path):
    name = "nondeterministic_reduction"
    first, second = (_tell("torch_eager", family, name, tmp_path) for _ in range(2))
    assert "end" in differences(first, second, 0.0)
    assert not _alike(first["loss"], second["loss"], 0.0)
    assert _alike(first["loss"], second["loss"], CLOSE)


# trace faults


def same(ours, theirs):
    """Whether two recorded values are equal, NaN included."""
    if isinstance(ours, np.ndarray):
        return np.array_equal(ours, theirs, equal_nan=True)
    if is_dataclass(ours):
        return all(same(getattr(ours, each.name), getattr(theirs, each.name)) for each in fields(ours))
    if isinstance(ours, dict):
        return ours.keys() == theirs.keys() and all(same(ours[key], theirs[key]) for key in ours)
    return ours == theirs


@pytest.mark.parametrize("name", TRACE)
def test_a_trace_fault_changes_a_copy(name):
    facts = healthy_facts()
    before = copy.deepcopy(facts)
    spoiled_facts = get("faults", name)().spoil(facts)
    assert same(facts, before)
    assert not same(spoiled_facts, facts)
    assert type(spoiled_facts) is type(facts)


@pytest.mark.parametrize("name", TRACE)
def test_a_trace_fault_says_what_it_lacks(name):
    lacking = replace(healthy_facts(), trace=None, measurements={})
    with pytest.raises(NotImplementedError, match=r"no step was|nothing was measured"):
        get("faults", name)().spoil(lacking)


def trace_fault(name):
    facts = healthy_facts()
    return facts, get("faults", name)().spoil(facts)


@pytest.mark.parametrize(("name", "factor"), [("trace_one_percent", 1.01), ("trace_one_signed", 1.002)])
def test_losses_move_with_their_distance_from_the_reference(name, factor):
    before, after = trace_fault(name)
    assert after.trace.loss == pytest.approx(factor * before.trace.loss)
    distance = after.answers["reference"].facts["loss_difference"]
    assert distance == pytest.approx(np.full(28, factor - 1), rel=1e-4)


def test_one_number_is_not_a_number():
    _, after = trace_fault("trace_nan_loss")
    assert np.flatnonzero(np.isnan(after.trace.loss)).tolist() == [14]
    _, after = trace_fault("trace_gradient_nan")
    assert np.argwhere(np.isnan(after.trace.gradient_norm)).tolist() == [[14, 1]]


def test_a_spike_is_ten_times_as_high():
    before, after = trace_fault("trace_spike")
    factor = after.trace.gradient_norm / before.trace.gradient_norm
    assert np.flatnonzero(factor.max(axis=1) != 1).tolist() == [14]
    assert factor[14] == pytest.approx(10)
    assert (after.trace.clipped_norm / before.trace.clipped_norm)[14] == pytest.approx(10)


def test_frozen_stands():
    _, after = trace_fault("trace_frozen")
    assert set(after.trace.loss) == {np.log(27)}
    assert not after.trace.update_norm.any()
    assert not after.trace.update_ratio.any()
    assert len(set(after.trace.digests)) == 1


def test_cut_short_is_half():
    _, after = trace_fault("trace_cut_short")
    assert after.trace.steps == 14
    assert after.trace.gradient_norm.shape == (14, 3)
    assert {len(counts) for counts in after.trace.events.values()} == {14}
    assert len(after.trace.digests) == len(after.answers["reference"].facts["loss_difference"]) == 14


def test_memory_is_ten_percent_up():
    before, after = trace_fault("trace_memory_up")
    assert after.trace.memory[-1] == pytest.approx(1.1 * before.trace.memory[-1])
    peak = "peak_memory.train"
    assert after.measurements[peak].value == pytest.approx(1.1 * before.measurements[peak].value)
    assert isinstance(after.measurements[peak], Measurement)


def test_slow_down_is_five_times():
    before, after = trace_fault("trace_slow_down")
    samples = after.measurements["step_time"].samples
    assert samples[-1] / samples[0] == pytest.approx(5)
    assert after.measurements["step_time"].value == pytest.approx(3 * before.measurements["step_time"].value)
    assert after.measurements["throughput"].value == pytest.approx(
        before.measurements["throughput"].value / 3
    )


def test_rates_are_halved_from_the_middle():
    before, after = trace_fault("trace_rate_off")
    factor = after.trace.learning_rate / before.trace.learning_rate
    assert factor.tolist() == [1.0] * 14 + [0.5] * 14


def test_one_update_is_lost():
    _, after = trace_fault("trace_update_lost")
    assert np.flatnonzero(after.trace.update_norm.max(axis=1) == 0).tolist() == [14]
    assert after.trace.update_ratio[14].tolist() == [0, 0, 0]
    assert after.trace.digests[14] == after.trace.digests[13]


def test_no_measurement_is_left():
    assert trace_fault("trace_metric_missing")[1].measurements == {}


# through the worker


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("name", "ratio"), [("double_step", 2), ("", 1)])
def test_the_worker_breaks_every_trainer(name, ratio, backend, tmp_path):
    job = Job(case=case_of("plain"), backend=backend, scratch=tmp_path, fault=name)
    facts = run(job, Progress(job.progress_path))
    assert facts.trace.update_ratio == pytest.approx(ratio, abs=2e-3)


def test_the_worker_breaks_the_problem(tmp_path):
    job = Job(case=case_of("adamw"), backend="numpy_float64", scratch=tmp_path, fault="labels_not_shifted")
    facts = run(job, Progress(job.progress_path))
    assert facts.problem.digest == spoiled("labels_not_shifted")[1].digest
