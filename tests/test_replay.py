"""`harness replay`: the same bits again, or what is not as it was."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import revisions
import tiny
from recorded import make_facts, make_run, make_trace

from harness.case_files import CaseFile
from harness.cases import load_cases
from harness.cli import main
from harness.model import HarnessError
from harness.pipeline import case_file, night
from harness.replay import _differences, case_of, same_bits
from harness.store import open_store


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    """A command line in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return code, said.out.splitlines(), said.err.splitlines()

    return call


def recorded(name="tiny:numpy_float64"):
    case, _, backend = name.partition(":")
    with open_store("out/history.sqlite") as store:
        return store.run(store.runs(case=case, backend=backend)[-1].id)


def test_a_training_gives_its_bits_again_even_when_its_file_has_changed_or_gone(call):
    path = tiny.write()
    call("run", path)
    run = recorded()
    path.write_text(path.read_text().replace("lr: 0.1", "lr: 0.2"))
    code, out, err = call("replay", "tiny:numpy_float64")
    assert (code, out, err) == (0, [f"replayed  tiny [numpy_float64] {run.id}: the same bits"], [])
    path.unlink()
    assert call("replay", run.id[:12])[0] == 0
    assert recorded().id == run.id  # nothing more was recorded


def test_what_is_not_as_it_was_is_named(call):
    Path("cases").mkdir()
    revisions.program()
    revisions.case()
    call("run", "cases/line.yaml")
    run = recorded("line:command")
    revisions.program("0.2")
    code, out, _ = call("replay", "line:command", "--json", "found.json")
    assert code == 1
    assert out[:2] == [
        f"replayed  line [command] {run.id}: not the same bits",
        "       they part at step 1, forward: 1.7 and 1.8, 5.556 % apart",
    ]
    assert out[2].startswith(f"       case digest: {run.case_digest} and ")
    found = json.loads(Path("found.json").read_text())
    assert (found["schema"], found["same"]) == (1, False)
    assert found["recorded"]["id"] == run.id
    assert found["run"]["problem_digest"] == run.facts.problem.digest


def test_what_is_recorded_makes_no_checkout_dirty(call):
    commit = revisions.begin()
    for _ in range(2):
        call("run", "cases/line.yaml")
        found = recorded("line:command").environment
        assert (found["commit"], found["dirty"]) == (commit, False)


def test_a_program_that_broke_meanwhile_is_no_other_training(call):
    Path("cases").mkdir()
    revisions.program()
    revisions.case()
    call("run", "cases/line.yaml")
    Path("cases/train.py").write_text("raise SystemExit('no data today')")
    code, out, _ = call("replay", "line:command")
    assert (code, out[0].endswith(": nothing to compare")) == (3, True)
    assert out[1].startswith("       now: crashed: ")
    assert "no data today" in out[1]


def test_a_run_that_recorded_nothing_is_no_run_of_the_same_bits(call):
    Path("cases").mkdir()
    revisions.program()
    Path("cases/train.py").write_text("raise SystemExit('no data today')")
    revisions.case()
    call("run", "cases/line.yaml")
    code, out, _ = call("replay", "line:command")
    assert (code, out[0].endswith(": the same end, with no step recorded")) == (0, True)
    Path("cases/train.py").write_text("raise SystemExit('no disk today')")
    code, out, _ = call("replay", "line:command")
    assert (code, out[0].endswith(": not the same bits")) == (1, True)


def test_a_variant_of_a_matrix_is_found_again(call):
    tiny.write("tiny", ("backends:", "matrix: {config.seed: [0, 1]}\nbackends:"))
    call("run", "cases/tiny.yaml")
    with open_store("out/history.sqlite") as store:
        run = store.run(store.runs(case="tiny[seed=1]")[0].id)
        again = case_of(run, store.case_file(run.case, run.case_digest))
    assert (again.name, again.digest, again.config.seed) == ("tiny[seed=1]", run.case_digest, 1)


def test_every_case_of_the_tree_survives_being_kept(tmp_path):
    cases = load_cases([Path(__file__).parents[1] / "cases"]).cases
    with open_store(tmp_path / "kept.sqlite") as store:
        for _ in range(2):
            store.keep(case_file(case) for case in cases)
        for case in cases:
            again = case_of(make_run(case=case.name), store.case_file(case.name, case.digest))
            assert again == case


@pytest.mark.parametrize(
    ("kept", "said"),
    [
        (None, "its case was not kept, as is done since schema 2; run it again to record it"),
        ({"schema": 1}, "cases/x.yaml:1:1: about: missing"),
    ],
)
def test_cases_that_cannot_be_replayed(kept, said):
    run = make_run()
    if kept is not None:
        kept = CaseFile(name=run.case, digest="d0", path="cases/x.yaml", raw=kept)
    with pytest.raises(HarnessError) as refused:
        case_of(run, kept)
    assert str(refused.value) == f"run r1 (cllm-minimal [torch_eager]): {said}"


@pytest.mark.parametrize("what", ["loss", "update_error", "events", "digests", "tensors", "shape"])
def test_any_bit_counts(what):
    one = make_trace()
    values = {
        "loss": one.loss + np.array([0, 0, 0, 1e-15 * 2]),
        "update_error": one.update_error * (1 + 1e-15),
        "events": {**one.events, "backward": one.events["backward"] * 2},
        "digests": (*one.digests[:-1], "other"),
        "tensors": ("embedding", "other"),
    }
    other = make_trace(loss=(3.5, 3.0)) if what == "shape" else replace(one, **{what: values[what]})
    assert not same_bits(one, other)
    assert same_bits(one, make_trace())
    assert same_bits(one, replace(one, memory=one.memory + 1))
    assert same_bits(None, None)
    assert not same_bits(one, None)


def test_numbers_that_are_none_are_alike():
    broken = make_trace(loss=(3.5, float("nan"), 2.5, 2.0))
    assert same_bits(broken, make_trace(loss=(3.5, float("nan"), 2.5, 2.0)))


def test_differences_name_both_values_and_leave_out_what_is_another_each_time():
    run = make_run()
    other = make_run(
        case_digest="d1",
        facts=make_facts(environment={**run.facts.environment, "threads": 2}),
        environment={**run.environment, "commit": "f00d", "canary": 2.0, "boot": "b"},
    )
    assert list(_differences(run, other)) == [
        "case digest: d0 and d1",
        "commit: c0ffee and f00d",
        "threads: 1 and 2",
    ]
    assert list(_differences(run, run)) == []


def test_names_that_mean_no_run(call):
    tiny.write()
    night(load_cases(["cases"]).cases, "out/history.sqlite")
    code, _, [line] = call("replay", "zzz")
    assert (code, line) == (2, "store out/history.sqlite: no run 'zzz'; `harness history` lists them")
    code, _, [line] = call("replay", "tiny:jax")
    assert (code, "no runs of 'tiny' on 'jax'" in line) == (2, True)
