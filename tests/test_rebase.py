"""`harness rebase`: what it records, and all that it refuses."""

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from tiny import write

from harness import rebase as module
from harness.baselines import path_of
from harness.calibrate import SickError
from harness.cases import load_cases
from harness.cli import main
from harness.environment import uncommitted
from harness.judge import judge
from harness.model import Status
from harness.store import open_store
from harness.testing import healthy_facts

HELD = ("  parameters: 920", "  parameters: 920\n  matches_baseline: true")
GIT = ("git", "-c", "user.name=a", "-c", "user.email=a@b")
BECAUSE = ("--because", "The schedule was wrong.")


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    """A command line in a repository of its own: its exit code, and the lines of both outputs."""
    monkeypatch.chdir(tmp_path)
    subprocess.run([*GIT, "init", "-q"], check=True)
    Path(".gitignore").write_text("/out/\n")

    def call(*arguments):
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return code, said.out.splitlines(), said.err.splitlines()

    return call


def commit():
    subprocess.run([*GIT, "add", "."], check=True)
    subprocess.run([*GIT, "commit", "-q", "-m", "more", "--allow-empty"], check=True)


def ledger():
    return [json.loads(line) for line in Path("cases/baselines/LEDGER.jsonl").read_text().splitlines()]


def refused(call, *arguments):
    code, _, [said] = call("rebase", *arguments)
    assert not Path("cases/baselines").exists()
    return code, said


def test_a_case_is_recorded_held_to_that_and_found_unchanged(call):
    write("tiny", HELD)
    commit()
    code, out, _ = call("run", "cases/tiny.yaml")
    assert (code, "no_baseline" in out[-2] or "there is none; record one" in out[1]) == (3, True)
    code, out, err = call("rebase", "tiny", *BECAUSE, "--json", "found.json")
    assert (code, err) == (0, [])
    assert out == [
        "2 runs, 1 at a time",
        "recorded   tiny [numpy_float64] cases/baselines/tiny.numpy_float64.json, the first",
        "noted in cases/baselines/LEDGER.jsonl; look at the difference, and commit both",
    ]
    [found] = json.loads(Path("found.json").read_text())["baselines"]
    assert (found["case"], found["backend"], found["changed"], found["largest_change"]) == (
        "tiny", "numpy_float64", True, None,
    )  # fmt: skip
    Path("found.json").unlink()
    assert call("run", "cases/tiny.yaml")[0] == 0
    code, out, _ = call("rebase", "tiny", *BECAUSE)
    assert (code, out[1:]) == (
        0, ["unchanged  tiny [numpy_float64] gives what is recorded in cases/baselines/tiny.numpy_float64.json"],
    )  # fmt: skip
    assert len(ledger()) == 1


def test_the_ledger_says_what_why_and_how_much(call):
    write("tiny", HELD)
    commit()
    call("rebase", "tiny", *BECAUSE)
    path = Path("cases/baselines/tiny.numpy_float64.json")
    recorded = json.loads(path.read_text())
    path.write_text(json.dumps({**recorded, "losses": [2 * loss for loss in recorded["losses"]]}))
    code, out, _ = call("run", "cases/tiny.yaml")
    assert (code, "matches_baseline: improved" in out[1]) == (1, True)
    code, out, _ = call("rebase", "tiny", "--because", "  Twice too much. ")
    assert (code, out[1]) == (
        0, f"recorded   tiny [numpy_float64] {path}, largest change 50 %",
    )  # fmt: skip
    assert json.loads(path.read_text()) == recorded
    first, second = ledger()
    assert (first["largest_change"], second["largest_change"]) == (None, 0.5)
    assert (second["because"], second["case"], second["backend"]) == (
        "Twice too much.",
        "tiny",
        "numpy_float64",
    )
    head = subprocess.run(
        [*GIT, "rev-parse", "HEAD"], capture_output=True, text=True, check=True
    ).stdout.strip()
    assert (second["commit"], recorded["commit"]) == (head, head)
    assert set(second) == {"when", "commit", "case", "backend", "revision", "largest_change", "because"}


def test_a_damaged_baseline_is_recorded_again(call):
    write("tiny", HELD)
    commit()
    call("rebase", "tiny", *BECAUSE)
    path = Path("cases/baselines/tiny.numpy_float64.json")
    whole = path.read_text()
    path.write_text(whole[:100])
    assert call("rebase", "tiny", *BECAUSE)[0] == 0
    assert path.read_text() == whole


def test_another_seed_is_not_compared(call):
    path = write("tiny", HELD)
    commit()
    call("rebase", "tiny", *BECAUSE)
    path.write_text(path.read_text().replace("  steps: 3", "  steps: 3\n  seed: 1"))
    code, out, _ = call("run", "cases/tiny.yaml")
    assert code == 3
    assert "problem digest: " in out[1]
    assert "unlike things are not compared" in out[1]


# What it refuses.


def test_code_that_is_not_committed(call):
    write("tiny", HELD)
    commit()
    Path("new.py").write_text("")
    Path("other.py").write_text("")
    assert refused(call, "tiny", *BECAUSE) == (
        2, "new.py and 1 more: not committed; a baseline must name its commit: commit or stash first",
    )  # fmt: skip


def test_changes_among_baselines_are_no_code(call):
    write("tiny", HELD)
    commit()
    call("rebase", "tiny", *BECAUSE)
    assert uncommitted(".") == ("cases/baselines/LEDGER.jsonl", "cases/baselines/tiny.numpy_float64.json")
    assert call("rebase", "tiny", *BECAUSE)[0] == 0


def test_a_folder_without_a_repository(call, tmp_path_factory, monkeypatch):
    monkeypatch.chdir(tmp_path_factory.mktemp("bare"))
    write("tiny", HELD)
    assert uncommitted(".") is None
    assert refused(call, "tiny", *BECAUSE) == (
        2, "cases/tiny.yaml: not in a git repository; a baseline must name the commit it is of",
    )  # fmt: skip


def test_no_reason(call):
    write("tiny", HELD)
    commit()
    assert refused(call, "tiny", "--because", " ") == (
        2, "--because: empty; say why other numbers are right from now on",
    )  # fmt: skip
    assert "Missing option '--because'" in refused(call, "tiny")[1]


def test_a_case_that_expects_no_baseline(call):
    write("tiny")
    commit()
    assert refused(call, "tiny", *BECAUSE) == (
        2, "tiny: expects no `matches_baseline` on any backend; add it, or name a --backend",
    )  # fmt: skip
    code, out, _ = call("rebase", "tiny", *BECAUSE, "--backend", "numpy_float64")
    assert (code, out[1].startswith("recorded")) == (0, True)


def test_a_backend_that_the_case_does_not_have(call):
    write("tiny", HELD)
    commit()
    code, said = refused(call, "tiny", *BECAUSE, "--backend", "numpy_float")
    assert (code, "tiny does not run on 'numpy_float'" in said) == (2, True)


def test_a_run_that_fails(call):
    write("tiny", ("  parameters: 920", "  parameters: 921\n  matches_baseline: true"))
    commit()
    code, said = refused(call, "tiny", *BECAUSE)
    assert code == 1
    assert said.startswith("tiny [numpy_float64]: fail: parameters: 920 parameters, expected 921")
    assert said.endswith("; only a run that passes is recorded")


def test_numbers_that_are_not_finite(call):
    write("tiny", HELD, ("sgd: {lr: 0.1}", "sgd: {lr: 1e308}"))
    commit()
    code, said = refused(call, "tiny", *BECAUSE)
    assert (code, "expected finite numbers; only a run that passes is recorded" in said) == (1, True)


@pytest.mark.usefixtures("call")
def test_two_runs_that_differ(monkeypatch):
    write("tiny", HELD)
    commit()
    (case,) = load_cases(["cases"]).cases
    one = healthy_facts()
    loss = one.trace.loss.copy()
    loss[4] += 1e-9
    other = replace(one, trace=replace(one.trace, loss=loss))
    monkeypatch.setattr(module, "_run", lambda *_: {"numpy_float64": [one, other]})
    with pytest.raises(
        SickError,
        match=r"2 runs of the same code differ from the loss of step 4 on, expected the same bits; nothing was recorded",
    ):
        module.rebase(case, "why")
    weights = replace(one, trace=replace(one.trace, digests=("0",)))
    monkeypatch.setattr(module, "_run", lambda *_: {"numpy_float64": [one, weights]})
    with pytest.raises(SickError, match="differ in the final weights"):
        module.rebase(case, "why")
    assert not path_of(case, "numpy_float64").exists()


def test_what_a_run_was_compared_with_is_recorded_with_it(call):
    write("tiny", HELD)
    commit()
    call("rebase", "tiny", *BECAUSE)
    call("run", "cases/tiny.yaml")
    (case,) = load_cases(["cases"]).cases
    path_of(case, "numpy_float64").unlink()
    with open_store("out/history.sqlite") as store:
        run = store.run(store.runs()[0].id)
    again = judge(case.expectations("numpy_float64"), run.facts)
    assert (again.status, again.verdicts) == (Status.PASS, run.verdicts)
    assert run.facts.answers["recorded"].facts["bitwise"] is True


# Convergence over several seeds.

SLOW = (
    ("  parameters: 920", "  convergence: {to: 1.9, seeds: 6, within: 10%}"),
    ("steps: 3", "steps: 60"),
    ("sgd: {lr: 0.1}", "adamw: {lr: 0.003}"),
)


def test_several_seeds_are_recorded_and_held_to_that(call):
    path = write("tiny", *SLOW)
    commit()
    code, out, _ = call("run", "cases/tiny.yaml")
    assert (code, "there is none; record one" in out[1]) == (3, True)
    assert call("rebase", "tiny", *BECAUSE)[0] == 0
    found = json.loads(Path("cases/baselines/tiny.numpy_float64.json").read_text())["convergence"]
    assert (found["to"], list(found["steps"])) == (1.9, ["0", "1", "2", "3", "4", "5"])
    assert call("run", "cases/tiny.yaml")[0] == 0
    path.write_text(path.read_text().replace("to: 1.9", "to: 1.8"))
    code, out, _ = call("run", "cases/tiny.yaml")
    assert (code, "to: 1.9 and 1.8 (recorded and now); record again" in out[1]) == (3, True)


@pytest.mark.parametrize(("to", "said"), [("0.1", "seed 0 is never there"), ("9", "is there from the start")])
def test_a_loss_that_seeds_never_come_down_to(call, to, said):
    write("tiny", (SLOW[0][0], SLOW[0][1].replace("1.9", to)), *SLOW[1:])
    commit()
    code, line = refused(call, "tiny", *BECAUSE)
    assert (code, line.startswith("tiny [numpy_float64]: convergence: seed 0 "), said in line) == (
        2,
        True,
        True,
    )


@pytest.mark.parametrize(
    ("factors", "exit_code", "said"),
    [
        ((0.5, 0.5), 1, "convergence: slower: "),
        ((2, 2), 1, "convergence: faster: "),
        ((0.8, 1.25), 3, "6 seeds do not suffice"),
    ],
)
def test_a_training_that_became_slower_or_faster(call, factors, exit_code, said):
    write("tiny", *SLOW)
    commit()
    call("rebase", "tiny", *BECAUSE)
    path = Path("cases/baselines/tiny.numpy_float64.json")
    recorded = json.loads(path.read_text())
    scattered = {
        seed: steps * factors[int(seed) % 2] for seed, steps in recorded["convergence"]["steps"].items()
    }
    path.write_text(json.dumps({**recorded, "convergence": {"to": 1.9, "steps": scattered}}))
    code, out, _ = call("run", "cases/tiny.yaml")
    assert (code, said in out[1]) == (exit_code, True)
