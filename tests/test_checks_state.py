"""Checks of a training's state: each passes a healthy answer and fails sick ones, in exactly these words."""

from math import inf, nan
from pathlib import Path

import pytest

from harness.checks._common import listed
from harness.checks.aliased import Aliased
from harness.checks.checkpoint import Checkpoint
from harness.checks.evaluation import Evaluation
from harness.checks.generation import Generation
from harness.checks.moves import Moves
from harness.checks.optimizer_covers import OptimizerCovers
from harness.checks.overfits_one_batch import OverfitsOneBatch
from harness.checks.replicas import Replicas
from harness.checks.resume import Resume
from harness.checks.samples import Samples
from harness.checks.score import Score
from harness.checks.trains_in_training_mode import TrainsInTrainingMode
from harness.checks.uses_inputs import UsesInputs
from harness.documents import parse
from harness.model import Answer, Status
from harness.testing import healthy_facts
from harness.units import rate
from harness.validation import validate

NAMES = ["embedding", "head.weight", "final_norm.weight"]
HEALTHY = {
    "evaluation": {
        "repeat_difference": 0.0,
        "mode_before": True,
        "mode_after": True,
        "changed_weights": False,
        "changed_training": False,
        "training_flag": True,
        "flag_after_evaluation": True,
        "train_eval_difference": 9e-8,
        "dropout": 0.0,
    },
    "coverage": {
        "optimized": NAMES,
        "missing": [],
        "moved": NAMES,
        "unmoved": [],
        "negligible": [],
        "aliased": [],
    },
    "resume": {
        "split": 6,
        "resumed_at": 6,
        "loss_difference": [0.0] * 6,
        "rate_difference": [0.0] * 6,
        "weights_difference": 0.0,
    },
    "replicas": {
        "ranks": 2,
        "steps": 8,
        "distance": 0.0,
        "apart_from": None,
        "shared": 0,
        "left_out": 0,
        "samples": 32,
        "unsharded_from": None,
    },
    "checkpoint": {"bytes": 50_712, "difference": 0.0, "lost": [], "error": "", "seconds": 0.01},
    "generation": {
        "inference_difference": 2e-6,
        "tokens": 128,
        "distinct": 17,
        "repeatable": True,
        "tokens_per_second": 5000.0,
    },
    "score": {"trained": 0.36, "randomised": 0.03, "chance": 0.07},
    "baseline": {"blind_loss": 3.4, "seeing_loss": 2.38, "steps": 60},
    "overfit": {"start": 3.5, "end": 1.4, "drop": 0.6, "steps": 40},
    "ledger": {
        "epochs": 2,
        "samples": 56,
        "duplicates": 0,
        "coverage": 1.0,
        "repeated_batches": 0.0,
        "same_order": 0,
        "reshuffled": True,
        "held_out_overlap": 0,
    },
}
ALL_SAMPLES = {
    "duplicates": 0,
    "repeated_batches": 0.0,
    "held_out_overlap": 0,
    "reshuffled": True,
    "coverage": 0.9,
}
PROBED = {
    Evaluation(repeatable=True, leaves_training_alone=True): "an evaluation between steps",
    TrainsInTrainingMode(required=True): "the mode of the steps",
    OptimizerCovers(tensors="all"): "what the optimizer holds",
    Aliased(tensors="none"): "which tensors share memory",
    Replicas(agree=True, sharded=True): "what each rank holds",
    Resume(tolerance=1e-6): "a resumed training",
    Checkpoint(at_most=51 * 1024, round_trip="exact"): "a checkpoint",
    Generation(matches_training=1e-4, distinct=3, repeatable=True, at_least=rate("10 tokens/s")): "inference",
    Score(falls_when_randomised=True, at_least=0.2): "the score",
    UsesInputs(better_by=0.05): "a training without inputs",
    OverfitsOneBatch(drop=0.5): "a training on one batch",
    Samples(**ALL_SAMPLES): "which samples were trained on",
}
MOVES = Moves(tensors={"*": True})


def verdicts(check, answer=None, **changes):
    """The verdicts on a healthy answer. changes: of that answer."""
    (probe,) = check.probes
    answer = Answer(facts={**HEALTHY[probe], **changes}) if answer is None else answer
    return list(check.judge(healthy_facts(answers={probe: answer})))


def only(check, **changes):
    (verdict,) = verdicts(check, **changes)
    return verdict


def statuses(check, **changes):
    return [verdict.status.value for verdict in verdicts(check, **changes)]


def messages(check, **changes):
    return [verdict.message for verdict in verdicts(check, **changes)]


def failure(verdict, message, **expected):
    """Whether a verdict is exactly this failure, as far as it is told."""
    assert verdict.status is Status.FAIL, verdict
    assert verdict.message == message
    found = {key: getattr(verdict, key) for key in expected}
    assert found == expected
    return True


def read(text):
    """The check that YAML makes, or the mistakes in it."""
    ((name, node),) = parse(text, Path("x.yaml")).mapping.items()
    check = next(check for check in (*PROBED, MOVES) if check.name == name)
    made, mistakes = validate(type(check), node, name, entire=check.entire)
    return made or "; ".join(map(str, mistakes))


# all of them


@pytest.mark.parametrize("check", [*PROBED, MOVES], ids=lambda check: check.name)
def test_a_healthy_answer_passes(check):
    assert set(statuses(check)) == {"pass"}


@pytest.mark.parametrize(("check", "what"), [*PROBED.items(), (MOVES, "which tensors moved")])
def test_what_was_not_asked_is_an_error(check, what):
    (verdict,) = check.judge(healthy_facts(answers={}))
    assert (verdict.status, verdict.reason) == (Status.ERROR, "missing")
    assert verdict.message == f"{what} was not recorded"


@pytest.mark.parametrize("check", [*PROBED, MOVES], ids=lambda check: check.name)
def test_what_makes_no_sense_is_skipped(check):
    (verdict,) = verdicts(check, Answer(skipped="a regression predicts no classes"))
    assert (verdict.status, verdict.reason) == (Status.SKIP, "not_applicable")
    assert verdict.message == "a regression predicts no classes"


@pytest.mark.parametrize(
    ("text", "check"),
    [
        ("evaluation: {repeatable: true}", Evaluation(repeatable=True)),
        ("evaluation: {leaves_training_alone: true}", Evaluation(leaves_training_alone=True)),
        ("trains_in_training_mode: true", TrainsInTrainingMode(required=True)),
        ("optimizer_covers: all", OptimizerCovers(tensors="all")),
        ('moves: {"*": true, "embedding": false}', Moves(tensors={"*": True, "embedding": False})),
        ("aliased: none", Aliased(tensors="none")),
        ("replicas: {agree: true}", Replicas(agree=True)),
        ("resume: 1e-6", Resume(tolerance=1e-6)),
        ("resume: 0", Resume(tolerance=0)),
        ("checkpoint: {at_most: 51 KiB, round_trip: exact}", Checkpoint(at_most=52_224, round_trip="exact")),
        ("generation: {matches_training: 1e-4, distinct: 3}", Generation(matches_training=1e-4, distinct=3)),
        (
            "score: {falls_when_randomised: true, at_least: 20%}",
            Score(falls_when_randomised=True, at_least=0.2),
        ),
        ("uses_inputs: {better_by: 5%}", UsesInputs(better_by=0.05)),
        ("overfits_one_batch: {drop: 50%}", OverfitsOneBatch(drop=0.5)),
        (
            "samples: {duplicates: 0, repeated_batches: 0%, held_out_overlap: 0, reshuffled: true}",
            Samples(duplicates=0, repeated_batches=0.0, held_out_overlap=0, reshuffled=True),
        ),
    ],
)
def test_the_form_in_yaml(text, check):
    assert read(text) == check


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("evaluation: {repeatable: false}", "give at least one of repeatable, leaves_training_alone"),
        (
            "evaluation: {repeatable: true, leaves_training_alone: false}",
            "nothing can be expected where false",
        ),
        ("trains_in_training_mode: false", "nothing can be expected of a training in any mode"),
        ("optimizer_covers: some", "expected 'all', got 'some'"),
        ("moves: {}", "give at least one tensor pattern"),
        ("aliased: some", "expected 'none', got 'some'"),
        ("replicas: {agree: false}", "expected agree: true or sharded: true; otherwise nothing can fail"),
        ("resume: -1", "expected >= 0, got -1"),
        ("checkpoint: {}", "give at least one of at_least, at_most, round_trip"),
        ("checkpoint: {round_trip: roughly}", "expected 'exact', got 'roughly'"),
        ("checkpoint: {at_least: 2 KiB, at_most: 1 KiB}", "at_least (2048) lies above at_most (1024)"),
        ("generation: {}", "give at least one of matches_training, distinct, repeatable, at_least"),
        ("generation: {distinct: 3, repeatable: false}", "leave repeatable out"),
        ("generation: {at_least: 3 steps/s}", "expected a rate in token/s, got one in step/s"),
        ("generation: {distinct: 0}", "expected >= 1, got 0"),
        ("score: {}", "give at least one of falls_when_randomised, at_least, at_most"),
        ("score: {falls_when_randomised: false, at_least: 1%}", "leave falls_when_randomised out"),
        ("score: {at_least: 101%}", "expected at_least of 0% to 100%, got 101%"),
        ("score: {at_least: 50%, at_most: 40%}", "at_least (50%) lies above at_most (40%)"),
        ("uses_inputs: {better_by: 0}", "expected better_by above 0% and below 100%, got 0%"),
        ("overfits_one_batch: {drop: 100%}", "expected drop above 0% and below 100%, got 100%"),
        ("samples: {}", "give at least one of duplicates, repeated_batches, held_out_overlap, reshuffled"),
        ("samples: {reshuffled: false, duplicates: 0}", "leave reshuffled out"),
        ("samples: {coverage: 120%}", "expected coverage of 0% to 100%, got 120%"),
        ("samples: {duplicates: -1}", "expected >= 0, got -1"),
    ],
)
def test_what_cannot_fail_or_cannot_hold_is_refused(text, message):
    assert message in read(text)


# evaluation

EVALUATION = Evaluation(repeatable=True, leaves_training_alone=True)


def test_evaluation_passes():
    assert messages(EVALUATION, repeat_difference=1e-6) == [
        (
            "1e-06 apart are two evaluations of the same weights, in standard deviations of the logits, "
            "expected <= 1e-06"
        ),
        "evaluations between steps left weights, mode and later losses as they were",
    ]


@pytest.mark.parametrize("difference", [1.1e-6, 0.3, nan, inf])
def test_evaluation_fails_when_it_does_not_repeat(difference):
    verdict = only(Evaluation(repeatable=True), repeat_difference=difference)
    about = "apart are two evaluations of the same weights, in standard deviations of the logits"
    message = f"{difference:.4g} {about}, expected <= 1e-06; something random acts in evaluation (dropout?)"
    assert failure(verdict, message)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"changed_weights": True},
            "an evaluation changed the weights, expected none to change; it must not update",
        ),
        (
            {"mode_after": False},
            (
                "evaluation mode after an evaluation, expected training mode as before it; it does not "
                "switch back"
            ),
        ),
        (
            {"mode_before": False},
            (
                "training mode after an evaluation, expected evaluation mode as before it; it does not "
                "switch back"
            ),
        ),
        (
            {"changed_training": True},
            (
                "losses after an evaluation differ from those without one, expected the same bits; "
                "it draws from the training's random numbers or leaves something behind"
            ),
        ),
    ],
)
def test_evaluation_fails_when_it_touches_the_training(changes, message):
    verdict = only(Evaluation(leaves_training_alone=True), **changes)
    assert failure(verdict, message, reason="side_effect")


def test_evaluation_fails_with_the_nearest_cause():
    everything = {"changed_weights": True, "mode_after": False, "changed_training": True}
    assert "changed the weights" in only(Evaluation(leaves_training_alone=True), **everything).message


# trains_in_training_mode

TRAINS = TrainsInTrainingMode(required=True)


def test_trains_in_training_mode_passes():
    assert messages(TRAINS) == ["every step was taken in training mode"]
    assert messages(TRAINS, dropout=0.1, train_eval_difference=2e-4) == [
        "every step was taken in training mode",
        "0.0002 apart, relatively, are the losses with and without dropout 0.1, expected >= 1e-05",
    ]


def test_trains_in_training_mode_fails_on_the_flag():
    expected = "are taken in evaluation mode, expected training mode; call train() before them"
    never = only(TRAINS, training_flag=False, flag_after_evaluation=False)
    assert failure(never, f"steps from the first one on {expected}", reason="evaluation_mode")
    later = only(TRAINS, flag_after_evaluation=False)
    assert failure(later, f"steps after an evaluation {expected}")


@pytest.mark.parametrize("difference", [0.0, 1e-7, nan])
def test_trains_in_training_mode_fails_when_dropout_does_not_act(difference):
    flag, acts = verdicts(TRAINS, dropout=0.1, train_eval_difference=difference)
    assert flag.status is Status.PASS
    about = "apart, relatively, are the losses with and without dropout 0.1, expected >= 1e-05"
    assert failure(acts, f"{difference:.4g} {about}; dropout does not act while training")


# optimizer_covers

COVERS = OptimizerCovers(tensors="all")


def test_optimizer_covers_passes():
    assert messages(COVERS) == ["the optimizer holds 3 of 3 parameters"]


def test_optimizer_covers_fails_and_names_what_is_missing():
    verdict = only(COVERS, optimized=NAMES[:1], missing=NAMES[1:])
    message = (
        "the optimizer holds 1 of 3 parameters, expected all; without head.weight, final_norm.weight, it can "
        "never move them"
    )
    assert failure(verdict, message, observed=1.0, expected="3", tensor="head.weight", reason="uncovered")


def test_optimizer_covers_fails_where_there_is_nothing():
    assert only(COVERS, optimized=[]).status is Status.FAIL


def test_long_lists_are_cut():
    assert listed(["a", "b", "c"]) == "a, b, c"
    assert listed(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"
    assert listed([]) == ""


# moves


def test_moves_passes():
    assert messages(MOVES) == ["3 tensors moved"]
    frozen = Moves(tensors={"*": True, "embedding": False})
    still = {"moved": NAMES[1:], "unmoved": NAMES[:1]}
    assert messages(frozen, **still) == ["2 tensors moved", "1 tensors stood still"]


def test_moves_fails_when_a_tensor_stands_still():
    verdict = only(MOVES, moved=NAMES[1:], unmoved=NAMES[:1])
    message = (
        "1 of 3 tensors stood still, expected all to move: embedding; frozen, detached, or their "
        "updates vanish "
        "in rounding"
    )
    assert failure(verdict, message, observed=2.0, expected="3", tensor="embedding", reason="unmoved")


def test_moves_fails_when_a_frozen_tensor_moves():
    moving, frozen = verdicts(Moves(tensors={"*": True, "*.weight": False}))
    assert moving.status is Status.PASS
    message = (
        "2 of 2 tensors moved, expected all to stand still: "
        "head.weight, final_norm.weight; they are not frozen"
    )
    assert failure(frozen, message, observed=0.0, expected="2", tensor="head.weight", reason="moved")


def test_moves_lets_the_last_pattern_win():
    still = {"moved": NAMES[1:], "unmoved": NAMES[:1]}
    assert statuses(Moves(tensors={"*": True, "emb*": False}), **still) == ["pass", "pass"]
    assert statuses(Moves(tensors={"emb*": False, "*": True}), **still) == ["fail"]


def test_moves_does_not_judge_a_gradient_that_is_zero_in_theory():
    still = {"moved": NAMES[1:], "unmoved": NAMES[:1], "negligible": NAMES[:1]}
    assert statuses(MOVES, **still) == ["pass"]
    assert statuses(Moves(tensors={"embedding": False}), negligible=NAMES[:1]) == ["pass"]


def test_moves_needs_its_tensors():
    verdict = only(Moves(tensors={"*": True, "layers.*": True}))
    assert (verdict.status, verdict.message) == (
        Status.ERROR,
        "a tensor that matches 'layers.*' was not recorded",
    )
    assert Moves(tensors={"*": True, "emb*": False}).patterns == ("*", "emb*")


# replicas


def test_replicas_passes():
    both = [
        "the 2 ranks hold the same weights after each of 8 steps",
        "each of 32 samples was taken by one of 2 ranks",
    ]
    assert messages(Replicas(agree=True, sharded=True)) == both
    assert messages(Replicas(agree=True)) == both[:1]
    assert messages(Replicas(sharded=True), distance=1.0) == both[1:]


@pytest.mark.parametrize("distance", [1e-9, nan, inf])
def test_replicas_fails_when_they_part(distance):
    verdict = only(Replicas(agree=True), distance=distance, apart_from=3)
    assert (verdict.status, verdict.step, verdict.reason) == (Status.FAIL, 3, "out_of_sync")
    assert verdict.message.startswith("the weights of 2 ranks part after step 3, up to ")


def test_replicas_fails_when_data_are_not_sharded():
    verdict = only(Replicas(sharded=True), shared=16, left_out=16, unsharded_from=0)
    message = "of 32 samples 16 were taken by more than one rank and 16 by none, expected each in one"
    assert failure(verdict, message, observed=32.0, expected="0", step=0, reason="unsharded")


# aliased

ALIASED = Aliased(tensors="none")


def test_aliased_passes():
    assert messages(ALIASED) == ["no two tensors share memory"]


def test_aliased_fails_and_names_the_pairs():
    verdict = only(ALIASED, aliased=[["layers.0.a", "layers.1.a"], ["layers.0.b", "layers.1.b"]])
    message = (
        "2 pairs of tensors share memory, expected none: layers.0.a and layers.1.a, layers.0.b and "
        "layers.1.b; "
        "they are one tensor under two names (one layer used twice?)"
    )
    assert failure(verdict, message, observed=2.0, expected="0", tensor="layers.0.a", reason="aliased")


# resume

RESUME = Resume(tolerance=1e-6)


def test_resume_passes():
    assert messages(RESUME, loss_difference=[0.0, 1e-7, 0.0, 0.0, 0.0, 0.0]) == [
        "resumes at step 6, expected step 6",
        "0 relative difference of the learning rate at step 6 after resuming at step 6, expected <= 1e-06",
        "1e-07 relative difference of the loss at step 7 after resuming at step 6, expected <= 1e-06",
        "0 relative difference of the final weights after resuming, expected <= 1e-06",
    ]
    assert set(statuses(Resume(tolerance=0))) == {"pass"}


def test_resume_fails_at_another_position():
    position, *_ = verdicts(RESUME, resumed_at=0)
    message = "resumes at step 0, expected step 6; data and schedule are repeated or skipped"
    assert failure(position, message, observed=0.0, expected="6", step=6, reason="wrong_position")


@pytest.mark.parametrize(
    ("key", "place", "what", "hint"),
    [
        ("rate_difference", 1, "learning rate", "the schedule does not go on where it was"),
        ("loss_difference", 2, "loss", "weights, optimizer state, data or random state are lost"),
    ],
)
def test_resume_fails_at_the_first_step_that_differs(key, place, what, hint):
    series = [0.0, 0.0, 1e-3, 0.5, 0.0, 0.0]
    found = verdicts(RESUME, **{key: series})
    message = (
        f"0.001 relative difference of the {what} at step 8 "
        f"after resuming at step 6, expected <= 1e-06; {hint}"
    )
    assert failure(found[place], message, step=8)
    assert [verdict.status.value for verdict in found].count("fail") == 1


def test_resume_fails_on_lost_optimizer_state():
    weights = verdicts(RESUME, weights_difference=0.02)[-1]
    message = (
        "0.02 relative difference of the final weights after resuming, expected <= 1e-06; "
        "the optimizer's state is lost"
    )
    assert failure(weights, message)


def test_resume_fails_on_the_smallest_difference_where_none_is_allowed():
    exact = Resume(tolerance=0)
    assert statuses(exact, weights_difference=1e-16)[-1] == "fail"
    assert statuses(exact, loss_difference=[0.0] * 5 + [1e-16])[2] == "fail"


@pytest.mark.parametrize("key", ["loss_difference", "rate_difference"])
def test_resume_fails_on_nan(key):
    assert "fail" in statuses(RESUME, **{key: [0.0, nan, 0.0, 0.0, 0.0, 0.0]})
    assert "fail" in statuses(RESUME, weights_difference=nan)


# checkpoint

CHECKPOINT = Checkpoint(at_most=51 * 1024, round_trip="exact")


def test_checkpoint_passes():
    assert messages(CHECKPOINT) == [
        "49.52 KiB on disk, expected <= 51 KiB",
        "saving and loading gives the same bits back",
    ]
    assert statuses(Checkpoint(round_trip="exact"), bytes=10**12) == ["pass"]


def test_checkpoint_fails_outside_its_size():
    assert failure(only(Checkpoint(at_most=1024)), "49.52 KiB on disk, expected <= 1 KiB", unit="B")
    assert failure(only(Checkpoint(at_least=2**20)), "49.52 KiB on disk, expected >= 1 MiB")


@pytest.mark.parametrize(
    ("changes", "message", "tensor"),
    [
        (
            {
                "error": "ValueError: the checkpoint: holds ['a'], expected ['a', 'b']",
                "lost": NAMES,
                "difference": 1.0,
            },
            (
                "the checkpoint that was saved cannot be loaded: ValueError: the checkpoint: holds ['a'], "
                "expected ['a', 'b']"
            ),
            "embedding",
        ),
        (
            {"lost": ["embedding"], "difference": 1.0},
            (
                "1 tensors do not come back from the checkpoint: embedding, expected all; "
                "a model resumed from it is another one"
            ),
            "embedding",
        ),
        (
            {"difference": 1.5e-5},
            (
                "a weight changes by 1.5e-05 on its way through the checkpoint, expected the same bits; "
                "it is saved in a lower precision"
            ),
            "",
        ),
        (
            {"difference": nan},
            (
                "a weight changes by nan on its way through the checkpoint, expected the same bits; "
                "it is saved in a lower precision"
            ),
            "",
        ),
    ],
)
def test_checkpoint_fails_when_weights_do_not_come_back(changes, message, tensor):
    verdict = only(Checkpoint(round_trip="exact"), **changes)
    assert failure(verdict, message, tensor=tensor, reason="inexact", expected="0")


# generation

GENERATION = Generation(matches_training=1e-4, distinct=3, repeatable=True, at_least=rate("10 tokens/s"))


def test_generation_passes():
    about = "apart are inference and the training's forward pass, in standard deviations of the logits"
    assert messages(GENERATION) == [
        f"2e-06 {about}, expected <= 0.0001",
        "17 different tokens among 128 generated, expected >= 3",
        "generating twice gives the same text",
        "5000 token/s generated, expected >= 10 token/s",
    ]


@pytest.mark.parametrize("difference", [1.1e-4, 4.0, nan, inf])
def test_generation_fails_when_inference_is_something_else(difference):
    verdict = only(Generation(matches_training=1e-4), inference_difference=difference)
    message = (
        f"{difference:.4g} apart are inference and the training's forward pass, in standard "
        "deviations of the logits, "
        "expected <= 0.0001; inference does not use the trained weights, or computes something else with them"
    )
    assert failure(verdict, message)


def test_generation_fails_on_one_token_again_and_again():
    verdict = only(Generation(distinct=3), distinct=1)
    message = (
        "1 different tokens among 128 generated, expected >= 3; the model repeats itself whatever it is given"
    )
    assert failure(verdict, message, observed=1.0)


def test_generation_fails_when_it_does_not_repeat():
    verdict = only(Generation(repeatable=True), repeatable=False)
    message = "generating twice gives two texts, expected the same; inference draws random numbers"
    assert failure(verdict, message, reason="nondeterministic")


def test_generation_fails_when_it_is_slow():
    verdict = only(Generation(at_least=rate("10 tokens/s")), tokens_per_second=9.5)
    assert failure(verdict, "9.5 token/s generated, expected >= 10 token/s")


def test_generation_of_a_model_without_tokens_is_judged_by_its_logits():
    without = Answer(facts={"inference_difference": 0.0})
    matches, text = verdicts(GENERATION, without)
    assert matches.status is Status.PASS
    assert (text.status, text.message) == (Status.SKIP, "the model generates no text")
    assert [v.status for v in verdicts(Generation(matches_training=1e-4), without)] == [Status.PASS]


# score


def test_score_passes():
    assert messages(Score(falls_when_randomised=True, at_least=0.2, at_most=0.5)) == [
        "36 % of the answers are right (the commonest one: 7 %), expected 20 % to 50 %",
        "91.67 % less with weights in random order (36 % to 3 % right), expected >= 20 %",
    ]


@pytest.mark.parametrize(
    ("trained", "randomised", "fall"), [(1.0, 1.0, "0"), (0.5, 0.41, "18"), (0.1, 0.2, "-100")]
)
def test_score_fails_when_it_does_not_fall(trained, randomised, fall):
    verdict = only(Score(falls_when_randomised=True), trained=trained, randomised=randomised)
    message = (
        f"{fall} % less with weights in random order ({100 * trained:.4g} % to {100 * randomised:.4g} "
        "% right), "
        "expected >= 20 %; the score does not come from the trained weights"
    )
    assert failure(verdict, message)


def test_score_fails_outside_its_bounds():
    message = "36 % of the answers are right (the commonest one: 7 %), expected >= 40 %"
    assert failure(only(Score(at_least=0.4)), message, observed=0.36)
    message = "36 % of the answers are right (the commonest one: 7 %), expected <= 30 %"
    assert failure(only(Score(at_most=0.3)), message)


def test_score_fails_on_nan_and_on_nothing_right():
    check = Score(falls_when_randomised=True, at_least=0.0)
    assert statuses(check, trained=nan) == ["fail", "fail"]
    assert statuses(check, randomised=nan) == ["pass", "fail"]
    assert statuses(check, trained=0.0, randomised=0.0) == ["pass", "fail"]


# uses_inputs


def test_uses_inputs_passes():
    assert messages(UsesInputs(better_by=0.05)) == [
        "30 % below a training without inputs (3.4 to 2.38 after 60 steps), expected >= 5 %"
    ]


@pytest.mark.parametrize(("seeing", "gain"), [(3.4, "0"), (3.3, "2.941"), (6.8, "-100")])
def test_uses_inputs_fails_when_it_is_no_better_than_blind(seeing, gain):
    verdict = only(UsesInputs(better_by=0.05), seeing_loss=seeing)
    message = (
        f"{gain} % below a training without inputs (3.4 to {seeing:.4g} after 60 steps), expected >= 5 %; "
        "inputs and targets have nothing to do with each other, or the model ignores its inputs"
    )
    assert failure(verdict, message)


@pytest.mark.parametrize("changes", [{"seeing_loss": nan}, {"blind_loss": nan}, {"blind_loss": 0.0}])
def test_uses_inputs_fails_on_what_cannot_be_compared(changes):
    assert statuses(UsesInputs(better_by=0.05), **changes) == ["fail"]


# overfits_one_batch


def test_overfits_one_batch_passes():
    assert messages(OverfitsOneBatch(drop=0.5)) == [
        "60 % off the loss of one batch, again and again for 40 steps (3.5 to 1.4), expected >= 50 %"
    ]


@pytest.mark.parametrize("drop", [0.0, 0.499, -0.2])
def test_overfits_one_batch_fails_when_the_loss_stays(drop):
    verdict = only(OverfitsOneBatch(drop=0.5), drop=drop, end=3.5 * (1 - drop))
    end = f"{3.5 * (1 - drop):.4g}"
    message = (
        f"{100 * drop:.4g} % off the loss of one batch, again and again for 40 steps (3.5 to {end}), "
        "expected >= 50 %; what cannot be learned by heart is not learned at all: "
        "gradients, updates or targets are wrong"
    )
    assert failure(verdict, message)


def test_overfits_one_batch_fails_on_nan():
    assert only(OverfitsOneBatch(drop=0.5), drop=nan, end=nan).reason == "nonfinite"


# samples


def test_samples_passes():
    assert messages(Samples(**ALL_SAMPLES)) == [
        "0 of 56 samples were there before in their epoch, expected <= 0",
        "0 % of the steps have a batch that was there before, expected <= 0 %",
        "0 held-out samples occur in training, expected <= 0",
        "every epoch has an order of its own",
        "100 % of the samples are trained on, expected >= 90 %",
    ]


@pytest.mark.parametrize(
    ("expectation", "changes", "message"),
    [
        (
            {"duplicates": 0},
            {"duplicates": 28},
            (
                "28 of 56 samples were there before in their epoch, expected <= 0; samples are drawn or "
                "sharded twice"
            ),
        ),
        (
            {"repeated_batches": 0.1},
            {"repeated_batches": 27 / 28},
            (
                "96.43 % of the steps have a batch that was there before, expected <= 10 %; "
                "the same batch is trained on again"
            ),
        ),
        (
            {"held_out_overlap": 0},
            {"held_out_overlap": 2},
            (
                "2 held-out samples occur in training, expected <= 0; a held-out loss says nothing about "
                "new data"
            ),
        ),
        (
            {"reshuffled": True},
            {"same_order": 1, "reshuffled": False},
            "1 of 2 epochs have the order of the one before, expected none; the shuffle is seeded anew",
        ),
        (
            {"coverage": 0.9},
            {"coverage": 0.5},
            "50 % of the samples are trained on, expected >= 90 %; part of the data is never seen",
        ),
    ],
)
def test_samples_fails(expectation, changes, message):
    assert failure(only(Samples(**expectation), **changes), message)
    others = {key: value for key, value in ALL_SAMPLES.items() if key not in expectation}
    assert set(statuses(Samples(**others), **changes)) == {"pass"}


@pytest.mark.parametrize(
    ("expectation", "changes", "message"),
    [
        (
            {"held_out_overlap": 0},
            {"held_out_overlap": None},
            "the data are too few to hold any sample out",
        ),
        (
            {"reshuffled": True},
            {"reshuffled": None},
            "no second epoch, or too few samples, to tell whether the order changes",
        ),
    ],
)
def test_samples_skips_what_the_data_cannot_tell(expectation, changes, message):
    verdict = only(Samples(**expectation), **changes)
    assert (verdict.status, verdict.reason, verdict.message) == (Status.SKIP, "not_applicable", message)


def test_samples_fails_on_nan():
    assert (
        statuses(Samples(repeated_batches=1.0, coverage=0.0), repeated_batches=nan, coverage=nan)
        == ["fail"] * 2
    )
