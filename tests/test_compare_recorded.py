"""`harness compare --recorded`: what it says of two commits in the store, and what it refuses."""

import json
from pathlib import Path

import commits
import nights
import pytest

from harness.cli import main
from harness.model import Answer, Facts, Outcome, Status
from harness.sessions import Session
from harness.store import open_store

REPEATS = {"repeat": Answer(facts={"weights_equal": True})}
HERE = {**nights.ENVIRONMENT, "dirty": False}


def facts(final=2.5, step=0.0012, **changes):
    loss = [3.3, 3.0, 2.8, final]
    return nights.completed(
        nights.trace(loss=loss), **{"measurements": nights.measurements(step), "answers": REPEATS, **changes}
    )


@pytest.fixture
def made(tmp_path, monkeypatch):
    """The hashes of three commits; the folder of their repository is the current one."""
    monkeypatch.chdir(tmp_path)
    return commits.repository(tmp_path, 3)


@pytest.fixture
def record(made):
    """Records runs: pairs of a commit's number or hash, and what is different in the run."""

    def record(*runs):
        with open_store("out/history.sqlite") as store:
            store.begin(Session(id="night-0", started=1.0))
            for number, (commit, known) in enumerate(runs):
                hash_ = commit if isinstance(commit, str) else made[commit]
                environment = {**HERE, "commit": hash_, **known.pop("environment", {})}
                store.add(nights.a_run(number, **{"facts": facts(), **known, "environment": environment}))

    return record


@pytest.fixture
def call(capsys):
    def call(*arguments):
        capsys.readouterr()
        code = main(["compare", *arguments, "--recorded"])
        said = capsys.readouterr()
        return code, said.out.splitlines(), said.err.splitlines()

    return call


def test_a_loss_that_is_higher_is_a_regression_after_a_single_night(made, record, call):
    record((0, {}), (1, {"facts": facts(2.6)}))
    code, out, err = call("HEAD~2", "HEAD~1", "--json", "found.json")
    assert (code, err) == (1, [])
    assert out == [
        f"A {made[0][:9]} change 0",
        f"B {made[1][:9]} change 1",
        "regression  cllm-minimal [torch_eager]  final_loss 2.5 to 2.6 (+4 %, exactly)",
        "left open: 3 noisy figures of too few runs; it takes 4 of each commit, or a comparison without --recorded",
        "1 regression",
    ]
    found = json.loads(Path("found.json").read_text())
    assert (found["before"], found["after"], found["absent"]) == (made[0], made[1], [])
    [one] = found["comparisons"]
    assert (one["kind"], one["runs"]) == ("regression", [1, 1])
    noisy = {each["metric"]: (each["kind"], each["note"]) for each in one["findings"]}
    assert noisy["step_time"] == ("skipped", "1 and 1 runs are too few to tell")


@pytest.mark.parametrize(
    ("final", "code", "said"),
    [
        (2.5, 0, "1 same"),
        (2.4, 0, "1 improvement"),
        (2.5 * (1 + 1e-7), 0, "1 change"),
        (2.5 * (1 + 3e-5), 1, "1 regression"),
        (float("nan"), 1, "1 regression"),
    ],
)
def test_beyond_rounding_every_difference_of_a_loss_counts(record, call, final, code, said):
    record((0, {}), (1, {"facts": facts(final)}))
    found, out, _ = call("HEAD~2", "HEAD~1", "--metric", "final_loss")
    assert (found, out[-1]) == (code, said)


@pytest.mark.parametrize("answers", [{}, {"repeat": Answer(facts={"weights_equal": False})}])
def test_a_loss_of_what_is_not_known_to_repeat_is_noise(record, call, answers):
    record((0, {"facts": facts(answers=answers)}), (1, {"facts": facts(2.6, answers=answers)}))
    code, out, _ = call("HEAD~2", "HEAD~1", "--metric", "final_loss")
    assert (code, out[2].startswith("left open: 1 noisy figure"), out[-1]) == (0, True, "1 same")


@pytest.mark.parametrize(
    ("factor", "code", "kind"), [(1.2, 1, "regression"), (0.8, 0, "improvement"), (1, 0, "same")]
)
def test_times_of_several_nights_are_compared_by_their_interval(record, call, factor, code, kind):
    record(
        *((0, {"facts": facts(step=0.001 * (1 + each / 500))}) for each in range(4)),
        *((1, {"facts": facts(step=0.001 * factor * (1 + each / 500))}) for each in range(5)),
    )
    found, out, _ = call("HEAD~2", "HEAD~1", "--metric", "step_time")
    assert (found, out[-1]) == (code, f"1 {kind}")
    if kind != "same":
        assert out[2].startswith(f"{kind}  cllm-minimal [torch_eager]  step_time 1.0")


def test_a_case_that_turned_red_is_told_with_its_cause(record, call):
    red = {"status": Status.FAIL, "verdicts": nights.FAILED, "diagnoses": (nights.DIAGNOSIS,)}
    record((0, {}), (0, {}), (1, red))
    code, out, _ = call("HEAD~2", "HEAD~1", "--metric", "final_loss")
    assert code == 1
    assert out[2] == "regression  cllm-minimal [torch_eager]  pass -> fail (0 of 2 and 1 of 1 not healthy)"
    assert any(line.strip().startswith(nights.CAUSE) for line in out)


def test_a_run_that_died_is_not_lost_among_those_that_know_their_machine(record, call):
    died = {"status": Status.ERROR, "facts": Facts(outcome=Outcome.CRASHED, message="SIGSEGV")}
    known = facts(environment={"device": "cpu"})
    record((0, {"facts": known}), (1, {"facts": known}), (1, dict(died)), (1, dict(died)))
    code, out, _ = call("HEAD~2", "HEAD~1", "--metric", "final_loss")
    assert (code, "pass -> error (0 of 1 and 2 of 3 not healthy)" in out[2]) == (1, True)


def test_machines_are_kept_apart(record, call):
    other = {"environment": {"cpu": "Xeon"}}
    known = {"facts": facts(environment={"device": "cpu"})}
    slow = {"facts": facts(2.6, environment={"device": "cpu"})}
    record((0, dict(known)), (0, {**slow, **other}), (1, dict(known)), (1, {**slow, **other}))
    assert call("HEAD~2", "HEAD~1", "--metric", "final_loss")[1][-1] == "2 same"


def test_where_no_machine_is_the_same_nothing_is_called_worse(record, call):
    known = {"facts": facts(environment={"device": "cpu"})}
    slow = {"facts": facts(2.6, environment={"device": "cpu"}), "environment": {"cpu": "Xeon"}}
    record((0, known), (1, slow))
    code, out, _ = call("HEAD~2", "HEAD~1", "--metric", "final_loss")
    assert (code, out[-1]) == (0, "1 change")
    assert "CPU model: EPYC and Xeon: other numbers are no regression then" in out[2]


def test_what_one_commit_lacks_is_told(made, record, call):
    record((0, {}), (0, {"case": "gone"}), (1, {}), (1, {"case": "new"}))
    code, out, _ = call("HEAD~2", "HEAD~1")
    assert code == 0
    assert out[2:4] == [
        f"not compared  gone [torch_eager]: nothing recorded of {made[1][:9]}",
        f"not compared  new [torch_eager]: nothing recorded of {made[0][:9]}",
    ]
    assert out[-1] == "1 same, 2 not compared"


def test_uncommitted_changes_are_left_out_and_told(record, call):
    record((0, {}), (1, {}), (1, {"facts": facts(9.0), "environment": {"dirty": True}}))
    code, out, _ = call("HEAD~2", "HEAD~1", "--metric", "final_loss")
    assert (code, out[0], out[-1]) == (0, "note: left out: 1 of uncommitted changes", "1 same")


def test_only_what_is_named_is_compared(record, call):
    runs = [(side, {"case": case}) for side in (0, 1) for case in ("line", "line[seed=1]", "other")]
    record(*runs, (0, {"backend": "jax"}), (1, {"backend": "jax"}))
    assert call("HEAD~2", "HEAD~1", "cases/line.yaml")[1][-1] == "2 same"
    assert call("HEAD~2", "HEAD~1", "line[seed=1]")[1][-1] == "1 same"
    assert call("HEAD~2", "HEAD~1", "--backend", "jax")[1][-1] == "1 same"
    code, _, [line] = call("HEAD~2", "HEAD~1", "lin", "--backend", "jax")
    assert (code, line) == (2, "lin, jax: not among what is recorded of either commit")


def test_commits_that_a_rebase_took_away_are_known_by_their_hash(made, record, call):
    gone = "abcdef01" * 5
    record((gone, {}), (1, {}), ("abcdef02" * 5, {}))
    code, out, _ = call("abcdef01", "HEAD~1", "--metric", "final_loss")
    assert (code, out[0]) == (
        0,
        "A abcdef01a (not in this repository: rebased away, or the clone is shallow)",
    )
    code, _, [line] = call("abcdef0", "HEAD")
    assert (code, line) == (
        2, "store out/history.sqlite: 'abcdef0' begins 2 commits, expected one; give more of it",
    )  # fmt: skip
    code, out, _ = call(gone, made[1], "--repo", "absent")
    assert (code, out[1]) == (
        0,
        f"B {made[1][:9]} (not in this repository: rebased away, or the clone is shallow)",
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("HEAD", "HEAD"), "A and B are the same commit, {2}: there is nothing to compare"),
        (
            ("HEAD~1", "HEAD"),
            "store out/history.sqlite: nothing without uncommitted changes is recorded of {2} (change 2); `harness run` it",
        ),
        (("HEAD~1", "nowhere"), ".: unknown revision 'nowhere'; `git log` shows what there is"),
        (("HEAD~1", "fffffff"), ".: unknown revision 'fffffff'"),
        (("HEAD~1", "HEAD", "--build", "make"), "--build: --recorded runs nothing; leave one of the two out"),
        (("HEAD~1", "HEAD", "--tag", "a"), "--tag: --recorded runs nothing; leave one of the two out"),
        (
            ("HEAD~1", "HEAD", "--store", "no.sqlite"),
            "store no.sqlite: there is none yet; `harness run` makes it",
        ),
    ],
)
def test_bad_input_is_one_line(made, record, call, arguments, said):
    record((1, {}), (2, {"environment": {"dirty": True}}))
    code, _, [line] = call(*arguments)
    assert code == 2
    assert line.startswith(said.format(*(each[:9] for each in made)))
    if "nowhere" in arguments:
        assert line.endswith("store out/history.sqlite: nothing recorded of such a commit")


def test_nothing_is_changed_by_looking(record, call):
    record((0, {}), (1, {}))
    with open_store("out/history.sqlite") as store:
        before = store.runs()
    call("HEAD~2", "HEAD~1")
    with open_store("out/history.sqlite") as store:
        assert store.runs() == before
