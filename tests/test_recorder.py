import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from naive import Both, Naive, Toy, columns
from threadpoolctl import threadpool_limits

from harness.backends._torch import TorchTrainer
from harness.backends.numpy_float64 import NumpyTrainer
from harness.measure import resident_bytes
from harness.model import TENSOR_COLUMNS
from harness.optimizers import rule
from harness.passes import digest
from harness.recorder import DEFERRED, Recorder
from harness.reductions import CHUNK
from harness.spec import AdamW, AdamWOptimizer, Decoder, DecoderModel, Sgd, SgdOptimizer
from harness.testing.sample import recorder_of, sample_problem

TRAINERS = {"torch": TorchTrainer, "numpy": NumpyTrainer}
PLAIN = SgdOptimizer(sgd=Sgd(lr=0.5))
MOMENTUM = SgdOptimizer(sgd=Sgd(lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.05))
ADAMW = AdamWOptimizer(adamw=AdamW(lr=0.01, betas=(0.8, 0.95), weight_decay=0.1))
OPTIMIZERS = {"sgd": PLAIN, "momentum": MOMENTUM, "adamw": ADAMW}
WIDE = DecoderModel(decoder=Decoder(vocab=11, width=24, layers=1, heads=2, hidden=32))
both_trainers = pytest.mark.parametrize("make", TRAINERS.values(), ids=TRAINERS)
all_optimizers = pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with threadpool_limits(1):
        yield
    torch.set_num_threads(before)


def trained(trainer, problem):
    """The recorder that watched a training, and the losses."""
    recorder = recorder_of(trainer, problem)
    losses = []
    for batch in problem.batches:
        losses.append(trainer.step(batch, recorder))
        recorder.finish_step(losses[-1])
    return recorder, losses


def toy_recorder(toy, optimizer=PLAIN, *, clips=False):
    matrices = [True] * len(toy.names)
    return Recorder(trainer=toy, matrices=matrices, rule=rule(optimizer), seed=0, clips=clips)


def step(recorder, rate=0.5):
    """One step of a toy that does nothing but be looked at."""
    recorder.gradients_ready()
    recorder.gradients_clipped()
    recorder.updated(rate)
    recorder.finish_step(1.0)


class TestColumns:
    @both_trainers
    @all_optimizers
    @pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
    @pytest.mark.parametrize("settings", [{"clip_norm": 0.1, "micro_batches": 2}, {"clip_norm": None}])
    def test_they_are_those_of_plain_loops(self, make, optimizer, dtype, settings):
        problem = sample_problem(WIDE, optimizer=optimizer, dtype=dtype, steps=4, **settings)
        trainer = make(problem)
        recorder, naive = recorder_of(trainer, problem), Naive(trainer)
        for batch in problem.batches:
            recorder.finish_step(trainer.step(batch, Both(recorder, naive)))
        samples = recorder._layout.samples
        assert {len(sample) for sample in samples} == {24, 32, 256}
        expected = columns(naive, optimizer, recorder.matrices, samples)
        assert set(expected) == set(TENSOR_COLUMNS)
        trace, exact = recorder.trace(), trainer.epsilon < 1e-10
        for name, values in expected.items():
            close = pytest.approx(
                np.array(values), rel=1e-11 if exact else 1e-5, abs=2e-6 * (name == "update_error")
            )
            assert getattr(trace, name) == close, name
        if settings["clip_norm"]:
            assert (trace.clipped_norm < 0.9 * trace.gradient_norm)[trace.gradient_norm > 1e-6].all()

    @both_trainers
    def test_what_is_no_matrix(self, make):
        problem = sample_problem(steps=5)
        trace = (recorder := trained(make(problem), problem)[0]).trace()
        assert trace.tensors == tuple(tensor.name for tensor in problem.tensors)
        assert trace.loss.tolist() == recorder.losses
        assert trace.learning_rate == pytest.approx([problem.learning_rate(number) for number in range(5)])
        assert {name: counts.tolist() for name, counts in trace.events.items()} == {
            "backward": [2] * 5,
            "update": [1] * 5,
            "zero_grad": [1] * 5,
        }
        assert trace.absent == ("memory",)  # it is read where nobody observes
        assert len(set(trace.digests)) == trace.steps == 5
        assert {getattr(trace, name).shape for name in TENSOR_COLUMNS} == {(5, len(problem.tensors))}

    def test_before_the_first_step_there_is_none(self):
        trace = toy_recorder(Toy(np.ones(3), np.ones(2))).trace()
        assert (trace.steps, trace.digests, trace.gradient_norm.shape) == (0, (), (0, 2))

    @pytest.mark.parametrize("steps", [DEFERRED - 1, DEFERRED, DEFERRED + 1, 2 * DEFERRED])
    def test_deferring_does_not_show(self, steps):
        problem = sample_problem(optimizer=ADAMW, steps=steps, clip_norm=None, micro_batches=1)
        recorder, _ = trained(NumpyTrainer(problem), problem)
        often = recorder_of(trainer := NumpyTrainer(problem), problem)
        for batch in problem.batches:
            often.finish_step(trainer.step(batch, often))
            often.trace()
        for name in TENSOR_COLUMNS:
            assert np.array_equal(
                getattr(recorder.trace(), name), getattr(often.trace(), name), equal_nan=True
            )
        assert recorder.trace().update_ratio == pytest.approx(np.ones((steps, len(problem.tensors))))

    def test_a_step_that_is_not_complete_does_not_count(self):
        problem = sample_problem(steps=4)
        whole = trained(TorchTrainer(problem), problem)[0].trace()
        trainer = TorchTrainer(problem)
        recorder = recorder_of(trainer, problem)
        for number, batch in enumerate(problem.batches):
            loss = trainer.step(batch, recorder)
            trace = recorder.trace()
            assert trace.steps == len(trace.digests) == number
            assert np.array_equal(trace.update_ratio, whole.update_ratio[:number])
            assert np.array_equal(trace.learning_rate, whole.learning_rate[:number])
            recorder.finish_step(loss)


class TestItChangesNothing:
    @all_optimizers
    @pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
    def test_torch(self, optimizer, dtype):
        problem = sample_problem(optimizer=optimizer, dtype=dtype)
        bare, watched = self.ends(TorchTrainer(problem), TorchTrainer(problem), problem)
        assert watched == bare

    @all_optimizers
    def test_numpy(self, optimizer):
        problem = sample_problem(optimizer=optimizer)
        bare, watched = self.ends(NumpyTrainer(problem), NumpyTrainer(problem), problem)
        assert watched == bare

    def ends(self, bare, watched, problem):
        """Losses and final weights of both; NaN would equal nothing, and is not expected."""
        losses = [bare.step(batch) for batch in problem.batches]
        observed = trained(watched, problem)[1]
        assert np.isfinite(losses).all()
        return (losses, digest(bare)), (observed, digest(watched))


def spoiled(make, fault):
    """A trainer whose optimizer does something else."""

    class Spoiled(make):
        def accumulate(self, batch):
            loss = super().accumulate(batch)
            if fault == "early":
                super().update(self.learning_rate())
            return loss

        def update(self, learning_rate):
            for _ in range({"healthy": 1, "skips": 0, "doubles": 2, "early": 0}[fault]):
                super().update(learning_rate)

    return Spoiled


@both_trainers
class TestUpdateRatio:
    @pytest.mark.parametrize(("fault", "ratio"), [("healthy", 1), ("skips", 0), ("doubles", 2), ("early", 1)])
    def test_plain_gradient_descent(self, make, fault, ratio):
        trace = self.observed(make, fault, PLAIN, lengths=None)
        assert trace.update_ratio == pytest.approx(np.full_like(trace.update_ratio, ratio), abs=2e-3)
        assert (trace.update_norm.sum(axis=1) > 0).all() == (ratio > 0)
        assert trace.events["update"].tolist() == [ratio] * trace.steps
        assert (len(set(trace.digests)) == 1) == (ratio == 0)
        if fault != "early":
            assert trace.update_error == pytest.approx(
                np.full_like(trace.update_error, abs(ratio - 1)), abs=2e-3
            )

    @pytest.mark.parametrize(("fault", "ratio"), [("healthy", 1), ("skips", 0), ("doubles", 2), ("early", 1)])
    def test_adamw(self, make, fault, ratio):
        trace = self.observed(make, fault, AdamWOptimizer(adamw=AdamW(lr=1e-3, weight_decay=0.0)))
        assert trace.update_ratio[0] == pytest.approx(np.full(len(trace.tensors), ratio), abs=1e-2)
        assert np.median(trace.update_ratio, axis=1) == pytest.approx(np.full(trace.steps, ratio), abs=0.3)

    def observed(self, make, fault, optimizer, **settings):
        problem = sample_problem(optimizer=optimizer, clip_norm=None, dtype="float64", **settings)
        return trained(spoiled(make, fault)(problem), problem)[0].trace()


class TestWithoutGradient:
    """Optimizers pass over a tensor that has no gradient, weight decay and momentum included."""

    @both_trainers
    @all_optimizers
    @pytest.mark.parametrize("absent", [{0, 1, 2, 3, 4, 5}, {0, 1}, {2, 3}, {1, 3, 5}])
    def test_it_rests_and_the_others_are_right(self, make, optimizer, absent):
        class Frozen(make):
            def accumulate(self, batch):
                loss = super().accumulate(batch)
                if self.position in absent:
                    self.forget("layers.0.mlp.up.weight")
                return loss

            def forget(self, name):
                if make is TorchTrainer:
                    self.tensors[name].grad = None
                else:
                    del self.held[name]

        problem = sample_problem(optimizer=optimizer, dtype="float64", clip_norm=None)
        trace = trained(Frozen(problem), problem)[0].trace()
        column = trace.tensors.index("layers.0.mlp.up.weight")
        rests = np.zeros_like(trace.update_ratio, dtype=bool)
        rests[sorted(absent), column] = True
        for name in ("gradient_norm", "clipped_norm", "gradient_largest", "gradient_nonzero", "update_norm"):
            assert ((getattr(trace, name) == 0) == rests).all(), name
        assert np.isnan(trace.update_ratio[rests]).all()
        assert np.isnan(trace.update_error[rests]).all()
        assert trace.update_ratio[~rests] == pytest.approx(np.ones((~rests).sum()), abs=1e-6)

    def test_a_move_without_one_is_infinitely_wrong(self):
        toy = Toy(np.ones(4), np.ones(3))
        toy.gradients[1] = None
        recorder = toy_recorder(toy)
        toy.weights[1][0] += 0.25
        step(recorder)
        trace = recorder.trace()
        assert trace.update_norm.tolist() == [[0, 0.25]]
        assert np.isnan(trace.update_ratio).all()
        assert np.isnan(trace.update_error[0, 0])
        assert trace.update_error[0, 1] == math.inf


SIZES = [
    [1],
    [CHUNK - 1],
    [CHUNK],
    [CHUNK + 1],
    [200_000],
    [5, CHUNK - 5, 5],
    [5, CHUNK - 4, 5],
    [CHUNK, 1],
    [1, CHUNK, 1],
    [7, CHUNK + 1, 9, 200_000, 3, CHUNK - 1, CHUNK],
]


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
class TestChunks:
    def test_every_element_counts_once(self, sizes, dtype):
        generator = np.random.default_rng(0)
        toy = Toy(*(generator.normal(size=size).astype(dtype) for size in sizes))
        toy.gradients = [generator.normal(size=size).astype(dtype) for size in sizes]
        for gradient in toy.gradients:
            gradient[generator.integers(0, len(gradient), len(gradient) // 3)] = 0
        recorder, before = toy_recorder(toy), [weight.astype(np.float64) for weight in toy.weights]
        for weight, gradient in zip(toy.weights, toy.gradients, strict=True):
            np.subtract(weight, np.asarray(0.5, dtype) * gradient, out=weight)
        step(recorder)
        trace = recorder.trace()
        gradients = [gradient.astype(np.float64) for gradient in toy.gradients]
        moved = [weight.astype(np.float64) - old for weight, old in zip(toy.weights, before, strict=True)]
        close = {"rel": 2e-4 if dtype == "float32" else 1e-10}
        assert trace.gradient_norm[0] == pytest.approx([np.linalg.norm(each) for each in gradients], **close)
        assert trace.gradient_largest[0].tolist() == [np.abs(each).max() for each in gradients]
        assert trace.gradient_nonzero[0].tolist() == [np.mean(each != 0) for each in gradients]
        assert trace.weight_norm[0] == pytest.approx([np.linalg.norm(each) for each in before], **close)
        assert trace.update_norm[0] == pytest.approx([np.linalg.norm(each) for each in moved], **close)
        there = [gradient.any() for gradient in gradients]
        assert trace.update_ratio[0][there] == pytest.approx(np.ones(sum(there)), rel=1e-5)

    def test_one_element_anywhere_is_found(self, sizes, dtype):
        for tensor, place in places(sizes):
            toy = Toy(*(np.zeros(size, dtype) for size in sizes))
            recorder = toy_recorder(toy)
            toy.gradients[tensor][place] = -3
            toy.weights[tensor][place] = 4
            step(recorder)
            step(recorder)
            trace, here = recorder.trace(), np.eye(len(sizes))[tensor]
            assert (
                trace.gradient_norm.tolist() == trace.gradient_largest.tolist() == [(3 * here).tolist()] * 2
            )
            assert trace.gradient_nonzero[0].tolist() == (here / np.array(sizes)).tolist()
            assert trace.update_norm.tolist() == [(4 * here).tolist(), (0 * here).tolist()]
            assert trace.weight_norm.tolist() == [(0 * here).tolist(), (4 * here).tolist()]

    def test_any_single_bit_changes_the_digest(self, sizes, dtype):
        generator = np.random.default_rng(1)
        toy = Toy(*(generator.normal(size=size).astype(dtype) for size in sizes))
        recorder = toy_recorder(toy)
        step(recorder)
        flips = [(*place, bit) for place in places(sizes) for bit in (0, 30 if dtype == "float32" else 62)]
        for tensor, place, bit in flips:
            flip(toy.weights[tensor], place, bit)
            step(recorder)
            flip(toy.weights[tensor], place, bit)
            step(recorder)
        digests = recorder.trace().digests
        assert set(digests[::2]) == {digests[0]}
        assert digests[0] not in digests[1::2]
        assert len(digests) == 1 + 2 * len(flips)


def places(sizes):
    """The ends and the middle of each tensor, and both sides of each border between chunks."""
    for tensor, size in enumerate(sizes):
        borders = {place for border in range(CHUNK, size, CHUNK) for place in (border - 1, border)}
        yield from ((tensor, place) for place in sorted({0, size // 2, size - 1} | borders))


def flip(array, place, bit):
    words = array.view({4: np.uint32, 8: np.uint64}[array.itemsize])
    words[place] ^= np.array(1 << bit, words.dtype)


@given(st.data())
def test_any_bit_of_any_small_tensors_changes_the_digest(data):
    dtype = data.draw(st.sampled_from(["float32", "float64"]))
    sizes = data.draw(st.lists(st.integers(1, 9), min_size=1, max_size=4))
    seed = data.draw(st.integers(0, 2**32))
    tensor = data.draw(st.integers(0, len(sizes) - 1))
    place = data.draw(st.integers(0, sizes[tensor] - 1))
    bit = data.draw(st.integers(0, 8 * np.dtype(dtype).itemsize - 1))
    generator = np.random.default_rng(seed)
    toy = Toy(*(generator.normal(size=size).astype(dtype) for size in sizes))
    recorder = toy_recorder(toy)
    step(recorder)
    flip(toy.weights[tensor], place, bit)
    step(recorder)
    first, second = recorder.trace().digests
    assert first != second


class TestStrangeNumbers:
    """All warnings are errors in these tests: what is recorded must speak for itself."""

    @pytest.mark.parametrize("others", [[], [5], [CHUNK], [CHUNK + 1]], ids=str)
    def test_squares_that_overflow_float32(self, others):
        toy = Toy(np.zeros(100, np.float32), *(np.zeros(size, np.float32) for size in others))
        recorder = toy_recorder(toy)
        toy.gradients = [np.full_like(weight, 1e-3) for weight in toy.weights]
        toy.gradients[0][:] = -1e25
        toy.weights[0][:] = 3e25
        step(recorder)
        step(recorder)
        trace, quiet = recorder.trace(), [1e-3 * math.sqrt(size) for size in others]
        assert trace.gradient_norm[0] == pytest.approx([1e26, *quiet], rel=1e-4)
        assert trace.gradient_largest[0] == pytest.approx([1e25, *([1e-3] * len(others))], rel=1e-6)
        assert trace.update_norm[0] == pytest.approx([3e26] + [0] * len(others), rel=1e-6)
        assert trace.weight_norm[1] == pytest.approx([3e26] + [0] * len(others), rel=1e-6)

    def test_one_chunk_of_a_large_tensor(self):
        toy = Toy(np.zeros(2 * CHUNK + 1, np.float32))
        toy.gradients[0][CHUNK] = 1e25
        toy.gradients[0][0] = 1e25
        recorder = toy_recorder(toy)
        step(recorder)
        assert recorder.trace().gradient_norm[0] == pytest.approx([math.sqrt(2) * 1e25], rel=1e-6)

    @pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
    @pytest.mark.parametrize("size", [4, CHUNK + 2], ids=str)
    @pytest.mark.parametrize("optimizer", [PLAIN, MOMENTUM, ADAMW], ids=OPTIMIZERS)
    def test_what_is_not_finite_stays_so_and_where_it_is(self, value, size, optimizer):
        toy = Toy(np.ones(3, np.float32), np.ones(size, np.float32), np.ones(5, np.float32))
        recorder = toy_recorder(toy, optimizer, clips=True)
        toy.gradients = [np.ones_like(weight) for weight in toy.weights]
        toy.gradients[1][-1] = value
        step(recorder)
        toy.weights[1][-1] = value
        step(recorder)
        step(recorder)
        trace, width = recorder.trace(), abs(value)
        for column in (trace.gradient_norm, trace.clipped_norm, trace.gradient_largest):
            assert column[:, 1] == pytest.approx([width] * 3, nan_ok=True)
        assert trace.weight_norm[:, 1] == pytest.approx(
            [math.sqrt(size), math.sqrt(size), width], nan_ok=True
        )
        assert trace.update_norm[:2, 1] == pytest.approx([0, width], nan_ok=True)
        assert math.isnan(trace.update_norm[2, 1])  # infinity less infinity
        assert trace.gradient_nonzero.tolist() == [[1, 1, 1]] * 3
        for name in TENSOR_COLUMNS:
            assert np.isfinite(getattr(trace, name)[:, [0, 2]]).all(), name

    @both_trainers
    def test_a_training_that_diverges(self, make):
        problem = sample_problem(optimizer=SgdOptimizer(sgd=Sgd(lr=1e30)), clip_norm=None)
        with np.errstate(all="ignore"):  # the trainer's own arithmetic
            trace = trained(make(problem), problem)[0].trace()
        assert np.isfinite(trace.gradient_norm[0]).all()
        assert not np.isfinite(trace.loss[-1])
        assert not np.isfinite(trace.update_norm[-1]).any()


def test_resident_memory_is_that_of_the_system():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    assert resident_bytes() == pytest.approx(pages * os.sysconf("SC_PAGE_SIZE"), rel=0.05)


def test_resident_memory_of_a_child_is_its_own():
    before = resident_bytes()
    reader, writer = os.pipe()
    if not os.fork():
        held = np.ones(8 * 2**20)
        os.write(writer, f"{resident_bytes()} {held.size}".encode())
        os._exit(0)
    os.wait()
    assert int(os.read(reader, 64).split()[0]) > 32 * 2**20
    os.close(reader), os.close(writer)
    assert resident_bytes() < before + 32 * 2**20
