"""Calibration: proposals for a case, and the command from end to end."""

import json
import re
from dataclasses import replace
from fractions import Fraction
from math import inf, log, nan
from pathlib import Path

import numpy as np
import pytest
from bounded import EXPECT, case_of
from tiny import write

from harness.calibrate import SickError, calibrate, propose, prove, with_proposals
from harness.cases import load_cases
from harness.checks.matches_baseline import MatchesBaseline
from harness.cli import main
from harness.cli.calibrate import name_of
from harness.discover import plugins
from harness.documents import read
from harness.families import complete
from harness.judge import judge
from harness.model import Facts, HarnessError, Measurement, Outcome
from harness.runner import Finished, Runner
from harness.testing import healthy_facts, healthy_problem, healthy_trace

ROOT = Path(__file__).parents[1]
HERE = Path("case.yaml")
EPS = 2.0**-23
KIB, MIB = 2**10, 2**20


def run_of(start, drop, norm=0.5, memory=8.0):
    """Facts of a training whose loss falls in a line from start x ln 27."""
    trace = healthy_trace()
    trace = replace(trace, loss=start * log(27) * (1 - drop * np.linspace(0, 1, 28)))
    trace = replace(trace, gradient_norm=np.full_like(trace.gradient_norm, norm))
    peak = Measurement(name="peak_memory.train", value=memory * MIB, unit="B")
    facts = healthy_facts(trace)
    return replace(facts, measurements={**facts.measurements, peak.name: peak})


def by_name(bounds):
    return {name_of(bound): bound for bound in bounds}


def test_proposals_of_a_case(tmp_path):
    case = case_of(tmp_path)
    drops = [0.3, 0.32, 0.34]
    runs = {
        "numpy_float64": [run_of(start, drop) for start, drop in zip((1.0, 1.01, 1.02), drops, strict=True)]
    }
    found = by_name(propose(case, runs, complete(case.path, read)))
    assert list(found) == [
        "initial_loss.uniform",
        "loss_drop.at_least",
        "gradients.*.norm[0]",
        "gradients.*.norm[1]",
        "peak_memory.at_most",
    ]
    # Ratios 1, 1.01, 1.02: mean 1.01, deviation 0.01: 0.96 to 1.06.
    assert found["initial_loss.uniform"].new_text == "6%"
    assert (found["initial_loss.uniform"].side, found["initial_loss.uniform"].looser) == ("both", True)
    # The last of the 28 losses lie 1/27 of the fall apart; window 2: the medians are half a step inside.
    fall = [Fraction(27 - 1, 27) * Fraction(drop) / (1 - Fraction(drop) / 54) for drop in drops]
    exact = np.mean([float(one) for one in fall]) - 5 * np.std([float(one) for one in fall], ddof=1)
    assert found["loss_drop.at_least"].proposed == pytest.approx(exact, abs=1e-3)
    assert found["loss_drop.at_least"].proposed <= exact
    assert (found["loss_drop.at_least"].changes, found["loss_drop.at_least"].looser) == (True, False)
    assert [found[f"gradients.*.norm[{place}]"].new_text for place in (0, 1)] == ["0.5", "0.5"]
    assert found["peak_memory.at_most"].new_text == "16 MiB"
    assert found["peak_memory.at_most"].figures["numpy_float64"].mean == 8 * MIB
    prove(with_proposals(case, found.values()), runs)


def test_a_bound_that_two_backends_share_holds_on_both(tmp_path):
    case = case_of(tmp_path, ("[numpy_float64]", "[numpy_float64, torch_eager]"))
    runs = {
        "numpy_float64": [run_of(1.0, 0.3, norm, memory=1.0) for norm in (1.0, 1.1, 1.2)],
        "torch_eager": [run_of(1.0, 0.3, norm, memory=20.0) for norm in (2.0, 2.1, 2.2)],
    }
    found = by_name(propose(case, runs, complete(case.path, read)))
    low, high, memory = (
        found[f"{name}"] for name in ("gradients.*.norm[0]", "gradients.*.norm[1]", "peak_memory.at_most")
    )
    assert (low.proposed, low.decided_by) == (0.6, "numpy_float64")
    assert (high.proposed, high.decided_by) == (2.6, "torch_eager")
    assert (memory.new_text, memory.decided_by) == ("64 MiB", "torch_eager")  # 40 MiB is within twice
    assert set(memory.figures) == {"numpy_float64", "torch_eager"}


def test_a_bound_of_one_backend_is_its_own(tmp_path):
    extra = (
        "backends: [numpy_float64, torch_eager]\nexpect_on:\n  torch_eager: {peak_memory: {at_most: 1 GiB}}\n"
    )
    case = case_of(tmp_path, ("backends: [numpy_float64]\n", extra))
    runs = {
        "numpy_float64": [run_of(1.0, 0.3, memory=1.0)] * 2,
        "torch_eager": [run_of(1.0, 0.3, memory=20.0)] * 2,
    }
    found = by_name(propose(case, runs, complete(case.path, read)))
    assert found["peak_memory.at_most"].new_text == "8 MiB"
    assert found["expect_on.torch_eager.peak_memory.at_most"].new_text == "0.0391 GiB"
    assert list(found["peak_memory.at_most"].figures) == ["numpy_float64"]


def test_what_is_better_is_a_promise_and_is_not_proposed(tmp_path):
    case = case_of(tmp_path, ("  peak_memory: {at_most: 64 MiB}\n", "  peak_memory: {at_least: 1 MiB}\n"))
    [bound] = [
        each for each in propose(case, {"numpy_float64": [run_of(1.0, 0.3)] * 2}) if each.kind == "memory"
    ]
    assert (bound.proposed, bound.new_text, bound.changes, bound.looser) == (None, None, False, False)
    assert bound.why == "better is no failure: only the worse side is proposed"


def test_what_the_check_refuses_is_not_proposed(tmp_path):
    case = case_of(tmp_path, ('"*": {norm: [1e-4, 10]}', '"*": {dead: 99%}'))
    trace = healthy_trace()
    none = replace(
        healthy_facts(), trace=replace(trace, gradient_nonzero=np.full_like(trace.gradient_norm, 1e-9))
    )
    [bound] = [each for each in propose(case, {"numpy_float64": [none, none]}) if "dead" in each.place]
    assert bound.proposed is None
    assert bound.why == "expected dead of at least 0% and below 100%, got 100%"


def test_a_reading_that_is_not_finite_is_no_reading(tmp_path):
    case = case_of(tmp_path)
    flat_zero = replace(healthy_facts(), trace=replace(healthy_trace(), loss=np.zeros(28)))
    assert "loss_drop.at_least" not in by_name(propose(case, {"numpy_float64": [flat_zero] * 2}))
    with pytest.raises(SickError, match=r"seed 0 on numpy_float64: .*; no proposed bound mends that"):
        prove(case, {"numpy_float64": [flat_zero] * 2})


# end to end


FEW = (("steps: 150", "steps: 40"), ("backends: [torch_eager, numpy_float64]", "backends: [numpy_float64]"))


@pytest.fixture(autouse=True)
def workplace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def call(capsys):
    """A command line: its exit code and what it wrote to both outputs."""

    def call(*arguments):
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return code, said.out, said.err.splitlines()

    return call


@pytest.fixture
def runs(monkeypatch):
    """No training: every task ends with the facts that are put here by seed, or healthy ones."""
    facts, asked = {}, []

    def run(_, tasks):
        for task in tasks:
            asked.append((task.case.name, task.backend, task.case.config.seed))
            given = facts.get(task.case.config.seed, run_of(1.0, 0.3))
            yield Finished(task=task, started=0.0, seconds=0.0, facts=given)

    monkeypatch.setattr(Runner, "run", run)
    return facts, asked


def short_classification(*changes):
    """The shipped case with fewer steps, for NumPy alone, without what is never twice the same."""
    text = (ROOT / "cases/mlp-classification.yaml").read_text()
    text = re.sub(
        r"^extends: .*\n|^  (peak_memory|memory_growth|step_time): .*\n", "", text, flags=re.MULTILINE
    )
    for old, new in (*FEW, *changes):
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    Path("cases").mkdir(exist_ok=True)
    path = Path("cases/mlp-classification.yaml")
    path.write_text(text)
    return path


def test_calibrate_write_and_calibrate_again(call):
    path = short_classification()
    before = path.read_text()
    code, out, err = call("calibrate", path, "--seeds", 3, "--workers", 2, "--write", "--json", "first.json")
    assert (code, err) == (0, [])
    assert "mlp-classification: 3 healthy seeds on numpy_float64\n" in out
    assert "warning: 3 seeds say little about the spread; 8 or more are better\n" in out
    first = json.loads(Path("first.json").read_text())
    bounds = {each["bound"]: each for each in first["bounds"]}
    assert {"loss_drop.at_least", "final_loss.at_most", "gradients.*.norm[0]"} <= set(bounds)
    for name, each in bounds.items():
        values = each["figures"]["numpy_float64"]["values"]
        assert len(values) == 3, name
        assert each["figures"]["numpy_float64"]["mean"] == pytest.approx(np.mean(values)), name
        assert each["figures"]["numpy_float64"]["deviation"] == pytest.approx(np.std(values, ddof=1)), name
    drop = bounds["loss_drop.at_least"]
    assert f"{path}: loss_drop.at_least: 56% -> {drop['new_text']} (" in out
    assert drop["written"] is True
    assert f"{path}: revision: 1 -> 2\n" in out
    assert (first["schema"], first["revision"], first["seeds"], first["left"]) == (1, 2, 3, [])
    after = path.read_text()
    assert f"loss_drop: {{at_least: {drop['new_text']}}}" in after
    mask = re.compile(r"[0-9]+(\.[0-9]+)?(e-?[0-9]+)?")
    assert mask.sub("N", after) == mask.sub("N", before)
    assert call("lint", path)[0] == 0
    # The same seeds again: every proposal is what stands there now.
    code, out, _ = call("calibrate", "mlp-classification", "--seeds", 3, "--workers", 2, "--write")
    assert code == 0
    assert f"{path}: nothing to write, the file is as it was\n" in out
    assert path.read_text() == after
    assert not Path("out/history.sqlite").exists()


def test_healthy_seeds_pass_what_they_propose():
    case = load_cases(
        [write("tiny", ("  parameters: 920\n", "  final_loss: {at_least: 1, at_most: 1}\n"))]
    ).cases[0]
    done = calibrate(case, seeds=2)
    low, high = done.bounds
    values = low.figures["numpy_float64"].values
    middle, reach = np.mean(values), 5 * np.std(values, ddof=1)
    assert low.proposed == pytest.approx(middle - reach, rel=5e-3)
    assert high.proposed == pytest.approx(middle + reach, rel=5e-3)
    assert low.proposed <= middle - reach < middle + reach <= high.proposed
    assert (low.figures["numpy_float64"].outside, high.figures["numpy_float64"].outside) == (0, 2)


def test_a_sick_seed_calibrates_nothing(call):
    path = short_classification(("lr: 0.1, momentum: 0.9", "lr: 1.0e+200"))
    before = path.read_bytes()
    code, _, err = call("calibrate", path, "--seeds", 2, "--write")
    assert code == 1
    assert len(err) == 1
    assert re.fullmatch(
        rf"{path}: seed [01] on numpy_float64: .* is (nan|inf)( at step \d+)?, expected finite numbers;"
        r" a sick run calibrates nothing",
        err[0],
    )
    assert path.read_bytes() == before


def test_a_run_that_fails_otherwise_is_no_matter_of_bounds(call):
    path = short_classification(("parameters: 453", "parameters: 454"))
    code, _, err = call("calibrate", path, "--seeds", 2)
    assert code == 1
    wrong = "parameters: 453 parameters, expected 454"
    assert err == [f"{path}: seed 0 on numpy_float64: {wrong}; no proposed bound mends that"]


@pytest.mark.parametrize(
    ("facts", "wrong"),
    [
        (
            Facts(outcome=Outcome.TIMEOUT, message="stopped after\nits time limit"),
            "timeout: stopped after its time limit",
        ),
        (Facts(outcome=Outcome.COMPLETED), "no step was recorded"),
        (
            replace(run_of(1.0, 0.3), problem=healthy_problem(30)),
            "28 of 30 steps were recorded, expected all of them",
        ),
        (run_of(1.0, nan), "loss is nan at step 0, expected finite numbers"),
        (run_of(1.0, 0.3, memory=inf), "measurement 'peak_memory.train' is inf, expected finite numbers"),
    ],
)
def test_a_run_that_is_not_whole_calibrates_nothing(call, runs, facts, wrong):
    runs[0][1] = facts
    code, _, err = call("calibrate", case_of("cases").path, "--seeds", 3)
    why = f"{wrong}; a sick run calibrates nothing"
    assert (code, err) == (1, [f"cases/tiny.yaml: seed 1 on numpy_float64: {why}"])
    assert len(runs[1]) == 2, "a seed was run after the sick one"


def test_one_seed_has_no_spread(call):
    path = write()
    code, _, err = call("calibrate", path, "--seeds", 1)
    assert code == 2
    assert len(err) == 1
    assert "--seeds" in err[0]
    with pytest.raises(HarnessError, match="tiny: 1 seeds, expected at least 2: one has no spread"):
        calibrate(load_cases([path]).cases[0], seeds=1)


def test_a_variant_of_a_matrix_is_not_written(call, runs):
    path = write("tiny", ("expect:", "matrix: {config.batch: [2, 4]}\nexpect:"))
    code, _, err = call("calibrate", path)
    assert (code, err) == (
        2,
        [f"{path}: 2 cases, expected one; name it: tiny[batch=2], tiny[batch=4]"],
    )
    code, _, err = call("calibrate", "cases/tiny[batch=4]", "--write")
    advice = "its bounds hold for all of them; calibrate each without --write and give the widest"
    why = f"'tiny[batch=4]' is one of the variants of a matrix, {advice}"
    assert (code, err) == (2, [f"{path}: --write: {why}"])
    assert runs[1] == [], "trained before it refused"


def test_a_variant_is_calibrated_by_its_name(call, runs):
    write("tiny", ("expect:\n  parameters: 920\n", f"matrix: {{config.batch: [2, 4]}}\n{EXPECT}"))
    code, out, err = call("calibrate", "tiny[batch=4]", "--seeds", 2)
    assert (code, err) == (0, [])
    assert "tiny[batch=4]: 2 healthy seeds on numpy_float64\n" in out
    assert runs[1] == [("tiny[batch=4]", "numpy_float64", seed) for seed in (0, 1)]


def test_names_that_are_not_there(call):
    path = write()
    assert call("calibrate", "tini")[::2] == (2, ["cases: no case named 'tini'; did you mean 'tiny'?"])
    assert call("calibrate", "cases/none.yaml")[0] == 2
    assert call("calibrate", path, "--backend", "torch_eager")[::2] == (
        2,
        ["--backend: tiny does not run on 'torch_eager'; known: numpy_float64"],
    )


@pytest.mark.usefixtures("runs")
def test_a_case_without_bounds_says_so(call):
    code, out, err = call(
        "calibrate", write("tiny", ("parameters: 920", "parameters: 12416")), "--seeds", 2, "--json", "-"
    )
    assert (code, json.loads(out)["bounds"]) == (0, [])
    assert "no check of this case holds a number to a bound that seeds could set" in err


@pytest.mark.usefixtures("runs")
def test_a_backend_that_is_not_here_is_left_out(monkeypatch):
    path = write(
        "tiny", ("[numpy_float64]", "[numpy_float64, torch_eager]"), ("parameters: 920", "parameters: 12416")
    )
    case = load_cases([path]).cases[0]
    monkeypatch.setattr(
        plugins("backends")["torch_eager"].value, "unavailable", lambda _: "torch is not installed"
    )
    done = calibrate(case, seeds=2)
    assert (list(done.runs), done.absent) == (["numpy_float64"], {"torch_eager": "torch is not installed"})
    with pytest.raises(HarnessError, match="no backend can run here: not asked for; torch is not installed"):
        calibrate(case, seeds=2, backends=["torch_eager"])


def test_what_holds_of_one_seed_only_is_left_out(tmp_path):
    case = case_of(tmp_path)
    held = replace(case, expect={"matches_baseline": MatchesBaseline(band=True)}, expect_on={})
    facts = healthy_facts(answers={})
    assert judge(held.expect, facts).reason == "missing"
    prove(held, {"numpy_float64": [facts]})
