"""Baselines as files, what may be compared with them, and those that the shipped cases are held to."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from recorded import make_trace

from harness.baselines import (
    CHECKS,
    UnreadableError,
    baseline_of,
    largest_change,
    path_of,
    read,
    recorded,
    with_recorded,
    write,
)
from harness.cases import load_cases
from harness.checks.convergence import Convergence
from harness.checks.matches_baseline import MatchesBaseline
from harness.model import Facts, HarnessError, Measurement, Outcome, Status
from harness.problem import build_problem
from harness.testing import healthy_facts, healthy_trace
from harness.testing.healthy import REACHED
from harness.testing.sample import sample_case

ROOT = Path(__file__).parents[1]
HERE = {
    "commit": "c0ffee", "dirty": False, "cpu": "EPYC", "cores": 2, "torch": "2.13.0+cpu", "numpy": "2.4.6",
    "canary": 1e-3, "boot": "b0", "host": "h0", "kernel": "6.1", "memory": 2**33,
}  # fmt: skip


@pytest.fixture
def case(tmp_path):
    made = sample_case(threads=1)
    return replace(
        made, path=tmp_path / "sample.yaml", expect={"matches_baseline": MatchesBaseline(band=True)}
    )


@pytest.fixture
def held(case):
    """The case with a baseline of a healthy run on `torch_eager`."""
    write(path_of(case, "torch_eager"), baseline_of(case, "torch_eager", healthy_facts(), HERE))
    return case


def judged(facts):
    return list(MatchesBaseline(band=True).judge(facts))


# Files.


def test_a_baseline_lies_beside_its_case(case, tmp_path):
    assert path_of(case, "jax") == tmp_path / "baselines" / "sample.jax.json"
    odd = replace(case, name="sample[data=a/b]")
    assert path_of(odd, "jax").parent == tmp_path / "baselines"


def test_what_is_written_is_read_back_to_the_last_bit(held):
    found = read(path_of(held, "torch_eager"))
    assert found == baseline_of(held, "torch_eager", healthy_facts(), HERE)
    assert found.losses == tuple(healthy_trace().loss.tolist())
    assert found.metrics == {"held_out_loss": 2.5}
    assert (found.digest, found.commit) == (healthy_trace().digests[-1], "c0ffee")
    assert not list(path_of(held, "torch_eager").parent.glob(".*"))


def test_a_baseline_is_text_with_a_number_a_line(held):
    lines = path_of(held, "torch_eager").read_text().splitlines()
    assert f"  {healthy_trace().loss.tolist()[3]!r}," in lines
    assert len(lines) > 28


def test_what_passes_with_the_day_is_not_in_it(held):
    environment = read(path_of(held, "torch_eager")).environment
    assert {"cpu", "cores", "torch", "numpy", "device", "threads", "dtype"} == set(environment)


def test_no_file_is_no_baseline(case):
    assert read(path_of(case, "torch_eager")) is None


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda _: "{", "Expecting property name"),
        (lambda _: "[]", "list indices must be integers"),
        (lambda found: json.dumps({**found, "schema": 2}), "schema 2, expected 1"),
        (lambda found: json.dumps({**found, "losses": [1.0, True]}), "expected a number, got True"),
        (lambda found: json.dumps({**found, "losses": ["nan"]}), "expected a number, got 'nan'"),
        (lambda found: json.dumps({**found, "metrics": {"a": None}}), "expected a number, got None"),
        (lambda found: json.dumps({**found, "environment": []}), "environment: expected a mapping"),
        (lambda found: json.dumps({**found, "convergence": {"to": 1}}), "'steps'"),
        (
            lambda found: json.dumps({**found, "convergence": {"to": 1, "steps": {"0": None}}}),
            "expected a number, got None",
        ),
        (
            lambda found: json.dumps({name: found[name] for name in found if name != "digest"}),
            "it lacks digest",
        ),
    ],
)
def test_a_damaged_file_says_so_in_a_line(held, spoil, said):
    path = path_of(held, "torch_eager")
    path.write_text(spoil(json.loads(path.read_text())))
    with pytest.raises(UnreadableError) as error:
        read(path)
    assert str(error.value).startswith(f"{path}: not a baseline: ")
    assert said in str(error.value)
    assert "\n" not in str(error.value)
    (verdict,) = judged(with_recorded(healthy_facts(), held, "torch_eager", HERE))
    assert (verdict.status, verdict.reason) == (Status.FAIL, "unreadable_baseline")


def test_a_folder_in_its_place_cannot_be_read(case):
    path_of(case, "torch_eager").mkdir(parents=True)
    with pytest.raises(UnreadableError, match="Is a directory"):
        read(path_of(case, "torch_eager"))


@pytest.mark.parametrize("lacking", [{"trace": None}, {"problem": None}, {"trace": make_trace(())}])
def test_nothing_is_recorded_of_a_run_without_steps(case, lacking):
    with pytest.raises(HarnessError, match="no step was recorded; there is nothing to record"):
        baseline_of(case, "torch_eager", replace(healthy_facts(), **lacking), HERE)


def test_steps_from_several_seeds_are_written_where_the_case_asks(case, held):
    assert read(path_of(held, "torch_eager")).convergence == {}
    asks = replace(case, expect={"convergence": Convergence(to=REACHED, within=0.1)})
    baseline = baseline_of(asks, "torch_eager", healthy_facts(), HERE)
    write(path_of(asks, "torch_eager"), baseline)
    found = read(path_of(asks, "torch_eager"))
    assert found == baseline
    assert (found.convergence["to"], list(found.convergence["steps"])) == (REACHED, list("01234567"))
    known = with_recorded(healthy_facts(), asks, "torch_eager", HERE)
    [verdict] = asks.expect["convergence"].judge(known)
    assert (verdict.status, verdict.observed) == (Status.PASS, 0.0)
    unreached = replace(asks, expect={"convergence": Convergence(to=0.1, within=0.1)})
    with pytest.raises(HarnessError, match=r"^sample \[torch_eager\]: convergence: seed 0 is never there"):
        baseline_of(unreached, "torch_eager", healthy_facts(), HERE)


def test_a_file_of_before_there_was_convergence_is_read(held):
    path = path_of(held, "torch_eager")
    found = json.loads(path.read_text())
    del found["convergence"]
    path.write_text(json.dumps(found))
    assert read(path).convergence == {}


def test_the_largest_change_knows_steps_to_the_same_loss(held):
    known = read(path_of(held, "torch_eager"))
    one, other, elsewhere = (
        replace(known, convergence={"to": to, "steps": {"0": steps}})
        for to, steps in ((1.0, 40.0), (1.0, 50.0), (0.9, 80.0))
    )
    assert largest_change(one, other) == 0.25
    assert largest_change(one, elsewhere) == largest_change(known, one) == 0.0


# How it reaches a run.


def test_a_case_that_does_not_ask_gets_none(held):
    facts = healthy_facts(answers={})
    assert with_recorded(facts, replace(held, expect={}), "torch_eager", HERE) is facts
    crashed = Facts(outcome=Outcome.CRASHED)
    assert with_recorded(crashed, held, "torch_eager", HERE) is crashed


def test_the_same_run_on_the_same_machine_is_the_same_bits(held):
    (verdict,) = judged(
        with_recorded(healthy_facts(), held, "torch_eager", {**HERE, "boot": "b1", "canary": 2.0})
    )
    assert (verdict.status, "recorded bits" in verdict.message) == (Status.PASS, True)


@pytest.mark.parametrize(
    "other", [{"cpu": "Xeon"}, {"cores": 4}, {"torch": "2.13.1"}, {"numpy": "2.5.0"}, {"new": 1}]
)
def test_on_another_machine_the_band_holds(held, other):
    facts = with_recorded(healthy_facts(), held, "torch_eager", {**HERE, **other})
    assert facts.answers["recorded"].facts["bitwise"] is False
    assert [verdict.status for verdict in judged(facts)] == [Status.PASS] * 3


def test_where_code_was_broken_on_purpose_the_band_holds(held):
    facts = with_recorded(healthy_facts(), held, "torch_eager", HERE, exactly=False)
    assert facts.answers["recorded"].facts["bitwise"] is False


@pytest.mark.parametrize(
    ("environment", "worker", "said"),
    [
        ({"torch": "2.14.0"}, {}, "torch: 2.13 and 2.14"),
        ({}, {"device": "cuda:0"}, "device: cpu and cuda:0"),
        ({}, {"dtype": "bfloat16"}, "dtype: float32 and bfloat16"),
        ({}, {"threads": 2}, "threads: 1 and 2"),
        ({}, {"ranks": 2}, "ranks: None and 2"),
    ],
)
def test_unlike_things_are_not_compared(held, environment, worker, said):
    facts = healthy_facts(environment={**healthy_facts().environment, **worker})
    found = with_recorded(facts, held, "torch_eager", {**HERE, **environment})
    (verdict,) = judged(found)
    assert (verdict.status, verdict.reason) == (Status.ERROR, "no_comparable_baseline")
    assert (
        f"{said} (recorded and now); unlike things are not compared; record again: harness rebase"
        in verdict.message
    )


def test_another_revision_or_problem_is_not_compared(held):
    found = recorded(healthy_facts(), replace(held, revision=2), "torch_eager", HERE)
    assert (found["reason"], "case revision: 1 and 2" in found["message"]) == ("no_comparable_baseline", True)
    other = replace(healthy_facts().problem, digest="other")
    found = recorded(healthy_facts(problem=other), held, "torch_eager", HERE)
    assert "problem digest: healthy and other" in found["message"]


def test_a_framework_matters_where_it_computes(case):
    write(path_of(case, "numpy_float64"), baseline_of(case, "numpy_float64", healthy_facts(), HERE))
    found = recorded(healthy_facts(), case, "numpy_float64", {**HERE, "torch": "3.0"})
    assert (found["reason"], found["bitwise"]) == ("", False)


def test_no_baseline_says_how_to_record_one(case):
    (verdict,) = judged(with_recorded(healthy_facts(), case, "torch_eager", HERE))
    assert (verdict.status, verdict.reason) == (Status.ERROR, "no_baseline")
    assert verdict.message.endswith(
        "there is none; record one: harness rebase sample --backend torch_eager --because ..."
    )


# How far one is from another.


def test_the_largest_change_is_that_of_any_number(case):
    old = baseline_of(case, "torch_eager", healthy_facts(), HERE)
    assert largest_change(old, old) == 0.0
    losses = (old.losses[0] * 1.01, *old.losses[1:])
    assert largest_change(old, replace(old, losses=losses)) == pytest.approx(0.01)
    assert largest_change(
        old, replace(old, weight_norms={**old.weight_norms, "embedding": 2.2})
    ) == pytest.approx(0.1)
    for changes in ({"losses": losses[:-1]}, {"metrics": {}}, {"metrics": {"held_out_loss": math.nan}}):
        assert largest_change(old, replace(old, **changes)) == math.inf


# The shipped ones.

SHIPPED = [
    (case, backend)
    for case in load_cases([ROOT / "cases"]).cases
    for backend in case.backends
    if set(CHECKS) & set(case.expectations(backend))
]


HELD = [
    (case, backend)
    for case in load_cases([ROOT / "cases"]).cases
    for backend in case.backends
    if {"matches_baseline", "convergence"} & case.expectations(backend).keys()
]


@pytest.mark.parametrize(("case", "backend"), SHIPPED, ids=lambda part: getattr(part, "name", part))
def test_shipped_baselines_belong_to_their_cases(case, backend):
    found = read(path_of(case, backend))
    assert (found.case, found.backend, found.revision) == (case.name, backend, case.revision)
    assert found.problem_digest == build_problem(case).digest, f"record again: harness rebase {case.name}"
    assert len(found.losses) == case.config.steps
    assert (found.environment["device"], found.environment["threads"]) == ("cpu", case.config.threads)
    assert all(map(math.isfinite, (*found.losses, *found.metrics.values(), *found.weight_norms.values())))


def test_every_baseline_is_in_the_ledger_and_none_is_left_over():
    files = {path.stem for path in (ROOT / "cases").rglob("baselines/*.json")}
    assert files == {f"{case.name}.{backend}" for case, backend in HELD}
    ledgers = [path.read_text().splitlines() for path in (ROOT / "cases").rglob("LEDGER.jsonl")]
    lines = [json.loads(line) for ledger in ledgers for line in ledger]
    assert {f"{line['case']}.{line['backend']}" for line in lines} >= files
    assert all(line["because"] for line in lines)


def test_a_measurement_that_is_no_metric_is_not_recorded(case):
    odd = {"step_time": Measurement(name="step_time", value=1.0, unit="s")}
    assert baseline_of(case, "torch_eager", healthy_facts(measurements=odd), HERE).metrics == {}
