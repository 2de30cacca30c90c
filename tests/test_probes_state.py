"""The probes of a training's state: what they say of a healthy trainer, and of one broken on purpose."""

from dataclasses import replace
from math import inf, isnan, nan
from types import SimpleNamespace

import numpy as np
import pytest
from problems import SAMPLE_DATA, build

from harness.discover import get
from harness.model import Batch
from harness.passes import digest
from harness.probes import generation
from harness.probes._story import Notes, distance, logit_distance, relative
from harness.probes.baseline import Baseline
from harness.probes.checkpoint import AWAY, Checkpoint
from harness.probes.coverage import Coverage, _aliased
from harness.probes.evaluation import Evaluation
from harness.probes.generation import Generation
from harness.probes.ledger import Ledger
from harness.probes.overfit import MOST_STEPS, Overfit
from harness.probes.resume import Resume
from harness.probes.score import Score
from harness.spec import (
    AdamW,
    AdamWOptimizer,
    Clusters,
    ClustersData,
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
from harness.testing import observe, sample_problem

BACKENDS = ("torch_eager", "numpy_float64")
PROBES = (Baseline, Checkpoint, Coverage, Evaluation, Generation, Ledger, Overfit, Resume, Score)
DECODER = {"vocab": 11, "width": 16, "layers": 1, "heads": 2, "hidden": 24}
VECTORS = {"lengths": None, "sequence": 1}


def decoder(**options):
    return DecoderModel(decoder=Decoder(**{**DECODER, **options}))


def mlp(task):
    return MlpModel(mlp=Mlp(inputs=5, hidden=(8,), outputs=3, task=task))


PROBLEMS = {
    "decoder": sample_problem,
    "classification": lambda: sample_problem(
        mlp("classification"), data=ClustersData(clusters=Clusters()), **VECTORS
    ),
    "regression": lambda: sample_problem(mlp("regression"), data=TeacherData(teacher=Teacher()), **VECTORS),
}
ADAM = {"optimizer": AdamWOptimizer(adamw=AdamW(lr=0.02)), "schedule": Schedule(), "clip_norm": None}
LEARNABLE = {"data": ClustersData(clusters=Clusters(spread=0.1)), "steps": 40, "batch": 16, **VECTORS, **ADAM}

each_backend = pytest.mark.parametrize("backend", BACKENDS)
each_problem = pytest.mark.parametrize("kind", PROBLEMS)


class Spoiled:
    """A backend whose every trainer is broken by `spoil`."""

    def __init__(self, backend, spoil=None):
        self.backend, self.spoil = get("backends", backend)(), spoil
        self.configure, self.reference = self.backend.configure, self.backend.reference

    def build(self, problem):
        trainer = self.backend.build(problem)
        if self.spoil is not None:
            self.spoil(trainer)
        return trainer


def observed(backend, problem=None, spoil=None):
    """What a probe may use, of a training that `spoil` broke from the start."""
    return observe(Spoiled(backend, spoil), sample_problem() if problem is None else problem)


def ask(probe, backend, problem=None, spoil=None):
    with observed(backend, problem, spoil) as context:
        return probe().ask(context)


# all of them


@each_problem
@each_backend
def test_no_probe_changes_the_observed_training(backend, kind):
    with observed(backend, PROBLEMS[kind]()) as context:
        before, problem = context.observed_digest, replace(context.problem).digest
        for probe in PROBES:
            if (probe, kind) != (Score, "regression"):
                probe().ask(context)
            assert digest(context.observed) == before, probe
            assert context.observed.training, probe
        assert replace(context.problem).digest == problem
        assert not list(context.scratch.iterdir()), "what was written is gone"


@each_backend
def test_every_trainer_is_closed_even_when_it_fails(backend):
    opened, closed = [], []

    def spoil(trainer):
        opened.append(trainer)
        trainer.close = lambda: closed.append(trainer)

    with observed(backend) as context:

        def build(*problem):
            trainer = context.build(*problem)
            spoil(trainer)
            for method in ("step", "infer", "score", "load"):
                setattr(trainer, method, failing)
            return trainer

        broken = replace(context, build=build)
        for probe in PROBES:
            if probe is Ledger:
                continue
            with pytest.raises(RuntimeError, match="not today"):
                probe().ask(broken)
    assert opened == closed
    assert len(opened) == len(PROBES) - 1


def failing(*_args, **_options):
    raise RuntimeError("not today")


def test_numbers_that_are_not_finite_give_no_warning():
    # Warnings are errors here.
    def spoil(trainer):
        trainer.loss = lambda _: nan
        trainer.infer = lambda inputs: np.full((*inputs.shape, 11), nan)

    found = ask(Evaluation, "numpy_float64", spoil=spoil)
    assert isnan(found["repeat_difference"])
    assert isnan(found["train_eval_difference"])
    assert isnan(ask(Generation, "numpy_float64", spoil=spoil)["inference_difference"])


# what they share


def test_distances():
    a, b = {"x": np.array([3.0, 4.0]), "y": np.ones(1)}, {"x": np.array([3.0, 4.5]), "y": np.ones(1)}
    assert distance(a, a) == 0
    assert distance(b, a) == 0.1  # 0.5 of 5
    assert isnan(distance({"x": np.full(2, nan), "y": np.ones(1)}, a))
    assert relative([1.0, 3.0, 0.0], [2.0, 3.0, 0.0]) == [0.5, 0, 0]
    logits = np.array([[1.0, -1.0]])
    assert logit_distance(logits, logits) == 0
    assert logit_distance(logits + 0.5, logits) == 0.5
    assert logit_distance(logits, np.zeros((1, 2))) > 1e100
    assert logit_distance(logits[:, :1], logits) == inf
    assert isnan(logit_distance(logits * nan, logits))


@each_backend
def test_notes_are_those_of_the_training(backend):
    problem = sample_problem()
    with observed(backend) as context:
        trainer = context.build()
        notes = Notes(trainer).train(problem.batches)
        assert notes.losses == list(context.losses)
        assert notes.rates == pytest.approx(problem.facts.learning_rates)
        assert notes.modes == [True] * len(problem.batches)
        trainer.train(False)
        assert Notes(trainer).train(problem.batches[:1]).modes == [False]


# evaluation


@each_problem
@each_backend
def test_evaluation_of_a_healthy_training(backend, kind):
    found = dict(ask(Evaluation, backend, PROBLEMS[kind]()))
    assert found.pop("train_eval_difference") < 1e-6
    assert found == {
        "mode_before": True,
        "mode_after": True,
        "changed_weights": False,
        "changed_training": False,
        "training_flag": True,
        "flag_after_evaluation": True,
        "loss_repeat": 0.0,
        "inference_repeat": 0.0,
        "repeat_difference": 0.0,
        "dropout": 0.0,
    }


def test_evaluation_of_a_healthy_training_with_dropout():
    found = ask(Evaluation, "torch_eager", sample_problem(decoder(dropout=0.2)))
    assert found["dropout"] == 0.2
    assert found["train_eval_difference"] > 1e-4
    assert found["repeat_difference"] == 0
    assert not found["changed_training"]


@each_backend
def test_evaluation_sees_a_mode_that_is_left(backend):
    def spoil(trainer):
        def infer(inputs):
            trainer.train(False)
            return trainer.logits(inputs)

        trainer.infer = infer

    found = ask(Evaluation, backend, spoil=spoil)
    assert (found["mode_before"], found["mode_after"]) == (True, False)
    assert (found["training_flag"], found["flag_after_evaluation"]) == (True, False)
    assert not found["changed_training"], "without dropout, the mode changes no loss"


def test_evaluation_sees_that_a_left_mode_turns_dropout_off():
    def spoil(trainer):
        def infer(inputs):
            trainer.train(False)
            return trainer.logits(inputs)

        trainer.infer = infer

    found = ask(Evaluation, "torch_eager", sample_problem(decoder(dropout=0.2)), spoil)
    assert found["changed_training"]
    assert found["train_eval_difference"] < 1e-6


@each_backend
@pytest.mark.parametrize("method", ["loss", "infer", "score"])
def test_evaluation_sees_an_update(backend, method):
    def spoil(trainer):
        original = getattr(trainer, method)

        def sick(given):
            trainer.load({name: values * 1.001 for name, values in trainer.parameters().items()})
            return original(given)

        setattr(trainer, method, sick)

    found = ask(Evaluation, backend, spoil=spoil)
    assert found["changed_weights"]
    assert found["changed_training"]


@each_backend
def test_evaluation_sees_what_is_left_behind_for_the_next_step(backend):
    def spoil(trainer):
        original = trainer.score

        def score(batch):
            trainer.position += 1  # the schedule moves, the weights do not
            return original(batch)

        trainer.score = score

    found = ask(Evaluation, backend, spoil=spoil)
    assert (found["changed_weights"], found["changed_training"]) == (False, True)


@each_backend
def test_evaluation_sees_what_is_random(backend):
    def spoil(trainer):
        noise, original = np.random.default_rng(0), trainer.infer
        trainer.infer = lambda inputs: original(inputs) * noise.uniform(0.9, 1.1)

    found = ask(Evaluation, backend, spoil=spoil)
    assert found["inference_repeat"] > 1e-3
    assert found["loss_repeat"] == 0
    assert found["repeat_difference"] == found["inference_repeat"]


def test_evaluation_sees_dropout_in_evaluation():
    def spoil(trainer):
        original = trainer.train

        def train(on=True):
            original(on)
            trainer.model.training = True

        trainer.train = train

    found = ask(Evaluation, "torch_eager", sample_problem(decoder(dropout=0.2)), spoil)
    assert min(found["loss_repeat"], found["inference_repeat"]) > 1e-6
    assert found["changed_training"], "it draws from the training's random numbers"


@each_backend
def test_evaluation_sees_a_training_in_evaluation_mode(backend):
    def spoil(trainer):
        trainer.train(False)

    found = ask(Evaluation, backend, spoil=spoil)
    assert not found["training_flag"]
    assert found["mode_before"] is found["mode_after"] is False


# coverage


@each_problem
@each_backend
def test_coverage_of_a_healthy_training(backend, kind):
    problem = PROBLEMS[kind]()
    names = [tensor.name for tensor in problem.tensors]
    assert ask(Coverage, backend, problem) == {
        "optimized": names,
        "missing": [],
        "moved": names,
        "unmoved": [],
        "negligible": [],
        "aliased": [],
    }


@each_backend
@pytest.mark.parametrize(
    "optimizer", [SgdOptimizer(sgd=Sgd(lr=0.1)), ADAM["optimizer"]], ids=["sgd", "adamw"]
)
def test_coverage_knows_the_bias_of_the_attention_keys(backend, optimizer):
    # Softmax does not notice what is added to all scores of a query: the gradient is rounding alone.
    found = ask(Coverage, backend, sample_problem(decoder(attention_bias=True), optimizer=optimizer))
    assert found["negligible"] == ["layers.0.attention.key.bias"]
    assert set(found["unmoved"]) <= {"layers.0.attention.key.bias"}


def test_coverage_sees_an_optimizer_that_lacks_a_tensor():
    def spoil(trainer):
        del trainer.optimizer.param_groups[0]["params"][0]

    found = ask(Coverage, "torch_eager", spoil=spoil)
    assert found["missing"] == found["unmoved"] == ["embedding"]
    assert "embedding" not in found["optimized"] + found["moved"] + found["negligible"]


def test_coverage_sees_an_optimizer_that_holds_copies():
    def spoil(trainer):
        for group in trainer.optimizer.param_groups:
            group["params"] = [tensor.detach().clone().requires_grad_() for tensor in group["params"]]

    found = ask(Coverage, "torch_eager", spoil=spoil)
    assert found["optimized"] == found["moved"] == []
    assert found["missing"] == found["unmoved"]


@each_backend
def test_coverage_sees_a_tensor_that_no_update_reaches(backend):
    name = "layers.0.mlp.up.weight"

    def spoil(trainer):
        original = trainer.update

        def update(rate):
            kept = np.array(trainer.parameters()[name])
            original(rate)
            trainer.load({name: kept})

        trainer.update = update

    found = ask(Coverage, backend, spoil=spoil)
    assert found["unmoved"] == [name]
    assert found["missing"] == found["negligible"] == []


SHARED = ["layers.0.attention.key.weight", "layers.0.attention.value.weight"]


def share_torch(trainer):
    trainer.tensors[SHARED[1]] = trainer.tensors[SHARED[0]]


def share_numpy(trainer):
    trainer.weights[SHARED[1]] = trainer.weights[SHARED[0]]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_coverage_sees_shared_memory_whatever_the_dtype(dtype):
    # In bfloat16, what `parameters` gives are copies: no address would tell.
    trainer = Spoiled("torch_eager", share_torch).build(sample_problem(dtype=dtype))
    assert _aliased(trainer) == [SHARED]


def test_coverage_sees_shared_memory_in_numpy():
    assert _aliased(Spoiled("numpy_float64", share_numpy).build(sample_problem())) == [SHARED]


def test_coverage_sees_a_part_that_is_shared():
    def spoil(trainer):
        trainer.weights["final_norm.bias"] = trainer.weights["layers.0.mlp.up.weight"][3]

    assert _aliased(Spoiled("numpy_float64", spoil).build(sample_problem())) == [
        ["layers.0.mlp.up.weight", "final_norm.bias"]
    ]


def test_coverage_tells_more_tensors_apart_than_a_byte_can():
    names = [f"t{number}" for number in range(600)]
    weights = {name: np.zeros(2, np.float32) for name in names}
    weights["t300"], weights["t513"] = weights["t3"], weights["t257"]

    def load(parameters):
        for name, values in parameters.items():
            weights[name][:] = values

    trainer = SimpleNamespace(names=tuple(names), parameters=lambda: weights, load=load)
    assert _aliased(trainer) == [["t3", "t300"], ["t257", "t513"]]


def test_coverage_makes_nothing_of_a_trainer_that_loads_nothing():
    weights = {"a": np.zeros(2), "b": np.ones(2), "c": np.full(2, 7.5)}
    trainer = SimpleNamespace(names=("a", "b", "c"), parameters=lambda: weights, load=lambda _: None)
    assert _aliased(trainer) == []


# resume


@each_problem
@each_backend
def test_resume_of_a_healthy_training(backend, kind):
    assert ask(Resume, backend, PROBLEMS[kind]()) == {
        "split": 3,
        "resumed_at": 3,
        "loss_difference": [0.0] * 3,
        "rate_difference": [0.0] * 3,
        "weights_difference": 0.0,
    }


def test_resume_goes_on_with_the_same_masks():
    found = ask(Resume, "torch_eager", sample_problem(decoder(dropout=0.2)))
    assert found["loss_difference"] == [0.0] * 3
    assert found["weights_difference"] == 0


def after_restoring(forget):
    """Spoil a trainer so that a part of what `restore` returned to is lost again."""

    def spoil(trainer):
        original = trainer.restore

        def restore(state):
            original(state)
            forget(trainer)

        trainer.restore = restore

    return spoil


def forget_torch(trainer):
    trainer.optimizer.state.clear()


def forget_numpy(trainer):
    trainer.rule.memory = {}


FORGET = {"torch_eager": forget_torch, "numpy_float64": forget_numpy}


@each_backend
def test_resume_sees_lost_optimizer_state(backend):
    found = ask(Resume, backend, spoil=after_restoring(FORGET[backend]))
    assert found["loss_difference"][0] == 0, "the weights are there"
    assert found["loss_difference"][1] > 1e-5
    assert found["rate_difference"] == [0.0] * 3
    assert found["weights_difference"] > 1e-3


@each_backend
def test_resume_sees_a_position_that_is_forgotten(backend):
    found = ask(Resume, backend, spoil=after_restoring(lambda trainer: setattr(trainer, "position", 0)))
    assert (found["split"], found["resumed_at"]) == (3, 0)
    assert found["rate_difference"][0] == pytest.approx(abs(0.005 / sample_problem().learning_rate(3) - 1))
    assert found["loss_difference"][0] > 1e-6, "the first batch again"


def test_resume_sees_lost_random_state():
    import torch

    spoil = after_restoring(lambda _: torch.manual_seed(99))
    found = ask(Resume, "torch_eager", sample_problem(decoder(dropout=0.2)), spoil)
    assert found["loss_difference"][0] > 1e-6


def test_resume_needs_two_steps():
    with pytest.raises(NotImplementedError, match="one step cannot be broken off"):
        ask(Resume, "numpy_float64", sample_problem(steps=1))


# checkpoint


@each_problem
@each_backend
def test_checkpoint_of_a_healthy_training(backend, kind):
    problem = PROBLEMS[kind]()
    found = ask(Checkpoint, backend, problem)
    itemsize = {"torch_eager": 4, "numpy_float64": 8}[backend]
    header = found["bytes"] - itemsize * problem.facts.parameters
    assert 0 < header < 200 * len(problem.tensors)
    assert (found["difference"], found["lost"], found["error"]) == (0, [], "")
    assert 0 < found["seconds"] < inf


def without(name):
    def spoil(trainer):
        def save(path):
            from safetensors.numpy import save_file

            kept = {key: np.ascontiguousarray(v) for key, v in trainer.parameters().items() if key != name}
            save_file(kept, path)

        trainer.save = save

    return spoil


@each_backend
def test_checkpoint_sees_a_tensor_that_is_missing_and_refused(backend):
    found = ask(Checkpoint, backend, spoil=without("embedding"))
    assert found["error"].startswith("ValueError: the checkpoint: holds ['final_norm.bias',")
    assert found["lost"] == [tensor.name for tensor in sample_problem().tensors], "nothing was loaded"
    assert found["difference"] == pytest.approx(AWAY)


@each_backend
def test_checkpoint_sees_a_tensor_that_is_missing_and_passed_over(backend):
    def spoil(trainer):
        from safetensors.numpy import load_file

        without("embedding")(trainer)
        trainer.open = lambda path: trainer.load(load_file(path))

    found = ask(Checkpoint, backend, spoil=spoil)
    assert (found["error"], found["lost"]) == ("", ["embedding"])
    assert found["difference"] == pytest.approx(AWAY)


@each_backend
def test_checkpoint_sees_half_precision(backend):
    def spoil(trainer):
        from safetensors.numpy import save_file

        trainer.save = lambda path: save_file(
            {name: values.astype(np.float16) for name, values in trainer.parameters().items()}, path
        )

    found = ask(Checkpoint, backend, spoil=spoil)
    assert found["lost"] == []
    assert 1e-7 < found["difference"] < 1e-2


def test_checkpoint_measures_a_folder():
    def spoil(trainer):
        original, opening = trainer.save, trainer.open

        def save(path):
            path.mkdir()
            original(path / "weights")
            (path / "notes").write_bytes(b"12345")

        trainer.save, trainer.open = save, lambda path: opening(path / "weights")

    whole = ask(Checkpoint, "numpy_float64")["bytes"]
    found = ask(Checkpoint, "numpy_float64", spoil=spoil)
    assert (found["bytes"], found["difference"]) == (whole + 5, 0)


def test_checkpoint_is_not_asked_of_a_trainer_without_one():
    def spoil(trainer):
        def save(_):
            raise NotImplementedError("it has no checkpoint")

        trainer.save = save

    with pytest.raises(NotImplementedError, match=r"^it has no checkpoint$"):
        ask(Checkpoint, "numpy_float64", spoil=spoil)


# generation


@each_problem
@each_backend
def test_generation_of_a_healthy_training(backend, kind):
    found = dict(ask(Generation, backend, PROBLEMS[kind]()))
    assert found.pop("inference_difference") == 0
    assert found.pop("difference_trained") == found.pop("difference_drawn") == 0
    if kind != "decoder":
        assert found == {}, "no tokens, no text"
        return
    assert found.pop("tokens_per_second") > 0
    assert 1 <= found.pop("distinct") <= 11
    assert found == {"tokens": 64, "repeatable": True}


@pytest.mark.parametrize(("compiles", "seconds"), [(False, 16 * 2.0), (True, 16 * 0.5)])
def test_generation_does_not_count_what_is_compiled_at_its_first_text(compiles, seconds, monkeypatch):
    clock = {"now": 0.0, "calls": 0}

    def spoil(trainer):
        def infer(inputs):
            clock["now"] += 2.0 if clock["calls"] < 16 else 0.5  # each new length is slow once
            clock["calls"] += 1
            return np.eye(11)[(inputs + 1) % 11]

        trainer.infer, trainer.compiles = infer, compiles

    monkeypatch.setattr(generation, "time", SimpleNamespace(perf_counter=lambda: clock["now"]))
    monkeypatch.setattr(generation, "_difference", lambda *_: 0.0)
    found = ask(Generation, "numpy_float64", spoil=spoil)
    assert found["tokens_per_second"] == found["tokens"] / seconds


@each_backend
def test_generation_is_greedy(backend):
    # Every token is followed by the next one.
    def spoil(trainer):
        trainer.infer = lambda inputs: np.eye(11)[(inputs + 1) % 11]

    found = ask(Generation, backend, spoil=spoil)
    assert found["distinct"] == 11
    assert found["repeatable"]


@pytest.mark.parametrize("positions", ["learned", "sinusoidal"])
def test_generation_stays_within_what_the_model_was_trained_on(positions):
    seen = []

    def spoil(trainer):
        original = trainer.infer

        def infer(inputs):
            seen.append(inputs.shape[1])
            return original(inputs)

        trainer.infer = infer

    assert (
        ask(Generation, "numpy_float64", sample_problem(decoder(positions=positions)), spoil)["tokens"] == 64
    )
    assert max(seen) == 8


@each_backend
def test_generation_sees_random_logits(backend):
    def spoil(trainer):
        noise, original = np.random.default_rng(0), trainer.infer
        trainer.infer = lambda inputs: noise.standard_normal(original(inputs).shape)

    found = ask(Generation, backend, spoil=spoil)
    assert min(found["difference_trained"], found["difference_drawn"]) > 1
    assert not found["repeatable"]


@each_backend
def test_generation_sees_the_weights_of_the_start(backend):
    def spoil(trainer):
        start, original = {n: np.array(v) for n, v in trainer.parameters().items()}, trainer.infer

        def infer(inputs):
            now = {n: np.array(v) for n, v in trainer.parameters().items()}
            trainer.load(start)
            logits = np.array(original(inputs))
            trainer.load(now)
            return logits

        trainer.infer = infer

    found = ask(Generation, backend, spoil=spoil)
    assert min(found["difference_trained"], found["difference_drawn"]) > 0.05
    assert found["inference_difference"] == max(found["difference_trained"], found["difference_drawn"])


def test_generation_sees_dropout_in_inference():
    def spoil(trainer):
        trainer.infer = trainer.logits  # in the mode that training left

    assert (
        ask(Generation, "torch_eager", sample_problem(decoder(dropout=0.2)), spoil)["inference_difference"]
        > 0.1
    )


@each_backend
def test_generation_sees_one_token_again_and_again(backend):
    def spoil(trainer):
        trainer.infer = lambda inputs: np.zeros((*inputs.shape, 11))

    assert ask(Generation, backend, spoil=spoil)["distinct"] == 1


# score


@each_backend
def test_score_of_a_healthy_training(backend):
    problem = sample_problem(mlp("classification"), **LEARNABLE)
    found = ask(Score, backend, problem)
    batches = (problem.held_out, *problem.batches[-3:])
    targets = np.concatenate([batch.targets for batch in batches])
    assert found["chance"] == max(np.bincount(targets)) / len(targets)
    assert found["trained"] > 0.9
    assert found["randomised"] < 0.7


@each_backend
def test_score_is_over_all_targets_of_ragged_batches(backend):
    with observed(backend) as context:
        problem, right, total = context.problem, 0, 0
        for batch in (problem.held_out, *problem.batches[-3:]):
            counts = batch.targets >= 0
            right += (context.observed.logits(batch.inputs).argmax(-1) == batch.targets)[counts].sum()
            total += counts.sum()
        assert Score().ask(context)["trained"] == pytest.approx(right / total)


@each_backend
def test_score_sees_a_table(backend):
    def spoil(trainer):
        trainer.score = lambda _: 1.0

    found = ask(Score, backend, spoil=spoil)
    assert found["trained"] == found["randomised"] == 1


@each_backend
def test_a_regression_has_no_score(backend):
    with pytest.raises(NotImplementedError, match=r"^a regression predicts no classes$"):
        ask(Score, backend, PROBLEMS["regression"]())


# baseline


@each_backend
def test_baseline_of_a_healthy_training(backend):
    problem = sample_problem(mlp("classification"), **LEARNABLE)
    with observed(backend, problem) as context:
        found = Baseline().ask(context)
        assert found["steps"] == 40
        assert found["seeing_loss"] == pytest.approx(np.mean(context.losses[-4:]))
        blind = context.build()
        losses = [blind.step(replace(batch, inputs=0 * batch.inputs)) for batch in problem.batches]
        assert found["blind_loss"] == pytest.approx(np.mean(losses[-4:]))
    assert found["seeing_loss"] < 0.5 * found["blind_loss"]


@each_backend
def test_baseline_sees_a_model_that_ignores_its_inputs(backend):
    def spoil(trainer):
        original = trainer.step
        trainer.step = lambda batch, watch=None: original(replace(batch, inputs=0 * batch.inputs), watch)

    found = ask(Baseline, backend, sample_problem(mlp("classification"), **LEARNABLE), spoil)
    assert found["seeing_loss"] == found["blind_loss"]


# overfit


@each_backend
def test_overfit_of_a_healthy_training(backend):
    found = ask(Overfit, backend, sample_problem(mlp("classification"), **LEARNABLE | {"steps": 6}))
    assert found["start"] > 0.8
    assert found["end"] < 0.2
    assert found["drop"] == (found["start"] - found["end"]) / found["start"]


@each_backend
def test_overfit_takes_one_batch_at_the_peak_rate(backend):
    rates, batches = [], []

    def spoil(trainer):
        update, step = trainer.update, trainer.step

        def watched(batch, watch=None):
            batches.append(batch)
            return step(batch, watch)

        def noted(rate):
            rates.append(rate)
            update(rate)

        trainer.update, trainer.step = noted, watched

    with observed(backend, spoil=spoil) as context:
        rates.clear(), batches.clear()
        found = Overfit().ask(context)
    assert found["steps"] == len(rates) == len(batches) == MOST_STEPS
    assert set(rates) == {0.01}, "neither warm-up nor decay"
    assert all(batch is context.problem.batches[0] for batch in batches)


@each_backend
def test_overfit_stops_when_nothing_is_left_to_learn(backend):
    def spoil(trainer):
        losses = iter([3.0, 1.0, 0.5, 0.02, 9.0])
        trainer.step = lambda *_: next(losses)

    with observed(backend) as context:

        def build(*problem):
            trainer = context.build(*problem)
            spoil(trainer)
            return trainer

        found = Overfit().ask(replace(context, build=build))
    assert found == {"start": 3.0, "end": 0.5, "drop": 2.5 / 3, "steps": 4}


@each_backend
def test_overfit_sees_an_update_that_never_comes(backend):
    def spoil(trainer):
        trainer.update = lambda _: None

    assert ask(Overfit, backend, spoil=spoil)["drop"] == 0


# ledger: of the data alone, whatever trains on them


def text_problem():
    """28 windows, so that an epoch has 14 batches of two."""
    return build(SAMPLE_DATA, steps=28)


def ledger(problem):
    return Ledger().ask(SimpleNamespace(problem=problem))


def batches_of(rows, size):
    """Batches over given sample ids; a sample's content follows from its id."""
    ids = np.asarray(rows, np.int64)
    contents = np.stack([ids, ids * ids], axis=1)
    parts = [slice(start, start + size) for start in range(0, len(ids), size)]
    return tuple(
        Batch(
            inputs=contents[part],
            targets=contents[part] + 1,
            sample_ids=ids[part],
            lengths=np.full(size, 2),
        )
        for part in parts
    )


def problem_of(rows, size, held_out=(10_000, 10_001), fresh=True):
    batches = batches_of(rows, size)
    config = SimpleNamespace(batch=size)
    (held_out,) = batches_of(held_out, len(held_out))
    return SimpleNamespace(batches=batches, held_out=held_out, held_out_fresh=fresh, config=config)


def shuffled(windows, size, steps, seed=0):
    """Sample ids as `harness.data.text` orders them: each epoch a shuffle, cut to whole batches."""
    generator = np.random.default_rng(seed)
    a_epoch = windows // size
    order = [generator.permutation(windows)[: a_epoch * size] for _ in range(-(-steps // a_epoch))]
    return np.concatenate(order)[: steps * size]


def test_ledger_of_a_healthy_text():
    assert ledger(text_problem()) == {
        "epochs": 2,
        "samples": 56,
        "duplicates": 0,
        "coverage": 1.0,
        "repeated_batches": 0.0,
        "same_order": 0,
        "reshuffled": True,
        "held_out_overlap": None,
    }


@pytest.mark.parametrize("kind", ["decoder", "copy", "regression"])
def test_ledger_of_fresh_samples(kind):
    copying = {"data": CopyData(copy=Copy()), "lengths": None, "sequence": 16}
    problem = sample_problem(**copying) if kind == "copy" else PROBLEMS[kind]()
    found = ledger(problem)
    assert (found["epochs"], found["samples"], found["duplicates"], found["coverage"]) == (1, 24, 0, 1)
    assert (found["repeated_batches"], found["same_order"], found["reshuffled"]) == (0, 0, None)


@pytest.mark.parametrize(
    ("windows", "size", "steps"),
    [(28, 2, 28), (29, 2, 28), (31, 4, 21), (16, 1, 40), (9, 3, 2), (40, 8, 5), (23, 5, 19)],
)
@pytest.mark.parametrize("seed", range(4))
def test_ledger_of_any_healthy_shuffle(windows, size, steps, seed):
    found = ledger(problem_of(shuffled(windows, size, steps, seed), size))
    assert found["epochs"] == -(-steps // (windows // size))
    assert (found["duplicates"], found["repeated_batches"], found["same_order"]) == (0, 0, 0)
    assert found["held_out_overlap"] == 0


def test_ledger_sees_the_same_batch_again():
    problem = text_problem()
    found = ledger(replace(problem, batches=problem.batches[:1] * 28))
    assert found["repeated_batches"] == 27 / 28
    assert found["epochs"] == 28, "as far as ids tell, one batch is all there is"


def test_ledger_sees_a_batch_that_comes_twice_in_a_row():
    problem = text_problem()
    twice = tuple(batch for batch in problem.batches[:14] for _ in range(2))
    found = ledger(replace(problem, batches=twice))
    assert found["repeated_batches"] == 0.5
    assert found["duplicates"] == 28


def test_ledger_sees_duplicated_samples():
    problem = problem_of([0, 1, 0, 1, 2, 3, 2, 3, 4, 5, 4, 5], 4)
    assert ledger(problem)["duplicates"] == 6
    once = problem_of([0, 1, 2, 3, 4, 5, 5, 6, 7, 8], 2)
    assert ledger(once)["duplicates"] == 1


def test_ledger_sees_an_order_that_never_changes():
    problem = text_problem()
    found = ledger(replace(problem, batches=problem.batches[:14] * 2))
    assert (found["same_order"], found["reshuffled"]) == (1, False)
    assert (found["duplicates"], found["repeated_batches"]) == (0, 0)


def test_ledger_sees_the_same_order_in_an_epoch_that_is_cut_short():
    problem = text_problem()
    found = ledger(replace(problem, batches=problem.batches[:14] + problem.batches[:5]))
    assert (found["epochs"], found["same_order"]) == (2, 1)


def test_ledger_makes_nothing_of_an_order_of_few():
    assert ledger(problem_of([0, 1, 2, 0, 1, 2], 3))["reshuffled"] is None
    found = ledger(problem_of([*range(10), *range(7)], 1))
    assert (found["same_order"], found["reshuffled"]) == (0, None)


def test_ledger_sees_held_out_samples_in_training():
    fresh = sample_problem()
    assert ledger(fresh)["held_out_overlap"] == 0
    assert ledger(replace(fresh, held_out=fresh.batches[2]))["held_out_overlap"] == 4
    assert ledger(problem_of([0, 1, 2, 3], 2, held_out=(7, 2, 8)))["held_out_overlap"] == 1


def test_ledger_sees_samples_that_are_never_trained_on():
    assert ledger(problem_of([0, 2, 4, 6, 8, 9], 2))["coverage"] == 0.6
