"""Where two trainings part: by step, stage and tensor; rounding is told apart from mistakes."""

import json
from dataclasses import replace
from math import inf, nan

import pytest
from recorded import PROBLEM, WORKER, make_run

from harness.checks.matches_reference import MatchesReference
from harness.cli import main
from harness.diverge import Stage, diverge
from harness.model import Status
from harness.runner import Runner, Task
from harness.sessions import Session
from harness.spec import Sgd, SgdOptimizer
from harness.store import open_store
from harness.testing import sample_case
from harness.testing.healthy import healthy_facts, healthy_trace


def run(trace=None, number=0, dtype="float32", digest="p0", **changes):
    facts = healthy_facts(healthy_trace() if trace is None else trace)
    facts = replace(
        facts, problem=replace(PROBLEM, digest=digest, steps=28), environment={**WORKER, "dtype": dtype}
    )
    return replace(make_run(f"{number:011x}{number:08x}"), facts=facts, **changes)


def changed(name, step, column, factor):
    values = getattr(healthy_trace(), name).copy()
    values[(step, column) if values.ndim == 2 else step] *= factor
    return healthy_trace(**{name: values})


def test_equal_runs_part_nowhere():
    found = diverge(run(), run(), run())
    assert (found.first, found.beyond, found.wrong) == (None, None, "")
    assert (found.left_error, found.right_error) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("name", "stage", "tensor"),
    [("loss", Stage.FORWARD, ""), ("gradient_norm", Stage.GRADIENT, 1), ("update_norm", Stage.UPDATE, 1)],
)
def test_the_first_difference_has_a_step_a_stage_and_a_tensor(name, stage, tensor):
    other = changed(name, 9, 1, 1.5)
    found = diverge(run(), run(other))
    names = healthy_trace().tensors
    assert (found.beyond.step, found.beyond.stage) == (9, stage)
    assert found.beyond.tensor == (names[tensor] if tensor else "")
    assert found.beyond.difference == pytest.approx(1 / 3, rel=1e-2)
    assert (found.first.step, found.first.stage) == (9, stage)


def test_a_program_is_held_beside_another_whatever_it_started_from():
    # Its digest is that of its files: two versions of one program never have the same.
    def program(trace, digest):
        told = run(trace, digest=digest)
        return replace(told, facts=replace(told.facts, problem=replace(told.facts.problem, shapes={})))

    found = diverge(program(healthy_trace(), "p1"), program(changed("loss", 5, 0, 1.5), "p2"))
    assert (found.beyond.step, found.beyond.stage) == (5, Stage.FORWARD)
    assert diverge(run(digest="p1"), program(healthy_trace(), "p2")).beyond is None


def test_rounding_is_a_difference_and_no_mistake():
    found = diverge(run(), run(changed("loss", 3, 0, 1 + 1e-6)), run())
    assert (found.first.step, found.beyond, found.wrong) == (3, None, "")
    assert found.right_error == pytest.approx(1e-6, rel=1e-3)


def test_the_reference_tells_which_of_the_two_is_wrong():
    off = run(changed("loss", 3, 0, 1.01))
    assert diverge(run(), off, run(dtype="float64")).wrong == "right"
    assert diverge(off, run(), run(dtype="float64")).wrong == "left"
    assert diverge(off, run(), None).wrong == ""
    both = run(changed("loss", 3, 0, 0.99))
    assert diverge(off, both, run(dtype="float64")).wrong == ""


def test_what_is_rounding_follows_the_coarser_dtype():
    other = changed("loss", 3, 0, 1.01)
    assert diverge(run(dtype="float64"), run(other, dtype="bfloat16")).beyond is None
    assert diverge(run(dtype="float64"), run(other)).beyond is not None
    assert (
        diverge(run(dtype="float64"), run(changed("loss", 3, 0, 1 + 1e-6), dtype="float64")).beyond
        is not None
    )


def test_a_gradient_that_is_only_rounding_does_not_count():
    norms = healthy_trace().gradient_norm.copy()
    norms[:, 0] = 1e-9
    twice = norms.copy()
    twice[:, 0] = 2e-9
    assert (
        diverge(run(healthy_trace(gradient_norm=norms)), run(healthy_trace(gradient_norm=twice))).beyond
        is None
    )


def test_an_update_is_no_finer_than_the_weights_it_is_added_to():
    small = healthy_trace().update_norm * 0 + 1e-7
    coarse = healthy_trace(update_norm=small, weight_norm=healthy_trace().update_norm * 0 + 1.0)
    other = healthy_trace(update_norm=2 * small, weight_norm=coarse.weight_norm)
    assert diverge(run(coarse), run(other)).beyond is None
    assert diverge(run(coarse, dtype="float64"), run(other, dtype="float64")).beyond.stage is Stage.UPDATE


@pytest.mark.parametrize("value", [nan, inf, -inf])
def test_a_number_that_is_not_finite_differs_from_one_that_is(value):
    loss = healthy_trace().loss.copy()
    loss[5] = value
    other = run(healthy_trace(loss=loss))
    assert diverge(run(), other).beyond.step == 5
    assert diverge(other, other).first is None


def test_other_problems_part_before_the_first_step():
    found = diverge(run(), run(digest="p1"))
    assert (found.beyond.step, found.beyond.stage) == (0, Stage.BATCH)
    assert found.beyond.words() == "before the first step: batches or starting weights differ"


def test_a_run_that_is_longer_parts_where_the_other_ends():
    loss = healthy_trace(steps=10).loss
    found = diverge(run(healthy_trace(steps=10)), run(healthy_trace(steps=8, loss=loss[:8])))
    assert (found.beyond.step, found.beyond.stage) == (8, Stage.BATCH)


def test_a_run_without_steps_has_nothing_to_hold_beside_it():
    with pytest.raises(ValueError, match="recorded no step, expected a training"):
        diverge(run(), run(healthy_trace(steps=0)))


@pytest.fixture
def store(tmp_path):
    path = tmp_path / "h.sqlite"
    runs = [
        run(number=1, backend="torch_eager"),
        run(changed("gradient_norm", 9, 1, 1.5), number=2, backend="native_c"),
        run(number=3, backend="numpy_float64", dtype="float64"),
    ]
    with open_store(path) as opened:
        opened.begin(Session(id=runs[0].session, started=1.0, plan=[], checkout={}))
        for one in runs:
            opened.add(replace(one, case="tiny"))
    return str(path)


def test_the_command_says_where_and_who(store, tmp_path, capsys):
    out = tmp_path / "d.json"
    names = ["tiny:torch_eager", "tiny:native_c"]
    assert main(["diverge", *names, "--store", store, "--json", str(out)]) == 1
    said = capsys.readouterr().out
    assert "first difference: step 9, gradient of " in said
    assert "right is wrong" in said
    written = json.loads(out.read_text())
    assert (written["wrong"], written["beyond"]["step"], written["right"]["backend"]) == (
        "right",
        9,
        "native_c",
    )


def test_the_command_on_two_healthy_runs(store, capsys):
    assert main(["diverge", "tiny:torch_eager", f"{1:011x}", "--store", store]) == 0
    assert "no number of them differs" in capsys.readouterr().out


def test_an_unknown_run_is_one_line(store, capsys):
    assert main(["diverge", "tiny:jax", "tiny:torch_eager", "--store", store]) == 2
    assert "no runs of 'tiny' on 'jax'; see `harness history`" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("fault", "where"),
    [
        ("double_step", "step 0, update of "),
        ("residual_detached", "step 0, gradient of "),
        ("attention_doubles_input", "step 0, forward: "),
        ("momentum_lost", "step 1, update of "),
    ],
)
def test_a_training_that_leaves_the_reference_says_where_by_itself(fault, where):
    config = {"steps": 4, "optimizer": SgdOptimizer(sgd=Sgd(lr=0.1, momentum=0.9))}
    expect = {"matches_reference": MatchesReference(loss=1e-5, gradients=1e-4)}
    case = replace(sample_case(**config), expect=expect)
    task = Task(case=case, backend="torch_eager", fault=fault)
    (done,) = Runner().run([task])
    assert done.facts.answers["reference"].facts["parting"]["words"].startswith(where)
    verdicts = [
        verdict for verdict in expect["matches_reference"].judge(done.facts) if verdict.status is Status.FAIL
    ]
    assert all(f"first beyond rounding: {where}" in verdict.message for verdict in verdicts)
