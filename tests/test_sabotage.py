"""The sabotage: which faults apply, what a case makes of them, the sums, the command and its page."""

import json
from dataclasses import replace

import numpy as np
import pytest
from nights import History

import reports
from harness.cases import load_cases
from harness.checks.matches_baseline import MatchesBaseline
from harness.cli import main
from harness.matrix import Cell, Effect, Matrix, shares, unmet
from harness.model import Diagnosis, Facts, Outcome
from harness.pipeline import night
from harness.runner import Task
from harness.sabotage import cell, naive_gate_fails, plan, sabotage, told_apart, trace_cells
from harness.store import open_store
from harness.testing import healthy_facts


def one(fault="double_step", effect=Effect.NAMED, naive=False, case="a"):
    return Cell(case=case, backend="numpy_float64", fault=fault, area="optimizer", effect=effect, naive=naive)


def matrix(*cells, alarms=(), healthy=1):
    return Matrix(id="m1", started=1.0, seconds=2.0, healthy_runs=healthy, alarms=alarms, cells=cells)


@pytest.fixture(scope="module")
def minimal():
    return next(case for case in load_cases(["cases"]).cases if case.name == "cllm-minimal")


def test_a_fault_counts_as_caught_when_any_case_catches_it():
    found = shares(
        matrix(one(effect=Effect.MISSED), one(effect=Effect.CAUGHT, case="b"), one("x", naive=True))
    )
    assert (found.faults, found.caught, found.named, found.naive) == (2, 2, 1, 1)


def test_what_does_not_apply_counts_for_nothing():
    found = shares(matrix(one(effect=Effect.NOT_APPLICABLE)))
    assert (found.faults, found.caught, found.healthy_runs) == (0, 0, 1)


def test_false_alarms_are_those_of_healthy_and_of_benign_runs():
    found = shares(matrix(one(effect=Effect.QUIET), one(effect=Effect.FALSE_ALARM), alarms=("a",), healthy=3))
    assert (found.healthy_runs, found.false_alarms) == (5, 2)


def test_a_promise_is_broken_by_a_missed_fault_and_by_a_false_alarm_of_that_case_alone():
    cells = [one(effect=Effect.MISSED), one("y", Effect.FALSE_ALARM), one(effect=Effect.MISSED, case="b")]
    assert unmet("a", {"double_step"}, cells) == cells[:2]
    assert unmet("a", set(), cells) == [cells[1]]


def test_healthy_runs_come_first_and_inapplicable_faults_say_why(minimal):
    tasks, idle = plan(
        [minimal], ["numpy_float64"], lambda _: ["double_step", "momentum_lost", "trace_nan_loss"]
    )
    assert [(task.backend, task.fault) for task in tasks] == [
        ("numpy_float64", ""),
        ("numpy_float64", "double_step"),
    ]
    assert [(found.fault, found.effect) for found in idle] == [("momentum_lost", Effect.NOT_APPLICABLE)]
    assert idle[0].message


def test_every_trace_fault_on_healthy_facts_has_a_cell(minimal):
    task = Task(case=minimal, backend="numpy_float64")
    cells = trace_cells(task, healthy_facts(), ["trace_nan_loss", "double_step"], [])
    assert [(found.fault, found.effect) for found in cells] == [("trace_nan_loss", Effect.CAUGHT)]
    assert "finite" in cells[0].checks


class Names:
    def __init__(self, *names):
        self.names = names

    def weigh(self, _facts):
        return Diagnosis(name=self.names[0], cause="c", remedy="r", weight=0.9)


@pytest.mark.parametrize(
    ("name", "effect"), [("nonfinite_origin", Effect.NAMED), ("memory_grows", Effect.CAUGHT)]
)
def test_a_fault_is_named_when_a_right_diagnosis_is_among_the_first(minimal, name, effect):
    trace = healthy_facts().trace
    facts = replace(healthy_facts(), trace=replace(trace, loss=np.full_like(trace.loss, np.nan)))
    task = Task(case=minimal, backend="numpy_float64", fault="nan_at_step")
    assert cell(task, facts, [Names(name)]).effect is effect


def test_a_benign_variant_must_stay_quiet(minimal):
    task = Task(case=minimal, backend="numpy_float64", fault="benign_gc_every_step")
    assert cell(task, Facts(outcome=Outcome.CRASHED), []).effect is Effect.FALSE_ALARM


@pytest.mark.parametrize("outcome", [Outcome.TIMEOUT, Outcome.CRASHED, Outcome.BROKEN])
def test_a_run_that_did_not_end_shows_nothing_of_what_the_case_would_notice(minimal, outcome):
    task = Task(case=minimal, backend="numpy_float64", fault="double_step")
    found = cell(task, Facts(outcome=outcome), [])
    assert (found.effect, found.naive) == (Effect.MISSED, False)


def test_the_naive_gate_knows_three_things():
    facts = healthy_facts()
    falling = replace(facts.trace, loss=np.linspace(3, 1, facts.trace.steps))
    assert not naive_gate_fails(replace(facts, trace=falling))
    assert naive_gate_fails(
        replace(facts, trace=replace(falling, loss=np.linspace(3, 2.5, facts.trace.steps)))
    )
    assert naive_gate_fails(replace(facts, trace=replace(falling, clipped_norm=falling.clipped_norm * 1e6)))
    assert naive_gate_fails(replace(facts, trace=replace(falling, loss=falling.loss * np.nan)))
    assert naive_gate_fails(Facts(outcome=Outcome.CRASHED))


def test_a_matrix_comes_back_from_the_store_as_it_was(tmp_path):
    kept = matrix(replace(one(), checks=("updates",), diagnoses=("updated_twice",)), alarms=("a [b] c",))
    with open_store(tmp_path / "h.sqlite") as store:
        assert store.matrix() is None
        store.add_matrix(kept)
        assert store.matrix() == kept


def test_the_command_catches_names_and_records(tmp_path, capsys):
    store, out = tmp_path / "h.sqlite", tmp_path / "matrix.json"
    arguments = ["sabotage", "cases/cllm-minimal.yaml", "--backend", "numpy_float64", "--store", str(store)]
    faults = ["--fault", "double_step", "--fault", "optimizer_never_steps", "--fault", "benign_gc_every_step"]
    assert main([*arguments, *faults, "--json", str(out)]) == 0
    written = json.loads(out.read_text())
    effects = {found["fault"]: found["effect"] for found in written["cells"]}
    assert effects == {
        "double_step": "named",
        "optimizer_never_steps": "named",
        "benign_gc_every_step": "quiet",
    }
    assert written["shares"]["false_alarms"] == 0
    assert "2 faults: 2 (100 %) caught, 2 (100 %) named first or second" in capsys.readouterr().out
    with open_store(store) as kept:
        assert len(kept.matrix().cells) == 3


def test_an_unknown_fault_is_one_line(tmp_path, capsys):
    assert main(["sabotage", "cases", "--fault", "doubel_step", "--store", str(tmp_path / "h.sqlite")]) == 2
    assert (
        capsys.readouterr().err.strip() == "--fault: unknown name 'doubel_step'; did you mean 'double_step'?"
    )


class Sabotaged(History):
    def matrix(self):
        return matrix(
            one(naive=True), one("<b>", Effect.MISSED), one("benign", Effect.FALSE_ALARM), alarms=("x",)
        )


def test_the_page_shows_every_fault_and_the_night_links_to_it(tmp_path):
    index = reports.render(Sabotaged([]), tmp_path)
    page = (tmp_path / "sabotage.html").read_text()
    assert "1 of 2 faults caught" in page
    assert "&lt;b&gt;" in page
    assert "<b>" not in page
    assert 'href="sabotage.html"' in index.read_text()


def test_a_program_is_broken_in_its_record_alone():
    program = next(case for case in load_cases(["cases"]).cases if case.name == "softmax-regression")
    tasks, idle = plan([program], [], lambda _: ["label_leak", "trace_nan_loss"])
    assert [task.fault for task in tasks] == [""]
    assert [(found.fault, found.effect) for found in idle] == [("label_leak", Effect.NOT_APPLICABLE)]


def test_what_was_not_recorded_cannot_be_spoiled(minimal):
    facts = healthy_facts()
    facts = replace(facts, trace=replace(facts.trace, absent=("memory",)))
    (found,) = trace_cells(Task(case=minimal, backend="numpy_float64"), facts, ["trace_memory_up"], [])
    assert (found.effect, found.message) == (Effect.NOT_APPLICABLE, "memory: not among what was recorded")


@pytest.mark.parametrize(
    "fault", ["trace_one_percent", "trace_one_signed", "trace_frozen", "trace_cut_short"]
)
def test_a_baseline_alone_notices_what_happens_to_the_losses(minimal, fault):
    held = replace(minimal, expect={"matches_baseline": MatchesBaseline(band=True)}, expect_on={})
    healthy = healthy_facts()
    answer = healthy.answers["recorded"]
    elsewhere = replace(answer, facts={**answer.facts, "bitwise": False})
    facts = replace(healthy, answers={**healthy.answers, "recorded": elsewhere})
    (found,) = trace_cells(Task(case=held, backend="numpy_float64"), facts, [fault], [])
    assert (found.effect, "matches_baseline" in found.checks) == (Effect.CAUGHT, True)


def test_what_a_night_trained_already_is_not_trained_again(tmp_path, minimal):
    where, faults, heard = str(tmp_path / "h.sqlite"), ["double_step", "trace_nan_loss"], []
    done = night([minimal], where, backends=["numpy_float64"])
    settings = {"backends": ["numpy_float64"], "faults_of": lambda _: faults}
    fresh = sabotage([minimal], where, **settings)
    spared = sabotage(
        [minimal], where, **settings, session=done.session, on_end=lambda *ended: heard.append(ended)
    )
    assert [(one.fault, one.effect, one.checks) for one in spared.cells] == [
        (one.fault, one.effect, one.checks) for one in fresh.cells
    ]
    assert (spared.healthy_runs, heard) == (1, [(1, 2), (2, 2)])
    tasks, _ = plan([minimal], ["numpy_float64"], lambda _: faults)
    with open_store(where) as store:
        trained, left = told_apart(tasks, store, done.session)
        assert [finished.seconds for finished in trained] == [done.runs[0].seconds]
        assert [task.fault for task in left] == ["double_step"]
        changed = [replace(task, case=replace(task.case, digest="of another day")) for task in tasks]
        assert told_apart(changed, store, done.session) == ([], changed)


@pytest.mark.parametrize("outcome", [Outcome.UNAVAILABLE, Outcome.UNSUPPORTED])
def test_a_backend_that_is_not_there_misses_nothing(minimal, outcome):
    task = Task(case=minimal, backend="jax", fault="double_step")
    found = cell(task, Facts(outcome=outcome, message="needs jax"), [])
    assert (found.effect, found.message) == (Effect.NOT_APPLICABLE, "needs jax")
    assert unmet("cllm-minimal", ["double_step"], [found]) == []
